// User-mode networking: options, and a DHCP exchange in raw frames.

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "host/net_user.h"
#include "tests/t.h"
#include "util/bits.h"

TEST(net_user_options)
{
#if HAVE_SLIRP
    static const char *const bad[] = {
        "speed=3",
        "restrict=maybe",
        "net=10.0.0.0/33",
        "net=300.1.2.3",
        "host=there",
        "hostfwd=tcp::80",
        "hostfwd=sctp::1-:2",
        "hostfwd=tcp::70000-:22",
        "hostname",
        "hostfwd=tcp::1-:0",
        "hostfwd=tcp:x:1024-:2",
        "ipv6=perhaps",
        "guestfwd=tcp:10.0.2.9:7",
        "dhcpstart=10.0.3.15",
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {""};
        struct net *n = net_user_open(bad[i], &e);
        t_context("%s", bad[i]);
        EXPECT(!n && e.msg[0]);
    }
#else
    struct err e = {""};
    EXPECT(!net_user_open("", &e) && strstr(e.msg, "libslirp-dev"));
#endif
}

#if HAVE_SLIRP
TEST(net_user_forwards_ports_while_it_runs)
{
    struct err e = {""};
    char text[512] = "";
    uint16_t port = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    EXPECT(bind(fd, (struct sockaddr *)&a, size) == 0 && listen(fd, 1) == 0 &&
           getsockname(fd, (struct sockaddr *)&a, &size) == 0);
    port = ntohs(a.sin_port);
    char taken[64], spec[64];
    snprintf(taken, sizeof taken, "hostfwd=tcp::%u-:22", port);
    EXPECT(!net_user_open(taken, &e) && strstr(e.msg, "cannot be listened at"));
    struct net *n = net_user_open("", &e);
    if (!EXPECT(n && n->start(n, &e))) {
        return;
    }
    snprintf(spec, sizeof spec, "tcp:127.0.0.1:%u-10.0.2.15:22", port);
    EXPECT(!n->forward(n, spec, true, &e));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(n->forward(n, spec, true, &e));
    n->info(n, text, sizeof text);
    EXPECT(strstr(text, spec) && strstr(text, "10.0.2.15"));
    EXPECT(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    close(fd);
    snprintf(spec, sizeof spec, "tcp:127.0.0.1:%u", port);
    EXPECT(n->forward(n, spec, false, &e));
    EXPECT(!n->forward(n, spec, false, &e) && strstr(e.msg, "no such"));
    EXPECT(!n->forward(n, "tcp:x", true, &e));
    n->close(n);
}

struct heard {
    uint8_t frame[2048];
    uint32_t len;
};

static void deliver(void *ctx, const uint8_t *data, uint32_t len)
{
    struct heard *h = ctx;
    h->len = len < sizeof h->frame ? len : sizeof h->frame;
    memcpy(h->frame, data, h->len);
}

// DISCOVER of a client with the address 52:54:00:12:34:56; checksum of UDP left out, as allowed.
static size_t discover(uint8_t *f)
{
    static const uint8_t head[] = {
        255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0,   0x45, 0,   1,
        16,  0,   0,   0,   0,   64,  17,   0,    0, 0,    0,    0,    0, 255, 255,  255, 255,
        0,   68,  0,   67,  0,   252, 0,    0,    1, 1,    6,    0,    1, 2,   3,    4};
    static const uint8_t tail[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
    memset(f, 0, 14 + 272);
    memcpy(f, head, sizeof head);
    uint32_t sum = 0;
    for (unsigned i = 14; i < 34; i += 2) {
        sum += (uint32_t)f[i] << 8 | f[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    f[24] = (uint8_t)(~sum >> 8);
    f[25] = (uint8_t)~sum;
    memcpy(f + 42 + 28, f + 6, 6); // chaddr
    memcpy(f + 42 + 236, tail, sizeof tail);
    return 14 + 272;
}

TEST(net_user_dhcp_offers_the_first_address)
{
    struct gate g;
    struct heard h = {.len = 0};
    struct err e = {""};
    uint8_t f[512];
    gate_init(&g);
    int source = gate_source_add(&g, "rx", deliver, &h);
    struct net *n =
        net_user_open("ipv6=off,net=192.168.7.0/24,dhcpstart=192.168.7.77,hostname=x", &e);
    if (!EXPECT(n)) {
        FAIL("%s", e.msg);
        return;
    }
    net_attach(n, &g, source);
    EXPECT(n->start(n, &e));
    net_send(n, f, discover(f));
    for (unsigned i = 0; i < 500 && !h.len; i++) {
        usleep(10000);
        gate_deliver(&g, 0);
    }
    EXPECT(h.len > 14 + 20 + 8 + 240);
    static const uint8_t want[4] = {192, 168, 7, 77};
    EXPECT_MEM(h.frame + 42 + 16, want, 4); // yiaddr
    EXPECT_EQ(h.frame[42 + 240 + 2], 2);    // DHCPOFFER
    for (unsigned i = 0; i < 200; i++) {    // anything at all is survived
        memset(f, (int)i, sizeof f);
        net_send(n, f, i * 2);
    }
    n->close(n);
    gate_fini(&g);
}
#endif
