// ATAPI CD-ROM: the packet protocol by PIO and DMA, each packet, sense data, media change.

#include <string.h>

#include "hw/hw.h"
#include "hw/pci/pci.h"
#include "tests/dev/ide_bench.h"
#include "util/bits.h"

enum { BLOCKS = 500 };
static const int64_t cd[4] = {0, -4 * BLOCKS, 0, 0};

static void setup(struct bench *b, const struct dev_class *cls)
{
    bench_init(b, cls, cd, cls == &piix3_ide_class ? "enabled=on" : "");
    bench_set(b, IDE_DEVICE, 0xb0);
}

// Sends a packet with a byte count limit; the status after it.
static uint8_t packet(struct bench *b, const uint8_t *cdb, uint16_t limit)
{
    bench_set(b, IDE_FEATURE, 0);
    bench_set(b, IDE_LBAM, (uint8_t)limit);
    bench_set(b, IDE_LBAH, (uint8_t)(limit >> 8));
    bench_set(b, IDE_COMMAND, 0xa0);
    EXPECT_EQ(bench_wait(b), 0x58);
    EXPECT_EQ(bench_get(b, IDE_NSECT), 1);
    bench_write(b, cdb, 12);
    return bench_wait(b);
}

// Reads all the data of a packet; how many bytes.
static unsigned drain(struct bench *b, uint8_t *buf, unsigned size)
{
    unsigned n = 0;
    while (bench_status(b) & IDE_ST_DRQ) {
        unsigned len = bench_get(b, IDE_LBAM) | bench_get(b, IDE_LBAH) << 8;
        EXPECT_EQ(bench_get(b, IDE_NSECT), 2);
        if (!EXPECT(len && n + len <= size)) {
            break;
        }
        bench_read(b, buf + n, (len + 1) & ~1u);
        n += len;
        bench_wait(b);
    }
    return n;
}

static unsigned ask(struct bench *b, uint8_t *buf, unsigned size, uint8_t op, uint8_t b1,
                    uint8_t b2, uint8_t b4, uint8_t b8)
{
    uint8_t cdb[12] = {op, b1, b2, 0, b4, 0, 0, 0, b8};
    packet(b, cdb, 0xfffe);
    return drain(b, buf, size);
}

static void expect_sense(struct bench *b, uint8_t key, uint8_t asc, uint8_t ascq)
{
    uint8_t s[18];
    EXPECT_EQ(ask(b, s, 18, 0x03, 0, 0, 18, 0), 18);
    EXPECT_EQ(s[0], 0x70);
    EXPECT_EQ(s[2], key);
    EXPECT_EQ(s[12], asc);
    EXPECT_EQ(s[13], ascq);
}

static uint8_t simple(struct bench *b, uint8_t op, uint8_t b4)
{
    uint8_t cdb[12] = {op, 0, 0, 0, b4};
    return packet(b, cdb, 0xfffe);
}

TEST(signature_and_identify)
{
    uint8_t id[512];
    struct bench b;
    setup(&b, &isa_ide_class);
    EXPECT_EQ(bench_status(&b), 0);
    EXPECT_EQ(bench_get(&b, IDE_LBAM), 0x14);
    EXPECT_EQ(bench_get(&b, IDE_LBAH), 0xeb);
    bench_set(&b, IDE_LBAM, 0);
    bench_set(&b, IDE_COMMAND, 0xec);
    EXPECT_EQ(bench_wait(&b), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_LBAM), 0x14);
    bench_set(&b, IDE_COMMAND, 0xa1);
    EXPECT_EQ(bench_wait(&b), 0x58);
    bench_read(&b, id, 512);
    EXPECT_EQ(bench_status(&b), 0x50);
    EXPECT_EQ(le16_get(id), 0x85c0);
    EXPECT_MEM(id + 54, "ODPPLEC -DOR M", 14);
    bench_set(&b, IDE_COMMAND, 0xa0); // DEVICE RESET breaks in, without an interrupt
    bench_wait(&b);
    unsigned rises = b.p->rises[0];
    bench_set(&b, IDE_COMMAND, 0x08);
    EXPECT_EQ(bench_wait(&b), 0);
    EXPECT_EQ(b.p->rises[0], rises);
    EXPECT_EQ(bench_get(&b, IDE_DEVICE), 0x10);
    bench_fini(&b);
}

