/*
 * Commands of the 82077AA that work on a track: read, write, scan, verify, format, read ID.
 *
 * Each sector is one event: at its instant it is looked for below the heads (the ID field must
 * match C, H, R and N), moved between drive and host, and counted. By DMA a sector moves at once,
 * and an 8237 that is not ready is an overrun; otherwise the host moves `buf` through the FIFO.
 * Without terminal count a transfer ends after sector EOT with "end of cylinder", which on the PC
 * is how every non-DMA transfer ends.
 *
 * A raw image holds plain sectors of 512 bytes: what FORMAT or WRITE DELETED would add (other
 * sizes, numbers and marks) is lost as on a bad diskette: such sectors are not found afterwards.
 *
 * Sources: 82077AA datasheet 5.1 (data transfer commands, result tables 5-4 to 5-10), 6.0 (status).
 */
#include <string.h>

#include "hw/disk/fdc.h"
#include "hw/dma/i8237.h"

enum {
    SECTOR = 512,
    SIZE_512 = 2, /* N */
    FIFO_SIZE = 16,
    NON_DMA = 0x01,
    VERIFY_COUNT = 0x80, /* EC */
    PARAM_EOT = 6,
    PARAM_LAST = 8, /* DTL, SC of VERIFY, STP of SCAN */
    FORMAT_N = 2,
    FORMAT_COUNT = 3,
    FORMAT_FILL = 5,
};

/* With turbo=on: until a command's first sector, from one to the next, and a few bytes through the
 * FIFO. Long enough (a nanosecond is an instruction) that a driver's order of doing things works as
 * it does on a machine; short because SeaBIOS polls for the interrupt all that time. */
#define FIRST_TURBO (5 * VTIME_US)
#define NEXT_TURBO  (2 * VTIME_US)
#define CHUNK_TURBO (1 * VTIME_US)

static bool non_dma(const struct fdc *f)
{
    return f->s.hlt_nd & NON_DMA;
}

/* The selected drive has a medium, and it turns. */
static bool spinning(const struct fdc *f)
{
    unsigned i = fdc_selected(f);
    return i < FDC_DRIVES && f->fdd[i].media.spt && (f->s.dor & (DOR_MOTOR0 << i));
}

static bool is_scan(const struct fdc *f)
{
    return f->s.op == OP_SCAN_EQUAL || f->s.op == OP_SCAN_LOW || f->s.op == OP_SCAN_HIGH;
}

static bool is_write(const struct fdc *f)
{
    return f->s.op == OP_WRITE || f->s.op == OP_WRITE_DELETED;
}

bool fdc_data_to_host(const struct fdc *f)
{
    return !is_scan(f) && !is_write(f) && f->s.op != OP_FORMAT;
}

static void finish(struct fdc *f, unsigned st0, unsigned st1, unsigned st2)
{
    uint8_t *r = f->s.res;
    r[0] = (uint8_t)(st0 | (f->s.head & 1u) << 2 | (f->s.cmd[1] & 3u));
    r[1] = (uint8_t)st1;
    r[2] = (uint8_t)st2;
    r[3] = f->s.c;
    r[4] = f->s.h;
    r[5] = f->s.r;
    r[6] = f->s.n;
    f->s.moving = f->s.waiting = false;
    f->s.avail = f->s.reset_left = 0;
    memset(f->s.buf, 0, sizeof f->s.buf);
    timer_cancel(&f->exec);
    fdc_result(f, 7, true);
}

/* --- What is below the heads --- */

static const struct fdd *selected(const struct fdc *f)
{
    return &f->fdd[fdc_selected(f)];
}

static int track_below(const struct fdc *f)
{
    const struct fdd *x = selected(f);
    return fd_track_at(x->type, &x->media, f->s.drive[fdc_selected(f)].cyl);
}

/* Nothing that the data separator could lock on to. */
static bool unreadable(const struct fdc *f)
{
    const struct fdd *x = selected(f);
    return !(f->s.cmd[0] & CMD_MFM) || !fd_reads(x->type, &x->media, f->s.rate & 3u) ||
           track_below(f) < 0 || f->s.head >= x->media.heads;
}

static bool id_exists(const struct fdc *f, unsigned c, unsigned h, unsigned r, unsigned n)
{
    return (int)c == track_below(f) && h == f->s.head && n == SIZE_512 && r >= 1 &&
           r <= selected(f)->media.spt;
}

/* Why the sector C, H, R, N cannot be found: ST1 | ST2 << 8; 0: it can. */
static unsigned fault(const struct fdc *f)
{
    if (f->s.op == OP_FORMAT) {
        return 0;
    }
    if (unreadable(f)) {
        return ST1_MISSING_MARK;
    }
    if (f->s.op == OP_READ_ID || f->s.op == OP_READ_TRACK ||
        id_exists(f, f->s.c, f->s.h, f->s.r, f->s.n)) {
        return 0;
    }
    return (int)f->s.c != track_below(f) ? ST1_NO_DATA | ST2_WRONG_CYLINDER << 8 : ST1_NO_DATA;
}

