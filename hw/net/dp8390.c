/*
 * DP8390D core: register pages, receive ring, remote DMA, transmission, loopback; see dp8390.h.
 *
 * A frame leaves when its last bit would (the transmit timer), and memory is read then. A received
 * frame arrives whole. The receive ring never fills so far that CURR meets BNRY, so that a ring
 * whose pointers are equal, as some drivers leave it, is an empty one.
 *
 * Left out: collisions and carrier loss (a switched cable has none), receive errors, big-endian
 * word order.
 *
 * Sources: DP8390D/NS32490D datasheet (July 1995), sections 5 (packet reception), 6
 * (transmission), 7 (remote DMA), 10 (registers), 12 (loopback); NE2000 address map: PROM at 0,
 * memory at 4000h.
 */
#include "hw/net/dp8390.h"

#include <string.h>

#include "util/bits.h"

ST_DESCRIBE(dp8390_state, DP8390_STATE, 1);

enum {
    CR_STP = 0x01,
    CR_STA = 0x02,
    CR_TXP = 0x04,
    CR_RD = 0x38,
    CR_READ = 0x08,
    CR_WRITE = 0x10,
    CR_SEND = 0x18,
    CR_ABORT = 0x20,

    ISR_PRX = 0x01,
    ISR_PTX = 0x02,
    ISR_OVW = 0x10,
    ISR_CNT = 0x20,
    ISR_RDC = 0x40,
    ISR_RST = 0x80,

    DCR_WTS = 0x01,
    TCR_CRC = 0x01,
    TCR_LB = 0x06,
    TSR_PTX = 0x03, /* with bit 1, which reads 1 */
    TSR_CRS = 0x10,
    TSR_CDH = 0x40,

    RCR_AB = 0x04,
    RCR_AM = 0x08,
    RCR_PRO = 0x10,
    RCR_MON = 0x20,
    RSR_PRX = 0x01,
    RSR_CRC = 0x02,
    RSR_MPA = 0x10,
    RSR_PHY = 0x20,
    RSR_DIS = 0x40,

    MISSED = 2,
    TALLY_MAX = 192,
    MEM_BASE = 0x4000,
};

static void update_irq(struct dp8390 *c)
{
    c->irq(c->dev, c->s->isr & c->s->imr & 0x7f);
}

static void raise_isr(struct dp8390 *c, uint8_t bits)
{
    c->s->isr |= bits;
    update_irq(c);
}

/* --- The card's 64 KiB --- */

static uint8_t mem_get(const struct dp8390 *c, uint16_t addr)
{
    if (addr < sizeof c->prom) {
        return c->prom[addr];
    }
    unsigned at = (unsigned)addr - MEM_BASE;
    return at < DP8390_MEM ? c->s->mem[at] : 0xff;
}

static void mem_put(struct dp8390 *c, uint16_t addr, uint8_t val)
{
    unsigned at = (unsigned)addr - MEM_BASE;
    if (at < DP8390_MEM) {
        c->s->mem[at] = val;
    }
}

/* The next address of the receive ring or of remote DMA: PSTOP wraps to PSTART. */
static uint16_t advance(const struct dp8390 *c, uint16_t addr)
{
    addr++;
    if (addr == c->s->pstop << 8) {
        addr = (uint16_t)(c->s->pstart << 8);
    }
    return addr;
}

/* --- Reception --- */

static void count(struct dp8390 *c, unsigned which)
{
    uint8_t *n = &c->s->tally[which];
    if (*n < TALLY_MAX) {
        ++*n;
    }
    if (*n & 0x80) {
        raise_isr(c, ISR_CNT);
    }
}

static bool wanted(const struct dp8390_state *s, const uint8_t *mac)
{
    if (net_is_broadcast(mac)) {
        return s->rcr & RCR_AB;
    }
    if (mac[0] & 1) {
        unsigned h = net_hash6(mac);
        return (s->rcr & RCR_AM) && (s->mar[h >> 3] >> (h & 7) & 1);
    }
    return (s->rcr & RCR_PRO) || memcmp(mac, s->par, 6) == 0;
}

/* Is there room for n pages from CURR on, leaving one before BNRY? */
static bool room(const struct dp8390_state *s, unsigned n)
{
    if (s->pstop <= s->pstart) {
        return false;
    }
    unsigned ring = s->pstop - s->pstart;
    unsigned at = s->curr >= s->pstart && s->curr < s->pstop ? s->curr - s->pstart : 0;
    unsigned end = s->bnry >= s->pstart && s->bnry < s->pstop ? s->bnry - s->pstart : 0;
    unsigned left = (end + ring - at) % ring;
    return n < (left ? left : ring);
}

