/*
 * Power management of the Intel 82371AB (PIIX4), function 3 (8086:7113): ACPI's fixed hardware.
 *
 * PM1 event and control, the 3.579545 MHz PM timer, the general-purpose event block, the SMI
 * command port 0xb2. Firmware places the registers by PMBA (0x40) and PMREGMISC (0x80); for boots
 * without firmware the property `pmbase` says where they are after reset, and that ACPI mode is on.
 *
 * What always holds: SCI is high exactly while SCI_EN is set and an enabled PM1 or GPE status is.
 * TMR_STS is set at each change of the timer's bit 23, by a core timer that always runs.
 *
 * Sleep types: 0 (soft off) and 2, which the DSDT calls S4, power off. 1 is suspend to RAM: the
 * machine sleeps until an enabled PM1 event wakes it, the power button or the RTC's alarm (input
 * "rtc"); then everything is reset but these registers, which say why (WAK_STS).
 *
 * Simplifications: writing 0xf1 or 0xf0 to 0xb2 sets and clears SCI_EN here (an SMI handler's
 * work); other sleep types are ignored. The power button is gate source "<name>.power"; it wakes
 * without being enabled, too.
 *
 * Sources: 82371AB datasheet (290562-001), chapter 7.2 and 11; ACPI 6.4, 4.8.3.
 */
#include <stdio.h>
#include <string.h>

#include "hw/hw.h"
#include "hw/pci/pci.h"
#include "util/bits.h"

#define PM_TIMER_HZ UINT64_C(3579545)

enum {
    PMBA = PIIX4_PMBA,
    DEVACTB = 0x58,
    PMREGMISC = PIIX4_PMREGMISC,
    PM_SIZE = 64,

    REG_PM1_STS = 0x00,
    REG_PM1_EN = 0x02,
    REG_PM1_CNT = 0x04,
    REG_TIMER = 0x08,
    REG_GPE_STS = 0x0c,
    REG_GPE_EN = 0x0e,
    REG_GLBCTL = 0x28,

    PM1_TMR = 0x0001,
    PM1_GBL = 0x0020,
    PM1_PWRBTN = 0x0100,
    PM1_RTC = 0x0400,
    PM1_STS_BITS = 0x8d31,
    PM1_EN_BITS = 0x0521,
    CNT_SCI_EN = 0x0001,
    CNT_BITS = 0x1c07,
    CNT_SLP_EN = 0x2000,
    PM1_WAKE = 0x8000,
    PM1_WAKE_EVENTS = PM1_PWRBTN | PM1_RTC,
    SLP_OFF = 0,
    SLP_RAM = 1,
    SLP_DISK = 2,

    ACPI_ENABLE = 0xf1,
    ACPI_DISABLE = 0xf0,
    SCI_IRQ = 9,
};

enum { OUT_SCI, OUT_SMI };

#define PIIX4_PM_STATE(S, V, A, N)                                                                 \
    N(S, pci_cfg, pci, 1, 1)                                                                       \
    V(S, uint16_t, pm1_sts, 1)                                                                     \
    V(S, uint16_t, pm1_en, 1)                                                                      \
    V(S, uint16_t, pm1_cnt, 1)                                                                     \
    V(S, uint16_t, gpe_sts, 1)                                                                     \
    V(S, uint16_t, gpe_en, 1)                                                                      \
    A(S, uint8_t, other, PM_SIZE, 1) /* registers that only remember */                            \
    V(S, uint8_t, apmc, 1)           /* port 0xb2 */                                               \
    V(S, uint8_t, apms, 1)           /* port 0xb3 */                                               \
    V(S, struct vtimer, bit23, 1)                                                                  \
    V(S, bool, asleep, 2)

ST_DECLARE(piix4_pm_state, PIIX4_PM_STATE);
ST_DESCRIBE(piix4_pm_state, PIIX4_PM_STATE, 2);

struct piix4_pm {
    struct dev dev;
    struct piix4_pm_state s;
    struct pci_func pci;
    struct timer bit23;
    struct region *region;
    uint32_t slot, pmbase;
    char bus[32];
};

/* --- The register core --- */