TEST(attention_then_ready)
{
    struct bench b;
    setup(&b, &isa_ide_class);
    EXPECT_EQ(simple(&b, 0x00, 0), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x64);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 3);
    rig_reload(&b.r);
    expect_sense(&b, 6, 0x29, 0);
    expect_sense(&b, 0, 0, 0);
    EXPECT_EQ(simple(&b, 0x00, 0), 0x50);
    EXPECT_EQ(simple(&b, 0xfe, 0), 0x51);
    expect_sense(&b, 5, 0x20, 0);
    bench_fini(&b);
}

TEST(read_by_pio_in_pieces)
{
    static const uint16_t limits[] = {512, 2048, 3001, 0xfffe, 0};
    static uint8_t got[6 * 2048];
    struct bench b;
    setup(&b, &isa_ide_class);
    simple(&b, 0x00, 0);
    for (unsigned i = 0; i < 5; i++) {
        uint8_t cdb[12] = {0x28, 0, 0, 0, 0, 100, 0, 0, 6};
        memset(got, 0, sizeof got);
        packet(&b, cdb, limits[i]);
        rig_reload(&b.r);
        EXPECT_EQ(drain(&b, got, sizeof got), sizeof got);
        EXPECT_EQ(bench_status(&b), 0x50);
        EXPECT_MEM(got, b.blk[1].data + 100 * 2048, sizeof got);
    }
    uint8_t beyond[12] = {0xa8, 0, 0, 0, 0x01, 0xf3, 0, 0, 0, 2}; // block 499, two of them
    EXPECT_EQ(packet(&b, beyond, 2048), 0x51);
    expect_sense(&b, 5, 0x21, 0);
    uint8_t none[12] = {0x28};
    EXPECT_EQ(packet(&b, none, 2048), 0x50);
    b.blk[1].bad = 101 * 2048;
    uint8_t bad[12] = {0xbe, 0, 0, 0, 0, 101, 0, 0, 1, 0x10};
    EXPECT_EQ(packet(&b, bad, 2048), 0x51);
    expect_sense(&b, 3, 0x11, 0);
    bench_fini(&b);
}

TEST(read_by_dma)
{
    static uint8_t got[70 * 2048];
    struct bench b;
    setup(&b, &piix3_ide_class);
    rig_outl(&b.r, 0xcf8, 0x80000920);
    rig_outl(&b.r, 0xcfc, 0xc000);
    simple(&b, 0x00, 0);
    aspace_write(&b.r.mem, 0x1000, 8, 0x0000000000020000);
    aspace_write(&b.r.mem, 0x1008, 8, 0x0000000000030000);
    aspace_write(&b.r.mem, 0x1010, 8, 0x8000300000040000);
    rig_outl(&b.r, 0xc004, 0x1000);
    rig_outb(&b.r, 0xc002, 6);
    bench_set(&b, IDE_FEATURE, 1);
    bench_set(&b, IDE_COMMAND, 0xa0);
    EXPECT_EQ(bench_wait(&b), 0x58);
    uint8_t cdb[12] = {0x28, 0, 0, 0, 0, 7, 0, 0, 70};
    bench_write(&b, cdb, 12);
    rig_outb(&b.r, 0xc000, 9);
    rig_run(&b.r, 180000);
    rig_reload(&b.r); // after the first chunk
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, 0xc002), 4);
    EXPECT_EQ(bench_get(&b, IDE_STATUS), 0x50);
    aspace_read_buf(&b.r.mem, 0x20000, got, sizeof got);
    EXPECT_MEM(got, b.blk[1].data + 7 * 2048, sizeof got);
    bench_fini(&b);
}

