/*
 * x87: arithmetic, comparisons, transcendentals. Stack checks come first, then cpu/fp does the
 * work.
 *
 * Names follow the operand: _m32 _m64 floats in memory, _i16 _i32 integers in memory, _st0 and _sti
 * the register that takes the result.
 */
#include "cpu/x87.h"

/* ---- the six of D8, DA, DC, DE ---- */

/* By modrm.reg: 0 add, 1 multiply, 4 subtract, 5 reversed, 6 divide, 7 reversed. */
static struct f80 compute(struct fp_env *e, unsigned op, struct f80 a, struct f80 b)
{
    switch (op & 7) {
    case 0:
        return f80_add(e, a, b);
    case 1:
        return f80_mul(e, a, b);
    case 4:
        return f80_sub(e, a, b);
    case 5:
        return f80_sub(e, b, a);
    case 6:
        return f80_div(e, a, b);
    default:
        return f80_div(e, b, a);
    }
}

/* A float or an integer in memory, for the operation that follows. */
static struct f80 widened(struct fp_env *e, enum x87_form form, uint64_t v)
{
    switch (form) {
    case X87_F32:
        return f80_widen_f32(e, (uint32_t)v);
    case X87_F64:
        return f80_widen_f64(e, v);
    case X87_I16:
        return f80_from_i32((int16_t)v);
    default:
        return f80_from_i32((int32_t)v);
    }
}

void x87_arith_from(struct cpu *cpu, const struct insn *i, unsigned op, enum x87_form form,
                    uint64_t v)
{
    const struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 r = F80_INDEFINITE, b = widened(&e, form, v);

    if (x87_empty(f, 0)) {
        x87_underflow(&e);
    } else {
        r = compute(&e, op, x87_get(f, 0), b);
    }
    x87_finish_reg(cpu, i, &e, 0, r, 0);
}

void x87_arith_reg(struct cpu *cpu, const struct insn *i, unsigned op, unsigned dst, unsigned src,
                   unsigned pops)
{
    const struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 r = F80_INDEFINITE;

    if (x87_empty(f, dst) || x87_empty(f, src)) {
        x87_underflow(&e);
    } else {
        r = compute(&e, op, x87_get(f, dst), x87_get(f, src));
    }
    x87_finish_reg(cpu, i, &e, dst, r, pops);
}

static void arith_mem(struct cpu *cpu, const struct insn *i, enum x87_form form, unsigned size)
{
    x87_begin(cpu);
    x87_arith_from(cpu, i, i->reg, form, x87_load(cpu, i, size));
}

SEM(farith_m32)
{
    arith_mem(cpu, i, X87_F32, 4);
}

SEM(farith_m64)
{
    arith_mem(cpu, i, X87_F64, 8);
}

SEM(farith_i16)
{
    arith_mem(cpu, i, X87_I16, 2);
}

SEM(farith_i32)
{
    arith_mem(cpu, i, X87_I32, 4);
}

SEM(farith_st0)
{
    x87_begin(cpu);
    x87_arith_reg(cpu, i, i->reg, 0, i->rm & 7, 0);
}

SEM(farith_sti)
{
    x87_begin(cpu);
    x87_arith_reg(cpu, i, x87_sti_op(i->reg), i->rm & 7, 0, i->opcode == 0xde);
}

/* ---- comparisons ---- */

static uint16_t relation_cc(enum fp_rel rel)
{
    return rel == FP_UNORDERED ? X87_C3 | X87_C2 | X87_C0
           : rel == FP_LESS    ? X87_C0
           : rel == FP_EQUAL   ? X87_C3
                               : 0;
}

/* The condition codes are set even if the exception is unmasked; the pops then wait. */
static void compare(struct cpu *cpu, const struct insn *i, struct fp_env *e, struct f80 b,
                    bool b_empty, bool signal_qnan, unsigned pops)
{
    struct x87 *f = x87_of(cpu);
    enum fp_rel rel = FP_UNORDERED;

    if (x87_empty(f, 0) || b_empty) {
        x87_underflow(e);
    } else {
        rel = f80_compare(e, x87_get(f, 0), b, signal_qnan);
    }
    x87_set_cc(f, relation_cc(rel));
    if (!x87_blocked(e)) {
        x87_pop(f, pops);
    }
    x87_finish(cpu, i, e);
}

void x87_compare_sti(struct cpu *cpu, const struct insn *i, unsigned n, bool signal_qnan,
                     unsigned pops)
{
    const struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    compare(cpu, i, &e, x87_get(f, n), x87_empty(f, n), signal_qnan, pops);
}

void x87_compare_from(struct cpu *cpu, const struct insn *i, enum x87_form form, uint64_t v,
                      bool pop)
{
    struct fp_env e = x87_env(x87_of(cpu));
    struct f80 b = widened(&e, form, v);
    compare(cpu, i, &e, b, false, true, pop);
}

