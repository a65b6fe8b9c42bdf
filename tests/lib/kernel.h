/*
 * The smallest guest: a flat multiboot kernel around a few bytes of 32-bit code, for tests of a
 * whole machine that need no firmware (Multiboot Specification 0.6.96, 3.1: the address fields).
 */
#ifndef DOPPEL_TESTS_KERNEL_H
#define DOPPEL_TESTS_KERNEL_H

#include <stddef.h>

enum { KERNEL_ENTRY = 0x100040, KERNEL_MOST = 960 }; /* where the code is; how many bytes of it */

/* Writes it to `path`, or to a new file in /tmp if that is NULL, and returns the name: to be
 * unlinked and freed. Multiboot tells the guest its name, so runs that are compared need one. */
char *kernel_make(const char *path, const void *code, size_t len);

#endif
