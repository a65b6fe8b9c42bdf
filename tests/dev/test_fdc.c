// The 82077AA with diskettes in memory, the 8237 and a megabyte of RAM on a bare bus.

#include <stdlib.h>
#include <string.h>

#include "hw/disk/fdc.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

struct diskette {
    struct blk blk; // first
    uint8_t *data;
    bool broken; // the host fails
    unsigned writes;
};

struct fd {
    struct rig r;
    struct dev *d;
    struct probe *p;
    struct drive drive[2];
    struct diskette disk[2];
    uint8_t res[16];
};

static bool blk_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct diskette *k = (struct diskette *)b;
    memcpy(buf, k->data + off, len);
    return !k->broken;
}

static bool blk_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    struct diskette *k = (struct diskette *)b;
    memcpy(k->data + off, buf, len);
    k->writes++;
    return !k->broken;
}

static bool blk_flush(struct blk *b)
{
    (void)b;
    return true;
}

// Each sector begins with its number and is filled with it.
static void make_disk(struct diskette *k, unsigned sectors)
{
    *k = (struct diskette){
        .blk = {.bytes = sectors * UINT64_C(512),
                .read = blk_read,
                .write = blk_write,
                .flush = blk_flush},
        .data = malloc(sectors * (size_t)512),
    };
    for (unsigned i = 0; i < sectors; i++) {
        memset(k->data + i * (size_t)512, (int)(i & 0x7f), 512);
        k->data[i * (size_t)512] = (uint8_t)i;
        k->data[i * (size_t)512 + 1] = (uint8_t)(i >> 8);
    }
}

static void setup(struct fd *x, unsigned sectors, const char *props)
{
    struct err e = {""};
    char copy[128], *rest = copy;
    rig_init(&x->r);
    rig_add(&x->r, &i8237_class, "dma0", "");
    struct ram *ram = x->r.env.ram_new(x->r.env.ram_ctx, "ram", 1 << 20);
    aspace_map_ram(&x->r.mem, 0, 1 << 20, ram, 0, false, "ram", 0);
    x->drive[0] = (struct drive){.name = "floppy0", .kind = DRIVE_FLOPPY};
    x->drive[1] = (struct drive){.name = "floppy1", .kind = DRIVE_FLOPPY};
    x->disk[0].data = x->disk[1].data = NULL;
    if (sectors) {
        make_disk(&x->disk[0], sectors);
        x->drive[0].blk = &x->disk[0].blk;
    }
    x->d = dev_new(&x->r.env, &fdc_class, "fdc", &e);
    dev_set_backend(x->d, "driveA", PROP_DRIVE, &x->drive[0], &e);
    dev_set_backend(x->d, "driveB", PROP_DRIVE, &x->drive[1], &e);
    dev_set(x->d, "dma", "dma0", &e);
    for (strcpy(copy, props); *rest;) {
        char *key = rest, *val = strchr(rest, '=');
        *val++ = 0;
        rest = val + strcspn(val, ",");
        if (*rest) {
            *rest++ = 0;
        }
        EXPECT(dev_set(x->d, key, val, &e));
    }
    if (!EXPECT(dev_init(x->d, &e))) {
        FAIL("%s", e.msg);
    }
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "fdc.irq", "p.in0");
    rig_reset(&x->r, RESET_COLD);
    rig_run(&x->r, 12345);
}

static void done(struct fd *x)
{
    free(x->disk[0].data);
    free(x->disk[1].data);
    rig_fini(&x->r);
}

static bool irq(struct fd *x)
{
    return dev_pin_in(&x->p->dev, 0);
}

static uint8_t msr(struct fd *x)
{
    return rig_inb(&x->r, 0x3f4);
}

static void command(struct fd *x, unsigned n, const uint8_t *bytes)
{
    for (unsigned i = 0; i < n; i++) {
        EXPECT_EQ(msr(x) & 0xc0, 0x80);
        rig_outb(&x->r, 0x3f5, bytes[i]);
    }
}
#define CMD(x, ...) command((x), sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

// Read the result phase; the number of bytes it had.
static unsigned result(struct fd *x)
{
    unsigned n = 0;
    memset(x->res, 0xee, sizeof x->res);
    while ((msr(x) & 0xd0) == 0xd0 && n < sizeof x->res) {
        x->res[n++] = rig_inb(&x->r, 0x3f5);
    }
    return n;
}

