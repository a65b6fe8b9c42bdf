/*
 * The 82540EM's receive side: filters, checksum checks, the descriptor ring, its interrupts.
 *
 * A frame is taken whole, when as many descriptors are free as it needs; until then it waits in the
 * receive FIFO (net_port's queue) with all behind it, and when that is full, frames are lost
 * (RXO, MPC). A frame of the guest's own by loopback does not wait.
 *
 * What always holds: taking a frame uses at most MAX_DESCS descriptors.
 *
 * Sources: SDM 3.2 (reception), 13.4.22 (RCTL), 13.5 (filters), 13.4.26-13.4.29, 9 (802.1q).
 */
#include <string.h>

#include "hw/hw.h"
#include "hw/net/e1000.h"
#include "util/bits.h"

enum {
    RCTL_UPE = 1 << 3,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_BAM = 1 << 15,
    RCTL_VFE = 1 << 18,
    RCTL_CFIEN = 1 << 19,
    RCTL_CFI = 1 << 20,
    RCTL_DPF = 1 << 22,
    RCTL_BSEX = 1 << 25,
    RCTL_SECRC = 1 << 26,

    RXCSUM_IPOFL = 1 << 8,
    RXCSUM_TUOFL = 1 << 9,

    STA_DD = 0x01,
    STA_EOP = 0x02,
    STA_IXSM = 0x04,
    STA_VP = 0x08,
    STA_TCPCS = 0x20,
    STA_IPCS = 0x40,
    STA_PIF = 0x80,
    ERR_TCPE = 0x20,
    ERR_IPE = 0x40,

    DESC_BYTES = 16,
    MAX_DESCS = 256,
    MAX_SHORT = 1522, /* bytes with FCS, unless LPE */
    MIN_FRAME = 64,
};

struct rx {
    uint8_t data[NET_FRAME_MAX + 4];
    uint32_t len;  /* as stored */
    uint32_t wire; /* on the cable, with FCS */
    uint16_t sum, tci;
    uint8_t status, errors;
};

/* --- Filters --- */

/* 0: not for us; STA_PIF or'ed with 1: only by an inexact filter. */
static unsigned match(const struct e1000_state *s, const uint8_t *mac)
{
    if (net_is_broadcast(mac) && (s->rctl & RCTL_BAM)) {
        return 1;
    }
    uint32_t low = le32_get(mac), high = le16_get(mac + 4);
    for (unsigned i = 0; i < E1000_RA; i += 2) {
        if ((s->ra[i + 1] >> 31) && s->ra[i] == low && (s->ra[i + 1] & 0x3ffff) == high) {
            return 1;
        }
    }
    if (!(mac[0] & 1)) {
        return s->rctl & RCTL_UPE ? 1 | STA_PIF : 0;
    }
    static const uint8_t shift[4] = {4, 3, 2, 0}; /* RCTL.MO */
    unsigned hash = high >> shift[s->rctl >> 12 & 3] & 0xfff;
    bool hit = s->mta[hash >> 5] >> (hash & 31) & 1;
    return hit || (s->rctl & RCTL_MPE) ? 1 | STA_PIF : 0;
}

static bool is_tagged(const struct e1000_state *s, const uint8_t *frame, uint32_t len)
{
    return len >= 18 && be16_get(frame + 12) == (s->vet & 0xffff);
}

static bool vlan_wanted(const struct e1000_state *s, const uint8_t *frame, uint32_t len)
{
    if (!(s->rctl & RCTL_VFE) || !is_tagged(s, frame, len)) {
        return true;
    }
    unsigned tci = be16_get(frame + 14), vid = tci & 0xfff;
    bool cfi_bad = (s->rctl & RCTL_CFIEN) && (tci >> 12 & 1) != ((s->rctl & RCTL_CFI) != 0);
    return !cfi_bad && (s->vfta[vid >> 5] >> (vid & 31) & 1);
}

/* XOFF and XON of 802.3x go no further if DPF says so. */
static bool is_pause(const uint8_t *frame)
{
    static const uint8_t to[6] = {0x01, 0x80, 0xc2, 0, 0, 1};
    return memcmp(frame, to, 6) == 0 && be16_get(frame + 12) == 0x8808;
}

