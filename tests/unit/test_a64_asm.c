/*
 * The A64 assembler of cpu/jit/a64: instructions against what GNU as 2.40 makes of the text beside
 * them; bit masks and constants by decoding what was emitted. Runs on every host.
 */
#include "cpu/jit/a64/asm_vec.h"

#include "tests/t.h"
#include "util/bits.h"

struct buf {
    struct asmbuf a;
    uint8_t bytes[64];
};

static struct asmbuf *begin(struct buf *b)
{
    *b = (struct buf){.a = {.end = sizeof b->bytes}};
    b->a.base = b->bytes;
    return &b->a;
}

/* The last instruction. */
static void is(struct asmbuf *a, uint32_t want, const char *text)
{
    uint32_t got = asm_get32(a->base + a->at - 4);
    if (got != want) {
        FAIL("%s: %08x, not %08x", text, got, want);
    }
    a->at = 0;
}

// clang-format off
TEST(additions_and_logic)
{
    struct buf b;
    struct asmbuf *a = begin(&b);
    asm_addsub_imm(a, 8, A_ADD, X1, X2, 0xfff);
    is(a, 0x913ffc41, "add x1, x2, #0xfff");
    asm_addsub_imm(a, 4, A_SUBS, XZR, X7, 5);
    is(a, 0x710014ff, "cmp w7, #5");
    asm_addsub_imm(a, 8, A_SUB, XSP, XSP, 112);
    is(a, 0xd101c3ff, "sub sp, sp, #112");
    asm_addsub_imm(a, 8, A_ADDS, X3, X4, 0x5000);
    is(a, 0xb1401483, "adds x3, x4, #5, lsl #12");
    asm_addsub(a, 8, A_ADD, X16, X27, X16, A_LSL, 5);
    is(a, 0x8b101770, "add x16, x27, x16, lsl #5");
    asm_addsub(a, 4, A_SUBS, XZR, X3, X4, A_LSL, 0);
    is(a, 0x6b04007f, "cmp w3, w4");
    asm_addsub(a, 8, A_SUBS, XZR, X3, X4, A_ASR, 63);
    is(a, 0xeb84fc7f, "cmp x3, x4, asr #63");
    asm_addsub(a, 4, A_ADDS, XZR, XZR, X9, A_LSL, 24);
    is(a, 0x2b0963ff, "cmn wzr, w9, lsl #24");
    asm_addsub_ext(a, 4, A_SUBS, XZR, X16, X5, A_UXTB, 0);
    is(a, 0x6b25021f, "cmp w16, w5, uxtb");
    asm_addsub_ext(a, 8, A_SUBS, XZR, X3, X3, A_SXTW, 0);
    is(a, 0xeb23c07f, "cmp x3, w3, sxtw");
    asm_addsub_carry(a, 8, A_ADDS, X4, X5, X6);
    is(a, 0xba0600a4, "adcs x4, x5, x6");
    asm_addsub_carry(a, 4, A_SUBS, X4, X5, XZR);
    is(a, 0x7a1f00a4, "sbcs w4, w5, wzr");
    asm_logic_imm(a, 8, A_AND, X30, X16, UINT64_C(0xfffffffffffff003));
    is(a, 0x9274d61e, "and x30, x16, #0xfffffffffffff003");
    asm_logic_imm(a, 8, A_AND, X25, X0, UINT64_C(0xfffffffffffff000));
    is(a, 0x9274cc19, "and x25, x0, #0xfffffffffffff000");
    asm_logic_imm(a, 4, A_ANDS, X0, X4, 0x80);
    is(a, 0x72190080, "ands w0, w4, #0x80");
    asm_logic_imm(a, 4, A_ORR, X0, X4, 0x55555555);
    is(a, 0x3200f080, "orr w0, w4, #0x55555555");
    asm_logic_imm(a, 4, A_EOR, X0, X4, 0xe1e1e1e1);
    is(a, 0x5203cc80, "eor w0, w4, #0xe1e1e1e1");
    asm_logic_imm(a, 8, A_EOR, X0, X4, UINT64_C(0x00ff00ff00ff00ff));
    is(a, 0xd2009c80, "eor x0, x4, #0x00ff00ff00ff00ff");
    asm_logic_imm(a, 8, A_ANDS, X0, X4, UINT64_C(0x8000000000000001));
    is(a, 0xf2410480, "ands x0, x4, #0x8000000000000001");
    asm_logic_imm(a, 4, A_AND, X0, X4, 0xfffffffe);
    is(a, 0x121f7880, "and w0, w4, #0xfffffffe");
    asm_logic(a, 8, A_EOR, X16, X16, X4);
    is(a, 0xca040210, "eor x16, x16, x4");
    asm_logic_x(a, 8, A_AND, true, X0, X1, X2, A_LSL, 0);
    is(a, 0x8a220020, "bic x0, x1, x2");
    asm_logic_x(a, 4, A_EOR, false, X3, X4, X4, A_LSR, 4);
    is(a, 0x4a441083, "eor w3, w4, w4, lsr #4");
    asm_mov(a, 8, X28, X0);
    is(a, 0xaa0003fc, "mov x28, x0");
    asm_mov(a, 4, X5, X6);
    is(a, 0x2a0603e5, "mov w5, w6");
    asm_mvn(a, 8, X5, X6);
    is(a, 0xaa2603e5, "mvn x5, x6");
}

