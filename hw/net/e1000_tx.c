/*
 * The 82540EM's transmit side: descriptors, checksum and VLAN insertion, segmentation.
 *
 * A packet is gathered from its descriptors when the cable is free; descriptors are done and their
 * interrupts due at that instant, since their data is in the FIFO. The frame leaves when its last
 * bit would, and then the next one is gathered. A long TCP packet is gathered one segment at a
 * time, a place in a descriptor being remembered (tx_off), so that each event does the work of one
 * frame and looks at a bounded number of descriptors, whatever the ring holds.
 *
 * Frames leave without FCS, so IFCS is taken for granted. Write-back is never put off (WTHRESH).
 *
 * Source: SDM 3.3 (descriptors), 3.4 (ring), 3.5 (segmentation), 3.6 (checksums), 9 (802.1q).
 */
#include <string.h>

#include "hw/hw.h"
#include "hw/net/e1000.h"
#include "util/bits.h"

enum {
    LOOKS = 64,      /* descriptors an event may take that end no frame */
    PAUSE_NS = 1000, /* then */
    TX_MAX = 16288,  /* bytes of a frame (SDM 3.3) */
    DESC_BYTES = 16,

    CMD_EOP = 0x01,
    CMD_IC = 0x04,  /* legacy */
    CMD_TSE = 0x04, /* data */
    CMD_RS = 0x08,
    CMD_DEXT = 0x20,
    CMD_VLE = 0x40,
    CMD_IDE = 0x80,
    STA_DD = 1,
    POPTS_IXSM = 1,
    POPTS_TXSM = 2,
    TUCMD_TCP = 1,
    TUCMD_IP = 2,
    TUCMD_TSE = 4,
    TCP_FIN_PSH = 0x09,
};

struct tx_desc {
    uint64_t at; /* its address */
    uint64_t buf;
    uint32_t len, word3;
    uint8_t cmd;
    bool ext, context;
};

uint32_t e1000_sum(uint32_t start, const uint8_t *data, uint32_t len)
{
    uint64_t sum = start;
    for (uint32_t i = 0; i + 1 < len; i += 2) {
        sum += be16_get(data + i);
    }
    if (len & 1) {
        sum += (uint64_t)data[len - 1] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint32_t)sum;
}

/* --- What is put into a frame --- */

/* The sum of [start, end], or to the end of the frame if end is 0, at offset `at`. Nothing when
 * that is not in the frame. */
static void put_sum(struct e1000_state *s, uint32_t at, uint32_t start, uint32_t end, bool no_zero)
{
    uint32_t len = end && end < s->tx_len ? end + 1 : s->tx_len;
    if (start >= len || at + 1 >= s->tx_len) {
        return;
    }
    uint16_t sum = (uint16_t)~e1000_sum(0, s->tx_buf + start, len - start);
    be16_put(s->tx_buf + at, sum == 0 && no_zero ? 0xffff : sum);
}

/* A field of the headers, or NULL when a hostile context puts it outside of the frame. */
static uint8_t *field(struct e1000_state *s, uint32_t at, uint32_t len)
{
    return at + len <= s->tx_len ? s->tx_buf + at : NULL;
}

/* The headers of one segment (SDM 3.5.6): lengths, IP identification, TCP sequence and flags, and
 * the length that the pseudo header's sum in the checksum field lacks. */
