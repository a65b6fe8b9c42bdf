/*
 * Guest RAM: pages, their pool, copy on write, code lines.
 *
 * Host pages come from a pool of 2 MiB chunks, which the host can back by huge pages. A chunk keeps
 * a table of its 512 pages (16 bytes each); pages never used are handed out in order and are zero
 * already, pages given back are linked through their first bytes. A chunk that becomes wholly free
 * is returned to the host, so that a machine that gave memory back costs none.
 *
 * A page may outlive the map that allocated it (fork), so a pool lives until its map and all its
 * chunks are gone. Maps on other threads return pages to it: a spin lock guards the pool, taken for
 * a few instructions once for each page allocated or freed. Everything else about a map belongs to
 * the one thread that owns its machine.
 *
 * Why refs == 1 needs no lock to be trusted: another thread can take a reference only through a
 * fork of this map, which this map's own thread makes.
 */
#include "mmu/ram.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"
#include "util/os_mem.h"

#define CHUNK_BYTES (UINT64_C(2) << 20)
#define CHUNK_PAGES ((unsigned)(CHUNK_BYTES / PAGE_SIZE))

struct ram_page {
    uint8_t *host;
    atomic_uint refs;
    uint32_t index; /* within its chunk */
};

struct ram_chunk {
    struct ram_pool *pool;
    struct ram_chunk *next, **link; /* in the pool's list of chunks with room; link NULL: full */
    struct ram_page *free;          /* given back; the next one is stored in the page's bytes */
    uint8_t *host;
    unsigned fresh; /* pages never handed out: fresh .. CHUNK_PAGES-1 */
    unsigned live;
    struct ram_page pages[CHUNK_PAGES];
};

struct ram_pool {
    atomic_flag lock;
    struct ram_chunk *room; /* chunks with room, the one to use first */
    unsigned users;         /* the map that made it, and each chunk */
};

static const _Alignas(64) uint8_t zero_page[PAGE_SIZE];

static void out_of_memory(void)
{
    fputs("doppel: the host has no memory left for guest RAM\n", stderr);
    abort();
}

static void pool_lock(struct ram_pool *pool)
{
    while (atomic_flag_test_and_set_explicit(&pool->lock, memory_order_acquire)) {
    }
}

static void pool_unlock(struct ram_pool *pool)
{
    atomic_flag_clear_explicit(&pool->lock, memory_order_release);
}

static void chunk_list(struct ram_pool *pool, struct ram_chunk *c)
{
    c->next = pool->room;
    c->link = &pool->room;
    if (c->next) {
        c->next->link = &c->next;
    }
    pool->room = c;
}

static void chunk_unlist(struct ram_chunk *c)
{
    *c->link = c->next;
    if (c->next) {
        c->next->link = c->link;
    }
    c->link = NULL;
}

/* With the lock held. */
static struct ram_chunk *chunk_new(struct ram_pool *pool)
{
    struct ram_chunk *c = os_mem_alloc(sizeof *c, 1, 0);
    uint8_t *host = os_mem_alloc(CHUNK_BYTES, CHUNK_BYTES, 1);
    if (!c || !host) {
        out_of_memory();
    }
    c->pool = pool;
    c->host = host;
    pool->users++;
    chunk_list(pool, c);
    return c;
}

