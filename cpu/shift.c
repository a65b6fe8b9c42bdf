/*
 * Shifts and rotates: shl, shr, sar, rol, ror, rcl, rcr, shld, shrd; the 8086's setmo.
 *
 * The count is cut to 5 bits (6 for 64-bit operands) from the 80286 on; the 8086 uses all of CL
 * (SDM 3B 23.22.17). A count of zero changes no flag. Undefined flags (docs/undefined-flags.md): OF
 * for counts other than one is set as if the last of the single-bit shifts had set it; AF is
 * cleared; shifts by more than the operand's width shift one bit at a time in effect. Sources: SDM
 * 2B.
 */
#include "cpu/forms.h"

/* ---- counts ---- */
static inline unsigned shift_count(const struct cpu *cpu, unsigned w, uint64_t b)
{
    if (UNLIKELY(!cpu_has(cpu, FEAT_i186))) {
        return (unsigned)b & 0xff;
    }
    return (unsigned)b & (w == 8 ? 63 : 31);
}

/* ---- shifts: op is 4 (SHL), 5 (SHR), 7 (SAR) ---- */
FORM_INLINE uint64_t shift_by(struct cpu *cpu, unsigned w, uint64_t a, unsigned n, unsigned op)
{
    unsigned bits = 8 * w;
    uint64_t r;
    bool cf, of;
    if (n == 0) {
        return a;
    }
    if (op == 4) {
        r = n > 63 ? 0 : a << n;
        cf = n <= bits && (a >> (bits - n) & 1);
        of = (r >> (bits - 1) & 1) != cf;
    } else {
        uint64_t s = op == 7 ? bits_sext(a, bits) : a;
        bool fill = s >> 63;
        r = op == 7 ? (uint64_t)((int64_t)s >> (n > 63 ? 63 : n)) : n > 63 ? 0 : s >> n;
        cf = n > 64 ? fill : s >> (n - 1) & 1;
        /* The sign before the last single-bit step. */
        of = op == 5 && n <= bits && (n == 1 ? a >> (bits - 1) & 1 : 0);
    }
    flags_set_logic(cpu, w, r);
    flags_set_cf_of(cpu, cf, of);
    return r;
}

FORM_INLINE uint64_t shift_shl(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    return shift_by(cpu, w, a, shift_count(cpu, w, b), 4);
}
FORM_INLINE uint64_t shift_shr(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    return shift_by(cpu, w, a, shift_count(cpu, w, b), 5);
}
FORM_INLINE uint64_t shift_sar(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    return shift_by(cpu, w, a, shift_count(cpu, w, b), 7);
}

/* ---- rotates: CF and OF only; a count that is a multiple of the width sets them too ---- */
FORM_INLINE uint64_t shift_rol(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    unsigned bits = 8 * w, n = shift_count(cpu, w, b), k = n & (bits - 1);
    if (n == 0) {
        return a;
    }
    uint64_t r = k ? (a << k | a >> (bits - k)) & bits_mask(bits) : a;
    bool cf = r & 1;
    flags_set_cf_of(cpu, cf, cf != (r >> (bits - 1) & 1));
    return r;
}

FORM_INLINE uint64_t shift_ror(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    unsigned bits = 8 * w, n = shift_count(cpu, w, b), k = n & (bits - 1);
    if (n == 0) {
        return a;
    }
    uint64_t r = k ? (a >> k | a << (bits - k)) & bits_mask(bits) : a;
    bool cf = r >> (bits - 1) & 1;
    flags_set_cf_of(cpu, cf, cf != (r >> (bits - 2) & 1));
    return r;
}

/* Through carry: a rotation of bits+1 places. */
static uint64_t shift_rcl(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    unsigned bits = 8 * w, n = shift_count(cpu, w, b);
    if (n == 0) {
        return a;
    }
    bool cf = flag_cf(cpu);
    for (unsigned k = n % (bits + 1); k; k--) {
        bool out = a >> (bits - 1) & 1;
        a = (a << 1 | cf) & bits_mask(bits);
        cf = out;
    }
    flags_set_cf_of(cpu, cf, cf != (a >> (bits - 1) & 1));
    return a;
}

static uint64_t shift_rcr(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    unsigned bits = 8 * w, n = shift_count(cpu, w, b);
    if (n == 0) {
        return a;
    }
    bool cf = flag_cf(cpu);
    for (unsigned k = n % (bits + 1); k; k--) {
        bool out = a & 1;
        a = a >> 1 | (uint64_t)cf << (bits - 1);
        cf = out;
    }
    flags_set_cf_of(cpu, cf, (a >> (bits - 1) & 1) != (a >> (bits - 2) & 1));
    return a;
}

