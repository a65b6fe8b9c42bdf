/*
 * Entering and leaving: common code, block entry, transfers, cold code.
 *
 * Code runs with the host stack aligned to 16 bytes; common code is called with one
 * return address on it. Calling convention of C: System V AMD64 ABI 3.2.
 */
#include <stddef.h>

#include "cpu/jit/x64/x64.h"

/* ---- common code ---- */

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};
static const uint8_t caller_saved[] = {RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11};

static void load_pinned(struct asmbuf *a, const struct jit_layout *l, unsigned n)
{
    for (unsigned r = 0; r < n; r++) {
        asm_load(a, 8, x64_host(r), xm(ENV, l->gpr + 8 * (int32_t)r));
    }
}

static void store_pinned(struct asmbuf *a, const struct jit_layout *l, unsigned n)
{
    for (unsigned r = 0; r < n; r++) {
        asm_store(a, 8, xm(ENV, l->gpr + 8 * (int32_t)r), x64_host(r));
    }
}

/* Call C with (env, T1, T0) and return its result in T0; guest registers stay where they are. leaf:
 * what is called does arithmetic on integers and calls nothing, so it may meet the guest's x87
 * state in the host's FPU. */
static uint32_t common_helper(const struct jit_backend *be, struct asmbuf *a, int32_t helper,
                              bool la, bool leaf)
{
    uint32_t at = a->at;
    asm_test_imm(a, 1, xm(ENV, ENV_OFF(vec_no)), JIT_VEC_UNLOADED);
    uint32_t plain = asm_jcc(a, XNE);
    asm_alu_imm(a, 8, 5, xr(RSP), 8);
    uint32_t with_fp = asm_call(a);
    asm_alu_imm(a, 8, 0, xr(RSP), 8);
    asm_jmp_to(a, be->fp_on);
    asm_here(a, plain);
    asm_here(a, with_fp);
    x64_fp_off(be, a);
    for (unsigned k = 0; k < sizeof caller_saved; k++) {
        asm_push(a, caller_saved[k]);
    }
    asm_mov(a, 8, RDI, ENV);
    if (la) {
        asm_mov(a, 8, RSI, T1);
        asm_mov(a, 4, RDX, T0);
    } else {
        asm_mov(a, 4, RSI, T0);
    }
    if (leaf) {
        asm_call_ind(a, xm(ENV, helper));
    } else {
        x64_x87_out(a);
        asm_call_ind(a, xm(ENV, helper));
        x64_x87_back(a);
    }
    asm_mov(a, 4, T0, RAX);
    for (unsigned k = sizeof caller_saved; k-- > 0;) {
        asm_pop(a, caller_saved[k]);
    }
    asm_byte(a, 0xc3);
    return at;
}

/* Leave for good; T0: site. n: guest registers in host registers. Returns where that is done. */
static uint32_t common_leave(const struct jit_backend *be, struct asmbuf *a, unsigned n)
{
    x64_fp_off(be, a);
    x64_x87_out(a);
    store_pinned(a, be->l, n);
    uint32_t out = a->at;
    asm_mov(a, 4, RAX, T0);
    asm_alu_imm(a, 8, 0, xr(RSP), 8);
    for (unsigned k = sizeof callee_saved; k-- > 0;) {
        asm_pop(a, callee_saved[k]);
    }
    asm_byte(a, 0xc3);
    return out;
}

/* Call env->interp; T0: site. */
static void common_interp(const struct jit_backend *be, struct asmbuf *a, unsigned n, uint32_t out)
{
    x64_fp_off(be, a);
    x64_x87_out(a);
    store_pinned(a, be->l, n);
    asm_alu_imm(a, 8, 5, xr(RSP), 8);
    asm_mov(a, 8, RDI, ENV);
    asm_mov(a, 4, RSI, T0);
    asm_call_ind(a, xm(ENV, ENV_OFF(interp)));
    asm_alu_imm(a, 8, 0, xr(RSP), 8);
    asm_test(a, 4, xr(RAX), RAX);
    uint32_t gone = asm_jcc(a, XNE);
    load_pinned(a, be->l, n);
    asm_byte(a, 0xc3);
    asm_here(a, gone);
    asm_alu_imm(a, 8, 0, xr(RSP), 8);
    asm_alu_imm(a, 4, 7, xr(RAX), JIT_GO);
    uint32_t leave = asm_jcc(a, XNE);
    load_pinned(a, be->l, GUEST_PINNED); /* the other code may be 64-bit code */
    asm_jmp_ind(a, xm(ENV, ENV_OFF(host)));
    asm_here(a, leave);
    asm_const(a, T0, JIT_DONE);
    asm_jmp_to(a, out);
}

