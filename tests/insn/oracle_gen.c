/*
 * Cases from the rows of the instruction table.
 *
 * An instruction is encoded from what its row says: map, opcode, mandatory prefix, ModRM, operands
 * and attributes, with prefixes, registers, addressing forms and immediates by chance. Values are
 * biased to extremes: zeros, ones, sign boundaries, powers of two; NaNs, infinities, denormals.
 * Memory operands are steered into the data pages by computing the base register's value from the
 * address wanted; some are left to go wrong.
 */
#include "tests/insn/oracle.h"

#include <string.h>

#include "util/bits.h"

struct gen {
    struct t_rng rng;
    struct or_case *c;
    const struct insn_row *row;
    unsigned mode;
    unsigned osz, asz;
    uint8_t rex; /* WRXB */
    bool vex;
    uint8_t vvvv;
    unsigned pos;
};

static uint64_t rnd(struct gen *g, uint64_t n)
{
    return t_rand_below(&g->rng, n);
}

static bool chance(struct gen *g, unsigned one_in)
{
    return rnd(g, one_in) == 0;
}

/* ---- what is left out ---- */
const char *or_row_excluded(const struct insn_row *row)
{
    static const struct {
        const char *prefix, *why;
    } names[] = {
        {"cpuid", "differs by model on purpose"},
        {"rdtsc", "time"},
        {"rdrand", "random"},
        {"rdseed", "random"},
        {"rdpid", "names a host CPU"},
        {"rdpmc", "time"},
        {"syscall", "enters the host's kernel"},
        {"sysenter", "enters the host's kernel"},
        {"int", "enters the host's kernel"},
        {"xsave", "image of the host's features"},
        {"xrstor", "image of the host's features"},
        {"xgetbv", "the host's features"},
        {"fxsave", "x87 pointers, which hosts keep differently"},
        {"fxrstor", "x87 pointers, which hosts keep differently"},
        {"rdfs", "the host's bases"},
        {"rdgs", "the host's bases"},
        {"wrfs", "the C library's thread pointer"},
        {"wrgs", "the host's bases"},
        {"lds", "loads a segment register"},
        {"les", "loads a segment register"},
        {"lfs", "loads a segment register"},
        {"lgs", "loads a segment register"},
        {"lss", "loads a segment register"},
        {"retf", "far transfer"},
        {"callf", "far transfer"},
        {"jmpf", "far transfer"},
        {"sgdt", "the host's tables"},
        {"sidt", "the host's tables"},
        {"sldt", "the host's tables"},
        {"smsw", "the host's tables"},
        {"str", "the host's tables"},
        {"lar", "the host's tables"},
        {"lsl", "the host's tables"},
        {"ver", "the host's tables"},
        {"arpl", "the host's tables"},
        {"monitor", "privileged"},
        {"mwait", "privileged"},
    };
    bool x87 = row->map == MAP_1B && row->op >= 0xd8 && row->op <= 0xdf;
    if (!(row->attr & A_USER) && !x87) {
        return "not a user-mode row";
    }
    for (unsigned k = 0; k < ARRAY_LEN(names); k++) {
        if (!strncmp(row->name, names[k].prefix, strlen(names[k].prefix)) &&
            strcmp(row->name, "into")) {
            return names[k].why;
        }
    }
    for (unsigned k = 0; k < 4; k++) {
        if (row->opd[k] == OPD_Ap || row->opd[k] == OPD_Mp || (k == 0 && row->opd[k] == OPD_Sw) ||
            row->opd[k] == OPD_Cy || row->opd[k] == OPD_Dy) {
            return "segments and control registers";
        }
    }
    return NULL;
}

/* ---- values ---- */
static uint64_t value64(struct gen *g)
{
    static const uint64_t special[] = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0x81,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        UINT64_C(0x100000000),
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_MAX,
        UINT64_MAX - 1,
        UINT64_C(0x5555555555555555),
        UINT64_C(0xaaaaaaaaaaaaaaaa),
        9,
        10,
        0x99,
    };
    uint64_t r = t_rand(&g->rng);
    switch (rnd(g, 8)) {
    case 0:
    case 1:
        return special[r % ARRAY_LEN(special)];
    case 2:
        return UINT64_C(1) << (r & 63);
    case 3:
        return (UINT64_C(1) << (r & 63)) - 1;
    case 4:
        return r & 0xff;
    case 5:
        return bits_sext(r, 1 + (unsigned)(r >> 58));
    default:
        return r;
    }
}

