/*
 * Operands for the floating-point tests: biased to extremes, and to pairs that meet each other's
 * corner cases (cancellation, halfway sums, equal magnitudes).
 */
#ifndef TESTS_UNIT_FP_GEN_H
#define TESTS_UNIT_FP_GEN_H

#include "cpu/fp/fp.h"
#include "tests/t.h"

/* A number of the interchange format with this many significand and exponent bits. `other` is an
 * earlier operand, of which it is sometimes a relative. */
uint64_t fp_gen(struct t_rng *rng, unsigned bits, unsigned exp_bits, uint64_t other);

struct f80 fp_gen_f80(struct t_rng *rng, struct f80 other);

/* A 64-bit pattern with few transitions: runs of ones and zeros, single bits, small numbers. */
uint64_t fp_gen_pattern(struct t_rng *rng);

/* Two BCD digits. */
static inline uint8_t fp_gen_bcd(struct t_rng *rng)
{
    uint64_t n = t_rand_below(rng, 100);
    return (uint8_t)(n / 10 << 4 | n % 10);
}

/* Fold a value into a digest (FNV-1a by 64-bit words). */
static inline uint64_t fp_digest(uint64_t digest, uint64_t value)
{
    digest ^= value;
    digest *= UINT64_C(0x100000001b3);
    return digest ^ digest >> 29;
}

#endif
