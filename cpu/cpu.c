/*
 * The vCPU as a device: creation, reset, pins, and everything derived from its state.
 *
 * Reset values: SDM 3A table 10-1 (386 and later), 80286 and 8086 manuals for those models.
 */
#include "cpu/cpu.h"

#include <stdlib.h>

#include "cpu/block.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/sys.h"
#include "cpu/x87.h"

ST_DESCRIBE(seg, SEG_STATE, 1);
ST_DESCRIBE(x87, X87_STATE, 1);
ST_DESCRIBE(msrs, MSR_STATE, 1);
ST_DESCRIBE(cpu_state, CPU_STATE, 2);

enum { PIN_INTR, PIN_NMI, PIN_SMI, PIN_INIT, PIN_A20M }; /* and "ignne", see x87.c */
enum { PIN_OUT_FERR, PIN_OUT_SMIACT };

/* ---- derived state ---- */

void seg_update(struct cpu *cpu, unsigned seg)
{
    const struct seg *s = &cpu->s.seg[seg];
    struct seg_view *v = &cpu->segv[seg];
    bool code = s->attr & SEG_A_CODE;
    bool readable = !code || (s->attr & SEG_A_RW);
    bool writable = !code && (s->attr & SEG_A_RW);
    v->base = s->base;
    v->lo = v->end_r = v->end_w = 0;
    if ((s->attr & SEG_A_NULL) || !(s->attr & SEG_A_P)) {
        return;
    }
    uint64_t end = (uint64_t)s->limit + 1;
    if (!code && (s->attr & SEG_A_EC)) { /* expand-down: above the limit */
        v->lo = end;
        end = s->attr & SEG_A_DB ? UINT64_C(1) << 32 : 0x10000;
    }
    if (cpu_has(cpu, FEAT_only86)) {
        end += 8; /* no limit: an operand that begins at FFFFH wraps (cpu/mem.c) */
    }
    v->end_r = readable ? end : 0;
    v->end_w = writable ? end : 0;
}

static bool seg_flat(const struct cpu *cpu, unsigned seg)
{
    const struct seg_view *v = &cpu->segv[seg];
    return v->base == 0 && v->lo == 0 && v->end_r >> 32 && v->end_w >> 32;
}

static bool all_flat(const struct cpu *cpu)
{
    return cpu->s.seg[SEG_CS].base == 0 && cpu->s.seg[SEG_CS].limit == 0xffffffffu &&
           seg_flat(cpu, SEG_DS) && seg_flat(cpu, SEG_ES) && seg_flat(cpu, SEG_SS);
}

void cpu_update_mode(struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    uint32_t cs = s->seg[SEG_CS].attr, mode = 0;
    bool prot = (s->cr0 & CR0_PE) && !(s->rflags & FL_VM);
    if (prot && (s->msr[0].efer & EFER_LMA) && (cs & SEG_A_L)) {
        mode = MODE_C64 | MODE_SS32 | MODE_FLAT;
        cpu->ip_mask = cpu->sp_mask = ~UINT64_C(0);
    } else {
        mode |= cs & SEG_A_DB ? MODE_C32 : 0;
        mode |= s->seg[SEG_SS].attr & SEG_A_DB ? MODE_SS32 : 0;
        mode |= all_flat(cpu) ? MODE_FLAT : 0;
        cpu->ip_mask = mode & MODE_C32 ? 0xffffffffu : 0xffffu;
        cpu->sp_mask = mode & MODE_SS32 ? 0xffffffffu : 0xffffu;
    }
    mode |= s->msr[0].efer & EFER_LMA ? MODE_LONG : 0;
    mode |= prot ? MODE_PROT : 0;
    mode |= s->cpl == 3 ? MODE_CPL3 : 0;
    cpu->view = s->cpl == 3 ? TLB_USER : s->rflags & FL_AC ? TLB_SUPER_AC : TLB_SUPER;
    mode |= cpu->view == TLB_SUPER_AC ? MODE_AC : 0;
    mode |= cpu->view == TLB_USER && (s->rflags & FL_AC) && (s->cr0 & CR0_AM) ? MODE_ALIGN : 0;
    cpu->mode = mode;
}

void cpu_update_walk(struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    struct walk_mode *w = &cpu->walk;
    unsigned bits = cpu->model ? cpu->model->phys_bits : 46;
    w->cr3 = s->cr3;
    memcpy(w->pdpte, s->pdpte, sizeof w->pdpte);
    w->phys_mask = bits_mask(bits);
    w->a20_mask = s->a20_masked ? ~UINT64_C(0x100000) : ~UINT64_C(0);
    if (!cpu_has(cpu, FEAT_i286)) {
        w->a20_mask &= 0xfffff; /* 20 address lines */
    }
    w->paging = s->cr0 & CR0_PG;
    w->wp = s->cr0 & CR0_WP;
    w->pse = s->cr4 & CR4_PSE;
    w->pae = s->cr4 & CR4_PAE;
    w->pge = s->cr4 & CR4_PGE;
    w->smep = s->cr4 & CR4_SMEP;
    w->smap = s->cr4 & CR4_SMAP;
    w->pcide = s->cr4 & CR4_PCIDE;
    w->nxe = (s->msr[0].efer & EFER_NXE) && cpu_nx_allowed(cpu);
    w->lma = s->msr[0].efer & EFER_LMA;
    w->pse36 = cpu_has(cpu, FEAT_pse36);
    w->page1g = cpu_has(cpu, FEAT_pdpe1gb);
    cpu->tlb.pcid = w->pcide ? (uint16_t)(s->cr3 & 0xfff) : 0;
}

