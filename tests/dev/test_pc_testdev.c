// The test device of kvm-unit-tests on a bare bus.

#include "hw/hw.h"
#include "tests/lib/rig.h"

TEST(pc_testdev_remembers_and_drives_lines)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, &pc_testdev_class, "t", "");
    struct probe *p = (struct probe *)rig_add(&r, &probe_class, "p", "");
    rig_wire(&r, "t.isa14", "p.in0");
    rig_reset(&r, RESET_COLD);
    rig_outl(&r, 0xe0, 0x12345678);
    EXPECT_EQ(rig_inl(&r, 0xe0), 0x12345678);
    rig_outb(&r, 0xe1, 0xab);
    EXPECT_EQ(rig_inw(&r, 0xe0), 0xab78);
    rig_outw(&r, 0xe8, 0x55aa);
    EXPECT_EQ(rig_inw(&r, 0xe8), 0x55aa);
    rig_outl(&r, 0xe4, 0x1000);
    rig_outb(&r, 0x200e, 1);
    EXPECT(dev_pin_in(&p->dev, 0));
    rig_reload(&r);
    rig_outb(&r, 0x200e, 0);
    EXPECT(!dev_pin_in(&p->dev, 0));
    rig_outb(&r, 0x2017, 1);                         // there is no such line
    aspace_write(&r.mem, 0xff000ffe, 4, 0xcafef00d); // across two pages
    EXPECT_EQ(aspace_read(&r.mem, 0xff000ffe, 4), 0xcafef00d);
    EXPECT_EQ(aspace_read(&r.mem, 0xff001000, 1), 0xfe);
    rig_fini(&r);
}
