/*
 * A DOS machine for tests: booted from images, typed at, its screen read as text.
 *
 * Everything happens at instruction counts that follow from the machine alone, so two runs of one
 * script are equal. A run may be saved and loaded into a new machine in the middle of whatever it
 * does: `save_at` counts the pieces of DOS_CHUNK instructions in which the machine runs.
 */
#ifndef DOPPEL_TESTS_BOOT_DOS_H
#define DOPPEL_TESTS_BOOT_DOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doppel.h"
#include "tests/boot/record.h"

#define DOS_CHUNK 500000u

/* The images, raw but for NAME.qcow2; NULL: none. `keep`: what the guest writes goes to the files.
 */
struct dos_setup {
    const char *machine, *cpu; /* NULL: isapc, its default */
    const char *fda, *fdb, *hda;
    bool keep;
};

struct dos {
    struct dos_setup setup;
    struct doppel_vm *vm;
    unsigned save_at, chunks; /* save_at 0: never */
    struct boot_record log;   /* from save_at on */
    char *screen;             /* as of the last look; never NULL */
    bool failed;              /* reported; everything else is skipped */
};

/* False: reported as a test failure. End with dos_close. */
bool dos_open(struct dos *d, const struct dos_setup *setup, unsigned save_at);
void dos_close(struct dos *d);

/* Run until the last line of the screen is `line`, at most `millions` of instructions. */
bool dos_wait(struct dos *d, const char *line, unsigned millions);
/* Type; '\n' is Enter. */
bool dos_type(struct dos *d, const char *text);
/* Type a line and wait until the screen has changed and ends with `prompt`. */
bool dos_command(struct dos *d, const char *line, const char *prompt, unsigned millions);
/* The screen has this somewhere; if not, that is reported. */
bool dos_shows(struct dos *d, const char *text);
/* Run for a while. */
bool dos_run(struct dos *d, unsigned millions);

/* A script twice, the second time saved and loaded in the middle: same screen, same digest. What
 * comes after the middle is recorded and replayed.
 * False: reported, or the script said so. */
bool dos_twice(const struct dos_setup *setup, bool (*script)(struct dos *d));

/* ../shared/images/NAME, or NULL after the running test was skipped. Valid until the next call. */
const char *dos_shared_image(const char *name);
/* A file of a Debian package is there; if not, the running test is skipped, or fails in CI, where
 * ./check has installed the package. */
bool dos_need(const char *path, const char *package);
/* The same for SeaBIOS. */
bool dos_possible(void);
/* A file of the test's own in the build directory, written with these bytes; its path, to be
 * free()d. NULL: reported. */
char *dos_write_file(const char *name, const void *data, size_t len);
/* A file's bytes, malloc'ed; NULL: reported. */
uint8_t *dos_read_file(const char *path, size_t *len);

#endif
