/*
 * Address spaces: the flat view and single accesses.
 *
 * Regions are few (tens) and move rarely; accesses are many. So the regions are rendered into a
 * sorted array of ranges that do not overlap, each time that one moves or is switched, and an
 * access finds its range by the last hit or by binary search.
 *
 * How an access becomes device calls: it is cut into naturally aligned pieces (by the offset in the
 * region) of at most max_size; a piece below min_size becomes the aligned access of min_size around
 * it, of which a read takes its part. A write widened so carries zeros in the other bytes: no
 * device of a PC is written that way by software that works.
 *
 * A region that takes writes only (shadow RAM behind ROM that still answers reads) makes a range
 * whose reads and writes belong to two regions; the fast paths of the CPU leave such ranges alone.
 *
 * A device call may move or switch regions (a BAR written in the middle of an access, say), so
 * nothing of the flat view is held over one. Regions themselves live as long as the address space.
 */
#include "mmu/aspace.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"
#include "util/log.h"

struct region {
    const char *name;
    uint64_t base, len;
    int prio;
    bool enabled, readonly;
    bool write_only; /* reads go to what lies below */
    bool read_only;  /* writes do (region_pass_writes) */
    struct ram *ram; /* NULL: registers */
    uint64_t ram_off;
    const struct io_ops *ops;
    struct dev *dev;
};

struct flat_range {
    uint64_t base, end;     /* end exclusive */
    struct region *region;  /* answers reads; NULL: nobody */
    struct region *written; /* takes writes; NULL: nobody */
};

static void *must_have(void *p)
{
    if (!p) {
        abort(); /* host memory exhausted for a few hundred bytes */
    }
    return p;
}

void aspace_init(struct aspace *as, uint64_t size)
{
    memset(as, 0, sizeof *as);
    as->size = size;
}

void aspace_fini(struct aspace *as)
{
    for (unsigned i = 0; i < as->nregions; i++) {
        free(as->regions[i]);
    }
    free(as->regions);
    free(as->flat);
    memset(as, 0, sizeof *as);
}

/* The end of a region within the space, exclusive. */
static uint64_t region_end(const struct aspace *as, const struct region *r)
{
    return r->len > as->size - r->base ? as->size : r->base + r->len;
}

