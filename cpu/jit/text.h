/*
 * Micro-operations in words, for `-d uops` and the reports of lockstep.
 */
#ifndef DOPPEL_CPU_JIT_TEXT_H
#define DOPPEL_CPU_JIT_TEXT_H

#include <stddef.h>

#include "cpu/jit/uop.h"

/* "add.8 rax, [rbx+rcx*8+0x10] need bail" into out, always terminated. */
void jit_uop_text(const struct uop *u, char *out, size_t size);

#endif
