/*
 * Recording and replay of a whole machine: disks that are written while they are recorded, media
 * changes, host failures, beginnings in the middle, logs that are cut, runs that differ.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/robot.h"
#include "tests/t.h"
#include "util/bits.h"
#include "vm/inlog.h"
#include "vm/runlog.h"

/* --- A host that does things by halves, and is interrupted in between --- */

static bool halves;

/* How much of n bytes is done at once; 0: a signal came. */
static size_t part(size_t n)
{
    static unsigned calls;
    if (!halves || n <= 2) {
        return n;
    }
    return ++calls % 3 ? n / 2 + 1 : 0;
}

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
    size_t now = part(n);
    if (n && !now) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_pread64, fd, buf, now, off);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    size_t now = part(n);
    if (n && !now) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_write, fd, buf, now);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
    size_t now = part(n);
    if (n && !now) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buf, now, off);
}

/* --- Machines --- */

enum { KIB = 1024, HD0 = 0xe0, HD1 = 0xf0, READ = 0x20, FLUSH = 0xe7 };

struct place {
    char dir[64], image[96], other[96], floppy[96], log[96], cut[96], text[96];
    char drive[4][200];
    struct doppel_options o;
    struct robot r;
};

static void make_image(const char *path, unsigned kib, char fill)
{
    char block[KIB];
    FILE *f = fopen(path, "wb");
    memset(block, fill, sizeof block);
    for (unsigned i = 0; i < kib && f; i++) {
        EXPECT_EQ(fwrite(block, 1, sizeof block, f), sizeof block);
    }
    EXPECT(f && fclose(f) == 0);
}

static void add_drive(struct place *p, const char *file, const char *how)
{
    unsigned n = p->o.ndrives++;
    snprintf(p->drive[n], sizeof p->drive[n], "file=%s,%s", file, how);
    p->o.drive[n] = p->drive[n];
}

/* A robot with a disk that it writes to, one with an overlay, and a floppy. */
static bool place_start(struct place *p)
{
    struct doppel_error e = {"", false};
    memset(p, 0, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/doppel-record-XXXXXX");
    EXPECT(mkdtemp(p->dir) != NULL);
    char *names[] = {p->image, p->other, p->floppy, p->log, p->cut, p->text};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(names[i], sizeof p->image, "%s/%u", p->dir, i);
    }
    make_image(p->image, 512, 0x11);
    make_image(p->other, 512, 0x22);
    make_image(p->floppy, 1440, 0x33);
    p->o = robot_options();
    p->o.log_file = p->text;
    add_drive(p, p->image, "format=raw");
    add_drive(p, p->other, "format=raw,snapshot=on");
    add_drive(p, p->floppy, "if=floppy,format=raw");
    if (!robot_start(&p->r, &p->o, &e)) {
        FAIL("%s", e.msg);
        return false;
    }
    return true;
}

static void place_end(struct place *p)
{
    if (p->r.vm) {
        robot_stop(&p->r);
    }
    char *names[] = {p->image, p->other, p->floppy, p->log, p->cut, p->text};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        unlink(names[i]);
    }
    EXPECT_EQ(rmdir(p->dir), 0);
}

/* A million instructions in which the robot waits for an order; `long_one`: beyond a check. */
static void rest(struct place *p, bool long_one)
{
    if (long_one) {
        robot_busy(&p->r, 70);
    } else {
        doppel_run(p->r.vm, doppel_icount(p->r.vm) + 1000000);
    }
}

static void expect(struct robot_ata got, uint8_t status, uint8_t a)
{
    EXPECT_EQ(got.status, status);
    EXPECT_EQ(got.a, a);
}

/* What changes the disks: each sector's first byte is read before and after. */
static void work(struct place *p, uint8_t fill)
{
    struct robot *r = &p->r;
    robot_write(r, HD0, 5, fill);
    robot_write(r, HD0, 700, fill);
    robot_write(r, HD1, 5, fill);
    expect(robot_ata(r, HD0, READ, 5, 1), 0x50, fill);
    expect(robot_ata(r, HD1, READ, 5, 1), 0x50, fill);
    robot_floppy(r, true, 3, fill);
    robot_ata(r, HD0, FLUSH, 0, 0);
}

static void digest_of(const char *path, uint64_t *sum)
{
    static uint8_t data[2u << 20];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(data, 1, sizeof data, f) : 0;
    *sum = st_digest_bytes(ST_DIGEST_INIT, data, n);
    if (f) {
        fclose(f);
    }
}

