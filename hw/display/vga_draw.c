/*
 * The picture, scan line by scan line as the CRTC, sequencer and attribute controller make it, in
 * dots of the master clock: mode 13h is 640 x 400, 40 columns of 9 dots are 720. No border.
 *
 * The planes are copied first (256 KiB), then each line becomes palette indexes and then colors.
 * Blinking follows virtual time: the cursor changes every 16 frames, characters every 32 (half of
 * a period each); in graphics modes colors 0 to 7 then show as 8 to 15, and those blink. Not done:
 * blanking inside the display, serializers that load every second or fourth character (SR1 bits 2
 * and 4).
 */
#include "hw/display/vga.h"

#include <string.h>

#include "util/bits.h"

enum { MAX_DOTS = 257 * 18 + 32, BLANK_WIDTH = 720, BLANK_HEIGHT = 400 };
enum { CURSOR = 1, BLINKS = 2 }; /* of blink_phases() */

struct pen {
    const struct vga *v;
    const uint8_t *planes;
    struct vga_crtc c;
    bool text, cursor_on, blink_on;
    uint8_t seen; /* what blinks in this picture, as in blink_phases() */
    unsigned pan, byte_pan, stretch, step;
    uint8_t pal[16];
    uint32_t rgb[256];
    uint8_t dots[MAX_DOTS];
};

/* --- Colors --- */

static uint32_t dac_color(const struct vga_state *s, unsigned i)
{
    const uint8_t *c = &s->dac[3 * (i & s->dac_mask)];
    uint32_t r = c[0], g = c[1], b = c[2];
    if (!(s->vbe[VBE_ENABLE] & VBE_8BIT_DAC)) {
        r = (r & 63) << 2 | (r & 63) >> 4;
        g = (g & 63) << 2 | (g & 63) >> 4;
        b = (b & 63) << 2 | (b & 63) >> 4;
    }
    return r << 16 | g << 8 | b;
}

static void make_colors(struct pen *p)
{
    const uint8_t *a = p->v->s->attr;
    for (unsigned i = 0; i < 256; i++) {
        p->rgb[i] = dac_color(p->v->s, i);
    }
    for (unsigned i = 0; i < 16; i++) {
        uint8_t c = a[i];
        if (a[0x10] & 0x80) {
            c = (uint8_t)((c & 0x0f) | (a[0x14] & 3) << 4);
        }
        p->pal[i] = (uint8_t)((c & 0x3f) | (a[0x14] & 0x0c) << 4);
    }
}

/* --- One line --- */

static uint8_t *put(uint8_t *to, uint8_t val, unsigned n)
{
    memset(to, val, n);
    return to + n;
}

static const uint8_t *at(const struct pen *p, uint32_t counter, uint32_t scan)
{
    return p->planes + plane_index(vga_crtc_addr(p->v, counter, scan), 0);
}

/* The font's bank of a character: bit 3 of its attribute chooses between two, unless the memory
 * mode has no more than 64 KiB. */
static uint32_t font_bank(const struct vga_state *s, uint8_t attr)
{
    unsigned r = s->seq[4] & 2 ? s->seq[3] : 0;
    unsigned n = attr & 8 ? (r >> 2 & 3) | (r >> 3 & 4) : (r & 3) | (r >> 2 & 4);
    return (n & 3) * 0x4000u + (n >> 2) * 0x2000u;
}

/* At character i of a row: its skew makes the cursor come some characters late. */
static bool cursor_here(const struct pen *p, uint32_t counter, uint32_t i, uint32_t scan)
{
    const uint8_t *c = p->v->s->crtc;
    uint32_t pos = (uint32_t)(c[0x0e] << 8 | c[0x0f]), late = c[0x0b] >> 5 & 3;
    return !(c[0x0a] & 0x20) && i >= late &&
           ((counter + ((i - late) >> p->step)) & 0xffff) == pos && scan >= (c[0x0a] & 31u) &&
           scan <= (c[0x0b] & 31u);
}

