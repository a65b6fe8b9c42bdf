/*
 * The IDE function of the Intel 82371SB (PIIX3), function 1 (8086:7010): two channels at the
 * legacy ports, and a bus master for each.
 *
 * A channel answers while the command register allows I/O and its IDETIM has bit 15 set. The bus
 * master walks a table of physical region descriptors (address, count, end flag) that the guest
 * laid down; whatever it holds is followed literally, with the bits that hardware ignores masked: a
 * count of 0 is 64 KiB, and so every descriptor moves something and a table without end is bounded
 * by what the device has to move.
 *
 * What always holds: the active bit is set from the start bit's rise until the table's end, an
 * error, or the start bit's fall. The interrupt bit is set by the rising edge of the device's line.
 * An address where nobody is ends the transfer with the error bit (master abort).
 *
 * Sources: 82371SB datasheet (290550-002), 2.3 (configuration), 2.7 (bus master registers);
 * SFF-8038i revision 1.0.
 */
#include "hw/disk/ide.h"
#include "hw/hw.h"
#include "hw/pci/pci.h"
#include "util/bits.h"

enum {
    IDETIM = 0x40, /* one for each channel */
    SIDETIM = 0x44,
    IDETIM_ENABLE = 0x80, /* of its high byte */
    BMIBA = 4,            /* the BAR */

    BM_CMD = 0,
    BM_STATUS = 2,
    BM_TABLE = 4,
    BM_CHANNEL = 8, /* bytes of a channel's registers */

    CMD_START = 0x01,
    CMD_TO_MEMORY = 0x08,
    ST_ACTIVE = 0x01,
    ST_ERROR = 0x02,
    ST_INTR = 0x04,
    ST_SOFT = 0x60, /* drive DMA capable: for software */

    PRD_LAST = 0x8000,
};

#define BM_STATE(S, V, A, N)                                                                       \
    V(S, uint8_t, cmd, 1)                                                                          \
    V(S, uint8_t, status, 1)                                                                       \
    V(S, uint32_t, table, 1)                                                                       \
    V(S, uint32_t, next, 1) /* address of the next descriptor */                                   \
    V(S, uint32_t, addr, 1) /* what the present one has left */                                    \
    V(S, uint32_t, left, 1)                                                                        \
    V(S, bool, last, 1)
ST_DECLARE(piix3_bm_state, BM_STATE);
ST_DESCRIBE(piix3_bm_state, BM_STATE, 1);

#define PIIX3_IDE_STATE(S, V, A, N)                                                                \
    N(S, pci_cfg, pci, 1, 1)                                                                       \
    N(S, piix3_bm_state, bm, 2, 1)                                                                 \
    N(S, ide_chan_state, chan, 2, 1)
ST_DECLARE(piix3_ide_state, PIIX3_IDE_STATE);
ST_DESCRIBE(piix3_ide_state, PIIX3_IDE_STATE, 1);

struct piix3_ide {
    struct dev dev;
    struct piix3_ide_state s;
    struct pci_func pci;
    struct ide_chan chan[2];
    struct ide_conf conf[4];
    struct region *command[2], *control[2];
    uint32_t slot;
    bool enabled;
    char bus[32];
};

static struct piix3_ide *of_chan(struct ide_chan *c, unsigned *n)
{
    struct piix3_ide *p = (struct piix3_ide *)c->dev;
    *n = c == &p->chan[1];
    return p;
}

/* --- Bus master --- */

static bool nobody_at(const struct piix3_ide *p, uint32_t addr)
{
    return !aspace_find(p->dev.env->mem, addr).region;
}

static void stop(struct piix3_bm_state *b, uint8_t status)
{
    b->status = (uint8_t)((b->status & ~ST_ACTIVE) | status);
}

/* The next descriptor. False: there is none, and the engine stopped. */
static bool next_descriptor(struct piix3_ide *p, struct piix3_bm_state *b)
{
    uint8_t prd[8];
    if (b->last || nobody_at(p, b->next)) {
        stop(b, b->last ? 0 : ST_ERROR);
        return false;
    }
    pci_dma_read(&p->pci, b->next, prd, sizeof prd);
    b->next += sizeof prd;
    b->addr = le32_get(prd) & ~UINT32_C(1);
    b->left = le16_get(prd + 4) & 0xfffeu;
    b->left = b->left ? b->left : 0x10000;
    b->last = le16_get(prd + 6) & PRD_LAST;
    if (nobody_at(p, b->addr)) {
        stop(b, ST_ERROR);
        return false;
    }
    return true;
}

