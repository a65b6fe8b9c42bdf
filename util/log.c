/* The log; see log.h. */
#include "util/log.h"

#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name, *help;
} categories[LOG_COUNT] = {
#define X(name, help) {#name, help},
    LOG_CATEGORIES(X)
#undef X
};

static void emit(struct log *log, const char *fmt, va_list ap)
{
    vfprintf(log->out, fmt, ap);
    fputc('\n', log->out);
}

void log_line(struct log *log, enum log_cat cat, const char *fmt, ...)
{
    if (log_on(log, cat)) {
        va_list ap;
        va_start(ap, fmt);
        emit(log, fmt, ap);
        va_end(ap);
    }
}

void log_guest(struct log *log, enum log_cat cat, const char *fmt, ...)
{
    if (!log_on(log, cat) || log->burst == 0) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    emit(log, fmt, ap);
    va_end(ap);
    if (--log->burst == 0) {
        fputs("(more of the guest's errors are not shown)\n", log->out);
    }
}

bool log_parse(const char *items, uint32_t *mask, const char **bad)
{
    while (*items) {
        size_t len = strcspn(items, ",");
        unsigned cat = 0;
        while (cat < LOG_COUNT && (strlen(categories[cat].name) != len ||
                                   memcmp(categories[cat].name, items, len) != 0)) {
            cat++;
        }
        if (cat == LOG_COUNT) {
            *bad = items;
            return false;
        }
        *mask |= 1u << cat;
        items += len;
        items += *items == ',';
    }
    return true;
}

const char *log_name(enum log_cat cat)
{
    return categories[cat].name;
}

const char *log_help(enum log_cat cat)
{
    return categories[cat].help;
}
