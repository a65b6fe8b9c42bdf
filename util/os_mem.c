/*
 * Zeroed host memory, by mmap.
 *
 * Alignment beyond the host's page size comes from mapping too much and giving the ends back.
 * Swap space is not reserved (MAP_NORESERVE): a guest that is configured with much memory pays for
 * what it touches.
 */
#include "util/os_mem.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

static size_t host_page(void)
{
    long n = sysconf(_SC_PAGESIZE);
    return n > 0 ? (size_t)n : 4096;
}

void *os_mem_alloc(size_t bytes, size_t align, int huge)
{
    size_t page = host_page();
    size_t len = round_up(bytes ? bytes : 1, page);
    size_t extra = align > page ? align : 0;
    if (len < bytes || len + extra < len) {
        return NULL;
    }
    uint8_t *p = mmap(NULL, len + extra, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    if (extra) {
        size_t head = round_up((uintptr_t)p, align) - (uintptr_t)p;
        if (head) {
            munmap(p, head);
        }
        if (extra > head) {
            munmap(p + head + len, extra - head);
        }
        p += head;
    }
#ifdef MADV_HUGEPAGE
    if (huge) {
        madvise(p, len, MADV_HUGEPAGE); /* advice: failing is fine */
    }
#else
    (void)huge;
#endif
    return p;
}

#ifdef MADV_HUGEPAGE
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older ones refuse it */
#endif

void os_mem_collapse(void *p, size_t bytes)
{
    uint8_t *at = p, *end = at + bytes;
    for (at += round_up((uintptr_t)at, OS_MEM_HUGE) - (uintptr_t)at; at + OS_MEM_HUGE <= end;
         at += OS_MEM_HUGE) {
        if (madvise(at, OS_MEM_HUGE, MADV_COLLAPSE) != 0) {
            return; /* so it stays as it is */
        }
    }
}
#else
void os_mem_collapse(void *p, size_t bytes)
{
    (void)p, (void)bytes;
}
#endif

void os_mem_free(void *p, size_t bytes)
{
    if (p) {
        munmap(p, round_up(bytes ? bytes : 1, host_page()));
    }
}
