/*
 * SSE, AVX and FMA arithmetic: add, subtract, multiply, divide, square root, fused multiply-add.
 *
 * Each operation is written once for any interchange format, and instantiated for f32 and f64 by
 * passing a constant format to an inline function.
 *
 * NaN operands (Intel SDM vol. 1, table 4-7, SSE column): the first operand that is a NaN, made
 * quiet; IE if any is an SNaN. NaNs come before every other condition; then invalid operations
 * and division by zero, which leave DE unraised; then DE (Intel SDM vol. 1, 4.9.2).
 */
#include "cpu/fp/sse.h"

static inline uint64_t sse_pack_exact(struct fp_env *e, const struct fp_format *f,
                                      struct fp_exact r)
{
    if (r.sig == 0) { /* exact cancellation */
        return fp_pack_zero(f, e->rounding == FP_DOWN);
    }
    return fp_round_pack(e, f, r.sign, r.exp, r.sig);
}

/* ---- the common case: normal operands, normal result ----
 *
 * Everything fits 64 bits: significands with their top bit in bit 62, guard bits below, and bit 0
 * jammed. Whatever is not so plain goes through the general functions, which also define it. */

static inline uint64_t exp_field(const struct fp_format *f, uint64_t a)
{
    return a >> (f->bits - 1) & ((UINT64_C(1) << f->exp_bits) - 1);
}

static inline bool is_normal(const struct fp_format *f, uint64_t a)
{
    return exp_field(f, a) - 1 < (UINT64_C(1) << f->exp_bits) - 2;
}

/* The significand with its top bit in bit 62. */
static inline uint64_t significand62(const struct fp_format *f, uint64_t a)
{
    return (a << (64 - f->bits) | FP_TOP) >> 1;
}

/* Round sig (bit 63 set, jammed) with this exponent field, which may be out of range. */
static inline uint64_t pack_plain(struct fp_env *e, const struct fp_format *f, bool sign,
                                  int64_t field, uint64_t sig)
{
    uint64_t kept = sig >> (64 - f->bits), rest = sig << f->bits;
    bool up = e->rounding == FP_NEAREST ? rest > FP_TOP || (rest == FP_TOP && (kept & 1))
              : e->rounding == FP_DOWN  ? sign && rest
              : e->rounding == FP_UP    ? !sign && rest
                                        : false;
    int64_t max = (INT64_C(1) << f->exp_bits) - 1;

    if (field < 1 || field >= max - 1) {
        return fp_round_pack(e, f, sign, (int32_t)field - f->emax, fp_u128(sig, 0));
    }
    e->flags |= rest ? FP_PE : 0;
    /* The hidden bit, and a carry out of the fraction, add to the exponent field. */
    return ((uint64_t)sign << (f->bits - 1 + f->exp_bits)) +
           ((uint64_t)(field - 1) << (f->bits - 1)) + kept + up;
}

static inline uint64_t add_normal(struct fp_env *e, const struct fp_format *f, uint64_t a,
                                  uint64_t b)
{
    const uint64_t top = UINT64_C(1) << (f->bits - 1 + f->exp_bits);

    if ((a & (top - 1)) < (b & (top - 1))) {
        uint64_t t = a;
        a = b;
        b = t;
    }
    bool sign = (a & top) != 0;
    uint64_t apart = exp_field(f, a) - exp_field(f, b), sig = significand62(f, a);
    uint64_t small = significand62(f, b);
    if (apart >= 63) {
        small = 1;
    } else {
        small = small >> apart | ((small & ((UINT64_C(1) << apart) - 1)) != 0);
    }
    sig = (a ^ b) & top ? sig - small : sig + small;
    if (sig == 0) {
        return fp_pack_zero(f, e->rounding == FP_DOWN);
    }
    unsigned shift = fp_clz64(sig);
    return pack_plain(e, f, sign, (int64_t)exp_field(f, a) + 1 - (int64_t)shift, sig << shift);
}

static inline uint64_t mul_normal(struct fp_env *e, const struct fp_format *f, uint64_t a,
                                  uint64_t b)
{
    bool sign = (a ^ b) >> (f->bits - 1 + f->exp_bits) & 1;
    u128 product = (u128)(significand62(f, a) << 1) * (significand62(f, b) << 1);
    bool top = product >> 127;
    uint64_t sig;

    product = top ? product : product << 1;
    sig = fp_hi(product) | (fp_lo(product) != 0);
    return pack_plain(e, f, sign, (int64_t)(exp_field(f, a) + exp_field(f, b)) - f->emax + top,
                      sig);
}

