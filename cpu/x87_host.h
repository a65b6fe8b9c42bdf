/*
 * The x87 state between the state table and the host's FPU, for compiled code.
 */
#ifndef DOPPEL_CPU_X87_HOST_H
#define DOPPEL_CPU_X87_HOST_H

#include "cpu/cpu.h"

/* jit_env.x87_load: an image of the guest's state. 0: the interpreter must run x87 instructions. */
int x87_host_load(struct jit_env *env);
/* jit_env.x87_soft (x87_soft.c). */
uint64_t x87_soft(struct jit_env *env, uint32_t what, uint64_t v);
/* Compiled code left by site s: if the x87 state was live, it goes back to the state table. */
void x87_host_settle(struct cpu *cpu, const struct jit_site *s);

#endif
