// Local APICs, the bus between them and the I/O APIC, without CPUs.

#include <stdio.h>

#include "hw/hw.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "tests/lib/rig.h"

enum { NCPU = 4, INTR = 0, NMI = 1, SMI = 2, INIT = 3 };

struct apics {
    struct rig r;
    struct dev *l[NCPU];
    struct probe *p; // in 4n+k: CPU n's INTR, NMI, SMI, INIT; out0..: see setup
    struct dev *pic;
    uint8_t sipi[NCPU];
    unsigned nsipi[NCPU];
};

struct sipi_ctx {
    struct apics *x;
    unsigned cpu;
};
static struct sipi_ctx sipi_ctxs[NCPU];

static void on_sipi(void *ctx, uint8_t vector)
{
    struct sipi_ctx *c = ctx;
    c->x->sipi[c->cpu] = vector;
    c->x->nsipi[c->cpu]++;
}

static const struct cpu_ops cpu_ops = {on_sipi};

static void setup_with(struct apics *x, const char *more)
{
    static const char *const outs[] = {"intr", "nmi", "smi", "init"};
    *x = (struct apics){0};
    rig_init(&x->r);
    x->pic = rig_add(&x->r, &i8259_class, "pic0", "");
    rig_add(&x->r, &apicbus_class, "apicbus", "");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    for (unsigned i = 0; i < NCPU; i++) {
        char name[16], props[96], from[32], to[16];
        snprintf(name, sizeof name, "lapic%u", i);
        snprintf(props, sizeof props, "id=%u,index=%u,pic=pic0%s%s", i, i, i ? "" : ",bsp=on",
                 more);
        x->l[i] = rig_add(&x->r, &lapic_class, name, props);
        for (unsigned k = 0; k < 4; k++) {
            snprintf(from, sizeof from, "%s.%s", name, outs[k]);
            snprintf(to, sizeof to, "p.in%u", i * 4 + k);
            rig_wire(&x->r, from, to);
        }
        sipi_ctxs[i] = (struct sipi_ctx){x, i};
        lapic_set_cpu(x->l[i], &cpu_ops, &sipi_ctxs[i]);
    }
    rig_add(&x->r, &ioapic_class, "ioapic", "id=8");
    rig_wire(&x->r, "pic0.intr", "lapic0.lint0");
    rig_wire(&x->r, "p.out0", "lapic0.lint1");
    rig_wire(&x->r, "p.out1", "pic0.ir0");
    rig_wire(&x->r, "p.out2", "ioapic.pin2");
    rig_wire(&x->r, "p.out3", "ioapic.pin16");
    rig_wire(&x->r, "p.out4", "ioapic.pin16");
    rig_wire(&x->r, "p.out5", "lapic1.lint0");
    rig_reset(&x->r, RESET_COLD);
}

static void setup(struct apics *x)
{
    setup_with(x, "");
}

static uint32_t rd(struct apics *x, unsigned cpu, unsigned off)
{
    x->r.env.cur_cpu = cpu;
    return (uint32_t)aspace_read(&x->r.mem, 0xfee00000 + off, 4);
}

static void wr(struct apics *x, unsigned cpu, unsigned off, uint32_t val)
{
    x->r.env.cur_cpu = cpu;
    aspace_write(&x->r.mem, 0xfee00000 + off, 4, val);
}

static void enable_all(struct apics *x)
{
    for (unsigned i = 0; i < NCPU; i++) {
        wr(x, i, 0xf0, 0x1ff);
    }
}

static bool pin(struct apics *x, unsigned cpu, unsigned k)
{
    return dev_pin_in(&x->p->dev, cpu * 4 + k);
}

static unsigned pulses(struct apics *x, unsigned cpu, unsigned k)
{
    return x->p->rises[cpu * 4 + k];
}

static uint8_t ack(struct apics *x, unsigned cpu)
{
    return lapic_intc_ops.ack(x->l[cpu]);
}

static bool rdmsr(struct apics *x, unsigned cpu, uint32_t msr, uint64_t *val)
{
    return lapic_intc_ops.msr_read(x->l[cpu], msr, val);
}

static bool wrmsr(struct apics *x, unsigned cpu, uint32_t msr, uint64_t val)
{
    return lapic_intc_ops.msr_write(x->l[cpu], msr, val);
}

