/*
 * The flight recorder: two recordings in memory (vm/record_priv.h), the second begun when the first
 * is as old as is wanted, so that the older one always covers that much; when the newer one is old
 * enough, it takes the older one's place. Each begins with a machine whose pages are shared with
 * the running one (snapshot_hold), which costs milliseconds and then memory for what is written.
 *
 * It is written out on request, and once by itself: at a triple fault, when a serial port prints
 * the text of a panic, when a device reports one, when the watchdog finds that no vCPU has taken
 * interrupts for long.
 */
#include "vm/flight.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/hosttime.h"
#include "util/keyval.h"
#include "vm/history.h"
#include "vm/inuse.h"
#include "vm/monitor_info.h"
#include "vm/record_priv.h"

#define OLD (VM_FLIGHT + 0)
#define NEW (VM_FLIGHT + 1)

/* A machine whose idle time is skipped ages fast; beginning anew is not to be all that it does. */
#define HOST_NS (UINT64_C(1) * 1000000000)
/* Host's ns from one look at the memory in use to the next: a multiple of what a look takes, at
 * least and at most. */
#define LOOK_TIMES 200u
#define LOOK_NS    (UINT64_C(200) * 1000000)
#define LOOK_MAX   (UINT64_C(1000) * 1000000)

struct flight {
    vtime span;
    uint64_t limit;          /* bytes of both recordings */
    char file[KEYVAL_VALUE]; /* of what is written by itself */
    char panic[KEYVAL_VALUE];
    vtime watchdog;                    /* 0: none */
    vtime awake;                       /* when a vCPU was last seen that takes interrupts */
    uint64_t begun;                    /* host's ns when the newer one began, */
    uint64_t pause;                    /* and how many that took */
    uint64_t look;                     /* when to look at the memory again */
    uint64_t bytes;                    /* what it was then */
    const char *due;                   /* why it is to be written; NULL */
    vtime crashed;                     /* when that was found */
    bool written;                      /* by itself, once */
    size_t matched[DOPPEL_MAX_SERIAL]; /* of `panic` */
};

/* --- The option --- */

static bool parse_time(const char *v, vtime *t)
{
    char *end;
    uint64_t n = strtoull(v, &end, 10);
    uint64_t unit = strcmp(end, "ms") == 0           ? VTIME_MS
                    : strcmp(end, "s") == 0 || !*end ? VTIME_SEC
                    : strcmp(end, "m") == 0          ? 60 * VTIME_SEC
                                                     : 0;
    *t = n * unit;
    return *v >= '0' && *v <= '9' && unit && n && n < 1000000;
}

