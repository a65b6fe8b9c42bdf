/* Sums of media and the watch on transfers. See media.h. */
#include "vm/media.h"

#include <stdlib.h>
#include <string.h>

#include "vm/drives_priv.h"
#include "vm/history.h"
#include "vm/record.h"
#include "vm/replay.h"

static bool add_clusters(struct blk *b, uint64_t at, uint64_t n, uint64_t *h)
{
    uint8_t data[16 * MEDIA_CLUSTER];
    while (n) {
        uint64_t left = b->bytes - at;
        size_t len = n * MEDIA_CLUSTER < sizeof data ? (size_t)(n * MEDIA_CLUSTER) : sizeof data;
        len = len < left ? len : (size_t)left;
        if (!b->read(b, at, data, len)) {
            return false;
        }
        *h = st_digest_bytes(*h, data, len);
        at += len;
        n -= (len + MEDIA_CLUSTER - 1) / MEDIA_CLUSTER;
    }
    return true;
}

bool media_sum(struct blk *b, uint64_t *sum)
{
    uint64_t clusters = (b->bytes + MEDIA_CLUSTER - 1) / MEDIA_CLUSTER;
    *sum = ST_DIGEST_INIT;
    if (b->bytes <= MEDIA_WHOLE) {
        return add_clusters(b, 0, clusters, sum);
    }
    for (uint64_t i = 0; i < MEDIA_SAMPLES; i++) {
        uint64_t k = (clusters - 1) / (MEDIA_SAMPLES - 1) * i +
                     (clusters - 1) % (MEDIA_SAMPLES - 1) * i / (MEDIA_SAMPLES - 1);
        if (!add_clusters(b, k * MEDIA_CLUSTER, 1, sum)) {
            return false;
        }
    }
    return true;
}

bool media_sum_clusters(struct blk *b, uint64_t first, uint64_t n, uint64_t *sum)
{
    uint8_t data[16 * MEDIA_CLUSTER];
    uint64_t all = 0;
    while (n) {
        uint64_t at = first * MEDIA_CLUSTER, left = b->bytes - at;
        size_t len = n * MEDIA_CLUSTER < sizeof data ? (size_t)(n * MEDIA_CLUSTER) : sizeof data;
        len = len < left ? len : (size_t)left;
        if (!b->read(b, at, data, len)) {
            return false;
        }
        for (size_t i = 0; i < len; i += MEDIA_CLUSTER, first++, n--) {
            size_t bytes = len - i < MEDIA_CLUSTER ? len - i : (size_t)MEDIA_CLUSTER;
            all ^= st_digest_bytes(digest_mix(ST_DIGEST_INIT, first), data + i, bytes);
        }
    }
    *sum ^= all;
    return true;
}

/* What a run does to an overlay is not the medium's. The sum of what stays as it is is taken once:
 * the flight recorder asks again and again. */
static uint64_t sum_of(struct vm_drive *v, struct blk *b, bool overlay)
{
    uint64_t sum;
    if (v->summed) {
        return v->sum;
    }
    if (!media_sum(overlay ? blk_overlay_base(drive_overlay(v)) : b, &sum)) {
        return 0;
    }
    v->sum = sum;
    v->summed = overlay || b->readonly;
    return sum;
}

void media_describe(struct vm_drive *v, struct run_medium *m)
{
    struct blk *b = drive_medium(v);
    memset(m, 0, sizeof *m);
    memcpy(m->drive, v->d.name, sizeof m->drive);
    strcpy(m->format, blk_format_name(v->format));
    m->ok = true;
    m->readonly = b->readonly;
    m->overlay = drive_overlay(v) != NULL;
    m->bytes = b->bytes;
    m->sum = sum_of(v, b, m->overlay);
    char *full = realpath(v->path, NULL);
    strncpy(m->path, full ? full : v->path, sizeof m->path - 1);
    free(full);
}

unsigned media_list(struct doppel_vm *vm, struct run_medium **media)
{
    unsigned n = 0;
    *media = calloc(vm->drives->n + 1, sizeof **media);
    if (!*media) {
        abort();
    }
    for (unsigned i = 0; i < vm->drives->n; i++) {
        if (drive_medium(vm->drives->list[i])) {
            media_describe(vm->drives->list[i], &(*media)[n++]);
        }
    }
    return n;
}

int media_drive(const struct doppel_vm *vm, const char *name)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        if (strcmp(vm->drives->list[i]->d.name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* --- The watch --- */

static void after_read(void *ctx, struct drive *d, uint64_t off, size_t len)
{
    if (!history_in_past(ctx)) { /* a recording has had that */
        record_after_read(ctx, d, off, len);
    }
}

static void before_write(void *ctx, struct drive *d, uint64_t off, size_t len)
{
    if (!history_in_past(ctx)) {
        record_before_write(ctx, d, off, len);
    }
}

static bool done(void *ctx, struct drive *d, bool ok)
{
    struct doppel_vm *vm = ctx;
    ok = replay_transfer(vm->replay, d, ok);
    if (!ok && !history_in_past(vm)) {
        record_fault(vm, d);
    }
    return ok;
}

static const struct drive_watch watch = {after_read, before_write, done};

void media_watch(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        vm->drives->list[i]->d.watch = &watch;
        vm->drives->list[i]->d.watch_ctx = vm;
    }
}

void media_inserted(struct doppel_vm *vm, struct vm_drive *v, bool ok)
{
    struct run_medium m = {0};
    if (!record_wants_media(vm)) {
        return;
    }
    if (ok) {
        media_describe(v, &m);
    } else {
        memcpy(m.drive, v->d.name, sizeof m.drive);
    }
    record_medium(vm, &m);
}
