// The soft TLB: fills, rights by view, flush semantics, large pages, code lines, copy on write,
// independence of host events.

#include "tests/t.h"

#include <stdlib.h>
#include <string.h>

#include "mmu/tlb.h"
#include "util/bits.h"

enum { RAM_PAGES = 4096, ROOT = 0x10000, L1 = 0x11000, L2 = 0x12000, L3 = 0x13000 };
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (UINT64_C(1) << 63)

// A machine without a CPU: 16 MiB of RAM, 4-level tables; the first 2 MiB in 4 KiB pages, page n at
// physical page 1024 + n; from 2 MiB on a 2 MiB page, from 1 GiB on a 1 GiB page.
struct rig {
    struct ram ram;
    struct aspace mem;
    struct walk_mode m;
    struct tlb t;
};

static void on_moved(void *ctx, uint64_t pfn)
{
    struct rig *g = ctx;
    tlb_drop_ram(&g->t, &g->ram, pfn);
}

static void on_changed(void *ctx)
{
    tlb_drop_l1(&((struct rig *)ctx)->t);
}

static void set_pte(struct rig *g, unsigned n, uint64_t pte)
{
    aspace_write(&g->mem, L3 + 8 * n, 8, pte);
}

static uint64_t pte(struct rig *g, unsigned n)
{
    return aspace_read(&g->mem, L3 + 8 * n, 8);
}

static uint64_t page_pa(unsigned n)
{
    return (uint64_t)(1024 + n) << 12;
}

static struct rig *rig_new(void)
{
    struct rig *g = calloc(1, sizeof *g);
    EXPECT(tlb_init(&g->t) && ram_init(&g->ram, RAM_PAGES * PAGE_SIZE));
    g->ram.moved = on_moved;
    g->ram.ctx = g;
    aspace_init(&g->mem, UINT64_C(1) << 40);
    aspace_map_ram(&g->mem, 0, RAM_PAGES * PAGE_SIZE, &g->ram, 0, false, "ram", 0);
    g->mem.changed = on_changed;
    g->mem.changed_ctx = g;
    g->m = (struct walk_mode){.cr3 = ROOT,
                              .phys_mask = bits_mask(40),
                              .a20_mask = ~UINT64_C(0),
                              .paging = true,
                              .wp = true,
                              .pae = true,
                              .pge = true,
                              .nxe = true,
                              .lma = true,
                              .page1g = true};
    aspace_write(&g->mem, ROOT, 8, L1 | P | W | U);
    aspace_write(&g->mem, L1, 8, L2 | P | W | U);
    aspace_write(&g->mem, L1 + 8, 8, 0 | P | W | U | PS);
    aspace_write(&g->mem, L2, 8, L3 | P | W | U);
    aspace_write(&g->mem, L2 + 8, 8, 0x800000 | P | W | U | PS);
    for (unsigned n = 0; n < 512; n++) {
        set_pte(g, n, page_pa(n) | P | W | U);
    }
    return g;
}

static void rig_free(struct rig *g)
{
    aspace_fini(&g->mem);
    ram_fini(&g->ram);
    tlb_fini(&g->t);
    free(g);
}

static struct tlb_result go(struct rig *g, gva la, enum mem_access acc, enum tlb_view view)
{
    return tlb_translate(&g->t, &g->m, &g->mem, la, acc, view);
}

// Would the fast path take it?
static bool hits(struct rig *g, gva la, enum mem_access acc, enum tlb_view view)
{
    if (acc == ACC_FETCH) {
        return g->t.x[view][la >> 12 & (TLB_X_SIZE - 1)].tag == (la & PAGE_MASK);
    }
    const struct tlb_entry *e = &g->t.l1[view][la >> 12 & TLB_L1_MASK];
    return (acc == ACC_WRITE ? e->tag_w : e->tag_r) == (la & PAGE_MASK);
}

