/*
 * A PC's parallel port (SPP, with the PS/2's input direction) and the printer on its cable.
 *
 * The printer takes a byte at the leading edge of STROBE, is busy from then on, and acknowledges
 * some microseconds after STROBE has gone. What it prints goes to the character back end. Without a
 * back end there is no cable: the inputs float high, which software sees as a printer that is
 * busy and out of paper.
 *
 * The interrupt is requested at the end of ACK, if enabled, and taken back by a read of the status
 * register (PS/2 style, where bit 2 shows it), the next byte, or disabling it.
 *
 * Sources: IBM PC/AT Technical Reference, "Parallel Printer Adapter"; IBM PS/2 Hardware Interface
 * Technical Reference, "Parallel Port Controller" (direction, interrupt status); IEEE 1284-1994
 * 6.3 "Compatibility Mode" for the handshake.
 */
#include "core/backend.h"
#include "hw/hw.h"
#include "mmu/aspace.h"

enum {
    CTL_STROBE = 0x01,
    CTL_INIT = 0x04, /* 0: the printer is held in reset */
    CTL_IRQ = 0x10,
    CTL_INPUT = 0x20, /* the port's data drivers are off */
    CTL_BITS = 0x3f,

    ST_NOT_IRQ = 0x04, /* 0: an interrupt is pending */
    ST_NOT_ERROR = 0x08,
    ST_SELECTED = 0x10,
    ST_PAPER_OUT = 0x20,
    ST_NOT_ACK = 0x40,
    ST_NOT_BUSY = 0x80,
    ST_UNUSED = 0x03,
};

/* From the end of STROBE to ACK, and how long ACK lasts: within what IEEE 1284 allows, and short
 * enough for software that polls. */
#define ACK_AFTER (5 * VTIME_US)
#define ACK_TIME  (5 * VTIME_US)

#define PARPORT_STATE(S, V, A, N)                                                                  \
    V(S, uint8_t, data, 1)                                                                         \
    V(S, uint8_t, control, 1)                                                                      \
    V(S, bool, busy, 1)                                                                            \
    V(S, bool, ack, 1) /* the printer pulls ACK low */                                             \
    V(S, bool, irq, 1) /* an interrupt is pending */                                               \
    V(S, struct vtimer, step, 1)

ST_DECLARE(parport_state, PARPORT_STATE);
ST_DESCRIBE(parport_state, PARPORT_STATE, 1);

struct parport {
    struct dev dev;
    struct parport_state s;
    struct timer step;
    struct chr *chr;
    uint32_t iobase;
};

static void set_irq(struct parport *p, bool on)
{
    p->s.irq = on;
    dev_pin_set(&p->dev, 0, on);
}

/* --- The printer --- */

static void on_step(void *ctx)
{
    struct parport *p = ctx;
    if (!p->s.busy) {
        return;
    }
    if (!p->s.ack) {
        p->s.ack = true;
        timer_set(&p->step, clock_now(p->dev.env->clock) + ACK_TIME);
        return;
    }
    p->s.ack = p->s.busy = false;
    if (p->s.control & CTL_IRQ) {
        set_irq(p, true);
    }
}

static void strobe(struct parport *p)
{
    if (!p->chr || p->s.busy || !(p->s.control & CTL_INIT)) {
        return;
    }
    /* With the drivers off the printer sees a floating cable. */
    uint8_t byte = p->s.control & CTL_INPUT ? 0xff : p->s.data;
    chr_write(p->chr, &byte, 1);
    p->s.busy = true;
    set_irq(p, false);
}

static void write_control(struct parport *p, uint8_t val)
{
    uint8_t old = p->s.control;
    p->s.control = val & CTL_BITS;
    if (!(val & CTL_INIT)) {
        p->s.busy = p->s.ack = false;
        timer_cancel(&p->step);
    }
    if ((val & CTL_STROBE) && !(old & CTL_STROBE)) {
        strobe(p);
    } else if (!(val & CTL_STROBE) && (old & CTL_STROBE) && p->s.busy && !timer_pending(&p->step)) {
        timer_set(&p->step, clock_now(p->dev.env->clock) + ACK_AFTER);
    }
    if (!(val & CTL_IRQ)) {
        set_irq(p, false);
    }
}

/* --- Registers --- */

static uint8_t status(const struct parport *p)
{
    unsigned v = ST_UNUSED | (p->s.irq ? 0u : ST_NOT_IRQ) | ST_NOT_ERROR | ST_SELECTED;
    if (!p->chr) {
        return (uint8_t)(v | ST_PAPER_OUT | ST_NOT_ACK);
    }
    bool ready = !p->s.busy && (p->s.control & CTL_INIT);
    return (uint8_t)(v | (p->s.ack ? 0u : ST_NOT_ACK) | (ready ? ST_NOT_BUSY : 0u));
}

static uint64_t parport_read(struct dev *d, uint64_t off, unsigned size)
{
    struct parport *p = (struct parport *)d;
    uint8_t v;
    (void)size;
    switch (off) {
    case 0:
        return p->s.control & CTL_INPUT ? 0xff : p->s.data;
    case 1:
        v = status(p);
        set_irq(p, false);
        return v;
    case 2:
        return 0xc0u | p->s.control;
    default:
        return 0xff;
    }
}

static void parport_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct parport *p = (struct parport *)d;
    (void)size;
    if (off == 0) {
        p->s.data = (uint8_t)val;
    } else if (off == 2) {
        write_control(p, (uint8_t)val);
    }
}

static const struct io_ops parport_ops = {parport_read, parport_write, 1, 1};

static bool parport_init(struct dev *d, struct err *e)
{
    struct parport *p = (struct parport *)d;
    (void)e;
    timer_init(&p->step, d->env->clock, &p->s.step, on_step, p);
    aspace_map_io(d->env->io, p->iobase, 3, &parport_ops, d, d->name, 0);
    return true;
}

static void parport_reset(struct dev *d, enum reset_kind kind)
{
    struct parport *p = (struct parport *)d;
    (void)kind;
    timer_cancel(&p->step);
    p->s = (struct parport_state){.step = {VTIME_NEVER}};
    set_irq(p, false);
}

static const struct prop parport_props[] = {
    {"iobase", PROP_U32, offsetof(struct parport, iobase), "0x378", 0, 0xfffc, "I/O port"},
    {"chr", PROP_CHR, offsetof(struct parport, chr), NULL, 0, 0, "where the printer prints"},
    {0},
};
static const char *const parport_out[] = {"irq", NULL};

const struct dev_class parport_class = {
    .name = "parport",
    .help = "parallel port with a printer",
    .size = sizeof(struct parport),
    .state_off = offsetof(struct parport, s),
    .state = &parport_state_desc,
    .props = parport_props,
    .pins_out = parport_out,
    .init = parport_init,
    .reset = parport_reset,
};
