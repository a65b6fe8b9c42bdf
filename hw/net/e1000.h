/*
 * Intel 82540EM gigabit Ethernet controller: state and what its parts share. e1000.c is the PCI
 * function, interrupts and reset, e1000_regs.c the register map, e1000_phy.c the PHY and the
 * EEPROM, e1000_tx.c and e1000_rx.c the two rings.
 *
 * What always holds: a register access only changes state and starts timers; the rings are worked
 * by timers between slices, so that a ring whose DMA hits the card's own registers cannot recurse.
 * Every index that a guest controls is bounded where it is used, since DMA may change it.
 *
 * Source: Intel, "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual"
 * (317453), here "SDM".
 */
#ifndef DOPPEL_HW_NET_E1000_H
#define DOPPEL_HW_NET_E1000_H

#include "hw/net/port.h"
#include "hw/pci/pci.h"

enum {
    E1000_EEPROM_WORDS = 64, /* 93C46 */
    E1000_PHY_REGS = 32,
    E1000_STATS = 64, /* registers from 4000h */
    E1000_MTA = 128,  /* dwords of the multicast table, and of the VLAN filter */
    E1000_RA = 32,    /* RAL and RAH in turn, of 16 addresses */
};

/* What a context descriptor sets (SDM 3.3.6), as fields in its order. */
#define E1000_CTX_STATE(S, V, A, N)                                                                \
    V(S, uint8_t, ipcss, 1)                                                                        \
    V(S, uint8_t, ipcso, 1)                                                                        \
    V(S, uint16_t, ipcse, 1)                                                                       \
    V(S, uint8_t, tucss, 1)                                                                        \
    V(S, uint8_t, tucso, 1)                                                                        \
    V(S, uint16_t, tucse, 1)                                                                       \
    V(S, uint32_t, paylen, 1)                                                                      \
    V(S, uint8_t, tucmd, 1)                                                                        \
    V(S, uint8_t, hdrlen, 1)                                                                       \
    V(S, uint16_t, mss, 1)
ST_DECLARE(e1000_ctx, E1000_CTX_STATE);

