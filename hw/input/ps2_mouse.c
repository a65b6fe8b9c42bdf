/*
 * A PS/2 mouse, with the wheel and five-button protocols of Microsoft's (IDs 3 and 4), which the
 * driver selects by setting three sample rates in a row.
 *
 * Movement accumulates and is reported at the sample rate in stream mode, when asked in remote
 * mode.
 *
 * Sources: IBM PS/2 Hardware Interface Technical Reference (1990), "Auxiliary Devices"; Microsoft,
 * "Intellimouse PS/2 protocol" for the knocks 200, 100, 80 and 200, 200, 80.
 */
#include "hw/input/ps2.h"

#include <string.h>

ST_DESCRIBE(ps2_mouse, PS2_MOUSE_STATE, 1);

enum {
    CMD_SCALE1 = 0xe6,
    CMD_SCALE2 = 0xe7,
    CMD_RESOLUTION = 0xe8,
    CMD_STATUS = 0xe9,
    CMD_STREAM = 0xea,
    CMD_READ = 0xeb,
    CMD_UNWRAP = 0xec,
    CMD_WRAP = 0xee,
    CMD_REMOTE = 0xf0,
    CMD_ID = 0xf2,
    CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
    ACK = 0xfa,
    BAT_OK = 0xaa,
    ERROR = 0xfc,

    LIMIT = 1 << 15, /* of accumulated movement, counts */
};

static int32_t clamp(int64_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : (int32_t)v;
}

/* Scaling 2:1 as the mouse does it in stream mode. */
static int32_t scaled(const struct ps2_mouse *s, int32_t v)
{
    static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
    int32_t size = v < 0 ? -v : v;
    if (!s->scale2 || s->remote) {
        return v;
    }
    size = size < 6 ? small[size] : 2 * size;
    return v < 0 ? -size : size;
}

static bool changed(const struct ps2_mouse *s)
{
    return s->dx || s->dy || (s->id && s->dz) || s->buttons != s->reported;
}

static void put_packet(struct ps2_mouse *s)
{
    /* Halved when scaled, so that what is reported fits nine bits. */
    int32_t range = s->scale2 && !s->remote ? 127 : 255;
    int32_t dx = clamp(s->dx, -range, range), dy = clamp(s->dy, -range, range);
    int32_t dz = s->id == 4 ? clamp(s->dz, -8, 7) : clamp(s->dz, -128, 127);
    int32_t x = scaled(s, dx), y = scaled(s, dy);
    ps2_queue_put(s->q, (uint8_t)(0x08 | (s->buttons & 7) | (x < 0) << 4 | (y < 0) << 5));
    ps2_queue_put(s->q, (uint8_t)x);
    ps2_queue_put(s->q, (uint8_t)y);
    if (s->id == 3) {
        ps2_queue_put(s->q, (uint8_t)dz);
    } else if (s->id == 4) {
        ps2_queue_put(s->q, (uint8_t)((dz & 15) | (s->buttons & 0x18) << 1));
    }
    s->dx -= dx;
    s->dy -= dy;
    s->dz = s->id ? s->dz - dz : 0;
    s->reported = s->buttons;
}

/* In stream mode: report now if the last report is long enough ago, else when it is. */
static void stream(struct ps2_mouse_dev *m)
{
    struct ps2_mouse *s = m->s;
    if (!s->enabled || s->remote || s->wrap || !changed(s) || timer_pending(&m->sample)) {
        return;
    }
    if (ps2_queue_count(s->q) <= 8) {
        put_packet(s);
        m->ready(m->ctx);
    }
    timer_set(&m->sample, clock_now(m->sample.clock) + VTIME_SEC / (s->rate ? s->rate : 100u));
}

static void on_sample(void *ctx)
{
    stream(ctx);
}

void ps2_mouse_move(struct ps2_mouse_dev *m, int dx, int dy, int dz, uint8_t buttons)
{
    struct ps2_mouse *s = m->s;
    s->dx = clamp((int64_t)s->dx + dx, -LIMIT, LIMIT);
    s->dy = clamp((int64_t)s->dy + dy, -LIMIT, LIMIT);
    s->dz = clamp((int64_t)s->dz + dz, -LIMIT, LIMIT);
    s->buttons = buttons & 0x1f;
    stream(m);
}

/* --- Commands --- */

static void forget(struct ps2_mouse *s)
{
    s->dx = s->dy = s->dz = 0;
    s->reported = s->buttons;
}

static void defaults(struct ps2_mouse_dev *m)
{
    struct ps2_mouse *s = m->s;
    s->rate = 100;
    s->resolution = 2;
    s->scale2 = s->enabled = s->remote = s->wrap = false;
    forget(s);
    timer_cancel(&m->sample);
}

