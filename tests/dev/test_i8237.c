// The pair of 8237As on a bare bus with a megabyte of RAM at 0 and more above 15 MiB.

#include "hw/dma/i8237.h"

#include <string.h>

#include "hw/hw.h"
#include "tests/lib/rig.h"

struct dma {
    struct rig r;
    struct dev *d;
};

static void setup(struct dma *x)
{
    rig_init(&x->r);
    x->d = rig_add(&x->r, &i8237_class, "dma0", "");
    struct ram *ram = x->r.env.ram_new(x->r.env.ram_ctx, "ram", 1 << 20);
    aspace_map_ram(&x->r.mem, 0, 1 << 20, ram, 0, false, "ram", 0);
    aspace_map_ram(&x->r.mem, 0xf00000, 1 << 20, ram, 0, false, "high", 0);
    rig_reset(&x->r, RESET_COLD);
}

static void word(struct dma *x, uint16_t port, uint16_t val)
{
    rig_outb(&x->r, port, (uint8_t)val);
    rig_outb(&x->r, port, (uint8_t)(val >> 8));
}

static uint16_t word_in(struct dma *x, uint16_t port)
{
    unsigned lo = rig_inb(&x->r, port);
    return (uint16_t)(lo | (unsigned)rig_inb(&x->r, port) << 8);
}

// Channel 2 as a floppy driver programs it.
static void program2(struct dma *x, uint8_t mode, uint8_t page, uint16_t addr, uint16_t count)
{
    rig_outb(&x->r, 0x0a, 4 | 2);
    rig_outb(&x->r, 0x0c, 0);
    rig_outb(&x->r, 0x0b, mode | 2);
    word(x, 0x04, addr);
    word(x, 0x05, count);
    rig_outb(&x->r, 0x81, page);
    rig_outb(&x->r, 0x0a, 2);
}

static uint8_t peek(struct dma *x, uint64_t addr)
{
    return (uint8_t)aspace_read(&x->r.mem, addr, 1);
}

static uint32_t move(struct dma *x, unsigned ch, void *buf, uint32_t len, bool to_mem, bool *tc)
{
    return i8237_transfer(x->d, ch, buf, len, to_mem, tc);
}

TEST(i8237_registers)
{
    struct dma x;
    setup(&x);
    EXPECT_EQ(rig_inb(&x.r, 0x0f), 0xff); // all masked
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0);
    for (unsigned ch = 0; ch < 4; ch++) {
        word(&x, (uint16_t)(2 * ch), (uint16_t)(0x1234 + ch));
        word(&x, (uint16_t)(2 * ch + 1), (uint16_t)(0x5678 + ch));
        word(&x, (uint16_t)(0xc0 + 4 * ch), (uint16_t)(0x9abc + ch));
        word(&x, (uint16_t)(0xc2 + 4 * ch), (uint16_t)(0xdef0 + ch));
    }
    rig_reload(&x.r);
    for (unsigned ch = 0; ch < 4; ch++) {
        EXPECT_EQ(word_in(&x, (uint16_t)(2 * ch)), 0x1234 + ch);
        EXPECT_EQ(word_in(&x, (uint16_t)(2 * ch + 1)), 0x5678 + ch);
        EXPECT_EQ(word_in(&x, (uint16_t)(0xc0 + 4 * ch)), 0x9abc + ch);
        EXPECT_EQ(word_in(&x, (uint16_t)(0xc2 + 4 * ch)), 0xdef0 + ch);
    }
    // The flip-flop is one for the chip, and any write to 0CH clears it.
    EXPECT_EQ(rig_inb(&x.r, 0x00), 0x34);
    EXPECT_EQ(rig_inb(&x.r, 0x03), 0x56);
    EXPECT_EQ(rig_inb(&x.r, 0x00), 0x34);
    rig_outb(&x.r, 0x0c, 0x55);
    EXPECT_EQ(rig_inb(&x.r, 0x00), 0x34);
    EXPECT_EQ(rig_inb(&x.r, 0xc4), 0xbd); // the other chip has its own
    for (uint16_t i = 0; i < 16; i++) {
        rig_outb(&x.r, (uint16_t)(0x80 + i), (uint8_t)(0xa0 + i));
    }
    for (uint16_t i = 0; i < 16; i++) {
        EXPECT_EQ(rig_inb(&x.r, (uint16_t)(0x80 + i)), 0xa0 + i);
    }
    rig_fini(&x.r);
}

