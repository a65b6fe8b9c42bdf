/*
 * The packet protocol of ATAPI devices, and the few ATA commands that they take.
 *
 * A packet's data to the host is what lies in buf (`reply` bytes), then blocks of the medium, which
 * are loaded into buf as it empties (PIO) or go straight to the bus master. By PIO it goes in
 * pieces no larger than the byte count limit that the host set, each with an interrupt, and the
 * end with one more.
 *
 * What always holds: a packet ends in atapi_good or atapi_check, which leave the interrupt reason
 * register at 3 (command complete).
 *
 * Sources: SFF-8020i rev. 2.6 chapter 5; ATA/ATAPI-6, 8.23 (PACKET), 9.8 to 9.10.
 */
#include "hw/disk/atapi.h"

#include <string.h>

#include "util/bits.h"

enum {
    CMD_PACKET = 0xa0,
    CMD_IDENTIFY_PACKET = 0xa1,
    CMD_IDENTIFY = 0xec,
    CMD_READ = 0x20,
    CMD_SET_FEATURES = 0xef,
    CMD_STANDBY_NOW = 0xe0,
    CMD_IDLE_NOW = 0xe1,
    CMD_CHECK_POWER = 0xe5,
    CMD_SLEEP = 0xe6,

    FEAT_DMA = 0x01,
    FEAT_OVERLAP = 0x02,
    REASON_COMMAND = 1, /* C/D */
    REASON_TO_HOST = 2, /* I/O */
    REASON_DONE = 3,
    CDB_BYTES = 12,
};

static struct atapi_state *pkt(const struct ide_unit *u)
{
    return &u->s->pkt[0];
}

