/*
 * mul, imul in its three forms, div, idiv.
 *
 * 64-bit products and quotients go through unsigned 128-bit arithmetic built here from 64-bit
 * halves: C11 has no wider type. A quotient that does not fit is #DE before anything changes. The
 * 8086 and 80286 differ: the 8086 cannot produce the most negative quotient (SDM 3B 23.22.2).
 * Undefined flags: docs/undefined-flags.md. Sources: SDM 2A-2B.
 */
#include "cpu/forms.h"
#include "cpu/sys.h"

struct u128 {
    uint64_t lo, hi;
};

static struct u128 mul_64(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
    uint64_t mid = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    return (struct u128){mid << 32 | (uint32_t)ll, hh + (lh >> 32) + (hl >> 32) + (mid >> 32)};
}

static struct u128 imul_64(uint64_t a, uint64_t b)
{
    struct u128 p = mul_64(a, b);
    p.hi -= (a >> 63 ? b : 0) + (b >> 63 ? a : 0);
    return p;
}

static struct u128 neg_128(struct u128 v)
{
    return (struct u128){~v.lo + 1, ~v.hi + (v.lo == 0)};
}

/* hi:lo / d with hi < d: quotient and remainder, one bit at a time. */
static uint64_t div_128(struct u128 n, uint64_t d, uint64_t *rem)
{
    uint64_t r = n.hi, q = n.lo;
    if (r == 0) {
        *rem = q % d;
        return q / d;
    }
    for (unsigned k = 0; k < 64; k++) {
        bool top = r >> 63;
        r = r << 1 | q >> 63;
        q <<= 1;
        if (top || r >= d) {
            r -= d;
            q |= 1;
        }
    }
    *rem = r;
    return q;
}

/* CF = OF = the upper half matters; SF, ZF, PF of the low half, AF clear. */
static inline void mul_flags(struct cpu *cpu, unsigned w, uint64_t lo, bool over)
{
    flags_set_logic(cpu, w, lo);
    flags_set_cf_of(cpu, over, over);
}

/* ---- imul with two and three operands: hot ---- */
FORM_INLINE uint64_t mul_imul(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    uint64_t r;
    bool over;
    if (w == 8) {
        int64_t p;
        over = __builtin_mul_overflow((int64_t)a, (int64_t)b, &p);
        r = (uint64_t)p;
    } else {
        r = bits_sext(a, 8 * w) * bits_sext(b, 8 * w);
        over = bits_sext(r, 8 * w) != r;
    }
    mul_flags(cpu, w, r, over);
    return r;
}
FORM_REG(imul2, mul_imul)
FORM_TRI(imul3, mul_imul)

/* ---- rDX:rAX, or AX for bytes ---- */
static void mul_store(struct cpu *cpu, unsigned w, uint64_t lo, uint64_t hi)
{
    if (w == 1) {
        gpr_set(cpu, REG_RAX, 2, (lo & 0xff) | hi << 8);
    } else {
        gpr_set(cpu, REG_RAX, w, lo);
        gpr_set(cpu, REG_RDX, w, hi);
    }
}

SEM(mul)
{
    unsigned w = i->w;
    uint64_t a = gpr_get(cpu, REG_RAX, w), b = op_get(cpu, i, 0);
    struct u128 p = mul_64(a, b);
    uint64_t hi = w == 8 ? p.hi : p.lo >> (8 * w);
    mul_flags(cpu, w, p.lo, (hi & bits_mask(8 * w)) != 0);
    mul_store(cpu, w, p.lo, hi);
}

SEM(imul1)
{
    unsigned w = i->w, bits = 8 * w;
    uint64_t a = bits_sext(gpr_get(cpu, REG_RAX, w), bits);
    struct u128 p = imul_64(a, bits_sext(op_get(cpu, i, 0), bits));
    uint64_t hi = w == 8 ? p.hi : p.lo >> bits;
    bool over = w == 8 ? p.hi != (uint64_t)((int64_t)p.lo >> 63) : bits_sext(p.lo, bits) != p.lo;
    mul_flags(cpu, w, p.lo, over);
    mul_store(cpu, w, p.lo, hi);
}

/* The dividend, zero-extended to 128 bits. */
static struct u128 div_dividend(const struct cpu *cpu, unsigned w)
{
    if (w == 1) {
        return (struct u128){gpr_get(cpu, REG_RAX, 2), 0};
    } else if (w == 8) {
        return (struct u128){cpu->s.gpr[REG_RAX], cpu->s.gpr[REG_RDX]};
    }
    return (struct u128){gpr_get(cpu, REG_RDX, w) << (8 * w) | gpr_get(cpu, REG_RAX, w), 0};
}

/* All six flags are undefined after a division: doppel leaves them. False: #DE is due. */
static bool div_unsigned(struct cpu *cpu, const struct insn *i)
{
    unsigned w = i->w;
    uint64_t d = op_get(cpu, i, 0), rem;
    struct u128 n = div_dividend(cpu, w);
    uint64_t top = w == 8 ? n.hi : n.lo >> (8 * w);
    if (top >= d) { /* d == 0 too */
        return false;
    }
    uint64_t q = div_128(n, d, &rem);
    mul_store(cpu, w, q, rem);
    return true;
}

static bool div_signed(struct cpu *cpu, const struct insn *i)
{
    unsigned w = i->w, bits = 8 * w;
    uint64_t d = bits_sext(op_get(cpu, i, 0), bits), rem;
    struct u128 n = div_dividend(cpu, w);
    if (w < 8) {
        n.lo = bits_sext(n.lo, 2 * bits);
        n.hi = (uint64_t)((int64_t)n.lo >> 63);
    }
    bool neg_n = n.hi >> 63, neg_d = d >> 63, neg_q = neg_n != neg_d;
    if (neg_n) {
        n = neg_128(n);
    }
    d = neg_d ? 0 - d : d;
    if (n.hi >= d) {
        return false;
    }
    uint64_t q = div_128(n, d, &rem);
    uint64_t most = (UINT64_C(1) << (bits - 1)) - 1;
    /* A REP prefix on the 8086's IDIV negates the quotient: its microcode's sign flag is the same.
     */
    if (!cpu_has(cpu, FEAT_i186)) {
        if (q > most) {
            return false;
        }
        neg_q ^= (i->pfx & (PFX_REP | PFX_REPNE)) != 0;
    }
    if (q > most + neg_q) {
        return false;
    }
    mul_store(cpu, w, neg_q ? 0 - q : q, neg_n ? 0 - rem : rem);
    return true;
}

SEM(div)
{
    if (!div_unsigned(cpu, i)) {
        cpu_raise(cpu, EXC_DE);
    }
}
SEM(idiv)
{
    if (!div_signed(cpu, i)) {
        cpu_raise(cpu, EXC_DE);
    }
}

/* On the 8086 type 0 is no fault: the return address is that of the next instruction. */
SEM_END(div86)
{
    if (!div_unsigned(cpu, i)) {
        event_deliver(cpu, EV_EXCEPTION, EXC_DE, false, 0, cpu->s.rip);
    }
}
SEM_END(idiv86)
{
    if (!div_signed(cpu, i)) {
        event_deliver(cpu, EV_EXCEPTION, EXC_DE, false, 0, cpu->s.rip);
    }
}
