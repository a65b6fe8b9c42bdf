/*
 * The same run on every host: bounded runs whose digests must be equal on x86-64, aarch64, s390x
 * and riscv64. ./check runs this natively first (DIGESTS_OUT names the file to write), then in each
 * cross build under qemu-user (DIGESTS_IN names it). By itself it compares two runs cut into
 * different slices. T_LEVEL=long (make check-long, of a cross build too): a whole boot.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/t.h"

/* The digest recorded under `name`; false: there is none. */
static bool recorded(const char *name, uint64_t *digest)
{
    const char *path = getenv("DIGESTS_IN");
    FILE *f = path != NULL ? fopen(path, "r") : NULL;
    char word[64];
    bool found = false;
    while (f != NULL && !found && fscanf(f, "%63s %" SCNx64, word, digest) == 2) {
        found = strcmp(word, name) == 0;
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}

static void compare(const char *name, uint64_t digest)
{
    uint64_t want;
    const char *path = getenv("DIGESTS_OUT");
    FILE *f = path != NULL ? fopen(path, "a") : NULL;
    if (f != NULL) {
        fprintf(f, "%s %016" PRIx64 "\n", name, digest);
        fclose(f);
    }
    if (recorded(name, &want)) {
        t_context("%s: left is this host's digest, right the native one", name);
        EXPECT_EQ(digest, want);
    } else if (getenv("DIGESTS_IN") != NULL) {
        FAIL("%s: no digest recorded", name);
    }
}

/* Runs a new machine to `limit` instructions, or its end, in slices of `slice`; its digest. */
static uint64_t run(const struct doppel_options *o, uint64_t limit, uint64_t slice)
{
    struct doppel_error e;
    struct doppel_vm *vm = doppel_create(o, &e);
    if (vm == NULL) {
        FAIL("%s", e.msg);
        return 0;
    }
    enum doppel_stop stop = DOPPEL_LIMIT;
    while (stop == DOPPEL_LIMIT && doppel_icount(vm) < limit) {
        uint64_t next = doppel_icount(vm) + slice;
        stop = doppel_run(vm, next < limit ? next : limit);
    }
    uint64_t digest = doppel_digest(vm);
    doppel_destroy(vm);
    return digest;
}

static void options(struct doppel_options *o)
{
    doppel_options_init(o, DOPPEL_ABI);
    o->ram_bytes = 256u << 20;
    o->serial[0] = "null";
    o->rtc_epoch = 1700000000;
    o->seed = 1;
    o->no_reboot = true;
}

/* Integer, x87, SSE, paging, interrupts: the benchmark's kernels, to their end. */
TEST(digest_compute)
{
    struct doppel_options o;
    options(&o);
    /* Multiboot passes the kernel's path to the guest: it must be the same in every build. */
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!EXPECT(here >= 0 && chdir(t_build_path("tests/boot")) == 0)) {
        return;
    }
    o.kernel = "compute.bin";
    o.device[o.ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=1";
    uint64_t digest = run(&o, UINT64_C(2000000000), UINT64_C(1) << 40);
    if (getenv("DIGESTS_IN") == NULL) {
        EXPECT_EQ(run(&o, UINT64_C(2000000000), 777777), digest);
    }
    EXPECT(fchdir(here) == 0);
    close(here);
    compare("compute", digest);
}

/* FreeDOS from power-on to its prompt, through firmware. */
TEST(digest_freedos)
{
    const char *image = dos_possible() ? dos_shared_image("freedos722.img") : NULL;
    if (image == NULL) {
        return;
    }
    struct doppel_options o;
    char drive[4200];
    options(&o);
    snprintf(drive, sizeof drive, "file=%s,format=raw,if=floppy,snapshot=on", image);
    o.drive[o.ndrives++] = drive;
    compare("freedos", run(&o, UINT64_C(15500000), UINT64_C(1) << 40));
}

/* The file that one host writes and the others read: beside the digests. */
static FILE *open_saved(const char *digests, const char *how)
{
    char path[4200];
    snprintf(path, sizeof path, "%s.saved", digests);
    return fopen(path, how);
}

/* A machine saved here goes on there: FreeDOS starting, saved on the native host, loaded on each
 * of the others, with the digest that it has where it was saved. */
TEST(digest_saved_on_another_host)
{
    enum { AT = 14000000, END = 15500000, MOST = 64 << 20 };
    const char *image = dos_possible() ? dos_shared_image("freedos722.img") : NULL;
    const char *from = getenv("DIGESTS_IN"), *to = getenv("DIGESTS_OUT");
    struct doppel_options o;
    struct doppel_error e = {"", false};
    char drive[4200];
    if (image == NULL) {
        return;
    }
    options(&o);
    snprintf(drive, sizeof drive, "file=%s,format=raw,if=floppy,snapshot=on", image);
    o.drive[o.ndrives++] = drive;
    struct doppel_vm *vm = doppel_create(&o, &e);
    FILE *f = from ? open_saved(from, "rb") : to ? open_saved(to, "wb") : NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    if (from && f) {
        data = malloc(MOST);
        len = fread(data, 1, MOST, f);
        if (!EXPECT(vm && doppel_load(vm, data, len, &e))) {
            FAIL("%s", e.msg);
        }
    } else if (vm) {
        EXPECT_EQ(doppel_run(vm, AT), DOPPEL_LIMIT);
        EXPECT(doppel_save(vm, &data, &len));
        EXPECT(!f || fwrite(data, 1, len, f) == len);
    }
    if (f) {
        fclose(f);
    }
    compare("saved", vm ? doppel_digest(vm) : 0);
    EXPECT_EQ(doppel_run(vm, END), DOPPEL_LIMIT);
    compare("saved-and-gone-on", doppel_digest(vm));
    free(data);
    doppel_destroy(vm);
}

/* Debian's cloud kernel, to user space, its tests there, and power-off: natively both ways. */
TEST(digest_boot)
{
    if (t_amount(0, 0, 1) == 0) {
        SKIP("T_LEVEL=long runs it");
        return;
    }
    if (!guests_present("cloud")) {
        return;
    }
    struct doppel_options o;
    options(&o);
    char *kernel = strdup(guest_path("vmlinuz-", "cloud"));
    char *initrd = strdup(guest_path("initrd-test-", "amd64"));
    o.kernel = kernel;
    o.initrd = initrd;
    o.append = "console=ttyS0 panic=-1";
    uint64_t digest = run(&o, UINT64_C(1) << 40, UINT64_C(1) << 40);
    if (getenv("DIGESTS_IN") == NULL) {
        o.engine = "interp";
        EXPECT_EQ(run(&o, UINT64_C(1) << 40, UINT64_C(1) << 40), digest);
    }
    compare("boot", digest);
    free(kernel);
    free(initrd);
}

static void replay(const char *path, const char *engine)
{
    struct doppel_error e = {"", false};
    struct doppel_log *l = doppel_log_open(path, &e);
    if (l == NULL) {
        FAIL("%s", e.msg);
        return;
    }
    struct doppel_options r = *doppel_log_options(l);
    r.engine = engine;
    r.replay_verify = true;
    struct doppel_vm *vm = doppel_create(&r, &e);
    if (vm == NULL) {
        FAIL("%s", e.msg);
    } else if (!EXPECT_EQ(doppel_run(vm, DOPPEL_NO_LIMIT), DOPPEL_REPLAYED)) {
        FAIL("%s: %s", engine, doppel_failure(vm));
    }
    doppel_destroy(vm);
    doppel_log_close(l);
}

/* A recording made natively under the JIT, with somebody typing, is the same run here: under the
 * interpreter, and under the JIT where there is one. */
static void recorded_run(const struct doppel_options *o, uint64_t limit)
{
    struct doppel_error e = {"", false};
    const char *in = getenv("DIGESTS_IN"), *out = getenv("DIGESTS_OUT");
    char path[4096], spec[4200];
    snprintf(path, sizeof path, "%s.log", in ? in : out ? out : t_build_path("tests/boot/digests"));
    snprintf(spec, sizeof spec, "%s,compress=off", path);
    if (in == NULL) {
        struct doppel_vm *vm = doppel_create(o, &e);
        if (vm == NULL || !doppel_record_start(vm, spec, &e)) {
            FAIL("%s", e.msg);
        }
        for (unsigned i = 0; vm != NULL && doppel_icount(vm) < limit; i++) {
            doppel_run(vm, doppel_icount(vm) + 5000000);
            EXPECT(doppel_post_input(vm, "com1.rx", "typed", 1 + i % 5));
        }
        doppel_destroy(vm);
    }
    replay(path, "interp");
#if defined(__x86_64__) || defined(__aarch64__)
    replay(path, "jit");
#endif
    if (in == NULL && out == NULL) {
        unlink(path);
    }
}

/* The start of Debian's cloud kernel on two vCPUs. */
TEST(digest_linux)
{
    if (!guests_present("cloud")) {
        return;
    }
    struct doppel_options o;
    options(&o);
    char *kernel = strdup(guest_path("vmlinuz-", "cloud"));
    char *initrd = strdup(guest_path("initrd-test-", "amd64"));
    o.kernel = kernel;
    o.initrd = initrd;
    o.append = "console=ttyS0 panic=-1";
    o.cpus = 2;
    uint64_t limit = UINT64_C(60000000);
    uint64_t digest = run(&o, limit, UINT64_C(1) << 40);
    if (getenv("DIGESTS_IN") == NULL) {
        EXPECT_EQ(run(&o, limit, 333333), digest);
    }
    compare("linux", digest);
    recorded_run(&o, UINT64_C(70000000));
    free(kernel);
    free(initrd);
}
