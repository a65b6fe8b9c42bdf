/*
 * Random code run in slices: where a slice ends, and how code was cut into blocks, must never show.
 *
 * The same random bytes run several times in equal bare machines, for the same number of units: in
 * one slice, in slices of one and of other lengths, interpreted and compiled. State and RAM must
 * end equal. Random code faults, jumps into itself, writes over itself, repeats strings and sets
 * TF, so this covers the decoder, the budget, refunds of faults, self-modifying code and REP
 * accounting together. Half of the 16- and 32-bit runs have segments with bases and limits; in some
 * IP and SP wrap at 64 KiB. It also fuzzes the decoder alone: lengths and offsets stay in range for
 * any bytes in any mode.
 *
 * Amount: T_LEVEL; seed: T_SEED.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/model.h"
#include "cpu/sem.h"
#include "tests/lib/bare.h"
#include "tests/t.h"

enum { RAM_BYTES = 1 << 18, CODE = 0x8000, CODE_LEN = 4096 + 64 };

static uint64_t rng_next(uint64_t *s)
{
    struct t_rng rng = {*s};
    uint64_t v = t_rand(&rng);
    *s = rng.state;
    return v;
}

/* A byte that makes sense more often than a random one does. */
static uint8_t code_byte(uint64_t *s)
{
    static const uint8_t common[] = {
        0x0f, 0x66, 0x67, 0xf2, 0xf3, 0x48, 0x89, 0x8b, 0x01, 0x29, 0x31, 0x39, 0x83, 0x81, 0xc7,
        0x50, 0x58, 0x74, 0x75, 0xeb, 0xe8, 0xc3, 0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xae, 0x90, 0x40,
        0x00, 0x01, 0x05, 0x10, 0xc0, 0xc1, 0xd8, 0xff, 0xfe, 0xf7, 0xd1, 0xd3, 0x9c, 0x9d, 0xe2};
    uint64_t r = rng_next(s);
    return r & 1 ? common[(r >> 8) % sizeof common] : (uint8_t)(r >> 16);
}

/* Beginnings of instructions that random bytes seldom spell: what the JIT has code for beyond the
 * plain ones, and what reads the flags that these leave. A ModRM byte follows. */
static unsigned code_word(uint64_t *s, uint8_t *out)
{
    static const uint8_t words[][5] = {
        {2, 0x0f, 0xa3},
        {2, 0x0f, 0xab},
        {2, 0x0f, 0xb3},
        {2, 0x0f, 0xbb},
        {2, 0x0f, 0xba},
        {2, 0x0f, 0xa4},
        {2, 0x0f, 0xa5},
        {2, 0x0f, 0xac},
        {2, 0x0f, 0xad},
        {2, 0x0f, 0xb0},
        {2, 0x0f, 0xb1},
        {2, 0x0f, 0xbc},
        {2, 0x0f, 0xbd},
        {3, 0xf3, 0x0f, 0xbc},
        {3, 0xf3, 0x0f, 0xbd},
        {3, 0xf3, 0x0f, 0xb8},
        {2, 0x0f, 0xc0},
        {2, 0x0f, 0xc1},
        {3, 0x0f, 0xc7, 0x0e},
        {2, 0x0f, 0xc8},
        {3, 0x0f, 0x38, 0xf0},
        {3, 0x0f, 0x38, 0xf1},
        {2, 0x0f, 0x31},
        {1, 0xf5},
        {1, 0xf8},
        {1, 0xf9},
        {1, 0xfc},
        {1, 0xfd},
        {1, 0x9e},
        {1, 0x9f},
        {1, 0x9c},
        {1, 0xd1},
        {1, 0xd3},
        {1, 0xc1},
        {1, 0xf6},
        {1, 0xf7},
        {1, 0x11},
        {1, 0x19},
        {1, 0x40},
        {1, 0x48},
        {2, 0x0f, 0x42},
        {2, 0x0f, 0x44},
        {2, 0x0f, 0x4c},
        {2, 0x0f, 0x96},
        {2, 0x0f, 0x90},
        {2, 0x0f, 0x9a},
        {1, 0x06},
        {1, 0x0f},
    };
    uint64_t r = rng_next(s);
    const uint8_t *w = words[r % ARRAY_LEN(words)];
    unsigned n = 0;
    if ((r >> 8 & 7) == 0) { /* VEX: BMI1, BMI2 */
        static const uint8_t op[] = {0xf2, 0xf3, 0xf5, 0xf6, 0xf7, 0xf0};
        unsigned o = (unsigned)(r >> 16) % ARRAY_LEN(op);
        out[n++] = 0xc4;
        out[n++] = (uint8_t)((r >> 24 & 0xe0) | (op[o] == 0xf0 ? 3 : 2));
        out[n++] = (uint8_t)(r >> 40 & 0xfb);
        out[n++] = op[o];
    } else {
        if ((r >> 12 & 3) == 0) {
            out[n++] = (uint8_t)(r >> 13 & 4 ? 0x66 : 0x48 | (r >> 16 & 7));
        }
        memcpy(out + n, w + 1, w[0]);
        n += w[0];
    }
    uint8_t modrm = (uint8_t)(r >> 48);
    out[n++] = r >> 56 & 1 ? modrm | 0xc0 : modrm & 0x7f;
    return n;
}

