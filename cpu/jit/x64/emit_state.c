/*
 * Flags as values, and other state of the processor: PUSHF, POPF, LAHF, SAHF, CLC, STC, CMC, CLD,
 * RDTSC, RDTSCP; what kernels do all the time: CLI, STI, SWAPGS, CLAC, STAC.
 *
 * Time: entering charged for whole blocks, so what has been retired of the slice is known from the
 * budget and the place in the code; the clock follows from what is used of it.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

/* ---- privileged ---- */

static uint32_t cpl0_only(struct em *e)
{
    uint32_t site = x64_site(e, SITE_BAIL);
    asm_alu_imm(&e->a, 1, 7, xm(ENV, e->be->l->cpl), 0);
    x64_bail_if(e, XNE, site);
    return site;
}

/* ---- flags ---- */

/* CLC, STC, CMC: cc 0, 1, 2. The host does the same for a jump that may follow. */
void x64_emit_set_cf(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (!x64_need(e)) {
        return;
    }
    if (u->cc < 2) {
        x64_over_begin(e, OVER_CF);
        emit_one(&a->count);
        asm_byte(a, u->cc ? 0xf9 : 0xf8);
        e->host_flags = e->host_flags == HF_ALL ? HF_ALL : HF_CF;
        x64_over_cf(e);
        return;
    }
    unsigned cc = x64_cond(e, XB);
    asm_setcc(a, cc ^ 1, xm(ENV, ENV_OFF(scratch)));
    x64_over_begin(e, OVER_CF);
    x64_load_cf(e, ENV_OFF(scratch));
    e->host_flags = HF_CF;
    x64_over_cf(e);
}

void x64_emit_lahf(struct em *e)
{
    x64_kill_reg(e, 0);
    x64_image(e);
    x64_put_high(e, 0, T0);
}

void x64_emit_sahf(struct em *e)
{
    if (x64_need(e)) {
        x64_over_begin(e, OVER_NONE);
        x64_get_high(e, 0, T0);
        x64_over_sahf(e, T0);
    }
    e->host_flags = HF_NONE;
}

void x64_emit_set_df(struct em *e)
{
    int32_t rflags = e->be->l->rflags;
    asm_op(&e->a, 4, 0x0fba, e->u->cc ? 5 : 6, xm(ENV, rflags), 0); /* bts, btr */
    asm_byte(&e->a, 10);
    e->host_flags = HF_NONE;
}

void x64_emit_pushf(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    x64_kill_reg(e, 4);
    x64_image(e);
    asm_store(a, 8, xm(ENV, ENV_OFF(scratch)), T0);
    struct xo at = x64_mem(e, &u->m, u->w, true, true);
    asm_load(a, 8, T1, xm(ENV, ENV_OFF(scratch)));
    asm_store(a, u->w, at, T1);
    x64_add_sp(e, -(int32_t)u->w);
}

/* What it may change at once: IF, DF and the arithmetic flags. The rest, and an interrupt that it
 * would let in, are the interpreter's. */
void x64_emit_popf(struct em *e)
{
    enum { IF = 0x200, DF = 0x400, OTHERS = 0x247100 }; /* TF IOPL NT AC ID */
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    struct xo rflags = xm(ENV, e->be->l->rflags);
    uint32_t site = cpl0_only(e);
    struct xo at = x64_mem(e, &u->m, u->w, false, true);
    asm_load(a, u->w, T1, at);
    asm_load(a, 4, T0, rflags);
    asm_alu(a, 4, 6, T0, xr(T1));
    asm_test_imm(a, 4, xr(T0), OTHERS);
    x64_bail_if(e, XNE, site);
    asm_test_imm(a, 4, xr(T1), IF);
    uint32_t closed = asm_jcc(a, XE);
    asm_alu_imm(a, 1, 7, xm(ENV, e->be->l->intr), 0);
    x64_bail_if(e, XNE, site);
    asm_here(a, closed);
    asm_alu_imm(a, 4, 4, xr(T0), IF | DF); /* what changes */
    asm_alu_to(a, 4, 6, rflags, T0);
    x64_set_recipe(e, CC_BITSO, 1);
    if (x64_need(e)) {
        asm_mov(a, 4, T0, T1);
        asm_shift(a, 4, 5, xr(T0), 3); /* OF */
        asm_alu_imm(a, 4, 4, xr(T0), 0x100);
        asm_shift(a, 4, 4, xr(T1), 8);
        x64_res_host(e, T1);
        asm_shift(a, 4, 5, xr(T1), 8);
        asm_alu_imm(a, 4, 4, xr(T1), 1);
        asm_alu(a, 4, 1, T0, xr(T1));
        asm_store(a, 4, xm(ENV, ENV_OFF(cc_cf)), T0);
    }
    x64_add_sp(e, u->w);
    e->host_flags = HF_NONE;
}

