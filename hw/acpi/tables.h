/*
 * ACPI tables: what they say, as one block of bytes with a list of what depends on where it lies.
 */
#ifndef DOPPEL_HW_ACPI_TABLES_H
#define DOPPEL_HW_ACPI_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The machine, as far as its tables say. Zero leaves a thing out where that is possible. */
struct acpi_desc {
    uint64_t base;        /* acpi_build: physical address of the bytes; a multiple of 64 */
    unsigned ncpus;       /* 1..64; APIC IDs and processor numbers are 0..ncpus-1 */
    bool apic;            /* local APICs and an I/O APIC: without it, no MADT */
    uint32_t lapic_addr;  /* usually 0xfee00000 */
    uint32_t ioapic_addr; /* usually 0xfec00000 */
    uint8_t ioapic_id;
    uint16_t pmbase;   /* PIIX4 power management registers */
    uint16_t smi_cmd;  /* 0xb2; 0: always in ACPI mode */
    bool sleep;        /* S3 and S4: there is firmware that wakes up */
    bool pci;          /* bus 0 behind ports 0xcf8, 0xcfc */
    uint64_t pci_hole; /* first address of the memory hole for PCI; it ends at 0xfebfffff */
    uint64_t hpet_addr;
    bool i8042, rtc, fdc, lpt, fw_cfg;
    uint8_t floppies; /* with fdc: bit 0 drive A, bit 1 drive B */
    unsigned ncom;    /* serial ports 0..4 at their usual places */
};

enum {
    ACPI_RSDP_SIZE = 36,
    ACPI_TABLES_AT = 64, /* where the tables begin, behind the RSDP */
    ACPI_MAX_LINKS = 32,
    ACPI_MAX_SUMS = 16,
    ACPI_SLP_S3 = 1, /* sleep types of PIIX4's PM1 control register: suspend to RAM; S4 has */
    ACPI_SLP_S4 = 2, /* one that firmware of the field is told too */
    ACPI_SLP_S5 = 0,
};

/* The `size` bytes at `at` hold the address of what is at `to`. */
struct acpi_link {
    uint32_t at, to;
    uint8_t size;
};

/* The byte at `at` makes the sum of [start, start + len) zero. */
struct acpi_sum {
    uint32_t at, start, len;
};

/* Offsets are from the RSDP, with which the bytes begin. */
struct acpi_image {
    uint8_t *buf; /* the caller's, `cap` bytes */
    size_t cap, len;
    struct acpi_link link[ACPI_MAX_LINKS];
    struct acpi_sum sum[ACPI_MAX_SUMS];
    unsigned nlinks, nsums;
};

/* The bytes, with zeros in place of addresses and checksums. Its layout does not depend on `base`
 * nor `pmbase`. False: cap is too small. */
bool acpi_layout(const struct acpi_desc *d, struct acpi_image *im);

/* All done, for memory at d->base; the RSDP comes first. The number of bytes used; 0: len is too
 * small. */
size_t acpi_build(const struct acpi_desc *d, uint8_t *buf, size_t len);

/* hw/acpi/loader.c: the script by which firmware puts the image, split into files of fw_cfg, into
 * memory. The size in bytes of the script of `im`; at most `cap` of them are written. The RSDP is
 * the file ACPI_FILE_RSDP, the rest from ACPI_TABLES_AT on is ACPI_FILE_TABLES. */
#define ACPI_FILE_RSDP   "etc/acpi/rsdp"
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_LOADER "etc/table-loader"
#define ACPI_LOADER_MAX  (128u * (2 + ACPI_MAX_LINKS + ACPI_MAX_SUMS))
size_t acpi_loader(const struct acpi_image *im, uint8_t *buf, size_t cap);
/* In `tables`, the bytes of that file: pointers hold the target's offset in its file, as the script
 * wants them. */
void acpi_loader_prepare(struct acpi_image *im);

#endif
