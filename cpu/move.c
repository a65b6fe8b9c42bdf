/*
 * Data movement: mov, movzx, movsx, lea, xchg, bswap, movbe, cmovcc, setcc, xlat, the cbw family,
 * lahf, sahf, the flag instructions, nop.
 *
 * None of these but SAHF and the flag instructions touches arithmetic flags. CMOVcc always loads
 * its source, and always writes its destination register: a 32-bit CMOV clears the upper half
 * whatever the condition (SDM 2A, CMOVcc). Sources: SDM 2A-2D.
 */
#include "cpu/forms.h"
#include "cpu/sys.h"

FORM_INLINE uint64_t move_copy(struct cpu *cpu, unsigned w, uint64_t a)
{
    (void)cpu, (void)w;
    return a;
}
FORM_INLINE uint64_t move_sx1(struct cpu *cpu, unsigned w, uint64_t a)
{
    (void)cpu, (void)w;
    return bits_sext(a, 8);
}
FORM_INLINE uint64_t move_sx2(struct cpu *cpu, unsigned w, uint64_t a)
{
    (void)cpu, (void)w;
    return bits_sext(a, 16);
}
FORM_INLINE uint64_t move_sx4(struct cpu *cpu, unsigned w, uint64_t a)
{
    (void)cpu, (void)w;
    return bits_sext(a, 32);
}

FORM_SET(mov, move_copy)
FORM_CVT(movzx_b, move_copy, 1)
FORM_CVT(movzx_w, move_copy, 2)
FORM_CVT(movsx_b, move_sx1, 1)
FORM_CVT(movsx_w, move_sx2, 2)
FORM_CVT(movsxd, move_sx4, 4)

/* ---- LEA: the address, no access ---- */
FORM_INLINE void form_lea(struct cpu *cpu, const struct insn *i, unsigned w)
{
    reg_set(cpu, w, i->ra, insn_ea(cpu, i));
    insn_chain(cpu, i);
}
FORM_FN(lea_rm2, form_lea, 2)
FORM_FN(lea_rm4, form_lea, 4)
FORM_FN(lea_rm8, form_lea, 8)
FORM_SEM(lea, [FORM_RM] = FORM_ROW3(lea, rm))

/* The 8086's LEA with a register operand leaves the register as it is: what it really loads is the
 * address of an earlier operand, which no program can mean. */
SEM(lea86_reg)
{
    (void)cpu, (void)i;
}

