/*
 * The clock's timers: a binary heap of every registered timer, pending or not.
 *
 * Ordered by deadline, ties by order of registration, so the order of firing depends on nothing
 * else. A machine has some tens of timers; those that are not pending have the largest deadline and
 * sink to the bottom. The deadlines themselves lie in device state, which is what is saved; the
 * heap is a cache that clock_resync() rebuilds.
 */
#include "core/clock.h"

#include <assert.h>
#include <stdlib.h>

ST_DESCRIBE(clock_state, CLOCK_STATE, 2);

void clock_init(struct clock *c)
{
    *c = (struct clock){.s.rate = CLOCK_RATE_ONE};
}

void clock_fini(struct clock *c)
{
    free(c->heap);
    c->heap = NULL;
    c->ntimers = c->cap = 0;
}

static bool before(const struct timer *a, const struct timer *b)
{
    vtime ta = a->state->deadline, tb = b->state->deadline;
    return ta < tb || (ta == tb && a->order < b->order);
}

static void place(struct clock *c, uint32_t pos, struct timer *t)
{
    c->heap[pos] = t;
    t->heap_pos = pos;
}

static void sift_down(struct clock *c, uint32_t pos)
{
    struct timer *t = c->heap[pos];
    for (;;) {
        uint32_t child = 2 * pos + 1;
        if (child >= c->ntimers) {
            break;
        }
        if (child + 1 < c->ntimers && before(c->heap[child + 1], c->heap[child])) {
            child++;
        }
        if (!before(c->heap[child], t)) {
            break;
        }
        place(c, pos, c->heap[child]);
        pos = child;
    }
    place(c, pos, t);
}

/* The timer at `pos` changed in either direction: move it to where it belongs. */
static void sift(struct clock *c, uint32_t pos)
{
    struct timer *t = c->heap[pos];
    while (pos > 0 && before(t, c->heap[(pos - 1) / 2])) {
        place(c, pos, c->heap[(pos - 1) / 2]);
        pos = (pos - 1) / 2;
    }
    place(c, pos, t);
    sift_down(c, pos);
}

void timer_init(struct timer *t, struct clock *c, struct vtimer *state, void (*fn)(void *ctx),
                void *ctx)
{
    if (c->ntimers == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 16;
        c->heap = realloc(c->heap, c->cap * sizeof c->heap[0]);
        if (!c->heap) {
            abort();
        }
    }
    *t = (struct timer){.clock = c, .state = state, .fn = fn, .ctx = ctx, .order = c->ntimers};
    state->deadline = VTIME_NEVER;
    place(c, c->ntimers, t);
    c->ntimers++;
    sift(c, t->heap_pos);
}

void timer_set(struct timer *t, vtime deadline)
{
    struct clock *c = t->clock;
    t->state->deadline = deadline;
    sift(c, t->heap_pos);
    if (c->running && deadline < c->slice_end && c->kick) {
        c->kick(c->kick_ctx);
    }
}

void timer_cancel(struct timer *t)
{
    t->state->deadline = VTIME_NEVER;
    sift(t->clock, t->heap_pos);
}

vtime clock_next(const struct clock *c)
{
    return c->ntimers ? c->heap[0]->state->deadline : VTIME_NEVER;
}

void clock_slice_begin(struct clock *c, uint64_t n)
{
    assert(!c->running && c->elapsed);
    c->slice_end = clock_after(c, n);
    c->running = true;
}

void clock_slice_skip(struct clock *c, vtime ns, uint64_t n)
{
    assert(c->running);
    c->s.now += ns;
    c->slice_end = clock_after(c, n);
}

void clock_slice_end(struct clock *c, uint64_t n)
{
    assert(c->running);
    c->running = false;
    uint64_t t = n * c->s.rate + c->s.frac;
    c->s.now += t >> 16;
    c->s.frac = t & 0xffff;
    c->s.icount += n;
}

uint64_t clock_units(const struct clock *c, vtime to, uint64_t most)
{
    uint64_t ns = to > c->s.now ? to - c->s.now : 0;
    if (clock_after(c, most) < to) {
        return most;
    }
    uint64_t t = (ns << 16) - (ns ? c->s.frac : 0); /* no overflow: most * rate is below 2^58 */
    uint64_t n = (t + c->s.rate - 1) / c->s.rate;
    return n < most ? n : most;
}

void clock_set_rate(struct clock *c, uint32_t rate)
{
    assert(!c->running);
    c->s.rate = rate < CLOCK_RATE_ONE   ? CLOCK_RATE_ONE
                : rate < CLOCK_RATE_MAX ? rate
                                        : CLOCK_RATE_MAX;
}

void clock_skip(struct clock *c, vtime to)
{
    assert(!c->running && to >= c->s.now && to != VTIME_NEVER);
    c->s.now = to;
}

bool clock_fire(struct clock *c)
{
    assert(!c->running);
    if (!c->ntimers || c->heap[0]->state->deadline > c->s.now) {
        return false;
    }
    struct timer *t = c->heap[0];
    t->state->deadline = VTIME_NEVER;
    sift(c, 0);
    t->fn(t->ctx);
    return true;
}

void clock_run_due(struct clock *c)
{
    while (clock_fire(c)) {
    }
}

void clock_resync(struct clock *c)
{
    for (uint32_t i = c->ntimers / 2; i-- > 0;) {
        sift_down(c, i);
    }
}
