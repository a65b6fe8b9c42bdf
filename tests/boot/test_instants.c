/*
 * Saved at random instants: a machine that is saved wherever it is, and one that is loaded from
 * that, are the same machine from there on. One boot is stopped again and again; at each instant it
 * is saved (as bytes, or as a snapshot by name that builds on the one before), loaded into another
 * machine, and both run on for a while, with the same input, to the same digest.
 *
 * Half of the instants are looked for: a disk in the middle of a DMA transfer, of a command, of a
 * block by PIO; a diskette that is being read. The other machine is a new one, or the one that was
 * loaded before, with all that it did since. T_SEED is where the instants come from; T_LEVEL=long
 * has a thousand of them, in fifty boots.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/dev.h"
#include "doppel.h"
#include "hw/disk/fdc.h"
#include "hw/disk/ide.h"
#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/t.h"
#include "vm/vm.h"

enum { HUNT_STEP = 997, TEXT = 4200 };

/* What a device can be in the middle of. */
enum busy {
    BUSY_IDE_COMMAND = 1,
    BUSY_IDE_PIO = 2,
    BUSY_IDE_DMA = 4,
    BUSY_FLOPPY = 8,
};

struct subject {
    const char *name;
    unsigned cpus, ram_mib;
    char drive[TEXT], kernel[TEXT], initrd[TEXT]; /* "": none */
    uint64_t begin, end;                          /* where instants are */
    uint64_t beyond;                              /* how far both run on, at most */
    uint64_t hunt; /* instructions that are looked through for a busy device, at most */
    unsigned must; /* kinds of busy that must have been found, if there were enough instants */
};

struct counts {
    unsigned instants, fresh, named, busy[4];
};

static struct doppel_vm *make(const struct subject *s, const char *engine, const char *folder)
{
    struct doppel_options o;
    struct doppel_error e = {"", false};
    doppel_options_init(&o, DOPPEL_ABI);
    o.cpus = s->cpus;
    o.ram_bytes = (uint64_t)s->ram_mib << 20;
    o.kernel = s->kernel[0] ? s->kernel : NULL;
    o.initrd = s->initrd[0] ? s->initrd : NULL;
    o.append = o.kernel ? "console=ttyS0 console=tty0 panic=-1" : NULL;
    if (s->drive[0]) {
        o.drive[o.ndrives++] = s->drive;
    }
    o.serial[0] = "null";
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.no_reboot = true;
    o.engine = engine;
    o.snapshot_dir = folder;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s: %s", s->name, e.msg);
    }
    return vm;
}

/* The phases of an IDE controller's units, wherever in its table they are. */
static unsigned busy_ide(const struct st_desc *d, const uint8_t *state)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < d->nfields; i++) {
        const struct st_field *f = &d->fields[i];
        for (uint32_t k = 0; f->sub && k < f->count; k++) {
            busy |= busy_ide(f->sub, state + f->off + k * f->size);
        }
        if (strcmp(f->name, "phase") == 0) {
            uint8_t phase = state[f->off];
            busy |= phase == IDE_PH_IDLE                                ? 0
                    : phase == IDE_PH_DMA                               ? BUSY_IDE_DMA
                    : phase == IDE_PH_PIO_IN || phase == IDE_PH_PIO_OUT ? BUSY_IDE_PIO
                                                                        : BUSY_IDE_COMMAND;
        }
    }
    return busy;
}

/* Which devices are in the middle of something. */
static unsigned busy_now(const struct doppel_vm *vm)
{
    const struct dev *ide = dev_find(&vm->env, "ide"), *fdc = dev_find(&vm->env, "fdc0");
    unsigned busy = busy_ide(ide->cls->state, (const uint8_t *)ide + ide->cls->state_off);
    return busy | (((const struct fdc *)fdc)->s.phase == FDC_EXEC ? BUSY_FLOPPY : 0);
}

