/*
 * What the x87 instructions share: the register stack, the checks at the start of an instruction,
 * and the bookkeeping at its end. Semantics are in x87*.c, arithmetic is in cpu/fp.
 *
 * Every instruction runs in three steps. x87_begin() raises #NM or the #MF that is pending from
 * an earlier one. Then memory is read and the result computed under a private struct fp_env.
 * Last, memory is written (the final thing that can fault), registers change, and x87_finish()
 * folds the flags into the status word. An exception that is unmasked thus leaves operands as the
 * SDM says, and shows itself at the next waiting instruction.
 *
 * Registers are kept by physical number; ST(n) is number TOP + n. `empty` has a bit for each.
 * SW.ES and SW.B are kept up to date: they are set while an exception that CW does not mask is
 * pending. Sources: SDM vol. 1 chapter 8, and vol. 2 for each instruction.
 */
#ifndef DOPPEL_CPU_X87_H
#define DOPPEL_CPU_X87_H

#include "cpu/fp/fp.h"
#include "cpu/sem.h"

enum {
    X87_SF = 0x40,  /* SW: stack fault; also used in fp_env.flags */
    X87_ES = 0x80,  /* SW: an unmasked exception is pending */
    X87_C0 = 0x100, /* SW: condition codes */
    X87_C1 = 0x200,
    X87_C2 = 0x400,
    X87_TOP = 0x3800,
    X87_C3 = 0x4000,
    X87_B = 0x8000, /* SW: a copy of ES */
};

static inline struct x87 *x87_of(struct cpu *cpu)
{
    return &cpu->s.fpu[0];
}

/* ---- the stack ---- */
static inline unsigned x87_top(const struct x87 *f)
{
    return f->sw >> 11 & 7;
}

static inline unsigned x87_reg(const struct x87 *f, unsigned n)
{
    return (x87_top(f) + n) & 7;
}

static inline bool x87_empty(const struct x87 *f, unsigned n)
{
    return f->empty >> x87_reg(f, n) & 1;
}

static inline struct f80 x87_get(const struct x87 *f, unsigned n)
{
    unsigned r = x87_reg(f, n);
    return (struct f80){f->m[r], f->se[r]};
}

static inline void x87_set(struct x87 *f, unsigned n, struct f80 v)
{
    unsigned r = x87_reg(f, n);
    f->m[r] = v.m;
    f->se[r] = v.se;
    f->empty &= (uint8_t) ~(1u << r);
}

static inline void x87_move_top(struct x87 *f, unsigned by)
{
    f->sw = (uint16_t)((f->sw & ~(unsigned)X87_TOP) | ((x87_top(f) + by) & 7) << 11);
}

static inline void x87_free(struct x87 *f, unsigned n)
{
    f->empty |= (uint8_t)(1u << x87_reg(f, n));
}

static inline void x87_pop(struct x87 *f, unsigned count)
{
    for (; count > 0; count--) {
        x87_free(f, 0);
        x87_move_top(f, 1);
    }
}

static inline void x87_set_cc(struct x87 *f, uint16_t cc)
{
    f->sw = (uint16_t)((f->sw & ~(X87_C3 | X87_C2 | X87_C0)) | cc);
}

/* ---- the start of an instruction (x87.c) ---- */
/* CR0.EM or TS: #NM. All x87 instructions but FWAIT. */
static inline void x87_begin_nowait(struct cpu *cpu)
{
    if (UNLIKELY(cpu->s.cr0 & (CR0_EM | CR0_TS))) {
        cpu_raise(cpu, EXC_NM);
    }
}
/* A pending exception: #MF, or without CR0.NE a wait for the interrupt; returns under IGNNE#. */
void x87_pending(struct cpu *cpu);
/* Both: what a waiting instruction does. */
static inline struct x87 *x87_begin(struct cpu *cpu)
{
    struct x87 *f = x87_of(cpu);
    x87_begin_nowait(cpu);
    if (UNLIKELY(f->sw & X87_ES)) {
        x87_pending(cpu);
    }
    return f;
}

static inline struct fp_env x87_env(const struct x87 *f)
{
    return fp_env_x87(f->cw);
}

/* ---- the end of an instruction (x87.c) ---- */
/* Flags and C1 from the environment into SW; instruction and data pointers unless i is NULL. */
void x87_finish(struct cpu *cpu, const struct insn *i, const struct fp_env *e);
/* Recompute SW.ES and SW.B after SW or CW was changed as a whole, and drive FERR#. */
void x87_update_es(struct cpu *cpu);
/* Drive FERR# after SW.ES or CR0.NE was changed. */
void x87_drive_ferr(struct cpu *cpu);

/* Stack underflow instead of an operation: IE and SF, C1 clear. */
static inline void x87_underflow(struct fp_env *e)
{
    e->flags = FP_IE | X87_SF;
    e->roundup = false;
}

