/* See history.h. */
#include "vm/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/blk_journal.h"
#include "vm/checkpoint.h"
#include "vm/debug.h"
#include "vm/drives_priv.h"
#include "vm/history_priv.h"
#include "vm/nets.h"
#include "vm/record.h"
#include "vm/vm.h"

/* Instructions between checkpoints that last: a tenth of a second or so of compiled code. */
#define HISTORY_INTERVAL (UINT64_C(1) << 27)
/* So many times as often one is taken that goes again when PASSING more have been: the first step
 * back from the present is a short way, too. */
#define OFTEN   4u
#define PASSING 5u
/* On the way to an instant of the past more are taken, each half as far from it as the one before,
 * down to this distance: so the next steps back are short. */
#define NEAR (UINT64_C(1) << 18)
/* What is left to run after entering a checkpoint of those is worth taking new ones. */
#define FAR (UINT64_C(1) << 23)

const char history_nothing_kept[] =
    "no past is kept; -history SIZE, or the monitor's \"history\", begins one";

/* --- Lists of checkpoints --- */

static void points_add(struct points *l, struct point p)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->list = realloc(l->list, l->cap * sizeof l->list[0]);
        if (!l->list) {
            abort();
        }
    }
    l->list[l->n++] = p;
}

static void point_free(struct doppel_vm *vm, struct point *p)
{
    checkpoint_free(vm, p->cp);
    if (p->wrote) {
        page_set_free(p->wrote);
        free(p->wrote);
    }
}

/* Those from index `from` on. */
static void points_cut(struct doppel_vm *vm, struct points *l, size_t from)
{
    while (l->n > from) {
        point_free(vm, &l->list[--l->n]);
    }
}

static void points_drop(struct doppel_vm *vm, struct points *l, size_t i)
{
    point_free(vm, &l->list[i]);
    memmove(&l->list[i], &l->list[i + 1], (--l->n - i) * sizeof l->list[0]);
}

/* The last one at or before `icount`; NULL: none. */
static struct point *points_before(const struct points *l, uint64_t icount)
{
    size_t n = l->n;
    while (n && point_at(&l->list[n - 1]) > icount) {
        n--;
    }
    return n ? &l->list[n - 1] : NULL;
}

/* --- Linear pages that are written --- */

/* What vCPUs write in the present goes to the last point's set. They begin with nothing in L1, so
 * that the first write to each page is noted; a checkpoint has the same effect, as it shares all
 * pages, so a set holds all that was written since its point. */
static void note_writes(struct doppel_vm *vm)
{
    struct history *h = vm->history;
    struct page_set *s = h->points.n && !h->present ? h->points.list[h->points.n - 1].wrote : NULL;
    for (unsigned i = 0; i < vm->ncpus; i++) {
        tlb_note_writes(&vm->cpu[i]->tlb, s);
    }
}

static struct page_set *new_set(void)
{
    struct page_set *s = calloc(1, sizeof *s);
    if (!s) {
        abort();
    }
    return s;
}

/* --- Keeping --- */

static uint64_t disk_bytes(const struct doppel_vm *vm)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct blk_journal *j = blk_journal_of(drive_medium(vm->drives->list[i]));
        n += j ? blk_journal_bytes(j) : 0;
    }
    return n;
}

static uint64_t kept_bytes(const struct doppel_vm *vm)
{
    const struct history *h = vm->history;
    uint64_t n = disk_bytes(vm) + history_log_bytes(&h->log);
    for (size_t i = 0; i < h->points.n; i++) {
        const struct point *p = &h->points.list[i];
        n += checkpoint_bytes(p->cp) + p->pages * PAGE_SIZE + page_set_bytes(p->wrote);
    }
    return n;
}

/* Which to give up: what leaves the smallest gap for its age. The first one only if no other is
 * left but the last. */
static size_t least_wanted(const struct history *h, uint64_t now)
{
    const struct point *l = h->points.list;
    size_t best = 0;
    double least = 0;
    for (size_t i = 1; i + 1 < h->points.n; i++) {
        double gap = (double)(point_at(&l[i + 1]) - point_at(&l[i - 1])) /
                     (double)(now - point_at(&l[i]) + 1);
        if (best == 0 || gap < least) {
            best = i;
            least = gap;
        }
    }
    return best;
}

