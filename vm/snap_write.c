/*
 * Writing a snapshot's file: regions are collected as runs of pages, equal pages found by their
 * hash, chunks compressed by threads (snap_pack.c) and written in order, then the index, then the
 * header.
 *
 * Pages in which few 8-byte words are zero or seen before, code and what is compressed already, go
 * to chunks of their own, which are stored as they are: they would be a quarter of the time, to be
 * a fifth smaller.
 *
 * The file is the same whatever the number of threads is.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bits.h"
#include "util/os_file.h"
#include "vm/snap_priv.h"

#define SYNC_STEP (UINT64_C(4) << 20) /* bytes */

ST_DESCRIBE(snap_manifest, SNAP_MANIFEST, 1);

struct run {
    uint32_t kind, count, at;
};

struct region {
    char name[SNAP_REGION];
    uint64_t npages, next; /* the first page that has not been said */
    struct run *run;
    uint32_t nruns, cap;
};

struct snap_writer {
    struct snap_page *page;
    uint32_t npages, cap;
    uint32_t fill[2]; /* the next free page of the last chunk of those to store, to compress */
    uint32_t *bucket; /* page + 1 by hash; 0: none. Open addressing */
    uint64_t nbuckets;
    struct region *region;
    unsigned nregions;
    bool unreadable;
};

static void *must(void *p)
{
    if (!p) {
        abort();
    }
    return p;
}

/* --- Collecting --- */

struct snap_writer *snap_writer_new(void)
{
    struct snap_writer *w = must(calloc(1, sizeof *w));
    w->nbuckets = 1u << 12;
    w->bucket = must(calloc(w->nbuckets, sizeof *w->bucket));
    return w;
}

void snap_writer_free(struct snap_writer *w)
{
    if (!w) {
        return;
    }
    for (unsigned i = 0; i < w->nregions; i++) {
        free(w->region[i].run);
    }
    free(w->region);
    free(w->page);
    free(w->bucket);
    free(w);
}

static void add_run(struct region *r, enum snap_kind kind, uint32_t at, uint64_t count)
{
    struct run *last = r->nruns ? &r->run[r->nruns - 1] : NULL;
    bool follows = last && last->kind == kind && last->count < UINT32_MAX &&
                   (kind != SNAP_STORED || last->at + last->count == at);
    r->next += count;
    if (follows && count <= UINT32_MAX - last->count) {
        last->count += (uint32_t)count;
        return;
    }
    while (count) {
        uint32_t n = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
        if (r->nruns == r->cap) {
            r->cap = r->cap ? 2 * r->cap : 64;
            r->run = must(realloc(r->run, r->cap * sizeof *r->run));
        }
        r->run[r->nruns++] = (struct run){kind, n, kind == SNAP_STORED ? at : 0};
        count -= n;
    }
}

void snap_region(struct snap_writer *w, const char *name, uint64_t npages)
{
    assert(*name && strlen(name) < sizeof w->region->name);
    w->region = must(realloc(w->region, (w->nregions + 1) * sizeof *w->region));
    struct region *r = &w->region[w->nregions++];
    *r = (struct region){.npages = npages};
    memcpy(r->name, name, strlen(name));
}

static struct region *at_page(struct snap_writer *w, uint64_t index)
{
    struct region *r = &w->region[w->nregions - 1];
    assert(index >= r->next && index < r->npages);
    if (index > r->next) {
        add_run(r, SNAP_ABSENT, 0, index - r->next);
    }
    return r;
}

/* Is a page worth compressing? */
static bool is_easy(const uint8_t *p)
{
    uint64_t seen[256] = {0};
    unsigned known = 0;
    for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
        uint64_t v = le64_get(p + i), *s = &seen[v * UINT64_C(0x9e3779b97f4a7c15) >> 56];
        known += v == 0 || *s == v;
        *s = v;
    }
    return known >= PAGE_SIZE / 8 / 10;
}

/* Chunks are of one kind, and begun when there is a page for them; the two last ones may have
 * places left over, which are zeros. */
static uint32_t add_page(struct snap_writer *w, struct snap_page p, bool easy)
{
    uint32_t *fill = &w->fill[easy];
    if (*fill % SNAP_CHUNK == 0) {
        if (w->cap - w->npages < SNAP_CHUNK) {
            w->cap = w->cap ? 2 * w->cap : 1024;
            w->page = must(realloc(w->page, w->cap * sizeof *w->page));
        }
        memset(&w->page[w->npages], 0, SNAP_CHUNK * sizeof *w->page);
        *fill = w->npages;
        w->npages += SNAP_CHUNK;
    }
    w->page[*fill] = p;
    w->page[*fill].easy = easy;
    return (*fill)++;
}

static void grow_buckets(struct snap_writer *w)
{
    uint64_t n = 4 * w->nbuckets;
    uint32_t *b = must(calloc(n, sizeof *b));
    for (uint64_t i = 0; i < w->nbuckets; i++) {
        if (w->bucket[i]) {
            uint64_t h = w->page[w->bucket[i] - 1].index;
            while (b[h & (n - 1)]) {
                h++;
            }
            b[h & (n - 1)] = w->bucket[i];
        }
    }
    free(w->bucket);
    w->bucket = b;
    w->nbuckets = n;
}

void snap_put(struct snap_writer *w, uint64_t index, const uint8_t *host)
{
    struct region *r = at_page(w, index);
    if (2 * (uint64_t)w->npages >= w->nbuckets) {
        grow_buckets(w);
    }
    uint64_t hash = st_digest_bytes(ST_DIGEST_INIT, host, PAGE_SIZE), h = hash;
    for (;; h++) {
        uint32_t *b = &w->bucket[h & (w->nbuckets - 1)];
        if (!*b) {
            /* `index` of a page in memory is its hash. */
            *b = add_page(w, (struct snap_page){.host = host, .index = hash}, is_easy(host)) + 1;
        } else if (w->page[*b - 1].index != hash ||
                   memcmp(w->page[*b - 1].host, host, PAGE_SIZE) != 0) {
            continue;
        }
        add_run(r, SNAP_STORED, *b - 1, 1);
        return;
    }
}

