/*
 * Boards as data: rows of parts with their properties and wires. vm/build.c interprets them.
 */
#ifndef DOPPEL_VM_BOARD_H
#define DOPPEL_VM_BOARD_H

#include <stdbool.h>
#include <stdint.h>

struct acpi_desc;
struct doppel_vm;
struct err;
struct mon_out;

/* When a part is there. */
enum part_when {
    PART_ALWAYS,
    PART_CPU,      /* once for each vCPU; % in any text is its number */
    PART_APIC,     /* only if the CPU model has a local APIC; behind the vCPUs */
    PART_CPU_APIC, /* both */
    PART_OPTIONAL, /* only if its class has been written (hw_class_find) */
    PART_DEBUGCON, /* only with -debugcon */
    PART_FLASH,    /* once for each drive if=pflash, from 0 on; % is its number */
    PART_VGA,      /* the display adapter: -vga std, or firmware and no -vga */
    PART_DEMO,     /* only when nothing is booted but the demo ROM */
};

/* props: "name=value,..."; a value drive:ide.N or drive:floppy.N, chr:serialN, chr:parallel or
 * chr:debugcon names a back end of the machine's, $name takes something from its options. wires:
 * "out>part.in ...", separated by spaces. "out>part.in|part.in" drives the first of them whose part
 * is there; a wire to a part that is not there is left out. */
struct board_part {
    const char *name, *cls, *props, *wires;
    enum part_when when;
};

struct board {
    const char *name, *help;
    const struct board_part *parts; /* ends with name NULL */
    /* Inputs that must be driven: "part.in", ends with NULL. */
    const char *const *mandatory;
    const char *bios;        /* its firmware's file name */
    bool pam;                /* shadow RAM and SMRAM are switched by an i440FX */
    const char *nic;         /* the card of -nic without a model */
    const char *cpu;         /* the model without -cpu; NULL: the newest */
    const char *cpu_without; /* features that no CPU has on it, as -cpu takes them; may be NULL */
    unsigned max_cpus;       /* 0: DOPPEL_MAX_CPUS */
    /* What is not a wire: interrupt acknowledge, start-up vectors. After all parts are made. */
    bool (*bind)(struct doppel_vm *vm, struct err *e);
    const char *power_source; /* gate source of the power button; NULL: there is none */
    const char *key_source;   /* ... of the keyboard and the mouse, in the i8042's format */
    const char *mouse_source;
    /* What its ACPI tables say, as the chips are set up now. NULL: no ACPI. */
    void (*acpi)(struct doppel_vm *vm, struct acpi_desc *d);
    /* `info pci`; NULL: there is no PCI bus. */
    void (*info_pci)(struct doppel_vm *vm, struct mon_out *o);
};

extern const struct board board_pc, board_isapc;

/* For `bind` (vm/board_bind.c): the types of fdc0's drives into the CMOS RAM of rtc, which its
 * power-on reset fills. */
bool board_tell_floppies(struct doppel_vm *vm, struct err *e);

/* All boards, ends with NULL. */
extern const struct board *const boards[];

#endif
