// The VGA's registers, planes and picture on a bare bus.

#include <string.h>

#include "tests/dev/vga_bench.h"

TEST(vga_modes_13h_and_x)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_13h);
    for (unsigned i = 0; i < 320; i++) {
        vb_poke(&b, 0xa0000 + i, (uint8_t)i);
        vb_poke(&b, 0xa0000 + 320 * 199 + i, (uint8_t)(255 - i));
    }
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 640);
    EXPECT_EQ(b.f.height, 400);
    for (unsigned x = 0; x < 640; x++) {
        EXPECT_EQ(b.f.pixel[x], vb_color(x / 2 & 255));
        EXPECT_EQ(b.f.pixel[640 + x], vb_color(x / 2 & 255));
        EXPECT_EQ(b.f.pixel[640 * 2 + x], vb_color(0));
        EXPECT_EQ(b.f.pixel[640 * 399 + x], vb_color((255 - x / 2) & 255));
    }
    // Nothing changes, nothing is drawn; a byte does.
    EXPECT(vb_look(&b, false));
    EXPECT(!vb_look(&b, false));
    vb_poke(&b, 0xa0001, 99);
    EXPECT(vb_look(&b, false));
    EXPECT_EQ(b.f.pixel[2], vb_color(99));
    rig_reload(&b.r);
    // Chain 4 off: pixel n is in plane n & 3 at address n & ~3.
    vb_set(&b, 0x3c4, 4, 6);
    for (unsigned i = 0; i < 64; i++) {
        vb_set(&b, 0x3ce, 4, i & 3);
        EXPECT_EQ(vb_peek(&b, 0xa0000 + (i & ~3u)), i == 1 ? 99 : i);
    }
    // Mode X: four pixels an address.
    vb_set(&b, 0x3d4, 0x14, 0);
    vb_set(&b, 0x3d4, 0x17, 0xe3);
    for (unsigned i = 0; i < 320; i++) {
        vb_set(&b, 0x3c4, 2, (uint8_t)(1 << (i & 3)));
        vb_poke(&b, 0xa0000 + i / 4, (uint8_t)(i + 7));
    }
    EXPECT(vb_look(&b, true));
    for (unsigned x = 0; x < 640; x++) {
        EXPECT_EQ(b.f.pixel[x], vb_color((x / 2 + 7) & 255));
    }
    vb_done(&b);
}

