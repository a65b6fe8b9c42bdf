// The 82540EM on a bare bus: registers, EEPROM, PHY, interrupts. The rings are in
// test_e1000_rings.c.

#include "tests/dev/e1000_bench.h"
#include "util/bits.h"

TEST(e1000_configuration)
{
    struct nic x;
    nic_init(&x);
    EXPECT_EQ(nic_cfg(&x, 0x00), 0x100e8086);
    EXPECT_EQ(nic_cfg(&x, 0x08) >> 8, 0x020000);
    EXPECT_EQ(nic_cfg(&x, 0x2c), 0x001e8086);
    EXPECT_EQ(nic_cfg(&x, 0x3c) >> 8 & 0xff, 1);
    nic_cfg_set(&x, 0x10, 0xffffffff);
    nic_cfg_set(&x, 0x14, 0xffffffff);
    EXPECT_EQ(nic_cfg(&x, 0x10), 0xfffe0000); // 128 KiB
    EXPECT_EQ(nic_cfg(&x, 0x14), 0xffffffc1); // 64 ports
    nic_cfg_set(&x, 0x10, NIC_BAR);
    nic_cfg_set(&x, 0x14, NIC_IO);
    // Registers through the ports too.
    rig_outl(&x.r, NIC_IO, 0x5400);
    EXPECT_EQ(rig_inl(&x.r, NIC_IO), 0x5400);
    EXPECT_EQ(rig_inl(&x.r, NIC_IO + 4), 0x12005452);
    rig_outl(&x.r, NIC_IO, 0x2810);
    rig_outl(&x.r, NIC_IO + 4, 0x123);
    EXPECT_EQ(nic_get(&x, RDH), 0x123);
    // Parts of a register can be read; what is not there reads 0.
    EXPECT_EQ(aspace_read(&x.r.mem, NIC_BAR + RDH + 1, 1), 1);
    EXPECT_EQ(nic_get(&x, 0x1fffc), 0);
    nic_set(&x, 0x1fffc, 1);
    nic_fini(&x);
}

TEST(e1000_eeprom_by_register_and_by_wire)
{
    struct nic x;
    nic_init(&x);
    uint16_t sum = 0, word[64];
    for (unsigned i = 0; i < 64; i++) {
        nic_set(&x, EERD, i << 8 | 1);
        uint32_t v = nic_get(&x, EERD);
        EXPECT_EQ(v & 0xffff, i << 8 | 0x10);
        word[i] = (uint16_t)(v >> 16);
        sum = (uint16_t)(sum + word[i]);
    }
    EXPECT_EQ(sum, 0xbaba);
    EXPECT(word[0] == 0x5452 && word[1] == 0x1200 && word[2] == 0x5634);
    EXPECT_EQ(nic_get(&x, EECD) & 0x3c0, 0x100); // present, 64 words, not granted
    nic_set(&x, EECD, 0x40);
    EXPECT_EQ(nic_get(&x, EECD) & 0xc0, 0xc0);
    // READ of two words in a row.
    nic_ee_send(&x, 0x180 | 0x0d, 9);
    EXPECT_EQ(nic_get(&x, EECD) & 8, 0); // the dummy bit
    EXPECT_EQ(nic_ee_recv(&x, 16), 0x100e);
    rig_reload(&x.r);
    EXPECT_EQ(nic_ee_recv(&x, 16), 0x8086);
    nic_ee_end(&x);
    // WRITE takes effect after EWEN only.
    for (unsigned pass = 0; pass < 2; pass++) {
        nic_ee_send(&x, 0x140 | 0x30, 9);
        nic_ee_send(&x, 0xbeef, 16);
        nic_ee_end(&x);
        nic_set(&x, EERD, 0x3001);
        EXPECT_EQ(nic_get(&x, EERD) >> 16, pass ? 0xbeef : 0);
        nic_ee_send(&x, 0x130, 9); // EWEN
        nic_ee_end(&x);
    }
    nic_ee_send(&x, 0x1c0 | 0x30, 9); // ERASE
    nic_ee_end(&x);
    nic_set(&x, EERD, 0x3001);
    EXPECT_EQ(nic_get(&x, EERD) >> 16, 0xffff);
    nic_fini(&x);
}

