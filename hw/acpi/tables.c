/*
 * ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, HPET, WAET.
 *
 * A pure function from a description to bytes, without the addresses by which tables point at each
 * other and without checksums: those are listed beside the bytes. For direct boot acpi_build puts
 * them in; firmware does it by the script of loader.c, after it has chosen a place. Everything is
 * below 4 GiB, so that the RSDT works too.
 *
 * Old readers: the DSDT has revision 1 (32-bit integers), the FADT revision 3, which systems since
 * Windows 98 accept.
 *
 * Source: ACPI 6.4, 5.2 (tables), 4.8.3 (fixed hardware); IA-PC HPET 1.0a, 3.2.4; Windows ACPI
 * Emulated Devices Table (2009).
 */
#include "hw/acpi/tables.h"

#include <assert.h>
#include <string.h>

#include "hw/acpi/aml.h"
#include "util/bits.h"

enum {
    MAX_TABLES = 8,
    SCI_IRQ = 9,

    GAS_MEMORY = 0,
    GAS_IO = 1,

    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_SLP_BUTTON = 1 << 5, /* there is none in fixed hardware */
    FADT_RESET_REG = 1 << 10,
    BOOT_LEGACY = 1 << 0,
    BOOT_8042 = 1 << 1,

    MADT_PCAT = 1 << 0,
    POLARITY_HIGH = 1,
    TRIGGER_EDGE = 1 << 2,
    TRIGGER_LEVEL = 3 << 2,

    WAET_PM_TIMER = 1 << 1,
};

