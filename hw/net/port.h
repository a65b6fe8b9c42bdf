/*
 * The network side of a card: the cable, what is in flight on it, and the back end at its far end.
 *
 * Frames from the back end come through the gate all at once; here they wait in a buffer (a
 * switch's, or the card's own receive FIFO) and reach the card one after the other, each when its
 * last bit would have arrived at the link's speed. A card that cannot take one may hold it there,
 * or lose it as its datasheet says. When the buffer is full, later frames are lost, unless the back
 * end waits, for it is told how full the buffer is.
 *
 * A card has a struct net_queue in its state and a struct net_port beside it, calls net_port_init()
 * in init, net_port_reset() in reset, net_port_restored() in restored.
 *
 * Source: IEEE 802.3, 4.4.2 (preamble 8 bytes, gap 12, at least 60 bytes and a 4-byte FCS).
 */
#ifndef DOPPEL_HW_NET_PORT_H
#define DOPPEL_HW_NET_PORT_H

#include "core/backend_net.h"
#include "core/dev.h"

#define NET_QUEUE_BYTES 49152u /* as the 82540EM's receive FIFO by default */

/* Frames in order, each two bytes of length and that many of frame. */
#define NET_QUEUE_STATE(S, V, A, N)                                                                \
    A(S, uint8_t, bytes, NET_QUEUE_BYTES, 1)                                                       \
    V(S, uint32_t, used, 1)         /* bytes */                                                    \
    V(S, struct vtimer, arrival, 1) /* of the first frame's last bit */

ST_DECLARE(net_queue, NET_QUEUE_STATE);

struct net_port {
    struct dev *dev;
    struct net_queue *s;
    struct net *net; /* NULL: no cable */
    uint32_t mbps;   /* of the link */
    struct timer timer;
    uint32_t told; /* what net->busy counts of the queue */
    /* A frame of NET_FRAME_MIN .. NET_FRAME_MAX bytes is here. False: hold it until
     * net_port_retry(). */
    bool (*take)(void *ctx, const uint8_t *frame, uint32_t len);
    void (*lost)(void *ctx); /* one did not fit in the queue; may be NULL */
    void *ctx;               /* the card's */
};

/* At init, with dev, s, net, mbps, take, lost and ctx filled in. Adds the gate source "NAME.rx". */
void net_port_init(struct net_port *p);
void net_port_reset(struct net_port *p);
void net_port_restored(struct net_port *p);
/* The card may have room now for the frame that it held. */
void net_port_retry(struct net_port *p);
/* How long a frame of len bytes (no FCS) occupies the cable, ns. */
uint64_t net_port_time(const struct net_port *p, uint32_t len);

/* The FCS of a frame (802.3, 3.2.9), as the 32-bit value that is sent low byte first; also, with
 * the bits of the register the other way round, the hash of multicast filters: */
uint32_t net_fcs(const uint8_t *data, size_t len);
/* The upper six bits of the CRC register over the destination address (DP8390D, 10.3). */
unsigned net_hash6(const uint8_t *mac);

static inline bool net_is_broadcast(const uint8_t *mac)
{
    return (mac[0] & mac[1] & mac[2] & mac[3] & mac[4] & mac[5]) == 0xff;
}

/* A card's address from its property "mac" ("52:54:00:12:34:56"), or when that is empty from its
 * back end, or else QEMU's first. False: not an address of one station. */
bool net_mac(const char *text, const struct net *net, uint8_t mac[6], struct err *e);

#endif
