/*
 * Shifts and rotates, also of double width and through carry.
 *
 * What changes only some flags (rotates) leaves the pending recipe, in memory, and puts its own
 * beside it (enum jit_over). A shift by CL may change none: the old recipe goes to memory first.
 * Flags that are undefined for the host are worked out (OF of a count above 1), or the instruction
 * is left out (counts beyond the operand's width): docs/undefined-flags.md.
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
        x64_over_begin(e, u->op == U_ROL ? OVER_ROL : OVER_ROR);
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

/* What a shift or rotate by CL leaves if the count is not 0; the value is in `reg`. */
static void shift_cl_flags(struct em *e, unsigned reg)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned was = emit_class(&a->count, EMIT_flags);
    if (u->op == U_ROL || u->op == U_ROR) {
        x64_over(e, u->op == U_ROL ? OVER_ROL : OVER_ROR, reg);
    } else {
        asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_cf)));
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_res)), reg);
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_b)), RCX);
        asm_alu_imm(a, 8, 4, xm(ENV, ENV_OFF(cc_b)), u->w == 8 ? 63 : 31);
        asm_store_imm(a, 4, xm(ENV, ENV_OFF(cc_op)),
                      (int32_t)(shift_kind(u->op) << 2) | (u->w == 8 ? 3 : 2));
    }
    emit_class(&a->count, was);
}

/* A count of zero leaves the flags: the old ones go to memory first. */
bool x64_emit_shift_cl(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool rotate = u->op == U_ROL || u->op == U_ROR, need = x64_need(e);
    if (u->dk == UK_REGH || (need && !rotate && u->w < 4)) {
        return false;
    }
    if (need) {
        x64_over_begin(e, rotate ? OVER_ROL : OVER_CFOF);
    }
    struct xo at = xr(RNONE);
    unsigned reg = u->dk == UK_MEM ? T1 : x64_host(u->dr);
    if (u->dk == UK_MEM) {
        at = x64_mem(e, &u->m, u->w, true, true);
        asm_zx(a, u->w, T1, at);
    } else if (reg == RNONE) {
        reg = T1;
        asm_load(a, 8, T1, x64_gpr(e, u->dr));
    }
    uint32_t none = 0;
    if (need) {
        asm_test_imm(a, 1, xr(RCX), u->w == 8 ? 63 : 31);
        none = asm_jcc(a, XE);
    }
    asm_shift_cl(a, u->w, shift_n(u->op), xr(reg));
    if (need) {
        shift_cl_flags(e, reg);
        asm_here(a, none);
        e->over = rotate ? OVER_ANY : e->over;
        x64_over_maybe(e);
    }
    if (u->dk == UK_MEM) {
        asm_store(a, u->w, at, T1);
    } else if (reg == T1) {
        x64_put(e, u->dr, u->w, T1);
    } else if (need && u->w == 4) {
        asm_mov(a, 4, reg, reg); /* written also if the count is 0 */
    }
    e->host_flags = HF_NONE;
    return true;
}

/* ---- double shifts ---- */

static void double_op(struct em *e, unsigned dst, unsigned src)
{
    const struct uop *u = e->u;
    unsigned op = u->op == U_SHLD ? 0x0fa4 : 0x0fac;
    if (u->attr & UF_COND) {
        asm_op(&e->a, u->w, op + 1, src, xr(dst), 0);
    } else {
        asm_op(&e->a, u->w, op, src, xr(dst), 0);
        asm_byte(&e->a, (unsigned)u->imm & (u->w == 8 ? 63 : 31));
    }
}

/* env->cc_cf behind a double shift: CF is the host's, OF is whether the sign of `was` changed. */
static void double_flags(struct em *e, unsigned was, struct xo now)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_cf)));
    asm_alu(a, u->w, 6, was, now);
    asm_shift(a, u->w, 5, xr(was), 8u * u->w - 1);
    asm_store(a, 1, xm(ENV, ENV_OFF(cc_cf) + 1), was);
}

