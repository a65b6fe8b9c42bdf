/*
 * An assembler for A64: one function per encoding group, into the emitter's buffer.
 *
 * Widths are in bytes as in micro-operations: w is 4 or 8 for registers, 1, 2, 4 or 8 for memory.
 * Register 31 is XZR or SP as the instruction has it. Instructions are little-endian words on every
 * aarch64 host. asm_word is the only place where one is emitted.
 *
 * Source: Arm ARM (DDI 0487) C4.1, "A64 instruction set encoding", and C6.2.
 */
#ifndef DOPPEL_CPU_JIT_A64_ASM_H
#define DOPPEL_CPU_JIT_A64_ASM_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "cpu/jit/count.h"

enum {
    X0,
    X1,
    X2,
    X3,
    X4,
    X5,
    X6,
    X7,
    X8,
    X9,
    X10,
    X11,
    X12,
    X13,
    X14,
    X15, // clang-format off
    X16, X17, X18, X19, X20, X21, X22, X23, X24, X25, X26, X27, X28, X29, X30, XZR, XSP = 31
}; // clang-format on

/* Conditions. */
enum { A_EQ, A_NE, A_CS, A_CC, A_MI, A_PL, A_VS, A_VC, A_HI, A_LS, A_GE, A_LT, A_GT, A_LE, A_AL };

/* Where code goes. Past the end nothing is written and `full` is set. */
struct asmbuf {
    uint8_t *base;
    uint32_t at, end;
    bool full;
    struct emit_counts count;
};

static inline void asm_put32(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)v;
    to[1] = (uint8_t)(v >> 8);
    to[2] = (uint8_t)(v >> 16);
    to[3] = (uint8_t)(v >> 24);
}

static inline uint32_t asm_get32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline void asm_word(struct asmbuf *a, uint32_t v)
{
    emit_one(&a->count);
    if (a->at + 4 <= a->end) {
        asm_put32(a->base + a->at, v);
        a->at += 4;
    } else {
        a->full = true;
    }
}

static inline uint32_t asm_sf(unsigned w)
{
    return w == 8 ? 1u << 31 : 0;
}

/* log2 of 1, 2, 4, 8. */
static inline unsigned asm_log2(unsigned w)
{
    return w == 1 ? 0 : w == 2 ? 1 : w == 4 ? 2 : 3;
}

/* ---- addition and subtraction: op A_ADD..A_SUBS ---- */
enum { A_ADD, A_ADDS, A_SUB, A_SUBS };
enum { A_LSL, A_LSR, A_ASR, A_ROR };
enum { A_UXTB, A_UXTH, A_UXTW, A_UXTX, A_SXTB, A_SXTH, A_SXTW, A_SXTX };

/* Is v a 12-bit immediate, shifted by 0 or 12? */
static inline bool asm_imm12(uint64_t v)
{
    return v < 4096 || (!(v & 4095) && v < 4096u << 12);
}

static inline void asm_addsub_imm(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                                  uint32_t imm)
{
    assert(asm_imm12(imm));
    uint32_t v = imm < 4096 ? imm << 10 : 1u << 22 | imm >> 12 << 10;
    asm_word(a, 0x11000000u | asm_sf(w) | op << 29 | v | n << 5 | d);
}

/* d = n op (m shifted); 31 is XZR. */
static inline void asm_addsub(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                              unsigned m, unsigned type, unsigned count)
{
    asm_word(a,
             0x0b000000u | asm_sf(w) | op << 29 | type << 22 | m << 16 | count << 10 | n << 5 | d);
}

/* d = n op (m extended, << 0..4). */
static inline void asm_addsub_ext(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                                  unsigned m, unsigned ext, unsigned count)
{
    asm_word(a,
             0x0b200000u | asm_sf(w) | op << 29 | m << 16 | ext << 13 | count << 10 | n << 5 | d);
}

