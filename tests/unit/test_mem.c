// The slow side of guest memory (cpu/mem.c): misaligned and page-crossing accesses, checks in their
// order and before any effect, registers, ROM, code lines, data breakpoints, host pointers.

#include "tests/t.h"

#include <stdio.h>
#include <string.h>

#include "cpu/mem.h"
#include "tests/lib/bare.h"

enum { RAM = 16 << 20, ROOT = 0x10000, L1 = 0x11000, L2 = 0x12000, L3 = 0x13000, PAGES = 0x400000 };

// One access; what it raised is in `vec` (0xff: nothing), `err` and CR2.
struct result {
    unsigned vec;
    uint32_t err;
    uint64_t val;
};

enum kind { RD, WR, RMW, PROBE_W, RD_BUF, WR_BUF };

static struct result go(struct bare *b, enum kind kind, unsigned seg, gva la, unsigned size,
                        uint64_t val)
{
    struct cpu *cpu = b->cpu;
    volatile struct result r = {.vec = 0xff};
    uint8_t buf[64] = {0};
    cpu->exc.vector = 0xff;
    if (setjmp(cpu->fault)) {
        return (struct result){cpu->exc.vector, cpu->exc.has_err ? cpu->exc.err : 0, 0};
    }
    switch (kind) {
    case RD:
        r.val = mem_rd(cpu, seg, la, size);
        break;
    case WR:
        mem_wr(cpu, seg, la, size, val);
        break;
    case RMW:
        r.val = mem_rd_rmw(cpu, seg, la, size);
        mem_wr(cpu, seg, la, size, r.val + val);
        break;
    case PROBE_W:
        mem_probe(cpu, seg, la, size, ACC_WRITE, cpu->view);
        break;
    case RD_BUF:
        mem_rd_buf(cpu, seg, la, buf, size, cpu->view);
        r.val = le64_get(buf);
        break;
    case WR_BUF:
        memset(buf, (int)val, sizeof buf);
        mem_wr_buf(cpu, seg, la, buf, size, cpu->view);
        break;
    }
    return (struct result){r.vec, r.err, r.val};
}

static void set_pte(struct bare *b, unsigned n, uint64_t pte)
{
    aspace_write(&b->mem, L3 + 8 * n, 8, pte);
    tlb_flush_all(&b->cpu->tlb);
}

static uint64_t pte(struct bare *b, unsigned n)
{
    return aspace_read(&b->mem, L3 + 8 * n, 8);
}

// Long mode at `cpl`; linear 0..2 MiB is 512 user pages at physical PAGES and up.
static struct bare *long_mode(unsigned cpl)
{
    struct bare *b = bare_new("", RAM);
    bare_mode(b, 64, cpl);
    aspace_write(&b->mem, ROOT, 8, L1 | 7);
    aspace_write(&b->mem, L1, 8, L2 | 7);
    aspace_write(&b->mem, L2, 8, L3 | 7);
    for (unsigned n = 0; n < 512; n++) {
        aspace_write(&b->mem, L3 + 8 * n, 8, (PAGES + 0x1000 * (uint64_t)n) | 7);
    }
    b->cpu->s.cr0 |= CR0_PG | CR0_PE | CR0_WP;
    b->cpu->s.cr4 |= CR4_PAE;
    b->cpu->s.cr3 = ROOT;
    b->cpu->s.msr[0].efer |= EFER_LME | EFER_LMA | EFER_NXE;
    cpu_update_walk(b->cpu);
    cpu_update_mode(b->cpu);
    tlb_flush_all(&b->cpu->tlb);
    return b;
}

TEST(mem_every_size_and_offset)
{
    struct bare *b = long_mode(3);
    uint8_t model[3 * 4096];
    for (unsigned i = 0; i < sizeof model; i++) {
        model[i] = (uint8_t)(i * 13 + (i >> 8));
        aspace_write(&b->mem, PAGES + i, 1, model[i]);
    }
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned at = 4096 - 20; at < 4096 + 20; at++) {
            uint64_t v = 0x8877665544332211u * (at | 1);
            EXPECT_EQ(go(b, RD, SEG_DS, at, size, 0).val, le_get(model + at, size));
            EXPECT_EQ(go(b, WR, SEG_DS, at, size, v).vec, 0xff);
            le_put(model + at, size, v);
            EXPECT_EQ(go(b, RMW, SEG_DS, at, size, 3).val, le_get(model + at, size));
            le_put(model + at, size, le_get(model + at, size) + 3);
        }
    }
    uint8_t out[3 * 4096];
    aspace_read_buf(&b->mem, PAGES, out, sizeof out);
    EXPECT_MEM(out, model, sizeof out);
    EXPECT_EQ(go(b, WR_BUF, SEG_DS, 8192 - 30, 60, 0x5a).vec, 0xff);
    EXPECT_EQ(go(b, RD_BUF, SEG_DS, 8192 - 4, 8, 0).val, 0x5a5a5a5a5a5a5a5au);
    bare_free(b);
}

