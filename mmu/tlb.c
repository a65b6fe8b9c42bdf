/*
 * The soft TLB: L2, fills, flushes.
 *
 * L2 holds translations as the walk gave them (rights of the page, not yet judged), before A20. A
 * key holds the page number (bits 47:12 suffice: addresses are canonical), the PCID and a global
 * bit, so one compare decides. 4 KiB pages: 512 sets of 4 ways. Larger pages have 64 sets of 4 ways
 * of their own, once each, and are looked up only while some of that size were filled.
 *
 * Flushing L2 is a time stamp: an entry counts only if it was filled after the last flush of
 * everything and, unless global, after the last flush of its PCID. Flushing L1 walks a bitmap of
 * filled entries.
 *
 * Replacement is round robin for each set and restarts at tlb_flush_all: what survives, and so what
 * a guest can see of stale entries, is a function of the guest's own past.
 *
 * Sources: Intel SDM volume 3A, 4.10 (caching translation information; 4.10.4 invalidation).
 */
#include "mmu/tlb.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

enum {
    WAYS = 4,
    SETS = 512,
    LARGE_SETS = 64,
    L1_WORDS = TLB_L1_SIZE / 64,
    X_WORDS = TLB_X_SIZE / 64,
    FILTER_BITS = 8192,
};

/* Rights and state of an L2 entry. E_FETCHED: code was looked up through it, so gen hangs on it;
 * without NX every page is executable, and data that streams through L2 must not disturb code. */
enum { E_USER = 1, E_WRITE = 2, E_EXEC = 4, E_GLOBAL = 8, E_DIRTY = 16, E_FETCHED = 32 };

struct l2_entry {
    uint64_t key;   /* page_key(); 0 is never a key */
    gpa base;       /* of the page, before A20 */
    uint64_t stamp; /* of the fill */
    uint8_t flags, page_bits;
    uint16_t pcid;
};

/* Which L1 (or fetch) entries are filled, and which of those come from global pages. */
struct tlb_l2 {
    struct l2_entry small[SETS][WAYS];
    struct l2_entry large[LARGE_SETS][WAYS];
    uint8_t next[SETS], next_large[LARGE_SETS];
    uint32_t large_sizes; /* bit n: a page of 1 << n bytes was filled since the last flush_all */
    uint64_t now;         /* stamp of the next fill */
    uint64_t all_flushed, nonglobal_flushed;
    uint64_t pcid_flushed[4096];

    uint64_t filled[TLB_VIEWS][L1_WORDS], global[TLB_VIEWS][L1_WORDS];
    uint64_t xfilled[TLB_VIEWS][X_WORDS], xglobal[TLB_VIEWS][X_WORDS];
    uint64_t pfn[TLB_VIEWS][TLB_L1_SIZE]; /* page within its map that a filled L1 entry points at */
    /* By hash of pfn, since L1 was last dropped whole: which entry was filled last (view *
     * TLB_L1_SIZE + entry), and whether others may hold such a page too. */
    uint64_t filter[FILTER_BITS / 64], several[FILTER_BITS / 64];
    uint16_t latest[FILTER_BITS];
};

/* --- L1 ---------------------------------------------------------------------------------------*/

static unsigned l1_index(gva la)
{
    return la >> PAGE_BITS & TLB_L1_MASK;
}

static unsigned x_index(gva la)
{
    return la >> PAGE_BITS & (TLB_X_SIZE - 1);
}

static bool bit_get(const uint64_t *map, unsigned i)
{
    return map[i / 64] >> (i % 64) & 1;
}

static void bit_put(uint64_t *map, unsigned i, bool on)
{
    uint64_t bit = UINT64_C(1) << (i % 64);
    map[i / 64] = on ? map[i / 64] | bit : map[i / 64] & ~bit;
}

static uint64_t miss_tag(unsigned index)
{
    return ((uint64_t)index << PAGE_BITS) ^ TLB_MISS;
}

/* For tlb.gone. */
static void note_gone(struct tlb *t, unsigned view, unsigned i)
{
    t->gone[view] =
        t->gone[view] == 0 || t->gone[view] == i + 1 ? (uint16_t)(i + 1) : (uint16_t)TLB_GONE_MANY;
    t->any_gone = true;
}

