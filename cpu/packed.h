/*
 * One packed operation, every encoding of it.
 *
 * A packed operation is an inline function over n bytes (8 for MMX, 16 for SSE and VEX.128, 32 for
 * VEX.256): *d = op(*a, *b). The drivers below fetch operands, run it and store, for each encoding:
 *
 *     SEM_MMX(paddb)   sem_mmx_paddb   Pq, Qq        a is the destination
 *     SEM_SSE(paddb)   sem_paddb       Vdq, Wdq      a is the destination; aligned memory
 *     SEM_AVX(paddb)   sem_vpaddb      Vx, Hx, Wx    upper bits cleared
 *
 * for the function paddb_op; SEM_PACKED makes all three, SEM_PACKED2 the last two. An operation
 * without a first source ignores *a. SEM_..._I: the operation takes imm8 as well. SEM_..._M: its
 * memory operand has `div` times fewer bytes than the destination, and no alignment rule.
 *
 * d never overlaps a or b, so that the loops vectorize.
 */
#ifndef DOPPEL_CPU_PACKED_H
#define DOPPEL_CPU_PACKED_H

#include "cpu/sem.h"
#include "cpu/vec.h"

typedef void packed_fn(union vec *d, const union vec *a, const union vec *b, unsigned n);
typedef void packed_imm_fn(union vec *d, const union vec *a, const union vec *b, unsigned n,
                           unsigned imm);

/* 16 bytes as two words, shifted by 0 to 16 bytes. */
struct words {
    uint64_t lo, hi;
};

static ALWAYS_INLINE struct words words_shr(uint64_t lo, uint64_t hi, unsigned bytes)
{
    unsigned s = 8 * (bytes & 7);
    if (bytes & 24) {
        return (struct words){bytes & 16 ? 0 : hi >> s, 0};
    }
    return (struct words){lo >> s | hi << 1 << (63 - s), hi >> s};
}

static ALWAYS_INLINE struct words words_shl(uint64_t lo, uint64_t hi, unsigned bytes)
{
    unsigned s = 8 * (bytes & 7);
    if (bytes & 24) {
        return (struct words){0, bytes & 16 ? 0 : lo << s};
    }
    return (struct words){lo << s, hi << s | lo >> 1 >> (63 - s)};
}

static ALWAYS_INLINE void packed_mmx(struct cpu *cpu, const struct insn *i, packed_fn *fn,
                                     unsigned div)
{
    union vec a, b, d;
    mmx_check(cpu);
    b.q[0] = mmx_q(cpu, i, 8 / div);
    a.q[0] = mmx_get(cpu, i->reg);
    fn(&d, &a, &b, 8);
    mmx_set(cpu, i->reg, d.q[0]);
}

static ALWAYS_INLINE void packed_sse(struct cpu *cpu, const struct insn *i, packed_fn *fn,
                                     unsigned div)
{
    union vec a, b, d;
    sse_check(cpu);
    b = vec_w(cpu, i, 16 / div, div == 1);
    a = vec_get(cpu, i->reg, 16);
    fn(&d, &a, &b, 16);
    vec_set(cpu, i->reg, &d, 16);
}

static ALWAYS_INLINE void packed_avx(struct cpu *cpu, const struct insn *i, packed_fn *fn,
                                     unsigned div)
{
    union vec a, b, d;
    avx_check(cpu);
    if (i->pfx & PFX_L) {
        a = vec_get(cpu, i->vvvv, 32);
        b = vec_w(cpu, i, 32 / div, false);
        fn(&d, &a, &b, 32);
        vec_set(cpu, i->reg, &d, 32);
    } else {
        a = vec_get(cpu, i->vvvv, 16);
        b = vec_w(cpu, i, 16 / div, false);
        fn(&d, &a, &b, 16);
        vec_set_zx(cpu, i->reg, &d, 16);
    }
}

static ALWAYS_INLINE void packed_mmx_imm(struct cpu *cpu, const struct insn *i, packed_imm_fn *fn)
{
    union vec a, b, d;
    mmx_check(cpu);
    b.q[0] = mmx_q(cpu, i, 8);
    a.q[0] = mmx_get(cpu, i->reg);
    fn(&d, &a, &b, 8, insn_imm8(i));
    mmx_set(cpu, i->reg, d.q[0]);
}

static ALWAYS_INLINE void packed_sse_imm(struct cpu *cpu, const struct insn *i, packed_imm_fn *fn)
{
    union vec a, b, d;
    sse_check(cpu);
    b = vec_w(cpu, i, 16, true);
    a = vec_get(cpu, i->reg, 16);
    fn(&d, &a, &b, 16, insn_imm8(i));
    vec_set(cpu, i->reg, &d, 16);
}

static ALWAYS_INLINE void packed_avx_imm(struct cpu *cpu, const struct insn *i, packed_imm_fn *fn)
{
    union vec a, b, d;
    avx_check(cpu);
    if (i->pfx & PFX_L) {
        a = vec_get(cpu, i->vvvv, 32);
        b = vec_w(cpu, i, 32, false);
        fn(&d, &a, &b, 32, insn_imm8(i));
        vec_set(cpu, i->reg, &d, 32);
    } else {
        a = vec_get(cpu, i->vvvv, 16);
        b = vec_w(cpu, i, 16, false);
        fn(&d, &a, &b, 16, insn_imm8(i));
        vec_set_zx(cpu, i->reg, &d, 16);
    }
}

// clang-format off
#define SEM_MMX_M(op, div) SEM(mmx_##op) { packed_mmx(cpu, i, op##_op, div); }
#define SEM_SSE_M(op, div) SEM(op) { packed_sse(cpu, i, op##_op, div); }
#define SEM_AVX_M(op, div) SEM(v##op) { packed_avx(cpu, i, op##_op, div); }
#define SEM_MMX(op)        SEM_MMX_M(op, 1)
#define SEM_SSE(op)        SEM_SSE_M(op, 1)
#define SEM_AVX(op)        SEM_AVX_M(op, 1)
#define SEM_PACKED(op)     SEM_MMX(op) SEM_SSE(op) SEM_AVX(op)
#define SEM_PACKED2(op)    SEM_SSE(op) SEM_AVX(op)
#define SEM_PACKED2_M(op, div) SEM_SSE_M(op, div) SEM_AVX_M(op, div)
#define SEM_MMX_I(op)      SEM(mmx_##op) { packed_mmx_imm(cpu, i, op##_op); }
#define SEM_SSE_I(op)      SEM(op) { packed_sse_imm(cpu, i, op##_op); }
#define SEM_AVX_I(op)      SEM(v##op) { packed_avx_imm(cpu, i, op##_op); }
#define SEM_PACKED_I(op)   SEM_MMX_I(op) SEM_SSE_I(op) SEM_AVX_I(op)
#define SEM_PACKED2_I(op)  SEM_SSE_I(op) SEM_AVX_I(op)

/* An elementwise operation: x and y are the elements of a and b, of C type `type`, in member `el`
 * of union vec. */
#define EACH(op, type, el, expr)                                                          \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)                                         \
    {                                                                                     \
        for (unsigned k = 0; k < n / sizeof(type); k++) {                                 \
            const type x = a->el[k], y = b->el[k];                                        \
            (void)x;                                                                      \
            d->el[k] = (type)(expr);                                                      \
        }                                                                                 \
    }
// clang-format on

#endif
