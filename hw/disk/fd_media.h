/*
 * Diskettes and drives: geometry from an image's size, and which drive reads which diskette at
 * which data rate.
 */
#ifndef DOPPEL_HW_DISK_FD_MEDIA_H
#define DOPPEL_HW_DISK_FD_MEDIA_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"

/* Drive types by their numbers in CMOS byte 10h. */
enum fd_type { FD_NONE, FD_360K, FD_1200K, FD_720K, FD_1440K, FD_2880K, FD_TYPES };

/* How a diskette is recorded: bits on a track and size decide the rate. */
enum fd_density { FD_DD525, FD_HD525, FD_DD35, FD_HD35, FD_ED35 };

struct fd_medium {
    uint8_t cyls, heads, spt; /* spt 0: no medium */
    enum fd_density density;
};

/* The diskette that an image of `sectors` holds; the smallest known one that is as large if none
 * fits, the largest if it is larger than all. */
struct fd_medium fd_medium_of(uint64_t sectors);
/* Is there a diskette of exactly this size? */
bool fd_is_size(uint64_t sectors);
/* Is there one at least as large? */
bool fd_fits(uint64_t sectors);
/* The drive that suits an image (0 sectors: none). */
enum fd_type fd_type_of(uint64_t sectors);
/* By name ("360K", "1.2M", "720K", "1.44M", "2.88M", "none"); false: no such type. */
bool fd_type_find(const char *name, enum fd_type *type);

/* Can a drive of this type read the medium at this rate (a DOR code: 0..3)? */
bool fd_reads(enum fd_type type, const struct fd_medium *m, unsigned rate);
/* The track (ID field's C) below heads at `cyl`; -1: none is recorded there. */
int fd_track_at(enum fd_type type, const struct fd_medium *m, unsigned cyl);
/* The drive's innermost cylinder. */
unsigned fd_last_cyl(enum fd_type type);
/* One revolution, ns. */
vtime fd_turn(enum fd_type type);

#endif
