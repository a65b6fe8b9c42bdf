/*
 * Segment registers and descriptor tables: reading descriptors, loading ES, SS, DS, FS, GS, LDTR
 * and TR with every check, and the instructions that only look (LAR, LSL, VERR, VERW, ARPL).
 *
 * s.seg is what the guest loaded (the "hidden part"); segv is what a memory access compares with,
 * made from it by seg_update(). In real mode a load changes selector and base only, so that a
 * limit set up in protected mode stays ("unreal mode"), as on hardware.
 *
 * What always holds: loading a null selector leaves base and limit 0 and SEG_A_NULL set (a return
 * to an outer level, which nulls selectors, keeps the base); all checks and the write of the
 * accessed bit come before the register changes.
 *
 * Sources: Intel SDM 3A 3.4.2-3.4.5, 3.5, 5.2-5.7; SDM 2 entries of the instructions; 80286
 * descriptors: 80286 Programmer's Reference 7.3 (last word is not looked at).
 */
#include "cpu/desc.h"
#include "cpu/sem.h"

/* --- Descriptors ------------------------------------------------------------------------------*/

gva desc_addr(const struct cpu *cpu, uint16_t sel)
{
    uint64_t base = SEL_TI(sel) ? cpu->s.seg[SEG_LDTR].base : cpu->s.gdt_base;
    return cpu_lma(cpu) ? base + (sel & 0xfff8u) : (uint32_t)(base + (sel & 0xfff8u));
}

bool desc_read(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    uint32_t limit = cpu->s.gdt_limit;
    if (SEL_TI(sel)) {
        const struct seg *ldt = &cpu->s.seg[SEG_LDTR];
        if (ldt->attr & SEG_A_NULL) {
            return false;
        }
        limit = ldt->limit;
    }
    if ((sel | 7u) > limit) {
        return false;
    }
    gva la = desc_addr(cpu, sel);
    uint64_t raw = mem_rd_sys(cpu, la, 8);
    *d = (struct desc){.lo = (uint32_t)raw, .hi = (uint32_t)(raw >> 32)};
    if (!cpu_has(cpu, FEAT_i386)) {
        d->hi &= 0xffff;
    }
    if (cpu_lma(cpu) && !desc_is_seg(d)) {
        if ((sel | 15u) > limit) {
            return false;
        }
        raw = mem_rd_sys(cpu, la + 8, 8);
        d->base_hi = (uint32_t)raw;
        d->top = (uint32_t)(raw >> 32);
    }
    return true;
}

void desc_set_accessed(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    if (!(d->hi & 0x100)) {
        mem_wr_sys(cpu, desc_addr(cpu, sel) + 5, 1, (d->hi >> 8 & 0xff) | SEG_A_ACC);
        d->hi |= 0x100;
    }
}

void desc_set_busy(struct cpu *cpu, uint16_t sel, bool busy)
{
    gva la = desc_addr(cpu, sel) + 5;
    uint64_t access = mem_rd_sys(cpu, la, 1);
    mem_wr_sys(cpu, la, 1, busy ? access | DT_BUSY : access & ~(uint64_t)DT_BUSY);
}

/* --- Loading ----------------------------------------------------------------------------------*/

void seg_set_null(struct cpu *cpu, unsigned seg, uint16_t sel)
{
    cpu->s.seg[seg] = (struct seg){.sel = sel, .attr = SEG_A_NULL};
    seg_update(cpu, seg);
}

void seg_set_desc(struct cpu *cpu, unsigned seg, uint16_t sel, const struct desc *d)
{
    cpu->s.seg[seg] = (struct seg){desc_base(d), desc_limit(d), sel, desc_attr(d)};
    seg_update(cpu, seg);
}

void seg_load_real(struct cpu *cpu, unsigned seg, uint16_t sel)
{
    struct seg *s = &cpu->s.seg[seg];
    unsigned type = SEG_A_P | SEG_A_S | SEG_A_RW | SEG_A_ACC;
    if (cpu_v86(cpu)) {
        s->attr = (uint16_t)(type | SEG_A_DPL);
        s->limit = 0xffff;
    } else {
        if (s->attr & SEG_A_NULL) {
            s->limit = 0xffff;
        }
        s->attr = (uint16_t)((s->attr & (SEG_A_DB | SEG_A_G | SEG_A_AVL)) | type);
    }
    s->sel = sel;
    s->base = (uint32_t)sel << 4;
    seg_update(cpu, seg);
}

