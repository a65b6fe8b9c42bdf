// The HPET on a bare bus.

#include "hw/hw.h"
#include "tests/lib/rig.h"

#define BASE UINT64_C(0xfed00000)

struct hp {
    struct rig r;
    struct probe *p; // in0 irq0, in1 irq8, in2 gsi20; out0 the 8254, out1 the RTC
};

static void setup(struct hp *x)
{
    rig_init(&x->r);
    rig_add(&x->r, &hpet_class, "hpet", "");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "p.out0", "hpet.pit");
    rig_wire(&x->r, "p.out1", "hpet.rtc");
    rig_wire(&x->r, "hpet.irq0", "p.in0");
    rig_wire(&x->r, "hpet.irq8", "p.in1");
    rig_wire(&x->r, "hpet.gsi20", "p.in2");
    rig_reset(&x->r, RESET_COLD);
    rig_run(&x->r, 12345);
}

static uint64_t rd(struct hp *x, unsigned off, unsigned size)
{
    return aspace_read(&x->r.mem, BASE + off, size);
}

static void wr(struct hp *x, unsigned off, unsigned size, uint64_t val)
{
    aspace_write(&x->r.mem, BASE + off, size, val);
}

TEST(hpet_counter)
{
    struct hp x;
    setup(&x);
    EXPECT_EQ(rd(&x, 0, 8), UINT64_C(0x009896808086a201));
    EXPECT_EQ(rd(&x, 4, 4), 10000000);
    EXPECT_EQ(rd(&x, 0x100, 8), UINT64_C(0x00f0000000000030));
    rig_run(&x.r, 1000);
    EXPECT_EQ(rd(&x, 0xf0, 8), 0);
    wr(&x, 0x10, 4, 1);
    rig_run(&x.r, 1005);
    EXPECT_EQ(rd(&x, 0xf0, 8), 100);
    wr(&x, 0xf0, 8, 5); // not while it runs
    EXPECT_EQ(rd(&x, 0xf0, 4), 100);
    wr(&x, 0x10, 8, 0);
    rig_run(&x.r, 1000);
    EXPECT_EQ(rd(&x, 0xf0, 8), 100);
    wr(&x, 0xf0, 8, UINT64_C(0xfffffffe));
    wr(&x, 0x10, 4, 1);
    rig_run(&x.r, 50);
    EXPECT_EQ(rd(&x, 0xf0, 4), 3);
    EXPECT_EQ(rd(&x, 0xf4, 4), 1);
    EXPECT_EQ(rd(&x, 0x200, 8), 0);
    wr(&x, 0x200, 8, 1);
    rig_reload(&x.r);
    rig_fini(&x.r);
}

TEST(hpet_one_shot_and_level)
{
    struct hp x;
    setup(&x);
    wr(&x, 0x10, 4, 1);
    vtime t0 = x.r.clock.s.now;
    wr(&x, 0x140, 4, 20 << 9 | 4); // comparator 2, input 20, edge
    wr(&x, 0x148, 8, 1000);
    rig_run_to(&x.r, t0 + 9999);
    EXPECT(!dev_pin_in(&x.p->dev, 2));
    rig_run_to(&x.r, t0 + 10000);
    EXPECT(dev_pin_in(&x.p->dev, 2));
    EXPECT_EQ(rd(&x, 0x20, 4), 0); // edges have no status
    rig_run(&x.r, VTIME_SEC);
    EXPECT_EQ(x.p->rises[2], 1);
    wr(&x, 0x148, 8, rd(&x, 0xf0, 8) + 100);
    rig_run(&x.r, 1000);
    EXPECT_EQ(x.p->rises[2], 2); // an edge again
    // Level: until the status is cleared.
    wr(&x, 0x140, 4, 20 << 9 | 6);
    EXPECT(!dev_pin_in(&x.p->dev, 2));
    wr(&x, 0x148, 8, rd(&x, 0xf0, 8) + 100);
    rig_run(&x.r, 1000);
    EXPECT(dev_pin_in(&x.p->dev, 2));
    EXPECT_EQ(rd(&x, 0x20, 4), 4);
    rig_reload(&x.r);
    wr(&x, 0x20, 4, 4);
    EXPECT(!dev_pin_in(&x.p->dev, 2));
    rig_fini(&x.r);
}

TEST(hpet_32_bit_wraps)
{
    struct hp x;
    setup(&x);
    wr(&x, 0xf0, 8, 0xfffffff0);
    wr(&x, 0x140, 4, 20 << 9 | 0x104);
    wr(&x, 0x148, 4, 0x10);
    wr(&x, 0x10, 4, 1);
    rig_run(&x.r, 319);
    EXPECT(!dev_pin_in(&x.p->dev, 2));
    rig_run(&x.r, 1);
    EXPECT(dev_pin_in(&x.p->dev, 2));
    rig_run(&x.r, 10 * (UINT64_C(1) << 32)); // and again one turn later
    EXPECT_EQ(x.p->rises[2], 2);
    rig_fini(&x.r);
}

