/*
 * qcow2: the header, its extensions, and the name of the backing file ("Header", "Header
 * extensions", "String header extensions", "Feature name table").
 *
 * What cannot be served is refused by its name: encryption, an external data file, subclusters,
 * zstd, and any incompatible feature that is not known here.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/blk_qcow2.h"

#define FEATURE_ROW 48u /* kind, bit, 46 characters */

#define INCOMPAT_DATA_FILE   UINT64_C(4)
#define INCOMPAT_COMPRESSION UINT64_C(8)
#define INCOMPAT_EXTENDED_L2 UINT64_C(16)

/* The header's cluster, as far as the file goes. */
struct head {
    const char *path;
    const uint8_t *p;
    size_t len;
    const uint8_t *features; /* the feature name table; NULL: none */
    size_t features_len;
};

static bool bad(const struct head *d, struct err *e, const char *what)
{
    return err_set(e, "%s: qcow2: %s", d->path, what);
}

/* --- Features --- */

static bool check_features(const struct head *d, const struct qc_header *h, struct err *e)
{
    uint64_t known = QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT | INCOMPAT_COMPRESSION;
    uint64_t odd = h->incompatible & ~known;
    uint8_t compression = h->length > QC_HEADER_V3 ? d->p[QC_HEADER_V3] : 0;
    if (odd & INCOMPAT_DATA_FILE) {
        return bad(d, e, "its data is in an external file, which is not supported");
    }
    if (odd & INCOMPAT_EXTENDED_L2) {
        return bad(d, e, "it has extended L2 entries (subclusters), which are not supported");
    }
    for (size_t i = 0; odd && i + FEATURE_ROW <= d->features_len; i += FEATURE_ROW) {
        const uint8_t *row = d->features + i;
        if (row[0] == 0 && row[1] < 64 && odd >> row[1] & 1) {
            return err_set(e, "%s: qcow2: needs the feature \"%.46s\", which is not supported",
                           d->path, (const char *)row + 2);
        }
    }
    if (odd) {
        return err_set(e, "%s: qcow2: needs features that are not known (mask 0x%" PRIx64 ")",
                       d->path, odd);
    }
    if (compression != 0 || h->incompatible & INCOMPAT_COMPRESSION) {
        return err_set(e, "%s: qcow2: compressed with %s; only zlib is supported", d->path,
                       compression == 1 ? "zstd" : "an unknown method");
    }
    return true;
}

/* --- Extensions --- */

static bool copy_text(char *to, size_t size, const uint8_t *from, size_t len)
{
    if (len >= size || memchr(from, 0, len)) {
        return false;
    }
    memcpy(to, from, len);
    to[len] = 0;
    return true;
}

static bool one_extension(struct head *d, struct qc_header *h, uint32_t kind, const uint8_t *p,
                          uint32_t len, struct err *e)
{
    switch (kind) {
    case QC_EXT_BACKING_FORMAT:
        return copy_text(h->backing_format, sizeof h->backing_format, p, len) ||
               bad(d, e, "the backing file's format is not a name");
    case QC_EXT_FEATURE_NAMES:
        d->features = p;
        d->features_len = len;
        return true;
    case QC_EXT_BITMAPS: /* number, reserved, bytes and place of the directory */
        if (len < 24) {
            return bad(d, e, "the bitmaps extension is cut short");
        }
        h->bitmaps_len = be64_get(p + 8);
        h->bitmaps_off = be64_get(p + 16);
        return true;
    default:
        return true;
    }
}

static bool read_extensions(struct head *d, struct qc_header *h, size_t end, struct err *e)
{
    size_t at = h->length;
    while (at + 8 <= end) {
        uint32_t kind = be32_get(d->p + at), len = be32_get(d->p + at + 4);
        at += 8;
        if (kind == QC_EXT_END) {
            break;
        }
        if (len > end - at) {
            return bad(d, e, "a header extension is longer than its place");
        }
        if (!one_extension(d, h, kind, d->p + at, len, e)) {
            return false;
        }
        at += len;
        at += -at & 7;
    }
    return true;
}

/* --- The header --- */

static bool parse(struct head *d, struct qc_header *h, struct err *e)
{
    const uint8_t *p = d->p;
    h->version = be32_get(p + 4);
    if (h->version != 2 && h->version != 3) {
        return err_set(e, "%s: qcow2 version %" PRIu32 "; want 2 or 3", d->path, h->version);
    }
    h->size = be64_get(p + 24);
    h->l1_size = be32_get(p + 36);
    h->l1_off = be64_get(p + 40);
    h->rt_off = be64_get(p + 48);
    h->rt_clusters = be32_get(p + 56);
    h->nsnapshots = be32_get(p + 60);
    h->snapshots_off = be64_get(p + 64);
    h->refcount_order = 4;
    h->length = QC_HEADER_V2;
    if (be32_get(p + 32) != 0) {
        return bad(d, e, "it is encrypted, which is not supported");
    }
    if (h->version == 2) {
        return true;
    }
    h->incompatible = be64_get(p + 72);
    h->compatible = be64_get(p + 80);
    h->autoclear = be64_get(p + 88);
    h->refcount_order = be32_get(p + 96);
    h->length = be32_get(p + 100);
    if (h->refcount_order > 6) {
        return bad(d, e, "refcounts of more than 64 bits");
    }
    return (h->length >= QC_HEADER_V3 && h->length <= d->len && h->length % 8 == 0) ||
           bad(d, e, "the header's length is wrong");
}

