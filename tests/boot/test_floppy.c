/*
 * Linux's floppy driver on the 82077AA: it finds the controller, probes the diskette's format by
 * data rate, reads all of it and writes all of it. Twice, the second time saved and loaded in the
 * middle of the transfers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

enum { BYTES = 737280 };

static bool script(struct talk *t)
{
    return talk_wait_off(t, 30000) && EXPECT(strstr(t->text, "floppy: read")) &&
           EXPECT(strstr(t->text, "floppy: written")) &&
           EXPECT(strstr(t->text, "Floppy drive(s): fd0 is 1.44M")) &&
           EXPECT(strstr(t->text, "FDC 0 is a post-1991 82077"));
}

static void check(const char *diskette)
{
    char kernel[4096], initrd[4096], drive[4200];
    snprintf(kernel, sizeof kernel, "%s", guest_path("vmlinuz-", "686"));
    snprintf(initrd, sizeof initrd, "%s", guest_path("initrd-floppy-", "686"));
    snprintf(drive, sizeof drive, "file=%s,format=raw,if=floppy,snapshot=on", diskette);
    struct talk_setup setup = {.kernel = kernel,
                               .initrd = initrd,
                               .append = "console=ttyS0 quiet panic=-1",
                               .ram_mib = 128,
                               .drive = {drive},
                               .save_percent = 80}; /* transfers are the last part of the run */
    talk_twice(&setup, script);
}

TEST(linux_floppy_driver)
{
    if (!guests_have("vmlinuz-686") || !guests_have("initrd-floppy-686")) {
        return;
    }
    char *data = malloc(BYTES + 16);
    size_t at = 0;
    for (unsigned i = 1; at < BYTES; i++) {
        at += (size_t)snprintf(data + at, 16, "%u\n", i);
    }
    char *path = dos_write_file("linux-floppy.img", data, BYTES);
    if (path) {
        check(path);
    }
    free(path);
    free(data);
}