void x64_common(struct jit_backend *be)
{
    struct asmbuf a = {.base = be->mem.write, .end = (uint32_t)be->mem.bytes};
    be->features = x64_host_features();
    be->enter = a.at;
    for (unsigned k = 0; k < sizeof callee_saved; k++) {
        asm_push(&a, callee_saved[k]);
    }
    asm_alu_imm(&a, 8, 5, xr(RSP), 8);
    asm_mov(&a, 8, ENV, RDI);
    asm_mov(&a, 8, T1, RSI);
    load_pinned(&a, be->l, GUEST_PINNED);
    asm_jmp_ind(&a, xr(T1));

    be->leave = a.at;
    uint32_t out = common_leave(be, &a, GUEST_PINNED);
    be->leave32 = a.at;
    common_leave(be, &a, 8);

    x64_vec_common(be, &a);
    be->refill = common_helper(be, &a, ENV_OFF(refill), true, false);
    be->near_failed = common_helper(be, &a, ENV_OFF(near_failed), true, true);
    be->cond = common_helper(be, &a, ENV_OFF(cond), false, true);
    be->quick = common_helper(be, &a, ENV_OFF(quick), true, false);
    be->flags = x64_flags_common(be, &a);
    be->x87_load = common_helper(be, &a, ENV_OFF(x87_load), false, false);

    be->interp = a.at;
    common_interp(be, &a, GUEST_PINNED, out);
    be->interp32 = a.at;
    common_interp(be, &a, 8, out);
    be->at = be->start = (a.at + 15) & ~15u;
}

/* ---- leaving ---- */

struct cold *x64_cold_new(struct em *e)
{
    if (e->ncold == COLD_MAX) {
        e->failed = true;
        return &e->cold[0];
    }
    e->cold_vec[e->ncold] = e->vec.s;
    return &e->cold[e->ncold++];
}

void x64_segment_end(struct em *e)
{
    struct jit_counting *c = e->be->counting;
    if (c && e->code->segs) {
        jit_segment_end(c, e->seg, &e->seg_from, &e->a.count, e->seg_insns, e->seg_interp);
    }
}

void x64_segment(struct em *e)
{
    struct jit_counting *c = e->be->counting;
    struct asmbuf *a = &e->a;
    if (!c) {
        return;
    }
    x64_segment_end(e);
    e->seg = jit_segment_new(c, e->code);
    if (e->seg == UINT32_MAX) {
        e->failed = true;
        return;
    }
    struct emit_counts before = a->count; /* counting does not count */
    struct xo at = xm(T1, (int32_t)(8 * e->seg));
    asm_load(a, 8, T1, xm(ENV, ENV_OFF(runs)));
    asm_load(a, 8, T0, at);
    asm_lea(a, 8, T0, xm(T0, 1));
    asm_store(a, 8, at, T0);
    a->count = before;
    e->seg_from = before;
    e->seg_insns = e->seg_interp = 0;
}

/* Take the piece's length off the budget, or leave in front of it. */
static void charge(struct em *e)
{
    struct asmbuf *a = &e->a;
    unsigned was = emit_class(&a->count, EMIT_budget);
    asm_alu_imm(a, 8, 5, xm(ENV, e->be->l->budget), (int32_t)e->code->charge);
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = COLD_BUDGET, .site = x64_site(e, SITE_BUDGET)};
    c->from = asm_jcc(a, XL);
    emit_class(&a->count, was);
}

void x64_block_entry(struct em *e)
{
    struct asmbuf *a = &e->a;
    e->code->entry = a->at;
    x64_segment(e);
    if (e->be->check) {
        asm_const(a, T0, x64_site(e, SITE_CHECK));
        asm_call_to(a, x64_interp_at(e));
    }
    charge(e);
}

