/*
 * The 8086 has no segment limits: a word at offset FFFFH wraps to offset 0 of its segment, on the
 * stack too; the 80286 raises exception 13 or 12 there instead (80286 manual, 9.2). And it loses
 * prefixes when it is interrupted in a REP.
 */
#include "tests/lib/bare.h"
#include "tests/t.h"
#include "util/bits.h"

#define SEG  0x1000u
#define CODE 0x500u

/* Run `n` instructions of `code` in segment 0 with DS = SS = SEG. */
static void run(struct bare *b, const uint8_t *code, unsigned len, unsigned n)
{
    struct cpu *cpu = b->cpu;
    bare_mode(b, 16, 0);
    aspace_write_buf(&b->mem, CODE, code, len);
    const unsigned segs[] = {SEG_DS, SEG_SS};
    for (unsigned i = 0; i < 2; i++) {
        cpu->s.seg[segs[i]].sel = SEG;
        cpu->s.seg[segs[i]].base = SEG << 4;
        seg_update(cpu, segs[i]);
    }
    cpu->s.rip = CODE;
    cpu_update_mode(cpu);
    bare_run(b, n, 0);
}

TEST(word_at_ffff_wraps)
{
    struct bare *b = bare_new("8086", 1 << 20);
    const uint8_t code[] = {0xa1, 0xff, 0xff,       /* mov ax, [ffff] */
                            0xf7, 0x16, 0xff, 0xff, /* not word [ffff] */
                            0x90};
    aspace_write(&b->mem, 0x1ffff, 1, 0x34);
    aspace_write(&b->mem, 0x20000, 1, 0x99);
    aspace_write(&b->mem, 0x10000, 1, 0x12);
    run(b, code, sizeof code, 2);
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX] & 0xffff, 0x1234);
    EXPECT_EQ(aspace_read(&b->mem, 0x1ffff, 1), 0xcb);
    EXPECT_EQ(aspace_read(&b->mem, 0x10000, 1), 0xed);
    EXPECT_EQ(aspace_read(&b->mem, 0x20000, 1), 0x99);
    EXPECT_EQ(b->cpu->s.rip, CODE + 7);
    bare_free(b);
}

TEST(push_at_sp_1_wraps)
{
    struct bare *b = bare_new("8086", 1 << 20);
    const uint8_t code[] = {0xbc, 0x01, 0x00, 0x50, 0x90}; /* mov sp, 1; push ax */
    b->cpu->s.gpr[REG_RAX] = 0xabcd;
    run(b, code, sizeof code, 2);
    EXPECT_EQ(b->cpu->s.gpr[REG_RSP] & 0xffff, 0xffff);
    EXPECT_EQ(aspace_read(&b->mem, 0x1ffff, 1), b->cpu->s.gpr[REG_RAX] & 0xff);
    EXPECT_EQ(aspace_read(&b->mem, 0x10000, 1), b->cpu->s.gpr[REG_RAX] >> 8 & 0xff);
    EXPECT_EQ(b->cpu->s.rip, CODE + 4);
    bare_free(b);
}

TEST(int_frame_wraps)
{
    struct bare *b = bare_new("8086", 1 << 20);
    const uint8_t code[] = {0xbc, 0x03, 0x00, 0xcd, 0x40}; /* mov sp, 3; int 40h */
    aspace_write(&b->mem, 0x40 * 4, 4, 0x00700123);
    run(b, code, sizeof code, 2);
    EXPECT_EQ(b->cpu->s.seg[SEG_CS].sel, 0x70);
    EXPECT_EQ(b->cpu->s.rip, 0x123);
    EXPECT_EQ(b->cpu->s.gpr[REG_RSP] & 0xffff, 0xfffd);
    EXPECT_EQ(aspace_read(&b->mem, 0x1ffff, 1), 0x00);      /* CS, low byte */
    EXPECT_EQ(aspace_read(&b->mem, 0x1fffd, 2), CODE + 5);  /* IP */
    EXPECT_EQ(aspace_read(&b->mem, 0x10001, 2) >> 12, 0xf); /* FLAGS: bits 15:12 are ones */
    bare_free(b);
}

TEST(the_80286_faults)
{
    struct bare *b = bare_new("286", 1 << 20);
    const uint8_t code[] = {0xa1, 0xff, 0xff};
    aspace_write(&b->mem, 13 * 4, 4, 0x00700123);
    run(b, code, sizeof code, 1);
    EXPECT_EQ(b->cpu->s.rip, 0x123);
    EXPECT_EQ(b->cpu->s.seg[SEG_CS].sel, 0x70);
    bare_free(b);
}