static bool region_visible(const struct aspace *as, const struct region *r)
{
    return r->enabled && r->len && r->base < as->size;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Who answers at `at`: the highest priority, the later of equals (aspace_check reports those). */
static struct region *topmost(const struct aspace *as, uint64_t at, bool write)
{
    struct region *top = NULL;
    for (unsigned i = 0; i < as->nregions; i++) {
        struct region *r = as->regions[i];
        if (region_visible(as, r) && at >= r->base && at < region_end(as, r) &&
            !(write ? r->read_only : r->write_only) && (!top || r->prio >= top->prio)) {
            top = r;
        }
    }
    return top;
}

/* Render the flat view: between two neighbouring edges of regions one region answers. */
static void rebuild(struct aspace *as)
{
    uint64_t *edge = must_have(malloc((2 * as->nregions + 1) * sizeof *edge));
    unsigned n = 0;
    for (unsigned i = 0; i < as->nregions; i++) {
        if (region_visible(as, as->regions[i])) {
            edge[n++] = as->regions[i]->base;
            edge[n++] = region_end(as, as->regions[i]);
        }
    }
    qsort(edge, n, sizeof *edge, compare_u64);
    free(as->flat);
    as->flat = must_have(malloc((n + 1) * sizeof *as->flat));
    as->nflat = 0;
    as->last = 0;
    for (unsigned i = 0; i + 1 < n; i++) {
        if (edge[i] == edge[i + 1]) {
            continue;
        }
        struct region *r = topmost(as, edge[i], false), *w = topmost(as, edge[i], true);
        struct flat_range *prev = as->nflat ? &as->flat[as->nflat - 1] : NULL;
        if (prev && prev->region == r && prev->written == w && prev->end == edge[i]) {
            prev->end = edge[i + 1];
        } else if (r || w) {
            as->flat[as->nflat++] = (struct flat_range){edge[i], edge[i + 1], r, w};
        }
    }
    free(edge);
    as->gen++;
    if (as->changed) {
        as->changed(as->changed_ctx);
    }
}

static struct region *region_add(struct aspace *as, uint64_t base, uint64_t len, const char *name,
                                 int prio)
{
    struct region *r = must_have(calloc(1, sizeof *r));
    as->regions = must_have(realloc(as->regions, (as->nregions + 1) * sizeof *as->regions));
    as->regions[as->nregions++] = r;
    r->name = name;
    r->base = base;
    r->len = len;
    r->prio = prio;
    r->enabled = true;
    return r;
}

struct region *aspace_map_io(struct aspace *as, uint64_t base, uint64_t len,
                             const struct io_ops *ops, struct dev *d, const char *name, int prio)
{
    struct region *r = region_add(as, base, len, name, prio);
    r->ops = ops;
    r->dev = d;
    rebuild(as);
    return r;
}

struct region *aspace_map_ram(struct aspace *as, uint64_t base, uint64_t len, struct ram *ram,
                              uint64_t ram_off, bool readonly, const char *name, int prio)
{
    assert(base % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 && ram_off % PAGE_SIZE == 0);
    assert(ram_off <= ram->npages * PAGE_SIZE && len <= ram->npages * PAGE_SIZE - ram_off);
    struct region *r = region_add(as, base, len, name, prio);
    r->ram = ram;
    r->ram_off = ram_off;
    r->readonly = readonly;
    rebuild(as);
    return r;
}

void region_enable(struct aspace *as, struct region *r, bool on)
{
    if (r->enabled != on) {
        r->enabled = on;
        rebuild(as);
    }
}

void region_move(struct aspace *as, struct region *r, uint64_t base)
{
    assert(!r->ram || base % PAGE_SIZE == 0);
    if (r->base != base) {
        r->base = base;
        if (r->enabled) {
            rebuild(as);
        }
    }
}

void region_readonly(struct aspace *as, struct region *r, bool ro)
{
    if (r->readonly != ro) {
        r->readonly = ro;
        rebuild(as);
    }
}

void region_pass_writes(struct aspace *as, struct region *r)
{
    r->read_only = true;
    rebuild(as);
}

void region_access(struct aspace *as, struct region *r, bool read, bool write)
{
    bool enabled = read || write, readonly = !write, write_only = !read;
    if (r->enabled != enabled ||
        (enabled && (r->readonly != readonly || r->write_only != write_only))) {
        r->enabled = enabled;
        r->readonly = readonly;
        r->write_only = write_only;
        rebuild(as);
    }
}

void region_ram_offset(struct aspace *as, struct region *r, uint64_t ram_off)
{
    assert(r->ram && ram_off % PAGE_SIZE == 0);
    assert(ram_off <= r->ram->npages * PAGE_SIZE && r->len <= r->ram->npages * PAGE_SIZE - ram_off);
    if (r->ram_off != ram_off) {
        r->ram_off = ram_off;
        if (r->enabled) {
            rebuild(as);
        }
    }
}

bool aspace_check(const struct aspace *as, struct err *e)
{
    for (unsigned i = 0; i < as->nregions; i++) {
        for (unsigned k = i + 1; k < as->nregions; k++) {
            const struct region *a = as->regions[i], *b = as->regions[k];
            if (region_visible(as, a) && region_visible(as, b) && a->prio == b->prio &&
                a->base < region_end(as, b) && b->base < region_end(as, a)) {
                return err_set(
                    e, "%s (0x%llx..0x%llx) and %s (0x%llx..0x%llx) overlap", a->name,
                    (unsigned long long)a->base, (unsigned long long)region_end(as, a) - 1, b->name,
                    (unsigned long long)b->base, (unsigned long long)region_end(as, b) - 1);
            }
        }
    }
    return true;
}

/* The range of `addr`; or NULL, with *end the end of the hole (exclusive; all ones behind the last
 * range). */
static const struct flat_range *find_range(struct aspace *as, uint64_t addr, uint64_t *end)
{
    if (LIKELY(as->last < as->nflat)) {
        const struct flat_range *f = &as->flat[as->last];
        if (LIKELY(addr - f->base < f->end - f->base)) {
            *end = f->end;
            return f;
        }
    }
    unsigned lo = 0, hi = as->nflat; /* the first range that ends beyond addr */
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if (as->flat[mid].end <= addr) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < as->nflat && as->flat[lo].base <= addr) {
        as->last = lo;
        *end = as->flat[lo].end;
        return &as->flat[lo];
    }
    *end = lo < as->nflat ? as->flat[lo].base : UINT64_MAX;
    return NULL;
}

