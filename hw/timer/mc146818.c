/*
 * Motorola MC146818 real-time clock and CMOS RAM, as in a PC (ports 0x70, 0x71; PIIX4's upper bank
 * at 0x72, 0x73).
 *
 * The time lives in the registers, as on the chip: once a second an update increments them in
 * whatever format register B asks for, so that nonsense a guest wrote counts on as it would there.
 * The epoch enters once, at power-on, as a property that the machine took through the input gate.
 *
 * What always holds: an update happens at the instant `update` each virtual second unless the
 * divider is held in reset; UIP reads 1 for the 2228 us before it (the chip's 244 us of warning and
 * 1984 us of update; here registers change at its end). IRQ is the level of C.IRQF.
 *
 * Sources: MC146818 datasheet (ADI-856R2), "Registers", "Update Cycle", Table 5 (periodic rates);
 * PIIX4 (82371AB) 4.2.6 for the ports; IBM PC/AT Technical Reference for the CMOS map; byte 0x32
 * (century) and 0x34, 0x35, 0x5b..0x5d (memory sizes) as SeaBIOS reads them.
 */
#include <string.h>

#include "hw/hw.h"
#include "hw/timer/mc146818.h"
#include "mmu/aspace.h"
#include "util/bits.h"

enum {
    R_SEC = 0,
    R_SEC_ALARM,
    R_MIN,
    R_MIN_ALARM,
    R_HOUR,
    R_HOUR_ALARM,
    R_WDAY,
    R_DAY,
    R_MONTH,
    R_YEAR,
    R_A,
    R_B,
    R_C,
    R_D,
    R_FLOPPIES = 0x10,
    R_EQUIPMENT = 0x14,
    R_SUM_FIRST = 0x10,
    R_SUM_LAST = 0x2d,
    R_SUM = 0x2e,
    R_CENTURY = 0x32,

    A_UIP = 0x80,
    A_RESET = 0x60, /* both bits: the divider is held in reset */
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_SQWE = 0x08,
    B_BINARY = 0x04,
    B_24H = 0x02,
    C_IRQF = 0x80,
    C_PF = 0x40,
    C_AF = 0x20,
    C_UF = 0x10,
    D_VRT = 0x80,
    HOUR_PM = 0x80,
};

#define UIP_TIME (2228 * VTIME_US)

enum { OUT_IRQ, OUT_NMI_MASK };

#define MC146818_STATE(S, V, A, N)                                                                 \
    A(S, uint8_t, cmos, 128, 1)                                                                    \
    A(S, uint8_t, upper, 128, 1)                                                                   \
    V(S, uint8_t, index, 1)                                                                        \
    V(S, uint8_t, upper_index, 1)                                                                  \
    V(S, uint64_t, periodic_seen, 1) /* periodic ticks up to here are in C.PF */                   \
    V(S, struct vtimer, update, 1)                                                                 \
    V(S, struct vtimer, periodic, 1) /* runs only while B.PIE */

ST_DECLARE(mc146818_state, MC146818_STATE);
ST_DESCRIBE(mc146818_state, MC146818_STATE, 1);

struct mc146818 {
    struct dev dev;
    struct mc146818_state s;
    struct timer update, periodic;
    uint64_t epoch, ram, high_ram;
    uint32_t iobase, equipment, floppies;
};

/* --- The register core --- */

static unsigned decode(const struct mc146818 *m, uint8_t v)
{
    return m->s.cmos[R_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode(const struct mc146818 *m, unsigned v)
{
    return (uint8_t)(m->s.cmos[R_B] & B_BINARY ? v : (v / 10 % 10) << 4 | v % 10);
}

/* Increment a register that counts first..last. True: it went round. */
static bool bump(struct mc146818 *m, unsigned reg, unsigned first, unsigned last)
{
    unsigned v = decode(m, m->s.cmos[reg]) + 1;
    bool carry = v > last;
    m->s.cmos[reg] = encode(m, carry ? first : v);
    return carry;
}

static bool bump_hour(struct mc146818 *m)
{
    uint8_t h = m->s.cmos[R_HOUR];
    if (m->s.cmos[R_B] & B_24H) {
        return bump(m, R_HOUR, 0, 23);
    }
    /* 12 hours: 12, 1 .. 11, PM in bit 7. */
    unsigned v = decode(m, h & 0x7f) + 1;
    bool pm = h & HOUR_PM;
    bool midnight = false;
    if (v == 12) {
        midnight = pm;
        pm = !pm;
    } else if (v > 12) {
        v = 1;
    }
    m->s.cmos[R_HOUR] = (uint8_t)(encode(m, v) | (pm ? HOUR_PM : 0));
    return midnight;
}

static unsigned days_in_month(unsigned month, unsigned year)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month == 2 && year % 4 == 0) {
        return 29; /* the chip knows years 00..99 only */
    }
    return month >= 1 && month <= 12 ? days[month - 1] : 31;
}

