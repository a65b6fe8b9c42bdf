/*
 * CPUID of the host: which of its instructions the back end may emit.
 */
#ifndef DOPPEL_CPU_JIT_X64_HOST_H
#define DOPPEL_CPU_JIT_X64_HOST_H

#include <stdint.h>

#if defined(__x86_64__)
struct host_regs {
    uint32_t a, b, c, d;
};

/* Sub-leaf 0 (SDM 2A, CPUID). */
static inline struct host_regs host_cpuid(uint32_t leaf)
{
    struct host_regs r;
    __asm__("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
    return r;
}
#endif

#endif
