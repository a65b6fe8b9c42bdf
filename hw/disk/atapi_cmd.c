/*
 * The packets that a CD-ROM or DVD-ROM drive takes: one data track, from block 0 to the end.
 *
 * A row says what a packet does and what it needs. Packets that need the medium report an attention
 * first, then its absence. A medium too large for a CD is a DVD.
 *
 * Not there: audio, READ CD with anything but user data, changers.
 *
 * Sources: MMC-3 chapter 5 (T10 1363-D), SPC-2 for INQUIRY, REQUEST SENSE and MODE SENSE,
 * SFF-8020i for the mode pages of old.
 */
#include <string.h>

#include "hw/disk/atapi.h"
#include "util/bits.h"

enum {
    F_MEDIUM = 1, /* needs a medium */
    F_CALM = 2,   /* done in spite of an attention */
    F_SENSE = 4,  /* leaves the sense data */

    KEY_NOT_READY = 2,
    KEY_ILLEGAL = 5,
    KEY_ATTENTION = 6,

    CD_BLOCKS = 80 * 60 * 75, /* more is a DVD */
    PREGAP = 150,             /* blocks before block 0, in MSF */
    DATA_TRACK = 0x14,        /* ADR 1, control 4 */
    LEAD_OUT = 0xaa,
    PROFILE_CD = 0x0008,
    PROFILE_DVD = 0x0010,
};

struct atapi_cmd {
    void (*run)(struct ide_unit *u, const uint8_t *cdb);
    uint8_t flags;
};

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static struct atapi_state *pkt(const struct ide_unit *u)
{
    return &u->s->pkt[0];
}

static void bad_field(struct ide_unit *u)
{
    atapi_check(u, KEY_ILLEGAL, 0x24, 0);
}

static bool is_dvd(const struct ide_unit *u)
{
    return atapi_blocks(u) > CD_BLOCKS;
}

/* An empty reply to fill in. */
static uint8_t *blank(struct ide_unit *u, unsigned len)
{
    memset(u->s->buf, 0, len);
    return u->s->buf;
}

/* --- The device --- */

static void test_ready(struct ide_unit *u, const uint8_t *cdb)
{
    (void)cdb;
    atapi_good(u);
}

/* The next attention becomes the sense data. A medium that was exchanged at once is reported as
 * gone first: guests that only ask whether the drive is ready would not notice otherwise. */
static void take_attention(struct atapi_state *k)
{
    static const struct {
        uint8_t bit, key, asc, ascq;
    } rows[] = {
        {ATAPI_UA_RESET, KEY_ATTENTION, 0x29, 0},
        {ATAPI_UA_ABSENT, KEY_NOT_READY, 0x3a, 2},
        {ATAPI_UA_MEDIUM, KEY_ATTENTION, 0x28, 0},
    };
    unsigned i = 0;
    while (i + 1 < ARRAY_LEN(rows) && !(k->attention & rows[i].bit)) {
        i++;
    }
    k->attention &= (uint8_t)~rows[i].bit;
    if (i + 1 == ARRAY_LEN(rows)) {
        k->attention = 0; /* the last one, also of a damaged snapshot */
    }
    k->key = rows[i].key;
    k->asc = rows[i].asc;
    k->ascq = rows[i].ascq;
}

static void request_sense(struct ide_unit *u, const uint8_t *cdb)
{
    struct atapi_state *k = pkt(u);
    uint8_t *b = blank(u, 18);
    b[0] = 0x70; /* current error, fixed format */
    b[7] = 10;
    if (!k->key && k->attention) {
        take_attention(k);
    }
    b[2] = k->key;
    b[12] = k->asc;
    b[13] = k->ascq;
    k->key = k->asc = k->ascq = 0;
    atapi_reply(u, 18, cdb[4]);
}

static void inquiry(struct ide_unit *u, const uint8_t *cdb)
{
    uint8_t *b = blank(u, 36);
    if (cdb[1] & 1) { /* vital product data */
        bad_field(u);
        return;
    }
    b[0] = 5;    /* CD-ROM */
    b[1] = 0x80; /* removable */
    b[3] = 0x21; /* ATAPI version 2, response format 1 */
    b[4] = 31;
    memcpy(b + 8, "DOPPEL  CD-ROM          1.0 ", 28);
    atapi_reply(u, 36, cdb[4]);
}

static void start_stop(struct ide_unit *u, const uint8_t *cdb)
{
    struct atapi_state *k = pkt(u);
    bool load_eject = cdb[4] & 2, start = cdb[4] & 1;
    if (load_eject && k->locked && !start) {
        atapi_check(u, KEY_ILLEGAL, 0x53, 2); /* medium removal prevented */
        return;
    }
    if (load_eject && k->open == start) {
        k->open = !start;
        if (u->drive->guest_eject) {
            u->drive->guest_eject(u->drive, !start);
        }
    }
    atapi_good(u);
}

