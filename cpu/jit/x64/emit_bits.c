/*
 * Multiplication and division, single bits.
 *
 * BT and its kind change CF alone: the pending recipe stays, in memory, and CF beside it (enum
 * jit_over).
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

/* ---- multiplication ---- */

bool x64_emit_imul(struct em *e)
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
    if (x64_need(e)) {
        asm_setcc(a, XO, xm(ENV, ENV_OFF(cc_cf)));
    }
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
    x64_res_reg(e, u->dr);
    return true;
}

/* The operand of a multiplication or division of one register, in a register or memory. */
static struct xo one_source(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_MEM) {
        return x64_mem(e, &u->m, u->w, false, false);
    } else if (u->sk == UK_REGH) {
        x64_get_high(e, u->sr, T1);
        return xr(T1);
    }
    return x64_gpr(e, u->sr);
}

void x64_emit_mul1(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    asm_un(a, u->w, u->op == U_MUL1 ? 4 : 5, one_source(e));
    e->host_flags = HF_NONE;
    x64_set_recipe(e, CC_MUL, u->w);
    if (x64_need(e)) {
        asm_setcc(a, XO, xm(ENV, ENV_OFF(cc_cf)));
    }
    x64_res_reg(e, 0);
}

/* Divisions that cannot fault; others bail. The host divides. */
void x64_emit_div(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    x64_kill_reg(e, 0);
    x64_kill_reg(e, 2);
    struct xo s = one_source(e);
    if (s.mem || s.reg != T1) {
        asm_load(a, u->w, T1, s);
    }
    e->host_flags = HF_NONE;
    uint32_t site = x64_site(e, SITE_BAIL);
    if (u->op == U_DIV) {
        unsigned high = RDX;
        if (u->w == 1) {
            high = T0;
            x64_get_high(e, 0, T0);
        }
        asm_alu(a, u->w, 7, high, xr(T1));
        x64_bail_if(e, XAE, site);
        asm_un(a, u->w, 6, xr(T1));
        return;
    }
    /* The upper half is the sign of the lower and the divisor neither 0 nor -1: it fits. */
    if (u->w == 1) {
        asm_op(a, 4, 0x0fbe, T0, xr(RAX), XB_RM);
        asm_alu(a, 2, 7, T0, xr(RAX));
    } else {
        asm_mov(a, u->w, T0, RAX);
        asm_shift(a, u->w, 7, xr(T0), 8u * u->w - 1);
        asm_alu(a, u->w, 7, T0, xr(RDX));
    }
    x64_bail_if(e, XNE, site);
    asm_lea(a, 8, T0, xm(T1, 1));
    asm_alu_imm(a, u->w, 7, xr(T0), 1);
    x64_bail_if(e, XBE, site);
    asm_un(a, u->w, 7, xr(T1));
}

/* ---- bits ---- */

/* Where bit number s of the operand m lies for the host: the number is signed and its upper part
 * moves the address by whole operands. */
static struct xo bit_place(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned step = u->w == 8 ? 3 : u->w == 4 ? 2 : 1; /* log2 of the operand's bytes */
    struct uop_mem m = u->m;
    x64_ea(e, &u->m, T1, 0);
    if (u->w == 2) {
        asm_op(a, 4, 0x0fbf, T0, x64_gpr(e, u->sr), 0);
    } else {
        asm_load(a, u->w, T0, x64_gpr(e, u->sr));
    }
    unsigned w = u->w == 8 ? 8 : 4;
    asm_shift(a, w, 7, xr(T0), step + 3);
    if (w == 4) {
        asm_op(a, 8, 0x63, T0, xr(T0), 0);
    }
    asm_lea(a, u->m.asz == 8 ? 8 : 4, T1, xmi(T1, T0, step, 0));
    asm_store(a, 8, xm(ENV, ENV_OFF(scratch)), T1);
    m.base = UR_SCRATCH;
    m.index = UR_NONE;
    m.disp = 0;
    return x64_mem(e, &m, u->w, u->sw != 0, true);
}

/* Bit s of d. */
void x64_emit_bt(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool write = u->sw != 0;
    if (x64_need(e)) {
        x64_over_begin(e, OVER_CF);
    }
    struct xo at = xr(RNONE);
    unsigned reg = u->dk == UK_MEM ? T1 : x64_host(u->dr);
    if (u->dk == UK_MEM) {
        at = u->sk == UK_REG ? bit_place(e) : x64_mem(e, &u->m, u->w, write, true);
        asm_zx(a, u->w, T1, at);
    } else if (reg == RNONE) {
        reg = T1;
        asm_load(a, 8, T1, x64_gpr(e, u->dr));
    }
    if (u->sk == UK_IMM) {
        asm_op(a, u->w, 0x0fba, 4u + u->sw, xr(reg), 0);
        asm_byte(a, (unsigned)u->imm & 0xff);
    } else {
        unsigned s = x64_host(u->sr);
        if (s == RNONE && u->dk == UK_MEM) { /* T0 is the address: the value goes there and back */
            asm_store(a, 8, xm(ENV, ENV_OFF(scratch)), T0);
            s = T0;
        } else if (s == RNONE) {
            s = T0;
        }
        if (s == T0) {
            asm_load(a, 8, T0, x64_gpr(e, u->sr));
        }
        asm_op(a, u->w, 0x0fa3 | (unsigned)u->sw << 3, s, xr(reg), 0);
        if (s == T0 && u->dk == UK_MEM) {
            asm_load(a, 8, T0, xm(ENV, ENV_OFF(scratch)));
        }
    }
    if (u->dk == UK_MEM && write) {
        asm_store(a, u->w, at, T1);
    } else if (u->dk == UK_REG && reg == T1 && write) {
        x64_put(e, u->dr, u->w, T1);
    }
    e->host_flags = HF_CF;
    if (x64_need(e)) {
        x64_over_cf(e);
    }
}
