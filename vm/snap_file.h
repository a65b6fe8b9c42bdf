/*
 * The file of a snapshot: pages once, in compressed chunks, and an index of what they are.
 *
 * docs/state.md has the layout. A file holds regions: numbered pages of 4096 bytes (guest RAM,
 * memory of devices, the overlay of a disk). A page is absent, zeros, stored in this file, or what
 * it is in the file's parent. Equal pages are stored once. Beside the regions are the state tables,
 * one piece of bytes, and a head that says what the snapshot is of.
 *
 * What always holds: every byte of the file is covered by a checksum: the header's own, the
 * index's in the header, each chunk's in the index. Each byte read is treated as hostile.
 */
#ifndef DOPPEL_VM_SNAP_FILE_H
#define DOPPEL_VM_SNAP_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"
#include "mmu/ram.h"

#define SNAP_VERSION    2u /* of the format; 1 was one piece without an index */
#define SNAP_HEADER     64u
#define SNAP_CHUNK      16u /* pages of a chunk; its last one may have fewer */
#define SNAP_NAME       256u
#define SNAP_REGION     48u /* bytes of a region's name, with its zero */
#define SNAP_DEPTH      32u /* files in a chain of parents, at most */
#define SNAP_TABLES_MAX (64u << 20)

/* What a snapshot says of itself. `parent` and `parent_name`: what the pages that are not here are
 * in; 0: none. */
#define SNAP_MANIFEST(S, V, A, N)                                                                  \
    A(S, uint8_t, name, SNAP_NAME, 1)                                                              \
    V(S, int64_t, date, 1) /* seconds since 1970 UTC, given by whoever saved */                    \
    V(S, uint64_t, icount, 1)                                                                      \
    V(S, uint64_t, vtime, 1)                                                                       \
    V(S, uint64_t, parent, 1)                                                                      \
    A(S, uint8_t, parent_name, SNAP_NAME, 1)

ST_DECLARE(snap_manifest, SNAP_MANIFEST);

/* Wire numbers: never renumber. */
enum snap_kind { SNAP_ABSENT = 0, SNAP_PARENT = 1, SNAP_ZERO = 2, SNAP_STORED = 3 };

/* --- Writing --- */

/* Where a page's bytes come from that are not in memory; from any thread. */
typedef bool snap_again(void *from, uint64_t index, uint8_t *to);

struct snap_writer;
struct snap_writer *snap_writer_new(void);
void snap_writer_free(struct snap_writer *w); /* NULL: nothing */
/* The pages that follow are of a region of npages; name: fewer than SNAP_REGION bytes. */
void snap_region(struct snap_writer *w, const char *name, uint64_t npages);
/* Pages in ascending order; what is left out is absent. The bytes at `host` stay until the file is
 * written. */
void snap_put(struct snap_writer *w, uint64_t index, const uint8_t *host);
void snap_put_later(struct snap_writer *w, uint64_t index, snap_again *again, void *from);
void snap_put_kind(struct snap_writer *w, uint64_t index, enum snap_kind kind);

struct snap_contents {
    struct snap_manifest manifest;
    const uint8_t *head, *tables;
    size_t head_len, tables_len;
    bool compress;    /* if zlib is there */
    unsigned threads; /* that compress, 1 to 16 */
};

/* Write everything to an empty file, or append it to `mem` if that is not NULL. False: errno.
 * *id: of this snapshot, for its children. */
bool snap_write(struct snap_writer *w, const struct snap_contents *c, int fd, struct st_buf *mem,
                uint64_t *id);
/* Did the write fail because a page could not be had again? */
bool snap_unreadable(const struct snap_writer *w);

/* --- Reading --- */

struct snap_file;

struct snap_info {
    uint64_t id, bytes; /* of the file */
    struct snap_manifest manifest;
    const uint8_t *head; /* the file's own */
    size_t head_len;
};

/* Open a file: header and index are looked at and kept, what is in the chunks is not. The file
 * stays open. NULL: e says why, without the path. */
struct snap_file *snap_open(const char *path, struct err *e);
/* The same of bytes in memory, copied. */
struct snap_file *snap_open_bytes(const uint8_t *data, size_t len, struct err *e);
void snap_close(struct snap_file *f); /* and its parents; NULL: nothing */
const struct snap_info *snap_info_of(const struct snap_file *f);
/* Give a file the parent that it names (owned by it from here on). False: it is another file. */
bool snap_set_parent(struct snap_file *f, struct snap_file *parent);
/* Read every chunk of it and its parents and compare checksums. */
bool snap_verify(struct snap_file *f, struct err *e);
/* The state tables: *data is the caller's to free(). */
bool snap_tables(struct snap_file *f, uint8_t **data, size_t *len, struct err *e);
/* Has it a region of this name and number of pages? */
bool snap_has_region(const struct snap_file *f, const char *name, uint64_t npages);
/* The i-th region's name, NULL: there is none. */
const char *snap_region_name(const struct snap_file *f, unsigned i);

/* A chain that was read from, while RAM or an overlay still fetches its pages. */
struct snap_chain;
/* Takes the file over. `failed` is told once if a page cannot be read any more, on any thread. */
struct snap_chain *snap_chain_new(struct snap_file *f, void (*failed)(void *ctx, const char *why),
                                  void *ctx);
/* Whoever is told is gone. */
void snap_chain_detach(struct snap_chain *c);
void snap_chain_put(struct snap_chain *c); /* NULL: nothing */
/* Make the pages of an empty map come from a region. */
void snap_chain_ram(struct snap_chain *c, const char *region, struct ram *r);
/* The same one by one, for overlays: the first page from `index` on that is not absent (none: the
 * region's number of pages), and its bytes (false: it cannot be read). */
uint64_t snap_chain_next(const struct snap_chain *c, const char *region, uint64_t index);
uint64_t snap_chain_pages(const struct snap_chain *c, const char *region);
bool snap_chain_get(struct snap_chain *c, const char *region, uint64_t index, uint8_t *to);
void snap_chain_hold(struct snap_chain *c); /* a reference more, for snap_chain_put */

#endif
