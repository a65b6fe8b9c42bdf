/*
 * Programs that overwrite their own code, interpreted and compiled: immediates patched again and
 * again (which become holes, cpu/holes.h), opcodes changed, stores across both, into the running
 * block, into functions about to be called. Every engine sees the same.
 */
#include <string.h>

#include "tests/lib/bare.h"
#include "tests/t.h"
#include "util/bits.h"

enum { MAIN = 0x8000, FUNCTIONS = 0x9000, DATA = 0xa000, STACK = 0x10000, PLACES = 64 };

/* A program being made. */
struct prog {
    uint64_t state;
    uint8_t code[0x2000]; /* from MAIN */
    unsigned at;
    struct {
        unsigned opc, imm, size; /* addresses; opc 0: its opcode stays */
    } place[PLACES];
    unsigned places;
    unsigned fn[6];
};

static unsigned below(struct prog *p, unsigned n)
{
    p->state ^= p->state << 13;
    p->state ^= p->state >> 7;
    p->state ^= p->state << 17;
    return (unsigned)(p->state >> 20) % n;
}

static void put(struct prog *p, const char *bytes, unsigned n, unsigned size, uint32_t v)
{
    memcpy(p->code + p->at, bytes, n);
    le_put(p->code + p->at + n, 4, v);
    p->at += n + size;
}

/* eax with an immediate of 32 bits: any of these opcodes may become any other. */
static const uint8_t alike[] = {0x05, 0x0d, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0xa9, 0xb8};

static void note(struct prog *p, bool opcode, unsigned size)
{
    if (p->places < PLACES) {
        unsigned imm = MAIN + p->at - size;
        p->place[p->places].opc = opcode ? imm - 1 : 0;
        p->place[p->places].imm = imm;
        p->place[p->places++].size = size;
    }
}

/* An instruction with an immediate. */
static void insn_imm(struct prog *p)
{
    static const struct {
        const char *bytes;
        uint8_t n, size;
    } kinds[] = {
        {"\x81\xc3", 2, 4}, {"\x81\xd2", 2, 4},     {"\x81\xfb", 2, 4}, {"\x69\xc0", 2, 4},
        {"\x69\xc3", 2, 4}, {"\x80\xf3", 2, 1},     {"\x80\xc7", 2, 1}, {"\x66\x81\xc2", 3, 2},
        {"\x83\xc0", 2, 1}, {"\xc1\xc0", 2, 1},     {"\xbb", 1, 4},     {"\xb7", 1, 1},
        {"\xf7\xc3", 2, 4}, {"\xf6\xc4", 2, 1},     {"\xa8", 1, 1},     {"\xc7\x06", 2, 4},
        {"\x81\x36", 2, 4}, {"\x0f\xba\xe0", 3, 1}, {"\x6b\xc3", 2, 1},
    };
    unsigned k = below(p, 2 * ARRAY_LEN(kinds));
    if (k < ARRAY_LEN(kinds)) {
        put(p, kinds[k].bytes, kinds[k].n, kinds[k].size, below(p, ~0u));
        note(p, false, kinds[k].size);
    } else if (k == ARRAY_LEN(kinds)) { /* push imm32; pop ebx */
        put(p, "\x68", 1, 4, below(p, ~0u));
        note(p, false, 4);
        put(p, "\x5b", 1, 0, 0);
    } else {
        char op = (char)alike[below(p, ARRAY_LEN(alike))];
        put(p, &op, 1, 4, below(p, ~0u));
        note(p, true, 4);
    }
    if (below(p, 4) == 0) { /* flags: setc dl; adc ebx, 0 */
        put(p, "\x0f\x92\xc2\x83\xd3\x00", 6, 0, 0);
    }
    if (below(p, 6) == 0) { /* a block's end: jns over; not eax */
        put(p, "\x79\x02\xf7\xd0", 4, 0, 0);
    }
}