static void compare_sti(struct cpu *cpu, const struct insn *i, unsigned n, bool signal_qnan,
                        unsigned pops)
{
    x87_begin(cpu);
    x87_compare_sti(cpu, i, n, signal_qnan, pops);
}

static void compare_mem(struct cpu *cpu, const struct insn *i, enum x87_form form, unsigned size)
{
    x87_begin(cpu);
    x87_compare_from(cpu, i, form, x87_load(cpu, i, size), i->reg & 1);
}

SEM(fcom_m32)
{
    compare_mem(cpu, i, X87_F32, 4);
}

SEM(fcom_m64)
{
    compare_mem(cpu, i, X87_F64, 8);
}

SEM(ficom_i16)
{
    compare_mem(cpu, i, X87_I16, 2);
}

SEM(ficom_i32)
{
    compare_mem(cpu, i, X87_I32, 4);
}

SEM(fcom_sti)
{
    compare_sti(cpu, i, i->rm & 7, true, 0);
}

SEM(fcomp_sti)
{
    compare_sti(cpu, i, i->rm & 7, true, 1);
}

SEM(fucom_sti)
{
    compare_sti(cpu, i, i->rm & 7, false, 0);
}

SEM(fucomp_sti)
{
    compare_sti(cpu, i, i->rm & 7, false, 1);
}

/* FCOMPP DE D9, FUCOMPP DA E9. */
SEM(fcompp)
{
    compare_sti(cpu, i, 1, i->opcode == 0xde, 2);
}

void x87_test(struct cpu *cpu, const struct insn *i)
{
    struct fp_env e = x87_env(x87_of(cpu));
    compare(cpu, i, &e, F80_ZERO, false, true, 0);
}

SEM(ftst)
{
    x87_begin(cpu);
    x87_test(cpu, i);
}

/*
 * FCOMI DB F0, FUCOMI DB E8; with DF they pop. As SDM 2A has it: C1 is cleared, and EFLAGS stay as
 * they were if an invalid operation is unmasked. (AMD processors keep C1 and set EFLAGS.)
 */
static uint32_t relation_flags(enum fp_rel rel)
{
    return rel == FP_UNORDERED ? FL_ZF | FL_PF | FL_CF
           : rel == FP_LESS    ? FL_CF
           : rel == FP_EQUAL   ? FL_ZF
                               : 0;
}

/* A comparison of ST0 with ST(n): its flags are in the environment, nothing else is done. */
static enum fp_rel compare_flags(const struct x87 *f, struct fp_env *e, unsigned n, bool signal)
{
    if (x87_empty(f, 0) || x87_empty(f, n)) {
        x87_underflow(e);
        return FP_UNORDERED;
    }
    return f80_compare(e, x87_get(f, 0), x87_get(f, n), signal);
}

uint32_t x87_comi(struct cpu *cpu, unsigned n, bool signal_qnan, bool pop)
{
    struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    enum fp_rel rel = compare_flags(f, &e, n, signal_qnan);
    x87_pop(f, pop);
    x87_finish(cpu, NULL, &e);
    return relation_flags(rel);
}

SEM(fcomi)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    enum fp_rel rel = compare_flags(f, &e, i->rm & 7, (i->reg & 7) == 6);

    if (!x87_unmasked(&e, FP_IE)) {
        flags_set_arith(cpu, relation_flags(rel));
    }
    if (!x87_blocked(&e)) {
        x87_pop(f, i->opcode == 0xdf);
    }
    x87_finish(cpu, i, &e);
}

void x87_examine(struct cpu *cpu, const struct insn *i)
{
    struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 v = x87_get(f, 0);
    uint16_t cc = x87_empty(f, 0) ? X87_C3 | X87_C0 : f80_examine(v) & (uint16_t)~X87_C1;

    x87_set_cc(f, cc);
    e.roundup = v.se & 0x8000; /* C1 is the sign, also of an empty register */
    x87_finish(cpu, i, &e);
}

SEM(fxam)
{
    x87_begin(cpu);
    x87_examine(cpu, i);
}

/* ---- one operand ---- */

void x87_unary(struct cpu *cpu, const struct insn *i,
               struct f80 (*op)(struct fp_env *e, struct f80 a))
{
    const struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 r = F80_INDEFINITE;

    if (x87_empty(f, 0)) {
        x87_underflow(&e);
    } else {
        r = op(&e, x87_get(f, 0));
    }
    x87_finish_reg(cpu, i, &e, 0, r, 0);
}

SEM(fsqrt)
{
    x87_begin(cpu);
    x87_unary(cpu, i, f80_sqrt);
}

SEM(frndint)
{
    x87_begin(cpu);
    x87_unary(cpu, i, f80_round_to_int);
}

SEM(f2xm1)
{
    x87_begin(cpu);
    x87_unary(cpu, i, f80_f2xm1);
}

