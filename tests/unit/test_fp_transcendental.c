/*
 * The transcendental x87 functions of cpu/fp against series summed in 113-bit floating point
 * (__float128 from the compiler's own library, or long double where it has 113 bits), within the
 * promised unit in the last place and on the right side under directed rounding; special operands
 * and flags against the host on x86-64.
 *
 * The reference uses other reductions than cpu/fp does (halving instead of tables) and needs no
 * host libm. Arguments of the circular functions are reduced by the 66-bit pi first, by exact
 * integer arithmetic: that is the documented behavior (see f80_trig.c).
 */
#include <float.h>
#include <string.h>

#include "cpu/fp/fp.h"
#include "tests/t.h"
#include "tests/unit/fp_gen.h"

#if LDBL_MANT_DIG == 113
typedef long double quad;
#define HAVE_QUAD 1
#elif defined(__SIZEOF_FLOAT128__)
__extension__ typedef __float128 quad;
#define HAVE_QUAD 1
#else
#define HAVE_QUAD 0
#endif
__extension__ typedef unsigned __int128 wide;

enum fn { F2XM1, YL2X, YL2XP1, SIN, COS, TAN, ATAN, FN_COUNT };
static const char *const fn_names[] = {"f2xm1", "yl2x", "yl2xp1", "sin", "cos", "tan", "atan"};

/* a = ST0, b = ST1. False: C2. */
static bool ours(enum fn fn, struct fp_env *e, struct f80 a, struct f80 b, struct f80 *r)
{
    switch (fn) {
    case F2XM1:
        *r = f80_f2xm1(e, a);
        return true;
    case YL2X:
        *r = f80_yl2x(e, a, b);
        return true;
    case YL2XP1:
        *r = f80_yl2xp1(e, a, b);
        return true;
    case SIN:
        return f80_sin(e, a, r);
    case COS:
        return f80_cos(e, a, r);
    case TAN:
        return f80_ptan(e, a, r);
    default:
        *r = f80_patan(e, b, a);
        return true;
    }
}

/* A random operand in the function's domain, with exponents around `spread` of zero. */
static struct f80 operand(struct t_rng *rng, int low, int high)
{
    struct f80 a = {fp_gen_pattern(rng) | UINT64_C(1) << 63, 0};
    if (t_rand(rng) & 1) {
        a.m = t_rand(rng) | UINT64_C(1) << 63;
    }
    int exp = low + (int)t_rand_below(rng, (uint64_t)(high - low + 1));
    a.se = (uint16_t)(0x3fff + exp);
    a.se = (uint16_t)(a.se | (t_rand(rng) & 1) << 15);
    return a;
}

#if HAVE_QUAD
/* 2^n for moderate n. */
static quad power2(int n)
{
    quad r = 1, two = n < 0 ? (quad)0.5 : 2;
    for (n = n < 0 ? -n : n; n > 0; n >>= 1, two *= two) {
        r *= n & 1 ? two : 1;
    }
    return r;
}

static quad to_quad(struct f80 a)
{
    quad r = (quad)(uint32_t)(a.m >> 32) * 4294967296.0 + (quad)(uint32_t)a.m;
    r *= power2((a.se & 0x7fff) - 0x3fff - 63);
    return a.se & 0x8000 ? -r : r;
}

static quad ref_sqrt(quad x) /* 0.5 <= x <= 4 */
{
    quad r = 1;
    for (int i = 0; i < 9; i++) {
        r = (r + x / r) / 2;
    }
    return r;
}

static quad ref_expm1(quad x)
{
    quad sum = 0;
    for (int n = 45; n >= 2; n--) { /* 1 + x/2 (1 + x/3 (...)) backward */
        sum = (1 + sum) * x / n;
    }
    return x * (1 + sum);
}

/* atanh by its series; |z| < 0.18 */
static quad ref_atanh(quad z)
{
    quad sum = 0, z2 = z * z;
    for (int n = 61; n >= 1; n -= 2) {
        sum = sum * z2 + (quad)1 / n;
    }
    return z * sum;
}

static quad ref_log1p(quad x) /* 0.5 < 1 + x < 2 */
{
    /* Halve twice: log m = 4 log m^(1/4), kept relative by sqrt(1+x) - 1 = x / (sqrt(1+x) + 1). */
    quad h = x / (ref_sqrt(1 + x) + 1);
    h = h / (ref_sqrt(1 + h) + 1);
    return 4 * 2 * ref_atanh(h / (2 + h));
}

