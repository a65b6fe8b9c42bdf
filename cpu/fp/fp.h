/*
 * Bit-exact x86 floating point on integers.
 *
 * Every function here is pure: it depends on its arguments and on the `struct fp_env` passed
 * first, and changes nothing but that environment's `flags` (which only accumulates) and
 * `roundup`. No host floating point is used, so results are the same on every host.
 *
 * Two families share the environment:
 *   f16_/f32_/f64_   SSE, AVX, FMA and F16C semantics (MXCSR rounding, FTZ, DAZ; SSE NaN rules)
 *   f80_             x87 semantics (precision control, larger-significand NaN rule, unsupported
 *                    encodings, biased results on unmasked overflow and underflow)
 *
 * Masked and unmasked exceptions. A function always returns a value. When an exception in
 * `flags` is unmasked (bit clear in `masks`), the caller decides whether that value is stored:
 *   SSE: never stored; see fp_sse_flags() for what then reaches MXCSR.
 *   x87: IE, DE, ZE unmasked: not stored (but FLD m32 and m64 load despite DE). OE, UE
 *        unmasked: stored when the destination is a register (the value is then the biased one),
 *        not stored when it is memory. PE: stored.
 * An unmasked IE, DE or ZE keeps the later OE, UE, PE of the same operation from being raised.
 *
 * Sources: Intel SDM vol. 1 chapters 4.8, 4.9, 8 (x87), 11.5 (SSE), 14.4-14.5 (F16C, FMA),
 * appendix E; checked against hardware by tests/unit/test_fp_*.c.
 */
#ifndef CPU_FP_FP_H
#define CPU_FP_FP_H

#include <stdbool.h>
#include <stdint.h>

/* Exception bits, as in MXCSR bits 5:0 and in the x87 status and control words. */
enum fp_flag {
    FP_IE = 0x01, /* invalid operation */
    FP_DE = 0x02, /* denormal operand */
    FP_ZE = 0x04, /* division by zero */
    FP_OE = 0x08, /* overflow */
    FP_UE = 0x10, /* underflow */
    FP_PE = 0x20, /* precision (inexact) */
    FP_ALL_FLAGS = 0x3f
};

/* Rounding control, encoded as in MXCSR.RC, the x87 control word and imm8 of ROUNDPS. */
enum fp_round { FP_NEAREST = 0, FP_DOWN = 1, FP_UP = 2, FP_ZERO = 3 };

struct fp_env {
    uint8_t rounding;  /* enum fp_round */
    uint8_t precision; /* x87: bits of significand for add sub mul div sqrt: 24, 53 or 64 */
    uint8_t masks;     /* enum fp_flag bits; 1 = masked */
    uint8_t flags;     /* enum fp_flag bits raised so far */
    bool ftz, daz;     /* SSE: flush results, treat denormal operands as zero */
    bool roundup;      /* x87 C1: the last result was rounded away from zero */
    bool quick;        /* SSE: rounding to nearest, PE masked and set; for cpu/fp/quick.h only */
    bool denormal;     /* x87: a memory operand given by f80_widen_*() was a denormal */
};

/* The 80-bit extended format: explicit integer bit in bit 63 of `m`, sign in bit 15 of `se`. */
struct f80 {
    uint64_t m;
    uint16_t se;
};

/* Result of a comparison. */
enum fp_rel { FP_LESS = -1, FP_EQUAL = 0, FP_GREATER = 1, FP_UNORDERED = 2 };

/* Default NaNs ("QNaN floating-point indefinite"). */
#define F16_INDEFINITE ((uint16_t)0xfe00)
#define F32_INDEFINITE UINT32_C(0xffc00000)
#define F64_INDEFINITE UINT64_C(0xfff8000000000000)
#define I16_INDEFINITE INT16_MIN
#define I32_INDEFINITE INT32_MIN
#define I64_INDEFINITE INT64_MIN

