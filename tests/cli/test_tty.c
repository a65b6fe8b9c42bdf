/*
 * doppel on a terminal: raw while it runs, and as it was before afterwards, however it ends: the
 * escape key, a signal, a closed terminal. Each case runs the program on a fresh pseudo-terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/t.h"

enum { WAIT_MS = 20000 };

struct session {
    int master, slave; /* the slave stays open here, so that its settings can be looked at */
    pid_t pid;
    struct termios before;
    char text[65536];
    size_t len;
};

static bool start(struct session *s, const char *const *args)
{
    static const char *argv[16];
    unsigned n = 0;
    *s = (struct session){.master = posix_openpt(O_RDWR | O_NOCTTY)};
    if (s->master < 0 || grantpt(s->master) || unlockpt(s->master)) {
        SKIP("no pseudo-terminals here");
        return false;
    }
    s->slave = open(ptsname(s->master), O_RDWR | O_NOCTTY);
    tcgetattr(s->slave, &s->before);
    argv[n++] = strdup(t_build_path("doppel"));
    argv[n++] = "run";
    while (*args) {
        argv[n++] = *args++;
    }
    argv[n] = NULL;
    s->pid = fork();
    if (s->pid == 0) {
        setsid();
        ioctl(s->slave, TIOCSCTTY, 0);
        dup2(s->slave, 0);
        dup2(s->slave, 1);
        dup2(s->slave, 2);
        close(s->slave);
        close(s->master);
        execv(argv[0], (char *const *)(void *)argv);
        _exit(126);
    }
    return true;
}

/* Read until `word` was seen. */
static bool wait_for(struct session *s, const char *word)
{
    for (;;) {
        s->text[s->len] = 0;
        if (strstr(s->text, word)) {
            return true;
        }
        struct pollfd p = {s->master, POLLIN, 0};
        if (poll(&p, 1, WAIT_MS) <= 0 || s->len + 1 >= sizeof s->text) {
            return false;
        }
        ssize_t n = read(s->master, s->text + s->len, sizeof s->text - 1 - s->len);
        if (n <= 0) {
            return false;
        }
        s->len += (size_t)n;
    }
}

static bool is_raw(const struct session *s)
{
    struct termios t;
    return tcgetattr(s->slave, &t) == 0 && !(t.c_lflag & (ICANON | ECHO | ISIG));
}

/* The exit status in the shell's form, or -1 if the program does not end. */
static int end(struct session *s)
{
    int status;
    for (int i = 0; i < WAIT_MS / 10; i++) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    kill(s->pid, SIGKILL);
    waitpid(s->pid, &status, 0);
    return -1;
}

static void expect_restored(struct session *s)
{
    struct termios t;
    if (EXPECT_EQ(tcgetattr(s->slave, &t), 0)) {
        EXPECT_EQ(t.c_lflag, s->before.c_lflag);
        EXPECT_EQ(t.c_iflag, s->before.c_iflag);
        EXPECT_EQ(t.c_oflag, s->before.c_oflag);
        EXPECT_EQ(t.c_cflag, s->before.c_cflag);
    }
    close(s->slave);
    close(s->master);
}

static void type(struct session *s, const char *keys)
{
    EXPECT_EQ(write(s->master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* Paused in the monitor's company: it runs until told otherwise. */
static bool start_paused(struct session *s)
{
    static const char *const args[] = {"-S", "-serial", "mon:stdio", NULL};
    if (!start(s, args)) {
        return false;
    }
    for (int i = 0; i < WAIT_MS / 10 && !is_raw(s); i++) {
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return EXPECT(is_raw(s));
}

TEST(escape_x_quits)
{
    struct session s;
    if (start_paused(&s)) {
        type(&s, "\001x");
        EXPECT_EQ(end(&s), 0);
        expect_restored(&s);
    }
}

TEST(escape_c_is_the_monitor)
{
    struct session s;
    if (start_paused(&s)) {
        type(&s, "\001cinfo cpus\r");
        EXPECT(wait_for(&s, "CPU#0: running"));
        type(&s, "quit\r");
        EXPECT_EQ(end(&s), 0);
        expect_restored(&s);
    }
}

TEST(monitor_lets_it_run)
{
    struct session s;
    if (start_paused(&s)) {
        type(&s, "\001c");
        EXPECT(wait_for(&s, "(doppel)"));
        type(&s, "cont\r");
        EXPECT(wait_for(&s, "This build works"));
        EXPECT_EQ(end(&s), 0);
        expect_restored(&s);
    }
}

TEST(control_c_goes_to_the_guest)
{
    struct session s;
    if (start_paused(&s)) {
        type(&s, "\003\003");
        nanosleep(&(struct timespec){0, 200000000}, NULL);
        EXPECT_EQ(waitpid(s.pid, NULL, WNOHANG), 0);
        type(&s, "\001x");
        EXPECT_EQ(end(&s), 0);
        expect_restored(&s);
    }
}

static void ends_by(int sig)
{
    struct session s;
    if (start_paused(&s)) {
        kill(s.pid, sig);
        EXPECT_EQ(end(&s), 128 + sig);
        expect_restored(&s);
    }
}

TEST(sigterm_restores)
{
    ends_by(SIGTERM);
}

TEST(sigint_restores)
{
    ends_by(SIGINT);
}

TEST(sighup_restores)
{
    ends_by(SIGHUP);
}

/* The terminal goes away: the program ends, by SIGHUP. */
TEST(closed_terminal_ends_it)
{
    struct session s;
    if (start_paused(&s)) {
        close(s.slave);
        close(s.master);
        EXPECT_EQ(end(&s), 128 + SIGHUP);
    }
}
