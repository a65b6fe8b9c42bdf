/*
 * Big pieces of zeroed host memory straight from the system: for guest RAM and the arrays beside
 * it, where pages that are never touched must cost nothing.
 */
#ifndef DOPPEL_UTIL_OS_MEM_H
#define DOPPEL_UTIL_OS_MEM_H

#include <stddef.h>

/* `bytes` of zeros, aligned to `align` (a power of two; at least the host's page size is given).
 * huge: ask the host to back it by huge pages where it can. NULL: none to be had. */
void *os_mem_alloc(size_t bytes, size_t align, int huge);

/* Bytes of a huge page of most hosts; elsewhere they may refuse what is asked for. */
#define OS_MEM_HUGE ((size_t)2 << 20)
static inline size_t os_mem_huge_up(size_t bytes)
{
    return (bytes + OS_MEM_HUGE - 1) & ~(OS_MEM_HUGE - 1);
}

/* Memory in use, private or shared: back it by huge pages, as many whole ones as fit, now, where
 * the host can. Its bytes stay. */
void os_mem_collapse(void *p, size_t bytes);

/* Give back what os_mem_alloc gave, with the same size. NULL is ignored. */
void os_mem_free(void *p, size_t bytes);

#endif
