/*
 * Recording: from listeners at the gate and watches on the drives to chunks of a log.
 *
 * Records are collected and written out in chunks: when they are many, about once a second of the
 * host's time, and at the end. A before-image goes to the file before its cluster is overwritten,
 * so that a log which ends anywhere finds its disks.
 */
#include "vm/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/hosttime.h"
#include "util/bits.h"
#include "vm/flight.h"
#include "vm/history.h"
#include "vm/inuse.h"
#include "vm/manifest.h"
#include "vm/media.h"
#include "vm/monitor_info.h"
#include "vm/record_priv.h"

#define FLUSH_BYTES (256u << 10)
#define FLUSH_NS    UINT64_C(1000000000)
#define IMAGE_BATCH 32u /* clusters in a chunk */
#define CHECK_MAX   (512u << 10)

static struct run_instant here(const struct doppel_vm *vm)
{
    return (struct run_instant){vm->clock.s.now, vm->gate.order, vm->clock.s.icount};
}

/* --- Chunks --- */

static void fail(struct record *r, const char *why)
{
    if (r->failed) {
        return;
    }
    char text[256];
    snprintf(text, sizeof text, "%s", why);
    r->failed = strdup(text);
    fprintf(r->vm->log.out, "%s: recording to %s stops here, the machine goes on: %s\n",
            r->vm->opt.name, r->path ? r->path : "memory", text);
}

static void put_chunk(struct record *r, enum inlog_type type, const void *data, size_t len)
{
    struct inlog_chunk c;
    if (!len || r->failed) {
        return;
    }
    inlog_pack(&c, type, data, len, r->file.plain);
    r->bytes += c.len;
    if (r->path) {
        bool ok = inlog_write(&r->file, &c);
        int why = errno;
        free(c.bytes);
        if (!ok) {
            fail(r, strerror(why));
        }
        return;
    }
    if (r->nchunks == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 64;
        r->chunks = realloc(r->chunks, r->cap * sizeof r->chunks[0]);
        if (!r->chunks) {
            abort();
        }
    }
    r->chunks[r->nchunks++] = c;
}

static void put_pieces(struct record *r, enum inlog_type type, const uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len; at += INLOG_CHUNK_MAX) {
        put_chunk(r, type, data + at,
                  len - at < INLOG_CHUNK_MAX ? len - at : (size_t)INLOG_CHUNK_MAX);
    }
}

static void write_run(struct record *r)
{
    put_chunk(r, INLOG_RUN, r->run.out.data, r->run.out.len);
    r->run.out.len = 0;
    r->flushed = host_monotonic();
}

/* The clusters that were used since the log was told last. */
static void put_used(struct record *r, struct record_medium *m)
{
    if (m->nnews) {
        runlog_used(&r->run, m->number, m->sum, m->news, m->nnews);
        m->nnews = 0;
    }
}

void record_flush(struct record *r, bool end)
{
    struct run_instant at = here(r->vm);
    for (unsigned i = 0; i < ARRAY_LEN(r->medium); i++) {
        put_used(r, &r->medium[i]);
    }
    if (end) {
        runlog_end(&r->run, &at, doppel_digest(r->vm));
    } else {
        runlog_tick(&r->run, &at);
    }
    write_run(r);
}

/* --- Beginning --- */

/* A medium is put in. */
static void medium_set(struct record *r, struct record_medium *m, const struct run_medium *x)
{
    size_t marks = blk_overlay_marks_size(x->bytes);
    put_used(r, m);
    free(m->bits);
    free(m->used);
    free(m->news);
    *m = (struct record_medium){.number = r->nmedia++, .bytes = x->bytes};
    m->used = calloc(marks, 1);
    if (!x->readonly && !x->overlay) {
        m->bits = calloc(marks, 1);
    }
}

static void begin_media(struct record *r, const struct run_medium *media, unsigned n)
{
    struct drives *ds = r->vm->drives;
    for (unsigned i = 0; i < ds->n; i++) {
        r->transfers[i] = ds->list[i]->d.transfers;
    }
    for (unsigned k = 0; k < n; k++) {
        medium_set(r, &r->medium[media_drive(r->vm, media[k].drive)], &media[k]);
    }
}

