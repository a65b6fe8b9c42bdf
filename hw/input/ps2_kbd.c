/*
 * A PS/2 keyboard: commands, scan code sets 1, 2 and 3, typematic repetition by virtual time.
 *
 * Keys come in as codes of set 1 (ps2.h). Set 2 follows from the controller's translation table
 * read backwards, so that translated set 2 is set 1 by construction; set 3 differs from set 2 in a
 * few keys, which have a list.
 *
 * Simplifications: Print Screen and the grey keys send no codes that depend on Shift, Num Lock or
 * Alt; in set 3 every key is typematic and sends a break code, and the commands that choose
 * otherwise (0xf7..0xfd) are acknowledged without effect.
 *
 * Sources: IBM PS/2 Hardware Interface Technical Reference (1990), "Keyboards"; the translation
 * table is that of the IBM AT's 8042.
 */
#include "hw/input/ps2.h"

#include <string.h>

#include "util/bits.h"

ST_DESCRIBE(ps2_queue, PS2_QUEUE_STATE, 1);
ST_DESCRIBE(ps2_kbd, PS2_KBD_STATE, 1);

enum {
    CMD_LEDS = 0xed,
    CMD_ECHO = 0xee,
    CMD_SCAN_SET = 0xf0,
    CMD_ID = 0xf2,
    CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_ALL_FIRST = 0xf7, /* 0xf7..0xfa: types of all keys */
    CMD_ALL_LAST = 0xfa,
    CMD_KEY_FIRST = 0xfb, /* 0xfb..0xfd: types of the keys that follow */
    CMD_KEY_LAST = 0xfd,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
    ACK = 0xfa,
    BAT_OK = 0xaa,
    RESEND = 0xfe,
    BREAK = 0xf0,
    EXTENDED = 0xe0,

    KEY_ROOM = 16, /* bytes of keys that the buffer holds; beyond that: overrun */
    RATE_DEFAULT = 0x2b,
};

