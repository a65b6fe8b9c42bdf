/*
 * A machine's network back ends: made from -nic and -netdev options, found by boards and devices.
 */
#ifndef DOPPEL_VM_NETS_H
#define DOPPEL_VM_NETS_H

#include <stdbool.h>

#include "core/backend_net.h"
#include "util/err.h"

struct doppel_vm;
struct mon_out;

bool nets_open(struct doppel_vm *vm, struct err *e);
/* The end of a replay: make and start the back ends that it did without. */
bool nets_go_live(struct doppel_vm *vm, struct err *e);
void nets_close(struct doppel_vm *vm);
/* A user's id (netdev=ID of -device), or NULL. */
struct net *nets_find(struct doppel_vm *vm, const char *id);
/* The i-th card that -nic asks for, as -device would say it; NULL: there are no more. */
const char *nets_card(const struct doppel_vm *vm, unsigned i);
/* Once cards are attached, frames pass. */
bool nets_start(struct doppel_vm *vm, struct err *e);
/* Can a packet still arrive? Then an idle machine waits instead of ending. */
bool nets_live(const struct doppel_vm *vm);
/* Unplug all cards on the host's side, unseen by the guest, or plug them in again: then the cards'
 * state is to be loaded next, which tells what their queues hold. */
void nets_mute(struct doppel_vm *vm, bool muted);
void nets_info(struct doppel_vm *vm, struct mon_out *o); /* "info network" */
/* "hostfwd_add" and "hostfwd_remove". */
void nets_forward_add(struct doppel_vm *vm, const char *args, struct mon_out *o);
void nets_forward_remove(struct doppel_vm *vm, const char *args, struct mon_out *o);

#endif
