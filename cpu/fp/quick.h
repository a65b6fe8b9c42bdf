/*
 * SSE arithmetic by the host's own, where that cannot be told from cpu/fp's.
 *
 * C's float and double are IEEE on every host that doppel runs on, rounded to nearest, and the
 * build forbids contraction and fast-math. So for operands that are normal (or zero) and a result
 * well inside the normal range, the host's result is the architecture's, and the only exception
 * possible is PE. Where rounding is to nearest and PE is masked and already set in MXCSR (as it is
 * soon after a program's first inexact operation), nothing is left to record: fp_env.quick says so.
 * Comparisons of such operands raise nothing at all and need no condition; likewise conversions
 * that are exact. Everything else goes to the exact functions of cpu/fp/fp.h.
 *
 * The lowest binade of results is left to those too: a tiny result may round up into it.
 */
#ifndef CPU_FP_QUICK_H
#define CPU_FP_QUICK_H

#include <string.h>

#include "cpu/fp/fp.h"
#include "util/bits.h"

static inline double quick_f64(uint64_t v)
{
    double d;
    memcpy(&d, &v, 8);
    return d;
}

static inline uint64_t quick_bits64(double d)
{
    uint64_t v;
    memcpy(&v, &d, 8);
    return v;
}

static inline float quick_f32(uint32_t v)
{
    float f;
    memcpy(&f, &v, 4);
    return f;
}

static inline uint32_t quick_bits32(float f)
{
    uint32_t v;
    memcpy(&v, &f, 4);
    return v;
}

/* Normal: not zero, denormal, infinite, NaN. Plain: normal or zero. */
static inline bool normal64(uint64_t v)
{
    return (((v >> 52) + 1) & 0x7ff) > 1;
}
static inline bool normal32(uint32_t v)
{
    return (((v >> 23) + 1) & 0xff) > 1;
}
static inline bool plain64(uint64_t v)
{
    return normal64(v) || v << 1 == 0;
}
static inline bool plain32(uint32_t v)
{
    return normal32(v) || (uint32_t)(v << 1) == 0;
}

/* A result that rounding cannot have brought in from outside the normal range. */
static inline bool inside64(uint64_t v)
{
    return (v >> 52 & 0x7ff) - 2 < 0x7fd;
}
static inline bool inside32(uint32_t v)
{
    return (v >> 23 & 0xff) - 2 < 0xfd;
}

// clang-format off
/* zero: a result of zero is exact if this holds */
#define QUICK64(op, sign, fits, zero)                                              \
    static inline uint64_t quick64_##op(struct fp_env *e, uint64_t x, uint64_t y)  \
    {                                                                              \
        if (LIKELY(e->quick && fits(x) && fits(y))) {                              \
            uint64_t r = quick_bits64(quick_f64(x) sign quick_f64(y));             \
            if (LIKELY(inside64(r) || (r << 1 == 0 && (zero)))) {                  \
                return r;                                                          \
            }                                                                      \
        }                                                                          \
        return f64_##op(e, x, y);                                                  \
    }
#define QUICK32(op, sign, fits, zero)                                              \
    static inline uint32_t quick32_##op(struct fp_env *e, uint32_t x, uint32_t y)  \
    {                                                                              \
        if (LIKELY(e->quick && fits(x) && fits(y))) {                              \
            uint32_t r = quick_bits32(quick_f32(x) sign quick_f32(y));             \
            if (LIKELY(inside32(r) || ((uint32_t)(r << 1) == 0 && (zero)))) {      \
                return r;                                                          \
            }                                                                      \
        }                                                                          \
        return f32_##op(e, x, y);                                                  \
    }
QUICK64(add, +, plain64, true)
QUICK64(sub, -, plain64, true)
QUICK64(mul, *, plain64, x << 1 == 0 || y << 1 == 0)
QUICK64(div, /, normal64, false)
QUICK32(add, +, plain32, true)
QUICK32(sub, -, plain32, true)
QUICK32(mul, *, plain32, (uint32_t)(x << 1) == 0 || (uint32_t)(y << 1) == 0)
QUICK32(div, /, normal32, false)

