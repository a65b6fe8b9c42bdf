/*
 * Pace: a machine that keeps step with the host, fixed rates, and that a rate is an input like any
 * other. The guest is a loop that counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doppel.h"
#include "host/hosttime.h"
#include "tests/lib/kernel.h"
#include "tests/lib/robot.h"
#include "tests/t.h"
#include "util/bits.h"

static struct doppel_vm *create_with(const char *code, size_t len, const char *speed,
                                     struct doppel_error *e)
{
    struct doppel_options o;
    doppel_options_init(&o, DOPPEL_ABI);
    char *path = kernel_make(NULL, code, len);
    o.kernel = path;
    o.rtc_epoch = 1700000000;
    o.seed = 7;
    o.ram_bytes = 4u << 20;
    o.speed = speed;
    struct doppel_vm *vm = doppel_create(&o, e);
    unlink(path);
    free(path);
    return vm;
}

static struct doppel_vm *create(const char *speed, struct doppel_error *e)
{
    return create_with("\x40\xeb\xfd", 3, speed, e); /* l: inc eax; jmp l */
}

static void quiet(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    (void)text;
    (void)len;
}

TEST(fixed_rate)
{
    struct doppel_error e;
    struct doppel_vm *vm = create("2.5", &e);
    EXPECT_EQ(doppel_run(vm, 4000000), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_vtime(vm), 10000000);
    doppel_command(vm, "speed 4", quiet, NULL);
    EXPECT_EQ(doppel_run(vm, 5000000), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_vtime(vm), 14000000);
    doppel_command(vm, "speed max", quiet, NULL);
    EXPECT_EQ(doppel_run(vm, 6000000), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_vtime(vm), 15000000);
    doppel_destroy(vm);
}

TEST(bad_rates)
{
    static const char *const bad[] = {"", "0", "0.5", "1025", "fast", "2x", "-1", "nan", "2,sleep"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct doppel_error e;
        t_context("speed \"%s\"", bad[i]);
        EXPECT(create(bad[i], &e) == NULL);
        EXPECT(strstr(e.msg, "speed") != NULL && e.usage);
    }
}

/* Never ahead of the host by more than a moment; late as much as the host is busy elsewhere. */
TEST(real_time_is_not_outrun)
{
    struct doppel_error e;
    struct doppel_vm *vm = create("real", &e);
    EXPECT_EQ(doppel_run(vm, 1000), DOPPEL_LIMIT);
    uint64_t from = host_monotonic(), virtual = doppel_vtime(vm);
    while (doppel_vtime(vm) - virtual < 300000000) {
        EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + 1000000), DOPPEL_LIMIT);
    }
    EXPECT(host_monotonic() - from > 280000000);
    doppel_destroy(vm);
}

/* A guest in HLT sleeps on the host, and time passes all the same. */
TEST(a_halted_guest_costs_next_to_nothing)
{
    enum { NS = 2000000000 };
    struct doppel_error e;
    struct doppel_vm *vm = create_with("\xfb\xf4\xeb\xfd", 4, "real", &e); /* sti; l: hlt; jmp l */
    EXPECT_EQ(doppel_run(vm, 1), DOPPEL_LIMIT);
    uint64_t from = host_monotonic();
    clock_t busy = clock();
    EXPECT_EQ(doppel_run_until(vm, DOPPEL_NO_LIMIT, doppel_vtime(vm) + NS), DOPPEL_LIMIT);
    busy = clock() - busy;
    uint64_t took = host_monotonic() - from;
    EXPECT(took > NS - 50000000u);
    EXPECT((uint64_t)busy * (1000000000 / CLOCKS_PER_SEC) < took / 20); /* 5 % */
    doppel_destroy(vm);
}

/* The rates that a busy host led to come again when the run is repeated. */
TEST(rates_are_inputs)
{
    struct doppel_error e;
    struct doppel_vm *vm = create("real", &e);
    EXPECT(doppel_history(vm, 64u << 20, &e));
    enum { N = 20 };
    uint64_t now[N], digest[N];
    for (unsigned i = 0; i < N; i++) {
        char line[32];
        snprintf(line, sizeof line, "speed %u.%u", 1 + i % 3, i);
        /* Not at an instant that is gone to: there it may have come or not. */
        EXPECT_EQ(doppel_run(vm, 1000000 * i + 7), DOPPEL_LIMIT);
        doppel_command(vm, i % 5 == 4 ? "speed real" : line, quiet, NULL);
        EXPECT_EQ(doppel_run(vm, 1000000 * (i + 1)), DOPPEL_LIMIT);
        now[i] = doppel_vtime(vm);
        digest[i] = doppel_digest(vm);
    }
    EXPECT(now[N - 1] > 1000000 * (N + 5));
    for (unsigned i = N - 1; i-- > 0;) {
        EXPECT(doppel_goto(vm, 1000000 * (i + 1), &e));
        EXPECT_EQ(doppel_vtime(vm), now[i]);
        EXPECT_EQ(doppel_digest(vm), digest[i]);
    }
    doppel_destroy(vm);
}

