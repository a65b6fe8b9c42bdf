/*
 * A text mode's screen as characters and attributes: what is on the screen, with start address,
 * row offset and split screen.
 */
#include "hw/display/vga.h"

#include <string.h>

bool vga_text(struct dev *d, struct text_screen *t)
{
    struct vga *v = (struct vga *)d;
    const struct vga_state *s = v->s;
    struct vga_crtc c = vga_crtc_get(v);
    if (vbe_on(v) || (s->gfx[6] & 1) || !(s->crtc[0x17] & 0x80)) {
        return false;
    }
    memset(t, 0, sizeof *t);
    uint32_t row_lines = c.height << (s->crtc[9] >> 7);
    uint32_t counter = vga_start(v), rows = c.lines / row_lines;
    uint16_t pos = (uint16_t)(s->crtc[0x0e] << 8 | s->crtc[0x0f]);
    uint32_t late = s->crtc[0x0b] >> 5 & 3, first = s->crtc[0x0a] & 31u;
    bool cursor = !(s->crtc[0x0a] & 0x20) && first <= (s->crtc[0x0b] & 31u) && first < c.height;
    t->cols = c.cols < TEXT_MAX_COLS ? c.cols : TEXT_MAX_COLS;
    t->rows = rows < TEXT_MAX_ROWS ? rows : TEXT_MAX_ROWS;
    for (uint32_t y = 0; y < t->rows; y++) {
        if (y && y * row_lines > c.line_compare && (y - 1) * row_lines <= c.line_compare) {
            counter = 0;
        }
        for (uint32_t x = 0; x < t->cols; x++) {
            uint8_t cell[2];
            uint32_t a = vga_crtc_addr(v, counter + c.skew + x, 0);
            ram_read(v->vram, plane_index(a, 0), cell, 2);
            t->ch[y][x] = cell[0];
            t->attr[y][x] = cell[1];
            if (cursor && x + c.skew >= late && ((counter + c.skew + x - late) & 0xffff) == pos) {
                t->cursor = true;
                t->cursor_col = x;
                t->cursor_row = y;
            }
        }
        counter += s->crtc[0x13] * 2u;
    }
    return true;
}
