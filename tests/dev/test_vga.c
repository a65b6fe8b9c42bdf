// The VGA's registers, planes and picture on a bare bus.

#include <string.h>

#include "core/backend_display.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

static void setup(struct rig *r)
{
    rig_init(r);
    rig_add(r, &vga_isa_class, "vga", "vgamem_mb=4");
    rig_reset(r, RESET_COLD);
    rig_outb(r, 0x3c2, 0x63);
}

static void indexed(struct rig *r, uint16_t port, uint8_t i, uint8_t val)
{
    rig_outw(r, port, (uint16_t)(val << 8 | i));
}

static uint8_t get(struct rig *r, uint16_t port, uint8_t i)
{
    rig_outb(r, port, i);
    return rig_inb(r, (uint16_t)(port + 1));
}

static void attr(struct rig *r, uint8_t i, uint8_t val)
{
    rig_inb(r, 0x3da);
    rig_outb(r, 0x3c0, i);
    rig_outb(r, 0x3c0, val);
}

static void poke(struct rig *r, uint32_t a, uint8_t v)
{
    aspace_write(&r->mem, a, 1, v);
}

static uint8_t peek(struct rig *r, uint32_t a)
{
    return (uint8_t)aspace_read(&r->mem, a, 1);
}

// Sequencer, graphics controller and CRTC of a mode; identity palette, DAC entry i = (i, i*2, i*3).
static void mode(struct rig *r, const uint8_t *seq, const uint8_t *crtc, const uint8_t *gfx,
                 uint8_t attr10)
{
    for (uint8_t i = 0; i < 5; i++) {
        indexed(r, 0x3c4, i, seq[i]);
    }
    indexed(r, 0x3d4, 0x11, 0);
    for (uint8_t i = 0; i < 25; i++) {
        indexed(r, 0x3d4, i, crtc[i]);
    }
    for (uint8_t i = 0; i < 9; i++) {
        indexed(r, 0x3ce, i, gfx[i]);
    }
    for (uint8_t i = 0; i < 16; i++) {
        attr(r, i, i);
    }
    attr(r, 0x10, attr10);
    attr(r, 0x12, 15);
    attr(r, 0x13, attr10 & 1 ? 0 : 8); // 9 dots: 8 is no panning
    rig_outb(r, 0x3c8, 0);
    for (unsigned i = 0; i < 256; i++) {
        rig_outb(r, 0x3c9, (uint8_t)i & 63);
        rig_outb(r, 0x3c9, (uint8_t)(i * 2) & 63);
        rig_outb(r, 0x3c9, (uint8_t)(i * 3) & 63);
    }
    rig_inb(r, 0x3da);
    rig_outb(r, 0x3c0, 0x20);
}

static uint32_t color(unsigned i)
{
    uint32_t c[3] = {i & 63, (i * 2) & 63, (i * 3) & 63};
    for (unsigned k = 0; k < 3; k++) {
        c[k] = c[k] << 2 | c[k] >> 4;
    }
    return c[0] << 16 | c[1] << 8 | c[2];
}

static const uint8_t seq_13[] = {3, 1, 15, 0, 14}, seq_12[] = {3, 1, 15, 0, 6},
                     gfx_13[] = {0, 0, 0, 0, 0, 0x40, 5, 15, 0xff},
                     gfx_12[] = {0, 0, 0, 0, 0, 0, 5, 15, 0xff};
static const uint8_t crtc_13[] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00,
                                  0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x0e,
                                  0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff};

