/*
 * The media in a machine's drives, as a recording knows them.
 *
 * A medium is known by its size and a sum: of all of it up to MEDIA_WHOLE bytes, of a sample of it
 * beyond (the first and the last clusters, and some in equal distances). One that the run writes to
 * changes on the host's disk; a recording keeps what was in each cluster before it was first
 * written, so the medium as it was when it was recorded is what the host has now under those.
 * What of it the run reads or writes is summed besides, cluster by cluster, as it was at first:
 * that is all of it that a replay depends on.
 *
 * Media are numbered: those in the drives when the recording begins, in order of drives, then each
 * that is put in, or could not be.
 */
#ifndef DOPPEL_VM_MEDIA_H
#define DOPPEL_VM_MEDIA_H

#include "core/backend_block.h"
#include "vm/runlog.h"

#define MEDIA_CLUSTER 4096u
#define MEDIA_WHOLE   (UINT64_C(16) << 20)
#define MEDIA_SAMPLES 512u

/* Clusters of a medium of so many bytes. */
static inline uint64_t media_clusters(uint64_t bytes)
{
    return bytes / MEDIA_CLUSTER + (bytes % MEDIA_CLUSTER != 0);
}

struct doppel_vm;
struct vm_drive;

/* What it holds; false: the host failed to read it. */
bool media_sum(struct blk *b, uint64_t *sum);
/* Add clusters [first, first + n), inside, to a sum that does not depend on the order. False: the
 * host failed to read them, and the sum is what it was. */
bool media_sum_clusters(struct blk *b, uint64_t first, uint64_t n, uint64_t *sum);
/* A drive's medium; one that cannot be read has a sum of 0. */
void media_describe(struct vm_drive *v, struct run_medium *m);
/* The media in the drives, in order; *media is malloc'ed. */
unsigned media_list(struct doppel_vm *vm, struct run_medium **media);

/* Have this machine's drives tell vm/record.c and vm/replay.c of transfers. Idempotent. */
void media_watch(struct doppel_vm *vm);
/* A medium was put into a drive, or could not be, while the machine runs. */
void media_inserted(struct doppel_vm *vm, struct vm_drive *v, bool ok);
/* The number of a drive among the machine's; -1: none of that name. */
int media_drive(const struct doppel_vm *vm, const char *name);

#endif
