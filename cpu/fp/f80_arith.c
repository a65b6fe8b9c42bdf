/*
 * x87 arithmetic: add, subtract, multiply, divide, square root, comparison, and the rounding that
 * all x87 results share.
 *
 * Conditions are tested in the order of Intel SDM vol. 1, 4.9.2: unsupported encodings and SNaNs,
 * QNaNs, other invalid operations, division by zero, denormal operands, and then the result.
 * Precision control cuts the significand only; the exponent range stays that of the 80-bit format,
 * and a denormal result is cut at the same bit position as a normal one (8.1.5.2).
 */
#include "cpu/fp/f80.h"

struct f80 f80_nan(struct fp_env *e, struct fp_num a, struct fp_num b)
{
    if (a.kind == FP_KIND_SNAN || b.kind == FP_KIND_SNAN) {
        e->flags |= FP_IE;
    }
    if (!fp_is_nan(a)) {
        return f80_pack_nan(b);
    }
    if (!fp_is_nan(b)) {
        return f80_pack_nan(a);
    }
    if (a.kind != b.kind) {
        return f80_pack_nan(a.kind == FP_KIND_QNAN ? a : b);
    }
    if (a.sig != b.sig) {
        return f80_pack_nan(a.sig > b.sig ? a : b);
    }
    return f80_pack_nan(a.sign ? b : a);
}

static struct f80 overflow(struct fp_env *e, unsigned precision, bool sign, int32_t exp,
                           struct fp_cut c)
{
    e->flags |= FP_OE;
    if (!(e->masks & FP_OE)) {
        e->flags |= c.inexact ? FP_PE : 0;
        e->roundup = c.up;
        exp -= F80_BIAS_ADJUST;
        if (exp > F80_EMAX) { /* FSCALE can be further out than the bias reaches */
            e->flags |= FP_PE;
            e->roundup = true;
            return f80_pack_inf(sign);
        }
        return f80_pack(sign, (uint32_t)(exp + F80_EMAX), c.sig);
    }
    e->flags |= FP_PE;
    e->roundup = fp_overflow_is_inf(e->rounding, sign);
    if (e->roundup) {
        return f80_pack_inf(sign);
    }
    return f80_pack(sign, 0x7ffe, UINT64_MAX << (64 - precision));
}

struct f80 f80_round_pack(struct fp_env *e, unsigned precision, bool sign, int32_t exp, u128 sig)
{
    struct fp_cut c = fp_cut(sig, precision, e->rounding, sign);
    int32_t rounded_exp = exp + c.carry;

    if (rounded_exp > F80_EMAX) {
        return overflow(e, precision, sign, rounded_exp, c);
    }
    if (rounded_exp >= F80_EMIN) {
        e->flags |= c.inexact ? FP_PE : 0;
        e->roundup = c.up;
        return f80_pack(sign, (uint32_t)(rounded_exp + F80_EMAX), c.sig);
    }
    if (!(e->masks & FP_UE)) {
        e->flags |= FP_UE | (c.inexact ? FP_PE : 0);
        e->roundup = c.up;
        rounded_exp += F80_BIAS_ADJUST;
        if (rounded_exp < F80_EMIN) {
            e->flags |= FP_PE;
            e->roundup = false;
            return f80_pack_zero(sign);
        }
        return f80_pack(sign, (uint32_t)(rounded_exp + F80_EMAX), c.sig);
    }
    sig = fp_shift_jam(sig, (uint32_t)(F80_EMIN - exp));
    c = fp_cut(sig, precision, e->rounding, sign);
    e->flags |= c.inexact ? FP_UE | FP_PE : 0;
    e->roundup = c.up;
    return f80_pack(sign, (uint32_t)(c.sig >> 63), c.sig);
}

static inline struct f80 round_exact(struct fp_env *e, struct fp_exact r)
{
    if (r.sig == 0) { /* exact cancellation */
        return f80_pack_zero(e->rounding == FP_DOWN);
    }
    if (r.exp < F80_EMIN || r.exp >= F80_EMAX) {
        return f80_round_pack(e, e->precision, r.sign, r.exp, r.sig);
    }
    struct fp_cut c = fp_cut(r.sig, e->precision, e->rounding, r.sign);
    e->flags |= c.inexact ? FP_PE : 0;
    e->roundup = c.up;
    return f80_pack(r.sign, (uint32_t)(r.exp + c.carry + F80_EMAX), c.sig);
}

