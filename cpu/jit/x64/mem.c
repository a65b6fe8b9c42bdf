/*
 * Guest memory: effective addresses, and the check in front of each access.
 *
 * The check is the soft TLB's: index by page number, then (address XOR tag) must be an offset from
 * which the access does not leave the page. That one unsigned compare catches a wrong page, a page
 * that must not be touched directly (registers, code lines, watched: their tags never match) and an
 * access that crosses into the next page. Misaligned accesses within a page pass; alignment
 * checking
 * (#AC) keeps the engine out of compiled code altogether.
 *
 * A miss first asks C to refill the entry and tries again; if the page may not be touched directly
 * the instruction bails.
 */
#include "cpu/jit/x64/x64.h"

struct xo x64_gpr(const struct em *e, unsigned r)
{
    unsigned h = x64_host(r);
    return h != RNONE ? xr(h) : xm(ENV, e->be->l->gpr + 8 * (int32_t)r);
}

unsigned x64_get(struct em *e, unsigned r, unsigned tmp)
{
    unsigned h = x64_host(r);
    if (h != RNONE) {
        return h;
    }
    asm_load(&e->a, 8, tmp, x64_gpr(e, r));
    return tmp;
}

static bool pinned_or_none(unsigned r)
{
    return r == UR_NONE || (r < 16 && x64_host(r) != RNONE);
}

/* The base or index as a host register; UR_PAGE and unpinned ones go to tmp. */
static unsigned part(struct em *e, unsigned r, unsigned tmp)
{
    if (r == UR_PAGE) {
        asm_load(&e->a, 8, tmp, xm(ENV, ENV_OFF(page)));
        return tmp;
    }
    if (r == UR_SCRATCH) {
        asm_load(&e->a, 8, tmp, xm(ENV, ENV_OFF(scratch)));
        return tmp;
    }
    return x64_get(e, r, tmp);
}

void x64_ea(struct em *e, const struct uop_mem *m, unsigned dst, int32_t more)
{
    unsigned other = dst == T0 ? T1 : T0, w = m->asz == 8 ? 8 : 4;
    int64_t disp = m->disp + more;
    if (m->base == UR_NONE && m->index == UR_NONE) {
        asm_const(&e->a, dst, w == 8 ? (uint64_t)disp : (uint32_t)disp);
    } else {
        unsigned tmp = dst == T0 || dst == T1 ? dst : T1;
        unsigned b = m->base != UR_NONE ? part(e, m->base, tmp) : RNONE;
        unsigned x = m->index != UR_NONE ? part(e, m->index, b == tmp ? other : tmp) : RNONE;
        if (b == RNONE && m->scale == 0) {
            b = x;
            x = RNONE;
        }
        if (b == RNONE) { /* index alone, scaled: there is no form without a base but disp32 */
            asm_op(&e->a, w, 0x8d, dst, (struct xo){true, RBP, (uint8_t)x, m->scale, 0x7fffffff},
                   0);
            /* mod 2 with base rbp was emitted; make it mod 0: [index * scale + disp32] */
            e->a.base[e->a.at - 6] &= 0x3f;
            uint32_t d = (uint32_t)disp;
            memcpy(&e->a.base[e->a.at - 4], &d, 4);
        } else {
            asm_lea(&e->a, w, dst,
                    x == RNONE ? xm(b, (int32_t)disp) : xmi(b, x, m->scale, (int32_t)disp));
        }
    }
    if (m->asz == 2) {
        asm_zx(&e->a, 2, dst, xr(dst));
    }
}

int32_t x64_refund(const struct em *e)
{
    return jit_refund(e->src, e->u->part);
}

uint32_t x64_site(struct em *e, unsigned kind)
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
    to->flags_dead = e->u > e->src->u && !(e->u[-1].attr & UF_NEED);
    to->refund = (uint16_t)x64_refund(e);
    to->x87_off = e->x87_off;
    to->x87_op = e->x87_op;
    return s;
}

void x64_bail_if(struct em *e, unsigned cc, uint32_t site)
{
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = COLD_JUMP, .site = site, .to = e->be->leave};
    c->from = asm_jcc(&e->a, cc);
}

/* T1 = linear address, checked against the segment. */
static void linear(struct em *e, const struct uop_mem *m, unsigned size, bool write, uint32_t site)
{
    x64_ea(e, m, T1, 0);
    if (m->segm == US_FLAT) {
        return;
    }
    int32_t seg = e->be->l->segv + m->seg * e->be->l->segv_size;
    if (m->segm == US_BASE) {
        asm_alu(&e->a, 8, 0, T1, xm(ENV, seg));
        return;
    }
    asm_alu(&e->a, 8, 7, T1, xm(ENV, seg + 8));
    x64_bail_if(e, XB, site);
    asm_lea(&e->a, 8, T0, xm(T1, (int32_t)size));
    asm_alu(&e->a, 8, 7, T0, xm(ENV, seg + (write ? 24 : 16)));
    x64_bail_if(e, XA, site);
    asm_alu(&e->a, 4, 0, T1, xm(ENV, seg));
}

