/*
 * A second instance of a machine, for searches through its past: made from the same options, put
 * into checkpoints of the first one, and run there on another thread.
 *
 * What always holds: nothing of a twin reaches the host, and nothing of the host's reaches it but
 * the files that the machine was made from: back ends are null, cards hang on plugs, drives show
 * the first machine's disks as of a checkpoint, with private writes. What the two share does not
 * change meanwhile (the first machine stands still) or is counted (pages) or locked (disks).
 */
#ifndef DOPPEL_VM_TWIN_H
#define DOPPEL_VM_TWIN_H

#include <stdbool.h>

#include "util/err.h"

struct blk;
struct checkpoint;
struct doppel_vm;
struct replay;
struct vm_drive;

/* For twin_enter, with `cp` first. Ends with doppel_destroy, before `vm` does. NULL: e. */
struct doppel_vm *twin_new(struct doppel_vm *vm, const struct checkpoint *cp, struct err *e);
/* Make it what `vm` was at a checkpoint; its inputs are the caller's to feed. Any thread, while vm
 * stands still, also of two twins at once in different checkpoints. False: e. */
bool twin_enter(struct doppel_vm *twin, const struct checkpoint *cp, struct err *e);
/* Lets go of the disks: before checkpoints are given up. */
void twin_leave(struct doppel_vm *twin);

/* For vm/machine.c: the log that names the files that the machine was made from; NULL: none. */
struct replay *twin_replay(const struct doppel_vm *twin);
/* For vm/drives.c: what is in the twin's drive i, as of the checkpoint. NULL: nothing, or no host
 * memory (*ok false). */
struct blk *twin_medium(struct doppel_vm *twin, unsigned i, bool *ok);

#endif
