/*
 * The x87 arithmetic of cpu/fp against the host's own, on x86-64: results, status word flags, C1
 * and the other condition codes, over operands of every class (unsupported encodings too), all
 * rounding modes, precisions and exception masks. FNSAVE shows the outcome before a pending
 * unmasked exception could trap. Transcendentals are in test_fp_transcendental.c.
 *
 * On every host the results of a fixed part of the cases are folded into a digest that was
 * recorded when it agreed with hardware.
 */
#include <string.h>

#include "cpu/fp/fp.h"
#include "tests/t.h"
#include "tests/unit/fp_gen.h"

/* Operands and control; then what came out: up to two registers or a memory result. */
struct x87_case {
    struct f80 a, b; /* ST0, ST1 before */
    uint8_t mem[16]; /* memory operand, before and after */
    uint16_t cw;
    struct f80 st0, st1; /* after */
    uint16_t sw;         /* exception flags and condition codes, as far as the operation has them */
};

enum { C0 = 0x100, C1 = 0x200, C2 = 0x400, C3 = 0x4000, CC = C0 | C1 | C2 | C3 };

/* How the outcome of an operation is judged. */
enum x87_shape {
    REG,     /* new ST0 in st0 */
    POP_MEM, /* FSTP to memory: mem, nothing on failure */
    LOAD,    /* pushes: new ST0 */
    COMPARE, /* condition codes only */
    TWO,     /* pushes, st0 and st1 */
};

typedef void soft_fn(struct fp_env *e, struct x87_case *t);
typedef void native_fn(struct x87_case *t);

struct x87_op {
    const char *name;
    soft_fn *soft;
    native_fn *native;
    enum x87_shape shape;
    unsigned mem; /* what the memory operand is: 0 none, else bits; 1 = BCD */
};

static uint32_t mem32(const struct x87_case *t)
{
    return t->mem[0] | (uint32_t)t->mem[1] << 8 | (uint32_t)t->mem[2] << 16 |
           (uint32_t)t->mem[3] << 24;
}

static uint64_t mem64(const struct x87_case *t)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | t->mem[i];
    }
    return v;
}

static void put(struct x87_case *t, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        t->mem[i] = (uint8_t)(v >> (8 * i));
    }
}

static uint16_t relation(enum fp_rel rel)
{
    return rel == FP_UNORDERED ? C3 | C2 | C0 : rel == FP_LESS ? C0 : rel == FP_EQUAL ? C3 : 0;
}

static void put_rem(struct x87_case *t, struct f80_rem r)
{
    t->st0 = r.value;
    t->sw = (uint16_t)((r.quotient & 4 ? C0 : 0) | (r.quotient & 2 ? C3 : 0) |
                       (r.quotient & 1 ? C1 : 0) | (r.partial ? C2 : 0));
}

#if defined(__x86_64__)
/* The FNSAVE image in 32-bit protected format. */
struct save_image {
    uint32_t cw, sw, tw, fip, fcs, fdp, fds;
    uint8_t st[8][10];
} __attribute__((packed));

static struct f80 from_bytes(const uint8_t *p)
{
    struct f80 a;
    memcpy(&a.m, p, 8);
    memcpy(&a.se, p + 8, 2);
    return a;
}

