/*
 * Random instances of vector instructions: encodings of a table row, registers and memory, and one
 * instruction run by the interpreter. What the tests against the host's CPU and the digests share.
 */
#ifndef DOPPEL_TESTS_INSN_SSE_GEN_H
#define DOPPEL_TESTS_INSN_SSE_GEN_H

#include "cpu/cpu.h"
#include "tests/insn/native.h"
#include "tests/t.h"

#define DATA      NATIVE_DATA /* the linear address of operands in memory */
#define DATA_SIZE 1024u

struct sse_gen {
    struct t_rng rng;
    struct side *in; /* registers, filled in */
    uint8_t *data;   /* DATA_SIZE bytes, filled in */
};

struct sse_code {
    uint8_t b[16];
    unsigned n;
    bool mem; /* with an operand in memory */
};

static inline void sse_code_put(struct sse_code *c, unsigned byte)
{
    c->b[c->n++] = (uint8_t)byte;
}

/* Is the row a user-mode vector instruction? */
bool sse_gen_row(const struct insn_row *r);
/* One case of a row. wild: sometimes break the row's rules for W, L and vvvv. */
struct sse_code sse_gen_case(struct sse_gen *g, const struct insn_row *r, bool wild);
/* Registers and memory alone. masked: all SIMD exceptions are. */
void sse_gen_fill(struct sse_gen *g, bool masked);

/* Load the registers into a vCPU. */
void sse_load(struct cpu *cpu, const struct side *s);
/* Decode and run one instruction in 64-bit mode; returns the exception's vector, -1 for none. */
int sse_run(struct cpu *cpu, const struct sse_code *c);

#endif
