/*
 * A vCPU: its state, what is cached from it, and the run loop's contract.
 *
 * struct cpu is a device (class "cpu") with input pins intr, nmi, smi, init, a20m, ignne; its state
 * table is cpu/state.h. Everything outside `s` is derived and rebuilt by cpu_restored().
 *
 * The run loop (cpu/run.c): cpu_run(cpu, n) retires at most n units and never overshoots. A block
 * is entered only if its whole length fits the budget; otherwise its instructions are run one by
 * one. Within a block `cur` points at the running instruction; it gives the exact RIP
 * (blk_rip + cur->off) and the exact count of retired instructions at any moment, so a fault, an
 * MMIO access or RDTSC sees exact values at no cost to the others.
 *
 * Checks before effects: a semantic raises (cpu_raise, which does not return) only before it has
 * changed architectural state. Delivery of an event costs one unit.
 *
 * Threads: one thread owns a machine and so its vCPUs.
 */
#ifndef DOPPEL_CPU_CPU_H
#define DOPPEL_CPU_CPU_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "core/dev.h"
#include "core/wire.h"
#include "cpu/feature.h"
#include "cpu/insn.h"
#include "cpu/jit/jit.h"
#include "cpu/state.h"
#include "mmu/aspace.h"
#include "mmu/tlb.h"
#include "mmu/walk.h"
#include "util/bits.h"

/* Vectors (SDM 3A table 6-1). */
enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_CSO = 9,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
    EXC_STOP = 0xfe, /* no vector: halt in front of the instruction, until an interrupt */
};

/* EFLAGS bits. */
#define FL_CF    0x1u
#define FL_1     0x2u
#define FL_PF    0x4u
#define FL_AF    0x10u
#define FL_ZF    0x40u
#define FL_SF    0x80u
#define FL_TF    0x100u
#define FL_IF    0x200u
#define FL_DF    0x400u
#define FL_OF    0x800u
#define FL_IOPL  0x3000u
#define FL_NT    0x4000u
#define FL_RF    0x10000u
#define FL_VM    0x20000u
#define FL_AC    0x40000u
#define FL_VIF   0x80000u
#define FL_VIP   0x100000u
#define FL_ID    0x200000u
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

/* IA32_MISC_ENABLE (SDM 4 table 2-2). */
#define MISC_FAST_STRINGS (1u << 0)
#define MISC_THERMAL      (1u << 3)  /* automatic thermal control */
#define MISC_NO_BTS       (1u << 11) /* read-only: no branch trace store, no PEBS */
#define MISC_NO_PEBS      (1u << 12)
#define MISC_SPEEDSTEP    (1u << 16)
#define MISC_MONITOR      (1u << 18) /* MONITOR and MWAIT are there */
#define MISC_LIMIT_CPUID  (1u << 22) /* CPUID's highest basic leaf is 2 */
#define MISC_XTPR_OFF     (1u << 23)
#define MISC_XD_OFF       (UINT64_C(1) << 34) /* no NX bit */

#define DEBUGCTL_LBR (1u << 0)
#define DEBUGCTL_BTF (1u << 1)

/* A segment register as a memory access sees it; derived from s.seg by seg_update(). A read of
 * [off, off+size) is allowed if lo <= off and off + size <= end_r; a write likewise with end_w. 0
 * as an end: never. */
struct seg_view {
    uint64_t base;
    uint64_t lo, end_r, end_w;
};

struct cpu_model;   /* cpu/model.h */
struct block;       /* cpu/block.h */
struct engine;      /* cpu/engine.h */
struct cpu_debug;   /* cpu/debug.h: one per machine */
struct block_cache; /* cpu/block.c: one per machine, shared by its vCPUs */

#define JC_SIZE 16384u
/* Jump cache: from linear RIP to a block. Valid while the mode and tlb.gen, for global pages
 * tlb.gen_global, are the same. */
struct jc_entry {
    uint64_t lin;
    uint64_t gen;
    struct block *block;
    uint32_t mode, serial; /* the block's then */
};

/* A set of entries of a jump table (cpu/jump_table.c). A bit of `some` is clear only if that word
 * is 0. */
struct jt_set {
    uint64_t word[JIT_JT_SIZE / 64], some[JIT_JT_SIZE / 4096];
};

/* Why. */
enum {
    ONE_LOG = 1,    /* -d exec is on; read once a slice */
    ONE_RECORD = 2, /* a path is written down (cpu/super.h) */
};

struct cpu {
    struct dev dev; /* first: a vCPU is a device */
    struct cpu_state s;