static uint32_t value_f32(struct gen *g)
{
    static const uint32_t special[] = {
        0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
        0xffc00001, 0x7f800001, 0xffbfffff, 1,          0x80000001, 0x007fffff, 0x00800000,
        0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0x3f000000,
        0x3effffff, 0x40490fdb, 0x4b000000, 0x4b800001,
    };
    uint32_t r = (uint32_t)t_rand(&g->rng);
    switch (rnd(g, 4)) {
    case 0:
    case 1:
        return special[r % ARRAY_LEN(special)];
    case 2:
        return (r & 0x807fffffu) | (uint32_t)(118 + rnd(g, 20)) << 23;
    default:
        return r;
    }
}

static uint64_t value_f64(struct gen *g)
{
    static const uint64_t special[] = {
        0,
        UINT64_C(1) << 63,
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0xbff0000000000000),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0xfff8000000000001),
        UINT64_C(0x7ff0000000000001),
        UINT64_C(0xfff7ffffffffffff),
        1,
        UINT64_C(0x8000000000000001),
        UINT64_C(0x000fffffffffffff),
        UINT64_C(0x0010000000000000),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x41e0000000000000),
        UINT64_C(0xc1e0000000000000),
        UINT64_C(0x41dfffffffe00000),
        UINT64_C(0x43e0000000000000),
        UINT64_C(0x3fe0000000000000),
        UINT64_C(0x47efffffe0000000),
        UINT64_C(0x3810000000000000),
        UINT64_C(0x4330000000000000),
    };
    uint64_t r = t_rand(&g->rng);
    switch (rnd(g, 4)) {
    case 0:
    case 1:
        return special[r % ARRAY_LEN(special)];
    case 2:
        return (r & UINT64_C(0x800fffffffffffff)) | (1003 + rnd(g, 40)) << 52;
    default:
        return r;
    }
}

/* A 64-bit element of a vector or of memory: integer, one double or two floats. */
static uint64_t value_any(struct gen *g)
{
    switch (rnd(g, 3)) {
    case 0:
        return value64(g);
    case 1:
        return value_f64(g);
    default:
        return (uint64_t)value_f32(g) << 32 | value_f32(g);
    }
}

static void value_f80(struct gen *g, uint64_t *m, uint16_t *se)
{
    uint64_t r = t_rand(&g->rng);
    uint16_t sign = (uint16_t)(r & 0x8000);
    switch (rnd(g, 10)) {
    case 0:
        *m = 0;
        *se = sign;
        break;
    case 1: /* infinity, NaNs, pseudo forms */
        *m = chance(g, 3) ? UINT64_C(1) << 63 : t_rand(&g->rng) | UINT64_C(1) << 63;
        *se = sign | 0x7fff;
        break;
    case 2: /* denormal or pseudo-denormal */
        *m = t_rand(&g->rng);
        *se = sign;
        break;
    case 3: /* unnormal */
        *m = t_rand(&g->rng) >> 1;
        *se = (uint16_t)r;
        break;
    case 4:
    case 5: /* integers */
        *m = (rnd(g, 256) + 1) << 55 | UINT64_C(1) << 63;
        *se = sign | (uint16_t)(16383 + rnd(g, 20));
        break;
    default:
        *m = t_rand(&g->rng) | UINT64_C(1) << 63;
        *se = sign | (uint16_t)(chance(g, 4) ? rnd(g, 0x8000) : 16383 - 40 + rnd(g, 80));
        break;
    }
}

/* ---- encoding ---- */
static void emit(struct gen *g, uint64_t val, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++) {
        if (g->pos < sizeof g->c->code) {
            g->c->code[g->pos] = (uint8_t)(val >> (8 * k));
        }
        g->pos++;
    }
}