static void set_rate(struct ps2_mouse *s, uint8_t rate)
{
    static const uint8_t wheel[] = {200, 100, 80}, five[] = {200, 200, 80};
    s->rate = rate;
    memmove(s->rates, s->rates + 1, 2);
    s->rates[2] = rate;
    if (memcmp(s->rates, wheel, 3) == 0 && s->id == 0) {
        s->id = 3;
    } else if (memcmp(s->rates, five, 3) == 0 && s->id == 3) {
        s->id = 4;
    }
}

static void argument(struct ps2_mouse *s, uint8_t byte)
{
    uint8_t command = s->command;
    s->command = 0;
    if (command == CMD_RATE) {
        set_rate(s, byte);
    } else if (byte <= 3) {
        s->resolution = byte;
    } else {
        ps2_queue_put(s->q, ERROR);
        return;
    }
    ps2_queue_put(s->q, ACK);
}

static void put_status(struct ps2_mouse *s)
{
    unsigned b = s->buttons;
    unsigned modes = (s->remote ? 0x40u : 0) | (s->enabled ? 0x20u : 0) | (s->scale2 ? 0x10u : 0);
    ps2_queue_put(s->q, (uint8_t)(modes | (b & 1) << 2 | (b & 4) >> 1 | (b & 2) >> 1));
    ps2_queue_put(s->q, s->resolution);
    ps2_queue_put(s->q, s->rate);
}

/* False: no such command. */
static bool command(struct ps2_mouse_dev *m, uint8_t byte)
{
    struct ps2_mouse *s = m->s;
    switch (byte) {
    case CMD_SCALE1:
    case CMD_SCALE2:
        s->scale2 = byte == CMD_SCALE2;
        break;
    case CMD_RESOLUTION:
    case CMD_RATE:
        s->command = byte;
        break;
    case CMD_STATUS:
        ps2_queue_put(s->q, ACK);
        put_status(s);
        return true;
    case CMD_STREAM:
        s->remote = false;
        forget(s);
        break;
    case CMD_READ:
        ps2_queue_put(s->q, ACK);
        put_packet(s);
        return true;
    case CMD_UNWRAP:
    case CMD_WRAP:
        s->wrap = byte == CMD_WRAP;
        break;
    case CMD_REMOTE:
        s->remote = true;
        forget(s);
        break;
    case CMD_ID:
        ps2_queue_put(s->q, ACK);
        ps2_queue_put(s->q, s->id);
        return true;
    case CMD_ENABLE:
    case CMD_DISABLE:
        s->enabled = byte == CMD_ENABLE;
        forget(s);
        break;
    case CMD_DEFAULTS:
        defaults(m);
        break;
    case CMD_RESET:
        ps2_queue_clear(s->q);
        defaults(m);
        s->id = 0;
        memset(s->rates, 0, sizeof s->rates);
        ps2_queue_put(s->q, ACK);
        ps2_queue_put(s->q, BAT_OK);
        ps2_queue_put(s->q, 0);
        return true;
    default:
        return false;
    }
    ps2_queue_put(s->q, ACK);
    return true;
}

void ps2_mouse_write(struct ps2_mouse_dev *m, uint8_t byte)
{
    struct ps2_mouse *s = m->s;
    if (s->wrap && byte != CMD_RESET && byte != CMD_UNWRAP) {
        ps2_queue_put(s->q, byte);
    } else if (s->command) {
        argument(s, byte);
    } else if (byte == CMD_RESEND) {
        ps2_queue_put(s->q, s->last);
    } else {
        ps2_queue_clear(s->q); /* a command ends what was being sent */
        if (!command(m, byte)) {
            ps2_queue_put(s->q, CMD_RESEND);
        }
    }
    m->ready(m->ctx);
    stream(m);
}

uint8_t ps2_mouse_read(struct ps2_mouse_dev *m)
{
    m->s->last = ps2_queue_get(m->s->q);
    return m->s->last;
}

void ps2_mouse_init(struct ps2_mouse_dev *m, struct ps2_mouse *s, struct clock *clock,
                    void (*ready)(void *ctx), void *ctx)
{
    m->s = s;
    m->ready = ready;
    m->ctx = ctx;
    timer_init(&m->sample, clock, &s->sample, on_sample, m);
}

void ps2_mouse_reset(struct ps2_mouse_dev *m)
{
    timer_cancel(&m->sample);
    *m->s = (struct ps2_mouse){.sample = {VTIME_NEVER}};
    defaults(m);
}