/* ADC ADCS SBC SBCS. */
static inline void asm_addsub_carry(struct asmbuf *a, unsigned w, unsigned op, unsigned d,
                                    unsigned n, unsigned m)
{
    asm_word(a, 0x1a000000u | asm_sf(w) | op << 29 | m << 16 | n << 5 | d);
}

/* ---- logic ---- */
enum { A_AND, A_ORR, A_EOR, A_ANDS };

/* The N:immr:imms field for v at width w, or UINT32_MAX: v is no repeated rotated run of ones. */
static inline uint32_t asm_bitmask(unsigned w, uint64_t v)
{
    if (w == 4) {
        v = (v & UINT32_MAX) | v << 32;
    }
    if (v == 0 || v == UINT64_MAX) {
        return UINT32_MAX;
    }
    unsigned size = 64;
    while (size > 2) {
        uint64_t mask = (UINT64_C(1) << (size / 2)) - 1;
        if ((v & mask) != (v >> (size / 2) & mask)) {
            break;
        }
        size /= 2;
    }
    uint64_t mask = size == 64 ? UINT64_MAX : (UINT64_C(1) << size) - 1, e = v & mask;
    unsigned ones = (unsigned)__builtin_popcountll(e);
    uint64_t run = (UINT64_C(1) << ones) - 1;
    for (unsigned r = 0; r < size; r++) {
        uint64_t rot = r ? (run >> r | run << (size - r)) & mask : run;
        if (rot == e) {
            uint32_t imms = (~(size * 2 - 1) & 0x3f) | (ones - 1);
            return (size == 64 ? 1u << 12 : 0) | r << 6 | imms;
        }
    }
    return UINT32_MAX;
}

static inline bool asm_is_bitmask(unsigned w, uint64_t v)
{
    return asm_bitmask(w, v) != UINT32_MAX;
}

static inline void asm_logic_imm(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                                 uint64_t v)
{
    uint32_t f = asm_bitmask(w, v);
    assert(f != UINT32_MAX);
    asm_word(a, 0x12000000u | asm_sf(w) | op << 29 | f << 10 | n << 5 | d);
}

/* d = n op (m shifted), or op NOT (m shifted). */
static inline void asm_logic_x(struct asmbuf *a, unsigned w, unsigned op, bool inv, unsigned d,
                               unsigned n, unsigned m, unsigned type, unsigned count)
{
    asm_word(a, 0x0a000000u | asm_sf(w) | op << 29 | type << 22 | (inv ? 1u << 21 : 0) | m << 16 |
                    count << 10 | n << 5 | d);
}
static inline void asm_logic(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                             unsigned m)
{
    asm_logic_x(a, w, op, false, d, n, m, A_LSL, 0);
}
static inline void asm_mov(struct asmbuf *a, unsigned w, unsigned d, unsigned s)
{
    asm_logic(a, w, A_ORR, d, XZR, s);
}
static inline void asm_mvn(struct asmbuf *a, unsigned w, unsigned d, unsigned s)
{
    asm_logic_x(a, w, A_ORR, true, d, XZR, s, A_LSL, 0);
}

/* ---- constants ---- */
enum { A_MOVN = 0, A_MOVZ = 2, A_MOVK = 3 };

static inline void asm_movw(struct asmbuf *a, unsigned w, unsigned op, unsigned d, uint32_t imm16,
                            unsigned shift)
{
    asm_word(a, 0x12800000u | asm_sf(w) | op << 29 | shift / 16 << 21 | (imm16 & 0xffff) << 5 | d);
}

