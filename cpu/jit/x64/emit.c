/*
 * Micro-operations that compute and move, and the block as a whole.
 *
 * Order within one: memory check (may bail, with registers and flags as before), carry in if it
 * needs one, the operation, the new recipe. A source in bits 15:8 of a register comes through T1,
 * such a destination through T0. What is not emitted here runs in the interpreter: x64_uop says so
 * before it has emitted anything that has an effect.
 */
#include <stddef.h>

#include "cpu/jit/pass.h"
#include "cpu/jit/x64/x64.h"

/* ---- registers ---- */

void x64_put(struct em *e, unsigned r, unsigned w, unsigned from)
{
    struct xo to = x64_gpr(e, r);
    if (to.mem && w == 4) {
        unsigned tmp = from == T0 ? T0 : T1; /* a guest's register keeps its upper half */
        asm_mov(&e->a, 4, tmp, from);
        from = tmp;
        w = 8;
    }
    if (to.mem || to.reg != from || w == 4) {
        if (to.mem) {
            asm_store(&e->a, w, to, from);
        } else {
            asm_mov(&e->a, w, to.reg, from);
        }
    }
}

void x64_put_high(struct em *e, unsigned r, unsigned from)
{
    struct xo to = x64_gpr(e, r); /* RAX..RBX: always pinned */
    asm_shift(&e->a, 8, 1, to, 8);
    asm_mov(&e->a, 1, to.reg, from);
    asm_shift(&e->a, 8, 0, to, 8);
    e->host_flags = HF_NONE;
}

static void get_high(struct em *e, unsigned r, unsigned dst)
{
    asm_mov(&e->a, 4, dst, x64_host(r));
    asm_shift(&e->a, 4, 5, xr(dst), 8);
    e->host_flags = HF_NONE;
}

static bool need(const struct em *e)
{
    return e->u->attr & UF_NEED;
}

static bool is_pinned(const struct uop *u)
{
    return u->dk == UK_REG && x64_host(u->dr) != RNONE;
}

/* ---- moves ---- */

static void mov_to_mem(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    struct xo at = x64_mem(e, &u->m, u->w, true, u->sk == UK_REGH || x64_host(u->sr) == RNONE);
    if (u->sk == UK_IMM) {
        asm_store_imm(a, u->w, at, (int32_t)u->imm);
    } else if (u->sk == UK_REGH) {
        get_high(e, u->sr, T1);
        asm_store(a, 1, at, T1);
    } else {
        asm_store(a, u->w, at, x64_get(e, u->sr, T1));
    }
}

static bool emit_mov(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->dk == UK_MEM) {
        if (u->sk == UK_IMM && u->w == 8 && u->imm != (int32_t)u->imm) {
            return false;
        }
        mov_to_mem(e);
        return true;
    }
    x64_kill_reg(e, u->dr);
    if (u->dk == UK_REGH) {
        if (u->sk == UK_MEM) {
            struct xo at = x64_mem(e, &u->m, 1, false, false);
            asm_zx(a, 1, T1, at);
        } else if (u->sk == UK_REGH) {
            get_high(e, u->sr, T1);
        } else if (u->sk == UK_IMM) {
            asm_const(a, T1, (uint64_t)u->imm & 0xff);
        } else {
            asm_load(a, 8, T1, x64_gpr(e, u->sr));
        }
        x64_put_high(e, u->dr, T1);
        return true;
    }
    unsigned d = x64_host(u->dr);
    switch (u->sk) {
    case UK_MEM: {
        struct xo at = x64_mem(e, &u->m, u->w, false, false);
        asm_load(a, u->w, d != RNONE ? d : T1, at);
        break;
    }
    case UK_IMM:
        if (u->w >= 4) {
            asm_const(a, d != RNONE ? d : T1, u->w == 4 ? (uint32_t)u->imm : (uint64_t)u->imm);
        } else {
            asm_store_imm(a, u->w, x64_gpr(e, u->dr), (int32_t)u->imm);
            return true;
        }
        break;
    case UK_REGH:
        get_high(e, u->sr, T1);
        x64_put(e, u->dr, u->w, T1);
        return true;
    default:
        if (d != RNONE) {
            asm_load(a, u->w, d, x64_gpr(e, u->sr));
        } else {
            x64_put(e, u->dr, u->w, x64_get(e, u->sr, T1));
        }
        return true;
    }
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
    return true;
}