TEST(vga_write_modes)
{
    static struct vga_bench b;
    vb_setup(&b);
    for (uint8_t i = 0; i < 5; i++) {
        vb_set(&b, 0x3c4, i, vga_12h.seq[i]);
    }
    for (uint8_t i = 0; i < 9; i++) {
        vb_set(&b, 0x3ce, i, vga_12h.gfx[i]);
    }
    // Planes hold 11, 22, 44, 88 at address 5.
    for (uint8_t p = 0; p < 4; p++) {
        vb_set(&b, 0x3c4, 2, (uint8_t)(1 << p));
        vb_poke(&b, 0xa0005, (uint8_t)(0x11 << p));
    }
    vb_set(&b, 0x3c4, 2, 15);
    // mode, set/reset, its enable, rotate and function, bit mask, CPU byte -> four planes.
    static const uint8_t t[][10] = {
        {0, 0x00, 0x0, 0x00, 0xff, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5},
        {0, 0x05, 0x3, 0x00, 0xff, 0xa5, 0xff, 0x00, 0xa5, 0xa5},
        {0, 0x00, 0x0, 0x04, 0xff, 0xa1, 0x1a, 0x1a, 0x1a, 0x1a},
        {0, 0x00, 0x0, 0x00, 0x0f, 0xa5, 0x15, 0x25, 0x45, 0x85},
        {0, 0x00, 0x0, 0x08, 0xff, 0xf0, 0x10, 0x20, 0x40, 0x80},
        {0, 0x00, 0x0, 0x10, 0xff, 0xf0, 0xf1, 0xf2, 0xf4, 0xf8},
        {0, 0x00, 0x0, 0x18, 0xff, 0xff, 0xee, 0xdd, 0xbb, 0x77},
        {1, 0x0f, 0xf, 0x1f, 0x00, 0x5a, 0x11, 0x22, 0x44, 0x88},
        {2, 0x00, 0xf, 0x00, 0xff, 0x0a, 0x00, 0xff, 0x00, 0xff},
        {2, 0x00, 0x0, 0x18, 0xf0, 0x01, 0xe1, 0x22, 0x44, 0x88},
        {3, 0x06, 0x0, 0x00, 0xff, 0x0f, 0x10, 0x2f, 0x4f, 0x80},
        {3, 0x09, 0x0, 0x04, 0x3c, 0xff, 0x3d, 0x02, 0x40, 0xbc},
    };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        t_context("row %u", i);
        vb_set(&b, 0x3ce, 5, 0);
        vb_peek(&b, 0xa0005); // the latches
        if (i == 3) {
            rig_reload(&b.r);
        }
        vb_set(&b, 0x3ce, 5, t[i][0]);
        vb_set(&b, 0x3ce, 0, t[i][1]);
        vb_set(&b, 0x3ce, 1, t[i][2]);
        vb_set(&b, 0x3ce, 3, t[i][3]);
        vb_set(&b, 0x3ce, 8, t[i][4]);
        vb_poke(&b, 0xa0009, t[i][5]);
        for (uint8_t p = 0; p < 4; p++) {
            vb_set(&b, 0x3ce, 4, p);
            EXPECT_EQ(vb_peek(&b, 0xa0009), t[i][6 + p]);
        }
    }
    // Read mode 1: bits where planes equal color 5, plane 3 left out.
    vb_set(&b, 0x3ce, 5, 8);
    vb_set(&b, 0x3ce, 2, 0x5);
    vb_set(&b, 0x3ce, 7, 0x5);
    EXPECT_EQ(vb_peek(&b, 0xa0005), 0x00);
    vb_set(&b, 0x3ce, 7, 0x1);
    EXPECT_EQ(vb_peek(&b, 0xa0005), 0x11);
    vb_done(&b);
}

TEST(vga_registers)
{
    static struct vga_bench b;
    vb_setup(&b);
    static const uint8_t seq[] = {3, 0x3d, 15, 0x3f, 14, 0, 0};
    for (uint8_t i = 0; i < 7; i++) {
        vb_set(&b, 0x3c4, i, 0xff);
        EXPECT_EQ(vb_get(&b, 0x3c4, i), seq[i]);
    }
    static const uint8_t gfx[] = {15, 15, 15, 0x1f, 3, 0x7b, 15, 15, 0xff, 0};
    for (uint8_t i = 0; i < 10; i++) {
        vb_set(&b, 0x3ce, i, 0xff);
        EXPECT_EQ(vb_get(&b, 0x3ce, i), gfx[i]);
    }
    // CRTC 0..7 are protected by bit 7 of 11h, but for bit 4 of 7.
    vb_set(&b, 0x3d4, 0x11, 0);
    vb_set(&b, 0x3d4, 0, 0x5f);
    vb_set(&b, 0x3d4, 7, 0);
    vb_set(&b, 0x3d4, 0x11, 0x80);
    vb_set(&b, 0x3d4, 0, 0xaa);
    vb_set(&b, 0x3d4, 7, 0xff);
    EXPECT_EQ(vb_get(&b, 0x3d4, 0), 0x5f);
    EXPECT_EQ(vb_get(&b, 0x3d4, 7), 0x10);
    // Color or mono addresses.
    EXPECT_EQ(rig_inb(&b.r, 0x3b5), 0xff);
    rig_outb(&b.r, 0x3c2, 0x62);
    EXPECT_EQ(rig_inb(&b.r, 0x3d5), 0xff);
    EXPECT_EQ(vb_get(&b, 0x3b4, 0), 0x5f);
    EXPECT_EQ(rig_inb(&b.r, 0x3cc), 0x62);
    rig_outb(&b.r, 0x3c2, 0x63);
    // The attribute flip-flop; the palette is locked while bit 5 is set.
    rig_inb(&b.r, 0x3da);
    rig_outb(&b.r, 0x3c0, 3);
    rig_outb(&b.r, 0x3c0, 0xff);
    rig_outb(&b.r, 0x3c0, 0x23);
    EXPECT_EQ(rig_inb(&b.r, 0x3c1), 0x3f);
    rig_outb(&b.r, 0x3c0, 0x01);
    EXPECT_EQ(rig_inb(&b.r, 0x3c1), 0x3f);
    // The DAC: three bytes a color, the address moves on; reading is ahead by one.
    rig_outb(&b.r, 0x3c8, 10);
    for (uint8_t i = 0; i < 6; i++) {
        rig_outb(&b.r, 0x3c9, (uint8_t)(0xc0 + i));
    }
    EXPECT_EQ(rig_inb(&b.r, 0x3c8), 12);
    EXPECT_EQ(rig_inb(&b.r, 0x3c7), 0);
    rig_outb(&b.r, 0x3c7, 10);
    EXPECT_EQ(rig_inb(&b.r, 0x3c8), 11);
    EXPECT_EQ(rig_inb(&b.r, 0x3c7), 3);
    for (uint8_t i = 0; i < 6; i++) {
        if (i == 4) {
            rig_reload(&b.r);
        }
        EXPECT_EQ(rig_inb(&b.r, 0x3c9), i);
    }
    vb_done(&b);
}