static bool has_operand(const struct insn_row *row, unsigned kind)
{
    return row->opd[0] == kind || row->opd[1] == kind || row->opd[2] == kind || row->opd[3] == kind;
}

static bool is_string_row(const struct insn_row *row)
{
    return has_operand(row, OPD_Xb) || has_operand(row, OPD_Xv) || has_operand(row, OPD_Yb) ||
           has_operand(row, OPD_Yv);
}

static bool is_branch_row(const struct insn_row *row)
{
    return row->attr & A_F64;
}

/* Legacy prefixes, in random choice but fixed order; the mandatory one last. */
static void emit_prefixes(struct gen *g)
{
    const struct insn_row *r = g->row;
    bool code64 = g->mode == OR_MODE64;
    bool p66 = r->pp == PP_66, p67 = chance(g, 10);
    if (r->pp == PP_ANY && !g->vex) {
        /* AMD's processors honour 66 before near branches in 64-bit mode, Intel's and doppel not.
         */
        p66 = chance(g, 3) && !(code64 && is_branch_row(r));
    }
    if (p67) {
        emit(g, 0x67, 1);
    }
    if (chance(g, 16)) {
        static const uint8_t segs[] = {0x26, 0x2e, 0x36, 0x3e};
        /* A near branch takes 2E and 3E as hints. */
        emit(g, segs[rnd(g, 4)], 1);
    }
    if (r->attr & A_LOCK && chance(g, 12)) {
        emit(g, 0xf0, 1);
    }
    if (p66 && !g->vex) {
        emit(g, 0x66, 1);
    }
    if (!g->vex && r->pp >= PP_F3) {
        emit(g, r->pp == PP_F3 ? 0xf3 : 0xf2, 1);
    } else if (r->attr & A_REP && chance(g, 2)) {
        emit(g, chance(g, 2) ? 0xf3 : 0xf2, 1);
    }
    if (code64) {
        g->asz = p67 ? 4 : 8;
    } else {
        g->asz = (g->mode == OR_MODE32) != p67 ? 4 : 2;
    }
    bool w = g->rex & 8;
    if (code64) {
        g->osz = r->attr & A_F64 || w ? 8 : r->attr & A_D64 ? (p66 ? 2 : 8) : p66 ? 2 : 4;
    } else {
        g->osz = (g->mode == OR_MODE32) != p66 ? 4 : 2;
    }
}

static void choose_rex(struct gen *g)
{
    const struct insn_row *r = g->row;
    bool w = r->attr & A_W1 || (!(r->attr & A_W0) && chance(g, 3));
    if (g->mode != OR_MODE64 && r->attr & A_AVX && !(r->attr & A_W1) &&
        (has_operand(r, OPD_Ey) || has_operand(r, OPD_Ed) || has_operand(r, OPD_RdMb) ||
         has_operand(r, OPD_RdMw))) {
        w = false; /* W1 is ignored by Intel's processors, #UD on AMD's */
    }
    g->rex = 0;
    if (g->mode == OR_MODE64 && (g->vex || w || chance(g, 2))) {
        g->rex = (uint8_t)(rnd(g, 8) | (w ? 8 : 0));
    } else if (g->vex) {
        g->rex = w ? 8 : 0;
    }
    g->vvvv = (uint8_t)rnd(g, g->mode == OR_MODE64 ? 16 : 8);
    bool uses_v = false;
    for (unsigned k = 0; k < 4; k++) {
        unsigned o = r->opd[k];
        uses_v |= o == OPD_By || (o >= OPD_Hx && o <= OPD_Hsd);
    }
    if (!uses_v || r->attr & A_NOVVVV) {
        g->vvvv = chance(g, 50) ? g->vvvv : 0;
    }
}