// Until the interrupt, at most two seconds; how long it took.
static uint64_t wait_irq(struct fd *x)
{
    vtime start = x->r.clock.s.now;
    while (!irq(x) && x->r.clock.s.now < start + 2 * VTIME_SEC) {
        vtime t = clock_next(&x->r.clock);
        rig_run_to(&x->r, t < start + 2 * VTIME_SEC ? t : start + 2 * VTIME_SEC);
    }
    EXPECT(irq(x));
    return x->r.clock.s.now - start;
}

// 7 result bytes: ST0, ST1, ST2, C, H, R, N.
static bool expect7(struct fd *x, unsigned st0, unsigned st1, unsigned st2, unsigned c, unsigned h,
                    unsigned r)
{
    unsigned n = result(x);
    const uint8_t want[7] = {
        (uint8_t)st0, (uint8_t)st1, (uint8_t)st2, (uint8_t)c, (uint8_t)h, (uint8_t)r, 2};
    EXPECT_EQ(irq(x), 0);
    return EXPECT_EQ(n, 7) && EXPECT_MEM(x->res, want, 7);
}

// As a BIOS does: out of reset with the motor on, sense four times, rate, times.
static void start(struct fd *x, uint8_t rate, bool pio)
{
    rig_outb(&x->r, 0x3f2, 0x1c);
    wait_irq(x);
    for (unsigned i = 0; i < 4; i++) {
        CMD(x, 0x08);
        EXPECT_EQ(result(x), 2);
        EXPECT_EQ(x->res[0], 0xc0 + i);
    }
    rig_outb(&x->r, 0x3f7, rate);
    CMD(x, 0x03, 0xdf, pio ? 3 : 2);
}

static void seek(struct fd *x, unsigned unit, unsigned cyl)
{
    CMD(x, 0x0f, (uint8_t)unit, (uint8_t)cyl);
    EXPECT_EQ(msr(x), 0x80 | 1u << unit);
    wait_irq(x);
    CMD(x, 0x08);
    EXPECT_EQ(result(x), 2);
    EXPECT_EQ(x->res[0], 0x20 | unit);
    EXPECT_EQ(x->res[1], cyl);
    EXPECT(!irq(x));
}

static void recalibrate(struct fd *x)
{
    CMD(x, 0x07, 0);
    wait_irq(x);
    CMD(x, 0x08);
    EXPECT_EQ(result(x), 2);
    EXPECT_EQ(x->res[0], 0x20);
    EXPECT_EQ(x->res[1], 0);
}

// Channel 2 to or from 10000H.
static void dma(struct fd *x, bool to_mem, unsigned bytes)
{
    rig_outb(&x->r, 0x0a, 6);
    rig_outb(&x->r, 0x0c, 0);
    rig_outb(&x->r, 0x0b, to_mem ? 0x46 : 0x4a);
    rig_outb(&x->r, 0x04, 0);
    rig_outb(&x->r, 0x04, 0);
    rig_outb(&x->r, 0x05, (uint8_t)(bytes - 1));
    rig_outb(&x->r, 0x05, (uint8_t)((bytes - 1) >> 8));
    rig_outb(&x->r, 0x81, 1);
    rig_outb(&x->r, 0x0a, 2);
}

static uint8_t peek(struct fd *x, unsigned at)
{
    return (uint8_t)aspace_read(&x->r.mem, 0x10000 + at, 1);
}

// Memory at 10000H holds the sectors lba...
static void expect_sectors(struct fd *x, unsigned lba, unsigned n)
{
    uint8_t got[512];
    for (unsigned i = 0; i < n; i++) {
        aspace_read_buf(&x->r.mem, 0x10000 + i * 512, got, 512);
        EXPECT_MEM(got, x->disk[0].data + (lba + i) * (size_t)512, 512);
    }
}

