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

#include "cpu/fp/fp.h"
#include "cpu/packed.h"

typedef void fp_op(struct fp_env *e, union vec *d, const union vec *a, const union vec *b,
                   unsigned n);
typedef void fp_imm_op(struct fp_env *e, union vec *d, const union vec *a, const union vec *b,
                       unsigned n, unsigned imm);

/* Raises the SIMD floating-point exception that `e` holds; does not return. (cpu/sse_fp.c) */
noreturn void vecfp_fault(struct cpu *cpu, const struct fp_env *e);

/* Before anything is written: faults on an unmasked exception, else stores the flags. */
static ALWAYS_INLINE void vecfp_commit(struct cpu *cpu, const struct fp_env *e)
{
    if (UNLIKELY(fp_env_unmasked(e))) {
        vecfp_fault(cpu, e);
    }
    cpu->s.mxcsr |= e->flags;
}

static ALWAYS_INLINE void fp_sse(struct cpu *cpu, const struct insn *i, fp_op *fn)
{
    union vec a, b, d;
    sse_check(cpu);
    b = vec_w(cpu, i, 16, true);
    a = vec_get(cpu, i->reg, 16);
    struct fp_env e = fp_env_sse(cpu->s.mxcsr);
    fn(&e, &d, &a, &b, 16);
    vecfp_commit(cpu, &e);
    vec_set(cpu, i->reg, &d, 16);
}

static ALWAYS_INLINE void fp_avx(struct cpu *cpu, const struct insn *i, fp_op *fn)
{
    unsigned n = insn_vl(i);
    union vec a, b, d;
    avx_check(cpu);
    b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, false);
    a = vec_get(cpu, i->vvvv, 32);
    struct fp_env e = fp_env_sse(cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n);
    vecfp_commit(cpu, &e);
    vec_set_zx(cpu, i->reg, &d, n);
}

/* One element of n bytes; the legacy and the VEX form. */
static ALWAYS_INLINE void fp_scalar(struct cpu *cpu, const struct insn *i, fp_op *fn, unsigned n)
{
    union vec a, b, d;
    vec_check(cpu, i);
    b = vec_w(cpu, i, n, false);
    a = vec_get(cpu, vec_src1(i), 16);
    d = a;
    struct fp_env e = fp_env_sse(cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n);
    vecfp_commit(cpu, &e);
    vec_put(cpu, i, &d);
}

static ALWAYS_INLINE void fp_sse_imm(struct cpu *cpu, const struct insn *i, fp_imm_op *fn)
{
    union vec a, b, d;
    sse_check(cpu);
    b = vec_w(cpu, i, 16, true);
    a = vec_get(cpu, i->reg, 16);
    struct fp_env e = fp_env_sse(cpu->s.mxcsr);
    fn(&e, &d, &a, &b, 16, insn_imm8(i));
    vecfp_commit(cpu, &e);
    vec_set(cpu, i->reg, &d, 16);
}

static ALWAYS_INLINE void fp_avx_imm(struct cpu *cpu, const struct insn *i, fp_imm_op *fn)
{
    unsigned n = insn_vl(i);
    union vec a, b, d;
    avx_check(cpu);
    b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, false);
    a = vec_get(cpu, i->vvvv, 32);
    struct fp_env e = fp_env_sse(cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n, insn_imm8(i));
    vecfp_commit(cpu, &e);
    vec_set_zx(cpu, i->reg, &d, n);
}

static ALWAYS_INLINE void fp_scalar_imm(struct cpu *cpu, const struct insn *i, fp_imm_op *fn,
                                        unsigned n)
{
    union vec a, b, d;
    vec_check(cpu, i);
    b = vec_w(cpu, i, n, false);
    a = vec_get(cpu, vec_src1(i), 16);
    d = a;
    struct fp_env e = fp_env_sse(cpu->s.mxcsr);
    fn(&e, &d, &a, &b, n, insn_imm8(i));
    vecfp_commit(cpu, &e);
    vec_put(cpu, i, &d);
}

// clang-format off
#define FSEM_PACKED2(op)            SEM(op) { fp_sse(cpu, i, op##_op); }         \
                                    SEM(v##op) { fp_avx(cpu, i, op##_op); }
#define FSEM_PACKED2_I(op)          SEM(op) { fp_sse_imm(cpu, i, op##_op); }     \
                                    SEM(v##op) { fp_avx_imm(cpu, i, op##_op); }
#define FSEM_SCALAR(name, op, n)    SEM(name) { fp_scalar(cpu, i, op##_op, n); }
#define FSEM_SCALAR_I(name, op, n)  SEM(name) { fp_scalar_imm(cpu, i, op##_op, n); }

/* Elementwise: x from a, y from b. */
#define FEACH(op, type, el, expr)                                                           \
    static ALWAYS_INLINE void op##_op(struct fp_env *e, union vec *d, const union vec *a,   \
                                      const union vec *b, unsigned n)                       \
    {                                                                                       \
        for (unsigned k = 0; k < n / sizeof(type); k++) {                                   \
            const unsigned at = sizeof(type) == 4 ? VD(k) : k;                              \
            const type x = a->el[at], y = b->el[at];                                        \
            (void)x;                                                                        \
            d->el[at] = (type)(expr);                                                       \
        }                                                                                   \
    }
#define FEACH_I(op, type, el, expr)                                                         \
    static ALWAYS_INLINE void op##_op(struct fp_env *e, union vec *d, const union vec *a,   \
                                      const union vec *b, unsigned n, unsigned imm)         \
    {                                                                                       \
        for (unsigned k = 0; k < n / sizeof(type); k++) {                                   \
            const unsigned at = sizeof(type) == 4 ? VD(k) : k;                              \
            const type x = a->el[at], y = b->el[at];                                        \
            (void)x;                                                                        \
            d->el[at] = (type)(expr);                                                       \
        }                                                                                   \
    }
// clang-format on

#endif
