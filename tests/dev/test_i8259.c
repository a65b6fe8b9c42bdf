// The 8259A pair on a bare bus, from the datasheet.

#include "hw/intc/i8259.h"

#include "hw/hw.h"
#include "tests/lib/rig.h"

struct pics {
    struct rig r;
    struct dev *m, *s;
    struct probe *p; // out0..out7: IR0..7 (2 is the cascade); out8..out15: IR8..15; in0: INT
};

static void setup(struct pics *x)
{
    rig_init(&x->r);
    x->m = rig_add(&x->r, &i8259_class, "pic0", "slave=pic1");
    x->s = rig_add(&x->r, &i8259_class, "pic1", "master=off,iobase=0xa0,elcr=0x4d1");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "pic1.intr", "pic0.ir2");
    rig_wire(&x->r, "pic0.intr", "p.in0");
    for (unsigned i = 0; i < 16; i++) {
        char from[16] = "p.out", to[16] = "pic0.ir0";
        from[5] = (char)(i < 10 ? '0' + i : '1');
        from[6] = (char)(i < 10 ? 0 : '0' + i - 10);
        to[3] = (char)('0' + i / 8);
        to[7] = (char)('0' + i % 8);
        if (i != 2) {
            rig_wire(&x->r, from, to);
        }
    }
    rig_reset(&x->r, RESET_COLD);
}

// The usual PC set-up: vectors 0x08 and 0x70, all unmasked. icw4 for both.
static void program(struct pics *x, uint8_t icw4m, uint8_t icw4s)
{
    rig_outb(&x->r, 0x20, 0x11);
    rig_outb(&x->r, 0x21, 0x08);
    rig_outb(&x->r, 0x21, 0x04);
    rig_outb(&x->r, 0x21, icw4m);
    rig_outb(&x->r, 0xa0, 0x11);
    rig_outb(&x->r, 0xa1, 0x70);
    rig_outb(&x->r, 0xa1, 0x02);
    rig_outb(&x->r, 0xa1, icw4s);
}

static void irq(struct pics *x, unsigned n, bool level)
{
    dev_pin_set(&x->p->dev, n, level);
}

static void pulse(struct pics *x, unsigned n)
{
    irq(x, n, false);
    irq(x, n, true);
}

static bool intr(struct pics *x)
{
    return dev_pin_in(&x->p->dev, 0);
}

static uint8_t isr(struct pics *x, uint16_t port)
{
    rig_outb(&x->r, port, 0x0b);
    return rig_inb(&x->r, port);
}

static uint8_t irr(struct pics *x, uint16_t port)
{
    rig_outb(&x->r, port, 0x0a);
    return rig_inb(&x->r, port);
}

TEST(i8259_silent_after_reset)
{
    struct pics x;
    setup(&x);
    irq(&x, 1, true);
    EXPECT(!intr(&x));
    rig_fini(&x.r);
}

TEST(i8259_priorities_and_eoi)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    EXPECT_EQ(rig_inb(&x.r, 0x21), 0); // ICW1 clears the mask
    irq(&x, 4, true);
    EXPECT(intr(&x));
    EXPECT_EQ(irr(&x, 0x20), 0x10);
    EXPECT_EQ(i8259_ack(x.m), 0x0c);
    EXPECT_EQ(irr(&x, 0x20), 0);
    EXPECT_EQ(isr(&x, 0x20), 0x10);
    EXPECT(!intr(&x));
    irq(&x, 6, true); // lower: waits
    EXPECT(!intr(&x));
    irq(&x, 1, true); // higher: interrupts
    EXPECT(intr(&x));
    EXPECT_EQ(i8259_ack(x.m), 0x09);
    EXPECT_EQ(isr(&x, 0x20), 0x12);
    rig_outb(&x.r, 0x20, 0x20); // ends IR1
    EXPECT_EQ(isr(&x, 0x20), 0x10);
    rig_reload(&x.r);
    EXPECT(!intr(&x));
    rig_outb(&x.r, 0x20, 0x64); // specific, IR4
    EXPECT(intr(&x));
    EXPECT_EQ(i8259_ack(x.m), 0x0e);
    rig_fini(&x.r);
}

