/*
 * National PC16550D UART with a character back end.
 *
 * Transmission and reception take the time of the programmed line: a byte moves from FIFO to shift
 * register, THRE and TEMT follow, received bytes arrive one character time apart. Output is handed
 * to the back end as its transmission begins. Input comes through the gate source "<name>.rx" into
 * a backlog, from which it is received whenever the receiver has room: the far end obeys flow
 * control, so nothing typed is lost; overruns happen in loopback only.
 *
 * What always holds: the receiver FIFO is in order from rx_head, each byte with its own error bits;
 * in 16450 mode it holds one. INTR is recomputed after each change, and reaches the bus only with
 * MCR.OUT2, as PCs wire it.
 *
 * Source: PC16550D datasheet (TL/C/8652), sections 8.1 to 8.8.
 */
#include <stdio.h>
#include <string.h>

#include "core/backend.h"
#include "hw/hw.h"
#include "mmu/aspace.h"

#define UART_CLOCK 1843200u

enum {
    FIFO = 16,
    BACKLOG = 4096,

    IER_RDA = 0x01,
    IER_THRE = 0x02,
    IER_RLS = 0x04,
    IER_MSR = 0x08,
    IIR_NONE = 0x01,
    IIR_MSR = 0x00,
    IIR_THRE = 0x02,
    IIR_RDA = 0x04,
    IIR_RLS = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFOS = 0xc0,
    FCR_ENABLE = 0x01,
    FCR_CLEAR_RX = 0x02,
    FCR_CLEAR_TX = 0x04,
    FCR_KEEP = 0xc9,
    LCR_STOP2 = 0x04,
    LCR_PARITY = 0x08,
    LCR_BREAK = 0x40,
    LCR_DLAB = 0x80,
    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_FE = 0x08,
    LSR_BI = 0x10,
    LSR_ERRORS = 0x1e,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80,
    MSR_TERI = 0x04,
    MSR_DELTAS = 0x0f,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
};

#define UART16550_STATE(S, V, A, N)                                                                \
    V(S, uint8_t, ier, 1)                                                                          \
    V(S, uint8_t, fcr, 1)                                                                          \
    V(S, uint8_t, lcr, 1)                                                                          \
    V(S, uint8_t, mcr, 1)                                                                          \
    V(S, uint8_t, msr, 1)                                                                          \
    V(S, uint8_t, scr, 1)                                                                          \
    V(S, uint16_t, divisor, 1)                                                                     \
    A(S, uint8_t, rx_fifo, FIFO, 1)                                                                \
    A(S, uint8_t, rx_errors, FIFO, 1) /* LSR error bits of each byte */                            \
    V(S, uint8_t, rx_head, 1)                                                                      \
    V(S, uint8_t, rx_count, 1)                                                                     \
    V(S, bool, overrun, 1)                                                                         \
    A(S, uint8_t, tx_fifo, FIFO, 1)                                                                \
    V(S, uint8_t, tx_head, 1)                                                                      \
    V(S, uint8_t, tx_count, 1)                                                                     \
    V(S, uint8_t, tsr, 1) /* transmitter shift register */                                         \
    V(S, bool, tsr_busy, 1)                                                                        \
    V(S, bool, thre_due, 1)            /* the THRE interrupt is pending */                         \
    V(S, bool, timeout_due, 1)         /* the character timeout interrupt is pending */            \
    A(S, uint8_t, backlog, BACKLOG, 1) /* ring; input not yet received */                          \
    V(S, uint16_t, back_head, 1)                                                                   \
    V(S, uint16_t, back_count, 1)                                                                  \
    V(S, struct vtimer, tx_done, 1)                                                                \
    V(S, struct vtimer, rx_next, 1)                                                                \
    V(S, struct vtimer, rx_timeout, 1)

ST_DECLARE(uart16550_state, UART16550_STATE);
ST_DESCRIBE(uart16550_state, UART16550_STATE, 1);

struct uart16550 {
    struct dev dev;
    struct uart16550_state s;
    struct timer tx_done, rx_next, rx_timeout;
    struct chr *chr;
    uint32_t iobase, turbo;
};

