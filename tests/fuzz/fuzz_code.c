/*
 * Random programs that run long: what fuzz_exec's random bytes seldom do.
 *
 * A program is straight code of the instructions below with random operands, cut by short jumps.
 * Its end and all faults lead to a restart: that points registers 6 and 7 at data and the stack
 * pointer at a stack, and jumps to the next of 32 places in the program. The same program runs
 * interpreted in one slice, and compiled in several ways; state and RAM must end equal. So
 * operations meet each other: flags left pending by one and looked at by another many instructions
 * on, registers in every role, blocks and their links.
 *
 * Half of the 16- and 32-bit programs have segments with bases, which need not be multiples of
 * 4096; half of those have limits in the midst of their data and stack, and half of the 16-bit ones
 * a stack that wraps.
 *
 * Amount: T_LEVEL; seed: T_SEED; T_CASE=n runs that one program, T_UNITS
 * its length (the smallest that fails tells the instruction), and T_SHOW=1 writes it to a.bin.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/bare.h"
#include "tests/t.h"

enum {
    GDT = 0x400,
    COUNT = 0x500, /* restarts */
    TABLE = 0x600, /* where they go on, 32 entries */
    IDT = 0x1000,
    STACK = 0x7000,
    RESTART = 0x7800,
    CODE = 0x8000,
    CODE_LEN = 2000,
    DATA = 0x10000,
    RAM_BYTES = 1 << 18
};

/* How an entry goes on behind its opcode. */
enum {
    M = 1,        /* ModRM */
    B = 2,        /* byte registers */
    I8 = 4,       /* an immediate byte */
    IZ = 8,       /* an immediate of the operand size */
    MEM = 16,     /* ModRM with memory only */
    L64 = 32,     /* not in 64-bit mode */
    V = 64,       /* VEX map 2 (0F38); pp random */
    P66 = 128,    /* 66 may stand in front */
    REG = 1 << 8, /* ModRM with a register only */
};
#define G(n)   (1u << 9 | (n) << 10) /* ModRM.reg = n */
#define LEN(n) ((n) << 16)           /* bytes of opcode */

struct word {
    uint32_t how;
    uint8_t op[4];
};

