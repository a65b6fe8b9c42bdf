/*
 * The file of a recording: a header, then chunks, each checked by itself. docs/replay.md has the
 * format to the byte; vm/record.c says what is in the chunks, vm/replay.c reads it.
 *
 * What always holds: a chunk goes to the file in one write, behind all that is there, so a process
 * that is killed leaves everything up to its last chunk; a write that fails is taken back. A reader
 * takes every byte for hostile and stops before the first chunk that is not whole.
 */
#ifndef DOPPEL_VM_INLOG_H
#define DOPPEL_VM_INLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/state.h"
#include "util/err.h"

#define INLOG_VERSION   2u
#define INLOG_OLDEST    1u         /* that is read */
#define INLOG_HEAD      16u        /* bytes before the first chunk */
#define INLOG_CHUNK_MAX (1u << 20) /* bytes of a chunk's content */

/* What a chunk holds. Numbers in the file: never reused. */
enum inlog_type {
    INLOG_MANIFEST = 1, /* text: how to make the machine */
    INLOG_STATE = 2,    /* a piece of a saved machine */
    INLOG_RUN = 3,      /* records: inputs, checks, the end */
    INLOG_IMAGE = 4,    /* before-images of a medium */
};

/* A chunk as it lies in a file, but for its number, which it gets when it is written. */
struct inlog_chunk {
    enum inlog_type type;
    size_t len; /* of bytes */
    uint8_t *bytes;
};

/* Compress what is worth it, unless `plain`; len at most INLOG_CHUNK_MAX. Free the bytes with
 * free(). */
void inlog_pack(struct inlog_chunk *c, enum inlog_type type, const void *data, size_t len,
                bool plain);

struct inlog_writer {
    int fd;
    uint64_t end;    /* bytes of the file that are whole chunks */
    uint32_t number; /* of the next chunk */
    int failed;      /* errno of the write that failed; 0: none. Nothing is written any more */
    bool plain;      /* nothing is compressed: for builds without zlib to read */
};

/* Make the file; one of that name is replaced. False: e. */
bool inlog_create(struct inlog_writer *w, const char *path, struct err *e);
/* False: the host failed, now or before. */
bool inlog_write(struct inlog_writer *w, const struct inlog_chunk *c);
bool inlog_put(struct inlog_writer *w, enum inlog_type type, const void *data, size_t len);
void inlog_close(struct inlog_writer *w);

struct inlog_reader {
    int fd;             /* -1: `mem` */
    const uint8_t *mem; /* not owned */
    uint64_t size, pos; /* bytes */
    uint32_t number;
    uint8_t *raw, *stored; /* buffers of INLOG_CHUNK_MAX and some */
    enum inlog_type type;  /* of the chunk that was read last: its content is raw[0..len) */
    size_t len;
    const char *damage; /* why it ends before the end of the file; NULL: it does not */
};

/* False: e says why it is not a log of ours; nothing needs to be closed. */
bool inlog_open(struct inlog_reader *r, const char *path, struct err *e);
bool inlog_open_memory(struct inlog_reader *r, const void *data, size_t len, struct err *e);
/* The next chunk. False: there is none that is whole; r->damage may say why. */
bool inlog_next(struct inlog_reader *r);
void inlog_rewind(struct inlog_reader *r);
void inlog_reader_close(struct inlog_reader *r);

/* --- Numbers of variable length: seven bits a byte, the low ones first --- */

void inlog_put_num(struct st_buf *b, uint64_t v);
/* False: cut short or more than 64 bits. */
bool inlog_get_num(struct st_src *s, uint64_t *v);
/* A text of at most `max` - 1 bytes without NUL. */
void inlog_put_text(struct st_buf *b, const char *text);
bool inlog_get_text(struct st_src *s, char *text, size_t max);

#endif
