// The 82077AA: registers, control commands, seeks, errors, media and times.

#include <string.h>

#include "hw/hw.h"
#include "tests/dev/fdc_bench.h"

TEST(fdc_reset_and_registers)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    EXPECT_EQ(rig_inb(&x.r, 0x3f2), 0);
    EXPECT_EQ(fdc_msr(&x), 0);
    EXPECT_EQ(rig_inb(&x.r, 0x3f0), 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x3f6), 0xff); // not ours
    rig_outb(&x.r, 0x3f5, 0x10);           // in reset: lost
    rig_outb(&x.r, 0x3f2, 0x0c);
    EXPECT_EQ(fdc_msr(&x), 0);
    EXPECT(!fdc_irq(&x));
    fdc_wait_irq(&x);
    EXPECT_EQ(fdc_msr(&x), 0x80);
    rig_reload(&x.r);
    rig_outb(&x.r, 0x3f2, 0x04); // no DMA gate: no interrupt on the bus
    EXPECT(!fdc_irq(&x));
    rig_outb(&x.r, 0x3f2, 0x0c);
    EXPECT(fdc_irq(&x));
    for (unsigned i = 0; i < 4; i++) {
        CMD(&x, 0x08);
        EXPECT(!fdc_irq(&x));
        EXPECT_EQ(fdc_results(&x), 2);
        EXPECT_EQ(x.res[0], 0xc0 + i);
        EXPECT_EQ(x.res[1], 0);
    }
    CMD(&x, 0x08); // nothing left to sense
    EXPECT_EQ(fdc_results(&x), 1);
    EXPECT_EQ(x.res[0], 0x80);
    CMD(&x, 0x10);
    EXPECT_EQ(fdc_msr(&x), 0xd0);
    EXPECT_EQ(fdc_results(&x), 1);
    EXPECT_EQ(x.res[0], 0x90);
    CMD(&x, 0x18); // PART ID is the 82078's
    EXPECT_EQ(fdc_results(&x), 1);
    EXPECT_EQ(x.res[0], 0x80);
    CMD(&x, 0x1f);
    EXPECT_EQ(fdc_results(&x), 1);
    EXPECT_EQ(x.res[0], 0x80);
    EXPECT_EQ(fdc_msr(&x), 0x80);
    rig_outb(&x.r, 0x3f3, 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x3f3), 0xff);
    // The self-clearing reset of the DSR.
    rig_outb(&x.r, 0x3f5, 0x0f);
    EXPECT_EQ(fdc_msr(&x), 0x90);
    rig_outb(&x.r, 0x3f4, 0x82);
    EXPECT_EQ(fdc_msr(&x), 0);
    fdc_wait_irq(&x);
    EXPECT_EQ(fdc_msr(&x), 0x80);
    fdc_done(&x);
}

TEST(fdc_configure_lock_dumpreg)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    CMD(&x, 0x13, 0, 0x57, 0x30); // implied seek, no polling, threshold 8
    CMD(&x, 0x12, 0x84 | 0x03);
    CMD(&x, 0x0e);
    EXPECT_EQ(fdc_results(&x), 10);
    static const uint8_t want[10] = {0, 0, 0, 0, 0xdf, 2, 0, 0x07, 0x57, 0x30};
    EXPECT_MEM(x.res, want, 10);
    CMD(&x, 0x94);
    EXPECT_EQ(fdc_results(&x), 1);
    EXPECT_EQ(x.res[0], 0x10);
    rig_outb(&x.r, 0x3f4, 0x80);
    rig_run(&x.r, VTIME_MS);
    CMD(&x, 0x0e);
    EXPECT_EQ(fdc_results(&x), 10);
    // Locked: FIFO, threshold and pretrack stay; implied seek and polling go to their defaults.
    static const uint8_t locked[10] = {0, 0, 0, 0, 0xdf, 2, 0, 0x84, 0x07, 0x30};
    EXPECT_MEM(x.res, locked, 10);
    rig_reload(&x.r);
    CMD(&x, 0x14);
    EXPECT_EQ(fdc_results(&x), 1);
    EXPECT_EQ(x.res[0], 0);
    rig_outb(&x.r, 0x3f4, 0x80);
    rig_run(&x.r, VTIME_MS);
    CMD(&x, 0x0e);
    EXPECT_EQ(fdc_results(&x), 10);
    EXPECT_EQ(x.res[7], 0x04);
    EXPECT_EQ(x.res[8], 0x20);
    EXPECT_EQ(x.res[9], 0);
    // Without polling a reset does not interrupt.
    CMD(&x, 0x13, 0, 0x10, 0);
    CMD(&x, 0x94);
    fdc_results(&x);
    unsigned rises = x.p->rises[0];
    CMD(&x, 0x13, 0, 0x30, 0);
    EXPECT_EQ(x.p->rises[0], rises);
    fdc_done(&x);
}

