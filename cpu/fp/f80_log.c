/*
 * F2XM1, FYL2X, FYL2XP1.
 *
 * 2^x - 1 = t * S(t) with t = x ln 2 and S(t) = 1 + t/2! + t^2/3! + ...; log2(m) by the series of
 * 2 atanh(z) / ln 2 with z = (m - 1) / (m + 1) and m in [sqrt(1/2), sqrt(2)]. Both keep their full
 * relative precision near zero, since what is small is a factor, never a difference.
 *
 * Special operands: Intel SDM vol. 2, tables 3-16 (F2XM1), 3-58 (FYL2X), 3-59 (FYL2XP1). Where
 * the manual leaves the result undefined, ours is: F2XM1 outside [-1, 1] returns its operand
 * unchanged, but -infinity gives -1; FYL2XP1 below -1 is invalid, at -1 as FYL2X at 0, and
 * correct everywhere else.
 */
#include "cpu/fp/wide.h"

static const struct fp_exact ln2 = {
    (u128)UINT64_C(0xb17217f7d1cf79ab) << 64 | UINT64_C(0xc9e3b39803f2f6af), -1, false};
static const struct fp_exact log2e = {
    (u128)UINT64_C(0xb8aa3b295c17f0bb) << 64 | UINT64_C(0xbe87fed0691d3e88), 0, false};

/* (e^t - 1) / t for |t| < 0.7. */
static u128 expm1_factor(struct fp_exact t)
{
    u128 q = wide_to_q127(t), s = Q127_ONE;

    for (unsigned n = 21; n >= 2; n--) {
        u128 term = q127_mul(q, s) / n;
        s = t.sign ? Q127_ONE - term : Q127_ONE + term;
    }
    return s;
}

struct f80 f80_f2xm1(struct fp_env *e, struct f80 abits)
{
    if (f80_is_unsupported(abits)) {
        return f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits);

    if (fp_is_nan(a)) {
        return f80_nan(e, a, a);
    }
    if (a.kind == FP_KIND_INF) {
        return a.sign ? f80_negate(F80_ONE) : abits;
    }
    if (a.kind == FP_KIND_ZERO || fp_raise_denormal(e, a.denormal)) {
        return abits;
    }
    if (a.exp >= 0) {
        bool minus_one = a.sign && a.exp == 0 && a.sig == FP_TOP;
        return minus_one ? (struct f80){FP_TOP, 0xbffe} : abits; /* 2^1 - 1 = 1, too */
    }
    struct fp_exact t = wide_mul(fp_exact_from(a), ln2);
    struct fp_exact s = wide_normalize(expm1_factor(t), 0, false);
    return wide_pack_inexact(e, wide_mul(t, s));
}

/* atanh(z) / z for |z| <= 0.1716, z as q127. */
static u128 atanh_factor(u128 z)
{
    u128 z2 = q127_mul(z, z), s = Q127_ONE / 33;

    for (unsigned n = 33; n > 1;) {
        n -= 2;
        s = Q127_ONE / n + q127_mul(z2, s);
    }
    return s;
}

/* log2((1 + z) / (1 - z)), z not 0. */
static struct fp_exact log2_of_ratio(struct fp_exact z)
{
    struct fp_exact s = wide_normalize(atanh_factor(wide_to_q127(z)), 0, false);
    struct fp_exact r = wide_mul(wide_mul(z, s), log2e);
    r.exp++;
    return r;
}

/* log2 of a positive number. *exact: it is an integer. sig == 0 means 0. */
static struct fp_exact wide_log2(struct fp_exact x, bool *exact)
{
    /* sqrt(2) to 64 bits is near enough to choose the side. */
    bool above = fp_hi(x.sig) > UINT64_C(0xb504f333f9de6484);
    int32_t k = x.exp + above;
    struct fp_exact r = {0, 0, false};

    *exact = x.sig == Q127_ONE;
    if (k != 0) {
        r = wide_normalize((u128)(uint32_t)(k < 0 ? -k : k), 127, k < 0);
    }
    if (*exact) {
        return r;
    }
    /* m = sig / 2^127 or sig / 2^128; z = (m - 1) / (m + 1) */
    struct fp_exact num =
        above ? wide_normalize(0 - x.sig, -1, true) : wide_normalize(x.sig - Q127_ONE, 0, false);
    struct fp_exact den = {(x.sig >> 1) + (above ? Q127_ONE : Q127_ONE >> 1), above ? 0 : 1, false};
    struct fp_exact f = log2_of_ratio(wide_div(num, den));
    return k != 0 ? fp_exact_add(r, f) : f;
}