TEST(vga_modes_13h_and_x)
{
    struct rig r;
    struct frame f = {0};
    setup(&r);
    mode(&r, seq_13, crtc_13, gfx_13, 0x41);
    for (unsigned i = 0; i < 320; i++) {
        poke(&r, 0xa0000 + i, (uint8_t)i);
        poke(&r, 0xa0000 + 320 * 199 + i, (uint8_t)(255 - i));
    }
    struct dev *d = r.env.display;
    EXPECT(r.env.display_ops->draw(d, &f, true));
    EXPECT_EQ(f.width, 640);
    EXPECT_EQ(f.height, 400);
    for (unsigned x = 0; x < 640; x++) {
        EXPECT_EQ(f.pixel[x], color(x / 2 & 255));
        EXPECT_EQ(f.pixel[640 + x], color(x / 2 & 255));
        EXPECT_EQ(f.pixel[640 * 2 + x], color(0));
        EXPECT_EQ(f.pixel[640 * 399 + x], color((255 - x / 2) & 255));
    }
    // Nothing changes, nothing is drawn; a byte does.
    EXPECT(r.env.display_ops->draw(d, &f, false));
    EXPECT(!r.env.display_ops->draw(d, &f, false));
    poke(&r, 0xa0001, 99);
    EXPECT(r.env.display_ops->draw(d, &f, false));
    EXPECT_EQ(f.pixel[2], color(99));
    rig_reload(&r);
    // Chain 4 off: pixel n is in plane n & 3 at address n & ~3.
    indexed(&r, 0x3c4, 4, 6);
    for (unsigned i = 0; i < 64; i++) {
        indexed(&r, 0x3ce, 4, i & 3);
        EXPECT_EQ(peek(&r, 0xa0000 + (i & ~3u)), i == 1 ? 99 : i);
    }
    // Mode X: four pixels an address.
    indexed(&r, 0x3d4, 0x14, 0);
    indexed(&r, 0x3d4, 0x17, 0xe3);
    for (unsigned i = 0; i < 320; i++) {
        indexed(&r, 0x3c4, 2, (uint8_t)(1 << (i & 3)));
        poke(&r, 0xa0000 + i / 4, (uint8_t)(i + 7));
    }
    EXPECT(r.env.display_ops->draw(d, &f, true));
    for (unsigned x = 0; x < 640; x++) {
        EXPECT_EQ(f.pixel[x], color((x / 2 + 7) & 255));
    }
    frame_free(&f);
    rig_fini(&r);
}

TEST(vga_write_modes)
{
    struct rig r;
    setup(&r);
    for (uint8_t i = 0; i < 5; i++) {
        indexed(&r, 0x3c4, i, seq_12[i]);
    }
    for (uint8_t i = 0; i < 9; i++) {
        indexed(&r, 0x3ce, i, gfx_12[i]);
    }
    // Planes hold 11, 22, 44, 88 at address 5.
    for (uint8_t p = 0; p < 4; p++) {
        indexed(&r, 0x3c4, 2, (uint8_t)(1 << p));
        poke(&r, 0xa0005, (uint8_t)(0x11 << p));
    }
    indexed(&r, 0x3c4, 2, 15);
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
        indexed(&r, 0x3ce, 5, 0);
        peek(&r, 0xa0005); // the latches
        if (i == 3) {
            rig_reload(&r);
        }
        indexed(&r, 0x3ce, 5, t[i][0]);
        indexed(&r, 0x3ce, 0, t[i][1]);
        indexed(&r, 0x3ce, 1, t[i][2]);
        indexed(&r, 0x3ce, 3, t[i][3]);
        indexed(&r, 0x3ce, 8, t[i][4]);
        poke(&r, 0xa0009, t[i][5]);
        for (uint8_t p = 0; p < 4; p++) {
            indexed(&r, 0x3ce, 4, p);
            EXPECT_EQ(peek(&r, 0xa0009), t[i][6 + p]);
        }
    }
    // Read mode 1: bits where planes equal color 5, plane 3 left out.
    indexed(&r, 0x3ce, 5, 8);
    indexed(&r, 0x3ce, 2, 0x5);
    indexed(&r, 0x3ce, 7, 0x5);
    EXPECT_EQ(peek(&r, 0xa0005), 0x00);
    indexed(&r, 0x3ce, 7, 0x1);
    EXPECT_EQ(peek(&r, 0xa0005), 0x11);
    rig_fini(&r);
}

