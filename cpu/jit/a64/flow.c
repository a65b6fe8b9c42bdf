/*
 * Transfers: block entry, direct and indirect jumps, side exits, cold code.
 *
 * A direct jump in its page leads to a piece of cold code that leaves, until it is linked. An
 * unconditional one is a B, which reaches the whole buffer. A conditional one reaches its target if
 * that is near enough, else the cold piece's first instruction, otherwise a NOP, becomes a B
 * (jit_host_patch in emit.c).
 */
#include <string.h>

#include "cpu/jit/a64/a64.h"

struct cold *a64_cold_new(struct em *e)
{
    if (e->ncold == COLD_MAX) {
        e->failed = true;
        return &e->cold[0];
    }
    struct cold *c = &e->cold[e->ncold++];
    *c = (struct cold){.u = e->u,
                       .rc = e->rc,
                       .x87_off = e->x87_off,
                       .x87_op = e->x87_op,
                       .vec = e->vec,
                       .batch = (uint8_t)(e->open ? e->nbatch : 0)};
    return c;
}

static struct cold *cold(struct em *e, unsigned kind, uint32_t from, uint32_t site)
{
    struct cold *c = a64_cold_new(e);
    c->kind = (uint8_t)kind;
    c->from = from;
    c->site = site;
    return c;
}

void a64_leave_from(struct em *e, uint32_t place, uint32_t site)
{
    cold(e, COLD_LEAVE, place, site);
}

void a64_segment_end(struct em *e)
{
    struct jit_counting *c = e->be->counting;
    if (c && e->code->segs) {
        jit_segment_end(c, e->seg, &e->seg_from, &e->a.count, e->seg_insns, e->seg_interp);
    }
}

void a64_segment(struct em *e)
{
    struct jit_counting *c = e->be->counting;
    struct asmbuf *a = &e->a;
    if (!c) {
        return;
    }
    a64_segment_end(e);
    e->seg = jit_segment_new(c, e->code);
    if (e->seg == UINT32_MAX) {
        e->failed = true;
        return;
    }
    struct emit_counts before = a->count; /* counting does not count */
    asm_mem_imm(a, 8, A_LD, P0, ENV, (uint32_t)ENV_OFF(runs));
    asm_const(a, P1, 8 * (uint64_t)e->seg);
    asm_addsub(a, 8, A_ADD, P0, P0, P1, A_LSL, 0);
    asm_mem_imm(a, 8, A_LD, P1, P0, 0);
    asm_addsub_imm(a, 8, A_ADD, P1, P1, 1);
    asm_mem_imm(a, 8, A_ST, P1, P0, 0);
    a->count = before;
    e->seg_from = before;
    e->seg_insns = e->seg_interp = 0;
}

/* Take the piece's length off the budget, or leave in front of it. */
static void charge(struct em *e)
{
    unsigned was = a64_class(e, EMIT_budget);
    asm_addsub_imm(&e->a, 8, A_SUBS, BUDGET, BUDGET, e->code->charge);
    uint32_t site = a64_site(e, SITE_BUDGET);
    cold(e, COLD_BUDGET, asm_bcond(&e->a, A_MI), site);
    a64_class(e, was);
    e->nz = NZ_NONE;
}

void a64_block_entry(struct em *e)
{
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    int32_t jt = ENV_OFF(jt) + (int32_t)(sizeof(struct jit_jt) * JIT_JT_SIZE * e->src->view);
    asm_word(a, (uint32_t)jt);
    asm_word(a, (uint32_t)l->l1[e->src->view]);
    a->count = (struct emit_counts){0};
    e->code->entry = a->at;
    a64_segment(e);
    if (e->be->check) {
        asm_const(a, T0, a64_site(e, SITE_CHECK));
        asm_bl_to(a, e->be->interp);
    }
    charge(e);
}

static void leave_by(struct em *e, uint32_t site)
{
    unsigned was = a64_class(e, EMIT_glue);
    asm_const(&e->a, T0, site);
    asm_b_to(&e->a, e->be->leave);
    a64_class(e, was);
}

void a64_leave(struct em *e, unsigned kind)
{
    leave_by(e, a64_site(e, kind));
}

void a64_interp(struct em *e)
{
    a64_vec_forget(e);
    unsigned was = a64_class(e, EMIT_glue);
    asm_const(&e->a, T0, a64_site(e, SITE_INTERP));
    asm_bl_to(&e->a, e->be->interp);
    a64_class(e, was);
    e->rc = (struct jit_recipe){.slot = true};
    e->over_clean = true; /* C settled everything */
    e->nz = NZ_NONE;
    e->groups = 0;
    e->x87_on = false;
    e->x87_off = 0;
}