static void extend(struct em *e, unsigned dst, struct xo from)
{
    const struct uop *u = e->u;
    bool sx = u->op == U_MOVSX;
    if (u->sw == 4) {
        asm_op(&e->a, sx ? u->w : 4, sx ? 0x63 : 0x8b, dst, from, 0);
    } else {
        asm_op(&e->a, u->w, (sx ? 0x0fbe : 0x0fb6) | (u->sw == 2), dst, from,
               u->sw == 1 ? XB_RM : 0);
    }
}

static void emit_extend(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, u->dr);
    unsigned d = x64_host(u->dr);
    unsigned dst = d != RNONE ? d : T1;
    if (u->sk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->sw, false, false);
        extend(e, dst, at);
    } else if (u->sk == UK_REGH) {
        get_high(e, u->sr, T1);
        extend(e, dst, xr(T1));
    } else {
        extend(e, dst, x64_gpr(e, u->sr));
    }
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
}

static void emit_lea(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, u->dr);
    unsigned d = x64_host(u->dr);
    if (u->w >= u->m.asz && u->w >= 4 && d != RNONE && u->m.asz >= 4) {
        x64_ea(e, &u->m, d, 0);
        return;
    }
    x64_ea(e, &u->m, T1, 0);
    x64_put(e, u->dr, u->w, T1);
}

/* ---- arithmetic ---- */

static unsigned alu_kind(unsigned op)
{
    switch (op) {
    case U_ADD:
        return CC_ADD;
    case U_ADC:
        return CC_ADC;
    case U_SBB:
        return CC_SBB;
    case U_SUB:
        return CC_SUB;
    case U_CMP:
        return CC_CMP;
    default:
        return CC_LOGIC;
    }
}

/* Set the host's CF from env->cc_cf. */
static void load_cf(struct em *e)
{
    asm_op(&e->a, 4, 0x0fba, 4, xm(ENV, ENV_OFF(cc_cf)), 0);
    asm_byte(&e->a, 0);
}

/* The host's operation number 0..7 for add or adc sbb and sub xor cmp; TEST as AND into a copy. */
static unsigned alu_n(const struct uop *u)
{
    return u->op == U_TEST ? 4 : u->op - U_ADD;
}

/* reg = reg op source, where the source is not memory; REGH sources are in T1 already. */
static void alu_src(struct em *e, unsigned reg)
{
    const struct uop *u = e->u;
    if (u->op == U_ADC || u->op == U_SBB) {
        load_cf(e);
    }
    if (u->sk == UK_IMM) {
        asm_alu_imm(&e->a, u->w, alu_n(u), xr(reg), (int32_t)u->imm);
    } else if (u->sk == UK_REG) {
        asm_alu(&e->a, u->w, alu_n(u), reg, x64_gpr(e, u->sr));
    } else {
        asm_alu(&e->a, u->w, alu_n(u), reg, xr(T1));
    }
}

/* Where b of the recipe is. In T1 if it came from memory or a high byte. */
static void alu_recipe_b(struct em *e, unsigned kind)
{
    const struct uop *u = e->u;
    if (kind == CC_LOGIC) {
        return;
    }
    if (u->sk == UK_IMM) {
        x64_b_imm(e, u->imm);
    } else if (u->sk == UK_REG) {
        x64_b_reg(e, u->sr);
    } else {
        x64_b_host(e, T1);
    }
}

static bool writes(const struct uop *u)
{
    return u->op != U_CMP && u->op != U_TEST;
}

static void take_carry(struct em *e)
{
    if (e->u->op == U_ADC || e->u->op == U_SBB) {
        x64_take_cf(e);
    }
}

