/*
 * Model-specific registers: a table of those that are plain storage with a rule for writes, and a
 * few with effects. Every other number is #GP(0), also on models that lack the feature.
 *
 * The TSC runs at 1 GHz, one tick a nanosecond of virtual time: TSC = clock_now() + tsc_offset.
 * Branches are not recorded (LBR): DEBUGCTL.LBR may be written and reads as 0, as in most virtual
 * machines, and the P6 family's four registers of the last branch and exception read as 0; later
 * families' stacks are not there. There is no speculation to mitigate, and IA32_ARCH_CAPABILITIES
 * says so. There are no machine-check banks: nothing can fail, and IA32_MCG_CAP counts none.
 *
 * Sources: Intel SDM 4 chapter 2 (architectural MSRs), SDM 3A 11.11 (MTRR), 11.12 (PAT), 15.3
 * (machine check), 17.17 (TSC); SDM 3A 2.2.1 (EFER).
 */
#include "cpu/desc.h"
#include "cpu/model.h"

#define MSR_TSC          0x10u
#define MSR_APIC_BASE    0x1bu
#define APIC_BASE_EXTD   (1u << 10)
#define MSR_TSC_ADJUST   0x3bu
#define MSR_PRED_CMD     0x49u
#define MSR_UPDT_TRIG    0x79u
#define MSR_MISC_ENABLE  0x1a0u
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC       0x800u
#define MSR_EFER         0xc0000080u
#define MSR_FS_BASE      0xc0000100u
#define MSR_GS_BASE      0xc0000101u
#define MSR_TSC_AUX      0xc0000103u

/* IA32_ARCH_CAPABILITIES: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO,
 * TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO. */
#define ARCH_CAPS                                                                                  \
    (1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 13 | 1u << 14 |   \
     1u << 15 | 1u << 20 | 1u << 24 | 1u << 26 | 1u << 27 | UINT64_C(1) << 62)

/* How a write is judged, besides the mask. */
enum msr_rule {
    W_MASK,      /* bits outside of the mask: #GP */
    W_CANONICAL, /* a linear address */
    W_ZERO,      /* only 0 may be written */
    W_NEVER,     /* read-only */
    W_IGNORED,   /* bits outside of the mask are dropped */
    W_DROPS,     /* W_MASK, but those in `value` read as 0 again */
    W_TYPES,     /* eight memory types (fixed-range MTRRs) */
    W_PAT,       /* eight PAT types */
    W_MTRR,      /* memory type in bits 7:0, else an address or flags */
};

#define ALL       (~UINT64_C(0))
#define PHYS_PAGE (ALL - 1) /* replaced by the model's physical-address bits */

struct msr_row {
    uint32_t msr;
    uint16_t count, step; /* registers; distance of their numbers */
    uint16_t feature;
    uint16_t off; /* in struct msrs; NO_OFF: constant `value` */
    enum msr_rule rule;
    uint64_t mask;
    uint64_t value;
};

#define NO_OFF 0xffff
#define AT(f)  offsetof(struct msrs, f)

