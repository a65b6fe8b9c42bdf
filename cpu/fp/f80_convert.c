/*
 * x87 loads, stores, constants and classification.
 *
 * Stores to f32 and f64 round once, from the 64-bit significand, and raise OE, UE, PE by the
 * target's range; no DE. Stores to integers and BCD raise IE when the rounded value does not fit.
 */
#include <string.h>

#include "cpu/fp/f80.h"

/* ---- classification ----------------------------------------------------------------------- */

uint16_t f80_examine(struct f80 a)
{
    enum { C0 = 0x100, C1 = 0x200, C2 = 0x400, C3 = 0x4000 };
    uint16_t class;

    if (f80_is_unsupported(a)) {
        class = 0;
    } else if ((a.se & 0x7fff) == 0x7fff) {
        class = a.m << 1 == 0 ? C2 | C0 : C0;
    } else if ((a.se & 0x7fff) != 0) {
        class = C2;
    } else {
        class = a.m == 0 ? C3 : C3 | C2;
    }
    return (uint16_t)(class | (a.se & 0x8000 ? C1 : 0));
}

unsigned f80_tag(struct f80 a)
{
    unsigned field = a.se & 0x7fff;

    if (field == 0 && a.m == 0) {
        return 1;
    }
    return field == 0 || field == 0x7fff || !(a.m >> 63) ? 2 : 0;
}

/* ---- loads -------------------------------------------------------------------------------- */

static struct f80 widen(struct fp_env *e, struct fp_num n)
{
    switch (n.kind) {
    case FP_KIND_ZERO:
        return f80_pack_zero(n.sign);
    case FP_KIND_FINITE:
        e->denormal |= n.denormal;
        return f80_pack_num(n);
    default: /* infinity and NaNs: the significand as it is */
        return f80_pack(n.sign, 0x7fff, n.sig);
    }
}

struct f80 f80_widen_f32(struct fp_env *e, uint32_t a)
{
    return widen(e, fp_unpack(&fp_f32, a));
}

struct f80 f80_widen_f64(struct fp_env *e, uint64_t a)
{
    return widen(e, fp_unpack(&fp_f64, a));
}

static struct f80 load(struct fp_env *e, struct fp_num n)
{
    if (fp_is_nan(n)) {
        return f80_nan(e, n, n);
    }
    fp_raise_denormal(e, n.denormal);
    struct fp_env scratch = *e; /* `denormal` is not for what follows */
    return widen(&scratch, n);
}

struct f80 f80_from_f32(struct fp_env *e, uint32_t a)
{
    return load(e, fp_unpack(&fp_f32, a));
}

struct f80 f80_from_f64(struct fp_env *e, uint64_t a)
{
    return load(e, fp_unpack(&fp_f64, a));
}

static struct f80 from_u64(bool sign, uint64_t magnitude)
{
    if (magnitude == 0) {
        return f80_pack_zero(sign);
    }
    unsigned shift = fp_clz64(magnitude);
    return f80_pack(sign, F80_EMAX + 63 - shift, magnitude << shift);
}

struct f80 f80_from_i32(int32_t a)
{
    return f80_from_i64(a);
}

struct f80 f80_from_i64(int64_t a)
{
    return from_u64(a < 0, a < 0 ? 0 - (uint64_t)a : (uint64_t)a);
}

/* Digits above nine are taken at their value; the sign is the top bit, the rest of its byte is
 * ignored. */
struct f80 f80_from_bcd(const uint8_t bcd[10])
{
    uint64_t n = 0;

    for (int i = 8; i >= 0; i--) {
        n = n * 100 + (uint64_t)(bcd[i] >> 4) * 10 + (bcd[i] & 15);
    }
    return from_u64(bcd[9] >> 7, n);
}

/* ---- stores ------------------------------------------------------------------------------- */

static uint64_t narrow(struct fp_env *e, const struct fp_format *f, struct f80 abits)
{
    if (f80_is_unsupported(abits)) {
        e->flags |= FP_IE;
        return fp_pack_indefinite(f);
    }
    struct fp_num a = f80_unpack(abits);

    if (fp_is_nan(a)) {
        if (a.kind == FP_KIND_SNAN) {
            e->flags |= FP_IE;
        }
        return fp_pack_nan(f, a);
    }
    if (a.kind != FP_KIND_FINITE) {
        return a.kind == FP_KIND_ZERO ? fp_pack_zero(f, a.sign) : fp_pack_inf(f, a.sign);
    }
    struct fp_env own = *e;
    own.flags = 0;
    uint64_t r = fp_round_pack(&own, f, a.sign, a.exp, fp_u128(a.sig, 0));
    if (own.flags & ~own.masks & (FP_OE | FP_UE)) { /* nothing is stored, so nothing is inexact */
        own.flags &= FP_OE | FP_UE;
        own.roundup = false;
    }
    e->flags |= own.flags;
    e->roundup = own.roundup;
    return r;
}

