/*
 * Packets of the gdb remote protocol (gdb manual, E.1 "Overview"): $data#sum, acknowledged by + and
 * - unless both sides agreed to do without; a lone byte 3 means "stop".
 *
 * Whatever comes in, no more than GDB_PACKET_MAX bytes are kept.
 */
#ifndef DOPPEL_FRONTENDS_GDB_WIRE_H
#define DOPPEL_FRONTENDS_GDB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GDB_PACKET_MAX 0x4000u /* bytes between $ and #; what qSupported says */

struct gdb_wire {
    void (*send)(void *ctx, const void *data, size_t len);
    void *ctx;
    bool no_ack;
    enum { WIRE_IDLE, WIRE_DATA, WIRE_SUM1, WIRE_SUM2 } state;
    bool too_long;
    uint8_t sum, digit;
    uint8_t in[GDB_PACKET_MAX + 1]; /* the packet, with a 0 behind it */
    size_t nin;
    uint8_t out[2 * GDB_PACKET_MAX + 8]; /* the last reply, for a client that says - */
    size_t nout;
};

enum gdb_event { GDB_NOTHING, GDB_PACKET, GDB_STOP };

/* A new connection. */
void gdb_wire_reset(struct gdb_wire *w);
/* A byte came. GDB_PACKET: w->in has one. */
enum gdb_event gdb_wire_byte(struct gdb_wire *w, uint8_t byte);
/* Send a packet; bytes that need it are escaped. len <= GDB_PACKET_MAX. */
void gdb_wire_reply(struct gdb_wire *w, const void *data, size_t len);

#endif
