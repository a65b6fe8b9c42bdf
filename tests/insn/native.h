/*
 * One instruction on the host's own CPU (x86-64 Linux only): registers in, registers and trap out.
 *
 * Code, operand memory and register images lie at fixed low addresses, so that the interpreter can
 * run the same bytes at the same linear addresses.
 */
#ifndef DOPPEL_TESTS_INSN_NATIVE_H
#define DOPPEL_TESTS_INSN_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#define NATIVE_CODE  UINT64_C(0x100000)
#define NATIVE_DATA  UINT64_C(0x200000)
#define NATIVE_STATE UINT64_C(0x300000)

/* A register image; the offsets are known to the assembly in native.c. */
struct side {
    uint64_t insn, sp, flags, exit, pad[12];
    uint64_t gpr[16];
    uint8_t gap[0x100];
    uint8_t fx[512]; /* FXSAVE64 format */
    uint64_t ymm[64];
    uint8_t more[0x200];
};

struct native {
    struct side in, out;
};

/* Maps the pages and installs signal handlers; once. Exits the program on failure. */
struct native *native_open(void);
/* Runs n bytes with the registers of ->in. Returns the exception vector or -1. */
int native_run(const uint8_t *bytes, unsigned n);

#endif
