// The page walk, by tables: every combination of rights, control bits and accesses in every mode,
// each reserved bit, accessed and dirty bits, A20, tables outside of RAM.

#include "tests/t.h"

#include <string.h>

#include "mmu/walk.h"
#include "tests/lib/ref_walk.h"
#include "util/bits.h"

enum { MEM = 8 << 20 };
// Where the tables of these tests lie: level 0 is the root.
enum { ROOT = 0x10000, L1 = 0x11000, L2 = 0x12000, L3 = 0x13000, PAGE = 0x400000 };

struct rig {
    struct ram ram;
    struct aspace mem;
    struct walk_mode m;
};

static void rig_init(struct rig *g)
{
    memset(g, 0, sizeof *g);
    EXPECT(ram_init(&g->ram, MEM));
    aspace_init(&g->mem, UINT64_C(1) << 52);
    aspace_map_ram(&g->mem, 0, MEM, &g->ram, 0, false, "ram", 0);
    g->m.cr3 = ROOT;
    g->m.phys_mask = bits_mask(40);
    g->m.a20_mask = ~UINT64_C(0);
    g->m.paging = true;
}

static void rig_fini(struct rig *g)
{
    aspace_fini(&g->mem);
    ram_fini(&g->ram);
}

static uint64_t get(struct rig *g, gpa at, unsigned size)
{
    return aspace_read(&g->mem, at, size);
}

static void put(struct rig *g, gpa at, unsigned size, uint64_t v)
{
    aspace_write(&g->mem, at, size, v);
}

// The modes; `levels` entries from the root to the page, of `size` bytes.
struct shape {
    const char *name;
    bool pae, lma, pse;
    unsigned size, levels, page_bits;
};

static const struct shape shapes[] = {
    {"32-bit, 4 KiB", false, false, false, 4, 2, 12},
    {"32-bit, 4 MiB", false, false, true, 4, 1, 22},
    {"PAE, 4 KiB", true, false, false, 8, 2, 12},
    {"PAE, 2 MiB", true, false, false, 8, 1, 21},
    {"4-level, 4 KiB", true, true, false, 8, 4, 12},
    {"4-level, 2 MiB", true, true, false, 8, 3, 21},
    {"4-level, 1 GiB", true, true, false, 8, 2, 30},
};

// Builds the path for linear addresses from 0 on: every entry index 0, flags[i] for level i.
static void build(struct rig *g, const struct shape *s, const uint64_t *flags)
{
    static const gpa table[] = {ROOT, L1, L2, L3};
    g->m.pae = s->pae;
    g->m.lma = s->lma;
    g->m.pse = s->pse;
    g->m.pdpte[0] = ROOT | 1;
    for (unsigned i = 0; i < s->levels; i++) {
        bool leaf = i + 1 == s->levels;
        uint64_t to = !leaf ? table[i + 1] : s->page_bits == 30 ? 0 : PAGE;
        put(g, table[i], s->size, to | flags[i] | (leaf && s->page_bits > 12 ? 0x80 : 0));
    }
}

