// Devices: properties, wires, lifecycle, and save, load and digest of a whole set.

#include "core/dev.h"

#include <stdio.h>
#include <string.h>

#include "core/backend.h"
#include "tests/t.h"

#define TOY_STATE(S, V, A, N)                                                                      \
    V(S, uint32_t, value, 1)                                                                       \
    V(S, struct vtimer, due, 1)
ST_DECLARE(toy_state, TOY_STATE);
ST_DESCRIBE(toy_state, TOY_STATE, 1);

struct toy {
    struct dev dev;
    struct toy_state s;
    struct timer timer;
    uint32_t base, pin_calls, restored, ticks;
    uint64_t wide;
    bool on, last_level, fail;
    char text[32];
    struct chr *chr;
    unsigned *finis;
};

static void toy_tick(void *ctx)
{
    ((struct toy *)ctx)->ticks++;
}

static bool toy_init(struct dev *d, struct err *e)
{
    struct toy *t = (struct toy *)d;
    if (t->fail) {
        return err_set(e, "asked to fail");
    }
    timer_init(&t->timer, d->env->clock, &t->s.due, toy_tick, t);
    return true;
}

static void toy_reset(struct dev *d, enum reset_kind kind)
{
    struct toy *t = (struct toy *)d;
    t->s.value = kind == RESET_COLD ? 1 : t->s.value + 1;
    timer_cancel(&t->timer);
    dev_pin_set(d, 0, false);
    dev_pin_set(d, 1, false);
}

static void toy_pin(struct dev *d, unsigned in, bool level)
{
    struct toy *t = (struct toy *)d;
    t->pin_calls++;
    t->last_level = level;
    EXPECT_EQ(dev_pin_in(d, in), level);
}

static void toy_restored(struct dev *d)
{
    ((struct toy *)d)->restored++;
}

static void toy_fini(struct dev *d)
{
    struct toy *t = (struct toy *)d;
    if (t->finis) {
        ++*t->finis;
    }
}

static const struct prop toy_props[] = {
    {"base", PROP_U32, offsetof(struct toy, base), "0x3f8", 0, 0xffff, "port"},
    {"wide", PROP_U64, offsetof(struct toy, wide), "5", 0, 0, "number"},
    {"on", PROP_BOOL, offsetof(struct toy, on), "on", 0, 0, "switch"},
    {"fail", PROP_BOOL, offsetof(struct toy, fail), "off", 0, 0, "init fails"},
    {"text", PROP_STR, offsetof(struct toy, text), "hello", 0, 0, "words"},
    {"chr", PROP_CHR, offsetof(struct toy, chr), NULL, 0, 0, "back end"},
    {0},
};
static const char *const toy_in[] = {"in0", "in1", NULL};
static const char *const toy_out[] = {"out0", "out1", NULL};

static const struct dev_class toy_class = {
    .name = "toy",
    .help = "for this test",
    .size = sizeof(struct toy),
    .state_off = offsetof(struct toy, s),
    .state = &toy_state_desc,
    .props = toy_props,
    .pins_in = toy_in,
    .pins_out = toy_out,
    .init = toy_init,
    .reset = toy_reset,
    .pin = toy_pin,
    .restored = toy_restored,
    .fini = toy_fini,
};

struct rig {
    struct clock clock;
    struct gate gate;
    struct dev_env env;
};

static void setup(struct rig *r)
{
    memset(r, 0, sizeof *r);
    clock_init(&r->clock);
    gate_init(&r->gate);
    r->env.clock = &r->clock;
    r->env.gate = &r->gate;
}

static void teardown(struct rig *r)
{
    dev_free_all(&r->env);
    gate_fini(&r->gate);
    clock_fini(&r->clock);
}

static struct toy *add(struct rig *r, const char *name)
{
    struct err e;
    struct toy *t = (struct toy *)dev_new(&r->env, &toy_class, name, &e);
    EXPECT(t && dev_init(&t->dev, &e));
    return t;
}