static const struct word words[] = {
    // clang-format off
    {LEN(1)|M|B, {0x00}}, {LEN(1)|M|P66, {0x01}}, {LEN(1)|M|B, {0x02}}, {LEN(1)|M|P66, {0x03}},
    {LEN(1)|M|B, {0x08}}, {LEN(1)|M|P66, {0x0b}}, {LEN(1)|M|B, {0x10}}, {LEN(1)|M|P66, {0x11}},
    {LEN(1)|M|B, {0x12}}, {LEN(1)|M|P66, {0x13}}, {LEN(1)|M|B, {0x18}}, {LEN(1)|M|P66, {0x19}},
    {LEN(1)|M|B, {0x1a}}, {LEN(1)|M|P66, {0x1b}}, {LEN(1)|M|B, {0x20}}, {LEN(1)|M|P66, {0x23}},
    {LEN(1)|M|B, {0x28}}, {LEN(1)|M|P66, {0x29}}, {LEN(1)|M|P66, {0x2b}}, {LEN(1)|M|P66, {0x31}},
    {LEN(1)|M|B, {0x38}}, {LEN(1)|M|P66, {0x39}}, {LEN(1)|M|B, {0x3a}}, {LEN(1)|M|P66, {0x3b}},
    {LEN(1)|M|B|I8, {0x80}}, {LEN(1)|M|P66|IZ, {0x81}}, {LEN(1)|M|P66|I8, {0x83}},
    {LEN(1)|M|B, {0x84}}, {LEN(1)|M|P66, {0x85}}, {LEN(1)|M|B, {0x86}}, {LEN(1)|M|P66, {0x87}},
    {LEN(1)|M|B, {0x88}}, {LEN(1)|M|P66, {0x89}}, {LEN(1)|M|B, {0x8a}}, {LEN(1)|M|P66, {0x8b}},
    {LEN(1)|MEM|P66, {0x8d}}, {LEN(1)|M|P66|I8, {0x6b}}, {LEN(1)|M|P66|IZ, {0x69}},
    {LEN(1)|M|B|G(0)|I8, {0xc6}}, {LEN(1)|M|P66|G(0)|IZ, {0xc7}},
    {LEN(1)|M|B|I8, {0xc0}}, {LEN(1)|M|P66|I8, {0xc1}}, {LEN(1)|M|B, {0xd0}},
    {LEN(1)|M|P66, {0xd1}}, {LEN(1)|M|B, {0xd2}}, {LEN(1)|M|P66, {0xd3}},
    {LEN(1)|M|P66|G(2), {0xd1}}, {LEN(1)|M|P66|G(3), {0xd1}},
    {LEN(1)|M|B|G(0)|I8, {0xf6}}, {LEN(1)|M|B|G(2), {0xf6}}, {LEN(1)|M|B|G(3), {0xf6}},
    {LEN(1)|M|B|G(4), {0xf6}}, {LEN(1)|M|B|G(5), {0xf6}}, {LEN(1)|M|B|G(6), {0xf6}},
    {LEN(1)|M|B|G(7), {0xf6}}, {LEN(1)|M|P66|G(0)|IZ, {0xf7}}, {LEN(1)|M|P66|G(2), {0xf7}},
    {LEN(1)|M|P66|G(3), {0xf7}}, {LEN(1)|M|P66|G(4), {0xf7}}, {LEN(1)|M|P66|G(5), {0xf7}},
    {LEN(1)|M|P66|G(6), {0xf7}}, {LEN(1)|M|P66|G(7), {0xf7}},
    {LEN(1)|M|B|G(0), {0xfe}}, {LEN(1)|M|B|G(1), {0xfe}}, {LEN(1)|M|P66|G(0), {0xff}},
    {LEN(1)|M|P66|G(1), {0xff}}, {LEN(1)|M|P66|G(6), {0xff}}, {LEN(1)|M|P66|G(0), {0x8f}},
    {LEN(1)|P66, {0x50}}, {LEN(1)|P66, {0x53}}, {LEN(1)|P66, {0x58}}, {LEN(1)|P66, {0x5b}},
    {LEN(1)|P66, {0x54}}, {LEN(1)|P66|I8, {0x6a}}, {LEN(1)|P66|IZ, {0x68}},
    {LEN(1)|P66, {0x91}}, {LEN(1)|P66, {0x98}}, {LEN(1)|P66, {0x99}}, {LEN(1)|P66, {0x9c}},
    {LEN(1), {0x9e}}, {LEN(1), {0x9f}}, {LEN(1), {0xf5}}, {LEN(1), {0xf8}}, {LEN(1), {0xf9}},
    {LEN(1), {0xfc}}, {LEN(1), {0xfd}}, {LEN(1), {0xd7}}, {LEN(1)|L64, {0x27}},
    {LEN(1)|L64|P66, {0x43}}, {LEN(1)|L64|P66, {0x4a}}, {LEN(1)|L64, {0xd6}},
    {LEN(1)|I8, {0xa8}}, {LEN(1)|P66, {0xa4}}, {LEN(1)|P66, {0xa5}}, {LEN(1), {0xa6}},
    {LEN(1)|P66, {0xa7}}, {LEN(1), {0xaa}}, {LEN(1)|P66, {0xab}}, {LEN(1), {0xac}},
    {LEN(1)|P66, {0xad}}, {LEN(1), {0xae}}, {LEN(1)|P66, {0xaf}},
    {LEN(2)|M|P66, {0x0f, 0xaf}}, {LEN(2)|M|P66, {0x0f, 0xb6}}, {LEN(2)|M, {0x0f, 0xb7}},
    {LEN(2)|M|P66, {0x0f, 0xbe}}, {LEN(2)|M, {0x0f, 0xbf}}, {LEN(2)|M|P66, {0x0f, 0x42}},
    {LEN(2)|M|P66, {0x0f, 0x44}}, {LEN(2)|M|P66, {0x0f, 0x4d}}, {LEN(2)|M|P66, {0x0f, 0x4a}},
    {LEN(2)|M|P66, {0x0f, 0x46}}, {LEN(2)|M|P66, {0x0f, 0x40}}, {LEN(2)|M|B, {0x0f, 0x92}},
    {LEN(2)|M|B, {0x0f, 0x95}}, {LEN(2)|M|B, {0x0f, 0x97}}, {LEN(2)|M|B, {0x0f, 0x90}},
    {LEN(2)|M|B, {0x0f, 0x9b}}, {LEN(2)|M|B, {0x0f, 0x98}}, {LEN(2)|M|B, {0x0f, 0x9e}},
    {LEN(2)|M|P66|REG, {0x0f, 0xa3}}, {LEN(2)|M|P66|REG, {0x0f, 0xab}},
    {LEN(2)|M|P66, {0x0f, 0xb3}}, {LEN(2)|M|P66, {0x0f, 0xbb}}, {LEN(2)|M|P66, {0x0f, 0xa3}},
    {LEN(2)|M|P66|G(4)|I8, {0x0f, 0xba}}, {LEN(2)|M|P66|G(5)|I8, {0x0f, 0xba}},
    {LEN(2)|M|P66|G(7)|I8, {0x0f, 0xba}}, {LEN(2)|M|P66|I8, {0x0f, 0xa4}},
    {LEN(2)|M|P66, {0x0f, 0xa5}}, {LEN(2)|M|P66|I8, {0x0f, 0xac}}, {LEN(2)|M|P66, {0x0f, 0xad}},
    {LEN(2)|M|B, {0x0f, 0xb0}}, {LEN(2)|M|P66, {0x0f, 0xb1}}, {LEN(2)|M|P66, {0x0f, 0xbc}},
    {LEN(2)|M|P66, {0x0f, 0xbd}}, {LEN(3)|M, {0xf3, 0x0f, 0xbc}}, {LEN(3)|M, {0xf3, 0x0f, 0xbd}},
    {LEN(3)|M, {0xf3, 0x0f, 0xb8}}, {LEN(2)|M|B, {0x0f, 0xc0}}, {LEN(2)|M|P66, {0x0f, 0xc1}},
    {LEN(2)|MEM|G(1), {0x0f, 0xc7}}, {LEN(2)|P66, {0x0f, 0xc8}}, {LEN(2), {0x0f, 0xcb}},
    {LEN(3)|MEM|P66, {0x0f, 0x38, 0xf0}}, {LEN(3)|MEM|P66, {0x0f, 0x38, 0xf1}},
    {LEN(4)|M, {0xf2, 0x0f, 0x38, 0xf0}}, {LEN(4)|M, {0xf2, 0x0f, 0x38, 0xf1}},
    {LEN(2), {0x0f, 0x31}}, {LEN(3), {0x0f, 0x01, 0xf9}}, {LEN(2)|M, {0x0f, 0x1f}},
    {LEN(1)|M|V, {0xf2}}, {LEN(1)|M|V|G(1), {0xf3}}, {LEN(1)|M|V|G(2), {0xf3}},
    {LEN(1)|M|V|G(3), {0xf3}}, {LEN(1)|M|V, {0xf5}}, {LEN(1)|M|V, {0xf6}}, {LEN(1)|M|V, {0xf7}},
    {LEN(4)|M|P66, {0xf3, 0x0f, 0x38, 0xf6}}, {LEN(4)|M, {0x66, 0x0f, 0x38, 0xf6}},
    // clang-format on
};

