/*
 * Exceptions and interrupts: raising, priorities, delivery, double faults, shutdown.
 *
 * A semantic raises with cpu_raise*, which leaves it by longjmp to the run loop; the run loop puts
 * RIP on the faulting instruction and calls event_fault(). Between instructions the run loop calls
 * event_poll(). Both end in event_deliver(), which may raise again: `delivering` tells what was
 * being delivered, for the double-fault rules and the EXT bit of error codes.
 *
 * What always holds: delivery checks everything and reserves its stack frame before it changes a
 * register. A delivery that succeeds ends in deliver_done().
 *
 * Choices where the SDM leaves room: STI's shadow does not hold back NMI, MOV SS's does; a data
 * breakpoint met by MOV SS is kept until after the next instruction; B0-B3 of DR6 are replaced, the
 * others accumulate.
 *
 * Sources: Intel SDM 3A chapter 6 (6.9 priorities, 6.12 protected mode, 6.13 error codes, 6.14
 * 64-bit mode, table 6-5 double faults), chapter 17 (17.3.1 RF, 17.3.1.4 TF), 20.3 (virtual-8086);
 * SDM 2A "INT n".
 */
#include <inttypes.h>

#include "cpu/desc.h"
#include "cpu/event.h"
#include "cpu/flags.h"

#define DR6_BS  (UINT64_C(1) << 14)
#define DR6_BT  (UINT64_C(1) << 15)
#define DR7_GD  (UINT64_C(1) << 13)
#define NOT_EXC 0xff /* delivering_vec of an interrupt */

enum { PIN_INTR }; /* cpu/cpu.c: the first input */

/* --- Raising ----------------------------------------------------------------------------------*/

noreturn void cpu_raise(struct cpu *cpu, unsigned vector)
{
    cpu->exc = (struct cpu_event){.vector = (uint8_t)vector};
    longjmp(cpu->fault, 1);
}

noreturn void cpu_raise_err(struct cpu *cpu, unsigned vector, uint32_t err)
{
    /* EXT: met while an event outside of the program's control was delivered (SDM 3A 6.13). */
    if (cpu->delivering && vector >= EXC_TS && vector <= EXC_GP) {
        err |= 1;
    }
    cpu->exc = (struct cpu_event){.vector = (uint8_t)vector, .has_err = true, .err = err};
    longjmp(cpu->fault, 1);
}

noreturn void cpu_raise_pf(struct cpu *cpu, gva la, uint32_t err)
{
    log_line(cpu->dev.env->log, LOG_mmu, "cpu%u: page fault at %#" PRIx64 ", error %#" PRIx32,
             cpu->index, la, err);
    cpu->s.cr2 = la;
    cpu->exc = (struct cpu_event){.vector = EXC_PF, .has_err = true, .err = err};
    longjmp(cpu->fault, 1);
}

/* --- Delivery ---------------------------------------------------------------------------------*/

struct delivery {
    enum event_kind kind;
    unsigned vector;
    bool has_err;
    uint32_t err;
    uint64_t rip;   /* pushed */
    uint64_t flags; /* pushed */
    bool soft;      /* INT n, INT3, INTO: the gate's DPL counts */
};

/* What every successful delivery ends with. clear: EFLAGS bits that the handler starts without. */
static void deliver_done(struct cpu *cpu, const struct delivery *ev, uint64_t clear)
{
    cpu->s.rflags &= ~clear;
    if (ev->vector == EXC_DB && ev->kind == EV_EXCEPTION) {
        cpu->s.dr[7] &= ~DR7_GD;
        cpu->s.msr[0].debugctl &= ~(uint64_t)(DEBUGCTL_LBR | DEBUGCTL_BTF);
    }
    cpu->s.shadow = false;
    cpu->step_done = true; /* TF was cleared: no trap after this instruction */
    cpu_update_mode(cpu);
    cpu_update_attn(cpu);
}

