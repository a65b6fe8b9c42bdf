/*
 * Vector instructions: the host's own.
 *
 * A guest instruction is emitted with the same map, prefix and opcode on the same-named registers,
 * VEX-encoded where the host has AVX (three operands, no alignment fault, no penalty for mixing),
 * in its legacy form otherwise and where there is no VEX form (SHA). So results, NaNs and exception
 * flags are the host's, which are what cpu/fp computes; the lifter leaves out what is not.
 *
 * The order within one: may it run at all (x64_check, once per block), sources into registers, the
 * check of its memory operand, the instruction. General registers come and go through their own
 * host registers, guest R12 to R15 through memory or T1.
 */
#include <stddef.h>

#include "cpu/jit/x64/asm_vec.h"
#include "cpu/jit/x64/x64.h"

static bool host_has(const struct em *e, unsigned set)
{
    return e->be->features >> set & 1;
}

/* ---- may it run? ---- */

static void check(struct em *e, unsigned why)
{
    unsigned need = why & ~(unsigned)e->vec.checked;
    if (!need) {
        return;
    }
    uint32_t site = x64_site(e, SITE_BAIL);
    asm_test_imm(&e->a, 1, xm(ENV, ENV_OFF(vec_no)), (int32_t)need);
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = COLD_VEC, .what = need, .site = site};
    c->from = asm_jcc(&e->a, XNE);
    c->retry = e->a.at;
    e->vec.checked |= (uint8_t)need;
    e->host_flags = HF_NONE;
}

void x64_vec_cold(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    uint32_t no = 0;
    const struct vec_state *s = &e->cold_vec[c - e->cold];
    unsigned forbidden = c->what & ~JIT_VEC_UNLOADED;
    if (c->what & JIT_VEC_UNLOADED) {
        if (forbidden) {
            asm_test_imm(a, 1, xm(ENV, ENV_OFF(vec_no)), (int32_t)forbidden);
            no = asm_jcc(a, XNE);
        }
        asm_call_to(a, e->be->fp_on);
        asm_jmp_to(a, c->retry);
        if (!forbidden) {
            return;
        }
        asm_here(a, no);
    }
    x64_vec_spill(e, s);
    asm_const(a, T0, c->site);
    asm_jmp_to(a, x64_leave_at(e));
}

/* ---- one instruction ---- */

static void vzeroupper(struct em *e)
{
    struct asmbuf *a = &e->a;
    struct vec_state *s = &e->vec.s;
    asm_alu_imm(a, 1, 7, xm(ENV, ENV_OFF(vec_hi0)), 0);
    uint32_t over = asm_jcc(a, XNE);
    asm_call_to(a, e->be->vec_zero);
    asm_here(a, over);
    if (s->live) {
        emit_one(&a->count);
        asm_byte(a, 0xc5);
        asm_byte(a, 0xf8);
        asm_byte(a, 0x77);
    }
    s->wide = s->live;
    s->high = 0;
    e->vec.hi0_off = false;
    e->host_flags = HF_NONE;
}

/* LDMXCSR, STMXCSR: the host's register is the guest's, once it is loaded. A value that unmasks an
 * exception or has a reserved bit is the interpreter's. */
static void mxcsr(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool store = u->v.digit == 3;
    check(e, (u->v.flags & UV_VEX ? JIT_VEC_NO_AVX : JIT_VEC_NO_SSE) | JIT_VEC_TRAPS |
                 JIT_VEC_UNLOADED);
    struct xo at = x64_mem(e, &u->m, 4, store, false);
    if (store) {
        asm_op(a, 4, 0x0fae, 3, at, 0);
        return;
    }
    asm_load(a, 4, T1, at);
    asm_mov(a, 4, T0, T1);
    asm_alu_imm(a, 4, 4, xr(T0), (int32_t)0xffff1f80);
    asm_alu_imm(a, 4, 7, xr(T0), 0x1f80);
    x64_bail_if(e, XNE, x64_site(e, SITE_BAIL));
    asm_store(a, 4, xm(ENV, ENV_OFF(scratch)), T1);
    asm_op(a, 4, 0x0fae, 2, xm(ENV, ENV_OFF(scratch)), 0);
    e->host_flags = HF_NONE;
}

/* Is there a VEX form, and does the host have it? */
static bool use_vex(const struct em *e)
{
    return host_has(e, UVS_AVX) && e->u->v.need != UVS_SHA;
}

static bool possible(const struct em *e)
{
    const struct uop *u = e->u;
    const struct uop_vec *v = &u->v;
    bool avx = use_vex(e), vex_only = (v->flags & UV_VEX) || (v->map == 3 && v->fourth != UR_NONE);
    if (!host_has(e, v->need) || (vex_only && !avx)) {
        return false;
    }
    return (u->dk != UK_NONE && !u->wflags) || host_has(e, HOST_LAHF_BIT);
}

/* The sources into host registers. */
static void load_sources(struct em *e)
{
    const struct uop *u = e->u;
    const struct uop_vec *v = &u->v;
    bool wide = v->vl == 32;
    if (v->a != UR_NONE) {
        x64_vec_use(e, v->a, wide);
    }
    if (u->sk == UK_XMM) {
        x64_vec_use(e, u->sr, wide);
    }
    if (v->fourth != UR_NONE) {
        x64_vec_use(e, v->fourth, wide);
    }
    if (v->flags & UV_RMW) {
        x64_vec_use(e, u->dr, wide);
    }
}

