/*
 * Set-up errors: one line, what was wrong and what would be right.
 *
 * STYLE.md knows four kinds of error; this is the first. A set-up function returns false and fills
 * the struct err its caller gave; only the outermost caller prints it. Guest misbehaviour, host I/O
 * failures and our own bugs never travel this way.
 */
#ifndef DOPPEL_UTIL_ERR_H
#define DOPPEL_UTIL_ERR_H

#include <stdbool.h>

/* One message, without a newline. `msg` is empty while nothing went wrong. `usage`: the text that
 * the user gave is wrong in itself (a command line ends with status 2), not something it names. */
struct err {
    char msg[512];
    bool usage;
};

/* Fill `e` (may be NULL: the message is dropped) and return false, so that a caller can write
 * `return err_set(e, "...")`. Text beyond the buffer is cut, control
 * characters become '?'. Always false. */
bool err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same for a wrong option, property or value: sets e->usage, which err_set clears. */
bool err_usage(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put "context: " before a message that is there already. Always false. */
bool err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
