/*
 * Frames over sockets; see net_socket.h.
 *
 * A thread (host/net_thread.h) moves them. When the card has no room, nothing is read, and the
 * peer's TCP waits; what a peer does not read is kept up to MAX_UNSENT bytes, then whole frames are
 * dropped. A peer that goes away, or says a length that no frame has, is dropped; a listener then
 * takes the next one.
 */
#include "host/net_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/net_thread.h"
#include "util/bits.h"

enum { MAX_UNSENT = 256 << 10, LENGTH = 4 };

enum kind { NONE, LISTEN, CONNECT, MCAST };

struct net_socket {
    struct net net; /* first */
    struct net_thread thread;
    enum kind kind;
    struct sockaddr_in addr, local;
    char where[40]; /* as given */
    int listener;   /* -1: not a listener */
    int tx;         /* to the group, with a port of its own (`local`); -1: not a group */
    _Atomic int fd; /* of the peer or the group; -1: nobody. Thread, and `info` */
    uint8_t in[LENGTH + NET_FRAME_MAX];
    size_t in_len;
    uint8_t out[MAX_UNSENT];
    size_t out_len;
};

static void hang_up(struct net_socket *s)
{
    int fd = atomic_exchange(&s->fd, -1);
    if (fd >= 0) {
        close(fd);
    }
    s->in_len = s->out_len = 0;
}

/* --- Frames --- */

static void flush_out(struct net_socket *s)
{
    ssize_t n = send(s->fd, s->out, s->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
        s->out_len -= (size_t)n;
        memmove(s->out, s->out + n, s->out_len);
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        hang_up(s);
    }
}