uint32_t f80_to_f32(struct fp_env *e, struct f80 a)
{
    return (uint32_t)narrow(e, &fp_f32, a);
}

uint64_t f80_to_f64(struct fp_env *e, struct f80 a)
{
    return narrow(e, &fp_f64, a);
}

/*
 * |a| rounded to an integer, if it is no more than `limit` (for a negative one, `limit_neg`).
 * False, with IE raised, if it is more or no number.
 */
static bool to_integer(struct fp_env *e, struct f80 abits, bool truncate, uint64_t limit,
                       uint64_t limit_neg, uint64_t *magnitude)
{
    struct fp_num a = f80_unpack(abits);
    bool inexact, up;

    if (!f80_is_unsupported(abits) && a.kind < FP_KIND_INF &&
        (a.kind == FP_KIND_ZERO || a.exp <= 63)) {
        *magnitude = fp_round_to_u64(a, truncate ? FP_ZERO : e->rounding, &inexact, &up);
        if (*magnitude <= (a.sign ? limit_neg : limit) && !(*magnitude == 0 && up)) {
            e->flags |= inexact ? FP_PE : 0;
            e->roundup = up;
            return true;
        }
    }
    e->flags |= FP_IE;
    return false;
}

static int64_t to_signed(struct fp_env *e, struct f80 a, bool truncate, unsigned bits)
{
    uint64_t limit = UINT64_C(1) << (bits - 1), n;

    if (!to_integer(e, a, truncate, limit - 1, limit, &n)) {
        return -(int64_t)(limit - 1) - 1;
    }
    return (int64_t)(a.se & 0x8000 ? 0 - n : n);
}

int16_t f80_to_i16(struct fp_env *e, struct f80 a, bool truncate)
{
    return (int16_t)to_signed(e, a, truncate, 16);
}

int32_t f80_to_i32(struct fp_env *e, struct f80 a, bool truncate)
{
    return (int32_t)to_signed(e, a, truncate, 32);
}

int64_t f80_to_i64(struct fp_env *e, struct f80 a, bool truncate)
{
    return to_signed(e, a, truncate, 64);
}

void f80_to_bcd(struct fp_env *e, struct f80 a, uint8_t bcd[10])
{
    const uint64_t limit = UINT64_C(999999999999999999);
    uint64_t n;

    memset(bcd, 0, 10);
    if (!to_integer(e, a, false, limit, limit, &n)) {
        bcd[7] = 0xc0;
        bcd[8] = bcd[9] = 0xff;
        return;
    }
    for (int i = 0; i < 9; i++) {
        unsigned two = (unsigned)(n % 100);
        n /= 100;
        bcd[i] = (uint8_t)(two / 10 << 4 | two % 10);
    }
    bcd[9] = (uint8_t)(a.se >> 8 & 0x80);
}

/* ---- constants ---------------------------------------------------------------------------- */

struct f80 f80_constant(const struct fp_env *e, unsigned n)
{
    /* The exact value's significand cut to 64 bits, and what follows it. */
    static const struct {
        uint64_t m, rest;
        uint16_t se;
    } constants[8] = {
        {FP_TOP, 0, 0x3fff},                                                  /* 1 */
        {UINT64_C(0xd49a784bcd1b8afe), UINT64_C(0x492bf6ff4dafdb4c), 0x4000}, /* log2(10) */
        {UINT64_C(0xb8aa3b295c17f0bb), UINT64_C(0xbe87fed0691d3e88), 0x3fff}, /* log2(e) */
        {UINT64_C(0xc90fdaa22168c234), UINT64_C(0xc4c6628b80dc1cd1), 0x4000}, /* pi */
        {UINT64_C(0x9a209a84fbcff798), UINT64_C(0x8f8959ac0b7c9178), 0x3ffd}, /* log10(2) */
        {UINT64_C(0xb17217f7d1cf79ab), UINT64_C(0xc9e3b39803f2f6af), 0x3ffe}, /* ln(2) */
        {0, 0, 0},                                                            /* 0 */
        {0, 0, 0},                                                            /* no such one */
    };
    uint64_t m = constants[n & 7].m, rest = constants[n & 7].rest;
    struct fp_cut c = fp_cut(fp_u128(m, rest), 64, e->rounding, false);

    return (struct f80){c.sig, constants[n & 7].se};
}
