/*
 * What the writer and the reader of snapshot files share. Private to vm/snap_*.c.
 */
#ifndef DOPPEL_VM_SNAP_PRIV_H
#define DOPPEL_VM_SNAP_PRIV_H

#include "vm/snap_file.h"

#define SNAP_CHUNK_ENTRY 16u /* bytes of a chunk in the index: stored, raw, checksum */

static const char snap_magic[8] = {'d', 'o', 'p', 'p', 'e', 'l', 's', 't'};

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