void x64_emit_pushseg(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    x64_kill_reg(e, 4);
    struct xo at = x64_mem(e, &u->m, u->w, true, true);
    asm_zx(a, 2, T1, xm(ENV, l->sel + u->dr * l->sel_size));
    asm_store(a, u->w, at, T1);
    x64_add_sp(e, -(int32_t)u->w);
}

/* ---- time ---- */

void x64_emit_rdtsc(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    x64_kill_reg(e, 0);
    x64_kill_reg(e, 2);
    if (u->cc) {
        x64_kill_reg(e, 1);
    }
    uint32_t site = x64_site(e, SITE_BAIL);
    asm_test_imm(a, 1, xm(ENV, l->cr4), 4); /* TSD: the interpreter looks at the privilege */
    x64_bail_if(e, XNE, site);
    /* what of the charge lies ahead, this instruction included */
    int32_t ahead = x64_refund(e) + e->src->part[u->part].charge - u->k;
    asm_load(a, 8, RAX, xm(ENV, ENV_OFF(tsc_units)));
    asm_alu(a, 8, 5, RAX, xm(ENV, l->budget));
    asm_alu_imm(a, 8, 5, xr(RAX), ahead);
    asm_un(a, 8, 4, xm(ENV, ENV_OFF(tsc_rate)));
    asm_alu(a, 8, 0, RAX, xm(ENV, ENV_OFF(tsc_frac)));
    asm_shift(a, 8, 5, xr(RAX), 16);
    asm_alu(a, 8, 0, RAX, xm(ENV, ENV_OFF(tsc)));
    asm_alu(a, 8, 0, RAX, xm(ENV, l->tsc_offset));
    asm_mov(a, 8, RDX, RAX);
    asm_shift(a, 8, 5, xr(RDX), 32);
    asm_mov(a, 4, RAX, RAX);
    if (u->cc) {
        asm_load(a, 4, RCX, xm(ENV, l->tsc_aux));
    }
    e->host_flags = HF_NONE;
}

/* ---- what kernels do ---- */

/* No interrupt waits while code runs with IF set, nor one that CLI could let in. */
void x64_emit_if(struct em *e)
{
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    uint32_t site = cpl0_only(e);
    if (e->u->op == U_CLI) {
        asm_alu_imm(a, 4, 4, xm(ENV, l->rflags), ~0x200);
    } else {
        asm_alu_imm(a, 1, 7, xm(ENV, l->intr), 0);
        x64_bail_if(e, XNE, site);
        asm_alu_imm(a, 4, 1, xm(ENV, l->rflags), 0x200);
    }
    e->host_flags = HF_NONE;
}

void x64_emit_swapgs(struct em *e)
{
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    cpl0_only(e);
    asm_load(a, 8, T0, xm(ENV, l->gs_base));
    asm_load(a, 8, T1, xm(ENV, l->kernel_gs_base));
    asm_store(a, 8, xm(ENV, l->kernel_gs_base), T0);
    asm_store(a, 8, xm(ENV, l->gs_base), T1);
    asm_store(a, 8, xm(ENV, l->segv + 5 * l->segv_size), T1); /* GS is number 5 */
    e->host_flags = HF_NONE;
}

/* The next block has other code in this mode, and another table of jumps. */
void x64_emit_setac(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    const int32_t ac = 0x40000, mode = (int32_t)u->imm;
    cpl0_only(e);
    asm_alu_imm(a, 4, u->cc ? 1 : 4, xm(ENV, l->rflags), u->cc ? ac : ~ac);
    asm_alu_imm(a, 4, u->cc ? 1 : 4, xm(ENV, l->mode), u->cc ? mode : ~mode);
    asm_store_imm(a, 4, xm(ENV, l->view), u->dr);
    e->host_flags = HF_NONE;
    x64_x87_spill(e);
    x64_spill_flags(e);
    x64_go_on(e);
}
