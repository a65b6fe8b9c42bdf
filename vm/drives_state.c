/*
 * Drives in a saved machine and in its digest.
 *
 * For each drive: what is in it, in the snapshot's head; with snapshot=on its overlay's clusters
 * are a region of the snapshot. Without snapshot the image itself is the state: the saved machine
 * names the file and a mark in its undo file (host/blk_undo.h), by which it is put back; another
 * file is refused. A medium that nobody writes is known by a sample of
 * its content, so it may lie elsewhere when the machine is loaded.
 *
 * A load makes a plan first, in which everything that can fail is done beside what is there.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/hosttime.h"
#include "util/bits.h"
#include "vm/drives_priv.h"

#define SAMPLES   64u /* sectors spread over the medium */
#define PATH_SIZE 4096u

#define DRIVE_STATE(S, V, A, N)                                                                    \
    V(S, uint8_t, kind, 1)                                                                         \
    V(S, bool, present, 1)                                                                         \
    V(S, bool, tray_open, 1) /* the medium lies in the guest's open tray */                        \
    V(S, bool, overlay, 1)                                                                         \
    V(S, bool, writable, 1) /* the file itself: `path` must be the same */                         \
    V(S, uint64_t, bytes, 1)                                                                       \
    V(S, uint64_t, sample, 1) /* of a medium that nobody writes */                                 \
    A(S, uint8_t, path, PATH_SIZE, 1)                                                              \
    V(S, uint64_t, mark, 2) /* of the undo file of one that is written to; 0: none */

ST_DECLARE(drive_state, DRIVE_STATE);
ST_DESCRIBE(drive_state, DRIVE_STATE, 2);

static uint64_t sample(struct blk *b)
{
    uint8_t sector[BLK_SECTOR];
    uint64_t h = ST_DIGEST_INIT, n = b->bytes / BLK_SECTOR, last = UINT64_MAX;
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t at = n / SAMPLES * i + n % SAMPLES * i / SAMPLES;
        if (at != last && b->read(b, at * BLK_SECTOR, sector, sizeof sector)) {
            h = st_digest_bytes(h, sector, sizeof sector);
        }
        last = at;
    }
    return h;
}

/* What `b` is as the medium of a drive, opened as `path`. */
static void describe_medium(const struct vm_drive *v, struct blk *b, const char *path,
                            struct drive_state *s)
{
    struct blk_overlay *o = v->private ? NULL : blk_overlay_of(blk_journal_under(b));
    *s = (struct drive_state){.kind = (uint8_t)v->d.kind, .present = b != NULL};
    if (!b) {
        return;
    }
    s->overlay = o != NULL;
    s->writable = !o && !b->readonly;
    s->bytes = b->bytes;
    s->sample = s->writable ? 0 : sample(o ? blk_overlay_base(o) : b);
    char real[PATH_MAX], *full = realpath(path, real);
    path = full ? full : path;
    size_t n = strlen(path) < PATH_SIZE ? strlen(path) : PATH_SIZE - 1;
    memcpy(s->path, path, n);
}

static void describe(struct vm_drive *v, struct drive_state *s)
{
    describe_medium(v, drive_medium(v), v->path, s);
    s->tray_open = v->tray != NULL;
}

/* --- Save --- */

static void region_name(const struct vm_drive *v, char name[SNAP_REGION])
{
    snprintf(name, SNAP_REGION, "disk:%s", v->d.name);
}

/* A mark in the undo file, kept in v->mark until it is known whether the save succeeds. */
static bool set_mark(struct vm_drive *v, const char *path, struct err *e)
{
    struct blk_undo *u = drive_undo(v);
    if (!u || !path) {
        return true;
    }
    drive_flush_medium(v);
    uint64_t id = host_seed() | 1;
    if (!blk_undo_mark(u, id, path, e)) {
        return err_prefix(e, "%s", v->d.name);
    }
    v->mark = id;
    return true;
}

