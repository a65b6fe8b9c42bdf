/*
 * Multiboot 1: header anywhere in the first 8 KiB, ELF segments or the address fields ("a.out
 * kludge"), modules, memory map.
 *
 * Source: Multiboot Specification 0.6.96, sections 3.1 (header), 3.2 (machine state), 3.3 (boot
 * information). Video modes are not offered; a kernel that insists on one is refused.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bits.h"
#include "vm/boot.h"
#include "vm/files.h"
#include "vm/vm.h"

enum {
    MB_SEARCH = 8192,
    MB_HEADER = 0x1badb002,
    MB_MAGIC = 0x2badb002,
    MB_ALIGN_MODULES = 1 << 0,
    MB_MEMORY = 1 << 1,
    MB_VIDEO = 1 << 2,
    MB_ADDRESSES = 1 << 16,
    MB_KNOWN = MB_ALIGN_MODULES | MB_MEMORY,
    MB_MUST = 0xffff, /* bits that a loader must understand */
};
/* Boot information: flag bits and offsets. */
enum {
    MBI_MEM = 1 << 0,
    MBI_CMDLINE = 1 << 2,
    MBI_MODS = 1 << 3,
    MBI_MMAP = 1 << 6,
    MBI_LOADER = 1 << 9,
    MBI_MODS_AT = BOOT_INFO + 0x100,
    MBI_MMAP_AT = BOOT_INFO + 0x800,
    MBI_MODS_MAX = 64,
    MBI_LOADER_AT = BOOT_INFO + 0xf00,
};

