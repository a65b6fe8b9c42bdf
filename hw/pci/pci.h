/*
 * PCI: configuration space, base address registers and interrupt pins of a function; the bus.
 *
 * A PCI device has a struct pci_cfg in its state, a struct pci_func beside it, and a constant
 * struct pci_ident. In init it calls pci_func_init(), then pci_bar_io() or pci_bar_mem() for each
 * BAR; in reset pci_func_reset(); in restored pci_func_restored(). The bus is a host bridge, found
 * by name. INTA is an output pin that the board wires to the router ("pirqa".."pirqd" of piix3,
 * following the slot) and to the I/O APIC.
 *
 * Source: PCI Local Bus Specification 2.1, chapter 6.
 */
#ifndef DOPPEL_HW_PCI_PCI_H
#define DOPPEL_HW_PCI_PCI_H

#include "core/dev.h"
#include "mmu/aspace.h"

enum {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, /* three bytes: programming interface, sub-class, class */
    PCI_HEADER = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYS_VENDOR = 0x2c,
    PCI_SUBSYS = 0x2e,
    PCI_ROM = 0x30,
    PCI_INT_LINE = 0x3c,
    PCI_INT_PIN = 0x3d,

    PCI_COMMAND_IO = 0x01,
    PCI_COMMAND_MEM = 0x02,
    PCI_COMMAND_MASTER = 0x04,
    PCI_HEADER_MULTI = 0x80,

    PIIX4_PMBA = 0x40,      /* of PIIX4's function 3: the PM registers' base, */
    PIIX4_PMREGMISC = 0x80, /* and whether they are on (bit 0) */

    PCI_BARS = 6,
    PCI_ROM_BAR = 6, /* index into pci_func.bar of the expansion ROM */
    PCI_ROM_MAX = 1 << 20,
};

#define PCI_DEVFN(slot, fn) ((slot) << 3 | (fn))

#define PCI_CFG_STATE(S, V, A, N) A(S, uint8_t, cfg, 256, 1)
ST_DECLARE(pci_cfg, PCI_CFG_STATE);

struct pci_ident {
    uint16_t vendor, device, subsys_vendor, subsys;
    uint32_t class_code;               /* class << 16 | sub-class << 8 | programming interface */
    uint8_t revision, header, int_pin; /* int_pin: 0 none, 1 INTA */
};

struct pci_bar {
    uint64_t size; /* a power of two; 0: not there */
    bool io;
    struct region *region;
    bool on; /* the region is mapped, at: */
    uint64_t at;
};

struct pci_func {
    struct dev *dev;
    struct pci_cfg *s;
    const struct pci_ident *id;
    uint8_t devfn;
    struct pci_bar bar[PCI_BARS + 1];
    uint8_t writable[256]; /* bits that configuration writes change */
    uint8_t clear[256];    /* bits that are cleared by writing 1 */
    uint8_t initial[256];  /* values after reset, besides those of the ident */
    /* After configuration space changed at [off, off+size), BARs already moved. May be NULL. */
    void (*written)(struct pci_func *f, unsigned off, unsigned size);
};

/* In place of a devfn: the first free slot from 3 on. For a property "slot": 32, the default. */
#define PCI_AUTO 0xffu
static inline uint8_t pci_slot_devfn(uint32_t slot)
{
    return slot < 32 ? (uint8_t)PCI_DEVFN(slot, 0) : PCI_AUTO;
}

/* At init: fill in and attach to the bus (a host bridge) named `bus` at devfn. A function with an
 * interrupt pin has an output "inta", which the board wires to the router by slot and pin. `cfg` is
 * in d's state. False: no such bus, or the place is taken. */
bool pci_func_init(struct pci_func *f, struct dev *d, struct pci_cfg *cfg,
                   const struct pci_ident *id, const char *bus, uint8_t devfn, struct err *e);
void pci_bar_io(struct pci_func *f, unsigned n, uint32_t size, const struct io_ops *ops,
                const char *name);
void pci_bar_mem(struct pci_func *f, unsigned n, uint32_t size, const struct io_ops *ops,
                 const char *name);
/* Memory of the device's own (dev_env.ram_new), at least `size` bytes of it. */
void pci_bar_ram(struct pci_func *f, unsigned n, uint32_t size, struct ram *ram, bool readonly,
                 const char *name);
/* An expansion ROM from a firmware file (dev_env.rom_file). False: there is no such file, and `e`
 * is untouched, or it is too large. */
bool pci_rom_file(struct pci_func *f, const char *file, struct err *e);

/* Bus-master transfers. Without the command register's master bit, reads give all ones and writes
 * are lost. */
void pci_dma_read(struct pci_func *f, uint64_t addr, void *buf, uint32_t len);
void pci_dma_write(struct pci_func *f, uint64_t addr, const void *buf, uint32_t len);

void pci_func_reset(struct pci_func *f);
void pci_func_restored(struct pci_func *f);

uint32_t pci_cfg_read(const struct pci_func *f, unsigned off, unsigned size);
void pci_cfg_write(struct pci_func *f, unsigned off, unsigned size, uint32_t val);

/* The function at devfn of a bus, or NULL; for `info pci`. */
struct pci_func *pci_bus_func(struct dev *bus, uint8_t devfn);
/* For pci_func_init. False: taken. */
bool pci_bus_add(struct dev *bus, struct pci_func *f);

/* What the i440FX decides about memory, which the board maps. `pam`: segment 0..11 are the 16 KiB
 * from 0xc0000 to 0xeffff, 12 is 0xf0000..0xfffff; reads and writes go to RAM, or else to ROM and
 * the bus. `smram`: the legacy SMRAM at 0xa0000 is open to every access. Called at reset, at each
 * change and after a load. */
struct i440fx_ops {
    void (*pam)(void *ctx, unsigned segment, bool read_ram, bool write_ram);
    void (*smram)(void *ctx, bool enabled, bool open);
};
void i440fx_set_ops(struct dev *i440fx, const struct i440fx_ops *ops, void *ctx);

#endif
