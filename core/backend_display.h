/*
 * Display: how the picture leaves a machine. A display adapter registers what draws its screen; vm/
 * asks for frames when somebody looks and publishes them to other threads (vm/screen.h).
 *
 * Drawing is output: it reads the adapter's state at one instant between slices and changes nothing
 * that a guest can observe. So nobody looking costs nothing, and a frame is a function of the
 * machine's state.
 */
#ifndef DOPPEL_CORE_BACKEND_DISPLAY_H
#define DOPPEL_CORE_BACKEND_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>

struct dev;

/* Pixels 0x00RRGGBB, row after row without gaps. The buffer belongs to whoever passes the frame;
 * frame_resize() grows it. */
struct frame {
    uint32_t width, height;
    uint32_t *pixel;
    uint32_t cap; /* pixels that the buffer holds */
};
#define FRAME_MAX_WIDTH  4096u
#define FRAME_MAX_HEIGHT 4096u
/* Set the size; false: too large or no host memory, and the frame is as it was. */
bool frame_resize(struct frame *f, uint32_t width, uint32_t height);
void frame_free(struct frame *f);

/* A text mode's screen: character codes (of the font, code page 437 unless the guest loads its
 * own) and attributes as in the adapter's memory. */
#define TEXT_MAX_COLS 160u
#define TEXT_MAX_ROWS 100u
struct text_screen {
    uint32_t cols, rows;
    uint8_t ch[TEXT_MAX_ROWS][TEXT_MAX_COLS], attr[TEXT_MAX_ROWS][TEXT_MAX_COLS];
    bool cursor; /* shown (blinking apart), at: */
    uint32_t cursor_col, cursor_row;
};

struct display_ops {
    /* Draw the screen as it is now. all: draw even what has not changed since the last call; else
     * return false if nothing has (f then still holds the last frame, if it was the same f). */
    bool (*draw)(struct dev *d, struct frame *f, bool all);
    /* False in a graphics mode. */
    bool (*text)(struct dev *d, struct text_screen *t);
};

#endif
