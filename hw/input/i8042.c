/*
 * The 8042 keyboard controller (ports 0x60, 0x64) with a PS/2 keyboard and mouse.
 *
 * The controller has one output buffer. Its own answers go there at once; bytes of keyboard and
 * mouse follow BYTE_TIME after the buffer was read, keyboard first. IRQ1 and IRQ12 are levels that
 * follow the buffer, so that each byte makes an edge.
 *
 * Outputs: "irq1", "irq12"; "a20": high while the gate is open (to port92, which combines both
 * gates); "init": a pulse towards the CPU when software pulses the reset line and the property
 * `reset` says "cpu"; "machine" resets the whole machine, as the boards since the 486 do.
 *
 * Gate sources: "<name>.key": pairs of key code (ps2.h) and 1 down or 0 up. "<name>.mouse": records
 * of six bytes, little-endian: i16 right, i16 down, i8 wheel (towards the user positive), u8
 * buttons (left, right, middle, fourth, fifth).
 *
 * Sources: Intel UPI-42 (8042) user's manual; IBM PS/2 Hardware Interface Technical Reference
 * (1990), "Keyboard and Auxiliary Device Controller".
 */
#include <stdio.h>
#include <string.h>

#include "hw/hw.h"
#include "hw/input/ps2.h"
#include "mmu/aspace.h"
#include "util/bits.h"

#define BYTE_TIME (100 * VTIME_US)

enum {
    STATUS_OBF = 0x01,
    STATUS_SYSTEM = 0x04,
    STATUS_COMMAND = 0x08,
    STATUS_UNLOCKED = 0x10,
    STATUS_AUX = 0x20,

    CTR_KBD_IRQ = 0x01,
    CTR_AUX_IRQ = 0x02,
    CTR_SYSTEM = 0x04,
    CTR_KBD_OFF = 0x10,
    CTR_AUX_OFF = 0x20,
    CTR_TRANSLATE = 0x40,

    OUT_RESET = 0x01, /* active low */
    OUT_A20 = 0x02,
    OUT_AUX_FULL = 0x20,
    OUT_KBD_FULL = 0x10,

    CMD_READ_RAM = 0x20,
    CMD_WRITE_RAM = 0x60,
    CMD_TEST_PASSWORD = 0xa4,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_OFF = 0xad,
    CMD_KBD_ON = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_WRITE_KBD_BUFFER = 0xd2,
    CMD_WRITE_AUX_BUFFER = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_TEST_INPUTS = 0xe0,
    CMD_PULSE = 0xf0,
};

enum { PIN_IRQ1, PIN_IRQ12, PIN_A20, PIN_INIT };

#define I8042_STATE(S, V, A, N)                                                                    \
    A(S, uint8_t, ram, 32, 1) /* ram[0] is the command byte */                                     \
    V(S, uint8_t, command, 1) /* waits for a byte at 0x60; 0: none */                              \
    V(S, bool, full, 1)       /* the output buffer */                                              \
    V(S, bool, aux, 1)        /* ... holds a byte of the mouse */                                  \
    V(S, uint8_t, data, 1)                                                                         \
    V(S, bool, last_command, 1) /* the last write was at 0x64 */                                   \
    V(S, bool, breaking, 1)     /* translation has swallowed 0xf0 */                               \
    V(S, bool, a20, 1)                                                                             \
    V(S, struct vtimer, next, 1) /* when the next byte of a device comes in */                     \
    N(S, ps2_kbd, kbd, 1, 1)                                                                       \
    N(S, ps2_mouse, mouse, 1, 1)

ST_DECLARE(i8042_state, I8042_STATE);
ST_DESCRIBE(i8042_state, I8042_STATE, 1);

struct i8042 {
    struct dev dev;
    struct i8042_state s;
    struct timer next;
    struct ps2_kbd_dev kbd;
    struct ps2_mouse_dev mouse;
    bool has_mouse, reset_machine;
    char reset[32];
};

/* --- The register core --- */

static void update_irq(struct i8042 *c)
{
    uint8_t ctr = c->s.ram[0];
    dev_pin_set(&c->dev, PIN_IRQ1, c->s.full && !c->s.aux && (ctr & CTR_KBD_IRQ));
    dev_pin_set(&c->dev, PIN_IRQ12, c->s.full && c->s.aux && (ctr & CTR_AUX_IRQ));
}

static void put(struct i8042 *c, uint8_t byte, bool aux)
{
    /* A byte that nobody read is replaced: its interrupt goes and comes. */
    c->s.full = false;
    update_irq(c);
    c->s.data = byte;
    c->s.aux = aux;
    c->s.full = true;
    update_irq(c);
}

static bool kbd_waits(const struct i8042 *c)
{
    return !(c->s.ram[0] & CTR_KBD_OFF) && ps2_queue_count(c->s.kbd[0].q);
}

static bool mouse_waits(const struct i8042 *c)
{
    return c->has_mouse && !(c->s.ram[0] & CTR_AUX_OFF) && ps2_queue_count(c->s.mouse[0].q);
}

