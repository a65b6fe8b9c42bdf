/*
 * The bus between APICs, and the memory page through which a vCPU reaches its own local APIC.
 *
 * Every vCPU sees its local APIC at the same address, so one region serves all: whose registers an
 * access means follows from dev_env.cur_cpu. An APIC that a guest relocates gets a second region
 * there. Simplification: a vCPU whose APIC is elsewhere or off finds nobody at a page that is
 * another vCPU's APIC, rather than the memory below.
 *
 * Stateless: all state is in the local and I/O APICs.
 *
 * Source: Intel SDM volume 3A, 11.6.2 "Determining IPI Destination", 11.11 "Message Signalled
 * Interrupts", 11.12.10 "Determining IPI Destination in x2APIC Mode".
 */
#include "hw/hw.h"
#include "hw/intc/lapic.h"
#include "mmu/aspace.h"

enum { MAX_LAPICS = 64, MAX_IOAPICS = 4, PRIO = 20 };

struct apicbus {
    struct dev dev;
    struct lapic *lapic[MAX_LAPICS]; /* by vCPU index */
    struct dev *ioapic[MAX_IOAPICS];
    void (*ioapic_eoi[MAX_IOAPICS])(struct dev *ioapic, uint8_t vector);
    unsigned nioapics;
};

/* --- Messages --- */

/* SDM 3A 11.6.2.2: flat and cluster models; 11.12.10.2: x2APIC. */
static bool logical_match(const struct lapic *l, uint32_t dest)
{
    uint32_t ldr = l->s.ldr;
    if (lapic_x2(l)) {
        return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
    }
    uint32_t id = ldr >> 24;
    if (dest > 0xff) {
        return false;
    }
    if (l->s.dfr >> 28 == 0xf) {
        return dest & id;
    }
    return (dest >> 4 == id >> 4 || dest >> 4 == 0xf) && (dest & id & 0xf);
}

static bool matches(const struct lapic *l, const struct apic_msg *msg)
{
    if (!lapic_on(l)) {
        return false;
    }
    if (msg->dest == (msg->wide ? 0xffffffff : 0xff)) {
        return true;
    }
    if (msg->logical) {
        return logical_match(l, msg->dest);
    }
    return msg->dest == (lapic_x2(l) ? l->id : l->s.xid);
}

/* The one that takes a lowest-priority message. */
static struct lapic *arbitrate(struct apicbus *b, const struct apic_msg *msg)
{
    struct lapic *best = NULL;
    for (unsigned i = 0; i < MAX_LAPICS; i++) {
        struct lapic *l = b->lapic[i];
        if (l && matches(l, msg) && lapic_soft_on(l) &&
            (!best || lapic_ppr(l) >> 4 < lapic_ppr(best) >> 4)) {
            best = l;
        }
    }
    return best;
}

bool apicbus_send(struct dev *bus, const struct apic_msg *msg)
{
    struct apicbus *b = (struct apicbus *)bus;
    bool accepted = false;
    if (msg->mode == APIC_LOWEST) {
        struct lapic *l = arbitrate(b, msg);
        if (l) {
            lapic_deliver(l, msg);
        }
        return l != NULL;
    }
    for (unsigned i = 0; i < MAX_LAPICS; i++) {
        struct lapic *l = b->lapic[i];
        if (l && matches(l, msg)) {
            accepted |= msg->mode != APIC_FIXED || lapic_soft_on(l);
            lapic_deliver(l, msg);
        }
    }
    return accepted;
}

void apicbus_shorthand(struct dev *bus, struct lapic *self, unsigned shorthand,
                       const struct apic_msg *msg)
{
    struct apicbus *b = (struct apicbus *)bus;
    if (shorthand == 1) {
        if (msg->mode == APIC_FIXED) { /* others are not allowed to oneself */
            lapic_deliver(self, msg);
        }
        return;
    }
    for (unsigned i = 0; i < MAX_LAPICS; i++) {
        struct lapic *l = b->lapic[i];
        if (l && lapic_on(l) && (shorthand == 2 || l != self)) {
            lapic_deliver(l, msg);
        }
    }
}

void apicbus_msi(struct dev *bus, uint64_t addr, uint32_t data)
{
    struct apic_msg msg = {
        .dest = addr >> 12 & 0xff,
        .logical = addr >> 2 & 1,
        .level = data >> 15 & 1,
        .mode = data >> 8 & 7,
        .vector = (uint8_t)data,
    };
    apicbus_send(bus, &msg);
}

/* LINT0 in a mode that ends any halt, and driven by somebody (the 8259). */
static unsigned lint0_modes(const struct lapic *l)
{
    uint32_t lvt = l->s.lvt[LVT_LINT0];
    bool live = lapic_on(l) && !(lvt & LVT_MASKED) && dev_pin_driven(l->dev.env, &l->dev, "lint0");
    return live ? 1u << (lvt >> LVT_MODE_SHIFT & 7) : 0;
}

