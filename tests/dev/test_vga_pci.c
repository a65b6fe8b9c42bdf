// The VGA behind its PCI function, on a bare bus: configuration, BARs, EDID, what decoding
// switches.

#include <string.h>

#include "core/backend_display.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

#define LFB  0xd0000000u
#define MMIO 0xd8000000u

static void config(struct rig *r, unsigned reg, uint32_t val)
{
    rig_outl(r, 0xcf8, 0x80001000 | reg);
    rig_outl(r, 0xcfc, val);
}

static uint32_t config_get(struct rig *r, unsigned reg)
{
    rig_outl(r, 0xcf8, 0x80001000 | reg);
    return rig_inl(r, 0xcfc);
}

static void setup(struct rig *r)
{
    rig_init(r);
    rig_add(r, &i440fx_class, "pci0", "");
    rig_add(r, &vga_pci_class, "vga", "slot=2,vgamem_mb=8");
    rig_reset(r, RESET_COLD);
}

TEST(vga_pci_configuration)
{
    struct rig r;
    setup(&r);
    EXPECT_EQ(config_get(&r, 0x00), 0x11111234);
    EXPECT_EQ(config_get(&r, 0x08), 0x03000002);
    EXPECT_EQ(config_get(&r, 0x2c), 0x11001af4);
    config(&r, 0x10, 0xffffffff);
    EXPECT_EQ(config_get(&r, 0x10), 0xff800008); // 8 MiB, prefetchable
    config(&r, 0x18, 0xffffffff);
    EXPECT_EQ(config_get(&r, 0x18), 0xfffff000);
    EXPECT_EQ(config_get(&r, 0x3c) >> 8 & 0xff, 0); // no interrupt pin
    // Nothing decodes after reset.
    EXPECT_EQ(rig_inb(&r, 0x3cc), 0xff);
    EXPECT_EQ(rig_inw(&r, 0x1ce), 0xffff);
    config(&r, 4, 1); // ports only
    rig_outb(&r, 0x3c2, 0x63);
    EXPECT_EQ(rig_inb(&r, 0x3cc), 0x63);
    EXPECT_EQ(aspace_read(&r.mem, 0xa0000, 1), 0xff);
    config(&r, 4, 2); // memory only
    EXPECT_EQ(rig_inb(&r, 0x3cc), 0xff);
    aspace_write(&r.mem, 0xa0000, 1, 1);
    config(&r, 4, 3);
    rig_reload(&r);
    EXPECT_EQ(rig_inb(&r, 0x3cc), 0x63);
    rig_reset(&r, RESET_WARM);
    EXPECT_EQ(rig_inb(&r, 0x3cc), 0xff);
    rig_fini(&r);
}

TEST(vga_pci_memory_bar)
{
    struct rig r;
    uint8_t edid[128], sum = 0;
    setup(&r);
    config(&r, 0x10, LFB);
    config(&r, 0x18, MMIO);
    config(&r, 4, 3);
    // The EDID: header, checksum, a preferred mode of 1024 x 768.
    for (unsigned i = 0; i < 128; i++) {
        edid[i] = (uint8_t)aspace_read(&r.mem, MMIO + i, 1);
        sum = (uint8_t)(sum + edid[i]);
    }
    EXPECT_EQ(sum, 0);
    EXPECT_MEM(edid, "\x00\xff\xff\xff\xff\xff\xff\x00", 8);
    EXPECT_EQ(edid[56] | (edid[58] & 0xf0) << 4, 1024);
    EXPECT_EQ(edid[59] | (edid[61] & 0xf0) << 4, 768);
    EXPECT_EQ(aspace_read(&r.mem, MMIO + 200, 1), 0);
    // The ports 3c0 to 3df at 400h.
    aspace_write(&r.mem, MMIO + 0x402, 1, 0x63);
    EXPECT_EQ(rig_inb(&r, 0x3cc), 0x63);
    aspace_write(&r.mem, MMIO + 0x404, 2, 0x0f02); // index and value in one
    EXPECT_EQ(aspace_read(&r.mem, MMIO + 0x404, 2), 0x0f02);
    // The VBE registers at 500h, words; sizes as the ports see them.
    EXPECT_EQ(aspace_read(&r.mem, MMIO + 0x500, 2), 0xb0c5);
    static const uint16_t mode[] = {800, 600, 32, 0x41};
    for (unsigned i = 0; i < 4; i++) {
        aspace_write(&r.mem, MMIO + 0x502 + 2 * i, 2, mode[i]);
    }
    aspace_write(&r.mem, MMIO + 0x502, 1, 1); // bytes are no words
    rig_outw(&r, 0x1ce, 1);
    EXPECT_EQ(rig_inw(&r, 0x1cf), 800);
    EXPECT_EQ(aspace_read(&r.mem, MMIO + 0x600, 4), 8);
    EXPECT_EQ(aspace_read(&r.mem, MMIO + 0x604, 4), 0x1e1e1e1e);
    EXPECT_EQ(aspace_read(&r.mem, MMIO + 0x700, 4), 0);
    // The frame buffer, and the picture from it.
    aspace_write(&r.mem, LFB + 4 * (800 * 599 + 799), 4, 0x00abcdef);
    struct frame f = {0};
    EXPECT(r.env.display_ops->draw(r.env.display, &f, true));
    EXPECT(f.width == 800 && f.height == 600);
    EXPECT_EQ(f.pixel[800 * 599 + 799], 0xabcdef);
    // It moves with its BAR.
    config(&r, 0x10, LFB + 0x1000000);
    rig_reload(&r);
    EXPECT_EQ(aspace_read(&r.mem, LFB + 0x1000000 + 4 * (800 * 599 + 799), 4), 0x00abcdef);
    EXPECT_EQ(aspace_read(&r.mem, LFB, 4), 0xffffffff);
    frame_free(&f);
    rig_fini(&r);
}

TEST(vga_set_up_wrong)
{
    struct rig r;
    struct err e;
    setup(&r);
    struct dev *second = dev_new(&r.env, &vga_isa_class, "second", &e);
    EXPECT(!dev_init(second, &e) && strstr(e.msg, "display adapter"));
    rig_fini(&r);
    rig_init(&r);
    struct dev *odd = dev_new(&r.env, &vga_isa_class, "odd", &e);
    EXPECT(dev_set(odd, "vgamem_mb", "3", &e) && !dev_init(odd, &e));
    EXPECT(strstr(e.msg, "power of two"));
    rig_fini(&r);
}
