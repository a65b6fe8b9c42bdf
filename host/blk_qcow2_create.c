/*
 * qcow2: a new, empty image.
 *
 * In the file: the header's cluster, the refcount table, the refcount blocks, the L1 table. The
 * header comes last, when all it names is on stable storage: an interrupted file is no image.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/blk_qcow2.h"

struct layout {
    uint32_t cluster_bits, order, version;
    uint64_t l1_size;
    uint64_t rt, rb, l1, total; /* clusters of each, and with the header's in all */
};

static bool plan(const struct blk_create *how, const char *path, struct layout *l, struct err *e)
{
    uint32_t bits = how->refcount_bits ? how->refcount_bits : 16;
    *l = (struct layout){.cluster_bits = how->cluster_bits ? how->cluster_bits : 16,
                         .version = how->version ? how->version : 3};
    if (l->cluster_bits < QC_CLUSTER_BITS_MIN || l->cluster_bits > QC_CLUSTER_BITS_MAX) {
        return err_usage(e, "%s: want clusters of 512 bytes to 2 MiB", path);
    }
    if (!bits_pow2(bits) || bits > 64 || (bits != 16 && l->version < 3)) {
        return err_usage(e, "%s: refcounts of %" PRIu32 " bits; want 1, 2, 4 ... 64%s", path, bits,
                         l->version < 3 ? ", and 16 in version 2" : "");
    }
    while (1u << l->order < bits) {
        l->order++;
    }
    uint32_t span = 2 * l->cluster_bits - 3, per = l->cluster_bits + 3 - l->order;
    if (how->bytes == 0 || how->bytes > QC_BYTES_MAX || how->bytes >> span >= QC_L1_MAX) {
        return err_set(e, "%s: a disk of %" PRIu64 " bytes; want 1 to 2^%u with these clusters",
                       path, how->bytes, span + 22 < 56 ? span + 22 : 56);
    }
    uint64_t mask = (UINT64_C(1) << l->cluster_bits) - 1;
    l->l1_size = (how->bytes + (UINT64_C(1) << span) - 1) >> span;
    l->l1 = (l->l1_size * 8 + mask) >> l->cluster_bits;
    uint64_t before;
    do {
        before = l->total;
        l->rb = (before >> per) + 1;
        l->rt = (l->rb * 8 + mask) >> l->cluster_bits;
        l->total = 1 + l->rt + l->rb + l->l1;
    } while (l->total != before);
    return true;
}

static size_t put_extension(uint8_t *p, uint32_t kind, const char *text)
{
    size_t n = strlen(text);
    be32_put(p, kind);
    be32_put(p + 4, (uint32_t)n);
    memcpy(p + 8, text, n);
    return 8 + ((n + 7) & ~(size_t)7);
}

/* The header's cluster. */
static bool put_header(uint8_t *p, const struct layout *l, const struct blk_create *how,
                       const char *path, struct err *e)
{
    uint32_t bits = l->cluster_bits;
    size_t at = l->version < 3 ? QC_HEADER_V2 : QC_HEADER_V3;
    be32_put(p, QC_MAGIC);
    be32_put(p + 4, l->version);
    be32_put(p + 20, bits);
    be64_put(p + 24, how->bytes);
    be32_put(p + 36, (uint32_t)l->l1_size);
    be64_put(p + 40, (1 + l->rt + l->rb) << bits);
    be64_put(p + 48, UINT64_C(1) << bits);
    be32_put(p + 56, (uint32_t)l->rt);
    if (l->version >= 3) {
        be32_put(p + 96, l->order);
        be32_put(p + 100, QC_HEADER_V3);
    }
    if (!how->backing) {
        return true; /* what follows is QC_EXT_END */
    }
    if (how->backing_format != BLK_PROBE) {
        at += put_extension(p + at, QC_EXT_BACKING_FORMAT, blk_format_name(how->backing_format));
    }
    at += put_extension(p + at, QC_EXT_END, "");
    size_t n = strlen(how->backing), room = ((size_t)1 << bits) - at;
    if (!n || n > QC_BACKING_MAX || n > room) {
        return err_set(e, "%s: the backing file's name must have 1 to %zu bytes", path,
                       room < QC_BACKING_MAX ? room : QC_BACKING_MAX);
    }
    be64_put(p + 8, at);
    be32_put(p + 16, (uint32_t)n);
    memcpy(p + at, how->backing, n);
    return true;
}

/* The refcount table's or a refcount block's cluster k of an image where all of it is in use. */
static void put_counts(uint8_t *p, const struct layout *l, uint64_t k, bool table)
{
    uint64_t n = table ? (UINT64_C(1) << l->cluster_bits) / 8
                       : UINT64_C(1) << (l->cluster_bits + 3 - l->order);
    memset(p, 0, (size_t)1 << l->cluster_bits);
    for (uint64_t i = 0; i < n && k * n + i < (table ? l->rb : l->total); i++) {
        if (table) {
            be64_put(p + i * 8, (1 + l->rt + k * n + i) << l->cluster_bits);
        } else {
            qc_count_set(p, (uint32_t)i, l->order, 1);
        }
    }
}

static bool put_tables(struct blk_file *f, const struct layout *l, uint8_t *p)
{
    size_t cluster = (size_t)1 << l->cluster_bits;
    for (uint64_t k = 0; k < l->rt + l->rb; k++) {
        put_counts(p, l, k < l->rt ? k : k - l->rt, k < l->rt);
        if (!blk_file_write(f, (1 + k) << l->cluster_bits, p, cluster)) {
            return false;
        }
    }
    memset(p, 0, cluster);
    for (uint64_t k = 1 + l->rt + l->rb; k < l->total; k++) {
        if (!blk_file_write(f, k << l->cluster_bits, p, cluster)) {
            return false;
        }
    }
    return blk_file_sync(f);
}

bool qc_create(struct blk_file *f, const char *path, const struct blk_create *how, struct err *e)
{
    struct layout l;
    if (!plan(how, path, &l, e)) {
        return false;
    }
    size_t cluster = (size_t)1 << l.cluster_bits;
    uint8_t *head = calloc(2, cluster);
    if (!head) {
        return err_set(e, "%s: no host memory", path);
    }
    bool ok = put_header(head, &l, how, path, e);
    if (ok && (!put_tables(f, &l, head + cluster) || !blk_file_write(f, 0, head, cluster) ||
               !blk_file_sync(f))) {
        ok = err_set(e, "%s: %s", path, strerror(errno));
    }
    free(head);
    return ok;
}
