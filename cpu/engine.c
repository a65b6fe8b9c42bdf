/*
 * Between the run loop and compiled code; see engine.h and cpu/jit/jit.h.
 *
 * Compiled code keeps neither cpu->cur nor s.rip. Whoever comes from it into C first settles the
 * flags into the lazy form of cpu/flags.h, then sets cur, charged and blk_rip as if the interpreter
 * had entered the block and come to that instruction; so faults, time and device accesses see the
 * same as always.
 *
 * What always holds: a jump table entry is there only if the soft TLB's generation and the mode are
 * those for which it was made and the block is valid, so a hit does what a hit of the jump cache
 * would do. Compiled code leaves after anything that could change either.
 */
#include "cpu/engine.h"

#include <assert.h>
#include <stdlib.h>

#include "cpu/chaos.h"
#include "cpu/engine_log.h"
#include "cpu/flags.h"
#include "cpu/lift.h"
#include "cpu/lockstep.h"
#include "cpu/sem.h"
#include "cpu/super.h"
#include "cpu/sys.h"
#include "cpu/vec.h"
#include "cpu/x87_host.h"

#define BUFFER_BYTES (32u << 20)
#define MAX_CPUS     64u
#define MAX_ROWS     2048u
#define PORTION      20000 /* of the budget: where it ends is a sample */
#define SUPER_AFTER  2u
#define NEVER_SUPER  255u /* block.hot */

/* A superblock: its code, and a link for each of its blocks. */
struct super_ref {
    struct jit_code *code;
    struct block *block;
    struct super_ref *next; /* of the same block */
};
struct super {
    struct super *next;
    struct jit_code *code;
    unsigned nrefs;
    struct super_ref ref[]; /* one for each part */
};

struct engine {
    struct jit *jit; /* NULL: interpreter only */
    struct engine_options o;
    struct cpu *cpus[MAX_CPUS];
    struct lockstep *lockstep[MAX_CPUS]; /* by number in cpus[]; NULL: not compared */
    unsigned ncpus;
    struct super_path path;
    struct super *supers;
    uint64_t nsupers; /* since the start */
    struct chaos chaos;
    uint64_t entered;                           /* runs of code begun */
    uint64_t interp[MAX_ROWS], bails[MAX_ROWS]; /* by the instruction's row */
};

/* The vCPU whose struct holds env. */
static struct cpu *env_cpu(struct jit_env *env)
{
    return (struct cpu *)(void *)((char *)env - offsetof(struct cpu, jit));
}

/* ---- flags ---- */

static void settle_values(struct cpu *cpu, unsigned cc, unsigned w, uint64_t res, uint64_t b)
{
    uint64_t a;
    bool cf = cpu->jit.cc_cf & 1, msb = res >> (8 * w - 1) & 1;
    switch (cc) {
    case CC_ADD:
        a = res - b;
        flags_set_carry(cpu, w, res, (a & b) | ((a | b) & ~res));
        break;
    case CC_ADC:
        a = res - b - cf;
        flags_set_carry(cpu, w, res, (a & b) | ((a | b) & ~res));
        break;
    case CC_SUB:
        a = res + b;
        flags_set_carry(cpu, w, res, (~a & b) | ((~a | b) & res));
        break;
    case CC_SBB:
        a = res + b + cf;
        flags_set_carry(cpu, w, res, (~a & b) | ((~a | b) & res));
        break;
    case CC_CMP:
        a = res;
        res = a - b;
        flags_set_carry(cpu, w, res, (~a & b) | ((~a | b) & res));
        break;
    case CC_INC:
        a = res - 1;
        flags_set_carry(cpu, w, res, (a & 1) | ((a | 1) & ~res));
        flags_set_cf(cpu, cf);
        break;
    case CC_DEC:
        a = res + 1;
        flags_set_carry(cpu, w, res, (~a & 1) | ((~a | 1) & res));
        flags_set_cf(cpu, cf);
        break;
    case CC_NEG:
        b = 0 - res;
        flags_set_carry(cpu, w, res, b | res);
        break;
    case CC_SHL:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, cf != msb);
        break;
    case CC_SHR:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, b == 1 && (res >> (8 * w - 2) & 1));
        break;
    case CC_SAR:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, false);
        break;
    case CC_MUL:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, cf);
        break;
    case CC_CFOF:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, cpu->jit.cc_cf >> 8 & 1);
        break;
    case CC_ZF:
        flags_set_arith(cpu, res & bits_mask(8 * w) ? 0 : FL_ZF);
        break;
    case CC_LOGIC:
        flags_set_logic(cpu, w, res);
        break;
    case CC_BITS:
        flags_set_arith(cpu, res >> 8 & 0xff);
        break;
    default:
        break;
    }
}

