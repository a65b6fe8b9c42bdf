/*
 * The monitor's looking commands: info, x, xp.
 */
#ifndef DOPPEL_VM_MONITOR_INFO_H
#define DOPPEL_VM_MONITOR_INFO_H

#include <stddef.h>

struct doppel_vm;

struct mon_out {
    void (*fn)(void *ctx, const char *text, size_t len);
    void *ctx;
};
void mon_printf(struct mon_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void mon_info(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_device_table(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_x(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_xp(struct doppel_vm *vm, const char *args, struct mon_out *o);

#endif
