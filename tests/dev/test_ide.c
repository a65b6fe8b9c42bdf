// ATA disks: registers, selection, resets, every command and its errors, PIO; and ISA glue.

#include <string.h>

#include "hw/hw.h"
#include "tests/dev/ide_bench.h"
#include "util/bits.h"

enum { DISK = 40000 }; // sectors of most disks here: 39 cylinders
static const int64_t one_disk[4] = {DISK, 0, 0, 0};

static void expect_sector(struct bench *b, uint32_t lba)
{
    uint8_t got[512], want[512];
    bench_read(b, got, 512);
    bench_pattern(want, lba);
    EXPECT_MEM(got, want, 512);
}

TEST(reset_signature_and_selection)
{
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    EXPECT_EQ(bench_status(&b), 0x50);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 1);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 1);
    EXPECT_EQ(bench_get(&b, IDE_LBAL), 1);
    EXPECT_EQ(bench_get(&b, IDE_LBAM), 0);
    EXPECT_EQ(bench_get(&b, IDE_LBAH), 0);
    bench_set(&b, IDE_DEVICE, 0xb0); // absent device 1: device 0 answers with status 0
    EXPECT_EQ(bench_status(&b), 0);
    bench_set(&b, IDE_NSECT, 0x55);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0x55);
    EXPECT_EQ(bench_get(&b, IDE_DEVICE), 0xb0);
    bench_set(&b, IDE_COMMAND, 0xec); // to nobody
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(b.p->rises[0], 0);
    bench_set(&b, IDE_DEVICE, 0xa0);
    EXPECT_EQ(bench_status(&b), 0x50);
    rig_outb(&b.r, b.control, 0x04); // SRST
    EXPECT_EQ(bench_status(&b), 0x80);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(bench_status(&b), 0x80); // until it is released
    rig_reload(&b.r);
    rig_outb(&b.r, b.control, 0x00);
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 1);
    bench_fini(&b);
}

TEST(only_device_1)
{
    static const int64_t sizes[4] = {0, DISK, 0, 0};
    struct bench b;
    bench_init(&b, &isa_ide_class, sizes, "");
    EXPECT_EQ(bench_status(&b), 0x7f);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0x7f);
    EXPECT_EQ(rig_inw(&b.r, b.base), 0xff7f);
    bench_cmd(&b, 1, 0x20, 7, 1);
    EXPECT_EQ(bench_wait(&b), 0x58);
    expect_sector(&b, 7);
    bench_fini(&b);
}

TEST(two_devices_and_diagnostic)
{
    static const int64_t sizes[4] = {DISK, DISK / 2, 0, 0};
    struct bench b;
    bench_init(&b, &isa_ide_class, sizes, "");
    bench_set(&b, IDE_DEVICE, 0xb0);
    EXPECT_EQ(bench_status(&b), 0x50);
    bench_set(&b, IDE_COMMAND, 0x90); // both devices; 0 is selected and reports
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(b.p->rises[0], 1);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 1);
    EXPECT_EQ(bench_get(&b, IDE_DEVICE), 0);
    // An interrupt of a device that is not selected does not reach the line.
    bench_cmd(&b, 1, 0x20, 1, 1);
    bench_set(&b, IDE_DEVICE, 0xa0);
    rig_run(&b.r, VTIME_MS);
    EXPECT(!dev_pin_in(&b.p->dev, 0));
    bench_set(&b, IDE_DEVICE, 0xb0);
    EXPECT(dev_pin_in(&b.p->dev, 0));
    bench_fini(&b);
}

static uint16_t id_word(const uint8_t *id, unsigned n)
{
    return le16_get(id + 2 * n);
}

TEST(identify)
{
    uint8_t id[512], sum = 0;
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "serial0=ABC");
    bench_cmd(&b, 0, 0xec, 0, 0);
    EXPECT_EQ(bench_status(&b) & 0x88, 0x80);
    EXPECT_EQ(bench_wait(&b), 0x58);
    bench_read(&b, id, 512);
    EXPECT_EQ(bench_status(&b), 0x50);
    EXPECT_EQ(b.p->rises[0], 1);
    EXPECT_EQ(id_word(id, 0), 0x40);
    EXPECT_EQ(id_word(id, 1), 39);
    EXPECT_EQ(id_word(id, 3), 16);
    EXPECT_EQ(id_word(id, 6), 63);
    EXPECT_MEM(id + 20, "BA C                ", 20);
    EXPECT_MEM(id + 54, "ODPPLEH RADDSI K", 16);
    EXPECT_EQ(id_word(id, 60) | (uint32_t)id_word(id, 61) << 16, DISK);
    EXPECT_EQ(id_word(id, 100), DISK);
    EXPECT_EQ(id_word(id, 57), 39 * 16 * 63);
    EXPECT_EQ(id_word(id, 49) & 0x300, 0x200); // LBA, no DMA on ISA
    EXPECT_EQ(id_word(id, 83) & 0xf400, 0x7400);
    for (unsigned i = 0; i < 512; i++) {
        sum = (uint8_t)(sum + id[i]);
    }
    EXPECT_EQ(sum, 0);
    bench_fini(&b);
}