static void l1_drop(struct tlb *t, unsigned view, unsigned i)
{
    note_gone(t, view, i);
    t->l1[view][i].tag_r = t->l1[view][i].tag_w = miss_tag(i);
    bit_put(t->l2->filled[view], i, false);
}

static void x_drop(struct tlb *t, unsigned view, unsigned i)
{
    t->x[view][i].tag = miss_tag(i);
    bit_put(t->l2->xfilled[view], i, false);
}

/* The page that a filled entry maps; at least one tag is valid and both agree. */
static gva l1_page(const struct tlb_entry *e, unsigned i)
{
    return e->tag_r != miss_tag(i) ? e->tag_r : e->tag_w;
}

/* Drop filled entries; those of global pages only if `globals`. */
static void drop_filled(struct tlb *t, bool globals)
{
    struct tlb_l2 *l2 = t->l2;
    for (unsigned v = 0; v < TLB_VIEWS; v++) {
        for (unsigned w = 0; w < L1_WORDS; w++) {
            uint64_t set = l2->filled[v][w] & (globals ? ~UINT64_C(0) : ~l2->global[v][w]);
            for (; set; set &= set - 1) {
                l1_drop(t, v, w * 64 + (unsigned)__builtin_ctzll(set));
            }
        }
        for (unsigned w = 0; w < X_WORDS; w++) {
            uint64_t set = l2->xfilled[v][w] & (globals ? ~UINT64_C(0) : ~l2->xglobal[v][w]);
            for (; set; set &= set - 1) {
                x_drop(t, v, w * 64 + (unsigned)__builtin_ctzll(set));
            }
        }
    }
    if (globals) {
        memset(l2->filter, 0, sizeof l2->filter);
        memset(l2->several, 0, sizeof l2->several);
    }
}

/* Drop entries of linear addresses la .. la + (1 << bits) - 1; la is aligned so. */
static void drop_range(struct tlb *t, gva la, unsigned bits)
{
    struct tlb_l2 *l2 = t->l2;
    for (unsigned v = 0; v < TLB_VIEWS; v++) {
        for (unsigned w = 0; w < L1_WORDS; w++) {
            for (uint64_t set = l2->filled[v][w]; set; set &= set - 1) {
                unsigned i = w * 64 + (unsigned)__builtin_ctzll(set);
                if ((l1_page(&t->l1[v][i], i) ^ la) >> bits == 0) {
                    l1_drop(t, v, i);
                }
            }
        }
        for (unsigned w = 0; w < X_WORDS; w++) {
            for (uint64_t set = l2->xfilled[v][w]; set; set &= set - 1) {
                unsigned i = w * 64 + (unsigned)__builtin_ctzll(set);
                if ((t->x[v][i].tag ^ la) >> bits == 0) {
                    x_drop(t, v, i);
                }
            }
        }
    }
}

/* The same for one small page. */
static void drop_page(struct tlb *t, gva la)
{
    gva page = la & PAGE_MASK;
    unsigned i = l1_index(la), x = x_index(la);
    for (unsigned v = 0; v < TLB_VIEWS; v++) {
        if (bit_get(t->l2->filled[v], i) && l1_page(&t->l1[v][i], i) == page) {
            l1_drop(t, v, i);
        }
        if (t->x[v][x].tag == page) {
            x_drop(t, v, x);
        }
    }
}

static void drop_mapping(struct tlb *t, gva la, unsigned page_bits)
{
    if (page_bits == PAGE_BITS) {
        drop_page(t, la);
    } else {
        drop_range(t, la & ~bits_mask(page_bits), page_bits);
    }
}

static unsigned filter_hash(uint64_t pfn)
{
    return (unsigned)(pfn ^ pfn >> 13) % FILTER_BITS;
}

/* Is entry `id` (as in tlb_l2.latest) filled with a page of this hash? */
static bool holds_hash(const struct tlb_l2 *l2, unsigned id, unsigned h)
{
    unsigned v = id / TLB_L1_SIZE, i = id % TLB_L1_SIZE;
    return bit_get(l2->filled[v], i) && filter_hash(l2->pfn[v][i]) == h;
}

/* Entry `id` holds a page of hash h from now on; called before it says so itself. */
static void filter_note(struct tlb_l2 *l2, unsigned id, unsigned h)
{
    if (bit_get(l2->filter, h) && l2->latest[h] != id && holds_hash(l2, l2->latest[h], h)) {
        bit_put(l2->several, h, true);
    }
    bit_put(l2->filter, h, true);
    l2->latest[h] = (uint16_t)id;
}

