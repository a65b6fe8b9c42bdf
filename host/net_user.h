/*
 * User-mode networking: libslirp as the far end of a card's cable, with no rights on the host.
 *
 * Options, as QEMU spells them, separated by commas: restrict=on|off, net=ADDR[/BITS], host=ADDR,
 * ipv6=on|off (fec0::/64; routers are advertised), dhcpstart=ADDR, dns=ADDR, hostname=NAME,
 * tftp=FOLDER, bootfile=FILE, guestfwd=tcp:ADDR:PORT-cmd:COMMAND (the guest's connections to ADDR
 * are a command's), hostfwd=tcp|udp:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT (again for each
 * port). A host address that is left out is 127.0.0.1: what a guest offers is seen outside only
 * when that is asked for.
 */
#ifndef DOPPEL_HOST_NET_USER_H
#define DOPPEL_HOST_NET_USER_H

#include "core/backend_net.h"
#include "util/err.h"

/* NULL: e says what is wrong, or which package doppel was built without. */
struct net *net_user_open(const char *options, struct err *e);

#endif
