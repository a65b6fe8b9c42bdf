/*
 * The run loop: slices, turns, idling, requests.
 *
 * Virtual time is serial: each instruction of any vCPU moves the one clock by one unit. vCPUs take
 * turns of VM_QUANTUM units in order of their numbers; one that is halted is passed over at no cost
 * and loses the rest of its turn. If none wants to run, time jumps to the next deadline. If all
 * that run have given their turns away by PAUSE, one after the other, time passes by PAUSE_NS. With
 * one vCPU and nothing due before that, its slice just goes on (vm_cpu_paused).
 *
 * A slice ends at the first of: the next deadline, the end of the turn, the limit, POLL_UNITS. Only
 * the first two matter to the guest, and both follow from the machine's state (the turn is in
 * struct vm_state), so limits and polls change nothing. Inputs from the host are looked for between
 * slices and stamped by the gate.
 *
 * Pacing (vm/pace.h): where virtual time keeps step with the host's, the jump to the next deadline
 * is slept through. This is the only place where the host's time matters, and it only decides the
 * stamp of an input.
 */
#include <assert.h>
#include <inttypes.h>

#include "cpu/engine.h"
#include "hw/intc/apic.h"
#include "util/err.h"
#include "vm/debug.h"
#include "vm/firmware.h"
#include "vm/flight.h"
#include "vm/history.h"
#include "vm/monitor.h"
#include "vm/pace.h"
#include "vm/record.h"
#include "vm/replay.h"
#include "vm/screen.h"
#include "vm/vm.h"

#define POLL_UNITS (UINT64_C(1) << 18) /* a few milliseconds under the interpreter */
#define IDLE_NS    (100 * VTIME_MS)    /* the longest sleep at once */
/* What a PAUSE takes while all wait: 140 cycles from Skylake on (Intel's Optimization Reference
 * Manual, "Pause Latency in Skylake Client Microarchitecture"), here of 1 ns. */
#define PAUSE_NS 140u
/* A machine that nobody can type at is dead after so many timers without one that woke a vCPU (a
 * second or so of host time; hours of a PIT at 1 kHz that is masked). */
#define IDLE_SKIPS_MAX 5000000u

/* What other threads may know. */
static void show(struct doppel_vm *vm)
{
    screen_poll(vm->screen);
    atomic_store_explicit(&vm->told_icount, vm->clock.s.icount, memory_order_relaxed);
    atomic_store_explicit(&vm->told_now, vm->clock.s.now, memory_order_relaxed);
}

static void poll_host(struct doppel_vm *vm)
{
    if (!history_seeking(vm)) {
        chr_set_poll(vm->chrs);
        show(vm);
        record_poll(vm);
        pace_poll(vm);
    }
    vm->poll_credit = (int64_t)POLL_UNITS;
}

/* Is this the last instant of a log, with everything that happened in it? */
static bool at_end(const struct doppel_vm *vm)
{
    return vm->clock.s.now >= vm->end_when && vm->gate.order >= vm->end_order &&
           gate_next(&vm->gate) == VTIME_NEVER;
}

/* Everything that happens between slices, at one instant. */
static void between(struct doppel_vm *vm)
{
    if (vm->poll_credit <= 0) {
        poll_host(vm);
    }
    bool fired;
    do {
        gate_deliver(&vm->gate, vm->clock.s.now);
        fired = !at_end(vm) && clock_fire(&vm->clock);
        vm->gate.order += fired;
    } while (fired || vm->gate.pending ||
             (!vm->request && gate_deliver_late(&vm->gate, vm->clock.s.now)));
}

/* --- Requests --- */

static bool reset_now(struct doppel_vm *vm, enum reset_kind kind, enum doppel_stop *why)
{
    if (vm->opt.no_reboot && kind == RESET_WARM) {
        vm->s.off = true;
        *why = DOPPEL_RESET;
        return true;
    }
    if (!vm_reset(vm, kind, &vm->failure)) {
        vm->s.off = true;
        *why = DOPPEL_FAILED;
        return true;
    }
    return false;
}