TEST(geometry_from_partition_table)
{
    uint8_t id[512];
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    uint8_t *mbr = b.blk[0].data;
    memset(mbr, 0, 512);
    mbr[446] = 0x80;
    mbr[446 + 4] = 6;
    mbr[446 + 5] = 7;         // last head
    mbr[446 + 6] = 17 | 0xc0; // sectors; high bits of the cylinder
    mbr[446 + 12] = 100;
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
    struct ide_unit u = {.drive = &b.drive[0]};
    ata_geometry(&u);
    EXPECT(u.chs[0] == DISK / (8 * 17) && u.chs[1] == 8 && u.chs[2] == 17);
    mbr[446 + 5] = 254; // a BIOS's translation
    ata_geometry(&u);
    EXPECT(u.chs[0] == 39 && u.chs[1] == 16 && u.chs[2] == 63);
    bench_fini(&b);
    bench_init(&b, &isa_ide_class, one_disk, "cyls0=100,heads0=4,secs0=10");
    bench_cmd(&b, 0, 0xec, 0, 0);
    bench_wait(&b);
    bench_read(&b, id, 512);
    EXPECT(id_word(id, 1) == 100 && id_word(id, 54) == 100 && id_word(id, 57) == 4000);
    bench_fini(&b);
}

TEST(bad_properties)
{
    struct rig r;
    struct err e = {""};
    struct drive cd = {.name = "fd", .kind = DRIVE_FLOPPY};
    rig_init(&r);
    struct dev *d = dev_new(&r.env, &isa_ide_class, "ide", &e);
    EXPECT(dev_set(d, "cyls0", "5", &e) && !dev_init(d, &e) && strstr(e.msg, "heads0"));
    d = dev_new(&r.env, &isa_ide_class, "ide2", &e);
    EXPECT(dev_set_backend(d, "drive1", PROP_DRIVE, &cd, &e));
    EXPECT(!dev_init(d, &e) && strstr(e.msg, "drive1"));
    rig_fini(&r);
}

TEST(read_lba_chs_and_lba48)
{
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    bench_cmd(&b, 0, 0x20, 1000, 3);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(bench_wait(&b), 0x58);
        expect_sector(&b, 1000 + i);
        rig_reload(&b.r);
    }
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(b.p->rises[0], 3);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0);
    EXPECT_EQ(bench_get(&b, IDE_LBAL) | bench_get(&b, IDE_LBAM) << 8, 1002);
    // Cylinder 2, head 5, sector 63, and over the end of the track
    bench_set(&b, IDE_DEVICE, 0xa5);
    bench_set(&b, IDE_NSECT, 2);
    bench_set(&b, IDE_LBAL, 63);
    bench_set(&b, IDE_LBAM, 2);
    bench_set(&b, IDE_LBAH, 0);
    bench_set(&b, IDE_COMMAND, 0x21);
    EXPECT_EQ(bench_wait(&b), 0x58);
    expect_sector(&b, (2 * 16 + 5) * 63 + 62);
    EXPECT_EQ(bench_wait(&b), 0x58);
    expect_sector(&b, (2 * 16 + 6) * 63);
    EXPECT(bench_get(&b, IDE_LBAL) == 1 && bench_get(&b, IDE_DEVICE) == 0xa6);
    bench_ext(&b, 0, 0x24, 39999, 1);
    EXPECT_EQ(bench_wait(&b), 0x58);
    expect_sector(&b, 39999);
    // Both depths of a register
    bench_set(&b, IDE_LBAM, 0x12);
    bench_set(&b, IDE_LBAM, 0x34);
    EXPECT_EQ(bench_get(&b, IDE_LBAM), 0x34);
    rig_outb(&b.r, b.control, 0x80);
    EXPECT_EQ(bench_get(&b, IDE_LBAM), 0x12);
    bench_set(&b, IDE_LBAL, 0); // any write ends it
    EXPECT_EQ(bench_get(&b, IDE_LBAM), 0x34);
    bench_fini(&b);
}

