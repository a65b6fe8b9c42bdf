/*
 * SSE, FMA and F16C arithmetic of cpu/fp against the host's own, on x86-64: results and MXCSR
 * flags over operands biased to extremes, every rounding mode, FTZ, DAZ and exception mask.
 * Unmasked exceptions are taken as SIGFPE, whose context shows MXCSR as the instruction left it.
 *
 * On every host the results of a fixed part of the cases are folded into digests that were
 * recorded on hardware, so that other hosts are held to the same bits.
 */
#include "cpu/fp/fp.h"
#include "tests/t.h"
#include "tests/unit/fp_gen.h"

/* One case: operands, control, and what came out. */
struct sse_case {
    uint64_t a, b, c;
    uint32_t mxcsr;
    unsigned imm;
    uint64_t result;
    uint32_t flags;
};

typedef uint64_t soft_fn(struct fp_env *e, const struct sse_case *t);
typedef void native_fn(struct sse_case *t);

#define SOFT(name, expr)                                                                           \
    static uint64_t soft_##name(struct fp_env *e, const struct sse_case *t)                        \
    {                                                                                              \
        return (uint64_t)(expr);                                                                   \
    }
#define A32 ((uint32_t)t->a)
#define B32 ((uint32_t)t->b)
#define C32 ((uint32_t)t->c)
/* What a scalar single operation leaves in place. */
#define HIGH(a) ((a)&UINT64_C(0xffffffff00000000))

#if defined(__x86_64__)
#include <signal.h>
#include <string.h>
#include <ucontext.h>

static volatile uint32_t trapped_mxcsr;
static volatile bool trapped;

static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)sig;
    (void)info;
    trapped_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
    trapped = true;
    uc->uc_mcontext.fpregs->mxcsr = 0x1f80; /* the instruction runs again, masked */
}

/* The body of every native operation: x0 = a, x1 = b, x2 = c, result from x0 or rax. */
#define NATIVE(name, text, ...)                                                                    \
    static void native_##name(struct sse_case *t)                                                  \
    {                                                                                              \
        uint64_t r = t->a;                                                                         \
        uint32_t after, quiet = 0x1f80, before = t->mxcsr;                                         \
        __asm__ volatile("movq %[a], %%xmm0\n\tmovq %[b], %%xmm1\n\tmovq %[c], %%xmm2\n\t"         \
                         "ldmxcsr %[before]\n\t" text "\n\tstmxcsr %[after]\n\t"                   \
                         "ldmxcsr %[quiet]\n\t" __VA_ARGS__                                        \
                         : [r] "=&a"(r), [after] "=m"(after)                                       \
                         : [a] "m"(t->a), [b] "m"(t->b), [c] "m"(t->c), [before] "m"(before),      \
                           [quiet] "m"(quiet)                                                      \
                         : "xmm0", "xmm1", "xmm2", "memory", "cc");                                \
        t->result = r;                                                                             \
        t->flags = after & 0x3f;                                                                   \
    }
#define FROM_X0         "movq %%xmm0, %[r]"
#define NATIVE_OF(name) native_##name
#else
#define NATIVE(name, text, ...)
#define NATIVE_OF(name) NULL
#endif

#define BOTH(name, expr, text)                                                                     \
    SOFT(name, expr)                                                                               \
    NATIVE(name, text, FROM_X0)
#define BOTH_INT(name, expr, text)                                                                 \
    SOFT(name, expr)                                                                               \
    NATIVE(name, text, "")

/* What LAHF shows after COMISS: ZF PF CF, and bit 1. */
static uint64_t comi_flags(enum fp_rel rel)
{
    return rel == FP_UNORDERED ? 0x47 : rel == FP_LESS ? 0x03 : rel == FP_EQUAL ? 0x42 : 0x02;
}