static uint8_t *fast(struct rig *g, gva la, enum tlb_view view)
{
    const struct tlb_entry *e = &g->t.l1[view][la >> 12 & TLB_L1_MASK];
    return (uint8_t *)(uintptr_t)(la + e->bias_r);
}

// Where a read goes: the physical address, by whatever is cached.
static gpa where(struct rig *g, gva la)
{
    return go(g, la, ACC_READ, TLB_SUPER_AC).addr;
}

TEST(tlb_starts_empty)
{
    struct rig *g = rig_new();
    for (uint64_t la = 0; la < 4096 * PAGE_SIZE; la += PAGE_SIZE) {
        for (unsigned v = 0; v < TLB_VIEWS; v++) {
            const struct tlb_entry *e = &g->t.l1[v][la >> 12 & TLB_L1_MASK];
            EXPECT((la ^ e->tag_r) & PAGE_MASK);
            EXPECT((la ^ e->tag_w) & PAGE_MASK);
        }
    }
    rig_free(g);
}

TEST(tlb_read_fills_read_write_fills_both)
{
    struct rig *g = rig_new();
    struct tlb_result r = go(g, 0x5123, ACC_READ, TLB_USER);
    EXPECT(r.ok);
    EXPECT_EQ(r.addr, page_pa(5) + 0x123);
    EXPECT(hits(g, 0x5123, ACC_READ, TLB_USER));
    EXPECT(!hits(g, 0x5123, ACC_WRITE, TLB_USER)); // not dirty yet
    EXPECT(!hits(g, 0x5123, ACC_READ, TLB_SUPER)); // another view
    EXPECT(!hits(g, 0x5123, ACC_FETCH, TLB_USER));
    EXPECT_EQ(pte(g, 5) & (A | D), A);
    EXPECT(go(g, 0x5000, ACC_WRITE, TLB_USER).ok);
    EXPECT_EQ(pte(g, 5) & (A | D), A | D);
    EXPECT(hits(g, 0x5123, ACC_WRITE, TLB_USER));
    EXPECT(hits(g, 0x5123, ACC_READ, TLB_USER));
    *fast(g, 0x5010, TLB_USER) = 0x77;
    EXPECT_EQ(aspace_read(&g->mem, page_pa(5) + 0x10, 1), 0x77);
    // Dirty and written already: a read in another view gives the write tag too.
    EXPECT(go(g, 0x5000, ACC_READ, TLB_SUPER).ok);
    EXPECT(hits(g, 0x5000, ACC_WRITE, TLB_SUPER));
    uint64_t walks = g->t.walks;
    EXPECT(go(g, 0x5000, ACC_FETCH, TLB_USER).ok);
    EXPECT_EQ(g->t.walks, walks); // from L2
    EXPECT_EQ(g->t.x[TLB_USER][5].page, page_pa(5));
    rig_free(g);
}

// After any access, a fast hit in a view implies that the rights allow it, for all combinations.
TEST(tlb_views_hold_only_what_is_allowed)
{
    struct rig *g = rig_new();
    for (unsigned c = 0; c < 256; c++) {
        bool user = c & 1, write = c & 2, nx = c & 4;
        g->m.wp = c & 8;
        g->m.smep = c & 16;
        g->m.smap = c & 32;
        tlb_flush_all(&g->t);
        set_pte(g, 7,
                page_pa(7) | P | (user ? U : 0) | (write ? W : 0) | (c & 64 ? D : 0) |
                    (nx ? UINT64_C(1) << 63 : 0));
        for (unsigned n = 0; n < 9; n++) {
            unsigned k = c & 128 ? 8 - n : n; // in both orders
            enum tlb_view view = (enum tlb_view)(k / 3);
            enum mem_access acc = (enum mem_access)(k % 3);
            struct walk_result w = walk_page(&g->m, &g->mem, 0x7000, acc, view == TLB_USER,
                                             view == TLB_SUPER_AC, true);
            struct tlb_result r = go(g, 0x7000, acc, view);
            t_context("case 0x%x view %d access %d", c, view, acc);
            EXPECT_EQ(r.ok, w.ok);
            EXPECT_EQ(r.pf_err, w.err);
            EXPECT_EQ(hits(g, 0x7000, acc, view), w.ok);
        }
        for (unsigned k = 0; k < 9; k++) {
            enum tlb_view view = (enum tlb_view)(k / 3);
            enum mem_access acc = (enum mem_access)(k % 3);
            if (hits(g, 0x7000, acc, view)) {
                EXPECT(walk_page(&g->m, &g->mem, 0x7000, acc, view == TLB_USER,
                                 view == TLB_SUPER_AC, true)
                           .ok);
            }
        }
    }
    rig_free(g);
}