/* Has the machine not run yet? Then its manifest says all. */
static bool is_fresh(const struct doppel_vm *vm)
{
    return !vm->clock.s.now && !vm->gate.order && !vm->gate.delivered;
}

static bool hold_state(struct record *r, struct err *e)
{
    static const struct snapshot_how how = {.name = "", .threads = 1};
    uint64_t id;
    if (is_fresh(r->vm)) {
        return true;
    }
    r->held = snapshot_hold(r->vm, e);
    if (r->held && r->path) {
        bool ok = snapshot_held_write(r->held, &how, -1, &r->state, &id, e);
        snapshot_held_free(r->held);
        r->held = NULL;
        return ok || err_prefix(e, "nothing is recorded");
    }
    return r->held != NULL;
}

static bool begin(struct record *r, struct err *e)
{
    struct doppel_vm *vm = r->vm;
    struct run_medium *media;
    if (!hold_state(r, e)) {
        return false;
    }
    unsigned n = media_list(vm, &media);
    r->begin = here(vm);
    manifest_write(&r->manifest, vm, &r->begin, media, n);
    if (r->path) {
        manifest_write_end(&r->manifest, r->state.len);
        put_pieces(r, INLOG_MANIFEST, r->manifest.data, r->manifest.len);
        put_pieces(r, INLOG_STATE, r->state.data, r->state.len);
        st_buf_free(&r->manifest);
        st_buf_free(&r->state);
    }
    begin_media(r, media, n);
    runlog_begin(&r->run, &r->begin);
    write_run(r);
    free(media);
    return !r->failed || err_set(e, "%s: %s", r->path, r->failed);
}

struct record *record_new(struct doppel_vm *vm, const char *path, bool plain, struct err *e)
{
    struct record *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    r->vm = vm;
    r->file.fd = -1;
    r->path = path ? strdup(path) : NULL;
    if ((path && !inlog_create(&r->file, path, e))) {
        record_free(r);
        return NULL;
    }
    r->file.plain = plain;
    media_watch(vm);
    if (!begin(r, e)) {
        record_free(r);
        return NULL;
    }
    return r;
}

void record_free(struct record *r)
{
    if (!r) {
        return;
    }
    inlog_close(&r->file);
    for (unsigned i = 0; i < r->nchunks; i++) {
        free(r->chunks[i].bytes);
    }
    for (unsigned i = 0; i < ARRAY_LEN(r->medium); i++) {
        free(r->medium[i].bits);
        free(r->medium[i].used);
        free(r->medium[i].news);
    }
    runlog_writer_free(&r->run);
    snapshot_held_free(r->held);
    st_buf_free(&r->manifest);
    st_buf_free(&r->state);
    free(r->chunks);
    free(r->path);
    free(r->failed);
    free(r);
}

/* --- In memory, and written out --- */

static bool put_out(struct inlog_writer *w, enum inlog_type type, const struct st_buf *b)
{
    bool ok = true;
    for (size_t at = 0; ok && at < b->len; at += INLOG_CHUNK_MAX) {
        size_t n = b->len - at < INLOG_CHUNK_MAX ? b->len - at : (size_t)INLOG_CHUNK_MAX;
        ok = inlog_put(w, type, b->data + at, n);
    }
    return ok;
}

/* The machine that it began with, as bytes, in *b. */
static bool state_bytes(struct record *r, struct st_buf *b, struct err *e)
{
    static const struct snapshot_how how = {.name = "", .threads = 1};
    uint64_t id;
    return !r->held || snapshot_held_write(r->held, &how, -1, b, &id, e);
}

/* What is said of the instant of the tick that was just written. */
static void put_end(struct record *r, struct st_buf *b)
{
    uint8_t digest[8];
    inlog_put_num(b, RUN_END);
    st_buf_put(b, "\0\0", 3);
    le64_put(digest, doppel_digest(r->vm));
    st_buf_put(b, digest, sizeof digest);
}

