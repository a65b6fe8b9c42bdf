/*
 * The engine's options as text: `-engine WORD[,NAME=VALUE...]`, and T_ENGINE for tests on a bare
 * machine. All but the first word are for tests and measurements. What a guest sees depends on none
 * of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/engine.h"

/* Numbers: least value, most, and where they go. On and off are 1 and 0. */
#define ENGINE_OPTIONS(X)                                                                          \
    X(threshold, 1, 1048576, o->threshold = (uint32_t)v)                                           \
    X(buffer, 64, 1048576, o->buffer = (size_t)v << 10)              /* KiB */                     \
    X(super, 0, 255, (o->super = (uint32_t)v, o->no_super = v == 0)) /* 0: none; 1: at once */     \
    X(links, 0, 1, o->no_links = !v)                                                               \
    X(count, 0, 1, o->count = v != 0)                                                              \
    X(maxblock, 1, 64, o->maxblock = (uint32_t)v)                                                  \
    X(chaos, 0, 4294967295, (o->chaos = true, o->chaos_seed = (uint64_t)v))

static bool set(struct engine_options *o, const char *name, long long v)
{
#define X(n, least, most, what)                                                                    \
    if (strcmp(name, #n) == 0 && v >= (least) && v <= (most)) {                                    \
        what;                                                                                      \
        return true;                                                                               \
    }
    ENGINE_OPTIONS(X)
#undef X
    return false;
}

bool engine_options_parse(const char *text, struct engine_options *o, struct err *e)
{
    *o = (struct engine_options){0};
    size_t n = strcspn(text, ",");
    o->lockstep = n == 8 && memcmp(text, "lockstep", n) == 0;
    o->jit = o->lockstep || (n == 3 && memcmp(text, "jit", n) == 0);
    if (!o->jit && !(n == 6 && memcmp(text, "interp", n) == 0)) {
        return err_usage(e, "-engine %s: no such engine; there are interp, jit and lockstep", text);
    }
    for (const char *p = text + n; *p; p += strcspn(p, ",")) {
        char name[16], value[24], *end;
        p++;
        if (sscanf(p, "%15[a-z]=%23[0-9a-z]", name, value) == 2) {
            long long v = strcmp(value, "on") == 0 ? 1 : strtoll(value, &end, 10);
            bool word = strcmp(value, "on") == 0 || strcmp(value, "off") == 0;
            bool whole = strlen(name) + 1 + strlen(value) == strcspn(p, ",");
            if (whole && (word || *end == '\0') && set(o, name, v)) {
                continue;
            }
        }
#define X(n, least, most, what) " " #n "=" #least ".." #most
        return err_usage(e, "-engine %s: want" ENGINE_OPTIONS(X), text);
#undef X
    }
    return true;
}