static quad ref_ln2(void)
{
    return -2 * ref_log1p((quad)-0.5 + (quad)0.25) + ref_log1p((quad)0.125); /* 16/9 * 9/8 = 2 */
}

static quad ref_log2(struct f80 x)
{
    int k = (x.se & 0x7fff) - 0x3fff;
    struct f80 m = {x.m, 0x3fff};
    if (x.m > UINT64_C(0xb504f333f9de6484)) {
        m.se--;
        k++;
    }
    return k + ref_log1p(to_quad(m) - 1) / ref_ln2();
}

static quad ref_sin(quad x)
{
    quad sum = 0, x2 = x * x;
    for (int n = 39; n >= 3; n -= 2) {
        sum = (1 - sum) * x2 / (n * (n - 1));
    }
    return x * (1 - sum);
}

static quad ref_cos(quad x)
{
    quad sum = 0, x2 = x * x;
    for (int n = 40; n >= 2; n -= 2) {
        sum = (1 - sum) * x2 / (n * (n - 1));
    }
    return 1 - sum;
}

static quad ref_atan(quad x) /* any x >= 0 up to 1 */
{
    for (int i = 0; i < 4; i++) {
        x = x / (1 + ref_sqrt(1 + x * x));
    }
    quad sum = 0, x2 = x * x;
    for (int n = 41; n >= 1; n -= 2) {
        sum = (quad)1 / n - sum * x2;
    }
    return 16 * x * sum;
}

/* The angle modulo pi66/2, in [-pi/4, pi/4], and the quadrant. */
static quad ref_reduce(struct f80 a, unsigned *quadrant)
{
    const wide half = (wide)3 << 64 | UINT64_C(0x243f6a8885a308d3); /* in units of 2^-65 */
    int exp = (a.se & 0x7fff) - 0x3fff;
    *quadrant = 0;
    a.se &= 0x7fff;
    if (exp < -2) {
        return to_quad(a);
    }
    wide x = (wide)a.m << (exp + 2);
    wide n = x / half, r = x % half;
    bool negative = r > half / 2;
    if (negative) {
        r = half - r;
        n++;
    }
    *quadrant = (unsigned)n & 3;
    quad q = ((quad)(uint64_t)(r >> 64) * 18446744073709551616.0 + (quad)(uint64_t)r) * power2(-65);
    return negative ? -q : q;
}

static quad reference(enum fn fn, struct f80 a, struct f80 b)
{
    quad x, r;
    unsigned quadrant;

    switch (fn) {
    case F2XM1:
        return ref_expm1(to_quad(a) * ref_ln2());
    case YL2X:
        return to_quad(b) * ref_log2(a);
    case YL2XP1:
        return to_quad(b) * ref_log1p(to_quad(a)) / ref_ln2();
    case ATAN:
        x = to_quad(f80_abs(a)), r = to_quad(f80_abs(b));
        if (r > x) {
            x = ref_atan(1) * 2 - ref_atan(x / r);
        } else {
            x = ref_atan(r / x);
        }
        x = a.se & 0x8000 ? 4 * ref_atan(1) - x : x;
        return b.se & 0x8000 ? -x : x;
    default:
        break;
    }
    x = ref_reduce(a, &quadrant);
    quad s = quadrant & 1 ? ref_cos(x) : ref_sin(x);
    quad c = quadrant & 1 ? ref_sin(x) : ref_cos(x);
    s = (quadrant & 2) != 0 ? -s : s;
    c = quadrant == 1 || quadrant == 2 ? -c : c;
    s = a.se & 0x8000 ? -s : s;
    return fn == SIN ? s : fn == COS ? c : s / c;
}

