// The clock: timers in order of deadline then registration, slices, skips, kicks, resync.

#include "core/clock.h"

#include <string.h>

#include "tests/t.h"

enum { NT = 40 };

struct rig {
    struct clock c;
    struct vtimer st[NT];
    struct timer t[NT];
    unsigned fired[4 * NT], nfired;
    uint64_t elapsed;
    unsigned kicks;
    int again; // re-arm this timer to `again_at` when it fires
    vtime again_at;
};

struct arm {
    struct rig *r;
    unsigned i;
};

static void fire(void *ctx)
{
    struct arm *a = ctx;
    EXPECT_EQ(a->r->st[a->i].deadline, VTIME_NEVER);
    a->r->fired[a->r->nfired++] = a->i;
    if (a->r->again == (int)a->i) {
        a->r->again = -1;
        timer_set(&a->r->t[a->i], a->r->again_at);
    }
}

static uint64_t elapsed(void *ctx)
{
    return ((struct rig *)ctx)->elapsed;
}

static void kick(void *ctx)
{
    ((struct rig *)ctx)->kicks++;
}

static void setup(struct rig *r, struct arm *arms, unsigned n)
{
    memset(r, 0, sizeof *r);
    r->again = -1;
    clock_init(&r->c);
    r->c.elapsed = elapsed;
    r->c.elapsed_ctx = r;
    r->c.kick = kick;
    r->c.kick_ctx = r;
    for (unsigned i = 0; i < n; i++) {
        arms[i] = (struct arm){r, i};
        timer_init(&r->t[i], &r->c, &r->st[i], fire, &arms[i]);
    }
}

TEST(clock_fires_in_order)
{
    struct rig r;
    struct arm arms[4];
    setup(&r, arms, 4);
    EXPECT_EQ(clock_next(&r.c), VTIME_NEVER);
    timer_set(&r.t[0], 30);
    timer_set(&r.t[1], 10);
    timer_set(&r.t[2], 20);
    timer_set(&r.t[3], 10);
    EXPECT_EQ(clock_next(&r.c), 10);
    clock_run_due(&r.c);
    EXPECT_EQ(r.nfired, 0);
    clock_skip(&r.c, 20);
    clock_run_due(&r.c);
    EXPECT_EQ(r.nfired, 3);
    EXPECT(r.fired[0] == 1 && r.fired[1] == 3 && r.fired[2] == 2);
    EXPECT(!timer_pending(&r.t[1]) && timer_pending(&r.t[0]));
    timer_cancel(&r.t[0]);
    EXPECT_EQ(clock_next(&r.c), VTIME_NEVER);
    clock_skip(&r.c, 100);
    clock_run_due(&r.c);
    EXPECT_EQ(r.nfired, 3);
    clock_fini(&r.c);
}

// Ties go by registration whatever the order of setting was.
TEST(clock_ties)
{
    struct rig r;
    struct arm arms[NT];
    setup(&r, arms, NT);
    struct t_rng rng = {t_seed()};
    for (unsigned i = 0; i < 200; i++) {
        timer_set(&r.t[t_rand_below(&rng, NT)], t_rand_below(&rng, 50));
    }
    for (unsigned i = 0; i < NT; i++) {
        timer_set(&r.t[(i * 7) % NT], 5);
    }
    clock_skip(&r.c, 5);
    clock_run_due(&r.c);
    EXPECT_EQ(r.nfired, NT);
    for (unsigned i = 0; i < NT; i++) {
        EXPECT_EQ(r.fired[i], i);
    }
    clock_fini(&r.c);
}

// Against a plain list: random sets and cancels, the earliest is always right.
TEST(clock_heap_model)
{
    struct rig r;
    struct arm arms[NT];
    setup(&r, arms, NT);
    struct t_rng rng = {t_seed()};
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)t_rand_below(&rng, NT);
        switch (t_rand_below(&rng, 4)) {
        case 0:
            timer_cancel(&r.t[i]);
            break;
        case 1: // as a load does: behind the clock's back
            r.st[i].deadline = r.c.s.now + t_rand_below(&rng, 30);
            r.st[(i * 3 + 1) % NT].deadline = VTIME_NEVER;
            clock_resync(&r.c);
            break;
        default:
            timer_set(&r.t[i], r.c.s.now + t_rand_below(&rng, 1000));
            break;
        }
        vtime least = VTIME_NEVER;
        for (unsigned k = 0; k < NT; k++) {
            least = r.st[k].deadline < least ? r.st[k].deadline : least;
        }
        if (!EXPECT_EQ(clock_next(&r.c), least)) {
            break;
        }
        if (least != VTIME_NEVER && t_rand_below(&rng, 3) == 0) {
            clock_skip(&r.c, least > r.c.s.now ? least : r.c.s.now);
            r.nfired = 0;
            clock_run_due(&r.c);
            EXPECT(r.nfired >= 1);
            for (unsigned k = 1; k < r.nfired; k++) {
                EXPECT(r.fired[k - 1] < r.fired[k]); // all due at one instant: registration order
            }
        }
    }
    clock_fini(&r.c);
}

