/*
 * Pending flags; see a64.h and enum jit_cc.
 *
 * Nothing is stored for flags while the values that they come from are still in guest registers:
 * the recipe is recorded at each place that can leave. It goes to memory when one of those
 * registers is about to change and somebody may still look, and at the block's end. NZCV are set by
 * the producer only if compiled code is going to look (a64_wanted); if they are lost on the way, a
 * look makes them anew from the recipe. Parity is always made from the result.
 */
#include "cpu/jit/a64/a64.h"
#include "cpu/jit/pass.h"

static unsigned value_of(struct em *e, unsigned at, unsigned reg, int32_t imm, int32_t slot,
                         unsigned tmp)
{
    if (at == LOC_REG) {
        return a64_host(reg);
    }
    if (at == LOC_IMM && imm == 0) {
        return XZR;
    }
    if (at == LOC_IMM) {
        asm_const(&e->a, tmp, (uint64_t)(int64_t)imm);
    } else {
        asm_mem_imm(&e->a, 8, A_LD, tmp, ENV, (uint32_t)slot);
    }
    return tmp;
}

static bool uses_b(unsigned cc)
{
    return cc == CC_ADD || cc == CC_SUB || cc == CC_CMP || cc == CC_ADC || cc == CC_SBB ||
           cc == CC_SHR;
}

static void store_slot(struct em *e, int32_t slot, unsigned reg)
{
    unsigned was = a64_class(e, EMIT_flags);
    asm_mem_imm(&e->a, 8, A_ST, reg, ENV, (uint32_t)slot);
    a64_class(e, was);
}

static void store_op(struct em *e, unsigned op)
{
    asm_const(&e->a, P0, op);
    asm_mem_imm(&e->a, 4, A_ST, P0, ENV, (uint32_t)ENV_OFF(cc_op));
}

void a64_spill_flags(struct em *e)
{
    struct jit_recipe *r = &e->rc;
    if (r->slot) {
        return;
    }
    unsigned was = a64_class(e, EMIT_flags);
    _Static_assert(offsetof(struct jit_env, cc_b) == offsetof(struct jit_env, cc_res) + 8,
                   "stored as a pair");
    bool b = uses_b(r->cc) && r->b_at != LOC_SLOT;
    if (b) {
        unsigned v = value_of(e, r->b_at, r->b_reg, r->b_imm, 0, P0);
        if (r->res_at == LOC_REG) {
            asm_pair(&e->a, false, a64_host(r->res_reg), v, ENV, ENV_OFF(cc_res));
        } else {
            store_slot(e, ENV_OFF(cc_b), v);
        }
    } else if (r->res_at == LOC_REG) {
        store_slot(e, ENV_OFF(cc_res), a64_host(r->res_reg));
    }
    store_op(e, (unsigned)r->cc << 2 | r->lw);
    a64_class(e, was);
    r->slot = true;
    e->over_clean = true;
}

void a64_over(struct em *e, unsigned over, unsigned reg)
{
    unsigned lw = over == OVER_CF ? 0 : asm_log2(e->u->w);
    unsigned was = a64_class(e, EMIT_flags);
    store_slot(e, ENV_OFF(cc_over), reg);
    asm_const(&e->a, P0, over << 2 | lw);
    asm_mem_imm(&e->a, 1, A_ST, P0, ENV, (uint32_t)ENV_OFF(cc_op) + 1);
    a64_class(e, was);
    e->over_clean = false;
}

void a64_kill_reg(struct em *e, unsigned reg)
{
    struct jit_recipe *r = &e->rc;
    if (r->slot || !a64_need(e) || uop_sets_all(e->u)) {
        return;
    }
    if ((r->res_at == LOC_REG && r->res_reg == reg) ||
        (uses_b(r->cc) && r->b_at == LOC_REG && r->b_reg == reg)) {
        a64_spill_flags(e);
    }
}

void a64_set_recipe(struct em *e, unsigned cc, unsigned w, unsigned nz)
{
    e->rc = (struct jit_recipe){.cc = (uint8_t)cc, .lw = (uint8_t)asm_log2(w)};
    e->nz = (uint8_t)nz;
}

