/*
 * The register file of an ATA channel: two devices that listen to every write, one of which
 * answers; resets, interrupts, the data port, and the clock of every phase.
 *
 * Both devices latch what is written to the command block; only a command goes to the selected one
 * alone. With device 0 alone on the cable it answers for device 1 with status 0 (ATA/ATAPI-6,
 * 9.16.1); nobody answers for an absent device 0, and DD7 of a floating cable is low (9.16.2).
 *
 * What always holds: INTRQ is high exactly while the selected device has an interrupt pending and
 * nIEN is clear. A device's timer runs in the phases with BSY, except DMA, where it runs while the
 * bus master's engine does, and RESET, where it starts as SRST is released.
 */
#include "hw/disk/ide.h"

#include <stdio.h>
#include <string.h>

#include "util/bits.h"

ST_DESCRIBE(atapi_state, ATAPI_STATE, 1);
ST_DESCRIBE(ide_unit_state, IDE_UNIT_STATE, 1);
ST_DESCRIBE(ide_chan_state, IDE_CHAN_STATE, 1);

/* DD7 is pulled down by the host, the other lines float high. */
#define FLOATING 0xffffff7fu

static struct ide_unit *selected(struct ide_chan *c)
{
    return &c->unit[c->s->select & 1];
}

/* Who answers: the selected device, or device 0 for an absent device 1; NULL: nobody. */
static struct ide_unit *answering(struct ide_chan *c)
{
    struct ide_unit *u = selected(c);
    u = u->drive ? u : &c->unit[0];
    return u->drive ? u : NULL;
}

static void update_irq(struct ide_chan *c)
{
    const struct ide_unit *u = selected(c);
    c->intrq(c, u->drive && u->s->irq && !(c->s->control & IDE_CTL_NIEN));
}

static vtime now(const struct ide_unit *u)
{
    return clock_now(u->chan->dev->env->clock);
}

/* --- Ways for a command to go on --- */

void ide_busy(struct ide_unit *u, enum ide_phase phase, uint64_t ns)
{
    u->s->phase = (uint8_t)phase;
    u->s->status = (uint8_t)(IDE_ST_BSY | (u->s->status & IDE_ST_READY));
    timer_set(&u->due, now(u) + ns);
}

static void set_phase(struct ide_unit *u, enum ide_phase phase, uint8_t status, bool irq)
{
    timer_cancel(&u->due);
    u->s->phase = (uint8_t)phase;
    u->s->status = status;
    u->s->irq = irq;
    update_irq(u->chan);
}

static void begin_pio(struct ide_unit *u, enum ide_phase phase, uint16_t len, bool irq)
{
    u->s->pos = 0;
    u->s->len = len;
    set_phase(u, phase, IDE_ST_READY | IDE_ST_DRQ, irq);
}

void ide_pio_in(struct ide_unit *u, uint16_t len, bool irq)
{
    begin_pio(u, IDE_PH_PIO_IN, len, irq);
}

void ide_pio_out(struct ide_unit *u, uint16_t len, bool irq)
{
    begin_pio(u, IDE_PH_PIO_OUT, len, irq);
}

void ide_dma_next(struct ide_unit *u)
{
    const struct ide_dma *dma = u->chan->dma;
    if (dma && dma->ready(u->chan, u->kind->dma_in(u))) {
        timer_set(&u->due, now(u) + (uint64_t)u->kind->dma_bytes(u) * IDE_NS_BYTE);
    } else {
        timer_cancel(&u->due);
    }
}

void ide_dma_begin(struct ide_unit *u)
{
    u->s->phase = IDE_PH_DMA;
    u->s->status = (uint8_t)(IDE_ST_BSY | IDE_ST_READY);
    ide_dma_next(u);
}

void ide_dma_kick(struct ide_chan *c)
{
    for (unsigned n = 0; n < 2; n++) {
        struct ide_unit *u = &c->unit[n];
        if (u->drive && u->s->phase == IDE_PH_DMA && !timer_pending(&u->due)) {
            ide_dma_next(u);
        }
    }
}

void ide_done(struct ide_unit *u)
{
    u->s->error = 0;
    set_phase(u, IDE_PH_IDLE, IDE_ST_READY, true);
}

void ide_fail(struct ide_unit *u, uint8_t status, uint8_t error)
{
    u->s->error = error;
    set_phase(u, IDE_PH_IDLE, (uint8_t)(status | IDE_ST_ERR), true);
}