static void emit_opcode(struct gen *g)
{
    static const uint8_t pp[] = {0, 0, 1, 2, 3}; /* enum insn_pp to VEX.pp */
    const struct insn_row *r = g->row;
    unsigned op = r->op;
    if (has_operand(r, OPD_Zb) || has_operand(r, OPD_Zv)) {
        op += (unsigned)rnd(g, 8);
    }
    if (g->vex) {
        bool l = r->attr & A_L1 || (!(r->attr & A_L0) && chance(g, 2));
        unsigned low = (~(unsigned)g->vvvv & 15) << 3 | (l ? 4u : 0) | pp[r->pp];
        if (r->map == MAP_V0F && !(g->rex & 0xb) && chance(g, 2)) {
            emit(g, 0xc5, 1);
            emit(g, (g->rex & 4 ? 0 : 0x80) | low, 1);
        } else {
            emit(g, 0xc4, 1);
            emit(g, (~(unsigned)g->rex & 7) << 5 | (r->map - MAP_V0F + 1u), 1);
            emit(g, (g->rex & 8 ? 0x80u : 0) | low, 1);
        }
    } else {
        if (g->rex) {
            emit(g, 0x40u | g->rex, 1);
        }
        if (r->map != MAP_1B) {
            emit(g, 0x0f, 1);
        }
        if (r->map == MAP_0F38 || r->map == MAP_0F3A) {
            emit(g, r->map == MAP_0F38 ? 0x38 : 0x3a, 1);
        }
    }
    emit(g, op, 1);
}

/* An address for a memory operand: an offset in the data pages. Most lie well inside, some at the
 * edges of pages, rights and mapping. */
static uint64_t choose_target(struct gen *g)
{
    uint64_t align = UINT64_C(1) << rnd(g, 7);
    switch (rnd(g, 16)) {
    case 0:
        return 4096 - rnd(g, 40);
    case 1:
        return OR_PAGES * 4096u - rnd(g, 40);
    case 2:
        return OR_BYTES - rnd(g, 40);
    default:
        return rnd(g, OR_PAGES * 4096u - 128) & ~(align - 1);
    }
}

/* The value that a register must have so that base + rest is the target. */
static void set_base(struct gen *g, unsigned reg, uint64_t rest)
{
    uint64_t base = g->mode == OR_MODE16 ? 0 : OR_DATA;
    uint64_t want = base + g->c->patch_at - rest;
    uint64_t *r = &g->c->in.gpr[reg];
    if (chance(g, 200)) {
        return; /* anywhere */
    }
    if (g->asz == 2) {
        *r = (*r & ~UINT64_C(0xffff)) | (want & 0xffff);
    } else if (g->asz == 4 && g->mode == OR_MODE64) {
        *r = (*r << 32) | (want & 0xffffffff);
    } else {
        *r = g->asz == 4 ? want & 0xffffffff : want;
    }
}

static void emit_mem16(struct gen *g, unsigned reg)
{
    static const uint8_t base[8] = {3, 3, 5, 5, 6, 7, 5, 3}, index[4] = {6, 7, 6, 7};
    unsigned mod = (unsigned)rnd(g, 3), rm = (unsigned)rnd(g, 8);
    emit(g, mod << 6 | reg << 3 | rm, 1);
    if (mod == 0 && rm == 6) {
        emit(g, g->mode == OR_MODE16 ? g->c->patch_at : rnd(g, 0x10000), 2);
        return;
    }
    uint64_t disp = mod == 0 ? 0 : value64(g);
    disp = mod == 1 ? bits_sext(disp, 8) : disp;
    emit(g, disp, mod == 0 ? 0 : mod == 1 ? 1 : 2);
    uint64_t rest = disp + (rm < 4 ? g->c->in.gpr[index[rm]] : 0);
    set_base(g, base[rm], rest);
}

