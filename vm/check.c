/*
 * The small state of a machine: all but RAM and disks. What a recording keeps of each interval, and
 * how a replay finds the fields in which it differs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/record.h"
#include "vm/vm.h"

void check_take(struct doppel_vm *vm, struct st_buf *small)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        cpu_sync(vm->cpu[i]);
    }
    small->len = 0;
    st_save(small, "clock", &clock_state_desc, &vm->clock.s);
    st_save(small, "machine", &vm_state_desc, &vm->s);
    dev_save_all(&vm->env, small);
}

struct diff {
    struct st_buf *text;
    const char *instance;
    unsigned n, max;
};

static void differs(void *ctx, const char *path, uint64_t recorded, uint64_t here)
{
    struct diff *d = ctx;
    char line[400];
    if (d->n++ < d->max) {
        int n =
            snprintf(line, sizeof line, "\n    %.40s.%.200s: recorded %#" PRIx64 ", here %#" PRIx64,
                     d->instance, path, recorded, here);
        st_buf_put(d->text, line, (size_t)n);
    }
}

static bool diff_section(struct diff *d, struct st_src *src, const char *instance,
                         const struct st_desc *desc, const void *now)
{
    struct err e;
    void *then = calloc(1, desc->size);
    if (!then) {
        abort();
    }
    d->instance = instance;
    bool ok = st_load(src, instance, desc, then, &e);
    if (ok) {
        st_diff(desc, then, now, differs, d);
    }
    free(then);
    return ok;
}

static void dev_differs(void *ctx, const char *dev, const char *path, uint64_t recorded,
                        uint64_t here)
{
    struct diff *d = ctx;
    d->instance = dev;
    differs(d, path, recorded, here);
}

unsigned check_diff(struct doppel_vm *vm, const uint8_t *small, size_t len, unsigned max,
                    struct st_buf *text)
{
    struct st_src src = {small, len, 0};
    struct diff d = {text, "", 0, max};
    if (!diff_section(&d, &src, "clock", &clock_state_desc, &vm->clock.s) ||
        !diff_section(&d, &src, "machine", &vm_state_desc, &vm->s) ||
        !dev_diff_all(&vm->env, &src, dev_differs, &d)) {
        static const char other[] = "\n    the recorded machine has other devices";
        st_buf_put(text, other, sizeof other - 1);
        d.n++;
    }
    return d.n;
}
