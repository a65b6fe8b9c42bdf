/*
 * Input from the outside: single events, and the typist.
 *
 * The typist's payload at the gate is a sequence of little-endian 32-bit steps (vm/input.h). What
 * it hands to the keyboard follows from that payload and the clock, so it goes past the log.
 */
#include "vm/input.h"

#include <stdlib.h>
#include <string.h>

#include "util/suggest.h"
#include "vm/keys.h"
#include "vm/monitor_info.h"
#include "vm/vm.h"

#define STEP_DOWN 0x100u
#define HOLD_MS   100u /* of sendkey, as QEMU's */
#define HOLD_MAX  60000u
#define TYPE_MS   10u /* a typed key is down so long, and up before the next */
#define CHORD_MAX 16u /* keys of one sendkey */

ST_DESCRIBE(typist, TYPIST_STATE, 1);

/* --- The typist --- */

static uint32_t step(uint8_t code, bool down, uint32_t delay_ms)
{
    return delay_ms << 16 | (down ? STEP_DOWN : 0) | code;
}

/* A snapshot's counts are hostile: bounded at each use. */
static uint32_t typist_count(const struct typist *t)
{
    return t->count < TYPIST_MAX ? t->count : TYPIST_MAX;
}

static void schedule(struct doppel_vm *vm)
{
    struct typist *t = vm->s.typist;
    if (typist_count(t) && !timer_pending(&vm->typist_timer)) {
        vtime now = clock_now(&vm->clock);
        vtime due = t->last + (t->step[t->head % TYPIST_MAX] >> 16) * VTIME_MS;
        timer_set(&vm->typist_timer, due > now ? due : now);
    }
}

static void on_step(void *ctx)
{
    struct doppel_vm *vm = ctx;
    struct typist *t = vm->s.typist;
    uint32_t n = typist_count(t);
    if (n) {
        uint32_t s = t->step[t->head % TYPIST_MAX];
        uint8_t event[2] = {(uint8_t)s, (s & STEP_DOWN) != 0};
        t->head = (t->head + 1) % TYPIST_MAX;
        t->count = n - 1;
        t->last = clock_now(&vm->clock);
        gate_hand(&vm->gate, vm->key_source, event, sizeof event);
        schedule(vm);
    }
}

static void deliver_steps(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct doppel_vm *vm = ctx;
    struct typist *t = vm->s.typist;
    for (uint32_t i = 0; i + 4 <= len; i += 4) {
        uint32_t n = typist_count(t);
        vm->typist_posted -= vm->typist_posted > 0;
        if (n < TYPIST_MAX) {
            t->step[(t->head + n) % TYPIST_MAX] = le32_get(payload + i);
            t->count = n + 1;
        }
    }
    schedule(vm);
}

void input_init(struct doppel_vm *vm)
{
    timer_init(&vm->typist_timer, &vm->clock, &vm->s.typist[0].next, on_step, vm);
    vm->typist_source = gate_source_add(&vm->gate, "typist", deliver_steps, vm);
    vm->key_source = vm->mouse_source = -1;
}

void input_bind(struct doppel_vm *vm)
{
    const struct board *b = vm->board;
    vm->key_source = b->key_source ? gate_source_find(&vm->gate, b->key_source) : -1;
    vm->mouse_source = b->mouse_source ? gate_source_find(&vm->gate, b->mouse_source) : -1;
}

/* --- Single events, from any thread --- */

static bool post(struct doppel_vm *vm, int source, const void *data, uint32_t len)
{
    if (!gate_post(&vm->gate, source, data, len)) {
        return false;
    }
    chr_set_wake(vm->chrs);
    return true;
}

unsigned doppel_key_code(const char *name)
{
    size_t n = strlen(name);
    return n < 32 ? key_code(name, (unsigned)n) : 0;
}

bool doppel_key_event(struct doppel_vm *vm, unsigned code, bool down)
{
    uint8_t event[2] = {(uint8_t)code, down};
    return code <= 0xff && (code & 0x7f) && post(vm, vm->key_source, event, sizeof event);
}

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

bool doppel_mouse_event(struct doppel_vm *vm, int right, int down, int wheel, unsigned buttons)
{
    uint8_t event[6];
    le16_put(event, (uint16_t)clamp(right, INT16_MIN, INT16_MAX));
    le16_put(event + 2, (uint16_t)clamp(down, INT16_MIN, INT16_MAX));
    event[4] = (uint8_t)clamp(wheel, INT8_MIN, INT8_MAX);
    event[5] = (uint8_t)buttons;
    atomic_store(&vm->mouse_buttons, (uint8_t)buttons);
    return post(vm, vm->mouse_source, event, sizeof event);
}

/* --- Monitor --- */

/* Post n steps if the queue has room for them. */
static void type_steps(struct doppel_vm *vm, const uint32_t *steps, unsigned n, struct mon_out *o)
{
    uint8_t payload[4 * TYPIST_MAX];
    if (vm->key_source < 0) {
        mon_printf(o, "this board has no keyboard\n");
        return;
    }
    if (typist_count(vm->s.typist) + vm->typist_posted + n > TYPIST_MAX) {
        mon_printf(o, "still typing: no room for so many keys yet\n");
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        le32_put(payload + (size_t)4 * i, steps[i]);
    }
    vm->typist_posted += n;
    post(vm, vm->typist_source, payload, 4 * n);
}