TEST(tlb_entries_stay_until_flushed)
{
    struct rig *g = rig_new();
    EXPECT_EQ(where(g, 0x3000), page_pa(3));
    set_pte(g, 3, page_pa(9) | P | W | U);
    EXPECT_EQ(where(g, 0x3000), page_pa(3)); // stale, as on hardware
    tlb_flush_page(&g->t, 0x3fff);
    EXPECT(!hits(g, 0x3000, ACC_READ, TLB_SUPER_AC));
    EXPECT_EQ(where(g, 0x3000), page_pa(9));
    // More rights are seen without a flush: a refused access walks again.
    set_pte(g, 4, page_pa(4) | P);
    EXPECT(go(g, 0x4000, ACC_READ, TLB_SUPER).ok);
    EXPECT(!go(g, 0x4000, ACC_WRITE, TLB_SUPER).ok);
    set_pte(g, 4, page_pa(10) | P | W | U);
    EXPECT(go(g, 0x4000, ACC_WRITE, TLB_USER).ok);
    EXPECT_EQ(where(g, 0x4000), page_pa(10)); // and every view agrees
    EXPECT_EQ(go(g, 0x4000, ACC_READ, TLB_SUPER).addr, page_pa(10));
    rig_free(g);
}

TEST(tlb_global_and_pcid_flushes)
{
    struct rig *g = rig_new();
    set_pte(g, 1, page_pa(1) | P | W | U | G);
    set_pte(g, 2, page_pa(2) | P | W | U);

    // What each flush leaves: pages 1 (global) and 2 were cached in PCID 5 and 6, then changed.
    enum { ALL, NONGLOBAL, PCID5, PCID6, ALL_NONGLOBAL, PAGE1, PAGE2, PAGE1_P5, PAGE2_P5, KINDS };
    static const struct {
        bool global_stays, five_stays, six_stays;
    } want[KINDS] = {
        [ALL] = {false, false, false},
        [NONGLOBAL] = {true, false, true}, // of the current one, 5
        [PCID5] = {true, false, true},
        [PCID6] = {true, true, false},
        [ALL_NONGLOBAL] = {true, false, false},
        [PAGE1] = {false, true, true}, // INVLPG takes global pages
        [PAGE2] = {true, false, true},
        [PAGE1_P5] = {true, true, true}, // INVPCID does not
        [PAGE2_P5] = {true, false, true},
    };
    for (unsigned kind = 0; kind < KINDS; kind++) {
        tlb_flush_all(&g->t);
        set_pte(g, 1, page_pa(1) | P | W | U | G);
        set_pte(g, 2, page_pa(2) | P | W | U);
        tlb_switch_pcid(&g->t, 6);
        where(g, 0x1000);
        where(g, 0x2000);
        tlb_switch_pcid(&g->t, 5);
        EXPECT(hits(g, 0x1000, ACC_READ, TLB_SUPER_AC)); // global: stays in L1
        EXPECT(!hits(g, 0x2000, ACC_READ, TLB_SUPER_AC));
        where(g, 0x1000);
        where(g, 0x2000);
        go(g, 0x1000, ACC_FETCH, TLB_SUPER);
        go(g, 0x2000, ACC_FETCH, TLB_SUPER);
        set_pte(g, 1, page_pa(101) | P | W | U | G);
        set_pte(g, 2, page_pa(102) | P | W | U);
        uint64_t gen = g->t.gen, gen_global = g->t.gen_global;
        switch (kind) {
        case ALL:
            tlb_flush_all(&g->t);
            break;
        case NONGLOBAL:
            tlb_flush_nonglobal(&g->t);
            break;
        case PCID5:
            tlb_flush_pcid(&g->t, 5);
            break;
        case PCID6:
            tlb_flush_pcid(&g->t, 6);
            break;
        case ALL_NONGLOBAL:
            tlb_flush_all_nonglobal(&g->t);
            break;
        case PAGE1:
            tlb_flush_page(&g->t, 0x1000);
            break;
        case PAGE2:
            tlb_flush_page(&g->t, 0x2000);
            break;
        case PAGE1_P5:
            tlb_flush_page_pcid(&g->t, 0x1000, 5);
            break;
        default:
            tlb_flush_page_pcid(&g->t, 0x2000, 5);
            break;
        }
        t_context("flush kind %u", kind);
        EXPECT_EQ(g->t.gen == gen, kind == PAGE1_P5); // it found nothing to drop
        EXPECT_EQ(g->t.gen_global != gen_global, kind == ALL || kind == PAGE1);
        EXPECT_EQ(where(g, 0x1000), page_pa(want[kind].global_stays ? 1 : 101));
        EXPECT_EQ(where(g, 0x2000), page_pa(want[kind].five_stays ? 2 : 102));
        tlb_switch_pcid(&g->t, 6);
        EXPECT_EQ(where(g, 0x2000), page_pa(want[kind].six_stays ? 2 : 102));
        tlb_switch_pcid(&g->t, 5);
    }
    rig_free(g);
}

