/*
 * Network back ends: how a network card meets the host. Frames are Ethernet without the FCS.
 *
 * Output leaves the machine and cannot influence it; a received frame comes back as one post to the
 * gate source that the card attached, and is thus stamped and logged. A card that cannot take a
 * frame when it arrives drops it and counts, as hardware does.
 */
#ifndef DOPPEL_CORE_BACKEND_NET_H
#define DOPPEL_CORE_BACKEND_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gate.h"

#define NET_FRAME_MAX 16384u /* bytes; back ends drop longer ones */

/* Made in host/, owned by vm/nets.c. */
struct net {
    char name[32];  /* "net0", or what id= said; unique */
    uint8_t mac[6]; /* the card's default address, unless its mac property says otherwise */
    /* Frame from the card. Machine's thread; copies what it keeps; never blocks. */
    void (*send)(struct net *n, const uint8_t *frame, size_t len);
    void (*close)(struct net *n); /* stops its threads, frees */
    struct gate *gate;            /* set by net_attach */
    int source;                   /* gate source of the attached card; -1: none */
};

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
    if (n && n->send) {
        n->send(n, frame, len);
    }
}

/* Host side, any thread. */
static inline void net_input(struct net *n, const void *frame, size_t len)
{
    if (n->gate && n->source >= 0 && len && len <= NET_FRAME_MAX) {
        gate_post(n->gate, n->source, frame, (uint32_t)len);
    }
}

#endif