/* y * log, where log is a finite nonzero number. */
static struct f80 times_log(struct fp_env *e, struct fp_num y, struct fp_exact log, bool exact)
{
    struct fp_exact r = wide_mul(fp_exact_from(y), log);
    return f80_round_pack(e, 64, r.sign, r.exp, exact ? r.sig : r.sig | 1);
}

/* y * log2(x) for x = 0 (log is -infinity): y is no NaN. */
static struct f80 times_log_of_zero(struct fp_env *e, struct fp_num y)
{
    if (y.kind == FP_KIND_ZERO) {
        return f80_invalid(e);
    }
    if (y.kind == FP_KIND_FINITE) {
        e->flags |= FP_ZE;
    }
    return f80_pack_inf(!y.sign);
}

struct f80 f80_yl2x(struct fp_env *e, struct f80 xbits, struct f80 ybits)
{
    if (f80_is_unsupported(xbits) || f80_is_unsupported(ybits)) {
        return f80_invalid(e);
    }
    struct fp_num x = f80_unpack(xbits), y = f80_unpack(ybits);
    bool exact, one = x.kind == FP_KIND_FINITE && x.exp == 0 && x.sig == FP_TOP;

    if (fp_is_nan(x) || fp_is_nan(y)) {
        return f80_nan(e, x, y);
    }
    if (x.kind == FP_KIND_ZERO) {
        return times_log_of_zero(e, y);
    }
    if (x.sign || (one && y.kind == FP_KIND_INF) ||
        (x.kind == FP_KIND_INF && y.kind == FP_KIND_ZERO)) {
        return f80_invalid(e);
    }
    if (fp_raise_denormal(e, x.denormal || y.denormal)) {
        return F80_ZERO;
    }
    if (x.kind == FP_KIND_INF) {
        return f80_pack_inf(y.sign);
    }
    bool log_negative = x.exp < 0;
    if (y.kind == FP_KIND_INF) {
        return f80_pack_inf(y.sign != log_negative);
    }
    if (y.kind == FP_KIND_ZERO || one) {
        return f80_pack_zero(y.sign != log_negative);
    }
    struct fp_exact log = wide_log2(fp_exact_from(x), &exact);
    return times_log(e, y, log, exact);
}

/* log2(1 + x) for finite x > -1, not 0. */
static struct fp_exact wide_log2_1p(struct fp_num x, bool *exact)
{
    struct fp_exact n = fp_exact_from(x), one = {Q127_ONE, 0, false}, two = {Q127_ONE, 1, false};

    if (x.exp >= -2) {
        return wide_log2(fp_exact_add(one, n), exact);
    }
    *exact = false;
    return log2_of_ratio(wide_div(n, fp_exact_add(two, n))); /* x / (2 + x) */
}

struct f80 f80_yl2xp1(struct fp_env *e, struct f80 xbits, struct f80 ybits)
{
    if (f80_is_unsupported(xbits) || f80_is_unsupported(ybits)) {
        return f80_invalid(e);
    }
    struct fp_num x = f80_unpack(xbits), y = f80_unpack(ybits);
    bool exact;

    if (fp_is_nan(x) || fp_is_nan(y)) {
        return f80_nan(e, x, y);
    }
    if ((x.kind == FP_KIND_ZERO && y.kind == FP_KIND_INF) ||
        (x.kind == FP_KIND_INF && (x.sign || y.kind == FP_KIND_ZERO)) ||
        (x.kind == FP_KIND_FINITE && x.sign && x.exp >= 0 && (x.exp > 0 || x.sig != FP_TOP))) {
        return f80_invalid(e);
    }
    if (fp_raise_denormal(e, x.denormal || y.denormal)) {
        return F80_ZERO;
    }
    if (x.kind == FP_KIND_FINITE && x.sign && x.exp == 0) {
        return times_log_of_zero(e, y);
    }
    if (x.kind == FP_KIND_INF || y.kind == FP_KIND_INF) {
        return f80_pack_inf(x.sign != y.sign);
    }
    if (x.kind == FP_KIND_ZERO || y.kind == FP_KIND_ZERO) {
        return f80_pack_zero(x.sign != y.sign);
    }
    struct fp_exact log = wide_log2_1p(x, &exact);
    return times_log(e, y, log, exact);
}
