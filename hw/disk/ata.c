/*
 * Commands of ATA disks.
 *
 * A row says what a command does after its time (`run`), what after each block of data (`more`),
 * and flags. Transfers keep their next sector and the rest of the count in the state; the address
 * registers follow each block, so that they name the last sector moved, or the one that failed.
 *
 * Errors: ABRT for what is not known or not allowed, IDNF for an address beyond the end (before any
 * data), UNC for a sector that the host could not read, device fault for one that it could not
 * write, WP for a medium that is read-only. A flush is done by the time its command ends; so is
 * every write while the write cache is off.
 *
 * Sources: ATA/ATAPI-6 chapter 8, with the opcodes of ATA-2 that it dropped; ATA/ATAPI-7 for
 * WRITE ... FUA EXT.
 */
#include <string.h>

#include "hw/disk/ide.h"
#include "util/bits.h"

enum {
    F_MEDIUM = 0x01, /* takes the time of an access */
    F_EXT = 0x02,    /* 48-bit address and 16-bit count */
    F_MULTI = 0x04,  /* blocks of SET MULTIPLE */
    F_DMA = 0x08,
    F_WRITE = 0x10,
    F_FUA = 0x20, /* on the medium before it ends */
};

enum {
    FEAT_WCACHE_ON = 0x02,
    FEAT_XFER = 0x03,
    FEAT_LOOK_OFF = 0x55,
    FEAT_KEEP = 0x66,
    FEAT_WCACHE_OFF = 0x82,
    FEAT_LOOK_ON = 0xaa,
    FEAT_REVERT = 0xcc,

    SMART_READ_DATA = 0xd0,
    SMART_THRESHOLDS = 0xd1,
    SMART_AUTOSAVE = 0xd2,
    SMART_ENABLE = 0xd8,
    SMART_DISABLE = 0xd9,
    SMART_STATUS = 0xda,
};

struct ata_cmd {
    void (*run)(struct ide_unit *u);
    void (*more)(struct ide_unit *u);
    uint8_t flags;
};

static const struct ata_cmd *row(const struct ide_unit *u);

static void abort_cmd(struct ide_unit *u)
{
    ide_fail(u, IDE_ST_READY, IDE_ERR_ABRT);
}

/* --- Addresses --- */

/* The sector that the registers name. False: cylinder, head or sector do not exist. */
static bool address(const struct ide_unit *u, bool ext, uint64_t *lba)
{
    const struct ide_unit_state *s = u->s;
    const uint8_t *r = s->reg, *h = s->hob;
    uint32_t low = r[IDE_LBAL] | (uint32_t)r[IDE_LBAM] << 8 | (uint32_t)r[IDE_LBAH] << 16;
    if (ext) {
        *lba = low | (uint64_t)h[IDE_LBAL] << 24 | (uint64_t)h[IDE_LBAM] << 32 |
               (uint64_t)h[IDE_LBAH] << 40;
        return true;
    }
    unsigned head = s->device & 15;
    if (s->device & IDE_DEV_LBA) {
        *lba = low | (uint32_t)head << 24;
        return true;
    }
    unsigned cyl = low >> 8, sector = r[IDE_LBAL];
    *lba = ((uint64_t)cyl * s->heads + head) * s->secs + sector - 1;
    return sector && sector <= s->secs && head < s->heads;
}

static void put_address(struct ide_unit *u, bool ext, uint64_t lba)
{
    struct ide_unit_state *s = u->s;
    uint8_t *r = s->reg, *h = s->hob;
    if (ext || (s->device & IDE_DEV_LBA)) {
        r[IDE_LBAL] = (uint8_t)lba;
        r[IDE_LBAM] = (uint8_t)(lba >> 8);
        r[IDE_LBAH] = (uint8_t)(lba >> 16);
        h[IDE_LBAL] = (uint8_t)(lba >> 24);
        if (ext) {
            h[IDE_LBAM] = (uint8_t)(lba >> 32);
            h[IDE_LBAH] = (uint8_t)(lba >> 40);
        } else {
            s->device = (uint8_t)((s->device & 0xf0) | (lba >> 24 & 15));
        }
    } else if (s->secs && s->heads) {
        uint64_t track = lba / s->secs, cyl = track / s->heads;
        r[IDE_LBAL] = (uint8_t)(lba % s->secs + 1);
        r[IDE_LBAM] = (uint8_t)cyl;
        r[IDE_LBAH] = (uint8_t)(cyl >> 8);
        s->device = (uint8_t)((s->device & 0xf0) | track % s->heads);
    }
}