TEST(fdc_reset_and_registers)
{
    struct fd x;
    setup(&x, 2880, "");
    EXPECT_EQ(rig_inb(&x.r, 0x3f2), 0);
    EXPECT_EQ(msr(&x), 0);
    EXPECT_EQ(rig_inb(&x.r, 0x3f0), 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x3f6), 0xff); // not ours
    rig_outb(&x.r, 0x3f5, 0x10);           // in reset: lost
    rig_outb(&x.r, 0x3f2, 0x0c);
    EXPECT_EQ(msr(&x), 0);
    EXPECT(!irq(&x));
    wait_irq(&x);
    EXPECT_EQ(msr(&x), 0x80);
    rig_reload(&x.r);
    rig_outb(&x.r, 0x3f2, 0x04); // no DMA gate: no interrupt on the bus
    EXPECT(!irq(&x));
    rig_outb(&x.r, 0x3f2, 0x0c);
    EXPECT(irq(&x));
    for (unsigned i = 0; i < 4; i++) {
        CMD(&x, 0x08);
        EXPECT(!irq(&x));
        EXPECT_EQ(result(&x), 2);
        EXPECT_EQ(x.res[0], 0xc0 + i);
        EXPECT_EQ(x.res[1], 0);
    }
    CMD(&x, 0x08); // nothing left to sense
    EXPECT_EQ(result(&x), 1);
    EXPECT_EQ(x.res[0], 0x80);
    CMD(&x, 0x10);
    EXPECT_EQ(msr(&x), 0xd0);
    EXPECT_EQ(result(&x), 1);
    EXPECT_EQ(x.res[0], 0x90);
    CMD(&x, 0x18); // PART ID is the 82078's
    EXPECT_EQ(result(&x), 1);
    EXPECT_EQ(x.res[0], 0x80);
    CMD(&x, 0x1f);
    EXPECT_EQ(result(&x), 1);
    EXPECT_EQ(x.res[0], 0x80);
    EXPECT_EQ(msr(&x), 0x80);
    rig_outb(&x.r, 0x3f3, 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x3f3), 0xff);
    // The self-clearing reset of the DSR.
    rig_outb(&x.r, 0x3f5, 0x0f);
    EXPECT_EQ(msr(&x), 0x90);
    rig_outb(&x.r, 0x3f4, 0x82);
    EXPECT_EQ(msr(&x), 0);
    wait_irq(&x);
    EXPECT_EQ(msr(&x), 0x80);
    done(&x);
}

TEST(fdc_configure_lock_dumpreg)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    CMD(&x, 0x13, 0, 0x57, 0x30); // implied seek, no polling, threshold 8
    CMD(&x, 0x12, 0x84 | 0x03);
    CMD(&x, 0x0e);
    EXPECT_EQ(result(&x), 10);
    static const uint8_t want[10] = {0, 0, 0, 0, 0xdf, 2, 0, 0x07, 0x57, 0x30};
    EXPECT_MEM(x.res, want, 10);
    CMD(&x, 0x94);
    EXPECT_EQ(result(&x), 1);
    EXPECT_EQ(x.res[0], 0x10);
    rig_outb(&x.r, 0x3f4, 0x80);
    rig_run(&x.r, VTIME_MS);
    CMD(&x, 0x0e);
    EXPECT_EQ(result(&x), 10);
    // Locked: FIFO, threshold and pretrack stay; implied seek and polling go to their defaults.
    static const uint8_t locked[10] = {0, 0, 0, 0, 0xdf, 2, 0, 0x84, 0x07, 0x30};
    EXPECT_MEM(x.res, locked, 10);
    rig_reload(&x.r);
    CMD(&x, 0x14);
    EXPECT_EQ(result(&x), 1);
    EXPECT_EQ(x.res[0], 0);
    rig_outb(&x.r, 0x3f4, 0x80);
    rig_run(&x.r, VTIME_MS);
    CMD(&x, 0x0e);
    EXPECT_EQ(result(&x), 10);
    EXPECT_EQ(x.res[7], 0x04);
    EXPECT_EQ(x.res[8], 0x20);
    EXPECT_EQ(x.res[9], 0);
    // Without polling a reset does not interrupt.
    CMD(&x, 0x13, 0, 0x10, 0);
    CMD(&x, 0x94);
    result(&x);
    unsigned rises = x.p->rises[0];
    CMD(&x, 0x13, 0, 0x30, 0);
    EXPECT_EQ(x.p->rises[0], rises);
    done(&x);
}

TEST(fdc_seeks)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff); // changed, until a step
    recalibrate(&x);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff); // at track 0 it does not step
    CMD(&x, 0x04, 0x04);
    EXPECT_EQ(result(&x), 1);
    EXPECT_EQ(x.res[0], 0x3c); // ready, track 0, two sides, head 1
    seek(&x, 0, 40);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0x7f);
    CMD(&x, 0x04, 0x00);
    result(&x);
    EXPECT_EQ(x.res[0], 0x28);
    CMD(&x, 0xcf, 0, 5); // relative, inward
    wait_irq(&x);
    rig_reload(&x.r);
    CMD(&x, 0x08);
    result(&x);
    EXPECT_EQ(x.res[0], 0x20);
    EXPECT_EQ(x.res[1], 45);
    CMD(&x, 0x8f, 0, 15);
    wait_irq(&x);
    CMD(&x, 0x08);
    result(&x);
    EXPECT_EQ(x.res[1], 30);
    CMD(&x, 0x4a, 0);
    wait_irq(&x);
    result(&x);
    EXPECT_EQ(x.res[3], 30); // and the heads are there
    // 79 steps do not bring heads from cylinder 82 to track 0.
    seek(&x, 0, 82);
    CMD(&x, 0x07, 0);
    wait_irq(&x);
    CMD(&x, 0x08);
    result(&x);
    EXPECT_EQ(x.res[0], 0x70);
    EXPECT_EQ(x.res[1], 0);
    recalibrate(&x);
    // A unit that is not there, selected or not.
    rig_outb(&x.r, 0x3f2, 0x4e);
    CMD(&x, 0x07, 2);
    wait_irq(&x);
    CMD(&x, 0x08);
    result(&x);
    EXPECT_EQ(x.res[0], 0x72);
    done(&x);
}

