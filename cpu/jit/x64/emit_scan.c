/*
 * Scans and counts of bits, CRC32, byte order, BMI1 and BMI2.
 *
 * The host's own instructions, where it has them: be->has, asked once by CPUID. BSF and BSR are
 * emitted so that a source of zero leaves the destination on every host.
 */
#include <stddef.h>

#include "cpu/jit/x64/asm_vec.h"
#include "cpu/jit/x64/host.h"
#include "cpu/jit/x64/x64.h"

enum {
    HAS_POPCNT = 1u << 0,
    HAS_LZCNT = 1u << 1,
    HAS_BMI1 = 1u << 2,
    HAS_BMI2 = 1u << 3,
    HAS_CRC32 = 1u << 4,
    HAS_CX16 = 1u << 5,
};

uint32_t x64_host_has(void)
{
    uint32_t has = 0;
#if defined(__x86_64__)
    uint32_t c = host_cpuid(1).c, b = host_cpuid(0).a >= 7 ? host_cpuid(7).b : 0;
    has |= (c >> 23 & 1 ? HAS_POPCNT : 0) | (c >> 20 & 1 ? HAS_CRC32 : 0);
    has |= c >> 13 & 1 ? HAS_CX16 : 0;
    has |= (b >> 3 & 1 ? HAS_BMI1 : 0) | (b >> 8 & 1 ? HAS_BMI2 : 0);
    if (host_cpuid(0x80000000).a > 0x80000000) {
        has |= host_cpuid(0x80000001).c >> 5 & 1 ? HAS_LZCNT : 0;
    }
#endif
    return has;
}

static bool host_has(const struct em *e, uint32_t what)
{
    return (e->be->has & what) == what;
}

bool x64_has_bmi2(const struct jit_backend *be)
{
    return be->has & HAS_BMI2;
}

bool x64_has_cx16(const struct em *e)
{
    return host_has(e, HAS_CX16);
}

/* The source as an operand; T0 and T1 may be part of it. */
static struct xo source(struct em *e, unsigned w)
{
    const struct uop *u = e->u;
    if (u->sk == UK_MEM) {
        return x64_mem(e, &u->m, w, false, false);
    } else if (u->sk == UK_REGH) {
        x64_get_high(e, u->sr, T1);
        return xr(T1);
    }
    return x64_gpr(e, u->sr);
}

/* ---- scans and counts ---- */

static void scan(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = x64_host(u->dr), w = u->w == 2 ? 2 : 8;
    x64_kill_reg(e, u->dr);
    asm_op(a, u->w, u->op == U_BSF ? 0x0fbc : 0x0fbd, T1, source(e, u->w), 0);
    if (d == RNONE) {
        asm_load(a, 8, T0, x64_gpr(e, u->dr));
    }
    asm_op(a, w, 0x0f45, d != RNONE ? d : T0, xr(T1), 0); /* cmovne */
    if (d == RNONE) {
        asm_store(a, 8, x64_gpr(e, u->dr), T0);
    }
    e->host_flags = HF_ZF;
    if (x64_need(e)) {
        x64_over_zf(e);
    }
}

static bool count(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = x64_host(u->dr);
    bool pop = u->op == U_POPCNT;
    if (!host_has(e, pop ? HAS_POPCNT : u->op == U_TZCNT ? HAS_BMI1 : HAS_LZCNT)) {
        return false;
    }
    if (x64_need(e) && !pop) {
        x64_over_begin(e, OVER_CF);
    }
    struct xo s = source(e, u->w);
    asm_byte(a, 0xf3);
    asm_op(a, u->w, pop ? 0x0fb8 : u->op == U_TZCNT ? 0x0fbc : 0x0fbd, d != RNONE ? d : T1, s, 0);
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
    if (pop) {
        x64_set_recipe(e, CC_ZF, u->w);
        x64_res_reg(e, u->dr);
        e->host_flags = HF_ALL;
    } else {
        e->host_flags = HF_CF | HF_ZF;
        if (x64_need(e)) {
            x64_over_cf(e);
            x64_over_zf(e);
        }
    }
    return true;
}

bool x64_emit_scan(struct em *e)
{
    if (e->u->op == U_BSF || e->u->op == U_BSR) {
        scan(e);
        return true;
    }
    return count(e);
}

bool x64_emit_crc32(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = x64_host(u->dr);
    if (!host_has(e, HAS_CRC32) || d == RNONE) {
        return false;
    }
    x64_kill_reg(e, u->dr);
    struct xo s = source(e, u->sw);
    if (u->sw == 2) {
        asm_byte(a, 0x66);
    }
    asm_byte(a, 0xf2);
    asm_op(a, u->sw == 8 ? 8 : 4, u->sw == 1 ? 0x0f38f0 : 0x0f38f1, d, s, u->sw == 1 ? XB_RM : 0);
    return true;
}

