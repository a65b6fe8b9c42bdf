/*
 * What keeps a vector instruction from running, or stops it: CR0.EM and TS, CR4.OSFXSR, OSXMMEXCPT
 * and OSXSAVE, XCR0, a pending x87 exception, misaligned operands, unmasked SIMD exceptions, faults
 * of single elements. For every row where that is a property of the row. Also the error bound of
 * RCPPS and RSQRTPS, and what XSAVE's relatives do with state in its initial configuration.
 *
 * Sources: SDM 2A 2.4 (exception classes), SDM 3A tables 13-1 and 13-2, SDM 1 13.
 */
#include <string.h>

#include "cpu/fp/fp.h"
#include "cpu/mem.h"
#include "cpu/vec.h"
#include "tests/insn/sse_gen.h"
#include "tests/lib/bare.h"

static struct side side;
static uint8_t data[DATA_SIZE];

static struct bare *machine(void)
{
    struct bare *b = bare_new("", 0x400000);
    bare_mode(b, 64, 0);
    return b;
}

struct control {
    const char *what;
    uint64_t cr0_set, cr4_clear, xcr0_clear;
    uint16_t sw_set;   /* with CW masking nothing */
    int sse, mmx, avx; /* vector expected of each class; -1: runs */
};

/* Runs one case of the row in the given circumstances. */
static int run_with(struct cpu *cpu, const struct sse_code *c, const struct control *t)
{
    struct cpu_state *s = &cpu->s;
    uint64_t cr0 = s->cr0, cr4 = s->cr4, xcr0 = s->xcr0;
    s->cr0 |= t->cr0_set;
    s->cr4 &= ~t->cr4_clear;
    s->xcr0 &= ~t->xcr0_clear;
    s->fpu[0].sw |= t->sw_set;
    int r = sse_run(cpu, c);
    s->cr0 = cr0;
    s->cr4 = cr4;
    s->xcr0 = xcr0;
    return r;
}

/* In 64-bit mode, operands aligned and in reach, exceptions masked. */
static struct sse_code good_case(struct cpu *cpu, struct sse_gen *g, const struct insn_row *r)
{
    struct sse_code c;
    do { /* the displacement ends the moves that want 32 bytes of alignment */
        c = sse_gen_case(g, r, false);
    } while (c.mem && !strncmp(r->name, "vmov", 4) && c.b[c.n - 1] & 16);
    side.gpr[7] = side.gpr[15] = DATA + 256;
    le32_put(side.fx + 24, 0x1f80);
    memset(data, 0, sizeof data); /* LDMXCSR reads it */
    sse_load(cpu, &side);
    mem_wr_buf(cpu, SEG_DS, DATA, data, DATA_SIZE, cpu->view);
    return c;
}

static int expected(const struct control *t, const struct insn_row *r)
{
    if (r->attr & A_AVX) {
        return t->avx;
    }
    if ((r->attr & A_SSE) && (!(r->attr & A_MMX) || t->sse >= 0)) {
        return t->sse;
    }
    return t->mmx;
}

