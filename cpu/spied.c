/*
 * Watched lines of RAM; see spied.h.
 */
#include "cpu/spied.h"

#include <stdlib.h>

static struct spied_page *find(const struct spied *s, const struct ram *ram, uint64_t pfn)
{
    for (unsigned k = 0; k < s->n; k++) {
        if (s->page[k].ram == ram && s->page[k].pfn == pfn) {
            return &s->page[k];
        }
    }
    return NULL;
}

uint64_t spied_lines(const struct spied *s, const struct ram *ram, uint64_t pfn)
{
    const struct spied_page *p = s->n ? find(s, ram, pfn) : NULL;
    return p ? p->lines : 0;
}

uint64_t spied_set(struct spied *s, struct ram *ram, uint64_t pfn, uint64_t lines)
{
    struct spied_page *p = find(s, ram, pfn);
    uint64_t before = p ? p->lines : 0;
    if (lines == 0) {
        if (p) {
            *p = s->page[--s->n];
        }
        return before;
    }
    if (!p) {
        struct spied_page *more = realloc(s->page, (s->n + 1) * sizeof *more);
        if (!more) {
            abort(); /* as for a block */
        }
        s->page = more;
        p = &s->page[s->n++];
    }
    *p = (struct spied_page){ram, pfn, lines};
    return before & ~lines;
}

void spied_mark(const struct spied *s)
{
    for (unsigned k = 0; k < s->n; k++) {
        s->page[k].ram->code[s->page[k].pfn] |= s->page[k].lines;
    }
}
