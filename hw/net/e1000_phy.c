/*
 * The 82540EM's internal copper PHY (a Marvell 88E1000 core) behind MDIC, and its EEPROM, a 93C46
 * of 64 words, behind EERD and behind four wires.
 *
 * The link partner is a gigabit switch: auto-negotiation ends after AUTONEG_NS with the best that
 * the guest advertises, full duplex. With auto-negotiation off the link comes up at the speed that
 * is set. Without a cable it stays down. STATUS.LU changing with the PHY's link raises LSC.
 *
 * What always holds: s->speed is not 0 exactly while the PHY's link is up.
 *
 * Sources: SDM chapter 8 (PHY), 5.3-5.6 (EEPROM), 13.4.3-13.4.7; IEEE 802.3 22.2.4 and 40.5.1;
 * Microchip 93C46B datasheet, section 2.
 */
#include "hw/hw.h"
#include "hw/net/e1000.h"

#include <string.h>

#include "util/bits.h"

enum {
    AUTONEG_NS = 100 * 1000 * 1000,
    PHY_ADDR = 1,

    PHY_CTRL = 0,
    PHY_STATUS = 1,
    PHY_ANA = 4, /* what we advertise */
    PHY_LPA = 5, /* what the partner does */
    PHY_ANE = 6,
    PHY_GCON = 9,
    PHY_GSTATUS = 10,
    PHY_PSSTAT = 17,

    PCTRL_RESET = 0x8000,
    PCTRL_LOOP = 0x4000,
    PCTRL_SPEED_LOW = 0x2000,
    PCTRL_AN = 0x1000,
    PCTRL_DOWN = 0x0800,
    PCTRL_RESTART = 0x0200,
    PCTRL_SPEED_HIGH = 0x0040,
    PSTATUS_DONE = 0x0020,
    PSTATUS_LINK = 0x0004,

    MDIC_WRITE = 1,
    MDIC_READ = 2,
    MDIC_R = 1 << 28,
    MDIC_I = 1 << 29,
    MDIC_E = 1 << 30,

    EERD_START = 0x01,
    EERD_DONE = 0x10,
    EECD_SK = 0x01,
    EECD_CS = 0x02,
    EECD_DI = 0x04,
    EECD_DO = 0x08,
    EECD_REQ = 0x40,
    EECD_GNT = 0x80,
    EECD_PRES = 0x100,
    EECD_STORED = 0x77, /* FWE too */
    EEPROM_SUM = 0xbaba,
};

/* After reset: 10, 100 and 1000 Mb/s at full and half duplex, with auto-negotiation. */
static const uint16_t phy_defaults[E1000_PHY_REGS] = {
    [PHY_CTRL] = 0x1140, [PHY_STATUS] = 0x7949, [2] = 0x0141, /* identifier: Marvell, 88E1000
                                                                 family, the 82540's */
    [3] = 0x0c20,        [PHY_ANA] = 0x0de1,    [7] = 0x2001,  [PHY_GCON] = 0x0e00,
    [15] = 0x3000,       [16] = 0x0068,         [20] = 0x0d60,
};

/* Bits that MDIC changes. */
static const uint16_t phy_writable[E1000_PHY_REGS] = {
    [PHY_CTRL] = 0x7dc0, [PHY_ANA] = 0xffff, [7] = 0xffff,  [PHY_GCON] = 0xff00, [16] = 0xffff,
    [18] = 0xffff,       [20] = 0xffff,      [24] = 0xffff, [29] = 0xffff,       [30] = 0xffff,
};

bool e1000_link_up(const struct e1000 *c)
{
    return c->s.speed && (c->s.ctrl & CTRL_SLU);
}

bool e1000_phy_loopback(const struct e1000 *c)
{
    return c->s.phy[PHY_CTRL] & PCTRL_LOOP;
}

static uint16_t best_speed(const struct e1000_state *s)
{
    uint16_t ctrl = s->phy[PHY_CTRL];
    if (ctrl & PCTRL_AN) {
        return s->phy[PHY_GCON] & 0x0300 ? 1000 : s->phy[PHY_ANA] & 0x0180 ? 100 : 10;
    }
    return ctrl & PCTRL_SPEED_HIGH ? 1000 : ctrl & PCTRL_SPEED_LOW ? 100 : 10;
}

