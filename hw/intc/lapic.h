/*
 * Private to hw/intc: the local APIC's state, and what its files and the bus ask of each other.
 */
#ifndef DOPPEL_HW_INTC_LAPIC_H
#define DOPPEL_HW_INTC_LAPIC_H

#include "core/dev.h"
#include "hw/intc/apic.h"

struct aspace;
struct region;

enum {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERF,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT,
};

enum {
    APIC_BASE_BSP = 1u << 8,
    APIC_BASE_EXTD = 1u << 10,
    APIC_BASE_EN = 1u << 11,

    SVR_ENABLE = 1u << 8,

    LVT_MODE_SHIFT = 8,
    LVT_PENDING = 1u << 12,
    LVT_LOW_ACTIVE = 1u << 13,
    LVT_REMOTE_IRR = 1u << 14,
    LVT_LEVEL = 1u << 15,
    LVT_MASKED = 1u << 16,
    LVT_TIMER_SHIFT = 17,
    TIMER_ONESHOT = 0,
    TIMER_PERIODIC = 1,
    TIMER_DEADLINE = 2,

    ESR_SEND_ILLEGAL = 1u << 5,
    ESR_RECEIVE_ILLEGAL = 1u << 6,
    ESR_REGISTER = 1u << 7,
};

#define LAPIC_DEFAULT_BASE UINT64_C(0xfee00000)
#define LAPIC_PAGE         UINT64_C(0xfffffffff000)

#define LAPIC_STATE(S, V, A, N)                                                                    \
    V(S, uint64_t, base, 1) /* IA32_APIC_BASE */                                                   \
    V(S, uint32_t, tpr, 1)                                                                         \
    V(S, uint32_t, ldr, 1)                                                                         \
    V(S, uint32_t, dfr, 1)                                                                         \
    V(S, uint32_t, svr, 1)                                                                         \
    A(S, uint32_t, isr, 8, 1)                                                                      \
    A(S, uint32_t, tmr, 8, 1)                                                                      \
    A(S, uint32_t, irr, 8, 1)                                                                      \
    V(S, uint32_t, esr, 1)     /* as read: latched by the last write */                            \
    V(S, uint32_t, esr_new, 1) /* errors since then */                                             \
    V(S, uint64_t, icr, 1)                                                                         \
    A(S, uint32_t, lvt, LVT_COUNT, 1)                                                              \
    V(S, uint32_t, initial, 1)  /* timer: initial count */                                         \
    V(S, uint32_t, divide, 1)   /* timer: divide configuration, as written */                      \
    V(S, uint64_t, start, 1)    /* timer: vtime at which `initial` was loaded */                   \
    V(S, uint64_t, deadline, 1) /* TSC deadline as vtime; 0: not armed */                          \
    V(S, bool, extint, 1)       /* an ExtINT message waits for INTA */                             \
    V(S, struct vtimer, timer, 1)                                                                  \
    V(S, uint8_t, xid, 2) /* the ID in xAPIC mode, which software may write */

ST_DECLARE(lapic_state, LAPIC_STATE);

struct lapic {
    struct dev dev;
    struct lapic_state s;
    struct timer timer;
    const struct cpu_ops *cpu;
    void *cpu_ctx;
    struct dev *bus;
    struct region *moved; /* the page of a relocated APIC */
    uint32_t id, index;
    bool bsp, x2apic, virtual_wire;
    char bus_name[32], pic[32];
};

/* lapic.c */
static inline bool lapic_on(const struct lapic *l)
{
    return l->s.base & APIC_BASE_EN;
}
static inline bool lapic_x2(const struct lapic *l)
{
    return (l->s.base & (APIC_BASE_EN | APIC_BASE_EXTD)) == (APIC_BASE_EN | APIC_BASE_EXTD);
}
static inline bool lapic_soft_on(const struct lapic *l)
{
    return l->s.svr & SVR_ENABLE;
}
unsigned lapic_ppr(const struct lapic *l);
void lapic_update(struct lapic *l);
void lapic_error(struct lapic *l, uint32_t bit);
void lapic_eoi(struct lapic *l);
/* The LVT entries of the pins changed, or the pins did. */
void lapic_lint_update(struct lapic *l, unsigned lint, bool rose);
/* What INIT and a disable by IA32_APIC_BASE do: as after power-on but base and ID. */
void lapic_clear(struct lapic *l);
/* A message that the bus found to be for this one. */
void lapic_deliver(struct lapic *l, const struct apic_msg *msg);

/* lapic_timer.c */
uint32_t lapic_timer_count(const struct lapic *l);
void lapic_timer_start(struct lapic *l, uint32_t initial);
void lapic_timer_divide(struct lapic *l, uint32_t val);
/* The timer's LVT entry changes from `old` to what it is now. */
void lapic_timer_lvt(struct lapic *l, uint32_t old);
void lapic_timer_deadline(struct lapic *l, vtime deadline);
void lapic_timer_arm(struct lapic *l);
void lapic_timer_fire(void *ctx);

/* lapic_regs.c */
bool lapic_msr_read(void *ctx, uint32_t msr, uint64_t *val);
bool lapic_msr_write(void *ctx, uint32_t msr, uint64_t val);
uint32_t lapic_mmio_read(struct lapic *l, unsigned off);
void lapic_mmio_write(struct lapic *l, unsigned off, uint32_t val);

/* apicbus.c */
struct lapic *apicbus_lapic(struct dev *bus, unsigned index);
void apicbus_add_lapic(struct dev *bus, struct lapic *l);
void apicbus_add_ioapic(struct dev *bus, struct dev *ioapic,
                        void (*eoi)(struct dev *ioapic, uint8_t vector));
/* ioapic.c: the message that an input becomes; `pin` below IOAPIC_PINS. False: it is masked. */
enum { IOAPIC_PINS = 24 };
bool ioapic_message(const struct dev *ioapic, unsigned pin, struct apic_msg *msg);

/* EOI of a level-triggered vector goes to every I/O APIC. */
void apicbus_eoi(struct dev *bus, uint8_t vector);
/* ICR: `self` sends to itself, everyone, or everyone else (shorthand 1, 2, 3). */
void apicbus_shorthand(struct dev *bus, struct lapic *self, unsigned shorthand,
                       const struct apic_msg *msg);
/* The APIC page moved or went away. */
void apicbus_rebase(struct lapic *l);

#endif