bool drives_save(struct doppel_vm *vm, struct st_buf *b, const char *path, struct err *e)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        vm->drives->list[i]->mark = 0;
    }
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct drive_state s;
        if (!set_mark(v, path, e)) {
            return false;
        }
        describe(v, &s);
        s.mark = v->mark;
        st_save(b, v->d.name, &drive_state_desc, &s);
    }
    return true;
}

void drives_save_end(struct doppel_vm *vm, const char *path, bool ok)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct blk_undo *u = drive_undo(v);
        if (u && ok) {
            blk_undo_forget(u, path, v->mark);
        } else if (u && v->mark) {
            blk_undo_forget_id(u, v->mark);
        }
        v->mark = 0;
    }
}

void drives_forget(struct doppel_vm *vm, const char *path)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct blk_undo *u = drive_undo(vm->drives->list[i]);
        if (u) {
            blk_undo_forget(u, path, 0);
        }
    }
}

/* A cluster as the guest sees it; the disk's last one may be cut. */
static bool read_cluster(void *from, uint64_t index, uint8_t *to)
{
    struct blk *b = from;
    uint64_t left = b->bytes - index * BLK_OVERLAY_CLUSTER;
    size_t n = left < BLK_OVERLAY_CLUSTER ? (size_t)left : BLK_OVERLAY_CLUSTER;
    memset(to + n, 0, BLK_OVERLAY_CLUSTER - n);
    return b->read(b, index * BLK_OVERLAY_CLUSTER, to, n);
}

static uint64_t clusters_of(const struct blk *b)
{
    return (b->bytes + BLK_OVERLAY_CLUSTER - 1) / BLK_OVERLAY_CLUSTER;
}

/* The clusters of what the medium shows that were written; free() it. */
static uint8_t *written(struct blk *b)
{
    uint8_t *bits = calloc(blk_overlay_marks_size(b->bytes), 1);
    if (!bits) {
        abort();
    }
    blk_journal_written(b, bits);
    return bits;
}

static bool is_past(struct blk *b)
{
    struct blk_journal *j = blk_journal_of(b);
    return j && blk_journal_entered(j);
}

/* The clusters of b that have a bit; o: the overlay that it is, NULL if it shows a past. */
static void put_clusters(struct snap_writer *w, const char *name, struct blk *b,
                         struct blk_overlay *o, const uint8_t *bits, bool changes_only)
{
    snap_region(w, name, clusters_of(b));
    for (uint64_t i = 0; i < clusters_of(b); i++) {
        if (i % 8 == 0 && !bits[i / 8]) {
            i += 7;
        } else if (bits[i / 8] >> i % 8 & 1) {
            const uint8_t *host = o ? blk_overlay_peek(o, i) : NULL;
            if (changes_only && o && !blk_overlay_is_dirty(o, i)) {
                snap_put_kind(w, i, SNAP_PARENT);
            } else if (host) {
                snap_put(w, i, host);
            } else {
                snap_put_later(w, i, read_cluster, b);
            }
        }
    }
}

static void put_overlay(struct snap_writer *w, struct vm_drive *v, bool changes_only)
{
    struct blk *b = drive_medium(v);
    char name[SNAP_REGION];
    uint8_t *bits = written(b);
    region_name(v, name);
    put_clusters(w, name, b, is_past(b) ? NULL : drive_overlay(v), bits, changes_only);
    free(bits);
}

bool drives_put(struct doppel_vm *vm, struct snap_writer *w, bool changes_only, struct err *e)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct blk *b = drive_medium(v);
        if (drive_overlay(v)) {
            put_overlay(w, v, changes_only);
        } else if (is_past(b)) {
            return err_set(e,
                           "%s: the machine is in its past, where %.200s is not as it was; "
                           "\"branch\" lets it live on from here",
                           v->d.name, v->path);
        }
    }
    return true;
}

/* --- Overlays that are put later --- */

struct held {
    struct blk_journal *journal;
    struct blk *blk;
    uint64_t mark;
    struct blk *view; /* while it is put; NULL */
    char region[SNAP_REGION];
};

