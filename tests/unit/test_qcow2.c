/*
 * qcow2 images written to: random writes against a model in memory, reopened again and again, on
 * new images of every kind and on those that QEMU made; failing hosts; images not closed properly.
 *
 * After each, our own check and "qemu-img check" find nothing wrong, and no leaks where the image
 * was closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "host/blk_qcow2.h"
#include "tests/lib/image.h"

/* A disk under test: the file in memory, and what a guest must read. */
struct disk {
    struct memfile m;
    struct blk *b;
    uint8_t *want;
    uint8_t *unsure; /* per sector: a request on it failed, so old and new are both right */
    uint64_t bytes;
    struct t_rng rng;
};

static bool reopen(struct disk *d)
{
    struct err e = {""};
    struct blk_file f = memfile_file(&d->m, false);
    if (d->b) {
        d->b->close(d->b);
    }
    d->b = blk_qcow2_new(&f, image_path("mem.qcow2"), 0, &e);
    if (!d->b) {
        FAIL("%s", e.msg);
        return false;
    }
    return EXPECT_EQ(d->b->bytes, d->bytes) && EXPECT(!d->b->readonly);
}

static void complain(void *ctx, const char *line)
{
    (void)ctx;
    printf("    %s\n", line);
}

/* Our own check of the file as it is; QEMU's too if `qemu`. */
static bool sound(struct memfile *m, bool leaks, bool qemu)
{
    struct err e = {""};
    struct qc_census c = {.say = complain};
    struct blk_check r = {0};
    struct blk_file f = memfile_file(m, true);
    struct blk *b = blk_qcow2_new(&f, image_path("mem.qcow2"), 0, &e);
    bool ok = b && qc_check((struct qcow2 *)b, "", false, &c, &r, &e) && EXPECT_EQ(r.errors, 0) &&
              EXPECT(leaks || r.leaks == 0);
    if (e.msg[0]) {
        FAIL("%s", e.msg);
    }
    qc_census_free(&c);
    if (b) {
        b->close(b);
    }
    if (qemu && image_have_qemu()) {
        image_save(image_path("check.qcow2"), m->data, m->len);
        ok = EXPECT(image_check(image_path("check.qcow2"), leaks)) && ok;
    }
    return ok;
}

static bool compare(struct disk *d)
{
    uint8_t *buf = malloc(d->bytes);
    bool ok = EXPECT(d->b->read(d->b, 0, buf, d->bytes));
    for (uint64_t off = 0; ok && off < d->bytes; off += BLK_SECTOR) {
        uint8_t *unsure = &d->unsure[off / BLK_SECTOR];
        if (*unsure) {
            memcpy(d->want + off, buf + off, BLK_SECTOR);
            *unsure = 0;
        }
        if (memcmp(buf + off, d->want + off, BLK_SECTOR) != 0) {
            FAIL("the sector at %#llx is wrong: %02x, not %02x", (unsigned long long)off, buf[off],
                 d->want[off]);
            ok = false;
        }
    }
    free(buf);
    return ok;
}

