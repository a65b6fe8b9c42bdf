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
        (s->o.loadvm && !doppel_snapshot_load(s->vm, s->o.loadvm, &e))) {
        doppel_destroy(s->vm);
        s->vm = NULL;
        s->status = complain(s->title, e.usage ? EXIT_USAGE : EXIT_SETUP, e.msg);
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

/* To the end, with a stop to save on the way. */
static enum doppel_stop run(struct session *s, struct doppel_error *e, bool *ok)
{
    const struct options *o = &s->o;
    *ok = true;
    if (o->save_state && o->save_at < o->icount_limit) {
        enum doppel_stop why = doppel_run(s->vm, o->save_at);
        if (why != DOPPEL_LIMIT) {
            return why;
        }
        *ok = doppel_save_file(s->vm, o->save_state, e);
        if (!*ok) {
            return why;
        }
    }
    enum doppel_stop why = doppel_run(s->vm, o->icount_limit);
    if (o->save_state && o->save_at >= o->icount_limit) {
        *ok = doppel_save_file(s->vm, o->save_state, e);
    }
    return why;
}

static int exit_status(struct session *s, enum doppel_stop why)
{
    switch (why) {
    case DOPPEL_EXIT:
        return (int)(doppel_exit_code(s->vm) & 0xff);
    case DOPPEL_FAILED:
        return complain(s->title, EXIT_SETUP, doppel_failure(s->vm));
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
