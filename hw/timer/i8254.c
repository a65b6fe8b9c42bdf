/*
 * Intel 8254 programmable interval timer with a PC's port 0x61.
 *
 * Nothing counts here. A counter is an arithmetic function of the tick number, floor(now *
 * 1193182 Hz), since the count element was loaded; sync() moves the state past what has happened
 * since the last look, and a timer is set for the next edge of OUT0 only (IRQ 0). OUT2 is read
 * through port 0x61, OUT1 nowhere.
 *
 * What always holds after sync(ch, now): `start` is the tick at which the count element held `ce`
 * (it may be one tick ahead: a count is loaded on the clock after it was written); in the periodic
 * modes `start` begins the current period.
 *
 * Sources: Intel 8254 datasheet (231164-005), "Mode Definitions", "Read Operations", "Read-Back
 * Command"; PIIX3 (82371SB) 2.5.5 for port 0x61. Refresh toggles every 18 ticks (15 us), whatever
 * counter 1 was programmed for, as on machines where the chip set refreshes by itself.
 */
#include "hw/hw.h"
#include "mmu/aspace.h"
#include "util/bits.h"

#define PIT_HZ UINT64_C(1193182)
#define NEVER  UINT64_MAX

enum { RW_LSB = 1, RW_MSB = 2, RW_BOTH = 3, REFRESH_TICKS = 18 };

#define PIT_CH_STATE(S, V, A, N)                                                                   \
    V(S, uint8_t, mode, 1) /* as programmed, 0..7 */                                               \
    V(S, bool, bcd, 1)                                                                             \
    V(S, uint8_t, rw, 1) /* RW_* */                                                                \
    V(S, bool, gate, 1)                                                                            \
    V(S, bool, out, 1)       /* OUT at the last sync */                                            \
    V(S, bool, loaded, 1)    /* a count was written since the control word */                      \
    V(S, bool, counting, 1)  /* the count element decrements */                                    \
    V(S, bool, armed, 1)     /* modes 0, 1, 4, 5: the terminal count is still to come */           \
    V(S, bool, next_due, 1)  /* modes 2, 3: `cr` waits for the end of the (half) period */         \
    V(S, uint32_t, cr, 1)    /* count register, 1..65536 */                                        \
    V(S, uint32_t, ce, 1)    /* count element at tick `start` */                                   \
    V(S, uint64_t, start, 1) /* tick */                                                            \
    V(S, uint8_t, wr_lsb, 1) /* first byte of two, written */                                      \
    V(S, bool, wr_second, 1)                                                                       \
    V(S, bool, rd_second, 1)                                                                       \
    V(S, bool, latched, 1)                                                                         \
    V(S, uint16_t, latch, 1)                                                                       \
    V(S, bool, status_latched, 1)                                                                  \
    V(S, uint8_t, status, 1)

ST_DECLARE(pit_ch, PIT_CH_STATE);
ST_DESCRIBE(pit_ch, PIT_CH_STATE, 1);

#define I8254_STATE(S, V, A, N)                                                                    \
    N(S, pit_ch, ch, 3, 1)                                                                         \
    V(S, uint8_t, port61, 1)     /* the low four bits, as written */                               \
    V(S, struct vtimer, edge, 1) /* of OUT0 */

ST_DECLARE(i8254_state, I8254_STATE);
ST_DESCRIBE(i8254_state, I8254_STATE, 1);

struct i8254 {
    struct dev dev;
    struct i8254_state s;
    struct timer edge;
    uint32_t iobase;
};

/* --- One counter: pure functions of its state and the tick --- */

static unsigned mode_of(const struct pit_ch *c)
{
    return c->mode & 2 ? c->mode & 3 : c->mode; /* x10 is 2, x11 is 3 */
}

/* Counts after which the element wraps. */
static uint32_t modulus(const struct pit_ch *c)
{
    return c->bcd ? 10000 : 65536;
}

/* A state from a snapshot may hold any count; the chip's are 1..65536. */
static uint32_t period(const struct pit_ch *c)
{
    return c->ce ? c->ce : 65536;
}

/* Ticks for which OUT is high at the start of a square wave's period. */
static uint32_t high_half(uint32_t n)
{
    return n - n / 2;
}

