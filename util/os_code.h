/*
 * Memory for generated code, mapped twice: one view that can be written and one that can be run,
 * never both in one.
 */
#ifndef DOPPEL_UTIL_OS_CODE_H
#define DOPPEL_UTIL_OS_CODE_H

#include <stdbool.h>
#include <stddef.h>

struct os_code {
    unsigned char *write; /* read and write */
    unsigned char *exec;  /* read and execute: the same bytes */
    size_t bytes;
    bool stale; /* this host needs more than cache maintenance: see os_code.c */
};

/* `bytes` of zeros, a multiple of the page size. False: the host refuses. */
bool os_code_alloc(struct os_code *c, size_t bytes);
void os_code_free(struct os_code *c);
/* Much code is in [at, at+len): let the host have it in huge pages, if it can. */
void os_code_collapse(const struct os_code *c, size_t at, size_t len);
/* The bytes [at, at+len) were written: let the instruction stream see them. */
void os_code_commit(const struct os_code *c, size_t at, size_t len);

#endif
