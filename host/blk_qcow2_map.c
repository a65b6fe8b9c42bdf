/*
 * qcow2: from an offset of the disk to a place in the file ("Cluster mapping", "L2 table entry").
 *
 * The L1 table is in memory; L2 tables are read into a small cache, a table at a time. Neighbours
 * that lie in one piece are one extent, so a long read is one read of the file.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "host/blk_qcow2.h"

#if HAVE_ZLIB
#include <zlib.h>
#endif

#define CACHE_BYTES (UINT32_C(4) << 20)
#define CACHE_MAX   2048u /* tables */

/* --- Caches --- */

bool qc_cache_init(struct qc_cache *c, uint32_t cluster)
{
    unsigned n = CACHE_BYTES / cluster < CACHE_MAX ? CACHE_BYTES / cluster : CACHE_MAX;
    c->sets = n / QC_WAYS ? n / QC_WAYS : 1;
    c->t = calloc((size_t)c->sets * QC_WAYS, sizeof *c->t);
    return c->t != NULL;
}

void qc_cache_free(struct qc_cache *c)
{
    for (unsigned i = 0; c->t && i < c->sets * QC_WAYS; i++) {
        free(c->t[i].data);
    }
    free(c->t);
    c->t = NULL;
}

struct qc_table *qc_cache_find(struct qc_cache *c, uint64_t key)
{
    struct qc_table *t = &c->t[key % c->sets * QC_WAYS];
    for (unsigned i = 0; i < QC_WAYS; i++) {
        if (t[i].used && t[i].key == key) {
            t[i].used = ++c->tick;
            return &t[i];
        }
    }
    return NULL;
}

struct qc_table *qc_cache_victim(struct qc_cache *c, uint64_t key, uint32_t cluster)
{
    struct qc_table *t = &c->t[key % c->sets * QC_WAYS], *oldest = t;
    for (unsigned i = 1; i < QC_WAYS; i++) {
        oldest = t[i].used < oldest->used ? &t[i] : oldest;
    }
    if (!oldest->data) {
        oldest->data = malloc(cluster);
        errno = ENOMEM;
    }
    return oldest->data ? oldest : NULL;
}

void qc_cache_take(struct qc_cache *c, struct qc_table *t, uint64_t key, uint64_t off)
{
    t->key = key;
    t->off = off;
    t->used = ++c->tick;
    t->dirty = t->fresh = false;
}

/* --- Tables that are whole in memory --- */

bool qc_index_load(const struct qcow2 *q, struct qc_index *x, uint64_t off, uint32_t n)
{
    size_t units = (n + QC_INDEX_UNIT - 1) / QC_INDEX_UNIT;
    x->off = off;
    x->n = n;
    x->e = malloc(n ? (size_t)n * 8 : 8);
    x->dirty = calloc(units + 1, 1);
    if (!x->e || !x->dirty) {
        errno = ENOMEM;
        return false;
    }
    if (!qc_inside(q, off, (uint64_t)n * 8) || !blk_file_read(&q->file, off, x->e, (size_t)n * 8)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        x->e[i] = be64_get(&x->e[i]);
    }
    return true;
}

void qc_index_free(struct qc_index *x)
{
    free(x->e);
    free(x->dirty);
    x->e = NULL;
    x->dirty = NULL;
}

void qc_index_set(struct qc_index *x, uint32_t i, uint64_t v)
{
    x->e[i] = v;
    x->dirty[i / QC_INDEX_UNIT] = 1;
    x->any_dirty = true;
}

/* --- L2 tables --- */

bool qc_inside(const struct qcow2 *q, uint64_t off, uint64_t len)
{
    if (off > q->file.bytes || len > q->file.bytes - off) {
        errno = QC_BAD;
        return false;
    }
    return true;
}

bool qc_table_read(const struct qcow2 *q, uint64_t off, uint8_t *data)
{
    if (off & (q->cluster - 1)) {
        errno = QC_BAD;
        return false;
    }
    return qc_inside(q, off, q->cluster) && blk_file_read(&q->file, off, data, q->cluster);
}

struct qc_table *qc_l2_room(struct qcow2 *q, uint64_t i)
{
    struct qc_table *t = qc_cache_victim(&q->l2, i, q->cluster);
    if (t && t->used && t->dirty && !(t->fresh ? qc_table_put(q, t) : qc_commit(q))) {
        return NULL;
    }
    if (t) {
        t->used = 0;
    }
    return t;
}

