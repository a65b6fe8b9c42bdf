/*
 * A debugger's break- and watchpoints, as a vCPU meets them; see debug.h.
 */
#include "cpu/debug.h"

#include "cpu/block.h"

void debug_arrived(struct cpu_debug *d, const struct cpu *cpu)
{
    d->arrived_cpu = cpu->index;
    d->arrived_icount = cpu->s.icount;
}

/* Where the instruction at lin lies, by the page tables; nothing is changed. False: nowhere. */
static bool fetch_address(const struct cpu *cpu, uint64_t lin, gpa *pa)
{
    if (!cpu->walk.paging) {
        *pa = lin & cpu->walk.a20_mask;
        return true;
    }
    if ((cpu->mode & MODE_C64) && bits_sext(lin, 48) != lin) {
        return false;
    }
    struct walk_result r =
        walk_page(&cpu->walk, cpu->mem, lin, ACC_FETCH, cpu->s.cpl == 3, false, true);
    *pa = r.addr;
    return r.ok;
}

bool debug_here(struct cpu *cpu)
{
    struct cpu_debug *d = cpu->debug;
    uint64_t lin = block_lin(cpu);
    unsigned off = (unsigned)(lin & ~PAGE_MASK);
    if (LIKELY(!(d->exec[off / 64] >> off % 64 & 1)) || (cpu->s.rflags & FL_RF)) {
        return false;
    }
    uint64_t icount = cpu->s.icount + cpu_elapsed(cpu); /* s.icount: at the slice's begin */
    if (d->arrived_cpu == cpu->index && d->arrived_icount == icount) {
        return false;
    }
    gpa pa;
    bool have_pa = d->exec_physical && fetch_address(cpu, lin, &pa), any = false, stop = false;
    for (unsigned k = 0; k < d->npoints; k++) {
        const struct debug_point *p = &d->point[k];
        if (p->kind == DEBUG_EXEC && (p->physical ? have_pa && p->addr == pa : p->addr == lin)) {
            struct debug_note note = {.point = *p, .cpu = cpu, .at = p->addr};
            stop |= d->met(d->ctx, &note);
            any = true;
        }
    }
    if (any) {
        d->arrived_cpu = cpu->index;
        d->arrived_icount = icount;
    }
    cpu->stop |= stop;
    return stop;
}

static bool overlaps(const struct debug_point *p, uint64_t addr, unsigned len)
{
    return addr - p->addr < p->len || p->addr - addr < len;
}

bool debug_watches(const struct cpu_debug *d, uint64_t la, gpa pa, unsigned len)
{
    for (unsigned k = 0; k < d->npoints; k++) {
        const struct debug_point *p = &d->point[k];
        if (p->kind != DEBUG_EXEC && overlaps(p, p->physical ? pa : la, len)) {
            return true;
        }
    }
    return false;
}

void debug_access(struct cpu_debug *d, struct cpu *cpu, bool physical, uint64_t addr, unsigned len,
                  bool write)
{
    for (unsigned k = 0; k < d->npoints; k++) {
        const struct debug_point *p = &d->point[k];
        bool kind = p->kind == DEBUG_ACCESS || p->kind == (write ? DEBUG_WRITE : DEBUG_READ);
        if (!kind || p->physical != physical || !overlaps(p, addr, len)) {
            continue;
        }
        if (d->nnotes < DEBUG_NOTES_MAX) {
            uint64_t at = addr - p->addr < p->len ? addr : p->addr;
            d->note[d->nnotes++] = (struct debug_note){*p, cpu, at, write};
        }
        if (cpu) {
            cpu->noted = true;
            cpu_kick(cpu);
        }
    }
}

void debug_fault(struct cpu *cpu)
{
    struct cpu_debug *d = cpu->debug;
    unsigned n = 0;
    for (unsigned k = 0; k < d->nnotes; k++) {
        if (d->note[k].write) {
            d->note[n++] = d->note[k];
        }
    }
    d->nnotes = n;
    cpu->noted = n != 0;
}

bool debug_commit(struct cpu_debug *d, struct cpu *cpu)
{
    bool stop = false;
    for (unsigned k = 0; k < d->nnotes; k++) {
        stop |= d->met(d->ctx, &d->note[k]);
    }
    d->nnotes = 0;
    if (cpu) {
        cpu->noted = false;
        cpu->stop |= stop;
    }
    return stop;
}