static void check_accuracy(enum fn fn, struct t_rng *rng)
{
    struct f80 a, b = F80_ONE, r = F80_ZERO;

    switch (fn) {
    case F2XM1:
        a = operand(rng, t_rand(rng) & 1 ? -70 : -4, -1);
        break;
    case YL2X:
        a = f80_abs(operand(rng, -3, t_rand(rng) & 1 ? 3 : 1000));
        if (t_rand(rng) & 1) { /* next to 1 */
            a.se = 0x3ffe + (t_rand(rng) & 1);
            a.m = t_rand(rng);
            a.m >>= 1 + t_rand_below(rng, 63);
            a.m ^= a.se & 1 ? 0 : UINT64_MAX;
            a.m |= UINT64_C(1) << 63;
        }
        b = operand(rng, -100, 100);
        break;
    case YL2XP1:
        a = operand(rng, t_rand(rng) & 1 ? -80 : -6, -2);
        b = operand(rng, -100, 100);
        break;
    case ATAN:
        a = operand(rng, -80, 80);
        b = operand(rng, -80, 80);
        if (t_rand(rng) & 1) {
            b.se = (uint16_t)((b.se & 0x8000) | ((a.se & 0x7fff) + t_rand_below(rng, 13) - 6));
        }
        break;
    default:
        a = t_rand(rng) & 1 ? operand(rng, -70, 2) : operand(rng, -3, 62);
        break;
    }
    struct fp_env e = fp_env_x87(0x33f);
    e.rounding = (uint8_t)t_rand_below(rng, 4);
    quad want = reference(fn, a, b);
    if (!EXPECT(ours(fn, &e, a, b, &r))) {
        return;
    }
    quad ulp = power2((r.se & 0x7fff) - 0x3fff - 63);
    quad err = (to_quad(r) - want) / ulp, size = err < 0 ? -err : err;
    quad away = want < 0 ? -err : err; /* > 0: rounded away from zero */
    const quad slack = (quad)0.001;
    bool side = e.rounding == FP_NEAREST ? size <= (quad)0.5 + slack
                : e.rounding == FP_DOWN  ? err <= slack
                : e.rounding == FP_UP    ? err >= -slack
                                         : away <= slack;
    bool exact = want == to_quad(r) && !(e.flags & FP_PE);
    if (size > 1 + slack || !side || (!exact && !(e.flags & FP_PE)) ||
        (e.roundup && away < -slack)) {
        FAIL("%s a=%04x:%016llx b=%04x:%016llx rc %u: %04x:%016llx flags %02x up %d, off by %g ulp",
             fn_names[fn], a.se, (unsigned long long)a.m, b.se, (unsigned long long)b.m, e.rounding,
             r.se, (unsigned long long)r.m, e.flags, e.roundup, (double)err);
    }
}
#endif

TEST(fp_transcendental_accuracy)
{
#if HAVE_QUAD
    struct t_rng rng = {t_seed()};
    uint64_t cases = t_amount(300, 3000, 200000);

    for (enum fn fn = 0; fn < FN_COUNT; fn++) {
        for (uint64_t n = 0; n < cases; n++) {
            check_accuracy(fn, &rng);
        }
    }
    t_cases(FN_COUNT * cases, 0, 0);
#else
    SKIP("no 113-bit floating point on this host");
#endif
}

/* Operands of every class: the functions' special cases. */
static void special_operands(struct t_rng *rng, enum fn fn, struct f80 *a, struct f80 *b)
{
    *a = fp_gen_f80(rng, *b);
    *b = fp_gen_f80(rng, *a);
    if (t_rand(rng) & 1) {
        a->m = UINT64_C(1) << 63;
        a->se = (uint16_t)(0x3fff + t_rand_below(rng, 3) - 1);
        a->se |= t_rand(rng) & 1 ? 0x8000 : 0;
    }
    unsigned field = a->se & 0x7fff;
    bool finite = field != 0x7fff;
    if (fn == F2XM1 && finite && field >= 0x3fff) {
        *a = (struct f80){UINT64_C(1) << 63, (uint16_t)((a->se & 0x8000) | 0x3fff)};
    }
    if (fn == YL2XP1 && finite && field > 0x3ffc) { /* outside the domain: undefined */
        a->se = (uint16_t)((a->se & 0x8000) | (field & 0x1fff));
    }
}

#if defined(__x86_64__)
struct save_image {
    uint32_t cw, sw, tw, fip, fcs, fdp, fds;
    uint8_t st[8][10];
} __attribute__((packed));

