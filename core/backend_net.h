/*
 * Network back ends: how a network card meets the host. Frames are Ethernet without the FCS.
 *
 * Output leaves the machine and cannot influence it; a received frame comes back as one post to the
 * gate source that the card attached, and is thus stamped and logged. How much of the card's queue
 * is spoken for is told to the back end, which holds what does not fit on the host's side: a window
 * of TCP then waits instead of being lost. A card that is sent more drops it, as hardware does.
 */
#ifndef DOPPEL_CORE_BACKEND_NET_H
#define DOPPEL_CORE_BACKEND_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gate.h"
#include "util/err.h"

#define NET_FRAME_MAX 16384u /* bytes; back ends drop longer ones */
#define NET_FRAME_MIN 60u    /* bytes without FCS; shorter ones are padded with zeros */

/* Made in host/, owned by vm/nets.c. */
struct net {
    char name[32];    /* "net0", or what id= said; unique */
    const char *type; /* "user" */
    uint8_t mac[6];   /* the card's default address, unless its mac property says otherwise */
    /* Frame from the card. Machine's thread; copies what it keeps; never blocks. */
    void (*send)(struct net *n, const uint8_t *frame, size_t len);
    void (*close)(struct net *n); /* stops its threads, frees */
    /* After a card was attached: frames begin to pass. NULL: they do anyway. */
    bool (*start)(struct net *n, struct err *e);
    /* Frames left the card's queue. Machine's thread; never blocks. May be NULL. */
    void (*room)(struct net *n);
    /* What it is connected to, for `info network`, a line each, indented. May be NULL. */
    void (*info)(struct net *n, char *text, size_t size);
    /* Add or remove a forwarded port, as hostfwd= says it. NULL: there are none. */
    bool (*forward)(struct net *n, const char *spec, bool add, struct err *e);
    struct gate *gate;     /* set by net_attach */
    int source;            /* gate source of the attached card; -1: none */
    uint32_t capacity;     /* of the card's queue, as net_cost counts; 0: never mind */
    _Atomic uint32_t busy; /* of that: posted and not yet taken by the card */
    /* The cable is out, on the host's side only: what the card sends was sent before, and what it
     * gets comes from a log (vm/history.c). */
    atomic_bool muted;
};

/* What a frame takes of a card's queue. */
static inline uint32_t net_cost(size_t len)
{
    return (uint32_t)(len < NET_FRAME_MIN ? NET_FRAME_MIN : len) + 2;
}

/* Device side, at init: received frames are delivered to gate source `source`. n may be NULL (a
 * cable that is not plugged in). */
static inline void net_attach(struct net *n, struct gate *g, int source)
{
    if (n) {
        n->gate = g;
        n->source = source;
    }
}

static inline void net_send(struct net *n, const void *frame, size_t len)
{
    if (n && n->send && !atomic_load(&n->muted)) {
        n->send(n, frame, len);
    }
}

/* Device side: the card's queue holds so much less, or more (after a load). */
static inline void net_taken(struct net *n, uint32_t cost)
{
    if (n && cost && !atomic_load(&n->muted)) {
        uint32_t old = atomic_load(&n->busy);
        while (!atomic_compare_exchange_weak(&n->busy, &old, old > cost ? old - cost : 0)) {
        }
        if (n->room) {
            n->room(n);
        }
    }
}

static inline void net_loaded(struct net *n, uint32_t cost)
{
    if (n && !atomic_load(&n->muted)) {
        atomic_fetch_add(&n->busy, cost);
    }
}

/* Host side, any thread (one at a time): would the card's queue take it? */
static inline bool net_fits(struct net *n, size_t len)
{
    return !n->capacity || atomic_load(&n->busy) + net_cost(len) <= n->capacity;
}

/* Host side, any thread. */
static inline void net_input(struct net *n, const void *frame, size_t len)
{
    if (n->gate && n->source >= 0 && len && len <= NET_FRAME_MAX && !atomic_load(&n->muted)) {
        atomic_fetch_add(&n->busy, net_cost(len));
        gate_post(n->gate, n->source, frame, (uint32_t)len);
    }
}

#endif