static void out(struct apics *x, unsigned n, bool level)
{
    dev_pin_set(&x->p->dev, n, level);
}

static void ipi(struct apics *x, unsigned cpu, uint32_t high, uint32_t low)
{
    wr(x, cpu, 0x310, high);
    wr(x, cpu, 0x300, low);
}

TEST(lapic_reset_state)
{
    struct apics x;
    uint64_t v;
    setup(&x);
    EXPECT_EQ(rd(&x, 2, 0x20), 2u << 24);
    EXPECT_EQ(rd(&x, 0, 0x30), 0x00050014);
    EXPECT_EQ(rd(&x, 0, 0xf0), 0xff);
    EXPECT_EQ(rd(&x, 0, 0xe0), 0xffffffff);
    EXPECT_EQ(rd(&x, 0, 0x350), 0x10000);
    EXPECT(rdmsr(&x, 0, 0x1b, &v));
    EXPECT_EQ(v, 0xfee00900);
    EXPECT(rdmsr(&x, 1, 0x1b, &v));
    EXPECT_EQ(v, 0xfee00800);
    EXPECT(!pin(&x, 0, INTR));
    rig_reload(&x.r);
    rig_fini(&x.r);
}

TEST(lapic_self_ipi_and_priorities)
{
    struct apics x;
    setup(&x);
    wr(&x, 0, 0xf0, 0x1ff);
    ipi(&x, 0, 0, 0x40041); // self, vector 0x41
    EXPECT(pin(&x, 0, INTR));
    EXPECT_EQ(rd(&x, 0, 0x220), 2); // IRR word 2
    EXPECT_EQ(ack(&x, 0), 0x41);
    EXPECT(!pin(&x, 0, INTR));
    EXPECT_EQ(rd(&x, 0, 0x120), 2); // ISR
    EXPECT_EQ(rd(&x, 0, 0xa0), 0x40);
    ipi(&x, 0, 0, 0x4004f); // same class: waits
    EXPECT(!pin(&x, 0, INTR));
    ipi(&x, 0, 0, 0x40051); // higher class
    EXPECT(pin(&x, 0, INTR));
    rig_reload(&x.r);
    EXPECT_EQ(ack(&x, 0), 0x51);
    wr(&x, 0, 0xb0, 0);
    EXPECT(!pin(&x, 0, INTR));
    wr(&x, 0, 0xb0, 0);
    EXPECT(pin(&x, 0, INTR));
    EXPECT_EQ(ack(&x, 0), 0x4f);
    wr(&x, 0, 0xb0, 0);
    EXPECT_EQ(rd(&x, 0, 0xa0), 0);
    // TPR and CR8 are one.
    wr(&x, 0, 0x80, 0x65);
    EXPECT_EQ(lapic_intc_ops.cr8_read(x.l[0]), 6);
    EXPECT_EQ(rd(&x, 0, 0xa0), 0x65);
    ipi(&x, 0, 0, 0x40069);
    EXPECT(!pin(&x, 0, INTR));
    lapic_intc_ops.cr8_write(x.l[0], 5);
    EXPECT(pin(&x, 0, INTR));
    // Raising TPR between INT and INTA gives the spurious vector, which needs no EOI.
    lapic_intc_ops.cr8_write(x.l[0], 15);
    EXPECT_EQ(ack(&x, 0), 0xff);
    EXPECT_EQ(rd(&x, 0, 0x130), 0);
    rig_fini(&x.r);
}

TEST(lapic_ipi_destinations)
{
    struct apics x;
    setup(&x);
    enable_all(&x);
    ipi(&x, 0, 2u << 24, 0x4031); // physical
    EXPECT(pin(&x, 2, INTR) && !pin(&x, 0, INTR) && !pin(&x, 1, INTR) && !pin(&x, 3, INTR));
    EXPECT_EQ(ack(&x, 2), 0x31);
    wr(&x, 2, 0xb0, 0);
    ipi(&x, 1, 0xffu << 24, 0x4032); // broadcast, itself too
    for (unsigned i = 0; i < NCPU; i++) {
        EXPECT_EQ(ack(&x, i), 0x32);
        wr(&x, i, 0xb0, 0);
    }
    ipi(&x, 1, 0, 0xc4033); // all but self
    EXPECT(pin(&x, 0, INTR) && !pin(&x, 1, INTR) && pin(&x, 2, INTR) && pin(&x, 3, INTR));
    ipi(&x, 1, 0, 0x84034); // all
    EXPECT_EQ(ack(&x, 1), 0x34);
    EXPECT_EQ(ack(&x, 0), 0x34); // 33 and 34 are of one class, the higher is first
    rig_fini(&x.r);
}

