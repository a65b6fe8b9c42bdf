/*
 * The common ground of cpu/fp: unpacked numbers, shifting, rounding, packing. Private to cpu/fp.
 *
 * A finite nonzero number is held as  (-1)^sign * sig * 2^(exp - 63)  with bit 63 of `sig` set,
 * whatever format it came from; `exp` is the unbiased exponent, so 1.0 is {sig 1 << 63, exp 0}.
 * Before rounding, a result is  sig * 2^(exp - 127)  with a 128-bit `sig` whose bit 127 is set;
 * bit 0 is sticky ("jammed"): it is set when anything nonzero was shifted out. All formats
 * need at most 64 bits plus a round bit plus a sticky bit, so 128 bits always suffice.
 *
 * Rounding follows Intel SDM vol. 1, 4.8.4 and 4.9.1: tininess is judged after rounding as if
 * the exponent were unbounded; a masked underflow is reported only when the result is also
 * inexact, an unmasked one whenever it is tiny.
 */
#ifndef CPU_FP_NUM_H
#define CPU_FP_NUM_H

#include <stddef.h>

#include "cpu/fp/fp.h"

__extension__ typedef unsigned __int128 u128;

#define FP_TOP UINT64_C(0x8000000000000000)

enum fp_kind { FP_KIND_ZERO, FP_KIND_FINITE, FP_KIND_INF, FP_KIND_QNAN, FP_KIND_SNAN };

struct fp_num {
    uint64_t sig;  /* FINITE: bit 63 set. NaN: the significand, its quiet bit in bit 62 */
    int32_t exp;   /* FINITE: unbiased */
    uint8_t kind;  /* enum fp_kind */
    bool sign;     /* true = negative */
    bool denormal; /* FINITE, and encoded with a zero exponent field */
};

/* An interchange format: significand bits with the hidden one, exponent range of normals. */
struct fp_format {
    unsigned bits;     /* 11, 24, 53 */
    unsigned exp_bits; /* 5, 8, 11 */
    int32_t emin, emax;
};

static const struct fp_format fp_f16 = {11, 5, -14, 15};
static const struct fp_format fp_f32 = {24, 8, -126, 127};
static const struct fp_format fp_f64 = {53, 11, -1022, 1023};

static inline bool fp_is_nan(struct fp_num a)
{
    return a.kind >= FP_KIND_QNAN;
}

static inline u128 fp_u128(uint64_t hi, uint64_t lo)
{
    return (u128)hi << 64 | lo;
}

static inline uint64_t fp_hi(u128 a)
{
    return (uint64_t)(a >> 64);
}

static inline uint64_t fp_lo(u128 a)
{
    return (uint64_t)a;
}

/* Leading zeros of a nonzero value. */
static inline unsigned fp_clz64(uint64_t a)
{
    return (unsigned)__builtin_clzll(a);
}

static inline unsigned fp_clz128(u128 a)
{
    return fp_hi(a) ? fp_clz64(fp_hi(a)) : 64 + fp_clz64(fp_lo(a));
}

/* Shift right by n, ORing what is lost into bit 0. Any n. */
static inline u128 fp_shift_jam(u128 a, uint32_t n)
{
    if (n == 0) {
        return a;
    }
    if (n > 127) {
        return a != 0;
    }
    return a >> n | ((a << (128 - n)) != 0);
}

/* ---- interchange formats ------------------------------------------------------------------ */

static inline uint64_t fp_pack(const struct fp_format *f, bool sign, uint64_t exp_field,
                               uint64_t fraction)
{
    return (uint64_t)sign << (f->bits - 1 + f->exp_bits) | exp_field << (f->bits - 1) | fraction;
}

static inline uint64_t fp_pack_inf(const struct fp_format *f, bool sign)
{
    return fp_pack(f, sign, (UINT64_C(1) << f->exp_bits) - 1, 0);
}

static inline uint64_t fp_pack_zero(const struct fp_format *f, bool sign)
{
    return fp_pack(f, sign, 0, 0);
}

static inline uint64_t fp_pack_max(const struct fp_format *f, bool sign)
{
    return fp_pack(f, sign, (UINT64_C(1) << f->exp_bits) - 2, (UINT64_C(1) << (f->bits - 1)) - 1);
}

/* The NaN that an invalid operation gives: negative, quiet, no payload. */
static inline uint64_t fp_pack_indefinite(const struct fp_format *f)
{
    return fp_pack(f, true, (UINT64_C(1) << f->exp_bits) - 1, UINT64_C(1) << (f->bits - 2));
}