static const char *key_name(void *ctx, unsigned i)
{
    (void)ctx;
    return key_at(i) ? key_at(i)->name : NULL;
}

/* "ctrl-alt-delete" up to a blank; the number of keys, 0 after a message. */
static unsigned parse_chord(const char *args, uint8_t *code, struct mon_out *o)
{
    unsigned n = 0, len;
    do {
        len = (unsigned)strcspn(args, "- \t");
        if (n == CHORD_MAX) {
            mon_printf(o, "sendkey: more than %u keys at once\n", CHORD_MAX);
            return 0;
        }
        code[n] = key_code(args, len);
        if (!code[n++]) {
            char word[24];
            snprintf(word, sizeof word, "%.*s", (int)(len < 23 ? len : 23), args);
            mon_printf(o, "sendkey: no key \"%s\"; the nearest is \"%s\"\n", word,
                       suggest_nearest(word, key_name, NULL));
            return 0;
        }
        args += len + 1;
    } while (args[-1] == '-');
    return n;
}

void mon_sendkey(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    uint8_t code[CHORD_MAX];
    uint32_t steps[2 * CHORD_MAX];
    unsigned long hold = HOLD_MS;
    const char *rest = args + strcspn(args, " \t");
    rest += strspn(rest, " \t");
    if (*rest) {
        char *end;
        hold = strtoul(rest, &end, 10);
        if (*end || *rest < '0' || *rest > '9' || hold > HOLD_MAX) {
            mon_printf(o, "sendkey: \"%s\": want milliseconds of virtual time, at most %u\n", rest,
                       HOLD_MAX);
            return;
        }
    }
    unsigned n = *args ? parse_chord(args, code, o) : 0;
    if (!*args) {
        mon_printf(o, "sendkey: want keys, for example: sendkey ctrl-alt-delete\n");
    }
    if (!n) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        steps[i] = step(code[i], true, i ? 0 : TYPE_MS);
        steps[2 * n - 1 - i] = step(code[i], false, 0);
    }
    steps[n] = step(code[n - 1], false, (uint32_t)hold);
    type_steps(vm, steps, 2 * n, o);
}

/* The character at *text, with \n, \t, \e and \\; *text moves behind it. */
static char unescape(const char **text)
{
    static const char from[] = "nte\\", to[] = "\n\t\033\\";
    char c = *(*text)++;
    const char *p = c == '\\' && **text ? strchr(from, **text) : NULL;
    if (p) {
        ++*text;
        return to[p - from];
    }
    return c;
}

void mon_sendtext(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    uint32_t steps[TYPIST_MAX];
    unsigned n = 0;
    while (*args) {
        uint8_t code;
        bool shift;
        char c = unescape(&args);
        if (!key_of_char(c, &code, &shift)) {
            mon_printf(o, "sendtext: no key types the byte %#x\n", (unsigned char)c);
            return;
        }
        if (n + 4 > TYPIST_MAX) {
            mon_printf(o, "sendtext: too long\n");
            return;
        }
        if (shift) {
            steps[n++] = step(KEY_SHIFT, true, TYPE_MS);
        }
        steps[n++] = step(code, true, TYPE_MS);
        steps[n++] = step(code, false, TYPE_MS);
        if (shift) {
            steps[n++] = step(KEY_SHIFT, false, TYPE_MS);
        }
    }
    if (n) {
        type_steps(vm, steps, n, o);
    } else {
        mon_printf(o, "sendtext: want text; \\n is Enter\n");
    }
}

/* One to three numbers; false after a message. */
static bool parse_numbers(const char *args, long *v, unsigned want, unsigned max)
{
    unsigned n = 0;
    while (*args && n < max) {
        char *end;
        v[n++] = strtol(args, &end, 0);
        if (end == args || (*end && *end != ' ')) {
            return false;
        }
        args = end + strspn(end, " ");
    }
    return n >= want && !*args;
}

static int as_int(long v)
{
    return v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : (int)v;
}

void mon_mouse_move(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    long v[3] = {0};
    if (!parse_numbers(args, v, 2, 3)) {
        mon_printf(o, "mouse_move: want DX DY [DZ]: counts to the right, down, wheel up\n");
    } else if (!doppel_mouse_event(vm, as_int(v[0]), as_int(v[1]), -as_int(v[2]),
                                   atomic_load(&vm->mouse_buttons))) {
        mon_printf(o, "this board has no mouse\n");
    }
}

void mon_mouse_button(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    long v[1];
    if (!parse_numbers(args, v, 1, 1) || v[0] < 0 || v[0] > 31) {
        mon_printf(o, "mouse_button: want the sum of the buttons held: 1 left, 2 right, 4 middle, "
                      "8 and 16 the others\n");
    } else if (!doppel_mouse_event(vm, 0, 0, 0, (unsigned)v[0])) {
        mon_printf(o, "this board has no mouse\n");
    }
}
