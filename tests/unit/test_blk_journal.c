/*
 * The journal of a disk against a model that keeps a whole copy of the disk for each mark.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/blk.h"
#include "host/blk_journal.h"
#include "tests/t.h"

#define BYTES   (37u * 4096 + 1536) /* the last cluster is cut */
#define MARKS   12u
#define SECTORS (BYTES / BLK_SECTOR)

/* A disk in memory; fails every transfer from the `fail`-th on. */
struct memory_disk {
    struct blk blk;
    uint8_t *data;
    unsigned reads, writes, flushes;
    int fail; /* transfers until then; -1: never */
    bool closed;
};

static bool transfer(struct memory_disk *d)
{
    if (d->fail == 0) {
        errno = EIO;
        return false;
    }
    d->fail -= d->fail > 0;
    return true;
}

static bool disk_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct memory_disk *d = (struct memory_disk *)b;
    d->reads++;
    EXPECT(off <= BYTES && len <= BYTES - off);
    memcpy(buf, d->data + off, len);
    return transfer(d);
}

static bool disk_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    struct memory_disk *d = (struct memory_disk *)b;
    d->writes++;
    EXPECT(off <= BYTES && len <= BYTES - off);
    if (!transfer(d)) {
        return false;
    }
    memcpy(d->data + off, buf, len);
    return true;
}

static bool disk_flush(struct blk *b)
{
    ((struct memory_disk *)b)->flushes++;
    return true;
}

static void disk_close(struct blk *b)
{
    ((struct memory_disk *)b)->closed = true;
}

static struct blk *start(struct memory_disk *d)
{
    struct err e;
    *d = (struct memory_disk){.fail = -1};
    d->blk = (struct blk){.bytes = BYTES,
                          .read = disk_read,
                          .write = disk_write,
                          .flush = disk_flush,
                          .close = disk_close};
    d->data = calloc(1, BYTES);
    struct blk *b = blk_journal_new(&d->blk, &e);
    EXPECT(blk_journal_of(b) != NULL && blk_journal_under(b) == &d->blk);
    return b;
}

static void stop(struct memory_disk *d, struct blk *b)
{
    b->close(b);
    EXPECT(d->closed);
    free(d->data);
}

static void put(struct blk *b, unsigned sector, uint8_t value, unsigned n)
{
    uint8_t *p = malloc(n * BLK_SECTOR);
    memset(p, value, n * BLK_SECTOR);
    EXPECT(b->write(b, (uint64_t)sector * BLK_SECTOR, p, n * BLK_SECTOR));
    free(p);
}

static uint8_t get(struct blk *b, unsigned sector)
{
    uint8_t p[BLK_SECTOR];
    EXPECT(b->read(b, (uint64_t)sector * BLK_SECTOR, p, sizeof p));
    return p[0];
}

TEST(journal_costs_nothing_without_a_mark)
{
    struct memory_disk d;
    struct blk *b = start(&d);
    put(b, 0, 1, 8);
    put(b, 3, 2, 1);
    EXPECT_EQ(d.reads, 0);
    EXPECT_EQ(d.writes, 2);
    EXPECT_EQ(blk_journal_bytes(blk_journal_of(b)), 0);
    EXPECT(b->flush(b) && d.flushes == 1);
    stop(&d, b);
}

TEST(journal_reads_once_for_each_first_write)
{
    struct memory_disk d;
    struct blk *b = start(&d);
    struct blk_journal *j = blk_journal_of(b);
    uint64_t m = blk_journal_mark(j);
    put(b, 0, 1, 64); /* eight clusters: one read */
    EXPECT_EQ(d.reads, 1);
    put(b, 4, 2, 32);
    EXPECT_EQ(d.reads, 1);
    EXPECT_EQ(blk_journal_bytes(j), 8 * 4096);
    EXPECT(blk_journal_forget(j, m));
    EXPECT_EQ(blk_journal_bytes(j), 0);
    stop(&d, b);
}

