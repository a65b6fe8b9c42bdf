/*
 * Fast system calls and what user code may ask: SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, the FS
 * and GS bases, RDTSC(P), RDPID, RDPMC, RDRAND, RDSEED, CPUID.
 *
 * SYSCALL and SYSRET behave as on Intel: 64-bit mode only, SYSRET checks RCX before it changes
 * anything (#GP at CPL 0). The single-step trap after either follows the new TF, so that FMASK can
 * hold it off until SYSRET.
 *
 * RDRAND is a counter-based stream from s.rng, seeded through the input gate: the same in every run
 * with the same seed.
 *
 * Sources: Intel SDM 2B, 2C, 2D entries of the instructions; SDM 3A 5.8.7, 5.8.8.
 */
#include "cpu/desc.h"
#include "cpu/flags.h"
#include "cpu/sem.h"

/* A flat segment as these instructions load it, whatever the descriptor says. */
static void load_flat(struct cpu *cpu, unsigned seg, unsigned sel, unsigned dpl, unsigned extra)
{
    struct seg *s = &cpu->s.seg[seg];
    s->sel = (uint16_t)sel;
    s->base = 0;
    s->limit = 0xffffffff;
    s->attr = (uint16_t)(SEG_A_P | SEG_A_S | SEG_A_RW | SEG_A_ACC | SEG_A_G | dpl << 5 | extra);
    seg_update(cpu, seg);
}

static void enter_flat(struct cpu *cpu, unsigned cs, unsigned ss, unsigned cpl, bool long_code)
{
    load_flat(cpu, SEG_CS, cs, cpl, SEG_A_CODE | (long_code ? SEG_A_L : SEG_A_DB));
    load_flat(cpu, SEG_SS, ss, cpl, SEG_A_DB);
    cpu->s.cpl = (uint8_t)cpl;
    cpu_update_mode(cpu);
    cpu_update_attn(cpu);
}

static void step_by_new_tf(struct cpu *cpu)
{
    cpu->step_done = true;
    if (cpu->s.rflags & FL_TF) {
        cpu->s.db_pending |= UINT64_C(1) << 14;
        cpu_update_attn(cpu);
    }
}

SEM_END(syscall)
{
    const struct msrs *m = &cpu->s.msr[0];
    if (!cpu_code64(cpu) || !(m->efer & EFER_SCE)) {
        cpu_ud(cpu);
    }
    uint64_t fl = flags_get(cpu);
    cpu->s.gpr[REG_RCX] = insn_next_ip(cpu, i);
    cpu->s.gpr[11] = fl & ~(uint64_t)FL_RF;
    cpu->s.rip = m->lstar;
    unsigned cs = (unsigned)(m->star >> 32) & 0xfffc;
    enter_flat(cpu, cs, (cs + 8) & 0xffff, 0, true);
    ctrl_set_flags(cpu, 0, m->fmask | FL_RF);
    step_by_new_tf(cpu);
}

SEM_END(sysret)
{
    const struct msrs *m = &cpu->s.msr[0];
    if (!cpu_code64(cpu) || !(m->efer & EFER_SCE)) {
        cpu_ud(cpu);
    }
    uint64_t rip = cpu->s.gpr[REG_RCX];
    if (cpu->s.cpl != 0 || (i->osz == 8 && !canonical(rip))) {
        cpu_gp0(cpu);
    }
    bool wide = i->osz == 8;
    unsigned base = (unsigned)(m->star >> 48);
    cpu->s.rip = wide ? rip : (uint32_t)rip;
    enter_flat(cpu, ((base + (wide ? 16 : 0)) & 0xffff) | 3, ((base + 8) & 0xffff) | 3, 3, wide);
    const uint64_t mask = 0x3c7fd7; /* all but RF, VM and the reserved bits */
    ctrl_set_flags(cpu, cpu->s.gpr[11] & mask, mask | FL_RF | FL_VM);
    step_by_new_tf(cpu);
}

SEM_END(sysenter)
{
    (void)i;
    const struct msrs *m = &cpu->s.msr[0];
    unsigned cs = (unsigned)m->sysenter_cs & 0xfffc;
    if (!cpu_prot(cpu) || !cs) {
        cpu_gp0(cpu);
    }
    bool lng = cpu_lma(cpu);
    ctrl_set_flags(cpu, 0, FL_VM | FL_IF | FL_RF);
    cpu->s.rip = lng ? m->sysenter_eip : (uint32_t)m->sysenter_eip;
    cpu->s.gpr[REG_RSP] = lng ? m->sysenter_esp : (uint32_t)m->sysenter_esp;
    enter_flat(cpu, cs, (cs + 8) & 0xffff, 0, lng);
}

