/*
 * SMBIOS 2.8 tables with the 32-bit entry point.
 *
 * A structure is a type, a length, a handle and fields; the strings that it names by number follow
 * it, each with its NUL, and one more NUL (two if there are none).
 *
 * What always holds: types, lengths and offsets are those of version 2.8, so that readers of any
 * later one find what they know.
 *
 * Source: DMTF DSP0134 2.8.0, 5.2.1 (entry point), 6.1 (structures), 7.1 to 7.33 (types).
 */
#include "hw/firmware/smbios.h"

#include <string.h>

#include "util/bits.h"

/* Handles, a range for each type as PC firmware emulators number them. */
enum {
    H_BIOS = 0x000,
    H_SYSTEM = 0x100,
    H_BOARD = 0x200,
    H_CASE = 0x300,
    H_CPU = 0x400,
    H_OEM = 0xe00,
    H_ARRAY = 0x1000,
    H_DIMM = 0x1100,
    H_MAPPED = 0x1300,
    H_BOOT = 0x2000,
    H_END = 0x7f00,
    H_NONE = 0xffff,
    H_NO_ERROR_INFO = 0xfffe,

    MAX_STRINGS = 16,
    OTHER = 1,
    UNKNOWN = 2,
};

#define DIMM_MAX (UINT64_C(16) << 30) /* bytes of one module; the rest goes into more */

struct writer {
    uint8_t *buf;
    size_t len, cap, start; /* start: of the structure being written */
    bool overflow;
    const char *str[MAX_STRINGS];
    unsigned nstr, count;
    size_t largest;
};

/* size: 1, 2, 4 or 8. */
static void num(struct writer *w, unsigned size, uint64_t v)
{
    if (w->cap - w->len < size) {
        w->overflow = true;
        return;
    }
    le_put(w->buf + w->len, size, v);
    w->len += size;
}

static void zeros(struct writer *w, unsigned n)
{
    while (n--) {
        num(w, 1, 0);
    }
}

static void begin(struct writer *w, unsigned type, unsigned length, unsigned handle)
{
    w->start = w->len;
    w->nstr = 0;
    num(w, 1, type);
    num(w, 1, length);
    num(w, 2, handle);
}

/* The number of a string, 0 for none. */
static void string(struct writer *w, const char *s)
{
    bool have = s && *s && w->nstr < MAX_STRINGS;
    if (have) {
        w->str[w->nstr++] = s;
    }
    num(w, 1, have ? w->nstr : 0);
}

static void end(struct writer *w)
{
    for (unsigned i = 0; i < w->nstr; i++) {
        for (const char *s = w->str[i]; *s; s++) {
            num(w, 1, (uint8_t)*s);
        }
        num(w, 1, 0);
    }
    num(w, 1, 0);
    if (!w->nstr) {
        num(w, 1, 0);
    }
    if (w->len - w->start > w->largest) {
        w->largest = w->len - w->start;
    }
    w->count++;
}

/* A prefix with a number; `text` holds it until end(). */
static void numbered(struct writer *w, const char *prefix, unsigned n, char text[96])
{
    size_t len = prefix ? strnlen(prefix, 80) : 0;
    char digits[12];
    unsigned at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
    } while ((n /= 10) != 0);
    if (len) {
        memcpy(text, prefix, len);
    }
    text[len++] = ' ';
    memcpy(text + len, digits + at, sizeof digits - at);
    text[len + sizeof digits - at] = 0;
    string(w, text);
}

/* --- The types --- */

static void bios(struct writer *w, const struct smbios_desc *d)
{
    begin(w, 0, 0x18, H_BIOS);
    string(w, d->str[SMBIOS_BIOS_VENDOR]);
    string(w, d->str[SMBIOS_BIOS_VERSION]);
    num(w, 2, 0xe800); /* segment */
    string(w, d->str[SMBIOS_BIOS_DATE]);
    num(w, 1, 0);                          /* ROM size: 64 KiB */
    num(w, 8, 1 << 3);                     /* characteristics are not given */
    num(w, 1, 0);                          /* extension 1 */
    num(w, 1, d->bios_uefi ? 0x1c : 0x14); /* virtual machine, UEFI, targeted content */
    num(w, 1, d->bios_major);
    num(w, 1, d->bios_minor);
    num(w, 2, 0xffff); /* no embedded controller */
    end(w);
}

