/*
 * Guest memory: effective addresses, and the check in front of each access.
 *
 * The check is the soft TLB's: index by page number, then address XOR tag must have no page bits
 * (wrong page, or one that must not be touched directly: registers, code lines, watched) and no
 * bits of a misaligned access. A misaligned access that stays in its page comes back from cold
 * code. Alignment checking (#AC) keeps the engine out of compiled code altogether. LDP gets tag and
 * bias at once, and nothing here touches NZCV.
 *
 * An x87 number of 10 bytes is checked for the page's end alone; that sets NZCV.
 *
 * Accesses of a group (cpu/jit/groups.h) lie at constant distances from where its leader found the
 * group's lowest byte: they are a register and a displacement. This check sets NZCV.
 *
 * A miss first asks C to refill the entry and tries again; if the page may not be touched directly
 * the instruction bails.
 */
#include "cpu/jit/a64/a64.h"
#include "cpu/jit/a64/asm_vec.h"

void a64_add_const(struct asmbuf *a, unsigned w, unsigned d, unsigned n, int64_t v)
{
    uint64_t pos = (uint64_t)v, neg = 0 - pos;
    if (w == 4) {
        pos &= UINT32_MAX;
        neg &= UINT32_MAX;
    }
    if (pos == 0) {
        if (d != n || w == 4) {
            asm_mov(a, w, d, n);
        }
    } else if (asm_imm12(pos)) {
        asm_addsub_imm(a, w, A_ADD, d, n, (uint32_t)pos);
    } else if (asm_imm12(neg)) {
        asm_addsub_imm(a, w, A_SUB, d, n, (uint32_t)neg);
    } else if (neg < UINT32_C(1) << 24) {
        asm_addsub_imm(a, w, A_SUB, d, n, (uint32_t)neg & ~UINT32_C(4095));
        asm_addsub_imm(a, w, A_SUB, d, d, (uint32_t)neg & 4095);
    } else if (pos < UINT32_C(1) << 24) {
        asm_addsub_imm(a, w, A_ADD, d, n, (uint32_t)pos & ~UINT32_C(4095));
        asm_addsub_imm(a, w, A_ADD, d, d, (uint32_t)pos & 4095);
    } else {
        unsigned tmp = d == n ? P0 : d;
        asm_const(a, tmp, pos);
        asm_addsub(a, w, A_ADD, d, n, tmp, A_LSL, 0);
    }
}

unsigned a64_ea(struct em *e, const struct uop_mem *m, unsigned dst)
{
    struct asmbuf *a = &e->a;
    unsigned w = m->asz == 8 ? 8 : 4;
    if (m->base == UR_NONE && m->index == UR_NONE) {
        asm_const(a, dst,
                  w == 8        ? (uint64_t)m->disp
                  : m->asz == 4 ? (uint32_t)m->disp
                                : (uint16_t)m->disp);
        return dst;
    }
    unsigned b = m->base == UR_NONE ? XZR : m->base == UR_PAGE ? PAGE : a64_host(m->base);
    if (m->index != UR_NONE) {
        asm_addsub(a, w, A_ADD, dst, b, a64_host(m->index), A_LSL, m->scale);
        b = dst;
    }
    if (m->disp || (w == 4 && b != dst)) {
        a64_add_const(a, w, dst, b, m->disp);
        b = dst;
    }
    if (m->asz == 2) {
        asm_zx(a, 2, dst, b);
        b = dst;
    }
    return b;
}

int32_t a64_refund(const struct em *e)
{
    return jit_refund(e->src, e->u->part);
}

uint32_t a64_site(struct em *e, unsigned kind)
{
    uint32_t s = jit_site_new(e->be, e->code, kind);
    if (s == UINT32_MAX) {
        e->failed = true;
        return 0;
    }
    struct jit_site *to = &e->be->site[s];
    to->owner = e->src->part[e->u->part].owner;
    to->k = e->u->k;
    to->rc = e->rc;
    to->x87_off = e->x87_off;
    to->x87_op = e->x87_op;
    to->flags_dead = e->u > e->src->u && !(e->u[-1].attr & UF_NEED);
    to->refund = (uint16_t)a64_refund(e);
    return s;
}