TEST(lapic_logical_flat_and_cluster)
{
    struct apics x;
    setup(&x);
    enable_all(&x);
    for (unsigned i = 0; i < NCPU; i++) {
        wr(&x, i, 0xd0, 1u << (24 + i));
    }
    ipi(&x, 0, 0x0au << 24, 0x4840 | 0x41);
    EXPECT(!pin(&x, 0, INTR) && pin(&x, 1, INTR) && !pin(&x, 2, INTR) && pin(&x, 3, INTR));
    ack(&x, 1);
    ack(&x, 3);
    wr(&x, 1, 0xb0, 0);
    wr(&x, 3, 0xb0, 0);
    for (unsigned i = 0; i < NCPU; i++) {
        wr(&x, i, 0xe0, 0x0fffffff); // cluster model
        wr(&x, i, 0xd0, (i / 2) << 28 | 1u << (24 + i % 2));
    }
    ipi(&x, 0, 0x12u << 24, 0x4842);
    EXPECT(pin(&x, 3, INTR) && !pin(&x, 2, INTR) && !pin(&x, 1, INTR) && !pin(&x, 0, INTR));
    ack(&x, 3);
    wr(&x, 3, 0xb0, 0);
    ipi(&x, 0, 0xf1u << 24, 0x4843); // every cluster's member 0
    EXPECT(pin(&x, 0, INTR) && !pin(&x, 1, INTR) && pin(&x, 2, INTR) && !pin(&x, 3, INTR));
    rig_fini(&x.r);
}

TEST(lapic_lowest_priority)
{
    struct apics x;
    setup(&x);
    enable_all(&x);
    wr(&x, 0, 0x80, 0x50);
    wr(&x, 1, 0x80, 0x20);
    wr(&x, 2, 0x80, 0x10);
    wr(&x, 3, 0x80, 0x10);
    ipi(&x, 0, 0xffu << 24, 0x4161);
    EXPECT(pin(&x, 2, INTR) && !pin(&x, 0, INTR) && !pin(&x, 1, INTR) && !pin(&x, 3, INTR));
    rig_fini(&x.r);
}

TEST(lapic_nmi_smi_init_sipi)
{
    struct apics x;
    setup(&x);
    // All of these also reach an APIC that software has not enabled.
    ipi(&x, 0, 1u << 24, 0x4400);
    EXPECT_EQ(pulses(&x, 1, NMI), 1);
    EXPECT(!pin(&x, 1, NMI));
    ipi(&x, 0, 1u << 24, 0x4200);
    EXPECT_EQ(pulses(&x, 1, SMI), 1);
    wr(&x, 1, 0xf0, 0x1ff);
    wr(&x, 1, 0x80, 0x20);
    ipi(&x, 0, 0, 0xc4500); // INIT, all but self
    EXPECT(pulses(&x, 0, INIT) == 0 && pulses(&x, 1, INIT) == 1 && pulses(&x, 3, INIT) == 1);
    EXPECT_EQ(rd(&x, 1, 0xf0), 0xff); // INIT resets the APIC
    EXPECT_EQ(rd(&x, 1, 0x80), 0);
    ipi(&x, 0, 0, 0x88500); // level de-assert: nothing
    EXPECT_EQ(pulses(&x, 1, INIT), 1);
    ipi(&x, 0, 3u << 24, 0x4600 | 0x9a);
    EXPECT(x.nsipi[3] == 1 && x.sipi[3] == 0x9a && x.nsipi[1] == 0);
    ipi(&x, 0, 1u << 24, 0x4055); // fixed does not reach it
    EXPECT_EQ(rd(&x, 1, 0x220), 0);
    EXPECT(!pin(&x, 1, INTR));
    rig_fini(&x.r);
}