/* --- The register core --- */

/* A snapshot's counts and heads are hostile: masked at each use. */
static unsigned rx_count(const struct uart16550 *u)
{
    return u->s.rx_count > FIFO ? FIFO : u->s.rx_count;
}

static unsigned tx_count(const struct uart16550 *u)
{
    return u->s.tx_count > FIFO ? FIFO : u->s.tx_count;
}

static unsigned back_count(const struct uart16550 *u)
{
    return u->s.back_count > BACKLOG ? BACKLOG : u->s.back_count;
}

static bool fifos_on(const struct uart16550 *u)
{
    return u->s.fcr & FCR_ENABLE;
}

static unsigned rx_room(const struct uart16550 *u)
{
    unsigned depth = fifos_on(u) ? FIFO : 1;
    return rx_count(u) < depth ? depth - rx_count(u) : 0;
}

/* One character on the line: start, data, parity and stop bits, in ns. */
static vtime char_time(const struct uart16550 *u)
{
    unsigned data = 5 + (u->s.lcr & 3u);
    unsigned half_bits = 2 * (1 + data + (u->s.lcr & LCR_PARITY ? 1 : 0) + 1);
    if (u->s.lcr & LCR_STOP2) {
        half_bits += data == 5 ? 1 : 2;
    }
    uint64_t divisor = u->s.divisor ? u->s.divisor : 65536;
    vtime t = half_bits * divisor * 8 * VTIME_SEC / UART_CLOCK / u->turbo;
    return t ? t : 1;
}

static vtime now(const struct uart16550 *u)
{
    return clock_now(u->dev.env->clock);
}

static unsigned rx_trigger(const struct uart16550 *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return fifos_on(u) ? levels[u->s.fcr >> 6] : 1;
}

static uint8_t lsr(const struct uart16550 *u)
{
    unsigned v = 0;
    unsigned n = rx_count(u);
    if (n) {
        v |= LSR_DR | u->s.rx_errors[u->s.rx_head % FIFO];
    }
    for (unsigned i = 0; i < n && fifos_on(u); i++) {
        if (u->s.rx_errors[(u->s.rx_head + i) % FIFO]) {
            v |= LSR_FIFO_ERROR;
        }
    }
    if (u->s.overrun) {
        v |= LSR_OE;
    }
    if (!tx_count(u)) {
        v |= LSR_THRE | (u->s.tsr_busy ? 0 : LSR_TEMT);
    }
    return (uint8_t)v;
}

static uint8_t iir(const struct uart16550 *u)
{
    unsigned v = fifos_on(u) ? IIR_FIFOS : 0;
    uint8_t ier = u->s.ier;
    if ((ier & IER_RLS) && (lsr(u) & LSR_ERRORS)) {
        return (uint8_t)(v | IIR_RLS);
    }
    if ((ier & IER_RDA) && rx_count(u) >= rx_trigger(u)) {
        return (uint8_t)(v | IIR_RDA);
    }
    if ((ier & IER_RDA) && u->s.timeout_due) {
        return (uint8_t)(v | IIR_TIMEOUT);
    }
    if ((ier & IER_THRE) && u->s.thre_due) {
        return (uint8_t)(v | IIR_THRE);
    }
    if ((ier & IER_MSR) && (u->s.msr & MSR_DELTAS)) {
        return (uint8_t)(v | IIR_MSR);
    }
    return (uint8_t)(v | IIR_NONE);
}

static void update_irq(struct uart16550 *u)
{
    dev_pin_set(&u->dev, 0, (u->s.mcr & MCR_OUT2) && !(iir(u) & IIR_NONE));
}

/* Four character times without a byte in or out end in the timeout interrupt. */
static void restart_timeout(struct uart16550 *u)
{
    u->s.timeout_due = false;
    if (fifos_on(u) && rx_count(u)) {
        timer_set(&u->rx_timeout, now(u) + 4 * char_time(u));
    } else {
        timer_cancel(&u->rx_timeout);
    }
}

