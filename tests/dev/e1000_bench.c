#include "tests/dev/e1000_bench.h"

#include <string.h>

static struct nic *self; // the test's only card

static void on_send(struct net *n, const uint8_t *frame, size_t len)
{
    (void)n;
    if (self->nsent < 8 && len <= sizeof self->sent[0]) {
        memcpy(self->sent[self->nsent], frame, len);
        self->len[self->nsent] = len;
        self->when[self->nsent] = clock_now(&self->r.clock);
    }
    self->nsent++;
}

uint32_t nic_cfg(struct nic *x, unsigned reg)
{
    rig_outl(&x->r, 0xcf8, 0x80001800 | reg);
    return rig_inl(&x->r, 0xcfc);
}

void nic_cfg_set(struct nic *x, unsigned reg, uint32_t val)
{
    rig_outl(&x->r, 0xcf8, 0x80001800 | reg);
    rig_outl(&x->r, 0xcfc, val);
}

void nic_init(struct nic *x)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    struct err e = {""};
    memset(x, 0, sizeof *x);
    self = x;
    memcpy(x->net.mac, mac, 6);
    x->net.send = on_send;
    rig_init(&x->r);
    struct ram *ram = x->r.env.ram_new(x->r.env.ram_ctx, "ram", NIC_RAM);
    aspace_map_ram(&x->r.mem, 0, NIC_RAM, ram, 0, false, "ram", 0);
    rig_add(&x->r, &i440fx_class, "pci0", "");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    struct dev *d = dev_new(&x->r.env, &e1000_class, "nic", &e);
    EXPECT(dev_set(d, "slot", "3", &e) && dev_set_backend(d, "netdev", PROP_NET, &x->net, &e));
    EXPECT(dev_init(d, &e));
    rig_wire(&x->r, "nic.inta", "p.in0");
    rig_reset(&x->r, RESET_COLD);
    nic_cfg_set(x, 0x10, NIC_BAR);
    nic_cfg_set(x, 0x14, NIC_IO);
    nic_cfg_set(x, 0x04, 7);
}

void nic_fini(struct nic *x)
{
    rig_fini(&x->r);
}

uint16_t nic_phy(struct nic *x, unsigned reg)
{
    nic_set(x, MDIC, 2u << 26 | 1u << 21 | reg << 16);
    uint32_t v = nic_get(x, MDIC);
    EXPECT_EQ(v >> 28, 1);
    return (uint16_t)v;
}

void nic_phy_set(struct nic *x, unsigned reg, uint16_t val)
{
    nic_set(x, MDIC, 1u << 26 | 1u << 21 | reg << 16 | val);
}

void nic_ee_send(struct nic *x, uint32_t bits, unsigned n)
{
    while (n--) {
        uint32_t v = 0x42 | (bits >> n & 1) << 2;
        nic_set(x, EECD, v);
        nic_set(x, EECD, v | 1);
    }
}

uint32_t nic_ee_recv(struct nic *x, unsigned n)
{
    uint32_t v = 0;
    while (n--) {
        nic_set(x, EECD, 0x42);
        nic_set(x, EECD, 0x43);
        v = v << 1 | (nic_get(x, EECD) >> 3 & 1);
    }
    return v;
}

void nic_ee_end(struct nic *x)
{
    nic_set(x, EECD, 0x40);
}

void nic_start(struct nic *x)
{
    rig_run(&x->r, 100 * VTIME_MS);
    for (unsigned i = 0; i < 8; i++) {
        aspace_write(&x->r.mem, RX_RING + 16 * i, 8, RX_BUF + 0x1000 * i);
    }
    nic_set(x, RDBAL, RX_RING);
    nic_set(x, RDLEN, 128);
    nic_set(x, RDT, 7);
    nic_set(x, RCTL, 0x04008002); // EN, BAM, SECRC
    nic_set(x, TDBAL, TX_RING);
    nic_set(x, TDLEN, 128);
    nic_set(x, TCTL, 0x0000000a); // EN, PSP
    nic_get(x, ICR);
}

void nic_tx_desc(struct nic *x, unsigned n, uint64_t buf, uint32_t word2, uint32_t word3)
{
    aspace_write(&x->r.mem, TX_RING + 16 * n, 8, buf);
    aspace_write(&x->r.mem, TX_RING + 16 * n + 8, 4, word2);
    aspace_write(&x->r.mem, TX_RING + 16 * n + 12, 4, word3);
}

uint32_t nic_tx_status(struct nic *x, unsigned n)
{
    return (uint32_t)aspace_read(&x->r.mem, TX_RING + 16 * n + 12, 4) & 15;
}

void nic_receive(struct nic *x, const uint8_t *frame, uint32_t len)
{
    rig_post(&x->r, "nic.rx", frame, len);
    rig_run(&x->r, net_port_time(&(struct net_port){.mbps = 1000}, len));
}

uint64_t nic_rx_desc(struct nic *x, unsigned n)
{
    return aspace_read(&x->r.mem, RX_RING + 16 * n + 8, 8);
}
