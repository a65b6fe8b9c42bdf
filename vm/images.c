/*
 * Image files through the public API: made, described, checked, copied
 * (host/blk_tool.c and host/blk_qcow2_check.c do it).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "doppel.h"
#include "host/blk.h"
#include "util/err.h"

static bool tell(bool ok, const struct err *e, struct doppel_error *out)
{
    if (!ok && out) {
        snprintf(out->msg, sizeof out->msg, "%s", e->msg);
        out->usage = e->usage;
    }
    return ok;
}

/* NULL: by content. */
static bool parse_format(const char *name, enum blk_format *format, struct err *e)
{
    *format = BLK_PROBE;
    return !name || blk_format_parse(name, format) ||
           err_usage(e, "format %.60s: want raw or qcow2", name);
}

static bool translate(const struct doppel_image_new *how, struct blk_create *c, struct err *e)
{
    *c = (struct blk_create){.bytes = how->bytes,
                             .version = how->version,
                             .refcount_bits = how->refcount_bits,
                             .backing = how->backing};
    if (!parse_format(how->format ? how->format : "raw", &c->format, e) ||
        !parse_format(how->backing_format, &c->backing_format, e)) {
        return false;
    }
    if (c->format != BLK_QCOW2 &&
        (how->backing || how->version || how->cluster_size || how->refcount_bits)) {
        return err_usage(e, "raw images have no backing file and no options; want -f qcow2");
    }
    if (how->cluster_size) {
        while (c->cluster_bits < 31 && UINT32_C(1) << c->cluster_bits < how->cluster_size) {
            c->cluster_bits++;
        }
        if (UINT32_C(1) << c->cluster_bits != how->cluster_size || how->cluster_size < 512) {
            return err_usage(e, "cluster_size=%" PRIu32 ": want a power of two, 512 to 2M",
                             how->cluster_size);
        }
    }
    return true;
}

/* The backing file is there: its format, and the size if none was said. */
static bool look_at_backing(const char *path, struct blk_create *c, struct err *e)
{
    char name[4096];
    struct blk_info info;
    const char *slash = strrchr(path, '/');
    int dir = slash && *c->backing != '/' ? (int)(slash + 1 - path) : 0;
    int n = snprintf(name, sizeof name, "%.*s%s", dir, path, c->backing);
    if (n < 0 || (size_t)n >= sizeof name) {
        return err_set(e, "%s: the backing file's name is too long", path);
    }
    if (blk_same_file(name, path)) {
        return err_usage(e, "%s: cannot be its own backing file", path);
    }
    if (!blk_info(name, c->backing_format, &info, e)) {
        return false;
    }
    c->backing_format = info.format;
    c->bytes = c->bytes ? c->bytes : info.bytes;
    return true;
}

bool doppel_image_create(const char *path, const struct doppel_image_new *how,
                         struct doppel_error *out)
{
    struct err e = {""};
    struct blk_create c;
    bool ok = translate(how, &c, &e) && (!c.backing || look_at_backing(path, &c, &e)) &&
              (c.bytes || err_usage(&e, "%s: want a size", path));
    if (ok && c.format == BLK_QCOW2) {
        c.bytes = (c.bytes + BLK_SECTOR - 1) / BLK_SECTOR * BLK_SECTOR;
    }
    return tell(ok && blk_create(path, &c, &e), &e, out);
}

bool doppel_image_convert(const char *from, const char *from_format, const char *to,
                          const struct doppel_image_new *how, struct doppel_error *out)
{
    struct err e = {""};
    struct blk_create c;
    enum blk_format format;
    bool ok = parse_format(from_format, &format, &e) && translate(how, &c, &e) &&
              blk_convert(from, format, to, &c, &e);
    return tell(ok, &e, out);
}

bool doppel_image_check(const char *path, bool repair, struct doppel_image_check *check,
                        void (*say)(void *ctx, const char *line), void *ctx,
                        struct doppel_error *out)
{
    struct err e = {""};
    struct blk_check c;
    bool ok = blk_check(path, repair, &c, say, ctx, &e);
    *check = (struct doppel_image_check){.clusters = c.clusters,
                                         .allocated = c.allocated,
                                         .leaks = c.leaks,
                                         .errors = c.errors,
                                         .end = c.end};
    return tell(ok, &e, out);
}

bool doppel_image_info(const char *path, const char *format, struct doppel_image_info *info,
                       struct doppel_error *out)
{
    struct err e = {""};
    struct blk_info i = {.format = BLK_PROBE};
    enum blk_format want;
    bool ok = parse_format(format, &want, &e) && blk_info(path, want, &i, &e);
    *info = (struct doppel_image_info){.bytes = i.bytes,
                                       .host_bytes = i.host_bytes,
                                       .version = i.version,
                                       .cluster_size = i.cluster,
                                       .refcount_bits = i.refcount_bits,
                                       .snapshots = i.snapshots,
                                       .dirty = i.dirty,
                                       .corrupt = i.corrupt};
    snprintf(info->format, sizeof info->format, "%s", blk_format_name(i.format));
    snprintf(info->backing, sizeof info->backing, "%s", i.backing);
    snprintf(info->backing_path, sizeof info->backing_path, "%s", i.backing_path);
    snprintf(info->backing_format, sizeof info->backing_format, "%s", i.backing_format);
    return tell(ok, &e, out);
}