TEST(control_bits)
{
    static const struct control list[] = {
        {.what = "nothing", .sse = -1, .mmx = -1, .avx = -1},
        {.what = "EM", .cr0_set = CR0_EM, .sse = EXC_UD, .mmx = EXC_UD, .avx = -1},
        {.what = "TS", .cr0_set = CR0_TS, .sse = EXC_NM, .mmx = EXC_NM, .avx = EXC_NM},
        {.what = "EM and TS", .cr0_set = CR0_EM | CR0_TS, .sse = 6, .mmx = 6, .avx = EXC_NM},
        {.what = "no OSFXSR", .cr4_clear = CR4_OSFXSR, .sse = EXC_UD, .mmx = -1, .avx = -1},
        {.what = "no OSXSAVE", .cr4_clear = CR4_OSXSAVE, .sse = -1, .mmx = -1, .avx = EXC_UD},
        {.what = "no AVX in XCR0", .xcr0_clear = 4, .sse = -1, .mmx = -1, .avx = EXC_UD},
        {.what = "no OSXSAVE, TS",
         .cr4_clear = CR4_OSXSAVE,
         .cr0_set = CR0_TS,
         .sse = 7,
         .mmx = 7,
         .avx = EXC_UD},
        {.what = "x87 exception", .sw_set = 0x8081, .sse = -1, .mmx = EXC_MF, .avx = -1},
    };
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    struct sse_gen g = {.in = &side, .data = data, .rng.state = 7};
    unsigned long passed = 0, failed = 0;
    for (unsigned k = 0; k < insn_row_count; k++) {
        const struct insn_row *r = &insn_rows[k];
        for (unsigned n = 0; sse_gen_row(r) && n < ARRAY_LEN(list); n++) {
            struct sse_code c = good_case(cpu, &g, r);
            int want = expected(&list[n], r);
            int got = run_with(cpu, &c, &list[n]);
            if (want == EXC_MF && got == -1 && !strncmp(r->name, "cvtpi2p", 7)) {
                want = -1; /* from memory it does not touch the x87 state */
            }
            if (strstr(r->name, "gather") && list[n].avx == -1 && got == EXC_UD) {
                want = EXC_UD; /* two registers happened to be the same */
            }
            t_context("%s with %s", r->name, list[n].what);
            if (EXPECT_EQ(got, want)) {
                passed++;
            } else {
                failed++;
            }
        }
    }
    bare_free(b);
    t_cases(passed, failed, 0);
}

TEST(alignment)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    struct sse_gen g = {.in = &side, .data = data, .rng.state = 9};
    unsigned long passed = 0, failed = 0;
    for (unsigned k = 0; k < insn_row_count; k++) {
        const struct insn_row *r = &insn_rows[k];
        if (!sse_gen_row(r) || strstr(r->name, "gather")) {
            continue;
        }
        bool strict = (r->attr & A_ALIGN) || !strncmp(r->name, "vmova", 5) ||
                      !strncmp(r->name, "vmovdqa", 7) || !strncmp(r->name, "vmovnt", 6);
        for (unsigned n = 0; n < 8; n++) {
            struct sse_code c = good_case(cpu, &g, r);
            cpu->s.gpr[7] = cpu->s.gpr[15] = DATA + 256 + 8;
            t_context("%s at a multiple of 8", r->name);
            if (!c.mem) {
                continue;
            }
            if (EXPECT_EQ(sse_run(cpu, &c), strict ? EXC_GP : -1)) {
                passed++;
            } else {
                failed++;
            }
        }
    }
    bare_free(b);
    t_cases(passed, failed, 0);
}

static int run_bytes(struct cpu *cpu, const char *bytes, unsigned n)
{
    struct sse_code c = {.n = n};
    memcpy(c.b, bytes, n);
    return sse_run(cpu, &c);
}
#define RUN(cpu, bytes) run_bytes(cpu, bytes, sizeof(bytes) - 1)

TEST(unmasked_exception)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    cpu->s.ymm[0] = UINT64_C(0x3f8000007f800001); /* 1.0, SNaN */
    cpu->s.ymm[4] = UINT64_C(0x000000013f800000); /* a denormal, 1.0 */
    cpu->s.mxcsr = 0x1f80 & ~0x80u;
    EXPECT_EQ(RUN(cpu, "\x0f\x58\xc1"), EXC_XM); /* addps xmm0, xmm1 */
    EXPECT_EQ(cpu->s.ymm[0], UINT64_C(0x3f8000007f800001));
    EXPECT_EQ(cpu->s.mxcsr, 0x1f03); /* IE and DE, but not PE of the other lane */
    cpu->s.mxcsr = 0x1f80 & ~0x80u;
    cpu->s.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
    EXPECT_EQ(RUN(cpu, "\x0f\x58\xc1"), EXC_UD);
    cpu->s.mxcsr = 0x1f80;
    EXPECT_EQ(RUN(cpu, "\x0f\x58\xc1"), -1);
    EXPECT_EQ(cpu->s.ymm[0], UINT64_C(0x3f8000007fc00001));
    bare_free(b);
}