static void store(struct dp8390 *c, const uint8_t *frame, uint32_t len)
{
    struct dp8390_state *s = c->s;
    uint8_t tail[4], head[4];
    uint32_t total = len + 4;
    unsigned pages = (total + 4 + 255) / 256;
    le32_put(tail, net_fcs(frame, len));
    unsigned next = (s->curr >= s->pstart && s->curr < s->pstop ? s->curr : s->pstart) + pages;
    next = next >= s->pstop ? next - (s->pstop - s->pstart) : next;
    head[0] = s->rsr;
    head[1] = (uint8_t)next;
    le16_put(head + 2, (uint16_t)total);
    uint16_t at = (uint16_t)(s->curr << 8);
    for (uint32_t i = 0; i < total + 4; i++) {
        uint8_t b = i < 4 ? head[i] : i < len + 4 ? frame[i - 4] : tail[i - len - 4];
        mem_put(c, at, b);
        at = advance(c, at);
    }
    s->clda = at;
    s->curr = (uint8_t)next;
}

/* From the cable. A frame that the ring has no room for is held there, as a switch does that jams a
 * half-duplex link; only when frames are lost behind it does the ring overflow. */
static bool take(void *ctx, const uint8_t *frame, uint32_t len)
{
    struct dp8390 *c = ctx;
    struct dp8390_state *s = c->s;
    if ((s->cr & (CR_STP | CR_STA)) != CR_STA || (s->tcr & TCR_LB) || !wanted(s, frame)) {
        return true;
    }
    if (!(s->rcr & RCR_MON) && !room(s, (len + 8 + 255) / 256)) {
        return false;
    }
    s->rsr = frame[0] & 1 ? RSR_PHY : 0;
    if (s->rcr & RCR_MON) {
        s->rsr |= RSR_MPA | RSR_DIS;
        count(c, MISSED);
    } else {
        s->rsr |= RSR_PRX;
        store(c, frame, len);
        raise_isr(c, ISR_PRX);
    }
    return true;
}

static void lost(void *ctx)
{
    struct dp8390 *c = ctx;
    struct dp8390_state *s = c->s;
    if ((s->cr & (CR_STP | CR_STA)) == CR_STA && !(s->tcr & TCR_LB)) {
        s->rsr |= RSR_MPA;
        count(c, MISSED);
        raise_isr(c, ISR_OVW);
    }
}

/* --- Transmission --- */

/* Loopback: the frame and its CRC run through the FIFO, the byte count follows (section 12). */
static void loop_back(struct dp8390 *c, const uint8_t *frame, uint32_t len)
{
    struct dp8390_state *s = c->s;
    uint8_t tail[4];
    uint32_t total = len + (s->tcr & TCR_CRC ? 0 : 4);
    le32_put(tail, net_fcs(frame, len));
    for (uint32_t i = 0; i < total; i++) {
        s->fifo[i % 8] = i < len ? frame[i] : tail[i - len];
    }
    s->fifo[total % 8] = (uint8_t)total;
    s->fifo[(total + 1) % 8] = (uint8_t)(total >> 8);
    s->fifo[(total + 2) % 8] = (uint8_t)(total >> 8);
    s->fifo_at = 0;
    s->rsr = s->tcr & TCR_CRC ? 0 : RSR_CRC;
}

static void on_sent(void *ctx)
{
    struct dp8390 *c = ctx;
    struct dp8390_state *s = c->s;
    uint8_t frame[NET_FRAME_MAX];
    uint32_t len = s->tbcr < sizeof frame ? s->tbcr : sizeof frame;
    for (uint32_t i = 0; i < len; i++) {
        frame[i] = mem_get(c, (uint16_t)((s->tpsr << 8) + i));
    }
    s->tsr = TSR_PTX;
    unsigned loop = (s->tcr & TCR_LB) >> 1;
    if (loop) {
        loop_back(c, frame, len);
        s->tsr |= (uint8_t)(loop < 3 ? TSR_CDH | (loop == 1 ? TSR_CRS : 0) : 0);
    } else {
        net_send(c->port.net, frame, len);
    }
    s->cr &= (uint8_t)~CR_TXP;
    raise_isr(c, ISR_PTX);
}

/* --- Remote DMA --- */

static void remote_step(struct dp8390 *c, unsigned n)
{
    struct dp8390_state *s = c->s;
    for (unsigned i = 0; i < n; i++) {
        s->crda = advance(c, s->crda);
    }
    s->rbcr = (uint16_t)(s->rbcr > n ? s->rbcr - n : 0);
    if (!s->rbcr) {
        if ((s->cr & CR_RD) == CR_SEND) {
            s->bnry = s->rnpp;
        }
        raise_isr(c, ISR_RDC);
    }
}

