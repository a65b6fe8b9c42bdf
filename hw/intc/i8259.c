/*
 * Intel 8259A programmable interrupt controller, with the edge/level control register of PIIX.
 *
 * One device is one chip; a PC has a master at 0x20 whose IR2 is driven by the slave at 0xa0. The
 * acknowledge cycle goes to the master, which passes it to the slave named by its property `slave`
 * when the winning input carries one (ICW3).
 *
 * What always holds: `irr` has a bit only while its input is high, as on the chip, where a request
 * withdrawn before INTA ends in the spurious vector of IR7. In edge mode a bit is set by a rising
 * edge and cleared by INTA; in level mode it follows the input. INT is recomputed after each
 * change.
 *
 * Sources: Intel 8259A datasheet (231468-003), sections "Interrupt Sequence", "Operation Command
 * Words", "Fully Nested Mode" and on; Intel 82371SB (PIIX3) 2.5.3 for ICW1.LTIM and ELCR.
 * Undocumented or board-specific: a slave that does not answer leaves 0xff on the bus.
 */
#include "hw/intc/i8259.h"

#include "hw/hw.h"
#include "mmu/aspace.h"

enum {
    ICW1_IC4 = 0x01,
    ICW1_SNGL = 0x02,
    ICW1_ADI = 0x04,
    ICW1_LTIM = 0x08,
    ICW1_INIT = 0x10,
    ICW4_8086 = 0x01,
    ICW4_AEOI = 0x02,
    ICW4_SFNM = 0x10,
    OCW2_EOI = 0x20,
    OCW2_SL = 0x40,
    OCW2_ROTATE = 0x80,
    OCW3_SELECT = 0x08,
    OCW3_RIS = 0x01,
    OCW3_RR = 0x02,
    OCW3_POLL = 0x04,
    OCW3_SMM = 0x20,
    OCW3_ESMM = 0x40,
};

#define I8259_STATE(S, V, A, N)                                                                    \
    V(S, uint8_t, lines, 1) /* inputs as last seen */                                              \
    V(S, uint8_t, irr, 1)                                                                          \
    V(S, uint8_t, isr, 1)                                                                          \
    V(S, uint8_t, imr, 1)                                                                          \
    V(S, uint8_t, elcr, 1)                                                                         \
    V(S, uint8_t, lowest, 1) /* IR of the lowest priority, 0..7 */                                 \
    V(S, uint8_t, icw1, 1)                                                                         \
    V(S, uint8_t, icw2, 1)                                                                         \
    V(S, uint8_t, icw3, 1)                                                                         \
    V(S, uint8_t, icw4, 1)                                                                         \
    V(S, uint8_t, next_icw, 1) /* 2..4 in the initialization sequence, else 0 */                   \
    V(S, bool, read_isr, 1)                                                                        \
    V(S, bool, poll, 1)                                                                            \
    V(S, bool, special_mask, 1)                                                                    \
    V(S, bool, rotate_aeoi, 1)

ST_DECLARE(i8259_state, I8259_STATE);
ST_DESCRIBE(i8259_state, I8259_STATE, 1);

struct i8259 {
    struct dev dev;
    struct i8259_state s;
    bool master;
    uint32_t iobase, elcr_port;
    char slave[32];
};

/* --- The register core --- */

static uint8_t level_mask(const struct i8259 *p)
{
    if (p->elcr_port) {
        return p->s.elcr; /* PIIX3 ignores LTIM */
    }
    return p->s.icw1 & ICW1_LTIM ? 0xff : 0;
}

/* The inputs in order of priority: bit 0 of the result is the highest. */
static uint8_t by_priority(const struct i8259 *p, uint8_t mask)
{
    unsigned shift = (p->s.lowest + 1u) & 7;
    return (uint8_t)(mask >> shift | mask << (8 - shift));
}

static unsigned first_bit(uint8_t v)
{
    unsigned n = 0;
    while (n < 8 && !(v >> n & 1)) {
        n++;
    }
    return n;
}

/* The input that INTA would take now, or -1. */
static int pending(const struct i8259 *p)
{
    uint8_t req = p->s.irr & (uint8_t)~p->s.imr;
    uint8_t busy = p->s.isr;
    if (p->s.special_mask) {
        busy &= (uint8_t)~p->s.imr; /* a masked level in service holds nobody back */
    }
    unsigned r = first_bit(by_priority(p, req));
    unsigned b = first_bit(by_priority(p, busy));
    if (r == 8) {
        return -1;
    }
    int ir = (int)((r + p->s.lowest + 1) & 7);
    /* Special fully nested: a slave in service may interrupt again from a higher input of its own;
     * its master sees the same input. */
    bool again = (p->s.icw4 & ICW4_SFNM) && p->master && (p->s.icw3 >> ir & 1);
    return r < b || (again && r == b) ? ir : -1;
}

