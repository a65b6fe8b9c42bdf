// Random page tables, modes and accesses: mmu/walk.c against the reference walk, and the soft TLB
// against both. Amount: T_LEVEL; seed: T_SEED (printed).
//
// Tables share a small memory, so that walks run into other tables' entries, into themselves and
// out of memory. Entries are biased to be present and nearly right; one bit of some is flipped.

#include "tests/t.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mmu/tlb.h"
#include "tests/lib/ref_walk.h"
#include "util/bits.h"

enum { MEM = 64 << 12, TABLES = 48 }; // bytes of memory; its first pages are tables

struct rig {
    struct ram ram;
    struct aspace mem;
    struct walk_mode m;
    struct ref_mem ref;
    struct tlb tlb;
    struct t_rng rng;
};

static void on_moved(void *ctx, uint64_t pfn)
{
    struct rig *g = ctx;
    tlb_drop_ram(&g->tlb, &g->ram, pfn);
}

static bool chance(struct rig *g, unsigned one_in)
{
    return t_rand_below(&g->rng, one_in) == 0;
}

static uint64_t random_entry(struct rig *g)
{
    uint64_t e = t_rand_below(&g->rng, TABLES) << 12 | 7;
    e |= t_rand(&g->rng) & 0x360; // A, D, G and an ignored bit
    if (chance(g, 5)) {
        e |= 0x80; // PS, or PAT
        e &= ~UINT64_C(0x1ff000) | (chance(g, 4) ? UINT64_C(0x1ff000) : 0);
        if (chance(g, 2)) {
            e &= ~UINT64_C(0x3ffff000);
        }
    }
    if (chance(g, 4)) {
        e &= ~(t_rand(&g->rng) & 7);
    }
    if (chance(g, 8)) {
        e |= UINT64_C(1) << 63;
    }
    if (chance(g, 8)) {
        e ^= UINT64_C(1) << t_rand_below(&g->rng, 64);
    }
    return e;
}

static void random_tables(struct rig *g)
{
    for (unsigned i = 0; i < TABLES * 512; i++) {
        uint64_t e = random_entry(g);
        if (!g->m.pae) {
            e = (uint32_t)e | (uint64_t)(uint32_t)random_entry(g) << 32;
        }
        le64_put(g->ref.bytes + 8 * i, e);
    }
    ram_write(&g->ram, 0, g->ref.bytes, MEM);
}

static void random_mode(struct rig *g)
{
    struct walk_mode *m = &g->m;
    uint64_t r = t_rand(&g->rng);
    memset(m, 0, sizeof *m);
    m->paging = r % 32 != 0;
    m->wp = r >> 8 & 1;
    m->pse = r >> 9 & 1;
    m->pge = r >> 10 & 1;
    m->smep = r >> 11 & 1;
    m->smap = r >> 12 & 1;
    m->pse36 = r >> 13 & 1;
    m->page1g = r >> 14 & 1;
    m->no_pat = (r >> 15 & 7) == 0;
    unsigned kind = (unsigned)(r >> 18) % 3;
    m->pae = kind > 0;
    m->lma = kind == 2;
    m->nxe = m->pae && (r >> 20 & 1);
    m->a20_mask = (r >> 21 & 7) ? ~UINT64_C(0) : ~UINT64_C(0x100000);
    m->phys_mask = bits_mask(32 + (unsigned)(r >> 24) % 21);
    m->cr3 = t_rand_below(&g->rng, TABLES) << 12 | (r >> 40 & 0xfff);
    for (unsigned i = 0; i < 4; i++) {
        m->pdpte[i] = t_rand_below(&g->rng, TABLES) << 12 | !chance(g, 6);
    }
}

// Few distinct addresses, so that the TLB has something to remember.
static gva random_la(struct rig *g)
{
    uint64_t r = t_rand(&g->rng), la = 0;
    for (unsigned level = 0; level < 4; level++) {
        la = la << 9 | (r >> (16 * level) & (chance(g, 4) ? 0x1ff : 0x101));
    }
    la = la << 12 | t_rand_below(&g->rng, PAGE_SIZE);
    return g->m.lma ? bits_sext(la, 48) : (uint32_t)la;
}

static bool same(const struct walk_result *w, const struct ref_result *r)
{
    if (w->ok == r->fault) {
        return false;
    }
    if (r->fault) {
        return w->err == r->err;
    }
    return w->addr == r->addr && w->page_bits == r->page_bits && w->user == r->user &&
           w->write == r->write && w->exec == r->exec && w->global == r->global;
}

// The reference marks entries in its own memory; then both memories must be equal.
static bool same_marks(struct rig *g, const struct ref_result *r)
{
    for (unsigned i = 0; i < r->nmarks; i++) {
        if (r->mark[i].at < MEM) {
            g->ref.bytes[r->mark[i].at] |= (uint8_t)r->mark[i].bits;
        }
    }
    for (unsigned i = 0; i < r->nmarks; i++) {
        uint64_t page = r->mark[i].at / PAGE_SIZE;
        if (page < MEM / PAGE_SIZE &&
            memcmp(ram_read_ptr(&g->ram, page), g->ref.bytes + page * PAGE_SIZE, PAGE_SIZE) != 0) {
            return false;
        }
    }
    return true;
}