/* Sectors of the commands that count them; 0 means 256. */
static uint16_t count_of(const struct fdc *f)
{
    uint8_t n = f->s.cmd[f->s.op == OP_READ_TRACK ? PARAM_EOT : PARAM_LAST];
    return n ? n : 256;
}

/* The sector's place behind the index hole, from 1; READ TRACK takes them as they come. */
static unsigned place(const struct fdc *f)
{
    unsigned spt = selected(f)->media.spt;
    return f->s.op == OP_READ_TRACK ? (unsigned)(count_of(f) - f->s.left) % spt + 1 : f->s.r;
}

static uint64_t lba_of(const struct fdc *f, unsigned r)
{
    const struct fd_medium *m = &selected(f)->media;
    return ((uint64_t)track_below(f) * m->heads + f->s.head) * m->spt + r - 1;
}

/* --- Time --- */

/* When what the command waits for has passed the heads, seen from `t`. */
static vtime passes_at(const struct fdc *f, vtime t)
{
    const struct fdd *x = selected(f);
    vtime turn = fd_turn(x->type), slot = turn / x->media.spt;
    if (fault(f) || f->s.op == OP_FORMAT) {
        return (t / turn + 2) * turn; /* the second index pulse */
    }
    if (f->s.op == OP_READ_ID) {
        return (t / slot + 1) * slot;
    }
    vtime start = t / turn * turn + (place(f) - 1) * slot;
    if (start < t) {
        start += turn;
    }
    return non_dma(f) ? start : start + slot / 8 * 7; /* the rest is gap */
}

/* Set the event for the next sector, `delay` from now at the earliest. */
static void schedule(struct fdc *f, vtime delay, bool first)
{
    if (!spinning(f)) {
        f->s.waiting = true;
        timer_cancel(&f->exec);
        return;
    }
    vtime t = fdc_now(f) + delay, up = f->s.drive[fdc_selected(f)].spun_up;
    if (f->turbo) {
        timer_set(&f->exec, t + (first ? FIRST_TURBO : NEXT_TURBO));
    } else {
        /* A snapshot's instant may be anything. */
        t = up > t && up - t < VTIME_SEC ? up : t;
        timer_set(&f->exec, passes_at(f, t));
    }
}

void fdc_data_kick(struct fdc *f)
{
    if (f->s.phase == FDC_EXEC && f->s.waiting && spinning(f)) {
        f->s.waiting = false;
        schedule(f, 0, true);
    }
}

/* --- The host's side --- */

/* Bytes that go through the FIFO at a time. */
static unsigned chunk(const struct fdc *f)
{
    int threshold = (f->s.config & CONFIG_THRESHOLD) + 1;
    unsigned at = f->s.buf_pos, len = f->s.buf_len, left = at < len ? len - at : 0, n = FIFO_SIZE;
    if (f->s.config & CONFIG_NO_FIFO) {
        n = 1;
    } else if (fdc_data_to_host(f)) {
        n = threshold < FIFO_SIZE ? (unsigned)(FIFO_SIZE - threshold) : 1u;
    }
    return n < left ? n : left;
}

static void offer(struct fdc *f)
{
    f->s.avail = (uint16_t)chunk(f);
    fdc_set_irq(f, true);
}

static void complete(struct fdc *f, bool tc);

/* Move `n` bytes of buf: all at once by DMA, or let the host do it. complete() follows. */
static void move(struct fdc *f, unsigned n)
{
    f->s.buf_len = (uint16_t)n;
    f->s.buf_pos = 0;
    if (non_dma(f) && n) {
        f->s.moving = true;
        offer(f);
        return;
    }
    bool tc = false;
    uint32_t done = 0;
    if (!non_dma(f) && f->dma && (f->s.dor & DOR_DMA_GATE)) {
        done = i8237_transfer(f->dma, f->dma_channel, f->s.buf, n, fdc_data_to_host(f), &tc);
    }
    if (done < n && !tc) {
        finish(f, ST0_ABNORMAL, ST1_OVERRUN, 0);
        return;
    }
    if (done < n && !fdc_data_to_host(f)) {
        memset(f->s.buf + done, 0, n - done); /* the rest of the sector is written with zeros */
    }
    f->s.buf_len = (uint16_t)done;
    complete(f, tc);
}

