// Configuration space, BARs, the host bridge, the PIRQ router and power management.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/hw.h"
#include "hw/pci/pci.h"
#include "tests/lib/rig.h"
#include "util/bits.h"

// A function with an I/O and a memory BAR, for the tests of pci.c itself.
#define TOY_STATE(S, V, A, N) N(S, pci_cfg, pci, 1, 1)
ST_DECLARE(toypci_state, TOY_STATE);
ST_DESCRIBE(toypci_state, TOY_STATE, 1);

struct toypci {
    struct dev dev;
    struct toypci_state s;
    struct pci_func pci;
    uint32_t devfn;
    bool rom;
};

static uint64_t toy_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)d;
    (void)size;
    return 0xa0 + off;
}

static void toy_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)d;
    (void)off;
    (void)size;
    (void)val;
}

static const struct io_ops toy_ops = {toy_read, toy_write, 1, 4};
static const struct pci_ident toy_ident = {
    .vendor = 0x1af4, .device = 0x1234, .class_code = 0x020000, .revision = 7, .int_pin = 1};

static bool toy_init(struct dev *d, struct err *e)
{
    struct toypci *t = (struct toypci *)d;
    if (!pci_func_init(&t->pci, d, t->s.pci, &toy_ident, "pci0", (uint8_t)t->devfn, e)) {
        return false;
    }
    pci_bar_io(&t->pci, 0, 32, &toy_ops, "toy-io");
    pci_bar_mem(&t->pci, 1, 0x1000, &toy_ops, "toy-mem");
    return !t->rom || pci_rom_file(&t->pci, "toy.rom", e) || !e->msg[0];
}

static void toy_reset(struct dev *d, enum reset_kind kind)
{
    (void)kind;
    pci_func_reset(&((struct toypci *)d)->pci);
}

static void toy_restored(struct dev *d)
{
    pci_func_restored(&((struct toypci *)d)->pci);
}

static const struct prop toy_props[] = {
    {"devfn", PROP_U32, offsetof(struct toypci, devfn), "0x18", 0, 255, "slot << 3 | function"},
    {"rom", PROP_BOOL, offsetof(struct toypci, rom), "off", 0, 0, "has the file toy.rom"},
    {0},
};

static const struct dev_class toypci_class = {
    .name = "toypci",
    .help = "for this test",
    .size = sizeof(struct toypci),
    .state_off = offsetof(struct toypci, s),
    .state = &toypci_state_desc,
    .props = toy_props,
    .init = toy_init,
    .reset = toy_reset,
    .restored = toy_restored,
};

struct pcirig {
    struct rig r;
    struct probe *p; // in3..in15: ISA interrupts; in0: SCI; in1: SMI; out0..3: PIRQs
};

static void setup(struct pcirig *x)
{
    rig_init(&x->r);
    rig_add(&x->r, &i440fx_class, "pci0", "");
    rig_add(&x->r, &piix3_class, "piix3", "");
    rig_add(&x->r, &piix4_pm_class, "pm", "");
    rig_add(&x->r, &toypci_class, "toy", "");
    x->p = (struct probe *)rig_add(&x->r, &probe_class, "p", "");
    rig_wire(&x->r, "pm.sci", "p.in0");
    rig_wire(&x->r, "pm.smi", "p.in1");
    rig_wire(&x->r, "piix3.irq9", "p.in9");
    rig_wire(&x->r, "piix3.irq10", "p.in10");
    rig_wire(&x->r, "piix3.irq11", "p.in11");
    rig_wire(&x->r, "piix3.irq13", "p.in13");
    rig_wire(&x->r, "p.out0", "piix3.pirqa");
    rig_wire(&x->r, "p.out1", "piix3.pirqb");
    rig_reset(&x->r, RESET_COLD);
}

static uint32_t cfg(struct pcirig *x, unsigned slot, unsigned fn, unsigned reg)
{
    rig_outl(&x->r, 0xcf8, 0x80000000 | slot << 11 | fn << 8 | reg);
    return rig_inl(&x->r, 0xcfc);
}

static void cfg_set(struct pcirig *x, unsigned slot, unsigned fn, unsigned reg, uint32_t val)
{
    rig_outl(&x->r, 0xcf8, 0x80000000 | slot << 11 | fn << 8 | reg);
    rig_outl(&x->r, 0xcfc, val);
}

