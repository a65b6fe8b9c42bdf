/*
 * ELF images: program segments to their physical addresses, and the PVH boot protocol.
 *
 * Sources: System V ABI, "Program Loading"; Xen's public/arch-x86/hvm/start_info.h and
 * docs/misc/pvh (entry: 32-bit, paging off, EBX = start info, note type 18 of "Xen").
 */
#include <inttypes.h>
#include <string.h>

#include "util/bits.h"
#include "vm/boot.h"
#include "vm/files.h"
#include "vm/vm.h"

enum { PT_LOAD = 1, PT_NOTE = 4, EM_386 = 3, EM_X86_64 = 62 };
enum { XEN_ELFNOTE_PHYS32_ENTRY = 18 };

struct phdr {
    uint32_t type;
    uint64_t off, vaddr, paddr, filesz, memsz;
};

struct elf {
    const struct image *img;
    bool wide; /* ELFCLASS64 */
    uint64_t entry, phoff;
    unsigned phnum, phentsize;
};

bool boot_is_elf(const struct image *img)
{
    return img->len >= 4 && memcmp(img->data, "\177ELF", 4) == 0;
}

static bool elf_open(struct elf *f, const struct image *img, struct err *e)
{
    const uint8_t *d = img->data;
    *f = (struct elf){.img = img};
    if (!boot_is_elf(img) || img->len < 64) {
        return err_set(e, "kernel %s: an ELF file cut short", img->path);
    }
    unsigned machine = le16_get(d + 18);
    if ((d[4] != 1 && d[4] != 2) || d[5] != 1 || (machine != EM_386 && machine != EM_X86_64)) {
        return err_set(e, "kernel %s: an ELF file, but not for x86", img->path);
    }
    f->wide = d[4] == 2;
    f->entry = f->wide ? le64_get(d + 24) : le32_get(d + 24);
    f->phoff = f->wide ? le64_get(d + 32) : le32_get(d + 28);
    f->phentsize = le16_get(d + (f->wide ? 54 : 42));
    f->phnum = le16_get(d + (f->wide ? 56 : 44));
    unsigned want = f->wide ? 56 : 32;
    if (f->phentsize < want || !image_has(img, f->phoff, (uint64_t)f->phnum * f->phentsize)) {
        return err_set(e, "kernel %s: its program headers lie outside of the file", img->path);
    }
    return true;
}

static struct phdr elf_phdr(const struct elf *f, unsigned i)
{
    const uint8_t *p = f->img->data + f->phoff + (uint64_t)i * f->phentsize;
    if (f->wide) {
        return (struct phdr){le32_get(p),      le64_get(p + 8),  le64_get(p + 16),
                             le64_get(p + 24), le64_get(p + 32), le64_get(p + 40)};
    }
    return (struct phdr){le32_get(p),      le32_get(p + 4),  le32_get(p + 8),
                         le32_get(p + 12), le32_get(p + 16), le32_get(p + 20)};
}

bool boot_elf_load(struct boot *b, uint64_t *entry, uint64_t *end, struct err *e)
{
    struct elf f;
    if (!elf_open(&f, &b->kernel, e)) {
        return false;
    }
    *entry = f.entry;
    *end = 0;
    for (unsigned i = 0; i < f.phnum; i++) {
        struct phdr p = elf_phdr(&f, i);
        if (p.type != PT_LOAD || p.memsz == 0) {
            continue;
        }
        if (p.filesz > p.memsz || !image_has(f.img, p.off, p.filesz)) {
            return err_set(e, "kernel %s: segment %u lies outside of the file (cut short?)",
                           f.img->path, i);
        }
        if (!boot_room(b, p.paddr, p.memsz, "a segment", e)) {
            return false;
        }
        boot_write(b, p.paddr, f.img->data + p.off, p.filesz);
        boot_zero(b, p.paddr + p.filesz, p.memsz - p.filesz);
        if (f.entry >= p.vaddr && f.entry - p.vaddr < p.memsz) {
            *entry = f.entry - p.vaddr + p.paddr;
        }
        *end = p.paddr + p.memsz > *end ? p.paddr + p.memsz : *end;
    }
    return *end != 0 || err_set(e, "kernel %s: nothing in it to load", f.img->path);
}

