/*
 * Random instructions of the kinds that the JIT compiles, interpreted and compiled.
 *
 * fuzz_exec takes random bytes, which seldom make long blocks and rarely look at the flags that
 * they leave. Here whole programs are made: a few dozen instructions of every kind and operand
 * shape that micro-operations have, with jumps over some of them, in a loop; registers and memory
 * are biased to extremes, some pointers to page ends. Each runs interpreted, compiled in one slice,
 * and compiled in short ones; registers, flags and RAM must end equal. A program that fails is cut
 * to its shortest failing head before it is reported.
 *
 * Amount: T_LEVEL; seed: T_SEED; one program: T_CASE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/sem.h"
#include "tests/lib/bare.h"
#include "tests/t.h"

enum { RAM_BYTES = 1 << 18, CODE = 0x8000, DATA = 0x10000, COUNTER = 0x7f00, INSNS = 40 };

struct prog {
    struct t_rng rng;
    bool wide;  /* 64-bit code */
    bool ring0; /* at CPL 0, with instructions that need it */
    uint8_t code[2048];
    unsigned len;
    unsigned last; /* where the last instruction begins */
};

static unsigned rnd(struct prog *p, unsigned n)
{
    return (unsigned)t_rand_below(&p->rng, n);
}

static void byte(struct prog *p, unsigned v)
{
    p->code[p->len++] = (uint8_t)v;
}

static void bytes(struct prog *p, uint64_t v, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        byte(p, (unsigned)(v >> (8 * k) & 0xff));
    }
}

static uint64_t value(struct prog *p)
{
    static const uint64_t special[] = {
        0,          1,          2,           0x7f,      0x80,      0xff,       0x100,     0x7fff,
        0x8000,     0xffff,     0x7fffffff,  INT64_MAX, INT64_MIN, UINT64_MAX, 0x1000001, 0xfff,
        0x80000000, 0xffffffff, 0x100000000, 0xff00,    31,        32,         63,        0x10203};
    uint64_t r = t_rand(&p->rng);
    return r & 1 ? special[(r >> 8) % ARRAY_LEN(special)] : r & 2 ? r >> (r >> 58) : (r >> 8 & 15);
}

/* RBX RSI RDI R13 point at data and RBP is a small index; they are seldom written. */
static unsigned any_reg(struct prog *p)
{
    static const uint8_t free[] = {0, 1, 2, 0, 1, 2, 8, 9, 10, 11, 12, 14, 15};
    static const uint8_t free32[] = {0, 1, 2};
    if (rnd(p, 12) == 0) {
        unsigned r = rnd(p, p->wide ? 16 : 8);
        return r == 4 ? 0 : r;
    }
    return p->wide ? free[rnd(p, sizeof free)] : free32[rnd(p, sizeof free32)];
}

static unsigned target_reg(struct prog *p)
{
    unsigned r = any_reg(p);
    return r == 3 || r == 5 || r == 6 || r == 7 || r == 13 ? 0 : r;
}

/* Prefixes for width w, opcode, ModRM with `reg` and a memory or register operand. w is 1, 2, 4, 8;
 * imm: bytes that follow, for nothing here. rm >= 0: that register. */
static void insn(struct prog *p, unsigned w, unsigned op, unsigned reg, int rm)
{
    static const uint8_t bases[] = {3, 6, 7, 13};
    bool mem = rm < 0, scaled = mem && rnd(p, 3) == 0, asz = mem && p->wide && rnd(p, 16) == 0;
    unsigned base = bases[rnd(p, p->wide ? 4 : 3)], form = rnd(p, 8), r = mem ? base : (unsigned)rm;
    bool absolute = mem && form == 0;
    scaled = scaled && !absolute;
    if (asz) {
        byte(p, 0x67);
    }
    if (w == 2) {
        byte(p, 0x66);
    }
    unsigned rex = (w == 8 ? 8u : 0) | (reg & 8) >> 1 | (absolute ? 0 : (r & 8) >> 3);
    if (p->wide && (rex || (w == 1 && rnd(p, 2)))) {
        byte(p, 0x40 | rex);
    }
    if (op > 0xff) {
        byte(p, op >> 8);
    }
    byte(p, op & 0xff);
    reg = (reg & 7) << 3;
    if (!mem) {
        byte(p, 0xc0 | reg | (r & 7));
    } else if (absolute) { /* RIP-relative in 64-bit code */
        byte(p, reg | 5);
        uint32_t at = DATA + rnd(p, 3000);
        bytes(p, p->wide ? at - CODE - p->len - 4 : at, 4);
    } else if (scaled) {
        byte(p, reg | 0x44);
        byte(p, rnd(p, 4) << 6 | 5 << 3 | (r & 7));
        byte(p, rnd(p, 256));
    } else if (form < 3 && r != 13) {
        byte(p, reg | (r & 7));
    } else if (form < 7) {
        byte(p, 0x40 | reg | (r & 7));
        byte(p, rnd(p, 256));
    } else {
        byte(p, 0x80 | reg | (r & 7));
        bytes(p, rnd(p, 8192) - 2048u, 4);
    }
}

