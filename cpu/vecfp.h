/*
 * Drivers for SSE, AVX and FMA floating point: one operation, every encoding of it.
 *
 * An operation works on n bytes (4 or 8: the scalar forms; 16, 32: packed) with cpu/fp's bit-exact
 * arithmetic. Flags of all elements are gathered first. If one is unmasked, they go to MXCSR and
 * the instruction raises #XM (#UD without CR4.OSXMMEXCPT) with its destination unchanged; otherwise
 * result and flags are written.
 *
 *     FSEM_PACKED2(addps)    sem_addps, sem_vaddps    a op b, packed
 *     FSEM_SCALAR2(addss, addps, 4)                   the same operation on one element
 *
 * The scalar forms keep the rest of the destination (legacy) or of the first source (VEX).
 *
 * Sources: SDM 1 11.5 (exceptions), 10.2.3 (MXCSR), 14.1; SDM 2 2.4.2, 2.4.3.
 */
#ifndef DOPPEL_CPU_VECFP_H
#define DOPPEL_CPU_VECFP_H

#include "cpu/fp/quick.h"
#include "cpu/packed.h"

typedef void fp_op(struct fp_env *e, union vec *d, const union vec *a, const union vec *b,
                   unsigned n);
typedef void fp_imm_op(struct fp_env *e, union vec *d, const union vec *a, const union vec *b,
                       unsigned n, unsigned imm);

/* fp_env_sse() in place, field by field: a copy of the struct would stall the host. */
static ALWAYS_INLINE void vecfp_env(struct fp_env *e, uint32_t mxcsr)
{
    const struct fp_env t = fp_env_sse(mxcsr);
    e->rounding = t.rounding;
    e->precision = t.precision;
    e->masks = t.masks;
    e->flags = 0;
    e->ftz = t.ftz;
    e->daz = t.daz;
    e->roundup = false;
    e->quick = t.quick;
}

/* Stores the flags that `e` holds, or raises their exception. (cpu/sse_fp.c) */
void vecfp_flags(struct cpu *cpu, const struct fp_env *e);

/* Before anything is written: faults on an unmasked exception, else stores the flags. */
static ALWAYS_INLINE void vecfp_commit(struct cpu *cpu, const struct fp_env *e)
{
    if (UNLIKELY(e->flags)) { /* not stored for nothing: the next instruction loads MXCSR */
        vecfp_flags(cpu, e);
    }
}

static ALWAYS_INLINE void fp_sse(struct cpu *cpu, const struct insn *i, fp_op *fn)
{
    union vec a, b, d;
    sse_check(cpu);
    b = vec_w(cpu, i, 16, true);
    a = vec_get(cpu, i->reg, 16);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &a, &b, 16);
    vecfp_commit(cpu, &e);
    vec_put_words(cpu, i, d.q[0], d.q[1]);
}

static ALWAYS_INLINE void fp_avx(struct cpu *cpu, const struct insn *i, fp_op *fn)
{
    unsigned n = insn_vl(i);
    union vec a, b, d;
    avx_check(cpu);
    b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, false);
    a = vec_get(cpu, i->vvvv, 32);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n);
    vecfp_commit(cpu, &e);
    vec_set_zx(cpu, i->reg, &d, n);
}

/* One element of n bytes; the legacy and the VEX form. */
static ALWAYS_INLINE void fp_scalar(struct cpu *cpu, const struct insn *i, fp_op *fn, unsigned n)
{
    union vec a, b, d;
    vec_check(cpu, i);
    b.q[0] = vec_w_scalar(cpu, i, n);
    a.q[0] = cpu->s.ymm[4 * vec_src1(i)];
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n);
    vecfp_commit(cpu, &e);
    vec_put_scalar(cpu, i, d.q[0], n);
}

static ALWAYS_INLINE void fp_sse_imm(struct cpu *cpu, const struct insn *i, fp_imm_op *fn)
{
    union vec a, b, d;
    sse_check(cpu);
    b = vec_w(cpu, i, 16, true);
    a = vec_get(cpu, i->reg, 16);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &a, &b, 16, insn_imm8(i));
    vecfp_commit(cpu, &e);
    vec_put_words(cpu, i, d.q[0], d.q[1]);
}

