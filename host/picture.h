/*
 * Pictures as files: PNG, and PPM for names that end in .ppm.
 */
#ifndef DOPPEL_HOST_PICTURE_H
#define DOPPEL_HOST_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/backend_display.h"
#include "util/err.h"

/* The frame as a PNG file in memory, malloc'ed, the caller's to free; NULL: no host memory. The
 * frame is not empty. stored: without compression, as in builds that lack zlib. */
uint8_t *picture_png(const struct frame *f, bool stored, size_t *len);

/* Write the frame to a file; the name's ending decides the format. An empty frame is refused. */
bool picture_write(const struct frame *f, const char *path, struct err *e);

#endif