static unsigned width(struct prog *p)
{
    static const uint8_t w[] = {4, 8, 4, 1, 2, 8, 1};
    unsigned v = w[rnd(p, sizeof w)];
    return v == 8 && !p->wide ? 4 : v;
}

/* Register or memory operand, as insn's rm. */
static int operand(struct prog *p, bool written)
{
    return rnd(p, 5) < 2 ? -1 : (int)(written ? target_reg(p) : any_reg(p));
}

static void imm(struct prog *p, unsigned n)
{
    bytes(p, value(p), n);
}

static void arithmetic(struct prog *p)
{
    unsigned w = width(p), op = rnd(p, 8), big = w > 1;
    switch (rnd(p, 8)) {
    case 0:
    case 1:
        insn(p, w, op << 3 | big, any_reg(p), operand(p, op != 7));
        break;
    case 2:
        insn(p, w, op << 3 | 2 | big, target_reg(p), operand(p, false));
        break;
    case 3:
        insn(p, w, big ? 0x83 : 0x80, op, operand(p, op != 7));
        imm(p, 1);
        break;
    case 4:
        insn(p, w, 0x80 | big, op, operand(p, op != 7));
        imm(p, w == 8 ? 4 : w);
        break;
    case 5:
        insn(p, w, 0xfe | big, rnd(p, 2), operand(p, true));
        break;
    case 6:
        insn(p, w, 0xf6 | big, 2 + rnd(p, 2), operand(p, true));
        break;
    default:
        if (rnd(p, 2)) {
            unsigned r = any_reg(p);
            insn(p, w, 0x84 | big, r, rnd(p, 2) ? (int)r : operand(p, false));
        } else {
            insn(p, w, 0xf6 | big, 0, operand(p, false));
            imm(p, w == 8 ? 4 : w);
        }
        break;
    }
}

static void look_at_flags(struct prog *p)
{
    if (rnd(p, 2)) {
        insn(p, 1, 0x0f90 | rnd(p, 16), 0, operand(p, true));
    } else {
        unsigned w = width(p);
        insn(p, w == 1 ? 4 : w, 0x0f40 | rnd(p, 16), target_reg(p), operand(p, false));
    }
}

static void move(struct prog *p)
{
    unsigned w = width(p), big = w > 1;
    switch (rnd(p, 9)) {
    case 0:
        insn(p, w, 0x88 | big, any_reg(p), operand(p, true));
        break;
    case 1:
        insn(p, w, 0x8a | big, target_reg(p), operand(p, false));
        break;
    case 2:
        insn(p, w, 0xc6 | big, 0, operand(p, true));
        imm(p, w == 8 ? 4 : w);
        break;
    case 3:
        insn(p, big ? w : 4, 0x0fb6 | rnd(p, 2), target_reg(p), operand(p, false));
        break;
    case 4:
        insn(p, big ? w : 4, 0x0fbe | rnd(p, 2), target_reg(p), operand(p, false));
        break;
    case 5:
        insn(p, big ? w : 4, 0x8d, target_reg(p), -1);
        break;
    case 6:
        insn(p, w, 0x86 | big, target_reg(p), operand(p, true));
        break;
    case 7:
        if (p->wide) {
            insn(p, 8, 0x63, target_reg(p), operand(p, false));
        }
        break;
    default: {
        unsigned r = target_reg(p);
        if (p->wide) {
            byte(p, 0x48 | (r >> 3));
        }
        byte(p, 0xb8 | (r & 7));
        imm(p, p->wide ? 8 : 4);
        if (rnd(p, 2)) {
            if (p->wide) {
                byte(p, 0x48 | (r >> 3));
            }
            byte(p, 0x0f);
            byte(p, 0xc8 | (r & 7));
        }
        break;
    }
    }
}

