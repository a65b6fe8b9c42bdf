/*
 * The 8086 has no segment limits: a word at offset FFFFH wraps to offset 0 of its segment, on the
 * stack too; the 80286 raises exception 13 or 12 there instead (80286 manual, 9.2).
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
