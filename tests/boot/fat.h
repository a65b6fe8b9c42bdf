/*
 * FAT12 and FAT16 volumes in memory, for tests: made, filled, and read back independently of what
 * the guest thinks of them. Names are "NAME.EXT" as DOS shows them, paths "DIR/NAME.EXT".
 *
 * All numbers of an image may be nonsense (a guest wrote it): reads stay inside it.
 */
#ifndef DOPPEL_TESTS_BOOT_FAT_H
#define DOPPEL_TESTS_BOOT_FAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A volume within an image (not owned): its first byte, and what its BIOS parameter block says. */
struct fat {
    uint8_t *vol;
    size_t bytes;
    unsigned cluster_sectors, reserved, fats, root_entries, fat_sectors;
    unsigned clusters; /* number of them; FAT12 below 4085 */
};

/* What a volume is to be. */
struct fat_shape {
    uint32_t sectors;
    unsigned cyls, heads, spt;
    unsigned cluster_sectors, root_entries, fat_sectors;
    uint8_t media;   /* descriptor: F0H, F8H ... */
    uint32_t hidden; /* sectors in front of it */
};

/* The shape of a floppy of `kb`; false: there is none. */
bool fat_floppy_shape(unsigned kb, struct fat_shape *s);
/* Writes an empty volume. `boot`: a boot sector whose code is kept (its parameters are replaced),
 * or NULL. */
void fat_make(uint8_t *vol, const struct fat_shape *s, const uint8_t boot[512]);
/* Opens the volume at `vol`; false: that is no FAT volume. */
bool fat_open(struct fat *f, uint8_t *vol, size_t bytes);
/* Adds a file to the root folder; false: no room. */
bool fat_add(struct fat *f, const char *name, const void *data, size_t len, uint8_t attr);
/* A file's contents, malloc'ed; NULL: not there, or its chain is damaged. */
uint8_t *fat_read(const struct fat *f, const char *path, size_t *len);

#endif
