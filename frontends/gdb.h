/*
 * -gdb: a debugger for one machine, over a socket.
 */
#ifndef DOPPEL_FRONTENDS_GDB_H
#define DOPPEL_FRONTENDS_GDB_H

#include "doppel.h"
#include "util/err.h"

struct gdb;

/* "tcp:HOST:PORT", "unix:PATH" or "stdio", and ",arch=i8086|i386|x86-64". False: *e. */
bool gdb_check(const char *where, struct err *e);
/* Listen for a client of this machine. NULL: *e. */
struct gdb *gdb_open(const char *where, struct doppel_vm *vm, struct err *e);
/* Before the machine is destroyed. status: the process's, for a client that is there. */
void gdb_close(struct gdb *g, int status);

/* doppel_run_until, with what the client wants. ended: does DOPPEL_INTERRUPT come from a signal or
 * the like? */
enum doppel_stop gdb_run(struct gdb *g, uint64_t icount, uint64_t vtime, bool (*ended)(void *ctx),
                         void *ctx);

#endif