// What hangs on gen (jumps to code by linear address) stays when a page of data is invalidated, one
// that could be executed too.
TEST(tlb_flush_of_data_keeps_code)
{
    struct rig *g = rig_new();
    set_pte(g, 1, page_pa(1) | P | W | U | NX);
    set_pte(g, 2, page_pa(2) | P | W | U);
    where(g, 0x1000);
    where(g, 0x2000);
    uint64_t gen = g->t.gen;
    tlb_flush_page(&g->t, 0x1000);
    EXPECT_EQ(g->t.gen, gen);
    tlb_flush_page(&g->t, 0x3000); // nothing there
    EXPECT_EQ(g->t.gen, gen);
    tlb_flush_page(&g->t, 0x2000); // no code was looked up there
    EXPECT_EQ(g->t.gen, gen);
    where(g, 0x2000);
    go(g, 0x2000, ACC_FETCH, TLB_SUPER);
    tlb_flush_page(&g->t, 0x2000);
    EXPECT(g->t.gen != gen);
    rig_free(g);
}

// The same when L2 has no more room: without NX, data that streams through would take all links.
TEST(tlb_eviction_of_data_keeps_code)
{
    struct rig *g = rig_new();
    enum { SLOTS = 8, DATA = 5, CODE = 1 };
    for (unsigned k = 2; k < 2 + SLOTS; k++) { // the first 2 MiB again and again
        aspace_write(&g->mem, L2 + 8 * k, 8, L3 | P | W | U);
    }
    go(g, CODE << 12, ACC_FETCH, TLB_SUPER);
    uint64_t gen = g->t.gen, walks = g->t.walks;
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t k = 2; k < 2 + SLOTS; k++) { // all in one set
            go(g, k << 21 | (DATA ^ k) << 12, ACC_READ, TLB_SUPER);
        }
    }
    EXPECT_EQ(g->t.walks - walks, 2 * SLOTS); // more than there are ways
    EXPECT_EQ(g->t.gen, gen);
    EXPECT(hits(g, CODE << 12, ACC_FETCH, TLB_SUPER));
    for (uint64_t k = 2; k < 2 + SLOTS; k++) {
        go(g, k << 21 | (CODE ^ k) << 12, ACC_READ, TLB_SUPER);
    }
    EXPECT(g->t.gen != gen);
    EXPECT(!hits(g, CODE << 12, ACC_FETCH, TLB_SUPER));
    rig_free(g);
}