/* The tables that the header names: aligned, not too large, inside the file. */
static bool check_places(const struct head *d, const struct qc_header *h, uint64_t file_bytes,
                         struct err *e)
{
    uint64_t mask = (UINT64_C(1) << h->cluster_bits) - 1;
    uint32_t span = 2 * h->cluster_bits - 3; /* log2 of what one L1 entry maps */
    uint64_t rt_bytes = (uint64_t)h->rt_clusters << h->cluster_bits;
    if (h->size > QC_BYTES_MAX) {
        return bad(d, e, "a disk of more than 2^56 bytes");
    }
    uint64_t need = (h->size + (UINT64_C(1) << span) - 1) >> span;
    if (h->l1_size > QC_L1_MAX || need > QC_L1_MAX) {
        return bad(d, e, "its L1 table is too large");
    }
    if (h->l1_size < need) {
        return bad(d, e, "its L1 table is too small for the disk");
    }
    if (rt_bytes == 0 || rt_bytes > QC_RT_MAX_BYTES) {
        return bad(d, e, "the size of its refcount table is wrong");
    }
    if (h->nsnapshots > QC_SNAPSHOTS_MAX) {
        return bad(d, e, "too many snapshots");
    }
    if ((h->l1_off | h->rt_off | (h->nsnapshots ? h->snapshots_off : 0)) & mask || !h->rt_off ||
        (h->l1_size && !h->l1_off)) {
        return bad(d, e, "a table is not at the start of a cluster");
    }
    if (h->l1_off > file_bytes || (uint64_t)h->l1_size * 8 > file_bytes - h->l1_off ||
        h->rt_off > file_bytes || rt_bytes > file_bytes - h->rt_off) {
        return bad(d, e, "its tables lie behind the end of the file; it has been cut short");
    }
    return true;
}

static bool read_backing(const struct head *d, struct qc_header *h, size_t *end, struct err *e)
{
    uint64_t off = be64_get(d->p + 8);
    uint32_t len = be32_get(d->p + 16);
    *end = d->len;
    if (off == 0) {
        return true;
    }
    if (len > QC_BACKING_MAX || off < h->length || off > d->len || len > d->len - off ||
        !copy_text(h->backing, sizeof h->backing, d->p + off, len)) {
        return bad(d, e, "the backing file's name is wrong");
    }
    *end = (size_t)off;
    return true;
}

bool qc_header_read(const struct blk_file *f, const char *path, struct qc_header *h, struct err *e)
{
    uint8_t first[QC_HEADER_V3];
    struct head d = {.path = path, .p = first};
    *h = (struct qc_header){0};
    if (f->bytes < QC_HEADER_V2) {
        return bad(&d, e, "the file ends in its header");
    }
    if (!blk_file_read(f, 0, first, sizeof first)) {
        return err_set(e, "%s: %s", path, strerror(errno));
    }
    h->cluster_bits = be32_get(first + 20);
    if (be32_get(first) != QC_MAGIC) {
        return bad(&d, e, "it does not begin as one");
    }
    if (h->cluster_bits < QC_CLUSTER_BITS_MIN || h->cluster_bits > QC_CLUSTER_BITS_MAX) {
        return bad(&d, e, "its clusters are not 512 bytes to 2 MiB");
    }
    d.len = (size_t)1 << h->cluster_bits;
    uint8_t *cluster = malloc(d.len);
    if (!cluster) {
        return err_set(e, "%s: no host memory", path);
    }
    d.p = cluster;
    size_t end;
    bool ok = (blk_file_read(f, 0, cluster, d.len) || err_set(e, "%s: %s", path, strerror(errno)));
    ok = ok && parse(&d, h, e) && read_backing(&d, h, &end, e) && read_extensions(&d, h, end, e) &&
         check_features(&d, h, e) && check_places(&d, h, f->bytes, e);
    free(cluster);
    return ok;
}

char *qc_backing_path(const char *path, const char *backing)
{
    const char *slash = strrchr(path, '/');
    if (strncmp(backing, "file:", 5) == 0) { /* QEMU's long form of a file's name */
        backing += 5;
    }
    size_t dir = *backing == '/' || !slash ? 0 : (size_t)(slash + 1 - path);
    size_t len = strlen(backing);
    char *out = malloc(dir + len + 1);
    if (out) {
        memcpy(out, path, dir);
        memcpy(out + dir, backing, len + 1);
    }
    return out;
}
