/*
 * String instructions with REP: the host's own, on the guest's pages.
 *
 * The host's instruction has the guest's registers, its order of accesses and so its overlaps. It
 * runs where nothing can come between two iterations: forward, each operand within its page, the
 * page in the soft TLB, the iterations within the budget. Everything else is the interpreter's, as
 * U_INTERP would be, without leaving code; a scan that comes to a page's end goes there with the
 * rest of its count, exactly as if it had been stopped between two iterations.
 *
 * Both ways meet behind the instruction: pending flags and vectors are in memory by then.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

static unsigned log2_of(unsigned w)
{
    return w == 1 ? 0 : w == 2 ? 1 : w == 4 ? 2 : 3;
}

static struct xo slot_src(void)
{
    return xm(ENV, ENV_OFF(target));
}

static struct xo slot_dst(void)
{
    return xm(ENV, ENV_OFF(scratch));
}

static struct xo budget(const struct em *e)
{
    return xm(ENV, e->be->l->budget);
}

/* To the interpreter if the host's condition holds. */
static struct cold *slow_if(struct em *e, unsigned cc, unsigned kind)
{
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = (uint8_t)kind};
    c->from = asm_jcc(&e->a, cc);
    return c;
}

/* Nothing is pending; rCX is not 0 (returns the place of the jump if it is), forward. */
static uint32_t begin(struct em *e)
{
    struct asmbuf *a = &e->a;
    x64_vec_forget(e);
    x64_x87_spill(e);
    x64_spill_flags(e);
    asm_test(a, e->u->m.asz, xr(RCX), RCX);
    uint32_t none = asm_jcc(a, XE);
    asm_test_imm(a, 1, xm(ENV, e->be->l->rflags + 1), 4); /* DF */
    slow_if(e, XNE, COLD_HERE);
    return none;
}

/* T1 = what must be below 4096 for an access in the page that reg points to: its offset there; T0 =
 * the offset of the soft TLB's tag from ENV. */
static void page_of(struct em *e, unsigned reg, bool write)
{
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    int32_t tag = l->l1[e->src->view] + (write ? 16 : 0);
    unsigned was = emit_class(&a->count, EMIT_address);
    asm_mov(a, 4, T0, reg);
    asm_shift(a, 4, 5, xr(T0), 7);
    asm_alu_imm(a, 4, 4, xr(T0), (int32_t)((l->l1_entries - 1) << 5));
    asm_lea(a, 8, T0, xm(T0, tag));
    asm_mov(a, 8, T1, reg);
    asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, 0));
    emit_class(&a->count, was);
}

static void host_insn(struct em *e, unsigned opcode, bool repne)
{
    struct asmbuf *a = &e->a;
    emit_one(&a->count);
    asm_byte(a, repne ? 0xf2 : 0xf3);
    if (e->u->w == 2) {
        asm_byte(a, 0x66);
    }
    if (e->u->w == 8) {
        asm_byte(a, 0x48);
    }
    asm_byte(a, opcode | (e->u->w > 1));
}

/* The last way to the interpreter has the site; behind all of it. */
static void end(struct em *e, struct cold *last, uint32_t site, uint32_t none)
{
    asm_here(&e->a, none);
    last->site = site;
    last->retry = e->a.at;
    x64_over_maybe(e);
    e->groups = 0;
    e->x87_on = false;
    e->x87_off = 0;
    e->host_flags = HF_NONE;
}

/* MOVS, STOS. */
void x64_emit_rep_move(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool two = u->op == U_REPMOVS;
    unsigned lw = log2_of(u->w), asz = u->m.asz;
    uint32_t none = begin(e), site = x64_site(e, SITE_INTERP);
    asm_alu_imm(a, 8, 7, xr(RCX), 4096 >> lw);
    slow_if(e, XA, COLD_HERE);
    for (unsigned k = two ? 0 : 1; k < 2; k++) { /* source, destination */
        page_of(e, k ? RDI : RSI, k);
        asm_lea(a, 8, T1, xmi(T1, RCX, lw, 0)); /* its end */
        asm_alu_imm(a, 8, 7, xr(T1), 4096);
        slow_if(e, XA, COLD_HERE);
        asm_load(a, 8, T1, xmi(ENV, T0, 0, 8));
        if (k == 0) {
            asm_store(a, 8, slot_src(), T1);
        }
    }
    asm_lea(a, 8, T0, xm(RCX, -1));
    asm_alu(a, 8, 7, T0, budget(e));
    struct cold *last = slow_if(e, XG, COLD_REP);
    asm_alu_to(a, 8, 5, budget(e), T0);
    asm_alu(a, 8, 0, RDI, xr(T1));
    if (two) {
        asm_alu(a, 8, 0, RSI, slot_src());
    }
    host_insn(e, two ? 0xa4 : 0xaa, false);
    asm_alu(a, asz, 5, RDI, xr(T1));
    if (two) {
        asm_alu(a, asz, 5, RSI, slot_src());
    }
    end(e, last, site, none);
}

