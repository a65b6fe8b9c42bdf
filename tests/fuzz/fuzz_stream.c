/*
 * Streams of random instructions, every row of the instruction table that a user program may run,
 * under lockstep and in the other ways of the engine.
 *
 * A program is a few hundred instructions made by the oracle's generator (valid encodings, operands
 * near page ends), with loads of the base registers in front of many of them, stores into the code
 * itself, and changes of MXCSR. It runs in ring 3 with paging: two writable pages, one that may
 * only be read, then nothing. Whatever faults comes to ring 0 by a gate and goes on by IRET
 * somewhere in the program with other registers, flags (TF at times), MXCSR and, in 32-bit code,
 * with DS, ES, FS or GS limited. So there are faults in the middle of blocks, page ends, code that
 * writes itself, REP with faults, x87 stack faults, changes of mode, and operations that meet each
 * other's flags.
 *
 * T_LEVEL: how many; T_SEED: which; T_CASE=n runs program n alone; T_UNITS: for so many units;
 * T_SHOW=1 shows how it ends and writes it to a.bin (for 0x20000).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/insn/oracle.h"
#include "tests/lib/bare.h"

enum {
    GDT = 0x1000,
    TSS = 0x1800,
    IDT = 0x2000,
    HANDLER = 0x3000,
    COUNT = 0x3800, /* events so far */
    MXCSRS = 0x3900,
    FRAMES = 0x4000, /* 32 of 128 bytes: what IRET takes, then registers */
    KSTACK = 0x8000,
    TABLES = 0x9000, /* three pages of page tables in 32-bit code, four in 64-bit code */
    CODE = 0x20000,
    CODE_BYTES = 0x3000,
    USTACK = 0x200800, /* inside the first data page */
    RAM_BYTES = 4 << 20,
    CS0 = 8,
    DS0 = 16,
    CS3 = 24 | 3,
    DS3 = 32 | 3,
    TR = 48,
    LIMITED = 64 | 3
};

struct prog {
    struct t_rng rng;
    unsigned mode; /* OR_MODE64 or OR_MODE32 */
    bool limited;
    uint64_t seed;
    uint8_t code[CODE_BYTES];
    unsigned len;
    unsigned starts[512], nstarts; /* where instructions begin */
};

static uint64_t rnd(struct prog *p, uint64_t n)
{
    return t_rand_below(&p->rng, n);
}

static void put(struct prog *p, uint64_t v, unsigned bytes)
{
    for (unsigned k = 0; k < bytes && p->len < CODE_BYTES; k++) {
        p->code[p->len++] = (uint8_t)(v >> (8 * k));
    }
}

/* ModRM and displacement of an absolute address. */
static void put_abs(struct prog *p, unsigned reg, uint32_t at)
{
    if (p->mode == OR_MODE64) {
        put(p, 0x04 | reg << 3, 1);
        put(p, 0x25, 1);
    } else {
        put(p, 0x05 | reg << 3, 1);
    }
    put(p, at, 4);
}

/* mov register r, v */
static void put_mov(struct prog *p, unsigned r, uint64_t v)
{
    if (p->mode == OR_MODE64) {
        put(p, 0x48 | r >> 3, 1);
        put(p, 0xb8 | (r & 7), 1);
        put(p, v, 8);
    } else {
        put(p, 0xb8 | (r & 7), 1);
        put(p, v, 4);
    }
}

static void put_base(struct prog *p, const struct or_case *c, uint16_t off)
{
    unsigned first = (unsigned)offsetof(struct cpu, s.gpr);
    if (off >= first && off < first + 16 * 8) {
        unsigned r = (off - first) / 8;
        put_mov(p, r, c->in.gpr[r]);
    }
}

