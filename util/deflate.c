/*
 * One block of the fixed Huffman codes (RFC 1951, 3.2.6). Matches are looked for at the place that
 * had the same five bytes last, and nowhere else; where none was found for long, only at some
 * bytes. So the time goes to what is not zero and not repeated, at a few cycles a byte.
 *
 * What always holds: no byte costs more than 9 bits, since a match of four bytes costs at most 31
 * and one of three, as the rest of a long one, at most 26.
 */
#include "util/deflate.h"

#include <string.h>

#include "util/bits.h"

#define WINDOW   32768u /* the farthest match */
#define LONGEST  258u
#define SHORTEST 4u  /* that is looked for; the format has 3 */
#define TAIL     16u /* bytes at the end that are literals: words are read at once */

/* --- Codes --- */

/* Huffman codes go out with their first bit lowest. */
static uint32_t reversed(uint32_t v, unsigned n)
{
    uint32_t r = 0;
    for (unsigned i = 0; i < n; i++) {
        r |= (v >> i & 1) << (n - 1 - i);
    }
    return r;
}

/* A literal or length symbol, 0 to 287. */
static struct deflate_code code_of(unsigned symbol)
{
    if (symbol < 144) {
        return (struct deflate_code){reversed(0x30 + symbol, 8), 8};
    }
    if (symbol < 256) {
        return (struct deflate_code){reversed(0x190 + symbol - 144, 9), 9};
    }
    if (symbol < 280) {
        return (struct deflate_code){reversed(symbol - 256, 7), 7};
    }
    return (struct deflate_code){reversed(0xc0 + symbol - 280, 8), 8};
}

/* How many bits follow distance symbol s, and the first distance that it stands for, less 1. */
static unsigned distance_extra(unsigned s)
{
    return s < 2 ? 0 : s / 2 - 1;
}

static uint32_t distance_first(unsigned s)
{
    return s < 2 ? s : (2u + (s & 1)) << distance_extra(s);
}

void deflate_init(struct deflate *d)
{
    memset(d, 0, sizeof *d);
    for (unsigned i = 0; i < 256; i++) {
        d->literal[i] = code_of(i);
    }
    /* Symbols 257 to 264 are lengths 3 to 10; then four symbols for each number of extra bits. */
    unsigned len = 3;
    for (unsigned s = 257; s < 285; s++) {
        unsigned extra = s < 265 ? 0 : (s - 261) / 4;
        struct deflate_code c = code_of(s);
        for (unsigned x = 0; x < 1u << extra; x++) {
            d->length[len++] = (struct deflate_code){c.bits | x << c.n, c.n + extra};
        }
    }
    d->length[LONGEST] = code_of(285); /* which 284 could have said too */
    for (unsigned s = 0; s < 30; s++) {
        uint32_t first = distance_first(s), n = UINT32_C(1) << distance_extra(s);
        for (uint32_t x = first; x < first + n; x++) {
            d->distance[x < 256 ? x : 256 + (x >> 7)] = (uint8_t)s;
        }
    }
}

/* --- Bits --- */

struct out {
    uint8_t *p;
    uint64_t bits;
    unsigned n; /* below 8 after out_flush */
};

static inline void out_put(struct out *o, uint32_t bits, unsigned n)
{
    o->bits |= (uint64_t)bits << o->n;
    o->n += n;
}

/* At most 56 bits after each flush. */
static inline void out_flush(struct out *o)
{
    le64_put(o->p, o->bits);
    o->p += o->n >> 3;
    o->bits >>= o->n & ~7u;
    o->n &= 7;
}

static inline void out_literals(struct out *o, const struct deflate *d, const uint8_t *p,
                                const uint8_t *end)
{
    for (; end - p >= 4; p += 4) {
        for (unsigned i = 0; i < 4; i++) {
            out_put(o, d->literal[p[i]].bits, d->literal[p[i]].n);
        }
        out_flush(o);
    }
    for (; p < end; p++) {
        out_put(o, d->literal[*p].bits, d->literal[*p].n);
    }
    out_flush(o);
}

