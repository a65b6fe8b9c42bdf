/*
 * A power cut at any moment: the writes and syncs below the qcow2 layer are recorded; then, for
 * each number of them, what was synced is there, and of the writes since any subset of their
 * sectors. Such an image opens, is sound but for leaks, holds what the guest had flushed, and can
 * be written to. All writes kept is what kill -9 leaves.
 *
 * Each sector that the guest writes says which write it was: so a sector read is either the one of
 * the last flush or one of a later write.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "host/blk_qcow2.h"
#include "tests/lib/image.h"

#define FLUSHES_MAX 64u

struct flush {
    unsigned nops;  /* recorded when it returned */
    uint64_t write; /* the last write before it */
    uint64_t *last; /* the write that each sector is of; 0: as it was at first */
};

struct story {
    struct memfile m; /* recording */
    uint8_t *start;   /* the file when the recording began */
    size_t start_len;
    uint8_t *want; /* the disk when the recording began */
    uint64_t sectors;
    uint64_t *last; /* now */
    uint64_t writes;
    struct flush flushes[FLUSHES_MAX];
    unsigned nflushes;
    struct t_rng rng;
};

static void note_flush(struct story *s)
{
    struct flush *f = &s->flushes[s->nflushes++];
    f->nops = s->m.nops;
    f->write = s->writes;
    f->last = malloc(s->sectors * sizeof *f->last);
    memcpy(f->last, s->last, s->sectors * sizeof *f->last);
}

static void stamp(uint8_t *sector, uint64_t write, uint64_t lba)
{
    for (unsigned i = 0; i < BLK_SECTOR; i += 16) {
        le64_put(sector + i, write);
        le64_put(sector + i + 8, lba ^ 0x5ec7000000000000);
    }
}

/* b NULL: only take note of it. */
static bool write_some(struct story *s, struct blk *b)
{
    static uint8_t buf[64 * BLK_SECTOR];
    uint64_t n = 1 + t_rand_below(&s->rng, t_rand_below(&s->rng, 3) ? 8 : 64);
    uint64_t at = t_rand_below(&s->rng, s->sectors);
    n = n < s->sectors - at ? n : s->sectors - at;
    s->writes++;
    for (uint64_t i = 0; i < n; i++) {
        stamp(buf + i * BLK_SECTOR, s->writes, at + i);
        s->last[at + i] = s->writes;
    }
    return !b || EXPECT(b->write(b, at * BLK_SECTOR, buf, (size_t)n * BLK_SECTOR));
}

/* The guest's life, recorded. */
static bool tell(struct story *s, unsigned writes)
{
    struct err e = {""};
    struct blk_file f = memfile_file(&s->m, false);
    struct blk *b = blk_qcow2_new(&f, image_path("mem.qcow2"), 0, &e);
    if (!b) {
        FAIL("%s", e.msg);
        return false;
    }
    s->start_len = s->m.len;
    s->start = malloc(s->m.len);
    memcpy(s->start, s->m.data, s->m.len);
    s->sectors = b->bytes / BLK_SECTOR;
    s->want = malloc(b->bytes);
    s->last = calloc(s->sectors, sizeof *s->last);
    EXPECT(b->read(b, 0, s->want, b->bytes));
    s->m.record = true;
    note_flush(s);
    for (unsigned i = 0; i < writes && write_some(s, b); i++) {
        if (t_rand_below(&s->rng, 6) == 0 && s->nflushes < FLUSHES_MAX - 1) {
            EXPECT(b->flush(b));
            note_flush(s);
        }
    }
    b->close(b);
    note_flush(s);
    s->m.record = false;
    return true;
}

static void forget(struct story *s)
{
    for (unsigned i = 0; i < s->nflushes; i++) {
        free(s->flushes[i].last);
    }
    free(s->start);
    free(s->want);
    free(s->last);
    memfile_free(&s->m);
}

/* --- The cut --- */

static void apply(struct story *s, struct memfile *out, const struct memfile_op *op, unsigned keep)
{
    for (size_t at = 0; at < op->len;) {
        size_t n = BLK_SECTOR - (op->off + at) % BLK_SECTOR;
        n = n < op->len - at ? n : op->len - at;
        if (t_rand_below(&s->rng, 100) < keep) {
            size_t end = (size_t)op->off + at + n;
            memfile_resize(out, end > out->len ? end : out->len);
            memcpy(out->data + op->off + at, op->data + at, n);
        }
        at += n;
    }
}

/* The file after the first n operations; of what was not synced, `keep` percent. */
static void cut(struct story *s, unsigned n, unsigned keep, struct memfile *out)
{
    unsigned synced = 0;
    for (unsigned i = 0; i < n; i++) {
        synced = s->m.ops[i].sync ? i : synced;
    }
    memfile_init(out, s->start, s->start_len);
    for (unsigned i = 0; i < n; i++) {
        apply(s, out, &s->m.ops[i], i < synced ? 100 : keep);
    }
}