#define NATIVE(name, text)                                                                         \
    static void native_##name(struct x87_case *t)                                                  \
    {                                                                                              \
        struct save_image image;                                                                   \
        uint8_t a[16], b[16];                                                                      \
        memcpy(a, &t->a.m, 8);                                                                     \
        memcpy(a + 8, &t->a.se, 2);                                                                \
        memcpy(b, &t->b.m, 8);                                                                     \
        memcpy(b + 8, &t->b.se, 2);                                                                \
        __asm__ volatile("fninit\n\tfldt %[b]\n\tfldt %[a]\n\tfnclex\n\tfldcw %[cw]\n\t" text      \
                         "\n\tfnsave %[image]"                                                     \
                         : [image] "=m"(image), [mem] "+m"(t->mem)                                 \
                         : [a] "m"(a), [b] "m"(b), [cw] "m"(t->cw)                                 \
                         : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",      \
                           "st(6)", "st(7)");                                                      \
        t->st0 = from_bytes(image.st[0]);                                                          \
        t->st1 = from_bytes(image.st[1]);                                                          \
        t->sw = (uint16_t)image.sw;                                                                \
    }
#define NATIVE_OF(name) native_##name
#else
#define NATIVE(name, text)
#define NATIVE_OF(name) NULL
#endif

#define BOTH(name, text, ...)                                                                      \
    static void soft_##name(struct fp_env *e, struct x87_case *t)                                  \
    {                                                                                              \
        (void)e;                                                                                   \
        __VA_ARGS__;                                                                               \
    }                                                                                              \
    NATIVE(name, text)

// clang-format off
BOTH(add, "fadd %%st(1), %%st", t->st0 = f80_add(e, t->a, t->b))
BOTH(sub, "fsub %%st(1), %%st", t->st0 = f80_sub(e, t->a, t->b))
BOTH(subr, "fsubr %%st(1), %%st", t->st0 = f80_sub(e, t->b, t->a))
BOTH(mul, "fmul %%st(1), %%st", t->st0 = f80_mul(e, t->a, t->b))
BOTH(div, "fdiv %%st(1), %%st", t->st0 = f80_div(e, t->a, t->b))
BOTH(divr, "fdivr %%st(1), %%st", t->st0 = f80_div(e, t->b, t->a))
BOTH(sqrt, "fsqrt", t->st0 = f80_sqrt(e, t->a))
BOTH(rndint, "frndint", t->st0 = f80_round_to_int(e, t->a))
BOTH(scale, "fscale", t->st0 = f80_scale(e, t->a, t->b))
BOTH(prem, "fprem", put_rem(t, f80_prem(e, t->a, t->b)))
BOTH(prem1, "fprem1", put_rem(t, f80_prem1(e, t->a, t->b)))
BOTH(extract, "fxtract", t->st0 = f80_extract(e, t->a, &t->st1))
BOTH(add32, "fadds %[mem]", t->st0 = f80_add(e, t->a, f80_widen_f32(e, mem32(t))))
BOTH(add64, "faddl %[mem]", t->st0 = f80_add(e, t->a, f80_widen_f64(e, mem64(t))))
BOTH(div64, "fdivl %[mem]", t->st0 = f80_div(e, t->a, f80_widen_f64(e, mem64(t))))
BOTH(divr32, "fdivrs %[mem]", t->st0 = f80_div(e, f80_widen_f32(e, mem32(t)), t->a))
BOTH(mul32, "fmuls %[mem]", t->st0 = f80_mul(e, t->a, f80_widen_f32(e, mem32(t))))
BOTH(muli16, "fimuls %[mem]", t->st0 = f80_mul(e, t->a, f80_from_i32((int16_t)mem32(t))))
BOTH(com, "fcom %%st(1)", t->sw = relation(f80_compare(e, t->a, t->b, true)))
BOTH(ucom, "fucom %%st(1)", t->sw = relation(f80_compare(e, t->a, t->b, false)))
BOTH(com64, "fcoml %[mem]",
     t->sw = relation(f80_compare(e, t->a, f80_widen_f64(e, mem64(t)), true)))
BOTH(tst, "ftst", t->sw = relation(f80_compare(e, t->a, F80_ZERO, true)))
BOTH(xam, "fxam", t->sw = f80_examine(t->a))
BOTH(load32, "flds %[mem]", t->st0 = f80_from_f32(e, mem32(t)))
BOTH(load64, "fldl %[mem]", t->st0 = f80_from_f64(e, mem64(t)))
BOTH(loadi16, "filds %[mem]", t->st0 = f80_from_i32((int16_t)mem32(t)))
BOTH(loadi32, "fildl %[mem]", t->st0 = f80_from_i32((int32_t)mem32(t)))
BOTH(loadi64, "fildll %[mem]", t->st0 = f80_from_i64((int64_t)mem64(t)))
BOTH(loadbcd, "fbld %[mem]", t->st0 = f80_from_bcd(t->mem))
BOTH(store32, "fstps %[mem]", put(t, f80_to_f32(e, t->a), 4))
BOTH(store64, "fstpl %[mem]", put(t, f80_to_f64(e, t->a), 8))
BOTH(storei16, "fistps %[mem]", put(t, (uint64_t)f80_to_i16(e, t->a, false), 2))
BOTH(storei32, "fistpl %[mem]", put(t, (uint64_t)f80_to_i32(e, t->a, false), 4))
BOTH(storei64, "fistpll %[mem]", put(t, (uint64_t)f80_to_i64(e, t->a, false), 8))
BOTH(trunc16, "fisttps %[mem]", put(t, (uint64_t)f80_to_i16(e, t->a, true), 2))
BOTH(trunc32, "fisttpl %[mem]", put(t, (uint64_t)f80_to_i32(e, t->a, true), 4))
BOTH(trunc64, "fisttpll %[mem]", put(t, (uint64_t)f80_to_i64(e, t->a, true), 8))
BOTH(storebcd, "fbstp %[mem]", f80_to_bcd(e, t->a, t->mem))
BOTH(fld1, "fld1", t->st0 = f80_constant(e, 0))
BOTH(fldl2t, "fldl2t", t->st0 = f80_constant(e, 1))
BOTH(fldl2e, "fldl2e", t->st0 = f80_constant(e, 2))
BOTH(fldpi, "fldpi", t->st0 = f80_constant(e, 3))
BOTH(fldlg2, "fldlg2", t->st0 = f80_constant(e, 4))
BOTH(fldln2, "fldln2", t->st0 = f80_constant(e, 5))
BOTH(fldz, "fldz", t->st0 = f80_constant(e, 6))

#define OP(name, shape, mem) {#name, soft_##name, NATIVE_OF(name), shape, mem},
static const struct x87_op ops[] = {
    OP(add, REG, 0) OP(sub, REG, 0) OP(subr, REG, 0) OP(mul, REG, 0) OP(div, REG, 0)
    OP(divr, REG, 0) OP(sqrt, REG, 0) OP(rndint, REG, 0) OP(scale, REG, 0) OP(prem, REG, 0)
    OP(prem1, REG, 0) OP(extract, TWO, 0) OP(add32, REG, 32) OP(add64, REG, 64)
    OP(div64, REG, 64) OP(divr32, REG, 32) OP(mul32, REG, 32) OP(muli16, REG, 16)
    OP(com, COMPARE, 0) OP(ucom, COMPARE, 0) OP(com64, COMPARE, 64) OP(tst, COMPARE, 0)
    OP(xam, COMPARE, 0)
    OP(load32, LOAD, 32) OP(load64, LOAD, 64) OP(loadi16, LOAD, 16) OP(loadi32, LOAD, 16)
    OP(loadi64, LOAD, 16) OP(loadbcd, LOAD, 1)
    OP(store32, POP_MEM, 0) OP(store64, POP_MEM, 0) OP(storei16, POP_MEM, 0)
    OP(storei32, POP_MEM, 0) OP(storei64, POP_MEM, 0) OP(trunc16, POP_MEM, 0)
    OP(trunc32, POP_MEM, 0) OP(trunc64, POP_MEM, 0) OP(storebcd, POP_MEM, 0)
    OP(fld1, LOAD, 0) OP(fldl2t, LOAD, 0) OP(fldl2e, LOAD, 0) OP(fldpi, LOAD, 0)
    OP(fldlg2, LOAD, 0) OP(fldln2, LOAD, 0) OP(fldz, LOAD, 0)
};
// clang-format on

static void generate(struct t_rng *rng, const struct x87_op *op, struct x87_case *t)
{
    struct f80 base = {0, (uint16_t)t_rand(rng)};
    base.m = t_rand(rng);

    t->a = fp_gen_f80(rng, base);
    t->b = fp_gen_f80(rng, t->a);
    for (unsigned i = 0; i < sizeof(t->mem); i++) {
        t->mem[i] = 0xa5;
    }
    if (op->mem == 32 || op->mem == 64) {
        unsigned bits = op->mem == 32 ? 24 : 53, exp_bits = op->mem == 32 ? 8 : 11;
        put(t, fp_gen(rng, bits, exp_bits, t_rand(rng)), op->mem / 8);
    } else if (op->mem == 16) {
        put(t, fp_gen_pattern(rng), 8);
    } else if (op->mem == 1) {
        for (unsigned i = 0; i < 10; i++) {
            t->mem[i] = fp_gen_bcd(rng);
        }
    }
    uint64_t r = t_rand(rng);
    t->cw = (uint16_t)((r & 15) << 8 | 0x40);
    if ((t->cw & 0x300) == 0x100) {
        t->cw ^= 0x100; /* reserved precision control: not compared */
    }
    t->cw |= r >> 4 & 1 ? FP_ALL_FLAGS : r >> 8 & FP_ALL_FLAGS;
}

/* Runs the arithmetic and applies what an instruction does with an unmasked exception. */
static void run_soft(const struct x87_op *op, struct x87_case *t)
{
    struct fp_env e = fp_env_x87(t->cw);
    struct x87_case before = *t;

    t->st0 = t->a;
    t->st1 = t->b;
    t->sw = 0;
    op->soft(&e, t);
    unsigned unmasked = e.flags & ~e.masks & FP_ALL_FLAGS;
    uint16_t sw = t->sw;
    if (op->shape == LOAD) {
        unmasked &= ~(unsigned)FP_DE; /* loads complete all the same */
    }
    if (unmasked & (FP_IE | FP_DE | FP_ZE) ||
        (op->shape == POP_MEM && unmasked & (FP_OE | FP_UE))) {
        *t = before;
        t->st0 = t->a;
        t->st1 = t->b;
    }
    t->sw = (uint16_t)(e.flags | sw | (e.roundup ? C1 : 0));
}

#if defined(__x86_64__)
static bool same(struct f80 a, struct f80 b)
{
    return a.m == b.m && a.se == b.se;
}

static bool check_case(const struct x87_op *op, const struct x87_case *given)
{
    struct x87_case host = *given, ours = *given;
    bool prem = !strncmp(op->name, "prem", 4);
    /* The other condition codes are undefined where they are no result. */
    unsigned mask = FP_ALL_FLAGS | C1;

    op->native(&host);
    run_soft(op, &ours);
    if (op->shape == COMPARE || (prem && !(ours.sw & (FP_IE | FP_DE)))) {
        mask |= CC;
    }
    bool ok = ((host.sw ^ ours.sw) & mask) == 0 && !memcmp(host.mem, ours.mem, sizeof(host.mem));
    if (op->shape != POP_MEM) {
        ok &= same(host.st0, ours.st0);
    }
    if (op->shape == TWO) {
        ok &= same(host.st1, ours.st1);
    }
    if (!ok) {
        FAIL("%s a=%04x:%016llx b=%04x:%016llx mem=%016llx cw=%04x: "
             "host %04x:%016llx %04x:%016llx mem %016llx sw %04x, "
             "ours %04x:%016llx %04x:%016llx mem %016llx sw %04x",
             op->name, given->a.se, (unsigned long long)given->a.m, given->b.se,
             (unsigned long long)given->b.m, (unsigned long long)mem64(given), given->cw,
             host.st0.se, (unsigned long long)host.st0.m, host.st1.se,
             (unsigned long long)host.st1.m, (unsigned long long)mem64(&host), host.sw, ours.st0.se,
             (unsigned long long)ours.st0.m, ours.st1.se, (unsigned long long)ours.st1.m,
             (unsigned long long)mem64(&ours), ours.sw);
    }
    return ok;
}
#endif

TEST(fp_x87_like_host)
{
#if defined(__x86_64__)
    unsigned long passed = 0, failed = 0;
    uint64_t cases = t_amount(10000, 200000, 5000000);

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct t_rng rng = {t_seed() + i * 1000003};
        unsigned long bad = 0;
        for (uint64_t n = 0; n < cases && bad < 5; n++) {
            struct x87_case t = {0};
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

/* The same on every host: what fp_x87_like_host verified, as one number. */
TEST(fp_x87_digest)
{
    uint64_t digest = 0;

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct t_rng rng = {1 + i * 1000003};
        for (unsigned n = 0; n < 5000; n++) {
            struct x87_case t = {0};
            generate(&rng, &ops[i], &t);
            run_soft(&ops[i], &t);
            digest = fp_digest(digest, t.st0.m);
            digest = fp_digest(digest, t.st0.se | (uint64_t)t.st1.se << 16 | (uint64_t)t.sw << 32);
            digest = fp_digest(digest, t.st1.m);
            digest = fp_digest(digest, mem64(&t));
        }
    }
    EXPECT_EQ(digest, UINT64_C(0x15c62f6337776f2f));
}
