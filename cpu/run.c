/*
 * The run loop of a vCPU: blocks, the budget, events, faults.
 *
 * The contract (DESIGN.md section 4, core/clock.h): cpu_run(cpu, n) consumes at most n units. A
 * unit is one instruction, one iteration of a REP instruction, or one delivery of an event. A block
 * is charged as a whole at its entry (budget -= n) and what did not retire is refunded when it is
 * left in the middle: by a fault (cpu_raise comes back here by longjmp), or by insn_leave after an
 * instruction whose access asked for it. If a block does not fit the budget, a copy of as many of
 * its instructions as do is run instead: so where a slice ends never depends on how code was cut
 * into blocks. With TF, breakpoints or an interrupt shadow the copy is one instruction long.
 *
 * Elapsed units at any moment = slice - budget - (charged - retired of the running block).
 */
#include "cpu/block.h"
#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/sem.h"
#include "cpu/sys.h"

/* A run of a block that compiled code leads to, which it had to be left for, counts for so many
 * more: the way out and back costs more than a short block does. */
#define BESIDE_CODE 3

uint64_t cpu_elapsed(void *ctx)
{
    const struct cpu *cpu = ctx;
    uint64_t used = cpu->slice - (uint64_t)cpu->budget;
    if (cpu->cur) {
        used -= cpu->charged - (uint64_t)(cpu->cur->k - cpu->k0);
    }
    return used;
}

bool cpu_run_shorten(struct cpu *cpu, uint64_t n, uint64_t ns)
{
    uint64_t cut = cpu_run_units(cpu) - n, held = (uint64_t)cpu->held;
    uint64_t own = cut > held ? cut - held : 0; /* what is kept from code goes first */
    if (cpu->budget < 0 || own > (uint64_t)cpu->budget) {
        return false;
    }
    cpu->held -= (int64_t)(cut - own);
    cpu->budget -= (int64_t)own;
    cpu->slice -= own;
    cpu->jit.tsc_units -= own;
    cpu->jit.tsc += ns;
    return true;
}

/* Give back what the running block was charged for and has not retired; `retired` counts from its
 * first instruction. */
static void refund(struct cpu *cpu, unsigned retired)
{
    cpu->budget += (int64_t)cpu->charged - (int64_t)(retired - cpu->k0);
    cpu->charged = 0;
    cpu->cur = NULL;
    cpu->running = NULL;
}

void block_end(struct cpu *cpu, const struct insn *i)
{
    cpu->s.rip = insn_ip(cpu, i);
}

void insn_leave(struct cpu *cpu, const struct insn *i)
{
    cpu->s.rip = insn_next_ip(cpu, i);
    refund(cpu, i->k + 1u);
}

static void enter(struct cpu *cpu, const struct insn *first, unsigned n, const struct block *b)
{
    cpu->budget -= n;
    cpu->charged = (uint16_t)n;
    cpu->k0 = first->k;
    cpu->blk_rip = cpu->s.rip;
    cpu->exit_req = 0;
    cpu->running = b;
    cpu->cur = first;
    first->fn(cpu, first);
    cpu->charged = 0;
    cpu->cur = NULL;
    cpu->running = NULL;
}

/* Run the first n instructions of b (NULL: the one in scratch). */
static void enter_head(struct cpu *cpu, const struct block *b, unsigned n)
{
    if (b) {
        memcpy(cpu->scratch, b->insn, n * sizeof cpu->scratch[0]);
        struct insn *e = &cpu->scratch[n];
        *e = b->insn[n];
        e->fn = block_end;
    }
    enter(cpu, cpu->scratch, n, b);
}

void cpu_run_head(struct cpu *cpu, const struct block *b, unsigned n)
{
    cpu->budget = n; /* no more: a branch at its end must not chain */
    enter_head(cpu, b, n);
}

/* Did the instruction just run go elsewhere than behind itself? (One of a REP that comes back to
 * itself did not branch.) */
static bool branched(const struct cpu *cpu, uint64_t rip)
{
    uint64_t next = (rip + cpu->scratch[0].len) & cpu->ip_mask;
    return cpu->s.rip != next && cpu->s.rip != rip;
}

/* One instruction, with what TF and the interrupt shadow ask for. */
static void single_step(struct cpu *cpu, const struct block *b)
{
    bool tf = cpu->s.rflags & FL_TF;
    cpu->s.shadow = false;
    cpu->s.shadow_ss = false;
    cpu->s.rflags &= ~(uint64_t)FL_RF; /* holds for one instruction */
    cpu->step_done = false;
    cpu_update_attn(cpu); /* so that a REP need not stop at each iteration for these */
    uint64_t rip = cpu->s.rip;
    enter_head(cpu, b, 1);
    /* DEBUGCTL.BTF: only branches trap (SDM 3B 17.4.3). */
    bool due = tf && (!(cpu->s.msr[0].debugctl & DEBUGCTL_BTF) || branched(cpu, rip));
    if (due && !cpu->step_done) {
        cpu->s.db_pending |= UINT64_C(1) << 14; /* DR6.BS: a trap after this instruction */
    }
    cpu_update_attn(cpu);
}

