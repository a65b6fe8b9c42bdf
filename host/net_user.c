/*
 * libslirp in a thread of its own; see net_user.h.
 *
 * The thread owns the Slirp from start to close. The machine's thread only appends to a bounded
 * queue of frames and writes a byte to a pipe; a full queue drops, as a cable with nobody behind
 * it. What comes back goes to the gate. Host time is read here and nowhere in the machine.
 *
 * libslirp keeps the current time and the host's DNS server in variables of its own that all its
 * instances share; all instances write the same values there.
 */
#include "host/net_user.h"

#include "config.h"

#if HAVE_SLIRP

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 512, MAX_QUEUED = 1 << 20, MAX_TIMERS = 4 };

struct frame {
    struct frame *next;
    size_t len;
    uint8_t data[];
};

struct user_timer {
    SlirpTimerCb cb;
    void *ctx;
    int64_t at; /* ms; -1: not set */
};

struct net_user {
    struct net net; /* first */
    Slirp *slirp;
    SlirpConfig cfg;
    char hostname[64], tftp[1024], bootfile[256];
    pthread_t thread;
    bool started;
    int wake_rd, wake_wr;
    pthread_mutex_t lock; /* guards the four below */
    struct frame *head, **tail;
    size_t queued; /* bytes */
    bool stop;
    struct pollfd fds[MAX_FDS];
    unsigned nfds;
    struct user_timer timers[MAX_TIMERS];
    unsigned ntimers;
};

/* --- What libslirp asks for --- */

static ssize_t to_guest(const void *buf, size_t len, void *opaque)
{
    struct net_user *u = opaque;
    net_input(&u->net, buf, len);
    return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
    (void)msg; /* a guest's malformed packet is its own affair */
    (void)opaque;
}

static int64_t clock_ns(void *opaque)
{
    struct timespec t;
    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    struct net_user *u = opaque;
    if (u->ntimers == MAX_TIMERS) {
        abort(); /* libslirp has one */
    }
    struct user_timer *t = &u->timers[u->ntimers++];
    *t = (struct user_timer){cb, cb_opaque, -1};
    return t;
}

static void user_timer_free(void *timer, void *opaque)
{
    struct user_timer *t = timer;
    (void)opaque;
    t->at = -1;
}

static void user_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    struct user_timer *t = timer;
    (void)opaque;
    t->at = expire_ms;
}

static void poll_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void wake(void *opaque)
{
    struct net_user *u = opaque;
    uint8_t b = 0;
    ssize_t n = write(u->wake_wr, &b, 1); /* a full pipe wakes just as well */
    (void)n;
}

static const SlirpCb callbacks = {
    .send_packet = to_guest,
    .guest_error = guest_error,
    .clock_get_ns = clock_ns,
    .timer_new = timer_new,
    .timer_free = user_timer_free,
    .timer_mod = user_timer_mod,
    .register_poll_fd = poll_fd,
    .unregister_poll_fd = poll_fd,
    .notify = wake,
};

static int add_poll(int fd, int events, void *opaque)
{
    struct net_user *u = opaque;
    if (u->nfds == MAX_FDS) {
        return -1;
    }
    short e =
        (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                (events & SLIRP_POLL_PRI ? POLLPRI : 0));
    u->fds[u->nfds] = (struct pollfd){fd, e, 0};
    return (int)u->nfds++;
}