static void add_second(struct mc146818 *m)
{
    if (!bump(m, R_SEC, 0, 59) || !bump(m, R_MIN, 0, 59) || !bump_hour(m)) {
        return;
    }
    bump(m, R_WDAY, 1, 7);
    unsigned last = days_in_month(decode(m, m->s.cmos[R_MONTH]), decode(m, m->s.cmos[R_YEAR]));
    if (bump(m, R_DAY, 1, last) && bump(m, R_MONTH, 1, 12) && bump(m, R_YEAR, 0, 99)) {
        bump(m, R_CENTURY, 0, 99);
    }
}

static bool alarm_matches(const struct mc146818 *m)
{
    for (unsigned r = R_SEC; r <= R_HOUR; r += 2) {
        uint8_t alarm = m->s.cmos[r + 1];
        if (alarm < 0xc0 && alarm != m->s.cmos[r]) { /* 0xc0..0xff: any */
            return false;
        }
    }
    return true;
}

/* Ticks a second of the periodic interrupt; 0: off. */
static unsigned periodic_hz(const struct mc146818 *m)
{
    unsigned rs = m->s.cmos[R_A] & 15;
    if (rs == 0 || (m->s.cmos[R_A] & A_RESET) == A_RESET) {
        return 0;
    }
    return 32768u >> ((rs < 3 ? rs + 7 : rs) - 1);
}

static vtime now(const struct mc146818 *m)
{
    return clock_now(m->dev.env->clock);
}

/* IRQF is the AND of flags and enables; the pin follows it. */
static void update_irq(struct mc146818 *m)
{
    uint8_t c = m->s.cmos[R_C] & (C_PF | C_AF | C_UF);
    bool on = c & m->s.cmos[R_B];
    m->s.cmos[R_C] = (uint8_t)(c | (on ? C_IRQF : 0));
    dev_pin_set(&m->dev, OUT_IRQ, on);
}

/* Put periodic ticks that have passed into C.PF. */
static void see_periodic(struct mc146818 *m)
{
    unsigned hz = periodic_hz(m);
    if (hz) {
        uint64_t ticks = clock_ticks(now(m), hz);
        if (ticks != m->s.periodic_seen) {
            m->s.periodic_seen = ticks;
            m->s.cmos[R_C] |= C_PF;
        }
    }
}

/* After a change of A or B: forget ticks of the old rate, run the timer only while it is needed. */
static void set_periodic(struct mc146818 *m)
{
    unsigned hz = periodic_hz(m);
    m->s.periodic_seen = hz ? clock_ticks(now(m), hz) : 0;
    if (hz && (m->s.cmos[R_B] & B_PIE)) {
        timer_set(&m->periodic, clock_tick_time(m->s.periodic_seen + 1, hz));
    } else {
        timer_cancel(&m->periodic);
    }
}

static void on_periodic(void *ctx)
{
    struct mc146818 *m = ctx;
    m->s.cmos[R_C] |= C_PF;
    set_periodic(m);
    update_irq(m);
}

static void on_update(void *ctx)
{
    struct mc146818 *m = ctx;
    timer_set(&m->update, now(m) + VTIME_SEC);
    if (m->s.cmos[R_B] & B_SET) {
        return;
    }
    add_second(m);
    m->s.cmos[R_C] |= C_UF;
    if (alarm_matches(m)) {
        m->s.cmos[R_C] |= C_AF;
    }
    update_irq(m);
}

static bool updating(const struct mc146818 *m)
{
    vtime at = m->s.update.deadline;
    return !(m->s.cmos[R_B] & B_SET) && at != VTIME_NEVER && at <= now(m) + UIP_TIME;
}

static uint8_t read_reg(struct mc146818 *m, unsigned reg)
{
    uint8_t v = m->s.cmos[reg];
    if (reg == R_A) {
        return (uint8_t)((v & ~A_UIP) | (updating(m) ? A_UIP : 0));
    }
    if (reg == R_C) {
        see_periodic(m);
        update_irq(m);
        v = m->s.cmos[R_C];
        m->s.cmos[R_C] = 0;
        update_irq(m);
    }
    return v;
}

