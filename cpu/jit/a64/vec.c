/*
 * Guest vector registers in host registers, and the host's floating-point control for them.
 *
 * Bits 127:0 of guest XMMn live in v16+n while `live` (in batches perhaps in one of v4-v15: see
 * batch.c); nothing is loaded before it is needed, and what was written (`dirty`) is stored where
 * code can leave: in cold code if leaving is the exception, in front of it otherwise. Bits 255:128
 * are in memory (emit_avx.c), but for zeros that are still to be stored (`hclr`). Where the bits
 * above a scalar are known to be zero (z4, z8), the host's scalar instructions, which clear them,
 * do as x86's, which keep them. v0-v3 are temporaries.
 *
 * Arithmetic runs with FPCR.FZ set and everything else zero: round to nearest, no traps, no default
 * NaN. Then FPSR tells of every operand or result that is not ordinary: a denormal operand (IDC), a
 * signaling NaN or an invalid operation (IOC), division by zero, overflow, and a result that is
 * tiny before rounding (UFC); each of these bails with everything as it was (batch.c), and the
 * interpreter has the answer. What is left is the same on every IEEE machine, quiet NaNs too: the
 * first operand's, unless only the second is one. Inexact results set a sticky flag in MXCSR; code
 * runs only while that is set already (a64_fp_common). C runs with FPCR zero.
 *
 * Source: Arm ARM (DDI 0487) A1.5.8-11 (exceptions, FZ, NaN propagation), C5.2 (FPCR, FPSR).
 */
#include <string.h>

#include "cpu/jit/a64/a64.h"
#include "cpu/jit/a64/asm_vec.h"

/* ---- residency ---- */

static void move(struct em *e, bool load, unsigned r, unsigned host)
{
    asm_vmem_imm(&e->a, load, 16, host, VECS, 32 * r);
}

struct vec a64_vec_none(void)
{
    struct vec v = {0};
    for (unsigned r = 0; r < 16; r++) {
        v.host[r] = (uint8_t)a64_v_own(r);
    }
    return v;
}

void a64_vec_spill(struct em *e, const struct vec *v)
{
    for (unsigned r = 0; r < 16; r++) {
        if (v->dirty >> r & 1) {
            move(e, false, r, v->host[r]);
        }
        if (v->hclr >> r & 1) {
            asm_pair(&e->a, false, XZR, XZR, VECS, 32 * (int32_t)r + 16);
        }
    }
}

void a64_vec_reload(struct em *e, const struct vec *v)
{
    for (unsigned r = 0; r < 16; r++) {
        if (v->live >> r & 1) {
            move(e, true, r, v->host[r]);
        }
    }
}

void a64_vec_flush(struct em *e)
{
    a64_vec_spill(e, &e->vec);
    e->vec.dirty = e->vec.hclr = 0;
}

void a64_vec_drop(struct em *e)
{
    struct vec none = a64_vec_none();
    a64_vec_flush(e);
    e->vec.live = e->vec.z4 = e->vec.z8 = 0;
    memcpy(e->vec.host, none.host, sizeof none.host);
}

void a64_vec_forget(struct em *e)
{
    a64_vec_flush(e);
    e->vec = a64_vec_none();
}

unsigned a64_vec_use(struct em *e, unsigned r)
{
    if (!(e->vec.live >> r & 1)) {
        move(e, true, r, a64_v(e, r));
        e->vec.live |= (uint16_t)(1u << r);
    }
    return a64_v(e, r);
}

/* Another host register for guest register r: its own, or one of v4 to v15 that holds nothing, at
 * an open batch's beginning neither. */
static void rename(struct em *e, unsigned r)
{
    uint32_t used = 0;
    for (unsigned k = 0; k < 16; k++) {
        used |= UINT32_C(1) << e->vec.host[k];
        used |= e->open ? UINT32_C(1) << e->batch[e->nbatch - 1].vec.host[k] : 0;
    }
    unsigned to = a64_v_own(r);
    for (unsigned k = 4; k < 16 && (used >> to & 1); k++) {
        to = k;
    }
    e->close |= used >> to & 1;
    e->vec.host[r] = (uint8_t)to;
}

