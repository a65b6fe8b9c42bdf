/*
 * Replay: the log as the machine's only source of input.
 *
 * A log is looked over whole when it is opened: that gives its last instant, the media and the
 * host's failures. Then two readers follow the run, one for the inputs, which looks ahead to the
 * next one, and one for the checks.
 */
#include "vm/replay.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/drives_priv.h"
#include "vm/files.h"
#include "vm/history.h"
#include "vm/manifest.h"
#include "vm/media.h"
#include "vm/monitor_info.h"
#include "vm/nets.h"
#include "vm/record.h"

#define DIFFS 20u /* fields that a report names */

/* Clusters of a medium that the run read or wrote. */
struct used {
    uint64_t medium;
    struct run_range range;
};

struct fault {
    char drive[32];
    uint64_t transfer;
};

/* What is known of a log before anything of it is replayed. */
struct survey {
    struct manifest m;
    struct run_instant end;
    uint64_t digest;    /* at the end, if it is complete */
    bool complete;      /* it has an end; otherwise it was cut short */
    const char *damage; /* where it was cut; NULL */
    uint64_t inputs, checks;
    struct run_medium *media; /* the manifest's, then those put in later */
    unsigned nmedia;
    uint64_t *used_sum; /* by medium: of its clusters that were used, as they were at first */
    struct used *used;
    size_t nused, used_cap;
    struct fault *faults;
    unsigned nfaults;
};

struct doppel_log {
    char *path;
    struct survey s;
};

/* One of the two that follow. */
struct follower {
    struct inlog_reader log;
    struct runlog_reader run;
    struct run_record rec; /* the next input, or check */
    bool have;
};

struct replay {
    struct doppel_vm *vm;
    pthread_mutex_t lock; /* of what the manifest remembers: twins (vm/twin.h) read files, too */
    char *path;
    struct survey s;
    struct gate_feed feed;
    struct follower inputs, checks;
    bool verify, live;
    unsigned next_medium;
    unsigned next_fault;
    uint64_t verified;       /* instructions up to which all checks were right */
    unsigned nverified;      /* how many were */
    const char *host_failed; /* a transfer failed that had not; NULL */
    bool diverged, over;
    struct st_buf report; /* a string */
};

/* --- The survey --- */

static void add_medium(struct survey *s, const struct run_medium *m)
{
    s->media = realloc(s->media, (s->nmedia + 1) * sizeof s->media[0]);
    s->used_sum = realloc(s->used_sum, (s->nmedia + 1) * sizeof s->used_sum[0]);
    if (!s->media || !s->used_sum) {
        abort();
    }
    s->used_sum[s->nmedia] = 0;
    s->media[s->nmedia++] = *m;
}

/* False: of no medium that was told, or not inside it. */
static bool add_used(struct survey *s, const struct run_record *rec)
{
    if (rec->number >= s->nmedia) {
        return false;
    }
    uint64_t clusters = media_clusters(s->media[rec->number].bytes);
    s->used_sum[rec->number] = rec->value;
    for (size_t i = 0; i < rec->len; i++) {
        struct run_range x = rec->range[i];
        if (x.first > clusters || x.n > clusters - x.first) {
            return false;
        }
        if (s->nused == s->used_cap) {
            s->used_cap = s->used_cap ? 2 * s->used_cap : 64;
            s->used = realloc(s->used, s->used_cap * sizeof s->used[0]);
            if (!s->used) {
                abort();
            }
        }
        s->used[s->nused++] = (struct used){rec->number, x};
    }
    return true;
}

static void add_fault(struct survey *s, const struct run_record *rec)
{
    struct fault f = {.transfer = rec->value};
    s->faults = realloc(s->faults, (s->nfaults + 1) * sizeof s->faults[0]);
    if (!s->faults) {
        abort();
    }
    memcpy(f.drive, rec->name, sizeof f.drive);
    s->faults[s->nfaults++] = f;
}

static bool read_manifest(struct survey *s, struct inlog_reader *in, const char *path,
                          struct err *e)
{
    struct st_buf text = {0};
    while (inlog_next(in) && in->type == INLOG_MANIFEST && text.len < 16u << 20) {
        st_buf_put(&text, in->raw, in->len);
    }
    bool ok = text.len > 0 ? manifest_read(&s->m, (const char *)text.data, text.len, path, e)
                           : err_set(e, "%s", in->damage ? in->damage : "it has no manifest");
    st_buf_free(&text);
    inlog_rewind(in);
    return ok;
}