TEST(fdc_read_dma)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    recalibrate(&x);
    seek(&x, 0, 3);
    dma(&x, true, 512);
    CMD(&x, 0xe6, 0x04, 3, 1, 5, 2, 18, 0x1b, 0xff);
    EXPECT_EQ(msr(&x), 0x10);
    rig_reload(&x.r);
    wait_irq(&x);
    EXPECT_EQ(msr(&x), 0xd0);
    expect7(&x, 0x04, 0, 0, 3, 1, 6);
    expect_sectors(&x, (3 * 2 + 1) * 18 + 4, 1);
    // Both sides of a cylinder by multi-track.
    dma(&x, true, 36 * 512);
    CMD(&x, 0xe6, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x04, 0, 0, 4, 0, 1);
    expect_sectors(&x, 3 * 36, 36);
    // Terminal count at the end of side 0: the head bit in the result is what comes next.
    dma(&x, true, 18 * 512);
    CMD(&x, 0xe6, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0, 3, 1, 1);
    // Without multi-track the cylinder counts up.
    dma(&x, true, 18 * 512);
    CMD(&x, 0x46, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0, 4, 0, 1);
    // No terminal count before the end of the cylinder.
    dma(&x, true, 2048);
    CMD(&x, 0x46, 0x00, 3, 0, 17, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x40, 0x80, 0, 4, 0, 1);
    // Terminal count inside a sector: nothing more is moved.
    aspace_write(&x.r.mem, 0x10000 + 700, 1, 0xa5);
    dma(&x, true, 700);
    CMD(&x, 0x46, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0, 3, 0, 3);
    EXPECT_EQ(peek(&x, 700), 0xa5);
    EXPECT_EQ(peek(&x, 699), x.disk[0].data[(3 * 36 + 1) * 512 + 187]);
    done(&x);
}

TEST(fdc_write_dma)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    seek(&x, 0, 79);
    for (unsigned i = 0; i < 1024; i++) {
        aspace_write(&x.r.mem, 0x10000 + i, 1, (i * 3 + 1) & 0xff);
    }
    dma(&x, false, 1024);
    CMD(&x, 0xc5, 0x04, 79, 1, 17, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x04, 0, 0, 80, 0, 1);
    expect_sectors(&x, 2878, 2);
    EXPECT_EQ(x.disk[0].writes, 2);
    // A part of a sector: the rest becomes zeros.
    dma(&x, false, 100);
    CMD(&x, 0xc5, 0x00, 79, 0, 1, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0, 79, 0, 2);
    const uint8_t *s = x.disk[0].data + 79 * 36 * 512;
    EXPECT_EQ(s[99], (99 * 3 + 1) & 0xff);
    EXPECT_EQ(s[100], 0);
    EXPECT_EQ(s[511], 0);
    // Protected.
    x.disk[0].blk.readonly = true;
    dma(&x, false, 512);
    CMD(&x, 0xc5, 0x00, 79, 0, 1, 2, 18, 0x1b, 0xff);
    wait_irq(&x);
    expect7(&x, 0x40, 0x02, 0, 79, 0, 1);
    CMD(&x, 0x04, 0);
    result(&x);
    EXPECT_EQ(x.res[0], 0x68);
    CMD(&x, 0x4d, 0x00, 2, 18, 0x54, 0xf6);
    wait_irq(&x);
    EXPECT_EQ(result(&x), 7);
    EXPECT_EQ(x.res[0], 0x40);
    EXPECT_EQ(x.res[1], 0x02);
    done(&x);
}

