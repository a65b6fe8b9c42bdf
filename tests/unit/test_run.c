/*
 * The run loop and the block cache: exact budgets, refunds of faults, self-modifying code, blocks
 * over page ends, revival. The guest code is given as bytes with its assembly beside it.
 */
#include <string.h>

#include "cpu/flags.h"
#include "tests/lib/bare.h"
#include "tests/t.h"

enum { CODE = 0x8000 };

static struct bare *start(unsigned bits, uint64_t at, const void *code, uint64_t len)
{
    struct bare *b = bare_new("", 1 << 20);
    ram_write(&b->ram, at, code, len);
    bare_mode(b, bits, 0);
    b->cpu->s.rip = at;
    b->cpu->s.gpr[REG_RSP] = 0x7000;
    return b;
}

/* An interrupt vector of real mode: 0000:off. */
static void vector(struct bare *b, unsigned v, uint16_t off)
{
    uint8_t vec[4];
    le32_put(vec, off);
    ram_write(&b->ram, 4 * v, vec, 4);
}

TEST(a_budget_is_spent_to_the_instruction)
{
    uint8_t code[200];
    for (unsigned k = 0; k < 100; k++) {
        code[2 * k] = 0xff; /* inc eax */
        code[2 * k + 1] = 0xc0;
    }
    for (uint64_t n = 1; n < 100; n += 7) {
        struct bare *b = start(32, CODE, code, sizeof code);
        EXPECT_EQ(bare_run(b, n, 0), n);
        EXPECT_EQ(b->cpu->s.gpr[REG_RAX], n);
        EXPECT_EQ(b->cpu->s.rip, CODE + 2 * n);
        EXPECT_EQ(b->clock.s.icount, n);
        bare_free(b);
    }
}

TEST(a_fault_refunds_and_its_delivery_counts_one)
{
    /* inc ax; inc ax; ud2; inc ax    handler: inc bx; jmp $ */
    static const uint8_t code[] = {0x40, 0x40, 0x0f, 0x0b, 0x40, 0x40, 0x40};
    static const uint8_t handler[] = {0x43, 0xeb, 0xfe};
    struct bare *b = start(16, CODE, code, sizeof code);
    ram_write(&b->ram, 0x9000, handler, sizeof handler);
    vector(b, EXC_UD, 0x9000);
    EXPECT_EQ(bare_run(b, 3, 0), 3); /* two INCs and the delivery */
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX] & 0xffff, 2);
    EXPECT_EQ(b->cpu->s.rip, 0x9000);
    uint8_t frame[6];
    ram_read(&b->ram, 0x7000 - 6, frame, 6);
    EXPECT_EQ(le16_get(frame), CODE + 2); /* a fault: the address of UD2 itself */
    bare_run(b, 1, 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RBX] & 0xffff, 1);
    bare_free(b);
}

TEST(a_rep_counts_each_iteration_and_stops_where_the_budget_does)
{
    /* cld; rep stosb; nop */
    static const uint8_t code[] = {0xfc, 0xf3, 0xaa, 0x90};
    struct bare *b = start(32, CODE, code, sizeof code);
    b->cpu->s.gpr[REG_RCX] = 50;
    b->cpu->s.gpr[REG_RDI] = 0x5000;
    b->cpu->s.gpr[REG_RAX] = 0xa5;
    EXPECT_EQ(bare_run(b, 21, 0), 21);
    EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 30);
    EXPECT_EQ(b->cpu->s.gpr[REG_RDI], 0x5000 + 20);
    EXPECT_EQ(b->cpu->s.rip, CODE + 1); /* still at the REP */
    EXPECT_EQ(bare_run(b, 30, 0), 30);
    EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 0);
    EXPECT_EQ(b->cpu->s.rip, CODE + 3);
    uint8_t out[52];
    ram_read(&b->ram, 0x5000, out, 51);
    EXPECT_EQ(out[49], 0xa5);
    EXPECT_EQ(out[50], 0);
    bare_free(b);
}

