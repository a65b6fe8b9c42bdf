/*
 * Bits: bt, bts, btr, btc, bsf, bsr, tzcnt, lzcnt, popcnt, crc32; and the VEX-encoded BMI1 and
 * BMI2.
 *
 * With a register bit number and memory, BT and its kind reach beyond the operand: the number is
 * signed and its upper part moves the address by whole operands. BSF and BSR of zero leave the
 * destination (AMD documents it, Intel's do so). Flags other than those defined:
 * docs/undefined-flags.md. Sources: SDM 2A-2D.
 */
#include "cpu/forms.h"

/* ---- BT, BTS, BTR, BTC ---- */
enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static uint64_t bit_change(enum bit_op op, uint64_t a, uint64_t bit)
{
    switch (op) {
    case BIT_SET:
        return a | bit;
    case BIT_RESET:
        return a & ~bit;
    case BIT_COMPLEMENT:
        return a ^ bit;
    default:
        return a;
    }
}

static void bit_access(struct cpu *cpu, const struct insn *i, enum bit_op op)
{
    unsigned w = i->w, bits = 8 * w;
    bool by_reg = i->opcode != 0xba;
    uint64_t n = by_reg ? reg_get(cpu, w, i->rb) : (uint64_t)i->imm,
             bit = UINT64_C(1) << (n & (bits - 1)), a;
    if (i->mod3) {
        a = op_get(cpu, i, 0);
        if (op != BIT_TEST) {
            op_set(cpu, i, 0, bit_change(op, a, bit));
        }
    } else {
        uint64_t off = insn_ea(cpu, i);
        if (by_reg) {
            int64_t step = (int64_t)bits_sext(n, bits) >> (w == 8 ? 6 : w == 4 ? 5 : 4);
            off = (off + (uint64_t)step * w) & bits_mask(8u * i->asz);
        }
        gva la = insn_la_off(cpu, i, off, w, op == BIT_TEST ? ACC_READ : ACC_WRITE);
        if (op == BIT_TEST) {
            a = mem_rd(cpu, i->seg, la, w);
        } else {
            a = mem_rd_rmw(cpu, i->seg, la, w);
            mem_wr(cpu, i->seg, la, w, bit_change(op, a, bit));
        }
    }
    flags_set_cf(cpu, a & bit);
}

SEM(bt)
{
    bit_access(cpu, i, BIT_TEST);
}
SEM(bts)
{
    bit_access(cpu, i, BIT_SET);
}
SEM(btr)
{
    bit_access(cpu, i, BIT_RESET);
}
SEM(btc)
{
    bit_access(cpu, i, BIT_COMPLEMENT);
}

/* ---- scans and counts ---- */
static inline unsigned bit_lowest(uint64_t a)
{
    return (unsigned)__builtin_ctzll(a);
}
static inline unsigned bit_highest(uint64_t a)
{
    return 63 - (unsigned)__builtin_clzll(a);
}

static void bit_scan(struct cpu *cpu, const struct insn *i, bool reverse)
{
    uint64_t a = form_e1(cpu, i);
    flags_set_zf(cpu, a == 0); /* it alone is defined; the others keep their values */
    if (a) {
        op_set(cpu, i, 0, reverse ? bit_highest(a) : bit_lowest(a));
    }
}
SEM(bsf)
{
    bit_scan(cpu, i, false);
}
SEM(bsr)
{
    bit_scan(cpu, i, true);
}

/* CF: the source was zero; ZF: the result is. */
static void bit_count_flags(struct cpu *cpu, bool cf, bool zf)
{
    uint32_t keep = flags_arith(cpu) & ~(FL_CF | FL_ZF);
    flags_set_arith(cpu, keep | (cf ? FL_CF : 0) | (zf ? FL_ZF : 0));
}
SEM(tzcnt)
{
    uint64_t a = form_e1(cpu, i);
    unsigned r = a ? bit_lowest(a) : 8u * i->w;
    bit_count_flags(cpu, a == 0, r == 0);
    op_set(cpu, i, 0, r);
}
SEM(lzcnt)
{
    uint64_t a = form_e1(cpu, i);
    unsigned r = a ? 8u * i->w - 1 - bit_highest(a) : 8u * i->w;
    bit_count_flags(cpu, a == 0, r == 0);
    op_set(cpu, i, 0, r);
}
SEM(popcnt)
{
    uint64_t a = form_e1(cpu, i);
    flags_set_arith(cpu, a ? 0 : FL_ZF);
    op_set(cpu, i, 0, (uint64_t)__builtin_popcountll(a));
}

