/*
 * A 64-bit running digest of bytes, the same on every host: for comparing states and for finding
 * damage in files. Not cryptographic.
 */
#ifndef DOPPEL_UTIL_DIGEST_H
#define DOPPEL_UTIL_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* One step: multiply and fold, so that each input bit reaches both halves of the next product.
 * The odd constant is 2^64 divided by the golden ratio. */
static inline uint64_t digest_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 32);
}

/* Go on from h with `len` bytes. How they are cut into calls matters. */
uint64_t digest_bytes(uint64_t h, const void *data, size_t len);

#endif
