/*
 * REP string instructions: what a slice's end, overlap, page borders, DF and a fault in the middle
 * leave behind, on every host. One iteration is one unit (cpu/string.c).
 */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "tests/lib/bare.h"
#include "tests/t.h"
#include "util/bits.h"

#define CODE 0x1000u
#define SRC  0x10000u
#define DST  0x20000u
#define RAM  0x100000u

/* A machine in 32-bit code at `code`, with a known pattern in RAM. */
static struct bare *machine(const uint8_t *code, unsigned len)
{
    struct bare *b = bare_new("", RAM);
    uint8_t fill[4096];
    for (unsigned k = 0; k < sizeof fill; k++) {
        fill[k] = (uint8_t)(k * 7 + (k >> 8));
    }
    for (unsigned at = SRC; at < SRC + 0x8000; at += 4096) {
        ram_write(&b->ram, at, fill, sizeof fill);
    }
    ram_write(&b->ram, CODE, code, len);
    bare_mode(b, 32, 0);
    b->cpu->s.rip = CODE;
    b->cpu->s.gpr[REG_RSI] = SRC;
    b->cpu->s.gpr[REG_RDI] = DST;
    return b;
}

/* Run rep movs of n bytes from SRC to DST + shift; in slices. Returns the digest. */
static uint64_t copy_digest(uint32_t dst, uint32_t n, bool down, uint64_t slice, uint64_t *units)
{
    static const uint8_t code[] = {0xf3, 0xa4, 0xf4}; /* rep movsb; hlt */
    struct bare *b = machine(code, sizeof code);
    struct cpu *cpu = b->cpu;
    cpu->s.gpr[REG_RCX] = n;
    cpu->s.gpr[REG_RDI] = dst + (down ? n - 1 : 0);
    cpu->s.gpr[REG_RSI] = SRC + (down ? n - 1 : 0);
    cpu->s.rflags |= down ? FL_DF : 0;
    *units = bare_run(b, 100000, slice);
    EXPECT_EQ(cpu->s.gpr[REG_RCX], 0);
    EXPECT_EQ(cpu->s.gpr[REG_RDI], down ? dst - 1 : dst + n);
    EXPECT_EQ(cpu->s.gpr[REG_RSI], down ? SRC - 1 : SRC + n);
    uint64_t digest = bare_digest(b);
    bare_free(b);
    return digest;
}

/* The same bytes and the same units whatever the slices, the direction's page borders, overlap. */
TEST(rep_movs_slices)
{
    static const uint32_t dst[] = {DST, DST + 1, SRC + 1, SRC + 3, SRC + 64, SRC - 5, SRC + 4096};
    static const uint64_t slices[] = {1, 2, 7, 100, 4096};
    for (unsigned d = 0; d < ARRAY_LEN(dst); d++) {
        for (int down = 0; down < 2; down++) {
            uint64_t units, whole = copy_digest(dst[d], 9000, down, 0, &units);
            EXPECT_EQ(units, 9001);
            for (unsigned k = 0; k < ARRAY_LEN(slices); k++) {
                t_context("to %x, down %d, slices of %u", dst[d], down, (unsigned)slices[k]);
                EXPECT_EQ(copy_digest(dst[d], 9000, down, slices[k], &units), whole);
                EXPECT_EQ(units, 9001);
            }
        }
    }
}

/* Overlap repeats the pattern: byte k of the destination is byte k mod distance of the source. */
TEST(rep_movs_overlap)
{
    static const uint8_t code[] = {0xf3, 0xa4, 0xf4};
    struct bare *b = machine(code, sizeof code);
    uint8_t first[3], got[5000];
    ram_read(&b->ram, SRC, first, 3);
    b->cpu->s.gpr[REG_RDI] = SRC + 3;
    b->cpu->s.gpr[REG_RCX] = sizeof got;
    bare_run(b, 100000, 0);
    ram_read(&b->ram, SRC + 3, got, sizeof got);
    unsigned wrong = 0;
    for (unsigned k = 0; k < sizeof got; k++) {
        wrong += got[k] != first[k % 3];
    }
    EXPECT_EQ(wrong, 0);
    bare_free(b);
}

/* Stopped in the middle: RIP on the instruction, registers at the last completed iteration. */
TEST(rep_stos_stops_between_iterations)
{
    static const uint8_t code[] = {0xf3, 0xab, 0xf4}; /* rep stosd; hlt */
    struct bare *b = machine(code, sizeof code);
    struct cpu *cpu = b->cpu;
    cpu->s.gpr[REG_RCX] = 3000;
    cpu->s.gpr[REG_RAX] = 0x11223344;
    EXPECT_EQ(bare_run(b, 1234, 0), 1234);
    EXPECT_EQ(cpu->s.rip, CODE);
    EXPECT_EQ(cpu->s.gpr[REG_RCX], 3000 - 1234);
    EXPECT_EQ(cpu->s.gpr[REG_RDI], DST + 4 * 1234);
    uint8_t word[8];
    ram_read(&b->ram, DST + 4 * 1233, word, 8);
    EXPECT_EQ(le32_get(word), 0x11223344);
    EXPECT_EQ(le32_get(word + 4), 0);
    bare_free(b);
}

