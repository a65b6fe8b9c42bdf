/*
 * Guest vector registers in host registers, and the host's floating-point control for them.
 *
 * Bits 127:0 of guest XMMn live in v16+n while `live`; nothing is loaded before it is needed, and
 * what was written (`dirty`) is stored where code can leave: in cold code if leaving is the
 * exception, in front of it otherwise. Bits 255:128 are always in memory (emit_avx.c). v0-v7 are
 * temporaries.
 *
 * Arithmetic runs with FPCR.FZ set and everything else zero: round to nearest, no traps, no default
 * NaN. Then FPSR tells of every operand or result that is not ordinary: a denormal operand (IDC), a
 * signaling NaN or an invalid operation (IOC), division by zero, overflow, and a result that is
 * tiny before rounding (UFC); each of these bails before anything changed (emit_vec.c), and the
 * interpreter has the answer. What is left is the same on every IEEE machine, quiet NaNs too: the
 * first operand's, unless only the second is one. Inexact results set a sticky flag in MXCSR; code
 * runs only while that is set already (a64_fp_common). C runs with FPCR zero.
 *
 * Source: Arm ARM (DDI 0487) A1.5.8-11 (exceptions, FZ, NaN propagation), C5.2 (FPCR, FPSR).
 */
#include "cpu/jit/a64/a64.h"
#include "cpu/jit/a64/asm_vec.h"

/* ---- residency ---- */

static void move(struct em *e, bool load, unsigned r)
{
    asm_vmem_imm(&e->a, load, 16, a64_v(r), VECS, 32 * r);
}

void a64_vec_spill(struct em *e, const struct vec *v)
{
    for (unsigned r = 0; r < 16; r++) {
        if (v->dirty >> r & 1) {
            move(e, false, r);
        }
    }
}

void a64_vec_reload(struct em *e, const struct vec *v)
{
    for (unsigned r = 0; r < 16; r++) {
        if (v->live >> r & 1) {
            move(e, true, r);
        }
    }
}

void a64_vec_flush(struct em *e)
{
    a64_vec_spill(e, &e->vec);
    e->vec.dirty = 0;
}

void a64_vec_drop(struct em *e)
{
    a64_vec_flush(e);
    e->vec.live = 0;
}

void a64_vec_forget(struct em *e)
{
    a64_vec_flush(e);
    e->vec = (struct vec){0};
}

unsigned a64_vec_use(struct em *e, unsigned r)
{
    if (!(e->vec.live >> r & 1)) {
        move(e, true, r);
        e->vec.live |= (uint16_t)(1u << r);
    }
    return a64_v(r);
}

unsigned a64_vec_written(struct em *e, unsigned r)
{
    e->vec.live |= (uint16_t)(1u << r);
    e->vec.dirty |= (uint16_t)(1u << r);
    return a64_v(r);
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
    }
    e->vec.dirty = h->dirty; /* what is dirty behind any run */
}

void a64_vec_high(struct em *e, bool load, unsigned r, unsigned v)
{
    asm_vmem_imm(&e->a, load, 16, v, VECS, 32 * r + 16);
    if (!load && !e->vec.hi0_off) {
        asm_mem_imm(&e->a, 1, A_ST, XZR, ENV, (uint32_t)ENV_OFF(vec_hi0));
        e->vec.hi0_off = true;
    }
}

void a64_vec_clear_high(struct em *e, unsigned r)
{
    asm_pair(&e->a, false, XZR, XZR, VECS, 32 * (int32_t)r + 16);
}

void a64_vzeroupper(struct em *e)
{
    struct asmbuf *a = &e->a;
    asm_mem_imm(a, 1, A_LD, P0, ENV, (uint32_t)ENV_OFF(vec_hi0));
    uint32_t over = asm_cbz(a, 4, true, P0);
    asm_bl_to(a, e->be->vec_zero);
    asm_here(a, over);
    e->vec.hi0_off = false;
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
