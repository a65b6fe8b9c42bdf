/*
 * Direct boot: tiny kernels of each kind, made here byte by byte, run and look at what they were
 * given; and images that are damaged in every field, which must be refused or run, never do harm.
 *
 * Each tiny kernel leaves through the exit device with a known status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/t.h"
#include "util/bits.h"

enum { LIMIT = 100000, FILE_MAX = 16384 };

struct file {
    uint8_t data[FILE_MAX];
    size_t len;
    char path[64];
};

static bool file_write(struct file *f)
{
    if (!f->path[0]) {
        snprintf(f->path, sizeof f->path, "/tmp/doppel-boot-%d-XXXXXX", (int)getpid());
        int fd = mkstemp(f->path);
        if (fd < 0) {
            FAIL("cannot make a temporary file");
            return false;
        }
        close(fd);
    }
    FILE *out = fopen(f->path, "wb");
    bool ok = out && fwrite(f->data, 1, f->len, out) == f->len;
    if (out) {
        fclose(out);
    }
    return EXPECT(ok);
}

static void file_remove(struct file *f)
{
    if (f->path[0]) {
        unlink(f->path);
    }
}

/* What became of a machine. */
struct outcome {
    bool created;
    enum doppel_stop why;
    uint32_t code;
    char error[512];
};

