/*
 * Searching the past backwards for the last hit of break- or watchpoints; see history.h.
 *
 * An interval lies between two checkpoints, or the last one and where the machine is. Intervals are
 * run, the latest first, with hits noted instead of stopping, and the last hit of the first one
 * that has any is it. Those that cannot have any are left out: a page of RAM that two checkpoints
 * share was not written between them.
 */
#include <string.h>

#include "vm/debug.h"
#include "vm/history_priv.h"
#include "vm/vm.h"

static bool same_point(const struct doppel_point *a, const struct doppel_point *b)
{
    return a->kind == b->kind && a->physical == b->physical && a->address == b->address &&
           a->length == b->length;
}

bool history_collect(void *ctx, struct doppel_vm *vm, const struct doppel_hit *hit)
{
    struct history *h = ctx;
    (void)vm;
    if (h->searching && hit->before < h->until && (!h->only || same_point(h->only, &hit->point))) {
        h->hit = *hit;
        h->found = true;
    }
    return false;
}

/* Can the point not have been met between two instants? */
static bool untouched(struct doppel_vm *vm, const struct doppel_point *p,
                      const struct checkpoint *a, const struct checkpoint *b)
{
    bool ok = p->kind == DOPPEL_POINT_WRITE && p->physical;
    uint64_t last = p->address + p->length - 1;
    for (uint64_t page = p->address & PAGE_MASK; ok && page <= last; page += PAGE_SIZE) {
        ok = checkpoint_untouched(vm, a, b, page);
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
    const struct checkpoint *a = h->points.list[i].cp, *b = end_of(h, i, end);
    unsigned n;
    const struct doppel_point *list = debug_points(vm, &n);
    bool ok = b != NULL;
    if (ok && h->only) {
        return untouched(vm, h->only, a, b);
    }
    for (unsigned k = 0; ok && k < n; k++) {
        ok = untouched(vm, &list[k], a, b);
    }
    return ok;
}

/* The last hit of what lies between point i and `end`. */
static bool search_interval(struct doppel_vm *vm, size_t i, uint64_t end, struct err *e)
{
    struct history *h = vm->history;
    if (barren(vm, i, end)) {
        return true;
    }
    if (!history_enter(vm, i, e)) {
        return false;
    }
    h->until = end;
    h->searching = true;
    bool ok = history_run_to(vm, end, e);
    h->searching = false;
    return ok;
}

static enum history_found search(struct doppel_vm *vm, struct err *e)
{
    struct history *h = vm->history;
    uint64_t end = vm->clock.s.icount;
    h->found = false;
    for (size_t i = h->points.n; i-- > 0;) {
        uint64_t begin = point_at(&h->points.list[i]);
        if (begin >= end) {
            continue;
        }
        if (!search_interval(vm, i, end, e)) {
            return HISTORY_FAILED;
        }
        if (h->found) {
            return history_goto(vm, h->hit.before, e) ? HISTORY_FOUND : HISTORY_FAILED;
        }
        end = begin;
    }
    return history_goto(vm, history_first(vm), e) ? HISTORY_NONE : HISTORY_FAILED;
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