// clang-format off
static const struct msr_row msr_rows[] = {
    /* msr       n  step  feature           where               rule         writable bits */
    {0x00000000, 2, 1, FEAT_mce,            NO_OFF,             W_IGNORED,   0, 0}, /* P5_MC_* */
    {0x00000017, 1, 1, FEAT_i686,           NO_OFF,             W_NEVER,     0, 0}, /* (bus) */
    {0x0000002a, 1, 1, FEAT_i686,           NO_OFF,             W_IGNORED,   0, 0}, /* EBL_CR_PWR */
    {0x0000003a, 1, 1, FEAT_i686,           AT(feature_control), W_NEVER,    0, 0},
    {0x00000048, 1, 1, FEAT_spec_ctrl,      AT(spec_ctrl),      W_MASK,      0x407, 0},
    {0x0000008b, 1, 1, FEAT_i686,           AT(bios_sign_id),   W_IGNORED,   0, 0},
    {0x000000ce, 1, 1, FEAT_i686,           AT(platform_info),  W_NEVER,     0, 0},
    {0x000000fe, 1, 1, FEAT_mtrr,           NO_OFF,             W_NEVER,     0, 0x500 | MTRR_VARS},
    {0x0000010a, 1, 1, FEAT_arch_capabilities, NO_OFF,          W_NEVER,     0, ARCH_CAPS},
    {0x00000174, 1, 1, FEAT_sep,            AT(sysenter_cs),    W_IGNORED,   0xffffffff, 0},
    {0x00000175, 1, 1, FEAT_sep,            AT(sysenter_esp),   W_CANONICAL, ALL, 0},
    {0x00000176, 1, 1, FEAT_sep,            AT(sysenter_eip),   W_CANONICAL, ALL, 0},
    {0x00000179, 1, 1, FEAT_mca,            NO_OFF,             W_NEVER,     0, 0}, /* no banks */
    {0x0000017a, 1, 1, FEAT_mca,            AT(mcg_status),     W_MASK,      7, 0},
    {0x000001a0, 1, 1, FEAT_i686,           AT(misc_enable),    W_NEVER,     0, 0},
    {0x000001d9, 1, 1, FEAT_i686,           AT(debugctl),       W_DROPS,     3, DEBUGCTL_LBR},
    {0x000001db, 4, 1, FEAT_i686,           NO_OFF,             W_NEVER,     0, 0}, /* (LBR) */
    {0x00000200, MTRR_VARS, 2, FEAT_mtrr,   AT(mtrr_base),      W_MTRR,      PHYS_PAGE, 0xff},
    {0x00000201, MTRR_VARS, 2, FEAT_mtrr,   AT(mtrr_mask),      W_MASK,      PHYS_PAGE, 0x800},
    {0x00000250, 1, 1, FEAT_mtrr,           AT(mtrr_fix[0]),    W_TYPES,     ALL, 0},
    {0x00000258, 2, 1, FEAT_mtrr,           AT(mtrr_fix[1]),    W_TYPES,     ALL, 0},
    {0x00000268, 8, 1, FEAT_mtrr,           AT(mtrr_fix[3]),    W_TYPES,     ALL, 0},
    {0x00000277, 1, 1, FEAT_pat,            AT(pat),            W_PAT,       ALL, 0},
    {0x000002ff, 1, 1, FEAT_mtrr,           AT(mtrr_def),       W_MTRR,      0xcff, 0},
    {0x00000da0, 1, 1, FEAT_xsaves,         AT(xss),            W_MASK,      0, 0},
    {0xc0000081, 1, 1, FEAT_syscall,        AT(star),           W_MASK,      ALL, 0},
    {0xc0000082, 1, 1, FEAT_lm,             AT(lstar),          W_CANONICAL, ALL, 0},
    {0xc0000083, 1, 1, FEAT_lm,             AT(cstar),          W_CANONICAL, ALL, 0},
    {0xc0000084, 1, 1, FEAT_lm,             AT(fmask),          W_MASK,      0xffffffff, 0},
    {0xc0000102, 1, 1, FEAT_lm,             AT(kernel_gs_base), W_CANONICAL, ALL, 0},
};
// clang-format on

static const struct msr_row *find_row(const struct cpu *cpu, uint32_t msr, size_t *off)
{
    for (unsigned n = 0; n < ARRAY_LEN(msr_rows); n++) {
        const struct msr_row *r = &msr_rows[n];
        uint32_t d = msr - r->msr;
        if (msr >= r->msr && d % r->step == 0 && d / r->step < r->count &&
            cpu_has(cpu, (enum feature)r->feature)) {
            *off = r->off + d / r->step * sizeof(uint64_t);
            return r;
        }
    }
    return NULL;
}

static bool memory_type(uint64_t t)
{
    return t == 0 || t == 1 || (t >= 4 && t <= 6);
}

static bool types_valid(uint64_t val, bool pat)
{
    for (unsigned n = 0; n < 64; n += 8) {
        uint64_t t = val >> n & 0xff;
        if (!memory_type(t) && !(pat && t == 7)) {
            return false;
        }
    }
    return true;
}

