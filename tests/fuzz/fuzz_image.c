/*
 * Disk images as an attacker would write them: qcow2 images with fields, tables
 * and data changed, opened, read, written, flushed, checked and repaired; and
 * files of any content, looked at.
 *
 * Each image is refused with one line, or serves requests, of which any may
 * fail. A guest's disk is bounded by the file's limit here, so work without
 * bound shows up as a time-out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "doppel.h"
#include "host/blk_qcow2.h"
#include "tests/lib/image.h"

#if HAVE_ZLIB
#include <zlib.h>
#endif

#define SEEDS 6u
#define ROOM  (2u << 20) /* that an image may grow by */

/* A compressed cluster in place of the first one: deflate's own bytes behind
 * the end. */
static void pack_first(struct memfile *m)
{
#if HAVE_ZLIB
    uint8_t plain[4096] = {1, 2, 3}, packed[8192];
    z_stream z = {.next_in = plain, .avail_in = sizeof plain};
    z.next_out = packed;
    z.avail_out = sizeof packed;
    if (be32_get(m->data + 20) != 12 || deflateInit2(&z, 9, Z_DEFLATED, -12, 9, 0) != Z_OK) {
        return;
    }
    deflate(&z, Z_FINISH);
    uint64_t off = m->len, l2 = be64_get(m->data + be64_get(m->data + 40)) & QC_OFFSET;
    memfile_resize(m, m->len + z.total_out);
    memcpy(m->data + off, packed, z.total_out);
    be64_put(m->data + l2, QC_COMPRESSED | off | (uint64_t)(z.total_out / 512) << (62 - 4));
    deflateEnd(&z);
#else
    (void)m;
#endif
}

static void make_seed(struct memfile *m, unsigned i)
{
    static const struct blk_create hows[SEEDS] = {
        {.bytes = 200000 / 512 * 512, .cluster_bits = 9, .refcount_bits = 64},
        {.bytes = 1 << 20, .cluster_bits = 9, .version = 2},
        {.bytes = 1 << 20, .cluster_bits = 12},
        {.bytes = 1 << 20, .cluster_bits = 12, .refcount_bits = 1, .backing = "base.raw"},
        {.bytes = 4 << 20, .cluster_bits = 16},
        {.bytes = 1 << 20, .cluster_bits = 12, .refcount_bits = 8, .version = 3},
    };
    struct err e = {""};
    struct t_rng rng = {i};
    struct blk_file f;
    uint8_t buf[8192];
    memfile_init(m, "", 0);
    f = memfile_file(m, false);
    EXPECT(qc_create(&f, "seed", &hows[i], &e));
    f = memfile_file(m, false);
    struct blk *b = blk_qcow2_new(&f, image_path("seed"), 0, &e);
    if (!EXPECT(b != NULL)) {
        return;
    }
    for (unsigned k = 0; k < 12; k++) {
        memset(buf, (int)k + 1, sizeof buf);
        uint64_t sectors = b->bytes / BLK_SECTOR - sizeof buf / BLK_SECTOR;
        EXPECT(b->write(b, k ? t_rand_below(&rng, sectors) * BLK_SECTOR : 0, buf, sizeof buf));
    }
    b->close(b);
    if (i == 5) {
        pack_first(m);
        m->data[79] = 1; /* not closed properly */
    }
}

/* --- Change --- */

/* A number that fields are made of. */
static uint64_t number(struct t_rng *rng, const struct memfile *m)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   2,
                                   7,
                                   511,
                                   512,
                                   0x7fffffff,
                                   0xffffffff,
                                   INT64_MAX,
                                   UINT64_MAX,
                                   UINT64_C(1) << 56,
                                   QC_OFFSET,
                                   QC_COMPRESSED};
    uint64_t v = t_rand_below(rng, m->len / 512 + 4) * 512;
    switch (t_rand_below(rng, 6)) {
    case 0:
        return odd[t_rand_below(rng, ARRAY_LEN(odd))];
    case 1:
        return t_rand(rng);
    case 2:
        return v | QC_COMPRESSED | t_rand_below(rng, 512) | t_rand_below(rng, 256) << 54;
    case 3:
        return t_rand_below(rng, 64);
    default:
        return v | (t_rand(rng) & (QC_COPIED | QC_ZERO));
    }
}

static uint64_t peek(const struct memfile *m, uint64_t at)
{
    return at < m->len && m->len - at >= 8 ? be64_get(m->data + at) : 0;
}

/* Where: the header's fields, or what is in the tables that it names, or
 * anywhere. */
