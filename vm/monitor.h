/*
 * The text monitor: one line in, text out. A table of commands; `help` derives from it.
 */
#ifndef DOPPEL_VM_MONITOR_H
#define DOPPEL_VM_MONITOR_H

#include <stddef.h>
#include <stdint.h>

struct chr;
struct doppel_vm;
struct monitor;

struct monitor *monitor_new(struct doppel_vm *vm); /* NULL: no host memory */
void monitor_free(struct monitor *m);

/* Bytes typed at a monitor: echoed on a terminal, collected to lines, carried out. */
void monitor_feed(struct monitor *m, struct chr *from, const uint8_t *data, size_t len);

/* The i-th command's name and help, or NULL; for the manual. */
const char *monitor_command(unsigned i, const char **args, const char **help);

#endif