TEST(tlb_pcids_do_not_mix)
{
    struct rig *g = rig_new();
    for (unsigned pcid = 0; pcid < 8; pcid++) {
        tlb_switch_pcid(&g->t, (uint16_t)(pcid * 585));
        set_pte(g, 3, page_pa(pcid) | P | W | U);
        EXPECT_EQ(where(g, 0x3000), page_pa(pcid));
    }
    unsigned kept = 0;
    set_pte(g, 3, 0);
    for (unsigned pcid = 0; pcid < 8; pcid++) {
        tlb_switch_pcid(&g->t, (uint16_t)(pcid * 585));
        struct tlb_result r = go(g, 0x3000, ACC_READ, TLB_SUPER);
        kept += r.ok;
        EXPECT(!r.ok || r.addr == page_pa(pcid));
    }
    EXPECT_EQ(kept, 4); // the ways of one set
    rig_free(g);
}

TEST(tlb_large_pages)
{
    struct rig *g = rig_new();
    const gva big = 0x200000, huge = 0x40000000;
    for (unsigned n = 0; n < 512; n += 7) {
        EXPECT_EQ(where(g, big + n * 4096), 0x800000 + n * 4096);
        EXPECT_EQ(where(g, huge + n * 4096), n * 4096);
    }
    EXPECT_EQ(g->t.walks, 2); // one for each page, whatever its size
    EXPECT(hits(g, big + 7 * 4096, ACC_READ, TLB_SUPER_AC));
    // INVLPG of any byte drops the whole page, and nothing else.
    aspace_write(&g->mem, L2 + 8, 8, 0xa00000 | P | W | U | PS);
    EXPECT_EQ(where(g, big + 14 * 4096), 0x800000 + 14 * 4096);
    tlb_flush_page(&g->t, big + 300 * 4096 + 5);
    for (unsigned n = 0; n < 512; n += 7) {
        EXPECT(!hits(g, big + n * 4096, ACC_READ, TLB_SUPER_AC));
        EXPECT_EQ(where(g, big + n * 4096), 0xa00000 + n * 4096);
    }
    EXPECT_EQ(g->t.walks, 3);
    EXPECT_EQ(where(g, huge), 0);
    EXPECT_EQ(g->t.walks, 3);
    tlb_flush_page(&g->t, huge + 0x12345678);
    EXPECT_EQ(where(g, huge), 0);
    EXPECT_EQ(g->t.walks, 4);
    // The upper half of the address space.
    aspace_write(&g->mem, ROOT + 8 * 511, 8, L1 | P | W | U);
    EXPECT_EQ(where(g, UINT64_C(0xffffff8040001234)), 0x1234);
    EXPECT_EQ(where(g, UINT64_C(0xffffff8000003000)), page_pa(3));
    tlb_flush_page(&g->t, UINT64_C(0xffffff8040000000));
    EXPECT(!hits(g, UINT64_C(0xffffff8040001234), ACC_READ, TLB_SUPER_AC));
    EXPECT(hits(g, UINT64_C(0xffffff8000003000), ACC_READ, TLB_SUPER_AC));
    rig_free(g);
}