TEST(what_the_drive_says)
{
    uint8_t r[256];
    struct bench b;
    setup(&b, &isa_ide_class);
    EXPECT_EQ(ask(&b, r, 256, 0x12, 0, 0, 36, 0), 36); // in spite of the attention
    EXPECT(r[0] == 5 && r[1] == 0x80 && !memcmp(r + 8, "DOPPEL  CD-ROM ", 15));
    EXPECT_EQ(ask(&b, r, 256, 0x12, 0, 0, 5, 0), 5);
    simple(&b, 0x00, 0);
    EXPECT_EQ(ask(&b, r, 256, 0x25, 0, 0, 0, 0), 8);
    EXPECT(r[2] == 1 && r[3] == 0xf3 && r[6] == 8);
    EXPECT_EQ(ask(&b, r, 256, 0x43, 0, 0, 0, 64), 20); // TOC by block
    EXPECT(r[1] == 18 && r[3] == 1 && r[6] == 1 && r[14] == 0xaa && r[18] == 1 && r[19] == 0xf4);
    EXPECT_EQ(ask(&b, r, 256, 0x43, 2, 0, 0, 64), 20); // by minute, second, frame
    EXPECT(r[10] == 2 && r[11] == 0 && r[18] == 8 && r[19] == 50);
    EXPECT_EQ(ask(&b, r, 256, 0x43, 0, 1, 0, 64), 12);
    EXPECT_EQ(ask(&b, r, 256, 0x43, 0, 2, 0, 64), 48);
    EXPECT(r[7] == 0xa0 && r[4 + 22 + 3] == 0xa2 && r[4 + 22 + 9] == 8 && r[4 + 22 + 10] == 50);
    EXPECT_EQ(ask(&b, r, 256, 0x5a, 0, 0x2a, 0, 64), 28);
    EXPECT(r[1] == 26 && r[2] == 1 && r[8] == 0x2a && r[9] == 18);
    EXPECT_EQ(ask(&b, r, 256, 0x46, 0, 0, 0, 200), 8 + 12 + 8 + 8 + 8 + 12 + 4 + 4);
    EXPECT(r[7] == 8 && r[3] == 60 && r[14] == 0 && r[18] == 1);
    EXPECT_EQ(ask(&b, r, 256, 0x51, 0, 0, 0, 64), 34);
    EXPECT_EQ(ask(&b, r, 256, 0x42, 0, 0x40, 0, 64), 0); // format 0
    expect_sense(&b, 5, 0x24, 0);
    uint8_t params[12] = {0x55, 0, 0, 0, 0, 0, 0, 0, 16}, list[16] = {0};
    EXPECT_EQ(packet(&b, params, 0xfffe), 0x58);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0);
    bench_write(&b, list, 16);
    EXPECT_EQ(bench_wait(&b), 0x50);
    bench_fini(&b);
}

static void on_guest_eject(struct drive *d, bool out)
{
    if (out) {
        d->blk = NULL;
    }
    d->changed(d->dev);
}

TEST(media)
{
    uint8_t r[16];
    struct bench b;
    setup(&b, &isa_ide_class);
    struct drive *d = &b.drive[1];
    simple(&b, 0x00, 0);
    EXPECT_EQ(simple(&b, 0x1e, 1), 0x50); // locked
    EXPECT(d->locked);
    rig_reload(&b.r);
    EXPECT(d->locked);
    EXPECT_EQ(simple(&b, 0x1b, 2), 0x51);
    expect_sense(&b, 5, 0x53, 2);
    d->eject_asked(d->dev);
    EXPECT_EQ(ask(&b, r, 16, 0x4a, 1, 0, 0x10, 8), 8);
    EXPECT(r[1] == 6 && r[2] == 4 && r[4] == 1 && r[5] == 2);
    EXPECT_EQ(simple(&b, 0x1e, 0), 0x50);
    d->guest_eject = on_guest_eject;
    EXPECT_EQ(simple(&b, 0x1b, 2), 0x50);
    EXPECT(!d->blk);
    EXPECT_EQ(simple(&b, 0x00, 0), 0x51);
    expect_sense(&b, 2, 0x3a, 2); // the tray is open
    d->blk = &b.blk[1].blk;
    d->changed(d->dev);
    EXPECT_EQ(ask(&b, r, 16, 0x4a, 1, 0, 0x10, 8), 8);
    EXPECT(r[4] == 2 && r[5] == 2);
    EXPECT_EQ(simple(&b, 0x00, 0), 0x51); // an exchange: first gone, then there
    expect_sense(&b, 2, 0x3a, 2);
    rig_reload(&b.r);
    EXPECT_EQ(simple(&b, 0x00, 0), 0x51);
    expect_sense(&b, 6, 0x28, 0);
    EXPECT_EQ(simple(&b, 0x00, 0), 0x50);
    bench_fini(&b);
    static const int64_t empty[4] = {0, -1, 0, 0};
    bench_init(&b, &isa_ide_class, empty, "");
    bench_set(&b, IDE_DEVICE, 0xb0);
    simple(&b, 0x00, 0);
    EXPECT_EQ(simple(&b, 0x00, 0), 0x51);
    expect_sense(&b, 2, 0x3a, 1);
    bench_fini(&b);
}