/* A page with one reference. Its bytes are zero if `zero`, else undefined. */
static struct ram_page *page_new(struct ram_pool *pool, bool zero)
{
    pool_lock(pool);
    struct ram_chunk *c = pool->room ? pool->room : chunk_new(pool);
    struct ram_page *p = c->free;
    bool recycled = p != NULL;
    if (recycled) {
        memcpy(&c->free, p->host, sizeof c->free);
    } else {
        p = &c->pages[c->fresh];
        p->index = c->fresh;
        p->host = c->host + PAGE_SIZE * c->fresh++;
    }
    c->live++;
    if (!c->free && c->fresh == CHUNK_PAGES) {
        chunk_unlist(c);
    }
    pool_unlock(pool);
    if (recycled && zero) {
        memset(p->host, 0, PAGE_SIZE);
    }
    atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

static void pool_put(struct ram_pool *pool, bool last)
{
    pool_unlock(pool);
    if (last) {
        free(pool);
    }
}

static void page_put(struct ram_page *p)
{
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct ram_chunk *c =
        (struct ram_chunk *)(void *)((uint8_t *)(p - p->index) - offsetof(struct ram_chunk, pages));
    struct ram_pool *pool = c->pool;
    pool_lock(pool);
    memcpy(p->host, &c->free, sizeof c->free);
    c->free = p;
    if (!c->link) {
        chunk_list(pool, c);
    }
    if (--c->live > 0) {
        pool_unlock(pool);
        return;
    }
    chunk_unlist(c);
    os_mem_free(c->host, CHUNK_BYTES);
    os_mem_free(c, sizeof *c);
    pool_put(pool, --pool->users == 0);
}

static size_t bitmap_bytes(const struct ram *r)
{
    return (size_t)((r->npages + 63) / 64 * 8);
}

bool ram_init(struct ram *r, uint64_t bytes)
{
    assert(bytes % PAGE_SIZE == 0);
    memset(r, 0, sizeof *r);
    r->npages = bytes / PAGE_SIZE;
    r->page = os_mem_alloc(r->npages * sizeof *r->page, 1, 0);
    r->code = os_mem_alloc(r->npages * sizeof *r->code, 1, 0);
    r->dirty = os_mem_alloc(bitmap_bytes(r), 1, 0);
    r->pool = calloc(1, sizeof *r->pool);
    if (!r->page || !r->code || !r->dirty || !r->pool) {
        ram_fini(r);
        return false;
    }
    atomic_flag_clear(&r->pool->lock);
    r->pool->users = 1;
    return true;
}

void ram_fini(struct ram *r)
{
    r->moved = NULL; /* whoever listened may be gone */
    if (r->page && r->pool) {
        ram_drop_all(r);
    }
    if (r->pool) {
        pool_lock(r->pool);
        pool_put(r->pool, r->pool->users <= 1 || --r->pool->users == 0);
    }
    os_mem_free(r->page, r->npages * sizeof *r->page);
    os_mem_free(r->code, r->npages * sizeof *r->code);
    os_mem_free(r->dirty, bitmap_bytes(r));
    memset(r, 0, sizeof *r);
}

static void tell_moved(struct ram *r, uint64_t pfn)
{
    if (r->moved) {
        r->moved(r->ctx, pfn);
    }
}

static void set_dirty(struct ram *r, uint64_t pfn)
{
    r->dirty[pfn >> 6] |= UINT64_C(1) << (pfn & 63);
}

/* --- Pages from a source --- */

static void source_put(struct ram *r)
{
    struct ram_source *s = r->source;
    if (s) {
        os_mem_free(r->pending, bitmap_bytes(r));
        os_mem_free(r->fetched, bitmap_bytes(r));
        r->source = NULL;
        r->pending = r->fetched = NULL;
        r->npending = 0;
        if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
            s->free(s);
        }
    }
}

static bool bit_get(const uint64_t *map, uint64_t pfn)
{
    return map[pfn >> 6] >> (pfn & 63) & 1;
}

static void bit_put(uint64_t *map, uint64_t pfn, bool on)
{
    uint64_t bit = UINT64_C(1) << (pfn & 63);
    map[pfn >> 6] = on ? map[pfn >> 6] | bit : map[pfn >> 6] & ~bit;
}

/* Takes over the reference; no page is pending yet. */
static void source_get(struct ram *r, struct ram_source *s)
{
    assert(!r->source);
    r->source = s;
    r->pending = os_mem_alloc(bitmap_bytes(r), 1, 0);
    r->fetched = os_mem_alloc(bitmap_bytes(r), 1, 0);
    if (!r->pending || !r->fetched) {
        out_of_memory();
    }
    r->npending = 0;
}

static void source_share(struct ram *r, struct ram_source *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    source_get(r, s);
}

void ram_set_source(struct ram *r, struct ram_source *s, const uint64_t *pending)
{
    tell_moved(r, RAM_EVERY_PAGE); /* the zero page may have been handed out */
    source_get(r, s);
    for (uint64_t i = 0; i < (r->npages + 63) / 64; i++) {
        r->pending[i] = pending[i];
        for (uint64_t v = pending[i]; v; v &= v - 1) {
            r->npending++;
        }
        r->dirty[i] |= pending[i];
    }
    if (!r->npending) {
        source_put(r);
    }
}

static void pending_done(struct ram *r, uint64_t pfn)
{
    bit_put(r->pending, pfn, false);
    /* A fork may still ask which pages are its pages, too. */
    if (--r->npending == 0 && atomic_load_explicit(&r->source->refs, memory_order_acquire) == 1) {
        source_put(r);
    }
}

