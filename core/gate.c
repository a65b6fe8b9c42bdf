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

void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    g->tail = &g->head;
    pthread_mutex_init(&g->lock, NULL);
}

void gate_fini(struct gate *g)
{
    while (g->head) {
        struct gate_post *p = g->head;
        g->head = p->next;
        free(p);
    }
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

unsigned gate_deliver(struct gate *g, vtime now)
{
    pthread_mutex_lock(&g->lock);
    struct gate_post *p = g->head;
    g->head = NULL;
    g->tail = &g->head;
    g->pending = false;
    pthread_mutex_unlock(&g->lock);

    unsigned n = 0;
    while (p) {
        const struct gate_source *s = &g->sources[p->source];
        if (g->sink) {
            struct gate_event ev = {now, s->name, p->payload, p->len};
            g->sink(g->sink_ctx, &ev);
        }
        s->deliver(s->ctx, p->payload, p->len);
        struct gate_post *next = p->next;
        free(p);
        p = next;
        n++;
    }
    return n;
}

void gate_hand(struct gate *g, int source, const void *payload, uint32_t len)
{
    if (source >= 0 && (unsigned)source < g->nsources) {
        g->sources[source].deliver(g->sources[source].ctx, payload, len);
    }
}

uint64_t gate_value(struct gate *g, const char *name, uint64_t host_value)
{
    if (g->sink) {
        uint8_t bytes[8];
        le64_put(bytes, host_value);
        struct gate_event ev = {0, name, bytes, sizeof bytes};
        g->sink(g->sink_ctx, &ev);
    }
    return host_value;
}