TEST(lapic_errors)
{
    struct apics x;
    setup(&x);
    wr(&x, 0, 0xf0, 0x1ff);
    wr(&x, 0, 0x370, 0xfe);
    ipi(&x, 0, 0, 0x40005); // illegal vector
    EXPECT_EQ(ack(&x, 0), 0xfe);
    EXPECT_EQ(rd(&x, 0, 0x280), 0); // not before a write
    wr(&x, 0, 0x280, 0);
    EXPECT_EQ(rd(&x, 0, 0x280), 0x20);
    rd(&x, 0, 0x40); // no such register
    wr(&x, 0, 0x280, 0);
    EXPECT_EQ(rd(&x, 0, 0x280), 0x80);
    wr(&x, 0, 0x280, 0);
    EXPECT_EQ(rd(&x, 0, 0x280), 0);
    EXPECT_EQ(rd(&x, 0, 0x24), 0); // beside a register
    rig_fini(&x.r);
}

TEST(lapic_timer_one_shot)
{
    struct apics x;
    setup(&x);
    wr(&x, 0, 0xf0, 0x1ff);
    wr(&x, 0, 0x3e0, 0x3); // divide by 16
    wr(&x, 0, 0x320, 0x60);
    wr(&x, 0, 0x380, 1000);
    EXPECT_EQ(rd(&x, 0, 0x390), 1000);
    rig_run(&x.r, 8000);
    EXPECT_EQ(rd(&x, 0, 0x390), 500);
    rig_reload(&x.r);
    rig_run(&x.r, 7999);
    EXPECT(!pin(&x, 0, INTR));
    rig_run(&x.r, 1);
    EXPECT(pin(&x, 0, INTR));
    EXPECT_EQ(ack(&x, 0), 0x60);
    wr(&x, 0, 0xb0, 0);
    EXPECT_EQ(rd(&x, 0, 0x390), 0);
    rig_run(&x.r, 100000);
    EXPECT(!pin(&x, 0, INTR));
    // Masked: it counts, and unmasking later is too late.
    wr(&x, 0, 0x320, 0x10060);
    wr(&x, 0, 0x380, 10);
    rig_run(&x.r, 1000);
    wr(&x, 0, 0x320, 0x60);
    rig_run(&x.r, 1000);
    EXPECT(!pin(&x, 0, INTR));
    wr(&x, 0, 0x380, 1000);
    wr(&x, 0, 0x380, 0); // stops
    rig_run(&x.r, 100000);
    EXPECT(!pin(&x, 0, INTR));
    rig_fini(&x.r);
}

TEST(lapic_timer_periodic)
{
    struct apics x;
    setup(&x);
    wr(&x, 0, 0xf0, 0x1ff);
    wr(&x, 0, 0x3e0, 0xb); // divide by 1
    wr(&x, 0, 0x320, 0x20060);
    wr(&x, 0, 0x380, 10000);
    unsigned n = 0;
    vtime end = x.r.clock.s.now + 1000000;
    while (clock_next(&x.r.clock) <= end) {
        rig_run_to(&x.r, clock_next(&x.r.clock));
        EXPECT_EQ(ack(&x, 0), 0x60);
        wr(&x, 0, 0xb0, 0);
        n++;
    }
    EXPECT_EQ(n, 100);
    rig_run(&x.r, 2500);
    EXPECT_EQ(rd(&x, 0, 0x390), 7500);
    // An absurd period neither hangs nor floods.
    wr(&x, 0, 0x380, 1);
    unsigned rises = x.p->rises[0];
    rig_run(&x.r, 100000);
    EXPECT(x.p->rises[0] <= rises + 100);
    rig_fini(&x.r);
}