static void text_line(struct pen *p, uint32_t counter, uint32_t scan)
{
    const struct vga_state *s = p->v->s;
    uint8_t *to = p->dots;
    for (uint32_t i = p->c.skew; i <= p->c.cols + p->c.skew; i++) {
        const uint8_t *cell = at(p, counter + (i >> p->step), scan);
        uint8_t ch = cell[0], attr = cell[1];
        uint32_t glyph = font_bank(s, attr) + ch * 32u + scan;
        unsigned bits = p->planes[plane_index(glyph, 2)] << 1;
        if ((s->attr[0x10] & 4) && (ch & 0xe0) == 0xc0) {
            bits |= bits >> 1 & 1; /* line graphics: the ninth dot repeats the eighth */
        }
        if ((attr & 0x77) == 1 && scan == (s->crtc[0x14] & 31u)) {
            bits = 0x1ff; /* underlined, as on an MDA */
        }
        uint8_t fg = attr & 15, bg = attr >> 4;
        if (s->attr[0x10] & 8) {
            bg &= 7;
            p->seen |= attr & 0x80 ? BLINKS : 0;
            if ((attr & 0x80) && !p->blink_on) {
                bits = 0;
            }
        }
        if (cursor_here(p, counter, i, scan)) {
            p->seen |= CURSOR;
            bits = p->cursor_on ? 0x1ff : bits;
        }
        fg = p->pal[fg & s->attr[0x12]];
        bg = p->pal[bg & s->attr[0x12]];
        for (unsigned d = 0; d < p->c.char_dots; d++) {
            to = put(to, bits >> (8 - d) & 1 ? fg : bg, p->stretch);
        }
    }
}

/* The serializers give four bits a dot, high ones first; the attribute controller joins two of them
 * (AR10 bit 6) or not. */
static void dots_256(struct pen *p, uint32_t counter, uint32_t scan)
{
    uint8_t *to = p->dots;
    bool joined = p->v->s->attr[0x10] & 0x40;
    for (uint32_t i = p->c.skew; i <= p->c.cols + p->c.skew; i++) {
        const uint8_t *four = at(p, counter + (i >> p->step), scan);
        for (unsigned k = 0; k < 4; k++) {
            to = put(to, joined ? four[k] : p->pal[four[k] >> 4], p->stretch);
            to = put(to, joined ? four[k] : p->pal[four[k] & 15], p->stretch);
        }
    }
}

static void dots_16(struct pen *p, uint32_t counter, uint32_t scan)
{
    const struct vga_state *s = p->v->s;
    uint8_t *to = p->dots, mask = s->attr[0x12] & 15;
    uint8_t flip = s->attr[0x10] & 8, set = p->blink_on ? flip : 0;
    p->seen |= flip ? BLINKS : 0;
    for (uint32_t i = p->c.skew; i <= p->c.cols + p->c.skew; i++) {
        const uint8_t *b = at(p, counter + (i >> p->step), scan);
        for (unsigned d = 0; d < 8; d++) {
            unsigned c;
            if (s->gfx[5] & 0x20) {
                /* Interleaved: even planes first, two bits a dot. */
                const uint8_t *pair = b + (d >> 2);
                unsigned sh = 6 - 2 * (d & 3);
                c = (pair[0] >> sh & 3) | (pair[2] >> sh & 3) << 2;
            } else {
                unsigned sh = 7 - d;
                c = (b[0] >> sh & 1) | (b[1] >> sh & 1) << 1 | (b[2] >> sh & 1) << 2 |
                    (b[3] >> sh & 1) << 3;
            }
            to = put(to, p->pal[((c & mask) ^ flip) | set], p->stretch);
        }
    }
}

static void one_line(struct pen *p, uint32_t counter, uint32_t scan)
{
    if (p->text) {
        text_line(p, counter, scan);
    } else if (p->v->s->gfx[5] & 0x40) {
        dots_256(p, counter, scan);
    } else {
        dots_16(p, counter, scan);
    }
}

/* --- The screen --- */

/* Dots that the line moves left. */
static unsigned panning(const struct pen *p)
{
    unsigned pan = p->v->s->attr[0x13] & 15;
    if (p->text && p->c.char_dots == 9) {
        return pan >= 8 ? 0 : pan + 1;
    }
    return pan & 7;
}

