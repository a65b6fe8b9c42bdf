/*
 * A machine's screen for the outside: frames published to other threads, pictures and text for the
 * monitor.
 *
 * A viewer asks from any thread; the machine's thread draws between slices and publishes; the
 * viewer holds what was published as long as it likes. Nobody asking costs nothing.
 */
#ifndef DOPPEL_VM_SCREEN_H
#define DOPPEL_VM_SCREEN_H

#include <stdbool.h>

#include "core/backend_display.h"
#include "util/err.h"

struct doppel_vm;
struct mon_out;
struct screen;

struct screen *screen_new(struct doppel_vm *vm); /* NULL: no host memory */
/* Viewers have given back their frames. */
void screen_free(struct screen *s);
/* Machine's thread, between slices: draw and publish if somebody asked. A request that finds the
 * screen unchanged stays open until it changes. */
void screen_poll(struct screen *s);
/* The adapter's state was replaced (a load): what was drawn before says nothing about it. */
void screen_forget(struct screen *s);

/* Monitor: "screendump FILE.png", "screentext". Drawn at this instant. */
bool screen_dump(struct doppel_vm *vm, const char *path, struct err *e);
bool screen_text(struct doppel_vm *vm, struct mon_out *o, struct err *e);

#endif
