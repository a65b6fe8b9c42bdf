/*
 * FAT volumes for tests; see fat.h. Source: Microsoft's "FAT: General Overview of On-Disk Format"
 * 1.03.
 */
#include "tests/boot/fat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

enum { SECTOR = 512, ENTRY = 32, ATTR_DIR = 0x10, ATTR_LABEL = 0x08 };

bool fat_floppy_shape(unsigned kb, struct fat_shape *s)
{
    // clang-format off
    static const struct {
        uint16_t kb, cyls, heads, spt, cluster, root, fat;
        uint8_t media;
    } all[] = {
        {160, 40, 1, 8, 1, 64, 1, 0xfe},   {180, 40, 1, 9, 1, 64, 2, 0xfc},
        {320, 40, 2, 8, 2, 112, 1, 0xff},  {360, 40, 2, 9, 2, 112, 2, 0xfd},
        {720, 80, 2, 9, 2, 112, 3, 0xf9},  {1200, 80, 2, 15, 1, 224, 7, 0xf9},
        {1440, 80, 2, 18, 1, 224, 9, 0xf0}, {1680, 80, 2, 21, 4, 16, 5, 0xf0},
        {2880, 80, 2, 36, 2, 240, 9, 0xf0},
    };
    // clang-format on
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i].kb == kb) {
            *s = (struct fat_shape){
                .sectors = kb * 2,
                .cyls = all[i].cyls,
                .heads = all[i].heads,
                .spt = all[i].spt,
                .cluster_sectors = all[i].cluster,
                .root_entries = all[i].root,
                .fat_sectors = all[i].fat,
                .media = all[i].media,
            };
            return true;
        }
    }
    return false;
}

void fat_make(uint8_t *vol, const struct fat_shape *s, const uint8_t boot[512])
{
    memset(vol, 0, (size_t)(1 + 2 * s->fat_sectors + s->root_entries / 16) * SECTOR);
    if (boot) {
        memcpy(vol, boot, SECTOR);
    } else {
        memcpy(vol,
               "\xeb\x3c\x90"
               "DOPPEL  ",
               11);
    }
    le16_put(vol + 11, SECTOR);
    vol[13] = (uint8_t)s->cluster_sectors;
    le16_put(vol + 14, 1);
    vol[16] = 2;
    le16_put(vol + 17, (uint16_t)s->root_entries);
    le16_put(vol + 19, s->sectors < 0x10000 ? (uint16_t)s->sectors : 0);
    vol[21] = s->media;
    le16_put(vol + 22, (uint16_t)s->fat_sectors);
    le16_put(vol + 24, (uint16_t)s->spt);
    le16_put(vol + 26, (uint16_t)s->heads);
    le32_put(vol + 28, s->hidden);
    le32_put(vol + 32, s->sectors < 0x10000 ? 0 : s->sectors);
    vol[36] = s->media == 0xf8 ? 0x80 : 0;
    vol[38] = 0x29;
    le32_put(vol + 39, 0x12345678);
    memcpy(vol + 43, "NO NAME    FAT12   ", 19);
    if ((s->sectors - 1) / s->cluster_sectors >= 4085) {
        memcpy(vol + 54, "FAT16", 5);
    }
    vol[510] = 0x55;
    vol[511] = 0xaa;
    struct fat f;
    if (fat_open(&f, vol, (size_t)s->sectors * SECTOR)) {
        for (unsigned i = 0; i < 2; i++) {
            uint8_t *fat = vol + (size_t)(1 + i * s->fat_sectors) * SECTOR;
            memset(fat, 0xff, f.clusters < 4085 ? 3 : 4);
            fat[0] = s->media;
        }
    }
}

bool fat_open(struct fat *f, uint8_t *vol, size_t bytes)
{
    memset(f, 0, sizeof *f);
    if (bytes < SECTOR || le16_get(vol + 11) != SECTOR || !vol[13]) {
        return false;
    }
    f->vol = vol;
    f->cluster_sectors = vol[13];
    f->reserved = le16_get(vol + 14);
    f->fats = vol[16];
    f->root_entries = le16_get(vol + 17);
    f->fat_sectors = le16_get(vol + 22);
    size_t sectors = le16_get(vol + 19) ? le16_get(vol + 19) : le32_get(vol + 32);
    size_t before = f->reserved + f->fats * (size_t)f->fat_sectors + f->root_entries / 16;
    if (sectors * SECTOR > bytes || before >= sectors) {
        return false;
    }
    f->bytes = sectors * SECTOR;
    f->clusters = (unsigned)((sectors - before) / f->cluster_sectors);
    size_t fat_bytes = (size_t)f->fat_sectors * SECTOR;
    return f->clusters < 4085 ? (f->clusters + 2) * (size_t)3 / 2 <= fat_bytes
                              : (f->clusters + 2) * (size_t)2 <= fat_bytes;
}

static size_t root_at(const struct fat *f)
{
    return (f->reserved + f->fats * (size_t)f->fat_sectors) * SECTOR;
}

