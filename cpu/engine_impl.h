/*
 * What the files of the engine share; everybody else has engine.h.
 */
#ifndef DOPPEL_CPU_ENGINE_IMPL_H
#define DOPPEL_CPU_ENGINE_IMPL_H

#include "cpu/chaos.h"
#include "cpu/engine.h"
#include "cpu/lift.h"
#include "cpu/lockstep.h"
#include "cpu/super.h"

#define MAX_CPUS 64u
#define MAX_ROWS 2048u

/* So often its code may bail because a group of accesses that its first instruction leads is not in
 * one page; then it is compiled without such a group. */
#define LEAD_FAILS 8u

#define NEVER_SUPER 255u /* block.hot of a block that heads none */

/* Why code leaves, or an access goes to C and is refused there. */
#define ENGINE_CAUSES(X)                                                                           \
    X(check, "an instruction's check failed: an access below, no code at a target, vectors, x87")  \
    X(link, "a transfer whose target has no code, or is not linked")                               \
    X(budget, "the budget does not last, or a portion of it ended")                                \
    X(interp, "behind an instruction that the interpreter ran")                                    \
    X(page_end, "access refused: beyond its page, or misaligned where it must not be")             \
    X(address, "access refused: not canonical, or beyond 4 GiB")                                   \
    X(no_page, "access refused: it faults, or no page of RAM is there")                            \
    X(code, "access refused: beside code, watched, or a page just moved")

enum engine_cause {
#define X(name, help) CAUSE_##name,
    ENGINE_CAUSES(X)
#undef X
        CAUSE_COUNT
};

struct engine {
    struct jit *jit; /* NULL: interpreter only */
    struct engine_options o;
    struct cpu *cpus[MAX_CPUS];
    struct lockstep *lockstep[MAX_CPUS]; /* by number in cpus[]; NULL: not compared */
    unsigned ncpus;
    struct super_path path;
    struct super *supers;
    uint64_t nsupers;  /* since the start */
    uint64_t compiled; /* blocks, likewise */
    struct chaos chaos;
    uint64_t entered;                           /* runs of code begun */
    uint64_t interp[MAX_ROWS], bails[MAX_ROWS]; /* by the instruction's row */
    uint64_t causes[CAUSE_COUNT];
};

/* Are the registers as legacy 32-bit code wants them (jit_source.wide), if that is the mode? Such
 * code keeps them so. */
static inline bool engine_narrow(const struct cpu *cpu)
{
    uint64_t all = 0;
    for (unsigned r = 0; r < 8; r++) {
        all |= cpu->s.gpr[r];
    }
    return all >> 32 == 0 || (cpu->mode & (MODE_C64 | MODE_LONG));
}

/* The vCPU whose struct holds env. */
static inline struct cpu *env_cpu(struct jit_env *env)
{
    return (struct cpu *)(void *)((char *)env - offsetof(struct cpu, jit));
}

/* ---- flags (engine_flags.c) ---- */
/* Flags of a recipe to the lazy form of cpu/flags.h. */
void engine_settle(struct cpu *cpu, const struct jit_recipe *r);
/* Likewise of the recipe in memory. */
void engine_settle_memory(struct cpu *cpu);

/* ---- C that code calls (engine_calls.c) ---- */
/* What env->vec_no and vec_hi0 are when code is entered. */
void engine_vec_ready(struct cpu *cpu);
/* The rest of a block, from instruction i, interpreted. */
void engine_run_rest(struct cpu *cpu, struct block *b, const struct insn *i);
/* The interpreter is at instruction i of b, entered at its head; and it is in no block. */
void engine_begin_at(struct cpu *cpu, struct block *b, const struct insn *i);
void engine_end_run(struct cpu *cpu);
/* struct jit_env's quick (quick.c), refill, interp, cond and near_failed. */
int engine_quick(struct jit_env *env, uint64_t val, uint32_t site);
int engine_refill(struct jit_env *env, uint64_t la, uint32_t what);
int engine_interp(struct jit_env *env, uint32_t site);
int engine_cond(struct jit_env *env, uint32_t cc);
int engine_near_failed(struct jit_env *env, uint64_t place, uint32_t slot);
/* Does code go on at s.rip, as the run loop would have it? JIT_GO: env->host says where. */
int engine_elsewhere(struct cpu *cpu);
/* NULL: this vCPU does not run in lockstep. */
static inline struct lockstep *lockstep_of(const struct cpu *cpu)
{
    return cpu->engine->lockstep[cpu->jit_number];
}
/* Code has come to `rip`, with `left` instructions charged for and not begun. False: it did not do
 * what the interpreter does; the vCPU stops. */
bool engine_stretch_end(struct cpu *cpu, const struct jit_site *s, uint64_t rip, int64_t left);
/* May code run here? Compiled code does not look at the limit of CS: based code (struct jit_source)
 * needs one that is as far as IP goes, and to be a block away from there. */
static inline bool engine_cs_fits(const struct cpu *cpu)
{
    return !lift_based(cpu->mode) ||
           (cpu->s.seg[SEG_CS].limit >= cpu->ip_mask && cpu->s.rip + JIT_NEAR_END <= cpu->ip_mask);
}
/* Before code goes on: jit_near.limit of what the soft TLB has dropped. */
void engine_fit_near_now(struct cpu *cpu);
static inline void engine_fit_near(struct cpu *cpu)
{
    if (UNLIKELY(cpu->tlb.any_gone)) {
        engine_fit_near_now(cpu);
    }
}
/* Where instruction k of b lies. */
static inline uint64_t rip_of(const struct cpu *cpu, const struct block *b, unsigned k)
{
    return cpu->jit.page + (b->pa & ~PAGE_MASK) + b->insn[k].off;
}

/* ---- jump tables (jump_table.c) ---- */
/* Of a vCPU that is all zeros. */
void jt_init(struct cpu *cpu);
void jt_empty(struct cpu *cpu);
/* Empty the tables that code reaches from here unless they are of this mode and TLB generation. */
void jt_check(struct cpu *cpu);
/* No table leads to b's `code` any more. */
void jt_forget(struct engine *e, const struct block *b, const struct jit_code *code);
/* s.rip leads to b's code. */
void jt_put(struct cpu *cpu, struct block *b);

/* ---- compiling (engine.c) ---- */
/* Too much of it would be left to the interpreter. */
bool engine_not_worth(const struct uop *u, unsigned n);
/* Code for blocks in one page. NULL: no room. */
struct jit_code *engine_compile(struct engine *e, struct cpu *cpu, struct block *const *b,
                                unsigned parts, struct uop *u, unsigned n, enum tlb_view view);
/* Nothing may lead to b's code any more. */
void engine_cut_off(struct engine *e, struct block *b);

/* ---- superblocks (super.c) ---- */
/* A portion of the budget ended in front of b. */
void super_sample(struct engine *e, struct cpu *cpu, struct block *b);
/* Write down the path from b, which is next. */
void super_record(struct engine *e, struct cpu *cpu, struct block *b);
/* A superblock's code goes. */
void super_forget(struct engine *e, const struct jit_code *code);
/* b was overwritten: no superblock with it may run. */
void super_invalidate(struct engine *e, struct block *b);
/* All code is gone. */
void super_flush(struct engine *e);

#endif
