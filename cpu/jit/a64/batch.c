/*
 * Batches: runs of vector instructions with one look at FPSR behind them.
 *
 * FPSR gathers what vec.c wants to know of each arithmetic instruction. So that one look does for
 * several, code must be able to go back to where the first of them began: a batch holds nothing but
 * instructions that write vector registers, and a register that is not in memory at its beginning
 * and written in it gets another host register, so that the old value stays. If the look finds
 * something, cold code stores the registers as they were then and leaves for the interpreter in
 * front of the first instruction; what the others computed is forgotten. Where code leaves or calls
 * C in the middle of a batch (a memory check fails), cold code looks first, since C may change
 * FPSR.
 *
 * Some of what FPSR tells makes no difference but to MXCSR's sticky flags, which cold code sets:
 * overflow, division by zero, and NaNs in a comparison (IOC, if it was not there in front of that).
 *
 * Whatever does something else (stores, general registers, flags, transfers) ends the batch in
 * front of itself; a comparison or conversion whose result is a flag or a general register belongs
 * to it and ends it before it writes that.
 */
#include "cpu/jit/a64/a64.h"
#include "cpu/jit/a64/asm_vec.h"

void a64_batch(struct em *e)
{
    if (e->compared) { /* that must be the last */
        a64_batch_end(e);
    }
    if (e->open) {
        return;
    }
    if (e->nbatch == BATCH_MAX) {
        e->failed = true;
        return;
    }
    e->batch[e->nbatch++] = (struct batch){.vec = e->vec, .site = a64_site(e, SITE_BAIL)};
    e->open = true;
    e->before = false;
}

void a64_batch_compare(struct em *e)
{
    bool first = !e->open || e->compared;
    a64_batch(e);
    if (!first) {
        asm_mrs_fpsr(&e->a, T2);
        e->before = true;
    }
    e->compared = true;
}

void a64_batch_end(struct em *e)
{
    struct asmbuf *a = &e->a;
    if (!e->open) {
        return;
    }
    asm_mrs_fpsr(a, P0);
    asm_logic_imm(a, 4, A_AND, P0, P0, FPSR_TELLS);
    struct cold *c = a64_cold_new(e);
    c->kind = COLD_FP_ODD;
    c->from = asm_cbz(a, 4, true, P0);
    c->retry = a->at;
    c->compared = e->compared;
    c->before = e->before;
    e->open = e->compared = false;
}

bool a64_batch_fits(const struct em *e)
{
    const struct uop *u = e->u;
    bool ends = (u->dk == UK_NONE && (u->v.opc == 0x2e || u->v.opc == 0x2f)) ||
                (u->dk == UK_REG && (u->v.opc == 0x2c || u->v.opc == 0x2d));
    return u->op == U_NOP ||
           (u->op == U_VEC && u->v.vl == 16 && (u->dk == UK_XMM || (u->v.map == 1 && ends)));
}

/* ---- cold code ---- */

static void leave(struct em *e, struct batch *b)
{
    struct asmbuf *a = &e->a;
    if (b->odd_at) {
        asm_b_to(a, b->odd_at);
        return;
    }
    b->odd_at = a->at;
    asm_msr_fpsr(a, XZR);
    a64_vec_spill(e, &b->vec);
    asm_const(a, T0, b->site);
    asm_b_to(a, e->be->leave);
}

/* FPSR.QC, which the mask cannot leave out, is no reason: saturation sets it. */
static void tells(struct asmbuf *a, unsigned d, unsigned n)
{
    asm_logic_imm(a, 4, A_AND, d, n, FPSR_TELLS);
    asm_logic_imm(a, 4, A_AND, d, d, 0xff);
}

void a64_cold_batch(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    if (!c->batch) {
        return;
    }
    asm_mrs_fpsr(a, P0);
    tells(a, P0, P0);
    uint32_t ordinary = asm_cbz(a, 4, false, P0);
    leave(e, &e->batch[c->batch - 1]);
    asm_here(a, ordinary);
}

/* P0 is FPSR. Keeps NZCV and T0. */
void a64_cold_fp_odd(struct em *e, const struct cold *c)
{
    enum { IOC = 1, DZC = 2, OFC = 4 };
    struct asmbuf *a = &e->a;
    tells(a, P0, P0);
    asm_logic_imm(a, 4, A_AND, T1, P0, ~(uint32_t)(DZC | OFC));
    if (c->before) {
        tells(a, T2, T2);
        asm_logic_imm(a, 4, A_AND, T2, T2, ~(uint32_t)(DZC | OFC));
    }
    if (c->compared) {
        asm_logic_imm(a, 4, A_AND, T1, T1, ~(uint32_t)IOC);
    }
    if (c->before) {
        asm_logic(a, 4, A_ORR, T1, T1, T2);
    }
    uint32_t odd = asm_cbz(a, 4, true, T1);
    asm_logic_imm(a, 4, A_AND, T1, P0, DZC | OFC);
    asm_logic_imm(a, 4, A_AND, T2, P0, IOC);
    asm_logic_x(a, 4, A_ORR, false, T1, T2, T1, A_LSL, 1); /* IE, ZE, OE */
    a64_env_address(a, P0, e->be->l->mxcsr);
    asm_mem_imm(a, 4, A_LD, T2, P0, 0);
    asm_logic(a, 4, A_ORR, T2, T2, T1);
    asm_mem_imm(a, 4, A_ST, T2, P0, 0);
    asm_msr_fpsr(a, XZR);
    asm_b_to(a, c->retry);
    asm_here(a, odd);
    leave(e, &e->batch[c->batch - 1]);
}