static inline void out_match(struct out *o, const struct deflate *d, size_t len, uint32_t distance)
{
    uint32_t x = distance - 1;
    unsigned s = d->distance[x < 256 ? x : 256 + (x >> 7)], extra = distance_extra(s);
    uint32_t bits = reversed(s, 5) | (x - distance_first(s)) << 5;
    while (len) {
        size_t n = len <= LONGEST ? len : len - LONGEST < 3 ? LONGEST - 3 : LONGEST;
        out_put(o, d->length[n].bits, d->length[n].n);
        out_put(o, bits, 5 + extra);
        out_flush(o);
        len -= n;
    }
}

/* --- Matches --- */

static inline uint32_t hash_of(uint64_t word)
{
    return (uint32_t)((word << 24) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - DEFLATE_HASH));
}

/* How many bytes at p are those at q, which is before p. */
static inline size_t same(const uint8_t *p, const uint8_t *q, const uint8_t *end)
{
    const uint8_t *from = p;
    for (; end - p >= 8; p += 8, q += 8) {
        uint64_t x = le64_get(p) ^ le64_get(q);
        if (x) {
            return (size_t)(p - from) + (unsigned)__builtin_ctzll(x) / 8;
        }
    }
    while (p < end && *p == *q) {
        p++;
        q++;
    }
    return (size_t)(p - from);
}

static void compress(struct deflate *d, struct out *o, const uint8_t *from, size_t len)
{
    const uint8_t *p = from, *said = from, *end = from + len;
    unsigned missed = 0;
    memset(d->at, 0, sizeof d->at);
    while ((size_t)(end - p) > TAIL) {
        uint64_t word = le64_get(p);
        uint32_t *at = &d->at[hash_of(word)];
        const uint8_t *q = from + *at;
        *at = (uint32_t)(p - from);
        if (p == q || (size_t)(p - q) > WINDOW || le32_get(q) != (uint32_t)word) {
            p += 1 + missed / 32; /* at most TAIL */
            missed += missed < 32 * (TAIL - 1);
            continue;
        }
        while (p > said && q > from && p[-1] == q[-1]) {
            p--;
            q--;
        }
        size_t n = SHORTEST + same(p + SHORTEST, q + SHORTEST, end);
        out_literals(o, d, said, p);
        out_match(o, d, n, (uint32_t)(p - q));
        p += n;
        said = p;
        missed = 0;
        if ((size_t)(end - p) > TAIL) {
            d->at[hash_of(le64_get(p - 2))] = (uint32_t)(p - 2 - from);
        }
    }
    out_literals(o, d, said, end);
}

/* --- The stream --- */

/* RFC 1950, 8.2; eight bytes at a time, in lanes of 16 bits. */
static uint32_t adler(const uint8_t *p, size_t len)
{
    const uint64_t lanes = UINT64_C(0x00ff00ff00ff00ff), ones = UINT64_C(0x0001000100010001);
    uint64_t a = 1, b = 0;
    while (len) {
        size_t n = len < 4096 ? len : 4096;
        len -= n;
        for (; n >= 8; n -= 8, p += 8) {
            uint64_t v = le64_get(p), even = v & lanes, odd = v >> 8 & lanes;
            b += 8 * a + (even * UINT64_C(0x0008000600040002) >> 48) +
                 (odd * UINT64_C(0x0007000500030001) >> 48);
            a += (even + odd) * ones >> 48;
        }
        for (; n; n--) {
            a += *p++;
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    return (uint32_t)(b << 16 | a);
}

size_t deflate_zlib(struct deflate *d, const void *from, size_t len, void *to)
{
    struct out o = {.p = to};
    out_put(&o, 0x0178, 16); /* deflate with a window of 32 KiB, the quickest */
    out_put(&o, 3, 3);       /* the last block; fixed codes */
    out_flush(&o);
    compress(d, &o, from, len);
    out_put(&o, 0, 7); /* the end of the block */
    out_put(&o, 0, (8 - (o.n & 7)) & 7);
    out_put(&o, __builtin_bswap32(adler(from, len)), 32);
    out_flush(&o);
    return (size_t)(o.p - (uint8_t *)to);
}
