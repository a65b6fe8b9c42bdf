// A second page walk, for tests: slow, one function for each paging mode, written from the manual
// and not from mmu/walk.c, so that the two can be compared.

#ifndef DOPPEL_TESTS_REF_WALK_H
#define DOPPEL_TESTS_REF_WALK_H

#include "mmu/walk.h"

// Physical memory of the test: `size` bytes from 0, nothing behind it.
struct ref_mem {
    uint8_t *bytes;
    uint64_t size;
};

struct ref_access {
    gva la;
    bool write, fetch, user, ac;
};

struct ref_result {
    bool fault;
    uint32_t err;
    gpa addr;
    unsigned page_bits;
    bool user, write, exec, global;
    // Entries that an allowed access must mark: address, and which bits must be set after it.
    unsigned nmarks;
    struct {
        gpa at;
        uint32_t bits;
    } mark[4];
};

struct ref_result ref_walk(const struct walk_mode *m, const struct ref_mem *mem,
                           struct ref_access a);

#endif
