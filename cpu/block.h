/*
 * Blocks of decoded instructions and the cache of them: one per machine, shared by its vCPUs.
 *
 * Key: physical address of the first byte + mode bits (cpu/insn.h). A block ends behind an
 * instruction whose semantic ends blocks, at BLOCK_INSNS, or at its page's end; an instruction that
 * straddles two pages has a block alone. Code is marked in RAM by 64-byte lines (mmu/ram.h); a
 * write to such a line invalidates the blocks that overlap it. An invalidated block is kept with a
 * copy of its bytes and revived if they come back (overlays, data beside code, breakpoints of
 * debuggers).
 *
 * What always holds: a valid block's bytes, but for holes (cpu/holes.h), equal guest memory; a
 * block's memory is given back only by block_cache_flush, between blocks, together with every jump
 * cache that could name it. It may become another block before, when the next one is decoded: the
 * serial number tells, and blocks that go to make room, which no code has (in_code), leave no entry
 * in a jump cache.
 */
#ifndef DOPPEL_CPU_BLOCK_H
#define DOPPEL_CPU_BLOCK_H

#include "cpu/cpu.h"

struct block {
    gpa pa;             /* of the first byte */
    struct ram *ram;    /* where it lies, and the page there */
    uint64_t pfn, pfn2; /* pfn2: the second page of a straddling instruction, else ~0 */
    uint32_t mode;
    uint16_t n; /* instructions */
    uint16_t bytes;
    uint16_t jt;     /* its entry of the jump tables, if it has one (engine.c) */
    bool valid;      /* false: its bytes were overwritten */
    bool cut;        /* begins where block_cache_cut says: only the run loop may enter it */
    bool in_code;    /* compiled code, valid or not, may name it */
    uint32_t serial; /* another one when it becomes valid or invalid */
    uint32_t size;   /* of its memory */
    int32_t left;    /* runs until the engine takes a look; compiled blocks: 0 */
    struct jit_code *code;
    struct super_ref *supers; /* superblocks that contain it (cpu/engine.c) */
    struct holes *holes;      /* NULL: none (cpu/holes.h) */
    uint8_t hot;              /* samples; see cpu/super.h */
    uint8_t patched;          /* times it was decoded anew with other immediates only */
    uint8_t lead_fails;       /* see LEAD_FAILS in cpu/engine_impl.h */
    struct block *hash_next;
    struct block *page_next, *page2_next; /* in the lists of code_pages.h */
    uint8_t *copy;                        /* the guest's bytes, behind insn[] */
    struct insn insn[];                   /* n, then one that returns to the run loop */
};

struct block_cache *block_cache_new(void);
void block_cache_free(struct block_cache *bc);
/* Let the cache serve a vCPU and watch a RAM map (both for the machine's life; set-up time). */
bool block_cache_add_cpu(struct block_cache *bc, struct cpu *cpu);
void block_cache_watch(struct block_cache *bc, struct ram *ram);
/* Drop everything; after a load. Not inside a block. */
void block_cache_flush(struct block_cache *bc);
/* The physical memory map changed: drop everything before the next look-up. May be called inside a
 * block. The caller flushes the vCPUs' TLBs, which makes their jump caches stale. */
void block_cache_remapped(struct block_cache *bc);
/* Code that is running is about to write there, where lines with code are: blocks with those bytes
 * become invalid. False: `running` (NULL: any) is the code of one of them; nothing was done. */
bool block_cache_overwrite(struct block_cache *bc, struct ram *ram, uint64_t pfn, unsigned off,
                           unsigned len, const struct jit_code *running);
/* The engine that compiles this cache's blocks (set-up time, before the first block). */
void block_cache_set_engine(struct block_cache *bc, struct engine *e);
/* Blocks go back to the interpreter. Not inside a block. */
void block_cache_drop_code(struct block_cache *bc);
/* For a debugger's breakpoints: blocks end in front of code at page offset `off` (below 4096), and
 * one that begins there is entered by the run loop alone: never compiled, never part of a chain or
 * a superblock. Offsets stay until block_cache_uncut. Not inside a block. */
void block_cache_cut(struct block_cache *bc, unsigned off);
void block_cache_uncut(struct block_cache *bc);
/* Writes by anybody to these lines (as ram->code, or 0: no more) of page pfn of a RAM map that this
 * cache watches are told to fn, before the bytes change. Costs what a line with code costs. */
void block_cache_spy(struct block_cache *bc, struct ram *ram, uint64_t pfn, uint64_t lines);
void block_cache_on_spied(struct block_cache *bc,
                          void (*fn)(void *ctx, struct ram *ram, uint64_t pfn, unsigned off,
                                     unsigned len),
                          void *ctx);
/* Counters for `info`. */
struct block_stats {
    uint64_t decoded, revived, invalidated, flushes, trims;
    size_t bytes;
};
struct block_stats block_cache_stats(const struct block_cache *bc);

/* The block at s.rip, from the jump cache, the block cache or decoded now. NULL: the code cannot be
 * cached (not RAM, or cut short by the CS limit); then one instruction is in cpu->scratch. Raises
 * #PF, #GP of the fetch. */
struct block *block_lookup_slow(struct cpu *cpu, uint64_t lin);

static inline uint64_t block_lin(const struct cpu *cpu)
{
    uint64_t base = cpu->mode & MODE_C64 ? 0 : cpu->s.seg[SEG_CS].base;
    uint64_t lin = base + cpu->s.rip;
    return cpu->mode & MODE_C64 ? lin : (uint32_t)lin;
}

/* The block at `lin` if the jump cache has it; else NULL. */
static inline struct block *block_cached(const struct cpu *cpu, uint64_t lin)
{
    const struct jc_entry *e = &cpu->jc[lin & (JC_SIZE - 1)];
    if (LIKELY(e->lin == lin && (e->gen == cpu->tlb.gen_global || e->gen == cpu->tlb.gen) &&
               e->mode == cpu->mode && e->serial == e->block->serial)) {
        const struct block *b = e->block;
        if (LIKELY(cpu->mode & MODE_C64) ||
            cpu->s.rip + b->bytes - 1u <= cpu->s.seg[SEG_CS].limit) {
            return e->block;
        }
    }
    return NULL;
}

static inline struct block *block_lookup(struct cpu *cpu)
{
    uint64_t lin = block_lin(cpu);
    struct block *b = block_cached(cpu, lin);
    return LIKELY(b) ? b : block_lookup_slow(cpu, lin);
}

/* Block after block without a return to the run loop: the end of a near branch. Does exactly what
 * the run loop would, if that has nothing else to do; otherwise just returns to it. Only where the
 * compiler turns the call at the end into a jump: in builds without it the stack would grow. */
static inline void block_chain(struct cpu *cpu)
{
#ifdef NDEBUG
    if (LIKELY(!(cpu->exit_req | cpu->attn | cpu->stop | cpu->one_by_one))) {
        struct block *b = block_cached(cpu, block_lin(cpu));
        if (LIKELY(b && b->n <= cpu->budget && --b->left > 0)) {
            cpu->budget -= b->n;
            cpu->charged = b->n;
            cpu->k0 = 0;
            cpu->blk_rip = cpu->s.rip;
            cpu->running = b;
            cpu->cur = b->insn;
            b->insn->fn(cpu, b->insn);
        }
    }
#else
    (void)cpu;
#endif
}

/* The instruction behind the last of a block: returns to the run loop. */
void block_end(struct cpu *cpu, const struct insn *i);

#endif