/* A byte has gone through the FIFO. */
static void moved(struct fdc *f)
{
    static const uint8_t byte_us[] = {16, 27, 32, 8};
    f->s.avail--;
    f->s.buf_pos++;
    if (f->s.avail) {
        return;
    }
    fdc_set_irq(f, false);
    if (f->s.buf_pos >= f->s.buf_len) {
        f->s.moving = false;
        complete(f, false);
    } else {
        vtime real = chunk(f) * byte_us[f->s.rate & 3] * VTIME_US;
        timer_set(&f->exec, fdc_now(f) + (f->turbo ? CHUNK_TURBO : real));
    }
}

uint8_t fdc_data_read(struct fdc *f)
{
    if (!f->s.moving || !f->s.avail || !fdc_data_to_host(f)) {
        return 0;
    }
    uint8_t v = f->s.buf[f->s.buf_pos % sizeof f->s.buf];
    moved(f);
    return v;
}

void fdc_data_write(struct fdc *f, uint8_t val)
{
    if (f->s.moving && f->s.avail && !fdc_data_to_host(f)) {
        f->s.buf[f->s.buf_pos % sizeof f->s.buf] = val;
        moved(f);
    }
}

/* --- Sector after sector --- */

/* Go to the next sector, or end the command (tc: the host wants no more). */
static void next(struct fdc *f, bool tc)
{
    bool mt = f->s.cmd[0] & CMD_MT, counted = f->s.op == OP_VERIFY && (f->s.cmd[1] & VERIFY_COUNT);
    unsigned step = is_scan(f) && f->s.cmd[PARAM_LAST] == 2 ? 2 : 1, eot = f->s.cmd[PARAM_EOT];
    bool last = is_scan(f) ? f->s.r + step > eot : f->s.r == eot;
    bool other_side = last && mt && !f->s.head;
    if (!last) {
        f->s.r = (uint8_t)(f->s.r + step);
    } else {
        f->s.r = 1;
        f->s.h ^= mt;
        f->s.c = (uint8_t)(f->s.c + !other_side);
    }
    if (counted) {
        f->s.left--;
        tc = f->s.left == 0;
    }
    if (tc || f->s.mark) {
        finish(f, 0, 0, (f->s.mark ? ST2_CONTROL_MARK : 0u) | (is_scan(f) ? ST2_SCAN_NOT : 0u));
    } else if (!last || other_side) {
        f->s.head |= other_side;
        schedule(f, 0, false);
    } else if (is_scan(f)) {
        finish(f, 0, 0, ST2_SCAN_NOT);
    } else if (f->s.op == OP_VERIFY && !counted) {
        finish(f, 0, 0, 0);
    } else {
        finish(f, ST0_ABNORMAL, ST1_END_OF_CYLINDER, 0);
    }
}

static void next_of_track(struct fdc *f, bool tc)
{
    f->s.left--;
    f->s.r++;
    if (tc || !f->s.left) {
        finish(f, 0, f->s.mark ? ST1_NO_DATA : 0u, 0);
    } else {
        schedule(f, 0, false);
    }
}

static bool load_sector(struct fdc *f)
{
    memset(f->s.buf, 0, sizeof f->s.buf);
    return drive_read(selected(f)->drive, lba_of(f, place(f)), f->s.buf, 1);
}

/* The host's bytes are in buf; bytes FFH on either side match everything. */
static void scan(struct fdc *f, bool tc)
{
    uint8_t host[SECTOR];
    unsigned len = f->s.buf_len < SECTOR ? f->s.buf_len : SECTOR;
    int order = 0; /* of the diskette's data against the host's */
    memcpy(host, f->s.buf, len);
    if (!load_sector(f)) {
        finish(f, ST0_ABNORMAL, ST1_DATA_ERROR, ST2_DATA_ERROR);
        return;
    }
    for (unsigned i = 0; i < len && !order; i++) {
        if (host[i] != 0xff && f->s.buf[i] != 0xff) {
            order = (int)f->s.buf[i] - (int)host[i];
        }
    }
    if (!order) {
        finish(f, 0, 0, ST2_SCAN_EQUAL);
    } else if ((f->s.op == OP_SCAN_LOW && order < 0) || (f->s.op == OP_SCAN_HIGH && order > 0)) {
        finish(f, 0, 0, 0);
    } else {
        next(f, tc);
    }
}

/* A track's worth of ID fields came from the host. */
static void format(struct fdc *f)
{
    uint8_t ids[sizeof f->s.buf];
    unsigned n = f->s.buf_len / 4u;
    bool ok = true;
    memcpy(ids, f->s.buf, sizeof ids);
    memset(f->s.buf, f->s.cmd[FORMAT_FILL], SECTOR);
    for (unsigned i = 0; i < n && i < sizeof ids / 4; i++) {
        const uint8_t *id = ids + i * (size_t)4;
        if (!unreadable(f) && id_exists(f, id[0], id[1], id[2], id[3])) {
            ok = drive_write(selected(f)->drive, lba_of(f, id[2]), f->s.buf, 1) && ok;
        }
        f->s.c = id[0];
        f->s.h = id[1];
        f->s.r = id[2];
    }
    finish(f, ok ? 0 : ST0_ABNORMAL, ok ? 0 : ST1_DATA_ERROR, 0);
}

