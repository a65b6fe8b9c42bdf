// Graphics modes: what the registers and memory make on the screen, worked out by hand from the
// PS/2 Hardware Interface Technical Reference, "Video Subsystem", and the API of Bochs' VBE.

#include <string.h>

#include "tests/dev/vga_bench.h"

#define LFB 0xe0000000u

// Dots x, x + step, ... of line y, as the indexes of colors below 16 in hexadecimal digits.
static uint64_t dots(const struct vga_bench *b, unsigned x, unsigned y, unsigned n, unsigned step)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned c = 0;
        while (c < 16 && vb_pixel(b, x + i * step, y) != vb_color(c)) {
            c++;
        }
        EXPECT(c < 16);
        r = r << 4 | c;
    }
    return r;
}

TEST(vga_cga_modes)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_cga_4);
    // Two bits a dot, high ones first; odd lines 2000h further, 80 bytes a line.
    static const uint16_t at[] = {0, 1, 0x2000, 80, 0x2000 + 80, 0x1f40 - 1};
    static const uint8_t val[] = {0x1b, 0xe4, 0x55, 0xaa, 0xff, 0x03};
    for (unsigned i = 0; i < 6; i++) {
        vb_poke(&b, 0xb8000 + at[i], val[i]);
        EXPECT_EQ(vb_peek(&b, 0xb8000 + at[i]), val[i]);
    }
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 640);
    EXPECT_EQ(b.f.height, 400);
    for (unsigned twice = 0; twice < 2; twice++) { // dots of two, lines of two
        EXPECT_EQ(dots(&b, twice, twice, 9, 2), UINT64_C(0x012332100));
        EXPECT_EQ(dots(&b, twice, 2 + twice, 5, 2), 0x11110);
        EXPECT_EQ(dots(&b, twice, 4 + twice, 5, 2), 0x22220);
        EXPECT_EQ(dots(&b, twice, 6 + twice, 5, 2), 0x33330);
        EXPECT_EQ(dots(&b, 630 + twice, 396 + twice, 5, 2), 0x00003);
    }
    // Mode 6: a bit a dot.
    vb_mode(&b, &vga_cga_2);
    vb_attr(&b, 0x12, 1);
    vb_poke(&b, 0xb8000, 0xa5);
    vb_poke(&b, 0xb8001, 0x01);
    vb_poke(&b, 0xba000, 0xff);
    vb_poke(&b, 0xba000 + 80, 0x0f);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 16, 1), UINT64_C(0x1010010100000001));
    EXPECT_EQ(dots(&b, 0, 1, 8, 1), 0x10100101);
    EXPECT_EQ(dots(&b, 0, 2, 16, 1), UINT64_C(0x1111111100000000));
    EXPECT_EQ(dots(&b, 0, 6, 8, 1), 0x00001111);
    vb_done(&b);
}

TEST(vga_ega_200_lines)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_ega_320);
    for (unsigned p = 0; p < 4; p++) {
        vb_plane(&b, p, 0, (uint8_t)(0x0f << p)); // columns of 0000 1248... added up
        vb_plane(&b, p, 40, (uint8_t)(p == 2 ? 0x81 : 0));
        vb_plane(&b, p, 40 * 199 + 39, (uint8_t)(p == 3));
    }
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 640);
    EXPECT_EQ(b.f.height, 400);
    // Plane p has bits p to p + 3: dot 7 - i has the planes p with p <= i <= p + 3.
    for (unsigned twice = 0; twice < 2; twice++) {
        EXPECT_EQ(dots(&b, twice, twice, 9, 2), UINT64_C(0x08cef7310));
        EXPECT_EQ(dots(&b, twice, 2 + twice, 9, 2), UINT64_C(0x400000040));
        EXPECT_EQ(dots(&b, 622 + twice, 398 + twice, 9, 2), 8);
    }
    vb_done(&b);
}

