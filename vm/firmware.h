/*
 * Firmware of a machine: found in the host's file system, put into ROM, and told about the machine
 * through fw_cfg.
 */
#ifndef DOPPEL_VM_FIRMWARE_H
#define DOPPEL_VM_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dev.h"
#include "util/err.h"

struct doppel_vm;
struct firmware; /* private to vm/firmware.c */

/* Does this machine start with firmware (an image, -bios, -boot or -vga rather than -kernel or the
 * demo; -kernel starts through firmware only with -bios)? */
bool firmware_wanted(const struct doppel_vm *vm);
/* dev_env.rom_file, with the machine as ctx: the -L folders, then where Debian's packages put
 * firmware. */
bool firmware_file(void *vm, const char *name, uint8_t **data, size_t *len);
/* Before the board's parts are made: read the BIOS and map it. e names the Debian package when
 * there is none. */
bool firmware_map(struct doppel_vm *vm, struct err *e);
/* The size in bytes of the flash chip that has the firmware (-drive if=pflash); 0: none. */
uint64_t firmware_flash_size(struct doppel_vm *vm);
/* After them: fill fw_cfg, also for a machine without firmware (kernels read it too). */
bool firmware_tell(struct doppel_vm *vm, struct err *e);
bool firmware_fill(struct doppel_vm *vm, struct err *e); /* vm/fwcfg.c: its part of that */
/* vm/acpi.c: the files by which firmware installs ACPI tables; and the tables in memory for a boot
 * without firmware: the address of the RSDP, 0 if the board has no ACPI. */
bool firmware_tell_acpi(struct doppel_vm *vm, struct dev *fw_cfg, struct err *e);
uint64_t acpi_direct(struct doppel_vm *vm);
/* vm/bootorder.c: bootindex=NUMBER of a struct drive or a card's struct dev. */
bool firmware_boot_index(struct doppel_vm *vm, const char *number, const void *what, struct err *e);
/* The file for that and for an order that was asked for, letters as of -boot order=, or "".
 * fw_cfg NULL: looked at only. */
bool firmware_tell_order(struct doppel_vm *vm, struct dev *fw_cfg, const char *order,
                         struct err *e);
/* vm/smbios.c: the same for SMBIOS, and the machine's UUID as it is written. */
bool firmware_tell_smbios(struct doppel_vm *vm, struct dev *fw_cfg, struct err *e);
void smbios_direct(struct doppel_vm *vm);
bool firmware_uuid(const struct doppel_vm *vm, uint8_t uuid[16], struct err *e);
/* After the devices' reset: what firmware finds in memory and in CMOS RAM. */
void firmware_reset(struct doppel_vm *vm, enum reset_kind kind);
void firmware_tell_cmos(struct doppel_vm *vm, enum reset_kind kind); /* vm/fwcfg.c */
void firmware_free(struct doppel_vm *vm);

/* For a board's `bind`: PAM and SMRAM are this host bridge's. */
void firmware_bind_i440fx(struct doppel_vm *vm, struct dev *bridge);
/* The memory map as a vCPU in SMM sees it, or as everybody else does. Costs nothing while SMRAM
 * stays as it is. */
void firmware_view(struct doppel_vm *vm, bool smm);

#endif
