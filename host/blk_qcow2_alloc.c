/*
 * qcow2: which clusters of the file are free ("Host cluster management").
 *
 * A search starts where nothing below is free as far as is known, and goes up. A new refcount block
 * lies in the first free cluster of those that it counts, and so counts itself; a larger refcount
 * table lies behind all that the old one counts. So neither needs a cluster from elsewhere.
 *
 * What always holds: counts in memory are never lower than those in the file, but for clusters that
 * nothing in the file refers to. So a refcount block may be written at any time. A count goes down
 * only after a commit (qc_doom), so a cluster that the file refers to is never taken again.
 *
 * A block or table is written when it is made: a full disk shows up then, and not in a commit.
 */
#include <stdlib.h>
#include <string.h>

#include "host/blk_qcow2.h"

/* Clusters that may be taken but not yet written, at most: the caches' tables and what is new. */
#define UNWRITTEN_MAX 8192u

bool qc_counts_load(struct qcow2 *q)
{
    qc_index_free(&q->rt);
    qc_cache_free(&q->rb);
    q->hint = 0;
    return qc_index_load(q, &q->rt, q->h.rt_off, q->h.rt_clusters << q->l2_bits) &&
           qc_cache_init(&q->rb, q->cluster);
}

/* --- Counts --- */

uint64_t qc_count_get(const uint8_t *block, uint32_t i, uint32_t order)
{
    switch (order) {
    case 3:
        return block[i];
    case 4:
        return be16_get(block + (size_t)i * 2);
    case 5:
        return be32_get(block + (size_t)i * 4);
    case 6:
        return be64_get(block + (size_t)i * 8);
    default: { /* the first one in the lowest bits */
        uint32_t bit = i << order;
        return block[bit / 8] >> bit % 8 & ((1u << (1u << order)) - 1);
    }
    }
}

void qc_count_set(uint8_t *block, uint32_t i, uint32_t order, uint64_t v)
{
    switch (order) {
    case 3:
        block[i] = (uint8_t)v;
        break;
    case 4:
        be16_put(block + (size_t)i * 2, (uint16_t)v);
        break;
    case 5:
        be32_put(block + (size_t)i * 4, (uint32_t)v);
        break;
    case 6:
        be64_put(block + (size_t)i * 8, v);
        break;
    default: {
        uint32_t bit = i << order, mask = (1u << (1u << order)) - 1;
        block[bit / 8] = (uint8_t)((block[bit / 8] & ~(mask << bit % 8)) | v << bit % 8);
    }
    }
}

/* The first count of 0 in [from, all of them), or their number. */
static uint32_t first_free(const struct qcow2 *q, const uint8_t *block, uint32_t from)
{
    uint32_t n = UINT32_C(1) << q->rb_bits;
    while (from < n && qc_count_get(block, from, q->h.refcount_order)) {
        from++;
    }
    return from;
}

static void set_count(struct qcow2 *q, struct qc_table *t, uint64_t cluster, uint64_t v)
{
    uint32_t i = (uint32_t)cluster & ((UINT32_C(1) << q->rb_bits) - 1);
    qc_count_set(t->data, i, q->h.refcount_order, v);
    t->dirty = true;
}

/* --- Blocks --- */

static bool overlaps(uint64_t off, uint32_t cluster, uint64_t table, uint64_t bytes)
{
    return off < table + bytes && table < off + cluster;
}

/* May cluster i be taken? Not what an image that contradicts itself counts as free. */
static bool may_take(const struct qcow2 *q, uint64_t i)
{
    uint64_t off = i << q->h.cluster_bits;
    if (off >= QC_BYTES_MAX) {
        errno = EFBIG;
        return false;
    }
    errno = QC_BAD;
    return off && !overlaps(off, q->cluster, q->l1.off, (uint64_t)q->l1.n * 8) &&
           !overlaps(off, q->cluster, q->rt.off, (uint64_t)q->rt.n * 8);
}

