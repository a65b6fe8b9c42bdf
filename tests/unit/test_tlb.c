// The soft TLB: fills, rights by view, flush semantics, large pages, code lines, determinism.

#include "tests/t.h"

#include <string.h>

#include "mmu/tlb.h"
#include "util/bits.h"

TEST(tlb_starts_empty)
{
    struct tlb t;
    EXPECT(tlb_init(&t));
    for (uint64_t la = 0; la < 4096 * PAGE_SIZE; la += PAGE_SIZE) {
        for (unsigned v = 0; v < TLB_VIEWS; v++) {
            EXPECT((la ^ t.l1[v][la >> 12 & TLB_L1_MASK].tag_r) & PAGE_MASK);
            EXPECT((la ^ t.l1[v][la >> 12 & TLB_L1_MASK].tag_w) & PAGE_MASK);
        }
    }
    tlb_fini(&t);
}
