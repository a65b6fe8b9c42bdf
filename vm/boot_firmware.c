/*
 * A kernel started by firmware: -kernel with -bios. What direct boot leaves out happens then: the
 * BIOS makes its tables, sets up PCI, timer and interrupt controllers, a video BIOS is there, and
 * Linux's own set-up code asks them for memory and the video mode.
 *
 * Nothing is loaded here: the parts of a bzImage go into fw_cfg with the addresses where they
 * belong. A BIOS takes roms/linuxboot.asm from there, which fetches them; OVMF fetches them itself.
 * Of a multiboot kernel, what direct boot would write into RAM becomes a script in fw_cfg, which
 * roms/multiboot.asm follows; the memory map is the BIOS's. Linux is laid out like this:
 *
 *     0x10000   set-up code, its heap and stack      0x100000     the kernel
 *     0x20000   command line                         high         initial RAM disk
 *
 * Sources: Linux Documentation/arch/x86/boot.rst ("Memory Layout", "Special Command Line Options");
 * SeaBIOS, docs/Runtime_config.md (genroms, bootorder); QEMU, docs/specs/fw_cfg.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/firmware/fw_cfg.h"
#include "util/bits.h"
#include "vm/boot.h"
#include "vm/files.h"
#include "vm/vm.h"

extern const unsigned char rom_linuxboot[];
extern const unsigned rom_linuxboot_size;

extern const unsigned char rom_multiboot[];
extern const unsigned rom_multiboot_size;

enum {
    SETUP_ADDR = 0x10000,
    SETUP_MAX = 0xe000, /* leaves a heap and a stack below the command line */
    CMDLINE_ADDR = 0x20000,
    CMDLINE_MAX = 0x8000,
    KERNEL_ADDR = 0x100000,
    HEAP_END = CMDLINE_ADDR - SETUP_ADDR - 0x200, /* an offset; the stack is above it */
    CAN_USE_HEAP = 0x80,
    FIRMWARE_TOP = 0x100000, /* bytes at the end of RAM that SeaBIOS keeps its tables in */
};

/* "vga=MODE" is the boot loader's to read: normal, ext, ask or a number. */
static bool video_mode(const char *cmdline, uint16_t *mode)
{
    static const struct {
        const char *name;
        uint16_t mode;
    } names[] = {{"normal", 0xffff}, {"ext", 0xfffe}, {"ask", 0xfffd}};
    const char *p = cmdline;
    while ((p = strstr(p, "vga=")) != NULL && p != cmdline && p[-1] != ' ') {
        p += 4;
    }
    if (!p) {
        return false;
    }
    p += 4;
    size_t n = strcspn(p, " ");
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strlen(names[i].name) == n && memcmp(p, names[i].name, n) == 0) {
            *mode = names[i].mode;
            return true;
        }
    }
    char *end;
    errno = 0;
    unsigned long v = strtoul(p, &end, 0);
    *mode = (uint16_t)v;
    return n && end == p + n && !errno && v <= UINT16_MAX;
}

/* The set-up code's header as a boot loader fills it in. */
static void fill_header(struct boot *b, uint8_t *setup, uint64_t initrd_at)
{
    uint16_t mode;
    if (video_mode(b->cmdline, &mode)) {
        le16_put(setup + LINUX_VID_MODE, mode);
    }
    setup[LINUX_LOADER] = 0xff; /* a boot loader without a number */
    setup[LINUX_LOADFLAGS] |= CAN_USE_HEAP;
    le16_put(setup + LINUX_HEAP_END, HEAP_END);
    le32_put(setup + LINUX_CMDLINE, CMDLINE_ADDR);
    le32_put(setup + LINUX_RAMDISK, (uint32_t)initrd_at);
    le32_put(setup + LINUX_RAMDISK_SIZE, (uint32_t)b->initrd.len);
}

static void add_part(struct dev *f, unsigned addr_key, unsigned size_key, unsigned data_key,
                     uint64_t addr, const void *data, size_t len)
{
    fw_cfg_add_num(f, addr_key, 4, addr);
    fw_cfg_add_num(f, size_key, 4, len);
    fw_cfg_add(f, data_key, data, len);
}

