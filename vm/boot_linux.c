/*
 * The Linux x86 boot protocol, 32 and 64-bit entries, for bzImage files.
 *
 * The real-mode set-up code is skipped: its header is copied into a zero page that we fill in as
 * the set-up code would. The 64-bit entry is used if the kernel offers one and the vCPU has long
 * mode.
 *
 * Source: Linux Documentation/arch/x86/boot.rst (fields by offset in the file and zero page, rules
 * for loading the initrd, "32-bit" and "64-bit Boot Protocol") and zero-page.rst.
 */
#include <inttypes.h>
#include <string.h>

#include "util/bits.h"
#include "vm/boot.h"
#include "vm/files.h"
#include "vm/vm.h"

/* Offsets in the file, and in the zero page. */
enum {
    H_SETUP_SECTS = 0x1f1,
    H_SYSSIZE = 0x1f4,
    H_BOOT_FLAG = 0x1fe,
    H_JUMP = 0x200,
    H_MAGIC = 0x202,
    H_VERSION = 0x206,
    H_CODE32 = 0x214,
    H_INITRD_MAX = 0x22c,
    H_ALIGN = 0x230,
    H_RELOCATABLE = 0x234,
    H_XLOADFLAGS = 0x236,
    H_CMDLINE_SIZE = 0x238,
    H_PREF = 0x258,
    H_INIT_SIZE = 0x260,
    H_END = 0x268,
    Z_RSDP = 0x070,
    Z_ALT_MEM = 0x1e0,
    Z_E820_COUNT = 0x1e8,
    Z_E820 = 0x2d0,
};
enum { LOADED_HIGH = 1, XLF_KERNEL_64 = 1 };

/* Where the kernel runs, and so where it is put. Since protocol 2.10 it prefers an address, and one
 * that is put below it moves itself there, whether it can be relocated or not (Linux,
 * Documentation/arch/x86/boot.rst, pref_address): less RAM than up to the end of that will not do.
 */
static bool choose_load(struct boot *b, const uint8_t *d, struct linux_header *h, struct err *e)
{
    uint64_t align = h->version >= 0x205 ? le32_get(d + H_ALIGN) : 0x100000;
    bool movable = h->version >= 0x205 && d[H_RELOCATABLE];
    h->load = 0x100000;
    h->run_size = h->code_len;
    if (h->version >= 0x20a) {
        uint64_t size = le32_get(d + H_INIT_SIZE);
        h->load = le64_get(d + H_PREF);
        h->run_size = size > h->run_size ? size : h->run_size;
    }
    if (movable && (!bits_pow2(align) || align > 0x40000000)) {
        return err_set(e, "kernel %s: wants an alignment of %#" PRIx64 " bytes, which is none",
                       b->kernel.path, align);
    }
    if (movable && h->load < 0x100000) {
        h->load = (0x100000 + align - 1) & ~(align - 1);
    }
    uint64_t end = h->load + h->run_size, reserved = b->vm->low_bytes - b->low;
    if (h->load >= 0x100000 && h->load < VM_LOW_MAX && end > b->low && end < VM_LOW_MAX) {
        return err_set(e,
                       "kernel %s: takes %" PRIu64 " MiB from %" PRIu64 " MiB on; want -m %" PRIu64
                       " or more",
                       b->kernel.path, (h->run_size + 0xfffff) >> 20, h->load >> 20,
                       (end + reserved + 0xfffff) >> 20);
    }
    return boot_room(b, h->load, h->run_size, "the kernel", e);
}

bool boot_linux_parse(struct boot *b, struct linux_header *h, struct err *e)
{
    const struct image *k = &b->kernel;
    const uint8_t *d = k->data;
    h->version = le16_get(d + H_VERSION);
    if (h->version < 0x202 || !(d[LINUX_LOADFLAGS] & LOADED_HIGH)) {
        return err_set(e,
                       "kernel %s: boot protocol %u.%02u of a zImage; want a bzImage (2.02 or "
                       "later)",
                       k->path, h->version >> 8, h->version & 0xff);
    }
    unsigned sects = d[H_SETUP_SECTS] ? d[H_SETUP_SECTS] : 4;
    h->code_off = (sects + 1) * UINT64_C(512);
    /* Before 2.04 only the low half of syssize counts. */
    uint64_t sys = h->version >= 0x204 ? le32_get(d + H_SYSSIZE) : le16_get(d + H_SYSSIZE);
    uint64_t want = h->code_off + sys * 16;
    if (k->len <= h->code_off || (h->version >= 0x204 && k->len < want)) {
        return err_set(e, "kernel %s: cut short: %zu bytes, its header says %" PRIu64, k->path,
                       k->len, want);
    }
    h->code_len = k->len - h->code_off;
    h->initrd_max = h->version >= 0x203 ? le32_get(d + H_INITRD_MAX) : 0x37ffffff;
    h->cmdline_max = 256;
    if (h->version >= 0x206) {
        h->cmdline_max = (size_t)le32_get(d + H_CMDLINE_SIZE) + 1;
    }
    bool lm = cpu_has(b->vm->cpu[0], FEAT_lm);
    h->entry64 = h->version >= 0x20c && (le16_get(d + H_XLOADFLAGS) & XLF_KERNEL_64) && lm;
    return choose_load(b, d, h, e);
}