static void patch_segment(struct e1000_state *s)
{
    const struct e1000_ctx *x = &s->ctx[1];
    uint32_t tulen = s->tx_len > x->tucss ? s->tx_len - x->tucss : 0;
    uint8_t *f = field(s, x->ipcss, 8);
    if (f && (x->tucmd & TUCMD_IP)) {
        be16_put(f + 2, (uint16_t)(s->tx_len - x->ipcss));
        be16_put(f + 4, (uint16_t)(be16_get(f + 4) + s->tx_segments));
    } else if (f) { /* IPv6 does not count its own 40 bytes */
        be16_put(f + 4, (uint16_t)(s->tx_len - x->ipcss - 40));
    }
    f = field(s, x->tucss, 14);
    if (f && (x->tucmd & TUCMD_TCP)) {
        be32_put(f + 4, be32_get(f + 4) + s->tx_sofar);
        if (s->tx_sofar + x->mss < x->paylen) {
            f[13] &= (uint8_t)~TCP_FIN_PSH;
        }
    } else if (f) {
        be16_put(f + 4, (uint16_t)tulen);
    }
    f = field(s, x->tucso, 2);
    if (f && (s->tx_popts & POPTS_TXSM)) {
        uint32_t sum = be16_get(f) + tulen;
        sum = (sum & 0xffff) + (sum >> 16);
        be16_put(f, (uint16_t)((sum & 0xffff) + (sum >> 16)));
    }
}

static void insert_tag(struct e1000 *c)
{
    struct e1000_state *s = &c->s;
    if (!s->tx_vle || !(s->ctrl & CTRL_VME) || s->tx_len < 12 || s->tx_len + 4 > NET_FRAME_MAX) {
        return;
    }
    memmove(s->tx_buf + 16, s->tx_buf + 12, s->tx_len - 12);
    be16_put(s->tx_buf + 12, (uint16_t)s->vet);
    be16_put(s->tx_buf + 14, s->tx_tci);
    s->tx_len += 4;
}

/* tx_buf holds a frame: finish it and put it on the cable. */
static void frame_ready(struct e1000 *c)
{
    struct e1000_state *s = &c->s;
    const struct e1000_ctx *x = &s->ctx[s->tx_tse];
    if (s->tx_tse) {
        if (s->tx_segments == 0) {
            memcpy(s->tx_header, s->tx_buf, x->hdrlen);
        }
        patch_segment(s);
    }
    if (s->tx_popts & POPTS_TXSM) {
        put_sum(s, x->tucso, x->tucss, x->tucse, true);
    }
    if (s->tx_popts & POPTS_IXSM) {
        put_sum(s, x->ipcso, x->ipcss, x->ipcse, false);
    }
    insert_tag(c);
    if ((s->tctl & TCTL_PSP) && s->tx_len < NET_FRAME_MIN) {
        memset(s->tx_buf + s->tx_len, 0, NET_FRAME_MIN - s->tx_len);
        s->tx_len = NET_FRAME_MIN;
    }
    s->tx_ready = true;
}

/* --- Descriptors --- */

static uint32_t ring_size(const struct e1000_state *s)
{
    return s->tdlen / DESC_BYTES;
}

static bool running(const struct e1000_state *s)
{
    return (s->tctl & TCTL_EN) && s->tdlen && s->tdh != s->tdt;
}

static void fetch(struct e1000 *c, struct tx_desc *d)
{
    struct e1000_state *s = &c->s;
    uint8_t raw[DESC_BYTES];
    if (s->tdh >= ring_size(s)) {
        s->tdh = 0;
    }
    d->at = ((uint64_t)s->tdbah << 32 | s->tdbal) + (uint64_t)s->tdh * DESC_BYTES;
    pci_dma_read(&c->pci, d->at, raw, sizeof raw);
    uint32_t word2 = le32_get(raw + 8);
    d->buf = le64_get(raw);
    d->word3 = le32_get(raw + 12);
    d->cmd = (uint8_t)(word2 >> 24);
    d->ext = d->cmd & CMD_DEXT;
    d->context = d->ext && (word2 >> 20 & 15) == 0;
    d->len = d->buf ? word2 & (d->ext ? 0xfffff : 0xffff) : 0; /* a null address moves no data */
    if (d->context) {
        struct e1000_ctx *x = &s->ctx[(d->cmd & TUCMD_TSE) != 0];
        *x = (struct e1000_ctx){
            .ipcss = raw[0],
            .ipcso = raw[1],
            .ipcse = le16_get(raw + 2),
            .tucss = raw[4],
            .tucso = raw[5],
            .tucse = le16_get(raw + 6),
            .paylen = word2 & 0xfffff,
            .tucmd = d->cmd,
            .hdrlen = raw[13],
            .mss = le16_get(raw + 14),
        };
        if (d->cmd & TUCMD_TSE) {
            e1000_count(c, STAT_TSCTC);
        }
        s->tx_off = d->len = 0;
    } else if (s->tx_first) {
        s->tx_tse = d->ext && (d->cmd & CMD_TSE);
        s->tx_popts = d->ext ? (uint8_t)(d->word3 >> 8 & 3) : 0;
        s->tx_cso = (uint8_t)(word2 >> 16); /* of a legacy descriptor, as is CSS */
        s->tx_css = (uint8_t)(d->word3 >> 8);
        s->tx_sofar = s->tx_len = s->tx_segments = 0;
        s->tx_vle = s->tx_tse && (d->cmd & CMD_VLE);
        s->tx_tci = (uint16_t)(d->word3 >> 16);
        s->tx_bad = s->tx_tse && (!s->ctx[1].mss || !s->ctx[1].hdrlen);
        s->tx_first = false;
    }
}

