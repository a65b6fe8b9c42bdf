/*
 * Memory of devices' own: video RAM, option ROMs. Saved, loaded and part of the digest by name.
 */
#ifndef DOPPEL_VM_MEMORY_H
#define DOPPEL_VM_MEMORY_H

#include "core/state.h"
#include "mmu/ram.h"

struct doppel_vm;

#define VM_MAX_MEMORY 16u

struct vm_memory {
    char name[32];
    struct ram ram;
};

/* dev_env.ram_new, with the machine as ctx. */
struct ram *vm_memory_new(void *vm, const char *name, uint64_t bytes);
/* In order of creation, which the machine's options decide. */
uint64_t vm_memory_digest(const struct doppel_vm *vm, uint64_t h);
void vm_memory_free(struct doppel_vm *vm);

#endif
