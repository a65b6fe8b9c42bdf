/*
 * The less travelled parts of num.h: results outside the normal range, and the square root.
 */
#include "cpu/fp/num.h"

/*
 * Overflow and underflow of the interchange formats. `c` is `sig` rounded as if the exponent were
 * unbounded; it decides tininess.
 */
uint64_t fp_round_pack_range(struct fp_env *e, const struct fp_format *f, bool sign, int32_t exp,
                             u128 sig, struct fp_cut c)
{
    if (exp + c.carry > f->emax) {
        e->flags |= FP_OE;
        if (!(e->masks & FP_OE)) {
            e->flags |= c.inexact ? FP_PE : 0;
            e->roundup = c.up;
            return fp_pack_inf(f, sign);
        }
        e->flags |= FP_PE;
        e->roundup = fp_overflow_is_inf(e->rounding, sign);
        return e->roundup ? fp_pack_inf(f, sign) : fp_pack_max(f, sign);
    }
    if (!(e->masks & FP_UE)) {
        e->flags |= FP_UE | (c.inexact ? FP_PE : 0);
        e->roundup = c.up;
        return fp_pack_zero(f, sign);
    }
    if (e->ftz) {
        e->flags |= FP_UE | FP_PE;
        e->roundup = false;
        return fp_pack_zero(f, sign);
    }
    sig = fp_shift_jam(sig, (uint32_t)(f->emin - exp));
    c = fp_cut(sig, f->bits, e->rounding, sign);
    if (c.inexact) {
        e->flags |= FP_UE | FP_PE;
    }
    e->roundup = c.up;
    /* A carry into bit 63 is the smallest normal number: exponent field 1. */
    return fp_pack(f, sign, c.sig >> 63, c.sig << 1 >> (65 - f->bits));
}

uint64_t fp_round_to_u64(struct fp_num a, unsigned rounding, bool *inexact, bool *up)
{
    *inexact = *up = false;
    if (a.kind == FP_KIND_ZERO) {
        return 0;
    }
    u128 fixed = fp_u128(a.sig, 0); /* binary point between the halves after the shift */
    fixed = fp_shift_jam(fixed, (uint32_t)(63 - a.exp));
    struct fp_cut c = fp_cut(fixed, 64, rounding, a.sign);
    *inexact = c.inexact;
    *up = c.up;
    return c.carry ? 0 : c.sig;
}

/* Floor of the square root of n, which has bit 31 or bit 30 set. */
static uint32_t sqrt32(uint32_t n, uint32_t *rest)
{
    uint32_t root = 0, bit = UINT32_C(1) << 30;

    while (bit != 0) {
        if (n >= root + bit) {
            n -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    *rest = n;
    return root;
}

/*
 * Zimmermann's "Karatsuba square root" (INRIA RR-3805), from 32 to 64 bits: with the root of the
 * upper half s' and its remainder r', the next digit is (r' * B + a1) / 2s', corrected once.
 */
static uint64_t sqrt64(uint64_t n, uint64_t *rest)
{
    uint32_t r32;
    uint64_t s = sqrt32((uint32_t)(n >> 32), &r32);
    uint64_t num = (uint64_t)r32 << 16 | (n >> 16 & 0xffff);
    uint64_t q = num / (2 * s), u = num % (2 * s);
    uint64_t root = (s << 16) + q;
    uint64_t low = u << 16 | (n & 0xffff);

    if (low < q * q) {
        low += 2 * root - 1;
        root--;
    }
    *rest = low - q * q;
    return root;
}

struct fp_exact fp_exact_sqrt(struct fp_num a)
{
    /* sqrt(sig * 2^(exp-63)): make the exponent even, then n = sig << 63 or << 64, of which the
     * root has exactly 64 bits. */
    bool odd = a.exp & 1;
    struct fp_exact r = {0, (a.exp - odd) / 2, false};
    u128 n = (u128)a.sig << (odd ? 64 : 63);
    uint64_t rest;
    uint64_t s = sqrt64(fp_hi(n), &rest);
    /* One more step of the same, from 64 to 128 bits. rest <= 2s, so num may have 65 bits. */
    u128 num = (u128)rest << 32 | (fp_lo(n) >> 32);
    uint64_t q = (uint64_t)(num / (2 * s)), u = (uint64_t)(num % (2 * s));
    u128 root = ((u128)s << 32) + q;
    u128 low = (u128)u << 32 | (fp_lo(n) & 0xffffffff);
    u128 square = (u128)q * q;

    if (low < square) {
        low += 2 * root - 1;
        root--;
    }
    low -= square;
    /* n = root^2 + low. The round bit is set when low > root: (root + 1/2)^2 is never met. */
    bool half = low > root;
    r.sig = fp_u128((uint64_t)root, (uint64_t)half << 63 | (low != 0));
    return r;
}
