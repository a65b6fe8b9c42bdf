/*
 * The configuration space of a PCI function: a table of bytes with masks, and BARs that move
 * regions. Devices add behavior by `written`.
 *
 * What always holds: a BAR's region is on exactly while its space is enabled in the command
 * register and its address is not 0 (never programmed) and leaves room for its size (software sizes
 * BARs by writing all ones).
 */
#include "hw/pci/pci.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/hw.h"
#include "util/bits.h"

ST_DESCRIBE(pci_cfg, PCI_CFG_STATE, 1);

uint32_t pci_cfg_read(const struct pci_func *f, unsigned off, unsigned size)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < size; i++) {
        v |= (uint32_t)f->s->cfg[(off + i) & 0xff] << (8 * i);
    }
    return v;
}

static struct aspace *space(const struct pci_func *f, const struct pci_bar *bar)
{
    return bar->io ? f->dev->env->io : f->dev->env->mem;
}

static unsigned bar_reg(unsigned n)
{
    return n == PCI_ROM_BAR ? PCI_ROM : PCI_BAR0 + 4 * n;
}

/* Put one BAR's region where configuration space says, if it is not there already. */
static void move_bar(struct pci_func *f, unsigned n)
{
    struct pci_bar *bar = &f->bar[n];
    unsigned command = f->s->cfg[PCI_COMMAND];
    uint32_t reg = le32_get(&f->s->cfg[bar_reg(n)]);
    uint64_t addr = reg & ~(uint32_t)(bar->size - 1);
    uint64_t end = bar->io ? 0x10000 : UINT64_C(1) << 32;
    bool on = (command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEM)) && addr &&
              addr + bar->size < end && (n != PCI_ROM_BAR || (reg & 1));
    if (bar->on && !(on && addr == bar->at)) {
        region_enable(space(f, bar), bar->region, false);
        bar->on = false;
    }
    if (on && !bar->on) {
        region_move(space(f, bar), bar->region, addr);
        region_enable(space(f, bar), bar->region, true);
        bar->on = true;
        bar->at = addr;
    }
}

static void move_bars(struct pci_func *f)
{
    for (unsigned n = 0; n <= PCI_ROM_BAR; n++) {
        if (f->bar[n].size) {
            move_bar(f, n);
        }
    }
}

void pci_cfg_write(struct pci_func *f, unsigned off, unsigned size, uint32_t val)
{
    for (unsigned i = 0; i < size; i++) {
        unsigned at = (off + i) & 0xff;
        uint8_t v = (uint8_t)(val >> (8 * i)), w = f->writable[at];
        uint8_t *cfg = &f->s->cfg[at];
        *cfg = (uint8_t)(((*cfg & ~w) | (v & w)) & ~(v & f->clear[at]));
    }
    bool command = off <= PCI_COMMAND + 1 && off + size > PCI_COMMAND;
    bool bars = off < PCI_BAR0 + 4 * PCI_BARS && off + size > PCI_BAR0;
    bool rom = off < PCI_ROM + 4 && off + size > PCI_ROM;
    if (command || bars || rom) {
        move_bars(f);
    }
    if (f->written) {
        f->written(f, off, size);
    }
}

static void set_writable(struct pci_func *f, unsigned off, unsigned n, uint8_t mask)
{
    memset(&f->writable[off], mask, n);
}

bool pci_func_init(struct pci_func *f, struct dev *d, struct pci_cfg *cfg,
                   const struct pci_ident *id, const char *bus, uint8_t devfn, struct err *e)
{
    struct dev *b = dev_find(d->env, bus);
    if (!b || b->cls != &i440fx_class) {
        return err_set(e, "bus=%s: there is no PCI bus of that name yet", bus);
    }
    f->dev = d;
    f->s = cfg;
    f->id = id;
    f->devfn = devfn;
    for (unsigned slot = 3; f->devfn == PCI_AUTO && slot < 32; slot++) {
        if (!pci_bus_func(b, (uint8_t)PCI_DEVFN(slot, 0))) {
            f->devfn = (uint8_t)PCI_DEVFN(slot, 0);
        }
    }
    if (f->devfn == PCI_AUTO) {
        return err_set(e, "every PCI slot is taken");
    }
    if (!pci_bus_add(b, f)) {
        return err_set(e, "PCI slot %u function %u is taken", (unsigned)devfn >> 3, devfn & 7u);
    }
    /* Command: I/O, memory, master, parity, SERR, INTx disable. Status: errors are cleared by 1. */
    f->writable[PCI_COMMAND] = 0x47;
    f->writable[PCI_COMMAND + 1] = 0x05;
    f->clear[PCI_STATUS + 1] = 0xf9;
    set_writable(f, 0x0c, 2, 0xff); /* cache line size, latency timer */
    f->writable[PCI_INT_LINE] = 0xff;
    return true;
}

