/*
 * The stack: push, pop, pusha, popa, pushf, popf, enter, leave.
 *
 * The stack pointer's width is that of SS (cpu->sp_mask), the slot's width the operand size. All
 * slots of PUSHA and ENTER are probed before the first is written, so that a fault leaves RSP and
 * registers as they were. PUSH SP and the SP word of FF /6 push the decremented value on the 8086
 * and the old one from the 80286 on (SDM 3B 23.22.18). Sources: SDM 2B, each instruction's page.
 */
#include "cpu/forms.h"
#include "cpu/sys.h"

/* ---- PUSH and POP of general registers and immediates ---- */
FORM_INLINE void stack_push(struct cpu *cpu, const struct insn *i, unsigned w, bool imm,
                            insn_fn slow)
{
    uint64_t sp = (stk_sp(cpu) - w) & cpu->sp_mask;
    void *p = form_stk(cpu, sp, w, true);
    if (LIKELY(p)) {
        le_put(p, w, imm ? (uint64_t)i->imm : reg_get(cpu, w, i->ra));
        stk_set_sp(cpu, sp);
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}
FORM_INLINE void stack_push_slow(struct cpu *cpu, const struct insn *i, unsigned w, bool imm)
{
    stk_push(cpu, w, imm ? (uint64_t)i->imm : reg_get(cpu, w, i->ra));
    insn_chain_mem(cpu, i);
}

FORM_INLINE void stack_pop(struct cpu *cpu, const struct insn *i, unsigned w, insn_fn slow)
{
    uint64_t sp = stk_sp(cpu);
    const void *p = form_stk(cpu, sp, w, false);
    if (LIKELY(p)) {
        uint64_t v = le_get(p, w);
        stk_set_sp(cpu, sp + w); /* before the write: POP SP keeps the popped value */
        reg_set(cpu, w, i->ra, v);
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}
FORM_INLINE void stack_pop_slow(struct cpu *cpu, const struct insn *i, unsigned w)
{
    uint64_t v = stk_peek(cpu, w, 0);
    stk_drop(cpu, w);
    reg_set(cpu, w, i->ra, v);
    insn_chain_mem(cpu, i);
}

#define STACK_W(w)                                                                                 \
    FORM_FN_MEM(push_r##w, stack_push, w, false)                                                   \
    FORM_FN_MEM(push_i##w, stack_push, w, true)                                                    \
    FORM_FN_MEM(pop_r##w, stack_pop, w)
STACK_W(2)
STACK_W(4)
STACK_W(8)

/* A memory operand is read before the stack is touched. */
static void push_any(struct cpu *cpu, const struct insn *i)
{
    stk_push(cpu, i->osz, form_load(cpu, i, i->osz));
    insn_chain_mem(cpu, i);
}

/* The address of a memory destination sees the incremented RSP; RSP changes last. */
static void pop_any(struct cpu *cpu, const struct insn *i)
{
    unsigned w = i->osz;
    uint64_t v = stk_peek(cpu, w, 0), off = insn_ea(cpu, i);
    if (i->base == offsetof(struct cpu, s.gpr) + 8u * REG_RSP) {
        off = (off + w) << i->ashift >> i->ashift;
    }
    mem_wr(cpu, i->seg, insn_la_off(cpu, i, off, w, ACC_WRITE), w, v);
    stk_drop(cpu, w);
    insn_chain_mem(cpu, i);
}

static void push_imm_any(struct cpu *cpu, const struct insn *i)
{
    (i->osz == 8 ? push_i8 : i->osz == 4 ? push_i4 : push_i2)(cpu, i);
}

static const insn_fn push_by[FORM_COUNT][4] = {
    [FORM_RR] = {NULL, push_r2, push_r4, push_r8},
};
static const insn_fn pop_by[FORM_COUNT][4] = {
    [FORM_RR] = {NULL, pop_r2, pop_r4, pop_r8},
};
const struct sem sem_push = {push_any, push_by, false};
const struct sem sem_pop = {pop_any, pop_by, false};
const struct sem sem_push_imm = {push_imm_any, NULL, false};

/* PUSH SP of the 8086. */
SEM(push_sp86)
{
    (void)i;
    stk_push(cpu, 2, (cpu->s.gpr[REG_RSP] - 2) & 0xffff);
}

/* FF /6 and its alias FF /7 on the 8086: likewise for SP. */
SEM(push86)
{
    uint64_t v = op_get(cpu, i, 0);
    stk_push(cpu, 2, i->mod3 && i->rm == REG_RSP ? v - 2 : v);
}

/* ---- PUSHA, POPA: A_I64, so 16 or 32-bit only ---- */
SEM(pusha)
{
    unsigned w = i->osz;
    uint64_t sp = stk_sp(cpu);
    gva la[8];
    for (unsigned r = 0; r < 8; r++) {
        uint64_t at = (sp - (r + 1) * w) & cpu->sp_mask;
        la[r] = mem_la(cpu, SEG_SS, at, w, ACC_WRITE);
        mem_probe(cpu, SEG_SS, la[r], w, ACC_WRITE, cpu->view);
    }
    for (unsigned r = 0; r < 8; r++) {
        mem_wr(cpu, SEG_SS, la[r], w, gpr_get(cpu, r, w));
    }
    stk_set_sp(cpu, sp - 8 * w);
}

SEM(popa)
{
    unsigned w = i->osz;
    uint64_t v[8];
    for (unsigned k = 0; k < 8; k++) {
        v[7 - k] = stk_peek(cpu, w, k * w);
    }
    stk_drop(cpu, 8 * w);
    for (unsigned r = 0; r < 8; r++) {
        if (r != REG_RSP) {
            gpr_set(cpu, r, w, v[r]);
        }
    }
}

/* ---- PUSHF, POPF ---- */
static unsigned stack_iopl(const struct cpu *cpu)
{
    return (unsigned)(cpu->s.rflags >> 12 & 3);
}

/* The 8086 reads bits 15:12 as ones; the 80286 in real mode as zeros. */
uint64_t stack_flags_image(const struct cpu *cpu)
{
    uint64_t fl = flags_get(cpu) & ~(uint64_t)(FL_VM | FL_RF);
    if (!cpu_has(cpu, FEAT_i286)) {
        fl |= 0xf000;
    }
    return fl;
}

SEM(pushf)
{
    uint64_t fl = stack_flags_image(cpu);
    if (cpu_v86(cpu) && stack_iopl(cpu) < 3) {
        if (i->osz != 2 || !(cpu->s.cr4 & CR4_VME)) {
            cpu_gp0(cpu);
        }
        /* VME: IF shows VIF, IOPL reads as 3 (SDM 3B 20.3.3). */
        fl = (fl & ~(uint64_t)FL_IF) | FL_IOPL | (cpu->s.rflags & FL_VIF ? FL_IF : 0);
    }
    stk_push(cpu, i->osz, fl);
}

SEM_END(popf)
{
    uint64_t val = stk_peek(cpu, i->osz, 0);
    uint64_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    if (i->osz != 2) {
        mask |= FL_AC | FL_ID | FL_RF;
        val &= ~(uint64_t)FL_RF;
    }
    if (cpu_v86(cpu)) {
        if (stack_iopl(cpu) == 3) {
            mask |= FL_IF;
        } else if (i->osz == 2 && (cpu->s.cr4 & CR4_VME)) {
            if ((val & FL_TF) || ((val & FL_IF) && (cpu->s.rflags & FL_VIP))) {
                cpu_gp0(cpu);
            }
            mask |= FL_VIF;
            val = (val & ~(uint64_t)FL_VIF) | (val & FL_IF ? FL_VIF : 0);
        } else {
            cpu_gp0(cpu);
        }
    } else if (!cpu_prot(cpu)) {
        mask |= FL_IF | FL_IOPL;
    } else {
        mask |= cpu->s.cpl == 0 ? FL_IOPL | FL_IF : cpu->s.cpl <= stack_iopl(cpu) ? FL_IF : 0;
    }
    /* What the processor has: no IOPL and NT in the real mode of the 80286 and before. */
    if (!cpu_has(cpu, FEAT_i386) && !cpu_prot(cpu)) {
        mask &= ~(uint64_t)(FL_IOPL | FL_NT);
    }
    if (!cpu_has(cpu, FEAT_i486)) {
        mask &= ~(uint64_t)FL_AC;
    }
    if (!cpu_has(cpu, FEAT_cpuid)) {
        mask &= ~(uint64_t)FL_ID;
    }
    stk_drop(cpu, i->osz);
    ctrl_set_flags(cpu, val, mask);
}

/* ---- ENTER, LEAVE ---- */
/* The frame pointer's width is the operand size, the pointers are used at the stack's width. */
SEM(enter)
{
    unsigned w = i->osz, level = i->imm2 & 31;
    uint64_t size = (uint16_t)i->imm, sp = stk_sp(cpu), bp = cpu->s.gpr[REG_RBP];
    /* All of ESP goes to EBP, also where the stack is 16 bits wide. */
    uint64_t frame = (cpu->s.gpr[REG_RSP] & ~cpu->sp_mask) | ((sp - w) & cpu->sp_mask);
    unsigned n = level + 1; /* words pushed */
    gva from[32], to[33];
    for (unsigned k = 0; k < n; k++) {
        if (k >= 1 && k < level) { /* the k-th outer frame pointer */
            from[k] = mem_la(cpu, SEG_SS, (bp - k * w) & cpu->sp_mask, w, ACC_READ);
            mem_probe(cpu, SEG_SS, from[k], w, ACC_READ, cpu->view);
        }
        to[k] = mem_la(cpu, SEG_SS, (sp - (k + 1) * w) & cpu->sp_mask, w, ACC_WRITE);
        mem_probe(cpu, SEG_SS, to[k], w, ACC_WRITE, cpu->view);
    }
    uint64_t end = (sp - n * w - size) & cpu->sp_mask;
    /* The new top of stack must be writable (SDM: #SS or #PF before anything is committed). */
    if (cpu_has(cpu, FEAT_i386)) {
        gva top = mem_la(cpu, SEG_SS, end, w, ACC_WRITE);
        mem_probe(cpu, SEG_SS, top, w, ACC_WRITE, cpu->view);
    }
    /* In order: a frame pointer may lie where an earlier one was just pushed. */
    for (unsigned k = 0; k < n; k++) {
        uint64_t val = k == 0 ? bp : k == level ? frame : mem_rd(cpu, SEG_SS, from[k], w);
        mem_wr(cpu, SEG_SS, to[k], w, val);
    }
    gpr_set(cpu, REG_RBP, w, frame);
    stk_set_sp(cpu, end);
}

SEM(leave)
{
    unsigned w = i->osz;
    uint64_t sp = cpu->s.gpr[REG_RBP] & cpu->sp_mask;
    uint64_t v = mem_rd(cpu, SEG_SS, mem_la(cpu, SEG_SS, sp, w, ACC_READ), w);
    stk_set_sp(cpu, sp + w);
    gpr_set(cpu, REG_RBP, w, v);
}
