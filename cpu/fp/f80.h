/*
 * What the x87 operations share: unpacking, NaN choice, rounding and packing of the 80-bit format.
 * Private to cpu/fp.
 */
#ifndef CPU_FP_F80_H
#define CPU_FP_F80_H

#include "cpu/fp/num.h"

#define F80_EMAX 16383
#define F80_EMIN (-16382)
/* Unmasked overflow and underflow give a result whose exponent is moved by this, back into range
 * (Intel SDM vol. 1, 8.5.4 and 8.5.5). */
#define F80_BIAS_ADJUST 24576

/* Neither zero, denormal, infinity, NaN nor unsupported. */
static inline bool f80_is_normal(struct f80 a)
{
    return (a.se & 0x7fffu) - 1 < 0x7ffe && a.m >> 63;
}

static inline struct fp_exact f80_exact(struct f80 a)
{
    return (struct fp_exact){fp_u128(a.m, 0), (int32_t)(a.se & 0x7fff) - F80_EMAX,
                             (a.se & 0x8000) != 0};
}

/* A supported encoding; see f80_is_unsupported(). Pseudo-denormals are denormals. */
static inline struct fp_num f80_unpack(struct f80 a)
{
    struct fp_num n = {.sig = a.m, .sign = (a.se & 0x8000) != 0};
    unsigned field = a.se & 0x7fff;

    if (field == 0x7fff) {
        n.kind = a.m << 1 == 0 ? FP_KIND_INF : a.m << 1 >> 63 ? FP_KIND_QNAN : FP_KIND_SNAN;
    } else if (a.m != 0) {
        unsigned shift = fp_clz64(a.m); /* 0 unless denormal */
        n.sig = a.m << shift;
        n.exp = (field != 0 ? (int32_t)field - F80_EMAX : F80_EMIN) - (int32_t)shift;
        n.kind = FP_KIND_FINITE;
        n.denormal = field == 0;
    }
    return n;
}

static inline struct f80 f80_pack(bool sign, uint32_t field, uint64_t m)
{
    return (struct f80){m, (uint16_t)((unsigned)sign << 15 | field)};
}

static inline struct f80 f80_pack_zero(bool sign)
{
    return f80_pack(sign, 0, 0);
}

static inline struct f80 f80_pack_inf(bool sign)
{
    return f80_pack(sign, 0x7fff, FP_TOP);
}

static inline struct f80 f80_pack_nan(struct fp_num a)
{
    return f80_pack(a.sign, 0x7fff, a.sig | FP_TOP | FP_TOP >> 1);
}

static inline struct f80 f80_invalid(struct fp_env *e)
{
    e->flags |= FP_IE;
    return F80_INDEFINITE;
}

/* A normal number that needs no rounding. */
static inline struct f80 f80_pack_num(struct fp_num a)
{
    return f80_pack(a.sign, (uint32_t)(a.exp + F80_EMAX), a.sig);
}

/*
 * The result of an operation with at least one NaN operand; pass one operand twice if it has but
 * one (Intel SDM vol. 1, table 4-7): a QNaN wins over an SNaN, of two of a kind the one with
 * the larger significand, of two equal ones the positive.
 */
struct f80 f80_nan(struct fp_env *e, struct fp_num a, struct fp_num b);

/*
 * Round  sig * 2^(exp - 127)  (bit 127 set) to `precision` bits, raise OE, UE, PE, and pack.
 * Unmasked OE and UE give the biased result.
 */
struct f80 f80_round_pack(struct fp_env *e, unsigned precision, bool sign, int32_t exp, u128 sig);

#endif
