/*
 * Wires: interrupt and other lines between devices, and what a vCPU and its interrupt controller
 * ask of each other.
 *
 * A wire joins output pins to input pins of devices by name; a board table names the ends. Several
 * outputs may drive one input (wired-OR: the input is high while any driver is). Setting an output
 * to the level it has does nothing. Levels are saved here, so no device raises its lines again
 * after a load.
 */
#ifndef DOPPEL_CORE_WIRE_H
#define DOPPEL_CORE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

struct dev;

/* What a vCPU asks of the interrupt controllers in front of it (local APIC, or the 8259 alone).
 * Registered with cpu_set_intc() by the board code; ctx is the controller. All calls on the
 * machine's thread. A vCPU without a local APIC has msr_* and cr8_* NULL. */
struct intc_ops {
    /* The acknowledge cycle (INTA): the vector to deliver, 0..255. Called only while the vCPU's
     * INTR pin is high; may return the spurious vector. */
    uint8_t (*ack)(void *ctx);
    /* CR8 = TPR >> 4 (SDM 3A 11.8.6); 0..15. */
    uint8_t (*cr8_read)(void *ctx);
    void (*cr8_write)(void *ctx, uint8_t val);
    /* IA32_APIC_BASE, IA32_TSC_DEADLINE and x2APIC MSRs 0x800..0x8ff. False: #GP(0).
     * IA32_TSC_DEADLINE (0x6e0) is passed as virtual time in both directions, since only the vCPU
     * knows its TSC offset: 0 stays 0 (not armed), a deadline before virtual time 1 is 1. */
    bool (*msr_read)(void *ctx, uint32_t msr, uint64_t *val);
    bool (*msr_write)(void *ctx, uint32_t msr, uint64_t val);
};

/* What a local APIC tells its vCPU besides the wires "intr", "nmi", "smi" and "init". */
struct cpu_ops {
    void (*sipi)(void *ctx, uint8_t vector); /* start-up IPI: begin at vector << 12 */
};

#endif
