/*
 * SSE and AVX floating-point arithmetic, comparison and rounding. See cpu/vecfp.h for the drivers.
 *
 * RCPPS and RSQRTPS give the value that cpu/fp defines, the same on every host: within the SDM's
 * bound of 1.5 * 2^-12, and raise nothing.
 *
 * Sources: SDM 2A, 2B, 2C, the entries of the same names.
 */
#include "cpu/vecfp.h"

void vecfp_flags(struct cpu *cpu, const struct fp_env *e)
{
    cpu->s.mxcsr |= fp_sse_flags(e);
    if (fp_env_unmasked(e)) {
        cpu_raise(cpu, cpu->s.cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
    }
}

// clang-format off
FEACH(addps,  32, quick32_add(e, x, y))
FEACH(addpd,  64, quick64_add(e, x, y))
FEACH(subps,  32, quick32_sub(e, x, y))
FEACH(subpd,  64, quick64_sub(e, x, y))
FEACH(mulps,  32, quick32_mul(e, x, y))
FEACH(mulpd,  64, quick64_mul(e, x, y))
FEACH(divps,  32, quick32_div(e, x, y))
FEACH(divpd,  64, quick64_div(e, x, y))
FEACH(minps,  32, quick32_min(e, x, y))
FEACH(minpd,  64, quick64_min(e, x, y))
FEACH(maxps,  32, quick32_max(e, x, y))
FEACH(maxpd,  64, quick64_max(e, x, y))
FEACH(sqrtps, 32, f32_sqrt(e, y))
FEACH(sqrtpd, 64, f64_sqrt(e, y))
FEACH(rcpps,   32, f32_rcp(y))
FEACH(rsqrtps, 32, f32_rsqrt(y))
FEACH(addsubps, 32, k & 1 ? quick32_add(e, x, y) : quick32_sub(e, x, y))
FEACH(addsubpd, 64, k & 1 ? quick64_add(e, x, y) : quick64_sub(e, x, y))
FEACH_I(roundps, 32, f32_round(e, y, imm))
FEACH_I(roundpd, 64, f64_round(e, y, imm))
/* imm: the predicate; the legacy forms have three bits of it. */
FEACH_I(vcmpps, 32, quick32_cmp_pred(e, x, y, imm & 31) ? -1 : 0)
FEACH_I(vcmppd, 64, quick64_cmp_pred(e, x, y, imm & 31) ? -1 : 0)
FEACH_I(cmpps,  32, quick32_cmp_pred(e, x, y, imm & 7) ? -1 : 0)
FEACH_I(cmppd,  64, quick64_cmp_pred(e, x, y, imm & 7) ? -1 : 0)

#define FSEM_FOUR(ps, ss, pd, sd)                            \
    FSEM_PACKED2(ps) FSEM_SCALAR(ss, ps, 4)                  \
    FSEM_PACKED2(pd) FSEM_SCALAR(sd, pd, 8)
FSEM_FOUR(addps,  addss,  addpd,  addsd)
FSEM_FOUR(subps,  subss,  subpd,  subsd)
FSEM_FOUR(mulps,  mulss,  mulpd,  mulsd)
FSEM_FOUR(divps,  divss,  divpd,  divsd)
FSEM_FOUR(minps,  minss,  minpd,  minsd)
FSEM_FOUR(maxps,  maxss,  maxpd,  maxsd)
FSEM_FOUR(sqrtps, sqrtss, sqrtpd, sqrtsd)
FSEM_PACKED2(rcpps)    FSEM_SCALAR(rcpss, rcpps, 4)
FSEM_PACKED2(rsqrtps)  FSEM_SCALAR(rsqrtss, rsqrtps, 4)
FSEM_PACKED2(addsubps) FSEM_PACKED2(addsubpd)
FSEM_PACKED2_I(roundps) FSEM_SCALAR_I(roundss, roundps, 4)
FSEM_PACKED2_I(roundpd) FSEM_SCALAR_I(roundsd, roundpd, 8)
SEM(cmpps)  { fp_sse_imm(cpu, i, cmpps_op); }
SEM(cmppd)  { fp_sse_imm(cpu, i, cmppd_op); }
SEM(vcmpps) { fp_avx_imm(cpu, i, vcmpps_op); }
SEM(vcmppd) { fp_avx_imm(cpu, i, vcmppd_op); }
FSEM_SCALAR_I(cmpss,  cmpps, 4)  FSEM_SCALAR_I(cmpsd,  cmppd, 8)
FSEM_SCALAR_I(vcmpss, vcmpps, 4) FSEM_SCALAR_I(vcmpsd, vcmppd, 8)
    // clang-format on

    /* ---- horizontal add and subtract, in each 128-bit lane ---- */
    static ALWAYS_INLINE void horiz_ps(struct fp_env *e, union vec *d, const union vec *a,
                                       const union vec *b, unsigned n, bool subtract)
{
    for (unsigned k = 0; k < n / 4; k++) {
        const union vec *s = k & 2 ? b : a;
        unsigned from = (k & ~3u) + 2 * (k & 1);
        uint32_t x = s->d[VD(from)], y = s->d[VD(from + 1)];
        d->d[VD(k)] = subtract ? quick32_sub(e, x, y) : quick32_add(e, x, y);
    }
}

static ALWAYS_INLINE void horiz_pd(struct fp_env *e, union vec *d, const union vec *a,
                                   const union vec *b, unsigned n, bool subtract)
{
    for (unsigned k = 0; k < n / 8; k++) {
        const union vec *s = k & 1 ? b : a;
        uint64_t x = s->q[k & ~1u], y = s->q[k | 1u];
        d->q[k] = subtract ? quick64_sub(e, x, y) : quick64_add(e, x, y);
    }
}

// clang-format off
#define FHORIZ(op, how, subtract)                                                           \
    static ALWAYS_INLINE void op##_op(struct fp_env *e, union vec *d, const union vec *a,   \
                                      const union vec *b, unsigned n)                       \
    {                                                                                       \
        how(e, d, a, b, n, subtract);                                                       \
    }                                                                                       \
    FSEM_PACKED2(op)
