/*
 * Instructions that C does in the midst of code (env->quick): PAUSE, IN, OUT, loads of DS, ES, FS
 * and GS. Guest registers and pending flags stay as they are.
 *
 * If C declines code bails in front of the instruction; if something has come up that code may not
 * go on with, it leaves behind it.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

enum { GUEST_AX = 0, GUEST_SP = 4 };

static unsigned act_of(const struct uop *u)
{
    return u->op == U_PAUSE ? ACT_PAUSE
           : u->op == U_IN  ? ACT_IN
           : u->op == U_OUT ? ACT_OUT
                            : ACT_SEG;
}

/* T1 = what env->quick is called with. */
static void value(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    switch (u->op) {
    case U_IN:
    case U_OUT:
        if (u->cc) {
            asm_zx(a, 2, T1, xr(RDX));
        } else {
            asm_const(a, T1, (uint64_t)u->imm);
        }
        if (u->op == U_OUT) {
            asm_zx(a, u->w, T0, xr(RAX));
            asm_shift(a, 8, 4, xr(T0), 16);
            asm_alu(a, 8, 1, T1, xr(T0));
        }
        break;
    case U_LOADSEG:
        if (u->cc || u->sk == UK_MEM) {
            struct xo at = x64_mem(e, &u->m, u->cc ? u->w : 2, false, true);
            asm_zx(a, 2, T1, at);
        } else {
            asm_load(a, 8, T1, x64_gpr(e, u->sr));
        }
        break;
    default:
        break;
    }
}

void x64_emit_quick(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    x64_vec_drop(e);
    if (u->op == U_IN) {
        x64_kill_reg(e, GUEST_AX);
    } else if (u->op == U_LOADSEG && u->cc) {
        x64_kill_reg(e, GUEST_SP);
    }
    value(e);
    unsigned was = emit_class(&a->count, EMIT_glue);
    uint32_t site = x64_site(e, SITE_BAIL);
    e->be->site[site].act = (uint8_t)act_of(u);
    asm_const(a, T0, site);
    asm_call_to(a, e->be->quick);
    asm_test(a, 4, xr(T0), T0);
    x64_bail_if(e, XE, site);
    emit_class(&a->count, was);
    if (u->op == U_IN) {
        asm_load(a, 8, T1, xm(ENV, ENV_OFF(scratch)));
        x64_put(e, GUEST_AX, u->w, T1);
    } else if (u->op == U_LOADSEG && u->cc) {
        x64_add_sp(e, u->w);
    }
    uint32_t behind = x64_site(e, SITE_BAIL);
    e->be->site[behind].k++;
    e->be->site[behind].flags_dead = !x64_need(e);
    asm_alu_imm(a, 4, 7, xr(T0), JIT_QUICK_ON);
    x64_bail_if(e, XNE, behind);
    e->groups = 0; /* as the pass has it (cpu/jit/groups.c) */
    e->host_flags = HF_NONE;
}