static void update(struct i8259 *p)
{
    uint8_t level = level_mask(p);
    p->s.irr = (uint8_t)((p->s.irr & ~level & p->s.lines) | (p->s.lines & level));
    dev_pin_set(&p->dev, 0, p->s.next_icw == 0 && pending(p) >= 0);
}

static void i8259_pin(struct dev *d, unsigned in, bool high)
{
    struct i8259 *p = (struct i8259 *)d;
    uint8_t bit = (uint8_t)(1u << in);
    if (high && !(p->s.lines & bit)) {
        p->s.irr |= bit;
    }
    p->s.lines = (uint8_t)(high ? p->s.lines | bit : p->s.lines & ~bit);
    update(p);
}

/* INTA for input ir: into service, the edge latch is spent. */
static void take(struct i8259 *p, unsigned ir)
{
    uint8_t bit = (uint8_t)(1u << ir);
    p->s.irr &= (uint8_t)~bit;
    if (p->s.icw4 & ICW4_AEOI) {
        if (p->s.rotate_aeoi) {
            p->s.lowest = (uint8_t)ir;
        }
    } else {
        p->s.isr |= bit;
    }
    update(p);
}

static uint8_t vector_of(const struct i8259 *p, unsigned ir)
{
    if (p->s.icw4 & ICW4_8086) {
        return (uint8_t)((p->s.icw2 & 0xf8) | ir);
    }
    /* MCS-80/85 mode: an x86 takes what the second INTA carries, the CALL's low address byte. */
    return (uint8_t)(p->s.icw1 & ICW1_ADI ? (p->s.icw1 & 0xe0) | ir << 2
                                          : (p->s.icw1 & 0xc0) | ir << 3);
}

static uint8_t ack_one(struct i8259 *p, int *taken)
{
    int ir = p->s.next_icw ? -1 : pending(p);
    *taken = ir;
    if (ir < 0) {
        return vector_of(p, 7); /* spurious: nothing enters service */
    }
    take(p, (unsigned)ir);
    return vector_of(p, (unsigned)ir);
}

uint8_t i8259_ack(struct dev *master)
{
    struct i8259 *p = (struct i8259 *)master;
    int ir;
    uint8_t vector = ack_one(p, &ir);
    if (ir >= 0 && !(p->s.icw1 & ICW1_SNGL) && (p->s.icw3 >> ir & 1) && p->slave[0]) {
        struct dev *d = dev_find(master->env, p->slave);
        struct i8259 *s = (struct i8259 *)d;
        if (!d || d->cls != &i8259_class || (s->s.icw3 & 7) != ir) {
            return 0xff;
        }
        vector = ack_one(s, &ir);
    }
    return vector;
}

static uint8_t intc_ack(void *ctx)
{
    return i8259_ack(ctx);
}

const struct intc_ops i8259_intc_ops = {.ack = intc_ack};

static void end_of_interrupt(struct i8259 *p, unsigned ir, bool rotate)
{
    p->s.isr &= (uint8_t) ~(1u << ir);
    if (rotate) {
        p->s.lowest = (uint8_t)ir;
    }
}

static void write_ocw2(struct i8259 *p, uint8_t val)
{
    bool rotate = val & OCW2_ROTATE;
    if (!(val & OCW2_EOI)) {
        if (!(val & OCW2_SL)) {
            p->s.rotate_aeoi = rotate;
        } else if (rotate) {
            p->s.lowest = val & 7;
        }
        return;
    }
    if (val & OCW2_SL) {
        end_of_interrupt(p, val & 7, rotate);
        return;
    }
    /* Non-specific: the highest in service; in special mask mode not one that is masked. */
    uint8_t busy = p->s.isr;
    if (p->s.special_mask) {
        busy &= (uint8_t)~p->s.imr;
    }
    unsigned b = first_bit(by_priority(p, busy));
    if (b < 8) {
        end_of_interrupt(p, (b + p->s.lowest + 1u) & 7, rotate);
    }
}

static void write_ocw3(struct i8259 *p, uint8_t val)
{
    if (val & OCW3_RR) {
        p->s.read_isr = val & OCW3_RIS;
    }
    if (val & OCW3_ESMM) {
        p->s.special_mask = val & OCW3_SMM;
    }
    p->s.poll = val & OCW3_POLL;
}

