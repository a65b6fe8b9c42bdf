/*
 * Moves: between registers and memory, extensions, addresses, conditional moves, exchanges, the
 * accumulator's sign, the stack.
 *
 * None of them changes flags; those that overwrite a register of the pending recipe save it first
 * (a64_kill_reg). A source in bits 15:8 of a register comes through T2, a value from memory that
 * does not fill its register through T0.
 */
#include "cpu/jit/a64/a64.h"

/* The current source in a register; an immediate too. */
static unsigned any_src(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk != UK_IMM) {
        return a64_src(e, T2);
    }
    uint64_t v = (uint64_t)u->imm;
    v = u->w == 8 ? v : v & ((UINT64_C(1) << (8 * u->w)) - 1);
    if (v == 0) {
        return XZR;
    }
    asm_const(&e->a, T2, v);
    return T2;
}

static void mov(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->dk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->w, true);
        a64_store(e, u->w, any_src(e), at);
        return;
    }
    a64_kill_reg(e, u->dr);
    unsigned d = a64_host(u->dr);
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->w, false);
        if (u->dk == UK_REG && u->w >= 4) {
            a64_load(e, u->w, d, at);
            return;
        }
        a64_load(e, u->w, T0, at);
        if (u->dk == UK_REGH) {
            a64_put_high(e, u->dr, T0);
        } else {
            a64_put(e, u->dr, u->w, T0);
        }
        return;
    }
    if (u->dk == UK_REGH) {
        a64_put_high(e, u->dr, any_src(e));
    } else if (u->sk == UK_IMM && u->w >= 4) {
        asm_const(a, d, u->w == 4 ? (uint32_t)u->imm : (uint64_t)u->imm);
    } else if (u->sk == UK_IMM && u->w == 2) {
        asm_movw(a, 8, A_MOVK, d, (uint32_t)u->imm, 0);
    } else if (u->w >= 4) {
        asm_mov(a, u->w, d, any_src(e));
    } else {
        a64_put(e, u->dr, u->w, any_src(e));
    }
}

/* sw bytes to w; the rest of the register stays if w is 2. */
static void extend(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool sx = u->op == U_MOVSX;
    a64_kill_reg(e, u->dr);
    unsigned d = u->w >= 4 ? a64_host(u->dr) : T0;
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->sw, false);
        unsigned op = !sx || u->sw == u->w ? A_LD : u->w == 8 ? A_LDS8 : u->sw == 4 ? A_LD : A_LDS4;
        a64_access(e, u->sw, op, d, at);
    } else {
        unsigned s = a64_host(u->sr), lsb = u->sk == UK_REGH ? 8 : 0;
        if (u->sw == 4 && !(sx && u->w == 8)) {
            asm_mov(a, 4, d, s);
        } else {
            asm_bitfield(a, sx && u->w == 8 ? 8 : 4, sx ? A_SBFM : A_UBFM, d, s, lsb,
                         lsb + 8u * u->sw - 1);
        }
    }
    if (d == T0) {
        a64_put(e, u->dr, u->w, T0);
    }
}

static void lea(struct em *e)
{
    const struct uop *u = e->u;
    struct uop_mem m = u->m;
    unsigned d = a64_host(u->dr);
    a64_kill_reg(e, u->dr);
    if (u->w < 4 || m.asz < 4) {
        a64_put(e, u->dr, u->w, a64_ea(e, &m, T1));
        return;
    }
    m.asz = u->w == 4 ? 4 : m.asz; /* the lower half of the sum is the sum of the lower halves */
    unsigned at = a64_ea(e, &m, d);
    if (at != d) {
        asm_mov(&e->a, 8, d, at);
    }
}

/* ---- conditions, exchanges, the accumulator ---- */

static void cmov(struct em *e)
{
    const struct uop *u = e->u;
    unsigned d = a64_host(u->dr), s = a64_host(u->sr);
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->w, false);
        a64_load(e, u->w, T2, at);
        s = T2;
    }
    unsigned cc = a64_cond_nzcv(e, u->cc);
    a64_kill_reg(e, u->dr);
    if (u->w >= 4) {
        asm_csel(&e->a, u->w, A_CSEL, d, s, d, cc);
    } else {
        asm_csel(&e->a, 4, A_CSEL, T0, s, d, cc);
        a64_put(e, u->dr, u->w, T0);
    }
}

static void setcc(struct em *e)
{
    const struct uop *u = e->u;
    if (u->dk != UK_MEM) {
        a64_kill_reg(e, u->dr);
    }
    asm_cset(&e->a, T0, a64_cond_nzcv(e, u->cc));
    if (u->dk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, 1, true);
        a64_store(e, 1, T0, at);
    } else if (u->dk == UK_REGH) {
        a64_put_high(e, u->dr, T0);
    } else {
        a64_put(e, u->dr, 1, T0);
    }
}

