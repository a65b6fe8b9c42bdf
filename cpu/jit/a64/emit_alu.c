/*
 * Arithmetic and logic on two operands or one.
 *
 * Order within one: memory check (may bail, with registers and flags as before), carry in if it
 * needs one, the operation, the new recipe. Widths of 4 and 8 work in the guest's own register and
 * set NZCV on the way if somebody is going to look; those of 1 and 2 are computed in T0 with
 * garbage above, and NZCV come from an extra instruction that shifts the value to the top. A source
 * from memory or bits 15:8 of a register comes through T2, a destination through T0.
 */
#include "cpu/jit/a64/a64.h"

static bool writes(const struct uop *u)
{
    return u->op != U_CMP && u->op != U_TEST;
}

static bool carries(const struct uop *u)
{
    return u->op == U_ADC || u->op == U_SBB;
}

/* The source: a host register, or XZR for the immediate `imm`. */
struct src {
    uint8_t reg;
    int64_t imm;
};

static struct src source(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_IMM) {
        return (struct src){XZR, u->imm};
    }
    if (u->sk == UK_MEM) {
        return (struct src){T2, 0};
    }
    return (struct src){(uint8_t)a64_src(e, T2), 0};
}

/* d = x op s, by AND ORR EOR ANDS. */
static void logic(struct em *e, unsigned w, unsigned op, unsigned d, unsigned x, struct src s)
{
    uint64_t v = w == 8 ? (uint64_t)s.imm : (uint64_t)s.imm & UINT32_MAX;
    if (s.reg != XZR) {
        asm_logic(&e->a, w, op, d, x, s.reg);
    } else if (asm_is_bitmask(w, v)) {
        asm_logic_imm(&e->a, w, op, d, x, v);
    } else {
        asm_const(&e->a, LINK, v);
        asm_logic(&e->a, w, op, d, x, LINK);
    }
}

/* NZCV = C for ADC, inverted for SBB. */
static void load_cf(struct em *e)
{
    asm_mem_imm(&e->a, 4, A_LD, P0, ENV, (uint32_t)ENV_OFF(cc_cf));
    if (e->u->op == U_ADC) {
        asm_addsub_imm(&e->a, 4, A_SUBS, XZR, P0, 1);
    } else {
        asm_addsub(&e->a, 4, A_SUBS, XZR, XZR, P0, A_LSL, 0);
    }
    e->nz = NZ_NONE;
}

/* Is the very next micro-operation a look at zero or sign of the register that the current one
 * leaves? That needs no NZCV. */
static bool looks_at_register(const struct em *e)
{
    unsigned want = a64_wanted(e);
    return e->u->dk == UK_REG && e->u->w >= 4 && (want >> 1 == 2 || want >> 1 == 4) &&
           a64_wanted_next(e);
}

/* d = x op s at full width; what NZCV hold. d is XZR for CMP, a temporary for TEST. */
static unsigned wide(struct em *e, unsigned d, unsigned x, struct src s)
{
    const struct uop *u = e->u;
    unsigned want = a64_wanted(e), w = u->w;
    bool flags = want != WANT_NONE;
    bool by_zero = looks_at_register(e);
    switch (u->op) {
    case U_ADD:
        a64_addsub(e, w, flags ? A_ADDS : A_ADD, d, x, s.reg, s.imm);
        return flags ? NZ_ADD : NZ_NONE;
    case U_SUB:
        a64_addsub(e, w, flags ? A_SUBS : A_SUB, d, x, s.reg, s.imm);
        return flags ? NZ_SUB : NZ_NONE;
    case U_CMP:
        if (!flags || (s.reg == XZR && s.imm == 0 && by_zero)) {
            return NZ_NONE; /* the jump looks at the register */
        }
        a64_addsub(e, w, A_SUBS, XZR, x, s.reg, s.imm);
        return NZ_SUB;
    case U_ADC:
    case U_SBB:
        load_cf(e);
        if (s.reg == XZR && s.imm != 0) {
            s.reg = LINK;
            asm_const(&e->a, LINK, (uint64_t)s.imm);
        }
        asm_addsub_carry(&e->a, w, u->op == U_ADC ? A_ADDS : A_SUBS, d, x, s.reg);
        return u->op == U_ADC ? NZ_ADD : NZ_SUB;
    case U_AND:
    case U_TEST:
        if (s.reg == XZR && s.imm == 0) {
            asm_mov(&e->a, w, d, XZR);
            return NZ_NONE;
        }
        logic(e, w, flags ? A_ANDS : A_AND, d, x, s);
        return flags ? NZ_LOGIC : NZ_NONE;
    default: /* OR, XOR */
        if (s.reg == XZR &&
            (s.imm == 0 || (w == 4 ? (uint32_t)s.imm == UINT32_MAX : s.imm == -1))) {
            asm_const(&e->a, LINK, (uint64_t)s.imm);
            s.reg = LINK;
        }
        logic(e, w, u->op == U_OR ? A_ORR : A_EOR, d, x, s);
        if (flags && !by_zero) {
            a64_tst(e, w, d);
            return NZ_LOGIC;
        }
        return NZ_NONE;
    }
}

