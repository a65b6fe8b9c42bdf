/*
 * Control and debug registers, and what follows from a change: paging mode, TLB flushes, IA-32e
 * mode, PDPTEs. Also the flags that are a privilege matter (CLI, STI, CLAC, STAC).
 *
 * What flushes what (SDM 3A 4.10.4.1): MOV CR0 that changes PG (or WP, or PE: cached rights), MOV
 * CR4 that changes PGE, PAE, PSE, SMEP, SMAP or PCIDE: everything. MOV CR3: the non-global entries
 * of the new PCID, or none with bit 63.
 *
 * Sources: Intel SDM 3A 2.5 (bits and consistency), 4.1, 4.4.1, 4.10, 9.8.5 (IA-32e), 17.2;
 * SDM 2 entries of MOV CR, MOV DR, LMSW, CLI, STI, INVPCID, XSETBV.
 */
#include "cpu/desc.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/model.h"
#include "cpu/sem.h"
#include "cpu/x87.h"

#define CR3_NOFLUSH (UINT64_C(1) << 63)

static void check_cpl0(struct cpu *cpu)
{
    if (cpu->s.cpl != 0) {
        cpu_gp0(cpu);
    }
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* Read and check the four PDPTEs that PAE paging keeps in registers; #GP(0) on reserved bits. */
static void load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    uint64_t reserved = ~bits_mask(cpu->model->phys_bits) | 0x1e6, e[4];
    for (unsigned n = 0; n < 4; n++) {
        e[n] = aspace_read(cpu->mem, ((cr3 & 0xffffffe0) + 8 * n) & cpu->walk.a20_mask, 8);
        if ((e[n] & 1) && (e[n] & reserved)) {
            cpu_gp0(cpu);
        }
    }
    memcpy(cpu->s.pdpte, e, sizeof e);
}

/* --- CR0, CR3, CR4, CR8 -----------------------------------------------------------------------*/

static uint64_t cr0_known(const struct cpu *cpu)
{
    uint64_t known = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
    if (cpu_has(cpu, FEAT_i386)) {
        known |= CR0_PG | CR0_ET;
    }
    if (cpu_has(cpu, FEAT_i486)) {
        known |= CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD;
    }
    return known;
}

static void check_cr0(struct cpu *cpu, uint64_t val)
{
    uint64_t efer = cpu->s.msr[0].efer, changed = val ^ cpu->s.cr0;
    bool bad = val >> 32 || ((val & CR0_PG) && !(val & CR0_PE)) ||
               ((val & CR0_NW) && !(val & CR0_CD) && cpu_has(cpu, FEAT_i486));
    if (changed & CR0_PG) {
        if (val & CR0_PG) {
            bad |= (efer & EFER_LME) &&
                   (!(cpu->s.cr4 & CR4_PAE) || (cpu->s.seg[SEG_CS].attr & SEG_A_L));
        } else {
            bad |= cpu_code64(cpu) || (cpu->s.cr4 & CR4_PCIDE);
        }
    }
    if (bad) {
        cpu_gp0(cpu);
    }
}

void ctrl_set_cr0(struct cpu *cpu, uint64_t val)
{
    check_cr0(cpu, val);
    uint64_t known = cr0_known(cpu);
    val &= known;
    if (cpu_has(cpu, FEAT_i486)) {
        val |= CR0_ET;
    }
    uint64_t changed = val ^ cpu->s.cr0, efer = cpu->s.msr[0].efer;
    if (changed & CR0_PG) {
        if (val & CR0_PG) {
            efer |= efer & EFER_LME ? EFER_LMA : 0;
        } else {
            efer &= ~(uint64_t)EFER_LMA;
        }
    }
    if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && pae_paging(val, cpu->s.cr4, efer)) {
        load_pdptes(cpu, cpu->s.cr3);
    }
    cpu->s.msr[0].efer = efer;
    cpu->s.cr0 = val;
    cpu_update_walk(cpu);
    if (changed & (CR0_PG | CR0_WP | CR0_PE)) {
        tlb_flush_all(&cpu->tlb);
    }
    if ((changed & CR0_PE) && !(val & CR0_PE)) {
        cpu->s.cpl = 0;
    }
    cpu_update_mode(cpu);
    x87_drive_ferr(cpu);
}