/* One cycle at the data port: a byte, or with WTS a word. */
static uint16_t data_read(struct dp8390 *c)
{
    struct dp8390_state *s = c->s;
    unsigned rd = s->cr & CR_RD, n = s->dcr & DCR_WTS ? 2 : 1;
    if (!s->rbcr || (rd != CR_READ && rd != CR_SEND)) {
        return 0xffff;
    }
    uint16_t v = mem_get(c, s->crda);
    v |= (uint16_t)(n == 2 ? mem_get(c, (uint16_t)(s->crda + 1)) << 8 : 0xff00);
    remote_step(c, n);
    return v;
}

static void data_write(struct dp8390 *c, uint16_t val)
{
    struct dp8390_state *s = c->s;
    unsigned n = s->dcr & DCR_WTS ? 2 : 1;
    if (!s->rbcr || (s->cr & CR_RD) != CR_WRITE) {
        return;
    }
    mem_put(c, s->crda, (uint8_t)val);
    if (n == 2) {
        mem_put(c, (uint16_t)(s->crda + 1), (uint8_t)(val >> 8));
    }
    remote_step(c, n);
}

/* --- Registers --- */

static void command(struct dp8390 *c, uint8_t val)
{
    struct dp8390_state *s = c->s;
    s->cr = (uint8_t)((val & ~CR_TXP) | (s->cr & CR_TXP));
    if (val & CR_STP) {
        s->isr |= ISR_RST;
        return;
    }
    s->isr &= (uint8_t)~ISR_RST;
    switch (val & CR_RD) {
    case CR_SEND:
        s->crda = (uint16_t)(s->bnry << 8);
        s->rnpp = mem_get(c, (uint16_t)(s->crda + 1));
        s->rbcr = (uint16_t)(mem_get(c, (uint16_t)(s->crda + 2)) |
                             mem_get(c, (uint16_t)(s->crda + 3)) << 8);
        break;
    case CR_READ:
    case CR_WRITE:
        s->crda = s->rsar;
        break;
    default:
        break;
    }
    if ((val & CR_RD) && !(val & CR_ABORT) && !s->rbcr) {
        raise_isr(c, ISR_RDC);
    }
    if ((val & CR_TXP) && !timer_pending(&c->tx)) {
        s->cr |= CR_TXP;
        timer_set(&c->tx, clock_now(c->dev->env->clock) + net_port_time(&c->port, s->tbcr));
    }
}

static uint8_t page0_read(struct dp8390 *c, unsigned reg)
{
    struct dp8390_state *s = c->s;
    uint8_t v;
    switch (reg) {
    case 0x01:
        return (uint8_t)s->clda;
    case 0x02:
        return (uint8_t)(s->clda >> 8);
    case 0x03:
        return s->bnry;
    case 0x04:
        return s->tsr;
    case 0x06:
        v = s->fifo[s->fifo_at & 7];
        s->fifo_at = (uint8_t)((s->fifo_at + 1) & 7);
        return v;
    case 0x07:
        return s->isr;
    case 0x08:
        return (uint8_t)s->crda;
    case 0x09:
        return (uint8_t)(s->crda >> 8);
    case 0x0a: /* 8029ID0, 8029ID1 (RTL8029AS, 5.1) */
        return 0x50;
    case 0x0b:
        return 0x43;
    case 0x0c:
        return s->rsr;
    case 0x0d:
    case 0x0e:
    case 0x0f:
        v = s->tally[reg - 0x0d];
        s->tally[reg - 0x0d] = 0;
        return v;
    default: /* 05h: collisions of the last frame */
        return 0;
    }
}

static void page0_write(struct dp8390 *c, unsigned reg, uint8_t v)
{
    struct dp8390_state *s = c->s;
    switch (reg) {
    case 0x01:
        s->pstart = v;
        break;
    case 0x02:
        s->pstop = v;
        break;
    case 0x03:
        s->bnry = v;
        break;
    case 0x04:
        s->tpsr = v;
        break;
    case 0x05:
        s->tbcr = (uint16_t)((s->tbcr & 0xff00) | v);
        break;
    case 0x06:
        s->tbcr = (uint16_t)((s->tbcr & 0xff) | v << 8);
        break;
    case 0x07: /* RST is no latch */
        s->isr &= (uint8_t) ~(v & 0x7f);
        update_irq(c);
        break;
    case 0x08:
        s->rsar = (uint16_t)((s->rsar & 0xff00) | v);
        break;
    case 0x09:
        s->rsar = (uint16_t)((s->rsar & 0xff) | v << 8);
        break;
    case 0x0a:
        s->rbcr = (uint16_t)((s->rbcr & 0xff00) | v);
        break;
    case 0x0b:
        s->rbcr = (uint16_t)((s->rbcr & 0xff) | v << 8);
        break;
    case 0x0c:
        s->rcr = v & 0x3f;
        break;
    case 0x0d:
        s->tcr = v & 0x1f;
        break;
    case 0x0e:
        s->dcr = v & 0x7f;
        break;
    case 0x0f:
        s->imr = v & 0x7f;
        update_irq(c);
        break;
    default:
        break;
    }
}

