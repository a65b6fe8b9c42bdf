/*
 * Memory of devices' own, as a list that save, load and digest go through.
 */
#include "vm/memory.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "vm/vm.h"

struct ram *vm_memory_new(void *ctx, const char *name, uint64_t bytes)
{
    struct doppel_vm *vm = ctx;
    struct vm_memory *m = vm->nmemory < VM_MAX_MEMORY ? calloc(1, sizeof *m) : NULL;
    if (!m || strlen(name) >= sizeof m->name || !ram_init(&m->ram, bytes)) {
        free(m);
        return NULL;
    }
    memcpy(m->name, name, strlen(name));
    block_cache_watch(vm->blocks, &m->ram);
    vm->memory[vm->nmemory++] = m;
    return &m->ram;
}

uint64_t vm_memory_digest(const struct doppel_vm *vm, uint64_t h)
{
    for (unsigned i = 0; i < vm->nmemory; i++) {
        const struct vm_memory *m = vm->memory[i];
        h = st_digest_bytes(h, m->name, strlen(m->name));
        h = ram_digest(&m->ram, h);
    }
    return h;
}

void vm_memory_free(struct doppel_vm *vm)
{
    while (vm->nmemory) {
        struct vm_memory *m = vm->memory[--vm->nmemory];
        ram_fini(&m->ram);
        free(m);
    }
}
