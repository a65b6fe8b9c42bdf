/*
 * Network cards under Linux: DHCP, a file fetched from a server of the test's over the user
 * network, and a connection from the host to a port of the guest's.
 *
 * The run is recorded from the start of user space on, and replayed without a network.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "tests/boot/linux.h"
#include "tests/boot/record.h"
#include "tests/t.h"

#if HAVE_SLIRP

enum { DATA = 1000000, ECHO = 20000, TEXT = 20000 };
#define LIMIT UINT64_C(60000000000)
/* MD5 of bytes i * 7 + (i >> 8), for i below DATA. */
#define DATA_MD5 "3b6a0b287dc14031b9a26d4f3c80acaf"

struct net_run {
    struct doppel_vm *vm;
    char text[TEXT];
    size_t len;
    atomic_bool listening; /* the guest waits for a connection */
};

static void hear(void *ctx, const uint8_t *data, size_t len)
{
    struct net_run *r = ctx;
    for (size_t i = 0; i < len && r->len + 1 < TEXT; i++) {
        r->text[r->len++] = (char)data[i];
    }
    r->text[r->len] = 0;
    if (getenv("BOOT_SHOW")) {
        fwrite(data, 1, len, stderr);
    }
    if (strstr(r->text, "net: echo")) {
        atomic_store(&r->listening, true);
    }
}

/* --- The host's side --- */

static int any_port(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        FAIL("no port on the loopback: %s", strerror(errno));
    }
    *port = ntohs(a.sin_port);
    return fd;
}

static void write_all(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        data += n;
        len -= (size_t)n;
    }
}

