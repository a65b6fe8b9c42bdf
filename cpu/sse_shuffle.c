/*
 * Moving elements about: unpack, pack, shuffle, align, blend, insert, extract, widen, masks.
 *
 * All 256-bit forms here work in each 128-bit lane as the 128-bit form does; the loops run over
 * lanes of min(n, 16) bytes, so that the MMX forms come out of the same code. What crosses lanes is
 * in cpu/avx_permute.c.
 *
 * The floating-point names are the same operations (UNPCKLPS is PUNPCKLDQ): their rows name these
 * semantics.
 *
 * Sources: SDM 2A to 2C, the entries of the same names.
 */
#include "cpu/packed.h"

/* ---- interleave: half 0 takes the low halves of a and b, half 1 the high ones ---- */
// clang-format off
#define UNPACK(op, type, el, V, half)                                                       \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)                                           \
    {                                                                                       \
        const unsigned lane = (n < 16 ? n : 16) / (unsigned)sizeof(type);                   \
        for (unsigned base = 0; base < n / sizeof(type); base += lane) {                    \
            for (unsigned k = 0; k < lane / 2; k++) {                                       \
                unsigned from = V(base + k + (half) * lane / 2);                            \
                type x = a->el[from], y = b->el[from];                                      \
                d->el[V(base + 2 * k)] = x;                                                 \
                d->el[V(base + 2 * k + 1)] = y;                                             \
            }                                                                               \
        }                                                                                   \
    }
#define VQ(k) (k)
UNPACK(punpcklbw,  uint8_t,  b, VB, 0)
UNPACK(punpcklwd,  uint16_t, w, VW, 0)
UNPACK(punpckldq,  uint32_t, d, VD, 0)
UNPACK(punpcklqdq, uint64_t, q, VQ, 0)
UNPACK(punpckhbw,  uint8_t,  b, VB, 1)
UNPACK(punpckhwd,  uint16_t, w, VW, 1)
UNPACK(punpckhdq,  uint32_t, d, VD, 1)
UNPACK(punpckhqdq, uint64_t, q, VQ, 1)

/* ---- narrow with saturation: a into the low half of each lane, b into the high half ---- */
#define PACK(op, wide, V, narrow, el, VN, lo, hi)                                           \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)                                           \
    {                                                                                       \
        const unsigned lane = (n < 16 ? n : 16) / (unsigned)sizeof(narrow);                 \
        for (unsigned base = 0; base < n / sizeof(narrow); base += lane) {                  \
            for (unsigned k = 0; k < lane / 2; k++) {                                       \
                int x = a->wide[V(base / 2 + k)], y = b->wide[V(base / 2 + k)];             \
                x = x < (lo) ? (lo) : x > (hi) ? (hi) : x;                                  \
                y = y < (lo) ? (lo) : y > (hi) ? (hi) : y;                                  \
                d->el[VN(base + k)] = (narrow)x;                                            \
                d->el[VN(base + lane / 2 + k)] = (narrow)y;                                 \
            }                                                                               \
        }                                                                                   \
    }
PACK(packsswb, sw, VW, int8_t,   sb, VB, INT8_MIN,  INT8_MAX)
PACK(packuswb, sw, VW, uint8_t,  b,  VB, 0,         UINT8_MAX)
PACK(packssdw, sd, VD, int16_t,  sw, VW, INT16_MIN, INT16_MAX)
PACK(packusdw, sd, VD, uint16_t, w,  VW, 0,         UINT16_MAX)

/* ---- widen: PMOVSXBW and the like, from the low elements of b ---- */
#define WIDEN(op, to, tel, VT, fel, VF)                                                     \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)                                           \
    {                                                                                       \
        (void)a;                                                                            \
        for (unsigned k = 0; k < n / sizeof(to); k++) {                                     \
            d->tel[VT(k)] = (to)b->fel[VF(k)];                                              \
        }                                                                                   \
    }
WIDEN(pmovsxbw, int16_t,  sw, VW, sb, VB)
WIDEN(pmovsxbd, int32_t,  sd, VD, sb, VB)
WIDEN(pmovsxbq, int64_t,  sq, VQ, sb, VB)
WIDEN(pmovsxwd, int32_t,  sd, VD, sw, VW)
WIDEN(pmovsxwq, int64_t,  sq, VQ, sw, VW)
WIDEN(pmovsxdq, int64_t,  sq, VQ, sd, VD)
WIDEN(pmovzxbw, uint16_t, w,  VW, b,  VB)
WIDEN(pmovzxbd, uint32_t, d,  VD, b,  VB)
WIDEN(pmovzxbq, uint64_t, q,  VQ, b,  VB)
WIDEN(pmovzxwd, uint32_t, d,  VD, w,  VW)
WIDEN(pmovzxwq, uint64_t, q,  VQ, w,  VW)
WIDEN(pmovzxdq, uint64_t, q,  VQ, d,  VD)