struct gen {
    struct t_rng rng;
    uint8_t *p, *end;
    unsigned bits;
    uint32_t cs, ds, ss; /* bases of segments; DS and ES have one */
    bool limits, wraps;
};

static unsigned below(struct gen *g, unsigned n)
{
    return (unsigned)(t_rand(&g->rng) % n);
}

static void put(struct gen *g, unsigned v)
{
    if (g->p < g->end) {
        *g->p++ = (uint8_t)v;
    }
}

static void put_le(struct gen *g, uint64_t v, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++) {
        put(g, (unsigned)(v >> (8 * k) & 0xff));
    }
}

/* A register that the program may change. */
static unsigned reg(struct gen *g, bool byte, bool rex)
{
    static const uint8_t free_regs[] = {0, 1, 2, 3, 5, 0, 1, 2};
    return byte && !rex ? below(g, 8) : free_regs[below(g, 8)];
}

static void put_modrm(struct gen *g, const struct word *w, bool rex)
{
    bool byte = w->how & B;
    unsigned r = w->how & 1u << 9 ? w->how >> 10 & 7 : reg(g, byte, rex);
    bool mem = w->how & MEM || (!(w->how & REG) && below(g, 2));
    if (!mem) {
        put(g, 0xc0 | r << 3 | reg(g, byte, rex));
    } else if (g->bits == 16) {
        put(g, 0x40 | r << 3 | (below(g, 2) ? 4 : 5));
        put(g, below(g, 256));
    } else if (below(g, 4) == 0) { /* [rsi + rcx * scale + n]: mostly far away; [rsp + n] */
        bool sp = below(g, 16) != 0;
        put(g, 0x44 | r << 3);
        put(g, sp ? 0x24 : below(g, 4) << 6 | 1 << 3 | 6);
        put(g, below(g, 128));
    } else {
        put(g, 0x40 | r << 3 | (below(g, 2) ? 6 : 7));
        put(g, below(g, 256));
    }
}

