/*
 * qcow2 images that QEMU's tools made: every cluster size, both versions, compressed and zero
 * clusters, backing chains, snapshots, dirty images; and those that must be refused, by name.
 *
 * What an image must read as is known from the same commands carried out on a raw image.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "tests/lib/image.h"
#include "util/bits.h"

static struct blk *open_image(const char *path, bool readonly)
{
    struct err e = {""};
    enum blk_format format;
    struct blk_how how = {.align = BLK_SECTOR, .readonly = readonly};
    struct blk *b = blk_open(path, &how, &format, &e);
    if (!b) {
        FAIL("%s", e.msg);
    } else {
        EXPECT_EQ(format, BLK_QCOW2);
    }
    return b;
}

/* Both images hold the same, read in requests of random sizes. */
static void same(const char *path, const char *raw)
{
    struct memfile want;
    struct t_rng rng = {t_seed()};
    struct blk *b = open_image(path, true);
    if (!b || !image_load(&want, raw)) {
        return;
    }
    uint8_t *buf = malloc(1 << 20);
    EXPECT_EQ(b->bytes, want.len);
    for (uint64_t off = 0; off < want.len && off < b->bytes;) {
        size_t n = (size_t)(1 + t_rand_below(&rng, 300)) * BLK_SECTOR;
        n = n < want.len - off ? n : (size_t)(want.len - off);
        t_context("%s at %#llx, %zu bytes", path, (unsigned long long)off, n);
        if (!EXPECT(b->read(b, off, buf, n)) || !EXPECT(memcmp(buf, want.data + off, n) == 0)) {
            break;
        }
        off += n;
    }
    t_context("%s", path);
    free(buf);
    memfile_free(&want);
    b->close(b);
}

/* An image that is refused with this text. */
static void refused(const char *path, bool readonly, const char *text)
{
    struct err e = {""};
    struct blk_how how = {.align = BLK_SECTOR, .readonly = readonly};
    struct blk *b = blk_open(path, &how, NULL, &e);
    t_context("%s: %s", path, e.msg);
    EXPECT(!b);
    EXPECT(strstr(e.msg, text) != NULL);
    if (b) {
        b->close(b);
    }
}

#define BOTH(cmd)                                                                                  \
    EXPECT_EQ(                                                                                     \
        image_run("qemu-io -f qcow2 -c '%s' a.qcow2 && qemu-io -f raw -c '%s' a.raw", cmd, cmd),   \
        0)

TEST(every_cluster_size)
{
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    for (unsigned bits = 9; bits <= 21; bits += (unsigned)t_amount(4, 1, 1)) {
        const char *compat = bits % 2 ? "0.10" : "1.1";
        EXPECT_EQ(image_run("rm -f a.*; qemu-img create -f qcow2 -o cluster_size=%u,compat=%s "
                            "a.qcow2 7M && truncate -s 7M a.raw",
                            1u << bits, compat),
                  0);
        BOTH("write -P 1 0 64k");
        BOTH("write -P 2 3000k 700k");
        BOTH("write -P 3 5120512 512");
        BOTH("write -P 4 7168k 0");
        BOTH("write -P 5 7339008 1024");
        same(image_path("a.qcow2"), image_path("a.raw"));
#if HAVE_ZLIB
        EXPECT_EQ(
            image_run("qemu-img convert -c -O qcow2 -o cluster_size=%u a.raw c.qcow2", 1u << bits),
            0);
        same(image_path("c.qcow2"), image_path("a.raw"));
#endif
    }
}

TEST(zero_clusters)
{
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    /* Over a backing file: unallocated is not zero. */
    EXPECT_EQ(image_run("head -c 4M /dev/urandom >a.raw; cp a.raw base.raw; "
                        "qemu-img create -f qcow2 -b base.raw -F raw a.qcow2"),
              0);
    BOTH("write -P 9 1M 256k");
    BOTH("write -z 1M 64k"); /* keeps its place in the file */
    BOTH("write -z -u 1152k 64k");
    BOTH("write -z 2M 512k");
    BOTH("discard 3M 128k");
    EXPECT_EQ(image_run("qemu-img convert -O raw a.qcow2 a.raw"), 0);
    same(image_path("a.qcow2"), image_path("a.raw"));
}

