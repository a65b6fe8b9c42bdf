/*
 * The local APIC's registers: the xAPIC page and the x2APIC MSRs over one core, and IA32_APIC_BASE.
 *
 * A register has one number in both: MMIO offset >> 4, MSR - 0x800. Reserved registers and bits are
 * an error in ESR on the page and #GP as MSRs (SDM 3A 11.12.1.2, Table 11-6).
 */
#include "hw/intc/lapic.h"

#include "hw/hw.h"

enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_LVT_LAST = 0x37,
    REG_INITIAL = 0x38,
    REG_COUNT = 0x39,
    REG_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,

    MSR_APIC_BASE = 0x1b,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,

    VERSION = 0x14 | (LVT_COUNT - 1) << 16,
};

#define ICR_LOW_WRITABLE UINT32_C(0x000ccfff)

/* Writable bits of each LVT entry. */
static const uint32_t lvt_bits[LVT_COUNT] = {
    [LVT_TIMER] = 0x710ff & ~LVT_PENDING,
    [LVT_THERMAL] = 0x107ff,
    [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff,
    [LVT_LINT1] = 0x1a7ff,
    [LVT_ERROR] = 0x100ff,
};

/* --- The registers --- */

/* Send what ICR says. */
static void send_ipi(struct lapic *l)
{
    uint64_t icr = l->s.icr;
    unsigned shorthand = icr >> 18 & 3;
    struct apic_msg msg = {
        .dest = (uint32_t)(lapic_x2(l) ? icr >> 32 : icr >> 56),
        .wide = lapic_x2(l),
        .logical = icr >> 11 & 1,
        .mode = icr >> 8 & 7,
        .vector = (uint8_t)icr,
    };
    bool level = icr >> 15 & 1, assert_level = icr >> 14 & 1;
    if (msg.mode == APIC_INIT && level && !assert_level) {
        return; /* INIT level de-assert: nothing to do since the Pentium 4 */
    }
    if (msg.mode == 3 || msg.mode == APIC_EXTINT) {
        return; /* reserved */
    }
    if (msg.mode <= APIC_LOWEST && msg.vector < 16) {
        lapic_error(l, ESR_SEND_ILLEGAL);
        return;
    }
    if (shorthand) {
        apicbus_shorthand(l->bus, l, shorthand, &msg);
    } else {
        apicbus_send(l->bus, &msg);
    }
}

static void write_lvt(struct lapic *l, unsigned n, uint32_t val)
{
    uint32_t old = l->s.lvt[n];
    uint32_t v = (val & lvt_bits[n]) | (old & LVT_REMOTE_IRR);
    if (!lapic_soft_on(l)) {
        v |= LVT_MASKED;
    }
    if (!(v & LVT_LEVEL)) {
        v &= ~(uint32_t)LVT_REMOTE_IRR;
    }
    l->s.lvt[n] = v;
    if (n == LVT_TIMER) {
        lapic_timer_lvt(l, old);
    } else if (n == LVT_LINT0 || n == LVT_LINT1) {
        lapic_lint_update(l, n - LVT_LINT0, false);
    }
}

static void write_svr(struct lapic *l, uint32_t val)
{
    l->s.svr = val & 0x1ff;
    if (!lapic_soft_on(l)) {
        for (unsigned i = 0; i < LVT_COUNT; i++) {
            l->s.lvt[i] |= LVT_MASKED;
        }
        lapic_timer_arm(l);
    }
    lapic_update(l);
}

/* False: there is no such register to read. */
static bool read_reg(struct lapic *l, unsigned reg, uint32_t *val)
{
    if (reg >= REG_ISR && reg < REG_ESR) {
        const uint32_t *v = reg < REG_TMR ? l->s.isr : reg < REG_IRR ? l->s.tmr : l->s.irr;
        *val = v[reg & 7];
        return true;
    }
    if (reg >= REG_LVT && reg <= REG_LVT_LAST) {
        *val = l->s.lvt[reg - REG_LVT];
        return true;
    }
    switch (reg) {
    case REG_ID:
        *val = lapic_x2(l) ? l->id : (uint32_t)l->s.xid << 24;
        return true;
    case REG_VERSION:
        *val = VERSION;
        return true;
    case REG_TPR:
        *val = l->s.tpr;
        return true;
    case REG_PPR:
        *val = lapic_ppr(l);
        return true;
    case REG_LDR:
        *val = l->s.ldr;
        return true;
    case REG_SVR:
        *val = l->s.svr;
        return true;
    case REG_ESR:
        *val = l->s.esr;
        return true;
    case REG_ICR:
        *val = (uint32_t)l->s.icr;
        return true;
    case REG_INITIAL:
        *val = l->s.initial;
        return true;
    case REG_COUNT:
        *val = lapic_timer_count(l);
        return true;
    case REG_DIVIDE:
        *val = l->s.divide;
        return true;
    default:
        return false;
    }
}

/* False: there is no such register to write. */
static bool write_reg(struct lapic *l, unsigned reg, uint32_t val)
{
    if (reg >= REG_LVT && reg <= REG_LVT_LAST) {
        write_lvt(l, reg - REG_LVT, val);
        return true;
    }
    switch (reg) {
    case REG_TPR:
        l->s.tpr = val & 0xff;
        lapic_update(l);
        return true;
    case REG_EOI:
        lapic_eoi(l);
        return true;
    case REG_SVR:
        write_svr(l, val);
        return true;
    case REG_ESR:
        l->s.esr = l->s.esr_new;
        l->s.esr_new = 0;
        return true;
    case REG_ICR:
        l->s.icr = (l->s.icr & ~UINT64_C(0xffffffff)) | (val & ICR_LOW_WRITABLE);
        send_ipi(l);
        return true;
    case REG_INITIAL:
        lapic_timer_start(l, val);
        return true;
    case REG_DIVIDE:
        lapic_timer_divide(l, val);
        return true;
    default:
        return false;
    }
}

/* --- The xAPIC page --- */

uint32_t lapic_mmio_read(struct lapic *l, unsigned off)
{
    uint32_t val = 0;
    unsigned reg = off >> 4 & 0xff;
    if (off & 15) {
        return 0; /* only the first four bytes of each sixteen are there */
    }
    switch (reg) {
    case REG_DFR:
        return l->s.dfr;
    case REG_ICR_HIGH:
        return (uint32_t)(l->s.icr >> 32);
    case REG_APR:
    case REG_RRD:
    case REG_EOI:
        return 0;
    default:
        if (!read_reg(l, reg, &val)) {
            lapic_error(l, ESR_REGISTER);
        }
        return val;
    }
}

void lapic_mmio_write(struct lapic *l, unsigned off, uint32_t val)
{
    unsigned reg = off >> 4 & 0xff;
    if (off & 15) {
        return;
    }
    switch (reg) {
    case REG_LDR:
        l->s.ldr = val & 0xff000000;
        break;
    case REG_DFR:
        l->s.dfr = val | 0x0fffffff;
        break;
    case REG_ICR_HIGH:
        l->s.icr = (l->s.icr & UINT64_C(0xffffffff)) | (uint64_t)(val & 0xff000000) << 32;
        break;
    case REG_ID: /* SDM 3A 11.4.6: "some processors permit software to modify the APIC ID" */
        l->s.xid = (uint8_t)(val >> 24);
        break;
    case REG_VERSION:
    case REG_PPR:
    case REG_COUNT:
        break; /* read-only */
    default:
        if (!write_reg(l, reg, val)) {
            lapic_error(l, ESR_REGISTER);
        }
        break;
    }
}

/* --- MSRs --- */

static bool write_base(struct lapic *l, uint64_t val)
{
    uint64_t allowed = (LAPIC_PAGE | APIC_BASE_BSP | APIC_BASE_EN | APIC_BASE_EXTD);
    bool en = val & APIC_BASE_EN, extd = val & APIC_BASE_EXTD;
    bool was_en = lapic_on(l), was_extd = lapic_x2(l);
    /* The legal transitions of SDM 3A Figure 11-27. */
    if ((val & ~allowed) || (extd && (!l->x2apic || !en)) || (was_extd && en && !extd) ||
        (!was_en && extd)) {
        return false;
    }
    l->s.base = val;
    if (!en) {
        lapic_clear(l);
    } else if (extd && !was_extd) {
        l->s.ldr = (l->id >> 4) << 16 | 1u << (l->id & 15);
        l->s.icr &= 0xffffffff;
    }
    apicbus_rebase(l);
    lapic_update(l);
    return true;
}

bool lapic_msr_read(void *ctx, uint32_t msr, uint64_t *val)
{
    struct lapic *l = ctx;
    uint32_t v = 0;
    if (msr == MSR_APIC_BASE) {
        *val = l->s.base;
        return true;
    }
    if (msr == MSR_TSC_DEADLINE) {
        *val = l->s.deadline;
        return true;
    }
    if (!lapic_x2(l) || msr < MSR_X2APIC || msr > MSR_X2APIC + 0xff) {
        return false;
    }
    if (msr - MSR_X2APIC == REG_ICR) {
        *val = l->s.icr;
        return true;
    }
    bool ok = read_reg(l, msr - MSR_X2APIC, &v);
    *val = v;
    return ok;
}

/* Bits of an x2APIC register that may be written as 1; a mask of 0 with `ok` false: no register. */
static bool x2_writable(unsigned reg, uint64_t *mask)
{
    if (reg >= REG_LVT && reg <= REG_LVT_LAST) {
        /* Delivery status and remote IRR are read-only, not reserved. */
        *mask = lvt_bits[reg - REG_LVT] | LVT_PENDING | LVT_REMOTE_IRR;
        return true;
    }
    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        *mask = 0xff;
        return true;
    case REG_EOI:
    case REG_ESR:
        *mask = 0;
        return true;
    case REG_SVR:
        *mask = 0x1ff;
        return true;
    case REG_ICR:
        *mask = UINT64_C(0xffffffff00000000) | ICR_LOW_WRITABLE;
        return true;
    case REG_INITIAL:
        *mask = 0xffffffff;
        return true;
    case REG_DIVIDE:
        *mask = 0x0b;
        return true;
    default:
        return false;
    }
}

bool lapic_msr_write(void *ctx, uint32_t msr, uint64_t val)
{
    struct lapic *l = ctx;
    uint64_t mask;
    if (msr == MSR_APIC_BASE) {
        return write_base(l, val);
    }
    if (msr == MSR_TSC_DEADLINE) {
        lapic_timer_deadline(l, val);
        return true;
    }
    if (!lapic_x2(l) || msr < MSR_X2APIC || msr > MSR_X2APIC + 0xff) {
        return false;
    }
    unsigned reg = msr - MSR_X2APIC;
    if (!x2_writable(reg, &mask) || (val & ~mask)) {
        return false;
    }
    if (reg == REG_ICR) {
        l->s.icr = val;
        send_ipi(l);
        return true;
    }
    if (reg == REG_SELF_IPI) {
        l->s.icr = UINT64_C(1) << 18 | val;
        send_ipi(l);
        return true;
    }
    return write_reg(l, reg, (uint32_t)val);
}
