/*
 * Machines that are talked with; see talk.h. With BOOT_SHOW in the environment all that the serial
 * port says is shown as it comes.
 */
#include "tests/boot/talk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/boot/record.h"
#include "tests/t.h"

enum {
    SHOWN = 1500,    /* characters of the text shown for a failure */
    KEY_CHUNKS = 30, /* between a key down and up: 30 ms of a busy guest, which may poll slowly */
};

static void hear(void *ctx, const uint8_t *data, size_t len)
{
    struct talk *t = ctx;
    if (getenv("BOOT_SHOW") != NULL) {
        fwrite(data, 1, len, stderr);
    }
    char *text = realloc(t->text, t->len + len + 1);
    if (text == NULL) {
        abort();
    }
    for (size_t i = 0; i < len; i++) {
        text[t->len++] = data[i] ? (char)data[i] : ' ';
    }
    text[t->len] = '\0';
    t->text = text;
}

static bool create(struct talk *t)
{
    const struct talk_setup *s = &t->setup;
    struct doppel_options o;
    struct doppel_error e = {"", false};
    doppel_options_init(&o, DOPPEL_ABI);
    o.kernel = s->kernel;
    o.initrd = s->initrd;
    o.append = s->append;
    o.boot = s->boot;
    o.bios = s->bios;
    o.cpus = s->cpus ? s->cpus : 1;
    o.ram_bytes = (uint64_t)(s->ram_mib ? s->ram_mib : 256) << 20;
    o.serial[0] = "null";
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.no_reboot = true;
    for (unsigned i = 0; i < TALK_DRIVES && s->drive[i]; i++) {
        o.drive[o.ndrives++] = s->drive[i];
    }
    t->vm = doppel_create(&o, &e);
    if (!t->vm) {
        FAIL("%s", e.msg);
        t->failed = true;
        return false;
    }
    return EXPECT(doppel_serial_listen(t->vm, 0, hear, t));
}

bool talk_open(struct talk *t, const struct talk_setup *setup, unsigned save_at)
{
    *t = (struct talk){.setup = *setup, .save_at = save_at, .text = calloc(1, 1)};
    return create(t);
}

void talk_close(struct talk *t)
{
    if (t->vm) {
        doppel_destroy(t->vm);
    }
    free(t->text);
    *t = (struct talk){.failed = true};
}

/* Report with all that helps to see why. */
static bool fail(struct talk *t, const char *what, const char *text)
{
    if (!t->failed) {
        char *screen = doppel_screen_text(t->vm);
        FAIL("%s \"%s\" after %" PRIu64 " million instructions; the screen:\n%s\n"
             "the end of the serial port's text:\n%s",
             what, text, doppel_icount(t->vm) / 1000000, screen ? screen : "(none, or graphics)",
             t->len > SHOWN ? t->text + t->len - SHOWN : t->text);
        free(screen);
    }
    t->failed = true;
    return false;
}

/* Into a new machine with all that is in it. */
static bool change_machines(struct talk *t)
{
    uint8_t *data = NULL;
    size_t len = 0;
    struct doppel_error e = {"", false};
    doppel_save(t->vm, &data, &len);
    uint64_t digest = doppel_digest(t->vm);
    doppel_destroy(t->vm);
    bool ok = create(t) && doppel_load(t->vm, data, len, &e);
    free(data);
    if (!ok && t->vm) {
        FAIL("load: %s", e.msg);
    }
    t->failed |= !ok;
    return ok && EXPECT_EQ(doppel_digest(t->vm), digest);
}

static enum doppel_stop chunk(struct talk *t)
{
    if (++t->chunks == t->save_at && !change_machines(t)) {
        return DOPPEL_FAILED;
    }
    return doppel_run(t->vm, doppel_icount(t->vm) + TALK_CHUNK);
}

static bool run_chunk(struct talk *t)
{
    if (t->failed) {
        return false;
    }
    enum doppel_stop why = chunk(t);
    if (why != DOPPEL_LIMIT) {
        char text[16];
        snprintf(text, sizeof text, "%d", (int)why);
        return fail(t, "the machine stopped with", text);
    }
    return true;
}

