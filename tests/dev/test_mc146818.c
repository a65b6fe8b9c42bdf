// The real-time clock on a bare bus.

#include <string.h>

#include "hw/hw.h"
#include "tests/lib/rig.h"

static uint8_t get(struct rig *r, uint8_t reg)
{
    rig_outb(r, 0x70, reg);
    return rig_inb(r, 0x71);
}

static void put(struct rig *r, uint8_t reg, uint8_t val)
{
    rig_outb(r, 0x70, reg);
    rig_outb(r, 0x71, val);
}

static struct probe *setup(struct rig *r, const char *props)
{
    rig_init(r);
    rig_add(r, &mc146818_class, "rtc", props);
    struct probe *p = (struct probe *)rig_add(r, &probe_class, "p", "");
    rig_wire(r, "rtc.irq", "p.in0");
    rig_wire(r, "rtc.nmi_mask", "p.in1");
    rig_reset(r, RESET_COLD);
    return p;
}

// "cc yy mm dd w hh mm ss" as hex digits.
static void expect_time(struct rig *r, const uint8_t want[8])
{
    static const uint8_t regs[8] = {0x32, 9, 8, 7, 6, 4, 2, 0};
    uint8_t is[8];
    for (unsigned i = 0; i < 8; i++) {
        is[i] = get(r, regs[i]);
    }
    EXPECT_MEM(is, want, 8);
}
#define EXPECT_TIME(r, ...) expect_time(r, (const uint8_t[8]){__VA_ARGS__})

TEST(rtc_epoch_and_rollover)
{
    struct rig r;
    setup(&r, "epoch=951782399"); // 2000-02-28 23:59:59 UTC, a Monday
    EXPECT_TIME(&r, 0x20, 0x00, 0x02, 0x28, 2, 0x23, 0x59, 0x59);
    rig_run(&r, VTIME_SEC);
    EXPECT_TIME(&r, 0x20, 0x00, 0x02, 0x29, 3, 0x00, 0x00, 0x00); // a leap year
    rig_run(&r, 86400 * VTIME_SEC);
    EXPECT_TIME(&r, 0x20, 0x00, 0x03, 0x01, 4, 0x00, 0x00, 0x00);
    rig_reload(&r);
    rig_fini(&r);

    setup(&r, "epoch=946684799"); // 1999-12-31 23:59:59, a Friday
    EXPECT_TIME(&r, 0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59);
    rig_run(&r, VTIME_SEC);
    EXPECT_TIME(&r, 0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00);
    rig_fini(&r);

    setup(&r, "epoch=0");
    EXPECT_TIME(&r, 0x19, 0x70, 0x01, 0x01, 5, 0x00, 0x00, 0x00);
    rig_fini(&r);
}

TEST(rtc_formats)
{
    struct rig r;
    setup(&r, "epoch=0");
    put(&r, 0x0b, 0x80 | 0x06); // SET, binary, 24 h
    put(&r, 4, 23);
    put(&r, 2, 59);
    put(&r, 0, 59);
    rig_run(&r, 3 * VTIME_SEC);
    EXPECT_EQ(get(&r, 0), 59); // stopped by SET
    put(&r, 0x0b, 0x06);
    rig_run(&r, VTIME_SEC);
    EXPECT_EQ(get(&r, 4), 0);
    EXPECT_EQ(get(&r, 7), 2);

    put(&r, 0x0b, 0x80); // SET, BCD, 12 h
    put(&r, 4, 0x11);
    put(&r, 2, 0x59);
    put(&r, 0, 0x59);
    put(&r, 7, 0x15);
    put(&r, 0x0b, 0x00);
    rig_run(&r, VTIME_SEC);
    EXPECT_EQ(get(&r, 4), 0x92); // 11 AM to 12 PM
    EXPECT_EQ(get(&r, 7), 0x15);
    rig_run(&r, 3600 * VTIME_SEC);
    EXPECT_EQ(get(&r, 4), 0x81); // 1 PM
    rig_run(&r, 11 * 3600 * VTIME_SEC);
    EXPECT_EQ(get(&r, 4), 0x12); // midnight
    EXPECT_EQ(get(&r, 7), 0x16);
    rig_fini(&r);
}

