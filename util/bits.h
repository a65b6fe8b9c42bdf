/*
 * Bit and byte helpers that every layer uses: fields, sign extension, little-endian access to host
 * memory. Guest memory is little-endian on every host; these keep big-endian hosts right.
 */
#ifndef DOPPEL_UTIL_BITS_H
#define DOPPEL_UTIL_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LIKELY(x)    __builtin_expect(!!(x), 1)
#define UNLIKELY(x)  __builtin_expect(!!(x), 0)

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define HOST_BIG_ENDIAN 1
#else
#define HOST_BIG_ENDIAN 0
#endif

/* Bits lo .. lo+n-1 of v; 1 <= n <= 64. */
static inline uint64_t bits_get(uint64_t v, unsigned lo, unsigned n)
{
    return (v >> lo) & (~UINT64_C(0) >> (64 - n));
}

/* A mask of the low n bits; 0 <= n <= 64. */
static inline uint64_t bits_mask(unsigned n)
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* Sign-extend the low `n` bits of v to 64; 1 <= n <= 64. */
static inline uint64_t bits_sext(uint64_t v, unsigned n)
{
    return (uint64_t)((int64_t)(v << (64 - n)) >> (64 - n));
}

static inline bool bits_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

/* Little-endian loads and stores of unaligned host memory. */
static inline uint16_t le16_get(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return HOST_BIG_ENDIAN ? __builtin_bswap16(v) : v;
}

static inline uint32_t le32_get(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return HOST_BIG_ENDIAN ? __builtin_bswap32(v) : v;
}

static inline uint64_t le64_get(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return HOST_BIG_ENDIAN ? __builtin_bswap64(v) : v;
}

static inline void le16_put(void *p, uint16_t v)
{
    v = HOST_BIG_ENDIAN ? __builtin_bswap16(v) : v;
    memcpy(p, &v, sizeof v);
}

static inline void le32_put(void *p, uint32_t v)
{
    v = HOST_BIG_ENDIAN ? __builtin_bswap32(v) : v;
    memcpy(p, &v, sizeof v);
}

static inline void le64_put(void *p, uint64_t v)
{
    v = HOST_BIG_ENDIAN ? __builtin_bswap64(v) : v;
    memcpy(p, &v, sizeof v);
}

/* size is 1, 2, 4 or 8 bytes; constant at the hot call sites, so that the switch folds away. */
static inline uint64_t le_get(const void *p, unsigned size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return le16_get(p);
    case 4:
        return le32_get(p);
    default:
        return le64_get(p);
    }
}

static inline void le_put(void *p, unsigned size, uint64_t v)
{
    switch (size) {
    case 1:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case 2:
        le16_put(p, (uint16_t)v);
        break;
    case 4:
        le32_put(p, (uint32_t)v);
        break;
    default:
        le64_put(p, v);
        break;
    }
}

/* Big-endian. */
static inline uint16_t be16_get(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t be32_get(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)be16_get(b) << 16 | be16_get(b + 2);
}

static inline uint64_t be64_get(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint64_t)be32_get(b) << 32 | be32_get(b + 4);
}

static inline void be16_put(void *p, uint16_t v)
{
    uint8_t *b = (uint8_t *)p;
    b[0] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)v;
}

static inline void be32_put(void *p, uint32_t v)
{
    uint8_t *b = (uint8_t *)p;
    be16_put(b, (uint16_t)(v >> 16));
    be16_put(b + 2, (uint16_t)v);
}

static inline void be64_put(void *p, uint64_t v)
{
    uint8_t *b = (uint8_t *)p;
    be32_put(b, (uint32_t)(v >> 32));
    be32_put(b + 4, (uint32_t)v);
}

#endif