TEST(constants_bits_and_products)
{
    struct buf b;
    struct asmbuf *a = begin(&b);
    asm_movw(a, 8, A_MOVZ, X0, 0x1234, 16);
    is(a, 0xd2a24680, "movz x0, #0x1234, lsl #16");
    asm_movw(a, 8, A_MOVN, X0, 0x1, 0);
    is(a, 0x92800020, "movn x0, #1");
    asm_movw(a, 8, A_MOVK, X9, 0xffff, 48);
    is(a, 0xf2ffffe9, "movk x9, #0xffff, lsl #48");
    asm_lsl(a, 4, X1, X2, 24);
    is(a, 0x53081c41, "lsl w1, w2, #24");
    asm_lsl(a, 8, X1, X2, 0);
    is(a, 0xd340fc41, "lsl x1, x2, #0");
    asm_lsr(a, 8, X30, X16, 12);
    is(a, 0xd34cfe1e, "lsr x30, x16, #12");
    asm_asr(a, 4, X6, X4, 31);
    is(a, 0x131f7c86, "asr w6, w4, #31");
    asm_ubfx(a, 8, X16, X7, 12, 10);
    is(a, 0xd34c54f0, "ubfx x16, x7, #12, #10");
    asm_sbfx(a, 8, X4, X4, 0, 32);
    is(a, 0x93407c84, "sxtw x4, w4");
    asm_bfi(a, 8, X4, X0, 0, 8);
    is(a, 0xb3401c04, "bfi x4, x0, #0, #8");
    asm_bfi(a, 8, X4, X0, 8, 8);
    is(a, 0xb3781c04, "bfi x4, x0, #8, #8");
    asm_bfi(a, 8, X1, X6, 32, 32);
    is(a, 0xb3607cc1, "bfi x1, x6, #32, #32");
    asm_bfxil(a, 4, X1, X6, 8, 8);
    is(a, 0x33083cc1, "bfxil w1, w6, #8, #8");
    asm_zx(a, 1, X0, X4);
    is(a, 0x53001c80, "uxtb w0, w4");
    asm_zx(a, 2, X0, X4);
    is(a, 0x53003c80, "uxth w0, w4");
    asm_sx(a, 2, X0, X4);
    is(a, 0x93403c80, "sxth x0, w4");
    asm_extr(a, 8, X4, X4, X4, 5);
    is(a, 0x93c41484, "ror x4, x4, #5");
    asm_extr(a, 4, X4, X5, X6, 5);
    is(a, 0x138614a4, "extr w4, w5, w6, #5");
    asm_two(a, 8, A_UDIV, X0, X4, X1);
    is(a, 0x9ac10880, "udiv x0, x4, x1");
    asm_two(a, 4, A_SDIV, X0, X4, X1);
    is(a, 0x1ac10c80, "sdiv w0, w4, w1");
    asm_two(a, 4, A_LSLV, X0, X4, X5);
    is(a, 0x1ac52080, "lsl w0, w4, w5");
    asm_two(a, 8, A_RORV, X0, X4, X5);
    is(a, 0x9ac52c80, "ror x0, x4, x5");
    asm_madd(a, 8, X0, X4, X5, XZR);
    is(a, 0x9b057c80, "mul x0, x4, x5");
    asm_msub(a, 4, X6, X0, X3, X1);
    is(a, 0x1b038406, "msub w6, w0, w3, w1");
    asm_mull(a, true, X3, X4, X5);
    is(a, 0x9b257c83, "smull x3, w4, w5");
    asm_mull(a, false, X3, X4, X5);
    is(a, 0x9ba57c83, "umull x3, w4, w5");
    asm_mulh(a, true, X3, X4, X5);
    is(a, 0x9b457c83, "smulh x3, x4, x5");
    asm_mulh(a, false, X3, X4, X5);
    is(a, 0x9bc57c83, "umulh x3, x4, x5");
    asm_rev(a, 8, X4, X4);
    is(a, 0xdac00c84, "rev x4, x4");
    asm_rev(a, 4, X4, X4);
    is(a, 0x5ac00884, "rev w4, w4");
}

