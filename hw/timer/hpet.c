/*
 * High precision event timer: a 64-bit counter of 100 MHz and three comparators.
 *
 * The counter is a function of virtual time since it was enabled; each comparator has a core timer
 * for its next match. All three can be periodic and 64 bits wide; none sends messages (FSB).
 *
 * In legacy replacement mode comparator 0 takes the place of the 8254 on IRQ 0 and comparator 1
 * that of the RTC on IRQ 8. So those two are wired through here: "pit" and "rtc" in, "irq0" and
 * "irq8" out. Otherwise comparators may be routed to I/O APIC inputs 20..23 ("gsi20".."gsi23").
 *
 * What always holds: in level mode an output is high exactly while its status bit is set. In edge
 * mode it drops and rises at each match and stays high between, so that an 8259, which wants the
 * level until INTA, sees it. A period shorter than MIN_TIME is served once in MIN_TIME.
 *
 * A comparator that is in edge mode and not enabled does nothing at a match but add its period, so
 * it has no timer: its value is worked out when it is looked at. (Linux leaves comparator 0 like
 * that when it has found the local APIC's timer; an idle machine would wake 250 times a second for
 * it.)
 *
 * Source: IA-PC HPET Specification 1.0a (October 2004), 2.3 (registers), 2.4 (theory of operation).
 */
#include "hw/hw.h"
#include "mmu/aspace.h"
#include "util/bits.h"

enum { TIMERS = 3, TICK_NS = 10, GSI_FIRST = 20, GSI_COUNT = 4 };
#define MIN_TIME VTIME_US

enum {
    REG_CAPS = 0x000,
    REG_CONF = 0x010,
    REG_STATUS = 0x020,
    REG_COUNTER = 0x0f0,
    REG_TIMER = 0x100,
    TIMER_STEP = 0x20,
    TIMER_CONF = 0x00,
    TIMER_CMP = 0x08,

    CONF_ENABLE = 1,
    CONF_LEGACY = 2,
    T_LEVEL = 0x0002,
    T_ENABLE = 0x0004,
    T_PERIODIC = 0x0008,
    T_PERIODIC_CAP = 0x0010,
    T_SIZE_CAP = 0x0020,
    T_VAL_SET = 0x0040,
    T_32BIT = 0x0100,
    T_ROUTE_SHIFT = 9,
    T_WRITABLE = 0x3f4e,
};
#define CAPS                                                                                       \
    (UINT64_C(10000000) << 32 | /* femtoseconds a tick */                                          \
     UINT64_C(0x8086) << 16 | 1 << 15 /* legacy */ | 1 << 13 /* 64 bits */ | (TIMERS - 1) << 8 |   \
     1)
#define ROUTE_CAPS (UINT64_C(0x00f00000) << 32)

enum { IN_PIT, IN_RTC };
enum { OUT_IRQ0, OUT_IRQ8, OUT_GSI };

#define HPET_TIMER_STATE(S, V, A, N)                                                               \
    V(S, uint32_t, conf, 1)                                                                        \
    V(S, uint64_t, cmp, 1)                                                                         \
    V(S, uint64_t, period, 1)                                                                      \
    V(S, bool, high, 1) /* the output, before routing */                                           \
    V(S, struct vtimer, match, 1)                                                                  \
    V(S, uint64_t, seen, 2) /* counter when cmp was right, where there is no timer */
ST_DECLARE(hpet_timer, HPET_TIMER_STATE);
ST_DESCRIBE(hpet_timer, HPET_TIMER_STATE, 2);

#define HPET_STATE(S, V, A, N)                                                                     \
    V(S, uint8_t, conf, 1)                                                                         \
    V(S, uint8_t, status, 1)                                                                       \
    V(S, uint64_t, base, 1)  /* counter at `start`, or while halted */                             \
    V(S, uint64_t, start, 1) /* vtime */                                                           \
    N(S, hpet_timer, t, TIMERS, 1)
ST_DECLARE(hpet_state, HPET_STATE);
ST_DESCRIBE(hpet_state, HPET_STATE, 1);

struct hpet;

struct hpet_match {
    struct hpet *h;
    unsigned n;
    struct timer timer;
};

struct hpet {
    struct dev dev;
    struct hpet_state s;
    struct hpet_match match[TIMERS];
    uint64_t base;
};

/* --- The register core --- */

static vtime now(const struct hpet *h)
{
    return clock_now(h->dev.env->clock);
}

static uint64_t counter(const struct hpet *h)
{
    if (!(h->s.conf & CONF_ENABLE)) {
        return h->s.base;
    }
    vtime t = now(h);
    return h->s.base + (t > h->s.start ? (t - h->s.start) / TICK_NS : 0);
}

static uint64_t width(const struct hpet_timer *t)
{
    return t->conf & T_32BIT ? 0xffffffff : UINT64_MAX;
}

