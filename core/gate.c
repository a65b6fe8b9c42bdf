/*
 * The gate: a queue that any thread may fill and only the machine's thread empties.
 *
 * The lock covers the queue alone. Sources are registered while the machine is built and read-only
 * afterwards. The lock is released before handlers run, so a handler may post (that post is
 * delivered by the next gate_deliver) and a slow handler holds nobody up.
 */
#include "core/gate.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

struct gate_post {
    struct gate_post *next;
    int source;
    uint32_t len;
    uint8_t payload[];
};

static void free_posts(struct gate_post *p)
{
    while (p) {
        struct gate_post *next = p->next;
        free(p);
        p = next;
    }
}

void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    g->tail = &g->head;
    pthread_mutex_init(&g->lock, NULL);
}

void gate_fini(struct gate *g)
{
    free_posts(g->head);
    g->head = NULL;
    free(g->sources);
    g->sources = NULL;
    g->nsources = 0;
    pthread_mutex_destroy(&g->lock);
}

int gate_source_find(const struct gate *g, const char *name)
{
    for (unsigned i = 0; i < g->nsources; i++) {
        if (strcmp(g->sources[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int gate_source_add(struct gate *g, const char *name,
                    void (*deliver)(void *ctx, const uint8_t *payload, uint32_t len), void *ctx)
{
    assert(gate_source_find(g, name) < 0 && strlen(name) < sizeof g->sources[0].name);
    g->sources = realloc(g->sources, (g->nsources + 1) * sizeof g->sources[0]);
    if (!g->sources) {
        abort();
    }
    struct gate_source *s = &g->sources[g->nsources];
    *s = (struct gate_source){.deliver = deliver, .ctx = ctx};
    snprintf(s->name, sizeof s->name, "%s", name);
    return (int)g->nsources++;
}

bool gate_post(struct gate *g, int source, const void *payload, uint32_t len)
{
    if (source < 0 || (unsigned)source >= g->nsources || len > GATE_PAYLOAD_MAX) {
        return false;
    }
    struct gate_post *p = malloc(sizeof *p + len);
    if (!p) {
        abort();
    }
    p->next = NULL;
    p->source = source;
    p->len = len;
    if (len) {
        memcpy(p->payload, payload, len);
    }
    pthread_mutex_lock(&g->lock);
    *g->tail = p;
    g->tail = &p->next;
    g->pending = true;
    pthread_mutex_unlock(&g->lock);
    if (g->wake) {
        g->wake(g->wake_ctx);
    }
    return true;
}

static struct gate_sink *find_sink(struct gate *g,
                                   void (*fn)(void *ctx, const struct gate_event *ev), void *ctx)
{
    for (unsigned i = 0; i < GATE_SINKS; i++) {
        if (g->sinks[i].fn == fn && (!fn || g->sinks[i].ctx == ctx)) {
            return &g->sinks[i];
        }
    }
    return NULL;
}

void gate_listen(struct gate *g, void (*fn)(void *ctx, const struct gate_event *ev), void *ctx)
{
    struct gate_sink *s = find_sink(g, NULL, NULL);
    assert(s);
    *s = (struct gate_sink){fn, ctx};
}

void gate_unlisten(struct gate *g, void (*fn)(void *ctx, const struct gate_event *ev), void *ctx)
{
    struct gate_sink *s = find_sink(g, fn, ctx);
    if (s) {
        *s = (struct gate_sink){NULL, NULL};
    }
}

static void tell(struct gate *g, const struct gate_event *ev)
{
    for (unsigned i = 0; i < GATE_SINKS; i++) {
        if (g->sinks[i].fn) {
            g->sinks[i].fn(g->sinks[i].ctx, ev);
        }
    }
}

static void deliver(struct gate *g, const struct gate_source *s, const struct gate_event *ev)
{
    tell(g, ev);
    g->delivered++;
    s->deliver(s->ctx, ev->payload, ev->len);
}

static unsigned deliver_fed(struct gate *g, vtime now)
{
    struct gate_event ev;
    unsigned n = 0;
    while (g->feed && g->feed->peek(g->feed->ctx, &ev) &&
           (ev.when < now || (ev.when == now && ev.order <= g->order))) {
        int source = gate_source_find(g, ev.source);
        g->late += ev.when != now || ev.order != g->order || source < 0;
        if (source >= 0) {
            deliver(g, &g->sources[source], &ev);
        }
        g->feed->pop(g->feed->ctx);
        n++;
    }
    return n;
}

static struct gate_post *take_posts(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    struct gate_post *p = g->head;
    g->head = NULL;
    g->tail = &g->head;
    g->pending = false;
    pthread_mutex_unlock(&g->lock);
    return p;
}

void gate_discard(struct gate *g)
{
    free_posts(take_posts(g));
}

unsigned gate_deliver(struct gate *g, vtime now)
{
    struct gate_post *posts = take_posts(g);
    bool fed = g->feed != NULL;
    unsigned n = fed ? deliver_fed(g, now) : 0;
    for (const struct gate_post *p = fed ? NULL : posts; p; p = p->next) {
        const struct gate_source *s = &g->sources[p->source];
        deliver(g, s, &(struct gate_event){now, g->order, s->name, p->payload, p->len});
        n++;
    }
    free_posts(posts);
    return n;
}

bool gate_deliver_late(struct gate *g, vtime now)
{
    struct gate_event ev;
    if (!g->feed || !g->feed->peek(g->feed->ctx, &ev) || ev.when > now) {
        return false;
    }
    g->order = ev.order > g->order ? ev.order : g->order;
    g->late++;
    return gate_deliver(g, now) > 0;
}

vtime gate_next(const struct gate *g)
{
    struct gate_event ev;
    return g->feed && g->feed->peek(g->feed->ctx, &ev) ? ev.when : VTIME_NEVER;
}

void gate_hand(struct gate *g, int source, const void *payload, uint32_t len)
{
    if (source >= 0 && (unsigned)source < g->nsources) {
        g->sources[source].deliver(g->sources[source].ctx, payload, len);
    }
}

uint64_t gate_value(struct gate *g, const char *name, uint64_t host_value)
{
    uint8_t bytes[8];
    le64_put(bytes, host_value);
    tell(g, &(struct gate_event){0, 0, name, bytes, sizeof bytes});
    return host_value;
}
