/*
 * What firmware meets on board `pc`, with a BIOS of a few bytes: shadow RAM and SMRAM, the files of
 * fw_cfg with the table loader's script carried out, resets of the CPU alone, suspend to RAM.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/t.h"
#include "hw/firmware/fw_cfg.h"
#include "util/bits.h"
#include "vm/firmware.h"
#include "vm/vm.h"

#define BIOS_SIZE 0x20000u
#define PM        0xb000u /* where the tests place the PM registers */
#define EXIT_OK   (0x34 * 2 + 1)

static char bios_path[64];

/* Each byte of the ROM differs from RAM's zeros and from the bus's ones. */
static uint8_t rom_byte(uint32_t off)
{
    return (uint8_t)(1 + (off * 7 + (off >> 12)) % 250);
}

/* Options with a BIOS that is `code` at its reset vector's jump target, f000:0000. */
static void options(struct doppel_options *o, const void *code, size_t len, unsigned cpus)
{
    static uint8_t bios[BIOS_SIZE];
    for (uint32_t i = 0; i < BIOS_SIZE; i++) {
        bios[i] = rom_byte(i);
    }
    if (len) {
        memcpy(bios + BIOS_SIZE - 0x10000, code, len);
    }
    memcpy(bios + BIOS_SIZE - 16, "\xea\x00\x00\x00\xf0", 5); /* jmp f000:0000 */
    strcpy(bios_path, "/tmp/doppel-bios-XXXXXX");
    int fd = mkstemp(bios_path);
    EXPECT(fd >= 0 && write(fd, bios, BIOS_SIZE) == (ssize_t)BIOS_SIZE);
    close(fd);
    doppel_options_init(o, DOPPEL_ABI);
    o->rtc_epoch = 1700000000;
    o->seed = 7;
    o->ram_bytes = 16u << 20;
    o->cpus = cpus;
    o->bios = bios_path;
    o->vga = "none";
    o->device[o->ndevices++] = "isa-debug-exit,iobase=0xf4,iosize=4";
    o->smbios[o->nsmbios++] = "type=1,product=A,,B";
    o->uuid = "00112233-4455-6677-8899-aabbccddeeff";
}

