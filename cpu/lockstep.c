/* Compiled code against the interpreter; see lockstep.h. */
#include "cpu/lockstep.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/block.h"
#include "cpu/flags.h"
#include "cpu/jit/text.h"
#include "cpu/lift.h"
#include "mmu/ram.h"
#include "util/disasm.h"

/* A page that may have been written. */
struct page {
    struct ram *ram;
    uint64_t pfn;
    enum tlb_view view;
    unsigned entry; /* of L1, where it is open for writes */
    bool late;      /* opened by the interpreter, not by compiled code */
    uint8_t before[PAGE_SIZE], after[PAGE_SIZE];
};

struct lockstep {
    struct cpu *cpu;
    bool open, replaying;
    bool halfway; /* the replay ended between two iterations of a REP */
    const struct block *at;
    int64_t begun; /* budget and what is held or was charged for and not begun, at the start */
    struct cpu_state start, compiled;
    uint64_t lf_res, lf_aux; /* at the start */
    struct page **page;
    unsigned npages, max_pages;
    uint64_t stretches, insns;
    size_t used; /* of report */
    char report[8192];
};

/* ---- pages ---- */

/* An L1 entry lets writes through from now on. */
static void opened(void *ctx, enum tlb_view view, unsigned entry, struct ram *ram, uint64_t pfn)
{
    struct lockstep *ls = ctx;
    for (unsigned k = 0; k < ls->npages; k++) {
        struct page *p = ls->page[k];
        if (p->ram == ram && p->pfn == pfn && p->view == view && p->entry == entry) {
            return;
        }
    }
    if (ls->npages == ls->max_pages) {
        unsigned max = ls->max_pages ? ls->max_pages * 2 : 16;
        struct page **grown = realloc(ls->page, max * sizeof *grown);
        if (!grown) {
            abort(); /* host memory exhausted */
        }
        for (unsigned k = ls->max_pages; k < max; k++) {
            grown[k] = malloc(sizeof **grown);
            if (!grown[k]) {
                abort();
            }
        }
        ls->page = grown;
        ls->max_pages = max;
    }
    struct page *p = ls->page[ls->npages++];
    p->ram = ram;
    p->pfn = pfn;
    p->view = view;
    p->entry = entry;
    p->late = ls->replaying;
    memcpy(p->before, ram_read_ptr(ram, pfn), PAGE_SIZE);
    /* The same page by another address: what it held at the start is known already. */
    for (unsigned k = 0; k + 1 < ls->npages; k++) {
        if (ls->page[k]->ram == ram && ls->page[k]->pfn == pfn) {
            memcpy(p->before, ls->page[k]->before, PAGE_SIZE);
            memcpy(p->after, ls->page[k]->after, PAGE_SIZE);
            p->late = ls->page[k]->late;
            break;
        }
    }
}

/* From now on each page is seen before it is written. */
static void close_pages(struct lockstep *ls)
{
    for (unsigned k = 0; k < ls->npages; k++) {
        tlb_close_write(&ls->cpu->tlb, ls->page[k]->view, ls->page[k]->entry);
    }
    ls->npages = 0;
}

/* ---- the report ---- */

static void say(struct lockstep *ls, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct lockstep *ls, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(ls->report + ls->used, sizeof ls->report - ls->used, fmt, ap);
    va_end(ap);
    ls->used += n < 0 ? 0 : (size_t)n;
    ls->used = ls->used < sizeof ls->report ? ls->used : sizeof ls->report - 1;
}

static void say_block(struct lockstep *ls)
{
    const struct block *b = ls->at;
    unsigned bits = b->mode & MODE_C64 ? 64 : b->mode & MODE_C32 ? 32 : 16;
    struct uop u[BLOCK_INSNS + 1];
    char text[160];
    say(ls, "block at physical 0x%" PRIx64 ", %u-bit, %u instructions:\n", (uint64_t)b->pa, bits,
        b->n);
    unsigned n = lift_block(b, u, ls->cpu->yields);
    for (unsigned k = 0; k < b->n; k++) {
        disasm_insn(bits, ls->start.rip + b->insn[k].off, b->copy + b->insn[k].off, b->insn[k].len,
                    text, sizeof text);
        say(ls, "  %s\n", text);
    }
    say(ls, "micro-operations:\n");
    for (unsigned k = 0; k < n; k++) {
        jit_uop_text(&u[k], text, sizeof text);
        say(ls, "  %u: %s\n", u[k].k, text);
    }
}

