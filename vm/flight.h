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

/* "60s,limit=256M,file=PATH,panic=TEXT,watchdog=TIME"; "off". False: e. */
bool flight_start(struct doppel_vm *vm, const char *spec, struct err *e);
/* What is due is written out. */
void flight_stop(struct doppel_vm *vm);
/* The last while, to a file. False: e. */
bool flight_save(struct doppel_vm *vm, const char *path, struct err *e);
/* The guest crashed: written out soon, once. `why` is not copied. */
void flight_crash(struct doppel_vm *vm, const char *why);
/* What a serial port sends is looked at for a panic. */
void flight_output(struct doppel_vm *vm, unsigned port, const uint8_t *data, size_t len);
/* From the run loop, every few milliseconds. */
void flight_poll(struct doppel_vm *vm);
/* The machine becomes another: what is in memory goes, and it begins anew. */
void flight_forget(struct doppel_vm *vm);
/* Monitor: "flight save FILE". */
void flight_command(struct doppel_vm *vm, const char *args, struct mon_out *o);
void flight_info(struct doppel_vm *vm, struct mon_out *o);

#endif