TEST(vga_text_mode)
{
    static struct vga_bench b;
    static struct text_screen t;
    static const uint8_t glyph[] = {0x81, 0x42, 0x24, 0x18};
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    for (unsigned i = 0; i < 4; i++) {
        vb_plane(&b, 2, (uint16_t)('A' * 32 + i), glyph[i]);
        vb_plane(&b, 2, (uint16_t)(0xc4 * 32 + i), 0x01);
    }
    vb_set(&b, 0x3d4, 0x0f, 0x51);
    vb_poke(&b, 0xb8000, 'A');
    vb_poke(&b, 0xb8001, 0x1e);
    vb_poke(&b, 0xb8002, 0xc4);
    vb_poke(&b, 0xb8003, 0x07);
    vb_poke(&b, 0xb8000 + 2 * 0x51, 'B');
    struct dev *d = b.r.env.display;
    EXPECT(b.r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.cols, 80);
    EXPECT_EQ(t.rows, 25);
    EXPECT_EQ(t.ch[0][0], 'A');
    EXPECT_EQ(t.attr[0][0], 0x1e);
    EXPECT_EQ(t.ch[1][1], 'B');
    EXPECT(t.cursor && t.cursor_col == 1 && t.cursor_row == 1);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 720);
    EXPECT_EQ(b.f.height, 400);
    for (unsigned y = 0; y < 4; y++) {
        for (unsigned x = 0; x < 9; x++) {
            unsigned bit = x < 8 ? glyph[y] >> (7 - x) & 1 : 0;
            EXPECT_EQ(b.f.pixel[y * 720 + x], vb_color(bit ? 14 : 1));
            EXPECT_EQ(b.f.pixel[y * 720 + 9 + x], vb_color(x >= 7 ? 7 : 0)); // line graphics
        }
    }
    // The cursor: lines 13 and 14 of row 1, in its character's color; off half of the time.
    EXPECT_EQ(b.f.pixel[(16 + 12) * 720 + 9], vb_color(0));
    uint32_t lit = b.f.pixel[(16 + 13) * 720 + 9];
    rig_run(&b.r, 8 * 14268000); // 8 frames at 70.09 Hz
    EXPECT(vb_look(&b, true));
    EXPECT(lit == vb_color(0) || b.f.pixel[(16 + 13) * 720 + 9] == vb_color(0));
    // Start address: shown from the next vertical retrace on.
    vb_set(&b, 0x3d4, 0x0d, 1);
    EXPECT(b.r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.ch[0][0], 'A');
    rig_reload(&b.r);
    rig_run(&b.r, 15000000);
    EXPECT(b.r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.ch[0][0], 0xc4);
    // Split: what is below line 15 starts at address 0 again.
    vb_set(&b, 0x3d4, 0x09, 0x0f);
    vb_set(&b, 0x3d4, 0x07, 0x0f);
    vb_set(&b, 0x3d4, 0x18, 15);
    EXPECT(b.r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.ch[1][0], 'A');
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.pixel[16 * 720], vb_color(14));
    vb_done(&b);
}

