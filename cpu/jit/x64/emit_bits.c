/*
 * Shifts and rotates, multiplication and division, single bits.
 *
 * What changes only some flags (rotates, BT) leaves the pending recipe, in memory, and puts its own
 * beside it (enum jit_over). A shift by CL may change none: the old recipe goes to memory first.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

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

bool x64_emit_shift_imm(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned n = (unsigned)u->imm & (u->w == 8 ? 63 : 31), kind = shift_kind(u->op);
    bool rotate = u->op == U_ROL || u->op == U_ROR;
    bool rec = x64_need(e) && !rotate;
    if (u->dk == UK_REGH || (rec && n >= 8u * u->w)) {
        return false;
    }
    if (rotate && x64_need(e)) { /* the other flags stay */
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
    if (rotate && x64_need(e)) {
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
bool x64_emit_shift_cl(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool rotate = u->op == U_ROL || u->op == U_ROR;
    if (!(u->dk == UK_REG && x64_host(u->dr) != RNONE) || (x64_need(e) && (rotate || u->w < 4))) {
        return false;
    }
    unsigned d = x64_host(u->dr);
    if (!x64_need(e)) {
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

bool x64_emit_mul1(struct em *e)
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
    if (x64_need(e)) {
        asm_setcc(a, XO, xm(ENV, ENV_OFF(cc_cf)));
    }
    x64_res_reg(e, 0);
    return true;
}

/* Divisions that cannot fault; others bail. The host divides. */
bool x64_emit_div(struct em *e)
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
bool x64_emit_bt(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool write = u->sw != 0;
    x64_spill_flags(e);
    if (!e->over_clean && x64_need(e)) {
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
    if (x64_need(e)) {
        asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_over)));
        asm_store_imm(a, 1, xm(ENV, ENV_OFF(cc_op) + 1), OVER_CF << 2);
        e->over_clean = true; /* another of its kind may replace it */
    }
    return true;
}
