/*
 * Shifts and rotates, multiplication and division, single bits.
 *
 * What changes only some flags (rotates, BT) leaves the pending recipe, in memory, and puts its own
 * beside it (enum jit_over). A shift by CL may change none: the old recipe goes to memory first.
 * The host's shifts by register use the count modulo 32 or 64, as x86's do.
 */
#include "cpu/jit/a64/a64.h"

static unsigned shift_kind(unsigned op)
{
    return op == U_SHL ? CC_SHL : op == U_SHR ? CC_SHR : CC_SAR;
}

/* ---- shifts ---- */

/* d = x rotated right by n bits, 0 < n < 8w; for w of 1 and 2 with garbage above. */
static void rotate_right(struct em *e, unsigned w, unsigned d, unsigned x, unsigned n)
{
    struct asmbuf *a = &e->a;
    if (w >= 4) {
        asm_extr(a, w, d, x, x, n);
        return;
    }
    asm_zx(a, w, d, x);
    asm_logic_x(a, 4, A_ORR, false, d, d, d, A_LSL, 8 * w);
    asm_lsr(a, 4, d, d, n);
}

/* d = x shifted by n; n < 8w. CF, if asked for, to its slot. */
static void shift(struct em *e, unsigned w, unsigned d, unsigned x, unsigned n, bool carry)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned hw = w < 4 ? 4 : w;
    if (carry) {
        asm_ubfx(a, hw, P0, x, u->op == U_SHL ? 8 * w - n : n - 1, 1);
        a64_store_cf(e, P0);
    }
    switch (u->op) {
    case U_SHL:
        asm_lsl(a, hw, d, x, n);
        break;
    case U_SHR:
        asm_ubfx(a, hw, d, x, n, 8 * w - n);
        break;
    default:
        asm_sbfx(a, hw, d, x, n, 8 * w - n);
        break;
    }
}

static bool shift_imm(struct em *e)
{
    const struct uop *u = e->u;
    unsigned n = (unsigned)u->imm & (u->w == 8 ? 63 : 31), bits = 8u * u->w;
    bool rotate = u->op == U_ROL || u->op == U_ROR, need = a64_need(e), rec = need && !rotate;
    if (u->dk == UK_REGH || (!rotate && n >= bits)) {
        return false;
    }
    if (rotate && need) { /* the other flags stay */
        a64_spill_flags(e);
    }
    /* The bail in front of a memory destination must find cc_cf as the pending recipe has it; the
     * new carry is written behind the check. */
    struct a64_loc at = {0};
    unsigned x = a64_host(u->dr), d = u->w >= 4 ? x : T0;
    if (u->dk == UK_MEM) {
        at = a64_mem(e, &u->m, u->w, true);
        x = d = T0;
        a64_load(e, u->w, T0, at);
    }
    if (rotate) {
        unsigned right = u->op == U_ROR ? n % bits : (bits - n % bits) % bits;
        if (right) {
            rotate_right(e, u->w, d, x, right);
        } else if (d != x) {
            asm_mov(&e->a, 8, d, x);
        } else if (u->w == 4 && u->dk == UK_REG) {
            asm_mov(&e->a, 4, d, d);
        }
        if (need) {
            a64_over(e, u->op == U_ROL ? OVER_ROL : OVER_ROR, d);
            e->nz = NZ_NONE; /* C and V are others' now */
        }
    } else {
        shift(e, u->w, d, x, n, rec);
        a64_set_recipe(e, shift_kind(u->op), u->w, NZ_NONE);
        a64_b_imm(e, n);
    }
    if (u->dk == UK_MEM) {
        a64_store(e, u->w, T0, at);
    } else if (d == T0) {
        a64_put(e, u->dr, u->w, T0);
    }
    if (rec && u->dk == UK_MEM) {
        a64_res_host(e, T0);
    } else if (rec) {
        a64_res_reg(e, u->dr);
    }
    return true;
}

/* By CL, on a register. A count of zero leaves the flags: the old ones go to memory first. */
static bool shift_cl(struct em *e)
{
    static const uint8_t ops[] = {A_LSLV, A_LSRV, A_ASRV, A_RORV, A_RORV};
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = a64_host(u->dr), cl = a64_host(1), op = ops[u->op - U_SHL], w = u->w;
    bool rotate = u->op == U_ROL || u->op == U_ROR;
    if (u->dk != UK_REG || w < 4 || (a64_need(e) && rotate)) {
        return false;
    }
    if (!a64_need(e)) {
        if (u->op == U_ROL) {
            asm_addsub(a, 4, A_SUB, P0, XZR, cl, A_LSL, 0);
            cl = P0;
        }
        asm_two(a, w, op, d, d, cl);
        return true;
    }
    a64_spill_flags(e);
    /* T0 = count, T2 = the result of a shift by one less: its last bit at the end is CF. */
    asm_logic_imm(a, 4, A_AND, T0, cl, w == 8 ? 63 : 31);
    asm_addsub_imm(a, 4, A_SUB, T2, T0, 1);
    asm_two(a, w, op, T2, d, T2);
    asm_two(a, w, op, d, d, T0);
    uint32_t none = asm_cbz(a, 4, false, T0);
    asm_ubfx(a, w, T2, T2, u->op == U_SHL ? 8 * w - 1 : 0, 1);
    a64_store_cf(e, T2);
    asm_pair(a, false, d, T0, ENV, ENV_OFF(cc_res));
    asm_const(a, P0, shift_kind(u->op) << 2 | asm_log2(w));
    asm_mem_imm(a, 4, A_ST, P0, ENV, (uint32_t)ENV_OFF(cc_op));
    asm_here(a, none);
    e->nz = NZ_NONE;
    return true;
}

