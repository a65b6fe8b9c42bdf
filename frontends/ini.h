/*
 * INI files as documents: lines that are kept as they were written, so that a file that a person
 * wrote keeps its comments, blanks and order when a program changes a value.
 *
 *     # a comment: the whole line
 *     [machine]
 *     m = 256
 *     append = "  a value in quotes keeps its blanks; \" \\ and \n work in it"
 *
 * A value without quotes is the rest of the line, whatever is in it, without the blanks around it.
 */
#ifndef DOPPEL_FRONTENDS_INI_H
#define DOPPEL_FRONTENDS_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

enum ini_kind { INI_OTHER, INI_SECTION, INI_KEY }; /* other: blank or comment */

struct ini_line {
    enum ini_kind kind;
    char *raw;   /* as written, without the end of the line */
    char *name;  /* of the section or the key; NULL for others */
    char *value; /* of the key */
};

/* Owned by ini_free. Line i is line i + 1 of the file. */
struct ini {
    struct ini_line *line;
    unsigned nlines;
};

/* A key to write. Neither string is kept. */
struct ini_entry {
    const char *key, *value;
};

/* Messages begin with "NAME:LINE: ". False leaves *ini empty. */
bool ini_parse(struct ini *ini, const char *name, const char *text, size_t len, struct err *e);
bool ini_read(struct ini *ini, const char *path, struct err *e);
void ini_free(struct ini *ini);

/* Make the section hold exactly these entries: lines that say it already stay, values are replaced,
 * other keys go away, what is new is added behind its like or at the section's end. The section is
 * added if there is none. */
void ini_set_section(struct ini *ini, const char *section, const struct ini_entry *entry,
                     unsigned n);

/* The text, malloc'ed, and a file written whole or not at all. */
char *ini_text(const struct ini *ini, size_t *len);
bool ini_write(const struct ini *ini, const char *path, struct err *e);

#endif