/* --- PVH --- */

/* One note segment: is the PVH entry in it? */
static bool find_note(const struct image *img, const struct phdr *p, uint64_t *entry)
{
    uint64_t at = 0;
    while (image_has(img, p->off, p->filesz) && at <= p->filesz && p->filesz - at >= 12) {
        const uint8_t *n = img->data + p->off + at;
        uint64_t namesz = le32_get(n), descsz = le32_get(n + 4);
        uint64_t desc = at + 12 + ((namesz + 3) & ~UINT64_C(3));
        uint64_t next = desc + ((descsz + 3) & ~UINT64_C(3));
        if (desc > p->filesz || descsz > p->filesz - desc) {
            return false;
        }
        if (le32_get(n + 8) == XEN_ELFNOTE_PHYS32_ENTRY && namesz == 4 &&
            memcmp(n + 12, "Xen", 4) == 0 && (descsz == 4 || descsz == 8)) {
            *entry = le_get(img->data + p->off + desc, (unsigned)descsz);
            return true;
        }
        at = next;
    }
    return false;
}

/* struct hvm_start_info, version 1, then a module entry, then the memory map. */
static bool put_start_info(struct boot *b, uint64_t initrd, struct err *e)
{
    enum { MODULE = BOOT_INFO + 0x100, MAP = BOOT_INFO + 0x200 };
    if (!boot_cmdline(b, BOOT_CMDLINE_MAX, e)) {
        return false;
    }
    boot_zero(b, BOOT_INFO, 0x1000);
    boot_put32(b, BOOT_INFO, 0x336ec578);
    boot_put32(b, BOOT_INFO + 4, 1);
    boot_put32(b, BOOT_INFO + 12, initrd ? 1 : 0);
    boot_put64(b, BOOT_INFO + 16, initrd ? MODULE : 0);
    boot_put64(b, BOOT_INFO + 24, BOOT_CMDLINE);
    boot_put64(b, BOOT_INFO + 32, b->rsdp);
    boot_put64(b, BOOT_INFO + 40, MAP);
    boot_put32(b, BOOT_INFO + 48, b->nmap);
    if (initrd) {
        boot_put64(b, MODULE, initrd);
        boot_put64(b, MODULE + 8, b->initrd.len);
    }
    for (unsigned i = 0; i < b->nmap; i++) {
        boot_put64(b, MAP + 24 * i, b->map[i].base);
        boot_put64(b, MAP + 24 * i + 8, b->map[i].len);
        boot_put32(b, MAP + 24 * i + 16, b->map[i].type);
    }
    b->entry.ebx = BOOT_INFO;
    return true;
}

bool boot_pvh(struct boot *b, bool *mine, struct err *e)
{
    if (!boot_is_elf(&b->kernel)) {
        return true;
    }
    *mine = true;
    struct elf f;
    if (!elf_open(&f, &b->kernel, e)) {
        return false;
    }
    uint64_t entry = 0, ignored, end, initrd = 0;
    bool found = false;
    for (unsigned i = 0; i < f.phnum && !found; i++) {
        struct phdr p = elf_phdr(&f, i);
        found = p.type == PT_NOTE && find_note(&b->kernel, &p, &entry);
    }
    if (!found) {
        return err_set(e, "kernel %s: an ELF file with neither a PVH note nor a multiboot header",
                       b->kernel.path);
    }
    if (!boot_elf_load(b, &ignored, &end, e)) {
        return false;
    }
    if (b->vm->opt.initrd) {
        if (!files_read(b->vm, &b->initrd, b->vm->opt.initrd, "initrd", b->low, e)) {
            return false;
        }
        initrd = (b->low - b->initrd.len) & PAGE_MASK;
        if (b->initrd.len > b->low || initrd < end) {
            return err_set(e,
                           "initrd %s: does not fit into RAM beside the kernel; want -m %" PRIu64
                           " or more",
                           b->initrd.path, ((end + b->initrd.len) >> 20) + 2);
        }
        boot_write(b, initrd, b->initrd.data, b->initrd.len);
    }
    b->entry.kind = ENTRY_32;
    b->entry.entry = (uint32_t)entry;
    return put_start_info(b, initrd, e);
}
