/*
 * A machine for tests that is talked with: over its first serial port, and by its keyboard and
 * screen. For guests of any kind; the scripts are C functions that wait and type.
 *
 * Everything happens at instruction counts that follow from the machine alone, so two runs of one
 * script are equal. A run may be saved and loaded into a new machine in the middle of whatever it
 * does: `save_at` counts the pieces of TALK_CHUNK instructions in which the machine runs.
 */
#ifndef DOPPEL_TESTS_BOOT_TALK_H
#define DOPPEL_TESTS_BOOT_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doppel.h"

#define TALK_CHUNK 1000000u

enum { TALK_DRIVES = 4 };

struct talk_setup {
    const char *kernel, *initrd, *append; /* NULL: firmware boots from a drive */
    const char *bios;                     /* starts the kernel; NULL: it is started directly */
    unsigned ram_mib;                     /* 0: 256 */
    unsigned cpus;                        /* 0: 1 */
    const char *boot;
    const char *drive[TALK_DRIVES]; /* as -drive takes it */
    bool recorded;         /* talk_twice records and replays it; at T_LEVEL=long it always does */
    unsigned save_percent; /* of the run, where talk_twice saves it; 0: 50 */
};

struct talk {
    struct talk_setup setup;
    struct doppel_vm *vm;
    unsigned save_at, chunks; /* save_at 0: never */
    char *text;               /* all that came from the serial port, NUL-terminated */
    size_t len, seen;         /* seen: how much of it talk_wait has gone past */
    bool failed;              /* reported; everything else is skipped */
};

/* False: reported as a test failure. End with talk_close. */
bool talk_open(struct talk *t, const struct talk_setup *setup, unsigned save_at);
void talk_close(struct talk *t);

/* Run until the serial port has said this behind what was waited for before, at most `millions` of
 * instructions. The next wait looks behind it. */
bool talk_wait(struct talk *t, const char *text, unsigned millions);
/* Run until the screen shows this somewhere. */
bool talk_wait_screen(struct talk *t, const char *text, unsigned millions);
/* Run until the guest powers off. */
bool talk_wait_off(struct talk *t, unsigned millions);
/* Run for a while. */
bool talk_run(struct talk *t, unsigned millions);
/* Type at the serial port, '\n' as the Enter key sends it; press and release one key. */
bool talk_type(struct talk *t, const char *text);
bool talk_press(struct talk *t, const char *key);

/* A script twice, the second time saved and loaded in the middle: same instruction count, same
 * text, same digest. False: reported, or the script said so. */
bool talk_twice(const struct talk_setup *setup, bool (*script)(struct talk *t));

#endif
