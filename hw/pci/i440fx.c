/*
 * Intel 82441FX host bridge (8086:1237): configuration mechanism 1 and PCI bus 0.
 *
 * It also holds port 0xcf9, the reset control register, which belongs to PIIX3 but lies in the
 * middle of the configuration address register: bytes there are the one, a doubleword at 0xcf8 is
 * the other. What PAM and SMRAM mean for memory is the board's affair, told through i440fx_ops.
 *
 * Sources: 82441FX datasheet (290549), 3.2.18 (PAM), 3.2.20 (SMRAM); PCI 2.1, 3.7.4.1; PIIX3
 * (82371SB) 2.5.5.5 for 0xcf9: bit 1 chooses a reset of everything or INIT to the CPUs alone.
 */
#include <string.h>

#include "hw/hw.h"
#include "hw/pci/pci.h"

enum {
    PAM0 = 0x59,
    PAM_COUNT = 7,
    SMRAM = 0x72,
    SMRAM_LOCK = 0x10,
    SMRAM_OPEN = 0x40,
    SMRAM_ENABLE = 0x08,
    RCR_HARD = 0x02,
    RCR_GO = 0x04,
};

enum { OUT_INIT };

#define CFG_ENABLE UINT32_C(0x80000000)

#define I440FX_STATE(S, V, A, N)                                                                   \
    N(S, pci_cfg, pci, 1, 1)                                                                       \
    V(S, uint32_t, addr, 1) /* 0xcf8 */                                                            \
    V(S, uint8_t, rcr, 1)   /* 0xcf9 */

ST_DECLARE(i440fx_state, I440FX_STATE);
ST_DESCRIBE(i440fx_state, I440FX_STATE, 1);

struct i440fx {
    struct dev dev;
    struct i440fx_state s;
    struct pci_func pci;
    struct pci_func *func[256]; /* by device << 3 | function */
    const struct i440fx_ops *ops;
    void *ops_ctx;
    char reset[32];
    bool reset_machine;
};

bool pci_bus_add(struct dev *bus, struct pci_func *f)
{
    struct i440fx *h = (struct i440fx *)bus;
    if (h->func[f->devfn]) {
        return false;
    }
    h->func[f->devfn] = f;
    return true;
}

struct pci_func *pci_bus_func(struct dev *bus, uint8_t devfn)
{
    return ((struct i440fx *)bus)->func[devfn];
}

/* --- Memory attributes --- */

static void tell_smram(struct i440fx *h)
{
    const uint8_t *c = h->s.pci[0].cfg;
    if (h->ops) {
        h->ops->smram(h->ops_ctx, c[SMRAM] & SMRAM_ENABLE, c[SMRAM] & SMRAM_OPEN);
    }
}

static void tell_board(struct i440fx *h)
{
    const uint8_t *c = h->s.pci[0].cfg;
    if (!h->ops) {
        return;
    }
    /* PAM0 has 0xf0000 in its high half; PAM1..6 have two 16 KiB segments each, low half first. */
    for (unsigned seg = 0; seg < 12; seg++) {
        unsigned bits = c[PAM0 + 1 + seg / 2] >> (seg & 1 ? 4 : 0);
        h->ops->pam(h->ops_ctx, seg, bits & 1, bits & 2);
    }
    h->ops->pam(h->ops_ctx, 12, c[PAM0] & 0x10, c[PAM0] & 0x20);
    tell_smram(h);
}

void i440fx_set_ops(struct dev *i440fx, const struct i440fx_ops *ops, void *ctx)
{
    struct i440fx *h = (struct i440fx *)i440fx;
    h->ops = ops;
    h->ops_ctx = ctx;
}

static void host_written(struct pci_func *f, unsigned off, unsigned size)
{
    struct i440fx *h = (struct i440fx *)f->dev;
    uint8_t *c = f->s->cfg;
    /* D_LCK: D_OPEN is forced off and the register is locked until reset. */
    if (c[SMRAM] & SMRAM_LOCK) {
        c[SMRAM] &= (uint8_t)~SMRAM_OPEN;
        f->writable[SMRAM] = 0;
    }
    if (off + size > PAM0 && off <= SMRAM) {
        tell_board(h);
    }
}

/* --- Ports --- */

/* The function that the address register selects, or NULL. */
static struct pci_func *selected(const struct i440fx *h)
{
    uint32_t a = h->s.addr;
    if (!(a & CFG_ENABLE) || (a >> 16 & 0xff)) {
        return NULL;
    }
    return h->func[a >> 8 & 0xff];
}

static uint64_t addr_read(struct dev *d, uint64_t off, unsigned size)
{
    struct i440fx *h = (struct i440fx *)d;
    if (off == 0 && size == 4) {
        return h->s.addr;
    }
    return off == 1 && size == 1 ? h->s.rcr : 0xffffffff;
}

static void addr_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i440fx *h = (struct i440fx *)d;
    if (off == 0 && size == 4) {
        h->s.addr = (uint32_t)val & 0x80fffffc;
    } else if (off == 1 && size == 1) {
        bool go = (val & RCR_GO) && !(h->s.rcr & RCR_GO);
        h->s.rcr = val & (RCR_HARD | RCR_GO);
        if (go && (val & RCR_HARD || h->reset_machine)) {
            dev_request(d, DEV_REQ_RESET, 0);
        } else if (go) {
            dev_pin_set(d, OUT_INIT, true);
            dev_pin_set(d, OUT_INIT, false);
        }
    }
}