// In mode 3 a line is 100 characters of 9 dots at 28.322 MHz, a frame 449 lines. Lines 400 on are
// not displayed; retrace is lines 412 and 413 (11h ends with 0eh).
static vtime instant(unsigned frame, unsigned line, unsigned dot)
{
    return clock_tick_time((uint64_t)frame * 449 * 900 + line * 900 + dot, 28322000);
}

TEST(vga_retrace_at_its_time)
{
    static struct vga_bench b;
    static const struct {
        unsigned line, dot;
        uint8_t before, at; // bits 3 and 0 of status 1
    } t[] = {{0, 0, 1, 0},   {0, 720, 0, 1},   {1, 0, 1, 0},   {399, 720, 0, 1},
             {400, 0, 1, 1}, {411, 720, 1, 1}, {412, 0, 1, 9}, {413, 899, 9, 9},
             {414, 0, 9, 1}, {448, 899, 1, 1}};
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    for (unsigned frame = 3; frame < 6; frame++) {
        for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
            t_context("frame %u, line %u, dot %u", frame, t[i].line, t[i].dot);
            rig_run_to(&b.r, instant(frame, t[i].line, t[i].dot) - 1);
            EXPECT_EQ(rig_inb(&b.r, 0x3da) & 9, t[i].before);
            rig_run(&b.r, 1);
            EXPECT_EQ(rig_inb(&b.r, 0x3da) & 9, t[i].at);
        }
    }
    vb_done(&b);
}

// The flip-flop is set when the display ends; bit 4 of 11h at 0 holds it clear, bit 5 at 1 keeps it
// from the bus.
TEST(vga_vertical_interrupt)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    rig_run_to(&b.r, instant(3, 0, 0));
    EXPECT_EQ(b.p->rises[0], 0); // the BIOS leaves it held
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x80, 0);
    vb_set(&b, 0x3d4, 0x11, 0x1e);
    rig_run_to(&b.r, instant(3, 400, 0) - 1);
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x80, 0);
    rig_reload(&b.r);
    rig_run(&b.r, 1);
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x80, 0x80);
    EXPECT_EQ(b.p->rises[0], 1);
    EXPECT_EQ(b.p->last_rise[0], instant(3, 400, 0));
    // It stays until the program clears it; then the next one comes a frame later.
    rig_run_to(&b.r, instant(7, 10, 0));
    EXPECT_EQ(b.p->falls[0], 0);
    rig_reload(&b.r);
    EXPECT(dev_pin_in(&b.p->dev, 0));
    vb_set(&b, 0x3d4, 0x11, 0x0e);
    EXPECT_EQ(b.p->falls[0], 1);
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x80, 0);
    vb_set(&b, 0x3d4, 0x11, 0x1e);
    rig_run_to(&b.r, instant(7, 500, 0));
    EXPECT_EQ(b.p->rises[0], 2);
    EXPECT_EQ(b.p->last_rise[0], instant(7, 400, 0));
    // Kept from the bus, seen in status 0.
    vb_set(&b, 0x3d4, 0x11, 0x3e);
    EXPECT_EQ(b.p->falls[0], 2);
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x80, 0x80);
    vb_set(&b, 0x3d4, 0x11, 0x2e);
    vb_set(&b, 0x3d4, 0x11, 0x3e);
    rig_run_to(&b.r, instant(9, 0, 0));
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x80, 0x80);
    EXPECT_EQ(b.p->rises[0], 2);
    // Another height moves it: 350 lines from frame 9 on.
    vb_set(&b, 0x3d4, 0x11, 0x0e);
    vb_set(&b, 0x3d4, 0x11, 0x1e);
    vb_set(&b, 0x3d4, 0x12, 0x5d);
    rig_run_to(&b.r, instant(10, 0, 0));
    EXPECT_EQ(b.p->last_rise[0], instant(9, 350, 0));
    rig_reset(&b.r, RESET_WARM);
    EXPECT(!dev_pin_in(&b.p->dev, 0));
    vb_done(&b);
}

