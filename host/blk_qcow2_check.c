/*
 * qcow2: follow all references, compare the refcounts with them, or make the refcounts anew.
 *
 * The work is bounded by the length of the file: L1 tables may not take more bytes than it has, and
 * an L2 table is walked once, however many L1 entries refer to it; its entries then count as often
 * as it does itself.
 *
 * Making anew is one switch of the header, as blocks and table are written behind the end of the
 * file first; an interruption leaves the image as it was.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/blk_qcow2.h"

#define CLUSTERS_MAX (UINT64_C(1) << 26) /* 4 TiB in clusters of 64 KiB; 512 MiB of memory */
#define LINES_MAX    20u

static void complain(struct qc_census *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct qc_census *c, const char *fmt, ...)
{
    char line[200];
    va_list ap;
    if (c->errors++ < LINES_MAX && c->say) {
        va_start(ap, fmt);
        vsnprintf(line, sizeof line, fmt, ap);
        va_end(ap);
        c->say(c->ctx, line);
    }
}

/* --- Count --- */

/* [off, off+len) is referred to `times` times. False: it is not in the file. */
static bool count(const struct qcow2 *q, struct qc_census *c, uint64_t off, uint64_t len,
                  uint32_t times, const char *what)
{
    uint64_t first = off >> q->h.cluster_bits, last = (off + len - 1) >> q->h.cluster_bits;
    if (len == 0) {
        return true;
    }
    if (off + len < off || last >= c->n) {
        complain(c, "ERROR %s at 0x%" PRIx64 " lies behind the end of the file", what, off);
        return false;
    }
    for (uint64_t i = first; i <= last; i++) {
        c->refs[i] = c->refs[i] > UINT32_MAX - times ? UINT32_MAX : c->refs[i] + times;
    }
    return true;
}

/* The same for one whole cluster. */
static bool count_cluster(const struct qcow2 *q, struct qc_census *c, uint64_t off, uint32_t times,
                          const char *what)
{
    if (off & (q->cluster - 1)) {
        complain(c, "ERROR %s at 0x%" PRIx64 " is not at the start of a cluster", what, off);
        return false;
    }
    return count(q, c, off, q->cluster, times, what);
}

static bool count_l1(const struct qcow2 *q, struct qc_census *c, const struct qc_index *l1)
{
    if (!count(q, c, l1->off, (uint64_t)l1->n * 8, 1, "an L1 table")) {
        return false;
    }
    for (uint32_t i = 0; i < l1->n; i++) {
        uint64_t off = l1->e[i] & QC_OFFSET;
        if (off && count_cluster(q, c, off, 1, "an L2 table")) {
            c->mult[off >> q->h.cluster_bits]++;
        }
    }
    return true;
}

static void count_entry(const struct qcow2 *q, struct qc_census *c, uint64_t entry, uint32_t times)
{
    uint64_t off;
    uint32_t len;
    if (entry & QC_COMPRESSED) {
        qc_packed_place(q, entry, &off, &len);
        /* Its last sectors may be told and not be there. */
        uint64_t end = c->n << q->h.cluster_bits;
        if (off < end && end - off < len) {
            len = (uint32_t)(end - off);
        }
        count(q, c, off, len, times, "a compressed cluster");
    } else if (entry & QC_OFFSET) {
        count_cluster(q, c, entry & QC_OFFSET, times, "a cluster");
    }
}

static bool count_l2(const struct qcow2 *q, struct qc_census *c)
{
    uint8_t *table = malloc(q->cluster);
    bool ok = table != NULL;
    errno = ENOMEM;
    for (uint64_t i = 0; ok && i < c->n; i++) {
        if (!c->mult[i]) {
            continue;
        }
        ok = blk_file_read(&q->file, i << q->h.cluster_bits, table, q->cluster);
        for (uint32_t k = 0; ok && k < 1u << q->l2_bits; k++) {
            count_entry(q, c, be64_get(table + (size_t)k * 8), c->mult[i]);
        }
    }
    free(table);
    return ok;
}

