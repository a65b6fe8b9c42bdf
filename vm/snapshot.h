/*
 * A machine as a snapshot, and snapshots by name.
 *
 * vm/snapshot.c puts a machine into a snapshot file and takes it out of one; vm/snapset.c keeps
 * named ones in a folder. docs/state.md says what is in a file.
 *
 * What always holds: a save that fails leaves the file that had the name; a load that fails leaves
 * the machine as it was. Both on the machine's thread, between slices.
 */
#ifndef DOPPEL_VM_SNAPSHOT_H
#define DOPPEL_VM_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"
#include "vm/snap_file.h"

struct doppel_vm;
struct mon_out;

/* What the next save may build on: the snapshot that this machine was last saved to or loaded from,
 * since when its RAM and overlays know what was written. */
struct snapshot_base {
    bool valid;
    uint64_t id;
    unsigned depth; /* of its chain of parents; 0: none */
    char *folder, name[SNAP_NAME];
};

/* What vm/vm.h keeps of this. */
struct snapshots {
    struct snapshot_base base;
    struct snap_chain *chain; /* what pages are still fetched from; NULL: nothing */
    bool broken;              /* a page could not be fetched: the machine cannot go on */
    struct err why;
    unsigned loads; /* machines loaded into this one: whoever keeps its history compares */
};

struct snapshot_how {
    const char *name; /* for the manifest */
    const char *path; /* the file, from the root; NULL: only bytes */
    int64_t date;
    bool compress;
    unsigned threads;
    const struct snapshot_base *parent; /* NULL: none */
};

/* Write the machine to an empty file, or append it to mem. The machine's TLBs are flushed, as a
 * logged event. False: e; *id of the snapshot. Dirty marks stay: see snapshot_saved. */
bool snapshot_write(struct doppel_vm *vm, const struct snapshot_how *how, int fd,
                    struct st_buf *mem, uint64_t *id, struct err *e);

/* A snapshot that is taken now and written later, if ever: pages are shared with the machine until
 * it writes to them, state tables are bytes, overlays have marks. Taking one costs milliseconds,
 * and flushes TLBs as a save does. Goes before the machine does, and before a medium with an
 * overlay is taken out. NULL: e. */
struct snapshot_held;
struct snapshot_held *snapshot_hold(struct doppel_vm *vm, struct err *e);
/* As snapshot_write, without a parent. Any number of times. */
bool snapshot_held_write(struct snapshot_held *h, const struct snapshot_how *how, int fd,
                         struct st_buf *mem, uint64_t *id, struct err *e);
/* Bytes of memory that are kept for it and that `other`, the next younger one, does not keep; NULL:
 * that the machine itself does not need. */
uint64_t snapshot_held_bytes(const struct snapshot_held *h, const struct snapshot_held *other);
void snapshot_held_free(struct snapshot_held *h); /* NULL: nothing */

/* The file is safe: what is written from now on is what a child holds. */
void snapshot_saved(struct doppel_vm *vm, const char *folder, const char *name, uint64_t id,
                    unsigned depth);
/* Make the machine what the snapshot is (parents set); takes f over. False: e, nothing changed. */
bool snapshot_read(struct doppel_vm *vm, struct snap_file *f, struct err *e);
/* Free what vm/vm.h keeps. */
void snapshot_fini(struct doppel_vm *vm);

/* --- By name, vm/snapset.c --- */

/* A name, or a path if there is a slash in it. */
bool snapset_save(struct doppel_vm *vm, const char *name, int64_t date, struct err *e);
bool snapset_load(struct doppel_vm *vm, const char *name, struct err *e);
bool snapset_delete(struct doppel_vm *vm, const char *name, struct err *e);
/* A file by its path; saved without a parent. */
bool snapset_save_path(struct doppel_vm *vm, const char *path, int64_t date, struct err *e);
bool snapset_load_path(struct doppel_vm *vm, const char *path, struct err *e);
/* "info snapshots" */
void snapset_info(struct doppel_vm *vm, struct mon_out *o);

#endif