void x64_leave(struct em *e, unsigned kind)
{
    unsigned was = emit_class(&e->a.count, EMIT_glue);
    uint32_t s = x64_site(e, kind);
    asm_const(&e->a, T0, s);
    asm_jmp_to(&e->a, x64_leave_at(e));
    emit_class(&e->a.count, was);
}

void x64_interp(struct em *e)
{
    unsigned was = emit_class(&e->a.count, EMIT_glue);
    asm_const(&e->a, T0, x64_site(e, SITE_INTERP));
    asm_call_to(&e->a, x64_interp_at(e));
    emit_class(&e->a.count, was);
    e->rc = (struct jit_recipe){.slot = true};
    e->over = OVER_NONE; /* C settled everything */
    e->sahf = false;
    e->groups = 0;
    e->x87_on = false;
    e->x87_off = 0;
    e->host_flags = HF_NONE;
}

static unsigned rip_width(const struct em *e)
{
    return e->src->bits == 64 ? 8 : 4;
}

/* ---- jump tables ---- */

/* T0 is a RIP of based code: make it the linear address, and an impossible one if the RIP is so
 * near the segment's end that a block might not fit. env->next_page = the RIP of its page. Uses T1.
 */
static void based_linear(struct em *e)
{
    struct asmbuf *a = &e->a;
    unsigned bits = e->src->bits;
    asm_lea(a, 8, T1, xm(T0, JIT_NEAR_END));
    asm_shift(a, 8, 5, xr(T1), bits);
    asm_shift(a, 8, 4, xr(T1), 32);
    asm_store(a, 8, xm(ENV, ENV_OFF(linear)), T1);
    asm_load(a, 4, T1, xm(ENV, e->be->l->segv_code));
    asm_alu(a, 4, 0, T1, xr(T0));
    asm_alu_to(a, 8, 1, xm(ENV, ENV_OFF(linear)), T1);
    asm_alu_imm(a, 4, 4, xr(T1), 4095);
    asm_alu(a, 4, 5, T0, xr(T1));
    asm_store(a, 8, xm(ENV, ENV_OFF(next_page)), T0);
    asm_load(a, 8, T0, xm(ENV, ENV_OFF(linear)));
}

/* T0 is a RIP: compare with its entry, T1 its offset. Returns the place of the jump for a miss.
 * Based code: T0 is the linear address then. */
static uint32_t table_find(struct em *e)
{
    struct asmbuf *a = &e->a;
    int32_t jt = ENV_OFF(jt) + (int32_t)(sizeof(struct jit_jt) * JIT_JT_SIZE * e->src->view);
    unsigned was = emit_class(&a->count, EMIT_glue);
    if (e->src->based) {
        based_linear(e);
    }
    asm_mov(a, 4, T1, T0); /* jit_jt_index */
    asm_alu_imm(a, 4, 4, xr(T1), JIT_JT_SIZE - 1);
    asm_shift(a, 4, 4, xr(T1), 4);
    asm_alu(a, 8, 7, T0, xmi(ENV, T1, 0, jt));
    uint32_t miss = asm_jcc(a, XNE);
    emit_class(&a->count, was);
    return miss;
}

/* T0 is as table_find left it: env->page of there. */
static void table_page(struct em *e)
{
    struct asmbuf *a = &e->a;
    if (e->src->based) {
        asm_load(a, 8, T0, xm(ENV, ENV_OFF(next_page)));
    } else {
        asm_alu_imm(a, 8, 4, xr(T0), -4096);
    }
    asm_store(a, 8, xm(ENV, ENV_OFF(page)), T0);
}

static void table_go(struct em *e)
{
    struct asmbuf *a = &e->a;
    int32_t jt = ENV_OFF(jt) + (int32_t)(sizeof(struct jit_jt) * JIT_JT_SIZE * e->src->view);
    unsigned was = emit_class(&a->count, EMIT_glue);
    table_page(e);
    asm_jmp_ind(a, xmi(ENV, T1, 0, jt + 8));
    emit_class(&a->count, was);
}

