/*
 * State is a table: the one declaration of what a guest can observe of a device or a CPU.
 *
 * A state list declares the struct and describes it, so that a field cannot be forgotten and a
 * pointer in state does not compile. The description drives save, load, digest, diff, `info`, and
 * fuzzing; no device writes code for any of them. Example:
 *
 *     #define UART_STATE(S, V, A, N)                              \
 *         V(S, uint8_t, ier, 1)            interrupt enable       \
 *         A(S, uint8_t, rx_fifo, 16, 1)    FIFO in order          \
 *         V(S, bool, thre_pending, 2)      since version 2        \
 *         V(S, struct vtimer, tx_done, 1)  a deadline             \
 *         N(S, pci_bar, bar, 6, 1)         6 of struct pci_bar, itself a state struct
 *     ST_DECLARE(uart_state, UART_STATE);       in the header or at the head of the .c
 *     ST_DESCRIBE(uart_state, UART_STATE, 2);   once, in the .c: const struct st_desc
 * uart_state_desc
 *
 * What always holds: the stream is little-endian, by name and kind, independent of the host, the
 * engine and the struct's layout. Loading fails on an unknown, surplus or missing field (missing is
 * allowed only where `since` is newer than the stream's version) and then leaves the struct as it
 * was. State models the hardware, not our code: lazy flags are materialized before a save.
 */
#ifndef DOPPEL_CORE_STATE_H
#define DOPPEL_CORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/types.h"
#include "util/digest.h"
#include "util/err.h"

/* A deadline in state; VTIME_NEVER: not running. The callback is bound by core/clock.h. */
struct vtimer {
    vtime deadline;
};

/* Wire numbers of the stream: never renumber. */
enum st_kind {
    ST_U8 = 1,
    ST_U16 = 2,
    ST_U32 = 3,
    ST_U64 = 4,
    ST_I8 = 5,
    ST_I16 = 6,
    ST_I32 = 7,
    ST_I64 = 8,
    ST_BOOL = 9,   /* saved as one byte, 0 or 1; anything else is refused */
    ST_TIMER = 10, /* saved as the 64-bit deadline */
    ST_SUB = 11,   /* nested state struct */
};

struct st_desc;

struct st_field {
    const char *name;
    size_t off;     /* bytes from the start of the state struct */
    size_t size;    /* bytes of one element in the struct */
    uint32_t count; /* elements; 1 for a scalar */
    enum st_kind kind;
    unsigned since;            /* the first version of the table that has this field */
    const struct st_desc *sub; /* for ST_SUB */
};

struct st_desc {
    const char *name;
    size_t size;      /* sizeof the state struct, bytes */
    unsigned version; /* of the table */
    unsigned nfields;
    const struct st_field *fields;
};

/* A compile error for pointers, floats and anything else that is not state. */
#define ST_KIND(x)                                                                                 \
    _Generic((x), uint8_t                                                                          \
             : ST_U8, uint16_t                                                                     \
             : ST_U16, uint32_t                                                                    \
             : ST_U32, uint64_t                                                                    \
             : ST_U64, int8_t                                                                      \
             : ST_I8, int16_t                                                                      \
             : ST_I16, int32_t                                                                     \
             : ST_I32, int64_t                                                                     \
             : ST_I64, bool                                                                        \
             : ST_BOOL, struct vtimer                                                              \
             : ST_TIMER)

#define ST_DECL_V(S, type, name, since)    type name;
#define ST_DECL_A(S, type, name, n, since) type name[n];
#define ST_DECL_N(S, tag, name, n, since)  struct tag name[n];
#define ST_DESC_V(S, type, name, since)                                                            \
    {#name, offsetof(struct S, name), sizeof(type), 1, ST_KIND(((struct S *)0)->name), since, NULL},
#define ST_DESC_A(S, type, name, n, since)                                                         \
    {#name, offsetof(struct S, name), sizeof(type), n, ST_KIND(((struct S *)0)->name[0]), since,   \
     NULL},
#define ST_DESC_N(S, tag, name, n, since)                                                          \
    {#name, offsetof(struct S, name), sizeof(struct tag), n, ST_SUB, since, &tag##_desc},

#define ST_DECLARE(S, LIST)                                                                        \
    struct S {                                                                                     \
        LIST(S, ST_DECL_V, ST_DECL_A, ST_DECL_N)                                                   \
    };                                                                                             \
    extern const struct st_desc S##_desc

#define ST_DESCRIBE(S, LIST, ver)                                                                  \
    static const struct st_field S##_fields[] = {LIST(S, ST_DESC_V, ST_DESC_A, ST_DESC_N)};        \
    const struct st_desc S##_desc = {#S, sizeof(struct S), ver,                                    \
                                     sizeof S##_fields / sizeof S##_fields[0], S##_fields}

/* A growing byte buffer that a save writes to. The caller frees it with st_buf_free. */
struct st_buf {
    uint8_t *data;
    size_t len, cap;
};

void st_buf_put(struct st_buf *b, const void *data, size_t len);
void st_buf_free(struct st_buf *b);

/* A cursor over a stream being loaded. Not owned. */
struct st_src {
    const uint8_t *data;
    size_t len, pos;
};

/* Append one section: `instance` names the object ("uart0"), then the table's name, version and
 * every field. Never fails (memory exhaustion aborts). */
void st_save(struct st_buf *b, const char *instance, const struct st_desc *d, const void *state);

/* Load the section at the cursor into `state` (d->size bytes); it must be for `instance`. On
 * failure `state` is unchanged and e says why. Every byte of the stream is hostile. */
bool st_load(struct st_src *src, const char *instance, const struct st_desc *d, void *state,
             struct err *e);

/* A 64-bit running digest, the same on every host. Seed with ST_DIGEST_INIT. Not cryptographic. */
#define ST_DIGEST_INIT UINT64_C(0x6a09e667f3bcc908)
static inline uint64_t st_digest_bytes(uint64_t h, const void *data, size_t len)
{
    return digest_bytes(h, data, len);
}
uint64_t st_digest(uint64_t h, const struct st_desc *d, const void *state);

/* Call fn for each element that differs between two states of one table, with its path
 * ("bar[2].base") and both values as 64-bit. Returns the number of differences. */
unsigned st_diff(const struct st_desc *d, const void *a, const void *b,
                 void (*fn)(void *ctx, const char *path, uint64_t va, uint64_t vb), void *ctx);

/* Call fn for every element with its path; for `info` and device_table. */
void st_each(const struct st_desc *d, const void *state,
             void (*fn)(void *ctx, const char *path, enum st_kind kind, uint64_t val), void *ctx);

#endif
