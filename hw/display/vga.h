/*
 * The VGA: registers, 256 KiB of planes (the start of video RAM), picture; with the Bochs VBE
 * extension. The bus is in vga_pci.c and vga_isa.c.
 *
 * Where a plane's byte lies in video RAM: plane_index(). A double word holds the four planes of one
 * address, and the order of addresses makes chain 4 linear: its bytes, which hardware spreads over
 * every fourth address of the planes, are the first 64 KiB of video RAM in order. So mode 13h is
 * plain RAM at 0xa0000, exactly, and a program that switches chain 4 off finds its bytes where
 * hardware has them.
 *
 * What always holds: drawing changes no state; `changed` and RAM's dirty bits only say whether it
 * is needed.
 *
 * Sources: IBM PS/2 Hardware Interface Technical Reference (1990), "Video Subsystem"; the FreeVGA
 * project's register pages; "VBE Display API" of the Bochs VGA BIOS.
 */
#ifndef DOPPEL_HW_DISPLAY_VGA_H
#define DOPPEL_HW_DISPLAY_VGA_H

#include "core/backend_display.h"
#include "core/dev.h"
#include "mmu/aspace.h"

enum { VGA_SEQ_REGS = 5, VGA_CRTC_REGS = 25, VGA_GFX_REGS = 9, VGA_ATTR_REGS = 21 };

/* Indexes of the VBE registers; the rest of the API's numbers. */
enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_MEMORY_64K,
    VBE_REGS,

    VBE_ENABLED = 0x01,
    VBE_GETCAPS = 0x02,
    VBE_8BIT_DAC = 0x20,
    VBE_LFB = 0x40,
    VBE_NOCLEAR = 0x80,
};

#define VGA_STATE(S, V, A, N)                                                                      \
    V(S, uint8_t, misc, 1)                                                                         \
    V(S, uint8_t, feature, 1)                                                                      \
    V(S, bool, enable, 1) /* port 3c3 */                                                           \
    V(S, uint8_t, seq_index, 1)                                                                    \
    A(S, uint8_t, seq, VGA_SEQ_REGS, 1)                                                            \
    V(S, uint8_t, crtc_index, 1)                                                                   \
    A(S, uint8_t, crtc, VGA_CRTC_REGS, 1)                                                          \
    V(S, uint8_t, gfx_index, 1)                                                                    \
    A(S, uint8_t, gfx, VGA_GFX_REGS, 1)                                                            \
    V(S, uint8_t, attr_index, 1) /* with bit 5, palette address source */                          \
    V(S, bool, attr_data, 1)     /* the flip-flop: 3c0 is the data port */                         \
    A(S, uint8_t, attr, VGA_ATTR_REGS, 1)                                                          \
    A(S, uint8_t, dac, 768, 1)                                                                     \
    V(S, uint8_t, dac_mask, 1)                                                                     \
    V(S, uint8_t, dac_addr, 1)                                                                     \
    V(S, uint8_t, dac_sub, 1) /* the color's component that is next, 0..2 */                       \
    V(S, bool, dac_reading, 1)                                                                     \
    A(S, uint8_t, dac_latch, 3, 1)                                                                 \
    V(S, uint32_t, latch, 1)         /* plane p in byte p */                                       \
    V(S, uint16_t, start_shown, 1)   /* start address latched at a vertical retrace */             \
    V(S, uint64_t, start_written, 1) /* when the start address last changed */                     \
    V(S, uint16_t, vbe_index, 1)                                                                   \
    V(S, uint8_t, vbe_low, 1) /* low byte of a word written to the odd data port */                \
    A(S, uint16_t, vbe, VBE_REGS, 1)                                                               \
    V(S, bool, retrace_irq, 2) /* the flip-flop behind status 0 bit 7 */                           \
    V(S, struct vtimer, retrace_due, 2)

ST_DECLARE(vga_state, VGA_STATE);

