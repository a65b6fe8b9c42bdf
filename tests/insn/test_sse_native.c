/*
 * Every user-mode row of MMX, SSE, AVX and their relatives against the host's own CPU.
 *
 * One instruction at a time: encoded at random from its row, run natively from a page at a low
 * address, and by the interpreter's decoder and semantic over the same bytes, registers and memory.
 * Compared: the fault if there is one, general and vector registers, MXCSR, x87 status, tags and
 * MMX registers, arithmetic flags but the undefined ones, and memory around the operand. Operands
 * lean to extremes: floating-point special values, integer limits, equal operands.
 *
 * RCPPS, RSQRTPS and their scalars differ by maker: their error bound is tested instead.
 */
#include "tests/t.h"

#if !defined(__x86_64__)

TEST(sse_native)
{
    SKIP("the host is not x86-64");
}

#else

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/mem.h"
#include "cpu/sem.h"
#include "tests/insn/sse_gen.h"
#include "tests/lib/bare.h"

static struct native *nat;
static struct sse_gen gen;
static struct bare *machine;
static uint64_t host[FEAT_WORDS];

static void find_host_features(void)
{
    unsigned r[4];
#define X(name, leaf, sub, reg, bit)                                                               \
    memset(r, 0, sizeof r);                                                                        \
    if (leaf != NOLEAF && __get_cpuid_count(leaf, sub, &r[0], &r[1], &r[2], &r[3]) &&              \
        (r[CPUID_##reg] >> (bit)&1)) {                                                             \
        feature_add(host, FEAT_##name);                                                            \
    }
    CPU_FEATURES(X)
#undef X
}

static void set_up(void)
{
    if (nat) {
        return;
    }
    nat = native_open();
    gen.in = &nat->in;
    gen.data = (void *)(uintptr_t)DATA;
    find_host_features();
}

/* For the time of one test. */
static void machine_start(void)
{
    machine = bare_new("", 0x400000);
    bare_mode(machine, 64, 3);
    cpu_update_walk(machine->cpu);
}

static void machine_end(void)
{
    bare_free(machine);
    machine = NULL;
}

/* ---- comparison ---- */
static void describe(const struct insn_row *r, const struct sse_code *c, const char *what,
                     uint64_t host_v, uint64_t our_v)
{
    char text[64] = "";
    for (unsigned k = 0; k < c->n; k++) {
        snprintf(text + 3 * k, 4, "%02x ", c->b[k]);
    }
    FAIL("%s [%s] %s: host %016llx, ours %016llx", r->name, text, what, (unsigned long long)host_v,
         (unsigned long long)our_v);
}

static bool same(const struct insn_row *r, const struct sse_code *c, const char *what,
                 uint64_t host_v, uint64_t our_v)
{
    if (host_v != our_v) {
        describe(r, c, what, host_v, our_v);
        return false;
    }
    return true;
}

static bool compare(const struct insn_row *r, const struct sse_code *c, int vector, int ours)
{
    struct cpu *cpu = machine->cpu;
    const struct side *o = &nat->out;
    const struct x87 *f = &cpu->s.fpu[0];
    uint8_t mine[DATA_SIZE];
    char what[32];
    bool ok = same(r, c, "vector", (uint64_t)(int64_t)vector, (uint64_t)(int64_t)ours);
    for (unsigned k = 0; ok && k < 16; k++) {
        snprintf(what, sizeof what, "gpr %u", k);
        ok = same(r, c, what, o->gpr[k], cpu->s.gpr[k]);
    }
    for (unsigned k = 0; ok && k < 64; k++) {
        snprintf(what, sizeof what, "ymm %u word %u", k / 4, k % 4);
        ok = same(r, c, what, o->ymm[k], cpu->s.ymm[k]);
    }
    uint32_t mask = FL_ARITH & ~(uint32_t)r->undef;
    ok = ok && same(r, c, "flags", o->flags & mask, flags_arith(cpu) & mask);
    ok = ok && same(r, c, "mxcsr", le32_get(o->fx + 24), cpu->s.mxcsr);
    ok = ok && same(r, c, "x87 sw", le16_get(o->fx + 2), f->sw);
    ok = ok && same(r, c, "x87 tags", o->fx[4], (uint8_t)~f->empty);
    for (unsigned k = 0; ok && k < 8; k++) {
        unsigned phys = ((f->sw >> 11 & 7u) + k) & 7;
        snprintf(what, sizeof what, "mm%u", phys);
        ok = same(r, c, what, le64_get(o->fx + 32 + 16 * k), f->m[phys]) &&
             same(r, c, what, le16_get(o->fx + 40 + 16 * k), f->se[phys]);
    }
    mem_rd_buf(cpu, SEG_DS, DATA, mine, DATA_SIZE, cpu->view);
    for (unsigned k = 0; ok && k < DATA_SIZE; k += 8) {
        snprintf(what, sizeof what, "memory +%u", k);
        ok = same(r, c, what, le64_get(gen.data + k), le64_get(mine + k));
    }
    return ok;
}

static bool one_case(const struct insn_row *r)
{
    struct cpu *cpu = machine->cpu;
    struct sse_code c = sse_gen_case(&gen, r, true);
    sse_load(cpu, gen.in);
    mem_wr_buf(cpu, SEG_DS, DATA, gen.data, DATA_SIZE, cpu->view);
    int vector = native_run(c.b, c.n);
    return compare(r, &c, vector, sse_run(cpu, &c));
}

/* RCPPS and RSQRTPS are tables of the maker's. */
static bool comparable(const struct insn_row *r)
{
    return sse_gen_row(r) && !strstr(r->name, "rcp") && !strstr(r->name, "rsqrt");
}

TEST(sse_rows_native)
{
    uint64_t cases = t_amount(100, 1200, 100000);
    unsigned long passed = 0, failed = 0, skipped = 0;
    const char *only = getenv("ROW");
    set_up();
    if (!feature_in(host, FEAT_avx) || !feature_in(host, FEAT_fxsr)) {
        SKIP("the host has no AVX");
        return;
    }
    machine_start();
    for (unsigned k = 0; k < insn_row_count; k++) {
        const struct insn_row *r = &insn_rows[k];
        if (!comparable(r) || (only && strcmp(only, r->name))) {
            continue;
        }
        if (!feature_in(host, (enum feature)r->feature)) {
            skipped++;
            continue;
        }
        gen.rng.state = t_seed() + k;
        unsigned bad = 0;
        for (uint64_t n = 0; n < cases && bad < 2; n++) {
            if (one_case(r)) {
                passed++;
            } else {
                failed++;
                bad++;
            }
        }
    }
    machine_end();
    t_cases(passed, failed, skipped);
}

/* ---- FXSAVE and XSAVE, by hand: their rows are not for a general user-mode test ---- */

/* A header that XRSTOR may accept; sometimes one that it must not. */
static void make_header(uint8_t *at)
{
    uint64_t bv = t_rand_below(&gen.rng, 8),
             comp = t_rand_below(&gen.rng, 2)
                        ? UINT64_C(0x8000000000000000) | bv | t_rand_below(&gen.rng, 8)
                        : 0;
    memset(at + 512, 0, 64);
    le64_put(at + 512, bv);
    le64_put(at + 520, comp);
    if (t_rand_below(&gen.rng, 8) == 0) {
        at[512 + t_rand_below(&gen.rng, 64)] =
            (uint8_t)t_rand_below(&gen.rng, 32); /* no component that only the host has */
    }
    le32_put(at + 24,
             (uint32_t)(t_rand(&gen.rng) & (t_rand_below(&gen.rng, 8) ? 0xffff : 0x1ffff)));
    le16_put(at + 2, (uint16_t)(t_rand(&gen.rng) & 0x7f40));
    memset(at + 6, 0, 18); /* AMD loads and saves pointers with a pending exception only */
    for (unsigned k = 0; k < 8; k++) { /* reserved bytes of the x87 registers */
        memset(at + 42 + 16 * k, 0, 6);
    }
}

static bool state_case(void)
{
    static const struct {
        const char *name;
        uint8_t op, reg;
    } list[] = {{"fxsave", 0xae, 0}, {"fxrstor", 0xae, 1},  {"xsave", 0xae, 4},
                {"xrstor", 0xae, 5}, {"xsaveopt", 0xae, 6}, {"xsavec", 0xc7, 4}};
    unsigned n = (unsigned)t_rand_below(&gen.rng, ARRAY_LEN(list));
    struct insn_row row = {.name = list[n].name};
    struct sse_code c = {.n = 0};
    struct cpu *cpu = machine->cpu;
    if (t_rand_below(&gen.rng, 2)) {
        sse_code_put(&c, 0x48);
    }
    sse_code_put(&c, 0x0f);
    sse_code_put(&c, list[n].op);
    sse_code_put(&c, 0x07u | (unsigned)list[n].reg << 3);
    sse_gen_fill(&gen, true);
    nat->in.ymm[0] |= 2; /* no component is in its initial state: processors may notice or not */
    nat->in.ymm[2] |= 2;
    memcpy(nat->in.fx + 160, nat->in.ymm, 16);
    make_header(gen.data + 64);
    make_header(gen.data + 128);
    nat->in.gpr[0] = t_rand_below(&gen.rng, 8);
    nat->in.gpr[2] = 0;
    nat->in.gpr[7] = DATA + (t_rand_below(&gen.rng, 8) ? 64 + 64 * t_rand_below(&gen.rng, 2)
                                                       : t_rand_below(&gen.rng, 192));
    sse_load(cpu, gen.in);
    mem_wr_buf(cpu, SEG_DS, DATA, gen.data, DATA_SIZE, cpu->view);
    int vector = native_run(c.b, c.n);
    uint8_t *mask = gen.data + (nat->in.gpr[7] - DATA) + 28;
    if (le32_get(mask) == 0x2ffff) { /* MXCSR_MASK: AMD has MXCSR.MM */
        le32_put(mask, 0xffff);
    }
    return compare(&row, &c, vector, sse_run(cpu, &c));
}

TEST(xsave_native)
{
    uint64_t cases = t_amount(5000, 50000, 1000000);
    unsigned long passed = 0, failed = 0;
    set_up();
    if (!feature_in(host, FEAT_xsave) || !feature_in(host, FEAT_xsavec)) {
        SKIP("the host has no XSAVEC");
        return;
    }
    machine_start();
    gen.rng.state = t_seed();
    for (uint64_t n = 0; n < cases && failed < 5; n++) {
        if (state_case()) {
            passed++;
        } else {
            failed++;
        }
    }
    machine_end();
    t_cases(passed, failed, 0);
}

#endif