/* Offset of a cluster that exists (2 .. clusters + 1). */
static size_t cluster_at(const struct fat *f, unsigned c)
{
    return root_at(f) + f->root_entries * (size_t)ENTRY +
           (c - 2) * (size_t)f->cluster_sectors * SECTOR;
}

static unsigned link_get(const struct fat *f, unsigned c)
{
    const uint8_t *t = f->vol + (size_t)f->reserved * SECTOR;
    if (f->clusters >= 4085) {
        return le16_get(t + 2 * (size_t)c);
    }
    unsigned v = le16_get(t + c + c / 2);
    return c & 1 ? v >> 4 : v & 0xfff;
}

static void link_put(const struct fat *f, unsigned c, unsigned to)
{
    for (unsigned i = 0; i < f->fats; i++) {
        uint8_t *t = f->vol + (f->reserved + i * (size_t)f->fat_sectors) * SECTOR;
        if (f->clusters >= 4085) {
            le16_put(t + 2 * (size_t)c, (uint16_t)to);
            continue;
        }
        unsigned v = le16_get(t + c + c / 2);
        v = c & 1 ? (v & 0x00f) | to << 4 : (v & 0xf000) | (to & 0xfff);
        le16_put(t + c + c / 2, (uint16_t)v);
    }
}

/* "KERNEL.SYS" as the 11 bytes of a folder entry. */
static void entry_name(const char *name, size_t len, uint8_t out[11])
{
    size_t at = 0;
    memset(out, ' ', 11);
    for (size_t i = 0; i < len && at < 11; i++) {
        if (name[i] == '.') {
            at = 8;
        } else {
            out[at++] = (uint8_t)name[i];
        }
    }
}

bool fat_add(struct fat *f, const char *name, const void *data, size_t len, uint8_t attr)
{
    size_t cluster = f->cluster_sectors * (size_t)SECTOR, at = 0;
    uint8_t *e = f->vol + root_at(f), *end = e + f->root_entries * (size_t)ENTRY;
    while (e < end && *e) {
        e += ENTRY;
    }
    if (e == end) {
        return false;
    }
    memset(e, 0, ENTRY);
    entry_name(name, strlen(name), e);
    e[11] = attr;
    le16_put(e + 24, 0x2821); /* 1 January 2000 */
    le32_put(e + 28, (uint32_t)len);
    unsigned before = 0;
    for (unsigned c = 2; c < f->clusters + 2 && at < len; c++) {
        if (link_get(f, c)) {
            continue;
        }
        size_t n = len - at < cluster ? len - at : cluster;
        memcpy(f->vol + cluster_at(f, c), (const uint8_t *)data + at, n);
        at += n;
        if (before) {
            link_put(f, before, c);
        } else {
            le16_put(e + 26, (uint16_t)c);
        }
        link_put(f, c, 0xffff);
        before = c;
    }
    return at == len;
}

/* The contents of a chain, at most `max` bytes of it, with the length. NULL: damaged. */
static uint8_t *read_chain(const struct fat *f, unsigned c, size_t max, size_t *len)
{
    size_t cluster = f->cluster_sectors * (size_t)SECTOR;
    uint8_t *out = NULL;
    *len = 0;
    for (unsigned n = 0; n <= f->clusters && c >= 2 && c < f->clusters + 2 && *len < max; n++) {
        size_t part = max - *len < cluster ? max - *len : cluster;
        uint8_t *more = realloc(out, *len + part);
        if (!more) {
            abort();
        }
        out = more;
        memcpy(out + *len, f->vol + cluster_at(f, c), part);
        *len += part;
        c = link_get(f, c);
    }
    return out;
}

static const uint8_t *find(const uint8_t *dir, size_t len, const uint8_t name[11])
{
    for (size_t i = 0; i + ENTRY <= len && dir[i]; i += ENTRY) {
        if (memcmp(dir + i, name, 11) == 0 && !(dir[i + 11] & ATTR_LABEL)) {
            return dir + i;
        }
    }
    return NULL;
}

uint8_t *fat_read(const struct fat *f, const char *path, size_t *len)
{
    uint8_t *dir = NULL, name[11];
    const uint8_t *in = f->vol + root_at(f);
    size_t size = f->root_entries * (size_t)ENTRY;
    for (;;) {
        size_t n = strcspn(path, "/");
        bool last = !path[n];
        entry_name(path, n, name);
        const uint8_t *e = find(in, size, name);
        unsigned first = e ? le16_get(e + 26) : 0;
        size_t bytes = e ? le32_get(e + 28) : 0;
        bool right = e && !(e[11] & ATTR_DIR) == last;
        free(dir);
        dir = NULL;
        if (!right) {
            return NULL;
        }
        if (last) {
            uint8_t *data = bytes ? read_chain(f, first, bytes, len) : calloc(1, 1);
            if (data && (bytes ? *len : 0) != bytes) {
                free(data);
                data = NULL;
            }
            *len = bytes;
            return data;
        }
        dir = read_chain(f, first, SIZE_MAX, &size);
        in = dir;
        if (!dir) {
            return NULL;
        }
        path += n + 1;
    }
}
