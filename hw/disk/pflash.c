/*
 * A parallel NOR flash chip with the Intel command set, 8 bits wide, 4 KiB blocks: firmware that
 * can be written, as OVMF keeps its variables in.
 *
 * The chip's bytes are memory of its own, read as ROM while it is in array mode; every write is a
 * command to the registers behind. In the other modes reads give the status, the identification or
 * the CFI query. A program clears bits, an erase sets a block to FFh; both are done at once and go
 * to the drive too. A drive that cannot be written: the status says error and locked.
 *
 * What always holds: the ROM is shown exactly while mode is MODE_ARRAY. The status register is 0
 * after a clear, without the ready bit, since that is how OVMF tells this chip from others.
 *
 * Sources: Intel 28F320J3 datasheet (commands, status); JEDEC JESD68.01 (CFI), JEP137 (codes).
 */
#include <string.h>

#include "core/backend_block.h"
#include "hw/hw.h"
#include "mmu/aspace.h"
#include "util/bits.h"

enum {
    BLOCK = 4096,
    SIZE_MAX_BYTES = 8 << 20,

    CMD_PROGRAM = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM_2 = 0x40,
    CMD_CLEAR = 0x50,
    CMD_LOCK = 0x60,
    CMD_STATUS = 0x70,
    CMD_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_CONFIRM = 0xd0,
    CMD_BUFFER = 0xe8,
    CMD_ARRAY = 0xff,

    ST_READY = 0x80,
    ST_ERASE_ERROR = 0x20,
    ST_PROGRAM_ERROR = 0x10,
    ST_LOCKED = 0x02,

    BUFFER_MAX = 32, /* bytes of one buffered program */
};

enum { MODE_ARRAY, MODE_STATUS, MODE_ID, MODE_QUERY };

#define PFLASH_STATE(S, V, A, N)                                                                   \
    V(S, uint8_t, mode, 1) /* what reads give */                                                   \
    V(S, uint8_t, cmd, 1)  /* whose second cycle is awaited; 0: none */                            \
    V(S, uint8_t, status, 1)                                                                       \
    V(S, uint8_t, left, 1) /* of a buffered program: bytes to come, */                             \
    V(S, bool, counted, 1) /* once their number is known */

ST_DECLARE(pflash_state, PFLASH_STATE);
ST_DESCRIBE(pflash_state, PFLASH_STATE, 1);

struct pflash {
    struct dev dev;
    struct pflash_state s;
    struct drive *drive;
    struct ram *ram;
    struct region *rom;
    uint64_t end, size;
};

static void set_mode(struct pflash *p, unsigned mode)
{
    p->s.mode = (uint8_t)mode;
    region_enable(p->dev.env->mem, p->rom, mode == MODE_ARRAY);
}

/* --- What is stored --- */

/* Put the sectors around [off, off + len) on the drive. */
static bool store(struct pflash *p, uint64_t off, uint64_t len)
{
    uint8_t sector[BLK_SECTOR];
    for (uint64_t at = off / BLK_SECTOR; at <= (off + len - 1) / BLK_SECTOR; at++) {
        ram_read(p->ram, at * BLK_SECTOR, sector, sizeof sector);
        if (!drive_write(p->drive, at, sector, 1)) {
            return false;
        }
    }
    return true;
}

static bool read_only(const struct pflash *p)
{
    return !p->drive->blk || p->drive->blk->readonly;
}

static void program(struct pflash *p, uint64_t off, uint8_t val)
{
    uint8_t old;
    if (read_only(p)) {
        p->s.status |= ST_READY | ST_PROGRAM_ERROR | ST_LOCKED;
        return;
    }
    ram_read(p->ram, off, &old, 1);
    val &= old;
    ram_write(p->ram, off, &val, 1);
    p->s.status |= store(p, off, 1) ? ST_READY : ST_READY | ST_PROGRAM_ERROR;
}