/* To another page: by the table. */
static void cross_page(struct em *e, int32_t target)
{
    struct asmbuf *a = &e->a;
    uint32_t s = x64_site(e, SITE_LINK);
    e->be->site[s].target = target;
    unsigned was = emit_class(&a->count, EMIT_glue);
    asm_load(a, 8, T0, xm(ENV, ENV_OFF(page)));
    asm_lea(a, rip_width(e), T0, xm(T0, target));
    if (e->src->bits == 16) {
        asm_zx(a, 2, T0, xr(T0));
    }
    uint32_t miss = table_find(e);
    table_go(e);
    asm_here(a, miss);
    emit_cold(&a->count); /* misses are rare */
    asm_const(a, T0, s);
    asm_jmp_to(a, x64_leave_at(e));
    a->count.cls = (uint8_t)was;
}

/* Is a link of no use? The target is in another page, or may straddle into one, or IP might wrap on
 * the way. */
static bool by_table(const struct em *e, int64_t target)
{
    return target < 0 || target > 4096 - 15 || e->src->based;
}

/* Go to a place given from the page's first byte; cc < 0: always. */
static void go(struct em *e, int64_t target64, int cc)
{
    int32_t target = (int32_t)target64;
    if (target64 != target) {
        e->failed = true;
        return;
    }
    bool same_page = !by_table(e, target);
    if (!same_page && cc < 0) {
        cross_page(e, target);
        return;
    }
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = same_page ? COLD_LINK : COLD_CROSS, .target = target};
    if (same_page) {
        c->site = x64_site(e, SITE_LINK);
        e->be->site[c->site].target = target;
    }
    unsigned was = emit_class(&e->a.count, cc < 0 ? EMIT_glue : EMIT_work);
    c->from = cc < 0 ? asm_jmp(&e->a) : asm_jcc(&e->a, (unsigned)cc);
    emit_class(&e->a.count, was);
}

void x64_cold_state(struct em *e, struct cold *c, int32_t target)
{
    c->target = target;
    c->u = e->u;
    c->rc = e->rc;
    c->over = e->over;
    c->sahf = e->sahf;
    c->x87_off = e->x87_off;
    c->x87_op = e->x87_op;
}

/* Leave a superblock for `target` if the host's condition cc holds; the rest is cold. */
static void side_exit(struct em *e, int64_t target64, unsigned cc)
{
    int32_t target = (int32_t)target64;
    if (target64 != target) {
        e->failed = true;
        return;
    }
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = COLD_SIDE};
    x64_cold_state(e, c, target);
    c->from = asm_jcc(&e->a, cc);
}

/* The way out to a known place. Vector registers are in memory. */
static void cold_side(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    e->u = c->u;
    e->rc = c->rc;
    e->over = c->over;
    e->sahf = c->sahf;
    e->x87_off = c->x87_off;
    e->x87_op = c->x87_op;
    x64_x87_spill(e);
    x64_spill_flags(e);
    uint32_t s = x64_site(e, SITE_LINK);
    e->be->site[s].target = c->target;
    int32_t refund = x64_refund(e);
    if (c->lead) { /* this instruction and the rest of its block have not begun either */
        refund += e->src->part[c->u->part].charge - c->u->k;
    }
    if (refund) {
        asm_alu_imm(a, 8, 0, xm(ENV, e->be->l->budget), refund);
    }
    if (by_table(e, c->target)) {
        cross_page(e, c->target);
        return;
    }
    e->be->site[s].patch = asm_jmp(a);
    asm_here(a, e->be->site[s].patch);
    e->be->site[s].unlinked = a->at;
    asm_const(a, T0, s);
    asm_jmp_to(a, x64_leave_at(e));
}

static int64_t next_off(const struct em *e)
{
    return e->u->off + e->u->len;
}

void x64_go_on(struct em *e)
{
    go(e, next_off(e), -1);
}

/* LOOPNE, LOOPE, LOOP, JCXZ. */
void x64_emit_jcount(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    if (u->cc < 2) { /* T1 = does ZF let it go on */
        unsigned zf = x64_cond(e, u->cc ? XE : XNE);
        asm_setcc(a, zf, xr(T1));
    }
    x64_spill_flags(e);
    x64_x87_spill(e);
    e->host_flags = HF_NONE;
    if (u->cc == 3) {
        asm_test(a, u->sw, xr(RCX), RCX);
    } else {
        asm_inc(a, u->sw, 1, xr(RCX));
    }
    if (u->cc < 2) {
        asm_setcc(a, XNE, xr(T0));
        asm_test(a, 1, xr(T0), T1); /* both are 0 or 1 */
    }
    go(e, u->imm, u->cc == 3 ? XE : XNE);
    x64_go_on(e);
}