bool record_write(struct record *r, const char *path, struct err *e)
{
    struct inlog_writer w = {.fd = -1};
    struct st_buf end = {0}, manifest = {0}, held = {0};
    const struct st_buf *state = r->held ? &held : &r->state;
    bool ok = state_bytes(r, &held, e) && inlog_create(&w, path, e);
    if (ok) {
        record_flush(r, false);
        put_end(r, &end);
        st_buf_put(&manifest, r->manifest.data, r->manifest.len);
        manifest_write_end(&manifest, state->len);
        ok = put_out(&w, INLOG_MANIFEST, &manifest) && put_out(&w, INLOG_STATE, state);
        for (unsigned i = 0; ok && i < r->nchunks; i++) {
            ok = inlog_write(&w, &r->chunks[i]);
        }
        ok = (ok && put_out(&w, INLOG_RUN, &end)) || err_set(e, "%s: %s", path, strerror(errno));
    }
    inlog_close(&w);
    st_buf_free(&end);
    st_buf_free(&manifest);
    st_buf_free(&held);
    return ok;
}

uint64_t record_bytes(const struct record *r, const struct record *next)
{
    uint64_t n = r->bytes + r->manifest.cap + r->state.cap + r->run.out.cap;
    return n + (r->held ? snapshot_held_bytes(r->held, next ? next->held : NULL) : 0);
}

void record_before_removal(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < VM_RECORDS; i++) {
        struct record *r = vm->record[i];
        struct err e = {""};
        if (r && r->held) {
            if (!state_bytes(r, &r->state, &e)) {
                fail(r, e.msg);
            }
            snapshot_held_free(r->held);
            r->held = NULL;
        }
    }
}

/* --- What the machine tells --- */

/* Each recording that goes on; NULL: no more. In its past a machine does nothing that is not in
 * the log already. */
static struct record *each(struct doppel_vm *vm, unsigned *i)
{
    if (history_in_past(vm)) {
        return NULL;
    }
    while (*i < VM_RECORDS) {
        struct record *r = vm->record[(*i)++];
        if (r && !r->failed) {
            return r;
        }
    }
    return NULL;
}

void record_event(void *ctx, const struct gate_event *ev)
{
    struct doppel_vm *vm = ctx;
    struct record *r;
    struct run_instant at = {ev->when, ev->order, vm->clock.s.icount};
    for (unsigned i = 0; (r = each(vm, &i)) != NULL;) {
        runlog_input(&r->run, &at, ev);
        r->inputs++;
        if (r->run.out.len >= FLUSH_BYTES) {
            write_run(r);
        }
    }
}

void record_check(struct doppel_vm *vm, const struct st_buf *small)
{
    struct record *r;
    struct run_instant at = here(vm);
    for (unsigned i = 0; small->len <= CHECK_MAX && (r = each(vm, &i)) != NULL;) {
        runlog_check(&r->run, &at, small);
        if (r->run.out.len >= FLUSH_BYTES) {
            write_run(r);
        }
    }
}

void record_poll(struct doppel_vm *vm)
{
    struct record *r;
    unsigned i = 0;
    uint64_t now = vm->records ? host_monotonic() : 0;
    while (vm->records && (r = each(vm, &i)) != NULL) {
        if (now - r->flushed >= FLUSH_NS) {
            record_flush(r, false);
        }
    }
    flight_poll(vm);
}

/* --- Disks --- */

static void add_news(struct record_medium *m, uint64_t first, uint64_t n)
{
    struct run_range *last = m->nnews ? &m->news[m->nnews - 1] : NULL;
    if (last && last->first + last->n == first) {
        last->n += n;
        return;
    }
    if (m->nnews == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 16;
        m->news = realloc(m->news, m->cap * sizeof *m->news);
        if (!m->news) {
            abort();
        }
    }
    m->news[m->nnews++] = (struct run_range){first, n};
}

static bool is_used(const struct record_medium *m, uint64_t cluster)
{
    return m->used[cluster / 8] >> cluster % 8 & 1;
}

/* Clusters [first, first+n) are read, or about to be written, in the k-th drive. */
static void use_clusters(struct record *r, unsigned k, uint64_t first, uint64_t n)
{
    struct record_medium *m = &r->medium[k];
    struct vm_drive *v = r->vm->drives->list[k];
    struct blk_overlay *o = drive_overlay(v);
    struct blk *b = o ? blk_overlay_base(o) : v->d.blk;
    for (uint64_t i = first, run; m->used && i < first + n; i += run) {
        bool known = is_used(m, i);
        for (run = 1; i + run < first + n && is_used(m, i + run) == known; run++) {
        }
        if (known || !media_sum_clusters(b, i, run, &m->sum)) {
            continue;
        }
        for (uint64_t c = i; c < i + run; c++) {
            m->used[c / 8] = (uint8_t)(m->used[c / 8] | 1u << c % 8);
        }
        add_news(m, i, run);
    }
}