struct setup {
    const char *model;
    unsigned bits, cpl;
    uint64_t seed;
};

/* Segments with bases and limits. In 16-bit code, IP and SP that come to 64 KiB. */
static void put_segments(struct bare *b, const struct setup *u, uint64_t *s)
{
    struct cpu_state *st = &b->cpu->s;
    uint64_t r = rng_next(s);
    uint32_t base = (uint32_t)(r >> 8 & 0x3f0);
    st->seg[SEG_DS].base = st->seg[SEG_ES].base = base;
    st->seg[SEG_SS].base = base * 2;
    st->seg[SEG_DS].limit = r & 1 ? CODE + (uint32_t)(r >> 20) % CODE_LEN : st->seg[SEG_DS].limit;
    st->seg[SEG_ES].limit = r & 2 ? CODE + (uint32_t)(r >> 30) % CODE_LEN : st->seg[SEG_ES].limit;
    st->seg[SEG_SS].limit = r & 4 ? 0x7000 + (uint32_t)(r >> 40 & 15) : st->seg[SEG_SS].limit;
    if (u->bits == 16 && (r & 8)) {
        st->gpr[REG_RSP] = 2 * (r >> 44 & 7);
        st->seg[SEG_SS].limit = 0xffff;
    }
    if (u->bits == 16 && (r & 0x10)) { /* the code again, where its IP is its offset from 0xf400 */
        uint8_t code[CODE_LEN];
        ram_read(&b->ram, CODE, code, CODE_LEN);
        st->seg[SEG_CS].base = 0x10000 + base;
        ram_write(&b->ram, 0x10000 + base + 0xf400, code, 0x10000 - 0xf400);
        ram_write(&b->ram, 0x10000 + base, code + (0x10000 - 0xf400),
                  CODE_LEN - (0x10000 - 0xf400));
        st->rip = 0xf400 + (r >> 50 & 0x7ff);
    }
}

/* Gates into the code in protected mode too, at ring 0, so that a fault is not the end. */
static void put_tables(struct bare *b, unsigned bits, uint64_t *s)
{
    enum { GDT = 0x400, IDT = 0x1000 };
    struct cpu_state *st = &b->cpu->s;
    for (unsigned k = 0; k < 8; k++) { /* selectors as bare_mode has them */
        uint8_t d[8];
        bool code = k == SEG_CS + 1;
        le64_put(d, code ? (bits == 64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff)
                         : 0x00cf93000000ffff);
        ram_write(&b->ram, GDT + 8 * k, d, 8);
    }
    unsigned size = bits == 64 ? 16 : 8;
    for (unsigned v = 0; v < 256; v++) {
        uint8_t g[16] = {0};
        uint64_t to = CODE + rng_next(s) % CODE_LEN;
        le64_put(g, (to & 0xffff) | 8u * (SEG_CS + 1) << 16 | UINT64_C(0x8f00) << 32);
        ram_write(&b->ram, IDT + v * size, g, size);
    }
    st->gdt_base = GDT;
    st->gdt_limit = 8 * 8 - 1;
    st->idt_base = IDT;
    st->idt_limit = (uint16_t)(256 * size - 1);
}

