/*
 * x87: the guest's instruction itself, on the host's FPU, which holds the guest's whole state.
 *
 * "Live" (env->x87_live): the host's registers, tags, TOP, status and control word are the guest's.
 * Every micro-operation here needs that; the first one behind a place where it is not known checks
 * it, and asks C for an image to load if it is not so. C declines if an instruction could do more
 * than compute: exceptions that are not masked, CR0.EM and TS; then the code bails. So here no
 * instruction can fault, stack faults are the host's masked ones, and flags, C0 to C3 and TOP need
 * no work. The state stays live through links, jump tables and loops.
 *
 * C never meets it: common code saves it first (FNSAVE, which leaves the FPU as the ABI wants it)
 * and, for helpers that do not run guest code, loads it again. Where C may run guest code it takes
 * the image apart (cpu/x87_host.c) and the state is not live any more.
 *
 * The host's instruction and data pointers mean nothing. The guest's last x87 instruction is noted
 * at each site (jit_site.x87_off) and goes to memory in front of transfers only.
 *
 * Makers differ in C1 behind FCOMI: SDM 2A clears it, AMD keeps it; so it is cleared before.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

#define CW_BITS     0x1f3f /* of the control word; bit 6 reads as 1 */
#define CW_FIXED    0x0040
#define CW_MASKS    0x003f
#define CW_PC       0x0300
#define CW_RESERVED 0x0100 /* of the precision control: undocumented */

/* D8..DF with a ModRM byte that names registers. */
static void esc(struct em *e, unsigned op, unsigned modrm)
{
    emit_one(&e->a.count);
    asm_byte(&e->a, op);
    asm_byte(&e->a, modrm);
}

/* ---- live or not ---- */

void x64_x87_out(struct asmbuf *a)
{
    asm_alu_imm(a, 1, 7, xm(ENV, ENV_OFF(x87_live)), 0);
    uint32_t over = asm_jcc(a, XE);
    asm_op(a, 4, 0xdd, 6, xm(ENV, ENV_OFF(x87_image)), 0); /* FNSAVE */
    asm_here(a, over);
}

void x64_x87_back(struct asmbuf *a)
{
    asm_alu_imm(a, 1, 7, xm(ENV, ENV_OFF(x87_live)), 0);
    uint32_t over = asm_jcc(a, XE);
    asm_op(a, 4, 0xdd, 4, xm(ENV, ENV_OFF(x87_image)), 0); /* FRSTOR */
    asm_here(a, over);
}

static void need_live(struct em *e)
{
    if (e->x87_on) {
        return;
    }
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = COLD_X87, .site = x64_site(e, SITE_BAIL)};
    unsigned was = emit_class(&e->a.count, EMIT_glue);
    asm_alu_imm(&e->a, 1, 7, xm(ENV, ENV_OFF(x87_live)), 0);
    c->from = asm_jcc(&e->a, XE);
    emit_class(&e->a.count, was);
    c->retry = e->a.at;
    e->host_flags = HF_NONE;
    e->x87_on = true;
}

void x64_x87_cold(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    const struct vec_state *vec = &e->cold_vec[c - e->cold];
    x64_vec_spill(e, vec);
    asm_call_to(a, e->be->x87_load);
    asm_test(a, 4, xr(T0), T0);
    uint32_t no = asm_jcc(a, XE);
    x64_vec_reload(e, vec);
    asm_jmp_to(a, c->retry);
    asm_here(a, no);
    asm_const(a, T0, c->site);
    asm_jmp_to(a, x64_leave_at(e));
}

/* ---- the last instruction ---- */

void x64_x87_spill(struct em *e)
{
    struct asmbuf *a = &e->a;
    if (!e->x87_off) {
        return;
    }
    unsigned was = emit_class(&a->count, EMIT_glue);
    asm_load(a, 8, T0, xm(ENV, ENV_OFF(page)));
    asm_lea(a, e->src->bits == 64 ? 8 : 4, T0, xm(T0, e->x87_off - 1));
    asm_store(a, 8, xm(ENV, ENV_OFF(x87_ip)), T0);
    if (e->src->x87_pointers) {
        asm_store_imm(a, 2, xm(ENV, ENV_OFF(x87_op)), e->x87_op);
    }
    e->x87_off = 0;
    emit_class(&a->count, was);
}

/* The current instruction is the last one from here on. */
static void note(struct em *e)
{
    const struct uop *u = e->u;
    if (u->imm & UX_NOTED) {
        e->x87_off = (uint16_t)(u->off + 1);
        e->x87_op = (uint16_t)(u->imm & 0x7ff);
    }
}