/* Let the next byte come, if there is one and room for it. */
static void schedule(void *ctx)
{
    struct i8042 *c = ctx;
    if (!c->s.full && (kbd_waits(c) || mouse_waits(c)) && !timer_pending(&c->next)) {
        timer_set(&c->next, clock_now(c->dev.env->clock) + BYTE_TIME);
    }
}

static void on_next(void *ctx)
{
    struct i8042 *c = ctx;
    while (!c->s.full && kbd_waits(c)) {
        uint8_t byte = ps2_kbd_read(&c->kbd);
        if (c->s.ram[0] & CTR_TRANSLATE) {
            if (byte == 0xf0) {
                c->s.breaking = true;
                continue;
            }
            byte = (uint8_t)(ps2_translate(byte) | (c->s.breaking ? 0x80 : 0));
            c->s.breaking = false;
        }
        put(c, byte, false);
    }
    if (!c->s.full && mouse_waits(c)) {
        put(c, ps2_mouse_read(&c->mouse), true);
    }
}

static void set_a20(struct i8042 *c, bool on)
{
    c->s.a20 = on;
    dev_pin_set(&c->dev, PIN_A20, on);
}

static void pulse_reset(struct i8042 *c)
{
    if (c->reset_machine) {
        dev_request(&c->dev, DEV_REQ_RESET, 0);
    } else {
        set_a20(c, true); /* or else the reset vector could not be fetched */
        dev_pin_set(&c->dev, PIN_INIT, true);
        dev_pin_set(&c->dev, PIN_INIT, false);
    }
}

static uint8_t output_port(const struct i8042 *c)
{
    return (uint8_t)(0xcc | OUT_RESET | (c->s.a20 ? OUT_A20 : 0) |
                     (dev_pin_out(&c->dev, PIN_IRQ1) ? OUT_KBD_FULL : 0) |
                     (dev_pin_out(&c->dev, PIN_IRQ12) ? OUT_AUX_FULL : 0));
}

static void write_ctr(struct i8042 *c, uint8_t val)
{
    c->s.ram[0] = val & 0x77;
    update_irq(c);
    schedule(c);
}

static void command(struct i8042 *c, uint8_t byte)
{
    uint8_t ctr = c->s.ram[0];
    c->s.command = 0;
    if (byte >= CMD_READ_RAM && byte < CMD_READ_RAM + 32) {
        put(c, c->s.ram[byte & 31], false);
        return;
    }
    if (byte >= CMD_WRITE_RAM && byte < CMD_WRITE_RAM + 32) {
        c->s.command = byte;
        return;
    }
    if (byte >= CMD_PULSE) {
        if (!(byte & OUT_RESET)) {
            pulse_reset(c);
        }
        return;
    }
    switch (byte) {
    case CMD_TEST_PASSWORD:
        put(c, 0xf1, false); /* none is installed */
        break;
    case CMD_AUX_OFF:
        write_ctr(c, ctr | CTR_AUX_OFF);
        break;
    case CMD_AUX_ON:
        write_ctr(c, ctr & (uint8_t)~CTR_AUX_OFF);
        break;
    case CMD_AUX_TEST:
        put(c, c->has_mouse ? 0x00 : 0xff, false);
        break;
    case CMD_SELF_TEST:
        c->s.ram[0] |= CTR_SYSTEM;
        put(c, 0x55, false);
        break;
    case CMD_KBD_TEST:
        put(c, 0x00, false);
        break;
    case CMD_KBD_OFF:
        write_ctr(c, ctr | CTR_KBD_OFF);
        break;
    case CMD_KBD_ON:
        write_ctr(c, ctr & (uint8_t)~CTR_KBD_OFF);
        break;
    case CMD_READ_INPUT:
        put(c, 0xa0, false); /* keyboard not locked, no jumpers */
        break;
    case CMD_READ_OUTPUT:
        put(c, output_port(c), false);
        break;
    case CMD_WRITE_OUTPUT:
    case CMD_WRITE_KBD_BUFFER:
    case CMD_WRITE_AUX_BUFFER:
    case CMD_WRITE_AUX:
        c->s.command = byte;
        break;
    case CMD_A20_OFF:
    case CMD_A20_ON:
        set_a20(c, byte == CMD_A20_ON);
        break;
    case CMD_TEST_INPUTS:
        put(c, 0x00, false);
        break;
    default:
        log_guest(c->dev.env->log, LOG_guest_errors, "%s: command 0x%02x", c->dev.name, byte);
        break;
    }
}

/* A byte at 0x60. */
static void data(struct i8042 *c, uint8_t byte)
{
    uint8_t pending = c->s.command;
    c->s.command = 0;
    switch (pending) {
    case 0:
        write_ctr(c, c->s.ram[0] & (uint8_t)~CTR_KBD_OFF);
        ps2_kbd_write(&c->kbd, byte);
        break;
    case CMD_WRITE_RAM:
        write_ctr(c, byte);
        break;
    case CMD_WRITE_OUTPUT:
        set_a20(c, byte & OUT_A20);
        if (!(byte & OUT_RESET)) {
            pulse_reset(c);
        }
        break;
    case CMD_WRITE_KBD_BUFFER:
        put(c, byte, false);
        break;
    case CMD_WRITE_AUX_BUFFER:
        put(c, byte, true);
        break;
    case CMD_WRITE_AUX:
        if (c->has_mouse) {
            write_ctr(c, c->s.ram[0] & (uint8_t)~CTR_AUX_OFF);
            ps2_mouse_write(&c->mouse, byte);
        } else {
            put(c, 0xfe, true);
        }
        break;
    default:
        c->s.ram[pending & 31] = byte;
        break;
    }
}

