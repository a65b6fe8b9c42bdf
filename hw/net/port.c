/*
 * The cable of a network card; see port.h.
 *
 * What always holds: the queue holds whole frames of at least NET_FRAME_MIN bytes, and the timer
 * runs only while there is one.
 */
#include "hw/net/port.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "util/bits.h"

ST_DESCRIBE(net_queue, NET_QUEUE_STATE, 1);

uint32_t net_fcs(const uint8_t *data, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (unsigned k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }
    return ~crc;
}

unsigned net_hash6(const uint8_t *mac)
{
    uint32_t crc = ~net_fcs(mac, 6); /* the register, its first bit lowest */
    unsigned hash = 0;
    for (unsigned k = 0; k < 6; k++) {
        hash = hash << 1 | (crc >> k & 1);
    }
    return hash;
}

bool net_mac(const char *text, const struct net *net, uint8_t mac[6], struct err *e)
{
    static const uint8_t fallback[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    if (!*text) {
        memcpy(mac, net ? net->mac : fallback, 6);
        return true;
    }
    unsigned b[6];
    int used = 0;
    int n =
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used);
    if (n != 6 || text[used] || !isxdigit((unsigned char)*text) || (b[0] & 1)) {
        return err_usage(e, "mac=%s: want one station's address such as 52:54:00:12:34:56", text);
    }
    for (unsigned i = 0; i < 6; i++) {
        mac[i] = (uint8_t)b[i];
    }
    return true;
}

uint64_t net_port_time(const struct net_port *p, uint32_t len)
{
    uint64_t bytes = (len < NET_FRAME_MIN ? NET_FRAME_MIN : len) + 8 + 4 + 12;
    return bytes * 8000 / p->mbps;
}

static uint32_t first_len(const struct net_queue *s)
{
    return s->used ? le16_get(s->bytes) : 0;
}

static void start(struct net_port *p)
{
    if (p->s->used) {
        timer_set(&p->timer, clock_now(p->dev->env->clock) + net_port_time(p, first_len(p->s)));
    }
}

/* What the back end knows of the queue follows from it; no state. */
static void drained(struct net_port *p)
{
    uint32_t used = p->s->used;
    if (used < p->told) {
        net_taken(p->net, p->told - used);
    }
    p->told = used;
}

/* From the gate: the back end has sent a frame. */
static void arrive(void *ctx, const uint8_t *frame, uint32_t len)
{
    struct net_port *p = ctx;
    struct net_queue *s = p->s;
    uint32_t padded = len < NET_FRAME_MIN ? NET_FRAME_MIN : len;
    if (len > NET_FRAME_MAX || padded + 2 > NET_QUEUE_BYTES - s->used) {
        net_taken(p->net, net_cost(len));
        if (p->lost) {
            p->lost(p->ctx);
        }
        return;
    }
    uint8_t *to = s->bytes + s->used;
    le16_put(to, (uint16_t)padded);
    memset(to + 2 + len, 0, padded - len);
    memcpy(to + 2, frame, len);
    bool first = s->used == 0;
    s->used += padded + 2;
    p->told = s->used;
    if (first) {
        start(p);
    }
}

static void on_arrival(void *ctx)
{
    struct net_port *p = ctx;
    struct net_queue *s = p->s;
    uint32_t n = first_len(s);
    /* Taking it may write to any register by DMA, also to one that resets this card. */
    if (n && p->take(p->ctx, s->bytes + 2, n) && s->used >= n + 2) {
        s->used -= n + 2;
        memmove(s->bytes, s->bytes + n + 2, s->used);
        drained(p);
        start(p);
    }
}

void net_port_init(struct net_port *p)
{
    char name[32];
    snprintf(name, sizeof name, "%.28s.rx", p->dev->name);
    timer_init(&p->timer, p->dev->env->clock, &p->s->arrival, on_arrival, p);
    if (p->net) {
        p->net->capacity = NET_QUEUE_BYTES;
    }
    net_attach(p->net, p->dev->env->gate, gate_source_add(p->dev->env->gate, name, arrive, p));
}

void net_port_reset(struct net_port *p)
{
    memset(p->s->bytes, 0, sizeof p->s->bytes);
    p->s->used = 0;
    drained(p);
    timer_cancel(&p->timer);
}

void net_port_restored(struct net_port *p)
{
    struct net_queue *s = p->s;
    uint32_t at = 0;
    while (at < s->used && s->used <= NET_QUEUE_BYTES && s->used - at > NET_FRAME_MIN + 1) {
        uint32_t n = le16_get(s->bytes + at);
        if (n < NET_FRAME_MIN || n > NET_FRAME_MAX || n + 2 > s->used - at) {
            break;
        }
        at += n + 2;
    }
    if (at != s->used) { /* not a queue that this code wrote: what was in flight is lost */
        s->used = 0;
    }
    net_loaded(p->net, s->used > p->told ? s->used - p->told : 0);
    drained(p);
}

void net_port_retry(struct net_port *p)
{
    if (p->s->used && !timer_pending(&p->timer)) {
        timer_set(&p->timer, clock_now(p->dev->env->clock));
    }
}