void a64_res_reg(struct em *e, unsigned r)
{
    e->rc.res_at = LOC_REG;
    e->rc.res_reg = (uint8_t)r;
}

void a64_res_host(struct em *e, unsigned host)
{
    store_slot(e, ENV_OFF(cc_res), host);
    e->rc.res_at = LOC_SLOT;
}

void a64_b_reg(struct em *e, unsigned r)
{
    e->rc.b_at = LOC_REG;
    e->rc.b_reg = (uint8_t)r;
}

void a64_b_imm(struct em *e, int64_t v)
{
    e->rc.b_at = LOC_IMM;
    e->rc.b_imm = (int32_t)v;
}

void a64_b_host(struct em *e, unsigned host)
{
    store_slot(e, ENV_OFF(cc_b), host);
    e->rc.b_at = LOC_SLOT;
}

/* ---- who is going to look ---- */

static const struct uop *reader(const struct em *e)
{
    const struct uop *end = e->src->u + e->src->n;
    for (const struct uop *u = e->u + 1; u < end; u++) {
        if (u->op == U_INTERP || u->op == U_INTERP_END) {
            return NULL;
        }
        if (u->rflags || ((u->op == U_INC || u->op == U_DEC) && (u->attr & UF_NEED))) {
            return u;
        }
        if (uop_sets_all(u)) {
            return NULL;
        }
    }
    return NULL;
}

unsigned a64_wanted(const struct em *e)
{
    const struct uop *u = reader(e);
    if (!u) {
        return WANT_NONE;
    }
    return u->op == U_JCC || u->op == U_SETCC || u->op == U_CMOV ? u->cc : 2; /* else CF */
}

bool a64_wanted_next(const struct em *e)
{
    return reader(e) == e->u + 1;
}

/* ---- making NZCV ---- */

void a64_addsub(struct em *e, unsigned w, unsigned op, unsigned d, unsigned x, unsigned y,
                int64_t imm)
{
    uint64_t pos = (uint64_t)imm, neg = 0 - pos;
    if (w == 4) {
        pos &= UINT32_MAX;
        neg &= UINT32_MAX;
    }
    if (y != XZR) {
        asm_addsub(&e->a, w, op, d, x, y, A_LSL, 0);
    } else if (asm_imm12(pos)) {
        asm_addsub_imm(&e->a, w, op, d, x, (uint32_t)pos);
    } else if (asm_imm12(neg)) { /* the same flags, but for 0 */
        asm_addsub_imm(&e->a, w, op ^ 2, d, x, (uint32_t)neg);
    } else {
        asm_const(&e->a, LINK, pos);
        asm_addsub(&e->a, w, op, d, x, LINK, A_LSL, 0);
    }
}

void a64_tst(struct em *e, unsigned w, unsigned x)
{
    if (w >= 4) {
        asm_logic(&e->a, w, A_ANDS, XZR, x, x);
    } else {
        asm_addsub(&e->a, 4, A_ADDS, XZR, XZR, x, A_LSL, 32 - 8 * w);
    }
}

unsigned a64_cmp_narrow(struct em *e, unsigned w, unsigned x, bool clean, unsigned y, int64_t imm,
                        unsigned cc)
{
    struct asmbuf *a = &e->a;
    unsigned bits = 8 * w;
    uint32_t v = (uint32_t)imm & ((UINT32_C(1) << bits) - 1);
    bool is_unsigned = cc >> 1 >= 1 && cc >> 1 <= 3;
    if (y == XZR && v == 0 && (cc >> 1 == 2 || cc >> 1 == 4)) {
        a64_tst(e, w, x);
        return NZ_ZS;
    }
    if (is_unsigned) {
        if (!clean) {
            asm_zx(a, w, P0, x);
            x = P0;
        }
        if (y != XZR) {
            asm_addsub_ext(a, 4, A_SUBS, XZR, x, y, w == 1 ? A_UXTB : A_UXTH, 0);
        } else {
            a64_addsub(e, 4, A_SUBS, XZR, x, XZR, v);
        }
        return NZ_SUBU;
    }
    asm_lsl(a, 4, P0, x, 32 - bits);
    if (y != XZR) {
        asm_addsub(a, 4, A_SUBS, XZR, P0, y, A_LSL, 32 - bits);
    } else {
        a64_addsub(e, 4, A_SUBS, XZR, P0, XZR, (int64_t)v << (32 - bits));
    }
    return NZ_SUB;
}