/* Through the table of far pointers at IDTR (real mode) or at 0 (virtual-8086, redirected). */
static void deliver_ivt(struct cpu *cpu, const struct delivery *ev, uint64_t table)
{
    gva la = table + ev->vector * 4;
    uint32_t ptr = (uint32_t)mem_rd_view(cpu, SEG_NONE, la, 4, cpu->view);
    struct frame f = frame_current(cpu);
    frame_reserve(cpu, &f, 2, 3);
    /* The 8086 has no bits 15:12; they read as ones. */
    frame_push(cpu, &f, 2, ev->flags | (cpu_has(cpu, FEAT_only86) ? 0xf000 : 0));
    frame_push(cpu, &f, 2, cpu->s.seg[SEG_CS].sel);
    frame_push(cpu, &f, 2, ev->rip);
    stk_set_sp(cpu, f.sp);
    seg_load_real(cpu, SEG_CS, (uint16_t)(ptr >> 16));
    cpu->s.rip = ptr & 0xffff;
}

static void deliver_real(struct cpu *cpu, const struct delivery *ev)
{
    if (ev->vector * 4 + 3 > cpu->s.idt_limit) {
        cpu_raise_err(cpu, EXC_GP, ev->vector * 8 + 2);
    }
    deliver_ivt(cpu, ev, cpu->s.idt_base);
    deliver_done(cpu, ev, FL_IF | FL_TF | FL_RF | FL_AC);
}

/* INT n in virtual-8086 mode with CR4.VME: does the redirection bitmap in the TSS keep this vector
 * with the 8086 program (bit clear)? The 32 bytes below the I/O bitmap (SDM 3A 20.3.3). */
static bool vme_redirects(struct cpu *cpu, unsigned vector)
{
    const struct seg *tr = &cpu->s.seg[SEG_TR];
    if (!(tr->attr & 8) || tr->limit < 103) {
        cpu_gp0(cpu);
    }
    uint32_t map = (uint32_t)mem_rd_sys(cpu, (uint32_t)(tr->base + 102), 2) - 32 + vector / 8;
    if (map > tr->limit) {
        cpu_gp0(cpu);
    }
    return !(mem_rd_sys(cpu, (uint32_t)(tr->base + map), 1) >> (vector & 7) & 1);
}

static bool deliver_vme(struct cpu *cpu, struct delivery *ev)
{
    if (!(cpu->s.cr4 & CR4_VME) || !vme_redirects(cpu, ev->vector)) {
        return false;
    }
    if ((cpu->s.rflags & FL_IOPL) == FL_IOPL) {
        deliver_ivt(cpu, ev, 0);
        deliver_done(cpu, ev, FL_IF | FL_TF | FL_RF);
        return true;
    }
    ev->flags |= FL_IOPL;
    ev->flags = (ev->flags & ~(uint64_t)FL_IF) | (cpu->s.rflags & FL_VIF ? FL_IF : 0);
    deliver_ivt(cpu, ev, 0);
    deliver_done(cpu, ev, FL_VIF | FL_TF | FL_RF);
    return true;
}

static noreturn void bad_gate(struct cpu *cpu, const struct delivery *ev, unsigned vector)
{
    cpu_raise_err(cpu, vector, ev->vector * 8 + 2);
}

