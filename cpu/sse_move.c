/*
 * Moves between vector registers, memory and general registers, in MMX, SSE and AVX forms.
 *
 * The whole-register moves are the hottest vector instructions of any C library, so their memory
 * accesses are inline. Where an element number or a general register makes the work, one body
 * serves the legacy and the VEX.128 encoding (vec_check, vec_put).
 *
 * Non-temporal hints do nothing: memory types are not modelled for data accesses.
 *
 * Sources: SDM 2B MOVAPS to MOVUPD, PEXTRB, PINSRB, PMOVMSKB; SDM 1 10.4.6, 14.9.
 */
#include "cpu/sem.h"
#include "cpu/vec.h"

/* ---- whole registers ---- */
static ALWAYS_INLINE void load_sse(struct cpu *cpu, const struct insn *i, bool aligned)
{
    union vec v;
    sse_check(cpu);
    if (i->mod3) {
        v = vec_get(cpu, i->rm, 16);
    } else {
        vec_rd(cpu, i, &v, 16, aligned);
    }
    vec_set(cpu, i->reg, &v, 16);
}

static ALWAYS_INLINE void store_sse(struct cpu *cpu, const struct insn *i, bool aligned)
{
    union vec v;
    sse_check(cpu);
    v = vec_get(cpu, i->reg, 16);
    if (i->mod3) {
        vec_set(cpu, i->rm, &v, 16);
    } else {
        vec_wr(cpu, i, &v, 16, aligned);
    }
}

static ALWAYS_INLINE void load_avx(struct cpu *cpu, const struct insn *i, unsigned n, bool aligned)
{
    union vec v;
    avx_check(cpu);
    if (i->mod3) {
        v = vec_get(cpu, i->rm, n);
    } else {
        vec_rd(cpu, i, &v, n, aligned);
    }
    vec_set_zx(cpu, i->reg, &v, n);
}

static ALWAYS_INLINE void store_avx(struct cpu *cpu, const struct insn *i, unsigned n, bool aligned)
{
    union vec v;
    avx_check(cpu);
    v = vec_get(cpu, i->reg, n);
    if (i->mod3) {
        vec_set_zx(cpu, i->rm, &v, n);
    } else {
        vec_wr(cpu, i, &v, n, aligned);
    }
}

static ALWAYS_INLINE void load_vl(struct cpu *cpu, const struct insn *i, bool aligned)
{
    if (i->pfx & PFX_L) {
        load_avx(cpu, i, 32, aligned);
    } else {
        load_avx(cpu, i, 16, aligned);
    }
}

static ALWAYS_INLINE void store_vl(struct cpu *cpu, const struct insn *i, bool aligned)
{
    if (i->pfx & PFX_L) {
        store_avx(cpu, i, 32, aligned);
    } else {
        store_avx(cpu, i, 16, aligned);
    }
}

// clang-format off
SEM(mov_load)      { load_sse(cpu, i, false); }  /* MOVUPS, MOVUPD, MOVDQU, LDDQU */
SEM(mov_load_a)    { load_sse(cpu, i, true); }   /* MOVAPS, MOVAPD, MOVDQA, MOVNTDQA */
SEM(mov_store)     { store_sse(cpu, i, false); }
SEM(mov_store_a)   { store_sse(cpu, i, true); }  /* MOVNTPS, MOVNTPD, MOVNTDQ as well */
SEM(vmov_load)     { load_vl(cpu, i, false); }
SEM(vmov_load_a)   { load_vl(cpu, i, true); }
SEM(vmov_store)    { store_vl(cpu, i, false); }
SEM(vmov_store_a)  { store_vl(cpu, i, true); }
// clang-format on

/* ---- scalars: a load from memory clears the rest, a move between registers merges ---- */
static ALWAYS_INLINE void load_scalar(struct cpu *cpu, const struct insn *i, unsigned n, bool merge)
{
    vec_check(cpu, i);
    if (i->mod3 && merge) {
        vec_put_scalar(cpu, i, cpu->s.ymm[4 * i->rm], n);
    } else if (i->mod3) {
        vec_put_words(cpu, i, cpu->s.ymm[4 * i->rm], 0);
    } else {
        uint64_t val = mem_rd(cpu, i->seg, insn_la(cpu, i, n, ACC_READ), n);
        vec_put_words(cpu, i, val, 0);
    }
}

/* In the register form of the VEX encoding the destination is modrm.rm, merged into vvvv. */
static ALWAYS_INLINE void store_scalar(struct cpu *cpu, const struct insn *i, unsigned n)
{
    vec_check(cpu, i);
    uint64_t val = cpu->s.ymm[4 * i->reg] & bits_mask(8 * n);
    if (!i->mod3) {
        mem_wr(cpu, i->seg, insn_la(cpu, i, n, ACC_WRITE), n, val);
        return;
    }
    bool vex = i->pfx & PFX_VEX;
    const uint64_t *a = &cpu->s.ymm[4 * (vex ? i->vvvv : i->rm)];
    uint64_t *r = &cpu->s.ymm[4 * i->rm];
    r[0] = (a[0] & ~bits_mask(8 * n)) | val;
    r[1] = a[1];
    if (vex) {
        r[2] = r[3] = 0;
    }
}