/* T0 or T1 = RIP of the next instruction. */
static void next_rip(struct em *e, unsigned dst)
{
    asm_load(&e->a, 8, dst, xm(ENV, ENV_OFF(page)));
    asm_lea(&e->a, rip_width(e), dst, xm(dst, (int32_t)next_off(e)));
}

static void bail_from(struct em *e, uint32_t place)
{
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){
        .kind = COLD_JUMP, .site = x64_site(e, SITE_BAIL), .from = place, .to = x64_leave_at(e)};
}

static void call_push(struct em *e)
{
    const struct uop *u = e->u;
    struct xo at = x64_mem(e, &u->m, u->w, true, true);
    next_rip(e, T1);
    asm_store(&e->a, u->w, at, T1);
    x64_add_sp(e, -(int32_t)u->w);
}

/* T0 = target of an indirect transfer. */
static void indirect_target(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_MEM) {
        struct xo at = x64_mem(e, &u->m, u->sw, false, false);
        asm_load(&e->a, u->sw, T0, at);
    } else {
        asm_load(&e->a, u->sw, T0, x64_gpr(e, u->sr));
    }
    if (u->sw == 2) {
        asm_zx(&e->a, 2, T0, xr(T0));
    }
}

static void flow_calli(struct em *e)
{
    static const struct uop_mem none = {.base = UR_NONE};
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    int32_t jt = ENV_OFF(jt) + (int32_t)(sizeof(struct jit_jt) * JIT_JT_SIZE * e->src->view);
    struct uop_mem stack = none;
    stack.base = 4;
    stack.index = UR_NONE;
    stack.asz = e->src->sp_bits / 8;
    stack.segm = e->src->sp_segm;
    stack.seg = 2;
    stack.disp = -(int64_t)u->w;
    indirect_target(e);
    bail_from(e, table_find(e));
    asm_store(a, 8, xm(ENV, ENV_OFF(target)), T0);
    asm_load(a, 8, T1, xmi(ENV, T1, 0, jt + 8));
    asm_store(a, 8, xm(ENV, ENV_OFF(host)), T1);
    e->keep = true; /* the code that env->host leads to */
    struct xo at = x64_mem(e, &stack, u->w, true, true);
    e->keep = false;
    next_rip(e, T1);
    asm_store(a, u->w, at, T1);
    x64_spill_flags(e);
    x64_add_sp(e, -(int32_t)u->w);
    asm_load(a, 8, T0, xm(ENV, ENV_OFF(target)));
    table_page(e);
    asm_jmp_ind(a, xm(ENV, ENV_OFF(host)));
}

/* A return to where the call in this superblock said: to the next micro-operation. */
static void return_inside(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    x64_kill_reg(e, 4);
    struct xo at = x64_mem(e, &u->m, u->w, false, true);
    asm_load(a, 8, T1, xm(ENV, ENV_OFF(page)));
    asm_lea(a, rip_width(e), T1, xm(T1, u[1].off));
    asm_alu(a, u->w, 7, T1, at);
    x64_bail_if(e, XNE, x64_site(e, SITE_BAIL));
    x64_add_sp(e, (int32_t)(u->w + u->imm));
}