static void erase(struct pflash *p, uint64_t off)
{
    uint8_t ones[BLOCK];
    if (read_only(p)) {
        p->s.status |= ST_READY | ST_ERASE_ERROR | ST_LOCKED;
        return;
    }
    memset(ones, 0xff, sizeof ones);
    off &= ~(uint64_t)(BLOCK - 1);
    ram_write(p->ram, off, ones, sizeof ones);
    p->s.status |= store(p, off, BLOCK) ? ST_READY : ST_READY | ST_ERASE_ERROR;
}

/* --- Commands --- */

static void first_cycle(struct pflash *p, uint8_t cmd)
{
    p->s.cmd = 0;
    switch (cmd) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_2:
    case CMD_ERASE:
    case CMD_LOCK:
    case CMD_BUFFER:
        p->s.cmd = cmd;
        p->s.counted = false;
        p->s.status |= cmd == CMD_BUFFER ? ST_READY : 0; /* the buffer is free */
        set_mode(p, MODE_STATUS);
        break;
    case CMD_CLEAR:
        p->s.status = 0;
        set_mode(p, MODE_STATUS);
        break;
    case CMD_STATUS:
        set_mode(p, MODE_STATUS);
        break;
    case CMD_ID:
        set_mode(p, MODE_ID);
        break;
    case CMD_QUERY:
        set_mode(p, MODE_QUERY);
        break;
    case CMD_ARRAY:
        set_mode(p, MODE_ARRAY);
        break;
    default:
        log_guest(p->dev.env->log, LOG_guest_errors, "%s: command 0x%02x", p->dev.name, cmd);
        set_mode(p, MODE_ARRAY);
        break;
    }
}

static void buffered(struct pflash *p, uint64_t off, uint8_t val)
{
    if (!p->s.counted) {
        p->s.counted = true;
        p->s.left = (uint8_t)((val & (BUFFER_MAX - 1)) + 1);
    } else if (p->s.left) {
        p->s.left--;
        program(p, off, val);
    } else {
        p->s.status |= val == CMD_CONFIRM ? ST_READY : ST_READY | ST_PROGRAM_ERROR | ST_ERASE_ERROR;
        p->s.cmd = 0;
    }
}

static void write_byte(struct pflash *p, uint64_t off, uint8_t val)
{
    uint8_t cmd = p->s.cmd;
    if (cmd == CMD_BUFFER) {
        buffered(p, off, val);
        return;
    }
    p->s.cmd = 0;
    if (cmd == CMD_PROGRAM || cmd == CMD_PROGRAM_2) {
        program(p, off, val);
    } else if (cmd == CMD_ERASE && val == CMD_CONFIRM) {
        erase(p, off);
    } else if (cmd == CMD_ERASE) { /* a wrong sequence sets both */
        p->s.status |= ST_READY | ST_ERASE_ERROR | ST_PROGRAM_ERROR;
    } else if (cmd == CMD_LOCK) {
        p->s.status |= ST_READY; /* lock bits are not kept */
    } else {
        first_cycle(p, val);
    }
}

/* --- Reads --- */

static uint8_t id_byte(uint64_t off)
{
    static const uint8_t id[] = {0x89, 0x18, 0}; /* Intel, 28F128J3; unlocked */
    return off % BLOCK < sizeof id ? id[off % BLOCK] : 0;
}