/* ---- multiplication ---- */

/* cc_cf = do NZCV say NE. */
static void overflow_ne(struct em *e)
{
    asm_cset(&e->a, P0, A_NE);
    a64_store_cf(e, P0);
}

/* d = x * y at width w; CF and OF, if need be: does the sign-extended result differ? */
static void multiply(struct em *e, unsigned d, unsigned x, unsigned y, bool need)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (!need) {
        asm_madd(a, u->w == 8 ? 8 : 4, d, x, y, XZR);
        return;
    }
    if (u->w == 8) {
        asm_mulh(a, true, T3, x, y);
        asm_madd(a, 8, d, x, y, XZR);
        asm_addsub(a, 8, A_SUBS, XZR, T3, d, A_ASR, 63);
    } else if (u->w == 4) {
        asm_mull(a, true, T3, x, y);
        asm_mov(a, 4, d, T3);
        asm_addsub_ext(a, 8, A_SUBS, XZR, T3, T3, A_SXTW, 0);
    } else {
        asm_sbfx(a, 4, T3, x, 0, 16);
        asm_sbfx(a, 4, d, y, 0, 16);
        asm_madd(a, 4, d, T3, d, XZR);
        asm_addsub_ext(a, 4, A_SUBS, XZR, d, d, A_SXTH, 0);
    }
    overflow_ne(e);
}

static bool imul(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool three = u->attr & UF_THREE, need = a64_need(e);
    unsigned d = a64_host(u->dr), s = a64_host(u->sr), other = d;
    if (u->w == 1) {
        return false;
    }
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->w, false);
        a64_load(e, u->w, T2, at);
        s = T2;
    }
    if (three) {
        asm_const(a, LINK, (uint64_t)u->imm);
        other = LINK;
    }
    multiply(e, u->w == 2 ? T0 : d, other, s, need);
    if (u->w == 2) {
        a64_put(e, u->dr, 2, T0);
    }
    a64_set_recipe(e, CC_MUL, u->w, NZ_NONE);
    a64_res_reg(e, u->dr);
    return true;
}

static bool mul1(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned ax = a64_host(0), dx = a64_host(2), s = a64_host(u->sr);
    bool sx = u->op == U_IMUL1, need = a64_need(e);
    if (u->w < 4 || u->sk == UK_REGH) {
        return false;
    }
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->w, false);
        a64_load(e, u->w, T2, at);
        s = T2;
    }
    if (u->w == 8) {
        asm_mulh(a, sx, T3, ax, s);
        asm_madd(a, 8, ax, ax, s, XZR);
        asm_mov(a, 8, dx, T3);
        if (need) {
            asm_addsub(a, 8, A_SUBS, XZR, dx, sx ? ax : XZR, A_ASR, sx ? 63 : 0);
        }
    } else {
        asm_mull(a, sx, T3, ax, s);
        asm_mov(a, 4, ax, T3);
        asm_lsr(a, 8, dx, T3, 32);
        if (need && sx) {
            asm_addsub_ext(a, 8, A_SUBS, XZR, T3, T3, A_SXTW, 0);
        } else if (need) {
            asm_addsub_imm(a, 4, A_SUBS, XZR, dx, 0);
        }
    }
    if (need) {
        overflow_ne(e);
    }
    a64_set_recipe(e, CC_MUL, u->w, NZ_NONE);
    a64_res_reg(e, 0);
    return true;
}

/* ---- division: what cannot fault, and in 8 bytes only of a dividend that fits; others bail ----
 */