static void put_word(struct gen *g)
{
    const struct word *w = &words[below(g, ARRAY_LEN(words))];
    unsigned osz = g->bits == 16 ? 2 : 4, n = w->how >> 16 & 7, rex = 0;
    uint64_t r = t_rand(&g->rng);
    if ((w->how & L64) && g->bits == 64) {
        return;
    }
    if (w->how & V) {
        if (g->bits == 16) {
            return;
        }
        bool wide = g->bits == 64 && (r & 1);
        /* R, X, B inverted: registers 8-15 for modrm.reg now and then */
        put(g, 0xc4);
        put(g, (g->bits == 64 && (r & 2) ? 0x60 : 0xe0) | 2);
        put(g, (wide ? 0x80u : 0) | (15u - reg(g, false, true)) << 3 | (r >> 8 & 3));
        put(g, w->op[0]);
        put_modrm(g, w, true);
        return;
    }
    if ((w->how & P66) && (r & 7) == 0) {
        put(g, 0x66);
        osz = osz == 2 ? 4 : 2;
    }
    unsigned k = 0;
    for (; k < n && (w->op[k] == 0xf2 || w->op[k] == 0xf3 || w->op[k] == 0x66); k++) {
        put(g, w->op[k]);
    }
    if (g->bits == 64 && (r >> 8 & 1)) {
        rex = 0x40 | (unsigned)((r >> 9 & 1) << 3) | (unsigned)((r >> 10 & 1) << 2);
        put(g, rex);
    }
    for (; k < n; k++) {
        put(g, w->op[k]);
    }
    if (w->how & (M | MEM)) {
        put_modrm(g, w, rex != 0);
    }
    if (w->how & I8) {
        put(g, r >> 32 & 1 ? (unsigned)(r >> 40 & 0xff) : (unsigned)(r >> 40 & 3));
    } else if (w->how & IZ) {
        put_le(g, r >> 16, rex & 8 ? 4 : osz);
    }
}

/* mov reg, imm of the code's size. */
static void put_set(struct gen *g, unsigned r, uint64_t v)
{
    put(g, 0xb8 | r);
    put_le(g, v, g->bits == 16 ? 2 : 4);
}

static void put_pointers(struct gen *g)
{
    uint64_t data = g->bits == 16 ? 0x4000 : DATA;
    put_set(g, 6, data + below(g, 4096));
    put_set(g, 7, data + 0x1000 + below(g, 4096));
    put_set(g, 4, g->wraps ? below(g, 12) * 2 : STACK - below(g, 64) * 4);
}

static void generate(struct gen *g, uint8_t *code)
{
    g->p = code;
    g->end = code + CODE_LEN - 5;
    uint8_t *next_set = code;
    while (g->p < g->end) {
        if (g->p >= next_set) {
            put_pointers(g);
            next_set = g->p + 100 + below(g, 200);
        } else if (below(g, 8) ==
                   0) { /* a short jump to the next instruction, or over some bytes */
            put(g, below(g, 6) ? 0x70 + below(g, 16) : 0xe0 + below(g, 4));
            put(g, below(g, 10) ? 0 : below(g, 12));
        } else {
            put_word(g);
        }
    }
    g->end += 5;
    g->p = code + CODE_LEN - 5;
    put(g, 0xe9);
    put_le(g, (uint64_t)RESTART - (CODE + CODE_LEN - 5 + (g->bits == 16 ? 3 : 5)),
           g->bits == 16 ? 2 : 4);
}