// clang-format off
#define E1000_STATE(S, V, A, N)                                                                    \
    N(S, pci_cfg, pci, 1, 1)                                                                       \
    N(S, net_queue, queue, 1, 1)  /* the receive FIFO */                                           \
    /* The PHY and the EEPROM outlive CTRL.RST. */                                                 \
    A(S, uint16_t, phy, E1000_PHY_REGS, 1)                                                         \
    V(S, uint16_t, speed, 1)      /* Mb/s of the PHY's link; 0: down */                            \
    V(S, struct vtimer, autoneg, 1)                                                                \
    A(S, uint16_t, eeprom, E1000_EEPROM_WORDS, 1)                                                  \
    V(S, uint32_t, ioaddr, 1)     /* of the I/O BAR */                                             \
    /* Registers, by address. */                                                                   \
    V(S, uint32_t, ctrl, 1)                                                                        \
    V(S, uint32_t, eecd, 1)                                                                        \
    V(S, uint32_t, eerd, 1)                                                                        \
    V(S, uint32_t, ctrl_ext, 1)                                                                    \
    V(S, uint32_t, mdic, 1)                                                                        \
    A(S, uint32_t, fc, 3, 1)      /* FCAL, FCAH, FCT */                                            \
    V(S, uint32_t, vet, 1)                                                                         \
    V(S, uint32_t, icr, 1)                                                                         \
    V(S, uint32_t, itr, 1)                                                                         \
    V(S, uint32_t, ims, 1)                                                                         \
    V(S, uint32_t, rctl, 1)                                                                        \
    V(S, uint32_t, fcttv, 1)                                                                       \
    V(S, uint32_t, txcw, 1)                                                                        \
    V(S, uint32_t, tctl, 1)                                                                        \
    V(S, uint32_t, tipg, 1)                                                                        \
    V(S, uint32_t, ait, 1)                                                                         \
    V(S, uint32_t, ledctl, 1)                                                                      \
    V(S, uint32_t, pba, 1)                                                                         \
    V(S, uint32_t, fcrtl, 1)                                                                       \
    V(S, uint32_t, fcrth, 1)                                                                       \
    A(S, uint32_t, rxfifo, 5, 1)  /* RDFH, RDFT, RDFHS, RDFTS, RDFPC: diagnostics */               \
    V(S, uint32_t, rdbal, 1)                                                                       \
    V(S, uint32_t, rdbah, 1)                                                                       \
    V(S, uint32_t, rdlen, 1)                                                                       \
    V(S, uint32_t, rdh, 1)                                                                         \
    V(S, uint32_t, rdt, 1)                                                                         \
    V(S, uint32_t, rdtr, 1)                                                                        \
    V(S, uint32_t, rxdctl, 1)                                                                      \
    V(S, uint32_t, radv, 1)                                                                        \
    V(S, uint32_t, rsrpd, 1)                                                                       \
    V(S, uint32_t, txdmac, 1)                                                                      \
    A(S, uint32_t, txfifo, 5, 1)  /* TDFH, TDFT, TDFHS, TDFTS, TDFPC */                            \
    V(S, uint32_t, tdbal, 1)                                                                       \
    V(S, uint32_t, tdbah, 1)                                                                       \
    V(S, uint32_t, tdlen, 1)                                                                       \
    V(S, uint32_t, tdh, 1)                                                                         \
    V(S, uint32_t, tdt, 1)                                                                         \
    V(S, uint32_t, tidv, 1)                                                                        \
    V(S, uint32_t, txdctl, 1)                                                                      \
    V(S, uint32_t, tadv, 1)                                                                        \
    V(S, uint32_t, tspmt, 1)                                                                       \
    A(S, uint32_t, stat, E1000_STATS, 1)                                                           \
    V(S, uint32_t, rxcsum, 1)                                                                      \
    A(S, uint32_t, mta, E1000_MTA, 1)                                                              \
    A(S, uint32_t, ra, E1000_RA, 1)                                                                \
    A(S, uint32_t, vfta, E1000_MTA, 1)                                                             \
    V(S, uint32_t, wuc, 1)                                                                         \
    V(S, uint32_t, wufc, 1)                                                                        \
    V(S, uint32_t, ipav, 1)                                                                        \
    V(S, uint32_t, manc, 1)                                                                        \
    /* The EEPROM's serial side: bits shifted in since the start bit, and the word going out. */   \
    V(S, uint32_t, ee_shift, 1)                                                                    \
    V(S, uint8_t, ee_count, 1)                                                                     \
    V(S, uint8_t, ee_addr, 1)                                                                      \
    V(S, uint8_t, ee_bit, 1)                                                                       \
    V(S, bool, ee_reading, 1)                                                                      \
    V(S, bool, ee_write_ok, 1)    /* since EWEN */                                                 \
    /* Interrupt moderation. */                                                                    \
    V(S, struct vtimer, throttle, 1) /* ITR */                                                     \
    V(S, struct vtimer, rx_delay, 1) /* RDTR */                                                    \
    V(S, struct vtimer, rx_abs, 1)   /* RADV */                                                    \
    V(S, struct vtimer, tx_delay, 1) /* TIDV */                                                    \
    V(S, struct vtimer, tx_abs, 1)   /* TADV */                                                    \
    /* Transmission: the packet being gathered, then sent. */                                      \
    V(S, struct vtimer, tx_next, 1)  /* the last bit of tx_buf, or the next look at the ring */    \
    N(S, e1000_ctx, ctx, 2, 1)       /* of checksums; of segmentation */                           \
    A(S, uint8_t, tx_buf, NET_FRAME_MAX, 1)                                                        \
    V(S, uint32_t, tx_len, 1)        /* bytes gathered */                                          \
    V(S, uint32_t, tx_off, 1)        /* bytes taken of the descriptor at TDH */                    \
    V(S, bool, tx_first, 1)          /* no descriptor of the packet was taken yet */               \
    V(S, bool, tx_ready, 1)          /* tx_buf is on the cable */                                  \
    V(S, bool, tx_bad, 1)            /* the packet cannot be sent */                               \
    V(S, uint8_t, tx_popts, 1)       /* of the first descriptor */                                 \
    V(S, uint8_t, tx_cso, 1)                                                                       \
    V(S, uint8_t, tx_css, 1)                                                                       \
    V(S, bool, tx_tse, 1)                                                                          \
    V(S, bool, tx_vle, 1)                                                                          \
    V(S, uint16_t, tx_tci, 1)                                                                      \
    V(S, uint32_t, tx_sofar, 1)      /* payload sent in earlier segments */                        \
    V(S, uint16_t, tx_segments, 1)                                                                 \
    A(S, uint8_t, tx_header, 256, 1) /* of all segments */                                         \
    V(S, bool, rx_held, 1)           /* the first frame of the FIFO was counted in RNBC */
// clang-format on
ST_DECLARE(e1000_state, E1000_STATE);

struct e1000 {
    struct dev dev;
    struct e1000_state s;
    struct pci_func pci;
    struct net_port port;
    struct net *net;
    struct timer autoneg, throttle, rx_delay, rx_abs, tx_delay, tx_abs, tx_next;
    uint32_t slot;
    uint8_t addr[6];
    char bus[32], mac[32], romfile[32];
};

