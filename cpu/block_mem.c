/*
 * Memory of blocks (see block_mem.h): chunks of a huge page each, since cold code is looked up and
 * run all over them and would miss in the host's TLB as often (a boot takes 8 % less time than with
 * malloc). The first chunk becomes one when it is full, so a small machine does without.
 */
#include "cpu/block_mem.h"

#include <assert.h>
#include <stdlib.h>

/* Memory that no block had, all zeros. NULL: that needs a chunk, and `grow` is not set or there are
 * enough. */
static struct block *fresh(struct block_mem *m, size_t size, bool grow)
{
    if (m->nchunks == 0 || m->filled + size > OS_MEM_HUGE) {
        if (!grow || m->nchunks == BLOCK_MEM_CHUNKS) {
            return NULL;
        }
        if (m->nchunks == 1) {
            os_mem_collapse(m->chunk[0], OS_MEM_HUGE);
        }
        uint8_t *chunk = os_mem_alloc(OS_MEM_HUGE, OS_MEM_HUGE, m->nchunks != 0);
        if (!chunk) {
            abort(); /* host memory exhausted: there is no state to save that needs less */
        }
        m->chunk[m->nchunks++] = chunk;
        m->filled = 0;
    }
    struct block *b = (void *)(m->chunk[m->nchunks - 1] + m->filled);
    m->filled += size;
    b->size = (uint32_t)size;
    return b;
}

/* Memory that was given back, of `size` to `most` bytes. NULL: none. */
static struct block *used(struct block_mem *m, size_t size, size_t most)
{
    for (size_t k = size / BLOCK_MEM_STEP; k < BLOCK_MEM_SIZES && k <= most / BLOCK_MEM_STEP; k++) {
        struct block *b = m->spare[k];
        if (b) {
            m->spare[k] = b->hash_next;
            return b;
        }
    }
    return NULL;
}

struct block *block_mem_take(struct block_mem *m, size_t size)
{
    size = (size + BLOCK_MEM_STEP - 1) / BLOCK_MEM_STEP * BLOCK_MEM_STEP;
    struct block *b = used(m, size, size);
    b = b ? b : fresh(m, size, false);
    b = b ? b : used(m, size, 2 * size);
    b = b ? b : fresh(m, size, true);
    assert(b);
    m->bytes += b->size;
    return b;
}

void block_mem_give(struct block_mem *m, struct block *b)
{
    b->hash_next = m->spare[b->size / BLOCK_MEM_STEP];
    m->spare[b->size / BLOCK_MEM_STEP] = b;
    m->bytes -= b->size;
}

bool block_mem_full(const struct block_mem *m)
{
    return m->nchunks == BLOCK_MEM_CHUNKS &&
           m->filled > OS_MEM_HUGE - BLOCK_MEM_SIZES * BLOCK_MEM_STEP;
}

void block_mem_free_holes(const struct block *b)
{
    for (; b; b = b->hash_next) {
        free(b->holes);
    }
}

void block_mem_free(struct block_mem *m)
{
    for (unsigned k = 0; k < BLOCK_MEM_SIZES; k++) {
        block_mem_free_holes(m->spare[k]);
    }
    while (m->nchunks) {
        os_mem_free(m->chunk[--m->nchunks], OS_MEM_HUGE);
    }
    *m = (struct block_mem){.nchunks = 0};
}