static uint8_t page2_read(const struct dp8390 *c, unsigned reg)
{
    const struct dp8390_state *s = c->s;
    const uint8_t at[16] = {0,
                            s->pstart,
                            s->pstop,
                            s->rnpp,
                            s->tpsr,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            (uint8_t)(s->rcr | 0xc0),
                            (uint8_t)(s->tcr | 0xe0),
                            (uint8_t)(s->dcr | 0x80),
                            (uint8_t)(s->imr | 0x80)};
    return at[reg];
}

static uint8_t reg_read(struct dp8390 *c, unsigned reg)
{
    struct dp8390_state *s = c->s;
    if (reg == 0) {
        return s->cr;
    }
    switch (s->cr >> 6) {
    case 0:
        return page0_read(c, reg);
    case 1:
        return reg < 7 ? s->par[reg - 1] : reg == 7 ? s->curr : s->mar[reg - 8];
    case 2:
        return page2_read(c, reg);
    default:
        return 0;
    }
}

static void reg_write(struct dp8390 *c, unsigned reg, uint8_t val)
{
    struct dp8390_state *s = c->s;
    if (reg == 0) {
        command(c, val);
        return;
    }
    switch (s->cr >> 6) {
    case 0:
        page0_write(c, reg, val);
        break;
    case 1:
        *(reg < 7 ? &s->par[reg - 1] : reg == 7 ? &s->curr : &s->mar[reg - 8]) = val;
        break;
    default:
        break;
    }
}

/* The reset line of the chip: RAM, filters and pointers survive. */
static void chip_reset(struct dp8390 *c)
{
    struct dp8390_state *s = c->s;
    timer_cancel(&c->tx);
    s->cr = CR_ABORT | CR_STP;
    s->isr = ISR_RST;
    s->imr = 0;
    s->tcr &= (uint8_t)~TCR_LB;
    s->dcr &= (uint8_t)~0x04; /* LAS */
    s->rbcr = 0;
    update_irq(c);
}

uint64_t dp8390_read(struct dp8390 *c, uint64_t off, unsigned size)
{
    uint64_t v = 0;
    if (off >= 0x10 && off < 0x18) {
        v = data_read(c);
        return size == 4 ? v | (uint64_t)data_read(c) << 16 : v;
    }
    for (unsigned i = 0; i < size; i++) {
        unsigned reg = (unsigned)(off + i) & 0x1f;
        uint8_t b = 0xff;
        if (reg < 0x10) {
            b = reg_read(c, reg);
        } else if (reg >= 0x18) {
            chip_reset(c);
        }
        v |= (uint64_t)b << (8 * i);
    }
    return v;
}

void dp8390_write(struct dp8390 *c, uint64_t off, unsigned size, uint64_t val)
{
    if (off >= 0x10 && off < 0x18) {
        data_write(c, (uint16_t)val);
        if (size == 4) {
            data_write(c, (uint16_t)(val >> 16));
        }
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        unsigned reg = (unsigned)(off + i) & 0x1f;
        if (reg < 0x10) {
            reg_write(c, reg, (uint8_t)(val >> (8 * i)));
        }
    }
    net_port_retry(&c->port); /* BNRY moved, or it was stopped */
}

/* --- Life --- */

bool dp8390_init(struct dp8390 *c, const char *mac, uint32_t mbps, struct err *e)
{
    uint8_t addr[6];
    if (!net_mac(mac, c->port.net, addr, e)) {
        return false;
    }
    for (unsigned i = 0; i < 16; i++) { /* every byte twice, as a 16-bit card shows it */
        c->prom[2 * i] = c->prom[2 * i + 1] = i < 6 ? addr[i] : i < 14 ? 0 : 0x57;
    }
    c->port.dev = c->dev;
    c->port.s = c->s->queue;
    c->port.mbps = mbps;
    c->port.take = take;
    c->port.lost = lost;
    c->port.ctx = c;
    net_port_init(&c->port);
    timer_init(&c->tx, c->dev->env->clock, &c->s->sent, on_sent, c);
    return true;
}

void dp8390_reset(struct dp8390 *c)
{
    struct dp8390_state *s = c->s;
    net_port_reset(&c->port);
    timer_cancel(&c->tx);
    memset(s, 0, offsetof(struct dp8390_state, sent));
    chip_reset(c);
}

void dp8390_restored(struct dp8390 *c)
{
    net_port_restored(&c->port);
}
