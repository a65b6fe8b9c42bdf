/*
 * Whatever the engine does, the run is the same: compute kernels, SeaBIOS with DOS and the start
 * of a Debian kernel on two vCPUs end in the digest that the interpreter gives, in each way that
 * compiled code can be run, chaos and lockstep among them; all of them saved at the same random
 * instants and gone on with in a new machine.
 *
 * T_SEED: another seed of chaos and of the instants. T_LEVEL long: to the boot's end, more kernels
 * and seeds.
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

enum { CUTS = 4 };

static struct doppel_vm *make(const struct doppel_options *o)
{
    struct doppel_error e;
    struct doppel_vm *vm = doppel_create(o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

/* The machine as it is, in a new one. */
static struct doppel_vm *move_on(struct doppel_vm *vm, const struct doppel_options *o)
{
    uint8_t *data = NULL;
    size_t len = 0;
    struct doppel_error e;
    EXPECT(doppel_save(vm, &data, &len));
    doppel_destroy(vm);
    vm = make(o);
    if (vm && data && !doppel_load(vm, data, len, &e)) {
        FAIL("load: %s", e.msg);
    }
    free(data);
    return vm;
}

/* Run to `limit` under `engine`, cut at instants that follow from `seed`; the digest at the end. */
static uint64_t run(struct doppel_options *o, const char *engine, uint64_t limit, uint64_t seed)
{
    struct t_rng rng = {seed};
    o->engine = engine;
    struct doppel_vm *vm = make(o);
    enum doppel_stop stop = DOPPEL_LIMIT;
    for (unsigned k = 0; vm && k <= CUTS && stop == DOPPEL_LIMIT; k++) {
        uint64_t left = limit - doppel_icount(vm);
        uint64_t to = k == CUTS ? limit : doppel_icount(vm) + 1 + t_rand_below(&rng, left / 2);
        stop = doppel_run(vm, to);
        if (stop == DOPPEL_LIMIT && k < CUTS) {
            vm = move_on(vm, o);
        }
    }
    if (!vm) {
        return 0;
    }
    if (stop == DOPPEL_FAILED) {
        FAIL("%s", doppel_failure(vm));
    }
    uint64_t digest = doppel_digest(vm);
    doppel_destroy(vm);
    return digest;
}

/* All ways against the interpreter. */
static void compare(struct doppel_options *o, const char *what, uint64_t limit)
{
    static const char *const engines[] = {
        "jit",
        "jit,threshold=1",
        "jit,threshold=1,links=off",
        "jit,threshold=1,maxblock=1",
        "jit,threshold=1,super=1",
        "jit,threshold=1,buffer=256",
        "jit,threshold=1,count=on",
        "lockstep,threshold=4",
    };
    uint64_t seed = t_seed(), want = run(o, "interp", limit, seed);
    for (unsigned k = 0; k < sizeof engines / sizeof engines[0]; k++) {
        t_context("%s, %s, left is its digest, right the interpreter's", what, engines[k]);
        EXPECT_EQ(run(o, engines[k], limit, seed), want);
    }
    for (uint64_t k = 0; k < t_amount(1, 3, 50); k++) {
        char engine[64];
        snprintf(engine, sizeof engine, "%s,chaos=%" PRIu64, k % 3 == 2 ? "lockstep" : "jit",
                 seed + k);
        t_context("%s, %s, left is its digest, right the interpreter's", what, engine);
        EXPECT_EQ(run(o, engine, limit, seed), want);
    }
}

static void options(struct doppel_options *o)
{
    doppel_options_init(o, DOPPEL_ABI);
    o->ram_bytes = 128u << 20;
    o->serial[0] = "null";
    o->rtc_epoch = 1700000000;
    o->seed = 1;
    o->no_reboot = true;
}

/* Integer, x87, SSE, paging, interrupts. */
TEST(engines_compute)
{
    struct doppel_options o;
    options(&o);
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!EXPECT(here >= 0 && chdir(t_build_path("tests/boot")) == 0)) {
        return;
    }
    o.kernel = "compute.bin";
    o.device[o.ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=1";
    compare(&o, "compute", t_amount(3000000, 20000000, 400000000));
    EXPECT(fchdir(here) == 0);
    close(here);
}

/* SeaBIOS and FreeDOS from a floppy: code of 16 bits in segments, with switches to protected mode.
 */
TEST(engines_dos)
{
    const char *floppy = dos_possible() ? dos_shared_image("freedos722.img") : NULL;
    if (!floppy) {
        return;
    }
    struct doppel_options o;
    char drive[4200];
    snprintf(drive, sizeof drive, "file=%s,format=raw,if=floppy,index=0,snapshot=on", floppy);
    options(&o);
    o.drive[o.ndrives++] = drive;
    o.ram_bytes = 16u << 20;
    compare(&o, "dos", t_amount(3000000, 16000000, 60000000));
}

static void compare_linux(const char *what, const char *name, const char *arch, unsigned cpus,
                          uint64_t limit)
{
    if (!guests_present(name)) {
        return;
    }
    struct doppel_options o;
    options(&o);
    char *kernel = strdup(guest_path("vmlinuz-", name));
    char *initrd = strdup(guest_path("initrd-test-", arch));
    o.kernel = kernel;
    o.initrd = initrd;
    o.append = "console=ttyS0 panic=-1";
    o.cpus = cpus;
    o.ram_bytes = 256u << 20;
    compare(&o, what, limit);
    free(kernel);
    free(initrd);
}

/* Debian's cloud kernel: paging, interrupts, faults, code that patches itself, two vCPUs. It
 * unpacks itself for the first 160 million instructions. */
TEST(engines_linux)
{
    compare_linux("cloud, 2 vCPUs", "cloud", "amd64", 2, t_amount(2000000, 190000000, 3000000000));
}

/* The same whole with one vCPU, and 32 bits with one and two: at T_LEVEL long alone. */
TEST(engines_linux_more)
{
    if (t_amount(0, 0, 1)) {
        compare_linux("cloud", "cloud", "amd64", 1, 3000000000);
        compare_linux("686-pae", "686-pae", "i386", 1, 8000000000);
        compare_linux("686-pae, 2 vCPUs", "686-pae", "i386", 2, 8000000000);
    }
}
