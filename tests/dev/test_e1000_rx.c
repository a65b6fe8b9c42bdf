// The 82540EM's receive ring: filters, buffers, interrupts, what waits and what is lost.

#include <string.h>

#include "tests/dev/e1000_bench.h"
#include "util/bits.h"

static const uint8_t mine[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t other[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x57};
static const uint8_t multi[6] = {1, 0, 0x5e, 0, 0, 1};
static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};

static uint8_t frame[16384];

static const uint8_t *make(const uint8_t *dst, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 5 + (i >> 8));
    }
    memcpy(frame, dst, 6);
    memcpy(frame + 12, "\x08\x06", 2);
    return frame;
}

TEST(e1000_receives)
{
    struct nic x;
    uint8_t got[1600];
    nic_init(&x);
    nic_start(&x);
    nic_set(&x, IMS, 0x80);
    rig_post(&x.r, "nic.rx", make(mine, 42), 42);
    rig_run(&x.r, (60 + 24) * 8 - 1);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_reload(&x.r);
    rig_run(&x.r, 1);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(nic_get(&x, ICR), 0x80);
    EXPECT_EQ(nic_rx_desc(&x, 0) & 0xffffff0000ffff, 0x07ull << 32 | 60); // DD, EOP, IXSM
    EXPECT_EQ(nic_get(&x, RDH), 1);
    aspace_read_buf(&x.r.mem, RX_BUF, got, 60);
    EXPECT_MEM(got, frame, 42);
    EXPECT_EQ(got[59], 0);
    // With the FCS.
    nic_set(&x, RCTL, 0x00008002);
    nic_receive(&x, make(all, 100), 100);
    EXPECT_EQ(nic_rx_desc(&x, 1) & 0xffff, 104);
    EXPECT_EQ(aspace_read(&x.r.mem, RX_BUF + 0x1000 + 100, 4), net_fcs(frame, 100));
    // Buffers of 256 bytes: three for one frame, whose last has EOP.
    nic_set(&x, RCTL, 0x04038002);
    nic_receive(&x, make(mine, 600), 600);
    EXPECT_EQ(nic_rx_desc(&x, 2) & 0xff0000ffff, 0x01ull << 32 | 256);
    EXPECT_EQ(nic_rx_desc(&x, 3) & 0xff0000ffff, 0x01ull << 32 | 256);
    EXPECT_EQ(nic_rx_desc(&x, 4) & 0xff0000ffff, 0x07ull << 32 | 88);
    EXPECT_EQ(aspace_read(&x.r.mem, RX_BUF + 0x4000 + 87, 1), frame[599]);
    // A buffer at address 0 is given back as it is.
    aspace_write(&x.r.mem, RX_RING + 16 * 5, 8, 0);
    nic_receive(&x, make(mine, 200), 200);
    EXPECT_EQ(nic_rx_desc(&x, 5) & 0xff0000ffff, 0x01ull << 32);
    EXPECT_EQ(nic_rx_desc(&x, 6) & 0xff0000ffff, 0x07ull << 32 | 200);
    EXPECT_EQ(nic_get(&x, 0x4074), 4);
    EXPECT_EQ(nic_get(&x, 0x4078), 1);
    EXPECT_EQ(nic_get(&x, 0x4088), 64 + 104 + 604 + 204);
    nic_fini(&x);
}

TEST(e1000_long_frames)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    nic_receive(&x, make(mine, 1518), 1518); // 1522 with FCS
    EXPECT_EQ(nic_get(&x, RDH), 1);
    nic_receive(&x, make(mine, 1519), 1519);
    EXPECT_EQ(nic_get(&x, RDH), 1);
    EXPECT_EQ(nic_get(&x, 0x40ac), 1); // ROC
    nic_set(&x, RCTL, 0x06028022);     // LPE, 8192 bytes
    nic_receive(&x, make(mine, 9000), 9000);
    EXPECT_EQ(nic_get(&x, RDH), 3);
    EXPECT_EQ(nic_rx_desc(&x, 1) & 0xffff, 8192);
    EXPECT_EQ(nic_rx_desc(&x, 2) & 0xffff, 808);
    nic_fini(&x);
}

