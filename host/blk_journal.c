/*
 * The journal: intervals of before-images, views of them, and a private layer.
 *
 * Mark i opens interval i, which ends where mark i + 1 opens the next; the last one is still open.
 * An interval holds the clusters that were written in it first, as they were when it began. So the
 * cluster as of mark i is the one in the first interval from i on that has it, or what the image
 * has. Giving up a mark moves what its interval alone has to the interval before.
 *
 * Entering a mark stacks: a reader of that mark's state, an overlay for the private writes, and a
 * journal again, for marks made there.
 */
#include "host/blk_journal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/blk_priv.h"

#define CLUSTER BLK_OVERLAY_CLUSTER
#define BATCH   16u /* clusters saved by one read */

struct interval {
    uint64_t mark;
    struct blk_overlay *before;
};

struct blk_journal {
    struct blk blk; /* first */
    struct blk *under;
    struct interval *list;
    unsigned n, cap;
    uint64_t *last_mark; /* of this and all journals inside; owned by the outermost */
    bool owns_last;
    struct blk *shown;     /* a journal over the entered mark; NULL: the present */
    uint64_t shown_mark;   /* of this journal */
    pthread_mutex_t *lock; /* of readers on other threads; of the outermost, as last_mark */
};

/* The disk as of a mark, to read. */
struct as_of {
    struct blk blk; /* first */
    struct blk_journal *j;
    uint64_t mark;
};

static struct blk *journal_new(struct blk *under, struct blk_journal *outer);

/* The interval of a mark; j->n: none. */
static unsigned find(const struct blk_journal *j, uint64_t mark)
{
    unsigned i = 0;
    while (i < j->n && j->list[i].mark != mark) {
        i++;
    }
    return i;
}

static struct blk_journal *inner(const struct blk_journal *j)
{
    return j->shown ? blk_journal_of(j->shown) : NULL;
}

/* Bytes of cluster `index`: the last one of the disk may be cut. */
static size_t cluster_bytes(const struct blk *b, uint64_t index)
{
    uint64_t left = b->bytes - index * CLUSTER;
    return left < CLUSTER ? (size_t)left : CLUSTER;
}

static uint64_t cluster_count(const struct blk *b)
{
    return (b->bytes + CLUSTER - 1) / CLUSTER;
}

/* --- Reading as of a mark --- */

/* The store that has a cluster as of interval i; NULL: the image has it. */
static struct blk_overlay *holder(const struct blk_journal *j, unsigned i, uint64_t index)
{
    for (; i < j->n; i++) {
        if (blk_overlay_has(j->list[i].before, index)) {
            return j->list[i].before;
        }
    }
    return NULL;
}

static bool read_as_of(const struct blk_journal *j, unsigned i, uint64_t off, uint8_t *p,
                       size_t len)
{
    while (len) {
        size_t at = (size_t)(off % CLUSTER), n = CLUSTER - at;
        struct blk_overlay *o = holder(j, i, off / CLUSTER);
        while (!o && n < len && !holder(j, i, (off + n) / CLUSTER)) {
            n += CLUSTER;
        }
        n = n < len ? n : len;
        if (o) {
            uint8_t data[CLUSTER];
            if (!blk_overlay_get(o, off / CLUSTER, data)) {
                return false;
            }
            memcpy(p, data + at, n);
        } else if (!j->under->read(j->under, off, p, n)) {
            return false;
        }
        p += n;
        off += n;
        len -= n;
    }
    return true;
}

static bool as_of_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct as_of *a = (struct as_of *)b;
    pthread_mutex_lock(a->j->lock);
    bool ok = read_as_of(a->j, find(a->j, a->mark), off, buf, len);
    int why = errno;
    pthread_mutex_unlock(a->j->lock);
    errno = why;
    return ok;
}

/* Writes stay in the overlay above. */
static bool as_of_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    (void)b;
    (void)off;
    (void)buf;
    (void)len;
    errno = EROFS;
    return false;
}

static bool as_of_flush(struct blk *b)
{
    (void)b;
    return true;
}

static void as_of_close(struct blk *b)
{
    free(b);
}

struct blk *blk_journal_view(struct blk_journal *j, uint64_t mark)
{
    if (find(j, mark) == j->n) {
        return inner(j) ? blk_journal_view(inner(j), mark) : NULL;
    }
    struct as_of *a = calloc(1, sizeof *a);
    if (!a) {
        return NULL;
    }
    a->blk = (struct blk){.bytes = j->blk.bytes,
                          .read = as_of_read,
                          .write = as_of_write,
                          .flush = as_of_flush,
                          .close = as_of_close};
    a->j = j;
    a->mark = mark;
    struct err e;
    return blk_overlay_new(&a->blk, &e);
}

/* --- As a block back end --- */

/* Save n clusters from `first` on, none of which the open interval has. */
static bool save_run(struct blk_journal *j, uint64_t first, unsigned n)
{
    uint8_t data[BATCH * CLUSTER];
    size_t len = (n - 1) * CLUSTER + cluster_bytes(&j->blk, first + n - 1);
    memset(data + len, 0, n * CLUSTER - len);
    if (!j->under->read(j->under, first * CLUSTER, data, len)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!blk_overlay_put(j->list[j->n - 1].before, first + i, data + i * CLUSTER)) {
            return false;
        }
    }
    return true;
}

