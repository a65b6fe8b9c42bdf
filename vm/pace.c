/* See pace.h. */
#include "vm/pace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/hosttime.h"
#include "util/bits.h"
#include "vm/monitor_info.h"
#include "vm/nets.h"
#include "vm/vm.h"

#define WINDOW    (100 * VTIME_MS) /* speed is measured over at least so much of the host's time */
#define AHEAD     (2 * VTIME_MS)   /* less is not worth a sleep */
#define LATE      (50 * VTIME_MS)  /* less is not worth a rate */
#define LATE_MAX  (10 * VTIME_SEC) /* what is lost beyond that is lost: the host was away */
#define CATCH_UP  (2 * VTIME_SEC)  /* in how long lateness is caught up */
#define RATE_MAX  64               /* ns for an instruction that are posted */
#define SLEEP_MAX (100 * VTIME_MS) /* at once */

static const char *const mode_names[] = {"auto", "real", "max"};

static bool parse(const char *text, struct pace *p, uint32_t *rate, struct err *e)
{
    *rate = CLOCK_RATE_ONE;
    p->skips = strcmp(text, "max") == 0;
    for (unsigned i = 0; i < ARRAY_LEN(mode_names); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            p->mode = (enum pace_mode)i;
            return true;
        }
    }
    char *end;
    double ns = strtod(text, &end);
    bool known = !*end || strcmp(end, ",sleep=on") == 0 || strcmp(end, ",sleep=off") == 0;
    if (*text < '0' || *text > '9' || !known || !(ns >= 1 && ns <= 1024)) {
        return err_usage(e, "speed %s: want real, max, auto, or 1 to 1024 ns for each instruction",
                         text);
    }
    p->skips = strcmp(end, ",sleep=off") == 0;
    p->mode = PACE_FIXED;
    *rate = (uint32_t)(ns * CLOCK_RATE_ONE + 0.5);
    return true;
}

/* --- The rate --- */

static void rate_changes(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct doppel_vm *vm = ctx;
    if (len == 4) {
        clock_set_rate(&vm->clock, le32_get(payload));
    }
}

static void post_rate(struct doppel_vm *vm, uint32_t rate)
{
    uint8_t bytes[4];
    le32_put(bytes, rate);
    if (rate != vm->clock.s.rate) {
        gate_post(&vm->gate, vm->pace.source, bytes, sizeof bytes);
    }
}

void pace_restart(struct doppel_vm *vm)
{
    vm->pace.keeping = false;
}

bool pace_init(struct doppel_vm *vm, const char *text, struct err *e)
{
    uint32_t rate;
    if (!parse(text ? text : "auto", &vm->pace, &rate, e)) {
        return false;
    }
    vm->pace.source = gate_source_add(&vm->gate, "pace", rate_changes, vm);
    post_rate(vm, rate);
    return true;
}

bool pace_change(struct doppel_vm *vm, const char *text, struct err *e)
{
    uint32_t rate;
    struct pace next = vm->pace;
    if (!parse(text, &next, &rate, e)) {
        return false;
    }
    vm->pace = next;
    pace_restart(vm);
    post_rate(vm, rate);
    return true;
}

/* --- Keeping step --- */

bool pace_live(const struct doppel_vm *vm)
{
    return chr_set_live(vm->chrs) || nets_live(vm) ||
           atomic_load_explicit(&vm->live, memory_order_relaxed);
}

bool pace_keeps(const struct doppel_vm *vm)
{
    const struct pace *p = &vm->pace;
    return !vm->gate.feed && !p->skips && (p->mode == PACE_REAL || pace_live(vm));
}

/* Host time now; what lies behind is measured and compared from here on if it was not before. */
static uint64_t keep(struct doppel_vm *vm)
{
    struct pace *p = &vm->pace;
    uint64_t host = host_monotonic();
    if (!p->keeping || host - p->host0 > (vm->clock.s.now - p->virtual0) + LATE_MAX) {
        p->host0 = p->host1 = host;
        p->virtual0 = vm->clock.s.now;
        p->icount1 = vm->clock.s.icount;
        p->slept1 = 0;
        p->keeping = true;
    }
    return host;
}

/* ns by which virtual time is late; negative: ahead. */
static int64_t lateness(const struct doppel_vm *vm, uint64_t host)
{
    return (int64_t)((host - vm->pace.host0) - (vm->clock.s.now - vm->pace.virtual0));
}

static void sleep_for(struct doppel_vm *vm, uint64_t ns)
{
    vm->pace.slept1 += chr_set_wait(vm->chrs, ns < SLEEP_MAX ? ns : SLEEP_MAX);
}

/* At the end of a window: the rate at which this host's speed keeps step, and a little more while
 * there is something to catch up. What was slept, idle or ahead, says nothing of speed. */
static void adjust(struct doppel_vm *vm, uint64_t host, int64_t late)
{
    struct pace *p = &vm->pace;
    uint64_t window = host - p->host1, busy = window > p->slept1 ? window - p->slept1 : 0;
    uint64_t units = vm->clock.s.icount - p->icount1;
    if (busy >= WINDOW / 8 && units) {
        double now = (double)vm->clock.s.rate / CLOCK_RATE_ONE;
        double more = late > 0 ? (double)late / (double)CATCH_UP : 0;
        double want = (double)busy / (double)units * (1 + (more < 0.25 ? more : 0.25));
        want = want < 1 ? 1 : want > RATE_MAX ? RATE_MAX : want;
        if ((late > (int64_t)LATE && want > now * 1.05) || want < now * 0.8) {
            post_rate(vm, (uint32_t)(want * CLOCK_RATE_ONE));
        }
    }
    p->host1 = host;
    p->icount1 = vm->clock.s.icount;
    p->slept1 = 0;
}

void pace_poll(struct doppel_vm *vm)
{
    if (!pace_keeps(vm)) {
        bool left = vm->pace.keeping || vm->pace.mode == PACE_MAX;
        pace_restart(vm);
        if (left && vm->pace.mode != PACE_FIXED && !vm->gate.feed) {
            post_rate(vm, CLOCK_RATE_ONE);
        }
        return;
    }
    uint64_t host = keep(vm);
    int64_t late = lateness(vm, host);
    if (late < -(int64_t)AHEAD) {
        sleep_for(vm, (uint64_t)-late);
    }
    if (vm->pace.mode != PACE_FIXED && host - vm->pace.host1 >= WINDOW) {
        adjust(vm, host, late);
    }
}

vtime pace_idle(struct doppel_vm *vm, vtime ns)
{
    if (!pace_keeps(vm)) {
        return ns;
    }
    ns = ns < SLEEP_MAX ? ns : SLEEP_MAX;
    int64_t late = lateness(vm, keep(vm));
    if (late >= (int64_t)ns) {
        return ns; /* it is past that already */
    }
    sleep_for(vm, (uint64_t)((int64_t)ns - late));
    late = lateness(vm, host_monotonic());
    return late < 0 ? 0 : (vtime)late < ns ? (vtime)late : ns;
}

void mon_speed(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    if (*args && !pace_change(vm, args, &e)) {
        mon_printf(o, "%s\n", e.msg);
        return;
    }
    const char *mode = vm->pace.mode == PACE_FIXED ? "fixed" : mode_names[vm->pace.mode];
    mon_printf(o, "%s, %.3f ns for each instruction\n", mode,
               (double)vm->clock.s.rate / CLOCK_RATE_ONE);
}
