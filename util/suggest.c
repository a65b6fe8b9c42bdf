/*
 * Edit distance over short words, three rows at a time.
 */
#include "util/suggest.h"

#include <string.h>

enum { LONGEST = 63 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

unsigned suggest_distance(const char *a, const char *b)
{
    size_t la = strnlen(a, LONGEST), lb = strnlen(b, LONGEST);
    unsigned rows[3][LONGEST + 1];
    unsigned *older = rows[0], *old = rows[1], *now = rows[2];
    for (size_t j = 0; j <= lb; j++) {
        old[j] = (unsigned)j;
        older[j] = 0;
    }
    for (size_t i = 1; i <= la; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned change = old[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = min3(old[j] + 1, now[j - 1] + 1, change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                older[j - 2] + 1 < now[j]) {
                now[j] = older[j - 2] + 1;
            }
        }
        unsigned *t = older;
        older = old;
        old = now;
        now = t;
    }
    return old[lb];
}

const char *suggest_nearest(const char *word, const char *(*name)(void *ctx, unsigned i), void *ctx)
{
    const char *best = NULL, *n;
    unsigned best_d = ~0u;
    for (unsigned i = 0; (n = name(ctx, i)) != NULL; i++) {
        unsigned d = suggest_distance(word, n);
        if (d < best_d) {
            best_d = d;
            best = n;
        }
    }
    return best;
}
