/*
 * Raw images: the file is the disk.
 *
 * A file that does not end at a sector reads as if zeros followed; writing its last sector makes it
 * whole. An image that was only taken for raw must not become something else the next time: a guest
 * that writes another format's magic into sector 0 could name any file of the host as its backing
 * file. Such a write fails; format=raw allows it.
 */
#include <errno.h>
#include <stdlib.h>

#include "host/blk_priv.h"

struct blk_raw {
    struct blk blk; /* first */
    struct blk_file file;
    bool probed;
};

static bool raw_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    return blk_file_read(&((struct blk_raw *)b)->file, off, buf, len);
}

static bool raw_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    struct blk_raw *r = (struct blk_raw *)b;
    if (r->probed && off == 0 && blk_probe_format(buf, len) != BLK_RAW) {
        errno = EPERM;
        return false;
    }
    return blk_file_write(&r->file, off, buf, len);
}

static bool raw_flush(struct blk *b)
{
    struct blk_raw *r = (struct blk_raw *)b;
    return b->readonly || blk_file_sync(&r->file);
}

static void raw_close(struct blk *b)
{
    struct blk_raw *r = (struct blk_raw *)b;
    raw_flush(b);
    blk_file_close(&r->file);
    free(r);
}

struct blk *blk_raw_new(struct blk_file *f, bool probed, struct err *e)
{
    struct blk_raw *r = malloc(sizeof *r);
    if (!r) {
        blk_file_close(f);
        err_set(e, "no host memory for an image");
        return NULL;
    }
    *r = (struct blk_raw){
        .blk = {.bytes = f->bytes,
                .readonly = f->readonly,
                .read = raw_read,
                .write = raw_write,
                .flush = raw_flush,
                .close = raw_close},
        .file = *f,
        .probed = probed,
    };
    return &r->blk;
}
