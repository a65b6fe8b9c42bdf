/*
 * Commands of the 82077AA that move no data: control, status, seeks.
 *
 * The table is datasheet 5.0, "Command Set": first byte (without the bits that are options), how
 * many bytes the command phase takes, what carries it out. What is not in it answers 80H in ST0.
 * PART ID (18H) is the 82078's: the 82077AA does not know it, and drivers tell the two by that.
 */
#include "hw/disk/fdc.h"
#include "util/bits.h"

enum {
    SEEK_HEAD = 0x04, /* of seek_cmd and of a command's second byte */
    SEEK_RECALIBRATE = 0x80,
    RECALIBRATE_STEPS = 79,
    REL_INWARD = 0x40,
    LOCK_BIT = 0x80,
    VERSION_82077 = 0x90,
    ST3_PROTECTED = 0x40,
    ST3_READY = 0x20,
    ST3_TRACK0 = 0x10,
    ST3_TWO_SIDED = 0x08,
    NON_SEEK_TURBO_STEPS = 4, /* settling, with turbo=on, in steps */
};

#define STEP_TURBO (1 * VTIME_US)
#define SETTLE     (15 * VTIME_MS)

static unsigned unit_of(const struct fdc *f)
{
    return f->s.cmd[1] & 3;
}

/* --- Seeks --- */

/* SPECIFY's step rate: 16 - n times half a millisecond at 1 Mbit/s, more at slower rates (5.2.9).
 */
vtime fdc_step_time(const struct fdc *f)
{
    static const uint16_t unit_us[] = {1000, 1667, 2000, 500};
    return f->turbo ? STEP_TURBO : (16u - (f->s.specify >> 4)) * unit_us[f->s.rate & 3] * VTIME_US;
}

void fdc_step(struct fdc *f, unsigned i, int steps)
{
    if (i >= FDC_DRIVES || !f->fdd[i].drive || !steps) {
        return;
    }
    struct fdd_state *s = &f->s.drive[i];
    int last = (int)fd_last_cyl(f->fdd[i].type), from = s->cyl > last ? last : s->cyl;
    int to = from + steps;
    to = to < 0 ? 0 : to > last ? last : to;
    s->cyl = (uint8_t)to;
    if (f->fdd[i].media.spt) {
        s->changed = false; /* a step pulse with a medium in the drive */
    }
}

/* The command phase has ended; the steps take their time in the background. */
static void begin_seek(struct fdc *f, unsigned unit, int steps, uint8_t how)
{
    unsigned n = (unsigned)(steps < 0 ? -steps : steps);
    f->s.seek_drive[unit] = (uint8_t)fdc_selected(f);
    f->s.seek_steps[unit] = (int16_t)steps;
    f->s.seek_cmd[unit] = how | (f->s.cmd[1] & SEEK_HEAD);
    f->s.sense &= (uint8_t) ~(1u << unit);
    vtime settle = f->turbo ? NON_SEEK_TURBO_STEPS * STEP_TURBO : SETTLE;
    timer_set(&f->seek[unit], fdc_now(f) + n * fdc_step_time(f) + settle);
    fdc_idle(f);
}

void fdc_seek_done(struct fdc *f, unsigned unit)
{
    unsigned i = f->s.seek_drive[unit];
    uint8_t how = f->s.seek_cmd[unit];
    fdc_step(f, i, f->s.seek_steps[unit]);
    unsigned st0 = ST0_SEEK_END | (how & SEEK_HEAD) | unit;
    if (how & SEEK_RECALIBRATE) {
        f->s.pcn[unit] = 0;
        if (i >= FDC_DRIVES || f->s.drive[i].cyl != 0) {
            st0 |= ST0_ABNORMAL | ST0_EQUIPMENT; /* no track 0 after 79 steps */
        }
    }
    f->s.seek_st0[unit] = (uint8_t)st0;
    f->s.sense |= (uint8_t)(1u << unit);
    f->s.reset_left = 0;
    fdc_set_irq(f, true);
}

static void cmd_recalibrate(struct fdc *f)
{
    unsigned i = fdc_selected(f);
    /* Without a step at track 0: DSKCHG stays as it is. */
    int cyl = i < FDC_DRIVES ? f->s.drive[i].cyl : RECALIBRATE_STEPS;
    int steps = cyl < RECALIBRATE_STEPS ? cyl : RECALIBRATE_STEPS;
    begin_seek(f, unit_of(f), -steps, SEEK_RECALIBRATE);
}

static void cmd_seek(struct fdc *f)
{
    unsigned u = unit_of(f);
    int steps = f->s.cmd[2] - f->s.pcn[u];
    f->s.pcn[u] = f->s.cmd[2];
    begin_seek(f, u, steps, 0);
}

static void cmd_relative_seek(struct fdc *f)
{
    unsigned u = unit_of(f);
    int steps = f->s.cmd[0] & REL_INWARD ? f->s.cmd[2] : -(int)f->s.cmd[2];
    f->s.pcn[u] = (uint8_t)(f->s.pcn[u] + steps);
    begin_seek(f, u, steps, 0);
}

/* --- Status and control --- */

static void cmd_invalid(struct fdc *f)
{
    f->s.res[0] = ST0_INVALID;
    fdc_result(f, 1, false);
}