/* Destination in memory. */
static void alu_mem(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned kind = alu_kind(u->op);
    struct xo at = x64_mem(e, &u->m, u->w, writes(u), true);
    if (!need(e) && !writes(u)) {
        return;
    }
    take_carry(e);
    if (!need(e) && kind != CC_ADC && kind != CC_SBB && u->sk != UK_REGH) {
        /* nobody asks for flags: the host's read-modify-write */
        if (u->sk == UK_IMM) {
            asm_alu_imm(a, u->w, alu_n(u), at, (int32_t)u->imm);
        } else {
            asm_alu_to(a, u->w, alu_n(u), at, x64_get(e, u->sr, T1));
        }
        x64_set_recipe(e, kind, u->w);
        return;
    }
    if (u->op == U_CMP && u->sk == UK_REGH) { /* T0 is the address, T1 the source */
        asm_zx(a, 1, T0, at);
        get_high(e, u->sr, T1);
        asm_alu(a, 1, 7, T0, xr(T1));
        x64_set_recipe(e, CC_CMP, 1);
        x64_res_host(e, T0);
        x64_b_host(e, T1);
        e->host_flags = HF_ALL;
        return;
    }
    if (u->sk == UK_REGH) {
        get_high(e, u->sr, T1);
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_b)), T1);
        struct xo b = xm(ENV, ENV_OFF(cc_b));
        asm_zx(a, 1, T1, at);
        if (u->op == U_ADC || u->op == U_SBB) {
            load_cf(e);
        }
        asm_alu(a, 1, alu_n(u), T1, b);
        x64_set_recipe(e, kind, 1); /* b is in its slot already */
    } else {
        asm_zx(a, u->w, T1, at);
        if (u->op == U_CMP) {
            alu_src(e, T1);
            x64_set_recipe(e, CC_CMP, u->w);
            x64_res_host(e, T1);
            alu_recipe_b(e, CC_CMP);
            e->host_flags = HF_ALL;
            return;
        }
        alu_src(e, T1);
        x64_set_recipe(e, kind, u->w);
        alu_recipe_b(e, kind);
    }
    if (writes(u)) {
        asm_store(a, u->w, at, T1);
    }
    if (need(e)) {
        x64_res_host(e, T1);
    }
    e->host_flags = HF_ALL;
}

/* Destination in bits 15:8. */
static void alu_high(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned kind = alu_kind(u->op);
    if (u->sk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, 1, false, true);
        take_carry(e);
        asm_zx(a, 1, T1, at);
    } else if (u->sk == UK_REGH) {
        get_high(e, u->sr, T1);
    } else if (u->sk == UK_REG) {
        asm_load(a, 8, T1, x64_gpr(e, u->sr));
    }
    get_high(e, u->dr, T0);
    if (u->op == U_ADC || u->op == U_SBB) {
        load_cf(e);
    }
    if (u->op == U_CMP && need(e)) {
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_res)), T0);
    }
    if (u->sk == UK_IMM) {
        asm_alu_imm(a, 1, alu_n(u), xr(T0), (int32_t)u->imm);
    } else {
        asm_alu(a, 1, alu_n(u), T0, xr(T1));
    }
    x64_set_recipe(e, kind, 1);
    if (need(e)) {
        if (u->op != U_CMP) {
            x64_res_host(e, T0);
        }
        if (u->sk == UK_IMM) {
            x64_b_imm(e, u->imm);
        } else {
            x64_b_host(e, T1);
        }
    }
    e->host_flags = HF_ALL;
    if (writes(u)) {
        x64_put_high(e, u->dr, T0);
    }
}

/* Destination in a register. */
static void alu_reg(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned kind = alu_kind(u->op), d = x64_host(u->dr);
    bool same = u->sk == UK_REG && u->sr == u->dr;
    if (u->sk == UK_MEM) {
        bool carry = u->op == U_ADC || u->op == U_SBB;
        struct xo at = x64_mem(e, &u->m, u->w, false, carry);
        if (!need(e) && !writes(u)) {
            return;
        }
        take_carry(e);
        if (!need(e) && d != RNONE) { /* nobody asks for b again */
            if (u->op == U_ADC || u->op == U_SBB) {
                load_cf(e);
            }
            asm_alu(a, u->w, alu_n(u), d, at);
            x64_set_recipe(e, kind, u->w);
            return;
        }
        asm_zx(a, u->w, T1, at);
    } else if (u->sk == UK_REGH) {
        get_high(e, u->sr, T1);
    }
    bool b_early = same && writes(u) && kind != CC_LOGIC && need(e);
    if (b_early) { /* the source is overwritten */
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_b)), x64_get(e, u->sr, T1));
    }
    unsigned reg = d;
    if (d == RNONE || (u->op == U_TEST && !same && need(e))) {
        asm_load(a, 8, T0, x64_gpr(e, u->dr));
        reg = T0;
    }
    if (u->op == U_TEST && same) {
        asm_test(a, u->w, xr(reg), reg);
    } else if (u->op == U_TEST && !need(e)) {
        return;
    } else {
        alu_src(e, reg);
    }
    x64_set_recipe(e, kind, u->w);
    e->host_flags = HF_ALL;
    if (writes(u) && d == RNONE) {
        x64_put(e, u->dr, u->w, T0);
    }
    if (!need(e)) {
        return;
    }
    if (u->op == U_TEST && !same) {
        x64_res_host(e, T0);
    } else {
        x64_res_reg(e, u->dr);
    }
    if (!b_early) {
        alu_recipe_b(e, kind);
    }
}