/* "Snapshots": a table of entries of varying length. */
static bool count_snapshots(const struct qcow2 *q, struct qc_census *c)
{
    uint64_t at = q->h.snapshots_off, budget = q->file.bytes;
    for (uint32_t i = 0; i < q->h.nsnapshots; i++) {
        uint8_t head[40];
        struct qc_index l1 = {NULL};
        if (!qc_inside(q, at, sizeof head) || !blk_file_read(&q->file, at, head, sizeof head)) {
            return false;
        }
        uint64_t off = be64_get(head), n = be32_get(head + 8);
        if (n > QC_L1_MAX || n * 8 > budget) {
            errno = QC_BAD;
            return false;
        }
        budget -= n * 8;
        bool ok = qc_index_load(q, &l1, off, (uint32_t)n) && count_l1(q, c, &l1);
        qc_index_free(&l1);
        if (!ok) {
            return false;
        }
        at += sizeof head + be16_get(head + 12) + be16_get(head + 14) + be32_get(head + 36);
        at += -at & 7;
    }
    return count(q, c, q->h.snapshots_off, at - q->h.snapshots_off, 1, "the snapshot table");
}

/* "Bitmaps extension": a directory of tables of clusters; only while the bitmaps are true. */
static bool count_bitmaps(const struct qcow2 *q, struct qc_census *c)
{
    uint64_t at = q->h.bitmaps_off, end = at + q->h.bitmaps_len, budget = q->file.bytes;
    if (!(q->h.autoclear & QC_AUTOCLEAR_BITMAPS) || !q->h.bitmaps_len) {
        return true;
    }
    if (!qc_inside(q, at, q->h.bitmaps_len)) {
        return false;
    }
    count(q, c, at, q->h.bitmaps_len, 1, "the directory of bitmaps");
    while (at + 24 <= end) {
        uint8_t head[24];
        struct qc_index table = {NULL};
        if (!blk_file_read(&q->file, at, head, sizeof head)) {
            return false;
        }
        uint64_t n = be32_get(head + 8);
        if (n * 8 > budget || n > QC_L1_MAX) {
            errno = QC_BAD;
            return false;
        }
        budget -= n * 8;
        bool ok = qc_index_load(q, &table, be64_get(head), (uint32_t)n) &&
                  count(q, c, table.off, n * 8, 1, "a bitmap's table");
        for (uint64_t i = 0; ok && i < n; i++) {
            if (table.e[i] & QC_OFFSET) {
                count_cluster(q, c, table.e[i] & QC_OFFSET, 1, "a bitmap");
            }
        }
        qc_index_free(&table);
        if (!ok) {
            return false;
        }
        at += sizeof head + be16_get(head + 18) + be32_get(head + 20);
        at += -at & 7;
    }
    return true;
}

static bool count_counts(const struct qcow2 *q, struct qc_census *c)
{
    count(q, c, q->h.rt_off, (uint64_t)q->h.rt_clusters << q->h.cluster_bits, 1,
          "the refcount table");
    for (uint32_t i = 0; i < q->rt.n; i++) {
        if (q->rt.e[i]) {
            count_cluster(q, c, q->rt.e[i], 1, "a refcount block");
        }
    }
    return true;
}

bool qc_census_take(struct qcow2 *q, const char *path, struct qc_census *c, struct err *e)
{
    c->n = (q->file.bytes + q->cluster - 1) >> q->h.cluster_bits;
    if (c->n > CLUSTERS_MAX) {
        return err_set(e, "%s: has more than 2^26 clusters, too many to follow", path);
    }
    c->refs = calloc(c->n, sizeof *c->refs);
    c->mult = calloc(c->n, sizeof *c->mult);
    if (!c->refs || !c->mult) {
        return err_set(e, "%s: no host memory", path);
    }
    count(q, c, 0, q->cluster, 1, "the header");
    if ((!q->rt.e && !qc_counts_load(q)) || !count_l1(q, c, &q->l1) || !count_snapshots(q, c) ||
        !count_bitmaps(q, c) || !count_l2(q, c) || !count_counts(q, c)) {
        return err_set(e, "%s: cannot follow its references: %s", path, strerror(errno));
    }
    return true;
}

void qc_census_free(struct qc_census *c)
{
    free(c->refs);
    free(c->mult);
    c->refs = c->mult = NULL;
}

/* --- Compare --- */

