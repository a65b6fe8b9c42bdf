/*
 * The window of a machine, with SDL2.
 */
#ifndef DOPPEL_FRONTENDS_SDL_H
#define DOPPEL_FRONTENDS_SDL_H

#include "frontends/session.h"

/* Run a machine on a thread of its own, with its window on this one, which is the process's first.
 * Returns when it has ended or the window was closed, after session_end. */
void sdl_run(struct session *s);

#endif
