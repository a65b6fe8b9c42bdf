/*
 * The DSDT of the `pc` board: what an operating system cannot find by probing.
 *
 *     \_S5          soft off is sleep type 0 of PIIX4
 *     \_PIC         the OS says 1 when it uses the I/O APIC
 *     \_PR.C000..   processors
 *     \_SB.PCI0     host bridge: its windows, and _PRT: interrupts of each slot
 *       .ISA.*      the devices behind the ISA bridge
 *     \_SB.HPET
 *
 * Interrupt pins swizzle by slot as on PC boards: pin p of slot s is PIRQ (s + p + 3) mod 4, so
 * slot 1's INTA is PIRQA. With the I/O APIC, PIRQA..D are its inputs 16..19; without, they go where
 * the PIRQ router sends them: interrupts 10, 10, 11, 11 (property `routed` of piix3).
 */
#include <stdio.h>

#include "hw/acpi/aml.h"
#include "hw/acpi/tables.h"

enum { OP_STORE = 0x70, OP_RETURN = 0xa4, OP_ARG0 = 0x68, OP_EXT = 0x5b, OP_PROCESSOR = 0x83 };

static void hid(struct aml *a, const char *id)
{
    aml_named(a, "_HID");
    aml_eisaid(a, id);
}

/* Name(PRTx, Package() { Package() {slot << 16 | 0xffff, pin, 0, interrupt}, ... }) */
static void routing(struct aml *a, const char *name, const uint8_t irq[4])
{
    aml_named(a, name);
    size_t all = aml_package(a, 31 * 4);
    for (unsigned slot = 1; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            size_t one = aml_package(a, 4);
            aml_int(a, (uint64_t)slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_int(a, 0);
            aml_int(a, irq[(slot + pin + 3) & 3]);
            aml_end(a, one);
        }
    }
    aml_end(a, all);
}

static void prt(struct aml *a)
{
    static const uint8_t apic[4] = {16, 17, 18, 19}, pic[4] = {10, 10, 11, 11};
    routing(a, "PRTA", apic);
    routing(a, "PRTP", pic);
    size_t method = aml_method(a, "_PRT", 0);
    size_t yes = aml_if(a);
    aml_name(a, "PICF");
    aml_byte(a, OP_RETURN);
    aml_name(a, "PRTA");
    aml_end(a, yes);
    aml_byte(a, OP_RETURN);
    aml_name(a, "PRTP");
    aml_end(a, method);
}

struct isa_part {
    const char *name, *id;
    uint16_t io[2];
    uint8_t io_len, irq; /* irq 0: none */
};

static void isa_device(struct aml *a, const struct isa_part *p)
{
    size_t dev = aml_device(a, p->name);
    hid(a, p->id);
    size_t crs = aml_crs(a);
    for (unsigned i = 0; i < 2; i++) {
        if (p->io[i]) {
            aml_crs_io(a, p->io[i], p->io_len);
        }
    }
    if (p->irq) {
        aml_crs_irq(a, p->irq);
    }
    aml_crs_end(a, crs);
    aml_end(a, dev);
}

static void isa(struct aml *a, const struct acpi_desc *d)
{
    static const struct isa_part rtc = {"RTC", "PNP0B00", {0x70, 0}, 2, 8};
    static const struct isa_part kbd = {"KBD", "PNP0303", {0x60, 0x64}, 1, 1};
    static const struct isa_part mouse = {"MOU", "PNP0F13", {0, 0}, 0, 12};
    static const struct isa_part com[4] = {
        {"COM1", "PNP0501", {0x3f8, 0}, 8, 4},
        {"COM2", "PNP0501", {0x2f8, 0}, 8, 3},
        {"COM3", "PNP0501", {0x3e8, 0}, 8, 4},
        {"COM4", "PNP0501", {0x2e8, 0}, 8, 3},
    };
    size_t bridge = aml_device(a, "ISA");
    aml_named(a, "_ADR");
    aml_int(a, 1u << 16);
    isa_device(a, &rtc);
    if (d->i8042) {
        isa_device(a, &kbd);
        isa_device(a, &mouse);
    }
    for (unsigned i = 0; i < d->ncom && i < 4; i++) {
        isa_device(a, &com[i]);
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
    prt(a);
    isa(a, d);
    aml_end(a, dev);
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

void acpi_dsdt(struct aml *a, const struct acpi_desc *d)
{
    aml_named(a, "\\PICF");
    aml_int(a, 0);
    size_t method = aml_method(a, "\\_PIC", 1);
    aml_byte(a, OP_STORE);
    aml_byte(a, OP_ARG0);
    aml_name(a, "\\PICF");
    aml_end(a, method);

    aml_named(a, "\\_S5");
    size_t s5 = aml_package(a, 4);
    for (unsigned i = 0; i < 4; i++) {
        aml_int(a, 0);
    }
    aml_end(a, s5);

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
