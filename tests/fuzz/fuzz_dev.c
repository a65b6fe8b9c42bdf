// Every device class against random registers, pins, inputs, properties and time.
//
// A round builds a small machine around one class and works it at random. Every so often it is
// saved, and then
//   - the stream loads into a second machine, and both go on under the same random work: what they
//     read and their digests must stay equal, so nothing that matters is outside the state;
//   - a damaged stream is loaded into a third: refused without a trace, or accepted, and then
//   worked
//     too: a snapshot is hostile input;
//   - so is a well-formed one with absurd values in every field.
// Sanitizers and the runner's time limit find the rest. T_SEED and T_LEVEL as in tests/t.h; a
// failure prints the class and the seed of its round; "fuzz_dev NAME" does not apply, one test has
// all.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend.h"
#include "core/backend_block.h"
#include "core/backend_display.h"
#include "core/backend_net.h"
#include "hw/hw.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/pci/pci.h"
#include "tests/lib/rig.h"

enum { LAPICS = 2, MAX_RANGES = 64 };

struct machine {
    struct rig r;
    struct dev *dut, *bridge, *pic;
    struct dev *lapic[LAPICS];
    struct probe *probe;
    struct drive drive[4];
    unsigned ndrives;
    struct net net; // what a network card sends is seen, too,
    struct chr chr; // and what a port prints
    uint64_t seen;  // a hash of all that was read
};

static void no_sipi(void *ctx, uint8_t vector)
{
    struct machine *m = ctx;
    m->seen = st_digest_bytes(m->seen, &vector, 1);
}

static const struct cpu_ops cpu_ops = {no_sipi};

static void see(struct machine *m, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t b = (uint8_t)(v >> (8 * i));
        m->seen = st_digest_bytes(m->seen, &b, 1);
    }
}

// --- Building ---

enum { RAM_BYTES = 0x20000, DUT_DEVFN = 3 << 3 }; // the first free slot

enum { DISK_BYTES = 20000 * 512 };

static bool disk_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    (void)b;
    memset(buf, (int)(off >> 9 & 0xff), len);
    return off % 7;
}

// Remembers nothing, so that a twin's disk is the same.
static bool disk_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    (void)b;
    (void)buf;
    (void)len;
    return off % 5;
}

static bool disk_flush(struct blk *b)
{
    (void)b;
    return true;
}

static struct blk fuzz_disk = {
    .bytes = DISK_BYTES, .read = disk_read, .write = disk_write, .flush = disk_flush};

static struct blk fuzz_diskette = {
    .bytes = 2880 * 512, .read = disk_read, .write = disk_write, .flush = disk_flush};

// Disks and CD-ROMs on every connector but the third; a diskette in drive A, none in B.
static void add_drive(struct machine *m, const struct prop *p)
{
    struct err e;
    struct drive *d = &m->drive[m->ndrives % 4];
    bool floppy = m->dut->cls == &fdc_class;
    if (m->ndrives == 4) {
        return;
    }
    snprintf(d->name, sizeof d->name, "drive%u", m->ndrives);
    d->kind = floppy ? DRIVE_FLOPPY : m->ndrives & 1 ? DRIVE_CDROM : DRIVE_HD;
    d->blk = !floppy ? &fuzz_disk : m->ndrives == 0 ? &fuzz_diskette : NULL;
    EXPECT(dev_set_backend(m->dut, p->name, PROP_DRIVE, m->ndrives++ == 2 ? NULL : d, &e));
}

static void on_send(struct net *n, const uint8_t *frame, size_t len)
{
    struct machine *m = (struct machine *)((char *)n - offsetof(struct machine, net));
    m->seen = st_digest_bytes(m->seen, frame, len);
}

static void on_print(struct chr *c, const uint8_t *data, size_t len)
{
    struct machine *m = (struct machine *)((char *)c - offsetof(struct machine, chr));
    m->seen = st_digest_bytes(m->seen, data, len);
}

