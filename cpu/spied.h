/*
 * Lines of RAM whose writes somebody else than the block cache wants to know of: the physical
 * watchpoints of a debugger (block_cache_spy). They look like lines with code.
 */
#ifndef DOPPEL_CPU_SPIED_H
#define DOPPEL_CPU_SPIED_H

#include "mmu/ram.h"

struct spied {
    struct spied_page {
        struct ram *ram;
        uint64_t pfn, lines; /* as ram->code, never 0 */
    } * page;
    unsigned n;
    void (*fn)(void *ctx, struct ram *ram, uint64_t pfn, unsigned off, unsigned len);
    void *ctx;
};

/* The lines watched there. */
uint64_t spied_lines(const struct spied *s, const struct ram *ram, uint64_t pfn);
/* Watch these and no others of the page. Returns those that are not watched any more. */
uint64_t spied_set(struct spied *s, struct ram *ram, uint64_t pfn, uint64_t lines);
/* Mark all again, after a flush. */
void spied_mark(const struct spied *s);

#endif