// Every combination of U/S, R/W, XD at each level with the control bits and the kinds of access,
// against the rules of SDM 3A 4.6.1 written out here once more, on the combined rights.
TEST(walk_rights_every_combination)
{
    struct rig g;
    rig_init(&g);
    unsigned long n = 0, bad = 0;
    for (unsigned s = 0; s < ARRAY_LEN(shapes); s++) {
        const struct shape *sh = &shapes[s];
        unsigned per = sh->pae ? 3 : 2; // bits that vary for each level
        for (unsigned combo = 0; combo < 1u << (per * sh->levels); combo++) {
            uint64_t flags[4];
            bool us = true, rw = true, xd = false;
            for (unsigned i = 0; i < sh->levels; i++) {
                unsigned c = combo >> (per * i);
                flags[i] = 1 | (c & 1 ? 2 : 0) | (c & 2 ? 4 : 0);
                rw &= c & 1;
                us &= c >> 1 & 1;
                if (per == 3 && (c & 4)) {
                    flags[i] |= UINT64_C(1) << 63;
                    xd = true;
                }
            }
            g.m.page1g = true;
            build(&g, sh, flags);
            for (unsigned ctl = 0; ctl < 64; ctl++) {
                g.m.wp = ctl & 1;
                g.m.smep = ctl & 2;
                g.m.smap = ctl & 4;
                g.m.nxe = sh->pae; // without it bit 63 is reserved: its own test
                bool ac = ctl & 8, user = ctl & 16, probe = ctl & 32;
                for (unsigned acc = ACC_READ; acc <= ACC_FETCH; acc++) {
                    bool may;
                    if (user) {
                        may = us && (acc == ACC_READ || (acc == ACC_WRITE && rw) ||
                                     (acc == ACC_FETCH && !xd));
                    } else if (acc == ACC_FETCH) {
                        may = !xd && !(us && g.m.smep);
                    } else {
                        may = !(us && g.m.smap && !ac) && (acc == ACC_READ || rw || !g.m.wp);
                    }
                    uint32_t err = PF_P | (acc == ACC_WRITE ? PF_W : 0) | (user ? PF_U : 0);
                    if (acc == ACC_FETCH && (g.m.smep || sh->pae)) {
                        err |= PF_I;
                    }
                    struct walk_result r =
                        walk_page(&g.m, &g.mem, 0xabc, (enum mem_access)acc, user, ac, probe);
                    n++;
                    if (r.ok != may || (!may && r.err != err) ||
                        (may && (r.user != us || r.write != rw || r.exec != !xd ||
                                 r.page_bits != sh->page_bits))) {
                        FAIL("%s rights 0x%x ctl 0x%x acc %u: ok %d (want %d) err 0x%x (want 0x%x)",
                             sh->name, combo, ctl, acc, r.ok, may, r.err, err);
                        bad++;
                    }
                }
            }
        }
    }
    t_cases(n - bad, bad, 0);
    rig_fini(&g);
}

// Which bits are reserved, level by level, as lists of ranges. M stands for MAXPHYADDR (40 here).
struct rsvd_case {
    unsigned shape, level;
    bool nxe, page1g, pse36, no_pat;
    uint64_t reserved; // of bits 63:7 but those that select the shape
};

#define R(hi, lo) ((~UINT64_C(0) >> (63 - (hi))) & (~UINT64_C(0) << (lo)))
static const struct rsvd_case rsvd_cases[] = {
    {0, 0, false, false, true, false, 0},
    {0, 1, false, false, true, false, 0},
    {0, 1, false, false, true, true, R(7, 7)},
    {1, 0, false, false, false, false, R(21, 13)},
    {1, 0, false, false, true, false, R(21, 21)}, // M = 40: 20:13 are address bits
    {1, 0, false, false, true, true, R(21, 21) | R(12, 12)},
    {2, 0, true, false, false, false, R(62, 40)},
    {2, 0, false, false, false, false, R(63, 40)},
    {2, 1, true, false, false, false, R(62, 40)},
    {2, 1, false, false, false, true, R(63, 40) | R(7, 7)},
    {3, 0, true, false, false, false, R(62, 40) | R(20, 13)},
    {3, 0, false, false, false, true, R(63, 40) | R(20, 12)},
    {4, 0, true, true, false, false, R(51, 40) | R(7, 7)},
    {4, 0, false, true, false, false, R(51, 40) | R(7, 7) | R(63, 63)},
    {4, 1, true, false, false, false, R(51, 40) | R(7, 7)}, // PS without 1 GiB pages
    {4, 1, true, true, false, false, R(51, 40)},
    {4, 2, true, true, false, false, R(51, 40)},
    {4, 3, true, true, false, false, R(51, 40)},
    {4, 3, false, true, false, true, R(51, 40) | R(63, 63) | R(7, 7)},
    {5, 2, true, true, false, false, R(51, 40) | R(20, 13)},
    {5, 2, false, true, false, true, R(51, 40) | R(20, 12) | R(63, 63)},
    {6, 1, true, true, false, false, R(51, 40) | R(29, 13)},
    {6, 1, true, true, false, true, R(51, 40) | R(29, 12)},
};

