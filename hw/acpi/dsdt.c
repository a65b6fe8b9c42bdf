/*
 * The DSDT of the `pc` board: what an operating system cannot find by probing.
 *
 *     \_S3, _S4, _S5  the sleep types of PIIX4; \_S3, \_S4 only with firmware to wake up to
 *     \_PIC           the OS says 1 when it uses the I/O APIC
 *     \_PR.C000..     processors
 *     \_SB.PCI0       host bridge: its windows, and _PRT: interrupts of each slot
 *       .ISA.*        the devices behind the ISA bridge
 *     \_SB.LNKA..D    the PIRQ router of PIIX3: _PRS, _CRS, _SRS, _DIS by its registers 0x60..0x63
 *     \_SB.HPET
 *
 * Interrupt pins swizzle by slot as on PC boards: pin p of slot s is PIRQ (s + p + 3) mod 4, so
 * slot 1's INTA is PIRQA. With the I/O APIC, PIRQA..D are its inputs 16..19; without, they go where
 * the OS or firmware sends them by the links.
 *
 * Sources: ACPI 6.4, 6.2 (resources), 6.2.13 (_PRT), 19 (ASL), 20 (AML); 82371SB datasheet, 2.2.10.
 */
#include <stdio.h>
#include <string.h>

#include "hw/acpi/aml.h"
#include "hw/acpi/tables.h"

enum {
    OP_LOCAL0 = 0x60,
    OP_ARG0 = 0x68,
    OP_STORE = 0x70,
    OP_SHIFT_LEFT = 0x79,
    OP_AND = 0x7b,
    OP_OR = 0x7d,
    OP_SET_RIGHT_BIT = 0x82,
    OP_DECREMENT = 0x76,
    OP_WORD_FIELD = 0x8b,
    OP_EXT = 0x5b,
    OP_PROCESSOR = 0x83,

    SERIALIZED = 1 << 3, /* of a method's flags */
    SPACE_PCI_CONFIG = 2,
    PIRQRC = 0x60,
    PIRQ_OFF = 0x80,
    /* What PC firmware routes PIRQs to. */
    PIRQ_CHOICES = 1 << 5 | 1 << 10 | 1 << 11,
};

static void hid(struct aml *a, const char *id)
{
    aml_named(a, "_HID");
    aml_eisaid(a, id);
}

static void nothing(struct aml *a)
{
    aml_byte(a, 0); /* no target: NullName */
}

/* --- PCI interrupts --- */

/* And(PRQn, mask) */
static void and_route(struct aml *a, const char *reg, unsigned mask)
{
    aml_byte(a, OP_AND);
    aml_name(a, reg);
    aml_int(a, mask);
    nothing(a);
}

static void link_status(struct aml *a, const char *reg)
{
    size_t method = aml_method(a, "_STA", 0);
    size_t off = aml_if(a);
    and_route(a, reg, PIRQ_OFF);
    aml_return(a);
    aml_int(a, 0x09); /* present, works; disabled */
    aml_end(a, off);
    aml_return(a);
    aml_int(a, 0x0b);
    aml_end(a, method);
}

/* CreateWordField(buffer, 1, IRQM): the mask of the descriptor. */
static void mask_field(struct aml *a)
{
    aml_int(a, 1);
    aml_name(a, "IRQM");
}

/* Method(_CRS, 0, Serialized): a descriptor with the mask that the register says, 0 if off. */
static void link_current(struct aml *a, const char *reg)
{
    size_t method = aml_method(a, "_CRS", SERIALIZED);
    size_t res = aml_resources(a, "BUF");
    aml_crs_irq_shared(a, 0);
    aml_crs_end(a, res);
    aml_byte(a, OP_WORD_FIELD);
    aml_name(a, "BUF");
    mask_field(a);
    size_t off = aml_if(a);
    and_route(a, reg, PIRQ_OFF);
    aml_return(a);
    aml_name(a, "BUF");
    aml_end(a, off);
    aml_byte(a, OP_SHIFT_LEFT);
    aml_int(a, 1);
    and_route(a, reg, 15);
    aml_name(a, "IRQM");
    aml_return(a);
    aml_name(a, "BUF");
    aml_end(a, method);
}

static void link_set(struct aml *a, const char *reg)
{
    size_t method = aml_method(a, "_SRS", 1);
    aml_byte(a, OP_WORD_FIELD);
    aml_byte(a, OP_ARG0);
    mask_field(a);
    aml_byte(a, OP_SET_RIGHT_BIT); /* 1 for bit 0 */
    aml_name(a, "IRQM");
    aml_byte(a, OP_LOCAL0);
    size_t some = aml_if(a);
    aml_byte(a, OP_LOCAL0);
    aml_byte(a, OP_DECREMENT);
    aml_byte(a, OP_LOCAL0);
    aml_byte(a, OP_STORE);
    aml_byte(a, OP_LOCAL0);
    aml_name(a, reg);
    aml_end(a, some);
    aml_end(a, method);
}

static void link_off(struct aml *a, const char *reg)
{
    size_t method = aml_method(a, "_DIS", 0);
    aml_byte(a, OP_OR);
    aml_name(a, reg);
    aml_int(a, PIRQ_OFF);
    aml_name(a, reg);
    aml_end(a, method);
}

