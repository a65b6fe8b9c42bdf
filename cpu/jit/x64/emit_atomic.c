/*
 * Read-modify-write with comparison or exchange: CMPXCHG, CMPXCHG8B, CMPXCHG16B, XADD.
 *
 * vCPUs take turns on one thread, so LOCK asks for nothing. Each is checked as a write before it
 * reads. A CMPXCHG that fails need not write the old value back to plain memory.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

/* ---- CMPXCHG ---- */

void x64_emit_cmpxchg(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    struct xo at = xr(RNONE);
    if (u->dk == UK_MEM) {
        at = x64_mem(e, &u->m, u->w, true, true);
        asm_zx(a, u->w, T1, at);
    } else {
        asm_load(a, 8, T1, x64_gpr(e, u->dr));
    }
    x64_set_recipe(e, CC_CMP, u->w);
    if (x64_need(e)) {
        x64_res_host(e, RAX);
        x64_b_host(e, T1);
    }
    asm_alu(a, u->w, 7, RAX, xr(T1));
    uint32_t differ = asm_jcc(a, XNE);
    if (u->dk == UK_MEM) {
        asm_store(a, u->w, at, x64_get(e, u->sr, T1));
    } else {
        x64_put(e, u->dr, u->w, x64_get(e, u->sr, T1));
    }
    uint32_t done = asm_jmp(a);
    asm_here(a, differ);
    asm_mov(a, u->w, RAX, T1);
    asm_here(a, done);
    e->host_flags = HF_ALL;
}

/* CMPXCHG8B and 16B: the registers are the host's own, and so is the instruction. ZF alone. */
bool x64_emit_cmpxchg_pair(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->w == 8 && !x64_has_cx16(e)) {
        return false;
    }
    x64_kill_reg(e, 0);
    x64_kill_reg(e, 2);
    struct xo at = x64_mem(e, &u->m, 2u * u->w, true, true);
    if (at.reg != T0 || at.index != RNONE || at.disp) {
        asm_lea(a, 8, T0, at);
    }
    if (u->w == 8) { /* it must be aligned: pages of the host are as the guest's */
        uint32_t site = x64_site(e, SITE_BAIL);
        asm_test_imm(a, 1, xr(T0), 15);
        x64_bail_if(e, XNE, site);
    }
    asm_op(a, u->w, 0x0fc7, 1, xm(T0, 0), 0);
    e->host_flags = HF_ZF;
    if (x64_need(e)) {
        x64_over_zf(e);
    }
    return true;
}

/* ---- XADD: the host's ---- */

static void xadd_reg(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    asm_load(a, 8, T0, x64_gpr(e, u->dr));
    asm_load(a, 8, T1, x64_gpr(e, u->sr));
    asm_op(a, u->w, u->w == 1 ? 0x0fc0 : 0x0fc1, T1, xr(T0), u->w == 1 ? XB_REG | XB_RM : 0);
    x64_set_recipe(e, CC_ADD, u->w);
    if (x64_need(e)) {
        x64_res_host(e, T0);
        x64_b_host(e, T1);
    }
    x64_put(e, u->sr, u->w, T1);
    x64_put(e, u->dr, u->w, T0); /* last, if they are the same */
    e->host_flags = HF_ALL;
}

void x64_emit_xadd(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned s = x64_host(u->sr);
    if (u->dk != UK_MEM) {
        xadd_reg(e);
        return;
    }
    struct xo at = x64_mem(e, &u->m, u->w, true, true);
    if (x64_need(e) && at.index != RNONE) { /* the base may be the source */
        asm_lea(a, 8, T0, at);
        at = xm(T0, 0);
    }
    if (s == RNONE) {
        s = T1;
        asm_load(a, 8, T1, x64_gpr(e, u->sr));
    }
    asm_op(a, u->w, u->w == 1 ? 0x0fc0 : 0x0fc1, s, at, u->w == 1 ? XB_REG : 0);
    x64_set_recipe(e, CC_ADD, u->w);
    if (s == T1) {
        x64_put(e, u->sr, u->w, T1);
    }
    if (x64_need(e)) {
        x64_b_reg(e, u->sr);
        asm_zx(a, u->w, T1, at);
        x64_res_host(e, T1);
    }
    e->host_flags = HF_ALL;
}