TEST(conditions_memory_and_transfers)
{
    struct buf b;
    struct asmbuf *a = begin(&b);
    asm_csel(a, 4, A_CSEL, X5, X6, X5, A_LT);
    is(a, 0x1a85b0c5, "csel w5, w6, w5, lt");
    asm_csel(a, 8, A_CSINV, X5, X6, X7, A_HI);
    is(a, 0xda8780c5, "csinv x5, x6, x7, hi");
    asm_cset(a, X0, A_NE);
    is(a, 0x1a9f07e0, "cset w0, ne");
    asm_mrs_nzcv(a, X2);
    is(a, 0xd53b4202, "mrs x2, nzcv");
    asm_msr_nzcv(a, X2);
    is(a, 0xd51b4202, "msr nzcv, x2");
    asm_mem_imm(a, 8, A_LD, X4, X28, 32760);
    is(a, 0xf97fff84, "ldr x4, [x28, #32760]");
    asm_mem_imm(a, 4, A_ST, X16, X28, 32);
    is(a, 0xb9002390, "str w16, [x28, #32]");
    asm_mem_imm(a, 1, A_ST, X16, X28, 33);
    is(a, 0x39008790, "strb w16, [x28, #33]");
    asm_mem_imm(a, 2, A_LD, X16, X28, 34);
    is(a, 0x79404790, "ldrh w16, [x28, #34]");
    asm_mem_near(a, 4, A_LDS8, X26, X1, -8);
    is(a, 0xb89f803a, "ldursw x26, [x1, #-8]");
    asm_mem_near(a, 8, A_LD, X26, X1, 255);
    is(a, 0xf84ff03a, "ldur x26, [x1, #255]");
    asm_mem(a, 8, A_LD, X4, X17, X7);
    is(a, 0xf8676a24, "ldr x4, [x17, x7]");
    asm_mem(a, 1, A_LD, X4, X17, X7);
    is(a, 0x38676a24, "ldrb w4, [x17, x7]");
    asm_mem(a, 2, A_ST, X4, X17, X7);
    is(a, 0x78276a24, "strh w4, [x17, x7]");
    asm_mem(a, 1, A_LDS4, X4, X17, X7);
    is(a, 0x38e76a24, "ldrsb w4, [x17, x7]");
    asm_mem(a, 2, A_LDS8, X4, X17, X7);
    is(a, 0x78a76a24, "ldrsh x4, [x17, x7]");
    asm_mem(a, 4, A_LDS8, X4, X17, X7);
    is(a, 0xb8a76a24, "ldrsw x4, [x17, x7]");
    asm_pair(a, true, X16, X17, X16, 16);
    is(a, 0xa9414610, "ldp x16, x17, [x16, #16]");
    asm_pair(a, false, X29, X30, XSP, -512);
    is(a, 0xa9207bfd, "stp x29, x30, [sp, #-512]");
    (void)asm_b(a);
    is(a, 0x14000000, "b .");
    (void)asm_bl(a);
    is(a, 0x94000000, "bl .");
    (void)asm_bcond(a, A_HI);
    is(a, 0x54000008, "b.hi .");
    (void)asm_cbz(a, 8, true, X30);
    is(a, 0xb500001e, "cbnz x30, .");
    (void)asm_cbz(a, 4, false, X16);
    is(a, 0x34000010, "cbz w16, .");
    (void)asm_tbz(a, true, X30, 63);
    is(a, 0xb7f8001e, "tbnz x30, #63, .");
    (void)asm_tbz(a, false, X4, 7);
    is(a, 0x36380004, "tbz w4, #7, .");
    asm_br(a, X3);
    is(a, 0xd61f0060, "br x3");
    asm_blr(a, X16);
    is(a, 0xd63f0200, "blr x16");
    asm_ret(a);
    is(a, 0xd65f03c0, "ret");
    asm_word(a, A64_NOP);
    is(a, 0xd503201f, "nop");
}

