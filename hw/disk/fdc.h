/*
 * The 82077AA floppy controller and its drives: what its three parts share. fdc.c has registers,
 * phases and the bus, fdc_cmd.c the commands that move no data, fdc_data.c those that do,
 * fd_media.c what diskettes and drives are like. fdc_floppy_types is for boards.
 */
#ifndef DOPPEL_HW_DISK_FDC_H
#define DOPPEL_HW_DISK_FDC_H

#include "core/backend_block.h"
#include "core/dev.h"
#include "hw/disk/fd_media.h"

enum {
    FDC_UNITS = 4,  /* that commands can name */
    FDC_DRIVES = 2, /* that can be there */
    FDC_CMD_MAX = 9,
    FDC_RES_MAX = 10,

    DOR_SELECT = 0x03,
    DOR_NOT_RESET = 0x04,
    DOR_DMA_GATE = 0x08,
    DOR_MOTOR0 = 0x10,

    CONFIG_THRESHOLD = 0x0f,
    CONFIG_NO_POLL = 0x10,
    CONFIG_NO_FIFO = 0x20,
    CONFIG_IMPLIED_SEEK = 0x40,

    CMD_MT = 0x80,
    CMD_MFM = 0x40,
    CMD_SK = 0x20,

    ST0_ABNORMAL = 0x40,
    ST0_INVALID = 0x80,
    ST0_POLLING = 0xc0,
    ST0_SEEK_END = 0x20,
    ST0_EQUIPMENT = 0x10,
    ST1_MISSING_MARK = 0x01,
    ST1_NOT_WRITABLE = 0x02,
    ST1_NO_DATA = 0x04,
    ST1_OVERRUN = 0x10,
    ST1_DATA_ERROR = 0x20,
    ST1_END_OF_CYLINDER = 0x80,
    ST2_SCAN_NOT = 0x04,
    ST2_SCAN_EQUAL = 0x08,
    ST2_WRONG_CYLINDER = 0x10,
    ST2_DATA_ERROR = 0x20,
    ST2_CONTROL_MARK = 0x40,
};

enum fdc_phase { FDC_COMMAND, FDC_EXEC, FDC_RESULT };

/* The operation codes of commands with an execution phase, without MT, MFM and SK. */
enum fdc_op {
    OP_READ_TRACK = 0x02,
    OP_WRITE = 0x05,
    OP_READ = 0x06,
    OP_WRITE_DELETED = 0x09,
    OP_READ_ID = 0x0a,
    OP_READ_DELETED = 0x0c,
    OP_FORMAT = 0x0d,
    OP_SCAN_EQUAL = 0x11,
    OP_VERIFY = 0x16,
    OP_SCAN_LOW = 0x19,
    OP_SCAN_HIGH = 0x1d,
};

#define FDD_STATE(S, V, A, N)                                                                      \
    V(S, uint8_t, cyl, 1)      /* where the heads are */                                           \
    V(S, bool, changed, 1)     /* DSKCHG: the medium was out since the last step */                \
    V(S, uint64_t, spun_up, 1) /* the motor is on and was up to speed at this instant */

ST_DECLARE(fdd_state, FDD_STATE);

