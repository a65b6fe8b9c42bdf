// Text modes: what the registers and memory make on the screen, worked out by hand from the PS/2
// Hardware Interface Technical Reference, "Video Subsystem".

#include <string.h>

#include "tests/dev/vga_bench.h"

enum { FRAME_NS = 14268060 }; // 449 lines of 900 dots at 28.322 MHz

// Line `scan` of a character in font map 0.
static void glyph(struct vga_bench *b, uint8_t ch, unsigned scan, uint8_t bits)
{
    vb_plane(b, 2, (uint16_t)(ch * 32 + scan), bits);
}

static void cell(struct vga_bench *b, unsigned at, uint8_t ch, uint8_t attr)
{
    uint32_t base = rig_inb(&b->r, 0x3cc) & 1 ? 0xb8000 : 0xb0000;
    vb_poke(b, base + 2 * at, ch);
    vb_poke(b, base + 2 * at + 1, attr);
}

// The nine dots of a character on a line of the screen: lit ones as bits, the first is bit 8. What
// is neither color fails.
static unsigned nine(const struct vga_bench *b, unsigned col, unsigned y, unsigned fg, unsigned bg)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < 9; i++) {
        uint32_t c = vb_pixel(b, 9 * col + i, y);
        bits = bits << 1 | (c == vb_color(fg));
        EXPECT(c == vb_color(fg) || c == vb_color(bg));
    }
    return bits;
}

TEST(vga_mono_underline_and_ninth_dot)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_mono);
    vb_set(&b, 0x3b4, 0x0a, 0x20); // no cursor
    glyph(&b, 'A', 13, 0x42);
    glyph(&b, 'A', 12, 0x42);
    glyph(&b, 0xc4, 12, 0x81);
    glyph(&b, 0xdf, 12, 0x81);
    glyph(&b, 0xe0, 12, 0x81);
    cell(&b, 0, 'A', 0x01); // underlined: foreground 1 or 9, background 0
    cell(&b, 1, 'A', 0x09);
    cell(&b, 2, 'A', 0x21);
    cell(&b, 3, 'A', 0x02);
    cell(&b, 4, 'A', 0x81); // blinking
    cell(&b, 5, 0xc4, 0x07);
    cell(&b, 6, 0xdf, 0x07);
    cell(&b, 7, 0xe0, 0x07);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 720);
    EXPECT_EQ(b.f.height, 400);
    EXPECT_EQ(nine(&b, 0, 12, 1, 0), 0x84);
    EXPECT_EQ(nine(&b, 0, 13, 1, 0), 0x1ff);
    EXPECT_EQ(nine(&b, 1, 13, 9, 0), 0x1ff);
    EXPECT_EQ(nine(&b, 2, 13, 1, 2), 0x84);
    EXPECT_EQ(nine(&b, 3, 13, 2, 0), 0x84);
    EXPECT_EQ(nine(&b, 4, 13, 1, 0), 0x1ff);
    // C0 to DF repeat their eighth dot, others do not.
    EXPECT_EQ(nine(&b, 5, 12, 7, 0), 0x103);
    EXPECT_EQ(nine(&b, 6, 12, 7, 0), 0x103);
    EXPECT_EQ(nine(&b, 7, 12, 7, 0), 0x102);
    vb_attr(&b, 0x10, 0x0a); // line graphics off
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 5, 12, 7, 0), 0x102);
    // Blinked away, the underline too.
    rig_run_to(&b.r, UINT64_C(16) * FRAME_NS + FRAME_NS / 2);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 4, 13, 1, 0), 0);
    EXPECT_EQ(nine(&b, 0, 13, 1, 0), 0x1ff);
    vb_done(&b);
}

