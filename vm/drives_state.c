/*
 * Drives in a saved machine and in its digest.
 *
 * For each drive: what is in it, then with snapshot=on the overlay's clusters (u64 index, 4096
 * bytes each). Without snapshot the image itself is the state: the saved machine names the file,
 * and another one is refused. A medium that nobody writes is known by a sample of its content, so
 * it may lie elsewhere when the machine is loaded.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

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
    V(S, uint64_t, sample, 1)   /* of a medium that nobody writes */                               \
    V(S, uint64_t, clusters, 1) /* of the overlay, behind this section */                          \
    A(S, uint8_t, path, PATH_SIZE, 1)

ST_DECLARE(drive_state, DRIVE_STATE);
ST_DESCRIBE(drive_state, DRIVE_STATE, 1);

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

static void describe(struct vm_drive *v, struct drive_state *s)
{
    struct blk *b = drive_medium(v);
    struct blk_overlay *o = drive_overlay(v);
    *s = (struct drive_state){.kind = (uint8_t)v->d.kind, .present = b != NULL};
    if (!b) {
        return;
    }
    s->tray_open = v->tray != NULL;
    s->overlay = o != NULL;
    s->writable = !o && !b->readonly;
    s->bytes = b->bytes;
    s->sample = s->writable ? 0 : sample(o ? blk_overlay_base(o) : b);
    s->clusters = o ? blk_overlay_count(o) : 0;
    char real[PATH_MAX], *full = realpath(v->path, real);
    const char *path = full ? full : v->path;
    size_t n = strlen(path) < PATH_SIZE ? strlen(path) : PATH_SIZE - 1;
    memcpy(s->path, path, n);
}

/* --- Save --- */

static void put_cluster(void *ctx, uint64_t index, const uint8_t *data)
{
    uint8_t number[8];
    le64_put(number, index);
    st_buf_put(ctx, number, sizeof number);
    st_buf_put(ctx, data, BLK_OVERLAY_CLUSTER);
}

bool drives_save(struct doppel_vm *vm, struct st_buf *b)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct drive_state s;
        describe(v, &s);
        st_save(b, v->d.name, &drive_state_desc, &s);
        if (s.overlay && !blk_overlay_each(drive_overlay(v), put_cluster, b)) {
            drive_host_failed(&v->d, "read back for saving");
            return false;
        }
    }
    return true;
}

/* --- Digest --- */

static void digest_cluster(void *ctx, uint64_t index, const uint8_t *data)
{
    uint8_t number[8];
    uint64_t *h = ctx;
    le64_put(number, index);
    *h = st_digest_bytes(st_digest_bytes(*h, number, sizeof number), data, BLK_OVERLAY_CLUSTER);
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
        if (o && !blk_overlay_each(o, digest_cluster, &h)) {
            drive_host_failed(&v->d, "read back for the digest");
        }
    }
    return h;
}

/* --- Load --- */

static bool load_overlay(struct vm_drive *v, uint64_t n, struct st_src *src, struct err *e)
{
    enum { SIZE = 8 + BLK_OVERLAY_CLUSTER };
    struct blk_overlay *o = drive_overlay(v);
    blk_overlay_clear(o);
    for (; n; n--) {
        if (src->len - src->pos < SIZE) {
            return err_set(e, "%s: the stream ends in the writes of snapshot=on", v->d.name);
        }
        const uint8_t *p = src->data + src->pos;
        errno = 0;
        if (!blk_overlay_put(o, le64_get(p), p + 8)) {
            return err_set(e, "%s: the writes of snapshot=on: %s", v->d.name, strerror(errno));
        }
        src->pos += SIZE;
    }
    return true;
}

static bool check_medium(const struct vm_drive *v, const struct drive_state *want,
                         const struct drive_state *have, struct err *e)
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
                       want->writable ? "written to" : "not written to", v->path, have->bytes,
                       have->overlay ? "on" : "off",
                       have->writable ? "written to" : "not written to");
    }
    if (want->writable && memcmp(want->path, have->path, PATH_SIZE) != 0) {
        return err_set(e, "%s: saved with %.200s; it has another file, %.200s", v->d.name, path,
                       (const char *)have->path);
    }
    return want->sample == have->sample ||
           err_set(e, "%s: %.200s has other content than %.200s had when the machine was saved",
                   v->d.name, v->path, path);
}

static bool load_one(struct vm_drive *v, struct st_src *src, struct err *e)
{
    struct drive_state want = {0}, have;
    describe(v, &have);
    if (!st_load(src, v->d.name, &drive_state_desc, &want, e)) {
        return false;
    }
    want.path[PATH_SIZE - 1] = 0;
    if (want.kind != have.kind || (!want.present && v->d.kind == DRIVE_HD)) {
        return err_set(e, "%s: saved as another kind of drive", v->d.name);
    }
    if (!want.present) {
        drive_remove(v); /* it had been taken out */
        return !want.overlay || err_set(e, "%s: an overlay of no medium", v->d.name);
    }
    if (!check_medium(v, &want, &have, e)) {
        return false;
    }
    drive_guest_eject(&v->d, want.tray_open);
    return !want.overlay || load_overlay(v, want.clusters, src, e);
}

bool drives_load(struct doppel_vm *vm, struct st_src *src, struct err *e)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        if (!load_one(vm->drives->list[i], src, e)) {
            return false;
        }
    }
    return true;
}
