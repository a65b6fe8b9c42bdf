/*
 * SSE, AVX and F16C without arithmetic: minimum, comparison, rounding to an integer, conversion,
 * and the reciprocal estimates. Written once for any format, as in sse_arith.c.
 *
 * Which of them raise DE is irregular, so it is listed here (Intel SDM vol. 2, each instruction):
 * minimum, maximum, comparisons and conversions between float formats do; conversions to integers
 * and ROUNDPS do not. VCVTPH2PS ignores DAZ and raises no DE; VCVTPS2PH ignores FTZ.
 */
#include "cpu/fp/sse.h"

/* ---- comparison --------------------------------------------------------------------------- */

static inline enum fp_rel sse_compare(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                                      uint64_t bbits, bool signal_qnan)
{
    struct fp_num a = sse_unpack(e, f, abits), b = sse_unpack(e, f, bbits);

    if (fp_is_nan(a) || fp_is_nan(b)) {
        if (signal_qnan || a.kind == FP_KIND_SNAN || b.kind == FP_KIND_SNAN) {
            e->flags |= FP_IE;
        }
        return FP_UNORDERED;
    }
    fp_raise_denormal(e, a.denormal || b.denormal);
    return fp_num_compare(a, b);
}

/*
 * The 32 predicates of VCMPPS (Intel SDM vol. 2, CMPPD, table 3-1). Bits 2:0 choose one of eight,
 * bit 3 turns them into their second eight, bit 4 exchanges quiet and signaling.
 */
static inline bool sse_cmp_pred(struct fp_env *e, const struct fp_format *f, uint64_t a, uint64_t b,
                                unsigned predicate)
{
    enum { LT = 1, EQ = 2, GT = 4, UN = 8 };
    static const uint8_t holds[16] = {
        EQ,      LT,      LT | EQ,      UN, LT | GT | UN, EQ | GT | UN, GT | UN, LT | EQ | GT,
        EQ | UN, LT | UN, LT | EQ | UN, 0,  LT | GT,      EQ | GT,      GT,      LT | EQ | GT | UN,
    };
    unsigned low = predicate & 3;
    bool signaling = (low == 1 || low == 2) != ((predicate & 16) != 0);
    enum fp_rel rel = sse_compare(e, f, a, b, signaling);

    return holds[predicate & 15] >> (rel + 1) & 1;
}

/* The smaller or larger; the second operand, as it is, unless the first one clearly wins. */
static inline uint64_t sse_minmax(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                                  uint64_t bbits, bool want_max)
{
    enum fp_rel rel = sse_compare(e, f, abits, bbits, true);
    uint64_t bits = rel == (want_max ? FP_GREATER : FP_LESS) ? abits : bbits;
    struct fp_num n = sse_unpack(e, f, bits);

    return n.kind == FP_KIND_ZERO ? fp_pack_zero(f, n.sign) : bits; /* DAZ shows in the result */
}

/* ---- rounding to an integer --------------------------------------------------------------- */

static inline uint64_t sse_round(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                                 unsigned imm)
{
    struct fp_num a = sse_unpack(e, f, abits);
    bool inexact, up;

    if (fp_is_nan(a)) {
        return sse_nan(e, f, a, a);
    }
    if (a.kind == FP_KIND_ZERO) {
        return fp_pack_zero(f, a.sign);
    }
    if (a.kind == FP_KIND_INF || a.exp >= (int32_t)f->bits - 1) {
        return abits;
    }
    uint64_t n = fp_round_to_u64(a, imm & 4 ? e->rounding : imm & 3, &inexact, &up);
    if (inexact && !(imm & 8)) {
        e->flags |= FP_PE;
    }
    if (n == 0) {
        return fp_pack_zero(f, a.sign);
    }
    unsigned shift = fp_clz64(n);
    return fp_pack(f, a.sign, (uint64_t)(63 - (int32_t)shift + f->emax),
                   n << shift << 1 >> (65 - f->bits));
}

/* ---- integers ----------------------------------------------------------------------------- */