TEST(fdc_errors)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    seek(&x, 0, 2);
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
        dma(&x, cases[i].op != 0x45, 512);
        CMD(&x, cases[i].op, cases[i].head, cases[i].c, cases[i].h, cases[i].r, cases[i].n, 18, 27,
            0xff);
        wait_irq(&x);
        EXPECT_EQ(result(&x), 7);
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
    wait_irq(&x);
    expect7(&x, 0x40, 0x10, 0, 2, 0, 1);
    // The host's file fails.
    x.disk[0].broken = true;
    dma(&x, true, 512);
    CMD(&x, 0x46, 0, 2, 0, 1, 2, 18, 27, 0xff);
    wait_irq(&x);
    expect7(&x, 0x40, 0x20, 0x20, 2, 0, 1);
    dma(&x, false, 512);
    CMD(&x, 0x45, 0, 2, 0, 1, 2, 18, 27, 0xff);
    wait_irq(&x);
    expect7(&x, 0x40, 0x20, 0, 2, 0, 1);
    done(&x);
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
        setup(&x, all[i].kb * 2, props);
        EXPECT_EQ(fdc_floppy_types(x.d), all[i].cmos << 4 | 4);
        start(&x, 0, false);
        bool doubled = all[i].kb == 360 && all[i].cmos == 2;
        unsigned cyl = all[i].cyls - 1, head = all[i].heads - 1, spt = all[i].spt;
        seek(&x, 0, doubled ? 2 * cyl : cyl);
        for (unsigned rate = 0; rate < 4; rate++) {
            rig_outb(&x.r, 0x3f7, (uint8_t)rate);
            CMD(&x, 0x4a, 0);
            wait_irq(&x);
            EXPECT_EQ(result(&x), 7);
            bool ok = all[i].rates >> rate & 1;
            EXPECT_EQ(x.res[0], ok ? 0 : 0x40);
            EXPECT_EQ(x.res[1], ok ? 0 : 0x01);
            if (ok) {
                EXPECT_EQ(x.res[3], cyl);
                dma(&x, true, 512);
                CMD(&x, 0x46, (uint8_t)(head << 2), (uint8_t)cyl, (uint8_t)head, (uint8_t)spt, 2,
                    (uint8_t)spt, 27, 0xff);
                wait_irq(&x);
                expect7(&x, head << 2, 0, 0, cyl + 1, head, 1);
                expect_sectors(&x, all[i].kb * 2 - 1, 1);
                if (head == 0) {
                    CMD(&x, 0x4a, 4); // the other side is bare
                    wait_irq(&x);
                    result(&x);
                    EXPECT_EQ(x.res[1], 0x01);
                }
            }
        }
        if (doubled) {
            rig_outb(&x.r, 0x3f7, 1);
            seek(&x, 0, 11);
            CMD(&x, 0x4a, 0);
            wait_irq(&x);
            result(&x);
            EXPECT_EQ(x.res[1], 0x01); // between two tracks
        }
        done(&x);
    }
}

TEST(fdc_read_pio)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, true);
    unsigned rises = x.p->rises[0], n = 0;
    CMD(&x, 0x46, 0, 0, 0, 17, 2, 18, 27, 0xff);
    EXPECT_EQ(msr(&x), 0x30);
    uint8_t got[1024];
    for (unsigned k = 0; k < 20000 && n < 1024; k++) {
        if ((msr(&x) & 0xf0) == 0xf0) {
            EXPECT(irq(&x));
            got[n++] = rig_inb(&x.r, 0x3f5);
            EXPECT_EQ(irq(&x), n == 1024); // FIFO off: an interrupt for each byte
        }
        rig_run(&x.r, 300);
        if (k == 777) {
            rig_reload(&x.r);
        }
    }
    EXPECT_EQ(n, 1024);
    EXPECT_MEM(got, x.disk[0].data + 16 * 512, 1024);
    EXPECT_EQ(x.p->rises[0] - rises, 1025);
    expect7(&x, 0x40, 0x80, 0, 1, 0, 1); // without terminal count: end of cylinder
    // With the FIFO at threshold 8: eight bytes an interrupt.
    CMD(&x, 0x13, 0, 0x07, 0);
    rises = x.p->rises[0];
    CMD(&x, 0x46, 0, 0, 0, 18, 2, 18, 27, 0xff);
    for (n = 0; n < 512;) {
        wait_irq(&x);
        unsigned k = 0;
        for (; (msr(&x) & 0xf0) == 0xf0; k++, n++) {
            EXPECT_EQ(rig_inb(&x.r, 0x3f5), x.disk[0].data[17 * 512 + n]);
        }
        EXPECT_EQ(k, 8);
    }
    expect7(&x, 0x40, 0x80, 0, 1, 0, 1);
    done(&x);
}