static void generate_restart(struct gen *g, uint8_t *code)
{
    g->p = code;
    g->end = code + 64;
    put_pointers(g);
    if (g->bits == 64) { /* inc dword [COUNT]; mov ecx, [COUNT]; and ecx, 31; jmp [table] */
        put_le(g, 0x2504ff | (uint64_t)COUNT << 24, 7);
        put_le(g, 0x250c8b | (uint64_t)COUNT << 24, 7);
        put_le(g, 0x1fe183, 3);
        put_le(g, 0xcd24ff | (uint64_t)TABLE << 24, 7);
    } else if (g->bits == 32) {
        put_le(g, 0x05ff | (uint64_t)COUNT << 16, 6);
        put_le(g, 0x0d8b | (uint64_t)COUNT << 16, 6);
        put_le(g, 0x1fe183, 3);
        put_le(g, 0x8d24ff | (uint64_t)TABLE << 24, 7);
    } else {
        put_le(g, 0x06ff | COUNT << 16, 4);
        put_le(g, 0x0e8b | COUNT << 16, 4);
        put_le(g, 0x1fe183, 3);
        put_le(g, 0xdb01cb89, 4); /* mov bx, cx; add bx, bx */
        put_le(g, 0xa7ff | TABLE << 16, 4);
    }
}

/* Vectors or gates that lead to the restart, and descriptors as bare_mode has them. */
static void put_tables(struct bare *b, struct gen *g)
{
    struct cpu_state *st = &b->cpu->s;
    uint8_t d[16] = {0};
    unsigned entry = g->bits / 8;
    for (unsigned k = 0; k < 32; k++) {
        le64_put(d, CODE + below(g, CODE_LEN));
        ram_write(&b->ram, g->ds + TABLE + entry * k, d, entry);
    }
    le64_put(d, RESTART | g->cs >> 4 << 16);
    for (unsigned v = 0; v < 256 && g->bits == 16; v++) {
        ram_write(&b->ram, 4 * v, d, 4);
    }
    if (g->bits == 16) {
        return;
    }
    for (unsigned k = 0; k < 8; k++) {
        uint64_t cs = g->bits == 64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff;
        le64_put(d, k == SEG_CS + 1 ? cs | (uint64_t)g->cs << 16 : 0x00cf93000000ffff);
        ram_write(&b->ram, GDT + 8 * k, d, 8);
    }
    unsigned size = g->bits == 64 ? 16 : 8;
    for (unsigned v = 0; v < 256; v++) {
        le64_put(d, RESTART | 8u * (SEG_CS + 1) << 16 | UINT64_C(0x8f00) << 32);
        ram_write(&b->ram, IDT + v * size, d, size);
    }
    st->gdt_base = GDT;
    st->gdt_limit = 8 * 8 - 1;
    st->idt_base = IDT;
    st->idt_limit = (uint16_t)(256 * size - 1);
}

/* Segments where the program has them. In half the programs they have bases, some a limit. */
static void put_segments(struct bare *b, const struct gen *g)
{
    const uint32_t base[] = {
        [SEG_ES] = g->ds, [SEG_CS] = g->cs, [SEG_SS] = g->ss, [SEG_DS] = g->ds};
    for (unsigned k = 0; k < ARRAY_LEN(base) && (g->cs | g->ds); k++) {
        struct seg *s = &b->cpu->s.seg[k];
        s->base = base[k];
        s->sel = g->bits == 16 ? (uint16_t)(base[k] >> 4) : s->sel;
        if (k == SEG_DS && g->limits) {
            s->limit = g->bits == 16 ? 0x5d03 : DATA + 0x1d03;
        } else if (k == SEG_DS && g->bits == 32) { /* seldom met */
            s->limit = DATA + 0x1fff;
        }
        if (k == SEG_SS && g->limits && !g->wraps) {
            s->limit = STACK - 7;
        }
    }
}

