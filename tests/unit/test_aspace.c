// Address spaces: priorities, moving and switching regions, how accesses are cut and widened, holes
// and straddling, RAM and ROM, bulk access.

#include "tests/t.h"

#include <stdio.h>
#include <string.h>

#include "mmu/aspace.h"
#include "util/bits.h"

// A device that logs its calls as text; a read gives bytes 0x10 + offset.
struct fake {
    char log[512];
};

static void note(struct dev *d, char kind, uint64_t off, unsigned size, uint64_t val)
{
    struct fake *f = (struct fake *)(void *)d;
    size_t n = strlen(f->log);
    snprintf(f->log + n, sizeof f->log - n, kind == 'r' ? "%c%llx.%u " : "%c%llx.%u=%llx ", kind,
             (unsigned long long)off, size, (unsigned long long)val);
}

static uint64_t fake_read(struct dev *d, uint64_t off, unsigned size)
{
    note(d, 'r', off, size, 0);
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++) {
        v |= (0x10 + off + i) << (8 * i);
    }
    return v;
}

static void fake_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    note(d, 'w', off, size, val);
}

static const struct io_ops any_size = {fake_read, fake_write, 1, 8};
static const struct io_ops bytes_only = {fake_read, fake_write, 1, 1};
static const struct io_ops dwords_only = {fake_read, fake_write, 4, 4};
static const struct io_ops plain = {fake_read, fake_write, 0, 0};
static const struct io_ops deaf = {NULL, NULL, 1, 4};

struct rig {
    struct aspace as;
    struct fake dev;
    unsigned changes;
};

static void on_changed(void *ctx)
{
    ((struct rig *)ctx)->changes++;
}

static void rig_init(struct rig *g)
{
    memset(g, 0, sizeof *g);
    aspace_init(&g->as, UINT64_C(1) << 36);
    g->as.changed = on_changed;
    g->as.changed_ctx = g;
}

static struct region *io(struct rig *g, uint64_t base, uint64_t len, const struct io_ops *ops,
                         const char *name, int prio)
{
    return aspace_map_io(&g->as, base, len, ops, (struct dev *)(void *)&g->dev, name, prio);
}

// What the device saw of one access, and what came back.
static void expect_read(struct rig *g, uint64_t at, unsigned size, uint64_t val, const char *log)
{
    g->dev.log[0] = '\0';
    t_context("read of %u at 0x%llx", size, (unsigned long long)at);
    EXPECT_EQ(aspace_read(&g->as, at, size), val);
    EXPECT_STR(g->dev.log, log);
}

static void expect_write(struct rig *g, uint64_t at, unsigned size, uint64_t val, const char *log)
{
    g->dev.log[0] = '\0';
    t_context("write of %u at 0x%llx", size, (unsigned long long)at);
    aspace_write(&g->as, at, size, val);
    EXPECT_STR(g->dev.log, log);
}

TEST(aspace_cuts_and_widens)
{
    struct rig g;
    rig_init(&g);
    io(&g, 0x1000, 0x10, &any_size, "any", 0);
    io(&g, 0x2000, 0x10, &bytes_only, "bytes", 0);
    io(&g, 0x3000, 0x10, &dwords_only, "dwords", 0);
    io(&g, 0x4001, 0x10, &plain, "odd base", 0);

    expect_read(&g, 0x1000, 8, UINT64_C(0x1716151413121110), "r0.8 ");
    expect_read(&g, 0x1004, 4, 0x17161514, "r4.4 ");
    expect_read(&g, 0x1003, 4, 0x16151413, "r3.1 r4.2 r6.1 "); // aligned pieces
    expect_read(&g, 0x2002, 4, 0x15141312, "r2.1 r3.1 r4.1 r5.1 ");
    expect_write(&g, 0x2002, 2, 0xbbaa, "w2.1=aa w3.1=bb ");
    expect_read(&g, 0x3004, 8, UINT64_C(0x1b1a191817161514), "r4.4 r8.4 ");
    expect_read(&g, 0x3005, 1, 0x15, "r4.4 ");
    expect_read(&g, 0x3006, 4, 0x19181716, "r4.4 r8.4 ");
    expect_write(&g, 0x3005, 1, 0x77, "w4.4=7700 ");
    expect_write(&g, 0x3006, 4, 0x44332211, "w4.4=22110000 w8.4=4433 ");
    expect_read(&g, 0x4001, 4, 0x13121110, "r0.4 "); // alignment is that of the offset
    expect_read(&g, 0x4001, 8, UINT64_C(0x1716151413121110), "r0.4 r4.4 ");
    aspace_fini(&g.as);
}

