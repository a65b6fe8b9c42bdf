/*
 * Jump tables: from RIP to code, for transfers that are not linked.
 *
 * What always holds: an entry is there only if the soft TLB's generation (of global pages: that of
 * global ones) and the mode are those for which it was made and the block is valid, so a hit does
 * what a hit of the jump cache would do. Compiled code leaves after anything that could change
 * either, except that STAC and CLAC take it from one supervisor view to the other: jt_check makes
 * all views' tables fit.
 */
#include "cpu/engine_impl.h"

/* A RIP that has another entry never matches: 0 and 1 have entries 0 and 1. */
static void jt_drop(struct cpu *cpu, unsigned view, unsigned k)
{
    cpu->jit.jt[view][k].rip = k == 0 ? 1 : 0;
}

/* ---- sets of entries ---- */

static void set_add(struct jt_set *s, unsigned k)
{
    s->word[k / 64] |= UINT64_C(1) << k % 64;
    s->some[k / 4096] |= UINT64_C(1) << k / 64 % 64;
}

static void set_remove(struct jt_set *s, unsigned k)
{
    s->word[k / 64] &= ~(UINT64_C(1) << k % 64);
}

/* Those of pages that are not global, or all. */
static void jt_clear(struct cpu *cpu, unsigned view, bool all)
{
    struct jt_set *filled = &cpu->jt_filled[view], *local = &cpu->jt_local[view];
    struct jt_set *from = all ? filled : local;
    for (unsigned s = 0; s < ARRAY_LEN(from->some); s++) {
        for (uint64_t words = from->some[s]; words; words &= words - 1) {
            unsigned w = s * 64 + (unsigned)__builtin_ctzll(words);
            for (uint64_t set = from->word[w]; set; set &= set - 1) {
                jt_drop(cpu, view, w * 64 + (unsigned)__builtin_ctzll(set));
            }
            filled->word[w] &= ~from->word[w];
            local->word[w] = 0;
        }
        from->some[s] = 0;
    }
}

/* ---- tables ---- */

void jt_init(struct cpu *cpu)
{
    for (unsigned v = 0; v < JIT_VIEWS; v++) {
        jt_drop(cpu, v, 0); /* the others are 0 already */
    }
}

void jt_empty(struct cpu *cpu)
{
    for (unsigned v = 0; v < JIT_VIEWS; v++) {
        jt_clear(cpu, v, true);
    }
}

/* Empty the table of a view unless it is of this mode and the TLB's generation. */
static void jt_fit(struct cpu *cpu, unsigned v, uint32_t mode)
{
    const struct tlb *t = &cpu->tlb;
    bool all = cpu->jt_gen_global[v] != t->gen_global || cpu->jt_mode[v] != mode;
    if (all || cpu->jt_gen[v] != t->gen) {
        jt_clear(cpu, v, all);
        cpu->jt_gen[v] = t->gen;
        cpu->jt_gen_global[v] = t->gen_global;
        cpu->jt_mode[v] = mode;
    }
}

void jt_check(struct cpu *cpu)
{
    if (cpu->view == TLB_USER) {
        jt_fit(cpu, TLB_USER, cpu->mode);
    } else {
        jt_fit(cpu, TLB_SUPER, cpu->mode & ~(uint32_t)MODE_AC);
        jt_fit(cpu, TLB_SUPER_AC, cpu->mode | MODE_AC);
    }
}

void jt_forget(struct engine *e, const struct block *b, const struct jit_code *code)
{
    uint64_t host = jit_host(e->jit, code);
    unsigned low = b->jt;
    for (unsigned c = 0; c < e->ncpus; c++) {
        struct cpu *cpu = e->cpus[c];
        for (unsigned v = 0; v < JIT_VIEWS; v++) {
            if (cpu->jit.jt[v][low].host == host) {
                jt_drop(cpu, v, low);
            }
        }
    }
}

void jt_put(struct cpu *cpu, struct block *b)
{
    uint64_t lin = block_lin(cpu); /* RIP, but for based code */
    unsigned v = cpu->view, k = jit_jt_index(lin);
    const struct jc_entry *from = &cpu->jc[lin & (JC_SIZE - 1)];
    bool global = from->block == b && from->lin == lin && from->gen == cpu->tlb.gen_global;
    if (b->jt != k) { /* at another linear address too: only one entry is known */
        jt_forget(cpu->engine, b, b->code);
        b->jt = (uint16_t)k;
    }
    cpu->jit.jt[v][k] = (struct jit_jt){lin, jit_host(cpu->engine->jit, b->code)};
    set_add(&cpu->jt_filled[v], k);
    if (global) {
        set_remove(&cpu->jt_local[v], k);
    } else {
        set_add(&cpu->jt_local[v], k);
    }
}
