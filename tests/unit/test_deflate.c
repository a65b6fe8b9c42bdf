// util/deflate.c: what it writes is read by zlib as what went in, within the bound, for texts of
// all lengths and kinds.

#include "config.h"
#include "tests/t.h"
#include "util/deflate.h"

#include <stdlib.h>
#include <string.h>

#if HAVE_ZLIB
#include <zlib.h>

enum { MOST = 300000 };

static struct deflate tables;
static uint8_t text[MOST], packed[MOST + MOST / 8 + 64], back[MOST];

// The length of the stream; 0 after a complaint.
static size_t there_and_back(size_t len)
{
    size_t bound = deflate_bound(len);
    memset(packed + bound, 0xa5, 16);
    size_t n = deflate_zlib(&tables, text, len, packed);
    static const uint8_t untouched[16] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5,
                                          0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
    uLongf got = MOST;
    memset(back, 0xee, len);
    bool ok = EXPECT(n <= bound) && EXPECT_MEM(packed + bound, untouched, 16) &&
              EXPECT_EQ(uncompress(back, &got, packed, n), Z_OK) && EXPECT_EQ(got, len) &&
              (len == 0 || EXPECT(memcmp(back, text, len) == 0));
    return ok ? n : 0;
}

static uint64_t seed;

static uint32_t rnd(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static void random_text(size_t len)
{
    for (size_t i = 0; i < len; i++) {
        text[i] = (uint8_t)rnd();
    }
}

TEST(every_short_length)
{
    deflate_init(&tables);
    seed = 1;
    for (size_t len = 0; len < 600; len++) {
        memset(text, 0, len);
        if (!there_and_back(len)) {
            FAIL("zeros, %zu bytes", len);
        }
        random_text(len);
        if (!there_and_back(len)) {
            FAIL("noise, %zu bytes", len);
        }
        for (size_t i = 0; i < len; i++) {
            text[i] = (uint8_t)(i % 7 * 37);
        }
        if (!there_and_back(len)) {
            FAIL("a period of 7, %zu bytes", len);
        }
    }
}

// A page of zeros by one word, and the same in the midst of noise: each length of match, with what
// is left over behind 258.
TEST(every_length_of_match)
{
    deflate_init(&tables);
    seed = 2;
    for (size_t run = 0; run < 1100; run++) {
        random_text(100 + run + 100);
        memset(text + 100, 0x55, run);
        if (!there_and_back(100 + run + 100)) {
            FAIL("%zu bytes", run);
        }
    }
}

// Each distance that a symbol begins or ends with, and what lies too far back.
TEST(every_distance)
{
    deflate_init(&tables);
    seed = 3;
    for (unsigned shift = 5; shift <= 16; shift++) {
        for (int d = -2; d <= 2; d++) {
            size_t at = (size_t)((1 << shift) + d) + (shift > 6 ? (size_t)(rnd() & 1) << 5 : 0);
            random_text(at);
            memcpy(text + at, text, 40 < at ? 40 : at);
            size_t len = at + (40 < at ? 40 : at) + 30;
            random_text(0);
            size_t n = there_and_back(len);
            if (!n) {
                FAIL("distance %zu", at);
            }
        }
    }
}

// Memory as a guest has it: words of few kinds, runs, copies from anywhere.
TEST(mixtures)
{
    deflate_init(&tables);
    for (unsigned round = 0; round < 200; round++) {
        seed = 100 + round;
        size_t len = rnd() % MOST, i = 0;
        while (i < len) {
            size_t n = 1 + rnd() % (1u << (rnd() % 13));
            n = n < len - i ? n : len - i;
            unsigned kind = rnd() % 4;
            size_t back_by = i ? 1 + rnd() % i : 0;
            for (size_t k = 0; k < n; k++) {
                text[i + k] = kind == 0   ? 0
                              : kind == 1 ? (uint8_t)rnd()
                              : kind == 2 ? (uint8_t)(round + (k & 7) / 6)
                                          : (uint8_t)(back_by ? text[i + k - back_by] : 9);
            }
            i += n;
        }
        if (!there_and_back(len)) {
            FAIL("round %u, %zu bytes", round, len);
        }
    }
}

TEST(sizes)
{
    deflate_init(&tables);
    memset(text, 0, 65536);
    EXPECT(there_and_back(65536) < 700);
    for (unsigned i = 0; i < 65536; i += 8) { // pointers, as into an array
        memcpy(
            text + i,
            (uint8_t[8]){(uint8_t)(i >> 3), (uint8_t)(i >> 11), 0x34, 0x12, 0xff, 0xff, 0xff, 0xff},
            8);
    }
    EXPECT(there_and_back(65536) < 65536 / 2);
    seed = 5;
    random_text(65536);
    EXPECT(there_and_back(65536) > 65536);
    // One set of tables serves again, and gives the same.
    size_t n = deflate_zlib(&tables, text, 65536, packed);
    EXPECT_EQ(there_and_back(65536), n);
}

#else

TEST(deflate)
{
    SKIP("built without zlib");
}

#endif
