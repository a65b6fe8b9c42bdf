// The 8254 on a bare bus. Times are in ticks of 1193182 Hz; T(n) is the first instant of tick n.

#include "hw/hw.h"
#include "tests/lib/rig.h"

#define HZ UINT64_C(1193182)

struct pit {
    struct rig r;
    struct probe *p;
};

static vtime T(uint64_t tick)
{
    return clock_tick_time(tick, HZ);
}

static uint64_t tick(struct pit *x)
{
    return clock_ticks(x->r.clock.s.now, HZ);
}

static void to(struct pit *x, uint64_t t)
{
    rig_run_to(&x->r, T(t));
}

static void setup(struct pit *x)
{
    rig_init(&x->r);
    rig_add(&x->r, &i8254_class, "pit", "");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "pit.out0", "p.in0");
    rig_reset(&x->r, RESET_COLD);
    to(x, 1000);
}

static bool out0(struct pit *x)
{
    return dev_pin_in(&x->p->dev, 0);
}

static void program(struct pit *x, unsigned ch, unsigned mode, uint16_t count)
{
    rig_outb(&x->r, 0x43, (uint8_t)(ch << 6 | 0x30 | mode << 1));
    rig_outb(&x->r, (uint16_t)(0x40 + ch), (uint8_t)count);
    rig_outb(&x->r, (uint16_t)(0x40 + ch), (uint8_t)(count >> 8));
}

static uint16_t count(struct pit *x, unsigned ch)
{
    rig_outb(&x->r, 0x43, (uint8_t)(ch << 6));
    unsigned lo = rig_inb(&x->r, (uint16_t)(0x40 + ch));
    unsigned hi = rig_inb(&x->r, (uint16_t)(0x40 + ch));
    return (uint16_t)(lo | hi << 8);
}

static bool out2(struct pit *x)
{
    return rig_inb(&x->r, 0x61) >> 5 & 1;
}

TEST(i8254_mode0)
{
    struct pit x;
    setup(&x);
    EXPECT(out0(&x));
    program(&x, 0, 0, 100);
    EXPECT(!out0(&x)); // low from the control word on
    to(&x, 1001 + 99);
    EXPECT(!out0(&x));
    EXPECT_EQ(count(&x, 0), 1);
    rig_reload(&x.r);
    to(&x, 1001 + 100); // N + 1 clocks after the write
    EXPECT(out0(&x));
    EXPECT_EQ(x.p->last_rise[0], T(1101));
    to(&x, 1001 + 102);
    EXPECT_EQ(count(&x, 0), 0xfffe); // goes on counting
    to(&x, 200000);
    EXPECT(out0(&x));
    EXPECT_EQ(x.p->rises[0], 2); // the one at reset, the one at the end
    // A new count starts over; its first byte alone already pulls OUT low.
    rig_outb(&x.r, 0x40, 10);
    EXPECT(!out0(&x));
    to(&x, 200500);
    EXPECT(!out0(&x));
    rig_outb(&x.r, 0x40, 0);
    to(&x, 200500 + 11);
    EXPECT(out0(&x));
    rig_fini(&x.r);
}

TEST(i8254_mode2)
{
    struct pit x;
    setup(&x);
    program(&x, 0, 2, 10);
    unsigned falls = x.p->falls[0], rises = x.p->rises[0];
    EXPECT(out0(&x));
    to(&x, 1001 + 8);
    EXPECT(out0(&x));
    EXPECT_EQ(count(&x, 0), 2);
    to(&x, 1001 + 9);
    EXPECT(!out0(&x)); // one clock low when the count is 1
    EXPECT_EQ(count(&x, 0), 1);
    to(&x, 1001 + 10);
    EXPECT(out0(&x));
    EXPECT_EQ(count(&x, 0), 10);
    to(&x, 1001 + 105);
    EXPECT_EQ(x.p->falls[0] - falls, 10);
    EXPECT_EQ(x.p->rises[0] - rises, 10);
    EXPECT_EQ(x.p->last_rise[0], T(1101));
    // A new count takes effect at the end of the period: the one from 1101 ends at 1111.
    rig_outb(&x.r, 0x40, 100);
    rig_outb(&x.r, 0x40, 0);
    rig_reload(&x.r);
    to(&x, 1111);
    EXPECT_EQ(x.p->last_rise[0], T(1111));
    to(&x, 1211);
    EXPECT_EQ(x.p->last_rise[0], T(1211));
    EXPECT_EQ(x.p->last_fall[0], T(1210));
    rig_fini(&x.r);
}

