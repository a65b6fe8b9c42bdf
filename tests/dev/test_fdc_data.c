// The 82077AA: commands that move data, by DMA and through the FIFO.

#include <string.h>

#include "tests/dev/fdc_bench.h"

TEST(fdc_read_dma)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    fdc_recalibrate(&x);
    fdc_seek(&x, 0, 3);
    fdc_program_dma(&x, true, 512);
    CMD(&x, 0xe6, 0x04, 3, 1, 5, 2, 18, 0x1b, 0xff);
    EXPECT_EQ(fdc_msr(&x), 0x10);
    rig_reload(&x.r);
    fdc_wait_irq(&x);
    EXPECT_EQ(fdc_msr(&x), 0xd0);
    fdc_expect7(&x, 0x04, 0, 0, 3, 1, 6);
    fdc_expect_sectors(&x, (3 * 2 + 1) * 18 + 4, 1);
    // Both sides of a cylinder by multi-track.
    fdc_program_dma(&x, true, 36 * 512);
    CMD(&x, 0xe6, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x04, 0, 0, 4, 0, 1);
    fdc_expect_sectors(&x, 3 * 36, 36);
    // Terminal count at the end of side 0: the head bit in the result is what comes next.
    fdc_program_dma(&x, true, 18 * 512);
    CMD(&x, 0xe6, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0, 3, 1, 1);
    // Without multi-track the cylinder counts up.
    fdc_program_dma(&x, true, 18 * 512);
    CMD(&x, 0x46, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0, 4, 0, 1);
    // No terminal count before the end of the cylinder.
    fdc_program_dma(&x, true, 2048);
    CMD(&x, 0x46, 0x00, 3, 0, 17, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x40, 0x80, 0, 4, 0, 1);
    // Terminal count inside a sector: nothing more is moved.
    aspace_write(&x.r.mem, 0x10000 + 700, 1, 0xa5);
    fdc_program_dma(&x, true, 700);
    CMD(&x, 0x46, 0x00, 3, 0, 1, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0, 3, 0, 3);
    EXPECT_EQ(fdc_peek(&x, 700), 0xa5);
    EXPECT_EQ(fdc_peek(&x, 699), x.disk[0].data[(3 * 36 + 1) * 512 + 187]);
    fdc_done(&x);
}

TEST(fdc_write_dma)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    fdc_seek(&x, 0, 79);
    for (unsigned i = 0; i < 1024; i++) {
        aspace_write(&x.r.mem, 0x10000 + i, 1, (i * 3 + 1) & 0xff);
    }
    fdc_program_dma(&x, false, 1024);
    CMD(&x, 0xc5, 0x04, 79, 1, 17, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x04, 0, 0, 80, 0, 1);
    fdc_expect_sectors(&x, 2878, 2);
    EXPECT_EQ(x.disk[0].writes, 2);
    // A part of a sector: the rest becomes zeros.
    fdc_program_dma(&x, false, 100);
    CMD(&x, 0xc5, 0x00, 79, 0, 1, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0, 79, 0, 2);
    const uint8_t *s = x.disk[0].data + 79 * 36 * 512;
    EXPECT_EQ(s[99], (99 * 3 + 1) & 0xff);
    EXPECT_EQ(s[100], 0);
    EXPECT_EQ(s[511], 0);
    // Protected.
    x.disk[0].blk.readonly = true;
    fdc_program_dma(&x, false, 512);
    CMD(&x, 0xc5, 0x00, 79, 0, 1, 2, 18, 0x1b, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x40, 0x02, 0, 79, 0, 1);
    CMD(&x, 0x04, 0);
    fdc_results(&x);
    EXPECT_EQ(x.res[0], 0x68);
    CMD(&x, 0x4d, 0x00, 2, 18, 0x54, 0xf6);
    fdc_wait_irq(&x);
    EXPECT_EQ(fdc_results(&x), 7);
    EXPECT_EQ(x.res[0], 0x40);
    EXPECT_EQ(x.res[1], 0x02);
    fdc_done(&x);
}

