/*
 * Devices: a class is a constant descriptor, an instance is allocated and owned by the framework.
 *
 * A class names its state table (core/state.h), its properties, its pins and a few callbacks; save,
 * load, digest, `info`, --help and fuzzing follow from that. Register functions see offsets only
 * (mmu/aspace.h maps them). Device code has no locks: one thread owns the machine. Device code
 * never reads a host clock, and meets the host only through core/backend.h and the gate.
 *
 * Lifecycle: create (zeroed, properties at their defaults) -> properties set -> init (map ranges,
 * bind timers and back ends; may fail) -> wires connected -> reset(RESET_COLD) -> running ...
 * -> [restored after a load] -> fini. reset sets every state field; init sets none.
 */
#ifndef DOPPEL_CORE_DEV_H
#define DOPPEL_CORE_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/clock.h"
#include "core/gate.h"
#include "core/state.h"
#include "util/err.h"
#include "util/log.h"

struct aspace; /* mmu/aspace.h */
struct dev;
struct chr;         /* core/backend.h */
struct drive;       /* core/backend_block.h */
struct net;         /* core/backend_net.h */
struct display_ops; /* core/backend_display.h */
struct ram;         /* mmu/ram.h */

enum reset_kind {
    RESET_COLD, /* power on */
    RESET_WARM, /* the reset line: what survives it on hardware survives (RTC RAM) */
    RESET_WAKE, /* the same at the end of suspend to RAM: what kept its power survives too */
};

/* What a device may ask of its machine (reset line of port 0xcf9, ACPI power-off, exit device). */
enum dev_request {
    DEV_REQ_RESET,    /* arg unused */
    DEV_REQ_POWEROFF, /* arg unused */
    DEV_REQ_SLEEP,    /* suspend to RAM: nothing runs until ... */
    DEV_REQ_WAKE,     /* ... this, which is also a reset (RESET_WAKE); ignored while awake */
    DEV_REQ_EXIT,     /* arg: the process exit code of isa-debug-exit */
    DEV_REQ_PANIC,    /* arg unused; the guest said that it crashed */
};

enum prop_kind { PROP_BOOL, PROP_U32, PROP_U64, PROP_STR, PROP_CHR, PROP_DRIVE, PROP_NET };

/* One configurable property. `off` is from the start of the device struct: bool, uint32_t,
 * uint64_t, char[32], or a pointer to a back end (struct chr, drive, net). `def` is parsed as if
 * given; min..max bound numbers. */
struct prop {
    const char *name;
    enum prop_kind kind;
    size_t off;
    const char *def;
    uint64_t min, max;
    const char *help;
};

struct dev_class {
    const char *name, *help;     /* "i8259"; the name is also the snapshot key's type */
    size_t size;                 /* of the device struct, whose first member is struct dev */
    size_t state_off;            /* of the state struct inside it */
    const struct st_desc *state; /* NULL: the device remembers nothing but its pins */
    const struct prop *props;    /* ends with name NULL; may be NULL */
    const char *const *pins_in;  /* ends with NULL; may be NULL. "ir0".."ir7" as written */
    const char *const *pins_out;
    bool (*init)(struct dev *d, struct err *e);
    void (*reset)(struct dev *d, enum reset_kind kind);
    void (*pin)(struct dev *d, unsigned in, bool level); /* an input changed */
    void (*restored)(struct dev *d); /* rebuild own caches; touch no other device */
    void (*fini)(struct dev *d);
};

/* What every device of a machine sees of it. Owned by the machine. */
struct dev_env {
    struct clock *clock;
    struct gate *gate;
    struct log *log;
    struct aspace *mem; /* physical memory */
    struct aspace *io;  /* the 64 KiB port space */
    /* Requests to the machine, obeyed at the next instruction boundary. Set by vm. */
    void (*request)(void *ctx, enum dev_request what, uint32_t arg);
    void *request_ctx;
    /* Memory of a device's own (video RAM, an option ROM), `bytes` a multiple of 4096, all zeros:
     * saved, loaded and part of the digest under `name`, so it is not in the device's table. Lives
     * as long as the machine; map it with aspace_map_ram. At init only. NULL: no host memory. */
    struct ram *(*ram_new)(void *ctx, const char *name, uint64_t bytes);
    void *ram_ctx;
    /* A firmware file by its name ("vgabios-stdvga.bin"), looked up where firmware lies; malloc'ed,
     * the caller's to free. False: not found. NULL: no firmware in this machine. At init only. */
    bool (*rom_file)(void *ctx, const char *name, uint8_t **data, size_t *len);
    void *rom_ctx;
    /* The display adapter; set by it at init with what draws it. NULL: none (yet). */
    struct dev *display;
    const struct display_ops *display_ops;
    struct dev **devs; /* in creation order */
    unsigned ndevs;
    /* The vCPU whose access or instruction is being served, 0 outside slices: set by the run loop
     * before it runs a vCPU. Only for what is per CPU on the bus (the local APIC's page). */
    unsigned cur_cpu;
};

