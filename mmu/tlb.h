/*
 * The soft TLB: what turns a linear address into a host address without a page walk.
 *
 * L1: direct-mapped, 1024 entries for each of three views (user; supervisor; supervisor with
 * EFLAGS.AC, which SMAP distinguishes), with separate read, write and fetch tags, so that rights,
 * dirty bit, code lines and MMIO cost nothing on the fast path: an entry is there only if the
 * access may go straight to host memory. L2: set-associative, holds translations with rights,
 * tagged by PCID and a flush generation; large pages live there once.
 *
 * Tag form: a valid tag is the page's linear address with bits 11:0 zero. A tag that must not match
 * has bit 12 flipped (TLB_MISS): bit 12 is part of the index, so no address that selects the entry
 * can equal it. Bit 62 is another: code of 32 bits has no such address, so there the compare says
 * no with whatever entry an address is compared (jit_env.near). The fast compare is ((la ^ tag) &
 * (PAGE_MASK | (size - 1))) == 0: misaligned accesses leave the fast path too. bias = host address
 * - linear address of the page.
 *
 * What always holds: L1 is a part of L2 (an entry that leaves L2 leaves L1 too), so that dropping
 * L1, for whatever reason the host has, never changes what a guest sees. CR0.PG, CR4.PAE/PGE/SMEP/
 * SMAP/PCIDE, EFER.NXE/LMA and A20 changes need tlb_flush_all.
 *
 * Stale entries are visible to guests, as on hardware; a snapshot flushes as a logged event.
 */
#ifndef DOPPEL_MMU_TLB_H
#define DOPPEL_MMU_TLB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/types.h"
#include "mmu/walk.h"
#include "util/page_set.h"

#define TLB_L1_BITS 10
#define TLB_L1_SIZE (1u << TLB_L1_BITS)
#define TLB_L1_MASK (TLB_L1_SIZE - 1)
#define TLB_MISS    UINT64_C(0x4000000000001000)

#define TLB_GONE_MANY 0xffffu

enum tlb_view { TLB_USER, TLB_SUPER, TLB_SUPER_AC, TLB_VIEWS };

struct tlb_entry {
    uint64_t tag_r, bias_r;
    uint64_t tag_w, bias_w;
};

/* Fetch side: one small direct-mapped array per view, used at block look-up only. */
#define TLB_X_SIZE 256u
struct tlb_fetch {
    uint64_t tag; /* as above; index bit is bit 12 here too */
    gpa page;     /* physical page address */
    bool global;  /* stays over a change of the address space: see gen_global */
};

struct tlb_l2; /* private to tlb.c */

/* Pages (their first addresses) kept out of L1 beside those of tlb_set_watch: by linear and by
 * physical address; and those, by linear address, that are there for reading only. */
struct tlb_spy {
    const gva *linear, *written;
    const gpa *physical;
    unsigned nlinear, nwritten, nphysical;
};

struct tlb {
    struct tlb_entry l1[TLB_VIEWS][TLB_L1_SIZE];
    struct tlb_fetch x[TLB_VIEWS][TLB_X_SIZE];
    struct tlb_l2 *l2;
    uint16_t pcid; /* current address space; 0 without PCID */
    uint64_t gen;  /* bumped when a page that code was fetched from (ACC_FETCH) is dropped, alone or
                    * by a flush of any kind: block links by linear address check it */
    /* The same, but only for what takes global pages too. Never equal to gen. */
    uint64_t gen_global;
    /* By view: the L1 entry, plus 1, that let reads or writes through and no longer does, since
     * somebody set this to 0; TLB_GONE_MANY: several. any_gone: one of them is not 0. */
    uint16_t gone[TLB_VIEWS];
    bool any_gone;
    uint64_t moved; /* calls of tlb_drop_ram: host addresses taken from L1 may be stale */
    uint64_t fills, walks, flushes; /* counters for `info tlb`, not state */
    gva watch[4];                   /* pages kept out of L1, by tlb_set_watch */
    unsigned nwatch;
    const struct tlb_spy *spy; /* by tlb_set_spy; NULL: none */
    struct page_set *wrote;    /* by tlb_note_writes; NULL: nobody asks */
    /* Told when an L1 entry lets writes through; see tlb_watch_opens. */
    void (*opened)(void *ctx, enum tlb_view view, unsigned entry, struct ram *ram, uint64_t pfn);
    void *opened_ctx;
};

bool tlb_init(struct tlb *t);
void tlb_fini(struct tlb *t);

