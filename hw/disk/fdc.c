/*
 * Intel 82077AA floppy controller in a PC/AT, with two drives: registers, phases, bus.
 *
 * A command is collected byte by byte, executed, and answered. What takes time (steps, sectors,
 * the reset) ends at a virtual time: with turbo=on (the default) after short fixed times, otherwise
 * when the mechanics would be there: steps at the programmed rate, a sector when it passes the head
 * of a diskette that turns since time 0, a motor that needs half a second to get up to speed.
 *
 * What always holds: the interrupt line is `irq` gated by the DOR's DMA gate. A command for a drive
 * without a turning diskette stays in its execution phase until there is one or the controller is
 * reset, as on the chip, which waits for index pulses. The DOR, not the command, selects the drive;
 * the command's two bits name the unit in PCN and ST0.
 *
 * Left out: the tape drive register selects nothing; status registers A and B (PS/2 and Model 30
 * modes); power down. In the non-DMA mode the chip waits for the host: no overrun.
 *
 * Sources: Intel 82077AA datasheet (290166-007), 2.1 (registers), 4.0 (phases), 5.0 (commands),
 * 6.0 (status registers), 7.0 (reset); IBM PC/AT Technical Reference for ports and DSKCHG.
 */
#include "hw/disk/fdc.h"

#include <string.h>

#include "hw/dma/i8237.h"
#include "hw/hw.h"
#include "mmu/aspace.h"

enum {
    REG_DOR = 2,
    REG_TDR = 3,
    REG_STATUS = 4, /* writes: data rate select */
    REG_FIFO = 5,
    REG_DIR = 7, /* writes: configuration control */

    MSR_RQM = 0x80,
    MSR_DIO = 0x40,
    MSR_NON_DMA = 0x20,
    MSR_BUSY = 0x10,
    DIR_CHANGED = 0x80,
    DSR_RESET = 0x80,
    RATE_250K = 2,
    NON_DMA = 0x01, /* of SPECIFY's last byte */
};

/* From the end of a reset to the polling interrupt: the chip polls once in 1.024 ms. */
#define RESET_TIME  (1024 * VTIME_US)
#define RESET_TURBO (20 * VTIME_US)
#define SPIN_UP     (500 * VTIME_MS)

ST_DESCRIBE(fdd_state, FDD_STATE, 1);
ST_DESCRIBE(fdc_state, FDC_STATE, 1);

/* --- Phases and the interrupt --- */

unsigned fdc_selected(const struct fdc *f)
{
    unsigned i = f->s.dor & DOR_SELECT;
    return i < FDC_DRIVES && f->fdd[i].drive ? i : FDC_DRIVES;
}

static void update_irq(struct fdc *f)
{
    dev_pin_set(&f->dev, 0, f->s.irq && (f->s.dor & DOR_DMA_GATE));
}

void fdc_set_irq(struct fdc *f, bool on)
{
    f->s.irq = on;
    update_irq(f);
}

void fdc_idle(struct fdc *f)
{
    f->s.phase = FDC_COMMAND;
    f->s.cmd_pos = f->s.cmd_len = 0;
}

void fdc_result(struct fdc *f, unsigned n, bool irq)
{
    f->s.phase = FDC_RESULT;
    f->s.res_len = (uint8_t)n;
    f->s.res_pos = 0;
    if (irq) {
        fdc_set_irq(f, true);
    }
}

/* --- Reset --- */

static bool in_reset(const struct fdc *f)
{
    return !(f->s.dor & DOR_NOT_RESET) || timer_pending(&f->ready);
}

/* What every reset does to the core; the DOR, the rate and SPECIFY's times stay (7.2). */
static void reset_core(struct fdc *f)
{
    fdc_idle(f);
    timer_cancel(&f->ready);
    timer_cancel(&f->exec);
    for (unsigned i = 0; i < FDC_UNITS; i++) {
        timer_cancel(&f->seek[i]);
        f->s.pcn[i] = 0;
    }
    f->s.sense = f->s.reset_left = 0;
    f->s.waiting = f->s.moving = false;
    f->s.avail = 0;
    f->s.perp &= 0x3c; /* GAP and WGATE */
    if (f->s.lock) {
        f->s.config &= CONFIG_NO_FIFO | CONFIG_THRESHOLD;
    } else {
        f->s.config = CONFIG_NO_FIFO;
        f->s.pretrk = 0;
    }
    fdc_set_irq(f, false);
}