static bool emit_alu(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_IMM && u->imm != (int32_t)u->imm) {
        return false;
    }
    if (u->op == U_ADC || u->op == U_SBB) {
        x64_save_cf(e, u->dk == UK_MEM || u->sk == UK_MEM);
    }
    if (u->dk == UK_MEM) {
        alu_mem(e);
    } else if (u->dk == UK_REGH) {
        alu_high(e);
    } else {
        alu_reg(e);
    }
    return true;
}

static bool emit_incdec(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned n = u->op == U_INC ? 0 : 1, kind = u->op == U_INC ? CC_INC : CC_DEC;
    if (need(e)) {
        x64_save_cf(e, u->dk == UK_MEM);
    }
    if (u->dk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->w, true, true);
        if (need(e)) {
            x64_take_cf(e);
        }
        asm_zx(a, u->w, T1, at);
        asm_inc(a, u->w, n, xr(T1));
        asm_store(a, u->w, at, T1);
        x64_set_recipe(e, kind, u->w);
        if (need(e)) {
            x64_res_host(e, T1);
        }
        return true; /* host flags: CF is not the guest's */
    }
    if (u->dk == UK_REGH) {
        get_high(e, u->dr, T0);
        asm_inc(a, 1, n, xr(T0));
        x64_set_recipe(e, kind, 1);
        x64_res_host(e, T0);
        x64_put_high(e, u->dr, T0);
        return true;
    }
    unsigned d = x64_host(u->dr);
    if (d == RNONE) {
        asm_load(a, 8, T0, x64_gpr(e, u->dr));
        asm_inc(a, u->w, n, xr(T0));
        x64_put(e, u->dr, u->w, T0);
    } else {
        asm_inc(a, u->w, n, xr(d));
    }
    x64_set_recipe(e, kind, u->w);
    x64_res_reg(e, u->dr);
    e->host_flags = HF_NONE;
    return true;
}

static void emit_negnot(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned n = u->op == U_NOT ? 2 : 3;
    bool neg = u->op == U_NEG;
    if (!neg && u->dk != UK_MEM) {
        x64_kill_reg(e, u->dr);
    }
    if (u->dk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->w, true, true);
        asm_zx(a, u->w, T1, at);
        asm_un(a, u->w, n, xr(T1));
        asm_store(a, u->w, at, T1);
        if (neg) {
            x64_set_recipe(e, CC_NEG, u->w);
            x64_res_host(e, T1);
            e->host_flags = HF_ALL;
        }
        return;
    }
    if (u->dk == UK_REGH) {
        get_high(e, u->dr, T0);
        asm_un(a, 1, n, xr(T0));
        if (neg) {
            x64_set_recipe(e, CC_NEG, 1);
            x64_res_host(e, T0);
        }
        x64_put_high(e, u->dr, T0);
        return;
    }
    unsigned d = x64_host(u->dr);
    if (d == RNONE) {
        asm_load(a, 8, T0, x64_gpr(e, u->dr));
        asm_un(a, u->w, n, xr(T0));
        if (neg) {
            x64_set_recipe(e, CC_NEG, u->w);
            e->host_flags = HF_ALL;
        }
        x64_put(e, u->dr, u->w, T0);
    } else {
        asm_un(a, u->w, n, xr(d));
        if (neg) {
            x64_set_recipe(e, CC_NEG, u->w);
            e->host_flags = HF_ALL;
        }
    }
    if (neg) {
        x64_res_reg(e, u->dr);
    }
}

