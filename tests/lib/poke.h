// Into a machine's RAM from outside, for tests that cannot include vm/vm.h beside <signal.h> (both
// name registers).

#ifndef DOPPEL_TESTS_LIB_POKE_H
#define DOPPEL_TESTS_LIB_POKE_H

#include <stdint.h>

#include "doppel.h"

// Fill pages [first, end) with bytes that follow from `value` and differ from page to page.
void poke_pages(struct doppel_vm *vm, uint64_t first, uint64_t end, uint8_t value);

#endif