/* To a signed integer of `bits` bits (32 or 64). */
static inline int64_t sse_to_int(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                                 bool truncate, unsigned bits)
{
    struct fp_num a = sse_unpack(e, f, abits);
    uint64_t limit = UINT64_C(1) << (bits - 1);
    bool inexact = false, up = false;
    uint64_t n = 0;

    bool bad = a.kind >= FP_KIND_INF || (a.kind == FP_KIND_FINITE && a.exp > 63);
    if (!bad) {
        n = fp_round_to_u64(a, truncate ? FP_ZERO : e->rounding, &inexact, &up);
        bad = n > limit - !a.sign || (n == 0 && up);
    }
    if (bad) {
        e->flags |= FP_IE;
        return -(int64_t)(limit - 1) - 1;
    }
    if (inexact) {
        e->flags |= FP_PE;
    }
    return (int64_t)(a.sign ? 0 - n : n);
}

static inline uint64_t sse_from_int(struct fp_env *e, const struct fp_format *f, int64_t a)
{
    if (a == 0) {
        return 0;
    }
    uint64_t n = a < 0 ? 0 - (uint64_t)a : (uint64_t)a;
    unsigned shift = fp_clz64(n);
    return fp_round_pack(e, f, a < 0, 63 - (int32_t)shift, fp_u128(n << shift, 0));
}

/* ---- between float formats ---------------------------------------------------------------- */

static inline uint64_t sse_convert(struct fp_env *e, const struct fp_format *to,
                                   const struct fp_format *from, uint64_t abits)
{
    struct fp_num a = sse_unpack(e, from, abits);

    if (fp_is_nan(a)) {
        return sse_nan(e, to, a, a);
    }
    if (fp_raise_denormal(e, a.denormal)) {
        return 0;
    }
    if (a.kind != FP_KIND_FINITE) {
        return a.kind == FP_KIND_ZERO ? fp_pack_zero(to, a.sign) : fp_pack_inf(to, a.sign);
    }
    return fp_round_pack(e, to, a.sign, a.exp, fp_u128(a.sig, 0));
}

/* ---- estimates ---------------------------------------------------------------------------- */

/* Pack the estimate: 12 bits to nearest, range ends flushed. No flags. */
static uint32_t estimate_pack(bool sign, struct fp_exact r)
{
    struct fp_cut c = fp_cut(r.sig, 12, FP_NEAREST, sign);
    int32_t exp = r.exp + c.carry;

    if (exp > fp_f32.emax) {
        return (uint32_t)fp_pack_inf(&fp_f32, sign);
    }
    if (exp < fp_f32.emin) {
        return (uint32_t)fp_pack_zero(&fp_f32, sign);
    }
    return (uint32_t)fp_pack(&fp_f32, sign, (uint64_t)(exp + fp_f32.emax), c.sig << 1 >> 41);
}

uint32_t f32_rcp(uint32_t abits)
{
    const struct fp_num one = {.sig = FP_TOP, .kind = FP_KIND_FINITE};
    struct fp_num a = fp_unpack(&fp_f32, abits);

    if (fp_is_nan(a)) {
        return (uint32_t)fp_pack_nan(&fp_f32, a);
    }
    if (a.kind == FP_KIND_ZERO || a.denormal) {
        return (uint32_t)fp_pack_inf(&fp_f32, a.sign);
    }
    if (a.kind == FP_KIND_INF) {
        return (uint32_t)fp_pack_zero(&fp_f32, a.sign);
    }
    return estimate_pack(a.sign, fp_exact_div(one, a));
}

uint32_t f32_rsqrt(uint32_t abits)
{
    const struct fp_num one = {.sig = FP_TOP, .kind = FP_KIND_FINITE};
    struct fp_num a = fp_unpack(&fp_f32, abits);

    if (fp_is_nan(a)) {
        return (uint32_t)fp_pack_nan(&fp_f32, a);
    }
    if (a.kind == FP_KIND_ZERO || a.denormal) {
        return (uint32_t)fp_pack_inf(&fp_f32, a.sign);
    }
    if (a.sign) {
        return F32_INDEFINITE;
    }
    if (a.kind == FP_KIND_INF) {
        return 0;
    }
    /* The root to 64 bits: its error, far below the 12th bit, cannot change the rounding, since
     * no root of a 24-bit number is that near a 13-bit midpoint without being exact. */
    struct fp_exact root = fp_exact_sqrt(a);
    struct fp_num r = {.sig = fp_hi(root.sig), .exp = root.exp, .kind = FP_KIND_FINITE};
    return estimate_pack(false, fp_exact_div(one, r));
}