TEST(fdc_seeks)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff); // changed, until a step
    fdc_recalibrate(&x);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff); // at track 0 it does not step
    CMD(&x, 0x04, 0x04);
    EXPECT_EQ(fdc_results(&x), 1);
    EXPECT_EQ(x.res[0], 0x3c); // ready, track 0, two sides, head 1
    fdc_seek(&x, 0, 40);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0x7f);
    CMD(&x, 0x04, 0x00);
    fdc_results(&x);
    EXPECT_EQ(x.res[0], 0x28);
    CMD(&x, 0xcf, 0, 5); // relative, inward
    fdc_wait_irq(&x);
    rig_reload(&x.r);
    CMD(&x, 0x08);
    fdc_results(&x);
    EXPECT_EQ(x.res[0], 0x20);
    EXPECT_EQ(x.res[1], 45);
    CMD(&x, 0x8f, 0, 15);
    fdc_wait_irq(&x);
    CMD(&x, 0x08);
    fdc_results(&x);
    EXPECT_EQ(x.res[1], 30);
    CMD(&x, 0x4a, 0);
    fdc_wait_irq(&x);
    fdc_results(&x);
    EXPECT_EQ(x.res[3], 30); // and the heads are there
    // 79 steps do not bring heads from cylinder 82 to track 0.
    fdc_seek(&x, 0, 82);
    CMD(&x, 0x07, 0);
    fdc_wait_irq(&x);
    CMD(&x, 0x08);
    fdc_results(&x);
    EXPECT_EQ(x.res[0], 0x70);
    EXPECT_EQ(x.res[1], 0);
    fdc_recalibrate(&x);
    // A unit that is not there, selected or not.
    rig_outb(&x.r, 0x3f2, 0x4e);
    CMD(&x, 0x07, 2);
    fdc_wait_irq(&x);
    CMD(&x, 0x08);
    fdc_results(&x);
    EXPECT_EQ(x.res[0], 0x72);
    fdc_done(&x);
}

TEST(fdc_errors)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    fdc_seek(&x, 0, 2);
    static const struct {
        uint8_t op, head, c, h, r, n, st1, st2;
    } cases[] = {
        {0x46, 0, 2, 0, 19, 2, 0x04, 0},   // no such sector
        {0x46, 0, 2, 0, 0, 2, 0x04, 0},    // nor this
        {0x46, 0, 3, 0, 1, 2, 0x04, 0x10}, // another cylinder's
        {0x46, 0, 2, 1, 1, 2, 0x04, 0},    // the wrong head in the ID
        {0x46, 0, 2, 0, 1, 3, 0x04, 0},    // 1024 bytes
        {0x06, 0, 2, 0, 1, 2, 0x01, 0},    // FM
        {0x45, 4, 2, 1, 19, 2, 0x04, 0},   // the same when writing
        {0x56, 0, 2, 0, 30, 2, 0x04, 0},   // and verifying
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_context("case %u", i);
        fdc_program_dma(&x, cases[i].op != 0x45, 512);
        CMD(&x, cases[i].op, cases[i].head, cases[i].c, cases[i].h, cases[i].r, cases[i].n, 18, 27,
            0xff);
        fdc_wait_irq(&x);
        EXPECT_EQ(fdc_results(&x), 7);
        EXPECT_EQ(x.res[0], 0x40 | cases[i].head);
        EXPECT_EQ(x.res[1], cases[i].st1);
        EXPECT_EQ(x.res[2], cases[i].st2);
        EXPECT_EQ(x.res[3], cases[i].c);
        EXPECT_EQ(x.res[5], cases[i].r);
        EXPECT_EQ(x.res[6], cases[i].n);
    }
    EXPECT_EQ(x.disk[0].writes, 0);
    // Nobody takes the data.
    rig_outb(&x.r, 0x0a, 6);
    CMD(&x, 0x46, 0, 2, 0, 1, 2, 18, 27, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x40, 0x10, 0, 2, 0, 1);
    // The host's file fails.
    x.disk[0].broken = true;
    fdc_program_dma(&x, true, 512);
    CMD(&x, 0x46, 0, 2, 0, 1, 2, 18, 27, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x40, 0x20, 0x20, 2, 0, 1);
    fdc_program_dma(&x, false, 512);
    CMD(&x, 0x45, 0, 2, 0, 1, 2, 18, 27, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x40, 0x20, 0, 2, 0, 1);
    fdc_done(&x);
}

