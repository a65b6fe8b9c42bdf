/*
 * A machine from its options to its exit status: on the calling thread, or many on threads.
 */
#ifndef DOPPEL_FRONTENDS_SESSION_H
#define DOPPEL_FRONTENDS_SESSION_H

#include <pthread.h>

#include "frontends/gdb.h"
#include "frontends/options.h"

enum { EXIT_SETUP = 1, EXIT_USAGE = 2, EXIT_DIVERGED = 3 };

struct session {
    struct options o;
    const char *title;    /* in front of messages; NULL: the only machine */
    pthread_mutex_t lock; /* guards vm against being destroyed while another thread stops it */
    struct doppel_vm *vm;
    struct gdb *gdb; /* NULL: no -gdb */
    int signal;      /* that ended it */
    bool closed;     /* its window was closed */
    bool ok, played;
    struct doppel_error e;
    int status; /* for the process, when it has ended */
};

/* Make the machine. False: s->status, after a message. */
bool session_create(struct session *s);
/* Run to the end; then, on any one thread, destroy the machine and say what is to be said. */
void session_play(struct session *s);
void session_end(struct session *s);
/* From any thread: end it soon. */
void session_stop(struct session *s, int signal);

/* One line on standard error; returns status. */
int complain(const char *title, int status, const char *msg);

/* `doppel up`: a thread for each file's machine. wake_fd becomes readable at a signal, whose number
 * *signal holds. The exit status. */
int up_command(int argc, char **argv, int first, int wake_rd, int wake_wr,
               const volatile int *signal);

#endif