TEST(fdc_write_pio)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, true);
    CMD(&x, 0x13, 0, 0x08, 0);
    CMD(&x, 0xc5, 0, 0, 0, 18, 2, 18, 27, 0xff);
    unsigned n = 0;
    for (unsigned k = 0; k < 2000 && n < 1024; k++) {
        if ((msr(&x) & 0xf0) == 0xb0) {
            rig_outb(&x.r, 0x3f5, (uint8_t)(n++ ^ 0x5a));
        } else {
            rig_run(&x.r, VTIME_US);
        }
    }
    // Multi-track: sector 18 of side 0, then all of side 1 is wanted; stop in its second sector.
    EXPECT_EQ(n, 1024);
    EXPECT_EQ(x.disk[0].data[17 * 512 + 5], 5 ^ 0x5a);
    EXPECT_EQ(x.disk[0].data[18 * 512 + 5], 5 ^ 0x5a);
    EXPECT_EQ(x.disk[0].writes, 2);
    rig_outb(&x.r, 0x3f2, 0x18); // a reset is the way out
    rig_outb(&x.r, 0x3f2, 0x1c);
    wait_irq(&x);
    EXPECT_EQ(x.disk[0].writes, 2);
    done(&x);
}

TEST(fdc_format)
{
    struct fd x;
    setup(&x, 1440, "");
    start(&x, 2, false);
    seek(&x, 0, 10);
    for (unsigned i = 0; i < 9; i++) {
        const uint8_t id[4] = {10, 1, (uint8_t)(1 + i * 2 % 9), 2}; // interleaved
        aspace_write_buf(&x.r.mem, 0x10000 + 4 * i, id, 4);
    }
    dma(&x, false, 36);
    CMD(&x, 0x4d, 0x04, 2, 9, 0x50, 0xf6);
    wait_irq(&x);
    EXPECT_EQ(result(&x), 7);
    EXPECT_EQ(x.res[0], 0x04);
    EXPECT_EQ(x.res[1], 0);
    EXPECT_EQ(x.disk[0].writes, 9);
    for (unsigned i = 0; i < 9 * 512; i++) {
        EXPECT_EQ(x.disk[0].data[(10 * 18 + 9) * 512 + i], 0xf6);
    }
    EXPECT_EQ(x.disk[0].data[(10 * 18 + 8) * 512 + 3], (10 * 18 + 8) & 0x7f);
    EXPECT_EQ(x.disk[0].data[(10 * 18 + 18) * 512 + 3], (10 * 18 + 18) & 0x7f);
    // At the wrong rate nothing lands on the image, nor do numbers that the diskette does not have.
    rig_outb(&x.r, 0x3f7, 0);
    dma(&x, false, 36);
    CMD(&x, 0x4d, 0x04, 2, 9, 0x50, 0xe5);
    wait_irq(&x);
    result(&x);
    EXPECT_EQ(x.res[0], 0x04);
    EXPECT_EQ(x.disk[0].writes, 9);
    // By hand, without DMA.
    rig_outb(&x.r, 0x3f7, 2);
    CMD(&x, 0x03, 0xdf, 3);
    CMD(&x, 0x4d, 0x00, 2, 2, 0x50, 0xe5);
    static const uint8_t ids[8] = {10, 0, 3, 2, 10, 0, 11, 2};
    for (unsigned i = 0; i < 8; i++) {
        wait_irq(&x);
        EXPECT_EQ(msr(&x), 0xb0);
        rig_outb(&x.r, 0x3f5, ids[i]);
    }
    wait_irq(&x);
    EXPECT_EQ(result(&x), 7);
    EXPECT_EQ(x.res[0], 0);
    EXPECT_EQ(x.disk[0].writes, 10);
    EXPECT_EQ(x.disk[0].data[(10 * 18 + 2) * 512], 0xe5);
    done(&x);
}

