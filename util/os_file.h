/*
 * Files of the host: whole writes, and hints.
 */
#ifndef DOPPEL_UTIL_OS_FILE_H
#define DOPPEL_UTIL_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Write all of it, at the file's position or at `off` bytes, whatever pieces the host takes it in.
 * False: errno says why (ENOSPC if the host took nothing); part of it may have been written. */
bool os_write_all(int fd, const void *data, size_t len);
bool os_pwrite_all(int fd, const void *data, size_t len, uint64_t off);
/* A hint: these bytes of a file will be synced soon, so the host may begin. Leaves errno alone. */
void os_sync_soon(int fd, uint64_t off, uint64_t len);

#endif
