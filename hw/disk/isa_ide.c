/*
 * An IDE channel on the ISA bus: an address decoder and an interrupt line, no bus master.
 *
 * Source: ATA-1 (X3.221), annex on the PC/AT interface.
 */
#include "hw/disk/ide.h"
#include "hw/hw.h"
#include "mmu/aspace.h"

#define ISA_IDE_STATE(S, V, A, N) N(S, ide_chan_state, chan, 1, 1)
ST_DECLARE(isa_ide_state, ISA_IDE_STATE);
ST_DESCRIBE(isa_ide_state, ISA_IDE_STATE, 1);

struct isa_ide {
    struct dev dev;
    struct isa_ide_state s;
    struct ide_chan chan;
    struct ide_conf conf[2];
    uint32_t iobase, iobase2;
};

static void intrq(struct ide_chan *c, bool level)
{
    dev_pin_set(c->dev, 0, level);
}

static uint64_t command_read(struct dev *d, uint64_t off, unsigned size)
{
    return ide_ports_read(&((struct isa_ide *)d)->chan, (unsigned)off, size);
}

static void command_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    ide_ports_write(&((struct isa_ide *)d)->chan, (unsigned)off, size, (uint32_t)val);
}

static uint64_t control_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    (void)size;
    return ide_alt_status(&((struct isa_ide *)d)->chan);
}

static void control_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)off;
    (void)size;
    ide_control(&((struct isa_ide *)d)->chan, (uint8_t)val);
}

static const struct io_ops command_ops = {command_read, command_write, 1, 4};
static const struct io_ops control_ops = {control_read, control_write, 1, 1};

static bool isa_ide_init(struct dev *d, struct err *e)
{
    struct isa_ide *p = (struct isa_ide *)d;
    p->chan.intrq = intrq;
    if (!ide_init(&p->chan, d, p->s.chan, p->conf, e)) {
        return false;
    }
    aspace_map_io(d->env->io, p->iobase, 8, &command_ops, d, d->name, 0);
    aspace_map_io(d->env->io, p->iobase2, 1, &control_ops, d, d->name, 0);
    return true;
}

static void isa_ide_reset(struct dev *d, enum reset_kind kind)
{
    ide_reset(&((struct isa_ide *)d)->chan, kind);
}

static void isa_ide_restored(struct dev *d)
{
    ide_restored(&((struct isa_ide *)d)->chan);
}

static const struct prop isa_ide_props[] = {
    {"iobase", PROP_U32, offsetof(struct isa_ide, iobase), "0x1f0", 0, 0xfff8, "first port"},
    {"iobase2", PROP_U32, offsetof(struct isa_ide, iobase2), "0x3f6", 0, 0xffff, "control port"},
    IDE_PROPS(isa_ide, 0),
    IDE_PROPS(isa_ide, 1),
    {0},
};
static const char *const isa_ide_out[] = {"irq", NULL};

const struct dev_class isa_ide_class = {
    .name = "isa-ide",
    .help = "IDE channel on the ISA bus",
    .size = sizeof(struct isa_ide),
    .state_off = offsetof(struct isa_ide, s),
    .state = &isa_ide_state_desc,
    .props = isa_ide_props,
    .pins_out = isa_ide_out,
    .init = isa_ide_init,
    .reset = isa_ide_reset,
    .restored = isa_ide_restored,
};