/* Bring the counter up to tick `now`; OUT is then c->out. */
static void sync(struct pit_ch *c, uint64_t now)
{
    if (!c->counting || now < c->start) {
        return;
    }
    uint32_t n = period(c);
    uint64_t gone = now - c->start;
    switch (mode_of(c)) {
    case 0:
        if (c->armed && gone >= c->ce) {
            c->armed = false;
            c->out = true;
        }
        break;
    case 1:
        c->out = !c->armed || gone >= n;
        c->armed = c->armed && gone < n;
        break;
    case 2:
    case 3: {
        uint32_t half = mode_of(c) == 3 ? high_half(n) : n;
        if (c->next_due && gone >= half) {
            /* Mode 3 takes a new count at the end of a half period and goes on with the other
             * half; it is the same as a period that began half a new period earlier. */
            uint64_t at = gone >= n || mode_of(c) == 2 ? c->start + n : c->start + half;
            bool low_half = at != c->start + n;
            c->ce = c->cr;
            n = period(c);
            c->start = low_half ? at - high_half(n) : at;
            c->next_due = false;
            gone = now - c->start;
        }
        c->start += gone / n * n;
        gone %= n;
        c->out = mode_of(c) == 2 ? gone != n - 1 : gone < high_half(n);
        break;
    }
    default: /* 4, 5 */
        c->out = !(c->armed && gone == c->ce);
        c->armed = c->armed && gone <= c->ce;
        break;
    }
}

/* The tick after `now` at which OUT changes (or the state must be looked at); NEVER if it stays.
 * After sync. */
static uint64_t next_edge(const struct pit_ch *c, uint64_t now)
{
    if (!c->counting) {
        return NEVER;
    }
    uint32_t n = period(c);
    if (now < c->start && mode_of(c) != 0 && mode_of(c) != 4) {
        return c->start;
    }
    switch (mode_of(c)) {
    case 0:
        return c->armed ? c->start + c->ce : NEVER;
    case 1:
        return c->armed ? c->start + n : NEVER;
    case 2:
        return n < 2 ? NEVER : now - c->start < n - 1 ? c->start + n - 1 : c->start + n;
    case 3:
        return n < 2                           ? NEVER
               : now - c->start < high_half(n) ? c->start + high_half(n)
                                               : c->start + n;
    default:
        if (!c->armed) {
            return NEVER;
        }
        return now < c->start + c->ce ? c->start + c->ce : c->start + c->ce + 1;
    }
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint16_t v)
{
    return (v & 15u) + (v >> 4 & 15u) * 10 + (v >> 8 & 15u) * 100 + (v >> 12) * 1000u;
}

/* What the count element holds, as read. After sync. */
static uint16_t count_of(const struct pit_ch *c, uint64_t now)
{
    uint64_t gone = c->counting && now > c->start ? now - c->start : 0;
    uint32_t m = modulus(c), n = period(c), v;
    if (mode_of(c) == 3) {
        uint32_t pos = (uint32_t)(gone % n), high = high_half(n);
        v = (n & ~1u) - 2 * (pos < high ? pos : pos - high);
    } else {
        v = (c->ce + m - (uint32_t)(gone % m)) % m;
    }
    return c->bcd ? to_bcd(v % 10000) : (uint16_t)v;
}

/* Load the count element from the count register on the next clock. */
static void load(struct pit_ch *c, uint64_t now)
{
    c->ce = c->cr;
    c->start = now + 1;
    c->counting = true;
    c->next_due = false;
    c->armed = true;
}

static void set_gate(struct pit_ch *c, uint64_t now, bool gate)
{
    if (c->gate == gate) {
        return;
    }
    c->gate = gate;
    switch (mode_of(c)) {
    case 0:
    case 4:
        if (!gate && c->counting) {
            uint64_t gone = now > c->start ? now - c->start : 0;
            uint32_t m = modulus(c);
            if (c->armed) {
                c->ce = gone < c->ce ? c->ce - (uint32_t)gone : 0;
            } else {
                c->ce = (c->ce + m - (uint32_t)(gone % m)) % m;
            }
            c->counting = false;
            c->out |= mode_of(c) == 4;
        } else if (gate && c->loaded) {
            c->start = now;
            c->counting = true;
        }
        break;
    case 1:
    case 5:
        if (gate && c->loaded) {
            load(c, now);
        }
        break;
    default:
        if (!gate) {
            if (c->counting) {
                uint16_t v = count_of(c, now);
                c->ce = c->bcd ? from_bcd(v) : v;
            }
            c->counting = false;
            c->out = true;
        } else if (c->loaded) {
            load(c, now);
        }
        break;
    }
}