/* The count is CL, an immediate or 1; in the forms it is operand 1, a byte, whatever the width of
 * operand 0. */
#define SHIFT_W(name, f, w)                                                                        \
    FORM_INLINE void name##_r##w(struct cpu *cpu, const struct insn *i, uint64_t n)                \
    {                                                                                              \
        reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, w, i->ra), n));                              \
        insn_chain(cpu, i);                                                                        \
    }                                                                                              \
    static void name##_rr##w(struct cpu *cpu, const struct insn *i)                                \
    {                                                                                              \
        name##_r##w(cpu, i, cpu->s.gpr[REG_RCX] & 0xff);                                           \
    }                                                                                              \
    static void name##_ri##w(struct cpu *cpu, const struct insn *i)                                \
    {                                                                                              \
        name##_r##w(cpu, i, (uint64_t)i->imm);                                                     \
    }                                                                                              \
    FORM_INLINE uint64_t name##_cl##w(struct cpu *cpu, unsigned width, uint64_t a)                 \
    {                                                                                              \
        return f(cpu, width, a, cpu->s.gpr[REG_RCX] & 0xff);                                       \
    }                                                                                              \
    FORM_FN_MEM(name##_mr##w, form_un_m, w, name##_cl##w)                                          \
    FORM_FN_MEM(name##_mi##w, form_bin_m, w, f, true)
#define SHIFT(name, f)                                                                             \
    SHIFT_W(name, f, 1)                                                                            \
    SHIFT_W(name, f, 2)                                                                            \
    SHIFT_W(name, f, 4)                                                                            \
    SHIFT_W(name, f, 8)                                                                            \
    FORM_SEM(name, [FORM_RR] = FORM_ROW(name, rr), [FORM_MR] = FORM_ROW(name, mr),                 \
             [FORM_RI] = FORM_ROW(name, ri), [FORM_MI] = FORM_ROW(name, mi))

SHIFT(shl, shift_shl)
SHIFT(shr, shift_shr)
SHIFT(sar, shift_sar)
SHIFT(rol, shift_rol)
SHIFT(ror, shift_ror)
SHIFT(rcl, shift_rcl)
SHIFT(rcr, shift_rcr)

/* ---- double shifts ---- */
/* A count above a 16-bit operand's width leaves it undefined: doppel goes on with the source, as
 * AMD's processors do. */
static void shift_double(struct cpu *cpu, const struct insn *i, bool right)
{
    unsigned bits = 8u * i->w;
    bool by_cl = i->opcode & 1;
    unsigned n = (unsigned)(by_cl ? cpu->s.gpr[REG_RCX] : (uint64_t)i->imm) & (i->w == 8 ? 63 : 31);
    uint64_t a = op_get_rmw(cpu, i, 0), b = reg_get(cpu, i->w, i->rb), r;
    bool cf;
    if (n == 0) {
        op_set(cpu, i, 0, a); /* a 32-bit register is written all the same */
        return;
    }
    if (n > bits) { /* 16-bit operands only */
        uint64_t string = (right ? b : a) << 32 | b << 16 | (right ? a : b);
        r = right ? string >> n : string << n >> 32;
        cf = string >> (right ? n - 1 : 48 - n) & 1;
    } else if (right) {
        r = n == 64 || n == bits ? b : a >> n | b << (bits - n);
        cf = a >> (n - 1) & 1;
    } else {
        r = n == 64 || n == bits ? b : a << n | b >> (bits - n);
        cf = a >> (bits - n) & 1;
    }
    r &= bits_mask(bits);
    bool sign_changed = (r ^ a) >> (bits - 1) & 1;
    flags_set_logic(cpu, i->w, r);
    flags_set_cf_of(cpu, cf, sign_changed);
    op_set(cpu, i, 0, r);
}

SEM(shld)
{
    shift_double(cpu, i, false);
}
SEM(shrd)
{
    shift_double(cpu, i, true);
}

/* ---- D0-D3 /6 of the 8086: set to minus one ---- */
SEM(setmo)
{
    bool by_cl = i->opcode & 2;
    uint64_t a = op_get_rmw(cpu, i, 0);
    if (by_cl && !(cpu->s.gpr[REG_RCX] & 0xff)) {
        op_set(cpu, i, 0, a);
        return;
    }
    flags_set_logic(cpu, i->w, bits_mask(8u * i->w));
    op_set(cpu, i, 0, ~UINT64_C(0));
}
