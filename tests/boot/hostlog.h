/*
 * What a machine did to one file of the host: each write and each flush, in order, with how much
 * the guest had said by then. From it a test makes the file as any power cut would have left it.
 *
 * The program that links this has pwrite() and fdatasync() of its own, which note down what is done
 * to that file and then do it.
 */
#ifndef DOPPEL_TESTS_BOOT_HOSTLOG_H
#define DOPPEL_TESTS_BOOT_HOSTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/t.h"

struct host_op {
    uint64_t off;
    size_t len;  /* bytes; 0: a flush */
    size_t data; /* where they are in host_log.data */
    size_t said; /* characters that the guest had said before */
};

struct host_log {
    struct host_op *op;
    size_t nops;
    uint8_t *data;
    size_t ndata;
};

/* Note down what happens to `path` from now on. *said is read at each operation. One at a time. */
void hostlog_start(struct host_log *log, const char *path, const size_t *said);
void hostlog_stop(void);
void hostlog_free(struct host_log *log);
/* The same bytes in as many operations; what was said before does not count. */
bool hostlog_same(const struct host_log *a, const struct host_log *b);

/* What survives of the writes since the last flush. */
enum hostlog_cut {
    HOSTLOG_ALL,  /* all: doppel was killed */
    HOSTLOG_NONE, /* nothing: the host's power went */
    HOSTLOG_SOME, /* some sectors, in no order */
};

/* The file as it is when the power goes before op[at]: `base` (of `len` bytes) with the operations
 * up to there. The caller's to free(); *out_len is its size. */
uint8_t *hostlog_cut(const struct host_log *log, size_t at, enum hostlog_cut how, struct t_rng *rng,
                     const uint8_t *base, size_t len, size_t *out_len);

#endif