TEST(pci_enumerate)
{
    struct pcirig x;
    setup(&x);
    EXPECT_EQ(cfg(&x, 0, 0, 0), 0x12378086);
    EXPECT_EQ(cfg(&x, 0, 0, 8), 0x06000002);
    EXPECT_EQ(cfg(&x, 1, 0, 0), 0x70008086);
    EXPECT_EQ(cfg(&x, 1, 0, 0xc) >> 16 & 0xff, 0x80);
    EXPECT_EQ(cfg(&x, 1, 3, 0), 0x71138086);
    EXPECT_EQ(cfg(&x, 3, 0, 0), 0x12341af4);
    EXPECT_EQ(cfg(&x, 3, 0, 8), 0x02000007);
    EXPECT_EQ(cfg(&x, 3, 0, 0x3c) >> 8 & 0xff, 1);
    EXPECT_EQ(cfg(&x, 2, 0, 0), 0xffffffff);
    EXPECT_EQ(cfg(&x, 1, 1, 0), 0xffffffff);
    rig_outl(&x.r, 0xcf8, 0x80010000); // bus 1
    EXPECT_EQ(rig_inl(&x.r, 0xcfc), 0xffffffff);
    rig_outl(&x.r, 0xcf8, 0x00000000); // not enabled
    EXPECT_EQ(rig_inl(&x.r, 0xcfc), 0xffffffff);
    rig_outl(&x.r, 0xcf8, 0x80000000);
    EXPECT_EQ(rig_inl(&x.r, 0xcf8), 0x80000000);
    EXPECT_EQ(rig_inw(&x.r, 0xcfe), 0x1237); // smaller accesses by address
    EXPECT_EQ(rig_inb(&x.r, 0xcfd), 0x80);
    cfg_set(&x, 0, 0, 0, 0); // read-only
    EXPECT_EQ(cfg(&x, 0, 0, 0), 0x12378086);
    rig_reload(&x.r);
    rig_fini(&x.r);
}

TEST(pci_bars)
{
    struct pcirig x;
    setup(&x);
    EXPECT_EQ(cfg(&x, 3, 0, 0x10), 1);
    cfg_set(&x, 3, 0, 0x10, 0xffffffff);
    EXPECT_EQ(cfg(&x, 3, 0, 0x10), 0xffffffe1); // 32 ports
    cfg_set(&x, 3, 0, 0x14, 0xffffffff);
    EXPECT_EQ(cfg(&x, 3, 0, 0x14), 0xfffff000);
    cfg_set(&x, 3, 0, 0x18, 0xffffffff);
    EXPECT_EQ(cfg(&x, 3, 0, 0x18), 0);
    cfg_set(&x, 3, 0, 0x10, 0xc001);
    cfg_set(&x, 3, 0, 0x14, 0xf0000000);
    EXPECT_EQ(rig_inb(&x.r, 0xc003), 0xff); // spaces are off
    cfg_set(&x, 3, 0, 4, 1);
    EXPECT_EQ(rig_inb(&x.r, 0xc003), 0xa3);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0000010, 1), 0xff);
    cfg_set(&x, 3, 0, 4, 3);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0000010, 1), 0xb0);
    cfg_set(&x, 3, 0, 0x10, 0xd001); // moves
    EXPECT_EQ(rig_inb(&x.r, 0xc003), 0xff);
    EXPECT_EQ(rig_inb(&x.r, 0xd003), 0xa3);
    rig_reload(&x.r);
    EXPECT_EQ(rig_inb(&x.r, 0xd003), 0xa3);
    // Sizing while enabled must not cover the machine's ports or memory.
    cfg_set(&x, 3, 0, 0x14, 0xffffffff);
    cfg_set(&x, 3, 0, 0x10, 0xffffffff);
    EXPECT_EQ(rig_inb(&x.r, 0xfff0), 0xff);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xfffff010, 1), 0xff);
    rig_reset(&x.r, RESET_WARM);
    EXPECT_EQ(rig_inb(&x.r, 0xd003), 0xff);
    rig_fini(&x.r);
}

