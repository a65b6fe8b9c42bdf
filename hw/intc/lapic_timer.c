/*
 * The local APIC's timer: one-shot, periodic and TSC-deadline (SDM 3A 11.5.4).
 *
 * Its input clock is 1 GHz, one tick a nanosecond of virtual time, before the divider. The count is
 * computed from the instant at which it was loaded (`start`; VTIME_NEVER: it has run out in
 * one-shot mode and stays at 0 in any mode until it is loaded again). The core timer is armed only
 * while the LVT entry is unmasked; a masked one loses nothing that a guest could see.
 *
 * A period shorter than MIN_PERIOD is served once in MIN_PERIOD, so that a guest that asks for an
 * interrupt each nanosecond still runs.
 */
#include "hw/intc/lapic.h"

#define MIN_PERIOD VTIME_US

static unsigned mode_of(uint32_t lvt)
{
    return lvt >> LVT_TIMER_SHIFT & 3;
}

/* 2, 4, 8, 16, 32, 64, 128, 1 for bits 3, 1, 0. */
static uint64_t divider(uint32_t divide)
{
    unsigned code = (divide & 3) | (divide >> 1 & 4);
    return 1u << ((code + 1) & 7);
}

static vtime now(const struct lapic *l)
{
    return clock_now(l->dev.env->clock);
}

/* Ticks since the count was loaded. A snapshot's `start` may lie in the future. */
static uint64_t ticks(const struct lapic *l)
{
    vtime t = now(l);
    return t > l->s.start ? (t - l->s.start) / divider(l->s.divide) : 0;
}

uint32_t lapic_timer_count(const struct lapic *l)
{
    unsigned mode = mode_of(l->s.lvt[LVT_TIMER]);
    if (!l->s.initial || l->s.start == VTIME_NEVER || mode >= TIMER_DEADLINE) {
        return 0;
    }
    uint64_t t = ticks(l);
    if (mode == TIMER_PERIODIC) {
        return l->s.initial - (uint32_t)(t % l->s.initial);
    }
    return t < l->s.initial ? l->s.initial - (uint32_t)t : 0;
}

void lapic_timer_arm(struct lapic *l)
{
    uint32_t lvt = l->s.lvt[LVT_TIMER];
    uint64_t period = l->s.initial * divider(l->s.divide);
    uint64_t t = ticks(l);
    timer_cancel(&l->timer);
    if ((lvt & LVT_MASKED) || (l->s.start == VTIME_NEVER && mode_of(lvt) != TIMER_DEADLINE)) {
        return;
    }
    switch (mode_of(lvt)) {
    case TIMER_ONESHOT:
        if (l->s.initial && t < l->s.initial) {
            timer_set(&l->timer, l->s.start + period);
        }
        break;
    case TIMER_PERIODIC:
        if (l->s.initial) {
            vtime next = l->s.start + (t / l->s.initial + 1) * period;
            if (period < MIN_PERIOD || next <= now(l)) { /* the latter: a snapshot's nonsense */
                next = now(l) + MIN_PERIOD;
            }
            timer_set(&l->timer, next);
        }
        break;
    case TIMER_DEADLINE:
        if (l->s.deadline) {
            timer_set(&l->timer, l->s.deadline);
        }
        break;
    default:
        break;
    }
}

void lapic_timer_fire(void *ctx)
{
    struct lapic *l = ctx;
    uint32_t lvt = l->s.lvt[LVT_TIMER];
    struct apic_msg msg = {.mode = APIC_FIXED, .vector = (uint8_t)lvt};
    if (mode_of(lvt) == TIMER_DEADLINE) {
        l->s.deadline = 0;
    }
    lapic_deliver(l, &msg);
    if (mode_of(lvt) == TIMER_PERIODIC) {
        lapic_timer_arm(l);
    }
}

void lapic_timer_start(struct lapic *l, uint32_t initial)
{
    if (mode_of(l->s.lvt[LVT_TIMER]) >= TIMER_DEADLINE) {
        return; /* ignored in this mode */
    }
    l->s.initial = initial;
    l->s.start = now(l);
    lapic_timer_arm(l);
}

void lapic_timer_divide(struct lapic *l, uint32_t val)
{
    uint64_t gone = ticks(l);
    l->s.divide = val & 0x0b;
    /* The count goes on from where it is, at the new pace. */
    uint64_t back = gone * divider(l->s.divide);
    if (l->s.initial && l->s.start != VTIME_NEVER && back <= now(l)) {
        l->s.start = now(l) - back;
    }
    lapic_timer_arm(l);
}

/* Between one-shot and periodic, a count goes on from where it is; one that ran out stays. */
static void keep_count(struct lapic *l, unsigned was)
{
    uint64_t t = ticks(l);
    if (!l->s.initial || l->s.start == VTIME_NEVER || t < l->s.initial) {
        return;
    }
    if (was == TIMER_PERIODIC) {
        l->s.start += t / l->s.initial * l->s.initial * divider(l->s.divide);
    } else {
        l->s.start = VTIME_NEVER;
    }
}

void lapic_timer_lvt(struct lapic *l, uint32_t old)
{
    unsigned was = mode_of(old), is = mode_of(l->s.lvt[LVT_TIMER]);
    if ((was == TIMER_DEADLINE) != (is == TIMER_DEADLINE)) {
        l->s.initial = 0;
        l->s.deadline = 0;
    } else if (was != is && was < TIMER_DEADLINE) {
        keep_count(l, was);
    }
    lapic_timer_arm(l);
}

void lapic_timer_deadline(struct lapic *l, vtime deadline)
{
    if (mode_of(l->s.lvt[LVT_TIMER]) == TIMER_DEADLINE) {
        l->s.deadline = deadline;
        lapic_timer_arm(l);
    }
}