static void shift(struct prog *p)
{
    static const uint8_t ns[] = {0, 1, 4, 5, 7};
    unsigned w = width(p), big = w > 1, n = ns[rnd(p, sizeof ns)], kind = rnd(p, 4);
    insn(p, w, (kind == 0 ? 0xd0 : kind == 1 ? 0xd2 : 0xc0) | big, n, operand(p, true));
    if (kind > 1) {
        imm(p, 1);
    }
}

static void multiply(struct prog *p)
{
    unsigned w = width(p);
    w = w == 1 ? 4 : w;
    switch (rnd(p, 5)) {
    case 0:
        insn(p, w, 0x0faf, target_reg(p), operand(p, false));
        break;
    case 1:
        insn(p, w, 0x6b, target_reg(p), operand(p, false));
        imm(p, 1);
        break;
    case 2:
        insn(p, w, 0x69, target_reg(p), operand(p, false));
        imm(p, w == 2 ? 2 : 4);
        break;
    case 3:
        insn(p, w, 0xf7, 4 + rnd(p, 2), operand(p, false));
        break;
    default: { /* CDQ or XOR EDX, then a divisor that is not 0 */
        unsigned r = 1 + 7 * rnd(p, p->wide ? 2 : 1), wd = w == 2 ? 4 : w, sign = rnd(p, 2);
        insn(p, wd, 0x83, 1, (int)r);
        byte(p, 0x10);
        if (sign) {
            if (wd == 8) {
                byte(p, 0x48);
            }
            byte(p, 0x99);
        } else {
            insn(p, 4, 0x31, 2, 2);
        }
        insn(p, wd, 0xf7, 6 + sign, (int)r);
        break;
    }
    }
}

static void bit(struct prog *p)
{
    unsigned w = width(p), kind = rnd(p, 4);
    w = w == 1 ? 2 : w;
    if (rnd(p, 2)) {
        insn(p, w, 0x0fba, 4 + kind, operand(p, kind != 0));
        imm(p, 1);
    } else {
        insn(p, w, 0x0fa3 | kind << 3, any_reg(p), (int)target_reg(p));
    }
}

static void stack(struct prog *p)
{
    unsigned r = any_reg(p), d = target_reg(p);
    if (rnd(p, 4) == 0) { /* a call over a jump, whose return comes to that */
        bytes(p, 0x2e8, 5);
        bytes(p, 0x01eb, 2);
        byte(p, 0xc3);
        return;
    }
    if (rnd(p, 6) == 0) {
        insn(p, 4, 0xff, 6, -1);
    } else if (rnd(p, 3) == 0) {
        byte(p, 0x6a);
        imm(p, 1);
    } else {
        if (r & 8) {
            byte(p, 0x41);
        }
        byte(p, 0x50 | (r & 7));
    }
    if (d & 8) {
        byte(p, 0x41);
    }
    byte(p, 0x58 | (d & 7));
}

/* SHLX SARX SHRX MULX RORX of registers, and MOVBE. */
static void bmi(struct prog *p)
{
    unsigned d = target_reg(p), v = target_reg(p), s = any_reg(p), kind = rnd(p, 6), w = rnd(p, 2);
    static const uint8_t pp[] = {1, 2, 3, 3, 3};
    if (kind == 5) {
        byte(p, 0x0f); /* MOVBE EAX or ECX, [ESI] and back */
        byte(p, 0x38);
        byte(p, 0xf0 | w);
        byte(p, 6 | rnd(p, 2) << 3);
        return;
    }
    byte(p, 0xc4);
    byte(p, (d & 8 ? 0 : 0x80) | 0x40 | (s & 8 ? 0 : 0x20) | (kind == 4 ? 3 : 2));
    byte(p, (p->wide && w ? 0x80u : 0) | (kind == 4 ? 0x78 : (~v & 15) << 3) | pp[kind]);
    byte(p, kind == 4 ? 0xf0 : kind == 3 ? 0xf6 : 0xf7);
    byte(p, 0xc0 | (d & 7) << 3 | (s & 7));
    if (kind == 4) {
        imm(p, 1);
    }
}

