/*
 * What string instructions and string I/O share.
 */
#ifndef DOPPEL_CPU_STRING_H
#define DOPPEL_CPU_STRING_H

#include "cpu/sem.h"

/* Move an index register over n elements of w bytes, by DF, in the address size. */
static inline void string_step(struct cpu *cpu, const struct insn *i, unsigned reg, uint64_t n,
                               unsigned w)
{
    uint64_t v = cpu->s.gpr[reg];
    gpr_set(cpu, reg, i->asz, cpu->s.rflags & FL_DF ? v - n * w : v + n * w);
}

/* The linear address of a string operand, checked. Where the segment does not hold it the 80286
 * raises only after it has moved the index register and counted CX down: seen on the chip, and why
 * such programs could not be restarted. */
static inline gva string_la(struct cpu *cpu, const struct insn *i, unsigned reg, unsigned seg,
                            unsigned w, enum mem_access acc)
{
    uint64_t off = gpr_get(cpu, reg, i->asz);
    if (UNLIKELY(off == 0xffff && w == 2) && cpu_has(cpu, FEAT_i286) && !cpu_has(cpu, FEAT_i386)) {
        string_step(cpu, i, reg, 1, w);
        bool cmps = (i->opcode & 0xfe) == 0xa6; /* does not count */
        if (!cmps && i->pfx & (PFX_REP | PFX_REPNE)) {
            gpr_set(cpu, REG_RCX, 2, cpu->s.gpr[REG_RCX] - 1);
        }
    }
    return mem_la(cpu, seg, off, w, acc);
}

/* Must a REP instruction stop before a further iteration: an event waits, the block is to be left,
 * or the budget is used up? */
static inline bool string_must_stop(const struct cpu *cpu)
{
    return cpu->attn || cpu->exit_req || (cpu->s.rflags & FL_TF) || cpu->budget <= 0;
}

/* Stop there: the run loop comes back to the instruction, which is half done (RF: SDM 3B
 * 17.3.1.1). */
static inline void string_stop(struct cpu *cpu, const struct insn *i)
{
    cpu->s.rip = insn_ip(cpu, i);
    cpu->s.rflags |= FL_RF;
    cpu->attn = 1;
}

/* How many of n iterations may be done at once; the first one of the instruction is paid for. */
static inline uint64_t string_fit(const struct cpu *cpu, uint64_t n, bool first)
{
    if (cpu->attn || cpu->exit_req || (cpu->s.rflags & FL_TF)) {
        return 1;
    }
    uint64_t fit = (uint64_t)(cpu->budget > 0 ? cpu->budget : 0) + first;
    return n < fit ? n : fit;
}

/* How many of n elements of w bytes from where index register `reg` points can be reached through
 * one host pointer, which goes to *p and addresses the first element. 0: none. */
uint64_t string_span(struct cpu *cpu, const struct insn *i, unsigned reg, unsigned seg, unsigned w,
                     enum mem_access acc, uint64_t n, uint8_t **p);

#endif
