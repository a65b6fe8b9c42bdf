/*
 * What vm/history.c and vm/history_search.c share.
 */
#ifndef DOPPEL_VM_HISTORY_PRIV_H
#define DOPPEL_VM_HISTORY_PRIV_H

#include "util/page_set.h"
#include "vm/checkpoint.h"
#include "vm/history.h"
#include "vm/history_log.h"

struct point {
    struct checkpoint *cp;
    size_t input;   /* the next one after it */
    uint64_t pages; /* that it does not share with the point before */
    bool passing;   /* goes when the present is some way off */
    /* Linear pages that were written until the next point of the present's line, or the present;
     * owned. NULL: not known (inner points). */
    struct page_set *wrote;
};

struct points {
    struct point *list; /* by instructions, ascending */
    size_t n, cap;
};

/* Threads that search at once. */
#define HISTORY_HUNTERS 8u

/* A part of the past that is to be searched: from a point of the present's line to an instant. */
struct stretch {
    const struct point *from;
    uint64_t end;
};

struct history {
    uint64_t limit;
    struct points points; /* of the present's line */
    struct points inner;  /* taken in the past, within point `base`'s private disks */
    struct history_log log;
    uint64_t interval;           /* instructions between points that last */
    uint64_t next, next_lasting; /* instructions at which one is due */

    struct checkpoint *present;       /* NULL: the machine is there */
    const struct gate_feed *log_feed; /* of the present, while the machine is not there: a replay's,
                                       * which waits at its place; NULL: it is live */
    bool seeking;

    /* A search. */
    unsigned workers; /* twins at most; 0: one for each of the host's processors */
    bool alone;       /* twins cannot be had */
    struct doppel_vm *twin[HISTORY_HUNTERS]; /* kept until the past is left; NULL: none */
    bool searching, found;
    uint64_t until;                  /* hits from here on do not count */
    const struct doppel_point *only; /* NULL: any */
    struct doppel_hit hit;           /* the last that was found */
    bool brute;                      /* leave no interval out; for tests */
    size_t looked; /* intervals that a hit was possible in, of the last search; for tests */
};

extern const char history_nothing_kept[];

static inline uint64_t point_at(const struct point *p)
{
    return checkpoint_icount(p->cp);
}

/* The machine's hits while it runs in the past: noted if it searches. For debug_collect. */
bool history_collect(void *ctx, struct doppel_vm *vm, const struct doppel_hit *hit);

/* Is a hit of this point one that is looked for? */
bool history_wants(const struct history *h, const struct doppel_point *p);

/* The last hit in the first of the stretches that has one, into h->hit; by so many threads. They
 * are in the order of interest: the latest first. HISTORY_FAILED: the operator interrupted (then
 * vm->interrupted is still set), or one stretch could not be run. */
enum history_found history_hunt(struct doppel_vm *vm, const struct stretch *list, size_t n,
                                unsigned workers, struct err *e);
/* Give up the twins. */
void history_hunt_end(struct history *h);

bool history_leave_present(struct doppel_vm *vm, struct err *e);
/* Be at point i of the present's line. */
bool history_enter(struct doppel_vm *vm, size_t i, struct err *e);
/* Run in the past until `icount`. */
bool history_run_to(struct doppel_vm *vm, uint64_t icount, struct err *e);

#endif
