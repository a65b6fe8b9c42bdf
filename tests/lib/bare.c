/* A bare machine for tests; see bare.h. */
#include "tests/lib/bare.h"

#include <stdio.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/model.h"

static void die(const char *what)
{
    fprintf(stderr, "bare machine: %s\n", what);
    exit(2);
}

static void mem_changed(void *ctx)
{
    struct bare *b = ctx;
    if (b->cpu) {
        tlb_flush_all(&b->cpu->tlb);
        block_cache_remapped(b->blocks);
    }
}

static void kick(void *ctx)
{
    struct cpu *cpu = ctx;
    cpu->stop = true;
    cpu->exit_req = 1;
}

struct bare *bare_new(const char *model, uint64_t bytes)
{
    struct bare *b = calloc(1, sizeof *b);
    struct err e = {""};
    if (!b) {
        die("out of memory");
    }
    clock_init(&b->clock);
    gate_init(&b->gate);
    aspace_init(&b->mem, UINT64_C(1) << 46);
    aspace_init(&b->io, 0x10000);
    if (!ram_init(&b->ram, bytes)) {
        die("no memory for RAM");
    }
    b->env = (struct dev_env){
        .clock = &b->clock, .gate = &b->gate, .log = &b->log, .mem = &b->mem, .io = &b->io};
    aspace_map_ram(&b->mem, 0, bytes, &b->ram, 0, false, "ram", 0);
    struct dev *d = dev_new(&b->env, &cpu_class, "cpu0", &e);
    if (!d || !dev_set(d, "model", model, &e) || !dev_init(d, &e)) {
        die(e.msg);
    }
    b->cpu = (struct cpu *)d;
    b->blocks = block_cache_new();
    if (!b->blocks || !block_cache_add_cpu(b->blocks, b->cpu)) {
        die("no memory for the block cache");
    }
    const char *engine = getenv("T_ENGINE");
    if (engine) {
        char text[128];
        struct engine_options o;
        snprintf(text, sizeof text, "%s", engine);
        if (!strchr(text, ',')) {
            snprintf(text, sizeof text, "%s,threshold=1,buffer=1024", engine);
        }
        if (!engine_options_parse(text, &o, &e)) {
            die(e.msg);
        }
        bare_engine(b, &o);
    }
    block_cache_watch(b->blocks, &b->ram);
    b->mem.changed = mem_changed;
    b->mem.changed_ctx = b;
    b->clock.elapsed = cpu_elapsed;
    b->clock.elapsed_ctx = b->cpu;
    b->clock.kick = kick;
    b->clock.kick_ctx = b->cpu;
    dev_reset_all(&b->env, RESET_COLD);
    return b;
}

void bare_engine(struct bare *b, const struct engine_options *o)
{
    assert(!b->engine);
    b->engine = engine_new(o);
    if (!b->engine) {
        die("no memory for the engine");
    }
    engine_add_cpu(b->engine, b->cpu);
    block_cache_set_engine(b->blocks, b->engine);
}

void bare_free(struct bare *b)
{
    block_cache_free(b->blocks);
    engine_free(b->engine);
    dev_free_all(&b->env);
    aspace_fini(&b->mem);
    aspace_fini(&b->io);
    ram_fini(&b->ram);
    gate_fini(&b->gate);
    clock_fini(&b->clock);
    free(b);
}

void bare_mode(struct bare *b, unsigned bits, unsigned cpl)
{
    struct cpu *cpu = b->cpu;
    struct cpu_state *s = &cpu->s;
    const uint16_t data = SEG_A_P | SEG_A_S | SEG_A_RW | SEG_A_ACC;
    for (unsigned k = 0; k < 6; k++) {
        uint16_t attr = data;
        uint32_t limit = 0xffff;
        if (bits != 16) {
            attr |= (uint16_t)(cpl << 5 | SEG_A_DB | SEG_A_G);
            limit = 0xffffffff;
        }
        if (k == SEG_CS && bits != 16) {
            attr |= SEG_A_CODE;
        }
        if (k == SEG_CS && bits == 64) {
            attr = (uint16_t)((attr & ~SEG_A_DB) | SEG_A_L);
        }
        s->seg[k] = (struct seg){.base = 0,
                                 .limit = limit,
                                 .attr = attr,
                                 .sel = (uint16_t)(bits == 16 ? 0 : 8 * (k + 1) | cpl)};
    }
    s->cpl = (uint8_t)(bits == 16 ? 0 : cpl);
    s->cr0 = (s->cr0 & ~(uint64_t)CR0_PE) | (bits == 16 ? 0 : CR0_PE);
    if (cpu_has(cpu, FEAT_fpu)) {
        s->cr0 |= CR0_ET | CR0_NE | CR0_MP;
    }
    s->msr[0].efer = bits == 64 ? EFER_LME | EFER_LMA | EFER_SCE : 0;
    s->cr4 |= cpu_has(cpu, FEAT_fxsr) ? CR4_OSFXSR | CR4_OSXMMEXCPT : 0;
    if (cpu_has(cpu, FEAT_xsave)) {
        s->cr4 |= CR4_OSXSAVE;
        s->xcr0 = cpu_has(cpu, FEAT_avx) ? 7 : 3;
    }
    s->cr4 |= cpu_has(cpu, FEAT_fsgsbase) ? CR4_FSGSBASE : 0;
    cpu_sync(cpu);
    cpu_restored(cpu);
}

uint64_t bare_run(struct bare *b, uint64_t n, uint64_t slice)
{
    uint64_t done = 0;
    while (done < n && cpu_wants_run(b->cpu)) {
        uint64_t part = slice && slice < n - done ? slice : n - done;
        clock_slice_begin(&b->clock, part);
        uint64_t used = cpu_run(b->cpu, part);
        clock_slice_end(&b->clock, used);
        clock_run_due(&b->clock);
        done += used;
        if (b->engine && engine_failure(b->engine)) {
            fputs(engine_failure(b->engine), stdout);
            printf("FAIL lockstep %s\n", b->label);
            abort();
        }
        if (!used) {
            break;
        }
    }
    return done;
}

uint64_t bare_digest(struct bare *b)
{
    cpu_sync(b->cpu);
    return ram_digest(&b->ram, dev_digest_all(&b->env, ST_DIGEST_INIT));
}
