/*
 * FreeDOS through SeaBIOS: from floppies of every size to its prompt, typed at, copying to a hard
 * disk, formatting a floppy, started from a hard disk. Each script runs twice, the second time
 * saved and loaded into a new machine half way (dos_twice).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/boot/dos.h"
#include "tests/boot/fat.h"
#include "tests/t.h"
#include "util/bits.h"

enum { SECTOR = 512, PART_START = 63 };

static const char boot_floppy[] = "freedos722.img";
static const char prompt[] = "A:\\>";

/* The shared floppy's path; NULL: skipped. */
static const char *floppy(void)
{
    return dos_possible() ? dos_shared_image(boot_floppy) : NULL;
}

/* --- At the prompt --- */

static bool at_the_prompt(struct dos *d)
{
    return dos_wait(d, prompt, 400) && dos_shows(d, "Welcome to FreeDOS") &&
           dos_command(d, "dir", prompt, 200) && dos_shows(d, "HELLO    ASM") &&
           dos_shows(d, "bytes free") && dos_command(d, "cls", prompt, 50) &&
           dos_command(d, "hello", prompt, 50) && dos_shows(d, "Hello") &&
           dos_command(d, "memory", prompt, 50) && dos_shows(d, "Environment segment") &&
           dos_command(d, "mem", prompt, 50) && dos_shows(d, "Bad command or filename - \"MEM\"") &&
           dos_command(d, "type foo", prompt, 50);
}

TEST(freedos_prompt_isapc)
{
    struct dos_setup s = {.machine = "isapc", .fda = floppy()};
    if (s.fda) {
        dos_twice(&s, at_the_prompt);
    }
}

TEST(freedos_prompt_pc)
{
    struct dos_setup s = {.machine = "pc", .fda = floppy()};
    if (s.fda) {
        dos_twice(&s, at_the_prompt);
    }
}

/* The guest's own assembler, and what it made. */
static bool assemble(struct dos *d)
{
    return dos_wait(d, prompt, 400) && dos_command(d, "nasm hello.asm -o new.com", prompt, 400) &&
           dos_command(d, "cls", prompt, 50) && dos_command(d, "new", prompt, 50) &&
           dos_shows(d, "Hello");
}

TEST(freedos_assembles_a_program)
{
    struct dos_setup s = {.fda = floppy()};
    if (s.fda) {
        dos_twice(&s, assemble);
    }
}

/* --- Floppies of every size --- */

/* Copies a file of the shared floppy to the root folder of `to`. */
static bool copy_file(const struct fat *from, const char *path, struct fat *to, uint8_t attr)
{
    size_t len;
    uint8_t *data = fat_read(from, path, &len);
    const char *slash = strrchr(path, '/');
    bool ok = data && fat_add(to, slash ? slash + 1 : path, data, len, attr);
    free(data);
    return EXPECT(ok);
}

static const char config[] =
    "SWITCHES=/N /F\r\nDOS=LOW\r\nFILES=20\r\nSHELL=\\COMMAND.COM /E:512 /P\r\n";

/* The kernel first, and the shell; its start-up file so that it does not ask for the date. */
static bool add_system(const struct fat *from, struct fat *to)
{
    static const char autoexec[] = "@echo off\r\nprompt $p$g\r\n";
    return copy_file(from, "KERNEL.SYS", to, 0x07) && copy_file(from, "COMMAND.COM", to, 0x01) &&
           EXPECT(fat_add(to, "CONFIG.SYS", config, sizeof config - 1, 0x20)) &&
           EXPECT(fat_add(to, "AUTOEXEC.BAT", autoexec, sizeof autoexec - 1, 0x20));
}

/* The shared floppy's bytes (to be freed) and its volume; NULL: reported. */
static uint8_t *open_shared(const char *path, struct fat *f)
{
    size_t len;
    uint8_t *image = dos_read_file(path, &len);
    if (image && !EXPECT(fat_open(f, image, len))) {
        free(image);
        return NULL;
    }
    return image;
}

static bool dir_only(struct dos *d)
{
    return dos_wait(d, prompt, 400) && dos_command(d, "dir", prompt, 200) &&
           dos_shows(d, "COMMAND  COM") && dos_shows(d, "bytes free");
}