// What hangs on a device: drives, the far ends of its lines, a DMA controller.
static void add_back_end(struct machine *m, const struct prop *p)
{
    struct err e;
    if (p->kind == PROP_DRIVE) {
        add_drive(m, p);
    } else if (p->kind == PROP_NET) {
        m->net.send = on_send;
        EXPECT(dev_set_backend(m->dut, p->name, PROP_NET, &m->net, &e));
    } else if (p->kind == PROP_CHR) {
        m->chr.write = on_print;
        EXPECT(dev_set_backend(m->dut, p->name, PROP_CHR, &m->chr, &e));
    } else if (strcmp(p->name, "dma") == 0 && p->kind == PROP_STR) {
        EXPECT(dev_set(m->dut, "dma", "dma0", &e));
    }
}

// A valid value of a property now and then, and an invalid one.
static void random_property(struct dev *d, const struct prop *p, struct t_rng *rng)
{
    char text[40];
    struct err e;
    uint64_t max = p->max ? p->max : p->kind == PROP_U32 ? UINT32_MAX : UINT64_MAX;
    uint64_t v = t_rand(rng);
    switch (p->kind) {
    case PROP_BOOL:
        dev_set(d, p->name, v & 1 ? "on" : "off", &e);
        break;
    case PROP_U32:
    case PROP_U64:
        v = max - p->min == UINT64_MAX ? v : p->min + v % (max - p->min + 1);
        snprintf(text, sizeof text, "%" PRIu64, v);
        EXPECT(dev_set(d, p->name, text, &e));
        EXPECT(!dev_set(d, p->name, "nonsense", &e));
        break;
    default:
        break; // strings name other devices
    }
}

static const char *wire_name(char *buf, const char *dev, const char *pin)
{
    snprintf(buf, 80, "%s.%s", dev, pin);
    return buf;
}

// As firmware does: addresses for the BARs of the device, and decoding on.
static void enable_pci(struct machine *m)
{
    for (uint32_t devfn = 8; devfn < 64; devfn++) {
        uint32_t at = 0x80000000 | devfn << 8, io = 0xc000, mem = 0xc0000000;
        rig_outl(&m->r, 0xcf8, at);
        if (rig_inw(&m->r, 0xcfc) == 0xffff) {
            continue;
        }
        for (unsigned bar = 0x10; bar < 0x28; bar += 4) {
            rig_outl(&m->r, 0xcf8, at | bar);
            rig_outl(&m->r, 0xcfc, 0xffffffff);
            uint32_t mask = rig_inl(&m->r, 0xcfc);
            if (mask & 1) {
                rig_outl(&m->r, 0xcfc, io += 0x400);
            } else if (mask) {
                rig_outl(&m->r, 0xcfc, mem += 0x4000000);
            }
        }
        rig_outl(&m->r, 0xcf8, at | 4);
        rig_outw(&m->r, 0xcfc, 7);
    }
}