static struct bare *build(unsigned bits, uint64_t seed)
{
    struct bare *b = bare_new("", RAM_BYTES);
    struct gen g = {.rng = {seed * 2654435761u + 1}, .bits = bits};
    uint8_t code[CODE_LEN + 8], restart[64] = {0}, data[0x3000];
    if (bits != 64 && seed & 4) {
        g.cs = 16 * below(&g, 256);
        g.ds = 0x10000 + 16 * below(&g, 512);
        g.ss = 0x20000 + 16 * below(&g, 512);
        g.limits = seed & 8;
        g.wraps = bits == 16 && (seed & 16);
    }
    generate(&g, code);
    generate_restart(&g, restart);
    ram_write(&b->ram, g.cs + RESTART, restart, sizeof restart);
    ram_write(&b->ram, g.cs + CODE, code, CODE_LEN);
    for (unsigned k = 0; k < sizeof data; k++) {
        data[k] = (uint8_t)t_rand(&g.rng);
    }
    ram_write(&b->ram, g.ds + (bits == 16 ? 0x4000 : DATA), data, sizeof data);
    put_tables(b, &g);
    bare_mode(b, bits, 0);
    put_segments(b, &g);
    for (unsigned k = 0; k < 16; k++) {
        uint64_t r = t_rand(&g.rng);
        b->cpu->s.gpr[k] = bits == 64 ? r >> (r & 63) : (uint32_t)r;
    }
    b->cpu->s.gpr[REG_RSP] = STACK;
    b->cpu->s.rip = CODE;
    b->cpu->s.rflags = FL_1 | (t_rand(&g.rng) & FL_ARITH);
    cpu_restored(b->cpu);
    if (getenv("T_SHOW")) {
        FILE *f = fopen("a.bin", "wb");
        if (f) {
            fwrite(code, 1, CODE_LEN, f);
            fclose(f);
        }
    }
    return b;
}

/* What differs in the registers; if nothing, it is memory. */
static void show(const struct cpu_state *want, const struct cpu_state *got)
{
    for (unsigned k = 0; k < 16; k++) {
        if (want->gpr[k] != got->gpr[k]) {
            printf("  register %u: %llx, interpreted %llx\n", k, (unsigned long long)got->gpr[k],
                   (unsigned long long)want->gpr[k]);
        }
    }
    printf("  rip %llx flags %llx, interpreted rip %llx flags %llx\n", (unsigned long long)got->rip,
           (unsigned long long)got->rflags, (unsigned long long)want->rip,
           (unsigned long long)want->rflags);
}

static bool same(unsigned bits, uint64_t seed, uint64_t n, uint64_t *compiled)
{
    static const uint64_t slices[] = {0, 0, 33, 700};
    static const struct engine_options engines[ARRAY_LEN(slices)] = {
        [1] = {.jit = true, .threshold = 1, .buffer = 1u << 20},
        [2] = {.jit = true, .threshold = 2, .buffer = 1u << 20},
        [3] = {.jit = true, .threshold = 4, .buffer = 1u << 20, .no_links = true},
    };
    uint64_t want = 0, want_done = 0;
    struct cpu_state first = {0}, state;
    for (unsigned k = 0; k < ARRAY_LEN(slices); k++) {
        struct bare *b = build(bits, seed);
        if (engines[k].jit) {
            bare_engine(b, &engines[k]);
        }
        uint64_t done = bare_run(b, n, slices[k]), got = bare_digest(b);
        *compiled += b->engine ? engine_stats(b->engine).insns : 0;
        state = b->cpu->s;
        bare_free(b);
        if (k == 0) {
            first = state;
            want = got;
            want_done = done;
        } else if (got != want || done != want_done) {
            printf("FAIL program %llu, %u-bit, %llu units: %s, slices of %llu: ended after %llu, "
                   "%016llx; interpreted after %llu, %016llx\n",
                   (unsigned long long)seed, bits, (unsigned long long)n,
                   engines[k].jit ? "compiled" : "interpreted", (unsigned long long)slices[k],
                   (unsigned long long)done, (unsigned long long)got, (unsigned long long)want_done,
                   (unsigned long long)want);
            show(&first, &state);
            return false;
        }
    }
    return true;
}

TEST(programs_end_the_same_compiled)
{
    uint64_t runs = t_amount(60, 1000, 100000), seed = t_seed() * 1000000, failed = 0, insns = 0;
    static const unsigned bits[] = {64, 32, 64, 16};
    const char *one = getenv("T_CASE"), *units = getenv("T_UNITS");
    uint64_t n = units ? strtoull(units, NULL, 0) : 20000;
    if (one) {
        uint64_t k = strtoull(one, NULL, 0);
        EXPECT(same(bits[k % ARRAY_LEN(bits)], k, n, &insns));
        return;
    }
    for (uint64_t k = 0; k < runs && failed < 5; k++) {
        failed += !same(bits[(seed + k) % ARRAY_LEN(bits)], seed + k, n, &insns);
    }
    printf("%llu instructions compiled\n", (unsigned long long)insns);
    t_cases(runs - failed, failed, 0);
}