/* One of the table's, with its base registers set as a rule. */
static void put_row(struct prog *p, const uint64_t *features)
{
    struct or_case c;
    unsigned row = (unsigned)rnd(p, insn_row_count);
    if (or_row_excluded(&insn_rows[row]) ||
        !or_generate(&c, p->seed, t_rand(&p->rng), row, p->mode)) {
        return;
    }
    struct insn i;
    uint32_t mode = p->mode == OR_MODE64 ? MODE_C64 | MODE_SS32 | MODE_FLAT | MODE_PROT
                                         : MODE_C32 | MODE_SS32 | MODE_FLAT | MODE_PROT;
    struct decode_in in = {c.code, c.len, mode, 0, features};
    if (insn_decode(&in, &i) == DECODE_OK && rnd(p, 4)) {
        put_base(p, &c, i.base);
        put_base(p, &c, i.index);
    }
    for (unsigned k = 0; k < c.len; k++) {
        put(p, c.code[k], 1);
    }
}

static void make(struct prog *p, const uint64_t *features)
{
    while (p->len < CODE_BYTES - 64 && p->nstarts < 512) {
        p->starts[p->nstarts++] = p->len;
        switch (rnd(p, 40)) {
        case 0: /* mov byte [code], value: mostly near */
            put(p, 0xc6, 1);
            put_abs(p, 0,
                    CODE + (uint32_t)((p->len + rnd(p, rnd(p, 2) ? 64 : CODE_BYTES)) % CODE_BYTES));
            put(p, rnd(p, 2) ? 0x90 : rnd(p, 256), 1);
            break;
        case 1: /* ldmxcsr */
            put(p, 0xae0f, 2);
            put_abs(p, 2, MXCSRS + 4 * (uint32_t)rnd(p, 16));
            break;
        case 2: { /* a short loop: dec ecx; jnz back */
            unsigned back = p->starts[p->nstarts > 4 ? p->nstarts - 1 - (unsigned)rnd(p, 4) : 0];
            put(p, 0xc9ff, 2);
            if (p->len + 2 - back < 120) {
                put(p, 0x75, 1);
                put(p, 0x100 - (p->len + 1 - back), 1);
            }
            break;
        }
        default:
            put_row(p, features);
            break;
        }
    }
}

/* ---- the machine around it ---- */

static void w32(struct bare *b, uint32_t at, uint32_t v)
{
    uint8_t le[4];
    le32_put(le, v);
    ram_write(&b->ram, at, le, 4);
}

static void w64(struct bare *b, uint32_t at, uint64_t v)
{
    w32(b, at, (uint32_t)v);
    w32(b, at + 4, (uint32_t)(v >> 32));
}

static void tables(struct bare *b, const struct prog *p)
{
    bool wide = p->mode == OR_MODE64;
    uint32_t pt = TABLES, size = wide ? 8 : 4;
    for (uint32_t page = 0; page < 0x400; page++) {
        uint32_t a = page << 12, flags = 0;
        if (a < 0x10000) {
            flags = a == 0x3000 || a == 0x4000 ? 7 : 3; /* handler's data is the user's to read */
        } else if (a >= CODE && a < CODE + CODE_BYTES) {
            flags = 7;
        } else if (a >= OR_DATA && a < OR_DATA + OR_PAGES * 4096) {
            flags = 7;
        } else if (a == OR_DATA + OR_PAGES * 4096) {
            flags = 5;
        }
        uint32_t at = pt + page * size;
        wide ? w64(b, at, flags ? a | flags : 0) : w32(b, at, flags ? a | flags : 0);
    }
    uint32_t top = TABLES + 0x2000;
    if (wide) {
        w64(b, top, TABLES | 7); /* two page tables of 512 entries */
        w64(b, top + 8, (TABLES + 0x1000) | 7);
        w64(b, top + 0x1000, top | 7);
        w64(b, top + 0x2000, (top + 0x1000) | 7);
        b->cpu->s.cr3 = top + 0x2000;
    } else {
        w32(b, top, TABLES | 7);
        b->cpu->s.cr3 = top;
    }
}