static struct bare *build(const struct setup *u)
{
    struct bare *b = bare_new(u->model, RAM_BYTES);
    uint64_t s = u->seed;
    uint8_t code[CODE_LEN];
    bool words = s & 1;
    for (unsigned k = 0; k < CODE_LEN;) {
        uint8_t word[8];
        unsigned n = 1;
        word[0] = code_byte(&s);
        if (words && rng_next(&s) & 1) {
            n = code_word(&s, word);
        }
        for (unsigned c = 0; c < n && k < CODE_LEN; c++) {
            code[k++] = word[c];
        }
    }
    ram_write(&b->ram, CODE, code, CODE_LEN);
    /* Real-mode vectors point into the code, so that faults go on there. */
    for (unsigned v = 0; v < 256 && u->bits == 16; v++) {
        uint8_t vec[4];
        le32_put(vec, CODE + (uint32_t)(rng_next(&s) % CODE_LEN));
        ram_write(&b->ram, 4 * v, vec, 4);
    }
    if (u->bits != 16 && u->cpl == 0) {
        put_tables(b, u->bits, &s);
    }
    bare_mode(b, u->bits, u->cpl);
    for (unsigned k = 0; k < 16; k++) {
        uint64_t r = rng_next(&s);
        b->cpu->s.gpr[k] = r & 3 ? CODE + (r >> 8) % CODE_LEN : r >> 8;
    }
    b->cpu->s.gpr[REG_RSP] = 0x7000;
    b->cpu->s.gpr[REG_RCX] = rng_next(&s) % 300;
    b->cpu->s.rip = CODE;
    b->cpu->s.rflags = FL_1 | (rng_next(&s) & (FL_DF | FL_ARITH));
    if (u->bits != 64 && (u->seed & 2)) {
        put_segments(b, u, &s);
    }
    cpu_restored(b->cpu);
    return b;
}

static bool same(const struct setup *u, uint64_t n)
{
    static const uint64_t slices[] = {0, 1, 7, 1000, 0, 0, 7, 50, 1000, 100, 0, 30};
    static const struct engine_options engines[ARRAY_LEN(slices)] = {
        [4] = {.jit = true, .threshold = 1, .super = 1, .buffer = 1u << 20},
        [5] = {.jit = true, .threshold = 3, .buffer = 1u << 16},
        [6] = {.jit = true, .threshold = 1, .buffer = 1u << 20},
        [7] = {.jit = true, .threshold = 1, .buffer = 1u << 20, .no_links = true},
        [8] = {.jit = true, .threshold = 2, .super = 1, .buffer = 1u << 20},
        [9] = {.lockstep = true, .threshold = 1, .super = 1, .buffer = 1u << 20},
        [10] = {.jit = true, .chaos = true, .threshold = 2, .super = 1, .buffer = 1u << 17},
        [11] = {.jit = true, .threshold = 1, .buffer = 1u << 20, .maxblock = 1},
    };
    uint64_t want = 0, want_done = 0;
    for (unsigned k = 0; k < ARRAY_LEN(slices); k++) {
        struct bare *b = build(u);
        if (engines[k].jit || engines[k].lockstep) {
            struct engine_options o = engines[k];
            o.chaos_seed = u->seed;
            bare_engine(b, &o);
        }
        uint64_t done = bare_run(b, n, slices[k]);
        uint64_t got = bare_digest(b);
        uint64_t rip = b->cpu->s.rip;
        bare_free(b);
        if (k == 0) {
            want = got;
            want_done = done;
        } else if (got != want || done != want_done) {
            printf("FAIL model '%s' %u-bit cpl %u seed 0x%llx n %llu: %s, slices of %llu end after "
                   "%llu "
                   "units at rip 0x%llx with digest %016llx; one slice after %llu with %016llx",
                   u->model, u->bits, u->cpl, (unsigned long long)u->seed, (unsigned long long)n,
                   engines[k].jit ? "compiled" : "interpreted", (unsigned long long)slices[k],
                   (unsigned long long)done, (unsigned long long)rip, (unsigned long long)got,
                   (unsigned long long)want_done, (unsigned long long)want);
            return false;
        }
    }
    return true;
}

