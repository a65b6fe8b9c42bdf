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

/* --- String I/O --- */

#define PORT 0x1f0u

/* A register that notes what it sees and when. Reads give a running number. */
struct port {
    struct dev dev;
    struct cpu *cpu;
    struct region *region;
    uint32_t n, kick_at; /* accesses; the one that asks the vCPU to leave (0: none) */
    uint32_t move_at;    /* the access behind which the register is elsewhere */
    uint32_t data[6000];
    uint64_t when[6000];
};

static void port_access(struct port *p, uint32_t val)
{
    p->data[p->n] = val;
    p->when[p->n++] = clock_now(p->dev.env->clock);
    if (p->n == p->kick_at) {
        p->cpu->stop = true;
        cpu_kick(p->cpu);
    }
    if (p->n == p->move_at) {
        region_move(p->dev.env->io, p->region, PORT + 0x100);
    }
}

static uint64_t port_read(struct dev *d, uint64_t off, unsigned size)
{
    struct port *p = (struct port *)d;
    EXPECT(off == 0 && (size == 2 || size == 4));
    uint32_t val = 0x10000 * p->n + 0x8000 + p->n;
    port_access(p, val);
    return val;
}

static void port_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    EXPECT(off == 0 && (size == 2 || size == 4));
    port_access((struct port *)d, (uint32_t)val);
}

static const struct io_ops port_ops = {port_read, port_write, 2, 4};

static struct bare *port_machine(struct port *p, const uint8_t *code, unsigned len, uint64_t count)
{
    struct bare *b = machine(code, len);
    *p = (struct port){.dev.env = &b->env, .cpu = b->cpu};
    p->region = aspace_map_io(&b->io, PORT, 4, &port_ops, &p->dev, "port", 0);
    b->cpu->s.gpr[REG_RDX] = PORT;
    b->cpu->s.gpr[REG_RCX] = count;
    return b;
}

static const uint8_t rep_insw[] = {0x66, 0xf3, 0x6d, 0xf4}, rep_outsw[] = {0x66, 0xf3, 0x6f, 0xf4},
                     rep_insd[] = {0xf3, 0x6d, 0xf4, 0xf4};

/* Data, times, units and registers are those of one iteration after the other, over pages, in both
 * directions, misaligned, however it is cut into slices. */
TEST(rep_io_is_one_by_one)
{
    static const uint64_t slices[] = {0, 1, 3, 256, 1000};
    static struct port p;
    for (unsigned k = 0; k < 5 * 2 * 2 * 2; k++) {
        bool down = k & 1, odd = k & 2, out = k & 4;
        uint64_t slice = slices[k / 8], step = down ? 0 - UINT64_C(2) : 2;
        struct bare *b = port_machine(&p, out ? rep_outsw : rep_insw, 4, 5000);
        uint64_t at = (out ? SRC : DST) + (down ? 0x5000 : 0) + odd;
        b->cpu->s.gpr[out ? REG_RSI : REG_RDI] = at;
        b->cpu->s.rflags |= down ? FL_DF : 0;
        t_context("slice %u, down %d, odd %d, out %d", (unsigned)slice, down, odd, out);
        EXPECT_EQ(bare_run(b, 100000, slice), 5001);
        EXPECT_EQ(p.n, 5000);
        EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 0);
        EXPECT_EQ(b->cpu->s.gpr[out ? REG_RSI : REG_RDI], at + 5000 * step);
        unsigned wrong = 0;
        for (unsigned n = 0; n < 5000; n++) {
            uint8_t word[2];
            ram_read(&b->ram, at + n * step, word, 2);
            wrong += le16_get(word) != (uint16_t)p.data[n] || p.when[n] != n;
        }
        EXPECT_EQ(wrong, 0);
        bare_free(b);
    }
}

/* A sector is 256 words: not one by one, but from the page in one go. */
TEST(rep_io_in_bulk_stops_where_asked)
{
    static struct port p;
    for (unsigned out = 0; out < 2; out++) {
        struct bare *b = port_machine(&p, out ? rep_outsw : rep_insw, 4, 256);
        p.kick_at = 100;
        clock_slice_begin(&b->clock, 1000);
        uint64_t used = cpu_run(b->cpu, 1000);
        clock_slice_end(&b->clock, used);
        EXPECT_EQ(used, 100);
        EXPECT_EQ(p.n, 100);
        EXPECT_EQ(b->cpu->s.rip, CODE);
        EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 156);
        EXPECT_EQ(b->cpu->s.gpr[out ? REG_RSI : REG_RDI], (out ? SRC : DST) + 200);
        p.move_at = 150; /* nobody is there from then on */
        EXPECT_EQ(bare_run(b, 1000, 0), 157);
        EXPECT_EQ(p.n, 150);
        EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 0);
        uint8_t word[2];
        ram_read(&b->ram, DST + 2 * 150, word, 2);
        EXPECT_EQ(le16_get(word), out ? 0 : 0xffff);
        bare_free(b);
    }
}

/* The segment ends in the middle, inside a page: the device has seen as many as are done. */
TEST(rep_io_fault_in_the_middle)
{
    static struct port p;
    struct bare *b = port_machine(&p, rep_insd, 3, 1000);
    b->cpu->s.seg[SEG_ES].limit = DST + 4 * 300 + 1;
    b->cpu->s.idt_limit = 0;
    cpu_restored(b->cpu);
    bare_run(b, 10000, 0);
    EXPECT_EQ(b->cpu->s.activity, CPU_SHUTDOWN);
    EXPECT_EQ(p.n, 300);
    EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 700);
    EXPECT_EQ(b->cpu->s.gpr[REG_RDI], DST + 1200);
    bare_free(b);
}

/* #AC of a misaligned operand, in string I/O and in MOVS, whatever the count. */
TEST(rep_misaligned_with_alignment_checks)
{
    static const uint8_t movsw[] = {0x66, 0xf3, 0xa5, 0xf4}, lodsd[] = {0xf3, 0xad, 0xf4, 0xf4},
                         scasw[] = {0x66, 0xf2, 0xaf, 0xf4};
    static const uint8_t *const codes[] = {movsw, lodsd, scasw, rep_insw, rep_outsw};
    static struct port p;
    for (unsigned k = 0; k < 2 * ARRAY_LEN(codes); k++) {
        bool odd = k & 1;
        struct bare *b = port_machine(&p, codes[k / 2], 4, 100);
        bare_mode(b, 32, 3);
        b->cpu->s.rip = CODE;
        b->cpu->s.gpr[REG_RDI] = DST + odd;
        b->cpu->s.gpr[REG_RSI] = SRC + odd;
        b->cpu->s.gpr[REG_RAX] = 0x5555;
        b->cpu->s.cr0 |= CR0_AM;
        b->cpu->s.rflags |= FL_AC | FL_IOPL;
        b->cpu->s.idt_limit = 0;
        cpu_restored(b->cpu);
        bare_run(b, 50, 0);
        t_context("case %u", k);
        EXPECT_EQ(b->cpu->s.activity, odd ? CPU_SHUTDOWN : CPU_RUNNING);
        EXPECT_EQ(b->cpu->s.gpr[REG_RCX], odd ? 100 : 50);
        bare_free(b);
    }
}