static void segments(struct bare *b, const struct prog *p)
{
    bool wide = p->mode == OR_MODE64;
    w64(b, GDT + CS0, wide ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff));
    w64(b, GDT + DS0, UINT64_C(0x00cf93000000ffff));
    w64(b, GDT + (CS3 & ~7), wide ? UINT64_C(0x00affb000000ffff) : UINT64_C(0x00cffb000000ffff));
    w64(b, GDT + (DS3 & ~7), UINT64_C(0x00cff3000000ffff));
    w64(b, GDT + (LIMITED & ~7), UINT64_C(0x0040f3000000ffff) | UINT64_C(0x2) << 48);
    w32(b, TSS + 4, KSTACK);
    w32(b, TSS + 8, wide ? 0 : DS0);
    for (unsigned v = 0; v < 32; v++) {
        uint32_t at = IDT + v * (wide ? 16 : 8);
        w32(b, at, (uint32_t)CS0 << 16 | HANDLER);
        w32(b, at + 4, 0xee00); /* DPL 3, so that INT n comes here too */
    }
    struct cpu_state *s = &b->cpu->s;
    s->gdt_base = GDT;
    s->gdt_limit = 0x7f;
    s->idt_base = IDT;
    s->idt_limit = wide ? 0x1ff : 0xff;
    s->seg[SEG_TR] = (struct seg){.base = TSS, .limit = 0x67, .sel = TR, .attr = SEG_A_P | 0xb};
    s->seg[SEG_CS].sel = CS3;
    for (unsigned k = 0; k < 6; k++) {
        s->seg[k].sel = k == SEG_CS ? CS3 : DS3;
    }
    if (!wide && p->limited) {
        static const uint8_t which[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
        struct seg *g = &s->seg[which[p->seed % 4]];
        g->sel = LIMITED;
        g->attr &= (uint16_t)~SEG_A_G;
        g->limit = (uint32_t)(OR_DATA + 0x17ff);
    }
}

/* The handler: the next frame, its registers, IRET. */
static void handler(struct bare *b, struct prog *p)
{
    static const uint8_t regs[] = {REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RDX, REG_RCX};
    bool wide = p->mode == OR_MODE64;
    struct prog h = {.mode = p->mode};
    unsigned slot = wide ? 8 : 4;
    put(&h, 0xff, 1), put_abs(&h, 0, COUNT); /* inc */
    put(&h, 0x8b, 1), put_abs(&h, 0, COUNT); /* mov eax */
    put(&h, 0x1fe083, 3);                    /* and eax, 31 */
    put(&h, 0x07e0c1, 3);                    /* shl eax, 7 */
    if (wide) {
        put(&h, 0x48, 1);
    }
    put(&h, 0xa08d, 2), put(&h, FRAMES, 4);                        /* lea rsp, [rax + FRAMES] */
    put(&h, 0xae0f, 2), put(&h, 0x2454, 2), put(&h, 11 * slot, 1); /* ldmxcsr [rsp + 11 slots] */
    for (unsigned k = 0; k < sizeof regs; k++) {
        if (wide) {
            put(&h, 0x48, 1);
        }
        put(&h, 0x8b, 1), put(&h, 0x44 | regs[k] << 3, 1), put(&h, 0x24, 1);
        put(&h, (5 + k) * slot, 1);
    }
    put(&h, wide ? 0xcf48 : 0xcf, wide ? 2 : 1);
    ram_write(&b->ram, HANDLER, h.code, h.len);
    for (unsigned k = 0; k < 32; k++) {
        uint64_t f[12] = {CODE + p->starts[rnd(p, p->nstarts)], CS3};
        f[2] = FL_1 | FL_IF | (t_rand(&p->rng) & (FL_ARITH | FL_DF)) | (rnd(p, 16) ? 0 : FL_TF);
        f[3] = USTACK + 8 * rnd(p, 16);
        f[4] = DS3;
        for (unsigned r = 5; r < 11; r++) {
            f[r] = rnd(p, 3) ? OR_DATA + rnd(p, OR_BYTES) : t_rand(&p->rng) >> rnd(p, 64);
        }
        f[10] = rnd(p, 40); /* RCX: of REP */
        f[11] = 0x1f80 ^ (rnd(p, 2) ? (rnd(p, 4) << 13 | rnd(p, 64) << 7 | rnd(p, 2) << 6) : 0);
        for (unsigned r = 0; r < 12; r++) {
            uint32_t at = FRAMES + 128 * k + r * slot;
            wide ? w64(b, at, f[r]) : w32(b, at, (uint32_t)f[r]);
        }
    }
    for (uint32_t k = 0; k < 16; k++) {
        w32(b, MXCSRS + 4 * k,
            0x1f80 ^
                (uint32_t)(rnd(p, 2) ? rnd(p, 4) << 13 | (rnd(p, 4) ? 0 : rnd(p, 64) << 7) : 0));
    }
}

