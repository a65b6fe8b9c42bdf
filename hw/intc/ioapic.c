/*
 * 82093AA I/O APIC, with the EOI register of later ones (version 0x20).
 *
 * Twenty-four inputs, each a redirection entry that says which message its interrupt becomes. Wires
 * carry "asserted", so the polarity bit is kept but changes nothing.
 *
 * What always holds: a level-triggered input sends when it is asserted, unmasked and its remote IRR
 * is clear; EOI of its vector clears that. An edge that comes while the entry is masked is lost, as
 * the datasheet says.
 *
 * Source: Intel 82093AA datasheet (290566-001) chapter 3; ICH (82801) 5.8 for EOI and version.
 */
#include "hw/hw.h"
#include "hw/intc/lapic.h"
#include "mmu/aspace.h"

enum {
    PINS = IOAPIC_PINS,
    WINDOW = 0x10,
    EOI = 0x40,
    REG_ID = 0,
    REG_VERSION = 1,
    REG_ARB = 2,
    REG_TABLE = 0x10,
    VERSION = 0x20 | (PINS - 1) << 16,
};

#define RTE_LOGICAL    (UINT64_C(1) << 11)
#define RTE_PENDING    (UINT64_C(1) << 12)
#define RTE_REMOTE_IRR (UINT64_C(1) << 14)
#define RTE_LEVEL      (UINT64_C(1) << 15)
#define RTE_MASKED     (UINT64_C(1) << 16)
#define RTE_WRITABLE   UINT64_C(0xff0000000001afff)

#define IOAPIC_STATE(S, V, A, N)                                                                   \
    V(S, uint8_t, select, 1)                                                                       \
    V(S, uint8_t, id, 1)                                                                           \
    A(S, uint64_t, rte, PINS, 1)

ST_DECLARE(ioapic_state, IOAPIC_STATE);
ST_DESCRIBE(ioapic_state, IOAPIC_STATE, 1);

struct ioapic {
    struct dev dev;
    struct ioapic_state s;
    struct dev *bus;
    uint64_t base;
    uint32_t id;
    char bus_name[32];
};

/* --- The register core --- */

bool ioapic_message(const struct dev *d, unsigned pin, struct apic_msg *msg)
{
    uint64_t rte = ((const struct ioapic *)d)->s.rte[pin];
    *msg = (struct apic_msg){
        .dest = (uint32_t)(rte >> 56),
        .logical = rte & RTE_LOGICAL,
        .level = rte & RTE_LEVEL,
        .mode = rte >> 8 & 7,
        .vector = (uint8_t)rte,
    };
    return !(rte & RTE_MASKED);
}

static bool send(struct ioapic *a, unsigned n)
{
    struct apic_msg msg;
    ioapic_message(&a->dev, n, &msg);
    return apicbus_send(a->bus, &msg);
}

/* A level-triggered entry sends if it may. */
static void serve_level(struct ioapic *a, unsigned n)
{
    uint64_t rte = a->s.rte[n];
    if (!(rte & RTE_LEVEL) || (rte & (RTE_MASKED | RTE_REMOTE_IRR)) || !dev_pin_in(&a->dev, n)) {
        return;
    }
    unsigned mode = rte >> 8 & 7;
    /* Set before the message goes out: whoever accepts it may already send EOI. */
    if (mode <= APIC_LOWEST) {
        a->s.rte[n] |= RTE_REMOTE_IRR;
    }
    if (!send(a, n)) {
        a->s.rte[n] &= ~RTE_REMOTE_IRR;
    }
}

static void ioapic_pin(struct dev *d, unsigned in, bool level)
{
    struct ioapic *a = (struct ioapic *)d;
    if (a->s.rte[in] & RTE_LEVEL) {
        serve_level(a, in);
    } else if (level && !(a->s.rte[in] & RTE_MASKED)) {
        send(a, in);
    }
}

static void ioapic_eoi(struct dev *d, uint8_t vector)
{
    struct ioapic *a = (struct ioapic *)d;
    for (unsigned n = 0; n < PINS; n++) {
        if ((a->s.rte[n] & RTE_REMOTE_IRR) && (uint8_t)a->s.rte[n] == vector) {
            a->s.rte[n] &= ~RTE_REMOTE_IRR;
            serve_level(a, n);
        }
    }
}