/* Replays a log with every check; how it ends. */
static enum doppel_stop replay(const char *log, const char *engine, uint64_t until,
                               uint64_t *digest, char *report, size_t size)
{
    struct doppel_error e = {"", false};
    struct doppel_log *l = doppel_log_open(log, &e);
    enum doppel_stop why = DOPPEL_FAILED;
    snprintf(report, size, "%s", e.msg);
    if (!l) {
        return why;
    }
    struct doppel_options o = *doppel_log_options(l);
    o.replay_verify = true;
    o.engine = engine;
    struct doppel_vm *vm = doppel_create(&o, &e);
    doppel_log_close(l);
    snprintf(report, size, "%s", e.msg);
    if (vm) {
        why = doppel_run(vm, until);
        snprintf(report, size, "%s", why == DOPPEL_DIVERGED ? doppel_failure(vm) : "");
        *digest = doppel_digest(vm);
        doppel_destroy(vm);
    }
    return why;
}

static void expect_replay(struct place *p, const char *engine, uint64_t digest)
{
    char report[1000];
    uint64_t got = 0, before[3], after[3];
    const char *images[] = {p->image, p->other, p->floppy};
    for (unsigned i = 0; i < 3; i++) {
        digest_of(images[i], &before[i]);
    }
    EXPECT_EQ(replay(p->log, engine, DOPPEL_NO_LIMIT, &got, report, sizeof report),
              DOPPEL_REPLAYED);
    EXPECT_STR(report, "");
    EXPECT_EQ(got, digest);
    for (unsigned i = 0; i < 3; i++) {
        digest_of(images[i], &after[i]);
        EXPECT_EQ(after[i], before[i]);
    }
}

static bool start(struct place *p)
{
    struct doppel_error e = {"", false};
    bool ok = doppel_record_start(p->r.vm, p->log, &e);
    EXPECT_STR(e.msg, "");
    return ok;
}

/* Ends the recording and the machine; its digest. */
static uint64_t finish(struct place *p)
{
    doppel_record_stop(p->r.vm);
    uint64_t digest = doppel_digest(p->r.vm);
    robot_stop(&p->r);
    return digest;
}

/* From the middle of a run; then once more from the middle of that. */
TEST(record_disks_that_change)
{
    struct place p;
    if (!place_start(&p)) {
        return;
    }
    work(&p, 0x44);
    for (uint8_t i = 0; i < 2; i++) {
        if (EXPECT(start(&p))) {
            work(&p, (uint8_t)(0x55 + i));
            rest(&p, i == 1);
            work(&p, (uint8_t)(0x66 + i));
            doppel_record_stop(p.r.vm);
        }
    }
    uint64_t digest = finish(&p);
    expect_replay(&p, "jit", digest);
    expect_replay(&p, "interp", digest);
    place_end(&p);
}

/* Short reads and writes, and signals between them, of the log and of the disks. */
TEST(record_by_short_reads_and_writes)
{
    struct place p;
    if (!place_start(&p)) {
        return;
    }
    work(&p, 0x44);
    halves = true;
    if (EXPECT(start(&p))) {
        work(&p, 0x55);
        rest(&p, true);
        work(&p, 0x66);
    }
    uint64_t digest = finish(&p);
    expect_replay(&p, "jit", digest);
    halves = false;
    expect_replay(&p, "jit", digest);
    place_end(&p);
}

/* From power-on: the log has no machine in it. */
TEST(record_from_power_on)
{
    struct place p;
    struct doppel_error e = {"", false};
    struct stat st;
    if (!place_start(&p)) {
        return;
    }
    robot_stop(&p.r);
    p.r.n = 0;
    p.r.vm = doppel_create(&p.o, &e);
    if (!EXPECT(p.r.vm && start(&p))) {
        return;
    }
    doppel_run(p.r.vm, 3000000);
    doppel_post_input(p.r.vm, "com1.rx", "i\x21\0\0\0\0\0", 8);
    rest(&p, false);
    uint64_t digest = finish(&p);
    EXPECT(stat(p.log, &st) == 0 && st.st_size < 100000);
    expect_replay(&p, "jit", digest);
    place_end(&p);
}

