/*
 * Packed shifts: by a count in a register or memory (its low 64 bits), by an immediate, by bytes,
 * and AVX2's by a count for each element.
 *
 * A count past the element's width gives zero, or for arithmetic shifts the sign everywhere. The
 * immediate forms write modrm.rm (legacy) or VEX.vvvv. A count operand is 16 bytes whatever VEX.L.
 *
 * Sources: SDM 2B PSLLW, PSRLW, PSRAW, PSLLDQ, PSRLDQ; SDM 2C VPSLLVD and the like.
 */
#include "cpu/packed.h"

// clang-format off
/* x: the element; c: the count, b's low quadword. */
#define SHIFT(op, type, el, expr)                                                           \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)                                           \
    {                                                                                       \
        const uint64_t c = b->q[0];                                                         \
        for (unsigned k = 0; k < n / sizeof(type); k++) {                                   \
            const type x = a->el[k];                                                        \
            d->el[k] = (type)(expr);                                                        \
        }                                                                                   \
    }
SHIFT(psllw, uint16_t, w,  c > 15 ? 0 : (uint32_t)x << c)
SHIFT(pslld, uint32_t, d,  c > 31 ? 0 : x << c)
SHIFT(psllq, uint64_t, q,  c > 63 ? 0 : x << c)
SHIFT(psrlw, uint16_t, w,  c > 15 ? 0 : x >> c)
SHIFT(psrld, uint32_t, d,  c > 31 ? 0 : x >> c)
SHIFT(psrlq, uint64_t, q,  c > 63 ? 0 : x >> c)
SHIFT(psraw, int16_t,  sw, x >> (c > 15 ? 15 : c))
SHIFT(psrad, int32_t,  sd, x >> (c > 31 ? 31 : c))

/* y: the count of this element. */
EACH(psllvd, uint32_t, d,  y > 31 ? 0 : x << y)
EACH(psllvq, uint64_t, q,  y > 63 ? 0 : x << y)
EACH(psrlvd, uint32_t, d,  y > 31 ? 0 : x >> y)
EACH(psrlvq, uint64_t, q,  y > 63 ? 0 : x >> y)
EACH(psravd, int32_t,  sd, x >> ((uint32_t)y > 31 ? 31 : y))
// clang-format on

static ALWAYS_INLINE void pslldq_op(union vec *d, const union vec *a, const union vec *b,
                                    unsigned n)
{
    const uint64_t c = b->q[0];
    for (unsigned k = 0; k < n / 8; k += 2) {
        struct words r = words_shl(a->q[k], a->q[k + 1], c > 16 ? 16 : (unsigned)c);
        d->q[k] = r.lo;
        d->q[k + 1] = r.hi;
    }
}

static ALWAYS_INLINE void psrldq_op(union vec *d, const union vec *a, const union vec *b,
                                    unsigned n)
{
    const uint64_t c = b->q[0];
    for (unsigned k = 0; k < n / 8; k += 2) {
        struct words r = words_shr(a->q[k], a->q[k + 1], c > 16 ? 16 : (unsigned)c);
        d->q[k] = r.lo;
        d->q[k + 1] = r.hi;
    }
}

static ALWAYS_INLINE void shift_avx(struct cpu *cpu, const struct insn *i, packed_fn *fn)
{
    union vec a, b, d;
    avx_check(cpu);
    b = vec_w(cpu, i, 16, false);
    if (i->pfx & PFX_L) {
        a = vec_get(cpu, i->vvvv, 32);
        fn(&d, &a, &b, 32);
        vec_set(cpu, i->reg, &d, 32);
    } else {
        a = vec_get(cpu, i->vvvv, 16);
        fn(&d, &a, &b, 16);
        vec_set_zx(cpu, i->reg, &d, 16);
    }
}

static ALWAYS_INLINE void shift_imm_mmx(struct cpu *cpu, const struct insn *i, packed_fn *fn)
{
    union vec a, b, d;
    mmx_check(cpu);
    a.q[0] = mmx_get(cpu, i->rm);
    b.q[0] = insn_imm8(i);
    fn(&d, &a, &b, 8);
    mmx_set(cpu, i->rm, d.q[0]);
}

static ALWAYS_INLINE void shift_imm_sse(struct cpu *cpu, const struct insn *i, packed_fn *fn)
{
    union vec a, b, d;
    sse_check(cpu);
    a = vec_get(cpu, i->rm, 16);
    b.q[0] = insn_imm8(i);
    fn(&d, &a, &b, 16);
    vec_set(cpu, i->rm, &d, 16);
}

static ALWAYS_INLINE void shift_imm_avx(struct cpu *cpu, const struct insn *i, packed_fn *fn)
{
    union vec a, b, d;
    avx_check(cpu);
    b.q[0] = insn_imm8(i);
    if (i->pfx & PFX_L) {
        a = vec_get(cpu, i->rm, 32);
        fn(&d, &a, &b, 32);
        vec_set(cpu, i->vvvv, &d, 32);
    } else {
        a = vec_get(cpu, i->rm, 16);
        fn(&d, &a, &b, 16);
        vec_set_zx(cpu, i->vvvv, &d, 16);
    }
}

// clang-format off
#define SEM_SHIFT_I2(op)                                       \
    SEM(op##_imm)       { shift_imm_sse(cpu, i, op##_op); }    \
    SEM(v##op##_imm)    { shift_imm_avx(cpu, i, op##_op); }
#define SEM_SHIFT(op)                                          \
    SEM_MMX(op) SEM_SSE(op)                                    \
    SEM(v##op)          { shift_avx(cpu, i, op##_op); }        \
    SEM(mmx_##op##_imm) { shift_imm_mmx(cpu, i, op##_op); }    \
    SEM_SHIFT_I2(op)

SEM_SHIFT(psllw) SEM_SHIFT(pslld) SEM_SHIFT(psllq)
SEM_SHIFT(psrlw) SEM_SHIFT(psrld) SEM_SHIFT(psrlq)
SEM_SHIFT(psraw) SEM_SHIFT(psrad)
SEM_SHIFT_I2(pslldq) SEM_SHIFT_I2(psrldq)
SEM_AVX(psllvd) SEM_AVX(psllvq) SEM_AVX(psrlvd) SEM_AVX(psrlvq) SEM_AVX(psravd)
    // clang-format on