TEST(mem_page_faults_before_effects)
{
    struct bare *b = long_mode(3);
    set_pte(b, 1, 0);
    set_pte(b, 2, (PAGES + 0x2000) | 5);
    struct result r = go(b, RD, SEG_DS, 0xffe, 4, 0);
    EXPECT(r.vec == EXC_PF && r.err == PF_U);
    EXPECT_EQ(b->cpu->s.cr2, 0x1000);
    r = go(b, WR, SEG_DS, 0xffe, 4, ~UINT64_C(0));
    EXPECT(r.vec == EXC_PF && r.err == (PF_U | PF_W));
    EXPECT_EQ(b->cpu->s.cr2, 0x1000);
    EXPECT_EQ(aspace_read(&b->mem, PAGES + 0xffe, 2), 0); // nothing written
    EXPECT_EQ(pte(b, 0) & 0x40, 0);                       // nor the dirty bit set
    r = go(b, RMW, SEG_DS, 0x2008, 4, 1);
    EXPECT(r.vec == EXC_PF && r.err == (PF_P | PF_U | PF_W));
    EXPECT_EQ(b->cpu->s.cr2, 0x2008);
    r = go(b, PROBE_W, SEG_DS, 0x3ff0, 64, 0);
    EXPECT_EQ(r.vec, 0xff);
    EXPECT_EQ(pte(b, 3) & 0x60, 0); // a probe leaves no trace
    r = go(b, PROBE_W, SEG_DS, 0xff0, 64, 0);
    EXPECT_EQ(r.vec, EXC_PF);
    // Both bad: the lower is reported.
    set_pte(b, 0, 0);
    r = go(b, WR, SEG_DS, 0xfff, 2, 0);
    EXPECT(r.vec == EXC_PF);
    EXPECT_EQ(b->cpu->s.cr2, 0xfff);
    bare_free(b);
}

TEST(mem_canonical_then_alignment_then_pages)
{
    struct bare *b = long_mode(3);
    struct cpu *cpu = b->cpu;
    const gva hole = UINT64_C(0x800000000000);
    EXPECT_EQ(go(b, RD, SEG_DS, hole, 1, 0).vec, EXC_GP);
    EXPECT_EQ(go(b, RD, SEG_SS, hole, 8, 0).vec, EXC_SS);
    EXPECT_EQ(go(b, RD, SEG_DS, hole - 1, 1, 0).vec, EXC_PF);
    EXPECT_EQ(go(b, WR, SEG_DS, hole - 1, 2, 0).vec, EXC_GP); // by its last byte
    EXPECT_EQ(go(b, RD, SEG_FS, ~(hole - 1) - 1, 1, 0).vec, EXC_GP);
    EXPECT_EQ(go(b, RD, SEG_DS, ~(hole - 1), 1, 0).vec, EXC_PF);

    cpu->s.cr0 |= CR0_AM;
    EXPECT_EQ(go(b, RD, SEG_DS, 0x1001, 4, 0).vec, 0xff); // EFLAGS.AC is clear
    cpu->s.rflags |= FL_AC;
    cpu_update_mode(cpu);
    set_pte(b, 5, 0);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned off = 0; off < 8; off++) {
            EXPECT_EQ(go(b, RD, SEG_DS, 0x1000 + off, size, 0).vec, off % size ? EXC_AC : 0xff);
            EXPECT_EQ(go(b, WR, SEG_DS, 0x5000 + off, size, 0).vec, off % size ? EXC_AC : EXC_PF);
            EXPECT_EQ(go(b, RD, SEG_DS, hole + off, size, 0).vec, EXC_GP);
        }
    }
    cpu->s.cpl = 0; // never for the supervisor
    cpu_update_mode(cpu);
    EXPECT_EQ(go(b, RD, SEG_DS, 0x1001, 4, 0).vec, 0xff);
    bare_free(b);
}

