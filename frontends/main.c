/*
 * doppel: the command-line program.
 *
 * Signals: the first SIGINT, SIGTERM or SIGHUP ends the run in order (back ends flushed, terminal
 * restored); a second one restores the terminal and leaves at once.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "doppel.h"
#include "frontends/options.h"

enum { EXIT_SETUP = 1, EXIT_USAGE = 2 };

static struct doppel_vm *volatile the_vm; /* for the signal handler */
static volatile sig_atomic_t got_signal;
static struct termios at_start;
static bool is_tty;

static void on_signal(int sig)
{
    if (got_signal || !the_vm) {
        if (is_tty) {
            tcsetattr(STDIN_FILENO, TCSANOW, &at_start);
        }
        _exit(128 + sig);
    }
    got_signal = sig;
    doppel_interrupt(the_vm);
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    is_tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &at_start) == 0;
}

static int complain(int status, const char *msg)
{
    fprintf(stderr, "doppel: %s\n", msg);
    return status;
}

/* Run to the end, with a stop to save on the way. */
static enum doppel_stop run(struct doppel_vm *vm, const struct options *o, struct doppel_error *e,
                            bool *ok)
{
    *ok = true;
    if (o->save_state && o->save_at < o->icount_limit) {
        enum doppel_stop why = doppel_run(vm, o->save_at);
        if (why != DOPPEL_LIMIT) {
            return why;
        }
        *ok = doppel_save_file(vm, o->save_state, e);
        if (!*ok) {
            return why;
        }
    }
    enum doppel_stop why = doppel_run(vm, o->icount_limit);
    if (o->save_state && o->save_at >= o->icount_limit) {
        *ok = doppel_save_file(vm, o->save_state, e);
    }
    return why;
}

static int exit_status(struct doppel_vm *vm, const struct options *o, enum doppel_stop why)
{
    switch (why) {
    case DOPPEL_EXIT:
        return (int)(doppel_exit_code(vm) & 0xff);
    case DOPPEL_FAILED:
        return complain(EXIT_SETUP, doppel_failure(vm));
    case DOPPEL_INTERRUPT:
        return 128 + got_signal;
    case DOPPEL_DEAD:
        if (o->vm.kernel) {
            fprintf(stderr, "doppel: every CPU has halted and nothing can wake one\n");
        }
        return 0;
    default:
        return 0;
    }
}

static int run_command(int argc, char **argv, int first)
{
    struct options o;
    struct err e = {""};
    struct doppel_error de = {""};
    switch (options_parse(&o, argc, argv, first, stdout, &e)) {
    case OPTIONS_DONE:
        options_free(&o);
        return 0;
    case OPTIONS_USAGE:
        options_free(&o);
        return complain(EXIT_USAGE, e.msg);
    case OPTIONS_RUN:
        break;
    }
    catch_signals();
    struct doppel_vm *vm = doppel_create(&o.vm, &de);
    if (!vm || (o.load_state && !doppel_load_file(vm, o.load_state, &de))) {
        doppel_destroy(vm);
        options_free(&o);
        return complain(de.usage ? EXIT_USAGE : EXIT_SETUP, de.msg);
    }
    the_vm = vm;
    bool ok;
    enum doppel_stop why = run(vm, &o, &de, &ok);
    int status = ok ? exit_status(vm, &o, why) : EXIT_SETUP;
    uint64_t icount = doppel_icount(vm), vtime = doppel_vtime(vm);
    uint64_t digest = o.digest ? doppel_digest(vm) : 0;
    the_vm = NULL;
    doppel_destroy(vm); /* restores the terminal: what follows is for the user */
    if (!ok) {
        complain(status, de.msg);
    }
    if (o.digest) {
        printf("icount %" PRIu64 " vtime %" PRIu64 " digest %016" PRIx64 "\n", icount, vtime,
               digest);
    }
    options_free(&o);
    return status;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "run";
    if (strcmp(what, "--version") == 0 || strcmp(what, "-version") == 0) {
        printf("doppel %s\n", doppel_version());
        return 0;
    }
    if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0 || strcmp(what, "help") == 0) {
        options_help(stdout);
        return 0;
    }
    if (strcmp(what, "--help=markdown") == 0) {
        options_markdown(stdout);
        return 0;
    }
    if (strcmp(what, "run") != 0) {
        fprintf(stderr, "doppel: %s: no such command; want \"doppel run [IMAGE] [options]\"\n",
                what);
        return EXIT_USAGE;
    }
    return run_command(argc, argv, argc > 1 ? 2 : 1);
}