TEST(count_of_zero_and_wide_data)
{
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    bench_cmd(&b, 0, 0x20, 0, 0);
    for (unsigned i = 0; i < 256; i++) {
        EXPECT_EQ(bench_wait(&b), 0x58);
        EXPECT_EQ(rig_inl(&b.r, b.base), i); // the number at its head, 32 bits at once
        for (unsigned k = 4; k < 512; k += 4) {
            rig_inl(&b.r, b.base);
        }
    }
    EXPECT_EQ(bench_wait(&b), 0x50);
    bench_ext(&b, 0, 0x42, 0, 0); // 65536 sectors are beyond the end
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x10);
    bench_fini(&b);
}

TEST(write_multiple_and_flush)
{
    uint8_t buf[512];
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    bench_cmd(&b, 0, 0xc5, 5, 6);
    EXPECT_EQ(bench_wait(&b), 0x51); // not set
    bench_cmd(&b, 0, 0xc6, 0, 3);
    EXPECT_EQ(bench_wait(&b), 0x51); // not a power of two
    bench_cmd(&b, 0, 0xc6, 0, 4);
    EXPECT_EQ(bench_wait(&b), 0x50);
    unsigned rises = b.p->rises[0];
    bench_cmd(&b, 0, 0xc5, 5, 6);
    EXPECT_EQ(bench_wait(&b), 0x58);
    EXPECT_EQ(b.p->rises[0], rises); // the first block asks without an interrupt
    for (unsigned i = 0; i < 4; i++) {
        bench_pattern(buf, 100 + i);
        bench_write(&b, buf, 512);
    }
    rig_reload(&b.r);
    EXPECT_EQ(bench_wait(&b), 0x58);
    EXPECT_EQ(b.p->rises[0], rises + 1);
    for (unsigned i = 4; i < 6; i++) {
        bench_pattern(buf, 100 + i);
        bench_write(&b, buf, 512);
    }
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(b.p->rises[0], rises + 2);
    EXPECT_EQ(le32_get(b.blk[0].data + 10 * 512), 105);
    EXPECT_EQ(le32_get(b.blk[0].data + 11 * 512), 11);
    EXPECT_EQ(b.blk[0].flushes, 0);
    bench_cmd(&b, 0, 0xe7, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(b.blk[0].flushes, 1);
    EXPECT_EQ(b.blk[0].writes_flushed, 2);
    bench_cmd(&b, 0, 0xc4, 5, 6);
    EXPECT_EQ(bench_wait(&b), 0x58);
    for (unsigned i = 0; i < 4; i++) {
        expect_sector(&b, 100 + i);
    }
    EXPECT_EQ(bench_wait(&b), 0x58);
    bench_fini(&b);
}

TEST(write_cache_off)
{
    uint8_t buf[512] = {1};
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    bench_set(&b, IDE_FEATURE, 0x82);
    bench_cmd(&b, 0, 0xef, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x50);
    bench_cmd(&b, 0, 0x30, 9, 1);
    bench_wait(&b);
    bench_write(&b, buf, 512);
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(b.blk[0].writes_flushed, 1);
    b.blk[0].fail_flush = true;
    bench_cmd(&b, 0, 0xea, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x71); // device fault
    bench_fini(&b);
}

TEST(errors)
{
    uint8_t buf[512] = {0};
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    bench_cmd(&b, 0, 0x20, DISK - 1, 2);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x10);
    bench_set(&b, IDE_DEVICE, 0xa0); // sector 0 of a track
    bench_set(&b, IDE_LBAL, 0);
    bench_set(&b, IDE_COMMAND, 0x20);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x10);
    b.blk[0].bad = 51 * 512;
    bench_cmd(&b, 0, 0x20, 50, 4);
    EXPECT_EQ(bench_wait(&b), 0x58);
    expect_sector(&b, 50);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x40);
    EXPECT_EQ(bench_get(&b, IDE_LBAL), 51);
    EXPECT_EQ(b.drive[0].stats.errors, 1);
    b.blk[0].fail_write = true;
    bench_cmd(&b, 0, 0x30, 50, 1);
    bench_wait(&b);
    bench_write(&b, buf, 512);
    EXPECT_EQ(bench_wait(&b), 0x71);
    b.blk[0].blk.readonly = true;
    bench_cmd(&b, 0, 0x30, 50, 1);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x44);
    static const uint8_t unknown[] = {0x00, 0x08, 0x22, 0x50, 0xa0, 0xa1, 0xc8, 0x25, 0xff};
    for (unsigned i = 0; i < sizeof unknown; i++) { // DMA: not on this bus
        bench_cmd(&b, 0, unknown[i], 1, 1);
        EXPECT_EQ(bench_wait(&b), 0x51);
        EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x04);
    }
    bench_fini(&b);
}