/* Flags that come from elsewhere than the recipe in memory. */
static void settle_over(struct cpu *cpu, unsigned over)
{
    unsigned bits = 8u << (over & 3);
    uint64_t r = cpu->jit.cc_over;
    bool low = r & 1, msb = r >> (bits - 1) & 1;
    switch (over >> 2) {
    case OVER_ROL:
        flags_set_cf_of(cpu, low, low != msb);
        break;
    case OVER_ROR:
        flags_set_cf_of(cpu, msb, msb != (r >> (bits - 2) & 1));
        break;
    case OVER_CF:
        flags_set_cf(cpu, low);
        break;
    case OVER_CFOF:
        flags_set_cf_of(cpu, low, r >> 8 & 1);
        break;
    default:
        break;
    }
}

/* Flags of a recipe, or of the one in memory, to the lazy form. */
static void settle(struct cpu *cpu, const struct jit_recipe *r)
{
    struct jit_env *env = &cpu->jit;
    bool zf = r->zf;
    if (r->slot) {
        unsigned op = env->cc_op;
        settle_values(cpu, op >> 2 & 0x3f, 1u << (op & 3), env->cc_res, env->cc_b);
        if (op >> 16 & 1) {
            flags_set_arith(cpu, (env->cc_sahf & 0xff) | (flags_arith(cpu) & FL_OF));
        }
        settle_over(cpu, op >> 8 & 0xff);
        zf = op >> 24 & 1;
    } else {
        uint64_t res = r->res_at == LOC_REG ? cpu->s.gpr[r->res_reg] : env->cc_res;
        uint64_t b = r->b_at == LOC_REG   ? cpu->s.gpr[r->b_reg]
                     : r->b_at == LOC_IMM ? (uint64_t)(int64_t)r->b_imm
                                          : env->cc_b;
        settle_values(cpu, r->cc, 1u << r->lw, res, b);
    }
    if (zf) {
        flags_set_zf(cpu, env->cc_zf & 1);
    }
    env->cc_op = CC_CANON << 2;
}

static const struct jit_recipe in_memory = {.slot = true};

/* ---- vectors ---- */

/* What env->vec_no and vec_hi0 are when code is entered, or entered again behind C that may have
 * changed the registers that it depends on (vec_check of cpu/vec.h, MXCSR). */
static void vec_ready(struct cpu *cpu)
{
    const uint64_t avx = XCR0_SSE | XCR0_AVX, cr0 = cpu->s.cr0, cr4 = cpu->s.cr4;
    unsigned no = JIT_VEC_UNLOADED;
    no |= (cr0 & (CR0_EM | CR0_TS)) || !(cr4 & CR4_OSFXSR) ? JIT_VEC_NO_SSE : 0;
    no |= (cr0 & CR0_TS) || !(cr4 & CR4_OSXSAVE) || (cpu->s.xcr0 & avx) != avx ? JIT_VEC_NO_AVX : 0;
    no |= (cpu->s.mxcsr & ~(uint32_t)0xe07f) != MXCSR_RESET ? JIT_VEC_TRAPS : 0;
    cpu->jit.vec_no = (uint8_t)no;
    cpu->jit.vec_hi0 = 0;
}