TEST(i8237_masks_and_requests)
{
    struct dma x;
    setup(&x);
    rig_outb(&x.r, 0x0f, 0x05);
    EXPECT_EQ(rig_inb(&x.r, 0x0f), 0xf5);
    rig_outb(&x.r, 0x0a, 4 | 1);
    rig_outb(&x.r, 0x0a, 2);
    EXPECT_EQ(rig_inb(&x.r, 0x0f), 0xf3);
    rig_outb(&x.r, 0x0a, 0);
    EXPECT_EQ(rig_inb(&x.r, 0x0f), 0xf2);
    rig_outb(&x.r, 0x0e, 0);
    EXPECT_EQ(rig_inb(&x.r, 0x0f), 0xf0);
    rig_outb(&x.r, 0x09, 4 | 3);
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0x80);
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0x80); // only terminal counts are cleared by reading
    rig_outb(&x.r, 0x09, 3);
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0);
    rig_outb(&x.r, 0x09, 4);
    rig_outb(&x.r, 0x04, 1); // flip-flop set
    rig_outb(&x.r, 0x0d, 0); // master clear
    EXPECT_EQ(rig_inb(&x.r, 0x0f), 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0);
    EXPECT_EQ(rig_inb(&x.r, 0x0d), 0);
    rig_outb(&x.r, 0x04, 0x77);
    rig_outb(&x.r, 0x04, 0x66);
    EXPECT_EQ(word_in(&x, 0x04), 0x6677);
    rig_fini(&x.r);
}

TEST(i8237_to_memory)
{
    struct dma x;
    setup(&x);
    uint8_t buf[512];
    bool tc;
    for (unsigned i = 0; i < 512; i++) {
        buf[i] = (uint8_t)(i * 7 + 3);
    }
    program2(&x, 0x44, 0x01, 0x2345, 1023); // single, increment, to memory
    EXPECT(i8237_ready(x.d, 2, true));
    EXPECT(!i8237_ready(x.d, 2, false));
    EXPECT_EQ(move(&x, 2, buf, 512, true, &tc), 512);
    EXPECT(!tc);
    EXPECT_EQ(word_in(&x, 0x04), 0x2545);
    EXPECT_EQ(word_in(&x, 0x05), 511);
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0);
    rig_reload(&x.r);
    EXPECT_EQ(move(&x, 2, buf, 512, true, &tc), 512);
    EXPECT(tc);
    EXPECT_EQ(word_in(&x, 0x05), 0xffff);
    EXPECT_EQ(rig_inb(&x.r, 0x0f), 0xff); // masked itself
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0x04);
    EXPECT_EQ(rig_inb(&x.r, 0x08), 0);
    for (unsigned i = 0; i < 1024; i++) {
        EXPECT_EQ(peek(&x, 0x12345 + i), buf[i % 512]);
    }
    EXPECT_EQ(peek(&x, 0x12344), 0);
    EXPECT_EQ(peek(&x, 0x12345 + 1024), 0);
    EXPECT_EQ(move(&x, 2, buf, 512, true, &tc), 0); // not ready
    EXPECT(!tc);
    // Fewer left than asked for.
    program2(&x, 0x44, 0x02, 0, 99);
    EXPECT_EQ(move(&x, 2, buf, 512, true, &tc), 100);
    EXPECT(tc);
    EXPECT_EQ(peek(&x, 0x20000 + 99), buf[99]);
    EXPECT_EQ(peek(&x, 0x20000 + 100), 0);
    rig_fini(&x.r);
}

TEST(i8237_from_memory)
{
    struct dma x;
    setup(&x);
    uint8_t buf[64], want[64];
    bool tc;
    for (unsigned i = 0; i < 64; i++) {
        want[i] = (uint8_t)(0x80 + i);
        aspace_write(&x.r.mem, 0x54320 + i, 1, want[i]);
    }
    program2(&x, 0x48, 0xf5, 0x4320, 63); // the page register has all eight bits
    EXPECT(i8237_ready(x.d, 2, false));
    EXPECT(!i8237_ready(x.d, 2, true));
    EXPECT_EQ(move(&x, 2, buf, 64, false, &tc), 64);
    EXPECT(tc);
    EXPECT_MEM(buf, want, 64);
    // Backward.
    program2(&x, 0x68, 0x05, 0x4320 + 63, 63);
    EXPECT_EQ(move(&x, 2, buf, 64, false, &tc), 64);
    EXPECT_EQ(word_in(&x, 0x04), 0x431f);
    for (unsigned i = 0; i < 64; i++) {
        EXPECT_EQ(buf[i], want[63 - i]);
    }
    rig_fini(&x.r);
}

TEST(i8237_wraps_in_its_page)
{
    struct dma x;
    setup(&x);
    uint8_t buf[32];
    bool tc;
    memset(buf, 0x5a, sizeof buf);
    program2(&x, 0x44, 0x03, 0xfff0, 31);
    EXPECT_EQ(move(&x, 2, buf, 32, true, &tc), 32);
    EXPECT(tc);
    EXPECT_EQ(peek(&x, 0x3ffff), 0x5a);
    EXPECT_EQ(peek(&x, 0x30000), 0x5a);
    EXPECT_EQ(peek(&x, 0x3000f), 0x5a);
    EXPECT_EQ(peek(&x, 0x40000), 0);
    EXPECT_EQ(word_in(&x, 0x04), 0x0010);
    program2(&x, 0x64, 0x05, 0x0001, 3);
    EXPECT_EQ(move(&x, 2, buf, 4, true, &tc), 4);
    EXPECT_EQ(peek(&x, 0x50000), 0x5a);
    EXPECT_EQ(peek(&x, 0x5fffe), 0x5a);
    EXPECT_EQ(peek(&x, 0x4ffff), 0);
    rig_fini(&x.r);
}

