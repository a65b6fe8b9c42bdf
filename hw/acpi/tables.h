/*
 * ACPI tables for a machine that boots without firmware.
 */
#ifndef DOPPEL_HW_ACPI_TABLES_H
#define DOPPEL_HW_ACPI_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The machine, as far as its tables say. Zero leaves a thing out where that is possible. */
struct acpi_desc {
    uint64_t base;        /* physical address at which the bytes will stand; a multiple of 64 */
    unsigned ncpus;       /* 1..64; APIC IDs and processor numbers are 0..ncpus-1 */
    bool apic;            /* local APICs and an I/O APIC: without it, no MADT */
    uint32_t lapic_addr;  /* usually 0xfee00000 */
    uint32_t ioapic_addr; /* usually 0xfec00000 */
    uint8_t ioapic_id;
    uint16_t pmbase;   /* PIIX4 power management registers */
    uint16_t smi_cmd;  /* 0xb2; 0: always in ACPI mode */
    bool pci;          /* bus 0 behind ports 0xcf8, 0xcfc */
    uint64_t pci_hole; /* first address of the memory hole for PCI; it ends at 0xfebfffff */
    uint64_t hpet_addr;
    bool i8042;
    unsigned ncom; /* serial ports 0..4 at their usual places */
};

/* Build into buf; the RSDP comes first. The number of bytes used; 0: len is too small. */
size_t acpi_build(const struct acpi_desc *d, uint8_t *buf, size_t len);

#endif
