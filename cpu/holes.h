/*
 * Holes: immediates of a block that are no part of what it was decoded from.
 *
 * Code that patches its own constants overwrites the same bytes of the same instruction again and
 * again. Where a block was decoded twice with other immediates and nothing else changed, those
 * immediates become holes: the instruction reads them from memory each time it runs, as data, in
 * the interpreter and in compiled code, and a write there leaves the block as it is.
 */
#ifndef DOPPEL_CPU_HOLES_H
#define DOPPEL_CPU_HOLES_H

#include "cpu/block.h"

#define HOLES_MAX 4u

struct hole {
    insn_fn fn;   /* of the instruction, whose own reads the hole first */
    uint16_t k;   /* its number in the block */
    uint16_t off; /* from the block's first byte */
    uint8_t size; /* bytes: 1, 2, 4, 8 */
    bool sign;    /* sign-extended */
};

struct holes {
    struct block *block;
    unsigned n;
    struct hole h[HOLES_MAX];
};

/* What became of block `old`, of which n instructions and nbytes bytes there are now: are they the
 * same but for immediates? Then *out are these, and the holes that it had. */
bool holes_find(const struct block *old, const struct insn *insn, unsigned n, const uint8_t *bytes,
                unsigned nbytes, struct holes *out);
/* Give block b, just decoded, these holes. No memory: it stays as it is. */
void holes_make(struct block *b, const struct holes *h);
/* The hole in instruction k, or NULL. */
const struct hole *holes_at(const struct block *b, unsigned k);
/* Are [off, off+len) from the block's first byte all in one hole? */
bool holes_cover(const struct block *b, unsigned off, unsigned len);
/* Put into `bytes`, which are now in the block's place, what was in its holes at first. */
void holes_mask(const struct block *b, uint8_t *bytes);

#endif