/* ---- environments ------------------------------------------------------------------------- */

/* An environment for SSE work under this MXCSR, with no flags raised yet. */
static inline struct fp_env fp_env_sse(uint32_t mxcsr)
{
    return (struct fp_env){
        .rounding = (uint8_t)(mxcsr >> 13 & 3),
        .precision = 64,
        .masks = (uint8_t)(mxcsr >> 7 & FP_ALL_FLAGS),
        .ftz = (mxcsr & 0x8000) != 0,
        .daz = (mxcsr & 0x0040) != 0,
        .quick = (mxcsr & 0x7020) == 0x1020,
    };
}

/* Did an unmasked exception occur (the instruction must fault and store nothing)? */
static inline bool fp_env_unmasked(const struct fp_env *e)
{
    return (e->flags & ~e->masks & FP_ALL_FLAGS) != 0;
}

/*
 * The bits to OR into MXCSR after all elements of one SSE or AVX instruction. When an element
 * raised an unmasked pre-computation exception (IE, DE, ZE), the instruction stops before any
 * element is rounded, so the post-computation flags of its neighbours do not appear.
 */
static inline uint32_t fp_sse_flags(const struct fp_env *e)
{
    const unsigned pre = FP_IE | FP_DE | FP_ZE;
    return (e->flags & ~e->masks & pre) ? e->flags & pre : e->flags;
}

/* An environment for x87 work under this control word. Precision control 01 (reserved) acts
 * as 11. */
static inline struct fp_env fp_env_x87(uint16_t cw)
{
    static const uint8_t bits[4] = {24, 64, 53, 64};
    return (struct fp_env){
        .rounding = (uint8_t)(cw >> 10 & 3),
        .precision = bits[cw >> 8 & 3],
        .masks = (uint8_t)(cw & FP_ALL_FLAGS),
    };
}

/* ---- SSE: single and double --------------------------------------------------------------- */

/* a + b, a - b, a * b, a / b; `a` is the first source (destination) operand for NaN choice. */
uint32_t f32_add(struct fp_env *e, uint32_t a, uint32_t b);
uint32_t f32_sub(struct fp_env *e, uint32_t a, uint32_t b);
uint32_t f32_mul(struct fp_env *e, uint32_t a, uint32_t b);
uint32_t f32_div(struct fp_env *e, uint32_t a, uint32_t b);
uint32_t f32_sqrt(struct fp_env *e, uint32_t a);
uint64_t f64_add(struct fp_env *e, uint64_t a, uint64_t b);
uint64_t f64_sub(struct fp_env *e, uint64_t a, uint64_t b);
uint64_t f64_mul(struct fp_env *e, uint64_t a, uint64_t b);
uint64_t f64_div(struct fp_env *e, uint64_t a, uint64_t b);
uint64_t f64_sqrt(struct fp_env *e, uint64_t a);

/* Fused a * b + c. FMADD: 0, FMSUB: FP_NEG_ADDEND, FNMADD: FP_NEG_PRODUCT, FNMSUB: both.
 * The negations do not touch a NaN operand's sign. */
enum fp_fma { FP_NEG_PRODUCT = 1, FP_NEG_ADDEND = 2 };
uint32_t f32_fma(struct fp_env *e, uint32_t a, uint32_t b, uint32_t c, unsigned negate);
uint64_t f64_fma(struct fp_env *e, uint64_t a, uint64_t b, uint64_t c, unsigned negate);

/* MINPS and the like: the second operand if either is NaN (IE) or both are zero. */
uint32_t f32_min(struct fp_env *e, uint32_t a, uint32_t b);
uint32_t f32_max(struct fp_env *e, uint32_t a, uint32_t b);
uint64_t f64_min(struct fp_env *e, uint64_t a, uint64_t b);
uint64_t f64_max(struct fp_env *e, uint64_t a, uint64_t b);