struct drives_held {
    unsigned n;
    struct held list[DOPPEL_MAX_DRIVES + DRIVES_DEFAULT];
};

struct drives_held *drives_hold(struct doppel_vm *vm)
{
    struct drives_held *h = calloc(1, sizeof *h);
    for (unsigned i = 0; h && i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        if (!drive_overlay(v)) {
            continue;
        }
        struct held *d = &h->list[h->n++];
        d->blk = drive_medium(v);
        d->journal = blk_journal_of(d->blk);
        d->mark = blk_journal_mark(d->journal);
        region_name(v, d->region);
        if (!d->mark) {
            drives_held_free(h);
            return NULL;
        }
    }
    return h;
}

bool drives_held_put(struct drives_held *h, struct snap_writer *w, struct err *e)
{
    for (unsigned i = 0; i < h->n; i++) {
        struct held *d = &h->list[i];
        d->view = blk_journal_view(d->journal, d->mark);
        if (!d->view) {
            drives_held_done(h);
            return err_set(e, "no host memory for a disk as of then");
        }
        uint8_t *bits = written(d->blk); /* and of those written since, what was there */
        put_clusters(w, d->region, d->view, NULL, bits, false);
        free(bits);
    }
    return true;
}

void drives_held_done(struct drives_held *h)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (h->list[i].view) {
            h->list[i].view->close(h->list[i].view);
            h->list[i].view = NULL;
        }
    }
}

uint64_t drives_held_bytes(const struct drives_held *h)
{
    uint64_t n = sizeof *h;
    for (unsigned i = 0; i < h->n; i++) {
        n += blk_journal_mark_bytes(h->list[i].journal, h->list[i].mark);
    }
    return n;
}

void drives_held_free(struct drives_held *h)
{
    for (unsigned i = 0; h && i < h->n; i++) {
        if (h->list[i].mark) {
            blk_journal_forget(h->list[i].journal, h->list[i].mark);
        }
    }
    free(h);
}

void drives_saved(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        if (drive_overlay(v)) {
            blk_overlay_clean(drive_overlay(v));
        }
    }
}

bool drives_in_past(const struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        if (is_past(drive_medium(vm->drives->list[i]))) {
            return true;
        }
    }
    return false;
}

/* --- Digest --- */

/* What a guest can tell from an unwritten disk: clusters that differ from the image. */
static bool digest_overlay(struct vm_drive *v, uint64_t *h)
{
    struct blk *b = drive_medium(v), *base = blk_overlay_base(drive_overlay(v));
    uint8_t *bits = written(b), now[BLK_OVERLAY_CLUSTER], was[BLK_OVERLAY_CLUSTER], number[8];
    bool ok = true;
    for (uint64_t i = 0; ok && i < clusters_of(b); i++) {
        if (i % 8 == 0 && !bits[i / 8]) {
            i += 7;
            continue;
        }
        if (bits[i / 8] >> i % 8 & 1) {
            ok = read_cluster(b, i, now) && read_cluster(base, i, was);
            if (ok && memcmp(now, was, sizeof now) != 0) {
                le64_put(number, i);
                *h = st_digest_bytes(st_digest_bytes(*h, number, sizeof number), now, sizeof now);
            }
        }
    }
    free(bits);
    return ok;
}

/* Names and places of files are the host's affair and left out. */
uint64_t drives_digest(struct doppel_vm *vm, uint64_t h)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct blk *b = drive_medium(v);
        struct blk_overlay *o = drive_overlay(v);
        uint8_t head[10];
        head[0] = (uint8_t)v->d.kind;
        head[1] = (uint8_t)((b != NULL) | (v->tray != NULL) << 1 | (o != NULL) << 2);
        le64_put(head + 2, b ? b->bytes : 0);
        h = st_digest_bytes(h, head, sizeof head);
        if (o && !digest_overlay(v, &h)) {
            drive_host_failed(&v->d, "read back for the digest");
        }
    }
    return h;
}

/* --- Load --- */

