/* See history_log.h. */
#include "vm/history_log.h"

#include <stdlib.h>
#include <string.h>

struct history_input {
    struct gate_event ev; /* payload: the bytes behind */
    char source[32];
    uint8_t payload[];
};

void history_log_add(struct history_log *l, const struct gate_event *ev)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->list = realloc(l->list, l->cap * sizeof l->list[0]);
    }
    struct history_input *in = calloc(1, sizeof *in + ev->len);
    if (!l->list || !in) {
        abort();
    }
    in->ev = *ev;
    strncpy(in->source, ev->source, sizeof in->source - 1);
    if (ev->len) {
        memcpy(in->payload, ev->payload, ev->len);
    }
    in->ev.source = in->source;
    in->ev.payload = in->payload;
    l->bytes += sizeof *in + ev->len;
    l->list[l->n++] = in;
}

static void forget(struct history_log *l, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        l->bytes -= sizeof *l->list[i] + l->list[i]->ev.len;
        free(l->list[i]);
    }
}

void history_log_drop(struct history_log *l, size_t n)
{
    forget(l, 0, n);
    l->n -= n;
    if (l->n) {
        memmove(l->list, l->list + n, l->n * sizeof l->list[0]);
    }
    l->cursor = l->cursor > n ? l->cursor - n : 0;
}

void history_log_cut(struct history_log *l)
{
    forget(l, l->cursor, l->n);
    l->n = l->cursor;
}

void history_log_free(struct history_log *l)
{
    forget(l, 0, l->n);
    free(l->list);
    *l = (struct history_log){.n = 0};
}

static bool peek(void *ctx, struct gate_event *ev)
{
    const struct history_log *l = ctx;
    if (l->cursor < l->n) {
        *ev = l->list[l->cursor]->ev;
    }
    return l->cursor < l->n;
}

static void pop(void *ctx)
{
    struct history_log *l = ctx;
    l->cursor++;
}

const struct gate_feed *history_log_feed(struct history_log *l)
{
    l->feed = (struct gate_feed){peek, pop, l};
    return &l->feed;
}

bool history_log_has(const struct history_log *l, size_t from, const char *source)
{
    for (size_t i = from; i < l->n; i++) {
        if (strcmp(l->list[i]->source, source) == 0) {
            return true;
        }
    }
    return false;
}

uint64_t history_log_bytes(const struct history_log *l)
{
    return l->bytes + l->cap * sizeof l->list[0];
}
