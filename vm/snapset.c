/*
 * Snapshots by name, in a folder: one file each, made beside its place and renamed.
 *
 * A snapshot may hold only what has changed since its parent, a file of the same folder. A parent
 * that is deleted or replaced while others build on it stays as ".ID.base", which is not listed;
 * bases that nobody builds on any more are removed after each change. A name that is a path has no
 * parent, so that its file can be taken elsewhere alone.
 *
 * What always holds: at any instant the name is the whole old file or the whole new one. The new
 * one is on stable storage before it has the name, and the folder's entry before the save is done.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vm/drives.h"
#include "vm/inuse.h"
#include "vm/monitor_info.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

#define NAME_CHARS 200u
#define DEPTH_SAVE 8u /* parents of what is saved here, at most: then a whole one is due */
#define THREADS    8u
#define BASE       ".base"
#define FRESH      ".new" /* being written */

/* --- Paths --- */

static char *join(const char *folder, const char *name)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *p = malloc(n);
    if (!p) {
        abort();
    }
    snprintf(p, n, "%s/%s", folder, name);
    return p;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *p = !slash          ? strdup(".")
              : slash == path ? strdup("/")
                              : strndup(path, (size_t)(slash - path));
    if (!p) {
        abort();
    }
    return p;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static char *set_folder(const struct doppel_vm *vm)
{
    char text[PATH_MAX];
    if (vm->opt.snapshot_dir) {
        snprintf(text, sizeof text, "%s", vm->opt.snapshot_dir);
    } else {
        snprintf(text, sizeof text, "%.200s.snapshots", vm->opt.name);
    }
    char *p = strdup(text);
    if (!p) {
        abort();
    }
    return p;
}

static bool check_name(const char *name, struct err *e)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= NAME_CHARS && *name != '.';
    for (size_t i = 0; i < n; i++) {
        ok = ok && (uint8_t)name[i] >= 0x20 && name[i] != 0x7f && name[i] != '/';
    }
    ok = ok && (n < strlen(FRESH) || strcmp(name + n - strlen(FRESH), FRESH) != 0);
    return ok || err_set(e,
                         "not a name for a snapshot: want 1 to %u characters, not beginning with a "
                         "dot, or a path with a slash in it",
                         NAME_CHARS);
}

/* From the root; a folder that is not there stays as it was said. */
static char *full_path(const char *path)
{
    char *folder = folder_of(path), *real = realpath(folder, NULL);
    char *full = join(real ? real : folder, base_name(path));
    free(real);
    free(folder);
    return full;
}

/* NULL: e. */
static char *path_of(const struct doppel_vm *vm, const char *name, struct err *e)
{
    if (strchr(name, '/')) {
        return strdup(name);
    }
    if (!check_name(name, e)) {
        return NULL;
    }
    char *folder = set_folder(vm), *path = join(folder, name);
    free(folder);
    return path;
}

static char *base_path(const char *folder, uint64_t id)
{
    char name[32];
    snprintf(name, sizeof name, ".%016" PRIx64 BASE, id);
    return join(folder, name);
}

/* --- What is in a folder --- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Names of files in it, sorted; bases too if asked. */
static int list(const char *folder, bool bases, struct dirent ***names)
{
    int n = scandir(folder, names, NULL, alphasort), kept = 0;
    for (int i = 0; i < n; i++) {
        const char *name = (*names)[i]->d_name;
        if (ends_with(name, FRESH) || (*name == '.' && !(bases && ends_with(name, BASE)))) {
            free((*names)[i]);
        } else {
            (*names)[kept++] = (*names)[i];
        }
    }
    return n < 0 ? 0 : kept;
}