void ctrl_set_cr3(struct cpu *cpu, uint64_t val)
{
    bool pcide = cpu->s.cr4 & CR4_PCIDE, keep = pcide && (val & CR3_NOFLUSH);
    if (pcide) {
        val &= ~CR3_NOFLUSH;
    }
    if (cpu_lma(cpu)) {
        if (val & ~bits_mask(cpu->model->phys_bits)) {
            cpu_gp0(cpu);
        }
    } else {
        val = (uint32_t)val;
    }
    if (pae_paging(cpu->s.cr0, cpu->s.cr4, cpu->s.msr[0].efer)) {
        load_pdptes(cpu, val);
    }
    cpu->s.cr3 = val;
    if (pcide) {
        tlb_switch_pcid(&cpu->tlb, (uint16_t)(val & 0xfff));
    }
    cpu_update_walk(cpu);
    if (!keep) {
        tlb_flush_nonglobal(&cpu->tlb);
    }
}

static uint64_t cr4_known(const struct cpu *cpu)
{
    static const struct {
        uint32_t bit;
        enum feature f;
    } bits[] = {
        {CR4_VME | CR4_PVI, FEAT_vme}, {CR4_TSD, FEAT_tsc},       {CR4_DE, FEAT_de},
        {CR4_PSE, FEAT_pse},           {CR4_PAE, FEAT_pae},       {CR4_MCE, FEAT_mce},
        {CR4_PGE, FEAT_pge},           {CR4_PCE, FEAT_i686},      {CR4_OSFXSR, FEAT_fxsr},
        {CR4_OSXMMEXCPT, FEAT_sse},    {CR4_UMIP, FEAT_umip},     {CR4_FSGSBASE, FEAT_fsgsbase},
        {CR4_PCIDE, FEAT_pcid},        {CR4_OSXSAVE, FEAT_xsave}, {CR4_SMEP, FEAT_smep},
        {CR4_SMAP, FEAT_smap},
    };
    uint64_t known = 0;
    for (unsigned n = 0; n < ARRAY_LEN(bits); n++) {
        known |= cpu_has(cpu, bits[n].f) ? bits[n].bit : 0;
    }
    return known;
}