struct pin_link; /* one wire from an output pin, private to dev.c */

struct dev {
    const struct dev_class *cls;
    char name[32]; /* unique in the machine; the snapshot's instance key */
    struct dev_env *env;
    struct pin_link *links; /* from our outputs */
    uint64_t *out_levels;   /* a bit for each output pin; saved by the framework */
    uint16_t *in_high;      /* for each input pin: how many drivers are high */
    unsigned nin, nout;
    unsigned nlinks;
    bool inited; /* init succeeded: fini is due */
};

/* Create an instance (not yet initialized). False with `e`: unknown name clash. */
struct dev *dev_new(struct dev_env *env, const struct dev_class *cls, const char *name,
                    struct err *e);
/* Set a property from text. e names the property, the class and what is allowed. */
bool dev_set(struct dev *d, const char *prop, const char *value, struct err *e);
/* The same behind dev_init, for boards: a property that only reset looks at. */
bool dev_set_late(struct dev *d, const char *prop, const char *value, struct err *e);
/* Set a property of a back-end kind to a struct chr *, drive * or net *, which may be NULL. */
bool dev_set_backend(struct dev *d, const char *prop, enum prop_kind kind, void *backend,
                     struct err *e);
/* The kind of a property; false: there is no such property. */
bool dev_prop_kind(const struct dev *d, const char *prop, enum prop_kind *kind);
bool dev_init(struct dev *d, struct err *e);
/* Wire "from.out" to "to.in" by pin names. */
bool dev_connect(struct dev *from, const char *out, struct dev *to, const char *in, struct err *e);
void dev_free_all(struct dev_env *env);
struct dev *dev_find(const struct dev_env *env, const char *name);
/* Is the input pin wired to any output? For set-up checks; false too if there is no such pin. */
bool dev_pin_driven(const struct dev_env *env, const struct dev *d, const char *in);

bool dev_has_out(const struct dev *d, const char *out); /* is there such an output pin? */

/* Drive an output pin (index into cls->pins_out). Idempotent. */
void dev_pin_set(struct dev *d, unsigned out, bool level);
bool dev_pin_out(const struct dev *d, unsigned out);
/* The level of an input pin: true while any driver is high. */
bool dev_pin_in(const struct dev *d, unsigned in);

static inline void *dev_state(struct dev *d)
{
    return (char *)d + d->cls->state_off;
}

static inline void dev_request(const struct dev *d, enum dev_request what, uint32_t arg)
{
    if (d->env->request) {
        d->env->request(d->env->request_ctx, what, arg);
    }
}

/* Save and load every device (state and pin levels), in creation order. A load that fails leaves
 * every device as it was. After a load the framework recomputes in_high from the outputs without
 * calling pin(), rebuilds the clock's order of timers, then calls restored() of each. Load the
 * clock itself first. */
void dev_save_all(const struct dev_env *env, struct st_buf *b);
bool dev_load_all(struct dev_env *env, struct st_src *src, struct err *e);
/* Would dev_load_all succeed? Moves src as it would, and changes no device. */
bool dev_check_all(struct dev_env *env, struct st_src *src, struct err *e);
/* Compare with what dev_save_all made, at the cursor: `fn` for each field that differs, with the
 * saved value first. False: it is of other devices. Hostile bytes. */
bool dev_diff_all(const struct dev_env *env, struct st_src *src,
                  void (*fn)(void *ctx, const char *dev, const char *path, uint64_t saved,
                             uint64_t now),
                  void *ctx);
uint64_t dev_digest_all(const struct dev_env *env, uint64_t h);
void dev_reset_all(struct dev_env *env, enum reset_kind kind);

#endif