/* By CL, in a pinned register. */
static bool double_cl(struct em *e, unsigned d)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->dk == UK_MEM || d == RNONE || u->w < 4) {
        return false;
    }
    if (x64_need(e)) {
        x64_spill_flags(e);
    }
    unsigned s = x64_get(e, u->sr, T1);
    asm_test_imm(a, 1, xr(RCX), u->w == 8 ? 63 : 31);
    uint32_t none = asm_jcc(a, XE);
    asm_mov(a, u->w, T0, d);
    double_op(e, d, s);
    if (x64_need(e)) {
        double_flags(e, T0, xr(d));
        asm_store(a, 8, xm(ENV, ENV_OFF(cc_res)), d);
        asm_store_imm(a, 4, xm(ENV, ENV_OFF(cc_op)), CC_CFOF << 2 | (u->w == 8 ? 3 : 2));
    }
    asm_here(a, none);
    x64_over_maybe(e);
    if (u->w == 4) {
        asm_mov(a, 4, d, d); /* written also if the count is 0 */
    }
    e->host_flags = HF_NONE;
    return true;
}

bool x64_emit_double(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = u->dk == UK_MEM ? RNONE : x64_host(u->dr);
    if (u->attr & UF_COND) {
        return double_cl(e, d);
    }
    if (x64_host(u->sr) == RNONE && d == RNONE) {
        return false;
    }
    struct xo at = xr(RNONE);
    unsigned reg = d;
    if (u->dk == UK_MEM) {
        at = x64_mem(e, &u->m, u->w, true, true);
        asm_zx(a, u->w, T1, at);
        reg = T1;
    } else if (d == RNONE) {
        asm_load(a, 8, T1, x64_gpr(e, u->dr));
        reg = T1;
    }
    unsigned s = x64_get(e, u->sr, T1);
    if (!x64_need(e)) {
        double_op(e, reg, s);
    } else if (u->dk == UK_MEM) { /* T0 is the address */
        asm_store(a, 8, xm(ENV, ENV_OFF(scratch)), T1);
        double_op(e, T1, s);
        x64_set_recipe(e, CC_CFOF, u->w);
        x64_res_host(e, T1);
    } else {
        asm_mov(a, 8, T0, reg);
        double_op(e, reg, s);
        double_flags(e, T0, xr(reg));
        x64_set_recipe(e, CC_CFOF, u->w);
        x64_res_reg(e, u->dr);
    }
    if (u->dk == UK_MEM) {
        asm_store(a, u->w, at, T1);
        if (x64_need(e)) {
            double_flags(e, T1, xm(ENV, ENV_OFF(scratch)));
        }
    } else if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
    if (!x64_need(e)) {
        x64_set_recipe(e, CC_CFOF, u->w);
    }
    e->host_flags = HF_NONE;
    return true;
}

/* ---- rotates through carry, by one ---- */

bool x64_emit_rotate_cf(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned n = u->op == U_RCL ? 2 : 3;
    if (u->dk == UK_REGH) {
        return false;
    }
    x64_save_cf(e, true);
    int32_t cf = e->aside ? ENV_OFF(scratch) : ENV_OFF(cc_cf);
    if (x64_need(e)) {
        x64_over_begin(e, OVER_CFOF);
    }
    struct xo at = xr(RNONE);
    unsigned reg = u->dk == UK_MEM ? T1 : x64_host(u->dr);
    if (u->dk == UK_MEM) {
        at = x64_mem(e, &u->m, u->w, true, true);
        asm_zx(a, u->w, T1, at);
    } else if (reg == RNONE) {
        reg = T1;
        asm_load(a, 8, T1, x64_gpr(e, u->dr));
    }
    x64_load_cf(e, cf);
    asm_op(a, u->w, u->w == 1 ? 0xd0 : 0xd1, n, xr(reg), XB_RM);
    if (x64_need(e)) {
        asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_over)));
        asm_setcc(a, XO, xm(ENV, ENV_OFF(cc_over) + 1));
        asm_store_imm(a, 1, xm(ENV, ENV_OFF(cc_op) + 1), OVER_CFOF << 2);
        e->over = OVER_CFOF;
    }
    if (u->dk == UK_MEM) {
        asm_store(a, u->w, at, T1);
    } else if (reg == T1) {
        x64_put(e, u->dr, u->w, T1);
    }
    e->host_flags = HF_CF;
    return true;
}