/* --- The host is away for two seconds --- */

enum { AWAY = 2000000 }; /* us */

/* Replays the log with every check, and removes it. */
static void expect_replay(const char *log, uint64_t digest)
{
    struct doppel_error e = {"", false};
    struct doppel_log *l = doppel_log_open(log, &e);
    EXPECT_STR(e.msg, "");
    if (l) {
        struct doppel_options o = *doppel_log_options(l);
        o.replay_verify = true;
        struct doppel_vm *vm = doppel_create(&o, &e);
        EXPECT(vm && doppel_run(vm, DOPPEL_NO_LIMIT) == DOPPEL_REPLAYED);
        EXPECT(vm && doppel_digest(vm) == digest);
        doppel_destroy(vm);
        doppel_log_close(l);
    }
    unlink(log);
}

/* A busy guest: virtual time goes on from where it was, no faster than a rate allows; never back.
 * What is lost is caught up bit by bit, and all that is in the log. */
TEST(busy_guest_when_the_host_was_away)
{
    struct doppel_error e;
    struct robot r;
    struct doppel_options o = robot_options();
    char log[] = "/tmp/doppel-pace-XXXXXX";
    int fd = mkstemp(log);
    o.speed = "real";
    uint64_t first = host_monotonic(); /* a busy host may be behind soon after, and catch up */
    if (!EXPECT(fd >= 0 && close(fd) == 0 && robot_start(&r, &o, &e))) {
        return;
    }
    EXPECT(doppel_record_start(r.vm, log, &e));
    unsigned piece = t_emulated() ? 100000 : 1000000; /* instructions: milliseconds */
    for (unsigned i = 0; i < 20; i++) {
        doppel_run(r.vm, doppel_icount(r.vm) + piece);
    }
    usleep(AWAY);
    for (unsigned i = 0; i < 60; i++) {
        uint64_t host = host_monotonic(), now = doppel_vtime(r.vm), icount = doppel_icount(r.vm);
        doppel_run(r.vm, icount + piece);
        uint64_t passed = doppel_vtime(r.vm) - now, took = host_monotonic() - host;
        EXPECT(passed >= doppel_icount(r.vm) - icount);
        if (passed > took + UINT64_C(1000000000)) {
            FAIL("%u: %u ms went by in %u", i, (unsigned)(passed / 1000000),
                 (unsigned)(took / 1000000));
        }
    }
    EXPECT(doppel_vtime(r.vm) < host_monotonic() - first + 20000000);
    doppel_record_stop(r.vm);
    uint64_t digest = doppel_digest(r.vm);
    robot_stop(&r);
    expect_replay(log, digest);
}

/* An idle one: each tick of its timer comes, a millisecond after the one before. */
TEST(idle_guest_when_the_host_was_away)
{
    enum { TICKS = 3000 };
    struct doppel_error e;
    struct robot r;
    struct doppel_options o = robot_options();
    char log[] = "/tmp/doppel-pace-XXXXXX";
    int fd = mkstemp(log);
    o.speed = "real";
    uint64_t first = host_monotonic(); /* a busy host may be behind soon after, and catch up */
    if (!EXPECT(fd >= 0 && close(fd) == 0 && robot_start(&r, &o, &e))) {
        return;
    }
    EXPECT(doppel_record_start(r.vm, log, &e));
    uint64_t start = doppel_vtime(r.vm);
    const char order[8] = {'H', (char)(TICKS & 0xff), TICKS >> 8};
    r.n = 0;
    EXPECT(doppel_post_input(r.vm, "com1.rx", order, 8));
    doppel_run_until(r.vm, DOPPEL_NO_LIMIT, start + 200000000);
    usleep(AWAY);
    for (unsigned i = 0; i < 400 && r.n < 4; i++) {
        doppel_run_until(r.vm, DOPPEL_NO_LIMIT, doppel_vtime(r.vm) + 10000000);
    }
    uint64_t took = host_monotonic() - first, now = doppel_vtime(r.vm), passed = now - start;
    EXPECT_EQ(r.n, 4);
    uint32_t step = le32_get(r.answer); /* of 1024 ns; 1193 periods of the PIT's clock are 976 */
    /* No tick was lost. A slow host's instructions take longer, so less is not sure. */
    if (step < 970 || step >= 2 * 976) {
        FAIL("the largest step was %u us", (unsigned)(step * 1024 / 1000));
    }
    if (passed < TICKS * UINT64_C(999000) || now >= took + 20000000) {
        FAIL("%u ms went by in %u", (unsigned)(passed / 1000000), (unsigned)(took / 1000000));
    }
    doppel_record_stop(r.vm);
    uint64_t digest = doppel_digest(r.vm);
    robot_stop(&r);
    expect_replay(log, digest);
}
