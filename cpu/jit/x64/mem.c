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
 * Where the entry is follows from the address, so data would wait for the address, the entry and
 * its bias in turn. In hot code (superblocks) each access has a slot (jit_env.near)
 * instead that says which entry it met last; the compare is the same. If that fails, cold code
 * looks for the address' own entry and puts it into the slot. Where this happens too often C
 * changes the code into what computes the entry. In 64-bit code an address may have the tag of an
 * entry that is not valid (TLB_MISS) if it is not the address' own entry.
 *
 * A miss first asks C to refill the entry and tries again; if the page may not be touched directly
 * the instruction bails.
 */
#include <assert.h>
#include <stddef.h>

#include "cpu/jit/x64/asm_vec.h"
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
    *c = (struct cold){.kind = COLD_JUMP, .site = site, .to = x64_leave_at(e)};
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

/* Is the address one LEA of registers that the host has, or a constant? */
static bool in_registers(const struct uop_mem *m)
{
    return m->segm == US_FLAT && m->asz >= 4 && pinned_or_none(m->base) && pinned_or_none(m->index);
}

/* May the host add up the address itself, in 64 bits? In 32-bit code where that cannot be another
 * address that is mapped: the registers' upper halves are zero, and what wraps at 4 GiB is no
 * address of the soft TLB (jit_source.wide), so the check fails. */
static bool host_adds(const struct em *e, const struct uop_mem *m)
{
    if (m->base == UR_NONE || m->index != UR_NONE || m->disp != (int32_t)m->disp) {
        return false;
    }
    return m->asz == 8 || (e->src->wide && jit_wide_disp(m->disp));
}

static int32_t tag_of(const struct em *e, bool write)
{
    return e->be->l->l1[e->src->view] + (write ? 16 : 0);
}

void x64_tlb_entry(const struct jit_backend *be, struct asmbuf *a)
{
    if (x64_has_bmi2(be)) { /* RORX */
        asm_vex(a, (struct vop){VMAP_0F3A, VPP_F2, 0xf0, false, false}, T0, 0, xr(T1));
        asm_byte(a, 7);
    } else {
        asm_mov(a, 4, T0, T1);
        asm_shift(a, 4, 5, xr(T0), 7);
    }
    asm_alu_imm(a, 4, 4, xr(T0), (int32_t)((be->l->l1_entries - 1) << 5));
}

/* A slot for accesses of this kind, or NO_SLOT. */
#define NO_SLOT (JIT_VIEWS * JIT_NEAR)
static unsigned take_slot(struct em *e, uint32_t what, bool write)
{
    if (!e->code->super || !x64_has_bmi2(e->be) ||
        (e->src->bits == 64 && (what & JIT_REFILL_ALIGN))) {
        return NO_SLOT;
    }
    uint16_t kind = (uint16_t)(JIT_REFILL_BYTES(what) | (write ? 0x8000u : 0));
    for (unsigned tries = 0; tries < 16; tries++) {
        unsigned slot = e->src->view * JIT_NEAR + e->be->near++ % JIT_NEAR;
        uint16_t *is = &e->be->near_what[slot];
        if (*is == 0 || *is == kind) {
            *is = kind;
            return slot;
        }
    }
    return NO_SLOT;
}

/* T0 = the offset of T1's entry; with a slot, of the entry that this access met last, with room to
 * compute it instead. */
static void find_entry(struct em *e, unsigned slot)
{
    static const uint8_t pad[] = {0x66, 0x0f, 0x1f, 0x44, 0, 0};
    struct asmbuf *a = &e->a;
    if (slot == NO_SLOT) {
        x64_tlb_entry(e->be, a);
        return;
    }
    uint32_t from = a->at;
    asm_load(a, 4, T0, xm(ENV, x64_near(slot) + (int32_t)offsetof(struct jit_near, entry)));
    while (a->at < from + NEAR_BYTES && !a->full) {
        asm_byte(a, pad[a->at + sizeof pad - NEAR_BYTES - from]);
    }
}