static uint64_t data_read(struct dev *d, uint64_t off, unsigned size)
{
    struct i440fx *h = (struct i440fx *)d;
    struct pci_func *f = selected(h);
    return f ? pci_cfg_read(f, (h->s.addr & 0xfc) + (unsigned)off, size) : 0xffffffff;
}

static void data_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i440fx *h = (struct i440fx *)d;
    struct pci_func *f = selected(h);
    if (f) {
        unsigned reg = (h->s.addr & 0xfc) + (unsigned)off;
        log_line(d->env->log, LOG_pci, "%s[%02x] = %x (%u bytes)", f->dev->name, reg, (unsigned)val,
                 size);
        pci_cfg_write(f, reg, size, (uint32_t)val);
    }
}

static const struct io_ops addr_ops = {addr_read, addr_write, 1, 4};
static const struct io_ops data_ops = {data_read, data_write, 1, 4};

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x1237,
    .revision = 2,
    .class_code = 0x060000,
    .subsys_vendor = 0x1af4, /* by these, firmware knows that fw_cfg is there */
    .subsys = 0x1100,
};

static bool i440fx_init(struct dev *d, struct err *e)
{
    struct i440fx *h = (struct i440fx *)d;
    struct pci_func *f = &h->pci;
    h->reset_machine = strcmp(h->reset, "machine") == 0;
    if (!h->reset_machine && strcmp(h->reset, "cpu") != 0) {
        return err_set(e, "reset=%s: want machine or cpu", h->reset);
    }
    if (!pci_func_init(f, d, h->s.pci, &ident, d->name, 0, e)) {
        return false;
    }
    f->initial[PCI_COMMAND] = 0x06;
    f->initial[PCI_STATUS] = 0x80;
    f->initial[PCI_STATUS + 1] = 0x02;
    for (unsigned i = 0x50; i < 0x94; i++) {
        f->writable[i] = 0xff;
    }
    for (unsigned i = PAM0; i < PAM0 + PAM_COUNT; i++) {
        f->writable[i] = i == PAM0 ? 0x70 : 0x77;
    }
    f->initial[SMRAM] = 0x02;
    f->writable[SMRAM] = 0x78;
    f->written = host_written;
    aspace_map_io(d->env->io, 0xcf8, 4, &addr_ops, d, "pci-address", 0);
    aspace_map_io(d->env->io, 0xcfc, 4, &data_ops, d, "pci-data", 0);
    return true;
}

static void i440fx_reset(struct dev *d, enum reset_kind kind)
{
    struct i440fx *h = (struct i440fx *)d;
    uint8_t *c = h->s.pci[0].cfg, kept[SMRAM - PAM0 + 1];
    memcpy(kept, c + PAM0, sizeof kept);
    h->s.addr = 0;
    h->s.rcr = 0;
    pci_func_reset(&h->pci);
    if (kind == RESET_WAKE) {
        /* It refreshed the memory, and shadow RAM is where SeaBIOS finds that it resumes. */
        memcpy(c + PAM0, kept, sizeof kept);
    }
    h->pci.writable[SMRAM] = c[SMRAM] & SMRAM_LOCK ? 0 : 0x78;
    dev_pin_set(d, OUT_INIT, false);
    tell_board(h);
}

static void i440fx_restored(struct dev *d)
{
    struct i440fx *h = (struct i440fx *)d;
    h->pci.writable[SMRAM] = h->s.pci[0].cfg[SMRAM] & SMRAM_LOCK ? 0 : 0x78;
    pci_func_restored(&h->pci);
    tell_board(h);
}

/* SMIACT# of the CPUs: what SMRAM means changes with it. */
static void i440fx_pin(struct dev *d, unsigned in, bool level)
{
    struct i440fx *h = (struct i440fx *)d;
    (void)in;
    (void)level;
    tell_smram(h);
}

static const struct prop i440fx_props[] = {
    {"reset", PROP_STR, offsetof(struct i440fx, reset), "cpu", 0, 0,
     "what a soft reset by 0xcf9 resets: machine or cpu"},
    {0},
};

static const char *const i440fx_in[] = {"smiact0", "smiact1", "smiact2", "smiact3", "smiact4",
                                        "smiact5", "smiact6", "smiact7", NULL};

static const char *const i440fx_out[] = {"init", NULL}; /* a soft reset by 0xcf9 */

const struct dev_class i440fx_class = {
    .name = "i440fx",
    .help = "82441FX host bridge and PCI bus",
    .size = sizeof(struct i440fx),
    .state_off = offsetof(struct i440fx, s),
    .state = &i440fx_state_desc,
    .props = i440fx_props,
    .pins_in = i440fx_in,
    .pins_out = i440fx_out,
    .init = i440fx_init,
    .reset = i440fx_reset,
    .pin = i440fx_pin,
    .restored = i440fx_restored,
};
