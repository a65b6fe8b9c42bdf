/*
 * A machine's drives: made from -drive options, found by boards and devices, changed by the
 * operator, saved and loaded with the machine.
 *
 * What always holds: an image is opened (and locked against other writers) while the machine is
 * built or when its medium is changed, never later. With snapshot=on writes stay in an overlay that
 * is part of the saved machine and its digest; without it the image is the state, and a saved
 * machine names it.
 */
#ifndef DOPPEL_VM_DRIVES_H
#define DOPPEL_VM_DRIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backend_block.h"
#include "core/state.h"
#include "vm/snap_file.h"

struct doppel_vm;
struct mon_out;

/* Open every drive that the options name. e: one line. */
bool drives_open(struct doppel_vm *vm, struct err *e);
void drives_close(struct doppel_vm *vm);

/* For a board's "drive:ide.N" (N = 2 * channel + unit, 0..3), "drive:floppy.N" and
 * "drive:pflash.N" (0..1), or a user's id; NULL: nothing is there. But for the last they mark the
 * drive as taken. */
struct drive *drives_find(struct doppel_vm *vm, const char *ref);
/* For a user's -device X,drive=ID: an if=none drive that no other device has; marks it as taken. */
bool drives_take(struct doppel_vm *vm, const char *id, struct drive **out, struct err *e);
/* After the machine is built: has every drive that the user asked for found its controller? */
bool drives_check(const struct doppel_vm *vm, struct err *e);

/* What is in each drive, for a snapshot's head. path: of its file, for the undo files of images
 * that are written to; NULL: they are not put back by a load. False: e. In any case
 * drives_save_end() follows when the save has succeeded or failed. */
bool drives_save(struct doppel_vm *vm, struct st_buf *head, const char *path, struct err *e);
void drives_save_end(struct doppel_vm *vm, const char *path, bool ok);
/* A snapshot's file is gone. */
void drives_forget(struct doppel_vm *vm, const char *path);
/* The overlays, as regions; changes_only: what was not written since drives_saved() is the
 * parent's. False: e. */
bool drives_put(struct doppel_vm *vm, struct snap_writer *w, bool changes_only, struct err *e);
void drives_saved(struct doppel_vm *vm);

/* The overlays as they are now, to be put into a snapshot later: marks in their journals. Goes
 * before a medium that has an overlay is taken out. NULL: no memory. */
struct drives_held;
struct drives_held *drives_hold(struct doppel_vm *vm);
/* As regions; what they are read from lives until drives_held_done(). False: e. */
bool drives_held_put(struct drives_held *h, struct snap_writer *w, struct err *e);
void drives_held_done(struct drives_held *h);
/* Host memory for what was overwritten since. */
uint64_t drives_held_bytes(const struct drives_held *h);
void drives_held_free(struct drives_held *h);

/* Does a drive show its past (host/blk_journal.h)? Then reading it is for one thread. */
bool drives_in_past(const struct doppel_vm *vm);

/* Loading: all that can fail is in the plan, which changes nothing. NULL: e. */
struct drives_plan;
struct drives_plan *drives_plan(struct doppel_vm *vm, struct st_src *head, struct snap_chain *c,
                                struct err *e);
void drives_plan_free(struct drives_plan *plan);
/* First of all: images that are written to are put back. False: e, and they are as they were. */
bool drives_go(struct doppel_vm *vm, struct drives_plan *plan, struct err *e);
/* Carries out the rest, and frees it. */
void drives_apply(struct doppel_vm *vm, struct drives_plan *plan);

uint64_t drives_digest(struct doppel_vm *vm, uint64_t h);

/* Monitor: "change DRIVE FILE", "eject [-f] DRIVE", "info block". */
void drives_change(struct doppel_vm *vm, const char *args, struct mon_out *o);
void drives_eject(struct doppel_vm *vm, const char *args, struct mon_out *o);
void drives_info(struct doppel_vm *vm, struct mon_out *o);

#endif
