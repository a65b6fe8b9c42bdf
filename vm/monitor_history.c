/*
 * The past, from the monitor and through the public API.
 *
 * Whoever goes to another instant wants to look around there: the machine is paused, and "cont"
 * lets it run, through what is known of its future and then live.
 */
#include "vm/monitor_history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/debug.h"
#include "vm/history.h"
#include "vm/monitor_info.h"
#include "vm/vm.h"

#define HISTORY_DEFAULT (UINT64_C(256) << 20)

static bool parse_count(const char *text, uint64_t *n)
{
    char *end;
    errno = 0;
    *n = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

static void tell_place(struct doppel_vm *vm, struct mon_out *o)
{
    mon_printf(o, "at icount %" PRIu64 ", vtime %" PRIu64 "%s\n", vm->clock.s.icount,
               vm->clock.s.now, history_in_past(vm) ? "" : ": the present");
}

static void arrive(struct doppel_vm *vm, bool ok, const struct err *e, struct mon_out *o)
{
    vm->paused = true;
    if (!ok) {
        mon_printf(o, "%s\n", e->msg);
    }
    tell_place(vm, o);
}

void mon_history(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    uint64_t mib = HISTORY_DEFAULT >> 20;
    if (strcmp(args, "off") == 0) {
        history_stop(vm);
    } else if (*args && strcmp(args, "on") != 0 &&
               (!parse_count(args, &mib) || mib < 1 || mib > UINT64_MAX >> 20)) {
        mon_printf(o, "history %s: want a number of MiB, \"on\" or \"off\"\n", args);
    } else if (!history_start(vm, mib << 20, &e)) {
        mon_printf(o, "history: %s\n", e.msg);
    }
}

void mon_goto(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    uint64_t icount;
    if (strcmp(args, "end") == 0) {
        arrive(vm, history_return(vm, &e), &e, o);
    } else if (parse_count(args, &icount)) {
        arrive(vm, history_goto(vm, icount, &e), &e, o);
    } else {
        mon_printf(o, "goto %s: want a number of instructions since power-on, or \"end\"\n", args);
    }
}

void mon_reverse(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    uint64_t n = 1, here = vm->clock.s.icount;
    if (*args && !parse_count(args, &n)) {
        mon_printf(o, "reverse %s: want a number of instructions\n", args);
        return;
    }
    arrive(vm, history_goto(vm, n < here ? here - n : 0, &e), &e, o);
}

/* [-p] ADDRESS [BYTES]: linear, or physical. */
void mon_last_write(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    struct doppel_error why;
    struct doppel_point p = {DOPPEL_POINT_WRITE, false, 0, 4};
    char *end;
    if (strncmp(args, "-p ", 3) == 0) {
        p.physical = true;
        args += 3 + strspn(args + 3, " ");
    }
    errno = 0;
    p.address = strtoull(args, &end, 0);
    if (*args < '0' || *args > '9' || errno || (*end && *end != ' ') ||
        (*end && !parse_count(end + strspn(end, " "), &p.length))) {
        mon_printf(o, "last-write %s: want [-p] ADDRESS [BYTES]\n", args);
        return;
    }
    if (!doppel_break_add(vm, &p, &why)) {
        mon_printf(o, "last-write: %s\n", why.msg);
        return;
    }
    enum history_found found = history_last_hit(vm, &p, &e);
    doppel_break_remove(vm, &p);
    vm->paused = true;
    if (found == HISTORY_FOUND) {
        const struct doppel_hit *h = doppel_last_hit(vm);
        mon_printf(o, "written by %s %u: in front of it\n", h->device ? "a device; CPU" : "CPU",
                   h->cpu);
    } else {
        mon_printf(o, "%s\n",
                   found == HISTORY_NONE ? "not written in the past that is kept" : e.msg);
    }
    tell_place(vm, o);
}

void mon_branch(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    (void)args;
    if (!history_in_past(vm)) {
        mon_printf(o, "the machine is in the present\n");
    } else if (!history_branch(vm, &e)) {
        mon_printf(o, "branch: %s\n", e.msg);
    } else {
        tell_place(vm, o);
    }
}

void mon_info_history(struct doppel_vm *vm, struct mon_out *o)
{
    struct history_info i;
    if (!vm->history) {
        mon_printf(o, "no past is kept (-history SIZE, or \"history on\")\n");
        return;
    }
    history_info(vm, &i);
    mon_printf(o,
               "icount %" PRIu64 " to %" PRIu64 ", %" PRIu64 " checkpoints, %" PRIu64
               " inputs, %" PRIu64 " of %" PRIu64 " KiB\n",
               history_first(vm), history_last(vm), i.checkpoints, i.inputs, i.bytes >> 10,
               i.limit >> 10);
    tell_place(vm, o);
}

/* --- Public --- */

static bool pass(bool ok, const struct err *e, struct doppel_error *out)
{
    if (!ok && out) {
        snprintf(out->msg, sizeof out->msg, "%s", e->msg);
        out->usage = false;
    }
    return ok;
}

bool doppel_history(struct doppel_vm *vm, uint64_t bytes, struct doppel_error *out)
{
    struct err e = {""};
    if (!bytes) {
        history_stop(vm);
        return true;
    }
    return pass(history_start(vm, bytes, &e), &e, out);
}

bool doppel_in_past(const struct doppel_vm *vm)
{
    return history_in_past(vm);
}

void doppel_history_range(const struct doppel_vm *vm, uint64_t *first, uint64_t *last)
{
    *first = history_first(vm);
    *last = history_last(vm);
}

bool doppel_goto(struct doppel_vm *vm, uint64_t icount, struct doppel_error *out)
{
    struct err e = {""};
    bool ok = history_goto(vm, icount, &e);
    debug_arrive(vm, NULL);
    return pass(ok, &e, out);
}

static enum doppel_stop fail(const struct err *e, struct doppel_vm *vm)
{
    vm->failure = *e;
    return DOPPEL_FAILED;
}

enum doppel_stop doppel_reverse_step(struct doppel_vm *vm, unsigned cpu)
{
    struct err e = {""};
    if (cpu >= vm->ncpus) {
        err_set(&e, "no CPU %u", cpu);
        return fail(&e, vm);
    }
    bool begin = vm->history && vm->clock.s.icount <= history_first(vm);
    bool ok = !begin && history_step_back(vm, cpu, &e);
    debug_arrive(vm, NULL);
    return begin ? DOPPEL_LIMIT : ok ? DOPPEL_BREAK : fail(&e, vm);
}

enum doppel_stop doppel_reverse_continue(struct doppel_vm *vm)
{
    struct err e = {""};
    switch (history_last_hit(vm, NULL, &e)) {
    case HISTORY_FOUND:
        return DOPPEL_BREAK;
    case HISTORY_NONE:
        return DOPPEL_LIMIT;
    default:
        return fail(&e, vm);
    }
}

bool doppel_branch(struct doppel_vm *vm, struct doppel_error *out)
{
    struct err e = {""};
    return pass(history_branch(vm, &e), &e, out);
}