/* Another diskette, one that is not there, the first again: each as it was then. */
TEST(record_media_changes)
{
    struct place p;
    char line[200];
    if (!place_start(&p)) {
        return;
    }
    if (EXPECT(start(&p))) {
        work(&p, 0x55);
        make_image(p.cut, 1440, 0x77);
        snprintf(line, sizeof line, "change floppy0 %s", p.cut);
        robot_command(&p.r, line);
        work(&p, 0x56);
        robot_command(&p.r, "change floppy0 /nowhere/at/all");
        work(&p, 0x57);
        snprintf(line, sizeof line, "change floppy0 %s", p.floppy);
        robot_command(&p.r, line);
        work(&p, 0x58);
        robot_command(&p.r, "eject floppy0");
        robot_command(&p.r, line);
        work(&p, 0x59);
    }
    uint64_t digest = finish(&p);
    expect_replay(&p, "jit", digest);
    place_end(&p);
}

/* A host that fails: a replay on one that does not fails in the same places. */
TEST(record_host_failures)
{
    struct place p;
    if (!place_start(&p)) {
        return;
    }
    if (EXPECT(start(&p))) {
        work(&p, 0x55);
        EXPECT_EQ(truncate(p.image, 4096), 0);
        EXPECT_EQ(robot_ata(&p.r, HD0, READ, 300, 1).status, 0x51);
        EXPECT_EQ(robot_ata(&p.r, HD0, READ, 5, 1).status, 0x50);
        rest(&p, false);
        make_image(p.image, 512, 0x11);
    }
    uint64_t digest = finish(&p);
    expect_replay(&p, "jit", digest);
    place_end(&p);
}

/* A log that ends anywhere is good up to its last chunk. */
TEST(record_cut_logs)
{
    struct place p;
    if (!place_start(&p)) {
        return;
    }
    static uint8_t data[8u << 20];
    size_t len = 0;
    if (EXPECT(start(&p))) {
        for (uint8_t i = 0; i < 2; i++) {
            work(&p, (uint8_t)(0x55 + i));
            rest(&p, false);
        }
        FILE *f = fopen(p.log, "rb"); /* as kill -9 leaves it: not ended */
        len = f ? fread(data, 1, sizeof data, f) : 0;
        EXPECT(f && fclose(f) == 0);
    }
    finish(&p);
    unsigned replayed = 0, refused = 0;
    struct t_rng rng = {t_seed()};
    for (unsigned i = 0; i < 6; i++) {
        char report[1000];
        uint64_t digest;
        size_t n = i ? t_rand_below(&rng, len) : len;
        FILE *f = fopen(p.cut, "wb");
        EXPECT(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
        t_context("cut to %zu of %zu bytes", n, len);
        enum doppel_stop why =
            replay(p.cut, "jit", DOPPEL_NO_LIMIT, &digest, report, sizeof report);
        replayed += why == DOPPEL_REPLAYED;
        refused += why == DOPPEL_FAILED && report[0];
        EXPECT(why == DOPPEL_REPLAYED || why == DOPPEL_FAILED);
    }
    EXPECT(replayed > 0 && replayed + refused == 6);
    place_end(&p);
}

/* No room for the log: the machine goes on, the operator knows, the log is good. */
TEST(record_full_disk)
{
    struct place p;
    if (!place_start(&p)) {
        return;
    }
    struct rlimit was, limit;
    struct stat st;
    uint64_t digest = 0;
    char report[1000];
    signal(SIGXFSZ, SIG_IGN);
    if (EXPECT(start(&p) && getrlimit(RLIMIT_FSIZE, &was) == 0 && stat(p.log, &st) == 0)) {
        work(&p, 0x55);
        robot_floppy(&p.r, true, 60, 0x55);
        limit = was;
        limit.rlim_cur = 1480u << 10; /* above the images */
        limit.rlim_cur = limit.rlim_cur > (rlim_t)st.st_size ? limit.rlim_cur : (rlim_t)st.st_size;
        EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
        char noise[16384];
        struct t_rng rng = {1};
        for (unsigned i = 0; i < 200; i++) {
            for (unsigned k = 0; k < sizeof noise; k++) {
                noise[k] = (char)t_rand(&rng);
            }
            doppel_post_input(p.r.vm, "com2.rx", noise, sizeof noise);
            doppel_run(p.r.vm, doppel_icount(p.r.vm) + 10000);
        }
        EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &was), 0);
        EXPECT(strstr(robot_command(&p.r, "info record"), "has stopped") != NULL);
        expect(robot_ata(&p.r, HD0, READ, 5, 1), 0x50, 0x55);
    }
    finish(&p);
    EXPECT_EQ(replay(p.log, "jit", DOPPEL_NO_LIMIT, &digest, report, sizeof report),
              DOPPEL_REPLAYED);
    EXPECT_STR(report, "");
    place_end(&p);
}

