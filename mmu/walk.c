/*
 * The page walk.
 *
 * One loop serves all modes: a level is a row that says where the index lies in the linear address,
 * what size an entry has, which bits are reserved in it, and whether it may map a page itself.
 * Entries are read from the address space, so tables in ROM, in registers or nowhere are as
 * harmless as elsewhere on a bus (nobody there reads as all ones).
 *
 * What always holds: no accessed or dirty bit is written unless the whole access is allowed. The
 * SDM lets a processor set accessed bits of upper levels before a fault (4.8); not doing so is the
 * simpler of the allowed behaviours and keeps checks before effects.
 *
 * Sources: Intel SDM volume 3A, 4.3 (32-bit, table 4-3 to 4-6), 4.4 (PAE, table 4-8 to 4-11), 4.5
 * (4-level, table 4-14 to 4-20), 4.6 (rights), 4.7 (error codes), 4.8 (accessed, dirty).
 */
#include "mmu/walk.h"

#include "util/bits.h"

#define PTE_P  UINT64_C(0x001)
#define PTE_W  UINT64_C(0x002)
#define PTE_U  UINT64_C(0x004)
#define PTE_A  UINT64_C(0x020)
#define PTE_D  UINT64_C(0x040)
#define PTE_PS UINT64_C(0x080)
#define PTE_G  UINT64_C(0x100)
#define PTE_NX (UINT64_C(1) << 63)

#define LARGE_PAT UINT64_C(0x1000)
#define SMALL_PAT UINT64_C(0x080)

enum { MAX_LEVELS = 4 };

/* One entry on the way, kept for the accessed and dirty bits. */
struct step {
    gpa at;
    uint64_t val;
};

struct walk {
    const struct walk_mode *m;
    struct aspace *mem;
    unsigned entry_size; /* bytes: 4 or 8 */
    unsigned nsteps;
    struct step step[MAX_LEVELS];
};

static uint64_t entry_read(struct aspace *mem, gpa at, unsigned size)
{
    struct aspace_hit hit = aspace_find(mem, at);
    if (LIKELY(hit.ram != NULL)) {
        return le_get(ram_read_ptr(hit.ram, hit.pfn) + at % PAGE_SIZE, size);
    }
    return aspace_read(mem, at, size);
}

static uint64_t field(uint64_t val, unsigned hi, unsigned lo)
{
    return val & (bits_mask(hi + 1) & ~bits_mask(lo));
}

/* Reserved bits of a present entry that all 8-byte entries share. */
static uint64_t reserved_wide(const struct walk_mode *m)
{
    /* PAE reserves 62:MAXPHYADDR; 4-level 51:MAXPHYADDR, the bits above are ignored. */
    uint64_t rsvd = ~m->phys_mask & bits_mask(m->lma ? 52 : 63);
    return m->nxe ? rsvd : rsvd | PTE_NX;
}

/* The reserved bits of an entry that maps a page of 1 << bits bytes. */
static uint64_t reserved_leaf(const struct walk_mode *m, unsigned bits)
{
    uint64_t pat = m->no_pat ? bits == 12 ? SMALL_PAT : LARGE_PAT : 0;
    if (bits == 12) {
        return pat;
    }
    if (bits != 22) {
        return pat | field(~UINT64_C(0), bits - 1, 13);
    }
    /* 4 MiB: 20:13 may hold address bits 39:32, as many as exist (M = min(40, MAXPHYADDR)). */
    uint64_t high = m->pse36 ? field(m->phys_mask, 39, 32) >> 32 << 13 : 0;
    return pat | (field(~UINT64_C(0), 21, 13) & ~high);
}

static gpa leaf_base(const struct walk_mode *m, uint64_t val, unsigned bits)
{
    if (bits == 22) {
        return field(val, 31, 22) | (m->pse36 ? field(val, 20, 13) >> 13 << 32 : 0);
    }
    uint64_t top = m->pae ? m->phys_mask & bits_mask(52) : bits_mask(32);
    return val & top & ~bits_mask(bits);
}

/* May an entry that selects (1 << shift) bytes map them itself? */
static bool may_be_large(const struct walk_mode *m, unsigned shift)
{
    return shift == 21 || (shift == 22 && m->pse) || (shift == 30 && m->lma && m->page1g);
}