// As Linux programs it: legacy replacement, comparator 0 periodic.
TEST(hpet_legacy_periodic)
{
    struct hp x;
    setup(&x);
    dev_pin_set(&x.p->dev, 0, true); // the 8254 passes through
    dev_pin_set(&x.p->dev, 1, true);
    EXPECT(x.p->rises[0] == 1 && x.p->rises[1] == 1);
    wr(&x, 0x10, 4, 0);
    wr(&x, 0xf0, 8, 0);
    wr(&x, 0x10, 4, 3);
    EXPECT(!dev_pin_in(&x.p->dev, 0) && !dev_pin_in(&x.p->dev, 1)); // cut off now
    dev_pin_set(&x.p->dev, 0, false);
    dev_pin_set(&x.p->dev, 0, true);
    EXPECT_EQ(x.p->rises[0], 1);
    wr(&x, 0x100, 4, 0x14c); // enable, periodic, VAL_SET, 32 bits
    wr(&x, 0x108, 4, 200000);
    wr(&x, 0x108, 4, 100000); // 1 ms
    vtime t0 = x.r.clock.s.now;
    rig_run_to(&x.r, t0 + 2 * VTIME_MS);
    EXPECT_EQ(x.p->rises[0], 2);
    rig_run_to(&x.r, t0 + 100 * VTIME_MS);
    EXPECT_EQ(x.p->rises[0], 100);
    EXPECT_EQ(x.p->last_rise[0], t0 + 100 * VTIME_MS);
    rig_reload(&x.r);
    rig_run_to(&x.r, t0 + 200 * VTIME_MS);
    EXPECT_EQ(x.p->rises[0], 200);
    wr(&x, 0x10, 4, 1); // legacy off: the 8254 and the RTC again
    EXPECT(dev_pin_in(&x.p->dev, 0) && dev_pin_in(&x.p->dev, 1));
    rig_fini(&x.r);
}

// Nobody is told of its matches, so that none has to wake the machine.
TEST(hpet_periodic_not_enabled)
{
    struct hp x;
    setup(&x);
    vtime before = clock_next(&x.r.clock);
    wr(&x, 0x10, 4, 1);
    wr(&x, 0x100, 4, 0x148); // periodic, VAL_SET, 32 bits
    wr(&x, 0x108, 4, 200000);
    wr(&x, 0x108, 4, 100000); // 1 ms
    EXPECT_EQ(clock_next(&x.r.clock), before);
    vtime t0 = x.r.clock.s.now;
    rig_run_to(&x.r, t0 + 2 * VTIME_MS - 10);
    EXPECT_EQ(rd(&x, 0x108, 8), 200000);
    rig_run_to(&x.r, t0 + 2 * VTIME_MS);
    EXPECT_EQ(rd(&x, 0x108, 8), 300000);
    rig_reload(&x.r);
    rig_run_to(&x.r, t0 + 51 * VTIME_MS - 10);
    EXPECT_EQ(rd(&x, 0x108, 8), 5100000);
    wr(&x, 0x10, 4, 0); // time stands still for it
    rig_run_to(&x.r, t0 + 70 * VTIME_MS);
    EXPECT_EQ(rd(&x, 0x108, 8), 5100000);
    wr(&x, 0x10, 4, 1);
    t0 = x.r.clock.s.now - (51 * VTIME_MS - 10);
    rig_run_to(&x.r, t0 + 43000 * VTIME_MS); // 4.3e9 ticks: past 32 bits
    EXPECT_EQ(rd(&x, 0x108, 8), UINT64_C(4300100000) & 0xffffffff);
    wr(&x, 0x100, 4, 20 << 9 | 0x10c); // heard from now on
    EXPECT_EQ(x.p->rises[2], 0);
    rig_run_to(&x.r, t0 + 43001 * VTIME_MS);
    EXPECT_EQ(x.p->rises[2], 1);
    EXPECT_EQ(x.p->last_rise[2], t0 + 43001 * VTIME_MS);
    rig_run_to(&x.r, t0 + 43005 * VTIME_MS);
    EXPECT_EQ(x.p->rises[2], 5);
    rig_fini(&x.r);
}

TEST(hpet_absurd_period)
{
    struct hp x;
    setup(&x);
    wr(&x, 0x140, 4, 20 << 9 | 0x4c);
    wr(&x, 0x148, 8, 1);
    wr(&x, 0x10, 4, 1);
    rig_run(&x.r, VTIME_MS);
    EXPECT(x.p->rises[2] > 0 && x.p->rises[2] <= 1001);
    wr(&x, 0x148, 8, 0); // period 0: no more matches
    rig_run(&x.r, VTIME_MS);
    unsigned n = x.p->rises[2];
    rig_run(&x.r, VTIME_MS);
    EXPECT(x.p->rises[2] <= n + 1);
    rig_fini(&x.r);
}
