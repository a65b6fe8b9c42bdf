// The 82540EM's transmit ring: descriptors, time on the cable, checksums, segments, tags.

#include <string.h>

#include "tests/dev/e1000_bench.h"
#include "util/bits.h"

enum { EOP = 1u << 24, IFCS = 2u << 24, IC = 4u << 24, TSE = 4u << 24, RS = 8u << 24 };
enum { DEXT = 0x20u << 24, VLE = 0x40u << 24, DATA = DEXT | 1u << 20 };
#define IDE (0x80u << 24)

static const uint8_t head[14] = {0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0};

// The Internet checksum, by the book and not by the card's code.
static uint16_t sum16(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)(sum + (sum >> 16));
}

static void put(struct nic *x, uint32_t at, const void *data, size_t len)
{
    aspace_write_buf(&x->r.mem, at, data, len);
}

TEST(e1000_sends_at_line_speed)
{
    struct nic x;
    uint8_t f[1514];
    nic_init(&x);
    nic_start(&x);
    nic_set(&x, IMS, 1);
    for (unsigned i = 0; i < sizeof f; i++) {
        f[i] = (uint8_t)(i * 7);
    }
    memcpy(f, head, sizeof head);
    put(&x, TX_BUF, f, sizeof f);
    // A short one; then one from three buffers, of which one is empty.
    nic_tx_desc(&x, 0, TX_BUF, 40 | EOP | IFCS | RS, 0);
    nic_tx_desc(&x, 1, TX_BUF, 1000 | IFCS, 0);
    nic_tx_desc(&x, 2, 0, 77 | RS, 0);
    nic_tx_desc(&x, 3, TX_BUF + 1000, 514 | EOP | IFCS, 0);
    vtime t0 = clock_now(&x.r.clock);
    nic_set(&x, TDT, 4);
    rig_run(&x.r, 0);
    EXPECT_EQ(x.nsent, 0);
    EXPECT_EQ(nic_get(&x, TDH), 1);
    EXPECT_EQ(nic_tx_status(&x, 0), 1);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(nic_get(&x, ICR), 1);
    rig_run(&x.r, (60 + 24) * 8 - 1);
    EXPECT_EQ(x.nsent, 0);
    rig_reload(&x.r);
    rig_run(&x.r, 1);
    EXPECT(x.nsent == 1 && x.len[0] == 60 && memcmp(x.sent[0], f, 40) == 0);
    EXPECT_EQ(x.sent[0][40], 0); // padded (PSP)
    EXPECT_EQ(nic_get(&x, TDH), 4);
    EXPECT_EQ(nic_tx_status(&x, 2), 1);
    EXPECT_EQ(nic_tx_status(&x, 1) | nic_tx_status(&x, 3), 0); // no RS
    EXPECT_EQ(nic_get(&x, ICR), 3);                            // TXQE too
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(x.nsent, 2);
    EXPECT_EQ(x.when[1] - t0, (60 + 24 + 1514 + 24) * 8);
    EXPECT_EQ(x.len[1], 1514);
    EXPECT_MEM(x.sent[1], f, 1514);
    // Statistics, cleared when read; octets by the upper half.
    EXPECT_EQ(nic_get(&x, 0x40d4), 2);
    EXPECT_EQ(nic_get(&x, 0x40d4), 0);
    EXPECT_EQ(nic_get(&x, 0x40d8), 1); // PTC64
    EXPECT_EQ(nic_get(&x, 0x40ec), 1); // PTC1522
    EXPECT_EQ(nic_get(&x, 0x4090), 64 + 1518);
    EXPECT_EQ(nic_get(&x, 0x4090), 64 + 1518);
    EXPECT_EQ(nic_get(&x, 0x4094), 0);
    EXPECT_EQ(nic_get(&x, 0x4090), 0);
    nic_fini(&x);
}

