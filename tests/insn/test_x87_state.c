/*
 * x87 state and exceptions beyond one instruction's arithmetic: the environment in its formats,
 * saving and restoring, #NM and #MF at the right instruction, FERR#, pointers by CPU model, and ESC
 * opcodes on models without an FPU. Small programs in real and protected mode, expectations from
 * SDM vol. 1 chapter 8; no oracle.
 *
 * In real mode each vector leads to a HLT of its own, so that RIP tells which exception came.
 */
#include <string.h>

#include "cpu/fp/fp.h"
#include "cpu/x87.h"
#include "tests/lib/bare.h"
#include "tests/t.h"

enum { CODE = 0x1000, DATA = 0x2000, STOPS = 0x500, STACK = 0x8000 };

/* Real mode, with the interrupt table filled, and `code` followed by HLT at CODE. */
static struct bare *machine(const char *model, const void *code, unsigned len)
{
    struct bare *b = bare_new(model, 0x20000);
    uint8_t *page0 = ram_write_ptr(&b->ram, 0), *text = ram_write_ptr(&b->ram, CODE >> 12);

    for (unsigned v = 0; v < 64; v++) {
        le_put(page0 + 4 * v, 4, STOPS + v);
        page0[STOPS + v] = 0xf4;
    }
    memcpy(text, code, len);
    text[len] = 0xf4;
    bare_mode(b, 16, 0);
    b->cpu->s.rip = CODE;
    b->cpu->s.gpr[REG_RSP] = STACK;
    b->cpu->s.gpr[REG_RSI] = DATA;
    b->cpu->s.rflags = 2;
    cpu_restored(b->cpu);
    return b;
}

/* Runs to a HLT; the vector that was taken, or -1 for the program's own end. */
static int run(struct bare *b)
{
    bare_run(b, 1000, 0);
    uint64_t stop = b->cpu->s.rip - 1; /* HLT has retired */
    return stop >= STOPS && stop < STOPS + 64 ? (int)(stop - STOPS) : -1;
}

/* Address that an exception pushed. */
static unsigned pushed_ip(struct bare *b)
{
    uint64_t sp = b->cpu->s.gpr[REG_RSP] & 0xffff;
    return (unsigned)le_get(ram_write_ptr(&b->ram, sp >> 12) + (sp & 0xfff), 2);
}

static uint8_t *data(struct bare *b)
{
    return ram_write_ptr(&b->ram, DATA >> 12);
}

TEST(x87_nm_by_em_and_ts)
{
    static const uint8_t fld1[] = {0xd9, 0xe8}, fwait[] = {0x9b}, fninit[] = {0xdb, 0xe3};
    struct bare *b;

    b = machine("", fld1, 2);
    b->cpu->s.cr0 |= CR0_EM;
    EXPECT_EQ(run(b), EXC_NM);
    EXPECT_EQ(pushed_ip(b), CODE);
    bare_free(b);
    b = machine("", fninit, 2);
    b->cpu->s.cr0 |= CR0_TS;
    EXPECT_EQ(run(b), EXC_NM);
    bare_free(b);
    for (unsigned bits = 0; bits < 4; bits++) { /* FWAIT: only MP and TS together */
        b = machine("", fwait, 1);
        b->cpu->s.cr0 = (b->cpu->s.cr0 & ~(uint64_t)(CR0_MP | CR0_TS | CR0_EM)) |
                        (bits & 1 ? CR0_MP : 0) | (bits & 2 ? CR0_TS : 0) | CR0_EM;
        EXPECT_EQ(run(b), bits == 3 ? EXC_NM : -1);
        bare_free(b);
    }
}

/* 1/0 with ZE unmasked; then two instructions that do not wait, and one that does. */
static const uint8_t divide[] = {
    0xdb, 0xe3,             /* fninit */
    0xd9, 0x2c,             /* fldcw [si] */
    0xd9, 0xe8, 0xd9, 0xee, /* fld1; fldz */
    0xde, 0xf9,             /* fdivp: 1/0 */
    0xdf, 0xe0,             /* fnstsw ax */
    0xdd, 0x7c, 0x02,       /* fnstsw [si+2] */
    0xd9, 0xe8,             /* fld1: waits */
};