static unsigned rip_width(const struct em *e)
{
    return e->src->bits == 64 ? 8 : 4;
}

/* ---- jump tables ---- */

/* T0 is a RIP: T3 = the code at its entry. Returns the place of the jump for a miss. */
static uint32_t table_find(struct em *e)
{
    struct asmbuf *a = &e->a;
    unsigned was = a64_class(e, EMIT_glue);
    asm_logic_imm(a, 4, A_AND, P0, T0, JIT_JT_SIZE - 1);
    asm_addsub(a, 8, A_ADD, P0, TABLE, P0, A_LSL, 4);
    asm_pair(a, true, T2, T3, P0, 0);
    asm_addsub(a, 8, A_SUBS, XZR, T2, T0, A_LSL, 0);
    e->nz = NZ_NONE;
    uint32_t miss = asm_bcond(a, A_NE);
    a64_class(e, was);
    return miss;
}

static void table_go(struct em *e)
{
    unsigned was = a64_class(e, EMIT_glue);
    asm_logic_imm(&e->a, 8, A_AND, PAGE, T0, ~UINT64_C(4095));
    asm_br(&e->a, T3);
    a64_class(e, was);
}

/* To another page: by the table. */
static void cross_page(struct em *e, int32_t target)
{
    uint32_t s = a64_site(e, SITE_LINK);
    e->be->site[s].target = target;
    unsigned was = a64_class(e, EMIT_glue);
    a64_add_const(&e->a, rip_width(e), T0, PAGE, target);
    uint32_t miss = table_find(e);
    table_go(e);
    asm_here(&e->a, miss);
    emit_cold(&e->a.count); /* misses are rare */
    leave_by(e, s);
    e->a.count.cls = (uint8_t)was;
}

/* What a link's unlinked jump leads to; first a NOP. */
static void unlinked_way(struct em *e, uint32_t place, uint32_t site)
{
    struct jit_site *s = &e->be->site[site];
    s->patch = place;
    s->unlinked = e->a.at;
    asm_word(&e->a, A64_NOP);
    leave_by(e, site);
}

static bool in_page(int32_t target)
{
    return target >= 0 && target < 4096;
}

static uint32_t link_site(struct em *e, int32_t target)
{
    uint32_t s = a64_site(e, SITE_LINK);
    e->be->site[s].target = target;
    return s;
}

/* Go to a place given from the page's first byte; t NULL: always. */
static void go(struct em *e, int64_t target64, const struct a64_test *t)
{
    int32_t target = (int32_t)target64;
    if (target64 != target) {
        e->failed = true;
        return;
    }
    if (!in_page(target) && !t) {
        cross_page(e, target);
        return;
    }
    unsigned was = a64_class(e, t ? EMIT_work : EMIT_glue);
    uint32_t from = t ? a64_jump_if(e, *t) : asm_b(&e->a);
    a64_class(e, was);
    if (in_page(target)) {
        cold(e, COLD_LINK, from, link_site(e, target));
    } else {
        cold(e, COLD_CROSS, from, 0)->target = target;
    }
}

static int64_t next_off(const struct em *e)
{
    return e->u->off + e->u->len;
}

/* dst = RIP of a place given from the page's first byte. */
static void rip_of(struct em *e, unsigned dst, int64_t off)
{
    a64_add_const(&e->a, rip_width(e), dst, PAGE, off);
}

static void move_sp(struct em *e, int32_t n)
{
    a64_add_const(&e->a, rip_width(e), a64_host(4), a64_host(4), n);
}

static void bail_from(struct em *e, uint32_t place)
{
    a64_leave_from(e, place, a64_site(e, SITE_BAIL));
}

static void call_push(struct em *e, const struct uop_mem *m)
{
    const struct uop *u = e->u;
    struct a64_loc at = a64_mem(e, m, u->w, true);
    rip_of(e, T2, next_off(e));
    a64_store(e, u->w, T2, at);
}

/* T0 = target of an indirect transfer. */
static void indirect_target(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_MEM) {
        struct a64_loc at = a64_mem(e, &u->m, u->sw, false);
        a64_load(e, u->sw, T0, at);
    } else {
        asm_mov(&e->a, u->sw, T0, a64_host(u->sr));
    }
}

/* The target's code must be known before anything is pushed. */
static void calli(struct em *e)
{
    const struct uop *u = e->u;
    struct uop_mem stack = {
        .base = 4, .index = UR_NONE, .asz = (uint8_t)rip_width(e), .disp = -(int64_t)u->w};
    indirect_target(e);
    bail_from(e, table_find(e));
    call_push(e, &stack);
    a64_spill_flags(e);
    move_sp(e, -(int32_t)u->w);
    table_go(e);
}