TEST(walk_reserved_bits)
{
    struct rig g;
    rig_init(&g);
    for (unsigned c = 0; c < ARRAY_LEN(rsvd_cases); c++) {
        const struct rsvd_case *k = &rsvd_cases[c];
        const struct shape *sh = &shapes[k->shape];
        for (unsigned b = 8; b < sh->size * 8; b++) {
            uint64_t flags[4] = {7, 7, 7, 7};
            flags[k->level] |= UINT64_C(1) << b;
            g.m.nxe = k->nxe;
            g.m.page1g = k->page1g;
            g.m.pse36 = k->pse36;
            g.m.no_pat = k->no_pat;
            build(&g, sh, flags);
            struct walk_result r = walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, true);
            bool want = k->reserved >> b & 1;
            if (!want && k->level + 1 < sh->levels && b >= 12 && b < 40) {
                continue; // the next table is elsewhere: nobody there, all ones
            }
            bool got = !r.ok && r.err == (PF_P | PF_RSVD | PF_U);
            t_context("%s level %u bit %u (case %u)", sh->name, k->level, b, c);
            EXPECT(got == want);
            // In an entry that is not present nothing is reserved.
            flags[k->level] &= ~UINT64_C(1);
            build(&g, sh, flags);
            r = walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, true);
            EXPECT(!r.ok && r.err == PF_U);
        }
    }
    // Bit 7 where it selects no large page.
    uint64_t flags[4] = {7, 7 | 0x80, 7, 7};
    g.m.page1g = false;
    g.m.no_pat = false;
    g.m.nxe = true;
    build(&g, &shapes[4], flags); // PDPTE with PS
    struct walk_result r = walk_page(&g.m, &g.mem, 0, ACC_WRITE, false, false, true);
    EXPECT(!r.ok && r.err == (PF_P | PF_RSVD | PF_W));
    uint64_t pml4[4] = {7 | 0x80, 7, 7, 7};
    build(&g, &shapes[4], pml4);
    r = walk_page(&g.m, &g.mem, 0, ACC_FETCH, true, false, true);
    EXPECT(!r.ok && r.err == (PF_P | PF_RSVD | PF_U | PF_I));
    // 32-bit without CR4.PSE: PS is ignored.
    uint64_t plain[4] = {7 | 0x80, 7};
    build(&g, &shapes[0], plain);
    r = walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, true);
    EXPECT(r.ok && r.page_bits == 12);
    rig_fini(&g);
}

TEST(walk_not_present_and_fetch_codes)
{
    struct rig g;
    rig_init(&g);
    for (unsigned s = 0; s < ARRAY_LEN(shapes); s++) {
        for (unsigned level = 0; level < shapes[s].levels; level++) {
            for (unsigned ctl = 0; ctl < 4; ctl++) {
                uint64_t flags[4] = {7, 7, 7, 7};
                flags[level] = 6;
                g.m.nxe = ctl & 1;
                g.m.smep = ctl & 2;
                g.m.page1g = true;
                build(&g, &shapes[s], flags);
                bool id = g.m.smep || (g.m.pae && g.m.nxe);
                struct walk_result r = walk_page(&g.m, &g.mem, 0, ACC_FETCH, true, false, false);
                EXPECT(!r.ok);
                EXPECT_EQ(r.err, PF_U | (id ? PF_I : 0));
                r = walk_page(&g.m, &g.mem, 0, ACC_WRITE, false, false, false);
                EXPECT_EQ(r.err, PF_W);
            }
        }
    }
    // A PDPTE register that is not present.
    uint64_t flags[4] = {7, 7};
    build(&g, &shapes[2], flags);
    struct walk_result r = walk_page(&g.m, &g.mem, 0x40000000, ACC_READ, true, false, false);
    EXPECT(!r.ok && r.err == PF_U);
    rig_fini(&g);
}