/* CMPXCHG, XADD, BSF and its like, SHLD, SHRD. */
static void more(struct prog *p)
{
    static const uint8_t scans[] = {0xbc, 0xbd, 0xb8, 0xbc, 0xbd};
    unsigned w = width(p), k = rnd(p, sizeof scans), big = w > 1;
    switch (rnd(p, 5)) {
    case 4:
        bmi(p);
        break;
    case 0:
        insn(p, w, 0x0fb0 | big, any_reg(p), operand(p, true));
        break;
    case 1:
        insn(p, w, 0x0fc0 | big, target_reg(p), operand(p, true));
        break;
    case 2:
        if (k > 1) {
            byte(p, 0xf3); /* POPCNT, TZCNT, LZCNT */
        }
        insn(p, 4, 0x0f00u | scans[k], target_reg(p), operand(p, false));
        break;
    default:
        insn(p, 4, rnd(p, 2) ? 0x0fa4 : 0x0fac, any_reg(p), operand(p, true));
        imm(p, 1);
        break;
    }
}

/* Flags as a value on the stack and back, perhaps others: PUSHF, LAHF, SAHF, POPF (TF stays). */
static void flag_image(struct prog *p)
{
    switch (rnd(p, 4)) {
    case 0:
        byte(p, 0x9f);
        break;
    case 1:
        byte(p, 0x9e);
        break;
    case 2: {
        unsigned d = target_reg(p);
        byte(p, 0x9c);
        if (d & 8) {
            byte(p, 0x41);
        }
        byte(p, 0x58 | (d & 7));
        break;
    }
    default:
        byte(p, 0x9c);
        byte(p, 0x66); /* XOR or OR word [rSP], flags of all kinds */
        bytes(p, rnd(p, 2) ? 0x243481 : 0x240c81, 3);
        bytes(p, value(p) & (rnd(p, 4) ? 0x0ad5 : 0x7ed5), 2);
        byte(p, 0x9d);
        break;
    }
}

/* CMPS, SCAS, with the pointers brought back; PUSH of a segment register. */
static void string(struct prog *p)
{
    unsigned op = rnd(p, 2) ? 0xa6 : 0xae, w = width(p);
    int n = w == 1 ? 1 : w == 2 ? 2 : w == 8 ? 8 : 4;
    if (rnd(p, 4) == 0) {
        byte(p, 0x0f);
        byte(p, rnd(p, 2) ? 0xa0 : 0xa8);
        byte(p, 0x58 | (target_reg(p) & 3 & ~1u));
        return;
    }
    if (w == 2) {
        byte(p, 0x66);
    }
    if (w == 8) {
        byte(p, 0x48);
    }
    byte(p, op | (w > 1));
    if (rnd(p, 2)) {
        look_at_flags(p);
    }
    insn(p, p->wide ? 8 : 4, 0x8d, 7, 7); /* LEA rDI, [rDI - n] */
    p->code[p->len - 1] = 0x7f;
    byte(p, (unsigned)-n & 0xff);
    if (op == 0xa6) {
        insn(p, p->wide ? 8 : 4, 0x8d, 6, 6);
        p->code[p->len - 1] = 0x76;
        byte(p, (unsigned)-n & 0xff);
    }
}

/* CLI, STI, CLAC, STAC, SWAPGS. */
static void privileged(struct prog *p)
{
    static const uint8_t third[] = {0xca, 0xcb, 0xf8};
    unsigned k = rnd(p, p->wide ? 5 : 4);
    if (k < 2) {
        byte(p, 0xfa + k);
    } else {
        byte(p, 0x0f);
        byte(p, 0x01);
        byte(p, third[k - 2]);
    }
}

static void one(struct prog *p)
{
    static void (*const kinds[])(struct prog *) = {
        arithmetic, arithmetic, arithmetic, look_at_flags, look_at_flags, move,
        move,       shift,      multiply,   bit,           more,          stack};
    unsigned r = rnd(p, 40);
    if (r == 0) {
        byte(p, 0x98);
    } else if (r == 1) {
        byte(p, rnd(p, 2) ? 0x99 : 0xf8 + rnd(p, 2)); /* CDQ; CLC, STC */
    } else if (r < 4 && p->ring0) {
        privileged(p);
    } else if (r < 6) {
        flag_image(p);
    } else if (r == 6) {
        string(p);
    } else {
        kinds[r % ARRAY_LEN(kinds)](p);
    }
}

/* The program's first `insns` instructions, in a loop. */
static void generate(struct prog *p, uint64_t seed, unsigned insns, bool wide)
{
    *p = (struct prog){.rng = {seed * UINT64_C(0x9e3779b97f4a7c15)}, .wide = wide};
    p->ring0 = rnd(p, 2);
    for (unsigned k = 0; k < insns; k++) {
        p->last = p->len;
        if (rnd(p, 6) == 0) { /* JCC over one */
            byte(p, 0x70 | rnd(p, 16));
            unsigned at = p->len;
            byte(p, 0);
            one(p);
            p->code[at] = (uint8_t)(p->len - at - 1);
        } else {
            one(p);
        }
    }
    byte(p, 0xff); /* DEC dword [COUNTER] */
    byte(p, 0x0d);
    bytes(p, wide ? COUNTER - CODE - p->len - 4u : (unsigned)COUNTER, 4);
    byte(p, 0x0f);
    byte(p, 0x85);
    bytes(p, 0u - (p->len + 4u), 4);
    byte(p, 0xf4);
}

