/*
 * Vector instructions on 256 bits, as two of 128: moves, logic and integer operations, packed
 * arithmetic, VPMOVMSKB, VPBROADCAST; and scalar fused multiply-add. What is not here is
 * interpreted.
 *
 * The low half is where vec.c keeps it; the high half comes from memory and goes back there at
 * once, so that nothing else needs to know of it. Every check, FPSR too, comes before the first
 * write.
 *
 * Source: Arm ARM (DDI 0487) C6.2 (FMADD and its like); Intel SDM 2C (VFMADD132SD and its like).
 */
#include "cpu/jit/a64/a64.h"
#include "cpu/jit/a64/asm_vec.h"

enum { LOW = 1, HIGH = 2 }; /* temporaries: halves of a source */

/* ---- halves ---- */

/* The current source, both halves; the host register of the low one. HIGH holds the other. */
static unsigned source(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_XMM) {
        unsigned s = a64_vec_use(e, u->sr);
        a64_vec_high(e, true, u->sr, HIGH);
        return s;
    }
    struct a64_loc at = a64_mem_aligned(e, &u->m, 32, false, u->v.align);
    at = a64_flat(e, at);
    a64_vec_access(e, true, 16, LOW, at);
    at.disp += 16;
    a64_vec_access(e, true, 16, HIGH, at);
    return LOW;
}

static bool store(struct em *e)
{
    const struct uop *u = e->u;
    a64_vec_check(e, false);
    unsigned s = a64_vec_use(e, u->sr);
    struct a64_loc at = a64_mem_aligned(e, &u->m, 32, true, u->v.align);
    a64_vec_high(e, true, u->sr, HIGH);
    at = a64_flat(e, at);
    a64_vec_access(e, false, 16, s, at);
    at.disp += 16;
    a64_vec_access(e, false, 16, HIGH, at);
    return true;
}

static bool load(struct em *e)
{
    const struct uop *u = e->u;
    a64_vec_check(e, false);
    unsigned s = source(e);
    if (u->sk == UK_XMM) {
        a64_vec_copy(e, u->dr, u->sr);
    } else {
        asm_vmov(&e->a, a64_vec_written(e, u->dr), s);
    }
    a64_vec_high(e, false, u->dr, HIGH);
    return true;
}

static bool simple(struct em *e, uint32_t op)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool swap = op == V_BIC;
    a64_vec_check(e, false);
    if (u->sk == UK_XMM && u->sr == u->v.a && op == V_EOR) {
        asm_vzero(a, a64_vec_written(e, u->dr));
        a64_vec_clear_high(e, u->dr);
        return true;
    }
    unsigned s = source(e), x = a64_vec_use(e, u->v.a);
    a64_vec_high(e, true, u->v.a, 3);
    asm_v3(a, op, HIGH, swap ? HIGH : 3, swap ? 3 : HIGH);
    asm_v3(a, op, a64_vec_written(e, u->dr), swap ? s : x, swap ? x : s);
    a64_vec_high(e, false, u->dr, HIGH);
    return true;
}

static bool arithmetic(struct em *e)
{
    static const uint8_t ops[] = {[0] = F_ADD, [1] = F_MUL, [4] = F_SUB, [6] = F_DIV};
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned w = u->v.pp == 1 ? 8 : 4, op = ops[u->v.opc - 0x58];
    a64_vec_check(e, true);
    unsigned s = source(e), x = a64_vec_use(e, u->v.a);
    a64_vec_high(e, true, u->v.a, 3);
    a64_batch(e);
    asm_fv2(a, w, op, HIGH, 3, HIGH);
    asm_fv2(a, w, op, 0, x, s);
    a64_batch_end(e);
    asm_vmov(a, a64_vec_written(e, u->dr), 0);
    a64_vec_high(e, false, u->dr, HIGH);
    return true;
}

