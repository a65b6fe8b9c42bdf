/*
 * A quick compressor that writes what zlib reads (RFC 1950, 1951).
 *
 * For a guest's memory, of which a saved machine has much: zero runs, repeated words and pointers.
 * Those get as small as by zlib's level 1 within a fifth, in a quarter of the time (600 MB/s).
 * What hardly gets smaller by any means costs more: ask elsewhere whether it is worth it.
 */
#ifndef DOPPEL_UTIL_DEFLATE_H
#define DOPPEL_UTIL_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#define DEFLATE_HASH 12u /* bits */

/* A compressor's tables, for one thread; made by deflate_init, kept over any number of calls. */
struct deflate {
    struct deflate_code {
        uint32_t bits;
        uint32_t n; /* how many of them */
    } literal[256], length[259];
    uint8_t distance[512];           /* its symbol, by (d - 1) below 256, or 256 + (d - 1) / 128 */
    uint32_t at[1u << DEFLATE_HASH]; /* where bytes with this hash were last */
};

void deflate_init(struct deflate *d);
/* Room that is enough for `len` bytes, whatever they are. */
static inline size_t deflate_bound(size_t len)
{
    return len + len / 8 + 32;
}
/* Compress `len` bytes (fewer than 2^32) to deflate_bound(len) bytes at `to`, as a stream of
 * zlib's. Returns its length. The same bytes on every host. */
size_t deflate_zlib(struct deflate *d, const void *from, size_t len, void *to);

#endif
