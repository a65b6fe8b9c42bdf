// The NE2000 core behind its PCI card, on a bare bus.

#include <string.h>

#include "core/backend_net.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

enum { IO = 0x300, DATA = IO + 0x10, RESET = IO + 0x1f };

struct ne {
    struct rig r;
    struct probe *p;
    struct net net;
    uint8_t sent[2048];
    size_t sent_len;
    unsigned nsent;
};

static struct ne *self;

static void on_send(struct net *n, const uint8_t *frame, size_t len)
{
    (void)n;
    memcpy(self->sent, frame, len < sizeof self->sent ? len : sizeof self->sent);
    self->sent_len = len;
    self->nsent++;
}

static void setup(struct ne *x)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    struct err e = {""};
    memset(x, 0, sizeof *x);
    self = x;
    memcpy(x->net.mac, mac, 6);
    x->net.send = on_send;
    rig_init(&x->r);
    rig_add(&x->r, &i440fx_class, "pci0", "");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    struct dev *d = dev_new(&x->r.env, &ne2k_pci_class, "ne", &e);
    EXPECT(dev_set(d, "slot", "3", &e) && dev_set_backend(d, "netdev", PROP_NET, &x->net, &e));
    EXPECT(dev_init(d, &e));
    rig_wire(&x->r, "ne.inta", "p.in0");
    rig_reset(&x->r, RESET_COLD);
    rig_outl(&x->r, 0xcf8, 0x80001810);
    rig_outl(&x->r, 0xcfc, IO);
    rig_outl(&x->r, 0xcf8, 0x80001804);
    rig_outl(&x->r, 0xcfc, 1);
    // As drivers start it: ring 46h..80h, words, all interrupts.
    rig_inb(&x->r, RESET);
    EXPECT_EQ(rig_inb(&x->r, IO + 7), 0x80);
    static const uint8_t init[][2] = {{0, 0x21},  {14, 0x49}, {1, 0x46}, {2, 0x80}, {3, 0x46},
                                      {12, 0x04}, {15, 0x7f}, {0, 0x61}, {7, 0x47}, {1, 0x52},
                                      {2, 0x54},  {3, 0x00},  {4, 0x12}, {5, 0x34}, {6, 0x56},
                                      {0, 0x22},  {7, 0xff}};
    for (unsigned i = 0; i < sizeof init / 2; i++) {
        rig_outb(&x->r, (uint16_t)(IO + init[i][0]), init[i][1]);
    }
}

static void remote(struct ne *x, uint8_t cmd, unsigned addr, unsigned len)
{
    rig_outb(&x->r, IO + 8, (uint8_t)addr);
    rig_outb(&x->r, IO + 9, (uint8_t)(addr >> 8));
    rig_outb(&x->r, IO + 10, (uint8_t)len);
    rig_outb(&x->r, IO + 11, (uint8_t)(len >> 8));
    rig_outb(&x->r, IO, cmd);
}

static void receive(struct ne *x, const uint8_t *dst, unsigned len)
{
    uint8_t f[1600];
    for (unsigned i = 0; i < len; i++) {
        f[i] = (uint8_t)i;
    }
    memcpy(f, dst, 6);
    rig_post(&x->r, "ne.rx", f, len);
    rig_run(&x->r, 2 * VTIME_MS);
}

TEST(ne2000_prom_shows_each_byte_twice)
{
    struct ne x;
    setup(&x);
    rig_outb(&x.r, IO + 14, 0x48);
    remote(&x, 0x0a, 0, 32);
    static const uint8_t want[8] = {0x52, 0x52, 0x54, 0x54, 0, 0, 0x12, 0x12};
    for (unsigned i = 0; i < 32; i++) {
        uint8_t v = rig_inb(&x.r, DATA);
        EXPECT_EQ(v, i < 8 ? want[i] : i >= 28 ? 0x57 : v);
    }
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 0x40); // RDC
    EXPECT_EQ(rig_inb(&x.r, DATA), 0xff);
    rig_fini(&x.r);
}

TEST(ne2000_sends_at_line_speed)
{
    struct ne x;
    setup(&x);
    remote(&x, 0x12, 0x4000, 64);
    for (unsigned i = 0; i < 16; i++) {
        rig_outl(&x.r, DATA, 0x01010101 * i);
    }
    rig_outb(&x.r, IO + 7, 0x7f);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_outb(&x.r, IO + 4, 0x40);
    rig_outb(&x.r, IO + 5, 64);
    rig_outb(&x.r, IO + 6, 0);
    rig_outb(&x.r, IO, 0x26);
    rig_run(&x.r, (64 + 24) * 800 - 1);
    EXPECT_EQ(x.nsent, 0);
    EXPECT_EQ(rig_inb(&x.r, IO), 0x26);
    rig_reload(&x.r);
    rig_run(&x.r, 1);
    EXPECT(x.nsent == 1 && x.sent_len == 64 && x.sent[63] == 15 && x.sent[4] == 1);
    EXPECT_EQ(rig_inb(&x.r, IO), 0x22);
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 0x02);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    rig_outb(&x.r, IO + 7, 0x02);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_fini(&x.r);
}

