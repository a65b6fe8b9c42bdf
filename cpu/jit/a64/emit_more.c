/*
 * Operations behind U_LOOP: comparison and exchange, time, those of BMI2 and MOVBE that leave flags
 * alone, and scans for bits whose flags nobody wants. a64_has_more says which always are; the
 * others are the interpreter's.
 *
 * vCPUs take turns on one thread, so LOCK asks for nothing; what writes is checked as a write
 * before it reads.
 */
#include "cpu/jit/a64/a64.h"

bool a64_has_more(const struct uop *u)
{
    switch (u->op) {
    case U_CMPXCHG:
    case U_XADD:
    case U_RDTSC:
        return true;
    case U_MOVBE:
    case U_SHLX:
    case U_SARX:
    case U_SHRX:
    case U_MULX:
    case U_RORX:
        return u->w >= 4;
    default:
        return false;
    }
}

/* T0 = the destination's old value, zero-extended. */
static struct a64_loc old_value(struct em *e)
{
    const struct uop *u = e->u;
    struct a64_loc at = {0};
    if (u->dk == UK_MEM) {
        at = a64_mem(e, &u->m, u->w, true);
        a64_load(e, u->w, T0, at);
    } else {
        asm_zx(&e->a, u->w, T0, a64_host(u->dr));
    }
    return at;
}

/* An unequal CMPXCHG writes the old value back to memory, and leaves a register alone. */
static void cmpxchg(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned ax = a64_host(0), s = a64_host(u->sr), d = a64_host(u->dr);
    struct a64_loc at = old_value(e);
    a64_set_recipe(e, CC_CMP, u->w, u->w >= 4 ? NZ_SUB : NZ_SUBU);
    if (a64_need(e)) {
        a64_res_host(e, ax);
        a64_b_host(e, T0);
    }
    if (u->w >= 4) {
        asm_addsub(a, u->w, A_SUBS, XZR, ax, T0, A_LSL, 0);
        asm_mov(a, u->w, T2, s);
        asm_csel(a, 8, A_CSEL, T3, ax, T0, A_EQ);
    } else {
        asm_zx(a, u->w, P0, ax);
        asm_addsub(a, 4, A_SUBS, XZR, P0, T0, A_LSL, 0);
        asm_mov(a, 4, T2, s);
        asm_csel(a, 4, A_CSEL, T3, ax, T0, A_EQ);
    }
    if (u->dk == UK_MEM) {
        asm_csel(a, 8, A_CSEL, T2, T2, T0, A_EQ);
        a64_store(e, u->w, T2, at);
    }
    if (u->w >= 4) {
        asm_mov(a, 8, ax, T3);
    } else {
        a64_put(e, 0, u->w, T3);
    }
    if (u->dk != UK_MEM && u->w >= 4) {
        asm_csel(a, 8, A_CSEL, d, T2, d, A_EQ);
    } else if (u->dk != UK_MEM) {
        asm_csel(a, 4, A_CSEL, T2, T2, T0, A_EQ);
        a64_put(e, u->dr, u->w, T2);
    }
}

static void xadd(struct em *e)
{
    const struct uop *u = e->u;
    unsigned w = u->w < 4 ? 4 : u->w;
    bool flags = u->w >= 4 && a64_wanted(e) != WANT_NONE;
    struct a64_loc at = old_value(e);
    asm_addsub(&e->a, w, flags ? A_ADDS : A_ADD, T2, T0, a64_host(u->sr), A_LSL, 0);
    a64_set_recipe(e, CC_ADD, u->w, flags ? NZ_ADD : NZ_NONE);
    if (a64_need(e)) {
        a64_res_host(e, T2);
        a64_b_host(e, T0);
    }
    if (u->dk == UK_MEM) {
        a64_store(e, u->w, T2, at);
    }
    a64_put(e, u->sr, u->w, T0);
    if (u->dk != UK_MEM) { /* last, if they are the same */
        a64_put(e, u->dr, u->w, T2);
    }
}