/* T0 = x op s for 1 and 2 bytes; what NZCV hold. clean: x is zero-extended. For CMP only NZCV. */
static unsigned narrow(struct em *e, unsigned x, bool clean, struct src s)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned want = a64_wanted(e), nz = NZ_NONE;
    bool flags = want != WANT_NONE, zs = want >> 1 == 2 || want >> 1 == 4;
    switch (u->op) {
    case U_CMP:
        return flags ? a64_cmp_narrow(e, u->w, x, clean, s.reg, s.imm, want) : NZ_NONE;
    case U_SUB:
        if (flags && !zs) {
            nz = a64_cmp_narrow(e, u->w, x, clean, s.reg, s.imm, want);
        }
        a64_addsub(e, 4, A_SUB, T0, x, s.reg, s.imm);
        break;
    case U_ADD:
        a64_addsub(e, 4, A_ADD, T0, x, s.reg, s.imm);
        break;
    case U_ADC:
    case U_SBB:
        load_cf(e);
        if (s.reg == XZR && s.imm != 0) {
            s.reg = LINK;
            asm_const(a, LINK, (uint32_t)s.imm);
        }
        asm_addsub_carry(a, 4, u->op == U_ADC ? A_ADD : A_SUB, T0, x, s.reg);
        break;
    case U_AND:
    case U_TEST:
        if (s.reg == XZR) {
            uint32_t v = (uint32_t)s.imm & (u->w == 1 ? 0xff : 0xffff);
            if (asm_is_bitmask(4, v)) {
                asm_logic_imm(a, 4, flags ? A_ANDS : A_AND, T0, x, v);
                nz = !flags ? NZ_NONE : v >> (8 * u->w - 1) ? NZ_Z : NZ_LOGIC;
            } else {
                asm_const(a, LINK, v);
                asm_logic(a, 4, A_AND, T0, x, LINK);
            }
        } else {
            asm_logic(a, 4, A_AND, T0, x, s.reg);
        }
        break;
    default:
        if (s.reg == XZR) {
            asm_const(a, LINK, (uint32_t)s.imm & (u->w == 1 ? 0xff : 0xffff));
            s.reg = LINK;
        }
        asm_logic(a, 4, u->op == U_OR ? A_ORR : A_EOR, T0, x, s.reg);
        break;
    }
    bool logical = jit_alu_kind(u->op) == CC_LOGIC;
    if (flags && (nz == NZ_NONE || (nz == NZ_Z && want >> 1 != 2)) && (zs || logical)) {
        a64_tst(e, u->w, T0);
        nz = logical ? NZ_LOGIC : NZ_ZS;
    }
    return nz;
}

/* Where b of the recipe is. In T2 if it came from memory or a high byte. */
static void recipe_b(struct em *e, unsigned kind)
{
    const struct uop *u = e->u;
    if (kind == CC_LOGIC) {
        return;
    }
    if (u->sk == UK_IMM) {
        a64_b_imm(e, u->imm);
    } else if (u->sk == UK_REG) {
        a64_b_reg(e, u->sr);
    } else {
        a64_b_host(e, T2);
    }
}