TEST(e1000_filters)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    static const struct {
        const uint8_t *to;
        uint32_t rctl, pif;
        bool taken;
    } rows[] = {
        {mine, 0, 0, true},     {other, 0, 0, false},      {other, 0x08, 0x80, true},
        {multi, 0, 0, false},   {multi, 0x10, 0x80, true}, {all, 0, 0, false},
        {all, 0x8000, 0, true},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        t_context("row %u", i);
        nic_set(&x, RDH, 0);
        nic_set(&x, RCTL, 0x04000002 | rows[i].rctl);
        nic_receive(&x, make(rows[i].to, 60), 60);
        EXPECT_EQ(nic_get(&x, RDH), rows[i].taken);
        if (rows[i].taken) {
            EXPECT_EQ(nic_rx_desc(&x, 0) >> 32 & 0x80, rows[i].pif);
        }
    }
    // Another address; and the multicast hash at each of its offsets: 01:00:5e:00:00:01 has
    // 0x0100 in its last bytes.
    nic_set(&x, RCTL, 0x04000002);
    nic_set(&x, 0x5478, 0x12005452);
    nic_set(&x, 0x547c, 0x80005734);
    nic_set(&x, RDH, 0);
    nic_receive(&x, make(other, 60), 60);
    EXPECT_EQ(nic_get(&x, RDH), 1);
    static const uint16_t hash[4] = {0x010, 0x020, 0x040, 0x100};
    for (unsigned mo = 0; mo < 4; mo++) {
        t_context("MO %u", mo);
        nic_set(&x, RDH, 0);
        nic_set(&x, RCTL, 0x04000002 | mo << 12);
        nic_receive(&x, make(multi, 60), 60);
        EXPECT_EQ(nic_get(&x, RDH), 0);
        nic_set(&x, MTA + hash[mo] / 32 * 4, 1u << (hash[mo] % 32));
        nic_receive(&x, make(multi, 60), 60);
        EXPECT_EQ(nic_get(&x, RDH), 1);
        nic_set(&x, MTA + hash[mo] / 32 * 4, 0);
    }
    nic_fini(&x);
}

TEST(e1000_vlans)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    make(mine, 100);
    memcpy(frame + 12, "\x81\x00\x60\x85\x08\x06", 6); // priority 3, VLAN 085h
    nic_set(&x, RCTL, 0x04040002);                     // VFE
    nic_receive(&x, frame, 100);
    EXPECT_EQ(nic_get(&x, RDH), 0);
    nic_set(&x, VFTA + 4 * 4, 1u << 5);
    nic_receive(&x, frame, 100);
    EXPECT_EQ(nic_get(&x, RDH), 1);
    EXPECT_EQ(nic_rx_desc(&x, 0) & 0xffff, 100); // not stripped
    EXPECT_EQ(nic_rx_desc(&x, 0) >> 32 & 8, 0);
    nic_set(&x, CTRL, 0x241 | 1u << 30);
    nic_receive(&x, frame, 100);
    EXPECT_EQ(nic_rx_desc(&x, 1) & 0xffff, 96);
    EXPECT_EQ(nic_rx_desc(&x, 1) >> 32 & 8, 8);
    EXPECT_EQ(nic_rx_desc(&x, 1) >> 48, 0x6085);
    EXPECT_EQ(aspace_read(&x.r.mem, RX_BUF + 0x1000 + 12, 2), 0x0608);
    nic_receive(&x, make(mine, 60), 60); // one without a tag passes
    EXPECT_EQ(nic_get(&x, RDH), 3);
    nic_fini(&x);
}

