/*
 * The flight recorder: the last while of a machine, in memory, written out when somebody asks or
 * when the guest crashes.
 *
 * Threads: the machine's.
 */
#ifndef DOPPEL_VM_FLIGHT_H
#define DOPPEL_VM_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct doppel_vm;
struct mon_out;

void flight_poll(struct doppel_vm *vm);
void flight_forget(struct doppel_vm *vm);
void flight_info(struct doppel_vm *vm, struct mon_out *o);

#endif