TEST(ne2000_receives_filters_and_overflows)
{
    struct ne x;
    static const uint8_t mine[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    static const uint8_t other[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x57};
    static const uint8_t multi[6] = {1, 0, 0x5e, 0, 0, 1};
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
    setup(&x);
    receive(&x, other, 100);
    receive(&x, multi, 100);
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 0);
    receive(&x, mine, 42); // padded to 60, and 4 of FCS
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 1);
    remote(&x, 0x0a, 0x4700, 8);
    EXPECT_EQ(rig_inl(&x.r, DATA), 64u << 16 | 0x4801);
    EXPECT_EQ(rig_inl(&x.r, DATA), 0x12005452);
    receive(&x, all, 300);
    remote(&x, 0x0a, 0x4800, 4);
    EXPECT_EQ(rig_inl(&x.r, DATA), 304u << 16 | 0x4a21);
    // Multicast: 224.0.0.1 has hash 1fh in the upper bits of its CRC.
    unsigned bit = 0x1f & 7;
    rig_outb(&x.r, IO, 0x62);
    rig_outb(&x.r, IO + 8 + (0x1f >> 3), (uint8_t)(1u << bit));
    rig_outb(&x.r, IO, 0x22);
    rig_outb(&x.r, IO + 12, 0x08);
    receive(&x, multi, 60);
    remote(&x, 0x0a, 0x4a00, 4);
    EXPECT_EQ(rig_inl(&x.r, DATA), 64u << 16 | 0x4b21);
    // Fill the ring: the next frame waits on the cable, and so do those behind it until 48 KiB do.
    rig_outb(&x.r, IO + 12, 0x10);
    rig_outb(&x.r, IO + 7, 0xff);
    for (unsigned i = 0; i < 60 && !(rig_inb(&x.r, IO + 7) & 0x10); i++) {
        receive(&x, other, 1500);
        EXPECT_EQ(atomic_load(&x.net.busy), 0); // no back end posted it
    }
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 0x11);
    rig_outb(&x.r, IO, 0x62);
    uint8_t curr = rig_inb(&x.r, IO + 7);
    rig_outb(&x.r, IO, 0x22);
    EXPECT_EQ(curr, 0x4b + 8 * 6);
    EXPECT_EQ(rig_inb(&x.r, IO + 15), 1);
    EXPECT_EQ(rig_inb(&x.r, IO + 15), 0); // cleared by reading
    // Room again: it goes on round the end of the ring.
    rig_reload(&x.r);
    rig_outb(&x.r, IO + 3, 0x52);
    rig_run(&x.r, 2 * VTIME_MS);
    rig_reload(&x.r);
    rig_outb(&x.r, IO, 0x62);
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 0x4d);
    rig_fini(&x.r);
}

TEST(ne2000_loopback_leaves_the_crc_in_the_fifo)
{
    struct ne x;
    setup(&x);
    remote(&x, 0x12, 0x4000, 60);
    for (unsigned i = 0; i < 15; i++) {
        rig_outl(&x.r, DATA, 0);
    }
    rig_outb(&x.r, IO + 13, 0x02);
    rig_outb(&x.r, IO + 4, 0x40);
    rig_outb(&x.r, IO + 5, 60);
    rig_outb(&x.r, IO + 6, 0);
    rig_outb(&x.r, IO, 0x26);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(x.nsent, 0);
    EXPECT_EQ(rig_inb(&x.r, IO + 4), 0x53);
    // 64 bytes: count low, high, high, the last byte, four of CRC of 60 zeros (04128908h).
    static const uint8_t want[8] = {64, 0, 0, 0, 0x08, 0x89, 0x12, 0x04};
    for (unsigned i = 0; i < 8; i++) {
        EXPECT_EQ(rig_inb(&x.r, IO + 6), want[i]);
    }
    rig_fini(&x.r);
}

TEST(ne2000_isa_shares_the_core)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, &ne2k_isa_class, "ne", "iobase=0x320,irq=10,mac=02:00:00:00:00:07");
    struct probe *p = (struct probe *)rig_add(&r, &probe_class, "p", "");
    rig_wire(&r, "ne.isa10", "p.in0");
    rig_reset(&r, RESET_COLD);
    rig_outb(&r, 0x32e, 0x49);
    rig_outb(&r, 0x32a, 4); // four bytes of PROM, by words
    rig_outb(&r, 0x32f, 0x40);
    rig_outb(&r, 0x320, 0x0a);
    EXPECT_EQ(rig_inw(&r, 0x330), 0x0202);
    EXPECT(!dev_pin_in(&p->dev, 0));
    EXPECT_EQ(rig_inw(&r, 0x330), 0);
    EXPECT(dev_pin_in(&p->dev, 0));
    rig_reload(&r);
    rig_fini(&r);
}