unsigned apicbus_line_modes(struct dev *bus, unsigned index)
{
    struct apicbus *b = (struct apicbus *)bus;
    const struct lapic *l = apicbus_lapic(bus, index);
    unsigned modes = l ? lint0_modes(l) : 0;
    for (unsigned i = 0; l && i < b->nioapics; i++) {
        for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
            struct apic_msg msg;
            if (ioapic_message(b->ioapic[i], pin, &msg) && matches(l, &msg)) {
                modes |= 1u << msg.mode;
            }
        }
    }
    return modes & (1u << APIC_SMI | 1u << APIC_NMI | 1u << APIC_INIT);
}

void apicbus_eoi(struct dev *bus, uint8_t vector)
{
    struct apicbus *b = (struct apicbus *)bus;
    for (unsigned i = 0; i < b->nioapics; i++) {
        b->ioapic_eoi[i](b->ioapic[i], vector);
    }
}

/* --- Members --- */

struct lapic *apicbus_lapic(struct dev *bus, unsigned index)
{
    return index < MAX_LAPICS ? ((struct apicbus *)bus)->lapic[index] : NULL;
}

void apicbus_add_lapic(struct dev *bus, struct lapic *l)
{
    ((struct apicbus *)bus)->lapic[l->index] = l;
}

void apicbus_add_ioapic(struct dev *bus, struct dev *ioapic,
                        void (*eoi)(struct dev *ioapic, uint8_t vector))
{
    struct apicbus *b = (struct apicbus *)bus;
    if (b->nioapics < MAX_IOAPICS) {
        b->ioapic[b->nioapics] = ioapic;
        b->ioapic_eoi[b->nioapics++] = eoi;
    }
}

/* --- The page --- */

/* The APIC that the running vCPU has at `base` in xAPIC mode, or NULL. */
static struct lapic *here(struct dev *d, uint64_t base)
{
    struct lapic *l = apicbus_lapic(d, d->env->cur_cpu);
    return l && lapic_on(l) && !lapic_x2(l) && (l->s.base & LAPIC_PAGE) == base ? l : NULL;
}

static uint64_t page_read(struct dev *d, uint64_t off, unsigned size)
{
    struct lapic *l = here(d, LAPIC_DEFAULT_BASE);
    (void)size;
    return l ? lapic_mmio_read(l, (unsigned)off) : 0xffffffff;
}

static void page_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct lapic *l = here(d, LAPIC_DEFAULT_BASE);
    (void)size;
    if (l) {
        lapic_mmio_write(l, (unsigned)off, (uint32_t)val);
    }
}

/* A relocated page belongs to one vCPU's APIC; another vCPU with its own APIC at that address
 * reaches its own all the same. */
static uint64_t moved_read(struct dev *d, uint64_t off, unsigned size)
{
    struct lapic *owner = (struct lapic *)d;
    struct lapic *l = here(owner->bus, owner->s.base & LAPIC_PAGE);
    (void)size;
    return l ? lapic_mmio_read(l, (unsigned)off) : 0xffffffff;
}

static void moved_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct lapic *owner = (struct lapic *)d;
    struct lapic *l = here(owner->bus, owner->s.base & LAPIC_PAGE);
    (void)size;
    if (l) {
        lapic_mmio_write(l, (unsigned)off, (uint32_t)val);
    }
}

static const struct io_ops page_ops = {page_read, page_write, 4, 4};
static const struct io_ops moved_ops = {moved_read, moved_write, 4, 4};

void apicbus_rebase(struct lapic *l)
{
    struct aspace *mem = l->dev.env->mem;
    uint64_t base = l->s.base & LAPIC_PAGE;
    bool moved = lapic_on(l) && !lapic_x2(l) && base != LAPIC_DEFAULT_BASE;
    if (moved && !l->moved) {
        l->moved = aspace_map_io(mem, base, 4096, &moved_ops, &l->dev, "lapic", PRIO);
    } else if (l->moved) {
        region_move(mem, l->moved, moved ? base : 0);
        region_enable(mem, l->moved, moved);
    }
}

static bool apicbus_init(struct dev *d, struct err *e)
{
    (void)e;
    aspace_map_io(d->env->mem, LAPIC_DEFAULT_BASE, 4096, &page_ops, d, "lapic", PRIO);
    return true;
}

const struct dev_class apicbus_class = {
    .name = "apicbus",
    .help = "the bus between APICs, and the local APIC page",
    .size = sizeof(struct apicbus),
    .init = apicbus_init,
};
