/*
 * A cable to another emulator: frames over a TCP connection, or to a multicast group.
 *
 * Options, as QEMU spells them: one of listen=[ADDR]:PORT, connect=ADDR:PORT, mcast=ADDR:PORT (with
 * localaddr=ADDR). On a stream each frame follows its length, 32 bits big-endian; in a group each
 * datagram is a frame. An address that is left out is 127.0.0.1. A listener has one peer at a time.
 */
#ifndef DOPPEL_HOST_NET_SOCKET_H
#define DOPPEL_HOST_NET_SOCKET_H

#include "core/backend_net.h"
#include "util/err.h"

/* NULL: e says what is wrong. */
struct net *net_socket_open(const char *options, struct err *e);

#endif
