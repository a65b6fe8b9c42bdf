/*
 * An image's file on the host: opened once, locked, read and written at offsets. Private to host/.
 *
 * A file that was cut short by someone fails where it ended, and all writes to it fail until it is
 * as long again: going on would turn what was there into zeros.
 *
 * What always holds: one who writes excludes all others, in this process too (OFD locks belong to
 * the open file, fcntl(2)); many may read. Transfers are whole or fail with errno set.
 */
#ifndef DOPPEL_HOST_BLK_FILE_H
#define DOPPEL_HOST_BLK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

/* In place of a file of the host: for tests. Reads lie inside the file. False: errno. */
struct blk_file_ops {
    bool (*read)(void *ctx, uint64_t off, void *buf, size_t len);
    bool (*write)(void *ctx, uint64_t off, const void *buf, size_t len);
    bool (*sync)(void *ctx);
};

struct blk_file {
    int fd;
    const struct blk_file_ops *ops; /* NULL: fd */
    void *ctx;
    uint64_t bytes; /* of the file or block device; grows with writes behind its end */
    bool readonly;
    bool is_device; /* a block device: it cannot grow */
    bool linked;    /* it had a name when it was opened */
    int lost;       /* a flush failed with this errno; 0: none */
};

/* Open and lock. readonly false: for writing, or for reading where the host allows no more (then
 * f->readonly is set). e: "PATH: what is wrong". */
bool blk_file_open(struct blk_file *f, const char *path, bool readonly, struct err *e);
/* A new file, or one that is there and not in use, made empty. */
bool blk_file_create(struct blk_file *f, const char *path, struct err *e);
void blk_file_close(struct blk_file *f);

/* Bytes behind the end of the file read as zeros. */
bool blk_file_read(const struct blk_file *f, uint64_t off, void *buf, size_t len);
bool blk_file_write(struct blk_file *f, uint64_t off, const void *buf, size_t len);
/* Data, and the metadata that is needed to find it, on stable storage. After one failure all that
 * follow fail: the host may have thrown away what it could not write, and would say so only once.
 * A file that was deleted fails too, as what is in it goes with the process. */
bool blk_file_sync(struct blk_file *f);

#endif
