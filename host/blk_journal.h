/*
 * A journal on top of a writable image: the disk as it was at any of several marks.
 *
 * A mark costs nothing by itself. After it, the first write to each cluster of 4 KiB saves what was
 * there (one read of the image). The content of a cluster as of a mark is the first one saved since
 * then, or else what the image has now. What is saved stays in memory, and beyond 64 MiB for each
 * mark in a temporary file without a name.
 *
 * With a mark entered, the drive shows the disk as of that mark, and new writes go to a private
 * layer in memory, in which marks can be made as well; the image itself, the present, does not
 * change. `leave` throws the private layer away, `commit` makes it the present.
 *
 * What always holds: without a mark every call goes straight through. Marks are made and entered in
 * any order. A failed call leaves the disk, its marks and what is shown as they were.
 *
 * Threads: the machine's, except for views (blk_journal_view), which other threads may use at the
 * same time as each other while the machine itself is not using the disk.
 */
#ifndef DOPPEL_HOST_BLK_JOURNAL_H
#define DOPPEL_HOST_BLK_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backend_block.h"
#include "util/err.h"

struct blk_journal;

/* A journal that owns `under` from here on; NULL: no memory, and `under` is closed. */
struct blk *blk_journal_new(struct blk *under, struct err *e);
/* The journal that b is; NULL: it is none (a medium that is read-only has none). */
struct blk_journal *blk_journal_of(struct blk *b);
/* What is under a journal, or b itself. NULL stays NULL. */
struct blk *blk_journal_under(struct blk *b);

/* Remember the disk as it is shown now. Marks are 1, 2, ... and not reused; those made while
 * another is entered live until it is left. 0: no memory. */
uint64_t blk_journal_mark(struct blk_journal *j);
/* Give a mark up; what it alone needed is freed. It must not be entered or have a view. What is not
 * a mark (any more) is ignored. False: the host failed to read back what moves to the mark before;
 * the mark is still there. */
bool blk_journal_forget(struct blk_journal *j, uint64_t mark);
/* Give all up; the present is shown. */
void blk_journal_forget_all(struct blk_journal *j);

/* Show the disk as of a mark. A mark of the present ends what was entered before, with its private
 * writes and marks; a mark that was made inside what is entered now is entered within it. False: no
 * such mark, or no memory. */
bool blk_journal_enter(struct blk_journal *j, uint64_t mark);
void blk_journal_leave(struct blk_journal *j);
/* Is a mark entered? */
bool blk_journal_entered(const struct blk_journal *j);
/* What is shown becomes the present: written to the image through the journal, so that all marks
 * stay good, those of what had been the present since and those made inside. False: the host failed
 * (errno); all as before. Nothing entered: nothing to do. */
bool blk_journal_commit(struct blk_journal *j);

/* The disk as of a mark, as a disk of its own with private writes; close it before the mark is
 * forgotten and before the journal is closed. NULL: no such mark, or no memory. */
struct blk *blk_journal_view(struct blk_journal *j, uint64_t mark);

/* Bytes that are kept for all marks and private layers. */
uint64_t blk_journal_bytes(const struct blk_journal *j);
/* Of these, what a mark of the present needs, alone or with others. */
uint64_t blk_journal_mark_bytes(const struct blk_journal *j, uint64_t mark);
/* Each cluster that was written to an overlay on the way to what b shows (snapshot=on, private
 * layers), as blk_overlay_marks does. */
void blk_journal_written(struct blk *b, uint8_t *bits);

#endif