static bool divide(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned ax = a64_host(0), dx = a64_host(2), s = a64_host(u->sr), w = u->w;
    if (w < 4) {
        return false;
    }
    a64_kill_reg(e, 0);
    a64_kill_reg(e, 2);
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, w, false);
        a64_load(e, w, T2, at);
        s = T2;
    }
    uint32_t site = a64_site(e, SITE_BAIL);
    if (u->op == U_DIV && w == 8) {
        a64_leave_from(e, asm_cbz(a, 8, true, dx), site);
        a64_leave_from(e, asm_cbz(a, 8, false, s), site);
        asm_two(a, 8, A_UDIV, T0, ax, s);
    } else if (u->op == U_DIV) {
        asm_addsub(a, 4, A_SUBS, XZR, dx, s, A_LSL, 0);
        a64_leave_from(e, asm_bcond(a, A_CS), site);
        asm_mov(a, 4, T1, ax);
        asm_bfi(a, 8, T1, dx, 32, 32);
        asm_mov(a, 4, T3, s);
        asm_two(a, 8, A_UDIV, T0, T1, T3);
        asm_msub(a, 8, dx, T0, T3, T1);
        asm_mov(a, 4, ax, T0);
        e->nz = NZ_NONE;
        return true;
    } else { /* rDX is the sign of rAX and the divisor neither 0 nor -1: the quotient fits */
        asm_addsub(a, w, A_SUBS, XZR, dx, ax, A_ASR, 8 * w - 1);
        a64_leave_from(e, asm_bcond(a, A_NE), site);
        asm_addsub_imm(a, w, A_ADD, T0, s, 1);
        asm_addsub_imm(a, w, A_SUBS, XZR, T0, 1);
        a64_leave_from(e, asm_bcond(a, A_LS), site);
        asm_two(a, w, A_SDIV, T0, ax, s);
        e->nz = NZ_NONE;
    }
    if (s == dx) {
        asm_mov(a, 8, T2, s);
        s = T2;
    }
    asm_msub(a, w, dx, T0, s, ax);
    asm_mov(a, w, ax, T0);
    return true;
}

/* ---- bits ---- */

/* T2 = 1 << (the bit number), T3 = bit of x in bit 0. */
static void variable_bit(struct em *e, unsigned x)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned hw = u->w == 8 ? 8 : 4, n = a64_host(u->sr);
    if (u->w == 2) {
        asm_ubfx(a, 4, P0, n, 0, 4);
        n = P0;
    }
    asm_two(a, hw, A_LSRV, T3, x, n);
    if (u->sw) {
        asm_movw(a, 8, A_MOVZ, T2, 1, 0);
        asm_two(a, hw, A_LSLV, T2, T2, n);
    }
}

/* d = x with the bit (imm, or mask T2) set, reset or complemented. */
static void change_bit(struct em *e, unsigned d, unsigned x, unsigned bit)
{
    static const uint8_t ops[] = {0, A_ORR, A_AND, A_EOR};
    const struct uop *u = e->u;
    unsigned hw = u->w == 8 ? 8 : 4;
    uint64_t v = UINT64_C(1) << bit;
    if (u->sk == UK_IMM) {
        asm_logic_imm(&e->a, hw, ops[u->sw], d, x, u->sw == 2 ? ~v : v);
    } else {
        asm_logic_x(&e->a, hw, ops[u->sw], u->sw == 2, d, x, T2, A_LSL, 0);
    }
}

/* Bit s of d; a memory operand only with an immediate, which stays inside it. */
static bool bit_test(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned bit = (unsigned)u->imm & (8u * u->w - 1), x = a64_host(u->dr);
    struct a64_loc at = {0};
    if (u->w == 1 || u->sk == UK_REGH || (u->dk == UK_MEM && u->sk != UK_IMM)) {
        return false;
    }
    a64_spill_flags(e);
    if (!e->over_clean && a64_need(e)) {
        /* A rotate's OF may stand where CF is going to. */
        asm_mem_imm(a, 1, A_LD, P0, ENV, (uint32_t)ENV_OFF(cc_op) + 1);
        a64_vec_drop(e); /* on both ways */
        uint32_t clean = asm_cbz(a, 4, false, P0);
        asm_const(a, P0, 16);
        asm_bl_to(a, e->be->cond);
        asm_here(a, clean);
    }
    if (u->dk == UK_MEM) {
        at = a64_mem(e, &u->m, u->w, u->sw != 0);
        x = T0;
        a64_load(e, u->w, T0, at);
    }
    if (u->sk == UK_IMM) {
        asm_ubfx(a, u->w == 8 ? 8 : 4, T3, x, bit, 1);
    } else {
        variable_bit(e, x);
    }
    if (u->sw) {
        unsigned d = u->dk == UK_REG && u->w >= 4 ? x : T0;
        change_bit(e, d, x, bit);
        if (u->dk == UK_MEM) {
            a64_store(e, u->w, T0, at);
        } else if (d == T0) {
            a64_put(e, u->dr, u->w, T0);
        }
    }
    e->nz = NZ_NONE;
    if (a64_need(e)) {
        if (a64_wanted(e) >> 1 == 1) { /* for a look at CF soon: C = the bit */
            asm_logic_imm(a, 4, A_AND, T3, T3, 1);
            asm_addsub_imm(a, 4, A_SUBS, XZR, T3, 1);
            e->nz = NZ_CF;
        }
        a64_over(e, OVER_CF, T3);
        e->over_clean = true; /* another of its kind may replace it */
    }
    return true;
}

bool a64_emit_bits(struct em *e)
{
    switch (e->u->op) {
    case U_SHL:
    case U_SHR:
    case U_SAR:
    case U_ROL:
    case U_ROR:
        return e->u->sk == UK_IMM ? shift_imm(e) : shift_cl(e);
    case U_IMUL:
        return imul(e);
    case U_MUL1:
    case U_IMUL1:
        return mul1(e);
    case U_DIV:
    case U_IDIV:
        return divide(e);
    case U_BT:
        return bit_test(e);
    default:
        return false;
    }
}
