/* Set-up errors; see err.h for when they are used and when not. */
#include "util/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line, whatever names and values of the user's are in it. */
static void clean(struct err *e)
{
    for (char *p = e->msg; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }
}

bool err_set(struct err *e, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->msg, sizeof e->msg, fmt, ap);
        va_end(ap);
        clean(e);
        e->usage = false;
    }
    return false;
}

bool err_usage(struct err *e, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->msg, sizeof e->msg, fmt, ap);
        va_end(ap);
        clean(e);
        e->usage = true;
    }
    return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
    if (e) {
        char head[sizeof e->msg / 2];
        char tail[sizeof e->msg / 2 - 4];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(head, sizeof head, fmt, ap);
        va_end(ap);
        memcpy(tail, e->msg, sizeof tail);
        tail[sizeof tail - 1] = '\0';
        snprintf(e->msg, sizeof e->msg, "%s: %s", head, tail);
        clean(e);
    }
    return false;
}
