/*
 * Jump tables: from RIP to code, for transfers that are not linked.
 *
 * What always holds: an entry is there only if the soft TLB's generation (of global pages: that of
 * global ones) and the mode are those for which it was made and the block is valid, so a hit does
 * what a hit of the jump cache would do. Compiled code leaves after anything that could change
 * either.
 */
#include "cpu/engine_impl.h"

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

void jt_init(struct cpu *cpu)
{
    for (unsigned v = 0; v < JIT_VIEWS; v++) {
        for (unsigned k = 0; k < JIT_JT_SIZE; k++) {
            jt_drop(cpu, v, k);
        }
    }
}

void jt_check(struct cpu *cpu)
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

void jt_forget(struct engine *e, const struct block *b, const struct jit_code *code)
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

void jt_put(struct cpu *cpu, struct block *b)
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