TEST(lapic_timer_changes_mode)
{
    struct apics x;
    setup(&x);
    wr(&x, 0, 0xf0, 0x1ff);
    wr(&x, 0, 0x3e0, 0x3);     // divide by 16
    wr(&x, 0, 0x320, 0x20060); // periodic
    wr(&x, 0, 0x380, 1000);
    rig_run(&x.r, 16 * 2250);
    EXPECT_EQ(rd(&x, 0, 0x390), 750);
    ack(&x, 0);
    wr(&x, 0, 0xb0, 0);
    wr(&x, 0, 0x320, 0x60); // one-shot: the count goes on
    EXPECT_EQ(rd(&x, 0, 0x390), 750);
    rig_run(&x.r, 16 * 750 - 1);
    EXPECT(!pin(&x, 0, INTR));
    rig_run(&x.r, 1);
    EXPECT_EQ(ack(&x, 0), 0x60);
    wr(&x, 0, 0xb0, 0);
    rig_run(&x.r, 500);
    wr(&x, 0, 0x320, 0x20060); // it has run out: periodic mode does not start it again
    rig_reload(&x.r);
    wr(&x, 0, 0x3e0, 0xb);
    rig_run(&x.r, 100000);
    EXPECT_EQ(rd(&x, 0, 0x390), 0);
    EXPECT_EQ(rd(&x, 0, 0x380), 1000);
    EXPECT(!pin(&x, 0, INTR));
    wr(&x, 0, 0x380, 1000); // loading does
    rig_run(&x.r, 1000);
    EXPECT_EQ(ack(&x, 0), 0x60);
    rig_fini(&x.r);
}

TEST(lapic_tsc_deadline)
{
    struct apics x;
    uint64_t v;
    setup(&x);
    wr(&x, 0, 0xf0, 0x1ff);
    EXPECT(wrmsr(&x, 0, 0x6e0, 5000)); // not in this mode: ignored
    EXPECT(rdmsr(&x, 0, 0x6e0, &v) && v == 0);
    wr(&x, 0, 0x320, 0x40060);
    EXPECT(wrmsr(&x, 0, 0x6e0, 5000));
    EXPECT(rdmsr(&x, 0, 0x6e0, &v) && v == 5000);
    wr(&x, 0, 0x380, 77); // the count has no meaning here
    EXPECT_EQ(rd(&x, 0, 0x390), 0);
    rig_run_to(&x.r, 4999);
    EXPECT(!pin(&x, 0, INTR));
    rig_run_to(&x.r, 5000);
    EXPECT_EQ(ack(&x, 0), 0x60);
    EXPECT(rdmsr(&x, 0, 0x6e0, &v) && v == 0);
    wr(&x, 0, 0xb0, 0);
    EXPECT(wrmsr(&x, 0, 0x6e0, 100)); // in the past: at once
    rig_run(&x.r, 0);
    EXPECT(pin(&x, 0, INTR));
    ack(&x, 0);
    wr(&x, 0, 0xb0, 0);
    EXPECT(wrmsr(&x, 0, 0x6e0, 90000));
    EXPECT(wrmsr(&x, 0, 0x6e0, 0)); // disarm
    rig_run(&x.r, 200000);
    EXPECT(!pin(&x, 0, INTR));
    rig_fini(&x.r);
}

TEST(lapic_id_can_be_written)
{
    struct apics x;
    uint64_t v;
    setup_with(&x, "");
    for (unsigned i = 0; i < NCPU; i++) {
        wr(&x, i, 0xf0, 0x1ff);
    }
    wr(&x, 2, 0x20, 0x11ffffff);
    wr(&x, 3, 0x20, 0x11000000);
    EXPECT_EQ(rd(&x, 2, 0x20), 0x11u << 24);
    rig_reload(&x.r);
    wr(&x, 0, 0x310, 0x11u << 24); // to both
    wr(&x, 0, 0x300, 0x4051);
    EXPECT(pin(&x, 2, INTR) && pin(&x, 3, INTR) && !pin(&x, 1, INTR));
    wr(&x, 0, 0x310, 2u << 24); // to nobody any more
    wr(&x, 0, 0x300, 0x4052);
    EXPECT_EQ(ack(&x, 2), 0x51);
    wr(&x, 2, 0xb0, 0);
    EXPECT(!pin(&x, 2, INTR));
    wr(&x, 0, 0x310, 0x11u << 24);
    wr(&x, 0, 0x300, 0x4500); // INIT keeps it
    EXPECT_EQ(rd(&x, 2, 0x20), 0x11u << 24);
    // x2APIC mode has the one from reset, and so has the APIC after it was off.
    EXPECT(wrmsr(&x, 2, 0x1b, 0xfee00c00));
    EXPECT(rdmsr(&x, 2, 0x802, &v) && v == 2);
    EXPECT(wrmsr(&x, 3, 0x1b, 0xfee00000));
    EXPECT(wrmsr(&x, 3, 0x1b, 0xfee00800));
    EXPECT_EQ(rd(&x, 3, 0x20), 3u << 24);
    rig_fini(&x.r);
}

