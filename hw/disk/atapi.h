/*
 * A packet device: the protocol (atapi.c) and the packets (atapi_cmd.c).
 */
#ifndef DOPPEL_HW_DISK_ATAPI_H
#define DOPPEL_HW_DISK_ATAPI_H

#include "hw/disk/ide.h"

enum {
    ATAPI_BLOCK = 2048,
    ATAPI_UA_RESET = 1,  /* attention: power on */
    ATAPI_UA_MEDIUM = 2, /* a medium came in, */
    ATAPI_UA_ABSENT = 4, /* and nobody has been told yet that there was none */
    ATAPI_EV_EJECT = 1,  /* MMC-3, table 70: media events */
    ATAPI_EV_NEW = 2,
    ATAPI_EV_REMOVAL = 3,
};

enum atapi_stage {
    ATAPI_IDLE,
    ATAPI_CDB,        /* the host writes the packet */
    ATAPI_EXEC,       /* it takes its time */
    ATAPI_DATA,       /* to the host: `reply` bytes of buf, then `left` blocks from `lba` on */
    ATAPI_PARAM,      /* from the host: a parameter list of `reply` bytes */
    ATAPI_PARAM_DONE, /* it is in buf */
};

/* The medium's blocks; 0: none, or the tray is out. */
uint32_t atapi_blocks(const struct ide_unit *u);
/* The ends of a packet: good, or CHECK CONDITION with sense data. */
void atapi_good(struct ide_unit *u);
void atapi_check(struct ide_unit *u, uint8_t key, uint8_t asc, uint8_t ascq);
/* Data to the host: `len` bytes of buf, no more than `alloc`; or blocks of the medium. */
void atapi_reply(struct ide_unit *u, uint32_t len, uint32_t alloc);
void atapi_read(struct ide_unit *u, uint32_t lba, uint32_t n);
/* Data from the host: a parameter list. */
void atapi_take(struct ide_unit *u, uint32_t len);

/* atapi_cmd.c: does the packet in pkt.cdb; its time, virtual ns. */
void atapi_exec(struct ide_unit *u);
uint64_t atapi_exec_ns(const struct ide_unit *u);

#endif
