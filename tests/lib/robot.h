/*
 * A whole machine whose guest does what the test says, one order at a time: port accesses, ATA and
 * packet commands, floppy sectors (tests/lib/robot.asm). Two machines that are given the same
 * orders do the same at the same virtual times.
 */
#ifndef DOPPEL_TESTS_ROBOT_H
#define DOPPEL_TESTS_ROBOT_H

#include "core/backend_block.h"
#include "doppel.h"

struct robot {
    struct doppel_vm *vm;
    uint8_t answer[4];
    unsigned n; /* bytes of it that came */
};

/* Options with which robots are alike; add drives to them. */
struct doppel_options robot_options(void);
/* False: *e says why. */
bool robot_start(struct robot *r, const struct doppel_options *o, struct doppel_error *e);
void robot_stop(struct robot *r);

/* Give an order of 8 bytes. False: no answer within 20 million instructions (r->n is below 4; it
 * may still come: robot_wait). */
bool robot_order(struct robot *r, const char order[8]);
bool robot_wait(struct robot *r);

/* What ATA and packet commands answer. */
struct robot_ata {
    uint8_t status, error, a, b;
};
/* ATA command without data or with data in, and a write of one sector filled with `fill`. `dev`:
 * 0xe0 first, 0xf0 second disk of the primary channel; 0x60 and 0x70 of the secondary. */
struct robot_ata robot_ata(struct robot *r, uint8_t dev, uint8_t cmd, uint32_t lba, uint8_t count);
struct robot_ata robot_write(struct robot *r, uint8_t dev, uint32_t lba, uint8_t fill);
/* A packet with bytes 0, 4, 5 and 8 as given. */
struct robot_ata robot_packet(struct robot *r, uint8_t dev, uint8_t op, uint8_t b4, uint8_t b5,
                              uint8_t b8);
uint8_t robot_in(struct robot *r, uint16_t port);
/* Let a little over n << 20 instructions pass (1 to 255), quickly on any host: much more so than
 * the robot's waiting for an order does. */
void robot_busy(struct robot *r, uint8_t n);
/* The first sector of a cylinder of floppy A: ST0, ST1, ST2 and its first byte in this order. */
struct robot_ata robot_floppy(struct robot *r, bool write, uint8_t cyl, uint8_t fill);

/* What is in the drive of the n-th -drive option, for transfers past the guest. */
struct blk *robot_medium(struct robot *r, unsigned n);

/* A monitor command; what it printed, valid until the next. */
const char *robot_command(struct robot *r, const char *line);

#endif
