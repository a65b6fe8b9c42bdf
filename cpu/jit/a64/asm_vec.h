/*
 * The vector and floating-point instructions of A64 that emit_vec.c uses, as asm.h has the others.
 * Widths of elements are in bytes; registers are v0 to v31.
 *
 * Source: Arm ARM (DDI 0487) C4.1.97, "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
#ifndef DOPPEL_CPU_JIT_A64_ASM_VEC_H
#define DOPPEL_CPU_JIT_A64_ASM_VEC_H

#include "cpu/jit/a64/asm.h"

/* Three registers of the same shape, all 128 bits: U << 31 is bit 29; size in bits 23:22. */
#define V3(u, size, opc) (0x4e200400u | (uint32_t)(u) << 29 | (uint32_t)(size) << 22 | (opc) << 11)
enum { V_ADD = 0x10, V_CMGT = 6, V_LOGIC = 3, V_MAX = 0x0c, V_MIN = 0x0d };

static inline void asm_v3(struct asmbuf *a, uint32_t op, unsigned d, unsigned n, unsigned m)
{
    asm_word(a, op | m << 16 | n << 5 | d);
}
#define V_AND  V3(0, 0, V_LOGIC)
#define V_BIC  V3(0, 1, V_LOGIC) /* n AND NOT m */
#define V_ORR  V3(0, 2, V_LOGIC)
#define V_EOR  V3(1, 0, V_LOGIC)
#define V_BSL  V3(1, 1, V_LOGIC) /* d = bits of n where d is set, else of m */
#define V_ZIP1 0x4e003800u       /* size in bits 23:22 */
#define V_ZIP2 0x4e007800u
#define V_UZP1 0x4e001800u

static inline void asm_vmov(struct asmbuf *a, unsigned d, unsigned n)
{
    asm_v3(a, V_ORR, d, n, n);
}
/* d = 0. */
static inline void asm_vzero(struct asmbuf *a, unsigned d)
{
    asm_word(a, 0x6f00e400u | d);
}

/* The imm5 of element k of w bytes. */
static inline uint32_t asm_elem(unsigned w, unsigned k)
{
    return (k << (asm_log2(w) + 1) | 1u << asm_log2(w)) << 16;
}
/* All elements of d = element k of n. */
static inline void asm_dup(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned k)
{
    asm_word(a, 0x4e000400u | asm_elem(w, k) | n << 5 | d);
}
/* Element k of d = element j of n. */
static inline void asm_ins(struct asmbuf *a, unsigned w, unsigned d, unsigned k, unsigned n,
                           unsigned j)
{
    asm_word(a, 0x6e000400u | asm_elem(w, k) | j << asm_log2(w) << 11 | n << 5 | d);
}
/* d = NOT n. */
static inline void asm_vnot(struct asmbuf *a, unsigned d, unsigned n)
{
    asm_word(a, 0x6e205800u | n << 5 | d);
}
/* Element k of d = general register n; the reverse, zero-extended. */
static inline void asm_ins_gpr(struct asmbuf *a, unsigned w, unsigned d, unsigned k, unsigned n)
{
    asm_word(a, 0x4e001c00u | asm_elem(w, k) | n << 5 | d);
}
static inline void asm_umov(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned k)
{
    asm_word(a, 0x0e003c00u | (w == 8 ? 1u << 30 : 0) | asm_elem(w, k) | n << 5 | d);
}
/* d = bytes k to k + 15 of m:n. */
static inline void asm_ext(struct asmbuf *a, unsigned d, unsigned n, unsigned m, unsigned k)
{
    asm_word(a, 0x6e000000u | m << 16 | k << 11 | n << 5 | d);
}
/* Shifts of elements of w bytes by an immediate: left 0..8w-1, right 1..8w. */
static inline void asm_vshl(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned count)
{
    asm_word(a, 0x4f005400u | (8 * w + count) << 16 | n << 5 | d);
}
enum { V_USHR = 0x6f000400, V_SSHR = 0x4f000400, V_USRA = 0x6f001400 };
static inline void asm_vshr(struct asmbuf *a, uint32_t op, unsigned w, unsigned d, unsigned n,
                            unsigned count)
{
    asm_word(a, op | (16 * w - count) << 16 | n << 5 | d);
}

/* ---- memory: w of 4, 8 or 16 bytes; loads clear the rest ---- */
static inline void asm_vmem_imm(struct asmbuf *a, bool load, unsigned w, unsigned t, unsigned n,
                                uint32_t off)
{
    uint32_t size = w == 16 ? 0x00800000u : w == 8 ? 0xc0000000u : 0x80000000u;
    assert(!(off & (w - 1)) && off / w < 4096);
    asm_word(a, 0x3d000000u | size | (load ? 1u << 22 : 0) | off / w << 10 | n << 5 | t);
}
/* d registers t and u at n + off. */
static inline void asm_vpair(struct asmbuf *a, bool load, unsigned t, unsigned u, unsigned n,
                             int32_t off)
{
    asm_word(a, 0x6d000000u | (load ? 1u << 22 : 0) | ((uint32_t)off / 8 & 0x7f) << 15 | u << 10 |
                    n << 5 | t);
}
/* The same with an offset of -256 to 255. */
static inline void asm_vmem_near(struct asmbuf *a, bool load, unsigned w, unsigned t, unsigned n,
                                 int32_t off)
{
    uint32_t size = w == 16 ? 0x00800000u : w == 8 ? 0xc0000000u : 0x80000000u;
    assert(off >= -256 && off < 256);
    asm_word(a, 0x3c000000u | size | (load ? 1u << 22 : 0) | ((uint32_t)off & 0x1ff) << 12 |
                    n << 5 | t);
}
static inline void asm_vmem(struct asmbuf *a, bool load, unsigned w, unsigned t, unsigned n,
                            unsigned m)
{
    uint32_t size = w == 16 ? 0x00800000u : w == 8 ? 0xc0000000u : 0x80000000u;
    asm_word(a, 0x3c206800u | size | (load ? 1u << 22 : 0) | m << 16 | n << 5 | t);
}