/* A complete count was written. */
static void write_count(struct pit_ch *c, uint64_t now, uint16_t val)
{
    uint32_t v = c->bcd ? from_bcd(val) : val;
    c->cr = v ? v : modulus(c);
    bool first = !c->loaded;
    c->loaded = true;
    switch (mode_of(c)) {
    case 0:
    case 4:
        load(c, now);
        c->counting = c->gate;
        break;
    case 1:
    case 5:
        if (first) {
            c->ce = c->cr;
            c->counting = false;
        }
        break;
    default:
        if (first || !c->counting) {
            load(c, now);
            c->counting = c->gate;
        } else {
            c->next_due = true;
        }
        break;
    }
}

static void write_byte(struct pit_ch *c, uint64_t now, uint8_t val)
{
    switch (c->rw) {
    case RW_LSB:
        write_count(c, now, val);
        break;
    case RW_MSB:
        write_count(c, now, (uint16_t)(val << 8));
        break;
    default:
        if (c->wr_second) {
            write_count(c, now, (uint16_t)(val << 8 | c->wr_lsb));
        } else {
            c->wr_lsb = val;
            if (mode_of(c) == 0) {
                /* The first byte stops the count and sets OUT low. */
                c->counting = false;
                c->out = false;
            }
        }
        c->wr_second = !c->wr_second;
        break;
    }
}

static uint8_t read_byte(struct pit_ch *c, uint64_t now)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    uint16_t v = c->latched ? c->latch : count_of(c, now);
    bool msb = c->rw == RW_MSB || (c->rw == RW_BOTH && c->rd_second);
    if (c->rw == RW_BOTH) {
        c->rd_second = !c->rd_second;
        c->latched = c->latched && c->rd_second;
    } else {
        c->latched = false;
    }
    return (uint8_t)(msb ? v >> 8 : v);
}

static void latch_count(struct pit_ch *c, uint64_t now)
{
    if (!c->latched) {
        c->latched = true;
        c->latch = count_of(c, now);
    }
}

static void latch_status(struct pit_ch *c, uint64_t now)
{
    if (!c->status_latched) {
        bool null = !c->loaded || c->next_due || (c->counting && now < c->start);
        c->status_latched = true;
        c->status = (uint8_t)(c->out << 7 | null << 6 | c->rw << 4 | (c->mode & 7) << 1 | c->bcd);
    }
}

static void write_control(struct pit_ch *c, uint64_t now, uint8_t val)
{
    unsigned rw = val >> 4 & 3;
    if (rw == 0) {
        latch_count(c, now);
        return;
    }
    c->rw = (uint8_t)rw;
    c->mode = val >> 1 & 7;
    c->bcd = val & 1;
    c->wr_second = c->rd_second = false;
    c->latched = c->status_latched = false;
    c->loaded = c->counting = c->armed = c->next_due = false;
    c->out = mode_of(c) != 0;
}

/* --- The chip and port 0x61 --- */

static uint64_t now_tick(const struct i8254 *p)
{
    return clock_ticks(clock_now(p->dev.env->clock), PIT_HZ);
}

/* Show OUT0 and set the timer for its next edge. */
static void update(struct i8254 *p, uint64_t now)
{
    struct pit_ch *c = &p->s.ch[0];
    sync(c, now);
    dev_pin_set(&p->dev, 0, c->out);
    uint64_t next = next_edge(c, now);
    if (next == NEVER) {
        timer_cancel(&p->edge);
    } else {
        /* A hostile snapshot may put the edge into the past: at most one event for each tick. */
        timer_set(&p->edge, clock_tick_time(next > now ? next : now + 1, PIT_HZ));
    }
}

