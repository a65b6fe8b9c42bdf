/*
 * The gdb stub against a hostile client: random bytes, packets of every command with random
 * arguments, and mutations of what gdb says, while the machine (the demo, with RAM of its own)
 * runs, steps and stops as it is told. What comes back must be well-formed packets, and every
 * packet that does not let the machine run gets exactly one answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doppel.h"
#include "frontends/gdb_stub.h"
#include "tests/t.h"

struct client {
    uint8_t buf[1 << 20];
    size_t n;
    unsigned packets, console;
    bool bad;
};

static void receive(void *ctx, const void *data, size_t len)
{
    struct client *c = ctx;
    if (c->n + len > sizeof c->buf) {
        c->n = 0; /* a command of the monitor can say a lot; each piece comes whole */
    }
    memcpy(c->buf + c->n, data, len);
    c->n += len;
}

/* Take apart what came. */
static void check_replies(struct client *c)
{
    size_t k = 0;
    c->packets = c->console = 0;
    while (k < c->n) {
        if (c->buf[k] == '+' || c->buf[k] == '-') {
            k++;
            continue;
        }
        uint8_t sum = 0;
        size_t at = k + 1;
        for (; at < c->n && c->buf[at] != '#'; at++) {
            c->bad |= c->buf[at] == '$';
            sum = (uint8_t)(sum + c->buf[at]);
        }
        char digits[3] = {0}, want[3];
        if (c->buf[k] != '$' || at + 2 >= c->n) {
            c->bad = true;
            break;
        }
        memcpy(digits, &c->buf[at + 1], 2);
        snprintf(want, sizeof want, "%02x", sum);
        c->bad |= strcmp(digits, want) != 0;
        c->console += c->buf[k + 1] == 'O' && c->buf[k + 2] != 'K';
        c->packets++;
        k = at + 3;
    }
    c->n = 0;
}

static const char *const said[] = {
    "qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;xmlRegisters=i386",
    "QStartNoAckMode",
    "?",
    "g",
    "p10",
    "P0=1122334455667788",
    "P11=0202000000000000",
    "m7c00,40",
    "mfffffff0,10",
    "M8000,4:00112233",
    "X8000,4:abcd",
    "Z0,7c00,1",
    "z0,7c00,1",
    "Z2,8000,4",
    "Z4,400,100",
    "z2,8000,4",
    "Hg0",
    "Hc-1",
    "Hg2",
    "T1",
    "qfThreadInfo",
    "qsThreadInfo",
    "qThreadExtraInfo,2",
    "qC",
    "vCont?",
    "vCont;s:1;c",
    "vCont;c",
    "s",
    "c",
    "qXfer:features:read:target.xml:0,ffb",
    "qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff",
    "qRcmd,696e666f2063707573",       /* info cpus */
    "qRcmd,782f34307868203078376330", /* x/40xh 0x7c0 */
    "qqemu.PhyMemMode",
    "Qqemu.PhyMemMode:1",
    "vMustReplyEmpty",
    "qAttached",
    "G00",
};

static size_t frame(uint8_t *out, const uint8_t *data, size_t n, bool good)
{
    uint8_t sum = 0;
    size_t k = 0;
    out[k++] = '$';
    for (size_t i = 0; i < n; i++) {
        out[k++] = data[i];
        sum = (uint8_t)(sum + data[i]);
    }
    out[k++] = '#';
    sprintf((char *)out + k, "%02x", (uint8_t)(sum + !good));
    return k + 2;
}

