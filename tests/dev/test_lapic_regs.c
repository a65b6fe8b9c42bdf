// The local APIC's registers read back, as the xAPIC page and as x2APIC's MSRs: SDM 3A, tables 11-1
// and 11-6.

#include "hw/hw.h"
#include "hw/intc/apic.h"
#include "tests/lib/rig.h"

struct apic {
    struct rig r;
    struct dev *l, *ioapic;
    struct probe *p;
};

static void no_sipi(void *ctx, uint8_t vector)
{
    (void)ctx;
    (void)vector;
}

static const struct cpu_ops cpu_ops = {no_sipi};

static void setup(struct apic *x)
{
    *x = (struct apic){0};
    rig_init(&x->r);
    rig_add(&x->r, &i8259_class, "pic0", "");
    rig_add(&x->r, &apicbus_class, "apicbus", "");
    x->l = rig_add(&x->r, &lapic_class, "lapic0", "id=5,index=0,pic=pic0,bsp=on");
    lapic_set_cpu(x->l, &cpu_ops, NULL);
    x->ioapic = rig_add(&x->r, &ioapic_class, "ioapic", "id=8");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "p.out0", "lapic0.lint0");
    rig_reset(&x->r, RESET_COLD);
}

static uint32_t rd(struct apic *x, unsigned off)
{
    return (uint32_t)aspace_read(&x->r.mem, 0xfee00000 + off, 4);
}

static void wr(struct apic *x, unsigned off, uint32_t val)
{
    aspace_write(&x->r.mem, 0xfee00000 + off, 4, val);
}

// Offset, what is written, what is read then.
static const uint32_t page[][3] = {
    {0x080, 0xffffffff, 0x000000ff}, // task priority
    {0x0d0, 0xffffffff, 0xff000000}, // logical destination
    {0x0e0, 0x00000000, 0x0fffffff}, // destination format
    {0x0e0, 0xffffffff, 0xffffffff}, //
    {0x0f0, 0xffffffff, 0x000001ff}, // spurious vector: no focus check, no EOI suppression
    {0x310, 0xffffffff, 0xff000000}, // interrupt command, high half
    {0x320, 0xffffffff, 0x000700ff}, // LVT: timer, three modes
    {0x330, 0xffffffff, 0x000107ff}, // thermal
    {0x340, 0xffffffff, 0x000107ff}, // performance counters
    {0x350, 0xffffffff, 0x0001a7ff}, // LINT0, LINT1: remote IRR and delivery status read-only
    {0x360, 0xffffffff, 0x0001a7ff}, //
    {0x370, 0xffffffff, 0x000100ff}, // error
    {0x320, 0x000100ff, 0x000100ff}, // one-shot: the deadline mode ignores an initial count
    {0x380, 0x12345678, 0x12345678}, // initial count
    {0x3e0, 0xffffffff, 0x0000000b}, // divide configuration
    {0x020, 0xffffffff, 0xff000000}, // ID: may be written
    {0x030, 0xffffffff, 0x00050014}, // version, priority: read-only
    {0x0a0, 0xffffffff, 0x000000ff}, //
};

TEST(lapic_page_reads_back)
{
    struct apic x;
    setup(&x);
    wr(&x, 0xf0, 0x1ff);
    for (unsigned i = 0; i < sizeof page / sizeof page[0]; i++) {
        t_context("register %03x", (unsigned)page[i][0]);
        wr(&x, page[i][0], page[i][1]);
        rig_reload(&x.r);
        EXPECT_EQ(rd(&x, page[i][0]), page[i][2]);
        EXPECT_EQ(rd(&x, page[i][0] + 4), 0); // the rest of the sixteen bytes
        wr(&x, page[i][0] + 4, 0);
        EXPECT_EQ(rd(&x, page[i][0]), page[i][2]);
    }
    t_context("after the table");
    wr(&x, 0x280, 0); // no error so far
    EXPECT_EQ(rd(&x, 0x280), 0);
    EXPECT_EQ(rd(&x, 0x090), 0); // arbitration priority, EOI, remote read: nothing there
    EXPECT_EQ(rd(&x, 0x0b0), 0);
    EXPECT_EQ(rd(&x, 0x0c0), 0);
    wr(&x, 0x280, 0);
    EXPECT_EQ(rd(&x, 0x280), 0);
    static const uint32_t none[] = {0x000, 0x040, 0x3a0, 0x3d0, 0x3f0, 0x400, 0xff0};
    for (unsigned i = 0; i < sizeof none / sizeof none[0]; i++) {
        t_context("no register %03x", (unsigned)none[i]);
        EXPECT_EQ(rd(&x, none[i]), 0);
        wr(&x, 0x280, 0);
        EXPECT_EQ(rd(&x, 0x280), 0x80); // illegal register address
        wr(&x, none[i], 1);
        wr(&x, 0x280, 0);
        EXPECT_EQ(rd(&x, 0x280), 0x80);
    }
    t_context("after the table");
    // Software off: every LVT entry is masked and stays so; the command register keeps what was
    // sent.
    wr(&x, 0x0f0, 0x0ff);
    for (unsigned off = 0x320; off <= 0x370; off += 0x10) {
        wr(&x, off, 0);
        EXPECT_EQ(rd(&x, off) & 0x10000, 0x10000);
    }
    wr(&x, 0x310, 0x07000000);
    wr(&x, 0x300, 0x000c4031); // to all but itself: nobody
    EXPECT_EQ(rd(&x, 0x300), 0x000c4031);
    EXPECT_EQ(rd(&x, 0x310), 0x07000000);
    rig_fini(&x.r);
}