static struct bare *build(uint64_t seed)
{
    struct prog p = {.rng = {seed}, .seed = seed};
    static uint8_t mem[OR_BYTES];
    p.mode = rnd(&p, 3) ? OR_MODE64 : OR_MODE32;
    p.limited = rnd(&p, 2);
    struct bare *b = bare_new("", RAM_BYTES);
    make(&p, b->cpu->features);
    FILE *f = getenv("T_SHOW") ? fopen("a.bin", "wb") : NULL;
    if (f) {
        fwrite(p.code, 1, p.len, f);
        fclose(f);
    }
    or_template(mem, seed);
    ram_write(&b->ram, OR_DATA, mem, sizeof mem);
    ram_write(&b->ram, CODE, p.code, p.len);
    bare_mode(b, p.mode == OR_MODE64 ? 64 : 32, 3);
    struct cpu_state *s = &b->cpu->s;
    tables(b, &p);
    segments(b, &p);
    handler(b, &p);
    s->cr0 |= CR0_PG | CR0_WP;
    s->cr4 |= p.mode == OR_MODE64 ? CR4_PAE : 0;
    s->rip = CODE;
    s->gpr[REG_RSP] = USTACK;
    s->rflags = FL_1 | FL_IF;
    cpu_restored(b->cpu);
    return b;
}

struct way {
    const char *name;
    struct engine_options o;
    uint64_t slice;
};

static const struct way ways[] = {
    {"interpreted in short slices", {0}, 37},
    {"compiled", {.jit = true, .threshold = 1, .buffer = 1u << 20}, 0},
    {"compiled in superblocks", {.jit = true, .threshold = 1, .super = 1, .buffer = 1u << 20}, 99},
    {"in chaos", {.jit = true, .chaos = true, .super = 1, .threshold = 4, .buffer = 1u << 17}, 500},
    {"in lockstep", {.lockstep = true, .threshold = 2, .super = 2, .buffer = 1u << 20}, 0},
};

static uint64_t units(void)
{
    const char *text = getenv("T_UNITS");
    return text ? strtoull(text, NULL, 0) : 12000;
}

static bool same(uint64_t seed)
{
    uint64_t want = 0;
    for (unsigned k = 0; k <= ARRAY_LEN(ways); k++) {
        struct bare *b = build(seed);
        snprintf(b->label, sizeof b->label, "T_CASE=%llu", (unsigned long long)seed);
        if (k && !b->engine && (ways[k - 1].o.jit || ways[k - 1].o.lockstep)) {
            struct engine_options o = ways[k - 1].o;
            o.chaos_seed = seed;
            bare_engine(b, &o);
        }
        bare_run(b, units(), k ? ways[k - 1].slice : 0);
        uint64_t got = bare_digest(b), rip = b->cpu->s.rip;
        uint8_t count[4];
        ram_read(&b->ram, COUNT, count, 4);
        if (getenv("T_SHOW") != NULL) {
            printf("%llu way %u: %u events, rip 0x%llx\n", (unsigned long long)seed, k,
                   le32_get(count), (unsigned long long)rip);
        }
        bare_free(b);
        if (k == 0) {
            want = got;
        } else if (got != want) {
            printf(
                "FAIL program %llu %s: digest %016llx at rip 0x%llx, interpreted %016llx; repeat "
                "with T_CASE=%llu, T_UNITS cuts it short\n",
                (unsigned long long)seed, ways[k - 1].name, (unsigned long long)got,
                (unsigned long long)rip, (unsigned long long)want, (unsigned long long)seed);
            return false;
        }
    }
    return true;
}

TEST(streams_run_the_same_in_every_way)
{
    const char *one = getenv("T_CASE");
    uint64_t n = one ? 1 : t_amount(30, 500, 500000), failed = 0;
    uint64_t first = one ? strtoull(one, NULL, 0) : t_seed() * 1000000;
    for (uint64_t k = 0; k < n && failed < 3; k++) {
        failed += !same(first + k);
    }
    t_cases(n - failed, failed, 0);
}
