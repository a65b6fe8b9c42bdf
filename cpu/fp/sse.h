/*
 * What the SSE operations share: operands under DAZ, NaN choice, the invalid result.
 * Private to cpu/fp.
 */
#ifndef CPU_FP_SSE_H
#define CPU_FP_SSE_H

#include "cpu/fp/num.h"

/* An operand: unpacked, denormals flushed under DAZ. */
static inline struct fp_num sse_unpack(const struct fp_env *e, const struct fp_format *f,
                                       uint64_t a)
{
    struct fp_num n = fp_unpack(f, a);
    if (n.denormal && e->daz) {
        n.kind = FP_KIND_ZERO;
        n.denormal = false;
    }
    return n;
}

static inline uint64_t sse_invalid(struct fp_env *e, const struct fp_format *f)
{
    e->flags |= FP_IE;
    return fp_pack_indefinite(f);
}

static inline uint64_t sse_nan(struct fp_env *e, const struct fp_format *f, struct fp_num a,
                               struct fp_num b)
{
    if (a.kind == FP_KIND_SNAN || b.kind == FP_KIND_SNAN) {
        e->flags |= FP_IE;
    }
    return fp_pack_nan(f, fp_is_nan(a) ? a : b);
}

#endif
