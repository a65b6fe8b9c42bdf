/*
 * Code memory by memfd_create and two mappings of it.
 */
#include "util/os_code.h"

#include <sys/mman.h>
#include <unistd.h>

bool os_code_alloc(struct os_code *c, size_t bytes)
{
    *c = (struct os_code){.bytes = bytes};
    int fd = memfd_create("doppel-code", MFD_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    if (ftruncate(fd, (off_t)bytes) == 0) {
        void *w = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        void *x = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
        c->write = w == MAP_FAILED ? NULL : w;
        c->exec = x == MAP_FAILED ? NULL : x;
    }
    close(fd);
    if (!c->write || !c->exec) {
        os_code_free(c);
        return false;
    }
    return true;
}

void os_code_free(struct os_code *c)
{
    if (c->write) {
        munmap(c->write, c->bytes);
    }
    if (c->exec) {
        munmap(c->exec, c->bytes);
    }
    *c = (struct os_code){0};
}

void os_code_commit(const struct os_code *c, size_t at, size_t len)
{
    __builtin___clear_cache((char *)c->exec + at, (char *)c->exec + at + len);
}