// clang-format off
BOTH(f32_add, f32_add(e, A32, B32), "addss %%xmm1, %%xmm0")
BOTH(f32_sub, f32_sub(e, A32, B32), "subss %%xmm1, %%xmm0")
BOTH(f32_mul, f32_mul(e, A32, B32), "mulss %%xmm1, %%xmm0")
BOTH(f32_div, f32_div(e, A32, B32), "divss %%xmm1, %%xmm0")
BOTH(f32_min, f32_min(e, A32, B32), "minss %%xmm1, %%xmm0")
BOTH(f32_max, f32_max(e, A32, B32), "maxss %%xmm1, %%xmm0")
BOTH(f32_sqrt, f32_sqrt(e, A32), "sqrtss %%xmm0, %%xmm0")
BOTH(f64_add, f64_add(e, t->a, t->b), "addsd %%xmm1, %%xmm0")
BOTH(f64_sub, f64_sub(e, t->a, t->b), "subsd %%xmm1, %%xmm0")
BOTH(f64_mul, f64_mul(e, t->a, t->b), "mulsd %%xmm1, %%xmm0")
BOTH(f64_div, f64_div(e, t->a, t->b), "divsd %%xmm1, %%xmm0")
BOTH(f64_min, f64_min(e, t->a, t->b), "minsd %%xmm1, %%xmm0")
BOTH(f64_max, f64_max(e, t->a, t->b), "maxsd %%xmm1, %%xmm0")
BOTH(f64_sqrt, f64_sqrt(e, t->a), "sqrtsd %%xmm0, %%xmm0")

/* 132: x0 * x1 + x2 as written; 213: x1 * x0 + x2; 231: x1 * x2 + x0. */
BOTH(f32_fmadd, f32_fma(e, A32, B32, C32, 0), "vfmadd132ss %%xmm1, %%xmm2, %%xmm0")
BOTH(f32_fmsub, f32_fma(e, A32, B32, C32, FP_NEG_ADDEND), "vfmsub132ss %%xmm1, %%xmm2, %%xmm0")
BOTH(f64_fmadd, f64_fma(e, t->a, t->b, t->c, 0), "vfmadd132sd %%xmm1, %%xmm2, %%xmm0")
BOTH(f64_fmsub, f64_fma(e, t->a, t->b, t->c, FP_NEG_ADDEND), "vfmsub132sd %%xmm1, %%xmm2, %%xmm0")
BOTH(f64_fnmadd, f64_fma(e, t->a, t->b, t->c, FP_NEG_PRODUCT),
     "vfnmadd132sd %%xmm1, %%xmm2, %%xmm0")
BOTH(f64_fnmsub, f64_fma(e, t->a, t->b, t->c, FP_NEG_PRODUCT | FP_NEG_ADDEND),
     "vfnmsub132sd %%xmm1, %%xmm2, %%xmm0")
BOTH(f64_fmadd213, f64_fma(e, t->b, t->a, t->c, 0), "vfmadd213sd %%xmm2, %%xmm1, %%xmm0")
BOTH(f64_fmadd231, f64_fma(e, t->b, t->c, t->a, 0), "vfmadd231sd %%xmm2, %%xmm1, %%xmm0")

BOTH_INT(f32_comi, comi_flags(f32_compare(e, A32, B32, true)),
         "comiss %%xmm1, %%xmm0\n\tlahf\n\tmovzbl %%ah, %%eax")
BOTH_INT(f64_comi, comi_flags(f64_compare(e, t->a, t->b, true)),
         "comisd %%xmm1, %%xmm0\n\tlahf\n\tmovzbl %%ah, %%eax")
BOTH_INT(f32_ucomi, comi_flags(f32_compare(e, A32, B32, false)),
         "ucomiss %%xmm1, %%xmm0\n\tlahf\n\tmovzbl %%ah, %%eax")
BOTH_INT(f64_ucomi, comi_flags(f64_compare(e, t->a, t->b, false)),
         "ucomisd %%xmm1, %%xmm0\n\tlahf\n\tmovzbl %%ah, %%eax")

