/*
 * Packed integer arithmetic, comparison and logic: what treats each element by itself, and the few
 * that add neighbours up.
 *
 * Each operation is written once, for every width; cpu/packed.h makes the MMX, SSE and AVX
 * semantics of it. Types do the work: x and y are the elements, promoted to int or wider, and the
 * result is cut to the element again.
 *
 * Sources: SDM 2B and 2C, the entries of the same names.
 */
#include "cpu/packed.h"

static inline int sat_s8(int v)
{
    return v > INT8_MAX ? INT8_MAX : v < INT8_MIN ? INT8_MIN : v;
}

static inline int sat_u8(int v)
{
    return v > UINT8_MAX ? UINT8_MAX : v < 0 ? 0 : v;
}

static inline int sat_s16(int v)
{
    return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
}

static inline int sat_u16(int v)
{
    return v > UINT16_MAX ? UINT16_MAX : v < 0 ? 0 : v;
}

// clang-format off
/*   op       type      el   result */
EACH(paddb,   uint8_t,  b,   x + y)
EACH(paddw,   uint16_t, w,   x + y)
EACH(paddd,   uint32_t, d,   x + y)
EACH(paddq,   uint64_t, q,   x + y)
EACH(psubb,   uint8_t,  b,   x - y)
EACH(psubw,   uint16_t, w,   x - y)
EACH(psubd,   uint32_t, d,   x - y)
EACH(psubq,   uint64_t, q,   x - y)
EACH(paddsb,  int8_t,   sb,  sat_s8(x + y))
EACH(paddsw,  int16_t,  sw,  sat_s16(x + y))
EACH(paddusb, uint8_t,  b,   sat_u8(x + y))
EACH(paddusw, uint16_t, w,   sat_u16(x + y))
EACH(psubsb,  int8_t,   sb,  sat_s8(x - y))
EACH(psubsw,  int16_t,  sw,  sat_s16(x - y))
EACH(psubusb, uint8_t,  b,   sat_u8(x - y))
EACH(psubusw, uint16_t, w,   sat_u16(x - y))
EACH(pcmpeqb, uint8_t,  b,   x == y ? -1 : 0)
EACH(pcmpeqw, uint16_t, w,   x == y ? -1 : 0)
EACH(pcmpeqd, uint32_t, d,   x == y ? -1 : 0)
EACH(pcmpeqq, uint64_t, q,   x == y ? -1 : 0)
EACH(pcmpgtb, int8_t,   sb,  x > y ? -1 : 0)
EACH(pcmpgtw, int16_t,  sw,  x > y ? -1 : 0)
EACH(pcmpgtd, int32_t,  sd,  x > y ? -1 : 0)
EACH(pcmpgtq, int64_t,  sq,  x > y ? -1 : 0)
EACH(pminub,  uint8_t,  b,   x < y ? x : y)
EACH(pminuw,  uint16_t, w,   x < y ? x : y)
EACH(pminud,  uint32_t, d,   x < y ? x : y)
EACH(pminsb,  int8_t,   sb,  x < y ? x : y)
EACH(pminsw,  int16_t,  sw,  x < y ? x : y)
EACH(pminsd,  int32_t,  sd,  x < y ? x : y)
EACH(pmaxub,  uint8_t,  b,   x > y ? x : y)
EACH(pmaxuw,  uint16_t, w,   x > y ? x : y)
EACH(pmaxud,  uint32_t, d,   x > y ? x : y)
EACH(pmaxsb,  int8_t,   sb,  x > y ? x : y)
EACH(pmaxsw,  int16_t,  sw,  x > y ? x : y)
EACH(pmaxsd,  int32_t,  sd,  x > y ? x : y)
EACH(pavgb,   uint8_t,  b,   (x + y + 1) >> 1)
EACH(pavgw,   uint16_t, w,   (x + y + 1) >> 1)
EACH(pabsb,   int8_t,   sb,  y < 0 ? -y : y)
EACH(pabsw,   int16_t,  sw,  y < 0 ? -y : y)
EACH(pabsd,   uint32_t, d,   y >> 31 ? 0 - y : y)
EACH(psignb,  int8_t,   sb,  y < 0 ? -x : y > 0 ? x : 0)
EACH(psignw,  int16_t,  sw,  y < 0 ? -x : y > 0 ? x : 0)
EACH(psignd,  uint32_t, d,   y >> 31 ? 0 - x : y ? x : 0)
EACH(pmullw,  uint16_t, w,   (uint32_t)x * y)
EACH(pmulld,  uint32_t, d,   x * y)
EACH(pmulhw,  int16_t,  sw,  x * y >> 16)
EACH(pmulhuw, uint16_t, w,   (uint32_t)x * y >> 16)
EACH(pmulhrsw, int16_t, sw,  ((x * y >> 14) + 1) >> 1)
EACH(pmuludq, uint64_t, q,   (uint64_t)(uint32_t)x * (uint32_t)y)
EACH(pmuldq,  int64_t,  sq,  (int64_t)(int32_t)x * (int32_t)y)
EACH(pand,    uint64_t, q,   x & y)
EACH(pandn,   uint64_t, q,   ~x & y)
EACH(por,     uint64_t, q,   x | y)
EACH(pxor,    uint64_t, q,   x ^ y)
// clang-format on

/* The signed word of w at bit `lo`. */
static inline int word_at(uint64_t w, unsigned lo)
{
    return (int16_t)(w >> lo);
}