// Saved and loaded between any two accesses of a sequence.
TEST(vga_saved_midway)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_12h);
    // The attribute controller's flip-flop.
    rig_inb(&b.r, 0x3da);
    rig_reload(&b.r);
    rig_outb(&b.r, 0x3c0, 0x31);
    rig_reload(&b.r);
    rig_outb(&b.r, 0x3c0, 0x2a);
    rig_reload(&b.r);
    EXPECT_EQ(rig_inb(&b.r, 0x3c1), 0x2a);
    // A color of the DAC, written and read.
    rig_outb(&b.r, 0x3c8, 77);
    for (uint8_t i = 0; i < 6; i++) {
        rig_reload(&b.r);
        rig_outb(&b.r, 0x3c9, (uint8_t)(i + 1));
    }
    rig_outb(&b.r, 0x3c7, 77);
    EXPECT_EQ(rig_inb(&b.r, 0x3c7), 3);
    for (uint8_t i = 0; i < 6; i++) {
        rig_reload(&b.r);
        EXPECT_EQ(rig_inb(&b.r, 0x3c9), i + 1);
    }
    // Half a color is no color.
    rig_outb(&b.r, 0x3c8, 77);
    rig_outb(&b.r, 0x3c9, 60);
    rig_outb(&b.r, 0x3c9, 60);
    rig_outb(&b.r, 0x3c7, 77);
    EXPECT_EQ(rig_inb(&b.r, 0x3c9), 1);
    // Indexes, latches, and the low half of a VBE register.
    rig_outb(&b.r, 0x3ce, 8);
    rig_reload(&b.r);
    rig_outb(&b.r, 0x3cf, 0x0f);
    vb_plane(&b, 2, 9, 0xa5);
    vb_peek(&b, 0xa0009);
    rig_reload(&b.r);
    vb_poke(&b, 0xa0010, 0x33);
    vb_set(&b, 0x3ce, 4, 2);
    EXPECT_EQ(vb_peek(&b, 0xa0010), 0xa3);
    rig_outw(&b.r, 0x1ce, 1);
    rig_outb(&b.r, 0x1cf, 0x20);
    rig_reload(&b.r);
    rig_outb(&b.r, 0x1d0, 0x03);
    EXPECT_EQ(rig_inw(&b.r, 0x1cf), 0x320);
    vb_done(&b);
}