static uint8_t page(struct ne *x, unsigned n, unsigned reg)
{
    rig_outb(&x->r, IO, (uint8_t)(n << 6 | 0x22));
    uint8_t v = rig_inb(&x->r, (uint16_t)(IO + reg));
    rig_outb(&x->r, IO, 0x22);
    return v;
}

// Register assignments of the datasheet's section 10: what pages 0, 1 and 2 give back.
TEST(ne2000_register_pages)
{
    struct ne x;
    static const uint8_t mine[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    setup(&x);
    EXPECT_EQ(page(&x, 0, 3), 0x46); // BNRY
    for (unsigned i = 0; i < 6; i++) {
        EXPECT_EQ(page(&x, 1, 1 + i), mine[i]);
    }
    EXPECT_EQ(page(&x, 1, 7), 0x47); // CURR
    for (unsigned i = 0; i < 8; i++) {
        rig_outb(&x.r, IO, 0x62);
        rig_outb(&x.r, (uint16_t)(IO + 8 + i), (uint8_t)(0x11 * i));
        EXPECT_EQ(page(&x, 1, 8 + i), 0x11 * i);
    }
    EXPECT_EQ(page(&x, 2, 1), 0x46); // PSTART
    EXPECT_EQ(page(&x, 2, 2), 0x80); // PSTOP
    rig_outb(&x.r, IO + 4, 0x40);
    EXPECT_EQ(page(&x, 2, 4), 0x40);         // TPSR
    EXPECT_EQ(page(&x, 2, 12) & 0x3f, 0x04); // RCR
    EXPECT_EQ(page(&x, 2, 13) & 0x1f, 0x00); // TCR
    EXPECT_EQ(page(&x, 2, 14) & 0x7f, 0x49); // DCR
    EXPECT_EQ(page(&x, 2, 15) & 0x7f, 0x7f); // IMR
    // The RTL8029's mark; the remote address as it moves.
    EXPECT(page(&x, 0, 10) == 0x50 && page(&x, 0, 11) == 0x43);
    remote(&x, 0x0a, 0x4123, 6);
    rig_inw(&x.r, DATA);
    EXPECT_EQ(rig_inb(&x.r, IO + 8) | rig_inb(&x.r, IO + 9) << 8, 0x4125);
    // After a frame: where local DMA ended, and the receive status.
    receive(&x, mine, 60);
    EXPECT_EQ(page(&x, 0, 1) | page(&x, 0, 2) << 8, 0x4744);
    EXPECT_EQ(page(&x, 0, 12), 0x01);
    rig_fini(&x.r);
}

// "Send packet": remote DMA reads the frame at BNRY, then BNRY is the next one (section 7.2).
TEST(ne2000_send_packet_and_monitor)
{
    struct ne x;
    static const uint8_t mine[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    setup(&x);
    receive(&x, mine, 60);
    rig_outb(&x.r, IO + 3, 0x47);
    rig_outb(&x.r, IO + 7, 0x7f);
    rig_outb(&x.r, IO, 0x1a);
    EXPECT_EQ(rig_inl(&x.r, DATA), 64u << 16 | 0x4801);
    rig_reload(&x.r);
    for (unsigned i = 4; i < 64; i += 4) {
        EXPECT_EQ(rig_inb(&x.r, IO + 7) & 0x40, 0);
        rig_inl(&x.r, DATA);
    }
    EXPECT_EQ(rig_inb(&x.r, IO + 7) & 0x40, 0x40); // 64 bytes and no more
    EXPECT_EQ(rig_inb(&x.r, IO + 3), 0x48);
    EXPECT_EQ(rig_inw(&x.r, DATA), 0xffff);
    // Monitor mode counts and stores nothing; the counter's upper half interrupts.
    rig_outb(&x.r, IO, 0x22);
    rig_outb(&x.r, IO + 12, 0x20);
    rig_outb(&x.r, IO + 7, 0x7f);
    for (unsigned i = 0; i < 127; i++) {
        receive(&x, mine, 60);
    }
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 0);
    EXPECT_EQ(rig_inb(&x.r, IO + 12) & 0x60, 0x40); // receiver disabled
    receive(&x, mine, 60);
    EXPECT_EQ(rig_inb(&x.r, IO + 7), 0x20);
    EXPECT_EQ(rig_inb(&x.r, IO + 15), 128);
    EXPECT_EQ(page(&x, 1, 7), 0x48);
    rig_fini(&x.r);
}
