/*
 * Arithmetic flags, kept as two words from which every flag can be rebuilt: the lazy form.
 *
 * lf_res: the last result, sign-extended to 64 bits: ZF = (res == 0), SF = sign, PF = parity of the
 * low byte. lf_aux: carries, in fixed places whatever the width:
 *     bit 63 CF, bit 62 OF ^ CF (the carry into the sign bit), bit 3 AF,
 *     bit 0 SF inverted against res, bits 15:8 XORed into the low byte for PF.
 * The last two let any combination of flags be expressed (POPF with ZF and SF both set). There is
 * one form for all operations, so reading a flag needs no switch. Arithmetic bits of s.rflags are
 * stale while running; flags_get() is the truth. The idea of a carry vector is as old as ALUs:
 * carry out of each bit of a + b is (a & b) | ((a | b) & ~sum).
 */
#ifndef DOPPEL_CPU_FLAGS_H
#define DOPPEL_CPU_FLAGS_H

#include "cpu/cpu.h"

#define LF_CF  (UINT64_C(1) << 63)
#define LF_PO  (UINT64_C(1) << 62)
#define LF_AF  UINT64_C(8)
#define LF_SFD UINT64_C(1)

static inline bool flag_cf(const struct cpu *cpu)
{
    return cpu->lf_aux >> 63;
}
static inline bool flag_of(const struct cpu *cpu)
{
    return (cpu->lf_aux >> 63 ^ cpu->lf_aux >> 62) & 1;
}
static inline bool flag_zf(const struct cpu *cpu)
{
    return cpu->lf_res == 0;
}
static inline bool flag_sf(const struct cpu *cpu)
{
    return (cpu->lf_res >> 63 ^ cpu->lf_aux) & 1;
}
static inline bool flag_af(const struct cpu *cpu)
{
    return cpu->lf_aux >> 3 & 1;
}
static inline bool flag_pf(const struct cpu *cpu)
{
    return !__builtin_parity((unsigned)((cpu->lf_res ^ cpu->lf_aux >> 8) & 0xff));
}

/* All six, at their EFLAGS positions. */
static inline uint32_t flags_arith(const struct cpu *cpu)
{
    return (uint32_t)flag_cf(cpu) | (uint32_t)flag_pf(cpu) << 2 | (uint32_t)flag_af(cpu) << 4 |
           (uint32_t)flag_zf(cpu) << 6 | (uint32_t)flag_sf(cpu) << 7 | (uint32_t)flag_of(cpu) << 11;
}

/* Set all six from EFLAGS positions; other bits of fl are ignored. */
static inline void flags_set_arith(struct cpu *cpu, uint64_t fl)
{
    uint64_t cf = fl & 1, of = fl >> 11 & 1, sf = fl >> 7 & 1, zf = fl >> 6 & 1;
    uint64_t pf = fl >> 2 & 1, af = fl >> 4 & 1;
    uint64_t res = zf ? 0 : 1 | sf << 63;           /* low byte 0 (even) or 1 (odd parity) */
    uint64_t pdb = (zf ? 0u : 1u) ^ (pf ? 0u : 1u); /* flip the byte's parity where PF differs */
    cpu->lf_res = res;
    cpu->lf_aux = cf << 63 | (cf ^ of) << 62 | af << 3 | pdb << 8 | (zf & sf);
}

/* The whole RFLAGS image. */
static inline uint64_t flags_get(const struct cpu *cpu)
{
    return (cpu->s.rflags & ~(uint64_t)FL_ARITH) | flags_arith(cpu) | FL_1;
}

/* CF alone, others kept (CLC, STC, CMC, BT without... see the rows). */
static inline void flags_set_cf(struct cpu *cpu, bool cf)
{
    uint64_t flip = (uint64_t)(cf != flag_cf(cpu));
    cpu->lf_aux ^= flip << 63 | flip << 62; /* PO moves along, so OF stays */
}

/* CF and OF alone, others kept (rotates). */
static inline void flags_set_cf_of(struct cpu *cpu, bool cf, bool of)
{
    cpu->lf_aux = (cpu->lf_aux & ~(LF_CF | LF_PO)) | (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}

/* ZF alone, others kept (BSF, CMPXCHG8B). */
static inline void flags_set_zf(struct cpu *cpu, bool zf)
{
    flags_set_arith(cpu, (flags_arith(cpu) & ~FL_ZF) | (zf ? FL_ZF : 0));
}

/* Store the recipe of a result of `w` bytes: carry holds the carry out of each bit position. */
static inline void flags_set_carry(struct cpu *cpu, unsigned w, uint64_t res, uint64_t carry)
{
    cpu->lf_res = bits_sext(res, w * 8);
    cpu->lf_aux = (carry << (64 - 8 * w) & (LF_CF | LF_PO)) | (carry & LF_AF);
}

/* Result with CF = OF = AF = 0 (AND, OR, XOR, TEST: AF is undefined, doppel clears it). */
static inline void flags_set_logic(struct cpu *cpu, unsigned w, uint64_t res)
{
    cpu->lf_res = bits_sext(res, w * 8);
    cpu->lf_aux = 0;
}

/* Condition codes 0..15 as encoded in Jcc, SETcc, CMOVcc (SDM 1 appendix B). */
static inline bool flags_cond(const struct cpu *cpu, unsigned cc)
{
    bool r;
    switch (cc >> 1) {
    case 0:
        r = flag_of(cpu);
        break;
    case 1:
        r = flag_cf(cpu);
        break;
    case 2:
        r = flag_zf(cpu);
        break;
    case 3:
        r = flag_cf(cpu) || flag_zf(cpu);
        break;
    case 4:
        r = flag_sf(cpu);
        break;
    case 5:
        r = flag_pf(cpu);
        break;
    case 6:
        r = flag_sf(cpu) != flag_of(cpu);
        break;
    default:
        r = flag_zf(cpu) || flag_sf(cpu) != flag_of(cpu);
        break;
    }
    return r ^ (cc & 1);
}

#endif