bool qc_l2_get(struct qcow2 *q, uint64_t i, struct qc_table **t)
{
    uint64_t off = q->l1.e[i] & QC_OFFSET;
    *t = off ? qc_cache_find(&q->l2, i) : NULL;
    if (!off || *t) {
        return true;
    }
    struct qc_table *v = qc_l2_room(q, i);
    if (!v || !qc_table_read(q, off, v->data)) {
        return false;
    }
    qc_cache_take(&q->l2, v, i, off);
    *t = v;
    return true;
}

/* --- Entries --- */

static bool classify(const struct qcow2 *q, uint64_t entry, struct qc_extent *x)
{
    uint64_t off = entry & QC_OFFSET;
    if (entry & QC_COMPRESSED) {
        x->kind = QC_PACKED;
        x->at = entry;
    } else if (entry & QC_ZERO && q->h.version >= 3) {
        x->kind = QC_ZEROS;
    } else if (!off) {
        x->kind = QC_HOLE;
    } else if (off & (q->cluster - 1) || off >= q->file.bytes) {
        errno = QC_BAD;
        return false;
    } else {
        x->kind = QC_DATA;
        x->at = off;
    }
    return true;
}

bool qc_map(struct qcow2 *q, uint64_t off, size_t len, struct qc_extent *x)
{
    struct qc_table *t;
    uint32_t in = (uint32_t)off & (q->cluster - 1), k = qc_l2_index(q, off);
    if (!qc_l2_get(q, qc_l1_index(q, off), &t)) {
        return false;
    }
    if (!t) { /* nothing up to the end of what this L1 entry maps */
        uint64_t rest = ((uint64_t)((1u << q->l2_bits) - k) << q->h.cluster_bits) - in;
        *x = (struct qc_extent){.kind = QC_HOLE, .len = rest < len ? (size_t)rest : len};
        return true;
    }
    if (!classify(q, be64_get(t->data + (size_t)k * 8), x)) {
        return false;
    }
    x->len = q->cluster - in;
    for (k++; x->len < len && k < 1u << q->l2_bits && x->kind != QC_PACKED; k++) {
        struct qc_extent next;
        if (!classify(q, be64_get(t->data + (size_t)k * 8), &next) || next.kind != x->kind ||
            (x->kind == QC_DATA && next.at != x->at + in + x->len)) {
            break; /* also for what is wrong: it is told when it is read */
        }
        x->len += q->cluster;
    }
    x->len = x->len < len ? x->len : len;
    x->at += x->kind == QC_DATA ? in : 0;
    return true;
}

/* --- Compressed clusters ("Compressed Clusters Descriptor") --- */

void qc_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint32_t *len)
{
    uint32_t shift = 62 - (q->h.cluster_bits - 8);
    *off = entry & ((UINT64_C(1) << shift) - 1);
    uint32_t sectors = (uint32_t)(entry >> shift & ((1u << (q->h.cluster_bits - 8)) - 1)) + 1;
    *len = sectors * BLK_SECTOR - (uint32_t)(*off % BLK_SECTOR);
}

#if HAVE_ZLIB
static bool inflate_cluster(const struct qcow2 *q, uint32_t len)
{
    z_stream z = {.next_in = q->packed, .avail_in = len};
    z.next_out = q->plain;
    z.avail_out = q->cluster;
    if (inflateInit2(&z, -15) != Z_OK) {
        errno = ENOMEM;
        return false;
    }
    inflate(&z, Z_FINISH);
    bool ok = z.avail_out == 0;
    inflateEnd(&z);
    errno = QC_BAD;
    return ok;
}
#else
static bool inflate_cluster(const struct qcow2 *q, uint32_t len)
{
    (void)q;
    (void)len;
    errno = ENOTSUP; /* built without zlib */
    return false;
}
#endif

bool qc_unpack(struct qcow2 *q, uint64_t entry)
{
    uint64_t off;
    uint32_t len;
    if (q->plain && q->plain_entry == entry) {
        return true;
    }
    if (!q->plain) {
        q->plain = malloc(q->cluster);
        q->packed = malloc((size_t)2 * q->cluster + BLK_SECTOR);
    }
    if (!q->plain || !q->packed) {
        free(q->plain);
        free(q->packed);
        q->plain = q->packed = NULL;
        errno = ENOMEM;
        return false;
    }
    q->plain_entry = 0;
    qc_packed_place(q, entry, &off, &len);
    if (off >= q->file.bytes) {
        errno = QC_BAD;
        return false;
    }
    /* The last one of a file need not fill its last sector. */
    if (!blk_file_read(&q->file, off, q->packed, len) || !inflate_cluster(q, len)) {
        return false;
    }
    q->plain_entry = entry;
    return true;
}
