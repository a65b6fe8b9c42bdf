/*
 * x87: on the guest's state where it is, in the guest CPU's struct.
 *
 * Values of 80 bits are integers in memory here. What only moves them is common code (x87.c),
 * called with BL. Whatever is not the common case there, and all arithmetic, is C on integers
 * (jit_env.x87_soft), which is called directly: guest registers that C may change go to the host's
 * stack, nothing is settled, and code goes on behind it.
 *
 * "Live" (env->x87_live): C has looked that no x87 instruction can do more than compute: exceptions
 * are masked, none is pending, CR0.EM and TS are clear. The first micro-operation behind a place
 * where it is not known checks it, and asks C if it is not so; if C declines, code bails. So here
 * no instruction can fault, but for its memory operand, which is checked before anything changes.
 *
 * As on x86-64 the guest's last x87 instruction is noted at each site (jit_site.x87_off) and goes
 * to memory in front of transfers only.
 */
#include "cpu/jit/a64/a64.h"

#define CW_BITS     0x1f3f /* of the control word; bit 6 reads as 1 */
#define CW_FIXED    0x0040
#define CW_MASKS    0x003f
#define CW_RESERVED 1 /* of the precision control: undocumented */

/* ---- live or not ---- */

static void need_live(struct em *e)
{
    struct asmbuf *a = &e->a;
    a64_vec_drop(e); /* C keeps none of them */
    if (e->x87_on) {
        return;
    }
    unsigned was = a64_class(e, EMIT_glue);
    uint32_t site = a64_site(e, SITE_BAIL);
    asm_mem_imm(a, 1, A_LD, P0, ENV, (uint32_t)ENV_OFF(x87_live));
    struct cold *c = a64_cold_new(e);
    c->kind = COLD_X87;
    c->site = site;
    c->from = asm_cbz(a, 4, false, P0);
    c->retry = a->at;
    a64_class(e, was);
    e->x87_on = true;
}

void a64_x87_cold(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    asm_bl_to(a, e->be->x87_load);
    asm_patch(a, asm_cbz(a, 4, true, P0), c->retry);
    asm_const(a, T0, c->site);
    asm_b_to(a, e->be->leave);
}

/* ---- the last instruction ---- */

