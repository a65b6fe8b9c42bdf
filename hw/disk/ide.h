/*
 * An ATA channel: the register file of two devices on one cable, apart from any bus.
 *
 * Layers: the glue (piix3_ide.c, isa_ide.c) maps ports and owns a struct ide_chan for each cable;
 * ide.c is the register file, device selection, interrupts, data port and resets; ata.c are the
 * commands of disks, atapi*.c those of packet devices. A glue that can master the bus gives struct
 * ide_dma, and calls ide_dma_kick when its engine may go on.
 *
 * A command sets BSY for a computed virtual time and does its work at the end of it; so does each
 * block of data. A device is always in one of the phases below, and all that it needs to go on is
 * in its state table.
 *
 * Sources: ATA/ATAPI-6 (T13 1410D rev. 3a), ATA-2 (X3.279) for commands that were dropped since.
 */
#ifndef DOPPEL_HW_DISK_IDE_H
#define DOPPEL_HW_DISK_IDE_H

#include "core/backend_block.h"
#include "core/dev.h"

/* Offsets of the command block. Feature and error, status and command share a place. */
enum ide_reg {
    IDE_DATA,
    IDE_FEATURE,
    IDE_NSECT,
    IDE_LBAL,
    IDE_LBAM,
    IDE_LBAH,
    IDE_DEVICE,
    IDE_STATUS,
    IDE_ERROR = IDE_FEATURE,
    IDE_COMMAND = IDE_STATUS,
    IDE_LATCHES = IDE_DEVICE, /* registers before this one are two bytes deep */
};

enum {
    IDE_ST_ERR = 0x01, /* CHK of packet devices */
    IDE_ST_DRQ = 0x08,
    IDE_ST_DSC = 0x10,
    IDE_ST_DF = 0x20,
    IDE_ST_DRDY = 0x40,
    IDE_ST_BSY = 0x80,
    IDE_ST_READY = IDE_ST_DRDY | IDE_ST_DSC,

    IDE_ERR_ABRT = 0x04,
    IDE_ERR_IDNF = 0x10,
    IDE_ERR_UNC = 0x40, /* of a read */
    IDE_ERR_WP = 0x40,  /* of a write */

    IDE_DEV_UNIT1 = 0x10,
    IDE_DEV_LBA = 0x40,

    IDE_CTL_NIEN = 0x02,
    IDE_CTL_SRST = 0x04,
    IDE_CTL_HOB = 0x80,

    IDE_SECTOR = 512,
    IDE_MULTI_MAX = 16,                   /* sectors in a block of READ MULTIPLE */
    IDE_BUF = IDE_MULTI_MAX * IDE_SECTOR, /* the largest block that the host moves */
    IDE_DMA_CHUNK = 256 * IDE_SECTOR,     /* moved by the bus master at one instant */
    IDE_CYLS_MAX = 16383,                 /* ATA/ATAPI-6, 6.2.1 */
};

/* How long things take, virtual ns. A fast disk: what a guest polls for costs host time, so these
 * are as short as drivers of all ages bear. */
enum {
    IDE_NS_RESET = 100000,
    IDE_NS_COMMAND = 5000, /* decode and answer */
    IDE_NS_ACCESS = 10000, /* the same, with the medium */
    IDE_NS_SEEK = 40000,   /* more, over the whole medium; proportional */
    IDE_NS_BLOCK = 2000,   /* between two blocks of data */
    IDE_NS_BYTE = 1,       /* to or from the medium */
};

/* What a device is doing. BSY is set in CMD, BLOCK, DMA and RESET, which end at `due`. */
enum ide_phase {
    IDE_PH_IDLE,
    IDE_PH_CMD,     /* the command in `cmd` waits for its time */
    IDE_PH_PIO_IN,  /* DRQ: the host reads buf[pos..len) */
    IDE_PH_PIO_OUT, /* DRQ: the host writes it */
    IDE_PH_BLOCK,   /* after a block, before the next or the end */
    IDE_PH_DMA,     /* data by the bus master, `due` only while its engine runs */
    IDE_PH_RESET,
    IDE_PHASES
};

/* Commands that ide.c itself looks at. */
enum { ATA_DEVICE_RESET = 0x08, ATA_DIAGNOSTIC = 0x90 };

enum ide_power { IDE_PW_ACTIVE, IDE_PW_STANDBY, IDE_PW_IDLE, IDE_PW_SLEEP };