/* What sector lba holds is right for a cut after the flush f. */
static bool right(const struct story *s, const struct flush *f, const uint8_t *sector, uint64_t lba)
{
    uint8_t want[BLK_SECTOR];
    uint64_t write = le64_get(sector);
    if (f->last[lba] == 0 && memcmp(sector, s->want + lba * BLK_SECTOR, BLK_SECTOR) == 0) {
        return true;
    }
    stamp(want, write, lba);
    return memcmp(sector, want, BLK_SECTOR) == 0 && write <= s->writes &&
           (write == f->last[lba] || write > f->write);
}

static void complain(void *ctx, const char *line)
{
    (void)ctx;
    printf("    %s\n", line);
}

static bool is_sound(struct blk *b)
{
    struct err e = {""};
    struct qc_census c = {.say = complain};
    struct blk_check r = {0};
    bool ok = qc_check((struct qcow2 *)b, "", false, &c, &r, &e) && EXPECT_EQ(r.errors, 0);
    qc_census_free(&c);
    return ok;
}

static bool survives(struct story *s, const struct flush *f, struct memfile *m, bool qemu)
{
    struct err e = {""};
    if (qemu) { /* first, as we lock the backing file against it */
        image_save(image_path("cut.qcow2"), m->data, m->len);
        if (!EXPECT(image_check(image_path("cut.qcow2"), true))) {
            return false;
        }
    }
    struct blk_file file = memfile_file(m, false);
    struct blk *b = blk_qcow2_new(&file, image_path("mem.qcow2"), 0, &e);
    if (!b) {
        FAIL("%s", e.msg);
        return false;
    }
    size_t bytes = (size_t)s->sectors * BLK_SECTOR;
    uint8_t *buf = malloc(bytes);
    bool ok = is_sound(b) && EXPECT(b->read(b, 0, buf, bytes));
    for (uint64_t i = 0; ok && i < s->sectors; i++) {
        if (!right(s, f, buf + i * BLK_SECTOR, i)) {
            FAIL("sector %llu is of write %llu, flushed was %llu", (unsigned long long)i,
                 (unsigned long long)le64_get(buf + i * BLK_SECTOR),
                 (unsigned long long)f->last[i]);
            ok = false;
        }
    }
    for (unsigned i = 0; ok && i < 4; i++) { /* and life goes on */
        memset(buf, 0x11, BLK_SECTOR);
        ok = EXPECT(b->write(b, t_rand_below(&s->rng, s->sectors) * BLK_SECTOR, buf, BLK_SECTOR));
    }
    ok = ok && EXPECT(b->flush(b)) && is_sound(b);
    free(buf);
    b->close(b);
    return ok;
}

static void cut_everywhere(struct story *s, bool qemu)
{
    static const unsigned keeps[] = {100, 50, 85, 15, 0};
    unsigned step = s->m.nops / (unsigned)t_amount(60, 400, 100000) + 1, bad = 0;
    unsigned check = s->m.nops / (unsigned)t_amount(6, 40, 2000) + 1;
    for (unsigned n = 0; n <= s->m.nops && bad < 3; n += step) {
        const struct flush *f = s->flushes;
        for (unsigned i = 1; i < s->nflushes && s->flushes[i].nops <= n; i++) {
            f = &s->flushes[i];
        }
        for (unsigned k = 0; k < ARRAY_LEN(keeps) && bad < 3; k++) {
            struct memfile m;
            t_context("cut after %u of %u operations, %u%% kept", n, s->m.nops, keeps[k]);
            cut(s, n, keeps[k], &m);
            bad += !survives(s, f, &m, qemu && n % check < step && k < 2);
            memfile_free(&m);
        }
    }
}

/* --- Stories --- */

static void new_image(uint32_t cluster_bits, uint32_t refcount_bits, uint32_t version)
{
    struct err e = {""};
    struct story s = {.rng = {t_seed() + cluster_bits}};
    struct blk_create how = {.format = BLK_QCOW2,
                             .bytes = 600 * BLK_SECTOR,
                             .version = version,
                             .cluster_bits = cluster_bits,
                             .refcount_bits = refcount_bits};
    struct blk_file f = memfile_file(&s.m, false);
    if (EXPECT(qc_create(&f, "new", &how, &e)) && tell(&s, 120)) {
        cut_everywhere(&s, image_have_qemu());
    }
    forget(&s);
}

TEST(clusters_of_512)
{
    new_image(9, 64, 3); /* new refcount blocks all the time */
}

TEST(clusters_of_4096)
{
    new_image(12, 16, 2);
}

TEST(clusters_of_64k)
{
    new_image(16, 1, 3);
}