TEST(vga_registers)
{
    struct rig r;
    setup(&r);
    static const uint8_t seq[] = {3, 0x3d, 15, 0x3f, 14, 0, 0};
    for (uint8_t i = 0; i < 7; i++) {
        indexed(&r, 0x3c4, i, 0xff);
        EXPECT_EQ(get(&r, 0x3c4, i), seq[i]);
    }
    static const uint8_t gfx[] = {15, 15, 15, 0x1f, 3, 0x7b, 15, 15, 0xff, 0};
    for (uint8_t i = 0; i < 10; i++) {
        indexed(&r, 0x3ce, i, 0xff);
        EXPECT_EQ(get(&r, 0x3ce, i), gfx[i]);
    }
    // CRTC 0..7 are protected by bit 7 of 11h, but for bit 4 of 7.
    indexed(&r, 0x3d4, 0x11, 0);
    indexed(&r, 0x3d4, 0, 0x5f);
    indexed(&r, 0x3d4, 7, 0);
    indexed(&r, 0x3d4, 0x11, 0x80);
    indexed(&r, 0x3d4, 0, 0xaa);
    indexed(&r, 0x3d4, 7, 0xff);
    EXPECT_EQ(get(&r, 0x3d4, 0), 0x5f);
    EXPECT_EQ(get(&r, 0x3d4, 7), 0x10);
    // Color or mono addresses.
    EXPECT_EQ(rig_inb(&r, 0x3b5), 0xff);
    rig_outb(&r, 0x3c2, 0x62);
    EXPECT_EQ(rig_inb(&r, 0x3d5), 0xff);
    EXPECT_EQ(get(&r, 0x3b4, 0), 0x5f);
    EXPECT_EQ(rig_inb(&r, 0x3cc), 0x62);
    rig_outb(&r, 0x3c2, 0x63);
    // The attribute flip-flop; the palette is locked while bit 5 is set.
    attr(&r, 3, 0xff);
    rig_outb(&r, 0x3c0, 0x23);
    EXPECT_EQ(rig_inb(&r, 0x3c1), 0x3f);
    rig_outb(&r, 0x3c0, 0x01);
    EXPECT_EQ(rig_inb(&r, 0x3c1), 0x3f);
    // The DAC: three bytes a color, the address moves on; reading is ahead by one.
    rig_outb(&r, 0x3c8, 10);
    for (uint8_t i = 0; i < 6; i++) {
        rig_outb(&r, 0x3c9, (uint8_t)(0xc0 + i));
    }
    EXPECT_EQ(rig_inb(&r, 0x3c8), 12);
    EXPECT_EQ(rig_inb(&r, 0x3c7), 0);
    rig_outb(&r, 0x3c7, 10);
    EXPECT_EQ(rig_inb(&r, 0x3c8), 11);
    EXPECT_EQ(rig_inb(&r, 0x3c7), 3);
    for (uint8_t i = 0; i < 6; i++) {
        if (i == 4) {
            rig_reload(&r);
        }
        EXPECT_EQ(rig_inb(&r, 0x3c9), i);
    }
    rig_fini(&r);
}

static const uint8_t crtc_3[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x51, 0x9c, 0x0e,
                                 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};

TEST(vga_text_mode)
{
    struct rig r;
    struct frame f = {0};
    static struct text_screen t;
    static const uint8_t seq[] = {3, 0, 3, 0, 2}, seq_font[] = {3, 0, 4, 0, 7};
    static const uint8_t gfx[] = {0, 0, 0, 0, 0, 0x10, 0x0e, 15, 0xff};
    static const uint8_t gfx_font[] = {0, 0, 0, 0, 2, 0, 4, 15, 0xff};
    static const uint8_t glyph[] = {0x81, 0x42, 0x24, 0x18};
    setup(&r);
    mode(&r, seq_font, crtc_3, gfx_font, 0x0c);
    for (unsigned i = 0; i < 4; i++) {
        poke(&r, 0xa0000 + 'A' * 32 + i, glyph[i]);
        poke(&r, 0xa0000 + 0xc4 * 32 + i, 0x01);
    }
    mode(&r, seq, crtc_3, gfx, 0x0c);
    poke(&r, 0xb8000, 'A');
    poke(&r, 0xb8001, 0x1e);
    poke(&r, 0xb8002, 0xc4);
    poke(&r, 0xb8003, 0x07);
    poke(&r, 0xb8000 + 2 * 0x51, 'B');
    struct dev *d = r.env.display;
    EXPECT(r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.cols, 80);
    EXPECT_EQ(t.rows, 25);
    EXPECT_EQ(t.ch[0][0], 'A');
    EXPECT_EQ(t.attr[0][0], 0x1e);
    EXPECT_EQ(t.ch[1][1], 'B');
    EXPECT(t.cursor && t.cursor_col == 1 && t.cursor_row == 1);
    EXPECT(r.env.display_ops->draw(d, &f, true));
    EXPECT_EQ(f.width, 720);
    EXPECT_EQ(f.height, 400);
    for (unsigned y = 0; y < 4; y++) {
        for (unsigned x = 0; x < 9; x++) {
            unsigned bit = x < 8 ? glyph[y] >> (7 - x) & 1 : 0;
            EXPECT_EQ(f.pixel[y * 720 + x], color(bit ? 14 : 1));
            EXPECT_EQ(f.pixel[y * 720 + 9 + x], color(x >= 7 ? 7 : 0)); // line graphics
        }
    }
    // The cursor: lines 13 and 14 of row 1, in its character's color; off half of the time.
    EXPECT_EQ(f.pixel[(16 + 12) * 720 + 9], color(0));
    uint32_t lit = f.pixel[(16 + 13) * 720 + 9];
    rig_run(&r, 8 * 14268000); // 8 frames at 70.09 Hz
    EXPECT(r.env.display_ops->draw(d, &f, true));
    EXPECT(lit == color(0) || f.pixel[(16 + 13) * 720 + 9] == color(0));
    // Start address: shown from the next vertical retrace on.
    indexed(&r, 0x3d4, 0x0d, 1);
    EXPECT(r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.ch[0][0], 'A');
    rig_reload(&r);
    rig_run(&r, 15000000);
    EXPECT(r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.ch[0][0], 0xc4);
    // Split: what is below line 15 starts at address 0 again.
    indexed(&r, 0x3d4, 0x09, 0x0f);
    indexed(&r, 0x3d4, 0x07, 0x0f);
    indexed(&r, 0x3d4, 0x18, 15);
    EXPECT(r.env.display_ops->text(d, &t));
    EXPECT_EQ(t.ch[1][0], 'A');
    EXPECT(r.env.display_ops->draw(d, &f, true));
    EXPECT_EQ(f.pixel[16 * 720], color(14));
    frame_free(&f);
    rig_fini(&r);
}

