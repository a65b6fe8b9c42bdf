/*
 * Memory accesses that need one check together.
 */
#ifndef DOPPEL_CPU_JIT_GROUPS_H
#define DOPPEL_CPU_JIT_GROUPS_H

#include "cpu/jit/jit.h"

/* Set uop.group and what belongs to it (uop.h). For superblocks only: a leader whose check fails
 * leaves for the place of its own instruction, which must not lead to the same code again. */
void jit_pass_groups(const struct jit_source *src);

#endif