TEST(mxcsr_reserved)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    cpu->s.gpr[7] = DATA;
    mem_wr(cpu, SEG_DS, DATA, 4, 0x10000);
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x17"), EXC_GP); /* ldmxcsr [rdi] */
    EXPECT_EQ(cpu->s.mxcsr, 0x1f80);
    mem_wr(cpu, SEG_DS, DATA, 4, 0xffff);
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x17"), -1);
    EXPECT_EQ(cpu->s.mxcsr, 0xffff);
    bare_free(b);
}

/* vpgatherdd xmm0, [rdi+xmm1*1], xmm2 with a third element out of reach: the two before it are
 * loaded and their mask is clear, so that the instruction can be restarted. */
TEST(gather_restart)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    uint64_t *y = cpu->s.ymm;
    cpu->s.gpr[7] = DATA;
    for (unsigned k = 0; k < 4; k++) {
        mem_wr(cpu, SEG_DS, DATA + 4 * k, 4, 0x11111111 * (k + 1));
        y[k] = UINT64_C(0xaaaaaaaaaaaaaaaa);
    }
    y[4] = UINT64_C(0x0000000400000000); /* indices 0, 4, 8, 12 */
    y[5] = UINT64_C(0x0000000c00000008);
    y[8] = y[9] = UINT64_C(0x8000000080000000);
    y[10] = 5;
    /* the same with 64-bit indices: vpgatherqq ymm0, [rdi+ymm1*1], ymm2 */
    uint64_t far_away = UINT64_C(0x0000900000000000);
    EXPECT_EQ(RUN(cpu, "\xc4\xe2\x69\x90\x04\x0f"), -1);
    EXPECT_EQ(y[0], UINT64_C(0x2222222211111111));
    EXPECT_EQ(y[1], UINT64_C(0x4444444433333333));
    EXPECT_EQ(y[2] | y[3] | y[8] | y[9] | y[10] | y[11], 0);
    y[4] = 0, y[5] = 8, y[6] = far_away, y[7] = 0;
    for (unsigned k = 0; k < 4; k++) {
        y[k] = 7;
        y[8 + k] = UINT64_C(1) << 63;
    }
    EXPECT_EQ(RUN(cpu, "\xc4\xe2\xed\x91\x04\x0f"), EXC_GP);
    EXPECT_EQ(y[0], UINT64_C(0x2222222211111111));
    EXPECT_EQ(y[1], UINT64_C(0x4444444433333333));
    EXPECT_EQ(y[2], 7);
    EXPECT_EQ(y[8] | y[9], 0);
    EXPECT_EQ(y[10], UINT64_C(1) << 63);
    y[6] = 8;
    EXPECT_EQ(RUN(cpu, "\xc4\xe2\xed\x91\x04\x0f"), -1);
    EXPECT_EQ(y[2], UINT64_C(0x4444444433333333));
    EXPECT_EQ(y[3], UINT64_C(0x2222222211111111));
    bare_free(b);
}

/* Elements that the mask leaves out are not accessed. */
TEST(masked_elements_do_not_fault)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    cpu->s.gpr[7] = UINT64_C(0x00007ffffffffff8); /* 8 bytes below the canonical hole */
    cpu->s.ymm[4] = UINT64_C(0x8000000080000000);
    cpu->s.ymm[5] = 0;
    EXPECT_EQ(RUN(cpu, "\xc4\xe2\x71\x2c\x07"), -1); /* vmaskmovps xmm0, xmm1, [rdi] */
    EXPECT_EQ(RUN(cpu, "\xc4\xe2\x71\x2e\x07"), -1); /* vmaskmovps [rdi], xmm1, xmm0 */
    cpu->s.ymm[5] = UINT64_C(0x80000000);
    EXPECT_EQ(RUN(cpu, "\xc4\xe2\x71\x2c\x07"), EXC_GP);
    EXPECT_EQ(RUN(cpu, "\xc4\xe2\x71\x2e\x07"), EXC_GP);
    cpu->s.ymm[4] = UINT64_C(0x8080808080808080);
    cpu->s.ymm[5] = 0x7f;
    EXPECT_EQ(RUN(cpu, "\x66\x0f\xf7\xc1"), -1); /* maskmovdqu xmm0, xmm1 */
    cpu->s.ymm[5] = 0x80;
    EXPECT_EQ(RUN(cpu, "\x66\x0f\xf7\xc1"), EXC_GP);
    bare_free(b);
}

