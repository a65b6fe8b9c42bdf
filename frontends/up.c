/*
 * `doppel up a.ini b.ini ...`: machines side by side in one process, a thread each.
 *
 * All are made before any runs, so that a mistake in one file starts nothing. Then each goes its
 * own way: one that ends leaves the others alone. The process ends with the last one, with the
 * worst (largest) exit status. A signal ends all of them in order.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/machine_ini.h"
#include "frontends/sdl.h"
#include "frontends/session.h"

struct up_machine {
    struct session s;
    pthread_t thread; /* not of one with a window */
    int done_wr;
};

static void *run_machine(void *ctx)
{
    struct up_machine *m = ctx;
    session_play(&m->s);
    session_end(&m->s);
    ssize_t n = write(m->done_wr, "d", 1);
    (void)n;
    return NULL;
}

static bool on_terminal(const char *backend)
{
    return backend && (strcmp(backend, "stdio") == 0 || strcmp(backend, "mon:stdio") == 0);
}

static bool wants_terminal(const struct options *o)
{
    bool wants = on_terminal(o->vm.monitor);
    for (unsigned i = 0; i < DOPPEL_MAX_SERIAL; i++) {
        wants |= on_terminal(o->vm.serial[i]);
    }
    return wants;
}

/* Options of every file; 0, or the exit status after a message. */
static int read_files(struct up_machine *m, unsigned n, char **path)
{
    struct err e = {""};
    const char *owner = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (!config_read(&m[i].s.o, path[i], &e)) {
            return complain(NULL, EXIT_USAGE, e.msg);
        }
        m[i].s.title = m[i].s.o.vm.name;
        if (wants_terminal(&m[i].s.o) && owner) {
            err_set(&e, "%s and %s both want the terminal (stdio): one machine can have it", owner,
                    path[i]);
            return complain(NULL, EXIT_USAGE, e.msg);
        }
        owner = wants_terminal(&m[i].s.o) ? path[i] : owner;
    }
    return 0;
}

struct up {
    struct up_machine *m;
    unsigned n;
    int wake_rd, wake_wr;
    const volatile int *signal;
    struct sdl *windows; /* NULL: no machine has one */
};

/* Until every machine has ended. */
static void *wait_all(void *ctx)
{
    struct up *u = ctx;
    unsigned left = u->n;
    bool stopped = false;
    while (left) {
        char byte;
        ssize_t got = read(u->wake_rd, &byte, 1);
        left -= got == 1 && byte == 'd';
        if (*u->signal && !stopped) {
            stopped = true;
            for (unsigned i = 0; i < u->n; i++) {
                session_stop(&u->m[i].s, *u->signal);
            }
        }
    }
    return NULL;
}

static void window_ended(void *ctx)
{
    struct up *u = ctx;
    ssize_t n = write(u->wake_wr, "d", 1);
    (void)n;
}

static bool open_windows(struct up *u)
{
    struct session **s = calloc(u->n, sizeof(struct session *));
    unsigned n = 0;
    if (!s) {
        abort();
    }
    for (unsigned i = 0; i < u->n; i++) {
        if (u->m[i].s.o.display_sdl) {
            s[n++] = &u->m[i].s;
        }
    }
    u->windows = n ? sdl_open(s, n) : NULL;
    free(s);
    return !n || u->windows;
}

static void start_thread(pthread_t *thread, void *(*fn)(void *), void *ctx)
{
    if (pthread_create(thread, NULL, fn, ctx) != 0) {
        abort();
    }
}

static int start_and_wait(struct up *u)
{
    int worst = 0;
    pthread_t waiter;
    sigset_t all, old;
    if (!open_windows(u)) {
        return EXIT_SETUP;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old); /* signals are the main thread's */
    for (unsigned i = 0; i < u->n; i++) {
        u->m[i].done_wr = u->wake_wr;
        if (!u->m[i].s.o.display_sdl) {
            start_thread(&u->m[i].thread, run_machine, &u->m[i]);
        }
    }
    if (u->windows) {
        start_thread(&waiter, wait_all, u);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (u->windows) {
        sdl_play(u->windows, window_ended, u);
        pthread_join(waiter, NULL);
    } else {
        wait_all(u);
    }
    for (unsigned i = 0; i < u->n; i++) {
        struct up_machine *m = &u->m[i];
        if (!m->s.o.display_sdl) {
            pthread_join(m->thread, NULL);
        }
        worst = m->s.status > worst ? m->s.status : worst;
    }
    return worst;
}

int up_command(int argc, char **argv, int first, int wake_rd, int wake_wr,
               const volatile int *signal)
{
    unsigned n = (unsigned)(argc - first), made = 0;
    if (argc <= first) {
        return complain(NULL, EXIT_USAGE, "up: want INI files, as -write-config writes them");
    }
    struct up_machine *m = calloc(n, sizeof *m);
    if (!m) {
        abort();
    }
    int status = read_files(m, n, argv + first);
    while (!status && made < n) {
        if (session_create(&m[made].s)) {
            made++;
        } else {
            status = m[made].s.status;
        }
    }
    if (!status) {
        struct up u = {m, n, wake_rd, wake_wr, signal, NULL};
        status = start_and_wait(&u);
    }
    for (unsigned i = 0; i < n; i++) {
        doppel_destroy(m[i].s.vm);
        options_free(&m[i].s.o);
    }
    free(m);
    return status;
}
