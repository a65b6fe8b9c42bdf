/*
 * What follows from the CRTC's registers: sizes, and the beam's position as a function of time.
 *
 * Nothing counts: a frame begins at every multiple of its length since power on. The start address
 * is latched at vertical retrace, also without an event: whoever asks compares the retraces before
 * the register was written with those before now. Only the interrupt needs a timer, and only while
 * the program does not hold it clear, as the BIOS does in every mode.
 *
 * Sources: see vga.h; "Vertical Retrace End Register" of the PS/2 reference: the interrupt's
 * flip-flop is set at the end of the active vertical display.
 */
#include "hw/display/vga.h"

struct vga_crtc vga_crtc_get(const struct vga *v)
{
    const uint8_t *c = v->s->crtc;
    struct vga_crtc g;
    unsigned mult = c[0x17] & 4 ? 2 : 1; /* the vertical counter takes every other line */
    g.hz = (v->s->misc & 0x0c) == 4 ? 28322000 : 25175000;
    g.hz >>= v->s->seq[1] >> 3 & 1;
    g.char_dots = v->s->seq[1] & 1 ? 8 : 9;
    g.htotal = c[0] + 5u;
    g.cols = c[1] + 1u;
    g.skew = c[3] >> 5 & 3;
    g.vtotal = ((c[6] | (c[7] & 1u) << 8 | (c[7] & 0x20u) << 4) + 2) * mult;
    g.lines = ((c[0x12] | (c[7] & 2u) << 7 | (c[7] & 0x40u) << 3) + 1) * mult;
    g.retrace = (c[0x10] | (c[7] & 4u) << 6 | (c[7] & 0x80u) << 2) * mult;
    g.retrace_end = g.retrace + (((c[0x11] - g.retrace / mult - 1) & 15) + 1) * mult;
    if (g.retrace >= g.vtotal) {
        g.retrace = 0; /* never reached: the frame's start stands in for it */
        g.retrace_end = 0;
    }
    g.line_compare = (c[0x18] | (c[7] & 0x10u) << 4 | (c[9] & 0x40u) << 3) * mult;
    g.height = (c[9] & 31u) + 1;
    return g;
}

static uint64_t frame_dots(const struct vga_crtc *c)
{
    return (uint64_t)c->htotal * c->char_dots * c->vtotal;
}

uint64_t vga_frames(const struct vga_crtc *c, vtime t)
{
    uint64_t dots = clock_ticks(t & (UINT64_MAX >> 1), c->hz), frame = frame_dots(c);
    return (dots + frame - (uint64_t)c->htotal * c->char_dots * c->retrace) / frame;
}

uint8_t vga_status1(const struct vga *v)
{
    struct vga_crtc c = vga_crtc_get(v);
    uint64_t at = clock_ticks(clock_now(v->dev.env->clock), c.hz) % frame_dots(&c);
    uint32_t line = (uint32_t)(at / ((uint64_t)c.htotal * c.char_dots));
    uint32_t col = (uint32_t)(at / c.char_dots) % c.htotal;
    uint8_t r = 0;
    if (line >= c.lines || col - c.skew >= c.cols) {
        r |= 1; /* not displaying */
    }
    if (line >= c.retrace && line < c.retrace_end) {
        r |= 8;
    }
    /* Diagnostic: two bits of the color that leaves; the overscan color stands for all. */
    static const uint8_t mux[4][2] = {{0, 2}, {4, 5}, {1, 3}, {6, 7}};
    const uint8_t *bit = mux[v->s->attr[0x12] >> 4 & 3];
    r |= (uint8_t)((v->s->attr[0x11] >> bit[0] & 1) << 4);
    r |= (uint8_t)((v->s->attr[0x11] >> bit[1] & 1) << 5);
    return r;
}

uint16_t vga_start(const struct vga *v)
{
    struct vga_crtc c = vga_crtc_get(v);
    const struct vga_state *s = v->s;
    if (vga_frames(&c, clock_now(v->dev.env->clock)) == vga_frames(&c, s->start_written)) {
        return s->start_shown;
    }
    return (uint16_t)(s->crtc[0x0c] << 8 | s->crtc[0x0d]);
}

void vga_crtc_sync(struct vga *v)
{
    v->s->start_shown = vga_start(v);
    v->s->start_written = clock_now(v->dev.env->clock);
}

/* --- The vertical interrupt --- */

static void retrace_pin(struct vga *v)
{
    if (v->has_irq) {
        dev_pin_set(&v->dev, 0, v->s->retrace_irq && !(v->s->crtc[0x11] & 0x20));
    }
}

/* Armed to the next end of the display. */
static void retrace_arm(struct vga *v)
{
    struct vga_crtc c = vga_crtc_get(v);
    uint64_t frame = frame_dots(&c), end = frame / c.vtotal * c.lines;
    vtime now = clock_now(v->dev.env->clock);
    if (!(v->s->crtc[0x11] & 0x10) || v->s->retrace_irq || c.lines >= c.vtotal) {
        timer_cancel(&v->retrace);
        return;
    }
    uint64_t ticks = clock_ticks(now & (UINT64_MAX >> 1), c.hz);
    uint64_t due = ticks / frame * frame + end;
    timer_set(&v->retrace, clock_tick_time(due > ticks ? due : due + frame, c.hz));
}

static void retrace_end(void *ctx)
{
    struct vga *v = ctx;
    v->s->retrace_irq = true;
    retrace_pin(v);
}

void vga_retrace_update(struct vga *v)
{
    if (!(v->s->crtc[0x11] & 0x10)) {
        v->s->retrace_irq = false;
    }
    retrace_arm(v);
    retrace_pin(v);
}

void vga_retrace_init(struct vga *v)
{
    timer_init(&v->retrace, v->dev.env->clock, &v->s->retrace_due, retrace_end, v);
}

/* --- Addresses --- */

uint32_t vga_crtc_addr(const struct vga *v, uint32_t n, uint32_t scan)
{
    const uint8_t *c = v->s->crtc;
    n &= 0xffff;
    uint32_t a = n;
    if (c[0x14] & 0x40) {
        a = n << 2 | n >> 14; /* double words */
    } else if (!(c[0x17] & 0x40)) {
        a = n << 1 | (n >> (c[0x17] & 0x20 ? 15 : 13) & 1); /* words */
    }
    if (!(c[0x17] & 1)) {
        a = (a & ~0x2000u) | (scan & 1) << 13;
    }
    if (!(c[0x17] & 2)) {
        a = (a & ~0x4000u) | (scan & 2) << 13;
    }
    return a & 0xffff;
}