/* ---- looking at flags ---- */

/* The host's condition for cc, if NZCV hold `nz`; -1: they do not answer it. */
static int host_cc(unsigned nz, unsigned cc)
{
    static const int8_t sub[8] = {A_VS, A_CC, A_EQ, A_LS, A_MI, -1, A_LT, A_LE};
    static const int8_t add[8] = {A_VS, A_CS, A_EQ, -1, A_MI, -1, A_LT, A_LE};
    static const int8_t logic[8] = {A_VS, A_CS, A_EQ, A_EQ, A_MI, -1, A_LT, A_LE};
    int h = -1;
    unsigned c = cc >> 1;
    switch (nz) {
    case NZ_SUB:
        h = sub[c];
        break;
    case NZ_ADD:
        h = add[c];
        break;
    case NZ_LOGIC:
        h = logic[c];
        break;
    case NZ_NOC:
        h = c == 1 || c == 3 ? -1 : add[c];
        break;
    case NZ_ZS:
        h = c == 2 || c == 4 ? add[c] : -1;
        break;
    case NZ_Z:
        h = c == 2 ? A_EQ : -1;
        break;
    case NZ_SUBU:
        h = c >= 1 && c <= 3 ? sub[c] : -1;
        break;
    case NZ_CF:
        h = c == 1 ? A_CS : -1;
        break;
    case NZ_FCMP:
        h = c == 1 ? A_LT : c == 3 ? A_LE : c == 5 ? A_VS : -1;
        break;
    default:
        break;
    }
    return h < 0 ? h : h ^ (int)(cc & 1);
}

static struct a64_test test_nzcv(unsigned cc)
{
    return (struct a64_test){.kind = TEST_NZCV, .cc = (uint8_t)cc};
}

/* Not zero, if `nonzero`. */
static struct a64_test test_reg(unsigned reg, unsigned w, bool nonzero)
{
    return (struct a64_test){
        .kind = TEST_ZERO, .reg = (uint8_t)reg, .w = (uint8_t)w, .inv = nonzero};
}

/* P0 = condition cc of the recipe in memory, 0 or 1. */
static void call_cond(struct em *e, unsigned cc)
{
    a64_vec_drop(e);
    asm_const(&e->a, P0, cc);
    asm_bl_to(&e->a, e->be->cond);
    e->over_clean = true;
}

/* Is CF in env->cc_cf already, whatever else the recipe says? */
static bool cf_in_slot(const struct jit_recipe *r)
{
    return !r->slot && r->cc < CC_CANON;
}

static unsigned res_value(struct em *e, unsigned tmp)
{
    return value_of(e, e->rc.res_at, e->rc.res_reg, 0, ENV_OFF(cc_res), tmp);
}

/* b in a register; XZR: it is an immediate. */
static unsigned b_value(struct em *e)
{
    const struct jit_recipe *r = &e->rc;
    return r->b_at == LOC_IMM ? XZR : value_of(e, r->b_at, r->b_reg, 0, ENV_OFF(cc_b), LINK);
}

/* PF of the recipe's result. */
static struct a64_test parity(struct em *e, bool odd)
{
    struct asmbuf *a = &e->a;
    unsigned v = res_value(e, T3);
    if (e->rc.cc == CC_CMP) {
        a64_addsub(e, 4, A_SUB, T3, v, b_value(e), e->rc.b_imm);
        v = T3;
    }
    asm_logic_x(a, 4, A_EOR, false, T3, v, v, A_LSR, 4);
    asm_logic_x(a, 4, A_EOR, false, T3, T3, T3, A_LSR, 2);
    asm_logic_x(a, 4, A_EOR, false, T3, T3, T3, A_LSR, 1);
    return (struct a64_test){.kind = TEST_BIT, .reg = T3, .w = 4, .bit = 0, .inv = !odd};
}

