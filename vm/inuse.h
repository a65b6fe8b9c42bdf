/*
 * Is a file that is to be written one that the machine reads or writes already?
 */
#ifndef DOPPEL_VM_INUSE_H
#define DOPPEL_VM_INUSE_H

#include <stdbool.h>

#include "util/err.h"

struct doppel_vm;

/* True: e says what the file at `path` is to this machine: an image or what one is backed by, a
 * file that it was made from, a recording, its log, the other end of a port. Not so if there is no
 * such file, or it is a device. */
bool inuse_file(const struct doppel_vm *vm, const char *path, struct err *e);
/* That, or a saved machine, which a log would destroy, though pages may still come from it. */
bool inuse_for_log(const struct doppel_vm *vm, const char *path, struct err *e);

#endif
