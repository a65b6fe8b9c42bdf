/*
 * Far transfers: JMP, CALL, RET and IRET between segments, levels, modes and tasks.
 *
 * Each function makes all its checks in the order of the SDM's pseudo-code, then sets registers.
 * The instructions at the end of the file are thin: they fetch the pointer and call these.
 *
 * Sources: Intel SDM 2A CALL, JMP, RET, IRET; SDM 3A 5.8 (gates and levels), 8.4-8.7 (64-bit),
 * 20.2.2 and 20.3 (virtual-8086), 7.3 (tasks); AMD APM 2 table 8-6 for what IRET pops.
 */
#include "cpu/desc.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/sem.h"

static noreturn void gp_sel(struct cpu *cpu, uint16_t sel)
{
    cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
}

static uint64_t osz_mask(unsigned osz)
{
    return bits_mask(8 * osz);
}

/* L and D together are reserved in IA-32e mode. */
static bool bad_long_code(const struct cpu *cpu, const struct desc *d)
{
    return cpu_lma(cpu) && desc_l(d) && desc_db(d);
}

/* --- Targets of JMP and CALL ------------------------------------------------------------------*/

enum target_kind { TO_CODE, TO_GATE, TO_TSS, TO_TASK_GATE };

struct target {
    enum target_kind kind;
    struct desc d;   /* the code segment (also behind a call gate) or the TSS */
    uint16_t sel;    /* of d */
    uint64_t off;    /* where in the code segment */
    unsigned size;   /* pushes of a CALL, bytes */
    unsigned params; /* of a call gate */
};