static struct walk_result fault(const struct walk_mode *m, enum mem_access acc, bool user,
                                uint32_t why)
{
    return (struct walk_result){.err = walk_error(m, acc, user) | why};
}

static struct walk_result untranslated(const struct walk_mode *m, gva la)
{
    return (struct walk_result){.ok = true,
                                .addr = la & m->a20_mask,
                                .page_bits = PAGE_BITS,
                                .user = true,
                                .write = true,
                                .exec = true,
                                .dirty = true};
}

/* Set what is not set yet, from the root down; the dirty bit in the last entry only. */
static void set_accessed(struct walk *w, bool dirty)
{
    for (unsigned i = 0; i < w->nsteps; i++) {
        struct step *s = &w->step[i];
        uint64_t want = s->val | PTE_A | (dirty && i + 1 == w->nsteps ? PTE_D : 0);
        if (want != s->val) {
            aspace_write(w->mem, s->at, w->entry_size, want);
            s->val = want;
        }
    }
}

struct walk_result walk_page(const struct walk_mode *m, struct aspace *mem, gva la,
                             enum mem_access acc, bool user, bool ac, bool probe)
{
    if (!m->paging) {
        return untranslated(m, la);
    }
    struct walk w = {.m = m, .mem = mem, .entry_size = m->pae ? 8 : 4};
    unsigned index_bits = m->pae ? 9 : 10;
    unsigned shift = m->lma ? 39 : m->pae ? 21 : 22;
    uint64_t rsvd_all = m->pae ? reserved_wide(m) : 0;
    uint64_t table = m->cr3 & (m->lma ? m->phys_mask & PAGE_MASK : UINT64_C(0xfffff000));
    struct walk_result res = {.user = true, .write = true, .exec = true};

    if (m->pae && !m->lma) {
        uint64_t pdpte = m->pdpte[la >> 30 & 3];
        if (!(pdpte & PTE_P)) {
            return fault(m, acc, user, 0);
        }
        table = pdpte & m->phys_mask & PAGE_MASK;
    }
    for (;; shift -= index_bits) {
        uint64_t index = la >> shift & bits_mask(index_bits);
        gpa at = (table + index * w.entry_size) & m->a20_mask;
        uint64_t val = entry_read(mem, at, w.entry_size);
        if (!(val & PTE_P)) {
            return fault(m, acc, user, 0);
        }
        w.step[w.nsteps++] = (struct step){at, val};
        bool leaf = shift == PAGE_BITS || ((val & PTE_PS) && may_be_large(m, shift));
        uint64_t rsvd = rsvd_all;
        if (leaf) {
            rsvd |= reserved_leaf(m, shift);
        } else if (shift >= 30) {
            rsvd |= PTE_PS; /* PML4E, and PDPTE without 1 GiB pages */
        }
        if (val & rsvd) {
            return fault(m, acc, user, PF_P | PF_RSVD);
        }
        res.user &= (val & PTE_U) != 0;
        res.write &= (val & PTE_W) != 0;
        res.exec &= !(m->pae && (val & PTE_NX)); /* reserved, so clear, without EFER.NXE */
        if (leaf) {
            res.addr = (leaf_base(m, val, shift) | (la & bits_mask(shift))) & m->a20_mask;
            res.page_bits = (uint8_t)shift;
            res.global = m->pge && (val & PTE_G);
            break;
        }
        table = leaf_base(m, val, PAGE_BITS);
    }
    if (!walk_allowed(m, res.user, res.write, res.exec, acc, user, ac)) {
        return fault(m, acc, user, PF_P);
    }
    if (!probe) {
        set_accessed(&w, acc == ACC_WRITE);
    }
    res.dirty = (w.step[w.nsteps - 1].val & PTE_D) != 0;
    res.ok = true;
    return res;
}

bool walk_load_pdptes(const struct walk_mode *m, struct aspace *mem, uint64_t cr3,
                      uint64_t pdpte[4])
{
    /* Reserved: 2:1, 8:5, 63:MAXPHYADDR (table 4-8). */
    uint64_t rsvd = UINT64_C(0x1e6) | ~m->phys_mask, val[4];
    for (unsigned i = 0; i < 4; i++) {
        val[i] = entry_read(mem, ((cr3 & UINT64_C(0xffffffe0)) + 8 * i) & m->a20_mask, 8);
        if ((val[i] & PTE_P) && (val[i] & rsvd)) {
            return false;
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = val[i];
    }
    return true;
}