static uint64_t run(const struct prog *p, uint64_t seed, const struct engine_options *o,
                    uint64_t slice)
{
    struct bare *b = bare_new("", RAM_BYTES);
    struct prog v = {.rng = {seed * 77 + 5}};
    uint8_t le[8];
    ram_write(&b->ram, CODE, p->code, p->len);
    for (unsigned k = 0; k < 3 * 4096 / 8; k++) {
        le64_put(le, value(&v));
        ram_write(&b->ram, DATA - 4096 + 8 * k, le, 8);
    }
    le32_put(le, 12);
    ram_write(&b->ram, COUNTER, le, 4);
    if (o && !b->engine) {
        bare_engine(b, o);
    }
    bare_mode(b, p->wide ? 64 : 32, p->ring0 ? 0 : 3);
    uint64_t *r = b->cpu->s.gpr;
    for (unsigned k = 0; k < 16; k++) {
        r[k] = value(&v);
        if (k == 3 || k == 6 || k == 7 || k == 13) {
            r[k] = DATA + (rnd(&v, 3) ? rnd(&v, 3000) : 4096 - rnd(&v, 12));
        }
    }
    r[REG_RBP] = rnd(&v, 64);
    r[REG_RSP] = 0x7000 + (rnd(&v, 4) ? 0 : rnd(&v, 16));
    b->cpu->s.rip = CODE;
    b->cpu->s.rflags = FL_1 | (t_rand(&v.rng) & FL_ARITH);
    cpu_restored(b->cpu);
    uint64_t done = bare_run(b, 3000, slice), d = bare_digest(b);
    bare_free(b);
    return d ^ done << 48;
}

/* Does the head of `insns` instructions run the same everywhere? */
static bool same(struct prog *p, uint64_t seed, unsigned insns, bool wide)
{
    static const struct {
        struct engine_options o;
        uint64_t slice;
    } how[] = {
        {{.jit = true, .threshold = 1, .buffer = 1u << 20}, 0},
        {{.jit = true, .threshold = 2, .buffer = 1u << 20}, 37},
        {{.jit = true, .threshold = 1, .buffer = 1u << 20, .no_links = true}, 100},
    };
    generate(p, seed, insns, wide);
    uint64_t want = run(p, seed, NULL, 0);
    for (unsigned k = 0; k < ARRAY_LEN(how); k++) {
        if (run(p, seed, &how[k].o, how[k].slice) != want) {
            return false;
        }
    }
    return true;
}

static bool program(uint64_t seed)
{
    struct prog p;
    bool wide = seed % 3 != 0;
    if (same(&p, seed, INSNS, wide)) {
        return true;
    }
    unsigned n = 1;
    while (n < INSNS && same(&p, seed, n, wide)) {
        n++;
    }
    generate(&p, seed, n, wide);
    printf("FAIL program %llu, %u-bit: %u instructions run otherwise compiled; the last:",
           (unsigned long long)seed, wide ? 64u : 32u, n);
    for (unsigned k = p.last; k + 13 < p.len; k++) {
        printf(" %02x", p.code[k]);
    }
    printf("\n  all:");
    for (unsigned k = 0; k + 13 < p.len; k++) {
        printf(" %02x", p.code[k]);
    }
    printf("\n  repeat: T_CASE=%llu tests/fuzz/fuzz_jit\n", (unsigned long long)seed);
    return false;
}

TEST(compiled_programs_run_as_interpreted_ones)
{
    const char *only = getenv("T_CASE");
    uint64_t n = t_amount(300, 6000, 1000000), seed = t_seed() * 1000000, failed = 0;
    if (getenv("T_ENGINE")) {
        SKIP("T_ENGINE would compile both");
        return;
    }
    if (only) {
        seed = strtoull(only, NULL, 0);
        n = 1;
    }
    for (uint64_t k = 0; k < n && failed < 5; k++) {
        failed += !program(seed + k);
    }
    t_cases(n - failed, failed, 0);
}