/* May `val` be written by this row? */
static bool row_allows(const struct cpu *cpu, const struct msr_row *r, uint64_t val)
{
    uint64_t mask = r->mask;
    if (mask == PHYS_PAGE) {
        mask = (bits_mask(cpu->model->phys_bits) & PAGE_MASK) | r->value;
    }
    switch (r->rule) {
    case W_CANONICAL:
        return !cpu_has(cpu, FEAT_lm) || canonical(val);
    case W_ZERO:
        return val == 0;
    case W_NEVER:
        return false;
    case W_IGNORED:
        return true;
    case W_TYPES:
        return types_valid(val, false);
    case W_PAT:
        return types_valid(val, true);
    case W_MTRR:
        return memory_type(val & 0xff) && !(val & ~mask);
    default:
        return !(val & ~mask);
    }
}

/* --- Those with effects -----------------------------------------------------------------------*/

static bool is_apic_msr(const struct cpu *cpu, uint32_t msr)
{
    if (msr == MSR_APIC_BASE) {
        return cpu_has(cpu, FEAT_apic);
    }
    if (msr == MSR_TSC_DEADLINE) {
        return cpu_has(cpu, FEAT_tsc_deadline);
    }
    return msr >= MSR_X2APIC && msr <= MSR_X2APIC + 0xff && cpu_has(cpu, FEAT_x2apic);
}

/* Reserved in IA32_APIC_BASE (SDM 3A 11.4.4, 11.12.1): bits from MAXPHYADDR on, and EXTD on models
 * without x2APIC. The APIC judges the rest. */
static bool apic_base_allowed(const struct cpu *cpu, uint64_t val)
{
    bool extd = val & APIC_BASE_EXTD;
    return !(val & ~bits_mask(cpu->model->phys_bits)) && (!extd || cpu_has(cpu, FEAT_x2apic));
}

static bool has_efer(const struct cpu *cpu)
{
    return cpu_has(cpu, FEAT_syscall) || cpu_has(cpu, FEAT_nx) || cpu_has(cpu, FEAT_lm);
}

static bool write_efer(struct cpu *cpu, uint64_t val)
{
    struct msrs *m = &cpu->s.msr[0];
    uint64_t known = EFER_LMA;
    known |= cpu_has(cpu, FEAT_syscall) ? EFER_SCE : 0;
    known |= cpu_has(cpu, FEAT_lm) ? EFER_LME : 0;
    known |= cpu_nx_allowed(cpu) ? EFER_NXE : 0;
    if ((val & ~known) || (((val ^ m->efer) & EFER_LME) && (cpu->s.cr0 & CR0_PG))) {
        return false;
    }
    uint64_t changed = val ^ m->efer;
    m->efer = (val & ~(uint64_t)EFER_LMA) | (m->efer & EFER_LMA);
    cpu_update_walk(cpu);
    if (changed & EFER_NXE) {
        tlb_flush_all(&cpu->tlb);
    }
    cpu_update_mode(cpu);
    return true;
}

/* IA32_MISC_ENABLE (SDM 4 table 2-2): what the model has can be switched, other bits are dropped.
 * What is switched off leaves CPUID too (cpu/model.c). */
static bool write_misc_enable(struct cpu *cpu, uint64_t val)
{
    struct msrs *m = &cpu->s.msr[0];
    uint64_t known = MISC_FAST_STRINGS | MISC_THERMAL | MISC_SPEEDSTEP | MISC_LIMIT_CPUID;
    known |= cpu_has(cpu, FEAT_monitor) ? MISC_MONITOR : 0;
    known |= cpu_has(cpu, FEAT_xtpr) ? MISC_XTPR_OFF : 0;
    known |= cpu_has(cpu, FEAT_nx) ? MISC_XD_OFF : 0;
    uint64_t changed = (val ^ m->misc_enable) & known;
    m->misc_enable ^= changed;
    if (changed & MISC_XD_OFF) {
        cpu_update_walk(cpu);
        tlb_flush_all(&cpu->tlb);
    }
    return true;
}

/* Move the TSC by `delta`; TSC_ADJUST follows every write (SDM 3B 17.17.3). */
static bool move_tsc(struct cpu *cpu, uint64_t delta)
{
    cpu->s.msr[0].tsc_offset += delta;
    cpu->s.msr[0].tsc_adjust += delta;
    return true;
}