static void links(struct aml *a)
{
    for (unsigned i = 0; i < 4; i++) {
        char name[] = "LNKA", reg[] = "\\_SB.PCI0.ISA.PRQ0";
        name[3] = (char)('A' + i);
        reg[sizeof reg - 2] = (char)('0' + i);
        size_t dev = aml_device(a, name);
        hid(a, "PNP0C0F");
        aml_named(a, "_UID");
        aml_int(a, i + 1);
        size_t res = aml_resources(a, "_PRS");
        aml_crs_irq_shared(a, PIRQ_CHOICES);
        aml_crs_end(a, res);
        link_status(a, reg);
        link_current(a, reg);
        link_set(a, reg);
        link_off(a, reg);
        aml_end(a, dev);
    }
}

/* Name(PRTx, Package() { Package() {slot << 16 | 0xffff, pin, source, index}, ... }) */
static void routing(struct aml *a, const char *name, bool apic)
{
    aml_named(a, name);
    size_t all = aml_package(a, 31 * 4);
    for (unsigned slot = 1; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            unsigned pirq = (slot + pin + 3) & 3;
            char link[] = "LNKA";
            link[3] = (char)('A' + pirq);
            size_t one = aml_package(a, 4);
            aml_int(a, (uint64_t)slot << 16 | 0xffff);
            aml_int(a, pin);
            if (apic) {
                aml_int(a, 0);
                aml_int(a, 16 + pirq);
            } else {
                aml_name(a, link);
                aml_int(a, 0);
            }
            aml_end(a, one);
        }
    }
    aml_end(a, all);
}

static void prt(struct aml *a)
{
    size_t scope = aml_scope(a, "PCI0");
    routing(a, "PRTA", true);
    routing(a, "PRTP", false);
    size_t method = aml_method(a, "_PRT", 0);
    size_t yes = aml_if(a);
    aml_name(a, "PICF");
    aml_return(a);
    aml_name(a, "PRTA");
    aml_end(a, yes);
    aml_return(a);
    aml_name(a, "PRTP");
    aml_end(a, method);
    aml_end(a, scope);
}

/* --- Devices --- */

struct isa_part {
    const char *name, *id;
    struct {
        uint16_t base;
        uint8_t len; /* 0: none */
    } io[2];
    uint8_t irq; /* 0: none */
    bool dma2;
};

static size_t isa_begin(struct aml *a, const struct isa_part *p)
{
    size_t dev = aml_device(a, p->name);
    hid(a, p->id);
    size_t crs = aml_crs(a);
    for (unsigned i = 0; i < 2; i++) {
        if (p->io[i].len) {
            aml_crs_io(a, p->io[i].base, p->io[i].len);
        }
    }
    if (p->irq) {
        aml_crs_irq(a, p->irq);
    }
    if (p->dma2) {
        aml_crs_dma(a, 2);
    }
    aml_crs_end(a, crs);
    return dev;
}

static void isa_device(struct aml *a, const struct isa_part *p)
{
    aml_end(a, isa_begin(a, p));
}

/* _FDE: which of four drives are there, and a tape. */
static void fdc(struct aml *a, unsigned floppies)
{
    static const struct isa_part part = {"FDC0", "PNP0700", {{0x3f2, 4}, {0x3f7, 1}}, 6, true};
    size_t dev = isa_begin(a, &part);
    aml_named(a, "_FDE");
    size_t drives = aml_buffer(a, 20);
    for (unsigned i = 0; i < 5; i++) {
        aml_num(a, 4, i < 2 ? floppies >> i & 1 : i == 4 ? 2 : 0); /* 2: no tape, never */
    }
    aml_end(a, drives);
    aml_end(a, dev);
}

/* What belongs to no device: port 0x61, A20 and reset, APM, the edge/level registers, PM. */
static void board_resources(struct aml *a, const struct acpi_desc *d)
{
    size_t dev = aml_device(a, "MBRD");
    hid(a, "PNP0C02");
    size_t crs = aml_crs(a);
    aml_crs_io(a, 0x61, 1);
    aml_crs_io(a, 0x92, 1);
    if (d->pci) {
        aml_crs_io(a, 0xb2, 2);
        aml_crs_io(a, 0x4d0, 2);
        aml_crs_io(a, d->pmbase, 0x40);
    }
    aml_crs_end(a, crs);
    aml_end(a, dev);
}

/* As QEMU's: by it Linux finds fw_cfg. */
static void fw_cfg(struct aml *a)
{
    size_t dev = aml_device(a, "FWCF");
    aml_named(a, "_HID");
    aml_str(a, "QEMU0002");
    aml_named(a, "_STA");
    aml_int(a, 0x0b); /* not shown to the user */
    size_t crs = aml_crs(a);
    aml_crs_io(a, 0x510, 12);
    aml_crs_end(a, crs);
    aml_end(a, dev);
}

