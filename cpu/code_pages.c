/*
 * Blocks by page and line; see code_pages.h.
 */
#include "cpu/code_pages.h"

#include <stdlib.h>
#include <string.h>

static unsigned hash_of(uint64_t pfn)
{
    return (unsigned)(pfn & (CODE_PAGE_HASH - 1));
}

static unsigned first_line(const struct block *b)
{
    return (unsigned)(b->pa & ~PAGE_MASK) >> 6;
}

uint64_t code_lines(const struct block *b, uint64_t pfn)
{
    unsigned start = (unsigned)(b->pa & ~PAGE_MASK), last = start + b->bytes - 1;
    uint64_t lines = 0;
    if (last >= PAGE_SIZE) {
        if (b->pfn2 == pfn) {
            lines |= 1;
        }
        last = (unsigned)PAGE_SIZE - 1;
    }
    if (b->pfn == pfn) {
        lines |= UINT64_MAX << (start >> 6) & UINT64_MAX >> (63 - (last >> 6));
    }
    return lines;
}

struct code_page *code_pages_find(const struct code_pages *cp, const struct ram *ram, uint64_t pfn)
{
    struct code_page *p = cp->hash[hash_of(pfn)];
    while (p && (p->pfn != pfn || p->ram != ram)) {
        p = p->next;
    }
    return p;
}

static struct code_page *find_or_make(struct code_pages *cp, struct ram *ram, uint64_t pfn)
{
    struct code_page *p = code_pages_find(cp, ram, pfn);
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p) {
            abort(); /* host memory exhausted: there is no state to save that needs less */
        }
        p->ram = ram;
        p->pfn = pfn;
        p->next = cp->hash[hash_of(pfn)];
        cp->hash[hash_of(pfn)] = p;
        cp->bytes += sizeof *p;
    }
    return p;
}

/* Where b keeps its place in list k of p: the list of its first byte, or of the second page. */
static struct block **link_of(const struct code_page *p, unsigned k, struct block *b)
{
    return b->pfn == p->pfn && first_line(b) == k ? &b->page_next : &b->page2_next;
}

struct block *code_next(const struct code_page *p, unsigned k, const struct block *b)
{
    return b->pfn == p->pfn && first_line(b) == k ? b->page_next : b->page2_next;
}

static void put(struct code_page *p, unsigned k, struct block *b)
{
    *link_of(p, k, b) = p->line[k];
    p->line[k] = b;
}

static void take(struct code_page *p, unsigned k, struct block *b)
{
    struct block **at = &p->line[k];
    while (*at != b) {
        at = link_of(p, k, *at);
    }
    *at = *link_of(p, k, b);
}

void code_pages_add(struct code_pages *cp, struct block *b)
{
    struct code_page *p = find_or_make(cp, b->ram, b->pfn);
    unsigned k = first_line(b), end = (unsigned)(b->pa & ~PAGE_MASK) + b->bytes - 1;
    unsigned lines = (end < PAGE_SIZE ? end >> 6 : CODE_LINES - 1) - k;
    p->span = lines > p->span ? lines : p->span;
    put(p, k, b);
    if (b->pfn2 != UINT64_MAX) {
        put(find_or_make(cp, b->ram, b->pfn2), 0, b);
    }
}

void code_pages_remove(struct code_pages *cp, struct block *b)
{
    take(code_pages_find(cp, b->ram, b->pfn), first_line(b), b);
    if (b->pfn2 != UINT64_MAX) {
        take(code_pages_find(cp, b->ram, b->pfn2), 0, b);
    }
}

void code_pages_clear(struct code_pages *cp)
{
    for (unsigned h = 0; h < CODE_PAGE_HASH; h++) {
        while (cp->hash[h]) {
            struct code_page *p = cp->hash[h];
            cp->hash[h] = p->next;
            free(p);
        }
    }
    cp->bytes = 0;
}