TEST(vectors_and_floating_point)
{
    struct buf b;
    struct asmbuf *a = begin(&b);
    asm_v3(a, V3(0, 2, V_ADD), 17, 18, 1);
    is(a, 0x4ea18651, "add v17.4s, v18.4s, v1.4s");
    asm_v3(a, V3(1, 0, V_ADD), 17, 18, 1);
    is(a, 0x6e218651, "sub v17.16b, v18.16b, v1.16b");
    asm_v3(a, V3(1, 0, 0x11), 17, 18, 1);
    is(a, 0x6e218e51, "cmeq v17.16b, v18.16b, v1.16b");
    asm_v3(a, V3(0, 1, V_CMGT), 17, 18, 1);
    is(a, 0x4e613651, "cmgt v17.8h, v18.8h, v1.8h");
    asm_v3(a, V3(1, 0, V_MIN), 17, 18, 1);
    is(a, 0x6e216e51, "umin v17.16b, v18.16b, v1.16b");
    asm_v3(a, V3(0, 1, V_MAX), 17, 18, 1);
    is(a, 0x4e616651, "smax v17.8h, v18.8h, v1.8h");
    asm_v3(a, V3(1, 0, 1), 17, 18, 1);
    is(a, 0x6e210e51, "uqadd v17.16b, v18.16b, v1.16b");
    asm_v3(a, V3(0, 1, 5), 17, 18, 1);
    is(a, 0x4e612e51, "sqsub v17.8h, v18.8h, v1.8h");
    asm_v3(a, V3(1, 1, 2), 17, 18, 1);
    is(a, 0x6e611651, "urhadd v17.8h, v18.8h, v1.8h");
    asm_v3(a, V3(0, 1, 0x13), 17, 18, 1);
    is(a, 0x4e619e51, "mul v17.8h, v18.8h, v1.8h");
    asm_v3(a, V_BIC, 17, 18, 1);
    is(a, 0x4e611e51, "bic v17.16b, v18.16b, v1.16b");
    asm_v3(a, V_EOR, 17, 18, 1);
    is(a, 0x6e211e51, "eor v17.16b, v18.16b, v1.16b");
    asm_v3(a, V_ZIP1 | 2u << 22, 17, 18, 1);
    is(a, 0x4e813a51, "zip1 v17.4s, v18.4s, v1.4s");
    asm_v3(a, V_ZIP2 | 3u << 22, 17, 18, 1);
    is(a, 0x4ec17a51, "zip2 v17.2d, v18.2d, v1.2d");
    asm_vmov(a, 16, 31);
    is(a, 0x4ebf1ff0, "mov v16.16b, v31.16b");
    asm_vzero(a, 20);
    is(a, 0x6f00e414, "movi v20.2d, #0");
    asm_dup(a, 4, 0, 17, 3);
    is(a, 0x4e1c0620, "dup v0.4s, v17.s[3]");
    asm_dup(a, 8, 0, 17, 1);
    is(a, 0x4e180620, "dup v0.2d, v17.d[1]");
    asm_ins(a, 4, 0, 1, 17, 2);
    is(a, 0x6e0c4620, "mov v0.s[1], v17.s[2]");
    asm_ins(a, 2, 0, 7, 17, 5);
    is(a, 0x6e1e5620, "mov v0.h[7], v17.h[5]");
    asm_ins_gpr(a, 8, 17, 1, 4);
    is(a, 0x4e181c91, "mov v17.d[1], x4");
    asm_umov(a, 4, 4, 17, 0);
    is(a, 0x0e043e24, "umov w4, v17.s[0]");
    asm_umov(a, 8, 4, 17, 1);
    is(a, 0x4e183e24, "umov x4, v17.d[1]");
    asm_umov(a, 1, 4, 17, 8);
    is(a, 0x0e113e24, "umov w4, v17.b[8]");
    asm_ext(a, 17, 18, 1, 8);
    is(a, 0x6e014251, "ext v17.16b, v18.16b, v1.16b, #8");
    asm_vshl(a, 2, 17, 18, 3);
    is(a, 0x4f135651, "shl v17.8h, v18.8h, #3");
    asm_vshl(a, 8, 17, 18, 63);
    is(a, 0x4f7f5651, "shl v17.2d, v18.2d, #63");
    asm_vshr(a, V_USHR, 8, 17, 18, 64);
    is(a, 0x6f400651, "ushr v17.2d, v18.2d, #64");
    asm_vshr(a, V_SSHR, 4, 17, 18, 31);
    is(a, 0x4f210651, "sshr v17.4s, v18.4s, #31");
    asm_vshr(a, V_USRA, 2, 0, 0, 7);
    is(a, 0x6f191400, "usra v0.8h, v0.8h, #7");
    asm_vmem_imm(a, true, 16, 17, 23, 480);
    is(a, 0x3dc07af1, "ldr q17, [x23, #480]");
    asm_vmem_imm(a, false, 16, 17, 23, 32);
    is(a, 0x3d800af1, "str q17, [x23, #32]");
    asm_vmem(a, true, 16, 1, 17, 4);
    is(a, 0x3ce46a21, "ldr q1, [x17, x4]");
    asm_vmem(a, true, 8, 1, 17, 4);
    is(a, 0xfc646a21, "ldr d1, [x17, x4]");
    asm_vmem(a, false, 4, 1, 17, 4);
    is(a, 0xbc246a21, "str s1, [x17, x4]");
    asm_vmem(a, false, 16, 1, 17, 4);
    is(a, 0x3ca46a21, "str q1, [x17, x4]");
    asm_vmem_near(a, true, 16, 1, 29, -16);
    is(a, 0x3cdf03a1, "ldur q1, [x29, #-16]");
    asm_vmem_near(a, true, 8, 1, 17, 7);
    is(a, 0xfc407221, "ldur d1, [x17, #7]");
    asm_vmem_near(a, false, 4, 16, 29, 255);
    is(a, 0xbc0ff3b0, "stur s16, [x29, #255]");
    asm_vpair(a, false, 8, 9, XSP, 112);
    is(a, 0x6d0727e8, "stp d8, d9, [sp, #112]");
    asm_vpair(a, true, 14, 15, XSP, 160);
    is(a, 0x6d4a3fee, "ldp d14, d15, [sp, #160]");
    asm_fcsel(a, 8, 1, 2, 3, A_MI);
    is(a, 0x1e634c41, "fcsel d1, d2, d3, mi");
    asm_fcsel(a, 4, 0, 17, 18, A_GT);
    is(a, 0x1e32ce20, "fcsel s0, s17, s18, gt");
    asm_f2(a, 8, F_ADD, 0, 17, 18);
    is(a, 0x1e722a20, "fadd d0, d17, d18");
    asm_f2(a, 4, F_DIV, 0, 17, 18);
    is(a, 0x1e321a20, "fdiv s0, s17, s18");
    asm_f2(a, 8, F_SUB, 0, 17, 18);
    is(a, 0x1e723a20, "fsub d0, d17, d18");
    asm_f2(a, 8, F_MUL, 0, 17, 18);
    is(a, 0x1e720a20, "fmul d0, d17, d18");
    asm_fv2(a, 8, F_MUL, 0, 17, 18);
    is(a, 0x6e72de20, "fmul v0.2d, v17.2d, v18.2d");
    asm_fv2(a, 4, F_DIV, 0, 17, 18);
    is(a, 0x6e32fe20, "fdiv v0.4s, v17.4s, v18.4s");
    asm_fv2(a, 4, F_ADD, 0, 17, 18);
    is(a, 0x4e32d620, "fadd v0.4s, v17.4s, v18.4s");
    asm_fv2(a, 8, F_SUB, 0, 17, 18);
    is(a, 0x4ef2d620, "fsub v0.2d, v17.2d, v18.2d");
    asm_fsqrt(a, 8, 0, 17);
    is(a, 0x1e61c220, "fsqrt d0, d17");
    asm_fcmp(a, 8, false, 17, 18);
    is(a, 0x1e722220, "fcmp d17, d18");
    asm_fcmp(a, 4, true, 17, 18);
    is(a, 0x1e322230, "fcmpe s17, s18");
    asm_fcvt(a, 8, 0, 17);
    is(a, 0x1e624220, "fcvt s0, d17");
    asm_fcvt(a, 4, 0, 17);
    is(a, 0x1e22c220, "fcvt d0, s17");
    asm_scvtf(a, 8, 8, 0, 4);
    is(a, 0x9e620080, "scvtf d0, x4");
    asm_scvtf(a, 4, 4, 0, 4);
    is(a, 0x1e220080, "scvtf s0, w4");
    asm_fcvts(a, true, 8, 4, 4, 17);
    is(a, 0x1e780224, "fcvtzs w4, d17");
    asm_fcvts(a, false, 4, 8, 4, 17);
    is(a, 0x9e200224, "fcvtns x4, s17");
    asm_fmov(a, 8, 0, 17);
    is(a, 0x1e604220, "fmov d0, d17");
    asm_fmov_from(a, 4, 17, 4);
    is(a, 0x1e270091, "fmov s17, w4");
    asm_fmov_from(a, 8, 17, 4);
    is(a, 0x9e670091, "fmov d17, x4");
    asm_msr_fpcr(a, 16);
    is(a, 0xd51b4410, "msr fpcr, x16");
    asm_msr_fpsr(a, XZR);
    is(a, 0xd51b443f, "msr fpsr, xzr");
    asm_mrs_fpsr(a, 16);
    is(a, 0xd53b4430, "mrs x16, fpsr");
}

