// Guest RAM: absent pages, copy on write, fork, code lines, dirty bits, save and load.

#include "tests/t.h"

#include <stdlib.h>
#include <string.h>

#include "mmu/ram.h"

enum { N = 1100 }; // pages: more than two chunks of the pool

struct calls {
    unsigned moved, every, hits;
    uint64_t pfn;
    unsigned off, len;
};

static void on_moved(void *ctx, uint64_t pfn)
{
    struct calls *c = ctx;
    c->moved++;
    c->every += pfn == RAM_EVERY_PAGE;
    c->pfn = pfn;
}

static void on_code_hit(void *ctx, uint64_t pfn, unsigned off, unsigned len)
{
    struct calls *c = ctx;
    c->hits++;
    c->pfn = pfn;
    c->off = off;
    c->len = len;
}

static void make(struct ram *r, struct calls *c)
{
    EXPECT(ram_init(r, N * PAGE_SIZE));
    memset(c, 0, sizeof *c);
    r->moved = on_moved;
    r->code_hit = on_code_hit;
    r->ctx = c;
}

TEST(ram_absent_pages_read_as_zero)
{
    struct ram r;
    struct calls c;
    make(&r, &c);
    uint8_t buf[100], zero[100] = {0};
    memset(buf, 1, sizeof buf);
    ram_read(&r, PAGE_SIZE - 50, buf, sizeof buf);
    EXPECT_MEM(buf, zero, sizeof buf);
    EXPECT_EQ(ram_host_bytes(&r), 0);
    ram_fini(&r);
}

TEST(ram_writes_allocate_once_and_keep)
{
    struct ram r;
    struct calls c;
    make(&r, &c);
    for (uint64_t p = 0; p < N; p++) {
        EXPECT(ram_own_ptr(&r, p) == NULL);
        uint8_t *w = ram_write_ptr(&r, p);
        EXPECT(w[0] == 0 && w[PAGE_SIZE - 1] == 0);
        memcpy(w + 8, &p, sizeof p);
        EXPECT(ram_write_ptr(&r, p) == w && ram_read_ptr(&r, p) == w && ram_own_ptr(&r, p) == w);
    }
    EXPECT_EQ(c.moved, N); // each page's address changed once
    EXPECT_EQ(ram_host_bytes(&r), N * PAGE_SIZE);
    for (uint64_t p = 0; p < N; p++) {
        EXPECT_MEM(ram_read_ptr(&r, p) + 8, &p, sizeof p);
    }
    ram_drop_all(&r);
    EXPECT_EQ(ram_host_bytes(&r), 0);
    // Recycled pages are zero again.
    for (uint64_t p = 0; p < N; p += 3) {
        uint64_t v;
        memcpy(&v, ram_write_ptr(&r, p) + 8, sizeof v);
        EXPECT_EQ(v, 0);
        memset(ram_write_ptr(&r, p), 0xff, PAGE_SIZE);
    }
    ram_fini(&r);
}