TEST(lapic_x2apic)
{
    struct apics x;
    uint64_t v;
    setup_with(&x, "");
    EXPECT(!rdmsr(&x, 0, 0x802, &v));
    EXPECT(!wrmsr(&x, 0, 0x1b, 0xfee00400)); // EXTD without EN
    for (unsigned i = 0; i < NCPU; i++) {
        EXPECT(wrmsr(&x, i, 0x1b, 0xfee00c00));
        EXPECT(wrmsr(&x, i, 0x80f, 0x1ff));
    }
    EXPECT(rdmsr(&x, 3, 0x802, &v) && v == 3);
    EXPECT(rdmsr(&x, 3, 0x80d, &v) && v == 8);
    EXPECT_EQ(rd(&x, 0, 0x20), 0xffffffff); // the page is gone
    EXPECT(wrmsr(&x, 0, 0x830, UINT64_C(0x0000000200000051)));
    EXPECT(pin(&x, 2, INTR));
    EXPECT_EQ(ack(&x, 2), 0x51);
    EXPECT(rdmsr(&x, 2, 0x812, &v) && v == 0x20000);
    EXPECT(wrmsr(&x, 2, 0x80b, 0));
    EXPECT(wrmsr(&x, 0, 0x830, UINT64_C(0x0000000a00000852))); // logical: 1 and 3
    EXPECT(pin(&x, 1, INTR) && pin(&x, 3, INTR) && !pin(&x, 0, INTR) && !pin(&x, 2, INTR));
    EXPECT(wrmsr(&x, 0, 0x83f, 0x53)); // self IPI
    EXPECT_EQ(ack(&x, 0), 0x53);
    // #GP
    EXPECT(!wrmsr(&x, 0, 0x80b, 1));
    EXPECT(!wrmsr(&x, 0, 0x808, 0x100));
    EXPECT(!wrmsr(&x, 0, 0x80f, UINT64_C(1) << 32));
    EXPECT(!wrmsr(&x, 0, 0x802, 0));
    EXPECT(!wrmsr(&x, 0, 0x828, 1));
    EXPECT(!wrmsr(&x, 0, 0x80e, 0));
    EXPECT(!rdmsr(&x, 0, 0x80e, &v));
    EXPECT(!rdmsr(&x, 0, 0x831, &v));
    EXPECT(!rdmsr(&x, 0, 0x80b, &v));
    EXPECT(!wrmsr(&x, 0, 0x830, UINT64_C(1) << 13));
    // Back only by way of off.
    EXPECT(!wrmsr(&x, 0, 0x1b, 0xfee00800));
    EXPECT(wrmsr(&x, 0, 0x1b, 0xfee00000));
    EXPECT(!wrmsr(&x, 0, 0x1b, 0xfee00c00));
    EXPECT(wrmsr(&x, 0, 0x1b, 0xfee00800));
    EXPECT_EQ(rd(&x, 0, 0x20), 0);
    rig_fini(&x.r);
}

TEST(lapic_base_moves)
{
    struct apics x;
    setup(&x);
    EXPECT(wrmsr(&x, 1, 0x1b, 0xd0000800));
    x.r.env.cur_cpu = 1;
    EXPECT_EQ(aspace_read(&x.r.mem, 0xd0000020, 4), 1u << 24);
    EXPECT_EQ(rd(&x, 1, 0x20), 0xffffffff);
    EXPECT_EQ(rd(&x, 0, 0x20), 0);
    rig_reload(&x.r);
    EXPECT(!wrmsr(&x, 1, 0x1b, 0xd0000801)); // reserved bit
    EXPECT(wrmsr(&x, 1, 0x1b, 0xfee00800));
    x.r.env.cur_cpu = 1;
    EXPECT_EQ(aspace_read(&x.r.mem, 0xd0000020, 4), 0xffffffff);
    EXPECT_EQ(rd(&x, 1, 0x20), 1u << 24);
    rig_fini(&x.r);
}

