/*
 * The set of character back ends: opening, polling, waiting, output buffers, and the escape keys of
 * a terminal that a serial port and the monitor share.
 *
 * Output is buffered and written at a newline, at each poll and before each wait, so that a guest
 * that prints byte by byte costs no system call for each. A write that fails (closed terminal,
 * full disk) loses that output; input of the same back end goes on.
 */
#include "host/chr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/chr_priv.h"

#define CTRL_A       1
#define SEND_TIMEOUT 1000 /* ms that a peer may take before it is dropped */

/* --- Output --- */

static void drop_peer(struct host_chr *h)
{
    if (h->own_fds && h->in >= 0) {
        close(h->in);
    }
    if (h->own_fds && h->out >= 0 && h->out != h->in) {
        close(h->out);
    }
    h->in = h->out = -1;
    h->nheld = 0;
}

static void flush(struct host_chr *h)
{
    size_t at = 0;
    while (at < h->len && h->out >= 0) {
        /* A socket whose peer is gone must not raise SIGPIPE in an embedder's process. */
        ssize_t n = h->sock ? send(h->out, h->buf + at, h->len - at, MSG_NOSIGNAL)
                            : write(h->out, h->buf + at, h->len - at);
        if (n > 0) {
            at += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {h->out, POLLOUT, 0};
            if (poll(&p, 1, SEND_TIMEOUT) <= 0) {
                break;
            }
        } else if (n == 0 || errno != EINTR) {
            if (h->sock) {
                drop_peer(h);
            }
            break;
        }
    }
    h->len = 0;
}

static void host_write(struct chr *c, const uint8_t *data, size_t len)
{
    struct host_chr *h = (struct host_chr *)c;
    for (size_t i = 0; i < len; i++) {
        h->buf[h->len++] = data[i];
        if (h->len == CHR_BUF || data[i] == '\n') {
            flush(h);
        }
    }
}

/* --- Input --- */

static void to_monitor(struct host_chr *h, const uint8_t *data, size_t len)
{
    if (h->set->hooks.monitor && len) {
        h->set->hooks.monitor(h->set->hooks.ctx, &h->chr, data, len);
    }
}

static void mux_help(struct host_chr *h)
{
    static const char text[] = "\nCtrl-A x  quit\nCtrl-A c  switch between serial port and monitor"
                               "\nCtrl-A Ctrl-A  send Ctrl-A\n";
    host_write(&h->chr, (const uint8_t *)text, sizeof text - 1);
}

/* One byte from a shared terminal. False: it was for us. */
static bool mux_filter(struct host_chr *h, uint8_t b)
{
    if (!h->mux) {
        return true;
    }
    if (!h->escaped) {
        h->escaped = b == CTRL_A;
        return !h->escaped;
    }
    h->escaped = false;
    switch (b) {
    case 'x':
        if (h->set->hooks.quit) {
            h->set->hooks.quit(h->set->hooks.ctx);
        }
        return false;
    case 'c':
        h->to_mon = !h->to_mon;
        if (h->to_mon) {
            static const char hello[] = "\ndoppel monitor; \"help\" lists commands, Ctrl-A c goes "
                                        "back\n";
            host_write(&h->chr, (const uint8_t *)hello, sizeof hello - 1);
            to_monitor(h, (const uint8_t *)"\n", 1);
        }
        return false;
    case CTRL_A:
        return true;
    default:
        mux_help(h);
        return false;
    }
}

/* Bytes from the host. Escape keys and the monitor's share are dealt with now, so that they work
 * when the guest reads nothing; the rest waits for the device. A terminal can be typed ahead by
 * sizeof held bytes; what is typed beyond is lost, as on hardware. */
static void take_input(struct host_chr *h, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!mux_filter(h, data[i])) {
            continue;
        }
        if (h->to_mon) {
            to_monitor(h, &data[i], 1);
        } else if (h->nheld < sizeof h->held) {
            h->held[h->nheld++] = data[i];
        }
    }
}

/* Posts what the device has room for. Each poll is followed by a delivery before the next. */
static void feed_held(struct host_chr *h)
{
    if (h->chr.source < 0) {
        h->nheld = 0; /* nobody listens */
    }
    size_t room = chr_room(&h->chr), n = h->nheld < room ? h->nheld : room;
    if (n) {
        chr_input(&h->chr, h->held, n);
        memmove(h->held, h->held + n, h->nheld - n);
        h->nheld -= n;
    }
}