TEST(vga_planar_palette_and_blink)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_12h);
    for (unsigned p = 0; p < 4; p++) { // dots 0 to 15
        static const uint8_t v[4][2] = {{0x55, 0x55}, {0x33, 0x33}, {0x0f, 0x0f}, {0, 0xff}};
        vb_plane(&b, p, 0, v[p][0]);
        vb_plane(&b, p, 1, v[p][1]);
    }
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 640);
    EXPECT_EQ(b.f.height, 480);
    EXPECT_EQ(dots(&b, 0, 0, 16, 1), UINT64_C(0x0123456789abcdef));
    vb_attr(&b, 3, 12);
    vb_attr(&b, 12, 0x35);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.pixel[3], vb_color(12));
    EXPECT_EQ(b.f.pixel[12], vb_color(0x35));
    // Color select: bits 6 and 7 always, bits 4 and 5 of the palette's when the mode says so.
    vb_attr(&b, 0x14, 0x0d);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.pixel[12], vb_color(0xf5));
    vb_attr(&b, 0x10, 0x81);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.pixel[12], vb_color(0xd5));
    // The DAC's mask.
    rig_outb(&b.r, 0x3c6, 0x0f);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.pixel[12], vb_color(5));
    rig_outb(&b.r, 0x3c6, 0xff);
    vb_attr(&b, 0x14, 0);
    vb_attr(&b, 3, 3);
    vb_attr(&b, 12, 12);
    // A plane that is off.
    vb_attr(&b, 0x12, 0x0b);
    vb_attr(&b, 0x10, 0x01);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 16, 1), UINT64_C(0x0123012389ab89ab));
    vb_attr(&b, 0x12, 0x0f);
    // Blinking: all in high intensity, and 8 to 15 alternate with 0 to 7. Frames of 16.68 ms.
    vb_attr(&b, 0x10, 0x09);
    rig_run_to(&b.r, UINT64_C(16683333) * 4);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 16, 1), UINT64_C(0x89abcdef89abcdef));
    rig_run_to(&b.r, UINT64_C(16683333) * 20);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 16, 1), UINT64_C(0x89abcdef01234567));
    vb_done(&b);
}

TEST(vga_panning_and_split)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_12h);
    vb_set(&b, 0x3d4, 0x0c, 0x10); // start address 1000h
    rig_run(&b.r, 20000000);
    vb_plane(&b, 0, 0x1000, 0xc4);
    vb_plane(&b, 1, 0x1001, 0x80);
    vb_plane(&b, 2, 0x1050, 0x80); // line 80... of the address counter: the next row
    vb_plane(&b, 3, 0, 0x90);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 10, 1), UINT64_C(0x1100010020));
    EXPECT_EQ(dots(&b, 0, 1, 1, 1), 4);
    for (uint8_t pan = 0; pan < 8; pan++) {
        vb_attr(&b, 0x13, pan);
        EXPECT(vb_look(&b, true));
        EXPECT_EQ(b.f.pixel[5 - (pan > 5 ? 5 : pan)], vb_color(pan > 5 ? 0 : 1));
        EXPECT_EQ(b.f.pixel[8 - pan], vb_color(2));
    }
    // The line after the compare value starts at address 0, panned as well.
    vb_set(&b, 0x3d4, 0x18, 99);
    vb_set(&b, 0x3d4, 7, 0x2e);
    vb_set(&b, 0x3d4, 9, 0x00);
    vb_attr(&b, 0x13, 3);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 99, 8, 1), 0);
    EXPECT_EQ(dots(&b, 0, 100, 4, 1), 0x8000);
    EXPECT_EQ(dots(&b, 5, 0, 1, 1), 2);
    // Not panned with bit 5 of the attribute mode.
    vb_attr(&b, 0x10, 0x21);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 100, 4, 1), 0x8008);
    EXPECT_EQ(dots(&b, 5, 0, 1, 1), 2);
    // Byte panning as well.
    vb_plane(&b, 0, 1, 0x80);
    vb_attr(&b, 0x13, 0);
    vb_set(&b, 0x3d4, 8, 0x20);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 1, 1), 2);
    EXPECT_EQ(dots(&b, 0, 100, 4, 1), 0x8008);
    vb_attr(&b, 0x10, 0x01);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 100, 4, 1), 0x1000);
    // The start address is taken at the vertical retrace only.
    vb_set(&b, 0x3d4, 8, 0);
    vb_set(&b, 0x3d4, 0x0d, 1);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 3, 1), 0x110);
    rig_run(&b.r, 16700000);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 3, 1), 0x200);
    vb_done(&b);
}

