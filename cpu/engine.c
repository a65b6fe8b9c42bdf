/*
 * Between the run loop and compiled code: when to compile, entering and leaving; see engine.h and
 * cpu/jit/jit.h.
 */
#include "cpu/engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/engine_impl.h"
#include "cpu/engine_log.h"
#include "cpu/lift.h"
#include "cpu/x87_host.h"
#include "util/os_mem.h"

#define BUFFER_BYTES (32u << 20)
#define MUCH_CODE    512u /* blocks compiled: then tables are worth the host's huge pages */
extern const struct sem sem_stac, sem_clac; /* cpu/ctrl.c */
#define PORTION 20000                       /* of the budget: where it ends is a sample */

/* ---- running ---- */

/* Too much of it would be left to the interpreter: the way there and back costs more than the rest
 * gains. */
bool engine_not_worth(const struct uop *u, unsigned n)
{
    unsigned left_out = 0;
    for (unsigned k = 0; k < n; k++) {
        left_out += u[k].op == U_INTERP;
    }
    return left_out * 5 > n;
}

struct jit_code *engine_compile(struct engine *e, struct cpu *cpu, struct block *const *b,
                                unsigned parts, struct uop *u, unsigned n, enum tlb_view view)
{
    struct jit_source src = {.nparts = parts,
                             .u = u,
                             .n = n,
                             .page_off = (uint16_t)(b[0]->pa & ~PAGE_MASK),
                             .bits = b[0]->mode & MODE_C64   ? 64
                                     : b[0]->mode & MODE_C32 ? 32
                                                             : 16,
                             .based = lift_based(b[0]->mode),
                             .sp_bits = (uint8_t)lift_stack_bits(b[0]->mode),
                             .sp_segm = (uint8_t)lift_stack_segm(b[0]->mode),
                             .view = (uint8_t)view,
                             .lead_first = b[0]->lead_fails < LEAD_FAILS,
                             .wide = !(b[0]->mode & (MODE_C64 | MODE_LONG)),
                             .x87_pointers = !cpu_has(cpu, FEAT_fdp_excptn_only)};
    for (unsigned k = 0; k < n; k++) {
        if (chaos_hits(&e->chaos, 32)) {
            lift_refuse(&u[k]);
        }
    }
    for (unsigned p = 0; p < parts; p++) {
        src.part[p] = (struct jit_part){b[p], b[p]->n};
        b[p]->in_code = true;
    }
    struct jit_code *code = jit_compile(e->jit, &src);
    if (code) {
        engine_log_uops(cpu, b[0], u, n); /* behind the passes */
        engine_log_code(cpu, e->jit, code);
    }
    return code;
}

static bool compile(struct engine *e, struct cpu *cpu, struct block *b)
{
    struct uop u[BLOCK_INSNS + 1];
    bool based = lift_based(b->mode);
    bool straddles = b->pfn2 != UINT64_MAX;
    if (!lift_mode(b->mode) || (based && !cpu_has(cpu, FEAT_i386))) {
        b->left = INT32_MAX;
        return false;
    }
    b->hot = based || straddles ? NEVER_SUPER : b->hot;
    unsigned n = lift_block(b, u, cpu->yields);
    if (engine_not_worth(u, n)) {
        b->left = INT32_MAX;
        return false;
    }
    b->code = engine_compile(e, cpu, &b, 1, u, n, cpu->view);
    if (!b->code) {
        b->left = INT32_MAX; /* more than a back end holds */
        return false;
    }
    b->left = 0;
    if (++e->compiled == MUCH_CODE) {
        for (unsigned c = 0; c < e->ncpus; c++) {
            os_mem_collapse(e->cpus[c], os_mem_huge_up(sizeof *e->cpus[c]));
        }
    }
    return true;
}

void engine_cut_off(struct engine *e, struct block *b)
{
    jit_unlink(e->jit, b->code);
    jt_forget(e, b, b->code);
}

/* May code of a block jump to code of a block of that mode? STAC and CLAC change it. */
static bool leads_to_mode(const struct block *from, uint32_t mode)
{
    const struct insn *last = &from->insn[from->n - 1];
    if (last->row != 0xffff) {
        const struct sem *s = insn_rows[last->row].sem;
        if (s == &sem_stac || s == &sem_clac) {
            return mode ==
                   (s == &sem_stac ? from->mode | MODE_AC : from->mode & ~(uint32_t)MODE_AC);
        }
    }
    return mode == from->mode;
}