/* A count of zero is one unit and touches nothing, not even a bad address. */
TEST(rep_count_zero)
{
    static const uint8_t code[] = {0xf3, 0xa4, 0x90, 0xf4};
    struct bare *b = machine(code, sizeof code);
    b->cpu->s.gpr[REG_RCX] = 0;
    b->cpu->s.seg[SEG_ES].limit = 0;
    cpu_restored(b->cpu);
    EXPECT_EQ(bare_run(b, 1, 0), 1);
    EXPECT_EQ(b->cpu->s.rip, CODE + 2);
    EXPECT_EQ(b->cpu->s.gpr[REG_RDI], DST);
    bare_free(b);
}

/* The segment ends in the middle: the iterations before it are done and counted, the fault is taken
 * on the instruction. There is no IDT, so the vCPU shuts down, with the registers as they were. */
TEST(rep_fault_in_the_middle)
{
    static const uint8_t code[] = {0xf3, 0xa4, 0xf4};
    for (unsigned slice = 0; slice < 300; slice += 99) {
        struct bare *b = machine(code, sizeof code);
        struct cpu *cpu = b->cpu;
        cpu->s.gpr[REG_RCX] = 1000;
        cpu->s.seg[SEG_ES].limit = DST + 699;
        cpu->s.idt_limit = 0;
        cpu_restored(cpu);
        EXPECT_EQ(bare_run(b, 700, slice), 700);
        EXPECT_EQ(cpu->s.rip, CODE);
        EXPECT_EQ(cpu->s.activity, CPU_RUNNING);
        bare_run(b, 10, 0);
        EXPECT_EQ(cpu->s.activity, CPU_SHUTDOWN);
        EXPECT_EQ(cpu->s.gpr[REG_RCX], 300);
        EXPECT_EQ(cpu->s.gpr[REG_RDI], DST + 700);
        EXPECT_EQ(cpu->s.gpr[REG_RSI], SRC + 700);
        bare_free(b);
    }
}

/* REPE CMPS and REPNE SCAS stop behind the deciding element, with its flags. */
TEST(rep_compare)
{
    static const uint8_t cmps[] = {0xf3, 0xa6, 0xf4}, scas[] = {0xf2, 0xae, 0xf4};
    struct bare *b = machine(cmps, sizeof cmps);
    struct cpu *cpu = b->cpu;
    uint8_t same[5000];
    ram_read(&b->ram, SRC, same, sizeof same);
    same[4321] ^= 1;
    ram_write(&b->ram, DST, same, sizeof same);
    cpu->s.gpr[REG_RCX] = 5000;
    bare_run(b, 100000, 77);
    EXPECT_EQ(cpu->s.gpr[REG_RCX], 5000 - 4322);
    EXPECT_EQ(cpu->s.gpr[REG_RDI], DST + 4322);
    EXPECT(!flag_zf(cpu));
    bare_free(b);

    b = machine(scas, sizeof scas);
    cpu = b->cpu;
    uint8_t mark = 0x5a;
    ram_write(&b->ram, DST + 4500, &mark, 1);
    cpu->s.gpr[REG_RAX] = 0x5a;
    cpu->s.gpr[REG_RCX] = 0xffffffff;
    EXPECT_EQ(bare_run(b, 4501, 0), 4501);
    EXPECT_EQ(cpu->s.gpr[REG_RDI], DST + 4501);
    EXPECT_EQ(cpu->s.rip, CODE + 2);
    EXPECT(flag_zf(cpu));
    bare_free(b);
}

/* A copy over the instruction itself: it ends, and what follows is the new code. */
TEST(rep_movs_over_itself)
{
    static const uint8_t code[] = {0xf3, 0xa4, 0x40, 0xf4}; /* rep movsb; inc eax; hlt */
    struct bare *b = machine(code, sizeof code);
    struct cpu *cpu = b->cpu;
    static const uint8_t fresh[] = {0xf3, 0xa4, 0x43, 0xf4}; /* ... inc ebx */
    ram_write(&b->ram, SRC, fresh, sizeof fresh);
    cpu->s.gpr[REG_RDI] = CODE;
    cpu->s.gpr[REG_RCX] = sizeof fresh;
    cpu->s.gpr[REG_RAX] = cpu->s.gpr[REG_RBX] = 0;
    bare_run(b, 100, 0);
    EXPECT_EQ(cpu->s.gpr[REG_RAX], 0);
    EXPECT_EQ(cpu->s.gpr[REG_RBX], 1);
    bare_free(b);
}
