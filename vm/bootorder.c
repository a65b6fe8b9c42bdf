/*
 * The boot order that the user asked for, as the file "bootorder" of fw_cfg: a line for each
 * device, a path in the manner of Open Firmware. OVMF knows no other way; SeaBIOS prefers it to
 * CMOS.
 *
 *     /pci@i0cf8/isa@1/fdc@03f0/floppy@0     drive A
 *     /pci@i0cf8/ide@1,1/drive@1/disk@0      second channel, first drive, disk or CD
 *     /pci@i0cf8/ethernet@3                  the card in slot 3
 *
 * Without "order=" there is no file, nor with "once=", which ends at the first reset: a file
 * cannot.
 *
 * Source: QEMU, docs/specs and SeaBIOS, docs/Runtime_config.md, for names and format.
 */
#include <stdio.h>
#include <string.h>

#include "hw/firmware/fw_cfg.h"
#include "hw/pci/pci.h"
#include "vm/drives.h"
#include "vm/firmware.h"
#include "vm/vm.h"

enum { LIST = 2048 };

static void add(char *list, const char *line)
{
    size_t n = strlen(list);
    snprintf(list + n, LIST - n, "%s%s", n ? "\n" : "", line);
}

static void add_floppies(struct doppel_vm *vm, char *list)
{
    for (unsigned i = 0; i < 2; i++) {
        char ref[16], line[64];
        snprintf(ref, sizeof ref, "floppy.%u", i);
        snprintf(line, sizeof line, "/pci@i0cf8/isa@1/fdc@03f0/floppy@%u", i);
        if (drives_find(vm, ref)) {
            add(list, line);
        }
    }
}

static void add_ide(struct doppel_vm *vm, char *list, enum drive_kind kind)
{
    for (unsigned i = 0; i < 4; i++) {
        char ref[16], line[64];
        snprintf(ref, sizeof ref, "ide.%u", i);
        snprintf(line, sizeof line, "/pci@i0cf8/ide@1,1/drive@%u/disk@%u", i / 2, i % 2);
        const struct drive *d = drives_find(vm, ref);
        if (d && d->kind == kind) {
            add(list, line);
        }
    }
}

static void add_cards(struct doppel_vm *vm, char *list)
{
    struct dev *bus = dev_find(&vm->env, "pci0");
    for (unsigned devfn = 0; bus && devfn < 256; devfn += 8) {
        const struct pci_func *f = pci_bus_func(bus, (uint8_t)devfn);
        if (f && f->id->class_code >> 8 == 0x0200) {
            char line[64];
            snprintf(line, sizeof line, "/pci@i0cf8/ethernet@%x", devfn >> 3);
            add(list, line);
        }
    }
}

bool firmware_tell_order(struct doppel_vm *vm, struct dev *f, const char *order, struct err *e)
{
    char list[LIST] = "";
    for (; vm->board->info_pci && *order; order++) {
        switch (*order) {
        case 'a':
        case 'b':
            add_floppies(vm, list);
            break;
        case 'c':
            add_ide(vm, list, DRIVE_HD);
            break;
        case 'd':
            add_ide(vm, list, DRIVE_CDROM);
            break;
        default:
            add_cards(vm, list);
            break;
        }
    }
    /* The final NUL is part of it. */
    return !list[0] || fw_cfg_add_file(f, "bootorder", list, strlen(list) + 1, e);
}
