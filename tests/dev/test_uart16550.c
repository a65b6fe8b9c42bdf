// The 16550 on a bare bus.

#include <string.h>

#include "core/backend.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

struct sink {
    struct chr chr;
    uint8_t got[256];
    unsigned n;
};

static void sink_write(struct chr *c, const uint8_t *data, size_t len)
{
    struct sink *s = (struct sink *)c;
    for (size_t i = 0; i < len && s->n < sizeof s->got; i++) {
        s->got[s->n++] = data[i];
    }
}

struct uart {
    struct rig r;
    struct probe *p;
    struct sink sink;
};

enum { BASE = 0x3f8 };
#define CHAR_115200 UINT64_C(86805) // 10 bits, ns

static void setup(struct uart *x)
{
    struct err e;
    memset(&x->sink, 0, sizeof x->sink);
    x->sink.chr.write = sink_write;
    rig_init(&x->r);
    struct dev *d = dev_new(&x->r.env, &uart16550_class, "com1", &e);
    EXPECT(dev_set_backend(d, "chr", PROP_CHR, &x->sink.chr, &e));
    EXPECT(dev_init(d, &e));
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "com1.irq", "p.in0");
    rig_reset(&x->r, RESET_COLD);
}

static uint8_t rd(struct uart *x, unsigned reg)
{
    return rig_inb(&x->r, (uint16_t)(BASE + reg));
}

static void wr(struct uart *x, unsigned reg, uint8_t val)
{
    rig_outb(&x->r, (uint16_t)(BASE + reg), val);
}

// 115200 8N1, OUT2 on.
static void line(struct uart *x)
{
    wr(x, 3, 0x83);
    wr(x, 0, 1);
    wr(x, 1, 0);
    wr(x, 3, 0x03);
    wr(x, 4, 0x0b);
}

static bool irq(struct uart *x)
{
    return dev_pin_in(&x->p->dev, 0);
}

TEST(uart_registers)
{
    struct uart x;
    setup(&x);
    EXPECT_EQ(rd(&x, 5), 0x60);
    EXPECT_EQ(rd(&x, 2), 0x01);
    wr(&x, 7, 0x5a);
    EXPECT_EQ(rd(&x, 7), 0x5a);
    wr(&x, 1, 0xff);
    EXPECT_EQ(rd(&x, 1), 0x0f);
    wr(&x, 4, 0xff);
    EXPECT_EQ(rd(&x, 4), 0x1f);
    wr(&x, 3, 0x80);
    wr(&x, 0, 0x34);
    wr(&x, 1, 0x12);
    EXPECT_EQ(rd(&x, 0), 0x34);
    EXPECT_EQ(rd(&x, 1), 0x12);
    wr(&x, 3, 0x03);
    EXPECT_EQ(rd(&x, 1), 0x0f);
    wr(&x, 5, 0xff);
    EXPECT_EQ(rd(&x, 5) & 0x60, 0x60);
    wr(&x, 2, 0x01);
    EXPECT_EQ(rd(&x, 2) & 0xf0, 0xc0); // 16550A
    wr(&x, 2, 0x00);
    EXPECT_EQ(rd(&x, 2) & 0xf0, 0x00);
    rig_fini(&x.r);
}

TEST(uart_transmit_timing_16450)
{
    struct uart x;
    setup(&x);
    line(&x);
    wr(&x, 0, 'A'); // straight into the shift register
    EXPECT_EQ(rd(&x, 5), 0x20);
    wr(&x, 0, 'B'); // waits in THR
    EXPECT_EQ(rd(&x, 5), 0x00);
    rig_reload(&x.r);
    rig_run(&x.r, CHAR_115200 - 10);
    EXPECT_EQ(rd(&x, 5), 0x00);
    rig_run(&x.r, 20);
    EXPECT_EQ(rd(&x, 5), 0x20);
    rig_run(&x.r, CHAR_115200);
    EXPECT_EQ(rd(&x, 5), 0x60);
    EXPECT_EQ(x.sink.n, 2);
    EXPECT_MEM(x.sink.got, "AB", 2);
    rig_fini(&x.r);
}

