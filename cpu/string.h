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

#endif