TEST(dev_properties)
{
    struct rig r;
    struct err e;
    setup(&r);
    struct toy *t = (struct toy *)dev_new(&r.env, &toy_class, "t0", &e);
    EXPECT(t->base == 0x3f8 && t->wide == 5 && t->on && !t->fail);
    EXPECT_STR(t->text, "hello");
    EXPECT(dev_set(&t->dev, "base", "0x2f8", &e) && t->base == 0x2f8);
    EXPECT(dev_set(&t->dev, "base", "65535", &e) && t->base == 0xffff);
    EXPECT(!dev_set(&t->dev, "base", "65536", &e) && strstr(e.msg, "65535"));
    EXPECT(!dev_set(&t->dev, "base", "12x", &e));
    EXPECT(!dev_set(&t->dev, "base", "-1", &e));
    EXPECT(!dev_set(&t->dev, "base", "", &e));
    EXPECT(t->base == 0xffff);
    EXPECT(dev_set(&t->dev, "wide", "18446744073709551615", &e) && t->wide == UINT64_MAX);
    EXPECT(!dev_set(&t->dev, "wide", "18446744073709551616", &e));
    EXPECT(dev_set(&t->dev, "on", "off", &e) && !t->on);
    EXPECT(!dev_set(&t->dev, "on", "maybe", &e) && strstr(e.msg, "on or off"));
    EXPECT(!dev_set(&t->dev, "text", "0123456789012345678901234567890123", &e));
    EXPECT(dev_set(&t->dev, "text", "x", &e));
    EXPECT_STR(t->text, "x");
    EXPECT(!dev_set(&t->dev, "colour", "red", &e));
    EXPECT(strstr(e.msg, "colour") && strstr(e.msg, "toy") && strstr(e.msg, "base"));
    struct chr chr = {0};
    EXPECT(dev_set_backend(&t->dev, "chr", PROP_CHR, &chr, &e) && t->chr == &chr);
    EXPECT(!dev_set_backend(&t->dev, "base", PROP_CHR, &chr, &e));
    EXPECT(!dev_set(&t->dev, "chr", "stdio", &e));
    teardown(&r);
}

TEST(dev_names_and_init_failure)
{
    struct rig r;
    struct err e;
    unsigned finis = 0;
    setup(&r);
    struct toy *a = add(&r, "a");
    a->finis = &finis;
    EXPECT(!dev_new(&r.env, &toy_class, "a", &e) && strstr(e.msg, "\"a\""));
    EXPECT(!dev_new(&r.env, &toy_class, "", &e));
    EXPECT(!dev_new(&r.env, &toy_class, "a name that is longer than 31 bytes", &e));
    struct toy *b = (struct toy *)dev_new(&r.env, &toy_class, "b", &e);
    b->finis = &finis;
    EXPECT(dev_set(&b->dev, "fail", "on", &e));
    EXPECT(!dev_init(&b->dev, &e));
    EXPECT(strncmp(e.msg, "b: ", 3) == 0);
    EXPECT(dev_find(&r.env, "b") == &b->dev && !dev_find(&r.env, "c"));
    teardown(&r);
    EXPECT_EQ(finis, 1); // only what was initialized is finished
}

TEST(dev_wired_or)
{
    struct rig r;
    struct err e;
    setup(&r);
    struct toy *a = add(&r, "a"), *b = add(&r, "b"), *c = add(&r, "c");
    EXPECT(dev_connect(&a->dev, "out0", &c->dev, "in1", &e));
    EXPECT(dev_connect(&b->dev, "out1", &c->dev, "in1", &e));
    EXPECT(!dev_connect(&b->dev, "out1", &c->dev, "in1", &e));
    EXPECT(!dev_connect(&a->dev, "out7", &c->dev, "in1", &e) && strstr(e.msg, "out7"));
    EXPECT(!dev_connect(&a->dev, "out0", &c->dev, "out0", &e));
    dev_reset_all(&r.env, RESET_COLD);
    EXPECT_EQ(c->pin_calls, 0);
    dev_pin_set(&a->dev, 0, true);
    EXPECT(c->pin_calls == 1 && c->last_level);
    dev_pin_set(&a->dev, 0, true);
    EXPECT_EQ(c->pin_calls, 1);
    dev_pin_set(&b->dev, 1, true);
    EXPECT_EQ(c->pin_calls, 1); // high already
    dev_pin_set(&a->dev, 0, false);
    EXPECT(c->pin_calls == 1 && dev_pin_in(&c->dev, 1));
    dev_pin_set(&b->dev, 1, false);
    EXPECT(c->pin_calls == 2 && !c->last_level && !dev_pin_in(&c->dev, 1));
    dev_pin_set(&b->dev, 0, true); // wired to nothing
    EXPECT_EQ(c->pin_calls, 2);
    // A wire to an output that is high already.
    EXPECT(dev_connect(&b->dev, "out0", &a->dev, "in0", &e));
    EXPECT(dev_pin_in(&a->dev, 0));
    teardown(&r);
}

TEST(dev_reset_kinds)
{
    struct rig r;
    setup(&r);
    struct toy *a = add(&r, "a");
    dev_reset_all(&r.env, RESET_COLD);
    EXPECT_EQ(a->s.value, 1);
    dev_reset_all(&r.env, RESET_WARM);
    EXPECT_EQ(a->s.value, 2);
    dev_reset_all(&r.env, RESET_COLD);
    EXPECT_EQ(a->s.value, 1);
    teardown(&r);
}

static struct toy *build_pair(struct rig *r)
{
    struct err e;
    setup(r);
    struct toy *a = add(r, "a"), *b = add(r, "b");
    EXPECT(dev_connect(&a->dev, "out0", &b->dev, "in0", &e));
    EXPECT(dev_connect(&a->dev, "out1", &b->dev, "in0", &e));
    dev_reset_all(&r->env, RESET_COLD);
    return a;
}