TEST(e1000_checks_checksums)
{
    struct nic x;
    // UDP from 10.0.2.2 to 10.0.2.15 with eight bytes; both sums right.
    static const uint8_t good[] = {
        0x52, 0x54, 0,    0x12, 0x34, 0x56, 2,    0,    0,    0,   0,   2,   8,   0,   0x45, 0,  0,
        36,   0,    1,    0,    0,    64,   17,   0x62, 0xb8, 10,  0,   2,   2,   10,  0,    2,  15,
        0x30, 0x39, 0x00, 0x35, 0,    16,   0x5b, 0xe2, 'd',  'o', 'p', 'p', 'e', 'l', '!',  '!'};
    nic_init(&x);
    nic_start(&x);
    static const struct {
        uint32_t rxcsum, at; // a byte to spoil
        uint8_t status, errors;
    } rows[] = {
        {0x300, 0, 0x63, 0},     {0x300, 24, 0x63, 0x40}, {0x300, 43, 0x63, 0x20},
        {0x100, 43, 0x43, 0},    {0x200, 24, 0x23, 0},    {0, 24, 0x07, 0},
        {0x300, 20, 0x43, 0x40}, // a fragment: UDP is not looked at
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t f[60] = {0};
        t_context("row %u", i);
        memcpy(f, good, sizeof good);
        f[rows[i].at] ^= rows[i].at ? 0x20 : 0;
        nic_set(&x, RDH, 0);
        nic_set(&x, RXCSUM, rows[i].rxcsum);
        nic_receive(&x, f, 60);
        EXPECT_EQ(nic_rx_desc(&x, 0) >> 32 & 0xff, rows[i].status);
        EXPECT_EQ(nic_rx_desc(&x, 0) >> 40 & 0xff, rows[i].errors);
    }
    // A UDP checksum of 0 is none; the packet checksum starts where PCSS says.
    uint8_t f[60] = {0};
    memcpy(f, good, sizeof good);
    f[40] = f[41] = 0;
    nic_set(&x, RDH, 0);
    nic_set(&x, RXCSUM, 0x300 | 56);
    f[56] = 0x12;
    f[57] = 0x34;
    nic_receive(&x, f, 60);
    EXPECT_EQ(nic_rx_desc(&x, 0) >> 32 & 0xff, 0x43);
    EXPECT_EQ(nic_rx_desc(&x, 0) >> 16 & 0xffff, 0xedcb);
    nic_fini(&x);
}

// UDP over IPv6 from fec0::2 to fec0::f, and over IPv4 behind a VLAN tag that is left in.
TEST(e1000_checks_checksums_of_ipv6_and_behind_tags)
{
    struct nic x;
    static const uint8_t v6[56] = {
        0x60, 0,    0, 0,  0,    16,   17,  64,  0xfe, 0xc0, 0,    0,    0,    0,
        0,    0,    0, 0,  0,    0,    0,   0,   0,    2,    0xfe, 0xc0, 0,    0,
        0,    0,    0, 0,  0,    0,    0,   0,   0,    0,    0,    15,   0x30, 0x39,
        0,    0x35, 0, 16, 0x76, 0x60, 'd', 'o', 'p',  'p',  'e',  'l',  '!',  '!'};
    static const uint8_t v4[36] = {0x45, 0,  0,    36,   0,   1,   0,   0,   64,   17,   0x62, 0xb8,
                                   10,   0,  2,    2,    10,  0,   2,   15,  0x30, 0x39, 0,    0x35,
                                   0,    16, 0x5b, 0xe2, 'd', 'o', 'p', 'p', 'e',  'l',  '!',  '!'};
    static const struct {
        bool v6;
        uint32_t rxcsum, at; // a byte of the packet to spoil
        uint8_t status, errors;
    } rows[] = {
        {true, 0x200, 0, 0x23, 0},   {true, 0x200, 23, 0x23, 0x20},  {true, 0x200, 50, 0x23, 0x20},
        {true, 0x100, 50, 0x03, 0},  {true, 0x200, 6, 0x03, 0},      {true, 0x200, 4, 0x03, 0},
        {false, 0x300, 0, 0x63, 0},  {false, 0x300, 10, 0x63, 0x40}, {false, 0x300, 30, 0x63, 0x20},
        {false, 0x100, 30, 0x43, 0},
    };
    nic_init(&x);
    nic_start(&x);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t f[80] = {0};
        unsigned at = rows[i].v6 ? 14 : 18;
        t_context("row %u", i);
        memcpy(f, mine, 6);
        memcpy(f + 12, rows[i].v6 ? "\x86\xdd\0\0\0\0" : "\x81\0\x20\x07\x08\0", 6);
        memcpy(f + at, rows[i].v6 ? v6 : v4, rows[i].v6 ? sizeof v6 : sizeof v4);
        f[at + rows[i].at] ^= rows[i].at ? 0x20 : 0;
        nic_set(&x, RDH, 0);
        nic_set(&x, RXCSUM, rows[i].rxcsum);
        nic_receive(&x, f, 80);
        EXPECT_EQ(nic_rx_desc(&x, 0) & 0xffff, 80);
        EXPECT_EQ(nic_rx_desc(&x, 0) >> 32 & 0xff, rows[i].status);
        EXPECT_EQ(nic_rx_desc(&x, 0) >> 40 & 0xff, rows[i].errors);
    }
    nic_fini(&x);
}