static struct outcome boot(struct file *kernel, const char *initrd, const char *append)
{
    struct outcome r = {0};
    struct doppel_options o;
    struct doppel_error e = {""};
    doppel_options_init(&o, DOPPEL_ABI);
    o.kernel = kernel->path;
    o.initrd = initrd;
    o.append = append;
    o.ram_bytes = 16u << 20;
    o.rtc_epoch = 0;
    o.seed = 1;
    o.no_reboot = true;
    o.device[o.ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=4";
    if (!file_write(kernel)) {
        return r;
    }
    struct doppel_vm *vm = doppel_create(&o, &e);
    memcpy(r.error, e.msg, sizeof r.error);
    r.created = vm != NULL;
    if (vm) {
        r.why = doppel_run(vm, LIMIT);
        r.code = doppel_exit_code(vm);
        doppel_destroy(vm);
    }
    return r;
}

static void expect_exit(const struct outcome *r, uint32_t code)
{
    if (!r->created) {
        FAIL("refused: %s", r->error);
        return;
    }
    EXPECT_EQ(r->why, DOPPEL_EXIT);
    EXPECT_EQ(r->code, code << 1 | 1);
}

static void expect_refused(const struct outcome *r, const char *text)
{
    if (EXPECT(!r->created)) {
        t_context("the message is \"%s\"", r->error);
        EXPECT(strstr(r->error, text) != NULL);
        EXPECT(strchr(r->error, '\n') == NULL);
    }
}

static void put(struct file *f, size_t at, const void *data, size_t n)
{
    memcpy(f->data + at, data, n);
    f->len = at + n > f->len ? at + n : f->len;
}

static void put32(struct file *f, size_t at, uint32_t v)
{
    uint8_t b[4];
    le32_put(b, v);
    put(f, at, b, sizeof b);
}

static void put16(struct file *f, size_t at, uint16_t v)
{
    uint8_t b[2];
    le16_put(b, v);
    put(f, at, b, sizeof b);
}

/* --- Multiboot 1 --- */

/* cmp eax, 2BADB002h; jne bad; test byte [ebx], 4; jz bad; mov al, 5; jmp exit; bad: mov al, 9;
 * exit: mov dx, 0f4h; out dx, al; hlt */
static const uint8_t mb_code[] = {0x3d, 0x02, 0xb0, 0xad, 0x2b, 0x75, 0x09, 0xf6,
                                  0x03, 0x04, 0x74, 0x04, 0xb0, 0x05, 0xeb, 0x02,
                                  0xb0, 0x09, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4};

enum { MB_AT = 64, MB_LOAD = 0x100000, MB_ENTRY = 128 };

static void make_multiboot(struct file *f)
{
    uint32_t flags = 0x10003;
    *f = (struct file){.len = 4096};
    put32(f, MB_AT, 0x1badb002);
    put32(f, MB_AT + 4, flags);
    put32(f, MB_AT + 8, 0u - 0x1badb002 - flags);
    put32(f, MB_AT + 12, MB_LOAD + MB_AT); /* of the header */
    put32(f, MB_AT + 16, MB_LOAD);
    put32(f, MB_AT + 20, MB_LOAD + 4096);
    put32(f, MB_AT + 24, MB_LOAD + 8192);
    put32(f, MB_AT + 28, MB_LOAD + MB_ENTRY);
    put(f, MB_ENTRY, mb_code, sizeof mb_code);
}

TEST(multiboot_by_addresses)
{
    static struct file f;
    make_multiboot(&f);
    struct outcome r = boot(&f, NULL, NULL);
    expect_exit(&r, 5);
    file_remove(&f);
}

/* mov al, [40fh] (of segment 9fc0h); shr al, 4; add al, [414h] (of 639 KiB); exit with 9 + 2 */
TEST(bios_data_area)
{
    static const uint8_t code[] = {0xa0, 0x0f, 0x04, 0x00, 0x00, 0xc0, 0xe8, 0x04, 0x02, 0x05,
                                   0x14, 0x04, 0x00, 0x00, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4};
    static struct file f;
    make_multiboot(&f);
    put(&f, MB_ENTRY, code, sizeof code);
    struct outcome r = boot(&f, NULL, NULL);
    expect_exit(&r, 11);
    file_remove(&f);
}

/* mov esi, [ebx+24] (modules); mov edi, [esi]; movzx eax, byte [edi]; exit with the module's first
 * byte plus the count of modules */
TEST(multiboot_modules)
{
    static const uint8_t code[] = {0x8b, 0x73, 0x18, 0x8b, 0x3e, 0x0f, 0xb6, 0x07, 0x02,
                                   0x43, 0x14, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4};
    static struct file f, m1, m2;
    make_multiboot(&f);
    put(&f, MB_ENTRY, code, sizeof code);
    m1 = m2 = (struct file){.data = {40}, .len = 5000};
    char initrd[256];
    if (file_write(&m1) && file_write(&m2)) {
        snprintf(initrd, sizeof initrd, "%s some words,%s", m1.path, m2.path);
        struct outcome r = boot(&f, initrd, NULL);
        expect_exit(&r, 42);
        snprintf(initrd, sizeof initrd, "%s,", m1.path);
        r = boot(&f, initrd, NULL);
        expect_refused(&r, "module 2");
    }
    file_remove(&f);
    file_remove(&m1);
    file_remove(&m2);
}

TEST(multiboot_refusals)
{
    static struct file f;
    static const struct {
        size_t at;
        uint32_t value;
        const char *text;
    } cases[] = {
        {MB_AT + 12, MB_LOAD - 4, "does not match"}, {MB_AT + 16, 0xfff00000, "does not match"},
        {MB_AT + 20, MB_LOAD + 5000, "cut short"},   {MB_AT + 20, MB_LOAD - 1, "cut short"},
        {MB_AT + 24, 0xffffffff, "no RAM"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        memset(f.data, 0, sizeof f.data);
        char path[sizeof f.path];
        memcpy(path, f.path, sizeof path);
        make_multiboot(&f);
        memcpy(f.path, path, sizeof path);
        put32(&f, cases[i].at, cases[i].value);
        t_context("case %u", i);
        struct outcome r = boot(&f, NULL, NULL);
        expect_refused(&r, cases[i].text);
    }
    file_remove(&f);
}

TEST(multiboot_wants_video)
{
    static struct file f;
    make_multiboot(&f);
    put32(&f, MB_AT + 4, 0x10007);
    put32(&f, MB_AT + 8, 0u - 0x1badb002 - 0x10007);
    struct outcome r = boot(&f, NULL, NULL);
    expect_refused(&r, "video mode");
    file_remove(&f);
}

/* --- ELF and PVH --- */

/* cmp dword [ebx], 336ec578h; jne bad; mov esi, [ebx+24]; movzx eax, byte [esi] (the command
 * line's first character); sub al, 'A'; jmp exit; bad: mov al, 9; exit: ... */
static const uint8_t pvh_code[] = {0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33, 0x75, 0x0a, 0x8b,
                                   0x73, 0x18, 0x0f, 0xb6, 0x06, 0x2c, 0x41, 0xeb, 0x02,
                                   0xb0, 0x09, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4};

enum { ELF_NOTE = 256, ELF_CODE = 512, ELF_PADDR = 0x200000 };

/* A 32-bit ELF with a PT_NOTE and a PT_LOAD. */
static void make_pvh(struct file *f)
{
    *f = (struct file){.len = 1024};
    put(f, 0, "\177ELF\1\1\1", 7);
    put16(f, 16, 2);
    put16(f, 18, 3);
    put32(f, 20, 1);
    put32(f, 24, 0xdead0000); /* e_entry: not used by PVH */
    put32(f, 28, 52);
    put16(f, 40, 52);
    put16(f, 42, 32);
    put16(f, 44, 2);
    put32(f, 52, 4); /* PT_NOTE */
    put32(f, 52 + 4, ELF_NOTE);
    put32(f, 52 + 16, 20);
    put32(f, 84, 1); /* PT_LOAD */
    put32(f, 84 + 4, ELF_CODE);
    put32(f, 84 + 8, 0xc0000000);
    put32(f, 84 + 12, ELF_PADDR);
    put32(f, 84 + 16, 512);
    put32(f, 84 + 20, 70000);
    put32(f, ELF_NOTE, 4);
    put32(f, ELF_NOTE + 4, 4);
    put32(f, ELF_NOTE + 8, 18);
    put(f, ELF_NOTE + 12, "Xen", 4);
    put32(f, ELF_NOTE + 16, ELF_PADDR);
    put(f, ELF_CODE, pvh_code, sizeof pvh_code);
}

TEST(pvh)
{
    static struct file f;
    make_pvh(&f);
    struct outcome r = boot(&f, NULL, "Hello");
    expect_exit(&r, 'H' - 'A');
    file_remove(&f);
}

TEST(pvh_initrd_too_large)
{
    static struct file f;
    static struct file big;
    make_pvh(&f);
    big = (struct file){.len = 1};
    if (file_write(&big) && truncate(big.path, 15 << 20) == 0) {
        struct outcome r = boot(&f, big.path, NULL);
        expect_refused(&r, "does not fit");
    }
    file_remove(&f);
    file_remove(&big);
}

TEST(elf_without_note)
{
    static struct file f;
    make_pvh(&f);
    put32(&f, ELF_NOTE + 8, 17);
    struct outcome r = boot(&f, NULL, NULL);
    expect_refused(&r, "neither a PVH note nor a multiboot header");
    file_remove(&f);
}

/* --- Linux --- */

/* mov al, [esi+1fch+14h] is the loader's number, 0xff; exit with it shifted right by 4: 15 */
static const uint8_t linux_code[] = {0x8a, 0x86, 0x10, 0x02, 0x00, 0x00, 0xc0, 0xe8,
                                     0x04, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4};

enum { SECTS = 2, CODE_AT = (SECTS + 1) * 512 };

static void make_linux(struct file *f)
{
    *f = (struct file){.len = CODE_AT + 1024};
    f->data[0x1f1] = SECTS;
    put32(f, 0x1f4, 1024 / 16);
    put16(f, 0x1fe, 0xaa55);
    f->data[0x201] = 0x66; /* the header ends at 0x268 */
    put(f, 0x202, "HdrS", 4);
    put16(f, 0x206, 0x20f);
    f->data[0x211] = 1;
    put32(f, 0x22c, 0x37ffffff);
    put32(f, 0x230, 0x200000);
    f->data[0x234] = 1;
    put32(f, 0x238, 2047);
    put32(f, 0x258, 0x200000); /* prefers 2 MiB */
    put32(f, 0x260, 65536);
    put(f, CODE_AT, linux_code, sizeof linux_code);
}

TEST(linux_32)
{
    static struct file f;
    make_linux(&f);
    struct outcome r = boot(&f, NULL, "console=ttyS0");
    expect_exit(&r, 15);
    file_remove(&f);
}

TEST(linux_64)
{
    static struct file f;
    make_linux(&f);
    put16(&f, 0x236, 1); /* XLF_KERNEL_64: entered 512 bytes in */
    put(&f, CODE_AT, "\xf4\xf4\xf4", 3);
    put(&f, CODE_AT + 0x200, linux_code, sizeof linux_code);
    struct outcome r = boot(&f, NULL, NULL);
    expect_exit(&r, 15);
    file_remove(&f);
}

TEST(linux_refusals)
{
    static struct file f;
    static const struct {
        size_t at;
        uint32_t value;
        const char *text;
    } cases[] = {
        {0x206, 0x0201, "zImage"},
        {0x1f4, 1024 / 16 + 1, "cut short"},
        {0x1f4, 0xffffffff, "cut short"},
        {0x230, 3, "alignment"},
        {0x260, 0xffffffff, "no RAM"},
        {0x238, 3, "-append: 13 characters"},
        {0x258, 0x1000000, "takes 1 MiB from 16 MiB on; want -m 17 or more"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        char path[sizeof f.path];
        memcpy(path, f.path, sizeof path);
        make_linux(&f);
        memcpy(f.path, path, sizeof path);
        put32(&f, cases[i].at, cases[i].value);
        t_context("case %u", i);
        struct outcome r = boot(&f, NULL, "console=ttyS0");
        expect_refused(&r, cases[i].text);
    }
    file_remove(&f);
}

TEST(linux_initrd_in_place)
{
    /* mov ebx, [esi+218h]; mov al, [ebx]; exit */
    static const uint8_t code[] = {0x8b, 0x9e, 0x18, 0x02, 0x00, 0x00, 0x8a,
                                   0x03, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4};
    static struct file f, initrd;
    make_linux(&f);
    put(&f, CODE_AT, code, sizeof code);
    initrd = (struct file){.data = {77}, .len = 9999};
    if (file_write(&initrd)) {
        struct outcome r = boot(&f, initrd.path, NULL);
        expect_exit(&r, 77);
    }
    file_remove(&f);
    file_remove(&initrd);
}

/* --- Damage --- */

/* Random changes of a few bytes among the first `head`, and of the length: whatever comes of it,
 * nothing is read or written out of bounds (the san build looks) and the machine ends its run. */
static void damage(void (*make)(struct file *f), size_t head, uint64_t seed)
{
    static struct file f;
    static const uint32_t extremes[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffff000};
    struct t_rng rng = {seed};
    unsigned refused = 0, n = (unsigned)t_amount(150, 1500, 50000);
    f.path[0] = 0;
    for (unsigned i = 0; i < n; i++) {
        char path[sizeof f.path];
        memcpy(path, f.path, sizeof path);
        make(&f);
        memcpy(f.path, path, sizeof path);
        for (uint64_t k = t_rand_below(&rng, 3) + 1; k; k--) {
            size_t at = t_rand_below(&rng, head - 4);
            uint32_t v = (uint32_t)t_rand(&rng);
            put32(&f, at, t_rand_below(&rng, 2) ? v : extremes[v % ARRAY_LEN(extremes)]);
        }
        if (t_rand_below(&rng, 4) == 0) {
            f.len = t_rand_below(&rng, f.len) + 1;
        }
        refused += !boot(&f, NULL, NULL).created;
    }
    EXPECT(refused > 0 && refused < n);
    file_remove(&f);
}

TEST(damaged_multiboot)
{
    damage(make_multiboot, 160, t_seed());
}

TEST(damaged_pvh)
{
    damage(make_pvh, 300, t_seed() + 1);
}

TEST(damaged_linux)
{
    damage(make_linux, 0x268, t_seed() + 2);
}