TEST(fdc_read_pio)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, true);
    unsigned rises = x.p->rises[0], n = 0;
    CMD(&x, 0x46, 0, 0, 0, 17, 2, 18, 27, 0xff);
    EXPECT_EQ(fdc_msr(&x), 0x30);
    uint8_t got[1024];
    for (unsigned k = 0; k < 20000 && n < 1024; k++) {
        if ((fdc_msr(&x) & 0xf0) == 0xf0) {
            EXPECT(fdc_irq(&x));
            got[n++] = rig_inb(&x.r, 0x3f5);
            EXPECT_EQ(fdc_irq(&x), n == 1024); // FIFO off: an interrupt for each byte
        }
        rig_run(&x.r, 300);
        if (k == 777) {
            rig_reload(&x.r);
        }
    }
    EXPECT_EQ(n, 1024);
    EXPECT_MEM(got, x.disk[0].data + 16 * 512, 1024);
    EXPECT_EQ(x.p->rises[0] - rises, 1025);
    fdc_expect7(&x, 0x40, 0x80, 0, 1, 0, 1); // without terminal count: end of cylinder
    // With the FIFO at threshold 8: eight bytes an interrupt.
    CMD(&x, 0x13, 0, 0x07, 0);
    rises = x.p->rises[0];
    CMD(&x, 0x46, 0, 0, 0, 18, 2, 18, 27, 0xff);
    for (n = 0; n < 512;) {
        fdc_wait_irq(&x);
        unsigned k = 0;
        for (; (fdc_msr(&x) & 0xf0) == 0xf0; k++, n++) {
            EXPECT_EQ(rig_inb(&x.r, 0x3f5), x.disk[0].data[17 * 512 + n]);
        }
        EXPECT_EQ(k, 8);
    }
    fdc_expect7(&x, 0x40, 0x80, 0, 1, 0, 1);
    fdc_done(&x);
}

TEST(fdc_write_pio)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, true);
    CMD(&x, 0x13, 0, 0x08, 0);
    CMD(&x, 0xc5, 0, 0, 0, 18, 2, 18, 27, 0xff);
    unsigned n = 0;
    for (unsigned k = 0; k < 2000 && n < 1024; k++) {
        if ((fdc_msr(&x) & 0xf0) == 0xb0) {
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
    fdc_wait_irq(&x);
    EXPECT_EQ(x.disk[0].writes, 2);
    fdc_done(&x);
}

TEST(fdc_format)
{
    struct fd x;
    fdc_setup(&x, 1440, "");
    fdc_start(&x, 2, false);
    fdc_seek(&x, 0, 10);
    for (unsigned i = 0; i < 9; i++) {
        const uint8_t id[4] = {10, 1, (uint8_t)(1 + i * 2 % 9), 2}; // interleaved
        aspace_write_buf(&x.r.mem, 0x10000 + 4 * i, id, 4);
    }
    fdc_program_dma(&x, false, 36);
    CMD(&x, 0x4d, 0x04, 2, 9, 0x50, 0xf6);
    fdc_wait_irq(&x);
    EXPECT_EQ(fdc_results(&x), 7);
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
    fdc_program_dma(&x, false, 36);
    CMD(&x, 0x4d, 0x04, 2, 9, 0x50, 0xe5);
    fdc_wait_irq(&x);
    fdc_results(&x);
    EXPECT_EQ(x.res[0], 0x04);
    EXPECT_EQ(x.disk[0].writes, 9);
    // By hand, without DMA.
    rig_outb(&x.r, 0x3f7, 2);
    CMD(&x, 0x03, 0xdf, 3);
    CMD(&x, 0x4d, 0x00, 2, 2, 0x50, 0xe5);
    static const uint8_t ids[8] = {10, 0, 3, 2, 10, 0, 11, 2};
    for (unsigned i = 0; i < 8; i++) {
        fdc_wait_irq(&x);
        EXPECT_EQ(fdc_msr(&x), 0xb0);
        rig_outb(&x.r, 0x3f5, ids[i]);
    }
    fdc_wait_irq(&x);
    EXPECT_EQ(fdc_results(&x), 7);
    EXPECT_EQ(x.res[0], 0);
    EXPECT_EQ(x.disk[0].writes, 10);
    EXPECT_EQ(x.disk[0].data[(10 * 18 + 2) * 512], 0xe5);
    fdc_done(&x);
}

TEST(fdc_verify_and_read_track)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    CMD(&x, 0x56, 0, 0, 0, 1, 2, 18, 27, 0xff); // to EOT
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0, 1, 0, 1);
    CMD(&x, 0xd6, 0x80, 0, 0, 10, 2, 18, 27, 20); // 20 sectors, over to side 1
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x04, 0, 0, 0, 1, 12);
    CMD(&x, 0x56, 0x80, 0, 0, 10, 2, 18, 27, 20); // more than there are
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x40, 0x80, 0, 1, 0, 1);
    fdc_program_dma(&x, true, 18 * 512);
    CMD(&x, 0x42, 0x04, 0, 1, 1, 2, 18, 27, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x04, 0, 0, 0, 1, 19);
    fdc_expect_sectors(&x, 18, 18);
    // It reads from the index hole on, whatever the numbers; that they differ is noted.
    fdc_program_dma(&x, true, 2 * 512);
    CMD(&x, 0x42, 0x04, 0, 1, 7, 2, 2, 27, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x04, 0x04, 0, 0, 1, 9);
    fdc_expect_sectors(&x, 18, 2);
    fdc_done(&x);
}

