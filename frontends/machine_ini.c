/*
 * Between options and INI files. What a key means is in the table of options alone.
 */
#include "frontends/machine_ini.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/ini.h"
#include "frontends/options_priv.h"

#define SECTION "machine"

static char *join(const char *dir, size_t dir_len, const char *path, size_t len)
{
    char *out = malloc(dir_len + len + 2);
    if (!out) {
        abort();
    }
    sprintf(out, "%.*s/%.*s", (int)dir_len, dir, (int)len, path);
    return out;
}

/* ctx: the INI file's path. A path of the file's, as seen from here. */
static char *from_file(void *ctx, const char *path, size_t len)
{
    const char *ini = ctx, *slash = strrchr(ini, '/');
    return *path == '/' || !slash ? strndup(path, len)
                                  : join(ini, (size_t)(slash - ini), path, len);
}

/* ctx: the INI file's path. A path of ours, as seen from the file: below its folder relative,
 * elsewhere absolute. */
static char *to_file(void *ctx, const char *path, size_t len)
{
    const char *ini = ctx, *slash = strrchr(ini, '/');
    char here[PATH_MAX], there[PATH_MAX];
    if (*path == '/' || !slash || !getcwd(here, sizeof here)) {
        return strndup(path, len);
    }
    char *dir = strndup(ini, (size_t)(slash - ini + 1)),
         *full = join(here, strlen(here), path, len);
    size_t n = dir && realpath(dir, there) ? strlen(there) : 0;
    free(dir);
    if (n && strncmp(full, there, n) == 0 && full[n] == '/') {
        memmove(full, full + n + 1, strlen(full + n + 1) + 1);
    }
    return full;
}

static bool read_line(struct options *o, const struct ini_line *l, const char *path, bool inside,
                      struct err *e)
{
    if (l->kind == INI_SECTION) {
        return strcmp(l->name, SECTION) == 0 ||
               err_set(e, "no section [%s]; want [" SECTION "]", l->name);
    }
    if (!inside) {
        return err_set(e, "%s: want [" SECTION "] above the first key", l->name);
    }
    char *value = options_map_paths(l->name, l->value, from_file, (void *)(uintptr_t)path);
    bool ok = options_set(o, l->name, value, e);
    free(value);
    return ok;
}

bool config_read(struct options *o, const char *path, struct err *e)
{
    struct ini ini;
    bool inside = false, ok = true;
    options_init(o);
    if (!ini_read(&ini, path, e)) {
        return false;
    }
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t len = strlen(base);
    o->vm.name =
        options_own(o, base, len > 4 && strcmp(base + len - 4, ".ini") == 0 ? len - 4 : len);
    for (unsigned i = 0; ok && i < ini.nlines; i++) {
        if (ini.line[i].kind != INI_OTHER && !read_line(o, &ini.line[i], path, inside, e)) {
            ok = err_prefix(e, "%s:%u", path, i + 1);
        }
        inside |= ini.line[i].kind == INI_SECTION;
    }
    ini_free(&ini);
    options_snapshots_beside(o, path, ".ini");
    return ok && (options_finish(o, e) || err_prefix(e, "%s", path));
}

bool config_write(const struct options *o, const char *path, struct err *e)
{
    struct ini ini = {NULL, 0};
    if (access(path, F_OK) == 0 && !ini_read(&ini, path, e)) {
        return false;
    }
    struct ini_entry *entry = calloc(o->nuse + 2, sizeof *entry);
    char **value = calloc(o->nuse + 2, sizeof *value);
    if (!entry || !value) {
        abort();
    }
    unsigned n = 0;
    if (o->image) {
        value[n] = options_map_paths("image", o->image, to_file, (void *)(uintptr_t)path);
        entry[n++].key = "image";
    }
    for (unsigned i = 0; i < o->nuse; i++) {
        value[n] =
            options_map_paths(o->use[i].name, o->use[i].value, to_file, (void *)(uintptr_t)path);
        entry[n++].key = o->use[i].name;
    }
    if (!o->nserial && o->vm.serial[0]) { /* the command line's default */
        value[n] = strdup(o->vm.serial[0]);
        entry[n++].key = "serial";
    }
    for (unsigned i = 0; i < n; i++) {
        entry[i].value = value[i];
    }
    ini_set_section(&ini, SECTION, entry, n);
    bool ok = ini_write(&ini, path, e);
    for (unsigned i = 0; i < n; i++) {
        free(value[i]);
    }
    free(value);
    free(entry);
    ini_free(&ini);
    return ok;
}