static void write_reg(struct mc146818 *m, unsigned reg, uint8_t val)
{
    uint8_t old = m->s.cmos[reg];
    switch (reg) {
    case R_A: {
        see_periodic(m);
        m->s.cmos[R_A] = val & 0x7f;
        bool was_reset = (old & A_RESET) == A_RESET, is_reset = (val & A_RESET) == A_RESET;
        if (is_reset) {
            timer_cancel(&m->update);
        } else if (was_reset) {
            timer_set(&m->update, now(m) + VTIME_SEC / 2); /* the first one comes after 500 ms */
        }
        if ((old ^ val) & 0x7f) {
            set_periodic(m);
        }
        break;
    }
    case R_B:
        see_periodic(m);
        if (val & B_SET) {
            val &= (uint8_t)~B_UIE; /* SET clears UIE */
        }
        m->s.cmos[R_B] = val;
        if ((old ^ val) & B_PIE) {
            set_periodic(m);
        }
        update_irq(m);
        break;
    case R_C:
    case R_D:
        break;
    default:
        m->s.cmos[reg] = val;
        break;
    }
}

/* --- Power on --- */

static void put16(uint8_t *p, uint64_t v)
{
    le16_put(p, (uint16_t)(v > 0xffff ? 0xffff : v));
}

/* Memory sizes: base in KiB; above 1 MiB in KiB; above 16 MiB and above 4 GiB in 64 KiB. */
static void set_memory(struct mc146818 *m)
{
    uint8_t *c = m->s.cmos;
    uint64_t mib = UINT64_C(1) << 20;
    put16(c + 0x15, m->ram >= 640 * 1024 ? 640 : m->ram / 1024);
    put16(c + 0x17, m->ram > mib ? (m->ram - mib) / 1024 : 0);
    put16(c + 0x30, m->ram > mib ? (m->ram - mib) / 1024 : 0);
    put16(c + 0x34, m->ram > 16 * mib ? (m->ram - 16 * mib) / 65536 : 0);
    le16_put(c + 0x5b, (uint16_t)(m->high_ram >> 16));
    c[0x5d] = (uint8_t)(m->high_ram >> 32);
}

/* Calendar date of a number of days since 1970-01-01, proleptic Gregorian. Years are counted from
 * March, so that the leap day comes last. */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t z = days + 719468; /* since 0000-03-01 */
    uint64_t era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint64_t mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = (unsigned)(yoe + era * 400 + (*month <= 2));
}

static void set_time(struct mc146818 *m, uint64_t t)
{
    uint8_t *c = m->s.cmos;
    uint64_t days = t / 86400;
    unsigned sec = (unsigned)(t % 86400), year, month, day;
    civil(days, &year, &month, &day);
    c[R_SEC] = encode(m, sec % 60);
    c[R_MIN] = encode(m, sec / 60 % 60);
    c[R_HOUR] = encode(m, sec / 3600);
    c[R_WDAY] = encode(m, (unsigned)((days + 4) % 7 + 1)); /* 1970-01-01 was a Thursday, 5 */
    c[R_DAY] = encode(m, day);
    c[R_MONTH] = encode(m, month);
    c[R_YEAR] = encode(m, year % 100);
    c[R_CENTURY] = encode(m, year / 100);
}

/* Bits of the equipment byte that follow from the floppy types: any, and how many but one. */
static unsigned floppy_equipment(uint32_t types)
{
    unsigned n = (types >> 4 ? 1u : 0u) + (types & 15 ? 1u : 0u);
    return n ? 1 | (n - 1) << 6 : 0;
}

static void put_sum(struct mc146818 *m)
{
    uint8_t *c = m->s.cmos;
    unsigned sum = 0;
    for (unsigned i = R_SUM_FIRST; i <= R_SUM_LAST; i++) {
        sum += c[i];
    }
    c[R_SUM] = (uint8_t)(sum >> 8);
    c[R_SUM + 1] = (uint8_t)sum;
}

void mc146818_set_cmos(struct dev *rtc, unsigned reg, uint8_t val)
{
    struct mc146818 *m = (struct mc146818 *)rtc;
    m->s.cmos[reg & 0x7f] = val;
    put_sum(m);
}

