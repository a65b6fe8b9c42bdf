/*
 * Memory from the host: alignment, zeros, and that huge pages (util/os_mem.h) change no byte, in
 * memory that is mapped twice neither. Whether the host has any is its own affair.
 */
#include <string.h>

#include "tests/t.h"
#include "util/os_code.h"
#include "util/os_mem.h"

static void fill(uint8_t *p, size_t n)
{
    for (size_t k = 0; k < n; k += 4096) {
        memset(p + k, (int)(k >> 12 & 0xff) + 1, 100);
    }
}

static bool filled(const uint8_t *p, size_t n)
{
    for (size_t k = 0; k < n; k += 4096) {
        if (p[k] != (uint8_t)((k >> 12 & 0xff) + 1) || p[k + 99] != p[k] || p[k + 100] != 0) {
            return false;
        }
    }
    return true;
}

TEST(collapsed_memory_keeps_its_bytes)
{
    enum { BYTES = 5 << 20 };
    EXPECT_EQ(os_mem_huge_up(BYTES), 6u << 20);
    EXPECT_EQ(os_mem_huge_up(OS_MEM_HUGE), OS_MEM_HUGE);
    uint8_t *p = os_mem_alloc(BYTES, OS_MEM_HUGE, 0);
    EXPECT(p && ((uintptr_t)p & (OS_MEM_HUGE - 1)) == 0);
    fill(p, BYTES);
    os_mem_collapse(p + 4096, BYTES - 4096); /* a part of a huge page at both ends */
    EXPECT(filled(p, BYTES));
    os_mem_collapse(p, BYTES);
    os_mem_collapse(p, BYTES);
    EXPECT(filled(p, BYTES));
    os_mem_free(p, BYTES);
}

TEST(collapsed_code_is_the_same_in_both_views)
{
    struct os_code c;
    if (!os_code_alloc(&c, 4u << 20)) {
        SKIP("no memory for code");
        return;
    }
    fill(c.write, 3u << 20);
    os_code_collapse(&c, 0, 2u << 20);
    os_code_collapse(&c, 2u << 20, 2u << 20);
    EXPECT(filled(c.write, 3u << 20) && filled(c.exec, 3u << 20));
    c.write[12345] = 0x5a; /* still one memory */
    EXPECT_EQ(c.exec[12345], 0x5a);
    os_code_free(&c);
}