// A function that names no slot gets the first that is free, from 3 on.
TEST(pci_slots_by_themselves)
{
    struct pcirig x;
    setup(&x);
    rig_add(&x.r, &toypci_class, "fifth", "devfn=0x28");
    rig_add(&x.r, &toypci_class, "any0", "devfn=255");
    rig_add(&x.r, &toypci_class, "any1", "devfn=255");
    rig_reset(&x.r, RESET_COLD);
    EXPECT_EQ(cfg(&x, 4, 0, 0), 0x12341af4);
    EXPECT_EQ(cfg(&x, 6, 0, 0), 0x12341af4);
    EXPECT_EQ(cfg(&x, 7, 0, 0), 0xffffffff);
    char name[8];
    for (unsigned i = 7; i < 32; i++) {
        snprintf(name, sizeof name, "toy%u", i);
        rig_add(&x.r, &toypci_class, name, "devfn=255");
    }
    struct err e = {""};
    struct dev *d = dev_new(&x.r.env, &toypci_class, "late", &e);
    EXPECT(dev_set(d, "devfn", "255", &e) && !dev_init(d, &e) && strstr(e.msg, "slot"));
    rig_fini(&x.r);
}

// The file toy.rom: as many bytes as ctx says, 0 for none.
static bool toy_rom(void *ctx, const char *name, uint8_t **data, size_t *len)
{
    *len = *(const size_t *)ctx;
    if (strcmp(name, "toy.rom") != 0 || !*len) {
        return false;
    }
    *data = malloc(*len);
    for (size_t i = 0; *data && i < *len; i++) {
        (*data)[i] = (uint8_t)(i + (i >> 8));
    }
    return *data != NULL;
}

TEST(pci_expansion_rom)
{
    struct pcirig x;
    size_t len = 5000;
    setup(&x);
    x.r.env.rom_file = toy_rom;
    x.r.env.rom_ctx = &len;
    rig_add(&x.r, &toypci_class, "r", "devfn=0x20,rom=on");
    rig_reset(&x.r, RESET_COLD);
    EXPECT_EQ(cfg(&x, 4, 0, 0x30), 0);
    cfg_set(&x, 4, 0, 0x30, 0xffffffff);
    EXPECT_EQ(cfg(&x, 4, 0, 0x30), 0xffffe001); // 8 KiB and the enable bit
    cfg_set(&x, 4, 0, 0x30, 0xf0000000);
    cfg_set(&x, 4, 0, 4, 2);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0000101, 1), 0xff); // needs both enables
    cfg_set(&x, 4, 0, 0x30, 0xf0000001);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0000101, 1), 2);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0001387, 1), 0x9a);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0001388, 1), 0); // behind the file
    aspace_write(&x.r.mem, 0xf0000101, 1, 0x55);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0000101, 1), 2);
    rig_reload(&x.r);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0000101, 1), 2);
    cfg_set(&x, 4, 0, 4, 0);
    EXPECT_EQ(aspace_read(&x.r.mem, 0xf0000101, 1), 0xff);
    // No file: no ROM, and that is no error. One that is too large: said.
    len = 0;
    rig_add(&x.r, &toypci_class, "without", "devfn=0x28,rom=on");
    rig_reset(&x.r, RESET_COLD);
    cfg_set(&x, 5, 0, 0x30, 0xffffffff);
    EXPECT_EQ(cfg(&x, 5, 0, 0x30), 0);
    len = PCI_ROM_MAX + 1;
    struct err e = {""};
    struct dev *d = dev_new(&x.r.env, &toypci_class, "large", &e);
    EXPECT(dev_set(d, "devfn", "0x30", &e) && dev_set(d, "rom", "on", &e));
    EXPECT(!dev_init(d, &e) && strstr(e.msg, "toy.rom: "));
    rig_fini(&x.r);
}

TEST(pci_setup_errors)
{
    struct rig r;
    struct err e = {""};
    rig_init(&r);
    struct dev *d = dev_new(&r.env, &piix3_class, "piix3", &e);
    EXPECT(!dev_init(d, &e) && strstr(e.msg, "pci0"));
    rig_add(&r, &i440fx_class, "pci0", "");
    rig_add(&r, &toypci_class, "a", "");
    d = dev_new(&r.env, &toypci_class, "b", &e);
    EXPECT(!dev_init(d, &e) && strstr(e.msg, "slot 3"));
    d = dev_new(&r.env, &piix4_pm_class, "pm", &e);
    EXPECT(dev_set(d, "pmbase", "0x610", &e) && !dev_init(d, &e));
    rig_fini(&r);
}