void tlb_flush_all(struct tlb *t);       /* everything, global entries too */
void tlb_flush_nonglobal(struct tlb *t); /* MOV CR3 without PCID; CR3 of the current PCID */
void tlb_flush_pcid(struct tlb *t, uint16_t pcid); /* INVPCID type 1: non-global of one PCID */
void tlb_flush_all_nonglobal(struct tlb *t);       /* INVPCID type 3: non-global of every PCID */
void tlb_flush_page(struct tlb *t, gva la); /* INVLPG: that page, global or not, current PCID */
void tlb_flush_page_pcid(struct tlb *t, gva la, uint16_t pcid); /* INVPCID type 0 */
void tlb_switch_pcid(struct tlb *t, uint16_t pcid); /* MOV CR3 with bit 63: keep, change space */
/* A host page moved, became shared or got its first code line: drop L1 entries that point at it.
 * Cheap if few entries are filled; may drop the whole L1. L2 stays. */
void tlb_drop_ram(struct tlb *t, const struct ram *ram, uint64_t pfn);
/* After a change of what L1 presumes but L2 does not: CR0.WP, the address space's flat view. */
void tlb_drop_l1(struct tlb *t);
/* Data breakpoints: accesses to these pages (n <= 4) always take the slow path. Drops L1. */
void tlb_set_watch(struct tlb *t, const gva *pages, unsigned n);
/* The same for a debugger's watchpoints, any number: `spy` stays the caller's and is not to change
 * while it is set. NULL: none. Drops L1. */
void tlb_set_spy(struct tlb *t, const struct tlb_spy *spy);
/* Does the spy keep writes of la, which lies at addr, out of L1? */
bool tlb_spies_write(const struct tlb *t, gva la, gpa addr);

/* Put into `wrote`, which stays the caller's, the linear page (la >> 12) of each write from now on,
 * by any instruction in any address space, paged or not; of pages that are only made ready for
 * writes, too. What it is not in was not written to by a linear address. Drops L1; NULL: no more.
 */
void tlb_note_writes(struct tlb *t, struct page_set *wrote);

/* Call fn before the first write through each L1 entry that lets writes through from now on; reads
 * then never open an entry for writes. For cpu/lockstep.c; set-up time. */
void tlb_watch_opens(struct tlb *t,
                     void (*fn)(void *ctx, enum tlb_view view, unsigned entry, struct ram *ram,
                                uint64_t pfn),
                     void *ctx);
/* Writes through that entry take the slow path again. Never changes what a guest sees. */
void tlb_close_write(struct tlb *t, enum tlb_view view, unsigned entry);

/* A translation, from L2 or a walk. On success fills L1 if the target is plain RAM, and for a fetch
 * the fetch array whatever the target is. Rights that fail in L2 are looked up again by a walk, as
 * processors do. */
struct tlb_result {
    bool ok;
    uint32_t pf_err; /* when !ok */
    gpa addr;        /* physical address of the byte at la, A20 applied */
};
struct tlb_result tlb_translate(struct tlb *t, const struct walk_mode *m, struct aspace *mem,
                                gva la, enum mem_access acc, enum tlb_view view);

/* Would that succeed? Changes nothing a guest can see (no accessed or dirty bit); fills L1 if L2
 * allows the access. */
struct tlb_result tlb_probe(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la,
                            enum mem_access acc, enum tlb_view view);

/* Fill L1 from L2, if L2 holds the translation and allows the access; never walks. Changes nothing
 * a guest can see. False: it does not. */
bool tlb_refill(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la,
                enum mem_access acc, enum tlb_view view);

/* Where a write to la would go, if L2 holds the translation and allows it. Changes nothing. */
bool tlb_write_target(const struct tlb *t, const struct walk_mode *m, gva la, enum tlb_view view,
                      gpa *addr);

/* L2 as a guest could notice it, for a checkpoint within this process: tlb_image_bytes() of it. Put
 * it into any vCPU's TLB of the same program, after its state was loaded. */
size_t tlb_image_bytes(void);
void tlb_image_take(const struct tlb *t, void *image);
void tlb_image_put(struct tlb *t, const void *image);

/* For `info tlb`: each valid L2 entry. */
void tlb_each(const struct tlb *t,
              void (*fn)(void *ctx, gva la, gpa pa, unsigned page_bits, unsigned pcid, bool user,
                         bool write, bool exec, bool global),
              void *ctx);

#endif