static bool parse_size(const char *v, uint64_t *bytes)
{
    char *end;
    uint64_t n = strtoull(v, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    *bytes = n << shift;
    return *v >= '0' && *v <= '9' && shift && !end[1] && n && n < 1000000;
}

static bool parse_one(struct flight *f, const struct keyval *kv, struct err *e)
{
    if (strcmp(kv->key, "limit") == 0) {
        return parse_size(kv->value, &f->limit) ||
               err_usage(e, "-flight limit=%.40s: want a size as 256M", kv->value);
    }
    if (strcmp(kv->key, "watchdog") == 0) {
        return parse_time(kv->value, &f->watchdog) ||
               err_usage(e, "-flight watchdog=%.40s: want a time as 20s", kv->value);
    }
    if (strcmp(kv->key, "file") == 0 || strcmp(kv->key, "panic") == 0) {
        memcpy(*kv->key == 'f' ? f->file : f->panic, kv->value, sizeof f->file);
        return *kv->value || err_usage(e, "-flight %s=: want a text", kv->key);
    }
    return err_usage(e, "-flight %.40s=: want TIME,limit=SIZE,file=PATH,panic=TEXT,watchdog=TIME",
                     kv->key);
}

static bool parse(struct flight *f, const char *spec, struct err *e)
{
    char span[32];
    struct keyval kv;
    size_t n = strcspn(spec, ",");
    snprintf(span, sizeof span, "%.*s", (int)n, spec);
    if (n >= sizeof span || !parse_time(span, &f->span)) {
        return err_usage(e, "-flight %.60s: want a time, as 60s", spec);
    }
    spec += n + (spec[n] == ',');
    e->msg[0] = 0;
    while (keyval_next(&spec, &kv, e)) {
        if (!parse_one(f, &kv, e)) {
            return false;
        }
    }
    return !e->msg[0];
}

/* --- The two recordings --- */

static void forget(struct doppel_vm *vm, unsigned slot)
{
    record_free(record_take(vm, slot));
}

/* The newer one becomes the older one, and another begins. */
static void rotate(struct doppel_vm *vm)
{
    struct err e = {""};
    uint64_t from = host_monotonic();
    forget(vm, OLD);
    struct record *r = record_take(vm, NEW);
    if (r) {
        record_add(vm, OLD, r);
    }
    r = record_new(vm, NULL, false, &e);
    if (r) {
        record_add(vm, NEW, r);
    }
    vm->flight->begun = host_monotonic();
    vm->flight->pause = vm->flight->begun - from;
}

/* f->bytes; what of them the newer one keeps. */
static uint64_t look(struct doppel_vm *vm)
{
    const struct record *a = vm->record[OLD], *b = vm->record[NEW];
    uint64_t newer = b ? record_bytes(b, NULL) : 0;
    vm->flight->bytes = (a ? record_bytes(a, b) : 0) + newer;
    return newer;
}

/* Each of the two may have half, so that there is always a past. */
static void bound(struct doppel_vm *vm)
{
    struct flight *f = vm->flight;
    uint64_t from = host_monotonic(), newer = look(vm);
    uint64_t now = host_monotonic(), pause = LOOK_TIMES * (now - from);
    pause = pause < LOOK_NS ? LOOK_NS : pause > LOOK_MAX ? LOOK_MAX : pause;
    f->look = now + pause;
    if (newer > f->limit / 2) {
        rotate(vm);
        look(vm);
    }
    if (f->bytes > f->limit) { /* too much was written since the last look */
        forget(vm, OLD);
        look(vm);
    }
}

bool flight_start(struct doppel_vm *vm, const char *spec, struct err *e)
{
    if (strcmp(spec, "off") == 0) {
        return true;
    }
    if (vm->replay) {
        return err_set(e, "a machine of a replay has its log already; no flight recorder");
    }
    struct flight *f = vm->flight = calloc(1, sizeof *f);
    if (!f) {
        abort();
    }
    f->limit = UINT64_C(256) << 20;
    snprintf(f->file, sizeof f->file, "%s.flight", vm->opt.name);
    snprintf(f->panic, sizeof f->panic, "Kernel panic - not syncing");
    if (!parse(f, spec, e)) {
        vm->flight = NULL;
        free(f);
        return false;
    }
    rotate(vm);
    return true;
}

bool flight_save(struct doppel_vm *vm, const char *path, struct err *e)
{
    struct record *r = vm->record[OLD] ? vm->record[OLD] : vm->record[NEW];
    if (!r || r->failed) {
        return err_set(e, "no flight recorder; -flight 60s starts with one");
    }
    if (history_in_past(vm)) {
        return err_set(e, "the machine is in its past; return, or branch first");
    }
    return !inuse_for_log(vm, path, e) && record_write(r, path, e);
}

/* --- When to write it --- */

void flight_crash(struct doppel_vm *vm, const char *why)
{
    if (vm->flight && !vm->flight->written && !vm->flight->due && !history_in_past(vm)) {
        vm->flight->due = why;
        vm->flight->crashed = clock_now(&vm->clock);
    }
}

static void write_due(struct doppel_vm *vm)
{
    struct flight *f = vm->flight;
    struct err e = {""};
    if (!f->due) {
        return;
    }
    bool ok = flight_save(vm, f->file, &e);
    fprintf(vm->log.out,
            ok ? "%s: %s at %" PRIu64 " ns: the flight recorder is in %s\n"
               : "%s: %s at %" PRIu64 " ns: the flight recorder could not be written: %s\n",
            vm->opt.name, f->due, f->crashed, ok ? f->file : e.msg);
    f->due = NULL;
    f->written = true;
}

void flight_output(struct doppel_vm *vm, unsigned port, const uint8_t *data, size_t len)
{
    struct flight *f = vm->flight;
    for (size_t i = 0; f && i < len; i++) {
        size_t *n = &f->matched[port];
        /* Falls back to the longest beginning of the text that ends here. */
        size_t try = *n + 1;
        while (try && !(f->panic[try - 1] == (char)data[i] &&
                        memcmp(f->panic, f->panic + *n + 1 - try, try - 1) == 0)) {
            try--;
        }
        *n = try;
        if (!f->panic[*n]) {
            *n = 0;
            flight_crash(vm, "a serial port printed the text of a panic");
        }
    }
}

/* Would any vCPU take an interrupt? */
static bool is_awake(const struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        if (vm->cpu[i]->s.rflags & UINT64_C(0x200)) {
            return true;
        }
    }
    return vm->s.asleep;
}

void flight_poll(struct doppel_vm *vm)
{
    struct flight *f = vm->flight;
    if (!f || history_in_past(vm)) {
        return;
    }
    vtime now = vm->clock.s.now;
    if (!f->watchdog || is_awake(vm) || now < f->awake) {
        f->awake = now;
    } else if (now - f->awake >= f->watchdog) {
        flight_crash(vm, "no CPU has taken interrupts for long");
    }
    write_due(vm);
    const struct record *b = vm->record[NEW];
    uint64_t host = host_monotonic();
    if (!b) { /* a load made it forget, or there was no memory to begin */
        if (host - f->begun >= HOST_NS) {
            rotate(vm);
        }
        return;
    }
    if (now - b->begin.when >= f->span && host - f->begun >= HOST_NS) {
        rotate(vm);
    }
    if (host >= f->look) {
        bound(vm);
    }
}

void flight_forget(struct doppel_vm *vm)
{
    forget(vm, OLD);
    forget(vm, NEW);
    if (vm->flight) {
        vm->flight->begun = 0;
    }
}

void flight_stop(struct doppel_vm *vm)
{
    if (vm->flight) {
        write_due(vm);
        flight_forget(vm);
        free(vm->flight);
        vm->flight = NULL;
    }
}

/* --- Monitor --- */

void flight_info(struct doppel_vm *vm, struct mon_out *o)
{
    const struct record *a = vm->record[OLD], *b = vm->record[NEW];
    const struct record *r = a ? a : b;
    if (r) {
        look(vm);
        mon_printf(o,
                   "flight recorder: from %" PRIu64 " ns on, %" PRIu64
                   " KiB of host memory; beginning anew stopped the machine for %" PRIu64 " us\n",
                   r->begin.when, vm->flight->bytes >> 10, vm->flight->pause / 1000);
    }
}

void flight_command(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    if (strncmp(args, "save ", 5) != 0 || !args[5 + strspn(args + 5, " \t")]) {
        mon_printf(o, "flight: want save FILE\n");
    } else if (!flight_save(vm, args + 5 + strspn(args + 5, " \t"), &e)) {
        mon_printf(o, "flight: %s\n", e.msg);
    }
}