/* Relation of a to b. signal_qnan: IE for any NaN (COMISS), else for SNaN only (UCOMISS). */
enum fp_rel f32_compare(struct fp_env *e, uint32_t a, uint32_t b, bool signal_qnan);
enum fp_rel f64_compare(struct fp_env *e, uint64_t a, uint64_t b, bool signal_qnan);

/* CMPPS and VCMPPS: predicate is imm8 bits 4:0 (legacy forms pass bits 2:0). */
bool f32_cmp_pred(struct fp_env *e, uint32_t a, uint32_t b, unsigned predicate);
bool f64_cmp_pred(struct fp_env *e, uint64_t a, uint64_t b, unsigned predicate);

/* ROUNDPS: imm8 bits 1:0 rounding, bit 2 use the environment's, bit 3 suppress PE. */
uint32_t f32_round(struct fp_env *e, uint32_t a, unsigned imm);
uint64_t f64_round(struct fp_env *e, uint64_t a, unsigned imm);

/* Conversions. `truncate` selects the CVTT forms. Out of range: IE and the integer indefinite. */
int32_t f32_to_i32(struct fp_env *e, uint32_t a, bool truncate);
int64_t f32_to_i64(struct fp_env *e, uint32_t a, bool truncate);
int32_t f64_to_i32(struct fp_env *e, uint64_t a, bool truncate);
int64_t f64_to_i64(struct fp_env *e, uint64_t a, bool truncate);
uint32_t f32_from_i32(struct fp_env *e, int32_t a);
uint32_t f32_from_i64(struct fp_env *e, int64_t a);
uint64_t f64_from_i32(struct fp_env *e, int32_t a);
uint64_t f64_from_i64(struct fp_env *e, int64_t a);
uint64_t f32_to_f64(struct fp_env *e, uint32_t a);
uint32_t f64_to_f32(struct fp_env *e, uint64_t a);

/* VCVTPH2PS; VCVTPS2PH with imm8 bits 1:0 rounding, bit 2 use the environment's. */
uint32_t f16_to_f32(struct fp_env *e, uint16_t a);
uint16_t f32_to_f16(struct fp_env *e, uint32_t a, unsigned imm);

/* RCPPS and RSQRTPS: no flags, MXCSR ignored. Hardware differs here from maker to maker; ours is
 * the exact value rounded to nearest at 12 significant bits, denormals taken and given as 0. */
uint32_t f32_rcp(uint32_t a);
uint32_t f32_rsqrt(uint32_t a);

/* ---- x87 ---------------------------------------------------------------------------------- */

#define F80_INDEFINITE ((struct f80){UINT64_C(0xc000000000000000), 0xffff})
#define F80_ZERO       ((struct f80){0, 0})
#define F80_ONE        ((struct f80){UINT64_C(0x8000000000000000), 0x3fff})

/* An encoding that the 387 and later refuse: pseudo-NaN, pseudo-infinity, unnormal. */
static inline bool f80_is_unsupported(struct f80 a)
{
    return (a.se & 0x7fff) != 0 && !(a.m >> 63);
}

/* FXAM's C3 C2 C1 C0 in their status word places (bits 14, 10, 9, 8); not for empty ones. */
uint16_t f80_examine(struct f80 a);
/* The tag that FNSTENV shows for a register in use: 0 valid, 1 zero, 2 special. */
unsigned f80_tag(struct f80 a);

static inline struct f80 f80_negate(struct f80 a)
{
    return (struct f80){a.m, (uint16_t)(a.se ^ 0x8000)};
}

static inline struct f80 f80_abs(struct f80 a)
{
    return (struct f80){a.m, (uint16_t)(a.se & 0x7fff)};
}

/* Rounded to e->precision bits. `a` and `b` may be given in either order for NaN choice. */
struct f80 f80_add(struct fp_env *e, struct f80 a, struct f80 b);
struct f80 f80_sub(struct fp_env *e, struct f80 a, struct f80 b);
struct f80 f80_mul(struct fp_env *e, struct f80 a, struct f80 b);
struct f80 f80_div(struct fp_env *e, struct f80 a, struct f80 b);
struct f80 f80_sqrt(struct fp_env *e, struct f80 a);

