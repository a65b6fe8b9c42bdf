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
#include "tests/insn/native.h"
#include "tests/lib/bare.h"

#define DATA      NATIVE_DATA
#define DATA_SIZE 1024u

static struct native *nat;
static uint8_t *data;
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
    data = (void *)(uintptr_t)DATA;
    find_host_features();
    machine = bare_new("", 0x400000);
    bare_mode(machine, 64, 3);
    cpu_update_walk(machine->cpu);
}

/* ---- operands ---- */
static struct t_rng rng;

static uint64_t rnd(uint64_t n)
{
    return t_rand_below(&rng, n);
}

static uint32_t any32(void)
{
    static const uint32_t nice[] = {
        0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
        0xffc00000, 0x7f800001, 0xffbfffff, 1,          0x80000001, 0x007fffff, 0x00800000,
        0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0xdf000000, 0x3f000000,
        0x40490fdb, 0x4b7fffff, 0x33800000, 0x20000000, 0x5f7fffff, 0x7fffffff, 0xffffffff,
        0x7fff8000, 0x80007fff, 0x00ff00ff, 0x01010101, 0x477fe000, 0x38800000, 0x33000001};
    switch (rnd(4)) {
    case 0:
        return nice[rnd(ARRAY_LEN(nice))];
    case 1: /* near 1.0: sums and products that cancel or round */
        return (uint32_t)(rnd(2) << 31 | (0x3f800000 + (rnd(16) - 8) * 0x800000) |
                          (t_rand(&rng) & 0x7fffff & -rnd(2)));
    case 2:
        return (uint32_t)rnd(1 << 16);
    default:
        return (uint32_t)t_rand(&rng);
    }
}

static uint64_t any64(void)
{
    static const uint64_t nice[] = {0,
                                    UINT64_C(0x8000000000000000),
                                    UINT64_C(0x3ff0000000000000),
                                    UINT64_C(0xbff0000000000000),
                                    UINT64_C(0x7ff0000000000000),
                                    UINT64_C(0xfff0000000000000),
                                    UINT64_C(0x7ff8000000000000),
                                    UINT64_C(0x7ff0000000000001),
                                    UINT64_C(0xfff7ffffffffffff),
                                    1,
                                    UINT64_C(0x000fffffffffffff),
                                    UINT64_C(0x0010000000000000),
                                    UINT64_C(0x7fefffffffffffff),
                                    UINT64_C(0x41dfffffffc00000),
                                    UINT64_C(0xc1e0000000000000),
                                    UINT64_C(0x43e0000000000000),
                                    UINT64_C(0xc3e0000000000000),
                                    UINT64_C(0x36a0000000000000),
                                    UINT64_C(0x47efffffe0000000),
                                    UINT64_C(0x380fffffffffffff),
                                    UINT64_C(0x3fe0000000000000),
                                    UINT64_C(0x7fffffffffffffff),
                                    UINT64_C(0xffffffffffffffff)};
    switch (rnd(6)) {
    case 0:
        return nice[rnd(ARRAY_LEN(nice))];
    case 1:
        return rnd(2) << 63 | (UINT64_C(0x3ff0000000000000) + (rnd(16) - 8) * (UINT64_C(1) << 52)) |
               (t_rand(&rng) & UINT64_C(0xfffffffffffff) & -rnd(2));
    case 2:
        return t_rand(&rng);
    case 3:
        return rnd(40); /* counts, small numbers */
    default:
        return (uint64_t)any32() << 32 | any32();
    }
}

/* Register values, memory, MXCSR. */
static void fill(struct side *s, bool masked)
{
    memset(s, 0, sizeof *s);
    uint64_t pool[4];
    for (unsigned k = 0; k < 4; k++) {
        pool[k] = any64();
    }
    for (unsigned k = 0; k < 16; k++) {
        s->gpr[k] = any64();
    }
    for (unsigned k = 0; k < 64; k++) { /* some elements are equal */
        s->ymm[k] = rnd(4) ? any64() : pool[rnd(4)];
    }
    for (unsigned k = 0; k < DATA_SIZE / 8; k++) {
        le64_put(data + 8 * k, rnd(4) ? any64() : pool[rnd(4)]);
    }
    s->flags = 0x202 | (t_rand(&rng) & FL_ARITH);
    uint32_t mxcsr = masked ? 0x1f80 : (uint32_t)t_rand(&rng) & 0x1f80;
    mxcsr |= rnd(2) ? 0 : (uint32_t)t_rand(&rng) & 0x6000;
    mxcsr |= rnd(2) ? 0 : 0x20; /* PE is set: cpu/fp/quick.h may run */
    mxcsr |= rnd(4) ? 0 : (uint32_t)t_rand(&rng) & 0x8040;
    mxcsr |= rnd(4) ? 0 : (uint32_t)t_rand(&rng) & 0x3f;
    le16_put(s->fx, 0x37f);
    le16_put(s->fx + 2, (uint16_t)(rnd(8) << 11));
    s->fx[4] = (uint8_t)t_rand(&rng);
    le32_put(s->fx + 24, mxcsr);
    for (unsigned k = 0; k < 8; k++) {
        le64_put(s->fx + 32 + 16 * k, any64());
        le16_put(s->fx + 40 + 16 * k, (uint16_t)t_rand(&rng));
    }
    for (unsigned k = 0; k < 16; k++) {
        memcpy(s->fx + 160 + 16 * k, &s->ymm[4 * k], 16);
    }
}

