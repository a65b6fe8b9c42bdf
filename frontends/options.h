/*
 * The command line of `doppel run`: one table from which the parser, --help and the manual derive.
 * Spellings are QEMU's where QEMU has the thing.
 */
#ifndef DOPPEL_FRONTENDS_OPTIONS_H
#define DOPPEL_FRONTENDS_OPTIONS_H

#include <stdio.h>

#include "doppel.h"
#include "util/err.h"

struct options {
    struct doppel_options vm;
    const char *image; /* the positional argument */
    unsigned nserial;
    bool display_none, nographic;
    bool display_sdl, sdl_integer, sdl_full;
    bool digest;           /* print count, time and digest at the end */
    const char *info;      /* print this of the monitor's `info` at the end; NULL: nothing */
    const char *gdb;       /* where a debugger may come in; NULL: nowhere */
    uint64_t icount_limit; /* DOPPEL_NO_LIMIT: none */
    const char *save_state;
    uint64_t save_at; /* DOPPEL_NO_LIMIT: at the end */
    const char *load_state, *loadvm;
    const char *flight; /* what doppel_flight_start takes; NULL: nothing */
    const char *record; /* what doppel_record_start takes; NULL: nothing */
    /* doppel replay: DOPPEL_NO_LIMIT: to the end of the log. */
    struct doppel_log *log; /* freed by options_free */
    uint64_t to_icount, to_vtime;
    bool go_live;
    bool failed_setup;        /* an error of options_parse is of a file, not of the command line */
    const char *write_config; /* do not run: write an INI file */
    char **owned;             /* text made by the parser, freed by options_free */
    unsigned nowned;
    /* What was given, in order, by the names of the table; for an INI file. */
    struct option_use {
        const char *name, *value;
    } * use;
    unsigned nuse;
};

enum options_result {
    OPTIONS_RUN,   /* go on */
    OPTIONS_DONE,  /* help was printed: exit 0 */
    OPTIONS_USAGE, /* e says what is wrong: exit 2 */
};

/* Parse argv[first..]; strings are referenced, not copied. Help goes to `out`. */
enum options_result options_parse(struct options *o, int argc, char **argv, int first, FILE *out,
                                  struct err *e);
void options_free(struct options *o);

/* The same one by one, for INI files: defaults, single options (a switch takes "on" or "off"), and
 * what depends on several. The value is copied. */
void options_init(struct options *o);
bool options_set(struct options *o, const char *name, const char *value, struct err *e);
bool options_finish(struct options *o, struct err *e);
/* Text that lives as long as the options. */
const char *options_own(struct options *o, const char *text, size_t len);
/* `value` of an option with every path in it replaced by what `map` makes of it (malloc'ed, as is
 * the result). */
char *options_map_paths(const char *name, const char *value,
                        char *(*map)(void *ctx, const char *path, size_t len), void *ctx);

/* The table as text (--help) and as Markdown (docs/options.md). */
void options_help(FILE *out);
void options_markdown(FILE *out);
void options_monitor_markdown(FILE *out); /* the monitor's commands (docs/monitor.md) */

#endif