TEST(clock_timer_rearmed_by_its_callback)
{
    struct rig r;
    struct arm arms[2];
    setup(&r, arms, 2);
    r.again = 0;
    r.again_at = 15;
    timer_set(&r.t[0], 10);
    timer_set(&r.t[1], 12);
    clock_skip(&r.c, 20);
    clock_run_due(&r.c);
    EXPECT_EQ(r.nfired, 3);
    EXPECT(r.fired[0] == 0 && r.fired[1] == 1 && r.fired[2] == 0);
    clock_fini(&r.c);
}

TEST(clock_slices_count_and_kick)
{
    struct rig r;
    struct arm arms[2];
    setup(&r, arms, 2);
    clock_skip(&r.c, 1000);
    clock_slice_begin(&r.c, 100);
    EXPECT_EQ(clock_now(&r.c), 1000);
    r.elapsed = 40;
    EXPECT_EQ(clock_now(&r.c), 1040);
    EXPECT_EQ(clock_icount(&r.c), 40);
    timer_set(&r.t[0], 1100); // at the end of the slice: it ends there anyway
    timer_set(&r.t[1], 1200);
    EXPECT_EQ(r.kicks, 0);
    timer_set(&r.t[0], 1050);
    EXPECT_EQ(r.kicks, 1);
    clock_slice_end(&r.c, 50);
    EXPECT_EQ(clock_now(&r.c), 1050);
    EXPECT_EQ(clock_icount(&r.c), 50);
    timer_set(&r.t[1], 1060); // outside a slice nobody is kicked
    EXPECT_EQ(r.kicks, 1);
    clock_run_due(&r.c);
    EXPECT_EQ(r.nfired, 1);
    clock_skip(&r.c, 2000);
    EXPECT_EQ(clock_icount(&r.c), 50); // a skip retires nothing
    clock_fini(&r.c);
}

// 2.5 ns for each instruction: no deadline is missed by more than one, and fractions add up.
TEST(clock_rate)
{
    struct rig r;
    struct arm arms[2];
    setup(&r, arms, 2);
    clock_set_rate(&r.c, CLOCK_RATE_ONE * 5 / 2);
    EXPECT_EQ(clock_units(&r.c, 0, 100), 0);
    EXPECT_EQ(clock_units(&r.c, 1, 100), 1);
    EXPECT_EQ(clock_units(&r.c, 2, 100), 1);
    EXPECT_EQ(clock_units(&r.c, 3, 100), 2);
    EXPECT_EQ(clock_units(&r.c, 5, 100), 2);
    EXPECT_EQ(clock_units(&r.c, 6, 100), 3);
    EXPECT_EQ(clock_units(&r.c, 251, 100), 100);
    EXPECT_EQ(clock_units(&r.c, VTIME_NEVER, 100), 100);
    clock_slice_begin(&r.c, 100);
    r.elapsed = 1;
    EXPECT_EQ(clock_now(&r.c), 2);
    r.elapsed = 3;
    EXPECT_EQ(clock_now(&r.c), 7);
    EXPECT_EQ(clock_icount(&r.c), 3);
    timer_set(&r.t[0], 249);
    EXPECT_EQ(r.kicks, 1);
    timer_set(&r.t[0], 250);
    EXPECT_EQ(r.kicks, 1);
    clock_slice_end(&r.c, 3);
    r.elapsed = 0;
    EXPECT_EQ(clock_now(&r.c), 7);
    EXPECT_EQ(clock_units(&r.c, 8, 100), 1); // 7.5 now
    EXPECT_EQ(clock_units(&r.c, 10, 100), 1);
    EXPECT_EQ(clock_units(&r.c, 11, 100), 2);
    for (unsigned i = 0; i < 397; i++) {
        clock_slice_begin(&r.c, 1);
        clock_slice_end(&r.c, 1);
    }
    EXPECT_EQ(clock_now(&r.c), 1000);
    EXPECT_EQ(clock_icount(&r.c), 400);
    clock_set_rate(&r.c, 0);
    EXPECT_EQ(r.c.s.rate, CLOCK_RATE_ONE);
    clock_set_rate(&r.c, UINT32_MAX);
    EXPECT_EQ(r.c.s.rate, CLOCK_RATE_MAX);
    clock_fini(&r.c);
}
