/*
 * C that compiled code calls: an instruction for the interpreter, a refill of the soft TLB, a
 * condition; and the comparisons of lockstep, which begin and end at these moments.
 *
 * Compiled code keeps neither cpu->cur nor s.rip. Whoever comes from it into C first settles the
 * flags, then sets cur, charged and blk_rip as if the interpreter had entered the block and come to
 * that instruction; so faults, time and device accesses see the same as always.
 */
#include "cpu/debug.h"
#include "cpu/engine_impl.h"
#include "cpu/flags.h"
#include "cpu/sem.h"
#include "cpu/sys.h"
#include "cpu/vec.h"
#include "cpu/x87_host.h"

/* ---- vectors ---- */

/* What env->vec_no and vec_hi0 are when code is entered, or entered again behind C that may have
 * changed the registers that it depends on (vec_check of cpu/vec.h, MXCSR). */
void engine_vec_ready(struct cpu *cpu)
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

void engine_begin_at(struct cpu *cpu, struct block *b, const struct insn *i)
{
    cpu->blk_rip = (cpu->jit.page + (b->pa & ~PAGE_MASK)) & cpu->ip_mask;
    cpu->charged = b->n;
    cpu->k0 = 0;
    cpu->running = b;
    cpu->cur = i;
}

void engine_end_run(struct cpu *cpu)
{
    cpu->charged = 0;
    cpu->cur = NULL;
    cpu->running = NULL;
}

/* The rest of a block, from instruction i. */
void engine_run_rest(struct cpu *cpu, struct block *b, const struct insn *i)
{
    engine_begin_at(cpu, b, i);
    i->fn(cpu, i);
    engine_end_run(cpu);
}

/* Behind a single instruction that the interpreter ran for compiled code. */
static void solo_end(struct cpu *cpu, const struct insn *i)
{
    (void)cpu, (void)i;
}

/* ---- lockstep ---- */

bool engine_stretch_end(struct cpu *cpu, const struct jit_site *s, uint64_t rip, int64_t left)
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

/* ---- the interpreter, from compiled code ---- */

/* May code go on behind an instruction that the interpreter ran? */
static bool undisturbed(const struct cpu *cpu, uint64_t gen, uint32_t mode)
{
    return !(cpu->exit_req | cpu->attn | cpu->stop) && cpu->tlb.gen == gen && cpu->mode == mode &&
           engine_narrow(cpu);
}

static bool ends_block(const struct insn *i)
{
    return i->row == 0xffff || insn_rows[i->row].sem->ends;
}

/* Behind an instruction that led elsewhere, or changed the mode: does code go on at s.rip? As the
 * run loop would, if it has nothing else to do and code is there. */
int engine_elsewhere(struct cpu *cpu)
{
    if ((cpu->attn | cpu->stop | cpu->one_by_one) || chaos_hits(&cpu->engine->chaos, 4)) {
        return JIT_LEAVE;
    }
    jt_check(cpu);
    uint64_t lin = block_lin(cpu); /* RIP, but for based code */
    const struct jit_jt *t = &cpu->jit.jt[cpu->view][jit_jt_index(lin)];
    if (t->rip != lin || !engine_cs_fits(cpu) || !engine_narrow(cpu)) {
        return JIT_LEAVE;
    }
    cpu->exit_req = 0;
    cpu->jit.host = t->host;
    cpu->jit.page = (cpu->s.rip - (lin & ~PAGE_MASK)) & cpu->ip_mask;
    engine_vec_ready(cpu);
    return JIT_GO;
}