static uint32_t count(const struct ide_unit *u, bool ext)
{
    uint32_t n = u->s->reg[IDE_NSECT];
    if (ext) {
        n |= (uint32_t)u->s->hob[IDE_NSECT] << 8;
        return n ? n : 65536;
    }
    return n ? n : 256;
}

/* --- Transfers --- */

/* `n` sectors were moved: the registers name the last of them and what is left. */
static void advance(struct ide_unit *u, uint32_t n)
{
    struct ide_unit_state *s = u->s;
    s->lba += n;
    s->left -= n < s->left ? n : s->left;
    s->head = s->lba;
    if (n) {
        put_address(u, row(u)->flags & F_EXT, s->lba - 1);
    }
    s->reg[IDE_NSECT] = (uint8_t)s->left;
    s->hob[IDE_NSECT] = (uint8_t)(s->left >> 8);
}

static void medium_error(struct ide_unit *u, bool write)
{
    put_address(u, row(u)->flags & F_EXT, u->s->lba);
    if (write) {
        ide_fail(u, IDE_ST_READY | IDE_ST_DF, IDE_ERR_ABRT);
    } else {
        ide_fail(u, IDE_ST_READY, IDE_ERR_UNC);
    }
}

static uint32_t block_sectors(const struct ide_unit *u)
{
    uint32_t n = row(u)->flags & F_MULTI ? u->s->multi : 1;
    n = n < u->s->left ? n : u->s->left;
    return n && n <= IDE_MULTI_MAX ? n : 1;
}

static void read_block(struct ide_unit *u)
{
    uint32_t n = block_sectors(u);
    if (!drive_read(u->drive, u->s->lba, u->s->buf, n)) {
        medium_error(u, false);
        return;
    }
    advance(u, n);
    ide_pio_in(u, (uint16_t)(n * IDE_SECTOR), true);
}

static void finish_write(struct ide_unit *u)
{
    bool now = !u->s->wcache || (row(u)->flags & F_FUA);
    if (now && !drive_flush(u->drive)) {
        medium_error(u, true);
    } else {
        ide_done(u);
    }
}

static void write_block(struct ide_unit *u)
{
    uint32_t n = u->s->len / IDE_SECTOR;
    if (!drive_write(u->drive, u->s->lba, u->s->buf, n)) {
        medium_error(u, true);
        return;
    }
    advance(u, n);
    if (u->s->left) {
        ide_pio_out(u, (uint16_t)(block_sectors(u) * IDE_SECTOR), true);
    } else {
        finish_write(u);
    }
}

/* What a transfer needs before it may begin; ends the command if it may not. */
static bool may_transfer(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    unsigned flags = row(u)->flags;
    uint64_t lba, sectors = drive_sectors(u->drive);
    if (((flags & F_MULTI) && !s->multi) || ((flags & F_DMA) && !u->chan->dma)) {
        abort_cmd(u);
        return false;
    }
    uint32_t n = count(u, flags & F_EXT);
    if (!address(u, flags & F_EXT, &lba) || lba >= sectors || n > sectors - lba) {
        ide_fail(u, IDE_ST_READY, IDE_ERR_IDNF);
        return false;
    }
    if ((flags & F_WRITE) && u->drive->blk->readonly) {
        ide_fail(u, IDE_ST_READY, IDE_ERR_WP | IDE_ERR_ABRT);
        return false;
    }
    s->lba = lba;
    s->left = n;
    return true;
}

static void transfer(struct ide_unit *u)
{
    unsigned flags = row(u)->flags;
    if (!may_transfer(u)) {
        return;
    }
    if (flags & F_DMA) {
        ide_dma_begin(u);
    } else if (flags & F_WRITE) {
        ide_pio_out(u, (uint16_t)(block_sectors(u) * IDE_SECTOR), false);
    } else {
        read_block(u);
    }
}