/* addr, below its segment's limits, plus its base: a linear address in T1. */
static unsigned linear(struct em *e, const struct uop_mem *m, unsigned addr, unsigned size,
                       bool write, uint32_t site)
{
    struct asmbuf *a = &e->a;
    int32_t seg = e->be->l->segv + m->seg * e->be->l->segv_size;
    if (m->segm == US_FLAT) {
        return addr;
    }
    if (m->segm == US_CHECK) {
        a64_env_load(a, P0, seg + 8);
        asm_addsub(a, 8, A_SUBS, XZR, addr, P0, A_LSL, 0);
        a64_leave_from(e, asm_bcond(a, A_CC), site);
        a64_env_load(a, P1, seg + (write ? 24 : 16));
        asm_addsub_imm(a, 8, A_ADD, P0, addr, size);
        asm_addsub(a, 8, A_SUBS, XZR, P0, P1, A_LSL, 0);
        a64_leave_from(e, asm_bcond(a, A_HI), site);
        e->nz = NZ_NONE;
    }
    a64_env_load(a, P0, seg);
    asm_addsub(a, m->segm == US_CHECK ? 4 : 8, A_ADD, T1, addr, P0, A_LSL, 0);
    return T1;
}

static struct a64_loc probe(struct em *e, const struct uop_mem *m, unsigned size, bool write,
                            bool aligned)
{
    const struct jit_layout *l = e->be->l;
    struct asmbuf *a = &e->a;
    uint32_t site = a64_site(e, SITE_BAIL);
    unsigned addr = linear(e, m, a64_ea(e, m, T1), size, write, site);
    struct cold *c = a64_cold_new(e);
    *c = (struct cold){.kind = COLD_REFILL,
                       .u = e->u,
                       .rc = e->rc,
                       .x87_off = e->x87_off,
                       .x87_op = e->x87_op,
                       .vec = e->vec,
                       .batch = c->batch,
                       .aligned = aligned,
                       .size = (uint8_t)size,
                       .addr = (uint8_t)addr,
                       .what = size | (write ? JIT_REFILL_WRITE : 0) |
                               (aligned ? JIT_REFILL_ALIGN : 0) | JIT_REFILL_VIEW(e->src->view),
                       .retry = a->at,
                       .site = site};
    asm_ubfx(a, 8, P0, addr, 12, (unsigned)__builtin_ctz(l->l1_entries));
    asm_addsub(a, 8, A_ADD, P0, TLB, P0, A_LSL, 5);
    asm_pair(a, true, P0, P1, P0, write ? 16 : 0);
    asm_logic(a, 8, A_EOR, P0, P0, addr);
    if (size == 10) {
        c->aligned = true; /* nothing to look at again */
        asm_addsub_imm(a, 8, A_SUBS, XZR, P0, 4096u - size);
        c->from = asm_bcond(a, A_HI);
        e->nz = NZ_NONE;
    } else {
        asm_logic_imm(a, 8, A_AND, LINK, P0, ~UINT64_C(4095) | (size - 1));
        c->from = asm_cbz(a, 8, true, LINK);
    }
    c->pass = a->at;
    return (struct a64_loc){.base = P1, .index = (uint8_t)addr};
}

/* ---- groups (cpu/jit/groups.h) ---- */

/* Where the lowest byte of a group is for the host: the first group's in GROUP, the others' in
 * env->bias. */
static int32_t group_slot(const struct uop *u)
{
    return ENV_OFF(bias) + 8 * (u->group - 1);
}

