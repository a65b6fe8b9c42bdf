/* See page_set.h. */
#include "util/page_set.h"

#include <stdlib.h>

#define FIRST_BITS 8u

/* Where to begin to look; pages that lie together are spread. */
static size_t place(const struct page_set *s, uint64_t page)
{
    return (size_t)(page * UINT64_C(0x9e3779b97f4a7c15) >> (64 - s->bits));
}

/* The slot that holds the page, or the free one where it belongs. */
static uint64_t *find(const struct page_set *s, uint64_t page)
{
    size_t mask = ((size_t)1 << s->bits) - 1, i = place(s, page);
    while (s->slot[i] && s->slot[i] != page + 1) {
        i = (i + 1) & mask;
    }
    return &s->slot[i];
}

static void become_every(struct page_set *s)
{
    page_set_free(s);
    s->every = true;
}

/* Room for one more. False: it is the set of all now. */
static bool grow(struct page_set *s)
{
    struct page_set t = {.bits = s->bits ? s->bits + 1 : FIRST_BITS};
    t.slot = s->n < PAGE_SET_MAX ? calloc((size_t)1 << t.bits, sizeof t.slot[0]) : NULL;
    if (!t.slot) {
        become_every(s);
        return false;
    }
    for (size_t i = 0; s->n && i < (size_t)1 << s->bits; i++) {
        if (s->slot[i]) {
            *find(&t, s->slot[i] - 1) = s->slot[i];
        }
    }
    t.n = s->n;
    page_set_free(s);
    *s = t;
    return true;
}

void page_set_add(struct page_set *s, uint64_t page)
{
    if (s->every || page_set_has(s, page)) {
        return;
    }
    if (2 * (size_t)s->n < ((size_t)1 << s->bits) - 1 || grow(s)) {
        *find(s, page) = page + 1;
        s->n++;
    }
}

bool page_set_has(const struct page_set *s, uint64_t page)
{
    return s->every || (s->n && *find(s, page));
}

void page_set_join(struct page_set *s, const struct page_set *from)
{
    if (from->every) {
        become_every(s);
    }
    for (size_t i = 0; from->n && i < (size_t)1 << from->bits; i++) {
        if (from->slot[i]) {
            page_set_add(s, from->slot[i] - 1);
        }
    }
}

size_t page_set_bytes(const struct page_set *s)
{
    return s->slot ? sizeof s->slot[0] << s->bits : 0;
}

void page_set_free(struct page_set *s)
{
    free(s->slot);
    *s = (struct page_set){.slot = NULL};
}
