/*
 * Local APICs, I/O APICs and the bus between them, for board code and for devices that send MSIs.
 *
 * A board makes one `apicbus`, then a `lapic` for each vCPU (property `index` is that of the vCPU,
 * the one in dev_env.cur_cpu), then `ioapic`s; each finds the bus by name. The board then gives
 * each vCPU lapic_intc_ops and each local APIC its vCPU by lapic_set_cpu(), and wires "intr",
 * "nmi", "smi" and "init".
 */
#ifndef DOPPEL_HW_INTC_APIC_H
#define DOPPEL_HW_INTC_APIC_H

#include "core/dev.h"
#include "core/wire.h"

/* Delivery modes of messages, ICR and redirection entries (SDM 3A 11.6.1). */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};

struct apic_msg {
    uint32_t dest;  /* an APIC ID or a logical destination */
    bool wide;      /* dest has 32 bits (x2APIC); otherwise 8, and 0xff is everyone */
    bool logical;   /* destination mode */
    bool level;     /* trigger mode */
    uint8_t mode;   /* enum apic_mode */
    uint8_t vector; /* of fixed, lowest priority and start-up messages */
};

/* ctx is the lapic's struct dev. MSR 0x6e0 takes and gives a virtual time, see core/wire.h. */
extern const struct intc_ops lapic_intc_ops;

/* The vCPU behind a local APIC. */
void lapic_set_cpu(struct dev *lapic, const struct cpu_ops *ops, void *ctx);

/* Deliver a message. False: nobody accepted it. */
bool apicbus_send(struct dev *bus, const struct apic_msg *msg);

/* What interrupt lines may become at the vCPU `index` besides vectors, as its local APIC and the
 * I/O APICs are programmed: a mask of 1 << APIC_SMI, APIC_NMI, APIC_INIT. LINT1 does not count:
 * boards have errors there, which no timer raises. */
unsigned apicbus_line_modes(struct dev *bus, unsigned index);

/* A message-signaled interrupt: a write of `data` to `addr` in 0xfeexxxxx (SDM 3A 11.11). */
void apicbus_msi(struct dev *bus, uint64_t addr, uint32_t data);

#endif