static struct xo probe(struct em *e, const struct uop_mem *m, unsigned size, bool write,
                       bool free_t1)
{
    const struct jit_layout *l = e->be->l;
    struct asmbuf *a = &e->a;
    int32_t tag = l->l1[e->src->view] + (write ? 16 : 0);
    bool simple = m->segm == US_FLAT && m->asz == 8 && m->base != UR_NONE &&
                  pinned_or_none(m->base) && pinned_or_none(m->index) &&
                  m->disp == (int32_t)m->disp;
    uint32_t site = x64_site(e, SITE_BAIL), retry = a->at;
    struct xo addr = xm(T1, 0);
    if (simple) {
        unsigned b = x64_host(m->base);
        addr = m->index == UR_NONE ? xm(b, (int32_t)m->disp)
                                   : xmi(b, x64_host(m->index), m->scale, (int32_t)m->disp);
        asm_lea(a, 4, T0, addr);
    } else {
        linear(e, m, size, write, site);
        asm_mov(a, 4, T0, T1);
    }
    asm_shift(a, 4, 5, xr(T0), 7);
    asm_alu_imm(a, 4, 4, xr(T0), (int32_t)((l->l1_entries - 1) << 5));
    if (simple) {
        if (m->index == UR_NONE && m->disp == 0) {
            asm_mov(a, 8, T1, x64_host(m->base));
        } else {
            asm_lea(a, 8, T1, addr);
        }
    }
    asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, tag));
    bool aligned = e->align > 1 && e->align == size; /* then it does not cross the page's end */
    if (aligned) {
        asm_test_imm(a, 8, xr(T1), -4096 | (int32_t)(size - 1));
    } else {
        asm_alu_imm(a, 8, 7, xr(T1), (int32_t)(4096 - size));
    }
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = COLD_REFILL,
                       .undo = !simple,
                       .what = size | (write ? JIT_REFILL_WRITE | JIT_REFILL_ONCE : 0) |
                               (aligned ? JIT_REFILL_ALIGN : 0) | (e->keep ? JIT_REFILL_KEEP : 0) |
                               JIT_REFILL_VIEW(e->src->view),
                       .retry = retry,
                       .site = site,
                       .tag = tag,
                       .addr = addr};
    c->from = asm_jcc(a, aligned ? XNE : XA);
    if (!simple) {
        asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, tag));
    }
    asm_load(a, 8, T0, xmi(ENV, T0, 0, tag + 8));
    c->once = a->at;
    e->host_flags = HF_NONE;
    if (simple && m->index == UR_NONE) {
        return xmi(T0, x64_host(m->base), 0, (int32_t)m->disp);
    }
    if (simple) {
        asm_lea(a, 8, T1, addr);
    }
    if (free_t1) {
        asm_alu(a, 8, 0, T0, xr(T1));
        return xm(T0, 0);
    }
    return xmi(T0, T1, 0, 0);
}

/* ---- groups (cpu/jit/groups.h) ---- */

static struct xo group_bias(const struct uop *u)
{
    return xm(ENV, ENV_OFF(bias) + 8 * (u->group - 1));
}

/* The group's page is known. Keeps the host's flags. */
static struct xo place(struct em *e, bool free_t1)
{
    const struct uop_mem *m = &e->u->m;
    struct asmbuf *a = &e->a;
    if (m->asz == 8 && m->base != UR_NONE && m->base != UR_PAGE && x64_host(m->base) != RNONE &&
        m->index == UR_NONE) {
        asm_load(a, 8, T0, group_bias(e->u));
        return xmi(T0, x64_host(m->base), 0, (int32_t)m->disp);
    }
    x64_ea(e, m, T1, 0);
    asm_load(a, 8, T0, group_bias(e->u));
    if (free_t1) {
        asm_lea(a, 8, T0, xmi(T0, T1, 0, 0));
        return xm(T0, 0);
    }
    return xmi(T0, T1, 0, 0);
}

/* Check the whole group. */
static void lead(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    const struct jit_layout *l = e->be->l;
    int32_t tag = l->l1[e->src->view] + (u->gwrite ? 16 : 0);
    uint32_t retry = a->at;
    x64_ea(e, &u->m, T1, u->glo);
    asm_mov(a, 4, T0, T1);
    asm_shift(a, 4, 5, xr(T0), 7);
    asm_alu_imm(a, 4, 4, xr(T0), (int32_t)((l->l1_entries - 1) << 5));
    asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, tag));
    asm_alu_imm(a, 8, 7, xr(T1), (int32_t)(4096 - u->gspan));
    struct cold *c = x64_cold_new(e);
    *c = (struct cold){.kind = COLD_REFILL,
                       .lead = true,
                       .undo = true,
                       .what = u->gspan | (u->gwrite ? JIT_REFILL_WRITE : 0) |
                               JIT_REFILL_VIEW(e->src->view),
                       .retry = retry,
                       .tag = tag};
    x64_cold_state(e, c, u->off);
    c->from = asm_jcc(a, XA);
    asm_load(a, 8, T0, xmi(ENV, T0, 0, tag + 8));
    asm_store(a, 8, group_bias(u), T0);
    e->host_flags = HF_NONE;
    e->groups |= UINT32_C(1) << (u->group - 1);
}

static bool grouped(const struct em *e, const struct uop_mem *m, unsigned size)
{
    const struct uop *u = e->u;
    return u->group && m == &u->m && size <= u->gsize &&
           (u->glead || (e->groups >> (u->group - 1) & 1));
}

struct xo x64_mem(struct em *e, const struct uop_mem *m, unsigned size, bool write, bool free_t1)
{
    unsigned was = emit_class(&e->a.count, EMIT_address);
    struct xo at;
    if (grouped(e, m, size)) {
        if (e->u->glead) {
            lead(e);
        }
        at = place(e, free_t1);
    } else {
        at = probe(e, m, size, write, free_t1);
    }
    emit_class(&e->a.count, was);
    return at;
}