static void random_write(struct disk *d)
{
    struct blk *b = d->b;
    static uint8_t buf[512 * 1024];
    uint32_t cluster = ((struct qcow2 *)b)->cluster;
    uint64_t sectors = d->bytes / BLK_SECTOR, at, n;
    switch (t_rand_below(&d->rng, 4)) {
    case 0: /* whole clusters */
        n = cluster / BLK_SECTOR * (1 + t_rand_below(&d->rng, 3));
        at = t_rand_below(&d->rng, sectors) / (cluster / BLK_SECTOR) * (cluster / BLK_SECTOR);
        break;
    case 1: /* a long one */
        n = 1 + t_rand_below(&d->rng, 600);
        at = t_rand_below(&d->rng, sectors);
        break;
    case 2: /* the last sectors */
        n = 1 + t_rand_below(&d->rng, 4);
        at = sectors - n;
        break;
    default:
        n = 1 + t_rand_below(&d->rng, 8);
        at = t_rand_below(&d->rng, sectors);
        break;
    }
    n = n < sectors - at ? n : sectors - at;
    n = n < sizeof buf / BLK_SECTOR ? n : sizeof buf / BLK_SECTOR;
    size_t len = (size_t)n * BLK_SECTOR;
    memset(buf, (int)(t_rand(&d->rng) | 1), len);
    for (size_t i = 0; i < len; i += BLK_SECTOR) {
        le64_put(buf + i, t_rand(&d->rng));
    }
    if (b->write(b, at * BLK_SECTOR, buf, len)) {
        memset(d->unsure + at, 0, n);
    } else {
        memset(d->unsure + at, 1, n);
    }
    memcpy(d->want + at * BLK_SECTOR, buf, len);
}

/* n writes, among them reads, flushes and the end of the machine. */
static bool exercise(struct disk *d, unsigned n)
{
    bool ok = d->b || reopen(d);
    for (unsigned i = 0; ok && i < n; i++) {
        random_write(d);
        switch (t_rand_below(&d->rng, 24)) {
        case 0:
            ok = EXPECT(d->b->flush(d->b));
            break;
        case 1:
            ok = compare(d);
            break;
        case 2:
            ok = reopen(d);
            break;
        case 3:
            ok = EXPECT(d->b->flush(d->b)) && sound(&d->m, true, false);
            break;
        default:
            break;
        }
    }
    return ok && compare(d) && reopen(d) && compare(d);
}

static void disk_init(struct disk *d, uint64_t bytes, uint64_t seed)
{
    d->b = NULL;
    d->bytes = bytes;
    d->want = calloc(1, bytes);
    d->unsure = calloc(1, bytes / BLK_SECTOR);
    d->rng = (struct t_rng){t_seed() + seed};
}

static void disk_free(struct disk *d)
{
    if (d->b) {
        d->b->close(d->b);
    }
    free(d->want);
    free(d->unsure);
    memfile_free(&d->m);
}

static bool disk_create(struct disk *d, const struct blk_create *how)
{
    struct err e = {""};
    memfile_init(&d->m, "", 0);
    struct blk_file f = memfile_file(&d->m, false);
    disk_init(d, how->bytes, how->cluster_bits * 100 + how->refcount_bits);
    if (!qc_create(&f, "new", how, &e)) {
        FAIL("%s", e.msg);
        return false;
    }
    return true;
}

static bool disk_load(struct disk *d, const char *image, const char *raw)
{
    struct memfile want;
    if (!image_load(&want, image_path(raw)) || !image_load(&d->m, image_path(image))) {
        return false;
    }
    disk_init(d, want.len, 1);
    memcpy(d->want, want.data, want.len);
    memfile_free(&want);
    return true;
}

/* --- Our own images --- */

TEST(every_kind)
{
    for (uint32_t bits = 9; bits <= 21; bits++) {
        struct disk d;
        struct blk_create how = {.format = BLK_QCOW2,
                                 .bytes = bits < 12 ? 3u << 20 : 9u << 20,
                                 .cluster_bits = bits,
                                 .version = bits % 3 == 0 ? 2 : 3,
                                 .refcount_bits = bits % 3 == 0 ? 16 : 1u << bits % 7};
        t_context("clusters of %u, refcounts of %u", 1u << bits, how.refcount_bits);
        if (disk_create(&d, &how) && sound(&d.m, false, true)) {
            exercise(&d, (unsigned)t_amount(40, 200, 5000));
            d.b->close(d.b);
            d.b = NULL;
            sound(&d.m, false, true);
        }
        disk_free(&d);
    }
}