/* Show every output as the routing stands. */
static void update_outputs(struct hpet *h)
{
    bool legacy = h->s.conf & CONF_LEGACY;
    unsigned gsi = 0;
    for (unsigned n = 0; n < TIMERS; n++) {
        const struct hpet_timer *t = &h->s.t[n];
        unsigned route = t->conf >> T_ROUTE_SHIFT & 31;
        bool mine = !legacy || n > 1;
        if (t->high && mine && route >= GSI_FIRST && route < GSI_FIRST + GSI_COUNT) {
            gsi |= 1u << (route - GSI_FIRST);
        }
    }
    dev_pin_set(&h->dev, OUT_IRQ0, legacy ? h->s.t[0].high : dev_pin_in(&h->dev, IN_PIT));
    dev_pin_set(&h->dev, OUT_IRQ8, legacy ? h->s.t[1].high : dev_pin_in(&h->dev, IN_RTC));
    for (unsigned i = 0; i < GSI_COUNT; i++) {
        dev_pin_set(&h->dev, OUT_GSI + i, gsi >> i & 1);
    }
}

/* Level outputs follow status and enable; edge outputs fall when they are disabled. */
static void update_level(struct hpet *h, unsigned n)
{
    struct hpet_timer *t = &h->s.t[n];
    bool enabled = t->conf & T_ENABLE;
    t->high = enabled && (t->conf & T_LEVEL ? h->s.status >> n & 1 : t->high);
    update_outputs(h);
}

/* What a match adds to a periodic comparator; 0: nothing. */
static uint64_t period(const struct hpet_timer *t)
{
    uint64_t step = t->conf & T_PERIODIC ? t->period : 0, least = MIN_TIME / TICK_NS;
    return step && step < least ? step * ((least + step - 1) / step) : step;
}

/* The comparator as it reads now. */
static uint64_t comparator(const struct hpet *h, const struct hpet_timer *t)
{
    bool silent = !(t->conf & (T_LEVEL | T_ENABLE)) && t->match.deadline == VTIME_NEVER;
    uint64_t step = period(t);
    if (!silent || !step || !(h->s.conf & CONF_ENABLE)) {
        return t->cmp;
    }
    uint64_t passed = counter(h) - t->seen, first = (t->cmp - t->seen) & width(t);
    first = first ? first : width(t) + 1; /* equal then: once around, 0 for 64 bits */
    if (!first || passed < first) {
        return t->cmp;
    }
    return (t->cmp + (1 + (passed - first) / step) * step) & width(t);
}

/* Before something is written that the comparator's value follows from. */
static void settle(struct hpet *h, unsigned n)
{
    h->s.t[n].cmp = comparator(h, &h->s.t[n]);
    h->s.t[n].seen = counter(h);
}

/* Set the core timer for the next match. */
static void arm(struct hpet *h, unsigned n)
{
    struct hpet_timer *t = &h->s.t[n];
    struct timer *timer = &h->match[n].timer;
    t->seen = counter(h);
    if (!(h->s.conf & CONF_ENABLE) || !(t->conf & (T_LEVEL | T_ENABLE))) {
        timer_cancel(timer);
        return;
    }
    uint64_t ticks = (t->cmp - counter(h)) & width(t);
    ticks = ticks ? ticks : width(t) + 1; /* equal now: once around, 0 for 64 bits */
    if (!ticks || ticks > UINT64_MAX / 4 / TICK_NS) {
        timer_cancel(timer); /* in more than a century */
        return;
    }
    vtime at = now(h) + ticks * TICK_NS;
    if (at > h->s.start) {
        at -= (at - h->s.start) % TICK_NS; /* ticks fall at multiples from the start */
    }
    timer_set(timer, at > now(h) ? at : now(h) + 1);
}

static void on_match(void *ctx)
{
    struct hpet_match *m = ctx;
    struct hpet *h = m->h;
    struct hpet_timer *t = &h->s.t[m->n];
    t->cmp = (t->cmp + period(t)) & width(t);
    if (t->conf & T_LEVEL) {
        h->s.status |= (uint8_t)(1u << m->n);
        update_level(h, m->n);
    } else if (t->conf & T_ENABLE) {
        t->high = false;
        update_outputs(h);
        t->high = true;
        update_outputs(h);
    }
    arm(h, m->n);
}

static void write_conf(struct hpet *h, uint8_t val)
{
    bool was = h->s.conf & CONF_ENABLE, is = val & CONF_ENABLE;
    if (was && !is) {
        for (unsigned n = 0; n < TIMERS; n++) {
            settle(h, n);
        }
        h->s.base = counter(h);
    }
    h->s.conf = val & (CONF_ENABLE | CONF_LEGACY);
    if (is && !was) {
        h->s.start = now(h);
    }
    for (unsigned n = 0; n < TIMERS && was != is; n++) {
        arm(h, n);
    }
    update_outputs(h);
}

static void write_timer_conf(struct hpet *h, unsigned n, uint32_t val)
{
    struct hpet_timer *t = &h->s.t[n];
    settle(h, n);
    t->conf = (val & T_WRITABLE) | T_PERIODIC_CAP | T_SIZE_CAP;
    if (t->conf & T_32BIT) {
        t->cmp &= width(t);
        t->period &= width(t);
    }
    update_level(h, n);
    arm(h, n);
}