/* Answers one request with the file; the socket is shut down if nobody comes. */
static void *serve(void *arg)
{
    static const char head[] = "HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    int *listener = arg, fd = accept(*listener, NULL, NULL);
    char request[2048];
    size_t got = 0;
    uint8_t *data = malloc(DATA);
    for (size_t i = 0; i < DATA; i++) {
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    while (fd >= 0 && got + 1 < sizeof request) {
        ssize_t n = recv(fd, request + got, sizeof request - 1 - got, 0);
        got += n > 0 ? (size_t)n : 0;
        request[got] = 0;
        if (n <= 0 || strstr(request, "\r\n\r\n")) {
            break;
        }
    }
    if (fd >= 0) {
        write_all(fd, (const uint8_t *)head, sizeof head - 1);
        write_all(fd, data, DATA);
        close(fd);
    }
    free(data);
    return NULL;
}

struct caller {
    struct net_run *run;
    uint16_t port;
    atomic_bool stop;
    size_t echoed;
};

/* Connects to the guest once it listens, and wants everything back. */
static void *call_guest(void *arg)
{
    struct caller *c = arg;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(c->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    uint8_t out[ECHO], in[ECHO];
    while (!atomic_load(&c->run->listening)) {
        if (atomic_load(&c->stop)) {
            return NULL;
        }
        usleep(10000);
    }
    for (unsigned i = 0; i < ECHO; i++) {
        out[i] = (uint8_t)(i * 13 + (i >> 7));
    }
    /* Its nc listens soon after it has said so; until then, connections are reset. */
    for (unsigned tries = 0; tries < 100 && c->echoed == 0; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
            write_all(fd, out, ECHO);
            shutdown(fd, SHUT_WR);
            ssize_t n;
            while (c->echoed < ECHO && (n = recv(fd, in + c->echoed, ECHO - c->echoed, 0)) > 0) {
                c->echoed += (size_t)n;
            }
        }
        close(fd);
        usleep(100000);
    }
    c->echoed = c->echoed == ECHO && memcmp(in, out, ECHO) == 0 ? ECHO : 0;
    return NULL;
}

/* --- The machine --- */

static bool make(struct net_run *r, const char *kernel, const char *nic, const char *append)
{
    struct doppel_options o;
    struct doppel_error e;
    char image[4096], initrd[4096];
    bool amd64 = strcmp(kernel, "amd64") == 0;
    snprintf(image, sizeof image, "%s", guest_path("vmlinuz-", kernel));
    snprintf(initrd, sizeof initrd, "%s", guest_path("initrd-net-", amd64 ? "amd64" : "i386"));
    memset(r, 0, sizeof *r);
    doppel_options_init(&o, DOPPEL_ABI);
    o.kernel = image;
    o.initrd = initrd;
    o.append = append;
    o.ram_bytes = 128u << 20;
    o.serial[0] = "null";
    o.nic[o.nnics++] = nic;
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.no_reboot = true;
    r->vm = doppel_create(&o, &e);
    if (!r->vm) {
        FAIL("%s", e.msg);
        return false;
    }
    return EXPECT(doppel_serial_listen(r->vm, 0, hear, r));
}

static bool run_to_end(struct net_run *r)
{
    bool ok = EXPECT_EQ(doppel_run(r->vm, LIMIT), DOPPEL_POWEROFF) &&
              EXPECT(strstr(r->text, "net: 10.0.2.15 from 10.0.2.2, names 10.0.2.3")) &&
              EXPECT(strstr(r->text, "net: md5 " DATA_MD5)) && EXPECT(strstr(r->text, "net: end"));
    if (!ok) {
        FAIL("the guest said:\n%s", r->text);
    }
    return ok;
}

/* To where user space begins: nothing has come from outside yet. */
static bool run_to_user_space(struct net_run *r)
{
    while (!strstr(r->text, "doppel: Linux")) {
        if (doppel_run(r->vm, doppel_icount(r->vm) + 20000000) != DOPPEL_LIMIT ||
            doppel_icount(r->vm) > LIMIT) {
            FAIL("the guest said:\n%s", r->text);
            return false;
        }
    }
    return true;
}

static void net_test(const char *kernel, const char *card)
{
    static struct net_run r;
    struct boot_record log = {""};
    char nic[128], append[128];
    uint16_t port;
    pthread_t server, client;
    struct caller caller = {.run = &r};
    if (!guests_present(kernel)) {
        return;
    }
    if (access(guest_path("initrd-net-", "amd64"), R_OK) != 0 && !getenv("CI")) {
        SKIP("no initrd-net: run tests/boot/guests.sh build/guests");
        return;
    }
    t_context("%s, %s", kernel, card);
    close(any_port(&caller.port));
    int listener = any_port(&port);
    EXPECT(listen(listener, 1) == 0);
    snprintf(nic, sizeof nic, "user,model=%s,restrict=off,hostfwd=tcp::%u-:7", card, caller.port);
    snprintf(append, sizeof append, "console=ttyS0 quiet panic=-1 port=%u", port);
    pthread_create(&server, NULL, serve, &listener);
    bool ok = make(&r, kernel, nic, append);
    pthread_create(&client, NULL, call_guest, &caller);
    ok = ok && run_to_user_space(&r);
    if (ok) {
        boot_record_start(&log, r.vm, true);
        ok = run_to_end(&r);
    }
    atomic_store(&caller.stop, true);
    shutdown(listener, SHUT_RDWR);
    pthread_join(client, NULL);
    pthread_join(server, NULL);
    close(listener);
    EXPECT_EQ(caller.echoed, ECHO);
    if (ok) {
        printf("  %s, %s: %" PRIu64 " million instructions\n", kernel, card,
               doppel_icount(r.vm) / 1000000);
        boot_record_finish(&log, &r.vm, "jit");
        EXPECT(log.inputs > DATA / 1500);
    }
    doppel_destroy(r.vm);
    unlink(log.path);
}

TEST(net_amd64_e1000)
{
    net_test("amd64", "e1000");
}

/* More under make check-long. */
TEST(net_others)
{
    static const char *const rows[][2] = {{"686", "ne2k_pci"}, {"amd64", "ne2k_pci"}};
    for (uint64_t i = 0; i < t_amount(0, 0, 2); i++) {
        net_test(rows[i][0], rows[i][1]);
    }
}

#else

TEST(net_user_is_not_built)
{
    SKIP("doppel was built without libslirp");
}

#endif