// Rotation and functions in the write modes that use them, the map mask, odd/even and the windows.
TEST(vga_maps_and_windows)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_12h);
    for (uint8_t p = 0; p < 4; p++) {
        vb_plane(&b, p, 3, (uint8_t)(0x10 + p));
    }
    vb_set(&b, 0x3c4, 2, 0x0a); // planes 1 and 3 only
    vb_poke(&b, 0xa0003, 0xee);
    static const uint8_t want[] = {0x10, 0xee, 0x12, 0xee};
    for (uint8_t p = 0; p < 4; p++) {
        vb_set(&b, 0x3ce, 4, p);
        EXPECT_EQ(vb_peek(&b, 0xa0003), want[p]);
    }
    // Rotation comes before everything: of the mask in mode 3, not at all in mode 2.
    vb_set(&b, 0x3c4, 2, 1);
    vb_set(&b, 0x3ce, 4, 0);
    for (unsigned turn = 0; turn < 8; turn++) {
        vb_set(&b, 0x3ce, 3, (uint8_t)turn);
        vb_set(&b, 0x3ce, 5, 0);
        vb_poke(&b, 0xa0100, 0x81);
        EXPECT_EQ(vb_peek(&b, 0xa0100), (0x8181u >> turn) & 0xff);
        vb_set(&b, 0x3ce, 5, 2);
        vb_poke(&b, 0xa0100, 0x01);
        EXPECT_EQ(vb_peek(&b, 0xa0100), 0xff);
        vb_set(&b, 0x3ce, 0, 0); // mode 3: color 0 where the turned byte has bits
        vb_set(&b, 0x3ce, 5, 3);
        vb_poke(&b, 0xa0100, 0x81);
        EXPECT_EQ(vb_peek(&b, 0xa0100), ~(0x8181u >> turn) & 0xff);
    }
    vb_set(&b, 0x3ce, 3, 0);
    vb_set(&b, 0x3ce, 5, 0);
    // Windows: 128 KiB, 64 KiB, the mono and the color adapter's 32 KiB.
    static const struct {
        uint8_t misc;
        uint32_t first, last;
    } t[] = {{1, 0xa0000, 0xbffff},
             {5, 0xa0000, 0xaffff},
             {9, 0xb0000, 0xb7fff},
             {13, 0xb8000, 0xbffff}};
    static const uint32_t probe[] = {0xa0000, 0xaffff, 0xb0000, 0xb7fff, 0xb8000, 0xbffff};
    for (unsigned i = 0; i < 4; i++) {
        vb_set(&b, 0x3ce, 6, t[i].misc);
        for (unsigned k = 0; k < 6; k++) {
            t_context("map %u, %x", i, (unsigned)probe[k]);
            bool in = probe[k] >= t[i].first && probe[k] <= t[i].last;
            vb_poke(&b, probe[k], (uint8_t)(0x40 + k));
            EXPECT_EQ(vb_peek(&b, probe[k]), in ? 0x40 + k : 0xff);
        }
    }
    rig_outb(&b.r, 0x3c2, 0x61); // RAM off
    EXPECT_EQ(vb_peek(&b, 0xb8000), 0xff);
    // Odd/even: even addresses in plane 0, odd ones in plane 1, both at the even address.
    vb_mode(&b, &vga_text_80);
    vb_poke(&b, 0xb8006, 0x12);
    vb_poke(&b, 0xb8007, 0x34);
    EXPECT_EQ(vb_peek(&b, 0xb8006), 0x12);
    EXPECT_EQ(vb_peek(&b, 0xb8007), 0x34);
    vb_set(&b, 0x3c4, 4, 6);
    vb_set(&b, 0x3ce, 5, 0);
    vb_set(&b, 0x3ce, 4, 0);
    EXPECT_EQ(vb_peek(&b, 0xb8006), 0x12);
    vb_set(&b, 0x3ce, 4, 1);
    EXPECT_EQ(vb_peek(&b, 0xb8006), 0x34);
    vb_done(&b);
}