struct vga {
    struct dev dev;
    struct vga_state *s;
    struct ram *vram;
    uint32_t vram_bytes;
    struct region *ports[5];
    unsigned nports;
    struct region *window; /* 0xa0000..0xbffff through vga_mem.c */
    struct region *direct; /* 0xa0000..0xaffff as plain RAM over it, when that is exact */
    struct timer retrace;  /* of the interrupt, while it is not held clear */
    bool has_irq;          /* output 0 is the interrupt */
    bool decode_mem;       /* the bus lets memory cycles through */
    bool direct_on;
    uint64_t direct_off; /* in video RAM */
    /* Caches of drawing, no state. */
    bool changed; /* a register that shows */
    uint8_t blink_drawn, blink_seen;
    uint16_t start_drawn;
    uint8_t *scratch; /* a copy of the planes while drawing */
};

/* At init, of the bus glue: `s` is in d's state. */
bool vga_init(struct vga *v, struct vga_state *s, uint32_t vram_bytes, struct err *e);
void vga_reset(struct vga *v);
void vga_restored(struct vga *v);
void vga_fini(struct vga *v);
/* What the bus lets through. */
void vga_decode(struct vga *v, bool io, bool mem);

/* Ports 0x3b0..0x3df, a byte at a time. */
uint8_t vga_port_read(struct vga *v, unsigned port);
void vga_port_write(struct vga *v, unsigned port, uint8_t val);

/* The window: `off` from 0xa0000. */
uint64_t vga_mem_read(struct dev *d, uint64_t off, unsigned size);
void vga_mem_write(struct dev *d, uint64_t off, unsigned size, uint64_t val);
/* After any register that decides where accesses go. */
void vga_mem_remap(struct vga *v);

void vbe_map_ports(struct vga *v);
void vbe_reset(struct vga *v);
uint16_t vbe_read(const struct vga *v, unsigned index);
void vbe_write(struct vga *v, unsigned index, uint16_t val);
/* Bytes from one line to the next in a mode of at least 8 bits. */
uint32_t vbe_pitch(const struct vga *v);
/* Sizes and depth are what can be shown: always so while the extension is on, but for damaged
 * snapshots. */
bool vbe_mode_fits(const struct vga *v);
static inline bool vbe_on(const struct vga *v)
{
    return v->s->vbe[VBE_ENABLE] & VBE_ENABLED;
}

/* What the CRTC's registers say (vga_crtc.c). */
struct vga_crtc {
    uint64_t hz;        /* dots a second, as the sequencer counts them */
    uint32_t char_dots; /* 8 or 9 */
    uint32_t htotal;    /* characters */
    uint32_t cols;      /* displayed */
    uint32_t skew;      /* characters that the display starts and ends late */
    uint32_t vtotal, lines, retrace, retrace_end;
    uint32_t line_compare;
    uint32_t height; /* of a row of characters, lines before doubling */
};
struct vga_crtc vga_crtc_get(const struct vga *v);
/* Whole frames since power on, counted at the vertical retrace, at instant t. */
uint64_t vga_frames(const struct vga_crtc *c, vtime t);
/* Input status 1. */
uint8_t vga_status1(const struct vga *v);
/* The start address that is on the screen. */
uint16_t vga_start(const struct vga *v);
/* Before a register that vga_start() depends on changes. */
void vga_crtc_sync(struct vga *v);
/* After such a register, or the vertical retrace end, has changed. */
void vga_retrace_update(struct vga *v);
void vga_retrace_init(struct vga *v);

static inline uint32_t plane_index(uint32_t addr, unsigned plane)
{
    return (addr & 0xfffc) | plane | (addr & 3) << 16;
}

extern const struct display_ops vga_display_ops;
bool vga_text(struct dev *d, struct text_screen *t);
bool vga_draw(struct dev *d, struct frame *f, bool all);
/* The CRTC's address counter to an address in the planes; `scan`: the row's line. */
uint32_t vga_crtc_addr(const struct vga *v, uint32_t counter, uint32_t scan);

#endif
