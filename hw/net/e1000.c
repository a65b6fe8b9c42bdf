/*
 * Intel 82540EM (8086:100e): the PCI function, interrupts with their moderation, and reset; see
 * e1000.h.
 *
 * A cause sets its bit in ICR; the pin is high while ICR & IMS is not 0, and with ITR set it does
 * not rise sooner than that after it last rose. Reading ICR clears it.
 *
 * Left out: wake-up, management, flow control (the cable is full duplex and the FIFO is deep),
 * flash memory, PCI power management. Firmware finds iPXE in the expansion ROM where Debian's
 * package ipxe-qemu is installed.
 *
 * Sources: SDM chapter 4 (PCI), 3.5 and 13.4.17-13.4.21 (interrupts), 14.5 (reset).
 */
#include "hw/net/e1000.h"

#include <string.h>

#include "hw/hw.h"

ST_DESCRIBE(e1000_ctx, E1000_CTX_STATE, 1);
ST_DESCRIBE(e1000_state, E1000_STATE, 1);

enum {
    MMIO_BYTES = 0x20000,
    IO_BYTES = 64,
    DELAY_NS = 1024,
    ITR_NS = 256,
};

/* --- Interrupts --- */

void e1000_update_irq(struct e1000 *c)
{
    struct e1000_state *s = &c->s;
    bool want = s->icr & s->ims;
    if (want && !dev_pin_out(&c->dev, 0)) {
        if (timer_pending(&c->throttle)) {
            return;
        }
        if (s->itr) {
            timer_set(&c->throttle, clock_now(c->dev.env->clock) + (uint64_t)s->itr * ITR_NS);
        }
    }
    dev_pin_set(&c->dev, 0, want);
}

void e1000_cause(struct e1000 *c, uint32_t bits)
{
    c->s.icr |= bits;
    e1000_update_irq(c);
}

void e1000_delay(struct e1000 *c, struct timer *t, uint32_t units)
{
    timer_set(t, clock_now(c->dev.env->clock) + (uint64_t)(units & 0xffff) * DELAY_NS);
}

static void on_throttle(void *ctx)
{
    e1000_update_irq(ctx);
}

/* Whichever of the two delays ends first ends both. */
static void on_rx_delay(void *ctx)
{
    struct e1000 *c = ctx;
    timer_cancel(&c->rx_delay);
    timer_cancel(&c->rx_abs);
    e1000_cause(c, E1000_RXT0);
}

static void on_tx_delay(void *ctx)
{
    struct e1000 *c = ctx;
    timer_cancel(&c->tx_delay);
    timer_cancel(&c->tx_abs);
    e1000_cause(c, E1000_TXDW);
}

/* --- The bus --- */

static uint64_t mmio_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return e1000_reg_read((struct e1000 *)d, (uint32_t)off);
}

static void mmio_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    e1000_reg_write((struct e1000 *)d, (uint32_t)off, (uint32_t)val);
}

/* IOADDR at 0, IODATA at 4 (SDM 13.2.2). */
static uint64_t io_read(struct dev *d, uint64_t off, unsigned size)
{
    struct e1000 *c = (struct e1000 *)d;
    (void)size;
    return off == 0   ? c->s.ioaddr
           : off == 4 ? e1000_reg_read(c, c->s.ioaddr & (MMIO_BYTES - 4))
                      : 0;
}

static void io_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct e1000 *c = (struct e1000 *)d;
    (void)size;
    if (off == 0) {
        c->s.ioaddr = (uint32_t)val & (MMIO_BYTES - 1);
    } else if (off == 4) {
        e1000_reg_write(c, c->s.ioaddr & (MMIO_BYTES - 4), (uint32_t)val);
    }
}

static const struct io_ops mmio_ops = {mmio_read, mmio_write, 4, 4};
static const struct io_ops io_ops = {io_read, io_write, 4, 4};

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x100e,
    .subsys_vendor = 0x8086,
    .subsys = 0x001e, /* PRO/1000 MT Desktop */
    .class_code = 0x020000,
    .revision = 2,
    .int_pin = 1,
};

