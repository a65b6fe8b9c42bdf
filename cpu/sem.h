/*
 * How a semantic is written: the C function that one or more rows of the instruction table name.
 *
 *     SEM(cbw)                      { ... }   an ordinary instruction
 *     SEM_END(jmp_near)             { ... }   the block ends behind it; cpu->s.rip is preset to the
 *                                             next instruction, the body may set another
 *
 * The body gets `cpu` and `i`. It raises before it changes anything. It need not care what comes
 * next: the wrapper goes on to the next instruction of the block, or leaves the block if the memory
 * access asked for it (exit_req). Inside a body RIP is insn_ip(cpu, i), never cpu->s.rip.
 *
 * Operand access for bodies that serve every form: op_get/op_set by operand number and width, which
 * follow the row's operand kinds. Hot semantics are instantiated by form instead (cpu/alu.c).
 */
#ifndef DOPPEL_CPU_SEM_H
#define DOPPEL_CPU_SEM_H

#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/mem.h"

/* Leave the running block after `i`: refunds what was not run, sets RIP. */
void insn_leave(struct cpu *cpu, const struct insn *i);

/* Go on to the next instruction of the block: a tail call. */
static inline void insn_chain(struct cpu *cpu, const struct insn *i)
{
    const struct insn *n = i + 1;
    cpu->cur = n;
    n->fn(cpu, n);
}

static inline void insn_chain_mem(struct cpu *cpu, const struct insn *i)
{
    if (UNLIKELY(cpu->exit_req)) {
        insn_leave(cpu, i);
    } else {
        insn_chain(cpu, i);
    }
}

// clang-format off
#define SEM(name)                                                                        \
    static inline void name##_body(struct cpu *cpu, const struct insn *i);               \
    static void name##_any(struct cpu *cpu, const struct insn *i)                        \
    {                                                                                    \
        name##_body(cpu, i);                                                             \
        insn_chain_mem(cpu, i);                                                          \
    }                                                                                    \
    const struct sem sem_##name = {name##_any, NULL, false};                             \
    static inline void name##_body(struct cpu *cpu, const struct insn *i)

#define SEM_END(name)                                                                    \
    static inline void name##_body(struct cpu *cpu, const struct insn *i);               \
    static void name##_any(struct cpu *cpu, const struct insn *i)                        \
    {                                                                                    \
        cpu->s.rip = insn_next_ip(cpu, i);                                               \
        name##_body(cpu, i);                                                             \
    }                                                                                    \
    const struct sem sem_##name = {name##_any, NULL, true};                              \
    static inline void name##_body(struct cpu *cpu, const struct insn *i)
// clang-format on

/* ---- general registers by byte offset (i->ra, i->rb), w constant where it matters ---- */
static inline uint64_t reg_get(const struct cpu *cpu, unsigned w, uint16_t off)
{
    const char *p = (const char *)cpu + off;
    if (w == 1) {
        return *(const uint8_t *)p;
    } else if (w == 2) {
        uint16_t v;
        memcpy(&v, p, 2);
        return v;
    } else if (w == 4) {
        uint32_t v;
        memcpy(&v, p, 4);
        return v;
    } else {
        uint64_t v;
        memcpy(&v, p, 8);
        return v;
    }
}

/* 32-bit writes clear the upper half. */
static inline void reg_set(struct cpu *cpu, unsigned w, uint16_t off, uint64_t val)
{
    char *p = (char *)cpu + off;
    if (w == 1) {
        *(uint8_t *)p = (uint8_t)val;
    } else if (w == 2) {
        uint16_t v = (uint16_t)val;
        memcpy(p, &v, 2);
    } else if (w == 4) {
        val = (uint32_t)val;
        memcpy(HOST_BIG_ENDIAN ? p - 4 : p, &val, 8);
    } else {
        memcpy(p, &val, 8);
    }
}

/* Byte offset of general register r (0..15) for an operand of w bytes. high8: AH CH DH BH. */
static inline uint16_t reg_off(unsigned r, unsigned w, bool high8)
{
    size_t o = offsetof(struct cpu, s.gpr) + 8u * r;
    if (HOST_BIG_ENDIAN) {
        return (uint16_t)(o + 8 - w - (high8 ? 1 : 0));
    }
    return (uint16_t)(o + (high8 ? 1 : 0));
}

/* General registers by number. */
static inline uint64_t gpr_get(const struct cpu *cpu, unsigned r, unsigned w)
{
    return cpu->s.gpr[r] & bits_mask(8 * w);
}

static inline void gpr_set(struct cpu *cpu, unsigned r, unsigned w, uint64_t val)
{
    if (w >= 4) {
        cpu->s.gpr[r] = w == 4 ? (uint32_t)val : val;
    } else {
        cpu->s.gpr[r] = (cpu->s.gpr[r] & ~bits_mask(8 * w)) | (val & bits_mask(8 * w));
    }
}

/* ---- operands by number, whatever their kind (general registers, memory, immediates; not
 * vectors). op_get zero-extends; op_get_rmw faults as a write; op_set after op_get_rmw cannot
 * fault. op_width: bytes of operand n. (cpu/operand.c) ---- */
unsigned op_width(const struct insn *i, unsigned n);
uint64_t op_get(struct cpu *cpu, const struct insn *i, unsigned n);
uint64_t op_get_rmw(struct cpu *cpu, const struct insn *i, unsigned n);
void op_set(struct cpu *cpu, const struct insn *i, unsigned n, uint64_t val);

#endif
