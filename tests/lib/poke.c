#include "tests/lib/poke.h"

#include "vm/vm.h"

void poke_pages(struct doppel_vm *vm, uint64_t first, uint64_t end, uint8_t value)
{
    for (uint64_t pfn = first; pfn < end; pfn++) {
        uint8_t *p = ram_write_ptr(&vm->ram, pfn);
        for (unsigned i = 0; i < PAGE_SIZE; i++) {
            p[i] = (uint8_t)(value + pfn * 37 + i * (pfn + value));
        }
    }
}