static void prevent(struct ide_unit *u, const uint8_t *cdb)
{
    pkt(u)->locked = u->drive->locked = cdb[4] & 1;
    atapi_good(u);
}

static void event_status(struct ide_unit *u, const uint8_t *cdb)
{
    struct atapi_state *k = pkt(u);
    uint8_t *b = blank(u, 8);
    if (!(cdb[1] & 1)) { /* only by polling */
        bad_field(u);
        return;
    }
    b[3] = 0x10; /* media events */
    if (cdb[4] & 0x10) {
        b[1] = 6;
        b[2] = 4;
        b[4] = k->event;
        b[5] = (uint8_t)((k->open ? 1 : 0) | (atapi_blocks(u) ? 2 : 0));
        k->event = 0;
        atapi_reply(u, 8, be16(cdb + 7));
    } else {
        b[1] = 2;
        b[2] = 0x80; /* no event of these classes */
        atapi_reply(u, 4, be16(cdb + 7));
    }
}

static void mechanism_status(struct ide_unit *u, const uint8_t *cdb)
{
    uint8_t *b = blank(u, 8);
    b[1] = pkt(u)->open ? 0x10 : 0;
    atapi_reply(u, 8, be16(cdb + 8));
}

/* MMC-3, 5.6: features, each {code, version and flags, data length, data}. */
static void get_configuration(struct ide_unit *u, const uint8_t *cdb)
{
    static const uint8_t features[] = {
        0x00, 0x00, 0x03, 8, 0x00, 0x10, 0,    0, 0x00, 0x08, 0, 0, /* profiles: DVD-ROM, CD-ROM */
        0x00, 0x01, 0x03, 4, 0,    0,    0,    2,                   /* core: ATAPI */
        0x00, 0x02, 0x03, 4, 0,    0,    0,    0,                   /* morphing */
        0x00, 0x03, 0x03, 4, 0x29, 0,    0,    0,                   /* tray that locks and ejects */
        0x00, 0x10, 0x01, 8, 0,    0,    0x08, 0, 0,    16,   0, 0, /* random readable */
        0x00, 0x1e, 0x01, 0,                                        /* CD read */
        0x00, 0x1f, 0x01, 0,                                        /* DVD read */
    };
    uint8_t *b = blank(u, 8 + sizeof features);
    unsigned first = be16(cdb + 2), type = cdb[1] & 3, len = 8;
    unsigned profile = !atapi_blocks(u) ? 0 : is_dvd(u) ? PROFILE_DVD : PROFILE_CD;
    for (unsigned at = 0; at < sizeof features; at += 4u + features[at + 3]) {
        unsigned code = be16(features + at), size = 4u + features[at + 3];
        bool current = (code != 0x10 && code < 0x1e) || (code == 0x10 && profile) ||
                       (code == 0x1e && profile == PROFILE_CD) ||
                       (code == 0x1f && profile == PROFILE_DVD);
        if ((type == 2 && code != first) || code < first || (type == 1 && !current)) {
            continue;
        }
        memcpy(b + len, features + at, size);
        b[len + 2] = (uint8_t)((b[len + 2] & 0xfe) | current);
        if (code == 0) {
            b[len + 6] = profile == PROFILE_DVD;
            b[len + 10] = profile == PROFILE_CD;
        }
        len += size;
    }
    put32(b, len - 4);
    put16(b + 6, profile);
    atapi_reply(u, len, be16(cdb + 7));
}

/* --- Mode pages --- */

static unsigned mode_pages(const struct ide_unit *u, uint8_t *b, unsigned page, bool changeable)
{
    static const uint8_t pages[] = {
        0x01, 6,  0,    3, 0,    0,    0,    0, /* error recovery */
        0x0e, 14, 4,    0, 0,    0,    0,    75, 1,    255, 2, 255, 0, 0, 0,    0, /* audio */
        0x2a, 18, 0x08, 0, 0x70, 0x20, 0x29, 0,  0x16, 0,   0, 2,   2, 0, 0x16, 0, 0, 0, 0, 0,
    };
    unsigned len = 0;
    for (unsigned at = 0; at < sizeof pages; at += 2u + pages[at + 1]) {
        unsigned size = 2u + pages[at + 1];
        if (page != 0x3f && page != pages[at]) {
            continue;
        }
        memcpy(b + len, pages + at, size);
        if (changeable) {
            memset(b + len + 2, 0, size - 2);
        } else if (pages[at] == 0x2a && pkt(u)->locked) {
            b[len + 6] |= 2;
        }
        len += size;
    }
    return len;
}

