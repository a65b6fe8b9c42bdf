/* Random instances of vector instructions; see sse_gen.h. */
#include "tests/insn/sse_gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/mem.h"
#include "cpu/sem.h"

/* ---- operands ---- */
/* One call in an expression: the order of two would be the compiler's choice. */
static uint64_t rnd(struct sse_gen *g, uint64_t n)
{
    return t_rand_below(&g->rng, n);
}

static uint32_t any32(struct sse_gen *g)
{
    static const uint32_t nice[] = {
        0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
        0xffc00000, 0x7f800001, 0xffbfffff, 1,          0x80000001, 0x007fffff, 0x00800000,
        0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0xdf000000, 0x3f000000,
        0x40490fdb, 0x4b7fffff, 0x33800000, 0x20000000, 0x5f7fffff, 0x7fffffff, 0xffffffff,
        0x7fff8000, 0x80007fff, 0x00ff00ff, 0x01010101, 0x477fe000, 0x38800000, 0x33000001};
    switch (rnd(g, 4)) {
    case 0:
        return nice[rnd(g, ARRAY_LEN(nice))];
    case 1: { /* near 1.0: sums and products that cancel or round */
        uint64_t r = t_rand(&g->rng);
        uint32_t exp = (uint32_t)(0x3f800000 + ((r >> 32 & 15) - 8) * 0x800000);
        return (uint32_t)(r >> 31 << 31) | exp | (r >> 40 & 1 ? (uint32_t)r & 0x7fffff : 0);
    }
    case 2:
        return (uint32_t)rnd(g, 1 << 16);
    default:
        return (uint32_t)t_rand(&g->rng);
    }
}

static uint64_t any64(struct sse_gen *g)
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
    switch (rnd(g, 6)) {
    case 0:
        return nice[rnd(g, ARRAY_LEN(nice))];
    case 1: {
        uint64_t r = t_rand(&g->rng), exp = UINT64_C(0x3ff) + rnd(g, 16) - 8;
        return (r & UINT64_C(1) << 63) | exp << 52 | (r >> 62 & 1 ? bits_get(r, 0, 52) : 0);
    }
    case 2:
        return t_rand(&g->rng);
    case 3:
        return rnd(g, 40); /* counts, small numbers */
    default:
        break;
    }
    uint64_t hi = any32(g);
    return hi << 32 | any32(g);
}

/* The FXSAVE image's copy of a register's low half. */
static void put_xmm(struct side *s, unsigned r)
{
    le64_put(s->fx + 160 + 16 * r, s->ymm[4 * r]);
    le64_put(s->fx + 168 + 16 * r, s->ymm[4 * r + 1]);
}

/* Register values, memory, MXCSR. */
void sse_gen_fill(struct sse_gen *g, bool masked)
{
    struct side *s = g->in;
    memset(s, 0, sizeof *s);
    uint64_t pool[4];
    for (unsigned k = 0; k < 4; k++) {
        pool[k] = any64(g);
    }
    for (unsigned k = 0; k < 16; k++) {
        s->gpr[k] = any64(g);
    }
    for (unsigned k = 0; k < 64; k++) { /* some elements are equal */
        s->ymm[k] = rnd(g, 4) ? any64(g) : pool[rnd(g, 4)];
    }
    for (unsigned k = 0; k < DATA_SIZE / 8; k++) {
        le64_put(g->data + 8 * k, rnd(g, 4) ? any64(g) : pool[rnd(g, 4)]);
    }
    s->flags = 0x202 | (t_rand(&g->rng) & FL_ARITH);
    uint32_t mxcsr = masked ? 0x1f80 : (uint32_t)t_rand(&g->rng) & 0x1f80;
    mxcsr |= rnd(g, 2) ? 0 : (uint32_t)t_rand(&g->rng) & 0x6000;
    mxcsr |= rnd(g, 2) ? 0 : 0x20; /* PE is set: cpu/fp/quick.h may run */
    mxcsr |= rnd(g, 4) ? 0 : (uint32_t)t_rand(&g->rng) & 0x8040;
    mxcsr |= rnd(g, 4) ? 0 : (uint32_t)t_rand(&g->rng) & 0x3f;
    le16_put(s->fx, 0x37f);
    le16_put(s->fx + 2, (uint16_t)(rnd(g, 8) << 11));
    s->fx[4] = (uint8_t)t_rand(&g->rng);
    le32_put(s->fx + 24, mxcsr);
    for (unsigned k = 0; k < 8; k++) {
        le64_put(s->fx + 32 + 16 * k, any64(g));
        le16_put(s->fx + 40 + 16 * k, (uint16_t)t_rand(&g->rng));
    }
    for (unsigned k = 0; k < 16; k++) {
        put_xmm(s, k);
    }
}

