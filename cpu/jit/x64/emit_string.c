/*
 * String instructions without REP: MOVS, STOS, LODS, CMPS, SCAS.
 *
 * Forward only: with DF they bail. Both checks come before anything changes.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

enum { GUEST_AX = 0, GUEST_SI = 6, GUEST_DI = 7 };

static void step(struct em *e, unsigned r)
{
    const struct uop *u = e->u;
    asm_lea(&e->a, u->m.asz, x64_host(r), xm(x64_host(r), u->w));
}

static struct uop_mem destination(const struct uop *u)
{
    return (struct uop_mem){
        .base = GUEST_DI, .index = UR_NONE, .asz = u->m.asz, .segm = US_FLAT, .seg = 0};
}

static void forward_only(struct em *e)
{
    uint32_t site = x64_site(e, SITE_BAIL);
    asm_test_imm(&e->a, 1, xm(ENV, e->be->l->rflags + 1), 4); /* DF */
    x64_bail_if(e, XNE, site);
    e->host_flags = HF_NONE;
}

void x64_emit_string(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool from = u->op != U_STOS, to = u->op != U_LODS;
    struct uop_mem dst = destination(u);
    if (from) {
        x64_kill_reg(e, GUEST_SI);
    }
    x64_kill_reg(e, to ? GUEST_DI : GUEST_AX);
    forward_only(e);
    if (from) {
        struct xo at = x64_mem(e, &u->m, u->w, false, false);
        asm_zx(a, u->w, T1, at);
        if (to) {
            asm_store(a, 8, xm(ENV, ENV_OFF(scratch)), T1);
        } else {
            x64_put(e, GUEST_AX, u->w, T1);
        }
    }
    if (to) {
        struct xo at = x64_mem(e, &dst, u->w, true, true);
        if (from) {
            asm_load(a, 8, T1, xm(ENV, ENV_OFF(scratch)));
        }
        asm_store(a, u->w, at, from ? T1 : RAX);
        step(e, GUEST_DI);
    }
    if (from) {
        step(e, GUEST_SI);
    }
}

/* The steps keep the host's flags, which are those of the comparison. */
void x64_emit_string_compare(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool two = u->op == U_CMPS;
    struct uop_mem dst = destination(u);
    forward_only(e);
    if (two) {
        struct xo at = x64_mem(e, &u->m, u->w, false, false);
        asm_zx(a, u->w, T1, at);
        asm_store(a, 8, xm(ENV, ENV_OFF(scratch)), T1);
    }
    struct xo at = x64_mem(e, &dst, u->w, false, true);
    asm_zx(a, u->w, T1, at);
    if (two) {
        asm_load(a, 8, T0, xm(ENV, ENV_OFF(scratch)));
    }
    asm_alu(a, u->w, 7, two ? T0 : RAX, xr(T1));
    x64_set_recipe(e, CC_CMP, u->w);
    if (x64_need(e)) {
        if (two) {
            x64_res_host(e, T0);
        } else {
            x64_res_reg(e, GUEST_AX);
        }
        x64_b_host(e, T1);
    }
    step(e, GUEST_DI);
    if (two) {
        step(e, GUEST_SI);
    }
    e->host_flags = HF_ALL;
}