TEST(tlb_large_page_and_a20)
{
    struct rig *g = rig_new();
    const gva big = 0x200000;
    EXPECT_EQ(where(g, big + 0x1abcde), 0x9abcde);
    g->m.a20_mask = ~UINT64_C(0x100000);
    tlb_flush_all(&g->t);
    EXPECT_EQ(where(g, big + 0x1abcde), 0x8abcde);
    EXPECT_EQ(where(g, big + 0xabcde), 0x8abcde);
    EXPECT(fast(g, big + 0x1abcde, TLB_SUPER_AC) == fast(g, big + 0xabcde, TLB_SUPER_AC));
    rig_free(g);
}

TEST(tlb_code_lines_keep_writes_slow)
{
    struct rig *g = rig_new();
    go(g, 0x6000, ACC_WRITE, TLB_USER);
    EXPECT(hits(g, 0x6000, ACC_WRITE, TLB_USER));
    ram_mark_code(&g->ram, 1024 + 6, 0x40, 10);
    EXPECT(!hits(g, 0x6000, ACC_WRITE, TLB_USER));
    EXPECT(go(g, 0x6000, ACC_WRITE, TLB_USER).ok);
    EXPECT(!hits(g, 0x6000, ACC_WRITE, TLB_USER));
    EXPECT(hits(g, 0x6000, ACC_READ, TLB_USER));
    // An alias of the page too.
    set_pte(g, 8, page_pa(6) | P | W | U);
    EXPECT(go(g, 0x8000, ACC_WRITE, TLB_USER).ok);
    EXPECT(!hits(g, 0x8000, ACC_WRITE, TLB_USER));
    ram_clear_code(&g->ram, 1024 + 6);
    EXPECT(go(g, 0x6000, ACC_WRITE, TLB_USER).ok);
    EXPECT(hits(g, 0x6000, ACC_WRITE, TLB_USER));
    rig_free(g);
}

TEST(tlb_follows_pages_that_move)
{
    struct rig *g = rig_new();
    // A page of zeros read, then written through an alias.
    set_pte(g, 21, page_pa(20) | P | W | U);
    go(g, 0x14000, ACC_READ, TLB_USER);
    EXPECT_EQ(*fast(g, 0x14000, TLB_USER), 0);
    go(g, 0x15000, ACC_WRITE, TLB_USER);
    *fast(g, 0x15000, TLB_USER) = 5;
    EXPECT(!hits(g, 0x14000, ACC_READ, TLB_USER) || *fast(g, 0x14000, TLB_USER) == 5);
    go(g, 0x14000, ACC_READ, TLB_USER);
    EXPECT_EQ(*fast(g, 0x14000, TLB_USER), 5);

    // A fork: no write tag may stay; then the page is copied under both aliases.
    struct ram copy;
    EXPECT(ram_init(&copy, RAM_PAGES * PAGE_SIZE));
    go(g, 0x15000, ACC_WRITE, TLB_USER);
    ram_fork(&copy, &g->ram);
    EXPECT(!hits(g, 0x15000, ACC_WRITE, TLB_USER));
    go(g, 0x14000, ACC_READ, TLB_USER);
    EXPECT(!hits(g, 0x14000, ACC_WRITE, TLB_USER)); // a read does not unshare
    go(g, 0x15000, ACC_WRITE, TLB_USER);
    *fast(g, 0x15000, TLB_USER) = 6;
    EXPECT(!hits(g, 0x14000, ACC_READ, TLB_USER));
    EXPECT_EQ(ram_read_ptr(&copy, 1024 + 20)[0], 5);
    EXPECT_EQ(ram_read_ptr(&g->ram, 1024 + 20)[0], 6);
    ram_fini(&copy);
    rig_free(g);
}

static uint64_t reg_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)d, (void)off, (void)size;
    return 0;
}