static void jcc(struct em *e)
{
    const struct uop *u = e->u;
    struct a64_test t = a64_cond(e, u->cc);
    if (u->attr & UF_SIDE) {
        cold(e, COLD_SIDE, a64_jump_if(e, t), 0)->target = (int32_t)u->imm;
        e->failed |= u->imm != (int32_t)u->imm;
        return;
    }
    a64_spill_flags(e);
    go(e, u->imm, &t);
    go(e, next_off(e), NULL);
}

/* A return to where the call in this superblock said: to the next micro-operation. */
static void return_inside(struct em *e)
{
    const struct uop *u = e->u;
    a64_kill_reg(e, 4);
    struct a64_loc at = a64_mem(e, &u->m, u->w, false);
    a64_load(e, u->w, T0, at);
    rip_of(e, T2, u[1].off);
    asm_addsub(&e->a, 8, A_SUBS, XZR, T0, T2, A_LSL, 0);
    e->nz = NZ_NONE;
    bail_from(e, asm_bcond(&e->a, A_NE));
    move_sp(e, (int32_t)(u->w + u->imm));
}

static void ret(struct em *e)
{
    const struct uop *u = e->u;
    if (u->attr & UF_SIDE) {
        return_inside(e);
        return;
    }
    a64_spill_flags(e);
    struct a64_loc at = a64_mem(e, &u->m, u->w, false);
    a64_load(e, u->w, T0, at);
    bail_from(e, table_find(e));
    move_sp(e, (int32_t)(u->w + u->imm));
    table_go(e);
}

bool a64_flow(struct em *e)
{
    const struct uop *u = e->u;
    if (!(u->attr & UF_SIDE)) { /* a side exit does it in its cold code */
        a64_x87_spill(e);
    }
    switch (u->op) {
    case U_JCC:
        jcc(e);
        return true;
    case U_JMP:
        a64_spill_flags(e);
        go(e, u->imm, NULL);
        return true;
    case U_END:
        a64_spill_flags(e);
        go(e, u->off, NULL);
        return true;
    case U_CALL:
        if (u->attr & UF_SIDE) {
            a64_kill_reg(e, 4);
        } else {
            a64_spill_flags(e);
        }
        call_push(e, &u->m);
        move_sp(e, -(int32_t)u->w);
        if (!(u->attr & UF_SIDE)) {
            go(e, u->imm, NULL);
        }
        return true;
    case U_RET:
        ret(e);
        return true;
    case U_JMPI:
        a64_spill_flags(e);
        indirect_target(e);
        bail_from(e, table_find(e));
        table_go(e);
        return true;
    case U_CALLI:
        calli(e);
        return true;
    default:
        return false;
    }
}

/* ---- loops ---- */

/* What the emitter knows where a loop closes. */
struct at_loop {
    struct jit_recipe rc;
    bool over_clean;
    struct vec vec;
    uint32_t groups;
    bool x87_on;
    uint16_t x87_off, x87_op;
};

static struct at_loop now(const struct em *e)
{
    return (struct at_loop){.rc = e->rc,
                            .over_clean = e->over_clean,
                            .vec = e->vec,
                            .groups = e->groups,
                            .x87_on = e->x87_on,
                            .x87_off = e->x87_off,
                            .x87_op = e->x87_op};
}

static void loop_end(struct em *e)
{
    a64_batch_end(e);
    if (e->vec_loop) {
        a64_vec_loop_end(e);
    } else {
        a64_vec_forget(e);
    }
}

/* Is all that a says of vector registers true of b too? */
static bool holds(const struct vec *a, const struct vec *b)
{
    return !(a->checked & ~b->checked) && (b->hi0_off || !a->hi0_off) && !(a->z4 & ~b->z4) &&
           !(a->z8 & ~b->z8) && !(a->high0 & ~b->high0);
}

static bool same_recipe(const struct jit_recipe *a, const struct jit_recipe *b)
{
    if (a->slot || b->slot) {
        return a->slot == b->slot;
    }
    return a->cc == b->cc && a->lw == b->lw && a->zf == b->zf && a->res_at == b->res_at &&
           a->res_reg == b->res_reg && a->b_at == b->b_at && a->b_reg == b->b_reg &&
           a->b_imm == b->b_imm;
}

/* Is what is known now, but for where vector registers are, enough to go to h? */
static bool reaches(const struct em *e, const struct at_loop *h)
{
    return same_recipe(&h->rc, &e->rc) && (e->over_clean || !h->over_clean) &&
           h->x87_off == e->x87_off && h->x87_op == e->x87_op && (e->x87_on || !h->x87_on) &&
           !(h->groups & ~e->groups) && holds(&h->vec, &e->vec);
}

