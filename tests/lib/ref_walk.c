// The reference page walk. Bit positions are written as the tables of SDM 3A chapter 4 give them;
// nothing is shared between the modes but reading an entry and judging the rights at the end.

#include "tests/lib/ref_walk.h"

#include <string.h>

static bool bit(uint64_t v, unsigned n)
{
    return v >> n & 1;
}

static bool any(uint64_t v, unsigned hi, unsigned lo)
{
    for (unsigned n = lo; n <= hi && n < 64; n++) {
        if (bit(v, n)) {
            return true;
        }
    }
    return false;
}

static unsigned maxphyaddr(const struct walk_mode *m)
{
    unsigned n = 0;
    while (bit(m->phys_mask, n)) {
        n++;
    }
    return n;
}

static uint64_t rd(const struct ref_mem *mem, gpa at, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)(at + i < mem->size ? mem->bytes[at + i] : 0xff) << (8 * i);
    }
    return v;
}

// What is collected on the way down.
struct path {
    const struct walk_mode *m;
    struct ref_access a;
    struct ref_result r;
    bool us, rw, xd; // all U/S and R/W so far; any XD
};

static struct ref_result not_present(struct path *p)
{
    p->r.fault = true;
    p->r.err = 0;
    return p->r;
}

static struct ref_result reserved(struct path *p)
{
    p->r.fault = true;
    p->r.err = PF_P | PF_RSVD;
    return p->r;
}

static void through(struct path *p, gpa at, uint64_t entry)
{
    p->us = p->us && bit(entry, 2);
    p->rw = p->rw && bit(entry, 1);
    p->xd = p->xd || (p->m->pae && p->m->nxe && bit(entry, 63));
    p->r.mark[p->r.nmarks].at = at;
    p->r.mark[p->r.nmarks].bits = 0x20;
    p->r.nmarks++;
}

// 4.6.1, sentence by sentence.
static bool allowed(const struct path *p)
{
    const struct walk_mode *m = p->m;
    bool user_page = p->us, nx = p->xd;
    if (!p->a.user) {
        if (p->a.fetch) {
            if (user_page && m->smep) {
                return false;
            }
            return !nx;
        }
        if (p->a.write) {
            if (!m->wp) {
                return !user_page || !m->smap || p->a.ac;
            }
            return p->rw && (!user_page || !m->smap || p->a.ac);
        }
        return !user_page || !m->smap || p->a.ac;
    }
    if (!user_page) {
        return false;
    }
    if (p->a.fetch) {
        return !nx;
    }
    return !p->a.write || p->rw;
}

static struct ref_result page(struct path *p, uint64_t entry, gpa base, unsigned bits)
{
    struct ref_result *r = &p->r;
    r->page_bits = bits;
    r->user = p->us;
    r->write = p->rw;
    r->exec = !p->xd;
    r->global = p->m->pge && bit(entry, 8);
    r->addr = base + p->a.la % ((uint64_t)1 << bits);
    if (!allowed(p)) {
        r->fault = true;
        r->err = PF_P;
    } else if (p->a.write) {
        r->mark[r->nmarks - 1].bits |= 0x40;
    }
    return *r;
}

// 4.3, tables 4-4 to 4-6.
static struct ref_result walk_32bit(struct path *p, const struct ref_mem *mem)
{
    const struct walk_mode *m = p->m;
    uint32_t la = (uint32_t)p->a.la;
    gpa at = ((uint32_t)m->cr3 / 4096 * 4096ull + la / 0x400000 * 4) & m->a20_mask;
    uint64_t pde = rd(mem, at, 4);
    if (!bit(pde, 0)) {
        return not_present(p);
    }
    if (m->pse && bit(pde, 7)) {
        unsigned mp = maxphyaddr(m) < 40 ? maxphyaddr(m) : 40;
        unsigned first_reserved = m->pse36 && mp > 32 ? mp - 19 : 13;
        if (any(pde, 21, first_reserved) || (m->no_pat && bit(pde, 12))) {
            return reserved(p);
        }
        through(p, at, pde);
        gpa base = pde & 0xffc00000;
        if (m->pse36) {
            base += (pde >> 13 & 0xff) << 32;
        }
        return page(p, pde, base, 22);
    }
    through(p, at, pde);
    at = ((pde & 0xfffff000) + (la >> 12) % 1024 * 4) & m->a20_mask;
    uint64_t pte = rd(mem, at, 4);
    if (!bit(pte, 0)) {
        return not_present(p);
    }
    if (m->no_pat && bit(pte, 7)) {
        return reserved(p);
    }
    through(p, at, pte);
    return page(p, pte, pte & 0xfffff000, 12);
}