uint32_t x64_tlb_compare(struct em *e, uint32_t what)
{
    struct asmbuf *a = &e->a;
    int32_t size = (int32_t)JIT_REFILL_BYTES(what);
    if (what & JIT_REFILL_ALIGN) { /* then it does not cross the page's end */
        asm_test_imm(a, 8, xr(T1), -4096 | (size - 1));
        return asm_jcc(a, XNE);
    }
    asm_alu_imm(a, 8, 7, xr(T1), 4096 - size);
    return asm_jcc(a, XA);
}

static struct cold *refill_new(struct em *e, uint32_t what, bool write, uint32_t retry)
{
    struct cold *c = x64_cold_new(e);
    *c =
        (struct cold){.kind = COLD_REFILL,
                      .what = what | (write ? JIT_REFILL_WRITE : 0) | JIT_REFILL_VIEW(e->src->view),
                      .retry = retry,
                      .tag = tag_of(e, write)};
    return c;
}

/* T1 is an address: look for its page in the soft TLB; T0 = the offset of the entry, T1 = the
 * address XOR its tag. */
static struct cold *look_up(struct em *e, uint32_t what, bool write, uint32_t retry)
{
    struct asmbuf *a = &e->a;
    uint32_t look = a->at;
    unsigned slot = take_slot(e, what, write);
    find_entry(e, slot);
    asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, tag_of(e, write)));
    struct cold *c = refill_new(e, what, write, retry);
    if (slot != NO_SLOT && e->src->bits == 64) {
        assert(a->full || a->at == look + NEAR_COMPARE);
        asm_alu(a, 8, 7, T1, xm(ENV, x64_near(slot) + (int32_t)offsetof(struct jit_near, limit)));
        c->from = asm_jcc(a, XAE);
    } else {
        c->from = x64_tlb_compare(e, what);
    }
    c->near = slot != NO_SLOT;
    c->slot = (uint16_t)slot;
    c->look = look;
    c->hit = a->at;
    return c;
}

/* A constant address of 32-bit code, inside a page. */
static struct xo probe_constant(struct em *e, uint32_t la, unsigned size, bool write, bool free_t1)
{
    struct asmbuf *a = &e->a;
    uint32_t page = la & ~4095u, retry = a->at;
    int32_t entry = (int32_t)((page >> 12 & (e->be->l->l1_entries - 1)) << 5);
    uint32_t site = x64_site(e, SITE_BAIL);
    asm_const(a, T1, page);
    asm_alu(a, 8, 7, T1, xm(ENV, tag_of(e, write) + entry));
    struct cold *c = refill_new(e, JIT_REFILL_SIZE(size), write, retry);
    c->what |= (write ? JIT_REFILL_ONCE : 0) | (e->keep ? JIT_REFILL_KEEP : 0);
    c->known = true;
    c->to = la;
    c->site = site;
    c->from = asm_jcc(a, XNE);
    asm_load(a, 8, T0, xm(ENV, tag_of(e, write) + entry + 8));
    c->once = a->at;
    e->host_flags = HF_NONE;
    if ((int32_t)la >= 0) {
        return xm(T0, (int32_t)la);
    }
    if (free_t1) {
        asm_alu(a, 8, 0, T0, xr(T1));
        return xm(T0, (int32_t)(la & 4095));
    }
    return xmi(T0, T1, 0, (int32_t)(la & 4095));
}

static struct xo probe(struct em *e, const struct uop_mem *m, unsigned size, bool write,
                       bool free_t1)
{
    struct asmbuf *a = &e->a;
    bool regs = in_registers(m), adds = regs && host_adds(e, m);
    bool aligned = e->align > 1 && e->align == size;
    if (regs && m->asz == 4 && m->base == UR_NONE && m->index == UR_NONE && !aligned &&
        ((uint32_t)m->disp & 4095) + size <= 4096) {
        return probe_constant(e, (uint32_t)m->disp, size, write, free_t1);
    }
    uint32_t site = x64_site(e, SITE_BAIL), retry = a->at;
    if (adds) {
        unsigned b = x64_host(m->base);
        if (m->disp) {
            asm_lea(a, 8, T1, xm(b, (int32_t)m->disp));
        } else {
            asm_mov(a, 8, T1, b);
        }
    } else {
        linear(e, m, size, write, site);
    }
    int32_t tag = tag_of(e, write);
    uint32_t what = JIT_REFILL_SIZE(size) | (write ? JIT_REFILL_ONCE : 0) |
                    (aligned ? JIT_REFILL_ALIGN : 0) | (e->keep ? JIT_REFILL_KEEP : 0);
    struct cold *c = look_up(e, what, write, retry);
    c->site = site;
    if (!regs) {
        asm_alu(a, 8, 6, T1, xmi(ENV, T0, 0, tag));
    }
    asm_load(a, 8, T0, xmi(ENV, T0, 0, tag + 8));
    c->once = a->at;
    e->host_flags = HF_NONE;
    if (adds) {
        return xmi(T0, x64_host(m->base), 0, (int32_t)m->disp);
    }
    if (regs) {
        x64_ea(e, m, T1, 0);
    }
    if (free_t1) {
        asm_alu(a, 8, 0, T0, xr(T1));
        return xm(T0, 0);
    }
    return xmi(T0, T1, 0, 0);
}