static void isa(struct aml *a, const struct acpi_desc *d)
{
    static const struct isa_part rtc = {"RTC", "PNP0B00", {{0x70, 2}, {0, 0}}, 8, false};
    static const struct isa_part kbd = {"KBD", "PNP0303", {{0x60, 1}, {0x64, 1}}, 1, false};
    static const struct isa_part mouse = {"MOU", "PNP0F13", {{0, 0}, {0, 0}}, 12, false};
    static const struct isa_part lpt = {"LPT1", "PNP0400", {{0x378, 8}, {0, 0}}, 7, false};
    static const struct isa_part com[4] = {
        {"COM1", "PNP0501", {{0x3f8, 8}, {0, 0}}, 4, false},
        {"COM2", "PNP0501", {{0x2f8, 8}, {0, 0}}, 3, false},
        {"COM3", "PNP0501", {{0x3e8, 8}, {0, 0}}, 4, false},
        {"COM4", "PNP0501", {{0x2e8, 8}, {0, 0}}, 3, false},
    };
    size_t bridge = aml_device(a, "ISA");
    aml_named(a, "_ADR");
    aml_int(a, 1u << 16);
    if (d->pci) {
        aml_region(a, "P40C", SPACE_PCI_CONFIG, PIRQRC, 4);
        size_t field = aml_field(a, "P40C", 1);
        for (unsigned i = 0; i < 4; i++) {
            char name[] = "PRQ0";
            name[3] = (char)('0' + i);
            aml_field_bits(a, name, 8);
        }
        aml_end(a, field);
    }
    board_resources(a, d);
    if (d->rtc) {
        isa_device(a, &rtc);
    }
    if (d->i8042) {
        isa_device(a, &kbd);
        isa_device(a, &mouse);
    }
    if (d->fdc) {
        fdc(a, d->floppies);
    }
    if (d->lpt) {
        isa_device(a, &lpt);
    }
    for (unsigned i = 0; i < d->ncom && i < 4; i++) {
        isa_device(a, &com[i]);
    }
    if (d->fw_cfg) {
        fw_cfg(a);
    }
    aml_end(a, bridge);
}

static void pci(struct aml *a, const struct acpi_desc *d)
{
    size_t dev = aml_device(a, "PCI0");
    hid(a, "PNP0A03");
    aml_named(a, "_ADR");
    aml_int(a, 0);
    aml_named(a, "_UID");
    aml_int(a, 0);
    size_t crs = aml_crs(a);
    aml_crs_range(a, 2, 2, 0, 0xff);
    aml_crs_io(a, 0xcf8, 8);
    aml_crs_range(a, 2, 1, 0x0000, 0x0cf7);
    aml_crs_range(a, 2, 1, 0x0d00, 0xffff);
    aml_crs_range(a, 4, 0, 0xa0000, 0xbffff);
    if (d->pci_hole && d->pci_hole < 0xfebfffff) {
        aml_crs_range(a, 4, 0, d->pci_hole, 0xfebfffff);
    }
    aml_crs_end(a, crs);
    isa(a, d);
    aml_end(a, dev);
    links(a);
    prt(a);
}

static void processors(struct aml *a, const struct acpi_desc *d)
{
    size_t scope = aml_scope(a, "\\_PR");
    for (unsigned i = 0; i < d->ncpus; i++) {
        char name[8];
        snprintf(name, sizeof name, "C%03X", i & 0xfff);
        aml_byte(a, OP_EXT);
        aml_byte(a, OP_PROCESSOR);
        size_t mark = a->len;
        aml_num(a, 3, 0);
        aml_name(a, name);
        aml_byte(a, i);
        aml_num(a, 4, 0); /* no processor block */
        aml_byte(a, 0);
        aml_end(a, mark);
    }
    aml_end(a, scope);
}

static void sleep_type(struct aml *a, const char *name, unsigned type)
{
    aml_named(a, name);
    size_t package = aml_package(a, 4);
    aml_int(a, type); /* PM1a, PM1b, reserved */
    aml_int(a, type);
    aml_int(a, 0);
    aml_int(a, 0);
    aml_end(a, package);
}

void acpi_dsdt(struct aml *a, const struct acpi_desc *d)
{
    aml_named(a, "\\PICF");
    aml_int(a, 0);
    size_t method = aml_method(a, "\\_PIC", 1);
    aml_byte(a, OP_STORE);
    aml_byte(a, OP_ARG0);
    aml_name(a, "\\PICF");
    aml_end(a, method);

    if (d->sleep) {
        sleep_type(a, "\\_S3", ACPI_SLP_S3);
        sleep_type(a, "\\_S4", ACPI_SLP_S4);
    }
    sleep_type(a, "\\_S5", ACPI_SLP_S5);

    processors(a, d);
    size_t sb = aml_scope(a, "\\_SB");
    if (d->pci) {
        pci(a, d);
    } else {
        isa(a, d);
    }
    if (d->hpet_addr) {
        size_t dev = aml_device(a, "HPET");
        hid(a, "PNP0103");
        size_t crs = aml_crs(a);
        aml_crs_fixed_memory(a, (uint32_t)d->hpet_addr, 0x400);
        aml_crs_end(a, crs);
        aml_end(a, dev);
    }
    aml_end(a, sb);
}