TEST(pci_reset_port)
{
    struct pcirig x;
    setup(&x);
    rig_outl(&x.r, 0xcf8, 0x80000000);
    rig_outb(&x.r, 0xcf9, 0x02);
    EXPECT_EQ(x.r.nreq, 0);
    EXPECT_EQ(rig_inb(&x.r, 0xcf9), 0x02);
    rig_outb(&x.r, 0xcf9, 0x06);
    EXPECT(x.r.nreq == 1 && x.r.req == DEV_REQ_RESET);
    EXPECT_EQ(rig_inl(&x.r, 0xcf8), 0x80000000); // untouched by the byte
    rig_wire(&x.r, "pci0.init", "p.in2");
    rig_reset(&x.r, RESET_WARM);
    rig_outb(&x.r, 0xcf9, 0x04); // soft: INIT alone
    EXPECT(x.r.nreq == 1 && x.p->rises[2] == 1 && x.p->falls[2] == 1);
    rig_outb(&x.r, 0xcf9, 0x04); // no edge
    EXPECT_EQ(x.p->rises[2], 1);
    rig_fini(&x.r);
}

struct pam_seen {
    bool rd[13], wr[13];
    bool smram, open;
};

static void on_pam(void *ctx, unsigned segment, bool rd, bool wr)
{
    struct pam_seen *s = ctx;
    s->rd[segment] = rd;
    s->wr[segment] = wr;
}

static void on_smram(void *ctx, bool enabled, bool open)
{
    struct pam_seen *s = ctx;
    s->smram = enabled;
    s->open = open;
}

TEST(i440fx_pam_and_smram)
{
    static const struct i440fx_ops ops = {on_pam, on_smram};
    struct pcirig x;
    struct pam_seen s;
    memset(&s, 1, sizeof s);
    setup(&x);
    i440fx_set_ops(dev_find(&x.r.env, "pci0"), &ops, &s);
    rig_reset(&x.r, RESET_COLD);
    EXPECT(!s.rd[0] && !s.wr[12] && !s.smram && !s.open);
    rig_outl(&x.r, 0xcf8, 0x80000058);
    rig_outb(&x.r, 0xcfd, 0x30); // PAM0: the BIOS segment to RAM
    EXPECT(s.rd[12] && s.wr[12] && !s.rd[0]);
    rig_outb(&x.r, 0xcfe, 0x21); // PAM1: 0xc0000 read, 0xc4000 write
    EXPECT(s.rd[0] && !s.wr[0] && !s.rd[1] && s.wr[1]);
    rig_outl(&x.r, 0xcf8, 0x80000070);
    rig_outb(&x.r, 0xcfe, 0x4a);
    EXPECT(s.smram && s.open);
    memset(&s, 0, sizeof s);
    rig_wire(&x.r, "p.out4", "pci0.smiact0"); // SMIACT# of a CPU: the board is to look again
    dev_pin_set(&x.p->dev, 4, true);
    EXPECT(s.smram && s.open);
    memset(&s, 0, sizeof s);
    rig_reload(&x.r);
    EXPECT(s.smram && s.open && s.rd[12] && s.wr[1]);
    rig_outb(&x.r, 0xcfe, 0x1a); // locked and closed
    EXPECT(s.smram && !s.open);
    rig_outb(&x.r, 0xcfe, 0x4a);
    EXPECT(!s.open);
    rig_reload(&x.r);
    rig_outb(&x.r, 0xcfe, 0x4a);
    EXPECT(!s.open);
    rig_reset(&x.r, RESET_WAKE); // keeps PAM, and the lock
    EXPECT(s.smram && s.rd[12] && s.wr[1]);
    rig_outl(&x.r, 0xcf8, 0x80000070);
    rig_outb(&x.r, 0xcfe, 0x4a);
    EXPECT(!s.open);
    rig_reset(&x.r, RESET_WARM);
    EXPECT(!s.smram && !s.rd[12] && !s.wr[1]);
    rig_outl(&x.r, 0xcf8, 0x80000070);
    rig_outb(&x.r, 0xcfe, 0x4a);
    EXPECT(s.open);
    rig_fini(&x.r);
}

