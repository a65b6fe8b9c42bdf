// A bench for the floppy controller: the 82077AA with diskettes in memory, the 8237 and a megabyte
// of RAM on a bare bus, and what a driver does with them.

#ifndef DOPPEL_TESTS_DEV_FDC_BENCH_H
#define DOPPEL_TESTS_DEV_FDC_BENCH_H

#include "hw/disk/fdc.h"
#include "tests/lib/rig.h"

struct diskette {
    struct blk blk; // first
    uint8_t *data;
    bool broken; // the host fails
    unsigned writes;
};

struct fd {
    struct rig r;
    struct dev *d;
    struct probe *p; // in0: the interrupt
    struct drive drive[2];
    struct diskette disk[2];
    uint8_t res[16]; // of the last result phase
};

// Each sector begins with its number (16 bits) and is filled with its low 7 bits.
void fdc_make_disk(struct diskette *k, unsigned sectors);
// The machine with a diskette of `sectors` (0: none) in drive A, B empty, cold reset.
void fdc_setup(struct fd *x, unsigned sectors, const char *props);
void fdc_done(struct fd *x);

bool fdc_irq(struct fd *x);
uint8_t fdc_msr(struct fd *x);
// Send a command; each byte must be asked for.
void fdc_command(struct fd *x, unsigned n, const uint8_t *bytes);
#define CMD(x, ...)                                                                                \
    fdc_command((x), sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})
// Read the result phase into x->res; the number of bytes it had.
unsigned fdc_results(struct fd *x);
// Until the interrupt, at most two seconds; how long it took (ns).
uint64_t fdc_wait_irq(struct fd *x);
// The result phase is ST0, ST1, ST2, C, H, R, 2.
bool fdc_expect7(struct fd *x, unsigned st0, unsigned st1, unsigned st2, unsigned c, unsigned h,
                 unsigned r);

// As a BIOS does: out of reset with the motor on, sense four times, rate, times.
void fdc_start(struct fd *x, uint8_t rate, bool pio);
// Both with their sense interrupt.
void fdc_seek(struct fd *x, unsigned unit, unsigned cyl);
void fdc_recalibrate(struct fd *x);
// Channel 2 to or from 10000H.
void fdc_program_dma(struct fd *x, bool to_mem, unsigned bytes);
// A byte from 10000H on; and: memory from there holds these sectors.
uint8_t fdc_peek(struct fd *x, unsigned at);
void fdc_expect_sectors(struct fd *x, unsigned lba, unsigned n);

#endif