/* ---- shifts ---- */

static unsigned shift_kind(unsigned op)
{
    return op == U_SHL ? CC_SHL : op == U_SHR ? CC_SHR : CC_SAR;
}

/* Host numbers of SHL SHR SAR ROL ROR. */
static unsigned shift_n(unsigned op)
{
    static const uint8_t n[] = {4, 5, 7, 0, 1};
    return n[op - U_SHL];
}

static bool emit_shift_imm(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned n = (unsigned)u->imm & (u->w == 8 ? 63 : 31), kind = shift_kind(u->op);
    bool rotate = u->op == U_ROL || u->op == U_ROR;
    bool rec = need(e) && !rotate;
    if (u->dk == UK_REGH || (rec && n >= 8u * u->w)) {
        return false;
    }
    if (rotate && need(e)) { /* the other flags stay */
        x64_spill_flags(e);
    }
    /* The bail in front of a memory destination must find cc_cf as the pending recipe has it; the
     * new carry is written behind the check. */
    struct xo at = xr(RNONE);
    unsigned reg = u->dk == UK_MEM ? T1 : x64_host(u->dr);
    if (u->dk == UK_MEM) {
        at = x64_mem(e, &u->m, u->w, true, true);
        asm_zx(a, u->w, T1, at);
    } else if (reg == RNONE) {
        reg = T1;
        asm_load(a, 8, T1, x64_gpr(e, u->dr));
    }
    asm_shift(a, u->w, shift_n(u->op), xr(reg), n);
    e->host_flags = HF_NONE;
    if (rotate && need(e)) {
        x64_over(e, u->op == U_ROL ? OVER_ROL : OVER_ROR, reg);
    }
    if (rec) {
        asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_cf)));
        x64_set_recipe(e, kind, u->w);
        x64_b_imm(e, n);
    } else if (!rotate) {
        x64_set_recipe(e, kind, u->w);
    }
    if (u->dk == UK_MEM) {
        asm_store(a, u->w, at, T1);
    } else if (reg == T1) {
        x64_put(e, u->dr, u->w, T1);
    }
    if (rec && u->dk == UK_MEM) {
        x64_res_host(e, T1);
    } else if (rec) {
        x64_res_reg(e, u->dr);
    }
    return true;
}

/* By CL, on a pinned register. A count of zero leaves the flags: the old ones go to memory first.
 */
static bool emit_shift_cl(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool rotate = u->op == U_ROL || u->op == U_ROR;
    if (!is_pinned(u) || (need(e) && (rotate || u->w < 4))) {
        return false;
    }
    unsigned d = x64_host(u->dr);
    if (!need(e)) {
        asm_shift_cl(a, u->w, shift_n(u->op), xr(d));
        e->host_flags = HF_NONE;
        return true;
    }
    x64_spill_flags(e);
    asm_mov(a, 4, T0, RCX);
    asm_shift_cl(a, u->w, shift_n(u->op), xr(d));
    asm_setcc(a, XB, xr(T1));
    asm_alu_imm(a, 4, 4, xr(T0), u->w == 8 ? 63 : 31);
    uint32_t none = asm_jcc(a, XE);
    asm_store(a, 1, xm(ENV, ENV_OFF(cc_cf)), T1);
    asm_store(a, 8, xm(ENV, ENV_OFF(cc_b)), T0);
    asm_store(a, 8, xm(ENV, ENV_OFF(cc_res)), d);
    asm_store_imm(a, 4, xm(ENV, ENV_OFF(cc_op)),
                  (int32_t)(shift_kind(u->op) << 2) | (u->w == 8 ? 3 : 2));
    asm_here(a, none);
    e->host_flags = HF_NONE;
    return true;
}

/* ---- multiplication ---- */