/* A NaN moved into format f: made quiet, the low payload bits cut off. */
static inline uint64_t fp_pack_nan(const struct fp_format *f, struct fp_num a)
{
    uint64_t fraction = (a.sig | FP_TOP >> 1) << 1 >> (65 - f->bits);
    return fp_pack(f, a.sign, (UINT64_C(1) << f->exp_bits) - 1, fraction);
}

static inline struct fp_num fp_unpack(const struct fp_format *f, uint64_t a)
{
    struct fp_num n = {0};
    uint64_t fraction = a << (65 - f->bits); /* fraction bits from bit 63 down */
    uint32_t field = (uint32_t)(a >> (f->bits - 1)) & ((1u << f->exp_bits) - 1);

    n.sign = a >> (f->bits - 1 + f->exp_bits) & 1;
    if (field == (1u << f->exp_bits) - 1) {
        n.sig = fraction >> 1 | FP_TOP;
        n.kind = fraction == 0 ? FP_KIND_INF : fraction & FP_TOP ? FP_KIND_QNAN : FP_KIND_SNAN;
    } else if (field != 0) {
        n.sig = fraction >> 1 | FP_TOP;
        n.exp = (int32_t)field - f->emax;
        n.kind = FP_KIND_FINITE;
    } else if (fraction != 0) {
        unsigned shift = fp_clz64(fraction);
        n.sig = fraction << shift;
        n.exp = f->emin - 1 - (int32_t)shift;
        n.kind = FP_KIND_FINITE;
        n.denormal = true;
    }
    return n;
}

/* ---- rounding ----------------------------------------------------------------------------- */

struct fp_cut {
    uint64_t sig; /* top-aligned, low 64 - bits bits zero */
    bool carry;   /* rounding carried out of the top: sig is FP_TOP, the exponent goes up by one */
    bool inexact;
    bool up; /* rounded away from zero */
};

/* Round to the top `bits` bits (1 to 64). */
static inline struct fp_cut fp_cut(u128 sig, unsigned bits, unsigned rounding, bool sign)
{
    uint64_t hi = fp_hi(sig), lo = fp_lo(sig);
    uint64_t kept = bits == 64 ? hi : hi >> (64 - bits);
    uint64_t rest = bits == 64 ? lo : hi << bits | (lo != 0); /* bit 63 is the half bit */
    struct fp_cut c = {0};

    c.inexact = rest != 0;
    switch (rounding) {
    case FP_NEAREST:
        c.up = rest > FP_TOP || (rest == FP_TOP && (kept & 1));
        break;
    case FP_DOWN:
        c.up = sign && c.inexact;
        break;
    case FP_UP:
        c.up = !sign && c.inexact;
        break;
    default:
        break;
    }
    kept += c.up;
    c.carry = bits == 64 ? c.up && kept == 0 : kept >> bits & 1;
    c.sig = c.carry ? FP_TOP : bits == 64 ? kept : kept << (64 - bits);
    return c;
}

/* Does an overflow under this rounding give infinity (else the largest finite number)? */
static inline bool fp_overflow_is_inf(unsigned rounding, bool sign)
{
    return rounding == FP_NEAREST || (rounding == FP_DOWN && sign) || (rounding == FP_UP && !sign);
}

/* Out of the normal range: the uncommon half of fp_round_pack. */
uint64_t fp_round_pack_range(struct fp_env *e, const struct fp_format *f, bool sign, int32_t exp,
                             u128 sig, struct fp_cut c);

/*
 * Round  sig * 2^(exp - 127)  (bit 127 set) to format f, raise OE, UE, PE, and pack. When OE or
 * UE is unmasked the value returned is of no use: neither SSE nor an x87 store writes it.
 */
static inline uint64_t fp_round_pack(struct fp_env *e, const struct fp_format *f, bool sign,
                                     int32_t exp, u128 sig)
{
    struct fp_cut c = fp_cut(sig, f->bits, e->rounding, sign);
    int32_t rounded_exp = exp + c.carry;

    if (rounded_exp < f->emin || rounded_exp > f->emax) {
        return fp_round_pack_range(e, f, sign, exp, sig, c);
    }
    if (c.inexact) {
        e->flags |= FP_PE;
    }
    e->roundup = c.up;
    return fp_pack(f, sign, (uint64_t)(rounded_exp + f->emax), c.sig << 1 >> (65 - f->bits));
}

