/*
 * Direct boot, what all kinds of kernel share: memory map, command line, page tables, the choice of
 * the loader, the ROM's parameter block.
 *
 * Images are read anew at each reset rather than kept (doppel's memory beside guest RAM is to stay
 * small); a digest makes sure that they are what they were.
 */
#include "vm/boot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"
#include "vm/files.h"
#include "vm/firmware.h"
#include "vm/vm.h"

extern const unsigned char rom_boot[];
extern const unsigned rom_boot_size;
extern const unsigned char rom_demo[];
extern const unsigned rom_demo_size;

static void script_add(struct boot_script *s, uint64_t addr, const void *data, size_t len)
{
    enum { HEAD = 8 };
    size_t want = s->len + HEAD + len;
    if (want > s->cap) {
        size_t cap = 2 * want;
        uint8_t *p = s->failed ? NULL : realloc(s->data, cap);
        if (!p) {
            s->failed = true;
            return;
        }
        s->data = p;
        s->cap = cap;
    }
    le32_put(s->data + s->len, (uint32_t)addr);
    le32_put(s->data + s->len + 4, (uint32_t)len);
    memcpy(s->data + s->len + HEAD, data, len);
    s->len = want;
}

void boot_write(struct boot *b, uint64_t addr, const void *data, uint64_t len)
{
    if (!b->script) {
        aspace_write_buf(&b->vm->mem, addr, data, len);
    } else if (len) { /* a length of 0 ends the script */
        script_add(b->script, addr, data, len);
    }
}

void boot_script_end(struct boot *b)
{
    script_add(b->script, b->entry.entry, "", 0);
}

void boot_zero(struct boot *b, uint64_t addr, uint64_t len)
{
    static const uint8_t zeros[4096];
    for (uint64_t n; len; addr += n, len -= n) {
        n = len < sizeof zeros ? len : sizeof zeros;
        boot_write(b, addr, zeros, n);
    }
}

void boot_put32(struct boot *b, uint64_t addr, uint32_t v)
{
    uint8_t bytes[4];
    le32_put(bytes, v);
    boot_write(b, addr, bytes, sizeof bytes);
}

void boot_put64(struct boot *b, uint64_t addr, uint64_t v)
{
    uint8_t bytes[8];
    le64_put(bytes, v);
    boot_write(b, addr, bytes, sizeof bytes);
}

bool boot_room(const struct boot *b, uint64_t addr, uint64_t len, const char *what, struct err *e)
{
    bool below = addr >= (b->script ? BOOT_BIOS_END : 0) && addr < 0x9f000 && len <= 0x9f000 - addr;
    bool above = addr >= 0x100000 && addr < b->low && len <= b->low - addr;
    if (!below && !above) {
        return err_set(e,
                       "%s: %s wants %" PRIu64 " bytes at %#" PRIx64 ", where there is no RAM "
                       "(-m %" PRIu64 ")",
                       b->kernel.path, what, len, addr, b->vm->opt.ram_bytes >> 20);
    }
    if (addr < BOOT_AREA_END && addr + len > BOOT_AREA) {
        return err_set(e, "%s: %s covers %#x-%#x, which the loader needs for itself",
                       b->kernel.path, what, BOOT_AREA, BOOT_AREA_END - 1);
    }
    return true;
}

bool boot_cmdline(struct boot *b, size_t max, struct err *e)
{
    size_t n = strlen(b->cmdline) + 1;
    if (max > BOOT_CMDLINE_MAX) {
        max = BOOT_CMDLINE_MAX;
    }
    if (n > max) {
        return err_set(e, "-append: %zu characters; %s takes %zu", n - 1, b->kernel.path, max - 1);
    }
    boot_write(b, BOOT_CMDLINE, b->cmdline, n);
    return true;
}

void boot_page_tables(struct boot *b)
{
    enum { PRESENT_WRITE = 3, LARGE = 0x80 };
    boot_zero(b, BOOT_TABLES, 0x6000);
    boot_put64(b, BOOT_TABLES, (BOOT_TABLES + 0x1000) | PRESENT_WRITE);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t dir = BOOT_TABLES + 0x2000 + i * 0x1000;
        boot_put64(b, BOOT_TABLES + 0x1000 + i * 8, dir | PRESENT_WRITE);
        for (uint64_t j = 0; j < 512; j++) {
            boot_put64(b, dir + j * 8, ((i * 512 + j) << 21) | PRESENT_WRITE | LARGE);
        }
    }
}

