/*
 * Stack frames and code targets of control transfers between segments and levels: what event
 * delivery, far transfers, tasks and returns have in common (cpu/desc.h declares it).
 *
 * A transfer runs in this order: all checks; frame_reserve (limit and page checks of everything
 * that will be pushed); accessed bits; pushes; registers. Nothing can fault after frame_reserve and
 * the accessed bits.
 *
 * Sources: Intel SDM 3A 5.8, 6.12, 6.14, 8.2 (TSS layouts), 8.7.
 */
#include "cpu/desc.h"

/* --- Frames -----------------------------------------------------------------------------------*/

struct frame frame_current(const struct cpu *cpu)
{
    struct frame f = {
        .v = cpu->segv[SEG_SS],
        .mask = cpu->sp_mask,
        .sp = stk_sp(cpu),
        .view = cpu->view,
        .flat64 = cpu_code64(cpu),
    };
    return f;
}

struct frame frame_inner(const struct cpu *cpu, uint16_t ss, const struct desc *d, uint64_t sp,
                         unsigned cpl)
{
    struct frame f = {.err = SEL_ERR(ss), .view = cpl == 3 ? TLB_USER : TLB_SUPER};
    uint64_t limit = desc_limit(d);
    f.mask = desc_db(d) ? 0xffffffff : 0xffff;
    f.sp = sp & f.mask;
    f.v.base = desc_base(d);
    f.v.end_w = limit + 1;
    if (desc_conforming(d)) { /* of data: expand-down */
        f.v.lo = limit + 1;
        f.v.end_w = f.mask + 1;
    }
    (void)cpu;
    return f;
}

struct frame frame_long(const struct cpu *cpu, uint64_t rsp, unsigned cpl)
{
    (void)cpu;
    return (struct frame){
        .mask = ~UINT64_C(0),
        .sp = rsp,
        .view = cpl == 3 ? TLB_USER : TLB_SUPER,
        .flat64 = true,
    };
}

static gva frame_la(struct cpu *cpu, const struct frame *f, uint64_t off, unsigned size)
{
    if (f->flat64) {
        if (!canonical(off) || !canonical(off + (size - 1))) {
            cpu_raise_err(cpu, EXC_SS, f->err);
        }
        return off;
    }
    if (off < f->v.lo || off + size > f->v.end_w) {
        cpu_raise_err(cpu, EXC_SS, f->err);
    }
    return (uint32_t)(f->v.base + off);
}

void frame_reserve(struct cpu *cpu, const struct frame *f, unsigned size, unsigned count)
{
    unsigned total = size * count;
    uint64_t low = (f->sp - total) & f->mask;
    bool wraps = f->sp < total;
    if (!wraps && (low & (size - 1)) == 0) {
        gva la = frame_la(cpu, f, low, total);
        mem_probe(cpu, SEG_NONE, la, total, ACC_WRITE, f->view);
        return;
    }
    for (unsigned n = 1; n <= count; n++) { /* wraps, or misaligned */
        gva la = frame_la(cpu, f, (f->sp - (uint64_t)n * size) & f->mask, size);
        mem_probe(cpu, SEG_NONE, la, size, ACC_WRITE, f->view);
    }
}

void frame_push(struct cpu *cpu, struct frame *f, unsigned size, uint64_t val)
{
    f->sp = (f->sp - size) & f->mask;
    unsigned seg = cpu_prot(cpu) ? SEG_NONE : SEG_SS; /* which the 8086's wrap needs */
    mem_wr_view(cpu, seg, frame_la(cpu, f, f->sp, size), size, val, f->view);
}

/* --- Stacks of inner levels -------------------------------------------------------------------*/

static void check_tss(struct cpu *cpu, uint32_t last)
{
    const struct seg *tr = &cpu->s.seg[SEG_TR];
    if ((tr->attr & SEG_A_NULL) || last > tr->limit) {
        cpu_raise_err(cpu, EXC_TS, SEL_ERR(tr->sel));
    }
}