struct plan {
    struct drive_state want;
    struct blk *fresh;         /* a medium to put in; NULL: what is there stays */
    enum blk_format format;    /* of it */
    struct blk_overlay *store; /* what is to be in the overlay; NULL: it has none */
};

struct drives_plan {
    unsigned n;
    struct plan list[DOPPEL_MAX_DRIVES + DRIVES_DEFAULT];
};

static bool check_medium(const struct vm_drive *v, const char *have_path,
                         const struct drive_state *want, const struct drive_state *have,
                         struct err *e)
{
    const char *path = (const char *)want->path;
    if (!have->present) {
        return err_set(e, "%s: saved with %.200s in it; give it that file", v->d.name, path);
    }
    if (want->bytes != have->bytes || want->overlay != have->overlay ||
        want->writable != have->writable) {
        return err_set(e,
                       "%s: saved with %.200s, %" PRIu64 " bytes, snapshot=%s, %s; it has %.200s, "
                       "%" PRIu64 " bytes, snapshot=%s, %s",
                       v->d.name, path, want->bytes, want->overlay ? "on" : "off",
                       want->writable ? "written to" : "not written to", have_path, have->bytes,
                       have->overlay ? "on" : "off",
                       have->writable ? "written to" : "not written to");
    }
    if (want->writable && !v->private && memcmp(want->path, have->path, PATH_SIZE) != 0) {
        return err_set(e, "%s: saved with %.200s; it has another file, %.200s", v->d.name, path,
                       (const char *)have->path);
    }
    return want->sample == have->sample ||
           err_set(e, "%s: %.200s has other content than %.200s had when the machine was saved",
                   v->d.name, have_path, path);
}

/* A diskette or CD that is not in now can be put in again. */
static void find_medium(const struct vm_drive *v, struct plan *p)
{
    struct err e;
    struct blk_how how = v->how;
    how.format = BLK_PROBE;
    if (v->d.kind != DRIVE_HD && !p->want.writable && !p->want.overlay) {
        how.readonly = true;
        p->fresh = blk_open((const char *)p->want.path, &how, &p->format, &e);
    }
}

/* Clusters come from the snapshot when they are read. */
struct overlay_from {
    struct blk_overlay_source source; /* first */
    struct snap_chain *chain;
    char region[SNAP_REGION];
};

static bool fetch_cluster(struct blk_overlay_source *s, uint64_t index, uint8_t *data)
{
    struct overlay_from *f = (struct overlay_from *)s;
    errno = EIO;
    return snap_chain_get(f->chain, f->region, index, data);
}

static void free_from(struct blk_overlay_source *s)
{
    struct overlay_from *f = (struct overlay_from *)s;
    snap_chain_put(f->chain);
    free(f);
}

static bool make_store(const struct vm_drive *v, struct plan *p, struct snap_chain *c,
                       struct err *e)
{
    struct overlay_from *f = calloc(1, sizeof *f);
    p->store = blk_overlay_store(p->want.bytes);
    if (!f || !p->store) {
        free(f);
        return err_set(e, "%s: no host memory for the writes of snapshot=on", v->d.name);
    }
    f->source = (struct blk_overlay_source){fetch_cluster, free_from};
    f->chain = c;
    snap_chain_hold(c);
    region_name(v, f->region);
    blk_overlay_set_source(p->store, &f->source);
    uint64_t n = snap_chain_pages(c, f->region), i = snap_chain_next(c, f->region, 0);
    if (n != clusters_of(drive_medium(v))) {
        return err_set(e, "%s: the writes of snapshot=on are not in it", v->d.name);
    }
    for (; i < n; i = snap_chain_next(c, f->region, i + 1)) {
        if (!blk_overlay_pend(p->store, i)) {
            return err_set(e, "%s: the writes of snapshot=on: %s", v->d.name, strerror(errno));
        }
    }
    return true;
}