TEST(journal_enters_leaves_and_commits)
{
    struct memory_disk d;
    struct blk *b = start(&d);
    struct blk_journal *j = blk_journal_of(b);
    put(b, 0, 1, 1);
    uint64_t one = blk_journal_mark(j);
    put(b, 0, 2, 1);
    uint64_t two = blk_journal_mark(j);
    put(b, 0, 3, 1);
    EXPECT(blk_journal_enter(j, one) && get(b, 0) == 1);
    put(b, 9, 7, 1);
    unsigned writes = d.writes;
    EXPECT(b->flush(b) && d.flushes == 0);
    EXPECT(blk_journal_enter(j, two) && get(b, 0) == 2 && get(b, 9) == 0);
    blk_journal_leave(j);
    EXPECT_EQ(get(b, 0), 3);
    EXPECT_EQ(d.writes, writes);
    EXPECT(blk_journal_enter(j, one));
    put(b, 9, 7, 1);
    EXPECT(blk_journal_commit(j) && !blk_journal_entered(j));
    EXPECT(d.data[0] == 1 && d.data[9 * BLK_SECTOR] == 7);
    /* What had been the present can still be gone to from a mark of it. */
    EXPECT(blk_journal_enter(j, two) && get(b, 0) == 2 && get(b, 9) == 0);
    EXPECT(!blk_journal_enter(j, 99));
    EXPECT_EQ(get(b, 0), 2);
    stop(&d, b);
}

TEST(journal_commit_that_fails_changes_nothing)
{
    for (int fail = 0; fail < 40; fail++) {
        struct memory_disk d;
        struct blk *b = start(&d);
        struct blk_journal *j = blk_journal_of(b);
        uint64_t m = blk_journal_mark(j);
        for (unsigned i = 0; i < 6; i++) {
            put(b, i * 24, 1, 8);
        }
        EXPECT(blk_journal_enter(j, m));
        put(b, 100, 9, 16);
        uint8_t *was = malloc(BYTES);
        memcpy(was, d.data, BYTES);
        d.fail = fail;
        bool ok = blk_journal_commit(j);
        bool broke = d.fail == 0;
        d.fail = -1;
        if (!ok && fail > 0) { /* the host that fails for good cannot be written back to */
            EXPECT_EQ(errno, EIO);
        }
        EXPECT(ok || blk_journal_entered(j));
        EXPECT(get(b, 0) == 0 && get(b, 100) == 9);
        EXPECT(ok || broke);
        EXPECT(blk_journal_commit(j));
        EXPECT(get(b, 0) == 0 && get(b, 100) == 9 && d.data[100 * BLK_SECTOR] == 9);
        free(was);
        stop(&d, b);
    }
}

/* --- Against the model --- */

struct model {
    uint8_t *now, *present; /* shown; kept while a mark is entered */
    unsigned entered;       /* how deep */
    struct {
        uint64_t mark;
        unsigned level; /* how deep it was when it was made */
        uint8_t *data;
    } list[MARKS];
    unsigned n;
};

static uint8_t *copy(const uint8_t *p)
{
    uint8_t *c = malloc(BYTES);
    memcpy(c, p, BYTES);
    return c;
}

static void drop(struct model *m, unsigned i)
{
    free(m->list[i].data);
    m->list[i] = m->list[--m->n];
}

static void drop_inside(struct model *m, unsigned level)
{
    for (unsigned i = m->n; i-- > 0;) {
        if (m->list[i].level > level) {
            drop(m, i);
        }
    }
}

static void do_write(struct model *m, struct blk *b, struct t_rng *rng)
{
    unsigned at = (unsigned)t_rand_below(rng, SECTORS);
    unsigned n = 1 + (unsigned)t_rand_below(rng, 200);
    n = n < SECTORS - at ? n : SECTORS - at;
    uint8_t *p = malloc(n * BLK_SECTOR);
    for (unsigned i = 0; i < n * BLK_SECTOR; i++) {
        p[i] = (uint8_t)t_rand(rng);
    }
    EXPECT(b->write(b, (uint64_t)at * BLK_SECTOR, p, n * BLK_SECTOR));
    memcpy(m->now + at * BLK_SECTOR, p, n * BLK_SECTOR);
    free(p);
}

