// The bench of tests/dev/fdc_bench.h.

#include "tests/dev/fdc_bench.h"

#include <stdlib.h>
#include <string.h>

#include "hw/hw.h"

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
void fdc_make_disk(struct diskette *k, unsigned sectors)
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

void fdc_setup(struct fd *x, unsigned sectors, const char *props)
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
        fdc_make_disk(&x->disk[0], sectors);
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

void fdc_done(struct fd *x)
{
    free(x->disk[0].data);
    free(x->disk[1].data);
    rig_fini(&x->r);
}

bool fdc_irq(struct fd *x)
{
    return dev_pin_in(&x->p->dev, 0);
}

uint8_t fdc_msr(struct fd *x)
{
    return rig_inb(&x->r, 0x3f4);
}

void fdc_command(struct fd *x, unsigned n, const uint8_t *bytes)
{
    for (unsigned i = 0; i < n; i++) {
        EXPECT_EQ(fdc_msr(x) & 0xc0, 0x80);
        rig_outb(&x->r, 0x3f5, bytes[i]);
    }
}

// Read the result phase; the number of bytes it had.
unsigned fdc_results(struct fd *x)
{
    unsigned n = 0;
    memset(x->res, 0xee, sizeof x->res);
    while ((fdc_msr(x) & 0xd0) == 0xd0 && n < sizeof x->res) {
        x->res[n++] = rig_inb(&x->r, 0x3f5);
    }
    return n;
}

// Until the interrupt, at most two seconds; how long it took.
uint64_t fdc_wait_irq(struct fd *x)
{
    vtime start = x->r.clock.s.now;
    while (!fdc_irq(x) && x->r.clock.s.now < start + 2 * VTIME_SEC) {
        vtime t = clock_next(&x->r.clock);
        rig_run_to(&x->r, t < start + 2 * VTIME_SEC ? t : start + 2 * VTIME_SEC);
    }
    EXPECT(fdc_irq(x));
    return x->r.clock.s.now - start;
}

// 7 result bytes: ST0, ST1, ST2, C, H, R, N.
bool fdc_expect7(struct fd *x, unsigned st0, unsigned st1, unsigned st2, unsigned c, unsigned h,
                 unsigned r)
{
    unsigned n = fdc_results(x);
    const uint8_t want[7] = {
        (uint8_t)st0, (uint8_t)st1, (uint8_t)st2, (uint8_t)c, (uint8_t)h, (uint8_t)r, 2};
    EXPECT_EQ(fdc_irq(x), 0);
    return EXPECT_EQ(n, 7) && EXPECT_MEM(x->res, want, 7);
}

// As a BIOS does: out of reset with the motor on, sense four times, rate, times.
void fdc_start(struct fd *x, uint8_t rate, bool pio)
{
    rig_outb(&x->r, 0x3f2, 0x1c);
    fdc_wait_irq(x);
    for (unsigned i = 0; i < 4; i++) {
        CMD(x, 0x08);
        EXPECT_EQ(fdc_results(x), 2);
        EXPECT_EQ(x->res[0], 0xc0 + i);
    }
    rig_outb(&x->r, 0x3f7, rate);
    CMD(x, 0x03, 0xdf, pio ? 3 : 2);
}

void fdc_seek(struct fd *x, unsigned unit, unsigned cyl)
{
    CMD(x, 0x0f, (uint8_t)unit, (uint8_t)cyl);
    EXPECT_EQ(fdc_msr(x), 0x80 | 1u << unit);
    fdc_wait_irq(x);
    CMD(x, 0x08);
    EXPECT_EQ(fdc_results(x), 2);
    EXPECT_EQ(x->res[0], 0x20 | unit);
    EXPECT_EQ(x->res[1], cyl);
    EXPECT(!fdc_irq(x));
}

void fdc_recalibrate(struct fd *x)
{
    CMD(x, 0x07, 0);
    fdc_wait_irq(x);
    CMD(x, 0x08);
    EXPECT_EQ(fdc_results(x), 2);
    EXPECT_EQ(x->res[0], 0x20);
    EXPECT_EQ(x->res[1], 0);
}

// Channel 2 to or from 10000H.
void fdc_program_dma(struct fd *x, bool to_mem, unsigned bytes)
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

uint8_t fdc_peek(struct fd *x, unsigned at)
{
    return (uint8_t)aspace_read(&x->r.mem, 0x10000 + at, 1);
}

// Memory at 10000H holds the sectors lba...
void fdc_expect_sectors(struct fd *x, unsigned lba, unsigned n)
{
    uint8_t got[512];
    for (unsigned i = 0; i < n; i++) {
        aspace_read_buf(&x->r.mem, 0x10000 + i * 512, got, 512);
        EXPECT_MEM(got, x->disk[0].data + (lba + i) * (size_t)512, 512);
    }
}
