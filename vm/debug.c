/*
 * Break- and watchpoints, steps and memory of the debugging API; see debug.h. Registers are in
 * debug_regs.c.
 *
 * What always holds: no device, no state table and no RAM knows of this file; the vCPUs and the
 * block cache hold what is in force as caches do.
 */
#include "vm/debug.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "cpu/debug.h"
#include "cpu/model.h"
#include "util/err.h"
#include "vm/vm.h"

#define POINT_MAX_BYTES (1u << 20)
#define WRITE_CHUNK     32768u /* of one input */

/* Lines of one page that hold physical write watchpoints. */
struct page_lines {
    struct ram *ram;
    uint64_t pfn, lines;
};

struct vm_debug {
    struct doppel_vm *vm;
    struct doppel_point *want; /* in the order of their coming */
    unsigned nwant;
    bool stale; /* `want` or the memory map changed since: */
    struct cpu_debug core;
    struct debug_point *point; /* core.point, ours */
    struct tlb_spy spy;
    gva *linear, *written; /* spy's, ours */
    gpa *physical;
    struct page_lines *lines; /* told to the block cache */
    unsigned nlines;
    bool cuts; /* an execution point was ever in force */

    bool muted; /* the debugger itself writes, or the machine is put back */
    bool stopped;
    struct doppel_hit hit;
    const struct cpu *step;
    uint64_t step_icount, step_rip;
    bool (*collect)(void *ctx, struct doppel_vm *vm, const struct doppel_hit *hit);
    void *collect_ctx;
};

static void *grow(void *p, size_t n, size_t size)
{
    p = realloc(p, n * size);
    if (!p) {
        abort();
    }
    return p;
}

/* --- Hits --- */

static bool met(void *ctx, const struct debug_note *note)
{
    struct vm_debug *d = ctx;
    struct doppel_vm *vm = d->vm;
    struct doppel_hit h = {
        .point = {(enum doppel_point_kind)note->point.kind, note->point.physical, note->point.addr,
                  note->point.len},
        .cpu = note->cpu ? note->cpu->index : vm->s.turn,
        .device = !note->cpu,
        .write = note->write,
        .at = note->at,
        .icount = clock_icount(&vm->clock),
        .vtime = clock_now(&vm->clock),
    };
    h.before = h.icount - (note->point.kind != DEBUG_EXEC && h.icount > 0);
    if (d->collect) {
        if (!d->collect(d->collect_ctx, vm, &h)) {
            return false;
        }
    }
    if (!d->stopped) { /* the first of several at one place */
        d->hit = h;
        d->stopped = true;
    }
    return true;
}

/* Somebody is about to write to RAM in a line that is watched. */
static void written(void *ctx, struct ram *ram, uint64_t pfn, unsigned off, unsigned len)
{
    struct vm_debug *d = ctx;
    if (d->muted) {
        return;
    }
    for (unsigned k = 0; k < d->core.npoints; k++) {
        const struct debug_point *p = &d->core.point[k];
        if (!p->physical || p->kind == DEBUG_EXEC || p->kind == DEBUG_READ) {
            continue;
        }
        for (uint64_t page = p->addr & PAGE_MASK; page < p->addr + p->len; page += PAGE_SIZE) {
            struct aspace_hit hit = aspace_find(&d->vm->mem, page);
            if (hit.ram == ram && hit.pfn == pfn) {
                debug_access(&d->core, d->vm->running, true, page + off, len, true);
                return; /* it compares with every point */
            }
        }
    }
}

bool debug_stops(struct doppel_vm *vm)
{
    struct vm_debug *d = vm->debug;
    if (UNLIKELY(d->core.nnotes)) { /* a device, between slices */
        debug_commit(&d->core, NULL);
    }
    if (!d->stopped && d->step && d->step->s.icount != d->step_icount) {
        d->hit = (struct doppel_hit){
            .point = {DOPPEL_POINT_STEP, false, d->step_rip, 1},
            .cpu = d->step->index,
            .at = d->step_rip,
            .icount = vm->clock.s.icount,
            .vtime = vm->clock.s.now,
            .before = vm->clock.s.icount - 1,
        };
        d->stopped = true;
    }
    return d->stopped;
}

