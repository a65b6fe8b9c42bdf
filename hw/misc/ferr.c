/*
 * Coprocessor errors the way of the PC/AT: FERR# to IRQ 13, and port F0h.
 *
 * While CR0.NE is clear an unmasked x87 exception is reported by the FERR# pin. Its assertion is
 * latched as IRQ 13. The handler writes to port F0h: that ends the request and, while FERR# is
 * still asserted, asserts IGNNE#, so that the handler's own x87 instructions run; IGNNE# falls as
 * soon as FERR# does. A reset clears both latches. The value written means nothing, a read gives
 * FFh (the cycle goes to the ISA bus, where nobody answers).
 *
 * Simplification: works always; XBCS bit 5 of PIIX3, which enables it there, is not looked at,
 * since firmware for virtual machines never sets it.
 *
 * Sources: Intel SDM volume 1, appendix D.2.1.2 (figure D-1); PIIX3 (82371SB) 2.5.5.3 "Coprocessor
 * Error Register", 3.1 FERR#, IGNNE#; IBM PC/AT Technical Reference (1984), 1-39.
 */
#include "hw/hw.h"
#include "mmu/aspace.h"

enum { PIN_FERR };             /* in */
enum { PIN_IRQ13, PIN_IGNNE }; /* out; both latches are nothing but these pins' levels */

struct ferr {
    struct dev dev;
};

static void ferr_pin(struct dev *d, unsigned in, bool level)
{
    (void)in;
    if (level) {
        dev_pin_set(d, PIN_IRQ13, true);
    } else {
        dev_pin_set(d, PIN_IGNNE, false);
    }
}

static uint64_t ferr_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)d;
    (void)off;
    (void)size;
    return 0xff;
}

static void ferr_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)off;
    (void)size;
    (void)val;
    dev_pin_set(d, PIN_IRQ13, false);
    dev_pin_set(d, PIN_IGNNE, dev_pin_in(d, PIN_FERR));
}

static const struct io_ops ferr_ops = {ferr_read, ferr_write, 1, 1};

static bool ferr_init(struct dev *d, struct err *e)
{
    (void)e;
    aspace_map_io(d->env->io, 0xf0, 1, &ferr_ops, d, d->name, 0);
    return true;
}

static void ferr_reset(struct dev *d, enum reset_kind kind)
{
    (void)kind;
    dev_pin_set(d, PIN_IRQ13, false);
    dev_pin_set(d, PIN_IGNNE, false);
}

static const char *const ferr_in[] = {"ferr", NULL};
static const char *const ferr_out[] = {"irq13", "ignne", NULL};

const struct dev_class ferr_class = {
    .name = "ferr",
    .help = "coprocessor errors: IRQ 13 and port F0h",
    .size = sizeof(struct ferr),
    .pins_in = ferr_in,
    .pins_out = ferr_out,
    .init = ferr_init,
    .reset = ferr_reset,
    .pin = ferr_pin,
};