static void cmd_sense_interrupt(struct fdc *f)
{
    unsigned unit = 0;
    if (f->s.reset_left && f->s.reset_left <= FDC_UNITS) {
        unit = FDC_UNITS - f->s.reset_left;
        f->s.res[0] = (uint8_t)(ST0_POLLING | unit);
        f->s.reset_left--;
    } else if (f->s.sense & 15) {
        while (!(f->s.sense >> unit & 1)) {
            unit++;
        }
        f->s.res[0] = f->s.seek_st0[unit];
        f->s.sense &= (uint8_t) ~(1u << unit);
    } else {
        cmd_invalid(f); /* nothing to sense */
        return;
    }
    f->s.res[1] = f->s.pcn[unit];
    fdc_set_irq(f, false);
    fdc_result(f, 2, false);
}

static void cmd_sense_drive(struct fdc *f)
{
    unsigned i = fdc_selected(f), v = ST3_READY | ST3_TWO_SIDED | (f->s.cmd[1] & 7u);
    if (i < FDC_DRIVES) {
        const struct drive *d = f->fdd[i].drive;
        /* An empty drive's sensor sees what an open write-protect notch looks like. */
        v |= !d->blk || d->blk->readonly ? ST3_PROTECTED : 0u;
        v |= f->s.drive[i].cyl ? 0u : ST3_TRACK0;
    }
    f->s.res[0] = (uint8_t)v;
    fdc_result(f, 1, false);
}

static void cmd_specify(struct fdc *f)
{
    f->s.specify = f->s.cmd[1];
    f->s.hlt_nd = f->s.cmd[2];
    fdc_idle(f);
}

static void cmd_configure(struct fdc *f)
{
    f->s.config = f->s.cmd[2] & 0x7f;
    f->s.pretrk = f->s.cmd[3];
    fdc_idle(f);
}

static void cmd_perpendicular(struct fdc *f)
{
    uint8_t v = f->s.cmd[1];
    bool overwrite = v & 0x80;
    f->s.perp = (uint8_t)((v & 3) | (overwrite ? v & 0x3c : f->s.perp & 0x3c));
    fdc_idle(f);
}

static void cmd_lock(struct fdc *f)
{
    f->s.lock = f->s.cmd[0] & LOCK_BIT;
    f->s.res[0] = f->s.lock ? 0x10 : 0;
    fdc_result(f, 1, false);
}

static void cmd_version(struct fdc *f)
{
    f->s.res[0] = VERSION_82077;
    fdc_result(f, 1, false);
}

static void cmd_dumpreg(struct fdc *f)
{
    uint8_t *r = f->s.res;
    for (unsigned i = 0; i < FDC_UNITS; i++) {
        r[i] = f->s.pcn[i];
    }
    r[4] = f->s.specify;
    r[5] = f->s.hlt_nd;
    r[6] = f->s.sc_eot;
    r[7] = (uint8_t)((f->s.lock ? 0x80 : 0) | (f->s.perp & 0x3f));
    r[8] = f->s.config & 0x7f;
    r[9] = f->s.pretrk;
    fdc_result(f, 10, false);
}

/* --- The command table --- */

struct command {
    uint8_t code, mask; /* the first byte under the mask */
    uint8_t len;        /* bytes of the command phase */
    void (*run)(struct fdc *f);
};

// clang-format off
static const struct command commands[] = {
    {OP_READ,          0x1f, 9, fdc_data_begin},
    {OP_READ_DELETED,  0x1f, 9, fdc_data_begin},
    {OP_WRITE,         0x3f, 9, fdc_data_begin},
    {OP_WRITE_DELETED, 0x3f, 9, fdc_data_begin},
    {OP_READ_TRACK,    0xbf, 9, fdc_data_begin},
    {OP_VERIFY,        0x1f, 9, fdc_data_begin},
    {OP_SCAN_EQUAL,    0x1f, 9, fdc_data_begin},
    {OP_SCAN_LOW,      0x1f, 9, fdc_data_begin},
    {OP_SCAN_HIGH,     0x1f, 9, fdc_data_begin},
    {OP_FORMAT,        0xbf, 6, fdc_data_begin},
    {OP_READ_ID,       0xbf, 2, fdc_data_begin},
    {0x03,             0xff, 3, cmd_specify},
    {0x04,             0xff, 2, cmd_sense_drive},
    {0x07,             0xff, 2, cmd_recalibrate},
    {0x08,             0xff, 1, cmd_sense_interrupt},
    {0x0e,             0xff, 1, cmd_dumpreg},
    {0x0f,             0xff, 3, cmd_seek},
    {0x8f,             0xbf, 3, cmd_relative_seek},
    {0x10,             0xff, 1, cmd_version},
    {0x12,             0xff, 2, cmd_perpendicular},
    {0x13,             0xff, 4, cmd_configure},
    {0x14,             0x7f, 1, cmd_lock},
};
// clang-format on

static const struct command *find(uint8_t first)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        if ((first & commands[i].mask) == commands[i].code) {
            return &commands[i];
        }
    }
    return NULL;
}

unsigned fdc_cmd_length(uint8_t first)
{
    const struct command *c = find(first);
    return c ? c->len : 1;
}

void fdc_cmd_run(struct fdc *f)
{
    const struct command *c = find(f->s.cmd[0]);
    if (c) {
        c->run(f);
    } else {
        cmd_invalid(f);
    }
}