// False: the properties made no device.
static bool build(struct machine *m, const struct dev_class *cls, uint64_t seed)
{
    struct t_rng rng = {seed};
    struct err e = {""};
    char a[80], b[80];
    memset(m, 0, sizeof *m);
    rig_init(&m->r);
    struct ram *ram = m->r.env.ram_new(m->r.env.ram_ctx, "ram", RAM_BYTES);
    aspace_map_ram(&m->r.mem, 0, RAM_BYTES, ram, 0, false, "ram", 0); // for DMA
    m->pic = rig_add(&m->r, &i8259_class, "pic0", "");
    rig_add(&m->r, &apicbus_class, "apicbus", "");
    m->bridge = rig_add(&m->r, &i440fx_class, "pci0", "");
    m->probe = (struct probe *)rig_add(&m->r, &probe_class, "probe", "");
    for (unsigned i = 0; i < LAPICS; i++) {
        char name[16], props[64];
        snprintf(name, sizeof name, "lapic%u", i);
        snprintf(props, sizeof props, "id=%u,index=%u,pic=pic0", i, i);
        m->lapic[i] = rig_add(&m->r, &lapic_class, name, props);
        lapic_set_cpu(m->lapic[i], &cpu_ops, m);
    }
    if (cls == &fdc_class) {
        rig_add(&m->r, &i8237_class, "dma0", "");
    }
    m->dut = dev_new(&m->r.env, cls, "dut", &e);
    for (const struct prop *p = cls->props; p && p->name; p++) {
        if (t_rand_below(&rng, 4) == 0) {
            random_property(m->dut, p, &rng);
        } else if (strcmp(p->name, "index") == 0 || strcmp(p->name, "id") == 0) {
            dev_set(m->dut, p->name, "2", &e);
        } else {
            add_back_end(m, p);
        }
    }
    if (!dev_init(m->dut, &e)) {
        EXPECT(e.msg[0] != '\0');
        return false;
    }
    for (unsigned i = 0; i < m->dut->nin && i < 8; i++) {
        char out[16];
        snprintf(out, sizeof out, "out%u", i);
        rig_wire(&m->r, wire_name(a, "probe", out), wire_name(b, "dut", cls->pins_in[i]));
    }
    for (unsigned i = 0; i < m->dut->nout && i < 16; i++) {
        char in[16];
        snprintf(in, sizeof in, "in%u", i);
        rig_wire(&m->r, wire_name(a, "dut", cls->pins_out[i]), wire_name(b, "probe", in));
    }
    rig_wire(&m->r, "probe.out8", "pic0.ir1");
    rig_wire(&m->r, "pic0.intr", "lapic0.lint0");
    rig_wire(&m->r, "probe.out9", "lapic1.lint1");
    rig_reset(&m->r, RESET_COLD);
    enable_pci(m);
    return true;
}

// --- Work ---

struct ranges {
    uint64_t base[MAX_RANGES], len[MAX_RANGES];
    unsigned n;
};

static void on_range(void *ctx, uint64_t base, uint64_t len, const char *name, bool is_ram,
                     bool readonly)
{
    struct ranges *r = ctx;
    (void)name;
    (void)is_ram;
    (void)readonly;
    if (r->n < MAX_RANGES) {
        r->base[r->n] = base;
        r->len[r->n++] = len;
    }
}

// Values biased to what registers care about.
static uint64_t value(struct t_rng *rng)
{
    uint64_t v = t_rand(rng);
    switch (t_rand_below(rng, 6)) {
    case 0:
        return v & 0xff;
    case 1:
        return UINT64_C(1) << (v & 63);
    case 2:
        return ~(UINT64_C(1) << (v & 31));
    case 3:
        return v & 0xffff;
    case 4:
        return v & 3 ? 0 : UINT64_MAX;
    default:
        return v;
    }
}

static void access_bus(struct machine *m, struct aspace *as, struct t_rng *rng)
{
    struct ranges r = {.n = 0};
    aspace_each(as, on_range, &r);
    if (!r.n) {
        return;
    }
    unsigned k = (unsigned)t_rand_below(rng, r.n);
    uint64_t addr = r.base[k] + t_rand_below(rng, r.len[k]);
    unsigned size = 1u << t_rand_below(rng, as == &m->r.io ? 3 : 4);
    if (t_rand_below(rng, 4)) {
        addr &= ~(uint64_t)(size - 1);
    }
    if (r.len[k] >= 0x400 && t_rand_below(rng, 2)) {
        addr = (addr & ~UINT64_C(0xfff)) | (t_rand(rng) & 0x3f0); // where registers are
    }
    if (t_rand_below(rng, 3) == 0) {
        see(m, aspace_read(as, addr, size));
    } else {
        aspace_write(as, addr, size, value(rng));
    }
}

static void access_config(struct machine *m, struct t_rng *rng)
{
    static const uint8_t favorites[] = {0x04, 0x10, 0x40, 0x41, 0x58, 0x5b, 0x60, 0x72, 0x80};
    uint8_t devfn = t_rand(rng) & 1 ? DUT_DEVFN : (uint8_t)t_rand_below(rng, 16);
    unsigned reg = t_rand_below(rng, 2) ? favorites[t_rand_below(rng, sizeof favorites)]
                                        : (unsigned)t_rand_below(rng, 256);
    rig_outl(&m->r, 0xcf8, 0x80000000 | (uint32_t)devfn << 8 | (reg & 0xfc));
    if (t_rand_below(rng, 3) == 0) {
        see(m, rig_inl(&m->r, 0xcfc));
    } else {
        rig_outb(&m->r, (uint16_t)(0xcfc + (reg & 3)), (uint8_t)value(rng));
    }
}