uint64_t ide_seek_ns(const struct ide_unit *u, uint64_t lba, uint64_t sectors)
{
    uint64_t from = u->s->head, far = lba > from ? lba - from : from - lba;
    if (!far || !sectors) {
        return 0;
    }
    far = far < sectors ? far : sectors;
    return IDE_NS_SEEK / 4 + far * (IDE_NS_SEEK - IDE_NS_SEEK / 4) / sectors;
}

/* --- Resets --- */

/* ATA/ATAPI-6, 9.12. */
void ide_signature(struct ide_unit *u, uint8_t diagnostic)
{
    struct ide_unit_state *s = u->s;
    memset(s->hob, 0, sizeof s->hob);
    memset(s->reg, 0, sizeof s->reg);
    s->error = diagnostic;
    s->reg[IDE_NSECT] = s->reg[IDE_LBAL] = 1;
    s->reg[IDE_LBAM] = u->kind->lbam;
    s->reg[IDE_LBAH] = u->kind->lbah;
    s->device = (uint8_t)(u->chan->s->select << 4); /* DEVICE RESET leaves DEV alone */
}

static void begin_reset(struct ide_unit *u)
{
    u->s->phase = IDE_PH_RESET;
    u->s->status = IDE_ST_BSY;
    u->s->irq = false;
    timer_cancel(&u->due);
}

static void end_reset(struct ide_unit *u)
{
    u->kind->reset(u, false);
    ide_signature(u, 1);
    set_phase(u, IDE_PH_IDLE, u->kind->ready, false);
}

/* Power-on values of everything but what the kind of device sets. */
static void hard_reset(struct ide_unit *u, enum reset_kind kind)
{
    struct ide_unit_state *s = u->s;
    uint16_t chs[3];
    memcpy(chs, kind == RESET_COLD ? u->chs : s->chs, sizeof chs);
    timer_cancel(&u->due);
    memset(s, 0, sizeof *s);
    s->due.deadline = VTIME_NEVER;
    memcpy(s->chs, chs, sizeof chs);
    if (u->drive) {
        begin_reset(u);
        u->kind->reset(u, true);
        timer_set(&u->due, now(u) + IDE_NS_RESET);
    }
}

void ide_reset(struct ide_chan *c, enum reset_kind kind)
{
    c->s->control = 0;
    c->s->select = 0;
    for (unsigned n = 0; n < 2; n++) {
        hard_reset(&c->unit[n], kind);
    }
    update_irq(c);
}

static void soft_reset(struct ide_chan *c, bool on)
{
    c->s->select = 0;
    for (unsigned n = 0; n < 2; n++) {
        struct ide_unit *u = &c->unit[n];
        if (u->drive && on) {
            begin_reset(u);
        } else if (u->drive) {
            timer_set(&u->due, now(u) + IDE_NS_RESET);
        }
    }
    update_irq(c);
}

/* --- The clock of each phase --- */

static void on_due(void *ctx)
{
    struct ide_unit *u = ctx;
    switch (u->s->phase) {
    case IDE_PH_CMD:
        u->kind->run(u);
        break;
    case IDE_PH_BLOCK:
        u->kind->more(u);
        break;
    case IDE_PH_DMA:
        if (u->chan->dma && u->chan->dma->ready(u->chan, u->kind->dma_in(u))) {
            u->kind->dma(u);
        }
        break;
    case IDE_PH_RESET:
        end_reset(u);
        break;
    default:
        break; /* a saved machine that no machine would have saved */
    }
}

/* --- Registers --- */

/* Moves `size` bytes of the block and pads the last word. */
static uint32_t data_read(struct ide_unit *u, unsigned size)
{
    struct ide_unit_state *s = u->s;
    if (s->phase != IDE_PH_PIO_IN) {
        return 0;
    }
    uint8_t bytes[4] = {0};
    unsigned want = size < 2 ? 2 : size, left = (unsigned)(s->len - s->pos);
    unsigned n = want < left ? want : left;
    memcpy(bytes, s->buf + s->pos, n);
    s->pos = (uint16_t)(s->pos + n);
    if (s->pos == s->len) {
        u->kind->block(u);
    }
    return le32_get(bytes) & (uint32_t)bits_mask(8 * size);
}