static void deliver_task(struct cpu *cpu, const struct delivery *ev, uint16_t sel)
{
    struct desc d;
    if (SEL_TI(sel) || SEL_NULL(sel) || !desc_read(cpu, sel, &d) ||
        (desc_type(&d) != DT_TSS16 && desc_type(&d) != DT_TSS32)) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
    }
    if (!desc_present(&d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
    uint64_t flags = cpu->s.rflags;
    cpu->s.rflags = (flags & ~(uint64_t)FL_RF) | (ev->flags & FL_RF); /* saved in the old TSS */
    task_switch(cpu, sel, TASK_INT, ev->rip, ev->has_err, ev->err);
    deliver_done(cpu, ev, 0);
}

/* The gate of the vector, checked but for its target. */
static struct desc read_gate(struct cpu *cpu, const struct delivery *ev)
{
    unsigned size = cpu_lma(cpu) ? 16 : 8;
    if (ev->vector * size + size - 1 > cpu->s.idt_limit) {
        bad_gate(cpu, ev, EXC_GP);
    }
    gva la = cpu->s.idt_base + ev->vector * size;
    uint64_t raw = mem_rd_sys(cpu, size == 16 ? la : (uint32_t)la, 8);
    struct desc g = {.lo = (uint32_t)raw, .hi = (uint32_t)(raw >> 32)};
    uint32_t types = 1u << DT_INT32 | 1u << DT_TRAP32;
    if (size == 16) {
        raw = mem_rd_sys(cpu, la + 8, 8);
        g.base_hi = (uint32_t)raw;
        g.top = (uint32_t)(raw >> 32);
    } else {
        types = 1u << DT_TASK | 1u << DT_INT16 | 1u << DT_TRAP16 |
                (cpu_has(cpu, FEAT_i386) ? types : 0);
    }
    if (!(types >> desc_type(&g) & 1) || (ev->soft && desc_dpl(&g) < cpu->s.cpl)) {
        bad_gate(cpu, ev, EXC_GP);
    }
    if (!desc_present(&g)) {
        bad_gate(cpu, ev, EXC_NP);
    }
    return g;
}

/* The code segment a gate names. */
static struct desc read_target(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (SEL_NULL(sel)) {
        cpu_gp0(cpu);
    }
    if (!desc_read(cpu, sel, &d) || !desc_is_code(&d) || desc_dpl(&d) > cpu->s.cpl) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
    }
    if (!desc_present(&d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
    return d;
}

static uint64_t flags_cleared_by(const struct desc *gate)
{
    bool is_int = (desc_type(gate) & 7) == 6;
    return FL_TF | FL_RF | FL_NT | FL_VM | (is_int ? FL_IF : 0u);
}

static void push_common(struct cpu *cpu, struct frame *f, unsigned size, const struct delivery *ev)
{
    frame_push(cpu, f, size, ev->flags);
    frame_push(cpu, f, size, cpu->s.seg[SEG_CS].sel);
    frame_push(cpu, f, size, ev->rip);
    if (ev->has_err) {
        frame_push(cpu, f, size, ev->err);
    }
}

/* To an inner level through a 16 or 32-bit gate: stack from the TSS. */
static void deliver_inner(struct cpu *cpu, const struct delivery *ev, const struct desc *gate,
                          struct desc *cs)
{
    static const uint8_t v86_segs[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    unsigned size = desc_type(gate) & 8 ? 4 : 2, cpl = desc_dpl(cs);
    uint64_t sp;
    uint16_t ss;
    struct desc sd;
    bool v86 = cpu_v86(cpu);
    tss_stack(cpu, cpl, &ss, &sp);
    stack_seg_check(cpu, ss, cpl, &sd);
    struct frame f = frame_inner(cpu, ss, &sd, sp, cpl);
    frame_reserve(cpu, &f, size, (v86 ? 9u : 5u) + ev->has_err);
    far_check_target(cpu, cs, gate_off(gate));
    desc_set_accessed(cpu, ss, &sd);
    desc_set_accessed(cpu, gate_sel(gate), cs);
    for (unsigned n = 0; v86 && n < 4; n++) {
        frame_push(cpu, &f, size, cpu->s.seg[v86_segs[n]].sel);
    }
    frame_push(cpu, &f, size, cpu->s.seg[SEG_SS].sel);
    frame_push(cpu, &f, size, cpu->s.gpr[REG_RSP]);
    push_common(cpu, &f, size, ev);
    cpu->s.rflags &= ~flags_cleared_by(gate);
    for (unsigned n = 0; v86 && n < 4; n++) {
        seg_set_null(cpu, v86_segs[n], 0);
    }
    far_enter(cpu, gate_sel(gate), cs, cpl, gate_off(gate));
    seg_set_desc(cpu, SEG_SS, ss, &sd);
    cpu_update_mode(cpu); /* sp_mask */
    stk_set_sp(cpu, f.sp);
}

static void deliver_prot(struct cpu *cpu, const struct delivery *ev)
{
    struct desc gate = read_gate(cpu, ev);
    if (desc_type(&gate) == DT_TASK) {
        deliver_task(cpu, ev, gate_sel(&gate));
        return;
    }
    struct desc cs = read_target(cpu, gate_sel(&gate));
    bool inner = !desc_conforming(&cs) && desc_dpl(&cs) < cpu->s.cpl;
    if (cpu_v86(cpu) && (!inner || desc_dpl(&cs) != 0)) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(gate_sel(&gate)));
    }
    if (inner) {
        deliver_inner(cpu, ev, &gate, &cs);
    } else {
        unsigned size = desc_type(&gate) & 8 ? 4 : 2;
        struct frame f = frame_current(cpu);
        frame_reserve(cpu, &f, size, 3u + ev->has_err);
        far_check_target(cpu, &cs, gate_off(&gate));
        desc_set_accessed(cpu, gate_sel(&gate), &cs);
        push_common(cpu, &f, size, ev);
        stk_set_sp(cpu, f.sp);
        far_enter(cpu, gate_sel(&gate), &cs, cpu->s.cpl, gate_off(&gate));
    }
    deliver_done(cpu, ev, flags_cleared_by(&gate));
}

static void deliver_long(struct cpu *cpu, const struct delivery *ev)
{
    struct desc gate = read_gate(cpu, ev);
    struct desc cs = read_target(cpu, gate_sel(&gate));
    if (!desc_l(&cs) || desc_db(&cs)) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(gate_sel(&gate)));
    }
    bool inner = !desc_conforming(&cs) && desc_dpl(&cs) < cpu->s.cpl;
    unsigned cpl = inner ? desc_dpl(&cs) : cpu->s.cpl, ist = gate.hi & 7;
    uint64_t rsp = cpu->s.gpr[REG_RSP];
    if (ist) {
        rsp = tss_ist(cpu, ist);
    } else if (inner) {
        rsp = tss_rsp(cpu, cpl);
    }
    struct frame f = frame_long(cpu, rsp & ~UINT64_C(15), cpl);
    if (!inner && !ist) {
        f.view = cpu->view;
    }
    frame_reserve(cpu, &f, 8, 5u + ev->has_err);
    far_check_target(cpu, &cs, gate_off(&gate));
    desc_set_accessed(cpu, gate_sel(&gate), &cs);
    frame_push(cpu, &f, 8, cpu->s.seg[SEG_SS].sel);
    frame_push(cpu, &f, 8, cpu->s.gpr[REG_RSP]);
    push_common(cpu, &f, 8, ev);
    far_enter(cpu, gate_sel(&gate), &cs, cpl, gate_off(&gate));
    if (inner) {
        seg_set_null(cpu, SEG_SS, (uint16_t)cpl);
    }
    cpu->s.gpr[REG_RSP] = f.sp;
    deliver_done(cpu, ev, flags_cleared_by(&gate));
}