struct tables {
    struct aml a;
    const struct acpi_desc *d;
    struct acpi_image *im;
    uint32_t at[MAX_TABLES]; /* what RSDT and XSDT list */
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

static void add_sum(struct tables *t, size_t at, size_t start, size_t len)
{
    struct acpi_image *im = t->im;
    assert(im->nsums < ACPI_MAX_SUMS);
    im->sum[im->nsums++] = (struct acpi_sum){(uint32_t)at, (uint32_t)start, (uint32_t)len};
}

static void table_end(struct tables *t, size_t at)
{
    if (!t->a.overflow) {
        le32_put(t->a.buf + at + 4, (uint32_t)(t->a.len - at));
    }
    add_sum(t, at + 9, at, t->a.len - at);
}

static void add_link(struct tables *t, size_t at, unsigned size, size_t to)
{
    struct acpi_image *im = t->im;
    assert(im->nlinks < ACPI_MAX_LINKS);
    im->link[im->nlinks++] = (struct acpi_link){(uint32_t)at, (uint32_t)to, (uint8_t)size};
}

/* Room for the address of what is at `to`. */
static void pointer(struct tables *t, unsigned size, size_t to)
{
    add_link(t, t->a.len, size, to);
    aml_num(&t->a, size, 0);
}

static void list(struct tables *t, size_t at)
{
    t->at[t->n++] = (uint32_t)at;
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

static size_t facs(struct tables *t)
{
    align(t, 64);
    size_t at = t->a.len;
    aml_bytes(&t->a, "FACS", 4);
    aml_num(&t->a, 4, 64);
    for (unsigned i = 8; i < 64; i++) {
        aml_byte(&t->a, i == 32 ? 2 : 0); /* version 2 */
    }
    return at;
}

static size_t dsdt(struct tables *t)
{
    size_t at = table_begin(t, "DSDT", 1);
    acpi_dsdt(&t->a, t->d);
    table_end(t, at);
    return at;
}

/* FADT revision 3, 244 bytes: fields in the order of Table 5.9. */
static void fadt(struct tables *t, size_t facs_at, size_t dsdt_at)
{
    struct aml *a = &t->a;
    const struct acpi_desc *d = t->d;
    unsigned pm = d->pmbase;
    size_t at = table_begin(t, "FACP", 3);
    pointer(t, 4, facs_at);
    pointer(t, 4, dsdt_at);
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
    aml_num(a, 4, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | (d->pci ? FADT_RESET_REG : 0));
    gas(a, GAS_IO, 8, d->pci ? 0xcf9 : 0);
    aml_byte(a, d->pci ? 6 : 0); /* RESET_VALUE */
    aml_num(a, 3, 0);
    aml_num(a, 8, 0); /* X_FIRMWARE_CTRL: the 32-bit one serves, and one of them must be 0 */
    pointer(t, 8, dsdt_at);
    gas(a, GAS_IO, 32, pm);
    gas(a, GAS_IO, 0, 0);
    gas(a, GAS_IO, 16, pm + 4);
    gas(a, GAS_IO, 0, 0);
    gas(a, GAS_IO, 0, 0);
    gas(a, GAS_IO, 32, pm + 8);
    gas(a, GAS_IO, 32, pm + 12);
    gas(a, GAS_IO, 0, 0);
    table_end(t, at);
    list(t, at);
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
    table_end(t, at);
    list(t, at);
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
    table_end(t, at);
    list(t, at);
}

/* Windows need not guard against wrong reads of the PM timer. */
static void waet(struct tables *t)
{
    size_t at = table_begin(t, "WAET", 1);
    aml_num(&t->a, 4, WAET_PM_TIMER);
    table_end(t, at);
    list(t, at);
}

/* RSDT (4-byte entries) or XSDT (8). */
static size_t root(struct tables *t, const char *signature, unsigned entry)
{
    size_t at = table_begin(t, signature, 1);
    for (unsigned i = 0; i < t->n; i++) {
        pointer(t, entry, t->at[i]);
    }
    table_end(t, at);
    return at;
}

static void rsdp(struct tables *t, size_t rsdt, size_t xsdt)
{
    uint8_t *p = t->a.buf;
    memset(p, 0, ACPI_RSDP_SIZE);
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, "DOPPEL", 6);
    p[15] = 2; /* revision */
    le32_put(p + 20, ACPI_RSDP_SIZE);
    add_link(t, 16, 4, rsdt);
    add_link(t, 24, 8, xsdt);
    add_sum(t, 8, 0, 20);
    add_sum(t, 32, 0, ACPI_RSDP_SIZE);
}

bool acpi_layout(const struct acpi_desc *d, struct acpi_image *im)
{
    struct tables t = {.a = {.buf = im->buf, .cap = im->cap}, .d = d, .im = im};
    im->nlinks = im->nsums = 0;
    for (unsigned i = 0; i < ACPI_TABLES_AT; i++) {
        aml_byte(&t.a, 0);
    }
    size_t facs_at = facs(&t), dsdt_at = dsdt(&t);
    fadt(&t, facs_at, dsdt_at);
    if (d->apic) {
        madt(&t);
    }
    if (d->hpet_addr) {
        hpet(&t);
    }
    waet(&t);
    size_t rsdt_at = root(&t, "RSDT", 4), xsdt_at = root(&t, "XSDT", 8);
    if (!t.a.overflow) {
        rsdp(&t, rsdt_at, xsdt_at);
    }
    im->len = t.a.len;
    return !t.a.overflow;
}

size_t acpi_build(const struct acpi_desc *d, uint8_t *buf, size_t len)
{
    struct acpi_image im = {.buf = buf, .cap = len};
    if (!acpi_layout(d, &im)) {
        return 0;
    }
    for (unsigned i = 0; i < im.nlinks; i++) {
        le_put(buf + im.link[i].at, im.link[i].size, d->base + im.link[i].to);
    }
    for (unsigned i = 0; i < im.nsums; i++) {
        unsigned sum = 0;
        for (uint32_t n = 0; n < im.sum[i].len; n++) {
            sum += buf[im.sum[i].start + n];
        }
        buf[im.sum[i].at] = (uint8_t)(0 - sum);
    }
    return im.len;
}
