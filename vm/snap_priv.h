/*
 * What the writer and the reader of snapshot files share. Private to vm/snap_*.c.
 */
#ifndef DOPPEL_VM_SNAP_PRIV_H
#define DOPPEL_VM_SNAP_PRIV_H

#include "vm/snap_file.h"

#define SNAP_CHUNK_ENTRY 16u /* bytes of a chunk in the index: stored, raw, checksum */

static const char snap_magic[8] = {'d', 'o', 'p', 'p', 'e', 'l', 's', 't'};

/* --- Writing: chunks, snap_pack.c --- */

/* A page to be stored: in memory, or to be had again, or (neither) zeros. */
struct snap_page {
    const uint8_t *host;
    snap_again *again;
    void *from;
    uint64_t index; /* for `again`; of one in memory the collector's */
    bool easy;      /* worth compressing; the same for all pages of a chunk */
};

struct snap_piece {
    uint8_t *data;     /* as it is stored */
    uint32_t len, raw; /* bytes stored, and what they are of; equal: not compressed */
    uint64_t sum;
    int why; /* errno: a page could not be had again; 0: it is good */
};

struct snap_pack;
/* Begin to make chunks of pages, which stay where they are until the end. threads: 1 to 16 */
struct snap_pack *snap_pack_start(const struct snap_page *page, uint32_t npages, bool compress,
                                  unsigned threads);
/* The next chunk, good until the next call; NULL: that was the last one. */
const struct snap_piece *snap_pack_next(struct snap_pack *k);
void snap_pack_end(struct snap_pack *k);
/* One piece of other bytes; its data is the caller's to free(). */
void snap_pack_bytes(struct snap_piece *piece, const uint8_t *raw, uint32_t len, bool compress);

/* --- Reading --- */

/* The 4096 bytes of a stored page; `chunk` has room for SNAP_CHUNK pages. */
struct snap_chunk_ref {
    const struct snap_file *file;
    uint32_t chunk; /* its number, from 1 on */
    unsigned page;  /* within it */
};

/* Which chunk holds page `index` of a region; false: it is absent or zeros, as *kind says. */
bool snap_resolve(const struct snap_file *f, const char *region, uint64_t index,
                  struct snap_chunk_ref *ref, enum snap_kind *kind);
/* Read a chunk, compare its checksum, unpack it. False: e. */
bool snap_read_chunk(const struct snap_file *f, uint32_t chunk, uint8_t *to, struct err *e);
/* The first page from `index` on that is not absent; npages of the region: none. */
uint64_t snap_next(const struct snap_file *f, const char *region, uint64_t index);
uint64_t snap_region_pages(const struct snap_file *f, const char *region);

#endif