static struct qc_table *rb_room(struct qcow2 *q, uint64_t key)
{
    struct qc_table *t = qc_cache_victim(&q->rb, key, q->cluster);
    if (t && t->used && t->dirty && !qc_table_put(q, t)) {
        return NULL;
    }
    if (t) {
        t->used = 0;
    }
    return t;
}

bool qc_rb_get(struct qcow2 *q, uint64_t key, struct qc_table **t)
{
    uint64_t off = key < q->rt.n ? q->rt.e[key] & ~UINT64_C(511) : 0;
    *t = off ? qc_cache_find(&q->rb, key) : NULL;
    if (!off || *t) {
        return true;
    }
    struct qc_table *v = rb_room(q, key);
    if (!v || !qc_table_read(q, off, v->data)) {
        return false;
    }
    qc_cache_take(&q->rb, v, key, off);
    *t = v;
    return true;
}

/* In cluster i, which it counts. */
static bool new_block(struct qcow2 *q, uint64_t i)
{
    uint64_t key = i >> q->rb_bits;
    struct qc_table *t = may_take(q, i) ? rb_room(q, key) : NULL;
    if (!t) {
        return false;
    }
    memset(t->data, 0, q->cluster);
    qc_cache_take(&q->rb, t, key, i << q->h.cluster_bits);
    set_count(q, t, i, 1);
    if (!qc_table_put(q, t)) {
        t->used = 0;
        return false;
    }
    t->fresh = true;
    qc_index_set(&q->rt, (uint32_t)key, t->off);
    return true;
}

/* --- A larger refcount table --- */

struct growth {
    uint64_t first;          /* cluster: the blocks, then the table */
    uint32_t blocks, tables; /* clusters of each */
};

static bool plan_growth(const struct qcow2 *q, struct growth *g)
{
    uint32_t most = QC_RT_MAX_BYTES >> q->h.cluster_bits, per = UINT32_C(1) << q->rb_bits;
    g->first = (uint64_t)q->rt.n << q->rb_bits;
    g->tables = 2 * q->h.rt_clusters < most ? 2 * q->h.rt_clusters : most;
    g->blocks = 1;
    while (g->blocks * per < g->blocks + g->tables) {
        g->blocks++;
    }
    if (q->rt.n + g->blocks > g->tables << q->l2_bits ||
        (g->first + g->blocks + g->tables) << q->h.cluster_bits > QC_BYTES_MAX) {
        errno = EFBIG;
        return false;
    }
    return true;
}

static bool write_blocks(struct qcow2 *q, const struct growth *g)
{
    uint8_t *block = malloc(q->cluster);
    uint32_t per = UINT32_C(1) << q->rb_bits, left = g->blocks + g->tables;
    bool ok = block != NULL;
    errno = ENOMEM;
    for (uint32_t k = 0; ok && k < g->blocks; k++) {
        memset(block, 0, q->cluster);
        uint32_t n = left < per ? left : per;
        for (uint32_t i = 0; i < n; i++) {
            qc_count_set(block, i, q->h.refcount_order, 1);
        }
        left -= n;
        ok = qc_put(q, (g->first + k) << q->h.cluster_bits, block, q->cluster);
    }
    free(block);
    return ok;
}

static bool write_table(struct qcow2 *q, const struct growth *g, uint64_t off)
{
    size_t bytes = (size_t)g->tables << q->h.cluster_bits;
    uint8_t *table = calloc(1, bytes);
    errno = ENOMEM;
    for (uint32_t i = 0; table && i < q->rt.n; i++) {
        be64_put(table + (size_t)i * 8, q->rt.e[i]);
    }
    for (uint32_t i = 0; table && i < g->blocks; i++) {
        be64_put(table + (size_t)(q->rt.n + i) * 8, (g->first + i) << q->h.cluster_bits);
    }
    bool ok = table && qc_put(q, off, table, bytes);
    free(table);
    return ok;
}

/* After a commit, so that the file's table is the one in memory. Nothing refers to what is written
 * until the header does. */