static void native(enum fn fn, uint16_t cw, struct f80 a, struct f80 b, struct save_image *image)
{
    uint8_t am[16], bm[16];
    memcpy(am, &a.m, 8);
    memcpy(am + 8, &a.se, 2);
    memcpy(bm, &b.m, 8);
    memcpy(bm + 8, &b.se, 2);
#define RUN(text)                                                                                  \
    __asm__ volatile(                                                                              \
        "fninit\n\tfldt %[b]\n\tfldt %[a]\n\tfnclex\n\tfldcw %[cw]\n\t" text "\n\tfnsave %[image]" \
        : [image] "=m"(*image)                                                                     \
        : [a] "m"(am), [b] "m"(bm), [cw] "m"(cw)                                                   \
        : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")
    switch (fn) {
    case F2XM1:
        RUN("f2xm1");
        break;
    case YL2X:
        RUN("fyl2x");
        break;
    case YL2XP1:
        RUN("fyl2xp1");
        break;
    case SIN:
        RUN("fsin");
        break;
    case COS:
        RUN("fcos");
        break;
    case TAN:
        RUN("fptan");
        break;
    default:
        RUN("fpatan");
        break;
    }
}

static void check_special(enum fn fn, struct f80 a, struct f80 b, uint16_t cw)
{
    struct save_image image;
    struct f80 r = F80_ZERO, host;
    struct fp_env e = fp_env_x87(cw);

    native(fn, cw, a, b, &image);
    bool in_range = ours(fn, &e, a, b, &r);
    unsigned host_flags = image.sw & FP_ALL_FLAGS;
    int slot = fn == TAN && in_range ? 1 : 0;
    memcpy(&host.m, image.st[slot], 8);
    memcpy(&host.se, image.st[slot] + 8, 2);

    if (!(e.flags & FP_PE)) {
        /* The host calls an exact denormal result of FYL2X (a power of two) inexact. */
        host_flags &= e.flags & FP_UE ? FP_ALL_FLAGS : FP_ALL_FLAGS ^ FP_UE;
    }
    bool ok =
        ((host_flags ^ e.flags) & (FP_ALL_FLAGS ^ FP_PE)) == 0 && in_range == !(image.sw & 0x400);
    if (in_range && !fp_env_unmasked(&e)) {
        /* Numbers: within two in the last place, also from one binade to the next. */
        uint64_t apart = host.se == r.se ? host.m - r.m : (host.m << 1) + (r.m << 1);
        bool number = (r.se & 0x7fff) != 0x7fff && r.m != 0;
        ok &= number ? apart + 4 <= 8 || fn >= SIN : apart == 0 && host.se == r.se;
    }
    if (!ok) {
        FAIL("%s a=%04x:%016llx b=%04x:%016llx cw=%04x: host %04x:%016llx sw %04x (st1 %02x%02x), "
             "ours %04x:%016llx flags %02x %d",
             fn_names[fn], a.se, (unsigned long long)a.m, b.se, (unsigned long long)b.m, cw,
             host.se, (unsigned long long)host.m, image.sw, image.st[1][9], image.st[1][8], r.se,
             (unsigned long long)r.m, e.flags, in_range);
    }
}
#endif

TEST(fp_transcendental_special_like_host)
{
#if defined(__x86_64__)
    struct t_rng rng = {t_seed()};
    uint64_t cases = t_amount(3000, 30000, 3000000);
    struct f80 a = F80_ONE, b = F80_ONE;

    for (enum fn fn = 0; fn < FN_COUNT; fn++) {
        for (uint64_t n = 0; n < cases; n++) {
            special_operands(&rng, fn, &a, &b);
            check_special(fn, a, b, 0x37f);
        }
    }
    t_cases(FN_COUNT * cases, 0, 0);
#else
    SKIP("the host is not x86-64");
#endif
}

/* The same on every host. */
TEST(fp_transcendental_digest)
{
    struct t_rng rng = {1};
    struct f80 a = F80_ONE, b = F80_ONE;
    uint64_t digest = 0;

    for (enum fn fn = 0; fn < FN_COUNT; fn++) {
        for (unsigned n = 0; n < 3000; n++) {
            struct fp_env e = fp_env_x87((uint16_t)(0x33f | (t_rand(&rng) & 3) << 10));
            struct f80 r = F80_ZERO;
            if (n & 1) {
                special_operands(&rng, fn, &a, &b);
            } else {
                a = operand(&rng, -20, 4);
                b = operand(&rng, -20, 20);
            }
            bool in_range = ours(fn, &e, a, b, &r);
            digest = fp_digest(digest, r.m);
            digest = fp_digest(digest, r.se | (uint64_t)e.flags << 16 | (uint64_t)in_range << 24 |
                                           (uint64_t)e.roundup << 25);
        }
    }
    EXPECT_EQ(digest, UINT64_C(0x3f9c96602862f5a5));
}