// A card's rings where its descriptors are found, in RAM that the fuzzer writes to: at random it
// would not get there.
static void arm_e1000(struct machine *m, struct t_rng *rng)
{
    static const struct {
        uint32_t reg, val, spread;
    } rows[] = {{0x3800, 0x1000, 0xfff0}, {0x3808, 0x80, 0x380},
                {0x3818, 0, 0xf},         {0x0400, 0x0a, 0x400},
                {0x2800, 0x2000, 0xff0},  {0x2808, 0x80, 0x380},
                {0x2818, 0, 0xf},         {0x0100, 0x801e, 0x06074320},
                {0x5000, 0x300, 0},       {0x3820, 0, 8},
                {0x2820, 0, 8},           {0x00d0, 0xff, 0xffff}};
    uint32_t bar = 0xfe000000;
    rig_outl(&m->r, 0xcf8, 0x80000000 | DUT_DEVFN << 8 | 0x10);
    rig_outl(&m->r, 0xcfc, bar);
    rig_outl(&m->r, 0xcf8, 0x80000000 | DUT_DEVFN << 8 | 0x04);
    rig_outl(&m->r, 0xcfc, 7);
    for (unsigned i = 0; i < 32; i++) { // descriptors: short and long buffers, every command
        uint32_t at = (uint32_t)(0x1000 + (t_rand(rng) & 0x1ff0));
        uint32_t len = (uint32_t)(t_rand(rng) & (t_rand(rng) & 3 ? 0x1ff : 0xfffff));
        uint64_t buf = t_rand(rng) & 7 ? t_rand(rng) & 0x1ffff : bar + (t_rand(rng) & 0x3fff);
        aspace_write(&m->r.mem, at, 8, buf);
        aspace_write(&m->r.mem, at + 8, 4, len | (t_rand(rng) & 1) << 20 | t_rand(rng) << 24);
        aspace_write(&m->r.mem, at + 12, 4, t_rand(rng));
    }
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t v = rows[i].val | ((uint32_t)t_rand(rng) & rows[i].spread);
        aspace_write(&m->r.mem, bar + rows[i].reg, 4, v);
    }
}

static void access_cpu_side(struct machine *m, struct t_rng *rng)
{
    bool own = m->dut->cls == &lapic_class && t_rand_below(rng, 2);
    struct dev *l = own ? m->dut : m->lapic[t_rand_below(rng, LAPICS)];
    uint32_t msr = (uint32_t)(0x800 + t_rand_below(rng, 0x40));
    uint64_t v = 0, choice = t_rand_below(rng, 8);
    msr = choice == 0 ? 0x1b : choice == 1 ? 0x6e0 : msr;
    switch (t_rand_below(rng, 5)) {
    case 0:
        see(m, lapic_intc_ops.ack(l));
        break;
    case 1:
        see(m, lapic_intc_ops.cr8_read(l));
        lapic_intc_ops.cr8_write(l, (uint8_t)(t_rand(rng) & 15));
        break;
    case 2:
        see(m, lapic_intc_ops.msr_read(l, msr, &v));
        see(m, v);
        break;
    case 3:
        v = value(rng);
        if (msr == 0x1b && t_rand_below(rng, 2)) {
            v = 0xfee00000 | (v & 0xc00);
        }
        see(m, lapic_intc_ops.msr_write(l, msr, v));
        break;
    default:
        see(m, i8259_ack(m->dut->cls == &i8259_class ? m->dut : m->pic));
        break;
    }
}

static void post_input(struct machine *m, struct t_rng *rng)
{
    uint8_t data[1600];
    if (!m->r.gate.nsources) {
        return;
    }
    uint32_t len = (uint32_t)t_rand_below(rng, t_rand(rng) & 3 ? 64 : sizeof data + 1);
    for (uint32_t i = 0; i < len; i++) {
        data[i] = (uint8_t)t_rand(rng);
    }
    gate_post(&m->r.gate, (int)t_rand_below(rng, m->r.gate.nsources), data, len);
    gate_deliver(&m->r.gate, m->r.clock.s.now);
}