/* The count of a cluster, as the file has it. */
static bool stored(struct qcow2 *q, uint64_t i, uint64_t *v)
{
    struct qc_table *t;
    if (!qc_rb_get(q, i >> q->rb_bits, &t)) {
        return false;
    }
    uint32_t k = (uint32_t)i & ((UINT32_C(1) << q->rb_bits) - 1);
    *v = t ? qc_count_get(t->data, k, q->h.refcount_order) : 0;
    return true;
}

static void compare_counts(struct qcow2 *q, struct qc_census *c, uint64_t *leaks)
{
    for (uint64_t i = 0; i < c->n; i++) {
        uint64_t v;
        if (!stored(q, i, &v)) {
            complain(c, "ERROR refcount block %" PRIu64 " cannot be read", i >> q->rb_bits);
            i |= (UINT64_C(1) << q->rb_bits) - 1; /* all that it counts */
        } else if (v < c->refs[i]) {
            complain(c, "ERROR cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu32, i, v,
                     c->refs[i]);
        } else if (v > c->refs[i]) {
            ++*leaks;
        }
    }
}

/* Is COPIED set where there is one reference, and nowhere else? With `fix` it is, then. */
static bool copied_right(const struct qcow2 *q, const struct qc_census *c, uint64_t *entry)
{
    uint64_t i = (*entry & QC_OFFSET) >> q->h.cluster_bits;
    uint64_t want = i < c->n && c->refs[i] == 1 ? QC_COPIED : 0;
    bool ok = (*entry & QC_COPIED) == want;
    *entry = (*entry & ~QC_COPIED) | want;
    return ok;
}

/* The entries of the L2 table at off. */
static bool fix_l2(struct qcow2 *q, struct qc_census *c, uint64_t off, uint8_t *table, bool fix,
                   uint64_t *allocated)
{
    bool changed = false;
    if (!qc_inside(q, off, q->cluster) || !blk_file_read(&q->file, off, table, q->cluster)) {
        return false;
    }
    for (uint32_t k = 0; k < 1u << q->l2_bits; k++) {
        uint64_t entry = be64_get(table + (size_t)k * 8), was = entry;
        *allocated += (entry & (QC_OFFSET | QC_COMPRESSED)) != 0;
        if (entry & QC_COMPRESSED) {
            entry &= ~QC_COPIED;
        } else if (entry & QC_OFFSET) {
            copied_right(q, c, &entry);
        }
        if (entry != was) {
            be64_put(table + (size_t)k * 8, entry);
            changed = true;
            if (!fix) {
                complain(c, "ERROR the COPIED bit of L2 entry 0x%" PRIx64 " is wrong", was);
            }
        }
    }
    return !changed || !fix || qc_put(q, off, table, q->cluster);
}

/* Over the active L1 table. Not `fix`: errors are counted. */
static bool walk_copied(struct qcow2 *q, struct qc_census *c, bool fix, uint64_t *allocated)
{
    uint8_t *table = malloc(q->cluster);
    bool ok = table != NULL;
    errno = ENOMEM;
    for (uint32_t i = 0; ok && i < q->l1.n; i++) {
        uint64_t entry = q->l1.e[i], off = entry & QC_OFFSET;
        if (!off || off & (q->cluster - 1)) {
            continue;
        }
        if (!copied_right(q, c, &entry)) {
            if (fix) {
                qc_index_set(&q->l1, i, entry);
            } else {
                complain(c, "ERROR the COPIED bit of L1 entry %" PRIu32 " is wrong", i);
            }
        }
        ok = fix_l2(q, c, off, table, fix, allocated) || !fix;
    }
    free(table);
    return ok;
}

/* --- Make anew --- */

struct fresh {
    uint64_t first;          /* cluster: the blocks, then the table */
    uint64_t blocks, tables; /* clusters of each */
};

static bool put_blocks(struct qcow2 *q, const struct qc_census *c, const struct fresh *f,
                       uint8_t *block)
{
    uint64_t max = bits_mask(1u << q->h.refcount_order), per = UINT64_C(1) << q->rb_bits;
    uint64_t end = f->first + f->blocks + f->tables;
    for (uint64_t k = 0; k < f->blocks; k++) {
        memset(block, 0, q->cluster);
        for (uint32_t i = 0; i < per && k * per + i < end; i++) {
            uint64_t at = k * per + i, v = at >= f->first ? 1 : c->refs[at];
            if (v > max) {
                errno = EOVERFLOW;
                return false;
            }
            qc_count_set(block, i, q->h.refcount_order, v);
        }
        if (!qc_put(q, (f->first + k) << q->h.cluster_bits, block, q->cluster)) {
            return false;
        }
    }
    return true;
}

