/*
 * Code memory by memfd_create and two mappings of it.
 *
 * On aarch64 a write becomes visible to the instruction stream by cache maintenance on the view
 * that runs. qemu-user before 8.1 ignores that: it watches for writes through the mapping that it
 * translated from, and there are none. There pages that become writable, for a moment in which they
 * cannot run, make it drop its translations. So memory is tried once before it is handed out.
 */
#include "util/os_code.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/os_mem.h"

#if defined(__aarch64__)
/* Does code that is written anew run anew? */
static bool sees_writes(const struct os_code *c)
{
    static const uint32_t returns[2][2] = {{0x52800020u, 0xd65f03c0u},  /* mov w0, #1; ret */
                                           {0x52800040u, 0xd65f03c0u}}; /* mov w0, #2; ret */
    int (*fn)(void);
    memcpy(&fn, &c->exec, sizeof fn); /* ISO C has no cast between the two */
    bool ok = true;
    for (unsigned k = 0; k < 2; k++) {
        memcpy(c->write, returns[k], sizeof returns[k]);
        os_code_commit(c, 0, sizeof returns[k]);
        ok = fn() == (int)k + 1 && ok;
    }
    memset(c->write, 0, sizeof returns[0]);
    os_code_commit(c, 0, sizeof returns[0]);
    return ok;
}
#else
static bool sees_writes(const struct os_code *c)
{
    (void)c;
    return true;
}
#endif

/* A view of fd that begins where a huge page may. NULL: refused. */
static void *view(int fd, size_t bytes, int prot)
{
    void *p = os_mem_alloc(bytes, OS_MEM_HUGE, 0);
    if (p && mmap(p, bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        os_mem_free(p, bytes);
        p = NULL;
    }
    return p;
}

bool os_code_alloc(struct os_code *c, size_t bytes)
{
    *c = (struct os_code){.bytes = bytes};
    int fd = memfd_create("doppel-code", MFD_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    if (ftruncate(fd, (off_t)bytes) == 0) {
        c->write = view(fd, bytes, PROT_READ | PROT_WRITE);
        c->exec = view(fd, bytes, PROT_READ | PROT_EXEC);
    }
    close(fd);
    if (!c->write || !c->exec) {
        os_code_free(c);
        return false;
    }
    if (!sees_writes(c)) {
        c->stale = true;
        if (!sees_writes(c)) {
            os_code_free(c);
            return false;
        }
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

void os_code_collapse(const struct os_code *c, size_t at, size_t len)
{
    os_mem_collapse(c->write + at, len);
    os_mem_collapse(c->exec + at, len);
}

void os_code_commit(const struct os_code *c, size_t at, size_t len)
{
    __builtin___clear_cache((char *)c->exec + at, (char *)c->exec + at + len);
    if (c->stale) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), from = at & ~(page - 1);
        size_t to = (at + len + page - 1) & ~(page - 1);
        size_t n = (to < c->bytes ? to : c->bytes) - from;
        (void)mprotect(c->exec + from, n, PROT_READ | PROT_WRITE);
        (void)mprotect(c->exec + from, n, PROT_READ | PROT_EXEC);
    }
}
