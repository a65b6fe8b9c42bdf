/*
 * Lockstep: what compiled code does is done again by the interpreter and compared, stretch by
 * stretch: `-engine lockstep`.
 *
 * A stretch is what code does between two moments at which it comes into C: the entry of a block
 * (code compiled for lockstep asks there), an instruction for the interpreter, a leave. Its start
 * is kept: registers, and each page before compiled code may first write to it. At its end the
 * result is kept, the start is put back, the interpreter runs the same number of instructions, and
 * everything is compared: registers, flags, vectors, x87, RIP, and every byte of each page that
 * either of the two may have written. The interpreter's result stands, so what touches devices or
 * faults happens once, in the interpreter, between stretches.
 *
 * What always holds: within a stretch compiled code changes no more than registers and plain RAM,
 * and uses translations that the soft TLB holds already. So running it twice shows nowhere.
 */
#ifndef DOPPEL_CPU_LOCKSTEP_H
#define DOPPEL_CPU_LOCKSTEP_H

#include "cpu/cpu.h"

struct lockstep;
struct jit_code;

/* For one vCPU. NULL: no memory. */
struct lockstep *lockstep_new(struct cpu *cpu);
void lockstep_free(struct lockstep *ls);

/* A stretch begins: the vCPU is as both engines see it, about to run `at` from its first
 * instruction, not yet charged, or to go on behind an instruction of it, charged. `left`:
 * instructions charged for and not yet begun. */
void lockstep_begin(struct lockstep *ls, const struct block *at, int64_t left);
/* It ends, if one is open: RIP and flags are settled, unless the flags are dead. False: the two
 * differ; the report is in lockstep_report() and the vCPU is as the interpreter left it. */
bool lockstep_end(struct lockstep *ls, int64_t left, bool flags_dead);
/* The stretch is given up: nothing ran in it. */
void lockstep_forget(struct lockstep *ls);
/* What differed, in lines; NULL: nothing so far. */
const char *lockstep_report(const struct lockstep *ls);
/* Stretches compared, instructions in them. */
void lockstep_counts(const struct lockstep *ls, uint64_t *stretches, uint64_t *insns);

#endif
