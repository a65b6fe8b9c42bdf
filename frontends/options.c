/*
 * The parser of options: a command line, or one key after another from an INI file, by the table.
 *
 * Nothing is ignored silently: an option that is not known is an error that names the nearest
 * known one.
 */
#include "frontends/options_priv.h"

#include <stdlib.h>
#include <string.h>

#include "util/suggest.h"

/* Keep text made here alive as long as the options. */
const char *options_own(struct options *o, const char *text, size_t len)
{
    char *s = strndup(text, len);
    o->owned = realloc(o->owned, (o->nowned + 1) * sizeof o->owned[0]);
    if (!s || !o->owned) {
        abort();
    }
    return o->owned[o->nowned++] = s;
}

static const char *option_name(void *ctx, unsigned i)
{
    (void)ctx;
    return i < options_count ? options_table[i].name : NULL;
}

const struct option *options_find(const char *name)
{
    for (unsigned i = 0; i < options_count; i++) {
        if (strcmp(options_table[i].name, name) == 0) {
            return &options_table[i];
        }
    }
    return NULL;
}

/* What depends on several options. */
bool options_finish(struct options *o, struct err *e)
{
    if (o->image && o->vm.kernel) {
        return err_set(e, "%s and -kernel %s: want one of them", o->image, o->vm.kernel);
    }
    if (o->image && !options_image(o, e)) {
        return false;
    }
    if (o->image) {
        options_snapshots_beside(o, o->image, "");
    }
    if ((o->vm.initrd || o->vm.append) && !o->vm.kernel) {
        return err_set(e, "%s needs -kernel", o->vm.initrd ? "-initrd" : "-append");
    }
    if (o->display_sdl && !o->flight) {
        o->flight = "60s";
    }
    return true;
}

/* The command line puts a serial port on the terminal unless told otherwise; always true. */
static bool default_serial(struct options *o)
{
    bool monitor_stdio = o->vm.monitor && strcmp(o->vm.monitor, "stdio") == 0;
    bool taken = monitor_stdio || (o->gdb && strncmp(o->gdb, "stdio", 5) == 0);
    if (!o->nserial && !taken && (!o->display_none || o->nographic)) {
        o->vm.serial[0] = "mon:stdio";
    }
    return true;
}

static void note_use(struct options *o, const struct option *opt, const char *value)
{
    for (const struct option *twin = options_table; twin < opt; twin++) {
        if (twin->set == opt->set) {
            opt = twin; /* -M is -machine */
        }
    }
    if (opt->set == options_set_write_config) {
        return;
    }
    o->use = realloc(o->use, (o->nuse + 1) * sizeof o->use[0]);
    if (!o->use) {
        abort();
    }
    o->use[o->nuse++] = (struct option_use){opt->name, value};
}

/* One option at argv[*i]; advances *i past its value. */
static enum options_result parse_one(struct options *o, int argc, char **argv, int *i, FILE *out,
                                     struct err *e)
{
    const char *arg = argv[*i], *name = arg + 1 + (arg[1] == '-');
    if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
        options_help(out);
        return OPTIONS_DONE;
    }
    const struct option *opt = options_find(name);
    if (!opt) {
        err_set(e, "%s: no such option; the nearest is -%s", arg,
                suggest_nearest(name, option_name, NULL));
        return OPTIONS_USAGE;
    }
    const char *value = "";
    if (opt->arg) {
        if (*i + 1 >= argc) {
            err_set(e, "-%s: want -%s %s", opt->name, opt->name, opt->arg);
            return OPTIONS_USAGE;
        }
        value = argv[++*i];
        const char *last = strrchr(value, ','); /* also "-nic user,model=help" */
        bool help =
            strcmp(value, "help") == 0 || strcmp(last ? last + 1 : value, "model=help") == 0;
        if (opt->list && help) {
            options_list(opt, out);
            return OPTIONS_DONE;
        }
    }
    note_use(o, opt, opt->arg ? value : "on");
    return opt->set(o, value, e) ? OPTIONS_RUN : OPTIONS_USAGE;
}

void options_init(struct options *o)
{
    *o = (struct options){.icount_limit = DOPPEL_NO_LIMIT,
                          .save_at = DOPPEL_NO_LIMIT,
                          .to_icount = DOPPEL_NO_LIMIT,
                          .to_vtime = DOPPEL_NO_LIMIT};
    doppel_options_init(&o->vm, DOPPEL_ABI);
}

bool options_set(struct options *o, const char *name, const char *value, struct err *e)
{
    if (strcmp(name, "image") == 0) {
        o->image = options_own(o, value, strlen(value));
        return true;
    }
    const struct option *opt = options_find(name);
    if (!opt || opt->set == options_set_write_config) {
        return err_set(e, "no key \"%s\"; the nearest is \"%s\"", name,
                       suggest_nearest(name, option_name, NULL));
    }
    if (!opt->arg && strcmp(value, "off") == 0) {
        return true;
    }
    if (!opt->arg && strcmp(value, "on") != 0) {
        return err_set(e, "%s = %s: want on or off", name, value);
    }
    value = options_own(o, value, strlen(value));
    note_use(o, opt, value);
    return opt->set(o, value, e);
}

enum options_result options_parse(struct options *o, int argc, char **argv, int first, FILE *out,
                                  struct err *e)
{
    options_init(o);
    for (int i = first; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (o->image) {
                err_set(e, "%s: a second image; %s is the first", argv[i], o->image);
                return OPTIONS_USAGE;
            }
            o->image = argv[i];
            continue;
        }
        enum options_result r = parse_one(o, argc, argv, &i, out, e);
        if (r != OPTIONS_RUN) {
            return r;
        }
    }
    return options_finish(o, e) && default_serial(o) ? OPTIONS_RUN : OPTIONS_USAGE;
}

void options_free(struct options *o)
{
    while (o->nowned) {
        free(o->owned[--o->nowned]);
    }
    free(o->owned);
    free(o->use);
    doppel_log_close(o->log);
    o->log = NULL;
    o->owned = NULL;
    o->use = NULL;
    o->nuse = 0;
}
