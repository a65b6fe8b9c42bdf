/*
 * Guest RAM: a map from page number to shared, copy-on-write host pages.
 *
 * A page that was never written is absent and reads as zeros (one zero page serves all). A page
 * with one reference belongs to one map and is written in place; a page with more is copied at the
 * first write. Fork, checkpoints, snapshots, migration and dirty tracking all stand on this. Guest
 * code pays nothing: the soft TLB caches host addresses of pages.
 *
 * A map may have a source: pages that are absent and pending take their bytes from it at the first
 * touch, whoever touches them. Nobody outside can tell such a page from one that is there.
 *
 * What always holds: a host address from ram_read_ptr stays valid until the page is written through
 * ram_write_ptr, shared, or dropped; each of these calls `moved` first, so that a soft TLB can let
 * go. Reference counts are atomic, since maps of several machines on several threads share pages.
 * 64-byte lines that hold translated guest code are marked; whoever writes RAM reports the lines.
 */
#ifndef DOPPEL_MMU_RAM_H
#define DOPPEL_MMU_RAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"
#include "core/types.h"

struct ram_page; /* refcount and host address of 4096 bytes, private to ram.c */
struct ram_pool; /* where host pages come from, private to ram.c */

/* Where pending pages come from (a snapshot's file); embedded in what the owner needs. Shared by
 * forks, counted, freed with the last map: of all that share it or, when it is alone, when it has
 * no page left to fetch. */
struct ram_source {
    atomic_uint refs; /* 1 when it is made; ram_set_source takes that one over */
    /* The 4096 bytes of page pfn. Cannot fail: a host error gives zeros and stops the machine that
     * owns the source. Any thread. */
    void (*fetch)(struct ram_source *s, uint64_t pfn, uint8_t *to);
    void (*free)(struct ram_source *s);
};

/* In place of a page number in a call of `moved`: all of them. */
#define RAM_EVERY_PAGE UINT64_MAX

struct ram {
    uint64_t npages;
    struct ram_page **page; /* NULL: absent, zeros */
    uint64_t *code;         /* for each page: bit i set: line i (64 bytes) holds decoded code */
    uint64_t *dirty;        /* a bit for each page: written since ram_dirty_clear. One watcher for
                             * each map: of main RAM vm/snapshot.c, of video memory its adapter */
    struct ram_pool *pool;
    struct ram_source *source; /* NULL: none */
    uint64_t *pending;         /* with a source: a bit for each page that is to be fetched */
    uint64_t *fetched;         /* and for each that was, and has not been written since */
    uint64_t npending;
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
/* Make every page absent: all zeros; no source. */
void ram_drop_all(struct ram *r);
/* Of a map without present pages and source: the pages with a bit in `pending` (npages bits in
 * 64-bit words, copied) come from s, whose reference is taken over. */
void ram_set_source(struct ram *r, struct ram_source *s, const uint64_t *pending);
static inline bool ram_is_pending(const struct ram *r, uint64_t pfn)
{
    return r->source && (r->pending[pfn >> 6] >> (pfn & 63) & 1);
}
/* Written since ram_dirty_clear? */
static inline bool ram_is_dirty(const struct ram *r, uint64_t pfn)
{
    return r->dirty[pfn >> 6] >> (pfn & 63) & 1;
}
/* Host bytes of a page (fetched if pending) that a guest can tell from an absent one; NULL: zeros.
 * Valid as those of ram_read_ptr. */
const uint8_t *ram_content(const struct ram *r, uint64_t pfn);

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
/* Make `dst` (same size) what `src` is, sharing its pages. Code on pages that differ is reported as
 * hit; pages that both share, or have from one source, stay as they are, with what was decoded from
 * them. What src has not fetched stays to be fetched. */
void ram_become(struct ram *dst, struct ram *src);
/* Pages that the two maps do not share. */
uint64_t ram_differ(const struct ram *a, const struct ram *b);
/* Pages in memory that `a` has and b does not share: what goes when b is all that remains. */
uint64_t ram_alone(const struct ram *a, const struct ram *b);
/* Host bytes held by pages of this map. */
uint64_t ram_host_bytes(const struct ram *r);
void ram_dirty_clear(struct ram *r);
/* Was any of pages [pfn, pfn+n) written since the last take or clear? Forgets it for all of them.
 * For the one who watches this map; costs nothing where nothing was written. */
bool ram_dirty_take(struct ram *r, uint64_t pfn, uint64_t n);
uint64_t ram_digest(const struct ram *r, uint64_t h);

#endif