/* ---- encoding ---- */
struct code {
    uint8_t b[16];
    unsigned n;
};

static void put(struct code *c, unsigned byte)
{
    c->b[c->n++] = (uint8_t)byte;
}

static bool has_opd(const struct insn_row *r, unsigned kind)
{
    return r->opd[0] == kind || r->opd[1] == kind || r->opd[2] == kind || r->opd[3] == kind;
}

/* Address of the memory operand relative to DATA: mostly aligned, sometimes not. */
static uint64_t data_offset(void)
{
    return 256 + (rnd(4) ? rnd(8) * 32 : rnd(2) ? rnd(16) * 16 : rnd(256));
}

static void put_prefixes(struct code *c, const struct insn_row *r, unsigned rex)
{
    static const uint8_t pps[] = {0, 0, 0x66, 0xf3, 0xf2};
    static const uint8_t vpps[] = {0, 0, 1, 2, 3};
    bool wild = rnd(12) == 0; /* break the row's rules: the host says what must happen */
    unsigned vvvv = r->attr & A_NOVVVV && !wild ? 0 : (unsigned)rnd(16);
    unsigned l = wild             ? (unsigned)rnd(2)
                 : r->attr & A_L0 ? 0
                 : r->attr & A_L1 ? 1
                                  : (unsigned)rnd(2);
    rex ^= wild ? (unsigned)rnd(2) << 3 : 0;
    if (!strcmp(r->name, "vpermq") || !strcmp(r->name, "vpermpd")) {
        rex |= 8; /* AMD runs them with VEX.W clear, where the SDM has #UD */
    }
    if (strstr(r->name, "vaes") || strstr(r->name, "vpclmul")) {
        l = 0; /* the host may have VAES, our models do not */
    }
    if (r->map >= MAP_V0F) {
        unsigned last = (~vvvv & 15) << 3 | l << 2 | vpps[r->pp];
        if (r->map == MAP_V0F && !(rex & 11) && rnd(2)) {
            put(c, 0xc5);
            put(c, (rex & 4 ? 0 : 0x80) | last);
        } else {
            put(c, 0xc4);
            put(c, ((~rex & 7) << 5) | (r->map - MAP_V0F + 1u));
            put(c, (rex & 8) << 4 | last);
        }
        return;
    }
    if (r->pp >= PP_66) {
        put(c, pps[r->pp]);
    }
    if (rex || rnd(4) == 0) {
        put(c, 0x40 | rex);
    }
    put(c, 0x0f);
    if (r->map == MAP_0F38 || r->map == MAP_0F3A) {
        put(c, r->map == MAP_0F38 ? 0x38 : 0x3a);
    }
}

static bool is_vsib(const struct insn_row *r)
{
    return !strncmp(r->name, "vgather", 7) || !strncmp(r->name, "vpgather", 8);
}

/* A random instance of the row. The memory operand is [rdi+disp8] or [r15+disp8]. */
static struct code encode(const struct insn_row *r)
{
    struct code c = {.n = 0};
    unsigned rex = rnd(2) ? 0 : (unsigned)rnd(8);
    rex |= r->attr & A_W1 ? 8 : r->attr & A_W0 ? 0 : (unsigned)rnd(3) == 0 ? 8 : 0;
    bool mem = r->attr & A_MEM || (!(r->attr & A_MOD3) && rnd(2));
    put_prefixes(&c, r, rex);
    put(&c, r->op);
    if (r->modrm) {
        unsigned reg = r->reg < 8 ? r->reg : (unsigned)rnd(8);
        if (is_vsib(r)) {
            put(&c, 0x44 | reg << 3);
            put(&c, (unsigned)(rnd(4) << 6 | rnd(8) << 3 | 7));
            put(&c, (unsigned)rnd(8));
        } else if (mem) {
            put(&c, 0x47 | reg << 3);
            put(&c, (unsigned)rnd(8) * 16);
        } else {
            put(&c, 0xc0 | reg << 3 | (unsigned)rnd(8));
        }
    }
    if (has_opd(r, OPD_Ib) || has_opd(r, OPD_Lx) || has_opd(r, OPD_Ldq)) {
        put(&c, (unsigned)(rnd(3) ? rnd(256) : rnd(32)));
    }
    return c;
}