static bool plan_one(struct vm_drive *v, struct plan *p, struct st_src *head, struct snap_chain *c,
                     struct err *e)
{
    struct drive_state have, *want = &p->want;
    if (!st_load(head, v->d.name, &drive_state_desc, want, e)) {
        return false;
    }
    want->path[PATH_SIZE - 1] = 0;
    if (want->kind != (uint8_t)v->d.kind || (!want->present && v->d.kind == DRIVE_HD)) {
        return err_set(e, "%s: saved as another kind of drive", v->d.name);
    }
    if (!want->present) {
        return !want->overlay || err_set(e, "%s: an overlay of no medium", v->d.name);
    }
    describe(v, &have);
    if (!check_medium(v, v->path ? v->path : "nothing", want, &have, e)) {
        find_medium(v, p);
        if (!p->fresh) {
            return false;
        }
        describe_medium(v, p->fresh, (const char *)want->path, &have);
        if (!check_medium(v, (const char *)want->path, want, &have, e)) {
            return false;
        }
    }
    if (want->writable && want->mark && !p->fresh &&
        !blk_undo_check(drive_undo(v), want->mark, e)) {
        return err_prefix(e, "%s", v->d.name);
    }
    return !want->overlay || make_store(v, p, c, e);
}

struct drives_plan *drives_plan(struct doppel_vm *vm, struct st_src *head, struct snap_chain *c,
                                struct err *e)
{
    struct drives_plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        abort();
    }
    plan->n = vm->drives->n;
    for (unsigned i = 0; i < plan->n; i++) {
        if (!plan_one(vm->drives->list[i], &plan->list[i], head, c, e)) {
            drives_plan_free(plan);
            return NULL;
        }
    }
    return plan;
}

void drives_plan_free(struct drives_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        if (plan->list[i].fresh) {
            plan->list[i].fresh->close(plan->list[i].fresh);
        }
        blk_overlay_free(plan->list[i].store);
    }
    free(plan);
}

/* Put the image back; `way_back`: so that it can be undone. */
static bool go_one(struct vm_drive *v, const struct plan *p, uint64_t way_back, struct err *e)
{
    struct blk_undo *u = drive_undo(v);
    return (blk_undo_mark(u, way_back, "", e) && blk_undo_go(u, p->want.mark, e)) ||
           err_prefix(e, "%s", v->d.name);
}

bool drives_go(struct doppel_vm *vm, struct drives_plan *plan, struct err *e)
{
    uint64_t way_back = host_seed() | 1;
    unsigned i = 0;
    bool ok = true;
    for (; ok && i < plan->n; i++) {
        const struct plan *p = &plan->list[i];
        if (p->want.writable && p->want.mark) {
            ok = go_one(vm->drives->list[i], p, way_back, e);
        }
    }
    while (i-- > 0) {
        struct blk_undo *u = drive_undo(vm->drives->list[i]);
        struct err lost;
        if (!ok && u && blk_undo_has(u, way_back) && !blk_undo_go(u, way_back, &lost)) {
            fprintf(vm->log.out, "%s: %s could not be undone: %s\n", vm->opt.name,
                    vm->drives->list[i]->d.name, lost.msg);
        }
        if (u) {
            blk_undo_forget_id(u, way_back);
        }
    }
    return ok;
}

static void apply_one(struct vm_drive *v, struct plan *p)
{
    if (!p->want.present) {
        drive_remove(v); /* it had been taken out */
        return;
    }
    if (p->fresh) {
        drive_remove(v);
        v->path = strdup((const char *)p->want.path);
        v->d.blk = p->fresh;
        v->format = p->format;
        v->private = false;
        p->fresh = NULL;
    }
    struct blk_journal *j = blk_journal_of(drive_medium(v));
    if (j) {
        blk_journal_forget_all(j);
    }
    if (p->store) {
        blk_overlay_swap(drive_overlay(v), p->store);
    }
    drive_guest_eject(&v->d, p->want.tray_open);
}

void drives_apply(struct doppel_vm *vm, struct drives_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        apply_one(vm->drives->list[i], &plan->list[i]);
    }
    drives_plan_free(plan);
}