/* NZCV anew from the recipe; what they hold then. NZ_NONE: not for this condition. */
static unsigned rebuild(struct em *e, unsigned cc)
{
    const struct jit_recipe *r = &e->rc;
    struct asmbuf *a = &e->a;
    unsigned w = 1u << r->lw, v;
    switch (r->cc) {
    case CC_CMP:
        v = res_value(e, P0);
        if (w < 4) {
            return a64_cmp_narrow(e, w, v, false, b_value(e), r->b_imm, cc);
        }
        a64_addsub(e, w, A_SUBS, XZR, v, b_value(e), r->b_imm);
        return NZ_SUB;
    case CC_LOGIC:
        a64_tst(e, w, res_value(e, P0));
        return NZ_LOGIC;
    case CC_SUB:
        v = b_value(e);
        a64_addsub(e, w < 4 ? 4 : w, A_ADD, P0, res_value(e, P0), v, r->b_imm);
        if (w < 4) {
            return a64_cmp_narrow(e, w, P0, false, v == XZR ? XZR : b_value(e), r->b_imm, cc);
        }
        a64_addsub(e, w, A_SUBS, XZR, P0, v == XZR ? XZR : b_value(e), r->b_imm);
        return NZ_SUB;
    case CC_ADD:
        if (w < 4 || cc >> 1 == 3) {
            return NZ_NONE;
        }
        v = b_value(e);
        a64_addsub(e, w, A_SUB, P0, res_value(e, P0), v, r->b_imm);
        a64_addsub(e, w, A_ADDS, XZR, P0, v == XZR ? XZR : b_value(e), r->b_imm);
        return NZ_ADD;
    case CC_NEG:
        v = res_value(e, P0);
        if (w < 4) {
            return NZ_NONE;
        }
        asm_addsub(a, w, A_SUB, P0, XZR, v, A_LSL, 0);
        asm_addsub(a, w, A_SUBS, XZR, XZR, P0, A_LSL, 0);
        return NZ_SUB;
    default:
        return NZ_NONE;
    }
}

static struct a64_test cond(struct em *e, unsigned cc)
{
    struct jit_recipe *r = &e->rc;
    unsigned w = 1u << r->lw, c = cc >> 1;
    bool inv = cc & 1;
    int h = host_cc(e->nz, cc);
    if (h >= 0) {
        return test_nzcv((unsigned)h);
    }
    if (!r->slot && r->cc == CC_BITS && c >= 1 && c <= 5) {
        static const uint16_t bits[] = {0, 0x0100, 0x4000, 0x4100, 0x8000, 0x0400};
        asm_mem_imm(&e->a, 8, A_LD, T3, ENV, (uint32_t)ENV_OFF(cc_res));
        if (c == 3) { /* CF or ZF */
            asm_logic_x(&e->a, 4, A_ORR, false, T3, T3, T3, A_LSR, 6);
        }
        unsigned bit = (unsigned)__builtin_ctz(bits[c]);
        return (struct a64_test){
            .kind = TEST_BIT, .reg = T3, .w = 4, .bit = (uint8_t)bit, .inv = inv};
    }
    if (!r->slot && c == 5) {
        return parity(e, inv);
    }
    bool against_0 = r->cc == CC_CMP && r->b_at == LOC_IMM && r->b_imm == 0;
    if (!r->slot && r->cc != CC_BITS && (r->cc != CC_CMP || against_0) && (c == 2 || c == 4)) {
        if (c == 4) {
            return (struct a64_test){.kind = TEST_BIT,
                                     .reg = (uint8_t)res_value(e, T3),
                                     .w = (uint8_t)w,
                                     .bit = (uint8_t)(8 * w - 1),
                                     .inv = inv};
        }
        unsigned v = res_value(e, T3);
        if (w >= 4) {
            return test_reg(v, w, inv);
        }
        a64_tst(e, w, v);
        e->nz = NZ_ZS;
        return test_nzcv(inv ? A_NE : A_EQ);
    }
    if (cf_in_slot(r) && c == 1) {
        asm_mem_imm(&e->a, 4, A_LD, T3, ENV, (uint32_t)ENV_OFF(cc_cf));
        return test_reg(T3, 4, !inv);
    }
    if (!r->slot) {
        unsigned nz = rebuild(e, cc);
        e->nz = nz == NZ_NONE ? e->nz : (uint8_t)nz;
        h = nz == NZ_NONE ? -1 : host_cc(nz, cc);
        if (h >= 0) {
            return test_nzcv((unsigned)h);
        }
    }
    a64_spill_flags(e);
    call_cond(e, cc);
    return test_reg(P0, 4, true);
}

