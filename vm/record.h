/*
 * Recording: what comes through the gate, into a log (docs/replay.md).
 *
 * Nothing else about a machine is nondeterministic, so a recording may begin at any instant: with
 * a new machine, whose manifest is enough, or with the machine saved then. It ends with the digest
 * of everything, or with the last chunk that reached the file.
 *
 * What always holds: recording changes nothing that a guest can observe. A log that cannot be
 * written (a full disk) ends; the machine goes on.
 *
 * Threads: the machine's.
 */
#ifndef DOPPEL_VM_RECORD_H
#define DOPPEL_VM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "util/err.h"
#include "vm/runlog.h"

struct doppel_vm;
struct drive;
struct mon_out;
struct record;

/* "FILE" or "FILE,compress=off". False: e, and nothing is recorded. */
bool record_start(struct doppel_vm *vm, const char *spec, struct err *e);
/* The end, with its digest; nothing is recorded: nothing happens. */
void record_stop(struct doppel_vm *vm);
/* All that is recorded ends: the machine goes. */
void record_end(struct doppel_vm *vm);
/* The machine is about to become another (a load): what was recorded ends here. */
void record_break(struct doppel_vm *vm, const char *why);

/* From the run loop, every few milliseconds: write out what is old enough. */
void record_poll(struct doppel_vm *vm);
/* From the run loop, at vm->check_at. */
void record_check(struct doppel_vm *vm, const struct st_buf *small);

/* From the drives (vm/media.h). */
void record_after_read(struct doppel_vm *vm, struct drive *d, uint64_t off, size_t len);
void record_before_write(struct doppel_vm *vm, struct drive *d, uint64_t off, size_t len);
void record_fault(struct doppel_vm *vm, struct drive *d);
/* A medium with an overlay is about to be taken out. */
void record_before_removal(struct doppel_vm *vm);
bool record_wants_media(const struct doppel_vm *vm);
void record_medium(struct doppel_vm *vm, const struct run_medium *m);

/* Monitor: "record start FILE", "record stop", "info record". */
void record_command(struct doppel_vm *vm, const char *args, struct mon_out *o);
void record_info(struct doppel_vm *vm, struct mon_out *o);

/* vm/check.c: the small state (all but RAM and disks) of the machine. */
void check_take(struct doppel_vm *vm, struct st_buf *small);
/* The fields in which the machine differs from a small state, as text, `max` lines; the number of
 * all. Hostile bytes. */
unsigned check_diff(struct doppel_vm *vm, const uint8_t *small, size_t len, unsigned max,
                    struct st_buf *text);
/* Instructions from one check to the next; multiples of it are checked. */
#define CHECK_EVERY (UINT64_C(1) << 26)
/* The first instruction count behind `icount` that is checked. */
static inline uint64_t check_next(uint64_t icount)
{
    return (icount / CHECK_EVERY + 1) * CHECK_EVERY;
}

#endif
