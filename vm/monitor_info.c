/*
 * info and x: what a machine looks like, from its state tables where there is no better form.
 */
#include "vm/monitor_info.h"

#include "vm/monitor_history.h"
#include "vm/nets.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "cpu/engine.h"
#include "util/suggest.h"
#include "vm/drives.h"
#include "vm/record.h"
#include "vm/vm.h"

/* --- info --- */

static void info_cpu(struct cpu *cpu, struct mon_out *o)
{
    static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static const char *const segs[] = {"ES ", "CS ", "SS ", "DS ", "FS ", "GS ", "LDT", "TR "};
    const struct cpu_state *s = &cpu->s;
    cpu_sync(cpu);
    mon_printf(o, "CPU#%u\n", cpu->index);
    for (unsigned i = 0; i < 16; i++) {
        mon_printf(o, "%s=%016" PRIx64 "%s", names[i], s->gpr[i], i % 4 == 3 ? "\n" : " ");
    }
    mon_printf(o, "RIP=%016" PRIx64 " RFL=%08" PRIx64 " CPL=%u activity=%u a20=%d smm=%d\n", s->rip,
               s->rflags, s->cpl, s->activity, !s->a20_masked, s->smm);
    for (unsigned i = 0; i < 8; i++) {
        const struct seg *g = &s->seg[i];
        mon_printf(o, "%s=%04x %016" PRIx64 " %08" PRIx32 " %04x\n", segs[i], g->sel, g->base,
                   g->limit, g->attr);
    }
    mon_printf(o, "GDT=%016" PRIx64 " %04x IDT=%016" PRIx64 " %04x\n", s->gdt_base, s->gdt_limit,
               s->idt_base, s->idt_limit);
    mon_printf(o, "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64 "\n",
               s->cr0, s->cr2, s->cr3, s->cr4);
    mon_printf(o, "DR6=%08" PRIx64 " DR7=%08" PRIx64 " EFER=%08" PRIx64 " XCR0=%" PRIx64 "\n",
               s->dr[6], s->dr[7], s->msr[0].efer, s->xcr0);
    mon_printf(o, "FCW=%04x FSW=%04x MXCSR=%08" PRIx32 "\n", s->fpu[0].cw, s->fpu[0].sw, s->mxcsr);
}

static void info_registers(struct doppel_vm *vm, struct mon_out *o)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        info_cpu(vm->cpu[i], o);
    }
}

static void info_cpus(struct doppel_vm *vm, struct mon_out *o)
{
    static const char *const what[] = {"running", "halted", "waiting for SIPI", "shut down",
                                       "in MWAIT"};
    for (unsigned i = 0; i < vm->ncpus; i++) {
        const struct cpu_state *s = &vm->cpu[i]->s;
        mon_printf(o, "%cCPU#%u: %s, rip=%016" PRIx64 ", %" PRIu64 " instructions\n",
                   vm->s.turn == i ? '*' : ' ', i, s->activity < 5 ? what[s->activity] : "?",
                   s->rip, s->icount);
    }
}

static void info_mem(struct doppel_vm *vm, struct mon_out *o)
{
    struct block_stats b = block_cache_stats(vm->blocks);
    mon_printf(o, "RAM: %" PRIu64 " MiB, %" PRIu64 " KiB of host memory in use\n",
               vm->opt.ram_bytes >> 20, ram_host_bytes(&vm->ram) >> 10);
    mon_printf(o,
               "blocks: %" PRIu64 " decoded, %" PRIu64 " revived, %" PRIu64 " invalidated, %" PRIu64
               " trims, %" PRIu64 " flushes, %zu KiB\n",
               b.decoded, b.revived, b.invalidated, b.trims, b.flushes, b.bytes >> 10);
}

static void jit_exit(void *ctx, const char *what, const char *name, uint64_t n)
{
    mon_printf(ctx, "%12" PRIu64 " %s %s\n", n, what, name);
}

