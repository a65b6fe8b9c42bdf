/*
 * What set-up takes from the host, once, through gate_value(): the time of day and a random seed;
 * and the clock that pace is kept by (vm/pace.h).
 */
#ifndef DOPPEL_HOST_HOSTTIME_H
#define DOPPEL_HOST_HOSTTIME_H

#include <pthread.h>
#include <stdint.h>

int64_t host_epoch(void); /* seconds since 1970 UTC */
uint64_t host_seed(void);
uint64_t host_monotonic(void); /* ns; for what the guest never sees */
/* pthread_cond_wait, for about `ns` (below a second) at most. */
void host_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns);

#endif