static void send_frame(struct net_socket *s, const uint8_t *frame, size_t len)
{
    if (s->fd < 0) {
        return;
    }
    if (s->kind == MCAST) {
        send(s->tx, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else if (s->out_len + LENGTH + len <= MAX_UNSENT) {
        be32_put(s->out + s->out_len, (uint32_t)len);
        memcpy(s->out + s->out_len + LENGTH, frame, len);
        s->out_len += LENGTH + len;
        flush_out(s);
    }
}

/* Whole frames of what has come; false: this is no such stream. */
static bool unpack(struct net_socket *s)
{
    size_t at = 0;
    while (s->in_len - at >= LENGTH) {
        uint32_t len = be32_get(s->in + at);
        if (len > NET_FRAME_MAX) {
            return false;
        }
        if (s->in_len - at < LENGTH + len) {
            break;
        }
        net_thread_give(&s->thread, s->in + at + LENGTH, len);
        at += LENGTH + len;
    }
    s->in_len -= at;
    memmove(s->in, s->in + at, s->in_len);
    return true;
}

static void receive(struct net_socket *s)
{
    if (s->kind == MCAST) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t n =
            recvfrom(s->fd, s->in, sizeof s->in, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
        bool own = from.sin_port == s->local.sin_port && /* the kernel gives it back */
                   from.sin_addr.s_addr == s->local.sin_addr.s_addr;
        if (n > 0 && !own) {
            net_thread_give(&s->thread, s->in, (size_t)n);
        }
        return;
    }
    ssize_t n = recv(s->fd, s->in + s->in_len, sizeof s->in - s->in_len, MSG_DONTWAIT);
    if (n > 0) {
        s->in_len += (size_t)n;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || (n > 0 && !unpack(s))) {
        hang_up(s);
    }
}

static void accept_one(struct net_socket *s)
{
    int on = 1, fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        atomic_store(&s->fd, fd);
    }
}

/* --- The thread --- */

static void wait_host(struct net_socket *s)
{
    struct pollfd fds[2] = {{s->thread.wake_rd, POLLIN, 0}, {-1, 0, 0}};
    net_thread_flush(&s->thread);
    if (s->fd >= 0) {
        fds[1].fd = s->fd;
        fds[1].events =
            (short)((net_thread_full(&s->thread) ? 0 : POLLIN) | (s->out_len ? POLLOUT : 0));
    } else if (s->listener >= 0) {
        fds[1].fd = s->listener;
        fds[1].events = POLLIN;
    }
    poll(fds, 2, -1);
    if (fds[0].revents) {
        net_thread_woken(&s->thread);
    }
    if (s->fd < 0) {
        if (fds[1].revents) {
            accept_one(s);
        }
        return;
    }
    if (fds[1].revents & POLLOUT) {
        flush_out(s);
    }
    if (s->fd >= 0 && (fds[1].revents & (POLLIN | POLLERR | POLLHUP))) {
        receive(s);
    }
}

static void *thread_main(void *arg)
{
    struct net_socket *s = arg;
    struct net_frame *f;
    bool go_on;
    do {
        go_on = net_thread_take(&s->thread, &f);
        while (f) {
            struct net_frame *next = f->next;
            send_frame(s, f->data, f->len);
            free(f);
            f = next;
        }
        if (go_on) {
            wait_host(s);
        }
    } while (go_on);
    return NULL;
}

/* --- The back end --- */

static void socket_send(struct net *n, const uint8_t *frame, size_t len)
{
    net_thread_send(&((struct net_socket *)n)->thread, frame, len);
}

static void socket_room(struct net *n)
{
    net_thread_room(&((struct net_socket *)n)->thread);
}

static bool socket_start(struct net *n, struct err *e)
{
    struct net_socket *s = (struct net_socket *)n;
    return net_thread_start(&s->thread, thread_main, s, e);
}

static void socket_info(struct net *n, char *text, size_t size)
{
    static const char *const names[] = {"", "listen", "connect", "mcast"};
    struct net_socket *s = (struct net_socket *)n;
    snprintf(text, size, "  %s %s%s\n", names[s->kind], s->where,
             s->kind == MCAST          ? ""
             : atomic_load(&s->fd) < 0 ? ", nobody there"
                                       : ", connected");
}

static void socket_close(struct net *n)
{
    struct net_socket *s = (struct net_socket *)n;
    net_thread_stop(&s->thread);
    hang_up(s);
    if (s->listener >= 0) {
        close(s->listener);
    }
    if (s->tx >= 0) {
        close(s->tx);
    }
    free(s);
}

/* --- Options --- */

static bool parse_where(struct net_socket *s, const char *key, const char *v, struct err *e)
{
    char host[32];
    const char *colon = strrchr(v, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    size_t n = colon ? (size_t)(colon - v) : 0;
    bool ok = colon && n < sizeof host && colon[1] >= '0' && colon[1] <= '9' && !*end && port &&
              port <= 65535 && strlen(v) < sizeof s->where;
    if (ok) {
        snprintf(host, sizeof host, "%.*s", (int)n, v);
        s->addr.sin_family = AF_INET;
        s->addr.sin_port = htons((uint16_t)port);
        s->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ok = (!n && s->kind != MCAST) || strcmp(host, "localhost") == 0 ||
             inet_pton(AF_INET, host, &s->addr.sin_addr) == 1;
    }
    if (!ok) {
        return err_usage(e, "socket: %s=%s: want ADDR:PORT such as 127.0.0.1:1234", key, v);
    }
    snprintf(s->where, sizeof s->where, "%s", v);
    return s->kind != MCAST || IN_MULTICAST(ntohl(s->addr.sin_addr.s_addr)) ||
           err_usage(e, "socket: mcast=%s: want a group such as 230.0.0.1:1234", v);
}

static bool set_one(struct net_socket *s, char *item, struct err *e)
{
    static const char *const keys[] = {"", "listen", "connect", "mcast"};
    char *eq = strchr(item, '=');
    if (eq) {
        *eq++ = 0;
        for (unsigned k = LISTEN; k <= MCAST; k++) {
            if (strcmp(item, keys[k]) == 0 && s->kind == NONE) {
                s->kind = (enum kind)k;
                return parse_where(s, item, eq, e);
            }
        }
        if (strcmp(item, "localaddr") == 0) {
            return inet_pton(AF_INET, eq, &s->local.sin_addr) == 1 ||
                   err_usage(e, "socket: localaddr=%s: want an IPv4 address", eq);
        }
    }
    return err_usage(e, "socket: \"%.40s\": want one of listen=, connect= and mcast=", item);
}

static bool parse(struct net_socket *s, const char *options, struct err *e)
{
    char item[80];
    for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',') {
        snprintf(item, sizeof item, "%.*s", (int)strcspn(p, ","), p);
        if (!set_one(s, item, e)) {
            return false;
        }
    }
    return s->kind != NONE || err_usage(e, "socket: want one of listen=, connect= and mcast=");
}

/* fd receives. */
static bool open_group(struct net_socket *s, int fd)
{
    int on = 1;
    struct ip_mreq m = {s->addr.sin_addr, s->local.sin_addr};
    const struct sockaddr *addr = (const struct sockaddr *)&s->addr;
    socklen_t size = sizeof s->local;
    s->tx = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return s->tx >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           bind(fd, addr, sizeof s->addr) == 0 &&
           setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m) == 0 &&
           setsockopt(s->tx, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on) == 0 &&
           setsockopt(s->tx, IPPROTO_IP, IP_MULTICAST_IF, &m.imr_interface,
                      sizeof m.imr_interface) == 0 &&
           connect(s->tx, addr, sizeof s->addr) == 0 &&
           getsockname(s->tx, (struct sockaddr *)&s->local, &size) == 0;
}

static bool open_socket(struct net_socket *s, struct err *e)
{
    static const char *const verbs[] = {"", "listened at", "connected to", "joined"};
    int on = 1, type = s->kind == MCAST ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0;
    const struct sockaddr *addr = (const struct sockaddr *)&s->addr;
    switch (s->kind) {
    case LISTEN:
        ok = ok && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
             bind(fd, addr, sizeof s->addr) == 0 && listen(fd, 1) == 0;
        s->listener = fd;
        break;
    case CONNECT:
        ok = ok && connect(fd, addr, sizeof s->addr) == 0;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        atomic_store(&s->fd, fd);
        break;
    default:
        ok = ok && open_group(s, fd);
        atomic_store(&s->fd, fd);
        break;
    }
    return ok ||
           err_set(e, "socket: %s cannot be %s: %s", s->where, verbs[s->kind], strerror(errno));
}

struct net *net_socket_open(const char *options, struct err *e)
{
    struct net_socket *s = calloc(1, sizeof *s);
    if (!s) {
        abort();
    }
    s->net = (struct net){.type = "socket",
                          .send = socket_send,
                          .close = socket_close,
                          .start = socket_start,
                          .room = socket_room,
                          .info = socket_info,
                          .source = -1};
    s->listener = s->tx = -1;
    atomic_init(&s->fd, -1);
    if (!net_thread_init(&s->thread, &s->net, e) || !parse(s, options, e) || !open_socket(s, e)) {
        socket_close(&s->net);
        return NULL;
    }
    return &s->net;
}
