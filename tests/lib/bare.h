/*
 * A bare machine for tests: one vCPU, RAM from address 0, a port space, a clock; no devices. What
 * the instruction tests, the oracle and the fuzzers stand on.
 */
#ifndef DOPPEL_TESTS_LIB_BARE_H
#define DOPPEL_TESTS_LIB_BARE_H

#include "core/clock.h"
#include "core/dev.h"
#include "core/gate.h"
#include "cpu/block.h"
#include "cpu/cpu.h"
#include "cpu/engine.h"
#include "mmu/aspace.h"
#include "mmu/ram.h"

struct bare {
    struct clock clock;
    struct gate gate;
    struct log log;
    struct aspace mem, io;
    struct ram ram;
    struct dev_env env;
    struct block_cache *blocks;
    struct engine *engine; /* NULL: interpreter */
    struct cpu *cpu;
    char label[64]; /* shown with what lockstep finds: how to repeat it */
};

/* A machine with `bytes` of RAM and CPU model `model` ("" for the default), reset. Exits the test
 * program on failure, since no test can go on. */
struct bare *bare_new(const char *model, uint64_t bytes);
void bare_free(struct bare *b);

/* Compile blocks from now on. bare_new does so by itself if the environment has T_ENGINE: the text
 * of -engine; without options, each block is compiled at its first run. So every test on a bare
 * machine is one of the JIT too. A difference that lockstep finds ends the program. */
void bare_engine(struct bare *b, const struct engine_options *o);

/* Put the vCPU into a mode with flat segments: 16 (real mode, CS = DS = ES = SS = 0), 32
 * (protected, ring `cpl`, base 0, 4 GiB) or 64 (long mode, no paging structures needed: paging is
 * left off in the walk, so linear = physical). Sets up SSE/AVX use (CR4, XCR0) where the model has
 * it. */
void bare_mode(struct bare *b, unsigned bits, unsigned cpl);

/* Run exactly n units, or until the vCPU stops running; slices of `slice` units (0: one slice).
 * Returns units consumed. */
uint64_t bare_run(struct bare *b, uint64_t n, uint64_t slice);

/* Digest of the vCPU's state (synced) and of RAM. */
uint64_t bare_digest(struct bare *b);

#endif