static void boot_size(const uint8_t *shared, const struct fat *from, unsigned kb)
{
    struct fat_shape shape;
    struct fat to;
    char name[32];
    uint8_t *image = calloc(kb, 1024);
    t_context("%u KB", kb);
    snprintf(name, sizeof name, "dos%u.img", kb);
    EXPECT(fat_floppy_shape(kb, &shape));
    fat_make(image, &shape, shared);
    if (EXPECT(fat_open(&to, image, kb * (size_t)1024)) && add_system(from, &to)) {
        char *path = dos_write_file(name, image, kb * (size_t)1024);
        struct dos_setup s = {.fda = path};
        if (path) {
            dos_twice(&s, dir_only);
        }
        free(path);
    }
    free(image);
}

/* DMF's 21 sectors are more than SeaBIOS takes in INT 13H; tests/dev/test_fdc.c has them. */
TEST(freedos_floppies_of_every_size)
{
    static const uint16_t sizes[] = {160, 180, 320, 360, 720, 1200, 1440, 2880};
    struct fat from;
    const char *path = floppy();
    uint8_t *shared = path ? open_shared(path, &from) : NULL;
    for (unsigned i = 0; shared && i < sizeof sizes / sizeof sizes[0]; i++) {
        boot_size(shared, &from, sizes[i]);
    }
    free(shared);
}

/* --- A hard disk --- */

/* A disk of 16 heads and 63 sectors with one active partition and a boot record that starts it. */
static void make_disk(uint8_t *image, uint32_t sectors, uint8_t type, struct fat_shape *shape,
                      const uint8_t *boot)
{
    /* Moves itself to 0600H, reads the partition's first sector by C, H, S, and jumps to it. */
    static const uint8_t code[] = {
        0xfa, 0x31, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0x8e, 0xd8, 0x8e, 0xc0, 0xfb, 0xfc,
        0xbe, 0x00, 0x7c, 0xbf, 0x00, 0x06, 0xb9, 0x00, 0x01, 0xf3, 0xa5, 0xea, 0x1e, 0x06,
        0x00, 0x00, 0xb8, 0x01, 0x02, 0xbb, 0x00, 0x7c, 0x8b, 0x0e, 0xc0, 0x07, 0xba, 0x80,
        0x00, 0x8a, 0x36, 0xbf, 0x07, 0xcd, 0x13, 0xea, 0x00, 0x7c, 0x00, 0x00,
    };
    unsigned cyls = sectors / (16 * 63);
    memcpy(image, code, sizeof code);
    const uint8_t entry[8] = {
        0x80, 1, 1, 0, type, 15, (uint8_t)(63 | (cyls - 1) >> 8 << 6), (uint8_t)(cyls - 1)};
    memcpy(image + 446, entry, sizeof entry);
    le32_put(image + 454, PART_START);
    le32_put(image + 458, sectors - PART_START);
    image[510] = 0x55;
    image[511] = 0xaa;
    shape->sectors = sectors - PART_START;
    shape->heads = 16;
    shape->spt = 63;
    shape->media = 0xf8;
    shape->hidden = PART_START;
    fat_make(image + PART_START * SECTOR, shape, boot);
}

static const char *const copied[] = {"NASM.EXE", "COMMAND.COM", "HELLO.ASM", "PRIMES.EXE",
                                     "VIM.EXE"};

static bool copy_to_disk(struct dos *d)
{
    bool ok = dos_wait(d, prompt, 400);
    for (unsigned i = 0; ok && i < ARRAY_LEN(copied); i++) {
        char line[40];
        snprintf(line, sizeof line, "copy %s c:", copied[i]);
        for (char *p = line; *p; p++) {
            *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
        }
        ok = dos_command(d, line, prompt, 400);
    }
    return ok && dos_command(d, "cls", prompt, 50) && dos_command(d, "dir c:", prompt, 200) &&
           dos_shows(d, "5 file(s)");
}

/* What mtools make of the image, when they are there. */
static void read_by_mtools(const char *path, const struct fat *from)
{
    if (system("command -v mcopy >/dev/null 2>&1") != 0) {
        printf("  mtools are not installed: read by our own reader only\n");
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(copied); i++) {
        char line[8400], out[4096];
        size_t want_len, got_len;
        snprintf(out, sizeof out, "%s", t_build_path("mtools.out"));
        snprintf(line, sizeof line, "MTOOLS_SKIP_CHECK=1 mcopy -n -o -i '%s@@%u' '::%s' '%s'", path,
                 PART_START * SECTOR, copied[i], out);
        EXPECT_EQ(system(line), 0);
        uint8_t *want = fat_read(from, copied[i], &want_len), *got = dos_read_file(out, &got_len);
        if (got && EXPECT_EQ(got_len, want_len)) {
            EXPECT_MEM(got, want, want_len);
        }
        free(want);
        free(got);
    }
}