TEST(mem_ends_of_the_32_bit_space)
{
    struct bare *b = bare_new("", RAM);
    bare_mode(b, 32, 0);
    // A flat segment ends at 4 GiB; one with a base wraps.
    EXPECT_EQ(go(b, RD, SEG_DS, 0xfffffffe, 4, 0).vec, EXC_GP);
    EXPECT_EQ(go(b, WR, SEG_SS, 0xffffffff, 2, 0).vec, EXC_SS);
    EXPECT_EQ(go(b, RD, SEG_DS, 0xfffffffc, 4, 0).val, 0xffffffff); // nobody there
    b->cpu->s.seg[SEG_FS].base = 0x1000;
    seg_update(b->cpu, SEG_FS);
    aspace_write(&b->mem, 0, 4, 0x44332211);
    EXPECT_EQ(go(b, RD, SEG_FS, 0xfffffffe, 4, 0).val, 0x2211ffff);
    // The system's own accesses wrap as well.
    EXPECT_EQ(mem_rd_sys(b->cpu, UINT64_C(0x100000001), 2), 0x3322);
    bare_free(b);
}

static char io_log[200];

static uint64_t io_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)d;
    size_t n = strlen(io_log);
    snprintf(io_log + n, sizeof io_log - n, "r%x.%u ", (unsigned)off, size);
    return 0x8877665544332211u;
}

static void io_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)d;
    size_t n = strlen(io_log);
    snprintf(io_log + n, sizeof io_log - n, "w%x.%u=%llx ", (unsigned)off, size,
             (unsigned long long)val);
}

static void expect_log(const char *want)
{
    EXPECT_STR(io_log, want);
    io_log[0] = '\0';
}

TEST(mem_registers_and_rom)
{
    static const struct io_ops ops = {io_read, io_write, 1, 8};
    struct bare *b = long_mode(0);
    aspace_map_io(&b->mem, PAGES + 0x1000, 0x1000, &ops, NULL, "io", 1);
    tlb_flush_all(&b->cpu->tlb);
    io_log[0] = '\0';
    EXPECT_EQ(go(b, RD, SEG_DS, 0x1010, 4, 0).val, 0x44332211);
    expect_log("r10.4 ");
    go(b, WR, SEG_DS, 0x1fff, 1, 0xabcd);
    expect_log("wfff.1=cd ");
    go(b, RMW, SEG_DS, 0x1008, 2, 1);
    expect_log("r8.2 w8.2=2212 ");
    aspace_write(&b->mem, PAGES + 0xffc, 4, 0xddccbbaa);
    EXPECT_EQ(go(b, RD, SEG_DS, 0xffe, 4, 0).val, 0x2211ddcc); // half RAM, half registers
    expect_log("r0.2 ");
    go(b, WR, SEG_DS, 0xfff, 4, 0x04030201);
    EXPECT_EQ(aspace_read(&b->mem, PAGES + 0xfff, 1), 1);
    expect_log("w0.2=302 w2.1=4 ");
    aspace_map_ram(&b->mem, PAGES + 0x3000, 0x1000, &b->ram, 0x100000, true, "rom", 1);
    tlb_flush_all(&b->cpu->tlb);
    aspace_write(&b->mem, 0x100000, 4, 0x11223344);
    EXPECT_EQ(go(b, WR, SEG_DS, 0x3000, 4, 0).vec, 0xff);
    EXPECT_EQ(go(b, RMW, SEG_DS, 0x3000, 4, 1).val, 0x11223344);
    EXPECT_EQ(go(b, RD, SEG_DS, 0x3000, 4, 0).val, 0x11223344);
    bare_free(b);
}

TEST(mem_writes_to_code_lines)
{
    struct bare *b = long_mode(0);
    struct cpu *cpu = b->cpu;
    uint64_t pfn = PAGES / 4096 + 6;
    go(b, WR, SEG_DS, 0x6000, 8, 1);
    EXPECT(mem_host_ptr(cpu, 0x6000, 4096, ACC_WRITE, cpu->view) != NULL);
    ram_mark_code(&b->ram, pfn, 0x100, 16);
    EXPECT(mem_host_ptr(cpu, 0x6000, 4096, ACC_WRITE, cpu->view) == NULL);
    cpu->exit_req = 0;
    go(b, WR, SEG_DS, 0x60f8, 8, 2); // the line before
    EXPECT_EQ(cpu->exit_req, 0);
    EXPECT_EQ(aspace_read(&b->mem, PAGES + 0x60f8, 8), 2);
    go(b, WR, SEG_DS, 0x60fc, 8, 3); // two lines
    EXPECT_EQ(cpu->exit_req, 1);
    EXPECT_EQ(aspace_read(&b->mem, PAGES + 0x60fc, 8), 3);
    bare_free(b);
}