static void transfer_more(struct ide_unit *u)
{
    if (row(u)->flags & F_WRITE) {
        write_block(u);
    } else {
        read_block(u);
    }
}

static void verify(struct ide_unit *u)
{
    if (!may_transfer(u)) {
        return;
    }
    while (u->s->left) {
        uint32_t most = IDE_DMA_CHUNK / IDE_SECTOR;
        uint32_t n = u->s->left < most ? u->s->left : most;
        if (!drive_read(u->drive, u->s->lba, u->chan->scratch, n)) {
            medium_error(u, false);
            return;
        }
        advance(u, n);
    }
    ide_done(u);
}

static uint32_t ata_dma_bytes(const struct ide_unit *u)
{
    uint32_t most = IDE_DMA_CHUNK / IDE_SECTOR;
    return (u->s->left < most ? u->s->left : most) * IDE_SECTOR;
}

static bool ata_dma_in(const struct ide_unit *u)
{
    return !(row(u)->flags & F_WRITE);
}

/* A table that ends within a sector loses that sector: the device keeps waiting for the rest. */
static void ata_dma(struct ide_unit *u)
{
    uint32_t len = ata_dma_bytes(u), moved;
    uint8_t *buf = u->chan->scratch;
    bool in = ata_dma_in(u);
    if (in && !drive_read(u->drive, u->s->lba, buf, len / IDE_SECTOR)) {
        medium_error(u, false);
        return;
    }
    moved = u->chan->dma->move(u->chan, buf, len, in);
    if (!in && moved >= IDE_SECTOR && !drive_write(u->drive, u->s->lba, buf, moved / IDE_SECTOR)) {
        medium_error(u, true);
        return;
    }
    advance(u, moved / IDE_SECTOR);
    if (u->s->left) {
        ide_dma_next(u);
    } else if (in) {
        ide_done(u);
    } else {
        finish_write(u);
    }
}

/* --- Commands without data --- */

static void diagnostic(struct ide_unit *u)
{
    ide_signature(u, 1);
    ide_done(u);
    u->s->error = 1;
}

static void seek(struct ide_unit *u)
{
    uint64_t lba;
    if (!address(u, false, &lba) || lba >= drive_sectors(u->drive)) {
        ide_fail(u, IDE_ST_READY, IDE_ERR_IDNF);
        return;
    }
    u->s->head = lba;
    ide_done(u);
}

static void recalibrate(struct ide_unit *u)
{
    u->s->head = 0;
    ide_done(u);
}

static void flush(struct ide_unit *u)
{
    if (drive_flush(u->drive)) {
        ide_done(u);
    } else {
        ide_fail(u, IDE_ST_READY | IDE_ST_DF, IDE_ERR_ABRT);
    }
}

static void set_translation(struct ide_unit *u)
{
    uint8_t secs = u->s->reg[IDE_NSECT];
    if (!secs) {
        abort_cmd(u);
        return;
    }
    u->s->secs = secs;
    u->s->heads = (uint8_t)((u->s->device & 15) + 1);
    ide_done(u);
}

static void set_multiple(struct ide_unit *u)
{
    uint8_t n = u->s->reg[IDE_NSECT];
    if (n > IDE_MULTI_MAX || (n & (n - 1))) {
        abort_cmd(u);
        return;
    }
    u->s->multi = n;
    ide_done(u);
}

bool ata_set_transfer_mode(struct ide_unit *u, uint8_t mode)
{
    unsigned kind = mode >> 3, n = mode & 7;
    bool dma = u->chan->dma && ((kind == 4 && n <= 2) || (kind == 8 && n <= 5));
    if (!(kind == 0 && n <= 1) && !(kind == 1 && n <= 4) && !dma) {
        return false;
    }
    u->s->xfer = mode;
    return true;
}

