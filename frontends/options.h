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
    bool digest;           /* print count, time and digest at the end */
    uint64_t icount_limit; /* DOPPEL_NO_LIMIT: none */
    const char *save_state;
    uint64_t save_at; /* DOPPEL_NO_LIMIT: at the end */
    const char *load_state;
    char *owned[8]; /* text made by the parser, freed by options_free */
    unsigned nowned;
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

/* The table as text (--help) and as Markdown (docs/options.md). */
void options_help(FILE *out);
void options_markdown(FILE *out);

#endif