TEST(uart_transmit_fifo)
{
    struct uart x;
    setup(&x);
    line(&x);
    wr(&x, 2, 0x07);
    wr(&x, 1, 0x02);
    EXPECT(irq(&x)); // empty and just enabled
    EXPECT_EQ(rd(&x, 2), 0xc2);
    EXPECT_EQ(rd(&x, 2), 0xc1); // reading IIR took it back
    EXPECT(!irq(&x));
    for (unsigned i = 0; i < 17; i++) { // one goes to the shift register
        wr(&x, 0, (uint8_t)('a' + i));
    }
    EXPECT_EQ(rd(&x, 5) & 0x60, 0);
    EXPECT(!irq(&x));
    rig_run(&x.r, 16 * CHAR_115200 + 200);
    EXPECT(irq(&x)); // FIFO empty, the last byte is in the shift register
    EXPECT_EQ(rd(&x, 5) & 0x60, 0x20);
    wr(&x, 0, 'z'); // writing takes the interrupt back too
    EXPECT(!irq(&x));
    rig_run(&x.r, 2 * CHAR_115200);
    EXPECT_EQ(x.sink.n, 18);
    EXPECT_MEM(x.sink.got, "abcdefghijklmnopqz", 18);
    EXPECT(irq(&x));
    wr(&x, 4, 0x03); // without OUT2 it does not reach the bus
    EXPECT(!irq(&x));
    rig_fini(&x.r);
}

TEST(uart_receive)
{
    struct uart x;
    setup(&x);
    line(&x);
    wr(&x, 1, 0x01);
    rig_post(&x.r, "com1.rx", "hi", 2);
    EXPECT(!irq(&x));
    rig_run(&x.r, CHAR_115200 + 10);
    EXPECT(irq(&x));
    EXPECT_EQ(rd(&x, 2), 0x04);
    EXPECT_EQ(rd(&x, 5) & 0x01, 1);
    rig_run(&x.r, 10 * CHAR_115200); // no overrun: the line waits
    EXPECT_EQ(rd(&x, 5) & 0x03, 1);
    EXPECT_EQ(rd(&x, 0), 'h');
    EXPECT(!irq(&x));
    EXPECT_EQ(rd(&x, 5) & 0x01, 0);
    rig_run(&x.r, CHAR_115200 + 10);
    EXPECT_EQ(rd(&x, 0), 'i');
    rig_fini(&x.r);
}

TEST(uart_receive_fifo_trigger_and_timeout)
{
    struct uart x;
    setup(&x);
    line(&x);
    wr(&x, 2, 0x81); // trigger 8
    wr(&x, 1, 0x01);
    rig_post(&x.r, "com1.rx", "0123456789", 10);
    rig_run(&x.r, 7 * CHAR_115200 + 100);
    EXPECT(!irq(&x));
    rig_run(&x.r, CHAR_115200);
    EXPECT(irq(&x));
    EXPECT_EQ(rd(&x, 2), 0xc4);
    rig_run(&x.r, 2 * CHAR_115200);
    rig_reload(&x.r);
    for (unsigned i = 0; i < 8; i++) {
        EXPECT_EQ(rd(&x, 0), '0' + i);
    }
    EXPECT(!irq(&x)); // two left, below the trigger
    rig_run(&x.r, 4 * CHAR_115200 - 100);
    EXPECT(!irq(&x));
    rig_run(&x.r, 200);
    EXPECT(irq(&x));
    EXPECT_EQ(rd(&x, 2), 0xcc);
    EXPECT_EQ(rd(&x, 0), '8');
    EXPECT(!irq(&x)); // a read takes the timeout back and starts it anew
    rig_run(&x.r, 5 * CHAR_115200);
    EXPECT_EQ(rd(&x, 2), 0xcc);
    EXPECT_EQ(rd(&x, 0), '9');
    rig_run(&x.r, 5 * CHAR_115200);
    EXPECT(!irq(&x));
    rig_fini(&x.r);
}

TEST(uart_backlog_and_room)
{
    struct uart x;
    uint8_t many[5000];
    setup(&x);
    line(&x);
    wr(&x, 2, 0x01);
    for (unsigned i = 0; i < sizeof many; i++) {
        many[i] = (uint8_t)(i * 31);
    }
    EXPECT_EQ(chr_room(&x.sink.chr), 4096);
    chr_input(&x.sink.chr, many, 3000);
    gate_deliver(&x.r.gate, x.r.clock.s.now);
    EXPECT_EQ(chr_room(&x.sink.chr), 1096);
    chr_input(&x.sink.chr, many + 3000, 1500); // more than the room: the surplus is lost
    gate_deliver(&x.r.gate, x.r.clock.s.now);
    EXPECT_EQ(chr_room(&x.sink.chr), 0);
    rig_reload(&x.r);
    unsigned n = 0;
    while (n < 5000) {
        rig_run(&x.r, 20 * CHAR_115200);
        unsigned before = n;
        while (rd(&x, 5) & 1) {
            EXPECT_EQ(rd(&x, 0), many[n]);
            n++;
        }
        if (n == before) {
            break;
        }
    }
    EXPECT_EQ(n, 4096);
    rig_fini(&x.r);
}

