/*
 * The gdb stub's way between a socket (gdb_link.c), the protocol (gdb_stub.c) and the machine.
 *
 * The machine's thread runs it; bytes from the client interrupt doppel_run, which changes nothing
 * that a guest can see. While gdb has the machine stopped doppel_run waits as for the monitor's
 * "stop", so the monitor and the screen work.
 */
#include "frontends/gdb.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/gdb_link.h"
#include "frontends/gdb_stub.h"
#include "util/bits.h"

struct gdb {
    struct doppel_vm *vm;
    struct gdb_link *link;
    struct gdb_stub *stub;
    bool held; /* at the end of the run, which the client has been told of: */
    uint64_t end;
    enum doppel_stop end_why;
};

static void wake(void *ctx)
{
    struct gdb *g = ctx;
    doppel_interrupt(g->vm);
}

static void send_out(void *ctx, const void *data, size_t len)
{
    struct gdb *g = ctx;
    gdb_link_send(g->link, data, len);
}

/* Cut ",arch=" off. */
static bool parse(const char *where, char *place, size_t size, enum gdb_arch *arch, struct err *e)
{
    static const char *const names[GDB_ARCHES] = {"i8086", "i386", "x86-64"};
    const char *comma = strstr(where, ",arch=");
    size_t n = comma ? (size_t)(comma - where) : strlen(where);
    *arch = GDB_ARCHES;
    if (n >= size) {
        return err_set(e, "-gdb %.40s...: too long", where);
    }
    memcpy(place, where, n);
    place[n] = 0;
    for (unsigned k = 0; comma && k < GDB_ARCHES; k++) {
        if (strcmp(comma + 6, names[k]) == 0) {
            *arch = (enum gdb_arch)k;
        }
    }
    if (comma && *arch == GDB_ARCHES) {
        return err_set(e, "-gdb %s: want arch=i8086, i386 or x86-64", where);
    }
    if (strcmp(place, "stdio") != 0 && strncmp(place, "tcp:", 4) != 0 &&
        strncmp(place, "unix:", 5) != 0) {
        return err_set(e, "-gdb %s: want tcp:HOST:PORT, unix:PATH or stdio", where);
    }
    return true;
}

bool gdb_check(const char *where, struct err *e)
{
    char place[512];
    enum gdb_arch arch;
    return parse(where, place, sizeof place, &arch, e);
}

struct gdb *gdb_open(const char *where, struct doppel_vm *vm, struct err *e)
{
    char place[512];
    enum gdb_arch arch;
    if (!parse(where, place, sizeof place, &arch, e)) {
        return NULL;
    }
    struct gdb *g = calloc(1, sizeof *g);
    if (!g) {
        abort();
    }
    g->vm = vm;
    g->stub = gdb_stub_new(vm, arch, send_out, g);
    g->link = gdb_link_open(place, wake, g, e);
    if (!g->link) {
        gdb_stub_free(g->stub);
        free(g);
        return NULL;
    }
    return g;
}

void gdb_close(struct gdb *g, int status)
{
    if (g) {
        gdb_stub_ended(g->stub, status);
        gdb_link_close(g->link);
        gdb_stub_free(g->stub);
        free(g);
    }
}

/* Everything that came from the client. */
static void serve(struct gdb *g)
{
    uint8_t buf[4096];
    size_t n;
    for (;;) {
        switch (gdb_link_take(g->link, buf, sizeof buf, &n)) {
        case LINK_NEW:
            gdb_stub_attach(g->stub);
            break;
        case LINK_DATA:
            gdb_stub_feed(g->stub, buf, n);
            break;
        case LINK_GONE:
            gdb_stub_detach(g->stub);
            break;
        case LINK_IDLE:
            return;
        }
    }
}

/* An interrupt ends a search through the past somewhere: then the machine is where it was, and what
 * the client says is looked at. */
static enum doppel_stop go_back(struct gdb *g, enum gdb_want want, unsigned cpu)
{
    uint64_t here = doppel_icount(g->vm);
    if (doppel_run(g->vm, here) == DOPPEL_INTERRUPT) { /* for what was taken already */
        return DOPPEL_INTERRUPT;
    }
    enum doppel_stop why =
        want == GDB_REVERSE_STEP ? doppel_reverse_step(g->vm, cpu) : doppel_reverse_continue(g->vm);
    if (why == DOPPEL_FAILED && gdb_link_news(g->link)) {
        (void)doppel_run(g->vm, doppel_icount(g->vm)); /* takes the interrupt */
        return doppel_goto(g->vm, here, NULL) ? DOPPEL_INTERRUPT : why;
    }
    return why;
}

static enum doppel_stop do_wanted(struct gdb *g, enum gdb_want want, unsigned cpu, uint64_t icount,
                                  uint64_t vtime)
{
    switch (want) {
    case GDB_STEP:
        return doppel_step(g->vm, cpu);
    case GDB_REVERSE_STEP:
    case GDB_REVERSE_RUN:
        return go_back(g, want, cpu);
    default:
        return doppel_run_until(g->vm, icount, vtime);
    }
}

/* A machine that keeps its past stops at the end of its run, or of its log, for the client to go
 * back from there; a client that lets it go on from there ends it. */
static bool holds(struct gdb *g, enum gdb_want want, enum doppel_stop *why)
{
    uint64_t first, last, here = doppel_icount(g->vm);
    doppel_history_range(g->vm, &first, &last);
    if (first == last || !gdb_stub_attached(g->stub) ||
        (*why != DOPPEL_REPLAYED && *why != DOPPEL_POWEROFF && *why != DOPPEL_RESET &&
         *why != DOPPEL_EXIT && *why != DOPPEL_DEAD)) {
        return false;
    }
    bool again = g->held && g->end == here;
    if (again) {
        *why = g->end_why;
    }
    g->held = true;
    g->end = here;
    g->end_why = *why;
    return !(again && want == GDB_RUN);
}

enum doppel_stop gdb_run(struct gdb *g, uint64_t icount, uint64_t vtime, bool (*ended)(void *ctx),
                         void *ctx)
{
    for (;;) {
        unsigned cpu;
        serve(g);
        enum gdb_want want = gdb_stub_want(g->stub, &cpu);
        if (want == GDB_KILL) {
            return DOPPEL_QUIT;
        }
        bool back = want == GDB_REVERSE_STEP || want == GDB_REVERSE_RUN;
        enum doppel_stop why = do_wanted(g, want, cpu, icount, vtime);
        bool stopped =
            why == DOPPEL_BREAK || (back && (why == DOPPEL_LIMIT || why == DOPPEL_FAILED));
        g->held &= !stopped;
        if (stopped || holds(g, want, &why)) {
            gdb_stub_stopped(g->stub, why);
        } else if (why != DOPPEL_INTERRUPT || ended(ctx)) {
            return why;
        }
    }
}