    /* --- hot, derived; offsets from the struct's start are used by struct insn --- */
    uint64_t zero;    /* always 0: the "no register" of an effective address */
    uint64_t blk_rip; /* RIP of the running block's first byte */
    uint64_t lf_res;  /* lazy flags; see cpu/flags.h */
    uint64_t lf_aux;
    const struct insn *cur; /* the running instruction; NULL outside blocks */
    int64_t budget;         /* units left after the running block (charged at entry) */
    uint32_t exit_req;      /* leave the block after the running instruction */
    uint32_t attn;          /* the run loop must look at events before the next instruction */
    bool intr;              /* the level of pin INTR; cpu_update_attn() */
    uint32_t mode;          /* MODE_xx of the code about to run; cpu_update_mode() */
    uint16_t charged;       /* instructions charged for at block entry */
    uint16_t k0;            /* `k` of the first charged instruction */
    uint64_t ip_mask;       /* 0xffff, 0xffffffff or all ones, by CS */
    uint64_t sp_mask;       /* likewise, by SS */
    enum tlb_view view;     /* of explicit data accesses: by CPL and EFLAGS.AC */
    struct jit_env jit;     /* what compiled code works on (cpu/engine.c) */
    struct seg_view segv[8];

    /* --- cold, derived or configuration --- */
    unsigned index;       /* APIC id and number in the machine */
    uint64_t seed;        /* of RDRAND, a property; from the machine through the gate */
    char model_name[256]; /* a property; boards may write longer texts than properties have */
    uint32_t cpus;        /* in the machine, a property; CPUID shows it */
    const struct cpu_model *model;
    uint64_t features[FEAT_WORDS];
    struct walk_mode walk; /* cpu_update_walk() after any change of CR0/3/4, EFER, A20 */
    struct aspace *mem, *io;
    struct block_cache *blocks;
    struct engine *engine; /* shared like the block cache */
    unsigned jit_number;   /* this vCPU's, in the engine */
    uint32_t jit_from;     /* the site by which compiled code left, if its target may be linked */
    uint64_t jt_gen[JIT_VIEWS], jt_gen_global[JIT_VIEWS]; /* what jit.jt holds: generation and */
    uint32_t jt_mode[JIT_VIEWS];                          /* mode, filled entries, those of them */
    struct jt_set jt_filled[JIT_VIEWS], jt_local[JIT_VIEWS]; /* that are not of global pages */
    const struct intc_ops *intc; /* NULL: nobody answers INTA (vector 0xff) */
    void *intc_ctx;
    uint64_t slice;    /* units that cpu_run was given */
    int64_t held;      /* of them kept from compiled code (engine_run): not in slice nor budget */
    jmp_buf fault;     /* where cpu_raise goes */
    struct cpu_event { /* what cpu_raise leaves for the run loop */
        uint8_t vector;
        bool has_err;
        uint32_t err;
    } exc;
    bool delivering;           /* an event is being delivered: a further fault combines with it */
    uint8_t delivering_vec;    /* 0xff: an interrupt (benign for #DF) */
    bool stop;                 /* cpu_run returns at the next boundary (clock kick, requests) */
    bool yields;               /* the run loop wants to know of PAUSE: it ends cpu_run */
    bool yielded;              /* it did in the last cpu_run */
    bool (*paused)(void *ctx); /* true: the PAUSE is dealt with, cpu_run goes on; NULL: never */
    void *paused_ctx;
    uint8_t one_by_one;          /* each block comes to the run loop: ONE_xx */
    bool noted;                  /* a watchpoint was met: debug_commit at the next boundary */
    struct cpu_debug *debug;     /* a debugger's break- and watchpoints; NULL: none */
    bool step_done;              /* the instruction has settled its single-step trap itself */
    bool polling;                /* inside event_poll: its unit is not charged yet */
    const struct block *running; /* the block being run, also while a copy of its head is */
    struct insn scratch[BLOCK_INSNS + 1]; /* head of a block that does not fit the budget, or code
                                             that is not cached (not RAM, cut by the CS limit) */
    struct jc_entry jc[JC_SIZE];
    struct tlb tlb;
};

/* ---- lifecycle (cpu/cpu.c) ---- */
extern const struct dev_class cpu_class;
/* After dev_init. intc may be NULL. */
void cpu_set_intc(struct cpu *cpu, const struct intc_ops *ops, void *ctx);
/* Reset as by RESET# (cold) or INIT (SDM 3A table 9-1). */
void cpu_reset(struct cpu *cpu, bool init);
/* A pulse on the INIT line that has no wire (the chipset's answer to a shutdown cycle). */
void cpu_init_line(struct cpu *cpu);
/* SIPI from an APIC: starts a vCPU in CPU_WAIT_SIPI at vector << 12. */
void cpu_sipi(struct cpu *cpu, uint8_t vector);
/* Tell the board that this vCPU is in SMM, or is not any more (output pin "smiact"). */
void cpu_smm_pin(struct cpu *cpu, bool on);
/* Bring s up to date (flags) before save, digest or inspection. */
void cpu_sync(struct cpu *cpu);