/* ---- the interpreter, from compiled code ---- */

static void begin_at(struct cpu *cpu, struct block *b, const struct insn *i)
{
    cpu->blk_rip = (cpu->jit.page + (b->pa & ~PAGE_MASK)) & cpu->ip_mask;
    cpu->charged = b->n;
    cpu->k0 = 0;
    cpu->running = b;
    cpu->cur = i;
}

static void end_run(struct cpu *cpu)
{
    cpu->charged = 0;
    cpu->cur = NULL;
    cpu->running = NULL;
}

/* The rest of a block, from instruction i. */
static void run_rest(struct cpu *cpu, struct block *b, const struct insn *i)
{
    begin_at(cpu, b, i);
    i->fn(cpu, i);
    end_run(cpu);
}

/* Behind a single instruction that the interpreter ran for compiled code. */
static void solo_end(struct cpu *cpu, const struct insn *i)
{
    (void)cpu, (void)i;
}

/* ---- lockstep ---- */

static struct lockstep *lockstep_of(const struct cpu *cpu)
{
    return cpu->engine->lockstep[cpu->jit_number];
}

/* Code has come to `rip`, with `left` instructions charged for and not begun. False: it did not do
 * what the interpreter does; the vCPU stops. */
static bool stretch_end(struct cpu *cpu, const struct jit_site *s, uint64_t rip, int64_t left)
{
    struct lockstep *ls = lockstep_of(cpu);
    if (LIKELY(!ls)) {
        return true;
    }
    cpu->s.rip = rip & cpu->ip_mask;
    if (lockstep_end(ls, left, s->flags_dead)) {
        return true;
    }
    cpu->budget += left;
    cpu->stop = true;
    return false;
}

/* Code goes on in block b, in front of its instruction k. */
static void stretch_begin(struct cpu *cpu, const struct block *b, unsigned k, int64_t left)
{
    struct lockstep *ls = lockstep_of(cpu);
    if (UNLIKELY(ls)) {
        cpu->s.rip = (cpu->jit.page + (b->pa & ~PAGE_MASK) + b->insn[k].off) & cpu->ip_mask;
        lockstep_begin(ls, b, left);
    }
}

/* Where instruction k of b lies. */
static uint64_t rip_of(const struct cpu *cpu, const struct block *b, unsigned k)
{
    return cpu->jit.page + (b->pa & ~PAGE_MASK) + b->insn[k].off;
}

/* ---- the interpreter, from compiled code ---- */

/* May code go on behind an instruction that the interpreter ran? */
static bool undisturbed(const struct cpu *cpu, uint64_t gen, uint32_t mode)
{
    return !(cpu->exit_req | cpu->attn | cpu->stop) && cpu->tlb.gen == gen && cpu->mode == mode;
}

static bool ends_block(const struct insn *i)
{
    return i->row == 0xffff || insn_rows[i->row].sem->ends;
}

