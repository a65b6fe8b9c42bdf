/*
 * OVMF on board `pc`: to its shell, on the screen (a graphics mode) and on the serial port; then a
 * command typed at it, and power-off through the PM registers where OVMF has put them.
 *
 * A key ends the shell's countdown, which is seconds of waiting in a loop. Twice from power-on, the
 * second time saved midway and loaded into a third machine, which must end with the digest and the
 * screen of the first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doppel.h"
#include "tests/boot/dos.h"
#include "tests/t.h"

#define OVMF  "/usr/share/ovmf/OVMF.fd"
#define CHUNK UINT64_C(20000000)
#define LIMIT UINT64_C(8000000000)

struct shell {
    struct doppel_vm *vm;
    char text[65536];
    size_t len;
};

static void heard(void *ctx, const uint8_t *data, size_t len)
{
    struct shell *s = ctx;
    for (size_t i = 0; i < len && s->len + 1 < sizeof s->text; i++) {
        s->text[s->len++] = (char)data[i];
    }
    s->text[s->len] = 0;
}

static void quiet(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    (void)text;
    (void)len;
}

static bool start(struct shell *s)
{
    struct doppel_options o;
    struct doppel_error e;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.bios = OVMF;
    s->len = 0;
    s->text[0] = 0;
    s->vm = doppel_create(&o, &e);
    if (!s->vm) {
        FAIL("%s", e.msg);
        return false;
    }
    return doppel_serial_listen(s->vm, 0, heard, s);
}

/* Run on until the serial port has said `text`; the count, or 0 after a report. */
static uint64_t run_to(struct shell *s, const char *text)
{
    uint64_t at = doppel_icount(s->vm);
    while (!strstr(s->text, text) && at < LIMIT) {
        at += CHUNK;
        if (doppel_run(s->vm, at) != DOPPEL_LIMIT) {
            break;
        }
    }
    if (strstr(s->text, text)) {
        return at;
    }
    FAIL("no \"%s\" within %" PRIu64 " instructions; the serial port:\n%s", text, LIMIT, s->text);
    return 0;
}

/* To the shell, an `echo`, and off; the state before that. */
static uint64_t finish(struct shell *s, uint64_t *screen)
{
    if (!run_to(s, "Press ")) {
        return 0;
    }
    doppel_command(s->vm, "sendkey esc", quiet, NULL);
    if (!run_to(s, "Shell> ")) {
        return 0;
    }
    doppel_command(s->vm, "sendtext echo Seventeen\\n", quiet, NULL);
    run_to(s, "\r\nSeventeen");
    uint64_t digest = doppel_digest(s->vm);
    *screen = doppel_screen_digest(s->vm);
    char *text = doppel_screen_text(s->vm);
    EXPECT(text == NULL); /* graphics */
    free(text);
    printf("  %" PRIu64 " million instructions, digest %016" PRIx64 "\n",
           doppel_icount(s->vm) / 1000000, digest);
    doppel_command(s->vm, "sendtext reset -s\\n", quiet, NULL);
    if (!EXPECT_EQ(doppel_run(s->vm, doppel_icount(s->vm) + 25 * CHUNK), DOPPEL_POWEROFF)) {
        printf("%s\n", s->text);
    }
    return digest;
}

TEST(ovmf_shell)
{
    static struct shell a, b, c;
    struct doppel_error e;
    uint8_t *data;
    size_t len;
    uint64_t screen_a, screen_c;
    if (!dos_possible() || !dos_need(OVMF, "ovmf") || !start(&a) || !start(&b) || !start(&c)) {
        return;
    }
    uint64_t first = finish(&a, &screen_a);
    EXPECT_EQ(doppel_run(b.vm, 500000000), DOPPEL_LIMIT);
    doppel_save(b.vm, &data, &len);
    EXPECT(doppel_load(c.vm, data, len, &e));
    free(data);
    uint64_t second = finish(&c, &screen_c);
    EXPECT(first && screen_a && screen_a == screen_c);
    EXPECT_EQ(second, first);
    doppel_destroy(a.vm);
    doppel_destroy(b.vm);
    doppel_destroy(c.vm);
}
