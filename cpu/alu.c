/*
 * Arithmetic and logic on two operands or one: add, adc, sub, sbb, cmp, and, or, xor, test, inc,
 * dec, neg, not; adcx and adox.
 *
 * Each operation is one function on operand values; cpu/forms.h makes its handlers. Flags go to the
 * lazy form of cpu/flags.h as the vector of carries: out of bit n of a + b + c the carry is
 * (a & b) | ((a | b) & ~sum), whatever the carry in; of a - b - c the borrow is
 * (~a & b) | ((~a | b) & difference). AND, OR, XOR and TEST leave AF undefined: doppel clears it
 * (docs/undefined-flags.md). Sources: SDM 2A-2D, each instruction's page.
 */
#include "cpu/forms.h"

FORM_INLINE uint64_t alu_add_with(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t r = a + b + c;
    flags_set_carry(cpu, w, r, (a & b) | ((a | b) & ~r));
    return r;
}

FORM_INLINE uint64_t alu_sub_with(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t r = a - b - c;
    flags_set_carry(cpu, w, r, (~a & b) | ((~a | b) & r));
    return r;
}

FORM_INLINE uint64_t alu_add(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    return alu_add_with(cpu, w, a, b, 0);
}

FORM_INLINE uint64_t alu_adc(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    return alu_add_with(cpu, w, a, b, flag_cf(cpu));
}

FORM_INLINE uint64_t alu_sub(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    return alu_sub_with(cpu, w, a, b, 0);
}

FORM_INLINE uint64_t alu_sbb(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    return alu_sub_with(cpu, w, a, b, flag_cf(cpu));
}

FORM_INLINE uint64_t alu_and(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    flags_set_logic(cpu, w, a & b);
    return a & b;
}

FORM_INLINE uint64_t alu_or(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    flags_set_logic(cpu, w, a | b);
    return a | b;
}

FORM_INLINE uint64_t alu_xor(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b)
{
    flags_set_logic(cpu, w, a ^ b);
    return a ^ b;
}

/* INC and DEC keep CF; PO moves along with it so that OF is the operation's. */
FORM_INLINE void alu_keep_cf(struct cpu *cpu, uint64_t old_aux)
{
    uint64_t flip = (old_aux ^ cpu->lf_aux) & LF_CF;
    cpu->lf_aux ^= flip | flip >> 1;
}

FORM_INLINE uint64_t alu_inc(struct cpu *cpu, unsigned w, uint64_t a)
{
    uint64_t old = cpu->lf_aux, r = alu_add_with(cpu, w, a, 1, 0);
    alu_keep_cf(cpu, old);
    return r;
}

FORM_INLINE uint64_t alu_dec(struct cpu *cpu, unsigned w, uint64_t a)
{
    uint64_t old = cpu->lf_aux, r = alu_sub_with(cpu, w, a, 1, 0);
    alu_keep_cf(cpu, old);
    return r;
}

FORM_INLINE uint64_t alu_neg(struct cpu *cpu, unsigned w, uint64_t a)
{
    return alu_sub_with(cpu, w, 0, a, 0);
}

FORM_INLINE uint64_t alu_not(struct cpu *cpu, unsigned w, uint64_t a)
{
    (void)cpu, (void)w;
    return ~a;
}

FORM_BIN(add, alu_add)
FORM_BIN(adc, alu_adc)
FORM_BIN(sub, alu_sub)
FORM_BIN(sbb, alu_sbb)
FORM_BIN(and, alu_and)
FORM_BIN(or, alu_or)
FORM_BIN(xor, alu_xor)
FORM_CMP(cmp, alu_sub)
FORM_CMP(test, alu_and)
FORM_UN(inc, alu_inc)
FORM_UN(dec, alu_dec)
FORM_UN(neg, alu_neg)
FORM_UN(not, alu_not)

/* ADCX and ADOX: a chain of carries through CF or OF alone. */
static void alu_adx(struct cpu *cpu, const struct insn *i, bool through_of)
{
    uint64_t a = op_get(cpu, i, 0), b = op_get(cpu, i, 1);
    bool c = through_of ? flag_of(cpu) : flag_cf(cpu);
    uint64_t r = (a + b + c) & bits_mask(8u * i->w);
    bool carry = ((a & b) | ((a | b) & ~r)) >> (8u * i->w - 1) & 1;
    op_set(cpu, i, 0, r);
    if (through_of) {
        flags_set_cf_of(cpu, flag_cf(cpu), carry);
    } else {
        flags_set_cf_of(cpu, carry, flag_of(cpu));
    }
}
SEM(adcx)
{
    alu_adx(cpu, i, false);
}
SEM(adox)
{
    alu_adx(cpu, i, true);
}