// The page directory at `table` and what is below it; entries of eight bytes, of which bits from
// maxphyaddr to `top` are reserved.
static struct ref_result walk_directory(struct path *p, const struct ref_mem *mem, uint64_t table,
                                        unsigned top)
{
    const struct walk_mode *m = p->m;
    unsigned mp = maxphyaddr(m);
    uint64_t frame = (((uint64_t)1 << mp) - 1) & ~(uint64_t)4095;
    gva la = p->a.la;
    gpa at = (table + (la >> 21) % 512 * 8) & m->a20_mask;
    uint64_t pde = rd(mem, at, 8);
    if (!bit(pde, 0)) {
        return not_present(p);
    }
    if (any(pde, top, mp) || (!m->nxe && bit(pde, 63))) {
        return reserved(p);
    }
    if (bit(pde, 7)) {
        if (any(pde, 20, 13) || (m->no_pat && bit(pde, 12))) {
            return reserved(p);
        }
        through(p, at, pde);
        return page(p, pde, pde & frame & ~(uint64_t)0x1fffff, 21);
    }
    through(p, at, pde);

    at = ((pde & frame) + (la >> 12) % 512 * 8) & m->a20_mask;
    uint64_t pte = rd(mem, at, 8);
    if (!bit(pte, 0)) {
        return not_present(p);
    }
    if (any(pte, top, mp) || (!m->nxe && bit(pte, 63)) || (m->no_pat && bit(pte, 7))) {
        return reserved(p);
    }
    through(p, at, pte);
    return page(p, pte, pte & frame, 12);
}

// 4.4, tables 4-9 to 4-11.
static struct ref_result walk_pae(struct path *p, const struct ref_mem *mem)
{
    const struct walk_mode *m = p->m;
    uint64_t frame = (((uint64_t)1 << maxphyaddr(m)) - 1) & ~(uint64_t)4095;
    p->a.la = (uint32_t)p->a.la;
    uint64_t pdpte = m->pdpte[p->a.la >> 30];
    if (!bit(pdpte, 0)) {
        return not_present(p);
    }
    return walk_directory(p, mem, pdpte & frame, 62);
}

// 4.5, tables 4-15 to 4-20.
static struct ref_result walk_4level(struct path *p, const struct ref_mem *mem)
{
    const struct walk_mode *m = p->m;
    unsigned mp = maxphyaddr(m);
    uint64_t frame = (((uint64_t)1 << mp) - 1) & ~(uint64_t)4095;
    gva la = p->a.la;

    gpa at = ((m->cr3 & frame) + (la >> 39) % 512 * 8) & m->a20_mask;
    uint64_t pml4e = rd(mem, at, 8);
    if (!bit(pml4e, 0)) {
        return not_present(p);
    }
    if (any(pml4e, 51, mp) || bit(pml4e, 7) || (!m->nxe && bit(pml4e, 63))) {
        return reserved(p);
    }
    through(p, at, pml4e);

    at = ((pml4e & frame) + (la >> 30) % 512 * 8) & m->a20_mask;
    uint64_t pdpte = rd(mem, at, 8);
    if (!bit(pdpte, 0)) {
        return not_present(p);
    }
    if (any(pdpte, 51, mp) || (!m->nxe && bit(pdpte, 63))) {
        return reserved(p);
    }
    if (bit(pdpte, 7)) {
        if (!m->page1g || any(pdpte, 29, 13) || (m->no_pat && bit(pdpte, 12))) {
            return reserved(p);
        }
        through(p, at, pdpte);
        return page(p, pdpte, pdpte & frame & ~(uint64_t)0x3fffffff, 30);
    }
    through(p, at, pdpte);
    return walk_directory(p, mem, pdpte & frame, 51);
}

struct ref_result ref_walk(const struct walk_mode *m, const struct ref_mem *mem,
                           struct ref_access a)
{
    struct path p = {.m = m, .a = a, .us = true, .rw = true};
    struct ref_result r;
    if (!m->paging) {
        memset(&r, 0, sizeof r);
        r.addr = a.la;
        r.page_bits = 12;
        r.user = r.write = r.exec = true;
    } else if (m->lma) {
        r = walk_4level(&p, mem);
    } else if (m->pae) {
        r = walk_pae(&p, mem);
    } else {
        r = walk_32bit(&p, mem);
    }
    r.addr &= m->a20_mask;
    if (r.fault) {
        // 4.7
        r.err |= a.write ? PF_W : 0;
        r.err |= a.user ? PF_U : 0;
        r.err |= a.fetch && (m->smep || (m->pae && m->nxe)) ? PF_I : 0;
        r.nmarks = 0;
    }
    return r;
}
