// A bare bus for device tests: clock, gate and two address spaces, no CPU, no run loop. Time moves
// when the test says so; each timer fires at its own instant.

#ifndef DOPPEL_TESTS_RIG_H
#define DOPPEL_TESTS_RIG_H

#include "core/dev.h"
#include "mmu/aspace.h"
#include "tests/t.h"

#define RIG_MAX_RAM 4u

struct rig {
    struct clock clock;
    struct gate gate;
    struct aspace mem, io;
    struct dev_env env;
    unsigned nreq; // dev_request calls, and the last one
    enum dev_request req;
    uint32_t req_arg;
    struct ram ram[RIG_MAX_RAM]; // memory of devices' own
    unsigned nram;
};

void rig_init(struct rig *r);
void rig_fini(struct rig *r);

// A device of a class, with properties "key=value,key=value"; initialized. Fails the test and
// returns NULL if it cannot be.
struct dev *rig_add(struct rig *r, const struct dev_class *cls, const char *name,
                    const char *props);
// A wire between "dev.pin" and "dev.pin".
void rig_wire(struct rig *r, const char *from, const char *to);
void rig_reset(struct rig *r, enum reset_kind kind);

// Let `ns` pass, firing timers on the way; or until the instant `t`.
void rig_run(struct rig *r, uint64_t ns);
void rig_run_to(struct rig *r, vtime t);

static inline uint8_t rig_inb(struct rig *r, uint16_t port)
{
    return (uint8_t)aspace_read(&r->io, port, 1);
}
static inline uint16_t rig_inw(struct rig *r, uint16_t port)
{
    return (uint16_t)aspace_read(&r->io, port, 2);
}
static inline uint32_t rig_inl(struct rig *r, uint16_t port)
{
    return (uint32_t)aspace_read(&r->io, port, 4);
}
static inline void rig_outb(struct rig *r, uint16_t port, uint8_t val)
{
    aspace_write(&r->io, port, 1, val);
}
static inline void rig_outw(struct rig *r, uint16_t port, uint16_t val)
{
    aspace_write(&r->io, port, 2, val);
}
static inline void rig_outl(struct rig *r, uint16_t port, uint32_t val)
{
    aspace_write(&r->io, port, 4, val);
}

// Post to a gate source by name and deliver at once.
void rig_post(struct rig *r, const char *source, const void *data, uint32_t len);

// Save everything and load it into the same devices; then everything again must be the same.
void rig_reload(struct rig *r);

// A device with 16 inputs in0..in15 that are watched and 16 outputs out0..out15 that the test
// drives with dev_pin_set.
struct probe {
    struct dev dev;
    unsigned rises[16], falls[16];
    vtime last_rise[16], last_fall[16];
};
extern const struct dev_class probe_class;

#endif
