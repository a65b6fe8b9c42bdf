/*
 * Keys and mouse from the outside, and the typist: keys that are pressed and released by virtual
 * time.
 *
 * A window posts each key as it goes down and up; when depends on the person. A script says
 * "sendkey a 100": the gate carries the whole sequence, and the typist, a timer and a queue that
 * are part of the machine's state, hands its steps to the keyboard at their instants. So the hold
 * is exact, and a recording needs only what went through the gate.
 */
#ifndef DOPPEL_VM_INPUT_H
#define DOPPEL_VM_INPUT_H

#include "core/clock.h"
#include "core/state.h"

struct doppel_vm;
struct mon_out;

#define TYPIST_MAX 1024u /* steps in the queue */

/* A step: key code, 0x100 if the key goes down, and in the upper half the milliseconds of virtual
 * time that pass between the step before and this one. */
#define TYPIST_STATE(S, V, A, N)                                                                   \
    A(S, uint32_t, step, TYPIST_MAX, 1) /* ring */                                                 \
    V(S, uint32_t, head, 1)                                                                        \
    V(S, uint32_t, count, 1)                                                                       \
    V(S, uint64_t, last, 1) /* when the last step was done */                                      \
    V(S, struct vtimer, next, 1)
ST_DECLARE(typist, TYPIST_STATE);

/* While the machine is set up: before the board is built, and after. */
void input_init(struct doppel_vm *vm);
void input_bind(struct doppel_vm *vm);

/* Monitor. */
void mon_sendkey(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_sendtext(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_mouse_move(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_mouse_button(struct doppel_vm *vm, const char *args, struct mon_out *o);

#endif