/* A direct transfer to a code segment: #GP(sel), #NP(sel). */
static void check_direct(struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    unsigned dpl = desc_dpl(d), cpl = cpu->s.cpl;
    bool ok = desc_conforming(d) ? dpl <= cpl : SEL_RPL(sel) <= cpl && dpl == cpl;
    if (!ok || bad_long_code(cpu, d)) {
        gp_sel(cpu, sel);
    }
    if (!desc_present(d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
}

/* The code segment behind a call gate. JMP may not change the level. */
static void read_gate_target(struct cpu *cpu, struct target *t, bool is_jmp)
{
    struct desc gate = t->d;
    unsigned cpl = cpu->s.cpl;
    t->kind = TO_GATE;
    t->sel = gate_sel(&gate);
    t->off = gate_off(&gate);
    t->size = cpu_lma(cpu) ? 8 : desc_type(&gate) & 8 ? 4 : 2;
    t->params = cpu_lma(cpu) ? 0 : gate.hi & 31;
    if (SEL_NULL(t->sel)) {
        cpu_gp0(cpu);
    }
    if (!desc_read(cpu, t->sel, &t->d) || !desc_is_code(&t->d) || desc_dpl(&t->d) > cpl ||
        (is_jmp && !desc_conforming(&t->d) && desc_dpl(&t->d) != cpl) ||
        (cpu_lma(cpu) && (!desc_l(&t->d) || desc_db(&t->d)))) {
        gp_sel(cpu, t->sel);
    }
    if (!desc_present(&t->d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(t->sel));
    }
}

/* What a selector leads to, in protected mode, checked. */
static struct target find_target(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned osz,
                                 bool is_jmp)
{
    struct target t = {.sel = sel, .off = off & osz_mask(osz), .size = osz};
    if (SEL_NULL(sel)) {
        cpu_gp0(cpu);
    }
    if (!desc_read(cpu, sel, &t.d)) {
        gp_sel(cpu, sel);
    }
    if (desc_is_code(&t.d)) {
        check_direct(cpu, sel, &t.d);
        return t;
    }
    unsigned type = desc_type(&t.d);
    bool gate = type == DT_CALL32 || (type == DT_CALL16 && !cpu_lma(cpu));
    bool task = !cpu_lma(cpu) && (type == DT_TSS16 || type == DT_TSS32 || type == DT_TASK);
    if ((!gate && !task) || desc_dpl(&t.d) < cpu->s.cpl || SEL_RPL(sel) > desc_dpl(&t.d) ||
        (cpu_lma(cpu) && (t.d.top & 0x1f00))) {
        gp_sel(cpu, sel);
    }
    if (task && type != DT_TASK && SEL_TI(sel)) {
        gp_sel(cpu, sel);
    }
    if (!desc_present(&t.d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
    if (gate) {
        read_gate_target(cpu, &t, is_jmp);
        return t;
    }
    t.kind = TO_TSS;
    if (type == DT_TASK) {
        t.kind = TO_TASK_GATE;
        t.sel = gate_sel(&t.d);
        if (SEL_TI(t.sel) || SEL_NULL(t.sel) || !desc_read(cpu, t.sel, &t.d) ||
            (desc_type(&t.d) != DT_TSS16 && desc_type(&t.d) != DT_TSS32)) {
            gp_sel(cpu, t.sel);
        }
        if (!desc_present(&t.d)) {
            cpu_raise_err(cpu, EXC_NP, SEL_ERR(t.sel));
        }
    }
    return t;
}

/* --- JMP and CALL -----------------------------------------------------------------------------*/

void far_jmp(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned osz)
{
    if (cpu_realish(cpu)) {
        off &= osz_mask(osz);
        far_check_real(cpu, off);
        seg_load_real(cpu, SEG_CS, sel);
        cpu->s.rip = off;
        cpu_update_mode(cpu);
        return;
    }
    struct target t = find_target(cpu, sel, off, osz, true);
    if (t.kind == TO_TSS || t.kind == TO_TASK_GATE) {
        task_switch(cpu, t.sel, TASK_JMP, cpu->s.rip, false, 0);
        return;
    }
    far_check_target(cpu, &t.d, t.off);
    desc_set_accessed(cpu, t.sel, &t.d);
    far_enter(cpu, t.sel, &t.d, cpu->s.cpl, t.off);
    cpu_update_mode(cpu);
}

static void push_return(struct cpu *cpu, struct frame *f, unsigned size, uint64_t rip)
{
    frame_push(cpu, f, size, cpu->s.seg[SEG_CS].sel);
    frame_push(cpu, f, size, rip);
}

/* CALL through a gate to an inner level: new stack, parameters copied. */
static void call_inner(struct cpu *cpu, struct target *t, uint64_t next_rip)
{
    unsigned cpl = desc_dpl(&t->d);
    uint64_t params[31];
    for (unsigned n = 0; n < t->params; n++) {
        params[n] = stk_peek(cpu, t->size, n * t->size);
    }
    struct frame f;
    struct desc sd = {0};
    uint16_t ss = (uint16_t)cpl;
    bool lng = cpu_lma(cpu);
    if (lng) {
        f = frame_long(cpu, tss_rsp(cpu, cpl), cpl);
    } else {
        uint64_t sp;
        tss_stack(cpu, cpl, &ss, &sp);
        stack_seg_check(cpu, ss, cpl, &sd);
        f = frame_inner(cpu, ss, &sd, sp, cpl);
    }
    frame_reserve(cpu, &f, t->size, 4 + t->params);
    far_check_target(cpu, &t->d, t->off);
    if (!lng) {
        desc_set_accessed(cpu, ss, &sd);
    }
    desc_set_accessed(cpu, t->sel, &t->d);
    frame_push(cpu, &f, t->size, cpu->s.seg[SEG_SS].sel);
    frame_push(cpu, &f, t->size, cpu->s.gpr[REG_RSP]);
    for (unsigned n = t->params; n-- > 0;) {
        frame_push(cpu, &f, t->size, params[n]);
    }
    push_return(cpu, &f, t->size, next_rip);
    far_enter(cpu, t->sel, &t->d, cpl, t->off);
    if (lng) {
        seg_set_null(cpu, SEG_SS, ss);
    } else {
        seg_set_desc(cpu, SEG_SS, ss, &sd);
    }
    cpu_update_mode(cpu);
    stk_set_sp(cpu, f.sp);
}

static void call_real(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned osz, uint64_t next_rip)
{
    off &= osz_mask(osz);
    struct frame f = frame_current(cpu);
    frame_reserve(cpu, &f, osz, 2);
    far_check_real(cpu, off);
    push_return(cpu, &f, osz, next_rip);
    stk_set_sp(cpu, f.sp);
    seg_load_real(cpu, SEG_CS, sel);
    cpu->s.rip = off;
    cpu_update_mode(cpu);
}

void far_call(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned osz, uint64_t next_rip)
{
    if (cpu_realish(cpu)) {
        call_real(cpu, sel, off, osz, next_rip);
        return;
    }
    struct target t = find_target(cpu, sel, off, osz, false);
    if (t.kind == TO_TSS || t.kind == TO_TASK_GATE) {
        task_switch(cpu, t.sel, TASK_CALL, next_rip, false, 0);
        return;
    }
    if (t.kind == TO_GATE && !desc_conforming(&t.d) && desc_dpl(&t.d) < cpu->s.cpl) {
        call_inner(cpu, &t, next_rip);
        return;
    }
    struct frame f = frame_current(cpu);
    if (t.kind == TO_GATE && cpu_lma(cpu)) {
        f = frame_long(cpu, cpu->s.gpr[REG_RSP], cpu->s.cpl);
        f.view = cpu->view;
    }
    frame_reserve(cpu, &f, t.size, 2);
    far_check_target(cpu, &t.d, t.off);
    desc_set_accessed(cpu, t.sel, &t.d);
    push_return(cpu, &f, t.size, next_rip);
    far_enter(cpu, t.sel, &t.d, cpu->s.cpl, t.off);
    cpu_update_mode(cpu);
    stk_set_sp(cpu, f.sp);
}

/* --- RET --------------------------------------------------------------------------------------*/

/* The code segment that RET and IRET go back to. */
static struct desc read_return_cs(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (SEL_NULL(sel)) {
        cpu_gp0(cpu);
    }
    unsigned rpl = SEL_RPL(sel);
    if (!desc_read(cpu, sel, &d) || !desc_is_code(&d) || rpl < cpu->s.cpl ||
        (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl) ||
        bad_long_code(cpu, &d)) {
        gp_sel(cpu, sel);
    }
    if (!desc_present(&d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
    return d;
}

/* The stack segment they go back to; null only towards 64-bit code below level 3. */
static void read_return_ss(struct cpu *cpu, uint16_t ss, const struct desc *cs, unsigned rpl,
                           struct desc *d)
{
    if (SEL_NULL(ss)) {
        if (!(cpu_lma(cpu) && desc_l(cs) && rpl != 3) || SEL_RPL(ss) != rpl) {
            cpu_gp0(cpu);
        }
        return;
    }
    if (!desc_read(cpu, ss, d) || SEL_RPL(ss) != rpl || !desc_is_data_w(d) || desc_dpl(d) != rpl) {
        gp_sel(cpu, ss);
    }
    if (!desc_present(d)) {
        cpu_raise_err(cpu, EXC_SS, SEL_ERR(ss));
    }
}

/* Load SS:RSP after CS has been entered. */
static void set_return_ss(struct cpu *cpu, uint16_t ss, const struct desc *d, uint64_t sp)
{
    if (SEL_NULL(ss)) {
        seg_set_null(cpu, SEG_SS, ss);
    } else {
        seg_set_desc(cpu, SEG_SS, ss, d);
    }
    cpu_update_mode(cpu);
    stk_set_sp(cpu, sp);
}

void far_ret(struct cpu *cpu, unsigned osz, uint16_t drop)
{
    uint64_t rip = stk_peek(cpu, osz, 0);
    uint16_t cs = (uint16_t)stk_peek(cpu, osz, osz);
    if (cpu_realish(cpu)) {
        far_check_real(cpu, rip);
        stk_drop(cpu, 2 * osz + drop);
        seg_load_real(cpu, SEG_CS, cs);
        cpu->s.rip = rip;
        cpu_update_mode(cpu);
        return;
    }
    struct desc d = read_return_cs(cpu, cs);
    unsigned rpl = SEL_RPL(cs);
    if (rpl == cpu->s.cpl) {
        far_check_target(cpu, &d, rip);
        desc_set_accessed(cpu, cs, &d);
        uint64_t sp = stk_sp(cpu) + 2 * osz + drop;
        stk_set_sp(cpu, sp);
        far_enter(cpu, cs, &d, rpl, rip);
        cpu_update_mode(cpu);
        return;
    }
    uint64_t sp = stk_peek(cpu, osz, 2 * osz + drop);
    uint16_t ss = (uint16_t)stk_peek(cpu, osz, 3 * osz + drop);
    struct desc sd = {0};
    read_return_ss(cpu, ss, &d, rpl, &sd);
    far_check_target(cpu, &d, rip);
    if (!SEL_NULL(ss)) {
        desc_set_accessed(cpu, ss, &sd);
    }
    desc_set_accessed(cpu, cs, &d);
    far_enter(cpu, cs, &d, rpl, rip);
    set_return_ss(cpu, ss, &sd, sp);
    stk_drop(cpu, drop);
    far_drop_segs(cpu);
}

/* --- IRET -------------------------------------------------------------------------------------*/

/* The bits of EFLAGS that IRET may write in protected mode. */
static uint64_t iret_mask(const struct cpu *cpu, unsigned osz)
{
    uint64_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    unsigned iopl = (unsigned)(cpu->s.rflags >> 12) & 3;
    if (osz > 2) {
        mask |= FL_RF | FL_AC | FL_ID;
    }
    if (cpu->s.cpl <= iopl) {
        mask |= FL_IF;
    }
    if (cpu->s.cpl == 0) {
        mask |= FL_IOPL;
        if (osz > 2) {
            mask |= FL_VIF | FL_VIP;
        }
    }
    return mask;
}

static void iret_done(struct cpu *cpu)
{
    cpu->s.nmi_blocked = false;
    cpu_update_mode(cpu);
    cpu_update_attn(cpu);
}

static void iret_real(struct cpu *cpu, unsigned osz)
{
    uint64_t rip = stk_peek(cpu, osz, 0);
    uint16_t cs = (uint16_t)stk_peek(cpu, osz, osz);
    uint64_t fl = stk_peek(cpu, osz, 2 * osz);
    uint64_t mask = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT;
    if (cpu_v86(cpu)) {
        mask &= ~(uint64_t)FL_IOPL;
    }
    if (!cpu_has(cpu, FEAT_i386)) {
        mask &= ~(uint64_t)(FL_IOPL | FL_NT); /* fixed in real mode */
    }
    if (osz > 2) {
        mask |= FL_RF | FL_AC | FL_ID;
    }
    far_check_real(cpu, rip);
    stk_drop(cpu, 3 * osz);
    seg_load_real(cpu, SEG_CS, cs);
    cpu->s.rip = rip;
    ctrl_set_flags(cpu, fl, mask);
    iret_done(cpu);
}

/* Virtual-8086 mode below IOPL 3, with CR4.VME: IF is VIF (SDM 3A 20.3.3.4). */
static void iret_vme(struct cpu *cpu)
{
    uint64_t rip = stk_peek(cpu, 2, 0);
    uint16_t cs = (uint16_t)stk_peek(cpu, 2, 2);
    uint64_t fl = stk_peek(cpu, 2, 4);
    if ((fl & FL_TF) || ((fl & FL_IF) && (cpu->s.rflags & FL_VIP))) {
        cpu_gp0(cpu);
    }
    far_check_real(cpu, rip);
    stk_drop(cpu, 6);
    seg_load_real(cpu, SEG_CS, cs);
    cpu->s.rip = rip;
    fl = (fl & 0xffff) | (fl & FL_IF ? FL_VIF : 0u);
    ctrl_set_flags(cpu, fl, FL_ARITH | FL_TF | FL_DF | FL_NT | FL_VIF);
    iret_done(cpu);
}

/* Back to a virtual-8086 program, from level 0. */
static void iret_to_v86(struct cpu *cpu, uint64_t rip, uint16_t cs, uint64_t fl)
{
    static const uint8_t order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    uint64_t sp = stk_peek(cpu, 4, 12);
    uint16_t ss = (uint16_t)stk_peek(cpu, 4, 16);
    uint16_t sel[4];
    for (unsigned n = 0; n < 4; n++) {
        sel[n] = (uint16_t)stk_peek(cpu, 4, 20 + 4 * n);
    }
    if (rip > 0xffff) {
        cpu_gp0(cpu);
    }
    ctrl_set_flags(cpu, fl,
                   FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC |
                       FL_VIF | FL_VIP | FL_ID);
    for (unsigned n = 0; n < 4; n++) {
        seg_load_real(cpu, order[n], sel[n]);
    }
    seg_load_real(cpu, SEG_CS, cs);
    seg_load_real(cpu, SEG_SS, ss);
    cpu->s.cpl = 3;
    cpu->s.rip = rip & 0xffff;
    cpu->s.gpr[REG_RSP] = (uint32_t)sp;
    iret_done(cpu);
}

static void iret_task(struct cpu *cpu)
{
    if (cpu_lma(cpu)) {
        cpu_gp0(cpu);
    }
    uint16_t link = (uint16_t)mem_rd_sys(cpu, (uint32_t)cpu->s.seg[SEG_TR].base, 2);
    struct desc d;
    if (SEL_TI(link) || SEL_NULL(link) || !desc_read(cpu, link, &d) ||
        (desc_type(&d) != DT_TSS16_BUSY && desc_type(&d) != DT_TSS32_BUSY)) {
        cpu_raise_err(cpu, EXC_TS, SEL_ERR(link));
    }
    if (!desc_present(&d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(link));
    }
    task_switch(cpu, link, TASK_IRET, cpu->s.rip, false, 0);
    iret_done(cpu);
}

static void iret_prot(struct cpu *cpu, unsigned osz)
{
    uint64_t rip = stk_peek(cpu, osz, 0);
    uint16_t cs = (uint16_t)stk_peek(cpu, osz, osz);
    uint64_t fl = stk_peek(cpu, osz, 2 * osz);
    if (osz == 4 && (fl & FL_VM) && cpu->s.cpl == 0 && !cpu_lma(cpu)) {
        iret_to_v86(cpu, rip, cs, fl);
        return;
    }
    struct desc d = read_return_cs(cpu, cs);
    unsigned rpl = SEL_RPL(cs);
    bool outer = rpl != cpu->s.cpl, with_stack = outer || cpu_code64(cpu);
    uint64_t sp = 0, mask = iret_mask(cpu, osz);
    uint16_t ss = 0;
    struct desc sd = {0};
    if (with_stack) {
        sp = stk_peek(cpu, osz, 3 * osz);
        ss = (uint16_t)stk_peek(cpu, osz, 4 * osz);
        read_return_ss(cpu, ss, &d, rpl, &sd);
    }
    far_check_target(cpu, &d, rip);
    if (with_stack && !SEL_NULL(ss)) {
        desc_set_accessed(cpu, ss, &sd);
    }
    desc_set_accessed(cpu, cs, &d);
    if (!with_stack) {
        stk_drop(cpu, 3 * osz);
    }
    far_enter(cpu, cs, &d, rpl, rip);
    if (with_stack) {
        set_return_ss(cpu, ss, &sd, sp);
    }
    if (outer) {
        far_drop_segs(cpu);
    }
    ctrl_set_flags(cpu, fl, mask);
    iret_done(cpu);
}

void far_iret(struct cpu *cpu, unsigned osz)
{
    if (!cpu_prot(cpu)) {
        iret_real(cpu, osz);
    } else if (cpu_v86(cpu)) {
        if ((cpu->s.rflags & FL_IOPL) == FL_IOPL) {
            iret_real(cpu, osz);
        } else if ((cpu->s.cr4 & CR4_VME) && osz == 2) {
            iret_vme(cpu);
        } else {
            cpu_gp0(cpu);
        }
    } else if (cpu->s.rflags & FL_NT) {
        iret_task(cpu);
    } else {
        iret_prot(cpu, osz);
    }
}

/* --- Instructions -----------------------------------------------------------------------------*/

SEM_END(jmp_far_imm)
{
    far_jmp(cpu, i->imm2, (uint64_t)i->imm, i->osz);
}

SEM_END(call_far_imm)
{
    far_call(cpu, i->imm2, (uint64_t)i->imm, i->osz, insn_next_ip(cpu, i));
}

static uint16_t read_pointer(struct cpu *cpu, const struct insn *i, uint64_t *off)
{
    gva la = insn_la(cpu, i, i->osz + 2u, ACC_READ);
    *off = mem_rd(cpu, i->seg, la, i->osz);
    return (uint16_t)mem_rd(cpu, i->seg, insn_la_skip(cpu, i, la, i->osz), 2);
}

SEM_END(jmp_far_mem)
{
    uint64_t off;
    uint16_t sel = read_pointer(cpu, i, &off);
    far_jmp(cpu, sel, off, i->osz);
}

SEM_END(call_far_mem)
{
    uint64_t off;
    uint16_t sel = read_pointer(cpu, i, &off);
    far_call(cpu, sel, off, i->osz, insn_next_ip(cpu, i));
}

SEM_END(ret_far)
{
    far_ret(cpu, i->osz, 0);
}

SEM_END(ret_far_imm)
{
    far_ret(cpu, i->osz, (uint16_t)i->imm);
}

/* RF holds until the next instruction has begun. If that follows at once, since no event waits, no
 * breakpoint is set and the slice does not end here, nobody sees it: then that instruction need not
 * run alone. (Page faults push RF, so each return from one sets it.) */
static void end_rf(struct cpu *cpu)
{
    if ((cpu->s.rflags & FL_RF) && cpu->budget > 0 && !cpu->stop && !cpu->debug && !cpu->noted) {
        cpu->s.rflags &= ~(uint64_t)FL_RF;
        cpu_update_attn(cpu);
        cpu->s.rflags |= cpu->attn ? FL_RF : 0;
    }
}

SEM_END(iret)
{
    far_iret(cpu, i->osz);
    end_rf(cpu);
}

SEM_END(int_n)
{
    unsigned vector = (uint8_t)i->imm;
    event_deliver(cpu, EV_SOFT_INT, vector, false, 0, insn_next_ip(cpu, i));
}

SEM_END(int3)
{
    event_deliver(cpu, EV_INT3, EXC_BP, false, 0, insn_next_ip(cpu, i));
}

SEM_END(int1)
{
    uint64_t held = cpu->s.db_pending; /* traps that MOV SS held back: one #DB stands for all */
    cpu->delivering = true;            /* not under the gate's DPL, and EXT is set in error codes */
    cpu->delivering_vec = EXC_DB;
    event_deliver(cpu, EV_INT1, EXC_DB, false, 0, insn_next_ip(cpu, i));
    cpu->delivering = false;
    if (held) {
        cpu->s.dr[6] = (cpu->s.dr[6] & ~(uint64_t)DR6_BITS) | held;
        cpu->s.db_pending &= ~held;
    }
}

SEM_END(into)
{
    if (flag_of(cpu)) {
        event_deliver(cpu, EV_INTO, EXC_OF, false, 0, insn_next_ip(cpu, i));
    }
}