/* ---- encoding ---- */

static bool has_opd(const struct insn_row *r, unsigned kind)
{
    return r->opd[0] == kind || r->opd[1] == kind || r->opd[2] == kind || r->opd[3] == kind;
}

/* Address of the memory operand relative to DATA: mostly aligned, sometimes not. */
static uint64_t data_offset(struct sse_gen *g)
{
    return 256 + (rnd(g, 4) ? rnd(g, 8) * 32 : rnd(g, 2) ? rnd(g, 16) * 16 : rnd(g, 256));
}

static void put_prefixes(struct sse_gen *g, struct sse_code *c, const struct insn_row *r,
                         unsigned rex, bool may_be_wild)
{
    static const uint8_t pps[] = {0, 0, 0x66, 0xf3, 0xf2};
    static const uint8_t vpps[] = {0, 0, 1, 2, 3};
    bool wild =
        may_be_wild && rnd(g, 12) == 0; /* break the row's rules: the host says what must happen */
    unsigned vvvv = r->attr & A_NOVVVV && !wild ? 0 : (unsigned)rnd(g, 16);
    unsigned l = wild             ? (unsigned)rnd(g, 2)
                 : r->attr & A_L0 ? 0
                 : r->attr & A_L1 ? 1
                                  : (unsigned)rnd(g, 2);
    rex ^= wild ? (unsigned)rnd(g, 2) << 3 : 0;
    if (!strcmp(r->name, "vpermq") || !strcmp(r->name, "vpermpd")) {
        rex |= 8; /* AMD runs them with VEX.W clear, where the SDM has #UD */
    }
    if (strstr(r->name, "vaes") || strstr(r->name, "vpclmul")) {
        l = 0; /* the host may have VAES, our models do not */
    }
    if (r->map >= MAP_V0F) {
        unsigned last = (~vvvv & 15) << 3 | l << 2 | vpps[r->pp];
        if (r->map == MAP_V0F && !(rex & 11) && rnd(g, 2)) {
            sse_code_put(c, 0xc5);
            sse_code_put(c, (rex & 4 ? 0 : 0x80) | last);
        } else {
            sse_code_put(c, 0xc4);
            sse_code_put(c, ((~rex & 7) << 5) | (r->map - MAP_V0F + 1u));
            sse_code_put(c, (rex & 8) << 4 | last);
        }
        return;
    }
    bool sse4a = r->op == 0x2b; /* MOVNTSS and MOVNTSD of AMD */
    for (unsigned k = 0; wild && !sse4a && k < 2; k++) {
        sse_code_put(c, pps[2 + rnd(g, 3)]);
    }
    if (r->pp >= PP_66) {
        sse_code_put(c, pps[r->pp]);
    }
    if (rex || rnd(g, 4) == 0) {
        sse_code_put(c, 0x40 | rex);
    }
    sse_code_put(c, 0x0f);
    if (r->map == MAP_0F38 || r->map == MAP_0F3A) {
        sse_code_put(c, r->map == MAP_0F38 ? 0x38 : 0x3a);
    }
}

static bool is_vsib(const struct insn_row *r)
{
    return !strncmp(r->name, "vgather", 7) || !strncmp(r->name, "vpgather", 8);
}

