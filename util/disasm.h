/*
 * Disassembly of x86 code for people: `-d in_asm` and the monitor's x/i. By capstone where it was
 * found at configure time, else the bytes alone. Never used to decide anything.
 */
#ifndef DOPPEL_UTIL_DISASM_H
#define DOPPEL_UTIL_DISASM_H

#include <stddef.h>
#include <stdint.h>

/* One instruction at `bytes` (len of them may be read), for code of `bits` (16, 32, 64) at address
 * `pc`, as "48 89 e5  mov rbp, rsp" into out (always terminated). Returns its length in bytes, at
 * least 1; 1 for bytes that are no instruction. len >= 1. */
size_t disasm_insn(unsigned bits, uint64_t pc, const uint8_t *bytes, size_t len, char *out,
                   size_t outlen);

#endif