BOTH(f32_to_f64, f32_to_f64(e, A32), "cvtss2sd %%xmm0, %%xmm0")
BOTH(f64_to_f32, HIGH(t->a) | f64_to_f32(e, t->a),
     "cvtsd2ss %%xmm0, %%xmm0")
BOTH(f16_to_f32, f16_to_f32(e, (uint16_t)t->a), "vcvtph2ps %%xmm0, %%xmm0")
BOTH_INT(f32_to_i32, (uint32_t)f32_to_i32(e, A32, false), "cvtss2si %%xmm0, %%eax")
BOTH_INT(f32_to_i64, f32_to_i64(e, A32, false), "cvtss2si %%xmm0, %%rax")
BOTH_INT(f64_to_i32, (uint32_t)f64_to_i32(e, t->a, false), "cvtsd2si %%xmm0, %%eax")
BOTH_INT(f64_to_i64, f64_to_i64(e, t->a, false), "cvtsd2si %%xmm0, %%rax")
BOTH_INT(f32_tt_i32, (uint32_t)f32_to_i32(e, A32, true), "cvttss2si %%xmm0, %%eax")
BOTH_INT(f32_tt_i64, f32_to_i64(e, A32, true), "cvttss2si %%xmm0, %%rax")
BOTH_INT(f64_tt_i32, (uint32_t)f64_to_i32(e, t->a, true), "cvttsd2si %%xmm0, %%eax")
BOTH_INT(f64_tt_i64, f64_to_i64(e, t->a, true), "cvttsd2si %%xmm0, %%rax")
BOTH(f32_from_i32, HIGH(t->a) | f32_from_i32(e, (int32_t)A32), "cvtsi2ssl %[a], %%xmm0")
BOTH(f32_from_i64, HIGH(t->a) | f32_from_i64(e, (int64_t)t->a), "cvtsi2ssq %[a], %%xmm0")
BOTH(f64_from_i32, f64_from_i32(e, (int32_t)A32), "cvtsi2sdl %[a], %%xmm0")
BOTH(f64_from_i64, f64_from_i64(e, (int64_t)t->a), "cvtsi2sdq %[a], %%xmm0")

#define EACH4(M) M(0) M(1) M(2) M(3)
#define EACH8(M) EACH4(M) M(4) M(5) M(6) M(7)
#define EACH16(M) EACH8(M) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
#define EACH32(M) EACH16(M) M(16) M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) \
                  M(27) M(28) M(29) M(30) M(31)