TEST(vga_blinks_by_frames)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    glyph(&b, 'A', 0, 0xff);
    cell(&b, 0, 'A', 0x94);
    cell(&b, 1, ' ', 0x07);
    vb_set(&b, 0x3d4, 0x0f, 1); // the cursor, lines 13 and 14
    // Characters: 16 frames on, 16 off; the cursor: 8 and 8. At half a frame the retrace is to
    // come.
    for (unsigned n = 2; n < 70; n++) {
        t_context("frame %u", n);
        rig_run_to(&b.r, UINT64_C(1) * n * FRAME_NS + FRAME_NS / 2);
        EXPECT(vb_look(&b, true));
        EXPECT_EQ(nine(&b, 0, 0, 4, 1), n % 32 < 16 ? 0x1fe : 0);
        EXPECT_EQ(nine(&b, 1, 13, 7, 0), n % 16 < 8 ? 0x1ff : 0);
        EXPECT_EQ(nine(&b, 1, 14, 7, 0), n % 16 < 8 ? 0x1ff : 0);
        EXPECT_EQ(nine(&b, 1, 12, 7, 0), 0);
        EXPECT_EQ(nine(&b, 1, 15, 7, 0), 0);
    }
    // Without blinking, bit 7 is the background's intensity.
    vb_attr(&b, 0x10, 0x04);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 0, 0, 4, 9), 0x1fe);
    EXPECT_EQ(nine(&b, 0, 1, 4, 9), 0);
    // The color plane enable takes bits from both colors.
    vb_attr(&b, 0x12, 0x0c);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 0, 0, 4, 8), 0x1fe);
    vb_done(&b);
}

TEST(vga_two_fonts)
{
    static struct vga_bench b;
    static const struct {
        uint8_t select;
        uint16_t plain, bright; // where the fonts are in plane 2
    } t[] = {{0x00, 0, 0},           {0x04, 0, 0x4000},      {0x01, 0x4000, 0},
             {0x0a, 0x8000, 0x8000}, {0x20, 0, 0x2000},      {0x10, 0x2000, 0},
             {0x3f, 0xe000, 0xe000}, {0x2d, 0x4000, 0xe000}, {0x1b, 0xe000, 0x8000}};
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    for (unsigned i = 0; i < 8; i++) { // map i has i + 1 in line 3 of 'A'
        vb_plane(&b, 2, (uint16_t)(i * 0x2000 + 'A' * 32 + 3), (uint8_t)(i + 1));
    }
    cell(&b, 0, 'A', 0x02);
    cell(&b, 1, 'A', 0x0a);
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        t_context("select %02x", t[i].select);
        vb_set(&b, 0x3c4, 3, t[i].select);
        EXPECT(vb_look(&b, true));
        EXPECT_EQ(nine(&b, 0, 3, 2, 0), 2u * (t[i].plain / 0x2000u + 1));
        EXPECT_EQ(nine(&b, 1, 3, 10, 0), 2u * (t[i].bright / 0x2000u + 1));
    }
    vb_set(&b, 0x3c4, 4, 0); // no extended memory: no choice
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 1, 3, 10, 0), 2);
    vb_done(&b);
}

TEST(vga_text_scrolls_by_dots)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    vb_set(&b, 0x3d4, 0x0a, 0x20);
    glyph(&b, 'A', 0, 0x80);
    glyph(&b, 'A', 5, 0xff);
    for (unsigned i = 0; i < 81; i++) {
        cell(&b, i, 'A', 0x07);
    }
    cell(&b, 80, 'A', 0x02);
    // PEL panning: 8 is none, 0 to 7 move one dot further left than they say.
    for (uint8_t pan = 0; pan <= 8; pan++) {
        vb_attr(&b, 0x13, pan);
        EXPECT(vb_look(&b, true));
        unsigned left = pan == 8 ? 0 : pan + 1u;
        for (unsigned x = 0; x < 720; x++) {
            unsigned dot = (x + left) % 9, col = (x + left) / 9;
            EXPECT_EQ(b.f.pixel[x], vb_color(dot ? 0 : col == 80 ? 2 : 7));
        }
    }
    // Preset row scan: the screen begins with line 5 of the first row.
    vb_set(&b, 0x3d4, 0x08, 5);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 0, 0, 7, 0), 0x1fe);
    EXPECT_EQ(nine(&b, 0, 1, 7, 0), 0);
    EXPECT_EQ(nine(&b, 0, 11, 2, 0), 0x100); // row 1
    // Byte panning: whole characters.
    vb_set(&b, 0x3d4, 0x08, 0x60);
    cell(&b, 3, ' ', 0x07);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 0, 0, 7, 0), 0);
    EXPECT_EQ(nine(&b, 1, 0, 7, 0), 0x100);
    EXPECT_EQ(nine(&b, 77, 0, 2, 0), 0x100);
    vb_done(&b);
}