static void map_add(struct boot *b, uint64_t base, uint64_t end, uint32_t type)
{
    assert(b->nmap < E820_MAX);
    if (end > base) {
        b->map[b->nmap++] = (struct e820){base, end - base, type};
    }
}

static void make_map(struct boot *b)
{
    const struct doppel_vm *vm = b->vm;
    map_add(b, 0, 0x9fc00, E820_RAM);
    map_add(b, 0x9fc00, 0xa0000, E820_RESERVED);  /* where an extended BIOS data area would be */
    map_add(b, 0xe0000, 0x100000, E820_RESERVED); /* ACPI tables, SMBIOS */
    map_add(b, 0x100000, vm->low_bytes, E820_RAM);
    map_add(b, 0xfec00000, 0xfec01000, E820_RESERVED); /* I/O APIC */
    map_add(b, 0xfee00000, 0xfee01000, E820_RESERVED); /* local APICs */
    map_add(b, VM_HIGH - VM_ROM_SIZE, VM_HIGH, E820_RESERVED);
    map_add(b, VM_HIGH, VM_HIGH + vm->opt.ram_bytes - vm->low_bytes, E820_RAM);
}

/* Two words of the BIOS data area, where kernels look for the end of low memory (Xen puts its
 * start-up code for other CPUs there): segment of the extended area at 0x40e, KiB at 0x413. */
static void put_bios_data(struct boot *b)
{
    aspace_write(&b->vm->mem, 0x40e, 2, 0x9fc0);
    aspace_write(&b->vm->mem, 0x413, 2, 639);
}

/* The ROM: boot code right below 4 GiB. */
static void put_rom(struct doppel_vm *vm, const struct boot_entry *p)
{
    const unsigned char *code = p->kind == ENTRY_NONE ? rom_demo : rom_boot;
    unsigned size = p->kind == ENTRY_NONE ? rom_demo_size : rom_boot_size;
    assert(size <= VM_ROM_SIZE);
    uint64_t at = VM_ROM_SIZE - size;
    ram_write(&vm->rom, at, code, size);
    if (p->kind != ENTRY_NONE) {
        uint8_t block[32] = {0};
        le32_put(block, p->kind);
        le32_put(block + 4, p->eax);
        le32_put(block + 8, p->ebx);
        le32_put(block + 12, p->esi);
        le32_put(block + 16, p->cr3);
        le64_put(block + 24, p->entry);
        ram_write(&vm->rom, at, block, sizeof block);
    }
}

/* The same image as at first? A digest of 0 means that there was none. */
static bool same_image(const struct image *img, uint64_t *sum, struct err *e)
{
    uint64_t now = st_digest_bytes(ST_DIGEST_INIT, img->data, img->len);
    if (*sum && *sum != now) {
        return err_set(e, "%s: changed since the machine was started", img->path);
    }
    *sum = now;
    return true;
}

static bool load_images(struct boot *b, struct err *e)
{
    static bool (*const loaders[])(struct boot *, bool *, struct err *) = {
        boot_multiboot,
        boot_pvh,
        boot_linux,
    };
    struct doppel_vm *vm = b->vm;
    uint64_t max = vm->low_bytes;
    if (!files_read(vm, &b->kernel, vm->opt.kernel, "kernel", max, e) ||
        !same_image(&b->kernel, &vm->kernel_sum, e)) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_LEN(loaders); i++) {
        bool mine = false;
        bool ok = loaders[i](b, &mine, e);
        if (mine) {
            return ok;
        }
    }
    return err_set(e,
                   "kernel %s: not a kernel; want a Linux bzImage, an ELF file with a PVH note, "
                   "or multiboot 1",
                   b->kernel.path);
}

bool boot_load(struct doppel_vm *vm, struct err *e)
{
    struct boot b = {.vm = vm, .low = vm->low_bytes};
    bool ok = true;
    if (vm->opt.kernel && !vm->firmware) {
        b.cmdline = vm->opt.append ? vm->opt.append : "";
        make_map(&b);
        put_bios_data(&b);
        b.rsdp = acpi_direct(vm);
        smbios_direct(vm);
        ok = load_images(&b, e);
        image_free(&b.kernel);
        image_free(&b.initrd);
    }
    if (ok && !vm->firmware) {
        put_rom(vm, &b.entry);
    }
    return ok;
}