static bool bm_ready(struct ide_chan *c, bool to_memory)
{
    unsigned n;
    struct piix3_ide *p = of_chan(c, &n);
    const struct piix3_bm_state *b = &p->s.bm[n];
    return (b->cmd & CMD_START) && (b->status & ST_ACTIVE) &&
           !(b->cmd & CMD_TO_MEMORY) == !to_memory &&
           (p->s.pci[0].cfg[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

static uint32_t bm_move(struct ide_chan *c, void *buf, uint32_t len, bool to_memory)
{
    unsigned n;
    struct piix3_ide *p = of_chan(c, &n);
    struct piix3_bm_state *b = &p->s.bm[n];
    uint32_t done = 0;
    while (done < len) {
        if (!b->left && !next_descriptor(p, b)) {
            return done;
        }
        uint32_t part = b->left < len - done ? b->left : len - done;
        uint8_t *at = (uint8_t *)buf + done;
        if (to_memory) {
            pci_dma_write(&p->pci, b->addr, at, part);
        } else {
            pci_dma_read(&p->pci, b->addr, at, part);
        }
        b->addr += part;
        b->left -= part;
        done += part;
    }
    if (b->last && !b->left) {
        stop(b, 0);
    }
    return done;
}

static const struct ide_dma bm_dma = {bm_ready, bm_move};

static void write_command(struct piix3_ide *p, unsigned n, uint8_t val)
{
    struct piix3_bm_state *b = &p->s.bm[n];
    bool was = b->cmd & CMD_START;
    b->cmd = val & (CMD_START | CMD_TO_MEMORY);
    if (!(val & CMD_START)) {
        stop(b, 0);
    } else if (!was) {
        b->status |= ST_ACTIVE;
        b->next = b->table;
        b->addr = b->left = 0;
        b->last = false;
    }
    ide_dma_kick(&p->chan[n]);
}

static uint64_t bm_read(struct dev *d, uint64_t off, unsigned size)
{
    struct piix3_ide *p = (struct piix3_ide *)d;
    const struct piix3_bm_state *b = &p->s.bm[off / BM_CHANNEL & 1];
    unsigned reg = off % BM_CHANNEL;
    uint8_t r[BM_CHANNEL] = {b->cmd, 0, b->status, 0};
    le32_put(r + BM_TABLE, b->table);
    return le_get(r + reg, size);
}

static void bm_write_byte(struct piix3_ide *p, unsigned n, unsigned reg, uint8_t val)
{
    struct piix3_bm_state *b = &p->s.bm[n];
    if (reg == BM_CMD) {
        write_command(p, n, val);
    } else if (reg == BM_STATUS) {
        b->status = (uint8_t)((b->status & ~ST_SOFT) | (val & ST_SOFT));
        b->status &= (uint8_t) ~(val & (ST_ERROR | ST_INTR));
    } else if (reg >= BM_TABLE) {
        unsigned shift = 8 * (reg - BM_TABLE);
        b->table = (b->table & ~(UINT32_C(0xff) << shift)) | (uint32_t)val << shift;
        b->table &= ~UINT32_C(3);
    }
}

static void bm_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)off + i;
        bm_write_byte((struct piix3_ide *)d, at / BM_CHANNEL & 1, at % BM_CHANNEL,
                      (uint8_t)(val >> (8 * i)));
    }
}

/* --- Ports --- */

static void intrq(struct ide_chan *c, bool level)
{
    unsigned n;
    struct piix3_ide *p = of_chan(c, &n);
    if (level && !dev_pin_out(&p->dev, n)) {
        p->s.bm[n].status |= ST_INTR;
    }
    dev_pin_set(&p->dev, n, level);
}

static uint64_t primary_read(struct dev *d, uint64_t off, unsigned size)
{
    return ide_ports_read(&((struct piix3_ide *)d)->chan[0], (unsigned)off, size);
}
static void primary_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    ide_ports_write(&((struct piix3_ide *)d)->chan[0], (unsigned)off, size, (uint32_t)val);
}
static uint64_t secondary_read(struct dev *d, uint64_t off, unsigned size)
{
    return ide_ports_read(&((struct piix3_ide *)d)->chan[1], (unsigned)off, size);
}
static void secondary_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    ide_ports_write(&((struct piix3_ide *)d)->chan[1], (unsigned)off, size, (uint32_t)val);
}
static uint64_t primary_status(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    (void)size;
    return ide_alt_status(&((struct piix3_ide *)d)->chan[0]);
}
static void primary_control(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)off;
    (void)size;
    ide_control(&((struct piix3_ide *)d)->chan[0], (uint8_t)val);
}
static uint64_t secondary_status(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    (void)size;
    return ide_alt_status(&((struct piix3_ide *)d)->chan[1]);
}
static void secondary_control(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)off;
    (void)size;
    ide_control(&((struct piix3_ide *)d)->chan[1], (uint8_t)val);
}

static const struct io_ops bm_ops = {bm_read, bm_write, 1, 4};
static const struct io_ops command_ops[2] = {{primary_read, primary_write, 1, 4},
                                             {secondary_read, secondary_write, 1, 4}};