/* Interrupt causes (SDM 13.4.17). */
enum {
    E1000_TXDW = 1 << 0,
    E1000_TXQE = 1 << 1,
    E1000_LSC = 1 << 2,
    E1000_RXDMT0 = 1 << 4,
    E1000_RXO = 1 << 6,
    E1000_RXT0 = 1 << 7,
    E1000_MDAC = 1 << 9,
    E1000_TXD_LOW = 1 << 15,
    E1000_SRPD = 1 << 16,
    E1000_CAUSES = 0x1ffff,
};

/* Register bits that more than one file looks at. */
enum {
    CTRL_SLU = 1 << 6,
    CTRL_RST = 1 << 26,
    CTRL_VME = 1 << 30,
    RCTL_EN = 1 << 1,
    RCTL_LBM = 3 << 6,
    TCTL_EN = 1 << 1,
    TCTL_PSP = 1 << 3,
    RAH_AV = INT32_MIN,
};

/* Statistics, as (address - 4000h) / 4 (SDM 13.7). Those of octets are two registers. */
enum {
    STAT_MPC = 0x10 / 4,
    STAT_PRC64 = 0x5c / 4,
    STAT_GPRC = 0x74 / 4,
    STAT_BPRC = 0x78 / 4,
    STAT_MPRC = 0x7c / 4,
    STAT_GPTC = 0x80 / 4,
    STAT_GORC = 0x88 / 4,
    STAT_GOTC = 0x90 / 4,
    STAT_RNBC = 0xa0 / 4,
    STAT_RUC = 0xa4 / 4,
    STAT_ROC = 0xac / 4,
    STAT_TOR = 0xc0 / 4,
    STAT_TOT = 0xc8 / 4,
    STAT_TPR = 0xd0 / 4,
    STAT_TPT = 0xd4 / 4,
    STAT_PTC64 = 0xd8 / 4,
    STAT_MPTC = 0xf0 / 4,
    STAT_BPTC = 0xf4 / 4,
    STAT_TSCTC = 0xf8 / 4,
};

/* e1000.c */
void e1000_cause(struct e1000 *c, uint32_t bits);
void e1000_update_irq(struct e1000 *c);
void e1000_reset_mac(struct e1000 *c); /* CTRL.RST */
/* Start a delay of `units` of 1.024 us (RDTR and its like). */
void e1000_delay(struct e1000 *c, struct timer *t, uint32_t units);

/* e1000_regs.c: aligned dwords, `off` below 128 KiB. */
uint32_t e1000_reg_read(struct e1000 *c, uint32_t off);
void e1000_reg_write(struct e1000 *c, uint32_t off, uint32_t val);
void e1000_regs_reset(struct e1000 *c);
/* Counters stop at their maximum. */
void e1000_count(struct e1000 *c, unsigned stat);
void e1000_count_octets(struct e1000 *c, unsigned stat, uint32_t n);
/* PRC64.. or PTC64..: by the length of a frame with its FCS. */
void e1000_count_size(struct e1000 *c, unsigned stat64, uint32_t bytes);

/* e1000_phy.c */
void e1000_phy_init(struct e1000 *c);
void e1000_phy_reset(struct e1000 *c);
void e1000_phy_restored(struct e1000 *c);
bool e1000_phy_loopback(const struct e1000 *c);
bool e1000_link_up(const struct e1000 *c); /* as STATUS.LU */
uint32_t e1000_mdic(struct e1000 *c, uint32_t val);
void e1000_eeprom_reset(struct e1000 *c);
uint32_t e1000_eerd(const struct e1000 *c, uint32_t val);
void e1000_eecd_write(struct e1000 *c, uint32_t val);
uint32_t e1000_eecd_read(const struct e1000 *c);

/* e1000_tx.c */
void e1000_tx_init(struct e1000 *c);
void e1000_tx_reset(struct e1000 *c);
void e1000_tx_restored(struct e1000 *c);
void e1000_tx_start(struct e1000 *c); /* TDT or TCTL changed */

/* e1000_rx.c. Receive: as net_port.take; lost: as net_port.lost. */
bool e1000_take(void *ctx, const uint8_t *frame, uint32_t len);
bool e1000_receive(struct e1000 *c, const uint8_t *frame, uint32_t len);
void e1000_lost(void *ctx);

/* The Internet checksum's sum over bytes, folded to 16 bits, not complemented; the first byte is a
 * high one. */
uint32_t e1000_sum(uint32_t start, const uint8_t *data, uint32_t len);

#endif