/* CRC-32C, reflected polynomial 0x82f63b78 (SDM 2A, CRC32). */
SEM(crc32)
{
    uint32_t crc = (uint32_t)gpr_get(cpu, i->reg, 4);
    uint64_t v = op_get(cpu, i, 1);
    for (unsigned n = op_width(i, 1); n; n--, v >>= 8) {
        crc ^= (uint32_t)(v & 0xff);
        for (unsigned k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
    }
    gpr_set(cpu, i->reg, 8, crc);
}

/* ---- BMI1 ---- */
SEM(andn)
{
    uint64_t r = ~op_get(cpu, i, 1) & op_get(cpu, i, 2) & bits_mask(8u * i->w);
    flags_set_logic(cpu, i->w, r);
    op_set(cpu, i, 0, r);
}

SEM(bextr)
{
    uint64_t ctl = op_get(cpu, i, 2), a = op_get(cpu, i, 1);
    unsigned start = ctl & 0xff, len = ctl >> 8 & 0xff;
    uint64_t r = start > 63 ? 0 : (a >> start) & bits_mask(len);
    flags_set_logic(cpu, i->w, r);
    op_set(cpu, i, 0, r);
}

/* BLSI, BLSMSK, BLSR: CF tells about the source. */
static void bit_lowest_op(struct cpu *cpu, const struct insn *i, uint64_t r, bool cf)
{
    r &= bits_mask(8u * i->w);
    flags_set_logic(cpu, i->w, r);
    flags_set_cf_of(cpu, cf, false);
    op_set(cpu, i, 0, r);
}
SEM(blsi)
{
    uint64_t a = op_get(cpu, i, 1);
    bit_lowest_op(cpu, i, a & (0 - a), a != 0);
}
SEM(blsmsk)
{
    uint64_t a = op_get(cpu, i, 1);
    bit_lowest_op(cpu, i, a ^ (a - 1), a == 0);
}
SEM(blsr)
{
    uint64_t a = op_get(cpu, i, 1);
    bit_lowest_op(cpu, i, a & (a - 1), a == 0);
}

/* ---- BMI2 ---- */
SEM(bzhi)
{
    unsigned n = op_get(cpu, i, 2) & 0xff, bits = 8u * i->w;
    uint64_t r = op_get(cpu, i, 1) & bits_mask(n);
    flags_set_logic(cpu, i->w, r);
    flags_set_cf_of(cpu, n >= bits, false);
    op_set(cpu, i, 0, r);
}

SEM(pdep)
{
    uint64_t a = op_get(cpu, i, 1), mask = op_get(cpu, i, 2), r = 0;
    for (; mask; mask &= mask - 1, a >>= 1) {
        r |= a & 1 ? mask & (0 - mask) : 0;
    }
    op_set(cpu, i, 0, r);
}

SEM(pext)
{
    uint64_t a = op_get(cpu, i, 1), mask = op_get(cpu, i, 2), r = 0;
    for (unsigned n = 0; mask; mask &= mask - 1, n++) {
        r |= (uint64_t)((a & mask & (0 - mask)) != 0) << n;
    }
    op_set(cpu, i, 0, r);
}

/* Destinations: modrm.reg the high half, vvvv the low one; the high half is written last. */
SEM(mulx)
{
    uint64_t a = gpr_get(cpu, REG_RDX, i->w), b = op_get(cpu, i, 2);
    uint64_t lo = a * b, hi;
    if (i->w == 8) {
        uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
        uint64_t lh = al * bh, hl = ah * bl, mid = (al * bl >> 32) + (uint32_t)lh + (uint32_t)hl;
        hi = ah * bh + (lh >> 32) + (hl >> 32) + (mid >> 32);
    } else {
        hi = lo >> 32;
    }
    op_set(cpu, i, 1, lo);
    op_set(cpu, i, 0, hi);
}

SEM(rorx)
{
    unsigned bits = 8u * i->w, n = (unsigned)i->imm & (bits - 1);
    uint64_t a = op_get(cpu, i, 1);
    op_set(cpu, i, 0, n ? a >> n | a << (bits - n) : a);
}
SEM(sarx)
{
    unsigned bits = 8u * i->w, n = (unsigned)op_get(cpu, i, 2) & (bits - 1);
    op_set(cpu, i, 0, (uint64_t)((int64_t)bits_sext(op_get(cpu, i, 1), bits) >> n));
}
SEM(shlx)
{
    unsigned bits = 8u * i->w, n = (unsigned)op_get(cpu, i, 2) & (bits - 1);
    op_set(cpu, i, 0, op_get(cpu, i, 1) << n);
}
SEM(shrx)
{
    unsigned bits = 8u * i->w, n = (unsigned)op_get(cpu, i, 2) & (bits - 1);
    op_set(cpu, i, 0, op_get(cpu, i, 1) >> n);
}