/* Any 64-bit value: the fewest of MOVZ, MOVN, MOVK, or one ORR. */
static inline void asm_const(struct asmbuf *a, unsigned d, uint64_t v)
{
    unsigned zeros = 0, ones = 0;
    for (unsigned s = 0; s < 64; s += 16) {
        zeros += (v >> s & 0xffff) == 0;
        ones += (v >> s & 0xffff) == 0xffff;
    }
    if (zeros < 3 && ones < 3 && asm_is_bitmask(8, v)) {
        asm_logic_imm(a, 8, A_ORR, d, XZR, v);
        return;
    }
    bool inv = ones > zeros, first = true;
    uint32_t skip = inv ? 0xffff : 0;
    for (unsigned s = 0; s < 64; s += 16) {
        uint32_t part = (uint32_t)(v >> s & 0xffff);
        if (part == skip) {
            continue;
        }
        asm_movw(a, 8, !first ? A_MOVK : inv ? A_MOVN : A_MOVZ, d, first && inv ? ~part : part, s);
        first = false;
    }
    if (first) {
        asm_movw(a, 8, inv ? A_MOVN : A_MOVZ, d, 0, 0);
    }
}

/* ---- bit fields ---- */
enum { A_SBFM, A_BFM, A_UBFM };

static inline void asm_bitfield(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                                unsigned immr, unsigned imms)
{
    asm_word(a, 0x13000000u | asm_sf(w) | (w == 8 ? 1u << 22 : 0) | op << 29 | immr << 16 |
                    imms << 10 | n << 5 | d);
}
/* By 0 to 8w - 1. */
static inline void asm_lsl(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned count)
{
    asm_bitfield(a, w, A_UBFM, d, n, (8 * w - count) % (8 * w), 8 * w - 1 - count);
}
static inline void asm_lsr(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned count)
{
    asm_bitfield(a, w, A_UBFM, d, n, count, 8 * w - 1);
}
static inline void asm_asr(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned count)
{
    asm_bitfield(a, w, A_SBFM, d, n, count, 8 * w - 1);
}
static inline void asm_ubfx(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned lsb,
                            unsigned bits)
{
    asm_bitfield(a, w, A_UBFM, d, n, lsb, lsb + bits - 1);
}
static inline void asm_sbfx(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned lsb,
                            unsigned bits)
{
    asm_bitfield(a, w, A_SBFM, d, n, lsb, lsb + bits - 1);
}
/* d[lsb+bits-1:lsb] = n[bits-1:0]. */
static inline void asm_bfi(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned lsb,
                           unsigned bits)
{
    asm_bitfield(a, w, A_BFM, d, n, (8 * w - lsb) % (8 * w), bits - 1);
}
/* d[bits-1:0] = n[lsb+bits-1:lsb]. */
static inline void asm_bfxil(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned lsb,
                             unsigned bits)
{
    asm_bitfield(a, w, A_BFM, d, n, lsb, lsb + bits - 1);
}
/* d = w bytes of n, zero- or sign-extended to 64 bits. */
static inline void asm_zx(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    if (w == 4) {
        asm_mov(a, 4, d, n);
    } else {
        asm_ubfx(a, w == 8 ? 8 : 4, d, n, 0, 8 * w);
    }
}
static inline void asm_sx(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    asm_sbfx(a, 8, d, n, 0, 8 * w);
}
static inline void asm_extr(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned m,
                            unsigned lsb)
{
    asm_word(a,
             0x13800000u | asm_sf(w) | (w == 8 ? 1u << 22 : 0) | m << 16 | lsb << 10 | n << 5 | d);
}

/* ---- two sources, three sources, one source ---- */
enum { A_UDIV = 2, A_SDIV = 3, A_LSLV = 8, A_LSRV = 9, A_ASRV = 10, A_RORV = 11 };
static inline void asm_two(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                           unsigned m)
{
    asm_word(a, 0x1ac00000u | asm_sf(w) | m << 16 | op << 10 | n << 5 | d);
}
/* d = c + n * m, or c - n * m. */
static inline void asm_madd(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned m,
                            unsigned c)
{
    asm_word(a, 0x1b000000u | asm_sf(w) | m << 16 | c << 10 | n << 5 | d);
}
static inline void asm_msub(struct asmbuf *a, unsigned w, unsigned d, unsigned n, unsigned m,
                            unsigned c)
{
    asm_word(a, 0x1b008000u | asm_sf(w) | m << 16 | c << 10 | n << 5 | d);
}
/* 32 x 32 to 64; the upper half of 64 x 64. */
static inline void asm_mull(struct asmbuf *a, bool sign, unsigned d, unsigned n, unsigned m)
{
    asm_word(a, (sign ? 0x9b207c00u : 0x9ba07c00u) | m << 16 | n << 5 | d);
}
static inline void asm_mulh(struct asmbuf *a, bool sign, unsigned d, unsigned n, unsigned m)
{
    asm_word(a, (sign ? 0x9b407c00u : 0x9bc07c00u) | m << 16 | n << 5 | d);
}
/* Bytes of w reversed. */
static inline void asm_rev(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    asm_word(a, (w == 8 ? 0xdac00c00u : 0x5ac00800u) | n << 5 | d);
}

