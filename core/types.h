/*
 * The scalars that every layer above util speaks: guest addresses and virtual time.
 */
#ifndef DOPPEL_CORE_TYPES_H
#define DOPPEL_CORE_TYPES_H

#include <stdint.h>

typedef uint64_t gpa;   /* guest physical address, bytes */
typedef uint64_t gva;   /* guest linear ("virtual") address, bytes, after segmentation */
typedef uint64_t vtime; /* virtual time, nanoseconds since the machine was powered on */

#define VTIME_NEVER UINT64_MAX
#define VTIME_SEC   UINT64_C(1000000000)
#define VTIME_MS    UINT64_C(1000000)
#define VTIME_US    UINT64_C(1000)

#define PAGE_BITS 12
#define PAGE_SIZE UINT64_C(4096)
#define PAGE_MASK (~(PAGE_SIZE - 1))

#endif