TEST(piix3_routing)
{
    struct pcirig x;
    setup(&x);
    dev_pin_set(&x.p->dev, 0, true);
    EXPECT(!dev_pin_in(&x.p->dev, 10)); // not routed
    cfg_set(&x, 1, 0, 0x60, 0x80800b0a);
    EXPECT(dev_pin_in(&x.p->dev, 10) && !dev_pin_in(&x.p->dev, 11));
    dev_pin_set(&x.p->dev, 1, true);
    EXPECT(dev_pin_in(&x.p->dev, 11));
    cfg_set(&x, 1, 0, 0x60, 0x80800a0a); // both on one
    EXPECT(dev_pin_in(&x.p->dev, 10) && !dev_pin_in(&x.p->dev, 11));
    rig_reload(&x.r);
    dev_pin_set(&x.p->dev, 0, false);
    EXPECT(dev_pin_in(&x.p->dev, 10));
    dev_pin_set(&x.p->dev, 1, false);
    EXPECT(!dev_pin_in(&x.p->dev, 10));
    dev_pin_set(&x.p->dev, 0, true);
    cfg_set(&x, 1, 0, 0x60, 0x8080800d); // 13 cannot be routed to
    EXPECT(!dev_pin_in(&x.p->dev, 13));
    rig_fini(&x.r);
}

static void place_pm(struct pcirig *x)
{
    cfg_set(x, 1, 3, 0x40, 0x601);
    cfg_set(x, 1, 3, 0x80, 1);
}

TEST(piix4_pm_placement_and_timer)
{
    struct pcirig x;
    setup(&x);
    EXPECT_EQ(rig_inl(&x.r, 0x608), 0xffffffff);
    place_pm(&x);
    EXPECT_EQ(cfg(&x, 1, 3, 0x40), 0x601);
    rig_run_to(&x.r, VTIME_SEC);
    EXPECT_EQ(rig_inl(&x.r, 0x608), 3579545);
    rig_run_to(&x.r, 10 * VTIME_SEC);
    EXPECT_EQ(rig_inl(&x.r, 0x608), 35795450 & 0xffffff);
    EXPECT_EQ(rig_inb(&x.r, 0x609), 35795450 >> 8 & 0xff);
    rig_reload(&x.r);
    EXPECT_EQ(rig_inl(&x.r, 0x608), 35795450 & 0xffffff);
    cfg_set(&x, 1, 3, 0x80, 0);
    EXPECT_EQ(rig_inl(&x.r, 0x608), 0xffffffff);
    rig_fini(&x.r);
}

TEST(piix4_pm_events)
{
    struct pcirig x;
    setup(&x);
    place_pm(&x);
    rig_outw(&x.r, 0x602, 0x0101); // timer and power button
    EXPECT_EQ(rig_inw(&x.r, 0x602), 0x0101);
    rig_run_to(&x.r, 3 * VTIME_SEC); // bit 23 changed at 2.34 s
    EXPECT_EQ(rig_inw(&x.r, 0x600) & 1, 1);
    EXPECT(!dev_pin_in(&x.p->dev, 0)); // not in ACPI mode
    rig_outb(&x.r, 0xb2, 0xf1);
    EXPECT_EQ(rig_inw(&x.r, 0x604) & 1, 1);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    rig_outw(&x.r, 0x600, 0x0001);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_post(&x.r, "pm.power", NULL, 0);
    EXPECT(dev_pin_in(&x.p->dev, 0));
    EXPECT_EQ(rig_inw(&x.r, 0x600), 0x0100);
    rig_reload(&x.r);
    rig_outb(&x.r, 0x601, 0x01); // bytes work too
    EXPECT_EQ(rig_inw(&x.r, 0x600), 0);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_run_to(&x.r, 5 * VTIME_SEC);
    EXPECT(dev_pin_in(&x.p->dev, 0)); // the timer again, at 4.69 s
    rig_outb(&x.r, 0xb2, 0xf0);
    EXPECT(!dev_pin_in(&x.p->dev, 0));
    rig_fini(&x.r);
}