static int interp(struct cpu *cpu, uint32_t site)
{
    const struct jit_site *s = jit_site(cpu->engine->jit, site);
    struct block *b = s->owner;
    unsigned k = s->k;
    int64_t refund = s->refund;
    const struct jit_code *code = s->code;
    uint64_t gen = cpu->tlb.gen;
    uint32_t mode = cpu->mode;
    engine_settle(cpu, &s->rc);
    x87_host_settle(cpu, s);
    if (s->kind == SITE_CHECK) {
        if (!engine_stretch_end(cpu, s, rip_of(cpu, b, 0), 0)) {
            return JIT_LEAVE;
        }
        stretch_begin(cpu, b, 0, 0);
        return JIT_NEXT;
    }
    if (!engine_stretch_end(cpu, s, rip_of(cpu, b, k), b->n - k + refund)) {
        return JIT_LEAVE;
    }
    cpu->engine->interp[b->insn[k].row & (MAX_ROWS - 1)]++;
    struct insn *solo = cpu->scratch;
    solo[0] = b->insn[k];
    solo[1] = b->insn[k + 1];
    solo[1].fn = solo_end;
    cpu->budget += refund;
    engine_begin_at(cpu, b, solo);
    uint64_t next = insn_next_ip(cpu, solo); /* a branch may run on into other blocks */
    uint64_t base = cpu->s.seg[SEG_CS].base;
    uint32_t limit = cpu->s.seg[SEG_CS].limit;
    solo->fn(cpu, solo);
    if (!cpu->cur) {
        return engine_elsewhere(cpu); /* it left the block */
    }
    bool on = undisturbed(cpu, gen, mode) && b->valid && code->valid && cpu->budget >= refund;
    if (ends_block(solo)) { /* it has set RIP */
        on = on && cpu->s.seg[SEG_CS].base == base && cpu->s.seg[SEG_CS].limit == limit;
        if (!on || cpu->s.rip != next) {
            engine_end_run(cpu);
            return engine_elsewhere(cpu);
        }
    } else if (UNLIKELY(!on)) {
        engine_run_rest(cpu, b, &b->insn[k + 1]);
        return JIT_LEAVE;
    }
    engine_end_run(cpu);
    cpu->budget -= refund;
    stretch_begin(cpu, b, k + 1, b->n - (k + 1) + refund);
    engine_vec_ready(cpu);
    return JIT_NEXT;
}

int engine_interp(struct jit_env *env, uint32_t site)
{
    struct cpu *cpu = env_cpu(env);
    int next = interp(cpu, site);
    engine_fit_near(cpu);
    return next;
}

/* Entries of the soft TLB let through less than they did. */
void engine_fit_near_now(struct cpu *cpu)
{
    struct jit_env *env = &cpu->jit;
    for (unsigned v = 0; v < JIT_VIEWS; v++) {
        unsigned gone = cpu->tlb.gone[v];
        cpu->tlb.gone[v] = 0;
        if (!gone || !env->near_filled[v]) {
            continue;
        }
        for (unsigned k = 0; k < JIT_NEAR; k++) {
            if (gone == TLB_GONE_MANY || env->near[v][k].entry == (gone - 1) << 5) {
                env->near[v][k].limit = 0;
            }
        }
        env->near_filled[v] = gone != TLB_GONE_MANY;
    }
    cpu->tlb.any_gone = false;
}

/* A store that misses because there is code in its page, or a watchpoint: it is done where it goes,
 * once; blocks that it overwrites are invalid from now on. Not if code would go on in one of them,
 * or a watchpoint is met. 0: it is the interpreter's. 1: there is neither in the page. */
static int write_once(struct cpu *cpu, uint64_t la, unsigned size, enum tlb_view view,
                      const struct jit_code *running)
{
    gpa addr;
    if (!tlb_write_target(&cpu->tlb, &cpu->walk, la, view, &addr) || cpu->tlb.nwatch ||
        lockstep_of(cpu)) {
        return 0;
    }
    bool spied = cpu->tlb.spy && tlb_spies_write(&cpu->tlb, la, addr);
    if (spied && debug_watches(cpu->debug, la, addr, size)) {
        return 0;
    }
    struct aspace_hit hit = aspace_find(cpu->mem, addr);
    if (!hit.ram || !hit.whole_page || hit.split || hit.readonly) {
        return 0;
    }
    if (!hit.ram->code[hit.pfn] && !spied) {
        return 1;
    }
    /* To unshare a page with code is the interpreter's: jumps into it become stale. */
    const uint8_t *page = ram_own_ptr(hit.ram, hit.pfn);
    unsigned off = (unsigned)(la & ~PAGE_MASK);
    if (!page || (ram_has_code(hit.ram, hit.pfn, off, size) &&
                  !block_cache_overwrite(cpu->blocks, hit.ram, hit.pfn, off, size, running))) {
        return 0;
    }
    cpu->jit.once = (uintptr_t)page - (la & PAGE_MASK);
    return 2;
}