static void power_on(struct mc146818 *m)
{
    uint8_t *c = m->s.cmos;
    m->s = (struct mc146818_state){.update = {VTIME_NEVER}, .periodic = {VTIME_NEVER}};
    c[R_A] = 0x26; /* 32768 Hz, 1024 Hz periodic */
    c[R_B] = B_24H;
    c[R_D] = D_VRT;
    c[R_FLOPPIES] = (uint8_t)m->floppies;
    c[R_EQUIPMENT] = (uint8_t)(m->equipment | floppy_equipment(m->floppies));
    set_time(m, m->epoch + now(m) / VTIME_SEC);
    set_memory(m);
    put_sum(m);
    timer_set(&m->update, (now(m) / VTIME_SEC + 1) * VTIME_SEC);
}

/* --- Bus glue --- */

static uint64_t mc146818_read(struct dev *d, uint64_t off, unsigned size)
{
    struct mc146818 *m = (struct mc146818 *)d;
    (void)size;
    switch (off) {
    case 1:
        return read_reg(m, m->s.index & 0x7f);
    case 3:
        return m->s.upper[m->s.upper_index & 0x7f];
    default:
        return 0xff; /* the index ports are write-only */
    }
}

static void mc146818_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct mc146818 *m = (struct mc146818 *)d;
    (void)size;
    switch (off) {
    case 0:
        m->s.index = (uint8_t)val;
        dev_pin_set(d, OUT_NMI_MASK, val & 0x80);
        break;
    case 1:
        write_reg(m, m->s.index & 0x7f, (uint8_t)val);
        break;
    case 2:
        m->s.upper_index = val & 0x7f;
        break;
    default:
        m->s.upper[m->s.upper_index & 0x7f] = (uint8_t)val;
        break;
    }
}

static const struct io_ops mc146818_ops = {mc146818_read, mc146818_write, 1, 1};

static bool mc146818_init(struct dev *d, struct err *e)
{
    struct mc146818 *m = (struct mc146818 *)d;
    (void)e;
    timer_init(&m->update, d->env->clock, &m->s.update, on_update, m);
    timer_init(&m->periodic, d->env->clock, &m->s.periodic, on_periodic, m);
    aspace_map_io(d->env->io, m->iobase, 4, &mc146818_ops, d, d->name, 0);
    return true;
}

static void mc146818_reset(struct dev *d, enum reset_kind kind)
{
    struct mc146818 *m = (struct mc146818 *)d;
    if (kind == RESET_COLD) {
        timer_cancel(&m->update);
        timer_cancel(&m->periodic);
        power_on(m);
    }
    /* The RESET pin: interrupts off, time and RAM stay. */
    m->s.cmos[R_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    m->s.cmos[R_C] = 0;
    m->s.index = m->s.upper_index = 0;
    set_periodic(m);
    update_irq(m);
    dev_pin_set(d, OUT_NMI_MASK, false);
}

static const struct prop mc146818_props[] = {
    {"iobase", PROP_U32, offsetof(struct mc146818, iobase), "0x70", 0, 0xfffc, "I/O port"},
    {"epoch", PROP_U64, offsetof(struct mc146818, epoch), "0", 0, UINT64_C(253402300799),
     "seconds since 1970-01-01 at power-on, in the guest's time zone"},
    {"ram", PROP_U64, offsetof(struct mc146818, ram), "0", 0, 0, "bytes of RAM below 4 GiB"},
    {"high_ram", PROP_U64, offsetof(struct mc146818, high_ram), "0", 0, UINT64_C(1) << 40,
     "bytes of RAM above 4 GiB"},
    {"equipment", PROP_U32, offsetof(struct mc146818, equipment), "0x06", 0, 0xff,
     "CMOS byte 0x14, without what it says of floppies"},
    {"floppies", PROP_U32, offsetof(struct mc146818, floppies), "0", 0, 0xff,
     "CMOS byte 0x10: types of the floppy drives, the first in the upper half"},
    {0},
};
static const char *const mc146818_out[] = {"irq", "nmi_mask", NULL};

const struct dev_class mc146818_class = {
    .name = "mc146818",
    .help = "MC146818 real-time clock and CMOS RAM",
    .size = sizeof(struct mc146818),
    .state_off = offsetof(struct mc146818, s),
    .state = &mc146818_state_desc,
    .props = mc146818_props,
    .pins_out = mc146818_out,
    .init = mc146818_init,
    .reset = mc146818_reset,
};
