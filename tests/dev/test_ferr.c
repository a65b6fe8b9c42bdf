// The coprocessor error latch on a bare bus.

#include "hw/hw.h"
#include "tests/lib/rig.h"

enum { IRQ13 = 0, IGNNE = 1 };

static struct probe *setup(struct rig *r)
{
    rig_init(r);
    rig_add(r, &ferr_class, "ferr", "");
    struct probe *p = (struct probe *)rig_add(r, &probe_class, "p", "");
    rig_wire(r, "p.out0", "ferr.ferr");
    rig_wire(r, "ferr.irq13", "p.in0");
    rig_wire(r, "ferr.ignne", "p.in1");
    rig_reset(r, RESET_COLD);
    return p;
}

static void expect(const struct probe *p, bool irq, bool ignne)
{
    EXPECT_EQ(dev_pin_in(&p->dev, IRQ13), irq);
    EXPECT_EQ(dev_pin_in(&p->dev, IGNNE), ignne);
}

TEST(ferr_is_latched_until_port_f0)
{
    struct rig r;
    struct probe *p = setup(&r);
    expect(p, false, false);
    dev_pin_set(&p->dev, 0, true);
    expect(p, true, false);
    rig_reload(&r);
    dev_pin_set(&p->dev, 0, false);
    expect(p, true, false);
    rig_outb(&r, 0xf0, 0x5a);
    expect(p, false, false);
    EXPECT_EQ(rig_inb(&r, 0xf0), 0xff);
    EXPECT_EQ(p->rises[IRQ13], 1);
    rig_fini(&r);
}

TEST(ignne_holds_while_ferr_does)
{
    struct rig r;
    struct probe *p = setup(&r);
    rig_outb(&r, 0xf0, 0);
    expect(p, false, false); // FERR# is negated
    dev_pin_set(&p->dev, 0, true);
    rig_outb(&r, 0xf0, 0);
    expect(p, false, true);
    rig_reload(&r);
    rig_outb(&r, 0xf0, 0);
    expect(p, false, true);
    dev_pin_set(&p->dev, 0, false);
    expect(p, false, false);
    dev_pin_set(&p->dev, 0, true);
    expect(p, true, false); // the next one is a new request
    rig_outb(&r, 0xf0, 0);
    rig_reset(&r, RESET_WARM);
    expect(p, false, false);
    rig_fini(&r);
}
