/*
 * fw_cfg: how firmware asks the emulator about the machine. Items are numbered; some are files with
 * names, listed in a directory.
 *
 * Items are added while the machine is built, in an order that its options alone decide.
 */
#ifndef DOPPEL_HW_FIRMWARE_FW_CFG_H
#define DOPPEL_HW_FIRMWARE_FW_CFG_H

#include "core/dev.h"

enum {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07, /* a kernel that firmware starts: where its parts go, their sizes */
    FW_CFG_KERNEL_SIZE = 0x08, /* and bytes */
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_IRQ0_OVERRIDE = 0x8002,
};

#define FW_CFG_NAME_MAX 56u /* of a file, with the final NUL */
#define FW_CFG_FILES    32u
#define FW_CFG_PARAMS   4u

/* A file whose content depends on how firmware has set up the machine so far. At the first select
 * of any live file after a reset `sample` fills in what it depends on (part of the device's
 * state), and `build` calls fw_cfg_replace; after a load only the latter. */
struct fw_cfg_live {
    void (*sample)(void *ctx, uint32_t param[FW_CFG_PARAMS]);
    void (*build)(void *ctx, const uint32_t param[FW_CFG_PARAMS]);
};

/* Add an item below FW_CFG_FILE_FIRST or an architecture's own; the bytes are copied. */
void fw_cfg_add(struct dev *d, unsigned key, const void *data, size_t len);
void fw_cfg_add_num(struct dev *d, unsigned key, unsigned size, uint64_t val); /* little-endian */
/* Add a file. False: e names it; the name is too long or taken, or there are too many. */
bool fw_cfg_add_file(struct dev *d, const char *name, const void *data, size_t len, struct err *e);
bool fw_cfg_has_file(struct dev *d, const char *name);
void fw_cfg_set_live(struct dev *d, const struct fw_cfg_live *ops, void *ctx);
/* Mark a file as live; put other bytes, as many as before, into it. */
void fw_cfg_mark_live(struct dev *d, const char *name);
void fw_cfg_replace(struct dev *d, const char *name, const void *data, size_t len);

#endif