/* A random instance of the row. The memory operand is [rdi+disp8] or [r15+disp8]. */
static struct sse_code encode(struct sse_gen *g, const struct insn_row *r, bool wild)
{
    struct sse_code c = {.n = 0};
    unsigned rex = rnd(g, 2) ? 0 : (unsigned)rnd(g, 8);
    rex |= r->attr & A_W1 ? 8 : r->attr & A_W0 ? 0 : (unsigned)rnd(g, 3) == 0 ? 8 : 0;
    bool mem = r->attr & A_MEM || (!(r->attr & A_MOD3) && rnd(g, 2));
    c.mem = mem && r->modrm;
    put_prefixes(g, &c, r, rex, wild);
    sse_code_put(&c, r->op);
    if (r->modrm) {
        unsigned reg = r->reg < 8 ? r->reg : (unsigned)rnd(g, 8);
        if (is_vsib(r)) {
            sse_code_put(&c, 0x44 | reg << 3);
            sse_code_put(&c, (unsigned)(rnd(g, 32) << 3 | 7)); /* scale and index */
            sse_code_put(&c, (unsigned)rnd(g, 8));
        } else if (mem) {
            sse_code_put(&c, 0x47 | reg << 3);
            sse_code_put(&c, (unsigned)rnd(g, 8) * 16);
        } else {
            sse_code_put(&c, 0xc0 | reg << 3 | (unsigned)rnd(g, 8));
        }
    }
    if (has_opd(r, OPD_Ib) || has_opd(r, OPD_Lx) || has_opd(r, OPD_Ldq)) {
        sse_code_put(&c, (unsigned)(rnd(g, 3) ? rnd(g, 256) : rnd(g, 32)));
    }
    return c;
}

/* Keep a gather's addresses inside the data. The index register is in SIB and VEX.X. */
static void small_indices(struct sse_gen *g, const struct sse_code *c)
{
    unsigned x = (c->b[c->n - 2] >> 3 & 7u) | (c->b[1] & 0x40 ? 0 : 8u);
    bool dwords = !(c->b[3] & 1);
    for (unsigned k = 0; k < 4; k++) {
        uint64_t r = t_rand(&g->rng);
        g->in->ymm[4 * x + k] = r & (dwords ? UINT64_C(0x1f0000001f) : 0x1f);
    }
    put_xmm(g->in, x);
}

/* Few different elements, small lengths: so that string comparisons find something. */
static void like_text(struct sse_gen *g)
{
    uint64_t step = rnd(g, 2) ? 1 : 0x40;
    for (unsigned k = 0; k < 64; k++) {
        for (unsigned j = 0; j < 64; j += 8) {
            g->in->ymm[k] =
                g->in->ymm[k] << 8 | (rnd(g, 12) ? 1 + rnd(g, 3) * step : rnd(g, 2) * 0x80);
        }
    }
    for (unsigned k = 0; k < DATA_SIZE; k++) {
        g->data[k] = (uint8_t)(rnd(g, 12) ? 1 + rnd(g, 3) * step : rnd(g, 2) * 0x80);
    }
    for (unsigned k = 0; k < 16; k++) {
        put_xmm(g->in, k);
    }
    for (unsigned k = 0; k < 3; k += 2) {
        g->in->gpr[k] = rnd(g, 8) ? rnd(g, 40) - 20 : g->in->gpr[k];
    }
}

struct sse_code sse_gen_case(struct sse_gen *g, const struct insn_row *r, bool wild)
{
    struct sse_code c = encode(g, r, wild);
    sse_gen_fill(g, rnd(g, 4) != 0);
    g->in->gpr[7] = g->in->gpr[15] = DATA + data_offset(g);
    if (is_vsib(r)) {
        small_indices(g, &c);
    }
    if (r->feature == FEAT_sha) { /* AMD does not ask for alignment, where the SDM has #GP */
        g->in->gpr[7] = g->in->gpr[15] = DATA + (data_offset(g) & ~UINT64_C(15));
    }
    if (strstr(r->name, "str")) {
        like_text(g);
    }
    return c;
}

bool sse_gen_row(const struct insn_row *r)
{
    const uint32_t kinds = A_SSE | A_AVX | A_MMX;
    return (r->attr & A_USER) && (r->attr & kinds) && (r->reg < 8 || r->reg == NOREG);
}

/* ---- by the interpreter ---- */
static void stop_here(struct cpu *cpu, const struct insn *i)
{
    (void)cpu;
    (void)i;
}

void sse_load(struct cpu *cpu, const struct side *s)
{
    cpu->exc.vector = 0;
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

int sse_run(struct cpu *cpu, const struct sse_code *c)
{
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