static bool emit_imul(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool three = u->attr & UF_THREE;
    unsigned d = x64_host(u->dr), dst = d != RNONE ? d : T1;
    if (u->w == 1 || (three && u->imm != (int32_t)u->imm)) {
        return false;
    }
    struct xo s = u->sk == UK_MEM ? x64_mem(e, &u->m, u->w, false, false) : x64_gpr(e, u->sr);
    if (three) {
        asm_op(a, u->w, 0x69, dst, s, 0);
        asm_imm(a, (uint32_t)u->imm, u->w == 2 ? 2 : 4);
    } else {
        if (d == RNONE) { /* the address may be in T1 */
            asm_load(a, u->w, T0, s);
            asm_load(a, 8, T1, x64_gpr(e, u->dr));
            s = xr(T0);
        }
        asm_op(a, u->w, 0x0faf, dst, s, 0);
    }
    e->host_flags = HF_NONE;
    x64_set_recipe(e, CC_MUL, u->w);
    if (need(e)) {
        asm_setcc(a, XO, xm(ENV, ENV_OFF(cc_cf)));
    }
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
    x64_res_reg(e, u->dr);
    return true;
}

static bool emit_mul1(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->w < 4 || u->sk == UK_REGH) {
        return false;
    }
    struct xo s = u->sk == UK_MEM ? x64_mem(e, &u->m, u->w, false, false) : x64_gpr(e, u->sr);
    asm_un(a, u->w, u->op == U_MUL1 ? 4 : 5, s);
    e->host_flags = HF_NONE;
    x64_set_recipe(e, CC_MUL, u->w);
    if (need(e)) {
        asm_setcc(a, XO, xm(ENV, ENV_OFF(cc_cf)));
    }
    x64_res_reg(e, 0);
    return true;
}

/* Divisions that cannot fault; others bail. The host divides. */
static bool emit_div(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    x64_kill_reg(e, 0);
    x64_kill_reg(e, 2);
    if (u->sk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->w, false, false);
        asm_load(a, u->w, T1, at);
    } else {
        asm_load(a, u->w, T1, x64_gpr(e, u->sr));
    }
    e->host_flags = HF_NONE;
    uint32_t site = x64_site(e, SITE_BAIL);
    if (u->op == U_DIV) {
        asm_alu(a, u->w, 7, RDX, xr(T1));
        x64_bail_if(e, XAE, site);
        asm_un(a, u->w, 6, xr(T1));
        return true;
    }
    /* rDX is the sign of rAX and the divisor neither 0 nor -1: the quotient fits. */
    asm_mov(a, u->w, T0, RAX);
    asm_shift(a, u->w, 7, xr(T0), 8u * u->w - 1);
    asm_alu(a, u->w, 7, T0, xr(RDX));
    x64_bail_if(e, XNE, site);
    asm_lea(a, u->w, T0, xm(T1, 1));
    asm_alu_imm(a, u->w, 7, xr(T0), 1);
    x64_bail_if(e, XBE, site);
    asm_un(a, u->w, 7, xr(T1));
    return true;
}

/* ---- bits ---- */

/* Bit s of d; a memory operand only with an immediate, which stays inside it. */
static bool emit_bt(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool write = u->sw != 0;
    x64_spill_flags(e);
    if (!e->over_clean && need(e)) {
        /* A rotate's OF may stand where CF is going to. */
        asm_alu_imm(a, 1, 7, xm(ENV, ENV_OFF(cc_op) + 1), 0);
        uint32_t clean = asm_jcc(a, XE);
        asm_const(a, T0, 16);
        asm_call_to(a, e->be->cond);
        asm_here(a, clean);
    }
    struct xo at = xr(RNONE);
    unsigned reg = u->dk == UK_MEM ? T1 : x64_host(u->dr);
    if (u->dk == UK_MEM) {
        at = x64_mem(e, &u->m, u->w, write, true);
        asm_zx(a, u->w, T1, at);
    } else if (reg == RNONE) {
        reg = T1;
        asm_load(a, 8, T1, x64_gpr(e, u->dr));
    }
    if (u->sk == UK_IMM) {
        asm_op(a, u->w, 0x0fba, 4u + u->sw, xr(reg), 0);
        asm_byte(a, (unsigned)u->imm & 0xff);
    } else {
        asm_op(a, u->w, 0x0fa3 | (unsigned)u->sw << 3, x64_get(e, u->sr, T0), xr(reg), 0);
    }
    if (u->dk == UK_MEM && write) {
        asm_store(a, u->w, at, T1);
    } else if (u->dk == UK_REG && reg == T1 && write) {
        x64_put(e, u->dr, u->w, T1);
    }
    e->host_flags = HF_CF;
    if (need(e)) {
        asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_over)));
        asm_store_imm(a, 1, xm(ENV, ENV_OFF(cc_op) + 1), OVER_CF << 2);
        e->over_clean = true; /* another of its kind may replace it */
    }
    return true;
}

