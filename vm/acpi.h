/*
 * ACPI tables of a machine that boots without firmware.
 */
#ifndef DOPPEL_VM_ACPI_H
#define DOPPEL_VM_ACPI_H

#include <stdint.h>

struct doppel_vm;

/* Build the tables for this machine and put them below 1 MiB; the address of the RSDP, 0: none. */
uint64_t vm_acpi_tables(struct doppel_vm *vm);

#endif