/* Small blocks and a small table: both grow more than once. */
TEST(refcount_table_grows)
{
    struct disk d;
    struct blk_create how = {
        .format = BLK_QCOW2, .bytes = 12u << 20, .cluster_bits = 9, .refcount_bits = 64};
    if (disk_create(&d, &how) && reopen(&d)) {
        uint32_t before = ((struct qcow2 *)d.b)->h.rt_clusters;
        memset(d.want, 0x5a, d.bytes);
        EXPECT(d.b->write(d.b, 0, d.want, d.bytes));
        EXPECT(((struct qcow2 *)d.b)->h.rt_clusters >= 4 * before);
        reopen(&d);
        compare(&d);
        d.b->close(d.b);
        d.b = NULL;
        sound(&d.m, false, true);
    }
    disk_free(&d);
}

/* A disk whose tables alone take megabytes, written at its ends. */
TEST(large_disks)
{
    static const struct blk_create hows[] = {
        {.format = BLK_QCOW2, .bytes = UINT64_C(1) << 36, .cluster_bits = 9, .refcount_bits = 1},
        {.format = BLK_QCOW2, .bytes = UINT64_C(1) << 46},
        {.format = BLK_QCOW2, .bytes = UINT64_C(1) << 56, .cluster_bits = 21},
    };
    for (unsigned i = 0; i < ARRAY_LEN(hows); i++) {
        struct err e = {""};
        struct memfile m;
        memfile_init(&m, "", 0);
        struct blk_file f = memfile_file(&m, false);
        uint8_t one[512], two[512];
        memset(one, 0x77, sizeof one);
        EXPECT(qc_create(&f, "large", &hows[i], &e));
        f = memfile_file(&m, false);
        struct blk *b = blk_qcow2_new(&f, "large", 0, &e);
        if (EXPECT(b != NULL)) {
            EXPECT_EQ(b->bytes, hows[i].bytes);
            EXPECT(b->write(b, b->bytes - 512, one, 512) && b->write(b, b->bytes / 3, one, 512));
            EXPECT(b->read(b, b->bytes - 512, two, 512) && memcmp(one, two, 512) == 0);
            EXPECT(b->read(b, b->bytes - 1024, two, 512) && two[0] == 0);
            b->close(b);
            sound(&m, false, i == 1);
        }
        memfile_free(&m);
    }
    struct err e = {""};
    struct blk_create how = {.bytes = UINT64_C(1) << 40, .cluster_bits = 9};
    struct blk_file f = {.fd = -1};
    EXPECT(!qc_create(&f, "larger", &how, &e));
    EXPECT(strstr(e.msg, "want 1 to 2^37") != NULL);
}

/* --- QEMU's images --- */

#define BOTH(cmd) "qemu-io -f qcow2 -c '" cmd "' a.qcow2 && qemu-io -f raw -c '" cmd "' a.raw && "

static const struct {
    const char *name, *command;
} made[] = {
    {"compressed", "head -c 2M /dev/urandom >a.raw; yes | head -c 3M >>a.raw; "
                   "qemu-img convert -c -O qcow2 a.raw a.qcow2"},
    {"compressed, small clusters",
     "yes abc | head -c 2M >a.raw; "
     "qemu-img convert -c -O qcow2 -o cluster_size=4k,compat=0.10 a.raw a.qcow2"},
    {"zero clusters",
     "head -c 4M /dev/urandom >a.raw; qemu-img convert -O qcow2 a.raw a.qcow2 && " BOTH(
         "write -z 1M 256k") BOTH("write -z -u 2M 256k")
         BOTH("discard 3M 128k") "qemu-img convert -O raw a.qcow2 a.raw"},
    {"snapshots", "qemu-img create -f qcow2 -o cluster_size=16k a.qcow2 4M && truncate -s 4M a.raw "
                  "&& " BOTH("write -P 3 0 2M") "qemu-img snapshot -c one a.qcow2 && " BOTH(
                      "write -P 4 1M 64k") "qemu-img snapshot -c two a.qcow2 && qemu-img convert "
                                           "-l one -O raw a.qcow2 one.raw && "
                                           "qemu-img convert -l two -O raw a.qcow2 two.raw"},
    {"backing file", "head -c 3000k /dev/urandom >a.raw; cp a.raw base.raw; truncate -s 5M a.raw; "
                     "qemu-img create -f qcow2 -b base.raw -F raw a.qcow2 5M"},
    {"shorter than its backing file",
     "head -c 3000k /dev/urandom >base.raw; head -c 1234432 base.raw >a.raw; "
     "qemu-img create -f qcow2 -o cluster_size=128k -b base.raw -F raw a.qcow2 1234432"},
    {"preallocated",
     "qemu-img create -f qcow2 -o preallocation=metadata a.qcow2 4M && truncate -s 4M a.raw"},
    {"bitmap", "qemu-img create -f qcow2 a.qcow2 4M && truncate -s 4M a.raw && "
               "qemu-img bitmap --add a.qcow2 b0"},
};

