// Sockets as cables: options, frames both ways, a card without room, peers that come and go.

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/net_socket.h"
#include "tests/t.h"
#include "util/bits.h"

TEST(net_socket_options)
{
    static const char *const bad[] = {"",
                                      "listen=:70000",
                                      "listen=:",
                                      "listen=there:1",
                                      "connect=127.0.0.1",
                                      "mcast=10.0.0.1:1234",
                                      "mcast=:1234",
                                      "speed=3",
                                      "listen=:5000,connect=:5001",
                                      "connect=127.0.0.1:1"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {""};
        t_context("%s", bad[i]);
        EXPECT(!net_socket_open(bad[i], &e) && e.msg[0]);
    }
}

// A card's side: counts the frames that come and checks their order.
struct card {
    struct gate g;
    struct net *n;
    unsigned frames, bytes;
    bool bad;
};

static void deliver(void *ctx, const uint8_t *data, uint32_t len)
{
    struct card *c = ctx;
    c->bad |= len < 4 || le32_get(data) != c->frames;
    c->frames++;
    c->bytes += net_cost(len);
}

static bool plug(struct card *c, const char *options)
{
    struct err e = {""};
    memset(c, 0, sizeof *c);
    gate_init(&c->g);
    c->n = net_socket_open(options, &e);
    if (!c->n) {
        FAIL("%s: %s", options, e.msg);
        return false;
    }
    net_attach(c->n, &c->g, gate_source_add(&c->g, "rx", deliver, c));
    return EXPECT(c->n->start(c->n, &e));
}

static void unplug(struct card *c)
{
    if (c->n) {
        c->n->close(c->n);
    }
    gate_fini(&c->g);
}

// Wait up to five seconds for so many frames.
static bool wait_for(struct card *c, unsigned frames)
{
    for (unsigned i = 0; i < 500 && c->frames < frames; i++) {
        gate_deliver(&c->g, 0);
        if (c->frames < frames) {
            usleep(10000);
        }
    }
    return c->frames == frames;
}

static void send_some(struct card *c, unsigned first, unsigned n, size_t len)
{
    uint8_t f[2000] = {0};
    for (unsigned i = 0; i < n; i++) {
        le32_put(f, first + i);
        net_send(c->n, f, len);
    }
}

static bool open_pair(struct card *a, struct card *b, unsigned *port)
{
    char text[64];
    for (*port = 20000 + (unsigned)getpid() % 20000; *port < 60000; *port += 1) {
        struct err e = {""};
        snprintf(text, sizeof text, "listen=:%u", *port);
        struct net *probe = net_socket_open(text, &e);
        if (probe) {
            probe->close(probe);
            break;
        }
    }
    bool ok = plug(a, text);
    snprintf(text, sizeof text, "connect=127.0.0.1:%u", *port);
    return plug(b, text) && ok;
}

TEST(net_socket_carries_frames)
{
    struct card a, b;
    unsigned port;
    if (open_pair(&a, &b, &port)) {
        send_some(&b, 0, 50, 1514);
        EXPECT(wait_for(&a, 50) && !a.bad);
        send_some(&a, 0, 50, 60);
        EXPECT(wait_for(&b, 50) && !b.bad);
        char text[200] = "";
        a.n->info(a.n, text, sizeof text);
        EXPECT(strstr(text, "connected") != NULL);
    }
    unplug(&b);
    unplug(&a);
}

// A card that takes nothing for a while loses nothing: busy never exceeds its queue.
TEST(net_socket_waits_for_the_card)
{
    struct card a, b;
    unsigned port;
    if (open_pair(&a, &b, &port)) {
        a.n->capacity = 4000;
        for (unsigned sent = 0; sent < 400; sent += 40) {
            send_some(&b, sent, 40, 1000);
            usleep(1000);
        }
        for (unsigned i = 0; i < 2000 && a.frames < 400; i++) {
            EXPECT(atomic_load(&a.n->busy) <= 4000);
            gate_deliver(&a.g, 0);
            uint32_t taken = a.bytes;
            a.bytes = 0;
            if (taken) {
                net_taken(a.n, taken);
            } else {
                usleep(1000);
            }
        }
        EXPECT(a.frames == 400 && !a.bad);
    }
    unplug(&b);
    unplug(&a);
}

TEST(net_socket_takes_the_next_peer)
{
    struct card a, b, again;
    unsigned port;
    char text[64];
    if (!open_pair(&a, &b, &port)) {
        return;
    }
    send_some(&b, 0, 1, 60);
    EXPECT(wait_for(&a, 1));
    unplug(&b);
    // One that sends a length no frame has is hung up on.
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    static const uint8_t evil[8] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    EXPECT(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    EXPECT_EQ(write(fd, evil, sizeof evil), sizeof evil);
    uint8_t byte;
    EXPECT(read(fd, &byte, 1) <= 0);
    close(fd);
    snprintf(text, sizeof text, "connect=127.0.0.1:%u", port);
    if (plug(&again, text)) {
        send_some(&again, 1, 1, 60);
        EXPECT(wait_for(&a, 2) && !a.bad);
    }
    unplug(&again);
    unplug(&a);
}
