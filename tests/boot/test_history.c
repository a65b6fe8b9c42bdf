/*
 * The past of a machine is exact: at any instant that it goes back to, the state is what a machine
 * that never went anywhere has there, and so is the end.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/boot/linux.h"
#include "tests/t.h"
#include "util/bits.h"
#include "vm/checkpoint.h"
#include "vm/history_priv.h"
#include "vm/twin.h"
#include "vm/vm.h"

enum { INSTANTS = 26 };
#define STEP UINT64_C(17654321)

/* Digests of a run that is typed at, at each instant. */
struct course {
    uint64_t digest[INSTANTS];
    vtime now[INSTANTS];
};

static uint64_t instant(unsigned i)
{
    return STEP * (i + 1);
}

static void go(struct guest *g, struct course *c)
{
    for (unsigned i = 0; i < INSTANTS; i++) {
        EXPECT_EQ(doppel_run(g->vm, instant(i)), DOPPEL_LIMIT);
        c->digest[i] = doppel_digest(g->vm);
        c->now[i] = doppel_vtime(g->vm);
        if (i % 7 == 3) {
            /* Between two instants: at its own it may have come or not. */
            EXPECT_EQ(doppel_run(g->vm, instant(i) + 5), DOPPEL_LIMIT);
            EXPECT(doppel_post_input(g->vm, "com1.rx", "x", 1));
        }
    }
}

static void look(struct guest *g, const struct course *c, unsigned i)
{
    struct doppel_error e;
    t_context("instant %u, in%s the past", i, doppel_in_past(g->vm) ? "" : " front of");
    if (!doppel_goto(g->vm, instant(i), &e)) {
        FAIL("%s", e.msg);
    }
    EXPECT_EQ(doppel_icount(g->vm), instant(i));
    EXPECT_EQ(doppel_vtime(g->vm), c->now[i]);
    EXPECT_EQ(doppel_digest(g->vm), c->digest[i]);
    EXPECT_EQ(g->vm->gate.late, 0);
}

static void back_and_forth(unsigned cpus, const char *engine)
{
    struct course plain, kept;
    struct guest a, b;
    struct doppel_error e;
    if (!guests_present("cloud") || !guest_open(&a, "cloud", cpus, engine) ||
        !guest_open(&b, "cloud", cpus, engine)) {
        return;
    }
    go(&a, &plain);
    EXPECT(doppel_history(b.vm, UINT64_C(64) << 20, &e));
    history_set_interval(b.vm, STEP * 3 / 2);
    go(&b, &kept);
    EXPECT_MEM(&plain, &kept, sizeof plain); // nothing of it shows
    size_t said = b.len;
    uint32_t random = 12345;
    for (unsigned i = 0; i < 12; i++) {
        random = random * 1664525 + 1013904223;
        uint64_t first, last;
        doppel_history_range(b.vm, &first, &last);
        unsigned to = (random >> 8) % INSTANTS;
        if (instant(to) >= first) {
            look(&b, &plain, to);
        }
    }
    look(&b, &plain, INSTANTS - 3);
    for (unsigned i = 0; i < 20; i++) { // step by step
        EXPECT_EQ(doppel_reverse_step(b.vm, 0), DOPPEL_BREAK);
    }
    EXPECT(doppel_icount(b.vm) <= instant(INSTANTS - 3) - 20);
    look(&b, &plain, INSTANTS - 2);
    EXPECT_EQ(b.len, said); // what was said is not said again
    EXPECT(doppel_in_past(b.vm));
    /* Forward, through the present, live again, to the same end. */
    EXPECT_EQ(doppel_run(b.vm, instant(INSTANTS + 5)), DOPPEL_LIMIT);
    EXPECT(!doppel_in_past(b.vm));
    EXPECT_EQ(doppel_run(a.vm, instant(INSTANTS + 5)), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_digest(b.vm), doppel_digest(a.vm));
    EXPECT_STR(b.text, a.text);
    /* Another branch: the input behind instant 17 does not come. */
    EXPECT(doppel_goto(b.vm, instant(17) - 5, &e));
    EXPECT(doppel_branch(b.vm, &e));
    EXPECT(!doppel_in_past(b.vm));
    EXPECT_EQ(doppel_run(b.vm, instant(17)), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_digest(b.vm), plain.digest[17]);
    EXPECT_EQ(doppel_run(b.vm, instant(18)), DOPPEL_LIMIT);
    EXPECT(doppel_digest(b.vm) != plain.digest[18]);
    guest_close(&a);
    guest_close(&b);
}