TEST(vga_vbe_depths)
{
    static struct vga_bench b;
    vb_setup(&b);
    rig_outw(&b.r, 0x1ce, 0);
    EXPECT_EQ(rig_inw(&b.r, 0x1cf), 0xb0c5);
    static const struct {
        uint16_t bpp;
        uint32_t value, rgb;
    } t[] = {{32, 0x123456, 0x123456},
             {24, 0x123456, 0x123456},
             {16, 0xf81f, 0xff00ff},
             {16, 0x8410, 0x848284},
             {15, 0x7c1f, 0xff00ff}};
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        t_context("%u bpp", t[i].bpp);
        unsigned bytes = (t[i].bpp + 7) / 8;
        vb_vbe(&b, 4, 0);
        vb_vbe(&b, 1, 640);
        vb_vbe(&b, 2, 480);
        vb_vbe(&b, 3, t[i].bpp);
        vb_vbe(&b, 4, 0x41);
        EXPECT_EQ(aspace_read(&b.r.mem, 0xe0000000 + 640 * bytes * 2 + 5 * bytes, 4), 0);
        aspace_write(&b.r.mem, 0xe0000000 + 640 * bytes * 2 + 5 * bytes, 2, t[i].value);
        if (bytes > 2) {
            aspace_write(&b.r.mem, 0xe0000000 + 640 * bytes * 2 + 5 * bytes + 2, 1,
                         t[i].value >> 16);
        }
        EXPECT(vb_look(&b, true));
        EXPECT_EQ(b.f.width, 640);
        EXPECT_EQ(b.f.height, 480);
        EXPECT_EQ(b.f.pixel[640 * 2 + 5], t[i].rgb);
        EXPECT_EQ(b.f.pixel[640 * 2 + 6], 0);
        vb_vbe(&b, 9, 2); // y offset
        EXPECT(vb_look(&b, true));
        EXPECT_EQ(b.f.pixel[5], t[i].rgb);
    }
    // Banks in the window.
    rig_outb(&b.r, 0x3c2, 0x67);
    vb_set(&b, 0x3ce, 6, 5);
    vb_vbe(&b, 5, 3);
    vb_poke(&b, 0xa0010, 0x77);
    EXPECT_EQ(vb_peek(&b, 0xe0030010), 0x77);
    rig_reload(&b.r);
    EXPECT_EQ(vb_peek(&b, 0xa0010), 0x77);
    // What does not fit stays off.
    vb_vbe(&b, 4, 0);
    vb_vbe(&b, 1, 4096);
    vb_vbe(&b, 2, 4096);
    vb_vbe(&b, 3, 32);
    vb_vbe(&b, 4, 0x41);
    rig_outw(&b.r, 0x1ce, 4);
    EXPECT_EQ(rig_inw(&b.r, 0x1cf) & 1, 0);
    vb_done(&b);
}

// What can be read of each port, and what is not there; port 3c3 switches the card off.
TEST(vga_ports)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    vb_poke(&b, 0xb8000, 0x5a);
    static const struct {
        uint16_t port;
        uint8_t write, read;
    } t[] = {{0x3c4, 3, 3},       {0x3ce, 6, 6},       {0x3d4, 0x18, 0x18},
             {0x3c6, 0x7f, 0x7f}, {0x3c8, 0x21, 0x21}, {0x3b4, 5, 0xff},
             {0x3ba, 3, 0xff},    {0x3d8, 9, 0xff},    {0x3cd, 1, 0xff}};
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        t_context("port %03x", t[i].port);
        rig_outb(&b.r, t[i].port, t[i].write);
        EXPECT_EQ(rig_inb(&b.r, t[i].port), t[i].read);
    }
    t_context("after the table");
    rig_inb(&b.r, 0x3da);
    rig_outb(&b.r, 0x3c0, 0x34);
    EXPECT_EQ(rig_inb(&b.r, 0x3c0), 0x34);
    rig_outb(&b.r, 0x3da, 2); // feature control, read at 3ca
    EXPECT_EQ(rig_inb(&b.r, 0x3ca), 2);
    // The comparator (3c2 bit 4) falls when color 0 leaves the DAC bright.
    rig_outb(&b.r, 0x3c8, 0);
    for (unsigned i = 0; i < 3; i++) {
        rig_outb(&b.r, 0x3c9, 0x12);
    }
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x10, 0x10);
    rig_outb(&b.r, 0x3c8, 0);
    rig_outb(&b.r, 0x3c9, 0x12);
    rig_outb(&b.r, 0x3c9, 0x3f);
    rig_outb(&b.r, 0x3c9, 0x12);
    EXPECT_EQ(rig_inb(&b.r, 0x3c2) & 0x10, 0);
    // Off: no memory, no register but 3c3 listens.
    EXPECT_EQ(rig_inb(&b.r, 0x3c3), 1);
    rig_outb(&b.r, 0x3c3, 0);
    EXPECT_EQ(vb_peek(&b, 0xb8000), 0xff);
    rig_outb(&b.r, 0x3c2, 0);
    EXPECT_EQ(rig_inb(&b.r, 0x3cc), 0x67);
    rig_reload(&b.r);
    EXPECT_EQ(vb_peek(&b, 0xb8000), 0xff);
    rig_outb(&b.r, 0x3c3, 1);
    EXPECT_EQ(vb_peek(&b, 0xb8000), 0x5a);
    vb_done(&b);
}

