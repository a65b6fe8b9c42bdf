/*
 * Port 0x92, system control port A: the fast A20 gate and fast reset; and the place where the two
 * A20 gates meet.
 *
 * Address line 20 works while either gate is open: this port's bit 1 or the keyboard controller's
 * output, which comes in as "kbc_a20". Out goes "a20m", high while the line is masked, to each CPU.
 *
 * Fast reset is INIT to the CPUs alone on chipsets like PIIX3: firmware looks at CMOS byte 0Fh and
 * shadow RAM to see what it was for. It opens A20, or else the reset vector could not be fetched.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference (1990), "System Control Port A"; PIIX3
 * (82371SB) 2.5.5.4.
 */
#include <string.h>

#include "hw/hw.h"
#include "mmu/aspace.h"

enum { FAST_RESET = 0x01, FAST_A20 = 0x02 };
enum { PIN_A20M, PIN_INIT };

#define PORT92_STATE(S, V, A, N) V(S, uint8_t, val, 1)

ST_DECLARE(port92_state, PORT92_STATE);
ST_DESCRIBE(port92_state, PORT92_STATE, 1);

struct port92 {
    struct dev dev;
    struct port92_state s;
    bool reset_machine;
    char reset[32];
};

static void update(struct port92 *p)
{
    dev_pin_set(&p->dev, PIN_A20M, !(p->s.val & FAST_A20) && !dev_pin_in(&p->dev, 0));
}

static void port92_pin(struct dev *d, unsigned in, bool level)
{
    (void)in;
    (void)level;
    update((struct port92 *)d);
}

static uint64_t port92_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    (void)size;
    return ((struct port92 *)d)->s.val;
}

static void port92_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct port92 *p = (struct port92 *)d;
    bool pulse = (val & FAST_RESET) && !(p->s.val & FAST_RESET);
    (void)off;
    (void)size;
    p->s.val = val & (FAST_RESET | FAST_A20);
    update(p);
    if (pulse && p->reset_machine) {
        dev_request(d, DEV_REQ_RESET, 0);
    } else if (pulse) {
        p->s.val |= FAST_A20;
        update(p);
        dev_pin_set(d, PIN_INIT, true);
        dev_pin_set(d, PIN_INIT, false);
    }
}

static const struct io_ops port92_ops = {port92_read, port92_write, 1, 1};

static bool port92_init(struct dev *d, struct err *e)
{
    struct port92 *p = (struct port92 *)d;
    p->reset_machine = strcmp(p->reset, "machine") == 0;
    if (!p->reset_machine && strcmp(p->reset, "cpu") != 0) {
        return err_set(e, "reset=%s: want machine or cpu", p->reset);
    }
    aspace_map_io(d->env->io, 0x92, 1, &port92_ops, d, d->name, 0);
    return true;
}

static void port92_reset(struct dev *d, enum reset_kind kind)
{
    struct port92 *p = (struct port92 *)d;
    (void)kind;
    /* Open, as the other gate is: what firmware leaves and a boot without firmware needs. */
    p->s.val = FAST_A20;
    dev_pin_set(d, PIN_INIT, false);
    update(p);
}

static const struct prop port92_props[] = {
    {"reset", PROP_STR, offsetof(struct port92, reset), "machine", 0, 0,
     "what fast reset resets: machine or cpu"},
    {0},
};
static const char *const port92_in[] = {"kbc_a20", NULL};
static const char *const port92_out[] = {"a20m", "init", NULL};

const struct dev_class port92_class = {
    .name = "port92",
    .help = "fast A20 gate and reset",
    .size = sizeof(struct port92),
    .state_off = offsetof(struct port92, s),
    .state = &port92_state_desc,
    .props = port92_props,
    .pins_in = port92_in,
    .pins_out = port92_out,
    .init = port92_init,
    .reset = port92_reset,
    .pin = port92_pin,
};
