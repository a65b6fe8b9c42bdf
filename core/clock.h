/*
 * The one clock of a machine: time is retired instructions.
 *
 * Virtual time (ns) = instructions retired by all vCPUs * rate + what was skipped while every vCPU
 * was halted or waited in a PAUSE. Nothing else moves it; no host clock is read here or below. The
 * rate is 1 ns, or more where the host is slower than that (vm/pace.h): it changes by a logged
 * input only. Never less, so that each instruction has an instant of its own. A REP iteration
 * counts one, and so does each delivery of an exception or interrupt (so that time passes even in a
 * storm of faults). TSC, PIT, RTC, APIC timer and HPET are functions of clock_now().
 *
 * A run of a vCPU is a slice: the run loop gives it a budget that ends at the next deadline or
 * earlier, and it never overshoots. Inside a slice clock_now() asks the running vCPU for what is
 * left of the budget, so device code sees the exact instant of the access.
 *
 * What always holds: timers fire in deadline order, ties in order of registration, from
 * clock_run_due() between slices only: no callback runs inside a vCPU's access.
 */
#ifndef DOPPEL_CORE_CLOCK_H
#define DOPPEL_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"
#include "core/types.h"

struct clock;

/* Binds a deadline in some state struct to a callback. Lives in the device outside its state;
 * linked into the clock from timer_init on and never unlinked before the clock dies. */
struct timer {
    struct clock *clock;
    struct vtimer *state;  /* the deadline; inside the owner's state struct */
    void (*fn)(void *ctx); /* called with the deadline reached and set to VTIME_NEVER */
    void *ctx;
    uint32_t order;    /* of registration; breaks ties */
    uint32_t heap_pos; /* index in the clock's heap */
};

#define CLOCK_STATE(S, V, A, N)                                                                    \
    V(S, uint64_t, now, 1)    /* vtime at the start of the slice */                                \
    V(S, uint64_t, icount, 1) /* instructions retired, all vCPUs */                                \
    V(S, uint32_t, rate, 2)   /* ns that one takes, times 65536: CLOCK_RATE_ONE or more */         \
    V(S, uint32_t, frac, 2)   /* of `now`: 1/65536 ns */

#define CLOCK_RATE_ONE 0x10000u
#define CLOCK_RATE_MAX (1024u * CLOCK_RATE_ONE)

ST_DECLARE(clock_state, CLOCK_STATE);

struct clock {
    struct clock_state s;
    /* Instructions the running vCPU has retired in this slice; NULL outside slices. */
    uint64_t (*elapsed)(void *ctx);
    void *elapsed_ctx;
    /* Called when a deadline earlier than the slice's end is set inside the slice: the running
     * vCPU must return to the run loop at the next instruction boundary. May be NULL. */
    void (*kick)(void *ctx);
    void *kick_ctx;
    vtime slice_end;
    struct timer **heap;
    uint32_t ntimers, cap;
    bool running;
};

void clock_init(struct clock *c);
void clock_fini(struct clock *c);

/* The instant n instructions after the slice's begin. */
static inline vtime clock_after(const struct clock *c, uint64_t n)
{
    return c->s.now + ((n * c->s.rate + c->s.frac) >> 16);
}

/* The present instant, exact also inside a slice. */
static inline vtime clock_now(const struct clock *c)
{
    return c->running ? clock_after(c, c->elapsed(c->elapsed_ctx)) : c->s.now;
}

static inline uint64_t clock_icount(const struct clock *c)
{
    return c->running ? c->s.icount + c->elapsed(c->elapsed_ctx) : c->s.icount;
}

/* Register; the deadline in `state` is set to VTIME_NEVER. */
void timer_init(struct timer *t, struct clock *c, struct vtimer *state, void (*fn)(void *ctx),
                void *ctx);
/* Set or move the deadline; one in the past fires at the next clock_run_due. */
void timer_set(struct timer *t, vtime deadline);
void timer_cancel(struct timer *t);
static inline bool timer_pending(const struct timer *t)
{
    return t->state->deadline != VTIME_NEVER;
}

/* Ticks of an oscillator of `hz` that have passed at instant t (it started at 0), and the first
 * instant at which `ticks` of them have. For t and results below 2^63. */
static inline uint64_t clock_ticks(vtime t, uint64_t hz)
{
    /* As t * hz / VTIME_SEC with enough bits, but without a division by a variable: guests that
     * wait read counters all the time. hz is below 18 GHz. */
    return t / VTIME_SEC * hz + t % VTIME_SEC * hz / VTIME_SEC;
}

static inline vtime clock_tick_time(uint64_t ticks, uint64_t hz)
{
    __extension__ typedef unsigned __int128 u128;
    u128 t = ((u128)ticks * VTIME_SEC + hz - 1) / hz;
    return t >= VTIME_NEVER ? VTIME_NEVER - 1 : (vtime)t;
}

/* The earliest deadline, or VTIME_NEVER. */
vtime clock_next(const struct clock *c);

/* Slices (vm's run loop only). begin: the clock starts to ask `elapsed`; `n` instructions at most.
 * end: `n` were retired. skip: time passes with all vCPUs waiting; `to` >= now. */
void clock_slice_begin(struct clock *c, uint64_t n);
void clock_slice_end(struct clock *c, uint64_t n);
void clock_skip(struct clock *c, vtime to);
/* Inside a slice: ns pass at once, and the slice will be n instructions long at most. */
void clock_slice_skip(struct clock *c, vtime ns, uint64_t n);
/* How many instructions it takes to be at `to` or behind it, at most `most` (below 2^32). */
uint64_t clock_units(const struct clock *c, vtime to, uint64_t most);
/* From now on; between slices. CLOCK_RATE_ONE .. CLOCK_RATE_MAX (what is outside is moved inside).
 */
void clock_set_rate(struct clock *c, uint32_t rate);

/* Fire the first timer that is due, or all. Between slices only. False: none is due. */
bool clock_fire(struct clock *c);
void clock_run_due(struct clock *c);

/* After a load changed deadlines behind the clock's back: rebuild the heap. */
void clock_resync(struct clock *c);

#endif
