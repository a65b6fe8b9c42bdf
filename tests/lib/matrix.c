/*
 * Whole machines of tests in another engine: T_ENGINE.
 *
 * Tests are compiled with doppel_create named t_doppel_create (Makefile.in), so that a machine
 * whose test does not ask for a certain engine (the default, "jit") gets the one that T_ENGINE
 * says, if that is set: what -engine takes. tests/matrix.sh runs every test in every way so.
 * Machines that are made of the library's parts (tests/lib/bare.h) look at T_ENGINE themselves.
 */
#include <stdlib.h>
#include <string.h>

#include "doppel.h"

#undef doppel_create
struct doppel_vm *doppel_create(const struct doppel_options *o, struct doppel_error *e);
struct doppel_vm *t_doppel_create(const struct doppel_options *o, struct doppel_error *e);

struct doppel_vm *t_doppel_create(const struct doppel_options *o, struct doppel_error *e)
{
    const char *engine = getenv("T_ENGINE");
    struct doppel_options mine = *o;
    if (engine && (!o->engine || strcmp(o->engine, "jit") == 0)) {
        mine.engine = engine;
    }
    return doppel_create(&mine, e);
}
