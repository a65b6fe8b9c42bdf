/*
 * Vector registers and memory operands for MMX, SSE and AVX.
 *
 * A register is kept in struct cpu_state as 64-bit words, low first. union vec is a local copy of
 * one: 8, 16 or 32 bytes of it are in use. Elements are numbered as the manuals number them, from
 * the low end; on a big-endian host they lie the other way round inside each word, so every index
 * that matters goes through VB, VW or VD. An elementwise loop may use plain indices, since it
 * treats all elements of a word alike.
 *
 * What always holds: a memory operand is read, and a destination in memory checked, before any
 * register changes. Legacy SSE writes leave bits 255:128 of a YMM register alone, VEX-encoded ones
 * clear them. A write to an MMX register sets the exponent of the x87 register it aliases to ones,
 * and any MMX instruction but EMMS makes all tags valid and TOP zero.
 *
 * Sources: SDM 1 9.6 (MMX and x87), 10.4, 14.9 (alignment); SDM 2 2.4 (exception classes);
 * SDM 3A 2.5, 13.1 (CR0, CR4, XCR0).
 */
#ifndef DOPPEL_CPU_VEC_H
#define DOPPEL_CPU_VEC_H

#include "cpu/mem.h"
#include "cpu/x87.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

union vec {
    uint64_t q[4];
    int64_t sq[4];
    uint32_t d[8];
    int32_t sd[8];
    uint16_t w[16];
    int16_t sw[16];
    uint8_t b[32];
    int8_t sb[32];
};

/* Where element k is. */
#define VB(k) ((k) ^ (HOST_BIG_ENDIAN ? 7u : 0u))
#define VW(k) ((k) ^ (HOST_BIG_ENDIAN ? 3u : 0u))
#define VD(k) ((k) ^ (HOST_BIG_ENDIAN ? 1u : 0u))

#define XCR0_X87   1u
#define XCR0_SSE   2u
#define XCR0_AVX   4u
#define XCR0_KNOWN (XCR0_X87 | XCR0_SSE | XCR0_AVX)

/* MXCSR: flags 5:0, DAZ 6, masks 12:7, RC 14:13, FTZ 15; the rest is reserved. */
#define MXCSR_VALID 0xffffu
#define MXCSR_RESET 0x1f80u

/* ---- may the instruction run? (cpu/vec.c has the cold halves) ---- */
void mmx_denied(struct cpu *cpu); /* returns if it may, with a pending x87 exception ignored */
noreturn void sse_denied(struct cpu *cpu);
noreturn void avx_denied(struct cpu *cpu);

static inline void sse_check(struct cpu *cpu)
{
    if (UNLIKELY((cpu->s.cr0 & (CR0_EM | CR0_TS)) | (~cpu->s.cr4 & CR4_OSFXSR))) {
        sse_denied(cpu);
    }
}

static inline void avx_check(struct cpu *cpu)
{
    const uint64_t need = XCR0_SSE | XCR0_AVX;
    if (UNLIKELY((cpu->s.cr0 & CR0_TS) | (~cpu->s.cr4 & CR4_OSXSAVE) | (~cpu->s.xcr0 & need))) {
        avx_denied(cpu);
    }
}

static inline void mmx_check(struct cpu *cpu)
{
    if (UNLIKELY((cpu->s.cr0 & (CR0_EM | CR0_TS)) | (cpu->s.fpu[0].sw & X87_ES))) {
        mmx_denied(cpu);
    }
}

/* ---- registers ---- */
/* The low n bytes; those above are zero. */
static ALWAYS_INLINE union vec vec_get(const struct cpu *cpu, unsigned r, unsigned n)
{
    union vec v = {.q = {0}};
    memcpy(&v, &cpu->s.ymm[4 * r], n);
    return v;
}

/* The low n bytes (8, 16, 32); the rest is kept. */
static inline void vec_set(struct cpu *cpu, unsigned r, const union vec *v, unsigned n)
{
    memcpy(&cpu->s.ymm[4 * r], v, n);
}

/* ... and the rest becomes zero, as VEX-encoded instructions do. */
static inline void vec_set_zx(struct cpu *cpu, unsigned r, const union vec *v, unsigned n)
{
    memcpy(&cpu->s.ymm[4 * r], v, n);
    if (n < 32) {
        memset((char *)&cpu->s.ymm[4 * r] + n, 0, 32 - n);
    }
}

static inline uint64_t mmx_get(const struct cpu *cpu, unsigned r)
{
    return cpu->s.fpu[0].m[r & 7];
}

