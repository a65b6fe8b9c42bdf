/*
 * Hardware task switches, with 16-bit (80286) and 32-bit task-state segments.
 *
 * Three parts, as SDM 3A 7.3 has them: everything that can fault in the old task (limits, and the
 * pages of both TSSs); the commit (save, busy bits, link, load registers); then the descriptor
 * checks of the new task's segments, whose faults belong to the new task: RIP is already its own,
 * and cpu->cur is dropped so that the run loop leaves it alone.
 *
 * Choice: a 16-bit TSS clears the upper halves of the 32-bit registers.
 *
 * Sources: Intel SDM 3A 7.2 (layouts), 7.3 and table 7-1 (order of checks and error codes), 7.4
 * (busy, NT, link).
 */
#include "cpu/desc.h"
#include "cpu/flags.h"

/* A task's registers as a TSS holds them. */
struct task_image {
    bool wide; /* 32-bit TSS */
    uint16_t ldt;
    bool trap;
    uint32_t cr3, ip, flags;
    uint32_t gpr[8];
    uint16_t sel[6]; /* by SEG_xx */
};

static gva tss_la(uint64_t base, unsigned off)
{
    return (uint32_t)(base + off);
}

static void read_image(struct cpu *cpu, uint64_t base, struct task_image *t)
{
    unsigned size = t->wide ? 4 : 2;
    if (t->wide) {
        t->cr3 = (uint32_t)mem_rd_sys(cpu, tss_la(base, 0x1c), 4);
        t->trap = mem_rd_sys(cpu, tss_la(base, 0x64), 2) & 1;
    }
    unsigned off = t->wide ? 0x20 : 0x0e;
    t->ip = (uint32_t)mem_rd_sys(cpu, tss_la(base, off), size);
    t->flags = (uint32_t)mem_rd_sys(cpu, tss_la(base, off + size), size);
    for (unsigned n = 0; n < 8; n++) {
        t->gpr[n] = (uint32_t)mem_rd_sys(cpu, tss_la(base, off + (2 + n) * size), size);
    }
    for (unsigned n = 0; n < (t->wide ? 6u : 4u); n++) {
        t->sel[n] = (uint16_t)mem_rd_sys(cpu, tss_la(base, off + (10 + n) * size), 2);
    }
    t->ldt = (uint16_t)mem_rd_sys(cpu, tss_la(base, t->wide ? 0x60 : 0x2a), 2);
}

static void save_image(struct cpu *cpu, uint64_t base, bool wide, uint64_t rip, uint64_t flags)
{
    unsigned size = wide ? 4 : 2, off = wide ? 0x20 : 0x0e;
    mem_wr_sys(cpu, tss_la(base, off), size, rip);
    mem_wr_sys(cpu, tss_la(base, off + size), size, flags);
    for (unsigned n = 0; n < 8; n++) {
        mem_wr_sys(cpu, tss_la(base, off + (2 + n) * size), size, cpu->s.gpr[n]);
    }
    for (unsigned n = 0; n < (wide ? 6u : 4u); n++) {
        mem_wr_sys(cpu, tss_la(base, off + (10 + n) * size), 2, cpu->s.seg[n].sel);
    }
}

/* --- Segments of the new task -----------------------------------------------------------------*/

static noreturn void bad_tss(struct cpu *cpu, uint16_t sel)
{
    cpu_raise_err(cpu, EXC_TS, SEL_ERR(sel));
}

static void load_ldt(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (SEL_NULL(sel)) {
        return;
    }
    if (SEL_TI(sel) || !desc_read(cpu, sel, &d) || desc_type(&d) != DT_LDT || !desc_present(&d)) {
        bad_tss(cpu, sel);
    }
    seg_set_desc(cpu, SEG_LDTR, sel, &d);
}

