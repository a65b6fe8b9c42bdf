/*
 * The register map of the 82540EM: one row for each register or run of them, with its writable bits
 * and its value after reset. Where an access does more, the row names what.
 *
 * What is not in the table reads 0 and takes no writes. Statistics clear when read; of a pair for
 * octets the upper half clears both (SDM 13.7).
 *
 * Source: SDM chapter 13, table 13-2.
 */
#include "hw/net/e1000.h"

#include <string.h>

#include "hw/hw.h"
#include "util/bits.h"

struct reg {
    uint32_t at, n; /* the first address; dwords */
    uint32_t mask;  /* writable */
    uint32_t reset;
    size_t off; /* in the state; 0: `read` and `write` do it all */
    uint32_t (*read)(struct e1000 *c, unsigned i);
    /* After a write of the writable bits; `val` is what was written. */
    void (*write)(struct e1000 *c, uint32_t val);
};

enum {
    STATS_BASE = 0x4000,
    CTRL_PHY_RST = INT32_MIN,
    STATUS_FD = 1,
    STATUS_LU = 2,
    DELAY_FPD = INT32_MIN, /* flush partial descriptors: the interrupt at once */
    DESC_BYTES_MASK = 0xfff80,
};

static uint32_t read_status(struct e1000 *c, unsigned i)
{
    uint32_t speed = c->s.speed == 1000 ? 2 : c->s.speed == 100 ? 1 : 0;
    (void)i;
    return STATUS_FD | (e1000_link_up(c) ? STATUS_LU : 0) | speed << 6;
}

static void write_ctrl(struct e1000 *c, uint32_t val)
{
    if (val & CTRL_RST) {
        e1000_reset_mac(c);
    }
    if (val & CTRL_PHY_RST) {
        e1000_phy_reset(c);
    }
}

static uint32_t read_eecd(struct e1000 *c, unsigned i)
{
    (void)i;
    return e1000_eecd_read(c);
}

static void write_eerd(struct e1000 *c, uint32_t val)
{
    c->s.eerd = e1000_eerd(c, val);
}

static void write_mdic(struct e1000 *c, uint32_t val)
{
    c->s.mdic = e1000_mdic(c, val);
}

static uint32_t read_icr(struct e1000 *c, unsigned i)
{
    uint32_t v = c->s.icr;
    (void)i;
    c->s.icr = 0;
    e1000_update_irq(c);
    return v;
}

static void write_icr(struct e1000 *c, uint32_t val)
{
    c->s.icr &= ~val;
    e1000_update_irq(c);
}

static void write_ics(struct e1000 *c, uint32_t val)
{
    e1000_cause(c, val & E1000_CAUSES);
}

static void write_ims(struct e1000 *c, uint32_t val)
{
    c->s.ims |= val & E1000_CAUSES;
    e1000_update_irq(c);
}

static void write_imc(struct e1000 *c, uint32_t val)
{
    c->s.ims &= ~val;
    e1000_update_irq(c);
}

static void write_rx(struct e1000 *c, uint32_t val)
{
    (void)val;
    net_port_retry(&c->port);
}

static void write_tx(struct e1000 *c, uint32_t val)
{
    (void)val;
    e1000_tx_start(c);
}

static void write_rdtr(struct e1000 *c, uint32_t val)
{
    if ((val & DELAY_FPD) && timer_pending(&c->rx_delay)) {
        timer_set(&c->rx_delay, clock_now(c->dev.env->clock));
    }
}

static void write_tidv(struct e1000 *c, uint32_t val)
{
    if ((val & DELAY_FPD) && timer_pending(&c->tx_delay)) {
        timer_set(&c->tx_delay, clock_now(c->dev.env->clock));
    }
}

static uint32_t read_stat(struct e1000 *c, unsigned i)
{
    uint32_t v = c->s.stat[i];
    switch (i) {
    case STAT_GORC:
    case STAT_GOTC:
    case STAT_TOR:
    case STAT_TOT:
        return v;
    case STAT_GORC + 1:
    case STAT_GOTC + 1:
    case STAT_TOR + 1:
    case STAT_TOT + 1:
        c->s.stat[i - 1] = 0;
        break;
    default:
        break;
    }
    c->s.stat[i] = 0;
    return v;
}

#define F(field) offsetof(struct e1000_state, field)
#define ALL      0xffffffff