/* Enter MMX state: last, once nothing can fault any more. */
static inline void mmx_enter(struct cpu *cpu)
{
    cpu->s.fpu[0].sw &= (uint16_t)~X87_TOP;
    cpu->s.fpu[0].empty = 0;
}

static inline void mmx_set(struct cpu *cpu, unsigned r, uint64_t val)
{
    cpu->s.fpu[0].m[r & 7] = val;
    cpu->s.fpu[0].se[r & 7] = 0xffff;
    mmx_enter(cpu);
}

/* ---- memory: n is 16 or 32 bytes here, any alignment ---- */
void vec_load_slow(struct cpu *cpu, unsigned seg, gva la, union vec *v, unsigned n);
void vec_store_slow(struct cpu *cpu, unsigned seg, gva la, const union vec *v, unsigned n);

/* Alignment checks take operands of 16 and 32 bytes as aligned at a multiple of 16. */
static ALWAYS_INLINE void vec_check_align(struct cpu *cpu, unsigned seg, gva la, unsigned n)
{
    if (UNLIKELY((la & 15) && (cpu->s.rflags & FL_AC))) {
        mem_check_align(cpu, seg, la, n);
    }
}

static ALWAYS_INLINE bool vec_tag_hit(gva la, uint64_t tag, unsigned n)
{
    return ((la ^ tag) & PAGE_MASK) == 0 && (la & ~PAGE_MASK) <= PAGE_SIZE - n;
}

static ALWAYS_INLINE void vec_load(struct cpu *cpu, unsigned seg, gva la, union vec *v, unsigned n)
{
    const struct tlb_entry *e = &cpu->tlb.l1[cpu->view][la >> PAGE_BITS & TLB_L1_MASK];
    vec_check_align(cpu, seg, la, n);
    if (LIKELY(vec_tag_hit(la, e->tag_r, n))) {
        const uint8_t *p = (const uint8_t *)(uintptr_t)(la + e->bias_r);
        for (unsigned k = 0; k < n / 8; k++) {
            v->q[k] = le64_get(p + 8 * k);
        }
    } else {
        union vec t;
        vec_load_slow(cpu, seg, la, &t, n);
        memcpy(v, &t, n);
    }
}

static ALWAYS_INLINE void vec_store(struct cpu *cpu, unsigned seg, gva la, const union vec *v,
                                    unsigned n)
{
    const struct tlb_entry *e = &cpu->tlb.l1[cpu->view][la >> PAGE_BITS & TLB_L1_MASK];
    vec_check_align(cpu, seg, la, n);
    if (LIKELY(vec_tag_hit(la, e->tag_w, n))) {
        uint8_t *p = (uint8_t *)(uintptr_t)(la + e->bias_w);
        for (unsigned k = 0; k < n / 8; k++) {
            le64_put(p + 8 * k, v->q[k]);
        }
    } else {
        union vec t;
        memcpy(&t, v, n);
        vec_store_slow(cpu, seg, la, &t, n);
    }
}

/* The instruction's memory operand, n bytes (1, 2, 4, 8, 16, 32); bytes above are zero up to 8.
 * aligned: #GP(0) unless its address is a multiple of n. */
static ALWAYS_INLINE void vec_rd(struct cpu *cpu, const struct insn *i, union vec *v, unsigned n,
                                 bool aligned)
{
    gva la = insn_la(cpu, i, n, ACC_READ);
    if (aligned && UNLIKELY(la & (n - 1))) {
        cpu_gp0(cpu);
    }
    if (n <= 8) {
        v->q[0] = mem_rd(cpu, i->seg, la, n);
    } else {
        vec_load(cpu, i->seg, la, v, n);
    }
}

static ALWAYS_INLINE void vec_wr(struct cpu *cpu, const struct insn *i, const union vec *v,
                                 unsigned n, bool aligned)
{
    gva la = insn_la(cpu, i, n, ACC_WRITE);
    if (aligned && UNLIKELY(la & (n - 1))) {
        cpu_gp0(cpu);
    }
    if (n <= 8) {
        mem_wr(cpu, i->seg, la, n, n == 8 ? v->q[0] : v->q[0] & bits_mask(8 * n));
    } else {
        vec_store(cpu, i->seg, la, v, n);
    }
}

/* The same as calls, where a copy in each semantic would cost more than the call (cpu/vec.c). */
typedef uint64_t vec128 __attribute__((vector_size(16)));
vec128 vec_rd128(struct cpu *cpu, const struct insn *i);
vec128 vec_rd128_aligned(struct cpu *cpu, const struct insn *i);
/* 32 bytes: where they are, in guest RAM or copied to tmp. */
const uint8_t *vec_rd256(struct cpu *cpu, const struct insn *i, uint8_t tmp[32]);
uint64_t vec_rd64(struct cpu *cpu, const struct insn *i, unsigned n); /* n: 1, 2, 4, 8 */

