// A disk in memory behind struct blk, and an IDE controller on a bare bus, for the tests of IDE.

#ifndef DOPPEL_TESTS_IDE_BENCH_H
#define DOPPEL_TESTS_IDE_BENCH_H

#include "core/backend_block.h"
#include "hw/disk/ide.h"
#include "tests/lib/rig.h"

// An image in memory. Sector n begins with n as a 32-bit number, then its bytes are n + i.
struct mem_blk {
    struct blk blk;
    uint8_t *data;
    unsigned writes, flushes; // calls
    unsigned writes_flushed;  // writes at the last flush
    bool fail_read, fail_write, fail_flush;
    uint64_t bad; // reads of this byte fail too; all ones: none
};

enum { BENCH_RAM = 1 << 20 }; // guest memory at 0

struct bench {
    struct rig r;
    struct probe *p; // in0: primary interrupt, in1: secondary
    struct ram ram;
    struct mem_blk blk[4];
    struct drive drive[4];
    struct dev *dev;
    uint16_t base, control; // of the channel that the helpers below talk to
};

void mem_blk_init(struct mem_blk *m, uint64_t sectors);
void mem_blk_fini(struct mem_blk *m);

// "piix3-ide" or "isa-ide" with a drive on each connector: 0 none, else its 512-byte sectors; a
// negative number is a CD-ROM, -1 an empty one. Reset, and idle.
void bench_init(struct bench *b, const struct dev_class *cls, const int64_t sectors[4],
                const char *props);
void bench_fini(struct bench *b);

uint8_t bench_status(struct bench *b); // alternate status
// Runs until BSY is clear, at most a second; the status (read so that the interrupt goes away).
uint8_t bench_wait(struct bench *b);
void bench_set(struct bench *b, unsigned reg, uint8_t val);
uint8_t bench_get(struct bench *b, unsigned reg);
// A command with an LBA28 address to device `unit`; bench_ext: LBA48.
void bench_cmd(struct bench *b, unsigned unit, uint8_t cmd, uint32_t lba, uint8_t count);
void bench_ext(struct bench *b, unsigned unit, uint8_t cmd, uint64_t lba, uint16_t count);
void bench_read(struct bench *b, void *buf, unsigned len); // the data port, words
void bench_write(struct bench *b, const void *buf, unsigned len);

// The sector as mem_blk_init made it.
void bench_pattern(uint8_t *sector, uint32_t lba);

#endif
