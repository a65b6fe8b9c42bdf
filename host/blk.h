/*
 * Disk images on the host, as block back ends (core/backend_block.h).
 *
 * Formats: raw, and qcow2 versions 2 and 3 with backing files. Any of them can be given an overlay
 * (snapshot): then the file is opened for reading only, and writes stay in memory, in a temporary
 * file without a name once they are many.
 *
 * What always holds: data goes to the host file in the write itself, so it survives doppel being
 * killed; after a flush it also survives the host's power cut. An operation that fails leaves the
 * reason in errno.
 */
#ifndef DOPPEL_HOST_BLK_H
#define DOPPEL_HOST_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backend_block.h"
#include "util/err.h"

enum blk_format { BLK_PROBE, BLK_RAW, BLK_QCOW2 };

struct blk_how {
    enum blk_format format; /* BLK_PROBE: by content */
    bool readonly;          /* no writes, whatever the host allows */
    bool snapshot;          /* writes go to an overlay */
    uint32_t align;         /* the size is rounded up to this: 512, or 2048 for a CD-ROM */
};

/* NULL: e says "PATH: what is wrong". *format (may be NULL): what it was taken for. The result's
 * readonly is set also where the host forbids writing. Free with ->close. */
struct blk *blk_open(const char *path, const struct blk_how *how, enum blk_format *format,
                     struct err *e);

const char *blk_format_name(enum blk_format format);
/* False: no such format. */
bool blk_format_parse(const char *name, enum blk_format *format);

/* Both names lead to one file. */
bool blk_same_file(const char *a, const char *b);

/* The format by the first bytes of a file; `len` of them. */
enum blk_format blk_probe_format(const uint8_t *head, size_t len);

/* --- The overlay of an image opened with snapshot --- */

#define BLK_OVERLAY_CLUSTER 4096u

/* The overlay on top of b; NULL: there is none. */
struct blk_overlay;
struct blk_overlay *blk_overlay_of(struct blk *b);
/* Each cluster that has been written, in order of `index` (its offset / BLK_OVERLAY_CLUSTER).
 * False: the host failed. */
bool blk_overlay_each(struct blk_overlay *o,
                      void (*fn)(void *ctx, uint64_t index, const uint8_t *data), void *ctx);
/* The image under it, as it was when it was opened. */
struct blk *blk_overlay_base(struct blk_overlay *o);
uint64_t blk_overlay_count(const struct blk_overlay *o);
/* Forget all writes; put back one cluster of a saved overlay (false: outside, or host failed). */
void blk_overlay_clear(struct blk_overlay *o);
bool blk_overlay_put(struct blk_overlay *o, uint64_t index, const uint8_t *data);

#endif
