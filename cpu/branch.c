/*
 * Near transfers: jcc, jmp, call, ret, loop, jcxz; bound.
 *
 * A transfer checks its target before anything changes: outside the CS limit is #GP(0) in legacy
 * modes, a non-canonical address #GP(0) in 64-bit mode. With a 16-bit operand size the target is
 * cut to 16 bits. In 64-bit mode the operand size of near branches is 64 bits whatever the
 * prefixes, as Intel's processors do (SDM 2A; AMD's honour 66). Sources: SDM 2A-2D.
 */
#include "cpu/block.h"
#include "cpu/forms.h"

// clang-format off
/* As SEM_END, and goes on with the next block where it can. */
#define SEM_BRANCH(name)                                                                 \
    static inline void name##_body(struct cpu *cpu, const struct insn *i);               \
    static void name##_any(struct cpu *cpu, const struct insn *i)                        \
    {                                                                                    \
        cpu->s.rip = insn_next_ip(cpu, i);                                               \
        name##_body(cpu, i);                                                             \
        block_chain(cpu);                                                                \
    }                                                                                    \
    const struct sem sem_##name = {name##_any, NULL, true};                              \
    static inline void name##_body(struct cpu *cpu, const struct insn *i)
// clang-format on

FORM_INLINE bool branch_ok(const struct cpu *cpu, uint64_t rip)
{
    if (cpu->mode & MODE_C64) {
        return (uint64_t)((int64_t)(rip << 16) >> 16) == rip;
    }
    return rip <= cpu->s.seg[SEG_CS].limit;
}

/* The target of a near branch, cut to the operand size and checked. */
static inline uint64_t branch_target(struct cpu *cpu, const struct insn *i, uint64_t rip)
{
    if (i->osz == 2) {
        rip &= 0xffff;
    } else if (i->osz == 4) {
        rip &= 0xffffffff;
    }
    if (UNLIKELY(!branch_ok(cpu, rip))) {
        cpu_gp0(cpu);
    }
    return rip;
}

/* Relative to the next instruction. */
static inline uint64_t branch_rel(struct cpu *cpu, const struct insn *i)
{
    return branch_target(cpu, i, insn_next_ip(cpu, i) + (uint64_t)i->imm);
}

#define BRANCH_COND(letters, cc)                                                                   \
    SEM_BRANCH(j##letters)                                                                         \
    {                                                                                              \
        if (flags_cond(cpu, cc)) {                                                                 \
            cpu->s.rip = branch_rel(cpu, i);                                                       \
        }                                                                                          \
    }
FLAGS_CONDS(BRANCH_COND)

SEM_BRANCH(jmp_rel)
{
    cpu->s.rip = branch_rel(cpu, i);
}

SEM_BRANCH(jmp_ind)
{
    cpu->s.rip = branch_target(cpu, i, op_get(cpu, i, 0));
}

FORM_INLINE void branch_call(struct cpu *cpu, const struct insn *i, uint64_t target)
{
    unsigned w = i->osz;
    uint64_t sp = (stk_sp(cpu) - w) & cpu->sp_mask;
    void *p = form_stk(cpu, sp, w, true);
    if (LIKELY(p)) {
        le_put(p, w, cpu->s.rip);
        stk_set_sp(cpu, sp);
    } else {
        stk_push(cpu, w, cpu->s.rip);
    }
    cpu->s.rip = target;
}

SEM_BRANCH(call_rel)
{
    branch_call(cpu, i, branch_rel(cpu, i));
}

SEM_BRANCH(call_ind)
{
    branch_call(cpu, i, branch_target(cpu, i, op_get(cpu, i, 0)));
}

/* RET, RET n: n as a 16-bit immediate, 0 without. */
SEM_BRANCH(ret_near)
{
    unsigned w = i->osz;
    uint64_t sp = stk_sp(cpu), rip;
    const void *p = form_stk(cpu, sp, w, false);
    rip = LIKELY(p) ? le_get(p, w) : stk_peek(cpu, w, 0);
    cpu->s.rip = branch_target(cpu, i, rip);
    stk_set_sp(cpu, sp + w + (uint16_t)i->imm);
}

/* ---- loops: the count register has the address size ---- */
static inline uint64_t branch_count(const struct cpu *cpu, const struct insn *i)
{
    return gpr_get(cpu, REG_RCX, i->asz);
}

static inline void branch_loop(struct cpu *cpu, const struct insn *i, bool cond)
{
    uint64_t n = branch_count(cpu, i) - 1;
    if ((n & bits_mask(8u * i->asz)) && cond) {
        cpu->s.rip = branch_rel(cpu, i);
    }
    gpr_set(cpu, REG_RCX, i->asz, n);
}

SEM_BRANCH(loop)
{
    branch_loop(cpu, i, true);
}
SEM_BRANCH(loope)
{
    branch_loop(cpu, i, flag_zf(cpu));
}
SEM_BRANCH(loopne)
{
    branch_loop(cpu, i, !flag_zf(cpu));
}
SEM_BRANCH(jcxz)
{
    if (branch_count(cpu, i) == 0) {
        cpu->s.rip = branch_rel(cpu, i);
    }
}

/* BOUND: signed index against a pair in memory. */
SEM(bound)
{
    unsigned w = i->osz;
    uint64_t off = insn_ea(cpu, i), mask = bits_mask(8u * i->asz);
    gva lo_la = insn_la_off(cpu, i, off, w, ACC_READ);
    gva hi_la = insn_la_off(cpu, i, (off + w) & mask, w, ACC_READ);
    int64_t lo = (int64_t)bits_sext(mem_rd(cpu, i->seg, lo_la, w), 8 * w);
    int64_t hi = (int64_t)bits_sext(mem_rd(cpu, i->seg, hi_la, w), 8 * w);
    int64_t idx = (int64_t)bits_sext(gpr_get(cpu, i->reg, w), 8 * w);
    if (idx < lo || idx > hi) {
        cpu_raise(cpu, EXC_BR);
    }
}