// Each diskette is read in its drive at its rate, with its sectors where they belong.
TEST(fdc_formats_and_rates)
{
    static const struct {
        unsigned kb, cyls, heads, spt;
        unsigned rates; // bit n: rate n
        const char *type;
        unsigned cmos;
    } all[] = {
        {160, 40, 1, 8, 6, "auto", 1},    {180, 40, 1, 9, 6, "auto", 1},
        {320, 40, 2, 8, 6, "auto", 1},    {360, 40, 2, 9, 6, "auto", 1},
        {360, 40, 2, 9, 2, "1.2M", 2},    {720, 80, 2, 9, 4, "auto", 4},
        {720, 80, 2, 9, 4, "720K", 3},    {720, 80, 2, 9, 4, "2.88M", 5},
        {1200, 80, 2, 15, 1, "auto", 2},  {1440, 80, 2, 18, 1, "auto", 4},
        {1440, 80, 2, 18, 1, "2.88M", 5}, {1440, 80, 2, 18, 0, "720K", 3},
        {1680, 80, 2, 21, 1, "auto", 4},  {1722, 82, 2, 21, 1, "auto", 4},
        {2880, 80, 2, 36, 8, "auto", 5},  {2880, 80, 2, 36, 0, "1.44M", 4},
        {1200, 80, 2, 15, 0, "360K", 1},
    };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct fd x;
        char props[64];
        t_context("%uK in a drive of type %s", all[i].kb, all[i].type);
        strcpy(props, "fdtypeA=");
        strcat(props, all[i].type);
        fdc_setup(&x, all[i].kb * 2, props);
        EXPECT_EQ(fdc_floppy_types(x.d), all[i].cmos << 4 | 4);
        fdc_start(&x, 0, false);
        bool doubled = all[i].kb == 360 && all[i].cmos == 2;
        unsigned cyl = all[i].cyls - 1, head = all[i].heads - 1, spt = all[i].spt;
        fdc_seek(&x, 0, doubled ? 2 * cyl : cyl);
        for (unsigned rate = 0; rate < 4; rate++) {
            rig_outb(&x.r, 0x3f7, (uint8_t)rate);
            CMD(&x, 0x4a, 0);
            fdc_wait_irq(&x);
            EXPECT_EQ(fdc_results(&x), 7);
            bool ok = all[i].rates >> rate & 1;
            EXPECT_EQ(x.res[0], ok ? 0 : 0x40);
            EXPECT_EQ(x.res[1], ok ? 0 : 0x01);
            if (ok) {
                EXPECT_EQ(x.res[3], cyl);
                fdc_program_dma(&x, true, 512);
                CMD(&x, 0x46, (uint8_t)(head << 2), (uint8_t)cyl, (uint8_t)head, (uint8_t)spt, 2,
                    (uint8_t)spt, 27, 0xff);
                fdc_wait_irq(&x);
                fdc_expect7(&x, head << 2, 0, 0, cyl + 1, head, 1);
                fdc_expect_sectors(&x, all[i].kb * 2 - 1, 1);
                if (head == 0) {
                    CMD(&x, 0x4a, 4); // the other side is bare
                    fdc_wait_irq(&x);
                    fdc_results(&x);
                    EXPECT_EQ(x.res[1], 0x01);
                }
            }
        }
        if (doubled) {
            rig_outb(&x.r, 0x3f7, 1);
            fdc_seek(&x, 0, 11);
            CMD(&x, 0x4a, 0);
            fdc_wait_irq(&x);
            fdc_results(&x);
            EXPECT_EQ(x.res[1], 0x01); // between two tracks
        }
        fdc_done(&x);
    }
}

