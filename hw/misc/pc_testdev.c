/*
 * The test device that kvm-unit-tests expects on a PC: ports that give back what was written (0xe0
 * by any size, 0xe8 by whole values), interrupt lines (0x2000 + line, 0 or 1) and 64 KiB of
 * registers at 0xff000000 that remember. Port 0xe4 takes the address of a page to be dropped from
 * the host's tables, which nobody here can see.
 *
 * Source: kvm-unit-tests, lib/x86 and x86/ (ioapic, emulator, memory tests use it).
 */
#include "hw/hw.h"

#include <string.h>

#include "mmu/aspace.h"
#include "util/bits.h"

enum { LINES = 16, LINE_PORTS = 24, MEM = 0x10000 };

#define PC_TESTDEV_STATE(S, V, A, N)                                                               \
    V(S, uint32_t, data, 1)                                                                        \
    A(S, uint8_t, mem, MEM, 1)

ST_DECLARE(pc_testdev_state, PC_TESTDEV_STATE);
ST_DESCRIBE(pc_testdev_state, PC_TESTDEV_STATE, 1);

struct pc_testdev {
    struct dev dev;
    struct pc_testdev_state s;
};

static struct pc_testdev_state *state(struct dev *d)
{
    return &((struct pc_testdev *)d)->s;
}

static uint64_t echo_read(struct dev *d, uint64_t off, unsigned size)
{
    return state(d)->data >> (8 * off) & bits_mask(8 * size);
}

static void echo_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    uint32_t mask = (uint32_t)(bits_mask(8 * size) << (8 * off));
    state(d)->data = (state(d)->data & ~mask) | ((uint32_t)(val << (8 * off)) & mask);
}

static uint64_t none_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)d;
    (void)off;
    return bits_mask(8 * size);
}

static void none_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)d;
    (void)off;
    (void)size;
    (void)val;
}

static void line_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    if (off < LINES) {
        dev_pin_set(d, (unsigned)off, val != 0);
    }
}

static uint64_t mem_read(struct dev *d, uint64_t off, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)state(d)->mem[(off + i) % MEM] << (8 * i);
    }
    return v;
}

static void mem_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    for (unsigned i = 0; i < size; i++) {
        state(d)->mem[(off + i) % MEM] = (uint8_t)(val >> (8 * i));
    }
}

static const struct io_ops echo_ops = {echo_read, echo_write, 1, 4};
static const struct io_ops none_ops = {none_read, none_write, 1, 4};
static const struct io_ops line_ops = {none_read, line_write, 1, 1};
static const struct io_ops mem_ops = {mem_read, mem_write, 1, 8};

static bool pc_testdev_init(struct dev *d, struct err *e)
{
    (void)e;
    aspace_map_io(d->env->io, 0xe0, 4, &echo_ops, d, d->name, 0);
    aspace_map_io(d->env->io, 0xe4, 4, &none_ops, d, d->name, 0);
    aspace_map_io(d->env->io, 0xe8, 4, &echo_ops, d, d->name, 1); /* above debugcon's port e9 */
    aspace_map_io(d->env->io, 0x2000, LINE_PORTS, &line_ops, d, d->name, 0);
    aspace_map_io(d->env->mem, 0xff000000, MEM, &mem_ops, d, d->name, 0);
    return true;
}

static void pc_testdev_reset(struct dev *d, enum reset_kind kind)
{
    (void)kind;
    memset(state(d), 0, sizeof *state(d));
    for (unsigned i = 0; i < LINES; i++) {
        dev_pin_set(d, i, false);
    }
}

static const char *const pc_testdev_out[] = {"isa0",  "isa1",  "isa2",  "isa3",  "isa4",  "isa5",
                                             "isa6",  "isa7",  "isa8",  "isa9",  "isa10", "isa11",
                                             "isa12", "isa13", "isa14", "isa15", NULL};

const struct dev_class pc_testdev_class = {
    .name = "pc-testdev",
    .help = "ports, memory and interrupt lines for kvm-unit-tests",
    .size = sizeof(struct pc_testdev),
    .state_off = offsetof(struct pc_testdev, s),
    .state = &pc_testdev_state_desc,
    .pins_out = pc_testdev_out,
    .init = pc_testdev_init,
    .reset = pc_testdev_reset,
};