static bool wants_single(const struct cpu *cpu)
{
    return (cpu->s.rflags & (FL_TF | FL_RF)) || cpu->s.shadow || (cpu->s.dr[7] & 0xff);
}

static void one_by_one(struct cpu *cpu, struct block *b)
{
    if (cpu->one_by_one & ONE_LOG) {
        log_line(cpu->dev.env->log, LOG_exec, "cpu%u %04x:%08llx", cpu->index,
                 cpu->s.seg[SEG_CS].sel, (unsigned long long)cpu->s.rip);
    }
    if (cpu->one_by_one & ONE_RECORD) {
        engine_record(cpu, b);
    }
}

static void run_some(struct cpu *cpu)
{
    if (UNLIKELY(cpu->debug != NULL) && debug_here(cpu)) {
        return;
    }
    struct block *b = block_lookup(cpu);
    if (UNLIKELY(cpu->one_by_one)) {
        one_by_one(cpu, b);
    }
    if (b && cpu->jit_from != JIT_DONE) {
        b->left -= BESIDE_CODE;
    }
    if (UNLIKELY(cpu->attn) && wants_single(cpu)) {
        single_step(cpu, b);
    } else if (LIKELY(b && b->n <= cpu->budget)) {
        if (UNLIKELY(--b->left <= 0) && !cpu->one_by_one && engine_run(cpu, b)) {
            return;
        }
        enter(cpu, b->insn, b->n, b);
    } else if (b) {
        enter_head(cpu, b, (unsigned)cpu->budget);
    } else {
        enter_head(cpu, NULL, 1);
    }
}

/* cpu_raise came here: put RIP on the faulting instruction, then deliver. */
static void take_fault(struct cpu *cpu)
{
    engine_unhold(cpu);
    if (cpu->cur) {
        cpu->s.rip = insn_ip(cpu, cpu->cur);
        refund(cpu, cpu->cur->k);
    }
    if (UNLIKELY(cpu->noted)) {
        debug_fault(cpu);
    }
    if (cpu->exc.vector == EXC_STOP) {
        cpu->s.activity = CPU_HALTED;
        cpu_update_attn(cpu);
        return;
    }
    /* A delivery costs one unit, whatever further faults it meets on its way. */
    if (cpu->polling || !cpu->delivering) {
        cpu->budget--;
    }
    cpu->polling = false;
    event_fault(cpu);
    cpu_update_attn(cpu);
}

uint64_t cpu_run(struct cpu *cpu, uint64_t n)
{
    cpu->slice = n;
    cpu->budget = (int64_t)n;
    cpu->stop = cpu->yielded = false;
    cpu->cur = NULL;
    cpu->charged = 0;
    cpu->polling = false;
    const struct clock_state *clock = &cpu->dev.env->clock->s;
    cpu->jit.tsc = clock->now;
    cpu->jit.tsc_units = n;
    cpu->jit.tsc_rate = clock->rate;
    cpu->jit.tsc_frac = clock->frac;
    cpu->one_by_one = (uint8_t)((cpu->one_by_one & ONE_RECORD) |
                                (log_on(cpu->dev.env->log, LOG_exec) ? ONE_LOG : 0));
    cpu_update_attn(cpu);
    if (setjmp(cpu->fault)) {
        take_fault(cpu);
    }
    while (cpu->budget > 0 && !cpu->stop) {
        if (UNLIKELY(cpu->noted) && debug_commit(cpu->debug, cpu)) {
            break;
        }
        if (UNLIKELY(cpu->attn)) {
            cpu->polling = true;
            cpu->budget -= event_poll(cpu);
            cpu->polling = false;
            if (cpu->s.activity != CPU_RUNNING) {
                break;
            }
            if (cpu->budget <= 0) {
                break;
            }
            if (UNLIKELY(cpu->noted || cpu->stop)) {
                continue; /* by the delivery; a deadline that it set may be due already */
            }
        }
        run_some(cpu);
    }
    if (UNLIKELY(cpu->noted)) {
        debug_commit(cpu->debug, cpu);
    }
    uint64_t used = cpu->slice - (uint64_t)cpu->budget; /* cpu_run_shorten may have been called */
    cpu->s.icount += used;
    return used;
}
