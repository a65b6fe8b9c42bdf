/*
 * FSIN, FCOS, FSINCOS, FPTAN, FPATAN.
 *
 * Argument reduction is by the 66-bit pi that Intel documents (SDM vol. 1, 8.3.8): pi66 =
 * 0.C90FDAA22168C234C * 2^2. It is exact integer arithmetic here, so that the result is that of
 * the reduced argument to within one unit in the last place. Below pi/4 nothing is reduced. Beyond
 * 2^63 the operand is refused with C2.
 *
 * sin r = r S(r^2) and cos r = C(r^2) by Taylor series; tan as their quotient. atan(n/d) with
 * n <= d is atan(i/8) for the nearest i, from a table, and the series of the small rest
 * atan((8n - i d) / (8d + i n)).
 */
#include "cpu/fp/wide.h"

/* pi66 / 2 in units of 2^-65: the 66-bit integer 0x3243f6a8885a308d3. */
#define HALF_PI66 ((u128)0x3 << 64 | UINT64_C(0x243f6a8885a308d3))

/* Below 2^-36 the cube term is under 2^-74 of the first: only its sign matters. */
#define TINY_EXP (-36)

/* A reduced angle: the operand's magnitude is quadrant * pi/2 + r. */
struct angle {
    struct fp_exact r; /* |r| <= pi/4 */
    unsigned quadrant;
};

static struct angle reduce(struct fp_num a)
{
    struct angle t = {fp_exact_from(a), 0};

    t.r.sign = false;
    if (a.exp < -2) {
        return t;
    }
    u128 x = (u128)a.sig << (a.exp + 2); /* in units of 2^-65; exp <= 62 */
    u128 q = x / HALF_PI66, r = x % HALF_PI66;
    bool negative = r > HALF_PI66 / 2;

    if (negative) {
        r = HALF_PI66 - r;
        q++;
    }
    t.quadrant = (unsigned)q & 3;
    t.r = wide_normalize(r, 127 - 65, negative); /* never 0: pi66's integer is odd */
    return t;
}

/* A factor of a series as a number: just below one when it has been rounded to one. */
static struct fp_exact factor(u128 q)
{
    return wide_normalize(q == Q127_ONE ? q - 1 : q, 0, false);
}

static struct fp_exact wide_sin(struct fp_exact r)
{
    u128 q = wide_to_q127(r), z = q127_mul(q, q), s = Q127_ONE;

    for (unsigned n = 24; n >= 2; n -= 2) {
        s = Q127_ONE - q127_mul(z, s) / (n * (n + 1));
    }
    return wide_mul(r, factor(s));
}

static struct fp_exact wide_cos(struct fp_exact r)
{
    u128 q = wide_to_q127(r), z = q127_mul(q, q), s = Q127_ONE;

    for (unsigned n = 25; n > 1;) {
        n -= 2;
        s = Q127_ONE - q127_mul(z, s) / (n * (n + 1));
    }
    return factor(s);
}

/*
 * What the four have in common before the computation. Returns false when the operand is out of
 * range. *done: *r holds the result (NaN, or the operand itself) already.
 */
static bool trig_special(struct fp_env *e, struct f80 abits, struct fp_num *a, struct f80 *r,
                         bool *done)
{
    *done = true;
    if (f80_is_unsupported(abits)) {
        *r = f80_invalid(e);
        return true;
    }
    *a = f80_unpack(abits);
    if (fp_is_nan(*a)) {
        *r = f80_nan(e, *a, *a);
    } else if (a->kind == FP_KIND_INF) {
        *r = f80_invalid(e);
    } else if (a->kind == FP_KIND_FINITE && a->exp >= 63) {
        return false;
    } else if (fp_raise_denormal(e, a->denormal)) {
        *r = F80_ZERO;
    } else {
        *done = false;
    }
    return true;
}

static struct f80 sin_of(struct fp_env *e, struct fp_num a)
{
    if (a.kind == FP_KIND_ZERO) {
        return f80_pack_zero(a.sign);
    }
    struct angle t = reduce(a);
    struct fp_exact s = t.quadrant & 1 ? wide_cos(t.r) : wide_sin(t.r);
    s.sign ^= (t.quadrant & 2) != 0;
    s.sign ^= a.sign;
    return wide_pack_inexact(e, s);
}

static struct f80 cos_of(struct fp_env *e, struct fp_num a)
{
    if (a.kind == FP_KIND_ZERO) {
        return F80_ONE;
    }
    struct angle t = reduce(a);
    struct fp_exact c = t.quadrant & 1 ? wide_sin(t.r) : wide_cos(t.r);
    c.sign ^= t.quadrant == 1 || t.quadrant == 2;
    return wide_pack_inexact(e, c);
}

bool f80_sin(struct fp_env *e, struct f80 abits, struct f80 *r)
{
    struct fp_num a = {0};
    bool done;

    if (!trig_special(e, abits, &a, r, &done)) {
        return false;
    }
    if (!done) {
        *r = sin_of(e, a);
    }
    return true;
}

bool f80_cos(struct fp_env *e, struct f80 abits, struct f80 *r)
{
    struct fp_num a = {0};
    bool done;

    if (!trig_special(e, abits, &a, r, &done)) {
        return false;
    }
    if (!done) {
        *r = cos_of(e, a);
    }
    return true;
}

bool f80_sincos(struct fp_env *e, struct f80 abits, struct f80 *s, struct f80 *c)
{
    struct fp_num a = {0};
    bool done;

    if (!trig_special(e, abits, &a, s, &done)) {
        return false;
    }
    if (done) {
        *c = *s;
        return true;
    }
    *s = sin_of(e, a);
    *c = cos_of(e, a);
    return true;
}

