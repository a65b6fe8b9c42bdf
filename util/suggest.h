/*
 * "Did you mean": the nearest of a list of known words, for options, values, devices and commands.
 */
#ifndef DOPPEL_UTIL_SUGGEST_H
#define DOPPEL_UTIL_SUGGEST_H

#include <stddef.h>

/* Letters to insert, delete, change or swap to get from a to b (Damerau's distance, adjacent
 * swaps); words are compared up to 63 letters. */
unsigned suggest_distance(const char *a, const char *b);

/* The word nearest to `word`, of those that name(ctx, 0), name(ctx, 1)... give until NULL. NULL if
 * there are none. Ties go to the first. */
const char *suggest_nearest(const char *word, const char *(*name)(void *ctx, unsigned i),
                            void *ctx);

#endif