static void set_features(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    bool ok = true;
    switch (s->reg[IDE_FEATURE]) {
    case FEAT_WCACHE_ON:
        s->wcache = true;
        break;
    case FEAT_WCACHE_OFF:
        s->wcache = false;
        flush(u);
        return;
    case FEAT_XFER:
        ok = ata_set_transfer_mode(u, s->reg[IDE_NSECT]);
        break;
    case FEAT_LOOK_ON:
        s->lookahead = true;
        break;
    case FEAT_LOOK_OFF:
        s->lookahead = false;
        break;
    case FEAT_KEEP:
        s->revert = false;
        break;
    case FEAT_REVERT:
        s->revert = true;
        break;
    default:
        ok = false;
        break;
    }
    if (ok) {
        ide_done(u);
    } else {
        abort_cmd(u);
    }
}

static void native_max(struct ide_unit *u)
{
    bool ext = row(u)->flags & F_EXT;
    uint64_t max = drive_sectors(u->drive) - 1;
    put_address(u, ext, !ext && max > 0x0fffffff ? 0x0fffffff : max);
    ide_done(u);
}

/* E0..E3, E6 and the same of old at 94..97, 99. */
static void power(struct ide_unit *u)
{
    static const uint8_t modes[8] = {IDE_PW_STANDBY, IDE_PW_IDLE,   IDE_PW_STANDBY, IDE_PW_IDLE,
                                     IDE_PW_ACTIVE,  IDE_PW_ACTIVE, IDE_PW_SLEEP,   IDE_PW_ACTIVE};
    unsigned n = u->s->cmd >= 0xe0 ? u->s->cmd - 0xe0u : u->s->cmd - 0x94u;
    u->s->power = u->s->cmd == 0x99 ? IDE_PW_SLEEP : modes[n & 7];
    ide_done(u);
}

static void check_power(struct ide_unit *u)
{
    static const uint8_t answer[] = {
        [IDE_PW_ACTIVE] = 0xff, [IDE_PW_STANDBY] = 0x00, [IDE_PW_IDLE] = 0x80};
    u->s->reg[IDE_NSECT] = answer[u->s->power % ARRAY_LEN(answer)];
    ide_done(u);
}

/* --- Data that is not of the medium --- */

static void identify(struct ide_unit *u)
{
    ata_identify(u, u->s->buf);
    u->s->left = 0;
    ide_pio_in(u, IDE_SECTOR, true);
}

static void read_buffer(struct ide_unit *u)
{
    u->s->left = 0;
    ide_pio_in(u, IDE_SECTOR, true);
}

static void write_buffer(struct ide_unit *u)
{
    u->s->left = 0;
    ide_pio_out(u, IDE_SECTOR, false);
}

/* No attributes, a disk in good health; ATA/ATAPI-6, 8.41.5. */
static void smart_data(struct ide_unit *u, bool thresholds)
{
    uint8_t *b = u->s->buf, sum = 0;
    memset(b, 0, IDE_SECTOR);
    b[0] = 1; /* revision */
    if (!thresholds) {
        b[368] = 1; /* may save its data */
    }
    for (unsigned i = 0; i < 511; i++) {
        sum = (uint8_t)(sum + b[i]);
    }
    b[511] = (uint8_t)(0u - sum);
    u->s->left = 0;
    ide_pio_in(u, IDE_SECTOR, true);
}

static void smart(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    uint8_t what = s->reg[IDE_FEATURE];
    bool keys = s->reg[IDE_LBAM] == 0x4f && s->reg[IDE_LBAH] == 0xc2;
    if (!keys || (!s->smart && what != SMART_ENABLE)) {
        abort_cmd(u);
        return;
    }
    switch (what) {
    case SMART_READ_DATA:
    case SMART_THRESHOLDS:
        smart_data(u, what == SMART_THRESHOLDS);
        return;
    case SMART_ENABLE:
    case SMART_DISABLE:
        s->smart = what == SMART_ENABLE;
        break;
    case SMART_AUTOSAVE:
    case SMART_STATUS: /* the keys left as they are: no threshold exceeded */
        break;
    default:
        abort_cmd(u);
        return;
    }
    ide_done(u);
}

/* --- The table --- */