static void mode_sense(struct ide_unit *u, const uint8_t *cdb)
{
    bool ten = cdb[0] == 0x5a;
    unsigned head = ten ? 8 : 4, control = cdb[2] >> 6;
    uint8_t *b = blank(u, 64);
    if (control == 3) {
        atapi_check(u, KEY_ILLEGAL, 0x39, 0); /* nothing is saved */
        return;
    }
    unsigned len = head + mode_pages(u, b + head, cdb[2] & 0x3f, control == 1);
    if (len == head) {
        bad_field(u);
        return;
    }
    uint8_t medium = pkt(u)->open ? 0x71 : atapi_blocks(u) ? 0x01 : 0x70;
    if (ten) {
        put16(b, len - 2);
        b[2] = medium;
    } else {
        b[0] = (uint8_t)(len - 1);
        b[1] = medium;
    }
    atapi_reply(u, len, ten ? be16(cdb + 7) : cdb[4]);
}

/* What it would set is of no consequence here. */
static void mode_select(struct ide_unit *u, const uint8_t *cdb)
{
    atapi_take(u, cdb[0] == 0x55 ? be16(cdb + 7) : cdb[4]);
}

/* --- The medium --- */

static void read_blocks(struct ide_unit *u, uint32_t lba, uint32_t n)
{
    uint32_t have = atapi_blocks(u);
    if (lba > have || n > have - lba || (lba == have && n)) {
        atapi_check(u, KEY_ILLEGAL, 0x21, 0);
        return;
    }
    atapi_read(u, lba, n);
}

static void read(struct ide_unit *u, const uint8_t *cdb)
{
    read_blocks(u, be32(cdb + 2), cdb[0] == 0xa8 ? be32(cdb + 6) : be16(cdb + 7));
}

static void read_cd(struct ide_unit *u, const uint8_t *cdb)
{
    uint32_t n = (uint32_t)cdb[6] << 16 | be16(cdb + 7);
    unsigned what = cdb[9] & 0xf8;
    if ((what != 0x10 && what) || (cdb[10] & 7)) {
        bad_field(u); /* only user data */
        return;
    }
    read_blocks(u, be32(cdb + 2), what ? n : 0);
}

static void seek(struct ide_unit *u, const uint8_t *cdb)
{
    if (be32(cdb + 2) >= atapi_blocks(u)) {
        atapi_check(u, KEY_ILLEGAL, 0x21, 0);
        return;
    }
    u->s->head = be32(cdb + 2);
    atapi_good(u);
}

static void read_capacity(struct ide_unit *u, const uint8_t *cdb)
{
    uint8_t *b = blank(u, 8);
    (void)cdb;
    put32(b, atapi_blocks(u) - 1);
    put32(b + 4, ATAPI_BLOCK);
    atapi_reply(u, 8, 8);
}

static void put_address(uint8_t *b, uint32_t lba, bool msf)
{
    if (msf) {
        lba += PREGAP;
        b[0] = 0;
        b[1] = (uint8_t)(lba / (75 * 60));
        b[2] = (uint8_t)(lba / 75 % 60);
        b[3] = (uint8_t)(lba % 75);
    } else {
        put32(b, lba);
    }
}

/* One descriptor of formats 0 and 1. */
static unsigned toc_track(uint8_t *b, uint8_t track, uint32_t lba, bool msf)
{
    b[1] = DATA_TRACK;
    b[2] = track;
    put_address(b + 4, lba, msf);
    return 8;
}

/* Format 2: what lies in the lead-in, one 11-byte entry a point; always MSF. */
static unsigned toc_full(const struct ide_unit *u, uint8_t *b)
{
    static const uint8_t points[4] = {0xa0, 0xa1, 0xa2, 0x01};
    for (unsigned i = 0; i < 4; i++, b += 11) {
        uint8_t at[4];
        b[0] = 1;
        b[1] = DATA_TRACK;
        b[3] = points[i];
        put_address(at, points[i] == 0xa2 ? atapi_blocks(u) : 0, true);
        if (i < 2) {
            b[8] = 1; /* first and last track */
        } else {
            memcpy(b + 8, at + 1, 3);
        }
    }
    return 44;
}

static void read_toc(struct ide_unit *u, const uint8_t *cdb)
{
    uint8_t *b = blank(u, 64);
    unsigned format = cdb[2] & 15, len = 4;
    bool msf = cdb[1] & 2;
    format = format ? format : cdb[9] >> 6; /* where SFF-8020i has it */
    b[2] = b[3] = 1;
    if (format > 2 || (format == 0 && cdb[6] > 1 && cdb[6] != LEAD_OUT)) {
        bad_field(u);
        return;
    }
    if (format == 2) {
        len += toc_full(u, b + len);
    } else {
        if (format == 1 || cdb[6] <= 1) {
            len += toc_track(b + len, 1, 0, msf);
        }
        if (format == 0) {
            len += toc_track(b + len, LEAD_OUT, atapi_blocks(u), msf);
        }
    }
    put16(b, len - 2);
    atapi_reply(u, len, be16(cdb + 7));
}

