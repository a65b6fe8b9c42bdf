/*
 * The VGA's registers: ports 0x3b4, 0x3b5, 0x3ba (or 0x3d4, 0x3d5, 0x3da, by bit 0 of the
 * miscellaneous output) and 0x3c0..0x3cf. There is nothing at the CGA's 0x3d8 and 0x3d9.
 *
 * The DAC has one address register and one latch of a color, like the Inmos G171: reading starts by
 * loading the latch and moving the address on, writing ends so.
 *
 * Sources: see vga.h; masks of bits that exist: the register descriptions of the PS/2 reference;
 * the DAC's comparator: Brooktree Bt471, SENSE (335 mV of 700).
 */
#include "hw/display/vga.h"

#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

ST_DESCRIBE(vga_state, VGA_STATE, 2);

static const uint8_t seq_mask[VGA_SEQ_REGS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gfx_mask[VGA_GFX_REGS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03,
                                               0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t crtc_mask[VGA_CRTC_REGS] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0x3f, 0x7f, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xef, 0xff};

static uint8_t attr_mask(unsigned i)
{
    static const uint8_t high[] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};
    return i < 16 ? 0x3f : high[i - 16];
}

/* --- Reading --- */

static uint8_t status0(const struct vga_state *s)
{
    /* Bit 4, the comparator: no output above its reference while color 0 is shown. */
    uint8_t sense = s->dac[0] > 30 || s->dac[1] > 30 || s->dac[2] > 30 ? 0 : 0x10;
    return sense | (uint8_t)(s->retrace_irq << 7);
}

static void dac_load(struct vga_state *s)
{
    memcpy(s->dac_latch, &s->dac[3u * s->dac_addr], 3);
    s->dac_addr++;
}

static uint8_t dac_read(struct vga_state *s)
{
    uint8_t r = s->dac_latch[s->dac_sub % 3];
    if (++s->dac_sub >= 3) {
        s->dac_sub = 0;
        dac_load(s);
    }
    return r;
}

static bool is_color(const struct vga_state *s, unsigned port)
{
    return (s->misc & 1) == (port >= 0x3d0);
}

uint8_t vga_port_read(struct vga *v, unsigned port)
{
    struct vga_state *s = v->s;
    switch (port) {
    case 0x3c0:
        return s->attr_index;
    case 0x3c1: {
        unsigned i = s->attr_index & 31;
        return i < VGA_ATTR_REGS ? s->attr[i] : 0;
    }
    case 0x3c2:
        return status0(s);
    case 0x3c3:
        return s->enable;
    case 0x3c4:
        return s->seq_index;
    case 0x3c5:
        return s->seq_index < VGA_SEQ_REGS ? s->seq[s->seq_index] : 0;
    case 0x3c6:
        return s->dac_mask;
    case 0x3c7:
        return s->dac_reading ? 3 : 0;
    case 0x3c8:
        return s->dac_addr;
    case 0x3c9:
        return dac_read(s);
    case 0x3ca:
        return s->feature;
    case 0x3cc:
        return s->misc;
    case 0x3ce:
        return s->gfx_index;
    case 0x3cf:
        return s->gfx_index < VGA_GFX_REGS ? s->gfx[s->gfx_index] : 0;
    case 0x3b4:
    case 0x3d4:
        return is_color(s, port) ? s->crtc_index : 0xff;
    case 0x3b5:
    case 0x3d5:
        if (!is_color(s, port)) {
            return 0xff;
        }
        return s->crtc_index < VGA_CRTC_REGS ? s->crtc[s->crtc_index] : 0;
    case 0x3ba:
    case 0x3da:
        if (!is_color(s, port)) {
            return 0xff;
        }
        s->attr_data = false;
        return vga_status1(v);
    default:
        return 0xff;
    }
}

/* --- Writing --- */

static void attr_write(struct vga *v, uint8_t val)
{
    struct vga_state *s = v->s;
    unsigned i = s->attr_index & 31;
    s->attr_data = !s->attr_data;
    if (s->attr_data) {
        v->changed |= ((s->attr_index ^ val) & 0x20) != 0;
        s->attr_index = val & 0x3f;
    } else if (i < VGA_ATTR_REGS && !(i < 16 && (s->attr_index & 0x20))) {
        s->attr[i] = val & attr_mask(i); /* the palette is the display's while bit 5 is set */
        v->changed = true;
    }
}

static void dac_write(struct vga *v, uint8_t val)
{
    struct vga_state *s = v->s;
    s->dac_latch[s->dac_sub % 3] = s->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? val : val & 0x3f;
    if (++s->dac_sub >= 3) {
        s->dac_sub = 0;
        memcpy(&s->dac[3u * s->dac_addr], s->dac_latch, 3);
        s->dac_addr++;
        v->changed = true;
    }
}

static void crtc_write(struct vga *v, uint8_t val)
{
    struct vga_state *s = v->s;
    unsigned i = s->crtc_index;
    if (i >= VGA_CRTC_REGS) {
        return;
    }
    uint8_t mask = crtc_mask[i];
    if (i < 8 && (s->crtc[0x11] & 0x80)) {
        mask = i == 7 ? 0x10 : 0; /* protected, but for bit 8 of the line compare */
    }
    val = (uint8_t)((s->crtc[i] & ~mask) | (val & mask));
    if (val != s->crtc[i]) {
        if (i != 0x0e && i != 0x0f) {
            vga_crtc_sync(v);
        }
        s->crtc[i] = val;
        v->changed = true;
        vga_retrace_update(v);
    }
}