static void end_reset(struct fdc *f)
{
    timer_set(&f->ready, fdc_now(f) + (f->turbo ? RESET_TURBO : RESET_TIME));
}

static void on_ready(void *ctx)
{
    struct fdc *f = ctx;
    if (!(f->s.config & CONFIG_NO_POLL)) {
        f->s.reset_left = FDC_UNITS;
        fdc_set_irq(f, true);
    }
}

/* --- Registers --- */

static void write_motors(struct fdc *f, uint8_t old)
{
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        uint8_t bit = (uint8_t)(DOR_MOTOR0 << i);
        if ((f->s.dor & bit) && !(old & bit)) {
            f->s.drive[i].spun_up = fdc_now(f) + (f->turbo ? 0 : SPIN_UP);
        } else if (!(f->s.dor & bit) && (old & bit) && f->fdd[i].drive) {
            drive_flush(f->fdd[i].drive);
        }
    }
}

static void write_dor(struct fdc *f, uint8_t val)
{
    uint8_t old = f->s.dor;
    f->s.dor = val;
    write_motors(f, old);
    if (!(val & DOR_NOT_RESET)) {
        reset_core(f);
    } else if (!(old & DOR_NOT_RESET)) {
        end_reset(f);
    }
    update_irq(f);
    fdc_data_kick(f);
}

static void write_dsr(struct fdc *f, uint8_t val)
{
    f->s.dsr = val & 0x7f;
    f->s.rate = val & 3;
    if ((val & DSR_RESET) && (f->s.dor & DOR_NOT_RESET)) {
        reset_core(f);
        end_reset(f);
    }
}

static uint8_t main_status(const struct fdc *f)
{
    if (in_reset(f)) {
        return 0;
    }
    unsigned v = 0;
    for (unsigned i = 0; i < FDC_UNITS; i++) {
        v |= (unsigned)timer_pending(&f->seek[i]) << i;
    }
    switch (f->s.phase) {
    case FDC_EXEC:
        v |= MSR_BUSY | (f->s.hlt_nd & NON_DMA ? MSR_NON_DMA : 0u);
        if (f->s.moving && f->s.avail) {
            v |= MSR_RQM | (fdc_data_to_host(f) ? MSR_DIO : 0u);
        }
        break;
    case FDC_RESULT:
        v |= MSR_BUSY | MSR_RQM | MSR_DIO;
        break;
    default:
        v |= MSR_RQM | (f->s.cmd_pos ? MSR_BUSY : 0u);
        break;
    }
    return (uint8_t)v;
}

static uint8_t read_fifo(struct fdc *f)
{
    if (in_reset(f)) {
        return 0;
    }
    if (f->s.phase == FDC_EXEC) {
        return fdc_data_read(f);
    }
    if (f->s.phase != FDC_RESULT) {
        return 0;
    }
    uint8_t v = f->s.res[f->s.res_pos < FDC_RES_MAX ? f->s.res_pos : 0];
    f->s.res_pos++;
    if (f->s.res_pos == 1) {
        fdc_set_irq(f, false);
    }
    if (f->s.res_pos >= f->s.res_len) {
        fdc_idle(f);
        if (f->s.sense) {
            fdc_set_irq(f, true); /* a seek of another unit ended meanwhile */
        }
    }
    return v;
}

static void write_fifo(struct fdc *f, uint8_t val)
{
    if (in_reset(f) || f->s.phase == FDC_RESULT) {
        log_guest(f->dev.env->log, LOG_guest_errors, "%s: byte %#x out of turn", f->dev.name, val);
        return;
    }
    if (f->s.phase == FDC_EXEC) {
        fdc_data_write(f, val);
        return;
    }
    if (f->s.cmd_pos == 0) {
        f->s.cmd_len = (uint8_t)fdc_cmd_length(val);
    }
    f->s.cmd[f->s.cmd_pos < FDC_CMD_MAX ? f->s.cmd_pos : 0] = val;
    f->s.cmd_pos++;
    if (f->s.cmd_pos >= f->s.cmd_len) {
        fdc_cmd_run(f);
    }
}