static void draw_lines(struct pen *p, struct frame *f)
{
    const struct vga_state *s = p->v->s;
    uint32_t counter = vga_start(p->v) + p->byte_pan, scan = s->crtc[8] & 31u;
    bool doubled = s->crtc[9] & 0x80, again = false, fresh = true;
    for (uint32_t y = 0; y < f->height; y++) {
        uint32_t *to = f->pixel + (size_t)y * f->width;
        if (fresh) {
            one_line(p, counter, scan);
            const uint8_t *from = p->dots + p->pan * p->stretch;
            for (uint32_t x = 0; x < f->width; x++) {
                to[x] = p->rgb[from[x]];
            }
        } else {
            memcpy(to, to - f->width, f->width * sizeof *to);
        }
        fresh = true;
        if (y == p->c.line_compare) {
            counter = 0;
            scan = 0;
            again = false;
            if (s->attr[0x10] & 0x20) {
                p->pan = 0;
            } else {
                counter += p->byte_pan;
            }
        } else if (doubled && !again) {
            again = true;
            fresh = false;
        } else {
            again = false;
            if (scan == p->c.height - 1) {
                scan = 0;
                counter += s->crtc[0x13] * 2u;
            } else {
                scan = (scan + 1) & 31;
            }
        }
    }
}

static bool blank(struct frame *f, uint32_t color)
{
    if (!frame_resize(f, BLANK_WIDTH, BLANK_HEIGHT)) {
        return false;
    }
    for (uint32_t i = 0; i < f->width * f->height; i++) {
        f->pixel[i] = color;
    }
    return true;
}

static void copy_planes(struct vga *v, uint64_t from)
{
    ram_read(v->vram, from, v->scratch, 0x40000);
}

static bool draw_vga(struct vga *v, struct frame *f, uint8_t phases, uint8_t *seen)
{
    const struct vga_state *s = v->s;
    if (!(s->crtc[0x17] & 0x80) || (s->seq[1] & 0x20)) {
        return blank(f, 0);
    }
    if (!(s->attr_index & 0x20)) {
        return blank(f, dac_color(s, s->attr[0x11]));
    }
    struct pen p = {.v = v, .planes = v->scratch, .c = vga_crtc_get(v)};
    p.text = !(s->gfx[6] & 1);
    if (!p.text) {
        p.c.char_dots = 8;
    }
    p.stretch = s->seq[1] & 8 ? 2 : 1;
    p.step = s->crtc[0x14] & 0x20 ? 2 : s->crtc[0x17] & 8 ? 1 : 0;
    p.cursor_on = phases & CURSOR;
    p.blink_on = phases & BLINKS;
    p.pan = panning(&p);
    p.byte_pan = s->crtc[8] >> 5 & 3;
    if (!frame_resize(f, p.c.cols * p.c.char_dots * p.stretch, p.c.lines)) {
        return false;
    }
    copy_planes(v, 0);
    make_colors(&p);
    draw_lines(&p, f);
    *seen = p.seen;
    return true;
}

/* --- VBE --- */

static uint32_t direct_color(const uint8_t *b, unsigned bpp)
{
    uint32_t x = le16_get(b), r, g, bl;
    switch (bpp) {
    case 15:
        r = x >> 10 & 31;
        g = x >> 5 & 31;
        bl = x & 31;
        return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (bl << 3 | bl >> 2);
    case 16:
        r = x >> 11 & 31;
        g = x >> 5 & 63;
        bl = x & 31;
        return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (bl << 3 | bl >> 2);
    default:
        return x | (uint32_t)b[2] << 16;
    }
}