/* ---- the formats -------------------------------------------------------------------------- */

uint32_t f32_min(struct fp_env *e, uint32_t a, uint32_t b)
{
    return (uint32_t)sse_minmax(e, &fp_f32, a, b, false);
}

uint32_t f32_max(struct fp_env *e, uint32_t a, uint32_t b)
{
    return (uint32_t)sse_minmax(e, &fp_f32, a, b, true);
}

uint64_t f64_min(struct fp_env *e, uint64_t a, uint64_t b)
{
    return sse_minmax(e, &fp_f64, a, b, false);
}

uint64_t f64_max(struct fp_env *e, uint64_t a, uint64_t b)
{
    return sse_minmax(e, &fp_f64, a, b, true);
}

enum fp_rel f32_compare(struct fp_env *e, uint32_t a, uint32_t b, bool signal_qnan)
{
    return sse_compare(e, &fp_f32, a, b, signal_qnan);
}

enum fp_rel f64_compare(struct fp_env *e, uint64_t a, uint64_t b, bool signal_qnan)
{
    return sse_compare(e, &fp_f64, a, b, signal_qnan);
}

bool f32_cmp_pred(struct fp_env *e, uint32_t a, uint32_t b, unsigned predicate)
{
    return sse_cmp_pred(e, &fp_f32, a, b, predicate);
}

bool f64_cmp_pred(struct fp_env *e, uint64_t a, uint64_t b, unsigned predicate)
{
    return sse_cmp_pred(e, &fp_f64, a, b, predicate);
}

uint32_t f32_round(struct fp_env *e, uint32_t a, unsigned imm)
{
    return (uint32_t)sse_round(e, &fp_f32, a, imm);
}

uint64_t f64_round(struct fp_env *e, uint64_t a, unsigned imm)
{
    return sse_round(e, &fp_f64, a, imm);
}

int32_t f32_to_i32(struct fp_env *e, uint32_t a, bool truncate)
{
    return (int32_t)sse_to_int(e, &fp_f32, a, truncate, 32);
}

int64_t f32_to_i64(struct fp_env *e, uint32_t a, bool truncate)
{
    return sse_to_int(e, &fp_f32, a, truncate, 64);
}

int32_t f64_to_i32(struct fp_env *e, uint64_t a, bool truncate)
{
    return (int32_t)sse_to_int(e, &fp_f64, a, truncate, 32);
}

int64_t f64_to_i64(struct fp_env *e, uint64_t a, bool truncate)
{
    return sse_to_int(e, &fp_f64, a, truncate, 64);
}

uint32_t f32_from_i32(struct fp_env *e, int32_t a)
{
    return (uint32_t)sse_from_int(e, &fp_f32, a);
}

uint32_t f32_from_i64(struct fp_env *e, int64_t a)
{
    return (uint32_t)sse_from_int(e, &fp_f32, a);
}

uint64_t f64_from_i32(struct fp_env *e, int32_t a)
{
    return sse_from_int(e, &fp_f64, a);
}

uint64_t f64_from_i64(struct fp_env *e, int64_t a)
{
    return sse_from_int(e, &fp_f64, a);
}

uint64_t f32_to_f64(struct fp_env *e, uint32_t a)
{
    return sse_convert(e, &fp_f64, &fp_f32, a);
}

uint32_t f64_to_f32(struct fp_env *e, uint64_t a)
{
    return (uint32_t)sse_convert(e, &fp_f32, &fp_f64, a);
}

uint32_t f16_to_f32(struct fp_env *e, uint16_t a)
{
    struct fp_env own = *e;
    own.daz = false;
    own.masks = FP_ALL_FLAGS;
    own.flags = 0;
    uint32_t r = (uint32_t)sse_convert(&own, &fp_f32, &fp_f16, a);
    e->flags |= own.flags & FP_IE;
    return r;
}

uint16_t f32_to_f16(struct fp_env *e, uint32_t a, unsigned imm)
{
    struct fp_env own = *e;
    own.ftz = false;
    own.rounding = (uint8_t)(imm & 4 ? e->rounding : imm & 3);
    uint16_t r = (uint16_t)sse_convert(&own, &fp_f16, &fp_f32, a);
    e->flags = own.flags;
    return r;
}
