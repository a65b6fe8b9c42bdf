/*
 * Read-modify-write with comparison or exchange: xadd, cmpxchg, cmpxchg8b, cmpxchg16b.
 *
 * vCPUs take turns on one thread, so LOCK needs no more than that these are one instruction. All
 * of them write their memory operand in every case (SDM 2A: a failed CMPXCHG writes the old value
 * back), and so fault as writes. Sources: SDM 2A, 2D.
 */
#include "cpu/sem.h"

static void atomic_cmp_flags(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    uint64_t r = a - b;
    flags_set_carry(cpu, w, r, (~a & b) | ((~a | b) & r));
}

SEM(xadd)
{
    uint64_t a = op_get_rmw(cpu, i, 0), b = reg_get(cpu, i->w, i->rb), r = a + b;
    flags_set_carry(cpu, i->w, r, (a & b) | ((a | b) & ~r));
    if (i->mod3) { /* XADD r, r doubles it: the sum is written last */
        reg_set(cpu, i->w, i->rb, a);
        op_set(cpu, i, 0, r);
    } else {
        op_set(cpu, i, 0, r);
        reg_set(cpu, i->w, i->rb, a);
    }
}

/* A 32-bit comparison clears the upper half of what it writes, and only of that: RAX if it failed,
 * a register destination if it held. */
SEM(cmpxchg)
{
    uint64_t a = op_get_rmw(cpu, i, 0), acc = gpr_get(cpu, REG_RAX, i->w);
    uint64_t src = reg_get(cpu, i->w, i->rb);
    if (acc == a) {
        op_set(cpu, i, 0, src);
    } else {
        if (!i->mod3) {
            op_set(cpu, i, 0, a);
        }
        gpr_set(cpu, REG_RAX, i->w, a);
    }
    atomic_cmp_flags(cpu, i->w, acc, a);
}

/* CMPXCHG8B and CMPXCHG16B: halves of h bytes. */
static void atomic_pair(struct cpu *cpu, const struct insn *i, unsigned h)
{
    uint8_t buf[16];
    gva la = insn_la(cpu, i, 2 * h, ACC_WRITE);
    if (h == 8 && (la & 15)) {
        cpu_gp0(cpu);
    }
    mem_probe(cpu, i->seg, la, 2 * h, ACC_WRITE, cpu->view);
    mem_rd_buf(cpu, i->seg, la, buf, 2 * h, cpu->view);
    uint64_t lo = le_get(buf, h), hi = le_get(buf + h, h);
    bool equal = lo == gpr_get(cpu, REG_RAX, h) && hi == gpr_get(cpu, REG_RDX, h);
    if (equal) {
        le_put(buf, h, cpu->s.gpr[REG_RBX]);
        le_put(buf + h, h, cpu->s.gpr[REG_RCX]);
    }
    mem_wr_buf(cpu, i->seg, la, buf, 2 * h, cpu->view);
    if (!equal) {
        gpr_set(cpu, REG_RAX, h, lo);
        gpr_set(cpu, REG_RDX, h, hi);
    }
    flags_set_zf(cpu, equal);
}

SEM(cmpxchg8b)
{
    atomic_pair(cpu, i, 4);
}
SEM(cmpxchg16b)
{
    atomic_pair(cpu, i, 8);
}
