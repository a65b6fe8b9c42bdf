/*
 * Packets in and out; see gdb_wire.h.
 */
#include "frontends/gdb_wire.h"

#include <assert.h>
#include <string.h>

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void gdb_wire_reset(struct gdb_wire *w)
{
    w->no_ack = false;
    w->state = WIRE_IDLE;
    w->nin = w->nout = 0;
}

static enum gdb_event idle_byte(struct gdb_wire *w, uint8_t byte)
{
    switch (byte) {
    case '$':
        w->state = WIRE_DATA;
        w->nin = 0;
        w->sum = 0;
        w->too_long = false;
        return GDB_NOTHING;
    case 3:
        return GDB_STOP;
    case '-':
        if (!w->no_ack && w->nout) {
            w->send(w->ctx, w->out, w->nout);
        }
        return GDB_NOTHING;
    default: /* + and line noise */
        return GDB_NOTHING;
    }
}

static enum gdb_event packet_end(struct gdb_wire *w, uint8_t sum)
{
    bool good = sum == w->sum && !w->too_long;
    w->state = WIRE_IDLE;
    if (!w->no_ack) {
        w->send(w->ctx, good ? "+" : "-", 1);
    }
    w->in[w->nin] = 0;
    return good ? GDB_PACKET : GDB_NOTHING;
}

enum gdb_event gdb_wire_byte(struct gdb_wire *w, uint8_t byte)
{
    switch (w->state) {
    case WIRE_IDLE:
        return idle_byte(w, byte);
    case WIRE_DATA:
        if (byte == '#') {
            w->state = WIRE_SUM1;
        } else if (byte == '$') { /* never in data: the rest of the last one was lost */
            return idle_byte(w, byte);
        } else {
            w->sum = (uint8_t)(w->sum + byte);
            w->too_long |= w->nin == GDB_PACKET_MAX;
            if (!w->too_long) {
                w->in[w->nin++] = byte;
            }
        }
        return GDB_NOTHING;
    case WIRE_SUM1:
        w->digit = byte;
        w->state = WIRE_SUM2;
        return GDB_NOTHING;
    default: {
        int high = hex_digit(w->digit), low = hex_digit(byte);
        bool ok = high >= 0 && low >= 0;
        return packet_end(w, (uint8_t)(ok ? high << 4 | low : w->sum + 1));
    }
    }
}

void gdb_wire_reply(struct gdb_wire *w, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;
    uint8_t sum = 0;
    assert(len <= GDB_PACKET_MAX);
    w->nout = 0;
    w->out[w->nout++] = '$';
    for (size_t k = 0; k < len; k++) {
        uint8_t c = from[k];
        if (c == '#' || c == '$' || c == '}' || c == '*') {
            w->out[w->nout++] = '}';
            sum = (uint8_t)(sum + '}');
            c ^= 0x20;
        }
        w->out[w->nout++] = c;
        sum = (uint8_t)(sum + c);
    }
    w->out[w->nout++] = '#';
    w->out[w->nout++] = (uint8_t)digits[sum >> 4];
    w->out[w->nout++] = (uint8_t)digits[sum & 15];
    w->send(w->ctx, w->out, w->nout);
}