/* Does somebody else need what is in the register: one that shares it, or an open batch? */
static bool must_stay(const struct em *e, unsigned r)
{
    const struct vec *b = e->open ? &e->batch[e->nbatch - 1].vec : NULL;
    unsigned host = e->vec.host[r];
    for (unsigned k = 0; k < 16; k++) {
        if ((k != r && (e->vec.live >> k & 1) && e->vec.host[k] == host) ||
            (b && (b->dirty >> k & 1) && b->host[k] == host)) {
            return true;
        }
    }
    return false;
}

unsigned a64_vec_written(struct em *e, unsigned r)
{
    uint16_t bit = (uint16_t)(1u << r);
    if (must_stay(e, r)) {
        rename(e, r);
    }
    e->vec.live |= bit;
    e->vec.dirty |= bit;
    e->vec.z4 &= (uint16_t)~bit;
    e->vec.z8 &= (uint16_t)~bit;
    return a64_v(e, r);
}

unsigned a64_vec_modified(struct em *e, unsigned r)
{
    unsigned was = a64_vec_use(e, r), now = a64_vec_written(e, r);
    if (was != now) {
        asm_vmov(&e->a, now, was);
    }
    return now;
}

void a64_vec_copy(struct em *e, unsigned d, unsigned s)
{
    uint16_t bit = (uint16_t)(1u << d);
    bool z4 = a64_vec_is_zero_above(e, s, 4), z8 = a64_vec_is_zero_above(e, s, 8);
    e->vec.host[d] = (uint8_t)a64_vec_use(e, s);
    e->vec.live |= bit;
    e->vec.dirty |= bit;
    e->vec.z4 = (uint16_t)((e->vec.z4 & ~bit) | (z4 ? bit : 0));
    e->vec.z8 = (uint16_t)((e->vec.z8 & ~bit) | (z8 ? bit : 0));
}

void a64_vec_zero_above(struct em *e, unsigned r, unsigned w)
{
    e->vec.z8 |= (uint16_t)(1u << r);
    e->vec.z4 |= (uint16_t)(w == 4 ? 1u << r : 0);
}

/* ---- loops ---- */

bool a64_vec_loop_begin(struct em *e)
{
    uint16_t used = 0, written = 0;
    for (unsigned k = 0; k < e->src->n; k++) {
        const struct uop *u = &e->src->u[k];
        const struct uop_vec *v = &u->v;
        if (u->op == U_INTERP) {
            return false; /* nothing stays over it */
        }
        if (u->op == U_VEC) {
            used |= (uint16_t)((v->a != UR_NONE ? 1u << v->a : 0) |
                               (u->sk == UK_XMM ? 1u << u->sr : 0) |
                               (v->fourth != UR_NONE ? 1u << v->fourth : 0));
            written |= (uint16_t)(u->dk == UK_XMM ? 1u << u->dr : 0);
        }
    }
    used |= written;
    if (!used) {
        return false;
    }
    for (unsigned r = 0; r < 16; r++) {
        if (used >> r & 1) {
            a64_vec_use(e, r);
        }
    }
    e->vec.dirty = written;
    e->vec_head = e->vec;
    return true;
}

void a64_vec_loop_end(struct em *e)
{
    const struct vec *h = &e->vec_head;
    assert(!(e->vec.live & ~h->live) && !(e->vec.dirty & ~h->dirty));
    for (unsigned r = 0; r < 16; r++) {
        if (h->live >> r & 1) {
            a64_vec_use(e, r);
        }
        if (e->vec.hclr >> r & 1) {
            asm_pair(&e->a, false, XZR, XZR, VECS, 32 * (int32_t)r + 16);
        }
    }
    e->vec.hclr = 0;
    e->vec.dirty = h->dirty; /* what is dirty behind any run */
}

/* Does another register wait in r's own? */
static bool taken(const struct em *e, unsigned r)
{
    for (unsigned k = 0; k < 16; k++) {
        if (k != r && (e->vec.live >> k & 1) && e->vec.host[k] == a64_v_own(r)) {
            return true;
        }
    }
    return false;
}

