/*
 * CDs and floppies of Debian packages through SeaBIOS, seen on the screen: GRUB's rescue CD
 * (El Torito, no emulation) and floppy to their menu, memtest86+ of both widths at work.
 * Each runs twice, the second time saved half way and loaded into another machine: same digest.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doppel.h"
#include "tests/boot/dos.h"
#include "tests/t.h"

#define CHUNK UINT64_C(5000000)
#define LIMIT UINT64_C(4000000000)

static struct doppel_vm *start(const char *image, char *drive, size_t size, bool cdrom)
{
    struct doppel_options o;
    struct doppel_error e;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.ram_bytes = UINT64_C(64) << 20;
    snprintf(drive, size, "file=%s,format=raw,%s", image,
             cdrom ? "media=cdrom" : "if=floppy,snapshot=on");
    o.drive[o.ndrives++] = drive;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

static bool shows(struct doppel_vm *vm, const char *text)
{
    char *screen = doppel_screen_text(vm);
    bool yes = screen && strstr(screen, text);
    free(screen);
    return yes;
}

/* Run until the screen shows `text`; the count, or 0 after a report. */
static uint64_t run_to(struct doppel_vm *vm, const char *image, const char *text)
{
    for (uint64_t at = CHUNK; at <= LIMIT; at += CHUNK) {
        if (doppel_run(vm, at) != DOPPEL_LIMIT) {
            break;
        }
        if (shows(vm, text)) {
            return at;
        }
    }
    char *screen = doppel_screen_text(vm);
    FAIL("no \"%s\" within %" PRIu64 " instructions; the screen:\n%s\nby hand: doppel run -m 64 %s",
         text, LIMIT, screen ? screen : "(graphics)", image);
    free(screen);
    return 0;
}

static void boots(const char *image, bool cdrom, const char *text)
{
    char drive[4200];
    if (!dos_possible() || !dos_need(image, "grub-rescue-pc or memtest86+")) {
        return;
    }
    struct doppel_vm *a = start(image, drive, sizeof drive, cdrom);
    uint64_t count = a ? run_to(a, image, text) : 0;
    if (count) {
        struct doppel_vm *b = start(image, drive, sizeof drive, cdrom);
        struct doppel_vm *c = start(image, drive, sizeof drive, cdrom);
        struct doppel_error e;
        uint8_t *data;
        size_t len;
        EXPECT_EQ(doppel_run(b, count / 2), DOPPEL_LIMIT);
        doppel_save(b, &data, &len);
        if (!EXPECT(doppel_load(c, data, len, &e))) {
            FAIL("%s", e.msg);
        }
        free(data);
        EXPECT_EQ(doppel_run(b, count), DOPPEL_LIMIT);
        EXPECT_EQ(doppel_run(c, count), DOPPEL_LIMIT);
        uint64_t digest = doppel_digest(a);
        printf("  %" PRIu64 " million instructions, digest %016" PRIx64 "\n", count / 1000000,
               digest);
        EXPECT_EQ(doppel_digest(b), doppel_digest(c));
        EXPECT(shows(c, text));
        doppel_destroy(b);
        doppel_destroy(c);
        /* A save flushes TLBs, which a guest may notice: the unsaved run is compared with its like.
         */
        struct doppel_vm *d = start(image, drive, sizeof drive, cdrom);
        EXPECT_EQ(doppel_run(d, count), DOPPEL_LIMIT);
        EXPECT_EQ(doppel_digest(d), digest);
        doppel_destroy(d);
    }
    doppel_destroy(a);
}

TEST(rescue_grub_cd)
{
    boots("/usr/lib/grub-rescue/grub-rescue-cdrom.iso", true, "Press enter to boot the selected");
}

TEST(rescue_grub_floppy)
{
    boots("/usr/lib/grub-rescue/grub-rescue-floppy.img", false, "Press enter to boot the selected");
}

TEST(rescue_memtest_32)
{
    boots("/usr/lib/memtest86+/memtest86+ia32.iso", true, "Errors: 0");
}

TEST(rescue_memtest_64)
{
    boots("/usr/lib/memtest86+/memtest86+x64.iso", true, "Errors: 0");
}