static bool draw_vbe4(struct vga *v, struct frame *f)
{
    const uint16_t *r = v->s->vbe;
    struct pen p = {.v = v, .c = vga_crtc_get(v)};
    make_colors(&p);
    uint32_t pitch = r[VBE_VIRT_WIDTH] / 8u;
    uint64_t loaded = UINT64_MAX;
    for (uint32_t y = 0; y < f->height; y++) {
        for (uint32_t x = 0; x < f->width; x++) {
            uint32_t px = x + r[VBE_X_OFFSET], a = (y + r[VBE_Y_OFFSET]) * pitch + px / 8;
            uint64_t bank = (uint64_t)(a >> 16) << 18;
            if (bank != loaded) {
                copy_planes(v, bank & (v->vram_bytes - 1) & ~UINT64_C(0x3ffff));
                loaded = bank;
            }
            const uint8_t *b = v->scratch + plane_index(a & 0xffff, 0);
            unsigned sh = 7 - (px & 7);
            unsigned c = (b[0] >> sh & 1) | (b[1] >> sh & 1) << 1 | (b[2] >> sh & 1) << 2 |
                         (b[3] >> sh & 1) << 3;
            f->pixel[(size_t)y * f->width + x] = p.rgb[p.pal[c]];
        }
    }
    return true;
}

static bool draw_vbe(struct vga *v, struct frame *f)
{
    const uint16_t *r = v->s->vbe;
    unsigned bpp = r[VBE_BPP], bytes = (bpp + 7) / 8;
    uint8_t line[FRAME_MAX_WIDTH * 4 + 4];
    uint32_t rgb[256], pitch = vbe_pitch(v);
    if (!vbe_mode_fits(v)) {
        return blank(f, 0);
    }
    if (!frame_resize(f, r[VBE_XRES], r[VBE_YRES])) {
        return false;
    }
    if (bpp == 4) {
        return draw_vbe4(v, f);
    }
    for (unsigned i = 0; i < 256; i++) {
        rgb[i] = dac_color(v->s, i);
    }
    for (uint32_t y = 0; y < f->height; y++) {
        uint64_t from = (uint64_t)(y + r[VBE_Y_OFFSET]) * pitch + (uint64_t)r[VBE_X_OFFSET] * bytes;
        uint64_t n = (uint64_t)f->width * bytes;
        uint32_t *to = f->pixel + (size_t)y * f->width;
        if (from + n > v->vram_bytes) {
            memset(to, 0, f->width * sizeof *to); /* only a damaged snapshot gets here */
            continue;
        }
        ram_read(v->vram, from, line, n);
        for (uint32_t x = 0; x < f->width; x++) {
            to[x] = bpp == 8 ? rgb[line[x]] : direct_color(line + (size_t)x * bytes, bpp);
        }
    }
    return true;
}

/* --- Whether to draw --- */

/* CURSOR: it shows; BLINKS: blinking characters do. */
static uint8_t blink_phases(const struct vga *v)
{
    const struct vga_state *s = v->s;
    struct vga_crtc c = vga_crtc_get(v);
    uint64_t n = vga_frames(&c, clock_now(v->dev.env->clock));
    bool text = !(s->gfx[6] & 1);
    uint8_t r = 0;
    if (vbe_on(v)) {
        return 0;
    }
    if (text && !(s->crtc[0x0a] & 0x20) && !(n & 8)) {
        r |= CURSOR;
    }
    if ((s->attr[0x10] & 8) && !(n & 16)) {
        r |= BLINKS;
    }
    return r;
}

static bool vram_changed(struct vga *v, bool take)
{
    uint64_t n = 0x40000;
    if (vbe_on(v)) {
        n = v->vram_bytes;
    }
    return take && ram_dirty_take(v->vram, 0, n / PAGE_SIZE);
}

bool vga_draw(struct dev *d, struct frame *f, bool all)
{
    struct vga *v = (struct vga *)d;
    uint8_t phases = blink_phases(v);
    uint16_t start = vga_start(v);
    bool dirty = vram_changed(v, !all);
    bool blinked = (phases ^ v->blink_drawn) & v->blink_seen;
    if (!all && !dirty && !v->changed && !blinked && start == v->start_drawn) {
        return false;
    }
    uint8_t seen = 0;
    bool ok = vbe_on(v) ? draw_vbe(v, f) : draw_vga(v, f, phases, &seen);
    if (!all) {
        /* What a drawing with `all` showed is still news to who draws without. */
        v->changed = !ok;
        v->blink_drawn = phases;
        v->blink_seen = seen;
        v->start_drawn = start;
    }
    return ok;
}

const struct display_ops vga_display_ops = {vga_draw, vga_text};
