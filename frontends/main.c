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
#include "frontends/image.h"
#include "frontends/machine_ini.h"
#include "frontends/replay.h"
#include "frontends/sdl.h"
#include "frontends/session.h"

static struct session *volatile the_session; /* for the signal handler */
static int wake_wr = -1;
static volatile sig_atomic_t got_signal;
static struct termios at_start;
static bool is_tty;

static void on_signal(int sig)
{
    if (got_signal || (!the_session && wake_wr < 0)) {
        if (is_tty) {
            tcsetattr(STDIN_FILENO, TCSANOW, &at_start);
        }
        _exit(128 + sig);
    }
    got_signal = sig;
    if (wake_wr >= 0) {
        ssize_t n = write(wake_wr, "s", 1);
        (void)n;
        return;
    }
    /* The session's own thread: the machine is destroyed only after this is cleared by it. */
    struct doppel_vm *vm = the_session->vm;
    the_session->signal = sig;
    if (vm) {
        doppel_interrupt(vm);
    }
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit fails, as on a full disk */
    is_tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &at_start) == 0;
}

static int run_command(int argc, char **argv, int first, bool replay)
{
    struct session s = {.title = NULL};
    struct err e = {""};
    switch ((replay ? replay_parse : options_parse)(&s.o, argc, argv, first, stdout, &e)) {
    case OPTIONS_DONE:
        options_free(&s.o);
        return 0;
    case OPTIONS_USAGE:
        options_free(&s.o);
        return complain(NULL, s.o.failed_setup ? EXIT_SETUP : EXIT_USAGE, e.msg);
    case OPTIONS_RUN:
        break;
    }
    if (s.o.write_config) {
        bool ok = config_write(&s.o, s.o.write_config, &e);
        options_free(&s.o);
        return ok ? 0 : complain(NULL, EXIT_SETUP, e.msg);
    }
    catch_signals();
    if (session_create(&s)) {
        the_session = &s;
        if (s.o.display_sdl) {
            sdl_run(&s);
        } else {
            session_play(&s);
            session_end(&s);
        }
    }
    the_session = NULL;
    options_free(&s.o);
    return s.status;
}

/* Machines run on threads of their own: a signal wakes the main thread, which stops them. */
static int run_up(int argc, char **argv)
{
    int fds[2];
    if (pipe(fds) != 0) {
        return complain(NULL, EXIT_SETUP, "no file descriptors");
    }
    wake_wr = fds[1];
    catch_signals();
    return up_command(argc, argv, 2, fds[0], fds[1], &got_signal);
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
    if (strcmp(what, "--help=monitor") == 0) {
        options_monitor_markdown(stdout);
        return 0;
    }
    if (strcmp(what, "up") == 0) {
        return run_up(argc, argv);
    }
    if (strcmp(what, "replay") == 0) {
        return run_command(argc, argv, 2, true);
    }
    if (strcmp(what, "image") == 0) {
        signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit fails, as on a full disk */
        return image_command(argc, argv, 2);
    }
    if (strcmp(what, "run") != 0) {
        fprintf(stderr,
                "doppel: %s: no such command; want \"doppel run [IMAGE] [options]\", replay, up "
                "or image\n",
                what);
        return EXIT_USAGE;
    }
    return run_command(argc, argv, argc > 1 ? 2 : 1, false);
}