/* A packet's data; never with # or $ in it. */
static size_t make_packet(struct t_rng *r, uint8_t *out, size_t cap)
{
    static const char letters[] = "?gGpPmMXzZHTcCsSbDqQv!ABdeEfFhiIjJkKlLnNoOrRtuUVwWxyY";
    static const char filling[] = "0123456789abcdefABCDEF,,::;;-.=p}* ";
    size_t n = 0;
    if (t_rand_below(r, 3)) {
        const char *from = said[t_rand_below(r, sizeof said / sizeof said[0])];
        n = strlen(from);
        memcpy(out, from, n);
        for (unsigned k = t_rand_below(r, 4) ? 0 : 1 + (unsigned)t_rand_below(r, 4); k && n; k--) {
            out[t_rand_below(r, n)] = (uint8_t)filling[t_rand_below(r, sizeof filling - 1)];
        }
        n -= t_rand_below(r, 8) || !n ? 0 : t_rand_below(r, n);
    } else {
        out[n++] = (uint8_t)letters[t_rand_below(r, sizeof letters - 1)];
        for (size_t len = t_rand_below(r, t_rand_below(r, 20) ? 30 : cap - 2); len; len--) {
            out[n++] = (uint8_t)filling[t_rand_below(r, sizeof filling - 1)];
        }
    }
    return n;
}

/* k and vKill end it, D lets it go: those are the end of a conversation. */
static bool ends(const uint8_t *p, size_t n)
{
    return n && (p[0] == 'k' || p[0] == 'D' || (n >= 5 && memcmp(p, "vKill", 5) == 0));
}

static void run_as_told(struct doppel_vm *vm, struct gdb_stub *s)
{
    unsigned cpu;
    enum doppel_stop why = DOPPEL_INTERRUPT;
    uint64_t limit = doppel_icount(vm) + 2000;
    switch (gdb_stub_want(s, &cpu)) {
    case GDB_RUN:
        why = doppel_run(vm, limit);
        break;
    case GDB_STEP:
        doppel_interrupt(vm); /* a halted vCPU may wait for long */
        why = doppel_step(vm, cpu);
        break;
    case GDB_REVERSE_STEP:
    case GDB_REVERSE_RUN:
        why = DOPPEL_LIMIT;
        break;
    default:
        return;
    }
    if (why == DOPPEL_BREAK || why == DOPPEL_LIMIT) {
        gdb_stub_stopped(s, DOPPEL_BREAK);
    }
}

static void converse(struct t_rng *r, unsigned packets)
{
    static struct client c;
    struct doppel_options o;
    struct doppel_error e;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1;
    o.seed = 1;
    o.ram_bytes = 2u << 20;
    o.cpus = 1 + (uint32_t)t_rand_below(r, 2);
    o.engine = t_rand_below(r, 2) ? "interp" : "jit,threshold=2";
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
        return;
    }
    c.n = 0;
    c.bad = false;
    struct gdb_stub *s =
        gdb_stub_new(vm, (enum gdb_arch)t_rand_below(r, GDB_ARCHES + 1), receive, &c);
    gdb_stub_attach(s);
    static uint8_t data[0x5000], bytes[0x5010];
    for (unsigned k = 0; k < packets; k++) {
        unsigned cpu;
        if (t_rand_below(r, 16) == 0) { /* noise */
            size_t n = t_rand_below(r, 64);
            for (size_t i = 0; i < n; i++) {
                bytes[i] = (uint8_t)t_rand_below(r, 256);
            }
            gdb_stub_feed(s, bytes, n);
            gdb_stub_feed(s, (const uint8_t *)"#00", 3); /* whatever it began ends */
            c.n = 0;
        }
        size_t n = make_packet(r, data, sizeof data);
        bool good = t_rand_below(r, 32) != 0, last = good && ends(data, n);
        gdb_stub_feed(s, bytes, frame(bytes, data, n, good));
        bool waits = gdb_stub_want(s, &cpu) == GDB_WAIT;
        check_replies(&c);
        if (c.bad || (waits && good && n <= 0x4000 && c.packets - c.console != 1)) {
            FAIL("%u answers to \"%.*s\"", c.packets, (int)n, (const char *)data);
            break;
        }
        run_as_told(vm, s);
        check_replies(&c);
        if (c.bad) {
            FAIL("a broken packet behind \"%.*s\"", (int)n, (const char *)data);
            break;
        }
        if (last) {
            break;
        }
    }
    gdb_stub_detach(s);
    gdb_stub_free(s);
    doppel_destroy(vm);
}

TEST(hostile_clients)
{
    struct t_rng r = {t_seed()};
    for (uint64_t k = 0; k < t_amount(100, 1000, 100000); k++) {
        converse(&r, 400);
    }
}
