// Guest RAM in snapshots and digests.

#include "tests/t.h"

#include <stdlib.h>
#include <string.h>

#include "mmu/ram.h"
#include "util/bits.h"

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

TEST(ram_save_and_load)
{
    struct ram a, b;
    struct st_buf buf = {0};
    struct err e;
    EXPECT(ram_init(&a, N * PAGE_SIZE) && ram_init(&b, N * PAGE_SIZE));
    fill(&a);
    ram_write_ptr(&a, 1); // zero: not saved
    ram_save(&a, &buf);
    EXPECT_EQ(buf.len, 16 + 14 * (8 + PAGE_SIZE));
    struct st_src src = {buf.data, buf.len, 0};
    EXPECT(ram_load(&b, &src, &e));
    EXPECT_EQ(src.pos, buf.len);
    EXPECT_EQ(ram_digest(&b, 1), ram_digest(&a, 1));
    EXPECT_EQ(ram_host_bytes(&b), 14 * PAGE_SIZE);
    ram_drop_all(&b);

    // Hostile streams: cut anywhere, another size, pages out of order or beyond the end.
    for (size_t len = 0; len < buf.len; len += len < 32 ? 1 : 997) {
        src = (struct st_src){buf.data, len, 0};
        EXPECT(!ram_load(&b, &src, &e));
        EXPECT_EQ(ram_host_bytes(&b), 0);
    }
    static const struct {
        unsigned at;
        uint64_t val;
    } bad[] = {{0, N + 1}, {8, 15}, {8, UINT64_MAX}, {16, N}, {16, 3}, {16, UINT64_MAX}};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t old = le64_get(buf.data + bad[i].at);
        le64_put(buf.data + bad[i].at, bad[i].val);
        src = (struct st_src){buf.data, buf.len, 0};
        t_context("case %u", i);
        EXPECT(!ram_load(&b, &src, &e));
        EXPECT_EQ(ram_host_bytes(&b), 0);
        le64_put(buf.data + bad[i].at, old);
    }
    st_buf_free(&buf);
    ram_fini(&a);
    ram_fini(&b);
}