static void system_info(struct writer *w, const struct smbios_desc *d)
{
    const uint8_t *u = d->uuid;
    begin(w, 1, 0x1b, H_SYSTEM);
    string(w, d->str[SMBIOS_SYS_MANUFACTURER]);
    string(w, d->str[SMBIOS_SYS_PRODUCT]);
    string(w, d->str[SMBIOS_SYS_VERSION]);
    string(w, d->str[SMBIOS_SYS_SERIAL]);
    /* The first three fields of a UUID are numbers, little-endian here (7.2.1). */
    num(w, 4, be32_get(u));
    num(w, 2, be16_get(u + 4));
    num(w, 2, be16_get(u + 6));
    num(w, 8, le64_get(u + 8));
    num(w, 1, 6); /* woken by the power switch */
    string(w, d->str[SMBIOS_SYS_SKU]);
    string(w, d->str[SMBIOS_SYS_FAMILY]);
    end(w);
}

static void board(struct writer *w, const struct smbios_desc *d)
{
    begin(w, 2, 0x0f, H_BOARD);
    string(w, d->str[SMBIOS_BOARD_MANUFACTURER]);
    string(w, d->str[SMBIOS_BOARD_PRODUCT]);
    string(w, d->str[SMBIOS_BOARD_VERSION]);
    string(w, d->str[SMBIOS_BOARD_SERIAL]);
    string(w, d->str[SMBIOS_BOARD_ASSET]);
    num(w, 1, 1); /* hosts the processor */
    string(w, d->str[SMBIOS_BOARD_LOCATION]);
    num(w, 2, H_CASE);
    num(w, 1, 0x0a); /* motherboard */
    num(w, 1, 0);
    end(w);
}

static void chassis(struct writer *w, const struct smbios_desc *d)
{
    enum { SAFE = 3 };
    begin(w, 3, 0x16, H_CASE);
    string(w, d->str[SMBIOS_CASE_MANUFACTURER]);
    num(w, 1, OTHER);
    string(w, d->str[SMBIOS_CASE_VERSION]);
    string(w, d->str[SMBIOS_CASE_SERIAL]);
    string(w, d->str[SMBIOS_CASE_ASSET]);
    num(w, 1, SAFE); /* boot-up state, power supply, temperature */
    num(w, 1, SAFE);
    num(w, 1, SAFE);
    num(w, 1, UNKNOWN); /* security */
    num(w, 4, 0);
    num(w, 1, 0); /* height */
    num(w, 1, 0); /* power cords */
    num(w, 2, 0); /* contained elements */
    string(w, d->str[SMBIOS_CASE_SKU]);
    end(w);
}

static void processor(struct writer *w, const struct smbios_desc *d, unsigned i)
{
    char socket[96];
    begin(w, 4, 0x2a, H_CPU + i);
    numbered(w, d->str[SMBIOS_CPU_SOCKET], i, socket);
    num(w, 1, 3); /* central processor */
    num(w, 1, OTHER);
    string(w, d->str[SMBIOS_CPU_MANUFACTURER]);
    num(w, 4, d->cpu_signature);
    num(w, 4, d->cpu_features);
    string(w, d->str[SMBIOS_CPU_VERSION]);
    num(w, 1, 0); /* voltage */
    num(w, 2, 0); /* external clock: unknown */
    num(w, 2, d->max_speed);
    num(w, 2, d->current_speed);
    num(w, 1, 0x41); /* socket populated, enabled */
    num(w, 1, OTHER);
    num(w, 2, H_NONE); /* caches */
    num(w, 2, H_NONE);
    num(w, 2, H_NONE);
    string(w, d->str[SMBIOS_CPU_SERIAL]);
    string(w, d->str[SMBIOS_CPU_ASSET]);
    string(w, d->str[SMBIOS_CPU_PART]);
    num(w, 1, 1); /* cores, enabled cores, threads */
    num(w, 1, 1);
    num(w, 1, 1);
    num(w, 2, 1 << 1); /* characteristics: unknown */
    num(w, 2, OTHER);
    end(w);
}

static void oem_strings(struct writer *w, const struct smbios_desc *d)
{
    begin(w, 11, 5, H_OEM);
    num(w, 1, d->noem);
    for (unsigned i = 0; i < d->noem; i++) {
        w->str[w->nstr++] = d->oem[i];
    }
    end(w);
}

static unsigned dimm_count(uint64_t ram)
{
    return (unsigned)((ram + DIMM_MAX - 1) / DIMM_MAX);
}

static void memory_array(struct writer *w, uint64_t ram)
{
    uint64_t kib = ram >> 10;
    bool large = kib >= 0x80000000;
    begin(w, 16, 0x17, H_ARRAY);
    num(w, 1, OTHER);
    num(w, 1, 3); /* system memory */
    num(w, 1, 6); /* multi-bit ECC */
    num(w, 4, large ? 0x80000000 : kib);
    num(w, 2, H_NO_ERROR_INFO);
    num(w, 2, dimm_count(ram));
    num(w, 8, large ? ram : 0);
    end(w);
}