// A hit in L1 must lead where the tables lead and be allowed. The TLB is flushed whenever tables or
// mode change, so nothing in it is stale but for marks.
static bool tlb_agrees(struct rig *g, struct ref_access a, enum mem_access acc,
                       const struct ref_result *r)
{
    enum tlb_view view = a.user ? TLB_USER : a.ac ? TLB_SUPER_AC : TLB_SUPER;
    struct tlb_result t = chance(g, 4) ? tlb_probe(&g->tlb, &g->m, &g->mem, a.la, acc, view)
                                       : tlb_translate(&g->tlb, &g->m, &g->mem, a.la, acc, view);
    if (t.ok == r->fault || (r->fault ? t.pf_err != r->err : t.addr != r->addr)) {
        return false;
    }
    const struct tlb_entry *e = &g->tlb.l1[view][a.la >> 12 & TLB_L1_MASK];
    if (acc == ACC_FETCH) {
        const struct tlb_fetch *x = &g->tlb.x[view][a.la >> 12 & (TLB_X_SIZE - 1)];
        return x->tag != (a.la & PAGE_MASK) || (!r->fault && x->page == (r->addr & PAGE_MASK));
    }
    bool hit = (acc == ACC_WRITE ? e->tag_w : e->tag_r) == (a.la & PAGE_MASK);
    if (r->fault || r->addr >= MEM) {
        return !hit;
    }
    const uint8_t *host =
        (const uint8_t *)(uintptr_t)(a.la + (acc == ACC_WRITE ? e->bias_w : e->bias_r));
    return !hit || host == ram_read_ptr(&g->ram, r->addr >> 12) + r->addr % PAGE_SIZE;
}

TEST(fuzz_walk)
{
    struct rig *g = calloc(1, sizeof *g);
    g->rng.state = t_seed();
    printf("seed 0x%" PRIx64 "\n", g->rng.state);
    g->ref.bytes = calloc(1, MEM);
    g->ref.size = MEM;
    EXPECT(ram_init(&g->ram, MEM));
    g->ram.moved = on_moved;
    g->ram.ctx = g;
    EXPECT(tlb_init(&g->tlb));
    aspace_init(&g->mem, UINT64_C(1) << 52);
    aspace_map_ram(&g->mem, 0, MEM, &g->ram, 0, false, "ram", 0);

    uint64_t rounds = t_amount(300, 4000, 400000);
    unsigned long good = 0, bad = 0, ok = 0, rsvd = 0;
    for (uint64_t round = 0; round < rounds && bad < 5; round++) {
        random_mode(g);
        random_tables(g);
        tlb_flush_all(&g->tlb);
        for (unsigned i = 0; i < 400 && bad < 5; i++) {
            uint64_t x = t_rand(&g->rng);
            enum mem_access acc = (enum mem_access)(x % 3);
            struct ref_access a = {random_la(g), acc == ACC_WRITE, acc == ACC_FETCH, x >> 8 & 1,
                                   (x >> 9 & 1) && acc != ACC_FETCH};
            a.ac = a.ac && !a.user;
            bool probe = x >> 10 & 1;
            struct ref_result r = ref_walk(&g->m, &g->ref, a);
            struct walk_result w = walk_page(&g->m, &g->mem, a.la, acc, a.user, a.ac, probe);
            if (probe && (x >> 11 & 1)) {
                // The TLB sets the marks itself, or has done so before.
                bool agrees = tlb_agrees(g, a, acc, &r);
                ram_read(&g->ram, 0, g->ref.bytes, MEM);
                r.nmarks = 0;
                if (!agrees) {
                    FAIL("TLB differs: la 0x%" PRIx64 " acc %d", a.la, acc);
                    bad++;
                }
            } else if (probe) {
                r.nmarks = 0;
            }
            if (!same(&w, &r) || !same_marks(g, &r)) {
                FAIL("round %" PRIu64 ": la 0x%" PRIx64
                     " acc %d user %d ac %d: walk ok %d err 0x%x "
                     "addr 0x%" PRIx64 ", reference fault %d err 0x%x addr 0x%" PRIx64,
                     round, a.la, acc, a.user, a.ac, w.ok, w.err, w.addr, r.fault, r.err, r.addr);
                bad++;
            }
            // Walks by others mark entries behind the TLB's back; it may then know less, not more.
            good++;
            ok += w.ok;
            rsvd += !w.ok && (w.err & PF_RSVD);
        }
    }
    printf("%lu walks: %lu allowed, %lu reserved bits\n", good, ok, rsvd);
    EXPECT(ok > good / 20 && rsvd > good / 20);
    t_cases(good - bad, bad, 0);
    tlb_fini(&g->tlb);
    aspace_fini(&g->mem);
    ram_fini(&g->ram);
    free(g->ref.bytes);
    free(g);
}