bool x64_flow(struct em *e)
{
    const struct uop *u = e->u;
    if (!(u->attr & UF_SIDE)) { /* a side exit does it in its cold code */
        x64_x87_spill(e);
    }
    switch (u->op) {
    case U_JCC: {
        unsigned cc = x64_cond(e, u->cc);
        if (u->attr & UF_SIDE) {
            side_exit(e, u->imm, cc);
            return true;
        }
        x64_spill_flags(e);
        go(e, u->imm, (int)cc);
        go(e, next_off(e), -1);
        return true;
    }
    case U_JMP:
        x64_spill_flags(e);
        go(e, u->imm, -1);
        return true;
    case U_END:
        x64_spill_flags(e);
        go(e, u->off, -1);
        return true;
    case U_CALL:
        if (u->attr & UF_SIDE) {
            x64_kill_reg(e, 4);
            call_push(e);
            return true;
        }
        x64_spill_flags(e);
        call_push(e);
        go(e, u->imm, -1);
        return true;
    case U_RET: {
        if (u->attr & UF_SIDE) {
            return_inside(e);
            return true;
        }
        x64_spill_flags(e);
        struct xo at = x64_mem(e, &u->m, u->w, false, false);
        asm_load(&e->a, u->w, T0, at);
        if (u->w == 2) {
            asm_zx(&e->a, 2, T0, xr(T0));
        }
        bail_from(e, table_find(e));
        x64_add_sp(e, (int32_t)(u->w + u->imm));
        table_go(e);
        return true;
    }
    case U_JMPI:
        x64_spill_flags(e);
        indirect_target(e);
        bail_from(e, table_find(e));
        table_go(e);
        return true;
    case U_CALLI:
        flow_calli(e);
        return true;
    default:
        return false;
    }
}

/* ---- loops ---- */

/* What the emitter knows where a loop closes. */
struct at_loop {
    struct jit_recipe rc;
    uint8_t over;
    bool sahf, x87_on;
    uint16_t x87_off, x87_op;
    uint8_t checked; /* of vec_place */
    uint32_t groups;
    bool hi0_off;
};

static struct at_loop loop_end(struct em *e)
{
    if (e->vec_loop) {
        x64_vec_loop_end(e);
        e->vec.s = e->vec_head; /* what is dirty behind any run */
    } else {
        x64_vec_forget(e);
    }
    e->host_flags = HF_NONE;
    return (struct at_loop){.rc = e->rc,
                            .over = e->over,
                            .sahf = e->sahf,
                            .x87_on = e->x87_on,
                            .x87_off = e->x87_off,
                            .x87_op = e->x87_op,
                            .checked = e->vec.checked,
                            .groups = e->groups,
                            .hi0_off = e->vec.hi0_off};
}

/* Is what was known of the flags in a, still so in b? */
static bool same_recipe(const struct jit_recipe *a, const struct jit_recipe *b)
{
    if (a->slot != b->slot || (a->slot && a->known && !b->known)) {
        return false;
    }
    if (a->slot && !a->known) {
        return true;
    }
    return a->cc == b->cc && a->lw == b->lw && a->zf == b->zf && a->res_at == b->res_at &&
           a->res_reg == b->res_reg && a->b_at == b->b_at && a->b_reg == b->b_reg &&
           a->b_imm == b->b_imm;
}

/* The body once more, with what is known behind its first run: pending flags need not go to memory
 * from run to run. If less is known behind the second, its runs begin like the first. */
void x64_loop(struct em *e)
{
    const struct uop *end = e->u;
    struct at_loop first = loop_end(e);
    charge(e);
    uint32_t again = e->a.at;
    x64_segment(e);
    x64_run(e, e->src->n - 1);
    e->u = end;
    struct at_loop second = loop_end(e);
    bool same = same_recipe(&first.rc, &second.rc) && first.over == second.over &&
                first.sahf == second.sahf && first.x87_on == second.x87_on &&
                first.x87_off == second.x87_off && first.x87_op == second.x87_op &&
                !(first.checked & ~second.checked) && !(first.groups & ~second.groups) &&
                (second.hi0_off || !first.hi0_off);
    if (!same) {
        x64_x87_spill(e);
        x64_spill_flags(e);
    }
    charge(e);
    asm_jmp_to(&e->a, same ? again : e->body);
}

/* ---- cold code ---- */

/* T0 is another entry than that of T1, which is an address XOR T0's tag: so that they belong
 * together, and to the slot. Where that fails so often that it does not pay, C takes the slot away.
 * Returns with T0 and T1 as cold_refill wants them. */
