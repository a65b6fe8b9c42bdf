// The PIIX3 IDE function: configuration, bus-master transfers and their errors.

#include <string.h>

#include "hw/hw.h"
#include "hw/pci/pci.h"
#include "tests/dev/ide_bench.h"
#include "util/bits.h"

enum { DISK = 70000, BM = 0xc000, TABLE = 0x1000 };
static const int64_t disks[4] = {DISK, 0, 2000, 0};

static void cfg_set(struct bench *b, unsigned reg, uint32_t val)
{
    rig_outl(&b->r, 0xcf8, 0x80000900 | reg);
    rig_outl(&b->r, 0xcfc, val);
}

static uint32_t cfg(struct bench *b, unsigned reg)
{
    rig_outl(&b->r, 0xcf8, 0x80000900 | reg);
    return rig_inl(&b->r, 0xcfc);
}

static void setup(struct bench *b)
{
    bench_init(b, &piix3_ide_class, disks, "enabled=on");
    cfg_set(b, 0x20, BM);
}

static void prd(struct bench *b, unsigned n, uint32_t addr, uint32_t count, bool last)
{
    aspace_write(&b->r.mem, TABLE + 8 * n, 4, addr);
    aspace_write(&b->r.mem, TABLE + 8 * n + 4, 4, (count & 0xffff) | (last ? 0x80000000 : 0));
}

static void start(struct bench *b, uint8_t cmd)
{
    rig_outl(&b->r, BM + 4, TABLE);
    rig_outb(&b->r, BM + 2, 6);
    rig_outb(&b->r, BM, cmd);
}

static void expect_memory(struct bench *b, uint32_t addr, uint32_t lba, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t got[512], want[512];
        aspace_read_buf(&b->r.mem, addr + 512 * i, got, 512);
        bench_pattern(want, lba + i);
        EXPECT_MEM(got, want, 512);
    }
}

TEST(configuration)
{
    struct bench b;
    bench_init(&b, &piix3_ide_class, disks, "");
    EXPECT_EQ(cfg(&b, 0), 0x70108086);
    EXPECT_EQ(cfg(&b, 8), 0x01018000);
    EXPECT_EQ(cfg(&b, 4), 0x02800000);
    EXPECT_EQ(rig_inb(&b.r, 0x1f7), 0xff); // nothing is enabled
    cfg_set(&b, 0x40, 0x8000);
    EXPECT_EQ(rig_inb(&b.r, 0x1f7), 0xff);
    cfg_set(&b, 4, 1);
    EXPECT_EQ(rig_inb(&b.r, 0x1f7), 0x50);
    EXPECT_EQ(rig_inb(&b.r, 0x3f6), 0x50);
    EXPECT_EQ(rig_inb(&b.r, 0x177), 0xff);
    cfg_set(&b, 0x40, 0x80008000);
    EXPECT_EQ(rig_inb(&b.r, 0x177), 0x50);
    rig_reload(&b.r);
    EXPECT_EQ(rig_inb(&b.r, 0x376), 0x50);
    cfg_set(&b, 0x20, 0xffffffff);
    EXPECT_EQ(cfg(&b, 0x20), 0xfffffff1); // 16 ports
    cfg_set(&b, 4, 0);
    EXPECT_EQ(rig_inb(&b.r, 0x1f7), 0xff);
    bench_fini(&b);
}

TEST(read_dma_scattered)
{
    struct bench b;
    setup(&b);
    prd(&b, 0, 0x20000, 512 + 100, false);
    prd(&b, 1, 0x20000 + 612, 412 + 512, true);
    start(&b, 9);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x01);
    bench_cmd(&b, 0, 0xc8, 300, 3);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x04); // done: interrupt, not active
    EXPECT(dev_pin_in(&b.p->dev, 0));
    EXPECT_EQ(bench_get(&b, IDE_STATUS), 0x50);
    expect_memory(&b, 0x20000, 300, 3);
    rig_outb(&b.r, BM, 0);
    rig_outb(&b.r, BM + 2, 0x64);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x60); // the software bits
    bench_fini(&b);
}

TEST(command_before_engine_and_lba48)
{
    struct bench b;
    setup(&b);
    bench_ext(&b, 0, 0x25, 65536, 1024); // 512 KiB, in chunks
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(bench_status(&b) & 0x80, 0x80); // waits for the engine
    rig_reload(&b.r);
    for (unsigned i = 0; i < 8; i++) {
        prd(&b, i, 0x20000 + i * 0x10000, 0, i == 7); // 0: 64 KiB
    }
    start(&b, 9);
    rig_run(&b.r, 200000);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x01);
    rig_reload(&b.r); // in the middle
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x04);
    EXPECT_EQ(bench_get(&b, IDE_STATUS), 0x50);
    expect_memory(&b, 0x20000, 65536, 1024);
    bench_fini(&b);
}

