/*
 * MMX state and what only MMX has: EMMS, moves of MMX registers, moves between MMX and XMM.
 *
 * Packed MMX arithmetic comes from the same operations as SSE's (cpu/packed.h). Every MMX
 * instruction, also one that only reads, makes all tags valid and TOP zero; a write sets the
 * register's exponent to ones. EMMS empties all tags and clears TOP.
 *
 * Sources: SDM 1 9.6; SDM 3A 13.2, table 13-2.
 */
#include "cpu/sem.h"
#include "cpu/vec.h"

SEM(emms)
{
    (void)i;
    mmx_check(cpu);
    mmx_enter(cpu);
    cpu->s.fpu[0].empty = 0xff;
}

SEM(mmx_movq_load)
{
    mmx_check(cpu);
    mmx_set(cpu, i->reg, mmx_q(cpu, i, 8));
}

SEM(mmx_movq_store) /* MOVNTQ as well */
{
    mmx_check(cpu);
    uint64_t val = mmx_get(cpu, i->reg);
    if (i->mod3) {
        mmx_set(cpu, i->rm, val);
    } else {
        mem_wr(cpu, i->seg, insn_la(cpu, i, 8, ACC_WRITE), 8, val);
        mmx_enter(cpu);
    }
}

SEM(mmx_movd_load)
{
    unsigned n = i->pfx & PFX_W ? 8 : 4;
    mmx_check(cpu);
    mmx_set(cpu, i->reg, i->mod3 ? gpr_get(cpu, i->rm, n) : vec_rd64(cpu, i, n));
}

SEM(mmx_movd_store)
{
    unsigned n = i->pfx & PFX_W ? 8 : 4;
    mmx_check(cpu);
    uint64_t val = mmx_get(cpu, i->reg) & bits_mask(8 * n);
    if (i->mod3) {
        gpr_set(cpu, i->rm, n, val);
    } else {
        mem_wr(cpu, i->seg, insn_la(cpu, i, n, ACC_WRITE), n, val);
    }
    mmx_enter(cpu);
}

SEM(mmx_pmovmskb)
{
    mmx_check(cpu);
    uint64_t v = mmx_get(cpu, i->rm);
    unsigned r = 0;
    for (unsigned k = 0; k < 8; k++) {
        r |= (unsigned)(v >> (8 * k + 7) & 1) << k;
    }
    cpu->s.gpr[i->reg] = r;
    mmx_enter(cpu);
}

SEM(mmx_pinsrw)
{
    mmx_check(cpu);
    uint64_t val = i->mod3 ? gpr_get(cpu, i->rm, 2) : vec_rd64(cpu, i, 2);
    unsigned bit = 16 * (insn_imm8(i) & 3u);
    uint64_t old = mmx_get(cpu, i->reg);
    mmx_set(cpu, i->reg, (old & ~(UINT64_C(0xffff) << bit)) | val << bit);
}

SEM(mmx_pextrw)
{
    mmx_check(cpu);
    cpu->s.gpr[i->reg] = mmx_get(cpu, i->rm) >> 16 * (insn_imm8(i) & 3u) & 0xffff;
    mmx_enter(cpu);
}

SEM(maskmovq)
{
    union vec v, m;
    mmx_check(cpu);
    v.q[0] = mmx_get(cpu, i->reg);
    m.q[0] = mmx_get(cpu, i->rm);
    vec_maskmov_bytes(cpu, i, &v, &m, 8);
    mmx_enter(cpu);
}

SEM(movq2dq)
{
    union vec v;
    sse_check(cpu);
    mmx_check(cpu);
    v.q[0] = mmx_get(cpu, i->rm);
    v.q[1] = 0;
    vec_set(cpu, i->reg, &v, 16);
    mmx_enter(cpu);
}

SEM(movdq2q)
{
    sse_check(cpu);
    mmx_check(cpu);
    mmx_set(cpu, i->reg, vec_get(cpu, i->rm, 16).q[0]);
}
