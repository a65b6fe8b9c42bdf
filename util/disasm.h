/*
 * Disassembly for people: of x86 code for `-d in_asm` and the monitor's x/i, of the host's for `-d
 * out_asm`. By capstone where it was found at configure time, else the bytes alone. Never used to
 * decide anything.
 */
#ifndef DOPPEL_UTIL_DISASM_H
#define DOPPEL_UTIL_DISASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is capstone there? */
bool disasm_present(void);

/* One instruction at `bytes` (len of them may be read), for code of `bits` (16, 32, 64) at address
 * `pc`, as "48 89 e5  mov rbp, rsp" into out (always terminated). Returns its length in bytes, at
 * least 1; 1 for bytes that are no instruction. len >= 1. */
size_t disasm_insn(unsigned bits, uint64_t pc, const uint8_t *bytes, size_t len, char *out,
                   size_t outlen);

/* The same for the host's code, at an address that is not known: shown from `at`. */
size_t disasm_host(uint64_t at, const uint8_t *bytes, size_t len, char *out, size_t outlen);

/* Bytes alone, "48 89 e5", padded to the width of seven. */
void disasm_hex(const uint8_t *bytes, size_t n, char *out, size_t outlen);

#endif