void cpu_update_attn(struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    cpu->intr = dev_pin_in(&cpu->dev, PIN_INTR);
    bool intr = cpu->intr && (s->rflags & FL_IF);
    cpu->attn = intr || s->nmi_pending || s->smi_pending || s->init_pending || s->sipi_pending ||
                s->shadow || (s->rflags & (FL_TF | FL_RF)) || s->db_pending || (s->dr[7] & 0xff) ||
                s->activity != CPU_RUNNING;
}

void cpu_restored(struct cpu *cpu)
{
    for (unsigned k = 0; k < 8; k++) {
        seg_update(cpu, k);
    }
    flags_set_arith(cpu, cpu->s.rflags);
    cpu_update_walk(cpu);
    cpu_update_mode(cpu);
    cpu_update_attn(cpu);
    mem_update_watch(cpu);
    tlb_flush_all(&cpu->tlb);
    memset(cpu->jc, 0xff, sizeof cpu->jc);
}

void cpu_sync(struct cpu *cpu)
{
    cpu->s.rflags = flags_get(cpu);
}

/* ---- questions of the run loop ---- */

bool cpu_wants_run(const struct cpu *cpu)
{
    return cpu->s.activity == CPU_RUNNING || event_wakes(cpu);
}

void cpu_smm_pin(struct cpu *cpu, bool on)
{
    dev_pin_set(&cpu->dev, PIN_OUT_SMIACT, on);
}

/* ---- reset ---- */

static void reset_seg(struct cpu *cpu, unsigned seg, uint16_t sel, uint64_t base, uint16_t attr)
{
    cpu->s.seg[seg] = (struct seg){.base = base, .limit = 0xffff, .sel = sel, .attr = attr};
}

static void reset_fpu(struct cpu *cpu)
{
    struct x87 *f = &cpu->s.fpu[0];
    memset(f, 0, sizeof *f);
    f->cw = 0x40;
    f->empty = 0; /* RESET sets the tag word to 5555H: all zero-valued, none empty */
    cpu->s.mxcsr = 0x1f80;
    memset(cpu->s.ymm, 0, sizeof cpu->s.ymm);
    cpu->s.xcr0 = 1;
}

static void reset_msrs(struct cpu *cpu)
{
    struct msrs *m = &cpu->s.msr[0];
    memset(m, 0, sizeof *m);
    m->pat = UINT64_C(0x0007040600070406);
    m->misc_enable = MISC_FAST_STRINGS | MISC_NO_BTS | MISC_NO_PEBS;
    m->misc_enable |= cpu_has(cpu, FEAT_monitor) ? MISC_MONITOR : 0;
    m->feature_control = 1; /* locked, VMX off */
}

void cpu_reset(struct cpu *cpu, bool init)
{
    struct cpu_state *s = &cpu->s;
    struct cpu_state old = *s;
    const uint16_t data = SEG_A_P | SEG_A_S | SEG_A_RW | SEG_A_ACC;
    memset(s, 0, sizeof *s);
    s->rflags = FL_1;
    s->gpr[REG_RDX] = cpu->model->signature;
    for (unsigned k = 0; k < 6; k++) {
        reset_seg(cpu, k, 0, 0, data);
    }
    reset_seg(cpu, SEG_LDTR, 0, 0, SEG_A_P | 2);
    reset_seg(cpu, SEG_TR, 0, 0, SEG_A_P | 11);
    s->cr0 = CR0_ET | CR0_NW | CR0_CD;
    s->gdt_limit = s->idt_limit = 0xffff;
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    s->monitor_addr = ~UINT64_C(0);
    s->smbase = 0x30000;
    s->rip = 0xfff0;
    if (!cpu_has(cpu, FEAT_i286)) {
        reset_seg(cpu, SEG_CS, 0xffff, 0xffff0, data);
        s->rip = 0;
    } else if (!cpu_has(cpu, FEAT_i386)) {
        reset_seg(cpu, SEG_CS, 0xf000, 0xff0000, data);
        s->cr0 = 0; /* MSW FFF0H: only PE MP EM TS exist */
        s->idt_limit = 0x3ff;
    } else {
        reset_seg(cpu, SEG_CS, 0xf000, 0xffff0000, data);
    }
    if (!cpu_has(cpu, FEAT_i486)) {
        s->cr0 &= ~(uint64_t)(CR0_NW | CR0_CD);
        s->cr0 &= cpu_has(cpu, FEAT_fpu) ? ~UINT64_C(0) : ~(uint64_t)CR0_ET;
    }
    reset_fpu(cpu);
    reset_msrs(cpu);
    s->rng = old.rng;
    s->icount = old.icount;
    s->a20_masked = old.a20_masked;
    if (init) { /* what INIT keeps (SDM 3A table 10-1) */
        s->fpu[0] = old.fpu[0];
        s->mxcsr = old.mxcsr;
        memcpy(s->ymm, old.ymm, sizeof s->ymm);
        s->xcr0 = old.xcr0;
        uint64_t efer = s->msr[0].efer;
        s->msr[0] = old.msr[0];
        s->msr[0].efer = efer;
        s->cr0 = (s->cr0 & ~(uint64_t)(CR0_CD | CR0_NW)) | (old.cr0 & (CR0_CD | CR0_NW));
        s->smbase = old.smbase;
        s->nmi_pending = old.nmi_pending;
        s->smi_pending = old.smi_pending;
    }
    if (cpu->index) {
        s->activity = CPU_WAIT_SIPI; /* only the bootstrap processor runs on */
    }
    cpu->delivering = false;
    cpu_restored(cpu);
    x87_drive_ferr(cpu);
    cpu_kick(cpu);
}