TEST(vga_retrace_at_its_time)
{
    struct rig r;
    static const uint8_t seq[] = {3, 0, 3, 0, 2};
    static const uint8_t gfx[] = {0, 0, 0, 0, 0, 0x10, 0x0e, 15, 0xff};
    setup(&r);
    mode(&r, seq, crtc_3, gfx, 0x0c);
    rig_outb(&r, 0x3c2, 0x67); // 28.322 MHz
    // A line is 100 characters of 9 dots, 900 / 28.322 MHz = 31778 ns; a frame 449 lines. Retrace
    // is lines 412 and 413 (end 0eh).
    const uint64_t line = 31778, frame = UINT64_C(900) * 449 * 1000000 / 28322;
    rig_run_to(&r, frame * 3 + 100 * line + 100);
    EXPECT_EQ(rig_inb(&r, 0x3da) & 9, 0);
    rig_run_to(&r, frame * 3 + 100 * line + 30000); // beyond 720 of 900 dots
    EXPECT_EQ(rig_inb(&r, 0x3da) & 9, 1);
    rig_run_to(&r, frame * 3 + 405 * line);
    EXPECT_EQ(rig_inb(&r, 0x3da) & 9, 1);
    rig_run_to(&r, frame * 3 + 412 * line + 5000);
    EXPECT_EQ(rig_inb(&r, 0x3da) & 9, 9);
    rig_run_to(&r, frame * 3 + 416 * line);
    EXPECT_EQ(rig_inb(&r, 0x3da) & 9, 1);
    rig_fini(&r);
}

static void vbe(struct rig *r, uint16_t i, uint16_t v)
{
    rig_outw(r, 0x1ce, i);
    rig_outw(r, 0x1cf, v);
}

TEST(vga_vbe_depths)
{
    struct rig r;
    struct frame f = {0};
    setup(&r);
    rig_outw(&r, 0x1ce, 0);
    EXPECT_EQ(rig_inw(&r, 0x1cf), 0xb0c5);
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
        vbe(&r, 4, 0);
        vbe(&r, 1, 640);
        vbe(&r, 2, 480);
        vbe(&r, 3, t[i].bpp);
        vbe(&r, 4, 0x41);
        EXPECT_EQ(aspace_read(&r.mem, 0xe0000000 + 640 * bytes * 2 + 5 * bytes, 4), 0);
        aspace_write(&r.mem, 0xe0000000 + 640 * bytes * 2 + 5 * bytes, 2, t[i].value);
        if (bytes > 2) {
            aspace_write(&r.mem, 0xe0000000 + 640 * bytes * 2 + 5 * bytes + 2, 1, t[i].value >> 16);
        }
        EXPECT(r.env.display_ops->draw(r.env.display, &f, true));
        EXPECT_EQ(f.width, 640);
        EXPECT_EQ(f.height, 480);
        EXPECT_EQ(f.pixel[640 * 2 + 5], t[i].rgb);
        EXPECT_EQ(f.pixel[640 * 2 + 6], 0);
        vbe(&r, 9, 2); // y offset
        EXPECT(r.env.display_ops->draw(r.env.display, &f, true));
        EXPECT_EQ(f.pixel[5], t[i].rgb);
    }
    // Banks in the window.
    rig_outb(&r, 0x3c2, 0x67);
    indexed(&r, 0x3ce, 6, 5);
    vbe(&r, 5, 3);
    poke(&r, 0xa0010, 0x77);
    EXPECT_EQ(peek(&r, 0xe0030010), 0x77);
    rig_reload(&r);
    EXPECT_EQ(peek(&r, 0xa0010), 0x77);
    // What does not fit stays off.
    vbe(&r, 4, 0);
    vbe(&r, 1, 4096);
    vbe(&r, 2, 4096);
    vbe(&r, 3, 32);
    vbe(&r, 4, 0x41);
    rig_outw(&r, 0x1ce, 4);
    EXPECT_EQ(rig_inw(&r, 0x1cf) & 1, 0);
    frame_free(&f);
    rig_fini(&r);
}