// clang-format off
static const struct reg regs[] = {
    /* at, dwords, writable, after reset */
    {0x0000, 1, 0x7bffffff, 0x00000241, F(ctrl), NULL, write_ctrl}, /* FD, SLU, 1000 Mb/s */
    {0x0004, 1, 0x7bffffff, 0x00000241, F(ctrl), NULL, write_ctrl}, /* the same again */
    {0x0008, 1, 0, 0, 0, read_status, NULL},
    {0x0010, 1, 0, 0, F(eecd), read_eecd, e1000_eecd_write},
    {0x0014, 1, 0, 0, F(eerd), NULL, write_eerd},
    {0x0018, 1, 0xfffdcfff, 0, F(ctrl_ext), NULL, NULL},
    {0x0020, 1, 0, 0x10000000, F(mdic), NULL, write_mdic},
    {0x0028, 3, ALL, 0, F(fc), NULL, NULL},
    {0x0038, 1, 0xffff, 0x8100, F(vet), NULL, NULL},
    {0x00c0, 1, 0, 0, F(icr), read_icr, write_icr},
    {0x00c4, 1, 0xffff, 0, F(itr), NULL, NULL},
    {0x00c8, 1, 0, 0, 0, NULL, write_ics},
    {0x00d0, 1, 0, 0, F(ims), NULL, write_ims},
    {0x00d8, 1, 0, 0, 0, NULL, write_imc},
    {0x0100, 1, 0x07dfffff, 0, F(rctl), NULL, write_rx},
    {0x0170, 1, 0xffff, 0, F(fcttv), NULL, NULL},
    {0x0178, 1, 0xc000ffff, 0, F(txcw), NULL, NULL},
    {0x0400, 1, 0x1ffffffa, 0, F(tctl), NULL, write_tx},
    {0x0410, 1, 0x3fffffff, 0x00602008, F(tipg), NULL, NULL},
    {0x0458, 1, 0xffff, 0, F(ait), NULL, NULL},
    {0x0e00, 1, 0xcfcfcfcf, 0x07068302, F(ledctl), NULL, NULL},
    {0x1000, 1, 0xffff, 0x00100030, F(pba), NULL, NULL}, /* KiB: 48 to receive, 16 to send */
    {0x2160, 1, 0x8000fff8, 0, F(fcrtl), NULL, NULL},
    {0x2168, 1, 0x8000fff8, 0, F(fcrth), NULL, NULL},
    {0x2410, 1, 0x1fff, 0, F(rxfifo[0]), NULL, NULL},
    {0x2418, 1, 0x1fff, 0, F(rxfifo[1]), NULL, NULL},
    {0x2420, 1, 0x1fff, 0, F(rxfifo[2]), NULL, NULL},
    {0x2428, 1, 0x1fff, 0, F(rxfifo[3]), NULL, NULL},
    {0x2430, 1, 0x1fff, 0, F(rxfifo[4]), NULL, NULL},
    {0x2800, 1, 0xfffffff0, 0, F(rdbal), NULL, write_rx},
    {0x2804, 1, ALL, 0, F(rdbah), NULL, NULL},
    {0x2808, 1, DESC_BYTES_MASK, 0, F(rdlen), NULL, write_rx},
    {0x2810, 1, 0xffff, 0, F(rdh), NULL, write_rx},
    {0x2818, 1, 0xffff, 0, F(rdt), NULL, write_rx},
    {0x2820, 1, 0xffff, 0, F(rdtr), NULL, write_rdtr},
    {0x2828, 1, ALL, 0x00010000, F(rxdctl), NULL, NULL},
    {0x282c, 1, 0xffff, 0, F(radv), NULL, NULL},
    {0x2c00, 1, 0xfff, 0, F(rsrpd), NULL, NULL},
    {0x3000, 1, ALL, 0, F(txdmac), NULL, NULL},
    {0x3410, 1, 0x1fff, 0, F(txfifo[0]), NULL, NULL},
    {0x3418, 1, 0x1fff, 0, F(txfifo[1]), NULL, NULL},
    {0x3420, 1, 0x1fff, 0, F(txfifo[2]), NULL, NULL},
    {0x3428, 1, 0x1fff, 0, F(txfifo[3]), NULL, NULL},
    {0x3430, 1, 0x1fff, 0, F(txfifo[4]), NULL, NULL},
    {0x3800, 1, 0xfffffff0, 0, F(tdbal), NULL, NULL},
    {0x3804, 1, ALL, 0, F(tdbah), NULL, NULL},
    {0x3808, 1, DESC_BYTES_MASK, 0, F(tdlen), NULL, write_tx},
    {0x3810, 1, 0xffff, 0, F(tdh), NULL, write_tx},
    {0x3818, 1, 0xffff, 0, F(tdt), NULL, write_tx},
    {0x3820, 1, 0xffff, 0, F(tidv), NULL, write_tidv},
    {0x3828, 1, ALL, 0, F(txdctl), NULL, NULL},
    {0x382c, 1, 0xffff, 0, F(tadv), NULL, NULL},
    {0x3830, 1, ALL, 0x01000400, F(tspmt), NULL, NULL},
    {STATS_BASE, E1000_STATS, 0, 0, F(stat), read_stat, NULL},
    {0x5000, 1, 0x7ff, 0, F(rxcsum), NULL, NULL},
    {0x5200, E1000_MTA, ALL, 0, F(mta), NULL, NULL},
    {0x5400, E1000_RA, ALL, 0, F(ra), NULL, NULL},
    {0x5600, E1000_MTA, ALL, 0, F(vfta), NULL, NULL},
    {0x5800, 1, 0xf, 0, F(wuc), NULL, NULL},
    {0x5808, 1, 0xfffff, 0, F(wufc), NULL, NULL},
    {0x5838, 1, 0x1000f, 0, F(ipav), NULL, NULL},
    {0x5820, 1, ALL, 0, F(manc), NULL, NULL},
};
// clang-format on

