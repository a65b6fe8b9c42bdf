/*
 * What of guest RAM goes into a snapshot and a digest.
 *
 * A page of zeros and an absent page are the same to a guest, so neither is written and neither
 * counts: saves and digests do not depend on which pages happened to be allocated.
 */
#include <string.h>

#include "mmu/ram.h"
#include "util/bits.h"

static bool is_zero(const uint8_t *p)
{
    /* Most pages show a set bit early; the rest are scanned a line at a time. */
    for (unsigned i = 0; i < PAGE_SIZE; i += 64) {
        uint64_t v[8];
        memcpy(v, p + i, sizeof v);
        if (v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7]) {
            return false;
        }
    }
    return true;
}

const uint8_t *ram_content(const struct ram *r, uint64_t pfn)
{
    const uint8_t *p = r->page[pfn] || r->source ? ram_read_ptr(r, pfn) : NULL;
    return p && !is_zero(p) ? p : NULL;
}

uint64_t ram_digest(const struct ram *r, uint64_t h)
{
    uint8_t num[8];
    for (uint64_t pfn = 0; pfn < r->npages; pfn++) {
        const uint8_t *p = ram_content(r, pfn);
        if (p) {
            le64_put(num, pfn);
            h = st_digest_bytes(h, num, sizeof num);
            h = st_digest_bytes(h, p, PAGE_SIZE);
        }
    }
    return h;
}
