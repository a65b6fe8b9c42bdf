/*
 * Character back ends on the host: terminal, pipe, file, Unix socket, nothing.
 *
 * All of one machine form a set, which the run loop polls between slices and sleeps on while the
 * guest is idle. Input goes to the gate of the attached device, or to the monitor. Nothing here
 * influences the guest but through the gate: when a poll happens is the host's affair.
 *
 * Specifications, as QEMU spells them: stdio, mon:stdio (serial port and monitor on one terminal;
 * Ctrl-A c switches, Ctrl-A x quits, Ctrl-A Ctrl-A sends Ctrl-A), file:PATH, null, none,
 * unix:PATH[,server[=on|off]][,nowait|,wait=on|off]. A server that waits does so when it is opened.
 *
 * A terminal is put into raw mode when a device or the monitor opens it and restored by
 * chr_set_free; a frontend that may die by a signal saves and restores it as well.
 */
#ifndef DOPPEL_HOST_CHR_H
#define DOPPEL_HOST_CHR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backend.h"
#include "util/err.h"

struct chr_set;

/* What the monitor and the operator's escape keys do. Called from chr_set_poll. */
struct chr_hooks {
    void *ctx;
    void (*monitor)(void *ctx, struct chr *from, const uint8_t *data, size_t len);
    void (*quit)(void *ctx); /* Ctrl-A x */
};

enum chr_role { CHR_SERIAL, CHR_DEBUG, CHR_MONITOR };

/* NULL: host memory or descriptors are exhausted. */
struct chr_set *chr_set_new(const struct chr_hooks *hooks);
/* Closes every back end, flushes, restores the terminal. */
void chr_set_free(struct chr_set *set);

/* True and *out == NULL for "none"; false: e names what is wrong. The set owns the back end.
 * *monitor_too is set when the monitor shares it (mon:). It may be NULL. */
bool chr_set_open(struct chr_set *set, const char *spec, enum chr_role role, struct chr **out,
                  bool *monitor_too, struct err *e);

/* Move what the host has into the gate, write out what is buffered. Never blocks. */
void chr_set_poll(struct chr_set *set);
/* Can input still arrive (a terminal, an open pipe, a socket)? */
bool chr_set_live(const struct chr_set *set);
/* Sleep until there is input, chr_set_wake was called, or `ns` nanoseconds went by; returns the
 * nanoseconds that went by. Output is flushed first. */
uint64_t chr_set_wait(struct chr_set *set, uint64_t ns);
/* End a chr_set_wait, from any thread or a signal handler. */
void chr_set_wake(struct chr_set *set);

#endif