TEST(uart_loopback)
{
    struct uart x;
    setup(&x);
    line(&x);
    rd(&x, 6);
    wr(&x, 4, 0x1a);                   // loop, RTS, OUT2
    EXPECT_EQ(rd(&x, 6), 0x90 | 0x02); // CTS and DCD on; DSR went off
    EXPECT_EQ(rd(&x, 6), 0x90);
    wr(&x, 4, 0x14); // OUT1 raises RI: no delta for its leading edge
    EXPECT_EQ(rd(&x, 6), 0x40 | 0x09);
    wr(&x, 4, 0x10);
    EXPECT_EQ(rd(&x, 6), 0x04); // the trailing edge
    wr(&x, 0, 'q');
    rig_run(&x.r, CHAR_115200 + 10);
    EXPECT_EQ(rd(&x, 5), 0x61);
    wr(&x, 0, 'r');
    rig_run(&x.r, CHAR_115200 + 10);
    EXPECT_EQ(rd(&x, 5), 0x63); // overrun
    EXPECT_EQ(rd(&x, 5), 0x61);
    EXPECT_EQ(rd(&x, 0), 'r'); // the old byte was destroyed
    EXPECT_EQ(x.sink.n, 0);    // nothing went out
    wr(&x, 3, 0x43);           // break
    EXPECT_EQ(rd(&x, 5) & 0x19, 0x19);
    wr(&x, 3, 0x03);
    rig_post(&x.r, "com1.rx", "!", 1); // waits for the end of the loop
    rig_run(&x.r, 10 * CHAR_115200);
    EXPECT_EQ(rd(&x, 0), 0);
    EXPECT_EQ(rd(&x, 5) & 1, 0);
    wr(&x, 4, 0x0b);
    rig_run(&x.r, 2 * CHAR_115200);
    EXPECT_EQ(rd(&x, 0), '!');
    rig_fini(&x.r);
}

TEST(uart_modem_and_line_status_interrupts)
{
    struct uart x;
    setup(&x);
    line(&x);
    wr(&x, 4, 0x18);
    rd(&x, 6);
    wr(&x, 1, 0x0c);
    EXPECT(!irq(&x));
    wr(&x, 4, 0x1a);
    EXPECT(irq(&x));
    EXPECT_EQ(rd(&x, 2), 0x00);
    wr(&x, 3, 0x43); // break: line status comes first
    EXPECT_EQ(rd(&x, 2), 0x06);
    rd(&x, 5);
    EXPECT_EQ(rd(&x, 2), 0x00);
    rd(&x, 6);
    EXPECT(!irq(&x));
    rig_fini(&x.r);
}

// Linux 8250's test for a lost THRE interrupt must find none.
TEST(uart_linux_thre_test)
{
    struct uart x;
    setup(&x);
    line(&x);
    wr(&x, 1, 0x02);
    uint8_t first = rd(&x, 2);
    wr(&x, 1, 0x00);
    wr(&x, 1, 0x02);
    uint8_t second = rd(&x, 2);
    EXPECT(!(first & 1) && !(second & 1));
    rig_fini(&x.r);
}

TEST(debugcon_and_debug_exit)
{
    struct rig r;
    struct sink s = {.chr = {.write = sink_write}};
    struct err e;
    rig_init(&r);
    struct dev *d = dev_new(&r.env, &debugcon_class, "dc", &e);
    EXPECT(dev_set_backend(d, "chr", PROP_CHR, &s.chr, &e) && dev_init(d, &e));
    rig_add(&r, &isa_debug_exit_class, "x", "iobase=0xf4,iosize=4");
    rig_reset(&r, RESET_COLD);
    EXPECT_EQ(rig_inb(&r, 0xe9), 0xe9);
    rig_outb(&r, 0xe9, 'o');
    rig_outb(&r, 0xe9, 'k');
    EXPECT(s.n == 2 && s.got[0] == 'o' && s.got[1] == 'k');
    EXPECT_EQ(chr_room(&s.chr), 0);
    EXPECT_EQ(r.nreq, 0);
    rig_outb(&r, 0xf4, 0x10);
    EXPECT(r.nreq == 1 && r.req == DEV_REQ_EXIT && r.req_arg == 0x21);
    EXPECT_EQ(rig_inb(&r, 0xf4), 0);
    EXPECT_EQ(r.nreq, 1);
    rig_outl(&r, 0xf4, 3);
    EXPECT(r.nreq == 2 && r.req_arg == 7);
    rig_reload(&r);
    struct dev *bad = dev_new(&r.env, &isa_debug_exit_class, "y", &e);
    EXPECT(dev_set(bad, "iobase", "0xffff", &e));
    EXPECT(!dev_init(bad, &e));
    rig_fini(&r);
}
