/*
 * Which blocks make a superblock: the path that the guest takes once from a block found to be hot.
 *
 * Compiled code gets the budget in small portions; the block at which a portion ends is a sample of
 * where time is spent, for nothing. A block sampled often enough is the head of a superblock: its
 * successors are interpreted one by one and written down until the path closes, leaves the page or
 * is long enough (next executing tail, as in HP's Dynamo). Nothing of it can be seen by a guest.
 */
#ifndef DOPPEL_CPU_SUPER_H
#define DOPPEL_CPU_SUPER_H

#include "cpu/block.h"
#include "cpu/jit/jit.h"

#define SUPER_INSNS 64u

/* A path being written down, of one vCPU. */
struct super_path {
    struct cpu *cpu; /* NULL: none */
    struct block *b[JIT_PARTS_MAX];
    unsigned n, insns;
    uint64_t page;      /* linear, of the head's RIP */
    enum tlb_view view; /* of the head's data accesses */
    bool loop;          /* closed on its head */
    bool broken;        /* a block of it was overwritten */
};

/* The next block of this vCPU should be `head`: begin there. */
void super_begin(struct super_path *p, struct cpu *cpu, struct block *head);
/* The vCPU is about to run b (NULL: something that is no block). True: b belongs to the path;
 * false: the path is complete without it, or empty. */
bool super_step(struct super_path *p, struct block *b);

#endif