/* All records. A log that was cut is good up to there, if it is one at all. */
static bool read_records(struct survey *s, struct inlog_reader *in, struct err *e)
{
    struct runlog_reader run = {.log = in};
    struct run_record rec;
    bool begun = false;
    while (!s->complete && runlog_next(&run, &rec)) {
        switch (rec.type) {
        case RUN_MEDIUM:
            add_medium(s, rec.medium);
            break;
        case RUN_FAULT:
            add_fault(s, &rec);
            break;
        case RUN_USED:
            if (!add_used(s, &rec)) {
                runlog_reader_free(&run);
                return err_set(e, "what it says of disks is damaged");
            }
            break;
        case RUN_BEGIN:
            if (begun || rec.at.when != s->m.begin.when || rec.at.order != s->m.begin.order ||
                rec.at.icount != s->m.begin.icount) {
                runlog_reader_free(&run);
                return err_set(e, "it begins twice, or elsewhere than its manifest says");
            }
            begun = true;
            break;
        default:
            s->inputs += rec.type == RUN_INPUT;
            s->checks += rec.type == RUN_CHECK;
            s->complete = rec.type == RUN_END;
            s->digest = s->complete ? rec.value : 0;
            break;
        }
        s->end = rec.at;
    }
    s->damage = run.damage;
    runlog_reader_free(&run);
    return begun || err_set(e, "%s", s->damage ? s->damage : "it holds no run");
}

static void survey_free(struct survey *s)
{
    manifest_free(&s->m);
    free(s->media);
    free(s->faults);
    free(s->used);
    free(s->used_sum);
    *s = (struct survey){0};
}

static bool survey(struct survey *s, const char *path, struct inlog_reader *in, struct err *e)
{
    *s = (struct survey){0};
    bool ok = read_manifest(s, in, path, e);
    for (unsigned i = 0; ok && i < s->m.nmedia; i++) {
        add_medium(s, &s->m.media[i]);
    }
    ok = ok && read_records(s, in, e);
    inlog_rewind(in);
    if (!ok) {
        err_prefix(e, "%s", path);
        survey_free(s);
    }
    return ok;
}

/* --- Logs --- */

static void tell(struct doppel_error *out, const struct err *e)
{
    if (out) {
        snprintf(out->msg, sizeof out->msg, "%s", e->msg);
        out->usage = e->usage;
    }
}

struct doppel_log *doppel_log_open(const char *path, struct doppel_error *out)
{
    struct err e = {""};
    struct inlog_reader in;
    struct doppel_log *l = calloc(1, sizeof *l);
    if (!l) {
        abort();
    }
    bool ok = inlog_open(&in, path, &e);
    if (ok) {
        ok = survey(&l->s, path, &in, &e);
        inlog_reader_close(&in);
    }
    if (!ok) {
        tell(out, &e);
        free(l);
        return NULL;
    }
    l->path = strdup(path);
    l->s.m.opt.replay = l;
    return l;
}

void doppel_log_close(struct doppel_log *l)
{
    if (l) {
        survey_free(&l->s);
        free(l->path);
        free(l);
    }
}

const struct doppel_options *doppel_log_options(const struct doppel_log *l)
{
    return &l->s.m.opt;
}

void doppel_log_info(const struct doppel_log *l, struct doppel_log_info *info)
{
    const struct survey *s = &l->s;
    *info = (struct doppel_log_info){.begin_icount = s->m.begin.icount,
                                     .begin_vtime = s->m.begin.when,
                                     .end_icount = s->end.icount,
                                     .end_vtime = s->end.when,
                                     .inputs = s->inputs,
                                     .checks = s->checks,
                                     .digest = s->digest,
                                     .complete = s->complete};
    snprintf(info->damage, sizeof info->damage, "%s", s->damage ? s->damage : "");
}

/* --- The two followers --- */

static void follow(struct follower *f, enum runlog_type type)
{
    do {
        f->have = runlog_next(&f->run, &f->rec);
    } while (f->have && f->rec.type != type);
}

static bool follower_open(struct follower *f, const char *path, enum runlog_type type,
                          struct err *e)
{
    if (!inlog_open(&f->log, path, e)) {
        return false;
    }
    f->run.log = &f->log;
    follow(f, type);
    return true;
}

static void follower_close(struct follower *f)
{
    if (f->run.log) {
        inlog_reader_close(&f->log);
    }
    runlog_reader_free(&f->run);
}

static bool feed_peek(void *ctx, struct gate_event *ev)
{
    const struct replay *r = ctx;
    const struct run_record *rec = &r->inputs.rec;
    if (!r->inputs.have) {
        return false;
    }
    *ev = (struct gate_event){rec->at.when, rec->at.order, rec->name, rec->payload,
                              (uint32_t)rec->len};
    return true;
}