TEST(i8237_words)
{
    struct dma x;
    setup(&x);
    uint8_t buf[256];
    bool tc;
    for (unsigned i = 0; i < 256; i++) {
        buf[i] = (uint8_t)i;
    }
    // Channel 5 at port C4H, page 8BH: bit 0 of the page is not used, addresses are of words.
    rig_outb(&x.r, 0xd8, 0);
    rig_outb(&x.r, 0xd6, 0x45);
    word(&x, 0xc4, 0xfff0);
    word(&x, 0xc6, 127);
    rig_outb(&x.r, 0x8b, 0x05);
    rig_outb(&x.r, 0xd4, 1);
    EXPECT(i8237_ready(x.d, 5, true));
    EXPECT_EQ(move(&x, 5, buf, 101, true, &tc), 100); // whole words only
    EXPECT(!tc);
    EXPECT_EQ(move(&x, 5, buf + 100, 156, true, &tc), 156);
    EXPECT(tc);
    EXPECT_EQ(peek(&x, 0x5ffe0), 0);
    EXPECT_EQ(peek(&x, 0x5ffff), 31);
    EXPECT_EQ(peek(&x, 0x40000), 32); // 128 KiB
    EXPECT_EQ(peek(&x, 0x400df), 255);
    EXPECT_EQ(rig_inb(&x.r, 0xd0), 0x02);
    rig_fini(&x.r);
}

TEST(i8237_auto_initialize)
{
    struct dma x;
    setup(&x);
    uint8_t buf[48];
    bool tc;
    memset(buf, 1, sizeof buf);
    program2(&x, 0x54, 0x06, 0x0100, 31);
    EXPECT_EQ(move(&x, 2, buf, 48, true, &tc), 32); // stops at the terminal count
    EXPECT(tc);
    EXPECT(i8237_ready(x.d, 2, true));
    EXPECT_EQ(word_in(&x, 0x04), 0x0100);
    EXPECT_EQ(word_in(&x, 0x05), 31);
    memset(buf, 2, sizeof buf);
    EXPECT_EQ(move(&x, 2, buf, 16, true, &tc), 16);
    EXPECT(!tc);
    EXPECT_EQ(peek(&x, 0x6010f), 2);
    EXPECT_EQ(peek(&x, 0x60110), 1);
    rig_fini(&x.r);
}

TEST(i8237_verify_moves_nothing)
{
    struct dma x;
    setup(&x);
    uint8_t buf[16];
    bool tc;
    memset(buf, 9, sizeof buf);
    program2(&x, 0x40, 0x07, 0, 15);
    EXPECT(i8237_ready(x.d, 2, true));
    EXPECT_EQ(move(&x, 2, buf, 16, true, &tc), 16);
    EXPECT(tc);
    EXPECT_EQ(peek(&x, 0x70000), 0);
    EXPECT_EQ(word_in(&x, 0x04), 16);
    program2(&x, 0x4c, 0x07, 0, 15); // type 3 is illegal
    EXPECT(!i8237_ready(x.d, 2, true));
    EXPECT(!i8237_ready(x.d, 2, false));
    rig_fini(&x.r);
}

// What is between a channel and the bus: its mask, its chip's disable bit, the cascade.
TEST(i8237_cascade_and_disable)
{
    struct dma x;
    setup(&x);
    program2(&x, 0x44, 0, 0, 15);
    rig_outb(&x.r, 0xd6, 0x41);
    rig_outb(&x.r, 0xd4, 1);
    EXPECT(i8237_ready(x.d, 2, true));
    EXPECT(i8237_ready(x.d, 5, true));
    EXPECT(!i8237_ready(x.d, 4, true));
    EXPECT(!i8237_ready(x.d, 8, true));
    rig_outb(&x.r, 0x08, 0x04);
    EXPECT(!i8237_ready(x.d, 2, true));
    EXPECT(i8237_ready(x.d, 5, true));
    rig_outb(&x.r, 0x08, 0);
    rig_outb(&x.r, 0xd4, 4); // channel 4 masked: the first chip is cut off
    EXPECT(!i8237_ready(x.d, 2, true));
    rig_outb(&x.r, 0xd4, 0);
    EXPECT(i8237_ready(x.d, 2, true));
    rig_outb(&x.r, 0xd6, 0x40); // not a cascade any more
    EXPECT(!i8237_ready(x.d, 2, true));
    rig_outb(&x.r, 0xd6, 0xc0);
    rig_outb(&x.r, 0xd0, 0x04);
    EXPECT(!i8237_ready(x.d, 2, true));
    EXPECT(!i8237_ready(x.d, 5, true));
    rig_outb(&x.r, 0xda, 0); // master clear masks the cascade as well
    EXPECT(!i8237_ready(x.d, 2, true));
    rig_outb(&x.r, 0xdc, 0);
    EXPECT(i8237_ready(x.d, 2, true));
    rig_outb(&x.r, 0x0b, 0xc2); // a bus master's channel: no transfers of ours
    EXPECT(!i8237_ready(x.d, 2, true));
    rig_fini(&x.r);
}
