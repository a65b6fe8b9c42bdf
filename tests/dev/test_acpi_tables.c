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

// A walk over the AML: every package ends where its length says, names are well-formed, and what a
// reader needs is there. The device names and methods met, a space before each.
struct walk {
    const uint8_t *p, *end;
    char names[4096];
    bool bad;
};

static size_t pkg_length(struct walk *w)
{
    const uint8_t *at = w->p;
    unsigned more = *w->p++ >> 6;
    size_t n = more ? *at & 15 : *at & 63;
    for (unsigned i = 0; i < more; i++) {
        n |= (size_t)*w->p++ << (4 + 8 * i);
    }
    return n - (size_t)(w->p - at);
}

static void take_name(struct walk *w, char out[5])
{
    unsigned n = 1;
    w->p += *w->p == '\\';
    if (*w->p == 0x2e) {
        n = 2;
        w->p++;
    } else if (*w->p == 0x2f) {
        n = w->p[1];
        w->p += 2;
    } else if (*w->p == 0) {
        n = 0;
        w->p++;
    }
    out[0] = 0;
    for (; n; n--, w->p += 4) {
        for (unsigned i = 0; i < 4; i++) {
            uint8_t c = w->p[i];
            w->bad |= !((c >= 'A' && c <= 'Z') || c == '_' || (i && c >= '0' && c <= '9'));
            out[i] = (char)c;
        }
        out[4] = 0;
    }
}

static void take_data(struct walk *w)
{
    switch (*w->p++) {
    case 0:
    case 1:
        break;
    case 0x0a:
        w->p++;
        break;
    case 0x0b:
        w->p += 2;
        break;
    case 0x0c:
        w->p += 4;
        break;
    case 0x0d:
        w->p += strlen((const char *)w->p) + 1;
        break;
    case 0x11:
    case 0x12: {
        size_t n = pkg_length(w);
        w->p += n;
        break;
    }
    default:
        w->bad = true;
    }
}

static void note(struct walk *w, const char *name)
{
    EXPECT(strlen(w->names) + 6 < sizeof w->names);
    strcat(strcat(w->names, " "), name);
}

static void walk_terms(struct walk *w, const uint8_t *end);

// Scope, Device, Processor, or a thing whose inside is not looked at.
static void take_package(struct walk *w, bool inside, unsigned skip)
{
    char name[5];
    const uint8_t *start = w->p;
    size_t n = pkg_length(w);
    const uint8_t *end = w->p + n;
    w->bad |= end > w->end || end <= start;
    take_name(w, name);
    note(w, name);
    w->p += skip;
    if (inside && !w->bad) {
        walk_terms(w, end);
    }
    w->bad |= w->p > end;
    w->p = end;
}

static void walk_terms(struct walk *w, const uint8_t *end)
{
    char name[5];
    while (w->p < end && !w->bad) {
        uint8_t op = *w->p++;
        if (op == 0x08) {
            take_name(w, name);
            note(w, name);
            take_data(w);
        } else if (op == 0x10) {
            take_package(w, true, 0);
        } else if (op == 0x14) {
            take_package(w, false, 0);
        } else if (op == 0x5b && (*w->p == 0x82 || *w->p == 0x83)) {
            unsigned skip = *w->p++ == 0x83 ? 6 : 0;
            take_package(w, true, skip);
        } else if (op == 0x5b && *w->p == 0x81) {
            w->p++;
            take_package(w, false, 0);
        } else if (op == 0x5b && *w->p == 0x80) {
            w->p++;
            take_name(w, name);
            w->p++;
            take_data(w);
            take_data(w);
        } else {
            w->bad = true;
        }
    }
    EXPECT(w->p == end);
}

TEST(acpi_aml_structure)
{
    static uint8_t buf[65536];
    static const char *const want[] = {"_S3_", "_S4_", "_S5_", "_PIC", "PCI0", "_PRT", "LNKA",
                                       "LNKD", "_SRS", "_PRS", "_DIS", "RTC_", "KBD_", "MOU_",
                                       "FDC0", "_FDE", "LPT1", "COM1", "COM2", "HPET", "C003"};
    EXPECT(acpi_build(&desc, buf, sizeof buf) > 0);
    const uint8_t *dsdt = at(buf, le32_get(find(buf, "FACP") + 40));
    static struct walk w;
    w.p = dsdt + 36;
    w.end = dsdt + le32_get(dsdt + 4);
    walk_terms(&w, w.end);
    EXPECT(!w.bad && w.p == w.end);
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        t_context("%s", want[i]);
        EXPECT(strstr(w.names, want[i]) != NULL);
    }
    t_context("COM3");
    EXPECT(strstr(w.names, "COM3") == NULL);
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