/* The report's head, once. */
static void begin_report(struct lockstep *ls, uint64_t n)
{
    if (!ls->used) {
        say(ls,
            "lockstep: compiled code and the interpreter differ after %" PRIu64
            " instructions from rip 0x%" PRIx64 " on cpu%u, stretch %" PRIu64 "\n",
            n, ls->start.rip, ls->cpu->index, ls->stretches);
    }
}

static void say_field(void *ctx, const char *path, uint64_t a, uint64_t b)
{
    say(ctx, "  %s: compiled 0x%" PRIx64 ", interpreted 0x%" PRIx64 "\n", path, a, b);
}

/* ---- comparing ---- */

static bool same_state(struct lockstep *ls, uint64_t n)
{
    const struct cpu_state *s = &ls->cpu->s;
    if (memcmp(&ls->compiled, s, sizeof *s) == 0) {
        return true;
    }
    size_t head = ls->used;
    begin_report(ls, n);
    if (st_diff(&cpu_state_desc, &ls->compiled, s, say_field, ls) == 0) {
        ls->used = head; /* padding */
        ls->report[head] = '\0';
        return true;
    }
    return false;
}

static bool same_page(struct lockstep *ls, const struct page *p, uint64_t n)
{
    const uint8_t *now = ram_read_ptr(p->ram, p->pfn), *want = p->late ? p->before : p->after;
    if (memcmp(now, want, PAGE_SIZE) == 0) {
        return true;
    }
    begin_report(ls, n);
    for (unsigned k = 0, shown = 0; k < PAGE_SIZE && shown < 8; k++) {
        if (now[k] != want[k]) {
            say(ls, "  memory 0x%" PRIx64 ": compiled %02x, interpreted %02x, before %02x\n",
                p->pfn << PAGE_BITS | k, want[k], now[k], p->before[k]);
            shown++;
        }
    }
    return false;
}

/* Run n instructions in the interpreter. False: one of them did not end as it should. */
static bool replay(struct lockstep *ls, uint64_t n)
{
    struct cpu *cpu = ls->cpu;
    jmp_buf outer;
    volatile uint64_t left = n;
    uint64_t slice = cpu->slice, used = slice + (uint64_t)cpu->held - (uint64_t)ls->begun;
    memcpy(&outer, &cpu->fault, sizeof outer);
    ls->replaying = true;
    ls->halfway = false;
    if (setjmp(cpu->fault)) {
        begin_report(ls, n);
        say(ls, "  the interpreter raises vector %u in the last %" PRIu64 " of them\n",
            cpu->exc.vector, left);
    } else {
        while (left) {
            struct block *b = block_lookup(cpu);
            if (!b) {
                begin_report(ls, n);
                say(ls, "  the interpreter comes to code that is not cached\n");
                break;
            }
            unsigned some = b->n < left ? b->n : (unsigned)left;
            cpu->slice = used + (n - left) + some; /* so that time is what it was */
            uint64_t last = (cpu->s.rip + b->insn[some - 1].off) & cpu->ip_mask;
            cpu_run_head(cpu, b, some);
            ls->halfway = cpu->s.rip == last && b->insn[some - 1].row != 0xffff &&
                          (insn_rows[b->insn[some - 1].row].attr & A_REP);
            left -= some;
        }
    }
    ls->replaying = false;
    cpu->slice = slice;
    cpu->cur = NULL;
    cpu->running = NULL;
    cpu->charged = 0;
    memcpy(&cpu->fault, &outer, sizeof outer);
    return left == 0;
}

/* What follows from the state that is in s now, as far as code changes it itself. */
static void derive(struct cpu *cpu)
{
    cpu_update_mode(cpu);
    cpu_update_attn(cpu);
    seg_update(cpu, SEG_GS);
}

/* ---- stretches ---- */