FHORIZ(haddps, horiz_ps, false)
FHORIZ(hsubps, horiz_ps, true)
FHORIZ(haddpd, horiz_pd, false)
FHORIZ(hsubpd, horiz_pd, true)
// clang-format on

/* ---- dot products: imm[7:4] selects the products, imm[3:0] where the sum goes ----
 * Three steps, (p0 + p1) + (p2 + p3), each with its own exceptions: an unmasked one ends the
 * instruction there, with the flags of the steps before it complete (hardware does; the SDM's DPPS
 * speaks of the products only). A product not selected is +0 and raises nothing. */

/* End of a step: true if the next may begin; its flags move to *done. */
static bool dp_step(struct fp_env *e, uint32_t *done)
{
    if (fp_env_unmasked(e)) {
        return false;
    }
    *done |= e->flags;
    e->flags = 0;
    return true;
}

static void dpps_sum(struct fp_env *e, union vec *d, const union vec *a, const union vec *b,
                     unsigned n, unsigned imm, uint32_t *done)
{
    uint32_t p[8];
    for (unsigned k = 0; k < n / 4; k++) {
        p[k] = imm >> (4 + (k & 3)) & 1 ? quick32_mul(e, a->d[VD(k)], b->d[VD(k)]) : 0;
    }
    for (unsigned width = 2; width <= 4 && dp_step(e, done); width *= 2) {
        for (unsigned k = 0; k < n / 4; k += width) {
            p[k] = quick32_add(e, p[k], p[k + width / 2]);
        }
    }
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[VD(k)] = imm >> (k & 3) & 1 ? p[k & ~3u] : 0;
    }
}

static void dppd_sum(struct fp_env *e, union vec *d, const union vec *a, const union vec *b,
                     unsigned n, unsigned imm, uint32_t *done)
{
    uint64_t p[2];
    (void)n;
    for (unsigned k = 0; k < 2; k++) {
        p[k] = imm >> (4 + k) & 1 ? quick64_mul(e, a->q[k], b->q[k]) : 0;
    }
    if (dp_step(e, done)) {
        p[0] = quick64_add(e, p[0], p[1]);
    }
    for (unsigned k = 0; k < 2; k++) {
        d->q[k] = imm >> k & 1 ? p[0] : 0;
    }
}

typedef void dp_sum(struct fp_env *e, union vec *d, const union vec *a, const union vec *b,
                    unsigned n, unsigned imm, uint32_t *done);

static void dot_product(struct cpu *cpu, const struct insn *i, dp_sum *sum)
{
    unsigned n = insn_vl(i);
    union vec d;
    uint32_t done = 0;
    vec_check(cpu, i);
    union vec b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, !(i->pfx & PFX_VEX));
    union vec a = vec_get(cpu, vec_src1(i), 32);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    sum(&e, &d, &a, &b, n, insn_imm8(i), &done);
    cpu->s.mxcsr |= done;
    vecfp_commit(cpu, &e);
    if (n == 32) {
        vec_set(cpu, i->reg, &d, 32);
    } else {
        vec_put(cpu, i, &d);
    }
}

SEM(dpps)
{
    dot_product(cpu, i, dpps_sum);
}

SEM(dppd)
{
    dot_product(cpu, i, dppd_sum);
}

/* ---- COMISS and the like: flags, and nothing is written on an unmasked exception ---- */
static ALWAYS_INLINE void comi(struct cpu *cpu, const struct insn *i, unsigned n, bool signal_qnan)
{
    vec_check(cpu, i);
    uint64_t b = vec_w_scalar(cpu, i, n), a = cpu->s.ymm[4 * i->reg];
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    enum fp_rel r = n == 4 ? quick32_compare(&e, (uint32_t)a, (uint32_t)b, signal_qnan)
                           : quick64_compare(&e, a, b, signal_qnan);
    vecfp_commit(cpu, &e);
    flags_set_arith(cpu, r == FP_UNORDERED ? FL_ZF | FL_PF | FL_CF
                         : r == FP_LESS    ? FL_CF
                         : r == FP_EQUAL   ? FL_ZF
                                           : 0);
}

// clang-format off
SEM(comiss)  { comi(cpu, i, 4, true); }
SEM(comisd)  { comi(cpu, i, 8, true); }
SEM(ucomiss) { comi(cpu, i, 4, false); }
SEM(ucomisd) { comi(cpu, i, 8, false); }
// clang-format on
