/*
 * Guest RAM: a map from page number to shared, copy-on-write host pages.
 *
 * A page that was never written is absent and reads as zeros (one zero page serves all). A page
 * with one reference belongs to one map and is written in place; a page with more is copied at the
 * first write. Fork, checkpoints, snapshots, migration and dirty tracking all stand on this. Guest
 * code pays nothing: the soft TLB caches host addresses of pages.
 *
 * What always holds: a host address from ram_read_ptr stays valid until the page is written through
 * ram_write_ptr, shared, or dropped; each of these calls `moved` first, so that a soft TLB can let
 * go. Reference counts are atomic, since maps of several machines on several threads share pages.
 * 64-byte lines that hold translated guest code are marked; whoever writes RAM reports the lines.
 */
#ifndef DOPPEL_MMU_RAM_H
#define DOPPEL_MMU_RAM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"
#include "core/types.h"

struct ram_page; /* refcount and host address of 4096 bytes, private to ram.c */
struct ram_pool; /* where host pages come from, private to ram.c */

/* In place of a page number in a call of `moved`: all of them. */
#define RAM_EVERY_PAGE UINT64_MAX

struct ram {
    uint64_t npages;
    struct ram_page **page; /* NULL: absent, zeros */
    uint64_t *code;         /* for each page: bit i set: line i (64 bytes) holds decoded code */
    uint64_t *dirty;        /* a bit for each page: written since ram_dirty_clear */
    struct ram_pool *pool;
    /* The host address of page pfn is about to change, or must no longer be written directly; pfn
     * may be RAM_EVERY_PAGE. Set by the owner of the TLBs; may be NULL. */
    void (*moved)(void *ctx, uint64_t pfn);
    /* A write to lines that hold code happened or is about to: drop blocks that overlap. */
    void (*code_hit)(void *ctx, uint64_t pfn, unsigned off, unsigned len);
    void *ctx;
};

bool ram_init(struct ram *r, uint64_t bytes); /* multiple of 4096; false: host memory exhausted */
void ram_fini(struct ram *r);

/* Host address of page pfn (< npages) for reading; the zero page if absent. */
const uint8_t *ram_read_ptr(const struct ram *r, uint64_t pfn);
/* Host address for writing: allocates or unshares, marks dirty. Does not look at code lines. */
uint8_t *ram_write_ptr(struct ram *r, uint64_t pfn);
/* The same if that needs no work (own page, already dirty), else NULL. */
uint8_t *ram_own_ptr(const struct ram *r, uint64_t pfn);
/* Make every page absent: all zeros. */
void ram_drop_all(struct ram *r);

/* Bulk access by byte offset, for loaders, devices and page walks. Must lie inside (asserted).
 * Writes report code lines. */
void ram_read(const struct ram *r, uint64_t off, void *buf, uint64_t len);
void ram_write(struct ram *r, uint64_t off, const void *buf, uint64_t len);

/* Does [off, off+len) of page pfn touch a line with code? len >= 1, inside the page. */
static inline bool ram_has_code(const struct ram *r, uint64_t pfn, unsigned off, unsigned len)
{
    unsigned first = off >> 6, last = (off + len - 1) >> 6;
    return (r->code[pfn] >> first & (~UINT64_C(0) >> (63 - (last - first)))) != 0;
}
/* Whoever writes through ram_write_ptr calls this first: reports lines with code, if any. */
static inline void ram_tell_write(struct ram *r, uint64_t pfn, unsigned off, unsigned len)
{
    if (r->code[pfn] && ram_has_code(r, pfn, off, len) && r->code_hit) {
        r->code_hit(r->ctx, pfn, off, len);
    }
}
void ram_mark_code(struct ram *r, uint64_t pfn, unsigned off, unsigned len);
void ram_clear_code(struct ram *r, uint64_t pfn);

/* Make `dst` (initialized, same size, all absent) share every page of `src`. */
void ram_fork(struct ram *dst, struct ram *src);
/* Host bytes held by pages of this map. */
uint64_t ram_host_bytes(const struct ram *r);
void ram_dirty_clear(struct ram *r);
/* Was any of pages [pfn, pfn+n) written since the last take or clear? Forgets it for all of them.
 * For the one who watches this map; costs nothing where nothing was written. */
bool ram_dirty_take(struct ram *r, uint64_t pfn, uint64_t n);
uint64_t ram_digest(const struct ram *r, uint64_t h);
/* Pages that are present and not all zero, as (pfn, 4096 bytes); load into an all-absent map. */
void ram_save(const struct ram *r, struct st_buf *b);
bool ram_load(struct ram *r, struct st_src *src, struct err *e);

#endif
