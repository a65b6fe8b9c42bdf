/*
 * Firmware: found in the host's file system, mapped, and the memory behind it.
 *
 *     4 GiB - size     the BIOS, as it is in the file
 *     0xe0000-0xfffff  its last 128 KiB (or less); on board `pc` beneath the shadow RAM that PAM
 *                      switches, on a board without PAM a copy in RAM, made at each reset, since
 *                      firmware writes to its own variables there
 *     0xff0000         the last 64 KiB again, for CPUs with 24 address lines
 *     0xa0000-0xbffff  SMRAM, above the video RAM, while it is open or the vCPU that runs is in SMM
 *
 * The view of SMRAM belongs to the running vCPU: it is switched when that vCPU enters or leaves SMM
 * and at the ends of its slices, so that neither another vCPU nor a device sees SMRAM while it is
 * closed. Soft TLBs keep their translations over a switch, so where slices end stays invisible.
 *
 * Sources: 82441FX datasheet (290549), 3.2.18, 3.2.20; SDM 3C 34.4; the places are Debian's.
 */
#include "vm/firmware.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hw/pci/pci.h"
#include "vm/boot.h"
#include "vm/drives.h"
#include "vm/files.h"
#include "vm/vm.h"

#define FILE_MAX     (UINT64_C(16) << 20)
#define FILE_MIN     (UINT64_C(64) << 10)
#define LOW_ROM      UINT64_C(0x20000) /* below 1 MiB, at most */
#define ROM_286      UINT64_C(0x10000) /* below 16 MiB */
#define MIB          (UINT64_C(1) << 20)
#define SHADOW       UINT64_C(0xc0000)
#define PAM_SEGMENTS 13u

/* Layers of the memory map; devices are at 0 and 1. */
enum { PRIO_LOW_ROM = 1, PRIO_PAM = 2, PRIO_ROM = 2, PRIO_SMRAM = 3 };

struct firmware {
    struct ram *rom;
    uint64_t size;
    struct region *pam[PAM_SEGMENTS], *smram;
    bool smram_enabled, smram_open, smram_shown;
};

/* --- Files --- */

static const char *const folders[] = {
    "/usr/share/seabios", "/usr/share/qemu",    "/usr/share/ovmf",
    "/usr/share/OVMF",    "/usr/share/vgabios", "/usr/lib/ipxe/qemu",
};

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Where a firmware file lies; false: nowhere. A name with a slash is a path. */
static bool find_file(const struct doppel_vm *vm, const char *name, char *path, size_t size)
{
    bool replay;
    const char *recorded;
    if (files_recorded(vm, name, &recorded, &replay) || replay) {
        return recorded && (size_t)snprintf(path, size, "%s", recorded) < size;
    }
    if (strchr(name, '/')) {
        return (size_t)snprintf(path, size, "%s", name) < size && is_file(path);
    }
    unsigned own = vm->opt.nfirmware_dirs;
    for (unsigned i = 0; i < own + ARRAY_LEN(folders); i++) {
        const char *dir = i < own ? vm->opt.firmware_dir[i] : folders[i - own];
        if ((size_t)snprintf(path, size, "%s/%s", dir, name) < size && is_file(path)) {
            return true;
        }
    }
    return false;
}

bool firmware_file(void *ctx, const char *name, uint8_t **data, size_t *len)
{
    struct image img;
    struct err e;
    char path[4096];
    if (!find_file(ctx, name, path, sizeof path)) {
        return false;
    }
    if (!files_read(ctx, &img, path, "firmware", FILE_MAX, &e)) {
        image_free(&img);
        return false;
    }
    *data = img.data;
    *len = img.len;
    return true;
}

static bool read_bios(struct doppel_vm *vm, struct image *img, struct err *e)
{
    const char *name = vm->opt.bios ? vm->opt.bios : vm->board->bios;
    char path[4096];
    *img = (struct image){.path = ""};
    /* A file beside the user comes first, as for other options that name files. */
    bool here = vm->opt.bios && !vm->replay && is_file(name);
    if (!here && !find_file(vm, name, path, sizeof path)) {
        bool uefi = strncmp(name, "OVMF", 4) == 0;
        return err_set(e,
                       "firmware %s: not found%s; Debian's package \"%s\" has it, -L FOLDER says "
                       "where else to look",
                       name, strchr(name, '/') ? "" : " in the usual places",
                       uefi ? "ovmf" : "seabios");
    }
    if (!files_read(vm, img, here ? name : path, "firmware", FILE_MAX, e)) {
        return false;
    }
    img->path = ""; /* nothing below keeps it */
    if (img->len < FILE_MIN || img->len % PAGE_SIZE) {
        return err_set(e, "firmware %s: %zu bytes; want 64 KiB to 16 MiB, a multiple of 4 KiB",
                       name, img->len);
    }
    return true;
}

/* --- The memory map --- */

static struct region *map(struct doppel_vm *vm, uint64_t base, uint64_t len, struct ram *ram,
                          uint64_t off, bool readonly, const char *name, int prio)
{
    return aspace_map_ram(&vm->mem, base, len, ram, off, readonly, name, prio);
}

/* 16 KiB each, but for the last. */
static void map_shadow(struct doppel_vm *vm)
{
    struct firmware *fw = vm->firmware;
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        uint64_t base = SHADOW + i * 0x4000, len = i == PAM_SEGMENTS - 1 ? 0x10000 : 0x4000;
        fw->pam[i] = map(vm, base, len, &vm->ram, base, false, "shadow", PRIO_PAM);
        region_access(&vm->mem, fw->pam[i], false, false);
    }
    fw->smram = map(vm, 0xa0000, 0x20000, &vm->ram, 0xa0000, false, "smram", PRIO_SMRAM);
    region_enable(&vm->mem, fw->smram, false);
}

