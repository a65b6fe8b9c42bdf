/*
 * An overlay: writes to an image stay here, reads see them.
 *
 * Units are clusters of 4 KiB. A two-level table gives for each cluster of the disk the number of
 * its slot, or none; slots are numbered in the order of first writing. The first MEMORY_SLOTS are
 * in memory, the rest in a temporary file that has no name, so that it goes with the process.
 *
 * The same table without an image under it is a store of clusters: the journal's before-images
 * (host/blk_journal.c).
 *
 * With a source, clusters may be pending: they have no slot, and are fetched whenever they are
 * read, until they are written to.
 *
 * What always holds: a slot is filled before the table points to it, so a write that fails (the
 * temporary file's disk is full) changes nothing of the cluster, or only sectors that it names.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/blk_priv.h"

#define CLUSTER      BLK_OVERLAY_CLUSTER
#define LEAF         4096u      /* clusters of one leaf: 16 MiB of disk */
#define SEGMENT      256u       /* slots of one allocation: 1 MiB */
#define MEMORY_SLOTS 16384u     /* 64 MiB */
#define PENDING      UINT32_MAX /* in place of slot + 1: the source has it */

struct blk_overlay {
    struct blk blk; /* first */
    struct blk *base;
    uint32_t **leaf; /* slot + 1 of each cluster; 0: none; or PENDING */
    struct blk_overlay_source *source;
    uint64_t nleaves;
    uint64_t nslots;    /* in use */
    uint8_t *dirty;     /* a bit for each slot: written since blk_overlay_clean */
    uint64_t dirty_cap; /* bytes of it */
    uint8_t *segment[MEMORY_SLOTS / SEGMENT];
    struct blk_file spill; /* fd -1: none yet */
};

/* --- Slots --- */

static uint8_t *slot_memory(const struct blk_overlay *o, uint64_t slot)
{
    return o->segment[slot / SEGMENT] + slot % SEGMENT * CLUSTER;
}

static bool slot_read(const struct blk_overlay *o, uint64_t slot, uint32_t at, void *buf,
                      size_t len)
{
    if (slot >= MEMORY_SLOTS) {
        return blk_file_read(&o->spill, (slot - MEMORY_SLOTS) * CLUSTER + at, buf, len);
    }
    memcpy(buf, slot_memory(o, slot) + at, len);
    return true;
}

/* A whole cluster by its entry in the table. */
static bool entry_read(const struct blk_overlay *o, uint32_t entry, uint64_t index, uint8_t *data)
{
    return entry == PENDING ? o->source->fetch(o->source, index, data)
                            : slot_read(o, entry - 1, 0, data, CLUSTER);
}

static bool slot_write(struct blk_overlay *o, uint64_t slot, uint32_t at, const void *buf,
                       size_t len)
{
    if (slot >= MEMORY_SLOTS) {
        return blk_file_write(&o->spill, (slot - MEMORY_SLOTS) * CLUSTER + at, buf, len);
    }
    memcpy(slot_memory(o, slot) + at, buf, len);
    return true;
}

static int open_nameless(void)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/doppel-XXXXXX", dir && *dir ? dir : "/var/tmp");
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

static bool dirty_room(struct blk_overlay *o)
{
    if (o->nslots / 8 >= o->dirty_cap) {
        uint64_t cap = o->dirty_cap ? 2 * o->dirty_cap : 512;
        uint8_t *d = realloc(o->dirty, cap);
        if (!d) {
            errno = ENOMEM;
            return false;
        }
        memset(d + o->dirty_cap, 0, cap - o->dirty_cap);
        o->dirty = d;
        o->dirty_cap = cap;
    }
    return true;
}

static void set_dirty(struct blk_overlay *o, uint64_t slot)
{
    o->dirty[slot / 8] |= (uint8_t)(1u << slot % 8);
}

/* Makes sure that slot number nslots has a place. */
static bool slot_room(struct blk_overlay *o)
{
    if (!dirty_room(o)) {
        return false;
    }
    if (o->nslots >= UINT32_MAX - 1) {
        errno = EFBIG;
        return false;
    }
    if (o->nslots >= MEMORY_SLOTS) {
        if (o->spill.fd < 0) {
            o->spill = (struct blk_file){.fd = open_nameless()};
        }
        return o->spill.fd >= 0;
    }
    uint8_t **seg = &o->segment[o->nslots / SEGMENT];
    if (!*seg) {
        *seg = malloc((size_t)SEGMENT * CLUSTER);
        errno = ENOMEM;
    }
    return *seg != NULL;
}

/* --- Clusters --- */