static bool readable(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Bytes to read at once. Keys are read always, as escape keys may be among them; a pipe or a peer
 * no faster than the guest takes it. */
static size_t to_read(const struct host_chr *h)
{
    size_t free = sizeof h->held - h->nheld;
    return h->tty ? sizeof h->held : h->mux ? free : h->nheld ? 0 : sizeof h->held;
}

static void read_input(struct host_chr *h)
{
    uint8_t data[sizeof h->held];
    ssize_t n = read(h->in, data, to_read(h));
    if (n > 0) {
        take_input(h, data, (size_t)n);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        if (h->own_fds) {
            drop_peer(h);
        } else {
            h->in = -1; /* end of standard input; output goes on */
        }
    }
}

static void poll_one(struct host_chr *h)
{
    flush(h);
    if (h->listener >= 0 && h->in < 0) {
        chr_unix_accept(h);
    }
    if (to_read(h) && readable(h->in)) {
        read_input(h);
    }
    feed_held(h);
}

void chr_set_poll(struct chr_set *set)
{
    uint8_t junk[64];
    while (readable(set->wake_rd) && read(set->wake_rd, junk, sizeof junk) == sizeof junk) {
    }
    for (unsigned i = 0; i < set->n; i++) {
        poll_one(set->c[i]);
    }
}

bool chr_set_live(const struct chr_set *set)
{
    for (unsigned i = 0; i < set->n; i++) {
        const struct host_chr *h = set->c[i];
        if (h->in >= 0 || h->listener >= 0 || h->nheld) {
            return true;
        }
    }
    return false;
}

/* --- Waiting --- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t chr_set_wait(struct chr_set *set, uint64_t ns)
{
    struct pollfd p[CHR_MAX + 1];
    nfds_t n = 0;
    p[n++] = (struct pollfd){set->wake_rd, POLLIN, 0};
    uint64_t start = now_ns();
    for (unsigned i = 0; i < set->n; i++) {
        struct host_chr *h = set->c[i];
        flush(h);
        if (h->nheld) {
            /* Waits for the device, which changes only as the guest runs: do not oversleep. */
            ns = ns < 1000000 ? ns : 1000000;
            continue;
        }
        int fd = h->in >= 0 ? h->in : h->listener;
        if (fd >= 0) {
            p[n++] = (struct pollfd){fd, POLLIN, 0};
        }
    }
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    ppoll(p, n, &t, NULL);
    return now_ns() - start;
}

void chr_set_wake(struct chr_set *set)
{
    int keep = errno;
    ssize_t n = write(set->wake_wr, "", 1);
    (void)n; /* a full pipe wakes as well */
    errno = keep;
}

/* --- Opening --- */

struct chr_set *chr_set_new(const struct chr_hooks *hooks)
{
    struct chr_set *set = calloc(1, sizeof *set);
    int fds[2];
    if (!set || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        free(set);
        return NULL;
    }
    set->hooks = *hooks;
    set->wake_rd = fds[0];
    set->wake_wr = fds[1];
    return set;
}

static void host_close(struct host_chr *h)
{
    flush(h);
    chr_tty_restore(h);
    drop_peer(h);
    chr_unix_close(h);
    free(h);
}

void chr_set_free(struct chr_set *set)
{
    if (!set) {
        return;
    }
    for (unsigned i = 0; i < set->n; i++) {
        host_close(set->c[i]);
    }
    close(set->wake_rd);
    close(set->wake_wr);
    free(set);
}

static bool open_stdio(struct host_chr *h, enum chr_role role, struct err *e)
{
    h->is_stdio = true;
    h->out = STDOUT_FILENO;
    if (role == CHR_DEBUG) {
        return true; /* writes only; may share the terminal with anything */
    }
    if (h->set->stdio_in) {
        return err_usage(e,
                         "stdio: standard input is in use already; mon:stdio shares it between a "
                         "serial port and the monitor");
    }
    h->set->stdio_in = true;
    h->in = STDIN_FILENO;
    chr_tty_raw(h);
    return true;
}

static bool open_file(struct host_chr *h, const char *path, struct err *e)
{
    if (!*path) {
        return err_usage(e, "file: want file:PATH");
    }
    h->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (h->out < 0) {
        return err_set(e, "file:%s: %s", path, strerror(errno));
    }
    h->own_fds = true;
    return true;
}

static bool open_spec(struct host_chr *h, const char *spec, enum chr_role role, struct err *e)
{
    if (strcmp(spec, "null") == 0) {
        return true;
    }
    if (strcmp(spec, "stdio") == 0) {
        /* Ctrl-C goes to the guest, so there must be another way out. */
        h->mux = role == CHR_SERIAL;
        return open_stdio(h, role, e);
    }
    if (strcmp(spec, "mon:stdio") == 0 && role == CHR_SERIAL) {
        h->mux = true;
        return open_stdio(h, role, e);
    }
    if (strncmp(spec, "file:", 5) == 0) {
        return open_file(h, spec + 5, e);
    }
    if (strncmp(spec, "unix:", 5) == 0) {
        return chr_unix_open(h, spec + 5, e);
    }
    return err_usage(e,
                     "\"%s\" is no character back end; want stdio%s, file:PATH, "
                     "unix:PATH,server,nowait, null or none",
                     spec, role == CHR_SERIAL ? ", mon:stdio" : "");
}

bool chr_set_open(struct chr_set *set, const char *spec, enum chr_role role, struct chr **out,
                  bool *monitor_too, struct err *e)
{
    *out = NULL;
    if (strcmp(spec, "none") == 0) {
        return true;
    }
    struct host_chr *h = set->n < CHR_MAX ? calloc(1, sizeof *h) : NULL;
    if (!h) {
        return err_set(e, "%s: too many character back ends (at most %u)", spec, CHR_MAX);
    }
    h->set = set;
    h->in = h->out = h->listener = -1;
    h->chr = (struct chr){.write = host_write, .source = -1};
    if (!open_spec(h, spec, role, e)) {
        host_close(h);
        return false;
    }
    h->to_mon = role == CHR_MONITOR;
    if (monitor_too) {
        *monitor_too = strncmp(spec, "mon:", 4) == 0;
    }
    set->c[set->n++] = h;
    *out = &h->chr;
    return true;
}
