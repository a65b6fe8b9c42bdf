/*
 * Which valid blocks have bytes in which lines of a page: what a write into code must look at.
 *
 * Blocks lie in lists by page and by the line (64 bytes) of their first byte; one that straddles
 * two pages is also in the list of the second page's first line. `span` says how many lines in
 * front of a written one may hold a first byte, so a write costs the blocks near it, however many
 * the page has.
 */
#ifndef DOPPEL_CPU_CODE_PAGES_H
#define DOPPEL_CPU_CODE_PAGES_H

#include "cpu/block.h"

#define CODE_LINES 64u

struct code_page {
    struct ram *ram;
    uint64_t pfn;
    struct code_page *next; /* of the same hash */
    unsigned span;
    struct block *line[CODE_LINES];
};

#define CODE_PAGE_HASH 4096u
struct code_pages {
    struct code_page *hash[CODE_PAGE_HASH];
    size_t bytes;
};

/* NULL: no valid block ever was there. */
struct code_page *code_pages_find(const struct code_pages *cp, const struct ram *ram, uint64_t pfn);
/* A block becomes valid, or invalid. Does not touch ram->code. */
void code_pages_add(struct code_pages *cp, struct block *b);
void code_pages_remove(struct code_pages *cp, struct block *b);
/* Forget everything. */
void code_pages_clear(struct code_pages *cp);

/* The lines of page pfn that b has bytes in. */
uint64_t code_lines(const struct block *b, uint64_t pfn);
/* The one behind b in list k of page p. */
struct block *code_next(const struct code_page *p, unsigned k, const struct block *b);

#endif