/* ---- the two runs ---- */
static void stop_here(struct cpu *cpu, const struct insn *i)
{
    (void)cpu;
    (void)i;
}

static void load_side(struct cpu *cpu, const struct side *s)
{
    memcpy(cpu->s.gpr, s->gpr, sizeof s->gpr);
    memcpy(cpu->s.ymm, s->ymm, sizeof s->ymm);
    flags_set_arith(cpu, s->flags);
    struct x87 *f = &cpu->s.fpu[0];
    memset(f, 0, sizeof *f);
    f->cw = le16_get(s->fx);
    f->sw = le16_get(s->fx + 2);
    f->empty = (uint8_t)~s->fx[4];
    cpu->s.mxcsr = le32_get(s->fx + 24);
    for (unsigned k = 0; k < 8; k++) {
        unsigned r = ((f->sw >> 11 & 7u) + k) & 7;
        f->m[r] = le64_get(s->fx + 32 + 16 * k);
        f->se[r] = le16_get(s->fx + 40 + 16 * k);
    }
}

/* Returns the vector, -1 for none. */
static int run_ours(const struct code *c)
{
    struct cpu *cpu = machine->cpu;
    static struct insn in[2]; /* survives longjmp */
    struct decode_in from = {.bytes = c->b,
                             .avail = c->n,
                             .mode = MODE_C64 | MODE_SS32 | MODE_FLAT | MODE_PROT | MODE_CPL3,
                             .features = cpu->features};
    if (insn_decode(&from, &in[0]) == DECODE_MORE) {
        return -2;
    }
    in[1] = in[0];
    in[1].fn = stop_here;
    cpu->blk_rip = NATIVE_CODE;
    cpu->exit_req = 0;
    cpu->cur = in;
    int r = -1;
    if (setjmp(cpu->fault) == 0) {
        in[0].fn(cpu, &in[0]);
    } else {
        r = cpu->exc.vector;
    }
    cpu->cur = NULL;
    return r;
}

/* ---- comparison ---- */
static void describe(const struct insn_row *r, const struct code *c, const char *what,
                     uint64_t host_v, uint64_t our_v)
{
    char text[64] = "";
    for (unsigned k = 0; k < c->n; k++) {
        snprintf(text + 3 * k, 4, "%02x ", c->b[k]);
    }
    FAIL("%s [%s] %s: host %016llx, ours %016llx", r->name, text, what, (unsigned long long)host_v,
         (unsigned long long)our_v);
}

static bool same(const struct insn_row *r, const struct code *c, const char *what, uint64_t host_v,
                 uint64_t our_v)
{
    if (host_v != our_v) {
        describe(r, c, what, host_v, our_v);
        return false;
    }
    return true;
}

static bool compare(const struct insn_row *r, const struct code *c, int vector, int ours)
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
        ok = same(r, c, what, le64_get(data + k), le64_get(mine + k));
    }
    return ok;
}

/* Keep a gather's addresses inside the data. The index register is in SIB and VEX.X. */
static void small_indices(const struct code *c)
{
    unsigned x = (c->b[c->n - 2] >> 3 & 7u) | (c->b[1] & 0x40 ? 0 : 8u);
    bool dwords = !(c->b[3] & 1);
    for (unsigned k = 0; k < 4; k++) {
        nat->in.ymm[4 * x + k] = rnd(32) | (dwords ? rnd(32) << 32 : 0);
    }
    memcpy(nat->in.fx + 160 + 16 * x, &nat->in.ymm[4 * x], 16);
}

/* Few different elements, small lengths: so that string comparisons find something. */
static void like_text(void)
{
    uint64_t step = rnd(2) ? 1 : 0x40;
    for (unsigned k = 0; k < 64; k++) {
        for (unsigned j = 0; j < 64; j += 8) {
            nat->in.ymm[k] = nat->in.ymm[k] << 8 | (rnd(12) ? 1 + rnd(3) * step : rnd(2) * 0x80);
        }
    }
    for (unsigned k = 0; k < DATA_SIZE; k++) {
        data[k] = (uint8_t)(rnd(12) ? 1 + rnd(3) * step : rnd(2) * 0x80);
    }
    for (unsigned k = 0; k < 16; k++) {
        memcpy(nat->in.fx + 160 + 16 * k, &nat->in.ymm[4 * k], 16);
    }
    for (unsigned k = 0; k < 3; k += 2) {
        nat->in.gpr[k] = rnd(8) ? rnd(40) - 20 : nat->in.gpr[k];
    }
}

