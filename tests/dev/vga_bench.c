#include "tests/dev/vga_bench.h"

// Sources: the BIOS's parameter tables (IBM PS/2 BIOS Interface Technical Reference, "Video
// Parameter Tables"; the same in every VGA BIOS).
// clang-format off
const struct vga_mode vga_text_40 = {
    0x67, {3, 8, 3, 0, 2},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    {0, 0, 0, 0, 0, 0x10, 0x0e, 15, 0xff}, 0x0c, 8};
const struct vga_mode vga_text_80 = {
    0x67, {3, 0, 3, 0, 2},
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    {0, 0, 0, 0, 0, 0x10, 0x0e, 15, 0xff}, 0x0c, 8};
const struct vga_mode vga_mono = {
    0x66, {3, 0, 3, 0, 2},
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x0d, 0x96, 0xb9, 0xa3, 0xff},
    {0, 0, 0, 0, 0, 0x10, 0x0a, 15, 0xff}, 0x0e, 8};
const struct vga_mode vga_cga_4 = {
    0x63, {3, 9, 3, 0, 2},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
    {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff}, 0x01, 0};
const struct vga_mode vga_cga_2 = {
    0x63, {3, 1, 1, 0, 6},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff},
    {0, 0, 0, 0, 0, 0, 0x0d, 0, 0xff}, 0x01, 0};
const struct vga_mode vga_ega_320 = {
    0x63, {3, 9, 15, 0, 6},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc0, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xe3, 0xff},
    {0, 0, 0, 0, 0, 0, 5, 15, 0xff}, 0x01, 0};
const struct vga_mode vga_12h = {
    0xe3, {3, 1, 15, 0, 6},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
    {0, 0, 0, 0, 0, 0, 5, 15, 0xff}, 0x01, 0};
const struct vga_mode vga_13h = {
    0x63, {3, 1, 15, 0, 14},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
    {0, 0, 0, 0, 0, 0x40, 5, 15, 0xff}, 0x41, 0};
// clang-format on

void vb_setup(struct vga_bench *b)
{
    rig_init(&b->r);
    rig_add(&b->r, &vga_isa_class, "vga", "vgamem_mb=4");
    b->p = (struct probe *)rig_add(&b->r, &probe_class, "p", "");
    rig_wire(&b->r, "vga.isa9", "p.in0");
    rig_reset(&b->r, RESET_COLD);
    rig_outb(&b->r, 0x3c2, 0x63);
    b->f = (struct frame){0};
}

void vb_done(struct vga_bench *b)
{
    frame_free(&b->f);
    rig_fini(&b->r);
}

void vb_set(struct vga_bench *b, uint16_t port, uint8_t index, uint8_t val)
{
    rig_outw(&b->r, port, (uint16_t)(val << 8 | index));
}

uint8_t vb_get(struct vga_bench *b, uint16_t port, uint8_t index)
{
    rig_outb(&b->r, port, index);
    return rig_inb(&b->r, (uint16_t)(port + 1));
}

void vb_attr(struct vga_bench *b, uint8_t index, uint8_t val)
{
    rig_inb(&b->r, rig_inb(&b->r, 0x3cc) & 1 ? 0x3da : 0x3ba);
    rig_outb(&b->r, 0x3c0, index);
    rig_outb(&b->r, 0x3c0, val);
    rig_outb(&b->r, 0x3c0, 0x20);
}

void vb_vbe(struct vga_bench *b, uint16_t index, uint16_t val)
{
    rig_outw(&b->r, 0x1ce, index);
    rig_outw(&b->r, 0x1cf, val);
}

void vb_poke(struct vga_bench *b, uint32_t addr, uint8_t val)
{
    aspace_write(&b->r.mem, addr, 1, val);
}

uint8_t vb_peek(struct vga_bench *b, uint32_t addr)
{
    return (uint8_t)aspace_read(&b->r.mem, addr, 1);
}

void vb_plane(struct vga_bench *b, unsigned plane, uint16_t addr, uint8_t val)
{
    static const uint8_t neutral[9] = {0, 0, 0, 0, 0, 0, 4, 15, 0xff};
    uint8_t gfx[9], mask = vb_get(b, 0x3c4, 2), memory = vb_get(b, 0x3c4, 4);
    for (uint8_t i = 0; i < 9; i++) {
        gfx[i] = vb_get(b, 0x3ce, i);
        vb_set(b, 0x3ce, i, neutral[i]);
    }
    vb_set(b, 0x3c4, 2, (uint8_t)(1 << plane));
    vb_set(b, 0x3c4, 4, 6);
    vb_poke(b, 0xa0000 + addr, val);
    vb_set(b, 0x3c4, 2, mask);
    vb_set(b, 0x3c4, 4, memory);
    for (uint8_t i = 0; i < 9; i++) {
        vb_set(b, 0x3ce, i, gfx[i]);
    }
}

void vb_mode(struct vga_bench *b, const struct vga_mode *m)
{
    rig_outb(&b->r, 0x3c2, m->misc);
    uint16_t crtc = m->misc & 1 ? 0x3d4 : 0x3b4;
    for (uint8_t i = 0; i < 5; i++) {
        vb_set(b, 0x3c4, i, m->seq[i]);
    }
    vb_set(b, crtc, 0x11, 0);
    for (unsigned i = 0; i < 25; i++) {
        vb_set(b, crtc, (uint8_t)i, i == 0x11 ? m->crtc[i] & 0x7f : m->crtc[i]);
    }
    for (uint8_t i = 0; i < 9; i++) {
        vb_set(b, 0x3ce, i, m->gfx[i]);
    }
    for (uint8_t i = 0; i < 16; i++) {
        vb_attr(b, i, i);
    }
    vb_attr(b, 0x10, m->attr_mode);
    vb_attr(b, 0x12, 15);
    vb_attr(b, 0x13, m->pan);
    rig_outb(&b->r, 0x3c8, 0);
    for (unsigned i = 0; i < 256; i++) {
        rig_outb(&b->r, 0x3c9, (uint8_t)i & 63);
        rig_outb(&b->r, 0x3c9, (uint8_t)(i * 2) & 63);
        rig_outb(&b->r, 0x3c9, (uint8_t)(i * 3) & 63);
    }
}

uint32_t vb_color(unsigned i)
{
    uint32_t c[3] = {i & 63, (i * 2) & 63, (i * 3) & 63};
    for (unsigned k = 0; k < 3; k++) {
        c[k] = c[k] << 2 | c[k] >> 4;
    }
    return c[0] << 16 | c[1] << 8 | c[2];
}

bool vb_look(struct vga_bench *b, bool all)
{
    return b->r.env.display_ops->draw(b->r.env.display, &b->f, all);
}

uint32_t vb_pixel(const struct vga_bench *b, unsigned x, unsigned y)
{
    return x < b->f.width && y < b->f.height ? b->f.pixel[(size_t)y * b->f.width + x] : UINT32_MAX;
}