static void check_data_seg(struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    bool conforming = desc_is_code(d) && desc_conforming(d);
    if (!desc_readable(d) ||
        (!conforming && (SEL_RPL(sel) > desc_dpl(d) || cpu->s.cpl > desc_dpl(d)))) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
    }
    if (!desc_present(d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
}

static void check_stack_seg(struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    if (SEL_RPL(sel) != cpu->s.cpl || !desc_is_data_w(d) || desc_dpl(d) != cpu->s.cpl) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
    }
    if (!desc_present(d)) {
        cpu_raise_err(cpu, EXC_SS, SEL_ERR(sel));
    }
}

void seg_load(struct cpu *cpu, unsigned seg, uint16_t sel)
{
    if (cpu_realish(cpu)) {
        seg_load_real(cpu, seg, sel);
    } else if (SEL_NULL(sel)) {
        bool ok = cpu_code64(cpu) && cpu->s.cpl != 3 && SEL_RPL(sel) == cpu->s.cpl;
        if (seg == SEG_SS && !ok) {
            cpu_gp0(cpu);
        }
        seg_set_null(cpu, seg, sel);
    } else {
        struct desc d;
        if (!desc_read(cpu, sel, &d)) {
            cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
        }
        if (seg == SEG_SS) {
            check_stack_seg(cpu, sel, &d);
        } else {
            check_data_seg(cpu, sel, &d);
        }
        desc_set_accessed(cpu, sel, &d);
        seg_set_desc(cpu, seg, sel, &d);
    }
    cpu_update_mode(cpu);
}

/* --- MOV, PUSH, POP, LxS ----------------------------------------------------------------------*/

static void block_after_ss(struct cpu *cpu)
{
    cpu->step_done = true; /* debug traps are held back too */
    cpu->s.shadow = true;
    cpu->s.shadow_ss = true;
    cpu_update_attn(cpu);
}

static unsigned sreg_of(const struct cpu *cpu, const struct insn *i)
{
    return cpu_has(cpu, FEAT_only86) ? i->reg & 3u : i->reg & 7u;
}

SEM(mov_from_sreg)
{
    unsigned seg = sreg_of(cpu, i);
    if (seg > SEG_GS) {
        cpu_ud(cpu);
    }
    if (i->mod3) {
        gpr_set(cpu, i->rm, i->osz, cpu->s.seg[seg].sel);
    } else {
        mem_wr(cpu, i->seg, insn_la(cpu, i, 2, ACC_WRITE), 2, cpu->s.seg[seg].sel);
    }
}

SEM_END(mov_to_sreg)
{
    unsigned seg = sreg_of(cpu, i);
    if (seg > SEG_GS || (seg == SEG_CS && !cpu_has(cpu, FEAT_only86))) {
        cpu_ud(cpu);
    }
    uint16_t sel = (uint16_t)(i->mod3 ? gpr_get(cpu, i->rm, 2)
                                      : mem_rd(cpu, i->seg, insn_la(cpu, i, 2, ACC_READ), 2));
    seg_load(cpu, seg, sel);
    if (seg == SEG_SS) {
        block_after_ss(cpu);
    }
}

/* PUSH/POP of a segment register: the number is in opcode bits 5:3, in both maps. */
static unsigned opcode_sreg(const struct insn *i)
{
    return i->opcode >> 3 & 7;
}

SEM(push_sreg)
{
    stk_push(cpu, i->osz, cpu->s.seg[opcode_sreg(i)].sel);
}

SEM_END(pop_sreg)
{
    unsigned seg = opcode_sreg(i);
    uint16_t sel = (uint16_t)stk_peek(cpu, i->osz, 0);
    uint64_t mask = cpu->sp_mask; /* the old stack's size moves the pointer */
    uint64_t sp = (stk_sp(cpu) + i->osz) & mask;
    seg_load(cpu, seg, sel);
    cpu->s.gpr[REG_RSP] = mask == 0xffff ? (cpu->s.gpr[REG_RSP] & ~mask) | sp : sp;
    if (seg == SEG_SS) {
        block_after_ss(cpu);
    }
}

