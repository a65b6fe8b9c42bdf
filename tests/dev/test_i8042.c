// Keyboard controller, keyboard, mouse and port 0x92 on a bare bus.

#include <string.h>

#include "hw/hw.h"
#include "hw/input/ps2.h"
#include "tests/lib/rig.h"
#include "util/bits.h"

struct kbc {
    struct rig r;
    struct probe *p; // in0 IRQ1, in1 IRQ12, in2 A20M, in3 INIT of the 8042, in4 INIT of port 0x92
};

static void setup_with(struct kbc *x, const char *props)
{
    rig_init(&x->r);
    rig_add(&x->r, &i8042_class, "kbd", props);
    rig_add(&x->r, &port92_class, "port92", props);
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "kbd.irq1", "p.in0");
    rig_wire(&x->r, "kbd.irq12", "p.in1");
    rig_wire(&x->r, "kbd.a20", "port92.kbc_a20");
    rig_wire(&x->r, "port92.a20m", "p.in2");
    rig_wire(&x->r, "kbd.init", "p.in3");
    rig_wire(&x->r, "port92.init", "p.in4");
    rig_reset(&x->r, RESET_COLD);
}

static void setup(struct kbc *x)
{
    setup_with(x, "");
}

static void cmd(struct kbc *x, uint8_t c)
{
    rig_outb(&x->r, 0x64, c);
}

// The next byte, waiting as a driver would: status << 8 | byte, or -1.
static int next(struct kbc *x)
{
    for (unsigned i = 0; i < 100; i++) {
        uint8_t status = rig_inb(&x->r, 0x64);
        if (status & 1) {
            return (status & 0x20) << 8 | rig_inb(&x->r, 0x60);
        }
        rig_run(&x->r, 10 * VTIME_US);
    }
    return -1;
}
enum { AUX = 0x2000 };

static void expect_bytes(struct kbc *x, const uint8_t *want, unsigned n, int aux)
{
    for (unsigned i = 0; i < n; i++) {
        EXPECT_EQ(next(x), aux | want[i]);
    }
    EXPECT_EQ(next(x), -1);
}
#define EXPECT_BYTES(x, aux, ...)                                                                  \
    expect_bytes(x, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), aux)

static void key(struct kbc *x, uint8_t code, bool down)
{
    uint8_t b[2] = {code, down};
    rig_post(&x->r, "kbd.key", b, 2);
}

static void mouse(struct kbc *x, int dx, int dy, int dz, uint8_t buttons)
{
    uint8_t b[6];
    le16_put(b, (uint16_t)dx);
    le16_put(b + 2, (uint16_t)dy);
    b[4] = (uint8_t)dz;
    b[5] = buttons;
    rig_post(&x->r, "kbd.mouse", b, 6);
}

static void to_mouse(struct kbc *x, uint8_t byte)
{
    cmd(x, 0xd4);
    rig_outb(&x->r, 0x60, byte);
}

// Command byte: no interrupts, no translation.
static void raw(struct kbc *x)
{
    cmd(x, 0x60);
    rig_outb(&x->r, 0x60, 0x04);
}

TEST(i8042_controller_commands)
{
    struct kbc x;
    setup(&x);
    EXPECT_EQ(rig_inb(&x.r, 0x64), 0x14);
    cmd(&x, 0xaa);
    EXPECT_EQ(rig_inb(&x.r, 0x64), 0x1d); // answer there, system flag, last write a command
    EXPECT_EQ(next(&x), 0x55);
    cmd(&x, 0xab);
    EXPECT_EQ(next(&x), 0x00);
    cmd(&x, 0xa9);
    EXPECT_EQ(next(&x), 0x00);
    cmd(&x, 0x20);
    EXPECT_EQ(next(&x), 0x44);
    cmd(&x, 0x60);
    rig_outb(&x.r, 0x60, 0x47);
    EXPECT_EQ(rig_inb(&x.r, 0x64) & 8, 0);
    cmd(&x, 0xad);
    cmd(&x, 0xa7);
    cmd(&x, 0x20);
    EXPECT_EQ(next(&x), 0x77);
    cmd(&x, 0xae);
    cmd(&x, 0xa8);
    cmd(&x, 0x20);
    EXPECT_EQ(next(&x), 0x47);
    cmd(&x, 0x65);
    rig_outb(&x.r, 0x60, 0x99);
    cmd(&x, 0x25);
    EXPECT_EQ(next(&x), 0x99);
    cmd(&x, 0xd3); // the loop that Linux uses to find a mouse port
    rig_outb(&x.r, 0x60, 0x5a);
    EXPECT_EQ(next(&x), AUX | 0x5a);
    cmd(&x, 0xd2);
    rig_outb(&x.r, 0x60, 0x5b);
    EXPECT_EQ(next(&x), 0x5b);
    cmd(&x, 0x77); // reserved: nothing
    rig_outb(&x.r, 0x60, 0x01);
    rig_reload(&x.r);
    rig_fini(&x.r);
}