// clang-format off
#define RECALIBRATE {recalibrate, NULL, F_MEDIUM}
#define SEEK        {seek, NULL, F_MEDIUM}
static const struct ata_cmd cmds[256] = {
    [0x10] = RECALIBRATE, [0x11] = RECALIBRATE, [0x12] = RECALIBRATE, [0x13] = RECALIBRATE,
    [0x14] = RECALIBRATE, [0x15] = RECALIBRATE, [0x16] = RECALIBRATE, [0x17] = RECALIBRATE,
    [0x18] = RECALIBRATE, [0x19] = RECALIBRATE, [0x1a] = RECALIBRATE, [0x1b] = RECALIBRATE,
    [0x1c] = RECALIBRATE, [0x1d] = RECALIBRATE, [0x1e] = RECALIBRATE, [0x1f] = RECALIBRATE,
    [0x20] = {transfer, transfer_more, F_MEDIUM},                      /* READ SECTOR(S) */
    [0x21] = {transfer, transfer_more, F_MEDIUM},                      /* without retries */
    [0x24] = {transfer, transfer_more, F_MEDIUM | F_EXT},              /* READ SECTOR(S) EXT */
    [0x25] = {transfer, NULL, F_MEDIUM | F_EXT | F_DMA},               /* READ DMA EXT */
    [0x27] = {native_max, NULL, F_EXT},                                /* READ NATIVE MAX EXT */
    [0x29] = {transfer, transfer_more, F_MEDIUM | F_EXT | F_MULTI},    /* READ MULTIPLE EXT */
    [0x30] = {transfer, transfer_more, F_MEDIUM | F_WRITE},            /* WRITE SECTOR(S) */
    [0x31] = {transfer, transfer_more, F_MEDIUM | F_WRITE},
    [0x34] = {transfer, transfer_more, F_MEDIUM | F_WRITE | F_EXT},    /* WRITE SECTOR(S) EXT */
    [0x35] = {transfer, NULL, F_MEDIUM | F_WRITE | F_EXT | F_DMA},     /* WRITE DMA EXT */
    [0x39] = {transfer, transfer_more, F_MEDIUM | F_WRITE | F_EXT | F_MULTI},
    [0x3c] = {transfer, transfer_more, F_MEDIUM | F_WRITE},            /* WRITE VERIFY */
    [0x3d] = {transfer, NULL, F_MEDIUM | F_WRITE | F_EXT | F_DMA | F_FUA},
    [0x40] = {verify, NULL, F_MEDIUM},                                 /* READ VERIFY */
    [0x41] = {verify, NULL, F_MEDIUM},
    [0x42] = {verify, NULL, F_MEDIUM | F_EXT},
    [0x70] = SEEK, [0x71] = SEEK, [0x72] = SEEK, [0x73] = SEEK, [0x74] = SEEK, [0x75] = SEEK,
    [0x76] = SEEK, [0x77] = SEEK, [0x78] = SEEK, [0x79] = SEEK, [0x7a] = SEEK, [0x7b] = SEEK,
    [0x7c] = SEEK, [0x7d] = SEEK, [0x7e] = SEEK, [0x7f] = SEEK,
    [0x90] = {diagnostic, NULL, 0},
    [0x91] = {set_translation, NULL, 0},
    [0x94] = {power, NULL, 0}, [0x95] = {power, NULL, 0}, [0x96] = {power, NULL, 0},
    [0x97] = {power, NULL, 0}, [0x98] = {check_power, NULL, 0}, [0x99] = {power, NULL, 0},
    [0xb0] = {smart, NULL, 0},
    [0xc4] = {transfer, transfer_more, F_MEDIUM | F_MULTI},            /* READ MULTIPLE */
    [0xc5] = {transfer, transfer_more, F_MEDIUM | F_WRITE | F_MULTI},  /* WRITE MULTIPLE */
    [0xc6] = {set_multiple, NULL, 0},
    [0xc8] = {transfer, NULL, F_MEDIUM | F_DMA},                       /* READ DMA */
    [0xc9] = {transfer, NULL, F_MEDIUM | F_DMA},
    [0xca] = {transfer, NULL, F_MEDIUM | F_WRITE | F_DMA},             /* WRITE DMA */
    [0xcb] = {transfer, NULL, F_MEDIUM | F_WRITE | F_DMA},
    [0xce] = {transfer, transfer_more, F_MEDIUM | F_WRITE | F_EXT | F_MULTI | F_FUA},
    [0xe0] = {power, NULL, 0}, [0xe1] = {power, NULL, 0}, [0xe2] = {power, NULL, 0},
    [0xe3] = {power, NULL, 0}, [0xe5] = {check_power, NULL, 0}, [0xe6] = {power, NULL, 0},
    [0xe4] = {read_buffer, NULL, 0},
    [0xe7] = {flush, NULL, F_MEDIUM},
    [0xe8] = {write_buffer, ide_done, 0},
    [0xea] = {flush, NULL, F_MEDIUM},
    [0xec] = {identify, NULL, 0},
    [0xef] = {set_features, NULL, 0},
    [0xf8] = {native_max, NULL, 0},
};
// clang-format on