/* Check the whole group. */
static void lead(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    struct uop_mem m = u->m;
    uint32_t retry = a->at;
    m.disp += u->glo;
    unsigned addr = a64_ea(e, &m, T1);
    struct cold *c = a64_cold_new(e);
    c->kind = COLD_REFILL;
    c->addr = (uint8_t)addr;
    c->what = JIT_REFILL_SIZE(u->gspan) | (u->gwrite ? JIT_REFILL_WRITE : 0) |
              JIT_REFILL_VIEW(e->src->view);
    c->retry = retry;
    if (u == e->src->u) { /* leaving for this instruction would come back to it */
        c->site = a64_site(e, SITE_BAIL);
        e->be->site[c->site].lead = true;
    } else {
        c->lead = true;
        c->target = u->off;
    }
    asm_ubfx(a, 8, P0, addr, 12, (unsigned)__builtin_ctz(e->be->l->l1_entries));
    asm_addsub(a, 8, A_ADD, P0, TLB, P0, A_LSL, 5);
    asm_pair(a, true, P0, P1, P0, u->gwrite ? 16 : 0);
    asm_logic(a, 8, A_EOR, P0, P0, addr);
    asm_addsub_imm(a, 8, A_SUBS, XZR, P0, 4096u - u->gspan);
    c->from = asm_bcond(a, A_HI);
    e->nz = NZ_NONE;
    unsigned to = u->group == 1 ? GROUP : P1;
    asm_addsub(a, 8, A_ADD, to, P1, addr, A_LSL, 0);
    if (to == P1) {
        asm_mem_imm(a, 8, A_ST, P1, ENV, (uint32_t)group_slot(u));
    }
    e->groups |= UINT32_C(1) << (u->group - 1);
}

static bool known(const struct em *e)
{
    return e->groups >> (e->u->group - 1) & 1;
}

static bool grouped(const struct em *e, const struct uop_mem *m, unsigned size)
{
    const struct uop *u = e->u;
    return u->group && m == &u->m && size <= u->gsize && (u->glead || known(e));
}

static bool fits(unsigned size, int32_t disp)
{
    size = size == 10 ? 8 : size; /* 8 and 2 */
    return asm_fits_offset(size, disp) || (disp >= -256 && disp < 256 - 16);
}

static struct a64_loc in_group(struct em *e, unsigned size)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned base = u->group == 1 ? GROUP : P1;
    if (u->glead && !(u->gkeep && known(e))) {
        lead(e);
    } else if (base == P1) {
        asm_mem_imm(a, 8, A_LD, P1, ENV, (uint32_t)group_slot(u));
    }
    int32_t disp = u->gat;
    if (!fits(size, disp)) {
        asm_addsub_imm(a, 8, A_ADD, P1, base, (uint32_t)disp);
        base = P1;
        disp = 0;
    }
    return (struct a64_loc){.base = (uint8_t)base, .index = XZR, .disp = (int16_t)disp};
}

/* ---- accesses ---- */

void a64_access(struct em *e, unsigned w, unsigned op, unsigned t, struct a64_loc at)
{
    if (at.index != XZR) {
        asm_mem(&e->a, w, op, t, at.base, at.index);
    } else if (asm_fits_offset(w, at.disp)) {
        asm_mem_imm(&e->a, w, op, t, at.base, (uint32_t)at.disp);
    } else {
        asm_mem_near(&e->a, w, op, t, at.base, at.disp);
    }
}

void a64_vec_access(struct em *e, bool load, unsigned w, unsigned t, struct a64_loc at)
{
    if (at.index != XZR) {
        asm_vmem(&e->a, load, w, t, at.base, at.index);
    } else if (asm_fits_offset(w, at.disp)) {
        asm_vmem_imm(&e->a, load, w, t, at.base, (uint32_t)at.disp);
    } else {
        asm_vmem_near(&e->a, load, w, t, at.base, at.disp);
    }
}

struct a64_loc a64_flat(struct em *e, struct a64_loc at)
{
    if (at.index != XZR) {
        asm_addsub(&e->a, 8, A_ADD, P1, at.base, at.index, A_LSL, 0);
        return (struct a64_loc){.base = P1, .index = XZR};
    }
    return at;
}

struct a64_loc a64_mem_aligned(struct em *e, const struct uop_mem *m, unsigned size, bool write,
                               unsigned align)
{
    unsigned was = a64_class(e, EMIT_address);
    struct a64_loc at = grouped(e, m, size) ? in_group(e, size)
                                            : probe(e, m, size, write, align > 1 && align == size);
    a64_class(e, was);
    return at;
}

struct a64_loc a64_mem(struct em *e, const struct uop_mem *m, unsigned size, bool write)
{
    return a64_mem_aligned(e, m, size, write, 1);
}
