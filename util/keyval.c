/*
 * Cutting option text into keys and values.
 */
#include "util/keyval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The key in front of '=', if there is one in this item. */
static const char *take_key(const char *p, struct keyval *kv)
{
    size_t n = strcspn(p, "=,");
    kv->key[0] = 0;
    if (p[n] != '=' || n == 0) {
        return p;
    }
    size_t keep = n < KEYVAL_KEY ? n : KEYVAL_KEY - 1;
    memcpy(kv->key, p, keep); /* one cut here is no key that anybody knows */
    kv->key[keep] = 0;
    return p + n + 1;
}

bool keyval_next(const char **text, struct keyval *kv, struct err *e)
{
    const char *p = *text;
    size_t len = 0;
    if (!*p) {
        return false;
    }
    p = take_key(p, kv);
    for (; *p && (*p != ',' || p[1] == ','); p++) {
        if (len == KEYVAL_VALUE - 1) {
            return err_usage(e, "%.31s=%.60s...: longer than %u characters", kv->key, kv->value,
                             KEYVAL_VALUE - 1);
        }
        kv->value[len++] = *p;
        p += *p == ',';
    }
    kv->value[len] = 0;
    *text = p + (*p == ',');
    return true;
}

bool keyval_bool(const struct keyval *kv, bool *out, struct err *e)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(kv->value, words[i]) == 0) {
            *out = i & 1;
            return true;
        }
    }
    return err_usage(e, "%s=%.60s: want on or off", kv->key, kv->value);
}

bool keyval_number(const struct keyval *kv, unsigned max, unsigned *out, struct err *e)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(kv->value, &end, 0);
    if (kv->value[0] < '0' || kv->value[0] > '9' || *end || errno || n > max) {
        return err_usage(e, "%s=%.60s: want 0 to %u", kv->key, kv->value, max);
    }
    *out = (unsigned)n;
    return true;
}

char *keyval_escape(const char *text)
{
    char *out = malloc(2 * strlen(text) + 1), *p = out;
    if (!out) {
        abort();
    }
    for (; *text; text++) {
        *p++ = *text;
        if (*text == ',') {
            *p++ = ',';
        }
    }
    *p = 0;
    return out;
}
