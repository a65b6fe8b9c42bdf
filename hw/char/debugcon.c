/*
 * The debug console of Bochs: a byte written to port 0xe9 appears on the host. Firmware probes for
 * it by reading the port, which gives 0xe9.
 *
 * Source: Bochs documentation, "port_e9_hack"; QEMU's isa-debugcon for the properties.
 */
#include "core/backend.h"
#include "hw/hw.h"
#include "mmu/aspace.h"

struct debugcon {
    struct dev dev;
    struct chr *chr;
    uint32_t iobase, readback;
};

static uint64_t debugcon_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    (void)size;
    return ((struct debugcon *)d)->readback;
}

static void debugcon_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    uint8_t byte = (uint8_t)val;
    (void)off;
    (void)size;
    chr_write(((struct debugcon *)d)->chr, &byte, 1);
}

static const struct io_ops debugcon_ops = {debugcon_read, debugcon_write, 1, 1};

static bool debugcon_init(struct dev *d, struct err *e)
{
    struct debugcon *c = (struct debugcon *)d;
    (void)e;
    aspace_map_io(d->env->io, c->iobase, 1, &debugcon_ops, d, d->name, 0);
    chr_attach(c->chr, d->env->gate, -1, NULL, NULL); /* output only */
    return true;
}

static const struct prop debugcon_props[] = {
    {"iobase", PROP_U32, offsetof(struct debugcon, iobase), "0xe9", 0, 0xffff, "I/O port"},
    {"readback", PROP_U32, offsetof(struct debugcon, readback), "0xe9", 0, 0xff, "value read"},
    {"chr", PROP_CHR, offsetof(struct debugcon, chr), NULL, 0, 0, "character back end"},
    {0},
};

const struct dev_class debugcon_class = {
    .name = "debugcon",
    .help = "debug console at port 0xe9",
    .size = sizeof(struct debugcon),
    .props = debugcon_props,
    .init = debugcon_init,
};
