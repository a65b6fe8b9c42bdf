/*
 * Flags that compiled code left as a recipe (enum jit_cc), into the lazy form of cpu/flags.h.
 */
#include "cpu/engine_impl.h"
#include "cpu/flags.h"

static void settle_values(struct cpu *cpu, unsigned cc, unsigned w, uint64_t res, uint64_t b)
{
    uint64_t a;
    bool cf = cpu->jit.cc_cf & 1, msb = res >> (8 * w - 1) & 1;
    switch (cc) {
    case CC_ADD:
        a = res - b;
        flags_set_carry(cpu, w, res, (a & b) | ((a | b) & ~res));
        break;
    case CC_ADC:
        a = res - b - cf;
        flags_set_carry(cpu, w, res, (a & b) | ((a | b) & ~res));
        break;
    case CC_SUB:
        a = res + b;
        flags_set_carry(cpu, w, res, (~a & b) | ((~a | b) & res));
        break;
    case CC_SBB:
        a = res + b + cf;
        flags_set_carry(cpu, w, res, (~a & b) | ((~a | b) & res));
        break;
    case CC_CMP:
        a = res;
        res = a - b;
        flags_set_carry(cpu, w, res, (~a & b) | ((~a | b) & res));
        break;
    case CC_INC:
        a = res - 1;
        flags_set_carry(cpu, w, res, (a & 1) | ((a | 1) & ~res));
        flags_set_cf(cpu, cf);
        break;
    case CC_DEC:
        a = res + 1;
        flags_set_carry(cpu, w, res, (~a & 1) | ((~a | 1) & res));
        flags_set_cf(cpu, cf);
        break;
    case CC_NEG:
        b = 0 - res;
        flags_set_carry(cpu, w, res, b | res);
        break;
    case CC_SHL:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, cf != msb);
        break;
    case CC_SHR:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, b == 1 && (res >> (8 * w - 2) & 1));
        break;
    case CC_SAR:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, false);
        break;
    case CC_MUL:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, cf);
        break;
    case CC_CFOF:
        flags_set_logic(cpu, w, res);
        flags_set_cf_of(cpu, cf, cpu->jit.cc_cf >> 8 & 1);
        break;
    case CC_ZF:
        flags_set_arith(cpu, res & bits_mask(8 * w) ? 0 : FL_ZF);
        break;
    case CC_LOGIC:
        flags_set_logic(cpu, w, res);
        break;
    case CC_BITS:
        flags_set_arith(cpu, res >> 8 & 0xff);
        break;
    case CC_BITSO:
        flags_set_arith(cpu, (res >> 8 & 0xff) | (cpu->jit.cc_cf >> 8 & 1 ? FL_OF : 0));
        break;
    default:
        break;
    }
}

/* Flags that come from elsewhere than the recipe in memory. */
static void settle_over(struct cpu *cpu, unsigned over)
{
    unsigned bits = 8u << (over & 3);
    uint64_t r = cpu->jit.cc_over;
    bool low = r & 1, msb = r >> (bits - 1) & 1;
    switch (over >> 2) {
    case OVER_ROL:
        flags_set_cf_of(cpu, low, low != msb);
        break;
    case OVER_ROR:
        flags_set_cf_of(cpu, msb, msb != (r >> (bits - 2) & 1));
        break;
    case OVER_CF:
        flags_set_cf(cpu, low);
        break;
    case OVER_CFOF:
        flags_set_cf_of(cpu, low, r >> 8 & 1);
        break;
    default:
        break;
    }
}

void engine_settle(struct cpu *cpu, const struct jit_recipe *r)
{
    struct jit_env *env = &cpu->jit;
    bool zf = r->zf;
    if (r->slot) {
        unsigned op = env->cc_op;
        settle_values(cpu, op >> 2 & 0x3f, 1u << (op & 3), env->cc_res, env->cc_b);
        if (op >> 16 & 1) {
            flags_set_arith(cpu, (env->cc_sahf & 0xff) | (flags_arith(cpu) & FL_OF));
        }
        settle_over(cpu, op >> 8 & 0xff);
        zf = op >> 24 & 1;
    } else {
        uint64_t res = r->res_at == LOC_REG ? cpu->s.gpr[r->res_reg] : env->cc_res;
        uint64_t b = r->b_at == LOC_REG   ? cpu->s.gpr[r->b_reg]
                     : r->b_at == LOC_IMM ? (uint64_t)(int64_t)r->b_imm
                                          : env->cc_b;
        settle_values(cpu, r->cc, 1u << r->lw, res, b);
    }
    if (zf) {
        flags_set_zf(cpu, env->cc_zf & 1);
    }
    env->cc_op = CC_CANON << 2;
}

void engine_settle_memory(struct cpu *cpu)
{
    engine_settle(cpu, &(struct jit_recipe){.slot = true});
}
