/*
 * qcow2: in what order metadata reaches the file.
 *
 *   1. data, and tables that are new: nothing in the file refers to them yet. Sync.
 *   2. refcount blocks, the refcount table's entries for new blocks. Sync.
 *   3. L2 tables in place, the L1 table's entries for new L2 tables. Sync.
 *   4. refcount blocks again, for what lost its last reference by step 3.
 *
 * Each step is right for any subset of the sectors of the next that reaches the disk: counts are
 * there before references, contents before both, and the other way round for what goes. A step
 * without work costs nothing: a flush after writes in place is one sync.
 */
#include <stdlib.h>
#include <string.h>

#include "host/blk_qcow2.h"

#define HEADER_AUTOCLEAR 88u
#define HEADER_RT        48u /* offset (8), clusters (4) */
#define HEADER_SECTOR    512u

bool qc_put(struct qcow2 *q, uint64_t off, const void *buf, size_t len)
{
    q->unsynced = true;
    return blk_file_write(&q->file, off, buf, len);
}

bool qc_sync(struct qcow2 *q)
{
    if (q->unsynced) {
        if (!blk_file_sync(&q->file)) {
            return false;
        }
        q->unsynced = false;
    }
    return true;
}

bool qc_table_put(struct qcow2 *q, const struct qc_table *t)
{
    return qc_put(q, t->off, t->data, q->cluster);
}

/* --- Steps --- */

static bool put_cache(struct qcow2 *q, const struct qc_cache *c, bool fresh)
{
    for (unsigned i = 0; i < c->sets * QC_WAYS; i++) {
        const struct qc_table *t = &c->t[i];
        if (t->used && t->dirty && t->fresh == fresh && !qc_table_put(q, t)) {
            return false;
        }
    }
    return true;
}

/* Only what has been synced is clean. */
static void clean_cache(struct qc_cache *c, bool fresh)
{
    for (unsigned i = 0; i < c->sets * QC_WAYS; i++) {
        if (c->t[i].fresh == fresh) {
            c->t[i].dirty = c->t[i].fresh = false;
        }
    }
}

static bool put_index(struct qcow2 *q, const struct qc_index *x)
{
    uint8_t unit[QC_INDEX_UNIT * 8];
    for (uint32_t i = 0; x->any_dirty && i < x->n; i += QC_INDEX_UNIT) {
        if (!x->dirty[i / QC_INDEX_UNIT]) {
            continue;
        }
        uint32_t n = x->n - i < QC_INDEX_UNIT ? x->n - i : QC_INDEX_UNIT;
        for (uint32_t k = 0; k < n; k++) {
            be64_put(unit + (size_t)k * 8, x->e[i + k]);
        }
        if (!qc_put(q, x->off + (uint64_t)i * 8, unit, (size_t)n * 8)) {
            return false;
        }
    }
    return true;
}

static void clean_index(struct qc_index *x)
{
    if (x->any_dirty) {
        memset(x->dirty, 0, (x->n + QC_INDEX_UNIT - 1) / QC_INDEX_UNIT);
        x->any_dirty = false;
    }
}

static bool commit_new(struct qcow2 *q)
{
    if (!put_cache(q, &q->rb, true) || !put_cache(q, &q->l2, true) || !qc_sync(q)) {
        return false;
    }
    clean_cache(&q->rb, true);
    clean_cache(&q->l2, true);
    return true;
}

static bool commit_counts(struct qcow2 *q)
{
    if (!put_cache(q, &q->rb, false) || !put_index(q, &q->rt) || !qc_sync(q)) {
        return false;
    }
    clean_cache(&q->rb, false);
    clean_index(&q->rt);
    return true;
}

static bool commit_references(struct qcow2 *q)
{
    if (!put_cache(q, &q->l2, false) || !put_index(q, &q->l1) || !qc_sync(q)) {
        return false;
    }
    clean_cache(&q->l2, false);
    clean_index(&q->l1);
    return true;
}

/* Nobody waits for this: if it is lost, clusters are leaked. */
static void commit_frees(struct qcow2 *q)
{
    int why = errno;
    if (q->ndoomed) {
        qc_doom_apply(q);
        if (put_cache(q, &q->rb, false)) {
            clean_cache(&q->rb, false);
        }
    }
    errno = why;
}

bool qc_commit(struct qcow2 *q)
{
    if (!commit_new(q) || !commit_counts(q) || !commit_references(q)) {
        return false;
    }
    commit_frees(q);
    return true;
}

/* --- The header --- */

bool qc_begin(struct qcow2 *q)
{
    uint8_t zeros[8] = {0};
    if (!q->h.autoclear) {
        return true;
    }
    if (!qc_put(q, HEADER_AUTOCLEAR, zeros, sizeof zeros) || !qc_sync(q)) {
        return false;
    }
    q->h.autoclear = 0;
    return true;
}

/* In one sector, so both or none. */
bool qc_header_switch(struct qcow2 *q, uint64_t rt_off, uint32_t rt_clusters, bool clean)
{
    uint8_t sector[HEADER_SECTOR];
    uint64_t incompatible = q->h.incompatible & ~(clean ? QC_INCOMPAT_DIRTY : 0);
    if (!blk_file_read(&q->file, 0, sector, sizeof sector)) {
        return false;
    }
    be64_put(sector + HEADER_RT, rt_off);
    be32_put(sector + HEADER_RT + 8, rt_clusters);
    if (q->h.version >= 3) {
        be64_put(sector + 72, incompatible);
    }
    if (!qc_put(q, 0, sector, sizeof sector) || !qc_sync(q)) {
        return false;
    }
    q->h.rt_off = rt_off;
    q->h.rt_clusters = rt_clusters;
    q->h.incompatible = incompatible;
    return true;
}
