/*
 * Snapshots as an attacker would write them: a saved machine with bytes changed and its checksums
 * made right again. Loading refuses it with a message and leaves the machine as it was, or gives a
 * machine that runs; never more.
 *
 * Changes fall on the state tables (field values, names, counts, lengths), on the index (what is
 * in the file, the drives, the pages) and on the header. A run is bounded, so a state that makes a
 * device busy for ever shows up as a time-out.
 */
#include <stdlib.h>
#include <string.h>

#include "core/state.h"
#include "doppel.h"
#include "tests/t.h"
#include "util/bits.h"

static struct doppel_vm *create(void)
{
    struct doppel_options o;
    struct doppel_error e;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 7;
    o.ram_bytes = 1u << 20;
    o.cpus = 2;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

/* Parts of a file (docs/state.md), saved without compression. */
enum { HEADER = 64, AT_INDEX = 24, AT_INDEX_SUM = 40, AT_HEADER_SUM = 56 };

static uint64_t sum(const uint8_t *data, size_t len)
{
    return st_digest_bytes(ST_DIGEST_INIT, data, len);
}

struct parts {
    size_t index, tables; /* where the index begins; bytes of the state tables, from HEADER on */
    size_t tables_sum;    /* where their checksum is */
};

/* The first chunk's entry in the index: stored, raw, checksum of bytes from HEADER on. */
static bool find_parts(const uint8_t *data, size_t len, struct parts *p)
{
    p->index = (size_t)le64_get(data + AT_INDEX);
    for (size_t at = p->index; at + 16 <= len; at++) {
        size_t n = le32_get(data + at);
        if (n == le32_get(data + at + 4) && n > 1000 && n < p->index - HEADER &&
            sum(data + HEADER, n) == le64_get(data + at + 8)) {
            p->tables = n;
            p->tables_sum = at + 8;
            return true;
        }
    }
    return false;
}

static void seal(uint8_t *data, size_t len, const struct parts *p, bool tables)
{
    if (tables) {
        le64_put(data + p->tables_sum, sum(data + HEADER, p->tables));
    }
    le64_put(data + AT_INDEX_SUM, sum(data + p->index, len - p->index));
    le64_put(data + AT_HEADER_SUM, sum(data, AT_HEADER_SUM));
}

/* Change something in data[from..to). */
static void change(struct t_rng *rng, uint8_t *data, size_t from, size_t to)
{
    static const uint8_t extremes[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = from + t_rand_below(rng, to - from - 8);
    uint64_t v = t_rand(rng);
    switch (t_rand_below(rng, 4)) {
    case 0: /* a bit */
        data[at] ^= (uint8_t)(1u << v % 8);
        break;
    case 1: /* a run of extremes: a whole field */
        memset(data + at, extremes[v % sizeof extremes], v >> 32 & 7);
        break;
    case 2: /* a number */
        memcpy(data + at, &v, 8);
        break;
    default:
        data[at] = (uint8_t)v;
        break;
    }
}

/* A copy with a few changes in one of its parts. */
static uint8_t *damage(struct t_rng *rng, const uint8_t *good, size_t len, const struct parts *p)
{
    uint8_t *bad = malloc(len);
    uint64_t where = t_rand_below(rng, 8);
    memcpy(bad, good, len);
    for (uint64_t k = t_rand_below(rng, 4) + 1; k; k--) {
        if (where == 0) {
            change(rng, bad, 8, HEADER - 8);
        } else if (where < 4) {
            change(rng, bad, p->index, len);
        } else {
            change(rng, bad, HEADER, HEADER + p->tables);
        }
    }
    if (where == 0) {
        le64_put(bad + AT_HEADER_SUM, sum(bad, AT_HEADER_SUM));
    } else {
        seal(bad, len, p, where >= 4);
    }
    return bad;
}

TEST(snapshots)
{
    struct t_rng rng = {t_seed()};
    unsigned refused = 0, n = (unsigned)t_amount(300, 3000, 200000);
    struct parts parts = {0};
    uint8_t *good = NULL;
    size_t len = 0;
    for (unsigned i = 0; i < n; i++) {
        if (i % 100 == 0) {
            struct doppel_vm *vm = create();
            if (!vm) {
                return;
            }
            free(good);
            doppel_run(vm, t_rand_below(&rng, 500000));
            doppel_save(vm, &good, &len);
            doppel_destroy(vm);
            if (!EXPECT(find_parts(good, len, &parts))) {
                break;
            }
        }
        uint8_t *bad = damage(&rng, good, len, &parts);
        struct doppel_vm *vm = create();
        struct doppel_error e = {""};
        uint64_t was = vm ? doppel_digest(vm) : 0;
        if (vm && doppel_load(vm, bad, len, &e)) {
            doppel_run(vm, doppel_icount(vm) + 3000);
            doppel_digest(vm);
        } else if (vm) {
            refused++;
            EXPECT(e.msg[0] != 0);
            EXPECT_EQ(doppel_digest(vm), was);
        }
        doppel_destroy(vm);
        free(bad);
    }
    free(good);
    EXPECT(refused > 0 && refused < n);
}

/* Without the checksums made right nothing is taken. */
TEST(snapshots_damaged)
{
    struct t_rng rng = {t_seed()};
    struct doppel_vm *vm = create(), *other = create();
    uint8_t *good = NULL;
    size_t len = 0;
    if (!vm || !other) {
        return;
    }
    doppel_run(vm, 300000);
    doppel_save(vm, &good, &len);
    uint64_t was = doppel_digest(other);
    for (unsigned i = (unsigned)t_amount(300, 3000, 100000); i; i--) {
        struct doppel_error e = {""};
        size_t at = t_rand_below(&rng, len);
        if (i & 1) {
            good[at] ^= (uint8_t)(1u << (i >> 1) % 8);
            EXPECT(!doppel_load(other, good, len, &e));
            good[at] ^= (uint8_t)(1u << (i >> 1) % 8);
        } else {
            EXPECT(!doppel_load(other, good, at, &e)); /* cut */
        }
        EXPECT(e.msg[0] != 0);
    }
    EXPECT_EQ(doppel_digest(other), was);
    struct doppel_error e;
    EXPECT(doppel_load(other, good, len, &e));
    EXPECT_EQ(doppel_digest(other), doppel_digest(vm));
    free(good);
    doppel_destroy(vm);
    doppel_destroy(other);
}