static size_t place(struct t_rng *rng, const struct memfile *m)
{
    static const uint8_t fields[] = {4,  8,  16, 20, 24, 32,  36,  40,  48,  56, 60,
                                     64, 72, 80, 88, 96, 100, 104, 108, 112, 120};
    uint64_t l1 = peek(m, 40), rt = peek(m, 48), at;
    switch (t_rand_below(rng, 8)) {
    case 0:
        at = fields[t_rand_below(rng, ARRAY_LEN(fields))];
        break;
    case 1:
        at = l1 + t_rand_below(rng, 16) * 8;
        break;
    case 2:
        at = rt + t_rand_below(rng, 4) * 8;
        break;
    case 3: /* an L2 table */
    case 4:
        at = (peek(m, l1) & QC_OFFSET) + t_rand_below(rng, 512) * 8;
        break;
    case 5: /* a refcount block */
        at = peek(m, rt) + t_rand_below(rng, 512);
        break;
    default:
        at = t_rand_below(rng, m->len);
        break;
    }
    return at < m->len - 8 ? (size_t)at : (size_t)t_rand_below(rng, m->len - 8);
}

static void change(struct t_rng *rng, struct memfile *m)
{
    size_t at = place(rng, m);
    uint64_t v = number(rng, m);
    switch (t_rand_below(rng, 4)) {
    case 0:
        m->data[at] = (uint8_t)v;
        break;
    case 1:
        be32_put(m->data + at, (uint32_t)v);
        break;
    default:
        be64_put(m->data + at, v);
        break;
    }
    if (t_rand_below(rng, 24) == 0) { /* cut short */
        m->len = 64 + (size_t)t_rand_below(rng, m->len - 64);
    }
}

/* --- Use --- */

static void use(struct t_rng *rng, struct blk *b)
{
    static uint8_t buf[40 * BLK_SECTOR];
    uint64_t sectors = b->bytes / BLK_SECTOR;
    for (unsigned i = 0; sectors && i < 24; i++) {
        uint64_t at = t_rand_below(rng, sectors < 4096 || i % 4 == 0 ? sectors : 4096);
        uint64_t n = 1 + t_rand_below(rng, sizeof buf / BLK_SECTOR);
        n = n < sectors - at ? n : sectors - at;
        switch (t_rand_below(rng, 5)) {
        case 0:
            b->flush(b);
            break;
        case 1:
        case 2:
            b->write(b, at * BLK_SECTOR, buf, (size_t)n * BLK_SECTOR);
            break;
        default:
            b->read(b, at * BLK_SECTOR, buf, (size_t)n * BLK_SECTOR);
            break;
        }
    }
}

/* Refused with a line, or used. */
static bool try(struct t_rng *rng, struct memfile *m, bool readonly)
{
    struct err e = {""};
    struct blk_file f = memfile_file(m, readonly);
    struct blk *b = blk_qcow2_new(&f, image_path("seed"), 0, &e);
    if (!b) {
        EXPECT(e.msg[0] && !strchr(e.msg, '\n'));
        return false;
    }
    use(rng, b);
    struct qc_census c = {.n = 0};
    struct blk_check r;
    b->flush(b);
    qc_check((struct qcow2 *)b, "it", !readonly && t_rand_below(rng, 4) == 0, &c, &r, &e);
    qc_census_free(&c);
    b->close(b);
    return true;
}

TEST(qcow2)
{
    struct t_rng rng = {t_seed()};
    struct memfile seeds[SEEDS];
    unsigned n = (unsigned)t_amount(3000, 20000, 2000000), opened = 0;
    uint8_t base[9000];
    memset(base, 0xba, sizeof base);
    image_save(image_path("base.raw"), base, sizeof base);
    for (unsigned i = 0; i < SEEDS; i++) {
        make_seed(&seeds[i], i);
    }
    for (unsigned i = 0; i < n; i++) {
        struct memfile m;
        const struct memfile *seed = &seeds[t_rand_below(&rng, SEEDS)];
        memfile_init(&m, seed->data, seed->len);
        m.max = m.len + ROOM;
        for (uint64_t k = t_rand_below(&rng, 5) + 1; k; k--) {
            change(&rng, &m);
        }
        opened += try(&rng, &m, t_rand_below(&rng, 4) == 0);
        memfile_free(&m);
    }
    EXPECT(opened > n / 10 && opened < n);
    for (unsigned i = 0; i < SEEDS; i++) {
        memfile_free(&seeds[i]);
    }
}

/* As a person hands them over: detected, looked at. */
TEST(files)
{
    struct t_rng rng = {t_seed()};
    unsigned n = (unsigned)t_amount(100, 1000, 50000);
    struct memfile seed;
    const char *path = image_path("file");
    make_seed(&seed, 2);
    for (unsigned i = 0; i < n; i++) {
        struct memfile m;
        struct doppel_image img;
        struct doppel_error e = {""};
        memfile_init(&m, seed.data, seed.len);
        for (uint64_t k = t_rand_below(&rng, 5); k; k--) {
            change(&rng, &m);
        }
        if (t_rand_below(&rng, 3) == 0) { /* no longer qcow2 */
            memset(m.data, (int)t_rand(&rng), 4);
            m.len = (size_t)t_rand_below(&rng, m.len);
        }
        char name[256];
        snprintf(name, sizeof name, "%s", path);
        image_save(name, m.data, m.len);
        if (doppel_image_look(name, &img, &e)) {
            EXPECT(img.bytes > 0);
        } else {
            EXPECT(e.msg[0] && !strchr(e.msg, '\n'));
        }
        memfile_free(&m);
    }
    memfile_free(&seed);
}