static void pass_time(struct machine *m, struct t_rng *rng)
{
    static const uint64_t steps[] = {1, 100, 1000, 20000, 200000, 3000000};
    uint64_t n = steps[t_rand_below(rng, 6)];
    if (t_rand_below(rng, 400) == 0) {
        n = 300 * VTIME_MS;
    }
    rig_run(&m->r, t_rand_below(rng, n) + 1);
}

// The picture is a function of the state too. With `all`: what has changed since the last look is
// not state.
static void look(struct machine *m, bool text)
{
    struct frame f = {0};
    struct text_screen *t = calloc(1, sizeof *t);
    struct dev *d = m->r.env.display;
    if (text && m->r.env.display_ops->text(d, t)) {
        m->seen = st_digest_bytes(m->seen, t->ch, sizeof t->ch);
        see(m, t->cursor_row << 8 | t->cursor_col);
    } else if (!text && m->r.env.display_ops->draw(d, &f, true) && f.width * f.height < 1 << 20) {
        for (uint32_t i = 0; i < f.width * f.height; i += 61) {
            see(m, f.pixel[i]);
        }
    }
    frame_free(&f);
    free(t);
}

static void step(struct machine *m, struct t_rng *rng)
{
    m->r.env.cur_cpu = (unsigned)t_rand_below(rng, LAPICS + 1);
    switch (t_rand_below(rng, 16)) {
    case 0:
        dev_pin_set(&m->probe->dev, (unsigned)t_rand_below(rng, 10), t_rand(rng) & 1);
        break;
    case 1:
    case 2:
        pass_time(m, rng);
        break;
    case 3:
        post_input(m, rng);
        break;
    case 4:
        access_cpu_side(m, rng);
        break;
    case 5:
        access_config(m, rng);
        break;
    case 6:
    case 7:
        access_bus(m, &m->r.mem, rng);
        break;
    case 8:
        if (t_rand_below(rng, 64) == 0) {
            rig_reset(&m->r, t_rand(rng) & 1 ? RESET_COLD : RESET_WARM);
        }
        break;
    default:
        access_bus(m, &m->r.io, rng);
        break;
    }
    if (m->dut->cls == &e1000_class && t_rand_below(rng, 32) == 0) {
        arm_e1000(m, rng);
    }
    if (m->r.env.display == m->dut && t_rand_below(rng, 64) == 0) {
        look(m, t_rand(rng) & 1);
    }
}

static void work(struct machine *m, uint64_t seed, unsigned steps)
{
    struct t_rng rng = {seed};
    for (unsigned i = 0; i < steps; i++) {
        step(m, &rng);
    }
}

// --- Snapshots ---

static bool load(struct machine *m, const struct machine *from, const struct st_buf *b,
                 struct err *e)
{
    struct st_src src = {b->data, b->len, 0};
    m->r.clock.s = from->r.clock.s;
    for (unsigned i = 0; i < m->r.nram && i < from->r.nram;
         i++) { // memory of devices' own is beside their state
        for (uint64_t pfn = 0; pfn < m->r.ram[i].npages; pfn++) {
            if (from->r.ram[i].page[pfn]) {
                const uint8_t *page = ram_read_ptr(&from->r.ram[i], pfn);
                ram_write(&m->r.ram[i], pfn * PAGE_SIZE, page, PAGE_SIZE);
            }
        }
    }
    return dev_load_all(&m->r.env, &src, e);
}

static uint64_t digest(const struct machine *m)
{
    return dev_digest_all(&m->r.env, ST_DIGEST_INIT);
}

