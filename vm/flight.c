/* The flight recorder. See flight.h. */
#include "vm/flight.h"

#include "vm/vm.h"

void flight_poll(struct doppel_vm *vm)
{
    (void)vm;
}

void flight_forget(struct doppel_vm *vm)
{
    (void)vm;
}

void flight_info(struct doppel_vm *vm, struct mon_out *o)
{
    (void)vm;
    (void)o;
}
