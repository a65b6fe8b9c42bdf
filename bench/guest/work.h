/*
 * work.h: the workloads of the bench guest, and what they share.
 *
 * A workload is a function that does a fixed amount of work, times a percentage, and returns a
 * checksum. Checksums are the same on every machine of the same number of bits: they depend on no
 * address, clock or random number, and floating-point results are rounded where the C library's
 * functions may differ in their last bits.
 */
#ifndef BENCH_GUEST_WORK_H
#define BENCH_GUEST_WORK_H

#include <stdint.h>

/* SCALE: percent of the full size, at least 1. */
typedef uint32_t work_fn(unsigned scale);

/* integer.c */
work_fn work_hash, work_sort, work_table, work_bytecode, work_calls, work_compress, work_strings;
/* bigcode.c */
work_fn work_bigcode;
/* fp.c */
work_fn work_scalar, work_packed, work_x87, work_libm;
/* system.c */
work_fn work_syscall, work_pipe, work_fork, work_exec, work_fault;
/* rewrite.c */
work_fn work_generate, work_patch;

/* The path of this program, for exec and for a file to read. */
extern const char *work_self;

/* N at 100 percent, never 0. */
static inline unsigned work_count(unsigned n, unsigned scale)
{
    uint64_t scaled = (uint64_t)n * scale / 100;
    return scaled == 0 ? 1 : (unsigned)scaled;
}

/* The next number of a xorshift generator. */
static inline uint32_t work_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* SUM with VALUE mixed in. */
static inline uint32_t work_mix(uint32_t sum, uint32_t value)
{
    return (sum ^ value) * 0x01000193u + (sum >> 15);
}

/* Says what went wrong, and ends the program. */
_Noreturn void work_die(const char *what);

#endif