// A second machine, loaded from the first, does as the first does.
static void check_twin(struct machine *m, uint64_t seed, uint64_t work_seed)
{
    struct machine twin;
    struct st_buf b = {0};
    struct err e = {""};
    dev_save_all(&m->r.env, &b);
    EXPECT(build(&twin, m->dut->cls, seed));
    if (!EXPECT(load(&twin, m, &b, &e))) {
        FAIL("%s", e.msg);
    } else {
        EXPECT_EQ(digest(&twin), digest(m));
        m->seen = twin.seen = 0;
        work(m, work_seed, 200);
        work(&twin, work_seed, 200);
        EXPECT_EQ(twin.seen, m->seen);
        EXPECT_EQ(digest(&twin), digest(m));
    }
    st_buf_free(&b);
    rig_fini(&twin.r);
}

static void check_damaged(const struct machine *m, uint64_t seed, struct t_rng *rng)
{
    struct machine victim;
    struct st_buf b = {0};
    struct err e = {""};
    dev_save_all(&m->r.env, &b);
    EXPECT(build(&victim, m->dut->cls, seed));
    uint64_t before = digest(&victim);
    for (uint64_t n = 1 + t_rand_below(rng, 8); n; n--) {
        b.data[t_rand_below(rng, b.len)] = (uint8_t)t_rand(rng);
    }
    if (load(&victim, m, &b, &e)) {
        work(&victim, t_rand(rng), 200);
    } else {
        EXPECT(e.msg[0] != '\0');
        EXPECT_EQ(digest(&victim), before);
    }
    st_buf_free(&b);
    rig_fini(&victim.r);
}

// Any value that the stream can carry, in every field of a table.
static void scramble(const struct st_desc *d, void *state, struct t_rng *rng)
{
    for (unsigned k = 0; k < d->nfields; k++) {
        const struct st_field *f = &d->fields[k];
        for (uint32_t i = 0; i < f->count; i++) {
            char *p = (char *)state + f->off + (size_t)i * f->size;
            if (f->kind == ST_SUB) {
                scramble(f->sub, p, rng);
            } else if (t_rand_below(rng, 4)) {
                continue;
            } else if (f->kind == ST_BOOL) {
                *(bool *)(void *)p = t_rand(rng) & 1;
            } else {
                uint64_t v = value(rng);
                memcpy(p, &v, f->size);
            }
        }
    }
}

// A well-formed stream whose values no machine would have written.
static void check_absurd(const struct machine *m, uint64_t seed, struct t_rng *rng)
{
    struct machine author, victim;
    struct st_buf b = {0};
    struct err e = {""};
    EXPECT(build(&author, m->dut->cls, seed) && build(&victim, m->dut->cls, seed));
    for (unsigned i = 0; i < author.r.env.ndevs; i++) {
        struct dev *d = author.r.env.devs[i];
        if (d->cls->state) {
            scramble(d->cls->state, dev_state(d), rng);
        }
    }
    dev_save_all(&author.r.env, &b);
    if (!EXPECT(load(&victim, m, &b, &e))) {
        FAIL("%s", e.msg);
    }
    work(&victim, t_rand(rng), 200);
    st_buf_free(&b);
    rig_fini(&author.r);
    rig_fini(&victim.r);
}

static void round_of(const struct dev_class *cls, uint64_t seed)
{
    struct machine m;
    struct t_rng rng = {seed ^ UINT64_C(0x5bd1e995)};
    t_context("class %s, seed of the round %" PRIu64, cls->name, seed);
    if (build(&m, cls, seed)) {
        for (unsigned i = 0; i < 4; i++) {
            work(&m, t_rand(&rng), 300);
            check_twin(&m, seed, t_rand(&rng));
            for (unsigned k = 0; k < 3; k++) {
                check_damaged(&m, seed, &rng);
            }
            check_absurd(&m, seed, &rng);
        }
    }
    rig_fini(&m.r);
}

TEST(fuzz_every_device_class)
{
    struct t_rng rng = {t_seed()};
    uint64_t rounds = t_amount(20, 200, 20000), n = 0;
    printf("fuzz_dev: seed %" PRIu64 ", %" PRIu64 " rounds for each class\n", t_seed(), rounds);
    for (uint64_t i = 0; i < rounds; i++) {
        for (unsigned k = 0; hw_classes[k]; k++) {
            round_of(hw_classes[k], t_rand(&rng));
            n++;
        }
    }
    t_cases((unsigned long)n, 0, 0);
}