static bool same_places(const struct em *e, const struct at_loop *h)
{
    return memcmp(h->vec.host, e->vec.host, sizeof e->vec.host) == 0;
}

/* The body once more, with what is known behind its first run: pending flags need not go to memory
 * from run to run. If less is known behind the second, its runs begin like the first. If only
 * vector registers are elsewhere, a third run will likely bring them back. */
void a64_loop(struct em *e)
{
    const struct uop *end = e->u;
    struct at_loop head[2];
    uint32_t again[2], to = e->body;
    bool found = false, more = true;
    loop_end(e);
    a64_vec_own(e);
    for (unsigned n = 0; n < 2 && more; n++) {
        head[n] = now(e);
        charge(e);
        again[n] = e->a.at;
        a64_segment(e);
        a64_run(e, e->src->n - 1);
        e->u = end;
        loop_end(e);
        for (unsigned k = 0; k <= n && !found; k++) {
            found = reaches(e, &head[k]) && same_places(e, &head[k]);
            to = found ? again[k] : to;
        }
        more = !found && reaches(e, &head[0]);
    }
    if (!found) {
        a64_vec_own(e);
        if (more) {
            to = again[0];
        } else {
            a64_x87_spill(e);
            a64_spill_flags(e);
        }
    }
    charge(e);
    asm_b_to(&e->a, to);
}

/* ---- cold code ---- */

/* The way out to a known place. Vector registers are in memory. */
static void cold_side(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    a64_x87_spill(e);
    a64_spill_flags(e);
    int32_t refund = a64_refund(e);
    if (c->lead) { /* this instruction and the rest of its block have not begun either */
        refund += e->src->part[c->u->part].charge - c->u->k;
    }
    if (refund) {
        asm_addsub_imm(a, 8, A_ADD, BUDGET, BUDGET, (uint32_t)refund);
    }
    if (!in_page(c->target)) {
        cross_page(e, c->target);
        return;
    }
    uint32_t s = link_site(e, c->target), jump = asm_b(a);
    asm_here(a, jump);
    unlinked_way(e, jump, s);
}

static void cold_refill(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    uint32_t wrong = 0;
    if (c->size > 1 && !c->aligned) { /* P0: address XOR tag. In the page, and all of it? */
        asm_lsr(a, 8, LINK, P0, 12);
        wrong = asm_cbz(a, 8, true, LINK);
        asm_addsub_imm(a, 8, A_SUB, LINK, P0, 4097u - c->size);
        asm_patch(a, asm_tbz(a, true, LINK, 63), c->pass);
        asm_here(a, wrong);
    }
    a64_cold_batch(e, c);
    a64_vec_spill(e, &c->vec);
    asm_mov(a, 8, P1, c->addr);
    asm_const(a, P0, c->what);
    asm_bl_to(a, e->be->refill);
    if (c->vec.live) {
        uint32_t no = asm_cbz(a, 4, false, P0);
        a64_vec_reload(e, &c->vec);
        asm_b_to(a, c->retry);
        asm_here(a, no);
    } else {
        asm_patch(a, asm_cbz(a, 4, true, P0), c->retry);
    }
    if (c->lead) {
        cold_side(e, c);
    } else {
        leave_by(e, c->site);
    }
}

void a64_cold(struct em *e)
{
    struct asmbuf *a = &e->a;
    emit_cold(&a->count);
    for (unsigned k = 0; k < e->ncold; k++) {
        const struct cold *c = &e->cold[k];
        e->u = c->u;
        e->rc = c->rc;
        e->x87_off = c->x87_off;
        e->x87_op = c->x87_op;
        asm_here(a, c->from);
        switch (c->kind) {
        case COLD_REFILL:
            cold_refill(e, c);
            break;
        case COLD_BUDGET:
            a64_vec_spill(e, &c->vec);
            asm_addsub_imm(a, 8, A_ADD, BUDGET, BUDGET, e->code->charge);
            leave_by(e, c->site);
            break;
        case COLD_LINK:
            unlinked_way(e, c->from, c->site);
            break;
        case COLD_CROSS:
            cross_page(e, c->target);
            break;
        case COLD_SIDE:
            a64_vec_spill(e, &c->vec);
            cold_side(e, c);
            break;
        case COLD_FP_ON:
            a64_cold_fp_on(e, c);
            leave_by(e, c->site);
            break;
        case COLD_X87:
            a64_x87_cold(e, c);
            break;
        case COLD_FP_ODD:
            a64_cold_fp_odd(e, c);
            break;
        default:
            a64_cold_batch(e, c);
            a64_vec_spill(e, &c->vec);
            leave_by(e, c->site);
            break;
        }
    }
}