/* Drop the entries of page pfn, and find out which others have its hash. */
static void drop_pfn_everywhere(struct tlb *t, uint64_t pfn, unsigned h)
{
    struct tlb_l2 *l2 = t->l2;
    unsigned left = 0;
    for (unsigned v = 0; v < TLB_VIEWS; v++) {
        for (unsigned w = 0; w < L1_WORDS; w++) {
            for (uint64_t set = l2->filled[v][w]; set; set &= set - 1) {
                unsigned i = w * 64 + (unsigned)__builtin_ctzll(set);
                if (l2->pfn[v][i] == pfn) {
                    l1_drop(t, v, i);
                } else if (filter_hash(l2->pfn[v][i]) == h) {
                    l2->latest[h] = (uint16_t)(v * TLB_L1_SIZE + i);
                    left++;
                }
            }
        }
    }
    bit_put(l2->filter, h, left != 0);
    bit_put(l2->several, h, left > 1);
}

/* --- L2 ---------------------------------------------------------------------------------------*/

static uint64_t page_key(gva la, unsigned bits, unsigned pcid, bool global)
{
    uint64_t page = bits_get(la, bits, 48 - bits) << (bits - PAGE_BITS);
    return page << 14 | UINT64_C(1) << 13 | (global ? 0x1000 : pcid);
}

static gva key_la(uint64_t key)
{
    return bits_sext(key >> 14 << PAGE_BITS, 48);
}

static unsigned small_set(gva la)
{
    uint64_t page = la >> PAGE_BITS;
    return (unsigned)(page ^ page >> 9) % SETS;
}

static unsigned large_set(gva la, unsigned bits)
{
    return (unsigned)(la >> bits) % LARGE_SETS;
}

static bool entry_fresh(const struct tlb_l2 *l2, const struct l2_entry *e)
{
    if (e->stamp <= l2->all_flushed) {
        return false;
    }
    return (e->flags & E_GLOBAL) ||
           (e->stamp > l2->nonglobal_flushed && e->stamp > l2->pcid_flushed[e->pcid]);
}

static struct l2_entry *find_in(struct tlb_l2 *l2, struct l2_entry *set, gva la, unsigned bits,
                                unsigned pcid)
{
    uint64_t local = page_key(la, bits, pcid, false), global = page_key(la, bits, 0, true);
    for (unsigned w = 0; w < WAYS; w++) {
        struct l2_entry *e = &set[w];
        bool same = e->flags & E_GLOBAL ? e->key == global : e->key == local;
        if (same && e->page_bits == bits && entry_fresh(l2, e)) {
            return e;
        }
    }
    return NULL;
}

/* The entry of a page of any size that holds la, for this PCID or global. */
static struct l2_entry *l2_find(struct tlb_l2 *l2, gva la, unsigned pcid)
{
    struct l2_entry *e = find_in(l2, l2->small[small_set(la)], la, PAGE_BITS, pcid);
    for (uint32_t sizes = l2->large_sizes; sizes && !e; sizes &= sizes - 1) {
        unsigned bits = (unsigned)__builtin_ctz(sizes);
        e = find_in(l2, l2->large[large_set(la, bits)], la, bits, pcid);
    }
    return e;
}

/* Is an entry such that L1 may hold parts of it? */
static bool in_current_space(const struct tlb *t, const struct l2_entry *e)
{
    return (e->flags & E_GLOBAL) || e->pcid == t->pcid;
}

/* Make one entry invalid, and its parts in L1 too. */
static void l2_remove(struct tlb *t, struct l2_entry *e)
{
    if (in_current_space(t, e)) {
        drop_mapping(t, key_la(e->key), e->page_bits);
        t->gen += (e->flags & E_FETCHED) != 0;
        t->gen_global += (e->flags & (E_FETCHED | E_GLOBAL)) == (E_FETCHED | E_GLOBAL);
    }
    e->stamp = 0;
}

/* Remove every entry of la for a PCID, and global ones if `globals`: a page may be cached in
 * several sizes, and both as global and not (SDM 3A 4.10.2.3). */
