/*
 * The two Intel 8237A DMA controllers of a PC/AT with their page registers, as one device ("dma0").
 *
 * Chip 0 serves channels 0..3 with bytes, chip 1 channels 5..7 with 16-bit words; channel 4 is the
 * cascade, so chip 0 reaches the bus only while channel 4 is unmasked and chip 1 is enabled.
 * Nothing runs here by itself: a device asks (hw/dma/i8237.h) and its transfer happens at once,
 * whatever single, demand or block mode says of its timing.
 *
 * What always holds: an address counts within 16 bits, so a transfer wraps inside its 64 KiB
 * (128 KiB for words) and never carries into the page register. Terminal count comes with the
 * transfer that finds the count at 0, which is left at FFFFH unless auto-initialized.
 *
 * Left out, as in the PIIX3 (82371SB, 2.5.1 DCOM): memory to memory, address hold, compressed
 * timing. A software request is shown in the status register until terminal count or master clear
 * and moves nothing: there is no device behind it.
 *
 * Sources: Intel 8237A datasheet (231466), "Register Description", "Software Commands"; IBM PC/AT
 * Technical Reference, "DMA Controller" for ports, pages and word addresses; PIIX3 2.5.1 for reads
 * of 0FH and for channel 4 as a cascade after reset.
 */
#include "hw/dma/i8237.h"

#include <string.h>

#include "hw/hw.h"
#include "mmu/aspace.h"

enum {
    REG_COMMAND = 8, /* reads: status */
    REG_REQUEST,
    REG_MASK_ONE,
    REG_MODE,
    REG_CLEAR_FLIP,
    REG_MASTER_CLEAR, /* reads: temporary register */
    REG_CLEAR_MASK,
    REG_MASK_ALL,

    CMD_DISABLE = 0x04,

    MODE_TYPE = 0x0c,
    TYPE_VERIFY = 0x00,
    TYPE_TO_MEM = 0x04, /* the datasheet's "write" */
    TYPE_FROM_MEM = 0x08,
    MODE_AUTO = 0x10,
    MODE_DECREMENT = 0x20,
    MODE_CASCADE = 0xc0,

    CASCADE_CHANNEL = 4,
};

#define DMA_CH_STATE(S, V, A, N)                                                                   \
    V(S, uint16_t, base_addr, 1)                                                                   \
    V(S, uint16_t, base_count, 1)                                                                  \
    V(S, uint16_t, addr, 1)  /* of words on chip 1 */                                              \
    V(S, uint16_t, count, 1) /* transfers left, minus one */                                       \
    V(S, uint8_t, mode, 1)

ST_DECLARE(dma_ch, DMA_CH_STATE);
ST_DESCRIBE(dma_ch, DMA_CH_STATE, 1);

#define DMA_CHIP_STATE(S, V, A, N)                                                                 \
    N(S, dma_ch, ch, 4, 1)                                                                         \
    V(S, uint8_t, command, 1)                                                                      \
    V(S, uint8_t, tc, 1)      /* channels that reached terminal count since status was read */     \
    V(S, uint8_t, request, 1) /* software requests */                                              \
    V(S, uint8_t, mask, 1)                                                                         \
    V(S, bool, high, 1) /* the flip-flop: the high byte is next */

ST_DECLARE(dma_chip, DMA_CHIP_STATE);
ST_DESCRIBE(dma_chip, DMA_CHIP_STATE, 1);

#define I8237_STATE(S, V, A, N)                                                                    \
    N(S, dma_chip, chip, 2, 1)                                                                     \
    A(S, uint8_t, page, 16, 1) /* ports 80H..8FH */

ST_DECLARE(i8237_state, I8237_STATE);
ST_DESCRIBE(i8237_state, I8237_STATE, 1);

struct i8237 {
    struct dev dev;
    struct i8237_state s;
};

/* --- One chip's registers --- */

static uint8_t half_of(struct dma_chip *c, uint16_t v)
{
    c->high = !c->high;
    return (uint8_t)(c->high ? v : v >> 8);
}

static void set_half(uint16_t *reg, bool high, uint8_t val)
{
    *reg = (uint16_t)(high ? (*reg & 0x00ff) | val << 8 : (*reg & 0xff00) | val);
}

