/*
 * Decimal adjustment: daa, das, aaa, aas, aam, aad.
 *
 * AAM and AAD take their base as an immediate; the 8086 and all since honour it. Undefined flags
 * (docs/undefined-flags.md): OF is cleared by DAA, DAS and AAA/AAS; AAM and AAD clear CF, OF, AF.
 * The 80286 and before add 6 to AL without a carry into AH in AAA (SDM 3B 23.22.10 does not say;
 * the 386 changed it to AX + 0x106). Sources: SDM 2A.
 */
#include "cpu/sem.h"
#include "cpu/sys.h"

static void bcd_flags(struct cpu *cpu, uint64_t res, bool cf, bool af)
{
    flags_set_logic(cpu, 1, res);
    flags_set_cf_of(cpu, cf, false);
    cpu->lf_aux |= af ? LF_AF : 0;
}

static void bcd_packed(struct cpu *cpu, bool subtract)
{
    unsigned al = (unsigned)gpr_get(cpu, REG_RAX, 1), old = al;
    bool cf = flag_cf(cpu), af = flag_af(cpu), out = false;
    /* The 8086 compares with 9f where AF is set (its adjustment of the low digit came first). */
    unsigned limit = !cpu_has(cpu, FEAT_i186) && af ? 0x9f : 0x99;
    bool low = (old & 0xf) > 9 || af, high = old > limit || cf;
    if (low) {
        al += subtract ? 0u - 6 : 6;
        out = cf || (subtract && old < 6);
    }
    if (high) {
        al += subtract ? 0u - 0x60 : 0x60;
        out = true;
    }
    gpr_set(cpu, REG_RAX, 1, al);
    bcd_flags(cpu, al & 0xff, out, low);
}

SEM(daa)
{
    (void)i;
    bcd_packed(cpu, false);
}
SEM(das)
{
    (void)i;
    bcd_packed(cpu, true);
}

static void bcd_unpacked(struct cpu *cpu, bool subtract)
{
    unsigned ax = (unsigned)gpr_get(cpu, REG_RAX, 2);
    bool adjust = (ax & 0xf) > 9 || flag_af(cpu);
    unsigned r = ax;
    if (adjust) {
        if (cpu_has(cpu, FEAT_i186)) {
            r = subtract ? ax - 0x106 : ax + 0x106;
        } else {
            unsigned ah = (ax >> 8) + (subtract ? 0xff : 1), al = ax + (subtract ? 0u - 6 : 6);
            r = (ah & 0xff) << 8 | (al & 0xff);
        }
    }
    r &= 0xff0f;
    gpr_set(cpu, REG_RAX, 2, r);
    bcd_flags(cpu, r & 0xff, adjust, adjust);
}

SEM(aaa)
{
    (void)i;
    bcd_unpacked(cpu, false);
}
SEM(aas)
{
    (void)i;
    bcd_unpacked(cpu, true);
}

static bool bcd_aam(struct cpu *cpu, const struct insn *i)
{
    unsigned base = (unsigned)i->imm & 0xff, al = (unsigned)gpr_get(cpu, REG_RAX, 1);
    if (base == 0) {
        return false;
    }
    gpr_set(cpu, REG_RAX, 2, al / base << 8 | al % base);
    bcd_flags(cpu, al % base, false, false);
    return true;
}

SEM(aam)
{
    if (!bcd_aam(cpu, i)) {
        cpu_raise(cpu, EXC_DE);
    }
}

/* As DIV there: no fault, the next instruction's address is pushed. */
SEM_END(aam86)
{
    if (!bcd_aam(cpu, i)) {
        event_deliver(cpu, EV_EXCEPTION, EXC_DE, false, 0, cpu->s.rip);
    }
}

SEM(aad)
{
    unsigned base = (unsigned)i->imm & 0xff, ax = (unsigned)gpr_get(cpu, REG_RAX, 2);
    unsigned al = ((ax >> 8) * base + ax) & 0xff;
    gpr_set(cpu, REG_RAX, 2, al);
    bcd_flags(cpu, al, false, false);
}