/* --- Checksums (SDM 3.2.9) --- */

/* At offset `at` of an unfragmented packet: TCP or UDP of protocol `proto`; pseudo: the sum of its
 * pseudo header's addresses. */
static void check_payload(struct rx *r, uint32_t at, uint32_t len, uint8_t proto, uint32_t pseudo)
{
    bool udp = proto == 17;
    if ((proto != 6 && !udp) || len < (udp ? 8u : 20u) ||
        (udp && be16_get(r->data + at + 6) == 0)) {
        return;
    }
    r->status |= STA_TCPCS;
    if (e1000_sum(pseudo + proto + len, r->data + at, len) != 0xffff) {
        r->errors |= ERR_TCPE;
    }
}

static void check_sums(const struct e1000_state *s, struct rx *r, uint32_t n)
{
    uint32_t type = n >= 34 ? be16_get(r->data + 12) : 0, start = s->rxcsum & 0xff;
    uint32_t at = 14;
    r->sum = start < n ? (uint16_t)~e1000_sum(0, r->data + start, n - start) : 0;
    if (!(s->rxcsum & (RXCSUM_IPOFL | RXCSUM_TUOFL))) {
        r->status |= STA_IXSM;
        return;
    }
    if (type == 0x8100 && n >= 38) { /* a tag that was left in */
        type = be16_get(r->data + 16);
        at = 18;
    }
    const uint8_t *ip = r->data + at;
    if (type == 0x0800 && ip[0] >> 4 == 4) {
        uint32_t head = (ip[0] & 15) * 4u, total = be16_get(ip + 2);
        if (head < 20 || total < head || at + total > n) {
            return;
        }
        if (s->rxcsum & RXCSUM_IPOFL) {
            r->status |= STA_IPCS;
            r->errors |= e1000_sum(0, ip, head) != 0xffff ? ERR_IPE : 0;
        }
        if ((s->rxcsum & RXCSUM_TUOFL) && !(be16_get(ip + 6) & 0x3fff)) {
            check_payload(r, at + head, total - head, ip[9], e1000_sum(0, ip + 12, 8));
        }
    } else if (type == 0x86dd && at + 40 <= n && (s->rxcsum & RXCSUM_TUOFL)) {
        uint32_t len = be16_get(ip + 4);
        if (at + 40 + len <= n) {
            check_payload(r, at + 40, len, ip[6], e1000_sum(0, ip + 8, 32));
        }
    }
}

/* --- The ring --- */

static uint32_t ring_size(const struct e1000_state *s)
{
    return s->rdlen / DESC_BYTES;
}

