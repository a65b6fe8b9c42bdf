/*
 * Unix sockets as character back ends: a server takes one client after another, a client connects
 * once. A peer that goes away or does not read for a second is dropped; the guest never notices.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/chr_priv.h"
#include "util/suggest.h"

struct unix_spec {
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    bool server, wait;
};

static const struct {
    const char *text;
    bool server, value;
} opts[] = {
    {"server", true, true},   {"server=on", true, true},  {"server=off", true, false},
    {"nowait", false, false}, {"wait=off", false, false}, {"wait", false, true},
    {"wait=on", false, true},
};

static const char *opt_text(void *ctx, unsigned i)
{
    (void)ctx;
    return i < sizeof opts / sizeof opts[0] ? opts[i].text : NULL;
}

static bool parse_option(struct unix_spec *u, const char *opt, struct err *e)
{
    for (unsigned i = 0; i < sizeof opts / sizeof opts[0]; i++) {
        if (strcmp(opt, opts[i].text) == 0) {
            *(opts[i].server ? &u->server : &u->wait) = opts[i].value;
            return true;
        }
    }
    return err_usage(e,
                     "unix: unknown option \"%s\"; the nearest is %s (want server, "
                     "server=on|off, nowait, wait=on|off)",
                     opt, suggest_nearest(opt, opt_text, NULL));
}

static bool parse(struct unix_spec *u, const char *spec, struct err *e)
{
    *u = (struct unix_spec){.wait = true};
    size_t n = strcspn(spec, ",");
    if (n == 0 || n >= sizeof u->path) {
        return err_usage(e, "unix:%s: want a path of 1 to %zu characters", spec,
                         sizeof u->path - 1);
    }
    memcpy(u->path, spec, n);
    while (spec[n]) {
        spec += n + 1;
        n = strcspn(spec, ",");
        char opt[32] = "";
        if (n >= sizeof opt) {
            return err_usage(e, "unix: unknown option \"%.40s\"", spec);
        }
        memcpy(opt, spec, n);
        if (!parse_option(u, opt, e)) {
            return false;
        }
    }
    return true;
}

bool chr_unix_open(struct host_chr *h, const char *spec, struct err *e)
{
    struct unix_spec u;
    if (!parse(&u, spec, e)) {
        return false;
    }
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, u.path, sizeof u.path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(e, "unix:%s: %s", u.path, strerror(errno));
    }
    h->own_fds = h->sock = true;
    if (!u.server) {
        if (connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
            err_set(e, "unix:%s: %s (to listen there: unix:%s,server,nowait)", u.path,
                    strerror(errno), u.path);
            close(fd);
            return false;
        }
        h->in = h->out = fd;
        return true;
    }
    /* A socket that a dead process left is in the way; anything else is not ours to remove. */
    struct stat st;
    if (lstat(u.path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(u.path);
    }
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, 1) != 0) {
        err_set(e, "unix:%s: %s", u.path, strerror(errno));
        close(fd);
        return false;
    }
    h->listener = fd;
    h->path = strdup(u.path);
    if (u.wait) {
        struct pollfd p = {fd, POLLIN, 0};
        while (poll(&p, 1, -1) < 0 && errno == EINTR) {
        }
        chr_unix_accept(h);
    }
    return true;
}

void chr_unix_accept(struct host_chr *h)
{
    struct pollfd p = {h->listener, POLLIN, 0};
    if (h->in >= 0 || h->listener < 0 || poll(&p, 1, 0) <= 0) {
        return;
    }
    int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        h->in = h->out = fd;
    }
}

void chr_unix_close(struct host_chr *h)
{
    if (h->listener >= 0) {
        close(h->listener);
    }
    if (h->path) {
        unlink(h->path);
        free(h->path);
    }
}