static void data_write(struct ide_unit *u, unsigned size, uint32_t val)
{
    struct ide_unit_state *s = u->s;
    if (s->phase != IDE_PH_PIO_OUT) {
        return;
    }
    uint8_t bytes[4];
    le32_put(bytes, val);
    unsigned want = size < 2 ? 2 : size, left = (unsigned)(s->len - s->pos);
    unsigned n = want < left ? want : left;
    memcpy(s->buf + s->pos, bytes, n);
    s->pos = (uint16_t)(s->pos + n);
    if (s->pos == s->len) {
        u->kind->block(u);
    }
}

static uint8_t status(const struct ide_chan *c)
{
    const struct ide_unit *u = &c->unit[c->s->select & 1];
    if (u->drive) {
        return u->s->status;
    }
    return c->unit[0].drive ? 0 : (uint8_t)FLOATING;
}

uint8_t ide_alt_status(const struct ide_chan *c)
{
    return status(c);
}

static uint32_t reg_read(struct ide_chan *c, unsigned reg, unsigned size)
{
    struct ide_unit *u = answering(c);
    if (!u) {
        return FLOATING & (uint32_t)bits_mask(8 * size);
    }
    const uint8_t *latch = c->s->control & IDE_CTL_HOB ? u->s->hob : u->s->reg;
    switch (reg) {
    case IDE_DATA:
        return data_read(u, size);
    case IDE_ERROR:
        return u->s->error;
    case IDE_DEVICE:
        return u->s->device;
    case IDE_STATUS:
        selected(c)->s->irq = false;
        update_irq(c);
        return status(c);
    default:
        return latch[reg];
    }
}

/* EXECUTE DEVICE DIAGNOSTIC goes to both devices, and device 0 reports (ATA/ATAPI-6, 8.11). */
static void diagnose(struct ide_chan *c)
{
    c->s->select = 0;
    for (unsigned n = 0; n < 2; n++) {
        struct ide_unit *u = &c->unit[n];
        if (u->drive && u->s->phase != IDE_PH_RESET) {
            u->s->cmd = ATA_DIAGNOSTIC;
            u->s->irq = false;
            ide_busy(u, IDE_PH_CMD, IDE_NS_COMMAND);
        }
    }
    update_irq(c);
}

/* A command is taken by an idle device; DEVICE RESET of a packet device always. */
static void command(struct ide_chan *c, uint8_t cmd)
{
    struct ide_unit *u = selected(c);
    bool idle = u->s->phase == IDE_PH_IDLE && u->s->power != IDE_PW_SLEEP;
    if (cmd == ATA_DIAGNOSTIC && idle) {
        diagnose(c);
        return;
    }
    bool breaks_in = cmd == ATA_DEVICE_RESET && u->kind->packet && u->s->phase != IDE_PH_RESET;
    if (!u->drive || (!idle && !breaks_in)) {
        return;
    }
    u->s->cmd = cmd;
    u->s->irq = false;
    update_irq(c);
    u->kind->command(u);
}

static bool takes_registers(const struct ide_unit *u)
{
    return !(u->s->status & IDE_ST_BSY);
}

static void reg_write(struct ide_chan *c, unsigned reg, unsigned size, uint32_t val)
{
    uint8_t byte = (uint8_t)val;
    if (reg == IDE_DATA) {
        struct ide_unit *u = answering(c);
        if (u) {
            data_write(u, size, val);
        }
        return;
    }
    c->s->control &= (uint8_t)~IDE_CTL_HOB;
    if (reg == IDE_COMMAND) {
        command(c, byte);
        return;
    }
    for (unsigned n = 0; n < 2; n++) {
        struct ide_unit_state *s = c->unit[n].s;
        if (reg == IDE_DEVICE) {
            s->device = takes_registers(&c->unit[n]) ? byte : s->device;
        } else if (takes_registers(&c->unit[n])) {
            s->hob[reg] = s->reg[reg];
            s->reg[reg] = byte;
        }
    }
    if (reg == IDE_DEVICE) {
        c->s->select = (byte & IDE_DEV_UNIT1) != 0;
        update_irq(c);
    }
}

uint32_t ide_ports_read(struct ide_chan *c, unsigned off, unsigned size)
{
    if (off == IDE_DATA) {
        return reg_read(c, IDE_DATA, size);
    }
    uint32_t val = 0;
    for (unsigned i = 0; i < size; i++) {
        val |= (reg_read(c, (off + i) & 7, 1) & 0xff) << (8 * i);
    }
    return val;
}