bool talk_run(struct talk *t, unsigned millions)
{
    for (unsigned i = 0; i < millions * (1000000 / TALK_CHUNK); i++) {
        if (!run_chunk(t)) {
            return false;
        }
    }
    return !t->failed;
}

static bool said(struct talk *t, const char *text)
{
    const char *at = strstr(t->text + t->seen, text);
    if (at) {
        t->seen = (size_t)(at - t->text) + strlen(text);
    }
    return at != NULL;
}

bool talk_wait(struct talk *t, const char *text, unsigned millions)
{
    for (unsigned i = 0; !t->failed && i < millions * (1000000 / TALK_CHUNK); i++) {
        if (said(t, text)) {
            return true;
        }
        if (!run_chunk(t)) {
            return false;
        }
    }
    return fail(t, "the serial port did not say", text);
}

static bool shows(struct talk *t, const char *text)
{
    char *screen = doppel_screen_text(t->vm);
    bool yes = screen && strstr(screen, text);
    free(screen);
    return yes;
}

bool talk_wait_screen(struct talk *t, const char *text, unsigned millions)
{
    for (unsigned i = 0; !t->failed && i < millions * (1000000 / TALK_CHUNK); i++) {
        if (shows(t, text)) {
            return true;
        }
        if (!run_chunk(t)) {
            return false;
        }
    }
    return fail(t, "the screen did not show", text);
}

bool talk_wait_off(struct talk *t, unsigned millions)
{
    enum doppel_stop why = DOPPEL_LIMIT;
    for (unsigned i = 0; !t->failed && i < millions * (1000000 / TALK_CHUNK); i++) {
        why = chunk(t);
        if (why == DOPPEL_POWEROFF) {
            return true;
        }
        if (why != DOPPEL_LIMIT) {
            break;
        }
    }
    return fail(t, "no power-off", why == DOPPEL_LIMIT ? "" : "but another stop");
}

bool talk_type(struct talk *t, const char *text)
{
    for (; *text && !t->failed; text++) {
        char c = *text == '\n' ? '\r' : *text;
        if (!doppel_post_input(t->vm, "com1.rx", &c, 1)) {
            return fail(t, "cannot type", text);
        }
        run_chunk(t);
    }
    return !t->failed;
}

bool talk_press(struct talk *t, const char *key)
{
    unsigned code = doppel_key_code(key);
    for (unsigned down = 2; !t->failed && down-- > 0;) {
        if (!code || !doppel_key_event(t->vm, code, down)) {
            return fail(t, "cannot press", key);
        }
        for (unsigned i = 0; i < KEY_CHUNKS && run_chunk(t); i++) {
        }
    }
    return !t->failed;
}

/* --- Whole scripts --- */

static bool play(struct talk *t, const struct talk_setup *setup, unsigned save_at,
                 bool (*script)(struct talk *t))
{
    return talk_open(t, setup, save_at) && script(t) && !t->failed;
}

static void report(struct talk *t)
{
    printf("  %" PRIu64 " million instructions, digest %016" PRIx64 "\n",
           doppel_icount(t->vm) / 1000000, doppel_digest(t->vm));
}

bool talk_twice(const struct talk_setup *setup, bool (*script)(struct talk *t))
{
    struct talk a, b;
    struct boot_record log;
    bool first = talk_open(&a, setup, 0);
    if (first) {
        boot_record_start(&log, a.vm, setup->recorded);
    }
    if (!first || !script(&a) || a.failed) {
        talk_close(&a);
        return false;
    }
    report(&a);
    unsigned save_at = a.chunks * (setup->save_percent ? setup->save_percent : 50) / 100;
    bool ok = play(&b, setup, save_at, script) &&
              EXPECT_EQ(doppel_icount(b.vm), doppel_icount(a.vm)) && EXPECT_STR(b.text, a.text) &&
              EXPECT_EQ(doppel_digest(b.vm), doppel_digest(a.vm));
    talk_close(&b);
    boot_record_finish(&log, &a.vm, "jit");
    talk_close(&a);
    return ok;
}
