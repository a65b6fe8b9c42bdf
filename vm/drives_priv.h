/*
 * A drive as the machine keeps it. Private to vm/drives*.c.
 */
#ifndef DOPPEL_VM_DRIVES_PRIV_H
#define DOPPEL_VM_DRIVES_PRIV_H

#include <pthread.h>

#include "host/blk.h"
#include "host/blk_journal.h"
#include "host/blk_undo.h"
#include "vm/drives.h"
#include "vm/vm.h"

#define DRIVES_IDE     4u /* two channels of two */
#define DRIVES_FLOPPY  2u
#define DRIVES_PFLASH  2u
#define DRIVES_DEFAULT 2u /* an empty CD-ROM and floppy drive that nobody asked for */

enum drive_if { DRIVE_IF_IDE, DRIVE_IF_FLOPPY, DRIVE_IF_PFLASH, DRIVE_IF_NONE };

struct vm_drive {
    struct drive d; /* first */
    struct doppel_vm *vm;
    enum drive_if iface;
    int slot;         /* ide 0..3, floppy 0..1; none: -1 */
    bool implicit;    /* nobody asked for it: a board may leave it out */
    bool taken;       /* a controller has it */
    bool private;     /* a replay's: its overlay is ours, the machine has none */
    char *path;       /* of the medium, in the drive or in its open tray; NULL: none */
    struct blk *tray; /* the medium while the guest holds the tray open; d.blk is NULL then */
    struct blk_how how;
    enum blk_format format; /* of the medium */
    uint64_t sum;           /* vm/media.h, of a medium that nothing is written to */
    bool summed;            /* is it known? */
    vtime notices_from;     /* the operator was told of failures since then, */
    unsigned notices;       /* so often */
    uint64_t mark;          /* in its undo file, of a save that is being made; 0: none */
};

struct drives {
    struct vm_drive *list[DOPPEL_MAX_DRIVES + DRIVES_DEFAULT];
    unsigned n;
    int source;            /* gate source of medium changes */
    pthread_mutex_t lock;  /* of media without a journal, while twins read them */
    struct mon_out *reply; /* of the command being carried out; NULL: none, notices go to the log */
};

/* The medium that is in the drive or its open tray. */
static inline struct blk *drive_medium(const struct vm_drive *v)
{
    return v->d.blk ? v->d.blk : v->tray;
}

/* Where its writes go with snapshot=on; NULL: it has none. */
static inline struct blk_overlay *drive_overlay(const struct vm_drive *v)
{
    return v->private ? NULL : blk_overlay_of(blk_journal_under(drive_medium(v)));
}

/* The record of what is written to its image; NULL: nothing is written to it. */
static inline struct blk_undo *drive_undo(const struct vm_drive *v)
{
    return blk_undo_of(blk_journal_under(drive_medium(v)));
}

/* Open a medium for the drive and put it in; what was in there is closed. False: as it was. */
bool drive_insert(struct vm_drive *v, const char *path, enum blk_format format, struct err *e);
void drive_remove(struct vm_drive *v);
/* What was written is on stable storage, or the operator knows. */
void drive_flush_medium(struct vm_drive *v);

/* vm/drives_media.c: the callbacks of struct drive and the gate source. */
void drives_media_init(struct doppel_vm *vm);
void drive_guest_eject(struct drive *d, bool out);
void drive_host_failed(struct drive *d, const char *what);

#endif