static void feed_pop(void *ctx)
{
    struct replay *r = ctx;
    follow(&r->inputs, RUN_INPUT);
}

/* --- A machine's --- */

struct replay *replay_new(struct doppel_vm *vm, struct doppel_log *log, struct err *e)
{
    struct replay *r = calloc(1, sizeof *r);
    struct inlog_reader in;
    if (!r) {
        abort();
    }
    r->vm = vm;
    pthread_mutex_init(&r->lock, NULL);
    r->path = strdup(log->path);
    r->verify = vm->opt.replay_verify;
    bool ok = inlog_open(&in, log->path, e);
    if (ok) {
        ok = survey(&r->s, log->path, &in, e);
        inlog_reader_close(&in);
    }
    ok = ok && follower_open(&r->inputs, r->path, RUN_INPUT, e) &&
         (!r->verify || follower_open(&r->checks, r->path, RUN_CHECK, e));
    if (!ok) {
        replay_free(r);
        return NULL;
    }
    r->feed = (struct gate_feed){feed_peek, feed_pop, r};
    return r;
}

void replay_free(struct replay *r)
{
    if (r) {
        follower_close(&r->inputs);
        follower_close(&r->checks);
        survey_free(&r->s);
        st_buf_free(&r->report);
        pthread_mutex_destroy(&r->lock);
        free(r->path);
        free(r);
    }
}

/* The saved machine that the log begins with. */
static bool load_state(struct replay *r, struct err *e)
{
    struct st_buf state = {0};
    struct inlog_reader in;
    struct doppel_error why = {""};
    if (!inlog_open(&in, r->path, e)) {
        return false;
    }
    while (state.len < r->s.m.state_bytes && inlog_next(&in)) {
        if (in.type == INLOG_STATE) {
            st_buf_put(&state, in.raw, in.len);
        }
    }
    bool ok = state.len == r->s.m.state_bytes && doppel_load(r->vm, state.data, state.len, &why);
    if (!ok) {
        err_set(e, "%s: the machine that it begins with: %s", r->path,
                why.msg[0] ? why.msg : "cut short");
    }
    inlog_reader_close(&in);
    st_buf_free(&state);
    return ok;
}

bool replay_begin(struct replay *r, struct err *e)
{
    struct doppel_vm *vm = r->vm;
    if (r->s.m.state_bytes && !load_state(r, e)) {
        return false;
    }
    if (vm->clock.s.now != r->s.m.begin.when || vm->clock.s.icount != r->s.m.begin.icount) {
        return err_set(e, "%s: the machine that it begins with is of another instant", r->path);
    }
    for (unsigned i = 0; i < vm->drives->n; i++) {
        vm->drives->list[i]->d.transfers = 0;
    }
    media_watch(vm);
    vm->paused = vm->opt.paused;
    vm->request = 0;
    vm->gate.order = r->s.m.begin.order;
    vm->gate.late = 0;
    vm->gate.feed = &r->feed;
    vm->end_when = r->s.end.when;
    vm->end_order = r->s.end.order;
    vm->check_at = r->verify ? check_next(vm->clock.s.icount) : UINT64_MAX;
    r->verified = vm->clock.s.icount;
    return true;
}

const struct vm_file *replay_files(const struct replay *r, unsigned *n)
{
    *n = r ? r->s.m.nfiles : 0;
    return r ? r->s.m.files : NULL;
}

const char *replay_path(struct replay *r, const char *path)
{
    pthread_mutex_lock(&r->lock);
    const char *found = manifest_path(&r->s.m, path);
    pthread_mutex_unlock(&r->lock);
    return found;
}

bool replay_feeds(const struct replay *r)
{
    return r && !r->live;
}

/* --- Disks --- */

const struct run_medium *replay_media(const struct replay *r, unsigned *n)
{
    *n = r->s.m.nmedia;
    return r->s.media;
}

/* Before-images in a chunk that belong to medium k go where there is none of an earlier one. */
static bool put_images(const struct inlog_reader *in, const bool *wanted, unsigned n,
                       struct blk_overlay *o, uint64_t clusters)
{
    struct st_src src = {in->raw, in->len, 0};
    uint64_t number, index;
    if (!inlog_get_num(&src, &number)) {
        return false;
    }
    while (number < n && wanted[number] && src.pos < src.len) {
        if (!inlog_get_num(&src, &index) || index >= clusters ||
            src.len - src.pos < MEDIA_CLUSTER) {
            return false;
        }
        if (!blk_overlay_has(o, index) && !blk_overlay_put(o, index, src.data + src.pos)) {
            return false;
        }
        src.pos += MEDIA_CLUSTER;
    }
    return true;
}