static bool grow_table(struct qcow2 *q)
{
    struct growth g;
    struct qc_index larger = {NULL};
    if (!qc_commit(q) || !plan_growth(q, &g)) {
        return false;
    }
    uint64_t off = (g.first + g.blocks) << q->h.cluster_bits;
    uint64_t old = q->h.rt_off, old_clusters = q->h.rt_clusters;
    if (!write_blocks(q, &g) || !write_table(q, &g, off) || !qc_sync(q) ||
        !qc_index_load(q, &larger, off, g.tables << q->l2_bits) ||
        !qc_header_switch(q, off, g.tables, false)) {
        qc_index_free(&larger);
        return false;
    }
    qc_index_free(&q->rt);
    q->rt = larger;
    qc_doom(q, old, old_clusters);
    return true;
}

/* --- Take --- */

/* The first free cluster from i on, and its block. */
static bool search(struct qcow2 *q, uint64_t i, uint64_t *found, struct qc_table **t)
{
    uint64_t per = UINT64_C(1) << q->rb_bits;
    for (;;) {
        if (i > (q->file.bytes >> q->h.cluster_bits) + 2 * per + UNWRITTEN_MAX) {
            errno = QC_BAD; /* counts far behind the end of the file */
            return false;
        }
        if (i >> q->rb_bits >= q->rt.n) {
            if (!grow_table(q)) {
                return false;
            }
            continue;
        }
        if (!qc_rb_get(q, i >> q->rb_bits, t)) {
            return false;
        }
        if (!*t) {
            if (!new_block(q, i)) {
                return false;
            }
            continue;
        }
        uint32_t k = first_free(q, (*t)->data, (uint32_t)(i & (per - 1)));
        i = (i & ~(per - 1)) + k;
        if (k < per) {
            *found = i;
            return true;
        }
    }
}

bool qc_alloc(struct qcow2 *q, uint64_t *off)
{
    struct qc_table *t;
    uint64_t i;
    if (!search(q, q->hint, &i, &t)) {
        return false;
    }
    *off = i << q->h.cluster_bits;
    if (!may_take(q, i)) {
        return false;
    }
    if (*off == t->off) {
        errno = QC_BAD; /* the block counts itself as free */
        return false;
    }
    set_count(q, t, i, 1);
    q->hint = i + 1;
    return true;
}

/* --- Give back --- */

void qc_unalloc(struct qcow2 *q, uint64_t off)
{
    int why = errno;
    uint64_t i = off >> q->h.cluster_bits;
    struct qc_table *t;
    if (qc_rb_get(q, i >> q->rb_bits, &t) && t) {
        set_count(q, t, i, 0);
        q->hint = i < q->hint ? i : q->hint;
    }
    errno = why;
}

bool qc_doom_room(struct qcow2 *q)
{
    return q->ndoomed + 4 <= QC_DOOMED_MAX || qc_commit(q);
}

void qc_doom(struct qcow2 *q, uint64_t off, uint64_t n)
{
    uint64_t first = off >> q->h.cluster_bits;
    struct qc_free *last = &q->doomed[q->ndoomed - (q->ndoomed > 0)];
    if (q->ndoomed && last->first + last->n == first) {
        last->n += n;
    } else {
        q->doomed[q->ndoomed++] = (struct qc_free){first, n};
    }
}

void qc_doom_apply(struct qcow2 *q)
{
    for (unsigned k = 0; k < q->ndoomed; k++) {
        for (uint64_t i = q->doomed[k].first; i < q->doomed[k].first + q->doomed[k].n; i++) {
            struct qc_table *t;
            if (!qc_rb_get(q, i >> q->rb_bits, &t) || !t) {
                continue; /* a leak */
            }
            uint32_t at = (uint32_t)i & ((UINT32_C(1) << q->rb_bits) - 1);
            uint64_t v = qc_count_get(t->data, at, q->h.refcount_order);
            if (v) {
                set_count(q, t, i, v - 1);
                q->hint = v == 1 && i < q->hint ? i : q->hint;
            }
        }
    }
    q->ndoomed = 0;
}
