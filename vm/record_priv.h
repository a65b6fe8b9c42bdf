/*
 * A recording in the making, to a file or in memory. Private to vm/record*.c and vm/flight.c.
 *
 * A machine may have several: the operator's, and those of the flight recorder. Each is complete
 * by itself.
 */
#ifndef DOPPEL_VM_RECORD_PRIV_H
#define DOPPEL_VM_RECORD_PRIV_H

#include "vm/drives_priv.h"
#include "vm/inlog.h"
#include "vm/record.h"
#include "vm/runlog.h"
#include "vm/snapshot.h"

/* The medium in a drive: which of its clusters' before-images are in the log. */
struct record_medium {
    unsigned number;
    uint8_t *bits; /* NULL: nothing is written to it, or there is none */
    uint64_t bytes;
    uint8_t *used;          /* clusters that were read or written; NULL: there is no medium */
    uint64_t sum;           /* of those, as they were at first */
    struct run_range *news; /* of those, what is not in the log yet */
    size_t nnews, cap;
};

struct record {
    struct doppel_vm *vm;
    struct inlog_writer file; /* fd -1: in memory */
    char *path;               /* NULL: in memory */
    /* In memory, what the log begins with is put together when it is written out. */
    struct st_buf manifest;     /* but for the last line */
    struct snapshot_held *held; /* the machine as it began; NULL: a new one, or it is in `state` */
    struct st_buf state;        /* as a snapshot's bytes, since the shared form had to go */
    struct inlog_chunk *chunks;
    unsigned nchunks, cap;
    uint64_t bytes; /* of all chunks */
    struct runlog_writer run;
    struct run_instant begin;
    uint64_t flushed;        /* host's ns of the last flush */
    uint64_t inputs, images; /* counted for `info` */
    unsigned nmedia;
    struct record_medium medium[DOPPEL_MAX_DRIVES + DRIVES_DEFAULT]; /* by drive */
    uint64_t transfers[DOPPEL_MAX_DRIVES + DRIVES_DEFAULT];          /* when it began */
    char *failed; /* why nothing more can be recorded; NULL: all is well */
};

/* Begin at this instant; path NULL: in memory. NULL: e. */
struct record *record_new(struct doppel_vm *vm, const char *path, bool plain, struct err *e);
/* Write out what is there, with the instant reached, and the digest if `end`. */
void record_flush(struct record *r, bool end);
void record_free(struct record *r);
/* Have the machine feed it, and no more; NULL: that place is empty. */
bool record_add(struct doppel_vm *vm, unsigned slot, struct record *r);
struct record *record_take(struct doppel_vm *vm, unsigned slot);
void record_event(void *ctx, const struct gate_event *ev);
/* What was recorded in memory so far, to a file. */
bool record_write(struct record *r, const char *path, struct err *e);
/* Host memory of one in memory; `next`: the one that began after it, or NULL. Passes over all pages
 * of the machine. */
uint64_t record_bytes(const struct record *r, const struct record *next);

#endif