static void set_link(struct e1000 *c, uint16_t speed)
{
    struct e1000_state *s = &c->s;
    bool was = e1000_link_up(c), an = s->phy[PHY_CTRL] & PCTRL_AN;
    s->speed = speed;
    if (speed) {
        s->phy[PHY_STATUS] |= an ? PSTATUS_DONE : 0;
        s->phy[PHY_LPA] = an ? 0x4de1 : 0;
        s->phy[PHY_ANE] = an ? 0x0003 : 0;
        s->phy[PHY_GSTATUS] = an ? 0x3c00 : 0;
        c->port.mbps = speed;
    } else {
        s->phy[PHY_STATUS] &= (uint16_t) ~(PSTATUS_LINK | PSTATUS_DONE);
        s->phy[PHY_LPA] = s->phy[PHY_ANE] = s->phy[PHY_GSTATUS] = 0;
    }
    if (e1000_link_up(c) != was) {
        e1000_cause(c, E1000_LSC);
    }
}

static void restart_link(struct e1000 *c)
{
    set_link(c, 0);
    timer_cancel(&c->autoneg);
    if (c->net && !(c->s.phy[PHY_CTRL] & (PCTRL_DOWN | PCTRL_LOOP))) {
        timer_set(&c->autoneg, clock_now(c->dev.env->clock) + AUTONEG_NS);
    }
}

static void on_autoneg(void *ctx)
{
    struct e1000 *c = ctx;
    set_link(c, best_speed(&c->s));
}

void e1000_phy_init(struct e1000 *c)
{
    timer_init(&c->autoneg, c->dev.env->clock, &c->s.autoneg, on_autoneg, c);
}

void e1000_phy_reset(struct e1000 *c)
{
    set_link(c, 0);
    memcpy(c->s.phy, phy_defaults, sizeof c->s.phy);
    restart_link(c);
}

void e1000_phy_restored(struct e1000 *c)
{
    uint16_t speed = c->s.speed;
    c->port.mbps = speed == 10 || speed == 100 ? speed : 1000; /* any value may be loaded */
}

static uint16_t phy_read(struct e1000 *c, unsigned reg)
{
    struct e1000_state *s = &c->s;
    uint16_t v = s->phy[reg];
    switch (reg) {
    case PHY_STATUS: /* the link bit shows that it was down since the last read */
        if (s->speed) {
            s->phy[PHY_STATUS] |= PSTATUS_LINK;
        }
        return v;
    case PHY_PSSTAT: /* speed, full duplex, resolved, link */
        v = (uint16_t)((s->speed == 1000 ? 2 : s->speed == 100 ? 1 : 0) << 14);
        return s->speed ? (uint16_t)(v | 0x2c00) : 0;
    default:
        return v;
    }
}

static void phy_write(struct e1000 *c, unsigned reg, uint16_t val)
{
    struct e1000_state *s = &c->s;
    uint16_t old = s->phy[reg], w = phy_writable[reg];
    if (reg == PHY_CTRL && (val & PCTRL_RESET)) {
        e1000_phy_reset(c);
        return;
    }
    s->phy[reg] = (uint16_t)((old & ~w) | (val & w));
    if (reg != PHY_CTRL) {
        return;
    }
    s->phy[reg] &= (uint16_t)~PCTRL_RESTART;
    uint16_t changed = (uint16_t)(old ^ s->phy[reg]);
    bool restart = (val & PCTRL_RESTART) && (val & PCTRL_AN);
    bool forced = !(val & PCTRL_AN) && (changed & (PCTRL_SPEED_LOW | PCTRL_SPEED_HIGH));
    if (restart || forced || (changed & (PCTRL_AN | PCTRL_DOWN | PCTRL_LOOP))) {
        restart_link(c);
    }
}

uint32_t e1000_mdic(struct e1000 *c, uint32_t val)
{
    unsigned reg = val >> 16 & 31, phy = val >> 21 & 31, op = val >> 26 & 3;
    val &= ~(uint32_t)(MDIC_R | MDIC_E);
    if (phy != PHY_ADDR || (op != MDIC_READ && op != MDIC_WRITE)) {
        val |= MDIC_E;
    } else if (op == MDIC_READ) {
        val = (val & 0xffff0000) | phy_read(c, reg);
    } else {
        phy_write(c, reg, (uint16_t)val);
    }
    if (val & MDIC_I) {
        e1000_cause(c, E1000_MDAC);
    }
    return val | MDIC_R;
}