/* To where one of `kinds` is busy, if that is not far. */
static void hunt(struct doppel_vm *vm, unsigned kinds, uint64_t most)
{
    uint64_t end = doppel_icount(vm) + most;
    while (doppel_icount(vm) < end && !(busy_now(vm) & kinds)) {
        if (doppel_run(vm, doppel_icount(vm) + HUNT_STEP) != DOPPEL_LIMIT) {
            break;
        }
    }
}

/* Save `a` here and load it into `b`. */
static bool hand_over(struct doppel_vm *a, struct doppel_vm *b, const char *name)
{
    struct doppel_error e = {"", false};
    uint8_t *data = NULL;
    size_t len = 0;
    bool ok;
    if (name) {
        ok = doppel_snapshot_save(a, name, 0, &e) && doppel_snapshot_load(b, name, &e);
    } else {
        ok = doppel_save(a, &data, &len) && doppel_load(b, data, len, &e);
    }
    free(data);
    if (!ok) {
        FAIL("%s", e.msg);
    }
    return ok;
}

/* Both from here on, with something typed. */
static bool same_from_here(struct doppel_vm *a, struct doppel_vm *b, uint64_t count, bool typed)
{
    uint64_t end = doppel_icount(a) + count;
    bool ok = EXPECT_EQ(doppel_icount(b), doppel_icount(a)) &&
              EXPECT_EQ(doppel_vtime(b), doppel_vtime(a)) &&
              EXPECT_EQ(doppel_digest(b), doppel_digest(a));
    if (ok && typed) {
        EXPECT(doppel_post_input(a, "com1.rx", "x", 1));
        EXPECT(doppel_post_input(b, "com1.rx", "x", 1));
    }
    ok = ok && EXPECT_EQ(doppel_run(b, end), doppel_run(a, end));
    return ok && EXPECT_EQ(doppel_icount(b), doppel_icount(a)) &&
           EXPECT_EQ(doppel_vtime(b), doppel_vtime(a)) &&
           EXPECT_EQ(doppel_digest(b), doppel_digest(a));
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void one_instant(const struct subject *s, struct doppel_vm *a, struct doppel_vm **b,
                        const char *folder, struct t_rng *rng, struct counts *n, bool *failed)
{
    static const char *const names[] = {"one", "two", "three"};
    unsigned dice = (unsigned)t_rand(rng);
    if (dice & 1) {
        hunt(a, dice & 2 ? s->must : s->must & ~BUSY_IDE_COMMAND, s->hunt);
    }
    if (dice & 4 || !*b) {
        doppel_destroy(*b);
        *b = make(s, dice & 8 ? "interp" : "jit", folder);
        n->fresh++;
    }
    const char *name = dice & 16 ? names[(dice >> 5) % 3] : NULL;
    unsigned busy = busy_now(a);
    t_context("%s, %" PRIu64 " instructions, %s%s%s, busy with %#x", s->name, doppel_icount(a),
              name ? "snapshot " : "as bytes", name ? name : "", dice & 4 ? ", a new machine" : "",
              busy);
    n->instants++;
    n->named += name != NULL;
    for (unsigned i = 0; i < 4; i++) {
        n->busy[i] += busy >> i & 1;
    }
    /* The interpreter has a tenth of the way to go. */
    uint64_t count = 1 + t_rand_below(rng, dice & 8 ? s->beyond / 10 : s->beyond);
    *failed = !*b || !hand_over(a, *b, name) || !same_from_here(a, *b, count, dice & 256);
}

static void remove_folder(const char *folder)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    EXPECT_EQ(system(command), 0);
}

