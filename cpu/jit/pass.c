/*
 * Liveness of flags, backward over the block. See pass.h.
 *
 * All six flags are one thing here: an instruction that sets only some of them (INC, rotates) keeps
 * the rest alive, which errs on the safe side.
 */
#include "cpu/jit/pass.h"

void jit_pass_flags(struct uop *u, unsigned n)
{
    bool live = true; /* at the end anybody may look */
    for (unsigned k = n; k-- > 0;) {
        u[k].attr = (uint8_t)(u[k].attr & ~UF_NEED) | (live ? UF_NEED : 0);
        if (uop_sets_all(&u[k])) {
            live = false;
        }
        if (u[k].rflags || (u[k].attr & UF_BAIL)) {
            live = true;
        }
    }
}