static bool xchg(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk != UK_REG || u->dk == UK_REGH) {
        return false;
    }
    a64_kill_reg(e, u->sr);
    if (u->dk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->w, true);
        a64_load(e, u->w, T0, at);
        a64_store(e, u->w, a64_host(u->sr), at);
        a64_put(e, u->sr, u->w, T0);
        return true;
    }
    a64_kill_reg(e, u->dr);
    asm_mov(&e->a, 8, T0, a64_host(u->dr));
    asm_mov(&e->a, 8, T2, a64_host(u->sr));
    a64_put(e, u->dr, u->w, T2);
    a64_put(e, u->sr, u->w, T0);
    return true;
}

/* CWD: rDX = sign of rAX. CBW: rAX = its lower half, sign-extended. */
static void sign(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned ax = a64_host(0), dx = a64_host(2);
    a64_kill_reg(e, u->op == U_CWD ? 2 : 0);
    if (u->op == U_CWD) {
        if (u->w >= 4) {
            asm_asr(a, u->w, dx, ax, 8u * u->w - 1);
        } else {
            asm_sbfx(a, 4, T0, ax, 15, 1);
            a64_put(e, 2, 2, T0);
        }
    } else if (u->w >= 4) {
        asm_sbfx(a, u->w, ax, ax, 0, 4u * u->w);
    } else {
        asm_sbfx(a, 4, T0, ax, 0, 8);
        a64_put(e, 0, 2, T0);
    }
}

/* ---- the stack ---- */

static void add_sp(struct em *e, unsigned from, int32_t n)
{
    a64_add_const(&e->a, e->src->bits == 64 ? 8 : 4, a64_host(4), from, n);
}

static void push(struct em *e)
{
    const struct uop *u = e->u;
    a64_kill_reg(e, 4);
    if (u->sk == UK_MEM) {
        struct uop_mem stack = {
            .base = 4, .index = UR_NONE, .asz = e->src->bits == 64 ? 8 : 4, .disp = -(int64_t)u->w};
        a64_load(e, u->w, T2, a64_mem(e, &u->m, u->w, false));
        a64_store(e, u->w, T2, a64_mem(e, &stack, u->w, true));
        add_sp(e, a64_host(4), -(int32_t)u->w);
        return;
    }
    struct a64_loc at = a64_mem(e, &u->m, u->w, true);
    a64_store(e, u->w, any_src(e), at);
    if (at.index == T1 && u->m.segm == US_FLAT) {
        asm_mov(&e->a, 8, a64_host(4), T1); /* the address is the new one */
    } else {
        add_sp(e, a64_host(4), -(int32_t)u->w);
    }
}

static void pop(struct em *e)
{
    const struct uop *u = e->u;
    a64_kill_reg(e, 4);
    a64_kill_reg(e, u->dr);
    struct a64_loc at = a64_mem(e, &u->m, u->w, false);
    if (u->dr == 4 || u->w < 4) {
        a64_load(e, u->w, T0, at);
        add_sp(e, a64_host(4), u->w);
        a64_put(e, u->dr, u->w, T0);
    } else {
        a64_load(e, u->w, a64_host(u->dr), at);
        add_sp(e, a64_host(4), u->w);
    }
}

static void leave(struct em *e)
{
    const struct uop *u = e->u;
    a64_kill_reg(e, 4);
    a64_kill_reg(e, 5);
    struct a64_loc at = a64_mem(e, &u->m, u->w, false);
    a64_load(e, u->w, T0, at);
    add_sp(e, a64_host(5), u->w);
    a64_put(e, 5, u->w, T0);
}

bool a64_emit_move(struct em *e)
{
    const struct uop *u = e->u;
    switch (u->op) {
    case U_MOV:
        mov(e);
        return true;
    case U_MOVZX:
    case U_MOVSX:
        extend(e);
        return true;
    case U_LEA:
        lea(e);
        return true;
    case U_CMOV:
        cmov(e);
        return true;
    case U_SETCC:
        setcc(e);
        return true;
    case U_XCHG:
        return xchg(e);
    case U_BSWAP:
        a64_kill_reg(e, u->dr);
        asm_rev(&e->a, u->w, a64_host(u->dr), a64_host(u->dr));
        return true;
    case U_CWD:
    case U_CBW:
        sign(e);
        return true;
    case U_PUSH:
        push(e);
        return true;
    case U_POP:
        pop(e);
        return true;
    case U_LEAVE:
        leave(e);
        return true;
    default:
        return false;
    }
}