static bool byte_mask(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = a64_host(u->dr);
    a64_vec_check(e, false);
    unsigned s = source(e);
    a64_kill_reg(e, u->dr);
    a64_vec_byte_mask(a, T2, HIGH);
    a64_vec_byte_mask(a, d, s);
    asm_logic_x(a, 4, A_ORR, false, d, d, T2, A_LSL, 16);
    return true;
}

/* VPBROADCASTB and its like, of a register. */
static bool broadcast(struct em *e)
{
    const struct uop *u = e->u;
    unsigned op = u->v.opc, w = op == 0x78 ? 1 : op == 0x79 ? 2 : op == 0x58 ? 4 : 8;
    if (u->v.map != 2 || u->v.pp != 1 || u->sk != UK_XMM ||
        (op != 0x78 && op != 0x79 && op != 0x58 && op != 0x59)) {
        return false;
    }
    a64_vec_check(e, false);
    unsigned s = a64_vec_use(e, u->sr), d = a64_vec_written(e, u->dr);
    asm_dup(&e->a, w, d, s, 0);
    if (u->v.vl == 32) {
        a64_vec_high(e, false, u->dr, d);
    }
    return true;
}

static bool wide(struct em *e)
{
    const struct uop *u = e->u;
    const struct uop_vec *v = &u->v;
    unsigned op = v->opc, pp = v->pp;
    bool whole = (pp == 0 && (op == 0x10 || op == 0x11)) || (pp == 2 && (op == 0x6f || op == 0x7f));
    uint32_t one = a64_vec_simple(u);
    if (v->map != 1 || v->fourth != UR_NONE || (u->sk == UK_MEM && u->sw != 32) ||
        (u->dk == UK_MEM && u->w != 32) || (v->align > 1 && v->align != 32)) {
        return false;
    }
    if (whole) {
        return u->dk == UK_MEM ? store(e) : load(e);
    }
    if (one) {
        return simple(e, one);
    }
    if (u->dk == UK_REG && pp == 1 && op == 0xd7) {
        return byte_mask(e);
    }
    bool sums = op == 0x58 || op == 0x59 || op == 0x5c || op == 0x5e;
    return sums && pp < 2 && v->a != UR_NONE && u->dk == UK_XMM && arithmetic(e);
}

/* ---- fused multiply-add of scalars ---- */

/* The rows of the table differ in which operands are multiplied. NaNs differ in more than FPSR
 * tells, so any NaN as a result bails: a comparison that signals tells FPSR of it. */
static bool fused(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned form = u->v.opc >> 4, kind = u->v.opc & 15, w = u->v.flags & UV_W ? 8 : 4;
    if (u->v.map != 2 || u->v.pp != 1 || form < 9 || form > 0xb || kind < 9 || !(kind & 1) ||
        u->v.a == UR_NONE || (u->sk == UK_MEM && u->sw != w)) {
        return false;
    }
    a64_vec_check(e, true);
    unsigned s = a64_vec_source(e), x = a64_vec_use(e, u->v.a), d = a64_vec_use(e, u->dr);
    unsigned n = form == 9 ? d : x, m = form == 0xa ? d : s;
    unsigned add = form == 9 ? x : form == 0xa ? s : d;
    bool zero = a64_vec_is_zero_above(e, u->dr, w);
    a64_batch(e);
    unsigned to = zero ? a64_vec_written(e, u->dr) : 0;
    asm_fmadd(a, w, kind >= 0xd, kind == 0xb || kind == 0xf, to, n, m, add);
    asm_fcmp(a, w, true, to, to);
    e->nz = NZ_NONE;
    if (zero) {
        a64_vec_zero_above(e, u->dr, w);
    } else {
        asm_ins(a, w, a64_vec_modified(e, u->dr), 0, 0, 0);
    }
    return true;
}

bool a64_emit_avx(struct em *e)
{
    return broadcast(e) || (e->u->v.vl == 32 ? wide(e) : fused(e));
}