static void on_timeout(void *ctx)
{
    struct uart16550 *u = ctx;
    u->s.timeout_due = rx_count(u) != 0;
    update_irq(u);
}

/* A byte has come in from the line or around the loop. */
static void receive(struct uart16550 *u, uint8_t byte, uint8_t errors)
{
    if (!rx_room(u)) {
        u->s.overrun = true;
        if (!fifos_on(u)) { /* the new one destroys the old one; a full FIFO loses the new one */
            u->s.rx_fifo[u->s.rx_head % FIFO] = byte;
            u->s.rx_errors[u->s.rx_head % FIFO] = errors;
        }
    } else {
        unsigned at = (u->s.rx_head + rx_count(u)) % FIFO;
        u->s.rx_fifo[at] = byte;
        u->s.rx_errors[at] = errors;
        u->s.rx_count = (uint8_t)(rx_count(u) + 1);
    }
    restart_timeout(u);
}

/* Let the next byte of the backlog come in, one character time from now. */
static void rx_schedule(struct uart16550 *u)
{
    if (back_count(u) && rx_room(u) && !(u->s.mcr & MCR_LOOP) && !timer_pending(&u->rx_next)) {
        timer_set(&u->rx_next, now(u) + char_time(u));
    }
}

static void on_rx(void *ctx)
{
    struct uart16550 *u = ctx;
    if (back_count(u) && rx_room(u) && !(u->s.mcr & MCR_LOOP)) {
        uint8_t byte = u->s.backlog[u->s.back_head % BACKLOG];
        u->s.back_head = (uint16_t)((u->s.back_head + 1) % BACKLOG);
        u->s.back_count = (uint16_t)(back_count(u) - 1);
        receive(u, byte & (uint8_t)(0xff >> (3 - (u->s.lcr & 3))), 0);
    }
    rx_schedule(u);
    update_irq(u);
}

static uint8_t rx_read(struct uart16550 *u)
{
    uint8_t byte = u->s.rx_fifo[u->s.rx_head % FIFO];
    if (rx_count(u)) {
        u->s.rx_errors[u->s.rx_head % FIFO] = 0;
        u->s.rx_head = (uint8_t)((u->s.rx_head + 1) % FIFO);
        u->s.rx_count = (uint8_t)(rx_count(u) - 1);
    }
    restart_timeout(u);
    rx_schedule(u);
    return byte;
}

/* Move the next byte into an idle shift register. */
static void tx_start(struct uart16550 *u)
{
    if (u->s.tsr_busy || !tx_count(u)) {
        return;
    }
    u->s.tsr = u->s.tx_fifo[u->s.tx_head % FIFO] & (uint8_t)(0xff >> (3 - (u->s.lcr & 3)));
    u->s.tx_head = (uint8_t)((u->s.tx_head + 1) % FIFO);
    u->s.tx_count = (uint8_t)(tx_count(u) - 1);
    u->s.tsr_busy = true;
    if (!u->s.tx_count) {
        u->s.thre_due = true;
    }
    if (!(u->s.mcr & MCR_LOOP)) {
        chr_write(u->chr, &u->s.tsr, 1);
    }
    timer_set(&u->tx_done, now(u) + char_time(u));
}

static void on_tx_done(void *ctx)
{
    struct uart16550 *u = ctx;
    if (u->s.tsr_busy && (u->s.mcr & MCR_LOOP)) {
        receive(u, u->s.tsr, 0);
    }
    u->s.tsr_busy = false;
    tx_start(u);
    update_irq(u);
}

static void tx_write(struct uart16550 *u, uint8_t byte)
{
    unsigned depth = fifos_on(u) ? FIFO : 1;
    u->s.thre_due = false;
    if (tx_count(u) < depth) {
        u->s.tx_fifo[(u->s.tx_head + tx_count(u)) % FIFO] = byte;
        u->s.tx_count = (uint8_t)(tx_count(u) + 1);
    } else {
        u->s.tx_fifo[(u->s.tx_head + depth - 1) % FIFO] = byte; /* overwrites the last */
    }
    tx_start(u);
}

