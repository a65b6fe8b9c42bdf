/*
 * Boots of Debian's kernels, the way the boot tests want them: deterministic options, the serial
 * text collected, the guests of tests/boot/guests.sh (GUESTS, default ../guests from the build).
 */
#ifndef DOPPEL_TESTS_BOOT_LINUX_H
#define DOPPEL_TESTS_BOOT_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doppel.h"

/* A machine with what it has said on its first serial port. */
struct guest {
    struct doppel_vm *vm;
    char *text; /* NUL-terminated */
    size_t len;
};

/* Makes the machine for `kernel` ("amd64", "cloud", "686", "686-pae") with `cpus` vCPUs and
 * engine ("interp", "jit"). False: reported as a test failure. End with guest_close. */
bool guest_open(struct guest *g, const char *kernel, unsigned cpus, const char *engine);
void guest_close(struct guest *g);
/* True if the guests are there; otherwise the running test is skipped (or failed, under CI). */
bool guests_present(const char *kernel);
/* The same for one file among the guests. */
bool guests_have(const char *name);
/* The path of a file among the guests; valid until the next call. */
const char *guest_path(const char *prefix, const char *name);

/* The whole test of one kernel: boots to its shell script, whose last line must be right, and
 * powers off, under the interpreter (one vCPU: at T_LEVEL=long only); then the same again under the
 * JIT with another machine running in the process, saved half way and
 * loaded into a new machine: same instruction count, same text, same digest. The second half is
 * recorded, beginning with the machine as it was loaded, and replayed. */
void boot_test(const char *kernel, unsigned cpus);

#endif