TEST(x87_unmasked_exception_is_taken_by_the_next_waiting_instruction)
{
    struct bare *b = machine("", divide, sizeof divide);
    const struct x87 *f = &b->cpu->s.fpu[0];

    le_put(data(b), 2, 0x37b);
    EXPECT_EQ(run(b), EXC_MF);
    EXPECT_EQ(pushed_ip(b), CODE + 15);
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX] & 0xffff, 0xb084); /* B, TOP 6, ES, ZE: nothing popped */
    EXPECT_EQ(le_get(data(b) + 2, 2), 0xb084);
    EXPECT_EQ(f->ip, CODE + 8);
    EXPECT_EQ(f->op, 0x6f9);
    EXPECT_EQ(f->empty, 0x3f);
    EXPECT_EQ(f->m[6], 0);
    EXPECT_EQ(f->se[7], 0x3fff);
    bare_free(b);
}

TEST(x87_ferr_pin_instead_of_mf)
{
    static const uint8_t clear[] = {0xdb, 0xe2}; /* fnclex */
    struct bare *b = machine("486", divide, sizeof divide);

    le_put(data(b), 2, 0x37b);
    b->cpu->s.cr0 &= ~(uint64_t)CR0_NE;
    EXPECT_EQ(run(b), -1); /* stops in front of the waiting instruction, with the pin up */
    EXPECT_EQ(b->cpu->s.rip, CODE + 15);
    EXPECT_EQ(b->cpu->s.activity, CPU_HALTED);
    EXPECT_EQ(b->cpu->s.icount, 7);
    EXPECT(dev_pin_out(&b->cpu->dev, 0));
    memcpy(ram_write_ptr(&b->ram, CODE >> 12), clear, 2);
    ram_write_ptr(&b->ram, CODE >> 12)[2] = 0xf4;
    b->cpu->s.rip = CODE;
    b->cpu->s.activity = CPU_RUNNING;
    cpu_restored(b->cpu);
    block_cache_remapped(b->blocks);
    EXPECT_EQ(run(b), -1);
    EXPECT(!dev_pin_out(&b->cpu->dev, 0));
    EXPECT_EQ(b->cpu->s.fpu[0].sw & 0x80ff, 0);
    bare_free(b);
}

/* Each way to change the pending exception or CR0.NE drives FERR#. In: the pin is up (or not), SI
 * points at an image that makes no exception pending (or one). */
TEST(x87_ferr_follows_every_load)
{
    static const struct {
        const char *what;
        uint8_t code[4], len;
        unsigned cw, sw; /* where the image has its control and status word */
    } cases[] = {
        {"fldcw", {0xd9, 0x2c}, 2, 0, 200},      {"fldenv", {0xd9, 0x24}, 2, 0, 2},
        {"frstor", {0xdd, 0x24}, 2, 0, 2},       {"fxrstor", {0x0f, 0xae, 0x0c}, 3, 0, 2},
        {"xrstor", {0x0f, 0xae, 0x2c}, 3, 0, 2},
    };
    for (unsigned i = 0; i < 4 * ARRAY_LEN(cases); i++) {
        bool up = i / ARRAY_LEN(cases) & 1, want = i / ARRAY_LEN(cases) & 2;
        unsigned k = i % ARRAY_LEN(cases);
        struct bare *b = machine("", cases[k].code, cases[k].len);
        struct x87 *f = &b->cpu->s.fpu[0];
        t_context("%s, pin %d, wanted %d", cases[k].what, up, want);
        b->cpu->s.cr0 &= ~(uint64_t)CR0_NE;
        f->cw = k == 0 || !up ? 0x37f : 0x37b; /* FLDCW itself waits for what is pending */
        f->sw = k == 0 || up ? 4 : 0;
        x87_update_es(b->cpu);
        memset(data(b), 0, 832);
        le_put(data(b) + 512, 8, 1); /* XRSTOR: x87 alone */
        b->cpu->s.gpr[REG_RAX] = 1;
        b->cpu->s.gpr[REG_RDX] = 0;
        le_put(data(b) + cases[k].cw, 2, want ? 0x37b : 0x37f);
        le_put(data(b) + cases[k].sw, 2, 4);
        bool waits = up && k < 3 && k > 0;
        run(b);
        EXPECT_EQ(dev_pin_out(&b->cpu->dev, 0), waits ? up : want);
        EXPECT_EQ(b->cpu->s.rip, CODE + (waits ? 0 : cases[k].len + 1u));
        bare_free(b);
    }
}