/* Host instructions by class for each of `insns` guest instructions. */
static void jit_classes(struct mon_out *o, const char *what, const uint64_t *emitted,
                        uint64_t insns)
{
    static const char *const names[] = {
#define X(name, help) #name,
        EMIT_CLASSES(X)
#undef X
    };
    double n = insns ? (double)insns : 1, sum = 0;
    mon_printf(o, "host instructions per guest instruction, %s:", what);
    for (unsigned k = 0; k < EMIT_cold; k++) {
        mon_printf(o, " %s %.3f", names[k], (double)emitted[k] / n);
        sum += (double)emitted[k] / n;
    }
    mon_printf(o, " sum %.3f (%s %.3f)\n", sum, names[EMIT_cold], (double)emitted[EMIT_cold] / n);
}

static void jit_counted(struct doppel_vm *vm, struct mon_out *o)
{
    uint64_t entered, retired = 0;
    struct jit_running r = engine_running(vm->engine, &entered);
    if (!r.segments) {
        return; /* without count=on */
    }
    for (unsigned i = 0; i < vm->ncpus; i++) {
        retired += vm->cpu[i]->s.icount;
    }
    jit_classes(o, "as run", r.emitted, r.insns);
    double all = (double)(retired ? retired : 1), solo = (double)r.interp;
    mon_printf(o,
               "tiers: interpreted %.2f %%, blocks %.2f %%, superblocks %.2f %% of all retired\n"
               "%" PRIu64 " guest instructions ran in code (%.2f %% of all retired; %" PRIu64
               " of them by the interpreter)\n"
               "%" PRIu64 " blocks ran, %.2f %% of them reached within code\n",
               100.0 * (all - (double)r.insns + solo) / all,
               100.0 * ((double)r.insns - solo - (double)r.super) / all,
               100.0 * (double)r.super / all, r.insns, 100.0 * (double)r.insns / all, r.interp,
               r.segments, 100.0 * (1 - (double)entered / (double)r.segments));
}

static void info_jit(struct doppel_vm *vm, struct mon_out *o)
{
    struct jit_stats s = engine_stats(vm->engine);
    if (!engine_has_jit(vm->engine)) {
        mon_printf(o, "code is interpreted\n");
        return;
    }
    mon_printf(o,
               "%" PRIu64 " blocks, %" PRIu64 " bytes of code, %" PRIu64
               " sites; since start: %" PRIu64 " instructions compiled (%" PRIu64
               " left to the interpreter), %" PRIu64 " links, %" PRIu64 " unlinked, %" PRIu64
               " flushes, %" PRIu64 " regions with %" PRIu64 " blocks evicted\n",
               s.blocks, s.code_bytes, s.sites, s.insns, s.interp_insns, s.links, s.unlinks,
               s.resets, s.evictions, s.evicted);
    size_t decoded = block_cache_stats(vm->blocks).bytes;
    mon_printf(o, "host memory: code, sites and tables %" PRIu64 " KiB, decoded blocks %zu KiB\n",
               s.memory >> 10, decoded >> 10);
    jit_classes(o, "as compiled", s.emitted, s.insns);
    jit_counted(vm, o);
    uint64_t stretches, insns;
    engine_compared(vm->engine, &stretches, &insns);
    if (stretches) {
        mon_printf(o,
                   "compared with the interpreter: %" PRIu64 " stretches of code, %" PRIu64
                   " instructions\n",
                   stretches, insns);
    }
    engine_each_exit(vm->engine, jit_exit, o);
}

static void tlb_row(void *ctx, gva la, gpa pa, unsigned page_bits, unsigned pcid, bool user,
                    bool write, bool exec, bool global)
{
    mon_printf(ctx, "%016" PRIx64 " -> %012" PRIx64 " %5u KiB pcid %03x %c%c%c%c\n", la, pa,
               1u << (page_bits - 10), pcid, user ? 'u' : '-', write ? 'w' : '-', exec ? 'x' : '-',
               global ? 'g' : '-');
}

