/*
 * Operands by number: for semantics that are not worth an instance for each form.
 *
 * The row's operand kinds say where the operand is; the decoder has resolved general registers to
 * i->ra and i->rb for operands 0 and 1. Vectors and x87 registers have their own accessors.
 */
#include <assert.h>

#include "cpu/sem.h"

/* The general register behind an operand, as a byte offset; 0: it is not one. */
static uint16_t operand_reg(const struct insn *i, unsigned n, unsigned kind, unsigned w)
{
    switch (kind) {
    case OPD_Gb:
    case OPD_Gw:
    case OPD_Gd:
    case OPD_Gq:
    case OPD_Gv:
    case OPD_Gy:
    case OPD_Gz:
        return n == 0 ? i->ra : n == 1 ? i->rb : reg_off(i->reg, w, false);
    case OPD_By:
        return n == 0 ? i->ra : n == 1 ? i->rb : reg_off(i->vvvv, w, false);
    case OPD_Zb:
    case OPD_Zv:
    case OPD_AL:
    case OPD_rAXv:
    case OPD_rAXz:
    case OPD_DX:
        assert(n < 2);
        return n == 0 ? i->ra : i->rb;
    case OPD_CL:
        return reg_off(REG_RCX, 1, false);
    default:
        break;
    }
    if (i->mod3) {
        return n == 0 ? i->ra : n == 1 ? i->rb : reg_off(i->rm, w, false);
    }
    return 0;
}

static bool is_imm(unsigned kind)
{
    return kind == OPD_Ib || kind == OPD_sIb || kind == OPD_Iw || kind == OPD_Iz ||
           kind == OPD_Iv || kind == OPD_One || kind == OPD_Jb || kind == OPD_Jz;
}

static uint64_t get(struct cpu *cpu, const struct insn *i, unsigned n, enum mem_access acc)
{
    if (n == 0 && i->ra) {
        return reg_get(cpu, i->w, i->ra);
    }
    unsigned kind = insn_rows[i->row].opd[n], w = n == 0 ? i->w : op_width(i, n);
    if (is_imm(kind)) {
        return (uint64_t)i->imm & bits_mask(8 * w);
    }
    if (kind == OPD_Ibb) {
        return i->imm2;
    }
    uint16_t reg = operand_reg(i, n, kind, w);
    if (reg) {
        return reg_get(cpu, w, reg);
    }
    gva la = insn_la(cpu, i, w, acc);
    return acc == ACC_WRITE ? mem_rd_rmw(cpu, i->seg, la, w) : mem_rd(cpu, i->seg, la, w);
}

uint64_t op_get(struct cpu *cpu, const struct insn *i, unsigned n)
{
    return get(cpu, i, n, ACC_READ);
}

uint64_t op_get_rmw(struct cpu *cpu, const struct insn *i, unsigned n)
{
    return get(cpu, i, n, ACC_WRITE);
}

void op_set(struct cpu *cpu, const struct insn *i, unsigned n, uint64_t val)
{
    if (n == 0 && i->ra) {
        reg_set(cpu, i->w, i->ra, val);
        return;
    }
    unsigned kind = insn_rows[i->row].opd[n], w = op_width(i, n);
    uint16_t reg = operand_reg(i, n, kind, w);
    if (reg) {
        reg_set(cpu, w, reg, val);
    } else {
        mem_wr(cpu, i->seg, insn_la(cpu, i, w, ACC_WRITE), w, val);
    }
}
