/*
 * Local APIC: acceptance, priorities, pins towards the vCPU, and the acknowledge cycle.
 *
 * The chip is in three files: this one, its timer (lapic_timer.c) and its registers as MMIO page
 * and MSRs (lapic_regs.c). Messages between APICs travel by hw/intc/apicbus.c.
 *
 * What always holds: the pin "intr" is high exactly while INTA would give a vector: a request in
 * IRR above the processor priority, or an external interrupt (LINT0 or a message in ExtINT mode, or
 * the bare 8259 while the APIC is disabled by IA32_APIC_BASE). NMI, SMI and INIT are pulses that
 * the vCPU latches. Of a request in IRR and an external interrupt the former is taken first.
 *
 * Choices where the manual leaves room: a software-disabled APIC accepts no fixed interrupts and
 * delivers none; lowest priority goes to the lowest processor priority, ties to the lowest index;
 * the APIC ID cannot be changed by software.
 *
 * Source: Intel SDM volume 3A (September 2023), chapter 11 "APIC".
 */
#include "hw/intc/lapic.h"

#include <string.h>

#include "hw/hw.h"
#include "hw/intc/i8259.h"

enum { OUT_INTR, OUT_NMI, OUT_SMI, OUT_INIT };

ST_DESCRIBE(lapic_state, LAPIC_STATE, 2);

/* --- 256-bit vectors --- */

static void vec_set(uint32_t *v, unsigned n)
{
    v[n / 32] |= 1u << n % 32;
}

static void vec_clear(uint32_t *v, unsigned n)
{
    v[n / 32] &= ~(1u << n % 32);
}

static bool vec_test(const uint32_t *v, unsigned n)
{
    return v[n / 32] >> n % 32 & 1;
}

/* The highest bit, or -1. */
static int vec_top(const uint32_t *v)
{
    for (int i = 7; i >= 0; i--) {
        if (v[i]) {
            return i * 32 + 31 - __builtin_clz(v[i]);
        }
    }
    return -1;
}

/* --- Priorities and pins --- */

unsigned lapic_ppr(const struct lapic *l)
{
    int top = vec_top(l->s.isr);
    unsigned isrv = top < 0 ? 0 : (unsigned)top & 0xf0;
    return (l->s.tpr & 0xf0) >= isrv ? l->s.tpr & 0xff : isrv;
}

/* The vector that INTA would take from IRR, or -1. */
static int deliverable(const struct lapic *l)
{
    int top = vec_top(l->s.irr);
    if (!lapic_on(l) || !lapic_soft_on(l) || top < 0) {
        return -1;
    }
    return ((unsigned)top & 0xf0) > (lapic_ppr(l) & 0xf0) ? top : -1;
}

static bool lint_level(const struct lapic *l, unsigned lint)
{
    bool level = dev_pin_in(&l->dev, lint);
    return level != !!(l->s.lvt[LVT_LINT0 + lint] & LVT_LOW_ACTIVE);
}

