/*
 * ACPI tables for direct boot: RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, HPET.
 *
 * A pure function from a description to bytes. The description's `base` says where the bytes will
 * stand in guest memory, since the tables point at each other; everything is below 4 GiB, so that
 * the RSDT works too.
 *
 * Source: ACPI 6.4, 5.2 (tables), 4.8.3 (fixed hardware); IA-PC HPET 1.0a, 3.2.4.
 */
#include "hw/acpi/tables.h"

#include <string.h>

#include "hw/acpi/aml.h"
#include "util/bits.h"

enum {
    RSDP_SIZE = 36,
    HEADER_SIZE = 36,
    MAX_TABLES = 8,
    SCI_IRQ = 9,

    GAS_MEMORY = 0,
    GAS_IO = 1,

    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_SLP_BUTTON = 1 << 5, /* there is none in fixed hardware */
    FADT_FIX_RTC = 1 << 6,    /* RTC wake is not in fixed hardware */
    FADT_RESET_REG = 1 << 10,
    BOOT_LEGACY = 1 << 0,
    BOOT_8042 = 1 << 1,

    MADT_PCAT = 1 << 0,
    POLARITY_HIGH = 1,
    TRIGGER_EDGE = 1 << 2,
    TRIGGER_LEVEL = 3 << 2,
};

struct tables {
    struct aml a;
    const struct acpi_desc *d;
    uint64_t addr[MAX_TABLES]; /* what RSDT and XSDT list */
    unsigned n;
};

static void align(struct tables *t, size_t to)
{
    while (t->a.len % to && !t->a.overflow) {
        aml_byte(&t->a, 0);
    }
}

/* A table header with its length and checksum left 0. Gives the table's offset. */
static size_t table_begin(struct tables *t, const char *signature, unsigned revision)
{
    struct aml *a = &t->a;
    align(t, 16);
    size_t at = a->len;
    aml_bytes(a, signature, 4);
    aml_num(a, 4, 0);
    aml_byte(a, revision);
    aml_byte(a, 0);
    aml_bytes(a, "DOPPEL", 6);
    aml_bytes(a, "DOPPELPC", 8);
    aml_num(a, 4, 1);
    aml_bytes(a, "DPPL", 4);
    aml_num(a, 4, 1);
    return at;
}

static uint8_t checksum(const uint8_t *p, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += p[i];
    }
    return (uint8_t)(0 - sum);
}

static uint64_t table_end(struct tables *t, size_t at)
{
    if (!t->a.overflow) {
        uint8_t *p = t->a.buf + at;
        le32_put(p + 4, (uint32_t)(t->a.len - at));
        p[9] = checksum(p, t->a.len - at);
    }
    return t->d->base + at;
}

static void list(struct tables *t, uint64_t addr)
{
    t->addr[t->n++] = addr;
}

/* A generic address structure. */
static void gas(struct aml *a, unsigned space, unsigned bits, uint64_t addr)
{
    aml_byte(a, space);
    aml_byte(a, bits);
    aml_byte(a, 0);
    aml_byte(a, addr && bits <= 32 ? (bits == 8 ? 1 : bits == 16 ? 2 : 3) : 0);
    aml_num(a, 8, addr);
}

static uint64_t facs(struct tables *t)
{
    align(t, 64);
    size_t at = t->a.len;
    aml_bytes(&t->a, "FACS", 4);
    aml_num(&t->a, 4, 64);
    for (unsigned i = 8; i < 64; i++) {
        aml_byte(&t->a, i == 32 ? 2 : 0); /* version 2 */
    }
    return t->d->base + at;
}

static uint64_t dsdt(struct tables *t)
{
    size_t at = table_begin(t, "DSDT", 2);
    acpi_dsdt(&t->a, t->d);
    return table_end(t, at);
}