TEST(fdc_verify_and_read_track)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    CMD(&x, 0x56, 0, 0, 0, 1, 2, 18, 27, 0xff); // to EOT
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0, 1, 0, 1);
    CMD(&x, 0xd6, 0x80, 0, 0, 10, 2, 18, 27, 20); // 20 sectors, over to side 1
    wait_irq(&x);
    expect7(&x, 0x04, 0, 0, 0, 1, 12);
    CMD(&x, 0x56, 0x80, 0, 0, 10, 2, 18, 27, 20); // more than there are
    wait_irq(&x);
    expect7(&x, 0x40, 0x80, 0, 1, 0, 1);
    dma(&x, true, 18 * 512);
    CMD(&x, 0x42, 0x04, 0, 1, 1, 2, 18, 27, 0xff);
    wait_irq(&x);
    expect7(&x, 0x04, 0, 0, 0, 1, 19);
    expect_sectors(&x, 18, 18);
    // It reads from the index hole on, whatever the numbers; that they differ is noted.
    dma(&x, true, 2 * 512);
    CMD(&x, 0x42, 0x04, 0, 1, 7, 2, 2, 27, 0xff);
    wait_irq(&x);
    expect7(&x, 0x04, 0x04, 0, 0, 1, 9);
    expect_sectors(&x, 18, 2);
    done(&x);
}

TEST(fdc_deleted_and_scan)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    dma(&x, true, 2048);
    CMD(&x, 0x4c, 0, 0, 0, 3, 2, 18, 27, 0xff); // deleted wanted, a normal one found
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0x40, 0, 0, 4);
    expect_sectors(&x, 2, 1);
    CMD(&x, 0x6c, 0, 0, 0, 3, 2, 18, 27, 0xff); // skip them
    wait_irq(&x);
    expect7(&x, 0x40, 0x80, 0, 1, 0, 1);
    // Scans: memory holds sector 5 (number 6) with two bytes "any".
    uint8_t want[512];
    memcpy(want, x.disk[0].data + 5 * 512, 512);
    want[0] = want[1] = 0xff;
    for (unsigned i = 0; i < 18; i++) {
        aspace_write_buf(&x.r.mem, 0x10000 + i * 512, want, 512);
    }
    dma(&x, false, 18 * 512);
    CMD(&x, 0x51, 0, 0, 0, 1, 2, 18, 27, 1);
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0x08, 0, 0, 6);
    dma(&x, false, 18 * 512);
    CMD(&x, 0x51, 0, 0, 0, 1, 2, 18, 27, 2); // every second: 1, 3, ... 17
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0x04, 1, 0, 1);
    dma(&x, false, 18 * 512);
    CMD(&x, 0x5d, 0, 0, 0, 1, 2, 18, 27, 2);
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0, 0, 0, 7); // the first that is higher
    dma(&x, false, 18 * 512);
    CMD(&x, 0x59, 0, 0, 0, 1, 2, 18, 27, 1);
    wait_irq(&x);
    expect7(&x, 0x00, 0, 0, 0, 0, 1); // lower
    done(&x);
}

TEST(fdc_implied_seek)
{
    struct fd x;
    setup(&x, 2880, "");
    start(&x, 0, false);
    CMD(&x, 0x13, 0, 0x40, 0);
    dma(&x, true, 512);
    CMD(&x, 0x46, 0, 33, 0, 4, 2, 18, 27, 0xff);
    wait_irq(&x);
    expect7(&x, 0, 0, 0, 33, 0, 5);
    expect_sectors(&x, 33 * 36 + 3, 1);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0x7f);
    done(&x);
}

// Without a turning medium the chip waits for index pulses until one comes or it is reset.
TEST(fdc_no_medium)
{
    struct fd x;
    setup(&x, 0, "");
    start(&x, 0, false);
    EXPECT_EQ(fdc_floppy_types(x.d), 0x44);
    CMD(&x, 0x04, 0);
    result(&x);
    EXPECT_EQ(x.res[0], 0x78); // protected, track 0
    seek(&x, 0, 1);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff); // a step with no medium does not clear it
    dma(&x, true, 512);
    CMD(&x, 0x46, 0, 1, 0, 1, 2, 18, 27, 0xff);
    rig_run(&x.r, 5 * VTIME_SEC);
    EXPECT(!irq(&x));
    EXPECT_EQ(msr(&x), 0x10);
    rig_reload(&x.r);
    make_disk(&x.disk[0], 2880);
    x.drive[0].blk = &x.disk[0].blk;
    x.drive[0].changed(x.drive[0].dev);
    wait_irq(&x);
    expect7(&x, 0, 0, 0, 1, 0, 2);
    expect_sectors(&x, 36, 1);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0xff);
    seek(&x, 0, 2);
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
    EXPECT(!irq(&x));
    rig_outb(&x.r, 0x3f2, 0x08);
    rig_outb(&x.r, 0x3f2, 0x1c);
    wait_irq(&x);
    EXPECT_EQ(msr(&x), 0x80);
    rig_outb(&x.r, 0x3f2, 0x2d); // the other drive is empty
    CMD(&x, 0x4a, 1);
    rig_run(&x.r, 5 * VTIME_SEC);
    EXPECT_EQ(msr(&x), 0x10);
    done(&x);
}