/* No audio plays; formats: 1 position, 2 catalogue number and 3 ISRC, neither of them valid. */
static void read_subchannel(struct ide_unit *u, const uint8_t *cdb)
{
    uint8_t *b = blank(u, 24);
    unsigned len = 4;
    b[1] = 0x15; /* no audio status */
    if (cdb[2] & 0x40) {
        if (cdb[3] < 1 || cdb[3] > 3) {
            bad_field(u);
            return;
        }
        len = cdb[3] == 1 ? 16 : 24;
        b[4] = cdb[3];
        if (cdb[3] == 1) {
            b[5] = DATA_TRACK;
            b[6] = b[7] = 1;
            put_address(b + 8, 0, cdb[1] & 2);
            put_address(b + 12, 0, cdb[1] & 2);
        }
    }
    put16(b + 2, len - 4);
    atapi_reply(u, len, be16(cdb + 7));
}

static void disc_information(struct ide_unit *u, const uint8_t *cdb)
{
    uint8_t *b = blank(u, 34);
    put16(b, 32);
    b[2] = 0x0e; /* complete, last session complete */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;             /* unrestricted use */
    memset(b + 16, 0xff, 8); /* no further lead-in or lead-out */
    atapi_reply(u, 34, be16(cdb + 7));
}

static void dvd_structure(struct ide_unit *u, const uint8_t *cdb)
{
    uint8_t *b = blank(u, 2052);
    if (!is_dvd(u)) {
        atapi_check(u, KEY_ILLEGAL, 0x30, 2); /* incompatible medium */
        return;
    }
    switch (cdb[7]) {
    case 0: /* physical format */
        put16(b, 2050);
        b[4] = 0x01; /* DVD-ROM, version 1 */
        b[5] = 0x0f; /* 120 mm, no highest rate */
        b[6] = 0x01; /* one layer, embossed */
        put32(b + 8, 0x30000);
        put32(b + 12, 0x30000 + atapi_blocks(u) - 1);
        atapi_reply(u, 2052, be16(cdb + 8));
        return;
    case 1: /* copyright: none */
        put16(b, 6);
        atapi_reply(u, 8, be16(cdb + 8));
        return;
    default:
        bad_field(u);
        return;
    }
}

// clang-format off
static const struct atapi_cmd cmds[256] = {
    [0x00] = {test_ready, F_MEDIUM},
    [0x03] = {request_sense, F_CALM | F_SENSE},
    [0x12] = {inquiry, F_CALM},
    [0x15] = {mode_select, 0},
    [0x1a] = {mode_sense, 0},
    [0x1b] = {start_stop, 0},
    [0x1e] = {prevent, 0},
    [0x25] = {read_capacity, F_MEDIUM},
    [0x28] = {read, F_MEDIUM},
    [0x2b] = {seek, F_MEDIUM},
    [0x42] = {read_subchannel, F_MEDIUM},
    [0x43] = {read_toc, F_MEDIUM},
    [0x46] = {get_configuration, F_CALM},
    [0x4a] = {event_status, F_CALM},
    [0x51] = {disc_information, F_MEDIUM},
    [0x55] = {mode_select, 0},
    [0x5a] = {mode_sense, 0},
    [0xa8] = {read, F_MEDIUM},
    [0xad] = {dvd_structure, F_MEDIUM},
    [0xbb] = {test_ready, F_CALM},                      /* SET CD SPEED */
    [0xbd] = {mechanism_status, 0},
    [0xbe] = {read_cd, F_MEDIUM},
};
// clang-format on

uint64_t atapi_exec_ns(const struct ide_unit *u)
{
    const uint8_t *cdb = pkt(u)->cdb;
    if (!(cmds[cdb[0]].flags & F_MEDIUM)) {
        return IDE_NS_COMMAND;
    }
    return IDE_NS_ACCESS + ide_seek_ns(u, be32(cdb + 2), atapi_blocks(u));
}

void atapi_exec(struct ide_unit *u)
{
    struct atapi_state *k = pkt(u);
    const struct atapi_cmd *c = &cmds[k->cdb[0]];
    if (!(c->flags & F_SENSE)) {
        k->key = k->asc = k->ascq = 0;
    }
    if (!c->run) {
        atapi_check(u, KEY_ILLEGAL, 0x20, 0);
    } else if (k->attention && !(c->flags & F_CALM)) {
        take_attention(k);
        atapi_check(u, k->key, k->asc, k->ascq);
    } else if ((c->flags & F_MEDIUM) && !atapi_blocks(u)) {
        atapi_check(u, KEY_NOT_READY, 0x3a, k->open ? 2 : 1);
    } else {
        c->run(u, k->cdb);
    }
}