TEST(code_that_changes_its_next_instruction)
{
    /* mov byte [CODE+9], 0x42; nop; nop; inc eax (becomes inc edx): 32-bit */
    static const uint8_t code[] = {0xc6, 0x05, 0x09, 0x80, 0, 0, 0x42, 0x90, 0x90, 0x40, 0x90};
    struct bare *b = start(32, CODE, code, sizeof code);
    b->cpu->s.gpr[REG_RDX] = 0;
    EXPECT_EQ(bare_run(b, 5, 0), 5);
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX], 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RDX], 1);
    bare_free(b);
}

/* Code of two instructions is decoded once: into one block, or, as the engine of T_ENGINE may want
 * it, into two. */
static bool decoded_once(const struct bare *b)
{
    uint64_t n = block_cache_stats(b->blocks).decoded;
    return n == 1 || (n == 2 && b->engine);
}

TEST(data_beside_code_invalidates_nothing)
{
    /* loop: inc dword [CODE+256]; jmp loop    32-bit */
    static const uint8_t code[] = {0xff, 0x05, 0x00, 0x81, 0, 0, 0xeb, 0xf8};
    struct bare *b = start(32, CODE, code, sizeof code);
    bare_run(b, 200, 0);
    EXPECT_EQ(block_cache_stats(b->blocks).invalidated, 0);
    EXPECT(decoded_once(b));
    uint8_t val[4];
    ram_read(&b->ram, CODE + 256, val, 4);
    EXPECT_EQ(le32_get(val), 100);
    bare_free(b);
}

TEST(a_block_is_revived_when_its_bytes_come_back)
{
    static const uint8_t code[] = {0x40, 0xeb, 0xfd}; /* inc eax; jmp back */
    static const uint8_t other[] = {0x42};            /* inc edx */
    struct bare *b = start(32, CODE, code, sizeof code);
    b->cpu->s.gpr[REG_RDX] = 0;
    bare_run(b, 10, 0);
    ram_write(&b->ram, CODE, other, 1);
    EXPECT_EQ(block_cache_stats(b->blocks).invalidated, 1);
    ram_write(&b->ram, CODE, code, 1);
    bare_run(b, 10, 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX], 10);
    EXPECT_EQ(b->cpu->s.gpr[REG_RDX], 0);
    EXPECT_EQ(block_cache_stats(b->blocks).revived, 1);
    EXPECT(decoded_once(b));
    ram_write(&b->ram, CODE, other, 1);
    bare_run(b, 2, 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RDX], 1);
    bare_free(b);
}

TEST(an_instruction_over_a_page_end)
{
    /* mov eax, 0x12345678 with two bytes before the page's end; jmp back */
    static const uint8_t code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xeb, 0xf9};
    struct bare *b = start(32, 0x8ffe, code, sizeof code);
    bare_run(b, 2, 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX], 0x12345678);
    EXPECT_EQ(b->cpu->s.rip, 0x8ffe);
    static const uint8_t patch[] = {0x99};
    ram_write(&b->ram, 0x9002, patch, 1); /* its last byte, in the second page */
    bare_run(b, 2, 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX], 0x99345678);
    bare_free(b);
}

TEST(sixteen_bit_code_may_not_run_past_its_limit)
{
    static const uint8_t code[] = {0x90, 0xb8}; /* nop; mov ax, imm16 cut by the limit */
    struct bare *b = start(16, 0xfffe, code, sizeof code);
    vector(b, EXC_GP, 0x9000);
    EXPECT_EQ(bare_run(b, 2, 0), 2);
    EXPECT_EQ(b->cpu->s.rip, 0x9000);
    uint8_t frame[6];
    ram_read(&b->ram, 0x7000 - 6, frame, 6);
    EXPECT_EQ(le16_get(frame), 0xffff);
    bare_free(b);
}