/* MASKMOVQ, MASKMOVDQU: bytes of v whose mask byte has its top bit set, to DS:rDI (override
 * applied). All checks before the first byte. n: 8 or 16. */
void vec_maskmov_bytes(struct cpu *cpu, const struct insn *i, const union vec *v,
                       const union vec *m, unsigned n);

/* Operand W: n bytes of the register modrm.rm (16 if n is less), or n bytes of memory; those above
 * are zero. */
static ALWAYS_INLINE union vec vec_w(struct cpu *cpu, const struct insn *i, unsigned n,
                                     bool aligned)
{
    union vec v = {.q = {0}};
    if (i->mod3) {
        return vec_get(cpu, i->rm, n < 16 ? 16 : n);
    }
    if (n == 16) {
        vec128 t = aligned ? vec_rd128_aligned(cpu, i) : vec_rd128(cpu, i);
        memcpy(&v, &t, 16);
    } else if (n == 32) {
        uint8_t tmp[32];
        const uint8_t *p = vec_rd256(cpu, i, tmp);
        memcpy(&v, p, 32);
        for (unsigned k = 0; HOST_BIG_ENDIAN && k < 4; k++) {
            v.q[k] = le64_get(p + 8 * k);
        }
    } else {
        v.q[0] = vec_rd64(cpu, i, n);
    }
    return v;
}

/* Operand Q: an MMX register, or n bytes (4, 8) of memory. */
static inline uint64_t mmx_q(struct cpu *cpu, const struct insn *i, unsigned n)
{
    if (i->mod3) {
        return mmx_get(cpu, i->rm);
    }
    return vec_rd64(cpu, i, n);
}

static inline unsigned insn_vl(const struct insn *i)
{
    return i->pfx & PFX_L ? 32 : 16;
}

/* Width of a `y` operand: outside 64-bit mode VEX.W does not make it 8. */
static inline unsigned insn_y(const struct cpu *cpu, const struct insn *i)
{
    return (i->pfx & PFX_W) && cpu_code64(cpu) ? 8 : 4;
}

static inline uint8_t insn_imm8(const struct insn *i)
{
    return (uint8_t)i->imm;
}

/* ---- one body for the legacy and the VEX.128 form, where speed matters less ---- */
static inline void vec_check(struct cpu *cpu, const struct insn *i)
{
    if (i->pfx & PFX_VEX) {
        avx_check(cpu);
    } else {
        sse_check(cpu);
    }
}

/* The first source: VEX.vvvv, or the destination. */
static inline unsigned vec_src1(const struct insn *i)
{
    return i->pfx & PFX_VEX ? i->vvvv : i->reg;
}

/* Write 16 bytes; the rest of the register as the encoding wants it. */
static inline void vec_put(struct cpu *cpu, const struct insn *i, const union vec *v)
{
    if (i->pfx & PFX_VEX) {
        vec_set_zx(cpu, i->reg, v, 16);
    } else {
        vec_set(cpu, i->reg, v, 16);
    }
}

/* ---- scalars: words by value, since a narrow store before a wide load would stall the host ----
 */
static ALWAYS_INLINE void vec_put_words(struct cpu *cpu, const struct insn *i, uint64_t lo,
                                        uint64_t hi)
{
    uint64_t *r = &cpu->s.ymm[4 * i->reg];
    r[0] = lo;
    r[1] = hi;
    if (i->pfx & PFX_VEX) {
        r[2] = r[3] = 0;
    }
}

/* The low n bytes (4, 8) become val, the rest of 16 bytes is the first source's. */
static ALWAYS_INLINE void vec_put_scalar(struct cpu *cpu, const struct insn *i, uint64_t val,
                                         unsigned n)
{
    const uint64_t *a = &cpu->s.ymm[4 * vec_src1(i)];
    uint64_t lo = n == 8 ? val : (a[0] & ~bits_mask(32)) | (uint32_t)val;
    vec_put_words(cpu, i, lo, a[1]);
}

/* Scalar operand W of n bytes (4, 8), zero-extended. */
static ALWAYS_INLINE uint64_t vec_w_scalar(struct cpu *cpu, const struct insn *i, unsigned n)
{
    if (i->mod3) {
        return cpu->s.ymm[4 * i->rm] & bits_mask(8 * n);
    }
    return vec_rd64(cpu, i, n);
}

#endif
