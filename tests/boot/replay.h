/*
 * A run with a network, repeated without: what came through the gate is kept with its instants and
 * given to another machine at the same ones.
 *
 * Two live runs differ, since packets come when the host sends them; but what came through the gate
 * is all that came, so the second machine retires as many instructions and ends in the same state.
 */
#ifndef DOPPEL_TESTS_BOOT_REPLAY_H
#define DOPPEL_TESTS_BOOT_REPLAY_H

#include "core/clock.h"
#include "doppel.h"

struct replay_event {
    vtime when;
    int source;
    uint32_t len;
    uint8_t *payload;
};

struct recording {
    struct doppel_vm *vm;
    struct replay_event *event;
    unsigned n;
};

struct replay {
    struct doppel_vm *vm;
    const struct recording *from;
    unsigned next; /* event */
    struct timer timer;
    struct vtimer due;
};

/* From now on, on a machine that stands still; once for each machine. */
void packets_keep(struct recording *r, struct doppel_vm *vm);
void packets_stop(struct recording *r);
void packets_free(struct recording *r);

/* Unplugs the cards of a machine that is where the recording began (new, or loaded) and has the
 * same devices. It must be run to its end, or destroyed, before `p` and the recording go. */
void packets_replay(struct replay *p, struct doppel_vm *vm, const struct recording *from);
/* The same on a machine loaded from one that was saved while it replayed, `first`. */
void packets_go_on(struct replay *p, struct doppel_vm *vm, const struct replay *first);

#endif
