/*
 * National DP8390D/NS32490D network interface controller on an NE2000 card's bus: the core that the
 * ISA and the PCI card share. It sees register offsets only.
 */
#ifndef DOPPEL_HW_NET_DP8390_H
#define DOPPEL_HW_NET_DP8390_H

#include "hw/net/port.h"

#define DP8390_MEM 16384u /* bytes of packet memory, at 4000h of the card's address space */
#define DP8390_IO  32u    /* ports */

// clang-format off
#define DP8390_STATE(S, V, A, N)                                                                   \
    V(S, uint8_t, cr, 1)     /* command */                                                         \
    V(S, uint8_t, isr, 1)                                                                          \
    V(S, uint8_t, imr, 1)                                                                          \
    V(S, uint8_t, dcr, 1)    /* data configuration */                                              \
    V(S, uint8_t, tcr, 1)                                                                          \
    V(S, uint8_t, rcr, 1)                                                                          \
    V(S, uint8_t, tsr, 1)                                                                          \
    V(S, uint8_t, rsr, 1)                                                                          \
    V(S, uint8_t, pstart, 1) /* pages of 256 bytes: the receive ring */                            \
    V(S, uint8_t, pstop, 1)                                                                        \
    V(S, uint8_t, bnry, 1)                                                                         \
    V(S, uint8_t, curr, 1)                                                                         \
    V(S, uint8_t, tpsr, 1)   /* page of the frame to send */                                       \
    V(S, uint8_t, rnpp, 1)   /* next page after a "send packet" */                                 \
    V(S, uint16_t, tbcr, 1)                                                                        \
    V(S, uint16_t, rsar, 1)                                                                        \
    V(S, uint16_t, rbcr, 1)  /* bytes of remote DMA left */                                        \
    V(S, uint16_t, crda, 1)  /* its address */                                                     \
    V(S, uint16_t, clda, 1)  /* local DMA's address after the last frame */                        \
    A(S, uint8_t, par, 6, 1)                                                                       \
    A(S, uint8_t, mar, 8, 1)                                                                       \
    A(S, uint8_t, tally, 3, 1) /* alignment errors, CRC errors, missed */                          \
    A(S, uint8_t, fifo, 8, 1)                                                                      \
    V(S, uint8_t, fifo_at, 1)                                                                      \
    A(S, uint8_t, mem, DP8390_MEM, 1)                                                              \
    V(S, struct vtimer, sent, 1) /* end of the transmission */                                     \
    N(S, net_queue, queue, 1, 1)
// clang-format on
ST_DECLARE(dp8390_state, DP8390_STATE);

struct dp8390 {
    struct dev *dev;
    struct dp8390_state *s;
    struct net_port port;
    struct timer tx;
    uint8_t prom[32];
    void (*irq)(struct dev *d, bool level);
};

/* At init, with dev, s, irq and port.net filled in. mac: text of a property. */
bool dp8390_init(struct dp8390 *c, const char *mac, uint32_t mbps, struct err *e);
void dp8390_reset(struct dp8390 *c);
void dp8390_restored(struct dp8390 *c);
/* Ports 0 .. DP8390_IO-1 of the card: registers, data port at 10h, reset port at 18h. */
uint64_t dp8390_read(struct dp8390 *c, uint64_t off, unsigned size);
void dp8390_write(struct dp8390 *c, uint64_t off, unsigned size, uint64_t val);

#endif