static int get_revents(int idx, void *opaque)
{
    struct net_user *u = opaque;
    if (idx < 0) {
        return 0;
    }
    short r = u->fds[idx].revents;
    return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (r & POLLPRI ? SLIRP_POLL_PRI : 0) | (r & (POLLERR | POLLNVAL) ? SLIRP_POLL_ERR : 0) |
           (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* --- The thread --- */

/* Frames of the guest's, oldest first; false: it is time to end. */
static bool take_queue(struct net_user *u, struct frame **list)
{
    pthread_mutex_lock(&u->lock);
    *list = u->head;
    u->head = NULL;
    u->tail = &u->head;
    u->queued = 0;
    bool go_on = !u->stop;
    pthread_mutex_unlock(&u->lock);
    return go_on;
}

static void run_timers(struct net_user *u)
{
    int64_t now = clock_ns(u) / 1000000;
    for (unsigned i = 0; i < u->ntimers; i++) {
        struct user_timer *t = &u->timers[i];
        if (t->at >= 0 && t->at <= now) {
            t->at = -1;
            t->cb(t->ctx);
        }
    }
}

static void wait_host(struct net_user *u)
{
    uint32_t timeout = 1000; /* ms */
    int64_t now = clock_ns(u) / 1000000;
    for (unsigned i = 0; i < u->ntimers; i++) {
        int64_t left = u->timers[i].at - now;
        if (u->timers[i].at >= 0 && left < timeout) {
            timeout = left > 0 ? (uint32_t)left : 0;
        }
    }
    u->fds[0] = (struct pollfd){u->wake_rd, POLLIN, 0};
    u->nfds = 1;
    slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
    int n = poll(u->fds, u->nfds, (int)timeout);
    if (u->fds[0].revents) {
        uint8_t sink[64];
        while (read(u->wake_rd, sink, sizeof sink) == (ssize_t)sizeof sink) {
        }
    }
    slirp_pollfds_poll(u->slirp, n < 0, get_revents, u);
    run_timers(u);
}

static void *thread_main(void *arg)
{
    struct net_user *u = arg;
    struct frame *f;
    while (take_queue(u, &f)) {
        while (f) {
            struct frame *next = f->next;
            slirp_input(u->slirp, f->data, (int)f->len);
            free(f);
            f = next;
        }
        wait_host(u);
    }
    while (f) {
        struct frame *next = f->next;
        free(f);
        f = next;
    }
    return NULL;
}

static void from_guest(struct net *n, const uint8_t *frame, size_t len)
{
    struct net_user *u = (struct net_user *)n;
    struct frame *f = len <= NET_FRAME_MAX ? malloc(sizeof *f + len) : NULL;
    if (!f) {
        return;
    }
    f->next = NULL;
    f->len = len;
    memcpy(f->data, frame, len);
    pthread_mutex_lock(&u->lock);
    bool fits = u->started && u->queued + len <= MAX_QUEUED;
    if (fits) {
        *u->tail = f;
        u->tail = &f->next;
        u->queued += len;
    }
    pthread_mutex_unlock(&u->lock);
    if (fits) {
        wake(u);
    } else {
        free(f);
    }
}

static void user_close(struct net *n)
{
    struct net_user *u = (struct net_user *)n;
    if (u->started) {
        pthread_mutex_lock(&u->lock);
        u->stop = true;
        pthread_mutex_unlock(&u->lock);
        wake(u);
        pthread_join(u->thread, NULL);
    }
    if (u->slirp) {
        slirp_cleanup(u->slirp);
    }
    if (u->wake_rd >= 0) {
        close(u->wake_rd);
        close(u->wake_wr);
    }
    pthread_mutex_destroy(&u->lock);
    free(u);
}

bool net_user_start(struct net *n, struct err *e)
{
    struct net_user *u = (struct net_user *)n;
    u->started = true;
    if (pthread_create(&u->thread, NULL, thread_main, u) != 0) {
        u->started = false;
        return err_set(e, "%s: no thread for user-mode networking", n->name);
    }
    return true;
}

/* --- Options --- */

static bool parse_addr(const char *key, const char *v, struct in_addr *out, struct err *e)
{
    return inet_pton(AF_INET, v, out) == 1 ||
           err_usage(e, "%s=%s: want an IPv4 address such as 10.0.2.2", key, v);
}

static bool set_net(struct net_user *u, char *v, struct err *e)
{
    char *slash = strchr(v, '/');
    unsigned long bits = 24;
    if (slash) {
        char *end;
        *slash++ = 0;
        bits = strtoul(slash, &end, 10);
        if (*slash < '0' || *slash > '9' || *end || bits < 8 || bits > 30) {
            return err_usage(e, "net=%s/%s: want 8 to 30 bits", v, slash);
        }
    }
    if (!parse_addr("net", v, &u->cfg.vnetwork, e)) {
        return false;
    }
    u->cfg.vnetmask.s_addr = htonl(UINT32_MAX << (32 - bits));
    u->cfg.vnetwork.s_addr &= u->cfg.vnetmask.s_addr;
    uint32_t base = ntohl(u->cfg.vnetwork.s_addr);
    bool small = bits > 27;
    u->cfg.vhost.s_addr = htonl(base + (small ? 1 : 2));
    u->cfg.vnameserver.s_addr = htonl(base + (small ? 2 : 3));
    u->cfg.vdhcp_start.s_addr = htonl(base + (small ? 3 : 15));
    return true;
}

static bool set_text(char *to, size_t size, const char *key, const char *v, struct err *e)
{
    if (strlen(v) >= size) {
        return err_usage(e, "%s=: longer than %zu characters", key, size - 1);
    }
    memcpy(to, v, strlen(v) + 1);
    return true;
}

static bool set_one(struct net_user *u, const char *key, char *v, struct err *e)
{
    SlirpConfig *c = &u->cfg;
    if (strcmp(key, "restrict") == 0) {
        c->restricted = strcmp(v, "on") == 0 || strcmp(v, "yes") == 0 || strcmp(v, "y") == 0;
        return c->restricted || strcmp(v, "off") == 0 || strcmp(v, "no") == 0 ||
               strcmp(v, "n") == 0 || err_usage(e, "restrict=%s: want on or off", v);
    }
    if (strcmp(key, "net") == 0) {
        return set_net(u, v, e);
    }
    if (strcmp(key, "host") == 0) {
        return parse_addr(key, v, &c->vhost, e);
    }
    if (strcmp(key, "dhcpstart") == 0) {
        return parse_addr(key, v, &c->vdhcp_start, e);
    }
    if (strcmp(key, "dns") == 0) {
        return parse_addr(key, v, &c->vnameserver, e);
    }
    if (strcmp(key, "hostname") == 0) {
        c->vhostname = u->hostname;
        return set_text(u->hostname, sizeof u->hostname, key, v, e);
    }
    if (strcmp(key, "tftp") == 0) {
        c->tftp_path = u->tftp;
        return set_text(u->tftp, sizeof u->tftp, key, v, e);
    }
    if (strcmp(key, "bootfile") == 0) {
        c->bootfile = u->bootfile;
        return set_text(u->bootfile, sizeof u->bootfile, key, v, e);
    }
    return err_usage(e,
                     "user: no option \"%.40s\"; there are hostfwd, restrict, net, host, "
                     "dhcpstart, dns, hostname, tftp, bootfile",
                     key);
}

/* "[ADDR]:PORT"; the address stays when there is none. */
static bool parse_end(char *text, struct in_addr *addr, int *port)
{
    char *colon = strrchr(text, ':');
    if (!colon) {
        return false;
    }
    *colon++ = 0;
    char *end;
    unsigned long p = strtoul(colon, &end, 10);
    if (*colon < '0' || *colon > '9' || *end || p > 65535) {
        return false;
    }
    *port = (int)p;
    return !*text || inet_pton(AF_INET, text, addr) == 1;
}

static bool add_hostfwd(struct net_user *u, const char *v, struct err *e)
{
    char text[128];
    struct in_addr host = {htonl(INADDR_LOOPBACK)}, guest = u->cfg.vdhcp_start;
    int hport, gport;
    bool udp = strncmp(v, "udp:", 4) == 0;
    bool known = udp || strncmp(v, "tcp:", 4) == 0 || *v == ':';
    snprintf(text, sizeof text, "%s", *v == ':' ? v + 1 : v + 4 * known);
    char *dash = strchr(text, '-');
    if (dash) {
        *dash++ = 0;
    }
    if (!known || !dash || !parse_end(text, &host, &hport) || !parse_end(dash, &guest, &gport) ||
        !gport) {
        return err_usage(e, "hostfwd=%s: want tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT, or udp:", v);
    }
    return slirp_add_hostfwd(u->slirp, udp, host, hport, guest, gport) == 0 ||
           err_set(e, "hostfwd=%s: port %d cannot be listened at: %s", v, hport, strerror(errno));
}

/* Every "key=value" of the options; those of hostfwd when `fwd`, else the others. */
static bool each_option(struct net_user *u, const char *options, bool fwd, struct err *e)
{
    char item[1100];
    for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',') {
        int n = (int)strcspn(p, ",");
        if (n >= (int)sizeof item) {
            return err_usage(e, "user: an option of more than %zu characters", sizeof item - 1);
        }
        snprintf(item, sizeof item, "%.*s", n, p);
        char *eq = strchr(item, '=');
        if (!eq) {
            return err_usage(e, "user: \"%.64s\": want name=value", item);
        }
        *eq++ = 0;
        bool is_fwd = strcmp(item, "hostfwd") == 0;
        if (is_fwd == fwd && !(fwd ? add_hostfwd(u, eq, e) : set_one(u, item, eq, e))) {
            return false;
        }
    }
    return true;
}

static bool open_pipe(struct net_user *u, struct err *e)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) != 0) {
        return err_set(e, "user: no file descriptors: %s", strerror(errno));
    }
    u->wake_rd = p[0];
    u->wake_wr = p[1];
    return true;
}

struct net *net_user_open(const char *options, struct err *e)
{
    char base[] = "10.0.2.0";
    struct net_user *u = calloc(1, sizeof *u);
    if (!u) {
        abort();
    }
    u->net.send = from_guest;
    u->net.close = user_close;
    u->net.source = -1;
    u->wake_rd = u->wake_wr = -1;
    u->tail = &u->head;
    pthread_mutex_init(&u->lock, NULL);
    u->cfg = (SlirpConfig){.version = 4, .in_enabled = true};
    bool ok = open_pipe(u, e) && set_net(u, base, e) && each_option(u, options, false, e);
    if (ok) {
        u->slirp = slirp_new(&u->cfg, &callbacks, u);
        ok = u->slirp ? each_option(u, options, true, e)
                      : err_set(e, "user: libslirp refuses these options");
    }
    if (!ok) {
        user_close(&u->net);
        return NULL;
    }
    return &u->net;
}

#else

struct net *net_user_open(const char *options, struct err *e)
{
    (void)options;
    err_set(e, "user: doppel was built without libslirp: apt-get install libslirp-dev, then "
               "configure and build again");
    return NULL;
}

bool net_user_start(struct net *n, struct err *e)
{
    (void)n;
    return err_set(e, "user: not built");
}

#endif