void ide_ports_write(struct ide_chan *c, unsigned off, unsigned size, uint32_t val)
{
    if (off == IDE_DATA) {
        reg_write(c, IDE_DATA, size, val);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        reg_write(c, (off + i) & 7, 1, val >> (8 * i) & 0xff);
    }
}

void ide_control(struct ide_chan *c, uint8_t val)
{
    uint8_t was = c->s->control;
    c->s->control = val & (IDE_CTL_NIEN | IDE_CTL_SRST | IDE_CTL_HOB);
    if ((was ^ val) & IDE_CTL_SRST) {
        soft_reset(c, val & IDE_CTL_SRST);
    }
    update_irq(c);
}

/* --- Life --- */

/* A serial number that stays the same for a drive of the same name: FNV-1a. */
static void make_serial(struct ide_unit *u, const char *given)
{
    if (*given) {
        snprintf(u->serial, sizeof u->serial, "%s", given);
        return;
    }
    uint32_t h = 2166136261u;
    for (const char *p = u->drive->name; *p; p++) {
        h = (h ^ (uint8_t)*p) * 16777619u;
    }
    snprintf(u->serial, sizeof u->serial, "DP%08X", (unsigned)h);
}

static bool check_conf(const struct ide_conf *f, unsigned n, struct err *e)
{
    if (f->drive && f->drive->kind == DRIVE_FLOPPY) {
        return err_set(e, "drive%u: want a hard disk or CD-ROM", n);
    }
    if (!f->cyls != !f->heads || !f->cyls != !f->secs) {
        return err_usage(e, "cyls%u, heads%u and secs%u go together", n, n, n);
    }
    if (strlen(f->serial) > 20) {
        return err_usage(e, "serial%u=%s: want at most 20 characters", n, f->serial);
    }
    return true;
}

/* The medium went out or came in. */
static void changed(void *ctx)
{
    struct ide_unit *u = ctx;
    u->kind->changed(u);
}

static void eject_asked(void *ctx)
{
    struct ide_unit *u = ctx;
    u->kind->eject_asked(u);
}

bool ide_init(struct ide_chan *c, struct dev *d, struct ide_chan_state *s,
              const struct ide_conf conf[2], struct err *e)
{
    c->dev = d;
    c->s = s;
    for (unsigned n = 0; n < 2; n++) {
        struct ide_unit *u = &c->unit[n];
        const struct ide_conf *f = &conf[n];
        if (!check_conf(f, n, e)) {
            return false;
        }
        u->chan = c;
        u->s = &s->unit[n];
        u->drive = f->drive;
        u->kind = f->drive && f->drive->kind == DRIVE_CDROM ? &atapi_kind : &ata_kind;
        timer_init(&u->due, d->env->clock, &u->s->due, on_due, u);
        if (!u->drive) {
            continue;
        }
        make_serial(u, f->serial);
        if (f->cyls) {
            u->chs[0] = (uint16_t)f->cyls;
            u->chs[1] = (uint16_t)f->heads;
            u->chs[2] = (uint16_t)f->secs;
        } else if (u->kind == &ata_kind) {
            ata_geometry(u);
        }
        drive_attach(u->drive, changed, eject_asked, u);
    }
    return true;
}

/* Does the timer have a meaning in this phase? */
static bool may_wait(const struct ide_unit *u)
{
    switch (u->s->phase) {
    case IDE_PH_CMD:
    case IDE_PH_BLOCK:
    case IDE_PH_DMA:
    case IDE_PH_RESET:
        return true;
    default:
        return false;
    }
}

/* A loaded state may be anything: what indexes is made to fit, what would never end is ended. */
void ide_restored(struct ide_chan *c)
{
    c->s->select &= 1;
    for (unsigned n = 0; n < 2; n++) {
        struct ide_unit *u = &c->unit[n];
        struct ide_unit_state *s = u->s;
        if (s->phase >= IDE_PHASES || !u->drive) {
            s->phase = IDE_PH_IDLE;
        }
        s->len = s->len <= IDE_BUF ? s->len : IDE_BUF;
        s->pos = s->pos < s->len ? s->pos : s->len;
        bool moving = s->phase == IDE_PH_PIO_IN || s->phase == IDE_PH_PIO_OUT;
        if (moving && s->pos == s->len) {
            s->phase = IDE_PH_IDLE;
        }
        if (!may_wait(u)) {
            timer_cancel(&u->due);
        }
        if (u->drive) {
            u->kind->restored(u);
        }
    }
}