/* slot + 1, PENDING, or 0. */
static uint32_t lookup(const struct blk_overlay *o, uint64_t index)
{
    const uint32_t *leaf = o->leaf[index / LEAF];
    return leaf ? leaf[index % LEAF] : 0;
}

static bool leaf_room(struct blk_overlay *o, uint64_t index)
{
    uint32_t **leaf = &o->leaf[index / LEAF];
    if (!*leaf) {
        *leaf = calloc(LEAF, sizeof **leaf);
        errno = ENOMEM;
    }
    return *leaf != NULL;
}

static bool add_cluster(struct blk_overlay *o, uint64_t index, const uint8_t *data)
{
    uint32_t **leaf = &o->leaf[index / LEAF];
    if (!leaf_room(o, index) || !slot_room(o) || !slot_write(o, o->nslots, 0, data, CLUSTER)) {
        return false;
    }
    set_dirty(o, o->nslots);
    (*leaf)[index % LEAF] = (uint32_t)++o->nslots;
    return true;
}

/* What the base has in a cluster; the last one may stand out. */
static bool read_base(struct blk_overlay *o, uint64_t index, uint8_t *data)
{
    uint64_t off = index * CLUSTER, have = o->blk.bytes - off;
    size_t n = have < CLUSTER ? (size_t)have : CLUSTER;
    memset(data + n, 0, CLUSTER - n);
    return o->base->read(o->base, off, data, n);
}

static bool write_cluster(struct blk_overlay *o, uint64_t index, uint32_t at, const uint8_t *p,
                          size_t len)
{
    uint32_t slot = lookup(o, index);
    if (slot && slot != PENDING) {
        set_dirty(o, slot - 1);
        return slot_write(o, slot - 1, at, p, len);
    }
    uint8_t data[CLUSTER];
    if (len < CLUSTER && !(slot ? entry_read(o, slot, index, data) : read_base(o, index, data))) {
        return false;
    }
    memcpy(data + at, p, len);
    return add_cluster(o, index, data);
}

/* --- As a block back end --- */

static bool overlay_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct blk_overlay *o = (struct blk_overlay *)b;
    uint8_t *p = buf;
    while (len) {
        uint32_t at = (uint32_t)(off % CLUSTER), slot = lookup(o, off / CLUSTER);
        size_t n = CLUSTER - at;
        /* One read of the base for neighbours that are all there. */
        while (!slot && n < len && !lookup(o, (off + n) / CLUSTER)) {
            n += CLUSTER;
        }
        n = n < len ? n : len;
        bool ok;
        if (slot == PENDING) {
            uint8_t data[CLUSTER];
            ok = entry_read(o, slot, off / CLUSTER, data);
            memcpy(p, data + at, n);
        } else {
            ok = slot ? slot_read(o, slot - 1, at, p, n) : o->base->read(o->base, off, p, n);
        }
        if (!ok) {
            return false;
        }
        p += n;
        off += n;
        len -= n;
    }
    return true;
}

static bool overlay_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    struct blk_overlay *o = (struct blk_overlay *)b;
    const uint8_t *p = buf;
    while (len) {
        uint32_t at = (uint32_t)(off % CLUSTER);
        size_t n = CLUSTER - at < len ? CLUSTER - at : len;
        if (!write_cluster(o, off / CLUSTER, at, p, n)) {
            return false;
        }
        p += n;
        off += n;
        len -= n;
    }
    return true;
}

/* Nothing is kept beyond the process. */
static bool overlay_flush(struct blk *b)
{
    (void)b;
    return true;
}

void blk_overlay_clear(struct blk_overlay *o)
{
    for (uint64_t i = 0; i < o->nleaves; i++) {
        free(o->leaf[i]);
        o->leaf[i] = NULL;
    }
    for (unsigned i = 0; i < MEMORY_SLOTS / SEGMENT; i++) {
        free(o->segment[i]);
        o->segment[i] = NULL;
    }
    if (o->spill.fd >= 0) {
        blk_file_close(&o->spill);
    }
    if (o->source) {
        o->source->free(o->source);
        o->source = NULL;
    }
    free(o->dirty);
    o->dirty = NULL;
    o->dirty_cap = 0;
    o->nslots = 0;
}

static void overlay_close(struct blk *b)
{
    struct blk_overlay *o = (struct blk_overlay *)b;
    blk_overlay_clear(o);
    free(o->leaf);
    if (o->base) {
        o->base->close(o->base);
    }
    free(o);
}

