// The PCI test device of kvm-unit-tests on a bare bus.

#include "hw/hw.h"
#include "tests/lib/rig.h"

enum { SLOT = 5, IO = 0xc000 };
#define MEM 0xfeb00000u

static void cfg_set(struct rig *r, unsigned reg, uint32_t val)
{
    rig_outl(r, 0xcf8, 0x80000000 | SLOT << 11 | reg);
    rig_outl(r, 0xcfc, val);
}

static uint32_t cfg(struct rig *r, unsigned reg)
{
    rig_outl(r, 0xcf8, 0x80000000 | SLOT << 11 | reg);
    return rig_inl(r, 0xcfc);
}

static void setup(struct rig *r)
{
    rig_init(r);
    rig_add(r, &i440fx_class, "pci0", "");
    rig_add(r, &pci_testdev_class, "t", "slot=5");
    rig_reset(r, RESET_COLD);
    cfg_set(r, 0x10, MEM);
    cfg_set(r, 0x14, IO);
    cfg_set(r, 0x04, 3);
}

TEST(pci_testdev_identifies)
{
    struct rig r;
    setup(&r);
    EXPECT_EQ(cfg(&r, 0x00), 0x00051b36);
    EXPECT_EQ(cfg(&r, 0x08), 0xff000000);
    EXPECT_EQ(cfg(&r, 0x3c) >> 8 & 0xff, 0); // no interrupt pin
    cfg_set(&r, 0x10, 0xffffffff);
    EXPECT_EQ(cfg(&r, 0x10), 0xfffff000);
    cfg_set(&r, 0x14, 0xffffffff);
    EXPECT_EQ(cfg(&r, 0x14), 0xffffff01);
    rig_fini(&r);
}

TEST(pci_testdev_counts_writes_to_memory)
{
    struct rig r;
    setup(&r);
    EXPECT_EQ(aspace_read(&r.mem, MEM, 8), 0); // no test chosen yet
    aspace_write(&r.mem, MEM, 1, 0);
    EXPECT_EQ(aspace_read(&r.mem, MEM + 1, 1), 1); // a byte wide
    EXPECT_EQ(aspace_read(&r.mem, MEM + 12, 4), 0);
    uint64_t at = MEM + aspace_read(&r.mem, MEM + 4, 4);
    EXPECT_EQ(at, MEM + 0x800);
    EXPECT_EQ(aspace_read(&r.mem, MEM + 8, 4), 0xfa);
    EXPECT_EQ(aspace_read(&r.mem, MEM + 16, 4), 0x6f696d6d); // "mmio"
    aspace_write(&r.mem, at, 1, 0xfa);
    aspace_write(&r.mem, at, 1, 0xfb);       // another value
    aspace_write(&r.mem, at, 2, 0x00fa);     // too wide
    aspace_write(&r.mem, at + 1, 1, 0xfa);   // another place
    aspace_write(&r.mem, MEM + 12, 4, 1000); // the count is read-only
    rig_reload(&r);
    aspace_write(&r.mem, at, 1, 0xfa);
    EXPECT_EQ(aspace_read(&r.mem, MEM + 12, 4), 2);
    rig_fini(&r);
}

TEST(pci_testdev_counts_writes_to_ports)
{
    struct rig r;
    setup(&r);
    rig_outb(&r, IO, 1);
    EXPECT_EQ(rig_inb(&r, IO + 1), 1);
    uint16_t at = (uint16_t)(IO + rig_inl(&r, IO + 4));
    EXPECT_EQ(at, IO + 0x84);
    EXPECT_EQ(rig_inl(&r, IO + 8), 0xce);
    rig_outb(&r, at, 1); // test 1: any value
    rig_outl(&r, at, 2);
    EXPECT_EQ(rig_inl(&r, IO + 12), 2);
    EXPECT_EQ(rig_inl(&r, IO + 16), 0x74726f70); // "port"
    rig_outb(&r, IO, 2);
    EXPECT_EQ(rig_inl(&r, IO + 12), 0);
    rig_outb(&r, IO, 3); // no such test: it stops
    EXPECT_EQ(rig_inl(&r, IO), 0);
    EXPECT_EQ(rig_inl(&r, IO + 4), 0);
    rig_outb(&r, IO, 0);
    EXPECT_EQ(rig_inb(&r, IO + 1), 1);
    rig_reset(&r, RESET_WARM);
    cfg_set(&r, 0x14, IO);
    cfg_set(&r, 0x04, 3);
    EXPECT_EQ(rig_inb(&r, IO + 1), 0);
    rig_fini(&r);
}