TEST(one_cpu_compiled)
{
    back_and_forth(1, "jit");
}

TEST(four_cpus_compiled)
{
    back_and_forth(4, "jit");
}

/* Back to the last instruction that wrote a word, and to those before, as running forwards finds
 * them. */
static void last_writes(bool physical)
{
    enum { MOST = 64 };
    struct doppel_error e;
    struct guest g;
    uint64_t hits[MOST], n = 0, end = 60000000;
    if (!guests_present("cloud") || !guest_open(&g, "cloud", 1, "jit")) {
        return;
    }
    EXPECT(doppel_history(g.vm, UINT64_C(128) << 20, &e));
    history_set_interval(g.vm, 3000000);
    EXPECT_EQ(doppel_run(g.vm, end), DOPPEL_LIMIT);
    uint64_t first, last;
    doppel_history_range(g.vm, &first, &last);
    /* The word below the stack pointer is written often. */
    uint8_t rsp[DOPPEL_REG_BYTES];
    EXPECT(doppel_reg_get(g.vm, 0, (unsigned)doppel_reg_find("rsp"), rsp));
    struct doppel_point p = {DOPPEL_POINT_WRITE, physical, le64_get(rsp) - 8, 8};
    if (physical) {
        const struct cpu *c = g.vm->cpu[0];
        struct walk_result r = walk_page(&c->walk, c->mem, p.address, ACC_READ, false, true, true);
        EXPECT(r.ok);
        p.address = r.addr;
    }
    EXPECT(doppel_goto(g.vm, end - 30000000, &e));
    EXPECT(doppel_break_add(g.vm, &p, &e));
    while (n < MOST && doppel_run(g.vm, end) == DOPPEL_BREAK) {
        hits[n++] = doppel_last_hit(g.vm)->before;
    }
    EXPECT(n > 3);
    if (n == MOST) { // go on from there backwards
        end = doppel_icount(g.vm);
    } else {
        EXPECT(doppel_goto(g.vm, end, &e));
    }
    while (n > 0) {
        EXPECT_EQ(doppel_reverse_continue(g.vm), DOPPEL_BREAK);
        EXPECT_EQ(doppel_icount(g.vm), hits[--n]);
        EXPECT_EQ(doppel_last_hit(g.vm)->point.address, p.address);
    }
    EXPECT(doppel_break_remove(g.vm, &p));
    EXPECT_EQ(doppel_reverse_continue(g.vm), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_icount(g.vm), first);
    EXPECT(doppel_last_hit(g.vm) == NULL);
    guest_close(&g);
}

TEST(last_writes_by_linear_address)
{
    last_writes(false);
}

/* Putting the page back is no write to it. */
TEST(last_writes_by_physical_address)
{
    last_writes(true);
}