/* Copies a log with the input `from` made another, the checksums right. */
static void forge(const char *log, const char *to, const void *from, const void *with, size_t len)
{
    struct inlog_reader in;
    struct inlog_writer out;
    struct err e;
    unsigned found = 0;
    if (!EXPECT(inlog_open(&in, log, &e) && inlog_create(&out, to, &e))) {
        return;
    }
    while (inlog_next(&in)) {
        for (size_t i = 0; !found && in.type == INLOG_RUN && i + len <= in.len; i++) {
            if (memcmp(in.raw + i, from, len) == 0) {
                memcpy(in.raw + i, with, len);
                found++;
            }
        }
        EXPECT(inlog_put(&out, in.type, in.raw, in.len));
    }
    EXPECT_EQ(found, 1);
    inlog_reader_close(&in);
    inlog_close(&out);
}

/* Another input than was recorded: the first check behind it says so, with fields. */
TEST(record_divergence)
{
    static const char order[8] = "i\x21\0\0\0\0\0", other[8] = "i\xa1\0\0\0\0\0";
    struct place p;
    char report[4000];
    uint64_t digest;
    if (!place_start(&p)) {
        return;
    }
    if (EXPECT(start(&p))) {
        /* A check falls into the rest: into the waiting, in which the answer is still to be seen.
         */
        robot_busy(&p.r, 62);
        robot_order(&p.r, order);
        while (doppel_icount(p.r.vm) < UINT64_C(65) << 20) {
            rest(&p, false);
        }
    }
    finish(&p);
    forge(p.log, p.cut, order, other, 8);
    EXPECT_EQ(replay(p.cut, "jit", DOPPEL_NO_LIMIT, &digest, report, sizeof report),
              DOPPEL_DIVERGED);
    EXPECT(strstr(report, "leaves the recorded one between instructions") != NULL);
    if (!EXPECT(strstr(report, "recorded 0x") != NULL)) {
        FAIL("%s", report);
    }
    place_end(&p);
}

/* An image that something else has written to is refused. */
TEST(record_other_image)
{
    struct place p;
    char report[1000];
    uint64_t digest;
    if (!place_start(&p)) {
        return;
    }
    EXPECT(start(&p));
    work(&p, 0x55);
    finish(&p);
    FILE *f = fopen(p.image, "r+b");
    EXPECT(f && fseek(f, 300000, SEEK_SET) == 0 && fputc(1, f) == 1 && fclose(f) == 0);
    EXPECT_EQ(replay(p.log, "jit", DOPPEL_NO_LIMIT, &digest, report, sizeof report), DOPPEL_FAILED);
    EXPECT(strstr(report, "not the content that was recorded; it has been written to since") !=
           NULL);
    place_end(&p);
}

static void poke(const char *path, long at, int byte)
{
    FILE *f = fopen(path, "r+b");
    EXPECT(f && fseek(f, at, SEEK_SET) == 0 && fputc(byte, f) == byte && fclose(f) == 0);
}

/* Of a large image only a sample is summed, and each cluster that the run has used: what it reads,
 * what it writes, and what lies under an overlay. `killed`: the log is what it was before its end.
 */
static void large_image(bool killed)
{
    struct place p;
    struct doppel_error e = {"", false};
    char report[1000];
    uint64_t digest, got;
    if (!place_start(&p)) {
        return;
    }
    robot_stop(&p.r);
    EXPECT(truncate(p.image, 64 << 20) == 0 && truncate(p.other, 64 << 20) == 0);
    if (!EXPECT(robot_start(&p.r, &p.o, &e) && start(&p))) {
        return;
    }
    /* Sectors of clusters that the sample of 512 has not: a distance of 32 and a bit. */
    expect(robot_ata(&p.r, HD0, READ, 8 * 9 + 3, 1), 0x50, 0x11); /* read only */
    expect(robot_ata(&p.r, HD0, READ, 8 * 300, 1), 0x50, 0);
    robot_write(&p.r, HD0, 8 * 11, 0x77); /* written only */
    robot_write(&p.r, HD1, 8 * 13, 0x78); /* in the overlay only */
    robot_write(&p.r, HD1, 8 * 13, 0x79);
    rest(&p, false);
    if (killed) {
        usleep(1100000); /* the log is written out once a second */
        rest(&p, false);
        char command[300];
        snprintf(command, sizeof command, "cp %s %s", p.log, p.cut);
        EXPECT_EQ(system(command), 0);
    }
    digest = finish(&p);
    const char *log = killed ? p.cut : p.log;
    static const struct {
        bool other, matters;
        long cluster;
    } spots[] = {
        {false, true, 9},   {false, true, 300},   {true, true, 13},
        {false, false, 11}, /* what was there before is in the log */
        {false, false, 10}, {false, false, 9000}, {true, false, 9},
    };
    for (unsigned i = 0; i < ARRAY_LEN(spots); i++) {
        const char *path = spots[i].other ? p.other : p.image;
        long at = spots[i].cluster * 4096 + 2000;
        FILE *f = fopen(path, "rb");
        int was = f && fseek(f, at, SEEK_SET) == 0 ? fgetc(f) : EOF;
        EXPECT(was != EOF && fclose(f) == 0);
        t_context("%scluster %ld of %s", killed ? "killed, " : "", spots[i].cluster,
                  spots[i].other ? "the overlay's" : "the image");
        poke(path, at, was ^ 0x5a);
        enum doppel_stop why = replay(log, "jit", DOPPEL_NO_LIMIT, &got, report, sizeof report);
        bool matters = spots[i].matters;
        EXPECT_EQ(why, matters ? DOPPEL_FAILED : DOPPEL_REPLAYED);
        EXPECT(!matters || strstr(report, "written to since") != NULL);
        EXPECT(matters || killed || got == digest);
        poke(path, at, was);
    }
    EXPECT_EQ(replay(log, "jit", DOPPEL_NO_LIMIT, &got, report, sizeof report), DOPPEL_REPLAYED);
    place_end(&p);
}

