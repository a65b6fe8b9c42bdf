/*
 * Snapshots as an attacker would write them: a saved machine with bytes changed and its digest made
 * right again. Loading refuses it with a message, or gives a machine that runs; never more.
 *
 * Changes fall mostly on the devices and vCPUs, which come before RAM in the stream: field values,
 * names, counts, lengths. A run is bounded, so a state that makes a device busy for ever shows up
 * as a time-out.
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

/* Where RAM begins is not marked; devices take the first tens of KiB. */
static size_t pick(struct t_rng *rng, size_t len)
{
    size_t devices = len < 60000 ? len : 60000;
    return 12 + t_rand_below(rng, (t_rand_below(rng, 8) ? devices : len) - 20);
}

static void change(struct t_rng *rng, uint8_t *data, size_t len)
{
    static const uint8_t extremes[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = pick(rng, len);
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

TEST(snapshots)
{
    struct t_rng rng = {t_seed()};
    unsigned refused = 0, n = (unsigned)t_amount(300, 3000, 200000);
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
        }
        uint8_t *bad = malloc(len);
        memcpy(bad, good, len);
        for (uint64_t k = t_rand_below(&rng, 4) + 1; k; k--) {
            change(&rng, bad, len);
        }
        le64_put(bad + len - 8, st_digest_bytes(ST_DIGEST_INIT, bad, len - 8));
        struct doppel_vm *vm = create();
        struct doppel_error e = {""};
        if (vm && doppel_load(vm, bad, len, &e)) {
            doppel_run(vm, doppel_icount(vm) + 3000);
            doppel_digest(vm);
        } else {
            refused++;
            EXPECT(e.msg[0] != 0);
        }
        doppel_destroy(vm);
        free(bad);
    }
    free(good);
    EXPECT(refused > 0 && refused < n);
}