static void drop_point(struct doppel_vm *vm, size_t i)
{
    struct points *l = &vm->history->points;
    if (i) {
        page_set_join(l->list[i - 1].wrote, l->list[i].wrote);
    }
    points_drop(vm, l, i);
    l->list[i].pages = i ? checkpoint_differ(vm, l->list[i - 1].cp, l->list[i].cp) : 0;
}

static void thin(struct doppel_vm *vm)
{
    struct history *h = vm->history;
    while (h->points.n > 1 && kept_bytes(vm) > h->limit) {
        size_t i = least_wanted(h, vm->clock.s.icount);
        drop_point(vm, i);
        if (i == 0) {
            size_t gone = h->points.list[0].input;
            history_log_drop(&h->log, gone);
            for (size_t k = 0; k < h->points.n; k++) {
                h->points.list[k].input -= gone;
            }
        }
    }
}

static void keep_point(struct doppel_vm *vm)
{
    struct history *h = vm->history;
    uint64_t now = vm->clock.s.icount;
    struct checkpoint *cp = checkpoint_take(vm);
    if (!cp) {
        return; /* later, perhaps */
    }
    const struct point *last = h->points.n ? &h->points.list[h->points.n - 1] : NULL;
    uint64_t pages = last ? checkpoint_differ(vm, last->cp, cp) : 0;
    bool lasting = now >= h->next_lasting || !h->points.n;
    if (lasting) {
        h->next_lasting = now + h->interval;
    }
    points_add(&h->points, (struct point){cp, h->log.n, pages, !lasting, new_set()});
    note_writes(vm);
    if (h->points.n > PASSING && h->points.list[h->points.n - 1 - PASSING].passing) {
        drop_point(vm, h->points.n - 1 - PASSING);
    }
    thin(vm);
}

/* The next point on the way to the end of a run in the past. */
static void keep_inner(struct doppel_vm *vm)
{
    struct history *h = vm->history;
    struct checkpoint *cp = checkpoint_take(vm);
    if (cp) {
        points_add(&h->inner, (struct point){cp, h->log.cursor, 0, false, NULL});
    }
}

static void note(void *ctx, const struct gate_event *ev)
{
    struct history *h = ctx;
    if (!h->present) {
        history_log_add(&h->log, ev);
    }
}

void history_tick(struct doppel_vm *vm)
{
    struct history *h = vm->history;
    if (!h || h->present || vm->clock.s.icount < h->next || !checkpoint_possible(vm)) {
        return;
    }
    h->next = vm->clock.s.icount + h->interval / OFTEN;
    keep_point(vm);
}

bool history_start(struct doppel_vm *vm, uint64_t bytes, struct err *e)
{
    if (vm->history) {
        vm->history->limit = bytes;
        return true;
    }
    vm->history = calloc(1, sizeof *vm->history);
    if (!vm->history) {
        return err_set(e, "no host memory");
    }
    vm->history->limit = bytes;
    vm->history->interval = HISTORY_INTERVAL;
    vm->history->next = vm->clock.s.icount;
    gate_listen(&vm->gate, note, vm->history);
    history_tick(vm);
    return true;
}

void history_set_interval(struct doppel_vm *vm, uint64_t interval)
{
    vm->history->interval = interval;
    vm->history->next = vm->history->next_lasting = vm->clock.s.icount;
}

void history_set_workers(struct doppel_vm *vm, unsigned n)
{
    vm->history->workers = n;
}

void history_stop(struct doppel_vm *vm)
{
    struct err e;
    struct history *h = vm->history;
    if (!h) {
        return;
    }
    (void)history_return(vm, &e);
    history_hunt_end(h);
    gate_unlisten(&vm->gate, note, h);
    points_cut(vm, &h->inner, 0);
    points_cut(vm, &h->points, 0);
    note_writes(vm);
    checkpoint_free(vm, h->present);
    history_log_free(&h->log);
    free(h->points.list);
    free(h->inner.list);
    free(h);
    vm->history = NULL;
}

/* --- Between present and past --- */

static void mute(struct doppel_vm *vm, bool muted)
{
    for (unsigned i = 0; i < DOPPEL_MAX_SERIAL; i++) {
        vm->serial[i].chr.muted = muted;
    }
    if (vm->debugcon) {
        vm->debugcon->muted = muted;
    }
    if (vm->parallel) {
        vm->parallel->muted = muted;
    }
    nets_mute(vm, muted);
}

