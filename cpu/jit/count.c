/*
 * Counting how often emitted code runs; see count.h.
 *
 * A segment is a stretch of code that runs from its start to its end unless it leaves: a block, or
 * one part of a superblock. Each has a counter in `runs` that code increments, reached through the
 * environment so that code holds no address, and what was emitted for it by class. When code is
 * dropped, its segments' products go to the totals and their numbers are given out again.
 *
 * A stretch that leaves in the middle counts as if it had run to its end: bails are rare.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/backend.h"

#define MAX_SEGS (1u << 17)
#define END      UINT32_MAX

struct seg {
    uint32_t n[EMIT_COUNT];
    uint16_t insns, interp;
    bool super;    /* of a superblock */
    uint32_t next; /* of the same code, or of the free ones */
};

struct jit_counting {
    uint64_t *runs;
    struct seg *seg;
    uint32_t used, free;
    struct jit_running total; /* of dropped code */
};

struct jit_counting *jit_counting_new(void)
{
    struct jit_counting *c = calloc(1, sizeof *c);
    if (c) {
        c->runs = calloc(MAX_SEGS, sizeof *c->runs);
        c->seg = calloc(MAX_SEGS, sizeof *c->seg);
        c->free = END;
    }
    if (c && (!c->runs || !c->seg)) {
        jit_counting_free(c);
        c = NULL;
    }
    return c;
}

void jit_counting_free(struct jit_counting *c)
{
    if (c) {
        free(c->runs);
        free(c->seg);
        free(c);
    }
}

uint64_t *jit_counting_runs(struct jit_counting *c)
{
    return c->runs;
}

uint32_t jit_segment_new(struct jit_counting *c, struct jit_code *code)
{
    uint32_t k = c->free;
    if (k != END) {
        c->free = c->seg[k].next;
    } else if (c->used < MAX_SEGS) {
        k = c->used++;
    } else {
        return END;
    }
    c->runs[k] = 0;
    c->seg[k] = (struct seg){.super = code->super, .next = code->segs ? code->segs - 1 : END};
    code->segs = k + 1;
    return k;
}

void jit_segment_end(struct jit_counting *c, uint32_t seg, const struct emit_counts *from,
                     const struct emit_counts *to, unsigned insns, unsigned interp)
{
    struct seg *s = &c->seg[seg];
    for (unsigned k = 0; k < EMIT_COUNT; k++) {
        s->n[k] = to->n[k] - from->n[k];
    }
    s->insns = (uint16_t)insns;
    s->interp = (uint16_t)interp;
}

static void add(struct jit_running *to, const struct seg *s, uint64_t runs)
{
    to->segments += runs;
    to->insns += runs * s->insns;
    to->super += s->super ? runs * (uint64_t)(s->insns - s->interp) : 0;
    to->interp += runs * s->interp;
    for (unsigned k = 0; k < EMIT_COUNT; k++) {
        to->emitted[k] += runs * s->n[k];
    }
}

void jit_segments_drop(struct jit_counting *c, struct jit_code *code)
{
    for (uint32_t k = code->segs ? code->segs - 1 : END, next; k != END; k = next) {
        next = c->seg[k].next;
        add(&c->total, &c->seg[k], c->runs[k]);
        c->runs[k] = 0;
        memset(&c->seg[k], 0, sizeof c->seg[k]);
        c->seg[k].next = c->free;
        c->free = k;
    }
    code->segs = 0;
}

struct jit_running jit_counting_sum(const struct jit_counting *c)
{
    struct jit_running r = c->total;
    for (uint32_t k = 0; k < c->used; k++) {
        add(&r, &c->seg[k], c->runs[k]);
    }
    return r;
}