static void load_far_pointer(struct cpu *cpu, const struct insn *i, unsigned seg)
{
    gva la = insn_la(cpu, i, i->osz + 2u, ACC_READ);
    uint64_t off = mem_rd(cpu, i->seg, la, i->osz);
    uint16_t sel = (uint16_t)mem_rd(cpu, i->seg, insn_la_skip(cpu, i, la, i->osz), 2);
    seg_load(cpu, seg, sel);
    gpr_set(cpu, i->reg, i->osz, off);
}

SEM_END(les)
{
    load_far_pointer(cpu, i, SEG_ES);
}
SEM_END(lds)
{
    load_far_pointer(cpu, i, SEG_DS);
}
SEM_END(lss)
{
    load_far_pointer(cpu, i, SEG_SS);
}
SEM_END(lfs)
{
    load_far_pointer(cpu, i, SEG_FS);
}
SEM_END(lgs)
{
    load_far_pointer(cpu, i, SEG_GS);
}

/* --- Looking at descriptors -------------------------------------------------------------------*/

static void set_zf(struct cpu *cpu, bool zf)
{
    uint32_t fl = flags_arith(cpu);
    flags_set_arith(cpu, zf ? fl | FL_ZF : fl & ~FL_ZF);
}

/* Is the selector's descriptor visible at CPL and RPL, and of a type that is in `sys_types`? */
static bool visible(struct cpu *cpu, uint16_t sel, struct desc *d, uint32_t sys_types)
{
    if (SEL_NULL(sel) || !desc_read(cpu, sel, d)) {
        return false;
    }
    if (!desc_is_seg(d) && !(sys_types >> desc_type(d) & 1)) {
        return false;
    }
    if (!desc_is_seg(d) && cpu_lma(cpu) && (d->top & 0x1f00)) {
        return false;
    }
    bool conforming = desc_is_code(d) && desc_conforming(d);
    return conforming || (cpu->s.cpl <= desc_dpl(d) && SEL_RPL(sel) <= desc_dpl(d));
}

#define T(t) (1u << DT_##t)

SEM(lar)
{
    uint32_t sys = cpu_lma(cpu) ? T(LDT) | T(TSS32) | T(TSS32_BUSY) | T(CALL32)
                                : T(TSS16) | T(LDT) | T(TSS16_BUSY) | T(CALL16) | T(TASK) |
                                      T(TSS32) | T(TSS32_BUSY) | T(CALL32);
    struct desc d;
    bool ok = visible(cpu, (uint16_t)op_get(cpu, i, 1), &d, sys);
    if (ok) {
        gpr_set(cpu, i->reg, i->osz, d.hi & (i->osz == 2 ? 0xff00u : 0xffff00u));
    }
    set_zf(cpu, ok);
}

SEM(lsl)
{
    uint32_t sys = T(LDT) | T(TSS32) | T(TSS32_BUSY);
    if (!cpu_lma(cpu)) {
        sys |= T(TSS16) | T(TSS16_BUSY);
    }
    struct desc d;
    bool ok = visible(cpu, (uint16_t)op_get(cpu, i, 1), &d, sys);
    if (ok) {
        gpr_set(cpu, i->reg, i->osz, desc_limit(&d));
    }
    set_zf(cpu, ok);
}
#undef T

SEM(verr)
{
    struct desc d;
    set_zf(cpu, visible(cpu, (uint16_t)op_get(cpu, i, 0), &d, 0) && desc_readable(&d));
}

SEM(verw)
{
    struct desc d;
    set_zf(cpu, visible(cpu, (uint16_t)op_get(cpu, i, 0), &d, 0) && desc_is_data_w(&d));
}

SEM(arpl)
{
    uint16_t dst = (uint16_t)op_get_rmw(cpu, i, 0);
    uint16_t src = (uint16_t)gpr_get(cpu, i->reg, 2);
    bool raise = SEL_RPL(dst) < SEL_RPL(src);
    if (raise) {
        op_set(cpu, i, 0, SEL_ERR(dst) | SEL_RPL(src));
    }
    set_zf(cpu, raise);
}

/* --- Table registers --------------------------------------------------------------------------*/

/* CR4.UMIP: the instructions that store a table register are for CPL 0. */
static void check_umip(struct cpu *cpu)
{
    if (cpu->s.cr4 & CR4_UMIP && cpu->s.cpl != 0) {
        cpu_gp0(cpu);
    }
}