/* FSIN D9 FE, FCOS D9 FF: C2 tells whether the operand was in range. */
SEM(fsin_fcos)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    struct f80 r = F80_INDEFINITE;
    bool in_range = true;

    if (x87_empty(f, 0)) {
        x87_underflow(&e);
    } else if (i->modrm == 0xfe) {
        in_range = f80_sin(&e, x87_get(f, 0), &r);
    } else {
        in_range = f80_cos(&e, x87_get(f, 0), &r);
    }
    f->sw = (uint16_t)(in_range ? f->sw & ~X87_C2 : f->sw | X87_C2);
    if (in_range) {
        x87_finish_reg(cpu, i, &e, 0, r, 0);
    } else {
        x87_finish(cpu, i, &e);
    }
}

/* ST0 = first, then push second; or a stack overflow. */
static void finish_two(struct cpu *cpu, const struct insn *i, struct fp_env *e, struct f80 first,
                       struct f80 second)
{
    struct x87 *f = x87_of(cpu);

    if (!x87_blocked(e)) {
        x87_set(f, 0, first);
        x87_move_top(f, 7);
        x87_set(f, 0, second);
    }
    x87_finish(cpu, i, e);
}

/* Underflow before overflow; true when there is either. */
static bool stack_fault_two(const struct x87 *f, struct fp_env *e)
{
    if (x87_empty(f, 0)) {
        x87_underflow(e);
        return true;
    }
    if (!x87_empty(f, 7)) {
        x87_underflow(e);
        e->roundup = true; /* C1: overflow */
        return true;
    }
    return false;
}

/* FSINCOS D9 FB, FPTAN D9 F2. */
SEM(fsincos_fptan)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    struct f80 first = F80_INDEFINITE, second = F80_INDEFINITE;
    bool in_range = true;

    if (!stack_fault_two(f, &e)) {
        if (i->modrm == 0xfb) {
            in_range = f80_sincos(&e, x87_get(f, 0), &first, &second);
        } else {
            in_range = f80_ptan(&e, x87_get(f, 0), &first);
            second = (first.se & 0x7fff) == 0x7fff ? first : F80_ONE;
        }
    }
    f->sw = (uint16_t)(in_range ? f->sw & ~X87_C2 : f->sw | X87_C2);
    if (in_range) {
        finish_two(cpu, i, &e, first, second);
    } else {
        x87_finish(cpu, i, &e);
    }
}

SEM(fxtract)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    struct f80 exponent = F80_INDEFINITE, significand = F80_INDEFINITE;

    if (!stack_fault_two(f, &e)) {
        significand = f80_extract(&e, x87_get(f, 0), &exponent);
    }
    finish_two(cpu, i, &e, exponent, significand);
}

/* ---- ST0 and ST1 ---- */

static bool underflow_two(const struct x87 *f, struct fp_env *e)
{
    if (x87_empty(f, 0) || x87_empty(f, 1)) {
        x87_underflow(e);
        return true;
    }
    return false;
}

/* FYL2X D9 F1, FPATAN D9 F3, FYL2XP1 D9 F9: into ST1, then pop. */
SEM(flog_fpatan)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    struct f80 r = F80_INDEFINITE, x = x87_get(f, 0), y = x87_get(f, 1);

    if (underflow_two(f, &e)) {
        /* r stands */
    } else if (i->modrm == 0xf1) {
        r = f80_yl2x(&e, x, y);
    } else if (i->modrm == 0xf9) {
        r = f80_yl2xp1(&e, x, y);
    } else {
        r = f80_patan(&e, y, x);
    }
    x87_finish_reg(cpu, i, &e, 1, r, 1);
}

SEM(fscale)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    struct f80 r = F80_INDEFINITE;

    if (!underflow_two(f, &e)) {
        r = f80_scale(&e, x87_get(f, 0), x87_get(f, 1));
    }
    x87_finish_reg(cpu, i, &e, 0, r, 0);
}

/* FPREM D9 F8, FPREM1 D9 F5. C0 C3 C1: quotient bits 2 1 0. */
SEM(fprem)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    struct f80_rem r = {.value = F80_INDEFINITE};

    if (!underflow_two(f, &e)) {
        r = i->modrm == 0xf8 ? f80_prem(&e, x87_get(f, 0), x87_get(f, 1))
                             : f80_prem1(&e, x87_get(f, 0), x87_get(f, 1));
        e.roundup = r.quotient & 1;
    }
    if ((r.value.se & 0x7fff) == 0x7fff || x87_blocked(&e)) { /* no quotient: C0, C3 stay */
        f->sw &= (uint16_t)~X87_C2;
    } else {
        x87_set_cc(f, (uint16_t)((r.quotient & 4 ? X87_C0 : 0) | (r.quotient & 2 ? X87_C3 : 0) |
                                 (r.partial ? X87_C2 : 0)));
    }
    x87_finish_reg(cpu, i, &e, 0, r.value, 0);
}