#define ROUND(n) BOTH(f32_round##n, f32_round(e, A32, n), "roundss $" #n ", %%xmm0, %%xmm0") \
                 BOTH(f64_round##n, f64_round(e, t->a, n), "roundsd $" #n ", %%xmm0, %%xmm0")
EACH16(ROUND)
#define HALF(n) BOTH(f32_to_f16_##n, f32_to_f16(e, A32, n), "vcvtps2ph $" #n ", %%xmm0, %%xmm0")
EACH8(HALF)
#define PRED(n) BOTH(f32_pred##n, f32_cmp_pred(e, A32, B32, n) ? 0xffffffff : 0,  \
                     "vcmpss $" #n ", %%xmm1, %%xmm0, %%xmm0")                    \
                BOTH(f64_pred##n, f64_cmp_pred(e, t->a, t->b, n) ? UINT64_MAX : 0,\
                     "vcmpsd $" #n ", %%xmm1, %%xmm0, %%xmm0")
EACH32(PRED)


enum { IN32, IN64, IN16, ININT };
struct sse_op {
    const char *name;
    soft_fn *soft;
    native_fn *native;
    unsigned input;
};
#define OP(name, input) {#name, soft_##name, NATIVE_OF(name), input},
#define ROUND_OP(n) OP(f32_round##n, IN32) OP(f64_round##n, IN64)
#define HALF_OP(n) OP(f32_to_f16_##n, IN32)
#define PRED_OP(n) OP(f32_pred##n, IN32) OP(f64_pred##n, IN64)

static const struct sse_op ops[] = {
    OP(f32_add, IN32) OP(f32_sub, IN32) OP(f32_mul, IN32) OP(f32_div, IN32)
    OP(f32_min, IN32) OP(f32_max, IN32) OP(f32_sqrt, IN32)
    OP(f64_add, IN64) OP(f64_sub, IN64) OP(f64_mul, IN64) OP(f64_div, IN64)
    OP(f64_min, IN64) OP(f64_max, IN64) OP(f64_sqrt, IN64)
    OP(f32_fmadd, IN32) OP(f32_fmsub, IN32) OP(f64_fmadd, IN64) OP(f64_fmsub, IN64)
    OP(f64_fnmadd, IN64) OP(f64_fnmsub, IN64) OP(f64_fmadd213, IN64) OP(f64_fmadd231, IN64)
    OP(f32_comi, IN32) OP(f64_comi, IN64) OP(f32_ucomi, IN32) OP(f64_ucomi, IN64)
    OP(f32_to_f64, IN32) OP(f64_to_f32, IN64) OP(f16_to_f32, IN16)
    OP(f32_to_i32, IN32) OP(f32_to_i64, IN32) OP(f64_to_i32, IN64) OP(f64_to_i64, IN64)
    OP(f32_tt_i32, IN32) OP(f32_tt_i64, IN32) OP(f64_tt_i32, IN64) OP(f64_tt_i64, IN64)
    OP(f32_from_i32, ININT) OP(f32_from_i64, ININT) OP(f64_from_i32, ININT)
    OP(f64_from_i64, ININT)
    EACH16(ROUND_OP) EACH8(HALF_OP) EACH32(PRED_OP)
};
// clang-format on

static void generate(struct t_rng *rng, const struct sse_op *op, struct sse_case *t)
{
    static const struct {
        unsigned bits, exp_bits;
    } formats[] = {[IN32] = {24, 8}, [IN64] = {53, 11}, [IN16] = {11, 5}};

    if (op->input == ININT) {
        t->a = fp_gen_pattern(rng);
    } else {
        unsigned bits = formats[op->input].bits, exp_bits = formats[op->input].exp_bits;
        t->a = fp_gen(rng, bits, exp_bits, t_rand(rng));
        t->b = fp_gen(rng, bits, exp_bits, t->a);
        /* Sometimes the third operand is near the exponent of the product of the others. */
        uint64_t bias = ((UINT64_C(1) << (exp_bits - 1)) - 1) << (bits - 1);
        uint64_t product = t->a + t->b - bias;
        t->c = fp_gen(rng, bits, exp_bits, t_rand(rng) & 1 ? product : t->b);
    }
    uint64_t r = t_rand(rng);
    t->mxcsr = (uint32_t)(r & 3) << 13 | (r >> 2 & 3 ? 0 : 0x8000) | (r >> 4 & 3 ? 0 : 0x40);
    t->mxcsr |= (uint32_t)(r >> 6 & 3 ? FP_ALL_FLAGS : r >> 8 & FP_ALL_FLAGS) << 7;
}

static void run_soft(const struct sse_op *op, const struct sse_case *t, uint64_t *result,
                     uint32_t *flags, bool *fault)
{
    struct fp_env e = fp_env_sse(t->mxcsr);
    *result = op->soft(&e, t);
    *flags = fp_sse_flags(&e);
    *fault = fp_env_unmasked(&e);
}

#if defined(__x86_64__)
static void install_handler(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = on_sigfpe;
    sa.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &sa, NULL);
}

/* True when the host agrees. */
static bool check_case(const struct sse_op *op, struct sse_case *t)
{
    uint64_t result;
    uint32_t flags;
    bool fault;

    trapped = false;
    op->native(t);
    if (trapped) {
        t->flags = trapped_mxcsr & 0x3f;
    }
    run_soft(op, t, &result, &flags, &fault);
    if (fault == trapped && flags == t->flags && (fault || result == t->result)) {
        return true;
    }
    FAIL("%s a=%016llx b=%016llx c=%016llx mxcsr=%04x: host %016llx flags %02x trap %d, "
         "ours %016llx flags %02x trap %d",
         op->name, (unsigned long long)t->a, (unsigned long long)t->b, (unsigned long long)t->c,
         t->mxcsr, (unsigned long long)t->result, t->flags, trapped, (unsigned long long)result,
         flags, fault);
    return false;
}
#endif

TEST(fp_sse_like_host)
{
#if defined(__x86_64__)
    unsigned long passed = 0, failed = 0;
    uint64_t cases = t_amount(10000, 200000, 5000000);

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        SKIP("the host has no AVX2 and FMA");
        return;
    }
    install_handler();
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct t_rng rng = {t_seed() + i * 1000003};
        unsigned long bad = 0;
        for (uint64_t n = 0; n < cases && bad < 4; n++) {
            struct sse_case t = {0};
            generate(&rng, &ops[i], &t);
            bad += !check_case(&ops[i], &t);
            passed++;
        }
        passed -= bad;
        failed += bad;
    }
    t_cases(passed, failed, 0);