// turbo=off: what the mechanics need.
TEST(fdc_real_times)
{
    struct fd x;
    setup(&x, 2880, "turbo=off");
    rig_outb(&x.r, 0x3f2, 0x1c);
    EXPECT_EQ(wait_irq(&x), 1024 * VTIME_US);
    for (unsigned i = 0; i < 4; i++) {
        CMD(&x, 0x08);
        result(&x);
    }
    rig_outb(&x.r, 0x3f7, 0);
    CMD(&x, 0x03, 0xdf, 2); // 3 ms a step at 500 kbit/s
    CMD(&x, 0x0f, 0, 40);
    EXPECT_EQ(wait_irq(&x), (40 * 3 + 15) * VTIME_MS);
    CMD(&x, 0x08);
    result(&x);
    // The motor comes up to speed half a second after it was switched on.
    dma(&x, true, 18 * 512);
    CMD(&x, 0x46, 0, 40, 0, 1, 2, 18, 27, 0xff);
    uint64_t t = wait_irq(&x);
    EXPECT(t > 500 * VTIME_MS - 137 * VTIME_MS && t < 950 * VTIME_MS);
    expect7(&x, 0, 0, 0, 41, 0, 1);
    expect_sectors(&x, 40 * 36, 18);
    // A whole track is one turn, however it lies.
    for (unsigned i = 0; i < 5; i++) {
        rig_run(&x.r, 33 * VTIME_MS);
        dma(&x, true, 18 * 512);
        CMD(&x, 0x46, 0, 40, 0, 1, 2, 18, 27, 0xff);
        t = wait_irq(&x);
        EXPECT(t > 195 * VTIME_MS && t < 400 * VTIME_MS);
        result(&x);
    }
    // What is not there takes two index pulses to find out.
    dma(&x, true, 512);
    CMD(&x, 0x46, 0, 40, 0, 99, 2, 18, 27, 0xff);
    t = wait_irq(&x);
    EXPECT(t > 200 * VTIME_MS && t <= 400 * VTIME_MS);
    expect7(&x, 0x40, 0x04, 0, 40, 0, 99);
    done(&x);
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

// Random bytes to every port, with diskettes and DMA; nothing may break, whatever is restored.
TEST(fdc_random_work)
{
    struct t_rng rng = {t_seed()};
    static const uint8_t ops[] = {0x46, 0xc5, 0x4a, 0x4d, 0x42, 0x56, 0x51, 0x5d, 0x0f, 0x07,
                                  0x08, 0x13, 0x03, 0xcf, 0x4c, 0x0e, 0x04, 0xe6, 0x94};
    for (uint64_t round = t_amount(20, 200, 2000); round; round--) {
        struct fd x;
        setup(&x, t_rand(&rng) & 1 ? 2880 : 640, t_rand(&rng) & 1 ? "turbo=off" : "");
        rig_outb(&x.r, 0x3f2, 0x1c);
        for (unsigned i = 0; i < 3000; i++) {
            uint64_t v = t_rand(&rng);
            switch (v % 16) {
            case 0:
                rig_outb(&x.r, (uint16_t)(0x3f0 + (v >> 8) % 8), (uint8_t)(v >> 16));
                break;
            case 1:
                rig_run(&x.r, (v >> 8) % (VTIME_MS * 50));
                break;
            case 2:
                dma(&x, v >> 8 & 1, 1 + (v >> 16) % 4096);
                break;
            case 3:
                rig_outb(&x.r, 0x3f2, 0x1c);
                rig_outb(&x.r, 0x3f7, 0);
                break;
            case 4:
                if (v >> 8 & 1) {
                    x.drive[0].blk = x.drive[0].blk ? NULL : &x.disk[0].blk;
                    x.drive[0].changed(x.drive[0].dev);
                } else if ((v >> 9 & 7) == 0) {
                    rig_reload(&x.r);
                }
                break;
            case 5:
            case 6:
                rig_inb(&x.r, (uint16_t)(0x3f0 + (v >> 8) % 8));
                break;
            case 7:
                rig_outb(&x.r, 0x3f5, ops[(v >> 8) % sizeof ops]);
                break;
            default:
                rig_outb(&x.r, 0x3f5, (uint8_t)(v >> 8 & (v >> 20 & 1 ? 0xff : 3)));
                rig_inb(&x.r, 0x3f5);
                break;
            }
        }
        done(&x);
    }
}