/* Does L1 let reads of la through, but no writes? */
static bool only_read(const struct cpu *cpu, uint64_t la, enum tlb_view view)
{
    const struct tlb_entry *t = &cpu->tlb.l1[view][la >> PAGE_BITS & TLB_L1_MASK];
    return (la & PAGE_MASK) == t->tag_r && t->tag_w != t->tag_r;
}

static int refuse(struct cpu *cpu, enum engine_cause why)
{
    cpu->engine->causes[why]++;
    return 0;
}

static int refill(struct cpu *cpu, uint64_t la, uint32_t what)
{
    unsigned size = JIT_REFILL_BYTES(what), view = what >> 9 & 3;
    bool write = what & JIT_REFILL_WRITE;
    if ((la & ~PAGE_MASK) + size > PAGE_SIZE || ((what & JIT_REFILL_ALIGN) && (la & (size - 1))) ||
        chaos_hits(&cpu->engine->chaos, 8)) {
        return refuse(cpu, CAUSE_page_end);
    }
    if (cpu_code64(cpu) ? bits_sext(la, 48) != la : la >> 32 != 0) {
        return refuse(cpu, CAUSE_address);
    }
    const struct jit_code *running = NULL;
    if (what & JIT_REFILL_ONCE) {
        running =
            what & JIT_REFILL_KEEP ? NULL : jit_site(cpu->engine->jit, cpu->jit.store_site)->code;
        if (only_read(cpu, la, view)) {
            int r = write_once(cpu, la, size, view, running);
            if (r != 1) {
                return r ? r : refuse(cpu, CAUSE_code);
            }
        }
    }
    uint64_t moved = cpu->tlb.moved;
    if (!tlb_refill(&cpu->tlb, &cpu->walk, cpu->mem, la, write ? ACC_WRITE : ACC_READ, view)) {
        return refuse(cpu, CAUSE_no_page);
    }
    if (cpu->tlb.moved != moved) {
        return refuse(
            cpu, CAUSE_code); /* code may still use the place where it was (cpu/jit/groups.h) */
    }
    const struct tlb_entry *t = &cpu->tlb.l1[view][la >> PAGE_BITS & TLB_L1_MASK];
    if ((la & PAGE_MASK) == (write ? t->tag_w : t->tag_r)) {
        return 1;
    }
    if (write && (what & JIT_REFILL_ONCE) && write_once(cpu, la, size, view, running) == 2) {
        return 2;
    }
    return refuse(cpu, CAUSE_code);
}

int engine_refill(struct jit_env *env, uint64_t la, uint32_t what)
{
    struct cpu *cpu = env_cpu(env);
    int found = refill(cpu, la, what);
    engine_fit_near(cpu);
    return found;
}

/* NEAR_MISSES misses within so much virtual time cost more than the hits between them gain. */
#define NEAR_MISSES 32
#define NEAR_NS     (NEAR_MISSES * 2048u)

int engine_near_failed(struct jit_env *env, uint64_t place, uint32_t slot)
{
    struct cpu *cpu = env_cpu(env);
    unsigned k = slot & ~JIT_NEAR_LIMIT;
    struct jit_near *n = &env->near[k / JIT_NEAR][k % JIT_NEAR];
    uint64_t now = env->tsc + env->tsc_units - (uint64_t)cpu->budget;
    if (now - n->time < NEAR_NS) {
        jit_near_off(cpu->engine->jit, (uint32_t)place, slot);
    }
    n->time = now;
    n->left = NEAR_MISSES;
    return 0;
}

int engine_cond(struct jit_env *env, uint32_t cc)
{
    struct cpu *cpu = env_cpu(env);
    engine_settle_memory(cpu);
    if (cc == JIT_COND_IMAGE) {
        return (int)stack_flags_image(cpu);
    }
    return cc < 16 && flags_cond(cpu, cc);
}