/* ---- shuffles ---- */
#define OP(op)                                                                              \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)
#define OP_I(op)                                                                            \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n, unsigned imm)
// clang-format on

OP(pshufb)
{
    const unsigned lane = n < 16 ? n : 16;
    for (unsigned k = 0; k < n; k++) {
        uint8_t sel = b->b[VB(k)];
        d->b[VB(k)] = sel & 0x80 ? 0 : a->b[VB(k / lane * lane + sel % lane)];
    }
}

/* Elements 2k and 2k + 1 of a doubleword result as one word: narrow stores before the wide load of
 * the result would stall the host. */
static ALWAYS_INLINE uint64_t pair(uint32_t lo, uint32_t hi)
{
    return lo | (uint64_t)hi << 32;
}

OP_I(pshufd)
{
    (void)a;
    for (unsigned k = 0; k < n / 8; k++) {
        unsigned base = 2 * k & ~3u, sel = imm >> 4 * (k & 1);
        d->q[k] = pair(b->d[VD(base + (sel & 3))], b->d[VD(base + (sel >> 2 & 3))]);
    }
}

OP_I(pshufw)
{
    (void)a;
    for (unsigned k = 0; k < n / 2; k++) {
        d->w[VW(k)] = b->w[VW((k & ~3u) + (imm >> 2 * (k & 3) & 3))];
    }
}

OP_I(pshuflw)
{
    (void)a;
    for (unsigned k = 0; k < n / 2; k++) {
        unsigned from = k & 4 ? k : (k & ~3u) + (imm >> 2 * (k & 3) & 3);
        d->w[VW(k)] = b->w[VW(from)];
    }
}

OP_I(pshufhw)
{
    (void)a;
    for (unsigned k = 0; k < n / 2; k++) {
        unsigned from = k & 4 ? (k & ~3u) + (imm >> 2 * (k & 3) & 3) : k;
        d->w[VW(k)] = b->w[VW(from)];
    }
}

OP_I(shufps)
{
    for (unsigned k = 0; k < n / 8; k++) {
        const union vec *s = k & 1 ? b : a;
        unsigned base = 2 * k & ~3u, sel = imm >> 4 * (k & 1);
        d->q[k] = pair(s->d[VD(base + (sel & 3))], s->d[VD(base + (sel >> 2 & 3))]);
    }
}

OP_I(shufpd)
{
    for (unsigned k = 0; k < n / 8; k++) {
        d->q[k] = (k & 1 ? b : a)->q[(k & ~1u) + (imm >> k & 1)];
    }
}

/* The concatenation a:b of each lane, shifted right by imm bytes. */
OP_I(palignr)
{
    const unsigned lane = n < 16 ? n : 16, c = imm > 32 ? 32 : imm;
    if (lane == 8) {
        struct words r = words_shr(b->q[0], a->q[0], c > 16 ? 16 : c);
        d->q[0] = r.lo;
        return;
    }
    for (unsigned k = 0; k < n / 8; k += 2) {
        struct words r = {0, 0}, t;
        if (c < 16) {
            r = words_shr(b->q[k], b->q[k + 1], c);
            t = words_shl(a->q[k], a->q[k + 1], 16 - c);
        } else {
            t = words_shr(a->q[k], a->q[k + 1], c - 16);
        }
        d->q[k] = r.lo | t.lo;
        d->q[k + 1] = r.hi | t.hi;
    }
}

OP(movddup)
{
    (void)a;
    for (unsigned k = 0; k < n / 8; k++) {
        d->q[k] = b->q[k & ~1u];
    }
}

OP(movsldup)
{
    (void)a;
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[VD(k)] = b->d[VD(k & ~1u)];
    }
}

OP(movshdup)
{
    (void)a;
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[VD(k)] = b->d[VD(k | 1u)];
    }
}

/* ---- blends ---- */
OP_I(blendps)
{
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[VD(k)] = (imm >> k & 1 ? b : a)->d[VD(k)];
    }
}

OP_I(blendpd)
{
    for (unsigned k = 0; k < n / 8; k++) {
        d->q[k] = (imm >> k & 1 ? b : a)->q[k];
    }
}

OP_I(pblendw)
{
    for (unsigned k = 0; k < n / 2; k++) {
        d->w[VW(k)] = (imm >> (k & 7) & 1 ? b : a)->w[VW(k)];
    }
}

/* ---- sums of absolute differences of 4-byte groups; imm selects the groups in each lane ---- */
OP_I(mpsadbw)
{
    for (unsigned base = 0; base < n; base += 16, imm >>= 3) {
        unsigned bo = base + 4 * (imm & 3), ao = base + (imm & 4);
        for (unsigned k = 0; k < 8; k++) {
            unsigned sum = 0;
            for (unsigned j = 0; j < 4; j++) {
                int t = a->b[VB(ao + k + j)] - b->b[VB(bo + j)];
                sum += (unsigned)(t < 0 ? -t : t);
            }
            d->w[VW(base / 2 + k)] = (uint16_t)sum;
        }
    }
}