static inline bool x87_unmasked(const struct fp_env *e, unsigned which)
{
    return (e->flags & ~e->masks & which) != 0;
}

/* Do these exceptions keep a result from being stored into a register? */
static inline bool x87_blocked(const struct fp_env *e)
{
    return x87_unmasked(e, FP_IE | FP_DE | FP_ZE);
}

/* ST(dst) = v unless blocked, then `pops` pops, then x87_finish(). */
void x87_finish_reg(struct cpu *cpu, const struct insn *i, const struct fp_env *e, unsigned dst,
                    struct f80 v, unsigned pops);
/* Push v, or meet a stack overflow. DE does not block a load. */
void x87_finish_push(struct cpu *cpu, const struct insn *i, struct fp_env *e, struct f80 v);

/* ---- what instructions do behind x87_begin() and the read of their operand ----
 * Semantics call these; so does compiled code (x87_soft.c), with `i` NULL: it notes the instruction
 * and data pointers itself, and runs only while all exceptions are masked. */
enum x87_form { X87_F32, X87_F64, X87_F80, X87_I16, X87_I32, X87_I64, X87_BCD };
/* Push: a memory operand's bits; ST(n); a constant by the low three opcode bits. */
void x87_push_from(struct cpu *cpu, const struct insn *i, enum x87_form form, uint64_t v);
void x87_push_sti(struct cpu *cpu, const struct insn *i, unsigned n);
void x87_push_const(struct cpu *cpu, const struct insn *i, unsigned n);
/* ST0 in that form (of X87_F80 the significand), behind which it may be popped; for compiled code.
 */
uint64_t x87_take(struct cpu *cpu, enum x87_form form, bool truncate, bool pop);
void x87_store_sti(struct cpu *cpu, const struct insn *i, unsigned n, bool pop);
void x87_exchange(struct cpu *cpu, const struct insn *i, unsigned n);
void x87_cmov(struct cpu *cpu, const struct insn *i, unsigned n, bool cond);
void x87_sign(struct cpu *cpu, const struct insn *i, bool absolute); /* FABS, else FCHS */
/* op: 0 add, 1 multiply, 4 subtract, 5 reversed, 6 divide, 7 reversed. ST0 = ST0 op v; ST(dst) =
 * ST(dst) op ST(src). */
void x87_arith_from(struct cpu *cpu, const struct insn *i, unsigned op, enum x87_form form,
                    uint64_t v);
void x87_arith_reg(struct cpu *cpu, const struct insn *i, unsigned op, unsigned dst, unsigned src,
                   unsigned pops);
/* op of modrm.reg in DC and DE, which have subtraction and division exchanged with their reverses:
 * DC E0+i is FSUBR ST(i), ST0 = ST0 - ST(i). */
static inline unsigned x87_sti_op(unsigned reg)
{
    return reg & 4 ? reg ^ 1u : reg;
}
void x87_compare_from(struct cpu *cpu, const struct insn *i, enum x87_form form, uint64_t v,
                      bool pop);
void x87_compare_sti(struct cpu *cpu, const struct insn *i, unsigned n, bool signal_qnan,
                     unsigned pops);
/* FCOMI for compiled code: the arithmetic flags that EFLAGS get. */
uint32_t x87_comi(struct cpu *cpu, unsigned n, bool signal_qnan, bool pop);
void x87_test(struct cpu *cpu, const struct insn *i);    /* FTST */
void x87_examine(struct cpu *cpu, const struct insn *i); /* FXAM */
void x87_unary(struct cpu *cpu, const struct insn *i,
               struct f80 (*op)(struct fp_env *e, struct f80 a));

/* ---- memory operands ---- */
static inline uint64_t x87_load(struct cpu *cpu, const struct insn *i, unsigned size)
{
    return mem_rd(cpu, i->seg, insn_la(cpu, i, size, ACC_READ), size);
}

/* Linear address of an operand longer than 8 bytes, checked for `size`. With alignment checks on it
 * must be a multiple of `align`: 8 for 80-bit numbers and BCD, 4 or 2 for environments (SDM 3A
 * table 6-7). */
static inline gva x87_la(struct cpu *cpu, const struct insn *i, unsigned size, unsigned align,
                         enum mem_access acc)
{
    gva la = insn_la(cpu, i, size, acc);
    if (UNLIKELY(cpu->s.rflags & FL_AC)) {
        mem_probe(cpu, i->seg, la, align, acc, cpu->view);
    }
    return la;
}

static inline void x87_store(struct cpu *cpu, const struct insn *i, unsigned size, uint64_t v)
{
    mem_wr(cpu, i->seg, insn_la(cpu, i, size, ACC_WRITE), size, v);
}

#endif