TEST(vga_skews)
{
    static struct vga_bench b;
    static struct text_screen t;
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    for (unsigned i = 0; i < 84; i++) {
        cell(&b, i, (uint8_t)('A' + i % 26), 0x07);
    }
    glyph(&b, 'A', 0, 0xf0);
    // The cursor comes two characters late.
    vb_set(&b, 0x3d4, 0x0f, 5);
    vb_set(&b, 0x3d4, 0x0b, 0x4e);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 5, 13, 7, 0), 0);
    EXPECT_EQ(nine(&b, 7, 13, 7, 0), 0x1ff);
    struct dev *d = b.r.env.display;
    EXPECT(b.r.env.display_ops->text(d, &t));
    EXPECT(t.cursor && t.cursor_col == 7 && t.cursor_row == 0);
    // The display starts and ends one character late.
    vb_set(&b, 0x3d4, 0x0b, 0x0e);
    vb_set(&b, 0x3d4, 3, 0xa2);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(nine(&b, 4, 13, 7, 0), 0x1ff);
    EXPECT_EQ(nine(&b, 25, 0, 7, 0), 0x1e0); // character 26 is an A again
    EXPECT_EQ(nine(&b, 0, 0, 7, 0), 0);
    EXPECT(b.r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.ch[0][0], 'B');
    EXPECT_EQ(t.ch[0][79], 'A' + 80 % 26);
    EXPECT_EQ(t.cursor_col, 4);
    // Status 1 says so: the first character, 9 dots of 900, does not show; the 81st does.
    rig_run_to(&b.r, UINT64_C(3) * FRAME_NS + 31778 * 10 + 200);
    EXPECT_EQ(rig_inb(&b.r, 0x3da) & 9, 1);
    rig_run(&b.r, 318);
    EXPECT_EQ(rig_inb(&b.r, 0x3da) & 9, 0);
    rig_run(&b.r, 31778 - 318 - 200 - (900 - 725) * 1000 / 28);
    EXPECT_EQ(rig_inb(&b.r, 0x3da) & 9, 0);
    vb_done(&b);
}

static void expect_rows(struct vga_bench *b, unsigned cols, unsigned rows)
{
    static struct text_screen t;
    t_context("%u x %u", cols, rows);
    EXPECT(b->r.env.display_ops->text(b->r.env.display, &t));
    EXPECT_EQ(t.cols, cols);
    EXPECT_EQ(t.rows, rows);
    for (unsigned y = 0; y < rows; y++) {
        for (unsigned x = 0; x < cols; x++) {
            EXPECT_EQ(t.ch[y][x], (uint8_t)(y * cols + x));
            EXPECT_EQ(t.attr[y][x], (uint8_t)((y * cols + x) >> 8 | 0x10));
        }
    }
}

TEST(vga_text_of_every_size)
{
    static struct vga_bench b;
    vb_setup(&b);
    vb_mode(&b, &vga_text_80);
    for (unsigned i = 0; i < 132 * 60; i++) {
        cell(&b, i, (uint8_t)i, (uint8_t)(i >> 8 | 0x10));
    }
    expect_rows(&b, 80, 25);
    vb_set(&b, 0x3d4, 9, 0x47); // fonts of 8 lines
    expect_rows(&b, 80, 50);
    vb_set(&b, 0x3d4, 0x12, 0x5d); // 350 lines, the 44th row is cut off
    expect_rows(&b, 80, 43);
    vb_set(&b, 0x3d4, 9, 0x4d); // 14 lines
    expect_rows(&b, 80, 25);
    vb_set(&b, 0x3d4, 0x12, 0xdf); // 480 lines of 8
    vb_set(&b, 0x3d4, 9, 0x47);
    expect_rows(&b, 80, 60);
    vb_set(&b, 0x3d4, 1, 131);
    vb_set(&b, 0x3d4, 0x13, 66);
    expect_rows(&b, 132, 60);
    vb_mode(&b, &vga_text_40);
    expect_rows(&b, 40, 25);
    EXPECT(vb_look(&b, true));
    EXPECT_EQ(b.f.width, 720);
    vb_set(&b, 0x3d4, 9, 0xc7); // 8 lines, each scanned twice
    expect_rows(&b, 40, 25);
    vb_done(&b);
}
