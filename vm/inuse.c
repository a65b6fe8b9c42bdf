/* See inuse.h. Names are compared by the file that they lead to. */
#include "vm/inuse.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/drives_priv.h"
#include "vm/files.h"
#include "vm/record_priv.h"
#include "vm/snap_file.h"

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* "file:PATH", as a port's other end. */
static bool is_port(const char *spec, const char *path)
{
    return spec && strncmp(spec, "file:", 5) == 0 && blk_same_file(spec + 5, path);
}

static bool used(struct err *e, const char *path, const char *what)
{
    err_set(e, "%s: %s; want another name", path, what);
    return true;
}

bool inuse_file(const struct doppel_vm *vm, const char *path, struct err *e)
{
    if (!is_file(path)) {
        return false;
    }
    bool medium = blk_in_use(path); /* those behind an image, too */
    for (unsigned i = 0; i < vm->drives->n; i++) {
        const struct vm_drive *v = vm->drives->list[i];
        medium |= v->path && drive_medium(v) && blk_same_file(v->path, path);
    }
    if (medium) {
        return used(e, path, "it is in use as an image");
    }
    for (unsigned i = 0; i < vm->nfiles; i++) {
        if (blk_same_file(vm->files[i].full, path)) {
            return used(e, path, "the machine was made from it");
        }
    }
    const struct record *r = vm->record[VM_RECORD];
    if (r && blk_same_file(r->path, path)) {
        return used(e, path, "the machine is being recorded to it");
    }
    bool port = is_port(vm->opt.debugcon, path) || is_port(vm->opt.parallel, path);
    for (unsigned i = 0; i < DOPPEL_MAX_SERIAL; i++) {
        port |= is_port(vm->opt.serial[i], path);
    }
    if (port || (vm->opt.log_file && blk_same_file(vm->opt.log_file, path))) {
        return used(e, path, "the machine writes to it");
    }
    return false;
}

bool inuse_for_log(const struct doppel_vm *vm, const char *path, struct err *e)
{
    if (inuse_file(vm, path, e)) {
        return true;
    }
    struct snap_file *f = is_file(path) ? snap_open(path, &(struct err){""}) : NULL;
    snap_close(f);
    return f && used(e, path, "a saved machine");
}