/* A refcount table that grows. */
TEST(long_story)
{
    struct err e = {""};
    struct story s = {.rng = {t_seed()}};
    struct blk_create how = {
        .format = BLK_QCOW2, .bytes = 5u << 20, .cluster_bits = 9, .refcount_bits = 64};
    struct blk_file f = memfile_file(&s.m, false);
    if (EXPECT(qc_create(&f, "new", &how, &e))) {
        f = memfile_file(&s.m, false);
        struct blk *b = blk_qcow2_new(&f, "new", 0, &e);
        uint8_t *fill = calloc(1, 1900544);
        EXPECT(b->write(b, 0, fill, 1900544)); /* short of what the first table counts */
        free(fill);
        b->close(b);
        uint32_t before = be32_get(s.m.data + 56);
        if (tell(&s, 60)) {
            EXPECT(be32_get(s.m.data + 56) > before);
            cut_everywhere(&s, image_have_qemu());
        }
    }
    forget(&s);
}

static void qemu_image(const char *command)
{
    struct story s = {.rng = {t_seed()}};
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    if (EXPECT_EQ(image_run("rm -f a.*; %s", command), 0) &&
        image_load(&s.m, image_path("a.qcow2")) && tell(&s, 100)) {
        cut_everywhere(&s, true);
    }
    forget(&s);
}

TEST(snapshots)
{
    qemu_image("qemu-img create -f qcow2 -o cluster_size=2k a.qcow2 500k && "
               "qemu-io -c 'write -P 3 0 300k' a.qcow2 && qemu-img snapshot -c one a.qcow2 && "
               "qemu-io -c 'write -P 4 100k 100k' a.qcow2 && qemu-img snapshot -c two a.qcow2");
}

TEST(compressed)
{
#if HAVE_ZLIB
    qemu_image("head -c 300k /dev/urandom >a.raw; yes | head -c 212k >>a.raw; "
               "qemu-img convert -c -O qcow2 -o cluster_size=4k a.raw a.qcow2");
#else
    SKIP("built without zlib");
#endif
}

TEST(backing_and_zeros)
{
    qemu_image("head -c 400k /dev/urandom >base.raw; "
               "qemu-img create -f qcow2 -o cluster_size=4k -b base.raw -F raw a.qcow2 500k && "
               "qemu-io -c 'write -P 3 0 100k' -c 'write -z 20k 60k' -c 'write -z -u 200k 60k' "
               "a.qcow2");
}

/* --- kill -9, in earnest --- */

struct shared {
    volatile uint64_t begun, flushed; /* writes */
};

static void live(struct story *s, const char *path, struct shared *sh)
{
    struct err e = {""};
    struct blk_how how = {.align = BLK_SECTOR};
    struct blk *b = blk_open(path, &how, NULL, &e);
    s->sectors = b ? b->bytes / BLK_SECTOR : 0;
    s->last = calloc(s->sectors + 1, sizeof *s->last);
    while (b) {
        sh->begun = s->writes + 1;
        if (!write_some(s, b) || (s->writes % 5 == 0 && !b->flush(b))) {
            break;
        }
        if (s->writes % 5 == 0) {
            sh->flushed = s->writes;
        }
    }
    _exit(1);
}

/* What the one who was killed had flushed is there, and the image is sound. */
static bool remains(struct story *s, const char *path, const struct shared *sh)
{
    struct err e = {""};
    struct blk_how how = {.align = BLK_SECTOR, .readonly = true};
    bool ok = !image_have_qemu() || EXPECT(image_check(path, true));
    struct blk *b = blk_open(path, &how, NULL, &e);
    if (!b) {
        FAIL("%s", e.msg);
        return false;
    }
    ok = is_sound(b) && ok;
    s->sectors = b->bytes / BLK_SECTOR;
    s->want = calloc(1, b->bytes);
    s->last = calloc(s->sectors, sizeof *s->last);
    while (s->writes < sh->flushed) {
        write_some(s, NULL); /* the same ones, as the seed is the same */
    }
    note_flush(s);
    s->writes = sh->begun;
    uint8_t sector[BLK_SECTOR];
    for (uint64_t i = 0; ok && i < s->sectors; i++) {
        ok = EXPECT(b->read(b, i * BLK_SECTOR, sector, sizeof sector)) &&
             EXPECT(right(s, s->flushes, sector, i));
    }
    b->close(b);
    return ok;
}

TEST(killed)
{
    struct t_rng rng = {t_seed()};
    struct shared *sh =
        mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned rounds = (unsigned)t_amount(3, 15, 500), bad = 0;
    for (unsigned i = 0; i < rounds && !bad; i++) {
        struct err e = {""};
        struct story child = {.rng = {i}}, parent = {.rng = {i}};
        struct blk_create how = {.format = BLK_QCOW2, .bytes = 1 << 20, .cluster_bits = 9 + i % 4};
        const char *path = image_path("killed.qcow2");
        EXPECT(blk_create(path, &how, &e));
        *sh = (struct shared){0};
        pid_t pid = fork();
        if (pid == 0) {
            live(&child, path, sh);
        }
        usleep((useconds_t)(5000 + t_rand_below(&rng, 120000)));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        bad += !remains(&parent, path, sh);
        forget(&parent);
    }
    munmap(sh, sizeof *sh);
}