TEST(translation_and_native_max)
{
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    bench_set(&b, IDE_DEVICE, 0xa3);
    bench_set(&b, IDE_NSECT, 20);
    bench_set(&b, IDE_COMMAND, 0x91); // 4 heads of 20 sectors
    EXPECT_EQ(bench_wait(&b), 0x50);
    bench_set(&b, IDE_DEVICE, 0xa2);
    bench_set(&b, IDE_NSECT, 1);
    bench_set(&b, IDE_LBAL, 7);
    bench_set(&b, IDE_LBAM, 100);
    bench_set(&b, IDE_COMMAND, 0x20);
    EXPECT_EQ(bench_wait(&b), 0x58);
    expect_sector(&b, (100 * 4 + 2) * 20 + 6);
    bench_cmd(&b, 0, 0xf8, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(bench_get(&b, IDE_LBAL) | bench_get(&b, IDE_LBAM) << 8, DISK - 1);
    bench_fini(&b);
}

TEST(power_smart_and_buffers)
{
    uint8_t buf[512];
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    bench_cmd(&b, 0, 0xe5, 0, 0);
    bench_wait(&b);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0xff);
    bench_cmd(&b, 0, 0xe0, 0, 0);
    bench_wait(&b);
    bench_cmd(&b, 0, 0x98, 0, 1);
    bench_wait(&b);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0);
    bench_cmd(&b, 0, 0xe8, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x58);
    bench_pattern(buf, 77);
    bench_write(&b, buf, 512);
    EXPECT_EQ(bench_wait(&b), 0x50);
    bench_cmd(&b, 0, 0xe4, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x58);
    expect_sector(&b, 77);
    bench_set(&b, IDE_FEATURE, 0xda);
    bench_cmd(&b, 0, 0xb0, 0xc24f00, 0);
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT(bench_get(&b, IDE_LBAM) == 0x4f && bench_get(&b, IDE_LBAH) == 0xc2);
    bench_cmd(&b, 0, 0xb0, 0, 0); // without the keys
    EXPECT_EQ(bench_wait(&b), 0x51);
    bench_cmd(&b, 0, 0xe6, 0, 0); // sleeps until a reset
    EXPECT_EQ(bench_wait(&b), 0x50);
    unsigned rises = b.p->rises[0];
    bench_cmd(&b, 0, 0xec, 0, 0);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(b.p->rises[0], rises);
    rig_outb(&b.r, b.control, 4);
    rig_outb(&b.r, b.control, 0);
    EXPECT_EQ(bench_wait(&b), 0x50);
    bench_cmd(&b, 0, 0xec, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x58);
    bench_fini(&b);
}

TEST(interrupts)
{
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    rig_outb(&b.r, b.control, 2); // nIEN
    bench_cmd(&b, 0, 0x70, 100, 0);
    rig_run(&b.r, VTIME_MS);
    EXPECT(!dev_pin_in(&b.p->dev, 0));
    rig_outb(&b.r, b.control, 0);
    EXPECT(dev_pin_in(&b.p->dev, 0));
    bench_status(&b); // the alternate one does not clear it
    EXPECT(dev_pin_in(&b.p->dev, 0));
    rig_reload(&b.r);
    EXPECT_EQ(bench_get(&b, IDE_STATUS), 0x50);
    EXPECT(!dev_pin_in(&b.p->dev, 0));
    bench_cmd(&b, 0, 0x10, 0, 0);
    bench_set(&b, IDE_NSECT, 9); // BSY: not taken
    bench_set(&b, IDE_COMMAND, 0xec);
    EXPECT_EQ(bench_wait(&b), 0x50);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0);
    bench_fini(&b);
}

static uint16_t identify_word(struct bench *b, unsigned word)
{
    uint8_t id[512];
    bench_cmd(b, 0, 0xec, 0, 0);
    EXPECT_EQ(bench_wait(b), 0x58);
    bench_read(b, id, 512);
    return le16_get(id + (size_t)2 * word);
}

static uint8_t features(struct bench *b, uint8_t feature, uint8_t count)
{
    bench_set(b, IDE_FEATURE, feature);
    bench_cmd(b, 0, 0xef, 0, count);
    return bench_wait(b);
}