TEST(ram_bulk_access_crosses_pages)
{
    struct ram r;
    struct calls c;
    make(&r, &c);
    uint8_t in[3 * PAGE_SIZE], out[3 * PAGE_SIZE];
    for (unsigned i = 0; i < sizeof in; i++) {
        in[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    ram_write(&r, 5 * PAGE_SIZE - 17, in, sizeof in);
    ram_read(&r, 5 * PAGE_SIZE - 17, out, sizeof out);
    EXPECT_MEM(in, out, sizeof in);
    ram_write(&r, N * PAGE_SIZE - 1, in, 1); // the very last byte
    ram_fini(&r);
}

TEST(ram_fork_shares_until_written)
{
    struct ram a, b;
    struct calls ca, cb;
    make(&a, &ca);
    make(&b, &cb);
    uint64_t one = 1, two = 2, v;
    for (uint64_t p = 0; p < 600; p++) {
        ram_write(&a, p * PAGE_SIZE, &one, 8);
    }
    ram_mark_code(&a, 3, 0, 1);
    ca.every = cb.moved = 0;
    ram_fork(&b, &a);
    EXPECT_EQ(ca.every, 1);
    EXPECT(ram_read_ptr(&a, 5) == ram_read_ptr(&b, 5));
    EXPECT(ram_own_ptr(&a, 5) == NULL);
    EXPECT(ram_own_ptr(&b, 5) == NULL);
    EXPECT_EQ(b.code[3], 0); // translations are not shared

    const uint8_t *before = ram_read_ptr(&a, 5);
    ca.moved = 0;
    ram_write(&a, 5 * PAGE_SIZE, &two, 8);
    EXPECT_EQ(ca.moved, 1);
    EXPECT(ram_read_ptr(&a, 5) != before);
    EXPECT(ram_read_ptr(&b, 5) == before);
    ram_read(&b, 5 * PAGE_SIZE, &v, 8);
    EXPECT_EQ(v, 1);
    ram_read(&a, 5 * PAGE_SIZE, &v, 8);
    EXPECT_EQ(v, 2);
    // The last holder writes in place again.
    EXPECT(ram_write_ptr(&b, 5) == before);

    // The pool outlives the map that made it.
    ram_fini(&a);
    for (uint64_t p = 0; p < 600; p++) {
        ram_read(&b, p * PAGE_SIZE, &v, 8);
        EXPECT_EQ(v, 1);
        ram_write(&b, p * PAGE_SIZE, &two, 8);
    }
    ram_fini(&b);
}

TEST(ram_code_lines)
{
    struct ram r;
    struct calls c;
    make(&r, &c);
    uint8_t byte = 0x90;
    EXPECT(!ram_has_code(&r, 7, 0, 4096));
    ram_mark_code(&r, 7, 60, 8); // lines 0 and 1
    EXPECT_EQ(c.moved, 1);       // direct writes must stop
    ram_mark_code(&r, 7, 4095, 1);
    EXPECT_EQ(c.moved, 1);
    EXPECT_EQ(r.code[7], UINT64_C(0x8000000000000003));
    EXPECT(ram_has_code(&r, 7, 127, 1));
    EXPECT(!ram_has_code(&r, 7, 128, 3904));
    EXPECT(ram_has_code(&r, 7, 128, 3905));
    EXPECT(ram_has_code(&r, 7, 0, 4096));
    EXPECT(!ram_has_code(&r, 6, 0, 4096));

    ram_write(&r, 7 * PAGE_SIZE + 128, &byte, 1);
    EXPECT_EQ(c.hits, 0);
    ram_write(&r, 7 * PAGE_SIZE + 64, &byte, 1);
    EXPECT_EQ(c.hits, 1);
    EXPECT(c.pfn == 7 && c.off == 64 && c.len == 1);
    uint8_t two[2] = {1, 2};
    ram_write(&r, 8 * PAGE_SIZE - 1, two, 2);
    EXPECT_EQ(c.hits, 2);
    EXPECT(c.pfn == 8 || (c.off == 4095 && c.len == 1));
    ram_clear_code(&r, 7);
    EXPECT(!ram_has_code(&r, 7, 0, 4096));
    ram_mark_code(&r, 7, 0, 4096);
    EXPECT_EQ(r.code[7], ~UINT64_C(0));
    ram_fini(&r);
}

TEST(ram_dirty_bits_follow_writes)
{
    struct ram r;
    struct calls c;
    make(&r, &c);
    ram_write_ptr(&r, 70);
    EXPECT_EQ(r.dirty[1], 1u << 6);
    EXPECT_EQ(r.dirty[0], 0);
    EXPECT(ram_own_ptr(&r, 70) != NULL);
    ram_dirty_clear(&r);
    EXPECT_EQ(c.every, 1);
    EXPECT_EQ(r.dirty[1], 0);
    EXPECT(ram_own_ptr(&r, 70) == NULL); // the next write must be seen
    ram_write_ptr(&r, 70);
    EXPECT_EQ(r.dirty[1], 1u << 6);
    ram_fini(&r);
}

// Pages that come from a source when they are touched.
struct counted {
    struct ram_source source; // first
    unsigned fetches, freed;
};

static void counted_fetch(struct ram_source *s, uint64_t pfn, uint8_t *to)
{
    ((struct counted *)s)->fetches++;
    memset(to, (int)pfn + 1, PAGE_SIZE);
}

static void counted_free(struct ram_source *s)
{
    ((struct counted *)s)->freed++;
}

static uint8_t first_byte(const struct ram *r, uint64_t pfn)
{
    return *ram_read_ptr(r, pfn);
}

// There and back between a map and its forks: nothing is fetched that nobody looks at, and what was
// written comes and goes.
TEST(ram_become_fetches_nothing)
{
    enum { PAGES = 100 };
    const uint64_t pending[2] = {UINT64_MAX, UINT64_MAX >> 28};
    struct counted s = {.source = {.fetch = counted_fetch, .free = counted_free}};
    struct ram r, begin, now, other;
    atomic_init(&s.source.refs, 1);
    EXPECT(ram_init(&r, PAGES * PAGE_SIZE) && ram_init(&begin, PAGES * PAGE_SIZE));
    EXPECT(ram_init(&now, PAGES * PAGE_SIZE) && ram_init(&other, PAGES * PAGE_SIZE));
    ram_set_source(&r, &s.source, pending);
    EXPECT_EQ(first_byte(&r, 1), 2);
    ram_fork(&begin, &r);
    const uint8_t *read = ram_read_ptr(&r, 2);
    *ram_write_ptr(&r, 3) = 77;
    *ram_write_ptr(&r, 1) = 78;
    EXPECT(ram_own_ptr(&r, 2) == NULL); // a write must come by
    EXPECT(ram_own_ptr(&r, 3) != NULL);
    EXPECT_EQ(s.fetches, 3);
    ram_fork(&now, &r);
    ram_become(&r, &begin);
    EXPECT_EQ(s.fetches, 3);
    EXPECT(ram_read_ptr(&r, 2) == read); // it is as it was: so is what was decoded from it
    EXPECT_EQ(first_byte(&r, 1), 2);
    EXPECT_EQ(first_byte(&r, 3), 4);
    EXPECT_EQ(s.fetches, 4);
    *ram_write_ptr(&r, 2) = 79;
    ram_become(&r, &now);
    EXPECT_EQ(first_byte(&r, 1), 78);
    EXPECT_EQ(first_byte(&r, 2), 3);
    EXPECT_EQ(first_byte(&r, 3), 77);
    ram_become(&other, &begin); // another machine's, which had no source
    EXPECT_EQ(s.fetches, 4);
    for (uint64_t i = 0; i < PAGES; i++) { // all of it
        EXPECT_EQ(first_byte(&r, i), i == 1 ? 78 : i == 3 ? 77 : i + 1);
    }
    unsigned most = s.fetches;
    ram_become(&r, &begin);
    EXPECT_EQ(s.fetches, most);
    for (uint64_t i = 0; i < PAGES; i++) {
        EXPECT_EQ(first_byte(&r, i), i + 1);
        EXPECT_EQ(first_byte(&other, i), i + 1);
    }
    ram_drop_all(&r);
    EXPECT_EQ(first_byte(&r, 5), 0);
    ram_become(&r, &now);
    EXPECT_EQ(first_byte(&r, 5), 6);
    EXPECT_EQ(first_byte(&r, 1), 78);
    ram_fini(&begin);
    ram_fini(&now);
    ram_fini(&other);
    EXPECT_EQ(s.freed, 0);
    ram_fini(&r);
    EXPECT_EQ(s.freed, 1);
}