#define FDC_STATE(S, V, A, N)                                                                      \
    N(S, fdd_state, drive, FDC_DRIVES, 1)                                                          \
    V(S, uint8_t, dor, 1)                                                                          \
    V(S, uint8_t, tdr, 1)                                                                          \
    V(S, uint8_t, dsr, 1)                                                                          \
    V(S, uint8_t, rate, 1)    /* 0: 500, 1: 300, 2: 250 kbit/s, 3: 1 Mbit/s */                     \
    V(S, uint8_t, specify, 1) /* step rate, head unload time */                                    \
    V(S, uint8_t, hlt_nd, 1)  /* head load time, non-DMA */                                        \
    V(S, uint8_t, config, 1)                                                                       \
    V(S, uint8_t, pretrk, 1)                                                                       \
    V(S, uint8_t, perp, 1) /* PERPENDICULAR MODE */                                                \
    V(S, bool, lock, 1)                                                                            \
    V(S, uint8_t, sc_eot, 1) /* of the last command that had one */                                \
    V(S, uint8_t, phase, 1)                                                                        \
    A(S, uint8_t, cmd, FDC_CMD_MAX, 1)                                                             \
    V(S, uint8_t, cmd_len, 1)                                                                      \
    V(S, uint8_t, cmd_pos, 1)                                                                      \
    A(S, uint8_t, res, FDC_RES_MAX, 1)                                                             \
    V(S, uint8_t, res_len, 1)                                                                      \
    V(S, uint8_t, res_pos, 1)                                                                      \
    V(S, bool, irq, 1)                                                                             \
    V(S, uint8_t, reset_left, 1) /* drives whose polling status is still to be sensed */           \
    A(S, uint8_t, pcn, FDC_UNITS, 1)                                                               \
    A(S, uint8_t, seek_drive, FDC_UNITS, 1) /* selected when the seek began */                     \
    A(S, int16_t, seek_steps, FDC_UNITS, 1) /* inward */                                           \
    A(S, uint8_t, seek_cmd, FDC_UNITS, 1)   /* head, and whether it recalibrates */                \
    A(S, uint8_t, seek_st0, FDC_UNITS, 1)                                                          \
    V(S, uint8_t, sense, 1) /* units whose seek ended and was not sensed */                        \
    V(S, uint8_t, op, 1)    /* execution phase: enum fdc_op */                                     \
    V(S, uint8_t, c, 1)                                                                            \
    V(S, uint8_t, h, 1)                                                                            \
    V(S, uint8_t, r, 1)                                                                            \
    V(S, uint8_t, n, 1)                                                                            \
    V(S, uint8_t, head, 1)  /* whose side is read */                                               \
    V(S, uint16_t, left, 1) /* sectors, where a command counts them */                             \
    V(S, bool, waiting, 1)  /* for index pulses: no medium, or it does not turn */                 \
    V(S, bool, moving, 1)   /* non-DMA: the host moves `buf` */                                    \
    V(S, bool, mark, 1)     /* ends at a wrong data mark; READ TRACK: an ID differed */            \
    A(S, uint8_t, buf, 1024, 1)                                                                    \
    V(S, uint16_t, buf_len, 1)                                                                     \
    V(S, uint16_t, buf_pos, 1)                                                                     \
    V(S, uint16_t, avail, 1)      /* bytes that the host may move now */                           \
    V(S, struct vtimer, ready, 1) /* end of a reset */                                             \
    V(S, struct vtimer, exec, 1)                                                                   \
    A(S, struct vtimer, seek, FDC_UNITS, 1)

ST_DECLARE(fdc_state, FDC_STATE);

struct fdc;

/* One connector of the cable. */
struct fdd {
    struct fdc *fdc;
    struct drive *drive;    /* NULL: nothing there */
    enum fd_type type;      /* FD_NONE if so */
    struct fd_medium media; /* spt 0: none */
    char type_name[32];     /* property */
};

struct fdc {
    struct dev dev;
    struct fdc_state s;
    struct timer ready, exec, seek[FDC_UNITS];
    struct fdd fdd[FDC_DRIVES];
    struct dev *dma;
    char dma_name[32];
    uint32_t iobase, dma_channel;
    bool turbo;
};

/* CMOS byte 10h: the types of both drives. After init. */
uint8_t fdc_floppy_types(struct dev *d);

/* --- Between the parts --- */

/* Index of the drive that the DOR selects; FDC_DRIVES: none there. */
unsigned fdc_selected(const struct fdc *f);
static inline vtime fdc_now(const struct fdc *f)
{
    return clock_now(f->dev.env->clock);
}
void fdc_set_irq(struct fdc *f, bool on);
/* Enter the result phase with `n` bytes of s.res; with the interrupt, if asked for. */
void fdc_result(struct fdc *f, unsigned n, bool irq);
/* Back to waiting for a command. */
void fdc_idle(struct fdc *f);

/* fdc_cmd.c: length of the command that begins with `first`, and its execution. */
unsigned fdc_cmd_length(uint8_t first);
void fdc_cmd_run(struct fdc *f);
void fdc_seek_done(struct fdc *f, unsigned unit);
/* Step the heads of drive `i` (any value), inward if positive. */
void fdc_step(struct fdc *f, unsigned i, int steps);
vtime fdc_step_time(const struct fdc *f);

/* fdc_data.c */
void fdc_data_begin(struct fdc *f);
void fdc_data_timer(struct fdc *f);
/* The drive's motor, selection or medium changed. */
void fdc_data_kick(struct fdc *f);
uint8_t fdc_data_read(struct fdc *f);
void fdc_data_write(struct fdc *f, uint8_t val);
/* The host reads (true) or writes data in the non-DMA execution phase. */
bool fdc_data_to_host(const struct fdc *f);

#endif