/* A far pointer that the end of the segment cuts, at each place: LES, CALL and JMP through it. */
TEST(far_pointer_at_ffff_wraps)
{
    static const uint8_t ops[] = {0x06, 0x1e, 0x2e}; /* modrm: les ax (C4), call, jmp (FF /3, /5) */
    for (unsigned k = 0; k < 12; k++) {
        unsigned at = 0xfffc + k % 4, op = k / 4;
        struct bare *b = bare_new("8086", 1 << 20);
        const uint8_t code[] = {op ? 0xff : 0xc4, ops[op], (uint8_t)at, 0xff, 0x90};
        static const uint8_t pointer[] = {0x78, 0x56, 0x34, 0x02};
        for (unsigned n = 0; n < 4; n++) {
            aspace_write(&b->mem, 0x20000 + n, 1, 0x99);
        }
        for (unsigned n = 0; n < 4; n++) {
            aspace_write(&b->mem, 0x10000 + ((at + n) & 0xffff), 1, pointer[n]);
        }
        b->cpu->s.gpr[REG_RSP] = 0x100;
        run(b, code, sizeof code, 1);
        t_context("offset %x, %s", at, op == 0 ? "les" : op == 1 ? "call" : "jmp");
        EXPECT_EQ(op ? b->cpu->s.rip : b->cpu->s.gpr[REG_RAX] & 0xffff, 0x5678);
        EXPECT_EQ(b->cpu->s.seg[op ? SEG_CS : SEG_ES].sel, 0x234);
        bare_free(b);
    }
}

/* An NMI after 3 of 10 iterations, whose handler returns at once. */
static struct bare *interrupted(const char *model, const uint8_t *code, unsigned len, bool step)
{
    struct bare *b = bare_new(model, 1 << 20);
    uint8_t iret = 0xcf;
    aspace_write(&b->mem, 4, 4, 0x700);
    aspace_write(&b->mem, 8, 4, 0x700);
    aspace_write_buf(&b->mem, 0x700, &iret, 1);
    for (unsigned n = 0; n < 16; n++) {
        aspace_write(&b->mem, 0x3000 + n, 1, 0x40 + n);
        aspace_write(&b->mem, (SEG << 4) + 0x3000 + n, 1, 0x60 + n);
    }
    b->cpu->s.gpr[REG_RSP] = 0x100;
    b->cpu->s.gpr[REG_RCX] = 10;
    b->cpu->s.gpr[REG_RSI] = 0x3000;
    b->cpu->s.gpr[REG_RDI] = 0x4000;
    run(b, code, len, 3);
    if (step) { /* a trap instead, as a debugger's */
        b->cpu->s.db_pending = 1u << 14;
    } else {
        b->cpu->s.nmi_pending = true;
    }
    bare_run(b, 1, 0);
    EXPECT_EQ(b->cpu->s.rip, 0x700);
    return b;
}

TEST(rep_interrupted_loses_prefixes)
{
    static const struct {
        const char *model;
        uint8_t code[5];
        unsigned back;       /* where the interrupt returns to */
        unsigned cx, si;     /* at the HLT behind */
        uint8_t first, last; /* bytes moved before and after */
    } cases[] = {
        {"8086", {0xf3, 0xa4, 0xf4}, 0, 0, 0x300a, 0x60, 0x64},
        {"8086", {0xf3, 0x2e, 0xa4, 0xf4}, 1, 7, 0x3004, 0x40, 0},    /* CS: MOVSB, once more */
        {"8086", {0x2e, 0xf3, 0xa4, 0xf4}, 1, 0, 0x300a, 0x40, 0x64}, /* REP MOVSB, from DS */
        {"8086", {0x2e, 0xf0, 0xf3, 0xa4, 0xf4}, 2, 0, 0x300a, 0x40, 0x64},
        {"286", {0xf3, 0x2e, 0xa4, 0xf4}, 0, 0, 0x300a, 0x40, 0x44},
        {"286", {0x2e, 0xf3, 0xa4, 0xf4}, 0, 0, 0x300a, 0x40, 0x44},
    };
    for (unsigned k = 0; k < 2 * ARRAY_LEN(cases); k++) {
        unsigned n = k / 2;
        struct bare *b = interrupted(cases[n].model, cases[n].code, 5, k & 1);
        t_context("case %u", n);
        EXPECT_EQ(aspace_read(&b->mem, (SEG << 4) + 0x100 - 6, 2), CODE + cases[n].back);
        bare_run(b, 100, 0);
        EXPECT_EQ(b->cpu->s.activity, CPU_HALTED);
        EXPECT_EQ(b->cpu->s.gpr[REG_RCX], cases[n].cx);
        EXPECT_EQ(b->cpu->s.gpr[REG_RSI], cases[n].si);
        EXPECT_EQ(aspace_read(&b->mem, 0x4000, 1), cases[n].first);
        EXPECT_EQ(aspace_read(&b->mem, 0x4004, 1), cases[n].last);
        bare_free(b);
    }
}

/* The end of a slice is no interrupt: nothing is lost. */
TEST(rep_in_slices_keeps_prefixes)
{
    static const uint8_t code[] = {0xf3, 0x2e, 0xa4, 0xf4};
    struct bare *b = bare_new("8086", 1 << 20);
    b->cpu->s.gpr[REG_RCX] = 10;
    b->cpu->s.gpr[REG_RSI] = 0x3000;
    run(b, code, sizeof code, 3);
    bare_run(b, 100, 2);
    EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RSI], 0x300a);
    bare_free(b);
}