static void info_tlb(struct doppel_vm *vm, struct mon_out *o)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        const struct tlb *t = &vm->cpu[i]->tlb;
        mon_printf(o, "CPU#%u: %" PRIu64 " fills, %" PRIu64 " walks, %" PRIu64 " flushes\n", i,
                   t->fills, t->walks, t->flushes);
        tlb_each(t, tlb_row, o);
    }
}

static void state_row(void *ctx, const char *path, enum st_kind kind, uint64_t val)
{
    if (kind == ST_TIMER && val == VTIME_NEVER) {
        mon_printf(ctx, "  %-24s never\n", path);
    } else {
        mon_printf(ctx, "  %-24s %#" PRIx64 "\n", path, val);
    }
}

static void show_state(struct dev *d, struct mon_out *o)
{
    mon_printf(o, "%s (%s)\n", d->name, d->cls->help);
    if (d->cls->state) {
        st_each(d->cls->state, dev_state(d), state_row, o);
    }
}

/* Devices whose name begins so. */
static void show_named(struct doppel_vm *vm, const char *prefix, struct mon_out *o)
{
    for (unsigned i = 0; i < vm->env.ndevs; i++) {
        if (strncmp(vm->env.devs[i]->name, prefix, strlen(prefix)) == 0) {
            show_state(vm->env.devs[i], o);
        }
    }
}

static void info_pic(struct doppel_vm *vm, struct mon_out *o)
{
    show_named(vm, "pic", o);
    show_named(vm, "ioapic", o);
    show_named(vm, "lapic", o);
}

static void info_pci(struct doppel_vm *vm, struct mon_out *o)
{
    if (vm->board->info_pci) {
        vm->board->info_pci(vm, o);
    } else {
        mon_printf(o, "this board has no PCI bus\n");
    }
}

static void mtree_row(void *ctx, uint64_t base, uint64_t len, const char *name, bool is_ram,
                      bool readonly)
{
    mon_printf(ctx, "  %012" PRIx64 "-%012" PRIx64 " %s%s\n", base, base + len - 1, name,
               is_ram ? (readonly ? " (rom)" : " (ram)") : "");
}

static void info_mtree(struct doppel_vm *vm, struct mon_out *o)
{
    mon_printf(o, "memory\n");
    aspace_each(&vm->mem, mtree_row, o);
    mon_printf(o, "ports\n");
    aspace_each(&vm->io, mtree_row, o);
}

static void info_devices(struct doppel_vm *vm, struct mon_out *o)
{
    for (unsigned i = 0; i < vm->env.ndevs; i++) {
        const struct dev *d = vm->env.devs[i];
        mon_printf(o, "%-12s %-12s %s\n", d->name, d->cls->name, d->cls->help);
    }
}

static void info_status(struct doppel_vm *vm, struct mon_out *o)
{
    mon_printf(o, "%s: board %s, %s, %" PRIu64 " instructions, %" PRIu64 " ns\n", vm->opt.name,
               vm->board->name,
               vm->s.off      ? "off"
               : vm->paused   ? "paused"
               : vm->s.asleep ? "suspended"
                              : "running",
               doppel_icount(vm), doppel_vtime(vm));
}

static const struct {
    const char *name;
    void (*fn)(struct doppel_vm *vm, struct mon_out *o);
} infos[] = {
    {"status", info_status},     {"registers", info_registers},
    {"cpus", info_cpus},         {"mem", info_mem},
    {"tlb", info_tlb},           {"pic", info_pic},
    {"network", nets_info},      {"pci", info_pci},
    {"snapshots", snapset_info}, {"mtree", info_mtree},
    {"devices", info_devices},   {"block", drives_info},
    {"jit", info_jit},           {"history", mon_info_history},
    {"record", record_info},
};

static const char *info_name(void *ctx, unsigned i)
{
    (void)ctx;
    return i < ARRAY_LEN(infos) ? infos[i].name : NULL;
}

void mon_info(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    for (unsigned i = 0; i < ARRAY_LEN(infos); i++) {
        if (strcmp(args, infos[i].name) == 0) {
            infos[i].fn(vm, o);
            return;
        }
    }
    struct dev *d = dev_find(&vm->env, args); /* "info com1": one device's state */
    if (d) {
        show_state(d, o);
        return;
    }
    mon_printf(o, "info: no \"%s\"; the nearest is \"%s\", and any device's name works\n", args,
               suggest_nearest(args, info_name, NULL));
}

