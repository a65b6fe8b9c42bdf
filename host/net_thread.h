/*
 * The thread behind a network back end, and the queues between it and the machine.
 *
 * Frames from the card are appended to a bounded queue by the machine's thread, which never waits;
 * a full queue drops, as a cable with nobody behind it. Frames for the card are handed over as far
 * as its own queue has room, and held here beyond that, for a while without loss.
 *
 * What always holds: everything marked "thread" belongs to the thread from start to stop.
 */
#ifndef DOPPEL_HOST_NET_THREAD_H
#define DOPPEL_HOST_NET_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/backend_net.h"
#include "util/err.h"

struct net_frame {
    struct net_frame *next;
    size_t len;
    uint8_t data[];
};

struct net_list {
    struct net_frame *head, **tail;
    size_t bytes;
};

struct net_thread {
    struct net *net;
    pthread_t thread;
    bool started;
    int wake_rd, wake_wr; /* poll wake_rd; net_thread_woken() empties it */
    pthread_mutex_t lock; /* guards the next five */
    pthread_cond_t called;
    struct net_list out;
    bool stop;
    void (*call)(void *ctx); /* to be run by the thread; NULL: nothing, or it is done */
    void *call_ctx;
    _Atomic bool waiting; /* held frames want room */
    struct net_list held; /* thread */
};

/* False: no file descriptors are left. net_thread_stop() is due in any case. */
bool net_thread_init(struct net_thread *t, struct net *net, struct err *e);
bool net_thread_start(struct net_thread *t, void *(*run)(void *), void *ctx, struct err *e);
/* Ends the thread, if it runs, and frees what is queued. */
void net_thread_stop(struct net_thread *t);

/* From the machine's thread: a frame of the card's; the card has room; run something in the
 * thread and wait for it (at once, if it was not started). */
void net_thread_send(struct net_thread *t, const uint8_t *frame, size_t len);
void net_thread_room(struct net_thread *t);
void net_thread_call(struct net_thread *t, void (*fn)(void *), void *ctx);

/* In the thread: the frames that were sent, oldest first, each the caller's to free; false: it is
 * time to end. Runs a call, too. */
bool net_thread_take(struct net_thread *t, struct net_frame **list);
void net_thread_woken(struct net_thread *t);
/* A frame for the card. */
void net_thread_give(struct net_thread *t, const void *frame, size_t len);
/* Is so much held that it is better not to read more? */
bool net_thread_full(const struct net_thread *t);
/* Hand over what there is room for now. Call it before waiting. */
void net_thread_flush(struct net_thread *t);

#endif
