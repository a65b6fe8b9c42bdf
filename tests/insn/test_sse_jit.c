/*
 * Vector code, compiled, against the interpreter: short programs of random vector instructions with
 * flag readers and loops between them, under paging.
 *
 * What single instructions cannot show: a register that lives in a host register when a page fault,
 * an alignment fault, an unmasked exception or a write over the program itself ends the block; one
 * that is live over a refill of the soft TLB; sticky flags of MXCSR at each of these places; MXCSR
 * changed in the middle (LDMXCSR is one of the rows); upper halves where VEX and legacy encodings
 * mix; COMISS and PTEST flags that somebody reads later. Every exception leads to an endless loop,
 * so registers are compared as its handler sees them. A run ends after a number of units, wherever
 * that is, in slices of several lengths; all engines must end in the same state.
 *
 * T_SEED, T_LEVEL; a failure prints the seed of its case, repeat it with T_SEED and CASES=1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/vec.h"
#include "tests/insn/sse_gen.h"
#include "tests/lib/bare.h"

enum {
    RAM_BYTES = 0x40000, /* linear = physical, all of it mapped but one page */
    PML4 = 0x1000,
    PDPT = 0x2000,
    PD = 0x3000,
    PT = 0x4000,
    IDT = 0x5000,
    GDT = 0x6000,
    STACK = 0x7f00,
    HANDLER = 0x8000,
    CODE = 0x9000,
    SPACE = 0x10000, /* of operands */
    HOLE = 0x20000,  /* not present */
    FIXED = 0x21000, /* read-only */
    CODE_MAX = 1024
};

static struct side side;
static uint8_t data[DATA_SIZE];

static void put64(struct bare *b, uint64_t at, uint64_t v)
{
    uint8_t bytes[8];
    le64_put(bytes, v);
    ram_write(&b->ram, at, bytes, 8);
}

static struct bare *machine(const struct engine_options *o)
{
    struct bare *b = bare_new("", RAM_BYTES);
    if (o && !b->engine) {
        bare_engine(b, o);
    }
    put64(b, PML4, PDPT | 7);
    put64(b, PDPT, PD | 7);
    put64(b, PD, PT | 7);
    for (uint64_t pa = 0; pa < RAM_BYTES; pa += 0x1000) {
        put64(b, PT + pa / 512, pa == HOLE ? 0 : pa | (pa == FIXED ? 5 : 7));
    }
    for (unsigned v = 0; v < 256; v++) { /* 64-bit interrupt gates */
        put64(b, IDT + 16 * v, UINT64_C(0x8e0000100000) | HANDLER);
    }
    put64(b, GDT + 0x10, UINT64_C(0x00209b0000000000));
    ram_write(&b->ram, HANDLER, (const uint8_t[]){0xeb, 0xfe}, 2);
    return b;
}

/* ---- programs ---- */

struct program {
    uint8_t b[CODE_MAX];
    unsigned n;
    uint64_t cr0_set, cr4_clear, xcr0_clear;
    uint8_t mxcsr[4]; /* at SPACE */
};

static void put(struct program *p, const uint8_t *bytes, unsigned n)
{
    memcpy(p->b + p->n, bytes, n);
    p->n += n;
}

static uint64_t rnd(struct sse_gen *g, uint64_t n)
{
    return t_rand_below(&g->rng, n);
}

static void put_integer(struct sse_gen *g, struct program *p)
{
    static const struct {
        uint8_t n, b[4];
    } list[] = {
        {3, {0x0f, 0x92, 0xc0}},       /* setb al */
        {3, {0x0f, 0x44, 0xc3}},       /* cmovz eax, ebx */
        {2, {0x7a, 0x00}},             /* jp: both ways lead on */
        {2, {0x77, 0x00}},             /* ja */
        {2, {0x7c, 0x00}},             /* jl */
        {3, {0x83, 0xd0, 0x01}},       /* adc eax, 1 */
        {3, {0x48, 0xff, 0xc3}},       /* inc rbx */
        {2, {0x85, 0xdb}},             /* test ebx, ebx */
        {2, {0x0f, 0xa2}},             /* cpuid: interpreted */
        {1, {0x9f}},                   /* lahf */
        {3, {0x0f, 0xae, 0x16}},       /* ldmxcsr [rsi] */
        {3, {0x0f, 0xae, 0x1f}},       /* stmxcsr [rdi] */
        {4, {0x41, 0x0f, 0xae, 0x1f}}, /* stmxcsr [r15] */
    };
    unsigned k = (unsigned)rnd(g, ARRAY_LEN(list));
    put(p, list[k].b, list[k].n);
}