static uint8_t read_dir(const struct fdc *f)
{
    unsigned i = fdc_selected(f);
    /* Bits 0..6 are the fixed disk adapter's on an AT; nobody drives them. */
    return (uint8_t)(0x7f | (i < FDC_DRIVES && f->s.drive[i].changed ? DIR_CHANGED : 0));
}

static uint64_t fdc_read(struct dev *d, uint64_t off, unsigned size)
{
    struct fdc *f = (struct fdc *)d;
    (void)size;
    switch (off) {
    case REG_DOR:
        return f->s.dor;
    case REG_TDR:
        return 0xfc | f->s.tdr;
    case REG_STATUS:
        return main_status(f);
    case REG_FIFO:
        return read_fifo(f);
    default: /* status registers A and B: not in AT mode */
        return 0xff;
    }
}

static void fdc_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct fdc *f = (struct fdc *)d;
    (void)size;
    switch (off) {
    case REG_DOR:
        write_dor(f, (uint8_t)val);
        break;
    case REG_TDR:
        f->s.tdr = val & 3;
        break;
    case REG_STATUS:
        write_dsr(f, (uint8_t)val);
        break;
    case REG_FIFO:
        write_fifo(f, (uint8_t)val);
        break;
    default:
        break;
    }
}

static uint64_t dir_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    (void)size;
    return read_dir((struct fdc *)d);
}

static void ccr_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)off;
    (void)size;
    ((struct fdc *)d)->s.rate = val & 3;
}

static const struct io_ops fdc_ops = {fdc_read, fdc_write, 1, 1};
static const struct io_ops dir_ops = {dir_read, ccr_write, 1, 1};

/* --- Timers --- */

static void on_exec(void *ctx)
{
    struct fdc *f = ctx;
    if (f->s.phase == FDC_EXEC) {
        fdc_data_timer(f);
    }
}

static void on_seek0(void *ctx)
{
    fdc_seek_done(ctx, 0);
}
static void on_seek1(void *ctx)
{
    fdc_seek_done(ctx, 1);
}
static void on_seek2(void *ctx)
{
    fdc_seek_done(ctx, 2);
}
static void on_seek3(void *ctx)
{
    fdc_seek_done(ctx, 3);
}

/* --- Drives --- */

static void read_label(struct fdd *x)
{
    uint64_t sectors = x->drive ? drive_sectors(x->drive) : 0;
    x->media = sectors ? fd_medium_of(sectors) : (struct fd_medium){.spt = 0};
}

static void on_changed(void *ctx)
{
    struct fdd *x = ctx;
    read_label(x);
    x->fdc->s.drive[x - x->fdc->fdd].changed = true;
    fdc_data_kick(x->fdc);
}

static bool attach(struct fdc *f, unsigned i, struct err *e)
{
    struct fdd *x = &f->fdd[i];
    x->fdc = f;
    x->type = x->drive ? fd_type_of(drive_sectors(x->drive)) : FD_NONE;
    if (strcmp(x->type_name, "auto") != 0 && !fd_type_find(x->type_name, &x->type)) {
        return err_usage(e, "fdtype%c=%s: want auto, 360K, 1.2M, 720K, 1.44M, 2.88M or none",
                         "AB"[i], x -> type_name);
    }
    if (x->type == FD_NONE) {
        x->drive = NULL;
    } else if (!x->drive) {
        x->type = FD_NONE;
    }
    read_label(x);
    drive_attach(x->drive, on_changed, NULL, x);
    return true;
}

uint8_t fdc_floppy_types(struct dev *d)
{
    const struct fdc *f = (const struct fdc *)d;
    return (uint8_t)((unsigned)f->fdd[0].type << 4 | (unsigned)f->fdd[1].type);
}

