/*
 * A writer of AML byte code, for the few shapes that hw/acpi/dsdt.c needs, and of the tables around
 * it. Overflow is remembered, not an error at each call: the caller looks at `overflow` at the end.
 *
 * Package lengths are always three bytes long (ACPI 6.4, 20.2.4 allows any that fits).
 */
#ifndef DOPPEL_HW_ACPI_AML_H
#define DOPPEL_HW_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
    uint8_t *buf;
    size_t len, cap;
    bool overflow;
};

void aml_byte(struct aml *a, unsigned v);
void aml_num(struct aml *a, unsigned size, uint64_t v); /* little-endian, no prefix */
void aml_bytes(struct aml *a, const void *p, size_t n);
/* A constant with the shortest opcode. */
void aml_int(struct aml *a, uint64_t v);
/* A path: NameSegs padded to four characters, "\\_SB.PCI0", "_CRS". At most 8 segments. */
void aml_name(struct aml *a, const char *path);
void aml_str(struct aml *a, const char *s);
/* A compressed EISA ID, "PNP0A03". */
void aml_eisaid(struct aml *a, const char *id);

/* Things with a package length: begin gives a mark for aml_end. */
size_t aml_scope(struct aml *a, const char *path);
size_t aml_device(struct aml *a, const char *path);
size_t aml_method(struct aml *a, const char *path, unsigned nargs);
size_t aml_package(struct aml *a, unsigned count);
size_t aml_if(struct aml *a); /* the predicate follows */
size_t aml_else(struct aml *a);
size_t aml_buffer(struct aml *a, unsigned size); /* its first bytes follow */
void aml_end(struct aml *a, size_t mark);
void aml_return(struct aml *a); /* the object follows */
/* OperationRegion; space: 0 memory, 1 I/O, 2 PCI configuration. */
void aml_region(struct aml *a, const char *path, unsigned space, uint64_t base, uint64_t len);
/* Field(region, access, NoLock, Preserve), access: 0 any, 1 bytes; its fields follow, aml_end. */
size_t aml_field(struct aml *a, const char *region, unsigned access);
void aml_field_bits(struct aml *a, const char *name, unsigned bits); /* 1..63 */
/* Name(path, ...): the object follows. */
void aml_named(struct aml *a, const char *path);

/* Name(name, ResourceTemplate() { ... }): descriptors in between; the name _CRS. */
size_t aml_resources(struct aml *a, const char *name);
size_t aml_crs(struct aml *a);
void aml_crs_end(struct aml *a, size_t mark);
void aml_crs_io(struct aml *a, uint16_t base, uint8_t len);
void aml_crs_irq(struct aml *a, unsigned irq); /* edge, active high */
/* Level, active low, shared; a mask of interrupts. The mask stands at offset 1. */
void aml_crs_irq_shared(struct aml *a, unsigned irqs);
void aml_crs_dma(struct aml *a, unsigned channel);
/* Word or doubleword address space: type 0 memory, 1 I/O, 2 bus numbers; min..max inclusive. */
void aml_crs_range(struct aml *a, unsigned size, unsigned type, uint64_t min, uint64_t max);
void aml_crs_fixed_memory(struct aml *a, uint32_t base, uint32_t len);

/* hw/acpi/dsdt.c: the definition block after the table header. */
struct acpi_desc;
void acpi_dsdt(struct aml *a, const struct acpi_desc *d);

#endif
