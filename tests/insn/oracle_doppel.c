/*
 * The doppel side of the oracle: a bare vCPU with paging as the native side has memory, on which
 * one decoded instruction is run directly, without the run loop: a fault comes back here instead of
 * being delivered.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/sem.h"
#include "tests/insn/oracle.h"
#include "tests/lib/bare.h"

#define TABLES    UINT64_C(0x300000) /* PML4, PDPT, PD, two page tables */
#define RAM_BYTES UINT64_C(0x400000)
#define UNITS     (1 << 20)

static struct {
    struct bare *b;
    unsigned mode; /* OR_MODES: none yet */
    struct insn insn[2];
} doppel;

static void table_put(uint64_t table, uint64_t index, uint64_t val)
{
    uint8_t b[8];
    le64_put(b, val);
    ram_write(&doppel.b->ram, TABLES + 4096 * table + 8 * index, b, 8);
}

static void map_page(uint64_t la, uint64_t rights)
{
    table_put(3 + (la >> 21), la >> 12 & 511, la | 5 | rights);
}

void or_doppel_init(void)
{
    doppel.b = bare_new("", RAM_BYTES);
    doppel.mode = OR_MODES;
    table_put(0, 0, (TABLES + 4096) | 7);
    table_put(1, 0, (TABLES + 2 * 4096) | 7);
    table_put(2, 0, (TABLES + 3 * 4096) | 7);
    table_put(2, 1, (TABLES + 4 * 4096) | 7);
    map_page(OR_CODE, 0);
    memset(ram_write_ptr(&doppel.b->ram, OR_CODE >> 12), 0xcc, 4096);
    for (unsigned k = 0; k <= OR_PAGES; k++) {
        map_page(OR_DATA + 4096u * k, k < OR_PAGES ? 2 : 0);
        ram_write_ptr(&doppel.b->ram, (OR_DATA >> 12) + k);
    }
}

uint8_t *or_doppel_page(unsigned n)
{
    return ram_write_ptr(&doppel.b->ram, (OR_DATA >> 12) + n);
}

static void set_seg(unsigned seg, uint16_t sel, uint64_t base, uint32_t limit, unsigned attr)
{
    doppel.b->cpu->s.seg[seg] = (struct seg){
        .base = base,
        .limit = limit,
        .sel = sel,
        .attr = (uint16_t)(attr | SEG_A_P | SEG_A_S | SEG_A_DPL | SEG_A_RW | SEG_A_ACC)};
}

static void set_mode(unsigned mode)
{
    struct cpu *cpu = doppel.b->cpu;
    struct cpu_state *s = &cpu->s;
    bare_mode(doppel.b, 64, 3);
    s->cr3 = TABLES;
    s->cr4 |= CR4_PAE;
    s->cr0 |= CR0_PE | CR0_PG | CR0_WP;
    s->msr[0].efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    uint16_t data = mode == OR_MODE16 ? 0x0f : 0x2b;
    for (unsigned k = 0; k < 6; k++) {
        if (mode == OR_MODE16) {
            set_seg(k, data, OR_DATA, 0xffff, 0);
        } else {
            set_seg(k, data, 0, 0xffffffff, SEG_A_DB | SEG_A_G);
        }
    }
    if (mode == OR_MODE64) {
        set_seg(SEG_CS, 0x33, 0, 0xffffffff, SEG_A_CODE | SEG_A_L | SEG_A_G);
    } else if (mode == OR_MODE32) {
        set_seg(SEG_CS, 0x23, 0, 0xffffffff, SEG_A_CODE | SEG_A_DB | SEG_A_G);
    } else {
        set_seg(SEG_CS, 0x07, OR_CODE, 0xfff, SEG_A_CODE);
    }
    for (unsigned k = SEG_FS; k <= SEG_GS; k++) {
        s->seg[k] = (struct seg){.attr = SEG_A_NULL};
    }
    cpu_restored(cpu);
    doppel.mode = mode;
}

