/*
 * Undo of a writable image across processes: what was there before the first write since the last
 * snapshot goes to a file beside the image, IMAGE.undo.
 *
 * A snapshot of a machine does not hold its writable images. It sets a mark in their undo files;
 * from then on the old content of each cluster of 4 KiB is appended there before the cluster is
 * written to for the first time. So the image as it was at any mark can be had again, and going
 * back to one mark loses none of the later ones, as going back is written the same way.
 *
 * What always holds: what was written to the image since a mark is in the undo file first, so that
 * kill -9 at any moment loses nothing. Every record has a checksum. An image is put back only if
 * what it would be then is what it was when the mark was set, as far as its size and a sample of
 * its sectors tell; else it stays as it is.
 *
 * The file, little-endian: a header of 64 bytes (magic "doppelun", u32 version 1, u32 cluster size,
 * u64 bytes of the disk, u64 offset of the first record that is needed), then records of 64 bytes,
 * kinds 1 and 2 with 4096 bytes behind them:
 *   0 u32 kind: 1 a mark (behind it the snapshot's path), 2 a cluster, 3 a mark given up, 4 closed
 *   4 u32 0   8 u64 the mark's id, the cluster's number, or the image's size when it was closed
 *   16 u64 a sample of the disk (mark), or the image's mtime in ns   24..55 zeros
 *   56 u64 checksum of bytes 0..55 and what is behind
 * A last batch of records that is cut short was being written: nothing of the image depends on it.
 * An image whose size or mtime is not that of a close has been written to by somebody else: then
 * what is in its undo file is of no use, and the file goes. So do marks whose snapshot is gone
 * from its folder.
 */
#ifndef DOPPEL_HOST_BLK_UNDO_H
#define DOPPEL_HOST_BLK_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backend_block.h"
#include "util/err.h"

struct blk_undo;

/* A layer on `under` (owned from here on) for the image at `path`. An undo file that is there is
 * gone on with; one that is damaged is an error. NULL: e, and `under` is closed. */
struct blk *blk_undo_new(struct blk *under, const char *path, struct err *e);
/* The layer that b is; NULL: it is none. */
struct blk_undo *blk_undo_of(struct blk *b);

/* Set a mark for the snapshot at `path`; `id` is not 0 and new. False: e, and there is no mark. */
bool blk_undo_mark(struct blk_undo *u, uint64_t id, const char *path, struct err *e);
bool blk_undo_has(const struct blk_undo *u, uint64_t id);
/* Give up the marks of a snapshot, but for `except` (0: none). With the last one the file goes. */
void blk_undo_forget(struct blk_undo *u, const char *path, uint64_t except);
void blk_undo_forget_id(struct blk_undo *u, uint64_t id);

/* Could the image be put back to a mark? Changes nothing. False: e. */
bool blk_undo_check(struct blk_undo *u, uint64_t id, struct err *e);
/* Put it back. False: e, and the image is as it was. */
bool blk_undo_go(struct blk_undo *u, uint64_t id, struct err *e);

#endif
