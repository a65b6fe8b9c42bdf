/*
 * The boot order that the user asked for, as the file "bootorder" of fw_cfg: a line for each
 * device, a path in the manner of Open Firmware. OVMF knows no other way; SeaBIOS prefers it to
 * CMOS.
 *
 *     /pci@i0cf8/isa@1/fdc@03f0/floppy@0     drive A
 *     /pci@i0cf8/ide@1,1/drive@1/disk@0      second channel, first drive, disk or CD
 *     /pci@i0cf8/ethernet@3                  the card in slot 3
 *
 * Those with a bootindex= (of -drive, -nic and -device) come first, by their numbers, then the rest
 * as "order=" says; with neither there is no file. "once=" ends at the first reset, as a file
 * cannot: then order= is left to CMOS.
 *
 * Source: QEMU, docs/specs and SeaBIOS, docs/Runtime_config.md, for names and format.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/firmware/fw_cfg.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "vm/drives.h"
#include "vm/firmware.h"
#include "vm/vm.h"

enum { LIST = 2048, PLACES_MAX = 2 + 4 + 32 };

/* What firmware can boot from. */
struct place {
    char path[48];
    char letter;      /* as of order= */
    const void *what; /* struct drive or struct dev */
};

struct places {
    struct place list[PLACES_MAX];
    unsigned n;
};

static struct place *add(struct places *p, char letter, const void *what)
{
    assert(p->n < PLACES_MAX);
    struct place *place = &p->list[p->n++];
    place->letter = letter;
    place->what = what;
    return place;
}

static void find_drives(struct doppel_vm *vm, struct places *p)
{
    for (unsigned i = 0; i < 6; i++) {
        char ref[16];
        bool floppy = i < 2;
        unsigned slot = floppy ? i : i - 2;
        snprintf(ref, sizeof ref, "%s.%u", floppy ? "floppy" : "ide", slot);
        const struct drive *d = drives_find(vm, ref);
        if (!d) {
            continue;
        }
        struct place *place = add(p, floppy ? 'a' : d->kind == DRIVE_CDROM ? 'd' : 'c', d);
        if (floppy) {
            snprintf(place->path, sizeof place->path, "/pci@i0cf8/isa@1/fdc@03f0/floppy@%u", slot);
        } else {
            snprintf(place->path, sizeof place->path, "/pci@i0cf8/ide@1,1/drive@%u/disk@%u",
                     slot / 2, slot % 2);
        }
    }
}

static void find_cards(struct doppel_vm *vm, struct places *p)
{
    struct dev *bus = dev_find(&vm->env, "pci0");
    for (unsigned devfn = 0; bus && devfn < 256; devfn += 8) {
        const struct pci_func *f = pci_bus_func(bus, (uint8_t)devfn);
        if (f && f->id->class_code >> 8 == 0x0200) {
            struct place *place = add(p, 'n', f->dev);
            snprintf(place->path, sizeof place->path, "/pci@i0cf8/ethernet@%x", devfn >> 3);
        }
    }
}

static void take(char *list, const struct place *place)
{
    size_t n = strlen(list);
    snprintf(list + n, LIST - n, "%s%s", n ? "\n" : "", place->path);
}

/* --- bootindex --- */

bool firmware_boot_index(struct doppel_vm *vm, const char *number, const void *what, struct err *e)
{
    char *end;
    unsigned long index = strtoul(number, &end, 10);
    if (!*number || *end || *number == '-' || index > INT32_MAX) {
        return err_usage(e, "bootindex=%.40s: want a number from 0 on", number);
    }
    unsigned at = 0;
    for (; at < vm->nbootindex && vm->bootindex[at].index < index; at++) {
    }
    if (at < vm->nbootindex && vm->bootindex[at].index == index) {
        return err_usage(e, "bootindex=%lu: two devices have it", index);
    }
    if (vm->nbootindex == ARRAY_LEN(vm->bootindex)) {
        return err_usage(e, "bootindex=%lu: too many of them", index);
    }
    memmove(&vm->bootindex[at + 1], &vm->bootindex[at],
            (vm->nbootindex++ - at) * sizeof vm->bootindex[0]);
    vm->bootindex[at] = (struct vm_bootindex){(uint32_t)index, what};
    return true;
}

/* The places with a bootindex to `list`; they are then used up. */
static bool take_indexed(struct doppel_vm *vm, struct places *p, char *list, struct err *e)
{
    for (unsigned i = 0; i < vm->nbootindex; i++) {
        struct place *place = NULL;
        for (unsigned k = 0; k < p->n && !place; k++) {
            place = p->list[k].what == vm->bootindex[i].what ? &p->list[k] : NULL;
        }
        if (!place) {
            return err_usage(e, "bootindex=%u: firmware cannot boot from that device",
                             vm->bootindex[i].index);
        }
        take(list, place);
        place->letter = 0;
    }
    return true;
}

bool firmware_tell_order(struct doppel_vm *vm, struct dev *f, const char *order, struct err *e)
{
    struct places p = {.n = 0};
    char list[LIST] = "";
    if (vm->board->info_pci) {
        find_drives(vm, &p);
        find_cards(vm, &p);
    }
    if (!take_indexed(vm, &p, list, e)) {
        return false;
    }
    for (; *order; order++) {
        for (unsigned i = 0; i < p.n; i++) {
            if (p.list[i].letter == (*order == 'b' ? 'a' : *order)) {
                take(list, &p.list[i]);
            }
        }
    }
    /* The final NUL is part of it. */
    return !f || !list[0] || fw_cfg_add_file(f, "bootorder", list, strlen(list) + 1, e);
}