TEST(walk_accessed_and_dirty)
{
    struct rig g;
    rig_init(&g);
    static const gpa table[] = {ROOT, L1, L2, L3};
    for (unsigned s = 0; s < ARRAY_LEN(shapes); s++) {
        const struct shape *sh = &shapes[s];
        uint64_t ro[4] = {7, 7, 7, 7}; // the page itself read-only
        ro[sh->levels - 1] = 5;
        g.m.page1g = g.m.wp = true;
        g.m.nxe = false;
        build(&g, sh, ro);
        uint64_t before[4], after[4];
        for (unsigned i = 0; i < sh->levels; i++) {
            before[i] = get(&g, table[i], sh->size);
        }
        t_context("%s", sh->name);
        // A refused write and a probe change nothing.
        EXPECT(!walk_page(&g.m, &g.mem, 0, ACC_WRITE, true, false, false).ok);
        EXPECT(walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, true).ok);
        for (unsigned i = 0; i < sh->levels; i++) {
            EXPECT_EQ(get(&g, table[i], sh->size), before[i]);
        }
        // A read sets every accessed bit.
        struct walk_result r = walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, false);
        EXPECT(r.ok && !r.dirty);
        for (unsigned i = 0; i < sh->levels; i++) {
            EXPECT_EQ(get(&g, table[i], sh->size), before[i] | 0x20);
        }
        // A write sets the dirty bit of the last one only.
        uint64_t rw[4] = {7, 7, 7, 7};
        build(&g, sh, rw);
        r = walk_page(&g.m, &g.mem, 0, ACC_WRITE, true, false, false);
        EXPECT(r.ok && r.dirty);
        for (unsigned i = 0; i < sh->levels; i++) {
            after[i] = get(&g, table[i], sh->size);
            EXPECT_EQ(after[i] & 0x60, i + 1 == sh->levels ? 0x60u : 0x20u);
        }
        r = walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, false);
        EXPECT(r.dirty);
    }
    rig_fini(&g);
}

TEST(walk_large_page_addresses)
{
    struct rig g;
    rig_init(&g);
    uint64_t f[4] = {7, 7, 7, 7};
    g.m.pse36 = true;
    build(&g, &shapes[1], f);
    put(&g, ROOT + 4, 4, 0x00c00087 | 0x5a << 13); // PSE-36: address bits 39:32 = 0x5a
    struct walk_result r = walk_page(&g.m, &g.mem, 0x4abcde, ACC_READ, true, false, true);
    EXPECT(r.ok);
    EXPECT_EQ(r.addr, UINT64_C(0x5a00c00000) + 0xabcde);
    g.m.phys_mask = bits_mask(36); // then bits 20:17 of the entry are reserved
    r = walk_page(&g.m, &g.mem, 0x4abcde, ACC_READ, true, false, true);
    EXPECT(!r.ok && (r.err & PF_RSVD));
    put(&g, ROOT + 4, 4, 0x00c00087 | 0xa << 13);
    r = walk_page(&g.m, &g.mem, 0x4abcde, ACC_READ, true, false, true);
    EXPECT_EQ(r.addr, UINT64_C(0xa00c00000) + 0xabcde);

    g.m.page1g = true;
    build(&g, &shapes[6], f);
    put(&g, L1 + 8, 8, UINT64_C(0x3c0000087) | 0x1000); // bit 12 is PAT
    r = walk_page(&g.m, &g.mem, 0x7fffffff, ACC_READ, true, false, true);
    EXPECT(r.ok && r.page_bits == 30);
    EXPECT_EQ(r.addr, UINT64_C(0x3ffffffff));
    // The upper half: sign-extended addresses index the root's last entries.
    put(&g, ROOT + 511 * 8, 8, L1 | 7);
    r = walk_page(&g.m, &g.mem, UINT64_C(0xffffff8040000123), ACC_READ, true, false, true);
    EXPECT(r.ok);
    EXPECT_EQ(r.addr, UINT64_C(0x3c0000123));
    rig_fini(&g);
}