TEST(i8259_mask)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    rig_outb(&x.r, 0x21, 0x02);
    EXPECT_EQ(rig_inb(&x.r, 0x21), 0x02);
    irq(&x, 1, true);
    EXPECT(!intr(&x));
    EXPECT_EQ(irr(&x, 0x20), 0x02); // the request is latched all the same
    rig_outb(&x.r, 0x21, 0x00);
    EXPECT(intr(&x));
    rig_fini(&x.r);
}

// Edge mode: one interrupt for one rise, and a request withdrawn early gives IR7's vector.
TEST(i8259_edge_and_spurious)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    irq(&x, 3, true);
    EXPECT_EQ(i8259_ack(x.m), 0x0b);
    rig_outb(&x.r, 0x20, 0x20);
    EXPECT(!intr(&x)); // still high, no new edge
    pulse(&x, 3);
    EXPECT(intr(&x));
    irq(&x, 3, false);
    EXPECT(!intr(&x));
    EXPECT_EQ(i8259_ack(x.m), 0x0f);
    EXPECT_EQ(isr(&x, 0x20), 0); // spurious: not in service
    // A request that the slave withdraws takes the master's with it.
    irq(&x, 10, true);
    EXPECT(intr(&x));
    irq(&x, 10, false);
    EXPECT(!intr(&x));
    rig_fini(&x.r);
}

// Two requests of the slave and one of the master, in order of priority.
TEST(i8259_several_pending)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    irq(&x, 10, true);
    irq(&x, 5, true);
    irq(&x, 11, true);
    EXPECT_EQ(i8259_ack(x.m), 0x72);
    rig_outb(&x.r, 0xa0, 0x20);
    rig_outb(&x.r, 0x20, 0x20);
    EXPECT_EQ(i8259_ack(x.m), 0x73);
    rig_outb(&x.r, 0xa0, 0x20);
    rig_outb(&x.r, 0x20, 0x20);
    EXPECT_EQ(i8259_ack(x.m), 0x0d);
    EXPECT(!intr(&x));
    rig_fini(&x.r);
}

TEST(i8259_cascade)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    irq(&x, 12, true);
    EXPECT(intr(&x));
    EXPECT_EQ(i8259_ack(x.m), 0x74);
    EXPECT_EQ(isr(&x, 0x20), 0x04);
    EXPECT_EQ(isr(&x, 0xa0), 0x10);
    irq(&x, 8, true); // higher on the slave, but the master is in IR2
    EXPECT(!intr(&x));
    rig_outb(&x.r, 0xa0, 0x20);
    EXPECT(!intr(&x));
    rig_outb(&x.r, 0x20, 0x20);
    EXPECT(intr(&x));
    EXPECT_EQ(i8259_ack(x.m), 0x70);
    rig_fini(&x.r);
}

TEST(i8259_special_fully_nested)
{
    struct pics x;
    setup(&x);
    program(&x, 0x11, 1);
    irq(&x, 12, true);
    EXPECT_EQ(i8259_ack(x.m), 0x74);
    irq(&x, 8, true); // higher on the same slave: passes in this mode
    EXPECT(intr(&x));
    EXPECT_EQ(i8259_ack(x.m), 0x70);
    irq(&x, 13, true); // lower on the slave: the slave itself holds it
    EXPECT(!intr(&x));
    rig_fini(&x.r);
}

TEST(i8259_level_mode)
{
    struct pics x;
    setup(&x);
    rig_outb(&x.r, 0x4d0, 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x4d0), 0xf8); // 0, 1, 2 are always edge
    rig_outb(&x.r, 0x4d1, 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0x4d1), 0xde); // 8, 13
    program(&x, 1, 1);
    irq(&x, 5, true);
    EXPECT_EQ(i8259_ack(x.m), 0x0d);
    EXPECT_EQ(irr(&x, 0x20), 0x20); // follows the line
    EXPECT(!intr(&x));
    rig_outb(&x.r, 0x20, 0x20);
    EXPECT(intr(&x)); // still asserted: again
    rig_reload(&x.r);
    EXPECT(intr(&x));
    irq(&x, 5, false);
    EXPECT(!intr(&x));
    irq(&x, 11, true);
    EXPECT_EQ(i8259_ack(x.m), 0x73);
    rig_outb(&x.r, 0xa0, 0x20);
    rig_outb(&x.r, 0x20, 0x20);
    EXPECT(intr(&x));
    rig_fini(&x.r);
}