static void remove_all_of(struct tlb *t, gva la, uint16_t pcid, bool globals)
{
    for (uint32_t sizes = t->l2->large_sizes | 1u << PAGE_BITS; sizes; sizes &= sizes - 1) {
        unsigned bits = (unsigned)__builtin_ctz(sizes);
        struct l2_entry *set =
            bits == PAGE_BITS ? t->l2->small[small_set(la)] : t->l2->large[large_set(la, bits)];
        uint64_t local = page_key(la, bits, pcid, false), global = page_key(la, bits, 0, true);
        for (unsigned w = 0; w < WAYS; w++) {
            struct l2_entry *e = &set[w];
            bool same = e->flags & E_GLOBAL ? globals && e->key == global : e->key == local;
            if (same && e->page_bits == bits && entry_fresh(t->l2, e)) {
                l2_remove(t, e);
            }
        }
    }
}

/* A place for a new entry in the set: one that counts no more, else the next in turn. */
static struct l2_entry *victim(struct tlb *t, struct l2_entry *set, uint8_t *next)
{
    for (unsigned w = 0; w < WAYS; w++) {
        if (!entry_fresh(t->l2, &set[w])) {
            return &set[w];
        }
    }
    struct l2_entry *e = &set[*next];
    *next = (uint8_t)((*next + 1) % WAYS);
    l2_remove(t, e);
    return e;
}

static struct l2_entry *l2_insert(struct tlb *t, gva la, const struct walk_result *r)
{
    struct tlb_l2 *l2 = t->l2;
    unsigned bits = r->page_bits;
    struct l2_entry *e;
    if (bits == PAGE_BITS) {
        unsigned s = small_set(la);
        e = victim(t, l2->small[s], &l2->next[s]);
    } else {
        unsigned s = large_set(la, bits);
        e = victim(t, l2->large[s], &l2->next_large[s]);
        l2->large_sizes |= 1u << bits;
    }
    e->key = page_key(la, bits, t->pcid, r->global);
    e->base = r->addr & ~bits_mask(bits);
    e->stamp = l2->now;
    e->page_bits = (uint8_t)bits;
    e->pcid = t->pcid;
    e->flags =
        (uint8_t)((r->user ? E_USER : 0) | (r->write ? E_WRITE : 0) | (r->exec ? E_EXEC : 0) |
                  (r->global ? E_GLOBAL : 0) | (r->dirty ? E_DIRTY : 0));
    return e;
}

/* --- Translation ------------------------------------------------------------------------------*/

static bool view_allows(const struct walk_mode *m, unsigned flags, enum mem_access acc,
                        enum tlb_view view)
{
    return walk_allowed(m, flags & E_USER, flags & E_WRITE, flags & E_EXEC, acc, view == TLB_USER,
                        view == TLB_SUPER_AC);
}

static bool watched(const struct tlb *t, gva page)
{
    for (unsigned i = 0; i < t->nwatch; i++) {
        if (t->watch[i] == page) {
            return true;
        }
    }
    return false;
}

static bool is_among(const uint64_t *list, unsigned n, uint64_t page)
{
    for (unsigned i = 0; i < n; i++) {
        if (list[i] == page) {
            return true;
        }
    }
    return false;
}

static bool spied(const struct tlb_spy *s, gva page, gpa at)
{
    return is_among(s->linear, s->nlinear, page) || is_among(s->physical, s->nphysical, at);
}

bool tlb_spies_write(const struct tlb *t, gva la, gpa addr)
{
    const struct tlb_spy *s = t->spy;
    return s && (is_among(s->written, s->nwritten, la & PAGE_MASK) ||
                 spied(s, la & PAGE_MASK, addr & PAGE_MASK));
}

/* A write to this page comes by, or will pass L1 without coming by. */
static void note_write(const struct tlb *t, gva la)
{
    if (UNLIKELY(t->wrote != NULL)) {
        page_set_add(t->wrote, la >> PAGE_BITS);
    }
}