// clang-format off
/* Set 2 to set 1, as the controller translates. */
static const uint8_t translation[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* Key codes whose set 3 code is not that of set 2. */
static const uint8_t set3[][2] = {
    {0x01, 0x08}, {0x3b, 0x07}, {0x3c, 0x0f}, {0x3d, 0x17}, {0x3e, 0x1f}, {0x3f, 0x27},
    {0x40, 0x2f}, {0x41, 0x37}, {0x42, 0x3f}, {0x43, 0x47}, {0x44, 0x4f}, {0x57, 0x56},
    {0x58, 0x5e}, {0x46, 0x5f}, {0x45, 0x76}, {0x37, 0x7e}, {0x4a, 0x84}, {0x4e, 0x7c},
    {0x3a, 0x14}, {0x1d, 0x11}, {0x38, 0x19}, {0x2b, 0x5c}, {0x56, 0x13},
    {0xb7, 0x57}, {0xc6, 0x62}, {0xd2, 0x67}, {0xc7, 0x6e}, {0xc9, 0x6f}, {0xb5, 0x77},
    {0xd3, 0x64}, {0xcf, 0x65}, {0xd1, 0x6d}, {0xc8, 0x63}, {0x9c, 0x79}, {0xdb, 0x8b},
    {0xb8, 0x39}, {0xdc, 0x8c}, {0xdd, 0x8d}, {0x9d, 0x58}, {0xcb, 0x61}, {0xd0, 0x60},
    {0xcd, 0x6a},
};
// clang-format on

uint8_t ps2_translate(uint8_t byte)
{
    if (byte == 0x83) {
        return 0x41;
    }
    if (byte == 0x84) {
        return 0x54;
    }
    return byte < 128 ? translation[byte] : byte;
}

/* The set 2 code of a set 1 code (1..0x7f); 0: there is none. */
static uint8_t set2_of(uint8_t code)
{
    if (code == 0x41) {
        return 0x83; /* F7; 0x02 translates to it too */
    }
    if (code == 0x54) {
        return 0x84;
    }
    for (unsigned i = 0; i < ARRAY_LEN(translation); i++) {
        if (translation[i] == code) {
            return (uint8_t)i;
        }
    }
    return 0;
}

static uint8_t set3_of(uint8_t code)
{
    for (unsigned i = 0; i < ARRAY_LEN(set3); i++) {
        if (set3[i][0] == code) {
            return set3[i][1];
        }
    }
    return code & 0x80 ? 0 : set2_of(code);
}

/* --- Keys --- */

static void put_key(struct ps2_kbd_dev *k, const uint8_t *bytes, unsigned n)
{
    struct ps2_queue *q = k->s->q;
    unsigned count = ps2_queue_count(q);
    uint8_t overrun = k->s->set == 1 ? 0xff : 0x00;
    if (count + n <= KEY_ROOM) {
        for (unsigned i = 0; i < n; i++) {
            ps2_queue_put(q, bytes[i]);
        }
    } else if (q->data[(q->head + count - 1) % PS2_QUEUE] != overrun) {
        ps2_queue_put(q, overrun); /* once, in place of all that is lost */
    }
    k->ready(k->ctx);
}

static unsigned encode_set1(uint8_t *b, uint8_t code, bool down)
{
    static const uint8_t pause[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const uint8_t print[2][4] = {{0xe0, 0xb7, 0xe0, 0xaa}, {0xe0, 0x2a, 0xe0, 0x37}};
    unsigned n = 0;
    if (code == PS2_KEY_PAUSE) {
        memcpy(b, pause, sizeof pause);
        return down ? sizeof pause : 0;
    }
    if (code == PS2_KEY_PRINT) {
        memcpy(b, print[down], sizeof print[0]);
        return sizeof print[0];
    }
    if (code & 0x80) {
        b[n++] = EXTENDED;
    }
    b[n++] = (uint8_t)((code & 0x7f) | (down ? 0 : 0x80));
    return n;
}

static unsigned encode_set2(uint8_t *b, uint8_t code, bool down)
{
    static const uint8_t pause[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
    static const uint8_t print_down[] = {0xe0, 0x12, 0xe0, 0x7c};
    static const uint8_t print_up[] = {0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12};
    unsigned n = 0;
    if (code == PS2_KEY_PAUSE) {
        memcpy(b, pause, sizeof pause);
        return down ? sizeof pause : 0;
    }
    if (code == PS2_KEY_PRINT) {
        memcpy(b, down ? print_down : print_up, down ? sizeof print_down : sizeof print_up);
        return down ? sizeof print_down : sizeof print_up;
    }
    uint8_t base = set2_of(code & 0x7f);
    if (!base) {
        return 0;
    }
    if (code & 0x80) {
        b[n++] = EXTENDED;
    }
    if (!down) {
        b[n++] = BREAK;
    }
    b[n++] = base;
    return n;
}

static unsigned encode_set3(uint8_t *b, uint8_t code, bool down)
{
    unsigned n = 0;
    uint8_t base = set3_of(code);
    if (!base) {
        return 0;
    }
    if (!down) {
        b[n++] = BREAK;
    }
    b[n++] = base;
    return n;
}

static void send_key(struct ps2_kbd_dev *k, uint8_t code, bool down)
{
    uint8_t b[8];
    unsigned n = k->s->set == 1   ? encode_set1(b, code, down)
                 : k->s->set == 3 ? encode_set3(b, code, down)
                                  : encode_set2(b, code, down);
    if (n) {
        put_key(k, b, n);
    }
}

/* Typematic: delay in 250 ms steps, then (8 + A) * 2^B * 4.17 ms (a period of 1/240 s). */
static vtime repeat_delay(const struct ps2_kbd *s)
{
    return (vtime)((s->rate >> 5 & 3) + 1) * 250 * VTIME_MS;
}

static vtime repeat_period(const struct ps2_kbd *s)
{
    return (vtime)(8 + (s->rate & 7)) * (1u << (s->rate >> 3 & 3)) * VTIME_SEC / 240;
}

static void on_repeat(void *ctx)
{
    struct ps2_kbd_dev *k = ctx;
    if (k->s->scanning && k->s->repeat_key) {
        send_key(k, k->s->repeat_key, true);
        timer_set(&k->repeat, clock_now(k->repeat.clock) + repeat_period(k->s));
    }
}

void ps2_kbd_key(struct ps2_kbd_dev *k, uint8_t code, bool down)
{
    struct ps2_kbd *s = k->s;
    uint8_t *held = &s->pressed[code / 8], bit = (uint8_t)(1u << code % 8);
    if (!(code & 0x7f) || !!(*held & bit) == down) {
        return;
    }
    *held = (uint8_t)(*held ^ bit);
    if (!s->scanning) {
        return;
    }
    send_key(k, code, down);
    if (down && code != PS2_KEY_PAUSE) {
        s->repeat_key = code;
        timer_set(&k->repeat, clock_now(k->repeat.clock) + repeat_delay(s));
    } else if (!down && s->repeat_key == code) {
        s->repeat_key = 0;
        timer_cancel(&k->repeat);
    }
}

/* --- Commands --- */

static void reply(struct ps2_kbd_dev *k, uint8_t byte)
{
    ps2_queue_put(k->s->q, byte);
}

static void defaults(struct ps2_kbd_dev *k)
{
    k->s->rate = RATE_DEFAULT;
    k->s->set = 2;
    k->s->repeat_key = 0;
    timer_cancel(&k->repeat);
}

/* The argument of k->s->command. */
static void argument(struct ps2_kbd_dev *k, uint8_t byte)
{
    struct ps2_kbd *s = k->s;
    uint8_t command = s->command;
    s->command = 0;
    reply(k, ACK);
    switch (command) {
    case CMD_LEDS:
        s->leds = byte & 7;
        break;
    case CMD_RATE:
        s->rate = byte & 0x7f;
        break;
    case CMD_SCAN_SET:
        if (byte == 0) {
            reply(k, s->set);
        } else if (byte <= 3) {
            s->set = byte;
        }
        break;
    default: /* a key whose type is set: more may follow until a command comes */
        s->command = command;
        break;
    }
}

static void command(struct ps2_kbd_dev *k, uint8_t byte)
{
    struct ps2_kbd *s = k->s;
    s->command = 0;
    switch (byte) {
    case CMD_ECHO:
        reply(k, CMD_ECHO);
        return;
    case CMD_RESEND:
        reply(k, s->last);
        return;
    case CMD_LEDS:
    case CMD_RATE:
    case CMD_SCAN_SET:
    case CMD_KEY_FIRST:
    case CMD_KEY_FIRST + 1:
    case CMD_KEY_LAST:
        s->command = byte;
        break;
    case CMD_ID:
        reply(k, ACK);
        reply(k, 0xab);
        reply(k, 0x83);
        return;
    case CMD_ENABLE:
        s->scanning = true;
        ps2_queue_clear(s->q);
        break;
    case CMD_DISABLE:
    case CMD_DEFAULTS:
        ps2_queue_clear(s->q);
        defaults(k);
        s->scanning = byte == CMD_DEFAULTS;
        break;
    case CMD_RESET:
        ps2_queue_clear(s->q);
        defaults(k);
        s->leds = 0;
        s->scanning = true;
        reply(k, ACK);
        reply(k, BAT_OK);
        return;
    default:
        if (byte < CMD_ALL_FIRST || byte > CMD_ALL_LAST) {
            reply(k, RESEND); /* no such command */
            return;
        }
        break;
    }
    reply(k, ACK);
}

void ps2_kbd_write(struct ps2_kbd_dev *k, uint8_t byte)
{
    /* Arguments are below 0xed; a command in place of one begins anew. */
    if (k->s->command && byte < CMD_LEDS) {
        argument(k, byte);
    } else {
        command(k, byte);
    }
    k->ready(k->ctx);
}

uint8_t ps2_kbd_read(struct ps2_kbd_dev *k)
{
    k->s->last = ps2_queue_get(k->s->q);
    return k->s->last;
}

void ps2_kbd_init(struct ps2_kbd_dev *k, struct ps2_kbd *s, struct clock *clock,
                  void (*ready)(void *ctx), void *ctx)
{
    k->s = s;
    k->ready = ready;
    k->ctx = ctx;
    timer_init(&k->repeat, clock, &s->repeat, on_repeat, k);
}

void ps2_kbd_reset(struct ps2_kbd_dev *k)
{
    timer_cancel(&k->repeat);
    *k->s = (struct ps2_kbd){.scanning = true, .repeat = {VTIME_NEVER}};
    defaults(k);
}