TEST(i8254_mode3)
{
    struct pit x;
    setup(&x);
    program(&x, 0, 3, 8);
    to(&x, 1001);
    EXPECT_EQ(count(&x, 0), 8);
    to(&x, 1003);
    EXPECT_EQ(count(&x, 0), 4); // by twos
    to(&x, 1004);
    EXPECT(out0(&x));
    to(&x, 1005);
    EXPECT(!out0(&x));
    EXPECT_EQ(count(&x, 0), 8);
    to(&x, 1009);
    EXPECT(out0(&x));
    program(&x, 0, 3, 5); // odd: high (N+1)/2, low (N-1)/2
    to(&x, 1010 + 2);
    EXPECT(out0(&x));
    to(&x, 1010 + 3);
    EXPECT(!out0(&x));
    to(&x, 1010 + 5);
    EXPECT(out0(&x));
    to(&x, 1010 + 8);
    EXPECT(!out0(&x));
    rig_fini(&x.r);
}

// Mode 3 takes a new count at the end of the half period.
TEST(i8254_mode3_new_count)
{
    struct pit x;
    setup(&x);
    program(&x, 0, 3, 100);
    to(&x, 1001 + 20);
    rig_outb(&x.r, 0x40, 20);
    rig_outb(&x.r, 0x40, 0);
    to(&x, 1001 + 50);
    EXPECT(!out0(&x));
    EXPECT_EQ(x.p->last_fall[0], T(1051));
    to(&x, 1001 + 60);
    EXPECT(out0(&x)); // low for half of the new period
    EXPECT_EQ(x.p->last_rise[0], T(1061));
    to(&x, 1001 + 70);
    EXPECT_EQ(x.p->last_fall[0], T(1071));
    rig_fini(&x.r);
}

// HZ/65536 interrupts a second, no drift over an hour.
TEST(i8254_mode3_dos_tick)
{
    struct pit x;
    setup(&x);
    program(&x, 0, 3, 0);
    unsigned rises = x.p->rises[0];
    to(&x, 1001 + 65536ull * 65000);
    EXPECT_EQ(x.p->rises[0] - rises, 65000);
    EXPECT_EQ(x.p->last_rise[0], T(1001 + 65536ull * 65000));
    rig_fini(&x.r);
}

TEST(i8254_mode4)
{
    struct pit x;
    setup(&x);
    program(&x, 0, 4, 20);
    EXPECT(out0(&x));
    to(&x, 1001 + 19);
    EXPECT(out0(&x));
    to(&x, 1001 + 20);
    EXPECT(!out0(&x));
    to(&x, 1001 + 21);
    EXPECT(out0(&x));
    unsigned falls = x.p->falls[0];
    to(&x, 300000);
    EXPECT_EQ(x.p->falls[0], falls); // once
    rig_fini(&x.r);
}

// Counter 2 has a gate: port 0x61 bit 0.
TEST(i8254_gate_modes_1_and_5)
{
    struct pit x;
    setup(&x);
    program(&x, 2, 1, 50);
    EXPECT(out2(&x));
    to(&x, 2000);
    EXPECT(out2(&x)); // waits for the trigger
    rig_outb(&x.r, 0x61, 1);
    EXPECT(out2(&x));
    to(&x, 2001);
    EXPECT(!out2(&x));
    to(&x, 2030);
    rig_outb(&x.r, 0x61, 0);
    rig_outb(&x.r, 0x61, 1); // retrigger
    to(&x, 2080);
    EXPECT(!out2(&x));
    to(&x, 2081);
    EXPECT(out2(&x));

    program(&x, 2, 5, 50);
    rig_outb(&x.r, 0x61, 0);
    rig_outb(&x.r, 0x61, 1);
    uint64_t t = tick(&x);
    to(&x, t + 50);
    EXPECT(out2(&x));
    to(&x, t + 51);
    EXPECT(!out2(&x));
    to(&x, t + 52);
    EXPECT(out2(&x));
    rig_fini(&x.r);
}

TEST(i8254_gate_pauses_mode0)
{
    struct pit x;
    setup(&x);
    rig_outb(&x.r, 0x61, 1);
    program(&x, 2, 0, 100);
    to(&x, 1001 + 40);
    EXPECT_EQ(count(&x, 2), 60);
    rig_outb(&x.r, 0x61, 0);
    to(&x, 5000);
    EXPECT_EQ(count(&x, 2), 60);
    EXPECT(!out2(&x));
    rig_outb(&x.r, 0x61, 1);
    to(&x, 5059);
    EXPECT(!out2(&x));
    to(&x, 5060);
    EXPECT(out2(&x));
    rig_fini(&x.r);
}

