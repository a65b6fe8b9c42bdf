/*
 * Every device class, and what board code binds besides pins and properties.
 *
 * Boards name classes, properties and wires as text (core/dev.h). What is not a wire, because a
 * value travels back (the interrupt acknowledge cycle, a start-up vector), is bound by the few
 * functions here and in hw/intc/apic.h, hw/pci/pci.h.
 */
#ifndef DOPPEL_HW_HW_H
#define DOPPEL_HW_HW_H

#include "core/dev.h"

/* One row per class. */
// clang-format off
#define HW_CLASSES(X)                                                                              \
    X(i8259) X(i8254) X(mc146818) X(uart16550) X(debugcon) X(isa_debug_exit)                       \
    X(i8237) X(parport) X(fdc)                                                                     \
    X(apicbus) X(lapic) X(ioapic) X(i440fx) X(piix3) X(piix4_pm) X(i8042) X(port92) X(hpet)        \
    X(vga_pci) X(vga_isa) X(e1000)                                                                 \
    X(pc_testdev) X(pci_testdev) X(ferr) X(ne2k_pci) X(ne2k_isa) X(piix3_ide) X(isa_ide) X(fw_cfg) \
    X(pflash)
// clang-format on

#define X(name) extern const struct dev_class name##_class;
HW_CLASSES(X)
#undef X

/* All of them, ends with NULL; and one by its name, or NULL. */
extern const struct dev_class *const hw_classes[];
const struct dev_class *hw_class_find(const char *name);

#endif
