/*
 * Operand generators of the floating-point tests. Never two draws in one expression: C leaves
 * their order open, and the digests in the tests stand for one order.
 */
#include "tests/unit/fp_gen.h"

uint64_t fp_gen_pattern(struct t_rng *rng)
{
    uint64_t r = t_rand(rng);

    switch (t_rand_below(rng, 8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX << (r & 63);
    case 2:
        return UINT64_MAX >> (r & 63);
    case 3:
        return UINT64_C(1) << (r & 63);
    case 4:
        return (UINT64_C(1) << (r & 63)) - 1 + (r >> 32 & 3);
    case 5:
        return (UINT64_C(1) << (r & 63)) ^ UINT64_C(1) << (r >> 8 & 63) ^
               UINT64_C(1) << (r >> 16 & 63);
    case 6:
        return t_rand(rng) >> (r & 63) << (r >> 8 & 63);
    default:
        return r;
    }
}

/* An exponent field: ends of the range, around one, near the other's, anything. */
static uint64_t gen_exp(struct t_rng *rng, unsigned bits, unsigned exp_bits, uint64_t other_exp)
{
    uint64_t max = (UINT64_C(1) << exp_bits) - 1, bias = max >> 1, r = t_rand(rng);

    switch (t_rand_below(rng, 8)) {
    case 0:
        return t_rand_below(rng, 4);
    case 1:
        return max - t_rand_below(rng, 4);
    case 2:
        return (bias + t_rand_below(rng, 2 * bits + 8) - bits - 4) & max;
    case 3:
        return (other_exp + t_rand_below(rng, 5) - 2) & max;
    case 4:
        return (other_exp + t_rand_below(rng, 2 * bits + 8) - bits - 4) & max;
    case 5: /* the product or quotient with the other lies at an end of the range */
        return ((r & 1 ? bias - other_exp : other_exp - bias) + (r & 2 ? bias : 0) +
                t_rand_below(rng, 5) - 2) &
               max;
    case 6: /* as above, deep in the denormals */
        return ((r & 1 ? bias - other_exp : other_exp + bias) + 2 - t_rand_below(rng, bits + 4)) &
               max;
    default:
        return t_rand_below(rng, max + 1);
    }
}

uint64_t fp_gen(struct t_rng *rng, unsigned bits, unsigned exp_bits, uint64_t other)
{
    uint64_t frac_mask = (UINT64_C(1) << (bits - 1)) - 1, max = (UINT64_C(1) << exp_bits) - 1;
    uint64_t other_exp = other >> (bits - 1) & max;
    uint64_t sign = t_rand(rng) & 1, exp, frac;

    switch (t_rand_below(rng, 16)) {
    case 0: /* zero or infinity */
        exp = t_rand(rng) & 1 ? max : 0;
        frac = 0;
        break;
    case 1: /* NaN */
        exp = max;
        frac = fp_gen_pattern(rng);
        break;
    case 2: /* a relative */
        exp = other_exp;
        frac = other + t_rand_below(rng, 5) - 2;
        break;
    default:
        exp = gen_exp(rng, bits, exp_bits, other_exp);
        frac = t_rand(rng) & 1 ? fp_gen_pattern(rng) : fp_gen_pattern(rng) >> (64 - bits);
        break;
    }
    return sign << (bits - 1 + exp_bits) | exp << (bits - 1) | (frac & frac_mask);
}

struct f80 fp_gen_f80(struct t_rng *rng, struct f80 other)
{
    struct f80 a;
    uint64_t sign = t_rand(rng) & 1, r = t_rand(rng);

    a.m = fp_gen_pattern(rng) | UINT64_C(1) << 63;
    switch (t_rand_below(rng, 24)) {
    case 0:
        a = (struct f80){0, 0};
        break;
    case 1:
        a = (struct f80){UINT64_C(1) << 63, 0x7fff};
        break;
    case 2: /* NaN */
        a.se = 0x7fff;
        break;
    case 3: /* any encoding: unnormals, pseudo-NaNs and the like */
        a.m = fp_gen_pattern(rng);
        a.se = (uint16_t)gen_exp(rng, 64, 15, other.se & 0x7fff);
        break;
    case 4: /* denormal */
        a.m = fp_gen_pattern(rng);
        a.se = 0;
        break;
    case 5: /* a relative */
        a = other;
        a.m += t_rand_below(rng, 5) - 2;
        break;
    case 6: /* halfway for 53 or 24 bits */
        a.m = fp_gen_pattern(rng) << 11 | UINT64_C(1) << 10;
        a.m += t_rand_below(rng, 3) - 1;
        a.m = (r & 1 ? a.m : a.m << 29) | UINT64_C(1) << 63;
        a.se = (uint16_t)(0x3fff + t_rand_below(rng, 64) - 32);
        break;
    case 7: { /* the exponent ranges of float and double */
        int edge = (r & 1 ? 127 : 1023) + (int)t_rand_below(rng, 60) - 4;
        a.se = (uint16_t)(0x3fff + (r & 2 ? edge : -edge));
        break;
    }
    case 8: /* the range of integers */
        a.se = (uint16_t)(0x3fff + t_rand_below(rng, 68) - 2);
        break;
    default:
        a.se = (uint16_t)gen_exp(rng, 64, 15, other.se & 0x7fff);
        break;
    }
    a.se = (uint16_t)((a.se & 0x7fff) | sign << 15);
    return a;
}