/* The 8259 is asking and we pass that on. */
static bool external(const struct lapic *l)
{
    if (!lapic_on(l)) {
        return dev_pin_in(&l->dev, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        uint32_t lvt = l->s.lvt[LVT_LINT0 + i];
        if ((lvt >> LVT_MODE_SHIFT & 7) == APIC_EXTINT && !(lvt & LVT_MASKED) && lint_level(l, i)) {
            return true;
        }
    }
    return l->s.extint;
}

void lapic_update(struct lapic *l)
{
    dev_pin_set(&l->dev, OUT_INTR, deliverable(l) >= 0 || external(l));
}

static void pulse(struct lapic *l, unsigned out)
{
    dev_pin_set(&l->dev, out, true);
    dev_pin_set(&l->dev, out, false);
}

/* --- Acceptance --- */

static void accept(struct lapic *l, uint8_t vector, bool level)
{
    if (!lapic_soft_on(l)) {
        return;
    }
    if (vector < 16) {
        lapic_error(l, ESR_RECEIVE_ILLEGAL);
        return;
    }
    vec_set(l->s.irr, vector);
    if (level) {
        vec_set(l->s.tmr, vector);
    } else {
        vec_clear(l->s.tmr, vector);
    }
    lapic_update(l);
}

void lapic_error(struct lapic *l, uint32_t bit)
{
    bool news = !(l->s.esr_new & bit);
    uint32_t lvt = l->s.lvt[LVT_ERROR];
    l->s.esr_new |= bit;
    /* An error entry with an illegal vector of its own must not report itself for ever. */
    if (news && !(lvt & LVT_MASKED) && (lvt & 0xff) >= 16) {
        accept(l, (uint8_t)lvt, false);
    }
}

void lapic_deliver(struct lapic *l, const struct apic_msg *msg)
{
    switch (msg->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        accept(l, msg->vector, msg->level);
        break;
    case APIC_SMI:
        pulse(l, OUT_SMI);
        break;
    case APIC_NMI:
        pulse(l, OUT_NMI);
        break;
    case APIC_INIT: {
        uint8_t id = l->s.xid;
        lapic_clear(l);
        l->s.xid = id; /* INIT keeps it (SDM 3A 11.4.7.3) */
        pulse(l, OUT_INIT);
        break;
    }
    case APIC_STARTUP:
        if (l->cpu) {
            l->cpu->sipi(l->cpu_ctx, msg->vector);
        }
        break;
    case APIC_EXTINT:
        l->s.extint = true;
        lapic_update(l);
        break;
    default:
        break;
    }
}

/* LINT pins in fixed, NMI and SMI mode; ExtINT is a level that external() looks at. */
void lapic_lint_update(struct lapic *l, unsigned lint, bool rose)
{
    uint32_t *lvt = &l->s.lvt[LVT_LINT0 + lint];
    if (!lapic_on(l)) {
        if (lint == 1 && rose) {
            pulse(l, OUT_NMI);
        }
        lapic_update(l);
        return;
    }
    if (!(*lvt & LVT_MASKED)) {
        switch (*lvt >> LVT_MODE_SHIFT & 7) {
        case APIC_FIXED:
            if (!(*lvt & LVT_LEVEL)) {
                if (rose) {
                    accept(l, (uint8_t)*lvt, false);
                }
            } else if (lint_level(l, lint) && !(*lvt & LVT_REMOTE_IRR)) {
                *lvt |= LVT_REMOTE_IRR;
                accept(l, (uint8_t)*lvt, true);
            }
            break;
        case APIC_NMI:
            if (rose) {
                pulse(l, OUT_NMI);
            }
            break;
        case APIC_SMI:
            if (rose) {
                pulse(l, OUT_SMI);
            }
            break;
        default:
            break;
        }
    }
    lapic_update(l);
}

static void lapic_pin(struct dev *d, unsigned in, bool level)
{
    struct lapic *l = (struct lapic *)d;
    (void)level;
    lapic_lint_update(l, in, lint_level(l, in));
}

void lapic_eoi(struct lapic *l)
{
    int top = vec_top(l->s.isr);
    if (top < 0) {
        return;
    }
    uint8_t vector = (uint8_t)top;
    vec_clear(l->s.isr, vector);
    if (vec_test(l->s.tmr, vector)) {
        for (unsigned i = 0; i < 2; i++) {
            uint32_t *lvt = &l->s.lvt[LVT_LINT0 + i];
            if ((*lvt & LVT_REMOTE_IRR) && (*lvt & 0xff) == vector) {
                *lvt &= ~(uint32_t)LVT_REMOTE_IRR;
                lapic_lint_update(l, i, false);
            }
        }
        apicbus_eoi(l->bus, vector);
    }
    lapic_update(l);
}

/* --- What the vCPU asks --- */

static uint8_t pic_ack(struct lapic *l)
{
    struct dev *pic = l->pic[0] ? dev_find(l->dev.env, l->pic) : NULL;
    l->s.extint = false;
    uint8_t vector = pic && pic->cls == &i8259_class ? i8259_ack(pic) : 0xff;
    lapic_update(l);
    return vector;
}

static uint8_t lapic_ack(void *ctx)
{
    struct lapic *l = ctx;
    int vector = deliverable(l);
    if (vector < 0) {
        if (external(l)) {
            return pic_ack(l);
        }
        return (uint8_t)l->s.svr; /* the request was withdrawn: spurious */
    }
    vec_clear(l->s.irr, (unsigned)vector);
    vec_set(l->s.isr, (unsigned)vector);
    lapic_update(l);
    return (uint8_t)vector;
}

static uint8_t cr8_read(void *ctx)
{
    return (uint8_t)(((struct lapic *)ctx)->s.tpr >> 4 & 15);
}

static void cr8_write(void *ctx, uint8_t val)
{
    struct lapic *l = ctx;
    l->s.tpr = (uint32_t)(val & 15) << 4;
    lapic_update(l);
}

const struct intc_ops lapic_intc_ops = {
    .ack = lapic_ack,
    .cr8_read = cr8_read,
    .cr8_write = cr8_write,
    .msr_read = lapic_msr_read,
    .msr_write = lapic_msr_write,
};

void lapic_set_cpu(struct dev *lapic, const struct cpu_ops *ops, void *ctx)
{
    struct lapic *l = (struct lapic *)lapic;
    l->cpu = ops;
    l->cpu_ctx = ctx;
}

/* --- Lifecycle --- */

void lapic_clear(struct lapic *l)
{
    uint64_t base = l->s.base;
    timer_cancel(&l->timer);
    l->s = (struct lapic_state){
        .base = base,
        .dfr = 0xffffffff,
        .svr = 0xff,
        .timer = {VTIME_NEVER},
        .xid = (uint8_t)l->id,
    };
    if (lapic_x2(l)) {
        l->s.ldr = (l->id >> 4) << 16 | 1u << (l->id & 15);
    }
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        l->s.lvt[i] = LVT_MASKED;
    }
    lapic_update(l);
}