static struct doppel_vm *machine_with(const void *code, size_t len, unsigned cpus, bool no_reboot)
{
    struct doppel_options o;
    struct doppel_error e;
    options(&o, code, len, cpus);
    o.no_reboot = no_reboot;
    struct doppel_vm *vm = doppel_create(&o, &e);
    unlink(bios_path);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

static struct doppel_vm *machine(const void *code, size_t len, unsigned cpus)
{
    return machine_with(code, len, cpus, false);
}

static void out(struct doppel_vm *vm, uint16_t port, unsigned size, uint32_t val)
{
    aspace_write(&vm->io, port, size, val);
}

static uint32_t in(struct doppel_vm *vm, uint16_t port, unsigned size)
{
    return (uint32_t)aspace_read(&vm->io, port, size);
}

static void config(struct doppel_vm *vm, unsigned devfn, unsigned reg, unsigned size, uint32_t val)
{
    out(vm, 0xcf8, 4, 0x80000000 | devfn << 8 | (reg & 0xfc));
    out(vm, (uint16_t)(0xcfc + (reg & 3)), size, val);
}

static void place_pm(struct doppel_vm *vm)
{
    config(vm, 0x0b, 0x40, 4, PM | 1);
    config(vm, 0x0b, 0x80, 1, 1);
}

/* --- Memory --- */

static void set_pam(struct doppel_vm *vm, unsigned segment, unsigned mode)
{
    if (segment == 12) {
        config(vm, 0, 0x59, 1, mode << 4);
    } else {
        config(vm, 0, 0x5a + segment / 2, 1, mode << (segment & 1 ? 4 : 0));
    }
}

TEST(pam_each_segment_each_mode)
{
    struct doppel_vm *vm = machine("", 0, 1);
    for (unsigned segment = 0; vm && segment < 13; segment++) {
        uint32_t base = 0xc0000 + segment * 0x4000, at[2] = {base, base + 0x3fff};
        at[1] += segment == 12 ? 0xc000 : 0;
        for (unsigned mode = 0; mode < 4; mode++) {
            for (unsigned i = 0; i < 2; i++) {
                t_context("segment %u, mode %u, address %x", segment, mode, (unsigned)at[i]);
                uint8_t b = 0xfd, rom = at[i] < 0xe0000 ? 0xff : 0;
                rom = rom ? rom : (uint8_t)aspace_read(&vm->mem, 0xfff00000 | at[i], 1);
                ram_write(&vm->ram, at[i], &b, 1);
                set_pam(vm, segment, mode);
                EXPECT_EQ(aspace_read(&vm->mem, at[i], 1), mode & 1 ? 0xfd : rom);
                aspace_write(&vm->mem, at[i], 1, 0xfe);
                ram_read(&vm->ram, at[i], &b, 1);
                EXPECT_EQ(b, mode & 2 ? 0xfe : 0xfd);
                EXPECT_EQ(aspace_read(&vm->mem, 0xfff00000 | at[i], 1),
                          at[i] < 0xe0000 ? 0xff : rom); /* the ROM itself stays */
            }
        }
        set_pam(vm, segment, 0);
    }
    doppel_destroy(vm);
}

TEST(smram_open_closed_locked)
{
    enum { OPEN = 0x40, CLOSED_DATA = 0x20, LOCK = 0x10, ENABLE = 0x08, BASE = 0x02 };
    static const struct {
        uint8_t reg;
        bool outside, in_smm; /* who sees it */
    } row[] = {
        {BASE, false, false},
        {BASE | OPEN, false, false}, /* not enabled */
        {BASE | ENABLE, false, true},
        {BASE | ENABLE | OPEN, true, true},
        {BASE | ENABLE | OPEN | CLOSED_DATA, true, true}, /* D_CLS is remembered only */
        {BASE | ENABLE | LOCK | OPEN, false, true},       /* locking closes */
        {BASE | ENABLE | OPEN, false, true},              /* and that is final */
        {BASE, false, true},
    };
    struct doppel_vm *vm = machine("", 0, 1);
    uint8_t mark = 0x77;
    ram_write(&vm->ram, 0xa0000, &mark, 1);
    ram_write(&vm->ram, 0xbffff, &mark, 1);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        t_context("row %u", i);
        config(vm, 0, 0x72, 1, row[i].reg);
        EXPECT_EQ(aspace_read(&vm->mem, 0xa0000, 1), row[i].outside ? 0x77 : 0xff);
        EXPECT_EQ(aspace_read(&vm->mem, 0xbffff, 1), row[i].outside ? 0x77 : 0xff);
        firmware_view(vm, true);
        EXPECT_EQ(aspace_read(&vm->mem, 0xa0000, 1), row[i].in_smm ? 0x77 : 0xff);
        EXPECT_EQ(aspace_read(&vm->mem, 0xbffff, 1), row[i].in_smm ? 0x77 : 0xff);
        firmware_view(vm, false);
        EXPECT_EQ(aspace_read(&vm->mem, 0xa0000, 1), row[i].outside ? 0x77 : 0xff);
    }
    doppel_destroy(vm);
}

/* --- fw_cfg --- */

/* A file's bytes and size; 0: there is no such file. */
static uint32_t read_file(struct doppel_vm *vm, const char *name, uint8_t *buf, uint32_t max)
{
    uint8_t entry[64];
    out(vm, 0x510, 2, 0x19);
    for (unsigned i = 0; i < 4; i++) {
        entry[i] = (uint8_t)in(vm, 0x511, 1);
    }
    for (uint32_t n = be32_get(entry); n; n--) {
        for (unsigned i = 0; i < sizeof entry; i++) {
            entry[i] = (uint8_t)in(vm, 0x511, 1);
        }
        uint32_t size = be32_get(entry);
        if (strcmp((char *)entry + 8, name) == 0 && size <= max) {
            out(vm, 0x510, 2, be16_get(entry + 4));
            for (uint32_t i = 0; i < size; i++) {
                buf[i] = (uint8_t)in(vm, 0x511, 1);
            }
            return size;
        }
    }
    FAIL("no file %s", name);
    return 0;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    unsigned s = 0;
    while (n--) {
        s += p[n];
    }
    return (uint8_t)s;
}