static void dimm(struct writer *w, const struct smbios_desc *d, unsigned i, uint64_t bytes)
{
    uint64_t mib = bytes >> 20;
    char locator[96];
    begin(w, 17, 0x28, H_DIMM + i);
    num(w, 2, H_ARRAY);
    num(w, 2, H_NO_ERROR_INFO);
    num(w, 2, 0xffff); /* widths: unknown */
    num(w, 2, 0xffff);
    num(w, 2, mib < 0x7fff ? mib : 0x7fff);
    num(w, 1, 9); /* DIMM */
    num(w, 1, 0); /* not of a set */
    numbered(w, d->str[SMBIOS_DIMM_LOCATOR], i, locator);
    string(w, d->str[SMBIOS_DIMM_BANK]);
    num(w, 1, 7);      /* RAM */
    num(w, 2, 1 << 1); /* other */
    num(w, 2, d->dimm_speed);
    string(w, d->str[SMBIOS_DIMM_MANUFACTURER]);
    string(w, d->str[SMBIOS_DIMM_SERIAL]);
    string(w, d->str[SMBIOS_DIMM_ASSET]);
    string(w, d->str[SMBIOS_DIMM_PART]);
    num(w, 1, 0); /* rank: unknown */
    num(w, 4, mib < 0x7fff ? 0 : mib);
    num(w, 2, d->dimm_speed);
    zeros(w, 6); /* voltages: unknown */
    end(w);
}

static void mapped(struct writer *w, unsigned i, uint64_t base, uint64_t bytes)
{
    uint64_t last = base + bytes - 1;
    bool large = last >> 10 >= 0xffffffff;
    begin(w, 19, 0x1f, H_MAPPED + i);
    num(w, 4, large ? 0xffffffff : base >> 10);
    num(w, 4, large ? 0xffffffff : last >> 10);
    num(w, 2, H_ARRAY);
    num(w, 1, 1); /* partition width */
    num(w, 8, large ? base : 0);
    num(w, 8, large ? last : 0);
    end(w);
}

static void boot_status(struct writer *w)
{
    begin(w, 32, 0x0b, H_BOOT);
    zeros(w, 6);
    num(w, 1, 0); /* no errors */
    end(w);
}

static void structures(struct writer *w, const struct smbios_desc *d)
{
    uint64_t ram = d->ram_low + d->ram_high;
    if (d->bios) {
        bios(w, d);
    }
    system_info(w, d);
    if (d->board) {
        board(w, d);
    }
    chassis(w, d);
    for (unsigned i = 0; i < d->cpus; i++) {
        processor(w, d, i);
    }
    if (d->noem) {
        oem_strings(w, d);
    }
    memory_array(w, ram);
    for (unsigned i = 0; i < dimm_count(ram); i++) {
        uint64_t left = ram - i * DIMM_MAX;
        dimm(w, d, i, left < DIMM_MAX ? left : DIMM_MAX);
    }
    mapped(w, 0, 0, d->ram_low);
    if (d->ram_high) {
        mapped(w, 1, UINT64_C(1) << 32, d->ram_high);
    }
    boot_status(w);
    begin(w, 127, 4, H_END);
    end(w);
}

static uint8_t checksum(const uint8_t *p, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += p[i];
    }
    return (uint8_t)(0 - sum);
}

size_t smbios_build(const struct smbios_desc *d, uint32_t addr, uint8_t *buf, size_t cap,
                    uint8_t anchor[SMBIOS_ANCHOR])
{
    struct writer w = {.buf = buf, .cap = cap < SMBIOS_MAX_BYTES ? cap : SMBIOS_MAX_BYTES};
    structures(&w, d);
    if (w.overflow) {
        return 0;
    }
    uint8_t *a = anchor;
    memset(a, 0, SMBIOS_ANCHOR);
    memcpy(a, "_SM_", 4);
    a[5] = SMBIOS_ANCHOR;
    a[6] = 2; /* version 2.8 */
    a[7] = 8;
    le16_put(a + 8, (uint16_t)w.largest);
    memcpy(a + 16, "_DMI_", 5);
    le16_put(a + 22, (uint16_t)w.len);
    le32_put(a + 24, addr);
    le16_put(a + 28, (uint16_t)w.count);
    a[30] = 0x28; /* BCD revision */
    a[21] = checksum(a + 16, 15);
    a[4] = checksum(a, SMBIOS_ANCHOR);
    return w.len;
}
