/*
 * The cold halves of cpu/vec.h: why an MMX, SSE or AVX instruction may not run, and memory operands
 * that miss the soft TLB's fast path.
 *
 * Order of the causes: SDM 2A 2.4 (tables "Type 1..." of VEX exception classes) and SDM 3A tables
 * 23-1, 23-2, 23-3 and 13-2: #UD before #NM before #MF.
 */
#include "cpu/vec.h"

void mmx_denied(struct cpu *cpu)
{
    if (cpu->s.cr0 & CR0_EM) {
        cpu_ud(cpu);
    }
    if (cpu->s.cr0 & CR0_TS) {
        cpu_raise(cpu, EXC_NM);
    }
    x87_pending(cpu);
}

noreturn void sse_denied(struct cpu *cpu)
{
    if ((cpu->s.cr0 & CR0_EM) || !(cpu->s.cr4 & CR4_OSFXSR)) {
        cpu_ud(cpu);
    }
    cpu_raise(cpu, EXC_NM);
}

noreturn void avx_denied(struct cpu *cpu)
{
    const uint64_t need = XCR0_SSE | XCR0_AVX;
    if (!(cpu->s.cr4 & CR4_OSXSAVE) || (cpu->s.xcr0 & need) != need) {
        cpu_ud(cpu);
    }
    cpu_raise(cpu, EXC_NM);
}

void vec_load_slow(struct cpu *cpu, unsigned seg, gva la, union vec *v, unsigned n)
{
    uint8_t buf[sizeof(union vec)];
    mem_rd_buf(cpu, seg, la, buf, n, cpu->view);
    for (unsigned k = 0; k < n / 8; k++) {
        v->q[k] = le64_get(buf + 8 * k);
    }
}

void vec_store_slow(struct cpu *cpu, unsigned seg, gva la, const union vec *v, unsigned n)
{
    uint8_t buf[sizeof(union vec)];
    for (unsigned k = 0; k < n / 8; k++) {
        le64_put(buf + 8 * k, v->q[k]);
    }
    mem_wr_buf(cpu, seg, la, buf, n, cpu->view);
}

vec128 vec_rd128(struct cpu *cpu, const struct insn *i)
{
    union vec v;
    vec128 r;
    vec_rd(cpu, i, &v, 16, false);
    memcpy(&r, &v, 16);
    return r;
}

vec128 vec_rd128_aligned(struct cpu *cpu, const struct insn *i)
{
    union vec v;
    vec128 r;
    vec_rd(cpu, i, &v, 16, true);
    memcpy(&r, &v, 16);
    return r;
}

const uint8_t *vec_rd256(struct cpu *cpu, const struct insn *i, uint8_t tmp[32])
{
    gva la = insn_la(cpu, i, 32, ACC_READ);
    const struct tlb_entry *e = &cpu->tlb.l1[cpu->view][la >> PAGE_BITS & TLB_L1_MASK];
    vec_check_align(cpu, i->seg, la, 32);
    if (LIKELY(vec_tag_hit(la, e->tag_r, 32))) {
        return (const uint8_t *)(uintptr_t)(la + e->bias_r);
    }
    mem_rd_buf(cpu, i->seg, la, tmp, 32, cpu->view);
    return tmp;
}

uint64_t vec_rd64(struct cpu *cpu, const struct insn *i, unsigned n)
{
    return mem_rd(cpu, i->seg, insn_la(cpu, i, n, ACC_READ), n);
}

void vec_maskmov_bytes(struct cpu *cpu, const struct insn *i, const union vec *v,
                       const union vec *m, unsigned n)
{
    unsigned seg = i->segovr == SEG_NONE ? SEG_DS : i->segovr;
    uint64_t base = cpu->s.gpr[REG_RDI];
    if (UNLIKELY(cpu->s.rflags & FL_AC)) { /* at multiples of 8 for either size, as AMD does */
        gva first = mem_la(cpu, seg, base << i->ashift >> i->ashift, 1, ACC_WRITE);
        if (first & 7) {
            mem_check_align(cpu, seg, first, 8);
        }
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned k = 0; k < n; k++) {
            if (!(m->b[VB(k)] & 0x80)) {
                continue;
            }
            uint64_t off = (base + k) << i->ashift >> i->ashift;
            gva la = mem_la(cpu, seg, off, 1, ACC_WRITE);
            if (pass == 0) {
                mem_probe(cpu, seg, la, 1, ACC_WRITE, cpu->view);
            } else {
                mem_wr(cpu, seg, la, 1, v->b[VB(k)]);
            }
        }
    }
}