TEST(tlb_registers_and_rom_stay_slow)
{
    static const struct io_ops ops = {reg_read, NULL, 1, 8};
    struct rig *g = rig_new();
    go(g, 0x1000, ACC_WRITE, TLB_USER);
    EXPECT(hits(g, 0x1000, ACC_WRITE, TLB_USER));
    struct region *io = aspace_map_io(&g->mem, page_pa(1) + 0x800, 4, &ops, NULL, "io", 1);
    EXPECT(!hits(g, 0x1000, ACC_WRITE, TLB_USER)); // the flat view changed
    EXPECT(go(g, 0x1000, ACC_WRITE, TLB_USER).ok);
    EXPECT(!hits(g, 0x1000, ACC_WRITE, TLB_USER));
    EXPECT(!hits(g, 0x1000, ACC_READ, TLB_USER));
    region_enable(&g->mem, io, false);
    EXPECT(go(g, 0x1000, ACC_WRITE, TLB_USER).ok);
    EXPECT(hits(g, 0x1000, ACC_WRITE, TLB_USER));

    aspace_map_ram(&g->mem, page_pa(2), PAGE_SIZE, &g->ram, 0, true, "rom", 1);
    EXPECT(go(g, 0x2000, ACC_WRITE, TLB_USER).ok);
    EXPECT(hits(g, 0x2000, ACC_READ, TLB_USER));
    EXPECT(!hits(g, 0x2000, ACC_WRITE, TLB_USER));
    EXPECT(go(g, 0x2000, ACC_FETCH, TLB_USER).ok);
    EXPECT(hits(g, 0x2000, ACC_FETCH, TLB_USER));
    rig_free(g);
}

TEST(tlb_watched_pages_stay_slow)
{
    struct rig *g = rig_new();
    go(g, 0x1000, ACC_WRITE, TLB_USER);
    gva pages[2] = {0x1234, 0x9000};
    tlb_set_watch(&g->t, pages, 2);
    EXPECT(!hits(g, 0x1000, ACC_WRITE, TLB_USER));
    EXPECT(go(g, 0x1000, ACC_WRITE, TLB_USER).ok);
    EXPECT(go(g, 0x2000, ACC_WRITE, TLB_USER).ok);
    EXPECT(!hits(g, 0x1000, ACC_READ, TLB_USER));
    EXPECT(hits(g, 0x2000, ACC_WRITE, TLB_USER));
    tlb_set_watch(&g->t, pages, 0);
    EXPECT(go(g, 0x1000, ACC_READ, TLB_USER).ok);
    EXPECT(hits(g, 0x1000, ACC_READ, TLB_USER));
    rig_free(g);
}

TEST(tlb_probe_changes_nothing)
{
    struct rig *g = rig_new();
    struct tlb_result r = tlb_probe(&g->t, &g->m, &g->mem, 0x5008, ACC_WRITE, TLB_USER);
    EXPECT(r.ok && r.addr == page_pa(5) + 8);
    EXPECT_EQ(pte(g, 5) & (A | D), 0);
    set_pte(g, 6, 0);
    r = tlb_probe(&g->t, &g->m, &g->mem, 0x6000, ACC_WRITE, TLB_USER);
    EXPECT(!r.ok);
    EXPECT_EQ(r.pf_err, PF_W | PF_U);
    go(g, 0x5000, ACC_READ, TLB_USER);
    tlb_drop_l1(&g->t);
    r = tlb_probe(&g->t, &g->m, &g->mem, 0x5000, ACC_READ, TLB_USER);
    EXPECT(r.ok && hits(g, 0x5000, ACC_READ, TLB_USER)); // what L2 allows is filled
    r = tlb_probe(&g->t, &g->m, &g->mem, 0x5000, ACC_WRITE, TLB_USER);
    EXPECT(r.ok && !(pte(g, 5) & D) && !hits(g, 0x5000, ACC_WRITE, TLB_USER));
    rig_free(g);
}