TEST(backing_chains)
{
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    /* A base shorter than its overlays, one in a folder of its own, one absolute. */
    EXPECT_EQ(image_run("mkdir -p sub; head -c 1000k /dev/urandom >sub/base.raw; "
                        "qemu-img create -f qcow2 -b base.raw -F raw sub/b.qcow2 3M && "
                        "qemu-io -c 'write -P 7 990k 100k' sub/b.qcow2 && "
                        "qemu-img create -f qcow2 -o compat=0.10,cluster_size=4k "
                        "-b sub/b.qcow2 -F qcow2 c.qcow2 5M && "
                        "qemu-io -c 'write -P 8 2M 2M' c.qcow2 && "
                        "qemu-img create -f qcow2 -b $PWD/c.qcow2 -F qcow2 d.qcow2 4M && "
                        "qemu-io -c 'write -P 9 512 512' d.qcow2 && "
                        "qemu-img convert -O raw d.qcow2 a.raw"),
              0);
    same(image_path("d.qcow2"), image_path("a.raw"));
    /* The same file under two machines: many may read. */
    struct blk *one = open_image(image_path("d.qcow2"), false);
    struct blk *two = open_image(image_path("c.qcow2"), true);
    if (one && two) {
        refused(image_path("c.qcow2"), false, "in use");
    }
    if (one) {
        one->close(one);
    }
    if (two) {
        two->close(two);
    }
}

TEST(snapshots_inside)
{
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    EXPECT_EQ(image_run("rm -f a.*; qemu-img create -f qcow2 a.qcow2 4M; truncate -s 4M a.raw"), 0);
    BOTH("write -P 1 0 1M");
    EXPECT_EQ(image_run("qemu-img snapshot -c one a.qcow2"), 0);
    BOTH("write -P 2 512k 1M");
    EXPECT_EQ(image_run("qemu-img snapshot -c two a.qcow2"), 0);
    same(image_path("a.qcow2"), image_path("a.raw"));
}

static const struct {
    unsigned at, len; /* of the bytes that are changed */
    uint8_t bytes[8];
    const char *text;
} lies[] = {
    {4, 4, {0, 0, 0, 1}, "version 1"},
    {8, 8, {0, 0, 0, 0, 0, 0, 0, 9}, "backing file's name is wrong"},
    {8, 8, {0x80, 0, 0, 0, 0, 0, 0, 0}, "backing file's name is wrong"},
    {20, 4, {0, 0, 0, 8}, "512 bytes to 2 MiB"},
    {20, 4, {0xff, 0xff, 0xff, 0xff}, "512 bytes to 2 MiB"},
    {24, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "2^56"},
    {24, 8, {0, 0xff, 0, 0, 0, 0, 0, 0}, "L1 table is too large"},
    {24, 8, {0, 0, 0, 1, 0, 0, 0, 0}, "L1 table is too small"},
    {24, 8, {0, 0, 0, 0, 0, 0, 0, 0}, "a disk of 0 bytes"},
    {32, 4, {0, 0, 0, 2}, "encrypted"},
    {36, 4, {0xff, 0xff, 0xff, 0xff}, "L1 table is too large"},
    {36, 4, {0, 0x40, 0, 0}, "cut short"},
    {36, 4, {0, 0, 0, 0}, "too small"},
    {40, 8, {0, 0, 0, 0, 0, 0, 0, 8}, "start of a cluster"},
    {40, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0}, "cut short"},
    {48, 8, {0, 0, 0, 0, 0, 0, 0, 0}, "start of a cluster"},
    {48, 8, {0, 1, 0, 0, 0, 0, 0, 0}, "cut short"},
    {56, 4, {0, 0, 0, 0}, "refcount table is wrong"},
    {56, 4, {0xff, 0xff, 0xff, 0xff}, "refcount table is wrong"},
    {60, 4, {0xff, 0, 0, 0}, "too many snapshots"},
    {72, 8, {0, 0, 0, 0, 0, 0, 0, 4}, "external file"},
    {72, 8, {0, 0, 0, 0, 0, 0, 0, 8}, "an unknown method"},
    {72, 8, {0, 0, 0, 0, 0, 0, 0, 16}, "subclusters"},
    {72, 8, {0x80, 0, 0, 0, 0, 0, 0, 0}, "mask 0x8000000000000000"},
    {96, 4, {0, 0, 0, 7}, "64 bits"},
    {100, 4, {0xff, 0xff, 0xff, 0xf8}, "header's length"},
    {100, 4, {0, 0, 0, 103}, "header's length"},
    {104, 1, {1}, "zstd"},
};