TEST(aspace_holes_and_straddling)
{
    struct rig g;
    rig_init(&g);
    io(&g, 0x1000, 6, &any_size, "a", 0);
    io(&g, 0x1008, 8, &bytes_only, "b", 0);
    io(&g, 0x5000, 4, &deaf, "deaf", 0);
    expect_read(&g, 0x0, 8, ~UINT64_C(0), "");
    expect_read(&g, 0x0, 1, 0xff, "");
    expect_read(&g, 0x1004, 8, UINT64_C(0x13121110ffff1514), "r4.2 r0.1 r1.1 r2.1 r3.1 ");
    expect_read(&g, 0xffe, 4, 0x1110ffff, "r0.2 ");
    expect_write(&g, 0x1005, 4, 0x44332211, "w5.1=11 w0.1=44 ");
    expect_read(&g, 0x5000, 4, 0xffffffff, "");
    expect_write(&g, 0x5000, 4, 1, "");
    expect_read(&g, g.as.size - 1, 4, 0xffffffff, ""); // over the end of the space
    expect_read(&g, UINT64_MAX, 2, 0xffff, "");
    aspace_fini(&g.as);
}

static void list_one(void *ctx, uint64_t base, uint64_t len, const char *name, bool is_ram, bool ro)
{
    char *s = ctx;
    size_t n = strlen(s);
    snprintf(s + n, 256 - n, "%llx+%llx:%s%s%s ", (unsigned long long)base, (unsigned long long)len,
             name, is_ram ? "*" : "", ro ? "!" : "");
}

static void expect_map(struct rig *g, const char *want)
{
    char s[256] = "";
    aspace_each(&g->as, list_one, s);
    EXPECT_STR(s, want);
}

TEST(aspace_priorities_and_moves)
{
    struct rig g;
    struct ram ram;
    rig_init(&g);
    EXPECT(ram_init(&ram, 16 * PAGE_SIZE));
    struct region *r = aspace_map_ram(&g.as, 0, 16 * PAGE_SIZE, &ram, 0, false, "ram", 0);
    struct region *a = io(&g, 0x2000, 0x800, &plain, "a", 1);
    EXPECT_EQ(g.changes, 2);
    expect_map(&g, "0+2000:ram* 2000+800:a 2800+d800:ram* ");
    struct region *b = io(&g, 0x1ffc, 8, &plain, "b", 2);
    expect_map(&g, "0+1ffc:ram* 1ffc+8:b 2004+7fc:a 2800+d800:ram* ");
    region_enable(&g.as, b, false);
    EXPECT_EQ(g.changes, 4);
    region_enable(&g.as, b, false); // no change, no rebuild
    region_move(&g.as, b, 0x2100);  // moves while it is off: nobody sees
    EXPECT_EQ(g.changes, 4);
    EXPECT_EQ(g.as.gen, 4);
    region_enable(&g.as, b, true);
    expect_map(&g, "0+2000:ram* 2000+100:a 2100+8:b 2108+6f8:a 2800+d800:ram* ");
    region_move(&g.as, a, 0x20000);
    expect_map(&g, "0+2100:ram* 2100+8:b 2108+def8:ram* 20000+800:a ");
    region_move(&g.as, b, UINT64_MAX - 3); // a guest's nonsense: outside, nobody there
    region_readonly(&g.as, r, true);
    expect_map(&g, "0+10000:ram*! 20000+800:a ");
    region_move(&g.as, a, g.as.size - 0x10); // cut at the end
    expect_map(&g, "0+10000:ram*! ffffffff0+10:a ");
    aspace_fini(&g.as);
    ram_fini(&ram);
}