TEST(x87_ferr_follows_reset_and_fninit)
{
    static const uint8_t fninit[] = {0xdb, 0xe3}, fnclex[] = {0xdb, 0xe2}, fnstenv[] = {0xd9, 0x34},
                         fnsave[] = {0xdd, 0x34};
    static const uint8_t *const codes[] = {fninit, fnclex, fnstenv, fnsave, NULL};
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
        struct bare *b = machine("486", codes[i] ? codes[i] : fninit, 2);
        b->cpu->s.cr0 &= ~(uint64_t)CR0_NE;
        b->cpu->s.fpu[0].cw = 0x37b;
        b->cpu->s.fpu[0].sw = 4;
        x87_update_es(b->cpu);
        EXPECT(dev_pin_out(&b->cpu->dev, 0));
        if (codes[i]) {
            EXPECT_EQ(run(b), -1);
        } else {
            cpu_reset(b->cpu, false);
        }
        t_context("case %u", i);
        EXPECT(!dev_pin_out(&b->cpu->dev, 0));
        bare_free(b);
    }
}

/* Unmasking an exception that is already flagged makes it pending. */
TEST(x87_fldcw_unmasks_pending)
{
    static const uint8_t code[] = {
        0xdb, 0xe3,             /* fninit */
        0xd9, 0xe8, 0xd9, 0xee, /* fld1; fldz */
        0xde, 0xf9,             /* fdivp: masked, infinity */
        0xd9, 0x2c,             /* fldcw [si] */
        0xd9, 0xd0,             /* fnop: waits */
    };
    struct bare *b = machine("", code, sizeof code);

    le_put(data(b), 2, 0x37b);
    EXPECT_EQ(run(b), EXC_MF);
    EXPECT_EQ(pushed_ip(b), CODE + 10);
    EXPECT_EQ(b->cpu->s.fpu[0].sw, 0xb884);
    bare_free(b);
}

/* fninit; fld dword [si]; fnstenv [si+0x40], with or without an operand size prefix; fnsave. */
static void env_case(const char *model, bool prefix, bool protected)
{
    static const uint8_t code[] = {
        0xdb, 0xe3, 0xd9, 0x44, 0x04, /* fninit; fld dword [si+4] */
        0x66, 0xd9, 0x74, 0x40,       /* fnstenv [si+0x40] */
        0x66, 0xdd, 0x74, 0x7f,       /* fnsave [si+0x7f] */
    };
    uint8_t text[sizeof code];
    unsigned n = 0;
    for (unsigned k = 0; k < sizeof code; k++) {
        if (code[k] != 0x66 || prefix) {
            text[n++] = code[k];
        }
    }
    struct bare *b = machine(model, text, n);
    bool linear = cpu_has(b->cpu, FEAT_zero_fcs_fds);
    bool no_dp = cpu_has(b->cpu, FEAT_fdp_excptn_only);

    le_put(data(b) + 4, 4, 0x3f800000);
    if (protected) {
        b->cpu->s.cr0 |= CR0_PE; /* segments stay as they are: 16-bit code */
        b->cpu->s.seg[SEG_CS].sel = 0x123;
        b->cpu->s.seg[SEG_DS].sel = 0x456;
        b->cpu->s.seg[SEG_CS].attr |= SEG_A_CODE;
    } else { /* the same bytes at segment 0x100 */
        for (unsigned s = SEG_CS; s <= SEG_DS; s += SEG_DS - SEG_CS) {
            b->cpu->s.seg[s].sel = 0x100;
            b->cpu->s.seg[s].base = 0x1000;
        }
        b->cpu->s.rip = 0;
        b->cpu->s.gpr[REG_RSI] = DATA - 0x1000;
    }
    cpu_restored(b->cpu);
    EXPECT_EQ(run(b), -1);

    const uint8_t *env = data(b) + 0x40;
    unsigned w = prefix ? 4 : 2, junk = prefix ? 0xffff0000 : 0;
    unsigned cs = protected && !linear ? 0x123 : 0, ds = protected && !linear ? 0x456 : 0;
    unsigned op = no_dp ? 0 : 0x144, dp = no_dp ? 0 : DATA + 4;
    t_context("%s, %u-bit, %s mode", model, 8 * w, protected ? "protected" : "real");
    EXPECT_EQ(le_get(env, w), 0x37f | junk);
    EXPECT_EQ(le_get(env + w, w), 0x3800 | junk);
    EXPECT_EQ(le_get(env + 2 * w, w), 0x3fff | junk); /* R7 valid, the rest empty */
    if (protected) {
        EXPECT_EQ(le_get(env + 3 * w, w), CODE + 2);
        EXPECT_EQ(le_get(env + 4 * w, w), cs | (prefix ? op << 16 : 0));
        EXPECT_EQ(le_get(env + 5 * w, w), dp);
        EXPECT_EQ(le_get(env + 6 * w, w), ds | junk);
    } else {
        EXPECT_EQ(le_get(env + 3 * w, w), (CODE + 2) | junk);
        EXPECT_EQ(le_get(env + 4 * w, w), op);
        EXPECT_EQ(le_get(env + 5 * w, w), dp | junk);
        EXPECT_EQ(le_get(env + 6 * w, w), 0);
    }
    /* FNSTENV left all masked and the rest alone; FNSAVE stored the stack and initialized. */
    const uint8_t *save = data(b) + 0x7f;
    EXPECT_EQ(le_get(save + 7 * w, 8), UINT64_C(0x8000000000000000));
    EXPECT_EQ(le_get(save + 7 * w + 8, 2), 0x3fff);
    EXPECT_EQ(b->cpu->s.fpu[0].empty, 0xff);
    EXPECT_EQ(b->cpu->s.fpu[0].cw, 0x37f);
    EXPECT_EQ(b->cpu->s.fpu[0].sw, 0);
    EXPECT_EQ(b->cpu->s.fpu[0].ip, 0);
    bare_free(b);
}