static void emit_mem32(struct gen *g, unsigned reg, bool force_sib)
{
    unsigned mod = (unsigned)rnd(g, 3), rm = force_sib ? 4 : (unsigned)rnd(g, 8);
    unsigned b = g->mode == OR_MODE64 ? (g->rex & 1u) << 3 : 0;
    unsigned x = g->mode == OR_MODE64 ? (g->rex & 2u) << 2 : 0;
    uint64_t disp = mod == 0 ? 0 : bits_sext(value64(g), mod == 1 ? 8 : 32), rest = disp;
    unsigned base = rm | b;
    if (mod == 0 && rm == 5) { /* absolute, or relative to RIP: filled in by or_generate */
        emit(g, reg << 3 | rm, 1);
        emit(g, g->mode == OR_MODE64 ? 0 : OR_DATA + g->c->patch_at, 4);
        return;
    }
    emit(g, mod << 6 | reg << 3 | rm, 1);
    if (rm == 4) {
        unsigned scale = (unsigned)rnd(g, 4), index = (unsigned)rnd(g, 8), sb = (unsigned)rnd(g, 8);
        emit(g, scale << 6 | index << 3 | sb, 1);
        base = sb | b;
        index |= x;
        if (mod == 0 && sb == 5) {
            disp = index == 4 ? OR_DATA + g->c->patch_at : bits_sext(value64(g), 31);
            emit(g, disp, 4);
            if (index != 4) {
                g->c->in.gpr[index] = (OR_DATA + g->c->patch_at - disp) >> scale;
            }
            return;
        }
        if (index != 4 && !force_sib) {
            if (chance(g, 2)) {
                g->c->in.gpr[index] = rnd(g, 64);
            }
            rest += g->c->in.gpr[index] << scale;
        }
    }
    emit(g, disp, mod == 0 ? 0 : mod == 1 ? 1 : 4);
    set_base(g, base, rest);
}

static bool is_gather(const struct insn_row *row)
{
    return strstr(row->name, "gather") != NULL;
}

static void emit_modrm(struct gen *g)
{
    const struct insn_row *r = g->row;
    unsigned reg = r->reg < 8 ? r->reg : (unsigned)rnd(g, 8);
    if (r->reg >= 0xc0 && r->reg <= 0xff) {
        emit(g, r->reg, 1);
        return;
    }
    bool mem = r->attr & A_MEM || (!(r->attr & A_MOD3) && chance(g, 2));
    if (!mem) {
        emit(g, 0xc0u | reg << 3 | (unsigned)rnd(g, 8), 1);
    } else if (g->asz == 2) {
        emit_mem16(g, reg);
    } else {
        emit_mem32(g, reg, is_gather(r));
    }
}

/* Not into the instruction itself: that would not end. */
static uint64_t jump_distance(uint64_t d)
{
    return (int64_t)d < 0 && (int64_t)d >= -16 ? 0 - d : d;
}

static void emit_immediates(struct gen *g)
{
    for (unsigned k = 0; k < 4; k++) {
        switch (g->row->opd[k]) {
        case OPD_Ib:
        case OPD_sIb:
        case OPD_Ibb:
        case OPD_Lx:
        case OPD_Ldq:
            emit(g, chance(g, 2) ? value64(g) : rnd(g, 256), 1);
            break;
        case OPD_Iw:
            emit(g, chance(g, 2) ? rnd(g, 64) : value64(g), 2);
            break;
        case OPD_Iz:
            emit(g, value64(g), g->osz == 2 ? 2 : 4);
            break;
        case OPD_Iv:
            emit(g, value64(g), g->osz);
            break;
        case OPD_Jb:
            emit(g, jump_distance(bits_sext(rnd(g, 256), 8)), 1);
            break;
        case OPD_Jz: {
            unsigned size = g->osz == 2 ? 2 : 4;
            uint64_t d = chance(g, 4) ? bits_sext(value64(g), 8 * size) : rnd(g, 0x800) - 0x400;
            emit(g, jump_distance(d), size);
            break;
        }
        case OPD_Ob:
        case OPD_Ov:
            emit(g, (g->mode == OR_MODE16 ? 0 : OR_DATA) + g->c->patch_at, g->asz);
            break;
        default:
            break;
        }
    }
}

