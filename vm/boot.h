/*
 * Direct boot: a kernel put into RAM as its boot protocol wants it, and what roms/boot.asm needs to
 * enter it. Done at power-on and at every reset.
 *
 * Kinds of kernel, looked for in this order: multiboot 1, ELF with a PVH note, Linux bzImage.
 * Every byte of an image is hostile: nothing is read outside of it or written outside of RAM.
 */
#ifndef DOPPEL_VM_BOOT_H
#define DOPPEL_VM_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct dev;
struct doppel_vm;

/* The parameter block of roms/boot.asm. */
enum { ENTRY_NONE, ENTRY_32, ENTRY_64 };
struct boot_entry {
    uint32_t kind, eax, ebx, esi, cr3;
    uint64_t entry;
};

/* Where the loader puts its own things, in low RAM. Kernels may not be loaded over them. */
#define BOOT_AREA        0x10000u
#define BOOT_INFO        0x10000u /* zero page, multiboot or PVH info: 4 KiB and more */
#define BOOT_CMDLINE     0x20000u
#define BOOT_CMDLINE_MAX 0x8000u  /* bytes with the final NUL */
#define BOOT_STRINGS     0x28000u /* of multiboot modules */
#define BOOT_TABLES      0x30000u /* page tables: PML4, PDPT, 4 page directories */
#define BOOT_AREA_END    0x40000u
#define BOOT_BIOS_END    0x1000u /* with firmware, below: its data, and our option ROM's stack */

/* Memory as the guest is told of it; types as in E820. */
enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };
struct e820 {
    uint64_t base, len;
    uint32_t type;
};
#define E820_MAX 16u

/* A file in memory. */
struct image {
    const char *path;
    uint8_t *data; /* freed by image_free */
    size_t len;
};
/* e: one line that names the path. `what`: "kernel". max: bytes. */
bool image_read(struct image *img, const char *path, const char *what, uint64_t max, struct err *e);
void image_free(struct image *img);
/* Is [off, off+n) inside? */
static inline bool image_has(const struct image *img, uint64_t off, uint64_t n)
{
    return off <= img->len && n <= img->len - off;
}

/* What is to be written where, for roms/multiboot.asm to do: records of 32-bit address and length,
 * then the bytes. */
struct boot_script {
    uint8_t *data; /* malloc'd by boot_write, freed by the owner */
    size_t len, cap;
    bool failed; /* no host memory */
};

/* What a loader works on. */
struct boot {
    struct doppel_vm *vm;
    struct image kernel, initrd;
    const char *cmdline; /* never NULL */
    struct e820 map[E820_MAX];
    unsigned nmap;
    uint64_t rsdp; /* 0: none */
    uint64_t low;  /* RAM at 0 .. low-1, but for the hole at 640 KiB */
    struct boot_entry entry;
    struct boot_script *script; /* where writes go; NULL: into RAM */
};

/* Load what the options name and fill in the ROM's parameters. */
bool boot_load(struct doppel_vm *vm, struct err *e);

/* RAM at [addr, addr+len) that a kernel may be loaded to? e names `what`. */
bool boot_room(const struct boot *b, uint64_t addr, uint64_t len, const char *what, struct err *e);
void boot_write(struct boot *b, uint64_t addr, const void *data, uint64_t len);
void boot_zero(struct boot *b, uint64_t addr, uint64_t len);
void boot_script_end(struct boot *b); /* the last record: entry.entry */
void boot_put32(struct boot *b, uint64_t addr, uint32_t v);
void boot_put64(struct boot *b, uint64_t addr, uint64_t v);
bool boot_cmdline(struct boot *b, size_t max, struct err *e); /* at BOOT_CMDLINE */
/* Identity-map 4 GiB by 2 MiB pages at BOOT_TABLES. */
void boot_page_tables(struct boot *b);

/* One kind each. *mine: the image is of this kind (then the result counts). */
bool boot_multiboot(struct boot *b, bool *mine, struct err *e);
bool boot_pvh(struct boot *b, bool *mine, struct err *e);
bool boot_linux(struct boot *b, bool *mine, struct err *e);

/* What a bzImage's header says, and where it is to go. (vm/boot_linux.c) */
struct linux_header {
    unsigned version;
    uint64_t code_off, code_len; /* protected-mode kernel within the file */
    uint64_t load, run_size;     /* where it runs, and bytes that it needs there */
    uint64_t initrd_max;         /* the highest address of an initrd's last byte */
    size_t cmdline_max;          /* bytes with NUL */
    bool entry64;
};
/* Offsets in the file and in the zero page. */
enum {
    LINUX_VID_MODE = 0x1fa,
    LINUX_LOADER = 0x210,
    LINUX_LOADFLAGS = 0x211,
    LINUX_RAMDISK = 0x218,
    LINUX_RAMDISK_SIZE = 0x21c,
    LINUX_HEAP_END = 0x224,
    LINUX_CMDLINE = 0x228,
};
bool boot_linux_is(const struct image *kernel);
bool boot_linux_parse(struct boot *b, struct linux_header *h, struct err *e);
/* Read the initrd, if there is one; *at: where it goes below `low`. */
bool boot_linux_initrd(struct boot *b, const struct linux_header *h, uint64_t *at, struct err *e);

/* Put the kernel into fw_cfg, for firmware to start. (vm/boot_firmware.c) */
bool boot_tell_firmware(struct doppel_vm *vm, struct dev *fw_cfg, struct err *e);

/* ELF program segments, for multiboot and PVH: copied to their physical addresses. *entry is the
 * physical address of e_entry, *end the end of the highest segment. (vm/boot_elf.c) */
bool boot_elf_load(struct boot *b, uint64_t *entry, uint64_t *end, struct err *e);
bool boot_is_elf(const struct image *img);

#endif