static void check_cpl0(struct cpu *cpu)
{
    if (cpu->s.cpl != 0) {
        cpu_gp0(cpu);
    }
}

static void store_table(struct cpu *cpu, const struct insn *i, uint16_t limit, uint64_t base)
{
    check_umip(cpu);
    unsigned n = cpu_code64(cpu) ? 8 : 4;
    uint8_t buf[10];
    if (!cpu_has(cpu, FEAT_i386)) {
        base |= 0xff000000u; /* 80286: the sixth byte is stored as ones */
    }
    le16_put(buf, limit);
    le_put(buf + 2, n, base);
    mem_wr_buf(cpu, i->seg, insn_la(cpu, i, n + 2, ACC_WRITE), buf, n + 2, cpu->view);
}

static void load_table(struct cpu *cpu, const struct insn *i, uint16_t *limit, uint64_t *base)
{
    check_cpl0(cpu);
    unsigned n = cpu_code64(cpu) ? 8 : 4;
    uint8_t buf[10];
    mem_rd_buf(cpu, i->seg, insn_la(cpu, i, n + 2, ACC_READ), buf, n + 2, cpu->view);
    uint64_t b = le_get(buf + 2, n);
    if (i->osz == 2 && n == 4) {
        b &= 0xffffff;
    }
    if (!canonical(b) && n == 8) {
        cpu_gp0(cpu);
    }
    *limit = le16_get(buf);
    *base = b;
}

SEM(sgdt)
{
    store_table(cpu, i, cpu->s.gdt_limit, cpu->s.gdt_base);
}
SEM(sidt)
{
    store_table(cpu, i, cpu->s.idt_limit, cpu->s.idt_base);
}
SEM(lgdt)
{
    load_table(cpu, i, &cpu->s.gdt_limit, &cpu->s.gdt_base);
}
SEM(lidt)
{
    load_table(cpu, i, &cpu->s.idt_limit, &cpu->s.idt_base);
}

static void store_sel(struct cpu *cpu, const struct insn *i, uint16_t sel)
{
    check_umip(cpu);
    if (i->mod3) {
        gpr_set(cpu, i->rm, i->osz, sel);
    } else {
        mem_wr(cpu, i->seg, insn_la(cpu, i, 2, ACC_WRITE), 2, sel);
    }
}

SEM(sldt)
{
    store_sel(cpu, i, cpu->s.seg[SEG_LDTR].sel);
}
SEM(str)
{
    store_sel(cpu, i, cpu->s.seg[SEG_TR].sel);
}

/* The checks that LLDT and LTR share. */
static void read_system(struct cpu *cpu, uint16_t sel, struct desc *d, uint32_t types)
{
    if (SEL_TI(sel) || !desc_read(cpu, sel, d) || desc_is_seg(d) || !(types >> desc_type(d) & 1)) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
    }
    if (!desc_present(d)) {
        cpu_raise_err(cpu, EXC_NP, SEL_ERR(sel));
    }
    if (cpu_lma(cpu) && ((d->top & 0x1f00) || !canonical(desc_base(d)))) {
        cpu_raise_err(cpu, EXC_GP, SEL_ERR(sel));
    }
}

SEM(lldt)
{
    check_cpl0(cpu);
    uint16_t sel = (uint16_t)op_get(cpu, i, 0);
    if (SEL_NULL(sel)) {
        seg_set_null(cpu, SEG_LDTR, sel);
        return;
    }
    struct desc d;
    read_system(cpu, sel, &d, 1u << DT_LDT);
    seg_set_desc(cpu, SEG_LDTR, sel, &d);
}

SEM(ltr)
{
    check_cpl0(cpu);
    uint16_t sel = (uint16_t)op_get(cpu, i, 0);
    if (SEL_NULL(sel)) {
        cpu_gp0(cpu);
    }
    struct desc d;
    read_system(cpu, sel, &d, 1u << DT_TSS32 | (cpu_lma(cpu) ? 0 : 1u << DT_TSS16));
    desc_set_busy(cpu, sel, true);
    d.hi |= DT_BUSY << 8;
    seg_set_desc(cpu, SEG_TR, sel, &d);
}
