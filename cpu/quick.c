/*
 * What compiled code asks C to do in its midst: loads of segment registers, port I/O, PAUSE. The
 * guest's registers and pending flags stay where they are, so this is several times cheaper than an
 * instruction in the interpreter (engine_interp); but nothing here may raise. What would, or is
 * rare, is declined before anything has changed: code then leaves for the interpreter in front of
 * the instruction.
 *
 * The semantics are those of cpu/seg.c, cpu/io.c and cpu/move.c, with their checks as questions.
 */
#include "cpu/desc.h"
#include "cpu/engine_impl.h"
#include "cpu/sem.h"
#include "cpu/sys.h"

/* ---- segment registers (not CS, not SS) ---- */

static bool same_seg(const struct seg *a, const struct seg *b)
{
    return a->base == b->base && a->limit == b->limit && a->sel == b->sel && a->attr == b->attr;
}

/* The descriptor of a data segment, present, accessed, and CPL and RPL may use it. */
static bool look_up(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    if (SEL_TI(sel) || (sel | 7u) > cpu->s.gdt_limit) {
        return false;
    }
    const uint8_t *p = mem_host_ptr(cpu, desc_addr(cpu, sel), 8, ACC_READ, TLB_SUPER);
    if (!p) {
        return false;
    }
    *d = (struct desc){.lo = (uint32_t)le_get(p, 4), .hi = (uint32_t)le_get(p + 4, 4)};
    return desc_is_seg(d) && !desc_is_code(d) && desc_present(d) && (d->hi & 0x100) &&
           SEL_RPL(sel) <= desc_dpl(d) && cpu->s.cpl <= desc_dpl(d);
}

static bool load_segment(struct cpu *cpu, unsigned n, uint16_t sel)
{
    struct seg new = {.sel = sel, .attr = SEG_A_NULL};
    struct desc d;
    if (!SEL_NULL(sel)) {
        if (!look_up(cpu, sel, &d)) {
            return false;
        }
        new = (struct seg){desc_base(&d), desc_limit(&d), sel, desc_attr(&d)};
    }
    if (same_seg(&cpu->s.seg[n], &new)) {
        return true;
    }
    cpu->s.seg[n] = new;
    seg_update(cpu, n);
    if (n < SEG_FS) { /* the mode says whether it is flat */
        cpu_update_mode(cpu);
    }
    return true;
}

static unsigned segment_of(const struct insn *i)
{
    return (i->opcode == 0x8e ? i->reg : i->opcode >> 3) & 7; /* MOV; POP */
}

/* ---- ports: val is the port, for OUT with the data from bit 16 on ---- */

static bool port(struct cpu *cpu, const struct insn *i, bool out, uint64_t val)
{
    unsigned size = i->opcode & 1 ? (i->osz == 2 ? 2 : 4) : 1;
    if (cpu->s.cpl > (unsigned)(cpu->s.rflags >> 12 & 3)) {
        return false; /* the TSS says */
    }
    if (out) {
        aspace_write(cpu->io, val & 0xffff, size, val >> 16);
    } else {
        cpu->jit.scratch = aspace_read(cpu->io, val & 0xffff, size);
    }
    return true;
}

/* ---- all of them ---- */

static bool act(struct cpu *cpu, const struct insn *i, enum jit_act what, uint64_t val)
{
    switch (what) {
    case ACT_PAUSE:
        return cpu->paused && cpu->paused(cpu->paused_ctx);
    case ACT_IN:
    case ACT_OUT:
        return port(cpu, i, what == ACT_OUT, val);
    case ACT_SEG:
        return load_segment(cpu, segment_of(i), (uint16_t)val);
    default:
        return false;
    }
}

int engine_quick(struct jit_env *env, uint64_t val, uint32_t site)
{
    struct cpu *cpu = env_cpu(env);
    const struct jit_site *s = jit_site(cpu->engine->jit, site);
    struct block *b = s->owner;
    uint64_t gen = cpu->tlb.gen;
    uint32_t mode = cpu->mode;
    if (lockstep_of(cpu) || cpu->debug || chaos_hits(&cpu->engine->chaos, 8)) {
        return JIT_QUICK_NOT;
    }
    cpu->budget += s->refund;
    engine_begin_at(cpu, b, &b->insn[s->k]); /* for whoever asks for the time */
    bool done = act(cpu, cpu->cur, s->act, val);
    engine_end_run(cpu);
    bool on = !(cpu->exit_req | cpu->attn | cpu->stop | cpu->noted) && cpu->tlb.gen == gen &&
              cpu->mode == mode && b->valid && s->code->valid && cpu->budget >= s->refund;
    cpu->budget -= s->refund;
    return !done ? JIT_QUICK_NOT : on ? JIT_QUICK_ON : JIT_QUICK_LEAVE;
}
