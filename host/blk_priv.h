/*
 * What the image formats share. Private to host/.
 */
#ifndef DOPPEL_HOST_BLK_PRIV_H
#define DOPPEL_HOST_BLK_PRIV_H

#include "host/blk.h"
#include "host/blk_file.h"

/* Images that name each other as backing files, at most. */
#define BLK_CHAIN_MAX 64u

/* Makes a blk that owns *f from here on, also when it fails (then *f is closed). `probed`: nobody
 * said that it is raw. */
struct blk *blk_raw_new(struct blk_file *f, bool probed, struct err *e);
/* `depth`: how many images are in front of this one. */
struct blk *blk_qcow2_new(struct blk_file *f, const char *path, unsigned depth, struct err *e);
/* An overlay that owns `base`; NULL: no memory, and `base` is closed. */
struct blk *blk_overlay_new(struct blk *base, struct err *e);

struct blk *blk_open_chain(const char *path, const struct blk_how *how, enum blk_format *format,
                           unsigned depth, struct err *e);

/* Sizes are rounded up to this by the caller of the formats' own constructors. */
static inline uint64_t blk_round_up(uint64_t bytes, uint32_t align)
{
    return (bytes + align - 1) / align * align;
}

#endif