/* As it was when it was put in as number k: what was there before it was written, then or when the
 * same file was put in again later. */
static bool restore(struct replay *r, unsigned k, struct blk *b, struct err *e)
{
    struct blk_overlay *o = blk_overlay_of(b);
    uint64_t clusters = (b->bytes + MEDIA_CLUSTER - 1) / MEDIA_CLUSTER;
    struct inlog_reader in;
    bool *wanted = calloc(r->s.nmedia, sizeof *wanted), ok = true;
    if (!wanted) {
        abort();
    }
    for (unsigned i = k; i < r->s.nmedia; i++) {
        wanted[i] = r->s.media[i].ok && strcmp(r->s.media[i].path, r->s.media[k].path) == 0;
    }
    if (!inlog_open(&in, r->path, e)) {
        free(wanted);
        return false;
    }
    while (ok && inlog_next(&in)) {
        ok = in.type != INLOG_IMAGE || put_images(&in, wanted, r->s.nmedia, o, clusters);
    }
    inlog_reader_close(&in);
    free(wanted);
    return ok || err_set(e, "what it says of disks is damaged");
}

/* Is what the run used of medium k in b? Each cluster was told once, so more is a lie. */
static bool same_used(const struct survey *s, unsigned k, struct blk *b)
{
    uint64_t sum = 0, left = media_clusters(b->bytes);
    for (size_t i = 0; i < s->nused; i++) {
        const struct run_range *x = &s->used[i].range;
        if (s->used[i].medium != k) {
            continue;
        }
        if (x->n > left || !media_sum_clusters(b, x->first, x->n, &sum)) {
            return false;
        }
        left -= x->n;
    }
    return sum == s->used_sum[k];
}

static bool check_medium(struct replay *r, unsigned k, struct blk *b, const char *path,
                         struct err *e)
{
    const struct run_medium *m = &r->s.media[k];
    struct blk_overlay *o = m->overlay ? blk_overlay_of(b) : NULL;
    struct blk *was = o ? blk_overlay_base(o) : b;
    uint64_t sum;
    if (b->bytes != m->bytes) {
        return err_set(e, "%s: %" PRIu64 " bytes; it was recorded with %" PRIu64, path, b->bytes,
                       m->bytes);
    }
    return (media_sum(was, &sum) && sum == m->sum && same_used(&r->s, k, was)) ||
           err_set(e,
                   "%s: not the content that was recorded; it has been written to since, by "
                   "something else or by that machine after the recording's end",
                   path);
}

struct blk *replay_medium(struct replay *r, const struct vm_drive *v, const struct run_medium **out,
                          struct err *e)
{
    unsigned k = r->next_medium;
    if (k == r->s.nmedia || strcmp(r->s.media[k].drive, v->d.name) != 0) {
        err_set(e, "%s: the recorded machine got no medium here", v->d.name);
        return NULL;
    }
    r->next_medium++;
    const struct run_medium *m = *out = &r->s.media[k];
    struct blk_how how = v->how;
    if (!m->ok || !blk_format_parse(m->format, &how.format)) {
        err_set(e, "%s: could not be opened when it was recorded", v->d.name);
        return NULL;
    }
    how.readonly = m->readonly;
    how.snapshot = !m->readonly;
    const char *path = replay_path(r, m->path);
    struct blk *b = blk_open(path, &how, NULL, e);
    if (b && ((!m->readonly && !m->overlay && !restore(r, k, b, e)) ||
              !check_medium(r, k, b, path, e))) {
        b->close(b);
        b = NULL;
    }
    return b;
}

bool replay_transfer(struct replay *r, struct drive *d, bool ok)
{
    if (!replay_feeds(r)) {
        return ok;
    }
    bool past = history_in_past(r->vm);
    for (unsigned i = past ? 0 : r->next_fault; i < r->s.nfaults; i++) {
        const struct fault *f = &r->s.faults[i];
        if (f->transfer == d->transfers && strcmp(f->drive, d->name) == 0) {
            r->next_fault += i == r->next_fault && !past;
            return false;
        }
    }
    if (!ok && !past) { /* else a twin, perhaps */
        r->host_failed = d->name;
    }
    return ok;
}

/* --- Is it the same run? --- */

static void say(struct replay *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct replay *r, const char *fmt, ...)
{
    char text[800];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    st_buf_put(&r->report, text, strlen(text));
}

static void say_fields(struct replay *r, const uint8_t *small, size_t len)
{
    unsigned n = check_diff(r->vm, small, len, DIFFS, &r->report);
    if (n > DIFFS) {
        say(r, "\n    and %u more", n - DIFFS);
    }
}

