/*
 * Passes over a block's micro-operations, the same for all hosts.
 */
#ifndef DOPPEL_CPU_JIT_PASS_H
#define DOPPEL_CPU_JIT_PASS_H

#include "cpu/jit/uop.h"

/* Set UF_NEED where somebody may look at the flags behind a micro-operation: a reader, a place that
 * can leave for the interpreter, or the block's end. */
void jit_pass_flags(struct uop *u, unsigned n);

#define JIT_FLAGS_ALL 0x8d5u /* OSZAPC at their EFLAGS positions */

/* Does it set every arithmetic flag, whatever the operands? */
static inline bool uop_sets_all(const struct uop *u)
{
    return u->wflags == JIT_FLAGS_ALL && !(u->attr & UF_COND);
}

#endif
