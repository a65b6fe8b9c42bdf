/*
 * The PS/2 keyboard and mouse, apart from the controller that they hang on.
 *
 * Each is a state struct, a queue of bytes towards the controller, and a function for bytes from
 * it. `ready` is called when bytes have been queued.
 *
 * Key codes, in the gate's payload and here: the scan code of set 1 (1..0x7f), plus 0x80 for keys
 * that set 1 prefixes with 0xe0. Pause is 0xc6, Print Screen 0xb7.
 */
#ifndef DOPPEL_HW_INPUT_PS2_H
#define DOPPEL_HW_INPUT_PS2_H

#include "core/clock.h"
#include "core/state.h"

enum { PS2_KEY_PRINT = 0xb7, PS2_KEY_PAUSE = 0xc6, PS2_QUEUE = 32 };

/* --- Bytes on their way to the controller --- */

#define PS2_QUEUE_STATE(S, V, A, N)                                                                \
    A(S, uint8_t, data, PS2_QUEUE, 1) /* ring */                                                   \
    V(S, uint8_t, head, 1)                                                                         \
    V(S, uint8_t, count, 1)
ST_DECLARE(ps2_queue, PS2_QUEUE_STATE);

/* A snapshot's head and count are hostile: bounded at each use. */
static inline unsigned ps2_queue_count(const struct ps2_queue *q)
{
    return q->count > PS2_QUEUE ? PS2_QUEUE : q->count;
}

static inline void ps2_queue_put(struct ps2_queue *q, uint8_t byte)
{
    unsigned n = ps2_queue_count(q);
    if (n < PS2_QUEUE) {
        q->data[(q->head + n) % PS2_QUEUE] = byte;
        q->count = (uint8_t)(n + 1);
    }
}

/* 0 if there is none. */
static inline uint8_t ps2_queue_get(struct ps2_queue *q)
{
    unsigned n = ps2_queue_count(q);
    if (!n) {
        return 0;
    }
    uint8_t byte = q->data[q->head % PS2_QUEUE];
    q->head = (uint8_t)((q->head + 1) % PS2_QUEUE);
    q->count = (uint8_t)(n - 1);
    return byte;
}

static inline void ps2_queue_clear(struct ps2_queue *q)
{
    *q = (struct ps2_queue){.head = 0};
}

/* --- Keyboard (ps2_kbd.c) --- */

#define PS2_KBD_STATE(S, V, A, N)                                                                  \
    N(S, ps2_queue, q, 1, 1)                                                                       \
    V(S, uint8_t, command, 1) /* waits for its argument; 0: none */                                \
    V(S, uint8_t, last, 1)    /* byte sent, for resend */                                          \
    V(S, uint8_t, set, 1)     /* scan code set, 1..3 */                                            \
    V(S, uint8_t, leds, 1)                                                                         \
    V(S, uint8_t, rate, 1) /* typematic, as programmed */                                          \
    V(S, bool, scanning, 1)                                                                        \
    A(S, uint8_t, pressed, 32, 1) /* a bit for each key code */                                    \
    V(S, uint8_t, repeat_key, 1)                                                                   \
    V(S, struct vtimer, repeat, 1)
ST_DECLARE(ps2_kbd, PS2_KBD_STATE);

struct ps2_kbd_dev {
    struct ps2_kbd *s;
    struct timer repeat;
    void (*ready)(void *ctx);
    void *ctx;
};

void ps2_kbd_init(struct ps2_kbd_dev *k, struct ps2_kbd *s, struct clock *clock,
                  void (*ready)(void *ctx), void *ctx);
void ps2_kbd_reset(struct ps2_kbd_dev *k);
/* A byte from the controller. */
void ps2_kbd_write(struct ps2_kbd_dev *k, uint8_t byte);
uint8_t ps2_kbd_read(struct ps2_kbd_dev *k);
/* A key went down or up. A key that is down already is left to the keyboard's own repetition. */
void ps2_kbd_key(struct ps2_kbd_dev *k, uint8_t code, bool down);
/* The controller's translation of a set 2 byte to set 1 (without the handling of 0xf0). */
uint8_t ps2_translate(uint8_t byte);

/* --- Mouse (ps2_mouse.c) --- */

#define PS2_MOUSE_STATE(S, V, A, N)                                                                \
    N(S, ps2_queue, q, 1, 1)                                                                       \
    V(S, uint8_t, command, 1)                                                                      \
    V(S, uint8_t, last, 1)                                                                         \
    V(S, uint8_t, id, 1)       /* 0 plain, 3 with wheel, 4 with five buttons */                    \
    A(S, uint8_t, rates, 3, 1) /* the last sample rates set: the knock that selects `id` */        \
    V(S, uint8_t, rate, 1)     /* samples a second */                                              \
    V(S, uint8_t, resolution, 1)                                                                   \
    V(S, bool, enabled, 1)                                                                         \
    V(S, bool, remote, 1)                                                                          \
    V(S, bool, wrap, 1)                                                                            \
    V(S, bool, scale2, 1)                                                                          \
    V(S, uint8_t, buttons, 1)  /* left, right, middle, fourth, fifth */                            \
    V(S, uint8_t, reported, 1) /* buttons in the last packet */                                    \
    V(S, int32_t, dx, 1)       /* not yet reported; right, up and towards the user positive */     \
    V(S, int32_t, dy, 1)                                                                           \
    V(S, int32_t, dz, 1)                                                                           \
    V(S, struct vtimer, sample, 1)
ST_DECLARE(ps2_mouse, PS2_MOUSE_STATE);

struct ps2_mouse_dev {
    struct ps2_mouse *s;
    struct timer sample;
    void (*ready)(void *ctx);
    void *ctx;
};

void ps2_mouse_init(struct ps2_mouse_dev *m, struct ps2_mouse *s, struct clock *clock,
                    void (*ready)(void *ctx), void *ctx);
void ps2_mouse_reset(struct ps2_mouse_dev *m);
void ps2_mouse_write(struct ps2_mouse_dev *m, uint8_t byte);
uint8_t ps2_mouse_read(struct ps2_mouse_dev *m);
/* Movement in counts (right and up positive), wheel (towards the user positive), buttons held. */
void ps2_mouse_move(struct ps2_mouse_dev *m, int dx, int dy, int dz, uint8_t buttons);

#endif
