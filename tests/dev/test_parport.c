// The parallel port on a bare bus, with a printer that remembers.

#include <string.h>

#include "core/backend.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

struct paper {
    struct chr chr; // first
    char text[64];
    size_t len;
};

struct port {
    struct rig r;
    struct paper paper;
    struct probe *p;
};

static void print(struct chr *c, const uint8_t *data, size_t len)
{
    struct paper *paper = (struct paper *)c;
    for (size_t i = 0; i < len && paper->len + 1 < sizeof paper->text; i++) {
        paper->text[paper->len++] = (char)data[i];
    }
}

static void setup(struct port *x, bool printer)
{
    struct err e;
    rig_init(&x->r);
    x->paper = (struct paper){.chr = {.write = print, .source = -1}};
    struct dev *d = dev_new(&x->r.env, &parport_class, "lpt1", &e);
    EXPECT(dev_set_backend(d, "chr", PROP_CHR, printer ? &x->paper.chr : NULL, &e));
    EXPECT(dev_init(d, &e));
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "lpt1.irq", "p.in0");
    rig_reset(&x->r, RESET_COLD);
}

static uint8_t status(struct port *x)
{
    return rig_inb(&x->r, 0x379);
}

TEST(parport_registers)
{
    struct port x;
    setup(&x, true);
    rig_outb(&x.r, 0x378, 0xaa); // how a BIOS finds the port
    EXPECT_EQ(rig_inb(&x.r, 0x378), 0xaa);
    EXPECT_EQ(rig_inb(&x.r, 0x37a), 0xc0);
    EXPECT_EQ(status(&x) & 0xf8, 0x58); // held in reset: busy
    rig_outb(&x.r, 0x37a, 0xff & ~1);
    EXPECT_EQ(rig_inb(&x.r, 0x37a), 0xfe);
    EXPECT_EQ(rig_inb(&x.r, 0x378), 0xff); // input, and nobody drives
    rig_outb(&x.r, 0x37a, 0x0c);
    EXPECT_EQ(rig_inb(&x.r, 0x378), 0xaa);
    EXPECT_EQ(status(&x), 0xdf); // ready, selected, paper, no error, no interrupt
    rig_outb(&x.r, 0x379, 0);    // read-only
    EXPECT_EQ(status(&x), 0xdf);
    rig_fini(&x.r);
}

TEST(parport_handshake)
{
    struct port x;
    setup(&x, true);
    rig_outb(&x.r, 0x37a, 0x0c);
    for (const char *s = "Hello\f"; *s; s++) {
        rig_outb(&x.r, 0x378, (uint8_t)*s);
        rig_outb(&x.r, 0x37a, 0x0d);
        EXPECT_EQ(status(&x) & 0xc0, 0x40); // busy
        rig_run(&x.r, VTIME_US);
        EXPECT_EQ(status(&x) & 0xc0, 0x40);
        rig_outb(&x.r, 0x37a, 0x0c);
        rig_run(&x.r, 4 * VTIME_US);
        EXPECT_EQ(status(&x) & 0xc0, 0x40);
        rig_run(&x.r, VTIME_US);
        EXPECT_EQ(status(&x) & 0xc0, 0x00); // ACK
        rig_reload(&x.r);
        rig_run(&x.r, 5 * VTIME_US);
        EXPECT_EQ(status(&x) & 0xc0, 0xc0);
    }
    EXPECT_STR(x.paper.text, "Hello\f");
    // A strobe while busy is lost, as is one while the printer is held in reset.
    rig_outb(&x.r, 0x37a, 0x0d);
    rig_outb(&x.r, 0x37a, 0x0c);
    rig_outb(&x.r, 0x37a, 0x0d);
    EXPECT_EQ(x.paper.len, 7);
    rig_outb(&x.r, 0x37a, 0x08);
    rig_outb(&x.r, 0x37a, 0x09);
    EXPECT_EQ(x.paper.len, 7);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(status(&x) & 0xc0, 0x40);
    rig_outb(&x.r, 0x37a, 0x0c);
    EXPECT_EQ(status(&x) & 0xc0, 0xc0);
    rig_fini(&x.r);
}

TEST(parport_interrupt)
{
    struct port x;
    setup(&x, true);
    rig_outb(&x.r, 0x37a, 0x0d);
    rig_outb(&x.r, 0x37a, 0x0c);
    rig_run(&x.r, 20 * VTIME_US);
    EXPECT_EQ(x.p->rises[0], 0); // not enabled
    rig_outb(&x.r, 0x37a, 0x1d);
    rig_outb(&x.r, 0x37a, 0x1c);
    rig_run(&x.r, 20 * VTIME_US);
    EXPECT_EQ(x.p->rises[0], 1);
    EXPECT_EQ(x.p->last_rise[0], 30 * VTIME_US);
    rig_reload(&x.r);
    EXPECT_EQ(status(&x), 0xdb);
    EXPECT_EQ(x.p->falls[0], 1); // reading the status acknowledges
    EXPECT_EQ(status(&x), 0xdf);
    // A driver that never reads the status still gets an edge for each byte.
    for (unsigned i = 0; i < 3; i++) {
        rig_outb(&x.r, 0x37a, 0x1d);
        rig_outb(&x.r, 0x37a, 0x1c);
        rig_run(&x.r, 20 * VTIME_US);
    }
    EXPECT_EQ(x.p->rises[0], 4);
    rig_outb(&x.r, 0x37a, 0x0c);
    EXPECT_EQ(x.p->falls[0], 4);
    rig_fini(&x.r);
}

TEST(parport_without_a_printer)
{
    struct port x;
    setup(&x, false);
    rig_outb(&x.r, 0x37a, 0x1c);
    EXPECT_EQ(status(&x), 0x7f);
    rig_outb(&x.r, 0x378, 0x55);
    EXPECT_EQ(rig_inb(&x.r, 0x378), 0x55);
    rig_outb(&x.r, 0x37a, 0x1d);
    rig_outb(&x.r, 0x37a, 0x1c);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(status(&x), 0x7f);
    EXPECT_EQ(x.p->rises[0], 0);
    rig_fini(&x.r);
}