#define QUICK_CHOOSE(bits, op, sign)                                                          \
    static inline uint##bits##_t quick##bits##_##op(struct fp_env *e, uint##bits##_t x,       \
                                                    uint##bits##_t y)                         \
    {                                                                                         \
        if (LIKELY(plain##bits(x) && plain##bits(y))) {                                       \
            return quick_f##bits(x) sign quick_f##bits(y) ? x : y;                            \
        }                                                                                     \
        return f##bits##_##op(e, x, y);                                                       \
    }
QUICK_CHOOSE(32, min, <)
QUICK_CHOOSE(32, max, >)
QUICK_CHOOSE(64, min, <)
QUICK_CHOOSE(64, max, >)

/* predicate: 0 to 31 as in VCMPPD. For ordered operands its low three bits tell which of less (1),
 * equal (2), greater (4) make it true. */
#define QUICK_COMPARE(bits)                                                                   \
    static inline enum fp_rel quick##bits##_compare(struct fp_env *e, uint##bits##_t x,       \
                                                    uint##bits##_t y, bool signal_qnan)       \
    {                                                                                         \
        if (LIKELY(plain##bits(x) && plain##bits(y))) {                                       \
            return quick_f##bits(x) < quick_f##bits(y)    ? FP_LESS                           \
                   : quick_f##bits(x) == quick_f##bits(y) ? FP_EQUAL                          \
                                                          : FP_GREATER;                       \
        }                                                                                     \
        return f##bits##_compare(e, x, y, signal_qnan);                                       \
    }                                                                                         \
    static inline bool quick##bits##_cmp_pred(struct fp_env *e, uint##bits##_t x,             \
                                              uint##bits##_t y, unsigned predicate)           \
    {                                                                                         \
        static const uint8_t truth[8] = {2, 1, 3, 0, 5, 6, 4, 7};                             \
        if (LIKELY(plain##bits(x) && plain##bits(y))) {                                       \
            unsigned rel = quick_f##bits(x) < quick_f##bits(y)    ? 1u                        \
                           : quick_f##bits(x) == quick_f##bits(y) ? 2u                        \
                                                                  : 4u;                       \
            return truth[predicate & 7] & rel;                                                \
        }                                                                                     \
        return f##bits##_cmp_pred(e, x, y, predicate);                                        \
    }
QUICK_COMPARE(32)
QUICK_COMPARE(64)
// clang-format on

/* ---- conversions ---- */
static inline uint64_t quick64_from_i64(struct fp_env *e, int64_t v)
{
    return e->quick ? quick_bits64((double)v) : f64_from_i64(e, v);
}

static inline uint32_t quick32_from_i32(struct fp_env *e, int32_t v)
{
    return e->quick ? quick_bits32((float)v) : f32_from_i32(e, v);
}

static inline uint64_t quick64_from_i32(int32_t v)
{
    return quick_bits64((double)v); /* exact */
}

static inline uint64_t quick32_to_f64(struct fp_env *e, uint32_t v)
{
    return LIKELY(plain32(v)) ? quick_bits64((double)quick_f32(v)) : f32_to_f64(e, v);
}

static inline uint32_t quick64_to_f32(struct fp_env *e, uint64_t v)
{
    /* 2^-125 to 2^126: the result cannot leave the inner range */
    if (LIKELY(e->quick && (v >> 52 & 0x7ff) - 898 < 251)) {
        return quick_bits32((float)quick_f64(v));
    }
    return f64_to_f32(e, v);
}

/* Truncation: |v| below 2^31 or 2^63 fits. */
static inline int32_t quick64_trunc_i32(struct fp_env *e, uint64_t v)
{
    if (LIKELY(e->quick && plain64(v) && (v >> 52 & 0x7ff) < 1023 + 31)) {
        return (int32_t)quick_f64(v);
    }
    return f64_to_i32(e, v, true);
}

static inline int64_t quick64_trunc_i64(struct fp_env *e, uint64_t v)
{
    if (LIKELY(e->quick && plain64(v) && (v >> 52 & 0x7ff) < 1023 + 63)) {
        return (int64_t)quick_f64(v);
    }
    return f64_to_i64(e, v, true);
}

static inline int32_t quick32_trunc_i32(struct fp_env *e, uint32_t v)
{
    if (LIKELY(e->quick && plain32(v) && (v >> 23 & 0xff) < 127 + 31)) {
        return (int32_t)quick_f32(v);
    }
    return f32_to_i32(e, v, true);
}

#endif