/* Leading zero bits of n; n with its bits in reverse. */
static inline void asm_clz(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    asm_word(a, 0x5ac01000u | asm_sf(w) | n << 5 | d);
}
static inline void asm_rbit(struct asmbuf *a, unsigned w, unsigned d, unsigned n)
{
    asm_word(a, 0x5ac00000u | asm_sf(w) | n << 5 | d);
}

/* ---- conditions ---- */
enum { A_CSEL = 0, A_CSINC = 1, A_CSINV = 2, A_CSNEG = 3 };
static inline void asm_csel(struct asmbuf *a, unsigned w, unsigned op, unsigned d, unsigned n,
                            unsigned m, unsigned cc)
{
    asm_word(a, 0x1a800000u | asm_sf(w) | (op & 2) << 29 | (op & 1) << 10 | m << 16 | cc << 12 |
                    n << 5 | d);
}
/* d = cc ? 1 : 0. */
static inline void asm_cset(struct asmbuf *a, unsigned d, unsigned cc)
{
    asm_csel(a, 4, A_CSINC, d, XZR, XZR, cc ^ 1);
}
static inline void asm_mrs_nzcv(struct asmbuf *a, unsigned d)
{
    asm_word(a, 0xd53b4200u | d);
}
static inline void asm_msr_nzcv(struct asmbuf *a, unsigned n)
{
    asm_word(a, 0xd51b4200u | n);
}

/* ---- memory ---- */
enum { A_ST = 0, A_LD = 1, A_LDS8 = 2, A_LDS4 = 3 }; /* LDS: sign-extended to 8, 4 bytes */

static inline bool asm_fits_offset(unsigned w, int64_t off)
{
    return off >= 0 && off < 4096 * (int64_t)w && !(off & (int64_t)(w - 1));
}
/* [n + off], off scaled and not negative. */
static inline void asm_mem_imm(struct asmbuf *a, unsigned w, unsigned op, unsigned t, unsigned n,
                               uint32_t off)
{
    assert(asm_fits_offset(w, off));
    asm_word(a, 0x39000000u | asm_log2(w) << 30 | op << 22 | off / w << 10 | n << 5 | t);
}
/* [n + off], off -256 to 255. */
static inline void asm_mem_near(struct asmbuf *a, unsigned w, unsigned op, unsigned t, unsigned n,
                                int32_t off)
{
    assert(off >= -256 && off < 256);
    asm_word(a, 0x38000000u | asm_log2(w) << 30 | op << 22 | ((uint32_t)off & 0x1ff) << 12 |
                    n << 5 | t);
}
/* [n + m]. */
static inline void asm_mem(struct asmbuf *a, unsigned w, unsigned op, unsigned t, unsigned n,
                           unsigned m)
{
    asm_word(a, 0x38206800u | asm_log2(w) << 30 | op << 22 | m << 16 | n << 5 | t);
}
/* Two registers of 8 bytes at [n + off]. */
static inline void asm_pair(struct asmbuf *a, bool load, unsigned t, unsigned t2, unsigned n,
                            int32_t off)
{
    assert(off >= -512 && off < 512 && !(off & 7));
    asm_word(a, 0xa9000000u | (load ? 1u << 22 : 0) | ((uint32_t)(off / 8) & 0x7f) << 15 |
                    t2 << 10 | n << 5 | t);
}

