/*
 * Replay: a machine made from a log, fed by it alone.
 *
 * What always holds: no input of the host's reaches the machine before doppel_go_live; drives have
 * private overlays, and back ends show what the guest sends or nothing.
 *
 * Threads: a log may be shared by machines on several threads once it is open; the rest is the
 * machine's.
 */
#ifndef DOPPEL_VM_REPLAY_H
#define DOPPEL_VM_REPLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "doppel.h"
#include "util/err.h"
#include "vm/runlog.h"

struct blk;
struct drive;
struct mon_out;
struct replay;
struct vm_drive;
struct vm_file;

/* While the machine is made: the log of the options. NULL: e. */
struct replay *replay_new(struct doppel_vm *vm, struct doppel_log *log, struct err *e);
void replay_free(struct replay *r);
/* The machine is made: to where the log begins. */
bool replay_begin(struct replay *r, struct err *e);

/* Files that the recorded machine read; where one is now. r may be NULL. */
const struct vm_file *replay_files(const struct replay *r, unsigned *n);
const char *replay_path(struct replay *r, const char *path);

/* Does the log say what is in the drives? */
bool replay_feeds(const struct replay *r);
/* The media that are in the drives from the start. */
const struct run_medium *replay_media(const struct replay *r, unsigned *n);
/* The next medium that the log knows, as it was then; *m: what it is. NULL: e. */
struct blk *replay_medium(struct replay *r, const struct vm_drive *v, const struct run_medium **m,
                          struct err *e);
/* A transfer is done: what the controller was told of it then. r may be NULL. */
bool replay_transfer(struct replay *r, struct drive *d, bool ok);

/* From the run loop, at vm->check_at. */
void replay_check(struct replay *r, const struct st_buf *small);
/* Has the run left the recorded one, or is it over? Asked between instants. True: *why. */
bool replay_stops(struct replay *r, enum doppel_stop *why);
/* doppel_run is to return `why`: compare the end. */
enum doppel_stop replay_ended(struct replay *r, enum doppel_stop why);
const char *replay_report(const struct replay *r);

#endif