static const struct reg *find(uint32_t off)
{
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++) {
        if (off - regs[i].at < 4 * regs[i].n) {
            return &regs[i];
        }
    }
    return NULL;
}

static uint32_t *stored(struct e1000 *c, const struct reg *r, unsigned i)
{
    return (uint32_t *)(void *)((char *)&c->s + r->off) + i;
}

uint32_t e1000_reg_read(struct e1000 *c, uint32_t off)
{
    const struct reg *r = find(off);
    if (!r || (!r->read && !r->off)) {
        return 0;
    }
    unsigned i = (off - r->at) / 4;
    return r->read ? r->read(c, i) : *stored(c, r, i);
}

void e1000_reg_write(struct e1000 *c, uint32_t off, uint32_t val)
{
    const struct reg *r = find(off);
    if (!r) {
        return;
    }
    unsigned i = (off - r->at) / 4;
    uint32_t mask = r->mask;
    if (r->off == F(ra) && (i & 1)) {
        mask = 0x8003ffff; /* RAH: address valid, select */
    }
    if (mask) {
        uint32_t *reg = stored(c, r, i);
        *reg = (*reg & ~mask) | (val & mask);
    }
    if (r->write) {
        r->write(c, val);
    }
}

void e1000_regs_reset(struct e1000 *c)
{
    for (unsigned k = 0; k < ARRAY_LEN(regs); k++) {
        for (unsigned i = 0; regs[k].off && i < regs[k].n; i++) {
            *stored(c, &regs[k], i) = regs[k].reset;
        }
    }
    c->s.ee_shift = 0;
    c->s.ee_count = c->s.ee_addr = c->s.ee_bit = 0;
    c->s.ee_reading = c->s.ee_write_ok = false;
    const uint16_t *mac = c->s.eeprom; /* words 0 to 2 (SDM 5.6.1) */
    c->s.ra[0] = mac[0] | (uint32_t)mac[1] << 16;
    c->s.ra[1] = mac[2] | (uint32_t)RAH_AV;
}

/* --- Statistics --- */

void e1000_count(struct e1000 *c, unsigned stat)
{
    if (c->s.stat[stat] != UINT32_MAX) {
        c->s.stat[stat]++;
    }
}

void e1000_count_octets(struct e1000 *c, unsigned stat, uint32_t n)
{
    uint32_t *reg = &c->s.stat[stat];
    uint64_t old = reg[0] | (uint64_t)reg[1] << 32, sum = old + n;
    sum = sum < old ? UINT64_MAX : sum;
    reg[0] = (uint32_t)sum;
    reg[1] = (uint32_t)(sum >> 32);
}

void e1000_count_size(struct e1000 *c, unsigned stat64, uint32_t bytes)
{
    static const uint16_t upto[] = {64, 127, 255, 511, 1023};
    unsigned k = 0;
    while (k < ARRAY_LEN(upto) && bytes > upto[k]) {
        k++;
    }
    e1000_count(c, stat64 + k);
}
