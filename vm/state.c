/*
 * The digest of a machine, and saves and loads for callers of the public API.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "host/hosttime.h"
#include "vm/drives.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

uint64_t doppel_digest(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        cpu_sync(vm->cpu[i]);
    }
    uint64_t h = st_digest(ST_DIGEST_INIT, &clock_state_desc, &vm->clock.s);
    h = st_digest(h, &vm_state_desc, &vm->s);
    h = drives_digest(vm, dev_digest_all(&vm->env, h));
    h = ram_digest(&vm->ram, h);
    h = ram_digest(&vm->rom, h);
    return vm_memory_digest(vm, h);
}

/* What e says, with what it is about in front. */
static bool told(bool ok, const char *about, const struct err *e, struct doppel_error *out)
{
    if (!ok && out) {
        snprintf(out->msg, sizeof out->msg, "%.150s%s%.350s", about, *about ? ": " : "", e->msg);
        out->usage = e->usage;
    }
    return ok;
}

bool doppel_save(struct doppel_vm *vm, uint8_t **data, size_t *len)
{
    struct snapshot_how how = {.name = "", .threads = 1};
    struct st_buf b = {0};
    struct err e = {""};
    uint64_t id;
    *data = NULL;
    *len = 0;
    bool ok = snapshot_write(vm, &how, -1, &b, &id, &e);
    drives_save_end(vm, "", ok);
    if (!ok) {
        fprintf(vm->log.out, "%s: saving: %s\n", vm->opt.name, e.msg);
        st_buf_free(&b);
        return false;
    }
    *data = b.data;
    *len = b.len;
    return true;
}

bool doppel_load(struct doppel_vm *vm, const uint8_t *data, size_t len, struct doppel_error *out)
{
    struct err e = {""};
    struct snap_file *f = snap_open_bytes(data, len, &e);
    return told(f && snapshot_read(vm, f, &e), "", &e, out);
}

bool doppel_save_file(struct doppel_vm *vm, const char *path, struct doppel_error *out)
{
    struct err e = {""};
    return told(snapset_save_path(vm, path, host_epoch(), &e), path, &e, out);
}

bool doppel_load_file(struct doppel_vm *vm, const char *path, struct doppel_error *out)
{
    struct err e = {""};
    return told(snapset_load_path(vm, path, &e), path, &e, out);
}

bool doppel_snapshot_save(struct doppel_vm *vm, const char *name, int64_t date,
                          struct doppel_error *out)
{
    struct err e = {""};
    return told(snapset_save(vm, name, date, &e), name, &e, out);
}

bool doppel_snapshot_load(struct doppel_vm *vm, const char *name, struct doppel_error *out)
{
    struct err e = {""};
    return told(snapset_load(vm, name, &e), name, &e, out);
}

bool doppel_snapshot_delete(struct doppel_vm *vm, const char *name, struct doppel_error *out)
{
    struct err e = {""};
    return told(snapset_delete(vm, name, &e), name, &e, out);
}