static uint32_t buffer_size(const struct e1000_state *s)
{
    uint32_t size = 2048u >> (s->rctl >> 16 & 3);
    return s->rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

static uint32_t available(const struct e1000_state *s)
{
    uint32_t n = ring_size(s);
    return n && s->rdh < n && s->rdt < n ? (s->rdt + n - s->rdh) % n : 0;
}

/* Store r in the ring; there is room. */
static void store(struct e1000 *c, const struct rx *r)
{
    struct e1000_state *s = &c->s;
    uint32_t size = buffer_size(s), at = 0;
    for (unsigned k = 0; k < MAX_DESCS && at < r->len && available(s); k++) {
        uint8_t d[DESC_BYTES];
        uint64_t where = ((uint64_t)s->rdbah << 32 | s->rdbal) + (uint64_t)s->rdh * DESC_BYTES;
        pci_dma_read(&c->pci, where, d, sizeof d);
        uint64_t buf = le64_get(d);
        uint32_t n = r->len - at < size ? r->len - at : size;
        uint8_t status = STA_DD;
        s->rdh = s->rdh + 1 >= ring_size(s) ? 0 : s->rdh + 1;
        if (buf) { /* a null one is given back as it is */
            pci_dma_write(&c->pci, buf, r->data + at, n);
            at += n;
            status |= at == r->len ? (uint8_t)(r->status | STA_EOP) : 0;
        } else {
            n = 0;
        }
        bool last = status & STA_EOP;
        le16_put(d + 8, (uint16_t)n);
        le16_put(d + 10, last ? r->sum : 0);
        d[12] = status;
        d[13] = last ? r->errors : 0;
        le16_put(d + 14, last ? r->tci : 0);
        pci_dma_write(&c->pci, where, d, sizeof d);
    }
}

static void interrupt(struct e1000 *c, uint32_t before, uint32_t len)
{
    struct e1000_state *s = &c->s;
    uint32_t low = ring_size(s) >> ((s->rctl >> 8 & 3) + 1), cause = 0;
    if (before > low && available(s) <= low) {
        cause |= E1000_RXDMT0;
    }
    if (s->rsrpd && len <= s->rsrpd) {
        cause |= E1000_SRPD;
    }
    if (!s->rdtr) {
        cause |= E1000_RXT0;
    } else {
        e1000_delay(c, &c->rx_delay, s->rdtr);
        if (s->radv && !timer_pending(&c->rx_abs)) {
            e1000_delay(c, &c->rx_abs, s->radv);
        }
    }
    if (cause) {
        e1000_cause(c, cause);
    }
}

/* --- Frames --- */

static void count_received(struct e1000 *c, const uint8_t *frame, uint32_t wire, bool good)
{
    e1000_count(c, STAT_TPR);
    e1000_count_octets(c, STAT_TOR, wire);
    if (good) {
        e1000_count(c, STAT_GPRC);
        e1000_count_octets(c, STAT_GORC, wire);
        e1000_count_size(c, STAT_PRC64, wire);
        if (frame[0] & 1) {
            e1000_count(c, net_is_broadcast(frame) ? STAT_BPRC : STAT_MPRC);
        }
    }
}

/* What the ring gets of the frame. */
static void prepare(const struct e1000_state *s, struct rx *r, const uint8_t *frame, uint32_t len)
{
    bool strip = (s->ctrl & CTRL_VME) && is_tagged(s, frame, len);
    r->wire = len + 4;
    r->len = len;
    memcpy(r->data, frame, len);
    if (strip) {
        r->tci = be16_get(frame + 14);
        r->status |= STA_VP;
        memmove(r->data + 12, r->data + 16, len - 16);
        r->len -= 4;
    }
    check_sums(s, r, r->len);
    if (!(s->rctl & RCTL_SECRC)) {
        le32_put(r->data + r->len, net_fcs(frame, len));
        r->len += 4;
    }
}

bool e1000_receive(struct e1000 *c, const uint8_t *frame, uint32_t len)
{
    struct e1000_state *s = &c->s;
    struct rx r;
    if (len < 14 || len > NET_FRAME_MAX) {
        e1000_count(c, STAT_RUC);
        return true;
    }
    unsigned how = match(s, frame);
    bool wanted = how && vlan_wanted(s, frame, len) && !((s->rctl & RCTL_DPF) && is_pause(frame));
    bool oversize = len + 4 > MAX_SHORT && !(s->rctl & RCTL_LPE);
    if (!wanted || oversize) {
        if (wanted) {
            e1000_count(c, STAT_ROC);
        }
        count_received(c, frame, len + 4, false);
        return true;
    }
    r.status = (uint8_t)(how & STA_PIF);
    r.errors = 0;
    r.tci = 0;
    uint32_t before = available(s), need = (len + 4 + buffer_size(s) - 1) / buffer_size(s);
    if (before < need) {
        if (!s->rx_held) {
            e1000_count(c, STAT_RNBC);
        }
        s->rx_held = true;
        return false;
    }
    s->rx_held = false;
    prepare(s, &r, frame, len);
    count_received(c, frame, r.wire, true);
    store(c, &r);
    interrupt(c, before, r.wire);
    return true;
}

bool e1000_take(void *ctx, const uint8_t *frame, uint32_t len)
{
    struct e1000 *c = ctx;
    struct e1000_state *s = &c->s;
    if (!(s->rctl & RCTL_EN) || (s->rctl & RCTL_LBM) || !e1000_link_up(c)) {
        return true;
    }
    return e1000_receive(c, frame, len);
}

void e1000_lost(void *ctx)
{
    struct e1000 *c = ctx;
    if (c->s.rctl & RCTL_EN) {
        e1000_count(c, STAT_MPC);
        e1000_cause(c, E1000_RXO);
    }
}