struct blk_overlay *blk_overlay_store(uint64_t bytes)
{
    struct blk_overlay *o = calloc(1, sizeof *o);
    uint64_t clusters = (bytes + CLUSTER - 1) / CLUSTER;
    uint64_t nleaves = (clusters + LEAF - 1) / LEAF;
    uint32_t **leaf = o ? calloc(nleaves, sizeof *leaf) : NULL;
    if (!leaf) {
        free(o);
        errno = ENOMEM;
        return NULL;
    }
    o->blk = (struct blk){.bytes = bytes,
                          .read = overlay_read,
                          .write = overlay_write,
                          .flush = overlay_flush,
                          .close = overlay_close};
    o->leaf = leaf;
    o->nleaves = nleaves;
    o->spill.fd = -1;
    return o;
}

void blk_overlay_free(struct blk_overlay *o)
{
    if (o) {
        overlay_close(&o->blk);
    }
}

struct blk *blk_overlay_new(struct blk *base, struct err *e)
{
    struct blk_overlay *o = blk_overlay_store(base->bytes);
    if (!o) {
        base->close(base);
        err_set(e, "no host memory for the writes of snapshot=on");
        return NULL;
    }
    o->base = base;
    return &o->blk;
}

/* --- For saving --- */

struct blk_overlay *blk_overlay_of(struct blk *b)
{
    return b && b->close == overlay_close ? (struct blk_overlay *)b : NULL;
}

struct blk *blk_overlay_base(struct blk_overlay *o)
{
    return o->base;
}

uint64_t blk_overlay_count(const struct blk_overlay *o)
{
    return o->nslots;
}

bool blk_overlay_each(struct blk_overlay *o,
                      void (*fn)(void *ctx, uint64_t index, const uint8_t *data), void *ctx)
{
    uint8_t data[CLUSTER];
    for (uint64_t i = 0; i < o->nleaves; i++) {
        for (uint32_t k = 0; o->leaf[i] && k < LEAF; k++) {
            uint32_t slot = o->leaf[i][k];
            if (!slot) {
                continue;
            }
            if (!entry_read(o, slot, i * LEAF + k, data)) {
                return false;
            }
            fn(ctx, i * LEAF + k, data);
        }
    }
    return true;
}

bool blk_overlay_has(const struct blk_overlay *o, uint64_t index)
{
    return lookup(o, index) != 0;
}

bool blk_overlay_get(const struct blk_overlay *o, uint64_t index, uint8_t *data)
{
    return entry_read(o, lookup(o, index), index, data);
}

const uint8_t *blk_overlay_peek(const struct blk_overlay *o, uint64_t index)
{
    uint32_t slot = lookup(o, index);
    return slot && slot - 1 < MEMORY_SLOTS ? slot_memory(o, slot - 1) : NULL;
}

bool blk_overlay_is_dirty(const struct blk_overlay *o, uint64_t index)
{
    uint64_t slot = lookup(o, index);
    return slot && slot != PENDING && (o->dirty[(slot - 1) / 8] >> (slot - 1) % 8 & 1);
}

void blk_overlay_clean(struct blk_overlay *o)
{
    if (o->dirty) {
        memset(o->dirty, 0, o->dirty_cap);
    }
}

void blk_overlay_swap(struct blk_overlay *a, struct blk_overlay *b)
{
    struct blk_overlay was = *a;
    *a = *b;
    *b = was;
    a->blk = was.blk;
    b->blk = was.blk;
    b->base = a->base; /* the store's: none */
    a->base = was.base;
}

void blk_overlay_marks(const struct blk_overlay *o, uint8_t *bits)
{
    for (uint64_t i = 0; i < o->nleaves; i++) {
        for (uint32_t k = 0; o->leaf[i] && k < LEAF; k++) {
            uint64_t index = i * LEAF + k;
            if (o->leaf[i][k]) {
                bits[index / 8] |= (uint8_t)(1u << index % 8);
            }
        }
    }
}

void blk_overlay_set_source(struct blk_overlay *o, struct blk_overlay_source *source)
{
    o->source = source;
}

bool blk_overlay_pend(struct blk_overlay *o, uint64_t index)
{
    if (index > (o->blk.bytes - 1) / CLUSTER || lookup(o, index)) {
        errno = EINVAL;
        return false;
    }
    if (!leaf_room(o, index)) {
        return false;
    }
    o->leaf[index / LEAF][index % LEAF] = PENDING;
    return true;
}

bool blk_overlay_put(struct blk_overlay *o, uint64_t index, const uint8_t *data)
{
    if (index > (o->blk.bytes - 1) / CLUSTER || lookup(o, index)) {
        errno = EINVAL;
        return false;
    }
    return add_cluster(o, index, data);
}
