/*
 * Images as files: made, described, copied.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/blk_qcow2.h"

bool blk_create(const char *path, const struct blk_create *how, struct err *e)
{
    struct blk_file f;
    if (!blk_file_create(&f, path, e)) {
        return false;
    }
    bool ok;
    if (how->format == BLK_QCOW2) {
        ok = qc_create(&f, path, how, e);
    } else {
        ok = (how->bytes <= INT64_MAX && ftruncate(f.fd, (off_t)how->bytes) == 0) ||
             err_set(e, "%s: %s", path, strerror(how->bytes > INT64_MAX ? EFBIG : errno));
    }
    blk_file_close(&f);
    return ok;
}

/* --- What an image says of itself --- */

static bool describe_qcow2(struct blk_file *f, const char *path, struct blk_info *info,
                           struct err *e)
{
    struct qc_header h;
    if (!qc_header_read(f, path, &h, e)) {
        return false;
    }
    info->bytes = h.size;
    info->version = h.version;
    info->cluster = UINT32_C(1) << h.cluster_bits;
    info->refcount_bits = UINT32_C(1) << h.refcount_order;
    info->snapshots = h.nsnapshots;
    info->dirty = h.incompatible & QC_INCOMPAT_DIRTY;
    info->corrupt = h.incompatible & QC_INCOMPAT_CORRUPT;
    memcpy(info->backing_format, h.backing_format, sizeof info->backing_format);
    memcpy(info->backing, h.backing, sizeof info->backing);
    char *full = h.backing[0] ? qc_backing_path(path, h.backing) : NULL;
    if (full && strlen(full) < sizeof info->backing_path) {
        memcpy(info->backing_path, full, strlen(full) + 1);
    }
    free(full);
    return true;
}

bool blk_info(const char *path, enum blk_format format, struct blk_info *info, struct err *e)
{
    struct blk_file f;
    struct stat st;
    uint8_t head[4];
    *info = (struct blk_info){.format = format};
    if (!blk_file_open(&f, path, true, e)) {
        return false;
    }
    bool ok = blk_file_read(&f, 0, head, sizeof head) && fstat(f.fd, &st) == 0;
    if (!ok) {
        err_set(e, "%s: %s", path, strerror(errno));
    } else {
        info->bytes = info->file_bytes = f.bytes;
        info->host_bytes = (uint64_t)st.st_blocks * 512;
        if (format == BLK_PROBE) {
            info->format = blk_probe_format(head, sizeof head);
        }
        ok = info->format == BLK_RAW || describe_qcow2(&f, path, info, e);
    }
    blk_file_close(&f);
    return ok;
}

/* --- Copy --- */

#define COPY_BYTES (UINT32_C(1) << 20)
#define COPY_GRAIN 65536u /* what is all zeros is left out in pieces of this */

static bool is_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static bool copy_all(struct blk *from, struct blk *to, uint8_t *buf, const char *from_path,
                     const char *to_path, struct err *e)
{
    for (uint64_t off = 0; off < from->bytes; off += COPY_BYTES) {
        uint64_t left = from->bytes - off;
        size_t n = left < COPY_BYTES ? (size_t)left : COPY_BYTES;
        if (!from->read(from, off, buf, n)) {
            return err_set(e, "%s: %s", from_path, strerror(errno));
        }
        for (size_t at = 0; at < n; at += COPY_GRAIN) {
            size_t k = n - at < COPY_GRAIN ? n - at : COPY_GRAIN;
            if (!is_zero(buf + at, k) && !to->write(to, off + at, buf + at, k)) {
                return err_set(e, "%s: %s", to_path, strerror(errno));
            }
        }
    }
    return to->flush(to) || err_set(e, "%s: %s", to_path, strerror(errno));
}

bool blk_convert(const char *from_path, enum blk_format from_format, const char *to_path,
                 const struct blk_create *how, struct err *e)
{
    struct blk_how in = {.format = from_format, .readonly = true, .align = 1};
    struct blk_how out = {.format = how->format, .align = 1};
    struct blk_create made = *how;
    struct blk *to = NULL, *from = blk_open(from_path, &in, NULL, e);
    uint8_t *buf = malloc(COPY_BYTES);
    bool ok = from && (buf || err_set(e, "no host memory"));
    if (ok) {
        made.bytes = made.format == BLK_QCOW2 ? blk_round_up(from->bytes, BLK_SECTOR) : from->bytes;
        ok = blk_create(to_path, &made, e);
        to = ok ? blk_open(to_path, &out, NULL, e) : NULL;
        ok = to && copy_all(from, to, buf, from_path, to_path, e);
    }
    free(buf);
    if (to) {
        to->close(to);
    }
    if (from) {
        from->close(from);
    }
    return ok;
}