static void diverge(struct replay *r)
{
    r->diverged = true;
    st_buf_put(&r->report, "", 1);
}

void replay_check(struct replay *r, const struct st_buf *small)
{
    struct follower *f = &r->checks;
    uint64_t icount = r->vm->clock.s.icount;
    while (f->have && f->rec.at.icount < icount) {
        follow(f, RUN_CHECK);
    }
    if (!f->have || f->rec.at.icount != icount || r->diverged) {
        return;
    }
    if (f->rec.len == small->len && memcmp(f->rec.payload, small->data, small->len) == 0 &&
        f->rec.at.order == r->vm->gate.order) {
        r->verified = icount;
        r->nverified++;
        return;
    }
    say(r,
        "the run leaves the recorded one between instructions %" PRIu64 " and %" PRIu64
        "; at %" PRIu64 " differ",
        r->verified, icount, icount);
    say_fields(r, f->rec.payload, f->rec.len);
    if (f->rec.at.order != r->vm->gate.order) {
        say(r, "\n    timers and resets so far: recorded %" PRIu64 ", here %" PRIu64,
            f->rec.at.order, r->vm->gate.order);
    }
    diverge(r);
}

bool replay_stops(struct replay *r, enum doppel_stop *why)
{
    struct doppel_vm *vm = r->vm;
    vtime now = vm->clock.s.now;
    if (!replay_feeds(r)) {
        return false;
    }
    if (vm->gate.late && !r->diverged) {
        say(r,
            "the run is not the recorded one: at instruction %" PRIu64 " (%" PRIu64
            " ns) an input was due at an instant that was never reached; checks were right up to "
            "instruction %" PRIu64,
            vm->clock.s.icount, now, r->verified);
        diverge(r);
    }
    if (r->host_failed && !r->diverged) {
        say(r,
            "the host failed in a transfer of %s at instruction %" PRIu64
            ", which it had not when it was recorded",
            r->host_failed, vm->clock.s.icount);
        diverge(r);
    }
    if (r->diverged) {
        *why = DOPPEL_DIVERGED;
        return true;
    }
    r->over = !r->inputs.have && now >= vm->end_when && !vm->request;
    *why = DOPPEL_REPLAYED;
    return r->over;
}

/* The instant and, if it is known, the digest of everything. */
enum doppel_stop replay_ended(struct replay *r, enum doppel_stop why)
{
    struct doppel_vm *vm = r->vm;
    const struct run_instant *end = &r->s.end;
    bool done = why == DOPPEL_REPLAYED || why == DOPPEL_POWEROFF || why == DOPPEL_RESET ||
                why == DOPPEL_EXIT || why == DOPPEL_DEAD || why == DOPPEL_FAILED;
    if (!replay_feeds(r) || r->diverged || !done) {
        return why;
    }
    r->over = true;
    if (r->inputs.have || vm->clock.s.now != end->when || vm->gate.order != end->order ||
        (r->s.complete && vm->clock.s.icount != end->icount)) {
        say(r,
            "the run ends at instruction %" PRIu64 " (%" PRIu64 " ns), the recorded one at %" PRIu64
            " (%" PRIu64 " ns); checks were right up to instruction %" PRIu64,
            vm->clock.s.icount, vm->clock.s.now, end->icount, end->when, r->verified);
        diverge(r);
        return DOPPEL_DIVERGED;
    }
    if (r->verify && r->s.complete && doppel_digest(vm) != r->s.digest) {
        say(r,
            "the run leaves the recorded one between instructions %" PRIu64 " and %" PRIu64
            ": the digest at the end is %016" PRIx64 ", recorded was %016" PRIx64,
            r->verified, end->icount, doppel_digest(vm), r->s.digest);
        diverge(r);
        return DOPPEL_DIVERGED;
    }
    return why;
}

const char *replay_report(const struct replay *r)
{
    return r && r->diverged ? (const char *)r->report.data : NULL;
}

/* --- The public API --- */

bool doppel_go_live(struct doppel_vm *vm, struct doppel_error *out)
{
    struct err e = {""};
    struct replay *r = vm->replay;
    if (!replay_feeds(r)) {
        return true;
    }
    if (!history_return(vm, &e)) {
        tell(out, &e);
        return false;
    }
    vm->gate.feed = NULL;
    vm->end_when = VTIME_NEVER;
    vm->check_at = UINT64_MAX;
    vm->s.off = false;
    r->live = true;
    if (!nets_go_live(vm, &e)) {
        tell(out, &e);
        return false;
    }
    return true;
}