#else
    SKIP("the host is not x86-64");
#endif
}

/* The same on every host: what fp_sse_like_host verified, as one number. */
TEST(fp_sse_digest)
{
    uint64_t digest = 0;

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct t_rng rng = {1 + i * 1000003};
        for (unsigned n = 0; n < 2000; n++) {
            struct sse_case t = {0};
            uint64_t result;
            uint32_t flags;
            bool fault;
            generate(&rng, &ops[i], &t);
            run_soft(&ops[i], &t, &result, &flags, &fault);
            digest = fp_digest(digest, fault ? 0 : result);
            digest = fp_digest(digest, flags | (fault ? 0x80 : 0));
        }
    }
    EXPECT_EQ(digest, UINT64_C(0x1d93bbd9cf701c7a));
}

static double as_double(uint32_t bits)
{
    union {
        uint32_t u;
        float f;
    } pun = {bits};
    return pun.f;
}

/* The estimates keep the bound that the manual gives: relative error at most 1.5 * 2^-12. */
TEST(fp_sse_estimates)
{
    struct t_rng rng = {t_seed()};

    for (unsigned n = 0; n < 100000; n++) {
        uint32_t a = 0x01000000 + (uint32_t)t_rand_below(&rng, 0x7c000000); /* away from the ends */
        double x = as_double(a), rcp = as_double(f32_rcp(a)), rsqrt = as_double(f32_rsqrt(a));
        double err = rcp * x - 1, err2 = rsqrt * rsqrt * x - 1;
        if (!EXPECT(err <= 1.5 / 4096 && err >= -1.5 / 4096) ||
            !EXPECT(err2 <= 3.0 / 4096 && err2 >= -3.0 / 4096)) {
            return;
        }
    }
    EXPECT_EQ(f32_rcp(0x80000000), 0xff800000);
    EXPECT_EQ(f32_rcp(0x00000001), 0x7f800000);
    EXPECT_EQ(f32_rcp(0x7f7fffff), 0);
    EXPECT_EQ(f32_rcp(0xff800000), 0x80000000);
    EXPECT_EQ(f32_rcp(0x7f800001), 0x7fc00001);
    EXPECT_EQ(f32_rsqrt(0x40800000), 0x3f000000);
    EXPECT_EQ(f32_rsqrt(0xc0800000), F32_INDEFINITE);
    EXPECT_EQ(f32_rsqrt(0x80000000), 0xff800000);
    EXPECT_EQ(f32_rsqrt(0x7f800000), 0);
}
