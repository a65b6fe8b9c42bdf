/*
 * The windows of machines, with SDL2.
 */
#ifndef DOPPEL_FRONTENDS_SDL_H
#define DOPPEL_FRONTENDS_SDL_H

#include "frontends/session.h"

struct sdl; /* windows, one for each of some machines */

/* Open the windows, on the process's first thread. NULL: none is open, after a message. */
struct sdl *sdl_open(struct session *const *s, unsigned n);
/* Run each machine on a thread of its own, with the windows on this one. A window that is closed
 * ends its machine; a machine that has ended closes its window, goes through session_end, and
 * `ended` (may be NULL) is told. Returns, and frees, when all have. */
void sdl_play(struct sdl *sdl, void (*ended)(void *ctx), void *ctx);

/* All of that for one machine. */
void sdl_run(struct session *s);

#endif
