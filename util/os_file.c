/* See os_file.h. */
#include "util/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* n: what the host said. False: it is an error, in errno. */
static bool took(ssize_t n)
{
    if (n == 0) {
        errno = ENOSPC;
    }
    return n > 0;
}

bool os_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (!took(n)) {
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool os_pwrite_all(int fd, const void *data, size_t len, uint64_t off)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (!took(n)) {
            return false;
        }
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

void os_sync_soon(int fd, uint64_t off, uint64_t len)
{
#ifdef SYNC_FILE_RANGE_WRITE
    int why = errno;
    (void)sync_file_range(fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
    errno = why;
#else
    (void)fd;
    (void)off;
    (void)len;
#endif
}