TEST(x87_environment_formats)
{
    for (unsigned k = 0; k < 8; k++) {
        env_case(k & 4 ? "pentium" : "", k & 1, k & 2);
    }
}

/* In a second real-mode segment the linear address goes over 64 KiB: bits 19:16 in their own field.
 */
TEST(x87_environment_real_mode_high_address)
{
    static const uint8_t code[] = {0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0x34}; /* ...; fnstenv [si] */
    struct bare *b = machine("pentium", code, sizeof code);

    memcpy(ram_write_ptr(&b->ram, 0x10), code, sizeof code);
    ram_write_ptr(&b->ram, 0x10)[sizeof code] = 0xf4;
    b->cpu->s.seg[SEG_CS].sel = 0x1000;
    b->cpu->s.seg[SEG_CS].base = 0x10000;
    b->cpu->s.rip = 0;
    cpu_restored(b->cpu);
    EXPECT_EQ(run(b), -1);
    EXPECT_EQ(le_get(data(b) + 6, 2), 2);
    EXPECT_EQ(le_get(data(b) + 8, 2), 0x1000 | 0x1e8); /* IP 19:16, opcode D9 E8 */
    bare_free(b);
}

/* FRSTOR of what FNSAVE wrote gives the same state, also tags of each kind. */
TEST(x87_save_restore)
{
    static const uint8_t code[] = {
        0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0xd9, 0xeb, /* fninit; fld1; fldz; fldpi */
        0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9,             /* 1/0 */
        0xdd, 0x34, 0xdd, 0x24, 0xdd, 0x74, 0x70,       /* fnsave, frstor, fnsave [si+0x70] */
    };
    struct bare *b = machine("", code, sizeof code);

    EXPECT_EQ(run(b), -1);
    EXPECT_EQ(le_get(data(b) + 2, 2), 0x2004);
    EXPECT_EQ(le_get(data(b) + 4, 2), 0x12ff); /* R7 1, R6 0, R5 pi, R4 infinity: 00 01 00 10 */
    EXPECT_MEM(data(b), data(b) + 0x70, 94);
    bare_free(b);
}