static ALWAYS_INLINE void pmaddwd_op(union vec *d, const union vec *a, const union vec *b,
                                     unsigned n)
{
    for (unsigned k = 0; k < n / 8; k++) {
        uint64_t x = a->q[k], y = b->q[k];
        /* Two products of -32768 * -32768 wrap, as documented. */
        uint32_t lo =
            (uint32_t)(word_at(x, 0) * word_at(y, 0)) + (uint32_t)(word_at(x, 16) * word_at(y, 16));
        uint32_t hi = (uint32_t)(word_at(x, 32) * word_at(y, 32)) +
                      (uint32_t)(word_at(x, 48) * word_at(y, 48));
        d->q[k] = lo | (uint64_t)hi << 32;
    }
}

static ALWAYS_INLINE void pmaddubsw_op(union vec *d, const union vec *a, const union vec *b,
                                       unsigned n)
{
    for (unsigned k = 0; k < n / 2; k++) {
        d->sw[k] =
            (int16_t)sat_s16(a->b[2 * k] * b->sb[2 * k] + a->b[2 * k + 1] * b->sb[2 * k + 1]);
    }
}

static ALWAYS_INLINE void psadbw_op(union vec *d, const union vec *a, const union vec *b,
                                    unsigned n)
{
    for (unsigned q = 0; q < n / 8; q++) {
        unsigned sum = 0;
        for (unsigned k = 8 * q; k < 8 * q + 8; k++) {
            sum += (unsigned)(a->b[k] > b->b[k] ? a->b[k] - b->b[k] : b->b[k] - a->b[k]);
        }
        d->q[q] = sum;
    }
}

/* Horizontal: the low half of each 16-byte lane of d comes from a, the high half from b. */
static ALWAYS_INLINE void horiz_w(union vec *d, const union vec *a, const union vec *b, unsigned n,
                                  int sign, bool saturate)
{
    unsigned lane = n < 16 ? n / 2 : 8;
    for (unsigned base = 0; base < n / 2; base += lane) {
        for (unsigned k = 0; k < lane; k++) {
            const union vec *s = k < lane / 2 ? a : b;
            unsigned from = base + 2 * (k % (lane / 2));
            int r = s->sw[VW(from)] + sign * s->sw[VW(from + 1)];
            d->sw[VW(base + k)] = (int16_t)(saturate ? sat_s16(r) : r);
        }
    }
}

static ALWAYS_INLINE void horiz_d(union vec *d, const union vec *a, const union vec *b, unsigned n,
                                  bool subtract)
{
    unsigned lane = n < 16 ? n / 4 : 4;
    for (unsigned base = 0; base < n / 4; base += lane) {
        for (unsigned k = 0; k < lane; k++) {
            const union vec *s = k < lane / 2 ? a : b;
            unsigned from = base + 2 * (k % (lane / 2));
            uint32_t x = s->d[VD(from)], y = s->d[VD(from + 1)];
            d->d[VD(base + k)] = subtract ? x - y : x + y;
        }
    }
}

// clang-format off
#define HORIZ(op, expr)                                                                     \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)                                           \
    {                                                                                       \
        expr;                                                                               \
    }
HORIZ(phaddw,  horiz_w(d, a, b, n, 1, false))
HORIZ(phaddsw, horiz_w(d, a, b, n, 1, true))
HORIZ(phsubw,  horiz_w(d, a, b, n, -1, false))
HORIZ(phsubsw, horiz_w(d, a, b, n, -1, true))
HORIZ(phaddd,  horiz_d(d, a, b, n, false))
HORIZ(phsubd,  horiz_d(d, a, b, n, true))

SEM_PACKED(paddb)   SEM_PACKED(paddw)   SEM_PACKED(paddd)   SEM_PACKED(paddq)
SEM_PACKED(psubb)   SEM_PACKED(psubw)   SEM_PACKED(psubd)   SEM_PACKED(psubq)
SEM_PACKED(paddsb)  SEM_PACKED(paddsw)  SEM_PACKED(paddusb) SEM_PACKED(paddusw)
SEM_PACKED(psubsb)  SEM_PACKED(psubsw)  SEM_PACKED(psubusb) SEM_PACKED(psubusw)
SEM_PACKED(pcmpeqb) SEM_PACKED(pcmpeqw) SEM_PACKED(pcmpeqd) SEM_PACKED2(pcmpeqq)
SEM_PACKED(pcmpgtb) SEM_PACKED(pcmpgtw) SEM_PACKED(pcmpgtd) SEM_PACKED2(pcmpgtq)
SEM_PACKED(pminub)  SEM_PACKED(pminsw)  SEM_PACKED(pmaxub)  SEM_PACKED(pmaxsw)
SEM_PACKED2(pminsb) SEM_PACKED2(pminuw) SEM_PACKED2(pminsd) SEM_PACKED2(pminud)
SEM_PACKED2(pmaxsb) SEM_PACKED2(pmaxuw) SEM_PACKED2(pmaxsd) SEM_PACKED2(pmaxud)
SEM_PACKED(pavgb)   SEM_PACKED(pavgw)   SEM_PACKED(psadbw)
SEM_PACKED(pabsb)   SEM_PACKED(pabsw)   SEM_PACKED(pabsd)
SEM_PACKED(psignb)  SEM_PACKED(psignw)  SEM_PACKED(psignd)
SEM_PACKED(pmullw)  SEM_PACKED(pmulhw)  SEM_PACKED(pmulhuw) SEM_PACKED(pmulhrsw)
SEM_PACKED(pmuludq) SEM_PACKED2(pmuldq) SEM_PACKED2(pmulld)
SEM_PACKED(pmaddwd) SEM_PACKED(pmaddubsw)
SEM_PACKED(phaddw)  SEM_PACKED(phaddd)  SEM_PACKED(phaddsw)
SEM_PACKED(phsubw)  SEM_PACKED(phsubd)  SEM_PACKED(phsubsw)
SEM_PACKED(pand)    SEM_PACKED(pandn)   SEM_PACKED(por)     SEM_PACKED(pxor)
    // clang-format on