static bool put_table(struct qcow2 *q, const struct fresh *f)
{
    size_t bytes = (size_t)f->tables << q->h.cluster_bits;
    uint8_t *table = calloc(1, bytes);
    errno = ENOMEM;
    for (uint64_t k = 0; table && k < f->blocks; k++) {
        be64_put(table + k * 8, (f->first + k) << q->h.cluster_bits);
    }
    bool ok = table && qc_put(q, (f->first + f->blocks) << q->h.cluster_bits, table, bytes);
    free(table);
    return ok;
}

/* The references that are counts go: the new ones count themselves. */
static void forget_counts(const struct qcow2 *q, struct qc_census *c)
{
    for (uint32_t i = 0; i < q->h.rt_clusters; i++) {
        c->refs[(q->h.rt_off >> q->h.cluster_bits) + i]--;
    }
    for (uint32_t i = 0; i < q->rt.n; i++) {
        if (q->rt.e[i]) {
            c->refs[q->rt.e[i] >> q->h.cluster_bits]--;
        }
    }
}

static bool switch_over(struct qcow2 *q, const struct qc_census *c)
{
    struct fresh f = {.first = c->n, .tables = 1};
    uint64_t before = 0, allocated = 0;
    while (f.blocks + f.tables != before) {
        before = f.blocks + f.tables;
        f.blocks = ((f.first + before) >> q->rb_bits) + 1;
        f.tables = (f.blocks * 8 + q->cluster - 1) >> q->h.cluster_bits;
    }
    if (f.tables << q->h.cluster_bits > QC_RT_MAX_BYTES) {
        errno = EFBIG;
        return false;
    }
    uint8_t *block = malloc(q->cluster);
    bool ok = block && put_blocks(q, c, &f, block) && put_table(q, &f) && qc_sync(q);
    free(block);
    /* COPIED next: what a dirty image says of it is not relied on before this is over. */
    return ok && walk_copied(q, (struct qc_census *)c, true, &allocated) && qc_commit(q) &&
           qc_header_switch(q, (f.first + f.blocks) << q->h.cluster_bits, (uint32_t)f.tables,
                            true) &&
           qc_counts_load(q);
}

bool qc_rebuild(struct qcow2 *q, const char *path, struct qc_census *c, struct err *e)
{
    if (c->errors) {
        return err_set(
            e,
            "%s: qcow2: its references lead out of the file, so refcounts cannot be made "
            "anew; readonly=on or snapshot=on reads it",
            path);
    }
    forget_counts(q, c);
    return switch_over(q, c) ||
           err_set(e, "%s: making its refcounts anew: %s", path, strerror(errno));
}

/* --- As a command --- */

bool qc_check(struct qcow2 *q, const char *path, bool repair, struct qc_census *c,
              struct blk_check *r, struct err *e)
{
    *r = (struct blk_check){0};
    if (!qc_census_take(q, path, c, e)) {
        return false;
    }
    if (repair) {
        if (!qc_rebuild(q, path, c, e)) {
            return false;
        }
        qc_census_free(c);
        if (!qc_census_take(q, path, c, e)) {
            return false;
        }
    }
    compare_counts(q, c, &r->leaks);
    walk_copied(q, c, false, &r->allocated);
    r->clusters = q->limit >> q->h.cluster_bits;
    r->errors = c->errors;
    r->end = q->file.bytes;
    return true;
}

bool blk_check(const char *path, bool repair, struct blk_check *r,
               void (*say)(void *ctx, const char *line), void *ctx, struct err *e)
{
    struct blk_how how = {.format = BLK_QCOW2, .readonly = !repair, .align = 1};
    struct qc_census c = {.say = say, .ctx = ctx};
    struct blk *b = blk_open(path, &how, NULL, e);
    if (!b) {
        return false;
    }
    bool ok = (!repair || !b->readonly || err_set(e, "%s: cannot be written to", path)) &&
              qc_check((struct qcow2 *)b, path, repair, &c, r, e);
    qc_census_free(&c);
    b->close(b);
    return ok;
}