TEST(refused_by_name)
{
    struct memfile good, m;
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    const char *path = image_path("bad.qcow2");
    EXPECT_EQ(image_run("qemu-img create -f qcow2 good.qcow2 1M"), 0);
    if (!image_load(&good, image_path("good.qcow2"))) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(lies); i++) {
        memfile_init(&m, good.data, good.len);
        memcpy(m.data + lies[i].at, lies[i].bytes, lies[i].len);
        image_save(path, m.data, m.len);
        refused(path, true, lies[i].text);
        memfile_free(&m);
    }
    for (size_t n = 4; n < 300000; n = n * 3 / 2) { /* cut short anywhere */
        if (n < good.len) {
            image_save(path, good.data, n);
            refused(path, true, "qcow2: ");
        }
    }
    /* A feature that only its own table names. */
    memfile_init(&m, good.data, good.len);
    m.data[72] = 0x20;
    uint32_t at = be32_get(m.data + 100);
    be32_put(m.data + at, 0x6803f857);
    be32_put(m.data + at + 4, 48);
    memset(m.data + at + 8, 0, 56);
    m.data[at + 9] = 61;
    memcpy(m.data + at + 10, "time travel", 11);
    image_save(path, m.data, m.len);
    refused(path, true, "\"time travel\"");
    memfile_free(&m);
    memfile_free(&good);
}

TEST(backing_refused)
{
    if (!image_have_qemu()) {
        SKIP("no qemu-img: apt-get install qemu-utils");
        return;
    }
    EXPECT_EQ(image_run("qemu-img create -f qcow2 x.qcow2 1M; "
                        "qemu-img rebase -u -f qcow2 -F qcow2 -b x.qcow2 x.qcow2"),
              0);
    refused(image_path("x.qcow2"), false, "its own backing file");
    EXPECT_EQ(image_run("qemu-img create -f qcow2 y.qcow2 1M; "
                        "qemu-img rebase -u -f qcow2 -F qcow2 -b x.qcow2 y.qcow2; "
                        "qemu-img rebase -u -f qcow2 -F qcow2 -b y.qcow2 x.qcow2"),
              0);
    refused(image_path("x.qcow2"), true, "more than 64 images");
    EXPECT_EQ(image_run("qemu-img rebase -u -f qcow2 -F vmdk -b x.vmdk x.qcow2"), 0);
    refused(image_path("x.qcow2"), true, "\"vmdk\"");
    EXPECT_EQ(image_run("qemu-img rebase -u -f qcow2 -F raw -b gone.raw x.qcow2"), 0);
    refused(image_path("x.qcow2"), true, "gone.raw: No such file");
    /* qemu-img wants to open a backing file's data file; ours says why not. */
    EXPECT_EQ(
        image_run("qemu-img create -f qcow2 -o data_file=x.data,data_file_raw=on x2.qcow2 1M"), 0);
    refused(image_path("x2.qcow2"), true, "external file");
    EXPECT_EQ(image_run("qemu-img create -f qcow2 -o extended_l2=on x3.qcow2 1M"), 0);
    refused(image_path("x3.qcow2"), true, "subclusters");
    /* The header's crypt_method says LUKS. (qemu-img measures the host before it makes one, and
     * gives up on a busy one.) */
    EXPECT_EQ(image_run("qemu-img create -f qcow2 x4.qcow2 1M; printf '\\0\\0\\0\\2' | "
                        "dd of=x4.qcow2 bs=1 seek=32 conv=notrunc"),
              0);
    refused(image_path("x4.qcow2"), true, "encrypted");
}
