/*
 * Opening an image: its file, its format, its overlay.
 */
#include "host/blk.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "host/blk_priv.h"

/* The largest image: what 48-bit LBA can address (ATA/ATAPI-6, 4.2.2). */
#define BYTES_MAX (UINT64_C(1) << 57)

static const char *const names[] = {[BLK_PROBE] = "auto", [BLK_RAW] = "raw", [BLK_QCOW2] = "qcow2"};

const char *blk_format_name(enum blk_format format)
{
    return names[format];
}

bool blk_format_parse(const char *name, enum blk_format *format)
{
    for (int i = BLK_RAW; i <= BLK_QCOW2; i++) {
        if (strcmp(name, names[i]) == 0) {
            *format = (enum blk_format)i;
            return true;
        }
    }
    return false;
}

enum blk_format blk_probe_format(const uint8_t *head, size_t len)
{
    return len >= 4 && memcmp(head, "QFI\xfb", 4) == 0 ? BLK_QCOW2 : BLK_RAW;
}

bool blk_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static struct blk *open_format(const char *path, const struct blk_how *how, struct blk_file *f,
                               enum blk_format *format, unsigned depth, struct err *e)
{
    uint8_t head[4];
    *format = how->format;
    if (*format == BLK_PROBE) {
        if (!blk_file_read(f, 0, head, sizeof head)) {
            err_set(e, "%s: %s", path, strerror(errno));
            blk_file_close(f);
            return NULL;
        }
        *format = blk_probe_format(head, sizeof head);
    }
    return *format == BLK_QCOW2 ? blk_qcow2_new(f, path, depth, e)
                                : blk_raw_new(f, how->format == BLK_PROBE, e);
}

struct blk *blk_open_chain(const char *path, const struct blk_how *how, enum blk_format *format,
                           unsigned depth, struct err *e)
{
    struct blk_file f;
    enum blk_format found;
    if (!blk_file_open(&f, path, how->readonly || how->snapshot, e)) {
        return NULL;
    }
    struct blk *b = open_format(path, how, &f, &found, depth, e);
    if (!b) {
        return NULL;
    }
    if (b->bytes == 0 || b->bytes > BYTES_MAX) {
        err_set(e, "%s: a disk of %llu bytes; want 1 to 2^57", path, (unsigned long long)b->bytes);
        b->close(b);
        return NULL;
    }
    b->bytes = blk_round_up(b->bytes, how->align);
    if (format) {
        *format = found;
    }
    return how->snapshot && !how->readonly ? blk_overlay_new(b, e) : b;
}

struct blk *blk_open(const char *path, const struct blk_how *how, enum blk_format *format,
                     struct err *e)
{
    return blk_open_chain(path, how, format, 0, e);
}