static void complete(struct fdc *f, bool tc)
{
    if (f->s.op == OP_FORMAT || !spinning(f)) {
        /* Without a medium any more: wait for one. Formatting starts over. */
        if (spinning(f)) {
            format(f);
        } else {
            schedule(f, 0, true);
        }
        return;
    }
    if (f->s.op == OP_READ_TRACK) {
        next_of_track(f, tc);
    } else if (is_scan(f)) {
        scan(f, tc);
    } else if (is_write(f) && !drive_write(selected(f)->drive, lba_of(f, f->s.r), f->s.buf, 1)) {
        finish(f, ST0_ABNORMAL, ST1_DATA_ERROR, 0);
    } else {
        next(f, tc);
    }
}

static void sector(struct fdc *f)
{
    unsigned st = fault(f);
    if (st) {
        finish(f, ST0_ABNORMAL, st & 0xff, st >> 8);
        return;
    }
    if (is_write(f) || is_scan(f)) {
        move(f, SECTOR);
        return;
    }
    bool skip = f->s.op == OP_READ_DELETED && (f->s.cmd[0] & CMD_SK);
    if (f->s.op == OP_READ_DELETED) {
        f->s.mark = !skip; /* every sector of an image has the normal mark */
    } else if (f->s.op == OP_READ_TRACK) {
        f->s.mark |= f->s.r != place(f) || !id_exists(f, f->s.c, f->s.h, f->s.r, f->s.n);
    }
    if (skip) {
        next(f, false);
    } else if (!load_sector(f)) {
        finish(f, ST0_ABNORMAL, ST1_DATA_ERROR, ST2_DATA_ERROR);
    } else if (f->s.op == OP_VERIFY) {
        next(f, false);
    } else {
        move(f, SECTOR);
    }
}

/* Whichever ID field comes next. */
static void read_id(struct fdc *f)
{
    if (fault(f)) {
        finish(f, ST0_ABNORMAL, ST1_MISSING_MARK, 0);
        return;
    }
    const struct fdd *x = selected(f);
    vtime turn = fd_turn(x->type), slot = turn / x->media.spt;
    f->s.c = (uint8_t)track_below(f);
    f->s.h = f->s.head;
    f->s.r = (uint8_t)(fdc_now(f) % turn / slot % x->media.spt + 1);
    f->s.n = SIZE_512;
    finish(f, 0, 0, 0);
}

void fdc_data_timer(struct fdc *f)
{
    if (f->s.moving) {
        offer(f);
        return;
    }
    if (!spinning(f)) {
        f->s.waiting = true;
        return;
    }
    const struct drive *d = selected(f)->drive;
    if ((is_write(f) || f->s.op == OP_FORMAT) && d->blk && d->blk->readonly) {
        finish(f, ST0_ABNORMAL, ST1_NOT_WRITABLE, 0);
    } else if (f->s.op == OP_READ_ID) {
        read_id(f);
    } else if (f->s.op == OP_FORMAT) {
        move(f, f->s.cmd[FORMAT_COUNT] * 4u);
    } else {
        sector(f);
    }
}

/* --- The command phase has ended --- */

/* CONFIGURE's EIS: the command moves the heads to C by itself; how long that takes. */
static vtime implied_seek(struct fdc *f)
{
    uint8_t *pcn = &f->s.pcn[f->s.cmd[1] & 3];
    int steps = f->s.c - *pcn;
    if (!(f->s.config & CONFIG_IMPLIED_SEEK) || !steps) {
        return 0;
    }
    fdc_step(f, fdc_selected(f), steps);
    *pcn = f->s.c;
    return (vtime)(steps < 0 ? -steps : steps) * fdc_step_time(f);
}

void fdc_data_begin(struct fdc *f)
{
    const uint8_t *cmd = f->s.cmd;
    vtime delay = 0;
    f->s.phase = FDC_EXEC;
    f->s.op = cmd[0] & 0x1f;
    f->s.head = cmd[1] >> 2 & 1;
    f->s.mark = f->s.moving = f->s.waiting = false;
    f->s.avail = 0;
    if (f->s.op == OP_FORMAT) {
        f->s.n = cmd[FORMAT_N];
        f->s.sc_eot = cmd[FORMAT_COUNT];
    } else if (f->s.op != OP_READ_ID) {
        f->s.c = cmd[2];
        f->s.h = cmd[3];
        f->s.r = cmd[4];
        f->s.n = cmd[5];
        f->s.sc_eot = cmd[PARAM_EOT];
        f->s.left = count_of(f);
        delay = implied_seek(f);
    }
    schedule(f, delay, true);
}
