/*
 * Option text as QEMU spells it: "key=value,key=value"; a comma inside a value is doubled.
 */
#ifndef DOPPEL_UTIL_KEYVAL_H
#define DOPPEL_UTIL_KEYVAL_H

#include <stdbool.h>
#include <stddef.h>

#include "util/err.h"

#define KEYVAL_KEY   32u
#define KEYVAL_VALUE 4096u /* a path of the host fits */

struct keyval {
    char key[KEYVAL_KEY];     /* empty: the item has no '=' */
    char value[KEYVAL_VALUE]; /* without doubled commas */
};

/* The next item of *text, which advances behind it. False: there is none, or it is too long (then
 * e->msg is set; clear it before the first call). */
bool keyval_next(const char **text, struct keyval *kv, struct err *e);

/* "on", "yes", "true"; "off", "no", "false". False: none of them, with e naming the key. */
bool keyval_bool(const struct keyval *kv, bool *out, struct err *e);
/* A decimal or 0x number in 0..max. */
bool keyval_number(const struct keyval *kv, unsigned max, unsigned *out, struct err *e);

/* `text` with commas doubled, for a value made from a name of the user's. malloc'ed. */
char *keyval_escape(const char *text);

#endif
