/*
 * Memory of blocks: one per block cache. What blocks had is used again for others, and goes back to
 * the host all at once.
 */
#ifndef DOPPEL_CPU_BLOCK_MEM_H
#define DOPPEL_CPU_BLOCK_MEM_H

#include "cpu/block.h"
#include "util/os_mem.h"

#define BLOCK_MEM_BYTES ((size_t)24 << 20) /* as many as should be in use */
#define BLOCK_MEM_STEP  64u                /* of blocks' sizes */
#define BLOCK_MEM_MOST  (sizeof(struct block) + (BLOCK_INSNS + 1) * (sizeof(struct insn) + 15))
#define BLOCK_MEM_SIZES (BLOCK_MEM_MOST / BLOCK_MEM_STEP + 2)
/* Of OS_MEM_HUGE bytes: a third more than should be in use, for what was given back and does not
 * fit. */
#define BLOCK_MEM_CHUNKS 16u

struct block_mem {
    struct block *spare[BLOCK_MEM_SIZES]; /* given back, by size; jump caches may name them */
    uint8_t *chunk[BLOCK_MEM_CHUNKS];
    size_t filled; /* bytes of the last chunk */
    unsigned nchunks;
    size_t bytes; /* in use */
};

/* Memory for a block of `size` bytes, at most BLOCK_MEM_MOST, while block_mem_full is false. Set:
 * its size (at least that), holes and in_code; the rest is anything. */
struct block *block_mem_take(struct block_mem *m, size_t size);
/* No table has b: others may have its memory. */
void block_mem_give(struct block_mem *m, struct block *b);
/* There may be no room for a block: all of it must go. */
bool block_mem_full(const struct block_mem *m);
/* The memory of all blocks goes back to the host. */
void block_mem_free(struct block_mem *m);
/* Free what hangs on the blocks of a list. */
void block_mem_free_holes(const struct block *b);

#endif