// clang-format off
SEM(movss_load)  { load_scalar(cpu, i, 4, true); }
SEM(movsd_load)  { load_scalar(cpu, i, 8, true); }
SEM(movq_load)   { load_scalar(cpu, i, 8, false); }
SEM(movss_store) { store_scalar(cpu, i, 4); }
SEM(movsd_store) { store_scalar(cpu, i, 8); }
// clang-format on

/* MOVQ Wq, Vq: a register destination gets zeros above, unlike MOVSD's. */
SEM(movq_store)
{
    union vec v;
    vec_check(cpu, i);
    v = vec_get(cpu, i->reg, 16);
    if (i->mod3) {
        v.q[1] = 0;
        if (i->pfx & PFX_VEX) {
            vec_set_zx(cpu, i->rm, &v, 16);
        } else {
            vec_set(cpu, i->rm, &v, 16);
        }
    } else {
        vec_wr(cpu, i, &v, 8, false);
    }
}

/* ---- halves ---- */
/* MOVLPS/MOVLPD from memory; MOVHLPS between registers. */
SEM(movlps_load)
{
    vec_check(cpu, i);
    uint64_t val = i->mod3 ? cpu->s.ymm[4 * i->rm + 1] : vec_rd64(cpu, i, 8);
    vec_put_words(cpu, i, val, cpu->s.ymm[4 * vec_src1(i) + 1]);
}

/* MOVHPS/MOVHPD from memory; MOVLHPS between registers. */
SEM(movhps_load)
{
    vec_check(cpu, i);
    uint64_t val = i->mod3 ? cpu->s.ymm[4 * i->rm] : vec_rd64(cpu, i, 8);
    vec_put_words(cpu, i, cpu->s.ymm[4 * vec_src1(i)], val);
}

SEM(movlps_store)
{
    vec_check(cpu, i);
    mem_wr(cpu, i->seg, insn_la(cpu, i, 8, ACC_WRITE), 8, cpu->s.ymm[4 * i->reg]);
}

SEM(movhps_store)
{
    vec_check(cpu, i);
    mem_wr(cpu, i->seg, insn_la(cpu, i, 8, ACC_WRITE), 8, cpu->s.ymm[4 * i->reg + 1]);
}

/* ---- general registers ---- */

/* A general register or memory operand of n bytes. */
static inline uint64_t read_e(struct cpu *cpu, const struct insn *i, unsigned n)
{
    return i->mod3 ? gpr_get(cpu, i->rm, n) : vec_rd64(cpu, i, n);
}

/* A register destination is written as a whole: zero-extended to wr bytes. */
static inline void write_e(struct cpu *cpu, const struct insn *i, unsigned n, unsigned wr,
                           uint64_t val)
{
    if (i->mod3) {
        gpr_set(cpu, i->rm, wr, val);
    } else {
        mem_wr(cpu, i->seg, insn_la(cpu, i, n, ACC_WRITE), n, val);
    }
}

SEM(movd_load)
{
    vec_check(cpu, i);
    vec_put_words(cpu, i, read_e(cpu, i, insn_y(cpu, i)), 0);
}

SEM(movd_store)
{
    vec_check(cpu, i);
    unsigned n = insn_y(cpu, i);
    uint64_t val = cpu->s.ymm[4 * i->reg];
    write_e(cpu, i, n, n, val & bits_mask(8 * n));
}

SEM(movnti)
{
    unsigned n = insn_y(cpu, i);
    mem_wr(cpu, i->seg, insn_la(cpu, i, n, ACC_WRITE), n, gpr_get(cpu, i->reg, n));
}