bool boot_linux_initrd(struct boot *b, const struct linux_header *h, uint64_t *at, struct err *e)
{
    *at = 0;
    if (!b->vm->opt.initrd) {
        return true;
    }
    if (!files_read(b->vm, &b->initrd, b->vm->opt.initrd, "initrd", b->low, e)) {
        return false;
    }
    uint64_t top = h->initrd_max + 1 < b->low ? h->initrd_max + 1 : b->low;
    uint64_t kernel_end = h->load + h->run_size;
    *at = top > b->initrd.len ? (top - b->initrd.len) & PAGE_MASK : 0;
    if (*at < kernel_end) {
        return err_set(
            e, "initrd %s: does not fit into RAM beside the kernel; want -m %" PRIu64 " or more",
            b->initrd.path, ((kernel_end + b->initrd.len) >> 20) + 2);
    }
    return true;
}

static bool put_initrd(struct boot *b, const struct linux_header *h, uint8_t *zero, struct err *e)
{
    uint64_t at;
    if (!boot_linux_initrd(b, h, &at, e)) {
        return false;
    }
    if (at) {
        boot_write(b, at, b->initrd.data, b->initrd.len);
        le32_put(zero + LINUX_RAMDISK, (uint32_t)at);
        le32_put(zero + LINUX_RAMDISK_SIZE, (uint32_t)b->initrd.len);
    }
    return true;
}

static void put_memory_map(const struct boot *b, uint8_t *zero)
{
    zero[Z_E820_COUNT] = (uint8_t)b->nmap;
    for (unsigned i = 0; i < b->nmap; i++) {
        uint8_t *p = zero + Z_E820 + 20 * i;
        le64_put(p, b->map[i].base);
        le64_put(p + 8, b->map[i].len);
        le32_put(p + 16, b->map[i].type);
    }
    le32_put(zero + Z_ALT_MEM, (uint32_t)((b->low - 0x100000) >> 10));
}

bool boot_linux_is(const struct image *k)
{
    return k->len >= H_END && le16_get(k->data + H_BOOT_FLAG) == 0xaa55 &&
           memcmp(k->data + H_MAGIC, "HdrS", 4) == 0;
}

bool boot_linux(struct boot *b, bool *mine, struct err *e)
{
    const struct image *k = &b->kernel;
    if (!boot_linux_is(k)) {
        return true;
    }
    *mine = true;
    struct linux_header h = {0};
    if (!boot_linux_parse(b, &h, e) || !boot_cmdline(b, h.cmdline_max, e)) {
        return false;
    }
    uint8_t zero[4096] = {0};
    /* The header ends where the jump over it leads. */
    size_t end = H_MAGIC + k->data[H_JUMP + 1];
    end = end > k->len ? k->len : end;
    memcpy(zero + H_SETUP_SECTS, k->data + H_SETUP_SECTS, end - H_SETUP_SECTS);
    zero[LINUX_LOADER] = 0xff; /* a boot loader without a number */
    le32_put(zero + H_CODE32, (uint32_t)h.load);
    le32_put(zero + LINUX_CMDLINE, BOOT_CMDLINE);
    le64_put(zero + Z_RSDP, b->rsdp);
    put_memory_map(b, zero);
    if (!put_initrd(b, &h, zero, e)) {
        return false;
    }
    boot_write(b, h.load, k->data + h.code_off, h.code_len);
    boot_write(b, BOOT_INFO, zero, sizeof zero);
    b->entry = (struct boot_entry){.kind = ENTRY_32, .esi = BOOT_INFO, .entry = h.load};
    if (h.entry64) {
        boot_page_tables(b);
        b->entry.kind = ENTRY_64;
        b->entry.cr3 = BOOT_TABLES;
        b->entry.entry = h.load + 0x200;
    }
    return true;
}