SEM_END(sysexit)
{
    unsigned cs = (unsigned)cpu->s.msr[0].sysenter_cs & 0xfffc;
    bool wide = i->osz == 8;
    uint64_t rip = cpu->s.gpr[REG_RDX], rsp = cpu->s.gpr[REG_RCX];
    if (!cpu_prot(cpu) || !cs || cpu->s.cpl != 0 ||
        (wide && (!canonical(rip) || !canonical(rsp)))) {
        cpu_gp0(cpu);
    }
    cpu->s.rip = wide ? rip : (uint32_t)rip;
    cpu->s.gpr[REG_RSP] = wide ? rsp : (uint32_t)rsp;
    unsigned user = (cs + (wide ? 32 : 16)) & 0xffff;
    enter_flat(cpu, user | 3, ((user + 8) & 0xffff) | 3, 3, wide);
}

/* --- FS and GS bases --------------------------------------------------------------------------*/

SEM(swapgs)
{
    (void)i;
    if (cpu->s.cpl != 0) {
        cpu_gp0(cpu);
    }
    uint64_t old = cpu->s.seg[SEG_GS].base;
    cpu->s.seg[SEG_GS].base = cpu->s.msr[0].kernel_gs_base;
    cpu->s.msr[0].kernel_gs_base = old;
    seg_update(cpu, SEG_GS);
}

static void check_fsgsbase(struct cpu *cpu)
{
    if (!(cpu->s.cr4 & CR4_FSGSBASE)) {
        cpu_ud(cpu);
    }
}

/* /0 and /2 are FS, /1 and /3 GS. */
SEM(rdbase)
{
    check_fsgsbase(cpu);
    unsigned seg = i->modrm >> 3 & 1 ? SEG_GS : SEG_FS;
    gpr_set(cpu, i->rm, i->osz == 8 ? 8 : 4, cpu->s.seg[seg].base);
}

SEM(wrbase)
{
    check_fsgsbase(cpu);
    unsigned seg = i->modrm >> 3 & 1 ? SEG_GS : SEG_FS;
    uint64_t val = gpr_get(cpu, i->rm, i->osz == 8 ? 8 : 4);
    if (!canonical(val)) {
        cpu_gp0(cpu);
    }
    cpu->s.seg[seg].base = val;
    seg_update(cpu, seg);
}

/* --- Time, random numbers, CPUID --------------------------------------------------------------*/

static void put_edx_eax(struct cpu *cpu, uint64_t val)
{
    cpu->s.gpr[REG_RAX] = (uint32_t)val;
    cpu->s.gpr[REG_RDX] = val >> 32;
}

static uint64_t read_tsc(struct cpu *cpu)
{
    if ((cpu->s.cr4 & CR4_TSD) && cpu->s.cpl != 0) {
        cpu_gp0(cpu);
    }
    return clock_now(cpu->dev.env->clock) + cpu->s.msr[0].tsc_offset;
}

SEM(rdtsc)
{
    (void)i;
    put_edx_eax(cpu, read_tsc(cpu));
}

SEM(rdtscp)
{
    (void)i;
    put_edx_eax(cpu, read_tsc(cpu));
    cpu->s.gpr[REG_RCX] = cpu->s.msr[0].tsc_aux;
}

SEM(rdpid)
{
    gpr_set(cpu, i->rm, cpu_code64(cpu) ? 8 : 4, cpu->s.msr[0].tsc_aux);
}

/* No performance counter exists, so none is valid. */
SEM(rdpmc)
{
    (void)i;
    cpu_gp0(cpu);
}

SEM_END(rdmsr)
{
    (void)i;
    uint64_t val = 0;
    if (cpu->s.cpl != 0 || !msr_read(cpu, (uint32_t)cpu->s.gpr[REG_RCX], &val)) {
        cpu_gp0(cpu);
    }
    put_edx_eax(cpu, val);
}

SEM_END(wrmsr)
{
    (void)i;
    uint64_t val = (uint32_t)cpu->s.gpr[REG_RAX] | cpu->s.gpr[REG_RDX] << 32;
    if (cpu->s.cpl != 0 || !msr_write(cpu, (uint32_t)cpu->s.gpr[REG_RCX], val)) {
        cpu_gp0(cpu);
    }
    cpu_update_attn(cpu);
}

/* RDRAND and RDSEED never run dry: CF = 1, the other flags 0. */
SEM(rdrand)
{
    cpu->s.rng += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = cpu->s.rng;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    gpr_set(cpu, i->rm, i->osz, z ^ z >> 31);
    flags_set_arith(cpu, FL_CF);
}

SEM_END(cpuid)
{
    (void)i;
    uint32_t out[4];
    cpuid_query(cpu, (uint32_t)cpu->s.gpr[REG_RAX], (uint32_t)cpu->s.gpr[REG_RCX], out);
    cpu->s.gpr[REG_RAX] = out[0];
    cpu->s.gpr[REG_RBX] = out[1];
    cpu->s.gpr[REG_RCX] = out[2];
    cpu->s.gpr[REG_RDX] = out[3];
}
