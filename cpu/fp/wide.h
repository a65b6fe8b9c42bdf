/*
 * Arithmetic with 128-bit significands, for the transcendental functions. Private to cpu/fp.
 *
 * Values are struct fp_exact (sig * 2^(exp - 127), bit 127 set). Products and quotients are cut,
 * not rounded, so each has a relative error below 2^-126; a function that needs some ten steps
 * stays far below the 2^-64 of its result's last place.
 *
 * Series are evaluated in fixed point, "q127": an unsigned number below 2 with 127 fraction bits.
 */
#ifndef CPU_FP_WIDE_H
#define CPU_FP_WIDE_H

#include "cpu/fp/f80.h"

#define Q127_ONE ((u128)1 << 127)

/* The upper 128 of the 256 bits of a product. */
static inline u128 wide_mulhi(u128 a, u128 b)
{
    u128 hh = (u128)fp_hi(a) * fp_hi(b), ll = (u128)fp_lo(a) * fp_lo(b);
    u128 hl = (u128)fp_hi(a) * fp_lo(b), lh = (u128)fp_lo(a) * fp_hi(b);
    u128 middle = (u128)fp_lo(hl) + fp_lo(lh) + fp_hi(ll);
    return hh + fp_hi(hl) + fp_hi(lh) + fp_hi(middle);
}

/* Product of two q127 numbers whose product is below 2. */
static inline u128 q127_mul(u128 a, u128 b)
{
    return wide_mulhi(a, b) << 1;
}

static inline struct fp_exact wide_mul(struct fp_exact a, struct fp_exact b)
{
    struct fp_exact r = {wide_mulhi(a.sig, b.sig), a.exp + b.exp + 1, a.sign != b.sign};
    if (!(r.sig >> 127)) {
        r.sig <<= 1;
        r.exp--;
    }
    return r;
}

/* Bring the top bit of sig (not 0) to bit 127. */
static inline struct fp_exact wide_normalize(u128 sig, int32_t exp, bool sign)
{
    unsigned shift = fp_clz128(sig);
    return (struct fp_exact){sig << shift, exp - (int32_t)shift, sign};
}

/* |a| < 2 as q127. */
static inline u128 wide_to_q127(struct fp_exact a)
{
    return a.exp <= -128 ? 0 : a.sig >> -a.exp;
}

struct fp_exact wide_div(struct fp_exact a, struct fp_exact b);

/* Round a result that is known to be inexact: the exact value is irrational. */
static inline struct f80 wide_pack_inexact(struct fp_env *e, struct fp_exact a)
{
    return f80_round_pack(e, 64, a.sign, a.exp, a.sig | 1);
}

#endif