static void add_bar(struct pci_func *f, unsigned n, uint32_t size, bool io, struct region *region)
{
    struct pci_bar *bar = &f->bar[n];
    uint8_t *w = &f->writable[bar_reg(n)];
    assert(size && !(size & (size - 1)));
    *bar = (struct pci_bar){.size = size, .io = io, .region = region};
    le32_put(w, ~(size - 1) & (io ? ~3u : ~15u));
    if (n == PCI_ROM_BAR) {
        *w |= 1; /* address decode enable; PCI 2.1, 6.2.5.2 */
    }
    if (io) {
        f->initial[bar_reg(n)] = 1;
    }
    region_enable(space(f, bar), region, false);
}

void pci_bar_io(struct pci_func *f, unsigned n, uint32_t size, const struct io_ops *ops,
                const char *name)
{
    add_bar(f, n, size, true, aspace_map_io(f->dev->env->io, 0, size, ops, f->dev, name, 1));
}

void pci_bar_mem(struct pci_func *f, unsigned n, uint32_t size, const struct io_ops *ops,
                 const char *name)
{
    add_bar(f, n, size, false, aspace_map_io(f->dev->env->mem, 0, size, ops, f->dev, name, 1));
}

void pci_bar_ram(struct pci_func *f, unsigned n, uint32_t size, struct ram *ram, bool readonly,
                 const char *name)
{
    add_bar(f, n, size, false,
            aspace_map_ram(f->dev->env->mem, 0, size, ram, 0, readonly, name, 1));
}

bool pci_rom_file(struct pci_func *f, const char *file, struct err *e)
{
    struct dev *d = f->dev;
    uint8_t *data;
    size_t len;
    if (!d->env->rom_file || !d->env->rom_file(d->env->rom_ctx, file, &data, &len)) {
        return false;
    }
    uint32_t size = 4096;
    while (size < len && size < PCI_ROM_MAX) {
        size *= 2;
    }
    char name[32];
    snprintf(name, sizeof name, "%.27s.rom", d->name);
    struct ram *rom = len <= size ? d->env->ram_new(d->env->ram_ctx, name, size) : NULL;
    if (rom) {
        ram_write(rom, 0, data, len);
        pci_bar_ram(f, PCI_ROM_BAR, size, rom, true, d->cls->name);
    } else {
        err_set(e, "%s: %zu bytes; want at most %u", file, len, PCI_ROM_MAX);
    }
    free(data);
    return rom != NULL;
}

static bool is_master(const struct pci_func *f)
{
    return f->s->cfg[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

void pci_dma_read(struct pci_func *f, uint64_t addr, void *buf, uint32_t len)
{
    if (is_master(f)) {
        aspace_read_buf(f->dev->env->mem, addr, buf, len);
    } else {
        memset(buf, 0xff, len);
    }
}

void pci_dma_write(struct pci_func *f, uint64_t addr, const void *buf, uint32_t len)
{
    if (is_master(f)) {
        aspace_write_buf(f->dev->env->mem, addr, buf, len);
    }
}

void pci_func_reset(struct pci_func *f)
{
    const struct pci_ident *id = f->id;
    uint8_t *c = f->s->cfg;
    memcpy(c, f->initial, sizeof f->initial);
    le16_put(c + PCI_VENDOR, id->vendor);
    le16_put(c + PCI_DEVICE, id->device);
    c[PCI_REVISION] = id->revision;
    c[PCI_CLASS] = (uint8_t)id->class_code;
    le16_put(c + PCI_CLASS + 1, (uint16_t)(id->class_code >> 8));
    c[PCI_HEADER] = id->header;
    le16_put(c + PCI_SUBSYS_VENDOR, id->subsys_vendor);
    le16_put(c + PCI_SUBSYS, id->subsys);
    c[PCI_INT_PIN] = id->int_pin;
    move_bars(f);
}

void pci_func_restored(struct pci_func *f)
{
    move_bars(f);
}