/* How many bytes make the frame whole: a segment's, or as many as there may be. */
static uint32_t frame_limit(const struct e1000_state *s)
{
    uint32_t n = s->tx_tse ? (uint32_t)s->ctx[1].hdrlen + s->ctx[1].mss : TX_MAX;
    return n < TX_MAX ? n : TX_MAX;
}

/* Take from the descriptor's buffer what the frame has room for. True: that was all of it. */
static bool gather(struct e1000 *c, const struct tx_desc *d)
{
    struct e1000_state *s = &c->s;
    uint32_t left = d->len > s->tx_off ? d->len - s->tx_off : 0;
    uint32_t limit = frame_limit(s), room = limit > s->tx_len ? limit - s->tx_len : 0;
    if (left > room && !s->tx_tse) {
        s->tx_bad = true; /* longer than any frame */
    }
    if (s->tx_bad) {
        return true;
    }
    uint32_t n = left < room ? left : room;
    pci_dma_read(&c->pci, d->buf + s->tx_off, s->tx_buf + s->tx_len, n);
    s->tx_len += n;
    s->tx_off += n;
    return n == left;
}

static void report(struct e1000 *c, const struct tx_desc *d)
{
    struct e1000_state *s = &c->s;
    uint32_t left = ring_size(s) ? (s->tdt + ring_size(s) - s->tdh) % ring_size(s) : 0;
    if (left && left == (s->txdctl >> 25) * 8) {
        e1000_cause(c, E1000_TXD_LOW);
    }
    if (d->cmd & CMD_RS) {
        uint8_t word3[4];
        le32_put(word3, d->word3 | STA_DD);
        pci_dma_write(&c->pci, d->at + 12, word3, sizeof word3);
        if ((d->cmd & CMD_IDE) && s->tidv) {
            e1000_delay(c, &c->tx_delay, s->tidv);
            if (s->tadv && !timer_pending(&c->tx_abs)) {
                e1000_delay(c, &c->tx_abs, s->tadv);
            }
        } else {
            e1000_cause(c, E1000_TXDW);
        }
    }
    if (s->tdh == s->tdt) {
        e1000_cause(c, E1000_TXQE);
    }
}

/* The descriptor is used up. */
static void finish(struct e1000 *c, const struct tx_desc *d)
{
    struct e1000_state *s = &c->s;
    s->tx_off = 0;
    s->tdh = s->tdh + 1 >= ring_size(s) ? 0 : s->tdh + 1;
    if (!d->context && (d->cmd & CMD_EOP)) {
        bool empty = s->tx_tse ? s->tx_len <= s->ctx[1].hdrlen && s->tx_segments : !s->tx_len;
        if (!s->tx_tse) {
            s->tx_vle = d->cmd & CMD_VLE;
            s->tx_tci = (uint16_t)(d->word3 >> 16);
        }
        if (!s->tx_bad && !empty) {
            if (!d->ext && (d->cmd & CMD_IC)) {
                put_sum(s, s->tx_cso, s->tx_css, 0, false);
            }
            frame_ready(c);
        }
        s->tx_first = true;
    }
    report(c, d);
}

