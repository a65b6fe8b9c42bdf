/*
 * Paths inside the values of options, so that an INI file's are relative to its folder.
 *
 * Most options are a path or none, as the name of their argument says; the others are in the table
 * below. Each has its own way to write a path: doubled commas (-drive), up to a comma (-nic,
 * unix:), or to the end.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontends/options_priv.h"
#include "util/bits.h"
#include "util/keyval.h"

typedef char *(*map_fn)(void *ctx, const char *path, size_t len);

/* Text that grows. */
struct text {
    char *s;
    size_t len;
};

static void put(struct text *t, const char *s, size_t len)
{
    t->s = realloc(t->s, t->len + len + 1);
    if (!t->s) {
        abort();
    }
    memcpy(t->s + t->len, s, len);
    t->len += len;
    t->s[t->len] = 0;
}

static void put_mapped(struct text *t, const char *path, size_t len, map_fn map, void *ctx)
{
    if (len) { /* what is empty is complained of later, as it was written */
        char *mapped = map(ctx, path, len);
        put(t, mapped, strlen(mapped));
        free(mapped);
    }
}

/* --- Ways to write a path --- */

static void whole(struct text *t, const char *v, map_fn map, void *ctx)
{
    put_mapped(t, v, strlen(v), map, ctx);
}

/* A name without a folder is looked up where firmware lies. */
static void firmware(struct text *t, const char *v, map_fn map, void *ctx)
{
    if (strchr(v, '/')) {
        whole(t, v, map, ctx);
    } else {
        put(t, v, strlen(v));
    }
}

/* file:PATH, unix:PATH,... */
static void backend(struct text *t, const char *v, map_fn map, void *ctx)
{
    bool file = strncmp(v, "file:", 5) == 0;
    if (!file && strncmp(v, "unix:", 5) != 0) {
        put(t, v, strlen(v));
        return;
    }
    size_t len = file ? strlen(v + 5) : strcspn(v + 5, ",");
    put(t, v, 5);
    put_mapped(t, v + 5, len, map, ctx);
    put(t, v + 5 + len, strlen(v + 5 + len));
}

/* name=NAME,file=PATH */
static void fw_cfg(struct text *t, const char *v, map_fn map, void *ctx)
{
    size_t n = strcspn(v, ",");
    size_t head = strncmp(v + n, ",file=", 6) == 0 ? n + 6 : strlen(v);
    put(t, v, head);
    whole(t, v + head, map, ctx);
}

/* A Linux initrd is a file; multiboot modules are "FILE ARGS,FILE ARGS". */
static void modules(struct text *t, const char *v, map_fn map, void *ctx)
{
    struct text as_file = {NULL, 0};
    struct stat st;
    whole(&as_file, v, map, ctx);
    bool is_file = !v[strcspn(v, " ,")] || (as_file.s && stat(as_file.s, &st) == 0);
    free(as_file.s);
    if (is_file) {
        whole(t, v, map, ctx);
        return;
    }
    while (*v) {
        size_t len = strcspn(v, ","), path = strcspn(v, " ,");
        put_mapped(t, v, path, map, ctx);
        put(t, v + path, len - path + (v[len] == ','));
        v += len + (v[len] == ',');
    }
}

/* tftp=FOLDER among other items. */
static void user_net(struct text *t, const char *v, map_fn map, void *ctx)
{
    while (*v) {
        size_t len = strcspn(v, ","), head = strncmp(v, "tftp=", 5) == 0 ? 5 : len;
        put(t, v, head);
        put_mapped(t, v + head, len - head, map, ctx);
        v += len;
        put(t, v, *v == ',');
        v += *v == ',';
    }
}

static size_t item_length(const char *v)
{
    size_t n = 0;
    while (v[n] && (v[n] != ',' || v[n + 1] == ',')) {
        n += v[n] == ',' ? 2 : 1;
    }
    return n;
}

/* file=PATH among other items, commas in it doubled. */
static void drive(struct text *t, const char *v, map_fn map, void *ctx)
{
    while (*v) {
        size_t len = item_length(v);
        const char *rest = v;
        struct keyval kv;
        struct err e = {""};
        if (strncmp(v, "file=", 5) == 0 && len > 5 && keyval_next(&rest, &kv, &e)) {
            char *mapped = map(ctx, kv.value, strlen(kv.value)), *escaped = keyval_escape(mapped);
            put(t, "file=", 5);
            put(t, escaped, strlen(escaped));
            free(escaped);
            free(mapped);
        } else {
            put(t, v, len);
        }
        v += len;
        put(t, v, *v == ',');
        v += *v == ',';
    }
}

/* --- Which option is written how --- */

typedef void (*write_fn)(struct text *t, const char *v, map_fn map, void *ctx);

static const struct {
    bool (*set)(struct options *o, const char *v, struct err *e);
    write_fn write;
} rows[] = {
    {options_set_bios, firmware},   {options_set_initrd, modules}, {options_set_fw_cfg, fw_cfg},
    {options_set_loadvm, firmware}, {options_set_nic, user_net},   {options_set_netdev, user_net},
    {options_drive, drive},
};

/* NULL: no path in it. */
static write_fn way_of(const struct option *opt)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].set == opt->set) {
            return rows[i].write;
        }
    }
    const char *arg = opt->arg ? opt->arg : "";
    if (strcmp(arg, "BACKEND") == 0) {
        return backend;
    }
    return strncmp(arg, "FILE", 4) == 0 || strcmp(arg, "FOLDER") == 0 ? whole : NULL;
}

char *options_map_paths(const char *name, const char *value, map_fn map, void *ctx)
{
    const struct option *opt = options_find(name);
    write_fn write = opt ? way_of(opt) : strcmp(name, "image") == 0 ? whole : NULL;
    struct text t = {NULL, 0};
    put(&t, "", 0);
    if (write) {
        write(&t, value, map, ctx);
    } else {
        put(&t, value, strlen(value));
    }
    return t.s;
}