/* ---- state ---- */
static void random_state(struct gen *g)
{
    struct or_state *s = &g->c->in;
    bool code64 = g->mode == OR_MODE64;
    for (unsigned k = 0; k < 16; k++) {
        s->gpr[k] = code64 ? value64(g) : k < 8 ? (uint32_t)value64(g) : 0;
    }
    s->flags = (uint32_t)t_rand(&g->rng) & 0xcd5;
    if (chance(g, 2)) {
        s->flags &= ~0x400u;
    }
    for (unsigned k = 0; k < (code64 ? 16u : 8u); k++) {
        for (unsigned w = 0; w < 4; w++) {
            s->ymm[k][w] = value_any(g);
        }
    }
    s->mxcsr = 0x1f80;
    if (chance(g, 3)) {
        s->mxcsr = 0x1f80 | (uint32_t)(t_rand(&g->rng) & 0xe07f);
        if (chance(g, 3)) {
            s->mxcsr ^= (uint32_t)(t_rand(&g->rng) & 0x1f80);
        }
    }
    s->fcw = 0x37f;
    s->fsw = (uint16_t)(rnd(g, 8) << 11 | (t_rand(&g->rng) & 0x4700));
    s->ftw = chance(g, 2) ? 0xff : (uint8_t)t_rand(&g->rng);
    if (chance(g, 3)) {
        s->fcw = (uint16_t)((t_rand(&g->rng) & 0xf00) | 0x7f);
        s->fsw |= (uint16_t)(t_rand(&g->rng) & 0x7f);
        if (chance(g, 3)) {
            s->fcw ^= (uint16_t)(t_rand(&g->rng) & 0x3f);
        }
    }
    bool pending = s->fsw & ~s->fcw & 0x3f;
    s->fsw = (uint16_t)((s->fsw & 0x7f7f) | (pending ? 0x8080 : 0));
    for (unsigned k = 0; k < 8; k++) {
        value_f80(g, &s->st_m[k], &s->st_se[k]);
        if (chance(g, 6)) { /* as MMX leaves it */
            s->st_m[k] = value_any(g);
            s->st_se[k] = 0xffff;
        }
    }
    s->rip = OR_ENTRY + (g->mode == OR_MODE16 ? 0 : OR_CODE);
}

static void random_memory(struct gen *g)
{
    struct or_case *c = g->c;
    c->patch_at = choose_target(g);
    unsigned kind = (unsigned)rnd(g, 4);
    for (unsigned k = 0; k < OR_PATCH; k += 8) {
        uint64_t v = kind == 0   ? value64(g)
                     : kind == 1 ? value_f64(g)
                     : kind == 2 ? (uint64_t)value_f32(g) << 32 | value_f32(g)
                                 : value_any(g);
        le64_put(c->patch + k, v);
    }
    if (chance(g, 3)) {
        uint16_t se;
        uint64_t m;
        value_f80(g, &m, &se);
        le64_put(c->patch, m);
        le16_put(c->patch + 8, se);
    }
}

/* Implicit memory: the stack, string operands, XLAT. Then small counts for REP. */
static void steer_implicit(struct gen *g)
{
    struct or_state *s = &g->c->in;
    uint64_t base = g->mode == OR_MODE16 ? 0 : OR_DATA;
    uint64_t at = base + g->c->patch_at;
    if (!chance(g, 30)) {
        s->gpr[4] = chance(g, 8) ? at : base + (rnd(g, OR_PAGES * 4096u) & ~UINT64_C(7));
    }
    if (is_string_row(g->row)) {
        uint64_t near = (chance(g, 3) ? rnd(g, 64) : rnd(g, OR_PAGES * 4096u)) & 0xffff;
        s->gpr[6] = at;
        s->gpr[7] = chance(g, 3) ? at + near - 32 : base + near;
        s->gpr[1] = chance(g, 20) ? rnd(g, 3000) : rnd(g, 40);
        if (chance(g, 2) && s->gpr[7] > base) {
            uint64_t t = s->gpr[6];
            s->gpr[6] = s->gpr[7];
            s->gpr[7] = t;
        }
        if (g->asz == 4 && g->mode == OR_MODE64) {
            s->gpr[6] |= t_rand(&g->rng) << 32;
            s->gpr[7] |= t_rand(&g->rng) << 32;
            s->gpr[1] |= t_rand(&g->rng) << 32;
        } else if (g->asz == 2) {
            s->gpr[1] |= rnd(g, 2) << 16;
        }
    }
    if (!strcmp(g->row->name, "xlat") || !strncmp(g->row->name, "maskmov", 7)) {
        s->gpr[3] = at - (s->gpr[0] & 0xff);
        s->gpr[7] = at;
    }
    if (!strcmp(g->row->name, "leave") || !strcmp(g->row->name, "enter")) {
        s->gpr[5] = at;
    }
    if (strstr(g->row->name, "maskmovdqu")) {
        s->gpr[7] = at;
    }
}

