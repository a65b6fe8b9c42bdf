/*
 * Searching the past backwards for the last hit of break- or watchpoints; see history.h.
 *
 * An interval lies between two checkpoints, or the last one and where the machine is. Intervals are
 * run, the latest first, with hits noted instead of stopping, and the last hit of the first one
 * that has any is it. The machine runs the latest one itself, then twins of it (history_hunt.c) the
 * others, on several cores. Those that cannot have any are left out: a page of RAM that two
 * checkpoints share was not written between them, nor was a linear page that is not among those
 * that the soft TLBs let be written (tlb_note_writes).
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/debug.h"
#include "vm/history_priv.h"
#include "vm/vm.h"

static bool same_point(const struct doppel_point *a, const struct doppel_point *b)
{
    return a->kind == b->kind && a->physical == b->physical && a->address == b->address &&
           a->length == b->length;
}

bool history_wants(const struct history *h, const struct doppel_point *p)
{
    return !h->only || same_point(h->only, p);
}

bool history_collect(void *ctx, struct doppel_vm *vm, const struct doppel_hit *hit)
{
    struct history *h = ctx;
    (void)vm;
    if (h->searching && hit->before < h->until && history_wants(h, &hit->point)) {
        h->hit = *hit;
        h->found = true;
    }
    return false;
}

/* Can the point not have been met between `from` and an instant of which b is the state, or NULL?
 * That comes before the next point of the present's line, or is it. */
static bool untouched(struct doppel_vm *vm, const struct doppel_point *p, const struct point *from,
                      const struct checkpoint *b)
{
    uint64_t first = p->address >> PAGE_BITS, last = (p->address + p->length - 1) >> PAGE_BITS;
    bool ok = p->kind == DOPPEL_POINT_WRITE && (b || !p->physical);
    for (uint64_t page = first; ok && page <= last; page++) {
        ok = p->physical ? checkpoint_untouched(vm, from->cp, b, page << PAGE_BITS)
                         : !page_set_has(from->wrote, page);
    }
    return ok;
}

/* The state at the end of interval i; NULL: there is no checkpoint of it. */
static const struct checkpoint *end_of(const struct history *h, size_t i, uint64_t end)
{
    if (i + 1 < h->points.n && point_at(&h->points.list[i + 1]) == end) {
        return h->points.list[i + 1].cp;
    }
    return h->present && checkpoint_icount(h->present) == end ? h->present : NULL;
}

/* Is there nothing to be found in interval i? */
static bool barren(struct doppel_vm *vm, size_t i, uint64_t end)
{
    struct history *h = vm->history;
    const struct point *from = &h->points.list[i];
    const struct checkpoint *b = end_of(h, i, end);
    unsigned n;
    const struct doppel_point *list = debug_points(vm, &n);
    bool ok = true;
    if (h->brute) {
        return false;
    }
    if (h->only) {
        return untouched(vm, h->only, from, b);
    }
    for (unsigned k = 0; ok && k < n; k++) {
        ok = untouched(vm, &list[k], from, b);
    }
    return ok;
}

/* On the machine itself. */
static bool search_stretch(struct doppel_vm *vm, const struct stretch *s, struct err *e)
{
    struct history *h = vm->history;
    if (!history_enter(vm, (size_t)(s->from - h->points.list), e)) {
        return false;
    }
    h->until = s->end;
    h->searching = true;
    bool ok = history_run_to(vm, s->end, e);
    h->searching = false;
    return ok;
}

/* The intervals before this instant that may have a hit, the latest first; the caller's. */
static struct stretch *stretches(struct doppel_vm *vm, size_t *n)
{
    const struct history *h = vm->history;
    uint64_t end = vm->clock.s.icount;
    struct stretch *list = calloc(h->points.n, sizeof *list);
    *n = 0;
    if (!list) {
        abort();
    }
    for (size_t i = h->points.n; i-- > 0;) {
        const struct point *p = &h->points.list[i];
        if (point_at(p) < end) {
            if (!barren(vm, i, end)) {
                list[(*n)++] = (struct stretch){p, end};
            }
            end = point_at(p);
        }
    }
    return list;
}

/* How many threads are worth it. Media that come and go would be opened by each twin. */
static unsigned workers(struct doppel_vm *vm, const struct stretch *list, size_t n)
{
    const struct history *h = vm->history;
    struct err e;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned most = h->workers ? h->workers : cpus > 1 ? (unsigned)cpus : 1;
    most = most < HISTORY_HUNTERS ? most : HISTORY_HUNTERS;
    if (most < 2 || n < 2 || h->alone ||
        history_log_has(&h->log, list[n - 1].from->input, "block")) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!checkpoint_same_media(vm, list[i].from->cp, &e)) {
            return 0;
        }
    }
    return most;
}

static enum history_found search_in(struct doppel_vm *vm, const struct stretch *list, size_t n,
                                    struct err *e)
{
    struct history *h = vm->history;
    h->found = false;
    for (size_t i = 0; i < n; i++) {
        /* The latest is likely to have it, and the machine is warm. */
        unsigned many = i == 1 ? workers(vm, list + 1, n - 1) : 0;
        if (many) {
            enum history_found found = history_hunt(vm, list + 1, n - 1, many, e);
            if (found != HISTORY_FAILED || atomic_load(&vm->interrupted)) {
                return found;
            }
            h->alone = true; /* some file that the machine was made of is gone, perhaps */
        }
        if (!search_stretch(vm, &list[i], e)) {
            return HISTORY_FAILED;
        }
        if (h->found) {
            return HISTORY_FOUND;
        }
    }
    return HISTORY_NONE;
}

static enum history_found search(struct doppel_vm *vm, struct err *e)
{
    size_t n;
    struct stretch *list = stretches(vm, &n);
    vm->history->looked = n;
    enum history_found found = search_in(vm, list, n, e);
    free(list);
    if (found == HISTORY_FAILED) {
        return found;
    }
    uint64_t to = found == HISTORY_FOUND ? vm->history->hit.before : history_first(vm);
    return history_goto(vm, to, e) ? found : HISTORY_FAILED;
}

enum history_found history_last_hit(struct doppel_vm *vm, const struct doppel_point *only,
                                    struct err *e)
{
    struct history *h = vm->history;
    if (!h || !h->points.n) {
        err_set(e, "%s", history_nothing_kept);
        return HISTORY_FAILED;
    }
    if (!history_leave_present(vm, e)) {
        return HISTORY_FAILED;
    }
    h->only = only;
    enum history_found found = search(vm, e);
    debug_arrive(vm, found == HISTORY_FOUND ? &h->hit : NULL);
    return found;
}
