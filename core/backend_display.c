/*
 * Buffers of frames.
 */
#include "core/backend_display.h"

#include <stdlib.h>

bool frame_resize(struct frame *f, uint32_t width, uint32_t height)
{
    if (width > FRAME_MAX_WIDTH || height > FRAME_MAX_HEIGHT) {
        return false;
    }
    if (width * height > f->cap) {
        uint32_t *p = realloc(f->pixel, (size_t)width * height * sizeof *p);
        if (!p) {
            return false;
        }
        f->pixel = p;
        f->cap = width * height;
    }
    f->width = width;
    f->height = height;
    return true;
}

void frame_free(struct frame *f)
{
    free(f->pixel);
    *f = (struct frame){0};
}