TEST(record_large_image_that_changes_afterwards)
{
    large_image(false);
}

TEST(record_large_image_that_changes_after_a_kill)
{
    large_image(true);
}

/* A branch of history: up to an instant as it was, then other orders. */
TEST(record_go_live)
{
    struct place p;
    struct doppel_error e = {"", false};
    if (!place_start(&p)) {
        return;
    }
    EXPECT(start(&p));
    work(&p, 0x55);
    uint64_t at = doppel_icount(p.r.vm);
    work(&p, 0x56);
    finish(&p);
    struct doppel_log *l = doppel_log_open(p.log, &e);
    if (!EXPECT(l != NULL)) {
        return;
    }
    struct doppel_options o = *doppel_log_options(l);
    o.replay_to_live = true;
    p.r.n = 4;
    p.r.vm = doppel_create(&o, &e);
    if (!EXPECT(p.r.vm != NULL)) {
        return;
    }
    doppel_log_close(l);
    EXPECT_EQ(doppel_run(p.r.vm, at), DOPPEL_LIMIT);
    doppel_post_input(p.r.vm, "com1.rx", "lost....", 8);
    EXPECT(doppel_go_live(p.r.vm, &e));
    robot_stop(&p.r);
    place_end(&p);
}

/* Inputs that never stop, and an idle end: the time that passed is replayed to the nanosecond. */
TEST(record_until)
{
    struct place p;
    if (!place_start(&p)) {
        return;
    }
    uint64_t now = doppel_vtime(p.r.vm);
    EXPECT(start(&p));
    EXPECT_EQ(doppel_run_until(p.r.vm, DOPPEL_NO_LIMIT, now + 12345), DOPPEL_LIMIT);
    EXPECT_EQ(doppel_vtime(p.r.vm), now + 12345);
    uint64_t digest = finish(&p);
    expect_replay(&p, "jit", digest);
    place_end(&p);
}

struct beside {
    struct place *p;
    uint64_t digest;
};

static void *replay_thread(void *ctx)
{
    struct beside *b = ctx;
    expect_replay(b->p, "jit", b->digest);
    return NULL;
}

static uint64_t alone(struct place *p)
{
    work(p, 0x45);
    rest(p, true);
    work(p, 0x46);
    return doppel_digest(p->r.vm);
}

/* A replay and a machine that runs, on two threads of one process: each as it is alone. */
TEST(record_replay_beside_another)
{
    struct place p, q;
    struct beside b = {&p, 0};
    pthread_t thread;
    uint64_t digest = 0;
    if (!place_start(&p)) {
        return;
    }
    EXPECT(start(&p));
    work(&p, 0x55);
    rest(&p, true);
    work(&p, 0x56);
    b.digest = finish(&p);
    for (unsigned i = 0; i < 2 && place_start(&q); i++) {
        bool both = i && EXPECT_EQ(pthread_create(&thread, NULL, replay_thread, &b), 0);
        uint64_t got = alone(&q);
        if (both) {
            pthread_join(thread, NULL);
        }
        EXPECT(i == 0 || got == digest);
        digest = got;
        place_end(&q);
    }
    place_end(&p);
}