/* ---- conditions, exchanges, the accumulator ---- */

static bool emit_cmov(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = x64_host(u->dr);
    struct xo s;
    if (u->sk == UK_MEM) {
        s = x64_mem(e, &u->m, u->w, false, false);
        asm_zx(a, u->w, T1, s);
        s = xr(T1);
    } else {
        s = x64_gpr(e, u->sr);
    }
    unsigned cc = x64_cond(e, u->cc);
    x64_kill_reg(e, u->dr);
    if (d != RNONE) {
        asm_op(a, u->w, 0x0f40 | cc, d, s, 0);
        return true;
    }
    if (s.mem) {
        asm_load(a, 8, T1, s);
        s = xr(T1);
    }
    asm_load(a, 8, T0, x64_gpr(e, u->dr));
    asm_op(a, u->w, 0x0f40 | cc, T0, s, 0);
    x64_put(e, u->dr, u->w, T0);
    return true;
}

static void emit_setcc(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->dk == UK_MEM) {
        unsigned cc = x64_cond(e, u->cc);
        asm_setcc(a, cc, xm(ENV, ENV_OFF(scratch)));
        struct xo at = x64_mem(e, &u->m, 1, true, true);
        asm_load(a, 1, T1, xm(ENV, ENV_OFF(scratch)));
        asm_store(a, 1, at, T1);
        return;
    }
    x64_kill_reg(e, u->dr);
    unsigned cc = x64_cond(e, u->cc);
    if (u->dk == UK_REGH) {
        asm_setcc(a, cc, xr(T0));
        x64_put_high(e, u->dr, T0);
    } else {
        asm_setcc(a, cc, x64_gpr(e, u->dr));
    }
}

static bool emit_xchg(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->sk != UK_REG || u->dk == UK_REGH) {
        return false;
    }
    x64_kill_reg(e, u->sr);
    if (u->dk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->w, true, true);
        asm_zx(a, u->w, T1, at);
        unsigned s = x64_host(u->sr);
        if (s == RNONE) {
            return false; /* never: the lifter leaves it out */
        }
        asm_store(a, u->w, at, s);
        x64_put(e, u->sr, u->w, T1);
        return true;
    }
    x64_kill_reg(e, u->dr);
    asm_load(a, 8, T0, x64_gpr(e, u->dr));
    asm_load(a, 8, T1, x64_gpr(e, u->sr));
    x64_put(e, u->dr, u->w, T1);
    x64_put(e, u->sr, u->w, T0);
    return true;
}

static void emit_bswap(struct em *e)
{
    const struct uop *u = e->u;
    unsigned d = x64_host(u->dr), reg = d != RNONE ? d : T1;
    x64_kill_reg(e, u->dr);
    if (d == RNONE) {
        asm_load(&e->a, 8, T1, x64_gpr(e, u->dr));
    }
    asm_byte(&e->a, 0x40 | (u->w == 8 ? 8u : 0) | (reg >= 8 ? 1u : 0));
    asm_byte(&e->a, 0x0f);
    asm_byte(&e->a, 0xc8 | (reg & 7));
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
}

/* CWD and CBW: the host's own. */
static void emit_sign(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, u->op == U_CWD ? 2 : 0);
    if (u->w == 2) {
        asm_byte(&e->a, 0x66);
    } else if (u->w == 8) {
        asm_byte(&e->a, 0x48);
    }
    asm_byte(&e->a, u->op == U_CWD ? 0x99 : 0x98);
}

/* ---- the stack ---- */

static void add_sp(struct em *e, int32_t n)
{
    unsigned sp = x64_host(4);
    asm_lea(&e->a, e->src->bits == 64 ? 8 : 4, sp, xm(sp, n));
}

static bool emit_push(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    x64_kill_reg(e, 4);
    struct xo at = x64_mem(e, &u->m, u->w, true, true);
    if (u->sk == UK_IMM) {
        asm_store_imm(a, u->w, at, (int32_t)u->imm);
    } else {
        asm_store(a, u->w, at, x64_get(e, u->sr, T1));
    }
    add_sp(e, -(int32_t)u->w);
    return true;
}

