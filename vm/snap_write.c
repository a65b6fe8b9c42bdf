/*
 * Writing a snapshot's file: regions are collected as runs of pages, equal pages found by their
 * hash, chunks compressed by threads and written in order, then the index, then the header.
 *
 * Time goes to zlib, and most of it to pages that hardly get smaller: code and compressed data at
 * 50 MB/s to 65 %, others at 50 to 200 MB/s to 4 to 45 %. So pages in which few 8-byte words are
 * zero or seen before go to chunks of their own, which are stored as they are. That is half the
 * time for a file a third larger.
 *
 * The file is the same whatever the number of threads is.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#if HAVE_ZLIB
#include <zlib.h>
#endif

#include "util/bits.h"
#include "util/os_file.h"
#include "vm/snap_priv.h"

#define CHUNK_BYTES (SNAP_CHUNK * PAGE_SIZE)
#define AHEAD       64u /* chunks that are ready or in work and not written */
#define THREADS     16u

ST_DESCRIBE(snap_manifest, SNAP_MANIFEST, 1);

/* A stored page: in memory, or to be had again. */
struct page {
    const uint8_t *host;
    snap_again *again;
    void *from;
    uint64_t index;
    bool easy;
};

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
    struct page *page;
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
static uint32_t add_page(struct snap_writer *w, struct page p, bool easy)
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
            *b = add_page(w, (struct page){.host = host, .index = hash}, is_easy(host)) + 1;
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
    add_run(r, SNAP_STORED, add_page(w, (struct page){NULL, again, from, index, true}, true), 1);
}

void snap_put_kind(struct snap_writer *w, uint64_t index, enum snap_kind kind)
{
    add_run(at_page(w, index), kind, 0, 1);
}

/* --- Output --- */

struct out {
    int fd;
    struct st_buf *mem;
    size_t mem_at; /* where the file begins in mem */
    uint64_t off;
};

static bool out_put(struct out *o, const void *data, size_t len)
{
    o->off += len;
    if (o->mem) {
        st_buf_put(o->mem, data, len);
        return true;
    }
    return os_write_all(o->fd, data, len);
}

/* --- Chunks --- */

struct piece {
    uint8_t *data;
    uint32_t len, raw;
    uint64_t sum;
    bool ready, ok, unreadable;
    int why;
};

/* A thread's compressor. */
struct packer {
#if HAVE_ZLIB
    z_stream z;
#endif
    bool on;
};

static void packer_init(struct packer *k, bool compress)
{
    *k = (struct packer){.on = false};
#if HAVE_ZLIB
    k->on = compress && deflateInit2(&k->z, 1, Z_DEFLATED, 15, 9, Z_DEFAULT_STRATEGY) == Z_OK;
#else
    (void)compress;
#endif
}

static void packer_fini(struct packer *k)
{
#if HAVE_ZLIB
    if (k->on) {
        deflateEnd(&k->z);
    }
#else
    (void)k;
#endif
}

/* Compress if that makes it smaller. */
static void pack(struct packer *k, struct piece *c, const uint8_t *raw, uint32_t len, bool easy)
{
    c->raw = len;
    c->len = 0;
#if HAVE_ZLIB
    if (k->on && easy) {
        c->data = must(malloc(len ? len : 1));
        deflateReset(&k->z);
        k->z.next_in = (Bytef *)(uintptr_t)raw;
        k->z.avail_in = len;
        k->z.next_out = c->data;
        k->z.avail_out = len;
        if (deflate(&k->z, Z_FINISH) == Z_STREAM_END && k->z.avail_out > 0) {
            c->len = len - k->z.avail_out;
        } else {
            free(c->data);
        }
    }
#else
    (void)k;
    (void)easy;
#endif
    if (!c->len) {
        c->data = must(malloc(len ? len : 1));
        memcpy(c->data, raw, len);
        c->len = len;
    }
    c->sum = st_digest_bytes(ST_DIGEST_INIT, c->data, c->len);
    c->ok = true;
}

