// The gate: order, stamps, refusals, posts from several threads, and posts from handlers.

#include "core/gate.h"

#include <pthread.h>
#include <string.h>

#include "tests/t.h"
#include "util/bits.h"

struct got {
    struct gate *g;
    unsigned n;
    uint32_t last[8]; // per thread: the last sequence number
    bool in_order;
    vtime when[16];
    char source[16][32];
    uint64_t value[16];
    unsigned logged;
    int repost;
};

static void deliver(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct got *r = ctx;
    if (len == 8) {
        uint32_t who = le32_get(payload), seq = le32_get(payload + 4);
        if (seq != r->last[who] + 1) {
            r->in_order = false;
        }
        r->last[who] = seq;
    }
    if (r->repost >= 0 && r->n < 3) {
        EXPECT(gate_post(r->g, r->repost, payload, len));
    }
    r->n++;
}

static void sink(void *ctx, const struct gate_event *ev)
{
    struct got *r = ctx;
    if (r->logged < 16) {
        r->when[r->logged] = ev->when;
        memcpy(r->source[r->logged], ev->source, strlen(ev->source) + 1);
        r->value[r->logged] = ev->len == 8 ? le64_get(ev->payload) : ev->len;
    }
    // The log comes before the effect, so a crash in a handler can be replayed.
    EXPECT(r->logged >= r->n);
    r->logged++;
}

static void setup(struct gate *g, struct got *r)
{
    memset(r, 0, sizeof *r);
    r->g = g;
    r->in_order = true;
    r->repost = -1;
    gate_init(g);
}

TEST(gate_stamps_and_logs)
{
    struct gate g;
    struct got r;
    setup(&g, &r);
    gate_listen(&g, sink, &r);
    EXPECT_EQ(gate_value(&g, "rtc.epoch", UINT64_C(0x123456789abcdef0)),
              UINT64_C(0x123456789abcdef0));
    int a = gate_source_add(&g, "com1.rx", deliver, &r);
    int b = gate_source_add(&g, "kbd", deliver, &r);
    EXPECT(a >= 0 && b >= 0 && a != b);
    EXPECT_EQ(gate_source_find(&g, "kbd"), b);
    EXPECT_EQ(gate_source_find(&g, "mouse"), -1);
    EXPECT(!g.pending);
    EXPECT(gate_post(&g, b, "abc", 3));
    EXPECT(gate_post(&g, a, "x", 1));
    EXPECT(g.pending);
    EXPECT_EQ(r.n, 0); // nothing happens in the posting call
    EXPECT_EQ(gate_deliver(&g, 777), 2);
    EXPECT(!g.pending);
    EXPECT_EQ(gate_deliver(&g, 778), 0);
    EXPECT_EQ(r.logged, 3);
    EXPECT_STR(r.source[0], "rtc.epoch");
    EXPECT_EQ(r.when[0], 0);
    EXPECT_EQ(r.value[0], UINT64_C(0x123456789abcdef0));
    EXPECT_STR(r.source[1], "kbd");
    EXPECT_STR(r.source[2], "com1.rx");
    EXPECT_EQ(r.when[2], 777);
    gate_fini(&g);
}

struct script {
    const struct gate_event *ev;
    unsigned n;
};

static bool peek(void *ctx, struct gate_event *ev)
{
    struct script *s = ctx;
    if (s->n > 0) {
        *ev = *s->ev;
    }
    return s->n > 0;
}

static void pop(void *ctx)
{
    struct script *s = ctx;
    s->ev++;
    s->n--;
}