static void emit_pop(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, 4);
    x64_kill_reg(e, u->dr);
    struct xo at = x64_mem(e, &u->m, u->w, false, false);
    asm_load(&e->a, u->w, T1, at);
    add_sp(e, u->w);
    x64_put(e, u->dr, u->w, T1);
}

static void emit_leave(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, 4);
    x64_kill_reg(e, 5);
    struct xo at = x64_mem(e, &u->m, u->w, false, false);
    asm_load(&e->a, u->w, T1, at);
    asm_lea(&e->a, e->src->bits == 64 ? 8 : 4, x64_host(4), xm(x64_host(5), u->w));
    asm_mov(&e->a, u->w, x64_host(5), T1);
}

/* ---- one micro-operation ---- */

bool x64_uop(struct em *e)
{
    const struct uop *u = e->u;
    switch (u->op) {
    case U_NOP:
        return true;
    case U_MOV:
        return emit_mov(e);
    case U_MOVZX:
    case U_MOVSX:
        emit_extend(e);
        return true;
    case U_LEA:
        emit_lea(e);
        return true;
    case U_ADD:
    case U_OR:
    case U_ADC:
    case U_SBB:
    case U_AND:
    case U_SUB:
    case U_XOR:
    case U_CMP:
    case U_TEST:
        return emit_alu(e);
    case U_INC:
    case U_DEC:
        return emit_incdec(e);
    case U_NEG:
    case U_NOT:
        emit_negnot(e);
        return true;
    case U_SHL:
    case U_SHR:
    case U_SAR:
    case U_ROL:
    case U_ROR:
        return u->sk == UK_IMM ? emit_shift_imm(e) : emit_shift_cl(e);
    case U_IMUL:
        return emit_imul(e);
    case U_MUL1:
    case U_IMUL1:
        return emit_mul1(e);
    case U_DIV:
    case U_IDIV:
        return emit_div(e);
    case U_BT:
        return emit_bt(e);
    case U_CWD:
    case U_CBW:
        emit_sign(e);
        return true;
    case U_XCHG:
        return emit_xchg(e);
    case U_BSWAP:
        emit_bswap(e);
        return true;
    case U_CMOV:
        return emit_cmov(e);
    case U_SETCC:
        emit_setcc(e);
        return true;
    case U_PUSH:
        return emit_push(e);
    case U_POP:
        emit_pop(e);
        return true;
    case U_LEAVE:
        emit_leave(e);
        return true;
    default:
        return x64_flow(e);
    }
}

/* ---- the back end's interface ---- */

void jit_host_stubs(struct jit_backend *be)
{
    x64_stubs(be);
}

bool jit_host_emit(struct jit_backend *be, const struct jit_source *src, struct jit_code *code)
{
    static const struct jit_recipe in_memory = {.slot = true};
    struct em e = {.a = {be->mem.write, be->at, (uint32_t)be->mem.bytes, false},
                   .be = be,
                   .src = src,
                   .code = code,
                   .u = src->u,
                   .rc = in_memory};
    x64_block_entry(&e);
    for (unsigned k = 0; k < src->n; k++) {
        struct asmbuf a = e.a;
        unsigned ncold = e.ncold;
        struct jit_recipe rc = e.rc;
        bool over_clean = e.over_clean;
        e.u = &src->u[k];
        if (e.u->op == U_INTERP_END) {
            x64_leave(&e, SITE_BAIL);
        } else if (e.u->op == U_INTERP || !x64_uop(&e)) {
            e.a = a; /* what was emitted in vain */
            e.ncold = ncold;
            e.rc = rc;
            e.over_clean = over_clean;
            x64_interp(&e);
        }
    }
    x64_cold(&e);
    if (e.a.full || e.failed) {
        return false;
    }
    code->bytes = e.a.at - code->entry;
    be->at = (e.a.at + 15) & ~15u;
    return be->at < be->mem.bytes;
}

void jit_host_patch(struct jit_backend *be, uint32_t place, uint32_t target)
{
    int32_t d = (int32_t)(target - (place + 4));
    memcpy(be->mem.write + place, &d, 4);
}

bool jit_host_runs(void)
{
#if defined(__x86_64__)
    return true;
#else
    return false;
#endif
}