static void expect_refused(struct bench *b, const uint8_t *cdb, uint8_t key, uint8_t asc,
                           uint8_t ascq)
{
    EXPECT_EQ(packet(b, cdb, 0xfffe), 0x51);
    EXPECT_EQ(bench_get(b, IDE_ERROR) >> 4, key);
    expect_sense(b, key, asc, ascq);
}

// Fields and answers of MMC-3 and SFF-8020i that no driver of the boot tests asks for.
TEST(packets_refused_and_rare)
{
    uint8_t r[256];
    struct bench b;
    setup(&b, &isa_ide_class);
    simple(&b, 0x00, 0);
    static const uint8_t refused[][15] = {
        {0x12, 1, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 5, 0x24},      // INQUIRY of product data
        {0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0, 0, 0, 5, 0x24},    // events not by polling
        {0x1a, 0, 0xc1, 0, 64, 0, 0, 0, 0, 0, 0, 0, 5, 0x39},   // saved mode values
        {0x1a, 0, 0x05, 0, 64, 0, 0, 0, 0, 0, 0, 0, 5, 0x24},   // no such page
        {0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0xf8, 0, 0, 5, 0x24},    // raw sectors
        {0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 1, 0, 5, 0x24},    // subchannels
        {0x2b, 0, 0, 0, 0x01, 0xf4, 0, 0, 0, 0, 0, 0, 5, 0x21}, // SEEK to block 500
        {0x43, 0, 0, 0, 0, 0, 5, 0, 64, 0, 0, 0, 5, 0x24},      // TOC from track 5
        {0x43, 0, 3, 0, 0, 0, 0, 0, 64, 0, 0, 0, 5, 0x24},      // a format of recorders
        {0x42, 0, 0x40, 4, 0, 0, 0, 0, 64, 0, 0, 0, 5, 0x24},   // subchannel format 4
        {0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4, 0, 0, 5, 0x30, 2},    // DVD structure of a CD
    };
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        t_context("packet %u, operation %02x", i, refused[i][0]);
        expect_refused(&b, refused[i], refused[i][12], refused[i][13], refused[i][14]);
    }
    t_context("after the table");
    static const uint8_t seek[12] = {0x2b, 0, 0, 0, 0x01, 0xf3};
    EXPECT_EQ(packet(&b, seek, 0xfffe), 0x50);
    // Events of other classes only: none, and media events are what there is.
    EXPECT_EQ(ask(&b, r, 256, 0x4a, 1, 0, 0x02, 8), 4);
    EXPECT(r[1] == 2 && r[2] == 0x80 && r[3] == 0x10);
    // MECHANISM STATUS has its length in bytes 8 and 9.
    uint8_t mechanism[12] = {0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8};
    packet(&b, mechanism, 0xfffe);
    EXPECT_EQ(drain(&b, r, 256), 8);
    EXPECT(r[1] == 0 && r[5] == 0 && r[7] == 0);
    // Mode pages, changeable: none; by 6 bytes the header has 4.
    EXPECT_EQ(ask(&b, r, 256, 0x1a, 0, 0x41, 64, 0), 12);
    EXPECT(r[0] == 11 && r[1] == 1 && r[4] == 1 && r[5] == 6 && r[7] == 0);
    EXPECT_EQ(ask(&b, r, 256, 0x1a, 0, 0x01, 64, 0), 12);
    EXPECT_EQ(r[7], 3); // retries
    EXPECT_EQ(ask(&b, r, 256, 0x1a, 0, 0x3f, 255, 0), 4 + 8 + 16 + 20);
    EXPECT_EQ(r[4 + 24 + 6] & 2, 0);
    EXPECT_EQ(simple(&b, 0x1e, 1), 0x50);
    EXPECT_EQ(ask(&b, r, 256, 0x1a, 0, 0x3f, 255, 0), 4 + 8 + 16 + 20);
    EXPECT_EQ(r[4 + 24 + 6] & 2, 2); // locked
    EXPECT_EQ(simple(&b, 0x1e, 0), 0x50);
    // Subchannel: where the head is, by blocks and by time; no catalogue number.
    uint8_t sub[12] = {0x42, 0, 0x40, 1, 0, 0, 0, 0, 64};
    packet(&b, sub, 0xfffe);
    EXPECT_EQ(drain(&b, r, 256), 16);
    EXPECT(r[1] == 0x15 && r[3] == 12 && r[4] == 1 && r[5] == 0x14 && r[6] == 1 && r[11] == 0);
    sub[1] = 2;
    packet(&b, sub, 0xfffe);
    drain(&b, r, 256);
    EXPECT(r[9] == 0 && r[10] == 2 && r[11] == 0);
    sub[3] = 2;
    packet(&b, sub, 0xfffe);
    EXPECT_EQ(drain(&b, r, 256), 24);
    EXPECT(r[4] == 2 && r[8] == 0);
    // GET CONFIGURATION: one feature; the current ones only; from a feature on.
    uint8_t config[12] = {0x46, 2, 0, 0x1e, 0, 0, 0, 0, 200};
    packet(&b, config, 0xfffe);
    EXPECT_EQ(drain(&b, r, 256), 12);
    EXPECT(r[3] == 8 && r[7] == 8 && r[9] == 0x1e && (r[10] & 1));
    config[1] = 1;
    packet(&b, config, 0xfffe);
    EXPECT_EQ(drain(&b, r, 256), 12); // CD read; DVD read is not current
    config[1] = 0;
    packet(&b, config, 0xfffe);
    EXPECT_EQ(drain(&b, r, 256), 16);
    bench_fini(&b);
}