/* What only packet devices have (atapi.h). */
// clang-format off
#define ATAPI_STATE(S, V, A, N)                                                                    \
    A(S, uint8_t, cdb, 12, 1)                                                                      \
    V(S, uint8_t, stage, 1)     /* enum atapi_stage */                                             \
    V(S, uint16_t, limit, 1)    /* byte count limit of the packet */                               \
    V(S, bool, dma, 1)          /* the packet's data goes by DMA */                                \
    V(S, uint8_t, key, 1)       /* sense: key, */                                                  \
    V(S, uint8_t, asc, 1)       /* additional code */                                              \
    V(S, uint8_t, ascq, 1)      /* and qualifier */                                                \
    V(S, uint8_t, attention, 1) /* unit attentions to report */                                    \
    V(S, uint8_t, event, 1)     /* media event to report */                                        \
    V(S, bool, locked, 1)       /* PREVENT MEDIUM REMOVAL */                                       \
    V(S, bool, open, 1)         /* the tray is out */                                              \
    V(S, uint32_t, reply, 1)    /* bytes in buf that go to the host before anything else */
// clang-format on
ST_DECLARE(atapi_state, ATAPI_STATE);

#define IDE_UNIT_STATE(S, V, A, N)                                                                 \
    V(S, uint8_t, status, 1)                                                                       \
    V(S, uint8_t, error, 1)                                                                        \
    A(S, uint8_t, reg, 6, 1) /* as written, by enum ide_reg; reg[0] is unused */                   \
    A(S, uint8_t, hob, 6, 1) /* what reg held before */                                            \
    V(S, uint8_t, device, 1)                                                                       \
    V(S, uint8_t, cmd, 1)                                                                          \
    V(S, uint8_t, phase, 1)                                                                        \
    V(S, bool, irq, 1)      /* an interrupt is pending */                                          \
    V(S, uint64_t, lba, 1)  /* of a transfer: the next sector, */                                  \
    V(S, uint32_t, left, 1) /* and how many */                                                     \
    V(S, uint64_t, head, 1) /* where the last access ended */                                      \
    V(S, uint16_t, pos, 1)  /* of the block in buf */                                              \
    V(S, uint16_t, len, 1)                                                                         \
    A(S, uint8_t, buf, IDE_BUF, 1)                                                                 \
    A(S, uint16_t, chs, 3, 1) /* default cylinders, heads, sectors */                              \
    V(S, uint8_t, heads, 1)   /* as INITIALIZE DEVICE PARAMETERS set them */                       \
    V(S, uint8_t, secs, 1)                                                                         \
    V(S, uint8_t, multi, 1) /* sectors in a block of READ MULTIPLE; 0: not set */                  \
    V(S, uint8_t, xfer, 1)  /* SET FEATURES transfer mode */                                       \
    V(S, uint8_t, power, 1)                                                                        \
    V(S, bool, wcache, 1)                                                                          \
    V(S, bool, lookahead, 1)                                                                       \
    V(S, bool, smart, 1)                                                                           \
    V(S, bool, revert, 1) /* SRST restores defaults */                                             \
    V(S, struct vtimer, due, 1)                                                                    \
    N(S, atapi_state, pkt, 1, 1)
ST_DECLARE(ide_unit_state, IDE_UNIT_STATE);

#define IDE_CHAN_STATE(S, V, A, N)                                                                 \
    V(S, uint8_t, control, 1) /* device control */                                                 \
    V(S, uint8_t, select, 1)  /* the device that DEV names */                                      \
    N(S, ide_unit_state, unit, 2, 1)
ST_DECLARE(ide_chan_state, IDE_CHAN_STATE);

struct ide_chan;
struct ide_kind;

/* What is on a connector, from properties of the glue. Geometry 0: guessed. */
struct ide_conf {
    struct drive *drive; /* NULL: nothing */
    uint32_t cyls, heads, secs;
    char serial[32]; /* empty: made from the drive's name */
};