static void lapic_reset(struct dev *d, enum reset_kind kind)
{
    struct lapic *l = (struct lapic *)d;
    (void)kind;
    l->s.base = LAPIC_DEFAULT_BASE | APIC_BASE_EN | (l->bsp ? APIC_BASE_BSP : 0);
    lapic_clear(l);
    if (l->virtual_wire) {
        /* As PC firmware leaves the boot processor (MP specification 1.4, 3.6.2.2). */
        l->s.svr |= SVR_ENABLE;
        l->s.lvt[LVT_LINT0] = APIC_EXTINT << LVT_MODE_SHIFT;
        l->s.lvt[LVT_LINT1] = APIC_NMI << LVT_MODE_SHIFT;
        lapic_update(l);
    }
    dev_pin_set(d, OUT_NMI, false);
    dev_pin_set(d, OUT_SMI, false);
    dev_pin_set(d, OUT_INIT, false);
    apicbus_rebase(l);
}

static void lapic_restored(struct dev *d)
{
    apicbus_rebase((struct lapic *)d);
}

static bool lapic_init(struct dev *d, struct err *e)
{
    struct lapic *l = (struct lapic *)d;
    l->bus = dev_find(d->env, l->bus_name);
    if (!l->bus || l->bus->cls != &apicbus_class) {
        return err_set(e, "bus=%s: there is no apicbus of that name yet", l->bus_name);
    }
    if (apicbus_lapic(l->bus, l->index)) {
        return err_set(e, "index=%u: taken by another local APIC", (unsigned)l->index);
    }
    timer_init(&l->timer, d->env->clock, &l->s.timer, lapic_timer_fire, l);
    apicbus_add_lapic(l->bus, l);
    return true;
}

static const struct prop lapic_props[] = {
    {"id", PROP_U32, offsetof(struct lapic, id), "0", 0, 0, "APIC ID"},
    {"index", PROP_U32, offsetof(struct lapic, index), "0", 0, 63, "number of the vCPU"},
    {"bsp", PROP_BOOL, offsetof(struct lapic, bsp), "off", 0, 0, "the boot processor"},
    {"x2apic", PROP_BOOL, offsetof(struct lapic, x2apic), "on", 0, 0, "has x2APIC mode"},
    {"virtual_wire", PROP_BOOL, offsetof(struct lapic, virtual_wire), "off", 0, 0,
     "comes out of reset as firmware leaves it: enabled, LINT0 ExtINT, LINT1 NMI"},
    {"bus", PROP_STR, offsetof(struct lapic, bus_name), "apicbus", 0, 0, "name of the apicbus"},
    {"pic", PROP_STR, offsetof(struct lapic, pic), "", 0, 0, "the 8259 that answers ExtINT"},
    {0},
};
static const char *const lapic_in[] = {"lint0", "lint1", NULL};
static const char *const lapic_out[] = {"intr", "nmi", "smi", "init", NULL};

const struct dev_class lapic_class = {
    .name = "lapic",
    .help = "local APIC of one vCPU (xAPIC and x2APIC)",
    .size = sizeof(struct lapic),
    .state_off = offsetof(struct lapic, s),
    .state = &lapic_state_desc,
    .props = lapic_props,
    .pins_in = lapic_in,
    .pins_out = lapic_out,
    .init = lapic_init,
    .reset = lapic_reset,
    .pin = lapic_pin,
    .restored = lapic_restored,
};