TEST(e1000_transmit_interrupts_are_moderated)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    nic_set(&x, TIDV, 10);
    nic_set(&x, TADV, 25);
    for (unsigned i = 0; i < 7; i++) {
        nic_tx_desc(&x, i, TX_BUF, 60 | EOP | RS | IDE, 0);
    }
    vtime t0 = clock_now(&x.r.clock);
    nic_set(&x, TDT, 1);
    rig_run(&x.r, 10 * 1024 - 1);
    EXPECT_EQ(nic_get(&x, ICR), 2); // TXQE
    rig_run(&x.r, 1);
    EXPECT_EQ(nic_get(&x, ICR), 1);
    // Each descriptor starts TIDV again; TADV from the first ends it.
    t0 = clock_now(&x.r.clock);
    for (unsigned i = 2; i < 6; i++) {
        nic_set(&x, TDT, i);
        rig_run(&x.r, 8 * 1024);
        nic_set(&x, ICR, 2);
        EXPECT_EQ(nic_get(&x, ICR), i == 5 ? 1 : 0);
        rig_reload(&x.r);
    }
    EXPECT_EQ(clock_now(&x.r.clock) - t0, 32 * 1024);
    // FPD ends it at once; without IDE there is no delay.
    nic_set(&x, TDT, 6);
    rig_run(&x.r, 1000);
    nic_set(&x, TIDV, 1u << 31 | 10);
    rig_run(&x.r, 0);
    EXPECT_EQ(nic_get(&x, ICR), 3);
    nic_fini(&x);
}

TEST(e1000_inserts_checksums_and_tags)
{
    struct nic x;
    uint8_t f[100];
    nic_init(&x);
    nic_start(&x);
    for (unsigned i = 0; i < sizeof f; i++) {
        f[i] = (uint8_t)(i * 31 + 5);
    }
    memcpy(f, head, sizeof head);
    f[50] = f[51] = 0;
    put(&x, TX_BUF, f, sizeof f);
    // Legacy: from byte 20 to the end, at 50; with a tag, which is not summed.
    nic_set(&x, CTRL, 0x241 | 1u << 30);
    nic_tx_desc(&x, 0, TX_BUF, 100 | 50u << 16 | EOP | IC | VLE, 0xe123u << 16 | 20u << 8);
    // A context: IP 14..33 at 24, UDP from 34 at 40.
    nic_tx_desc(&x, 1, 0, DEXT | RS, 0);
    aspace_write(&x.r.mem, TX_RING + 16, 8, 14 | 24u << 8 | 33u << 16 | (34ull | 40u << 8) << 32);
    nic_tx_desc(&x, 2, TX_BUF, 100 | DATA | EOP, 3u << 8);
    // The same without asking for any.
    nic_tx_desc(&x, 3, TX_BUF, 100 | DATA | EOP, 0);
    nic_set(&x, TDT, 4);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(x.nsent, 3);
    EXPECT_EQ(nic_tx_status(&x, 1), 1);
    EXPECT_EQ(x.len[0], 104);
    static const uint8_t tag[4] = {0x81, 0, 0xe1, 0x23};
    EXPECT_MEM(x.sent[0], f, 12);
    EXPECT_MEM(x.sent[0] + 12, tag, 4);
    EXPECT_EQ(sum16(0, x.sent[0] + 24, 80), 0xffff);
    EXPECT_EQ(x.len[1], 100);
    // What was in the field counts: it holds the sum of the pseudo header.
    uint16_t ip = (uint16_t)~sum16(0, f + 14, 20), udp = (uint16_t)~sum16(0, f + 34, 66);
    EXPECT_EQ(be16_get(x.sent[1] + 24), ip);
    EXPECT_EQ(be16_get(x.sent[1] + 40), (uint16_t)~sum16(0, f + 34, 66));
    memcpy(f + 24, x.sent[1] + 24, 2);
    f[40] = (uint8_t)(udp >> 8);
    f[41] = (uint8_t)udp;
    EXPECT_MEM(x.sent[1], f, 100);
    EXPECT_EQ(x.sent[2][24], (uint8_t)(24 * 31 + 5));
    nic_fini(&x);
}

