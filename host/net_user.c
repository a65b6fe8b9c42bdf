/*
 * libslirp in a thread of its own; see net_user.h.
 *
 * The thread owns the Slirp from start to close (host/net_thread.h). What comes back from the world
 * goes to the gate as far as the card has room. libslirp has no way to be told to wait, so what it
 * sends beyond that is held: at most some windows of TCP. Host time is read here and nowhere in the
 * machine.
 *
 * libslirp initializes variables of its own at its first instance, without a lock, and keeps the
 * current time and the host's DNS server in others. The first instance is therefore made when the
 * program is loaded, while there is one thread; to the others, all instances write equal values.
 */
#include "host/net_user.h"

#include "config.h"

#if HAVE_SLIRP

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/net_thread.h"

enum { MAX_FDS = 512, MAX_TIMERS = 4, MAX_FWDS = 32 };

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
    struct net_thread thread;
    char *fwd[MAX_FWDS]; /* forwarded ports, as given */
    struct pollfd fds[MAX_FDS];
    unsigned nfds;
    struct user_timer timers[MAX_TIMERS];
    unsigned ntimers;
};

/* --- What libslirp asks for --- */

static ssize_t to_guest(const void *buf, size_t len, void *opaque)
{
    struct net_user *u = opaque;
    net_thread_give(&u->thread, buf, len);
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

static void notify(void *opaque)
{
    (void)opaque; /* said only in calls that the thread makes */
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
    .notify = notify,
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
    net_thread_flush(&u->thread);
    u->fds[0] = (struct pollfd){u->thread.wake_rd, POLLIN, 0};
    u->nfds = 1;
    slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
    int n = poll(u->fds, u->nfds, (int)timeout);
    if (u->fds[0].revents) {
        net_thread_woken(&u->thread);
    }
    slirp_pollfds_poll(u->slirp, n < 0, get_revents, u);
    run_timers(u);
}

static void *thread_main(void *arg)
{
    struct net_user *u = arg;
    struct net_frame *f;
    bool go_on;
    do {
        go_on = net_thread_take(&u->thread, &f);
        while (f) {
            struct net_frame *next = f->next;
            if (go_on) {
                slirp_input(u->slirp, f->data, (int)f->len);
            }
            free(f);
            f = next;
        }
        if (go_on) {
            wait_host(u);
        }
    } while (go_on);
    return NULL;
}

static void from_guest(struct net *n, const uint8_t *frame, size_t len)
{
    net_thread_send(&((struct net_user *)n)->thread, frame, len);
}

static void user_room(struct net *n)
{
    net_thread_room(&((struct net_user *)n)->thread);
}

static void user_close(struct net *n)
{
    struct net_user *u = (struct net_user *)n;
    net_thread_stop(&u->thread);
    if (u->slirp) {
        slirp_cleanup(u->slirp);
    }
    for (unsigned i = 0; i < MAX_FWDS; i++) {
        free(u->fwd[i]);
    }
    free(u);
}

static bool user_start(struct net *n, struct err *e)
{
    struct net_user *u = (struct net_user *)n;
    return net_thread_start(&u->thread, thread_main, u, e);
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
    if (strcmp(key, "restrict") == 0 || strcmp(key, "ipv6") == 0) {
        bool on = strcmp(v, "on") == 0 || strcmp(v, "yes") == 0 || strcmp(v, "y") == 0;
        if (*key == 'r') {
            c->restricted = on;
        } else {
            c->in6_enabled = on;
        }
        return on || strcmp(v, "off") == 0 || strcmp(v, "no") == 0 || strcmp(v, "n") == 0 ||
               err_usage(e, "%s=%s: want on or off", key, v);
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
                     "user: no option \"%.40s\"; there are hostfwd, guestfwd, restrict, ipv6, "
                     "net, host, dhcpstart, dns, hostname, tftp, bootfile",
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

struct fwd {
    struct net_user *u;
    const char *spec;
    bool udp, add;
    struct in_addr host, guest;
    int hport, gport;
    int failed; /* errno */
};

static bool parse_fwd(struct fwd *f, struct err *e)
{
    char text[128];
    const char *v = f->spec;
    f->host.s_addr = htonl(INADDR_LOOPBACK);
    f->guest = f->u->cfg.vdhcp_start;
    f->udp = strncmp(v, "udp:", 4) == 0;
    bool known = f->udp || strncmp(v, "tcp:", 4) == 0 || *v == ':';
    snprintf(text, sizeof text, "%s", *v == ':' ? v + 1 : v + 4 * known);
    char *dash = strchr(text, '-');
    if (dash) {
        *dash++ = 0;
    }
    bool ok = known && parse_end(text, &f->host, &f->hport);
    if (ok && (dash || f->add)) { /* to remove one, its host side is enough */
        ok = dash && parse_end(dash, &f->guest, &f->gport) && f->gport;
    }
    return ok || err_usage(e, "hostfwd=%s: want tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT, or udp:", v);
}

/* In the thread. */
static void do_fwd(void *ctx)
{
    struct fwd *f = ctx;
    Slirp *s = f->u->slirp;
    errno = 0;
    int rc = f->add ? slirp_add_hostfwd(s, f->udp, f->host, f->hport, f->guest, f->gport)
                    : slirp_remove_hostfwd(s, f->udp, f->host, f->hport);
    f->failed = rc == 0 ? 0 : errno ? errno : EINVAL;
}

static char **find_fwd(struct net_user *u, const char *spec)
{
    size_t n = spec ? strcspn(spec, "-") : 0;
    for (unsigned i = 0; i < MAX_FWDS; i++) {
        if (spec ? u->fwd[i] && strncmp(u->fwd[i], spec, n) == 0 && strchr("-", u->fwd[i][n])
                 : !u->fwd[i]) {
            return &u->fwd[i];
        }
    }
    return NULL;
}

static bool user_forward(struct net *n, const char *spec, bool add, struct err *e)
{
    struct net_user *u = (struct net_user *)n;
    struct fwd f = {.u = u, .spec = spec, .add = add};
    char **slot = find_fwd(u, add ? NULL : spec);
    if (!parse_fwd(&f, e)) {
        return false;
    }
    if (!slot) {
        return add ? err_set(e, "hostfwd=%s: more than %d", spec, MAX_FWDS)
                   : err_set(e, "hostfwd=%s: there is no such forwarded port", spec);
    }
    net_thread_call(&u->thread, do_fwd, &f);
    if (f.failed) {
        return err_set(e, "hostfwd=%s: port %d cannot be %s: %s", spec, f.hport,
                       add ? "listened at" : "given back", strerror(f.failed));
    }
    free(*slot);
    *slot = add ? strdup(spec) : NULL;
    return true;
}

static void user_info(struct net *n, char *text, size_t size)
{
    struct net_user *u = (struct net_user *)n;
    char a[INET_ADDRSTRLEN], b[INET_ADDRSTRLEN], c[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &u->cfg.vnetwork, a, sizeof a);
    inet_ntop(AF_INET, &u->cfg.vhost, b, sizeof b);
    inet_ntop(AF_INET, &u->cfg.vdhcp_start, c, sizeof c);
    size_t used = (size_t)snprintf(text, size, "  net %s, host %s, first guest %s%s\n", a, b, c,
                                   u->cfg.restricted ? ", restricted" : "");
    for (unsigned i = 0; i < MAX_FWDS && used < size; i++) {
        if (u->fwd[i]) {
            used += (size_t)snprintf(text + used, size - used, "  hostfwd %s\n", u->fwd[i]);
        }
    }
}

/* tcp:ADDR:PORT-cmd:COMMAND. */
static bool add_guestfwd(struct net_user *u, const char *v, struct err *e)
{
    char text[128];
    struct in_addr addr = {0};
    int port = 0;
    const char *cmd = strstr(v, "-cmd:");
    snprintf(text, sizeof text, "%.*s", cmd ? (int)(cmd - v) : 0, v);
    char *p = strncmp(text, "tcp:", 4) == 0 ? text + 4 : text;
    if (!cmd || !cmd[5] || *p == ':' || !parse_end(p, &addr, &port) || !port) {
        return err_usage(e, "guestfwd=%s: want tcp:ADDR:PORT-cmd:COMMAND", v);
    }
    return slirp_add_exec(u->slirp, cmd + 5, &addr, port) == 0 ||
           err_set(e, "guestfwd=%s: the address is not free in this network", v);
}

/* Every "key=value" of the options; those of forwarded ports when `fwd`, else the others. */
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
        bool to_guest = strcmp(item, "hostfwd") == 0, to_host = strcmp(item, "guestfwd") == 0;
        if ((to_guest || to_host) != fwd) {
            continue;
        }
        bool ok = to_guest  ? user_forward(&u->net, eq, true, e)
                  : to_host ? add_guestfwd(u, eq, e)
                            : set_one(u, item, eq, e);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Addresses that are inside of the network. */
static bool check_net(const struct net_user *u, struct err *e)
{
    const struct {
        const char *key;
        struct in_addr addr;
    } rows[] = {
        {"host", u->cfg.vhost}, {"dhcpstart", u->cfg.vdhcp_start}, {"dns", u->cfg.vnameserver}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[INET_ADDRSTRLEN];
        if ((rows[i].addr.s_addr & u->cfg.vnetmask.s_addr) != u->cfg.vnetwork.s_addr) {
            inet_ntop(AF_INET, &rows[i].addr, text, sizeof text);
            return err_usage(e, "user: %s=%s is not in net=", rows[i].key, text);
        }
    }
    return true;
}

struct net *net_user_open(const char *options, struct err *e)
{
    char base[] = "10.0.2.0";
    struct net_user *u = calloc(1, sizeof *u);
    if (!u) {
        abort();
    }
    u->net = (struct net){.type = "user",
                          .send = from_guest,
                          .close = user_close,
                          .start = user_start,
                          .room = user_room,
                          .info = user_info,
                          .forward = user_forward,
                          .source = -1};
    u->cfg =
        (SlirpConfig){.version = 4, .in_enabled = true, .in6_enabled = true, .vprefix_len = 64};
    inet_pton(AF_INET6, "fec0::", &u->cfg.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &u->cfg.vhost6);
    inet_pton(AF_INET6, "fec0::3", &u->cfg.vnameserver6);
    bool ok = net_thread_init(&u->thread, &u->net, e) && set_net(u, base, e) &&
              each_option(u, options, false, e) && check_net(u, e);
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

/* While the program has one thread: see the head of the file. */
__attribute__((constructor)) static void first_instance(void)
{
    struct err e = {""};
    struct net *n = net_user_open("", &e);
    if (n) {
        n->close(n);
    }
}

#else

struct net *net_user_open(const char *options, struct err *e)
{
    (void)options;
    err_set(e, "user: doppel was built without libslirp: apt-get install libslirp-dev, then "
               "configure and build again");
    return NULL;
}

#endif
