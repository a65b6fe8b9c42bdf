/*
 * A machine's past: checkpoints and the inputs between them, so that it can go back.
 *
 * While it is kept, the machine takes a checkpoint every HISTORY_INTERVAL instructions and notes
 * each delivery of the gate. To go to an instant is to enter the checkpoint before it and to run
 * from there on, with the inputs from the notes; runs are exact, so that is the same instant again.
 * As checkpoints grow old they are thinned, evenly in the logarithm of their age, within a limit of
 * host memory.
 *
 * In the past nothing reaches the host (serial ports, network, disks: vm/checkpoint.h) and nothing
 * comes from it. The way forward ends where the past was entered: there the machine is live again,
 * as if it had never left. history_branch() makes it live where it is instead, and what had
 * followed is forgotten.
 *
 * Nothing here is seen by the guest. One thread, the machine's, between slices.
 */
#ifndef DOPPEL_VM_HISTORY_H
#define DOPPEL_VM_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"
#include "doppel.h"
#include "util/err.h"

struct history;

/* Keep checkpoints from now on, in at most `bytes` of host memory beside the machine's own. */
bool history_start(struct doppel_vm *vm, uint64_t bytes, struct err *e);
/* Another distance between checkpoints, in instructions, than the usual one; for tests. */
void history_set_interval(struct doppel_vm *vm, uint64_t interval);
/* Searches use so many threads of the host's at most; 0: as many as it has processors. */
void history_set_workers(struct doppel_vm *vm, unsigned n);
/* Forget everything; the machine is in the present first. */
void history_stop(struct doppel_vm *vm);

/* The machine is about to be loaded from elsewhere: what was kept is forgotten, and a new past
 * begins. */
void history_restart(struct doppel_vm *vm);

/* Is the machine in its past? */
bool history_in_past(const struct doppel_vm *vm);
/* Does it look for an instant just now: the host is not to be asked for anything. */
bool history_seeking(const struct doppel_vm *vm);
/* The earliest and the last instant (instructions) that can be gone to. */
uint64_t history_first(const struct doppel_vm *vm);
uint64_t history_last(const struct doppel_vm *vm);

/* Be where `icount` instructions had retired. False: outside the past that is kept, or the host
 * failed, or doppel_interrupt came; the machine is somewhere in its past then. */
bool history_goto(struct doppel_vm *vm, uint64_t icount, struct err *e);
/* Be where vCPU `cpu` had run one unit less. */
bool history_step_back(struct doppel_vm *vm, unsigned cpu, struct err *e);
/* The present: where the past was entered. Nothing to do if the machine is there. */
bool history_return(struct doppel_vm *vm, struct err *e);
/* Live from here on. */
bool history_branch(struct doppel_vm *vm, struct err *e);

/* Search backwards for the last hit of a break- or watchpoint that lies before this instant, the
 * latest interval first, and be there: in front of the access for a watchpoint, so that it is about
 * to happen. `only`: of this point alone, which is in force; NULL: of all. */
enum history_found { HISTORY_FOUND, HISTORY_NONE, HISTORY_FAILED };
/* HISTORY_NONE: the machine is at the first instant that is kept. */
enum history_found history_last_hit(struct doppel_vm *vm, const struct doppel_point *only,
                                    struct err *e);

/* For the run loop. */
uint64_t history_end(const struct doppel_vm *vm); /* where it must stop to ask: */
bool history_arrived(struct doppel_vm *vm);       /* true: the present again, live */
void history_tick(struct doppel_vm *vm);          /* between slices: takes what is due */

struct history_info {
    uint64_t checkpoints, inputs, bytes, limit;
};
void history_info(const struct doppel_vm *vm, struct history_info *info);

#endif