static uint64_t low_size(const struct firmware *fw)
{
    return fw->size < LOW_ROM ? fw->size : LOW_ROM;
}

static void map_low_rom(struct doppel_vm *vm)
{
    struct firmware *fw = vm->firmware;
    uint64_t low = low_size(fw);
    map(vm, MIB - low, low, fw->rom, fw->size - low, true, "bios-low", PRIO_LOW_ROM);
}

static void map_low(struct doppel_vm *vm)
{
    if (vm->board->pam) {
        if (vm->firmware->rom) { /* a flash chip's comes later */
            map_low_rom(vm);
        }
        map_shadow(vm);
    } else {
        map(vm, MIB - LOW_ROM, LOW_ROM, &vm->ram, MIB - LOW_ROM, false, "bios-low", PRIO_LOW_ROM);
        /* Where SeaBIOS puts the video BIOS that fw_cfg has for it. */
        map(vm, SHADOW, MIB - LOW_ROM - SHADOW, &vm->ram, SHADOW, false, "rom-area", PRIO_LOW_ROM);
    }
}

bool firmware_wanted(const struct doppel_vm *vm)
{
    const struct doppel_options *o = &vm->opt;
    return o->bios || (!o->kernel && (o->boot || o->ndrives || o->vga));
}

uint64_t firmware_flash_size(struct doppel_vm *vm)
{
    const struct drive *d = drives_find(vm, "pflash.0");
    return d && d->blk && vm->board->pam ? d->blk->bytes : 0;
}

/* The firmware is in a flash chip, which maps itself; only what is below 1 MiB is ours. */
static void use_flash(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->nmemory; i++) {
        if (strcmp(vm->memory[i]->name, "pflash0") == 0) {
            vm->firmware->rom = &vm->memory[i]->ram;
            map_low_rom(vm);
        }
    }
}

static struct firmware *firmware_new(uint64_t size)
{
    struct firmware *fw = calloc(1, sizeof *fw);
    if (!fw) {
        abort();
    }
    fw->size = size;
    return fw;
}

bool firmware_map(struct doppel_vm *vm, struct err *e)
{
    uint64_t flash = firmware_flash_size(vm);
    if (!firmware_wanted(vm)) {
        return true;
    }
    vm->env.rom_file = firmware_file;
    vm->env.rom_ctx = vm;
    if (flash && vm->opt.bios) {
        return err_usage(e, "-bios and -drive if=pflash: want one of them");
    }
    if (flash) {
        vm->firmware = firmware_new(flash);
        map_low(vm);
        return true;
    }
    struct image img;
    if (!read_bios(vm, &img, e)) {
        image_free(&img);
        return false;
    }
    struct firmware *fw = vm->firmware = firmware_new(img.len);
    fw->rom = vm_memory_new(vm, "bios", img.len);
    if (fw->rom) {
        ram_write(fw->rom, 0, img.data, img.len);
    }
    image_free(&img);
    if (!fw->rom) {
        return err_set(e, "no host memory for firmware");
    }
    map(vm, VM_HIGH - fw->size, fw->size, fw->rom, 0, true, "bios", PRIO_ROM);
    map_low(vm);
    return true;
}

void firmware_free(struct doppel_vm *vm)
{
    free(vm->firmware);
    vm->firmware = NULL;
}

static void map_286(struct doppel_vm *vm)
{
    struct firmware *fw = vm->firmware;
    if (!cpu_has(vm->cpu[0], FEAT_i386)) {
        map(vm, (UINT64_C(1) << 24) - ROM_286, ROM_286, fw->rom, fw->size - ROM_286, true,
            "bios-286", PRIO_ROM);
    }
}

bool firmware_tell(struct doppel_vm *vm, struct err *e)
{
    if (vm->firmware && !vm->firmware->rom) {
        use_flash(vm);
    }
    if (vm->firmware) {
        map_286(vm);
    }
    return firmware_fill(vm, e);
}

void firmware_reset(struct doppel_vm *vm, enum reset_kind kind)
{
    struct firmware *fw = vm->firmware;
    if (!fw) {
        return;
    }
    firmware_tell_cmos(vm, kind);
    if (vm->board->pam) {
        return;
    }
    uint8_t page[PAGE_SIZE];
    uint64_t low = low_size(fw);
    for (uint64_t at = 0; at < low; at += sizeof page) {
        ram_read(fw->rom, fw->size - low + at, page, sizeof page);
        ram_write(&vm->ram, MIB - low + at, page, sizeof page);
    }
}

/* --- What the chipset decides --- */

static void show_smram(struct doppel_vm *vm, bool smm)
{
    struct firmware *fw = vm->firmware;
    bool show = fw->smram_enabled && (fw->smram_open || smm);
    if (show != fw->smram_shown) {
        fw->smram_shown = show;
        region_enable(&vm->mem, fw->smram, show);
    }
}

static void pam(void *ctx, unsigned segment, bool read_ram, bool write_ram)
{
    struct doppel_vm *vm = ctx;
    region_access(&vm->mem, vm->firmware->pam[segment], read_ram, write_ram);
}

static void smram(void *ctx, bool enabled, bool open)
{
    struct doppel_vm *vm = ctx;
    vm->firmware->smram_enabled = enabled;
    vm->firmware->smram_open = open;
    show_smram(vm, vm->running && vm->running->s.smm);
}

void firmware_bind_i440fx(struct doppel_vm *vm, struct dev *bridge)
{
    static const struct i440fx_ops ops = {pam, smram};
    if (vm->firmware) {
        i440fx_set_ops(bridge, &ops, vm);
    }
}

void firmware_view(struct doppel_vm *vm, bool smm)
{
    if (vm->firmware && vm->board->pam) {
        show_smram(vm, smm);
    }
}