/* The five files as the guest left them on the first partition of a disk. */
static void expect_copied(const struct fat *from, uint8_t *disk, size_t len)
{
    struct fat to;
    if (!EXPECT(fat_open(&to, disk + PART_START * SECTOR, len - PART_START * SECTOR))) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(copied); i++) {
        size_t n[2];
        uint8_t *a = fat_read(from, copied[i], &n[0]);
        uint8_t *b = fat_read(&to, copied[i], &n[1]);
        if (EXPECT(a && b) && EXPECT_EQ(n[0], n[1])) {
            EXPECT_MEM(a, b, n[0]);
        }
        free(a);
        free(b);
    }
}

TEST(freedos_copies_to_a_hard_disk)
{
    const uint32_t sectors = 65 * 16 * 63;
    struct fat from;
    struct fat_shape shape = {.cluster_sectors = 8, .root_entries = 512, .fat_sectors = 32};
    const char *path = floppy();
    uint8_t *shared = path ? open_shared(path, &from) : NULL;
    uint8_t *image = calloc(sectors, SECTOR);
    if (shared) {
        make_disk(image, sectors, 0x06, &shape, NULL);
        char *disk = dos_write_file("hd16.img", image, sectors * (size_t)SECTOR);
        struct dos_setup s = {.fda = path, .hda = disk};
        if (disk && dos_twice(&s, copy_to_disk)) {
            /* Once more, with the writes going to the file. */
            struct dos d;
            size_t len;
            s.keep = true;
            s.fda = dos_write_file("boot.img", shared, 737280);
            EXPECT(s.fda && dos_open(&d, &s, 0) && copy_to_disk(&d));
            dos_close(&d);
            uint8_t *after = dos_read_file(disk, &len);
            expect_copied(&from, after, len);
            read_by_mtools(disk, &from);
            free(after);
        }
        free(disk);
    }
    free(image);
    free(shared);
}

/* The same onto a qcow2 overlay: sound, what the guest wrote is in it, and its backing file is as
 * it was. */
TEST(freedos_copies_to_a_qcow2_overlay)
{
    const uint32_t sectors = 65 * 16 * 63;
    struct fat from;
    struct fat_shape shape = {.cluster_sectors = 8, .root_entries = 512, .fat_sectors = 32};
    struct doppel_image_new how = {.format = "qcow2", .backing = "hdback.img"};
    struct doppel_image_new raw = {.format = "raw"};
    struct doppel_image_check check;
    struct doppel_error e = {""};
    const char *path = floppy();
    uint8_t *shared = path ? open_shared(path, &from) : NULL;
    uint8_t *image = calloc(sectors, SECTOR);
    if (shared) {
        struct dos d;
        size_t len;
        make_disk(image, sectors, 0x06, &shape, NULL);
        char *back = dos_write_file("hdback.img", image, sectors * (size_t)SECTOR);
        char *over = dos_write_file("hdover.qcow2", "", 0);
        char *flat = dos_write_file("hdflat.img", "", 0);
        struct dos_setup s = {.hda = over, .keep = true};
        s.fda = dos_write_file("boot.img", shared, 737280);
        EXPECT(doppel_image_create(over, &how, &e));
        EXPECT(dos_open(&d, &s, 0) && copy_to_disk(&d));
        dos_close(&d);
        EXPECT(doppel_image_check(over, false, &check, NULL, NULL, &e));
        EXPECT(check.errors == 0 && check.leaks == 0 && check.allocated > 4);
        EXPECT(doppel_image_convert(over, NULL, flat, &raw, &e));
        EXPECT_STR(e.msg, "");
        uint8_t *after = dos_read_file(flat, &len), *before = dos_read_file(back, &len);
        expect_copied(&from, after, len);
        EXPECT(before && memcmp(before, image, len) == 0);
        free(after);
        free(before);
        free(back);
        free(over);
        free(flat);
        free((char *)s.fda);
    }
    free(image);
    free(shared);
}

static bool dir_of_c(struct dos *d)
{
    return dos_wait(d, "C:\\>", 400) && dos_command(d, "dir", "C:\\>", 200) &&
           dos_shows(d, "COMMAND  COM") && dos_command(d, "copy kernel.sys x", "C:\\>", 200) &&
           dos_command(d, "dir x", "C:\\>", 200) && dos_shows(d, "45,450");
}