/* ---- the general functions ---- */

static inline uint64_t sse_add(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                               uint64_t bbits, bool subtract)
{
    if (is_normal(f, abits) && is_normal(f, bbits)) {
        return add_normal(e, f, abits, bbits ^ (uint64_t)subtract << (f->bits - 1 + f->exp_bits));
    }
    struct fp_num a = sse_unpack(e, f, abits), b = sse_unpack(e, f, bbits);

    if (fp_is_nan(a) || fp_is_nan(b)) {
        return sse_nan(e, f, a, b);
    }
    b.sign ^= subtract;
    if (a.kind == FP_KIND_INF && b.kind == FP_KIND_INF && a.sign != b.sign) {
        return sse_invalid(e, f);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal)) {
        return 0;
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_FINITE) {
        return sse_pack_exact(e, f, fp_exact_add(fp_exact_from(a), fp_exact_from(b)));
    }
    if (a.kind == FP_KIND_INF || b.kind == FP_KIND_INF) {
        return fp_pack_inf(f, a.kind == FP_KIND_INF ? a.sign : b.sign);
    }
    if (a.kind == FP_KIND_ZERO && b.kind == FP_KIND_ZERO) {
        return fp_pack_zero(f, a.sign == b.sign ? a.sign : e->rounding == FP_DOWN);
    }
    return sse_pack_exact(e, f, fp_exact_from(a.kind == FP_KIND_ZERO ? b : a));
}

static inline uint64_t sse_mul(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                               uint64_t bbits)
{
    if (is_normal(f, abits) && is_normal(f, bbits)) {
        return mul_normal(e, f, abits, bbits);
    }
    struct fp_num a = sse_unpack(e, f, abits), b = sse_unpack(e, f, bbits);
    bool sign = a.sign != b.sign;

    if (fp_is_nan(a) || fp_is_nan(b)) {
        return sse_nan(e, f, a, b);
    }
    if ((a.kind == FP_KIND_INF && b.kind == FP_KIND_ZERO) ||
        (a.kind == FP_KIND_ZERO && b.kind == FP_KIND_INF)) {
        return sse_invalid(e, f);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal)) {
        return 0;
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_FINITE) {
        return sse_pack_exact(e, f, fp_exact_mul(a, b));
    }
    return a.kind == FP_KIND_INF || b.kind == FP_KIND_INF ? fp_pack_inf(f, sign)
                                                          : fp_pack_zero(f, sign);
}

static inline uint64_t sse_div(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                               uint64_t bbits)
{
    struct fp_num a = sse_unpack(e, f, abits), b = sse_unpack(e, f, bbits);
    bool sign = a.sign != b.sign;

    if (fp_is_nan(a) || fp_is_nan(b)) {
        return sse_nan(e, f, a, b);
    }
    if (a.kind == b.kind && a.kind != FP_KIND_FINITE) { /* 0/0, inf/inf */
        return sse_invalid(e, f);
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_ZERO) {
        e->flags |= FP_ZE;
        return fp_pack_inf(f, sign);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal)) {
        return 0;
    }
    if (a.kind == FP_KIND_FINITE && b.kind == FP_KIND_FINITE) {
        return sse_pack_exact(e, f, fp_exact_div(a, b));
    }
    return a.kind == FP_KIND_INF || b.kind == FP_KIND_ZERO ? fp_pack_inf(f, sign)
                                                           : fp_pack_zero(f, sign);
}

static inline uint64_t sse_sqrt(struct fp_env *e, const struct fp_format *f, uint64_t abits)
{
    struct fp_num a = sse_unpack(e, f, abits);

    if (fp_is_nan(a)) {
        return sse_nan(e, f, a, a);
    }
    if (a.kind == FP_KIND_ZERO) {
        return fp_pack_zero(f, a.sign);
    }
    if (a.sign) {
        return sse_invalid(e, f);
    }
    if (fp_raise_denormal(e, a.denormal)) {
        return 0;
    }
    if (a.kind == FP_KIND_INF) {
        return fp_pack_inf(f, false);
    }
    return sse_pack_exact(e, f, fp_exact_sqrt(a));
}

