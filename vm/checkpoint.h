/*
 * A checkpoint: a machine as it is at one instant, kept in memory, to come back to.
 *
 * Taking one shares every page of RAM with the running machine (copy on write), keeps the state
 * tables as bytes, marks the drives' journals (host/blk_journal.h) and copies the soft TLBs, stale
 * entries and all. So nothing is logged and nothing that a guest could notice happens, neither when
 * one is taken nor when the machine comes back to it: a run that was put back ends as one that was
 * not. A saved machine in a file (vm/state.c) is the portable form, which flushes TLBs instead.
 *
 * Cost: a pass over the page map (a millisecond for each GiB or two), and a copy of each page that
 * is written afterwards. Decoded and compiled code of pages that did not change stays.
 *
 * What always holds: belongs to one machine, and goes before it does. Only between slices, on the
 * machine's thread.
 */
#ifndef DOPPEL_VM_CHECKPOINT_H
#define DOPPEL_VM_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"
#include "util/err.h"

struct doppel_vm;
struct checkpoint;

/* May one be taken now? Not while a request (a reset, say) waits to be obeyed. */
bool checkpoint_possible(const struct doppel_vm *vm);
/* NULL: no host memory for the disks' marks. */
struct checkpoint *checkpoint_take(struct doppel_vm *vm);
/* The machine becomes what it was. Drives show their disks as of then, and what is written from
 * here on is private (blk_journal_enter), so that the way back to the present stays open. False: a
 * medium has been exchanged since; the machine is as it was. */
bool checkpoint_enter(struct doppel_vm *vm, const struct checkpoint *cp, struct err *e);
/* The same, and drives show the present. For the checkpoint that was taken when the present was
 * left. */
bool checkpoint_return(struct doppel_vm *vm, const struct checkpoint *cp, struct err *e);
/* The same for a twin (vm/twin.h) of the machine, whose drives hold their media as of then. */
bool checkpoint_put(struct doppel_vm *twin, const struct checkpoint *cp, struct err *e);
/* Have all drives the media that they had then? False: e. */
bool checkpoint_same_media(const struct doppel_vm *vm, const struct checkpoint *cp, struct err *e);
/* Of drive i's journal; 0: none. */
uint64_t checkpoint_mark(const struct checkpoint *cp, unsigned i);
/* Give it up; NULL is ignored. The drives' marks of one that was taken inside another that has been
 * left since are gone already. */
void checkpoint_free(struct doppel_vm *vm, struct checkpoint *cp);

uint64_t checkpoint_icount(const struct checkpoint *cp);
vtime checkpoint_now(const struct checkpoint *cp);
/* Pages of RAM that two of one machine do not share; b NULL: that `a` and the machine do not. */
uint64_t checkpoint_differ(const struct doppel_vm *vm, const struct checkpoint *a,
                           const struct checkpoint *b);
/* Is the page of RAM with physical address `page` surely as it was: not written between a and a
 * later b, not even with what was there? False for what is not main RAM. */
bool checkpoint_untouched(struct doppel_vm *vm, const struct checkpoint *a,
                          const struct checkpoint *b, gpa page);
/* Host bytes beside pages. */
uint64_t checkpoint_bytes(const struct checkpoint *cp);

#endif
