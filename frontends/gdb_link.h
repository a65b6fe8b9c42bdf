/*
 * A listening socket (or the standard streams) and one client at a time.
 *
 * A thread waits for something to read and says so once (`wake`); the owner takes what came
 * whenever it likes. Everything but `wake` happens on the owner's thread.
 */
#ifndef DOPPEL_FRONTENDS_GDB_LINK_H
#define DOPPEL_FRONTENDS_GDB_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

struct gdb_link;

/* "tcp:HOST:PORT", "tcp::PORT" (the loopback addresses alone), "unix:PATH", "stdio". Listens at
 * once. wake: from the thread. NULL: *e. */
struct gdb_link *gdb_link_open(const char *where, void (*wake)(void *ctx), void *ctx,
                               struct err *e);
void gdb_link_close(struct gdb_link *l);

enum gdb_link_event { LINK_IDLE, LINK_NEW, LINK_DATA, LINK_GONE };
/* What came; LINK_DATA: *n bytes (at most cap). Call until LINK_IDLE. */
enum gdb_link_event gdb_link_take(struct gdb_link *l, void *buf, size_t cap, size_t *n);
/* Is there something to take? */
bool gdb_link_news(struct gdb_link *l);
/* All of it, or the client is given up. */
void gdb_link_send(struct gdb_link *l, const void *data, size_t len);
/* The client is to go; the next may come. */
void gdb_link_drop(struct gdb_link *l);

#endif