struct aspace_hit aspace_find(struct aspace *as, uint64_t addr)
{
    uint64_t end;
    const struct flat_range *f = find_range(as, addr, &end);
    struct aspace_hit hit = {.region = NULL};
    if (f && f->region) {
        const struct region *r = f->region;
        uint64_t page = addr & PAGE_MASK;
        hit.region = f->region;
        hit.ram = r->ram;
        hit.readonly = r->readonly;
        hit.pfn = r->ram ? (r->ram_off + (addr - r->base)) / PAGE_SIZE : 0;
        hit.whole_page = f->base <= page && f->end - page >= PAGE_SIZE;
    }
    if (f && f->written != f->region) {
        hit.readonly = hit.split = true;
    }
    return hit;
}

/* Sizes a device takes, and the piece of an access of `size` at `off` to do first. */
struct piece {
    uint64_t off;  /* of the device call */
    unsigned call; /* bytes of the device call */
    unsigned skip; /* bytes of the call below the access */
    unsigned take; /* bytes of the access served */
};

static struct piece first_piece(const struct io_ops *ops, uint64_t off, unsigned size)
{
    unsigned min = ops->min_size ? ops->min_size : 1, max = ops->max_size ? ops->max_size : 4;
    unsigned n = 1;
    while (n * 2 <= size && n * 2 <= max && !(off & (n * 2 - 1))) {
        n *= 2;
    }
    if (n >= min) {
        return (struct piece){off, n, 0, n};
    }
    unsigned skip = (unsigned)(off & (min - 1));
    unsigned take = min - skip < size ? min - skip : size;
    return (struct piece){off - skip, min, skip, take};
}

static uint64_t io_read(const struct region *r, uint64_t off, unsigned size)
{
    uint64_t val = 0;
    for (unsigned done = 0; done < size;) {
        struct piece p = first_piece(r->ops, off + done, size - done);
        uint64_t v = r->ops->read ? r->ops->read(r->dev, p.off, p.call) : ~UINT64_C(0);
        v = v >> (8 * p.skip) & bits_mask(8 * p.take);
        val |= v << (8 * done);
        done += p.take;
    }
    return val;
}

static void io_write(const struct region *r, uint64_t off, unsigned size, uint64_t val)
{
    for (unsigned done = 0; done < size;) {
        struct piece p = first_piece(r->ops, off + done, size - done);
        uint64_t v = (val >> (8 * done) & bits_mask(8 * p.take)) << (8 * p.skip);
        if (r->ops->write) {
            r->ops->write(r->dev, p.off, p.call, v);
        }
        done += p.take;
    }
}

/* `size` (1..8) bytes, all of one range and, for RAM, of one page. */
static uint64_t read_in(const struct region *r, uint64_t addr, unsigned size)
{
    uint64_t off = addr - r->base;
    if (!r->ram) {
        return io_read(r, off, size);
    }
    uint8_t bytes[8] = {0};
    off += r->ram_off;
    memcpy(bytes, ram_read_ptr(r->ram, off / PAGE_SIZE) + off % PAGE_SIZE, size);
    return le64_get(bytes);
}

static void write_in(const struct region *r, uint64_t addr, unsigned size, uint64_t val)
{
    uint64_t off = addr - r->base;
    if (!r->ram) {
        io_write(r, off, size, val);
    } else if (!r->readonly) {
        uint8_t bytes[8];
        le64_put(bytes, val);
        ram_write(r->ram, off + r->ram_off, bytes, size);
    }
}

/* How many of `len` bytes at `addr` lie before both `end` and the page's end. */
static uint64_t run_length(uint64_t addr, uint64_t end, uint64_t len)
{
    uint64_t page = PAGE_SIZE - addr % PAGE_SIZE;
    uint64_t n = end > addr && end - addr < page ? end - addr : page; /* never 0 */
    return n < len ? n : len;
}

