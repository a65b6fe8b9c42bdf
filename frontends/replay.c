/*
 * The command line of `doppel replay`. The log says what the machine is; of the options of `doppel
 * run` those remain that a guest cannot see.
 */
#include "frontends/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const allowed[] = {"engine", "serial", "monitor",      "display", "nographic",
                                      "d",      "D",      "icount-limit", "digest",  "info",
                                      "S",      "s",      "gdb",          "history"};

void replay_help(FILE *out)
{
    fprintf(out,
            "Usage: doppel replay FILE [options]\n\n"
            "FILE was written by -record, \"record start\" or \"flight save\"; it says what the "
            "machine is.\n\n"
            "  --to N, --to TIME   stop at instruction N, or at 300ms, 12.5s of virtual time\n"
            "  --verify            compare with the recorded machine on the way and at the end\n"
            "  --go-live           leave the log at its end, or where --to says, and run on\n\n"
            "With -gdb, -s or -monitor the past is kept (-history, 256M), to go back in.\n\n"
            "Options of \"doppel run\" that a guest cannot see: ");
    for (unsigned i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        fprintf(out, "%s-%s", i ? ", " : "", allowed[i]);
    }
    fprintf(out, ".\nExit status 3: the replay left the recorded run.\n");
}

/* "12345": instructions; "300ms", "12.5s", "7us", "9ns": virtual time. */
static bool parse_to(struct options *o, const char *v, struct err *e)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};
    char *end;
    errno = 0;
    uint64_t whole = strtoull(v, &end, 10), ns = 0;
    bool number = *v >= '0' && *v <= '9' && !errno;
    if (number && !*end) {
        o->to_icount = whole;
        return true;
    }
    const char *digits = *end == '.' ? end + 1 : end, *unit = digits + strspn(digits, "0123456789");
    for (unsigned i = 0; number && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].unit) == 0 && whole < UINT64_MAX / 2 / units[i].ns) {
            uint64_t part = units[i].ns;
            ns = whole * units[i].ns;
            for (const char *p = digits; p < unit && part; p++) {
                part /= 10;
                ns += (uint64_t)(*p - '0') * part;
            }
            o->to_vtime = ns;
            return true;
        }
    }
    return err_set(e, "--to %s: want a number of instructions, or a time as 300ms or 12.5s", v);
}

/* What is ours goes out of argv; *argc is what remains. */
static bool take_own(struct options *o, int *argc, char **argv, struct err *e)
{
    int n = 0;
    for (int i = 0; i < *argc; i++) {
        const char *name = argv[i][0] == '-' ? argv[i] + 1 + (argv[i][1] == '-') : "";
        if (strcmp(name, "verify") == 0) {
            o->vm.replay_verify = true;
        } else if (strcmp(name, "go-live") == 0) {
            o->go_live = true;
        } else if (strcmp(name, "to") == 0) {
            if (i + 1 == *argc) {
                return err_set(e, "--to: want --to INSTRUCTIONS or --to TIME");
            }
            if (!parse_to(o, argv[++i], e)) {
                return false;
            }
        } else {
            argv[n++] = argv[i];
        }
    }
    *argc = n;
    return true;
}

static bool check_use(const struct options *o, struct err *e)
{
    for (unsigned i = 0; i < o->nuse; i++) {
        unsigned k = 0, n = sizeof allowed / sizeof allowed[0];
        while (k < n && strcmp(o->use[i].name, allowed[k]) != 0) {
            k++;
        }
        if (k == n) {
            return err_set(e, "-%s: the log says what the machine is; \"doppel replay --help\"",
                           o->use[i].name);
        }
    }
    return !o->image || err_set(e, "%s: one log at a time", o->image);
}

static bool used(const struct options *o, const char *name)
{
    for (unsigned i = 0; i < o->nuse; i++) {
        if (strcmp(o->use[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Host memory for the past of a machine that somebody may want to go back in. */
#define HISTORY_DEFAULT (UINT64_C(256) << 20)

/* The recorded machine, with what was asked for. */
static void merge(struct options *o, const struct doppel_options *recorded)
{
    struct doppel_options vm = *recorded;
    vm.replay_verify = o->vm.replay_verify;
    vm.replay_to_live = o->go_live;
    vm.engine = used(o, "engine") ? o->vm.engine : vm.engine;
    vm.monitor = o->vm.monitor;
    vm.paused = o->vm.paused;
    vm.history = o->vm.history || !(o->gdb || o->vm.monitor) ? o->vm.history : HISTORY_DEFAULT;
    vm.log_items = o->vm.log_items;
    vm.log_file = o->vm.log_file;
    for (unsigned i = 0; i < o->nserial; i++) {
        vm.serial[i] = o->vm.serial[i];
    }
    o->vm = vm;
}

enum options_result replay_parse(struct options *o, int argc, char **argv, int first, FILE *out,
                                 struct err *e)
{
    struct doppel_error why = {""};
    struct options own = {.to_icount = DOPPEL_NO_LIMIT, .to_vtime = DOPPEL_NO_LIMIT};
    if (first < argc && (strcmp(argv[first], "--help") == 0 || strcmp(argv[first], "-h") == 0)) {
        replay_help(out);
        options_init(o);
        return OPTIONS_DONE;
    }
    int n = argc - first - 1;
    options_init(o);
    if (n < 0 || argv[first][0] == '-') {
        err_set(e, "want doppel replay FILE [options]; \"doppel replay --help\"");
        return OPTIONS_USAGE;
    }
    if (!take_own(&own, &n, argv + first + 1, e)) {
        return OPTIONS_USAGE;
    }
    enum options_result r = options_parse(o, n, argv + first + 1, 0, out, e);
    if (r != OPTIONS_RUN || !check_use(o, e)) {
        return r == OPTIONS_DONE ? r : OPTIONS_USAGE;
    }
    o->to_icount = own.to_icount;
    o->to_vtime = own.to_vtime;
    o->go_live = own.go_live;
    o->vm.replay_verify = own.vm.replay_verify;
    o->log = doppel_log_open(argv[first], &why);
    if (!o->log) {
        err_set(e, "%s", why.msg);
        o->failed_setup = true;
        return OPTIONS_USAGE;
    }
    merge(o, doppel_log_options(o->log));
    return OPTIONS_RUN;
}
