/*
 * Files that a machine reads whole: firmware, kernels, initrds, files for fw_cfg.
 *
 * Each is remembered with a digest, for the manifest of a recording. A replay reads those that the
 * manifest names, where they were or beside the log, and takes no other.
 */
#ifndef DOPPEL_VM_FILES_H
#define DOPPEL_VM_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "vm/boot.h"

struct doppel_vm;

struct vm_file {
    char *path, *full; /* as it was called; from everywhere */
    uint64_t bytes, sum;
};

/* image_read (vm/boot.h), remembered. */
bool files_read(struct doppel_vm *vm, struct image *img, const char *path, const char *what,
                uint64_t max, struct err *e);
/* In a replay: did the recorded machine read a file of this name (its last part counts)? *path is
 * what it was called. Not in a replay: false, *replay is false. */
bool files_recorded(const struct doppel_vm *vm, const char *name, const char **path, bool *replay);
void files_free(struct doppel_vm *vm);

#endif