/* Two files of the loader, as if in memory at `addr`. */
struct loaded {
    struct {
        const char *name;
        uint8_t bytes[32768];
        uint32_t size;
        uint64_t addr;
    } file[2];
};

static unsigned file_index(const struct loaded *l, const uint8_t *name)
{
    EXPECT(memchr(name, 0, 56));
    for (unsigned i = 0; i < 2; i++) {
        if (strcmp(l->file[i].name, (const char *)name) == 0) {
            return i;
        }
    }
    FAIL("file %s is not allocated", (const char *)name);
    return 0;
}

static void carry_out(struct doppel_vm *vm, struct loaded *l, const uint8_t *cmd)
{
    uint32_t op = le32_get(cmd);
    unsigned i = file_index(l, cmd + 4);
    if (op == 1) {
        uint32_t align = le32_get(cmd + 60);
        l->file[i].size = read_file(vm, l->file[i].name, l->file[i].bytes, 32768);
        EXPECT(l->file[i].size && align && l->file[i].addr % align == 0);
        EXPECT(cmd[64] == (i ? 1 : 2)); /* the RSDP in the F segment */
    } else if (op == 2) {
        unsigned from = file_index(l, cmd + 60), size = cmd[120];
        uint32_t off = le32_get(cmd + 116);
        EXPECT(off + size <= l->file[i].size);
        uint64_t target = le_get(l->file[i].bytes + off, size);
        EXPECT(target < l->file[from].size);
        le_put(l->file[i].bytes + off, size, target + l->file[from].addr);
    } else {
        uint32_t off = le32_get(cmd + 60), start = le32_get(cmd + 64), len = le32_get(cmd + 68);
        EXPECT_EQ(op, 3);
        EXPECT(start + len <= l->file[i].size && off >= start && off < start + len);
        EXPECT_EQ(l->file[i].bytes[off], 0);
        l->file[i].bytes[off] = (uint8_t)(0 - sum(l->file[i].bytes + start, len));
    }
}

static struct loaded loaded = {
    {{"etc/acpi/rsdp", {0}, 0, 0xf5000}, {"etc/acpi/tables", {0}, 0, 0xff0000}}};

static const uint8_t *table_at(uint64_t addr)
{
    EXPECT(addr >= 0xff0000 && addr + 36 < 0xff0000 + loaded.file[1].size);
    return loaded.file[1].bytes + (addr - 0xff0000);
}

TEST(table_loader_script)
{
    static uint8_t script[8192];
    struct doppel_vm *vm = machine("", 0, 3);
    place_pm(vm); /* the tables say where firmware has put the PM registers */
    uint32_t len = read_file(vm, "etc/table-loader", script, sizeof script);
    EXPECT(len && len % 128 == 0);
    for (uint32_t at = 0; at < len; at += 128) {
        carry_out(vm, &loaded, script + at);
    }
    const uint8_t *rsdp = loaded.file[0].bytes, *fadt = NULL;
    EXPECT_MEM(rsdp, "RSD PTR ", 8);
    EXPECT(sum(rsdp, 20) == 0 && sum(rsdp, 36) == 0);
    const uint8_t *xsdt = table_at(le64_get(rsdp + 24)), *rsdt = table_at(le32_get(rsdp + 16));
    EXPECT(memcmp(xsdt, "XSDT", 4) == 0 && memcmp(rsdt, "RSDT", 4) == 0);
    uint32_t n = (le32_get(xsdt + 4) - 36) / 8;
    EXPECT_EQ(n, 4); /* FADT, MADT, HPET, WAET */
    EXPECT_EQ(n, (le32_get(rsdt + 4) - 36) / 4);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *t = table_at(le64_get(xsdt + 36 + 8 * i));
        EXPECT(t == table_at(le32_get(rsdt + 36 + 4 * i)));
        EXPECT_EQ(sum(t, le32_get(t + 4)), 0);
        fadt = memcmp(t, "FACP", 4) == 0 ? t : fadt;
    }
    if (EXPECT(fadt != NULL)) {
        const uint8_t *dsdt = table_at(le64_get(fadt + 140)), *facs = table_at(le32_get(fadt + 36));
        EXPECT(dsdt == table_at(le32_get(fadt + 40)));
        EXPECT(memcmp(dsdt, "DSDT", 4) == 0 && sum(dsdt, le32_get(dsdt + 4)) == 0);
        EXPECT(memcmp(facs, "FACS", 4) == 0 && le32_get(fadt + 36) % 64 == 0);
        EXPECT_EQ(le32_get(fadt + 76), PM + 8); /* the PM timer */
    }
    doppel_destroy(vm);
}