OP(phminposuw)
{
    unsigned at = 0;
    (void)a;
    (void)n;
    for (unsigned k = 1; k < 8; k++) {
        if (b->w[VW(k)] < b->w[VW(at)]) {
            at = k;
        }
    }
    d->q[0] = b->w[VW(at)] | (uint64_t)at << 16;
    d->q[1] = 0;
}

/* Choose b's element where the mask element's top bit is set; `size` bytes an element. */
static ALWAYS_INLINE void blendv(union vec *d, const union vec *a, const union vec *b,
                                 const union vec *m, unsigned n, unsigned size)
{
    for (unsigned k = 0; k < n; k++) {
        unsigned top = VB(k | (size - 1));
        d->b[VB(k)] = (m->b[top] & 0x80 ? b : a)->b[VB(k)];
    }
}

static ALWAYS_INLINE void blendv_sse(struct cpu *cpu, const struct insn *i, unsigned size)
{
    union vec a, b, d, m;
    sse_check(cpu);
    b = vec_w(cpu, i, 16, true);
    a = vec_get(cpu, i->reg, 16);
    m = vec_get(cpu, 0, 16);
    blendv(&d, &a, &b, &m, 16, size);
    vec_set(cpu, i->reg, &d, 16);
}

static ALWAYS_INLINE void blendv_avx(struct cpu *cpu, const struct insn *i, unsigned size)
{
    unsigned n = insn_vl(i);
    union vec a, b, d, m;
    avx_check(cpu);
    b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, false);
    a = vec_get(cpu, i->vvvv, 32);
    m = vec_get(cpu, i->imm2, 32);
    blendv(&d, &a, &b, &m, n, size);
    vec_set_zx(cpu, i->reg, &d, n);
}

// clang-format off
SEM_MMX_M(punpcklbw, 2) SEM_PACKED2(punpcklbw)
SEM_MMX_M(punpcklwd, 2) SEM_PACKED2(punpcklwd)
SEM_MMX_M(punpckldq, 2) SEM_PACKED2(punpckldq)
SEM_PACKED(punpckhbw)   SEM_PACKED(punpckhwd)   SEM_PACKED(punpckhdq)
SEM_PACKED2(punpcklqdq) SEM_PACKED2(punpckhqdq)
SEM_PACKED(packsswb)    SEM_PACKED(packuswb)    SEM_PACKED(packssdw) SEM_PACKED2(packusdw)
SEM_PACKED2_M(pmovsxbw, 2) SEM_PACKED2_M(pmovsxbd, 4) SEM_PACKED2_M(pmovsxbq, 8)
SEM_PACKED2_M(pmovsxwd, 2) SEM_PACKED2_M(pmovsxwq, 4) SEM_PACKED2_M(pmovsxdq, 2)
SEM_PACKED2_M(pmovzxbw, 2) SEM_PACKED2_M(pmovzxbd, 4) SEM_PACKED2_M(pmovzxbq, 8)
SEM_PACKED2_M(pmovzxwd, 2) SEM_PACKED2_M(pmovzxwq, 4) SEM_PACKED2_M(pmovzxdq, 2)
SEM_PACKED(pshufb)      SEM_PACKED2_I(pshufd)   SEM_PACKED2_I(pshuflw) SEM_PACKED2_I(pshufhw)
SEM_MMX_I(pshufw)       SEM_PACKED2_I(shufps)   SEM_PACKED2_I(shufpd)  SEM_PACKED_I(palignr)
SEM_PACKED2(movsldup)   SEM_PACKED2(movshdup)   SEM_SSE_M(movddup, 2)
SEM_PACKED2_I(blendps)  SEM_PACKED2_I(blendpd)  SEM_PACKED2_I(pblendw) SEM_PACKED2_I(mpsadbw)
SEM_PACKED2(phminposuw)
SEM(pblendvb)  { blendv_sse(cpu, i, 1); }
SEM(blendvps)  { blendv_sse(cpu, i, 4); }
SEM(blendvpd)  { blendv_sse(cpu, i, 8); }
SEM(vpblendvb) { blendv_avx(cpu, i, 1); }
SEM(vblendvps) { blendv_avx(cpu, i, 4); }
SEM(vblendvpd) { blendv_avx(cpu, i, 8); }
// clang-format on

/* VMOVDDUP reads 8 bytes in its 128-bit form, 32 in the other. */
SEM(vmovddup)
{
    union vec b, d;
    avx_check(cpu);
    if (i->pfx & PFX_L) {
        b = vec_w(cpu, i, 32, false);
        movddup_op(&d, &b, &b, 32);
        vec_set(cpu, i->reg, &d, 32);
    } else {
        b = vec_w(cpu, i, 8, false);
        movddup_op(&d, &b, &b, 16);
        vec_set_zx(cpu, i->reg, &d, 16);
    }
}