TEST(i8042_interrupts)
{
    struct kbc x;
    setup(&x);
    cmd(&x, 0x60);
    rig_outb(&x.r, 0x60, 0x47);
    key(&x, 0x1e, true);
    EXPECT(!dev_pin_in(&x.p->dev, 0)); // on its way
    rig_run(&x.r, 100 * VTIME_US);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    rig_reload(&x.r);
    key(&x, 0x1e, false);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(x.p->rises[0], 1); // the buffer is full
    EXPECT_EQ(rig_inb(&x.r, 0x60), 0x1e);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_run(&x.r, 100 * VTIME_US);
    EXPECT_EQ(x.p->rises[0], 2);
    EXPECT_EQ(rig_inb(&x.r, 0x60), 0x9e);
    to_mouse(&x, 0xf4);
    rig_run(&x.r, VTIME_MS);
    EXPECT(dev_pin_in(&x.p->dev, 1) && !dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(next(&x), AUX | 0xfa);
    EXPECT(!dev_pin_in(&x.p->dev, 1));
    rig_fini(&x.r);
}

TEST(ps2_keyboard_commands)
{
    struct kbc x;
    setup(&x);
    raw(&x);
    rig_outb(&x.r, 0x60, 0xff);
    EXPECT_BYTES(&x, 0, 0xfa, 0xaa);
    rig_outb(&x.r, 0x60, 0xf2);
    EXPECT_BYTES(&x, 0, 0xfa, 0xab, 0x83);
    rig_outb(&x.r, 0x60, 0xee);
    EXPECT_BYTES(&x, 0, 0xee);
    rig_outb(&x.r, 0x60, 0xed);
    EXPECT_BYTES(&x, 0, 0xfa);
    rig_outb(&x.r, 0x60, 0x07);
    EXPECT_BYTES(&x, 0, 0xfa);
    rig_outb(&x.r, 0x60, 0xfe);
    EXPECT_BYTES(&x, 0, 0xfa); // resend
    rig_outb(&x.r, 0x60, 0xf0);
    EXPECT_EQ(next(&x), 0xfa);
    rig_outb(&x.r, 0x60, 0x00);
    EXPECT_BYTES(&x, 0, 0xfa, 0x02);
    rig_outb(&x.r, 0x60, 0x55); // no such command
    EXPECT_BYTES(&x, 0, 0xfe);
    rig_outb(&x.r, 0x60, 0xf5);
    EXPECT_BYTES(&x, 0, 0xfa);
    key(&x, 0x1e, true); // does not scan
    key(&x, 0x1e, false);
    EXPECT_EQ(next(&x), -1);
    rig_outb(&x.r, 0x60, 0xf4);
    EXPECT_BYTES(&x, 0, 0xfa);
    key(&x, 0x1e, true);
    EXPECT_EQ(next(&x), 0x1c);
    rig_fini(&x.r);
}

TEST(ps2_scan_code_sets)
{
    struct kbc x;
    setup(&x);
    raw(&x); // set 2 as it is
    key(&x, 0x1e, true);
    EXPECT_BYTES(&x, 0, 0x1c);
    key(&x, 0x1e, false);
    EXPECT_BYTES(&x, 0, 0xf0, 0x1c);
    key(&x, 0xc8, true); // Up
    EXPECT_BYTES(&x, 0, 0xe0, 0x75);
    key(&x, 0xc8, false);
    EXPECT_BYTES(&x, 0, 0xe0, 0xf0, 0x75);
    key(&x, 0x41, true); // F7
    EXPECT_BYTES(&x, 0, 0x83);
    key(&x, 0x41, false);
    next(&x);
    next(&x);
    key(&x, 0xc6, true); // Pause
    EXPECT_BYTES(&x, 0, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
    key(&x, 0xc6, false);
    EXPECT_EQ(next(&x), -1);
    key(&x, 0xb7, true); // Print Screen
    EXPECT_BYTES(&x, 0, 0xe0, 0x12, 0xe0, 0x7c);
    key(&x, 0xb7, false);
    EXPECT_BYTES(&x, 0, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12);

    cmd(&x, 0x60); // translated: set 1
    rig_outb(&x.r, 0x60, 0x44);
    key(&x, 0x1e, true);
    key(&x, 0x1e, false);
    EXPECT_BYTES(&x, 0, 0x1e, 0x9e);
    key(&x, 0xc8, true);
    key(&x, 0xc8, false);
    EXPECT_BYTES(&x, 0, 0xe0, 0x48, 0xe0, 0xc8);
    key(&x, 0xc6, true);
    EXPECT_BYTES(&x, 0, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    key(&x, 0xc6, false);
    key(&x, 0xb7, true);
    key(&x, 0xb7, false);
    EXPECT_BYTES(&x, 0, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);

    raw(&x);
    rig_outb(&x.r, 0x60, 0xf0);
    next(&x);
    rig_outb(&x.r, 0x60, 3);
    next(&x);
    key(&x, 0x1d, true); // left Ctrl
    key(&x, 0x1d, false);
    key(&x, 0xc8, true);
    key(&x, 0xc8, false);
    EXPECT_BYTES(&x, 0, 0x11, 0xf0, 0x11, 0x63, 0xf0, 0x63);
    rig_fini(&x.r);
}

// Every key of set 1 comes back from set 2 by the controller's translation.
TEST(ps2_translation_is_inverse)
{
    struct kbc x;
    setup(&x);
    unsigned keys = 0;
    for (unsigned code = 1; code <= 0x58; code++) {
        if (code >= 0x55 && code <= 0x56) {
            continue; // 0x55 is no key; 0x56 is checked below
        }
        key(&x, (uint8_t)code, true);
        key(&x, (uint8_t)code, false);
        t_context("key 0x%02x", code);
        EXPECT_EQ(next(&x), code);
        EXPECT_EQ(next(&x), code | 0x80);
        keys++;
    }
    EXPECT_EQ(keys, 86);
    key(&x, 0x56, true);
    EXPECT_EQ(next(&x), 0x56);
    rig_fini(&x.r);
}

TEST(ps2_typematic)
{
    struct kbc x;
    setup(&x);
    key(&x, 0x1e, true);
    key(&x, 0x1e, true); // the host's repetition is ignored
    EXPECT_EQ(next(&x), 0x1e);
    rig_run(&x.r, 400 * VTIME_MS);
    EXPECT_EQ(rig_inb(&x.r, 0x64) & 1, 0);
    unsigned n = 0;
    for (vtime end = x.r.clock.s.now + VTIME_SEC; x.r.clock.s.now < end;) {
        rig_run(&x.r, VTIME_MS);
        if (rig_inb(&x.r, 0x64) & 1) {
            EXPECT_EQ(rig_inb(&x.r, 0x60), 0x1e);
            n++;
        }
    }
    EXPECT(n >= 9 && n <= 11); // 500 ms, then 10.9 a second
    key(&x, 0x1e, false);
    EXPECT_EQ(next(&x), 0x9e);
    rig_run(&x.r, VTIME_SEC);
    EXPECT_EQ(rig_inb(&x.r, 0x64) & 1, 0);
    rig_fini(&x.r);
}

// Nobody reads: sixteen bytes are kept, then the overrun code, and nothing breaks.
TEST(ps2_keyboard_overrun)
{
    struct kbc x;
    setup(&x);
    raw(&x);
    for (unsigned i = 0; i < 100; i++) {
        key(&x, 0x1e, true);
        key(&x, 0x1e, false);
        rig_run(&x.r, VTIME_MS);
    }
    rig_reload(&x.r);
    unsigned n = 0;
    int last = -1;
    for (int b; (b = next(&x)) >= 0; n++) {
        last = b;
    }
    EXPECT_EQ(last, 0x00);
    EXPECT(n >= 16 && n <= 18);
    key(&x, 0x30, true);
    EXPECT_EQ(next(&x), 0x32);
    rig_fini(&x.r);
}

TEST(ps2_mouse_protocol)
{
    struct kbc x;
    setup(&x);
    to_mouse(&x, 0xff);
    EXPECT_BYTES(&x, AUX, 0xfa, 0xaa, 0x00);
    to_mouse(&x, 0xf2);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x00);
    mouse(&x, 5, 5, 0, 1); // not enabled
    EXPECT_EQ(next(&x), -1);
    to_mouse(&x, 0xf4);
    EXPECT_BYTES(&x, AUX, 0xfa);
    mouse(&x, 10, 3, 0, 1); // right and down, left button
    EXPECT_BYTES(&x, AUX, 0x29, 10, 0xfd);
    rig_run(&x.r, 20 * VTIME_MS);
    mouse(&x, 600, 0, 0, 0); // more than a packet holds
    EXPECT_EQ(next(&x), AUX | 0x08);
    EXPECT_EQ(next(&x), AUX | 255);
    EXPECT_EQ(next(&x), AUX | 0);
    rig_reload(&x.r);
    rig_run(&x.r, 10 * VTIME_MS);
    EXPECT_EQ(next(&x), AUX | 0x08);
    EXPECT_EQ(next(&x), AUX | 255);
    EXPECT_EQ(next(&x), AUX | 0);
    rig_run(&x.r, 10 * VTIME_MS);
    EXPECT_BYTES(&x, AUX, 0x08, 90, 0);
    to_mouse(&x, 0xe9);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x20, 0x02, 100);
    // Remote mode.
    to_mouse(&x, 0xf0);
    EXPECT_BYTES(&x, AUX, 0xfa);
    mouse(&x, -4, 0, 0, 2);
    EXPECT_EQ(next(&x), -1);
    to_mouse(&x, 0xeb);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x1a, 0xfc, 0);
    // Wrap mode.
    to_mouse(&x, 0xee);
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 0xf4);
    EXPECT_BYTES(&x, AUX, 0xf4);
    to_mouse(&x, 0xec);
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 0x12);
    EXPECT_BYTES(&x, AUX, 0xfe);
    rig_fini(&x.r);
}