void a64_vec_own(struct em *e)
{
    for (bool more = true, moved = true; more;) {
        unsigned stuck = 16;
        if (!moved) { /* a ring: one of them goes to v0 first */
            for (stuck = 0; e->vec.host[stuck] == a64_v_own(stuck) || e->vec.host[stuck] < 16;) {
                stuck++;
            }
            asm_vmov(&e->a, 0, e->vec.host[stuck]);
            e->vec.host[stuck] = 0;
        }
        more = moved = false;
        for (unsigned r = 0; r < 16; r++) {
            if (!(e->vec.live >> r & 1) || e->vec.host[r] == a64_v_own(r)) {
                continue;
            }
            if (taken(e, r)) {
                more = true;
            } else {
                asm_vmov(&e->a, a64_v_own(r), e->vec.host[r]);
                e->vec.host[r] = (uint8_t)a64_v_own(r);
                moved = true;
            }
        }
    }
}

/* ---- bits 255:128 ---- */

void a64_vec_high(struct em *e, bool load, unsigned r, unsigned v)
{
    uint16_t bit = (uint16_t)(1u << r);
    if (load && (e->vec.high0 & bit)) {
        asm_vzero(&e->a, v);
        return;
    }
    asm_vmem_imm(&e->a, load, 16, v, VECS, 32 * r + 16);
    if (load) {
        return;
    }
    e->vec.high0 &= (uint16_t)~bit;
    e->vec.hclr &= (uint16_t)~bit;
    if (!e->vec.hi0_off) {
        asm_mem_imm(&e->a, 1, A_ST, XZR, ENV, (uint32_t)ENV_OFF(vec_hi0));
        e->vec.hi0_off = true;
    }
}

void a64_vec_clear_high(struct em *e, unsigned r)
{
    uint16_t bit = (uint16_t)(1u << r);
    e->vec.hclr |= e->vec.high0 & bit ? 0 : bit;
    e->vec.high0 |= bit;
}

void a64_vzeroupper(struct em *e)
{
    struct asmbuf *a = &e->a;
    asm_mem_imm(a, 1, A_LD, P0, ENV, (uint32_t)ENV_OFF(vec_hi0));
    uint32_t over = asm_cbz(a, 4, true, P0);
    asm_bl_to(a, e->be->vec_zero);
    asm_here(a, over);
    e->vec.hi0_off = false;
    e->vec.high0 = 0xffff;
    e->vec.hclr = 0;
}

/* ---- the host's control ---- */

void a64_fp_common(struct jit_backend *be, struct asmbuf *a)
{
    /* Changes P0 and P1. P0 = 0: arithmetic may run. */
    be->fp_on = a->at;
    a64_env_address(a, P0, be->l->mxcsr);
    asm_mem_imm(a, 4, A_LD, P0, P0, 0);
    asm_logic_imm(a, 4, A_AND, P0, P0, 0xffe0); /* all masked, nearest, PE set, no FTZ, no DAZ */
    asm_const(a, P1, 0x1fa0);
    asm_logic(a, 4, A_EOR, P0, P0, P1);
    uint32_t no = asm_cbz(a, 4, true, P0);
    asm_const(a, P1, 1u << 24);
    asm_msr_fpcr(a, P1);
    asm_msr_fpsr(a, XZR);
    asm_mem_imm(a, 1, A_LD, P1, ENV, (uint32_t)ENV_OFF(vec_no));
    asm_logic_imm(a, 4, A_AND, P1, P1, ~(uint32_t)JIT_VEC_UNLOADED);
    asm_mem_imm(a, 1, A_ST, P1, ENV, (uint32_t)ENV_OFF(vec_no));
    asm_here(a, no);
    asm_ret(a);

    be->vec_zero = a->at; /* changes P0 */
    for (int32_t r = 0; r < 16; r++) {
        asm_pair(a, false, XZR, XZR, VECS, 32 * r + 16);
    }
    asm_const(a, P0, 1);
    asm_mem_imm(a, 1, A_ST, P0, ENV, (uint32_t)ENV_OFF(vec_hi0));
    asm_ret(a);
}

void a64_fp_off(struct asmbuf *a, unsigned tmp)
{
    asm_mem_imm(a, 1, A_LD, tmp, ENV, (uint32_t)ENV_OFF(vec_no));
    uint32_t is_off = asm_tbz(a, true, tmp, 3);
    _Static_assert(JIT_VEC_UNLOADED == 1u << 3, "the bit tested");
    asm_msr_fpcr(a, XZR);
    asm_logic_imm(a, 4, A_ORR, tmp, tmp, JIT_VEC_UNLOADED);
    asm_mem_imm(a, 1, A_ST, tmp, ENV, (uint32_t)ENV_OFF(vec_no));
    asm_here(a, is_off);
}