/* A direct transfer from `site` led to b: let it jump there, if both lie in one physical page. The
 * second page of a straddling instruction may change, so such a block is found by its RIP. */
static void link(struct engine *e, uint32_t site, struct block *b)
{
    const struct jit_site *s = jit_site(e->jit, site);
    const struct block *from = s->owner;
    if (!e->o.no_links && !chaos_hits(&e->chaos, 2) && from->valid && from->ram == b->ram &&
        from->pfn == b->pfn && b->pfn2 == UINT64_MAX && leads_to_mode(from, b->mode)) {
        jit_link(e->jit, site, b->code);
    }
}

/* The group of accesses that the first instruction of b's code leads was not in one page. */
static void lead_failed(struct engine *e, struct block *b, struct jit_code *code)
{
    if (++b->lead_fails == LEAD_FAILS && b->code == code) {
        engine_cut_off(e, b);
        code->valid = false;
        b->code = NULL;
        b->hot = 0;
        b->left = 1;
    }
}

/* Code has left by a site. True: the interpreter has gone past what it left for. */
static bool leave(struct engine *e, struct cpu *cpu, uint32_t site)
{
    if (site == JIT_DONE) {
        e->causes[CAUSE_interp]++;
        engine_unhold(cpu);
        return true;
    }
    uint64_t rip;
    const struct jit_site *s = jit_site(e->jit, site);
    struct block *b = s->owner;
    e->causes[s->kind == SITE_BAIL   ? CAUSE_check
              : s->kind == SITE_LINK ? CAUSE_link
                                     : CAUSE_budget]++;
    engine_settle(cpu, &s->rc);
    x87_host_settle(cpu, s);
    switch (s->kind) {
    case SITE_BAIL:
        engine_unhold(cpu);
        if (!engine_stretch_end(cpu, s, rip_of(cpu, b, s->k), b->n - s->k + (int64_t)s->refund)) {
            return false;
        }
        if (s->lead) {
            lead_failed(e, b, s->code);
        }
        e->bails[b->insn[s->k].row & (MAX_ROWS - 1)]++;
        cpu->budget += s->refund;
        engine_run_rest(cpu, b, &b->insn[s->k]);
        return true;
    case SITE_LINK:
        engine_unhold(cpu);
        rip = cpu->jit.page + (uint64_t)(int64_t)s->target;
        cpu->s.rip = rip & cpu->ip_mask;
        cpu->jit_from = site;
        engine_stretch_end(cpu, s, rip, 0);
        break;
    default:
        rip = cpu->jit.page + s->code->page_off;
        cpu->s.rip = rip & cpu->ip_mask;
        if (cpu->held) {
            super_sample(e, cpu, s->code->owner);
        }
        engine_unhold(cpu);
        engine_stretch_end(cpu, s, rip, 0);
        break;
    }
    return false;
}

/* Keep all but a portion of the budget from compiled code. Portions end at multiples of their size,
 * however often code is left on the way, so that code that leaves often is sampled too; the block
 * to run must fit. */
static void hold(struct cpu *cpu, int64_t charge)
{
    int64_t portion = (cpu->budget - 1) % PORTION + 1;
    portion += portion < charge ? PORTION : 0;
    cpu->held = cpu->budget > portion ? cpu->budget - portion : 0;
    cpu->budget -= cpu->held;
    cpu->slice -= (uint64_t)cpu->held;
    cpu->jit.tsc_units -= (uint64_t)cpu->held;
}

/* Before b runs: drop this and that. False: let the interpreter run it this time. */
static bool chaos_agrees(struct engine *e, struct cpu *cpu, struct block *b)
{
    struct chaos *c = &e->chaos;
    if (chaos_hits(c, 4096)) {
        block_cache_drop_code(cpu->blocks);
    } else if (chaos_hits(c, 2048)) {
        jit_evict(e->jit);
    } else if (chaos_hits(c, 256)) {
        tlb_drop_l1(&cpu->tlb);
    } else if (chaos_hits(c, 64) && b->code) {
        engine_cut_off(e, b);
    }
    if (chaos_hits(c, 8)) {
        cpu->jit_from = JIT_DONE;
        b->left = (int32_t)chaos_below(c, 4);
        return false;
    }
    return true;
}