/* ---- floating point; w 4 or 8 ---- */
static inline uint32_t asm_ftype(unsigned w)
{
    return w == 8 ? 1u << 22 : 0;
}
enum { F_MUL = 0, F_DIV = 1, F_ADD = 2, F_SUB = 3 };
static inline void asm_f2(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                          unsigned m)
{
    asm_word(a, 0x1e200800u | asm_ftype(w) | m << 16 | op << 12 | n << 5 | d);
}
/* The same on all elements. */
static inline void asm_fv2(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                           unsigned m)
{
    static const uint32_t ops[] = {0x6e20dc00, 0x6e20fc00, 0x4e20d400, 0x4ea0d400};
    asm_word(a, ops[op] | asm_ftype(w) | m << 16 | n << 5 | d);
}
/* Masks: n equal to, at least, greater than m. */
enum { F_CMEQ = 0x0e20e400, F_CMGE = 0x2e20e400, F_CMGT = 0x2ea0e400 };
static inline void asm_fcm(struct asmbuf *a, unsigned w, bool scalar, uint32_t op, unsigned d,
                           unsigned n, unsigned m)
{
    asm_word(a, op | (scalar ? 0x50000000u : 0x40000000u) | asm_ftype(w) | m << 16 | n << 5 | d);
}
/* d = n * m + add, with one rounding; minus: -(n * m); minus_add: - add. */
static inline void asm_fmadd(struct asmbuf *a, unsigned w, bool minus, bool minus_add, unsigned d,
                             unsigned n, unsigned m, unsigned add)
{
    /* FMADD, FMSUB (product), FNMADD (both), FNMSUB (addend) */
    uint32_t o1 = minus_add, o0 = minus != minus_add;
    asm_word(a,
             0x1f000000u | asm_ftype(w) | o1 << 21 | m << 16 | o0 << 15 | add << 10 | n << 5 | d);
}
static inline void asm_fsqrt(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    asm_word(a, 0x1e21c000u | asm_ftype(w) | n << 5 | d);
}
/* NZCV; signals: for quiet NaNs too. */
static inline void asm_fcmp(struct asmbuf *a, unsigned w, bool signals, unsigned n, unsigned m)
{
    asm_word(a, 0x1e202000u | asm_ftype(w) | m << 16 | n << 5 | (signals ? 0x10 : 0));
}
/* d = n if the condition holds, else m; the bits above are zero. */
static inline void asm_fcsel(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned m,
                             unsigned cc)
{
    asm_word(a, 0x1e200c00u | asm_ftype(w) | m << 16 | cc << 12 | n << 5 | d);
}
/* To the other width. */
static inline void asm_fcvt(struct asmbuf *a, unsigned from, unsigned d, unsigned n)
{
    asm_word(a, (from == 8 ? 0x1e624000u : 0x1e22c000u) | n << 5 | d);
}
/* Signed integer in general register n, wi bytes, to floating point; and back, toward zero or to
 * nearest. */
static inline void asm_scvtf(struct asmbuf *a, unsigned w, unsigned wi, unsigned d, unsigned n)
{
    asm_word(a, 0x1e220000u | asm_sf(wi) | asm_ftype(w) | n << 5 | d);
}
static inline void asm_fcvts(struct asmbuf *a, bool truncate, unsigned w, unsigned wi, unsigned d,
                             unsigned n)
{
    asm_word(a, (truncate ? 0x1e380000u : 0x1e200000u) | asm_sf(wi) | asm_ftype(w) | n << 5 | d);
}
/* d = the low w bytes of n, zero above. */
static inline void asm_fmov(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    asm_word(a, 0x1e204000u | asm_ftype(w) | n << 5 | d);
}
/* d = w bytes of general register n, zero above. */
static inline void asm_fmov_from(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    asm_word(a, (w == 8 ? 0x9e670000u : 0x1e270000u) | n << 5 | d);
}
static inline void asm_msr_fpcr(struct asmbuf *a, unsigned n)
{
    asm_word(a, 0xd51b4400u | n);
}
static inline void asm_msr_fpsr(struct asmbuf *a, unsigned n)
{
    asm_word(a, 0xd51b4420u | n);
}
static inline void asm_mrs_fpsr(struct asmbuf *a, unsigned d)
{
    asm_word(a, 0xd53b4420u | d);
}

#endif