// clang-format on

/* The value of an N:immr:imms field, as the Arm ARM's DecodeBitMasks has it. */
static uint64_t mask_value(uint32_t f)
{
    unsigned n = f >> 12, immr = f >> 6 & 63, imms = f & 63;
    unsigned len = 31 - (unsigned)__builtin_clz(n << 6 | (~imms & 63)), size = 1u << len;
    unsigned ones = (imms & (size - 1)) + 1, r = immr & (size - 1);
    uint64_t all = size == 64 ? UINT64_MAX : (UINT64_C(1) << size) - 1;
    uint64_t run = (UINT64_C(1) << ones) - 1, v = r ? (run >> r | run << (size - r)) & all : run;
    for (unsigned s = size; s < 64; s *= 2) {
        v |= v << s;
    }
    return v;
}

TEST(every_bit_mask)
{
    for (unsigned size = 2; size <= 64; size *= 2) {
        for (unsigned ones = 1; ones < size; ones++) {
            for (unsigned r = 0; r < size; r++) {
                uint32_t imms = (~(size * 2 - 1) & 0x3f) | (ones - 1);
                uint64_t v = mask_value((size == 64 ? 1u << 12 : 0) | r << 6 | imms);
                uint32_t f = asm_bitmask(8, v);
                EXPECT(f != UINT32_MAX && mask_value(f) == v);
                if (size <= 32) {
                    uint32_t narrow = asm_bitmask(4, (uint32_t)v);
                    EXPECT(narrow != UINT32_MAX && !(narrow >> 12) && mask_value(narrow) == v);
                }
            }
        }
    }
    static const uint64_t none[] = {0, UINT64_MAX, 5, 0x1234, UINT64_C(0x8000000000000005)};
    for (unsigned k = 0; k < ARRAY_LEN(none); k++) {
        EXPECT(!asm_is_bitmask(8, none[k]));
    }
}