// Chain 4 with a plane masked or a function goes byte by byte, and finds the same memory.
TEST(vga_chain_4_not_neutral)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_13h);
    for (unsigned i = 0; i < 8; i++) {
        vb_poke(&b, 0xa0100 + i, (uint8_t)(0x10 + i));
    }
    vb_set(&b, 0x3c4, 2, 5); // planes 0 and 2: every other byte
    for (unsigned i = 0; i < 8; i++) {
        vb_poke(&b, 0xa0100 + i, 0xee);
        EXPECT_EQ(vb_peek(&b, 0xa0100 + i), i & 1 ? 0x10 + i : 0xee);
    }
    vb_set(&b, 0x3c4, 2, 15);
    EXPECT_EQ(vb_peek(&b, 0xa0101), 0x11);
    vb_set(&b, 0x3ce, 3, 0x18); // XOR with the latch of the same plane
    vb_peek(&b, 0xa0101);
    vb_poke(&b, 0xa0101, 0xff);
    EXPECT_EQ(vb_peek(&b, 0xa0101), 0xee);
    vb_done(&b);
}

static uint16_t vbe_reg(struct vga_bench *b, uint16_t index)
{
    rig_outw(&b->r, 0x1ce, index);
    EXPECT_EQ(rig_inw(&b->r, 0x1ce), index);
    return rig_inw(&b->r, 0x1cf);
}

TEST(vga_vbe_registers)
{
    static struct vga_bench b;
    vb_setup(&b);
    for (uint16_t id = 0xb0c0; id <= 0xb0c5; id++) { // a version that is known can be asked for
        vb_vbe(&b, 0, id);
        EXPECT_EQ(vbe_reg(&b, 0), id);
    }
    vb_vbe(&b, 0, 0xb0c6);
    EXPECT_EQ(vbe_reg(&b, 0), 0xb0c5);
    EXPECT_EQ(vbe_reg(&b, 10), 64); // 4 MiB in units of 64 KiB
    EXPECT_EQ(vbe_reg(&b, 11), 0);
    vb_vbe(&b, 4, 2); // capabilities
    EXPECT(vbe_reg(&b, 1) == 4096 && vbe_reg(&b, 2) == 4096 && vbe_reg(&b, 3) == 32);
    // Sizes that cannot be, and depths that are not there, do not switch on.
    static const uint16_t bad[][3] = {{0, 480, 8}, {4, 480, 8},    {641, 480, 8},
                                      {640, 0, 8}, {640, 480, 12}, {640, 480, 0x4000}};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (uint16_t k = 0; k < 3; k++) {
            vb_vbe(&b, (uint16_t)(1 + k), bad[i][k]);
        }
        vb_vbe(&b, 4, 1);
        EXPECT_EQ(vbe_reg(&b, 4) & 1, 0);
    }
    // While on, sizes stay; cleared unless asked not to be.
    vb_vbe(&b, 1, 640);
    vb_vbe(&b, 2, 480);
    vb_vbe(&b, 3, 8);
    vb_vbe(&b, 4, 0x41);
    vb_vbe(&b, 1, 320);
    EXPECT_EQ(vbe_reg(&b, 1), 640);
    vb_poke(&b, 0xe0000005, 7);
    vb_vbe(&b, 4, 0);
    vb_vbe(&b, 4, 0xc1);
    EXPECT_EQ(vb_peek(&b, 0xe0000005), 7);
    vb_vbe(&b, 4, 0);
    vb_vbe(&b, 4, 0x41);
    EXPECT_EQ(vb_peek(&b, 0xe0000005), 0);
    vb_done(&b);
}