// SET FEATURES as IDENTIFY DEVICE tells of it: ATA/ATAPI-6, 8.46 and 8.15.
TEST(set_features)
{
    struct bench b;
    bench_init(&b, &piix3_ide_class, one_disk, "enabled=on");
    static const struct {
        uint8_t feature, count, status;
        uint16_t word, mask, want;
    } t[] = {
        {0x82, 0, 0x50, 85, 0x20, 0},      // write cache off and on
        {0x02, 0, 0x50, 85, 0x20, 0x20},   //
        {0x55, 0, 0x50, 85, 0x40, 0},      // look-ahead
        {0xaa, 0, 0x50, 85, 0x40, 0x40},   //
        {0x66, 0, 0x50, 85, 0, 0},         // keep, revert at a soft reset
        {0xcc, 0, 0x50, 85, 0, 0},         //
        {0x03, 0x00, 0x50, 88, 0xff00, 0}, // PIO
        {0x03, 0x0c, 0x50, 88, 0xff00, 0}, //
        {0x03, 0x22, 0x50, 63, 0x0700, 0x0400},
        {0x03, 0x20, 0x50, 63, 0x0700, 0x0100},
        {0x03, 0x45, 0x50, 88, 0x3f00, 0x2000},
        {0x03, 0x42, 0x50, 63, 0x0700, 0},
        {0x03, 0x42, 0x50, 88, 0x3f00, 0x0400},
        {0x03, 0x0d, 0x51, 88, 0x3f00, 0x0400}, // no such modes: as before
        {0x03, 0x23, 0x51, 88, 0x3f00, 0x0400},
        {0x03, 0x46, 0x51, 88, 0x3f00, 0x0400},
        {0x77, 0, 0x51, 85, 0x60, 0x60},
    };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        t_context("feature %02x, %02x", t[i].feature, t[i].count);
        EXPECT_EQ(features(&b, t[i].feature, t[i].count), t[i].status);
        rig_reload(&b.r);
        EXPECT_EQ(identify_word(&b, t[i].word) & t[i].mask, t[i].want);
    }
    bench_fini(&b);
    t_context("ISA");
    bench_init(&b, &isa_ide_class, one_disk, "");
    EXPECT_EQ(features(&b, 3, 0x22), 0x51); // no DMA here
    EXPECT_EQ(features(&b, 3, 0x0c), 0x50);
    bench_fini(&b);
}

static uint8_t smart(struct bench *b, uint8_t what)
{
    bench_set(b, IDE_FEATURE, what);
    bench_cmd(b, 0, 0xb0, 0xc24f00, 0);
    return bench_wait(b);
}

TEST(smart_and_refusals)
{
    uint8_t buf[512];
    struct bench b;
    bench_init(&b, &isa_ide_class, one_disk, "");
    EXPECT_EQ(smart(&b, 0xd9), 0x50); // disabled: everything else aborts
    EXPECT_EQ(identify_word(&b, 85) & 1, 0);
    EXPECT_EQ(smart(&b, 0xd0), 0x51);
    EXPECT_EQ(smart(&b, 0xd8), 0x50);
    EXPECT_EQ(identify_word(&b, 85) & 1, 1);
    for (uint8_t what = 0xd0; what <= 0xd1; what++) { // data and thresholds add up to 0
        uint8_t sum = 0;
        EXPECT_EQ(smart(&b, what), 0x58);
        bench_read(&b, buf, 512);
        for (unsigned i = 0; i < 512; i++) {
            sum = (uint8_t)(sum + buf[i]);
        }
        EXPECT_EQ(sum, 0);
        EXPECT_EQ(bench_status(&b), 0x50);
    }
    EXPECT_EQ(smart(&b, 0xdf), 0x51);
    // SET MULTIPLE MODE takes powers of two, word 59 has it; no sectors a track.
    static const uint8_t multi[][2] = {{16, 0x50}, {3, 0x51}, {0, 0x50}, {8, 0x50}};
    for (unsigned i = 0; i < 4; i++) {
        bench_cmd(&b, 0, 0xc6, 0, multi[i][0]);
        EXPECT_EQ(bench_wait(&b), multi[i][1]);
    }
    EXPECT_EQ(identify_word(&b, 59), 0x108);
    bench_cmd(&b, 0, 0x91, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 4);
    // Beyond the end: ID not found, from SEEK and from READ VERIFY; NOP aborts always.
    bench_cmd(&b, 0, 0x70, DISK, 1);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x10);
    bench_cmd(&b, 0, 0x40, DISK - 1, 2);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x10);
    bench_cmd(&b, 0, 0x40, DISK - 2, 2);
    EXPECT_EQ(bench_wait(&b), 0x50);
    b.blk[0].bad = 512 * 8; // the host cannot read it: uncorrectable
    bench_cmd(&b, 0, 0x40, 7, 2);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x40);
    bench_cmd(&b, 0, 0x00, 0, 0);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 4);
    bench_fini(&b);
}
