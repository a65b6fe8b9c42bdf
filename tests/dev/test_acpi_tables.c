// The ACPI tables: checksums, links, lengths, and the AML's structure. With T_ACPI_DIR set, each
// table is written there as a file, for iasl -d.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/acpi/tables.h"
#include "tests/t.h"
#include "util/bits.h"

#define BASE UINT64_C(0xe0000)

static const struct acpi_desc desc = {
    .base = BASE,
    .ncpus = 4,
    .apic = true,
    .lapic_addr = 0xfee00000,
    .ioapic_addr = 0xfec00000,
    .ioapic_id = 0,
    .pmbase = 0x600,
    .smi_cmd = 0xb2,
    .pci = true,
    .pci_hole = 0x80000000,
    .hpet_addr = 0xfed00000,
    .i8042 = true,
    .ncom = 2,
    .sleep = true,
    .rtc = true,
    .fdc = true,
    .floppies = 1,
    .lpt = true,
    .fw_cfg = true,
};

static uint8_t sum(const uint8_t *p, size_t n)
{
    unsigned s = 0;
    for (size_t i = 0; i < n; i++) {
        s += p[i];
    }
    return (uint8_t)s;
}

static const uint8_t *at(const uint8_t *buf, uint64_t addr)
{
    return buf + (addr - BASE);
}

static void dump(const uint8_t *table)
{
    const char *dir = getenv("T_ACPI_DIR");
    if (dir) {
        char path[512];
        snprintf(path, sizeof path, "%s/%.4s.dat", dir, (const char *)table);
        FILE *f = fopen(path, "wb");
        if (f) {
            fwrite(table, 1, le32_get(table + 4), f);
            fclose(f);
        }
    }
}

static const uint8_t *find(const uint8_t *buf, const char *signature)
{
    const uint8_t *xsdt = at(buf, le64_get(buf + 24));
    for (uint32_t off = 36; off < le32_get(xsdt + 4); off += 8) {
        const uint8_t *t = at(buf, le64_get(xsdt + off));
        if (memcmp(t, signature, 4) == 0) {
            return t;
        }
    }
    return NULL;
}

TEST(acpi_links_and_checksums)
{
    static uint8_t buf[65536];
    size_t n = acpi_build(&desc, buf, sizeof buf);
    EXPECT(n > 1000 && n < 16384);
    EXPECT_MEM(buf, "RSD PTR ", 8);
    EXPECT_EQ(sum(buf, 20), 0);
    EXPECT_EQ(sum(buf, 36), 0);
    const uint8_t *rsdt = at(buf, le32_get(buf + 16)), *xsdt = at(buf, le64_get(buf + 24));
    EXPECT_MEM(rsdt, "RSDT", 4);
    EXPECT_MEM(xsdt, "XSDT", 4);
    EXPECT_EQ(sum(rsdt, le32_get(rsdt + 4)), 0);
    EXPECT_EQ(sum(xsdt, le32_get(xsdt + 4)), 0);
    EXPECT_EQ((le32_get(xsdt + 4) - 36) / 8, 4);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQ(le64_get(xsdt + 36 + 8 * i), le32_get(rsdt + 36 + 4 * i));
        const uint8_t *t = at(buf, le64_get(xsdt + 36 + 8 * i));
        EXPECT(t + le32_get(t + 4) <= buf + n);
        EXPECT_EQ(sum(t, le32_get(t + 4)), 0);
        dump(t);
    }
    const uint8_t *fadt = find(buf, "FACP");
    if (!EXPECT(fadt && find(buf, "APIC") && find(buf, "HPET") && find(buf, "WAET"))) {
        return;
    }
    EXPECT_EQ(le32_get(fadt + 4), 244);
    EXPECT_EQ(le32_get(fadt + 56), 0x600); // PM1a_EVT_BLK
    EXPECT_EQ(le32_get(fadt + 64), 0x604);
    EXPECT_EQ(le32_get(fadt + 76), 0x608);
    EXPECT_EQ(fadt[108], 0x32);
    EXPECT_EQ(le32_get(fadt + 112), 0x425);
    EXPECT_EQ(le64_get(fadt + 120), 0xcf9);
    EXPECT_EQ(fadt[128], 6);
    EXPECT_EQ(le64_get(fadt + 132), 0);                   // the FACS is at 36
    EXPECT_EQ(le64_get(fadt + 140), le32_get(fadt + 40)); // DSDT
    EXPECT_EQ(le64_get(fadt + 148 + 4), 0x600);
    EXPECT_EQ(le64_get(fadt + 208 + 4), 0x608);
    const uint8_t *facs = at(buf, le32_get(fadt + 36)), *dsdt = at(buf, le32_get(fadt + 40));
    EXPECT_MEM(facs, "FACS", 4);
    EXPECT_EQ(le32_get(fadt + 36) % 64, 0);
    EXPECT_MEM(dsdt, "DSDT", 4);
    EXPECT_EQ(sum(dsdt, le32_get(dsdt + 4)), 0);
    dump(dsdt);
}

TEST(acpi_madt_lists_cpus)
{
    static uint8_t buf[65536];
    for (unsigned cpus = 1; cpus <= 8; cpus++) {
        struct acpi_desc d = desc;
        d.ncpus = cpus;
        EXPECT(acpi_build(&d, buf, sizeof buf) > 0);
        const uint8_t *m = find(buf, "APIC");
        unsigned lapics = 0, ioapics = 0;
        uint32_t len = le32_get(m + 4), off = 44;
        EXPECT_EQ(le32_get(m + 36), 0xfee00000);
        while (off < len && m[off + 1]) {
            lapics += m[off] == 0;
            ioapics += m[off] == 1;
            off += m[off + 1];
        }
        EXPECT_EQ(off, len);
        EXPECT_EQ(lapics, cpus);
        EXPECT_EQ(ioapics, 1);
    }
}

// Everything optional left out; and any size that is too small is refused and not overrun.
TEST(acpi_small_machine_and_small_buffer)
{
    static uint8_t buf[65536];
    struct acpi_desc d = {.base = BASE, .ncpus = 1, .pmbase = 0x600};
    EXPECT(acpi_build(&d, buf, sizeof buf) > 0);
    EXPECT(!find(buf, "APIC") && !find(buf, "HPET") && find(buf, "FACP"));
    size_t full = acpi_build(&desc, buf, sizeof buf);
    for (size_t n = 0; n < full; n += 1 + n / 64) {
        uint8_t *small = malloc(n ? n : 1);
        EXPECT_EQ(acpi_build(&desc, small, n), 0);
        free(small);
    }
    EXPECT_EQ(acpi_build(&desc, buf, full), full);
}
