/*
 * The Bochs VBE extension ("DISPI"): an index and a data port of 16 bits, and modes of 4 to 32 bits
 * a pixel with a linear frame buffer.
 *
 * The data port is odd, so a word there comes as two bytes: the low one waits for the high one.
 * Sizes change only while the extension is off; enabling it takes them or, where they do not fit
 * video RAM, stays off. Limits: FRAME_MAX_WIDTH x FRAME_MAX_HEIGHT.
 *
 * Source: "VBE Display API", of the Bochs VGA BIOS.
 */
#include "hw/display/vga.h"

enum { ID_FIRST = 0xb0c0, ID_LAST = 0xb0c5 };

static uint32_t pitch_of(const uint16_t *r, uint32_t width)
{
    unsigned bpp = r[VBE_BPP];
    return bpp == 4 ? width / 2 : width * ((bpp + 7) / 8);
}

uint32_t vbe_pitch(const struct vga *v)
{
    uint32_t p = pitch_of(v->s->vbe, v->s->vbe[VBE_VIRT_WIDTH]);
    return p ? p : 1;
}

uint16_t vbe_read(const struct vga *v, unsigned index)
{
    const uint16_t *r = v->s->vbe;
    bool caps = r[VBE_ENABLE] & VBE_GETCAPS;
    switch (index) {
    case VBE_XRES:
        return caps ? FRAME_MAX_WIDTH : r[index];
    case VBE_YRES:
        return caps ? FRAME_MAX_HEIGHT : r[index];
    case VBE_BPP:
        return caps ? 32 : r[index];
    case VBE_MEMORY_64K:
        return (uint16_t)(v->vram_bytes >> 16);
    default:
        return index < VBE_REGS ? r[index] : 0;
    }
}

/* Virtual size and offsets stay inside video RAM. */
static void set_view(struct vga *v, uint32_t width, uint32_t x, uint32_t y)
{
    uint16_t *r = v->s->vbe;
    width = width < r[VBE_XRES] ? r[VBE_XRES] : width;
    uint32_t pitch = pitch_of(r, width), lines = pitch ? v->vram_bytes / pitch : 0;
    if (lines < r[VBE_YRES] || !lines) {
        return; /* no pitch: only a damaged snapshot has a mode of no width */
    }
    r[VBE_VIRT_WIDTH] = (uint16_t)width;
    r[VBE_VIRT_HEIGHT] = (uint16_t)(lines > 0xffff ? 0xffff : lines);
    r[VBE_X_OFFSET] = (uint16_t)(x > width - r[VBE_XRES] ? width - r[VBE_XRES] : x);
    r[VBE_Y_OFFSET] = (uint16_t)(y > lines - r[VBE_YRES] ? lines - r[VBE_YRES] : y);
}

bool vbe_mode_fits(const struct vga *v)
{
    const uint16_t *r = v->s->vbe;
    uint32_t w = r[VBE_XRES], h = r[VBE_YRES], bpp = r[VBE_BPP];
    bool depth = bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
    return depth && w >= 8 && w % 8 == 0 && w <= FRAME_MAX_WIDTH && h && h <= FRAME_MAX_HEIGHT &&
           (uint64_t)pitch_of(r, w) * h <= v->vram_bytes;
}

static void clear(struct vga *v)
{
    static const uint8_t zeros[4096];
    uint32_t n = vbe_pitch(v) * v->s->vbe[VBE_YRES];
    if (v->s->vbe[VBE_BPP] == 4) {
        n = v->vram_bytes < 0x100000 ? v->vram_bytes : 0x100000; /* planes are not in order */
    }
    for (uint32_t at = 0; at < n; at += sizeof zeros) {
        ram_write(v->vram, at, zeros, n - at < sizeof zeros ? n - at : sizeof zeros);
    }
}

static void set_enable(struct vga *v, uint16_t val)
{
    uint16_t *r = v->s->vbe;
    bool was = r[VBE_ENABLE] & VBE_ENABLED;
    if ((val & VBE_ENABLED) && !was) {
        if (!vbe_mode_fits(v)) {
            val &= (uint16_t)~VBE_ENABLED;
        } else {
            set_view(v, r[VBE_XRES], 0, 0);
            if (!(val & VBE_NOCLEAR)) {
                clear(v);
            }
        }
    }
    r[VBE_ENABLE] = val & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB | VBE_NOCLEAR);
    if (!(val & VBE_ENABLED)) {
        r[VBE_BANK] = 0;
    }
}

void vbe_write(struct vga *v, unsigned index, uint16_t val)
{
    uint16_t *r = v->s->vbe;
    switch (index) {
    case VBE_ID:
        if (val >= ID_FIRST && val <= ID_LAST) {
            r[VBE_ID] = val;
        }
        break;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP:
        if (!vbe_on(v)) {
            r[index] = index == VBE_BPP && val == 0 ? 8 : val;
        }
        break;
    case VBE_ENABLE:
        set_enable(v, val);
        break;
    case VBE_BANK:
        r[VBE_BANK] = (uint16_t)(val & ((v->vram_bytes >> 16) - 1));
        break;
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        if (vbe_on(v)) {
            set_view(v, index == VBE_VIRT_WIDTH ? val & ~7u : r[VBE_VIRT_WIDTH],
                     index == VBE_X_OFFSET ? val : r[VBE_X_OFFSET],
                     index == VBE_Y_OFFSET ? val : r[VBE_Y_OFFSET]);
        }
        break;
    default:
        return;
    }
    v->changed = true;
    vga_mem_remap(v);
}

void vbe_reset(struct vga *v)
{
    for (unsigned i = 0; i < VBE_REGS; i++) {
        v->s->vbe[i] = 0;
    }
    v->s->vbe[VBE_ID] = ID_LAST;
    v->s->vbe_index = 0;
    v->s->vbe_low = 0;
}

/* --- Ports 0x1ce (index), 0x1cf and 0x1d0 (data) --- */

static uint64_t port_read(struct dev *d, uint64_t off, unsigned size)
{
    struct vga *v = (struct vga *)d;
    (void)size;
    if (off == 0) {
        return v->s->vbe_index;
    }
    return (vbe_read(v, v->s->vbe_index) >> (off == 2 ? 8 : 0)) & 0xff;
}

static void port_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct vga *v = (struct vga *)d;
    if (off == 0) {
        v->s->vbe_index = (uint16_t)(size == 1 ? val & 0xff : val);
    } else if (off == 1) {
        v->s->vbe_low = (uint8_t)val;
    } else {
        vbe_write(v, v->s->vbe_index, (uint16_t)((val & 0xff) << 8 | v->s->vbe_low));
    }
}

static const struct io_ops port_ops = {port_read, port_write, 1, 2};

void vbe_map_ports(struct vga *v)
{
    v->ports[v->nports++] = aspace_map_io(v->dev.env->io, 0x1ce, 3, &port_ops, &v->dev, "vbe", 0);
}