bool engine_run(struct cpu *cpu, struct block *b)
{
    struct engine *e = cpu->engine;
    if (UNLIKELY(b->cut)) {
        b->left = 0;
        cpu->jit_from = JIT_DONE;
        return false;
    }
    if (!e || !e->jit) {
        b->left = INT32_MAX;
        return false;
    }
    if (UNLIKELY(e->chaos.on) && !chaos_agrees(e, cpu, b)) {
        return false;
    }
    uint32_t from = cpu->jit_from;
    cpu->jit_from = JIT_DONE;
    if (UNLIKELY(!engine_cs_fits(cpu))) {
        return false;
    }
    if (!b->code) {
        cpu->jit_from = from; /* eviction may take the site */
        bool ok = compile(e, cpu, b);
        from = cpu->jit_from;
        cpu->jit_from = JIT_DONE;
        if (!ok) {
            return false;
        }
        if (e->o.super == 1 && !e->o.no_super && b->hot != NEVER_SUPER && !e->path.cpu) {
            super_record(e, cpu, b);
            engine_record(cpu, b);
            return false;
        }
    }
    b->left = 0;
    if (!engine_narrow(cpu)) {
        return false;
    }
    if (b->code->charge > cpu->budget) {
        return false; /* a superblock that does not fit */
    }
    jt_check(cpu);
    if (from != JIT_DONE) {
        link(e, from, b);
    }
    jt_put(cpu, b);
    cpu->jit.page = (cpu->s.rip - (b->pa & ~PAGE_MASK)) & cpu->ip_mask;
    cpu->jit.cc_op = CC_CANON << 2;
    cpu->exit_req = 0;
    e->entered++;
    if (UNLIKELY(lockstep_of(cpu))) {
        lockstep_forget(lockstep_of(cpu));
    }
    engine_vec_ready(cpu);
    engine_fit_near(cpu);
    hold(cpu, b->code->charge);
    bool past = leave(e, cpu, jit_run(e->jit, &cpu->jit, jit_host(e->jit, b->code)));
    /* As a rule code goes on at once: so do it without a way through the run loop. */
    while (past && cpu->budget > 0 && !cpu->noted && !cpu->debug && !lockstep_of(cpu) &&
           engine_elsewhere(cpu) == JIT_GO) {
        cpu->jit.cc_op = CC_CANON << 2;
        e->entered++;
        engine_fit_near(cpu);
        hold(cpu, 0); /* if it does not fit, that is a sample */
        past = leave(e, cpu, jit_run(e->jit, &cpu->jit, cpu->jit.host));
    }
    return true;
}

/* Code is about to go, to make room. */
static void evicted(void *ctx, struct jit_code *code)
{
    struct engine *e = ctx;
    struct block *b = code->owner;
    jt_forget(e, b, code);
    if (code->super) {
        super_forget(e, code);
    }
    if (b->code == code) {
        b->code = NULL;
        b->left = (int32_t)e->o.threshold;
    }
    for (unsigned c = 0; c < e->ncpus; c++) {
        e->cpus[c]->jit_from = JIT_DONE;
    }
}

void engine_invalidate(struct engine *e, struct block *b)
{
    if (!e) {
        return;
    }
    super_invalidate(e, b);
    if (b->code) {
        engine_cut_off(e, b);
    }
}

void engine_flush(struct engine *e)
{
    if (!e || !e->jit) {
        return;
    }
    jit_reset(e->jit);
    super_flush(e);
    for (unsigned c = 0; c < e->ncpus; c++) {
        jt_empty(e->cpus[c]);
        e->cpus[c]->jit_from = JIT_DONE;
        memset(e->cpus[c]->jit.near, 0, sizeof e->cpus[c]->jit.near);
    }
}

/* ---- lifecycle ---- */

