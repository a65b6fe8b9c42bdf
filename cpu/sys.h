/*
 * System-level operations shared by several semantics and by the run loop: segment loading, event
 * delivery, control transfers between levels, tasks, control registers, MSRs, CPUID, SMM.
 *
 * All of them raise (and do not return) before they change architectural state, as the SDM's
 * pseudo-code orders the checks.
 */
#ifndef DOPPEL_CPU_SYS_H
#define DOPPEL_CPU_SYS_H

#include "cpu/cpu.h"

/* ---- segments (cpu/seg.c) ---- */
/* A descriptor as read from a table; hi/lo doublewords, and the upper half of 16-byte ones. */
struct desc {
    uint32_t lo, hi;
    uint32_t base_hi; /* 16-byte system descriptors of IA-32e mode */
    uint32_t top;     /* ... and their last doubleword: bits 12:8 must be 0 */
};
/* MOV/POP/LDS... to ES, SS, DS, FS, GS in any mode, with every check. Not CS. */
void seg_load(struct cpu *cpu, unsigned seg, uint16_t sel);
/* Real and virtual-8086 mode: base = sel << 4, limit and rights as the mode says. */
void seg_load_real(struct cpu *cpu, unsigned seg, uint16_t sel);
/* Read the descriptor of a non-null selector; false: outside its table. */
bool desc_read(struct cpu *cpu, uint16_t sel, struct desc *d);
/* Fill s.seg[seg] from a descriptor, then seg_update(). */
void seg_set_desc(struct cpu *cpu, unsigned seg, uint16_t sel, const struct desc *d);

/* ---- events (cpu/event.c) ---- */
enum event_kind { EV_EXCEPTION, EV_INTERRUPT, EV_SOFT_INT, EV_INT1, EV_INT3, EV_INTO, EV_NMI };
/* Deliver through the IVT or IDT in the current mode. next_rip: what is pushed as return address.
 * May raise; the run loop then combines (#DF, shutdown). */
void event_deliver(struct cpu *cpu, enum event_kind kind, unsigned vector, bool has_err,
                   uint32_t err, uint64_t rip);
/* What the run loop calls when cpu->attn is set and at instruction boundaries with TF: takes the
 * highest-priority event if there is one (SDM 3A 6.9); returns units consumed (0 or 1). */
unsigned event_poll(struct cpu *cpu);
/* After a fault left an instruction: classify, combine into #DF or shutdown, deliver. RIP has been
 * set to the faulting instruction's. */
void event_fault(struct cpu *cpu);

/* ---- transfers (cpu/far.c, cpu/task.c) ---- */
void far_jmp(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned osz);
void far_call(struct cpu *cpu, uint16_t sel, uint64_t off, unsigned osz, uint64_t next_rip);
void far_ret(struct cpu *cpu, unsigned osz, uint16_t drop);
void far_iret(struct cpu *cpu, unsigned osz);
enum task_from { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };
/* Hardware task switch (SDM 3A 7.3). next_rip is saved in the old TSS. has_err/err: pushed on the
 * new stack. */
void task_switch(struct cpu *cpu, uint16_t tss_sel, enum task_from from, uint64_t next_rip,
                 bool has_err, uint32_t err);

/* ---- control and model-specific registers, CPUID (cpu/ctrl.c, cpu/msr.c, cpu/model.c) ---- */
void ctrl_set_cr0(struct cpu *cpu, uint64_t val);
void ctrl_set_cr3(struct cpu *cpu, uint64_t val);
void ctrl_set_cr4(struct cpu *cpu, uint64_t val);
/* Write the system bits of RFLAGS that `mask` names (arithmetic ones too) and update what follows
 * from them (attn, view). */
void ctrl_set_flags(struct cpu *cpu, uint64_t val, uint64_t mask);
bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *val); /* false: #GP(0) */
bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t val);
void cpuid_query(const struct cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t out[4]);

/* RFLAGS as PUSHF stores them, but for what virtual-8086 mode changes. (cpu/stack.c) */
uint64_t stack_flags_image(const struct cpu *cpu);

/* ---- SMM (cpu/smm.c) ---- */
void smm_enter(struct cpu *cpu);
void smm_leave(struct cpu *cpu);

#endif