/* ---- run loop (cpu/run.c) ---- */
/* Run at most n units (n >= 1); returns units consumed, which is less than n only if the vCPU is
 * not running (halt, shutdown) or was told to stop. */
uint64_t cpu_run(struct cpu *cpu, uint64_t n);
/* Run the first n instructions of block b, which lies at RIP, in the interpreter, out of turn: the
 * budget means nothing. For cpu/lockstep.c. */
void cpu_run_head(struct cpu *cpu, const struct block *b, unsigned n);
/* Units consumed since cpu_run began, exact inside any instruction. */
uint64_t cpu_elapsed(void *cpu);
/* Inside an instruction: the run ends n units behind its begin instead (no later than before), and
 * `ns` of virtual time pass at once. False, and nothing is changed: n lies within the block that
 * runs. */
bool cpu_run_shorten(struct cpu *cpu, uint64_t n, uint64_t ns);
/* Units that this run may take, from its begin. */
static inline uint64_t cpu_run_units(const struct cpu *cpu)
{
    return cpu->slice + (uint64_t)cpu->held;
}
/* Is there anything to do: running, or an event that wakes it? */
bool cpu_wants_run(const struct cpu *cpu);
/* Leave the current block after the running instruction, and look at events. */
static inline void cpu_kick(struct cpu *cpu)
{
    cpu->exit_req = 1;
    cpu->attn = 1;
}

/* ---- exceptions: none of these returns ---- */
noreturn void cpu_raise(struct cpu *cpu, unsigned vector);                   /* no error code */
noreturn void cpu_raise_err(struct cpu *cpu, unsigned vector, uint32_t err); /* with one */
noreturn void cpu_raise_pf(struct cpu *cpu, gva la, uint32_t err);           /* sets CR2 */
static inline noreturn void cpu_gp0(struct cpu *cpu)
{
    cpu_raise_err(cpu, EXC_GP, 0);
}
static inline noreturn void cpu_ud(struct cpu *cpu)
{
    cpu_raise(cpu, EXC_UD);
}

/* ---- questions ---- */
static inline bool cpu_has(const struct cpu *cpu, enum feature f)
{
    return feature_in(cpu->features, f);
}
static inline bool cpu_prot(const struct cpu *cpu) /* protected mode, virtual-8086 included */
{
    return cpu->s.cr0 & CR0_PE;
}
static inline bool cpu_v86(const struct cpu *cpu)
{
    return cpu->s.rflags & FL_VM;
}
static inline bool cpu_realish(const struct cpu *cpu) /* real or virtual-8086: base = sel << 4 */
{
    return !cpu_prot(cpu) || cpu_v86(cpu);
}
static inline bool cpu_lma(const struct cpu *cpu)
{
    return cpu->s.msr[0].efer & EFER_LMA;
}
/* NX is there, and IA32_MISC_ENABLE does not switch it off. */
static inline bool cpu_nx_allowed(const struct cpu *cpu)
{
    return cpu_has(cpu, FEAT_nx) && !(cpu->s.msr[0].misc_enable & MISC_XD_OFF);
}
static inline bool cpu_code64(const struct cpu *cpu)
{
    return cpu->mode & MODE_C64;
}
/* RIP of the running instruction, and of the one behind it (wrapped to the code size). */
static inline uint64_t insn_ip(const struct cpu *cpu, const struct insn *i)
{
    return (cpu->blk_rip + i->off) & cpu->ip_mask;
}
static inline uint64_t insn_next_ip(const struct cpu *cpu, const struct insn *i)
{
    return (cpu->blk_rip + i->off + i->len) & cpu->ip_mask;
}

/* ---- derived state: call after changing what it derives from ---- */
void cpu_update_mode(struct cpu *cpu); /* mode, view, masks: after CS, SS, CPL, CR0, EFER, VM, AC */
void cpu_update_walk(struct cpu *cpu); /* after CR0, CR3, CR4, EFER, A20 */
void cpu_update_attn(struct cpu *cpu); /* after IF, shadow, pins, pending bits, TF, DR7 */
void seg_update(struct cpu *cpu, unsigned seg); /* segv[seg] from s.seg[seg] */
void cpu_restored(struct cpu *cpu);             /* all of it */

#endif
