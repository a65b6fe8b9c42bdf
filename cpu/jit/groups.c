/*
 * Memory accesses that need one check together.
 *
 * Registers are followed symbolically: a value that nobody knows, plus a constant. Accesses with
 * the same unknown value and nearby constants (the stack, the fields of a structure) are a group.
 * The first of them, the leader, checks the bytes of all at once and keeps where the page is for
 * the host (jit_env.bias); the others only use it. The leader may check bytes that are never
 * touched, so its failure is no fault: code leaves for a block that begins at that instruction.
 * Where that is the instruction that this code begins with it bails instead, and the guest CPU
 * counts how often (jit_source.lead_first).
 *
 * What always holds: between a leader and its last member code runs straight, and nothing in
 * between changes the soft TLB but a refill, which declines if a host page had to move. A back end
 * forgets all groups where C may have done more (U_INTERP, strings with REP).
 */
#include "cpu/jit/groups.h"

#include <string.h>

#define SPAN_MAX 512 /* bytes: the more, the oftener it is not within one page */
#define OPEN_MAX 16u
/* Value numbers: 0 nothing, 1 the page; from here what registers 0 to 15 hold at first. */
#define FIRST_VALUE 2u

/* What a register holds: value number `id` plus `off`. */
struct value {
    uint32_t id;
    int64_t off;
};

struct open {
    uint32_t base, index; /* value numbers */
    uint8_t scale;
    struct uop *lead; /* the first access; glo and gspan grow */
    int64_t at;       /* its address, from the values */
    int64_t from;     /* its base register's offset */
    bool wide;        /* that register's value and `at` are less than 32 KiB apart, no index */
    unsigned members;
    struct uop *alone; /* while members is 1 */
};

struct state {
    struct value reg[16];
    uint32_t next; /* value number */
    struct open open[OPEN_MAX];
    unsigned nopen, ngroups;
    uint32_t base[JIT_GROUPS + 1], index[JIT_GROUPS + 1]; /* value numbers of each group */
    unsigned native;                                      /* bytes of an address */
    bool wide;                                            /* jit_source.wide */
};

static void fresh(struct state *s, unsigned r)
{
    s->reg[r & 15] = (struct value){s->next++, 0};
}

static void fresh_all(struct state *s)
{
    for (unsigned r = 0; r < 16; r++) {
        fresh(s, r);
    }
}

/* Which bytes does it access at m, with one check? False: none, or in a way that is not known
 * here. */
static bool access_of(const struct uop *u, unsigned *size, bool *write)
{
    bool d = u->dk == UK_MEM, s = u->sk == UK_MEM;
    *size = u->w;
    *write = false;
    switch (u->op) {
    case U_MOV:
    case U_CMOV:
        *write = d;
        return d || s;
    case U_MOVZX:
    case U_MOVSX:
        *size = u->sw;
        return s;
    case U_ADD:
    case U_OR:
    case U_ADC:
    case U_SBB:
    case U_AND:
    case U_SUB:
    case U_XOR:
        *write = d;
        return d || s;
    case U_CMP:
    case U_TEST:
    case U_IMUL:
        return d || s;
    case U_INC:
    case U_DEC:
    case U_NEG:
    case U_NOT:
    case U_SHL:
    case U_SHR:
    case U_SAR:
    case U_SETCC:
        *write = d;
        return d;
    case U_PUSH: /* of memory: that is m; the slot is checked alone */
        *write = !s;
        return true;
    case U_CALL:
    case U_PUSHSEG:
        *write = true;
        return true;
    case U_CALLI:
    case U_JMPI:
        *size = u->sw;
        return s;
    case U_POP:
        return !d;
    case U_LEAVE:
    case U_RET:
        return true;
    case U_X87:
        *write = d;
        return (d || s) && u->w;
    case U_VEC:
        *size = d ? u->w : u->sw;
        *write = d;
        return (d || s) && u->v.align <= 1;
    default:
        return false;
    }
}

