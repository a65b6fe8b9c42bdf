/*
 * An assembler for x86-64: one function per encoding form, into the emitter's buffer. Each form
 * that does not go through another begins with emit_one.
 *
 * Sources: Intel SDM 2A chapter 2 (formats), appendix A (opcodes).
 */
#ifndef DOPPEL_CPU_JIT_X64_ASM_H
#define DOPPEL_CPU_JIT_X64_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu/jit/count.h"

/* Host registers. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, RNONE = 0xff };

/* Condition codes. */
enum { XO, XNO, XB, XAE, XE, XNE, XBE, XA, XS, XNS, XP, XNP, XL, XGE, XLE, XG };

/* Where code goes. Past the end nothing is written and `full` is set. */
struct asmbuf {
    uint8_t *base;
    uint32_t at, end;
    bool full;
    struct emit_counts count;
};

static inline void asm_byte(struct asmbuf *a, unsigned v)
{
    if (a->at < a->end) {
        a->base[a->at++] = (uint8_t)v;
    } else {
        a->full = true;
    }
}

static inline void asm_imm(struct asmbuf *a, uint64_t v, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++) {
        asm_byte(a, (unsigned)(v >> (8 * k) & 0xff));
    }
}

/* An operand: a register, or [base + (index << scale) + disp]. */
struct xo {
    bool mem;
    uint8_t reg; /* or base */
    uint8_t index, scale;
    int32_t disp;
};

static inline struct xo xr(unsigned reg)
{
    return (struct xo){.reg = (uint8_t)reg, .index = RNONE};
}
static inline struct xo xm(unsigned base, int32_t disp)
{
    return (struct xo){.mem = true, .reg = (uint8_t)base, .index = RNONE, .disp = disp};
}
static inline struct xo xmi(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (struct xo){true, (uint8_t)base, (uint8_t)index, (uint8_t)scale, disp};
}

static inline void asm_modrm(struct asmbuf *a, unsigned reg, struct xo rm)
{
    reg = (reg & 7) << 3;
    if (!rm.mem) {
        asm_byte(a, 0xc0 | reg | (rm.reg & 7));
        return;
    }
    bool sib = rm.index != RNONE || (rm.reg & 7) == RSP;
    unsigned mod = rm.disp == 0 && (rm.reg & 7) != RBP ? 0
                   : rm.disp == (int8_t)rm.disp        ? 0x40
                                                       : 0x80;
    asm_byte(a, mod | reg | (sib ? 4 : rm.reg & 7));
    if (sib) {
        unsigned index = rm.index == RNONE ? 4 : rm.index & 7;
        asm_byte(a, (unsigned)rm.scale << 6 | index << 3 | (rm.reg & 7));
    }
    if (mod) {
        asm_imm(a, (uint32_t)rm.disp, mod == 0x40 ? 1 : 4);
    }
}

/* Which of the two operands are byte registers (4..7 then need a REX prefix). */
enum { XB_NONE = 0, XB_REG = 1, XB_RM = 2 };

/* op: one to three opcode bytes, e.g. 0x0fb6. w: 1, 2, 4, 8 give 66 and REX.W; a byte opcode is the
 * caller's choice. */
static inline void asm_op(struct asmbuf *a, unsigned w, unsigned op, unsigned reg, struct xo rm,
                          unsigned bytes)
{
    emit_one(&a->count);
    unsigned rex = (w == 8 ? 8u : 0) | (reg >= 8 ? 4u : 0) | (rm.reg >= 8 ? 1u : 0);
    rex |= rm.mem && rm.index != RNONE && rm.index >= 8 ? 2u : 0;
    bool need = ((bytes & XB_REG) && reg >= 4) || ((bytes & XB_RM) && !rm.mem && rm.reg >= 4);
    if (w == 2) {
        asm_byte(a, 0x66);
    }
    if (rex || need) {
        asm_byte(a, 0x40 | rex);
    }
    if (op > 0xffff) {
        asm_byte(a, op >> 16);
    }
    if (op > 0xff) {
        asm_byte(a, op >> 8 & 0xff);
    }
    asm_byte(a, op & 0xff);
    asm_modrm(a, reg, rm);
}

