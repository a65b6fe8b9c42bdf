#include "util/digest.h"

#include "util/bits.h"

uint64_t digest_bytes(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t total = len;
    if (len >= 64) {
        /* Four lanes, so that the multiplier's latency overlaps: RAM goes through here. */
        uint64_t a = h, b = ~h, c = h + 1, d = ~h - 1;
        for (; len >= 32; len -= 32, p += 32) {
            a = digest_mix(a, le64_get(p));
            b = digest_mix(b, le64_get(p + 8));
            c = digest_mix(c, le64_get(p + 16));
            d = digest_mix(d, le64_get(p + 24));
        }
        h = digest_mix(digest_mix(digest_mix(a, b), c), d);
    }
    for (; len >= 8; len -= 8, p += 8) {
        h = digest_mix(h, le64_get(p));
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < len; i++) {
        tail |= (uint64_t)p[i] << (8 * i);
    }
    return digest_mix(digest_mix(h, tail), total);
}