/* --- What is in force --- */

static void drop_lines(struct vm_debug *d)
{
    for (unsigned k = 0; k < d->nlines; k++) {
        block_cache_spy(d->vm->blocks, d->lines[k].ram, d->lines[k].pfn, 0);
    }
    d->nlines = 0;
}

/* Lines of pages of RAM that a physical watchpoint covers. Only RAM that the block cache watches
 * has writers that tell. */
static void put_lines(struct vm_debug *d, const struct debug_point *p)
{
    for (gpa page = p->addr & PAGE_MASK; page < p->addr + p->len; page += PAGE_SIZE) {
        struct aspace_hit hit = aspace_find(&d->vm->mem, page);
        if (!hit.ram || !hit.ram->code_hit) {
            continue;
        }
        uint64_t first = p->addr > page ? p->addr - page : 0, last = p->addr + p->len - 1 - page;
        last = last < PAGE_SIZE ? last : PAGE_SIZE - 1;
        uint64_t lines = UINT64_MAX << (first >> 6) & UINT64_MAX >> (63 - (last >> 6));
        unsigned k = 0;
        while (k < d->nlines && (d->lines[k].ram != hit.ram || d->lines[k].pfn != hit.pfn)) {
            k++;
        }
        if (k == d->nlines) {
            d->lines = grow(d->lines, ++d->nlines, sizeof *d->lines);
            d->lines[k] = (struct page_lines){hit.ram, hit.pfn, 0};
        }
        d->lines[k].lines |= lines;
        block_cache_spy(d->vm->blocks, hit.ram, hit.pfn, d->lines[k].lines);
    }
}

/* The pages of watchpoints that the soft TLBs are to keep out of L1. Those of writes to physical
 * RAM need not be: such pages look as if they had code. But others may be there. */
static bool put_pages(struct vm_debug *d)
{
    unsigned nl = 0, nw = 0, np = 0;
    for (unsigned k = 0; k < d->core.npoints; k++) {
        const struct debug_point *p = &d->point[k];
        if (p->kind == DEBUG_EXEC) {
            continue;
        }
        gva **list = p->physical ? &d->physical : p->kind == DEBUG_WRITE ? &d->written : &d->linear;
        unsigned *n = p->physical ? &np : p->kind == DEBUG_WRITE ? &nw : &nl;
        for (uint64_t page = p->addr & PAGE_MASK; page < p->addr + p->len; page += PAGE_SIZE) {
            *list = grow(*list, *n + 1, sizeof **list);
            (*list)[(*n)++] = page;
        }
    }
    d->spy = (struct tlb_spy){d->linear, d->written, d->physical, nl, nw, np};
    return nl || nw || np;
}

static void put_points(struct vm_debug *d)
{
    struct cpu_debug *c = &d->core;
    memset(c->exec, 0, sizeof c->exec);
    c->exec_physical = false;
    drop_lines(d);
    for (unsigned k = 0; k < c->npoints; k++) {
        const struct debug_point *p = &d->point[k];
        if (p->kind == DEBUG_EXEC) {
            unsigned off = (unsigned)(p->addr & ~PAGE_MASK);
            c->exec[off / 64] |= UINT64_C(1) << off % 64;
            c->exec_physical |= p->physical;
            block_cache_cut(d->vm->blocks, off);
            d->cuts = true;
        } else if (p->physical && p->kind != DEBUG_READ) {
            put_lines(d, p);
        }
    }
}

/* Are the points in force the wanted ones? */
static bool as_wanted(const struct vm_debug *d)
{
    if (d->core.npoints != d->nwant) {
        return false;
    }
    for (unsigned k = 0; k < d->nwant; k++) {
        const struct doppel_point *w = &d->want[k];
        const struct debug_point *p = &d->point[k];
        if ((unsigned)p->kind != (unsigned)w->kind || p->physical != w->physical ||
            p->addr != w->address || p->len != w->length) {
            return false;
        }
    }
    return true;
}