TEST(write_dma)
{
    struct bench b;
    uint8_t buf[1024];
    setup(&b);
    for (unsigned i = 0; i < 1024; i++) {
        buf[i] = (uint8_t)(i * 7);
    }
    aspace_write_buf(&b.r.mem, 0x30000, buf, sizeof buf);
    prd(&b, 0, 0x30000, 1024, true);
    start(&b, 1);
    bench_cmd(&b, 0, 0xca, 44, 2);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x04);
    EXPECT_MEM(b.blk[0].data + 44 * 512, buf, 1024);
    EXPECT_EQ(b.blk[0].flushes, 0);
    rig_outb(&b.r, BM, 0);
    start(&b, 1);
    bench_ext(&b, 0, 0x3d, 60, 2); // forced unit access
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(b.blk[0].writes_flushed, 2);
    bench_fini(&b);
}

TEST(table_larger_and_smaller_than_the_transfer)
{
    struct bench b;
    setup(&b);
    prd(&b, 0, 0x20000, 4096, true);
    start(&b, 9);
    bench_cmd(&b, 0, 0xc8, 10, 1);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x05); // both: the table goes on
    rig_outb(&b.r, BM, 0);
    EXPECT_EQ(rig_inb(&b.r, BM + 2) & 1, 0);
    prd(&b, 0, 0x20000, 700, true);
    start(&b, 9);
    bench_cmd(&b, 0, 0xc8, 20, 4);
    rig_run(&b.r, 10 * VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x00); // neither
    EXPECT_EQ(bench_status(&b) & 0x80, 0x80);
    rig_reload(&b.r);
    rig_outb(&b.r, 0x3f6, 4);
    rig_outb(&b.r, 0x3f6, 0);
    EXPECT_EQ(bench_wait(&b), 0x50);
    bench_fini(&b);
}

TEST(bad_tables)
{
    struct bench b;
    setup(&b);
    prd(&b, 0, 0x40000000, 512, true); // nobody there
    start(&b, 9);
    bench_cmd(&b, 0, 0xc8, 10, 1);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x02);
    rig_outb(&b.r, 0x3f6, 4);
    rig_outb(&b.r, 0x3f6, 0);
    bench_wait(&b);
    rig_outb(&b.r, BM, 0);
    rig_outl(&b.r, BM + 4, 0x50000003);
    EXPECT_EQ(rig_inl(&b.r, BM + 4), 0x50000000);
    rig_outb(&b.r, BM + 2, 6);
    rig_outb(&b.r, BM, 9);
    bench_cmd(&b, 0, 0xc8, 10, 1);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x02);
    // A direction that does not fit, and no right to master the bus: nothing moves.
    rig_outb(&b.r, 0x3f6, 4);
    rig_outb(&b.r, 0x3f6, 0);
    bench_wait(&b);
    rig_outb(&b.r, BM, 0);
    prd(&b, 0, 0x20001, 513, true); // odd: the low bits are ignored
    start(&b, 1);
    bench_cmd(&b, 0, 0xc8, 10, 1);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x01);
    rig_outb(&b.r, BM, 0);
    cfg_set(&b, 4, 1);
    start(&b, 9);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x01);
    cfg_set(&b, 4, 5);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x04);
    expect_memory(&b, 0x20000, 10, 1);
    bench_fini(&b);
}

TEST(read_error_during_dma)
{
    struct bench b;
    setup(&b);
    b.blk[0].fail_read = true;
    prd(&b, 0, 0x20000, 512, true);
    start(&b, 9);
    bench_cmd(&b, 0, 0xc8, 10, 1);
    rig_run(&b.r, VTIME_MS);
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0x05);
    EXPECT_EQ(bench_get(&b, IDE_STATUS), 0x51);
    EXPECT_EQ(bench_get(&b, IDE_ERROR), 0x40);
    bench_fini(&b);
}

TEST(channels_are_apart)
{
    struct bench b;
    setup(&b);
    b.base = 0x170;
    b.control = 0x376;
    bench_cmd(&b, 0, 0x20, 1999, 1);
    EXPECT_EQ(bench_wait(&b), 0x58);
    EXPECT_EQ(b.p->rises[1], 1);
    EXPECT_EQ(b.p->rises[0], 0);
    EXPECT_EQ(rig_inb(&b.r, BM + 8 + 2), 0x04); // PIO sets it too
    EXPECT_EQ(rig_inb(&b.r, BM + 2), 0);
    bench_fini(&b);
}
