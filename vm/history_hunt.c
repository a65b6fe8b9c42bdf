/*
 * The search through the past on several of the host's cores; see history_priv.h.
 *
 * Each hunter is a thread with a twin of the machine (vm/twin.h). It takes the latest stretch that
 * nobody has, runs it, and notes the last hit. When one has found something, earlier stretches are
 * of no interest: who runs one is interrupted, and no more are taken. Who runs a later one goes on.
 * So what is found does not depend on who was faster, and is what one after the other would find.
 *
 * What always holds: the machine itself stands still meanwhile; its checkpoints are entered by one
 * hunter each; the log of inputs is only read.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "host/hosttime.h"
#include "vm/debug.h"
#include "vm/history_priv.h"
#include "vm/twin.h"
#include "vm/vm.h"

#define NOBODY SIZE_MAX
#define LOOK   20000000u /* ns: so often the operator's interrupt is looked for */

struct hunt;

struct hunter {
    struct hunt *hunt;
    pthread_t thread;
    struct doppel_vm *twin;    /* NULL: none yet; set with the lock held */
    size_t running;            /* the stretch; NOBODY: none */
    struct history_log inputs; /* the history's list, with a place of our own */
    bool found;
    struct doppel_hit hit;
    uint64_t until;
};

struct hunt {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct doppel_vm *vm;
    const struct stretch *list;
    size_t n, next, best; /* best: the earliest index with a hit */
    struct doppel_hit hit;
    bool failed, cancelled;
    unsigned alive;
    struct hunter hunter[HISTORY_HUNTERS];
};

/* --- One stretch --- */

static bool note_hit(void *ctx, struct doppel_vm *twin, const struct doppel_hit *hit)
{
    struct hunter *r = ctx;
    (void)twin;
    if (hit->before < r->until && history_wants(r->hunt->vm->history, &hit->point)) {
        r->hit = *hit;
        r->found = true;
    }
    return false;
}

/* Is stretch k of no interest, by what the others found? With the lock held. */
static bool vain(const struct hunt *h, size_t k)
{
    return k > h->best || h->failed || h->cancelled;
}

/* False: there is none. One that is made while nobody wants it any more does not run: whoever
 * called it off could not interrupt it. */
static bool need_twin(struct hunter *r, const struct stretch *s, bool *wanted)
{
    struct hunt *h = r->hunt;
    struct err e = {""};
    struct doppel_vm *twin = r->twin ? r->twin : twin_new(h->vm, s->from->cp, &e);
    pthread_mutex_lock(&h->lock);
    r->twin = twin;
    *wanted = !vain(h, r->running);
    pthread_mutex_unlock(&h->lock);
    return twin != NULL;
}

static bool run_stretch(struct hunter *r, const struct stretch *s)
{
    struct doppel_vm *vm = r->hunt->vm;
    struct err e = {""};
    bool wanted;
    if (!need_twin(r, s, &wanted)) {
        return false;
    }
    if (!wanted) {
        return true;
    }
    if (!twin_enter(r->twin, s->from->cp, &e)) {
        return false;
    }
    r->inputs = vm->history->log;
    r->inputs.cursor = s->from->input;
    r->twin->gate.feed = history_log_feed(&r->inputs);
    r->found = false;
    r->until = s->end;
    doppel_break_clear(r->twin);
    debug_copy(r->twin, vm);
    debug_begin(r->twin, NULL);
    debug_collect(r->twin, note_hit, r);
    bool ok = vm_run(r->twin, s->end) == DOPPEL_LIMIT && r->twin->clock.s.icount == s->end;
    debug_collect(r->twin, NULL, NULL);
    r->twin->gate.feed = NULL;
    return ok;
}

/* --- Sharing out; with the lock held --- */

/* Those that run what is of no interest. */
static void stop_vain(struct hunt *h)
{
    for (unsigned i = 0; i < HISTORY_HUNTERS; i++) {
        struct hunter *r = &h->hunter[i];
        if (r->running != NOBODY && vain(h, r->running) && r->twin) {
            doppel_interrupt(r->twin);
        }
    }
}

static bool take(struct hunt *h, struct hunter *r)
{
    r->running = NOBODY;
    if (h->next == h->n || vain(h, h->next)) {
        return false;
    }
    r->running = h->next++;
    return true;
}

static void report(struct hunt *h, const struct hunter *r, bool ok)
{
    if (vain(h, r->running)) {
        return;
    }
    if (!ok) {
        h->failed = true;
        stop_vain(h);
    } else if (r->found) {
        h->best = r->running;
        h->hit = r->hit;
        stop_vain(h);
    }
}

static void *hunter_main(void *ctx)
{
    struct hunter *r = ctx;
    struct hunt *h = r->hunt;
    pthread_mutex_lock(&h->lock);
    while (take(h, r)) {
        pthread_mutex_unlock(&h->lock);
        bool ok = run_stretch(r, &h->list[r->running]);
        pthread_mutex_lock(&h->lock);
        report(h, r, ok);
    }
    h->alive--;
    pthread_cond_signal(&h->ended);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* --- All of them --- */

static void wait_for_all(struct hunt *h)
{
    while (h->alive) {
        host_cond_wait(&h->ended, &h->lock, LOOK);
        if (atomic_load(&h->vm->interrupted) && !h->cancelled) {
            h->cancelled = true;
            stop_vain(h);
        }
    }
}

enum history_found history_hunt(struct doppel_vm *vm, const struct stretch *list, size_t n,
                                unsigned workers, struct err *e)
{
    struct history *h = vm->history;
    struct hunt *x = calloc(1, sizeof *x);
    if (!x) {
        return HISTORY_FAILED;
    }
    *x = (struct hunt){.vm = vm, .list = list, .n = n, .best = NOBODY};
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->ended, NULL);
    pthread_mutex_lock(&x->lock);
    for (unsigned i = 0; i < HISTORY_HUNTERS; i++) {
        struct hunter *r = &x->hunter[i];
        *r = (struct hunter){.hunt = x, .twin = h->twin[i], .running = NOBODY};
        if (r->twin) {
            atomic_store(&r->twin->interrupted, false);
        }
    }
    unsigned threads = 0;
    while (threads < workers && threads < n && threads < HISTORY_HUNTERS &&
           pthread_create(&x->hunter[threads].thread, NULL, hunter_main, &x->hunter[threads]) ==
               0) {
        threads++;
        x->alive++;
    }
    x->failed = !threads;
    wait_for_all(x);
    pthread_mutex_unlock(&x->lock);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(x->hunter[i].thread, NULL);
        h->twin[i] = x->hunter[i].twin;
        if (h->twin[i]) {
            twin_leave(h->twin[i]);
        }
    }
    enum history_found found = x->cancelled || x->failed ? HISTORY_FAILED
                               : x->best == NOBODY       ? HISTORY_NONE
                                                         : HISTORY_FOUND;
    if (found == HISTORY_FOUND) {
        h->hit = x->hit;
    } else if (x->cancelled) {
        err_set(e, "interrupted");
    }
    pthread_cond_destroy(&x->ended);
    pthread_mutex_destroy(&x->lock);
    free(x);
    return found;
}

void history_hunt_end(struct history *h)
{
    for (unsigned i = 0; i < HISTORY_HUNTERS; i++) {
        doppel_destroy(h->twin[i]);
        h->twin[i] = NULL;
    }
}