bool history_in_past(const struct doppel_vm *vm)
{
    return vm->history && vm->history->present;
}

bool history_seeking(const struct doppel_vm *vm)
{
    return vm->history && vm->history->seeking;
}

uint64_t history_first(const struct doppel_vm *vm)
{
    const struct history *h = vm->history;
    return h && h->points.n ? point_at(&h->points.list[0]) : vm->clock.s.icount;
}

uint64_t history_last(const struct doppel_vm *vm)
{
    const struct history *h = vm->history;
    return h && h->present ? checkpoint_icount(h->present) : vm->clock.s.icount;
}

bool history_leave_present(struct doppel_vm *vm, struct err *e)
{
    struct history *h = vm->history;
    if (h->present) {
        return true;
    }
    gate_deliver(&vm->gate, vm->clock.s.now); /* what came before belongs to the present */
    if (!checkpoint_possible(vm)) {
        return err_set(e, "the machine has a request to obey first (a reset, a power-off)");
    }
    h->present = checkpoint_take(vm);
    if (!h->present) {
        return err_set(e, "no host memory for a checkpoint");
    }
    note_writes(vm);
    mute(vm, true);
    h->log_feed = vm->gate.feed;
    vm->gate.feed = history_log_feed(&h->log);
    return true;
}

/* The machine is in the present; how its state came to be is the caller's. */
static void be_live(struct doppel_vm *vm)
{
    struct history *h = vm->history;
    history_hunt_end(h);
    points_cut(vm, &h->inner, 0);
    checkpoint_free(vm, h->present);
    h->present = NULL;
    vm->gate.feed = h->log_feed;
    h->log_feed = NULL;
    note_writes(vm);
    pace_restart(vm);
}

bool history_return(struct doppel_vm *vm, struct err *e)
{
    struct history *h = vm->history;
    if (!h || !h->present) {
        return true;
    }
    gate_discard(&vm->gate); /* what came in the meantime was for nobody */
    mute(vm, false);
    if (!checkpoint_return(vm, h->present, e)) {
        mute(vm, true);
        return false;
    }
    be_live(vm);
    return true;
}

void history_restart(struct doppel_vm *vm)
{
    struct history *h = vm->history;
    if (!h) {
        return;
    }
    for (unsigned i = 0; h->present && i < vm->drives->n; i++) {
        struct blk_journal *j = blk_journal_of(drive_medium(vm->drives->list[i]));
        if (j) {
            blk_journal_leave(j);
        }
    }
    if (h->present) {
        mute(vm, false);
        be_live(vm);
    }
    points_cut(vm, &h->points, 0);
    note_writes(vm);
    history_log_free(&h->log);
    h->next = h->next_lasting = 0;
}

static bool commit_disks(struct doppel_vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct blk_journal *j = blk_journal_of(drive_medium(v));
        if (j && !blk_journal_commit(j)) {
            return err_set(e, "%s: its image cannot be written", v->d.name);
        }
    }
    return true;
}

bool history_branch(struct doppel_vm *vm, struct err *e)
{
    struct history *h = vm->history;
    if (!h || !h->present) {
        return true;
    }
    if (h->log_feed) {
        return err_set(e, "the machine replays a log, which knows one way");
    }
    record_break(vm, "the machine goes another way from an instant in its past");
    if (!commit_disks(vm, e)) {
        return false;
    }
    const struct point *p = points_before(&h->points, vm->clock.s.icount);
    points_cut(vm, &h->points, p ? (size_t)(p - h->points.list) + 1 : 0);
    history_log_cut(&h->log);
    h->next = vm->clock.s.icount;
    mute(vm, false);
    be_live(vm);
    return true;
}

uint64_t history_end(const struct doppel_vm *vm)
{
    return history_in_past(vm) ? checkpoint_icount(vm->history->present) : UINT64_MAX;
}

bool history_arrived(struct doppel_vm *vm)
{
    return history_in_past(vm) && !vm->history->seeking && vm->clock.s.icount >= history_end(vm) &&
           history_return(vm, &vm->failure);
}

/* --- Going --- */

