// An 82540EM on a bare bus with RAM at 0 and a recorder in place of a back end.

#ifndef DOPPEL_TESTS_E1000_BENCH_H
#define DOPPEL_TESTS_E1000_BENCH_H

#include "hw/hw.h"
#include "hw/net/port.h"
#include "tests/lib/rig.h"

enum {
    NIC_BAR = 0x40000000, // fits an enum's int
    NIC_IO = 0xc000,
    NIC_RAM = 1 << 20,
    RX_RING = 0x1000, // of 8 descriptors
    TX_RING = 0x2000,
    RX_BUF = 0x10000,
    TX_BUF = 0x40000,

    CTRL = 0x0000,
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    MDIC = 0x0020,
    ICR = 0x00c0,
    ITR = 0x00c4,
    ICS = 0x00c8,
    IMS = 0x00d0,
    IMC = 0x00d8,
    RCTL = 0x0100,
    TCTL = 0x0400,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RADV = 0x282c,
    RSRPD = 0x2c00,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TADV = 0x382c,
    RXCSUM = 0x5000,
    MTA = 0x5200,
    VFTA = 0x5600,
};

struct nic {
    struct rig r;
    struct probe *p; // in0: inta
    struct net net;
    uint8_t sent[8][16384]; // the first frames
    size_t len[8];
    vtime when[8];
    unsigned nsent;
};

void nic_init(struct nic *x);
void nic_fini(struct nic *x);
uint32_t nic_cfg(struct nic *x, unsigned reg);
void nic_cfg_set(struct nic *x, unsigned reg, uint32_t val);

static inline uint32_t nic_get(struct nic *x, uint32_t reg)
{
    return (uint32_t)aspace_read(&x->r.mem, (uint32_t)NIC_BAR + reg, 4);
}
static inline void nic_set(struct nic *x, uint32_t reg, uint32_t val)
{
    aspace_write(&x->r.mem, (uint32_t)NIC_BAR + reg, 4, val);
}

uint16_t nic_phy(struct nic *x, unsigned reg);
void nic_phy_set(struct nic *x, unsigned reg, uint16_t val);
// The EEPROM's wires: bits from the highest of n; the end deselects it.
void nic_ee_send(struct nic *x, uint32_t bits, unsigned n);
uint32_t nic_ee_recv(struct nic *x, unsigned n);
void nic_ee_end(struct nic *x);

// Wait for the link, then start both rings: 8 descriptors each, receive buffers of 2 KiB at RX_BUF
// (seven are free), FCS stripped, broadcast accepted; no cause left.
void nic_start(struct nic *x);
// Write a transmit descriptor.
void nic_tx_desc(struct nic *x, unsigned n, uint64_t buf, uint32_t word2, uint32_t word3);
uint32_t nic_tx_status(struct nic *x, unsigned n);
// Post a frame from the cable and let it arrive.
void nic_receive(struct nic *x, const uint8_t *frame, uint32_t len);
// The words of a receive descriptor behind its address.
uint64_t nic_rx_desc(struct nic *x, unsigned n);

#endif