static void update_sci(struct piix4_pm *p)
{
    bool event = (p->s.pm1_sts & p->s.pm1_en & PM1_EN_BITS) || (p->s.gpe_sts & p->s.gpe_en);
    dev_pin_set(&p->dev, OUT_SCI, event && (p->s.pm1_cnt & CNT_SCI_EN));
}

static void wake_up(struct piix4_pm *p)
{
    if (p->s.asleep) {
        p->s.pm1_sts |= PM1_WAKE;
        dev_request(&p->dev, DEV_REQ_WAKE, 0); /* ends in a reset, which ends the sleep */
    }
}

/* An event that may wake: its status bit is set. */
static void event(struct piix4_pm *p, uint16_t bit)
{
    p->s.pm1_sts |= bit;
    update_sci(p);
    if (p->s.pm1_sts & p->s.pm1_en & PM1_WAKE_EVENTS) {
        wake_up(p);
    }
}

static uint64_t timer_ticks(const struct piix4_pm *p)
{
    return clock_ticks(clock_now(p->dev.env->clock), PM_TIMER_HZ);
}

static void set_bit23(struct piix4_pm *p)
{
    uint64_t next = ((timer_ticks(p) >> 23) + 1) << 23;
    timer_set(&p->bit23, clock_tick_time(next, PM_TIMER_HZ));
}

static void on_bit23(void *ctx)
{
    struct piix4_pm *p = ctx;
    p->s.pm1_sts |= PM1_TMR;
    set_bit23(p);
    update_sci(p);
}

static void write_cnt(struct piix4_pm *p, uint16_t val)
{
    p->s.pm1_cnt = val & CNT_BITS;
    if (!(val & CNT_SLP_EN)) {
        return;
    }
    unsigned type = val >> 10 & 7;
    if (type == SLP_OFF || type == SLP_DISK) {
        dev_request(&p->dev, DEV_REQ_POWEROFF, 0);
    } else if (type == SLP_RAM && !p->pmbase) {
        p->s.asleep = true;
        dev_request(&p->dev, DEV_REQ_SLEEP, 0);
    } else { /* S3 without firmware to wake up to, among others */
        log_guest(p->dev.env->log, LOG_unimp, "%s: sleep type %u", p->dev.name, type);
    }
}

/* A 16-bit register at an even offset. */
static uint16_t read16(struct piix4_pm *p, unsigned off)
{
    switch (off) {
    case REG_PM1_STS:
        return p->s.pm1_sts;
    case REG_PM1_EN:
        return p->s.pm1_en;
    case REG_PM1_CNT:
        return p->s.pm1_cnt;
    case REG_TIMER:
        return (uint16_t)timer_ticks(p);
    case REG_TIMER + 2:
        return (uint16_t)(timer_ticks(p) >> 16 & 0xff); /* 24 bits */
    case REG_GPE_STS:
        return p->s.gpe_sts;
    case REG_GPE_EN:
        return p->s.gpe_en;
    default:
        return le16_get(&p->s.other[off]);
    }
}

/* `mask`: the bits that the access writes. */
static void write16(struct piix4_pm *p, unsigned off, uint16_t val, uint16_t mask)
{
    uint16_t set = val & mask;
    switch (off) {
    case REG_PM1_STS:
        p->s.pm1_sts &= (uint16_t) ~(set & PM1_STS_BITS);
        break;
    case REG_PM1_EN:
        p->s.pm1_en = ((p->s.pm1_en & (uint16_t)~mask) | set) & PM1_EN_BITS;
        break;
    case REG_PM1_CNT:
        write_cnt(p, (uint16_t)((p->s.pm1_cnt & ~mask) | set));
        break;
    case REG_TIMER:
    case REG_TIMER + 2:
        break; /* read-only */
    case REG_GPE_STS:
        p->s.gpe_sts &= (uint16_t)~set;
        break;
    case REG_GPE_EN:
        p->s.gpe_en = (uint16_t)((p->s.gpe_en & ~mask) | set);
        break;
    default:
        le16_put(&p->s.other[off], (uint16_t)((le16_get(&p->s.other[off]) & ~mask) | set));
        break;
    }
}

/* --- Bus glue --- */