static ALWAYS_INLINE void fp_avx_imm(struct cpu *cpu, const struct insn *i, fp_imm_op *fn)
{
    unsigned n = insn_vl(i);
    union vec a, b, d;
    avx_check(cpu);
    b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, false);
    a = vec_get(cpu, i->vvvv, 32);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n, insn_imm8(i));
    vecfp_commit(cpu, &e);
    vec_set_zx(cpu, i->reg, &d, n);
}

static ALWAYS_INLINE void fp_scalar_imm(struct cpu *cpu, const struct insn *i, fp_imm_op *fn,
                                        unsigned n)
{
    union vec a, b, d;
    vec_check(cpu, i);
    b.q[0] = vec_w_scalar(cpu, i, n);
    a.q[0] = cpu->s.ymm[4 * vec_src1(i)];
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n, insn_imm8(i));
    vecfp_commit(cpu, &e);
    vec_put_scalar(cpu, i, d.q[0], n);
}

// clang-format off
#define FSEM_PACKED2(op)            SEM(op) { fp_sse(cpu, i, op##_op); }         \
                                    SEM(v##op) { fp_avx(cpu, i, op##_op); }
#define FSEM_PACKED2_I(op)          SEM(op) { fp_sse_imm(cpu, i, op##_op); }     \
                                    SEM(v##op) { fp_avx_imm(cpu, i, op##_op); }
#define FSEM_SCALAR(name, op, n)    SEM(name) { fp_scalar(cpu, i, op##_op, n); }
#define FSEM_SCALAR_I(name, op, n)  SEM(name) { fp_scalar_imm(cpu, i, op##_op, n); }

/* Elementwise: x from a, y from b, k the element's number. Results are put together in 64-bit words
 * (a single's upper half is zero for n = 4), which the drivers then store as such. */
#define FEACH_BODY64(op, ...)                                                               \
    {                                                                                       \
        for (unsigned k = 0; k < n / 8; k++) {                                              \
            d->q[k] = op##_el(e, a->q[k], b->q[k], k __VA_ARGS__);                          \
        }                                                                                   \
    }
#define FEACH_BODY32(op, ...)                                                               \
    {                                                                                       \
        for (unsigned k = 0; k < (n + 7) / 8; k++) {                                        \
            uint64_t x = a->q[k], y = b->q[k];                                              \
            uint64_t r = op##_el(e, (uint32_t)x, (uint32_t)y, 2 * k __VA_ARGS__);           \
            if (n > 4) {                                                                    \
                uint32_t hi = op##_el(e, x >> 32, y >> 32, 2 * k + 1 __VA_ARGS__);          \
                r |= (uint64_t)hi << 32;                                                    \
            }                                                                               \
            d->q[k] = r;                                                                    \
        }                                                                                   \
    }
#define FEACH(op, bits, expr)                                                               \
    static ALWAYS_INLINE uint##bits##_t op##_el(struct fp_env *e, uint64_t xw, uint64_t yw, \
                                                unsigned k)                                 \
    {                                                                                       \
        const uint##bits##_t x = (uint##bits##_t)xw, y = (uint##bits##_t)yw;                \
        (void)e, (void)x, (void)y, (void)k;                                                 \
        return (uint##bits##_t)(expr);                                                      \
    }                                                                                       \
    static ALWAYS_INLINE void op##_op(struct fp_env *e, union vec *d, const union vec *a,   \
                                      const union vec *b, unsigned n)                       \
    FEACH_BODY##bits(op, )
#define FEACH_I(op, bits, expr)                                                             \
    static ALWAYS_INLINE uint##bits##_t op##_el(struct fp_env *e, uint64_t xw, uint64_t yw, \
                                                unsigned k, unsigned imm)                   \
    {                                                                                       \
        const uint##bits##_t x = (uint##bits##_t)xw, y = (uint##bits##_t)yw;                \
        (void)e, (void)x, (void)y, (void)k;                                                 \
        return (uint##bits##_t)(expr);                                                      \
    }                                                                                       \
    static ALWAYS_INLINE void op##_op(struct fp_env *e, union vec *d, const union vec *a,   \
                                      const union vec *b, unsigned n, unsigned imm)         \
    FEACH_BODY##bits(op, , imm)
// clang-format on

#endif