static int do_interp(struct jit_env *env, uint32_t site)
{
    struct cpu *cpu = env_cpu(env);
    const struct jit_site *s = jit_site(cpu->engine->jit, site);
    struct block *b = s->owner;
    unsigned k = s->k;
    int64_t refund = s->refund;
    const struct jit_code *code = s->code;
    uint64_t gen = cpu->tlb.gen;
    uint32_t mode = cpu->mode;
    settle(cpu, &s->rc);
    x87_host_settle(cpu, s);
    if (s->kind == SITE_CHECK) {
        if (!stretch_end(cpu, s, rip_of(cpu, b, 0), 0)) {
            return 1;
        }
        stretch_begin(cpu, b, 0, 0);
        return 0;
    }
    if (!stretch_end(cpu, s, rip_of(cpu, b, k), b->n - k + refund)) {
        return 1;
    }
    cpu->engine->interp[b->insn[k].row & (MAX_ROWS - 1)]++;
    struct insn *solo = cpu->scratch;
    solo[0] = b->insn[k];
    solo[1] = b->insn[k + 1];
    solo[1].fn = solo_end;
    cpu->budget += refund;
    begin_at(cpu, b, solo);
    uint64_t next = insn_next_ip(cpu, solo); /* a branch may run on into other blocks */
    solo->fn(cpu, solo);
    if (!cpu->cur) {
        return 1; /* it left the block */
    }
    bool on = undisturbed(cpu, gen, mode) && b->valid && code->valid && cpu->budget >= refund;
    if (ends_block(solo)) { /* it has set RIP */
        if (!on || cpu->s.rip != next) {
            end_run(cpu);
            return 1;
        }
    } else if (UNLIKELY(!on)) {
        run_rest(cpu, b, &b->insn[k + 1]);
        return 1;
    }
    end_run(cpu);
    cpu->budget -= refund;
    stretch_begin(cpu, b, k + 1, b->n - (k + 1) + refund);
    vec_ready(cpu);
    return 0;
}

/* A store that misses because there is code in its page, but not where it goes (data beside code).
 */
static int write_once(struct cpu *cpu, uint64_t la, unsigned size, enum tlb_view view)
{
    struct tlb_result r = tlb_translate(&cpu->tlb, &cpu->walk, cpu->mem, la, ACC_WRITE, view);
    if (!r.ok || cpu->tlb.nwatch || lockstep_of(cpu)) {
        return 0;
    }
    struct aspace_hit hit = aspace_find(cpu->mem, r.addr);
    if (!hit.ram || !hit.whole_page || hit.split || hit.readonly ||
        ram_has_code(hit.ram, hit.pfn, (unsigned)(la & ~PAGE_MASK), size)) {
        return 0;
    }
    /* To unshare a page with code is the interpreter's: jumps into it become stale. */
    const uint8_t *page = ram_own_ptr(hit.ram, hit.pfn);
    if (!page) {
        return 0;
    }
    cpu->jit.once = (uintptr_t)page - (la & PAGE_MASK);
    return 2;
}

static int do_refill(struct jit_env *env, uint64_t la, uint32_t what)
{
    struct cpu *cpu = env_cpu(env);
    unsigned size = what & 0xff, view = what >> 9 & 3;
    bool write = what & JIT_REFILL_WRITE;
    if ((la & ~PAGE_MASK) + size > PAGE_SIZE || ((what & JIT_REFILL_ALIGN) && (la & (size - 1))) ||
        chaos_hits(&cpu->engine->chaos, 8)) {
        return 0;
    }
    if (cpu_code64(cpu) ? bits_sext(la, 48) != la : la >> 32 != 0) {
        return 0;
    }
    uint64_t moved = cpu->tlb.moved;
    if (!tlb_refill(&cpu->tlb, &cpu->walk, cpu->mem, la, write ? ACC_WRITE : ACC_READ, view)) {
        return 0;
    }
    if (cpu->tlb.moved != moved) {
        return 0; /* code may still use the place where it was (cpu/jit/groups.h) */
    }
    const struct tlb_entry *t = &cpu->tlb.l1[view][la >> PAGE_BITS & TLB_L1_MASK];
    if ((la & PAGE_MASK) == (write ? t->tag_w : t->tag_r)) {
        return 1;
    }
    return write && (what & JIT_REFILL_ONCE) ? write_once(cpu, la, size, view) : 0;
}

static int do_cond(struct jit_env *env, uint32_t cc)
{
    struct cpu *cpu = env_cpu(env);
    settle(cpu, &in_memory);
    if (cc == JIT_COND_IMAGE) {
        return (int)stack_flags_image(cpu);
    }
    return cc < 16 && flags_cond(cpu, cc);
}

/* ---- jump tables ---- */

