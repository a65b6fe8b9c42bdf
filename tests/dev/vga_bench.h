// A VGA on a bare ISA bus and the register values of IBM's modes, for the tests of the VGA.

#ifndef DOPPEL_TESTS_VGA_BENCH_H
#define DOPPEL_TESTS_VGA_BENCH_H

#include "core/backend_display.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

struct vga_bench {
    struct rig r;
    struct probe *p; // in0: the vertical interrupt
    struct frame f;  // the picture of the last look
};

// Registers of a mode as the BIOS sets them.
struct vga_mode {
    uint8_t misc, seq[5], crtc[25], gfx[9], attr_mode, pan;
};
extern const struct vga_mode vga_text_40, vga_text_80, vga_mono, vga_cga_4, vga_cga_2, vga_ega_320,
    vga_12h, vga_13h;

void vb_setup(struct vga_bench *b);
void vb_done(struct vga_bench *b);
// The mode, with an identity palette and vb_color() in the DAC; the screen is on.
void vb_mode(struct vga_bench *b, const struct vga_mode *m);

// An indexed register of the sequencer (3c4), graphics controller (3ce) or CRTC (3d4).
void vb_set(struct vga_bench *b, uint16_t port, uint8_t index, uint8_t val);
uint8_t vb_get(struct vga_bench *b, uint16_t port, uint8_t index);
// A register of the attribute controller, with the screen on behind it.
void vb_attr(struct vga_bench *b, uint8_t index, uint8_t val);
void vb_vbe(struct vga_bench *b, uint16_t index, uint16_t val);

void vb_poke(struct vga_bench *b, uint32_t addr, uint8_t val);
uint8_t vb_peek(struct vga_bench *b, uint32_t addr);
// A byte of a plane, whatever the mode; registers are put back.
void vb_plane(struct vga_bench *b, unsigned plane, uint16_t addr, uint8_t val);

// What DAC entry i is on the screen: (i, 2i, 3i) of 63 each, widened to 8 bits.
uint32_t vb_color(unsigned i);
// Draw; false if nothing was drawn.
bool vb_look(struct vga_bench *b, bool all);
// A pixel of the last look.
uint32_t vb_pixel(const struct vga_bench *b, unsigned x, unsigned y);

#endif