void tss_stack(struct cpu *cpu, unsigned level, uint16_t *ss, uint64_t *sp)
{
    const struct seg *tr = &cpu->s.seg[SEG_TR];
    if (tr->attr & 8) { /* 32-bit TSS */
        unsigned off = 4 + level * 8;
        check_tss(cpu, off + 5);
        *sp = mem_rd_sys(cpu, (uint32_t)(tr->base + off), 4);
        *ss = (uint16_t)mem_rd_sys(cpu, (uint32_t)(tr->base + off + 4), 2);
    } else {
        unsigned off = 2 + level * 4;
        check_tss(cpu, off + 3);
        *sp = mem_rd_sys(cpu, (uint32_t)(tr->base + off), 2);
        *ss = (uint16_t)mem_rd_sys(cpu, (uint32_t)(tr->base + off + 2), 2);
    }
}

static uint64_t tss64_entry(struct cpu *cpu, unsigned off)
{
    check_tss(cpu, off + 7);
    uint64_t rsp = mem_rd_sys(cpu, cpu->s.seg[SEG_TR].base + off, 8);
    if (!canonical(rsp)) {
        cpu_raise_err(cpu, EXC_SS, 0);
    }
    return rsp;
}

uint64_t tss_rsp(struct cpu *cpu, unsigned level)
{
    return tss64_entry(cpu, 4 + 8 * level);
}

uint64_t tss_ist(struct cpu *cpu, unsigned ist)
{
    return tss64_entry(cpu, 28 + 8 * ist);
}

void stack_seg_check(struct cpu *cpu, uint16_t ss, unsigned dpl, struct desc *d)
{
    if (SEL_NULL(ss)) {
        cpu_raise_err(cpu, EXC_TS, 0);
    }
    if (!desc_read(cpu, ss, d) || SEL_RPL(ss) != dpl || desc_dpl(d) != dpl || !desc_is_data_w(d)) {
        cpu_raise_err(cpu, EXC_TS, SEL_ERR(ss));
    }
    if (!desc_present(d)) {
        cpu_raise_err(cpu, EXC_SS, SEL_ERR(ss));
    }
}

/* --- Code targets -----------------------------------------------------------------------------*/

void far_check_target(struct cpu *cpu, const struct desc *d, uint64_t off)
{
    if (cpu_lma(cpu) && desc_l(d)) {
        if (!canonical(off)) {
            cpu_gp0(cpu);
        }
    } else if (off > desc_limit(d)) {
        cpu_gp0(cpu);
    }
}

void far_check_real(struct cpu *cpu, uint64_t off)
{
    uint64_t limit = cpu_v86(cpu) ? 0xffff : cpu->s.seg[SEG_CS].limit;
    if (off > limit) {
        cpu_gp0(cpu);
    }
}

void far_enter(struct cpu *cpu, uint16_t sel, const struct desc *d, unsigned cpl, uint64_t rip)
{
    cpu->s.cpl = (uint8_t)cpl;
    seg_set_desc(cpu, SEG_CS, (uint16_t)(SEL_ERR(sel) | cpl), d);
    cpu->s.rip = rip;
}

void far_drop_segs(struct cpu *cpu)
{
    static const uint8_t data[] = {SEG_ES, SEG_FS, SEG_GS, SEG_DS};
    for (unsigned n = 0; n < ARRAY_LEN(data); n++) {
        const struct seg *s = &cpu->s.seg[data[n]];
        bool conforming = (s->attr & SEG_A_CODE) && (s->attr & SEG_A_EC);
        if (!(s->attr & SEG_A_NULL) && !conforming && (s->attr >> 5 & 3) < cpu->s.cpl) {
            /* The selector becomes null; the base stays, and 64-bit code goes on using that of FS
             * and GS (SDM 2A IRET, "RETURN-TO-OUTER-PRIVILEGE-LEVEL"). */
            cpu->s.seg[data[n]] = (struct seg){.base = s->base, .attr = SEG_A_NULL};
            seg_update(cpu, data[n]);
        }
    }
}