/* ---- moves ---- */
static inline void asm_load(struct asmbuf *a, unsigned w, unsigned reg, struct xo rm)
{
    asm_op(a, w, w == 1 ? 0x8a : 0x8b, reg, rm, w == 1 ? XB_REG | XB_RM : 0);
}
static inline void asm_store(struct asmbuf *a, unsigned w, struct xo rm, unsigned reg)
{
    asm_op(a, w, w == 1 ? 0x88 : 0x89, reg, rm, w == 1 ? XB_REG | XB_RM : 0);
}
/* Store an immediate, sign-extended from 32 bits. */
static inline void asm_store_imm(struct asmbuf *a, unsigned w, struct xo rm, int32_t v)
{
    asm_op(a, w, w == 1 ? 0xc6 : 0xc7, 0, rm, w == 1 ? XB_RM : 0);
    asm_imm(a, (uint32_t)v, w < 4 ? w : 4);
}
static inline void asm_mov(struct asmbuf *a, unsigned w, unsigned dst, unsigned src)
{
    asm_load(a, w, dst, xr(src));
}
/* Any 64-bit value, the shortest way. */
static inline void asm_const(struct asmbuf *a, unsigned reg, uint64_t v)
{
    if (v == (uint32_t)v) {
        emit_one(&a->count);
        if (reg >= 8) {
            asm_byte(a, 0x41);
        }
        asm_byte(a, 0xb8 | (reg & 7));
        asm_imm(a, v, 4);
    } else if (v == (uint64_t)(int64_t)(int32_t)v) {
        asm_store_imm(a, 8, xr(reg), (int32_t)v);
    } else {
        emit_one(&a->count);
        asm_byte(a, 0x48 | (reg >= 8 ? 1u : 0));
        asm_byte(a, 0xb8 | (reg & 7));
        asm_imm(a, v, 8);
    }
}
static inline void asm_lea(struct asmbuf *a, unsigned w, unsigned reg, struct xo rm)
{
    asm_op(a, w, 0x8d, reg, rm, 0);
}
/* Zero-extend sw bytes into 64. */
static inline void asm_zx(struct asmbuf *a, unsigned sw, unsigned reg, struct xo rm)
{
    if (sw >= 4) {
        asm_load(a, sw, reg, rm);
    } else {
        asm_op(a, 4, sw == 1 ? 0x0fb6 : 0x0fb7, reg, rm, sw == 1 ? XB_RM : 0);
    }
}

