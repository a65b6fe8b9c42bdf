/*
 * The machine's side of the debugging API (include/doppel.h): points, hits, steps, edits.
 *
 * What a debugger wants is kept apart from what is in force; debug_begin() makes the two equal when
 * the machine runs on, and does nothing if they are. So a debugger that takes all its points out at
 * each stop and puts them in again costs nothing.
 *
 * Looking has no effect on the machine. Changes (registers, memory) go through the gate's operator
 * source: a recording holds them.
 */
#ifndef DOPPEL_VM_DEBUG_H
#define DOPPEL_VM_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#include "doppel.h"

struct cpu;
struct vm_debug; /* private to vm/debug.c; made when first needed */

/* --- For the run loop --- */

/* The machine is about to run for its owner: points as wanted from now on. step: the vCPU that is
 * to run one unit; NULL: none. */
void debug_begin(struct doppel_vm *vm, const struct cpu *step);
/* Units that a slice of this vCPU may have. */
uint64_t debug_slice(struct doppel_vm *vm, const struct cpu *cpu, uint64_t n);
/* Is the machine to stop here, between slices? */
bool debug_stops(struct doppel_vm *vm);
/* The memory map changed. */
void debug_remapped(struct doppel_vm *vm);
/* A debugger's change, from the gate. */
void debug_operate(struct doppel_vm *vm, const uint8_t *payload, uint32_t len);
void debug_free(struct doppel_vm *vm);

/* --- For the search through history --- */

/* Hits go to fn on the machine's thread instead of stopping it, each at the boundary where the
 * machine would stop (hit->icount); true: stop after all. NULL: they stop it. */
void debug_collect(struct doppel_vm *vm,
                   bool (*fn)(void *ctx, struct doppel_vm *vm, const struct doppel_hit *hit),
                   void *ctx);
/* The points that are wanted; *n of them. */
const struct doppel_point *debug_points(const struct doppel_vm *vm, unsigned *n);
/* The points of `from` for `to` also. */
void debug_copy(struct doppel_vm *to, const struct doppel_vm *from);
/* The machine is being put back: what is written to RAM is nobody's access, and what was noted in
 * front of that is forgotten. */
void debug_mute(struct doppel_vm *vm, bool muted);
/* The machine was brought to this hit (or NULL: to anywhere) by other ways than running into it:
 * doppel_hit() shows it, and an execution point at this place does not stop it again. */
void debug_arrive(struct doppel_vm *vm, const struct doppel_hit *hit);

/* --- Shared with vm/debug_regs.c --- */

void debug_set_register(struct doppel_vm *vm, const uint8_t *payload, uint32_t len);

#endif
