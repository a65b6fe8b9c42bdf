/*
 * The network of a replayed machine: a plug that nothing comes out of, until the machine goes live
 * and something is put into it.
 */
#ifndef DOPPEL_VM_NETS_PLUG_H
#define DOPPEL_VM_NETS_PLUG_H

#include "core/backend_net.h"

/* Of a back end that would be made by `open` with these options; both are copied. */
struct net *net_plug_new(const char *type, const char *options,
                         struct net *(*open)(const char *options, struct err *e));
/* Make the back end and connect it. What is no plug, or has a back end: nothing happens. */
bool net_plug_live(struct net *n, struct err *e);

#endif