/* Any bytes decode to something well-formed or ask for more. */
static bool decode_ok(uint64_t *s)
{
    static const uint32_t modes[] = {0, MODE_C32, MODE_C64 | MODE_SS32 | MODE_FLAT | MODE_PROT,
                                     MODE_C32 | MODE_PROT | MODE_FLAT, MODE_PROT};
    uint8_t bytes[16];
    unsigned nmodels = 0;
    while (cpu_models[nmodels].name) {
        nmodels++;
    }
    for (unsigned k = 0; k < sizeof bytes; k++) {
        bytes[k] = code_byte(s);
    }
    const struct cpu_model *m = &cpu_models[rng_next(s) % nmodels];
    uint64_t features[FEAT_WORDS];
    cpu_model_features(m, features);
    struct decode_in in = {bytes, (unsigned)(rng_next(s) % 17), 0, 0, features};
    in.mode = modes[rng_next(s) % ARRAY_LEN(modes)];
    struct insn i;
    enum decode_status st = insn_decode(&in, &i);
    if (st == DECODE_MORE) {
        return in.avail < 15;
    }
    bool ok = i.len >= 1 && i.len <= 15 && i.len <= in.avail + (st != DECODE_OK) && i.fn;
    ok = ok && i.base + 8u <= sizeof(struct cpu) && i.index + 8u <= sizeof(struct cpu);
    ok = ok && i.ra + 8u <= sizeof(struct cpu) && i.rb + 8u <= sizeof(struct cpu);
    ok = ok && (st != DECODE_OK || i.row < insn_row_count);
    if (!ok) {
        char hex[3 * sizeof bytes + 1] = "";
        for (unsigned k = 0; k < sizeof bytes; k++) {
            snprintf(hex + 3 * k, 4, " %02x", bytes[k]);
        }
        FAIL("decode: model %s mode %x avail %u status %d len %u:%s", m->name, in.mode, in.avail,
             (int)st, i.len, hex);
    }
    return ok;
}

TEST(slices_never_show)
{
    static const struct setup kinds[] = {
        {"", 16, 0, 0},    {"", 32, 0, 0},    {"", 32, 3, 0},
        {"", 64, 0, 0},    {"", 64, 3, 0},    {"8086", 16, 0, 0},
        {"286", 16, 0, 0}, {"486", 16, 0, 0}, {"pentium", 32, 0, 0},
    };
    uint64_t runs = t_amount(90, 1500, 200000), seed = t_seed(), failed = 0;
    for (uint64_t run = 0; run < runs && failed < 5; run++) {
        struct setup u = kinds[run % ARRAY_LEN(kinds)];
        u.seed = seed + run;
        failed += !same(&u, 200 + run % 1800);
    }
    t_cases(runs - failed, failed, 0);
}

TEST(any_bytes_decode_to_something_well_formed)
{
    uint64_t n = t_amount(100000, 2000000, 200000000), seed = t_seed() * 77, failed = 0;
    for (uint64_t k = 0; k < n && failed < 5; k++) {
        failed += !decode_ok(&seed);
    }
    t_cases(n - failed, failed, 0);
}
