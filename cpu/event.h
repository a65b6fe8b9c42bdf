/*
 * What the system files of cpu/ and the run loop need of event delivery besides cpu/sys.h.
 */
#ifndef DOPPEL_CPU_EVENT_H
#define DOPPEL_CPU_EVENT_H

#include "cpu/sys.h"

#define DR6_BITS 0x0fu /* B0-B3: breakpoints met */

/* Raise #DB as a fault with these bits in DR6 (general detect). */
noreturn void event_raise_db(struct cpu *cpu, uint64_t dr6);
/* Does anything wait that ends the vCPU's halt, shutdown or wait? For one that is not running. */
bool event_wakes(const struct cpu *cpu);
/* MWAIT: has the monitored line changed since MONITOR, or is none armed? */
bool event_monitor_hit(const struct cpu *cpu);

#endif