static const struct insn_row *any_row(struct sse_gen *g)
{
    for (;;) {
        const struct insn_row *r = &insn_rows[rnd(g, insn_row_count)];
        bool rare = (r->attr & A_MMX) || strstr(r->name, "gather") || strstr(r->name, "mxcsr");
        if (sse_gen_row(r) && (!rare || rnd(g, 8) == 0)) {
            return r;
        }
    }
}

/* Arithmetic, comparisons and copies of registers: what an aarch64 host runs in batches. */
static const struct insn_row *fp_row(struct sse_gen *g)
{
    static const char *const names[] = {"add",  "sub",  "mul",  "div",   "min",   "max",    "cmpp",
                                        "cmps", "sqrt", "cvts", "comis", "movap", "movups", "movs"};
    for (;;) {
        const struct insn_row *r = any_row(g);
        const char *name = r->name + (r->name[0] == 'v');
        for (unsigned k = 0; k < ARRAY_LEN(names); k++) {
            size_t n = strlen(name);
            bool fp = n > 2 && (name[n - 1] == 's' || name[n - 1] == 'd') &&
                      (name[n - 2] == 'p' || name[n - 2] == 's');
            if (strncmp(name, names[k], strlen(names[k])) == 0 && (fp || names[k][0] == 'm')) {
                return r;
            }
        }
    }
}

static void make(struct sse_gen *g, struct program *p)
{
    unsigned body = 1 + (unsigned)rnd(g, 14), start, only = 0;
    const struct insn_row *few[3];
    bool loop = rnd(g, 2), fp = rnd(g, 3) == 0;
    *p = (struct program){.n = 0};
    for (unsigned k = 0; k < ARRAY_LEN(few); k++) {
        few[k] = any_row(g);
    }
    only = (unsigned)rnd(g, 2); /* programs of few different instructions meet each other more */
    if (loop) {
        put(p, (const uint8_t[]){0xb9, (uint8_t)(1 + rnd(g, 20)), 0, 0, 0}, 5);
    }
    start = p->n;
    for (unsigned k = 0; k < body; k++) {
        if (rnd(g, fp ? 16 : 4) == 0) {
            put_integer(g, p);
        }
        const struct insn_row *row = fp ? fp_row(g) : only ? few[rnd(g, 3)] : any_row(g);
        struct sse_code c = sse_gen_case(g, row, rnd(g, 8) == 0);
        put(p, c.b, c.n);
    }
    if (loop) {
        put(p, (const uint8_t[]){0xff, 0xc9, 0x0f, 0x85}, 4);
        uint8_t back[4];
        le32_put(back, start - (p->n + 4));
        put(p, back, 4);
    }
    put(p, (const uint8_t[]){0xeb, 0xfe}, 2);
    uint32_t mx = 0x1f80 | (uint32_t)(rnd(g, 0x10000) & (rnd(g, 2) ? 0xe07f : 0x6000));
    mx = fp ? 0x1fa0 | (mx & 0x1f) : mx;
    le32_put(p->mxcsr, rnd(g, 8) ? mx : mx ^ 1u << rnd(g, 32));
    if (rnd(g, 16) == 0) {
        p->cr0_set = rnd(g, 2) ? CR0_TS : CR0_EM;
    } else if (rnd(g, 16) == 0) {
        p->cr4_clear = rnd(g, 2) ? CR4_OSFXSR : CR4_OSXSAVE;
    } else if (rnd(g, 16) == 0) {
        p->xcr0_clear = XCR0_AVX;
    }
}

/* Where the operands lie. */
static uint64_t place(struct sse_gen *g)
{
    switch (rnd(g, 8)) {
    case 0:
        return HOLE - 16 * rnd(g, 20);
    case 1:
        return HOLE + 0x1000 - 16 * rnd(g, 20);
    case 2:
        return CODE - 64 + 16 * rnd(g, 16); /* over itself */
    case 3:
        return SPACE + 0x1000 * rnd(g, 15) + 0x1000 - rnd(g, 200); /* into the next page */
    default:
        return SPACE + 0x1000 * rnd(g, 15) + 256 + (rnd(g, 8) ? 32 * rnd(g, 40) : rnd(g, 600));
    }
}