/* A disk as SYS leaves it: FreeDOS's boot sector, the kernel, the shell. */
TEST(freedos_boots_from_a_hard_disk)
{
    const uint32_t sectors = 20 * 16 * 63;
    struct fat from, to;
    struct fat_shape shape = {.cluster_sectors = 8, .root_entries = 512, .fat_sectors = 8};
    const char *path = floppy();
    uint8_t *shared = path ? open_shared(path, &from) : NULL;
    uint8_t *image = calloc(sectors, SECTOR);
    if (shared) {
        make_disk(image, sectors, 0x01, &shape, shared);
        uint8_t *vol = image + PART_START * SECTOR;
        if (EXPECT(fat_open(&to, vol, (sectors - PART_START) * (size_t)SECTOR)) &&
            add_system(&from, &to)) {
            char *disk = dos_write_file("hdboot.img", image, sectors * (size_t)SECTOR);
            struct dos_setup s = {.hda = disk};
            if (disk) {
                dos_twice(&s, dir_of_c);
            }
            free(disk);
        }
    }
    free(image);
    free(shared);
}

/* --- Formatting --- */

/* Formats drive B, 80 cylinders of two sides with nine sectors, by the BIOS; says OK or the error
 * number. */
static const char format_asm[] = "org 0x100\r\n"
                                 "mov ah,0\r\n"
                                 "mov dl,1\r\n"
                                 "int 0x13\r\n"
                                 "mov ah,0x18\r\n"
                                 "mov cx,0x4f09\r\n"
                                 "mov dl,1\r\n"
                                 "int 0x13\r\n"
                                 "push cs\r\n"
                                 "pop es\r\n"
                                 "track: mov di,ids\r\n"
                                 "mov cx,9\r\n"
                                 "mov ah,1\r\n"
                                 "id: mov al,[cyl]\r\n"
                                 "stosb\r\n"
                                 "mov al,[head]\r\n"
                                 "stosb\r\n"
                                 "mov al,ah\r\n"
                                 "stosb\r\n"
                                 "inc ah\r\n"
                                 "mov al,2\r\n"
                                 "stosb\r\n"
                                 "loop id\r\n"
                                 "mov ax,0x0509\r\n"
                                 "mov bx,ids\r\n"
                                 "mov ch,[cyl]\r\n"
                                 "mov cl,1\r\n"
                                 "mov dh,[head]\r\n"
                                 "mov dl,1\r\n"
                                 "int 0x13\r\n"
                                 "jc bad\r\n"
                                 "xor byte [head],1\r\n"
                                 "jnz track\r\n"
                                 "inc byte [cyl]\r\n"
                                 "cmp byte [cyl],80\r\n"
                                 "jb track\r\n"
                                 "mov dx,good\r\n"
                                 "say: mov ah,9\r\n"
                                 "int 0x21\r\n"
                                 "ret\r\n"
                                 "bad: mov dx,failed\r\n"
                                 "jmp say\r\n"
                                 "good: db 'all formatted',13,10,'$'\r\n"
                                 "failed: db 'failed',13,10,'$'\r\n"
                                 "cyl: db 0\r\n"
                                 "head: db 0\r\n"
                                 "ids: times 36 db 0\r\n";

static bool format_floppy(struct dos *d)
{
    return dos_wait(d, prompt, 400) && dos_command(d, "nasm f.asm -o f.com", prompt, 400) &&
           dos_command(d, "f", prompt, 400) && dos_shows(d, "all formatted");
}

TEST(freedos_formats_a_floppy)
{
    struct fat from;
    const char *path = floppy();
    uint8_t *shared = path ? open_shared(path, &from) : NULL;
    uint8_t *other = malloc(737280);
    if (shared && EXPECT(fat_add(&from, "F.ASM", format_asm, sizeof format_asm - 1, 0x20))) {
        memset(other, 0x11, 737280);
        char *a = dos_write_file("format-a.img", shared, 737280);
        char *b = dos_write_file("format-b.img", other, 737280);
        struct dos_setup s = {.fda = a, .fdb = b};
        if (a && b && dos_twice(&s, format_floppy)) {
            struct dos d;
            size_t len;
            s.keep = true;
            EXPECT(dos_open(&d, &s, 0) && format_floppy(&d));
            dos_close(&d);
            uint8_t *after = dos_read_file(b, &len);
            memset(other, 0xf6, 737280);
            if (after && EXPECT_EQ(len, 737280)) {
                EXPECT_MEM(after, other, 737280);
            }
            free(after);
        }
        free(a);
        free(b);
    }
    free(other);
    free(shared);
}