static void put_in_force(struct doppel_vm *vm)
{
    struct vm_debug *d = vm->debug;
    d->stale = false;
    if (as_wanted(d) && !d->nlines) {
        return;
    }
    bool had_pages = d->spy.nlinear || d->spy.nwritten || d->spy.nphysical;
    d->point = grow(d->point, d->nwant + 1, sizeof *d->point);
    for (unsigned k = 0; k < d->nwant; k++) {
        const struct doppel_point *w = &d->want[k];
        d->point[k] =
            (struct debug_point){(enum debug_kind)w->kind, w->physical, w->address, w->length};
    }
    d->core.point = d->point;
    d->core.npoints = d->nwant;
    put_points(d);
    bool pages = put_pages(d);
    for (unsigned c = 0; c < vm->ncpus; c++) {
        vm->cpu[c]->debug = d->nwant ? &d->core : NULL;
        if (pages || had_pages) {
            tlb_set_spy(&vm->cpu[c]->tlb, pages ? &d->spy : NULL);
        }
    }
}

uint64_t debug_slice(struct doppel_vm *vm, const struct cpu *cpu, uint64_t n)
{
    if (UNLIKELY(vm->debug->stale)) { /* the memory map changed */
        put_in_force(vm);
    }
    return vm->debug->step == cpu ? 1 : n;
}

void debug_remapped(struct doppel_vm *vm)
{
    if (vm->debug) {
        vm->debug->stale = true;
    }
}

/* --- The machine runs --- */

static struct vm_debug *debug_of(struct doppel_vm *vm)
{
    if (!vm->debug) {
        struct vm_debug *d = calloc(1, sizeof *d);
        if (!d) {
            abort();
        }
        d->vm = vm;
        d->core.met = met;
        d->core.ctx = d;
        d->core.arrived_icount = UINT64_MAX;
        block_cache_on_spied(vm->blocks, written, d);
        vm->debug = d;
    }
    return vm->debug;
}

void debug_begin(struct doppel_vm *vm, const struct cpu *step)
{
    struct vm_debug *d = debug_of(vm);
    struct cpu_debug *c = &d->core;
    d->stopped = false;
    d->step = step;
    if (c->arrived_icount != UINT64_MAX && vm->cpu[c->arrived_cpu]->s.icount != c->arrived_icount) {
        c->arrived_icount = UINT64_MAX; /* history may be run through again */
    }
    if (step) {
        d->step_icount = step->s.icount;
        d->step_rip = step->s.rip;
        debug_arrived(c, step);
    }
    if (d->stale) {
        put_in_force(vm);
    }
}

void debug_free(struct doppel_vm *vm)
{
    struct vm_debug *d = vm->debug;
    if (d) {
        free(d->want);
        free(d->point);
        free(d->linear);
        free(d->written);
        free(d->physical);
        free(d->lines);
        free(d);
    }
    vm->debug = NULL;
}

/* --- Points --- */

static bool bad(struct doppel_error *e, const char *text)
{
    if (e) {
        snprintf(e->msg, sizeof e->msg, "%s", text);
        e->usage = false;
    }
    return false;
}

bool doppel_break_add(struct doppel_vm *vm, const struct doppel_point *p, struct doppel_error *e)
{
    if (p->kind > DOPPEL_POINT_ACCESS) {
        return bad(e, "no such kind of break- or watchpoint");
    }
    if (p->kind != DOPPEL_POINT_EXEC &&
        (p->length == 0 || p->length > POINT_MAX_BYTES || p->address + p->length < p->address)) {
        return bad(e, "a watchpoint has 1 byte to 1 MiB");
    }
    struct vm_debug *d = debug_of(vm);
    d->want = grow(d->want, d->nwant + 1, sizeof *d->want);
    d->want[d->nwant] = *p;
    if (p->kind == DOPPEL_POINT_EXEC) {
        d->want[d->nwant].length = 1;
    }
    d->nwant++;
    d->stale = true;
    return true;
}