// 3000 bytes of TCP in segments of 1200, from two descriptors that do not end where segments do.
TEST(e1000_segments_tcp)
{
    struct nic x;
    uint8_t f[54 + 3000];
    static const uint8_t ip[20] = {0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15};
    static const uint8_t tcp[20] = {0x9c, 0x40, 0, 80, 0x10, 0x20, 0xff, 0xf0,
                                    0,    0,    0, 1,  80,   0x19, 0xff, 0xff};
    nic_init(&x);
    nic_start(&x);
    for (unsigned i = 0; i < sizeof f; i++) {
        f[i] = (uint8_t)(i * 3 + (i >> 8));
    }
    memcpy(f, head, 14);
    memcpy(f + 14, ip, 20);
    memcpy(f + 30, "\x0a\x00\x02\x02", 4);
    memcpy(f + 34, tcp, 20);
    uint8_t pseudo[12] = {10, 0, 2, 15, 10, 0, 2, 2, 0, 6};
    uint16_t partial = sum16(0, pseudo, 10); // without the length
    f[50] = (uint8_t)(partial >> 8);
    f[51] = (uint8_t)partial;
    put(&x, TX_BUF, f, sizeof f);
    nic_tx_desc(&x, 0, 0, DEXT | TSE | 3u << 24 | 3000, 54u << 8 | 1200u << 16);
    aspace_write(&x.r.mem, TX_RING, 8, 14 | 24u << 8 | 33u << 16 | (34ull | 50u << 8) << 32);
    nic_tx_desc(&x, 1, TX_BUF, 1700 | DATA | TSE, 3u << 8);
    nic_tx_desc(&x, 2, TX_BUF + 1700, 1354 | DATA | TSE | EOP | RS, 3u << 8);
    nic_set(&x, TDT, 3);
    rig_run(&x.r, 1254 * 8 + 100);
    EXPECT_EQ(x.nsent, 0);
    rig_reload(&x.r); // a descriptor half used
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(x.nsent, 3);
    EXPECT_EQ(nic_get(&x, TDH), 3);
    EXPECT_EQ(nic_tx_status(&x, 2), 1);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *s = x.sent[i];
        unsigned n = i < 2 ? 1200 : 600;
        t_context("segment %u", i);
        EXPECT_EQ(x.len[i], 54 + n);
        EXPECT_EQ(be16_get(s + 16), 40 + n);
        EXPECT_EQ(be16_get(s + 18), 0x1234 + i);
        EXPECT_EQ(be32_get(s + 38), 0x1020fff0 + 1200 * i);
        EXPECT_EQ(s[47], i < 2 ? 0x10 : 0x19);
        EXPECT_EQ(sum16(0, s + 14, 20), 0xffff);
        pseudo[10] = (uint8_t)((20 + n) >> 8);
        pseudo[11] = (uint8_t)(20 + n);
        EXPECT_EQ(sum16(sum16(0, pseudo, 12), s + 34, 20 + n), 0xffff);
        EXPECT_MEM(s + 54, f + 54 + 1200 * i, n);
    }
    EXPECT_EQ(x.when[2] - x.when[1], (654 + 24) * 8);
    EXPECT_EQ(nic_get(&x, 0x40f8), 1); // TSCTC
    nic_fini(&x);
}

// Descriptors that no driver writes: each costs bounded work, and the card goes on.
TEST(e1000_survives_hostile_descriptors)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    // A packet that never ends: the ring goes round for as long as TDT asks.
    for (unsigned i = 0; i < 8; i++) {
        nic_tx_desc(&x, i, TX_BUF, 0xffff, 0);
    }
    nic_set(&x, TDT, 0xffff); // outside of the ring: never reached
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(x.nsent, 0);
    rig_reload(&x.r);
    nic_set(&x, TCTL, 0);
    rig_run(&x.r, VTIME_MS);
    nic_set(&x, CTRL, 1u << 26);
    nic_start(&x);
    // Segments of one byte with a header longer than the packet; no segment size at all.
    nic_tx_desc(&x, 0, 0, DEXT | TSE | 1, 200u << 8 | 1u << 16);
    nic_tx_desc(&x, 1, TX_BUF, 210 | DATA | TSE | EOP, 3u << 8);
    nic_tx_desc(&x, 2, 0, DEXT | TSE | 1, 200u << 8);
    nic_tx_desc(&x, 3, TX_BUF, 0xfffff | DATA | TSE | EOP, 3u << 8);
    nic_tx_desc(&x, 4, TX_BUF, 20000 | DATA | EOP, 3u << 8); // too long
    nic_tx_desc(&x, 5, TX_BUF, 0 | EOP, 0);                  // empty
    nic_tx_desc(&x, 6, TX_BUF, 60 | EOP | RS | IC | 255u << 16, 255u << 8);
    nic_set(&x, TDT, 7);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(x.nsent, 11); // ten segments and the last
    EXPECT_EQ(nic_tx_status(&x, 6), 1);
    // Descriptors and data in the card's own registers, and status written to CTRL.
    nic_set(&x, TDBAL, NIC_BAR);
    nic_set(&x, TDT, 3);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(nic_get(&x, STATUS) & 2, 2);
    nic_fini(&x);
}
