/*
 * Recordings as an attacker would write them: logs with bytes changed, as a whole, or in a chunk
 * whose checksum is made right again (manifest, saved machine, records, before-images). Each is
 * refused with a message or replayed as far as it goes; never more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/robot.h"
#include "tests/t.h"
#include "vm/inlog.h"
#include "vm/runlog.h"

struct bytes {
    uint8_t data[1u << 20];
    size_t len;
};

static void slurp(const char *path, struct bytes *b)
{
    FILE *f = fopen(path, "rb");
    b->len = f ? fread(b->data, 1, sizeof b->data, f) : 0;
    EXPECT(f && fclose(f) == 0 && b->len > 0 && b->len < sizeof b->data);
}

/* A robot with a disk that it writes to, recorded from the middle or from power-on. */
static bool make_log(const char *image, const char *log, bool middle)
{
    char drive[200];
    struct robot r = {.n = 0};
    struct doppel_error e = {"", false};
    struct doppel_options o = robot_options();
    FILE *f = fopen(image, "wb");
    EXPECT(f && fseek(f, 65535, SEEK_SET) == 0 && fputc(0, f) == 0 && fclose(f) == 0);
    snprintf(drive, sizeof drive, "file=%s,format=raw", image);
    o.drive[o.ndrives++] = drive;
    if (middle ? !robot_start(&r, &o, &e) : !(r.vm = doppel_create(&o, &e))) {
        FAIL("%s", e.msg);
        return false;
    }
    bool ok = doppel_record_start(r.vm, log, &e);
    EXPECT_STR(e.msg, "");
    if (middle) {
        robot_write(&r, 0xe0, 5, 0x55);
        robot_write(&r, 0xe0, 50, 0x55);
    } else {
        doppel_run(r.vm, 100000);
    }
    robot_stop(&r);
    return ok;
}

static void change(struct t_rng *rng, uint8_t *data, size_t len)
{
    static const uint8_t extremes[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = t_rand_below(rng, len);
    uint64_t v = t_rand(rng);
    switch (t_rand_below(rng, 4)) {
    case 0:
        data[at] ^= (uint8_t)(1u << v % 8);
        break;
    case 1:
        memset(data + at, extremes[v % sizeof extremes],
               (v >> 32 & 7) < len - at ? v >> 32 & 7 : len - at);
        break;
    default:
        data[at] = (uint8_t)v;
        break;
    }
}

/* The log with one chunk changed, sealed again. */
static void forge(const struct bytes *b, const char *to, struct t_rng *rng)
{
    struct inlog_reader in;
    struct inlog_writer out;
    struct err e;
    unsigned n = 0, which;
    if (!EXPECT(inlog_open_memory(&in, b->data, b->len, &e) && inlog_create(&out, to, &e))) {
        return;
    }
    while (inlog_next(&in)) {
        n++;
    }
    which = (unsigned)t_rand_below(rng, n);
    inlog_rewind(&in);
    for (unsigned i = 0; inlog_next(&in); i++) {
        if (i == which) {
            change(rng, in.raw, in.len);
        }
        inlog_put(&out, in.type, in.raw, in.len);
    }
    inlog_reader_close(&in);
    inlog_close(&out);
}

static void replay(const char *path)
{
    struct doppel_error e = {"", false};
    struct doppel_log *l = doppel_log_open(path, &e);
    if (!l) {
        EXPECT(e.msg[0] != 0);
        return;
    }
    struct doppel_options o = *doppel_log_options(l);
    o.replay_verify = true;
    o.log_file = "/dev/null";
    if (o.ram_bytes <= 64u << 20) {
        struct doppel_vm *vm = doppel_create(&o, &e);
        EXPECT(vm != NULL || e.msg[0] != 0);
        if (vm) {
            doppel_run(vm, doppel_icount(vm) + 200000);
            doppel_destroy(vm);
        }
    }
    doppel_log_close(l);
}

static void fuzz(bool middle, uint64_t times)
{
    static struct bytes base, b;
    char image[64], log[64], plain[80];
    struct t_rng rng = {t_seed()};
    snprintf(image, sizeof image, "/tmp/doppel-fuzz-%d.img", (int)getpid());
    snprintf(log, sizeof log, "/tmp/doppel-fuzz-%d.log", (int)getpid());
    snprintf(plain, sizeof plain, "%s,compress=off", log);
    if (make_log(image, middle ? log : plain, middle)) {
        slurp(log, &base);
        for (uint64_t i = 0; i < times; i++) {
            if (i % 4) {
                forge(&base, log, &rng);
            } else { /* the file itself */
                memcpy(&b, &base, sizeof b);
                change(&rng, b.data, b.len);
                FILE *f = fopen(log, "wb");
                EXPECT(f && fwrite(b.data, 1, b.len, f) == b.len && fclose(f) == 0);
            }
            replay(log);
        }
    }
    unlink(image);
    unlink(log);
}

TEST(fuzz_record_from_power_on)
{
    fuzz(false, t_amount(100, 1000, 20000));
}

TEST(fuzz_record_from_the_middle)
{
    fuzz(true, t_amount(100, 1000, 20000));
}

/* Records alone: what is read back is what was written, or nothing. */
TEST(fuzz_record_records)
{
    struct t_rng rng = {t_seed()};
    for (uint64_t i = 0; i < t_amount(2000, 50000, 1000000); i++) {
        uint8_t data[256];
        size_t len = t_rand_below(&rng, sizeof data);
        for (size_t k = 0; k < len; k++) {
            data[k] = (uint8_t)(t_rand_below(&rng, 3) ? t_rand_below(&rng, 9) : t_rand(&rng));
        }
        data[0] = RUN_BEGIN;
        struct runlog_reader r = {.src = {data, len, 0}};
        struct run_record rec;
        vtime last = 0;
        while (runlog_next(&r, &rec)) {
            EXPECT(rec.type == RUN_BEGIN || rec.at.when >= last);
            last = rec.at.when;
        }
        runlog_reader_free(&r);
    }
}