TEST(images_of_qemu)
{
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(made); i++) {
        struct disk d;
        t_context("%s", made[i].name);
        if (!HAVE_ZLIB && strstr(made[i].name, "compressed")) {
            continue;
        }
        if (!EXPECT_EQ(image_run("rm -f a.*; %s", made[i].command), 0) ||
            !disk_load(&d, "a.qcow2", "a.raw")) {
            continue;
        }
        exercise(&d, (unsigned)t_amount(60, 300, 5000));
        d.b->close(d.b);
        d.b = NULL;
        bool bitmap = strcmp(made[i].name, "bitmap") == 0; /* given up, so its clusters are leaks */
        if (sound(&d.m, bitmap, true) && strcmp(made[i].name, "snapshots") == 0) {
            image_save(image_path("a.qcow2"), d.m.data, d.m.len);
            EXPECT_EQ(image_run("for s in one two; do qemu-img convert -l $s -O raw a.qcow2 now && "
                                "cmp now $s.raw || exit 1; done"),
                      0);
        }
        EXPECT_EQ(be64_get(d.m.data + 88), 0); /* autoclear */
        disk_free(&d);
    }
}

/* --- Not closed properly --- */

TEST(dirty_image)
{
    struct disk d;
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    EXPECT_EQ(image_run("rm -f a.*; ulimit -c 0; truncate -s 4M a.raw; "
                        "qemu-img create -f qcow2 -o lazy_refcounts=on a.qcow2 4M && "
                        "qemu-io -c 'write -P 5 0 1M' a.qcow2 && "
                        "qemu-img snapshot -c one a.qcow2 && "
                        "qemu-io -c 'write -P 6 512k 1M' -c flush -c abort a.qcow2; "
                        "qemu-io -f raw -c 'write -P 5 0 1M' -c 'write -P 6 512k 1M' a.raw"),
              0);
    if (!disk_load(&d, "a.qcow2", "a.raw")) {
        return;
    }
    EXPECT_EQ(d.m.data[79] & 1, 1);
    /* Only looked at: nothing changes. */
    struct memfile before;
    struct err e = {""};
    struct blk_file f = memfile_file(&d.m, true);
    memfile_init(&before, d.m.data, d.m.len);
    d.b = blk_qcow2_new(&f, "dirty", 0, &e);
    if (EXPECT(d.b != NULL)) {
        compare(&d);
        d.b->close(d.b);
        d.b = NULL;
        EXPECT(d.m.len == before.len && memcmp(d.m.data, before.data, before.len) == 0);
    }
    memfile_free(&before);
    if (reopen(&d)) {
        EXPECT_EQ(d.m.data[79] & 1, 0);
        sound(&d.m, false, true);
        exercise(&d, 100);
        d.b->close(d.b);
        d.b = NULL;
        sound(&d.m, false, true);
    }
    disk_free(&d);
}