/* A ROM, and that it comes before every disk. */
static bool add_rom(struct dev *f, const char *name, const unsigned char *image, size_t n,
                    struct err *e)
{
    char file[64], order[80];
    uint8_t rom[4096], sum = 0;
    memcpy(rom, image, n);
    for (size_t i = 0; i < n; i++) {
        sum = (uint8_t)(sum + rom[i]);
    }
    rom[n - 1] = (uint8_t)(rom[n - 1] - sum);
    snprintf(file, sizeof file, "genroms/%s.bin", name);
    int len = snprintf(order, sizeof order, "/rom@%s\n", file);
    return fw_cfg_add_file(f, file, rom, n, e) &&
           fw_cfg_add_file(f, "bootorder", order, (size_t)len + 1, e);
}

static bool offer_multiboot(struct boot *b, struct dev *f, bool *mine, struct err *e)
{
    struct boot_script script = {0};
    b->script = &script;
    bool ok = boot_multiboot(b, mine, e);
    if (ok && *mine) {
        boot_script_end(b);
        ok = !script.failed || err_set(e, "kernel %s: no host memory for it", b->kernel.path);
        if (ok) {
            fw_cfg_add(f, FW_CFG_KERNEL_DATA, script.data, script.len);
            ok = add_rom(f, "multiboot", rom_multiboot, rom_multiboot_size, e);
        }
    }
    free(script.data);
    b->script = NULL;
    return ok;
}

static bool offer(struct boot *b, struct dev *f, struct err *e)
{
    struct image *k = &b->kernel;
    struct linux_header h = {0};
    uint64_t initrd_at;
    bool multiboot = false;
    if (!files_read(b->vm, k, b->vm->opt.kernel, "kernel", b->low, e)) {
        return false;
    }
    bool ok = offer_multiboot(b, f, &multiboot, e);
    if (!ok || multiboot) {
        return ok;
    }
    if (!boot_linux_is(k)) {
        return err_set(e,
                       "kernel %s: firmware starts Linux bzImages and multiboot kernels; want "
                       "others without -bios",
                       k->path);
    }
    if (!boot_linux_parse(b, &h, e) || !boot_linux_initrd(b, &h, &initrd_at, e)) {
        return false;
    }
    size_t cmdline = strlen(b->cmdline) + 1;
    size_t max = h.cmdline_max < CMDLINE_MAX ? h.cmdline_max : CMDLINE_MAX;
    if (cmdline > max) {
        return err_set(e, "-append: %zu characters; %s takes %zu", cmdline - 1, k->path, max - 1);
    }
    if (h.code_off > SETUP_MAX) {
        return err_set(e, "kernel %s: %" PRIu64 " bytes of set-up code; want at most %d", k->path,
                       h.code_off, SETUP_MAX);
    }
    fill_header(b, k->data, initrd_at);
    add_part(f, FW_CFG_SETUP_ADDR, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, SETUP_ADDR, k->data,
             h.code_off);
    add_part(f, FW_CFG_CMDLINE_ADDR, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA, CMDLINE_ADDR,
             b->cmdline, cmdline);
    add_part(f, FW_CFG_KERNEL_ADDR, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, KERNEL_ADDR,
             k->data + h.code_off, h.code_len);
    add_part(f, FW_CFG_INITRD_ADDR, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, initrd_at,
             b->initrd.data, b->initrd.len);
    return add_rom(f, "linuxboot", rom_linuxboot, rom_linuxboot_size, e);
}

bool boot_tell_firmware(struct doppel_vm *vm, struct dev *fw_cfg, struct err *e)
{
    struct boot b = {.vm = vm, .cmdline = vm->opt.append ? vm->opt.append : ""};
    b.low = vm->low_bytes > FIRMWARE_TOP ? vm->low_bytes - FIRMWARE_TOP : 0;
    bool ok = offer(&b, fw_cfg, e);
    image_free(&b.kernel);
    image_free(&b.initrd);
    return ok;
}