/* A twin of the machine, put into a checkpoint and run, is at each instant what the machine was. */
TEST(twins)
{
    struct course live;
    struct doppel_error e;
    struct err why = {""};
    struct guest g;
    if (!guests_present("cloud") || !guest_open(&g, "cloud", 2, "jit")) {
        return;
    }
    EXPECT(doppel_history(g.vm, UINT64_C(256) << 20, &e));
    history_set_interval(g.vm, STEP * 2);
    go(&g, &live);
    struct history *h = g.vm->history;
    struct doppel_vm *twin = twin_new(g.vm, h->points.list[0].cp, &why);
    if (!twin) {
        FAIL("%s", why.msg);
        return;
    }
    for (unsigned i = 0; i < INSTANTS; i += 5) {
        struct history_log inputs = h->log;
        const struct point *p = h->points.list;
        while (p + 1 < h->points.list + h->points.n && point_at(p + 1) <= instant(i)) {
            p++;
        }
        t_context("instant %u", i);
        EXPECT(twin_enter(twin, p->cp, &why));
        inputs.cursor = p->input;
        twin->gate.feed = history_log_feed(&inputs);
        EXPECT_EQ(vm_run(twin, instant(i)), DOPPEL_LIMIT);
        EXPECT_EQ(doppel_vtime(twin), live.now[i]);
        EXPECT_EQ(doppel_digest(twin), live.digest[i]);
        twin->gate.feed = NULL;
    }
    doppel_destroy(twin);
    EXPECT_EQ(doppel_digest(g.vm), live.digest[INSTANTS - 1]);
    guest_close(&g);
}

struct found {
    enum doppel_stop why;
    struct doppel_hit hit;
    uint64_t icount, digest;
};

/* By one: all intervals; by more: those in which something can be. */
static struct found find_back(struct guest *g, unsigned workers)
{
    struct doppel_error e;
    struct found f;
    memset(&f, 0, sizeof f);
    history_set_workers(g->vm, workers);
    g->vm->history->brute = workers == 1;
    EXPECT(doppel_goto(g->vm, instant(8), &e));
    f.why = doppel_reverse_continue(g->vm);
    const struct doppel_hit *hit = doppel_last_hit(g->vm);
    if (hit) {
        f.hit.cpu = hit->cpu;
        f.hit.at = hit->at;
        f.hit.icount = hit->icount;
        f.hit.before = hit->before;
    }
    f.icount = doppel_icount(g->vm);
    f.digest = doppel_digest(g->vm);
    return f;
}

/* Several cores find what one finds, whoever of them is faster. */
static void many_find_what_one_finds(unsigned cpus)
{
    struct course live;
    struct doppel_error e;
    struct guest g;
    unsigned far = 0;
    if (!guests_present("cloud") || !guest_open(&g, "cloud", cpus, "jit")) {
        return;
    }
    EXPECT(doppel_history(g.vm, UINT64_C(256) << 20, &e));
    history_set_interval(g.vm, 4000000);
    go(&g, &live);
    EXPECT(doppel_goto(g.vm, instant(6), &e));
    for (unsigned i = 0; i < 4; i++) {
        /* Somewhere in what the stack was at another time, and code that ran then. */
        uint8_t v[DOPPEL_REG_BYTES];
        EXPECT(doppel_goto(g.vm, instant(i + 3) - i * 777, &e));
        const char *name = i % 2 ? "pc" : "rsp";
        EXPECT(doppel_reg_get(g.vm, 0, (unsigned)doppel_reg_find(name), v));
        struct doppel_point p = {i % 2 ? DOPPEL_POINT_EXEC : DOPPEL_POINT_WRITE, false,
                                 le64_get(v) - (i % 2 ? 0 : 64 * i), 8};
        t_context("%s %u", name, i);
        EXPECT(doppel_break_add(g.vm, &p, &e));
        struct found one = find_back(&g, 1), many = find_back(&g, 3);
        EXPECT_MEM(&one, &many, sizeof one);
        far += one.icount < instant(8) - 8000000;
        EXPECT(doppel_break_remove(g.vm, &p));
    }
    EXPECT(far > 0);
    EXPECT(!g.vm->history->alone);
    EXPECT_EQ(doppel_run(g.vm, instant(INSTANTS - 1)), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_digest(g.vm), live.digest[INSTANTS - 1]);
    guest_close(&g);
}

TEST(search_on_several_cores)
{
    many_find_what_one_finds(1);
}

TEST(search_on_several_cores_four_cpus)
{
    many_find_what_one_finds(4);
}

