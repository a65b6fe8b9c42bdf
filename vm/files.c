/* Files read whole, and which ones. See files.h. */
#include "vm/files.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/state.h"
#include "vm/replay.h"
#include "vm/vm.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const struct vm_file *find(const struct doppel_vm *vm, const char *path, bool exact)
{
    unsigned n;
    const struct vm_file *f = replay_files(vm->replay, &n);
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(f[i].path, path) == 0 ||
            (!exact && strcmp(base_name(f[i].path), base_name(path)) == 0)) {
            return &f[i];
        }
    }
    return NULL;
}

bool files_recorded(const struct doppel_vm *vm, const char *name, const char **path, bool *replay)
{
    *replay = vm->replay != NULL;
    const struct vm_file *f = vm->replay ? find(vm, name, false) : NULL;
    *path = f ? f->path : NULL;
    return f != NULL;
}

static void note(struct doppel_vm *vm, const struct image *img, const char *path)
{
    char full[PATH_MAX];
    for (unsigned i = 0; i < vm->nfiles; i++) {
        if (strcmp(vm->files[i].path, path) == 0) {
            return; /* read again at a reset, which looks whether it has changed */
        }
    }
    vm->files = realloc(vm->files, (vm->nfiles + 1) * sizeof vm->files[0]);
    if (!vm->files) {
        abort();
    }
    vm->files[vm->nfiles++] =
        (struct vm_file){strdup(path), strdup(realpath(path, full) ? full : path), img->len,
                         st_digest_bytes(ST_DIGEST_INIT, img->data, img->len)};
}

/* The one that was recorded, wherever it is now. */
static bool read_recorded(struct doppel_vm *vm, struct image *img, const char *path,
                          const char *what, uint64_t max, struct err *e)
{
    const struct vm_file *f = find(vm, path, true);
    f = f ? f : find(vm, path, false);
    if (!f) {
        return err_set(e, "%s %s: the recorded machine did not read it", what, path);
    }
    const char *at[] = {replay_path(vm->replay, f->full), path};
    for (unsigned i = 0; i < 2; i++) {
        if (access(at[i], R_OK) != 0) {
            continue;
        }
        if (!image_read(img, at[i], what, max, e)) {
            return false;
        }
        if (img->len == f->bytes &&
            st_digest_bytes(ST_DIGEST_INIT, img->data, img->len) == f->sum) {
            img->path = path; /* a guest may see it */
            return true;
        }
        image_free(img);
        err_set(e,
                "%s %s: not the file that was recorded, which had %" PRIu64 " bytes and digest "
                "%016" PRIx64,
                what, at[i], f->bytes, f->sum);
    }
    return e->msg[0] ? false
                     : err_set(e, "%s %s: not there, and not beside the log", what, f->full);
}

bool files_read(struct doppel_vm *vm, struct image *img, const char *path, const char *what,
                uint64_t max, struct err *e)
{
    if (vm->replay) {
        return read_recorded(vm, img, path, what, max, e);
    }
    if (!image_read(img, path, what, max, e)) {
        return false;
    }
    note(vm, img, path);
    return true;
}

void files_free(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->nfiles; i++) {
        free(vm->files[i].path);
        free(vm->files[i].full);
    }
    free(vm->files);
}
