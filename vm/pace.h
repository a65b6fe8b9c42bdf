/*
 * Pace: virtual time against the host's.
 *
 *     real  keep step with the host: an idle machine sleeps until its next deadline is due on the
 *           host; one that is ahead waits; one whose vCPUs are slower than an instruction a
 *           nanosecond gets a rate (core/clock.h) at which its clocks keep up all the same
 *     max   as fast as it goes: idle time is skipped, an instruction is a nanosecond
 *     auto  real while somebody may act on the machine (a terminal, a window, a network), else max
 *
 * or a fixed rate of 1 to 1024 ns for each instruction, with idle time as in auto, or skipped
 * ("2.5,sleep=off").
 *
 * A guest sees of it only the rate, which changes through the gate (source "pace"): so a run under
 * any pace is recorded and repeated like any other. Its clocks never jump: being late is caught up
 * by running a little faster, and by shorter sleeps.
 *
 * What always holds: the host's clock is read here and decides nothing but how long to sleep and
 * what to post. One thread, the machine's.
 */
#ifndef DOPPEL_VM_PACE_H
#define DOPPEL_VM_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"
#include "util/err.h"

struct doppel_vm;
struct mon_out;

enum pace_mode { PACE_AUTO, PACE_REAL, PACE_MAX, PACE_FIXED };

struct pace {
    enum pace_mode mode;
    bool skips;       /* idle time, always */
    int source;       /* of the gate */
    bool keeping;     /* step, since: */
    uint64_t host0;   /* host ns that belongs to */
    vtime virtual0;   /* this instant */
    uint64_t host1;   /* the window in which speed is measured: its begin, */
    uint64_t icount1; /* instructions then, */
    uint64_t slept1;  /* and ns slept since */
};

/* While the machine is made. text: "auto" (also NULL), "real", "max", or ns for each instruction as
 * "2", "2.5", "2.5,sleep=off". False: e. */
bool pace_init(struct doppel_vm *vm, const char *text, struct err *e);
/* From the operator. */
bool pace_change(struct doppel_vm *vm, const char *text, struct err *e);
/* May something come from outside at any time? */
bool pace_live(const struct doppel_vm *vm);
/* Does virtual time keep step with the host's just now? */
bool pace_keeps(const struct doppel_vm *vm);

/* Between slices, now and then: may sleep, may post another rate. */
void pace_poll(struct doppel_vm *vm);
/* All vCPUs wait, `ns` of virtual time long: sleep so on the host. Returns how much virtual time
 * has passed, at most ns: less if something came in. */
vtime pace_idle(struct doppel_vm *vm, vtime ns);
/* Virtual time went on, or the host's, without the other (a pause, a load). */
void pace_restart(struct doppel_vm *vm);

/* The monitor's "speed". */
void mon_speed(struct doppel_vm *vm, const char *args, struct mon_out *o);

#endif