static void on_edge(void *ctx)
{
    struct i8254 *p = ctx;
    update(p, now_tick(p));
}

static void read_back(struct i8254 *p, uint64_t now, uint8_t val)
{
    for (unsigned i = 0; i < 3; i++) {
        if (val >> (i + 1) & 1) {
            sync(&p->s.ch[i], now);
            if (!(val & 0x20)) {
                latch_count(&p->s.ch[i], now);
            }
            if (!(val & 0x10)) {
                latch_status(&p->s.ch[i], now);
            }
        }
    }
}

static uint64_t i8254_read(struct dev *d, uint64_t off, unsigned size)
{
    struct i8254 *p = (struct i8254 *)d;
    (void)size;
    if ((off & 3) == 3) {
        return 0xff; /* the control word register cannot be read */
    }
    uint64_t now = now_tick(p);
    struct pit_ch *c = &p->s.ch[off & 3];
    sync(c, now);
    return read_byte(c, now);
}

static void i8254_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i8254 *p = (struct i8254 *)d;
    uint64_t now = now_tick(p);
    uint8_t v = (uint8_t)val;
    (void)size;
    if ((off & 3) < 3) {
        sync(&p->s.ch[off & 3], now);
        write_byte(&p->s.ch[off & 3], now, v);
    } else if (v >> 6 == 3) {
        read_back(p, now, v);
    } else {
        sync(&p->s.ch[v >> 6], now);
        write_control(&p->s.ch[v >> 6], now, v);
    }
    update(p, now);
}

static uint64_t port61_read(struct dev *d, uint64_t off, unsigned size)
{
    struct i8254 *p = (struct i8254 *)d;
    uint64_t now = now_tick(p);
    (void)off;
    (void)size;
    sync(&p->s.ch[2], now);
    return (p->s.port61 & 15u) | (now / REFRESH_TICKS & 1) << 4 | (unsigned)p->s.ch[2].out << 5;
}

static void port61_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i8254 *p = (struct i8254 *)d;
    uint64_t now = now_tick(p);
    (void)off;
    (void)size;
    p->s.port61 = val & 15;
    sync(&p->s.ch[2], now);
    set_gate(&p->s.ch[2], now, val & 1);
}

static const struct io_ops i8254_ops = {i8254_read, i8254_write, 1, 1};
static const struct io_ops port61_ops = {port61_read, port61_write, 1, 1};

static bool i8254_init(struct dev *d, struct err *e)
{
    struct i8254 *p = (struct i8254 *)d;
    (void)e;
    timer_init(&p->edge, d->env->clock, &p->s.edge, on_edge, p);
    aspace_map_io(d->env->io, p->iobase, 4, &i8254_ops, d, d->name, 0);
    aspace_map_io(d->env->io, 0x61, 1, &port61_ops, d, "port61", 0);
    return true;
}

static void i8254_reset(struct dev *d, enum reset_kind kind)
{
    struct i8254 *p = (struct i8254 *)d;
    (void)kind;
    timer_cancel(&p->edge);
    p->s = (struct i8254_state){.edge = {VTIME_NEVER}};
    for (unsigned i = 0; i < 3; i++) {
        /* Undefined on the chip until programmed; idle here, gates 0 and 1 tied high. */
        p->s.ch[i] = (struct pit_ch){.mode = 3, .rw = RW_BOTH, .out = true, .gate = i < 2};
        p->s.ch[i].cr = p->s.ch[i].ce = 65536;
    }
    dev_pin_set(d, 0, true);
}

static const struct prop i8254_props[] = {
    {"iobase", PROP_U32, offsetof(struct i8254, iobase), "0x40", 0, 0xfffc, "I/O port"},
    {0},
};
static const char *const i8254_out[] = {"out0", NULL};

const struct dev_class i8254_class = {
    .name = "i8254",
    .help = "8254 interval timer and port 0x61",
    .size = sizeof(struct i8254),
    .state_off = offsetof(struct i8254, s),
    .state = &i8254_state_desc,
    .props = i8254_props,
    .pins_out = i8254_out,
    .init = i8254_init,
    .reset = i8254_reset,
};