/* In periodic mode a write with VAL_SET sets the comparator, any write the period. */
static void write_cmp(struct hpet *h, unsigned n, uint64_t val)
{
    struct hpet_timer *t = &h->s.t[n];
    settle(h, n);
    val &= width(t);
    if (!(t->conf & T_PERIODIC) || (t->conf & T_VAL_SET)) {
        t->cmp = val;
    }
    if (t->conf & T_PERIODIC) {
        t->period = val;
    }
    t->conf &= ~(uint32_t)T_VAL_SET;
    arm(h, n);
}

/* The 64-bit register at `reg`, a multiple of 8. */
static uint64_t read_reg(const struct hpet *h, unsigned reg)
{
    switch (reg) {
    case REG_CAPS:
        return CAPS;
    case REG_CONF:
        return h->s.conf;
    case REG_STATUS:
        return h->s.status;
    case REG_COUNTER:
        return counter(h);
    default:
        break;
    }
    unsigned n = (reg - REG_TIMER) / TIMER_STEP;
    if (reg < REG_TIMER || n >= TIMERS) {
        return 0;
    }
    switch (reg % TIMER_STEP) {
    case TIMER_CONF:
        return h->s.t[n].conf | ROUTE_CAPS;
    case TIMER_CMP:
        return comparator(h, &h->s.t[n]);
    default:
        return 0;
    }
}

/* `mask`: the bits that the access covers. */
static void write_reg(struct hpet *h, unsigned reg, uint64_t val, uint64_t mask)
{
    uint64_t merged = (read_reg(h, reg) & ~mask) | (val & mask);
    switch (reg) {
    case REG_CONF:
        write_conf(h, (uint8_t)merged);
        return;
    case REG_STATUS:
        h->s.status &= (uint8_t) ~(val & mask);
        for (unsigned n = 0; n < TIMERS; n++) {
            update_level(h, n);
        }
        return;
    case REG_COUNTER:
        if (!(h->s.conf & CONF_ENABLE)) {
            h->s.base = merged;
        }
        return;
    default:
        break;
    }
    unsigned n = (reg - REG_TIMER) / TIMER_STEP;
    if (reg < REG_TIMER || n >= TIMERS) {
        return;
    }
    switch (reg % TIMER_STEP) {
    case TIMER_CONF:
        write_timer_conf(h, n, (uint32_t)merged);
        break;
    case TIMER_CMP:
        write_cmp(h, n, merged);
        break;
    default:
        break;
    }
}

/* --- Bus glue --- */

static uint64_t hpet_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return read_reg((struct hpet *)d, (unsigned)off & 0x3f8) >> (8 * (off & 4));
}

static void hpet_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    unsigned shift = 8 * (off & 4);
    write_reg((struct hpet *)d, (unsigned)off & 0x3f8, val << shift, bits_mask(8 * size) << shift);
}

static void hpet_pin(struct dev *d, unsigned in, bool level)
{
    (void)in;
    (void)level;
    update_outputs((struct hpet *)d);
}

static const struct io_ops hpet_ops = {hpet_read, hpet_write, 4, 8};

static bool hpet_init(struct dev *d, struct err *e)
{
    struct hpet *h = (struct hpet *)d;
    (void)e;
    for (unsigned n = 0; n < TIMERS; n++) {
        h->match[n].h = h;
        h->match[n].n = n;
        timer_init(&h->match[n].timer, d->env->clock, &h->s.t[n].match, on_match, &h->match[n]);
    }
    aspace_map_io(d->env->mem, h->base, 0x400, &hpet_ops, d, d->name, 10);
    return true;
}

static void hpet_reset(struct dev *d, enum reset_kind kind)
{
    struct hpet *h = (struct hpet *)d;
    (void)kind;
    for (unsigned n = 0; n < TIMERS; n++) {
        timer_cancel(&h->match[n].timer);
        h->s.t[n] = (struct hpet_timer){
            .conf = T_PERIODIC_CAP | T_SIZE_CAP, .cmp = UINT64_MAX, .match = {VTIME_NEVER}};
    }
    h->s.conf = h->s.status = 0;
    h->s.base = h->s.start = 0;
    update_outputs(h);
}

static const struct prop hpet_props[] = {
    {"base", PROP_U64, offsetof(struct hpet, base), "0xfed00000", 0, UINT64_C(0xfffffc00),
     "address"},
    {0},
};
static const char *const hpet_in[] = {"pit", "rtc", NULL};
static const char *const hpet_out[] = {"irq0", "irq8", "gsi20", "gsi21", "gsi22", "gsi23", NULL};

const struct dev_class hpet_class = {
    .name = "hpet",
    .help = "high precision event timer",
    .size = sizeof(struct hpet),
    .state_off = offsetof(struct hpet, s),
    .state = &hpet_state_desc,
    .props = hpet_props,
    .pins_in = hpet_in,
    .pins_out = hpet_out,
    .init = hpet_init,
    .reset = hpet_reset,
    .pin = hpet_pin,
};