uint32_t atapi_blocks(const struct ide_unit *u)
{
    uint64_t n = pkt(u)->open ? 0 : drive_sectors(u->drive) / (ATAPI_BLOCK / BLK_SECTOR);
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* --- Ends --- */

static void finish(struct ide_unit *u)
{
    pkt(u)->stage = ATAPI_IDLE;
    pkt(u)->reply = 0;
    u->s->left = 0;
    u->s->reg[IDE_NSECT] = REASON_DONE;
}

void atapi_good(struct ide_unit *u)
{
    finish(u);
    ide_done(u);
}

void atapi_check(struct ide_unit *u, uint8_t key, uint8_t asc, uint8_t ascq)
{
    struct atapi_state *k = pkt(u);
    k->key = key;
    k->asc = asc;
    k->ascq = ascq;
    finish(u);
    ide_fail(u, IDE_ST_READY, (uint8_t)(key << 4 | IDE_ERR_ABRT));
}

/* --- Data --- */

static bool load(struct ide_unit *u, uint8_t *buf, uint32_t n)
{
    const uint32_t ratio = ATAPI_BLOCK / BLK_SECTOR;
    if (!drive_read(u->drive, u->s->lba * ratio, buf, n * ratio)) {
        atapi_check(u, 3, 0x11, 0); /* medium error, unrecovered read error */
        return false;
    }
    u->s->lba += n;
    u->s->left -= n;
    u->s->head = u->s->lba;
    return true;
}

/* The byte count limit: even, unless it takes the rest (SFF-8020i, 5.1.2). */
static uint16_t piece(const struct ide_unit *u)
{
    uint32_t limit = pkt(u)->limit, n = pkt(u)->reply;
    limit = limit ? limit : 0xfffe;
    if (n > limit) {
        n = limit > 1 ? limit & ~UINT32_C(1) : 2;
        n = n < pkt(u)->reply ? n : pkt(u)->reply;
    }
    return (uint16_t)n;
}

static void put_count(struct ide_unit *u, uint16_t n)
{
    u->s->reg[IDE_LBAM] = (uint8_t)n;
    u->s->reg[IDE_LBAH] = (uint8_t)(n >> 8);
}

static void send_pio(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    if (!pkt(u)->reply && s->left) {
        uint32_t most = IDE_BUF / ATAPI_BLOCK, n = s->left < most ? s->left : most;
        if (!load(u, s->buf, n)) {
            return;
        }
        pkt(u)->reply = n * ATAPI_BLOCK;
    }
    if (!pkt(u)->reply) {
        atapi_good(u);
        return;
    }
    uint16_t n = piece(u);
    s->reg[IDE_NSECT] = REASON_TO_HOST;
    put_count(u, n);
    ide_pio_in(u, n, true);
}

static void send(struct ide_unit *u)
{
    pkt(u)->stage = ATAPI_DATA;
    if (pkt(u)->dma) {
        ide_dma_begin(u);
    } else {
        send_pio(u);
    }
}

void atapi_reply(struct ide_unit *u, uint32_t len, uint32_t alloc)
{
    pkt(u)->reply = len < alloc ? len : alloc;
    u->s->left = 0;
    if (pkt(u)->reply) {
        send(u);
    } else {
        atapi_good(u);
    }
}

void atapi_read(struct ide_unit *u, uint32_t lba, uint32_t n)
{
    pkt(u)->reply = 0;
    u->s->lba = lba;
    u->s->left = n;
    if (n) {
        send(u);
    } else {
        atapi_good(u);
    }
}

void atapi_take(struct ide_unit *u, uint32_t len)
{
    len = len < IDE_BUF ? len : IDE_BUF;
    if (!len) {
        atapi_good(u);
        return;
    }
    pkt(u)->stage = ATAPI_PARAM;
    pkt(u)->reply = len;
    u->s->left = 0;
    if (pkt(u)->dma) {
        ide_dma_begin(u);
    } else {
        u->s->reg[IDE_NSECT] = 0;
        put_count(u, (uint16_t)len);
        ide_pio_out(u, (uint16_t)len, true);
    }
}

/* `n` bytes at the head of buf are gone. */
static void drop(struct ide_unit *u, uint32_t n)
{
    uint32_t rest = n < pkt(u)->reply ? pkt(u)->reply - n : 0;
    memmove(u->s->buf, u->s->buf + n, rest);
    pkt(u)->reply = rest;
}

static uint32_t atapi_dma_bytes(const struct ide_unit *u)
{
    uint32_t most = IDE_DMA_CHUNK / ATAPI_BLOCK, n = u->s->left < most ? u->s->left : most;
    return pkt(u)->reply ? pkt(u)->reply : n * ATAPI_BLOCK;
}

static bool atapi_dma_in(const struct ide_unit *u)
{
    return pkt(u)->stage != ATAPI_PARAM;
}

static void atapi_dma(struct ide_unit *u)
{
    struct ide_chan *c = u->chan;
    uint32_t len = atapi_dma_bytes(u);
    bool in = atapi_dma_in(u);
    if (pkt(u)->reply) {
        drop(u, c->dma->move(c, u->s->buf, len, in));
    } else {
        uint32_t n = len / ATAPI_BLOCK;
        if (!load(u, c->scratch, n)) {
            return;
        }
        if (c->dma->move(c, c->scratch, len, true) < len) {
            u->s->left += n; /* the table ended: the device waits for what never comes */
            u->s->lba -= n;
        }
    }
    if (pkt(u)->reply || u->s->left) {
        ide_dma_next(u);
    } else {
        atapi_good(u);
    }
}

/* --- The turns of the protocol --- */

static void atapi_block(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    struct atapi_state *k = pkt(u);
    uint64_t ns = IDE_NS_BLOCK + (uint64_t)s->len * IDE_NS_BYTE;
    switch (k->stage) {
    case ATAPI_CDB:
        memcpy(k->cdb, s->buf, sizeof k->cdb);
        k->stage = ATAPI_EXEC;
        ns = atapi_exec_ns(u);
        break;
    case ATAPI_DATA:
        drop(u, s->len);
        break;
    case ATAPI_PARAM:
        k->stage = ATAPI_PARAM_DONE;
        break;
    default: /* IDENTIFY PACKET DEVICE */
        s->phase = IDE_PH_IDLE;
        s->status = IDE_ST_READY;
        return;
    }
    ide_busy(u, IDE_PH_BLOCK, ns);
}

static void atapi_more(struct ide_unit *u)
{
    switch (pkt(u)->stage) {
    case ATAPI_EXEC:
        atapi_exec(u);
        break;
    case ATAPI_DATA:
        send_pio(u);
        break;
    default:
        atapi_good(u);
        break;
    }
}

static void identify_packet(struct ide_unit *u)
{
    uint8_t *id = u->s->buf;
    memset(id, 0, IDE_SECTOR);
    le16_put(id, 0x85c0); /* CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    ata_identify_text(id + 20, u->serial, 20);
    ata_identify_text(id + 46, "1.0", 8);
    ata_identify_text(id + 54, "DOPPEL CD-ROM", 40);
    le16_put(id + 2 * 49, (uint16_t)(0x0a00 | (u->chan->dma ? 0x100 : 0)));
    ata_identify_modes(u, id);
    le16_put(id + 2 * 80, 0x0070); /* ATA/ATAPI-4 to 6 */
    le16_put(id + 2 * 82, 0x0218); /* DEVICE RESET, PACKET, power management */
    le16_put(id + 2 * 83, 0x4000);
    le16_put(id + 2 * 84, 0x4000);
    le16_put(id + 2 * 85, 0x0218);
    le16_put(id + 2 * 87, 0x4000);
    ata_identify_seal(id);
    pkt(u)->stage = ATAPI_IDLE;
    ide_pio_in(u, IDE_SECTOR, true);
}

static void packet(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    uint8_t feature = s->reg[IDE_FEATURE];
    if ((feature & FEAT_OVERLAP) || ((feature & FEAT_DMA) && !u->chan->dma)) {
        ide_fail(u, IDE_ST_READY, IDE_ERR_ABRT);
        return;
    }
    pkt(u)->dma = feature & FEAT_DMA;
    pkt(u)->stage = ATAPI_CDB;
    pkt(u)->limit = (uint16_t)(s->reg[IDE_LBAM] | s->reg[IDE_LBAH] << 8);
    s->reg[IDE_NSECT] = REASON_COMMAND;
    ide_pio_out(u, CDB_BYTES, false);
}

static void atapi_command(struct ide_unit *u)
{
    pkt(u)->stage = ATAPI_IDLE;
    if (u->s->cmd == ATA_DEVICE_RESET) {
        ide_busy(u, IDE_PH_RESET, IDE_NS_RESET);
    } else {
        ide_busy(u, IDE_PH_CMD, u->s->cmd == CMD_PACKET ? IDE_NS_BLOCK : IDE_NS_COMMAND);
    }
}

static void power(struct ide_unit *u, enum ide_power mode)
{
    u->s->power = (uint8_t)mode;
    ide_done(u);
}

static void atapi_run(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    switch (s->cmd) {
    case CMD_PACKET:
        s->power = IDE_PW_ACTIVE;
        packet(u);
        return;
    case CMD_IDENTIFY_PACKET:
        identify_packet(u);
        return;
    case ATA_DIAGNOSTIC:
        ide_signature(u, 1);
        ide_done(u);
        s->error = 1;
        s->status = 0;
        return;
    case CMD_IDENTIFY:
    case CMD_READ:
        ide_signature(u, 0);
        break;
    case CMD_SET_FEATURES:
        if (s->reg[IDE_FEATURE] == 3 && ata_set_transfer_mode(u, s->reg[IDE_NSECT])) {
            ide_done(u);
            return;
        }
        break;
    case CMD_STANDBY_NOW:
        power(u, IDE_PW_STANDBY);
        return;
    case CMD_IDLE_NOW:
        power(u, IDE_PW_IDLE);
        return;
    case CMD_SLEEP:
        power(u, IDE_PW_SLEEP);
        return;
    case CMD_CHECK_POWER:
        s->reg[IDE_NSECT] = s->power == IDE_PW_STANDBY ? 0 : 0xff;
        ide_done(u);
        return;
    default:
        break;
    }
    ide_fail(u, IDE_ST_READY, IDE_ERR_ABRT);
}

/* --- Resets, media --- */

static void set_locked(struct ide_unit *u, bool on)
{
    pkt(u)->locked = on;
    u->drive->locked = on;
}

static void atapi_reset(struct ide_unit *u, bool hard)
{
    struct atapi_state *k = pkt(u);
    u->s->power = IDE_PW_ACTIVE;
    u->s->left = 0;
    k->stage = ATAPI_IDLE;
    k->reply = 0;
    if (hard) {
        u->s->xfer = 0x0c;
        k->attention = ATAPI_UA_RESET;
        set_locked(u, false);
    }
}

static void atapi_changed(struct ide_unit *u)
{
    struct atapi_state *k = pkt(u);
    bool in = u->drive->blk != NULL;
    k->open = !in;
    k->event = in ? ATAPI_EV_NEW : ATAPI_EV_REMOVAL;
    if (in) {
        k->attention |= ATAPI_UA_ABSENT | ATAPI_UA_MEDIUM;
    } else {
        k->attention &= (uint8_t) ~(ATAPI_UA_ABSENT | ATAPI_UA_MEDIUM);
    }
}

static void atapi_eject_asked(struct ide_unit *u)
{
    pkt(u)->event = ATAPI_EV_EJECT;
}

static void atapi_restored(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    struct atapi_state *k = pkt(u);
    k->reply = k->reply <= IDE_BUF ? k->reply : IDE_BUF;
    if (k->stage == ATAPI_PARAM) {
        s->left = 0;
    }
    if (s->phase == IDE_PH_DMA && !k->reply && !s->left) {
        s->phase = IDE_PH_IDLE;
        timer_cancel(&u->due);
    }
    u->drive->locked = k->locked;
}

const struct ide_kind atapi_kind = {
    .reset = atapi_reset,
    .command = atapi_command,
    .run = atapi_run,
    .block = atapi_block,
    .more = atapi_more,
    .dma = atapi_dma,
    .dma_bytes = atapi_dma_bytes,
    .dma_in = atapi_dma_in,
    .restored = atapi_restored,
    .changed = atapi_changed,
    .eject_asked = atapi_eject_asked,
    .packet = true,
    .lbam = 0x14,
    .lbah = 0xeb,
};