static void write_icw1(struct i8259 *p, uint8_t val)
{
    p->s.icw1 = val;
    p->s.irr = 0; /* the edge sense circuit is reset; level inputs come back in update() */
    p->s.isr = 0;
    p->s.imr = 0;
    p->s.lowest = 7;
    p->s.special_mask = false;
    p->s.read_isr = false;
    p->s.poll = false;
    p->s.rotate_aeoi = false;
    if (!(val & ICW1_IC4)) {
        p->s.icw4 = 0;
    }
    p->s.next_icw = 2;
}

static void write_data(struct i8259 *p, uint8_t val)
{
    switch (p->s.next_icw) {
    case 2:
        p->s.icw2 = val;
        p->s.next_icw = !(p->s.icw1 & ICW1_SNGL) ? 3 : p->s.icw1 & ICW1_IC4 ? 4 : 0;
        break;
    case 3:
        p->s.icw3 = val;
        p->s.next_icw = p->s.icw1 & ICW1_IC4 ? 4 : 0;
        break;
    case 4:
        p->s.icw4 = val;
        p->s.next_icw = 0;
        break;
    default:
        p->s.imr = val;
        break;
    }
}

/* --- Bus glue --- */

static uint64_t i8259_read(struct dev *d, uint64_t off, unsigned size)
{
    struct i8259 *p = (struct i8259 *)d;
    (void)size;
    if (p->s.poll) {
        /* The read is the acknowledge. */
        p->s.poll = false;
        int ir;
        ack_one(p, &ir);
        return ir >= 0 ? 0x80u | (unsigned)ir : 0;
    }
    if (off & 1) {
        return p->s.imr;
    }
    return p->s.read_isr ? p->s.isr : p->s.irr;
}

static void i8259_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i8259 *p = (struct i8259 *)d;
    uint8_t v = (uint8_t)val;
    (void)size;
    if (off & 1) {
        write_data(p, v);
    } else if (v & ICW1_INIT) {
        write_icw1(p, v);
    } else if (v & OCW3_SELECT) {
        write_ocw3(p, v);
    } else {
        write_ocw2(p, v);
    }
    update(p);
}

static uint64_t elcr_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    (void)size;
    return ((struct i8259 *)d)->s.elcr;
}

static void elcr_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct i8259 *p = (struct i8259 *)d;
    (void)off;
    (void)size;
    /* IRQ 0, 1, 2, 8 and 13 are always edge (PIIX3 2.5.3.9). */
    p->s.elcr = (uint8_t)val & (p->master ? 0xf8 : 0xde);
    update(p);
}

static const struct io_ops i8259_ops = {i8259_read, i8259_write, 1, 1};
static const struct io_ops elcr_ops = {elcr_read, elcr_write, 1, 1};

static bool i8259_init(struct dev *d, struct err *e)
{
    struct i8259 *p = (struct i8259 *)d;
    (void)e;
    aspace_map_io(d->env->io, p->iobase, 2, &i8259_ops, d, d->name, 0);
    if (p->elcr_port) {
        aspace_map_io(d->env->io, p->elcr_port, 1, &elcr_ops, d, "elcr", 0);
    }
    return true;
}

static void i8259_reset(struct dev *d, enum reset_kind kind)
{
    struct i8259 *p = (struct i8259 *)d;
    (void)kind;
    p->s = (struct i8259_state){.lowest = 7, .icw4 = ICW4_8086};
    for (unsigned i = 0; i < 8; i++) {
        p->s.lines |= (uint8_t)(dev_pin_in(d, i) << i);
    }
    /* Until it is initialized it asks for nothing. */
    p->s.imr = 0xff;
    update(p);
}

static const struct prop i8259_props[] = {
    {"master", PROP_BOOL, offsetof(struct i8259, master), "on", 0, 0, "the one that the CPU asks"},
    {"iobase", PROP_U32, offsetof(struct i8259, iobase), "0x20", 0, 0xfffe, "I/O port"},
    {"elcr", PROP_U32, offsetof(struct i8259, elcr_port), "0x4d0", 0, 0xffff,
     "port of the edge/level register; 0: none, ICW1 decides"},
    {"slave", PROP_STR, offsetof(struct i8259, slave), "", 0, 0, "name of the slave"},
    {0},
};
static const char *const i8259_in[] = {"ir0", "ir1", "ir2", "ir3", "ir4",
                                       "ir5", "ir6", "ir7", NULL};
static const char *const i8259_out[] = {"intr", NULL};

const struct dev_class i8259_class = {
    .name = "i8259",
    .help = "8259A interrupt controller",
    .size = sizeof(struct i8259),
    .state_off = offsetof(struct i8259, s),
    .state = &i8259_state_desc,
    .props = i8259_props,
    .pins_in = i8259_in,
    .pins_out = i8259_out,
    .init = i8259_init,
    .reset = i8259_reset,
    .pin = i8259_pin,
};
