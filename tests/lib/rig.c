// The bare bus behind tests/lib/rig.h.

#include "tests/lib/rig.h"

#include <stdio.h>
#include <string.h>

static void on_request(void *ctx, enum dev_request what, uint32_t arg)
{
    struct rig *r = ctx;
    r->nreq++;
    r->req = what;
    r->req_arg = arg;
}

static struct ram *ram_new(void *ctx, const char *name, uint64_t bytes)
{
    struct rig *r = ctx;
    (void)name;
    if (r->nram == RIG_MAX_RAM || !ram_init(&r->ram[r->nram], bytes)) {
        return NULL;
    }
    return &r->ram[r->nram++];
}

void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    clock_init(&r->clock);
    gate_init(&r->gate);
    aspace_init(&r->mem, UINT64_C(1) << 36);
    aspace_init(&r->io, 0x10000);
    r->env.clock = &r->clock;
    r->env.gate = &r->gate;
    r->env.mem = &r->mem;
    r->env.io = &r->io;
    r->env.request = on_request;
    r->env.request_ctx = r;
    r->env.ram_new = ram_new;
    r->env.ram_ctx = r;
}

void rig_fini(struct rig *r)
{
    dev_free_all(&r->env);
    aspace_fini(&r->io);
    aspace_fini(&r->mem);
    while (r->nram) {
        ram_fini(&r->ram[--r->nram]);
    }
    gate_fini(&r->gate);
    clock_fini(&r->clock);
}

struct dev *rig_add(struct rig *r, const struct dev_class *cls, const char *name, const char *props)
{
    struct err e = {""};
    struct dev *d = dev_new(&r->env, cls, name, &e);
    bool ok = d != NULL;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", props ? props : "");
    char *rest = copy;
    while (ok && *rest) {
        char *item = rest, *comma = strchr(rest, ',');
        rest = comma ? comma + 1 : rest + strlen(rest);
        if (comma) {
            *comma = '\0';
        }
        char *eq = strchr(item, '=');
        ok = eq != NULL;
        if (eq) {
            *eq = '\0';
            ok = dev_set(d, item, eq + 1, &e);
        }
    }
    ok = ok && dev_init(d, &e);
    if (!ok) {
        FAIL("%s: %s", name, e.msg);
        return NULL;
    }
    return d;
}

void rig_wire(struct rig *r, const char *from, const char *to)
{
    char a[64], b[64];
    struct err e = {""};
    snprintf(a, sizeof a, "%s", from);
    snprintf(b, sizeof b, "%s", to);
    char *out = strchr(a, '.'), *in = strchr(b, '.');
    *out++ = '\0';
    *in++ = '\0';
    struct dev *x = dev_find(&r->env, a), *y = dev_find(&r->env, b);
    if (!x || !y || !dev_connect(x, out, y, in, &e)) {
        FAIL("wire %s to %s: %s", from, to, e.msg);
    }
}

void rig_reset(struct rig *r, enum reset_kind kind)
{
    dev_reset_all(&r->env, kind);
}

void rig_run_to(struct rig *r, vtime t)
{
    while (clock_next(&r->clock) <= t) {
        vtime next = clock_next(&r->clock);
        clock_skip(&r->clock, next > r->clock.s.now ? next : r->clock.s.now);
        clock_run_due(&r->clock);
    }
    if (t > r->clock.s.now) {
        clock_skip(&r->clock, t);
    }
}

void rig_run(struct rig *r, uint64_t ns)
{
    rig_run_to(r, r->clock.s.now + ns);
}

void rig_post(struct rig *r, const char *source, const void *data, uint32_t len)
{
    EXPECT(gate_post(&r->gate, gate_source_find(&r->gate, source), data, len));
    gate_deliver(&r->gate, clock_now(&r->clock));
}

void rig_reload(struct rig *r)
{
    struct st_buf a = {0}, b = {0};
    struct err e = {""};
    uint64_t h = dev_digest_all(&r->env, ST_DIGEST_INIT);
    dev_save_all(&r->env, &a);
    struct st_src src = {a.data, a.len, 0};
    if (!EXPECT(dev_load_all(&r->env, &src, &e))) {
        FAIL("%s", e.msg);
    }
    EXPECT_EQ(dev_digest_all(&r->env, ST_DIGEST_INIT), h);
    dev_save_all(&r->env, &b);
    EXPECT_EQ(a.len, b.len);
    EXPECT_MEM(a.data, b.data, a.len);
    st_buf_free(&a);
    st_buf_free(&b);
}

static void probe_pin(struct dev *d, unsigned in, bool level)
{
    struct probe *p = (struct probe *)d;
    vtime now = clock_now(d->env->clock);
    if (level) {
        p->rises[in]++;
        p->last_rise[in] = now;
    } else {
        p->falls[in]++;
        p->last_fall[in] = now;
    }
}

static const char *const probe_in[] = {"in0",  "in1",  "in2",  "in3",  "in4",  "in5",
                                       "in6",  "in7",  "in8",  "in9",  "in10", "in11",
                                       "in12", "in13", "in14", "in15", NULL};
static const char *const probe_out[] = {"out0",  "out1",  "out2",  "out3",  "out4",  "out5",
                                        "out6",  "out7",  "out8",  "out9",  "out10", "out11",
                                        "out12", "out13", "out14", "out15", NULL};

const struct dev_class probe_class = {
    .name = "probe",
    .help = "watches and drives wires in tests",
    .size = sizeof(struct probe),
    .pins_in = probe_in,
    .pins_out = probe_out,
    .pin = probe_pin,
};
