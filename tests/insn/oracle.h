/*
 * The host's own CPU as the oracle: one instruction from one state, run natively and by doppel's
 * semantics, and the two results compared.
 *
 *     oracle_gen.c      makes cases from the rows of the instruction table
 *     oracle_native.c   runs a case on the host's CPU (x86-64 Linux only)
 *     oracle_doppel.c   runs it in doppel
 *     test_oracle.c     the loop and the comparison
 *
 * A case depends on (seed, number) alone. Both sides see the same addresses: a page of code, and
 * two writable data pages, a read-only one, then nothing. The 16-bit code runs in segments of the
 * LDT with those bases, the 32-bit code in the host's flat user segments.
 */
#ifndef DOPPEL_TESTS_INSN_ORACLE_H
#define DOPPEL_TESTS_INSN_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/insn.h"
#include "tests/t.h"

#define OR_CODE  UINT64_C(0x100000) /* one page, filled with INT3 around the instruction */
#define OR_ENTRY UINT64_C(0x7b3)    /* where in it the instruction is: no likely operand */
#define OR_DATA  UINT64_C(0x200000) /* OR_PAGES writable pages, then one read-only */
#define OR_PAGES 2
#define OR_BYTES ((OR_PAGES + 1) * 4096u)
#define OR_PATCH 64 /* operand bytes that each case sets */

enum { OR_MODE64, OR_MODE32, OR_MODE16, OR_MODES };

/* Everything an instruction sees or changes but memory. x87 registers in stack order. */
struct or_state {
    uint64_t gpr[16], rip;
    uint32_t flags; /* as in RFLAGS */
    uint64_t ymm[16][4];
    uint64_t st_m[8];
    uint16_t st_se[8];
    uint16_t fcw, fsw;
    uint8_t ftw; /* abridged: bit r set: physical register r is in use */
    uint32_t mxcsr;
};

struct or_case {
    uint64_t number;
    unsigned mode;
    unsigned row;     /* the row it was made from */
    uint8_t code[15]; /* the instruction */
    unsigned len;
    struct or_state in;
    uint64_t patch_at; /* offset in the data pages of the operand bytes */
    uint8_t patch[OR_PATCH];
};

struct or_result {
    bool fault;
    uint8_t vector;
    uint32_t err; /* of #PF, else the error code that was pushed */
    uint64_t cr2; /* of #PF */
    struct or_state out;
};

/* ---- oracle_gen.c ---- */
/* Rows that are tested; NULL where a row is, else why it is not. */
const char *or_row_excluded(const struct insn_row *row);
/* Fill *c from seed and number for that row. False: the row does not exist in the mode. */
bool or_generate(struct or_case *c, uint64_t seed, uint64_t number, unsigned row, unsigned mode);
/* The memory that every case begins with, before its patch: OR_BYTES bytes. */
void or_template(uint8_t *mem, uint64_t seed);

/* ---- oracle_native.c ---- */
/* Set up; NULL: it works, else why not. Data pages are then at OR_DATA in this process. */
const char *or_native_init(void);
/* Can this host run the row, the mode? */
bool or_native_has(const struct insn_row *row);
bool or_native_mode(unsigned mode);
/* Run one case. Memory is what is at OR_DATA. */
void or_native_run(const struct or_case *c, struct or_result *r);
/* The data pages, the read-only one writable here. */
uint8_t *or_native_mem(void);

/* ---- oracle_doppel.c ---- */
void or_doppel_init(void);
void or_doppel_run(const struct or_case *c, struct or_result *r);
const struct insn *or_doppel_insn(void); /* as decoded by the last run */
uint8_t *or_doppel_page(unsigned n);     /* page n of the data pages, 4096 bytes */

#endif
