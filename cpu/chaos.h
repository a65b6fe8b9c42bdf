/*
 * Chaos: the engine's choices made at random, from a seed: `-engine jit,chaos=SEED`.
 *
 * When a block is compiled, how long it is, whether it is linked, what runs in the interpreter
 * although it need not, when code is dropped: none of it may show. The generator lies outside the
 * machine's state, so that a guest cannot see it and a saved machine does not hold it.
 */
#ifndef DOPPEL_CPU_CHAOS_H
#define DOPPEL_CPU_CHAOS_H

#include <stdbool.h>
#include <stdint.h>

struct chaos {
    bool on;
    uint64_t state;
};

/* Below n, n >= 1 (splitmix64). */
static inline uint64_t chaos_below(struct chaos *c, uint64_t n)
{
    uint64_t z = c->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % n;
}

/* Once in n times; never without chaos. */
static inline bool chaos_hits(struct chaos *c, uint64_t n)
{
    return c->on && chaos_below(c, n) == 0;
}

#endif
