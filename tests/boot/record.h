/*
 * Boots that are recorded and replayed: the replay must be the same run, check by check, and end
 * with the same digest.
 */
#ifndef DOPPEL_TESTS_BOOT_RECORD_H
#define DOPPEL_TESTS_BOOT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "doppel.h"

struct boot_record {
    char path[64];   /* of the log; "": this run is not recorded */
    uint64_t inputs; /* that were replayed; set by boot_record_finish */
};

/* Record from now on, if `always` or at T_LEVEL=long. */
void boot_record_start(struct boot_record *r, struct doppel_vm *vm, bool always);
/* End the recording and the machine, which has its images locked; replay, compare. */
void boot_record_finish(struct boot_record *r, struct doppel_vm **vm, const char *engine);

#endif