/* Let the fast path have what it may do with this page directly, and no more. */
static void l1_fill(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la, gpa addr,
                    unsigned flags, enum mem_access acc, enum tlb_view view)
{
    struct aspace_hit hit = aspace_find(mem, addr);
    gva page = la & PAGE_MASK;
    if (!hit.ram || !hit.whole_page || (t->nwatch && watched(t, page)) ||
        (UNLIKELY(t->spy != NULL) && spied(t->spy, page, addr & PAGE_MASK))) {
        return;
    }
    unsigned i = l1_index(la);
    struct tlb_entry *e = &t->l1[view][i];
    uint8_t *w = NULL;
    if (!hit.readonly && (flags & E_DIRTY) && !hit.ram->code[hit.pfn] &&
        view_allows(m, flags, ACC_WRITE, view) &&
        !(UNLIKELY(t->spy != NULL) && is_among(t->spy->written, t->spy->nwritten, page))) {
        /* A read must not unshare a page; if it is unshared already, writes get their tag now. */
        w = acc == ACC_WRITE ? ram_write_ptr(hit.ram, hit.pfn)
            : t->opened      ? NULL
                             : ram_own_ptr(hit.ram, hit.pfn);
    }
    /* After ram_write_ptr, which may move the page. */
    bool r = view_allows(m, flags, ACC_READ, view);
    if ((!r && e->tag_r != miss_tag(i)) || (!w && e->tag_w != miss_tag(i))) {
        note_gone(t, view, i);
    }
    e->tag_r = r ? page : miss_tag(i);
    e->bias_r = r ? (uintptr_t)ram_read_ptr(hit.ram, hit.pfn) - page : 0;
    e->tag_w = w ? page : miss_tag(i);
    e->bias_w = w ? (uintptr_t)w - page : 0;
    if (w && acc != ACC_WRITE) { /* fill has noted those */
        note_write(t, la);
    }
    if (r || w) {
        struct tlb_l2 *l2 = t->l2;
        unsigned h = filter_hash(hit.pfn);
        filter_note(l2, view * TLB_L1_SIZE + i, h);
        bit_put(l2->filled[view], i, true);
        bit_put(l2->global[view], i, flags & E_GLOBAL);
        l2->pfn[view][i] = hit.pfn;
        t->fills++;
        if (UNLIKELY(w && t->opened)) {
            t->opened(t->opened_ctx, view, i, hit.ram, hit.pfn);
        }
    } else {
        bit_put(t->l2->filled[view], i, false);
    }
}

static void x_fill(struct tlb *t, gva la, gpa addr, unsigned flags, enum tlb_view view)
{
    unsigned i = x_index(la);
    t->x[view][i] = (struct tlb_fetch){la & PAGE_MASK, addr & PAGE_MASK, flags & E_GLOBAL};
    bit_put(t->l2->xfilled[view], i, true);
    bit_put(t->l2->xglobal[view], i, flags & E_GLOBAL);
}

static void fill(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la, gpa addr,
                 unsigned flags, enum mem_access acc, enum tlb_view view)
{
    if (acc == ACC_WRITE) {
        note_write(t, la); /* L1 may not take it */
    }
    if (acc == ACC_FETCH) {
        x_fill(t, la, addr, flags, view);
    } else {
        l1_fill(t, m, mem, la, addr, flags, acc, view);
    }
}

/* The same through an L2 entry. */
static void fill_from(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la,
                      gpa addr, struct l2_entry *e, enum mem_access acc, enum tlb_view view)
{
    e->flags |= acc == ACC_FETCH ? E_FETCHED : 0;
    fill(t, m, mem, la, addr, e->flags, acc, view);
}

/* L2 does not have it, or not for this access: walk, and make L2 say what the tables say. */
static struct tlb_result walk_and_fill(struct tlb *t, const struct walk_mode *m, struct aspace *mem,
                                       gva la, enum mem_access acc, enum tlb_view view, bool known)
{
    t->walks++;
    struct walk_result r =
        walk_page(m, mem, la, acc, view == TLB_USER, view == TLB_SUPER_AC, false);
    if (known) {
        remove_all_of(t, la, t->pcid, true);
    }
    if (!r.ok) {
        return (struct tlb_result){.pf_err = r.err};
    }
    struct l2_entry *e = l2_insert(t, la, &r);
    fill_from(t, m, mem, la, r.addr, e, acc, view);
    return (struct tlb_result){.ok = true, .addr = r.addr};
}