/* FRNDINT, FSCALE (a = ST0, b = ST1). */
struct f80 f80_round_to_int(struct fp_env *e, struct f80 a);
struct f80 f80_scale(struct fp_env *e, struct f80 a, struct f80 b);

/* FXTRACT: returns the significand (the new ST0), *exponent is what ST1 becomes. */
struct f80 f80_extract(struct fp_env *e, struct f80 a, struct f80 *exponent);

/* FPREM and FPREM1 of a by b. */
struct f80_rem {
    struct f80 value;
    uint8_t quotient; /* low three bits of the quotient: Q2 Q1 Q0 */
    bool partial;     /* C2: the reduction is not complete */
};
struct f80_rem f80_prem(struct fp_env *e, struct f80 a, struct f80 b);
struct f80_rem f80_prem1(struct fp_env *e, struct f80 a, struct f80 b);

/* FCOM (signal_qnan) and FUCOM. */
enum fp_rel f80_compare(struct fp_env *e, struct f80 a, struct f80 b, bool signal_qnan);

/*
 * The memory operand of FADD m32 and the like, for use in the operation that follows with the same
 * environment: exact, no flags yet, an SNaN stays one. A denormal is remembered in e->denormal.
 */
struct f80 f80_widen_f32(struct fp_env *e, uint32_t a);
struct f80 f80_widen_f64(struct fp_env *e, uint64_t a);

/* Loads. Integers and BCD are exact; f32 and f64 raise IE for SNaN and DE for denormals. */
struct f80 f80_from_f32(struct fp_env *e, uint32_t a);
struct f80 f80_from_f64(struct fp_env *e, uint64_t a);
struct f80 f80_from_i32(int32_t a);
struct f80 f80_from_i64(int64_t a);
struct f80 f80_from_bcd(const uint8_t bcd[10]);

/* Stores. */
uint32_t f80_to_f32(struct fp_env *e, struct f80 a);
uint64_t f80_to_f64(struct fp_env *e, struct f80 a);
int16_t f80_to_i16(struct fp_env *e, struct f80 a, bool truncate);
int32_t f80_to_i32(struct fp_env *e, struct f80 a, bool truncate);
int64_t f80_to_i64(struct fp_env *e, struct f80 a, bool truncate);
void f80_to_bcd(struct fp_env *e, struct f80 a, uint8_t bcd[10]);

/* FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ by the low three opcode bits (D9 E8+n),
 * rounded by e->rounding. */
struct f80 f80_constant(const struct fp_env *e, unsigned n);

/* Transcendentals, within one unit in the last place, always at 64-bit precision. */
struct f80 f80_f2xm1(struct fp_env *e, struct f80 a);
struct f80 f80_yl2x(struct fp_env *e, struct f80 x, struct f80 y);   /* y * log2(x) */
struct f80 f80_yl2xp1(struct fp_env *e, struct f80 x, struct f80 y); /* y * log2(x + 1) */
struct f80 f80_patan(struct fp_env *e, struct f80 y, struct f80 x);  /* atan2(y, x) */

/* FSIN, FCOS, FSINCOS, FPTAN: false (C2 set) and nothing written when |a| >= 2^63. FPTAN's
 * pushed 1.0 (for NaN operands: the NaN again) is the caller's. The argument is reduced by the
 * 66-bit pi that Intel documents. */
bool f80_sin(struct fp_env *e, struct f80 a, struct f80 *r);
bool f80_cos(struct fp_env *e, struct f80 a, struct f80 *r);
bool f80_sincos(struct fp_env *e, struct f80 a, struct f80 *s, struct f80 *c);
bool f80_ptan(struct fp_env *e, struct f80 a, struct f80 *r);

#endif