// Nonsense in the registers neither crashes nor stays for ever.
TEST(rtc_nonsense)
{
    struct rig r;
    setup(&r, "epoch=0");
    for (uint8_t reg = 0; reg < 10; reg++) {
        put(&r, reg, 0xff);
    }
    put(&r, 0x32, 0xff);
    rig_run(&r, 5 * VTIME_SEC);
    EXPECT_EQ(get(&r, 0), 0x04);
    rig_fini(&r);
}

TEST(rtc_update_in_progress)
{
    struct rig r;
    setup(&r, "epoch=100");
    EXPECT_EQ(get(&r, 0x0a), 0x26);
    rig_run_to(&r, VTIME_SEC - 2229 * VTIME_US);
    EXPECT_EQ(get(&r, 0x0a) & 0x80, 0);
    rig_run_to(&r, VTIME_SEC - 2228 * VTIME_US);
    EXPECT_EQ(get(&r, 0x0a) & 0x80, 0x80);
    rig_run_to(&r, VTIME_SEC - 1);
    EXPECT_EQ(get(&r, 0x0a) & 0x80, 0x80);
    EXPECT_EQ(get(&r, 0), 0x40);
    put(&r, 0x0b, 0x82); // SET ends it
    EXPECT_EQ(get(&r, 0x0a) & 0x80, 0);
    put(&r, 0x0b, 0x02);
    rig_run_to(&r, VTIME_SEC);
    EXPECT_EQ(get(&r, 0x0a) & 0x80, 0);
    EXPECT_EQ(get(&r, 0), 0x41);
    // Held in reset, then released: half a second to the first update.
    put(&r, 0x0a, 0x76);
    rig_run(&r, 10 * VTIME_SEC);
    EXPECT_EQ(get(&r, 0), 0x41);
    put(&r, 0x0a, 0x26);
    rig_run(&r, VTIME_SEC / 2 - 1);
    EXPECT_EQ(get(&r, 0), 0x41);
    rig_run(&r, 1);
    EXPECT_EQ(get(&r, 0), 0x42);
    rig_fini(&r);
}

TEST(rtc_update_interrupt)
{
    struct rig r;
    struct probe *p = setup(&r, "epoch=0");
    rig_run(&r, VTIME_SEC);
    EXPECT_EQ(p->rises[0], 0);
    EXPECT_EQ(get(&r, 0x0c) & 0x90, 0x10); // the flag without the interrupt
    EXPECT_EQ(get(&r, 0x0c), 0x00);        // reading clears
    put(&r, 0x0b, 0x12);
    rig_run_to(&r, 2 * VTIME_SEC);
    EXPECT(dev_pin_in(&p->dev, 0));
    rig_reload(&r);
    rig_run(&r, 5 * VTIME_SEC);
    EXPECT_EQ(p->rises[0], 1); // a level until C is read
    EXPECT_EQ(get(&r, 0x0c) & 0x90, 0x90);
    EXPECT(!dev_pin_in(&p->dev, 0));
    rig_run(&r, VTIME_SEC);
    EXPECT_EQ(p->rises[0], 2);
    rig_fini(&r);
}

TEST(rtc_alarm)
{
    struct rig r;
    struct probe *p = setup(&r, "epoch=0");
    put(&r, 1, 0x05);
    put(&r, 3, 0x01);
    put(&r, 5, 0xff); // any hour
    put(&r, 0x0b, 0x22);
    rig_run(&r, 64 * VTIME_SEC);
    EXPECT_EQ(p->rises[0], 0);
    rig_run(&r, VTIME_SEC); // 00:01:05
    EXPECT_EQ(p->rises[0], 1);
    EXPECT_EQ(get(&r, 0x0c) & 0xa0, 0xa0);
    rig_run(&r, 3600 * VTIME_SEC);
    EXPECT_EQ(p->rises[0], 2);
    rig_fini(&r);
}

