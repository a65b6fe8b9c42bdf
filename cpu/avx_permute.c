/*
 * AVX and AVX2 moves of elements across lanes: broadcasts, permutes, inserts and extracts of
 * 128 bits, VPBLENDD, VZEROUPPER and VZEROALL.
 *
 * Sources: SDM 2C VBROADCAST, VPERM*, VINSERT*, VEXTRACT*; SDM 2D VZEROALL.
 */
#include "cpu/packed.h"

/* ---- broadcasts: the low `size` bytes of the operand everywhere ---- */
static ALWAYS_INLINE void broadcast(struct cpu *cpu, const struct insn *i, unsigned size)
{
    union vec b, d;
    avx_check(cpu);
    b = vec_w(cpu, i, size, false);
    if (size < 8) {
        const uint64_t ones = size == 1   ? UINT64_C(0x0101010101010101)
                              : size == 2 ? UINT64_C(0x0001000100010001)
                                          : UINT64_C(0x0000000100000001);
        b.q[0] = (b.q[0] & bits_mask(8 * size)) * ones;
    }
    d.q[0] = d.q[2] = b.q[0];
    d.q[1] = d.q[3] = size == 16 ? b.q[1] : b.q[0];
    vec_set_zx(cpu, i->reg, &d, insn_vl(i));
}

// clang-format off
SEM(vpbroadcastb) { broadcast(cpu, i, 1); }
SEM(vpbroadcastw) { broadcast(cpu, i, 2); }
SEM(vpbroadcastd) { broadcast(cpu, i, 4); }   /* VBROADCASTSS too */
SEM(vpbroadcastq) { broadcast(cpu, i, 8); }   /* VBROADCASTSD too */
SEM(vbroadcast128) { broadcast(cpu, i, 16); }

#define OP(op)                                                                              \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)
#define OP_I(op)                                                                            \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n, unsigned imm)
// clang-format on

/* ---- within lanes, by a vector or an immediate ---- */
OP(permilps)
{
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[VD(k)] = a->d[VD((k & ~3u) + (b->d[VD(k)] & 3))];
    }
}

OP(permilpd)
{
    for (unsigned k = 0; k < n / 8; k++) {
        d->q[k] = a->q[(k & ~1u) + (b->q[k] >> 1 & 1)];
    }
}

OP_I(permilpd_imm)
{
    (void)a;
    for (unsigned k = 0; k < n / 8; k++) {
        d->q[k] = b->q[(k & ~1u) + (imm >> k & 1)];
    }
}

/* ---- over the whole register ---- */
OP(permd)
{
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[VD(k)] = b->d[VD(a->d[VD(k)] & 7)];
    }
}

OP_I(permq)
{
    (void)a;
    for (unsigned k = 0; k < n / 8; k++) {
        d->q[k] = b->q[imm >> 2 * k & 3];
    }
}

OP_I(perm2f128)
{
    (void)n;
    for (unsigned k = 0; k < 2; k++, imm >>= 4) {
        const union vec *s = imm & 2 ? b : a;
        d->q[2 * k] = imm & 8 ? 0 : s->q[2 * (imm & 1)];
        d->q[2 * k + 1] = imm & 8 ? 0 : s->q[2 * (imm & 1) + 1];
    }
}

OP_I(pblendd)
{
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[VD(k)] = (imm >> k & 1 ? b : a)->d[VD(k)];
    }
}

// clang-format off
SEM_AVX(permilps)   SEM_AVX(permilpd)  SEM_AVX(permd)
SEM_AVX_I(permq)    SEM_AVX_I(permilpd_imm)
SEM_AVX_I(perm2f128) SEM_AVX_I(pblendd)
    // clang-format on

    /* ---- 128 bits in and out ---- */
    SEM(vinsert128)
{
    avx_check(cpu);
    union vec b = vec_w(cpu, i, 16, false), v = vec_get(cpu, i->vvvv, 32);
    unsigned at = 2 * (insn_imm8(i) & 1u);
    v.q[at] = b.q[0];
    v.q[at + 1] = b.q[1];
    vec_set(cpu, i->reg, &v, 32);
}

SEM(vextract128)
{
    avx_check(cpu);
    union vec v = vec_get(cpu, i->reg, 32);
    unsigned at = 2 * (insn_imm8(i) & 1u);
    v.q[0] = v.q[at];
    v.q[1] = v.q[at + 1];
    if (i->mod3) {
        vec_set_zx(cpu, i->rm, &v, 16);
    } else {
        vec_wr(cpu, i, &v, 16, false);
    }
}

/* ---- all registers that the mode has ---- */
static inline void zero_all(struct cpu *cpu, unsigned from)
{
    avx_check(cpu);
    for (unsigned r = 0; r < (cpu_code64(cpu) ? 16u : 8u); r++) {
        for (unsigned k = from; k < 4; k++) {
            cpu->s.ymm[4 * r + k] = 0;
        }
    }
}

SEM(vzeroupper)
{
    (void)i;
    zero_all(cpu, 2);
}

SEM(vzeroall)
{
    (void)i;
    zero_all(cpu, 0);
}