bool f80_ptan(struct fp_env *e, struct f80 abits, struct f80 *r)
{
    struct fp_num a = {0};
    bool done;

    if (!trig_special(e, abits, &a, r, &done)) {
        return false;
    }
    if (done) {
        return true;
    }
    if (a.kind == FP_KIND_ZERO) {
        *r = abits;
        return true;
    }
    struct angle t = reduce(a);
    struct fp_exact q;
    if (t.quadrant & 1) {
        q = wide_div(wide_cos(t.r), wide_sin(t.r));
        q.sign = !q.sign;
    } else {
        q = t.r.exp < TINY_EXP ? t.r : wide_div(wide_sin(t.r), wide_cos(t.r));
    }
    q.sign ^= a.sign;
    *r = wide_pack_inexact(e, q); /* the sticky bit makes a tiny result just above its operand */
    return true;
}

/* ---- FPATAN ------------------------------------------------------------------------------- */

#define U128(hi, lo) ((u128)UINT64_C(hi) << 64 | UINT64_C(lo))

static const struct fp_exact pi = {U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1), 1, false};
static const struct fp_exact half_pi = {U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1), 0, false};

/* atan(i/8) */
static const struct fp_exact atan_table[9] = {
    {0, 0, false},
    {U128(0xfeadd4d5617b6e32, 0xc897989f3e888ef7), -4, false},
    {U128(0xfadbafc96406eb15, 0x6dc79ef5f7a217e5), -3, false},
    {U128(0xb7b0ca0f26f78473, 0x8aa32122dcfe4483), -2, false},
    {U128(0xed63382b0dda7b45, 0x6fe445ecbc3a8d03), -2, false},
    {U128(0x8f005d5ef7f59f9b, 0x5c835e1665c43747), -1, false},
    {U128(0xa4bc7d1934f70924, 0x19a87f2a457dac9e), -1, false},
    {U128(0xb8053e2bc2319e73, 0xcb2da55210a4443d), -1, false},
    {U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1), -1, false},
};

/* atan(z) for |z| <= 1/15. */
static struct fp_exact atan_series(struct fp_exact z)
{
    u128 q = wide_to_q127(z), z2 = q127_mul(q, q), s = Q127_ONE / 21;

    for (unsigned n = 21; n > 1;) {
        n -= 2;
        s = Q127_ONE / n - q127_mul(z2, s);
    }
    return wide_mul(z, factor(s));
}

/* atan(n / d) for 0 < n <= d. */
static struct fp_exact atan_ratio(struct fp_num n, struct fp_num d)
{
    int32_t apart = d.exp - n.exp;

    if (apart > 4) { /* n/d < 1/16 */
        return atan_series(wide_div(fp_exact_from(n), fp_exact_from(d)));
    }
    /* Both as integers over one scale, with room for the factor 9. */
    u128 den = (u128)d.sig << 56, num = ((u128)n.sig << 56) >> apart;
    unsigned i = (unsigned)((8 * num + den / 2) / den);
    u128 bottom = 8 * den + i * num;
    bool negative = 8 * num < i * den;
    u128 top = negative ? i * den - 8 * num : 8 * num - i * den;

    if (top == 0) {
        return atan_table[i];
    }
    struct fp_exact z =
        wide_div(wide_normalize(top, 127, negative), wide_normalize(bottom, 127, false));
    struct fp_exact rest = atan_series(z);
    return i == 0 ? rest : fp_exact_add(atan_table[i], rest);
}

/* The angle of a point with an infinite coordinate, or on an axis: a multiple of pi/4, from 0 to
 * 4; -1 for any other point. */
static int special_angle(struct fp_num y, struct fp_num x)
{
    if (y.kind == FP_KIND_INF) {
        return x.kind != FP_KIND_INF ? 2 : x.sign ? 3 : 1;
    }
    if (y.kind == FP_KIND_ZERO || x.kind == FP_KIND_INF) {
        return x.sign ? 4 : 0;
    }
    return x.kind == FP_KIND_ZERO ? 2 : -1;
}

struct f80 f80_patan(struct fp_env *e, struct f80 ybits, struct f80 xbits)
{
    if (f80_is_unsupported(xbits) || f80_is_unsupported(ybits)) {
        return f80_invalid(e);
    }
    struct fp_num x = f80_unpack(xbits), y = f80_unpack(ybits);

    if (fp_is_nan(x) || fp_is_nan(y)) {
        return f80_nan(e, x, y);
    }
    if (fp_raise_denormal(e, x.denormal || y.denormal)) {
        return F80_ZERO;
    }
    struct fp_exact r;
    int angle = special_angle(y, x);
    if (angle == 0) {
        return f80_pack_zero(y.sign);
    }
    if (angle > 0) {
        r = angle == 4 ? pi : half_pi;
        if (angle & 1) { /* pi/4, 3 pi/4 */
            r.exp = -1;
            if (angle == 3) {
                r = fp_exact_add(half_pi, r);
            }
        }
    } else {
        bool steep = y.exp > x.exp || (y.exp == x.exp && y.sig > x.sig);
        r = steep ? atan_ratio(x, y) : atan_ratio(y, x);
        r.sign = false;
        if (steep) { /* pi/2 - r, or pi/2 + r for a negative x */
            r.sign = !x.sign;
            r = fp_exact_add(half_pi, r);
        } else if (x.sign) {
            r.sign = true;
            r = fp_exact_add(pi, r);
        }
    }
    r.sign = y.sign;
    return wide_pack_inexact(e, r);
}