/* FADT revision 3, 244 bytes: fields in the order of Table 5.9. */
static void fadt(struct tables *t, uint64_t facs_addr, uint64_t dsdt_addr)
{
    struct aml *a = &t->a;
    const struct acpi_desc *d = t->d;
    unsigned pm = d->pmbase;
    size_t at = table_begin(t, "FACP", 3);
    aml_num(a, 4, facs_addr);
    aml_num(a, 4, dsdt_addr);
    aml_byte(a, 0); /* reserved */
    aml_byte(a, 1); /* preferred profile: desktop */
    aml_num(a, 2, SCI_IRQ);
    aml_num(a, 4, d->smi_cmd);
    aml_byte(a, d->smi_cmd ? 0xf1 : 0); /* ACPI_ENABLE */
    aml_byte(a, d->smi_cmd ? 0xf0 : 0); /* ACPI_DISABLE */
    aml_num(a, 2, 0);                   /* S4BIOS_REQ, PSTATE_CNT */
    aml_num(a, 4, pm);                  /* PM1a_EVT_BLK */
    aml_num(a, 4, 0);
    aml_num(a, 4, pm + 4); /* PM1a_CNT_BLK */
    aml_num(a, 4, 0);
    aml_num(a, 4, 0);       /* PM2_CNT_BLK */
    aml_num(a, 4, pm + 8);  /* PM_TMR_BLK */
    aml_num(a, 4, pm + 12); /* GPE0_BLK */
    aml_num(a, 4, 0);
    aml_byte(a, 4); /* PM1_EVT_LEN */
    aml_byte(a, 2); /* PM1_CNT_LEN */
    aml_byte(a, 0);
    aml_byte(a, 4);        /* PM_TMR_LEN */
    aml_byte(a, 4);        /* GPE0_BLK_LEN */
    aml_num(a, 3, 0);      /* GPE1 length and base, CST_CNT */
    aml_num(a, 2, 0x0fff); /* no C2 */
    aml_num(a, 2, 0x0fff); /* no C3 */
    aml_num(a, 4, 0);      /* FLUSH_SIZE, FLUSH_STRIDE: WBINVD works */
    aml_num(a, 4, 0);      /* duty, DAY_ALRM, MON_ALRM */
    aml_byte(a, 0x32);     /* CENTURY */
    aml_num(a, 2, BOOT_LEGACY | (d->i8042 ? BOOT_8042 : 0));
    aml_byte(a, 0);
    aml_num(a, 4,
            FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC |
                (d->pci ? FADT_RESET_REG : 0));
    gas(a, GAS_IO, 8, d->pci ? 0xcf9 : 0);
    aml_byte(a, d->pci ? 6 : 0); /* RESET_VALUE */
    aml_num(a, 3, 0);
    aml_num(a, 8, 0); /* X_FIRMWARE_CTRL: the 32-bit one serves, and one of them must be 0 */
    aml_num(a, 8, dsdt_addr);
    gas(a, GAS_IO, 32, pm);
    gas(a, GAS_IO, 0, 0);
    gas(a, GAS_IO, 16, pm + 4);
    gas(a, GAS_IO, 0, 0);
    gas(a, GAS_IO, 0, 0);
    gas(a, GAS_IO, 32, pm + 8);
    gas(a, GAS_IO, 32, pm + 12);
    gas(a, GAS_IO, 0, 0);
    list(t, table_end(t, at));
}

static void override(struct aml *a, unsigned irq, unsigned gsi, unsigned flags)
{
    aml_byte(a, 2);
    aml_byte(a, 10);
    aml_byte(a, 0); /* ISA */
    aml_byte(a, irq);
    aml_num(a, 4, gsi);
    aml_num(a, 2, flags);
}

static void madt(struct tables *t)
{
    struct aml *a = &t->a;
    const struct acpi_desc *d = t->d;
    size_t at = table_begin(t, "APIC", 3);
    aml_num(a, 4, d->lapic_addr);
    aml_num(a, 4, MADT_PCAT);
    for (unsigned i = 0; i < d->ncpus; i++) {
        aml_byte(a, 0); /* local APIC */
        aml_byte(a, 8);
        aml_byte(a, i);
        aml_byte(a, i);
        aml_num(a, 4, 1); /* enabled */
    }
    aml_byte(a, 1); /* I/O APIC */
    aml_byte(a, 12);
    aml_byte(a, d->ioapic_id);
    aml_byte(a, 0);
    aml_num(a, 4, d->ioapic_addr);
    aml_num(a, 4, 0);
    override(a, 0, 2, 0); /* the PIT comes in at 2 */
    override(a, SCI_IRQ, SCI_IRQ, POLARITY_HIGH | TRIGGER_LEVEL);
    aml_byte(a, 4); /* NMI at LINT1 of every processor */
    aml_byte(a, 6);
    aml_byte(a, 0xff);
    aml_num(a, 2, POLARITY_HIGH | TRIGGER_EDGE);
    aml_byte(a, 1);
    list(t, table_end(t, at));
}

static void hpet(struct tables *t)
{
    struct aml *a = &t->a;
    size_t at = table_begin(t, "HPET", 1);
    aml_num(a, 4, 0x8086a201); /* three comparators, 64 bits, legacy routing */
    gas(a, GAS_MEMORY, 64, t->d->hpet_addr);
    aml_byte(a, 0);
    aml_num(a, 2, 0x80); /* shortest period without lost interrupts, ticks */
    aml_byte(a, 0);
    list(t, table_end(t, at));
}

/* RSDT (4-byte entries) or XSDT (8). */
static uint64_t root(struct tables *t, const char *signature, unsigned entry)
{
    size_t at = table_begin(t, signature, 1);
    for (unsigned i = 0; i < t->n; i++) {
        aml_num(&t->a, entry, t->addr[i]);
    }
    return table_end(t, at);
}

static void rsdp(uint8_t *p, uint64_t rsdt, uint64_t xsdt)
{
    memset(p, 0, RSDP_SIZE);
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "DOPPEL", 6);
    p[15] = 2; /* revision */
    le32_put(p + 16, (uint32_t)rsdt);
    le32_put(p + 20, RSDP_SIZE);
    le64_put(p + 24, xsdt);
    p[8] = checksum(p, 20);
    p[32] = checksum(p, RSDP_SIZE);
}

size_t acpi_build(const struct acpi_desc *d, uint8_t *buf, size_t len)
{
    struct tables t = {.a = {.buf = buf, .cap = len}, .d = d};
    for (unsigned i = 0; i < RSDP_SIZE; i++) {
        aml_byte(&t.a, 0);
    }
    uint64_t facs_addr = facs(&t), dsdt_addr = dsdt(&t);
    fadt(&t, facs_addr, dsdt_addr);
    if (d->apic) {
        madt(&t);
    }
    if (d->hpet_addr) {
        hpet(&t);
    }
    uint64_t rsdt = root(&t, "RSDT", 4);
    uint64_t xsdt = root(&t, "XSDT", 8);
    if (t.a.overflow) {
        return 0;
    }
    rsdp(buf, rsdt, xsdt);
    return t.a.len;
}