static uint64_t pm_read(struct dev *d, uint64_t off, unsigned size)
{
    struct piix4_pm *p = (struct piix4_pm *)d;
    unsigned even = (unsigned)off & (PM_SIZE - 2);
    if (size == 4) {
        return read16(p, even) | (uint32_t)read16(p, (even + 2) & (PM_SIZE - 2)) << 16;
    }
    return read16(p, even) >> (8 * (off & 1));
}

static void pm_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct piix4_pm *p = (struct piix4_pm *)d;
    unsigned even = (unsigned)off & (PM_SIZE - 2);
    if (size == 1) {
        unsigned shift = 8 * (off & 1);
        write16(p, even, (uint16_t)(val << shift), (uint16_t)(0xffu << shift));
    } else {
        write16(p, even, (uint16_t)val, 0xffff);
        if (size == 4) {
            write16(p, (even + 2) & (PM_SIZE - 2), (uint16_t)(val >> 16), 0xffff);
        }
    }
    update_sci(p);
}

static uint64_t apm_read(struct dev *d, uint64_t off, unsigned size)
{
    struct piix4_pm *p = (struct piix4_pm *)d;
    (void)size;
    return off ? p->s.apms : p->s.apmc;
}

static void apm_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct piix4_pm *p = (struct piix4_pm *)d;
    (void)size;
    if (off) {
        p->s.apms = (uint8_t)val;
        return;
    }
    p->s.apmc = (uint8_t)val;
    if (val == ACPI_ENABLE) {
        p->s.pm1_cnt |= CNT_SCI_EN;
    } else if (val == ACPI_DISABLE) {
        p->s.pm1_cnt &= (uint16_t)~CNT_SCI_EN;
    }
    update_sci(p);
    /* DEVACTB bit 25 lets the write through to SMI#, GLBCTL bit 0 is the master switch. */
    if ((p->s.pci[0].cfg[DEVACTB + 3] & 0x02) && (p->s.other[REG_GLBCTL] & 1)) {
        dev_pin_set(&p->dev, OUT_SMI, true);
        dev_pin_set(&p->dev, OUT_SMI, false);
    }
}

static const struct io_ops pm_ops = {pm_read, pm_write, 1, 4};
static const struct io_ops apm_ops = {apm_read, apm_write, 1, 1};

/* Show the registers where PMBA says, if PMREGMISC bit 0 does. */
static void move_registers(struct piix4_pm *p)
{
    const uint8_t *c = p->s.pci[0].cfg;
    struct aspace *io = p->dev.env->io;
    uint32_t base = le32_get(&c[PMBA]) & 0xffc0;
    region_enable(io, p->region, false);
    if ((c[PMREGMISC] & 1) && base) {
        region_move(io, p->region, base);
        region_enable(io, p->region, true);
    }
}

static void pm_written(struct pci_func *f, unsigned off, unsigned size)
{
    if ((off < PMBA + 4 && off + size > PMBA) || (off <= PMREGMISC && off + size > PMREGMISC)) {
        move_registers((struct piix4_pm *)f->dev);
    }
}

static void power_button(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct piix4_pm *p = ctx;
    (void)payload;
    (void)len;
    event(p, PM1_PWRBTN);
    wake_up(p);
}

/* IRQ8#: a rise sets the status. */
static void piix4_pm_pin(struct dev *d, unsigned in, bool level)
{
    (void)in;
    if (level) {
        event((struct piix4_pm *)d, PM1_RTC);
    }
}

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x7113,
    .revision = 3,
    .class_code = 0x068000,
    .int_pin = 1,
};

