/*
 * FMA3: fused multiply-add in three operand orders, packed and scalar.
 *
 * The 60 mnemonics are one operation. The opcode's high digit is the order (9: 132, A: 213,
 * B: 231), the low one the kind (6 ADDSUB, 7 SUBADD, 8 ADD, A SUB, C NADD, E NSUB; odd: scalar),
 * VEX.W the precision. ADDSUB adds in odd elements and subtracts in even ones.
 *
 * Sources: SDM 1 14.5; SDM 2C VFMADD132PD and the like.
 */
#include "cpu/vecfp.h"

/* Bits of enum fp_fma for element k. */
static inline unsigned fma_signs(unsigned kind, unsigned k)
{
    switch (kind & 0xe) {
    case 0x6: /* ADDSUB and SUBADD are 6 and 7 */
        return (k & 1) == (kind & 1) ? FP_NEG_ADDEND : 0;
    case 0x8:
        return 0;
    case 0xa:
        return FP_NEG_ADDEND;
    case 0xc:
        return FP_NEG_PRODUCT;
    default:
        return FP_NEG_PRODUCT | FP_NEG_ADDEND;
    }
}

static void fma_elements(struct cpu *cpu, const struct insn *i, unsigned n)
{
    unsigned kind = i->opcode & 0xf, count = i->pfx & PFX_W ? n / 8 : n / 4;
    union vec v[3] = {vec_get(cpu, i->reg, 32), vec_get(cpu, i->vvvv, 32)};
    static const uint8_t orders[3][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}};
    const uint8_t *order = orders[(i->opcode >> 4) - 9];
    v[2] = n == 32   ? vec_w(cpu, i, 32, false)
           : n == 16 ? vec_w(cpu, i, 16, false)
                     : vec_w(cpu, i, n, false);
    const union vec *a = &v[order[0]], *b = &v[order[1]], *c = &v[order[2]];
    union vec d = v[0];
    struct fp_env e;
    vecfp_env(&e, cpu->s.mxcsr);
    for (unsigned k = 0; k < count; k++) {
        if (i->pfx & PFX_W) {
            d.q[k] = f64_fma(&e, a->q[k], b->q[k], c->q[k], fma_signs(kind, k));
        } else {
            unsigned at = VD(k);
            d.d[at] = f32_fma(&e, a->d[at], b->d[at], c->d[at], fma_signs(kind, k));
        }
    }
    vecfp_commit(cpu, &e);
    vec_set_zx(cpu, i->reg, &d, n < 16 ? 16 : n);
}

SEM(fma_packed)
{
    avx_check(cpu);
    fma_elements(cpu, i, insn_vl(i));
}

SEM(fma_scalar)
{
    avx_check(cpu);
    fma_elements(cpu, i, i->pfx & PFX_W ? 8 : 4);
}