TEST(rtc_periodic)
{
    struct rig r;
    struct probe *p = setup(&r, "epoch=0");
    rig_run(&r, VTIME_SEC / 1000);
    EXPECT_EQ(get(&r, 0x0c) & 0xc0, 0x40); // PF is set also without the enable
    put(&r, 0x0b, 0x42);
    get(&r, 0x0c);
    unsigned n = 0;
    vtime end = r.clock.s.now + VTIME_SEC;
    while (r.clock.s.now < end) {
        rig_run_to(&r, clock_next(&r.clock));
        if (dev_pin_in(&p->dev, 0)) {
            EXPECT_EQ(get(&r, 0x0c) & 0xc0, 0xc0);
            n++;
        }
    }
    EXPECT(n == 1024 || n == 1025);
    put(&r, 0x0a, 0x2f); // 2 Hz
    get(&r, 0x0c);
    unsigned rises = p->rises[0];
    rig_run(&r, VTIME_SEC / 2);
    EXPECT_EQ(p->rises[0], rises + 1);
    get(&r, 0x0c);
    put(&r, 0x0a, 0x21); // rate 1 is 256 Hz
    get(&r, 0x0c);
    vtime t = r.clock.s.now;
    rig_run(&r, 10 * VTIME_MS);
    EXPECT(p->last_rise[0] > t && p->last_rise[0] - t <= 3906250);
    rig_fini(&r);
}

TEST(rtc_reset_and_memory)
{
    struct rig r;
    struct probe *p = setup(&r, "epoch=59,ram=3221225472,high_ram=1073741824");
    EXPECT_EQ(get(&r, 0x15) | get(&r, 0x16) << 8, 640);
    EXPECT_EQ(get(&r, 0x17) | get(&r, 0x18) << 8, 0xffff);
    EXPECT_EQ(get(&r, 0x34) | get(&r, 0x35) << 8, (3072 - 16) * 16);
    EXPECT_EQ(get(&r, 0x5b) | get(&r, 0x5c) << 8 | get(&r, 0x5d) << 16, 1024 * 16);
    unsigned sum = 0;
    for (uint8_t i = 0x10; i < 0x2e; i++) {
        sum += get(&r, i);
    }
    EXPECT_EQ(get(&r, 0x2e) << 8 | get(&r, 0x2f), sum);
    EXPECT_EQ(get(&r, 0x0d), 0x80);
    put(&r, 0x0d, 0);
    EXPECT_EQ(get(&r, 0x0d), 0x80);

    put(&r, 0x40, 0x5a);
    put(&r, 0x0b, 0x72);
    rig_outb(&r, 0x72, 0x10);
    rig_outb(&r, 0x73, 0x99);
    EXPECT_EQ(rig_inb(&r, 0x73), 0x99);
    rig_run(&r, VTIME_SEC);
    EXPECT(dev_pin_in(&p->dev, 0));
    rig_reset(&r, RESET_WARM);
    EXPECT(!dev_pin_in(&p->dev, 0));
    EXPECT_EQ(get(&r, 0x0b), 0x02); // interrupts off
    EXPECT_EQ(get(&r, 0x40), 0x5a); // RAM stays
    EXPECT_EQ(get(&r, 0x02), 0x01); // time stays: 00:01:00
    rig_outb(&r, 0x70, 0x80);
    EXPECT(dev_pin_in(&p->dev, 1));
    EXPECT_EQ(rig_inb(&r, 0x70), 0xff);
    rig_reset(&r, RESET_COLD);
    EXPECT_EQ(get(&r, 0x40), 0x00);
    EXPECT_EQ(get(&r, 0x02), 0x01); // power-on later: epoch and what has passed since
    rig_fini(&r);
}

TEST(mc146818_floppies)
{
    static const struct {
        const char *props;
        uint8_t types, equipment;
    } cases[] = {
        {"", 0x00, 0x06},
        {"floppies=0x40", 0x40, 0x07},
        {"floppies=0x24,equipment=2", 0x24, 0x43},
        {"floppies=4", 0x04, 0x07},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        rig_init(&r);
        rig_add(&r, &mc146818_class, "rtc", cases[i].props);
        rig_reset(&r, RESET_COLD);
        rig_outb(&r, 0x70, 0x10);
        EXPECT_EQ(rig_inb(&r, 0x71), cases[i].types);
        rig_outb(&r, 0x70, 0x14);
        EXPECT_EQ(rig_inb(&r, 0x71), cases[i].equipment);
        rig_fini(&r);
    }
}