// Levels come back without pin() calls, timers fire as before, digests agree.
TEST(dev_save_load)
{
    struct rig r, q;
    struct err e = {""};
    struct toy *a = build_pair(&r);
    a->s.value = 0xabcd;
    timer_set(&a->timer, 500);
    dev_pin_set(&a->dev, 0, true);
    dev_pin_set(&a->dev, 1, true);
    struct st_buf b = {0};
    dev_save_all(&r.env, &b);

    struct toy *x = build_pair(&q), *y = (struct toy *)dev_find(&q.env, "b");
    EXPECT(dev_digest_all(&r.env, 1) != dev_digest_all(&q.env, 1));
    timer_set(&x->timer, 10); // overwritten by the load
    struct st_src src = {b.data, b.len, 0};
    if (!EXPECT(dev_load_all(&q.env, &src, &e))) {
        FAIL("%s", e.msg);
    }
    EXPECT_EQ(src.pos, src.len);
    EXPECT_EQ(x->s.value, 0xabcd);
    EXPECT(dev_pin_in(&y->dev, 0));
    EXPECT_EQ(y->pin_calls, 0);
    EXPECT(x->restored == 1 && y->restored == 1);
    EXPECT_EQ(dev_digest_all(&r.env, 1), dev_digest_all(&q.env, 1));
    EXPECT_EQ(clock_next(&q.clock), 500);
    clock_skip(&q.clock, 500);
    clock_run_due(&q.clock);
    EXPECT_EQ(x->ticks, 1);
    // The counts are right: it takes both outputs to release the line.
    dev_pin_set(&x->dev, 1, false);
    EXPECT(dev_pin_in(&y->dev, 0) && y->pin_calls == 0);
    dev_pin_set(&x->dev, 0, false);
    EXPECT(!dev_pin_in(&y->dev, 0) && y->pin_calls == 1);
    // A saved stream of the restored set is the same bytes.
    dev_pin_set(&x->dev, 0, true);
    dev_pin_set(&x->dev, 1, true);
    x->s.due.deadline = 500;
    struct st_buf b2 = {0};
    dev_save_all(&q.env, &b2);
    EXPECT_EQ(b.len, b2.len);
    EXPECT_MEM(b.data, b2.data, b.len);
    st_buf_free(&b);
    st_buf_free(&b2);
    teardown(&r);
    teardown(&q);
}

// A stream that goes bad in the second device leaves the first as it was, too.
TEST(dev_bad_load_changes_nothing)
{
    struct rig r, q;
    struct toy *a = build_pair(&r);
    a->s.value = 0xabcd;
    dev_pin_set(&a->dev, 0, true);
    struct st_buf b = {0};
    dev_save_all(&r.env, &b);
    struct toy *x = build_pair(&q);
    uint64_t h = dev_digest_all(&q.env, 1);
    for (size_t n = 0; n < b.len; n++) {
        struct err e = {""};
        struct st_src src = {b.data, n, 0};
        t_context("cut at %zu of %zu", n, b.len);
        EXPECT(!dev_load_all(&q.env, &src, &e));
        EXPECT(e.msg[0] != '\0');
        EXPECT_EQ(dev_digest_all(&q.env, 1), h);
        EXPECT(x->restored == 0);
    }
    // Levels of pins that do not exist (bit 63 of the last word, device b has two outputs).
    b.data[b.len - 1] = 0x80;
    struct err e = {""};
    struct st_src src = {b.data, b.len, 0};
    EXPECT(!dev_load_all(&q.env, &src, &e));
    EXPECT_EQ(dev_digest_all(&q.env, 1), h);
    st_buf_free(&b);
    // Another number of devices.
    add(&r, "c");
    dev_save_all(&r.env, &b);
    src = (struct st_src){b.data, b.len, 0};
    EXPECT(!dev_load_all(&q.env, &src, &e));
    EXPECT(strstr(e.msg, "3") && strstr(e.msg, "2"));
    st_buf_free(&b);
    teardown(&r);
    teardown(&q);
}

static uint32_t asked_arg;
static enum dev_request asked;

static void on_request(void *ctx, enum dev_request what, uint32_t arg)
{
    (void)ctx;
    asked = what;
    asked_arg = arg;
}

TEST(dev_requests)
{
    struct rig r;
    setup(&r);
    struct toy *a = add(&r, "a");
    dev_request(&a->dev, DEV_REQ_RESET, 0); // nobody listens: nothing happens
    r.env.request = on_request;
    dev_request(&a->dev, DEV_REQ_EXIT, 33);
    EXPECT(asked == DEV_REQ_EXIT && asked_arg == 33);
    teardown(&r);
}