TEST(walk_global_needs_pge)
{
    struct rig g;
    rig_init(&g);
    for (unsigned s = 0; s < ARRAY_LEN(shapes); s++) {
        uint64_t f[4] = {7, 7, 7, 7};
        f[shapes[s].levels - 1] |= 0x100;
        g.m.page1g = true;
        g.m.pge = false;
        build(&g, &shapes[s], f);
        EXPECT(!walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, true).global);
        g.m.pge = true;
        EXPECT(walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, true).global);
    }
    rig_fini(&g);
}

TEST(walk_a20_masks_tables_and_pages)
{
    struct rig g;
    rig_init(&g);
    uint64_t f[4] = {7, 7};
    build(&g, &shapes[0], f);
    put(&g, ROOT, 4, 0x100000 | L1 | 7); // bit 20 is lost: L1
    put(&g, L1, 4, 0x300000 | 7);        // lost too: page 0x200000
    g.m.a20_mask = ~UINT64_C(0x100000);
    g.m.cr3 = 0x100000 | ROOT;
    struct walk_result r = walk_page(&g.m, &g.mem, 0x123, ACC_READ, true, false, true);
    EXPECT(r.ok);
    EXPECT_EQ(r.addr, 0x200123);
    g.m.paging = false;
    r = walk_page(&g.m, &g.mem, 0x345678, ACC_WRITE, true, false, false);
    EXPECT_EQ(r.addr, 0x245678);
    rig_fini(&g);
}

TEST(walk_tables_outside_of_ram)
{
    struct rig g;
    rig_init(&g);
    uint64_t f[4] = {7, 7, 7, 7};
    // Nobody there reads as all ones: reserved bits, but in 32-bit mode a plain entry.
    for (unsigned s = 0; s < ARRAY_LEN(shapes); s++) {
        build(&g, &shapes[s], f);
        g.m.cr3 = 0x20000000;
        g.m.pdpte[0] = 0x20000001;
        struct walk_result r = walk_page(&g.m, &g.mem, 0, ACC_WRITE, false, false, false);
        t_context("%s", shapes[s].name);
        if (s == 0) {
            EXPECT(r.ok);
            EXPECT_EQ(r.addr, 0xfffff000);
        } else {
            EXPECT(!r.ok);
            EXPECT_EQ(r.err, PF_P | PF_W | PF_RSVD);
        }
        g.m.cr3 = ROOT;
    }
    // Tables in ROM: the walk works, the accessed bit is lost.
    build(&g, &shapes[0], f);
    aspace_map_ram(&g.mem, 0, 0x20000, &g.ram, 0, true, "rom", 1);
    uint64_t before = get(&g, ROOT, 4);
    EXPECT(walk_page(&g.m, &g.mem, 0, ACC_READ, true, false, false).ok);
    EXPECT_EQ(get(&g, ROOT, 4), before);
    rig_fini(&g);
}

TEST(walk_loads_pdptes)
{
    struct rig g;
    rig_init(&g);
    uint64_t out[4] = {9, 9, 9, 9};
    for (unsigned b = 1; b < 64; b++) {
        for (unsigned i = 0; i < 4; i++) {
            put(&g, ROOT + 0x20 + 8 * i, 8, 0x5000 * i | 1);
        }
        bool rsvd = b <= 2 || (b >= 5 && b <= 8) || b >= 40;
        put(&g, ROOT + 0x20 + 16, 8, 1 | UINT64_C(1) << b);
        EXPECT_EQ(walk_load_pdptes(&g.m, &g.mem, ROOT + 0x20, out), !rsvd);
        EXPECT_EQ(out[2], rsvd ? out[2] : (1 | UINT64_C(1) << b));
        put(&g, ROOT + 0x20 + 16, 8, UINT64_C(1) << b); // not present: nothing is reserved
        EXPECT(walk_load_pdptes(&g.m, &g.mem, ROOT + 0x20, out));
    }
    EXPECT_EQ(out[3], 0xf001);
    rig_fini(&g);
}