static void program_pic(struct apics *x)
{
    rig_outb(&x->r, 0x20, 0x13); // single, no slave here
    rig_outb(&x->r, 0x21, 0x08);
    rig_outb(&x->r, 0x21, 0x01);
}

TEST(lapic_lint_pins)
{
    struct apics x;
    setup(&x);
    program_pic(&x);
    out(&x, 1, true);          // the 8259 asks
    EXPECT(!pin(&x, 0, INTR)); // LINT0 is masked
    wr(&x, 0, 0xf0, 0x1ff);
    wr(&x, 0, 0x350, 0x700); // virtual wire
    EXPECT(pin(&x, 0, INTR));
    EXPECT_EQ(ack(&x, 0), 0x08);
    EXPECT(!pin(&x, 0, INTR));
    EXPECT_EQ(rd(&x, 0, 0x100), 0); // not in service here: the 8259 has it
    wr(&x, 0, 0x360, 0x400);
    out(&x, 0, true);
    EXPECT_EQ(pulses(&x, 0, NMI), 1);
    out(&x, 0, false);
    EXPECT_EQ(pulses(&x, 0, NMI), 1);
    // With the APIC off the pins are INTR and NMI.
    EXPECT(wrmsr(&x, 0, 0x1b, 0xfee00100));
    rig_outb(&x.r, 0x20, 0x20);
    out(&x, 1, false);
    out(&x, 1, true);
    EXPECT(pin(&x, 0, INTR));
    EXPECT_EQ(ack(&x, 0), 0x08);
    out(&x, 0, true);
    EXPECT_EQ(pulses(&x, 0, NMI), 2);
    // Fixed, level: held off by remote IRR until EOI.
    wr(&x, 1, 0xf0, 0x1ff);
    wr(&x, 1, 0x350, 0x8071);
    out(&x, 5, true);
    EXPECT_EQ(ack(&x, 1), 0x71);
    EXPECT_EQ(rd(&x, 1, 0x350) & 0x4000, 0x4000);
    wr(&x, 1, 0xb0, 0);
    EXPECT(pin(&x, 1, INTR)); // still asserted
    EXPECT_EQ(ack(&x, 1), 0x71);
    out(&x, 5, false);
    wr(&x, 1, 0xb0, 0);
    EXPECT(!pin(&x, 1, INTR));
    rig_fini(&x.r);
}

TEST(lapic_virtual_wire_property)
{
    struct apics x;
    setup_with(&x, ",virtual_wire=on");
    program_pic(&x);
    out(&x, 1, true);
    EXPECT(pin(&x, 0, INTR));
    EXPECT_EQ(ack(&x, 0), 0x08);
    rig_fini(&x.r);
}

static void io_write(struct apics *x, unsigned reg, uint32_t val)
{
    aspace_write(&x->r.mem, 0xfec00000, 4, reg);
    aspace_write(&x->r.mem, 0xfec00010, 4, val);
}

static uint32_t io_read(struct apics *x, unsigned reg)
{
    aspace_write(&x->r.mem, 0xfec00000, 4, reg);
    return (uint32_t)aspace_read(&x->r.mem, 0xfec00010, 4);
}

static void rte(struct apics *x, unsigned n, uint32_t high, uint32_t low)
{
    io_write(x, 0x11 + 2 * n, high);
    io_write(x, 0x10 + 2 * n, low);
}

TEST(ioapic_registers)
{
    struct apics x;
    setup(&x);
    EXPECT_EQ(io_read(&x, 0), 8u << 24);
    EXPECT_EQ(io_read(&x, 1), 0x00170020);
    EXPECT_EQ(io_read(&x, 0x10), 0x10000);
    rte(&x, 5, 0xffffffff, 0xffffffff);
    EXPECT_EQ(io_read(&x, 0x1a), 0x1afff);
    EXPECT_EQ(io_read(&x, 0x1b), 0xff000000);
    EXPECT_EQ(io_read(&x, 0x40), 0);
    io_write(&x, 0x40, 0xffffffff);
    rig_reload(&x.r);
    rig_fini(&x.r);
}