static void rdtsc(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    a64_kill_reg(e, 0);
    a64_kill_reg(e, 2);
    if (u->cc) {
        a64_kill_reg(e, 1);
    }
    uint32_t site = a64_site(e, SITE_BAIL);
    a64_env_load(a, P0, l->cr4); /* TSD: the interpreter looks at the privilege */
    a64_leave_from(e, asm_tbz(a, true, P0, 2), site);
    /* what of the charge lies ahead, this instruction included */
    int32_t ahead = a64_refund(e) + e->src->part[u->part].charge - u->k;
    asm_mem_imm(a, 8, A_LD, T0, ENV, (uint32_t)ENV_OFF(tsc_units));
    asm_addsub(a, 8, A_SUB, T0, T0, BUDGET, A_LSL, 0);
    a64_add_const(a, 8, T0, T0, -(int64_t)ahead);
    asm_mem_imm(a, 8, A_LD, P0, ENV, (uint32_t)ENV_OFF(tsc_rate));
    asm_mem_imm(a, 8, A_LD, P1, ENV, (uint32_t)ENV_OFF(tsc_frac));
    asm_madd(a, 8, T0, T0, P0, P1);
    asm_mem_imm(a, 8, A_LD, P0, ENV, (uint32_t)ENV_OFF(tsc));
    asm_lsr(a, 8, T0, T0, 16);
    asm_addsub(a, 8, A_ADD, T0, T0, P0, A_LSL, 0);
    a64_env_load(a, P0, l->tsc_offset);
    asm_addsub(a, 8, A_ADD, T0, T0, P0, A_LSL, 0);
    asm_lsr(a, 8, a64_host(2), T0, 32);
    asm_mov(a, 4, a64_host(0), T0);
    if (u->cc) {
        a64_env_address(a, P0, l->tsc_aux);
        asm_mem_imm(a, 4, A_LD, a64_host(1), P0, 0);
    }
}

static void movbe(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->dk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->w, true);
        asm_rev(a, u->w, T2, a64_host(u->sr));
        a64_store(e, u->w, T2, at);
        return;
    }
    a64_kill_reg(e, u->dr);
    struct a64_loc at = a64_mem(e, &u->m, u->w, false);
    a64_load(e, u->w, T2, at);
    asm_rev(a, u->w, a64_host(u->dr), T2);
}

/* SHLX SARX SHRX MULX RORX. */
static void bmi(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = a64_host(u->dr), v = a64_host(u->vr), s = a64_host(u->sr), w = u->w;
    unsigned n = (unsigned)u->imm & (8 * w - 1);
    a64_kill_reg(e, u->dr);
    if (u->op == U_MULX) {
        a64_kill_reg(e, u->vr);
    }
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, w, false);
        a64_load(e, w, T2, at);
        s = T2;
    }
    switch (u->op) {
    case U_RORX:
        asm_extr(a, w, d, s, s, n);
        break;
    case U_MULX: /* the high half stays if both are one register */
        if (w == 8) {
            asm_mulh(a, false, T0, a64_host(2), s);
            asm_madd(a, 8, v, a64_host(2), s, XZR);
            asm_mov(a, 8, d, T0);
        } else {
            asm_mull(a, false, T0, a64_host(2), s);
            asm_mov(a, 4, v, T0);
            asm_lsr(a, 8, d, T0, 32);
        }
        break;
    default:
        asm_two(a, w, u->op == U_SHLX ? A_LSLV : u->op == U_SARX ? A_ASRV : A_LSRV, d, s, v);
        break;
    }
}

/* Only where nobody looks at its flags, which have no recipe here. A source of 0 leaves the
 * destination of BSF and BSR alone. */
static bool scan(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = a64_host(u->dr), s = a64_host(u->sr), w = u->w, op = u->op;
    uint32_t zero = 0;
    if (a64_need(e) || w < 4 || u->dk != UK_REG || (u->sk != UK_REG && u->sk != UK_MEM)) {
        return false;
    }
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, w, false);
        a64_load(e, w, T2, at);
        s = T2;
    }
    if (op == U_BSF || op == U_BSR) {
        zero = asm_cbz(a, w, false, s);
    }
    if (op == U_TZCNT || op == U_BSF) {
        asm_rbit(a, w, d, s);
        s = d;
    }
    asm_clz(a, w, d, s);
    if (op == U_BSR) {
        asm_logic_imm(a, w, A_EOR, d, d, 8 * w - 1);
    }
    if (zero) {
        asm_here(a, zero);
    }
    e->nz = NZ_NONE;
    return true;
}

bool a64_emit_more(struct em *e)
{
    if (e->u->op >= U_BSF && e->u->op <= U_LZCNT) {
        return scan(e);
    }
    if (!a64_has_more(e->u)) {
        return false;
    }
    switch (e->u->op) {
    case U_CMPXCHG:
        cmpxchg(e);
        break;
    case U_XADD:
        xadd(e);
        break;
    case U_RDTSC:
        rdtsc(e);
        break;
    case U_MOVBE:
        movbe(e);
        break;
    default:
        bmi(e);
        break;
    }
    return true;
}
