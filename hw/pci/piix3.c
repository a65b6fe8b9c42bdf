/*
 * Intel 82371SB (PIIX3) PCI-to-ISA bridge (8086:7000): the PIRQ router.
 *
 * PIRQA..D come in as pins; each is steered to the ISA interrupt that its route register names, and
 * goes out on "irqN", which the board wires to the 8259s beside the ISA devices. (The I/O APIC gets
 * the PIRQs directly, by other wires.) Port 0xcf9 is in i440fx.c, port 0x61 in i8254.c, the
 * edge/level registers in i8259.c.
 *
 * What always holds: irqN is high exactly while a PIRQ that is routed to N is.
 *
 * Source: 82371SB datasheet (290550-002), 2.2.
 */
#include "hw/hw.h"
#include "hw/pci/pci.h"

enum {
    PIRQRC = 0x60,
    PIRQRC_OFF = 0x80,
    /* Interrupts that a PIRQ may be routed to: 3-7, 9-12, 14, 15. */
    ROUTABLE = 0xdef8,
};

#define PIIX3_STATE(S, V, A, N) N(S, pci_cfg, pci, 1, 1)

ST_DECLARE(piix3_state, PIIX3_STATE);
ST_DESCRIBE(piix3_state, PIIX3_STATE, 1);

struct piix3 {
    struct dev dev;
    struct piix3_state s;
    struct pci_func pci;
    uint32_t slot;
    bool routed;
    char bus[32];
};

static void route(struct piix3 *p)
{
    unsigned high = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t rc = p->s.pci[0].cfg[PIRQRC + i];
        if (!(rc & PIRQRC_OFF) && dev_pin_in(&p->dev, i)) {
            high |= 1u << (rc & 15);
        }
    }
    for (unsigned irq = 0; irq < 16; irq++) {
        dev_pin_set(&p->dev, irq, high & ROUTABLE & 1u << irq);
    }
}

static void piix3_pin(struct dev *d, unsigned in, bool level)
{
    (void)in;
    (void)level;
    route((struct piix3 *)d);
}

static void piix3_written(struct pci_func *f, unsigned off, unsigned size)
{
    if (off < PIRQRC + 4 && off + size > PIRQRC) {
        route((struct piix3 *)f->dev);
    }
}

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x7000,
    .class_code = 0x060100,
    .header = PCI_HEADER_MULTI,
};

static bool piix3_init(struct dev *d, struct err *e)
{
    struct piix3 *p = (struct piix3 *)d;
    struct pci_func *f = &p->pci;
    if (!pci_func_init(f, d, p->s.pci, &ident, p->bus, (uint8_t)PCI_DEVFN(p->slot, 0), e)) {
        return false;
    }
    f->initial[PCI_COMMAND] = 0x07;
    f->initial[PCI_STATUS + 1] = 0x02;
    f->initial[0x4c] = 0x4d; /* ISA I/O recovery */
    f->initial[0x4e] = 0x03; /* X-bus chip select */
    f->initial[0x69] = 0x02; /* top of memory */
    static const uint8_t writable[] = {0x4c, 0x4e, 0x4f, 0x69, 0x6a, 0x70, 0x71, 0x76,
                                       0x77, 0x78, 0x79, 0x80, 0x82, 0xa0, 0xa2, 0xa3,
                                       0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xaa, 0xac, 0xae};
    for (unsigned i = 0; i < sizeof writable; i++) {
        f->writable[writable[i]] = 0xff;
    }
    for (unsigned i = 0; i < 4; i++) {
        f->writable[PIRQRC + i] = 0x8f;
        f->initial[PIRQRC + i] = p->routed ? (uint8_t)(i < 2 ? 10 : 11) : PIRQRC_OFF;
    }
    f->written = piix3_written;
    return true;
}

static void piix3_reset(struct dev *d, enum reset_kind kind)
{
    struct piix3 *p = (struct piix3 *)d;
    (void)kind;
    pci_func_reset(&p->pci);
    route(p);
}

static const struct prop piix3_props[] = {
    {"bus", PROP_STR, offsetof(struct piix3, bus), "pci0", 0, 0, "name of the host bridge"},
    {"slot", PROP_U32, offsetof(struct piix3, slot), "1", 0, 31, "PCI device number"},
    {"routed", PROP_BOOL, offsetof(struct piix3, routed), "off", 0, 0,
     "PIRQs come out of reset as firmware leaves them: 10, 10, 11, 11"},
    {0},
};
static const char *const piix3_in[] = {"pirqa", "pirqb", "pirqc", "pirqd", NULL};
static const char *const piix3_out[] = {"irq0",  "irq1",  "irq2",  "irq3",  "irq4",  "irq5",
                                        "irq6",  "irq7",  "irq8",  "irq9",  "irq10", "irq11",
                                        "irq12", "irq13", "irq14", "irq15", NULL};

const struct dev_class piix3_class = {
    .name = "piix3",
    .help = "82371SB PCI-to-ISA bridge, PIRQ router",
    .size = sizeof(struct piix3),
    .state_off = offsetof(struct piix3, s),
    .state = &piix3_state_desc,
    .props = piix3_props,
    .pins_in = piix3_in,
    .pins_out = piix3_out,
    .init = piix3_init,
    .reset = piix3_reset,
    .pin = piix3_pin,
};