// PAUSE frames of 802.3x: kept from the ring by RCTL.DPF, and only these.
TEST(e1000_discards_pause_frames)
{
    static const uint8_t to[6] = {0x01, 0x80, 0xc2, 0, 0, 1};
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    for (unsigned dpf = 0; dpf < 2; dpf++) {
        nic_set(&x, RDH, 0);
        nic_set(&x, RCTL, 0x04000012 | dpf << 22); // MPE
        make(to, 60);
        nic_receive(&x, frame, 60); // ARP to that address
        EXPECT_EQ(nic_get(&x, RDH), 1);
        memcpy(frame + 12, "\x88\x08\0\x01", 4);
        nic_receive(&x, frame, 60);
        EXPECT_EQ(nic_get(&x, RDH), dpf ? 1 : 2);
        memcpy(frame, mine, 6);
        nic_receive(&x, frame, 60);
        EXPECT_EQ(nic_get(&x, RDH), dpf ? 2 : 3);
    }
    nic_fini(&x);
}

TEST(e1000_small_packets_are_told)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    nic_set(&x, RDTR, 100);
    nic_receive(&x, make(mine, 60), 60);
    EXPECT_EQ(nic_get(&x, ICR) & 0x10000, 0); // 0: off
    nic_set(&x, RSRPD, 200);
    nic_receive(&x, make(mine, 196), 196); // 200 with FCS
    EXPECT_EQ(nic_get(&x, ICR) & 0x10000, 0x10000);
    nic_receive(&x, make(mine, 197), 197);
    EXPECT_EQ(nic_get(&x, ICR) & 0x10000, 0);
    nic_fini(&x);
}

TEST(e1000_receive_interrupts_are_moderated)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    nic_set(&x, RDTR, 10);
    nic_set(&x, RADV, 25);
    nic_receive(&x, make(mine, 60), 60);
    rig_run(&x.r, 10 * 1024 - 1);
    EXPECT_EQ(nic_get(&x, ICR), 0);
    rig_run(&x.r, 1);
    EXPECT_EQ(nic_get(&x, ICR), 0x80);
    for (unsigned i = 0; i < 4; i++) {
        nic_receive(&x, make(mine, 60), 60);
        rig_run(&x.r, 8 * 1024 - 672);
        EXPECT_EQ(nic_get(&x, ICR) & 0x80, i == 3 ? 0x80 : 0);
        rig_reload(&x.r);
        nic_set(&x, RDT, i);
    }
    // Half of eight are left: RXDMT0, once.
    nic_set(&x, RDTR, 0);
    nic_set(&x, RDH, 0);
    nic_set(&x, RDT, 6);
    nic_receive(&x, make(mine, 60), 60);
    EXPECT_EQ(nic_get(&x, ICR), 0x80);
    nic_receive(&x, make(mine, 60), 60);
    EXPECT_EQ(nic_get(&x, ICR), 0x90);
    nic_receive(&x, make(mine, 60), 60);
    EXPECT_EQ(nic_get(&x, ICR), 0x80);
    nic_fini(&x);
}