static float as_float(uint32_t v)
{
    float f;
    memcpy(&f, &v, 4);
    return f;
}

/* Relative error of at most 1.5 * 2^-12 (SDM 2B RCPPS, RSQRTPS). */
TEST(approximations)
{
    const double bound = 1.5 / 4096;
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    struct t_rng rng = {.state = 5};
    unsigned bad = 0;
    for (unsigned n = 0; n < 20000; n++) {
        uint32_t x = (uint32_t)t_rand(&rng);
        unsigned exp = x >> 23 & 0xff;
        if (exp < 3 || exp > 251) {
            continue;
        }
        cpu->s.ymm[4] = x;
        RUN(cpu, "\x0f\x53\xc1"); /* rcpps xmm0, xmm1 */
        double r = as_float((uint32_t)cpu->s.ymm[0]);
        bad += __builtin_fabs(r * as_float(x) - 1) > bound;
        cpu->s.ymm[4] = x & 0x7fffffff;
        RUN(cpu, "\x0f\x52\xc1"); /* rsqrtps xmm0, xmm1 */
        r = as_float((uint32_t)cpu->s.ymm[0]);
        bad += __builtin_fabs(r * __builtin_sqrt((double)as_float(x & 0x7fffffff)) - 1) > bound;
    }
    EXPECT_EQ(bad, 0);
    static const uint32_t special[][3] = {
        /* x, 1/x, 1/sqrt(x) */
        {0, 0x7f800000, 0x7f800000},          {0x80000000, 0xff800000, 0xff800000},
        {1, 0x7f800000, 0x7f800000},          {0x7f800000, 0, 0},
        {0xff800000, 0x80000000, 0xffc00000}, {0x7f800001, 0x7fc00001, 0x7fc00001},
        {0xffc12345, 0xffc12345, 0xffc12345}};
    for (unsigned k = 0; k < ARRAY_LEN(special); k++) {
        t_context("special value %u", k);
        cpu->s.ymm[4] = special[k][0];
        RUN(cpu, "\x0f\x53\xc1");
        EXPECT_EQ((uint32_t)cpu->s.ymm[0], special[k][1]);
        RUN(cpu, "\x0f\x52\xc1");
        EXPECT_EQ((uint32_t)cpu->s.ymm[0], special[k][2]);
    }
    EXPECT_EQ(cpu->s.mxcsr, 0x1f80);
    bare_free(b);
}