static const struct ata_cmd *row(const struct ide_unit *u)
{
    return &cmds[u->s->cmd];
}

/* --- The turns of the protocol --- */

static void ata_command(struct ide_unit *u)
{
    uint64_t ns = IDE_NS_COMMAND, lba;
    unsigned flags = row(u)->flags;
    if (flags & F_MEDIUM) {
        ns = IDE_NS_ACCESS;
        if (u->s->power != IDE_PW_SLEEP) {
            u->s->power = IDE_PW_ACTIVE;
        }
        if (address(u, flags & F_EXT, &lba)) {
            ns += ide_seek_ns(u, lba, drive_sectors(u->drive));
        }
    }
    ide_busy(u, IDE_PH_CMD, ns);
}

static void ata_run(struct ide_unit *u)
{
    if (row(u)->run) {
        row(u)->run(u);
    } else {
        abort_cmd(u); /* NOP too, by its definition */
    }
}

static void ata_block(struct ide_unit *u)
{
    bool in = u->s->phase == IDE_PH_PIO_IN;
    if (in && !u->s->left) {
        u->s->phase = IDE_PH_IDLE;
        u->s->status = IDE_ST_READY;
        u->s->error = 0;
        return;
    }
    ide_busy(u, IDE_PH_BLOCK, IDE_NS_BLOCK + (uint64_t)u->s->len * IDE_NS_BYTE);
}

static void ata_more(struct ide_unit *u)
{
    if (row(u)->more) {
        row(u)->more(u);
    } else {
        abort_cmd(u);
    }
}

static void ata_reset(struct ide_unit *u, bool hard)
{
    struct ide_unit_state *s = u->s;
    s->power = IDE_PW_ACTIVE;
    if (hard || s->revert) {
        s->heads = (uint8_t)s->chs[1];
        s->secs = (uint8_t)s->chs[2];
        s->multi = 0;
        s->xfer = 0x0c;
        s->wcache = true;
        s->lookahead = true;
        s->smart = true;
        s->revert = false;
    }
}

static void ata_restored(struct ide_unit *u)
{
    struct ide_unit_state *s = u->s;
    uint64_t sectors = drive_sectors(u->drive);
    s->multi = s->multi <= IDE_MULTI_MAX ? s->multi : 0;
    s->left = s->left <= 65536 ? s->left : 65536;
    s->lba = s->lba <= sectors ? s->lba : sectors;
    if (s->phase == IDE_PH_DMA && !s->left) {
        s->phase = IDE_PH_IDLE;
        timer_cancel(&u->due);
    }
}

static void ata_changed(struct ide_unit *u)
{
    (void)u; /* a disk is not exchanged while the machine is on */
}

const struct ide_kind ata_kind = {
    .reset = ata_reset,
    .command = ata_command,
    .run = ata_run,
    .block = ata_block,
    .more = ata_more,
    .dma = ata_dma,
    .dma_bytes = ata_dma_bytes,
    .dma_in = ata_dma_in,
    .restored = ata_restored,
    .changed = ata_changed,
    .eject_asked = ata_changed,
    .ready = IDE_ST_READY,
};