TEST(esc_without_fpu)
{
    static const uint8_t code[] = {
        0xdb, 0xe3,       /* fninit */
        0xd9, 0x3c,       /* fnstcw [si] */
        0xdf, 0xe0,       /* fnstsw ax (nothing there on an 8086) */
        0x9b, 0xd9, 0xd1, /* fwait; D9 D1: undefined */
    };
    static const char *const models[] = {"8086", "286", "386"};

    for (unsigned k = 0; k < 3; k++) {
        struct bare *b = machine(models[k], code, sizeof code);
        t_context("%s", models[k]);
        le_put(data(b), 2, 0x5a5a);
        b->cpu->s.gpr[REG_RAX] = 0x1234;
        EXPECT_EQ(run(b), -1);
        EXPECT_EQ(le_get(data(b), 2), 0x5a5a);
        EXPECT_EQ(b->cpu->s.gpr[REG_RAX], 0x1234);
        bare_free(b);
        if (k > 0) {
            b = machine(models[k], code, sizeof code);
            b->cpu->s.cr0 |= CR0_EM;
            EXPECT_EQ(run(b), EXC_NM);
            bare_free(b);
        }
    }
    /* With an FPU the undefined one is. */
    struct bare *b = machine("", code, sizeof code);
    EXPECT_EQ(run(b), EXC_UD);
    EXPECT_EQ(pushed_ip(b), CODE + 7);
    bare_free(b);
}

/* A store that faults changes nothing: no pop, no flags. FSTP qword at the end of the segment. */
TEST(x87_store_fault_leaves_state)
{
    static const uint8_t code[] = {0xdb, 0xe3, 0xd9, 0xeb, 0xdb, 0x3e, 0xf9, 0xff}; /* fstp m80 */
    static const uint8_t fist[] = {0xdb, 0xe3, 0xd9, 0xeb, 0xdf, 0x1e, 0xff, 0xff}; /* fistp m16 */

    for (unsigned k = 0; k < 2; k++) {
        struct bare *b = machine("", k ? fist : code, sizeof code);
        EXPECT_EQ(run(b), EXC_GP);
        EXPECT_EQ(pushed_ip(b), CODE + 4);
        EXPECT_EQ(b->cpu->s.fpu[0].sw, 0x3800);
        EXPECT_EQ(b->cpu->s.fpu[0].empty, 0x7f);
        EXPECT_EQ(b->cpu->s.fpu[0].ip, CODE + 2);
        bare_free(b);
    }
}

/* #AC: 80-bit operands at 8 bytes, environments at 4 or 2 (SDM 3A table 6-7, seen on a Zen). */
TEST(x87_alignment_checks)
{
    static const struct {
        uint8_t code[4];
        unsigned len, align;
    } cases[] = {
        {{0xdb, 0x2e}, 2, 8},       /* fld m80 */
        {{0xdb, 0x3e}, 2, 8},       /* fstp m80 */
        {{0xdf, 0x36}, 2, 8},       /* fbstp */
        {{0xd9, 0x36}, 2, 4},       /* fnstenv */
        {{0xd9, 0x26}, 2, 4},       /* fldenv */
        {{0xdd, 0x26}, 2, 4},       /* frstor */
        {{0x66, 0xdd, 0x36}, 3, 2}, /* fnsave, 16-bit */
    };
    struct bare *b = bare_new("", 0x20000);

    bare_mode(b, 64, 3);
    b->cpu->s.cr0 |= CR0_AM;
    for (unsigned k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        for (unsigned off = 1; off <= 8; off *= 2) {
            uint8_t *text = ram_write_ptr(&b->ram, CODE >> 12);
            memcpy(text, cases[k].code, cases[k].len);
            b->cpu->s.rflags = 2 | FL_AC;
            b->cpu->s.rip = CODE;
            b->cpu->s.gpr[REG_RSI] = DATA + off;
            b->cpu->s.fpu[0] = (struct x87){.cw = 0x37f};
            b->cpu->s.activity = CPU_RUNNING;
            b->cpu->exc.vector = 0;
            cpu_restored(b->cpu);
            block_cache_remapped(b->blocks);
            bare_run(b, 1, 0); /* no IDT: what follows the exception does not matter */
            t_context("case %u, offset %u", k, off);
            EXPECT_EQ(b->cpu->s.rip == CODE + cases[k].len, off >= cases[k].align);
        }
    }
    bare_free(b);
}