static void list_free(struct dirent **names, int n)
{
    for (int i = 0; i < n; i++) {
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
}

/* Does a file there, other than `but` (may be NULL), build on `id`? */
static bool has_children(const char *folder, uint64_t id, const char *but)
{
    struct dirent **names = NULL;
    int n = list(folder, true, &names);
    bool found = false;
    for (int i = 0; i < n && !found; i++) {
        struct err e;
        char *path = join(folder, names[i]->d_name);
        struct snap_file *f =
            but && strcmp(names[i]->d_name, but) == 0 ? NULL : snap_open(path, &e);
        found = f && snap_info_of(f)->manifest.parent == id;
        snap_close(f);
        free(path);
    }
    list_free(names, n);
    return found;
}

/* Bases that nobody needs go; so may those that they build on. */
static void tidy(const char *folder)
{
    bool again = true;
    while (again) {
        struct dirent **names = NULL;
        int n = list(folder, true, &names);
        again = false;
        for (int i = 0; i < n; i++) {
            uint64_t id;
            int end = 0;
            if (sscanf(names[i]->d_name, ".%16" SCNx64 BASE "%n", &id, &end) == 1 && end &&
                !names[i]->d_name[end] && !has_children(folder, id, NULL)) {
                char *path = join(folder, names[i]->d_name);
                again |= unlink(path) == 0;
                free(path);
            }
        }
        list_free(names, n);
    }
}

static uint64_t id_of(const char *path)
{
    struct err e;
    struct snap_file *f = snap_open(path, &e);
    uint64_t id = f ? snap_info_of(f)->id : 0;
    snap_close(f);
    return id;
}

/* A file that is about to lose its name is kept for those that build on it. */
static bool keep_base(const char *folder, const char *path, struct err *e)
{
    uint64_t id = id_of(path);
    if (!id || !has_children(folder, id, base_name(path))) {
        return true;
    }
    char *base = base_path(folder, id);
    bool ok = link(path, base) == 0 || errno == EEXIST ||
              err_set(e, "others build on it, and it cannot be kept for them: %s", strerror(errno));
    free(base);
    return ok;
}

/* --- Save --- */

static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* file systems without */
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static unsigned count_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > (long)THREADS ? THREADS : (unsigned)n;
}

/* Write, sync, rename, sync. */
static bool write_file(struct doppel_vm *vm, struct snapshot_how *how, const char *path,
                       uint64_t *id, struct err *e)
{
    char *fresh = malloc(strlen(path) + sizeof FRESH), *folder = folder_of(path);
    char *full = full_path(path);
    if (!fresh) {
        abort();
    }
    sprintf(fresh, "%s" FRESH, path);
    how->path = full;
    int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = fd >= 0 || err_set(e, "%s", strerror(errno));
    ok = ok && snapshot_write(vm, how, fd, NULL, id, e);
    if (ok && fsync(fd) != 0) {
        ok = err_set(e, "%s", strerror(errno));
    }
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = err_set(e, "%s", strerror(errno));
    }
    ok = ok && (id_of(path) == *id || keep_base(folder, path, e));
    if (ok && rename(fresh, path) != 0) {
        ok = err_set(e, "%s", strerror(errno));
    }
    if (!ok && fd >= 0) {
        unlink(fresh);
    }
    if (ok && !sync_folder(folder)) {
        ok = err_set(e, "%s", strerror(errno));
    }
    drives_save_end(vm, full, ok);
    how->path = NULL;
    free(fresh);
    free(folder);
    free(full);
    return ok;
}

bool snapset_save_path(struct doppel_vm *vm, const char *path, int64_t date, struct err *e)
{
    uint64_t id;
    if (inuse_file(vm, path, e)) {
        return false;
    }
    struct snapshot_how how = {
        .name = base_name(path), .date = date, .compress = true, .threads = count_threads()};
    char *folder = folder_of(path);
    bool ok = write_file(vm, &how, path, &id, e);
    if (ok) {
        snapshot_saved(vm, folder, how.name, id, 0);
        tidy(folder);
    }
    free(folder);
    return ok;
}

/* The parent that a save to this name can have; NULL: none. */
static const struct snapshot_base *parent_for(struct doppel_vm *vm, const char *folder,
                                              const char *name)
{
    const struct snapshot_base *b = &vm->snap.base;
    if (!b->valid || b->depth >= DEPTH_SAVE || strcmp(b->folder, folder) != 0 ||
        strcmp(b->name, name) == 0 || drives_in_past(vm)) {
        return NULL;
    }
    char *path = join(folder, b->name);
    bool there = id_of(path) == b->id;
    free(path);
    return there ? b : NULL;
}

bool snapset_save(struct doppel_vm *vm, const char *name, int64_t date, struct err *e)
{
    if (strchr(name, '/')) {
        return snapset_save_path(vm, name, date, e);
    }
    if (!check_name(name, e)) {
        return false;
    }
    char *folder = set_folder(vm), *path = join(folder, name);
    struct snapshot_how how = {
        .name = name, .date = date, .compress = true, .threads = count_threads()};
    bool ok = mkdir(folder, 0777) == 0 || errno == EEXIST ||
              err_set(e, "folder %.200s: %s", folder, strerror(errno));
    how.parent = ok ? parent_for(vm, folder, name) : NULL;
    unsigned depth = how.parent ? how.parent->depth + 1 : 0;
    uint64_t id;
    ok = ok && write_file(vm, &how, path, &id, e);
    if (ok) {
        snapshot_saved(vm, folder, name, id, depth);
        tidy(folder);
    }
    free(folder);
    free(path);
    return ok;
}

