/*
 * Immediates that are read when they are used; see holes.h.
 *
 * The block is found by cpu->running, which is set whenever one of its instructions runs, also a
 * copy of it in cpu->scratch.
 */
#include "cpu/holes.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/sem.h"

/* The immediate, which is an instruction's last bytes. False: it has none that can be a hole. */
static bool immediate_of(const struct insn *i, struct hole *h)
{
    if (i->row == 0xffff) {
        return false;
    }
    const struct insn_row *r = &insn_rows[i->row];
    unsigned size = 0;
    bool sign = false;
    for (unsigned k = 0; k < 4; k++) {
        switch (r->opd[k]) {
        case OPD_Ib:
        case OPD_sIb:
            size += 1;
            sign = r->opd[k] == OPD_sIb;
            break;
        case OPD_Iw:
            size += 2;
            break;
        case OPD_Iz:
            size += i->osz == 2 ? 2 : 4;
            sign = true;
            break;
        case OPD_Iv:
            size += i->osz;
            break;
        case OPD_Ibb:
        case OPD_Ap:
        case OPD_Jb:
        case OPD_Jz:
        case OPD_Ob:
        case OPD_Ov:
        case OPD_Lx:
        case OPD_Ldq:
            return false;
        default:
            break;
        }
    }
    if (r->sem->ends || !bits_pow2(size) || size >= i->len) {
        return false;
    }
    *h = (struct hole){
        .k = i->k, .off = (uint16_t)(i->off + i->len - size), .size = (uint8_t)size, .sign = sign};
    return true;
}

const struct hole *holes_at(const struct block *b, unsigned k)
{
    for (unsigned n = 0; b->holes && n < b->holes->n; n++) {
        if (b->holes->h[n].k == k) {
            return &b->holes->h[n];
        }
    }
    return NULL;
}

bool holes_find(const struct block *old, const struct insn *insn, unsigned n, const uint8_t *bytes,
                unsigned nbytes, struct holes *out)
{
    if (old->n != n || old->bytes != nbytes || old->pfn2 != UINT64_MAX) {
        return false;
    }
    *out = old->holes ? *old->holes : (struct holes){.n = 0};
    for (unsigned k = 0; k < n; k++) {
        const struct insn *a = &old->insn[k], *i = &insn[k];
        const struct hole *had = holes_at(old, k);
        struct hole h;
        if (a->off != i->off || a->len != i->len || a->row != i->row) {
            return false;
        }
        if (memcmp(old->copy + i->off, bytes + i->off, had ? had->off - i->off : i->len) == 0) {
            continue;
        }
        if (had || out->n == HOLES_MAX || !immediate_of(i, &h) ||
            memcmp(old->copy + i->off, bytes + i->off, h.off - i->off) != 0) {
            return false;
        }
        out->h[out->n++] = h;
    }
    return true;
}

bool holes_cover(const struct block *b, unsigned off, unsigned len)
{
    for (unsigned n = 0; n < b->holes->n; n++) {
        const struct hole *h = &b->holes->h[n];
        if (off >= h->off && off + len <= h->off + h->size) {
            return true;
        }
    }
    return false;
}

void holes_mask(const struct block *b, uint8_t *bytes)
{
    for (unsigned n = 0; n < b->holes->n; n++) {
        const struct hole *h = &b->holes->h[n];
        memcpy(bytes + h->off, b->copy + h->off, h->size);
    }
}

/* An instruction with a hole: read its immediate, then run it. */
static void run_with_hole(struct cpu *cpu, const struct insn *i)
{
    const struct block *b = cpu->running;
    const struct hole *h = holes_at(b, i->k);
    const uint8_t *at = ram_read_ptr(b->ram, b->pfn) + (b->pa & ~PAGE_MASK) + h->off;
    uint64_t v = le_get(at, h->size);
    bool copied = i >= cpu->scratch && i < cpu->scratch + ARRAY_LEN(cpu->scratch);
    struct insn *mine = copied ? &cpu->scratch[i - cpu->scratch] : &b->holes->block->insn[i->k];
    mine->imm = h->sign ? (int64_t)bits_sext(v, 8u * h->size) : (int64_t)v;
    h->fn(cpu, i);
}

void holes_make(struct block *b, const struct holes *h)
{
    b->holes = malloc(sizeof *b->holes);
    if (b->holes) {
        *b->holes = *h;
        b->holes->block = b;
        for (unsigned n = 0; n < h->n; n++) {
            struct insn *i = &b->insn[h->h[n].k];
            b->holes->h[n].fn = i->fn;
            i->fn = run_with_hole;
        }
    }
}
