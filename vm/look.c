/*
 * What an image is, by its content: the answer to "doppel run IMAGE".
 *
 * Looked at in this order, the surest first: qcow2 (its content then decides between CD and disk);
 * a diskette's size with a boot signature, whatever else is in there (GRUB's rescue floppy holds an
 * ISO 9660 file system, memtest86+'s is a bzImage); ISO 9660 volume descriptors (sector 16,
 * "CD001": ECMA-119, 8.1), which a hybrid image with a partition table has too; kernels (ELF, the
 * "HdrS" of a bzImage: Linux x86 boot protocol); a diskette's size; a boot signature; a multiboot
 * header (in the first 8 KiB, its three words adding up to zero); whole sectors or a MiB, as a disk
 * that is still empty.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "host/blk.h"
#include "hw/disk/fd_media.h"
#include "util/bits.h"
#include "util/err.h"

#define HEAD       8192u
#define DISK_MIN   (1u << 20) /* smaller files that are no whole sectors are no disks */
#define CD_VOLUMES 32768u     /* byte offset of the first volume descriptor */

static bool is_iso(struct blk *b)
{
    uint8_t sector[BLK_SECTOR];
    return b->bytes >= CD_VOLUMES + sizeof sector &&
           b->read(b, CD_VOLUMES, sector, sizeof sector) && memcmp(sector + 1, "CD001", 5) == 0;
}

static bool has_multiboot(const uint8_t *head)
{
    for (unsigned i = 0; i + 12 <= HEAD; i += 4) {
        if (le32_get(head + i) == 0x1badb002 &&
            le32_get(head + i) + le32_get(head + i + 4) + le32_get(head + i + 8) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_kernel(const uint8_t *head)
{
    return memcmp(head, "\177ELF", 4) == 0 || memcmp(head + 0x202, "HdrS", 4) == 0;
}

static bool judge(struct blk *b, enum blk_format format, uint64_t file_bytes,
                  struct doppel_image *img)
{
    uint8_t head[HEAD] = {0};
    size_t n = b->bytes < HEAD ? (size_t)b->bytes : HEAD;
    if (!b->read(b, 0, head, n)) {
        return false;
    }
    bool raw = format == BLK_RAW, signature = head[510] == 0x55 && head[511] == 0xaa;
    bool floppy = raw && file_bytes % BLK_SECTOR == 0 && fd_is_size(file_bytes / BLK_SECTOR);
    if (floppy && signature) {
        img->kind = DOPPEL_IMAGE_FLOPPY;
    } else if (is_iso(b)) {
        img->kind = DOPPEL_IMAGE_CDROM;
    } else if (raw && is_kernel(head)) {
        img->kind = DOPPEL_IMAGE_KERNEL;
    } else if (floppy) {
        img->kind = DOPPEL_IMAGE_FLOPPY;
    } else if (signature) {
        img->kind = DOPPEL_IMAGE_HARD_DISK;
    } else if (raw && (has_multiboot(head) || (file_bytes % BLK_SECTOR && file_bytes < DISK_MIN))) {
        img->kind = DOPPEL_IMAGE_KERNEL; /* or nothing: the kernel's loader says so */
    } else {
        img->kind = DOPPEL_IMAGE_HARD_DISK;
    }
    return true;
}

bool doppel_image_look(const char *path, struct doppel_image *img, struct doppel_error *out)
{
    struct err e = {""};
    /* For reading: two that look at an image at once, or one that starts, are not in the way. */
    struct blk_how how = {.format = BLK_PROBE, .align = 1, .readonly = true};
    enum blk_format format;
    *img = (struct doppel_image){0};
    struct blk *b = blk_open(path, &how, &format, &e);
    bool ok =
        b && (judge(b, format, b->bytes, img) || err_set(&e, "%s: %s", path, strerror(errno)));
    if (ok) {
        img->bytes = b->bytes;
        img->readonly = access(path, W_OK) != 0;
        snprintf(img->format, sizeof img->format, "%s", blk_format_name(format));
    } else if (out) {
        snprintf(out->msg, sizeof out->msg, "%s", e.msg);
        out->usage = false;
    }
    if (b) {
        b->close(b);
    }
    return ok;
}