void a64_x87_spill(struct em *e)
{
    struct asmbuf *a = &e->a;
    if (!e->x87_off) {
        return;
    }
    unsigned was = a64_class(e, EMIT_glue);
    a64_add_const(a, e->src->bits == 64 ? 8 : 4, P0, PAGE, e->x87_off - 1);
    asm_mem_imm(a, 8, A_ST, P0, ENV, (uint32_t)ENV_OFF(x87_ip));
    if (e->src->x87_pointers) {
        asm_const(a, P0, e->x87_op);
        asm_mem_imm(a, 2, A_ST, P0, ENV, (uint32_t)ENV_OFF(x87_op));
    }
    e->x87_off = 0;
    a64_class(e, was);
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

/* The memory operand, checked; on some CPU models its address is noted too. */
static struct a64_loc operand(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool pointers = e->src->x87_pointers && (u->imm & UX_NOTED);
    if (pointers) { /* aside, and behind the check for good */
        asm_mem_imm(a, 8, A_ST, a64_ea(e, &u->m, T1), ENV, (uint32_t)ENV_OFF(x87_ea));
    }
    struct a64_loc at = a64_mem(e, &u->m, u->w, u->dk == UK_MEM);
    if (pointers) {
        asm_mem_imm(a, 8, A_LD, T2, ENV, (uint32_t)ENV_OFF(x87_ea));
        asm_mem_imm(a, 8, A_ST, T2, ENV, (uint32_t)ENV_OFF(x87_dp));
        asm_const(a, T2, u->m.seg);
        asm_mem_imm(a, 1, A_ST, T2, ENV, (uint32_t)ENV_OFF(x87_seg));
    }
    return at;
}

/* ---- single instructions ---- */

static void call(struct em *e, unsigned which)
{
    unsigned what = e->u->imm & 0xdfff;
    asm_const(&e->a, T1, what | (e->u->w ? JIT_X87_MEM : 0));
    asm_bl_to(&e->a, e->be->x87[which]);
    e->nz = NZ_NONE;
}

/* A control word that C would decline bails. */
static void fldcw(struct em *e)
{
    struct asmbuf *a = &e->a;
    struct a64_loc at = a64_mem(e, &e->u->m, 2, false);
    uint32_t site = a64_site(e, SITE_BAIL);
    a64_load(e, 2, T2, at);
    asm_mvn(a, 4, P0, T2);
    asm_logic_imm(a, 4, A_AND, P0, P0, CW_MASKS);
    a64_leave_from(e, asm_cbz(a, 4, true, P0), site);
    asm_ubfx(a, 4, P0, T2, 8, 2);
    asm_logic_imm(a, 4, A_EOR, P0, P0, CW_RESERVED);
    a64_leave_from(e, asm_cbz(a, 4, false, P0), site);
    asm_const(a, P0, CW_BITS);
    asm_logic(a, 4, A_AND, T2, T2, P0);
    asm_logic_imm(a, 4, A_ORR, T2, T2, CW_FIXED);
    a64_env_address(a, P0, e->be->l->x87_cw);
    asm_mem_imm(a, 2, A_ST, T2, P0, 0);
}

/* T2 = the word at ENV + off. */
static void load_word(struct em *e, int32_t off)
{
    a64_env_address(&e->a, P0, off);
    asm_mem_imm(&e->a, 2, A_LD, T2, P0, 0);
}

static void fcmov(struct em *e, unsigned op, unsigned reg)
{
    static const uint8_t guest[4] = {2, 4, 6, 10}; /* B, E, BE, P */
    unsigned cc = a64_cond_nzcv(e, guest[reg & 3] | (op & 1));
    asm_cset(&e->a, T2, cc);
    call(e, X_CMOV);
}

/* C gives EFLAGS as LAHF has them. */
static void fcomi(struct em *e)
{
    struct asmbuf *a = &e->a;
    call(e, X_CALL);
    if (a64_need(e)) {
        asm_logic_imm(a, 4, A_AND, T2, T0, 1);
        a64_store_cf(e, T2);
        asm_logic_imm(a, 4, A_AND, T0, T0, 0xff00);
    }
    a64_set_recipe(e, CC_BITS, 4, NZ_NONE);
    if (a64_need(e)) {
        a64_res_host(e, T0);
    }
}

static void with_registers(struct em *e, unsigned op, unsigned modrm)
{
    struct asmbuf *a = &e->a;
    unsigned reg = modrm >> 3 & 7;
    if (e->u->dk == UK_REG) { /* FNSTSW AX */
        a64_kill_reg(e, 0);
        load_word(e, e->be->l->x87_sw);
        a64_put(e, 0, 2, T2);
    } else if ((op == 0xda || op == 0xdb) && reg < 4) {
        fcmov(e, op, reg);
    } else if ((op == 0xdb || op == 0xdf) && (reg == 5 || reg == 6)) {
        fcomi(e);
    } else if (op == 0xd9 && reg < 2) {
        call(e, reg ? X_EXCHANGE : X_STI);
    } else if (op == 0xd9 && (modrm == 0xe0 || modrm == 0xe1)) {
        call(e, X_SIGN);
    } else if (op == 0xd9 && (modrm == 0xe8 || modrm == 0xee)) { /* 1, 0 */
        asm_const(a, T0, modrm == 0xe8 ? 16383 : 0);
        asm_const(a, T2, modrm == 0xe8 ? UINT64_C(1) << 63 : 0);
        call(e, X_M80);
    } else if (op == 0xdd && (reg == 2 || reg == 3)) {
        call(e, X_STORE);
    } else if (op != 0x9b && !(op == 0xd9 && modrm == 0xd0)) { /* WAIT, FNOP: nothing */
        call(e, X_CALL);
    }
}

static void reads(struct em *e, unsigned op, unsigned reg)
{
    const struct uop *u = e->u;
    struct a64_loc at = operand(e);
    if (u->w == 10) {
        at = a64_flat(e, at);
        a64_load(e, 8, T2, at);
        at.disp = (int16_t)(at.disp + 8);
        a64_load(e, 2, T0, at);
        call(e, X_M80);
        return;
    }
    bool load = op & 1 && (reg == 0 || reg == 5), integer = op & 2;
    a64_access(e, u->w, integer && u->w < 8 ? A_LDS8 : A_LD, T2, at);
    call(e, !load ? X_CALL : integer ? X_INT : u->w == 8 ? X_F64 : X_F32);
}

static void writes(struct em *e, unsigned op, unsigned reg)
{
    const struct uop *u = e->u;
    bool cw = op == 0xd9 && reg == 7;
    struct a64_loc at = operand(e);
    if (cw || (op == 0xdd && reg == 7)) {
        load_word(e, cw ? e->be->l->x87_cw : e->be->l->x87_sw);
        a64_store(e, 2, T2, at);
        return;
    }
    at = a64_flat(e, at);
    if (u->w == 10) {
        call(e, X_TAKE);
        a64_store(e, 8, T0, at);
        at.disp = (int16_t)(at.disp + 8);
        a64_store(e, 2, T2, at);
    } else {
        call(e, X_CALL);
        a64_store(e, u->w, T0, at);
    }
}

bool a64_emit_x87(struct em *e)
{
    const struct uop *u = e->u;
    unsigned op = (unsigned)u->imm >> 8 & 0xff, modrm = u->imm & 0xff, reg = modrm >> 3 & 7;
    need_live(e);
    if (!u->w) {
        with_registers(e, op, modrm);
    } else if (op == 0xd9 && reg == 5) {
        fldcw(e);
    } else if (u->dk == UK_MEM) {
        writes(e, op, reg);
    } else {
        reads(e, op, reg);
    }
    note(e);
    return true;
}