TEST(corrupt_bit)
{
    struct disk d;
    struct err e = {""};
    struct blk_create how = {.format = BLK_QCOW2, .bytes = 1u << 20};
    if (disk_create(&d, &how)) {
        d.m.data[79] = 2;
        struct blk_file f = memfile_file(&d.m, false);
        EXPECT(!blk_qcow2_new(&f, "it", 0, &e));
        EXPECT_STR(e.msg, "it: qcow2: marked as corrupt; readonly=on or snapshot=on reads it");
        f = memfile_file(&d.m, true);
        d.b = blk_qcow2_new(&f, "it", 0, &e);
        EXPECT(d.b && d.b->readonly);
    }
    disk_free(&d);
}

TEST(repair)
{
    struct disk d;
    struct err e = {""};
    struct blk_create how = {.format = BLK_QCOW2, .bytes = 1u << 20, .cluster_bits = 12};
    if (disk_create(&d, &how) && exercise(&d, 50)) {
        struct qc_header h = ((struct qcow2 *)d.b)->h;
        d.b->close(d.b);
        d.b = NULL;
        /* Counts too low and too high. */
        uint64_t block = be64_get(d.m.data + h.rt_off);
        be16_put(d.m.data + block + 2 * 7, 0);
        be16_put(d.m.data + block + 2 * 9, 3);
        const char *path = image_path("repair.qcow2");
        image_save(path, d.m.data, d.m.len);
        struct blk_check r;
        EXPECT(blk_check(path, false, &r, NULL, NULL, &e));
        EXPECT(r.errors >= 1 && r.leaks == 1);
        EXPECT(blk_check(path, true, &r, NULL, NULL, &e));
        EXPECT(r.errors == 0 && r.leaks == 0);
        EXPECT(!image_have_qemu() || image_check(path, false));
        memfile_free(&d.m);
        EXPECT(image_load(&d.m, path) && reopen(&d) && compare(&d));
    }
    disk_free(&d);
}

/* --- A host that fails --- */

static const struct blk_create small = {
    .format = BLK_QCOW2, .bytes = 1u << 20, .cluster_bits = 10, .refcount_bits = 64};

/* The disk fills up, more than once; room is made each time. */
TEST(disk_full)
{
    struct disk d;
    if (disk_create(&d, &small) && reopen(&d)) {
        for (unsigned round = 0; round < 30; round++) {
            d.m.max = d.m.len + t_rand_below(&d.rng, 20000);
            for (unsigned i = 0; i < 20; i++) {
                random_write(&d);
            }
            EXPECT(compare(&d)); /* reads go on */
            d.b->flush(d.b);
            if (!sound(&d.m, true, false)) {
                break;
            }
        }
        d.m.max = 0;
        EXPECT(d.b->flush(d.b));
        exercise(&d, 50);
        d.b->close(d.b);
        d.b = NULL;
        sound(&d.m, true, true);
    }
    disk_free(&d);
}

/* The n-th write, read or sync fails, for every n; the image is sound then and at the end. */
TEST(nth_failure)
{
    unsigned n = (unsigned)t_amount(150, 600, 3000), bad = 0;
    for (unsigned i = 1; i < n && bad < 3; i++) {
        struct disk d;
        t_context("failure %u", i);
        if (disk_create(&d, &small) && reopen(&d)) {
            unsigned *what = i % 8 == 0   ? &d.m.fail_read
                             : i % 8 == 1 ? &d.m.fail_sync
                                          : &d.m.fail_write;
            *what = 1 + i / (i % 8 < 2 ? 8 : 1);
            for (unsigned k = 0; k < 40; k++) {
                random_write(&d);
                if (k % 7 == 0) {
                    d.b->flush(d.b);
                }
            }
            *what = 0;
            EXPECT(d.b->flush(d.b));
            bad += !sound(&d.m, true, i % 100 == 0) || !compare(&d) || !reopen(&d) || !compare(&d);
        }
        disk_free(&d);
    }
}