static bool one_case(const struct insn_row *r)
{
    struct cpu *cpu = machine->cpu;
    struct code c = encode(r);
    fill(&nat->in, rnd(4) != 0);
    nat->in.gpr[7] = nat->in.gpr[15] = DATA + data_offset();
    if (is_vsib(r)) {
        small_indices(&c);
    }
    if (r->feature == FEAT_sha) { /* AMD does not ask for alignment, where the SDM has #GP */
        nat->in.gpr[7] = nat->in.gpr[15] = DATA + (data_offset() & ~UINT64_C(15));
    }
    if (strstr(r->name, "str")) {
        like_text();
    }
    load_side(cpu, &nat->in);
    mem_wr_buf(cpu, SEG_DS, DATA, data, DATA_SIZE, cpu->view);
    int vector = native_run(c.b, c.n);
    return compare(r, &c, vector, run_ours(&c));
}

static bool ours_to_test(const struct insn_row *r)
{
    const uint32_t kinds = A_SSE | A_AVX | A_MMX;
    return (r->attr & A_USER) && (r->attr & kinds) && !strstr(r->name, "rcp") &&
           !strstr(r->name, "rsqrt") && (r->reg < 8 || r->reg == NOREG);
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
    for (unsigned k = 0; k < insn_row_count; k++) {
        const struct insn_row *r = &insn_rows[k];
        if (!ours_to_test(r) || (only && strcmp(only, r->name))) {
            continue;
        }
        if (!feature_in(host, (enum feature)r->feature)) {
            skipped++;
            continue;
        }
        rng.state = t_seed() + k;
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
    t_cases(passed, failed, skipped);
}

/* ---- FXSAVE and XSAVE, by hand: their rows are not for a general user-mode test ---- */

/* A header that XRSTOR may accept; sometimes one that it must not. */
static void make_header(uint8_t *at)
{
    uint64_t bv = rnd(8), comp = rnd(2) ? UINT64_C(0x8000000000000000) | bv | rnd(8) : 0;
    memset(at + 512, 0, 64);
    le64_put(at + 512, bv);
    le64_put(at + 520, comp);
    if (rnd(8) == 0) {
        at[512 + rnd(64)] = (uint8_t)rnd(32); /* no component that only the host has */
    }
    le32_put(at + 24, (uint32_t)(t_rand(&rng) & (rnd(8) ? 0xffff : 0x1ffff)));
    le16_put(at + 2, (uint16_t)(t_rand(&rng) & 0x7f40));
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
    unsigned n = (unsigned)rnd(ARRAY_LEN(list));
    struct insn_row row = {.name = list[n].name};
    struct code c = {.n = 0};
    struct cpu *cpu = machine->cpu;
    if (rnd(2)) {
        put(&c, 0x48);
    }
    put(&c, 0x0f);
    put(&c, list[n].op);
    put(&c, 0x07u | (unsigned)list[n].reg << 3);
    fill(&nat->in, true);
    nat->in.ymm[0] |= 2; /* no component is in its initial state: processors may notice or not */
    nat->in.ymm[2] |= 2;
    memcpy(nat->in.fx + 160, nat->in.ymm, 16);
    make_header(data + 64);
    make_header(data + 128);
    nat->in.gpr[0] = rnd(8);
    nat->in.gpr[2] = 0;
    nat->in.gpr[7] = DATA + (rnd(8) ? 64 + 64 * rnd(2) : rnd(192));
    load_side(cpu, &nat->in);
    mem_wr_buf(cpu, SEG_DS, DATA, data, DATA_SIZE, cpu->view);
    int vector = native_run(c.b, c.n);
    uint8_t *mask = data + (nat->in.gpr[7] - DATA) + 28;
    if (le32_get(mask) == 0x2ffff) { /* MXCSR_MASK: AMD has MXCSR.MM */
        le32_put(mask, 0xffff);
    }
    return compare(&row, &c, vector, run_ours(&c));
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
    rng.state = t_seed();
    for (uint64_t n = 0; n < cases && failed < 5; n++) {
        if (state_case()) {
            passed++;
        } else {
            failed++;
        }
    }
    t_cases(passed, failed, 0);
}

#endif