static void seq_write(struct vga *v, uint8_t val)
{
    struct vga_state *s = v->s;
    unsigned i = s->seq_index;
    if (i < VGA_SEQ_REGS && s->seq[i] != (val & seq_mask[i])) {
        if (i == 1) {
            vga_crtc_sync(v);
        }
        s->seq[i] = val & seq_mask[i];
        v->changed |= i != 2;
        if (i == 1) {
            vga_retrace_update(v);
        }
        vga_mem_remap(v);
    }
}

static void gfx_write(struct vga *v, uint8_t val)
{
    struct vga_state *s = v->s;
    unsigned i = s->gfx_index;
    if (i < VGA_GFX_REGS && s->gfx[i] != (val & gfx_mask[i])) {
        s->gfx[i] = val & gfx_mask[i];
        v->changed |= i == 5 || i == 6;
        if ((s->seq[4] & 8) || i == 6) {
            vga_mem_remap(v);
        }
    }
}

static void misc_write(struct vga *v, uint8_t val)
{
    if (v->s->misc != (val & 0xef)) {
        vga_crtc_sync(v);
        v->s->misc = val & 0xef;
        v->changed = true;
        vga_retrace_update(v);
        vga_mem_remap(v);
    }
}

static void dac_port_write(struct vga *v, unsigned port, uint8_t val)
{
    struct vga_state *s = v->s;
    switch (port) {
    case 0x3c6:
        s->dac_mask = val;
        v->changed = true;
        break;
    case 0x3c9:
        dac_write(v, val);
        break;
    default:
        s->dac_addr = val;
        s->dac_sub = 0;
        s->dac_reading = port == 0x3c7;
        if (s->dac_reading) {
            dac_load(s);
        }
        break;
    }
}

void vga_port_write(struct vga *v, unsigned port, uint8_t val)
{
    struct vga_state *s = v->s;
    if (!s->enable && port != 0x3c3) {
        return;
    }
    switch (port) {
    case 0x3c0:
        attr_write(v, val);
        break;
    case 0x3c2:
        misc_write(v, val);
        break;
    case 0x3c3:
        s->enable = val & 1;
        vga_mem_remap(v);
        break;
    case 0x3c4:
        s->seq_index = val;
        break;
    case 0x3c5:
        seq_write(v, val);
        break;
    case 0x3c6:
    case 0x3c7:
    case 0x3c8:
    case 0x3c9:
        dac_port_write(v, port, val);
        break;
    case 0x3ce:
        s->gfx_index = val;
        break;
    case 0x3cf:
        gfx_write(v, val);
        break;
    case 0x3b4:
    case 0x3d4:
        s->crtc_index = is_color(s, port) ? val : s->crtc_index;
        break;
    case 0x3b5:
    case 0x3d5:
        if (is_color(s, port)) {
            crtc_write(v, val);
        }
        break;
    case 0x3ba:
    case 0x3da:
        s->feature = is_color(s, port) ? val & 3 : s->feature;
        break;
    default:
        break;
    }
}

/* --- The device --- */

static uint64_t low_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return vga_port_read((struct vga *)d, 0x3b4 + (unsigned)off);
}

static void low_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    vga_port_write((struct vga *)d, 0x3b4 + (unsigned)off, (uint8_t)val);
}

static uint64_t high_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return vga_port_read((struct vga *)d, 0x3c0 + (unsigned)off);
}

static void high_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    vga_port_write((struct vga *)d, 0x3c0 + (unsigned)off, (uint8_t)val);
}

static const struct io_ops low_ops = {low_read, low_write, 1, 1};
static const struct io_ops high_ops = {high_read, high_write, 1, 1};
static const struct io_ops window_ops = {vga_mem_read, vga_mem_write, 1, 8};

bool vga_init(struct vga *v, struct vga_state *s, uint32_t vram_bytes, struct err *e)
{
    struct dev_env *env = v->dev.env;
    v->s = s;
    v->vram_bytes = vram_bytes;
    if (env->display) {
        return err_set(e, "there is a display adapter already");
    }
    v->vram = env->ram_new(env->ram_ctx, "vram", vram_bytes);
    v->scratch = malloc(0x40000);
    if (!v->vram || !v->scratch) {
        return err_set(e, "no host memory for video RAM");
    }
    vga_retrace_init(v);
    vbe_map_ports(v);
    v->ports[v->nports++] = aspace_map_io(env->io, 0x3b4, 7, &low_ops, &v->dev, "vga", 0);
    v->ports[v->nports++] = aspace_map_io(env->io, 0x3c0, 32, &high_ops, &v->dev, "vga", 0);
    v->window = aspace_map_io(env->mem, 0xa0000, 0x20000, &window_ops, &v->dev, "vga", 1);
    v->direct = aspace_map_ram(env->mem, 0xa0000, 0x10000, v->vram, 0, false, "vga-direct", 2);
    region_enable(env->mem, v->direct, false);
    v->decode_mem = true;
    env->display = &v->dev;
    env->display_ops = &vga_display_ops;
    return true;
}

void vga_decode(struct vga *v, bool io, bool mem)
{
    for (unsigned i = 0; i < v->nports; i++) {
        region_enable(v->dev.env->io, v->ports[i], io);
    }
    v->decode_mem = mem;
    vga_mem_remap(v);
}

void vga_reset(struct vga *v)
{
    timer_cancel(&v->retrace);
    struct vtimer due = v->s->retrace_due;
    memset(v->s, 0, sizeof *v->s);
    v->s->retrace_due = due;
    v->s->enable = true;
    v->s->dac_mask = 0xff;
    vbe_reset(v);
    vga_retrace_update(v);
    vga_restored(v);
}

void vga_restored(struct vga *v)
{
    v->changed = true;
    vga_mem_remap(v);
}

void vga_fini(struct vga *v)
{
    free(v->scratch);
}