static void load_cs(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (SEL_NULL(sel) || !desc_read(cpu, sel, &d) || !desc_is_code(&d) ||
        (desc_conforming(&d) ? desc_dpl(&d) > SEL_RPL(sel) : desc_dpl(&d) != SEL_RPL(sel))) {
        bad_tss(cpu, sel);
    }
    if (!desc_present(&d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
    desc_set_accessed(cpu, sel, &d);
    seg_set_desc(cpu, SEG_CS, sel, &d);
}

static void load_ss(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (SEL_NULL(sel) || !desc_read(cpu, sel, &d) || !desc_is_data_w(&d) ||
        desc_dpl(&d) != cpu->s.cpl || SEL_RPL(sel) != cpu->s.cpl) {
        bad_tss(cpu, sel);
    }
    if (!desc_present(&d)) {
        cpu_raise_err(cpu, EXC_SS, SEL_ERR(sel));
    }
    desc_set_accessed(cpu, sel, &d);
    seg_set_desc(cpu, SEG_SS, sel, &d);
}

static void load_data(struct cpu *cpu, unsigned seg, uint16_t sel)
{
    struct desc d;
    if (SEL_NULL(sel)) {
        return;
    }
    if (!desc_read(cpu, sel, &d) || !desc_readable(&d)) {
        bad_tss(cpu, sel);
    }
    bool conforming = desc_is_code(&d) && desc_conforming(&d);
    if (!conforming && (desc_dpl(&d) < cpu->s.cpl || desc_dpl(&d) < SEL_RPL(sel))) {
        bad_tss(cpu, sel);
    }
    if (!desc_present(&d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
    desc_set_accessed(cpu, sel, &d);
    seg_set_desc(cpu, seg, sel, &d);
}

static void load_segments(struct cpu *cpu, const struct task_image *t)
{
    static const uint8_t data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    load_ldt(cpu, t->ldt);
    if (cpu_v86(cpu)) {
        for (unsigned n = 0; n < 6; n++) {
            seg_load_real(cpu, n, t->sel[n]);
        }
        return;
    }
    load_cs(cpu, t->sel[SEG_CS]);
    cpu_update_mode(cpu);
    load_ss(cpu, t->sel[SEG_SS]);
    cpu_update_mode(cpu);
    for (unsigned n = 0; n < ARRAY_LEN(data); n++) {
        load_data(cpu, data[n], t->sel[data[n]]);
    }
}

/* --- The switch -------------------------------------------------------------------------------*/

/* Registers of the new task; segments get their selectors, without descriptors yet. */
static void load_registers(struct cpu *cpu, const struct task_image *t, uint32_t flags)
{
    const uint32_t known = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM |
                           FL_AC | FL_VIF | FL_VIP | FL_ID;
    cpu->s.rip = t->ip;
    for (unsigned n = 0; n < 8; n++) {
        cpu->s.gpr[n] = t->gpr[n];
    }
    for (unsigned n = 0; n < 6; n++) {
        seg_set_null(cpu, n, t->sel[n]);
    }
    seg_set_null(cpu, SEG_LDTR, t->ldt);
    cpu->s.rflags = (flags & known) | FL_1;
    flags_set_arith(cpu, flags);
    cpu->s.cpl = flags & FL_VM ? 3 : (uint8_t)SEL_RPL(t->sel[SEG_CS]);
    cpu_update_mode(cpu);
    cpu_update_attn(cpu);
}

static void push_error(struct cpu *cpu, bool wide, uint32_t err)
{
    struct frame f = frame_current(cpu);
    frame_reserve(cpu, &f, wide ? 4 : 2, 1);
    frame_push(cpu, &f, wide ? 4 : 2, err);
    stk_set_sp(cpu, f.sp);
}

void task_switch(struct cpu *cpu, uint16_t tss_sel, enum task_from from, uint64_t next_rip,
                 bool has_err, uint32_t err)
{
    struct seg old = cpu->s.seg[SEG_TR];
    bool old_wide = old.attr & 8;
    struct desc d;
    if (!desc_read(cpu, tss_sel, &d)) { /* the caller has looked at it already */
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(tss_sel));
    }
    struct task_image t = {.wide = desc_type(&d) & 8};
    if (desc_limit(&d) < (t.wide ? 0x67u : 0x2bu)) {
        bad_tss(cpu, tss_sel);
    }
    if (old.limit < (old_wide ? 0x5fu : 0x29u)) {
        bad_tss(cpu, old.sel);
    }
    uint64_t base = desc_base(&d);
    mem_probe(cpu, SEG_NONE, tss_la(old.base, 0), old_wide ? 0x60 : 0x2a, ACC_WRITE, TLB_SUPER);
    mem_probe(cpu, SEG_NONE, tss_la(base, 0), 2, from == TASK_CALL || from == TASK_INT, TLB_SUPER);
    read_image(cpu, base, &t);

    uint64_t saved = flags_get(cpu);
    if (from == TASK_JMP || from == TASK_IRET) {
        desc_set_busy(cpu, old.sel, false);
    }
    if (from == TASK_IRET) {
        saved &= ~(uint64_t)FL_NT;
    }
    save_image(cpu, old.base, old_wide, next_rip, saved);
    if (from == TASK_CALL || from == TASK_INT) {
        mem_wr_sys(cpu, tss_la(base, 0), 2, old.sel);
        t.flags |= FL_NT;
    }
    if (from != TASK_IRET) {
        desc_set_busy(cpu, tss_sel, true);
    }
    d.hi |= DT_BUSY << 8;
    seg_set_desc(cpu, SEG_TR, tss_sel, &d);
    cpu->s.cr0 |= CR0_TS;

    /* From here on the new task runs, and faults are its own. */
    cpu->cur = NULL;
    cpu->charged = 0;
    cpu->running = NULL;
    load_registers(cpu, &t, t.flags);
    cpu->s.dr[7] &= ~UINT64_C(0x155); /* local breakpoints and LE (SDM 3B 17.2.4) */
    mem_update_watch(cpu);
    if (t.wide && (cpu->s.cr0 & CR0_PG)) {
        ctrl_set_cr3(cpu, t.cr3);
    }
    load_segments(cpu, &t);
    cpu_update_mode(cpu);
    if (has_err) {
        push_error(cpu, t.wide, err);
    }
    if (cpu_v86(cpu) ? cpu->s.rip > 0xffff : cpu->s.rip > cpu->s.seg[SEG_CS].limit) {
        cpu_gp0(cpu);
    }
    if (t.trap) {
        cpu->s.db_pending |= UINT64_C(1) << 15; /* DR6.BT */
    }
    cpu->step_done = true;
    cpu_update_attn(cpu);
}