TEST(lapic_msrs_read_back)
{
    struct apic x;
    uint64_t v;
    setup(&x);
    EXPECT(lapic_intc_ops.msr_write(x.l, 0x1b, 0xfee00d00));
    EXPECT(lapic_intc_ops.msr_write(x.l, 0x80f, 0x1ff));
    // What may be written as 1, and reads so.
    static const uint32_t t[][2] = {
        {0x808, 0xff},    {0x832, 0x700ff}, {0x833, 0x107ff}, {0x834, 0x107ff},    {0x835, 0x1a7ff},
        {0x836, 0x1a7ff}, {0x837, 0x100ff}, {0x832, 0x100ff}, {0x838, 0xffffffff}, {0x83e, 0x0b}};
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        t_context("MSR %x", (unsigned)t[i][0]);
        EXPECT(lapic_intc_ops.msr_write(x.l, t[i][0], t[i][1]));
        EXPECT(lapic_intc_ops.msr_read(x.l, t[i][0], &v) && v == t[i][1]);
        EXPECT(!lapic_intc_ops.msr_write(x.l, t[i][0], UINT64_C(1) << 32));
    }
    t_context("after the table");
    EXPECT(lapic_intc_ops.msr_write(x.l, 0x830, UINT64_C(0x00000009000c0031)));
    EXPECT(lapic_intc_ops.msr_read(x.l, 0x830, &v) && v == UINT64_C(0x00000009000c0031));
    EXPECT(lapic_intc_ops.msr_read(x.l, 0x80d, &v) && v == 0x20); // cluster 0, member 5
    EXPECT(lapic_intc_ops.msr_write(x.l, 0x6e0, 123456789012));
    EXPECT(lapic_intc_ops.msr_read(x.l, 0x1b, &v) && v == 0xfee00d00);
    EXPECT(!lapic_intc_ops.msr_read(x.l, 0x7ff, &v) && !lapic_intc_ops.msr_read(x.l, 0x900, &v));
    rig_fini(&x.r);
}

// What may end a halt that no interrupt ends: SMI, NMI and INIT, by LINT0 or an I/O APIC's entry.
TEST(apicbus_knows_what_wakes)
{
    struct apic x;
    setup(&x);
    struct dev *bus = dev_find(&x.r.env, "apicbus");
    wr(&x, 0xf0, 0x1ff);
    wr(&x, 0x350, 0x10400);
    EXPECT_EQ(apicbus_line_modes(bus, 0), 0); // masked
    wr(&x, 0x350, 0x00400);
    EXPECT_EQ(apicbus_line_modes(bus, 0), 1u << APIC_NMI);
    wr(&x, 0x350, 0x00700);
    EXPECT_EQ(apicbus_line_modes(bus, 0), 0); // ExtINT wants the interrupt flag
    // Entry 4 of the I/O APIC: SMI to APIC 5.
    aspace_write(&x.r.mem, 0xfec00000, 4, 0x19);
    aspace_write(&x.r.mem, 0xfec00010, 4, 5u << 24);
    aspace_write(&x.r.mem, 0xfec00000, 4, 0x18);
    aspace_write(&x.r.mem, 0xfec00010, 4, 0x00200);
    EXPECT_EQ(apicbus_line_modes(bus, 0), 1u << APIC_SMI);
    aspace_write(&x.r.mem, 0xfec00010, 4, 0x10200);
    EXPECT_EQ(apicbus_line_modes(bus, 0), 0);
    EXPECT_EQ(apicbus_line_modes(bus, 7), 0); // nobody
    rig_fini(&x.r);
}

// The page moved elsewhere takes writes there.
TEST(lapic_moved_page_writes)
{
    struct apic x;
    setup(&x);
    EXPECT(lapic_intc_ops.msr_write(x.l, 0x1b, 0xd0000900));
    aspace_write(&x.r.mem, 0xd00000f0, 4, 0x1ff);
    aspace_write(&x.r.mem, 0xd0000080, 4, 0x40);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xd0000080, 4), 0x40);
    wr(&x, 0x80, 0x70); // nobody there
    EXPECT_EQ(aspace_read(&x.r.mem, 0xd0000080, 4), 0x40);
    rig_fini(&x.r);
}