static bool is_fault_class(unsigned vector)
{
    return vector != EXC_DB && vector != EXC_DF && vector != EXC_MC && vector != EXC_BP &&
           vector != EXC_OF;
}

void event_deliver(struct cpu *cpu, enum event_kind kind, unsigned vector, bool has_err,
                   uint32_t err, uint64_t rip)
{
    struct delivery ev = {
        .kind = kind,
        .vector = vector,
        .has_err = has_err,
        .err = err,
        .rip = rip,
        .flags = flags_get(cpu),
        .soft = kind == EV_SOFT_INT || kind == EV_INT3 || kind == EV_INTO,
    };
    if (kind == EV_EXCEPTION && is_fault_class(vector)) {
        ev.flags |= FL_RF;
    } else if (ev.soft || kind == EV_INT1) {
        ev.flags &= ~(uint64_t)FL_RF;
    }
    if (log_on(cpu->dev.env->log, LOG_int)) {
        log_line(cpu->dev.env->log, LOG_int,
                 "cpu%u: kind %d vector %#x err %#x cs:rip %04x:%#llx cpl %u cr2 %#llx", cpu->index,
                 (int)kind, vector, has_err ? err : 0, cpu->s.seg[SEG_CS].sel,
                 (unsigned long long)rip, cpu->s.cpl, (unsigned long long)cpu->s.cr2);
    }
    if (!cpu_prot(cpu)) {
        deliver_real(cpu, &ev);
    } else if (cpu_lma(cpu)) {
        deliver_long(cpu, &ev);
    } else if (!(cpu_v86(cpu) && kind == EV_SOFT_INT && deliver_vme(cpu, &ev))) {
        if (cpu_v86(cpu) && kind == EV_SOFT_INT && (cpu->s.rflags & FL_IOPL) != FL_IOPL) {
            cpu_gp0(cpu);
        }
        deliver_prot(cpu, &ev);
    }
}

/* --- Faults -----------------------------------------------------------------------------------*/

