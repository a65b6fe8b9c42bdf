/*
 * How to make a machine, as text: struct doppel_options to lines "key=value" and back, with what
 * the options leave to the host (the RTC's epoch, the seed) filled in, the files that were read
 * with their digests, and where the run begins.
 *
 * The options say what they said, since a guest may see it (multiboot passes a kernel's name).
 * Where the files were is with their digests; one that is not there any more is looked for beside
 * the log.
 */
#ifndef DOPPEL_VM_MANIFEST_H
#define DOPPEL_VM_MANIFEST_H

#include "core/state.h"
#include "doppel.h"
#include "util/err.h"
#include "vm/runlog.h"

struct vm_file;

struct manifest {
    struct doppel_options opt; /* strings are ours */
    char *folder;              /* of the log, with a slash; "" */
    char **strings;
    unsigned nstrings;
    struct vm_file *files; /* vm/files.h; their strings are in `strings` */
    unsigned nfiles;
    struct run_medium *media; /* in the drives when the run begins */
    unsigned nmedia;
    uint64_t state_bytes; /* of the saved machine that it begins with; 0: it begins new */
    struct run_instant begin;
};

struct doppel_vm;

/* Of a machine as it stands. `media` as vm/media.h counts them. */
void manifest_write(struct st_buf *b, struct doppel_vm *vm, const struct run_instant *begin,
                    const struct run_medium *media, unsigned nmedia);
/* The last line: the bytes of the saved machine behind it. */
void manifest_write_end(struct st_buf *b, uint64_t state_bytes);
/* Hostile text; `log` is its file's name (NULL: no file). False: e. Free it either way. */
bool manifest_read(struct manifest *m, const char *text, size_t len, const char *log,
                   struct err *e);
void manifest_free(struct manifest *m);
/* Where a file is now: as it was called, or beside the log. Valid as long as the manifest. */
const char *manifest_path(struct manifest *m, const char *path);

#endif
