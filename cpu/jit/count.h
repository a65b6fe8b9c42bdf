/*
 * What emitted instructions are for: classes, and how they are counted.
 *
 * Assemblers count each instruction where they begin it (emit_one), in the class that the emitters
 * set around what they do (emit_class). Counts lie in the assembler's buffer state, so that taking
 * back an emission takes its count back too. Cold code has its own class, which no figure of "host
 * instructions per guest instruction" holds: it is what runs when something is missing.
 */
#ifndef DOPPEL_CPU_JIT_COUNT_H
#define DOPPEL_CPU_JIT_COUNT_H

#include <stdint.h>

#define EMIT_CLASSES(X)                                                                            \
    X(work, "what the guest instruction does")                                                     \
    X(address, "effective addresses, segments, the soft TLB")                                      \
    X(flags, "flags kept or rebuilt")                                                              \
    X(budget, "the instruction budget")                                                            \
    X(glue, "transfers between blocks, calls of the interpreter")                                  \
    X(cold, "behind the block: misses, exits; not counted as running")

enum emit_class_id {
#define X(name, help) EMIT_##name,
    EMIT_CLASSES(X)
#undef X
        EMIT_COUNT
};

struct emit_counts {
    uint8_t cls; /* the current class */
    uint32_t n[EMIT_COUNT];
};

/* An instruction begins. */
static inline void emit_one(struct emit_counts *c)
{
    c->n[c->cls]++;
}

/* What comes is of this class; returns the one before, to go back to. What is cold stays so. */
static inline unsigned emit_class(struct emit_counts *c, unsigned cls)
{
    unsigned was = c->cls;
    if (was != EMIT_cold) {
        c->cls = (uint8_t)cls;
    }
    return was;
}

/* Everything from here on is behind the block. */
static inline void emit_cold(struct emit_counts *c)
{
    c->cls = EMIT_cold;
}

#endif