TEST(fdc_deleted_and_scan)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    fdc_program_dma(&x, true, 2048);
    CMD(&x, 0x4c, 0, 0, 0, 3, 2, 18, 27, 0xff); // deleted wanted, a normal one found
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0x40, 0, 0, 4);
    fdc_expect_sectors(&x, 2, 1);
    CMD(&x, 0x6c, 0, 0, 0, 3, 2, 18, 27, 0xff); // skip them
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x40, 0x80, 0, 1, 0, 1);
    // Scans: memory holds sector 5 (number 6) with two bytes "any".
    uint8_t want[512];
    memcpy(want, x.disk[0].data + 5 * 512, 512);
    want[0] = want[1] = 0xff;
    for (unsigned i = 0; i < 18; i++) {
        aspace_write_buf(&x.r.mem, 0x10000 + i * 512, want, 512);
    }
    fdc_program_dma(&x, false, 18 * 512);
    CMD(&x, 0x51, 0, 0, 0, 1, 2, 18, 27, 1);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0x08, 0, 0, 6);
    fdc_program_dma(&x, false, 18 * 512);
    CMD(&x, 0x51, 0, 0, 0, 1, 2, 18, 27, 2); // every second: 1, 3, ... 17
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0x04, 1, 0, 1);
    fdc_program_dma(&x, false, 18 * 512);
    CMD(&x, 0x5d, 0, 0, 0, 1, 2, 18, 27, 2);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0, 0, 0, 7); // the first that is higher
    fdc_program_dma(&x, false, 18 * 512);
    CMD(&x, 0x59, 0, 0, 0, 1, 2, 18, 27, 1);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0x00, 0, 0, 0, 0, 1); // lower
    fdc_done(&x);
}

TEST(fdc_implied_seek)
{
    struct fd x;
    fdc_setup(&x, 2880, "");
    fdc_start(&x, 0, false);
    CMD(&x, 0x13, 0, 0x40, 0);
    fdc_program_dma(&x, true, 512);
    CMD(&x, 0x46, 0, 33, 0, 4, 2, 18, 27, 0xff);
    fdc_wait_irq(&x);
    fdc_expect7(&x, 0, 0, 0, 33, 0, 5);
    fdc_expect_sectors(&x, 33 * 36 + 3, 1);
    EXPECT_EQ(rig_inb(&x.r, 0x3f7), 0x7f);
    fdc_done(&x);
}

// What only a hostile snapshot can hold.
static void scramble(struct fd *x, uint64_t v)
{
    struct fdc_state *s = &((struct fdc *)x->d)->s;
    uint8_t *const bytes[] = {
        &s->phase,      &s->cmd_len,       &s->cmd_pos, &s->res_len, &s->res_pos, &s->op,
        &s->r,          &s->head,          &s->rate,    &s->sense,   &s->h,       &s->c,
        &s->reset_left, &s->seek_drive[0], &s->n,       &s->hlt_nd,  &s->cmd[6],  &s->drive[0].cyl,
    };
    uint16_t *const words[] = {&s->left, &s->buf_len, &s->buf_pos, &s->avail};
    if (v & 1) {
        *bytes[(v >> 8) % (sizeof bytes / sizeof bytes[0])] = (uint8_t)(v >> 32);
    } else if (v & 2) {
        *words[(v >> 8) % 4] = (uint16_t)(v >> 32);
    } else {
        s->moving = v >> 8 & 1;
        s->waiting = v >> 9 & 1;
        s->drive[0].spun_up = v;
        s->seek_steps[0] = (int16_t)(v >> 32);
    }
}

// Random bytes to every port, with a diskette and DMA; nothing may break, whatever is restored.
TEST(fdc_random_work)
{
    struct t_rng rng = {t_seed()};
    static const uint8_t ops[] = {0x46, 0xc5, 0x4a, 0x4d, 0x42, 0x56, 0x51, 0x5d, 0x0f, 0x07,
                                  0x08, 0x13, 0x03, 0xcf, 0x4c, 0x0e, 0x04, 0xe6, 0x94};
    for (uint64_t round = t_amount(20, 200, 2000); round; round--) {
        struct fd x;
        fdc_setup(&x, t_rand(&rng) & 1 ? 2880 : 640, t_rand(&rng) & 1 ? "turbo=off" : "");
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
                fdc_program_dma(&x, v >> 8 & 1, 1 + (v >> 16) % 4096);
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
                if ((v >> 40 & 15) == 0) {
                    scramble(&x, t_rand(&rng));
                }
                rig_outb(&x.r, 0x3f5, ops[(v >> 8) % sizeof ops]);
                break;
            default:
                rig_outb(&x.r, 0x3f5, (uint8_t)(v >> 8 & (v >> 20 & 1 ? 0xff : 3)));
                rig_inb(&x.r, 0x3f5);
                break;
            }
        }
        fdc_done(&x);
    }
}
