/*
 * The gate: the only way in for anything that is not a function of the guest's own past.
 *
 * Keys, received bytes and packets, media changes, operator commands, the RTC epoch, the random
 * seed and the pacing rate enter here. Any thread may post; the machine's thread takes posts out
 * between slices, stamps each with the virtual time, hands it to who listens and
 * delivers it to its source's handler. Replay feeds the same deliveries from a log instead.
 *
 * What always holds: a handler runs on the machine's thread, between slices, with clock_now() equal
 * to the stamp; deliveries are in order; one stamp may carry several. Virtual time names the
 * instant, since every retired instruction moves it; `order` counts what else happens at one
 * instant (a timer fires, a reset is done), so that a replay delivers on the same side of it.
 */
#ifndef DOPPEL_CORE_GATE_H
#define DOPPEL_CORE_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/types.h"

#define GATE_PAYLOAD_MAX 65536u /* bytes of one input; larger posts are refused */

/* A delivery, for the log sink and replay. payload is not owned. */
struct gate_event {
    vtime when;
    uint64_t order;     /* gate.order at the delivery */
    const char *source; /* the name given at registration, "com1.rx" */
    const uint8_t *payload;
    uint32_t len;
};

struct gate_source {
    char name[32];
    void (*deliver)(void *ctx, const uint8_t *payload, uint32_t len);
    void *ctx;
};

/* A log that deliveries come from, in place of posts. */
struct gate_feed {
    /* The next delivery, valid until `pop`. False: the log ends here. */
    bool (*peek)(void *ctx, struct gate_event *ev);
    void (*pop)(void *ctx);
    void *ctx;
};

#define GATE_SINKS 4u
struct gate_sink {
    void (*fn)(void *ctx, const struct gate_event *ev);
    void *ctx;
};

struct gate_post; /* a queued post, private to gate.c */

struct gate {
    pthread_mutex_t lock; /* guards the queue and `values`, not the sources */
    struct gate_source *sources;
    unsigned nsources;
    struct gate_post *head, **tail;
    bool pending;       /* set under the lock; the run loop may read it with a stale value */
    uint64_t delivered; /* inputs, since the machine was made */
    uint64_t order;     /* the run loop adds one for each timer fired, each request obeyed */
    const struct gate_feed *feed; /* replay: posts are thrown away; NULL: live. Not owned */
    uint64_t
        late; /* deliveries from the feed behind their stamp: the run is not the recorded one */
    void (*wake)(void *ctx); /* called after a post, from the posting thread; may be NULL */
    void *wake_ctx;
    struct gate_sink sinks[GATE_SINKS]; /* recorders; fn NULL: free */
};

void gate_init(struct gate *g);
void gate_fini(struct gate *g);

/* Register an input; while the machine is built, on its thread. Returns the source's id. `name` is
 * unique within the machine (asserted). */
int gate_source_add(struct gate *g, const char *name,
                    void (*deliver)(void *ctx, const uint8_t *payload, uint32_t len), void *ctx);

/* Find a source by name; -1 if there is none. */
int gate_source_find(const struct gate *g, const char *name);

/* Tell `fn` of each delivery, before it is made; until gate_unlisten with the same two. At most
 * GATE_SINKS at once (asserted). Machine's thread. */
void gate_listen(struct gate *g, void (*fn)(void *ctx, const struct gate_event *ev), void *ctx);
void gate_unlisten(struct gate *g, void (*fn)(void *ctx, const struct gate_event *ev), void *ctx);

/* Post an input from any thread. False: the payload is too large or the source does not exist. */
bool gate_post(struct gate *g, int source, const void *payload, uint32_t len);

/* Take every queued post out, stamp it with `now`, log and deliver it; with a feed, what the log
 * has for this instant instead. Machine's thread, between slices. Returns the number delivered. */
unsigned gate_deliver(struct gate *g, vtime now);

/* Throw away every queued post. Machine's thread. */
void gate_discard(struct gate *g);

/* Replay: what the log has for this instant, though its place in it was never reached: the run is
 * not the recorded one. False: there is nothing. */
bool gate_deliver_late(struct gate *g, vtime now);

/* Replay: when the next delivery is due. VTIME_NEVER: the log has none, or there is no feed. */
vtime gate_next(const struct gate *g);

/* Hand to a source what follows from an earlier input and the clock (keys typed by a timer): at
 * once, past the log. Machine's thread, between slices. No such source: nothing happens. */
void gate_hand(struct gate *g, int source, const void *payload, uint32_t len);

/* A value that set-up takes from the host (RTC epoch, random seed): logged as an input at time 0
 * under `name`, returned as given. */
uint64_t gate_value(struct gate *g, const char *name, uint64_t host_value);

#endif