/* --- Load --- */

/* The file that f names as its parent, by name or kept as a base. NULL: e. */
static struct snap_file *find_parent(const char *folder, const struct snap_manifest *m,
                                     struct err *e)
{
    struct err why;
    const char *name = (const char *)m->parent_name;
    for (unsigned i = 0; i < 2; i++) {
        char *path =
            i || strchr(name, '/') || !*name ? base_path(folder, m->parent) : join(folder, name);
        struct snap_file *f = snap_open(path, &why);
        free(path);
        if (f && snap_info_of(f)->id == m->parent) {
            return f;
        }
        snap_close(f);
    }
    err_set(e, "holds what has changed since snapshot \"%.100s\", which is not in %.200s", name,
            folder);
    return NULL;
}

/* A file with all its parents; *depth of them. NULL: e. */
static struct snap_file *open_chain(const char *path, unsigned *depth, struct err *e)
{
    struct snap_file *f = snap_open(path, e), *last = f;
    char *folder = folder_of(path);
    for (*depth = 0; last && snap_info_of(last)->manifest.parent; ++*depth) {
        struct snap_file *p = find_parent(folder, &snap_info_of(last)->manifest, e);
        if (p && *depth >= SNAP_DEPTH) {
            err_set(e, "has more than %u parents", SNAP_DEPTH);
            snap_close(p);
            p = NULL;
        }
        if (!p || !snap_set_parent(last, p)) {
            snap_close(f);
            f = NULL;
        }
        last = f ? p : NULL;
    }
    free(folder);
    return f;
}

bool snapset_load_path(struct doppel_vm *vm, const char *path, struct err *e)
{
    unsigned depth;
    struct snap_file *f = open_chain(path, &depth, e);
    if (!f) {
        return false;
    }
    uint64_t id = snap_info_of(f)->id;
    if (!snapshot_read(vm, f, e)) {
        return false;
    }
    char *folder = folder_of(path);
    snapshot_saved(vm, folder, base_name(path), id, depth);
    free(folder);
    return true;
}

bool snapset_load(struct doppel_vm *vm, const char *name, struct err *e)
{
    char *path = path_of(vm, name, e);
    bool ok = path && snapset_load_path(vm, path, e);
    free(path);
    return ok;
}

/* --- Delete, list --- */

bool snapset_delete(struct doppel_vm *vm, const char *name, struct err *e)
{
    char *path = path_of(vm, name, e);
    if (!path) {
        return false;
    }
    char *folder = folder_of(path);
    struct snap_file *f = snap_open(path, e); /* nothing else is deleted by this */
    bool ok = f && keep_base(folder, path, e);
    snap_close(f);
    if (ok && unlink(path) != 0) {
        ok = err_set(e, "%s", strerror(errno));
    }
    if (ok) {
        char *full = full_path(path);
        drives_forget(vm, full);
        free(full);
        sync_folder(folder);
        tidy(folder);
    }
    free(folder);
    free(path);
    return ok;
}

static void info_one(const char *folder, const char *name, struct mon_out *o)
{
    struct err e;
    char *path = join(folder, name), date[32] = "?";
    struct snap_file *f = snap_open(path, &e);
    free(path);
    if (!f) {
        mon_printf(o, "%s: %s\n", name, e.msg);
        return;
    }
    const struct snap_info *i = snap_info_of(f);
    time_t t = (time_t)i->manifest.date;
    struct tm tm;
    if (gmtime_r(&t, &tm)) {
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
    }
    mon_printf(o,
               "%s: %" PRIu64 " KiB, saved %s UTC at %" PRIu64 ".%03" PRIu64 " s, %" PRIu64
               " instructions%s%s\n",
               name, i->bytes >> 10, date, i->manifest.vtime / VTIME_SEC,
               i->manifest.vtime % VTIME_SEC / VTIME_MS, i->manifest.icount,
               i->manifest.parent ? ", changes since " : "", (const char *)i->manifest.parent_name);
    snap_close(f);
}

void snapset_info(struct doppel_vm *vm, struct mon_out *o)
{
    char *folder = set_folder(vm);
    struct dirent **names = NULL;
    int n = list(folder, false, &names);
    for (int i = 0; i < n; i++) {
        info_one(folder, names[i]->d_name, o);
    }
    if (n == 0) {
        mon_printf(o, "no snapshots in %s\n", folder);
    }
    list_free(names, n);
    free(folder);
}