/* ---- XSAVE and XCR0 ---- */
TEST(xsave_init_optimization)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    uint64_t ones = ~UINT64_C(0);
    cpu->s.gpr[7] = DATA;
    cpu->s.gpr[0] = 7;
    cpu->s.gpr[2] = 0;
    memset(cpu->s.ymm, 0, sizeof cpu->s.ymm);
    cpu->s.ymm[4] = 1; /* SSE in use, x87 and AVX not */
    cpu->s.fpu[0].cw = 0x37f;
    cpu->s.fpu[0].empty = 0xff;
    for (unsigned k = 0; k < 832; k += 8) {
        mem_wr(cpu, SEG_DS, DATA + k, 8, k < 512 || k >= 576 ? ones : 0);
    }
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x37"), -1); /* xsaveopt [rdi] */
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 512, 8), 2);
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA, 8), ones);       /* x87 not written */
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 576, 8), ones); /* nor AVX */
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 176, 8), 1);
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 24, 8), UINT64_C(0x0000ffff00001f80));
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x27"), -1); /* xsave [rdi]: everything, but says what is in use */
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 512, 8), 2);
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA, 2), 0x37f);
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 576, 8), 0);
    cpu->s.ymm[4] = 0; /* only MXCSR is not in its initial state */
    cpu->s.mxcsr = 0x1fa0;
    EXPECT_EQ(RUN(cpu, "\x0f\xc7\x27"), -1); /* xsavec [rdi] */
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 512, 8), 2);
    EXPECT_EQ(mem_rd(cpu, SEG_DS, DATA + 520, 8), UINT64_C(0x8000000000000007));
    mem_wr(cpu, SEG_DS, DATA + 512, 8, 0);
    cpu->s.ymm[0] = cpu->s.ymm[2] = 5;
    cpu->s.fpu[0].cw = 0x27f;
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x2f"), -1); /* xrstor [rdi]: all to initial state */
    EXPECT_EQ(cpu->s.ymm[0] | cpu->s.ymm[2], 0);
    EXPECT_EQ(cpu->s.fpu[0].cw, 0x37f);
    EXPECT_EQ(cpu->s.mxcsr, 0x1f80);
    bare_free(b);
}

static int xsetbv(struct cpu *cpu, uint64_t n, uint64_t v)
{
    cpu->s.gpr[1] = n;
    cpu->s.gpr[0] = (uint32_t)v;
    cpu->s.gpr[2] = v >> 32;
    return RUN(cpu, "\x0f\x01\xd1");
}

TEST(xcr0)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    EXPECT_EQ(xsetbv(cpu, 0, 6), EXC_GP); /* without x87 */
    EXPECT_EQ(xsetbv(cpu, 0, 5), EXC_GP); /* AVX without SSE */
    EXPECT_EQ(xsetbv(cpu, 0, 15), EXC_GP);
    EXPECT_EQ(xsetbv(cpu, 0, UINT64_C(7) | UINT64_C(1) << 32), EXC_GP);
    EXPECT_EQ(xsetbv(cpu, 1, 7), EXC_GP);
    EXPECT_EQ(xsetbv(cpu, 0, 3), -1);
    EXPECT_EQ(cpu->s.xcr0, 3);
    cpu->s.gpr[1] = 0;
    EXPECT_EQ(RUN(cpu, "\x0f\x01\xd0"), -1); /* xgetbv */
    EXPECT_EQ(cpu->s.gpr[0], 3);
    EXPECT_EQ(cpu->s.gpr[2], 0);
    cpu->s.gpr[1] = 2;
    EXPECT_EQ(RUN(cpu, "\x0f\x01\xd0"), EXC_GP);
    cpu->s.cpl = 3;
    EXPECT_EQ(xsetbv(cpu, 0, 7), EXC_GP);
    cpu->s.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    EXPECT_EQ(xsetbv(cpu, 0, 7), EXC_UD);
    EXPECT_EQ(RUN(cpu, "\x0f\x01\xd0"), EXC_UD);
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x27"), EXC_UD);
    bare_free(b);
}

TEST(fxsave_em_is_nm)
{
    struct bare *b = machine();
    struct cpu *cpu = b->cpu;
    cpu->s.gpr[7] = DATA;
    cpu->s.cr0 |= CR0_EM;
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x07"), EXC_NM);
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x0f"), EXC_NM);
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x27"), -1); /* XSAVE looks at TS alone */
    cpu->s.cr0 ^= CR0_EM | CR0_TS;
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x27"), EXC_NM);
    cpu->s.cr0 &= ~(uint64_t)CR0_TS;
    cpu->s.gpr[7] = DATA + 16;
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x07"), -1);
    EXPECT_EQ(RUN(cpu, "\x0f\xae\x27"), EXC_GP); /* 64 bytes */
    bare_free(b);
}
