/*
 * The boot test: see linux.h. A failing boot shows the end of the guest's text; with BOOT_SHOW in
 * the environment everything is shown as it comes.
 */
#include "tests/boot/linux.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/boot/record.h"
#include "tests/t.h"

enum { SHOWN = 1500 }; /* characters of the guest's text shown for a failure */

/* More than any of these boots takes (about 12e9); a hang ends here. */
#define BOOT_LIMIT UINT64_C(60000000000)

const char *guest_path(const char *prefix, const char *name)
{
    static char path[4096];
    const char *dir = getenv("GUESTS");
    snprintf(path, sizeof path, "%s/%s%s", dir != NULL ? dir : T_SRCDIR "/build/guests", prefix,
             name);
    return path;
}

static const char *arch_of(const char *kernel)
{
    return strncmp(kernel, "686", 3) == 0 ? "i386" : "amd64";
}

bool guests_have(const char *name)
{
    if (access(guest_path("", name), R_OK) == 0) {
        return true;
    }
    if (getenv("CI") != NULL) {
        FAIL("no guest's %s: tests/boot/guests.sh did not run", name);
    } else {
        SKIP("no guest kernels: run tests/boot/guests.sh build/guests");
    }
    return false;
}

bool guests_present(const char *kernel)
{
    char image[64], initrd[64];
    snprintf(image, sizeof image, "vmlinuz-%s", kernel);
    snprintf(initrd, sizeof initrd, "initrd-test-%s", arch_of(kernel));
    return guests_have(image) && guests_have(initrd);
}

static void hear(void *ctx, const uint8_t *data, size_t len)
{
    struct guest *g = ctx;
    if (getenv("BOOT_SHOW") != NULL) {
        fwrite(data, 1, len, stderr);
    }
    char *text = realloc(g->text, g->len + len + 1);
    if (text == NULL) {
        abort();
    }
    memcpy(text + g->len, data, len);
    text[g->len + len] = '\0';
    g->text = text;
    g->len += len;
}

bool guest_open(struct guest *g, const char *kernel, unsigned cpus, const char *engine)
{
    struct doppel_options o;
    struct doppel_error e;
    memset(g, 0, sizeof *g);
    doppel_options_init(&o, DOPPEL_ABI);
    char *image = strdup(guest_path("vmlinuz-", kernel));
    char *initrd = strdup(guest_path("initrd-test-", arch_of(kernel)));
    o.kernel = image;
    o.initrd = initrd;
    o.append = getenv("BOOT_APPEND") ? getenv("BOOT_APPEND") : "console=ttyS0 quiet panic=-1";
    o.cpus = cpus;
    o.engine = engine;
    o.ram_bytes = 256u << 20;
    o.serial[0] = "null";
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.no_reboot = true;
    g->vm = doppel_create(&o, &e);
    free(image);
    free(initrd);
    if (g->vm == NULL) {
        FAIL("%s: %s", kernel, e.msg);
        return false;
    }
    g->text = calloc(1, 1);
    return EXPECT(doppel_serial_listen(g->vm, 0, hear, g));
}

void guest_close(struct guest *g)
{
    if (g->vm != NULL) {
        doppel_destroy(g->vm);
    }
    free(g->text);
    memset(g, 0, sizeof *g);
}

static const char *tail(const struct guest *g)
{
    return g->len > SHOWN ? g->text + g->len - SHOWN : g->text;
}

/* Runs to power-off; true if the guest's own tests passed. */
static bool run_to_end(struct guest *g)
{
    enum doppel_stop stop = doppel_run(g->vm, BOOT_LIMIT);
    bool ok = EXPECT_EQ(stop, DOPPEL_POWEROFF) && EXPECT(strstr(g->text, "BOOT TEST PASSED"));
    if (!ok) {
        FAIL("the guest's text ends:\n%s", tail(g));
    }
    return ok;
}

/* Runs `g` to `until`, in odd slices, and `other` a little between each two of them. */
static void run_beside(struct guest *g, struct guest *other, uint64_t until)
{
    uint64_t slice = 7654321;
    while (doppel_icount(g->vm) < until) {
        uint64_t next = doppel_icount(g->vm) + slice;
        if (doppel_run(g->vm, next < until ? next : until) != DOPPEL_LIMIT) {
            return;
        }
        if (other->vm != NULL && doppel_icount(other->vm) < 200000000) {
            doppel_run(other->vm, doppel_icount(other->vm) + 1234567);
        }
        slice = slice * 5 % 200000033 + 1;
    }
}

void boot_test(const char *kernel, unsigned cpus)
{
    if (!guests_present(kernel)) {
        return;
    }
    t_context("%s, %u CPUs", kernel, cpus);
    struct guest first, again, loaded, other;
    struct boot_record log;
    memset(&loaded, 0, sizeof loaded);
    memset(&other, 0, sizeof other);
    /* The interpreter takes five times as long: by hand always, otherwise with several vCPUs. */
    bool slow = t_amount(0, cpus > 1, 1);
    if (!guest_open(&first, kernel, cpus, slow ? "interp" : "jit") || !run_to_end(&first)) {
        guest_close(&first);
        return;
    }
    uint64_t count = doppel_icount(first.vm), digest = doppel_digest(first.vm);
    printf("  %s, %u CPUs: %" PRIu64 " million instructions, digest %016" PRIx64 "\n", kernel, cpus,
           count / 1000000, digest);

    /* The second run: compiled, beside another machine, and from half way on in a third one. */
    uint8_t *saved = NULL;
    size_t size = 0;
    struct doppel_error e;
    if (guest_open(&again, kernel, cpus, "jit") && guest_open(&other, kernel, 2, "jit")) {
        run_beside(&again, &other, count / 2 + 12345);
        EXPECT_EQ(doppel_icount(again.vm), count / 2 + 12345);
        doppel_save(again.vm, &saved, &size);
        if (guest_open(&loaded, kernel, cpus, "jit") && !doppel_load(loaded.vm, saved, size, &e)) {
            FAIL("load: %s", e.msg);
        } else {
            EXPECT_EQ(doppel_digest(loaded.vm), doppel_digest(again.vm));
            hear(&loaded, (const uint8_t *)again.text, again.len);
            guest_close(&again);
            boot_record_start(&log, loaded.vm, true);
            if (run_to_end(&loaded)) {
                EXPECT_EQ(doppel_icount(loaded.vm), count);
                EXPECT_STR(loaded.text, first.text);
                EXPECT_EQ(doppel_digest(loaded.vm), digest);
                boot_record_finish(&log, &loaded.vm, "jit");
            }
        }
    }
    free(saved);
    guest_close(&other);
    guest_close(&again);
    guest_close(&loaded);
    guest_close(&first);
}