static void clear_rx(struct uart16550 *u)
{
    u->s.rx_head = u->s.rx_count = 0;
    memset(u->s.rx_fifo, 0, sizeof u->s.rx_fifo);
    memset(u->s.rx_errors, 0, sizeof u->s.rx_errors);
    restart_timeout(u);
    rx_schedule(u);
}

static void clear_tx(struct uart16550 *u)
{
    u->s.tx_head = u->s.tx_count = 0;
    u->s.thre_due = true;
}

static void write_fcr(struct uart16550 *u, uint8_t val)
{
    bool toggled = (val ^ u->s.fcr) & FCR_ENABLE;
    if (!(val & FCR_ENABLE)) {
        val = 0; /* the other bits are not programmed unless bit 0 is set */
    }
    u->s.fcr = val & FCR_KEEP;
    if (toggled || (val & FCR_CLEAR_RX)) {
        clear_rx(u);
    }
    if (toggled || (val & FCR_CLEAR_TX)) {
        clear_tx(u);
    }
}

/* The modem inputs: in loopback our own outputs, otherwise a cable with everything on. */
static void update_msr(struct uart16550 *u)
{
    uint8_t m = u->s.mcr;
    unsigned in = MSR_CTS | MSR_DSR | MSR_DCD;
    if (m & MCR_LOOP) {
        in = (m & MCR_RTS ? MSR_CTS : 0u) | (m & MCR_DTR ? MSR_DSR : 0u) |
             (m & MCR_OUT1 ? MSR_RI : 0u) | (m & MCR_OUT2 ? MSR_DCD : 0u);
    }
    unsigned old = u->s.msr & 0xf0u;
    unsigned delta = (old ^ in) >> 4;
    if (in & MSR_RI) {
        delta &= ~(unsigned)MSR_TERI; /* RI reports its trailing edge only */
    }
    u->s.msr = (uint8_t)((u->s.msr & MSR_DELTAS) | delta | in);
}

static void write_lcr(struct uart16550 *u, uint8_t val)
{
    bool begin_break = (val & LCR_BREAK) && !(u->s.lcr & LCR_BREAK);
    u->s.lcr = val;
    if (begin_break && (u->s.mcr & MCR_LOOP)) {
        receive(u, 0, LSR_BI | LSR_FE);
    }
}

static uint8_t read_reg(struct uart16550 *u, unsigned reg)
{
    uint8_t v;
    bool dlab = u->s.lcr & LCR_DLAB;
    switch (reg) {
    case 0:
        return dlab ? (uint8_t)u->s.divisor : rx_read(u);
    case 1:
        return dlab ? (uint8_t)(u->s.divisor >> 8) : u->s.ier;
    case 2:
        v = iir(u);
        if ((v & 0x0f) == IIR_THRE) {
            u->s.thre_due = false;
        }
        return v;
    case 3:
        return u->s.lcr;
    case 4:
        return u->s.mcr;
    case 5:
        v = lsr(u);
        u->s.overrun = false;
        u->s.rx_errors[u->s.rx_head % FIFO] = 0;
        return v;
    case 6:
        v = u->s.msr;
        u->s.msr &= 0xf0;
        return v;
    default:
        return u->s.scr;
    }
}

static void write_reg(struct uart16550 *u, unsigned reg, uint8_t val)
{
    bool dlab = u->s.lcr & LCR_DLAB;
    switch (reg) {
    case 0:
        if (dlab) {
            u->s.divisor = (uint16_t)((u->s.divisor & 0xff00) | val);
        } else {
            tx_write(u, val);
        }
        break;
    case 1:
        if (dlab) {
            u->s.divisor = (uint16_t)((u->s.divisor & 0x00ff) | val << 8);
        } else {
            /* Enabling the THRE interrupt with the register empty raises it. */
            if ((val & IER_THRE) && !(u->s.ier & IER_THRE) && !tx_count(u)) {
                u->s.thre_due = true;
            }
            u->s.ier = val & 0x0f;
        }
        break;
    case 2:
        write_fcr(u, val);
        break;
    case 3:
        write_lcr(u, val);
        break;
    case 4:
        u->s.mcr = val & 0x1f;
        update_msr(u);
        rx_schedule(u);
        break;
    case 7:
        u->s.scr = val;
        break;
    default: /* LSR and MSR are read-only */
        break;
    }
}

