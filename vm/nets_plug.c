/*
 * A plug between a card and a back end. The card was attached to the plug when it was made, so the
 * plug stays and passes on what the card says; frames go from the back end to the card's gate
 * source directly. What the card takes from its queue is passed on as the difference of `busy`,
 * which is otherwise kept high.
 */
#include "vm/nets_plug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY (1u << 31)

struct net_plug {
    struct net net; /* first */
    char type[16];
    char *options;
    struct net *(*open)(const char *options, struct err *e);
    struct net *inner; /* NULL: not live */
};

static void plug_send(struct net *n, const uint8_t *frame, size_t len)
{
    net_send(((struct net_plug *)n)->inner, frame, len);
}

static void plug_room(struct net *n)
{
    net_taken(((struct net_plug *)n)->inner, BUSY - atomic_exchange(&n->busy, BUSY));
}

static void plug_info(struct net *n, char *text, size_t size)
{
    struct net *inner = ((struct net_plug *)n)->inner;
    if (inner->info) {
        inner->info(inner, text, size);
    }
}

static bool plug_forward(struct net *n, const char *spec, bool add, struct err *e)
{
    struct net *inner = ((struct net_plug *)n)->inner;
    return inner->forward(inner, spec, add, e);
}

static void plug_close(struct net *n)
{
    struct net_plug *p = (struct net_plug *)n;
    if (p->inner) {
        p->inner->close(p->inner);
    }
    free(p->options);
    free(p);
}

struct net *net_plug_new(const char *type, const char *options,
                         struct net *(*open)(const char *options, struct err *e))
{
    struct net_plug *p = calloc(1, sizeof *p);
    if (!p || !(p->options = strdup(options))) {
        abort();
    }
    snprintf(p->type, sizeof p->type, "%s", type);
    p->open = open;
    p->net.type = p->type;
    p->net.source = -1;
    p->net.close = plug_close;
    return &p->net;
}

bool net_plug_live(struct net *n, struct err *e)
{
    struct net_plug *p = (struct net_plug *)n;
    if (n->close != plug_close || p->inner) {
        return true;
    }
    struct net *inner = p->open(p->options, e);
    if (!inner) {
        return false;
    }
    memcpy(inner->name, n->name, sizeof n->name);
    memcpy(inner->mac, n->mac, sizeof n->mac);
    inner->gate = n->gate;
    inner->source = n->source;
    inner->capacity = n->capacity;
    atomic_store(&inner->busy, atomic_exchange(&n->busy, BUSY));
    p->inner = inner;
    n->send = plug_send;
    n->room = plug_room;
    n->info = plug_info;
    n->forward = inner->forward ? plug_forward : NULL;
    return !n->gate || !inner->start || inner->start(inner, e);
}