/* ---- groups (cpu/jit/groups.h) ---- */

/* Where its group is, host minus guest address: a register, or env->bias. */
static unsigned group_reg(const struct em *e)
{
    static const uint8_t free_in_32[] = {R8, R9, R10, R11};
    unsigned n = e->u->group - 1u;
    return e->src->bits == 32 && n < sizeof free_in_32 ? free_in_32[n] : RNONE;
}

static struct xo group_bias(const struct uop *u)
{
    return xm(ENV, ENV_OFF(bias) + 8 * (u->group - 1));
}

/* The group's page is known; in_t0: and T0 says where. Keeps the host's flags. */
static struct xo place(struct em *e, bool free_t1, bool in_t0)
{
    const struct uop_mem *m = &e->u->m;
    struct asmbuf *a = &e->a;
    unsigned bias = group_reg(e);
    bool adds = in_registers(m) && host_adds(e, m) && (m->asz == 8 || e->u->gwide);
    if (!adds) {
        x64_ea(e, m, T1, 0);
    }
    if (bias == RNONE) {
        bias = T0;
        if (!in_t0 || !in_registers(m)) { /* adding up the address may take T0 */
            asm_load(a, 8, T0, group_bias(e->u));
        }
    }
    if (adds) {
        return xmi(bias, x64_host(m->base), 0, (int32_t)m->disp);
    }
    if (free_t1) {
        asm_lea(a, 8, T0, xmi(bias, T1, 0, 0));
        return xm(T0, 0);
    }
    return xmi(bias, T1, 0, 0);
}

/* Check the whole group. */
static void lead(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    int32_t tag = tag_of(e, u->gwrite);
    uint32_t retry = a->at;
    if (in_registers(&u->m) && host_adds(e, &u->m)) {
        asm_lea(a, 8, T1, xm(x64_host(u->m.base), (int32_t)u->m.disp + u->glo));
    } else {
        x64_ea(e, &u->m, T1, u->glo);
    }
    struct cold *c = look_up(e, JIT_REFILL_SIZE(u->gspan), u->gwrite, retry);
    c->lead = true;
    if (u == e->src->u) { /* leaving for this instruction would come back to it */
        c->site = x64_site(e, SITE_BAIL);
        e->be->site[c->site].lead = true;
        c->lead = false;
    } else {
        x64_cold_state(e, c, u->off);
    }
    unsigned bias = group_reg(e);
    if (bias != RNONE) {
        asm_load(a, 8, bias, xmi(ENV, T0, 0, tag + 8));
    } else {
        asm_load(a, 8, T0, xmi(ENV, T0, 0, tag + 8));
        asm_store(a, 8, group_bias(u), T0);
    }
    e->host_flags = HF_NONE;
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

struct xo x64_mem(struct em *e, const struct uop_mem *m, unsigned size, bool write, bool free_t1)
{
    unsigned was = emit_class(&e->a.count, EMIT_address);
    struct xo at;
    if (grouped(e, m, size)) {
        bool check = e->u->glead && !(e->u->gkeep && known(e));
        if (check) {
            lead(e);
        }
        at = place(e, free_t1, check);
    } else {
        at = probe(e, m, size, write, free_t1);
    }
    emit_class(&e->a.count, was);
    return at;
}