/* ---- conditions ---- */
#define MOVE_COND(letters, cc)                                                                     \
    FORM_INLINE uint64_t cmov##letters##_op(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)   \
    {                                                                                              \
        (void)w;                                                                                   \
        return flags_cond(cpu, cc) ? b : a;                                                        \
    }                                                                                              \
    FORM_REG(cmov##letters, cmov##letters##_op)                                                    \
    FORM_INLINE uint64_t set##letters##_op(struct cpu *cpu, unsigned w, uint64_t a)                \
    {                                                                                              \
        (void)w, (void)a;                                                                          \
        return flags_cond(cpu, cc);                                                                \
    }                                                                                              \
    FORM_FN(set##letters##_rr1, form_un_r, 1, set##letters##_op)                                   \
    FORM_FN_MEM(set##letters##_mr1, form_set_m, 1, set##letters##_op, true)                        \
    FORM_SEM(set##letters, [FORM_RR] = {set##letters##_rr1}, [FORM_MR] = {set##letters##_mr1})
FLAGS_CONDS(MOVE_COND)

/* ---- exchanges and byte order ---- */
SEM(xchg)
{
    uint64_t a = op_get_rmw(cpu, i, 0);
    op_set(cpu, i, 0, reg_get(cpu, i->w, i->rb));
    reg_set(cpu, i->w, i->rb, a);
}

/* XCHG rAX, r (90-97). 90 itself is NOP: it does not clear the upper half of RAX; with F3, PAUSE,
 * which ends the vCPU's turn: it waits for another. Two that wait in step would otherwise never
 * meet, since all run in fixed turns. */
SEM(xchg_acc)
{
    if (i->ra != i->rb) {
        uint64_t a = reg_get(cpu, i->w, i->ra);
        reg_set(cpu, i->w, i->ra, reg_get(cpu, i->w, i->rb));
        reg_set(cpu, i->w, i->rb, a);
    } else if ((i->pfx & PFX_REP) && cpu->yields &&
               !(cpu->paused && cpu->paused(cpu->paused_ctx))) {
        cpu->yielded = cpu->stop = true;
        cpu->exit_req = 1;
    }
}

/* BSWAP of a 16-bit register is undefined; processors clear it. */
SEM(bswap)
{
    uint64_t a = op_get(cpu, i, 0);
    op_set(cpu, i, 0,
           i->w == 8   ? __builtin_bswap64(a)
           : i->w == 4 ? __builtin_bswap32((uint32_t)a)
                       : 0);
}

SEM(movbe)
{
    uint64_t a = op_get(cpu, i, 1);
    op_set(cpu, i, 0,
           i->w == 8   ? __builtin_bswap64(a)
           : i->w == 4 ? __builtin_bswap32((uint32_t)a)
                       : __builtin_bswap16((uint16_t)a));
}

/* ---- accumulator ---- */
SEM(xlat)
{
    uint64_t off = cpu->s.gpr[REG_RBX] + (uint8_t)cpu->s.gpr[REG_RAX];
    unsigned seg = i->segovr == SEG_NONE ? SEG_DS : i->segovr;
    off &= bits_mask(8u * i->asz);
    gpr_set(cpu, REG_RAX, 1, mem_rd(cpu, seg, mem_la(cpu, seg, off, 1, ACC_READ), 1));
}

/* CBW, CWDE, CDQE: by operand size. */
SEM(cbw)
{
    gpr_set(cpu, REG_RAX, i->osz, bits_sext(cpu->s.gpr[REG_RAX], 4u * i->osz));
}

/* CWD, CDQ, CQO. */
SEM(cwd)
{
    bool neg = cpu->s.gpr[REG_RAX] >> (8u * i->osz - 1) & 1;
    gpr_set(cpu, REG_RDX, i->osz, neg ? ~UINT64_C(0) : 0);
}

SEM(lahf)
{
    (void)i;
    uint32_t fl = flags_arith(cpu) & (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF);
    cpu->s.gpr[REG_RAX] = (cpu->s.gpr[REG_RAX] & ~UINT64_C(0xff00)) | (fl | FL_1) << 8;
}

SEM(sahf)
{
    (void)i;
    uint32_t of = flags_arith(cpu) & FL_OF;
    flags_set_arith(cpu, (cpu->s.gpr[REG_RAX] >> 8 & 0xff) | of);
}

/* SALC (D6), undocumented on all processors: AL = CF ? 0xff : 0. */
SEM(salc)
{
    (void)i;
    gpr_set(cpu, REG_RAX, 1, flag_cf(cpu) ? 0xff : 0);
}

/* ---- flags ---- */
SEM(clc)
{
    (void)i;
    flags_set_cf(cpu, false);
}
SEM(stc)
{
    (void)i;
    flags_set_cf(cpu, true);
}
SEM(cmc)
{
    (void)i;
    flags_set_cf(cpu, !flag_cf(cpu));
}
SEM(cld)
{
    (void)i;
    cpu->s.rflags &= ~(uint64_t)FL_DF;
}
SEM(std)
{
    (void)i;
    cpu->s.rflags |= FL_DF;
}

/* ---- nothing ---- */
static void nop_any(struct cpu *cpu, const struct insn *i)
{
    insn_chain(cpu, i);
}
const struct sem sem_nop = {nop_any, NULL, false};

/* UD0, UD1, UD2 and opcodes that exist only to fault. */
SEM_END(ud)
{
    (void)i;
    cpu_ud(cpu);
}