/* Raise DE if any operand was denormal. True when it is unmasked: the operation stops. */
static inline bool fp_raise_denormal(struct fp_env *e, bool denormal)
{
    if (denormal) {
        e->flags |= FP_DE;
    }
    return denormal && !(e->masks & FP_DE);
}

/* Relation of two operands that are not NaNs. */
static inline enum fp_rel fp_num_compare(struct fp_num a, struct fp_num b)
{
    bool a_zero = a.kind == FP_KIND_ZERO, b_zero = b.kind == FP_KIND_ZERO;
    if (a_zero && b_zero) {
        return FP_EQUAL;
    }
    if (a_zero || b_zero || a.sign != b.sign) {
        bool less = a_zero ? !b.sign : a.sign;
        return less ? FP_LESS : FP_GREATER;
    }
    /* Both of one sign: compare magnitudes. */
    int order;
    if (a.kind == FP_KIND_INF || b.kind == FP_KIND_INF) {
        order = (a.kind == FP_KIND_INF) - (b.kind == FP_KIND_INF);
    } else if (a.exp != b.exp) {
        order = a.exp < b.exp ? -1 : 1;
    } else {
        order = (a.sig > b.sig) - (a.sig < b.sig);
    }
    return (enum fp_rel)(a.sign ? -order : order);
}

/* ---- exact arithmetic on finite nonzero numbers -------------------------------------------- */

/* An unrounded result: sig * 2^(exp - 127); sig == 0 is an exact zero, else bit 127 is set. */
struct fp_exact {
    u128 sig;
    int32_t exp;
    bool sign;
};

/* Sum of two such values, jammed. Correct if each has no more than 126 significant bits. */
static inline struct fp_exact fp_exact_add(struct fp_exact a, struct fp_exact b)
{
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        struct fp_exact t = a;
        a = b;
        b = t;
    }
    b.sig = fp_shift_jam(b.sig, (uint32_t)(a.exp - b.exp));
    if (a.sign == b.sign) {
        u128 sum = a.sig + b.sig;
        if (sum < a.sig) {
            sum = sum >> 1 | (sum & 1) | (u128)1 << 127;
            a.exp++;
        }
        a.sig = sum;
    } else {
        a.sig -= b.sig;
        if (a.sig != 0) {
            unsigned shift = fp_clz128(a.sig);
            a.sig <<= shift;
            a.exp -= (int32_t)shift;
        }
    }
    return a;
}

static inline struct fp_exact fp_exact_from(struct fp_num a)
{
    return (struct fp_exact){fp_u128(a.sig, 0), a.exp, a.sign};
}

/* Product: exact. */
static inline struct fp_exact fp_exact_mul(struct fp_num a, struct fp_num b)
{
    struct fp_exact r = {(u128)a.sig * b.sig, a.exp + b.exp + 1, a.sign != b.sign};
    if (!(r.sig >> 127)) {
        r.sig <<= 1;
        r.exp--;
    }
    return r;
}

/* Quotient to 64 or 65 bits, and a sticky bit. */
static inline struct fp_exact fp_exact_div(struct fp_num a, struct fp_num b)
{
    struct fp_exact r = {0, a.exp - b.exp, a.sign != b.sign};
    bool less = a.sig < b.sig;
    u128 dividend = less ? (u128)a.sig << 64 : (u128)a.sig << 63;
    uint64_t quotient = (uint64_t)(dividend / b.sig); /* 2^63 <= quotient < 2^64 */
    uint64_t rest = (uint64_t)dividend - quotient * b.sig;

    /* The next bit is the round bit; what follows is sticky. */
    bool half = rest >> 63 || rest << 1 >= b.sig;
    uint64_t after = half ? (rest << 1) - b.sig : rest;
    r.sig = fp_u128(quotient, (uint64_t)half << 63 | (after != 0));
    r.exp -= less;
    return r;
}

/*
 * |a| as an integer, rounded; a.exp must not exceed 63. *up tells that it was rounded away from
 * zero; a carry out of 64 bits comes back as 0 with *up set.
 */
uint64_t fp_round_to_u64(struct fp_num a, unsigned rounding, bool *inexact, bool *up);

/* Square root of a positive number, to 64 bits, round bit and sticky bit. */
struct fp_exact fp_exact_sqrt(struct fp_num a);

#endif