bool doppel_break_remove(struct doppel_vm *vm, const struct doppel_point *p)
{
    struct vm_debug *d = vm->debug;
    for (unsigned k = 0; d && k < d->nwant; k++) {
        const struct doppel_point *w = &d->want[k];
        if (w->kind == p->kind && w->physical == p->physical && w->address == p->address &&
            (w->kind == DOPPEL_POINT_EXEC || w->length == p->length)) {
            memmove(&d->want[k], &d->want[k + 1], (d->nwant - k - 1) * sizeof *w);
            d->nwant--;
            d->stale = true;
            return true;
        }
    }
    return false;
}

void doppel_break_clear(struct doppel_vm *vm)
{
    struct vm_debug *d = vm->debug;
    if (!d) {
        return;
    }
    d->nwant = 0;
    put_in_force(vm);
    if (d->cuts) {
        block_cache_uncut(vm->blocks);
        d->cuts = false;
    }
}

const struct doppel_hit *doppel_last_hit(const struct doppel_vm *vm)
{
    return vm->debug && vm->debug->stopped ? &vm->debug->hit : NULL;
}

void debug_collect(struct doppel_vm *vm,
                   bool (*fn)(void *ctx, struct doppel_vm *vm, const struct doppel_hit *hit),
                   void *ctx)
{
    struct vm_debug *d = debug_of(vm);
    d->collect = fn;
    d->collect_ctx = ctx;
}

const struct doppel_point *debug_points(const struct doppel_vm *vm, unsigned *n)
{
    *n = vm->debug ? vm->debug->nwant : 0;
    return vm->debug ? vm->debug->want : NULL;
}

void debug_copy(struct doppel_vm *to, const struct doppel_vm *from)
{
    const struct vm_debug *f = from->debug;
    for (unsigned k = 0; f && k < f->nwant; k++) {
        doppel_break_add(to, &f->want[k], NULL);
    }
}

void debug_mute(struct doppel_vm *vm, bool muted)
{
    struct vm_debug *d = vm->debug;
    if (!d) {
        return;
    }
    d->muted = muted;
    d->core.nnotes = 0;
    for (unsigned i = 0; i < vm->ncpus; i++) {
        vm->cpu[i]->noted = false;
    }
}

void debug_arrive(struct doppel_vm *vm, const struct doppel_hit *hit)
{
    struct vm_debug *d = debug_of(vm);
    d->stopped = hit != NULL;
    d->core.arrived_icount = UINT64_MAX;
    if (hit) {
        d->hit = *hit;
        if (hit->point.kind == DOPPEL_POINT_EXEC) {
            debug_arrived(&d->core, vm->cpu[hit->cpu]);
        }
    }
}

/* --- Memory --- */

/* Where a byte lies in RAM or ROM. */
static bool find_byte(struct doppel_vm *vm, unsigned cpu, uint64_t addr, struct aspace_hit *hit)
{
    gpa pa = addr;
    if (cpu != DOPPEL_PHYSICAL) {
        const struct cpu *c = vm->cpu[cpu];
        if (cpu_lma(c) ? bits_sext(addr, 48) != addr : addr >> 32 != 0) {
            return false;
        }
        struct walk_result r = walk_page(&c->walk, c->mem, addr, ACC_READ, false, true, true);
        if (!r.ok) {
            return false;
        }
        pa = r.addr;
    }
    *hit = aspace_find(&vm->mem, pa);
    return hit->ram != NULL;
}

static size_t in_page(uint64_t addr, size_t len)
{
    size_t room = (size_t)(PAGE_SIZE - addr % PAGE_SIZE);
    return len < room ? len : room;
}

size_t doppel_memory_read(struct doppel_vm *vm, unsigned cpu, uint64_t address, void *buf,
                          size_t len)
{
    uint8_t *to = buf;
    size_t done = 0;
    while (done < len && (cpu < vm->ncpus || cpu == DOPPEL_PHYSICAL)) {
        struct aspace_hit hit;
        size_t n = in_page(address + done, len - done);
        if (!find_byte(vm, cpu, address + done, &hit)) {
            break;
        }
        memcpy(to + done, ram_read_ptr(hit.ram, hit.pfn) + (address + done) % PAGE_SIZE, n);
        done += n;
    }
    return done;
}

