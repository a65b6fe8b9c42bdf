/*
 * Sockets of the gdb stub; see gdb_link.h.
 */
#include "frontends/gdb_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_MAX 4u    /* localhost has two addresses */
#define SEND_MS    10000 /* a client that does not read for so long is gone */

struct gdb_link {
    void (*wake)(void *ctx);
    void *ctx;
    int listener[LISTEN_MAX];
    unsigned nlisteners;
    int in, out;      /* the client; -1: none */
    bool stdio, came; /* came: its one client was there */
    bool lost;        /* it went while we sent; take says so */
    char *unlink_path;

    pthread_t thread;
    bool started;
    int pipe[2]; /* a byte: look again */
    pthread_mutex_t lock;
    pthread_cond_t taken;
    bool news, quit; /* under the lock, and `in` when the thread reads it */
};

static void no_block(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void look_again(struct gdb_link *l)
{
    ssize_t n = write(l->pipe[1], "x", 1);
    (void)n;
}

/* --- The thread --- */

static void *watch(void *arg)
{
    struct gdb_link *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        if (l->news) {
            pthread_cond_wait(&l->taken, &l->lock);
            continue;
        }
        struct pollfd p[LISTEN_MAX + 1];
        nfds_t n = 0;
        p[n++] = (struct pollfd){.fd = l->pipe[0], .events = POLLIN};
        if (l->in >= 0) {
            p[n++] = (struct pollfd){.fd = l->in, .events = POLLIN};
        } else {
            for (unsigned k = 0; k < l->nlisteners; k++) {
                p[n++] = (struct pollfd){.fd = l->listener[k], .events = POLLIN};
            }
        }
        pthread_mutex_unlock(&l->lock);
        int r = poll(p, n, -1);
        char byte;
        bool again = p[0].revents && read(l->pipe[0], &byte, 1) == 1;
        pthread_mutex_lock(&l->lock);
        if (r > 0 && !again && !l->quit) {
            l->news = true;
            l->wake(l->ctx); /* under the lock: never behind the taking of what it tells of */
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* --- Setting up --- */

static bool listen_unix(struct gdb_link *l, const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof a.sun_path) {
        return err_set(e, "-gdb unix:%s: want a path of at most %zu bytes", path,
                       sizeof a.sun_path - 1);
    }
    strcpy(a.sun_path, path);
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(path); /* what a run before us left */
    }
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1) != 0) {
        err_set(e, "-gdb unix:%s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    no_block(fd);
    l->listener[l->nlisteners++] = fd;
    l->unlink_path = strdup(path);
    return true;
}

/* "HOST:PORT", where HOST may be empty, or in brackets. */
static bool listen_tcp(struct gdb_link *l, const char *where, struct err *e)
{
    char host[256];
    const char *colon = strrchr(where, ':');
    size_t n = colon ? (size_t)(colon - where) : 0;
    if (!colon || !colon[1] || n >= sizeof host) {
        return err_set(e, "-gdb tcp:%s: want tcp:HOST:PORT, or tcp::PORT for this machine alone",
                       where);
    }
    memcpy(host, where, n);
    host[n] = 0;
    char *name = host;
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = 0;
        name++;
    }
    /* No name and no AI_PASSIVE: the loopback addresses. */
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int r = getaddrinfo(*name ? name : NULL, colon + 1, &hints, &list);
    if (r != 0) {
        return err_set(e, "-gdb tcp:%s: %s", where, gai_strerror(r));
    }
    int why = 0, on = 1;
    for (struct addrinfo *a = list; a && l->nlisteners < LISTEN_MAX; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd < 0) {
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (a->ai_family == AF_INET6) {
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        }
        if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1) == 0) {
            no_block(fd);
            l->listener[l->nlisteners++] = fd;
        } else {
            why = errno;
            close(fd);
        }
    }
    freeaddrinfo(list);
    return l->nlisteners || err_set(e, "-gdb tcp:%s: %s", where, strerror(why));
}

static bool open_at(struct gdb_link *l, const char *where, struct err *e)
{
    if (strcmp(where, "stdio") == 0) {
        l->stdio = true;
        no_block(STDIN_FILENO);
        return true;
    }
    if (strncmp(where, "unix:", 5) == 0) {
        return listen_unix(l, where + 5, e);
    }
    if (strncmp(where, "tcp:", 4) == 0) {
        return listen_tcp(l, where + 4, e);
    }
    return err_set(e, "-gdb %s: want tcp:HOST:PORT, unix:PATH or stdio", where);
}