void ctrl_set_cr4(struct cpu *cpu, uint64_t val)
{
    const uint64_t flushing = CR4_PGE | CR4_PAE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE;
    uint64_t changed = val ^ cpu->s.cr4;
    bool bad = val & ~cr4_known(cpu);
    bad |= cpu_lma(cpu) && !(val & CR4_PAE);
    if (changed & val & CR4_PCIDE) {
        bad |= !cpu_lma(cpu) || (cpu->s.cr3 & 0xfff);
    }
    if (bad) {
        cpu_gp0(cpu);
    }
    if ((changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
        pae_paging(cpu->s.cr0, val, cpu->s.msr[0].efer)) {
        load_pdptes(cpu, cpu->s.cr3);
    }
    cpu->s.cr4 = val;
    cpu_update_walk(cpu);
    if (changed & flushing) {
        tlb_flush_all(&cpu->tlb);
    }
    cpu_update_mode(cpu);
}

SEM(mov_from_cr)
{
    check_cpl0(cpu);
    uint64_t val;
    switch (i->reg) {
    case 0:
        val = cpu->s.cr0;
        break;
    case 2:
        val = cpu->s.cr2;
        break;
    case 3:
        val = cpu->s.cr3;
        break;
    case 4:
        if (!cpu_has(cpu, FEAT_cpuid)) {
            cpu_ud(cpu);
        }
        val = cpu->s.cr4;
        break;
    case 8:
        if (cpu->intc && cpu->intc->cr8_read) {
            val = cpu->intc->cr8_read(cpu->intc_ctx);
        } else {
            val = cpu->s.cr8;
        }
        break;
    default:
        cpu_ud(cpu);
    }
    gpr_set(cpu, i->rm, cpu_code64(cpu) ? 8 : 4, val);
}

SEM_END(mov_to_cr)
{
    check_cpl0(cpu);
    uint64_t val = gpr_get(cpu, i->rm, cpu_code64(cpu) ? 8 : 4);
    switch (i->reg) {
    case 0:
        ctrl_set_cr0(cpu, val);
        break;
    case 2:
        cpu->s.cr2 = val;
        break;
    case 3:
        ctrl_set_cr3(cpu, val);
        break;
    case 4:
        if (!cpu_has(cpu, FEAT_cpuid)) {
            cpu_ud(cpu);
        }
        ctrl_set_cr4(cpu, val);
        break;
    case 8:
        if (val > 15) {
            cpu_gp0(cpu);
        }
        if (cpu->intc && cpu->intc->cr8_write) {
            cpu->intc->cr8_write(cpu->intc_ctx, (uint8_t)val);
        } else {
            cpu->s.cr8 = val;
        }
        cpu_update_attn(cpu);
        break;
    default:
        cpu_ud(cpu);
    }
}

SEM_END(lmsw)
{
    check_cpl0(cpu);
    uint64_t src = op_get(cpu, i, 0) & 0xf;
    /* PE can be set, not cleared. */
    ctrl_set_cr0(cpu, (cpu->s.cr0 & ~UINT64_C(0xe)) | src);
}

SEM(smsw)
{
    if ((cpu->s.cr4 & CR4_UMIP) && cpu->s.cpl != 0) {
        cpu_gp0(cpu);
    }
    uint64_t val = cpu->s.cr0;
    if (!cpu_has(cpu, FEAT_i386)) {
        val |= 0xfff0; /* 80286: the undefined bits of MSW read as ones */
    }
    if (i->mod3) {
        gpr_set(cpu, i->rm, i->osz, val);
    } else {
        mem_wr(cpu, i->seg, insn_la(cpu, i, 2, ACC_WRITE), 2, val & 0xffff);
    }
}

SEM_END(clts)
{
    (void)i;
    check_cpl0(cpu);
    cpu->s.cr0 &= ~(uint64_t)CR0_TS;
    cpu_update_mode(cpu);
}

/* --- Debug registers --------------------------------------------------------------------------*/

/* Common checks; gives the register's number with 4 and 5 folded onto 6 and 7. */
static unsigned debug_reg(struct cpu *cpu, const struct insn *i)
{
    unsigned n = i->reg;
    if (n > 7 || ((n == 4 || n == 5) && (cpu->s.cr4 & CR4_DE))) {
        cpu_ud(cpu);
    }
    check_cpl0(cpu);
    if (cpu->s.dr[7] & 1u << 13) { /* general detect */
        event_raise_db(cpu, UINT64_C(1) << 13);
    }
    return n == 4 || n == 5 ? n + 2 : n;
}

SEM(mov_from_dr)
{
    unsigned n = debug_reg(cpu, i);
    gpr_set(cpu, i->rm, cpu_code64(cpu) ? 8 : 4, cpu->s.dr[n]);
}

SEM_END(mov_to_dr)
{
    unsigned n = debug_reg(cpu, i);
    uint64_t val = gpr_get(cpu, i->rm, cpu_code64(cpu) ? 8 : 4);
    if (n >= 6 && val >> 32) {
        cpu_gp0(cpu);
    }
    if (n == 6) {
        val = (val & 0xe00f) | 0xffff0ff0;
    } else if (n == 7) {
        val = (val & 0xffff2bff) | 0x400;
    }
    cpu->s.dr[n] = val;
    mem_update_watch(cpu);
    cpu_update_attn(cpu);
}

/* --- Flags ------------------------------------------------------------------------------------*/

void ctrl_set_flags(struct cpu *cpu, uint64_t val, uint64_t mask)
{
    uint64_t old = flags_get(cpu), fl = (old & ~mask) | (val & mask) | FL_1;
    flags_set_arith(cpu, fl);
    cpu->s.rflags = fl;
    uint64_t changed = old ^ fl;
    if (changed & (FL_VM | FL_AC)) {
        cpu_update_mode(cpu);
    }
    if (changed & (FL_IF | FL_TF | FL_RF | FL_VIP | FL_VIF)) {
        cpu_update_attn(cpu);
    }
}

/* CLI and STI write IF, or VIF where IF is not the program's to write; else #GP(0). */
static uint32_t if_flag(struct cpu *cpu)
{
    unsigned iopl = (unsigned)(cpu->s.rflags >> 12) & 3;
    if (!cpu_prot(cpu) || (cpu_v86(cpu) ? iopl == 3 : iopl >= cpu->s.cpl)) {
        return FL_IF;
    }
    bool virt = cpu_v86(cpu) ? cpu->s.cr4 & CR4_VME : cpu->s.cpl == 3 && (cpu->s.cr4 & CR4_PVI);
    if (!virt) {
        cpu_gp0(cpu);
    }
    return FL_VIF;
}

SEM(cli)
{
    (void)i;
    ctrl_set_flags(cpu, 0, if_flag(cpu));
}

/* The shadow holds until the next instruction has run. If nothing waits, and that instruction is in
 * the same block, so that nobody looks at the vCPU in between, it would make no difference. */
SEM(sti)
{
    uint32_t f = if_flag(cpu);
    bool opens = f == FL_IF && !(cpu->s.rflags & FL_IF);
    if (f == FL_VIF && (cpu->s.rflags & FL_VIP)) {
        cpu_gp0(cpu);
    }
    ctrl_set_flags(cpu, f, f);
    if (opens && (cpu->attn || i->k + 1u >= (unsigned)cpu->k0 + cpu->charged)) {
        cpu->s.shadow = true;
        cpu_kick(cpu);
    }
}

static void set_ac(struct cpu *cpu, uint64_t val)
{
    if (cpu->s.cpl != 0) {
        cpu_ud(cpu);
    }
    ctrl_set_flags(cpu, val, FL_AC);
}

SEM_END(clac)
{
    (void)i;
    set_ac(cpu, 0);
}

SEM_END(stac)
{
    (void)i;
    set_ac(cpu, FL_AC);
}

/* --- TLB and caches ---------------------------------------------------------------------------*/

SEM_END(invlpg)
{
    check_cpl0(cpu);
    /* Segment limits are not checked; a non-canonical address does nothing. */
    uint64_t off = insn_ea(cpu, i);
    gva la = cpu_code64(cpu) ? (i->segm == SEGM_BASE ? cpu->segv[i->seg].base + off : off)
                             : (uint32_t)(cpu->s.seg[i->seg].base + off);
    if (canonical(la)) {
        tlb_flush_page(&cpu->tlb, la);
    }
}

SEM_END(invpcid)
{
    check_cpl0(cpu);
    uint64_t type = gpr_get(cpu, i->reg, cpu_code64(cpu) ? 8 : 4);
    gva la = insn_la(cpu, i, 16, ACC_READ);
    uint64_t pcid = mem_rd(cpu, i->seg, la, 8), addr = mem_rd(cpu, i->seg, la + 8, 8);
    bool pcide = cpu->s.cr4 & CR4_PCIDE;
    if (type > 3 || pcid >> 12 || (type < 2 && !pcide && pcid) || (type == 0 && !canonical(addr))) {
        cpu_gp0(cpu);
    }
    switch (type) {
    case 0:
        tlb_flush_page_pcid(&cpu->tlb, addr, (uint16_t)pcid);
        break;
    case 1:
        tlb_flush_pcid(&cpu->tlb, (uint16_t)pcid);
        break;
    case 2:
        tlb_flush_all(&cpu->tlb);
        break;
    default:
        tlb_flush_all_nonglobal(&cpu->tlb);
        break;
    }
}

/* Caches are not modelled: INVD, WBINVD, WBNOINVD only check the privilege. */
SEM(wbinvd)
{
    (void)i;
    check_cpl0(cpu);
}

/* --- Stopping ---------------------------------------------------------------------------------*/

SEM_END(hlt)
{
    (void)i;
    check_cpl0(cpu);
    cpu->s.activity = CPU_HALTED;
    cpu_update_attn(cpu);
}

/* MONITOR and MWAIT: for level 0, and while IA32_MISC_ENABLE has them on (SDM 4 table 2-2). */
static void check_monitor(struct cpu *cpu)
{
    if (cpu->s.cpl != 0 || !(cpu->s.msr[0].misc_enable & MISC_MONITOR)) {
        cpu_ud(cpu);
    }
}

SEM(monitor)
{
    check_monitor(cpu);
    if ((uint32_t)cpu->s.gpr[REG_RCX]) {
        cpu_gp0(cpu);
    }
    uint64_t off = cpu->s.gpr[REG_RAX] << i->ashift >> i->ashift;
    unsigned seg = i->segovr == SEG_NONE ? SEG_DS : i->segovr;
    gva la = mem_la(cpu, seg, off, 1, ACC_READ);
    mem_rd(cpu, seg, la, 1);
    struct tlb_result r = tlb_translate(&cpu->tlb, &cpu->walk, cpu->mem, la, ACC_READ, cpu->view);
    gpa line = r.addr & ~UINT64_C(63);
    if (aspace_find(cpu->mem, line).ram) { /* else: nothing to watch, MWAIT returns at once */
        cpu->s.monitor_addr = line;
        for (unsigned n = 0; n < 8; n++) {
            cpu->s.monitor_data[n] = aspace_read(cpu->mem, line + 8 * n, 8);
        }
    }
}

SEM_END(mwait)
{
    (void)i;
    check_monitor(cpu);
    if ((uint32_t)cpu->s.gpr[REG_RCX] & ~1u) {
        cpu_gp0(cpu);
    }
    if (!event_monitor_hit(cpu)) {
        cpu->s.activity = CPU_MWAIT;
        cpu->s.mwait_break = cpu->s.gpr[REG_RCX] & 1; /* interrupts wake it even with IF clear */
        cpu_update_attn(cpu);
    }
}