static void load(struct bare *b, const struct program *p)
{
    struct cpu_state *s = &b->cpu->s;
    static const uint8_t nothing[CODE_MAX];
    ram_write(&b->ram, CODE, nothing, CODE_MAX);
    ram_write(&b->ram, CODE, p->b, p->n);
    ram_write(&b->ram, SPACE, data, DATA_SIZE);
    ram_write(&b->ram, HOLE - 512, data, 512);
    ram_write(&b->ram, SPACE, p->mxcsr, 4);
    ram_write(&b->ram, FIXED, data, 512);
    bare_mode(b, 64, 0);
    s->cr3 = PML4;
    s->cr0 &= ~(uint64_t)(CR0_TS | CR0_EM);
    s->cr0 |= (uint64_t)CR0_PG | CR0_WP | p->cr0_set;
    s->cr4 = (s->cr4 | CR4_PAE) & ~p->cr4_clear;
    s->xcr0 &= ~p->xcr0_clear;
    s->idt_base = IDT;
    s->idt_limit = 0xfff;
    s->gdt_base = GDT;
    s->gdt_limit = 0xff;
    s->rip = CODE;
    s->rflags = FL_1;
    s->activity = CPU_RUNNING;
    cpu_restored(b->cpu);
    sse_load(b->cpu, &side);
    s->gpr[REG_RSP] = STACK;
    s->gpr[REG_RSI] = SPACE; /* what LDMXCSR loads */
    cpu_sync(b->cpu);
    cpu_restored(b->cpu);
}

/* ---- comparison ---- */

static void explain(const struct cpu *a, const struct cpu *b)
{
    for (unsigned k = 0; k < 16; k++) {
        if (a->s.gpr[k] != b->s.gpr[k]) {
            printf("  gpr %u: %016" PRIx64 ", compiled %016" PRIx64 "\n", k, a->s.gpr[k],
                   b->s.gpr[k]);
        }
    }
    for (unsigned k = 0; k < 64; k++) {
        if (a->s.ymm[k] != b->s.ymm[k]) {
            printf("  ymm %u word %u: %016" PRIx64 ", compiled %016" PRIx64 "\n", k / 4, k % 4,
                   a->s.ymm[k], b->s.ymm[k]);
        }
    }
    printf("  rip %" PRIx64 " %" PRIx64 " rflags %" PRIx64 " %" PRIx64 " mxcsr %x %x cr2 %" PRIx64
           " %" PRIx64 "\n",
           a->s.rip, b->s.rip, a->s.rflags, b->s.rflags, a->s.mxcsr, b->s.mxcsr, a->s.cr2,
           b->s.cr2);
}

TEST(programs_end_in_the_same_state)
{
    static const struct engine_options options[] = {
        {.jit = false},
        {.jit = true, .threshold = 1, .buffer = 1u << 20},
        {.jit = true, .threshold = 2, .buffer = 1u << 16},
        {.jit = true, .threshold = 1, .buffer = 1u << 20, .no_links = true},
        {.jit = true, .threshold = 1, .super = 1, .buffer = 1u << 20},
        {.jit = true, .threshold = 1, .super = 1, .buffer = 1u << 20},
    };
    static const uint64_t slices[ARRAY_LEN(options)] = {0, 0, 9, 61, 0, 97};
    struct bare *b[ARRAY_LEN(options)];
    struct sse_gen g = {.in = &side, .data = data};
    const char *few = getenv("CASES");
    uint64_t cases = few ? strtoull(few, NULL, 0) : t_amount(3000, 20000, 2000000), failed = 0;
    unsetenv("T_ENGINE"); /* bare_new would compile in the first machine too */
    for (unsigned k = 0; k < ARRAY_LEN(b); k++) {
        b[k] = machine(&options[k]);
    }
    for (uint64_t n = 0; n < cases && failed < 3; n++) {
        struct program p;
        uint64_t digest[ARRAY_LEN(b)];
        g.rng.state = (t_seed() + n) * UINT64_C(0x9e3779b97f4a7c15);
        make(&g, &p);
        side.gpr[7] = place(&g);
        side.gpr[15] = place(&g);
        uint64_t units = 20 + rnd(&g, 300);
        bool ok = true;
        for (unsigned k = 0; k < ARRAY_LEN(b); k++) {
            load(b[k], &p);
            bare_run(b[k], units, slices[k]);
            digest[k] = bare_digest(b[k]);
            if (ok && digest[k] != digest[0]) {
                ok = false;
                printf("FAIL: T_SEED=%" PRIu64 " engine %u, %" PRIu64 " units:", t_seed() + n, k,
                       units);
                for (unsigned i = 0; i < p.n; i++) {
                    printf(" %02x", p.b[i]);
                }
                printf("\n");
                explain(b[0]->cpu, b[k]->cpu);
            }
        }
        if (!ok) { /* states have parted */
            failed++;
            for (unsigned k = 0; k < ARRAY_LEN(b); k++) {
                bare_free(b[k]);
                b[k] = machine(&options[k]);
            }
        }
    }
    for (unsigned k = 0; k < ARRAY_LEN(b); k++) {
        bare_free(b[k]);
    }
    t_cases(cases - failed, failed, 0);
}
