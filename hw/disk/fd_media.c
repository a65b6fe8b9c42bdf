/*
 * Diskettes and drives.
 *
 * A raw image says nothing but its size, so the size says what diskette it is. A drive reads it if
 * the controller is set to the rate that the bits come by the head with: bits on a track times
 * turns in a second. So a 360K diskette needs 250 kbit/s in its own drive and 300 in a 1.2M drive,
 * which turns faster; there its 40 tracks lie below every second of the drive's 80 cylinders.
 *
 * One concession: the 360K drive takes 300 kbit/s as well, since SeaBIOS uses that rate for drives
 * of CMOS type 1 (its FloppyInfo table), where IBM's BIOS has 250.
 *
 * Sources: IBM PC/AT Technical Reference, "Fixed Disk and Diskette Drive Adapter", diskette
 * parameters; 82077AA datasheet (290166) 1.2, data rates; ECMA-66, -99, -100, -125, -147 for tracks
 * and capacities.
 */
#include "hw/disk/fd_media.h"

#include <string.h>

#include "util/bits.h"

/* By size; DMF and the other extra-large formats are recorded at 500 kbit/s with smaller gaps. */
// clang-format off
static const struct fd_medium media[] = {
    {40, 1,  8, FD_DD525}, /* 160K */
    {40, 1,  9, FD_DD525}, /* 180K */
    {40, 2,  8, FD_DD525}, /* 320K */
    {40, 2,  9, FD_DD525}, /* 360K */
    {40, 2, 10, FD_DD525}, /* 400K */
    {80, 2,  8, FD_DD35},  /* 640K */
    {80, 2,  9, FD_DD35},  /* 720K */
    {80, 2, 10, FD_DD35},  /* 800K */
    {82, 2, 10, FD_DD35},  /* 820K */
    {80, 2, 15, FD_HD525}, /* 1.2M */
    {80, 2, 18, FD_HD35},  /* 1.44M */
    {80, 2, 20, FD_HD35},  /* 1.6M */
    {80, 2, 21, FD_HD35},  /* 1.68M, Microsoft's DMF */
    {82, 2, 21, FD_HD35},  /* 1.72M */
    {83, 2, 21, FD_HD35},  /* 1.74M */
    {80, 2, 22, FD_HD35},  /* 1.76M */
    {80, 2, 23, FD_HD35},  /* 1.84M */
    {80, 2, 24, FD_HD35},  /* 1.92M */
    {80, 2, 36, FD_ED35},  /* 2.88M */
};

/* The rate (DOR code) at which a drive reads each density; -1: it cannot. */
static const int8_t rates[FD_TYPES][5] = {
    /*             DD525 HD525 DD35 HD35 ED35 */
    [FD_NONE]  = {  -1,   -1,   -1,  -1,  -1},
    [FD_360K]  = {   2,   -1,   -1,  -1,  -1},
    [FD_1200K] = {   1,    0,    1,  -1,  -1},
    [FD_720K]  = {  -1,   -1,    2,  -1,  -1},
    [FD_1440K] = {  -1,   -1,    2,   0,  -1},
    [FD_2880K] = {  -1,   -1,    2,   0,   3},
};
// clang-format on

static const char *const type_names[FD_TYPES] = {"none", "360K", "1.2M", "720K", "1.44M", "2.88M"};

static uint64_t capacity(const struct fd_medium *m)
{
    return (uint64_t)m->cyls * m->heads * m->spt;
}

struct fd_medium fd_medium_of(uint64_t sectors)
{
    unsigned i = 0;
    while (i + 1 < ARRAY_LEN(media) && capacity(&media[i]) < sectors) {
        i++;
    }
    return media[i];
}

bool fd_is_size(uint64_t sectors)
{
    struct fd_medium m = fd_medium_of(sectors);
    return capacity(&m) == sectors;
}

bool fd_fits(uint64_t sectors)
{
    return sectors <= capacity(&media[ARRAY_LEN(media) - 1]);
}

enum fd_type fd_type_of(uint64_t sectors)
{
    if (!sectors) {
        return FD_1440K; /* an empty drive: the most common one */
    }
    switch (fd_medium_of(sectors).density) {
    case FD_DD525:
        return FD_360K;
    case FD_HD525:
        return FD_1200K;
    case FD_ED35:
        return FD_2880K;
    default:
        return FD_1440K;
    }
}

bool fd_type_find(const char *name, enum fd_type *type)
{
    for (unsigned i = 0; i < FD_TYPES; i++) {
        if (strcmp(name, type_names[i]) == 0) {
            *type = (enum fd_type)i;
            return true;
        }
    }
    return false;
}

bool fd_reads(enum fd_type type, const struct fd_medium *m, unsigned rate)
{
    if (!m->spt) {
        return false;
    }
    bool concession = type == FD_360K && m->density == FD_DD525 && rate == 1;
    return concession || rates[type][m->density] == (int)rate;
}

int fd_track_at(enum fd_type type, const struct fd_medium *m, unsigned cyl)
{
    if (type == FD_1200K && m->density == FD_DD525) {
        if (cyl & 1) {
            return -1;
        }
        cyl /= 2;
    }
    return cyl < m->cyls ? (int)cyl : -1;
}

unsigned fd_last_cyl(enum fd_type type)
{
    return type == FD_360K ? 41 : 83;
}

vtime fd_turn(enum fd_type type)
{
    return type == FD_1200K ? VTIME_SEC / 6 : VTIME_SEC / 5;
}