/* Code is data too, through CS. */
static void put_code(const struct or_case *c)
{
    uint8_t *at = ram_write_ptr(&doppel.b->ram, OR_CODE >> 12) + OR_ENTRY;
    memset(at, 0xcc, sizeof c->code);
    memcpy(at, c->code, c->len);
}

static void load(const struct or_case *c)
{
    struct cpu *cpu = doppel.b->cpu;
    struct cpu_state *s = &cpu->s;
    const struct or_state *in = &c->in;
    memcpy(s->gpr, in->gpr, sizeof s->gpr);
    s->rip = in->rip;
    s->rflags = in->flags | 0x202u;
    flags_set_arith(cpu, s->rflags);
    memcpy(s->ymm, in->ymm, sizeof s->ymm);
    s->mxcsr = in->mxcsr;
    s->fpu[0].cw = in->fcw;
    s->fpu[0].sw = in->fsw;
    s->fpu[0].empty = (uint8_t)~in->ftw;
    s->fpu[0].ip = s->fpu[0].dp = 0;
    s->fpu[0].op = s->fpu[0].cs = s->fpu[0].ds = 0;
    unsigned top = in->fsw >> 11 & 7;
    for (unsigned k = 0; k < 8; k++) {
        s->fpu[0].m[(top + k) & 7] = in->st_m[k];
        s->fpu[0].se[(top + k) & 7] = in->st_se[k];
    }
    s->activity = CPU_RUNNING;
    s->db_pending = 0;
    s->shadow = s->shadow_ss = false;
}

static void store(struct or_state *out)
{
    struct cpu *cpu = doppel.b->cpu;
    struct cpu_state *s = &cpu->s;
    cpu_sync(cpu);
    memcpy(out->gpr, s->gpr, sizeof s->gpr);
    out->rip = s->rip;
    out->flags = (uint32_t)s->rflags;
    memcpy(out->ymm, s->ymm, sizeof s->ymm);
    out->mxcsr = s->mxcsr;
    out->fcw = s->fpu[0].cw;
    out->fsw = s->fpu[0].sw;
    out->ftw = (uint8_t)~s->fpu[0].empty;
    unsigned top = out->fsw >> 11 & 7;
    for (unsigned k = 0; k < 8; k++) {
        out->st_m[k] = s->fpu[0].m[(top + k) & 7];
        out->st_se[k] = s->fpu[0].se[(top + k) & 7];
    }
}

const struct insn *or_doppel_insn(void)
{
    return doppel.insn;
}

void or_doppel_run(const struct or_case *c, struct or_result *r)
{
    struct cpu *cpu = doppel.b->cpu;
    struct insn *i = doppel.insn;
    if (doppel.mode != c->mode) {
        set_mode(c->mode);
    }
    load(c);
    put_code(c);
    struct decode_in in = {
        .bytes = c->code, .avail = c->len, .mode = cpu->mode, .features = cpu->features};
    memset(r, 0, sizeof *r);
    if (insn_decode(&in, i) == DECODE_MORE) {
        abort(); /* the generator cut its instruction short */
    }
    i[1] = (struct insn){.fn = block_end, .off = i->len, .k = 1, .row = 0xffff};
    cpu->blk_rip = cpu->s.rip;
    cpu->exit_req = 0;
    cpu->attn = 0;
    cpu->cur = i;
    cpu->charged = 1;
    cpu->k0 = 0;
    cpu->budget = UNITS;
    cpu->slice = UNITS;
    if (setjmp(cpu->fault)) {
        r->fault = true;
        r->vector = cpu->exc.vector;
        r->err = cpu->exc.has_err ? cpu->exc.err : 0;
        r->cr2 = cpu->s.cr2;
        cpu->s.rip = c->in.rip;
    } else {
        i->fn(cpu, i);
    }
    cpu->cur = NULL;
    cpu->charged = 0;
    store(&r->out);
}