/* NaN choice of the fused operations: a, then b, then c, by place in a * b + c. */
static inline uint64_t sse_fma_nan(struct fp_env *e, const struct fp_format *f, struct fp_num a,
                                   struct fp_num b, struct fp_num c)
{
    if (a.kind == FP_KIND_SNAN || b.kind == FP_KIND_SNAN || c.kind == FP_KIND_SNAN) {
        e->flags |= FP_IE;
    }
    return fp_pack_nan(f, fp_is_nan(a) ? a : fp_is_nan(b) ? b : c);
}

static inline uint64_t sse_fma(struct fp_env *e, const struct fp_format *f, uint64_t abits,
                               uint64_t bbits, uint64_t cbits, unsigned negate)
{
    struct fp_num a = sse_unpack(e, f, abits), b = sse_unpack(e, f, bbits);
    struct fp_num c = sse_unpack(e, f, cbits);
    bool sign = (a.sign != b.sign) != ((negate & FP_NEG_PRODUCT) != 0);
    bool product_inf = a.kind == FP_KIND_INF || b.kind == FP_KIND_INF;
    bool product_zero = a.kind == FP_KIND_ZERO || b.kind == FP_KIND_ZERO;

    if (fp_is_nan(a) || fp_is_nan(b) || fp_is_nan(c)) {
        return sse_fma_nan(e, f, a, b, c);
    }
    c.sign ^= (negate & FP_NEG_ADDEND) != 0;
    if ((product_inf && product_zero) || (product_inf && c.kind == FP_KIND_INF && c.sign != sign)) {
        return sse_invalid(e, f);
    }
    if (fp_raise_denormal(e, a.denormal || b.denormal || c.denormal)) {
        return 0;
    }
    if (product_inf || c.kind == FP_KIND_INF) {
        return fp_pack_inf(f, product_inf ? sign : c.sign);
    }
    if (product_zero) {
        if (c.kind == FP_KIND_ZERO) {
            return fp_pack_zero(f, c.sign == sign ? sign : e->rounding == FP_DOWN);
        }
        return sse_pack_exact(e, f, fp_exact_from(c));
    }
    struct fp_exact product = fp_exact_mul(a, b);
    product.sign = sign;
    if (c.kind == FP_KIND_ZERO) {
        return sse_pack_exact(e, f, product);
    }
    return sse_pack_exact(e, f, fp_exact_add(product, fp_exact_from(c)));
}

/* ---- the two formats ---------------------------------------------------------------------- */

uint32_t f32_add(struct fp_env *e, uint32_t a, uint32_t b)
{
    return (uint32_t)sse_add(e, &fp_f32, a, b, false);
}

uint32_t f32_sub(struct fp_env *e, uint32_t a, uint32_t b)
{
    return (uint32_t)sse_add(e, &fp_f32, a, b, true);
}

uint32_t f32_mul(struct fp_env *e, uint32_t a, uint32_t b)
{
    return (uint32_t)sse_mul(e, &fp_f32, a, b);
}

uint32_t f32_div(struct fp_env *e, uint32_t a, uint32_t b)
{
    return (uint32_t)sse_div(e, &fp_f32, a, b);
}

uint32_t f32_sqrt(struct fp_env *e, uint32_t a)
{
    return (uint32_t)sse_sqrt(e, &fp_f32, a);
}

uint32_t f32_fma(struct fp_env *e, uint32_t a, uint32_t b, uint32_t c, unsigned negate)
{
    return (uint32_t)sse_fma(e, &fp_f32, a, b, c, negate);
}

uint64_t f64_add(struct fp_env *e, uint64_t a, uint64_t b)
{
    return sse_add(e, &fp_f64, a, b, false);
}

uint64_t f64_sub(struct fp_env *e, uint64_t a, uint64_t b)
{
    return sse_add(e, &fp_f64, a, b, true);
}

uint64_t f64_mul(struct fp_env *e, uint64_t a, uint64_t b)
{
    return sse_mul(e, &fp_f64, a, b);
}

uint64_t f64_div(struct fp_env *e, uint64_t a, uint64_t b)
{
    return sse_div(e, &fp_f64, a, b);
}

uint64_t f64_sqrt(struct fp_env *e, uint64_t a)
{
    return sse_sqrt(e, &fp_f64, a);
}

uint64_t f64_fma(struct fp_env *e, uint64_t a, uint64_t b, uint64_t c, unsigned negate)
{
    return sse_fma(e, &fp_f64, a, b, c, negate);
}