/* A RIP that has another entry never matches: 0 and 1 have entries 0 and 1. */
static void jt_drop(struct cpu *cpu, unsigned view, unsigned k)
{
    cpu->jit.jt[view][k].rip = k == 0 ? 1 : 0;
}

/* Those of pages that are not global, or all. */
static void jt_clear(struct cpu *cpu, unsigned view, bool all)
{
    uint64_t *filled = cpu->jt_filled[view], *local = cpu->jt_local[view];
    for (unsigned w = 0; w < JIT_JT_SIZE / 64; w++) {
        uint64_t drop = all ? filled[w] : local[w];
        for (uint64_t set = drop; set; set &= set - 1) {
            jt_drop(cpu, view, w * 64 + (unsigned)__builtin_ctzll(set));
        }
        filled[w] &= ~drop;
        local[w] = 0;
    }
}

static void jt_init(struct cpu *cpu)
{
    for (unsigned v = 0; v < JIT_VIEWS; v++) {
        for (unsigned k = 0; k < JIT_JT_SIZE; k++) {
            jt_drop(cpu, v, k);
        }
    }
}

/* The tables of this mode and TLB generation. */
static void jt_check(struct cpu *cpu)
{
    unsigned v = cpu->view;
    const struct tlb *t = &cpu->tlb;
    bool all = cpu->jt_gen_global[v] != t->gen_global || cpu->jt_mode[v] != cpu->mode;
    if (all || cpu->jt_gen[v] != t->gen) {
        jt_clear(cpu, v, all);
        cpu->jt_gen[v] = t->gen;
        cpu->jt_gen_global[v] = t->gen_global;
        cpu->jt_mode[v] = cpu->mode;
    }
}

/* No table leads to b any more. */
static void jt_forget(struct engine *e, const struct block *b, const struct jit_code *code)
{
    for (unsigned c = 0; c < e->ncpus; c++) {
        struct cpu *cpu = e->cpus[c];
        uint64_t host = jit_host(e->jit, code);
        unsigned low = b->jt;
        for (unsigned v = 0; v < JIT_VIEWS; v++) {
            if (cpu->jit.jt[v][low].host == host) {
                jt_drop(cpu, v, low);
            }
        }
    }
}

static void jt_put(struct cpu *cpu, struct block *b)
{
    unsigned v = cpu->view, k = jit_jt_index(cpu->s.rip);
    uint64_t bit = UINT64_C(1) << (k % 64), lin = block_lin(cpu);
    const struct jc_entry *from = &cpu->jc[lin & (JC_SIZE - 1)];
    bool global = from->block == b && from->lin == lin && from->gen == cpu->tlb.gen_global;
    if (b->jt != k) { /* at another linear address too: only one entry is known */
        jt_forget(cpu->engine, b, b->code);
        b->jt = (uint16_t)k;
    }
    cpu->jit.jt[v][k] = (struct jit_jt){cpu->s.rip, jit_host(cpu->engine->jit, b->code)};
    cpu->jt_filled[v][k / 64] |= bit;
    cpu->jt_local[v][k / 64] =
        global ? cpu->jt_local[v][k / 64] & ~bit : cpu->jt_local[v][k / 64] | bit;
}

/* ---- running ---- */

/* Too much of it would be left to the interpreter: the way there and back costs more than the rest
 * gains. */
static bool not_worth(const struct uop *u, unsigned n)
{
    unsigned left_out = 0;
    for (unsigned k = 0; k < n; k++) {
        left_out += u[k].op == U_INTERP;
    }
    return left_out * 5 > n;
}