/* The address as values and a constant. False: not one that groups. */
static bool address_of(const struct state *s, const struct uop_mem *m, struct open *o)
{
    if (m->segm != US_FLAT || m->asz != s->native || m->disp != (int32_t)m->disp) {
        return false;
    }
    o->from = 0;
    o->wide = false;
    o->base = m->base == UR_NONE ? 0 : m->base == UR_PAGE ? 1 : UINT32_MAX;
    o->at = m->disp;
    if (o->base == UINT32_MAX) {
        if (m->base > 15) {
            return false;
        }
        o->base = s->reg[m->base].id;
        o->from = s->reg[m->base].off;
        o->at += o->from;
        o->wide = s->wide && m->index == UR_NONE && jit_wide_disp(m->disp);
    }
    o->index = 0;
    o->scale = 0;
    if (m->index != UR_NONE) {
        o->index = s->reg[m->index & 15].id;
        o->scale = m->scale;
        o->at += s->reg[m->index & 15].off * (int64_t)(UINT64_C(1) << m->scale);
    }
    return true;
}

static bool fits(const struct open *o, int64_t lo, int64_t hi)
{
    const struct uop *l = o->lead;
    int64_t from = o->at + l->glo, to = from + l->gspan;
    from = lo < from ? lo : from;
    to = hi > to ? hi : to;
    return to - from <= SPAN_MAX && from - o->at >= INT16_MIN;
}

static void join(struct open *o, struct uop *u, int64_t at, unsigned size, bool write)
{
    struct uop *l = o->lead;
    int64_t from = o->at + l->glo, to = from + l->gspan;
    from = at < from ? at : from;
    to = at + size > to ? at + size : to;
    l->glo = (int16_t)(from - o->at);
    l->gspan = (uint16_t)(to - from);
    l->gwrite |= write;
    if (u != l) {
        u->group = l->group;
        o->members++;
    }
}

/* May the host add up the address of u, described by n, in 64 bits? Its base register must not have
 * wrapped at 4 GiB on its way from the leader's, which did not: it lies among what is checked. */
static bool widen(struct open *o, const struct open *n)
{
    if (!o->wide || !n->wide || n->from == o->from) {
        return o->wide && n->wide;
    }
    if (!fits(o, n->from, n->from + 1)) {
        return false;
    }
    join(o, o->lead, n->from, 1, false);
    return true;
}

/* A transfer has stored flags and more when it comes to its access. The first instruction of all:
 * leaving for it would come back to it. */
static bool may_lead(const struct jit_source *src, const struct uop *u)
{
    if (u->off == src->page_off && (u != src->u || !src->lead_first)) {
        return false;
    }
    switch (u->op) {
    case U_CALL:
        return u->attr & UF_SIDE;
    case U_RET:
    case U_LEAVE:
    case U_CALLI:
    case U_JMPI:
        return false;
    default:
        return true;
    }
}

static void place(struct state *s, const struct jit_source *src, struct uop *u)
{
    struct open n = {.scale = 0};
    unsigned size;
    bool write;
    if (!access_of(u, &size, &write) || !address_of(s, &u->m, &n)) {
        return;
    }
    u->gsize = (uint8_t)size;
    for (unsigned k = 0; k < s->nopen; k++) {
        struct open *o = &s->open[k];
        if (o->base == n.base && o->index == n.index && o->scale == n.scale &&
            fits(o, n.at, n.at + size)) {
            join(o, u, n.at, size, write);
            u->gat = (int16_t)(n.at - o->at);
            u->gwide = widen(o, &n);
            return;
        }
    }
    if (!may_lead(src, u) || s->ngroups == JIT_GROUPS) {
        return;
    }
    n.lead = u;
    n.members = 1;
    u->group = (uint8_t)++s->ngroups;
    s->base[u->group] = n.base;
    s->index[u->group] = n.index;
    u->glead = true;
    u->gwide = n.wide;
    join(&n, u, n.at, size, write);
    s->open[s->nopen++ % OPEN_MAX] = n;
    s->nopen = s->nopen > OPEN_MAX ? OPEN_MAX : s->nopen;
}

