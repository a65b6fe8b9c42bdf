/*
 * A port that ends the machine: writing v makes doppel exit with (v << 1) | 1, as QEMU's
 * isa-debug-exit does. For test images.
 */
#include "hw/hw.h"
#include "mmu/aspace.h"

struct isa_debug_exit {
    struct dev dev;
    uint32_t iobase, iosize;
};

static uint64_t exit_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)d;
    (void)off;
    (void)size;
    return 0;
}

static void exit_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)off;
    (void)size;
    dev_request(d, DEV_REQ_EXIT, (uint32_t)val << 1 | 1);
}

static const struct io_ops exit_ops = {exit_read, exit_write, 1, 4};

static bool exit_init(struct dev *d, struct err *e)
{
    struct isa_debug_exit *x = (struct isa_debug_exit *)d;
    if (x->iobase + x->iosize > 0x10000) {
        return err_set(e, "iobase=0x%x, iosize=%u: ports end at 0xffff", (unsigned)x->iobase,
                       (unsigned)x->iosize);
    }
    aspace_map_io(d->env->io, x->iobase, x->iosize, &exit_ops, d, d->name, 0);
    return true;
}

static const struct prop exit_props[] = {
    {"iobase", PROP_U32, offsetof(struct isa_debug_exit, iobase), "0x501", 0, 0xffff, "I/O port"},
    {"iosize", PROP_U32, offsetof(struct isa_debug_exit, iosize), "2", 1, 8, "number of ports"},
    {0},
};

const struct dev_class isa_debug_exit_class = {
    .name = "isa-debug-exit",
    .help = "a write ends the machine with (value << 1) | 1",
    .size = sizeof(struct isa_debug_exit),
    .props = exit_props,
    .init = exit_init,
};