/* Base and current registers are written together. */
static void write_channel(struct dma_chip *c, unsigned reg, uint8_t val)
{
    struct dma_ch *ch = &c->ch[reg >> 1 & 3];
    uint16_t *base = reg & 1 ? &ch->base_count : &ch->base_addr;
    uint16_t *cur = reg & 1 ? &ch->count : &ch->addr;
    set_half(base, c->high, val);
    set_half(cur, c->high, val);
    c->high = !c->high;
}

static uint8_t read_status(struct dma_chip *c)
{
    uint8_t v = (uint8_t)((c->tc & 15) | (c->request & 15) << 4);
    c->tc = 0;
    return v;
}

/* Master clear: what the reset line does too. Modes, addresses and counts stay. */
static void master_clear(struct dma_chip *c)
{
    c->command = c->tc = c->request = 0;
    c->mask = 15;
    c->high = false;
}

static uint8_t read_reg(struct dma_chip *c, unsigned reg)
{
    if (reg < 8) {
        const struct dma_ch *ch = &c->ch[reg >> 1];
        return half_of(c, reg & 1 ? ch->count : ch->addr);
    }
    switch (reg) {
    case REG_COMMAND:
        return read_status(c);
    case REG_MASTER_CLEAR:
        return 0; /* temporary register: only memory to memory would fill it */
    case REG_MASK_ALL:
        return (uint8_t)(0xf0 | c->mask);
    default:
        return 0xff;
    }
}

static void set_bit(uint8_t *reg, uint8_t val)
{
    uint8_t bit = (uint8_t)(1u << (val & 3));
    *reg = (uint8_t)(val & 4 ? *reg | bit : *reg & ~bit);
}

static void write_reg(struct dma_chip *c, unsigned reg, uint8_t val)
{
    if (reg < 8) {
        write_channel(c, reg, val);
        return;
    }
    switch (reg) {
    case REG_COMMAND:
        c->command = val;
        break;
    case REG_REQUEST:
        set_bit(&c->request, val);
        break;
    case REG_MASK_ONE:
        set_bit(&c->mask, val);
        break;
    case REG_MODE:
        c->ch[val & 3].mode = val & 0xfc;
        break;
    case REG_CLEAR_FLIP:
        c->high = false;
        break;
    case REG_MASTER_CLEAR:
        master_clear(c);
        break;
    case REG_CLEAR_MASK:
        c->mask = 0;
        break;
    case REG_MASK_ALL:
        c->mask = val & 15;
        break;
    default:
        break;
    }
}

/* --- Transfers --- */

static bool chip_open(const struct dma_chip *c, unsigned n)
{
    return !(c->command & CMD_DISABLE) && !(c->mask >> n & 1);
}

bool i8237_ready(struct dev *dma, unsigned channel, bool to_mem)
{
    const struct i8237 *p = (const struct i8237 *)dma;
    if (channel > 7 || channel == CASCADE_CHANNEL) {
        return false;
    }
    if (channel < CASCADE_CHANNEL) {
        const struct dma_chip *second = &p->s.chip[1];
        if (!chip_open(second, 0) || (second->ch[0].mode & MODE_CASCADE) != MODE_CASCADE) {
            return false;
        }
    }
    const struct dma_chip *c = &p->s.chip[channel >> 2];
    uint8_t mode = c->ch[channel & 3].mode, type = mode & MODE_TYPE;
    if (!chip_open(c, channel & 3) || (mode & MODE_CASCADE) == MODE_CASCADE) {
        return false;
    }
    return to_mem ? type == TYPE_TO_MEM || type == TYPE_VERIFY : type == TYPE_FROM_MEM;
}

/* Where the pages of channels 0..7 are among ports 80H..8FH. */
static const uint8_t page_port[8] = {7, 3, 1, 2, 15, 11, 9, 10};

/* The physical address of the next transfer. */
static uint64_t place(const struct i8237 *p, unsigned channel)
{
    uint32_t page = p->s.page[page_port[channel]];
    uint32_t addr = p->s.chip[channel >> 2].ch[channel & 3].addr;
    return channel > 3 ? (page & 0xfe) << 16 | addr << 1 : page << 16 | addr;
}

/* Transfers that lie at consecutive ascending addresses, at most `n` of them. */
static uint32_t run_length(const struct dma_ch *ch, uint32_t n)
{
    uint32_t room = ch->mode & MODE_DECREMENT ? 1 : UINT32_C(0x10000) - ch->addr;
    uint32_t left = (uint32_t)ch->count + 1;
    n = n < room ? n : room;
    return n < left ? n : left;
}