TEST(aspace_check_finds_overlaps)
{
    struct rig g;
    struct err e;
    rig_init(&g);
    io(&g, 0x60, 1, &plain, "kbd", 0);
    struct region *p = io(&g, 0x61, 1, &plain, "port61", 0);
    io(&g, 0x64, 1, &plain, "kbd", 0);
    io(&g, 0x60, 0x10, &plain, "catch-all", -1); // lower priority: allowed
    EXPECT(aspace_check(&g.as, &e));
    struct region *x = io(&g, 0x5f, 3, &plain, "x", 0);
    EXPECT(!aspace_check(&g.as, &e));
    EXPECT(strstr(e.msg, "kbd") && strstr(e.msg, "x ") && strstr(e.msg, "overlap"));
    region_enable(&g.as, x, false);
    EXPECT(aspace_check(&g.as, &e));
    region_move(&g.as, p, 0x60);
    EXPECT(!aspace_check(&g.as, &e));
    aspace_fini(&g.as);
}

TEST(aspace_ram_and_rom)
{
    struct rig g;
    struct ram ram, rom;
    rig_init(&g);
    EXPECT(ram_init(&ram, 8 * PAGE_SIZE) && ram_init(&rom, 4 * PAGE_SIZE));
    aspace_map_ram(&g.as, 0, 8 * PAGE_SIZE, &ram, 0, false, "ram", 0);
    aspace_map_ram(&g.as, 0x3000, 0x2000, &rom, 0x1000, true, "rom", 1);
    io(&g, 0x6ffe, 2, &plain, "io", 1);
    uint8_t sig[4] = {0x11, 0x22, 0x33, 0x44};
    ram_write(&rom, 0x1ffe, sig, 4); // as a loader does
    EXPECT_EQ(aspace_read(&g.as, 0x3ffe, 4), 0x44332211);
    aspace_write(&g.as, 0x3ffe, 4, 0);
    EXPECT_EQ(aspace_read(&g.as, 0x3ffe, 4), 0x44332211);
    aspace_write(&g.as, 0x2ffc, 8, UINT64_C(0x8877665544332211)); // the half in RAM sticks
    EXPECT_EQ(aspace_read(&g.as, 0x2ffc, 8), 0x44332211);
    aspace_write(&g.as, 0x1ffd, 8, UINT64_C(0x8877665544332211)); // two RAM pages
    EXPECT_EQ(aspace_read(&g.as, 0x1ffd, 8), UINT64_C(0x8877665544332211));

    struct aspace_hit h = aspace_find(&g.as, 0x4567);
    EXPECT(h.ram == &rom && h.pfn == 2 && h.readonly && h.whole_page);
    h = aspace_find(&g.as, 0x2fff);
    EXPECT(h.ram == &ram && h.pfn == 2 && !h.readonly && h.whole_page);
    h = aspace_find(&g.as, 0x6000); // registers cover the page's end
    EXPECT(h.ram == &ram && h.pfn == 6 && !h.whole_page);
    h = aspace_find(&g.as, 0x6ffe);
    EXPECT(!h.ram && h.region && !h.whole_page);
    h = aspace_find(&g.as, 0x8000);
    EXPECT(!h.ram && !h.region);
    aspace_fini(&g.as);
    ram_fini(&ram);
    ram_fini(&rom);
}

static void on_code(void *ctx, uint64_t pfn, unsigned off, unsigned len)
{
    *(uint64_t *)ctx += pfn << 32 | off << 16 | len;
}

