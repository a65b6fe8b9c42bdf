/*
 * The 8259A as the CPU sees it: the acknowledge cycle.
 */
#ifndef DOPPEL_HW_INTC_I8259_H
#define DOPPEL_HW_INTC_I8259_H

#include "core/wire.h"

/* For a vCPU without a local APIC; ctx is the master's struct dev. Only ack is there. */
extern const struct intc_ops i8259_intc_ops;

/* The acknowledge cycle of the master (which asks its slave): the vector. */
uint8_t i8259_ack(struct dev *master);

#endif