enum exc_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum exc_class class_of(unsigned vector)
{
    if (vector == EXC_PF) {
        return PAGE_FAULT;
    }
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP) ? CONTRIBUTORY : BENIGN;
}

static void shut_down(struct cpu *cpu)
{
    cpu->delivering = false;
    cpu->s.activity = CPU_SHUTDOWN;
    log_line(cpu->dev.env->log, LOG_cpu_reset,
             "cpu%u: triple fault at %04x:%#llx, vector %#x error %#x", cpu->index,
             cpu->s.seg[SEG_CS].sel, (unsigned long long)cpu->s.rip, cpu->exc.vector, cpu->exc.err);
    cpu_update_attn(cpu); /* the machine sees the shutdown cycle and resets (vm/run.c) */
}

void event_fault(struct cpu *cpu)
{
    struct cpu_event e = cpu->exc;
    if (cpu->delivering && cpu->delivering_vec != NOT_EXC) {
        enum exc_class first = class_of(cpu->delivering_vec), second = class_of(e.vector);
        if (cpu->delivering_vec == EXC_DF && second != BENIGN) {
            shut_down(cpu);
            return;
        }
        if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
            (first == PAGE_FAULT && second != BENIGN)) {
            e = (struct cpu_event){.vector = EXC_DF, .has_err = true};
        }
    }
    cpu->s.db_pending = 0;
    cpu->delivering = true;
    cpu->delivering_vec = e.vector;
    event_deliver(cpu, EV_EXCEPTION, e.vector, e.has_err, e.err, cpu->s.rip);
    cpu->delivering = false;
}

noreturn void event_raise_db(struct cpu *cpu, uint64_t dr6)
{
    cpu->s.dr[6] |= dr6;
    cpu->s.rflags |= FL_RF; /* pushed: a fault that is not an instruction breakpoint */
    cpu_raise(cpu, EXC_DB);
}

/* --- Between instructions ---------------------------------------------------------------------*/

/* Where an interrupt returns to. The 8086 steps back over one prefix only when a repeated string
 * instruction is interrupted, so that of several the last alone is there at the return (8086 Family
 * User's Manual, 2.7 "REP"); all later ones come back to the first. */
static uint64_t return_ip(struct cpu *cpu)
{
    uint64_t ip = cpu->s.rip, next = ip;
    if (LIKELY(!cpu_has(cpu, FEAT_only86)) || !(cpu->s.rflags & FL_RF)) { /* RF: in the middle */
        return ip;
    }
    for (unsigned n = 0; n < 15; n++) {
        uint8_t b = (uint8_t)mem_rd(cpu, SEG_CS, mem_la(cpu, SEG_CS, next, 1, ACC_READ), 1);
        bool segment = (b & 0xe7) == 0x26, prefix = segment || (b >= 0xf0 && b <= 0xf3);
        if (!prefix) {
            break;
        }
        ip = next;
        next = (next + 1) & 0xffff;
    }
    return ip;
}

static void deliver_between(struct cpu *cpu, enum event_kind kind, unsigned vector)
{
    uint64_t ip = return_ip(cpu);
    cpu->delivering = true;
    cpu->delivering_vec = kind == EV_EXCEPTION ? (uint8_t)vector : NOT_EXC;
    event_deliver(cpu, kind, vector, false, 0, ip);
    cpu->delivering = false;
}

static void take_db(struct cpu *cpu, uint64_t bits)
{
    cpu->s.dr[6] = (cpu->s.dr[6] & ~(uint64_t)DR6_BITS) | bits;
    cpu->s.db_pending = 0;
    deliver_between(cpu, EV_EXCEPTION, EXC_DB);
}

/* Instruction breakpoints at CS:RIP, as DR6 bits (SDM 3B 17.2.4; LEN must be 0). */
static uint64_t code_breakpoints(const struct cpu *cpu)
{
    uint64_t dr7 = cpu->s.dr[7], hit = 0;
    uint64_t la = cpu->s.rip;
    if (!cpu_code64(cpu)) {
        la = (uint32_t)(cpu->s.seg[SEG_CS].base + la);
    }
    for (unsigned n = 0; n < 4; n++) {
        if (bits_get(dr7, 2 * n, 2) && !bits_get(dr7, 16 + 4 * n, 4) && cpu->s.dr[n] == la) {
            hit |= UINT64_C(1) << n;
        }
    }
    return hit;
}