static bool find_header(const struct image *k, uint64_t *at)
{
    for (uint64_t i = 0; i < MB_SEARCH && image_has(k, i, 12); i += 4) {
        const uint8_t *p = k->data + i;
        if (le32_get(p) == MB_HEADER &&
            (uint32_t)(le32_get(p) + le32_get(p + 4) + le32_get(p + 8)) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* The address fields: the file is one piece whose load address they give. */
static bool load_flat(struct boot *b, uint64_t at, uint64_t *entry, uint64_t *end, struct err *e)
{
    const struct image *k = &b->kernel;
    if (!image_has(k, at, 32)) {
        return err_set(e, "kernel %s: its multiboot header is cut short", k->path);
    }
    const uint8_t *p = k->data + at;
    uint64_t header = le32_get(p + 12), load = le32_get(p + 16), load_end = le32_get(p + 20);
    uint64_t bss_end = le32_get(p + 24);
    *entry = le32_get(p + 28);
    if (load > header || header - load > at) {
        return err_set(e,
                       "kernel %s: multiboot load address %#" PRIx64 " does not match header "
                       "address %#" PRIx64,
                       k->path, load, header);
    }
    uint64_t off = at - (header - load);
    uint64_t len = load_end ? load_end - load : k->len - off;
    if ((load_end && load_end < load) || !image_has(k, off, len)) {
        return err_set(e, "kernel %s: cut short: its multiboot header says %" PRIu64 " bytes",
                       k->path, len);
    }
    uint64_t total = bss_end > load + len ? bss_end - load : len;
    if (!boot_room(b, load, total, "the kernel", e)) {
        return false;
    }
    boot_write(b, load, k->data + off, len);
    boot_zero(b, load + len, total - len);
    *end = load + total;
    return true;
}

/* One module: "FILE ARGS", up to the comma. */
static bool load_module(struct boot *b, const char *spec, size_t len, unsigned index,
                        uint64_t *free_at, uint32_t *strings, struct err *e)
{
    char text[1024];
    if (len == 0 || len >= sizeof text) {
        return err_set(e,
                       "-initrd: module %u: want FILE or \"FILE ARGS\" of at most %zu "
                       "characters",
                       index + 1, sizeof text - 1);
    }
    memcpy(text, spec, len);
    text[len] = 0;
    char path[sizeof text];
    size_t n = strcspn(text, " ");
    memcpy(path, text, n);
    path[n] = 0;
    struct image m;
    if (!files_read(b->vm, &m, path, "module", b->low, e)) {
        return false;
    }
    uint64_t start = (*free_at + PAGE_SIZE - 1) & PAGE_MASK;
    bool ok = start < b->low && m.len <= b->low - start;
    if (!ok) {
        err_set(e, "module %s: does not fit into RAM behind the kernel", path);
    } else if (*strings + len + 1 > BOOT_TABLES) {
        ok = err_set(e, "-initrd: too much text");
    } else {
        uint32_t row = MBI_MODS_AT + index * 16;
        boot_write(b, start, m.data, m.len);
        boot_write(b, *strings, text, len + 1);
        boot_put32(b, row, (uint32_t)start);
        boot_put32(b, row + 4, (uint32_t)(start + m.len));
        boot_put32(b, row + 8, *strings);
        boot_put32(b, row + 12, 0);
        *strings += (uint32_t)len + 1;
        *free_at = start + m.len;
    }
    image_free(&m);
    return ok;
}

static bool load_modules(struct boot *b, uint64_t end, unsigned *count, struct err *e)
{
    const char *p = b->vm->opt.initrd;
    uint64_t free_at = end < 0x100000 ? 0x100000 : end;
    uint32_t strings = BOOT_STRINGS;
    *count = 0;
    while (p) {
        size_t len = strcspn(p, ",");
        if (*count == MBI_MODS_MAX) {
            return err_set(e, "-initrd: more than %d modules", MBI_MODS_MAX);
        }
        if (!load_module(b, p, len, *count, &free_at, &strings, e)) {
            return false;
        }
        (*count)++;
        p = p[len] ? p + len + 1 : NULL;
    }
    return true;
}

static void put_info(struct boot *b, unsigned modules)
{
    static const char loader[] = "doppel";
    uint32_t at = MBI_MMAP_AT;
    for (unsigned i = 0; i < b->nmap; i++, at += 24) {
        boot_put32(b, at, 20); /* bytes that follow */
        boot_put64(b, at + 4, b->map[i].base);
        boot_put64(b, at + 12, b->map[i].len);
        boot_put32(b, at + 20, b->map[i].type);
    }
    uint32_t flags = MBI_MEM | MBI_CMDLINE | MBI_MMAP | MBI_LOADER;
    boot_put32(b, BOOT_INFO, flags | (modules ? (uint32_t)MBI_MODS : 0));
    boot_put32(b, BOOT_INFO + 4, 639);
    boot_put32(b, BOOT_INFO + 8, (uint32_t)((b->low - 0x100000) >> 10));
    boot_put32(b, BOOT_INFO + 16, BOOT_CMDLINE);
    boot_put32(b, BOOT_INFO + 20, modules);
    boot_put32(b, BOOT_INFO + 24, MBI_MODS_AT);
    boot_put32(b, BOOT_INFO + 44, at - MBI_MMAP_AT);
    boot_put32(b, BOOT_INFO + 48, MBI_MMAP_AT);
    boot_put32(b, BOOT_INFO + 64, MBI_LOADER_AT);
    boot_write(b, MBI_LOADER_AT, loader, sizeof loader);
}

/* The command line begins with the kernel's name, as other loaders do it. */
static bool put_cmdline(struct boot *b, struct err *e)
{
    char line[BOOT_CMDLINE_MAX];
    int n =
        snprintf(line, sizeof line, "%s%s%s", b->kernel.path, *b->cmdline ? " " : "", b->cmdline);
    if (n < 0 || (size_t)n >= sizeof line) {
        return err_set(e, "-append: longer than %u characters", BOOT_CMDLINE_MAX - 1);
    }
    boot_write(b, BOOT_CMDLINE, line, (size_t)n + 1);
    return true;
}

bool boot_multiboot(struct boot *b, bool *mine, struct err *e)
{
    uint64_t at, entry, end;
    if (!find_header(&b->kernel, &at)) {
        return true;
    }
    *mine = true;
    uint32_t flags = le32_get(b->kernel.data + at + 4);
    if (flags & MB_MUST & ~(uint32_t)MB_KNOWN) {
        return err_set(e, "kernel %s: its multiboot header demands %s", b->kernel.path,
                       flags & MB_VIDEO ? "a video mode, which this board does not have"
                                        : "features that are not known");
    }
    bool ok = flags & MB_ADDRESSES      ? load_flat(b, at, &entry, &end, e)
              : boot_is_elf(&b->kernel) ? boot_elf_load(b, &entry, &end, e)
                                        : err_set(e,
                                                  "kernel %s: a multiboot header, but neither ELF "
                                                  "nor load addresses",
                                                  b->kernel.path);
    unsigned modules;
    if (!ok) {
        return false;
    }
    boot_zero(b, BOOT_INFO, 0x1000);
    if (!put_cmdline(b, e) || !load_modules(b, end, &modules, e)) {
        return false;
    }
    put_info(b, modules);
    b->entry = (struct boot_entry){
        .kind = ENTRY_32, .eax = MB_MAGIC, .ebx = BOOT_INFO, .entry = (uint32_t)entry};
    return true;
}