/* ---- byte order ---- */

/* The bytes of T1 turned around. */
static void turn(struct em *e, unsigned w)
{
    struct asmbuf *a = &e->a;
    if (w == 2) {
        asm_shift(a, 2, 0, xr(T1), 8);
        e->host_flags = HF_NONE;
        return;
    }
    emit_one(&a->count);
    asm_byte(a, w == 8 ? 0x49 : 0x41); /* bswap r15 */
    asm_byte(a, 0x0f);
    asm_byte(a, 0xc8 | (T1 & 7));
}

void x64_emit_movbe(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->dk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->w, true, true);
        asm_load(a, 8, T1, x64_gpr(e, u->sr));
        turn(e, u->w);
        asm_store(a, u->w, at, T1);
        return;
    }
    x64_kill_reg(e, u->dr);
    asm_zx(a, u->w, T1, source(e, u->w));
    turn(e, u->w);
    x64_put(e, u->dr, u->w, T1);
}

/* ---- BMI: VEX-encoded ---- */

static void vex(struct asmbuf *a, unsigned w, unsigned map, unsigned pp, unsigned op, unsigned reg,
                unsigned vvvv, struct xo rm)
{
    struct vop o = {(uint8_t)map, (uint8_t)pp, (uint8_t)op, w == 8, false};
    asm_vex(a, o, reg, vvvv, rm);
}

/* ANDN, BLSR, BLSMSK, BLSI, BZHI, BEXTR: results with flags. */
static void bmi_flags(struct em *e, unsigned dst, unsigned v, struct xo s)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    switch (u->op) {
    case U_ANDN:
        vex(a, u->w, 2, 0, 0xf2, dst, v, s);
        break;
    case U_BLSR:
    case U_BLSMSK:
    case U_BLSI:
        vex(a, u->w, 2, 0, 0xf3, u->op == U_BLSR ? 1 : u->op == U_BLSMSK ? 2 : 3, dst, s);
        break;
    case U_BZHI:
        vex(a, u->w, 2, 0, 0xf5, dst, v, s);
        break;
    default:
        vex(a, u->w, 2, 0, 0xf7, dst, v, s);
        break;
    }
    e->host_flags = HF_NONE;
    /* CF = OF = 0 for ANDN and BEXTR; OF = 0 for the others. */
    bool logic = u->op == U_ANDN || u->op == U_BEXTR;
    x64_set_recipe(e, logic ? CC_LOGIC : CC_CFOF, u->w);
    if (!logic && x64_need(e)) {
        asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_cf)));
        asm_store_imm(a, 1, xm(ENV, ENV_OFF(cc_cf) + 1), 0);
    }
    x64_res_reg(e, u->dr);
}

static void bmi_plain(struct em *e, unsigned dst, unsigned v, struct xo s)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    switch (u->op) {
    case U_PEXT:
        vex(a, u->w, 2, 2, 0xf5, dst, v, s);
        break;
    case U_PDEP:
        vex(a, u->w, 2, 3, 0xf5, dst, v, s);
        break;
    case U_SHLX:
        vex(a, u->w, 2, 1, 0xf7, dst, v, s);
        break;
    case U_SARX:
        vex(a, u->w, 2, 2, 0xf7, dst, v, s);
        break;
    case U_SHRX:
        vex(a, u->w, 2, 3, 0xf7, dst, v, s);
        break;
    case U_MULX: /* dst: the high half, v: the low one */
        vex(a, u->w, 2, 3, 0xf6, dst, v, s);
        break;
    default: /* RORX */
        vex(a, u->w, 3, 3, 0xf0, dst, 0, s);
        asm_byte(a, (unsigned)u->imm & 0xff);
        break;
    }
}

bool x64_emit_bmi(struct em *e)
{
    const struct uop *u = e->u;
    bool flags = u->op >= U_ANDN && u->op <= U_BEXTR;
    bool one = u->op == U_ANDN || u->op == U_BEXTR || (u->op >= U_BLSR && u->op <= U_BLSI);
    unsigned d = x64_host(u->dr), v = u->op == U_RORX ? RAX : x64_host(u->vr);
    bool blsx = u->op >= U_BLSR && u->op <= U_BLSI;
    if (blsx) {
        v = RAX; /* none */
    }
    if (!host_has(e, one ? HAS_BMI1 : HAS_BMI2) || d == RNONE || v == RNONE) {
        return false;
    }
    if (!flags) {
        x64_kill_reg(e, u->dr);
        if (u->op == U_MULX) {
            x64_kill_reg(e, u->vr);
        }
    }
    struct xo s = source(e, u->w);
    if (flags) {
        bmi_flags(e, d, v, s);
    } else {
        bmi_plain(e, d, v, s);
    }
    return true;
}
