/*
 * A snapshot in use: its pages go to RAM and overlays when they are touched.
 *
 * Several maps (RAM, memory of devices, forks of them) fetch from one chain, on any thread; a lock
 * and a few unpacked chunks are shared by all. The file and its parents stay open until nothing is
 * left to fetch.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "util/os_mem.h"
#include "vm/snap_priv.h"

#define CACHED 16u /* unpacked chunks: 1 MiB */

struct unpacked {
    const struct snap_file *file; /* NULL: nothing here */
    uint32_t chunk;
    uint64_t used;
    uint8_t data[SNAP_CHUNK * PAGE_SIZE];
};

struct snap_chain {
    atomic_uint refs;
    pthread_mutex_t lock;
    struct snap_file *file;
    void (*failed)(void *ctx, const char *why);
    void *ctx;
    uint64_t clock;
    struct unpacked cache[CACHED];
};

struct ram_from {
    struct ram_source source; /* first */
    struct snap_chain *chain;
    char region[SNAP_REGION];
};

static void *must(void *p)
{
    if (!p) {
        abort();
    }
    return p;
}

struct snap_chain *snap_chain_new(struct snap_file *f, void (*failed)(void *ctx, const char *why),
                                  void *ctx)
{
    struct snap_chain *c = must(calloc(1, sizeof *c));
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    c->file = f;
    c->failed = failed;
    c->ctx = ctx;
    return c;
}

void snap_chain_detach(struct snap_chain *c)
{
    pthread_mutex_lock(&c->lock);
    c->failed = NULL;
    pthread_mutex_unlock(&c->lock);
}

void snap_chain_put(struct snap_chain *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        snap_close(c->file);
        pthread_mutex_destroy(&c->lock);
        free(c);
    }
}

/* With the lock held. NULL: e. */
static const uint8_t *unpack(struct snap_chain *c, const struct snap_chunk_ref *ref, struct err *e)
{
    struct unpacked *oldest = &c->cache[0];
    for (unsigned i = 0; i < CACHED; i++) {
        struct unpacked *u = &c->cache[i];
        if (u->file == ref->file && u->chunk == ref->chunk) {
            u->used = ++c->clock;
            return u->data;
        }
        oldest = u->used < oldest->used ? u : oldest;
    }
    oldest->file = NULL;
    oldest->used = 0;
    if (!snap_read_chunk(ref->file, ref->chunk, oldest->data, e)) {
        return NULL;
    }
    oldest->file = ref->file;
    oldest->chunk = ref->chunk;
    oldest->used = ++c->clock;
    return oldest->data;
}

bool snap_chain_get(struct snap_chain *c, const char *region, uint64_t index, uint8_t *to)
{
    struct snap_chunk_ref ref;
    enum snap_kind kind;
    struct err e = {""};
    if (!snap_resolve(c->file, region, index, &ref, &kind)) {
        memset(to, 0, PAGE_SIZE);
        return true;
    }
    pthread_mutex_lock(&c->lock);
    const uint8_t *data = unpack(c, &ref, &e);
    if (data) {
        memcpy(to, data + ref.page * PAGE_SIZE, PAGE_SIZE);
    } else {
        memset(to, 0, PAGE_SIZE);
        if (c->failed) {
            c->failed(c->ctx, e.msg);
            c->failed = NULL;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return data != NULL;
}

static void fetch(struct ram_source *s, uint64_t pfn, uint8_t *to)
{
    struct ram_from *f = (struct ram_from *)s;
    snap_chain_get(f->chain, f->region, pfn, to);
}

static void free_source(struct ram_source *s)
{
    struct ram_from *f = (struct ram_from *)s;
    snap_chain_put(f->chain);
    free(f);
}

void snap_chain_ram(struct snap_chain *c, const char *region, struct ram *r)
{
    size_t bytes = (size_t)((r->npages + 63) / 64 * 8);
    uint64_t *pending = must(os_mem_alloc(bytes, 1, 0));
    struct ram_from *f = must(calloc(1, sizeof *f));
    atomic_init(&f->source.refs, 1);
    f->source.fetch = fetch;
    f->source.free = free_source;
    f->chain = c;
    snap_chain_hold(c);
    memcpy(f->region, region, strlen(region));
    for (uint64_t i = snap_next(c->file, region, 0); i < r->npages;
         i = snap_next(c->file, region, i + 1)) {
        pending[i >> 6] |= UINT64_C(1) << (i & 63);
    }
    ram_set_source(r, &f->source, pending);
    os_mem_free(pending, bytes);
}

uint64_t snap_chain_next(const struct snap_chain *c, const char *region, uint64_t index)
{
    return snap_next(c->file, region, index);
}

uint64_t snap_chain_pages(const struct snap_chain *c, const char *region)
{
    return snap_region_pages(c->file, region);
}

void snap_chain_hold(struct snap_chain *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}