TEST(piix4_pm_power_off)
{
    struct pcirig x;
    setup(&x);
    place_pm(&x);
    rig_outw(&x.r, 0x604, 0x0001);
    EXPECT_EQ(x.r.nreq, 0);
    rig_outw(&x.r, 0x604, 0x2000 | 5 << 10); // a type that is not off
    EXPECT_EQ(x.r.nreq, 0);
    rig_outw(&x.r, 0x604, 0x2001);
    EXPECT(x.r.nreq == 1 && x.r.req == DEV_REQ_POWEROFF);
    EXPECT_EQ(rig_inw(&x.r, 0x604), 1); // SLP_EN reads 0
    rig_fini(&x.r);
}

TEST(piix4_pm_suspend)
{
    struct pcirig x;
    setup(&x);
    rig_wire(&x.r, "p.out2", "pm.rtc");
    place_pm(&x);
    dev_pin_set(&x.p->dev, 2, true);
    EXPECT_EQ(rig_inw(&x.r, 0x600), 0x0400); // the RTC's alarm, not enabled
    EXPECT_EQ(x.r.nreq, 0);
    dev_pin_set(&x.p->dev, 2, false);
    rig_outw(&x.r, 0x600, 0x0400);
    rig_outw(&x.r, 0x602, 0x0400);
    dev_pin_set(&x.p->dev, 2, true); // enabled, but awake
    EXPECT_EQ(x.r.nreq, 0);
    dev_pin_set(&x.p->dev, 2, false);
    rig_outw(&x.r, 0x600, 0x0400);
    rig_outw(&x.r, 0x604, 0x2400);
    EXPECT(x.r.nreq == 1 && x.r.req == DEV_REQ_SLEEP);
    rig_reload(&x.r);
    dev_pin_set(&x.p->dev, 2, true);
    EXPECT(x.r.nreq == 2 && x.r.req == DEV_REQ_WAKE);
    rig_reset(&x.r, RESET_WAKE);
    EXPECT_EQ(rig_inw(&x.r, 0x600), 0x8400);
    EXPECT_EQ(rig_inw(&x.r, 0x602), 0x0400);
    EXPECT_EQ(rig_inw(&x.r, 0x604), 0);
    rig_outw(&x.r, 0x600, 0x8400);
    EXPECT_EQ(rig_inw(&x.r, 0x600), 0);
    rig_outw(&x.r, 0x602, 0); // the button wakes without being enabled
    rig_outw(&x.r, 0x604, 0x2400);
    rig_post(&x.r, "pm.power", NULL, 0);
    EXPECT(x.r.nreq == 4 && x.r.req == DEV_REQ_WAKE);
    rig_reset(&x.r, RESET_WARM);
    place_pm(&x);
    EXPECT_EQ(rig_inw(&x.r, 0x600), 0);
    rig_post(&x.r, "pm.power", NULL, 0); // not asleep any more
    EXPECT_EQ(x.r.nreq, 4);
    rig_outw(&x.r, 0x604, 0x2800); // S4
    EXPECT(x.r.nreq == 5 && x.r.req == DEV_REQ_POWEROFF);
    rig_fini(&x.r);
}

TEST(piix4_pm_smi)
{
    struct pcirig x;
    setup(&x);
    place_pm(&x);
    rig_outb(&x.r, 0xb3, 0x77);
    EXPECT_EQ(rig_inb(&x.r, 0xb3), 0x77);
    rig_outb(&x.r, 0xb2, 0x12);
    EXPECT_EQ(x.p->rises[1], 0);
    cfg_set(&x, 1, 3, 0x58, 1u << 25);
    rig_outl(&x.r, 0x628, 1);
    rig_outb(&x.r, 0xb2, 0x12);
    EXPECT_EQ(x.p->rises[1], 1);
    EXPECT_EQ(rig_inb(&x.r, 0xb2), 0x12);
    rig_fini(&x.r);
}

TEST(piix4_pm_without_firmware)
{
    struct rig r;
    rig_init(&r);
    rig_add(&r, &i440fx_class, "pci0", "");
    rig_add(&r, &piix4_pm_class, "pm", "pmbase=0x600");
    rig_reset(&r, RESET_COLD);
    EXPECT_EQ(rig_inw(&r, 0x604), 1);
    rig_reset(&r, RESET_WARM);
    EXPECT_EQ(rig_inw(&r, 0x604), 1);
    rig_fini(&r);
}