/* --- Bus and back-end glue --- */

static uint64_t uart_read(struct dev *d, uint64_t off, unsigned size)
{
    struct uart16550 *u = (struct uart16550 *)d;
    (void)size;
    uint8_t v = read_reg(u, off & 7);
    update_irq(u);
    return v;
}

static void uart_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct uart16550 *u = (struct uart16550 *)d;
    (void)size;
    write_reg(u, off & 7, (uint8_t)val);
    update_irq(u);
}

static size_t uart_room(void *ctx)
{
    return BACKLOG - back_count(ctx);
}

static void uart_deliver(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct uart16550 *u = ctx;
    uint32_t n = BACKLOG - back_count(u);
    if (len < n) {
        n = len;
    }
    for (uint32_t i = 0; i < n; i++) {
        u->s.backlog[(u->s.back_head + back_count(u)) % BACKLOG] = payload[i];
        u->s.back_count = (uint16_t)(back_count(u) + 1);
    }
    rx_schedule(u);
}

static const struct io_ops uart_ops = {uart_read, uart_write, 1, 1};

static bool uart_init(struct dev *d, struct err *e)
{
    struct uart16550 *u = (struct uart16550 *)d;
    char source[40];
    (void)e;
    timer_init(&u->tx_done, d->env->clock, &u->s.tx_done, on_tx_done, u);
    timer_init(&u->rx_next, d->env->clock, &u->s.rx_next, on_rx, u);
    timer_init(&u->rx_timeout, d->env->clock, &u->s.rx_timeout, on_timeout, u);
    aspace_map_io(d->env->io, u->iobase, 8, &uart_ops, d, d->name, 0);
    snprintf(source, sizeof source, "%.27s.rx", d->name);
    chr_attach(u->chr, d->env->gate, gate_source_add(d->env->gate, source, uart_deliver, u),
               uart_room, u);
    return true;
}

static void uart_reset(struct dev *d, enum reset_kind kind)
{
    struct uart16550 *u = (struct uart16550 *)d;
    timer_cancel(&u->tx_done);
    timer_cancel(&u->rx_next);
    timer_cancel(&u->rx_timeout);
    struct uart16550_state old = u->s;
    u->s = (struct uart16550_state){
        .divisor = 12, /* undefined on the chip; 9600 baud */
        .lcr = 3,      /* 0 on the chip; firmware leaves 8N1, which direct boot has not run */
        .msr = MSR_CTS | MSR_DSR | MSR_DCD,
        .tx_done = {VTIME_NEVER},
        .rx_next = {VTIME_NEVER},
        .rx_timeout = {VTIME_NEVER},
    };
    if (kind != RESET_COLD) { /* what is still on the line is not ours to forget */
        memcpy(u->s.backlog, old.backlog, sizeof old.backlog);
        u->s.back_head = old.back_head;
        u->s.back_count = old.back_count;
        rx_schedule(u);
    }
    update_irq(u);
}

static const struct prop uart_props[] = {
    {"iobase", PROP_U32, offsetof(struct uart16550, iobase), "0x3f8", 0, 0xfff8, "I/O port"},
    {"chr", PROP_CHR, offsetof(struct uart16550, chr), NULL, 0, 0, "character back end"},
    {"turbo", PROP_U32, offsetof(struct uart16550, turbo), "1", 1, 100000,
     "characters take this many times less than the line speed says"},
    {0},
};
static const char *const uart_out[] = {"irq", NULL};

const struct dev_class uart16550_class = {
    .name = "uart16550",
    .help = "16550A serial port",
    .size = sizeof(struct uart16550),
    .state_off = offsetof(struct uart16550, s),
    .state = &uart16550_state_desc,
    .props = uart_props,
    .pins_out = uart_out,
    .init = uart_init,
    .reset = uart_reset,
};
