/*
 * Address spaces: physical memory and the 64 KiB of ports, as maps of regions.
 *
 * A region is RAM (or ROM) pages or a device's registers. Higher priority covers lower; equal
 * priority must not overlap (set-up error). The flat view is rebuilt when a region moves or is
 * switched, which bumps `gen` and calls `changed`, so that soft TLBs drop what they cached.
 *
 * Device registers see offsets within their region only. An access of a size the device does not
 * take is split into, or widened to, sizes that it does. Nobody there: reads give all ones, writes
 * are lost, as on a PC bus.
 */
#ifndef DOPPEL_MMU_ASPACE_H
#define DOPPEL_MMU_ASPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"
#include "util/err.h"
#include "mmu/ram.h"

struct dev;
struct log;
struct region; /* private to aspace.c; owned by the address space */

struct io_ops {
    uint64_t (*read)(struct dev *d, uint64_t off, unsigned size);
    void (*write)(struct dev *d, uint64_t off, unsigned size, uint64_t val);
    uint8_t min_size, max_size; /* bytes: 1, 2, 4 or 8; 0 means 1 and 4 */
};

struct aspace {
    struct region **regions; /* all, in creation order */
    unsigned nregions;
    struct flat_range *flat; /* sorted, not overlapping; private to aspace.c */
    unsigned nflat, last;
    uint64_t size; /* addresses are 0 .. size-1 */
    uint32_t gen;
    void (*changed)(void *ctx);
    void *changed_ctx;
    struct log *log; /* for `-d io`; may be NULL */
};

void aspace_init(struct aspace *as, uint64_t size);
void aspace_fini(struct aspace *as);

/* Map device registers. `name` is for mtree. Enabled at once. The region lives as long as `as`. */
struct region *aspace_map_io(struct aspace *as, uint64_t base, uint64_t len,
                             const struct io_ops *ops, struct dev *d, const char *name, int prio);
/* Map [ram_off, ram_off+len) of `ram`; page-aligned. readonly: writes are dropped (ROM). */
struct region *aspace_map_ram(struct aspace *as, uint64_t base, uint64_t len, struct ram *ram,
                              uint64_t ram_off, bool readonly, const char *name, int prio);
void region_enable(struct aspace *as, struct region *r, bool on);
void region_move(struct aspace *as, struct region *r, uint64_t base);
void region_readonly(struct aspace *as, struct region *r, bool ro);
/* Show another part of its RAM: [ram_off, ram_off + length). Page-aligned, inside (asserted). */
void region_ram_offset(struct aspace *as, struct region *r, uint64_t ram_off);
/* RAM that takes reads, writes, both or neither; what it does not take goes to the region below
 * (reads), or is lost (writes). */
void region_access(struct aspace *as, struct region *r, bool read, bool write);
/* Writes go to the region below, from now on: ROM in front of registers that take commands. */
void region_pass_writes(struct aspace *as, struct region *r);
/* Set-up check: two enabled regions of equal priority overlap. */
bool aspace_check(const struct aspace *as, struct err *e);

/* What is at an address. */
struct aspace_hit {
    struct ram *ram; /* RAM or ROM: the map; NULL: registers or nobody */
    uint64_t pfn;    /* page within `ram` */
    bool readonly;
    bool split;            /* writes go elsewhere: only aspace_write knows where; `readonly` too */
    bool whole_page;       /* the whole 4 KiB page of the address is of this one region */
    struct region *region; /* NULL: nobody there */
};
struct aspace_hit aspace_find(struct aspace *as, uint64_t addr);

/* One access of 1, 2, 4 or 8 bytes, any alignment, as the CPU's bus makes it. */
uint64_t aspace_read(struct aspace *as, uint64_t addr, unsigned size);
void aspace_write(struct aspace *as, uint64_t addr, unsigned size, uint64_t val);
/* The registers that serve an access of `size` at `addr` in one call: fn(dev, off, size). For
 * string I/O, which makes many such calls. False: it is RAM, nobody, or split, or `-d io` wants to
 * see it. Good while as->gen stays the same. */
struct aspace_port {
    const struct io_ops *ops;
    struct dev *dev;
    uint64_t off;
};
bool aspace_port(struct aspace *as, uint64_t addr, unsigned size, struct aspace_port *p);
/* Bulk, for DMA and loaders; RAM page-wise, registers byte-wise. Reports code lines. */
void aspace_read_buf(struct aspace *as, uint64_t addr, void *buf, uint64_t len);
void aspace_write_buf(struct aspace *as, uint64_t addr, const void *buf, uint64_t len);

/* For `info mtree`: each flat range in order. */
void aspace_each(const struct aspace *as,
                 void (*fn)(void *ctx, uint64_t base, uint64_t len, const char *name, bool is_ram,
                            bool readonly),
                 void *ctx);

#endif
