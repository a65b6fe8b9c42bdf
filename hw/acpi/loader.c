/*
 * The table loader's script: commands of 128 bytes by which firmware allocates memory for the files
 * of ACPI tables, makes their pointers absolute, and fills in checksums. SeaBIOS and OVMF know it.
 *
 *     ALLOCATE      file, alignment, zone (1: anywhere, 2: 0xf0000..0xfffff)
 *     ADD_POINTER   file, source file, offset, size: add the source's address to what stands there
 *     ADD_CHECKSUM  file, offset, start, length: the byte there becomes the complement of the sum
 *
 * What always holds: a checksum comes behind every pointer in its range, and its byte is 0 before.
 *
 * Source: QEMU, docs/specs and hw/acpi/bios-linker-loader.c, for the format.
 */
#include <string.h>

#include "hw/acpi/tables.h"
#include "util/bits.h"

enum {
    CMD_ALLOCATE = 1,
    CMD_ADD_POINTER = 2,
    CMD_ADD_CHECKSUM = 3,
    CMD_SIZE = 128,
    FILE_NAME = 56,
    ZONE_HIGH = 1,
    ZONE_FSEG = 2,
};

struct script {
    uint8_t *buf;
    size_t cap, len;
};

static void emit(struct script *s, const uint8_t cmd[CMD_SIZE])
{
    if (s->len + CMD_SIZE <= s->cap) {
        memcpy(s->buf + s->len, cmd, CMD_SIZE);
    }
    s->len += CMD_SIZE;
}

static void put_name(uint8_t *p, const char *name)
{
    memcpy(p, name, strlen(name));
}

static void allocate(struct script *s, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t cmd[CMD_SIZE] = {CMD_ALLOCATE};
    put_name(cmd + 4, file);
    le32_put(cmd + 4 + FILE_NAME, align);
    cmd[8 + FILE_NAME] = zone;
    emit(s, cmd);
}

/* The file that has the byte at `at`, and its offset in there. */
static const char *file_of(uint32_t at, uint32_t *off)
{
    bool rsdp = at < ACPI_TABLES_AT;
    *off = rsdp ? at : at - ACPI_TABLES_AT;
    return rsdp ? ACPI_FILE_RSDP : ACPI_FILE_TABLES;
}

size_t acpi_loader(const struct acpi_image *im, uint8_t *buf, size_t cap)
{
    struct script s = {buf, cap, 0};
    uint32_t off;
    allocate(&s, ACPI_FILE_RSDP, 16, ZONE_FSEG);
    allocate(&s, ACPI_FILE_TABLES, 64, ZONE_HIGH);
    for (unsigned i = 0; i < im->nlinks; i++) {
        uint8_t cmd[CMD_SIZE] = {CMD_ADD_POINTER};
        put_name(cmd + 4, file_of(im->link[i].at, &off));
        le32_put(cmd + 4 + 2 * FILE_NAME, off);
        put_name(cmd + 4 + FILE_NAME, file_of(im->link[i].to, &off));
        cmd[8 + 2 * FILE_NAME] = im->link[i].size;
        emit(&s, cmd);
    }
    for (unsigned i = 0; i < im->nsums; i++) {
        uint8_t cmd[CMD_SIZE] = {CMD_ADD_CHECKSUM};
        put_name(cmd + 4, file_of(im->sum[i].at, &off));
        le32_put(cmd + 4 + FILE_NAME, off);
        file_of(im->sum[i].start, &off);
        le32_put(cmd + 8 + FILE_NAME, off);
        le32_put(cmd + 12 + FILE_NAME, im->sum[i].len);
        emit(&s, cmd);
    }
    return s.len;
}

void acpi_loader_prepare(struct acpi_image *im)
{
    for (unsigned i = 0; i < im->nlinks; i++) {
        uint32_t off;
        file_of(im->link[i].to, &off);
        le_put(im->buf + im->link[i].at, im->link[i].size, off);
    }
}
