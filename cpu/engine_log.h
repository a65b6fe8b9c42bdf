/*
 * -d uops and -d out_asm: what the engine compiles, as text in the log.
 */
#ifndef DOPPEL_CPU_ENGINE_LOG_H
#define DOPPEL_CPU_ENGINE_LOG_H

#include "cpu/block.h"
#include "cpu/jit/jit.h"

/* Micro-operations of what is about to be compiled, `head` first. */
void engine_log_uops(const struct cpu *cpu, const struct block *head, const struct uop *u,
                     unsigned n);
/* The code that came of it. */
void engine_log_code(const struct cpu *cpu, const struct jit *j, const struct jit_code *code);

#endif
