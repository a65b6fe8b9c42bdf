/*
 * What boards of the PC family have in common beyond wires.
 */
#include <stdio.h>

#include "hw/disk/fdc.h"
#include "vm/vm.h"

bool board_tell_floppies(struct doppel_vm *vm, struct err *e)
{
    struct dev *fdc = dev_find(&vm->env, "fdc0"), *rtc = dev_find(&vm->env, "rtc");
    char types[8];
    if (!fdc || !rtc) {
        return true;
    }
    snprintf(types, sizeof types, "%u", fdc_floppy_types(fdc));
    return dev_set_late(rtc, "floppies", types, e);
}