/* True: doppel_run returns *why. */
static bool obey(struct doppel_vm *vm, enum doppel_stop *why)
{
    uint32_t req = vm->request;
    vm->request = 0;
    if (req & VM_REQ_QUIT) { /* not of the guest's: it leaves no trace */
        *why = DOPPEL_QUIT;
        return true;
    }
    vm->gate.order++;
    if (req & VM_REQ_EXIT) {
        vm->s.off = true;
        *why = DOPPEL_EXIT;
        return true;
    }
    if (req & VM_REQ_POWEROFF) {
        if (vm->opt.no_shutdown) {
            vm->paused = !vm->gate.feed; /* a log knows who came and when */
            return false;
        }
        vm->s.off = true;
        *why = DOPPEL_POWEROFF;
        return true;
    }
    if (req & VM_REQ_RESET) {
        return reset_now(vm, RESET_WARM, why);
    }
    vm->s.asleep |= (req & VM_REQ_SLEEP) != 0;
    return (req & VM_REQ_WAKE) && vm->s.asleep && reset_now(vm, RESET_WAKE, why);
}

/* --- Turns --- */

/* The vCPU that runs next; NULL: all are idle or the machine sleeps, and the turn stays where it
 * is, however often this is asked. */
static struct cpu *take_turn(struct doppel_vm *vm)
{
    if (vm->s.asleep) {
        return NULL;
    }
    uint32_t turn = vm->s.turn, quantum = vm->s.quantum;
    for (unsigned i = 0; i <= vm->ncpus; i++) {
        if (quantum && cpu_wants_run(vm->cpu[turn])) {
            vm->s.turn = turn;
            vm->s.quantum = quantum;
            return vm->cpu[turn];
        }
        turn = (turn + 1) % vm->ncpus;
        quantum = VM_QUANTUM;
    }
    return NULL;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The chipset answers the shutdown cycle by INIT to the CPUs (PIIX3 datasheet, 4.1): a way back to
 * real mode as old as the 286. */
static void shut_down(struct doppel_vm *vm)
{
    flight_crash(vm, "a CPU shut down (triple fault)");
    if (!vm_resets_cpu_alone(vm)) {
        vm_request(vm, VM_REQ_RESET);
        return;
    }
    for (unsigned i = 0; i < vm->ncpus; i++) {
        cpu_init_line(vm->cpu[i]);
    }
}

/* After a slice: whose turn it is, and whether there was nothing but waiting. */
static void end_turn(struct doppel_vm *vm, bool yielded, uint64_t used)
{
    struct clock *c = &vm->clock;
    uint32_t running = 0;
    if (vm->ncpus > 1) {
        vm->s.quantum = yielded ? 0 : vm->s.quantum - (uint32_t)used;
        vm->s.pauses = vm->s.quantum || yielded ? vm->s.pauses : 0;
    }
    if (!yielded) {
        return;
    }
    for (unsigned i = 0; i < vm->ncpus; i++) {
        running += cpu_wants_run(vm->cpu[i]);
    }
    if (++vm->s.pauses >= running) {
        vtime next = clock_next(c), to = min64(c->s.now + PAUSE_NS, next);
        clock_skip(c, to > c->s.now ? to : c->s.now);
        vm->s.pauses = 0;
    }
}

/* The next deadline, input of a replay, end of its log, or limit of doppel_run_until. */
static vtime next_due(const struct doppel_vm *vm)
{
    vtime due = min64(clock_next(&vm->clock), gate_next(&vm->gate));
    return min64(due, min64(vm->end_when, vm->stop_at));
}

/* The only vCPU is in a PAUSE: what its turn's end comes to, if nothing falls due meanwhile. */
bool vm_cpu_paused(void *ctx)
{
    struct doppel_vm *vm = ctx;
    struct clock *c = &vm->clock;
    struct cpu *cpu = vm->running;
    if (vm->ncpus > 1 || vm->debug || cpu->stop) {
        return false;
    }
    vtime now = clock_after(c, cpu_elapsed(cpu) + 1), to = now + PAUSE_NS, due = next_due(vm);
    if (to >= due) {
        return false;
    }
    uint64_t n = clock_units(c, due - PAUSE_NS, cpu_run_units(cpu));
    if (!cpu_run_shorten(cpu, n, PAUSE_NS)) {
        return false;
    }
    clock_slice_skip(c, to - now, n);
    return true;
}

/* At vm->check_at: what a recording keeps of an interval, and a replay compares. */
static void check(struct doppel_vm *vm)
{
    check_take(vm, &vm->small);
    record_check(vm, &vm->small);
    if (vm->replay) {
        replay_check(vm->replay, &vm->small);
    }
    vm->check_at = check_next(vm->clock.s.icount);
}

static void run_slice(struct doppel_vm *vm, struct cpu *cpu, uint64_t limit)
{
    struct clock *c = &vm->clock;
    uint64_t n = min64(limit - c->s.icount, POLL_UNITS);
    n = min64(n, vm->check_at - c->s.icount);
    n = clock_units(c, next_due(vm), n);
    if (vm->ncpus > 1) {
        n = min64(n, vm->s.quantum);
    }
    if (UNLIKELY(vm->debug != NULL)) {
        n = debug_slice(vm, cpu, n);
    }
    assert(n > 0);
    vm->running = cpu;
    vm->env.cur_cpu = cpu->index;
    c->elapsed_ctx = cpu;
    firmware_view(vm, cpu->s.smm);
    clock_slice_begin(c, n);
    uint64_t used = cpu_run(cpu, n);
    clock_slice_end(c, used);
    vm->running = NULL;
    firmware_view(vm, false);
    vm->env.cur_cpu = 0;
    vm->poll_credit -= (int64_t)used;
    if (used) {
        vm->ran[cpu->index] = c->s.icount;
    }
    end_turn(vm, cpu->yielded, used);
    if (cpu->s.activity == CPU_SHUTDOWN) {
        shut_down(vm);
    }
}

/* --- Idling --- */

/* Can this vCPU, halted with interrupts off, be woken by NMI, SMI or INIT? No vCPU runs that could
 * send them, so they come from interrupt lines by way of the APICs, or not at all. */
static bool wakeable_masked(const struct doppel_vm *vm, const struct cpu *cpu)
{
    struct dev *bus = dev_find(&vm->env, "apicbus");
    unsigned modes = bus && !cpu->s.smm ? apicbus_line_modes(bus, cpu->index) : 0;
    if (cpu->s.nmi_blocked) {
        modes &= ~(1u << APIC_NMI);
    }
    return modes != 0;
}

/* Can an interrupt wake a vCPU at all, or an event the machine? */
static bool wakeable(const struct doppel_vm *vm)
{
    if (vm->s.asleep) {
        return true;
    }
    for (unsigned i = 0; i < vm->ncpus; i++) {
        const struct cpu_state *s = &vm->cpu[i]->s;
        /* MWAIT also ends by a store to its line, which may be a device's. */
        if (s->activity == CPU_MWAIT ||
            (s->activity == CPU_HALTED &&
             ((s->rflags & FL_IF) || wakeable_masked(vm, vm->cpu[i])))) {
            return true;
        }
    }
    return false;
}

/* All vCPUs are halted: let time pass. False: nothing will ever happen. */
static bool idle(struct doppel_vm *vm)
{
    vtime now = vm->clock.s.now, next = next_due(vm);
    bool live = !vm->gate.feed && pace_live(vm), paced = pace_keeps(vm);
    bool heard = live || vm->gate.feed; /* something may come from outside, or has */
    if (!wakeable(vm) || (!live && next == VTIME_NEVER) ||
        (!heard && vm->idle_skips == IDLE_SKIPS_MAX)) {
        return false;
    }
    vm->idle_skips += !heard;
    if (paced || next == VTIME_NEVER) {
        uint64_t want = min64(next - now, IDLE_NS);
        show(vm); /* what the guest drew before it went idle */
        next = now + (paced ? pace_idle(vm, want) : min64(want, chr_set_wait(vm->chrs, want)));
        poll_host(vm);
    } else if (live) {
        vm->poll_credit -= (int64_t)(POLL_UNITS / 16);
    }
    clock_skip(&vm->clock, next);
    return true;
}

static void wait_paused(struct doppel_vm *vm)
{
    chr_set_wait(vm->chrs, IDLE_NS);
    pace_restart(vm); /* the guest has not lost this time */
    poll_host(vm);
    gate_deliver(&vm->gate, vm->clock.s.now);
}

/* --- The loop --- */

enum doppel_stop vm_run(struct doppel_vm *vm, uint64_t icount)
{
    enum doppel_stop why;
    for (;;) {
        if (atomic_exchange(&vm->interrupted, false)) {
            return DOPPEL_INTERRUPT;
        }
        if (history_arrived(vm)) {
            continue;
        }
        if (vm->s.off && !vm->paused) {
            return DOPPEL_POWEROFF;
        }
        if (vm->paused) {
            wait_paused(vm);
        } else {
            between(vm);
            if (UNLIKELY(vm->debug != NULL) && debug_stops(vm)) { /* a device met a watchpoint */
                return DOPPEL_BREAK;
            }
        }
        if (vm->request) {
            if (obey(vm, &why)) {
                return why;
            }
            continue;
        }
        if (vm->paused) {
            continue;
        }
        if (vm->replay && !vm->twin && replay_stops(vm->replay, &why)) {
            return why;
        }
        if (vm->clock.s.icount >= icount || vm->clock.s.now >= vm->stop_at) {
            return DOPPEL_LIMIT;
        }
        if (vm->clock.s.icount >= history_end(vm)) {
            return DOPPEL_FAILED; /* the present could not be put back */
        }
        history_tick(vm);
        struct cpu *cpu = take_turn(vm);
        if (cpu) {
            vm->idle_skips = 0;
            run_slice(vm, cpu, min64(icount, history_end(vm)));
            if (UNLIKELY(vm->clock.s.icount == vm->check_at)) {
                check(vm);
            }
            if (UNLIKELY(engine_failure(vm->engine) || vm->snap.broken)) {
                vm->s.off = true;
                return DOPPEL_FAILED;
            }
            if (UNLIKELY(vm->debug != NULL) && debug_stops(vm)) {
                return DOPPEL_BREAK;
            }
        } else if (!idle(vm)) {
            if (!vm->opt.no_shutdown) {
                return DOPPEL_DEAD;
            }
            vm->paused = true;
        }
    }
}

enum doppel_stop doppel_run(struct doppel_vm *vm, uint64_t icount)
{
    if (vm->debug) {
        debug_begin(vm, NULL);
    }
    enum doppel_stop why = vm_run(vm, icount);
    show(vm);
    return vm->replay ? replay_ended(vm->replay, why) : why;
}

enum doppel_stop doppel_run_until(struct doppel_vm *vm, uint64_t icount, uint64_t until)
{
    vm->stop_at = until;
    enum doppel_stop why = doppel_run(vm, icount);
    vm->stop_at = VTIME_NEVER;
    return why;
}

enum doppel_stop doppel_step(struct doppel_vm *vm, unsigned cpu)
{
    assert(cpu < vm->ncpus);
    debug_begin(vm, vm->cpu[cpu]);
    enum doppel_stop why = vm_run(vm, DOPPEL_NO_LIMIT);
    show(vm);
    return why;
}

void doppel_interrupt(struct doppel_vm *vm)
{
    atomic_store(&vm->interrupted, true);
    chr_set_wake(vm->chrs);
}

uint32_t doppel_exit_code(const struct doppel_vm *vm)
{
    return vm->exit_code;
}

const char *doppel_failure(const struct doppel_vm *vm)
{
    const char *report = engine_failure(vm->engine);
    report = report ? report : replay_report(vm->replay);
    return report ? report : vm->snap.broken ? vm->snap.why.msg : vm->failure.msg;
}

uint64_t doppel_icount(const struct doppel_vm *vm)
{
    return vm->clock.s.icount;
}

uint64_t doppel_vtime(const struct doppel_vm *vm)
{
    return vm->clock.s.now;
}

void doppel_progress(struct doppel_vm *vm, uint64_t *icount, uint64_t *now)
{
    *icount = atomic_load_explicit(&vm->told_icount, memory_order_relaxed);
    *now = atomic_load_explicit(&vm->told_now, memory_order_relaxed);
}

void doppel_set_live(struct doppel_vm *vm, bool live)
{
    atomic_store_explicit(&vm->live, live, memory_order_relaxed);
}