void snap_put_later(struct snap_writer *w, uint64_t index, snap_again *again, void *from)
{
    struct region *r = at_page(w, index);
    add_run(r, SNAP_STORED, add_page(w, (struct snap_page){NULL, again, from, index, true}, true),
            1);
}

void snap_put_kind(struct snap_writer *w, uint64_t index, enum snap_kind kind)
{
    add_run(at_page(w, index), kind, 0, 1);
}

/* --- Output --- */

struct out {
    int fd;
    struct st_buf *mem;
    size_t mem_at;       /* where the file begins in mem */
    uint64_t off, begun; /* written; of that the disk has been told of */
};

static bool out_put(struct out *o, const void *data, size_t len)
{
    o->off += len;
    if (o->mem) {
        st_buf_put(o->mem, data, len);
        return true;
    }
    if (o->off - o->begun > SYNC_STEP) { /* whoever syncs at the end waits for little */
        os_sync_soon(o->fd, o->begun, o->off - o->begun - len);
        o->begun = o->off - len;
    }
    return os_write_all(o->fd, data, len);
}

static void put32(struct st_buf *b, uint32_t v)
{
    uint8_t bytes[4];
    le32_put(bytes, v);
    st_buf_put(b, bytes, sizeof bytes);
}

static void put64(struct st_buf *b, uint64_t v)
{
    uint8_t bytes[8];
    le64_put(bytes, v);
    st_buf_put(b, bytes, sizeof bytes);
}

static bool put_piece(struct out *o, const struct snap_piece *c, struct st_buf *table)
{
    put32(table, c->len);
    put32(table, c->raw);
    put64(table, c->sum);
    return out_put(o, c->data, c->len);
}

static bool put_chunks(struct snap_writer *w, const struct snap_contents *c, struct out *o,
                       struct st_buf *table)
{
    struct snap_pack *k = snap_pack_start(w->page, w->npages, c->compress, c->threads);
    const struct snap_piece *piece;
    bool ok = true;
    while (ok && (piece = snap_pack_next(k))) {
        errno = piece->why;
        w->unreadable |= piece->why != 0;
        ok = !piece->why && put_piece(o, piece, table);
    }
    int why = errno;
    snap_pack_end(k);
    errno = why;
    return ok;
}

/* --- The file --- */

static void put_regions(const struct snap_writer *w, struct st_buf *b)
{
    put32(b, w->nregions);
    for (unsigned i = 0; i < w->nregions; i++) {
        struct region *r = &w->region[i];
        if (r->next < r->npages) {
            add_run(r, SNAP_ABSENT, 0, r->npages - r->next);
        }
        st_buf_put(b, r->name, sizeof r->name);
        put64(b, r->npages);
        put32(b, r->nruns);
        for (uint32_t k = 0; k < r->nruns; k++) {
            put32(b, r->run[k].kind);
            put32(b, r->run[k].count);
            put32(b, r->run[k].at);
        }
    }
}

static bool put_header(struct out *o, uint64_t at, const struct snap_piece *index)
{
    uint8_t h[SNAP_HEADER];
    memcpy(h, snap_magic, 8);
    le32_put(h + 8, SNAP_VERSION);
    le32_put(h + 12, 0);
    le64_put(h + 16, o->off);
    le64_put(h + 24, at);
    le32_put(h + 32, index->len);
    le32_put(h + 36, index->raw);
    le64_put(h + 40, index->sum);
    le64_put(h + 48, 0);
    le64_put(h + 56, st_digest_bytes(ST_DIGEST_INIT, h, 56));
    if (o->mem) {
        memcpy(o->mem->data + o->mem_at, h, sizeof h);
        return true;
    }
    ssize_t n = pwrite(o->fd, h, sizeof h, 0);
    errno = n < 0 ? errno : ENOSPC;
    return n == (ssize_t)sizeof h;
}

bool snap_write(struct snap_writer *w, const struct snap_contents *c, int fd, struct st_buf *mem,
                uint64_t *id)
{
    static const uint8_t none[SNAP_HEADER];
    struct out o = {.fd = fd, .mem = mem, .mem_at = mem ? mem->len : 0};
    struct st_buf table = {0}, index = {0};
    struct snap_piece packed;
    assert(c->tables_len <= SNAP_TABLES_MAX);
    snap_pack_bytes(&packed, c->tables, (uint32_t)c->tables_len, c->compress);
    bool ok = out_put(&o, none, sizeof none) && put_piece(&o, &packed, &table) &&
              put_chunks(w, c, &o, &table);
    if (ok) {
        st_save(&index, "snapshot", &snap_manifest_desc, &c->manifest);
        put32(&index, (uint32_t)c->head_len);
        st_buf_put(&index, c->head, c->head_len);
        put32(&index, (uint32_t)(table.len / SNAP_CHUNK_ENTRY));
        st_buf_put(&index, table.data, table.len);
        put_regions(w, &index);
        free(packed.data);
        snap_pack_bytes(&packed, index.data, (uint32_t)index.len, c->compress);
        uint64_t at = o.off;
        ok = out_put(&o, packed.data, packed.len) && put_header(&o, at, &packed);
        *id = packed.sum;
    }
    int why = errno;
    free(packed.data);
    st_buf_free(&table);
    st_buf_free(&index);
    errno = why;
    return ok;
}

bool snap_unreadable(const struct snap_writer *w)
{
    return w->unreadable;
}