/* What the gate delivers: the operation, the vCPU or 0xff, the address, bytes. */
enum { WRITE_HEAD = 10 };

static void write_memory(struct doppel_vm *vm, const uint8_t *payload, uint32_t len)
{
    if (len <= WRITE_HEAD) {
        return;
    }
    unsigned cpu = payload[1] == 0xff ? DOPPEL_PHYSICAL : payload[1];
    uint64_t addr = le64_get(payload + 2);
    const uint8_t *from = payload + WRITE_HEAD;
    size_t left = len - WRITE_HEAD;
    struct aspace_hit hit;
    if (vm->debug) {
        vm->debug->muted = true;
    }
    while (left && (cpu < vm->ncpus || cpu == DOPPEL_PHYSICAL) && find_byte(vm, cpu, addr, &hit)) {
        size_t n = in_page(addr, left);
        ram_write(hit.ram, hit.pfn * PAGE_SIZE + addr % PAGE_SIZE, from, n);
        addr += n;
        from += n;
        left -= n;
    }
    if (vm->debug) {
        vm->debug->muted = false;
    }
}

void debug_operate(struct doppel_vm *vm, const uint8_t *payload, uint32_t len)
{
    switch (len ? payload[0] : 0) {
    case VM_OP_WRITE_MEMORY:
        write_memory(vm, payload, len);
        break;
    case VM_OP_SET_REGISTER:
        debug_set_register(vm, payload, len);
        break;
    default:
        break;
    }
}

bool doppel_memory_write(struct doppel_vm *vm, unsigned cpu, uint64_t address, const void *buf,
                         size_t len)
{
    struct aspace_hit hit;
    if ((cpu >= vm->ncpus && cpu != DOPPEL_PHYSICAL) || vm->gate.feed) {
        return false;
    }
    for (size_t at = 0; at < len; at += in_page(address + at, len - at)) {
        if (!find_byte(vm, cpu, address + at, &hit)) {
            return false;
        }
    }
    const uint8_t *from = buf;
    uint8_t payload[WRITE_HEAD + WRITE_CHUNK];
    while (len) {
        size_t n = len < WRITE_CHUNK ? len : WRITE_CHUNK;
        payload[0] = VM_OP_WRITE_MEMORY;
        payload[1] = cpu == DOPPEL_PHYSICAL ? 0xff : (uint8_t)cpu;
        le64_put(payload + 2, address);
        memcpy(payload + WRITE_HEAD, from, n);
        gate_post(&vm->gate, vm->op_source, payload, WRITE_HEAD + (uint32_t)n);
        address += n;
        from += n;
        len -= n;
    }
    gate_deliver(&vm->gate, vm->clock.s.now);
    return true;
}

/* --- The machine --- */

void doppel_pause(struct doppel_vm *vm, bool on)
{
    vm->paused = on;
}

bool doppel_paused(const struct doppel_vm *vm)
{
    return vm->paused;
}

unsigned doppel_cpu_count(const struct doppel_vm *vm)
{
    return vm->ncpus;
}

unsigned doppel_cpu_current(const struct doppel_vm *vm)
{
    return vm->s.turn;
}

bool doppel_cpu_has(const struct doppel_vm *vm, const char *feature)
{
    enum feature f = feature_find(feature, strlen(feature));
    return f != FEAT_COUNT && cpu_has(vm->cpu[0], f);
}

const char *doppel_cpu_activity(const struct doppel_vm *vm, unsigned cpu)
{
    static const char *const what[] = {"running", "halted", "waiting for SIPI", "shut down",
                                       "in MWAIT"};
    unsigned a = cpu < vm->ncpus ? vm->cpu[cpu]->s.activity : ARRAY_LEN(what);
    return a < ARRAY_LEN(what) ? what[a] : "?";
}