static const struct io_ops control_ops[2] = {{primary_status, primary_control, 1, 1},
                                             {secondary_status, secondary_control, 1, 1}};

static void place(struct piix3_ide *p)
{
    const uint8_t *cfg = p->s.pci[0].cfg;
    for (unsigned n = 0; n < 2; n++) {
        bool on = (cfg[PCI_COMMAND] & PCI_COMMAND_IO) && (cfg[IDETIM + 1 + 2 * n] & IDETIM_ENABLE);
        region_enable(p->dev.env->io, p->command[n], on);
        region_enable(p->dev.env->io, p->control[n], on);
    }
}

static void written(struct pci_func *f, unsigned off, unsigned size)
{
    struct piix3_ide *p = (struct piix3_ide *)f->dev;
    (void)off;
    (void)size;
    place(p);
    ide_dma_kick(&p->chan[0]); /* the master bit may be on now */
    ide_dma_kick(&p->chan[1]);
}

/* --- Life --- */

static const struct pci_ident ident = {
    .vendor = 0x8086, .device = 0x7010, .class_code = 0x010180, /* legacy ports, bus master */
};

static bool piix3_ide_init(struct dev *d, struct err *e)
{
    static const uint16_t ports[2][2] = {{0x1f0, 0x3f6}, {0x170, 0x376}};
    struct piix3_ide *p = (struct piix3_ide *)d;
    struct pci_func *f = &p->pci;
    if (!pci_func_init(f, d, p->s.pci, &ident, p->bus, (uint8_t)PCI_DEVFN(p->slot, 1), e)) {
        return false;
    }
    f->writable[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MASTER;
    f->initial[PCI_STATUS] = 0x80;
    f->initial[PCI_STATUS + 1] = 0x02;
    for (unsigned i = IDETIM; i < SIDETIM; i++) {
        f->writable[i] = i & 1 ? 0xf3 : 0xff;
    }
    f->writable[SIDETIM] = 0xff;
    if (p->enabled) {
        f->initial[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MASTER;
        f->initial[IDETIM + 1] = f->initial[IDETIM + 3] = IDETIM_ENABLE;
    }
    f->written = written;
    pci_bar_io(f, BMIBA, 2 * BM_CHANNEL, &bm_ops, d->name);
    for (unsigned n = 0; n < 2; n++) {
        struct ide_chan *c = &p->chan[n];
        c->dma = &bm_dma;
        c->intrq = intrq;
        if (!ide_init(c, d, &p->s.chan[n], &p->conf[2 * n], e)) {
            return false;
        }
        p->command[n] = aspace_map_io(d->env->io, ports[n][0], 8, &command_ops[n], d, d->name, 1);
        p->control[n] = aspace_map_io(d->env->io, ports[n][1], 1, &control_ops[n], d, d->name, 1);
    }
    return true;
}

static void piix3_ide_reset(struct dev *d, enum reset_kind kind)
{
    struct piix3_ide *p = (struct piix3_ide *)d;
    pci_func_reset(&p->pci);
    place(p);
    for (unsigned n = 0; n < 2; n++) {
        ide_reset(&p->chan[n], kind);
        p->s.bm[n] = (struct piix3_bm_state){0};
    }
}

static void piix3_ide_restored(struct dev *d)
{
    struct piix3_ide *p = (struct piix3_ide *)d;
    pci_func_restored(&p->pci);
    place(p);
    for (unsigned n = 0; n < 2; n++) {
        ide_restored(&p->chan[n]);
    }
}

static const struct prop piix3_ide_props[] = {
    {"bus", PROP_STR, offsetof(struct piix3_ide, bus), "pci0", 0, 0, "name of the host bridge"},
    {"slot", PROP_U32, offsetof(struct piix3_ide, slot), "1", 0, 31, "PCI device number"},
    {"enabled", PROP_BOOL, offsetof(struct piix3_ide, enabled), "off", 0, 0,
     "ports come out of reset as firmware leaves them"},
    IDE_PROPS(piix3_ide, 0),
    IDE_PROPS(piix3_ide, 1),
    IDE_PROPS(piix3_ide, 2),
    IDE_PROPS(piix3_ide, 3),
    {0},
};
static const char *const piix3_ide_out[] = {"irq14", "irq15", NULL};

const struct dev_class piix3_ide_class = {
    .name = "piix3-ide",
    .help = "82371SB IDE with bus master",
    .size = sizeof(struct piix3_ide),
    .state_off = offsetof(struct piix3_ide, s),
    .state = &piix3_ide_state_desc,
    .props = piix3_ide_props,
    .pins_out = piix3_ide_out,
    .init = piix3_ide_init,
    .reset = piix3_ide_reset,
    .restored = piix3_ide_restored,
};