/* POPF: only flags that the host's signal handlers can live with. */
static void tame_popf(struct gen *g)
{
    struct or_case *c = g->c;
    if (strcmp(g->row->name, "popf") || g->mode == OR_MODES) {
        return;
    }
    uint64_t base = g->mode == OR_MODE16 ? 0 : OR_DATA;
    c->in.gpr[4] = base + c->patch_at;
    le64_put(c->patch, (t_rand(&g->rng) & 0x200cd5) | 0x202);
}

/* An indirect jump to itself would not end; in 16 bits the entry is not too unlikely a value. */
static void tame_jump(struct gen *g)
{
    struct or_case *c = g->c;
    if (!is_branch_row(g->row) || g->mode != OR_MODE16) {
        return;
    }
    for (unsigned k = 0; k < 8; k++) {
        uint64_t away = (c->in.gpr[k] & 0xffff) - OR_ENTRY;
        c->in.gpr[k] -= away < 16 ? 16 : 0;
    }
    uint64_t word = le16_get(c->patch);
    if (word - OR_ENTRY < 16) {
        le16_put(c->patch, 0);
    }
}

/* Gathers: indices near zero in the index register. */
static void tame_gather(struct gen *g)
{
    if (!is_gather(g->row)) {
        return;
    }
    for (unsigned k = 0; k < 16; k++) {
        for (unsigned w = 0; w < 4; w++) {
            if (chance(g, 3)) {
                g->c->in.ymm[k][w] = rnd(g, 64) << 32 | rnd(g, 64);
            } else if (chance(g, 2)) {
                g->c->in.ymm[k][w] = rnd(g, 32);
            }
        }
    }
}

bool or_generate(struct or_case *c, uint64_t seed, uint64_t number, unsigned row, unsigned mode)
{
    struct gen gen = {.c = c, .row = &insn_rows[row], .mode = mode}, *g = &gen;
    g->rng.state = seed * UINT64_C(0x9e3779b97f4a7c15) ^ number * UINT64_C(0xd1342543de82ef95);
    t_rand(&g->rng);
    if ((g->row->attr & A_I64 && mode == OR_MODE64) ||
        (g->row->attr & A_O64 && mode != OR_MODE64)) {
        return false;
    }
    memset(c, 0, sizeof *c);
    c->number = number;
    c->mode = mode;
    c->row = row;
    g->vex = g->row->map >= MAP_V0F;
    if (!g->vex && g->row->attr & A_W1 && mode != OR_MODE64) {
        return false;
    }
    random_memory(g);
    random_state(g);
    choose_rex(g);
    emit_prefixes(g);
    steer_implicit(g);
    emit_opcode(g);
    unsigned modrm_at = g->pos;
    if (g->row->modrm) {
        emit_modrm(g);
    }
    emit_immediates(g);
    if (g->pos > sizeof c->code) {
        return false;
    }
    c->len = g->pos;
    tame_popf(g);
    tame_gather(g);
    tame_jump(g);
    bool rip_rel = g->row->modrm && mode == OR_MODE64 && (c->code[modrm_at] & 0xc7) == 5;
    if (rip_rel && (g->row->reg < 8 || g->row->reg == NOREG)) {
        le32_put(c->code + modrm_at + 1, (uint32_t)(OR_DATA + c->patch_at - (c->in.rip + c->len)));
    }
    return true;
}

void or_template(uint8_t *mem, uint64_t seed)
{
    struct gen g = {.rng = {seed + 12345}};
    for (unsigned k = 0; k < OR_BYTES; k += 8) {
        le64_put(mem + k, chance(&g, 2) ? value64(&g) : t_rand(&g.rng));
    }
}
