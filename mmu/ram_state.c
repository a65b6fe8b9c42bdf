/*
 * Guest RAM in a snapshot and in a digest.
 *
 * A page of zeros and an absent page are the same to a guest, so neither is written and neither
 * counts: saves and digests do not depend on which pages happened to be allocated.
 *
 * Stream: pages in the map (u64), pages that follow (u64), then each as its number (u64, strictly
 * ascending) and 4096 bytes. Little-endian.
 */
#include <assert.h>
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

/* The page's bytes if a guest could tell it from an absent one, else NULL. */
static const uint8_t *content(const struct ram *r, uint64_t pfn)
{
    const uint8_t *p = r->page[pfn] ? ram_read_ptr(r, pfn) : NULL;
    return p && !is_zero(p) ? p : NULL;
}

uint64_t ram_digest(const struct ram *r, uint64_t h)
{
    uint8_t num[8];
    for (uint64_t pfn = 0; pfn < r->npages; pfn++) {
        const uint8_t *p = content(r, pfn);
        if (p) {
            le64_put(num, pfn);
            h = st_digest_bytes(h, num, sizeof num);
            h = st_digest_bytes(h, p, PAGE_SIZE);
        }
    }
    return h;
}

static void put64(struct st_buf *b, uint64_t v)
{
    uint8_t num[8];
    le64_put(num, v);
    st_buf_put(b, num, sizeof num);
}

void ram_save(const struct ram *r, struct st_buf *b)
{
    put64(b, r->npages);
    size_t count_at = b->len;
    uint64_t n = 0;
    put64(b, 0);
    for (uint64_t pfn = 0; pfn < r->npages; pfn++) {
        const uint8_t *p = content(r, pfn);
        if (p) {
            put64(b, pfn);
            st_buf_put(b, p, PAGE_SIZE);
            n++;
        }
    }
    le64_put(b->data + count_at, n);
}

static bool get64(struct st_src *src, uint64_t *v)
{
    if (src->len - src->pos < 8) {
        return false;
    }
    *v = le64_get(src->data + src->pos);
    src->pos += 8;
    return true;
}

static bool load_pages(struct ram *r, struct st_src *src, uint64_t n, struct err *e)
{
    uint64_t next = 0;
    for (; n; n--) {
        uint64_t pfn;
        if (!get64(src, &pfn) || src->len - src->pos < PAGE_SIZE) {
            return err_set(e, "guest memory: the data ends too early");
        }
        if (pfn < next || pfn >= r->npages) {
            return err_set(e, "guest memory: page %llu out of order or beyond the end (%llu pages)",
                           (unsigned long long)pfn, (unsigned long long)r->npages);
        }
        memcpy(ram_write_ptr(r, pfn), src->data + src->pos, PAGE_SIZE);
        src->pos += PAGE_SIZE;
        next = pfn + 1;
    }
    return true;
}

bool ram_load(struct ram *r, struct st_src *src, struct err *e)
{
    uint64_t npages, n;
    if (!get64(src, &npages) || !get64(src, &n)) {
        return err_set(e, "guest memory: the data ends too early");
    }
    if (npages != r->npages) {
        return err_set(e, "guest memory: saved with %llu pages, this machine has %llu",
                       (unsigned long long)npages, (unsigned long long)r->npages);
    }
    if (!load_pages(r, src, n, e)) {
        ram_drop_all(r);
        return false;
    }
    return true;
}
