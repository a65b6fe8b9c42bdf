/*
 * What firmware is told through CMOS RAM, besides the class's properties.
 */
#ifndef DOPPEL_HW_TIMER_MC146818_H
#define DOPPEL_HW_TIMER_MC146818_H

#include "core/dev.h"

/* Put a byte into CMOS RAM, 0x0e..0x7f; the checksum of 0x10..0x2d is kept right. After the
 * device's reset only. */
void mc146818_set_cmos(struct dev *rtc, unsigned reg, uint8_t val);

#endif