TEST(ioapic_edge)
{
    struct apics x;
    setup(&x);
    enable_all(&x);
    out(&x, 2, true); // while masked: lost
    rte(&x, 2, 1u << 24, 0x30);
    EXPECT(!pin(&x, 1, INTR));
    out(&x, 2, false);
    out(&x, 2, true);
    EXPECT_EQ(ack(&x, 1), 0x30);
    EXPECT_EQ(rd(&x, 1, 0x190), 0); // TMR: edge
    wr(&x, 1, 0xb0, 0);
    EXPECT(!pin(&x, 1, INTR));
    rig_fini(&x.r);
}

TEST(ioapic_level)
{
    struct apics x;
    setup(&x);
    enable_all(&x);
    rte(&x, 16, 0, 0x18041); // level, masked
    out(&x, 3, true);
    EXPECT(!pin(&x, 0, INTR));
    rte(&x, 16, 0, 0x8041);
    EXPECT(pin(&x, 0, INTR)); // unmasking sees the level
    EXPECT_EQ(io_read(&x, 0x30) & 0x4000, 0x4000);
    EXPECT_EQ(ack(&x, 0), 0x41);
    EXPECT_EQ(rd(&x, 0, 0x1a0), 2); // TMR: level
    out(&x, 4, true);               // shared
    out(&x, 3, false);
    wr(&x, 0, 0xb0, 0);
    EXPECT(pin(&x, 0, INTR)); // the other one holds it
    rig_reload(&x.r);
    EXPECT_EQ(ack(&x, 0), 0x41);
    out(&x, 4, false);
    wr(&x, 0, 0xb0, 0);
    EXPECT(!pin(&x, 0, INTR));
    EXPECT_EQ(io_read(&x, 0x30) & 0x4000, 0);
    // The EOI register, and clearing remote IRR through edge mode.
    out(&x, 3, true);
    EXPECT_EQ(ack(&x, 0), 0x41);
    out(&x, 3, false);
    aspace_write(&x.r.mem, 0xfec00040, 4, 0x41);
    EXPECT_EQ(io_read(&x, 0x30) & 0x4000, 0);
    wr(&x, 0, 0xb0, 0);
    out(&x, 3, true);
    rte(&x, 16, 0, 0x10041);
    EXPECT_EQ(io_read(&x, 0x30) & 0x4000, 0);
    rig_fini(&x.r);
}

TEST(ioapic_nobody_accepts)
{
    struct apics x;
    setup(&x);
    enable_all(&x);
    rte(&x, 16, 9u << 24, 0x8041); // no such APIC
    out(&x, 3, true);
    EXPECT_EQ(io_read(&x, 0x30) & 0x4000, 0); // not accepted: no remote IRR
    io_write(&x, 0x30, 0x18041);
    rte(&x, 16, 0xffu << 24, 0x8141); // lowest priority, everyone
    EXPECT(pin(&x, 0, INTR) && !pin(&x, 1, INTR));
    rig_fini(&x.r);
}

TEST(ioapic_extint_and_msi)
{
    struct apics x;
    setup(&x);
    enable_all(&x);
    program_pic(&x);
    rte(&x, 2, 1u << 24, 0x700); // ExtINT to CPU 1
    out(&x, 1, true);
    out(&x, 2, true);
    EXPECT(pin(&x, 1, INTR));
    EXPECT_EQ(ack(&x, 1), 0x08);
    EXPECT(!pin(&x, 1, INTR));
    struct dev *bus = dev_find(&x.r.env, "apicbus");
    apicbus_msi(bus, 0xfee03000, 0x4099);
    EXPECT_EQ(ack(&x, 3), 0x99);
    rig_fini(&x.r);
}

TEST(lapic_setup_errors)
{
    struct rig r;
    struct err e = {""};
    rig_init(&r);
    struct dev *d = dev_new(&r.env, &lapic_class, "l0", &e);
    EXPECT(!dev_init(d, &e));
    rig_add(&r, &apicbus_class, "apicbus", "");
    rig_add(&r, &lapic_class, "l1", "index=1");
    d = dev_new(&r.env, &lapic_class, "l2", &e);
    EXPECT(dev_set(d, "index", "1", &e));
    EXPECT(!dev_init(d, &e));
    EXPECT(!dev_set(d, "index", "64", &e));
    rig_fini(&r);
}