/* --- Life --- */

static bool fdc_init(struct dev *d, struct err *e)
{
    static void (*const on_seek[FDC_UNITS])(void *) = {on_seek0, on_seek1, on_seek2, on_seek3};
    struct fdc *f = (struct fdc *)d;
    if (f->dma_name[0]) {
        f->dma = dev_find(d->env, f->dma_name);
        if (!f->dma || f->dma->cls != &i8237_class) {
            return err_set(e, "dma=%s: no such DMA controller", f->dma_name);
        }
    }
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        if (!attach(f, i, e)) {
            return false;
        }
    }
    timer_init(&f->ready, d->env->clock, &f->s.ready, on_ready, f);
    timer_init(&f->exec, d->env->clock, &f->s.exec, on_exec, f);
    for (unsigned i = 0; i < FDC_UNITS; i++) {
        timer_init(&f->seek[i], d->env->clock, &f->s.seek[i], on_seek[i], f);
    }
    /* 3F6H between them is the fixed disk's. */
    aspace_map_io(d->env->io, f->iobase, 6, &fdc_ops, d, d->name, 0);
    aspace_map_io(d->env->io, f->iobase + REG_DIR, 1, &dir_ops, d, d->name, 0);
    return true;
}

static void fdc_reset(struct dev *d, enum reset_kind kind)
{
    struct fdc *f = (struct fdc *)d;
    struct fdd_state drive[FDC_DRIVES];
    memcpy(drive, f->s.drive, sizeof drive);
    reset_core(f);
    f->s = (struct fdc_state){.rate = RATE_250K, .config = CONFIG_NO_FIFO};
    f->s.ready.deadline = f->s.exec.deadline = VTIME_NEVER;
    for (unsigned i = 0; i < FDC_UNITS; i++) {
        f->s.seek[i].deadline = VTIME_NEVER;
    }
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        /* The reset line does not move heads. At power-on they are where they were left. */
        f->s.drive[i] = drive[i];
        f->s.drive[i].spun_up = 0;
        if (kind == RESET_COLD) {
            f->s.drive[i] = (struct fdd_state){.cyl = 0, .changed = true};
        }
    }
    update_irq(f);
}

static void fdc_restored(struct dev *d)
{
    struct fdc *f = (struct fdc *)d;
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        read_label(&f->fdd[i]);
    }
}

static const struct prop fdc_props[] = {
    {"iobase", PROP_U32, offsetof(struct fdc, iobase), "0x3f0", 0, 0xfff8, "I/O port"},
    {"dma", PROP_STR, offsetof(struct fdc, dma_name), "", 0, 0,
     "name of the DMA controller; empty: none"},
    {"dma-channel", PROP_U32, offsetof(struct fdc, dma_channel), "2", 0, 3, "its channel"},
    {"driveA", PROP_DRIVE, offsetof(struct fdc, fdd[0].drive), NULL, 0, 0, "first drive"},
    {"driveB", PROP_DRIVE, offsetof(struct fdc, fdd[1].drive), NULL, 0, 0, "second drive"},
    {"fdtypeA", PROP_STR, offsetof(struct fdc, fdd[0].type_name), "auto", 0, 0,
     "its type: 360K, 1.2M, 720K, 1.44M, 2.88M, none; auto: what suits the image"},
    {"fdtypeB", PROP_STR, offsetof(struct fdc, fdd[1].type_name), "auto", 0, 0, "the same"},
    {"turbo", PROP_BOOL, offsetof(struct fdc, turbo), "on", 0, 0,
     "short fixed times instead of those of the mechanics"},
    {0},
};
static const char *const fdc_out[] = {"irq", NULL};

const struct dev_class fdc_class = {
    .name = "fdc",
    .help = "82077AA floppy controller with two drives",
    .size = sizeof(struct fdc),
    .state_off = offsetof(struct fdc, s),
    .state = &fdc_state_desc,
    .props = fdc_props,
    .pins_out = fdc_out,
    .init = fdc_init,
    .reset = fdc_reset,
    .restored = fdc_restored,
};