/* What the threads share. */
struct work {
    struct snap_writer *w;
    bool compress;
    uint32_t n, next, written; /* chunks: in all, to be taken, written */
    struct piece *piece;       /* AHEAD of them, chunk i in [i % AHEAD] */
    bool stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void make_chunk(struct work *k, struct packer *packer, uint32_t i, struct piece *c)
{
    uint8_t raw[CHUNK_BYTES];
    uint32_t first = i * SNAP_CHUNK, n = k->w->npages - first;
    n = n < SNAP_CHUNK ? n : SNAP_CHUNK;
    *c = (struct piece){.ok = false};
    for (uint32_t p = 0; p < n; p++) {
        struct page *page = &k->w->page[first + p];
        errno = 0;
        if (!page->host && !page->again) {
            memset(raw + p * PAGE_SIZE, 0, PAGE_SIZE);
        } else if (page->host) {
            memcpy(raw + p * PAGE_SIZE, page->host, PAGE_SIZE);
        } else if (!page->again(page->from, page->index, raw + p * PAGE_SIZE)) {
            c->why = errno ? errno : EIO;
            c->unreadable = true;
            return;
        }
    }
    pack(packer, c, raw, n * (uint32_t)PAGE_SIZE, k->w->page[first].easy);
}

static void *worker(void *ctx)
{
    struct work *k = ctx;
    struct packer packer;
    packer_init(&packer, k->compress);
    pthread_mutex_lock(&k->lock);
    while (!k->stop && k->next < k->n) {
        if (k->next >= k->written + AHEAD) {
            pthread_cond_wait(&k->changed, &k->lock);
            continue;
        }
        uint32_t i = k->next++;
        struct piece c;
        pthread_mutex_unlock(&k->lock);
        make_chunk(k, &packer, i, &c);
        pthread_mutex_lock(&k->lock);
        k->piece[i % AHEAD] = c;
        k->piece[i % AHEAD].ready = true;
        pthread_cond_broadcast(&k->changed);
    }
    pthread_mutex_unlock(&k->lock);
    packer_fini(&packer);
    return NULL;
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

static bool write_piece(struct out *o, struct piece *c, struct st_buf *table)
{
    bool ok = c->ok;
    errno = c->why;
    if (ok) {
        put32(table, c->len);
        put32(table, c->raw);
        put64(table, c->sum);
        ok = out_put(o, c->data, c->len);
        free(c->data);
    }
    return ok;
}

/* Take the next chunk when a thread has it ready, or make it here if there is none. */
static void next_piece(struct work *k, struct packer *packer, uint32_t i, bool threads,
                       struct piece *c)
{
    if (!threads) {
        make_chunk(k, packer, i, c);
        return;
    }
    pthread_mutex_lock(&k->lock);
    while (!k->piece[i % AHEAD].ready) {
        pthread_cond_wait(&k->changed, &k->lock);
    }
    *c = k->piece[i % AHEAD];
    k->piece[i % AHEAD].ready = false;
    k->written = i + 1;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

static bool write_chunks(struct snap_writer *w, const struct snap_contents *c, struct out *o,
                         struct packer *packer, struct st_buf *table)
{
    struct work k = {.w = w, .compress = c->compress};
    pthread_t thread[THREADS];
    unsigned nthreads = 0, want = c->threads < THREADS ? c->threads : THREADS;
    k.n = (w->npages + SNAP_CHUNK - 1) / SNAP_CHUNK;
    k.piece = must(calloc(AHEAD, sizeof *k.piece));
    pthread_mutex_init(&k.lock, NULL);
    pthread_cond_init(&k.changed, NULL);
    while (nthreads < want && want > 1 && k.n > 4 &&
           pthread_create(&thread[nthreads], NULL, worker, &k) == 0) {
        nthreads++;
    }
    bool ok = true;
    for (uint32_t i = 0; ok && i < k.n; i++) {
        struct piece piece;
        next_piece(&k, packer, i, nthreads > 0, &piece);
        w->unreadable |= piece.unreadable;
        ok = write_piece(o, &piece, table);
    }
    int why = errno;
    pthread_mutex_lock(&k.lock);
    k.stop = true;
    pthread_cond_broadcast(&k.changed);
    pthread_mutex_unlock(&k.lock);
    while (nthreads) {
        pthread_join(thread[--nthreads], NULL);
    }
    for (unsigned i = 0; i < AHEAD; i++) {
        if (k.piece[i].ready && k.piece[i].ok) {
            free(k.piece[i].data);
        }
    }
    pthread_cond_destroy(&k.changed);
    pthread_mutex_destroy(&k.lock);
    free(k.piece);
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

static bool put_header(struct out *o, uint64_t at, const struct piece *index)
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
    struct piece tables = {0}, packed = {0};
    struct packer packer;
    packer_init(&packer, c->compress);
    assert(c->tables_len <= SNAP_TABLES_MAX);
    pack(&packer, &tables, c->tables, (uint32_t)c->tables_len, true);
    bool ok = out_put(&o, none, sizeof none);
    if (!ok) {
        free(tables.data);
    }
    ok = ok && write_piece(&o, &tables, &table) && write_chunks(w, c, &o, &packer, &table);
    if (!ok) {
        int failed = errno;
        packer_fini(&packer);
        errno = failed;
        st_buf_free(&table);
        return false;
    }
    st_save(&index, "snapshot", &snap_manifest_desc, &c->manifest);
    put32(&index, (uint32_t)c->head_len);
    st_buf_put(&index, c->head, c->head_len);
    put32(&index, (uint32_t)(table.len / SNAP_CHUNK_ENTRY));
    st_buf_put(&index, table.data, table.len);
    put_regions(w, &index);
    pack(&packer, &packed, index.data, (uint32_t)index.len, true);
    packer_fini(&packer);
    uint64_t at = o.off;
    ok = out_put(&o, packed.data, packed.len) && put_header(&o, at, &packed);
    *id = packed.sum;
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
