/*
 * x87 instructions for compiled code on hosts without an x87 FPU: what jit_env.x87_soft calls.
 *
 * The guest's state stays in the state table; each instruction is what its semantic does behind its
 * checks (cpu/x87.h), on cpu/fp. Code has checked the memory operand and passes its bits, or stores
 * what comes back. "Live" (env->x87_live) means here that C has seen that all exceptions are
 * masked, none is pending, and CR0 lets x87 instructions run: then nothing here can fault, and only
 * FLDCW, which code looks at itself, can end that within compiled code. As on x86-64 hosts
 * (x87_host.c) the instruction pointer is noted by code, and C that may run guest code settles.
 */
#include "cpu/x87.h"

#include "cpu/x87_host.h"

struct at {
    struct cpu *cpu;
    unsigned opcode, modrm, reg, rm;
    uint64_t v;
};

/* ---- with a memory operand ---- */

static uint64_t arithmetic(const struct at *a, enum x87_form form)
{
    if (a->reg == 2 || a->reg == 3) {
        x87_compare_from(a->cpu, NULL, form, a->v, a->reg == 3);
    } else {
        x87_arith_from(a->cpu, NULL, a->reg, form, a->v);
    }
    return 0;
}

static uint64_t push(const struct at *a, enum x87_form form)
{
    x87_push_from(a->cpu, NULL, form, a->v);
    return 0;
}

/* 0: load, 1: FISTTP, 2, 3: store and pop. */
static uint64_t move(const struct at *a, enum x87_form form)
{
    return a->reg == 0 ? push(a, form) : x87_take(a->cpu, form, a->reg == 1, a->reg != 2);
}

static uint64_t with_memory(const struct at *a)
{
    switch (a->opcode) {
    case 0xd8:
        return arithmetic(a, X87_F32);
    case 0xd9:
        return move(a, X87_F32);
    case 0xda:
        return arithmetic(a, X87_I32);
    case 0xdb:
        return a->reg == 5   ? push(a, X87_F64) /* of 80 bits: code does it but for a stack fault */
               : a->reg == 7 ? x87_take(a->cpu, X87_F80, false, true)
                             : move(a, X87_I32);
    case 0xdc:
        return arithmetic(a, X87_F64);
    case 0xdd:
        return a->reg == 1 ? x87_take(a->cpu, X87_I64, true, true) : move(a, X87_F64);
    case 0xde:
        return arithmetic(a, X87_I16);
    default:
        return a->reg == 5   ? push(a, X87_I64)
               : a->reg == 7 ? x87_take(a->cpu, X87_I64, false, true)
                             : move(a, X87_I16);
    }
}

/* ---- registers alone ---- */

/* C1 = 0, and nothing else is left to do. */
static uint64_t done(struct cpu *cpu)
{
    x87_of(cpu)->sw &= (uint16_t)~X87_C1;
    return 0;
}

static uint64_t d9(const struct at *a)
{
    struct cpu *cpu = a->cpu;
    switch (a->modrm & 0xf8) {
    case 0xc0:
        x87_push_sti(cpu, NULL, a->rm);
        return 0;
    case 0xc8:
        x87_exchange(cpu, NULL, a->rm);
        return 0;
    case 0xe8:
        x87_push_const(cpu, NULL, a->rm);
        return 0;
    default:
        break;
    }
    switch (a->modrm) {
    case 0xe0:
    case 0xe1:
        x87_sign(cpu, NULL, a->rm);
        return 0;
    case 0xe4:
        x87_test(cpu, NULL);
        return 0;
    case 0xe5:
        x87_examine(cpu, NULL);
        return 0;
    case 0xfa:
        x87_unary(cpu, NULL, f80_sqrt);
        return 0;
    case 0xfc:
        x87_unary(cpu, NULL, f80_round_to_int);
        return 0;
    case 0xf6:
    case 0xf7:
        x87_move_top(x87_of(cpu), a->modrm & 1 ? 1 : 7);
        return done(cpu);
    default:
        return 0; /* FNOP */
    }
}

/* FCMOV: v is the condition. FCOMI: the low byte of EFLAGS in bits 15:8, CF in bit 0. */
static uint64_t da_db(const struct at *a)
{
    if (a->reg < 4) {
        x87_cmov(a->cpu, NULL, a->rm, a->v != 0);
    } else if (a->opcode == 0xda) { /* FUCOMPP */
        x87_compare_sti(a->cpu, NULL, 1, false, 2);
    } else if (a->reg == 4) { /* FNCLEX; nothing is pending */
        x87_of(a->cpu)->sw &= X87_C3 | X87_TOP | X87_C2 | X87_C1 | X87_C0;
    } else {
        uint32_t f = x87_comi(a->cpu, a->rm, a->reg == 6, false);
        return f << 8 | (f & FL_CF);
    }
    return 0;
}

static uint64_t arithmetic_sti(const struct at *a)
{
    bool pop = a->opcode == 0xde;
    if (a->reg == 3) { /* DE D9: FCOMPP */
        x87_compare_sti(a->cpu, NULL, 1, true, 2);
    } else {
        x87_arith_reg(a->cpu, NULL, x87_sti_op(a->reg), a->rm, 0, pop);
    }
    return 0;
}

static uint64_t dd(const struct at *a)
{
    switch (a->reg) {
    case 0:
        x87_free(x87_of(a->cpu), a->rm);
        return done(a->cpu);
    case 2:
    case 3:
        x87_store_sti(a->cpu, NULL, a->rm, a->reg == 3);
        return 0;
    default:
        x87_compare_sti(a->cpu, NULL, a->rm, false, a->reg & 1);
        return 0;
    }
}

static uint64_t df(const struct at *a)
{
    if (a->reg == 0) { /* FFREEP */
        x87_free(x87_of(a->cpu), a->rm);
        x87_pop(x87_of(a->cpu), 1);
        return done(a->cpu);
    }
    uint32_t f = x87_comi(a->cpu, a->rm, a->reg == 6, true);
    return f << 8 | (f & FL_CF);
}

static uint64_t with_registers(const struct at *a)
{
    switch (a->opcode) {
    case 0xd8:
        if (a->reg == 2 || a->reg == 3) {
            x87_compare_sti(a->cpu, NULL, a->rm, true, a->reg & 1);
        } else {
            x87_arith_reg(a->cpu, NULL, a->reg, 0, a->rm, 0);
        }
        return 0;
    case 0xd9:
        return d9(a);
    case 0xda:
    case 0xdb:
        return da_db(a);
    case 0xdc:
    case 0xde:
        return arithmetic_sti(a);
    case 0xdd:
        return dd(a);
    default:
        return df(a);
    }
}

uint64_t x87_soft(struct jit_env *env, uint32_t what, uint64_t v)
{
    const struct at a = {.cpu = (struct cpu *)(void *)((char *)env - offsetof(struct cpu, jit)),
                         .opcode = 0xd8 | (what >> 8 & 7),
                         .modrm = what & 0xff,
                         .reg = what >> 3 & 7,
                         .rm = what & 7,
                         .v = v};
    return what & JIT_X87_MEM ? with_memory(&a) : with_registers(&a);
}