/* --- Bus and gate glue --- */

static uint64_t data_read(struct dev *d, uint64_t off, unsigned size)
{
    struct i8042 *c = (struct i8042 *)d;
    (void)off;
    (void)size;
    c->s.full = false;
    update_irq(c);
    schedule(c);
    return c->s.data;
}

static void data_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i8042 *c = (struct i8042 *)d;
    (void)off;
    (void)size;
    c->s.last_command = false;
    data(c, (uint8_t)val);
}

static uint64_t status_read(struct dev *d, uint64_t off, unsigned size)
{
    struct i8042 *c = (struct i8042 *)d;
    (void)off;
    (void)size;
    return STATUS_UNLOCKED | (c->s.full ? STATUS_OBF : 0u) |
           (c->s.full && c->s.aux ? STATUS_AUX : 0u) |
           (c->s.ram[0] & CTR_SYSTEM ? STATUS_SYSTEM : 0u) |
           (c->s.last_command ? STATUS_COMMAND : 0u);
}

static void command_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i8042 *c = (struct i8042 *)d;
    (void)off;
    (void)size;
    c->s.last_command = true;
    command(c, (uint8_t)val);
}

static const struct io_ops data_ops = {data_read, data_write, 1, 1};
static const struct io_ops command_ops = {status_read, command_write, 1, 1};

static void deliver_keys(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct i8042 *c = ctx;
    for (uint32_t i = 0; i + 2 <= len; i += 2) {
        ps2_kbd_key(&c->kbd, payload[i], payload[i + 1] != 0);
    }
}

static void deliver_mouse(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct i8042 *c = ctx;
    for (uint32_t i = 0; i + 6 <= len; i += 6) {
        const uint8_t *p = payload + i;
        int right = (int16_t)le16_get(p), down = (int16_t)le16_get(p + 2);
        ps2_mouse_move(&c->mouse, right, -down, (int8_t)p[4], p[5]);
    }
}

static bool i8042_init(struct dev *d, struct err *e)
{
    struct i8042 *c = (struct i8042 *)d;
    char source[40];
    c->reset_machine = strcmp(c->reset, "machine") == 0;
    if (!c->reset_machine && strcmp(c->reset, "cpu") != 0) {
        return err_set(e, "reset=%s: want machine or cpu", c->reset);
    }
    timer_init(&c->next, d->env->clock, &c->s.next, on_next, c);
    ps2_kbd_init(&c->kbd, c->s.kbd, d->env->clock, schedule, c);
    ps2_mouse_init(&c->mouse, c->s.mouse, d->env->clock, schedule, c);
    aspace_map_io(d->env->io, 0x60, 1, &data_ops, d, d->name, 0);
    aspace_map_io(d->env->io, 0x64, 1, &command_ops, d, d->name, 0);
    snprintf(source, sizeof source, "%.24s.key", d->name);
    gate_source_add(d->env->gate, source, deliver_keys, c);
    snprintf(source, sizeof source, "%.24s.mouse", d->name);
    gate_source_add(d->env->gate, source, deliver_mouse, c);
    return true;
}

static void i8042_reset(struct dev *d, enum reset_kind kind)
{
    struct i8042 *c = (struct i8042 *)d;
    (void)kind;
    timer_cancel(&c->next);
    ps2_kbd_reset(&c->kbd);
    ps2_mouse_reset(&c->mouse);
    memset(c->s.ram, 0, sizeof c->s.ram);
    /* As firmware leaves it: both devices on, translation; interrupts are the driver's to enable.
     */
    c->s.ram[0] = CTR_SYSTEM | CTR_TRANSLATE;
    c->s.command = c->s.data = 0;
    c->s.full = c->s.aux = c->s.last_command = c->s.breaking = false;
    set_a20(c, true);
    dev_pin_set(d, PIN_INIT, false);
    update_irq(c);
}

static const struct prop i8042_props[] = {
    {"mouse", PROP_BOOL, offsetof(struct i8042, has_mouse), "on", 0, 0, "a mouse is plugged in"},
    {"reset", PROP_STR, offsetof(struct i8042, reset), "machine", 0, 0,
     "what the reset line resets: machine or cpu"},
    {0},
};
static const char *const i8042_out[] = {"irq1", "irq12", "a20", "init", NULL};

const struct dev_class i8042_class = {
    .name = "i8042",
    .help = "keyboard controller with PS/2 keyboard and mouse",
    .size = sizeof(struct i8042),
    .state_off = offsetof(struct i8042, s),
    .state = &i8042_state_desc,
    .props = i8042_props,
    .pins_out = i8042_out,
    .init = i8042_init,
    .reset = i8042_reset,
};