static struct jit_code *compile_parts(struct engine *e, struct cpu *cpu, struct block *const *b,
                                      unsigned parts, struct uop *u, unsigned n, enum tlb_view view)
{
    struct jit_source src = {.nparts = parts,
                             .u = u,
                             .n = n,
                             .page_off = (uint16_t)(b[0]->pa & ~PAGE_MASK),
                             .bits = b[0]->mode & MODE_C64 ? 64 : 32,
                             .view = (uint8_t)view,
                             .x87_pointers = !cpu_has(cpu, FEAT_fdp_excptn_only)};
    for (unsigned k = 0; k < n; k++) {
        if (chaos_hits(&e->chaos, 32)) {
            lift_refuse(&u[k]);
        }
    }
    for (unsigned p = 0; p < parts; p++) {
        src.part[p] = (struct jit_part){b[p], b[p]->n};
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
    if (b->pfn2 != UINT64_MAX || !lift_mode(b->mode)) {
        b->left = INT32_MAX;
        return false;
    }
    unsigned n = lift_block(b, u, cpu->yields);
    if (not_worth(u, n)) {
        b->left = INT32_MAX;
        return false;
    }
    b->code = compile_parts(e, cpu, &b, 1, u, n, cpu->view);
    if (!b->code) {
        b->left = INT32_MAX; /* more than a back end holds */
        return false;
    }
    b->left = 0;
    return true;
}

/* ---- superblocks ---- */

/* Nothing may lead to b's code any more. */
static void cut_off(struct engine *e, struct block *b)
{
    jit_unlink(e->jit, b->code);
    jt_forget(e, b, b->code);
}

static void super_compile(struct engine *e, struct super_path *p)
{
    struct uop u[SUPER_INSNS + 2];
    struct block *head = p->b[0];
    unsigned parts = p->n;
    bool loop = p->loop;
    unsigned n = lift_super(p->b, &parts, &loop, u, p->cpu->yields);
    if (not_worth(u, n)) {
        head->hot = NEVER_SUPER;
        return;
    }
    struct super *s = malloc(sizeof *s + parts * sizeof s->ref[0]);
    struct jit_code *code = s ? compile_parts(e, p->cpu, p->b, parts, u, n, p->view) : NULL;
    if (!code) {
        free(s);
        return;
    }
    code->super = true;
    if (head->code) {
        cut_off(e, head);
    }
    head->code = code;
    head->left = 0;
    s->code = code;
    s->nrefs = parts;
    for (unsigned k = 0; k < parts; k++) {
        s->ref[k] = (struct super_ref){code, p->b[k], p->b[k]->supers};
        p->b[k]->supers = &s->ref[k];
    }
    s->next = e->supers;
    e->supers = s;
    e->nsupers++;
}

/* A block of the path may have been overwritten while the path was being recorded. */
static bool path_valid(const struct super_path *p)
{
    for (unsigned k = 0; k < p->n; k++) {
        if (!p->b[k]->valid) {
            return false;
        }
    }
    return p->n != 0;
}

void engine_record(struct cpu *cpu, struct block *b)
{
    struct engine *e = cpu->engine;
    struct super_path *p = &e->path;
    if (p->cpu == cpu && super_step(p, b)) {
        return;
    }
    cpu->one_by_one &= (uint8_t)~ONE_RECORD;
    if (p->cpu == cpu) {
        if (path_valid(p)) {
            super_compile(e, p);
        }
        p->cpu = NULL;
    }
}

static void record_from(struct engine *e, struct cpu *cpu, struct block *b)
{
    super_begin(&e->path, cpu, b);
    cpu->one_by_one |= ONE_RECORD;
}

/* A portion of the budget ended in front of b. */
static void sample(struct engine *e, struct cpu *cpu, struct block *b)
{
    uint32_t after = e->o.super ? e->o.super : SUPER_AFTER;
    if (e->o.no_super || b->code->super || b->hot == NEVER_SUPER || e->path.cpu) {
        return;
    }
    b->hot++;
    if (b->hot >= after) {
        record_from(e, cpu, b);
    }
}

/* A superblock's code goes. */
static void super_forget(struct engine *e, const struct jit_code *code)
{
    struct super **at = &e->supers;
    while (*at && (*at)->code != code) {
        at = &(*at)->next;
    }
    struct super *s = *at;
    if (!s) {
        return;
    }
    *at = s->next;
    for (unsigned k = 0; k < s->nrefs; k++) {
        struct super_ref **r = &s->ref[k].block->supers;
        while (*r && *r != &s->ref[k]) {
            r = &(*r)->next;
        }
        if (*r) {
            *r = s->ref[k].next;
        }
    }
    free(s);
}

/* b was overwritten: no superblock with it may run. */
static void supers_invalidate(struct engine *e, struct block *b)
{
    for (struct super_ref *r = b->supers; r; r = r->next) {
        struct jit_code *code = r->code;
        struct block *head = code->owner;
        if (code->valid) {
            code->valid = false;
            jit_unlink(e->jit, code);
            if (head->code == code) {
                jt_forget(e, head, code);
                head->code = NULL;
                head->hot = 0;
                head->left = (int32_t)e->o.threshold;
            }
        }
    }
    b->supers = NULL;
}

/* A direct transfer from `site` led to b: let it jump there, if both lie in one physical page. */
static void link(struct engine *e, uint32_t site, struct block *b)
{
    const struct jit_site *s = jit_site(e->jit, site);
    const struct block *from = s->owner;
    if (!e->o.no_links && !chaos_hits(&e->chaos, 2) && from->valid && from->ram == b->ram &&
        from->pfn == b->pfn && from->mode == b->mode) {
        jit_link(e->jit, site, b->code);
    }
}

static void leave(struct engine *e, struct cpu *cpu, uint32_t site)
{
    if (site == JIT_DONE) {
        engine_unhold(cpu);
        return;
    }
    uint64_t rip;
    const struct jit_site *s = jit_site(e->jit, site);
    struct block *b = s->owner;
    settle(cpu, &s->rc);
    x87_host_settle(cpu, s);
    switch (s->kind) {
    case SITE_BAIL:
        engine_unhold(cpu);
        if (!stretch_end(cpu, s, rip_of(cpu, b, s->k), b->n - s->k + (int64_t)s->refund)) {
            return;
        }
        e->bails[b->insn[s->k].row & (MAX_ROWS - 1)]++;
        cpu->budget += s->refund;
        run_rest(cpu, b, &b->insn[s->k]);
        break;
    case SITE_LINK:
        engine_unhold(cpu);
        rip = cpu->jit.page + (uint64_t)(int64_t)s->target;
        cpu->s.rip = rip & cpu->ip_mask;
        cpu->jit_from = site;
        stretch_end(cpu, s, rip, 0);
        break;
    default:
        rip = cpu->jit.page + s->code->page_off;
        cpu->s.rip = rip & cpu->ip_mask;
        if (cpu->held) {
            sample(e, cpu, s->code->owner);
        }
        engine_unhold(cpu);
        stretch_end(cpu, s, rip, 0);
        break;
    }
}

/* Keep all but a portion of the budget from compiled code. */
static void hold(struct cpu *cpu)
{
    cpu->held = cpu->budget > PORTION ? cpu->budget - PORTION : 0;
    cpu->budget -= cpu->held;
    cpu->slice -= (uint64_t)cpu->held;
    cpu->jit.tsc -= (uint64_t)cpu->held;
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
        cut_off(e, b);
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
    if (!e || !e->jit) {
        b->left = INT32_MAX;
        return false;
    }
    if (UNLIKELY(e->chaos.on) && !chaos_agrees(e, cpu, b)) {
        return false;
    }
    uint32_t from = cpu->jit_from;
    cpu->jit_from = JIT_DONE;
    if (!b->code) {
        cpu->jit_from = from; /* eviction may take the site */
        bool ok = compile(e, cpu, b);
        from = cpu->jit_from;
        cpu->jit_from = JIT_DONE;
        if (!ok) {
            return false;
        }
        if (e->o.super == 1 && !e->o.no_super && b->hot != NEVER_SUPER && !e->path.cpu) {
            record_from(e, cpu, b);
            engine_record(cpu, b);
            return false;
        }
    }
    b->left = 0;
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
    vec_ready(cpu);
    hold(cpu);
    leave(e, cpu, jit_run(e->jit, &cpu->jit, b->code));
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
    supers_invalidate(e, b);
    if (b->code) {
        cut_off(e, b);
    }
}

void engine_flush(struct engine *e)
{
    if (!e || !e->jit) {
        return;
    }
    jit_reset(e->jit);
    e->path.cpu = NULL;
    while (e->supers) {
        struct super *next = e->supers->next;
        free(e->supers);
        e->supers = next;
    }
    for (unsigned c = 0; c < e->ncpus; c++) {
        jt_init(e->cpus[c]);
        memset(e->cpus[c]->jt_filled, 0, sizeof e->cpus[c]->jt_filled);
        memset(e->cpus[c]->jt_local, 0, sizeof e->cpus[c]->jt_local);
        e->cpus[c]->jit_from = JIT_DONE;
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
        .segv = (int32_t)offsetof(struct cpu, segv) - env,
        .segv_size = (int32_t)sizeof(struct seg_view),
    };
    for (unsigned v = 0; v < TLB_VIEWS; v++) {
        l.l1[v] = (int32_t)offsetof(struct cpu, tlb.l1[v]) - env;
    }
    struct engine *e = calloc(1, sizeof *e);
    if (e) {
        e->o = *o;
        e->o.threshold = o->threshold ? o->threshold : o->chaos ? 8 : 32;
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
        while (e->supers) {
            struct super *next = e->supers->next;
            free(e->supers);
            e->supers = next;
        }
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
    cpu->jit.refill = do_refill;
    cpu->jit.interp = do_interp;
    cpu->jit.cond = do_cond;
    cpu->jit.runs = e->jit ? jit_runs(e->jit) : NULL;
    cpu->jit.x87_load = x87_host_load;
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

bool engine_has_jit(const struct engine *e)
{
    return e->jit != NULL;
}

static void top(const uint64_t *by_row, const char *what,
                void (*fn)(void *ctx, const char *what, const char *name, uint64_t n), void *ctx)
{
    uint64_t below = UINT64_MAX;
    for (unsigned shown = 0; shown < 16; shown++) {
        unsigned best = MAX_ROWS;
        for (unsigned r = 0; r < insn_row_count && r < MAX_ROWS; r++) {
            if (by_row[r] && by_row[r] < below && (best == MAX_ROWS || by_row[r] > by_row[best])) {
                best = r;
            }
        }
        if (best == MAX_ROWS) {
            return;
        }
        below = by_row[best];
        fn(ctx, what, insn_rows[best].name, below);
    }
}

void engine_each_exit(const struct engine *e,
                      void (*fn)(void *ctx, const char *what, const char *name, uint64_t n),
                      void *ctx)
{
    top(e->interp, "interpreted", fn, ctx);
    top(e->bails, "left at", fn, ctx);
}

struct jit_stats engine_stats(const struct engine *e)
{
    return e->jit ? jit_stats(e->jit) : (struct jit_stats){0};
}

struct jit_running engine_running(const struct engine *e, uint64_t *entered)
{
    *entered = e->entered;
    return e->jit ? jit_running(e->jit) : (struct jit_running){0};
}

const char *engine_failure(const struct engine *e)
{
    for (unsigned k = 0; k < e->ncpus; k++) {
        if (e->lockstep[k] && lockstep_report(e->lockstep[k])) {
            return lockstep_report(e->lockstep[k]);
        }
    }
    return NULL;
}

void engine_compared(const struct engine *e, uint64_t *stretches, uint64_t *insns)
{
    *stretches = *insns = 0;
    for (unsigned k = 0; k < e->ncpus; k++) {
        uint64_t s = 0, n = 0;
        if (e->lockstep[k]) {
            lockstep_counts(e->lockstep[k], &s, &n);
        }
        *stretches += s;
        *insns += n;
    }
}
