/*
 * Block back ends: an image (struct blk, made in host/) and the drive that it is in (struct drive,
 * owned by vm/drives.c), as a disk controller sees it.
 *
 * Transfers are synchronous and done by the controller at the virtual time it computed for the
 * completion, so that no host timing reaches the guest and nothing is in flight when the machine is
 * saved. A drive is what stays when its medium is changed; medium changes come through the gate.
 *
 * What always holds: all calls on the machine's thread. A transfer lies inside the medium, is a
 * multiple of 512 bytes, and either happens whole or fails; a failed one has told the operator, and
 * the controller reports its own error bits.
 */
#ifndef DOPPEL_CORE_BACKEND_BLOCK_H
#define DOPPEL_CORE_BACKEND_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLK_SECTOR 512u

/* An opened image, of any format, with its backing files and overlay behind it. */
struct blk {
    uint64_t bytes; /* size as the guest sees it; a multiple of 512 */
    bool readonly;
    /* [off, off+len): inside, whole sectors. False: the host failed; what is in buf is undefined.
     */
    bool (*read)(struct blk *b, uint64_t off, void *buf, size_t len);
    bool (*write)(struct blk *b, uint64_t off, const void *buf, size_t len);
    /* All that was written is on stable storage: survives kill -9 and a power cut of the host. */
    bool (*flush)(struct blk *b);
    void (*close)(struct blk *b); /* flushes and frees */
};

enum drive_kind { DRIVE_HD, DRIVE_CDROM, DRIVE_FLOPPY };

/* What a guest did with a drive; for `info block`. Not state: hosts may see it differ after a load.
 */
struct drive_stats {
    uint64_t reads, writes, flushes, read_bytes, write_bytes, errors;
};

struct drive;

/* Who watches a drive's transfers: a recording, a replay. */
struct drive_watch {
    /* After bytes [off, off+len) of the medium were read. */
    void (*after_read)(void *ctx, struct drive *d, uint64_t off, size_t len);
    /* Before bytes [off, off+len) of the medium are written. */
    void (*before_write)(void *ctx, struct drive *d, uint64_t off, size_t len);
    /* After a transfer: what the controller is told of it. */
    bool (*done)(void *ctx, struct drive *d, bool ok);
};

struct drive {
    char name[32]; /* "ide0-hd0", "ide1-cd0", "floppy0", or what id= said; unique */
    enum drive_kind kind;
    struct blk *blk; /* the medium; NULL: none (CD-ROM and floppy only) */
    struct drive_stats stats;
    /* The controller, attached at init by drive_attach. `changed`: the medium was taken out or put
     * in (an exchange is two calls, without and with). `eject_asked`: the operator pressed the
     * button while `locked` was set. Both on the machine's thread, through the gate. */
    void (*changed)(void *dev);
    void (*eject_asked)(void *dev);
    void *dev;
    /* Set by the controller from its saved state (at reset, on the command, in restored()). */
    bool locked;
    /* The guest ejects or closes the tray: done by vm/drives.c. May be NULL. */
    void (*guest_eject)(struct drive *d, bool out);
    const struct drive_watch *watch; /* NULL: nobody */
    void *watch_ctx;
    uint64_t transfers; /* reads, writes and flushes that went to the medium; its end is `done` */
    /* The host failed: tells the operator, rate-limited. May be NULL. */
    void (*failed)(struct drive *d, const char *what);
};

/* Device side, at init. d may be NULL: nothing on that connector. */
static inline void drive_attach(struct drive *d, void (*changed)(void *dev),
                                void (*eject_asked)(void *dev), void *dev)
{
    if (d) {
        d->changed = changed;
        d->eject_asked = eject_asked;
        d->dev = dev;
    }
}

/* Sectors of the medium; 0: none. */
static inline uint64_t drive_sectors(const struct drive *d)
{
    return d->blk ? d->blk->bytes / BLK_SECTOR : 0;
}

/* Device side: transfers. `lba` and `n` in 512-byte sectors (a CD-ROM's are four of them). False:
 * not inside the medium, the host failed, there is no medium, or it is read-only. */
bool drive_read(struct drive *d, uint64_t lba, void *buf, uint32_t n);
bool drive_write(struct drive *d, uint64_t lba, const void *buf, uint32_t n);
bool drive_flush(struct drive *d);

#endif