/* From what is cached. False: not there, or not for this access. */
static bool cached(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la,
                   enum mem_access acc, enum tlb_view view, struct tlb_result *res, bool *known)
{
    *known = false;
    if (!m->paging) {
        *res = (struct tlb_result){.ok = true, .addr = la & m->a20_mask};
        fill(t, m, mem, la, res->addr, E_USER | E_WRITE | E_EXEC | E_DIRTY, acc, view);
        return true;
    }
    struct l2_entry *e = l2_find(t->l2, la, t->pcid);
    *known = e != NULL;
    if (UNLIKELY(!e || !view_allows(m, e->flags, acc, view) ||
                 (acc == ACC_WRITE && !(e->flags & E_DIRTY)))) {
        return false;
    }
    gpa addr = (e->base | (la & bits_mask(e->page_bits))) & m->a20_mask;
    *res = (struct tlb_result){.ok = true, .addr = addr};
    fill_from(t, m, mem, la, addr, e, acc, view);
    return true;
}

struct tlb_result tlb_translate(struct tlb *t, const struct walk_mode *m, struct aspace *mem,
                                gva la, enum mem_access acc, enum tlb_view view)
{
    struct tlb_result res;
    bool known;
    if (LIKELY(cached(t, m, mem, la, acc, view, &res, &known))) {
        return res;
    }
    return walk_and_fill(t, m, mem, la, acc, view, known);
}

struct tlb_result tlb_probe(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la,
                            enum mem_access acc, enum tlb_view view)
{
    struct tlb_result res;
    bool known;
    if (cached(t, m, mem, la, acc, view, &res, &known)) {
        return res;
    }
    struct walk_result r = walk_page(m, mem, la, acc, view == TLB_USER, view == TLB_SUPER_AC, true);
    return (struct tlb_result){.ok = r.ok, .pf_err = r.err, .addr = r.addr};
}

bool tlb_refill(struct tlb *t, const struct walk_mode *m, struct aspace *mem, gva la,
                enum mem_access acc, enum tlb_view view)
{
    struct tlb_result res;
    bool known;
    return cached(t, m, mem, la, acc, view, &res, &known);
}

bool tlb_write_target(const struct tlb *t, const struct walk_mode *m, gva la, enum tlb_view view,
                      gpa *addr)
{
    note_write(t, la);
    if (!m->paging) {
        *addr = la & m->a20_mask;
        return true;
    }
    const struct l2_entry *e = l2_find(t->l2, la, t->pcid);
    if (!e || !(e->flags & E_DIRTY) || !view_allows(m, e->flags, ACC_WRITE, view)) {
        return false;
    }
    *addr = (e->base | (la & bits_mask(e->page_bits))) & m->a20_mask;
    return true;
}

/* --- Flushes ----------------------------------------------------------------------------------*/

bool tlb_init(struct tlb *t)
{
    memset(t, 0, sizeof *t);
    t->l2 = calloc(1, sizeof *t->l2);
    if (!t->l2) {
        return false;
    }
    t->l2->now = 1;
    t->gen_global = UINT64_C(1) << 63;
    for (unsigned v = 0; v < TLB_VIEWS; v++) {
        for (unsigned i = 0; i < TLB_L1_SIZE; i++) {
            t->l1[v][i].tag_r = t->l1[v][i].tag_w = miss_tag(i);
        }
        for (unsigned i = 0; i < TLB_X_SIZE; i++) {
            t->x[v][i].tag = miss_tag(i);
        }
    }
    return true;
}

void tlb_fini(struct tlb *t)
{
    free(t->l2);
    t->l2 = NULL;
}

/* A flush happens now: what was filled before it has an older stamp than what comes after. */
static uint64_t stamp_flush(struct tlb *t)
{
    t->gen++;
    t->flushes++;
    return t->l2->now++;
}

void tlb_flush_all(struct tlb *t)
{
    t->l2->all_flushed = stamp_flush(t);
    t->gen_global++;
    memset(t->l2->next, 0, sizeof t->l2->next);
    memset(t->l2->next_large, 0, sizeof t->l2->next_large);
    t->l2->large_sizes = 0;
    drop_filled(t, true);
}

void tlb_flush_all_nonglobal(struct tlb *t)
{
    t->l2->nonglobal_flushed = stamp_flush(t);
    drop_filled(t, false);
}

void tlb_flush_pcid(struct tlb *t, uint16_t pcid)
{
    assert(pcid < 4096);
    t->l2->pcid_flushed[pcid] = stamp_flush(t);
    if (pcid == t->pcid) {
        drop_filled(t, false);
    }
}

void tlb_flush_nonglobal(struct tlb *t)
{
    tlb_flush_pcid(t, t->pcid);
}

/* One page: gen changes only if code was looked up in it (l2_remove). */
void tlb_flush_page(struct tlb *t, gva la)
{
    t->flushes++;
    remove_all_of(t, la, t->pcid, true);
}