TEST(smbios_files)
{
    static uint8_t tables[32768];
    uint8_t anchor[31], uuid[16];
    struct doppel_vm *vm = machine("", 0, 1);
    EXPECT_EQ(read_file(vm, "etc/smbios/smbios-anchor", anchor, sizeof anchor), 31);
    uint32_t n = read_file(vm, "etc/smbios/smbios-tables", tables, sizeof tables);
    EXPECT_EQ(n, le16_get(anchor + 22));
    EXPECT_EQ(tables[0], 1);
    EXPECT_STR((char *)tables + tables[1] + strlen("doppel") + 1, "A,B");
    out(vm, 0x510, 2, 0x02);
    for (unsigned i = 0; i < 16; i++) {
        uuid[i] = (uint8_t)in(vm, 0x511, 1);
    }
    EXPECT_MEM(uuid, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
    doppel_destroy(vm);
}

TEST(bootorder_file)
{
    static const struct {
        const char *boot, *want, *disk, *card; /* the last two: their bootindex= */
    } row[] = {
        {"order=dc", "/pci@i0cf8/ide@1,1/drive@1/disk@0\n/pci@i0cf8/ide@1,1/drive@0/disk@1"},
        {"ca", "/pci@i0cf8/ide@1,1/drive@0/disk@1\n/pci@i0cf8/isa@1/fdc@03f0/floppy@0"},
        {"order=n", "/pci@i0cf8/ethernet@3"},
        {"menu=off", NULL},
        {"order=d,once=c", NULL},
        {"menu=off", "/pci@i0cf8/ethernet@3\n/pci@i0cf8/ide@1,1/drive@0/disk@1", "7", "3"},
        {"order=ac,once=d", "/pci@i0cf8/ide@1,1/drive@0/disk@1", "0", NULL},
        {"order=anc",
         "/pci@i0cf8/ide@1,1/drive@0/disk@1\n/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n"
         "/pci@i0cf8/ethernet@3",
         "1", NULL},
    };
    char disk[] = "/tmp/doppel-disk-XXXXXX", d1[120], d2[80], card[32];
    int fd = mkstemp(disk);
    EXPECT(fd >= 0 && ftruncate(fd, 1440 * 1024) == 0);
    close(fd);
    snprintf(d2, sizeof d2, "file=%s,format=raw,if=floppy,readonly=on", disk);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        struct doppel_options o;
        struct doppel_error e;
        uint8_t list[256];
        options(&o, "", 0, 1);
        snprintf(d1, sizeof d1, "file=%s,format=raw,index=1,readonly=on,media=disk%s%s", disk,
                 row[i].disk ? ",bootindex=" : "", row[i].disk ? row[i].disk : "");
        snprintf(card, sizeof card, "ne2k_pci%s%s", row[i].card ? ",bootindex=" : "",
                 row[i].card ? row[i].card : "");
        o.boot = row[i].boot;
        o.drive[o.ndrives++] = d2;
        o.drive[o.ndrives++] = d1;
        o.device[o.ndevices++] = card;
        struct doppel_vm *vm = doppel_create(&o, &e);
        unlink(bios_path);
        t_context("-boot %s: %s", row[i].boot, vm ? "" : e.msg);
        if (EXPECT(vm != NULL) && row[i].want) {
            uint32_t n = read_file(vm, "bootorder", list, sizeof list);
            EXPECT(n == strlen(row[i].want) + 1);
            EXPECT_STR((char *)list, row[i].want);
        } else if (vm) {
            EXPECT(!fw_cfg_has_file(dev_find(&vm->env, "fwcfg"), "bootorder"));
        }
        doppel_destroy(vm);
    }
    unlink(disk);
}