static uint8_t query_byte(const struct pflash *p, uint64_t off)
{
    uint64_t blocks = p->size / BLOCK - 1;
    unsigned log2 = 0;
    while ((UINT64_C(1) << log2) < p->size) {
        log2++;
    }
    const uint8_t table[] = {/* 10h */ 'Q',
                             'R',
                             'Y',
                             0x01,
                             0x00,
                             0x31,
                             0x00,
                             0,
                             0,
                             0,
                             0,
                             /* 1bh: voltages, times */ 0x45,
                             0x55,
                             0x00,
                             0x00,
                             0x07,
                             0x07,
                             0x0a,
                             0x00,
                             0x04,
                             0x04,
                             0x04,
                             0x00,
                             /* 27h */ (uint8_t)log2,
                             0x00,
                             0x00,
                             5,
                             0,
                             1,
                             /* 2dh: one region */ (uint8_t)blocks,
                             (uint8_t)(blocks >> 8),
                             BLOCK / 256,
                             0,
                             /* 31h: primary table, version 1.0, nothing optional */ 'P',
                             'R',
                             'I',
                             '1',
                             '0'};
    return off >= 0x10 && off - 0x10 < sizeof table ? table[off - 0x10] : 0;
}

static uint64_t pflash_read(struct dev *d, uint64_t off, unsigned size)
{
    struct pflash *p = (struct pflash *)d;
    (void)size;
    return p->s.mode == MODE_ID      ? id_byte(off)
           : p->s.mode == MODE_QUERY ? query_byte(p, off)
                                     : p->s.status;
}

static void pflash_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    write_byte((struct pflash *)d, off, (uint8_t)val);
}

static const struct io_ops ops = {pflash_read, pflash_write, 1, 1};

/* --- The device --- */

static bool fill(struct pflash *p, struct err *e)
{
    uint8_t sector[BLK_SECTOR];
    for (uint64_t at = 0; at < p->size / BLK_SECTOR; at++) {
        if (!drive_read(p->drive, at, sector, 1)) {
            return err_set(e, "%s: cannot be read", p->drive->name);
        }
        ram_write(p->ram, at * BLK_SECTOR, sector, sizeof sector);
    }
    return true;
}

static bool pflash_init(struct dev *d, struct err *e)
{
    struct pflash *p = (struct pflash *)d;
    if (!p->drive || !p->drive->blk) {
        return err_set(e, "%s: want drive=", d->name);
    }
    p->size = p->drive->blk->bytes;
    if (!p->size || p->size % BLOCK || p->size > SIZE_MAX_BYTES || p->size > p->end) {
        return err_set(e, "%s: %llu bytes; want 4 KiB to 8 MiB, a multiple of 4 KiB",
                       p->drive->name, (unsigned long long)p->size);
    }
    p->ram = d->env->ram_new ? d->env->ram_new(d->env->ram_ctx, d->name, p->size) : NULL;
    if (!p->ram) {
        return err_set(e, "%s: no host memory", d->name);
    }
    drive_attach(p->drive, NULL, NULL, p);
    aspace_map_io(d->env->mem, p->end - p->size, p->size, &ops, d, d->name, 1);
    p->rom = aspace_map_ram(d->env->mem, p->end - p->size, p->size, p->ram, 0, true, d->name, 2);
    region_pass_writes(d->env->mem, p->rom);
    return fill(p, e);
}

static void pflash_reset(struct dev *d, enum reset_kind kind)
{
    struct pflash *p = (struct pflash *)d;
    (void)kind;
    p->s = (struct pflash_state){.mode = MODE_ARRAY};
    set_mode(p, MODE_ARRAY);
}

static void pflash_restored(struct dev *d)
{
    struct pflash *p = (struct pflash *)d;
    set_mode(p, p->s.mode & 3);
}

static const struct prop pflash_props[] = {
    {"drive", PROP_DRIVE, offsetof(struct pflash, drive), NULL, 0, 0, "what is stored"},
    {"end", PROP_U64, offsetof(struct pflash, end), "0x100000000", BLOCK, UINT64_C(1) << 32,
     "address behind its last byte"},
    {0},
};

const struct dev_class pflash_class = {
    .name = "pflash",
    .help = "parallel NOR flash, Intel commands",
    .size = sizeof(struct pflash),
    .state_off = offsetof(struct pflash, s),
    .state = &pflash_state_desc,
    .props = pflash_props,
    .init = pflash_init,
    .reset = pflash_reset,
    .restored = pflash_restored,
};