static void cold_near(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    const struct vec_state *vec = &e->cold_vec[c - e->cold];
    asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, c->tag));
    x64_tlb_entry(e->be, a);
    asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, c->tag));
    uint32_t miss = x64_tlb_compare(e, c->what);
    int32_t slot = x64_near(c->slot);
    asm_store(a, 4, xm(ENV, slot + (int32_t)offsetof(struct jit_near, entry)), T0);
    asm_store_imm(a, 8, xm(ENV, slot + (int32_t)offsetof(struct jit_near, limit)),
                  (int32_t)(4097 - JIT_REFILL_BYTES(c->what)));
    asm_store_imm(a, 1, xm(ENV, ENV_OFF(near_filled) + e->src->view), 1);
    asm_alu_imm(a, 4, 5, xm(ENV, slot + (int32_t)offsetof(struct jit_near, left)), 1);
    asm_patch(a, asm_jcc(a, XNS), c->hit);
    x64_vec_spill(e, vec);
    asm_const(a, T1, c->look);
    asm_const(a, T0, c->slot | (e->src->bits == 64 ? JIT_NEAR_LIMIT : 0));
    asm_call_to(a, e->be->near_failed);
    x64_vec_reload(e, vec);
    asm_jmp_to(a, c->retry);
    asm_here(a, miss);
}

static void cold_refill(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    const struct vec_state *vec = &e->cold_vec[c - e->cold];
    uint32_t ends = 0; /* the page is there, but ends, or the address is misaligned */
    if (c->near) {
        cold_near(e, c);
    }
    x64_vec_spill(e, vec);
    if (c->known) {
        asm_const(a, T1, c->to);
    } else {
        asm_alu_imm(a, 8, 7, xr(T1), 4096);
        ends = asm_jcc(a, XB);
        asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, c->tag));
    }
    if (c->what & JIT_REFILL_ONCE) {
        asm_store_imm(a, 4, xm(ENV, ENV_OFF(store_site)), (int32_t)c->site);
    }
    asm_const(a, T0, c->what);
    asm_call_to(a, e->be->refill);
    asm_test(a, 4, xr(T0), T0);
    uint32_t no = asm_jcc(a, XE);
    if (c->what & JIT_REFILL_ONCE) { /* T1 is still the address, for those who need it */
        asm_alu_imm(a, 4, 7, xr(T0), 2);
        uint32_t entry = asm_jcc(a, XNE);
        x64_vec_reload(e, vec);
        asm_load(a, 8, T0, xm(ENV, ENV_OFF(once)));
        if (c->known) {
            asm_const(a, T1, c->to & ~4095u);
        }
        asm_jmp_to(a, c->once);
        asm_here(a, entry);
    }
    x64_vec_reload(e, vec);
    asm_jmp_to(a, c->retry);
    asm_here(a, no);
    if (ends) {
        asm_here(a, ends);
    }
    if (c->lead) {
        cold_side(e, c);
        return;
    }
    asm_const(a, T0, c->site);
    asm_jmp_to(a, x64_leave_at(e));
}

void x64_cold(struct em *e)
{
    struct asmbuf *a = &e->a;
    emit_cold(&a->count);
    const struct uop *last = e->u;
    for (unsigned k = 0; k < e->ncold; k++) {
        struct cold *c = &e->cold[k];
        struct jit_site *s = &e->be->site[c->site];
        asm_here(a, c->from);
        switch (c->kind) {
        case COLD_REFILL:
            cold_refill(e, c);
            break;
        case COLD_BUDGET:
            x64_vec_spill(e, &e->cold_vec[k]);
            asm_alu_imm(a, 8, 0, xm(ENV, e->be->l->budget), (int32_t)e->code->charge);
            asm_const(a, T0, c->site);
            asm_jmp_to(a, x64_leave_at(e));
            break;
        case COLD_LINK:
            s->patch = c->from;
            s->unlinked = a->at;
            asm_const(a, T0, c->site);
            asm_jmp_to(a, x64_leave_at(e));
            break;
        case COLD_CROSS: /* flags are in memory */
            e->u = last;
            e->rc = (struct jit_recipe){.slot = true};
            cross_page(e, c->target);
            break;
        case COLD_VEC:
            x64_vec_cold(e, c);
            break;
        case COLD_X87:
            x64_x87_cold(e, c);
            break;
        case COLD_HERE:
            break;
        case COLD_REP_UNDO:
        case COLD_REP:
            x64_rep_cold(e, c);
            break;
        case COLD_SIDE:
            x64_vec_spill(e, &e->cold_vec[k]);
            cold_side(e, c);
            break;
        default:
            x64_vec_spill(e, &e->cold_vec[k]);
            asm_const(a, T0, c->site);
            asm_jmp_to(a, c->to);
            break;
        }
    }
}