/* ---- transfers: each returns its place ---- */
#define A64_NOP 0xd503201fu
#define A64_B   0x14000000u

static inline uint32_t asm_b(struct asmbuf *a)
{
    asm_word(a, 0x14000000u);
    return a->at - 4;
}
static inline uint32_t asm_bl(struct asmbuf *a)
{
    asm_word(a, 0x94000000u);
    return a->at - 4;
}
static inline uint32_t asm_bcond(struct asmbuf *a, unsigned cc)
{
    asm_word(a, 0x54000000u | cc);
    return a->at - 4;
}
static inline uint32_t asm_cbz(struct asmbuf *a, unsigned w, bool nonzero, unsigned t)
{
    asm_word(a, 0x34000000u | asm_sf(w) | (nonzero ? 1u << 24 : 0) | t);
    return a->at - 4;
}
static inline uint32_t asm_tbz(struct asmbuf *a, bool nonzero, unsigned t, unsigned bit)
{
    asm_word(a, 0x36000000u | (nonzero ? 1u << 24 : 0) | bit >> 5 << 31 | (bit & 31) << 19 | t);
    return a->at - 4;
}
static inline void asm_br(struct asmbuf *a, unsigned n)
{
    asm_word(a, 0xd61f0000u | n << 5);
}
static inline void asm_blr(struct asmbuf *a, unsigned n)
{
    asm_word(a, 0xd63f0000u | n << 5);
}
static inline void asm_ret(struct asmbuf *a)
{
    asm_word(a, 0xd65f03c0u);
}

static inline bool asm_is_b(uint32_t word)
{
    return (word & 0x7c000000u) == A64_B;
}

/* Bits of the displacement and where they begin. */
static inline unsigned asm_reach(uint32_t word, unsigned *at)
{
    *at = asm_is_b(word) ? 0 : 5;
    return asm_is_b(word) ? 26 : (word & 0x7e000000u) == 0x36000000u ? 14 : 19;
}

/* Where the transfer `word` at `place` leads. */
static inline uint32_t asm_target(uint32_t word, uint32_t place)
{
    unsigned at, bits = asm_reach(word, &at);
    uint32_t d = word >> at << (32 - bits);
    return place + (uint32_t)((int32_t)d >> (32 - bits)) * 4;
}

/* The transfer `word` at `place`, leading to `target` instead. False: out of its reach. */
static inline bool asm_retarget(uint32_t *word, uint32_t place, uint32_t target)
{
    int64_t d = ((int64_t)target - (int64_t)place) / 4;
    unsigned at, bits = asm_reach(*word, &at);
    if (d < -(INT64_C(1) << (bits - 1)) || d >= INT64_C(1) << (bits - 1)) {
        return false;
    }
    uint32_t mask = (UINT32_C(1) << bits) - 1;
    *word = (*word & ~(mask << at)) | ((uint32_t)d & mask) << at;
    return true;
}

/* Let the transfer at `place` lead to `target`. Out of reach: as if the buffer were full. */
static inline void asm_patch(struct asmbuf *a, uint32_t place, uint32_t target)
{
    if (a->full) {
        return;
    }
    uint32_t word = asm_get32(a->base + place);
    if (asm_retarget(&word, place, target)) {
        asm_put32(a->base + place, word);
    } else {
        a->full = true;
    }
}
static inline void asm_here(struct asmbuf *a, uint32_t place)
{
    asm_patch(a, place, a->at);
}
static inline void asm_b_to(struct asmbuf *a, uint32_t target)
{
    uint32_t place = asm_b(a);
    asm_patch(a, place, target);
}
static inline void asm_bl_to(struct asmbuf *a, uint32_t target)
{
    uint32_t place = asm_bl(a);
    asm_patch(a, place, target);
}

#endif
