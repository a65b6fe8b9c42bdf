// Guest RAM in snapshots and digests.

#include "tests/t.h"

#include <stdlib.h>
#include <string.h>

#include "mmu/ram.h"

enum { N = 40 };

static void fill(struct ram *r)
{
    for (uint64_t p = 0; p < N; p += 3) {
        uint64_t v = p * 77 + 1;
        ram_write(r, p * PAGE_SIZE + 8 * p, &v, 8);
    }
}

TEST(ram_digest_sees_content_only)
{
    struct ram a, b;
    EXPECT(ram_init(&a, N * PAGE_SIZE) && ram_init(&b, N * PAGE_SIZE));
    uint64_t empty = ram_digest(&a, ST_DIGEST_INIT);
    ram_write_ptr(&a, 7); // allocated, still zero
    EXPECT_EQ(ram_digest(&a, ST_DIGEST_INIT), empty);
    fill(&a);
    ram_fork(&b, &a);
    uint64_t full = ram_digest(&a, ST_DIGEST_INIT);
    EXPECT(full != empty);
    EXPECT_EQ(ram_digest(&b, ST_DIGEST_INIT), full);
    uint8_t one = 1;
    ram_write(&b, 10 * PAGE_SIZE + 4095, &one, 1);
    EXPECT(ram_digest(&b, ST_DIGEST_INIT) != full);
    EXPECT_EQ(ram_digest(&a, ST_DIGEST_INIT), full);
    // The same bytes in another page are another content.
    struct ram c;
    EXPECT(ram_init(&c, N * PAGE_SIZE));
    ram_write(&c, 11 * PAGE_SIZE, &one, 1);
    uint64_t h = ram_digest(&c, ST_DIGEST_INIT);
    ram_drop_all(&c);
    ram_write(&c, 12 * PAGE_SIZE, &one, 1);
    EXPECT(ram_digest(&c, ST_DIGEST_INIT) != h);
    ram_fini(&c);
    ram_fini(&a);
    ram_fini(&b);
}

// A source that numbers its pages and counts what it is asked for.
struct counted {
    struct ram_source source;
    unsigned fetched, freed;
    uint64_t last;
};

static void fetch(struct ram_source *s, uint64_t pfn, uint8_t *to)
{
    struct counted *c = (struct counted *)s;
    memset(to, (int)pfn + 1, PAGE_SIZE);
    c->fetched++;
    c->last = pfn;
}

static void release(struct ram_source *s)
{
    ((struct counted *)s)->freed++;
}

static const uint64_t some = 0x8000000ff1; // pages 0, 4..11, 39

static void give(struct ram *r, struct counted *c)
{
    *c = (struct counted){.source = {.fetch = fetch, .free = release}};
    atomic_init(&c->source.refs, 1);
    ram_set_source(r, &c->source, &some);
}

TEST(ram_pages_come_from_a_source_when_touched)
{
    struct ram r;
    struct counted c;
    EXPECT(ram_init(&r, N * PAGE_SIZE));
    give(&r, &c);
    EXPECT_EQ(ram_read_ptr(&r, 1)[0], 0);
    EXPECT_EQ(c.fetched, 0);
    EXPECT_EQ(ram_read_ptr(&r, 4)[7], 5);
    EXPECT_EQ(ram_read_ptr(&r, 4)[7], 5);
    EXPECT_EQ(c.fetched, 1);
    ram_write_ptr(&r, 39)[1] = 99; // the rest of the page is the source's
    EXPECT(c.fetched == 2 && ram_read_ptr(&r, 39)[0] == 40 && ram_read_ptr(&r, 39)[1] == 99);
    uint8_t two[2] = {1, 2};
    ram_write(&r, 5 * PAGE_SIZE - 1, two, 2);
    EXPECT(ram_read_ptr(&r, 4)[PAGE_SIZE - 1] == 1 && ram_read_ptr(&r, 5)[0] == 2 &&
           ram_read_ptr(&r, 5)[1] == 6);
    EXPECT_EQ(ram_host_bytes(&r), 3 * PAGE_SIZE);
    ram_drop_all(&r);
    EXPECT(c.freed == 1 && ram_read_ptr(&r, 6)[0] == 0 && ram_is_dirty(&r, 6));
    ram_fini(&r);
}

TEST(ram_source_digest_and_the_last_page)
{
    struct ram r, plain;
    struct counted c;
    EXPECT(ram_init(&r, N * PAGE_SIZE) && ram_init(&plain, N * PAGE_SIZE));
    for (uint64_t p = 0; p < N; p++) {
        if (some >> p & 1) {
            memset(ram_write_ptr(&plain, p), (int)p + 1, PAGE_SIZE);
        }
    }
    give(&r, &c);
    EXPECT_EQ(ram_digest(&r, 1), ram_digest(&plain, 1));
    EXPECT(c.fetched == 10 && c.freed == 1); // nothing is left to fetch
    EXPECT_EQ(ram_digest(&r, 1), ram_digest(&plain, 1));
    ram_fini(&r);
    ram_fini(&plain);
}

TEST(ram_reads_from_a_source_are_not_writes)
{
    struct ram r;
    struct counted c;
    EXPECT(ram_init(&r, N * PAGE_SIZE));
    give(&r, &c);
    ram_dirty_clear(&r);
    ram_read_ptr(&r, 4);
    EXPECT(!ram_is_dirty(&r, 4) && ram_own_ptr(&r, 4) == NULL);
    ram_write_ptr(&r, 5);
    EXPECT(ram_is_dirty(&r, 5) && ram_own_ptr(&r, 5) != NULL);
    ram_fini(&r);
    EXPECT_EQ(c.freed, 1);
}

TEST(ram_fork_shares_a_source)
{
    struct ram a, b;
    struct counted c;
    EXPECT(ram_init(&a, N * PAGE_SIZE) && ram_init(&b, N * PAGE_SIZE));
    give(&a, &c);
    ram_write_ptr(&a, 4)[0] = 77;
    ram_fork(&b, &a);
    ram_write_ptr(&a, 5)[0] = 78;
    EXPECT(ram_read_ptr(&b, 4)[0] == 77 && ram_read_ptr(&b, 5)[0] == 6);
    uint64_t h = ram_digest(&a, 1);
    ram_fini(&a);
    EXPECT_EQ(c.freed, 0);
    EXPECT(ram_read_ptr(&b, 11)[9] == 12 && ram_digest(&b, 1) != h);
    ram_fini(&b);
    EXPECT_EQ(c.freed, 1);
}