/* A row of each for struct prop: connector n is member conf[n] of struct `T`. */
// clang-format off
#define IDE_PROPS(T, n)                                                                            \
    {"drive" #n, PROP_DRIVE, offsetof(struct T, conf[n].drive), NULL, 0, 0,                        \
     "disk or CD-ROM on connector " #n},                                                           \
    {"cyls" #n, PROP_U32, offsetof(struct T, conf[n].cyls), "0", 0, 65535,                         \
     "cylinders of it; 0: from its size or partition table"},                                      \
    {"heads" #n, PROP_U32, offsetof(struct T, conf[n].heads), "0", 0, 16, "heads, with cyls"},     \
    {"secs" #n, PROP_U32, offsetof(struct T, conf[n].secs), "0", 0, 255,                           \
     "sectors a track, with cyls"},                                                                \
    {"serial" #n, PROP_STR, offsetof(struct T, conf[n].serial), "", 0, 0,                          \
     "serial number, at most 20 characters; default from the drive's name"}
// clang-format on

struct ide_unit {
    struct ide_chan *chan;
    struct ide_unit_state *s;
    struct drive *drive; /* NULL: nothing on this connector */
    const struct ide_kind *kind;
    struct timer due;
    uint16_t chs[3]; /* geometry, for a cold reset */
    char serial[21];
};

/* A bus master. All on the machine's thread. */
struct ide_dma {
    /* The engine is started in this direction. */
    bool (*ready)(struct ide_chan *c, bool to_memory);
    /* Move bytes; fewer than len: the engine stopped (end of its table, an error). */
    uint32_t (*move)(struct ide_chan *c, void *buf, uint32_t len, bool to_memory);
};

struct ide_chan {
    struct dev *dev;
    struct ide_chan_state *s;
    struct ide_unit unit[2];
    const struct ide_dma *dma;                     /* NULL: this bus has none */
    void (*intrq)(struct ide_chan *c, bool level); /* the interrupt line, at each change */
    uint8_t scratch[IDE_DMA_CHUNK];                /* within one call only */
};

/* --- For the glue --- */

/* At init, with c->dma and c->intrq set. e names the property. */
bool ide_init(struct ide_chan *c, struct dev *d, struct ide_chan_state *s,
              const struct ide_conf conf[2], struct err *e);
void ide_reset(struct ide_chan *c, enum reset_kind kind);
void ide_restored(struct ide_chan *c);

/* The eight ports of the command block, as struct io_ops has them: sizes 1, 2 and 4. */
uint32_t ide_ports_read(struct ide_chan *c, unsigned off, unsigned size);
void ide_ports_write(struct ide_chan *c, unsigned off, unsigned size, uint32_t val);
/* The control block: alternate status and device control. */
uint8_t ide_alt_status(const struct ide_chan *c);
void ide_control(struct ide_chan *c, uint8_t val);
/* The bus master's engine was started. */
void ide_dma_kick(struct ide_chan *c);

/* --- For ata.c and atapi.c --- */

/* Ways for a command to go on; each leaves a complete state. */
void ide_busy(struct ide_unit *u, enum ide_phase phase, uint64_t ns);
void ide_pio_in(struct ide_unit *u, uint16_t len, bool irq);
void ide_pio_out(struct ide_unit *u, uint16_t len, bool irq);
void ide_dma_begin(struct ide_unit *u);
/* Waits for the engine, or lets it move the next chunk in its time. */
void ide_dma_next(struct ide_unit *u);
void ide_done(struct ide_unit *u);                                /* with an interrupt */
void ide_fail(struct ide_unit *u, uint8_t status, uint8_t error); /* ERR is added to status */
void ide_signature(struct ide_unit *u, uint8_t diagnostic);
/* Time to reach `lba` of the medium, from where the last access ended. */
uint64_t ide_seek_ns(const struct ide_unit *u, uint64_t lba, uint64_t sectors);

/* What a kind of device does at the turns of the protocol. */
struct ide_kind {
    void (*reset)(struct ide_unit *u, bool hard);    /* its own state; then ide_signature */
    void (*command)(struct ide_unit *u);             /* s->cmd was written: take time, or act */
    void (*run)(struct ide_unit *u);                 /* the command's time is over */
    void (*block)(struct ide_unit *u);               /* the host moved a block: what now */
    void (*more)(struct ide_unit *u);                /* the time after a block is over */
    void (*dma)(struct ide_unit *u);                 /* move the next chunk */
    uint32_t (*dma_bytes)(const struct ide_unit *u); /* its size */
    bool (*dma_in)(const struct ide_unit *u);        /* to the host's memory */
    void (*restored)(struct ide_unit *u);            /* make hostile state harmless */
    void (*changed)(struct ide_unit *u);             /* as struct drive has it */
    void (*eject_asked)(struct ide_unit *u);
    bool packet;        /* takes packets */
    uint8_t lbam, lbah; /* signature */
    uint8_t ready;      /* status after a reset */
};
extern const struct ide_kind ata_kind, atapi_kind;

/* A transfer mode of SET FEATURES. False: the device has no such mode. */
bool ata_set_transfer_mode(struct ide_unit *u, uint8_t mode);

/* ata_identify.c: a guess at the geometry into u->chs, at init; and the 512 bytes of IDENTIFY. */
void ata_geometry(struct ide_unit *u);
void ata_identify(const struct ide_unit *u, uint8_t *id);
/* Text in words, each with its first byte high (ATA/ATAPI-6, 3.2.9), padded with spaces. */
void ata_identify_modes(const struct ide_unit *u, uint8_t *id); /* the words of transfer modes */
void ata_identify_text(uint8_t *at, const char *text, unsigned len);
/* The checksum in the last word. */
void ata_identify_seal(uint8_t *id);

#endif