// Without a turning medium the chip waits for index pulses until one comes or it is reset.
TEST(fdc_no_medium)
{
    struct fd x;
    fdc_setup(&x, 0, "");
    fdc_start(&x, 0, false);
    EXPECT_EQ(fdc_floppy_types(x.d), 0x44);
    CMD(&x, 0x04, 0);
    fdc_results(&x);
    EXPECT_EQ(x.res[0], 0x78); // protected, track 0
    fdc_seek(&x, 0, 1);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff); // a step with no medium does not clear it
    fdc_program_dma(&x, true, 512);
    CMD(&x, 0x46, 0, 1, 0, 1, 2, 18, 27, 0xff);
    rig_run(&x.r, 5 * VTIME_SEC);
    EXPECT(!fdc_irq(&x));
    EXPECT_EQ(fdc_msr(&x), 0x10);
    rig_reload(&x.r);
    fdc_make_disk(&x.disk[0], 2880);
    x.drive[0].blk = &x.disk[0].blk;
    x.drive[0].changed(x.drive[0].dev);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0, 0, 0, 1, 0, 2);
    fdc_expect_sectors(&x, 36, 1);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff);
    fdc_seek(&x, 0, 2);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0x7f);
    // Taken out and put in again.
    x.drive[0].blk = NULL;
    x.drive[0].changed(x.drive[0].dev);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff);
    x.drive[0].blk = &x.disk[0].blk;
    x.drive[0].changed(x.drive[0].dev);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff);
    // The motor off is no better, and the way out is a reset.
    rig_outb(&x.r, 0x3f2, 0x0c);
    CMD(&x, 0x4a, 0);
    rig_run(&x.r, 5 * VTIME_SEC);
    EXPECT(!fdc_irq(&x));
    rig_outb(&x.r, 0x3f2, 0x08);
    rig_outb(&x.r, 0x3f2, 0x1c);
    fdc_wait_irq(&x);
    EXPECT_EQ(fdc_msr(&x), 0x80);
    rig_outb(&x.r, 0x3f2, 0x2d); // the other drive is empty
    CMD(&x, 0x4a, 1);
    rig_run(&x.r, 5 * VTIME_SEC);
    EXPECT_EQ(fdc_msr(&x), 0x10);
    fdc_done(&x);
}

// turbo=off: what the mechanics need.
TEST(fdc_real_times)
{
    struct fd x;
    fdc_setup(&x, 2880, "turbo=off");
    rig_outb(&x.r, 0x3f2, 0x1c);
    EXPECT_EQ(fdc_wait_irq(&x), 1024 * VTIME_US);
    for (unsigned i = 0; i < 4; i++) {
        CMD(&x, 0x08);
        fdc_results(&x);
    }
    rig_outb(&x.r, 0x3f7, 0);
    CMD(&x, 0x03, 0xdf, 2); // 3 ms a step at 500 kbit/s
    CMD(&x, 0x0f, 0, 40);
    EXPECT_EQ(fdc_wait_irq(&x), (40 * 3 + 15) * VTIME_MS);
    CMD(&x, 0x08);
    fdc_results(&x);
    // The motor comes up to speed half a second after it was switched on.
    fdc_program_dma(&x, true, 18 * 512);
    CMD(&x, 0x46, 0, 40, 0, 1, 2, 18, 27, 0xff);
    uint64_t t = fdc_wait_irq(&x);
    EXPECT(t > 500 * VTIME_MS - 137 * VTIME_MS && t < 950 * VTIME_MS);
    fdc_expect7(&x, 0, 0, 0, 41, 0, 1);
    fdc_expect_sectors(&x, 40 * 36, 18);
    // A whole track is one turn, however it lies.
    for (unsigned i = 0; i < 5; i++) {
        rig_run(&x.r, 33 * VTIME_MS);
        fdc_program_dma(&x, true, 18 * 512);
        CMD(&x, 0x46, 0, 40, 0, 1, 2, 18, 27, 0xff);
        t = fdc_wait_irq(&x);
        EXPECT(t > 195 * VTIME_MS && t < 400 * VTIME_MS);
        fdc_results(&x);
    }
    // What is not there takes two index pulses to find out.
    fdc_program_dma(&x, true, 512);
    CMD(&x, 0x46, 0, 40, 0, 99, 2, 18, 27, 0xff);
    t = fdc_wait_irq(&x);
    EXPECT(t > 200 * VTIME_MS && t <= 400 * VTIME_MS);
    fdc_expect7(&x, 0x40, 0x04, 0, 40, 0, 99);
    fdc_done(&x);
}

TEST(fdc_wrong_properties)
{
    struct rig r;
    struct err e = {""};
    rig_init(&r);
    struct dev *d = dev_new(&r.env, &fdc_class, "fdc", &e);
    EXPECT(dev_set(d, "fdtypeA", "5MB", &e));
    EXPECT(!dev_init(d, &e));
    EXPECT_STR(e.msg, "fdc: fdtypeA=5MB: want auto, 360K, 1.2M, 720K, 1.44M, 2.88M or none");
    d = dev_new(&r.env, &fdc_class, "fdc2", &e);
    EXPECT(dev_set(d, "dma", "pit", &e));
    EXPECT(!dev_init(d, &e));
    EXPECT_STR(e.msg, "fdc2: dma=pit: no such DMA controller");
    rig_fini(&r);
}