static bool write_base(struct cpu *cpu, unsigned seg, uint64_t val)
{
    if (!cpu_has(cpu, FEAT_lm) || !canonical(val)) {
        return false;
    }
    cpu->s.seg[seg].base = val;
    seg_update(cpu, seg);
    return true;
}

/* --- The two entries --------------------------------------------------------------------------*/

bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *val)
{
    const struct msrs *m = &cpu->s.msr[0];
    size_t off;
    if (is_apic_msr(cpu, msr)) {
        return cpu->intc && cpu->intc->msr_read && cpu->intc->msr_read(cpu->intc_ctx, msr, val);
    }
    switch (msr) {
    case MSR_TSC:
        *val = clock_now(cpu->dev.env->clock) + m->tsc_offset;
        return cpu_has(cpu, FEAT_tsc);
    case MSR_TSC_ADJUST:
        *val = m->tsc_adjust;
        return cpu_has(cpu, FEAT_tsc_adjust);
    case MSR_EFER:
        *val = m->efer;
        return has_efer(cpu);
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        *val = cpu->s.seg[msr == MSR_FS_BASE ? SEG_FS : SEG_GS].base;
        return cpu_has(cpu, FEAT_lm);
    case MSR_TSC_AUX:
        *val = m->tsc_aux;
        return cpu_has(cpu, FEAT_rdtscp) || cpu_has(cpu, FEAT_rdpid);
    default:
        break;
    }
    const struct msr_row *r = find_row(cpu, msr, &off);
    if (!r) {
        log_guest(cpu->dev.env->log, LOG_unimp, "cpu%u: rdmsr %#x", cpu->index, msr);
        return false;
    }
    *val = r->value;
    if (r->off != NO_OFF) {
        memcpy(val, (const char *)m + off, sizeof *val);
    }
    return true;
}

bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t val)
{
    struct msrs *m = &cpu->s.msr[0];
    size_t off;
    if (is_apic_msr(cpu, msr)) {
        if (msr == MSR_APIC_BASE && !apic_base_allowed(cpu, val)) {
            return false;
        }
        return cpu->intc && cpu->intc->msr_write && cpu->intc->msr_write(cpu->intc_ctx, msr, val);
    }
    switch (msr) {
    case MSR_TSC:
        return cpu_has(cpu, FEAT_tsc) &&
               move_tsc(cpu, val - clock_now(cpu->dev.env->clock) - m->tsc_offset);
    case MSR_TSC_ADJUST:
        return cpu_has(cpu, FEAT_tsc_adjust) && move_tsc(cpu, val - m->tsc_adjust);
    case MSR_PRED_CMD:
        return cpu_has(cpu, FEAT_spec_ctrl) && !(val & ~UINT64_C(1));
    case MSR_UPDT_TRIG: /* a microcode update: accepted, changes nothing */
        return cpu_has(cpu, FEAT_i686);
    case MSR_EFER:
        return has_efer(cpu) && write_efer(cpu, val);
    case MSR_MISC_ENABLE:
        return cpu_has(cpu, FEAT_i686) && write_misc_enable(cpu, val);
    case MSR_FS_BASE:
        return write_base(cpu, SEG_FS, val);
    case MSR_GS_BASE:
        return write_base(cpu, SEG_GS, val);
    case MSR_TSC_AUX:
        if (val >> 32 || !(cpu_has(cpu, FEAT_rdtscp) || cpu_has(cpu, FEAT_rdpid))) {
            return false;
        }
        m->tsc_aux = (uint32_t)val;
        return true;
    default:
        break;
    }
    const struct msr_row *r = find_row(cpu, msr, &off);
    if (!r) {
        log_guest(cpu->dev.env->log, LOG_unimp, "cpu%u: wrmsr %#x", cpu->index, msr);
        return false;
    }
    if (!row_allows(cpu, r, val)) {
        return false;
    }
    if (r->off != NO_OFF && r->rule != W_NEVER) {
        val &= r->rule == W_DROPS ? ~r->value : ALL;
        if (r->rule == W_IGNORED) {
            uint64_t old;
            memcpy(&old, (const char *)m + off, sizeof old);
            val = (old & ~r->mask) | (val & r->mask);
        }
        memcpy((char *)m + off, &val, sizeof val);
    }
    return true;
}