TEST(a_dvd)
{
    static uint8_t r[2052];
    struct bench b;
    setup(&b, &isa_ide_class);
    b.blk[1].blk.bytes = UINT64_C(2048) * 400000; // more than a CD holds
    b.drive[1].changed(b.drive[1].dev);
    for (unsigned i = 0; i < 4; i++) {
        simple(&b, 0x00, 0);
    }
    EXPECT_EQ(ask(&b, r, 256, 0x46, 0, 0, 0, 200), 64);
    EXPECT_EQ(r[7], 0x10);
    uint8_t dvd[12] = {0xad, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x04};
    packet(&b, dvd, 0xfffe);
    EXPECT_EQ(drain(&b, r, sizeof r), 2052);
    EXPECT(r[0] == 8 && r[1] == 2 && r[4] == 1 && r[6] == 1);
    EXPECT(r[9] == 3 && r[10] == 0 && r[11] == 0); // sectors 30000h to 30000h + 399999
    EXPECT(r[13] == 0x09 && r[14] == 0x1a && r[15] == 0x7f);
    dvd[7] = 1;
    packet(&b, dvd, 0xfffe);
    EXPECT_EQ(drain(&b, r, sizeof r), 8);
    EXPECT(r[1] == 6 && r[4] == 0);
    dvd[7] = 5;
    expect_refused(&b, dvd, 5, 0x24, 0);
    bench_fini(&b);
}

static uint8_t command(struct bench *b, uint8_t cmd)
{
    bench_set(b, IDE_COMMAND, cmd);
    return bench_wait(b);
}

TEST(commands_without_a_packet)
{
    struct bench b;
    setup(&b, &isa_ide_class);
    static const uint8_t power[][2] = {{0xe0, 0x00}, {0xe1, 0xff}, {0xe0, 0x00}};
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(command(&b, power[i][0]), 0x50);
        EXPECT_EQ(command(&b, 0xe5), 0x50);
        EXPECT_EQ(bench_get(&b, IDE_NSECT), power[i][1]);
    }
    simple(&b, 0x00, 0); // a packet wakes it
    EXPECT_EQ(command(&b, 0xe5), 0x50);
    EXPECT_EQ(bench_get(&b, IDE_NSECT), 0xff);
    // SET FEATURES: transfer modes of PIO, nothing else; no DMA on this bus.
    static const uint8_t modes[][3] = {{3, 0x00, 0x50}, {3, 0x0c, 0x50}, {3, 0x0d, 0x51},
                                       {3, 0x22, 0x51}, {3, 0x42, 0x51}, {2, 0x00, 0x51}};
    for (unsigned i = 0; i < 6; i++) {
        bench_set(&b, IDE_FEATURE, modes[i][0]);
        bench_set(&b, IDE_NSECT, modes[i][1]);
        EXPECT_EQ(command(&b, 0xef), modes[i][2]);
    }
    bench_set(&b, IDE_FEATURE, 1); // DMA
    EXPECT_EQ(command(&b, 0xa0), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 4);
    bench_set(&b, IDE_FEATURE, 2); // overlapped
    EXPECT_EQ(command(&b, 0xa0), 0x51);
    EXPECT_EQ(command(&b, 0x20), 0x51); // READ SECTORS: aborted with the signature
    EXPECT_EQ(bench_get(&b, IDE_LBAH), 0xeb);
    EXPECT_EQ(command(&b, 0xe6), 0x50);
    bench_fini(&b);
}