void tlb_flush_page_pcid(struct tlb *t, gva la, uint16_t pcid)
{
    assert(pcid < 4096);
    t->flushes++;
    remove_all_of(t, la, pcid, false);
}

/* What is in front of `filled` is L2 itself; what is behind describes L1. */
size_t tlb_image_bytes(void)
{
    return offsetof(struct tlb_l2, filled);
}

void tlb_image_take(const struct tlb *t, void *image)
{
    memcpy(image, t->l2, tlb_image_bytes());
}

void tlb_image_put(struct tlb *t, const void *image)
{
    tlb_flush_all(t);
    memcpy(t->l2, image, tlb_image_bytes());
}

void tlb_switch_pcid(struct tlb *t, uint16_t pcid)
{
    assert(pcid < 4096);
    if (pcid != t->pcid) {
        t->pcid = pcid;
        t->gen++;
        drop_filled(t, false);
    }
}

void tlb_drop_l1(struct tlb *t)
{
    t->gen++;
    t->gen_global++;
    drop_filled(t, true);
}

void tlb_drop_ram(struct tlb *t, const struct ram *ram, uint64_t pfn)
{
    (void)ram; /* entries of another map with the same number go too: harmless, and rare */
    t->moved++;
    struct tlb_l2 *l2 = t->l2;
    if (pfn == RAM_EVERY_PAGE) {
        drop_filled(t, true);
        return;
    }
    unsigned h = filter_hash(pfn), id = l2->latest[h];
    if (!bit_get(l2->filter, h)) {
        return;
    }
    if (bit_get(l2->several, h)) {
        drop_pfn_everywhere(t, pfn, h);
    } else if (holds_hash(l2, id, h) && l2->pfn[id / TLB_L1_SIZE][id % TLB_L1_SIZE] == pfn) {
        l1_drop(t, id / TLB_L1_SIZE, id % TLB_L1_SIZE);
    }
}

void tlb_set_watch(struct tlb *t, const gva *pages, unsigned n)
{
    assert(n <= ARRAY_LEN(t->watch));
    t->nwatch = n;
    for (unsigned i = 0; i < n; i++) {
        t->watch[i] = pages[i] & PAGE_MASK;
    }
    tlb_drop_l1(t);
}

void tlb_set_spy(struct tlb *t, const struct tlb_spy *spy)
{
    t->spy = spy;
    tlb_drop_l1(t);
}

void tlb_note_writes(struct tlb *t, struct page_set *wrote)
{
    t->wrote = wrote;
    t->moved++;
    drop_filled(t, true);
}

void tlb_watch_opens(struct tlb *t,
                     void (*fn)(void *ctx, enum tlb_view view, unsigned entry, struct ram *ram,
                                uint64_t pfn),
                     void *ctx)
{
    t->opened = fn;
    t->opened_ctx = ctx;
    drop_filled(t, true);
}

void tlb_close_write(struct tlb *t, enum tlb_view view, unsigned entry)
{
    struct tlb_entry *e = &t->l1[view][entry];
    if (e->tag_r == miss_tag(entry)) {
        l1_drop(t, view, entry);
    } else {
        note_gone(t, view, entry);
        e->tag_w = miss_tag(entry);
    }
}

static void each_in(const struct tlb_l2 *l2, const struct l2_entry *e, unsigned n,
                    void (*fn)(void *ctx, gva la, gpa pa, unsigned page_bits, unsigned pcid,
                               bool user, bool write, bool exec, bool global),
                    void *ctx)
{
    for (; n; n--, e++) {
        if (entry_fresh(l2, e)) {
            fn(ctx, key_la(e->key), e->base, e->page_bits, e->pcid, e->flags & E_USER,
               e->flags & E_WRITE, e->flags & E_EXEC, e->flags & E_GLOBAL);
        }
    }
}

void tlb_each(const struct tlb *t,
              void (*fn)(void *ctx, gva la, gpa pa, unsigned page_bits, unsigned pcid, bool user,
                         bool write, bool exec, bool global),
              void *ctx)
{
    each_in(t->l2, &t->l2->small[0][0], SETS * WAYS, fn, ctx);
    each_in(t->l2, &t->l2->large[0][0], LARGE_SETS * WAYS, fn, ctx);
}