// A log is delivered at its instants and on the same side of what else happens there; posts are
// thrown away meanwhile.
TEST(gate_feeds_from_a_log)
{
    static const struct gate_event log[] = {
        {5, 0, "a", (const uint8_t *)"1", 1},
        {7, 2, "a", (const uint8_t *)"2", 1},
        {9, 2, "a", (const uint8_t *)"3", 1},
        {9, 4, "nobody", (const uint8_t *)"4", 1},
    };
    struct gate g;
    struct got r;
    setup(&g, &r);
    int a = gate_source_add(&g, "a", deliver, &r);
    struct script s = {log, 3};
    const struct gate_feed feed = {peek, pop, &s};
    g.feed = &feed;
    EXPECT_EQ(gate_next(&g), 5);
    EXPECT(gate_post(&g, a, "live", 4));
    EXPECT_EQ(gate_deliver(&g, 4), 0);
    EXPECT(!g.pending);
    EXPECT_EQ(gate_deliver(&g, 5), 1);
    EXPECT_EQ(gate_deliver(&g, 7), 0); // two timers are to fire first
    g.order = 1;
    EXPECT_EQ(gate_deliver(&g, 7), 0);
    g.order = 2;
    EXPECT_EQ(gate_deliver(&g, 7), 1);
    EXPECT_EQ(g.late, 0);
    EXPECT_EQ(r.n, 2);
    EXPECT_EQ(gate_deliver(&g, 10), 1); // the instant is over
    EXPECT_EQ(g.late, 1);
    EXPECT_EQ(gate_next(&g), VTIME_NEVER);
    EXPECT(!gate_deliver_late(&g, 10));
    s.n = 1;
    EXPECT_EQ(gate_deliver(&g, 9), 0);
    EXPECT(gate_deliver_late(&g, 9)); // its place is never reached, and nobody takes it
    EXPECT_EQ(g.late, 3);
    EXPECT_EQ(r.n, 3);
    gate_fini(&g);
}

TEST(gate_refuses)
{
    struct gate g;
    struct got r;
    static const uint8_t big[GATE_PAYLOAD_MAX + 1];
    setup(&g, &r);
    int a = gate_source_add(&g, "a", deliver, &r);
    EXPECT(!gate_post(&g, -1, "x", 1));
    EXPECT(!gate_post(&g, a + 1, "x", 1));
    EXPECT(!gate_post(&g, a, big, GATE_PAYLOAD_MAX + 1));
    EXPECT(gate_post(&g, a, big, GATE_PAYLOAD_MAX));
    EXPECT(gate_post(&g, a, NULL, 0));
    EXPECT_EQ(gate_deliver(&g, 1), 2);
    EXPECT(gate_post(&g, a, "left", 4)); // freed by gate_fini: ASan would tell
    gate_fini(&g);
}

// A handler's own post waits for the next delivery.
TEST(gate_post_from_handler)
{
    struct gate g;
    struct got r;
    setup(&g, &r);
    r.repost = gate_source_add(&g, "loop", deliver, &r);
    EXPECT(gate_post(&g, r.repost, "x", 1));
    EXPECT_EQ(gate_deliver(&g, 1), 1);
    EXPECT(g.pending);
    EXPECT_EQ(gate_deliver(&g, 2), 1);
    EXPECT_EQ(gate_deliver(&g, 3), 1);
    EXPECT_EQ(gate_deliver(&g, 4), 1);
    EXPECT_EQ(gate_deliver(&g, 5), 0);
    gate_fini(&g);
}

struct poster {
    struct gate *g;
    int source;
    uint32_t who, count;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;
    for (uint32_t i = 1; i <= p->count; i++) {
        uint8_t msg[8];
        le32_put(msg, p->who);
        le32_put(msg + 4, i);
        gate_post(p->g, p->source, msg, sizeof msg);
    }
    return NULL;
}

static void count_wake(void *ctx)
{
    __atomic_add_fetch((unsigned *)ctx, 1, __ATOMIC_RELAXED);
}

TEST(gate_several_threads)
{
    enum { THREADS = 4, COUNT = 2000 };
    struct gate g;
    struct got r;
    unsigned wakes = 0;
    setup(&g, &r);
    g.wake = count_wake;
    g.wake_ctx = &wakes;
    int a = gate_source_add(&g, "a", deliver, &r);
    pthread_t th[THREADS];
    struct poster p[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        p[i] = (struct poster){&g, a, i, COUNT};
        pthread_create(&th[i], NULL, post_many, &p[i]);
    }
    vtime now = 0;
    while (r.n < THREADS * COUNT && now < 2000000000) {
        gate_deliver(&g, ++now);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(th[i], NULL);
    }
    EXPECT_EQ(r.n, THREADS * COUNT);
    EXPECT(r.in_order); // each thread's posts arrive in its order, none lost or doubled
    EXPECT_EQ(wakes, THREADS * COUNT);
    EXPECT_EQ(gate_deliver(&g, now), 0);
    gate_fini(&g);
}
