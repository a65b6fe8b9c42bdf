/*
 * Conversions between integers, single, double and half precision, in MMX, SSE and AVX forms.
 *
 * `to` and `from` differ in width, so these have drivers of their own: the number of elements is
 * given by the wider side. VCVTPD2PS and its like with a 256-bit source write 128 bits.
 *
 * Sources: SDM 2A CVT*; SDM 2C VCVTPH2PS, VCVTPS2PH; SDM 1 11.5.2.
 */
#include "cpu/vecfp.h"

// clang-format off
#define CONVERT(op, wide, to, T, from, F, expr)                                             \
    static ALWAYS_INLINE void op##_op(struct fp_env *e, union vec *d, const union vec *a,   \
                                      const union vec *b, unsigned n)                       \
    {                                                                                       \
        (void)a;                                                                            \
        for (unsigned k = 0; k < n / (wide); k++) {                                         \
            d->to[T(k)] = (expr);                                                           \
        }                                                                                   \
    }
#define VQ(k) (k)
/* n: bytes of the wide side */
CONVERT(cvtdq2ps,  4, d,  VD, d,  VD, quick32_from_i32(e, b->sd[VD(k)]))
CONVERT(cvtps2dq,  4, sd, VD, d,  VD, f32_to_i32(e, b->d[VD(k)], false))
CONVERT(cvttps2dq, 4, sd, VD, d,  VD, quick32_trunc_i32(e, b->d[VD(k)]))
CONVERT(cvtdq2pd,  8, q,  VQ, sd, VD, ((void)e, quick64_from_i32(b->sd[VD(k)])))
CONVERT(cvtpd2dq,  8, sd, VD, q,  VQ, f64_to_i32(e, b->q[k], false))
CONVERT(cvttpd2dq, 8, sd, VD, q,  VQ, quick64_trunc_i32(e, b->q[k]))
CONVERT(cvtps2pd,  8, q,  VQ, d,  VD, quick32_to_f64(e, b->d[VD(k)]))
CONVERT(cvtpd2ps,  8, d,  VD, q,  VQ, quick64_to_f32(e, b->q[k]))
CONVERT(cvtph2ps,  4, d,  VD, w,  VW, f16_to_f32(e, b->w[VW(k)]))
// clang-format on

/* wide: the destination, n bytes; the memory operand has half of them. */
static ALWAYS_INLINE void widen(struct cpu *cpu, const struct insn *i, fp_op *fn)
{
    unsigned n = insn_vl(i);
    union vec b, d;
    vec_check(cpu, i);
    b = n == 32 ? vec_w(cpu, i, 16, false) : vec_w(cpu, i, 8, false);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &b, &b, n);
    vecfp_commit(cpu, &e);
    if (n == 32) {
        vec_set(cpu, i->reg, &d, 32);
    } else {
        vec_put(cpu, i, &d);
    }
}

/* wide: the source. What the result does not fill of its 16 bytes is zero. */
static ALWAYS_INLINE void narrow(struct cpu *cpu, const struct insn *i, fp_op *fn)
{
    unsigned n = insn_vl(i);
    union vec b, d;
    vec_check(cpu, i);
    b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, !(i->pfx & PFX_VEX));
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    d.q[1] = 0;
    fn(&e, &d, &b, &b, n);
    vecfp_commit(cpu, &e);
    vec_put(cpu, i, &d);
}

// clang-format off
FSEM_PACKED2(cvtdq2ps) FSEM_PACKED2(cvtps2dq) FSEM_PACKED2(cvttps2dq)
SEM(cvtdq2pd)  { widen(cpu, i, cvtdq2pd_op); }
SEM(cvtps2pd)  { widen(cpu, i, cvtps2pd_op); }
SEM(vcvtph2ps) { widen(cpu, i, cvtph2ps_op); }
SEM(cvtpd2dq)  { narrow(cpu, i, cvtpd2dq_op); }
SEM(cvttpd2dq) { narrow(cpu, i, cvttpd2dq_op); }
SEM(cvtpd2ps)  { narrow(cpu, i, cvtpd2ps_op); }
// clang-format on

/* F16C. imm8: the rounding; FTZ does not apply to half precision results. */
SEM(vcvtps2ph)
{
    unsigned n = insn_vl(i);
    union vec d;
    avx_check(cpu);
    union vec b = vec_get(cpu, i->reg, 32);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    d.q[0] = d.q[1] = 0;
    for (unsigned k = 0; k < n / 4; k++) {
        d.w[VW(k)] = f32_to_f16(&e, b.d[VD(k)], insn_imm8(i));
    }
    if (fp_env_unmasked(&e)) {
        if (!i->mod3) { /* a fault of the destination comes first */
            mem_probe(cpu, i->seg, insn_la(cpu, i, n / 2, ACC_WRITE), n / 2, ACC_WRITE, cpu->view);
        }
        vecfp_flags(cpu, &e);
    }
    if (i->mod3) {
        vec_set_zx(cpu, i->rm, &d, 16);
    } else if (n == 32) {
        vec_wr(cpu, i, &d, 16, false);
    } else {
        vec_wr(cpu, i, &d, 8, false);
    }
    cpu->s.mxcsr |= e.flags;
}

