// SMBIOS tables: entry point, structure lengths of version 2.8, strings, sizes of memory.

#include <stdlib.h>
#include <string.h>

#include "hw/firmware/smbios.h"
#include "tests/t.h"
#include "util/bits.h"

static struct smbios_desc desc(void)
{
    return (struct smbios_desc){
        .str = {[SMBIOS_SYS_MANUFACTURER] = "Maker", [SMBIOS_SYS_SERIAL] = "S/N 1"},
        .uuid = {0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
                 0xee, 0xff},
        .cpus = 2,
        .cpu_signature = 0x306c3,
        .max_speed = 2000,
        .ram_low = UINT64_C(3) << 30,
        .ram_high = UINT64_C(29) << 30,
    };
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    unsigned s = 0;
    while (n--) {
        s += p[n];
    }
    return (uint8_t)s;
}

static const uint8_t *next(const uint8_t *p)
{
    p += p[1];
    while (p[0] || p[1]) {
        p++;
    }
    return p + 2;
}

// The n-th structure of a type, from 0; NULL: there are fewer.
static const uint8_t *find(const uint8_t *buf, size_t len, unsigned type, unsigned n)
{
    for (const uint8_t *p = buf; p < buf + len; p = next(p)) {
        if (p[0] == type && n-- == 0) {
            return p;
        }
    }
    return NULL;
}

// The same; a failure, and zeros, if there are fewer.
static const uint8_t *get(const uint8_t *buf, size_t len, unsigned type, unsigned n)
{
    static const uint8_t none[256];
    const uint8_t *p = find(buf, len, type, n);
    EXPECT(p != NULL);
    return p ? p : none;
}

static const char *str(const uint8_t *p, unsigned number)
{
    const char *s = (const char *)p + p[1];
    while (number > 1) {
        s += strlen(s) + 1;
        number--;
    }
    return number ? s : "";
}

TEST(smbios_entry_point)
{
    static uint8_t buf[SMBIOS_MAX_BYTES];
    uint8_t a[SMBIOS_ANCHOR];
    struct smbios_desc d = desc();
    size_t n = smbios_build(&d, 0xf0020, buf, sizeof buf, a);
    EXPECT_MEM(a, "_SM_", 4);
    EXPECT_MEM(a + 16, "_DMI_", 5);
    EXPECT_EQ(a[5], 31);
    EXPECT_EQ(a[6], 2);
    EXPECT_EQ(a[7], 8);
    EXPECT_EQ(sum(a, 31), 0);
    EXPECT_EQ(sum(a + 16, 15), 0);
    EXPECT_EQ(le16_get(a + 22), n);
    EXPECT_EQ(le32_get(a + 24), 0xf0020);
    // The count and the largest one are as a reader finds them; the last is the end.
    unsigned count = 0, largest = 0;
    const uint8_t *p = buf, *last = buf;
    for (; p < buf + n; p = next(p)) {
        unsigned size = (unsigned)(next(p) - p);
        largest = size > largest ? size : largest;
        last = p;
        count++;
    }
    EXPECT(p == buf + n);
    EXPECT_EQ(last[0], 127);
    EXPECT_EQ(le16_get(a + 28), count);
    EXPECT_EQ(le16_get(a + 8), largest);
}

TEST(smbios_types)
{
    static uint8_t buf[SMBIOS_MAX_BYTES];
    static const uint8_t length[][2] = {{0, 0x18},  {1, 0x1b},  {2, 0x0f},  {3, 0x16},  {4, 0x2a},
                                        {16, 0x17}, {17, 0x28}, {19, 0x1f}, {32, 0x0b}, {127, 4}};
    uint8_t a[SMBIOS_ANCHOR];
    struct smbios_desc d = desc();
    size_t n = smbios_build(&d, 0, buf, sizeof buf, a);
    EXPECT(!find(buf, n, 0, 0) && !find(buf, n, 2, 0) && !find(buf, n, 11, 0));
    d.bios = d.board = true;
    d.oem[d.noem++] = "one";
    d.oem[d.noem++] = "two";
    n = smbios_build(&d, 0, buf, sizeof buf, a);
    for (unsigned i = 0; i < ARRAY_LEN(length); i++) {
        const uint8_t *p = find(buf, n, length[i][0], 0);
        t_context("type %u", length[i][0]);
        EXPECT(p && p[1] == length[i][1]);
    }
    t_context(" ");
    const uint8_t *sys = get(buf, n, 1, 0), *oem = get(buf, n, 11, 0);
    EXPECT_STR(str(sys, sys[4]), "Maker");
    EXPECT_EQ(sys[5], 0); // no product
    EXPECT_STR(str(sys, sys[7]), "S/N 1");
    EXPECT_MEM(sys + 8, "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
    EXPECT_EQ(oem[4], 2);
    EXPECT_STR(str(oem, 2), "two");
    EXPECT(find(buf, n, 4, 1) && !find(buf, n, 4, 2)); // two processors
    EXPECT_EQ(le32_get(get(buf, n, 4, 1) + 8), 0x306c3);
    EXPECT_EQ(le16_get(get(buf, n, 4, 0) + 0x14), 2000);
}

TEST(smbios_memory)
{
    static uint8_t buf[SMBIOS_MAX_BYTES];
    uint8_t a[SMBIOS_ANCHOR];
    struct smbios_desc d = desc();
    size_t n = smbios_build(&d, 0, buf, sizeof buf, a);
    const uint8_t *array = get(buf, n, 16, 0), *low = get(buf, n, 19, 0);
    const uint8_t *high = get(buf, n, 19, 1);
    EXPECT_EQ(le32_get(array + 7), UINT32_C(32) << 20); // KiB
    EXPECT_EQ(le16_get(array + 13), 2);
    EXPECT_EQ(le16_get(get(buf, n, 17, 1) + 12), 16384); // MiB
    EXPECT_EQ(le32_get(low + 4), 0);
    EXPECT_EQ(le32_get(low + 8), (UINT32_C(3) << 20) - 1);
    EXPECT_EQ(le32_get(high + 4), UINT32_C(4) << 20);
    EXPECT_EQ(le32_get(high + 8), (UINT32_C(33) << 20) - 1);
    // Above 2 TiB and 4 TiB the extended fields speak.
    d.ram_high = UINT64_C(5) << 40;
    n = smbios_build(&d, 0, buf, sizeof buf, a);
    EXPECT_EQ(le32_get(get(buf, n, 16, 0) + 7), 0x80000000);
    EXPECT_EQ(le64_get(get(buf, n, 16, 0) + 15), d.ram_low + d.ram_high);
    EXPECT_EQ(le32_get(get(buf, n, 19, 1) + 4), 0xffffffff);
    EXPECT_EQ(le64_get(get(buf, n, 19, 1) + 15), UINT64_C(1) << 32);
}

// Too small a buffer is refused and not overrun.
TEST(smbios_small_buffer)
{
    static uint8_t buf[SMBIOS_MAX_BYTES];
    uint8_t a[SMBIOS_ANCHOR];
    struct smbios_desc d = desc();
    size_t full = smbios_build(&d, 0, buf, sizeof buf, a);
    for (size_t n = 0; n < full; n++) {
        uint8_t *small = malloc(n ? n : 1);
        EXPECT_EQ(smbios_build(&d, 0, small, n, a), 0);
        free(small);
    }
    EXPECT_EQ(smbios_build(&d, 0, buf, full, a), full);
}