TEST(single_step_traps_after_each_instruction)
{
    static const uint8_t code[] = {0x40, 0x40, 0x40, 0x40};
    static const uint8_t handler[] = {0x43, 0xcf}; /* inc bx; iret */
    struct bare *b = start(16, CODE, code, sizeof code);
    ram_write(&b->ram, 0x9000, handler, sizeof handler);
    vector(b, EXC_DB, 0x9000);
    b->cpu->s.rflags |= FL_TF;
    cpu_restored(b->cpu);
    /* three times: inc ax, delivery, inc bx, iret */
    EXPECT_EQ(bare_run(b, 12, 0), 12);
    EXPECT_EQ(b->cpu->s.gpr[REG_RAX] & 0xffff, 3);
    EXPECT_EQ(b->cpu->s.gpr[REG_RBX] & 0xffff, 3);
    bare_free(b);
}

/* An interrupt controller whose acknowledge cycle sets a timer. */
struct acker {
    struct bare *b;
    struct vtimer deadline;
    struct timer timer;
    vtime fired;
};

static uint8_t ack_sets_timer(void *ctx)
{
    struct acker *a = ctx;
    cpu_smm_pin(a->b->cpu, false);
    timer_set(&a->timer, clock_now(&a->b->clock) + 1);
    return 0x20;
}

static void acker_fires(void *ctx)
{
    struct acker *a = ctx;
    a->fired = a->b->clock.s.now;
}

/* The delivery takes one unit, and the deadline that it set is reached with it: no block, and no
 * compiled code, may run in between. */
TEST(a_timer_set_by_a_delivery_is_not_overrun)
{
    static const struct intc_ops ops = {.ack = ack_sets_timer};
    static const uint8_t code[] = {0xfb, 0x40, 0x40, 0x40, 0xeb, 0xfb};    /* sti; inc ax...; jmp */
    static const uint8_t handler[] = {0x43, 0x43, 0x43, 0x43, 0xeb, 0xfa}; /* inc bx...; jmp */
    struct bare *b = start(16, CODE, code, sizeof code);
    struct acker a = {.b = b};
    struct err e;
    ram_write(&b->ram, 0x9000, handler, sizeof handler);
    vector(b, 0x20, 0x9000);
    timer_init(&a.timer, &b->clock, &a.deadline, acker_fires, &a);
    cpu_set_intc(b->cpu, &ops, &a);
    EXPECT(dev_connect(&b->cpu->dev, "smiact", &b->cpu->dev, "intr", &e));
    EXPECT_EQ(bare_run(b, 50, 0), 50);
    cpu_smm_pin(b->cpu, true);
    EXPECT_EQ(bare_run(b, 1, 0), 1); /* the delivery */
    EXPECT_EQ(b->cpu->s.rip, 0x9000);
    EXPECT_EQ(a.fired, 51);
    bare_run(b, 400, 0); /* whatever compiles, has */
    a.fired = 0;
    b->cpu->s.rflags |= FL_IF;
    cpu_smm_pin(b->cpu, true);
    vtime then = b->clock.s.now;
    clock_slice_begin(&b->clock, 1000);
    uint64_t used = cpu_run(b->cpu, 1000);
    clock_slice_end(&b->clock, used);
    EXPECT_EQ(used, 1);
    clock_run_due(&b->clock);
    EXPECT_EQ(a.fired, then + 1);
    bare_free(b);
}

TEST(lazy_flags_hold_any_combination)
{
    static struct cpu cpu;
    for (unsigned k = 0; k < 64; k++) {
        uint32_t fl = (k & 1 ? FL_CF : 0) | (k & 2 ? FL_PF : 0) | (k & 4 ? FL_AF : 0) |
                      (k & 8 ? FL_ZF : 0) | (k & 16 ? FL_SF : 0) | (k & 32 ? FL_OF : 0);
        flags_set_arith(&cpu, fl);
        EXPECT_EQ(flags_arith(&cpu), fl);
        flags_set_cf(&cpu, !(fl & FL_CF));
        EXPECT_EQ(flags_arith(&cpu), fl ^ FL_CF);
    }
}