/* ---- scalar ---- */
SEM(cvtss2sd)
{
    vec_check(cpu, i);
    uint32_t v = (uint32_t)vec_w_scalar(cpu, i, 4);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    uint64_t r = quick32_to_f64(&e, v);
    vecfp_commit(cpu, &e);
    vec_put_scalar(cpu, i, r, 8);
}

SEM(cvtsd2ss)
{
    vec_check(cpu, i);
    uint64_t v = vec_w_scalar(cpu, i, 8);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    uint32_t r = quick64_to_f32(&e, v);
    vecfp_commit(cpu, &e);
    vec_put_scalar(cpu, i, r, 4);
}

static ALWAYS_INLINE void from_int(struct cpu *cpu, const struct insn *i, bool dbl)
{
    unsigned n = insn_y(cpu, i);
    vec_check(cpu, i);
    uint64_t v = i->mod3 ? gpr_get(cpu, i->rm, n) : vec_rd64(cpu, i, n), r;
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    if (dbl) {
        r = n == 8 ? quick64_from_i64(&e, (int64_t)v) : quick64_from_i32((int32_t)v);
    } else {
        r = n == 8 ? f32_from_i64(&e, (int64_t)v) : quick32_from_i32(&e, (int32_t)v);
    }
    vecfp_commit(cpu, &e);
    vec_put_scalar(cpu, i, r, dbl ? 8 : 4);
}

static ALWAYS_INLINE void to_int(struct cpu *cpu, const struct insn *i, bool dbl, bool truncate)
{
    bool wide = insn_y(cpu, i) == 8;
    vec_check(cpu, i);
    uint64_t v = vec_w_scalar(cpu, i, dbl ? 8 : 4);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    uint64_t r;
    if (dbl && truncate) {
        r = wide ? (uint64_t)quick64_trunc_i64(&e, v) : (uint32_t)quick64_trunc_i32(&e, v);
    } else if (dbl) {
        r = wide ? (uint64_t)f64_to_i64(&e, v, false) : (uint32_t)f64_to_i32(&e, v, false);
    } else if (truncate && !wide) {
        r = (uint32_t)quick32_trunc_i32(&e, (uint32_t)v);
    } else {
        r = wide ? (uint64_t)f32_to_i64(&e, (uint32_t)v, truncate)
                 : (uint32_t)f32_to_i32(&e, (uint32_t)v, false);
    }
    vecfp_commit(cpu, &e);
    cpu->s.gpr[i->reg] = r;
}

// clang-format off
SEM(cvtsi2ss)  { from_int(cpu, i, false); }
SEM(cvtsi2sd)  { from_int(cpu, i, true); }
SEM(cvtss2si)  { to_int(cpu, i, false, false); }
SEM(cvttss2si) { to_int(cpu, i, false, true); }
SEM(cvtsd2si)  { to_int(cpu, i, true, false); }
SEM(cvttsd2si) { to_int(cpu, i, true, true); }
// clang-format on

/* ---- MMX operands ----
 * A source in memory leaves the x87 state alone (the SDM says so for CVTPI2PD only; AMD does it for
 * both). The change to MMX state happens even if #XM follows, as on hardware. */
static ALWAYS_INLINE void from_mmx(struct cpu *cpu, const struct insn *i, fp_op *fn, bool dbl)
{
    union vec b, d;
    sse_check(cpu);
    if (i->mod3) {
        mmx_check(cpu);
        mmx_enter(cpu);
    }
    b.q[0] = mmx_q(cpu, i, 8);
    d = vec_get(cpu, i->reg, 16);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &b, &b, dbl ? 16 : 8);
    vecfp_commit(cpu, &e);
    vec_set(cpu, i->reg, &d, 16);
}

static ALWAYS_INLINE void to_mmx(struct cpu *cpu, const struct insn *i, fp_op *fn, bool dbl)
{
    union vec b, d;
    sse_check(cpu);
    mmx_check(cpu);
    b = dbl ? vec_w(cpu, i, 16, true) : vec_w(cpu, i, 8, false);
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    fn(&e, &d, &b, &b, dbl ? 16 : 8);
    mmx_enter(cpu);
    vecfp_commit(cpu, &e);
    mmx_set(cpu, i->reg, d.q[0]);
}

// clang-format off
SEM(cvtpi2ps)  { from_mmx(cpu, i, cvtdq2ps_op, false); }
SEM(cvtpi2pd)  { from_mmx(cpu, i, cvtdq2pd_op, true); }
SEM(cvtps2pi)  { to_mmx(cpu, i, cvtps2dq_op, false); }
SEM(cvttps2pi) { to_mmx(cpu, i, cvttps2dq_op, false); }
SEM(cvtpd2pi)  { to_mmx(cpu, i, cvtpd2dq_op, true); }
SEM(cvttpd2pi) { to_mmx(cpu, i, cvttpd2dq_op, true); }
// clang-format on