/* --- EEPROM --- */

void e1000_eeprom_reset(struct e1000 *c)
{
    /* SDM 5.6: addresses, then compatibility, identifiers and initial control words. */
    static const uint16_t words[E1000_EEPROM_WORDS] = {
        [0x03] = 0x0b10, [0x05] = 0x0100, [0x08] = 0xa645, [0x09] = 0x0011, [0x0a] = 0x4003,
        [0x0b] = 0x001e, [0x0c] = 0x8086, [0x0d] = 0x100e, [0x0e] = 0x8086, [0x0f] = 0x3040,
    };
    uint16_t *w = c->s.eeprom, sum = 0;
    memcpy(w, words, sizeof words);
    for (unsigned i = 0; i < 3; i++) {
        w[i] = le16_get(c->addr + 2 * i);
    }
    for (unsigned i = 0; i < E1000_EEPROM_WORDS - 1; i++) {
        sum = (uint16_t)(sum + w[i]);
    }
    w[E1000_EEPROM_WORDS - 1] = (uint16_t)(EEPROM_SUM - sum);
}

uint32_t e1000_eerd(const struct e1000 *c, uint32_t val)
{
    unsigned addr = val >> 8 & 0xff;
    if (!(val & EERD_START)) {
        return val & 0xff00;
    }
    uint32_t data = addr < E1000_EEPROM_WORDS ? c->s.eeprom[addr] : 0;
    return (val & 0xff00) | EERD_DONE | data << 16;
}

/* A command is whole: the start bit, two of opcode, six of address; with data for a write. */
static void ee_command(struct e1000_state *s)
{
    uint32_t v = s->ee_shift;
    unsigned addr = v & 63;
    if (s->ee_count == 25) {
        if (s->ee_write_ok && (v >> 22 & 7) == 5) {
            s->eeprom[v >> 16 & 63] = (uint16_t)v;
        }
        return;
    }
    switch (v >> 6 & 7) {
    case 6: /* READ */
        s->ee_reading = true;
        s->ee_addr = (uint8_t)addr;
        s->ee_bit = 0;
        s->eecd &= ~(uint32_t)EECD_DO; /* the dummy bit */
        break;
    case 7: /* ERASE */
        if (s->ee_write_ok) {
            s->eeprom[addr] = 0xffff;
        }
        break;
    case 4: /* EWEN, EWDS; not ERAL and WRAL */
        s->ee_write_ok = addr >> 4 == 3 || (addr >> 4 != 0 && s->ee_write_ok);
        break;
    default: /* WRITE: 16 bits follow */
        break;
    }
}

static void ee_clock(struct e1000_state *s, bool di)
{
    if (s->ee_reading) {
        bool out = s->eeprom[s->ee_addr & 63] >> (15 - (s->ee_bit & 15)) & 1;
        s->eecd = (s->eecd & ~(uint32_t)EECD_DO) | (out ? EECD_DO : 0);
        s->ee_bit = (uint8_t)((s->ee_bit + 1) & 15);
        s->ee_addr = (uint8_t)((s->ee_addr + (s->ee_bit == 0)) & 63);
        return;
    }
    if ((s->ee_count == 0 && !di) || s->ee_count >= 25) {
        return; /* waits for a start bit; all has been said */
    }
    s->ee_shift = s->ee_shift << 1 | di;
    s->ee_count++;
    if (s->ee_count == 9 || s->ee_count == 25) {
        ee_command(s);
    }
}

void e1000_eecd_write(struct e1000 *c, uint32_t val)
{
    struct e1000_state *s = &c->s;
    bool rise = (val & EECD_SK) && !(s->eecd & EECD_SK);
    s->eecd = (s->eecd & ~(uint32_t)EECD_STORED) | (val & EECD_STORED);
    if (!(val & EECD_CS)) {
        s->ee_count = 0;
        s->ee_shift = 0;
        s->ee_reading = false;
        s->eecd |= EECD_DO; /* pulled up; and ready, when it is selected again */
    } else if (rise) {
        ee_clock(s, val & EECD_DI);
    }
}

uint32_t e1000_eecd_read(const struct e1000 *c)
{
    uint32_t v = c->s.eecd;
    return v | EECD_PRES | (v & EECD_REQ ? EECD_GNT : 0);
}
