/*
 * The window at 0xa0000: how the graphics controller and the sequencer turn accesses into bytes of
 * planes.
 *
 * Odd/even follows the sequencer for writes and the graphics mode register for reads. In chain 4
 * with everything else neutral, and in VBE modes of 8 bits and more, the window is mapped as plain
 * RAM. In the former the latches then keep what they held; hardware loads them at each read, which
 * only a program that reads in that state and then switches to a latched write could tell.
 */
#include "hw/display/vga.h"
#include "util/bits.h"

#define NOT_OURS UINT32_MAX

/* The address within the selected window, or NOT_OURS. */
static uint32_t window_addr(const struct vga_state *s, uint64_t off)
{
    static const struct {
        uint32_t base, len;
    } map[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned m = s->gfx[6] >> 2 & 3;
    if (!(s->misc & 2) || !s->enable || off < map[m].base || off - map[m].base >= map[m].len) {
        return NOT_OURS;
    }
    return (uint32_t)off - map[m].base;
}

static bool linear(const struct vga *v)
{
    return vbe_on(v) && v->s->vbe[VBE_BPP] >= 8;
}

/* Video RAM of the window's start in a VBE mode. */
static uint64_t bank(const struct vga *v)
{
    return (uint64_t)v->s->vbe[VBE_BANK] << 16;
}

void vga_mem_remap(struct vga *v)
{
    const struct vga_state *s = v->s;
    bool on = v->decode_mem && s->enable && (s->misc & 2);
    uint64_t off = 0;
    if (linear(v)) {
        off = bank(v);
        on = on && off + 0x10000 <= v->vram_bytes;
    } else {
        on = on && !vbe_on(v) && (s->seq[4] & 8) && (s->gfx[6] >> 2 & 3) == 1 &&
             (s->seq[2] & 15) == 15 && s->gfx[1] == 0 && s->gfx[3] == 0 &&
             (s->gfx[5] & 0x0b) == 0 && s->gfx[8] == 0xff;
    }
    if (on && off != v->direct_off) {
        region_enable(v->dev.env->mem, v->direct, false);
        region_ram_offset(v->dev.env->mem, v->direct, off);
        v->direct_off = off;
    }
    v->direct_on = on;
    region_enable(v->dev.env->mem, v->direct, on);
    region_enable(v->dev.env->mem, v->window, v->decode_mem);
}

/* Where the four planes of an address lie; a VBE mode of 4 bits has more than 64 KiB a plane. */
static uint32_t planes_at(const struct vga *v, uint32_t addr)
{
    uint32_t at = plane_index(addr & 0xffff, 0);
    if (vbe_on(v)) {
        at += (uint32_t)v->s->vbe[VBE_BANK] << 18;
        at &= v->vram_bytes - 1;
    }
    return at;
}

static uint32_t planes_get(const struct vga *v, uint32_t at)
{
    return le32_get(ram_read_ptr(v->vram, at / PAGE_SIZE) + at % PAGE_SIZE);
}

static void planes_put(struct vga *v, uint32_t at, uint32_t val, uint32_t mask)
{
    if (mask) {
        ram_tell_write(v->vram, at / PAGE_SIZE, at % PAGE_SIZE, 4);
        uint8_t *p = ram_write_ptr(v->vram, at / PAGE_SIZE) + at % PAGE_SIZE;
        le32_put(p, (le32_get(p) & ~mask) | (val & mask));
    }
}

/* A byte in each plane whose bit is set. */
static uint32_t spread(unsigned bits)
{
    static const uint32_t t[16] = {
        0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff,
        0x00ffff00, 0x00ffffff, 0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff,
        0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff,
    };
    return t[bits & 15];
}

/* A0 of the planes in odd/even mode: the page bit of the miscellaneous output, inverted. */
static uint32_t odd_even(const struct vga_state *s, uint32_t addr)
{
    return (addr & ~1u) | !(s->misc & 0x20);
}

static uint8_t read_byte(struct vga *v, uint64_t off)
{
    struct vga_state *s = v->s;
    uint32_t a = window_addr(s, off);
    if (a == NOT_OURS) {
        return 0xff;
    }
    if (linear(v)) {
        uint64_t at = bank(v) + (a & 0xffff);
        return at < v->vram_bytes ? ram_read_ptr(v->vram, at / PAGE_SIZE)[at % PAGE_SIZE] : 0xff;
    }
    unsigned plane = s->gfx[4] & 3;
    if (s->seq[4] & 8) {
        plane = a & 3;
        a &= ~3u;
    } else if (s->gfx[5] & 0x10) {
        plane = (plane & 2) | (a & 1);
        a = odd_even(s, a);
    }
    s->latch = planes_get(v, planes_at(v, a));
    if (!(s->gfx[5] & 8)) {
        return (uint8_t)(s->latch >> (8 * plane));
    }
    /* Read mode 1: pixels whose planes, as far as they matter, equal the color. */
    uint32_t diff = (s->latch ^ spread(s->gfx[2])) & spread(s->gfx[7]);
    return (uint8_t) ~(diff | diff >> 8 | diff >> 16 | diff >> 24);
}

/* Rotate, set/reset, logical function, bit mask: what the four planes are to hold. */
static uint32_t write_value(const struct vga_state *s, uint8_t val)
{
    unsigned mode = s->gfx[5] & 3, turn = s->gfx[3] & 7;
    uint8_t turned = (uint8_t)(val >> turn | val << (8 - turn));
    uint32_t mask = s->gfx[8] * 0x01010101u, x;
    if (mode == 1) {
        return s->latch;
    } else if (mode == 0) {
        uint32_t set = spread(s->gfx[1]);
        x = (turned * 0x01010101u & ~set) | (spread(s->gfx[0]) & set);
    } else if (mode == 2) {
        x = spread(val);
    } else {
        x = spread(s->gfx[0]);
        mask &= turned * 0x01010101u;
    }
    switch (s->gfx[3] >> 3 & 3) {
    case 1:
        x &= s->latch;
        break;
    case 2:
        x |= s->latch;
        break;
    case 3:
        x ^= s->latch;
        break;
    default:
        break;
    }
    return (x & mask) | (s->latch & ~mask);
}

static void write_byte(struct vga *v, uint64_t off, uint8_t val)
{
    struct vga_state *s = v->s;
    uint32_t a = window_addr(s, off);
    if (a == NOT_OURS) {
        return;
    }
    if (linear(v)) {
        uint64_t at = bank(v) + (a & 0xffff);
        if (at < v->vram_bytes) {
            ram_write(v->vram, at, &val, 1);
        }
        return;
    }
    unsigned planes = s->seq[2];
    if (s->seq[4] & 8) {
        planes &= 1u << (a & 3);
        a &= ~3u;
    } else if (!(s->seq[4] & 4)) {
        planes &= a & 1 ? 0x0a : 0x05;
        a = odd_even(s, a);
    }
    planes_put(v, planes_at(v, a), write_value(s, val), spread(planes));
}

uint64_t vga_mem_read(struct dev *d, uint64_t off, unsigned size)
{
    uint64_t val = 0;
    for (unsigned i = 0; i < size; i++) {
        val |= (uint64_t)read_byte((struct vga *)d, off + i) << (8 * i);
    }
    return val;
}

void vga_mem_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    for (unsigned i = 0; i < size; i++) {
        write_byte((struct vga *)d, off + i, (uint8_t)(val >> (8 * i)));
    }
}