TEST(vga_256_colors_panned_and_apart)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_13h);
    for (unsigned i = 0; i < 330; i++) {
        vb_poke(&b, 0xa0000 + i, (uint8_t)(i + 3));
    }
    // Two dots a pixel: panning by 2, 4, 6 moves one, two, three pixels.
    for (unsigned n = 0; n < 4; n++) {
        vb_attr(&b, 0x13, (uint8_t)(2 * n));
        EXPECT(vb_look(&b, true));
        for (unsigned x = 0; x < 640; x++) {
            EXPECT_EQ(b.f.pixel[x], vb_color((x / 2 + n + 3) & 255));
        }
    }
    // Without the attribute controller's bit 6, each half of a byte is a dot through the palette.
    vb_attr(&b, 0x13, 0);
    vb_attr(&b, 0x10, 0x01);
    vb_poke(&b, 0xa0000, 0x5a);
    vb_poke(&b, 0xa0001, 0xc3);
    vb_attr(&b, 12, 1);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 4, 1), 0x5a13);
    vb_done(&b);
}

TEST(vga_mono_palette_off_and_blank)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_12h);
    vb_plane(&b, 0, 0, 0xff);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 4, 1), 0x1111);
    // The palette in the program's hands: the overscan color everywhere.
    vb_attr(&b, 0x11, 6);
    rig_inb(&b.r, 0x3da);
    rig_outb(&b.r, 0x3c0, 0);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 4, 1), 0x6666);
    rig_inb(&b.r, 0x3da);
    rig_outb(&b.r, 0x3c0, 0x20);
    vb_set(&b, 0x3c4, 1, 0x21); // screen off
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.pixel[0], 0);
    vb_set(&b, 0x3c4, 1, 1);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 4, 1), 0x1111);
    vb_done(&b);
}

// --- VBE ---

static void vbe_mode(struct vga_bench *b, uint16_t width, uint16_t height, uint16_t bpp,
                     uint16_t flags)
{
    vb_vbe(b, 4, 0);
    vb_vbe(b, 1, width);
    vb_vbe(b, 2, height);
    vb_vbe(b, 3, bpp);
    vb_vbe(b, 4, (uint16_t)(1 | flags));
}

static uint16_t vbe_get(struct vga_bench *b, uint16_t index)
{
    rig_outw(&b->r, 0x1ce, index);
    return rig_inw(&b->r, 0x1cf);
}

TEST(vga_vbe_4_bits)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_12h);
    vbe_mode(&b, 800, 600, 4, 0);
    // 100 addresses a line; the planes through the window and the write mask.
    static const uint8_t color[] = {5, 10, 15};
    static const uint32_t at[] = {0, 100 * 3 + 1, 100 * 599 + 99};
    for (unsigned i = 0; i < 3; i++) {
        vb_set(&b, 0x3c4, 2, color[i]);
        vb_poke(&b, 0xa0000 + at[i], 0x81);
    }
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 800);
    EXPECT_EQ(b.f.height, 600);
    EXPECT_EQ(dots(&b, 0, 0, 9, 1), UINT64_C(0x500000050));
    EXPECT_EQ(dots(&b, 8, 3, 9, 1), UINT64_C(0xa000000a0));
    EXPECT_EQ(dots(&b, 792, 599, 8, 1), 0xf000000f);
    // A wider virtual screen, its right lower part shown; banks of 64 KiB of addresses.
    vb_vbe(&b, 6, 1600);
    EXPECT_EQ(vbe_get(&b, 6), 1600);
    EXPECT_EQ(vbe_get(&b, 7), 5242); // 4 MiB / (1600 / 2)
    vb_vbe(&b, 8, 800);
    vb_vbe(&b, 9, 1000);
    vb_set(&b, 0x3c4, 2, 9);
    uint32_t where = 1000 * 200 + 100; // of 200 a line
    vb_vbe(&b, 5, (uint16_t)(where >> 16));
    vb_poke(&b, 0xa0000 + (where & 0xffff), 0xc0);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(dots(&b, 0, 0, 4, 1), 0x9900);
    vb_done(&b);
}