/* Count `n` transfers; true: the last of them was the terminal one. */
static bool advance(struct dma_chip *c, unsigned n_ch, uint32_t n)
{
    struct dma_ch *ch = &c->ch[n_ch];
    uint8_t bit = (uint8_t)(1u << n_ch);
    bool tc = n > ch->count;
    ch->addr = (uint16_t)(ch->mode & MODE_DECREMENT ? ch->addr - n : ch->addr + n);
    ch->count = (uint16_t)(ch->count - n);
    if (!tc) {
        return false;
    }
    c->tc |= bit;
    c->request &= (uint8_t)~bit;
    if (ch->mode & MODE_AUTO) {
        ch->addr = ch->base_addr;
        ch->count = ch->base_count;
    } else {
        c->mask |= bit;
    }
    return true;
}

uint32_t i8237_transfer(struct dev *dma, unsigned channel, void *buf, uint32_t len, bool to_mem,
                        bool *tc)
{
    struct i8237 *p = (struct i8237 *)dma;
    uint32_t done = 0, unit = channel > 3 ? 2 : 1;
    *tc = false;
    if (!i8237_ready(dma, channel, to_mem)) {
        return 0;
    }
    struct dma_chip *c = &p->s.chip[channel >> 2];
    struct dma_ch *ch = &c->ch[channel & 3];
    while (done + unit <= len && !*tc) {
        uint32_t n = run_length(ch, (len - done) / unit);
        uint8_t *at = (uint8_t *)buf + done;
        if (!to_mem) {
            aspace_read_buf(dma->env->mem, place(p, channel), at, (uint64_t)n * unit);
        } else if ((ch->mode & MODE_TYPE) == TYPE_TO_MEM) {
            aspace_write_buf(dma->env->mem, place(p, channel), at, (uint64_t)n * unit);
        }
        done += n * unit;
        *tc = advance(c, channel & 3, n);
    }
    return done;
}

/* --- Bus glue --- */

static uint64_t chip0_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return read_reg(&((struct i8237 *)d)->s.chip[0], off & 15);
}

static void chip0_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    write_reg(&((struct i8237 *)d)->s.chip[0], off & 15, (uint8_t)val);
}

/* Chip 1 sees address lines 1..4: each register at two ports. */
static uint64_t chip1_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return read_reg(&((struct i8237 *)d)->s.chip[1], off >> 1 & 15);
}

static void chip1_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    write_reg(&((struct i8237 *)d)->s.chip[1], off >> 1 & 15, (uint8_t)val);
}

static uint64_t page_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return ((struct i8237 *)d)->s.page[off & 15];
}

static void page_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    ((struct i8237 *)d)->s.page[off & 15] = (uint8_t)val;
}

static const struct io_ops chip0_ops = {chip0_read, chip0_write, 1, 1};
static const struct io_ops chip1_ops = {chip1_read, chip1_write, 1, 1};
static const struct io_ops page_ops = {page_read, page_write, 1, 1};

static bool i8237_init(struct dev *d, struct err *e)
{
    (void)e;
    aspace_map_io(d->env->io, 0x00, 16, &chip0_ops, d, "dma1", 0);
    aspace_map_io(d->env->io, 0xc0, 32, &chip1_ops, d, "dma2", 0);
    aspace_map_io(d->env->io, 0x80, 16, &page_ops, d, "dma-page", 0);
    return true;
}

static void i8237_reset(struct dev *d, enum reset_kind kind)
{
    struct i8237 *p = (struct i8237 *)d;
    (void)kind;
    memset(&p->s, 0, sizeof p->s);
    master_clear(&p->s.chip[0]);
    master_clear(&p->s.chip[1]);
    /* Firmware unmasks the cascade; direct boot has not run any. */
    p->s.chip[1].ch[0].mode = MODE_CASCADE;
    p->s.chip[1].mask = 14;
}

const struct dev_class i8237_class = {
    .name = "i8237",
    .help = "the two 8237A DMA controllers of an AT and their page registers",
    .size = sizeof(struct i8237),
    .state_off = offsetof(struct i8237, s),
    .state = &i8237_state_desc,
    .init = i8237_init,
    .reset = i8237_reset,
};