void lockstep_begin(struct lockstep *ls, const struct block *at, int64_t left)
{
    struct cpu *cpu = ls->cpu;
    close_pages(ls);
    cpu_sync(cpu);
    ls->start = cpu->s;
    ls->lf_res = cpu->lf_res;
    ls->lf_aux = cpu->lf_aux;
    ls->begun = cpu->budget + cpu->held + left;
    ls->at = at;
    ls->open = true;
}

void lockstep_forget(struct lockstep *ls)
{
    ls->open = false;
}

bool lockstep_end(struct lockstep *ls, int64_t left, bool flags_dead)
{
    struct cpu *cpu = ls->cpu;
    int64_t n = ls->begun - (cpu->budget + cpu->held + left);
    if (!ls->open || ls->used) {
        return !ls->used;
    }
    ls->open = false;
    ls->stretches++;
    if (n < 0) {
        begin_report(ls, 0);
        say(ls, "  the budget grew by %" PRId64 "\n", -n);
        return false;
    }
    ls->insns += (uint64_t)n;
    cpu_sync(cpu);
    ls->compiled = cpu->s;
    for (unsigned k = 0; k < ls->npages; k++) {
        struct page *p = ls->page[k];
        memcpy(p->after, ram_read_ptr(p->ram, p->pfn), PAGE_SIZE);
        if (memcmp(p->before, p->after, PAGE_SIZE) != 0) {
            memcpy(ram_write_ptr(p->ram, p->pfn), p->before, PAGE_SIZE);
        }
    }
    /* Pages seen by two addresses were copied twice: the first copy is of what compiled code left,
     * later ones of what was put back. */
    for (unsigned k = 1; k < ls->npages; k++) {
        for (unsigned j = 0; j < k; j++) {
            if (ls->page[j]->ram == ls->page[k]->ram && ls->page[j]->pfn == ls->page[k]->pfn) {
                memcpy(ls->page[k]->after, ls->page[j]->after, PAGE_SIZE);
                break;
            }
        }
    }
    int64_t budget = cpu->budget;
    cpu->s = ls->start;
    cpu->lf_res = ls->lf_res;
    cpu->lf_aux = ls->lf_aux;
    derive(cpu);
    bool ok = replay(ls, (uint64_t)n);
    if (cpu->s.shadow && !ls->compiled.shadow) {
        cpu->s.shadow = false; /* behind an STI; compiled code is not done with its block */
        derive(cpu);
    }
    cpu->budget = budget;
    cpu_sync(cpu);
    cpu->s.rflags &= ~(uint64_t)FL_RF | ls->compiled.rflags; /* a REP was replayed in pieces: */
    if (ls->halfway) { /* and stopped, while compiled code goes on with it */
        flags_set_arith(cpu, ls->compiled.rflags);
        cpu_sync(cpu);
    }
    if (flags_dead) {
        ls->compiled.rflags &= ~(uint64_t)FL_ARITH;
        ls->compiled.rflags |= cpu->s.rflags & FL_ARITH;
    }
    ok = same_state(ls, (uint64_t)n) && ok;
    for (unsigned k = 0; k < ls->npages; k++) {
        ok = same_page(ls, ls->page[k], (uint64_t)n) && ok;
    }
    if (!ok) {
        begin_report(ls, (uint64_t)n);
        say_block(ls);
    }
    return ok;
}

const char *lockstep_report(const struct lockstep *ls)
{
    return ls->used ? ls->report : NULL;
}

void lockstep_counts(const struct lockstep *ls, uint64_t *stretches, uint64_t *insns)
{
    *stretches = ls->stretches;
    *insns = ls->insns;
}

struct lockstep *lockstep_new(struct cpu *cpu)
{
    struct lockstep *ls = calloc(1, sizeof *ls);
    if (ls) {
        ls->cpu = cpu;
        tlb_watch_opens(&cpu->tlb, opened, ls);
    }
    return ls;
}

void lockstep_free(struct lockstep *ls)
{
    if (ls) {
        for (unsigned k = 0; k < ls->max_pages; k++) {
            free(ls->page[k]);
        }
        free(ls->page);
        free(ls);
    }
}