/* The sign bits of a quadword's bytes, gathered: each product term lands in its own bit. */
static inline unsigned byte_signs(uint64_t q)
{
    return (unsigned)((q >> 7 & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56);
}

SEM(pmovmskb)
{
    sse_check(cpu);
    union vec v = vec_get(cpu, i->rm, 16);
    cpu->s.gpr[i->reg] = byte_signs(v.q[0]) | byte_signs(v.q[1]) << 8;
}

SEM(vpmovmskb)
{
    avx_check(cpu);
    union vec v = vec_get(cpu, i->rm, 32);
    uint32_t r = byte_signs(v.q[0]) | byte_signs(v.q[1]) << 8;
    if (i->pfx & PFX_L) {
        r |= byte_signs(v.q[2]) << 16 | byte_signs(v.q[3]) << 24;
    }
    cpu->s.gpr[i->reg] = r;
}

SEM(movmskps)
{
    vec_check(cpu, i);
    union vec v = vec_get(cpu, i->rm, 32);
    unsigned r = 0;
    for (unsigned k = 0; k < insn_vl(i) / 4; k++) {
        r |= v.d[VD(k)] >> 31 << k;
    }
    cpu->s.gpr[i->reg] = r;
}

SEM(movmskpd)
{
    vec_check(cpu, i);
    union vec v = vec_get(cpu, i->rm, 32);
    unsigned r = 0;
    for (unsigned k = 0; k < insn_vl(i) / 8; k++) {
        r |= (unsigned)(v.q[k] >> 63) << k;
    }
    cpu->s.gpr[i->reg] = r;
}

/* ---- one element ---- */
/* Element k of `size` bytes. */
static inline uint64_t element(const union vec *v, unsigned k, unsigned size)
{
    unsigned bit = 8 * size * k;
    return v->q[bit / 64] >> bit % 64 & bits_mask(8 * size);
}

static inline void set_element(union vec *v, unsigned k, unsigned size, uint64_t val)
{
    unsigned bit = 8 * size * k;
    uint64_t mask = bits_mask(8 * size) << bit % 64;
    v->q[bit / 64] = (v->q[bit / 64] & ~mask) | (val << bit % 64 & mask);
}

static inline void extract(struct cpu *cpu, const struct insn *i, unsigned size)
{
    vec_check(cpu, i);
    union vec v = vec_get(cpu, i->reg, 16);
    unsigned k = insn_imm8(i) & (16 / size - 1);
    write_e(cpu, i, size, size == 8 ? 8 : 4, element(&v, k, size));
}

static inline void insert(struct cpu *cpu, const struct insn *i, unsigned size)
{
    vec_check(cpu, i);
    uint64_t val = read_e(cpu, i, size);
    union vec v = vec_get(cpu, vec_src1(i), 16);
    set_element(&v, insn_imm8(i) & (16 / size - 1), size, val);
    vec_put(cpu, i, &v);
}

// clang-format off
SEM(pextrb)    { extract(cpu, i, 1); }
SEM(pextrw_st) { extract(cpu, i, 2); }           /* 0F 3A 15 */
SEM(pextrd)    { extract(cpu, i, insn_y(cpu, i)); }  /* PEXTRQ with W */
SEM(extractps) { extract(cpu, i, 4); }
SEM(pinsrb)    { insert(cpu, i, 1); }
SEM(pinsrw)    { insert(cpu, i, 2); }
SEM(pinsrd)    { insert(cpu, i, insn_y(cpu, i)); }
// clang-format on

SEM(pextrw) /* 0F C5: from modrm.rm to modrm.reg */
{
    vec_check(cpu, i);
    union vec v = vec_get(cpu, i->rm, 16);
    cpu->s.gpr[i->reg] = element(&v, insn_imm8(i) & 7, 2);
}

SEM(insertps)
{
    union vec v, b;
    unsigned imm = insn_imm8(i);
    vec_check(cpu, i);
    b = vec_w(cpu, i, 4, false);
    v = vec_get(cpu, vec_src1(i), 16);
    set_element(&v, imm >> 4 & 3, 4, i->mod3 ? element(&b, imm >> 6, 4) : b.q[0]);
    for (unsigned k = 0; k < 4; k++) {
        if (imm >> k & 1) {
            set_element(&v, k, 4, 0);
        }
    }
    vec_put(cpu, i, &v);
}

/* ---- masked bytes to DS:rDI; only the selected bytes are touched or checked ---- */
SEM(maskmovdqu)
{
    vec_check(cpu, i);
    union vec v = vec_get(cpu, i->reg, 16), m = vec_get(cpu, i->rm, 16);
    vec_maskmov_bytes(cpu, i, &v, &m, 16);
}

/* ---- PTEST and VTESTPS/PD: ZF = (a & b) == 0, CF = (~a & b) == 0 over the bits of `mask` ---- */
static inline void test_flags(struct cpu *cpu, const struct insn *i, uint64_t mask)
{
    unsigned n = insn_vl(i);
    union vec a, b;
    uint64_t z = 0, c = 0;
    vec_check(cpu, i);
    b = n == 32 ? vec_w(cpu, i, 32, false) : vec_w(cpu, i, 16, !(i->pfx & PFX_VEX));
    a = vec_get(cpu, i->reg, 32);
    for (unsigned k = 0; k < n / 8; k++) {
        z |= a.q[k] & b.q[k] & mask;
        c |= ~a.q[k] & b.q[k] & mask;
    }
    flags_set_arith(cpu, (z ? 0 : FL_ZF) | (c ? 0 : FL_CF));
}

// clang-format off
SEM(ptest)   { test_flags(cpu, i, ~UINT64_C(0)); }
SEM(vtestps) { test_flags(cpu, i, UINT64_C(0x8000000080000000)); }
SEM(vtestpd) { test_flags(cpu, i, UINT64_C(0x8000000000000000)); }
// clang-format on
