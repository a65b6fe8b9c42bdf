/*
 * Helpers for tests of disk images: files in memory that keep a record of what was done to them,
 * files in a temporary folder, and QEMU's tools where they are installed.
 */
#ifndef DOPPEL_TESTS_IMAGE_H
#define DOPPEL_TESTS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/blk_priv.h"
#include "tests/t.h"

/* --- A file in memory --- */

struct memfile_op {
    bool sync;
    uint64_t off;
    size_t len;
    uint8_t *data; /* owned */
};

struct memfile {
    uint8_t *data;
    size_t len, room;
    uint64_t max; /* a write behind this fails with ENOSPC; 0: no limit */
    /* When not 0: the operation with this number (from 1, counted from here) fails with EIO. */
    unsigned fail_read, fail_write, fail_sync;
    bool record;
    struct memfile_op *ops;
    unsigned nops;
};

/* A copy of len bytes. */
void memfile_init(struct memfile *m, const void *data, size_t len);
void memfile_free(struct memfile *m);
/* Make it len bytes; new ones are zeros. */
void memfile_resize(struct memfile *m, size_t len);
/* What blk_qcow2_new takes. */
struct blk_file memfile_file(struct memfile *m, bool readonly);

/* --- Files --- */

/* A file's name in a folder that goes when the program ends; valid for the next seven calls. */
const char *image_path(const char *name);
void image_save(const char *path, const void *data, size_t len);
/* A whole file into memory; free data with memfile_free. */
bool image_load(struct memfile *m, const char *path);

/* --- QEMU's tools --- */

bool image_have_qemu(void);
/* Runs a command in the folder (printf form); its exit status. Output goes away unless it fails. */
int image_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "qemu-img check": true if it finds no corruption; leaks are allowed if `leaks`. */
bool image_check(const char *path, bool leaks);

#endif
