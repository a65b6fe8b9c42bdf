/*
 * Firmware of a machine: found in the host's file system, put into ROM, and told about the machine
 * through fw_cfg.
 */
#ifndef DOPPEL_VM_FIRMWARE_H
#define DOPPEL_VM_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct doppel_vm;

/* Does this machine start with firmware (an image or -bios rather than -kernel or the demo)? */
bool firmware_wanted(const struct doppel_vm *vm);
/* dev_env.rom_file, with the machine as ctx: the -L folders, then where Debian's packages put
 * firmware. */
bool firmware_file(void *vm, const char *name, uint8_t **data, size_t *len);
/* Before the board's parts are made: read the BIOS and map it. e names the Debian package when
 * there is none. */
bool firmware_map(struct doppel_vm *vm, struct err *e);
/* After them: fill fw_cfg. */
bool firmware_tell(struct doppel_vm *vm, struct err *e);

#endif