/* Has page pfn the bytes that the source has? */
static bool as_source(const struct ram *r, uint64_t pfn)
{
    return r->source && (bit_get(r->pending, pfn) || bit_get(r->fetched, pfn));
}

/* Part of what a reader sees does not change: hence const in the callers. */
static struct ram_page *fetch(struct ram *r, uint64_t pfn)
{
    struct ram_page *p = page_new(r->pool, false);
    r->source->fetch(r->source, pfn, p->host);
    r->page[pfn] = p;
    bit_put(r->fetched, pfn, true);
    pending_done(r, pfn);
    return p;
}

static const uint8_t *absent(const struct ram *r, uint64_t pfn)
{
    return ram_is_pending(r, pfn) ? fetch((struct ram *)(uintptr_t)r, pfn)->host : zero_page;
}

/* --- Pages --- */

void ram_drop_all(struct ram *r)
{
    tell_moved(r, RAM_EVERY_PAGE);
    for (uint64_t pfn = 0; pfn < r->npages; pfn++) {
        if (r->page[pfn]) {
            page_put(r->page[pfn]);
            r->page[pfn] = NULL;
            set_dirty(r, pfn);
        } else if (ram_is_pending(r, pfn)) {
            set_dirty(r, pfn);
        }
    }
    source_put(r);
}

const uint8_t *ram_read_ptr(const struct ram *r, uint64_t pfn)
{
    assert(pfn < r->npages);
    const struct ram_page *p = r->page[pfn];
    return LIKELY(p != NULL) ? p->host : absent(r, pfn);
}

static bool is_own(const struct ram_page *p)
{
    return p && atomic_load_explicit(&p->refs, memory_order_acquire) == 1;
}

uint8_t *ram_own_ptr(const struct ram *r, uint64_t pfn)
{
    assert(pfn < r->npages);
    struct ram_page *p = r->page[pfn];
    bool written = !r->source || !bit_get(r->fetched, pfn);
    return is_own(p) && ram_is_dirty(r, pfn) && written ? p->host : NULL;
}

uint8_t *ram_write_ptr(struct ram *r, uint64_t pfn)
{
    assert(pfn < r->npages);
    struct ram_page *p = r->page[pfn];
    set_dirty(r, pfn);
    if (!p && ram_is_pending(r, pfn)) {
        p = fetch(r, pfn);
    }
    if (UNLIKELY(r->source != NULL)) {
        bit_put(r->fetched, pfn, false);
    }
    if (LIKELY(is_own(p))) {
        return p->host;
    }
    tell_moved(r, pfn);
    struct ram_page *own = page_new(r->pool, p == NULL);
    if (p) {
        memcpy(own->host, p->host, PAGE_SIZE);
        page_put(p);
    }
    r->page[pfn] = own;
    return own->host;
}

void ram_read(const struct ram *r, uint64_t off, void *buf, uint64_t len)
{
    assert(off <= r->npages * PAGE_SIZE && len <= r->npages * PAGE_SIZE - off);
    uint8_t *to = buf;
    while (len) {
        uint64_t at = off % PAGE_SIZE;
        uint64_t n = len < PAGE_SIZE - at ? len : PAGE_SIZE - at;
        memcpy(to, ram_read_ptr(r, off / PAGE_SIZE) + at, n);
        to += n;
        off += n;
        len -= n;
    }
}

void ram_write(struct ram *r, uint64_t off, const void *buf, uint64_t len)
{
    assert(off <= r->npages * PAGE_SIZE && len <= r->npages * PAGE_SIZE - off);
    const uint8_t *from = buf;
    while (len) {
        unsigned at = (unsigned)(off % PAGE_SIZE);
        unsigned n = (unsigned)(len < PAGE_SIZE - at ? len : PAGE_SIZE - at);
        ram_tell_write(r, off / PAGE_SIZE, at, n);
        memcpy(ram_write_ptr(r, off / PAGE_SIZE) + at, from, n);
        from += n;
        off += n;
        len -= n;
    }
}

void ram_mark_code(struct ram *r, uint64_t pfn, unsigned off, unsigned len)
{
    assert(pfn < r->npages && len >= 1 && off + len <= PAGE_SIZE);
    unsigned first = off >> 6, last = (off + len - 1) >> 6;
    uint64_t lines = ~UINT64_C(0) >> (63 - (last - first)) << first;
    if (!r->code[pfn]) {
        tell_moved(r, pfn); /* writes must go through the slow path from now on */
    }
    r->code[pfn] |= lines;
}

void ram_clear_code(struct ram *r, uint64_t pfn)
{
    assert(pfn < r->npages);
    r->code[pfn] = 0;
}

