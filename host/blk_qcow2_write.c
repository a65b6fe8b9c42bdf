/*
 * qcow2: writes of the guest.
 *
 * A cluster that this disk alone refers to (COPIED) is written in place. Any other is written whole
 * to a new place, with what it held before around what the guest writes; then its L2 entry in
 * memory points there. The old place is given back after the next commit.
 *
 * What always holds: an L2 entry changes last, when all that can fail has been done. So a failed
 * write changes nothing but, perhaps, sectors that it names.
 */
#include <stdlib.h>
#include <string.h>

#include "host/blk_qcow2.h"

/* The piece of a write that lies in one cluster. */
struct piece {
    uint64_t start; /* of the cluster, on the disk */
    uint32_t at;    /* in the cluster */
    const uint8_t *data;
    size_t len;
};

/* --- L2 tables --- */

/* A table in a cluster of its own, with the contents of *t, or empty if *t is NULL. */
static bool l2_renew(struct qcow2 *q, uint64_t i, struct qc_table **t)
{
    uint64_t off, old = q->l1.e[i] & QC_OFFSET;
    struct qc_table *mine = *t;
    if (!mine) {
        mine = qc_l2_room(q, i);
        if (!mine) {
            return false;
        }
        memset(mine->data, 0, q->cluster);
    }
    if (!qc_alloc(q, &off)) {
        return false;
    }
    if (!qc_put(q, off, mine->data, q->cluster)) {
        qc_unalloc(q, off);
        return false;
    }
    qc_cache_take(&q->l2, mine, i, off);
    mine->fresh = true;
    if (old) {
        qc_doom(q, old, 1);
    }
    qc_index_set(&q->l1, (uint32_t)i, off | QC_COPIED);
    *t = mine;
    return true;
}

/* The L2 table of a cluster, to be changed. */
static bool l2_for_writing(struct qcow2 *q, uint64_t off, struct qc_table **t)
{
    uint64_t i = qc_l1_index(q, off);
    if (!qc_l2_get(q, i, t)) {
        return false;
    }
    return (*t && q->l1.e[i] & QC_COPIED) || l2_renew(q, i, t);
}

/* --- Clusters --- */

/* Nothing is there, and a new cluster behind the end of the file is zeros already. */
static bool is_blank(const struct qcow2 *q, uint64_t start, uint64_t entry, uint64_t host)
{
    bool hole = !(entry & (QC_OFFSET | QC_COMPRESSED)) ||
                (entry & QC_ZERO && q->h.version >= 3 && !(entry & QC_COMPRESSED));
    bool covered = q->backing && start < q->backing->bytes && !(entry & QC_ZERO);
    return hole && !covered && host >= q->file.bytes;
}

/* Write a whole cluster: the piece, and what the disk holds around it. */
static bool fill(struct qcow2 *q, const struct piece *p, uint64_t entry, uint64_t host)
{
    if (p->len == q->cluster) {
        return qc_put(q, host, p->data, p->len);
    }
    if (is_blank(q, p->start, entry, host)) {
        return qc_put(q, host + p->at, p->data, p->len);
    }
    if (!q->bounce) {
        q->bounce = malloc(q->cluster);
        errno = ENOMEM;
    }
    if (!q->bounce || !qc_read(q, p->start, q->bounce, q->cluster)) {
        return false;
    }
    memcpy(q->bounce + p->at, p->data, p->len);
    return qc_put(q, host, q->bounce, q->cluster);
}

static void doom_entry(struct qcow2 *q, uint64_t entry)
{
    uint64_t off = entry & QC_OFFSET, n = 1;
    uint32_t len;
    if (entry & QC_COMPRESSED) {
        qc_packed_place(q, entry, &off, &len);
        uint64_t end = qc_round_up(q, off + len);
        off &= ~(uint64_t)(q->cluster - 1);
        n = (end - off) >> q->h.cluster_bits;
    }
    if (off) {
        qc_doom(q, off, n);
    }
}

/* Two requests to give back at most: an L2 table and a cluster. */
static bool write_piece(struct qcow2 *q, const struct piece *p)
{
    struct qc_table *t;
    if (!qc_doom_room(q) || !l2_for_writing(q, p->start, &t)) {
        return false;
    }
    uint8_t *slot = t->data + (size_t)qc_l2_index(q, p->start) * 8;
    uint64_t entry = be64_get(slot), host = entry & QC_OFFSET;
    bool packed = entry & QC_COMPRESSED, zero = entry & QC_ZERO && q->h.version >= 3;
    if (!packed && (host & (q->cluster - 1) || (host && host >= q->file.bytes))) {
        errno = QC_BAD;
        return false;
    }
    bool mine = !packed && host && entry & QC_COPIED;
    if (mine && !zero) {
        return qc_put(q, host + p->at, p->data, p->len);
    }
    if (!mine && !qc_alloc(q, &host)) {
        return false;
    }
    if (!fill(q, p, entry, host)) {
        if (!mine) {
            qc_unalloc(q, host);
        }
        return false;
    }
    if (!mine) {
        doom_entry(q, entry);
    }
    be64_put(slot, host | QC_COPIED);
    t->dirty = true;
    return true;
}

bool qc_write(struct qcow2 *q, uint64_t off, const uint8_t *buf, size_t len)
{
    if (!qc_begin(q)) {
        return false;
    }
    while (len && off < q->limit) { /* behind it there is no disk */
        uint32_t at = (uint32_t)off & (q->cluster - 1);
        size_t n = q->cluster - at < len ? q->cluster - at : len;
        struct piece p = {.start = off - at, .at = at, .data = buf, .len = n};
        if (!write_piece(q, &p)) {
            return false;
        }
        off += n;
        buf += n;
        len -= n;
    }
    return true;
}
