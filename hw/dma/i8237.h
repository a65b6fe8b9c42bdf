/*
 * What a device on an ISA DMA channel asks of the pair of 8237s ("dma0"; hw/dma/i8237.c).
 *
 * A device finds the controller by its name (property "dma") at init. Transfers happen at once, at
 * the virtual time that the device chose; there is no DREQ pin.
 */
#ifndef DOPPEL_HW_DMA_I8237_H
#define DOPPEL_HW_DMA_I8237_H

#include <stdbool.h>
#include <stdint.h>

#include "core/dev.h"

/* Is the channel (0..3, 5..7) unmasked, its controller enabled, and programmed for this direction?
 * to_mem: the device writes memory. Verify transfers count as to_mem and move nothing. */
bool i8237_ready(struct dev *dma, unsigned channel, bool to_mem);
/* Move up to `len` bytes (even on channels 5..7) between buf and memory, advancing address and
 * count; returns the bytes moved, which are fewer when terminal count is reached (*tc set; without
 * auto-initialize the channel then masks itself) or the channel is not ready. */
uint32_t i8237_transfer(struct dev *dma, unsigned channel, void *buf, uint32_t len, bool to_mem,
                        bool *tc);

#endif
