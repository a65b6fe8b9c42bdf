/*
 * Arithmetic and logic on two operands or one.
 *
 * Order within one: memory check (may bail, with registers and flags as before), carry in if it
 * needs one, the operation, the new recipe. A source in bits 15:8 of a register comes through T1,
 * such a destination through T0.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

/* ---- arithmetic ---- */

/* Set the host's CF from env->cc_cf, unless it is the guest's already. */
static void load_cf(struct em *e)
{
    if (!(e->host_flags & (HF_ALL | HF_CF))) {
        x64_load_cf(e, ENV_OFF(cc_cf));
    }
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
    unsigned kind = jit_alu_kind(u->op);
    struct xo at = x64_mem(e, &u->m, u->w, writes(u), true);
    if (!x64_need(e) && !writes(u)) {
        return;
    }
    take_carry(e);
    if (!x64_need(e) && kind != CC_ADC && kind != CC_SBB && u->sk != UK_REGH) {
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
        x64_get_high(e, u->sr, T1);
        asm_alu(a, 1, 7, T0, xr(T1));
        x64_set_recipe(e, CC_CMP, 1);
        x64_res_host(e, T0);
        x64_b_host(e, T1);
        e->host_flags = HF_ALL;
        return;
    }
    if (u->sk == UK_REGH) {
        x64_get_high(e, u->sr, T1);
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
    if (x64_need(e)) {
        x64_res_host(e, T1);
    }
    e->host_flags = HF_ALL;
}

/* Destination in bits 15:8. */
static void alu_high(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned kind = jit_alu_kind(u->op);
    if (u->sk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, 1, false, true);
        take_carry(e);
        asm_zx(a, 1, T1, at);
    } else if (u->sk == UK_REGH) {
        x64_get_high(e, u->sr, T1);
    } else if (u->sk == UK_REG) {
        asm_load(a, 8, T1, x64_gpr(e, u->sr));
    }
    x64_get_high(e, u->dr, T0);
    if (u->op == U_ADC || u->op == U_SBB) {
        load_cf(e);
    }
    if (u->op == U_CMP && x64_need(e)) {
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_res)), T0);
    }
    if (u->sk == UK_IMM) {
        asm_alu_imm(a, 1, alu_n(u), xr(T0), (int32_t)u->imm);
    } else {
        asm_alu(a, 1, alu_n(u), T0, xr(T1));
    }
    x64_set_recipe(e, kind, 1);
    if (x64_need(e)) {
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
    unsigned kind = jit_alu_kind(u->op), d = x64_host(u->dr);
    bool same = u->sk == UK_REG && u->sr == u->dr;
    if (u->sk == UK_MEM) {
        bool carry = u->op == U_ADC || u->op == U_SBB;
        struct xo at = x64_mem(e, &u->m, u->w, false, carry);
        if (!x64_need(e) && !writes(u)) {
            return;
        }
        take_carry(e);
        if (!x64_need(e) && d != RNONE) { /* nobody asks for b again */
            if (u->op == U_ADC || u->op == U_SBB) {
                load_cf(e);
            }
            asm_alu(a, u->w, alu_n(u), d, at);
            x64_set_recipe(e, kind, u->w);
            return;
        }
        asm_zx(a, u->w, T1, at);
    } else if (u->sk == UK_REGH) {
        x64_get_high(e, u->sr, T1);
    }
    bool b_early = same && writes(u) && kind != CC_LOGIC && x64_need(e);
    if (b_early) { /* the source is overwritten */
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_b)), x64_get(e, u->sr, T1));
    }
    unsigned reg = d;
    if (d == RNONE || (u->op == U_TEST && !same && x64_need(e))) {
        asm_load(a, 8, T0, x64_gpr(e, u->dr));
        reg = T0;
    }
    if (u->op == U_TEST && same) {
        asm_test(a, u->w, xr(reg), reg);
    } else if (u->op == U_TEST && !x64_need(e)) {
        return;
    } else {
        alu_src(e, reg);
    }
    x64_set_recipe(e, kind, u->w);
    e->host_flags = HF_ALL;
    if (writes(u) && d == RNONE) {
        x64_put(e, u->dr, u->w, T0);
    }
    if (!x64_need(e)) {
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

bool x64_emit_alu(struct em *e)
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

bool x64_emit_incdec(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned n = u->op == U_INC ? 0 : 1, kind = u->op == U_INC ? CC_INC : CC_DEC;
    if (x64_need(e)) {
        x64_save_cf(e, u->dk == UK_MEM);
    }
    if (u->dk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->w, true, true);
        if (x64_need(e)) {
            x64_take_cf(e);
        }
        asm_zx(a, u->w, T1, at);
        asm_inc(a, u->w, n, xr(T1));
        asm_store(a, u->w, at, T1);
        x64_set_recipe(e, kind, u->w);
        if (x64_need(e)) {
            x64_res_host(e, T1);
        }
        return true; /* host flags: CF is not the guest's */
    }
    if (u->dk == UK_REGH) {
        x64_get_high(e, u->dr, T0);
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

void x64_emit_negnot(struct em *e)
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
        x64_get_high(e, u->dr, T0);
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