static void knock(struct kbc *x, uint8_t rate)
{
    to_mouse(x, 0xf3);
    EXPECT_EQ(next(x), AUX | 0xfa);
    to_mouse(x, rate);
    EXPECT_EQ(next(x), AUX | 0xfa);
}

TEST(ps2_mouse_wheel)
{
    struct kbc x;
    setup(&x);
    knock(&x, 200);
    knock(&x, 100);
    knock(&x, 80);
    to_mouse(&x, 0xf2);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x03);
    to_mouse(&x, 0xf4);
    EXPECT_BYTES(&x, AUX, 0xfa);
    mouse(&x, 0, 0, -1, 0);
    EXPECT_BYTES(&x, AUX, 0x08, 0, 0, 0xff);
    knock(&x, 200);
    knock(&x, 200);
    knock(&x, 80);
    to_mouse(&x, 0xf2);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x04);
    rig_run(&x.r, 20 * VTIME_MS);
    mouse(&x, 0, 0, 1, 0x08);
    EXPECT_BYTES(&x, AUX, 0x08, 0, 0, 0x11);
    rig_fini(&x.r);
}

TEST(i8042_without_mouse)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, &i8042_class, "kbd", "mouse=off");
    rig_reset(&r, RESET_COLD);
    rig_outb(&r, 0x64, 0xa9);
    EXPECT_EQ(rig_inb(&r, 0x60), 0xff);
    rig_fini(&r);
}