/* RDI and RSI are the guest's again, what was done is paid for: T0 iterations were asked for, rCX
 * are left, `paid` before. */
static void put_back(struct em *e, const struct uop *u, int32_t paid)
{
    struct asmbuf *a = &e->a;
    asm_alu(a, u->m.asz, 5, T0, xr(RCX));
    if (paid) {
        asm_alu_imm(a, 8, 5, xr(T0), paid);
    }
    asm_alu_to(a, 8, 5, budget(e), T0);
    asm_alu(a, u->m.asz, 5, RDI, slot_dst());
    if (u->op == U_REPCMPS) {
        asm_alu(a, u->m.asz, 5, RSI, slot_src());
    }
}

/* T1 = the element before `reg`, which the host's instruction went past. */
static void element(struct em *e, unsigned reg)
{
    int32_t w = e->u->w;
    if (w < 4) {
        asm_zx(&e->a, (unsigned)w, T1, xm(reg, -w));
    } else {
        asm_load(&e->a, (unsigned)w, T1, xm(reg, -w));
    }
}

/* T0 = how many elements fit the rest of the page at `reg`; where the page is goes to `slot`. */
static void room(struct em *e, unsigned reg, struct xo slot)
{
    struct asmbuf *a = &e->a;
    page_of(e, reg, false);
    asm_alu_imm(a, 8, 7, xr(T1), (int32_t)(4096 - e->u->w));
    slow_if(e, XA, COLD_HERE);
    asm_load(a, 8, T0, xmi(ENV, T0, 0, 8));
    asm_store(a, 8, slot, T0);
    asm_const(a, T0, 4096);
    asm_alu(a, 4, 5, T0, xr(T1));
    if (e->u->w > 1) {
        asm_shift(a, 4, 5, xr(T0), log2_of(e->u->w));
    }
}

/* CMPS, SCAS. */
void x64_emit_rep_scan(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool two = u->op == U_REPCMPS;
    unsigned asz = u->m.asz;
    struct cold *undo = x64_cold_new(e);
    *undo = (struct cold){.kind = COLD_REP_UNDO, .u = u};
    uint32_t none = begin(e), site = x64_site(e, SITE_INTERP);
    if (two) {
        room(e, RSI, slot_src());
        asm_store(a, 8, xm(ENV, ENV_OFF(host)), T0);
    }
    room(e, RDI, slot_dst());
    if (two) {
        asm_alu(a, 8, 7, T0, xm(ENV, ENV_OFF(host)));
        asm_op(a, 8, 0x0f40 | XA, T0, xm(ENV, ENV_OFF(host)), 0); /* cmova */
    }
    asm_alu(a, asz, 7, T0, xr(RCX));
    asm_op(a, asz, 0x0f40 | XA, T0, xr(RCX), 0);
    asm_alu(a, 8, 7, T0, budget(e)); /* one is left to go on with */
    struct cold *last = slow_if(e, XG, COLD_REP);
    asm_mov(a, asz, T1, RCX);
    asm_alu(a, asz, 5, T1, xr(T0)); /* beyond the page */
    asm_mov(a, asz, RCX, T0);
    asm_lea(a, asz, T0, xmi(T0, T1, 0, 0)); /* what rCX was */
    asm_alu(a, 8, 0, RDI, slot_dst());
    if (two) {
        asm_alu(a, 8, 0, RSI, slot_src());
    }
    host_insn(e, two ? 0xa6 : 0xae, u->cc);
    asm_lea(a, asz, RCX, xmi(RCX, T1, 0, 0));
    uint32_t ended = asm_jcc(a, u->cc ? XE : XNE);
    asm_test(a, asz, xr(RCX), RCX);
    undo->from = asm_jcc(a, XNE);
    asm_here(a, ended);
    unsigned was = emit_class(&a->count, EMIT_flags);
    element(e, RDI);
    asm_store(a, 8, xm(ENV, ENV_OFF(cc_b)), T1);
    if (two) {
        element(e, RSI);
    }
    asm_store(a, 8, xm(ENV, ENV_OFF(cc_res)), two ? T1 : RAX);
    asm_store_imm(a, 4, xm(ENV, ENV_OFF(cc_op)), (int32_t)(CC_CMP << 2 | log2_of(u->w)));
    emit_class(&a->count, was);
    put_back(e, u, 1);
    end(e, last, site, none);
}

void x64_rep_cold(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    if (c->kind == COLD_REP_UNDO) { /* the interpreter pays for its first iteration no more */
        put_back(e, c->u, 0);
        return;
    }
    asm_const(a, T0, c->site);
    asm_call_to(a, x64_interp_at(e));
    asm_jmp_to(a, c->retry);
}