/* Destination in memory, or in bits 15:8 of a register: through T0. */
static void alu_through(struct em *e)
{
    const struct uop *u = e->u;
    unsigned kind = jit_alu_kind(u->op), nz;
    struct a64_loc at = {0};
    unsigned x = T0;
    if (u->dk == UK_MEM) {
        at = a64_mem(e, &u->m, u->w, writes(u));
        if (!a64_need(e) && !writes(u)) {
            return;
        }
        a64_load(e, u->w, T0, at);
    } else {
        if (u->sk == UK_MEM) {
            at = a64_mem(e, &u->m, u->w, false);
        }
        a64_get_high(e, u->dr, T0);
    }
    if (carries(u)) {
        a64_take_cf(e); /* from T2 */
    }
    if (u->sk == UK_MEM) {
        a64_load(e, u->w, T2, at);
    }
    struct src s = source(e);
    if (u->op == U_CMP && a64_need(e)) {
        a64_set_recipe(e, kind, u->w, NZ_NONE);
        a64_res_host(e, T0);
        recipe_b(e, kind);
        e->nz = (uint8_t)(u->w >= 4 ? wide(e, XZR, x, s) : narrow(e, x, true, s));
        return;
    }
    nz = u->w >= 4 ? wide(e, T0, x, s) : narrow(e, x, true, s);
    a64_set_recipe(e, kind, u->w, nz);
    if (u->dk == UK_MEM && writes(u)) {
        a64_store(e, u->w, T0, at);
    } else if (writes(u)) {
        a64_put_high(e, u->dr, T0);
    }
    if (a64_need(e)) {
        a64_res_host(e, T0);
        recipe_b(e, kind);
    }
}

/* Destination in a register. */
static void alu_reg(struct em *e)
{
    const struct uop *u = e->u;
    unsigned kind = jit_alu_kind(u->op), x = a64_host(u->dr), d = x, nz;
    bool same = u->sk == UK_REG && u->sr == u->dr, need = a64_need(e);
    struct a64_loc at = {0};
    if (u->sk == UK_MEM) {
        at = a64_mem(e, &u->m, u->w, false);
    }
    if (!need && !writes(u)) {
        return;
    }
    if (carries(u)) {
        a64_take_cf(e);
    }
    if (u->sk == UK_MEM) {
        a64_load(e, u->w, T2, at);
    }
    struct src s = source(e);
    bool b_early = same && writes(u) && kind != CC_LOGIC && need;
    if (b_early) { /* the source is overwritten */
        asm_mem_imm(&e->a, 8, A_ST, x, ENV, (uint32_t)ENV_OFF(cc_b));
    }
    if (u->op == U_TEST && same) {
        unsigned want = a64_wanted(e);
        nz = NZ_NONE;
        if (want != WANT_NONE && !looks_at_register(e)) {
            a64_tst(e, u->w, x);
            nz = NZ_LOGIC;
        }
    } else if (u->w >= 4) {
        if (u->op == U_XOR && same) {
            asm_mov(&e->a, 4, d, XZR);
            nz = NZ_NONE;
        } else {
            nz = wide(e, u->op == U_TEST ? T0 : d, x, s);
        }
    } else {
        nz = narrow(e, x, false, s);
        if (writes(u)) {
            a64_put(e, u->dr, u->w, T0);
        }
    }
    a64_set_recipe(e, kind, u->w, nz);
    if (!need) {
        return;
    }
    if (u->op == U_TEST && !same) {
        a64_res_host(e, T0);
    } else {
        a64_res_reg(e, u->dr);
    }
    if (!b_early) {
        recipe_b(e, kind);
    }
}

static bool alu(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_IMM && u->imm != (int32_t)u->imm) {
        return false;
    }
    if (carries(u)) {
        a64_save_cf(e, u->dk == UK_MEM || u->sk == UK_MEM);
    }
    if (u->dk == UK_REG) {
        alu_reg(e);
    } else {
        alu_through(e);
    }
    return true;
}

