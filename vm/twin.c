/* See twin.h. */
#include "vm/twin.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/blk_journal.h"
#include "vm/checkpoint.h"
#include "vm/drives_priv.h"
#include "vm/vm.h"

struct twin {
    struct doppel_vm *of;
    const struct checkpoint *cp;
};

/* --- A medium that is only read, behind a lock that all twins share --- */

struct shared {
    struct blk blk; /* first */
    struct blk *under;
    pthread_mutex_t *lock;
};

static bool shared_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct shared *s = (struct shared *)b;
    pthread_mutex_lock(s->lock);
    bool ok = s->under->read(s->under, off, buf, len);
    int why = errno;
    pthread_mutex_unlock(s->lock);
    errno = why;
    return ok;
}

static bool shared_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    (void)b;
    (void)off;
    (void)buf;
    (void)len;
    errno = EROFS;
    return false;
}

static bool shared_flush(struct blk *b)
{
    (void)b;
    return true;
}

static void shared_close(struct blk *b)
{
    free(b);
}

static struct blk *share(struct blk *under, pthread_mutex_t *lock)
{
    struct shared *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->blk = (struct blk){.bytes = under->bytes,
                          .readonly = true,
                          .read = shared_read,
                          .write = shared_write,
                          .flush = shared_flush,
                          .close = shared_close};
    s->under = under;
    s->lock = lock;
    return &s->blk;
}

struct blk *twin_medium(struct doppel_vm *twin, unsigned i, bool *ok)
{
    struct vm_drive *v = twin->twin->of->drives->list[i];
    struct blk *b = drive_medium(v), *medium = NULL;
    struct blk_journal *j = blk_journal_of(b);
    if (j) {
        medium = blk_journal_view(j, checkpoint_mark(twin->twin->cp, i));
    } else if (b) {
        medium = share(b, &twin->twin->of->drives->lock);
    }
    *ok = medium || !b;
    return medium;
}

/* --- Life --- */

struct replay *twin_replay(const struct doppel_vm *twin)
{
    return twin->twin->of->replay;
}

struct doppel_vm *twin_new(struct doppel_vm *vm, const struct checkpoint *cp, struct err *e)
{
    struct doppel_options o = vm->opt;
    for (unsigned i = 0; i < DOPPEL_MAX_SERIAL; i++) {
        o.serial[i] = o.serial[i] ? "null" : NULL;
    }
    o.debugcon = o.debugcon ? "null" : NULL;
    o.parallel = o.parallel ? "null" : NULL;
    o.monitor = NULL;
    o.log_items = NULL;
    o.log_file = "/dev/null";
    o.history = 0;
    o.replay = NULL;
    o.paused = false;
    o.speed = "max";
    o.rtc_epoch = (int64_t)vm->epoch;
    o.seed = vm->seed;
    struct twin *t = calloc(1, sizeof *t);
    if (!t) {
        err_set(e, "no host memory");
        return NULL;
    }
    *t = (struct twin){vm, cp};
    struct doppel_vm *twin = vm_create(&o, t, e);
    if (twin) {
        twin->end_when = vm->end_when;
        twin->end_order = vm->end_order;
    }
    return twin;
}

void twin_leave(struct doppel_vm *twin)
{
    for (unsigned i = 0; i < twin->drives->n; i++) {
        struct vm_drive *v = twin->drives->list[i];
        struct blk *b = drive_medium(v);
        v->d.blk = v->tray = NULL;
        if (b) {
            b->close(b);
        }
    }
}

bool twin_enter(struct doppel_vm *twin, const struct checkpoint *cp, struct err *e)
{
    twin->twin->cp = cp;
    twin_leave(twin);
    for (unsigned i = 0; i < twin->drives->n; i++) {
        bool ok;
        twin->drives->list[i]->d.blk = twin_medium(twin, i, &ok);
        if (!ok) {
            return err_set(e, "no host memory for a disk as of then");
        }
    }
    return checkpoint_put(twin, cp, e);
}