static inline struct f80 add(struct fp_env *e, struct f80 abits, struct f80 bbits, bool subtract)
{
    if (f80_is_normal(abits) && f80_is_normal(bbits) && !e->denormal) {
        struct fp_exact x = f80_exact(abits), y = f80_exact(bbits);
        y.sign ^= subtract;
        return round_exact(e, fp_exact_add(x, y));
    }
    if (f80_is_unsupported(abits) || f80_is_unsupported(bbits)) {
        return f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits), b = f80_unpack(bbits);

    if (fp_is_nan(a) || fp_is_nan(b)) {
        return f80_nan(e, a, b);
    }
    b.sign ^= subtract;
    if (a.kind == FP_KIND_INF && b.kind == FP_KIND_INF && a.sign != b.sign) {
        return f80_invalid(e);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal || e->denormal)) {
        return F80_ZERO;
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_FINITE) {
        return round_exact(e, fp_exact_add(fp_exact_from(a), fp_exact_from(b)));
    }
    if (a.kind == FP_KIND_INF || b.kind == FP_KIND_INF) {
        return f80_pack_inf(a.kind == FP_KIND_INF ? a.sign : b.sign);
    }
    if (a.kind == FP_KIND_ZERO && b.kind == FP_KIND_ZERO) {
        return f80_pack_zero(a.sign == b.sign ? a.sign : e->rounding == FP_DOWN);
    }
    return round_exact(e, fp_exact_from(a.kind == FP_KIND_ZERO ? b : a));
}

struct f80 f80_add(struct fp_env *e, struct f80 a, struct f80 b)
{
    return add(e, a, b, false);
}

struct f80 f80_sub(struct fp_env *e, struct f80 a, struct f80 b)
{
    return add(e, a, b, true);
}

struct f80 f80_mul(struct fp_env *e, struct f80 abits, struct f80 bbits)
{
    if (f80_is_normal(abits) && f80_is_normal(bbits) && !e->denormal) {
        return round_exact(e, fp_exact_mul(f80_unpack(abits), f80_unpack(bbits)));
    }
    if (f80_is_unsupported(abits) || f80_is_unsupported(bbits)) {
        return f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits), b = f80_unpack(bbits);
    bool sign = a.sign != b.sign;

    if (fp_is_nan(a) || fp_is_nan(b)) {
        return f80_nan(e, a, b);
    }
    if ((a.kind == FP_KIND_INF && b.kind == FP_KIND_ZERO) ||
        (a.kind == FP_KIND_ZERO && b.kind == FP_KIND_INF)) {
        return f80_invalid(e);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal || e->denormal)) {
        return F80_ZERO;
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_FINITE) {
        return round_exact(e, fp_exact_mul(a, b));
    }
    return a.kind == FP_KIND_INF || b.kind == FP_KIND_INF ? f80_pack_inf(sign)
                                                          : f80_pack_zero(sign);
}

struct f80 f80_div(struct fp_env *e, struct f80 abits, struct f80 bbits)
{
    if (f80_is_unsupported(abits) || f80_is_unsupported(bbits)) {
        return f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits), b = f80_unpack(bbits);
    bool sign = a.sign != b.sign;

    if (fp_is_nan(a) || fp_is_nan(b)) {
        return f80_nan(e, a, b);
    }
    if (a.kind == b.kind && a.kind != FP_KIND_FINITE) { /* 0/0, inf/inf */
        return f80_invalid(e);
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_ZERO) {
        e->flags |= FP_ZE;
        return f80_pack_inf(sign);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal || e->denormal)) {
        return F80_ZERO;
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_FINITE) {
        return round_exact(e, fp_exact_div(a, b));
    }
    return a.kind == FP_KIND_INF || b.kind == FP_KIND_ZERO ? f80_pack_inf(sign)
                                                           : f80_pack_zero(sign);
}

struct f80 f80_sqrt(struct fp_env *e, struct f80 abits)
{
    if (f80_is_unsupported(abits)) {
        return f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits);

    if (fp_is_nan(a)) {
        return f80_nan(e, a, a);
    }
    if (a.kind == FP_KIND_ZERO) {
        return abits;
    }
    if (a.sign) {
        return f80_invalid(e);
    }
    if (fp_raise_denormal(e, a.denormal)) {
        return F80_ZERO;
    }
    if (a.kind == FP_KIND_INF) {
        return abits;
    }
    return round_exact(e, fp_exact_sqrt(a));
}

enum fp_rel f80_compare(struct fp_env *e, struct f80 abits, struct f80 bbits, bool signal_qnan)
{
    if (f80_is_unsupported(abits) || f80_is_unsupported(bbits)) {
        e->flags |= FP_IE;
        return FP_UNORDERED;
    }
    struct fp_num a = f80_unpack(abits), b = f80_unpack(bbits);

    if (fp_is_nan(a) || fp_is_nan(b)) {
        if (signal_qnan || a.kind == FP_KIND_SNAN || b.kind == FP_KIND_SNAN) {
            e->flags |= FP_IE;
        }
        return FP_UNORDERED;
    }
    fp_raise_denormal(e, a.denormal || b.denormal || e->denormal);
    return fp_num_compare(a, b);
}