/* What it leaves in registers. */
static void follow(struct state *s, const struct uop *u)
{
    unsigned w = s->native;
    struct value *sp = &s->reg[4], *d = &s->reg[u->dr & 15];
    bool whole = u->dk == UK_REG && u->w == w;
    switch (u->op) {
    case U_NOP:
    case U_CMP:
    case U_TEST:
    case U_JCC:
    case U_JMP:
    case U_END:
    case U_LOOP:
    case U_CLI:
    case U_STI:
    case U_SETCF:
    case U_SETDF:
        return;
    case U_PUSH:
    case U_CALL:
    case U_PUSHF:
    case U_PUSHSEG:
        sp->off -= u->w;
        return;
    case U_POP:
        sp->off += u->w;
        fresh(s, u->dr);
        return;
    case U_POPF:
        sp->off += u->w;
        return;
    case U_RET:
        sp->off += u->w + u->imm;
        return;
    case U_LEAVE:
        *sp = s->reg[5];
        sp->off += u->w;
        fresh(s, 5);
        return;
    case U_ADD:
    case U_SUB:
        if (whole && u->sk == UK_IMM && u->imm == (int32_t)u->imm) {
            d->off += u->op == U_ADD ? u->imm : -u->imm;
            return;
        }
        break;
    case U_INC:
    case U_DEC:
        if (whole) {
            d->off += u->op == U_INC ? 1 : -1;
            return;
        }
        break;
    case U_MOV:
        if (whole && u->sk == UK_REG) {
            *d = s->reg[u->sr & 15];
            return;
        }
        break;
    case U_LEA:
        if (whole && u->m.asz == w && u->m.base < 16 && u->m.index == UR_NONE &&
            u->m.disp == (int32_t)u->m.disp) {
            *d = s->reg[u->m.base];
            d->off += u->m.disp;
            return;
        }
        break;
    case U_MOVZX:
    case U_MOVSX:
    case U_OR:
    case U_ADC:
    case U_SBB:
    case U_AND:
    case U_XOR:
    case U_NEG:
    case U_NOT:
    case U_SHL:
    case U_SHR:
    case U_SAR:
    case U_ROL:
    case U_ROR:
    case U_IMUL:
    case U_CMOV:
    case U_SETCC:
    case U_BSWAP:
        break;
    case U_CWD:
        fresh(s, 2);
        return;
    case U_CBW:
    case U_X87:
        fresh(s, 0);
        return;
    case U_VEC:
        if (u->dk == UK_XMM || u->dk == UK_MEM || u->dk == UK_NONE) {
            return;
        }
        break;
    default:
        fresh_all(s);
        return;
    }
    if (u->dk == UK_REG || u->dk == UK_REGH) {
        fresh(s, u->dr);
    }
}

/* Behind the body of a loop: does the register that began with this value have it again? */
static bool same_again(const struct state *s, uint32_t value)
{
    if (value < FIRST_VALUE) {
        return true;
    }
    const struct value *v = &s->reg[(value - FIRST_VALUE) & 15];
    return value < FIRST_VALUE + 16 && v->id == value && v->off == 0;
}

/* Groups that need no check when the body runs again: what holds between a leader and its members
 * holds for the runs of a loop too, as long as nothing makes the back end forget them. */
static void keep(const struct state *s, const struct jit_source *src)
{
    for (unsigned k = 0; k < src->n; k++) {
        struct uop *u = &src->u[k];
        u->gkeep =
            u->glead && same_again(s, s->base[u->group]) && same_again(s, s->index[u->group]);
    }
}

/* Number the groups anew, those with the most accesses first: a back end may keep their places in
 * registers. A leader without members is an access like any other. */
static void number(const struct jit_source *src)
{
    unsigned n[JIT_GROUPS + 1] = {0};
    uint8_t to[JIT_GROUPS + 1] = {0};
    int16_t low[JIT_GROUPS + 1] = {0};
    for (unsigned k = 0; k < src->n; k++) {
        n[src->u[k].group]++;
    }
    for (uint8_t next = 1;; next++) {
        unsigned best = 0;
        n[0] = 1;
        for (unsigned g = 1; g <= JIT_GROUPS; g++) {
            best = n[g] > n[best] ? g : best;
        }
        if (!best) {
            break;
        }
        to[best] = next;
        n[best] = 0;
    }
    for (unsigned k = 0; k < src->n; k++) {
        struct uop *u = &src->u[k];
        if (u->glead) {
            low[u->group] = u->glo;
        }
        u->gat = (int16_t)(u->gat - low[u->group]);
        u->group = to[u->group];
        u->glead = u->glead && u->group;
    }
}

void jit_pass_groups(const struct jit_source *src)
{
    if (src->based) {
        return; /* SP may wrap, and segments have limits */
    }
    struct state s = {.next = FIRST_VALUE, .native = src->bits == 64 ? 8 : 4, .wide = src->wide};
    fresh_all(&s);
    for (unsigned k = 0; k < src->n; k++) {
        struct uop *u = &src->u[k];
        if (u->op == U_INTERP || u->op >= U_REPMOVS) {
            s.nopen = 0;
        }
        place(&s, src, u);
        follow(&s, u);
    }
    if (src->u[src->n - 1].op == U_LOOP) {
        keep(&s, src);
    }
    number(src);
}
