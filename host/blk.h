/*
 * Disk images on the host, as block back ends (core/backend_block.h).
 *
 * Formats: raw, and qcow2 versions 2 and 3 with backing files. Any of them can be given an overlay
 * (snapshot): then the file is opened for reading only, and writes stay in memory, in a temporary
 * file without a name once they are many.
 *
 * What always holds: after a flush, data survives the host's power cut and doppel being killed.
 * Data of a raw image survives the latter without a flush too, as it goes to the file in the write
 * itself; so does qcow2's, but not always what leads to it. An operation that fails leaves the
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
/* Has anybody, this program too, the file open as an image or as one behind it? False where that
 * cannot be known. */
bool blk_in_use(const char *path);

/* The format by the first bytes of a file; `len` of them. */
enum blk_format blk_probe_format(const uint8_t *head, size_t len);

/* --- Images as files: made, looked over --- */

struct blk_create {
    enum blk_format format; /* not BLK_PROBE */
    uint64_t bytes;         /* of the disk */
    /* qcow2 only; 0: the usual (version 3, clusters of 64 KiB, counts of 16 bits). */
    uint32_t version, cluster_bits, refcount_bits;
    const char *backing; /* NULL: none; not opened here */
    enum blk_format backing_format;
};

/* A new, empty image; a file of that name is replaced, unless it is in use. False: e. */
bool blk_create(const char *path, const struct blk_create *how, struct err *e);

/* Copy what a guest sees of an image (and its backing files) to a new one, how->bytes of which is
 * set here; zeros are left out. False: e, and the new one is incomplete. */
bool blk_convert(const char *from, enum blk_format from_format, const char *to,
                 const struct blk_create *how, struct err *e);

struct blk_check {
    uint64_t clusters;  /* of the disk */
    uint64_t allocated; /* of those, in this file */
    uint64_t leaks;     /* clusters of the file that are counted and not used */
    uint64_t errors;    /* anything worse */
    uint64_t end;       /* bytes of the file */
};

/* Follow all references of a qcow2 image and compare its refcounts; with `repair`, make them right.
 * `say` (may be NULL) gets a line for each fault, the first ones of them. False: e. */
bool blk_check(const char *path, bool repair, struct blk_check *c,
               void (*say)(void *ctx, const char *line), void *ctx, struct err *e);

/* What an image says of itself. */
struct blk_info {
    enum blk_format format;
    uint64_t bytes, file_bytes;
    uint64_t host_bytes; /* that the file takes on the host's disk */
    uint32_t version, cluster, refcount_bits, snapshots; /* qcow2; raw: 0 */
    bool dirty, corrupt;
    char backing[1024], backing_path[2048]; /* "": none */
    char backing_format[16];                /* "": not said */
};

bool blk_info(const char *path, enum blk_format format, struct blk_info *info, struct err *e);

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
/* Where pending clusters are read from, until they are written to. */
struct blk_overlay_source {
    bool (*fetch)(struct blk_overlay_source *s, uint64_t index, uint8_t *data); /* false: errno */
    void (*free)(struct blk_overlay_source *s);
};
/* The source is the overlay's from here on, freed when it is cleared. */
void blk_overlay_set_source(struct blk_overlay *o, struct blk_overlay_source *source);
/* A cluster that is not there yet comes from the source. False: outside, or no memory. */
bool blk_overlay_pend(struct blk_overlay *o, uint64_t index);
/* A store of clusters for a disk of so many bytes, with no image under it: only what was put can be
 * read. NULL: no memory (errno). */
struct blk_overlay *blk_overlay_store(uint64_t bytes);
void blk_overlay_free(struct blk_overlay *o); /* and its base; NULL: nothing */
/* Is cluster `index` (inside the disk) there? If it is: its content; false: the host failed. */
bool blk_overlay_has(const struct blk_overlay *o, uint64_t index);
bool blk_overlay_get(const struct blk_overlay *o, uint64_t index, uint8_t *data);
/* The same if it is in memory, valid until the overlay is written to; NULL: it is not. */
const uint8_t *blk_overlay_peek(const struct blk_overlay *o, uint64_t index);
/* Was it written since blk_overlay_clean? */
bool blk_overlay_is_dirty(const struct blk_overlay *o, uint64_t index);
void blk_overlay_clean(struct blk_overlay *o);
/* Exchange what two of the same size hold. */
void blk_overlay_swap(struct blk_overlay *a, struct blk_overlay *b);
/* Sets the bit of each cluster that is there: bit index % 8 of bits[index / 8]. */
void blk_overlay_marks(const struct blk_overlay *o, uint8_t *bits);

/* Bytes of such a set of bits for a disk. */
static inline size_t blk_overlay_marks_size(uint64_t bytes)
{
    return (size_t)((bytes + BLK_OVERLAY_CLUSTER - 1) / BLK_OVERLAY_CLUSTER / 8 + 1);
}

#endif
