/*
 * Linux's floppy driver on the 82077AA: it finds the controller, probes the diskette's format by
 * data rate, reads all of it and writes all of it. Twice, the second time saved and loaded in the
 * middle of the transfers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/t.h"

enum { BYTES = 737280, TEXT = 20000 };
#define LIMIT UINT64_C(30000000000)

struct run {
    struct doppel_vm *vm;
    char text[TEXT];
    size_t len;
};

static void hear(void *ctx, const uint8_t *data, size_t len)
{
    struct run *r = ctx;
    for (size_t i = 0; i < len && r->len + 1 < TEXT; i++) {
        r->text[r->len++] = (char)data[i];
    }
}

static bool make(struct run *r, const char *diskette)
{
    struct doppel_options o;
    struct doppel_error e;
    char kernel[4096], initrd[4096], drive[4200];
    snprintf(kernel, sizeof kernel, "%s", guest_path("vmlinuz-", "686"));
    snprintf(initrd, sizeof initrd, "%s", guest_path("initrd-floppy-", "686"));
    snprintf(drive, sizeof drive, "file=%s,format=raw,if=floppy,snapshot=on", diskette);
    doppel_options_init(&o, DOPPEL_ABI);
    o.kernel = kernel;
    o.initrd = initrd;
    o.append = "console=ttyS0 quiet panic=-1";
    o.serial[0] = "null";
    o.drive[o.ndrives++] = drive;
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.no_reboot = true;
    r->vm = doppel_create(&o, &e);
    if (!r->vm) {
        FAIL("%s", e.msg);
        return false;
    }
    return EXPECT(doppel_serial_listen(r->vm, 0, hear, r));
}

static bool run_to_end(struct run *r)
{
    bool ok = EXPECT_EQ(doppel_run(r->vm, LIMIT), DOPPEL_POWEROFF) &&
              EXPECT(strstr(r->text, "floppy: read")) &&
              EXPECT(strstr(r->text, "floppy: written")) &&
              EXPECT(strstr(r->text, "Floppy drive(s): fd0 is 1.44M")) &&
              EXPECT(strstr(r->text, "FDC 0 is a post-1991 82077"));
    if (!ok) {
        FAIL("the guest said:\n%s", r->text);
    }
    return ok;
}

static void check(const char *diskette)
{
    static struct run a, b;
    struct doppel_error e;
    uint8_t *saved = NULL;
    size_t size;
    if (!make(&a, diskette) || !run_to_end(&a)) {
        doppel_destroy(a.vm);
        return;
    }
    uint64_t count = doppel_icount(a.vm), digest = doppel_digest(a.vm);
    printf("  %" PRIu64 " million instructions, digest %016" PRIx64 "\n", count / 1000000, digest);
    /* The transfers are the last part of the run. */
    if (make(&b, diskette) && EXPECT_EQ(doppel_run(b.vm, count / 10 * 8), DOPPEL_LIMIT)) {
        doppel_save(b.vm, &saved, &size);
        doppel_destroy(b.vm);
        if (make(&b, diskette) && EXPECT(doppel_load(b.vm, saved, size, &e)) && run_to_end(&b)) {
            EXPECT_EQ(doppel_icount(b.vm), count);
            EXPECT_EQ(doppel_digest(b.vm), digest);
            EXPECT_STR(b.text, a.text);
        }
    }
    free(saved);
    doppel_destroy(b.vm);
    doppel_destroy(a.vm);
}

TEST(linux_floppy_driver)
{
    if (access(guest_path("vmlinuz-", "686"), R_OK) != 0 ||
        access(guest_path("initrd-floppy-", "686"), R_OK) != 0) {
        if (getenv("CI") != NULL) {
            FAIL("no guest kernels: tests/boot/guests.sh did not run");
        } else {
            SKIP("no guest kernels: run tests/boot/guests.sh build/guests");
        }
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
