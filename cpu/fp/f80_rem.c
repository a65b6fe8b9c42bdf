/*
 * x87 operations on exponents and integer parts: FRNDINT, FSCALE, FXTRACT, FPREM, FPREM1.
 *
 * Precision control does not apply to these (Intel SDM vol. 1, 8.1.5.2); they round to 64 bits,
 * where only a denormal result of FSCALE is ever inexact.
 */
#include "cpu/fp/f80.h"

struct f80 f80_round_to_int(struct fp_env *e, struct f80 abits)
{
    if (f80_is_unsupported(abits)) {
        return f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits);
    bool inexact, up;

    if (fp_is_nan(a)) {
        return f80_nan(e, a, a);
    }
    if (fp_raise_denormal(e, a.denormal)) {
        return F80_ZERO;
    }
    if (a.kind != FP_KIND_FINITE || a.exp >= 63) {
        return abits;
    }
    uint64_t n = fp_round_to_u64(a, e->rounding, &inexact, &up);
    e->flags |= inexact ? FP_PE : 0;
    e->roundup = up;
    if (n == 0) {
        return f80_pack_zero(a.sign);
    }
    unsigned shift = fp_clz64(n);
    return f80_pack(a.sign, F80_EMAX + 63 - shift, n << shift);
}

struct f80 f80_scale(struct fp_env *e, struct f80 abits, struct f80 bbits)
{
    if (f80_is_unsupported(abits) || f80_is_unsupported(bbits)) {
        return f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits), b = f80_unpack(bbits);

    if (fp_is_nan(a) || fp_is_nan(b)) {
        return f80_nan(e, a, b);
    }
    if (b.kind == FP_KIND_INF &&
        ((a.kind == FP_KIND_ZERO && !b.sign) || (a.kind == FP_KIND_INF && b.sign))) {
        return f80_invalid(e);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal)) {
        return F80_ZERO;
    }
    if (a.kind != FP_KIND_FINITE) {
        return abits;
    }
    if (b.kind == FP_KIND_INF) {
        return b.sign ? f80_pack_zero(a.sign) : f80_pack_inf(a.sign);
    }
    /* Truncated toward zero, and kept within what leaves no doubt. */
    int32_t n = 0;
    if (b.kind == FP_KIND_FINITE && b.exp >= 0) {
        n = b.exp > 16 ? 0x20000 : (int32_t)(b.sig >> (63 - b.exp));
    }
    return f80_round_pack(e, 64, a.sign, a.exp + (b.sign ? -n : n), fp_u128(a.sig, 0));
}

struct f80 f80_extract(struct fp_env *e, struct f80 abits, struct f80 *exponent)
{
    if (f80_is_unsupported(abits)) {
        return *exponent = f80_invalid(e);
    }
    struct fp_num a = f80_unpack(abits);

    if (fp_is_nan(a)) {
        return *exponent = f80_nan(e, a, a);
    }
    if (a.kind == FP_KIND_ZERO) {
        e->flags |= FP_ZE;
        *exponent = f80_pack_inf(true);
        return abits;
    }
    if (a.kind == FP_KIND_INF) {
        *exponent = f80_pack_inf(false);
        return abits;
    }
    fp_raise_denormal(e, a.denormal);
    *exponent = f80_from_i32(a.exp);
    return f80_pack(a.sign, F80_EMAX, a.sig);
}

/* What FPREM and FPREM1 do with operands that need no division; true when that is all. */
static bool rem_special(struct fp_env *e, struct f80 abits, struct f80 bbits, struct f80_rem *r)
{
    if (f80_is_unsupported(abits) || f80_is_unsupported(bbits)) {
        r->value = f80_invalid(e);
        return true;
    }
    struct fp_num a = f80_unpack(abits), b = f80_unpack(bbits);

    if (fp_is_nan(a) || fp_is_nan(b)) {
        r->value = f80_nan(e, a, b);
        return true;
    }
    if (a.kind == FP_KIND_INF || b.kind == FP_KIND_ZERO) {
        r->value = f80_invalid(e);
        return true;
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal)) {
        r->value = F80_ZERO;
        return true;
    }
    if (a.kind == FP_KIND_ZERO) {
        r->value = abits;
        return true;
    }
    if (b.kind == FP_KIND_INF) {
        r->value = f80_round_pack(e, 64, a.sign, a.exp, fp_u128(a.sig, 0));
        return true;
    }
    return false;
}

/* sign * m * 2^(exp - 63), which has at most 64 significant bits. */
static struct f80 rem_pack(struct fp_env *e, bool sign, uint64_t m, int32_t exp)
{
    if (m == 0) {
        return f80_pack_zero(sign);
    }
    unsigned shift = fp_clz64(m);
    return f80_round_pack(e, 64, sign, exp - (int32_t)shift, fp_u128(m << shift, 0));
}

/*
 * One step of both. An exponent difference of 64 and more is cut down by 32 to 63, so that a
 * multiple of 32 remains, and C2 asks for another go (Intel SDM vol. 2, FPREM).
 */
static struct f80_rem rem(struct fp_env *e, struct f80 abits, struct f80 bbits, bool nearest)
{
    struct f80_rem r = {.value = F80_ZERO};

    if (rem_special(e, abits, bbits, &r)) {
        return r;
    }
    struct fp_num a = f80_unpack(abits), b = f80_unpack(bbits);
    int32_t difference = a.exp - b.exp;

    if (difference >= 64) {
        int32_t step = 32 + difference % 32;
        uint64_t m = (uint64_t)(((u128)a.sig << step) % b.sig);
        r.partial = true;
        r.value = rem_pack(e, a.sign, m, b.exp + difference - step);
        return r;
    }
    if (difference < 0) {
        /* |a| < |b|. Only FPREM1 with half of |b| < |a| does anything. */
        if (nearest && difference == -1 && a.sig > b.sig) {
            uint64_t m = b.sig - (a.sig - b.sig); /* 2b - a, in units of a */
            r.quotient = 1;
            r.value = rem_pack(e, !a.sign, m, a.exp);
        } else {
            r.value = rem_pack(e, a.sign, a.sig, a.exp);
        }
        return r;
    }
    u128 dividend = (u128)a.sig << difference;
    u128 quotient = dividend / b.sig;
    uint64_t m = (uint64_t)(dividend - quotient * b.sig);
    bool sign = a.sign;

    if (nearest && (m > b.sig - m || (m == b.sig - m && (quotient & 1)))) {
        m = b.sig - m;
        sign = !sign;
        quotient++;
    }
    r.quotient = quotient & 7;
    r.value = rem_pack(e, m == 0 ? a.sign : sign, m, b.exp);
    return r;
}

struct f80_rem f80_prem(struct fp_env *e, struct f80 a, struct f80 b)
{
    return rem(e, a, b, false);
}

struct f80_rem f80_prem1(struct fp_env *e, struct f80 a, struct f80 b)
{
    return rem(e, a, b, true);
}