/* Runs MOVZ MOVN MOVK and ORR x, xzr, #imm. */
static uint64_t constant(uint64_t v, unsigned *insns)
{
    struct buf b;
    struct asmbuf *a = begin(&b);
    asm_const(a, X9, v);
    uint64_t x = 0;
    *insns = a->at / 4;
    for (uint32_t at = 0; at < a->at; at += 4) {
        uint32_t w = asm_get32(b.bytes + at), shift = (w >> 21 & 3) * 16;
        uint64_t imm = (uint64_t)(w >> 5 & 0xffff) << shift;
        switch (w >> 23) {
        case 0x1a5: /* MOVZ */
            x = imm;
            break;
        case 0x125: /* MOVN */
            x = ~imm;
            break;
        case 0x1e5: /* MOVK */
            x = (x & ~(UINT64_C(0xffff) << shift)) | imm;
            break;
        default:
            EXPECT_EQ(w & 0xff8003ffu, 0xb20003e9u);
            x = mask_value(w >> 10 & 0x1fff);
            break;
        }
    }
    return x;
}

TEST(constants_are_what_they_should_be_and_short)
{
    static const struct {
        uint64_t v;
        unsigned insns;
    } known[] = {
        {0, 1},
        {1, 1},
        {UINT64_MAX, 1},
        {0x12345678, 2},
        {UINT64_C(0xffffffffffff1234), 1},
        {UINT64_C(0x1234000000000000), 1},
        {UINT64_C(0x5555555555555555), 1},
        {UINT64_C(0xffffffff12345678), 2},
        {UINT64_C(0x123456789abcdef1), 4},
    };
    unsigned n;
    for (unsigned k = 0; k < ARRAY_LEN(known); k++) {
        EXPECT_EQ(constant(known[k].v, &n), known[k].v);
        EXPECT_EQ(n, known[k].insns);
    }
    struct t_rng rng = {t_seed()};
    for (unsigned k = 0; k < 10000; k++) {
        uint64_t v = t_rand(&rng) >> (t_rand(&rng) & 63);
        v = k & 1 ? ~v : v;
        EXPECT_EQ(constant(v, &n), v);
    }
}