/* ---- arithmetic: n is 0..7 for add or adc sbb and sub xor cmp ---- */
static inline void asm_alu(struct asmbuf *a, unsigned w, unsigned n, unsigned reg, struct xo rm)
{
    asm_op(a, w, n << 3 | (w == 1 ? 2u : 3u), reg, rm, w == 1 ? XB_REG | XB_RM : 0);
}
static inline void asm_alu_to(struct asmbuf *a, unsigned w, unsigned n, struct xo rm, unsigned reg)
{
    asm_op(a, w, n << 3 | (w == 1 ? 0u : 1u), reg, rm, w == 1 ? XB_REG | XB_RM : 0);
}
static inline void asm_alu_imm(struct asmbuf *a, unsigned w, unsigned n, struct xo rm, int32_t v)
{
    if (w == 1) {
        asm_op(a, 1, 0x80, n, rm, XB_RM);
        asm_imm(a, (uint32_t)v, 1);
    } else if (v == (int8_t)v) {
        asm_op(a, w, 0x83, n, rm, 0);
        asm_imm(a, (uint32_t)v, 1);
    } else {
        asm_op(a, w, 0x81, n, rm, 0);
        asm_imm(a, (uint32_t)v, w == 2 ? 2 : 4);
    }
}
static inline void asm_test(struct asmbuf *a, unsigned w, struct xo rm, unsigned reg)
{
    asm_op(a, w, w == 1 ? 0x84 : 0x85, reg, rm, w == 1 ? XB_REG | XB_RM : 0);
}
static inline void asm_test_imm(struct asmbuf *a, unsigned w, struct xo rm, int32_t v)
{
    asm_op(a, w, w == 1 ? 0xf6 : 0xf7, 0, rm, w == 1 ? XB_RM : 0);
    asm_imm(a, (uint32_t)v, w < 4 ? w : 4);
}
/* n: 2 not, 3 neg, 4 mul, 5 imul, 6 div, 7 idiv. */
static inline void asm_un(struct asmbuf *a, unsigned w, unsigned n, struct xo rm)
{
    asm_op(a, w, w == 1 ? 0xf6 : 0xf7, n, rm, w == 1 ? XB_RM : 0);
}
/* n: 0 inc, 1 dec. */
static inline void asm_inc(struct asmbuf *a, unsigned w, unsigned n, struct xo rm)
{
    asm_op(a, w, w == 1 ? 0xfe : 0xff, n, rm, w == 1 ? XB_RM : 0);
}
/* n: 0 rol 1 ror 4 shl 5 shr 7 sar. */
static inline void asm_shift(struct asmbuf *a, unsigned w, unsigned n, struct xo rm, unsigned count)
{
    asm_op(a, w, w == 1 ? 0xc0 : 0xc1, n, rm, w == 1 ? XB_RM : 0);
    asm_byte(a, count);
}
static inline void asm_shift_cl(struct asmbuf *a, unsigned w, unsigned n, struct xo rm)
{
    asm_op(a, w, w == 1 ? 0xd2 : 0xd3, n, rm, w == 1 ? XB_RM : 0);
}
static inline void asm_setcc(struct asmbuf *a, unsigned cc, struct xo rm)
{
    asm_op(a, 4, 0x0f90 | cc, 0, rm, XB_RM);
}

/* ---- transfers ---- */
/* Each returns the place of its 32-bit displacement. */
static inline uint32_t asm_jcc(struct asmbuf *a, unsigned cc)
{
    emit_one(&a->count);
    asm_byte(a, 0x0f);
    asm_byte(a, 0x80 | cc);
    asm_imm(a, 0, 4);
    return a->at - 4;
}
static inline uint32_t asm_jmp(struct asmbuf *a)
{
    emit_one(&a->count);
    asm_byte(a, 0xe9);
    asm_imm(a, 0, 4);
    return a->at - 4;
}
static inline uint32_t asm_call(struct asmbuf *a)
{
    emit_one(&a->count);
    asm_byte(a, 0xe8);
    asm_imm(a, 0, 4);
    return a->at - 4;
}
/* Let the displacement at `place` lead to `target`. */
static inline void asm_patch(struct asmbuf *a, uint32_t place, uint32_t target)
{
    if (!a->full) {
        int32_t d = (int32_t)(target - (place + 4));
        memcpy(a->base + place, &d, 4);
    }
}
static inline void asm_here(struct asmbuf *a, uint32_t place)
{
    asm_patch(a, place, a->at);
}
static inline void asm_jmp_to(struct asmbuf *a, uint32_t target)
{
    uint32_t place = asm_jmp(a);
    asm_patch(a, place, target);
}
static inline void asm_call_to(struct asmbuf *a, uint32_t target)
{
    uint32_t place = asm_call(a);
    asm_patch(a, place, target);
}
static inline void asm_jmp_ind(struct asmbuf *a, struct xo rm)
{
    asm_op(a, 4, 0xff, 4, rm, 0);
}
static inline void asm_call_ind(struct asmbuf *a, struct xo rm)
{
    asm_op(a, 4, 0xff, 2, rm, 0);
}
static inline void asm_push(struct asmbuf *a, unsigned reg)
{
    emit_one(&a->count);
    if (reg >= 8) {
        asm_byte(a, 0x41);
    }
    asm_byte(a, 0x50 | (reg & 7));
}
static inline void asm_pop(struct asmbuf *a, unsigned reg)
{
    emit_one(&a->count);
    if (reg >= 8) {
        asm_byte(a, 0x41);
    }
    asm_byte(a, 0x58 | (reg & 7));
}

#endif