struct a64_test a64_cond(struct em *e, unsigned cc)
{
    unsigned was = a64_class(e, EMIT_flags);
    struct a64_test t = cond(e, cc);
    a64_class(e, was);
    return t;
}

unsigned a64_cond_nzcv(struct em *e, unsigned cc)
{
    struct a64_test t = a64_cond(e, cc);
    if (t.kind == TEST_NZCV) {
        return t.cc;
    }
    e->nz = NZ_NONE;
    if (t.kind == TEST_ZERO) {
        asm_addsub_imm(&e->a, t.w, A_SUBS, XZR, t.reg, 0);
        return t.inv ? A_NE : A_EQ;
    }
    asm_logic_imm(&e->a, t.bit >= 32 ? 8 : 4, A_ANDS, XZR, t.reg, UINT64_C(1) << t.bit);
    return t.inv ? A_EQ : A_NE;
}

uint32_t a64_jump_if(struct em *e, struct a64_test t)
{
    if (t.kind == TEST_NZCV) {
        return asm_bcond(&e->a, t.cc);
    }
    if (t.kind == TEST_ZERO) {
        return asm_cbz(&e->a, t.w, t.inv, t.reg);
    }
    return asm_tbz(&e->a, !t.inv, t.reg, t.bit);
}

/* ---- CF alone ---- */

void a64_store_cf(struct em *e, unsigned reg)
{
    unsigned was = a64_class(e, EMIT_flags);
    asm_mem_imm(&e->a, 4, A_ST, reg, ENV, (uint32_t)ENV_OFF(cc_cf));
    a64_class(e, was);
}

/* Does memory hold a recipe that has CF in its slot, and nothing else that matters? The place of
 * the jump if so. */
static uint32_t slot_has_cf(struct em *e)
{
    asm_mem_imm(&e->a, 4, A_LD, P0, ENV, (uint32_t)ENV_OFF(cc_op));
    asm_addsub_imm(&e->a, 4, A_SUBS, XZR, P0, CC_CANON << 2);
    e->nz = NZ_NONE;
    return asm_bcond(&e->a, A_CC);
}

static void save_cf(struct em *e, bool aside)
{
    e->aside = false;
    if (cf_in_slot(&e->rc)) {
        return;
    }
    e->aside = aside;
    if (!aside && e->rc.cc == CC_LOGIC && !e->rc.slot) {
        a64_store_cf(e, XZR);
        return;
    }
    unsigned reg = aside ? T2 : P0;
    if (e->rc.slot && !aside && host_cc(e->nz, 2) < 0) {
        a64_vec_drop(e); /* on both ways */
        uint32_t over = slot_has_cf(e);
        call_cond(e, 2);
        a64_store_cf(e, P0);
        asm_here(&e->a, over);
        return;
    }
    struct a64_test t = a64_cond(e, 2);
    if (t.kind == TEST_ZERO && t.reg == P0) { /* the call's 0 or 1 */
        if (reg != P0) {
            asm_mov(&e->a, 4, reg, P0);
        }
    } else if (t.kind == TEST_NZCV) {
        asm_cset(&e->a, reg, t.cc);
    } else {
        asm_addsub_imm(&e->a, t.w, A_SUBS, XZR, t.reg, 0);
        asm_cset(&e->a, reg, t.inv ? A_NE : A_EQ);
        e->nz = NZ_NONE;
    }
    if (!aside) {
        a64_store_cf(e, reg);
    }
}

void a64_save_cf(struct em *e, bool aside)
{
    unsigned was = a64_class(e, EMIT_flags);
    save_cf(e, aside);
    a64_class(e, was);
}

void a64_take_cf(struct em *e)
{
    if (e->aside) {
        a64_store_cf(e, T2);
    }
}