TEST(transfers_know_their_reach)
{
    static const struct {
        uint32_t word, reach; /* bytes forward, exclusive */
    } kinds[] = {{A64_B, 1u << 27},
                 {0x54000000u, 1u << 20},
                 {0xb5000001u, 1u << 20},
                 {0x36000001u, 1u << 15}};
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
        uint32_t w = kinds[k].word, place = 1u << 28;
        EXPECT(asm_retarget(&w, place, place + kinds[k].reach - 4));
        EXPECT_EQ(asm_target(w, place), place + kinds[k].reach - 4);
        EXPECT(asm_retarget(&w, place, place - kinds[k].reach));
        EXPECT_EQ(asm_target(w, place), place - kinds[k].reach);
        EXPECT(!asm_retarget(&w, place, place + kinds[k].reach));
        EXPECT(!asm_retarget(&w, place, place - kinds[k].reach - 4));
        EXPECT(asm_retarget(&w, place, place));
        EXPECT_EQ(w, kinds[k].word);
    }
}

TEST(a_full_buffer_is_not_written)
{
    struct buf b;
    struct asmbuf *a = begin(&b);
    a->end = 6;
    asm_ret(a);
    EXPECT(!a->full);
    asm_ret(a);
    EXPECT(a->full);
    EXPECT_EQ(a->at, 4);
    EXPECT_EQ(b.bytes[4] | b.bytes[5], 0);
}