/* --- Resets and sleep --- */

/* Marks RAM and does `how`; the second time, when the mark is there, exits with EXIT_OK. */
static size_t reset_code(uint8_t code[64], const void *how, size_t len)
{
    static const uint8_t head[] = {
        0xa0, 0x00, 0x05,             /* mov al, [0x500] */
        0x3c, 0x34,                   /* cmp al, 0x34 */
        0x75, 0x02,                   /* jne */
        0xe6, 0xf4,                   /* out 0xf4, al */
        0xc6, 0x06, 0x00, 0x05, 0x34, /* mov byte [0x500], 0x34 */
    };
    memcpy(code, head, sizeof head);
    memcpy(code + sizeof head, how, len);
    memcpy(code + sizeof head + len, "\xf4\xeb\xfd", 3); /* hlt, again */
    return sizeof head + len + 3;
}

/* True if what runs resets (RAM stays always), and *kept says whether the devices stay, too. */
static bool resets(const void *how, size_t len, unsigned cpus, bool *kept)
{
    uint8_t code[64];
    struct doppel_vm *vm = machine(code, reset_code(code, how, len), cpus);
    place_pm(vm);
    config(vm, 0, 0x59, 1, 0x30); /* shadow RAM: a copy of the ROM */
    for (uint32_t i = 0; i < 0x10000; i++) {
        aspace_write(&vm->mem, 0xf0000 + i, 1, aspace_read(&vm->mem, 0xffff0000 + i, 1));
    }
    enum doppel_stop why = doppel_run(vm, 100000);
    bool ok = EXPECT_EQ(why, DOPPEL_EXIT) && EXPECT_EQ(doppel_exit_code(vm), EXIT_OK);
    *kept = in(vm, PM + 4, 2) != 0xffff;
    out(vm, 0xcf8, 4, 0x80000058);
    EXPECT_EQ(in(vm, 0xcfd, 1), *kept ? 0x30 : 0);
    doppel_destroy(vm);
    return ok;
}

/* Under -no-reboot each of them ends the run, at once. */
static void expect_end(const void *how, size_t len)
{
    uint8_t code[64];
    struct doppel_vm *vm = machine_with(code, reset_code(code, how, len), 1, true);
    EXPECT_EQ(doppel_run(vm, 100000), DOPPEL_RESET);
    EXPECT(doppel_icount(vm) < 20);
    doppel_destroy(vm);
}

TEST(resets_of_the_cpu_alone)
{
    static const struct {
        const char *name, *code;
        size_t len;
        bool keeps;
    } row[] = {
        {"port 92", "\xb0\x01\xe6\x92", 4, true},
        {"port 92 with A20 masked", "\xb0\xdd\xe6\x64\xb0\x00\xe6\x92\xb0\x01\xe6\x92", 12, true},
        {"keyboard controller", "\xb0\xfe\xe6\x64", 4, true},
        {"0xcf9 soft", "\xba\xf9\x0c\xb0\x04\xee", 6, true},
        {"0xcf9 hard", "\xba\xf9\x0c\xb0\x02\xee\xb0\x06\xee", 9, false},
        {"shutdown", "\x0f\x01\x1e\x00\x06\xcc", 6, true}, /* lidt [0x600], int3 */
    };
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        for (unsigned cpus = 1; cpus < 3; cpus++) {
            bool kept;
            t_context("%s, %u CPUs", row[i].name, cpus);
            EXPECT(resets(row[i].code, row[i].len, cpus, &kept) && kept == row[i].keeps);
        }
        expect_end(row[i].code, row[i].len);
    }
}

