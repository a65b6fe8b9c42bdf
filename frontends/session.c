/*
 * One machine's run, as `doppel run` and `doppel up` have it.
 */
#include "frontends/session.h"

#include <inttypes.h>

int complain(const char *title, int status, const char *msg)
{
    fprintf(stderr, "doppel: %s%s%s\n", title ? title : "", title ? ": " : "", msg);
    return status;
}

bool session_create(struct session *s)
{
    struct doppel_error e = {""};
    pthread_mutex_init(&s->lock, NULL);
    s->vm = doppel_create(&s->o.vm, &e);
    if (!s->vm || (s->o.load_state && !doppel_load_file(s->vm, s->o.load_state, &e)) ||
        (s->o.loadvm && !doppel_snapshot_load(s->vm, s->o.loadvm, &e)) ||
        (s->o.record && !doppel_record_start(s->vm, s->o.record, &e)) ||
        (s->o.flight && !doppel_flight_start(s->vm, s->o.flight, &e))) {
        doppel_destroy(s->vm);
        s->vm = NULL;
        s->status = complain(s->title, e.usage ? EXIT_USAGE : EXIT_SETUP, e.msg);
        return false;
    }
    struct err why = {""};
    s->gdb = s->o.gdb ? gdb_open(s->o.gdb, s->vm, &why) : NULL;
    if (s->o.gdb && !s->gdb) {
        doppel_destroy(s->vm);
        s->vm = NULL;
        s->status = complain(s->title, EXIT_SETUP, why.msg);
        return false;
    }
    return true;
}

void session_stop(struct session *s, int signal)
{
    pthread_mutex_lock(&s->lock);
    s->signal = signal;
    if (s->vm) {
        doppel_interrupt(s->vm);
    }
    pthread_mutex_unlock(&s->lock);
}

static bool ended(void *ctx)
{
    const struct session *s = ctx;
    return s->signal != 0 || s->closed;
}

static enum doppel_stop run_to(struct session *s, uint64_t icount, uint64_t vtime)
{
    return s->gdb ? gdb_run(s->gdb, icount, vtime, ended, s)
                  : doppel_run_until(s->vm, icount, vtime);
}

/* To the end of a log, or where --to says, and on. */
static enum doppel_stop replay(struct session *s, struct doppel_error *e, bool *ok)
{
    const struct options *o = &s->o;
    bool limited = o->icount_limit < o->to_icount;
    enum doppel_stop why = run_to(s, limited ? o->icount_limit : o->to_icount, o->to_vtime);
    if (!o->go_live || limited || (why != DOPPEL_LIMIT && why != DOPPEL_REPLAYED)) {
        return why;
    }
    *ok = doppel_go_live(s->vm, e);
    return *ok ? run_to(s, o->icount_limit, DOPPEL_NO_LIMIT) : why;
}

/* To the end, with a stop to save on the way. */
static enum doppel_stop run(struct session *s, struct doppel_error *e, bool *ok)
{
    const struct options *o = &s->o;
    *ok = true;
    if (o->log) {
        return replay(s, e, ok);
    }
    if (o->save_state && o->save_at < o->icount_limit) {
        enum doppel_stop why = run_to(s, o->save_at, DOPPEL_NO_LIMIT);
        if (why != DOPPEL_LIMIT) {
            return why;
        }
        *ok = doppel_save_file(s->vm, o->save_state, e);
        if (!*ok) {
            return why;
        }
    }
    enum doppel_stop why = run_to(s, o->icount_limit, DOPPEL_NO_LIMIT);
    if (o->save_state && o->save_at >= o->icount_limit) {
        *ok = doppel_save_file(s->vm, o->save_state, e);
    }
    return why;
}

/* Where a replay ended, and what that says. */
static void tell_replay(const struct session *s, enum doppel_stop why)
{
    struct doppel_log_info i;
    doppel_log_info(s->o.log, &i);
    if (!i.complete && (why == DOPPEL_REPLAYED || why == DOPPEL_DIVERGED)) {
        fprintf(stderr, "doppel: the log has no end%s%s; what is there was replayed\n",
                *i.damage ? ": " : "", i.damage);
    }
    if (s->o.vm.replay_verify && why != DOPPEL_DIVERGED && why != DOPPEL_LIMIT &&
        why != DOPPEL_INTERRUPT && why != DOPPEL_QUIT && !s->o.go_live) {
        fprintf(stderr,
                "doppel: the same run: %" PRIu64 " inputs, %" PRIu64 " checks%s are right\n",
                i.inputs, i.checks, i.complete ? " and the digest at the end" : "");
    }
}

static int exit_status(struct session *s, enum doppel_stop why)
{
    switch (why) {
    case DOPPEL_EXIT:
        return (int)(doppel_exit_code(s->vm) & 0xff);
    case DOPPEL_FAILED:
        return complain(s->title, EXIT_SETUP, doppel_failure(s->vm));
    case DOPPEL_DIVERGED:
        return complain(s->title, EXIT_DIVERGED, doppel_failure(s->vm));
    case DOPPEL_INTERRUPT:
        return s->closed ? 0 : 128 + s->signal;
    case DOPPEL_DEAD:
        if (s->o.vm.kernel) {
            complain(s->title, 0, "every CPU has halted and nothing can wake one");
        }
        return 0;
    default:
        return 0;
    }
}

void session_play(struct session *s)
{
    enum doppel_stop why = run(s, &s->e, &s->ok);
    if (s->o.log) {
        tell_replay(s, why);
    }
    s->status = s->ok ? exit_status(s, why) : EXIT_SETUP;
    s->played = true;
}

static void to_stdout(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    fwrite(text, 1, len, stdout);
}

static void print_info(struct session *s)
{
    char line[80];
    snprintf(line, sizeof line, "info %s", s->o.info);
    doppel_command(s->vm, line, to_stdout, NULL);
    fflush(stdout);
}

void session_end(struct session *s)
{
    if (s->o.info && s->played) {
        print_info(s);
    }
    gdb_close(s->gdb, s->status);
    s->gdb = NULL;
    uint64_t icount = doppel_icount(s->vm), vtime = doppel_vtime(s->vm);
    uint64_t digest = s->o.digest && s->played ? doppel_digest(s->vm) : 0;
    pthread_mutex_lock(&s->lock);
    struct doppel_vm *vm = s->vm;
    s->vm = NULL;
    pthread_mutex_unlock(&s->lock);
    doppel_destroy(vm); /* restores the terminal: what follows is for the user */
    if (s->played && !s->ok) {
        complain(s->title, s->status, s->e.msg);
    }
    if (s->o.digest && s->played) {
        printf("%s%sicount %" PRIu64 " vtime %" PRIu64 " digest %016" PRIx64 "\n",
               s->title ? s->title : "", s->title ? ": " : "", icount, vtime, digest);
        fflush(stdout); /* the process may go on for long with other machines */
    }
}