static bool save_before(struct blk_journal *j, uint64_t off, size_t len)
{
    const struct blk_overlay *open = j->list[j->n - 1].before;
    uint64_t last = (off + len - 1) / CLUSTER;
    for (uint64_t i = off / CLUSTER; i <= last; i++) {
        unsigned n = 0;
        while (n < BATCH && i + n <= last && !blk_overlay_has(open, i + n)) {
            n++;
        }
        if (n && !save_run(j, i, n)) {
            return false;
        }
        i += n; /* the next one is there already, or begins another batch */
        i -= n == BATCH;
    }
    return true;
}

static bool journal_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct blk_journal *j = (struct blk_journal *)b;
    struct blk *from = j->shown ? j->shown : j->under;
    return from->read(from, off, buf, len);
}

static bool journal_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    struct blk_journal *j = (struct blk_journal *)b;
    if (j->shown) {
        return j->shown->write(j->shown, off, buf, len);
    }
    if (j->n && len && !save_before(j, off, len)) {
        return false;
    }
    return j->under->write(j->under, off, buf, len);
}

static bool journal_flush(struct blk *b)
{
    struct blk_journal *j = (struct blk_journal *)b;
    return j->shown || j->under->flush(j->under);
}

static void journal_close(struct blk *b)
{
    struct blk_journal *j = (struct blk_journal *)b;
    blk_journal_forget_all(j);
    j->under->close(j->under);
    if (j->owns_last) {
        pthread_mutex_destroy(j->lock);
        free(j->lock);
        free(j->last_mark);
    }
    free(j->list);
    free(j);
}

static struct blk *journal_new(struct blk *under, struct blk_journal *outer)
{
    struct blk_journal *j = calloc(1, sizeof *j);
    if (!j) {
        return NULL;
    }
    j->blk = (struct blk){.bytes = under->bytes,
                          .readonly = under->readonly,
                          .read = journal_read,
                          .write = journal_write,
                          .flush = journal_flush,
                          .close = journal_close};
    j->under = under;
    j->owns_last = !outer;
    j->last_mark = outer ? outer->last_mark : calloc(1, sizeof *j->last_mark);
    j->lock = outer ? outer->lock : malloc(sizeof *j->lock);
    if (!j->last_mark || !j->lock) {
        free(j->last_mark);
        free(j->lock);
        free(j);
        return NULL;
    }
    if (!outer) {
        /* A view of what is inside reads through the one around it. */
        pthread_mutexattr_t a;
        pthread_mutexattr_init(&a);
        pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
        pthread_mutex_init(j->lock, &a);
        pthread_mutexattr_destroy(&a);
    }
    return &j->blk;
}

struct blk *blk_journal_new(struct blk *under, struct err *e)
{
    struct blk *b = journal_new(under, NULL);
    if (!b) {
        under->close(under);
        err_set(e, "no host memory for a disk's journal");
    }
    return b;
}

struct blk_journal *blk_journal_of(struct blk *b)
{
    return b && b->close == journal_close ? (struct blk_journal *)b : NULL;
}

struct blk *blk_journal_under(struct blk *b)
{
    struct blk_journal *j = blk_journal_of(b);
    return j ? j->under : b;
}

/* --- Marks --- */

static bool add_mark(struct blk_journal *j, uint64_t mark)
{
    if (j->n == j->cap) {
        unsigned cap = j->cap ? 2 * j->cap : 8;
        struct interval *list = realloc(j->list, cap * sizeof *list);
        if (!list) {
            return false;
        }
        j->list = list;
        j->cap = cap;
    }
    struct blk_overlay *before = blk_overlay_store(j->blk.bytes);
    if (!before) {
        return false;
    }
    j->list[j->n++] = (struct interval){mark, before};
    return true;
}

uint64_t blk_journal_mark(struct blk_journal *j)
{
    if (inner(j)) {
        return blk_journal_mark(inner(j));
    }
    return add_mark(j, *j->last_mark + 1) ? ++*j->last_mark : 0;
}

struct merge {
    struct blk_overlay *to;
    bool ok;
};

static void merge_one(void *ctx, uint64_t index, const uint8_t *data)
{
    struct merge *m = ctx;
    if (m->ok && !blk_overlay_has(m->to, index)) {
        m->ok = blk_overlay_put(m->to, index, data);
    }
}

bool blk_journal_forget(struct blk_journal *j, uint64_t mark)
{
    unsigned i = find(j, mark);
    if (i == j->n) {
        return !inner(j) || blk_journal_forget(inner(j), mark);
    }
    assert(!j->shown || j->shown_mark != mark);
    if (i > 0) {
        struct merge m = {j->list[i - 1].before, true};
        if (!blk_overlay_each(j->list[i].before, merge_one, &m) || !m.ok) {
            return false; /* what has moved is in both, which is the same */
        }
    }
    blk_overlay_free(j->list[i].before);
    memmove(&j->list[i], &j->list[i + 1], (j->n - i - 1) * sizeof j->list[0]);
    j->n--;
    return true;
}