TEST(e1000_link_comes_up)
{
    struct nic x;
    nic_init(&x);
    nic_set(&x, IMS, 4);
    EXPECT_EQ(nic_get(&x, STATUS) & 2, 0);
    EXPECT_EQ(nic_phy(&x, 1), 0x7949);
    EXPECT_EQ(nic_phy(&x, 2), 0x0141);
    EXPECT_EQ(nic_phy(&x, 3), 0x0c20);
    rig_run(&x.r, 99 * VTIME_MS);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_reload(&x.r);
    rig_run(&x.r, 1 * VTIME_MS);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(nic_get(&x, ICR), 4);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(nic_get(&x, STATUS), 0x83); // 1000 Mb/s, full duplex
    EXPECT_EQ(nic_phy(&x, 1), 0x7969);    // the link was down since the last look
    EXPECT_EQ(nic_phy(&x, 1), 0x796d);
    EXPECT_EQ(nic_phy(&x, 17), 0xac00);
    EXPECT_EQ(nic_phy(&x, 10), 0x3c00);
    EXPECT_EQ(nic_phy(&x, 5) & 0x1f, 1);
    // No PHY at another address: error and ready. With I, MDAC.
    nic_set(&x, MDIC, 2u << 26 | 2u << 21 | 1u << 29);
    EXPECT_EQ(nic_get(&x, MDIC) >> 28, 7);
    EXPECT_EQ(nic_get(&x, ICR), 0x200);
    // Only 100 Mb/s advertised, and negotiated again.
    nic_phy_set(&x, 9, 0);
    nic_phy_set(&x, 0, 0x1340);
    EXPECT_EQ(nic_phy(&x, 0), 0x1140);
    EXPECT_EQ(nic_get(&x, STATUS) & 2, 0);
    EXPECT_EQ(nic_get(&x, ICR), 4);
    rig_run(&x.r, 100 * VTIME_MS);
    EXPECT_EQ(nic_get(&x, STATUS), 0x43);
    EXPECT_EQ(nic_phy(&x, 17), 0x6c00);
    EXPECT_EQ(nic_phy(&x, 1) & 4, 0);
    EXPECT_EQ(nic_phy(&x, 1) & 4, 4);
    // Set Link Up gates it; CTRL.RST leaves the PHY alone, CTRL.PHY_RST does not.
    nic_set(&x, CTRL, 1);
    EXPECT_EQ(nic_get(&x, STATUS) & 2, 0);
    nic_set(&x, CTRL, 1u << 26);
    EXPECT_EQ(nic_get(&x, CTRL), 0x241);
    EXPECT_EQ(nic_get(&x, STATUS), 0x43);
    nic_set(&x, CTRL, 1u << 31 | 0x40);
    rig_run(&x.r, 100 * VTIME_MS);
    EXPECT_EQ(nic_get(&x, STATUS), 0x83);
    nic_phy_set(&x, 0, 0x1940); // power down
    rig_run(&x.r, 200 * VTIME_MS);
    EXPECT_EQ(nic_get(&x, STATUS) & 2, 0);
    nic_fini(&x);
}

TEST(e1000_no_cable_no_link)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, &i440fx_class, "pci0", "");
    rig_add(&r, &e1000_class, "nic", "slot=3,mac=02:00:00:00:00:07");
    rig_reset(&r, RESET_COLD);
    rig_outl(&r, 0xcf8, 0x80001810);
    rig_outl(&r, 0xcfc, NIC_BAR);
    rig_outl(&r, 0xcf8, 0x80001804);
    rig_outl(&r, 0xcfc, 6);
    rig_run(&r, VTIME_SEC);
    EXPECT_EQ(aspace_read(&r.mem, NIC_BAR + STATUS, 4) & 2, 0);
    EXPECT_EQ(aspace_read(&r.mem, NIC_BAR + 0x5400, 4), 2);
    EXPECT_EQ(aspace_read(&r.mem, NIC_BAR + 0x5404, 4), 0x80000700);
    rig_fini(&r);
}

TEST(e1000_causes_and_masks)
{
    struct nic x;
    nic_init(&x);
    nic_set(&x, ICS, 0x80);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    nic_set(&x, IMS, 0x80);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    nic_set(&x, IMS, 4);
    EXPECT_EQ(nic_get(&x, IMS), 0x84);
    nic_set(&x, IMC, 0x80);
    EXPECT_EQ(nic_get(&x, IMS), 4);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    nic_set(&x, ICS, 0xfffe0000 | 4);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    nic_set(&x, ICR, 4); // writing ones clears
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(nic_get(&x, ICR), 0x80);
    EXPECT_EQ(nic_get(&x, ICR), 0);
    // ITR: 100 us between the pin's rises, and one late cause waits.
    nic_set(&x, ITR, 400);
    nic_set(&x, ICS, 4);
    EXPECT(dev_pin_in(&x.p->dev, 0)); // not limited before the first
    EXPECT_EQ(nic_get(&x, ICR), 4);
    nic_set(&x, ICS, 4);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_run(&x.r, 400 * 256 - 1);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_reload(&x.r);
    rig_run(&x.r, 1);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(nic_get(&x, ICR), 4);
    rig_run(&x.r, VTIME_MS);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    nic_fini(&x);
}

TEST(e1000_reset_gives_defaults)
{
    struct nic x;
    nic_init(&x);
    nic_set(&x, 0x5400, 0x11111111);
    nic_set(&x, 0x5404, 0xffffffff);
    EXPECT_EQ(nic_get(&x, 0x5404), 0x8003ffff);
    nic_set(&x, 0x5200, 7);
    nic_set(&x, VFTA + 4 * 127, 9);
    nic_set(&x, IMS, 0xff);
    nic_set(&x, RDLEN, 0xffffffff);
    EXPECT_EQ(nic_get(&x, RDLEN), 0xfff80);
    nic_set(&x, TDBAL, 0xffffffff);
    EXPECT_EQ(nic_get(&x, TDBAL), 0xfffffff0);
    nic_set(&x, ICS, 4);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    nic_set(&x, CTRL, 1u << 26);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(nic_get(&x, 0x5400), 0x12005452);
    EXPECT_EQ(nic_get(&x, 0x5404), 0x80005634);
    static const struct {
        uint32_t at, want;
    } rows[] = {{0x5200, 0}, {VFTA + 4 * 127, 0}, {IMS, 0},           {RDLEN, 0},   {TDBAL, 0},
                {ICR, 0},    {0x38, 0x8100},      {0x1000, 0x100030}, {CTRL, 0x241}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        t_context("register %x", (unsigned)rows[i].at);
        EXPECT_EQ(nic_get(&x, rows[i].at), rows[i].want);
    }
    EXPECT_EQ(nic_cfg(&x, 0x10), NIC_BAR); // configuration space stays
    nic_fini(&x);
}