/* Marks RAM and suspends; woken, it finds CMOS 0Fh at FEh and exits with the mark. */
static const uint8_t sleeper[] = {
    0xb0, 0x0f,      0xe6,
    0x70,       /* mov al, 0x0f; out 0x70, al */
    0xe4, 0x71, /* in al, 0x71 */
    0x3c, 0xfe, /* cmp al, 0xfe */
    0x74, 0x0f, /* je woken */
    0xc6, 0x06,      0x00,
    0x05, 0x34,                        /* mov byte [0x500], 0x34 */
    0xba, PM & 0xff, 0xff & (PM >> 8), /* mov dx, PM; add dx, 4 */
    0x83, 0xc2,      0x04,
    0xb8, 0x00,      0x24, /* mov ax, SLP_EN | S3 */
    0xef,                  /* out dx, ax */
    0xa0, 0x00,      0x05, /* woken: mov al, [0x500] */
    0xe6, 0xf4,            /* out 0xf4, al */
};

static struct doppel_vm *asleep(void)
{
    struct doppel_vm *vm = machine(sleeper, sizeof sleeper, 1);
    place_pm(vm);
    out(vm, PM + 2, 2, 0x0500); /* power button and RTC wake */
    config(vm, 0, 0x5a, 1, 0x33);
    return vm;
}

static void set_alarm(struct doppel_vm *vm)
{
    for (uint8_t reg = 1; reg <= 5; reg = (uint8_t)(reg + 2)) {
        out(vm, 0x70, 1, reg);
        out(vm, 0x71, 1, 0xc0); /* every second */
    }
    out(vm, 0x70, 1, 0x0b);
    out(vm, 0x71, 1, 0x22);
}

static void expect_woken(struct doppel_vm *vm, uint32_t status)
{
    EXPECT_EQ(doppel_exit_code(vm), EXIT_OK);
    EXPECT_EQ(in(vm, PM, 2) & 0xfffe, status);
    EXPECT_EQ(in(vm, PM + 2, 2), 0x0500);
    out(vm, 0xcf8, 4, 0x80000058);
    EXPECT_EQ(in(vm, 0xcfe, 1), 0x33); /* shadow RAM stays, too */
}

TEST(suspend_and_alarm)
{
    struct doppel_vm *vm = asleep();
    set_alarm(vm);
    EXPECT_EQ(doppel_run(vm, 100000), DOPPEL_EXIT);
    EXPECT(doppel_vtime(vm) > 100000000 && doppel_vtime(vm) <= 1100000000);
    expect_woken(vm, 0x8400);
    doppel_destroy(vm);
}

static void nothing(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    (void)text;
    (void)len;
}

TEST(suspend_saved_and_button)
{
    uint8_t *data;
    size_t len;
    struct doppel_error e;
    struct doppel_vm *vm = asleep(), *other = asleep();
    EXPECT_EQ(doppel_run(vm, 100000), DOPPEL_DEAD); /* nobody there to press it */
    EXPECT(vm->s.asleep);
    EXPECT(doppel_save(vm, &data, &len));
    EXPECT(doppel_load(other, data, len, &e));
    free(data);
    EXPECT_EQ(doppel_digest(other), doppel_digest(vm));
    EXPECT(other->s.asleep);
    doppel_command(vm, "system_wakeup", nothing, NULL);
    doppel_command(other, "system_powerdown", nothing, NULL);
    EXPECT_EQ(doppel_run(vm, 100000), DOPPEL_EXIT);
    EXPECT_EQ(doppel_run(other, 100000), DOPPEL_EXIT);
    EXPECT_EQ(doppel_digest(other), doppel_digest(vm));
    expect_woken(vm, 0x8100);
    doppel_destroy(vm);
    doppel_destroy(other);
}