void record_after_read(struct doppel_vm *vm, struct drive *d, uint64_t off, size_t len)
{
    struct record *r;
    int k = vm->records ? media_drive(vm, d->name) : -1;
    for (unsigned i = 0; k >= 0 && len && (r = each(vm, &i)) != NULL;) {
        uint64_t first = off / MEDIA_CLUSTER;
        use_clusters(r, (unsigned)k, first, (off + len - 1) / MEDIA_CLUSTER - first + 1);
    }
}

/* Clusters [first, first+n) that are not in the log yet. */
static void save_clusters(struct record *r, struct record_medium *m, struct blk *b, uint64_t first,
                          uint64_t n)
{
    struct st_buf out = {0};
    unsigned batch = 0;
    for (uint64_t k = first; k < first + n && !r->failed; k++) {
        uint8_t data[MEDIA_CLUSTER] = {0};
        uint64_t left = m->bytes - k * MEDIA_CLUSTER;
        if (m->bits[k / 8] >> k % 8 & 1) {
            continue;
        }
        if (!b->read(b, k * MEDIA_CLUSTER, data,
                     left < MEDIA_CLUSTER ? (size_t)left : MEDIA_CLUSTER)) {
            fail(r, "a disk's content cannot be read before it is overwritten");
            break;
        }
        if (!batch++) {
            inlog_put_num(&out, m->number);
        }
        inlog_put_num(&out, k);
        st_buf_put(&out, data, sizeof data);
        m->bits[k / 8] = (uint8_t)(m->bits[k / 8] | 1u << k % 8);
        r->images++;
        if (batch == IMAGE_BATCH) {
            put_chunk(r, INLOG_IMAGE, out.data, out.len);
            out.len = batch = 0;
        }
    }
    put_chunk(r, INLOG_IMAGE, out.data, out.len);
    st_buf_free(&out);
}

void record_before_write(struct doppel_vm *vm, struct drive *d, uint64_t off, size_t len)
{
    struct record *r;
    int k = vm->records ? media_drive(vm, d->name) : -1;
    for (unsigned i = 0; k >= 0 && len && (r = each(vm, &i)) != NULL;) {
        struct record_medium *m = &r->medium[k];
        uint64_t first = off / MEDIA_CLUSTER, last = (off + len - 1) / MEDIA_CLUSTER;
        use_clusters(r, (unsigned)k, first, last - first + 1);
        if (m->bits) {
            save_clusters(r, m, d->blk, first, last - first + 1);
        }
    }
}

void record_fault(struct doppel_vm *vm, struct drive *d)
{
    struct record *r;
    int k = media_drive(vm, d->name);
    for (unsigned i = 0; k >= 0 && (r = each(vm, &i)) != NULL;) {
        runlog_fault(&r->run, d->name, d->transfers - r->transfers[k]);
    }
}

bool record_wants_media(const struct doppel_vm *vm)
{
    return vm->records > 0;
}

void record_medium(struct doppel_vm *vm, const struct run_medium *x)
{
    struct record *r;
    int k = media_drive(vm, x->drive);
    for (unsigned i = 0; k >= 0 && (r = each(vm, &i)) != NULL;) {
        runlog_medium(&r->run, x);
        if (x->ok) {
            medium_set(r, &r->medium[k], x);
        } else {
            r->nmedia++; /* what was in there may still be */
        }
    }
}

/* --- Start and stop --- */

bool record_add(struct doppel_vm *vm, unsigned slot, struct record *r)
{
    vm->record[slot] = r;
    if (!vm->records++) {
        gate_listen(&vm->gate, record_event, vm);
        vm->check_at = check_next(vm->clock.s.icount);
    }
    return true;
}

struct record *record_take(struct doppel_vm *vm, unsigned slot)
{
    struct record *r = vm->record[slot];
    vm->record[slot] = NULL;
    if (r && !--vm->records) {
        gate_unlisten(&vm->gate, record_event, vm);
        vm->check_at = UINT64_MAX;
    }
    return r;
}