TEST(a20_gates)
{
    struct kbc x;
    setup(&x);
    EXPECT(!dev_pin_in(&x.p->dev, 2)); // open
    rig_outb(&x.r, 0x92, 0x00);
    EXPECT(!dev_pin_in(&x.p->dev, 2)); // the other gate is open still
    cmd(&x, 0xd1);
    rig_outb(&x.r, 0x60, 0xdd);
    EXPECT(dev_pin_in(&x.p->dev, 2));
    cmd(&x, 0xd0);
    EXPECT_EQ(next(&x) & 2, 0);
    rig_reload(&x.r);
    rig_outb(&x.r, 0x92, 0x02);
    EXPECT(!dev_pin_in(&x.p->dev, 2));
    EXPECT_EQ(rig_inb(&x.r, 0x92), 0x02);
    rig_outb(&x.r, 0x92, 0x00);
    cmd(&x, 0xdf);
    EXPECT(!dev_pin_in(&x.p->dev, 2));
    cmd(&x, 0xdd);
    EXPECT(dev_pin_in(&x.p->dev, 2));
    rig_reset(&x.r, RESET_WARM);
    EXPECT(!dev_pin_in(&x.p->dev, 2));
    rig_fini(&x.r);
}

TEST(reset_lines)
{
    struct kbc x;
    setup(&x);
    cmd(&x, 0xfe);
    EXPECT(x.r.nreq == 1 && x.r.req == DEV_REQ_RESET);
    cmd(&x, 0xff); // pulses nothing
    EXPECT_EQ(x.r.nreq, 1);
    rig_outb(&x.r, 0x92, 0x03);
    EXPECT_EQ(x.r.nreq, 2);
    rig_outb(&x.r, 0x92, 0x03); // no edge
    EXPECT_EQ(x.r.nreq, 2);
    rig_fini(&x.r);
    struct err e;
    rig_init(&x.r);
    struct dev *k = rig_add(&x.r, &i8042_class, "kbd", "reset=cpu");
    struct dev *q = rig_add(&x.r, &port92_class, "port92", "reset=cpu");
    x.p = (struct probe *)rig_add(&x.r, &probe_class, "p", "");
    EXPECT(dev_connect(k, "init", &x.p->dev, "in3", &e));
    EXPECT(dev_connect(q, "init", &x.p->dev, "in4", &e));
    rig_reset(&x.r, RESET_COLD);
    cmd(&x, 0xfe);
    rig_outb(&x.r, 0x92, 0x01);
    EXPECT(x.r.nreq == 0 && x.p->rises[3] == 1 && x.p->falls[3] == 1 && x.p->rises[4] == 1);
    struct dev *bad = dev_new(&x.r.env, &port92_class, "bad", &e);
    EXPECT(dev_set(bad, "reset", "all", &e) && !dev_init(bad, &e));
    rig_fini(&x.r);
}