TEST(vga_vbe_8_bits_and_dac)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_13h);
    vbe_mode(&b, 640, 480, 8, 0x40);
    vb_poke(&b, LFB, 200);
    vb_poke(&b, LFB + 640 * 479 + 639, 201);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(vb_pixel(&b, 0, 0), vb_color(200));
    EXPECT_EQ(vb_pixel(&b, 639, 479), vb_color(201));
    // A DAC of 6 bits ignores the upper two and widens to 8; one of 8 takes all.
    rig_outb(&b.r, 0x3c8, 200);
    rig_outb(&b.r, 0x3c9, 0xff);
    rig_outb(&b.r, 0x3c9, 0x20);
    rig_outb(&b.r, 0x3c9, 0x01);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(vb_pixel(&b, 0, 0), 0xff8204);
    vb_vbe(&b, 4, 0xe1);
    rig_outb(&b.r, 0x3c8, 200);
    rig_outb(&b.r, 0x3c9, 0x80);
    rig_outb(&b.r, 0x3c9, 0x41);
    rig_outb(&b.r, 0x3c9, 0x07);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(vb_pixel(&b, 0, 0), 0x804107);
    rig_outb(&b.r, 0x3c7, 200);
    EXPECT_EQ(rig_inb(&b.r, 0x3c9), 0x80);
    EXPECT_EQ(vb_peek(&b, LFB), 200); // enabling again cleared nothing
    // Virtual size and offsets, kept inside.
    vb_vbe(&b, 6, 1024);
    vb_vbe(&b, 8, 100);
    vb_vbe(&b, 9, 7);
    vb_poke(&b, LFB + 1024 * 7 + 100, 33);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 640);
    EXPECT_EQ(vb_pixel(&b, 0, 0), 0x210223);
    vb_vbe(&b, 8, 900);
    EXPECT_EQ(vbe_get(&b, 8), 1024 - 640);
    vb_vbe(&b, 9, 0xffff);
    EXPECT_EQ(vbe_get(&b, 9), 4096 - 480);
    // Off again: the VGA's own picture, 8-bit colors gone with the rest of the register.
    vb_vbe(&b, 4, 0);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.height, 400);
    vb_done(&b);
}

// --- When ---

TEST(vga_nothing_changed_nothing_drawn)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    vb_set(&b, 0x3d4, 0x0a, 0x20); // no cursor
    vb_poke(&b, 0xb8000, 'A');
    vb_poke(&b, 0xb8001, 7);
    EXPECT(vb_look(&b, false));
    for (unsigned i = 0; i < 100; i++) {
        rig_run(&b.r, 14268060);
        EXPECT(!vb_look(&b, false));
    }
    // What the BIOS or a program reads or writes again changes nothing.
    rig_inb(&b.r, 0x3da);
    vb_get(&b, 0x3d4, 0x0e);
    vb_set(&b, 0x3d4, 0x13, 0x28);
    vb_set(&b, 0x3c4, 2, 3);
    vb_peek(&b, 0xb8000);
    EXPECT(!vb_look(&b, false));
    // Each of these does.
    vb_poke(&b, 0xb8000, 'B');
    EXPECT(vb_look(&b, false));
    vb_attr(&b, 7, 9);
    EXPECT(vb_look(&b, false));
    rig_outb(&b.r, 0x3c8, 7);
    for (unsigned i = 0; i < 3; i++) {
        rig_outb(&b.r, 0x3c9, 1);
    }
    EXPECT(vb_look(&b, false));
    vb_set(&b, 0x3d4, 0x0d, 1);
    vb_look(&b, false);
    rig_run(&b.r, 15000000);
    EXPECT(vb_look(&b, false)); // the start address, at its retrace
    // With the cursor on: once every 8 frames, as it blinks; not where it is above the screen.
    vb_set(&b, 0x3d4, 0x0a, 0x0d);
    vb_look(&b, false);
    rig_run(&b.r, 20 * 14268060);
    EXPECT(!vb_look(&b, false));
    vb_set(&b, 0x3d4, 0x0f, 80);
    vb_look(&b, false);
    unsigned drawn = 0;
    for (unsigned i = 0; i < 80; i++) {
        rig_run(&b.r, 14268060);
        drawn += vb_look(&b, false);
    }
    EXPECT_EQ(drawn, 10);
    vb_done(&b);
}