TEST(i8254_gate_restarts_mode2)
{
    struct pit x;
    setup(&x);
    program(&x, 2, 2, 100);
    EXPECT(out2(&x));
    to(&x, 3000);
    EXPECT(out2(&x)); // gate low: OUT high, no counting
    rig_outb(&x.r, 0x61, 1);
    to(&x, 3001 + 99);
    EXPECT(!out2(&x));
    to(&x, 3001 + 130);
    EXPECT_EQ(count(&x, 2), 70);
    rig_outb(&x.r, 0x61, 0);
    EXPECT(out2(&x));
    rig_outb(&x.r, 0x61, 1);
    to(&x, 3001 + 131);
    EXPECT_EQ(count(&x, 2), 100);
    rig_fini(&x.r);
}

TEST(i8254_bcd)
{
    struct pit x;
    setup(&x);
    rig_outb(&x.r, 0x43, 0x31); // counter 0, both bytes, mode 0, BCD
    rig_outb(&x.r, 0x40, 0x00);
    rig_outb(&x.r, 0x40, 0x10); // 1000
    to(&x, 1001 + 1);
    EXPECT_EQ(count(&x, 0), 0x0999);
    to(&x, 1001 + 999);
    EXPECT(!out0(&x));
    to(&x, 1001 + 1000);
    EXPECT(out0(&x));
    to(&x, 1001 + 1001);
    EXPECT_EQ(count(&x, 0), 0x9999);
    rig_fini(&x.r);
}

TEST(i8254_single_byte_modes)
{
    struct pit x;
    setup(&x);
    rig_outb(&x.r, 0x43, 0x14); // counter 0, LSB only, mode 2
    rig_outb(&x.r, 0x40, 200);
    to(&x, 1001 + 50);
    EXPECT_EQ(rig_inb(&x.r, 0x40), 150);
    EXPECT_EQ(rig_inb(&x.r, 0x40), 150);
    rig_outb(&x.r, 0x43, 0x24); // MSB only
    rig_outb(&x.r, 0x40, 2);    // 512
    to(&x, 1051 + 1 + 100);
    EXPECT_EQ(rig_inb(&x.r, 0x40), 1); // 412
    rig_fini(&x.r);
}

TEST(i8254_latch_and_read_back)
{
    struct pit x;
    setup(&x);
    program(&x, 0, 2, 1000);
    rig_outb(&x.r, 0x43, 0xe2);                         // read back: status of counter 0
    EXPECT_EQ(rig_inb(&x.r, 0x40), 0x80 | 0x40 | 0x34); // OUT, null count, both bytes, mode 2
    to(&x, 1001 + 300);
    rig_outb(&x.r, 0x43, 0x00);
    to(&x, 1001 + 500);
    rig_outb(&x.r, 0x43, 0x00); // a second latch is ignored
    EXPECT_EQ(rig_inb(&x.r, 0x40), 700 & 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x40), 700 >> 8);
    EXPECT_EQ(rig_inb(&x.r, 0x40), 500 & 0xff); // live again
    EXPECT_EQ(rig_inb(&x.r, 0x40), 500 >> 8);
    rig_outb(&x.r, 0x43, 0xc2); // status and count: status is read first
    EXPECT_EQ(rig_inb(&x.r, 0x40), 0x80 | 0x34);
    EXPECT_EQ(rig_inb(&x.r, 0x40), 500 & 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x40), 500 >> 8);
    rig_fini(&x.r);
}

TEST(i8254_port61)
{
    struct pit x;
    setup(&x);
    rig_outb(&x.r, 0x61, 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x61) & 0xcf, 0x0f);
    unsigned toggles = 0, last = rig_inb(&x.r, 0x61) & 0x10;
    for (unsigned i = 0; i < 1000; i++) {
        rig_run(&x.r, 1000);
        unsigned now = rig_inb(&x.r, 0x61) & 0x10;
        toggles += now != last;
        last = now;
    }
    EXPECT(toggles == 66 || toggles == 67); // 1 ms / 15.08 us
    rig_fini(&x.r);
}

// Linux's TSC calibration by counter 2 in mode 0.
TEST(i8254_linux_calibration)
{
    struct pit x;
    setup(&x);
    rig_outb(&x.r, 0x61, (uint8_t)((rig_inb(&x.r, 0x61) & ~2) | 1));
    program(&x, 2, 0, 59659); // 50 ms
    vtime start = x.r.clock.s.now;
    while (!out2(&x) && x.r.clock.s.now < start + VTIME_SEC) {
        rig_run(&x.r, 500);
    }
    uint64_t ns = x.r.clock.s.now - start;
    EXPECT(ns > 49900000 && ns < 50100000);
    rig_fini(&x.r);
}