TEST(e1000_holds_frames_until_there_is_room)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    nic_set(&x, RDT, 2);
    for (unsigned i = 0; i < 5; i++) {
        make(mine, 1000);
        frame[20] = (uint8_t)i;
        nic_receive(&x, frame, 1000);
    }
    EXPECT_EQ(nic_get(&x, RDH), 2);
    EXPECT_EQ(nic_get(&x, 0x40a0), 1); // RNBC
    EXPECT_EQ(nic_get(&x, ICR) & 0x40, 0);
    rig_reload(&x.r);
    nic_set(&x, RDT, 7);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(nic_get(&x, RDH), 5);
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_EQ(aspace_read(&x.r.mem, RX_BUF + 0x1000 * i + 20, 1), i);
    }
    // 48 KiB of them; then they are lost.
    nic_set(&x, RDT, 5);
    for (unsigned i = 0; i < 50; i++) {
        nic_receive(&x, make(mine, 1000), 1000);
    }
    EXPECT_EQ(nic_get(&x, 0x4010), 1); // MPC: 49 fit
    EXPECT_EQ(nic_get(&x, ICR) & 0x40, 0x40);
    // Disabled, it forgets them.
    nic_set(&x, RCTL, 0);
    rig_run(&x.r, VTIME_MS);
    nic_set(&x, RCTL, 0x04008002);
    nic_set(&x, RDT, 4);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(nic_get(&x, RDH), 5);
    nic_fini(&x);
}

TEST(e1000_loopback)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    aspace_write_buf(&x.r.mem, TX_BUF, make(mine, 300), 300);
    for (unsigned how = 0; how < 2; how++) {
        nic_set(&x, RCTL, 0x04008002 | (how ? 0 : 0xc0));
        nic_phy_set(&x, 0, how ? 0x4140 : 0x1140);
        nic_tx_desc(&x, how, TX_BUF, 300u | 1u << 24, 0);
        nic_set(&x, TDT, how + 1);
        rig_run(&x.r, VTIME_MS);
        EXPECT_EQ(x.nsent, 0);
        EXPECT_EQ(nic_rx_desc(&x, how) & 0xffff, 300);
    }
    // Less than a header, not padded (TCTL.PSP): a runt.
    nic_set(&x, TCTL, 0x02);
    nic_tx_desc(&x, 2, TX_BUF, 10u | 1u << 24, 0);
    nic_set(&x, TDT, 3);
    rig_run(&x.r, VTIME_MS);
    EXPECT_EQ(nic_get(&x, RDH), 2);
    EXPECT_EQ(nic_get(&x, 0x40a4), 1); // RUC
    nic_fini(&x);
}

// The ring in the card's own registers: DMA that resets the card in the middle of a frame.
TEST(e1000_survives_a_ring_in_its_registers)
{
    struct nic x;
    nic_init(&x);
    nic_start(&x);
    make(mine, 60);
    memcpy(frame + 12, "\x00\x00\x00\x04", 4); // CTRL.RST where the buffer lies on CTRL
    aspace_write(&x.r.mem, RX_RING, 8, NIC_BAR - 12);
    nic_receive(&x, frame, 60);
    EXPECT_EQ(nic_get(&x, RDLEN), 0);
    nic_start(&x);
    nic_set(&x, RDBAL, NIC_BAR + 0x2800);
    for (unsigned i = 0; i < 20; i++) {
        nic_receive(&x, make(all, 1500), 1500);
    }
    nic_set(&x, CTRL, 1u << 26);
    nic_start(&x);
    nic_receive(&x, make(all, 60), 60);
    EXPECT_EQ(nic_get(&x, RDH), 1);
    nic_fini(&x);
}
