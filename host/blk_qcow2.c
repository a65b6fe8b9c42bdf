/*
 * qcow2: an image as a block back end.
 */
#include <stdlib.h>
#include <string.h>

#include "host/blk_qcow2.h"

/* --- Read --- */

/* What the backing file has; behind its end, zeros. */
static bool read_backing(struct qcow2 *q, uint64_t off, uint8_t *buf, size_t len)
{
    uint64_t have = q->backing ? q->backing->bytes : 0;
    size_t n = off >= have ? 0 : have - off < len ? (size_t)(have - off) : len;
    memset(buf + n, 0, len - n);
    return n == 0 || q->backing->read(q->backing, off, buf, n);
}

static bool read_extent(struct qcow2 *q, const struct qc_extent *x, uint64_t off, uint8_t *buf)
{
    switch (x->kind) {
    case QC_HOLE:
        return read_backing(q, off, buf, x->len);
    case QC_ZEROS:
        memset(buf, 0, x->len);
        return true;
    case QC_PACKED:
        if (!qc_unpack(q, x->at)) {
            return false;
        }
        memcpy(buf, q->plain + (off & (q->cluster - 1)), x->len);
        return true;
    default:
        return blk_file_read(&q->file, x->at, buf, x->len);
    }
}

bool qc_read(struct qcow2 *q, uint64_t off, uint8_t *buf, size_t len)
{
    while (len) {
        struct qc_extent x = {.kind = QC_ZEROS, .len = len};
        if (off < q->limit) {
            size_t n = q->limit - off < len ? (size_t)(q->limit - off) : len;
            if (!qc_map(q, off, n, &x)) {
                return false;
            }
        }
        if (!read_extent(q, &x, off, buf)) {
            return false;
        }
        buf += x.len;
        off += x.len;
        len -= x.len;
    }
    return true;
}

static bool qcow2_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    return qc_read((struct qcow2 *)b, off, buf, len);
}

/* --- Write --- */

static bool qcow2_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    if (b->readonly) {
        errno = EROFS;
        return false;
    }
    return qc_write((struct qcow2 *)b, off, buf, len);
}

static bool qcow2_flush(struct blk *b)
{
    return b->readonly || qc_commit((struct qcow2 *)b);
}

/* --- Open and close --- */

static void qcow2_close(struct blk *b)
{
    struct qcow2 *q = (struct qcow2 *)b;
    qcow2_flush(b);
    if (q->backing) {
        q->backing->close(q->backing);
    }
    blk_file_close(&q->file);
    qc_index_free(&q->l1);
    qc_index_free(&q->rt);
    qc_cache_free(&q->l2);
    qc_cache_free(&q->rb);
    free(q->plain);
    free(q->packed);
    free(q->bounce);
    free(q->doomed);
    free(q);
}

static bool open_backing(struct qcow2 *q, const char *path, unsigned depth, struct err *e)
{
    struct blk_how how = {.readonly = true, .align = BLK_SECTOR};
    const char *format = q->h.backing_format;
    if (!q->h.backing[0]) {
        return true;
    }
    if (depth + 1 >= BLK_CHAIN_MAX) {
        return err_set(e,
                       "%s: more than %u images, each the backing file of the one before; does "
                       "one name itself?",
                       path, BLK_CHAIN_MAX);
    }
    if (*format && !blk_format_parse(format, &how.format)) {
        return err_set(e, "%s: its backing file has the format \"%s\"; want raw or qcow2", path,
                       format);
    }
    char *name = qc_backing_path(path, q->h.backing);
    if (!name) {
        return err_set(e, "%s: no host memory", path);
    }
    if (blk_same_file(path, name)) {
        free(name);
        return err_set(e, "%s: it is its own backing file", path);
    }
    q->backing = blk_open_chain(name, &how, NULL, depth + 1, e);
    free(name);
    /* One prefix says enough for a whole chain. */
    return q->backing || (depth ? false : err_prefix(e, "%s", path));
}

/* Refcounts that were written late (lazy_refcounts) and then not at all. */
static bool recover(struct qcow2 *q, const char *path, struct err *e)
{
    struct qc_census c = {.n = 0};
    bool ok = (qc_begin(q) || err_set(e, "%s: %s", path, strerror(errno))) &&
              qc_census_take(q, path, &c, e) && qc_rebuild(q, path, &c, e);
    qc_census_free(&c);
    return ok;
}

static bool load_for_writing(struct qcow2 *q, const char *path, struct err *e)
{
    if (q->h.incompatible & QC_INCOMPAT_CORRUPT) {
        return err_set(e, "%s: qcow2: marked as corrupt; readonly=on or snapshot=on reads it",
                       path);
    }
    q->doomed = calloc(QC_DOOMED_MAX, sizeof *q->doomed);
    if (!q->doomed || !qc_counts_load(q)) {
        return err_set(e, "%s: %s", path, strerror(errno));
    }
    q->blk.readonly = false;
    return !(q->h.incompatible & QC_INCOMPAT_DIRTY) || recover(q, path, e);
}

static bool load(struct qcow2 *q, const char *path, struct err *e)
{
    if (!qc_index_load(q, &q->l1, q->h.l1_off, q->h.l1_size) ||
        !qc_cache_init(&q->l2, q->cluster)) {
        return err_set(e, "%s: %s", path, strerror(errno));
    }
    return q->file.readonly || load_for_writing(q, path, e);
}

struct blk *blk_qcow2_new(struct blk_file *f, const char *path, unsigned depth, struct err *e)
{
    struct qcow2 *q = calloc(1, sizeof *q);
    if (!q || !qc_header_read(f, path, &q->h, e)) {
        if (!q) {
            err_set(e, "%s: no host memory", path);
        }
        free(q);
        blk_file_close(f);
        return NULL;
    }
    q->file = *f;
    q->cluster = UINT32_C(1) << q->h.cluster_bits;
    q->l2_bits = q->h.cluster_bits - 3;
    q->rb_bits = q->h.cluster_bits + 3 - q->h.refcount_order;
    q->limit = qc_round_up(q, q->h.size);
    q->blk = (struct blk){
        .bytes = q->h.size,
        .readonly = true,
        .read = qcow2_read,
        .write = qcow2_write,
        .flush = qcow2_flush,
        .close = qcow2_close,
    };
    if (!load(q, path, e) || !open_backing(q, path, depth, e)) {
        q->blk.close(&q->blk);
        return NULL;
    }
    return &q->blk;
}