void cpu_sipi(struct cpu *cpu, uint8_t vector)
{
    cpu->s.sipi_pending = true;
    cpu->s.sipi_vector = vector;
    cpu_kick(cpu);
}

void cpu_set_intc(struct cpu *cpu, const struct intc_ops *ops, void *ctx)
{
    cpu->intc = ops;
    cpu->intc_ctx = ctx;
}

/* ---- the device class ---- */

static bool cpu_dev_init(struct dev *d, struct err *e)
{
    struct cpu *cpu = (struct cpu *)d;
    cpu->model = cpu_model_parse(cpu->model_name[0] ? cpu->model_name : cpu_models[0].name,
                                 cpu->features, e);
    if (!cpu->model) {
        return false;
    }
    cpu->mem = d->env->mem;
    cpu->io = d->env->io;
    if (!tlb_init(&cpu->tlb)) {
        return err_set(e, "out of memory for a vCPU's TLB");
    }
    memset(cpu->jc, 0xff, sizeof cpu->jc);
    return true;
}

static void cpu_dev_reset(struct dev *d, enum reset_kind kind)
{
    struct cpu *cpu = (struct cpu *)d;
    (void)kind;
    cpu_reset(cpu, false);
    if (kind == RESET_COLD) {
        cpu->s.rng = cpu->seed ^ (uint64_t)cpu->index << 56;
    }
}

static void cpu_dev_pin(struct dev *d, unsigned in, bool level)
{
    struct cpu *cpu = (struct cpu *)d;
    switch (in) {
    case PIN_NMI:
        cpu->s.nmi_pending |= level;
        break;
    case PIN_SMI:
        cpu->s.smi_pending |= level;
        break;
    case PIN_INIT:
        cpu->s.init_pending |= level;
        cpu->s.sipi_pending &= !level;
        break;
    case PIN_A20M:
        cpu->s.a20_masked = level;
        cpu_update_walk(cpu);
        tlb_flush_all(&cpu->tlb);
        break;
    default:
        break;
    }
    cpu_update_attn(cpu);
    cpu->exit_req = 1;
}

void cpu_init_line(struct cpu *cpu)
{
    cpu_dev_pin(&cpu->dev, PIN_INIT, true);
}

static void cpu_dev_restored(struct dev *d)
{
    cpu_restored((struct cpu *)d);
}

static void cpu_dev_fini(struct dev *d)
{
    tlb_fini(&((struct cpu *)d)->tlb);
}

static const struct prop cpu_props[] = {
    {"model", PROP_STR, offsetof(struct cpu, model_name), "", 0, 0, "CPU model and features"},
    {"index", PROP_U32, offsetof(struct cpu, index), "0", 0, 254, "number and APIC id"},
    {"cpus", PROP_U32, offsetof(struct cpu, cpus), "1", 1, 255, "vCPUs in the machine"},
    {"seed", PROP_U64, offsetof(struct cpu, seed), "0", 0, UINT64_MAX, "seed of RDRAND"},
    {0},
};

static const char *const cpu_pins_in[] = {"intr", "nmi", "smi", "init", "a20m", "ignne", NULL};
static const char *const cpu_pins_out[] = {"ferr", "smiact", NULL};

const struct dev_class cpu_class = {
    .name = "cpu",
    .help = "an x86 processor",
    .size = sizeof(struct cpu),
    .state_off = offsetof(struct cpu, s),
    .state = &cpu_state_desc,
    .props = cpu_props,
    .pins_in = cpu_pins_in,
    .pins_out = cpu_pins_out,
    .init = cpu_dev_init,
    .reset = cpu_dev_reset,
    .pin = cpu_dev_pin,
    .restored = cpu_dev_restored,
    .fini = cpu_dev_fini,
};
