/* See replay.h. */
#include "tests/boot/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/t.h"
#include "vm/nets.h"
#include "vm/vm.h"

enum { MAX_EVENTS = 20000 };

static void keep(void *ctx, const struct gate_event *ev)
{
    struct recording *r = ctx;
    if (r->n == MAX_EVENTS) {
        FAIL("more than %d inputs", MAX_EVENTS);
        gate_unlisten(&r->vm->gate, keep, r);
        return;
    }
    struct replay_event *e = &r->event[r->n++];
    *e = (struct replay_event){.when = ev->when,
                               .source = gate_source_find(&r->vm->gate, ev->source),
                               .len = ev->len,
                               .payload = malloc(ev->len + 1)};
    memcpy(e->payload, ev->payload, ev->len);
}

void packets_keep(struct recording *r, struct doppel_vm *vm)
{
    *r = (struct recording){.vm = vm, .event = calloc(MAX_EVENTS, sizeof *r->event)};
    gate_listen(&vm->gate, keep, r);
}

void packets_stop(struct recording *r)
{
    gate_unlisten(&r->vm->gate, keep, r);
}

void packets_free(struct recording *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        free(r->event[i].payload);
    }
    free(r->event);
    *r = (struct recording){.n = 0};
}

static void on_due(void *ctx)
{
    struct replay *p = ctx;
    const struct recording *r = p->from;
    while (p->next < r->n && r->event[p->next].when <= clock_now(&p->vm->clock)) {
        const struct replay_event *e = &r->event[p->next++];
        gate_post(&p->vm->gate, e->source, e->payload, e->len);
    }
    if (p->next < r->n) {
        timer_set(&p->timer, r->event[p->next].when);
    }
}

/* From event `next` on. */
static void go_on(struct replay *p, struct doppel_vm *vm, const struct recording *from,
                  unsigned next)
{
    char name[16];
    struct net *n;
    for (unsigned i = 0; snprintf(name, sizeof name, "net%u", i), (n = nets_find(vm, name)); i++) {
        n->gate = NULL; /* nothing can come */
        n->send = NULL;
    }
    *p = (struct replay){.vm = vm, .from = from, .next = next};
    timer_init(&p->timer, &vm->clock, &p->due, on_due, p);
    if (next < from->n) {
        timer_set(&p->timer, from->event[next].when);
    }
}

void packets_replay(struct replay *p, struct doppel_vm *vm, const struct recording *from)
{
    go_on(p, vm, from, 0);
}

void packets_go_on(struct replay *p, struct doppel_vm *vm, const struct replay *first)
{
    go_on(p, vm, first->from, first->next);
}
