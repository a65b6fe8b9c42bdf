/*
 * A set of page numbers that may say yes too often, but never no: hashed, grows as it is filled,
 * and is the set of all pages once it has grown too large or the host has no memory for it.
 *
 * For the pages that were written in a while (mmu/tlb.h), where "maybe" costs time and a wrong "no"
 * would be a write that is not found.
 */
#ifndef DOPPEL_UTIL_PAGE_SET_H
#define DOPPEL_UTIL_PAGE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pages at most; more make it the set of all: 2 MiB of host memory. */
#define PAGE_SET_MAX (1u << 17)

struct page_set {
    uint64_t *slot; /* page number + 1; 0: free. Open addressing, at most half full */
    unsigned n, bits;
    bool every; /* all pages; slot is NULL then */
};

/* All zero is an empty set. Page numbers are below 2^64 - 1. */
void page_set_add(struct page_set *s, uint64_t page);
bool page_set_has(const struct page_set *s, uint64_t page);
/* What is in `from` is in s, too. */
void page_set_join(struct page_set *s, const struct page_set *from);
/* Host bytes beside the struct. */
size_t page_set_bytes(const struct page_set *s);
/* Empty again. */
void page_set_free(struct page_set *s);

#endif