/* An operand in modrm.rm. */
static struct xo rm_operand(struct em *e, unsigned kind, unsigned r, struct xo mem)
{
    return kind == UK_MEM ? mem : kind == UK_XMM ? xr(r) : x64_gpr(e, r);
}

/* reg: modrm.reg as a host register, rm likewise or memory. */
static void emit(struct em *e, unsigned reg, unsigned vvvv, struct xo rm)
{
    const struct uop_vec *v = &e->u->v;
    struct vop o = {v->map, v->pp, v->opc, v->flags & UV_W, v->vl == 32};
    if (use_vex(e)) {
        asm_vex(&e->a, o, reg, vvvv, rm);
    } else {
        asm_legacy(&e->a, o, reg, rm);
    }
    if (v->map == 3 && v->fourth != UR_NONE) {
        asm_byte(&e->a, (unsigned)v->fourth << 4);
    } else if (v->flags & UV_IMM) {
        asm_byte(&e->a, (unsigned)e->u->imm & 0xff);
    }
}

/* The host's flags are the guest's. of: OF may be 1. */
static void keep_flags(struct em *e, bool of)
{
    struct asmbuf *a = &e->a;
    if (x64_need(e)) {
        asm_mov(a, 8, T0, RAX);
        asm_setcc(a, XB, xm(ENV, ENV_OFF(cc_cf)));
        if (of) {
            asm_setcc(a, XO, xm(ENV, ENV_OFF(cc_cf) + 1));
        }
        emit_one(&a->count); /* LAHF */
        asm_byte(a, 0x9f);
        asm_mov(a, 4, T1, RAX);
        asm_mov(a, 8, RAX, T0);
    }
    x64_set_recipe(e, of ? CC_BITSO : CC_BITS, 4);
    if (x64_need(e)) {
        x64_res_host(e, T1);
    }
    e->host_flags = HF_ALL;
}

void x64_keep_flags(struct em *e)
{
    keep_flags(e, false);
}

/* The destination was written. */
static void written(struct em *e)
{
    const struct uop *u = e->u;
    struct vec_state *s = &e->vec.s;
    uint16_t bit = (uint16_t)(1u << u->dr);
    s->live |= bit;
    s->dirty |= bit;
    if (u->v.flags & UV_VEX) {
        s->wide |= bit;
        s->high |= bit;
        if (u->w == 32 && !e->vec.hi0_off) {
            asm_store_imm(&e->a, 1, xm(ENV, ENV_OFF(vec_hi0)), 0);
            e->vec.hi0_off = true;
        }
    }
}

static void to_xmm(struct em *e, struct xo mem)
{
    const struct uop *u = e->u;
    const struct uop_vec *v = &u->v;
    unsigned a = v->a == UR_NONE ? 0 : v->a;
    if (!(v->flags & UV_VEX) && use_vex(e)) {
        x64_vec_narrow(e, u->dr);
    }
    struct xo s = rm_operand(e, u->sk, u->sr, mem);
    if (v->flags & UV_GROUP) {
        emit(e, v->digit, use_vex(e) ? u->dr : 0, s);
    } else if (v->flags & UV_STORE) {
        emit(e, u->sr, a, xr(u->dr));
    } else {
        emit(e, u->dr, a, s);
    }
    written(e);
}

static void to_gpr(struct em *e, struct xo mem)
{
    const struct uop *u = e->u;
    unsigned d = x64_host(u->dr), to = d != RNONE ? d : T1;
    if (u->v.flags & UV_STORE) {
        emit(e, u->sr, 0, xr(to));
    } else {
        emit(e, to, 0, rm_operand(e, u->sk, u->sr, mem));
    }
    if (d == RNONE) {
        x64_put(e, u->dr, u->w, T1);
    }
}

bool x64_emit_vec(struct em *e)
{
    const struct uop *u = e->u;
    const struct uop_vec *v = &u->v;
    struct xo mem = xr(0);
    if (v->map == 1 && v->opc == 0x77) {
        if (!host_has(e, UVS_AVX)) {
            return false;
        }
        check(e, JIT_VEC_NO_AVX);
        vzeroupper(e);
        return true;
    }
    if (v->map == 1 && v->opc == 0xae) {
        if ((v->flags & UV_VEX) && !host_has(e, UVS_AVX)) {
            return false;
        }
        mxcsr(e);
        return true;
    }
    if (!possible(e)) {
        return false;
    }
    check(e, (v->flags & UV_VEX ? JIT_VEC_NO_AVX : JIT_VEC_NO_SSE) |
                 (v->flags & UV_FP ? JIT_VEC_TRAPS | JIT_VEC_UNLOADED : 0));
    load_sources(e);
    if (u->dk == UK_REG) {
        x64_kill_reg(e, u->dr);
    }
    if (u->dk == UK_MEM || u->sk == UK_MEM) {
        e->align = v->align;
        mem = x64_mem(e, &u->m, u->dk == UK_MEM ? u->w : u->sw, u->dk == UK_MEM, false);
        e->align = 1;
    }
    switch (u->dk) {
    case UK_XMM:
        to_xmm(e, mem);
        break;
    case UK_REG:
        if (u->wflags) { /* PCMPESTRI, PCMPISTRI: RCX, and lengths in RAX and RDX, are the host's */
            emit(e, v->a, 0, rm_operand(e, u->sk, u->sr, mem));
            keep_flags(e, true);
        } else {
            to_gpr(e, mem);
        }
        break;
    case UK_MEM:
        emit(e, u->sr, 0, mem);
        break;
    default:
        emit(e, v->a, 0, rm_operand(e, u->sk, u->sr, mem));
        x64_keep_flags(e);
        break;
    }
    return true;
}
