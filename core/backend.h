/*
 * Back ends: how a device meets the host. Output leaves the machine and cannot influence it;
 * input comes back through the gate only.
 */
#ifndef DOPPEL_CORE_BACKEND_H
#define DOPPEL_CORE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gate.h"

/* A character back end (serial port, debug console). Made in host/, owned by the machine.
 * Device side: chr_write from the machine's thread. Host side: whoever reads input posts it to the
 * gate source that the device attached. */
struct chr {
    /* Write len bytes; blocking or buffering is the back end's affair, never the guest's. */
    void (*write)(struct chr *c, const uint8_t *data, size_t len);
    /* Called by the run loop between slices on the machine's thread: move host input into the
     * gate with chr_input(). May be NULL. */
    void (*poll)(struct chr *c);
    void (*close)(struct chr *c); /* flushes and frees */
    struct gate *gate;            /* set by chr_attach */
    int source;                   /* gate source of the attached device; -1: none */
    /* Bytes that the device can still take; asked before posting. NULL: any number. */
    size_t (*room)(void *dev);
    void *room_ctx;
    bool muted; /* what is written is thrown away: it was written before (vm/history.c) */
};

/* Device side, at init: input of `c` is delivered to gate source `source`. c may be NULL. */
static inline void chr_attach(struct chr *c, struct gate *g, int source, size_t (*room)(void *),
                              void *ctx)
{
    if (c) {
        c->gate = g;
        c->source = source;
        c->room = room;
        c->room_ctx = ctx;
    }
}

static inline void chr_write(struct chr *c, const void *data, size_t len)
{
    if (c && c->write && !c->muted) {
        c->write(c, data, len);
    }
}

/* Host side: bytes that may be posted now, and posting them. A replay takes none: what comes waits
 * until the machine is live, if it ever is. */
static inline size_t chr_room(struct chr *c)
{
    if (!c->gate || c->source < 0 || c->gate->feed) {
        return 0;
    }
    return c->room ? c->room(c->room_ctx) : GATE_PAYLOAD_MAX;
}

static inline void chr_input(struct chr *c, const void *data, size_t len)
{
    if (c->gate && c->source >= 0 && len) {
        gate_post(c->gate, c->source, data, (uint32_t)len);
    }
}

#endif