TEST(aspace_bulk)
{
    struct rig g;
    struct ram ram;
    uint64_t hits = 0;
    rig_init(&g);
    EXPECT(ram_init(&ram, 4 * PAGE_SIZE));
    ram.code_hit = on_code;
    ram.ctx = &hits;
    aspace_map_ram(&g.as, 0x1000, 2 * PAGE_SIZE, &ram, 0x1000, false, "ram", 0);
    io(&g, 0x1ffe, 3, &plain, "io", 1);
    ram_mark_code(&ram, 2, 0x80, 4);
    uint8_t in[0x3000], out[0x3000];
    for (unsigned i = 0; i < sizeof in; i++) {
        in[i] = (uint8_t)(i ^ i >> 8);
    }
    aspace_write_buf(&g.as, 0x800, in, sizeof in);
    EXPECT_STR(g.dev.log, "w0.1=e9 w1.1=e8 w2.1=18 ");
    EXPECT_EQ(hits, UINT64_C(2) << 32 | 1 << 16 | 0xfff); // from 0x2001 to the page's end
    g.dev.log[0] = '\0';
    aspace_read_buf(&g.as, 0x800, out, sizeof out);
    for (unsigned i = 0; i < sizeof in; i++) {
        uint64_t at = 0x800 + i;
        uint8_t want = at < 0x1000 || at >= 0x3000   ? 0xff
                       : at >= 0x1ffe && at < 0x2001 ? (uint8_t)(0x10 + at - 0x1ffe)
                                                     : in[i];
        if (out[i] != want) {
            FAIL("byte at 0x%llx: 0x%x, not 0x%x", (unsigned long long)at, out[i], want);
        }
    }
    hits = 0;
    aspace_write(&g.as, 0x207e, 4, 0); // the first byte of a code line
    EXPECT_EQ(hits, UINT64_C(2) << 32 | 0x7e << 16 | 4);
    aspace_fini(&g.as);
    ram_fini(&ram);
}

// A device that switches itself off while an access to it is under way.
struct shy {
    struct aspace *as;
    struct region *r;
    unsigned calls;
};

static void shy_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct shy *s = (struct shy *)(void *)d;
    (void)off, (void)size, (void)val;
    s->calls++;
    region_enable(s->as, s->r, false);
}

TEST(aspace_region_leaves_during_an_access)
{
    static const struct io_ops ops = {NULL, shy_write, 1, 1};
    struct rig g;
    struct shy s = {0};
    rig_init(&g);
    s.as = &g.as;
    s.r = aspace_map_io(&g.as, 0x10, 2, &ops, (struct dev *)(void *)&s, "shy", 1);
    io(&g, 0x12, 2, &bytes_only, "next", 0);
    expect_write(&g, 0x10, 4, 0x44332211, "w0.1=33 w1.1=44 ");
    EXPECT_EQ(s.calls, 2); // the access had begun there
    EXPECT(aspace_find(&g.as, 0x10).region == NULL);
    aspace_fini(&g.as);
}

TEST(aspace_many_regions_against_a_plain_search)
{
    struct rig g;
    struct t_rng rng = {t_seed()};
    struct region *r[40];
    struct {
        uint64_t base, len;
        int prio;
        bool on;
    } want[40];
    rig_init(&g);
    g.as.size = 256;
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        want[i].base = t_rand_below(&rng, 256);
        want[i].len = t_rand_below(&rng, 60);
        want[i].prio = (int)i; // all different: no ties
        want[i].on = true;
        r[i] = io(&g, want[i].base, want[i].len, &plain, "r", want[i].prio);
    }
    for (unsigned step = 0; step < 200; step++) {
        unsigned i = (unsigned)t_rand_below(&rng, ARRAY_LEN(r));
        if (t_rand_below(&rng, 2)) {
            want[i].on = !want[i].on;
            region_enable(&g.as, r[i], want[i].on);
        } else {
            want[i].base = t_rand_below(&rng, 300);
            region_move(&g.as, r[i], want[i].base);
        }
        for (uint64_t at = 0; at < 300; at++) {
            struct region *top = NULL;
            for (unsigned k = 0; k < ARRAY_LEN(r); k++) {
                if (want[k].on && at < 256 && at - want[k].base < want[k].len &&
                    at >= want[k].base) {
                    top = r[k];
                }
            }
            if (aspace_find(&g.as, at).region != top) {
                FAIL("step %u: wrong region at %llu", step, (unsigned long long)at);
            }
        }
    }
    aspace_fini(&g.as);
}

/* Address 0 of a space without any region once made an access of no length, for ever. */
TEST(an_empty_space_answers_with_ones)
{
    struct aspace as;
    aspace_init(&as, 0x10000);
    EXPECT_EQ(aspace_read(&as, 0, 4), 0xffffffff);
    aspace_write(&as, 0, 4, 1);
    aspace_fini(&as);
}