bool record_start(struct doppel_vm *vm, const char *spec, struct err *e)
{
    const char *comma = strrchr(spec, ',');
    bool plain = comma && strcmp(comma, ",compress=off") == 0;
    bool given = plain || (comma && strcmp(comma, ",compress=on") == 0);
    char *path = strndup(spec, given ? (size_t)(comma - spec) : strlen(spec));
    if (!path) {
        abort();
    }
    bool ok = *path || err_usage(e, "record: want a file name");
    if (ok && vm->record[VM_RECORD]) {
        ok = err_set(e, "recording to %s already", vm->record[VM_RECORD]->path);
    }
    if (ok && history_in_past(vm)) {
        ok = err_set(e, "the machine is in its past; return, or branch first");
    }
    if (ok && vm->replay) {
        ok = err_set(e, "a machine of a replay has private disks, which no log could name");
    }
    ok = ok && !inuse_for_log(vm, path, e);
    struct record *r = ok ? record_new(vm, path, plain, e) : NULL;
    free(path);
    return r && record_add(vm, VM_RECORD, r);
}

void record_stop(struct doppel_vm *vm)
{
    struct record *r = record_take(vm, VM_RECORD);
    if (r && history_in_past(vm)) {
        write_run(r); /* it ends where it last told how far it came */
    } else if (r) {
        record_flush(r, true);
    }
    record_free(r);
}

void record_end(struct doppel_vm *vm)
{
    record_stop(vm);
    flight_stop(vm);
}

void record_break(struct doppel_vm *vm, const char *why)
{
    if (vm->record[VM_RECORD]) {
        fprintf(vm->log.out, "%s: recording to %s ends here: %s\n", vm->opt.name,
                vm->record[VM_RECORD]->path, why);
        record_stop(vm);
    }
    flight_forget(vm);
}

/* --- The public API, the monitor --- */

bool doppel_record_start(struct doppel_vm *vm, const char *file, struct doppel_error *out)
{
    struct err e = {""};
    bool ok = record_start(vm, file, &e);
    if (!ok && out) {
        snprintf(out->msg, sizeof out->msg, "%s", e.msg);
        out->usage = e.usage;
    }
    return ok;
}

bool doppel_flight_start(struct doppel_vm *vm, const char *how, struct doppel_error *out)
{
    struct err e = {""};
    bool ok =
        vm->flight ? err_set(&e, "the flight recorder runs already") : flight_start(vm, how, &e);
    if (!ok && out) {
        snprintf(out->msg, sizeof out->msg, "%s", e.msg);
        out->usage = e.usage;
    }
    return ok;
}

bool doppel_flight_save(struct doppel_vm *vm, const char *file, struct doppel_error *out)
{
    struct err e = {""};
    bool ok = flight_save(vm, file, &e);
    if (!ok && out) {
        snprintf(out->msg, sizeof out->msg, "%s", e.msg);
        out->usage = e.usage;
    }
    return ok;
}

void doppel_record_stop(struct doppel_vm *vm)
{
    record_stop(vm);
}

void record_info(struct doppel_vm *vm, struct mon_out *o)
{
    const struct record *r = vm->record[VM_RECORD];
    if (!r) {
        mon_printf(o, "nothing is being recorded\n");
    } else {
        mon_printf(o,
                   "%s: %" PRIu64 " bytes; from instruction %" PRIu64 " at %" PRIu64 " ns; %" PRIu64
                   " inputs, %" PRIu64 " clusters of disks%s%s\n",
                   r->path, r->bytes, r->begin.icount, r->begin.when, r->inputs, r->images,
                   r->failed ? "; it has stopped: " : "", r->failed ? r->failed : "");
    }
    flight_info(vm, o);
}

void record_command(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    if (strncmp(args, "start ", 6) == 0) {
        args += 6;
        args += strspn(args, " \t");
        if (!record_start(vm, args, &e)) {
            mon_printf(o, "record: %s\n", e.msg);
        }
    } else if (strcmp(args, "stop") == 0) {
        if (!vm->record[VM_RECORD]) {
            mon_printf(o, "record: nothing is being recorded\n");
        }
        record_stop(vm);
    } else {
        mon_printf(o, "record: want start FILE or stop\n");
    }
}