static void step(struct e1000 *c)
{
    struct e1000_state *s = &c->s;
    struct tx_desc d;
    fetch(c, &d);
    bool all = d.context || gather(c, &d);
    bool last = all && !d.context && (d.cmd & CMD_EOP);
    if (all) {
        finish(c, &d);
    }
    if (!last && !d.context && s->tx_tse && !s->tx_bad && !s->tx_ready &&
        s->tx_len == frame_limit(s)) {
        frame_ready(c); /* a segment; more follow */
    }
}

/* --- The cable --- */

static void count_sent(struct e1000 *c, uint32_t len)
{
    const uint8_t *f = c->s.tx_buf;
    e1000_count(c, STAT_TPT);
    e1000_count(c, STAT_GPTC);
    e1000_count_octets(c, STAT_TOT, len + 4);
    e1000_count_octets(c, STAT_GOTC, len + 4);
    e1000_count_size(c, STAT_PTC64, len + 4);
    if (f[0] & 1) {
        e1000_count(c, net_is_broadcast(f) ? STAT_BPTC : STAT_MPTC);
    }
}

/* The last bit is out: hand the frame over, and begin the next segment if there is one. */
static void send(struct e1000 *c)
{
    struct e1000_state *s = &c->s;
    uint32_t len = s->tx_len <= NET_FRAME_MAX ? s->tx_len : NET_FRAME_MAX;
    s->tx_ready = false;
    count_sent(c, len);
    if ((s->rctl & RCTL_LBM) || e1000_phy_loopback(c)) {
        if ((s->rctl & RCTL_EN) && !e1000_receive(c, s->tx_buf, len)) {
            e1000_lost(c);
        }
    } else if (e1000_link_up(c)) {
        net_send(c->net, s->tx_buf, len);
    }
    if (s->tx_tse && !s->tx_first) {
        s->tx_sofar += s->ctx[1].mss;
        s->tx_segments++;
        s->tx_len = s->ctx[1].hdrlen;
        memcpy(s->tx_buf, s->tx_header, s->tx_len);
    }
}

static void on_next(void *ctx)
{
    struct e1000 *c = ctx;
    struct e1000_state *s = &c->s;
    vtime now = clock_now(c->dev.env->clock);
    if (s->tx_ready) {
        send(c);
    }
    for (unsigned i = 0; i < LOOKS && running(s) && !s->tx_ready; i++) {
        step(c);
    }
    if (s->tx_ready) {
        timer_set(&c->tx_next, now + net_port_time(&c->port, s->tx_len));
    } else if (running(s)) {
        timer_set(&c->tx_next, now + PAUSE_NS);
    }
}

void e1000_tx_start(struct e1000 *c)
{
    if (running(&c->s) && !timer_pending(&c->tx_next)) {
        timer_set(&c->tx_next, clock_now(c->dev.env->clock));
    }
}

void e1000_tx_init(struct e1000 *c)
{
    timer_init(&c->tx_next, c->dev.env->clock, &c->s.tx_next, on_next, c);
}

void e1000_tx_restored(struct e1000 *c)
{
    struct e1000_state *s = &c->s;
    if (s->tx_len > NET_FRAME_MAX) { /* nothing that this code wrote */
        s->tx_len = 0;
        s->tx_bad = true;
    }
}

void e1000_tx_reset(struct e1000 *c)
{
    struct e1000_state *s = &c->s;
    timer_cancel(&c->tx_next);
    memset(s->ctx, 0, sizeof s->ctx);
    memset(s->tx_buf, 0, sizeof s->tx_buf);
    memset(s->tx_header, 0, sizeof s->tx_header);
    s->tx_len = s->tx_off = s->tx_sofar = 0;
    s->tx_first = true;
    s->tx_ready = s->tx_bad = s->tx_tse = s->tx_vle = false;
    s->tx_popts = s->tx_cso = s->tx_css = 0;
    s->tx_tci = s->tx_segments = 0;
}