static uint32_t read_reg(struct ioapic *a, unsigned reg)
{
    switch (reg) {
    case REG_ID:
    case REG_ARB:
        return (uint32_t)a->s.id << 24;
    case REG_VERSION:
        return VERSION;
    default:
        if (reg >= REG_TABLE && reg < REG_TABLE + 2 * PINS) {
            return (uint32_t)(a->s.rte[(reg - REG_TABLE) / 2] >> (reg & 1 ? 32 : 0));
        }
        return 0;
    }
}

static void write_reg(struct ioapic *a, unsigned reg, uint32_t val)
{
    if (reg == REG_ID) {
        a->s.id = val >> 24 & 0x0f;
        return;
    }
    if (reg < REG_TABLE || reg >= REG_TABLE + 2 * PINS) {
        return;
    }
    unsigned n = (reg - REG_TABLE) / 2;
    uint64_t old = a->s.rte[n];
    uint64_t rte =
        reg & 1 ? (old & 0xffffffff) | (uint64_t)val << 32 : (old & ~UINT64_C(0xffffffff)) | val;
    rte = (rte & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
    if (!(rte & RTE_LEVEL)) {
        rte &= ~RTE_REMOTE_IRR; /* the way to clear it by hand */
    }
    a->s.rte[n] = rte;
    serve_level(a, n);
}

/* --- Bus glue --- */

static uint64_t ioapic_read(struct dev *d, uint64_t off, unsigned size)
{
    struct ioapic *a = (struct ioapic *)d;
    (void)size;
    switch (off) {
    case 0:
        return a->s.select;
    case WINDOW:
        return read_reg(a, a->s.select);
    default:
        return 0;
    }
}

static void ioapic_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct ioapic *a = (struct ioapic *)d;
    (void)size;
    switch (off) {
    case 0:
        a->s.select = (uint8_t)val;
        break;
    case WINDOW:
        write_reg(a, a->s.select, (uint32_t)val);
        break;
    case EOI:
        ioapic_eoi(d, (uint8_t)val);
        break;
    default:
        break;
    }
}

static const struct io_ops ioapic_ops = {ioapic_read, ioapic_write, 4, 4};

static bool ioapic_init(struct dev *d, struct err *e)
{
    struct ioapic *a = (struct ioapic *)d;
    a->bus = dev_find(d->env, a->bus_name);
    if (!a->bus || a->bus->cls != &apicbus_class) {
        return err_set(e, "bus=%s: there is no apicbus of that name yet", a->bus_name);
    }
    apicbus_add_ioapic(a->bus, d, ioapic_eoi);
    aspace_map_io(d->env->mem, a->base, 4096, &ioapic_ops, d, d->name, 10);
    return true;
}

static void ioapic_reset(struct dev *d, enum reset_kind kind)
{
    struct ioapic *a = (struct ioapic *)d;
    (void)kind;
    a->s = (struct ioapic_state){.id = (uint8_t)a->id};
    for (unsigned n = 0; n < PINS; n++) {
        a->s.rte[n] = RTE_MASKED;
    }
}

static const struct prop ioapic_props[] = {
    {"base", PROP_U64, offsetof(struct ioapic, base), "0xfec00000", 0, UINT64_C(0xfffff000),
     "address"},
    {"id", PROP_U32, offsetof(struct ioapic, id), "0", 0, 15, "I/O APIC ID after reset"},
    {"bus", PROP_STR, offsetof(struct ioapic, bus_name), "apicbus", 0, 0, "name of the apicbus"},
    {0},
};
// clang-format off
static const char *const ioapic_in[] = {
    "pin0", "pin1", "pin2", "pin3", "pin4", "pin5", "pin6", "pin7",
    "pin8", "pin9", "pin10", "pin11", "pin12", "pin13", "pin14", "pin15",
    "pin16", "pin17", "pin18", "pin19", "pin20", "pin21", "pin22", "pin23", NULL,
};
// clang-format on

const struct dev_class ioapic_class = {
    .name = "ioapic",
    .help = "82093AA I/O APIC, 24 inputs",
    .size = sizeof(struct ioapic),
    .state_off = offsetof(struct ioapic, s),
    .state = &ioapic_state_desc,
    .props = ioapic_props,
    .pins_in = ioapic_in,
    .init = ioapic_init,
    .reset = ioapic_reset,
    .pin = ioapic_pin,
};
