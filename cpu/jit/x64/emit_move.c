/*
 * Moves: between registers and memory, extensions, addresses, conditional moves, exchanges, the
 * accumulator's sign, the stack.
 *
 * None of them changes flags; those that overwrite a register of the pending recipe save it first
 * (x64_kill_reg). A source in bits 15:8 of a register comes through T1.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

/* ---- moves ---- */

static void mov_to_mem(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    struct xo at = x64_mem(e, &u->m, u->w, true, u->sk == UK_REGH || x64_host(u->sr) == RNONE);
    if (u->sk == UK_IMM) {
        asm_store_imm(a, u->w, at, (int32_t)u->imm);
    } else if (u->sk == UK_REGH) {
        x64_get_high(e, u->sr, T1);
        asm_store(a, 1, at, T1);
    } else {
        asm_store(a, u->w, at, x64_get(e, u->sr, T1));
    }
}

bool x64_emit_mov(struct em *e)
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
            x64_get_high(e, u->sr, T1);
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
        x64_get_high(e, u->sr, T1);
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

void x64_emit_extend(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, u->dr);
    unsigned d = x64_host(u->dr);
    unsigned dst = d != RNONE ? d : T1;
    if (u->sk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->sw, false, false);
        extend(e, dst, at);
    } else if (u->sk == UK_REGH) {
        x64_get_high(e, u->sr, T1);
        extend(e, dst, xr(T1));
    } else {
        extend(e, dst, x64_gpr(e, u->sr));
    }
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
}

void x64_emit_lea(struct em *e)
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

/* ---- conditions, exchanges, the accumulator ---- */

bool x64_emit_cmov(struct em *e)
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

void x64_emit_setcc(struct em *e)
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

bool x64_emit_xchg(struct em *e)
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

void x64_emit_bswap(struct em *e)
{
    const struct uop *u = e->u;
    unsigned d = x64_host(u->dr), reg = d != RNONE ? d : T1;
    x64_kill_reg(e, u->dr);
    if (d == RNONE) {
        asm_load(&e->a, 8, T1, x64_gpr(e, u->dr));
    }
    emit_one(&e->a.count);
    asm_byte(&e->a, 0x40 | (u->w == 8 ? 8u : 0) | (reg >= 8 ? 1u : 0));
    asm_byte(&e->a, 0x0f);
    asm_byte(&e->a, 0xc8 | (reg & 7));
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
}

/* CWD and CBW: the host's own. */
void x64_emit_sign(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, u->op == U_CWD ? 2 : 0);
    emit_one(&e->a.count);
    if (u->w == 2) {
        asm_byte(&e->a, 0x66);
    } else if (u->w == 8) {
        asm_byte(&e->a, 0x48);
    }
    asm_byte(&e->a, u->op == U_CWD ? 0x99 : 0x98);
}

/* ---- the stack ---- */

void x64_add_sp(struct em *e, int32_t n)
{
    unsigned sp = x64_host(4);
    if (e->src->sp_bits == 16) { /* keeps the host's flags, and T1 */
        asm_lea(&e->a, 4, T0, xm(sp, n));
        asm_mov(&e->a, 2, sp, T0);
    } else {
        asm_lea(&e->a, e->src->sp_bits / 8, sp, xm(sp, n));
    }
}

/* Both checks come before RSP changes. */
static void push_mem(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    struct uop_mem stack = {.base = 4,
                            .index = UR_NONE,
                            .asz = e->src->sp_bits / 8,
                            .segm = e->src->sp_segm,
                            .seg = 2,
                            .disp = -(int64_t)u->w};
    struct xo from = x64_mem(e, &u->m, u->w, false, false);
    asm_load(a, u->w, T1, from);
    asm_store(a, 8, xm(ENV, ENV_OFF(scratch)), T1);
    struct xo at = x64_mem(e, &stack, u->w, true, true);
    asm_load(a, 8, T1, xm(ENV, ENV_OFF(scratch)));
    asm_store(a, u->w, at, T1);
    x64_add_sp(e, -(int32_t)u->w);
}

bool x64_emit_push(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    x64_kill_reg(e, 4);
    if (u->sk == UK_MEM) {
        push_mem(e);
        return true;
    }
    struct xo at = x64_mem(e, &u->m, u->w, true, true);
    if (u->sk == UK_IMM) {
        asm_store_imm(a, u->w, at, (int32_t)u->imm);
    } else {
        asm_store(a, u->w, at, x64_get(e, u->sr, T1));
    }
    x64_add_sp(e, -(int32_t)u->w);
    return true;
}

void x64_emit_pop(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, 4);
    x64_kill_reg(e, u->dr);
    struct xo at = x64_mem(e, &u->m, u->w, false, false);
    asm_load(&e->a, u->w, T1, at);
    x64_add_sp(e, u->w);
    x64_put(e, u->dr, u->w, T1);
}

void x64_emit_leave(struct em *e)
{
    const struct uop *u = e->u;
    x64_kill_reg(e, 4);
    x64_kill_reg(e, 5);
    struct xo at = x64_mem(e, &u->m, u->w, false, false);
    asm_load(&e->a, u->w, T1, at);
    asm_lea(&e->a, e->src->bits == 64 ? 8 : 4, x64_host(4), xm(x64_host(5), u->w));
    asm_mov(&e->a, u->w, x64_host(5), T1);
}
