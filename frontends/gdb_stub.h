/*
 * The gdb remote protocol over a machine: what a connection says, what it is told. No sockets here
 * (frontends/gdb.c), so tests and fuzzers can talk to it.
 *
 * vCPUs are threads 1, 2, ... Everything is in all-stop mode: the machine runs or it does not. It
 * never waits for the client: gdb_stub_want says what the owner of the machine is to do next.
 */
#ifndef DOPPEL_FRONTENDS_GDB_STUB_H
#define DOPPEL_FRONTENDS_GDB_STUB_H

#include "doppel.h"
#include "frontends/gdb_regs.h"

struct gdb_stub;

enum gdb_want {
    GDB_WAIT, /* the machine is paused (or was let go by the monitor) */
    GDB_RUN,
    GDB_STEP, /* doppel_step */
    GDB_REVERSE_STEP,
    GDB_REVERSE_RUN,
    GDB_KILL, /* end the machine */
};

/* send: to the client. GDB_ARCHES: what the CPU model is. */
struct gdb_stub *gdb_stub_new(struct doppel_vm *vm, enum gdb_arch arch,
                              void (*send)(void *ctx, const void *data, size_t len), void *ctx);
void gdb_stub_free(struct gdb_stub *s);

/* A client came: the machine pauses. It went: its points go, and the machine runs on. */
void gdb_stub_attach(struct gdb_stub *s);
void gdb_stub_detach(struct gdb_stub *s);
/* Bytes from the client. Between calls of doppel_run. */
void gdb_stub_feed(struct gdb_stub *s, const uint8_t *data, size_t len);
enum gdb_want gdb_stub_want(const struct gdb_stub *s, unsigned *cpu);
/* What was wanted came to this end. DOPPEL_BREAK: the machine is paused; behind a reverse step or
 * run DOPPEL_LIMIT: the beginning of history, DOPPEL_FAILED: doppel_failure says why not. Others:
 * the run has ended, and there is a past to go back to. */
void gdb_stub_stopped(struct gdb_stub *s, enum doppel_stop why);
/* Is there a client? */
bool gdb_stub_attached(const struct gdb_stub *s);
/* The machine has ended, with this status. */
void gdb_stub_ended(struct gdb_stub *s, int status);

#endif