/* The operand's effective address, into memory: in front of the check aside, behind it for good. */
static void note_ea(struct em *e)
{
    if (e->src->x87_pointers && (e->u->imm & UX_NOTED)) {
        x64_ea(e, &e->u->m, T1, 0);
        asm_store(&e->a, 8, xm(ENV, ENV_OFF(x87_ea)), T1);
    }
}

static void take_ea(struct em *e)
{
    struct asmbuf *a = &e->a;
    if (e->src->x87_pointers && (e->u->imm & UX_NOTED)) {
        asm_load(a, 8, T1, xm(ENV, ENV_OFF(x87_ea)));
        asm_store(a, 8, xm(ENV, ENV_OFF(x87_dp)), T1);
        asm_store_imm(a, 1, xm(ENV, ENV_OFF(x87_seg)), e->u->m.seg);
    }
}

/* ---- single instructions ---- */

/* A control word that C would decline bails. Reserved bits are the guest CPU's, not the host's. */
static void emit_fldcw(struct em *e)
{
    struct asmbuf *a = &e->a;
    struct xo at = x64_mem(e, &e->u->m, 2, false, true);
    uint32_t site = x64_site(e, SITE_BAIL);
    asm_zx(a, 2, T1, at);
    asm_mov(a, 4, T0, T1);
    asm_un(a, 4, 2, xr(T0));
    asm_test_imm(a, 1, xr(T0), CW_MASKS);
    x64_bail_if(e, XNE, site);
    asm_alu_imm(a, 4, 4, xr(T0), CW_PC);
    asm_alu_imm(a, 4, 7, xr(T0), CW_PC & ~CW_RESERVED);
    x64_bail_if(e, XE, site);
    asm_alu_imm(a, 4, 4, xr(T1), CW_BITS);
    asm_alu_imm(a, 4, 1, xr(T1), CW_FIXED);
    asm_store(a, 2, xm(ENV, ENV_OFF(x87_cw)), T1);
    asm_op(a, 4, 0xd9, 5, xm(ENV, ENV_OFF(x87_cw)), 0);
    e->host_flags = HF_NONE;
}

static void emit_fcomi(struct em *e, unsigned op, unsigned modrm)
{
    esc(e, 0xd9, 0xf7); /* FINCSTP, FDECSTP: C1 = 0 */
    esc(e, 0xd9, 0xf6);
    esc(e, op, modrm);
    x64_keep_flags(e);
}

/* DA C0, C8, D0, D8: B, E, BE, U; DB: their opposites. */
static void emit_fcmov(struct em *e, unsigned op, unsigned modrm)
{
    static const uint8_t guest[4] = {XB, XE, XBE, XP};
    unsigned cc = x64_cond(e, guest[modrm >> 3 & 3] | (op & 1));
    for (unsigned k = 0; k < 4; k++) {
        if (guest[k] == (cc & ~1u)) {
            esc(e, 0xda | (cc & 1), 0xc0 | k << 3 | (modrm & 7));
        }
    }
}

static bool is_fcomi(const struct uop *u, unsigned op, unsigned reg)
{
    return !u->w && (op == 0xdb || op == 0xdf) && (reg == 5 || reg == 6);
}

static bool is_fisttp(const struct uop *u, unsigned op, unsigned reg)
{
    return u->dk == UK_MEM && (op & 1) && op != 0xd9 && reg == 1;
}

/* Can the host do it? */
static bool possible(const struct em *e, unsigned op, unsigned reg)
{
    uint32_t f = e->be->features;
    return !(is_fisttp(e->u, op, reg) && !(f >> UVS_SSE3 & 1)) &&
           !(is_fcomi(e->u, op, reg) && !(f >> HOST_LAHF_BIT & 1));
}

bool x64_emit_x87(struct em *e)
{
    const struct uop *u = e->u;
    unsigned op = (unsigned)u->imm >> 8 & 0xff, modrm = u->imm & 0xff, reg = modrm >> 3 & 7;
    if (!possible(e, op, reg)) {
        return false;
    }
    need_live(e);
    if (u->w && op == 0xd9 && reg == 5) {
        emit_fldcw(e);
    } else if (u->w) {
        note_ea(e);
        struct xo at = x64_mem(e, &u->m, u->w, u->dk == UK_MEM, e->src->x87_pointers);
        take_ea(e);
        asm_op(&e->a, 4, op, reg, at, 0);
    } else if (op == 0x9b) { /* nothing is pending */
    } else if (is_fcomi(u, op, reg)) {
        emit_fcomi(e, op, modrm);
    } else if ((op == 0xda || op == 0xdb) && reg < 4) {
        emit_fcmov(e, op, modrm);
    } else {
        if (u->dk == UK_REG) { /* FNSTSW AX */
            x64_kill_reg(e, u->dr);
        }
        esc(e, op, modrm);
    }
    note(e);
    return true;
}