/* ---- one operand ---- */

/* T0 or a register: plus or minus one; what NZCV hold. */
static unsigned step(struct em *e, unsigned d)
{
    const struct uop *u = e->u;
    unsigned want = a64_wanted(e);
    bool flags = want != WANT_NONE;
    unsigned op = (u->op == U_INC ? A_ADD : A_SUB) | (flags && u->w >= 4 ? 1 : 0);
    asm_addsub_imm(&e->a, u->w < 4 ? 4 : u->w, op, d, d, 1);
    if (u->w < 4 && (want >> 1 == 2 || want >> 1 == 4)) {
        a64_tst(e, u->w, d);
        return NZ_ZS;
    }
    return flags && u->w >= 4 ? NZ_NOC : NZ_NONE;
}

static void incdec(struct em *e)
{
    const struct uop *u = e->u;
    unsigned kind = u->op == U_INC ? CC_INC : CC_DEC, nz;
    struct a64_loc at = {0};
    if (a64_need(e)) {
        a64_save_cf(e, u->dk == UK_MEM);
    }
    if (u->dk == UK_REG && u->w >= 4) {
        nz = step(e, a64_host(u->dr));
        a64_set_recipe(e, kind, u->w, nz);
        a64_res_reg(e, u->dr);
        return;
    }
    if (u->dk == UK_MEM) {
        at = a64_mem(e, &u->m, u->w, true);
        if (a64_need(e)) {
            a64_take_cf(e);
        }
        a64_load(e, u->w, T0, at);
    } else if (u->dk == UK_REGH) {
        a64_get_high(e, u->dr, T0);
    } else {
        asm_mov(&e->a, 4, T0, a64_host(u->dr));
    }
    nz = step(e, T0);
    a64_set_recipe(e, kind, u->w, nz);
    if (u->dk == UK_MEM) {
        a64_store(e, u->w, T0, at);
    } else if (u->dk == UK_REGH) {
        a64_put_high(e, u->dr, T0);
    } else {
        a64_put(e, u->dr, u->w, T0);
        a64_res_reg(e, u->dr);
        return;
    }
    if (a64_need(e)) {
        a64_res_host(e, T0);
    }
}

static void negnot(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool neg = u->op == U_NEG, flags = neg && a64_wanted(e) != WANT_NONE && u->w >= 4;
    unsigned d = T0, w = u->w < 4 ? 4 : u->w;
    struct a64_loc at = {0};
    if (!neg && u->dk != UK_MEM) {
        a64_kill_reg(e, u->dr);
    }
    if (u->dk == UK_MEM) {
        at = a64_mem(e, &u->m, u->w, true);
        a64_load(e, u->w, T0, at);
    } else if (u->dk == UK_REGH) {
        a64_get_high(e, u->dr, T0);
    } else if (u->w >= 4) {
        d = a64_host(u->dr);
    } else {
        asm_mov(a, 4, T0, a64_host(u->dr));
    }
    if (neg) {
        asm_addsub(a, w, flags ? A_SUBS : A_SUB, d, XZR, d, A_LSL, 0);
        a64_set_recipe(e, CC_NEG, u->w, flags ? NZ_SUB : NZ_NONE);
    } else {
        asm_mvn(a, w, d, d);
    }
    if (u->dk == UK_MEM) {
        a64_store(e, u->w, T0, at);
    } else if (u->dk == UK_REGH) {
        a64_put_high(e, u->dr, T0);
    } else {
        if (d == T0) {
            a64_put(e, u->dr, u->w, T0);
        }
        if (neg) {
            a64_res_reg(e, u->dr);
        }
        return;
    }
    if (neg && a64_need(e)) {
        a64_res_host(e, T0);
    }
}

bool a64_emit_alu(struct em *e)
{
    switch (e->u->op) {
    case U_INC:
    case U_DEC:
        incdec(e);
        return true;
    case U_NEG:
    case U_NOT:
        negnot(e);
        return true;
    default:
        return alu(e);
    }
}