TEST(tlb_without_paging)
{
    struct rig *g = rig_new();
    g->m.paging = false;
    EXPECT_EQ(go(g, 0x123456, ACC_WRITE, TLB_SUPER).addr, 0x123456);
    EXPECT(hits(g, 0x123000, ACC_WRITE, TLB_SUPER));
    EXPECT_EQ(g->t.walks, 0);
    EXPECT(go(g, UINT64_C(0xfffff000), ACC_READ, TLB_SUPER).ok); // nobody there
    EXPECT(!hits(g, UINT64_C(0xfffff000), ACC_READ, TLB_SUPER));
    rig_free(g);
}

// Two TLBs see the same accesses and table changes, with far more pages than L2 holds and no
// flushes but random ones; one also suffers host events (L1 dropped, RAM forked). Both must answer
// every access alike, stale entries included: what the host does is invisible.
TEST(tlb_host_events_are_invisible)
{
    struct rig *a = rig_new(), *b = rig_new();
    struct t_rng rng = {t_seed()};
    uint64_t n = t_amount(40000, 400000, 10000000), stale = 0;
    // 16 more page tables, so that 8192 small pages exist; their pages repeat physical ones.
    for (unsigned t = 0; t < 16; t++) {
        gpa table = 0x20000 + 0x1000 * (uint64_t)t;
        for (struct rig *g = a; g; g = g == a ? b : NULL) {
            aspace_write(&g->mem, L2 + 16 + 8 * t, 8, table | P | W | U);
            for (unsigned i = 0; i < 512; i++) {
                aspace_write(&g->mem, table + 8 * i, 8, page_pa(i) | P | W | U);
            }
        }
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t x = t_rand(&rng);
        gva la = (0x400000 + x % 0x2000000) & ~UINT64_C(7);
        enum mem_access acc = (enum mem_access)((x >> 32) % 3);
        enum tlb_view view = (enum tlb_view)((x >> 36) % 3);
        if ((x >> 40 & 15) == 0) { // change a translation, without a flush
            gpa at = 0x20000 + ((la - 0x400000) >> 12) * 8;
            uint64_t v = page_pa((unsigned)(x >> 44) % 512) | P | W | (x >> 60 & 1 ? U | D : G);
            aspace_write(&a->mem, at, 8, v);
            aspace_write(&b->mem, at, 8, v);
        }
        if ((x >> 44 & 1023) == 0) {
            uint16_t pcid = (uint16_t)(x >> 54 & 3);
            tlb_switch_pcid(&a->t, pcid);
            tlb_switch_pcid(&b->t, pcid);
        }
        if ((x >> 44 & 1023) == 1) {
            tlb_flush_page(&a->t, la);
            tlb_flush_page(&b->t, la);
        }
        if ((x >> 48 & 255) == 0) {
            tlb_drop_l1(&b->t);
        }
        struct tlb_result ra = {.ok = true};
        if (acc != ACC_FETCH && hits(a, la, acc, view)) {
            const struct tlb_entry *e = &a->t.l1[view][la >> 12 & TLB_L1_MASK];
            const uint8_t *host =
                (const uint8_t *)(uintptr_t)(la + (acc == ACC_WRITE ? e->bias_w : e->bias_r));
            struct tlb_result rb = go(b, la, acc, view);
            if (!rb.ok || host != ram_read_ptr(&a->ram, rb.addr >> 12) + rb.addr % PAGE_SIZE) {
                FAIL("step %llu: L1 of one leads elsewhere than the other", (unsigned long long)i);
                break;
            }
            stale++;
            continue;
        }
        ra = go(a, la, acc, view);
        struct tlb_result rb = go(b, la, acc, view);
        if (ra.ok != rb.ok || ra.addr != rb.addr || ra.pf_err != rb.pf_err) {
            FAIL("step %llu: %d 0x%llx and %d 0x%llx", (unsigned long long)i, ra.ok,
                 (unsigned long long)ra.addr, rb.ok, (unsigned long long)rb.addr);
            break;
        }
    }
    EXPECT_EQ(a->t.walks, b->t.walks);
    EXPECT(stale > 0);
    rig_free(a);
    rig_free(b);
}
