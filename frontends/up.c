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
#include "frontends/session.h"

struct up_machine {
    struct session s;
    pthread_t thread;

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
        if (m[i].s.o.display_sdl) {
            err_set(&e, "%s: display = sdl: doppel up has no windows yet", path[i]);
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

/* Until every machine has ended. */
static void wait_all(struct up_machine *m, unsigned n, int wake_rd, const volatile int *signal)
{
    unsigned left = n;
    bool stopped = false;
    while (left) {
        char byte;
        ssize_t got = read(wake_rd, &byte, 1);
        left -= got == 1 && byte == 'd';
        if (*signal && !stopped) {
            stopped = true;
            for (unsigned i = 0; i < n; i++) {
                session_stop(&m[i].s, *signal);
            }
        }
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(m[i].thread, NULL);
    }
}

static int start_and_wait(struct up_machine *m, unsigned n, int wake_rd, int wake_wr,
                          const volatile int *signal)
{
    int worst = 0;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old); /* signals are the main thread's */
    for (unsigned i = 0; i < n; i++) {
        m[i].done_wr = wake_wr;
        if (pthread_create(&m[i].thread, NULL, run_machine, &m[i]) != 0) {
            abort();
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    wait_all(m, n, wake_rd, signal);
    for (unsigned i = 0; i < n; i++) {
        worst = m[i].s.status > worst ? m[i].s.status : worst;
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
        status = start_and_wait(m, n, wake_rd, wake_wr, signal);
    }
    for (unsigned i = 0; i < n; i++) {
        doppel_destroy(m[i].s.vm);
        options_free(&m[i].s.o);
    }
    free(m);
    return status;
}
