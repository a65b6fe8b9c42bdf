/*
 * The engine: which of interpreter and compiled code runs a block, and the way between them.
 *
 * One per machine, shared by its vCPUs, beside the block cache. A block is compiled after
 * `threshold` runs. What a guest sees does not depend on the engine, the threshold or the state of
 * the code buffer.
 */
#ifndef DOPPEL_CPU_ENGINE_H
#define DOPPEL_CPU_ENGINE_H

#include "cpu/block.h"
#include "cpu/jit/jit.h"
#include "util/err.h"

struct engine_options {
    bool jit;
    uint32_t threshold; /* runs of a block before it is compiled, 1.. */
    uint32_t super;     /* samples of a block before it heads a superblock; 0: the default;
                         * 1: as soon as it is compiled */
    bool no_super;      /* no superblocks */
    bool no_links;      /* compiled blocks never jump to each other directly */
    size_t buffer;      /* bytes of code; 0: the default */
    uint32_t maxblock;  /* instructions in a block at most; 0: as many as go */
    bool chaos;         /* choices are made at random, from chaos_seed (cpu/chaos.h) */
    uint64_t chaos_seed;
    bool lockstep; /* what compiled code does is compared with the interpreter */
    bool count;    /* compiled code counts how often it runs (engine_running) */
};

/* From "interp", "jit" or "lockstep", and ",NAME=VALUE" each (cpu/engine_options.c). */
bool engine_options_parse(const char *text, struct engine_options *o, struct err *e);

struct engine;
/* NULL: no memory. Without a back end for this host, or with o->jit false, it only interprets. */
struct engine *engine_new(const struct engine_options *o);
void engine_free(struct engine *e);
/* Let it serve a vCPU (set-up time). */
void engine_add_cpu(struct engine *e, struct cpu *cpu);

/* Block b of the vCPU's mode is about to run and is worth a look (b->left ran out): run it, in
 * compiled code if possible. The budget holds at least b->n. False: the caller interprets it. */
bool engine_run(struct cpu *cpu, struct block *b);
/* The next block of a path that is written down (ONE_RECORD); NULL: no block. */
void engine_record(struct cpu *cpu, struct block *b);
/* Give back what engine_run holds of the budget; for whoever leaves it by longjmp. */
static inline void engine_unhold(struct cpu *cpu)
{
    cpu->budget += cpu->held;
    cpu->slice += (uint64_t)cpu->held;
    cpu->jit.tsc_units += (uint64_t)cpu->held;
    cpu->held = 0;
}
/* What b->left is for a new block. */
int32_t engine_patience(struct engine *e);
/* How many instructions a new block may have at most, 1 to BLOCK_INSNS. */
unsigned engine_max_block(struct engine *e);
/* Was `code` compiled from b, alone or among others? */
bool engine_code_of(const struct block *b, const struct jit_code *code);
/* b's bytes were overwritten: nothing may jump to its code. */
void engine_invalidate(struct engine *e, struct block *b);
/* Drop all code; the blocks that had some are about to be freed. Between blocks. */
void engine_flush(struct engine *e);
/* Blocks that no code has are about to be freed: a path that is written down may hold some. */
void engine_forget_path(struct engine *e);
/* For `info jit`. */
bool engine_has_jit(const struct engine *e);
/* The most frequent instructions that compiled code left to the interpreter. */
void engine_each_exit(const struct engine *e,
                      void (*fn)(void *ctx, const char *what, const char *name, uint64_t n),
                      void *ctx);
struct jit_stats engine_stats(const struct engine *e);
/* Under lockstep: the report of a difference, in lines; the machine must not go on. NULL: none. */
const char *engine_failure(const struct engine *e);
/* Under lockstep: stretches of compiled code compared, and instructions in them. */
void engine_compared(const struct engine *e, uint64_t *stretches, uint64_t *insns);
/* What ran in code since start (only with the option `count`); *entered: times it was entered from
 * outside, the other segments having been reached within code. */
struct jit_running engine_running(const struct engine *e, uint64_t *entered);

#endif