struct gdb_link *gdb_link_open(const char *where, void (*wake)(void *ctx), void *ctx, struct err *e)
{
    struct gdb_link *l = calloc(1, sizeof *l);
    if (!l) {
        abort();
    }
    *l = (struct gdb_link){.wake = wake, .ctx = ctx, .in = -1, .out = -1, .pipe = {-1, -1}};
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->taken, NULL);
    if (!open_at(l, where, e)) {
        gdb_link_close(l);
        return NULL;
    }
    l->news = l->stdio; /* its client is there at once */
    if (pipe(l->pipe) != 0 || pthread_create(&l->thread, NULL, watch, l) != 0) {
        err_set(e, "-gdb %s: no thread", where);
        gdb_link_close(l);
        return NULL;
    }
    l->started = true;
    if (l->stdio) {
        wake(ctx);
    }
    return l;
}

void gdb_link_close(struct gdb_link *l)
{
    if (!l) {
        return;
    }
    if (l->started) {
        pthread_mutex_lock(&l->lock);
        l->quit = true;
        pthread_cond_signal(&l->taken);
        pthread_mutex_unlock(&l->lock);
        look_again(l);
        pthread_join(l->thread, NULL);
    }
    gdb_link_drop(l);
    for (unsigned k = 0; k < l->nlisteners; k++) {
        close(l->listener[k]);
    }
    if (l->unlink_path) {
        unlink(l->unlink_path);
        free(l->unlink_path);
    }
    for (unsigned k = 0; k < 2; k++) {
        if (l->pipe[k] >= 0) {
            close(l->pipe[k]);
        }
    }
    pthread_cond_destroy(&l->taken);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* --- The owner --- */

static void set_client(struct gdb_link *l, int in, int out)
{
    pthread_mutex_lock(&l->lock);
    l->in = in;
    l->out = out;
    pthread_mutex_unlock(&l->lock);
}

void gdb_link_drop(struct gdb_link *l)
{
    int fd = l->in;
    l->lost = false;
    if (fd >= 0) {
        set_client(l, -1, -1);
        if (!l->stdio) {
            close(fd);
        }
        look_again(l); /* should the thread wait for it */
    }
}

static bool accept_one(struct gdb_link *l)
{
    if (l->stdio) {
        bool first = !l->came;
        l->came = true;
        if (first) {
            set_client(l, STDIN_FILENO, STDOUT_FILENO);
        }
        return first;
    }
    for (unsigned k = 0; k < l->nlisteners; k++) {
        int fd = accept(l->listener[k], NULL, NULL), on = 1;
        if (fd >= 0) {
            no_block(fd);
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* unix: fails, no harm */
            set_client(l, fd, fd);
            return true;
        }
    }
    return false;
}

bool gdb_link_news(struct gdb_link *l)
{
    pthread_mutex_lock(&l->lock);
    bool news = l->news;
    pthread_mutex_unlock(&l->lock);
    return news;
}

/* Nothing more is there: the thread waits for what comes next. */
static enum gdb_link_event idle(struct gdb_link *l)
{
    pthread_mutex_lock(&l->lock);
    l->news = false;
    pthread_cond_signal(&l->taken);
    pthread_mutex_unlock(&l->lock);
    return LINK_IDLE;
}

enum gdb_link_event gdb_link_take(struct gdb_link *l, void *buf, size_t cap, size_t *n)
{
    bool news = gdb_link_news(l);
    *n = 0;
    if (l->lost) {
        gdb_link_drop(l);
        return LINK_GONE;
    }
    if (!news) {
        return LINK_IDLE;
    }
    if (l->in < 0) {
        return accept_one(l) ? LINK_NEW : idle(l);
    }
    ssize_t got = read(l->in, buf, cap);
    if (got > 0) {
        *n = (size_t)got;
        return LINK_DATA;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return idle(l);
    }
    gdb_link_drop(l);
    return LINK_GONE;
}

void gdb_link_send(struct gdb_link *l, const void *data, size_t len)
{
    const char *from = data;
    while (len && l->out >= 0 && !l->lost) {
        ssize_t n = write(l->out, from, len);
        if (n > 0) {
            from += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = l->out, .events = POLLOUT};
            l->lost = poll(&p, 1, SEND_MS) <= 0;
        } else if (n == 0 || errno != EINTR) {
            l->lost = true;
        }
    }
}
