/*
 * String instructions without REP: MOVS, STOS, LODS.
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

void x64_emit_string(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool from = u->op != U_STOS, to = u->op != U_LODS;
    struct uop_mem dst = {
        .base = GUEST_DI, .index = UR_NONE, .asz = u->m.asz, .segm = US_FLAT, .seg = 0};
    if (from) {
        x64_kill_reg(e, GUEST_SI);
    }
    x64_kill_reg(e, to ? GUEST_DI : GUEST_AX);
    uint32_t site = x64_site(e, SITE_BAIL);
    asm_test_imm(a, 1, xm(ENV, e->be->l->rflags + 1), 4); /* DF */
    x64_bail_if(e, XNE, site);
    e->host_flags = HF_NONE;
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