bool history_run_to(struct doppel_vm *vm, uint64_t icount, struct err *e)
{
    struct history *h = vm->history;
    bool paused = vm->paused;
    vm->paused = false;
    h->seeking = true;
    if (vm->debug) {
        debug_begin(vm, NULL);
        debug_collect(vm, history_collect, h);
    }
    enum doppel_stop why = vm_run(vm, icount);
    if (vm->debug) {
        debug_collect(vm, NULL, NULL);
    }
    h->seeking = false;
    vm->paused = paused;
    if (why == DOPPEL_INTERRUPT) {
        doppel_interrupt(vm); /* it was meant for who called us, too */
        return err_set(e, "interrupted");
    }
    return vm->clock.s.icount == icount ||
           err_set(e, "the past ends at %" PRIu64 " instructions", vm->clock.s.icount);
}

/* Towards an instant, with points on the way. */
static bool approach(struct doppel_vm *vm, uint64_t icount, bool points, struct err *e)
{
    while (points && icount - vm->clock.s.icount > NEAR) {
        if (!history_run_to(vm, icount - (icount - vm->clock.s.icount) / 2, e)) {
            return false;
        }
        if (checkpoint_possible(vm)) {
            keep_inner(vm);
        }
    }
    return history_run_to(vm, icount, e);
}

static bool enter(struct doppel_vm *vm, const struct point *p, struct err *e)
{
    vm->history->log.cursor = p->input;
    return checkpoint_enter(vm, p->cp, e);
}

bool history_enter(struct doppel_vm *vm, size_t i, struct err *e)
{
    points_cut(vm, &vm->history->inner, 0);
    return enter(vm, &vm->history->points.list[i], e);
}

static bool go_to(struct doppel_vm *vm, uint64_t icount, struct err *e)
{
    struct history *h = vm->history;
    uint64_t here = vm->clock.s.icount;
    const struct point *near = points_before(&h->inner, icount);
    const struct point *base = points_before(&h->points, icount);
    if (near && (!base || point_at(near) >= point_at(base)) && icount - point_at(near) <= FAR) {
        return (here <= icount && here >= point_at(near) ? true : enter(vm, near, e)) &&
               history_run_to(vm, icount, e);
    }
    if (!base) {
        return err_set(e, "nothing is kept of it");
    }
    if (here <= icount && here >= point_at(base) && icount - here <= FAR) {
        return history_run_to(vm, icount, e);
    }
    return history_enter(vm, (size_t)(base - h->points.list), e) && approach(vm, icount, true, e);
}

bool history_goto(struct doppel_vm *vm, uint64_t icount, struct err *e)
{
    uint64_t first = history_first(vm), last = history_last(vm);
    if (!vm->history || !vm->history->points.n) {
        return err_set(e, "%s", history_nothing_kept);
    }
    if (icount < first || icount > last) {
        return err_set(e, "%" PRIu64 ": the past that is kept goes from %" PRIu64 " to %" PRIu64,
                       icount, first, last);
    }
    if (icount == last) {
        return history_return(vm, e);
    }
    return history_leave_present(vm, e) && go_to(vm, icount, e);
}

bool history_step_back(struct doppel_vm *vm, unsigned cpu, struct err *e)
{
    uint64_t here = vm->clock.s.icount, want = here;
    if (vm->ncpus == 1) {
        return here > history_first(vm) ? history_goto(vm, here - 1, e)
                                        : err_set(e, "the past that is kept begins here");
    }
    /* Where that vCPU ran last is seen by running towards here from further and further back. */
    for (uint64_t back = 4 * VM_QUANTUM * vm->ncpus; want > history_first(vm); back *= 16) {
        uint64_t room = here - history_first(vm);
        want = here - (back < room ? back : room);
        if (!history_goto(vm, want, e)) {
            return false;
        }
        memset(vm->ran, 0, sizeof vm->ran);
        if (!history_run_to(vm, here, e)) {
            return false;
        }
        if (vm->ran[cpu]) {
            return history_goto(vm, vm->ran[cpu] - 1, e);
        }
    }
    return err_set(e, "CPU %u has not run in the past that is kept", cpu);
}

void history_info(const struct doppel_vm *vm, struct history_info *info)
{
    const struct history *h = vm->history;
    *info = (struct history_info){0};
    if (h) {
        *info = (struct history_info){h->points.n + h->inner.n, h->log.n, kept_bytes(vm), h->limit};
    }
}
