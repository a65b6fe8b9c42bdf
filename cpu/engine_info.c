/*
 * What the engine tells of itself: `info jit`, lockstep's verdict.
 */
#include "cpu/engine_impl.h"

bool engine_has_jit(const struct engine *e)
{
    return e->jit != NULL;
}

static void top(const uint64_t *by_row, const char *what,
                void (*fn)(void *ctx, const char *what, const char *name, uint64_t n), void *ctx)
{
    uint64_t below = UINT64_MAX;
    for (unsigned shown = 0; shown < 16; shown++) {
        unsigned best = MAX_ROWS;
        for (unsigned r = 0; r < insn_row_count && r < MAX_ROWS; r++) {
            if (by_row[r] && by_row[r] < below && (best == MAX_ROWS || by_row[r] > by_row[best])) {
                best = r;
            }
        }
        if (best == MAX_ROWS) {
            return;
        }
        below = by_row[best];
        fn(ctx, what, insn_rows[best].name, below);
    }
}

void engine_each_exit(const struct engine *e,
                      void (*fn)(void *ctx, const char *what, const char *name, uint64_t n),
                      void *ctx)
{
    static const char *const why[] = {
#define X(name, help) help,
        ENGINE_CAUSES(X)
#undef X
    };
    for (unsigned k = 0; k < CAUSE_COUNT; k++) {
        if (e->causes[k]) {
            fn(ctx, k < CAUSE_page_end ? "left:" : "times", why[k], e->causes[k]);
        }
    }
    top(e->interp, "interpreted", fn, ctx);
    top(e->bails, "left at", fn, ctx);
}

struct jit_stats engine_stats(const struct engine *e)
{
    return e->jit ? jit_stats(e->jit) : (struct jit_stats){0};
}

struct jit_running engine_running(const struct engine *e, uint64_t *entered)
{
    *entered = e->entered;
    return e->jit ? jit_running(e->jit) : (struct jit_running){0};
}

const char *engine_failure(const struct engine *e)
{
    for (unsigned k = 0; k < e->ncpus; k++) {
        if (e->lockstep[k] && lockstep_report(e->lockstep[k])) {
            return lockstep_report(e->lockstep[k]);
        }
    }
    return NULL;
}

void engine_compared(const struct engine *e, uint64_t *stretches, uint64_t *insns)
{
    *stretches = *insns = 0;
    for (unsigned k = 0; k < e->ncpus; k++) {
        uint64_t s = 0, n = 0;
        if (e->lockstep[k]) {
            lockstep_counts(e->lockstep[k], &s, &n);
        }
        *stretches += s;
        *insns += n;
    }
}