/* For `-d io`: accesses to registers, and to nobody. */
static inline void log_access(const struct aspace *as, const struct region *r, const char *what,
                              uint64_t addr, unsigned size, uint64_t val)
{
    if (UNLIKELY(log_on(as->log, LOG_io)) && !(r && r->ram)) {
        log_line(as->log, LOG_io, "%s %s %#" PRIx64 " size %u: %#" PRIx64, r ? r->name : "nobody",
                 what, addr, size, val & bits_mask(8 * size));
    }
}

uint64_t aspace_read(struct aspace *as, uint64_t addr, unsigned size)
{
    uint64_t val = 0;
    for (unsigned done = 0; done < size;) {
        uint64_t end, v = ~UINT64_C(0);
        const struct flat_range *f = find_range(as, addr + done, &end);
        unsigned n = (unsigned)run_length(addr + done, end, size - done);
        const struct region *r = f ? f->region : NULL;
        if (r) {
            v = read_in(r, addr + done, n);
        }
        log_access(as, r, "read", addr + done, n, v);
        val |= (v & bits_mask(8 * n)) << (8 * done);
        done += n;
    }
    return val;
}

bool aspace_port(struct aspace *as, uint64_t addr, unsigned size, struct aspace_port *p)
{
    uint64_t end;
    const struct flat_range *f = find_range(as, addr, &end);
    if (!f || f->region->ram || end - addr < size || log_on(as->log, LOG_io)) {
        return false;
    }
    const struct region *r = f->region;
    struct piece whole = first_piece(r->ops, addr - r->base, size);
    *p = (struct aspace_port){r->ops, r->dev, whole.off};
    return whole.call == size && whole.take == size;
}

void aspace_write(struct aspace *as, uint64_t addr, unsigned size, uint64_t val)
{
    for (unsigned done = 0; done < size;) {
        uint64_t end;
        const struct flat_range *f = find_range(as, addr + done, &end);
        unsigned n = (unsigned)run_length(addr + done, end, size - done);
        const struct region *r = f ? f->written : NULL;
        log_access(as, r, "write", addr + done, n, val >> (8 * done));
        if (r) {
            write_in(r, addr + done, n, val >> (8 * done));
        }
        done += n;
    }
}

void aspace_read_buf(struct aspace *as, uint64_t addr, void *buf, uint64_t len)
{
    uint8_t *to = buf;
    while (len) {
        uint64_t end;
        const struct flat_range *f = find_range(as, addr, &end);
        uint64_t n = run_length(addr, end, len);
        const struct region *g = f ? f->region : NULL;
        if (!g) {
            memset(to, 0xff, n);
        } else if (g->ram) {
            ram_read(g->ram, addr - g->base + g->ram_off, to, n);
        } else {
            n = 1;
            *to = (uint8_t)io_read(g, addr - g->base, 1);
        }
        to += n;
        addr += n;
        len -= n;
    }
}

void aspace_write_buf(struct aspace *as, uint64_t addr, const void *buf, uint64_t len)
{
    const uint8_t *from = buf;
    while (len) {
        uint64_t end;
        const struct flat_range *f = find_range(as, addr, &end);
        uint64_t n = run_length(addr, end, len);
        const struct region *g = f ? f->written : NULL;
        if (g && !g->ram) {
            n = 1;
            io_write(g, addr - g->base, 1, *from);
        } else if (g && !g->readonly) {
            ram_write(g->ram, addr - g->base + g->ram_off, from, n);
        }
        from += n;
        addr += n;
        len -= n;
    }
}

void aspace_each(const struct aspace *as,
                 void (*fn)(void *ctx, uint64_t base, uint64_t len, const char *name, bool is_ram,
                            bool readonly),
                 void *ctx)
{
    for (unsigned i = 0; i < as->nflat; i++) {
        const struct flat_range *f = &as->flat[i];
        const struct region *r = f->region ? f->region : f->written;
        fn(ctx, f->base, f->end - f->base, r->name, r->ram != NULL, r->readonly);
    }
}
