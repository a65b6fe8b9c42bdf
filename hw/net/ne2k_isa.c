/*
 * NE2000 on the ISA bus: the DP8390 core at 32 ports, on an interrupt of its own.
 *
 * What always holds: only the interrupt output that the property names is ever driven; the board
 * wires all of them.
 */
#include "hw/hw.h"
#include "hw/net/dp8390.h"
#include "mmu/aspace.h"

struct ne2k_isa {
    struct dev dev;
    struct dp8390_state s;
    struct dp8390 core;
    struct net *net;
    uint32_t iobase, irq, mbps;
    char mac[32];
};

static void ne2k_irq(struct dev *d, bool level)
{
    dev_pin_set(d, ((struct ne2k_isa *)d)->irq, level);
}

static uint64_t ne2k_read(struct dev *d, uint64_t off, unsigned size)
{
    return dp8390_read(&((struct ne2k_isa *)d)->core, off, size);
}

static void ne2k_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    dp8390_write(&((struct ne2k_isa *)d)->core, off, size, val);
}

static const struct io_ops ne2k_ops = {ne2k_read, ne2k_write, 1, 4};

static bool ne2k_init(struct dev *d, struct err *e)
{
    struct ne2k_isa *n = (struct ne2k_isa *)d;
    n->core.dev = d;
    n->core.s = &n->s;
    n->core.irq = ne2k_irq;
    n->core.port.net = n->net;
    if (n->iobase % DP8390_IO) {
        return err_usage(e, "iobase=%#x: want a multiple of 32", (unsigned)n->iobase);
    }
    if (!dp8390_init(&n->core, n->mac, n->mbps, e)) {
        return false;
    }
    aspace_map_io(d->env->io, n->iobase, DP8390_IO, &ne2k_ops, d, d->name, 0);
    return true;
}

static void ne2k_reset(struct dev *d, enum reset_kind kind)
{
    (void)kind;
    dp8390_reset(&((struct ne2k_isa *)d)->core);
}

static void ne2k_restored(struct dev *d)
{
    dp8390_restored(&((struct ne2k_isa *)d)->core);
}

static const struct prop ne2k_props[] = {
    {"iobase", PROP_U32, offsetof(struct ne2k_isa, iobase), "0x300", 0x200, 0x3e0, "first port"},
    {"irq", PROP_U32, offsetof(struct ne2k_isa, irq), "9", 3, 15, "interrupt"},
    {"mbps", PROP_U32, offsetof(struct ne2k_isa, mbps), "10", 1, 10000, "link speed, Mb/s"},
    {"mac", PROP_STR, offsetof(struct ne2k_isa, mac), "", 0, 0, "station address"},
    {"netdev", PROP_NET, offsetof(struct ne2k_isa, net), NULL, 0, 0, "network back end"},
    {0},
};
static const char *const ne2k_out[] = {"isa0",  "isa1",  "isa2",  "isa3",  "isa4",  "isa5",
                                       "isa6",  "isa7",  "isa8",  "isa9",  "isa10", "isa11",
                                       "isa12", "isa13", "isa14", "isa15", NULL};

const struct dev_class ne2k_isa_class = {
    .name = "ne2k_isa",
    .help = "NE2000 network card, ISA",
    .size = sizeof(struct ne2k_isa),
    .state_off = offsetof(struct ne2k_isa, s),
    .state = &dp8390_state_desc,
    .props = ne2k_props,
    .pins_out = ne2k_out,
    .init = ne2k_init,
    .reset = ne2k_reset,
    .restored = ne2k_restored,
};