/* --- Life --- */

static bool e1000_init(struct dev *d, struct err *e)
{
    struct e1000 *c = (struct e1000 *)d;
    struct e1000_state *s = &c->s;
    struct clock *clock = d->env->clock;
    if (!net_mac(c->mac, c->net, c->addr, e) ||
        !pci_func_init(&c->pci, d, s->pci, &ident, c->bus, pci_slot_devfn(c->slot), e)) {
        return false;
    }
    pci_bar_mem(&c->pci, 0, MMIO_BYTES, &mmio_ops, d->name);
    pci_bar_io(&c->pci, 1, IO_BYTES, &io_ops, d->name);
    struct err bad = {""};
    if (*c->romfile && !pci_rom_file(&c->pci, c->romfile, &bad) && bad.msg[0]) {
        return err_set(e, "%s", bad.msg);
    }
    c->port = (struct net_port){.dev = d,
                                .s = s->queue,
                                .net = c->net,
                                .mbps = 1000,
                                .take = e1000_take,
                                .lost = e1000_lost,
                                .ctx = c};
    net_port_init(&c->port);
    timer_init(&c->throttle, clock, &s->throttle, on_throttle, c);
    timer_init(&c->rx_delay, clock, &s->rx_delay, on_rx_delay, c);
    timer_init(&c->rx_abs, clock, &s->rx_abs, on_rx_delay, c);
    timer_init(&c->tx_delay, clock, &s->tx_delay, on_tx_delay, c);
    timer_init(&c->tx_abs, clock, &s->tx_abs, on_tx_delay, c);
    e1000_phy_init(c);
    e1000_tx_init(c);
    return true;
}

void e1000_reset_mac(struct e1000 *c)
{
    struct timer *timers[] = {&c->throttle, &c->rx_delay, &c->rx_abs, &c->tx_delay, &c->tx_abs};
    for (unsigned i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        timer_cancel(timers[i]);
    }
    e1000_regs_reset(c);
    e1000_tx_reset(c);
    c->s.rx_held = false;
    net_port_reset(&c->port);
    e1000_update_irq(c);
}

static void e1000_reset(struct dev *d, enum reset_kind kind)
{
    struct e1000 *c = (struct e1000 *)d;
    pci_func_reset(&c->pci);
    if (kind == RESET_COLD) {
        e1000_eeprom_reset(c);
    }
    c->s.ioaddr = 0;
    e1000_reset_mac(c);
    e1000_phy_reset(c);
    c->s.icr = 0;
    e1000_update_irq(c);
}

static void e1000_restored(struct dev *d)
{
    struct e1000 *c = (struct e1000 *)d;
    pci_func_restored(&c->pci);
    net_port_restored(&c->port);
    e1000_phy_restored(c);
    e1000_tx_restored(c);
}

static const struct prop e1000_props[] = {
    {"bus", PROP_STR, offsetof(struct e1000, bus), "pci0", 0, 0, "name of the host bridge"},
    {"slot", PROP_U32, offsetof(struct e1000, slot), "32", 0, 32, "PCI device; 32: any"},
    {"mac", PROP_STR, offsetof(struct e1000, mac), "", 0, 0, "station address"},
    {"romfile", PROP_STR, offsetof(struct e1000, romfile), "efi-e1000.rom", 0, 0,
     "expansion ROM; empty: none"},
    {"netdev", PROP_NET, offsetof(struct e1000, net), NULL, 0, 0, "network back end"},
    {0},
};
static const char *const e1000_out[] = {"inta", NULL};

const struct dev_class e1000_class = {
    .name = "e1000",
    .help = "Intel 82540EM gigabit network card, PCI",
    .size = sizeof(struct e1000),
    .state_off = offsetof(struct e1000, s),
    .state = &e1000_state_desc,
    .props = e1000_props,
    .pins_out = e1000_out,
    .init = e1000_init,
    .reset = e1000_reset,
    .restored = e1000_restored,
};