/* One boot with `count` instants; what the machine was in the middle of is added to `busy`. */
static void pass(const struct subject *s, uint64_t count, struct t_rng *rng, unsigned busy[4])
{
    char folder[] = "/tmp/doppel-instants-XXXXXX";
    struct counts n = {0};
    uint64_t *at = calloc(count, sizeof *at);
    if (!EXPECT(at && mkdtemp(folder))) {
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        at[i] = s->begin + t_rand_below(rng, s->end - s->begin);
    }
    qsort(at, count, sizeof *at, ascending);
    struct doppel_vm *a = make(s, "jit", folder), *b = NULL;
    bool failed = !a;
    for (uint64_t i = 0; i < count && !failed; i++) {
        if (doppel_icount(a) < at[i] && doppel_run(a, at[i]) != DOPPEL_LIMIT) {
            break; /* powered off */
        }
        one_instant(s, a, &b, folder, rng, &n, &failed);
    }
    printf("  %s: %u instants, %u by name, %u new machines; a disk busy at %u, with PIO at %u, "
           "with DMA at %u, a diskette at %u\n",
           s->name, n.instants, n.named, n.fresh, n.busy[0], n.busy[1], n.busy[2], n.busy[3]);
    EXPECT(n.instants == count || failed);
    for (unsigned i = 0; i < 4; i++) {
        busy[i] += n.busy[i];
    }
    doppel_destroy(a);
    doppel_destroy(b);
    free(at);
    remove_folder(folder);
}

static void instants(const struct subject *s, uint64_t passes, uint64_t count)
{
    struct t_rng rng = {t_seed()};
    unsigned busy[4] = {0};
    for (uint64_t i = 0; i < passes; i++) {
        pass(s, count, &rng, busy);
    }
    for (unsigned i = 0; i < 4 && passes * count >= 10; i++) { /* what was looked for was found */
        t_context("%s: kind %u", s->name, i);
        EXPECT(busy[i] || !(s->must >> i & 1));
    }
}

TEST(freedos_from_a_floppy)
{
    struct subject s = {.name = "FreeDOS",
                        .cpus = 1,
                        .ram_mib = 16,
                        .end = 15500000,
                        .beyond = 1000000,
                        .hunt = 2000000,
                        .must = BUSY_FLOPPY};
    const char *image = dos_possible() ? dos_shared_image("freedos722.img") : NULL;
    if (image) {
        snprintf(s.drive, TEXT, "file=%s,format=raw,if=floppy,snapshot=on", image);
        instants(&s, t_amount(1, 1, 20), t_amount(4, 12, 20));
    }
}

/* tests/boot/test_powercut.c's guest, which writes to an ext4 disk. */
TEST(linux_writes_to_a_disk)
{
    struct subject s = {.name = "ext4, 2 CPUs",
                        .cpus = 2,
                        .ram_mib = 128,
                        .begin = 1750000000,
                        .end = UINT64_C(2150000000),
                        .beyond = 10000000,
                        .hunt = 30000000,
                        .must = BUSY_IDE_COMMAND | BUSY_IDE_DMA};
    if (!guests_present("cloud") || !guests_have("powercut.img") ||
        !guests_have("initrd-powercut")) {
        return;
    }
    snprintf(s.drive, TEXT, "file=%s,format=raw,snapshot=on", guest_path("", "powercut.img"));
    snprintf(s.kernel, TEXT, "%s", guest_path("vmlinuz-", "cloud"));
    snprintf(s.initrd, TEXT, "%s", guest_path("initrd-", "powercut"));
    instants(&s, t_amount(1, 1, 15), t_amount(3, 14, 20));
}

TEST(debian_on_four_cpus)
{
    struct subject s = {.name = "Debian's cloud kernel, 4 CPUs",
                        .cpus = 4,
                        .ram_mib = 128,
                        .end = 500000000,
                        .beyond = 20000000,
                        .hunt = 0};
    if (!guests_present("cloud")) {
        return;
    }
    snprintf(s.kernel, TEXT, "%s", guest_path("vmlinuz-", "cloud"));
    snprintf(s.initrd, TEXT, "%s", guest_path("initrd-test-", "amd64"));
    instants(&s, t_amount(1, 1, 15), t_amount(3, 10, 20));
}