void blk_journal_forget_all(struct blk_journal *j)
{
    blk_journal_leave(j);
    while (j->n) {
        blk_overlay_free(j->list[--j->n].before);
    }
}

/* --- Entering --- */

void blk_journal_leave(struct blk_journal *j)
{
    if (j->shown) {
        j->shown->close(j->shown);
        j->shown = NULL;
    }
}

bool blk_journal_entered(const struct blk_journal *j)
{
    return j->shown != NULL;
}

bool blk_journal_enter(struct blk_journal *j, uint64_t mark)
{
    if (find(j, mark) == j->n) {
        return inner(j) && blk_journal_enter(inner(j), mark);
    }
    struct blk *view = blk_journal_view(j, mark), *shown = view ? journal_new(view, j) : NULL;
    if (!shown) {
        if (view) {
            view->close(view);
        }
        return false;
    }
    blk_journal_leave(j);
    j->shown = shown;
    j->shown_mark = mark;
    return true;
}

/* Write the clusters of `bits` as `from` has them to the present. */
static bool write_marked(struct blk_journal *j, const uint8_t *bits, struct blk *from)
{
    uint8_t data[CLUSTER];
    for (uint64_t i = 0; i < cluster_count(&j->blk); i++) {
        if (i % 8 == 0 && !bits[i / 8]) {
            i += 7;
            continue;
        }
        size_t n = cluster_bytes(&j->blk, i);
        if ((bits[i / 8] >> i % 8 & 1) && (!from->read(from, i * CLUSTER, data, n) ||
                                           !journal_write(&j->blk, i * CLUSTER, data, n))) {
            return false;
        }
    }
    return true;
}

/* Go through the states inside, from its first mark to what it shows, and make each the present. */
static bool replay(struct blk_journal *j, struct blk_journal *in, uint8_t *bits)
{
    for (unsigned k = find(j, j->shown_mark); k < j->n; k++) {
        blk_overlay_marks(j->list[k].before, bits);
    }
    blk_journal_written(in->under, bits);
    for (unsigned k = 0; k <= in->n; k++) {
        struct blk *state = k < in->n ? blk_journal_view(in, in->list[k].mark) : in->under;
        bool ok = state && write_marked(j, bits, state);
        if (state && k < in->n) {
            state->close(state);
            ok = ok && add_mark(j, in->list[k].mark);
            memset(bits, 0, blk_overlay_marks_size(j->blk.bytes));
            blk_overlay_marks(in->list[k].before, bits);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Back to interval `to`: what was written since then goes, by way of the image alone. */
static void roll_back(struct blk_journal *j, unsigned to)
{
    uint8_t data[CLUSTER];
    for (uint64_t i = 0; i < cluster_count(&j->blk); i++) {
        size_t n = cluster_bytes(&j->blk, i);
        if (holder(j, to, i) && read_as_of(j, to, i * CLUSTER, data, n)) {
            j->under->write(j->under, i * CLUSTER, data, n);
        }
    }
    while (j->n > to) {
        blk_overlay_free(j->list[--j->n].before);
    }
}

bool blk_journal_commit(struct blk_journal *j)
{
    struct blk_journal *in = inner(j);
    if (!in) {
        return true;
    }
    if (!blk_journal_commit(in)) {
        return false;
    }
    uint8_t *bits = calloc(blk_overlay_marks_size(j->blk.bytes), 1);
    unsigned guard = j->n;
    if (!bits || !add_mark(j, UINT64_MAX)) {
        free(bits);
        return false;
    }
    j->shown = NULL;
    bool ok = replay(j, in, bits);
    int why = errno;
    free(bits);
    if (!ok) {
        roll_back(j, guard);
        j->shown = &in->blk;
        errno = why;
        return false;
    }
    in->blk.close(&in->blk);
    blk_journal_forget(j, UINT64_MAX); /* if that fails, it only takes memory */
    return true;
}

/* --- What is there --- */

uint64_t blk_journal_bytes(const struct blk_journal *j)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < j->n; i++) {
        n += blk_overlay_count(j->list[i].before) * CLUSTER;
    }
    const struct blk_journal *in = inner(j);
    if (in) {
        n += blk_overlay_count(blk_overlay_of(in->under)) * CLUSTER + blk_journal_bytes(in);
    }
    return n;
}

uint64_t blk_journal_mark_bytes(const struct blk_journal *j, uint64_t mark)
{
    uint64_t n = 0;
    for (unsigned i = find(j, mark); i < j->n; i++) {
        n += blk_overlay_count(j->list[i].before) * CLUSTER;
    }
    return n;
}

void blk_journal_written(struct blk *b, uint8_t *bits)
{
    struct blk_journal *j = blk_journal_of(b);
    struct blk_overlay *o = blk_overlay_of(b);
    if (j) {
        blk_journal_written(j->under, bits);
        if (j->shown) {
            blk_journal_written(j->shown, bits);
        }
    } else if (o) {
        blk_overlay_marks(o, bits);
    }
}