bool event_monitor_hit(const struct cpu *cpu)
{
    if (cpu->s.monitor_addr == ~UINT64_C(0)) {
        return true;
    }
    for (unsigned n = 0; n < 8; n++) {
        if (aspace_read(cpu->mem, cpu->s.monitor_addr + 8 * n, 8) != cpu->s.monitor_data[n]) {
            return true;
        }
    }
    return false;
}

bool event_wakes(const struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    bool intr = dev_pin_in(&cpu->dev, PIN_INTR);
    bool hard = (s->init_pending || s->smi_pending) && !s->smm;
    if (s->activity == CPU_WAIT_SIPI) {
        return s->sipi_pending || s->init_pending;
    }
    hard |= s->nmi_pending && !s->nmi_blocked;
    if (s->activity == CPU_SHUTDOWN) {
        return hard;
    }
    hard |= intr && (s->rflags & FL_IF);
    if (s->activity == CPU_MWAIT) {
        hard |= (intr && s->mwait_break) || event_monitor_hit(cpu);
    }
    return hard || s->db_pending;
}

/* Out of HLT, MWAIT or shutdown. MWAIT's end disarms the monitor. */
static void wake(struct cpu *cpu)
{
    if (cpu->s.activity == CPU_MWAIT) {
        cpu->s.monitor_addr = ~UINT64_C(0);
    }
    cpu->s.activity = CPU_RUNNING;
}

/* SIPI, INIT, SMI: the hardware's own interventions. True: one was taken. */
static bool poll_system(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    if (s->init_pending && !s->smm) {
        /* A SIPI that is pending came behind it (SeaBIOS sends both at once). */
        bool sipi = s->sipi_pending;
        uint8_t vector = s->sipi_vector;
        cpu_reset(cpu, true);
        s->sipi_pending = sipi;
        s->sipi_vector = vector;
        cpu_update_attn(cpu);
        return true;
    }
    if (s->sipi_pending) {
        s->sipi_pending = false;
        if (s->activity == CPU_WAIT_SIPI) {
            s->activity = CPU_RUNNING;
            s->seg[SEG_CS].sel = (uint16_t)(s->sipi_vector << 8);
            s->seg[SEG_CS].base = (uint64_t)s->sipi_vector << 12;
            seg_update(cpu, SEG_CS);
            s->rip = 0;
            cpu_update_mode(cpu);
            return true;
        }
    }
    if (s->smi_pending && !s->smm && s->activity != CPU_WAIT_SIPI) {
        s->smi_pending = false;
        smm_enter(cpu);
        return true;
    }
    return false;
}

/* NMI, INTR. */
static bool poll_interrupts(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    if (s->nmi_pending && !s->nmi_blocked && !s->shadow_ss) {
        s->nmi_pending = false;
        s->nmi_blocked = true;
        wake(cpu);
        deliver_between(cpu, EV_NMI, EXC_NMI);
        return true;
    }
    if (dev_pin_in(&cpu->dev, PIN_INTR) && (s->rflags & FL_IF) && !s->shadow &&
        s->activity != CPU_SHUTDOWN) {
        uint8_t vector = cpu->intc ? cpu->intc->ack(cpu->intc_ctx) : 0xff;
        wake(cpu);
        deliver_between(cpu, EV_INTERRUPT, vector);
        return true;
    }
    return false;
}

unsigned event_poll(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    if (poll_system(cpu)) {
        cpu_update_attn(cpu);
        return 1;
    }
    if (s->activity == CPU_WAIT_SIPI) {
        return 0;
    }
    if (s->db_pending && !s->shadow_ss && s->activity != CPU_SHUTDOWN) {
        wake(cpu);
        take_db(cpu, s->db_pending);
        return 1;
    }
    if (poll_interrupts(cpu)) {
        return 1;
    }
    if (s->activity == CPU_MWAIT && event_wakes(cpu)) {
        wake(cpu);
    }
    if ((s->dr[7] & 0xff) && !(s->rflags & FL_RF) && !s->shadow_ss && s->activity == CPU_RUNNING) {
        uint64_t hit = code_breakpoints(cpu);
        if (hit) {
            take_db(cpu, hit);
            return 1;
        }
    }
    cpu_update_attn(cpu);
    return 0;
}