void ram_fork(struct ram *dst, struct ram *src)
{
    assert(dst->npages == src->npages);
    tell_moved(src, RAM_EVERY_PAGE); /* what was written in place must be copied from now on */
    tell_moved(dst, RAM_EVERY_PAGE);
    for (uint64_t pfn = 0; pfn < src->npages; pfn++) {
        struct ram_page *p = src->page[pfn];
        if (p) {
            assert(!dst->page[pfn]);
            atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
            dst->page[pfn] = p;
            set_dirty(dst, pfn);
        }
    }
    if (src->source) {
        source_share(dst, src->source);
        memcpy(dst->pending, src->pending, bitmap_bytes(src));
        memcpy(dst->fetched, src->fetched, bitmap_bytes(src));
        dst->npending = src->npending;
        for (uint64_t i = 0; i < (dst->npages + 63) / 64; i++) {
            dst->dirty[i] |= dst->pending[i];
        }
    }
}

/* Page pfn of dst becomes p (NULL: absent), or one that is to be fetched. */
static void put_page(struct ram *dst, uint64_t pfn, struct ram_page *p, bool pending, bool fetched)
{
    struct ram_page *old = dst->page[pfn];
    ram_tell_write(dst, pfn, 0, PAGE_SIZE);
    if (p) {
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    }
    dst->page[pfn] = p;
    if (dst->source) {
        bool was = bit_get(dst->pending, pfn);
        bit_put(dst->pending, pfn, pending);
        bit_put(dst->fetched, pfn, fetched);
        dst->npending += (uint64_t)pending - (uint64_t)was;
    }
    set_dirty(dst, pfn);
    if (old) {
        page_put(old);
    }
}

void ram_become(struct ram *dst, struct ram *src)
{
    assert(dst->npages == src->npages);
    tell_moved(src, RAM_EVERY_PAGE);
    tell_moved(dst, RAM_EVERY_PAGE);
    if (src->source && dst->source != src->source && !dst->npending) {
        source_put(dst);
        source_share(dst, src->source);
    }
    bool one_source = dst->source && dst->source == src->source;
    for (uint64_t pfn = 0; pfn < dst->npages; pfn++) {
        bool later = ram_is_pending(src, pfn);
        if (one_source && as_source(src, pfn) && as_source(dst, pfn) && (later || dst->page[pfn])) {
            continue;
        }
        if (later && !one_source) {
            fetch(src, pfn);
            later = false;
        }
        if (later || dst->page[pfn] != src->page[pfn] || ram_is_pending(dst, pfn)) {
            put_page(dst, pfn, src->page[pfn], later, one_source && !later && as_source(src, pfn));
        }
    }
}

uint64_t ram_differ(const struct ram *a, const struct ram *b)
{
    uint64_t n = 0;
    assert(a->npages == b->npages);
    for (uint64_t pfn = 0; pfn < a->npages; pfn++) {
        n += a->page[pfn] != b->page[pfn];
    }
    return n;
}

uint64_t ram_alone(const struct ram *a, const struct ram *b)
{
    uint64_t n = 0;
    assert(a->npages == b->npages);
    for (uint64_t pfn = 0; pfn < a->npages; pfn++) {
        n += a->page[pfn] && a->page[pfn] != b->page[pfn];
    }
    return n;
}

uint64_t ram_host_bytes(const struct ram *r)
{
    uint64_t n = 0;
    for (uint64_t pfn = 0; pfn < r->npages; pfn++) {
        n += r->page[pfn] != NULL;
    }
    return n * PAGE_SIZE;
}

bool ram_dirty_take(struct ram *r, uint64_t pfn, uint64_t n)
{
    bool any = false;
    assert(pfn <= r->npages && n <= r->npages - pfn);
    for (uint64_t i = pfn; i < pfn + n; i++) {
        if (i % 64 == 0 && pfn + n - i >= 64 && !r->dirty[i >> 6]) {
            i += 63;
        } else if (ram_is_dirty(r, i)) {
            any = true;
            r->dirty[i >> 6] &= ~(UINT64_C(1) << (i & 63));
        }
    }
    if (any) {
        tell_moved(r, RAM_EVERY_PAGE); /* the next write to each must be seen again */
    }
    return any;
}

void ram_dirty_clear(struct ram *r)
{
    tell_moved(r, RAM_EVERY_PAGE); /* the next write to each must be seen again */
    memset(r->dirty, 0, bitmap_bytes(r));
}
