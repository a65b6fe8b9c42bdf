/*
 * The back end of hosts that have none: it says so, and everything is interpreted.
 */
#include "cpu/jit/backend.h"

const char *jit_host_name(void)
{
    return "none";
}

bool jit_host_runs(void)
{
    return false;
}

void jit_host_common(struct jit_backend *be)
{
    (void)be;
}

bool jit_host_emit(struct jit_backend *be, const struct jit_source *src, struct jit_code *code)
{
    (void)be, (void)src, (void)code;
    return false;
}

void jit_host_patch(struct jit_backend *be, uint32_t place, uint32_t target)
{
    (void)be, (void)place, (void)target;
}

void jit_host_near_off(struct jit_backend *be, uint32_t place, uint32_t slot)
{
    (void)be, (void)place, (void)slot;
}

bool jit_host_based(void)
{
    return false;
}

bool jit_host_fpu(void)
{
    return false;
}