static void do_enter(struct model *m, struct blk_journal *j, unsigned i)
{
    EXPECT(blk_journal_enter(j, m->list[i].mark));
    uint8_t *data = copy(m->list[i].data);
    if (!m->entered) {
        m->present = m->now;
    } else {
        free(m->now);
    }
    m->now = data;
    m->entered = m->list[i].level + 1;
    drop_inside(m, m->list[i].level);
}

static void do_end(struct model *m, struct blk_journal *j, bool commit)
{
    if (commit) {
        EXPECT(blk_journal_commit(j));
        for (unsigned i = 0; i < m->n; i++) {
            m->list[i].level = 0;
        }
    } else {
        blk_journal_leave(j);
    }
    if (m->entered) {
        if (!commit) {
            drop_inside(m, 0);
        }
        free(commit ? m->present : m->now);
        m->now = commit ? m->now : m->present;
    }
    m->entered = 0;
}

static void check_view(struct model *m, struct blk_journal *j, unsigned i)
{
    struct blk *v = blk_journal_view(j, m->list[i].mark);
    uint8_t *data = malloc(BYTES);
    EXPECT(v && v->read(v, 0, data, BYTES) && memcmp(data, m->list[i].data, BYTES) == 0);
    memset(data, 0x5a, 512);
    EXPECT(v->write(v, 1024, data, 512) && v->read(v, 512, data + 512, 1024));
    EXPECT(memcmp(data, data + 1024, 512) == 0);
    free(data);
    v->close(v);
}

static void step(struct model *m, struct blk *b, struct t_rng *rng)
{
    struct blk_journal *j = blk_journal_of(b);
    unsigned i = m->n ? (unsigned)t_rand_below(rng, m->n) : 0;
    switch (t_rand_below(rng, 12)) {
    case 0:
    case 1:
        if (m->n < MARKS) {
            uint64_t mark = blk_journal_mark(j);
            EXPECT(mark != 0);
            m->list[m->n].mark = mark;
            m->list[m->n].level = m->entered;
            m->list[m->n++].data = copy(m->now);
        }
        break;
    case 2:
        if (m->n && !m->entered) {
            EXPECT(blk_journal_forget(j, m->list[i].mark));
            drop(m, i);
        }
        break;
    case 3:
        if (m->n) {
            do_enter(m, j, i);
        }
        break;
    case 4:
        do_end(m, j, false);
        break;
    case 5:
        do_end(m, j, true);
        break;
    case 6:
        if (m->n) {
            check_view(m, j, i);
        }
        break;
    default:
        do_write(m, b, rng);
        break;
    }
}

TEST(journal_against_a_model)
{
    struct t_rng rng = {t_seed()};
    uint8_t *have = malloc(BYTES);
    for (uint64_t round = t_amount(20, 200, 20000); round; round--) {
        struct memory_disk d;
        struct blk *b = start(&d);
        struct model m = {.now = calloc(1, BYTES)};
        bool same = true;
        for (unsigned k = 0; k < 120 && same; k++) {
            step(&m, b, &rng);
            same = EXPECT(b->read(b, 0, have, BYTES)) && EXPECT(memcmp(have, m.now, BYTES) == 0);
            const uint8_t *present = m.entered ? m.present : m.now;
            same = same && EXPECT(memcmp(d.data, present, BYTES) == 0);
        }
        for (unsigned i = 0; same && i < m.n; i++) {
            check_view(&m, blk_journal_of(b), i);
        }
        while (m.n) {
            drop(&m, 0);
        }
        free(m.now);
        if (m.entered) {
            free(m.present);
        }
        stop(&d, b);
    }
    free(have);
}