TEST(i8259_auto_eoi_and_rotation)
{
    struct pics x;
    setup(&x);
    program(&x, 0x03, 1);
    pulse(&x, 3);
    EXPECT_EQ(i8259_ack(x.m), 0x0b);
    EXPECT_EQ(isr(&x, 0x20), 0);
    rig_outb(&x.r, 0x20, 0x80); // rotate in AEOI mode
    pulse(&x, 3);
    pulse(&x, 5);
    EXPECT_EQ(i8259_ack(x.m), 0x0b); // IR3 becomes the lowest
    pulse(&x, 3);
    EXPECT_EQ(i8259_ack(x.m), 0x0d); // so 5 is first
    EXPECT_EQ(i8259_ack(x.m), 0x0b);
    rig_fini(&x.r);
}

TEST(i8259_rotation)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    rig_outb(&x.r, 0x20, 0xc4); // set priority: IR4 lowest, IR5 highest
    pulse(&x, 1);
    pulse(&x, 6);
    EXPECT_EQ(i8259_ack(x.m), 0x0e);
    rig_outb(&x.r, 0x20, 0xa0); // rotate on non-specific EOI: IR6 lowest
    pulse(&x, 6);
    pulse(&x, 7);
    EXPECT_EQ(i8259_ack(x.m), 0x0f);
    rig_outb(&x.r, 0x20, 0xe7); // rotate on specific EOI 7
    EXPECT_EQ(isr(&x, 0x20), 0);
    EXPECT_EQ(i8259_ack(x.m), 0x09);
    rig_fini(&x.r);
}

TEST(i8259_special_mask)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    pulse(&x, 3);
    EXPECT_EQ(i8259_ack(x.m), 0x0b);
    pulse(&x, 6);
    EXPECT(!intr(&x));
    rig_outb(&x.r, 0x21, 0x08); // mask what is in service
    rig_outb(&x.r, 0x20, 0x68); // special mask mode
    EXPECT(intr(&x));           // now a lower one gets through
    EXPECT_EQ(i8259_ack(x.m), 0x0e);
    rig_outb(&x.r, 0x20, 0x20); // non-specific EOI leaves the masked one alone
    EXPECT_EQ(isr(&x, 0x20), 0x08);
    rig_outb(&x.r, 0x20, 0x48); // off again
    pulse(&x, 7);
    EXPECT(!intr(&x));
    rig_fini(&x.r);
}

TEST(i8259_poll)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    rig_outb(&x.r, 0x20, 0x0c);
    EXPECT_EQ(rig_inb(&x.r, 0x20), 0x00); // nobody
    pulse(&x, 5);
    rig_outb(&x.r, 0x20, 0x0c);
    EXPECT_EQ(rig_inb(&x.r, 0x20), 0x85);
    EXPECT_EQ(isr(&x, 0x20), 0x20); // a poll is an acknowledge
    EXPECT(!intr(&x));
    rig_fini(&x.r);
}

// ICW1 in the middle of things: nothing pending survives, a line that is high needs a new edge.
TEST(i8259_reinitialize)
{
    struct pics x;
    setup(&x);
    program(&x, 1, 1);
    pulse(&x, 1);
    pulse(&x, 4);
    EXPECT_EQ(i8259_ack(x.m), 0x09);
    rig_outb(&x.r, 0x20, 0x11);
    EXPECT(!intr(&x));
    rig_outb(&x.r, 0x21, 0x20);
    EXPECT(!intr(&x)); // half-way through the sequence
    rig_outb(&x.r, 0x21, 0x04);
    rig_outb(&x.r, 0x21, 0x01);
    EXPECT(!intr(&x));
    EXPECT_EQ(isr(&x, 0x20), 0);
    pulse(&x, 4);
    EXPECT_EQ(i8259_ack(x.m), 0x24);
    // A single chip without ICW4 takes two words.
    rig_outb(&x.r, 0x20, 0x12);
    rig_outb(&x.r, 0x21, 0x40);
    rig_outb(&x.r, 0x21, 0xf0);
    EXPECT_EQ(rig_inb(&x.r, 0x21), 0xf0);
    rig_fini(&x.r);
}