/* A replay of the same run, from its log: the same instants, there and back, and the same end. */
TEST(in_a_replay)
{
    struct course live;
    struct guest a, b = {0};
    struct doppel_error e;
    char path[] = "/tmp/doppel-history-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || !guests_present("cloud") || !guest_open(&a, "cloud", 2, "jit")) {
        return;
    }
    close(fd);
    EXPECT(doppel_record_start(a.vm, path, &e));
    go(&a, &live);
    guest_close(&a);
    struct doppel_log *log = doppel_log_open(path, &e);
    if (!log) {
        FAIL("%s", e.msg);
        return;
    }
    struct doppel_options o = *doppel_log_options(log);
    o.history = UINT64_C(256) << 20;
    o.replay_verify = true;
    b.vm = doppel_create(&o, &e);
    EXPECT(b.vm != NULL);
    if (!b.vm) {
        FAIL("%s", e.msg);
        return;
    }
    history_set_interval(b.vm, STEP / 3);
    EXPECT_EQ(doppel_run(b.vm, instant(20)), DOPPEL_LIMIT);
    for (unsigned i = 0; i < 8; i++) {
        look(&b, &live, (i * 13 + 5) % 20);
    }
    EXPECT(doppel_goto(b.vm, instant(3), &e));
    uint8_t rsp[DOPPEL_REG_BYTES];
    EXPECT(doppel_reg_get(b.vm, 0, (unsigned)doppel_reg_find("rsp"), rsp));
    struct doppel_point p = {DOPPEL_POINT_WRITE, false, le64_get(rsp) - 200, 8};
    EXPECT(doppel_break_add(b.vm, &p, &e));
    struct found one = find_back(&b, 1), many = find_back(&b, 3);
    EXPECT_MEM(&one, &many, sizeof one);
    EXPECT(!b.vm->history->alone);
    EXPECT(doppel_break_remove(b.vm, &p));
    EXPECT(!doppel_branch(b.vm, &e)); // a log knows one way
    EXPECT_EQ(doppel_reverse_step(b.vm, 0), DOPPEL_BREAK);
    EXPECT_EQ(doppel_run(b.vm, DOPPEL_NO_LIMIT), DOPPEL_REPLAYED);
    EXPECT(!doppel_in_past(b.vm));
    EXPECT_EQ(doppel_icount(b.vm), instant(INSTANTS - 1));
    look(&b, &live, INSTANTS - 2);
    look(&b, &live, 11);
    EXPECT_EQ(doppel_run(b.vm, DOPPEL_NO_LIMIT), DOPPEL_REPLAYED);
    EXPECT_EQ(doppel_digest(b.vm), live.digest[INSTANTS - 1]);
    unlink(path);
    doppel_log_close(log);
    guest_close(&b);
}

/* What had powered off goes back to where it ran. */
TEST(from_the_end)
{
    struct doppel_error e;
    struct guest g;
    if (!guests_present("cloud") || !guest_open(&g, "cloud", 1, "jit")) {
        return;
    }
    EXPECT(!doppel_goto(g.vm, 0, &e)); // nothing is kept
    EXPECT(doppel_history(g.vm, UINT64_C(128) << 20, &e));
    EXPECT_EQ(doppel_run(g.vm, UINT64_C(20000000000)), DOPPEL_POWEROFF);
    uint64_t end = doppel_icount(g.vm), digest = doppel_digest(g.vm), first, last;
    doppel_history_range(g.vm, &first, &last);
    EXPECT_EQ(last, end);
    EXPECT(first < end);
    EXPECT(!doppel_goto(g.vm, end + 1, &e));
    EXPECT(doppel_goto(g.vm, end - 1000, &e));
    EXPECT_EQ(doppel_icount(g.vm), end - 1000);
    EXPECT(doppel_digest(g.vm) != digest);
    EXPECT_EQ(doppel_run(g.vm, DOPPEL_NO_LIMIT), DOPPEL_POWEROFF);
    EXPECT_EQ(doppel_icount(g.vm), end);
    EXPECT_EQ(doppel_digest(g.vm), digest);
    guest_close(&g);
}
