/*
 * See net_thread.h.
 */
#include "host/net_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_OUT = 1 << 20, MAX_HELD = 8 << 20, FULL = 1 << 20 }; /* bytes */

static void append(struct net_list *l, const void *frame, size_t len)
{
    struct net_frame *f = malloc(sizeof *f + len);
    if (!f) {
        abort();
    }
    f->next = NULL;
    f->len = len;
    memcpy(f->data, frame, len);
    *l->tail = f;
    l->tail = &f->next;
    l->bytes += len;
}

static struct net_frame *take_all(struct net_list *l)
{
    struct net_frame *f = l->head;
    l->head = NULL;
    l->tail = &l->head;
    l->bytes = 0;
    return f;
}

static void free_all(struct net_list *l)
{
    for (struct net_frame *f = take_all(l), *next; f; f = next) {
        next = f->next;
        free(f);
    }
}

static void wake(struct net_thread *t)
{
    uint8_t b = 0;
    ssize_t n = write(t->wake_wr, &b, 1); /* a full pipe wakes just as well */
    (void)n;
}

bool net_thread_init(struct net_thread *t, struct net *net, struct err *e)
{
    int p[2];
    memset(t, 0, sizeof *t);
    t->net = net;
    t->wake_rd = t->wake_wr = -1;
    t->out.tail = &t->out.head;
    t->held.tail = &t->held.head;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->called, NULL);
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) != 0) {
        return err_set(e, "%s: no file descriptors: %s", net->type, strerror(errno));
    }
    t->wake_rd = p[0];
    t->wake_wr = p[1];
    return true;
}

bool net_thread_start(struct net_thread *t, void *(*run)(void *), void *ctx, struct err *e)
{
    t->started = true;
    if (pthread_create(&t->thread, NULL, run, ctx) != 0) {
        t->started = false;
        return err_set(e, "%s: no thread for %s networking", t->net->name, t->net->type);
    }
    return true;
}

void net_thread_stop(struct net_thread *t)
{
    if (t->started) {
        pthread_mutex_lock(&t->lock);
        t->stop = true;
        pthread_mutex_unlock(&t->lock);
        wake(t);
        pthread_join(t->thread, NULL);
        t->started = false;
    }
    free_all(&t->out);
    free_all(&t->held);
    if (t->wake_rd >= 0) {
        close(t->wake_rd);
        close(t->wake_wr);
    }
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->called);
}

/* --- From the machine's thread --- */

void net_thread_send(struct net_thread *t, const uint8_t *frame, size_t len)
{
    if (!t->started || len > NET_FRAME_MAX) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    bool fits = t->out.bytes + len <= MAX_OUT;
    if (fits) {
        append(&t->out, frame, len);
    }
    pthread_mutex_unlock(&t->lock);
    if (fits) {
        wake(t);
    }
}

void net_thread_room(struct net_thread *t)
{
    if (atomic_load(&t->waiting) && atomic_exchange(&t->waiting, false)) {
        wake(t);
    }
}

void net_thread_call(struct net_thread *t, void (*fn)(void *), void *ctx)
{
    if (!t->started) {
        fn(ctx);
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->call = fn;
    t->call_ctx = ctx;
    wake(t);
    while (t->call) {
        pthread_cond_wait(&t->called, &t->lock);
    }
    pthread_mutex_unlock(&t->lock);
}

/* --- In the thread --- */

bool net_thread_take(struct net_thread *t, struct net_frame **list)
{
    pthread_mutex_lock(&t->lock);
    *list = take_all(&t->out);
    if (t->call) {
        t->call(t->call_ctx);
        t->call = NULL;
        pthread_cond_signal(&t->called);
    }
    bool go_on = !t->stop;
    pthread_mutex_unlock(&t->lock);
    return go_on;
}

void net_thread_woken(struct net_thread *t)
{
    uint8_t sink[64];
    while (read(t->wake_rd, sink, sizeof sink) == (ssize_t)sizeof sink) {
    }
}

static bool hand_over(struct net_thread *t)
{
    struct net_list *l = &t->held;
    while (l->head && net_fits(t->net, l->head->len)) {
        struct net_frame *f = l->head;
        net_input(t->net, f->data, f->len);
        l->head = f->next;
        l->bytes -= f->len;
        l->tail = l->head ? l->tail : &l->head;
        free(f);
    }
    return !l->head;
}

void net_thread_flush(struct net_thread *t)
{
    if (!hand_over(t)) {
        atomic_store(&t->waiting, true);
        if (hand_over(t)) { /* room came between the two */
            atomic_store(&t->waiting, false);
        }
    }
}

void net_thread_give(struct net_thread *t, const void *frame, size_t len)
{
    if (len && len <= NET_FRAME_MAX && t->held.bytes + len <= MAX_HELD) {
        append(&t->held, frame, len);
        hand_over(t);
    }
}

bool net_thread_full(const struct net_thread *t)
{
    return t->held.bytes > FULL;
}
