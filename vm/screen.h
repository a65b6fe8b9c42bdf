/*
 * A machine's screen for the outside: frames published to other threads, pictures and text for the
 * monitor.
 *
 * A viewer asks from any thread; the machine's thread draws between slices and publishes; the
 * viewer copies. Nobody asking costs nothing.
 */
#ifndef DOPPEL_VM_SCREEN_H
#define DOPPEL_VM_SCREEN_H

#include <stdbool.h>

#include "core/backend_display.h"
#include "util/err.h"

struct doppel_vm;
struct mon_out;
struct screen;

struct screen *screen_new(struct doppel_vm *vm);
void screen_free(struct screen *s);
/* Machine's thread, between slices: draw and publish if somebody asked. */
void screen_poll(struct screen *s);

/* Monitor: "screendump FILE.png", "screentext". Drawn at this instant. */
bool screen_dump(struct doppel_vm *vm, const char *path, struct err *e);
bool screen_text(struct doppel_vm *vm, struct mon_out *o, struct err *e);

#endif