static const char *device_name(void *ctx, unsigned i)
{
    const struct dev_env *env = &((struct doppel_vm *)ctx)->env;
    return i < env->ndevs ? env->devs[i]->name : NULL;
}

void mon_device_table(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct dev *d = dev_find(&vm->env, args);
    if (d) {
        show_state(d, o);
    } else if (!*args) {
        info_devices(vm, o);
    } else {
        mon_printf(o, "device_table: no device \"%s\"; the nearest is \"%s\"\n", args,
                   suggest_nearest(args, device_name, vm));
    }
}

/* --- x, xp --- */

struct dump {
    uint64_t count, addr;
    unsigned size;
    char format;
};

static bool parse_dump(const char *args, struct dump *d)
{
    *d = (struct dump){.count = 1, .size = 4, .format = 'x'};
    char *end;
    if (*args == '/') {
        args++;
        if (*args >= '0' && *args <= '9') {
            d->count = strtoull(args, &end, 10);
            args = end;
        }
        for (; *args && *args != ' '; args++) {
            switch (*args) {
            case 'b':
                d->size = 1;
                break;
            case 'h':
                d->size = 2;
                break;
            case 'w':
                d->size = 4;
                break;
            case 'g':
                d->size = 8;
                break;
            case 'x':
            case 'd':
            case 'u':
                d->format = *args;
                break;
            default:
                return false;
            }
        }
    }
    args += strspn(args, " ");
    d->addr = strtoull(args, &end, 0);
    return end != args && !end[strspn(end, " ")] && d->count >= 1 && d->count <= 4096;
}

/* A byte of RAM or ROM; false: registers or nobody. */
static bool peek(struct doppel_vm *vm, gpa addr, uint8_t *out)
{
    struct aspace_hit hit = aspace_find(&vm->mem, addr);
    if (hit.ram) {
        *out = ram_read_ptr(hit.ram, hit.pfn)[addr & (PAGE_SIZE - 1)];
    }
    return hit.ram != NULL;
}

static bool peek_linear(struct doppel_vm *vm, gva la, uint8_t *out)
{
    const struct cpu *cpu = vm->cpu[0];
    struct walk_result r = walk_page(&cpu->walk, cpu->mem, la, ACC_READ, false, true, true);
    return r.ok && peek(vm, r.addr, out);
}

static void dump(struct doppel_vm *vm, const char *args, struct mon_out *o,
                 bool (*byte)(struct doppel_vm *, uint64_t, uint8_t *))
{
    struct dump d;
    if (!parse_dump(args, &d)) {
        mon_printf(o, "want /COUNT FORMAT SIZE ADDRESS, for example: x/16xw 0x7c00\n");
        return;
    }
    unsigned per_row = 16 / d.size;
    for (uint64_t i = 0; i < d.count; i++, d.addr += d.size) {
        uint8_t b[8] = {0};
        if (i % per_row == 0) {
            mon_printf(o, "%s%016" PRIx64 ":", i ? "\n" : "", d.addr);
        }
        bool ok = true;
        for (unsigned k = 0; k < d.size; k++) {
            ok = byte(vm, d.addr + k, &b[k]) && ok;
        }
        uint64_t v = le64_get(b);
        if (!ok) {
            mon_printf(o, " --");
        } else if (d.format == 'x') {
            mon_printf(o, " 0x%0*" PRIx64, (int)(d.size * 2), v);
        } else if (d.format == 'd') {
            mon_printf(o, " %" PRId64, (int64_t)bits_sext(v, d.size * 8));
        } else {
            mon_printf(o, " %" PRIu64, v);
        }
    }
    mon_printf(o, "\n");
}

void mon_x(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    dump(vm, args, o, peek_linear);
}

void mon_xp(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    dump(vm, args, o, peek);
}