/* A store into some place: its immediate, a part of it, its opcode, or both. */
static void insn_store(struct prog *p)
{
    unsigned k = below(p, p->places), off;
    uint32_t imm = p->place[k].imm;
    switch (below(p, 6)) {
    case 0: /* mov byte [opcode], another */
        if (p->place[k].opc) {
            put(p, "\xc6\x05", 2, 4, p->place[k].opc);
            put(p, (const char *)&alike[below(p, ARRAY_LEN(alike))], 1, 0, 0);
        }
        break;
    case 1: /* mov [opcode], eax with AL an opcode: 8 bits of the immediate stay */
        if (p->place[k].opc) {
            put(p, "\xb0", 1, 1, alike[below(p, ARRAY_LEN(alike))]);
            put(p, "\xa3", 1, 4, p->place[k].opc);
        }
        break;
    case 2: /* mov [immediate + off], al */
        off = below(p, p->place[k].size);
        put(p, "\xa2", 1, 4, imm + off);
        break;
    default:
        if (p->place[k].size == 4) { /* mov [immediate], eax */
            put(p, "\xa3", 1, 4, imm);
        } else if (p->place[k].size == 2) {
            put(p, "\x66\xa3", 2, 4, imm);
        } else {
            put(p, "\xa2", 1, 4, imm);
        }
        break;
    }
}

/* mov [opcode or immediate of the next], eax; the next: op eax, imm32. */
static void store_ahead(struct prog *p)
{
    unsigned next = MAIN + p->at + 7;
    put(p, "\xb0", 1, 1, alike[below(p, ARRAY_LEN(alike))]);
    put(p, "\xa3", 1, 4, next + below(p, 2));
    put(p, "\x05", 1, 4, below(p, ~0u));
}

static void make(struct prog *p)
{
    p->at = FUNCTIONS - MAIN;
    for (unsigned f = 0; f < ARRAY_LEN(p->fn); f++) {
        p->fn[f] = MAIN + p->at;
        for (unsigned n = 1 + below(p, 8); n; n--) {
            insn_imm(p);
        }
        put(p, "\xc3", 1, 0, 0);
    }
    p->at = 0;
    put(p, "\xbe", 1, 4, DATA);
    unsigned head = p->at;
    for (unsigned n = 20 + below(p, 30); n; n--) {
        unsigned what = below(p, 8), turns = 1 + below(p, 9);
        if (what < 3) {
            insn_store(p);
        } else if (what < 4) {
            below(p, 2) ? insn_imm(p) : store_ahead(p);
        } else { /* mov ecx, turns; L: call f; [store]; dec ecx; jnz L */
            put(p, "\xb9", 1, 4, turns);
            unsigned loop = p->at;
            put(p, "\xe8", 1, 4, p->fn[below(p, ARRAY_LEN(p->fn))] - (MAIN + p->at + 5));
            if (below(p, 4) == 0) {
                insn_store(p);
            }
            put(p, "\x49\x0f\x85", 3, 4, loop - (p->at + 7));
        }
        put(p, "\xc1\xc0\x05\x35", 4, 4, below(p, ~0u)); /* rol eax, 5; xor eax, .. */
        if (below(p, 3) == 0) {
            note(p, false, 4);
        }
    }
    put(p, "\xe9", 1, 4, head - (p->at + 5));
}

static uint64_t run(const struct prog *p, const struct engine_options *o, uint64_t units)
{
    struct bare *b = bare_new("", 0x20000);
    ram_write(&b->ram, MAIN, p->code, sizeof p->code);
    if (o && !b->engine) {
        bare_engine(b, o);
    }
    bare_mode(b, 32, 0);
    b->cpu->s.rip = MAIN;
    b->cpu->s.rflags = 2;
    b->cpu->s.gpr[REG_RSP] = STACK;
    cpu_restored(b->cpu);
    bare_run(b, units, 0);
    uint64_t digest = bare_digest(b);
    if (b->engine && engine_failure(b->engine)) {
        printf("%s", engine_failure(b->engine));
        EXPECT(false);
    }
    bare_free(b);
    return digest;
}

TEST(rewritten_code_is_the_same_in_every_engine)
{
    static const struct engine_options ways[] = {
        {.jit = true, .threshold = 1, .super = 1},
        {.jit = true, .threshold = 2},
        {.jit = true},
        {.jit = true, .threshold = 1, .buffer = 64u << 10, .maxblock = 3},
        {.jit = true, .chaos = true, .chaos_seed = 7},
        {.lockstep = true, .threshold = 1},
    };
    unsigned rounds = (unsigned)t_amount(60, 300, 3000);
    for (unsigned k = 0; k < rounds; k++) {
        struct prog p = {.state = 0x9e3779b97f4a7c15 * (k + 1)};
        make(&p);
        uint64_t want = run(&p, NULL, 20000 + k);
        for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
            t_context("program %u, engine %u", k, w);
            EXPECT_EQ(run(&p, &ways[w], 20000 + k), want);
        }
    }
}