static bool piix4_pm_init(struct dev *d, struct err *e)
{
    struct piix4_pm *p = (struct piix4_pm *)d;
    struct pci_func *f = &p->pci;
    char source[40];
    if (p->pmbase & (PM_SIZE - 1)) {
        return err_set(e, "pmbase=0x%x: want a multiple of 64", (unsigned)p->pmbase);
    }
    if (!pci_func_init(f, d, p->s.pci, &ident, p->bus, (uint8_t)PCI_DEVFN(p->slot, 3), e)) {
        return false;
    }
    f->initial[PCI_STATUS] = 0x80;
    f->initial[PCI_STATUS + 1] = 0x02;
    f->initial[PCI_INT_LINE] = SCI_IRQ;
    f->initial[PMBA] = 1;
    f->initial[0x90] = 1;
    for (unsigned i = 0x44; i < 0x80; i++) {
        f->writable[i] = 0xff;
    }
    f->writable[PMBA] = 0xc0;
    f->writable[PMBA + 1] = 0xff;
    f->writable[PMREGMISC] = 0x01;
    f->writable[0x90] = 0xf0;
    f->writable[0x91] = 0xff;
    f->writable[0xd2] = 0x0f;
    if (p->pmbase) {
        f->initial[PMBA] = (uint8_t)(p->pmbase | 1);
        f->initial[PMBA + 1] = (uint8_t)(p->pmbase >> 8);
        f->initial[PMREGMISC] = 1;
        f->initial[PCI_COMMAND] = PCI_COMMAND_IO;
    }
    f->written = pm_written;
    timer_init(&p->bit23, d->env->clock, &p->s.bit23, on_bit23, p);
    p->region = aspace_map_io(d->env->io, 0, PM_SIZE, &pm_ops, d, d->name, 1);
    region_enable(d->env->io, p->region, false);
    aspace_map_io(d->env->io, 0xb2, 2, &apm_ops, d, "apm", 0);
    snprintf(source, sizeof source, "%.24s.power", d->name);
    gate_source_add(d->env->gate, source, power_button, p);
    return true;
}

static void piix4_pm_reset(struct dev *d, enum reset_kind kind)
{
    struct piix4_pm *p = (struct piix4_pm *)d;
    struct piix4_pm_state old = p->s;
    timer_cancel(&p->bit23);
    p->s = (struct piix4_pm_state){.bit23 = {VTIME_NEVER}};
    if (kind == RESET_WAKE) { /* the resume well */
        p->s.pm1_sts = old.pm1_sts;
        p->s.pm1_en = old.pm1_en;
        p->s.gpe_sts = old.gpe_sts;
        p->s.gpe_en = old.gpe_en;
    }
    uint8_t base[2], shown;
    memcpy(base, &old.pci[0].cfg[PMBA], sizeof base);
    shown = old.pci[0].cfg[PMREGMISC];
    if (p->pmbase) {
        p->s.pm1_cnt = CNT_SCI_EN;
    }
    pci_func_reset(&p->pci);
    if (kind ==
        RESET_WAKE) { /* they stay where they were: SeaBIOS uses them before it places them */
        memcpy(&p->s.pci[0].cfg[PMBA], base, sizeof base);
        p->s.pci[0].cfg[PMREGMISC] = shown;
    }
    move_registers(p);
    set_bit23(p);
    update_sci(p);
    dev_pin_set(d, OUT_SMI, false);
}

static void piix4_pm_restored(struct dev *d)
{
    struct piix4_pm *p = (struct piix4_pm *)d;
    pci_func_restored(&p->pci);
    move_registers(p);
}

static const struct prop piix4_pm_props[] = {
    {"bus", PROP_STR, offsetof(struct piix4_pm, bus), "pci0", 0, 0, "name of the host bridge"},
    {"slot", PROP_U32, offsetof(struct piix4_pm, slot), "1", 0, 31, "PCI device number"},
    {"pmbase", PROP_U32, offsetof(struct piix4_pm, pmbase), "0", 0, 0xffc0,
     "port of the registers after reset, in ACPI mode; 0: firmware places them"},
    {0},
};
static const char *const piix4_pm_in[] = {"rtc", NULL};
static const char *const piix4_pm_out[] = {"sci", "smi", NULL};

const struct dev_class piix4_pm_class = {
    .name = "piix4-pm",
    .help = "82371AB power management: ACPI registers, PM timer, power button",
    .size = sizeof(struct piix4_pm),
    .state_off = offsetof(struct piix4_pm, s),
    .state = &piix4_pm_state_desc,
    .props = piix4_pm_props,
    .pins_in = piix4_pm_in,
    .pins_out = piix4_pm_out,
    .init = piix4_pm_init,
    .reset = piix4_pm_reset,
    .pin = piix4_pm_pin,
    .restored = piix4_pm_restored,
};