TEST(mem_data_breakpoints)
{
    struct bare *b = long_mode(0);
    struct cpu *cpu = b->cpu;
    go(b, WR, SEG_DS, 0x7000, 8, 1);
    go(b, WR, SEG_DS, 0x8000, 8, 1);
    cpu->s.dr[0] = 0x7010;
    cpu->s.dr[1] = 0x7023; // aligned down to its length
    cpu->s.dr[2] = 0x8ffc;
    cpu->s.dr[7] = 0x400 | 0x1 | 0x4 | 0x20 | 1u << 16 | // 0: write, 1 byte
                   3u << 20 | 3u << 22 |                 // 1: read or write, 4 bytes
                   1u << 24 | 3u << 26;                  // 2: write, 4 bytes (G2)
    mem_update_watch(cpu);
    static const struct {
        enum kind kind;
        gva la;
        unsigned size, bits;
    } cases[] = {
        {RD, 0x7010, 1, 0},      {WR, 0x7010, 1, 1},      {WR, 0x7009, 8, 1},
        {WR, 0x7011, 1, 0},      {WR, 0x7008, 8, 0},      {RD, 0x7020, 1, 2},
        {RD, 0x7023, 1, 2},      {RD, 0x7024, 4, 0},      {RD, 0x701e, 2, 0},
        {RD, 0x701e, 4, 2},      {WR, 0x7020, 4, 2},      {RMW, 0x7010, 1, 1},
        {WR, 0x8ffe, 4, 4},      {WR, 0x9000, 4, 0},      {RD, 0x8ffc, 4, 0},
        {WR, 0x7000, 4, 0},      {RD_BUF, 0x7000, 60, 2}, {WR_BUF, 0x7000, 60, 3},
        {WR_BUF, 0x8fd0, 60, 4},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        cpu->s.db_pending = 0;
        t_context("case %u", i);
        EXPECT_EQ(go(b, cases[i].kind, SEG_DS, cases[i].la, cases[i].size, 0).vec, 0xff);
        EXPECT_EQ(cpu->s.db_pending & 15, cases[i].bits);
    }
    EXPECT(mem_host_ptr(cpu, 0x7800, 8, ACC_READ, cpu->view) == NULL);
    EXPECT(mem_host_ptr(cpu, 0xa000, 8, ACC_READ, cpu->view) == NULL); // never touched: no A bit
    cpu->s.dr[7] = 0x400;
    mem_update_watch(cpu);
    cpu->s.db_pending = 0;
    go(b, WR, SEG_DS, 0x7010, 1, 1);
    EXPECT_EQ(cpu->s.db_pending, 0);
    EXPECT(mem_host_ptr(cpu, 0x7800, 8, ACC_READ, cpu->view) != NULL);
    bare_free(b);
}

TEST(mem_host_pointers)
{
    struct bare *b = long_mode(3);
    struct cpu *cpu = b->cpu;
    EXPECT(mem_host_ptr(cpu, 0x4000, 16, ACC_WRITE, cpu->view) == NULL); // not dirty yet
    go(b, WR, SEG_DS, 0x4000, 1, 0x77);
    uint8_t *p = mem_host_ptr(cpu, 0x4ff0, 16, ACC_WRITE, cpu->view);
    EXPECT(p == ram_read_ptr(&b->ram, PAGES / 4096 + 4) + 0xff0);
    EXPECT(mem_host_ptr(cpu, 0x4ff0, 17, ACC_READ, cpu->view) == NULL); // two pages
    EXPECT(mem_host_ptr(cpu, UINT64_C(0x800000000000), 1, ACC_READ, cpu->view) == NULL);
    set_pte(b, 4, (PAGES + 0x4000) | 3);
    EXPECT(mem_host_ptr(cpu, 0x4000, 1, ACC_READ, cpu->view) == NULL); // the supervisor's
    bare_free(b);
}
