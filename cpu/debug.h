/*
 * Break- and watchpoints of a debugger, not of the guest (those are DR0-DR7): nothing that a guest
 * can observe depends on them.
 *
 * One struct cpu_debug serves all vCPUs of a machine. Execution points: the block cache ends blocks
 * in front of their page offsets (block_cache_cut), so the run loop comes by and asks debug_here().
 * Watchpoints: their pages are not in L1 of the soft TLB (tlb_set_spy), so cpu/mem.c comes by and
 * calls debug_access(); writes to watched physical RAM, by whomever, come by way of the lines that
 * hold code (block_cache_spy). What was met is noted, and told when the instruction, iteration or
 * delivery has ended (debug_commit): so a stop is always between two units.
 *
 * An execution point is not met while RF is set, as the processor's own are not: a repeated string
 * instruction that goes on, or an instruction that starts again after its fault, is met once.
 */
#ifndef DOPPEL_CPU_DEBUG_H
#define DOPPEL_CPU_DEBUG_H

#include "cpu/cpu.h"

enum debug_kind { DEBUG_EXEC, DEBUG_WRITE, DEBUG_READ, DEBUG_ACCESS };

struct debug_point {
    enum debug_kind kind;
    bool physical; /* address: physical, else linear */
    uint64_t addr, len;
};

struct debug_note {
    struct debug_point point;
    const struct cpu *cpu; /* that met it; NULL: a device, between slices */
    uint64_t at;           /* the first byte of the point that was accessed */
    bool write;
};

#define DEBUG_NOTES_MAX 8 /* of one instruction; more are not told */

struct cpu_debug {
    /* Set by the owner, who points cpu->debug here if there is any point. */
    const struct debug_point *point;
    unsigned npoints;
    uint64_t exec[PAGE_SIZE / 64];                         /* page offsets of execution points */
    bool exec_physical;                                    /* there are such by physical address */
    bool (*met)(void *ctx, const struct debug_note *note); /* true: stop the vCPU */
    void *ctx;

    struct debug_note note[DEBUG_NOTES_MAX];
    unsigned nnotes;
    /* The execution point that stopped this vCPU when it had retired so much is not met again
     * there. */
    unsigned arrived_cpu;
    uint64_t arrived_icount;
};

/* Whoever asked knows of the execution points at this vCPU's next instruction: they do not stop it
 * before it. Between slices. */
void debug_arrived(struct cpu_debug *d, const struct cpu *cpu);
/* Is the vCPU, about to run the instruction at RIP, to stop? Between instructions. */
bool debug_here(struct cpu *cpu);
/* Bytes were accessed, or are about to be written: by a vCPU, which then leaves its block behind
 * the running instruction, or (cpu NULL) by a device. */
void debug_access(struct cpu_debug *d, struct cpu *cpu, bool physical, uint64_t addr, unsigned len,
                  bool write);
/* Would a write of bytes at la, which lie at physical address pa, in one page, meet a watchpoint?
 * Also one for reads: the instruction may read what it writes. */
bool debug_watches(const struct cpu_debug *d, uint64_t la, gpa pa, unsigned len);
/* The running instruction faulted: its reads did not happen. */
void debug_fault(struct cpu *cpu);
/* The unit has ended: tell what was noted. True: stop. cpu: that ran, or NULL. */
bool debug_commit(struct cpu_debug *d, struct cpu *cpu);

#endif