struct engine *engine_new(const struct engine_options *o)
{
    const int32_t env = (int32_t)offsetof(struct cpu, jit);
    struct jit_layout l = {
        .gpr = (int32_t)offsetof(struct cpu, s.gpr) - env,
        .budget = (int32_t)offsetof(struct cpu, budget) - env,
        .l1_entries = TLB_L1_SIZE,
        .ymm = (int32_t)offsetof(struct cpu, s.ymm) - env,
        .mxcsr = (int32_t)offsetof(struct cpu, s.mxcsr) - env,
        .rflags = (int32_t)offsetof(struct cpu, s.rflags) - env,
        .cr4 = (int32_t)offsetof(struct cpu, s.cr4) - env,
        .tsc_offset = (int32_t)offsetof(struct cpu, s.msr[0].tsc_offset) - env,
        .tsc_aux = (int32_t)offsetof(struct cpu, s.msr[0].tsc_aux) - env,
        .cpl = (int32_t)offsetof(struct cpu, s.cpl) - env,
        .intr = (int32_t)offsetof(struct cpu, intr) - env,
        .view = (int32_t)offsetof(struct cpu, view) - env,
        .mode = (int32_t)offsetof(struct cpu, mode) - env,
        .gs_base = (int32_t)offsetof(struct cpu, s.seg[SEG_GS].base) - env,
        .kernel_gs_base = (int32_t)offsetof(struct cpu, s.msr[0].kernel_gs_base) - env,
        .segv = (int32_t)offsetof(struct cpu, segv) - env,
        .segv_size = (int32_t)sizeof(struct seg_view),
        .segv_code = (int32_t)offsetof(struct cpu, segv[SEG_CS]) - env,
        .sel = (int32_t)offsetof(struct cpu, s.seg[0].sel) - env,
        .sel_size = (int32_t)sizeof(struct seg),
        .x87_m = (int32_t)offsetof(struct cpu, s.fpu[0].m) - env,
        .x87_se = (int32_t)offsetof(struct cpu, s.fpu[0].se) - env,
        .x87_cw = (int32_t)offsetof(struct cpu, s.fpu[0].cw) - env,
        .x87_sw = (int32_t)offsetof(struct cpu, s.fpu[0].sw) - env,
        .x87_empty = (int32_t)offsetof(struct cpu, s.fpu[0].empty) - env,
    };
    for (unsigned v = 0; v < TLB_VIEWS; v++) {
        l.l1[v] = (int32_t)offsetof(struct cpu, tlb.l1[v]) - env;
    }
    struct engine *e = calloc(1, sizeof *e);
    if (e) {
        e->o = *o;
        e->o.threshold = o->threshold ? o->threshold : o->chaos ? 8 : 16;
        e->chaos = (struct chaos){o->chaos, o->chaos_seed};
        e->o.jit = o->jit || o->lockstep;
        e->jit = e->o.jit ? jit_new(&l, o->buffer ? o->buffer : BUFFER_BYTES) : NULL;
    }
    if (e && e->jit) {
        jit_on_evict(e->jit, evicted, e);
    }
    if (e && e->jit && o->lockstep) {
        jit_check(e->jit);
    }
    if (e && e->jit && o->count && !jit_count(e->jit)) {
        engine_free(e);
        e = NULL;
    }
    return e;
}

void engine_free(struct engine *e)
{
    if (e) {
        for (unsigned k = 0; k < e->ncpus; k++) {
            lockstep_free(e->lockstep[k]);
        }
        super_flush(e);
        jit_free(e->jit);
        free(e);
    }
}

void engine_add_cpu(struct engine *e, struct cpu *cpu)
{
    assert(e->ncpus < MAX_CPUS);
    cpu->jit_number = e->ncpus;
    if (e->jit && e->o.lockstep) {
        e->lockstep[e->ncpus] = lockstep_new(cpu);
        assert(e->lockstep[e->ncpus]);
    }
    e->cpus[e->ncpus++] = cpu;
    cpu->engine = e;
    cpu->jit_from = JIT_DONE;
    cpu->jit.refill = engine_refill;
    cpu->jit.interp = engine_interp;
    cpu->jit.cond = engine_cond;
    cpu->jit.near_failed = engine_near_failed;
    cpu->jit.quick = engine_quick;
    cpu->jit.runs = e->jit ? jit_runs(e->jit) : NULL;
    cpu->jit.x87_load = x87_host_load;
    cpu->jit.x87_soft = x87_soft;
    jt_init(cpu);
}

unsigned engine_max_block(struct engine *e)
{
    unsigned max = e && e->o.maxblock && e->o.maxblock < BLOCK_INSNS ? e->o.maxblock : BLOCK_INSNS;
    return e && e->chaos.on ? 1 + (unsigned)chaos_below(&e->chaos, max) : max;
}

int32_t engine_patience(struct engine *e)
{
    if (e && e->jit && e->chaos.on) {
        return 1 + (int32_t)chaos_below(&e->chaos, 2 * e->o.threshold);
    }
    return e && e->jit ? (int32_t)e->o.threshold : INT32_MAX;
}