// Set 1 from the keyboard itself, typematic rate, and keys whose type is set (set 3's commands).
TEST(ps2_set_1_and_arguments)
{
    struct kbc x;
    setup(&x);
    raw(&x);
    rig_outb(&x.r, 0x60, 0xf0);
    EXPECT_BYTES(&x, 0, 0xfa);
    rig_outb(&x.r, 0x60, 1);
    EXPECT_BYTES(&x, 0, 0xfa);
    rig_reload(&x.r);
    key(&x, 0x1e, true);
    key(&x, 0x1e, false);
    key(&x, 0xc8, true);
    key(&x, 0xc8, false);
    EXPECT_BYTES(&x, 0, 0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8);
    key(&x, 0xc6, true); // Pause has no break code
    key(&x, 0xc6, false);
    EXPECT_BYTES(&x, 0, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    key(&x, 0xb7, true);
    key(&x, 0xb7, false);
    EXPECT_BYTES(&x, 0, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
    rig_outb(&x.r, 0x60, 0xf0);
    EXPECT_EQ(next(&x), 0xfa);
    rig_outb(&x.r, 0x60, 0);
    EXPECT_BYTES(&x, 0, 0xfa, 0x01);
    // The slowest: 1 s, then every 500 ms; the fastest: 250 ms, then every 33.
    static const struct {
        uint8_t rate;
        uint64_t delay, period;
    } t[] = {{0x7f, 1000, 500}, {0x00, 250, 33}, {0x2b, 500, 91}};
    for (unsigned i = 0; i < 3; i++) {
        t_context("rate %02x", t[i].rate);
        rig_outb(&x.r, 0x60, 0xf3);
        EXPECT_EQ(next(&x), 0xfa);
        rig_outb(&x.r, 0x60, t[i].rate);
        EXPECT_EQ(next(&x), 0xfa);
        key(&x, 0x1e, true);
        EXPECT_EQ(next(&x), 0x1e);
        rig_run(&x.r, (t[i].delay - 5) * VTIME_MS);
        EXPECT_EQ(next(&x), -1);
        rig_run(&x.r, 10 * VTIME_MS);
        EXPECT_EQ(next(&x), 0x1e);
        rig_run(&x.r, t[i].period * VTIME_MS);
        EXPECT_EQ(next(&x), 0x1e);
        key(&x, 0x1e, false);
        EXPECT_EQ(next(&x), 0x9e);
    }
    t_context("after the table");
    // Key types: any number of keys follow, until a command comes.
    rig_outb(&x.r, 0x60, 0xfb);
    EXPECT_BYTES(&x, 0, 0xfa);
    rig_outb(&x.r, 0x60, 0x1c);
    EXPECT_BYTES(&x, 0, 0xfa);
    rig_outb(&x.r, 0x60, 0x32);
    EXPECT_BYTES(&x, 0, 0xfa);
    rig_outb(&x.r, 0x60, 0xee);
    EXPECT_BYTES(&x, 0, 0xee);
    rig_fini(&x.r);
}

// Scaling 2:1, resolution, the modes and the way back to the defaults.
TEST(ps2_mouse_settings)
{
    struct kbc x;
    setup(&x);
    to_mouse(&x, 0xe7);
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 0xe8);
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 3);
    EXPECT_BYTES(&x, AUX, 0xfa);
    rig_reload(&x.r);
    to_mouse(&x, 0xf4);
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 0xe9);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x30, 3, 100);
    static const int8_t scaled[] = {0, 1, 1, 3, 6, 9, 12, 14}; // counts 0 to 7 in stream mode
    for (int i = 1; i < 8; i++) {
        rig_run(&x.r, 20 * VTIME_MS);
        mouse(&x, i, i, 0, 0); // down is negative
        EXPECT_EQ(next(&x), AUX | 0x28);
        EXPECT_EQ(next(&x), AUX | scaled[i]);
        EXPECT_EQ(next(&x), AUX | (uint8_t)-scaled[i]);
    }
    to_mouse(&x, 0xe8); // no such resolution
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 4);
    EXPECT_BYTES(&x, AUX, 0xfc);
    to_mouse(&x, 0xfe); // resend
    EXPECT_BYTES(&x, AUX, 0xfc);
    // Read data in remote mode is not scaled; stream mode forgets what was counted.
    to_mouse(&x, 0xf0);
    EXPECT_BYTES(&x, AUX, 0xfa);
    mouse(&x, 5, 0, 0, 0);
    to_mouse(&x, 0xeb);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x08, 5, 0);
    mouse(&x, 5, 0, 0, 0);
    to_mouse(&x, 0xea);
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 0xeb);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x08, 0, 0);
    to_mouse(&x, 0xe6);
    EXPECT_BYTES(&x, AUX, 0xfa);
    mouse(&x, 0, 0, 0, 6); // middle and right
    EXPECT_BYTES(&x, AUX, 0x0e, 0, 0);
    to_mouse(&x, 0xe9);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x23, 3, 100);
    to_mouse(&x, 0xf6); // defaults: off, 1:1, 4 counts a mm, 100 a second
    EXPECT_BYTES(&x, AUX, 0xfa);
    to_mouse(&x, 0xe9);
    EXPECT_BYTES(&x, AUX, 0xfa, 0x03, 2, 100);
    rig_fini(&x.r);
}
