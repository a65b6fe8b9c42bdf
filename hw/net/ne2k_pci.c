/*
 * Realtek RTL8029AS (10ec:8029): an NE2000 on the PCI bus. 32 ports at BAR0, the data port also by
 * double words. Left out: its own register page 3 (EEPROM, full duplex).
 *
 * Source: RTL8029AS datasheet, sections 4 and 5.
 */
#include "hw/hw.h"
#include "hw/net/dp8390.h"
#include "hw/pci/pci.h"

#define NE2K_PCI_STATE(S, V, A, N)                                                                 \
    N(S, dp8390_state, core, 1, 1)                                                                 \
    N(S, pci_cfg, pci, 1, 1)

ST_DECLARE(ne2k_pci_state, NE2K_PCI_STATE);
ST_DESCRIBE(ne2k_pci_state, NE2K_PCI_STATE, 1);

struct ne2k_pci {
    struct dev dev;
    struct ne2k_pci_state s;
    struct pci_func pci;
    struct dp8390 core;
    struct net *net;
    uint32_t slot, mbps;
    char bus[32], mac[32];
};

static void ne2k_irq(struct dev *d, bool level)
{
    dev_pin_set(d, 0, level);
}

static uint64_t ne2k_read(struct dev *d, uint64_t off, unsigned size)
{
    return dp8390_read(&((struct ne2k_pci *)d)->core, off, size);
}

static void ne2k_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    dp8390_write(&((struct ne2k_pci *)d)->core, off, size, val);
}

static const struct io_ops ne2k_ops = {ne2k_read, ne2k_write, 1, 4};

static const struct pci_ident ident = {
    .vendor = 0x10ec,
    .device = 0x8029,
    .subsys_vendor = 0x10ec,
    .subsys = 0x8029,
    .class_code = 0x020000,
    .int_pin = 1,
};

static bool ne2k_init(struct dev *d, struct err *e)
{
    struct ne2k_pci *n = (struct ne2k_pci *)d;
    n->core.dev = d;
    n->core.s = n->s.core;
    n->core.irq = ne2k_irq;
    n->core.port.net = n->net;
    if (!pci_func_init(&n->pci, d, n->s.pci, &ident, n->bus, pci_slot_devfn(n->slot), e) ||
        !dp8390_init(&n->core, n->mac, n->mbps, e)) {
        return false;
    }
    pci_bar_io(&n->pci, 0, DP8390_IO, &ne2k_ops, d->name);
    struct err bad = {""};
    if (!pci_rom_file(&n->pci, "efi-ne2k_pci.rom", &bad) && bad.msg[0]) {
        return err_set(e, "%s", bad.msg);
    }
    return true;
}

static void ne2k_reset(struct dev *d, enum reset_kind kind)
{
    struct ne2k_pci *n = (struct ne2k_pci *)d;
    (void)kind;
    pci_func_reset(&n->pci);
    dp8390_reset(&n->core);
}

static void ne2k_restored(struct dev *d)
{
    struct ne2k_pci *n = (struct ne2k_pci *)d;
    pci_func_restored(&n->pci);
    dp8390_restored(&n->core);
}

static const struct prop ne2k_props[] = {
    {"bus", PROP_STR, offsetof(struct ne2k_pci, bus), "pci0", 0, 0, "name of the host bridge"},
    {"slot", PROP_U32, offsetof(struct ne2k_pci, slot), "32", 0, 32, "PCI device; 32: any"},
    {"mbps", PROP_U32, offsetof(struct ne2k_pci, mbps), "10", 1, 10000, "link speed, Mb/s"},
    {"mac", PROP_STR, offsetof(struct ne2k_pci, mac), "", 0, 0, "station address"},
    {"netdev", PROP_NET, offsetof(struct ne2k_pci, net), NULL, 0, 0, "network back end"},
    {0},
};
static const char *const ne2k_out[] = {"inta", NULL};

const struct dev_class ne2k_pci_class = {
    .name = "ne2k_pci",
    .help = "NE2000 network card, PCI (RTL8029AS)",
    .size = sizeof(struct ne2k_pci),
    .state_off = offsetof(struct ne2k_pci, s),
    .state = &ne2k_pci_state_desc,
    .props = ne2k_props,
    .pins_out = ne2k_out,
    .init = ne2k_init,
    .reset = ne2k_reset,
    .restored = ne2k_restored,
};
